#!/bin/sh
# SPDX-License-Identifier: MIT
# copy: a clone, again when nothing changed, what is new, damage on either side, diverged and used branches, a full disk there, a
# source that may only be read.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

files() { (cd "$1/.oxen-lite/versions" && find files packs -type f ! -name lookup | sort); }
# Overwrites 16 bytes of FILE at OFFSET.
damage() {
        chmod u+w "$1"
        printf 'damagedDAMAGED!!' | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}

ox init
ox config pack_threshold 65536
ox config user.name "Grace"
mkdir d
echo a >d/a
echo b >b
newline=$(printf 'two\nlines')
echo n >"$newline"
ln -s b link
head -c 200000 /dev/urandom >big
ox add -A
ox commit -m one
ox branch dev
ox tag v1
echo c >c
ox add c
ox commit -m two

# A clone: the same files, refs, settings and id; its index is HEAD's, its files come with restore.
json copy "$tmp/copy"
is "d['created'] is True" "d['refs'] == '3'" "d['found'] == '0'" "d['head'] == 'main'" "d['damaged'] == '0'"
files . >"$tmp/a"
files "$tmp/copy" >"$tmp/b"
diff -u "$tmp/a" "$tmp/b" >&2 || fail "the copy has other files"
same "$(sed -n '/^id /p' .oxen-lite/format)" "$(sed -n '/^id /p' "$tmp/copy/.oxen-lite/format")" "the id"
ox -C "$tmp/copy" fsck
ox -C "$tmp/copy" config user.name
out_is Grace
json -C "$tmp/copy" status
is "d['staged'] == []" "len(d['removed']) == 6" "d['untracked'] == []"
ox -C "$tmp/copy" log
out_has "two"
ox copy "$tmp/clone/deep/er"
ox -C "$tmp/clone/deep/er" restore .
ox -C "$tmp/clone/deep/er" status
out_has clean
same_tree . "$tmp/clone/deep/er"

# Nothing changed: nothing is written, no branch moves.
json copy "$tmp/copy"
is "d['created'] is False" "d['files'] == d['refs'] == d['healed'] == '0'" "int(d['found']) > 3"
json copy --quick "$tmp/copy"
is "d['files'] == '0'" "int(d['found']) > 3"

# What is new, a branch that is new, HEAD elsewhere, in a copy that nobody works in.
ox switch -c topic/one
echo t >t
head -c 70000 /dev/urandom >big2
ox add -A
ox commit -m three
json copy "$tmp/copy"
is "d['refs'] == '1'" "d['head'] == 'topic/one'" "int(d['files']) >= 2" "int(d['found']) > 3"
ox -C "$tmp/copy" fsck
ox -C "$tmp/copy" op log
out_has "copy"
ox -C "$tmp/copy" restore .
same_tree . "$tmp/copy"
rm -rf "$tmp/copy/d" "$tmp/copy/b" "$tmp/copy/c" "$tmp/copy/t" "$tmp/copy/big" "$tmp/copy/big2" "$tmp/copy/link" "$tmp/copy/$newline"

# A clone that somebody works in keeps its HEAD and its branch; its other branches move.
json copy "$tmp/clone/deep/er"
is "d['refs'] == '1'" "d['head'] == 'main'"
ox switch main
echo more >>c
ox commit -a -m four
json 1 copy "$tmp/clone/deep/er"
is "d['error']['code'] == 'copy-in-use'" "d['refs_unmoved'] == '1'" "d['refs'] == '0'" "d['damaged'] == '0'"
ox -C "$tmp/clone/deep/er" status
out_has clean
ox copy --force "$tmp/clone/deep/er"
ox -C "$tmp/clone/deep/er" restore --force .
rm "$tmp/clone/deep/er/t" "$tmp/clone/deep/er/big2" 2>/dev/null || true
ox -C "$tmp/clone/deep/er" fsck

# Diverged: named, and not moved; the others are. With --force the operation log of the copy keeps the old place.
(cd "$tmp/clone/deep/er" && echo other >other && "$OXEN_LITE" add other && "$OXEN_LITE" commit -q -m other) >/dev/null 2>&1 ||
        (cd "$tmp/clone/deep/er" && "$OXEN_LITE" commit -m other >/dev/null)
