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
mkdir many
for i in $(seq 150); do echo "$i" >"many/$i"; done
ln -s a link
ox add -A
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
err_has "mounted read-only: mount it writable"
for words in "commit -am two" "restore --force a" "config user.name x"; do
        # shellcheck disable=SC2086
        ox 1 $words
        err_has "Read-only file system"
done
# Into another folder: only read here.
json restore --to "$tmp/out-of-it"
is "d['files'] == '152'"
same "$(cat "$tmp/out-of-it/a")" 1 "what is committed"
same_tree many "$tmp/out-of-it/many"
same "$(find "$tmp/out-of-it" -name '.*' | wc -l | tr -d ' ')" 0 "temps"
json restore --to "$tmp/out-of-it"
is "d['files'] == '0'" "d['unchanged'] == '152'"
printf 2 >"$tmp/out-of-it/a"
ox 1 restore --to "$tmp/out-of-it"
err_has "[path-modified]"
ox 1 restore --force --to "$tmp/out-of-it"
err_has "cannot be kept"
err_has "Read-only file system"
same "$(cat "$tmp/out-of-it/a")" 2 "a changed file that cannot be kept"
ox 1 init new
find . -type f | sort | xargs sha256sum >"$tmp/after"
cmp "$tmp/before" "$tmp/after" || fail "something changed"
mount -o remount,bind,rw "$tmp/disk"
ox commit -am two
