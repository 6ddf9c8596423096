#!/bin/sh
# SPDX-License-Identifier: MIT
# What only a terminal sees: the question before quarantine is purged, and the progress line of fsck, with rate and time left.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

# terminal ANSWER COMMAND...: runs it on a terminal of its own, types ANSWER when it asks; what it says is in $tmp/out. $MEANWHILE, a
# script, is run between question and answer.
terminal() {
        answer=$1
        shift
        status=0
        TERM=xterm python3 - "$tmp/out" "$answer" "$@" <<'END' || status=$?
import os, pty, subprocess, sys
out, answer, command = sys.argv[1], sys.argv[2], sys.argv[3:]
pid, fd = pty.fork()
if pid == 0:
    os.execv(command[0], command)
said, asked = b"", False
while True:
    try:
        piece = os.read(fd, 65536)
    except OSError:  # the other end is closed
        break
    if not piece:
        break
    said += piece
    if not asked and b"[y/N] " in said:
        asked = True
        if os.environ.get("MEANWHILE"):
            subprocess.run(["sh", "-e", os.environ["MEANWHILE"]], check=True, stdout=subprocess.DEVNULL)
        os.write(fd, answer.encode() + b"\n")
open(out, "wb").write(said)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
END
        : >"$tmp/err"
}

ox init --quiet .
ox config pack_threshold 1000
head -c 3000000 /dev/urandom >large
ox add -A .
ox commit -m one

# The progress line: what phase, how much of how much, how fast, how long; and it is gone in the end.
terminal "" "$OXEN_LITE" fsck --media --rate 1M
[ "$status" -eq 0 ] || fail "fsck --media on a terminal: exit $status"
grep -aq 'packs and blobs: .* of 2.9 MiB' "$tmp/out" || { show && fail "no progress"; }
grep -aq '/s, [0-9]* s left' "$tmp/out" || { show && fail "no rate, or no time left"; }
out_has "read from the medium: "
tr '\r' '\n' <"$tmp/out" | tail -n 3 | grep -aq 'packs and blobs' && fail "the progress line was left behind"
terminal "" "$OXEN_LITE" --no-progress fsck --media --rate 2M
grep -aq 'packs and blobs' "$tmp/out" && fail "progress in spite of --no-progress"

# The question: no is no, also when nothing is said; yes deletes.
cat >"$tmp/damage" <<'END'
import os, pathlib
for path in pathlib.Path(".oxen-lite/versions/files").glob("**/data"):
    data = bytearray(path.read_bytes())
    data[7] ^= 1
    os.unlink(path)
    path.write_bytes(data)
END
python3 "$tmp/damage"
ox 1 fsck --repair
for answer in n "" no; do
        terminal "$answer" "$OXEN_LITE" fsck --purge-quarantine
        [ "$status" -eq 32 ] || fail "answered '$answer': exit $status, not 32"
        out_has "delete 1 file (2.9 MiB) for good? [y/N]"
        [ -n "$(ls .oxen-lite/quarantine)" ] || fail "answered '$answer': purged"
done

# What came while the question stood was not seen by who answers: all stays.
cat >"$tmp/meanwhile" <<END
python3 "$tmp/damage"
"$OXEN_LITE" fsck --repair || [ \$? -eq 1 ]
END
MEANWHILE="$tmp/meanwhile"
export MEANWHILE
terminal y "$OXEN_LITE" fsck --purge-quarantine
unset MEANWHILE
[ "$status" -eq 8 ] || fail "quarantine changed while it asked: exit $status, not 8"
out_has "quarantine-changed"
[ "$(find .oxen-lite/quarantine -name data | wc -l)" -eq 2 ] || fail "purged what was not listed"
rm -r .oxen-lite/quarantine/*

python3 "$tmp/damage"
ox 1 fsck --repair
terminal y "$OXEN_LITE" fsck --purge-quarantine
[ "$status" -eq 0 ] || fail "answered y: exit $status"
out_has "deleted 1 file"
[ -z "$(ls .oxen-lite/quarantine)" ] || fail "answered y: not purged"
ox fsck
