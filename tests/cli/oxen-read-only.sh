#!/bin/sh
# SPDX-License-Identifier: MIT
# fsck --oxen where nothing can be written, and as a user who may not read everything: what cannot be read is exit 8 and stays.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

own_mounts
mkdir "$tmp/disk"
mount -t tmpfs -o size=64m tmpfs "$tmp/disk" || {
        echo "skipped: cannot mount a tmpfs"
        exit 77
}
hello=.oxen/versions/files/a7/666c8f5aaf946ca629d9d20c29aa6a
cd "$tmp/disk"
mkdir -p repo/$hello good
printf main >repo/.oxen/HEAD
printf 'vnode_size = 10000\n' >repo/.oxen/config.toml
printf 'Hallo\n' >repo/$hello/data
printf 'Hello\n' >good/hello
find . -printf '%p %m %s %T@ %C@\n' | sort >"$tmp/before"

mount -o remount,bind,ro "$tmp/disk"
ox 4 fsck --oxen repo
out_has "[oxen-blob-damaged]"
ox 12 fsck --oxen repo --repair --from good --state "$tmp/state"
err_has "Read-only file system"
[ -s "$(echo "$tmp"/state/*/quarantine/*/data)" ] || fail "the quarantine is elsewhere and could be written"
mount -o remount,bind,rw "$tmp/disk"
find . -printf '%p %m %s %T@ %C@\n' | sort | diff "$tmp/before" - || fail "something changed"

# nobody ARGUMENT...: as a user to whom modes mean something
nobody() {
        wanted_status=$1
        shift
        run "$wanted_status" setpriv --reuid 65534 --regid 65534 --clear-groups "$OXEN_LITE" "$@"
}
setpriv --reuid 65534 --regid 65534 --clear-groups "$OXEN_LITE" version >/dev/null 2>&1 || {
        echo "skipped: nobody may not run $OXEN_LITE"
        exit 77
}
mkdir -m 1777 "$tmp/any"
for what in repo/$hello/data repo/$hello repo/.oxen/config.toml; do
        mode=$(stat -c %a "$what")
        chmod 000 "$what"
        find . -printf '%p %m %s %T@ %C@\n' | sort >"$tmp/before"
        case $what in *.toml) wanted=12 ;; *) wanted=8 ;; esac
        nobody $wanted fsck --oxen repo
        out_has "Permission denied"
        find . -printf '%p %m %s %T@ %C@\n' | sort | diff "$tmp/before" - || fail "something changed"
        chmod "$mode" "$what"
done
nobody 4 fsck --oxen repo
ox 1 fsck --oxen repo --repair --from good --state "$tmp/state"
