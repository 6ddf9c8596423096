#!/bin/sh
# SPDX-License-Identifier: MIT
# A full disk: a clear error, nothing staged, nothing damaged; space again, and it works.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

own_mounts
mkdir "$tmp/disk"
mount -t tmpfs -o size=40m tmpfs "$tmp/disk" || {
        echo "skipped: cannot mount a tmpfs"
        exit 77
}
cd "$tmp/disk"
ox init
printf 1 >a
ox add a
ox commit -m one
head -c 17m /dev/urandom >large
head -c 3m /dev/urandom >other
ox 1 add -A
err_has "No space left on device"
err_has "[file-write]"
err_has "the disk is full: free space there"
ox status
out_lacks "staged:"
same "$(find .oxen-lite/versions/tmp -type f | wc -l | tr -d ' ')" 0 "temps left"
json 1 add large
is "d['error']['errno'] == 'ENOSPC'"
ox log
fsck_clean

# Small files that fill a pack; then not one byte is left.
rm large other
mkdir many
i=0
while [ "$i" -lt 24 ]; do
        head -c 700000 /dev/urandom >"many/$i"
        i=$((i + 1))
done
ox 1 add -A
err_has "No space left on device"
cat /dev/zero >fill 2>/dev/null || true
printf 2 >>a || true
status=0
"$OXEN_LITE" add a >"$tmp/out" 2>"$tmp/err" || status=$?
case $status in 0 | 1) ;; *) fail "exit $status on a disk without a free byte: $(cat "$tmp/err")" ;; esac
ox log
ox status
rm -r fill many
ox add -A
printf 3 >a
ox commit -am "There is space again"
fsck_clean
