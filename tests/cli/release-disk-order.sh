#!/bin/sh
# SPDX-License-Identifier: MIT
# On a disk that says it rotates (a loop device of our own, with ext4), fsck opens packs and loose blobs in the order in which they lie
# there, which this script asks the kernel for itself; with the same files, and the disk said not to rotate, in the order of names
# and without a question. What it finds is told in the same order both times.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

root_only
own_mounts
for tool in strace losetup mkfs.ext4; do
        command -v "$tool" >/dev/null || {
                echo "skipped: no $tool"
                exit 77
        }
done
strace -f -o "$tmp/probe" true 2>/dev/null || {
        echo "skipped: ptrace is not allowed here"
        exit 77
}

disk=$tmp/disk loop=''
# The device is given back as it was. Its mount goes first, with the namespace at the latest.
leave() {
        status=$?
        cd /
        umount "$disk" 2>/dev/null || true
        if [ -n "$loop" ]; then
                echo "$rotated" >"$rotates" || true
                losetup -d "$loop" || true
        fi 2>/dev/null
        rm -rf "$tmp"
        exit "$status"
}
trap leave EXIT

truncate -s 32m "$tmp/img"
loop=$(losetup -f --show "$tmp/img") || {
        loop=''
        echo "skipped: cannot make a loop device"
        exit 77
}
rotates=/sys/block/${loop#/dev/}/queue/rotational
rotated=$(cat "$rotates")
{ echo 1 >"$rotates"; } 2>/dev/null || {
        echo "skipped: $rotates cannot be written"
        exit 77
}
same "$(cat "$rotates")" 1 "the device rotates"
mkfs.ext4 -q -F "$loop"
mkdir "$disk"
mount "$loop" "$disk"
mkdir "$disk/repo"
cd "$disk/repo"

ox init
ox config pack_threshold 4096
python3 - <<'PYTHON'
import random
random.seed(7)
for i in range(20):
    with open(f"large-{i}", "wb") as f:
        f.write(random.randbytes(60000))
PYTHON
for i in 1 2 3; do
        echo "small $i" >"small-$i"
        ox add "small-$i" large-"$i"*
        ox commit -m "commit $i"
done
ox add -A
ox commit -m rest
sync -f .
find .oxen-lite/versions/packs -name '*.pack' | sort >"$tmp/names"
find .oxen-lite/versions/files -type f | sort >>"$tmp/names"

# order RUN: the files in the order in which fsck opened them to read, by its trace: after its last question for a place, if there was one
cat >"$tmp/order.py" <<'PYTHON'
import array, fcntl, re, sys
names = [n.split(".oxen-lite/", 1)[1] for n in open(sys.argv[1]).read().split()]

def place(name):
    """fm_length ~0, one extent; fe_physical is the second word of what follows the 32 bytes of the head"""
    map = array.array("Q", [0, 2**64 - 1, 0, 1] + [0] * 7)
    with open(".oxen-lite/" + name, "rb") as f:
        fcntl.ioctl(f, 0xC020660B, map)
    assert map[5] > 0
    return map[5]

asked, opened = [], []
for line in open(sys.argv[2]):
    m = re.search(r'openat2\(\d+(?:<[^>]*>)?, "(versions/[^"]*)"', line)
    if m and m[1] in names and m[1] not in opened:
        opened.append(m[1])
    if "FS_IOC_FIEMAP" in line:
        asked.append(re.search(r"\.oxen-lite/(versions/[^>]*)>", line)[1])
        opened = []
by_place = sorted(names, key=place)
assert by_place != names, "by chance both orders are one"
if sys.argv[3] == "place":
    assert asked == names, asked
    assert opened == by_place, (opened, by_place)
else:
    loose = [n for n in opened if "/files/" in n]
    assert asked == [] and loose == [n for n in names if "/files/" in n], (asked, loose)
PYTHON

# reads ORDER [ARGUMENT...]: fsck's order of reading
reads() {
        order=$1
        shift
        run 0 strace -f -y -e trace=openat2,ioctl -o "$tmp/trace" "$OXEN_LITE" fsck --jobs 1 "$@"
        python3 "$tmp/order.py" "$tmp/names" "$tmp/trace" "$order" || fail "fsck $* does not read by $order"
}
reads place
reads name --time-limit 1h
echo 0 >"$rotates"
reads name

# What is damaged is told in the order of names.
sed -n '/files/p' "$tmp/names" | while read -r blob; do
        chmod u+w "$blob"
        printf x | dd of="$blob" bs=1 seek=1000 conv=notrunc 2>/dev/null
done
sync -f .
for turn in 0 1; do
        echo "$turn" >"$rotates"
        json 4 fsck
        python3 -c 'import json, sys
for f in json.load(sys.stdin)["findings"]: print(f["id"], f["slug"], f["path"], f["affects"])' <"$tmp/out" >"$tmp/told.$turn"
done
grep -c blob-damaged "$tmp/told.0" >"$tmp/count"
same "$(cat "$tmp/count")" 20 "damaged blobs"
diff -u "$tmp/told.0" "$tmp/told.1" >&2 || fail "the order of findings depends on the disk"
