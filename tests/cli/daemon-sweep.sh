#!/bin/sh
# SPDX-License-Identifier: MIT
# 1,000 stale temps of every kind are gone within 10 seconds of the daemon's start, and none of 100 that live: paused writers, clocks a year off.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"
daemon_only
TMP_FOLDER=$work python3 "$SRCDIR/tests/cli/daemon_sweep.py"
