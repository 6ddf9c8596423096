#!/bin/sh
# SPDX-License-Identifier: MIT
# A file system mounted read-only: reading commands work, writing ones fail with a reason.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

own_mounts
mkdir "$tmp/disk"
mount -t tmpfs -o size=64m tmpfs "$tmp/disk" || {
        echo "skipped: cannot mount a tmpfs"
        exit 77
}
cd "$tmp/disk"
ox init
printf 1 >a
ox add a
ox commit -m one
printf 2 >a
mount -o remount,bind,ro "$tmp/disk"
find . -type f | sort | xargs sha256sum >"$tmp/before"
for words in status log "ls -r" "cat HEAD:a" show config "restore --help" version; do
        # shellcheck disable=SC2086 # words
        ox $words
done
ox fsck
out_has clean
ox fsck --quick
ox 1 add a
err_has "Read-only file system"
for words in "commit -am two" "restore --force a" "config user.name x"; do
        # shellcheck disable=SC2086
        ox 1 $words
        err_has "Read-only file system"
done
ox 1 init new
find . -type f | sort | xargs sha256sum >"$tmp/after"
cmp "$tmp/before" "$tmp/after" || fail "something changed"
mount -o remount,bind,rw "$tmp/disk"
ox commit -am two
