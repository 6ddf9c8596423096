#!/bin/sh
# SPDX-License-Identifier: MIT
# The progress line of add, commit, fsck, copy, restore, switch and gc; colours; Ctrl-C says what was kept (progress.py).
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"
python3 "$SRCDIR/tests/cli/progress.py" >&2 || fail "progress"
fsck_clean
