# SPDX-License-Identifier: MIT
# shellcheck shell=sh
forge byte .oxen-lite/journal.db-wal -100
