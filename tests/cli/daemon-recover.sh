#!/bin/sh
# SPDX-License-Identifier: MIT
# A writer that is killed in the middle of its commit is recovered without anyone running a command; so is a daemon's own worker.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"
daemon_only
TMP_FOLDER=$work python3 "$SRCDIR/tests/cli/daemon_recover.py"
