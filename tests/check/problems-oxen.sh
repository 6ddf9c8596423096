#!/bin/sh
# SPDX-License-Identifier: MIT
# The rows of the problem table that are about Oxen's stores: found, healed, clean, the same as before. See _problems.sh.
# shellcheck source=tests/check/_problems.sh
. "$SRCDIR/tests/check/_problems.sh"
prepare_oxen
for folder in "$SRCDIR"/tests/check/oxen-*/; do
        problem "$(basename "$folder")"
done
ran_all '^oxen-'
