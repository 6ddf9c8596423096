#!/bin/sh
# SPDX-License-Identifier: MIT
# Writers, kills of writers and of the daemon, flipped bits that have a good copy elsewhere: in the end nothing acknowledged is lost, fsck is
# clean and no temps are left. 8 seconds; 10 minutes with OXL_DEEP=1; OXL_SOAK_SECONDS says otherwise.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"
daemon_only
seconds=8
[ "${OXL_DEEP-}" != 1 ] || seconds=600
OXL_SOAK_SECONDS=${OXL_SOAK_SECONDS:-$seconds} TMP_FOLDER=$work python3 "$SRCDIR/tests/cli/daemon_soak.py"
