#!/bin/sh
# SPDX-License-Identifier: MIT
# Slow, silent, garbage-sending, endless and too many clients of the socket disturb nobody.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"
daemon_only
TMP_FOLDER=$work python3 "$SRCDIR/tests/cli/daemon_clients.py"
