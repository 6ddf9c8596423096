# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# In every page, because frames of the -wal replace some of them, and those are never read.
at=50
while [ "$at" -lt "$(stat -c %s .oxen-lite/journal.db)" ]; do
        forge byte .oxen-lite/journal.db "$at"
        at=$((at + 4096))
done
