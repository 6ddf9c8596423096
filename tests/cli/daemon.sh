#!/bin/sh
# SPDX-License-Identifier: MIT
# oxen-lited: help, version, usage errors; READY=1 when started, STOPPING=1 and exit 0 on SIGTERM and on SIGINT.
set -eu

fail() {
        echo "FAILED: $*" >&2
        exit 1
}

"$OXEN_LITED" --help | grep -q 'Not built yet: background recovery' || fail "--help hides what is missing"
"$OXEN_LITED" --version | grep -qx 'oxen-lited [0-9]*\.[0-9]*\.[0-9]*' || fail "--version"
for wrong in --nonsense extra --config; do
        status=0
        "$OXEN_LITED" "$wrong" 2>/dev/null || status=$?
        [ "$status" -eq 2 ] || fail "'$wrong' exits with $status, not 2"
done
if [ -e /dev/full ]; then
        status=0
        "$OXEN_LITED" --help >/dev/full 2>/dev/null || status=$?
        [ "$status" -eq 1 ] || fail "a full standard output exits with $status, not 1"
fi

if [ "$SYSTEMD" != ON ]; then
        echo "skipped: built without libsystemd"
        exit 77
fi

# The socket is read, never the clock: the helper blocks until the daemon speaks.
for signal in SIGTERM SIGINT; do
        python3 - "$OXEN_LITED" $signal <<'PYTHON' || fail "$signal"
import os, signal, socket, subprocess, sys, tempfile

program, name = sys.argv[1], sys.argv[2]
with tempfile.TemporaryDirectory() as folder:
    address = os.path.join(folder, "notify")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(address)
    listener.settimeout(120)  # a dead daemon must not hang the suite
    daemon = subprocess.Popen([program, "--config", "/nonexistent"], env={**os.environ, "NOTIFY_SOCKET": address})
    try:
        first = listener.recv(4096).decode().split("\n")
        assert "READY=1" in first, first
        assert daemon.poll() is None, "gone after READY=1"
        daemon.send_signal(getattr(signal, name))
        last = listener.recv(4096).decode().split("\n")
        assert last == ["STOPPING=1"], last
        assert daemon.wait(120) == 0, daemon.returncode
    finally:
        if daemon.poll() is None:
            daemon.kill()
            daemon.wait()
PYTHON
done
echo "ok: ready, stopped by SIGTERM and SIGINT"