theirs=$(head -n 1 "$tmp/clone/deep/er/.oxen-lite/refs/heads/main")
(cd "$tmp/clone/deep/er" && "$OXEN_LITE" switch -c aside >/dev/null)
echo five >>c
ox commit -a -m five
ox tag v2
json 1 copy "$tmp/clone/deep/er"
is "d['error']['code'] == 'copy-diverged'" "d['refs'] == '1'" "d['refs_unmoved'] == '1'"
err_has "not moved"
same "$(head -n 1 "$tmp/clone/deep/er/.oxen-lite/refs/heads/main")" "$theirs" "the diverged branch"
ox copy --force "$tmp/clone/deep/er"
same "$(head -n 1 .oxen-lite/refs/heads/main)" "$(head -n 1 "$tmp/clone/deep/er/.oxen-lite/refs/heads/main")" "main after --force"
ox -C "$tmp/clone/deep/er" undo
same "$(head -n 1 "$tmp/clone/deep/er/.oxen-lite/refs/heads/main")" "$theirs" "main after undo"
ox -C "$tmp/clone/deep/er" fsck

# Places that cannot be one.
json 1 copy .
is "d['error']['code'] == 'copy-destination'"
json 1 copy .oxen-lite/inside
is "d['error']['code'] == 'copy-destination'"
[ ! -e .oxen-lite/inside ] || fail "something was made inside the repository"
mkdir "$tmp/foreign"
ox -C "$tmp/foreign" init
json 1 copy "$tmp/foreign"
is "d['error']['code'] == 'copy-destination'" "'to' not in d"
ox 1 copy "$tmp/foreign"
silent_out
ox -C "$tmp/foreign" fsck
mkdir "$tmp/full"
echo mine >"$tmp/full/file"
json 1 copy "$tmp/full"
is "d['error']['code'] == 'copy-destination'" "'other files' in d['error']['message']"
same "$(ls -A "$tmp/full")" file "the folder that is no copy"
mkdir "$tmp/full/lost+found" "$tmp/full/.oxen-lite.oxl-0000000000000001-0000000000000001.tmp"
rm "$tmp/full/file"
ox copy "$tmp/full" # the root of a file system, where an earlier copy was killed
json 2 copy
is "d['error']['code'] == 'usage'"

# Damage there is healed, and kept in quarantine; --quick does not see it.
ox copy "$tmp/copy"
cp -a "$tmp/copy" "$tmp/sound"
for file in $(cd "$tmp/copy" && find .oxen-lite/versions -name '*.pack' -o -name data); do damage "$tmp/copy/$file" 100; done
json copy --quick "$tmp/copy"
is "d['healed'] == '0'"
json copy "$tmp/copy"
is "int(d['healed']) > 3" "d['found'] == '0'" "d['files'] == d['healed']"
same "$(find "$tmp/copy/.oxen-lite/quarantine" -name data | wc -l)" "$(find "$tmp/copy/.oxen-lite/versions" -name '*.pack' -o -name data | wc -l)" "files in quarantine"
ox -C "$tmp/copy" fsck

# Damage here: what has another good copy comes from there, what has none is named, exit 3, and its branch stays; all else is copied.
cp -a . "$tmp/hurt"
cd "$tmp/hurt"
blob=$(find .oxen-lite/versions/files -name data | head -n 1)
damage "$blob" 1000
json 3 copy "$tmp/from-hurt"
is "d['error']['code'] == 'object-corrupt'" "d['damaged'] == '1'" "int(d['refs_unmoved']) > 0" "int(d['files']) > 3"
err_has "${blob#.oxen-lite/}"
ox -C "$tmp/from-hurt" fsck
cp "$tmp/sound/$blob" "$blob"
ox copy "$tmp/from-hurt"
ox -C "$tmp/from-hurt" fsck
ox -C "$tmp/from-hurt" restore .

# A damaged record of metadata has its second copy; the rest of its pack comes along.
pack=$(find .oxen-lite/versions/packs -name '*.pack' -size +16k | sort | head -n 1)
damage "$pack" 200
ox 4 fsck
json copy "$tmp/rescued"
is "int(d['rescued']) > 0" "d['damaged'] == '0'" "d['refs_unmoved'] == '0'"
ox -C "$tmp/rescued" fsck
json copy "$tmp/rescued"
is "d['rescued'] == '0'" "d['refs'] == '0'"
# The copy that has a good one is left alone.
json copy "$tmp/from-hurt"
is "d['healed'] == d['rescued'] == '0'"

