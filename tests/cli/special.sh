#!/bin/sh
# SPDX-License-Identifier: MIT
# FIFOs, sockets, unreadable files, folders that hold nothing, files that vanish: by name, nothing staged.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

ox init
printf good >good
mkfifo fifo
ox 1 add good fifo
err_has "'fifo' cannot be stored: it is a FIFO [path-special]"
ox status
out_lacks "staged:"
# Met on the way, it is left out, by name.
ox add -A
err_has "'fifo': skipped"
ox status
out_has "added     good"
out_lacks "fifo"
rm fifo
python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("sock")'
ox 1 add sock
err_has "[path-special]"
rm sock
ox commit -m good

# What replaced a tracked file and cannot be stored is not "unchanged".
rm good
mkfifo good
ox status
out_lacks "clean: "
ox 1 commit -am fifo
err_has "good"
rm good
printf good >good

# Empty folders are not stored, and said so.
mkdir -p empty/inner
ox add -A
ox status
out_lacks "staged:"

# Our own folder and temp names are never added.
ox 2 add .oxen-lite
err_has "[path-invalid]"
printf t >"x.oxl-0123456789abcdef-0123456789abcdef.tmp"
ox 1 add "x.oxl-0123456789abcdef-0123456789abcdef.tmp"
err_has "[path-ignored]"
ox add --force "x.oxl-0123456789abcdef-0123456789abcdef.tmp"
ox status
out_has "added     x.oxl-"
ox commit -m forced
rm x.oxl-*
ox commit -am gone

# A file that is replaced, truncated or growing while add reads it is never stored as a mix.
python3 - "$OXEN_LITE" <<'PYTHON' || fail "changing file"
import os, subprocess, sys, threading
ox = sys.argv[1]
size = 8 << 20
with open("moving", "wb") as f:
    f.write(b"0" * size)
stop = threading.Event()
def writer():
    n = 0
    while not stop.is_set():
        n += 1
        with open("moving", "r+b") as f:
            f.write((b"%d" % (n % 10)) * size)
t = threading.Thread(target=writer)
t.start()
seen = set()
try:
    for _ in range(3):
        p = subprocess.run([ox, "--quiet", "add", "moving"], stderr=subprocess.PIPE)
        assert p.returncode in (0, 1), p
        assert p.returncode == 0 or b"[path-changed]" in p.stderr, p.stderr
        seen.add(p.returncode)
finally:
    stop.set()
    t.join()
with open("moving", "wb") as f:
    f.write(b"z" * size)
subprocess.run([ox, "--quiet", "add", "moving"], check=True)
PYTHON
ox commit -m moving
ox cat HEAD:moving
cmp moving "$tmp/out" || fail "what was stored of the file"

# Unreadable: root can read everything, so somebody else asks.
if [ "$(id -u)" -eq 0 ]; then
        cp "$OXEN_LITE" "$tmp/program"
        mkdir "$tmp/theirs"
        chown 65534:65534 "$tmp/theirs"
        cd "$tmp/theirs"
        run 0 nobody "$tmp/program" init
        nobody sh -c 'printf 1 >locked; chmod 0 locked; printf 2 >open; mkdir shut; printf 3 >shut/in; chmod 0 shut'
        run 1 nobody "$tmp/program" add -A
        err_has "Permission denied"
        run 0 nobody "$tmp/program" add open
        run 1 nobody "$tmp/program" status
        out_has "unreadable:"
        out_has "shut"
        out_has "added     open"
        run 1 nobody "$tmp/program" --json status
        is "any(e['path'].startswith('shut') for e in d['unreadable'])" "d['clean'] is False" \
                "d['error']['errno'] == 'EACCES'"
        run 0 nobody "$tmp/program" commit -m open
else
        printf 1 >locked
        chmod 0 locked
        ox 1 add locked
        err_has "Permission denied"
        chmod 644 locked
fi
