#!/bin/sh
# SPDX-License-Identifier: MIT
# oxen-lited: help, version, usage errors; settings, reload, control, metrics, permissions, messages to systemd (daemon.py).
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"
daemon_only

"$OXEN_LITED" --help | grep -q 'check-config' || fail "--help lacks --check-config"
"$OXEN_LITED" --version | grep -qx 'oxen-lited [0-9]*\.[0-9]*\.[0-9]*' || fail "--version"
for wrong in --nonsense extra --config; do
        run 2 "$OXEN_LITED" "$wrong"
done
if [ -e /dev/full ]; then
        status=0
        "$OXEN_LITED" --help >/dev/full 2>/dev/null || status=$?
        same "$status" 1 "exit with a full standard output"
fi
ox 2 daemon
ox 2 daemon stauts
err_has "did you mean 'status'?"
ox 2 daemon scrub
ox 2 daemon reload now
ox 2 daemon pause --watch
ox 1 daemon --socket "$tmp/none" status
err_has "no oxen-lited answers at '$tmp/none': No such file or directory [daemon-absent]"
err_has "systemctl start oxen-lited"
json 1 daemon --socket "$tmp/none" status
is "d['error']['code'] == 'daemon-absent'" "d['error']['errno'] == 'ENOENT'"

TMP_FOLDER=$work python3 "$SRCDIR/tests/cli/daemon.py"