# Damaged on both sides, with a good copy in a pack here: what the good bytes replace there is kept in quarantine first.
cp "$tmp/sound/$blob" "$tmp/whole"
rm -f "$blob"
ox config pack_threshold 1048576
cp "$tmp/whole" packed
ox add packed
cp "$tmp/whole" "$blob"
damage "$blob" 1000
damage "$tmp/from-hurt/$blob" 2000
cp "$tmp/from-hurt/$blob" "$tmp/replaced"
json copy "$tmp/from-hurt"
is "d['rescued'] == '1'" "d['damaged'] == '0'"
cmp -s "$tmp/whole" "$tmp/from-hurt/$blob" || fail "the destination has no good copy"
kept=$(find "$tmp/from-hurt/.oxen-lite/quarantine" -name data)
cmp -s "$tmp/replaced" "$kept" || fail "what was replaced is not in quarantine"
ox -C "$tmp/from-hurt" fsck
cd "$work"

rm -rf "$tmp/copy" "$tmp/sound" "$tmp/hurt" "$tmp/from-hurt" "$tmp/clone"

# A damaged branch: objects come, no branch moves.
cp -a . "$tmp/noref"
damage "$tmp/noref/.oxen-lite/refs/tags/v1" 3
json 3 -C "$tmp/noref" copy "$tmp/norefs"
is "d['refs'] == '0'" "int(d['files']) > 3"
ox -C "$tmp/norefs" fsck

rm -rf "$tmp/noref"

# A branch whose name is in the way there is named; the others move.
mkdir "$tmp/way"
ox copy "$tmp/way"
ox -C "$tmp/way" branch x
ox branch x/y
json 1 copy "$tmp/way"
is "d['error']['code'] == 'ref-conflict'"
ox branch -d x/y

# Media that may only be read.
chmod -R a-w .
if [ "$(id -u)" != 0 ] || ! touch probe 2>/dev/null; then
        ox copy "$tmp/of-read-only"
        ox -C "$tmp/of-read-only" fsck
else
        not_tried "copy of folders without write permission" "root may write to them"
fi
chmod -R u+w .
rm -f probe
mkdir "$tmp/mnt"
if mount --bind "$work" "$tmp/mnt" 2>/dev/null && mount -o remount,ro,bind "$tmp/mnt" 2>/dev/null; then
        status=0
        "$OXEN_LITE" -C "$tmp/mnt" copy "$tmp/of-mount" >"$tmp/out" 2>"$tmp/err" || status=$?
        umount "$tmp/mnt"
        [ "$status" -eq 0 ] || {
                show
                fail "a read-only mount is no source"
        }
        ox -C "$tmp/of-mount" fsck
else
        umount "$tmp/mnt" 2>/dev/null || true
        not_tried "copy of a read-only mount" "mount --bind is not allowed here"
fi

# A full disk there: an error that names it, nothing half there; with room, the same command completes.
mkdir "$tmp/disk"
if mount -t tmpfs -o size=12m none "$tmp/disk" 2>/dev/null; then
        head -c 6000000 /dev/urandom >huge
        ox add huge
        ox commit -m huge
        json 1 copy "$tmp/disk/copy"
        is "d['error']['errno'] == 'ENOSPC'" "d['error']['paths'][0].startswith('$tmp/disk/copy/.oxen-lite/')"
        ox 1 copy "$tmp/disk/copy"
        silent_out
        err_has "the disk is full"
        ox -C "$tmp/disk/copy" fsck
        same "$(find "$tmp/disk" -name '*.tmp' | wc -l)" 0 "temps on the full disk"
        head -c 64m /dev/zero >"$tmp/disk/fill" 2>/dev/null || true
        json 1 copy "$tmp/disk/second"
        is "d['error']['errno'] == 'ENOSPC'" "d['error']['paths'][0].startswith('$tmp/disk/second')" \
                "'.tmp' not in d['error']['paths'][0]"
        rm "$tmp/disk/fill"
        mount -o remount,size=64m "$tmp/disk"
        ox copy "$tmp/disk/copy"
        ox -C "$tmp/disk/copy" fsck
        ox -C "$tmp/disk/copy" restore .
        same_tree . "$tmp/disk/copy"
        umount "$tmp/disk"
else
        not_tried "copy to a full disk" "cannot mount a tmpfs here"
fi
rmdir "$tmp/disk" 2>/dev/null || true
