#!/bin/sh
# SPDX-License-Identifier: MIT
# The daemon at its edges: another user's repository, time window, a pattern that gains a repository, no inotify watches left, a worker
# that hangs, a socket from the service manager.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"
daemon_only
TMP_FOLDER=$work python3 "$SRCDIR/tests/cli/daemon_edges.py"
