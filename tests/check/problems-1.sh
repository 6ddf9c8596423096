#!/bin/sh
# SPDX-License-Identifier: MIT
# One half of the rows of the problem table: found, healed, clean, the same as before. See _problems.sh.
# shellcheck source=tests/check/_problems.sh
. "$SRCDIR/tests/check/_problems.sh"
prepare
for slug in $(rows 0 2); do
        problem "$slug"
done
ran_all '^[^o]\|^o[^x]' $(($(rows 1 2 | wc -l) + $(root_rows)))
