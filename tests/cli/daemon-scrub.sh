#!/bin/sh
# SPDX-License-Identifier: MIT
# A flipped bit is a finding in log, status and metrics with the next pass; kill -9 of the daemon loses no progress; repair when configured.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"
daemon_only
TMP_FOLDER=$work python3 "$SRCDIR/tests/cli/daemon_scrub.py"
