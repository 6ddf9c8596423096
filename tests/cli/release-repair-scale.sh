#!/bin/sh
# SPDX-License-Identifier: MIT
# Repair of many damaged objects: 10,000 records of a pack, healed from the working tree and from another folder with --force, within
# 128 MiB; and the number of system calls grows no faster than the number of objects.
. "$SRCDIR/tests/cli/_lib.sh"

# damage: a bit of the content of every file in the pack of blobs, or in each loose blob
damage() {
        python3 - <<'END'
import glob, os
for path in glob.glob(".oxen-lite/versions/packs/*.pack") + glob.glob(".oxen-lite/versions/files/*/*/data"):
    data = bytearray(open(path, "rb").read())
    at = data.find(b"content of file ")
    while at >= 0:
        data[at] ^= 1
        at = data.find(b"content of file ", at + 1)
    os.unlink(path)
    with open(path, "wb") as f:
        f.write(data)
END
}

# make COUNT
make() {
        rm -rf ./* .oxen-lite
        ox init --quiet .
        python3 -c 'import sys
for i in range(int(sys.argv[1])):
    with open(f"f{i}", "w") as f:
        f.write(f"content of file {i} " + "x" * 60)' "$1"
        ox add -A .
        ox commit -m all
        damage
}

# peak COMMAND...: the most memory that it needed, in KiB, to $tmp/peak
peak() {
        python3 - "$tmp/peak" "$@" <<'END'
import resource, subprocess, sys
status = subprocess.run(sys.argv[2:], stdout=subprocess.DEVNULL).returncode
open(sys.argv[1], "w").write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(status)
END
}

# calls COUNT: system calls of a repair of so many objects
calls() {
        make "$1"
        status=0
        strace -f -c -o "$tmp/calls" "$OXEN_LITE" fsck --repair --force >"$tmp/out" 2>"$tmp/err" || status=$?
        [ "$status" -eq 1 ] || {
                show
                fail "exit $status, not 1: repair of $1 objects"
        }
        awk '$NF == "total" { print $4 }' "$tmp/calls"
}

make 10000
ox 4 fsck --repair
out_has "nothing was repaired: more than 5 items"
run 1 peak "$OXEN_LITE" fsck --repair --force
kib=$(cat "$tmp/peak")
[ "$kib" -lt 131072 ] || fail "repair took $kib KiB"
ox fsck
echo "repair of 10,000 objects: $kib KiB"

# With the packs of before in quarantine, and good bytes only from elsewhere.
mkdir "$tmp/good"
mv f* "$tmp/good"
damage
run 1 peak "$OXEN_LITE" fsck --repair --force --from "$tmp/good"
kib=$(cat "$tmp/peak")
[ "$kib" -lt 131072 ] || fail "repair from elsewhere took $kib KiB"
ox fsck
echo "from another folder: $kib KiB"

if command -v strace >/dev/null && strace -o /dev/null true 2>/dev/null; then
        one=$(calls 1000)
        two=$(calls 2000)
        echo "system calls: $one for 1,000 objects, $two for 2,000"
        [ "$two" -lt $((one * 11 / 5)) ] || fail "$two calls for 2,000 objects, $one for 1,000"
else
        not_tried "the number of system calls of a repair" "no strace, or ptrace is not allowed here"
fi
