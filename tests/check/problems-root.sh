#!/bin/sh
# SPDX-License-Identifier: MIT
# Rows of the problem table whose damage only root can make. See _problems.sh.
# shellcheck source=tests/check/_problems.sh
. "$SRCDIR/tests/check/_problems.sh"
root_only
prepare
for expect in "$SRCDIR"/tests/check/*/expect; do
        [ "$(words "${expect%/expect}" needs)" != root ] || problem "$(basename "${expect%/expect}")"
done
same "$ran" "$(root_rows)" "number of rows that were run"
[ "$ran" -gt 0 ] || fail "no row was run"
