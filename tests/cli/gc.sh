#!/bin/sh
# SPDX-License-Identifier: MIT
# gc: what is needed stays, what is not goes to trash and comes back; emptying asks; many commits leave few packs.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

ox init
ox gc
out_is "moved 0 files, 0 bytes; 0 packs"
printf 'one\n' >a
ox add a
ox commit -m one
ox config pack_threshold 65536
head -c 100000 /dev/zero | tr '\0' x >large
printf 'small\n' >small
ox add large small
ox rm --cached large small

# For 90 days undo may need it.
ox gc
out_has "moved 0 files"
ox config gc.keep_days 0
ox gc --dry-run
out_has "move     versions/packs/"
out_has "would move 2 files, "
[ "$(find .oxen-lite/trash -type f | wc -l)" -eq 0 ] || fail "a dry run moved something"
json gc
is "len(d['items']) == 2" "d['packs']['files'] == '1' and d['blobs'] == {'files': '1', 'bytes': '100000'}" \
        "d['waits']['files'] == '2'" "d['dry_run'] is False" "d['trash']"
id=$(ls .oxen-lite/trash)
fsck_clean
ox cat HEAD:a
out_is one
ox op log -n 1
out_has "2 files to trash  [cannot be undone]"
ox 1 undo
err_has "gc has put aside what it needs"

# Back.
ox 1 gc --undo 20000101T000000-00000000
err_has "[trash-not-found]"
json gc --undo "$id"
is "d['back']['files'] == '2'" "len(d['items']) == 2"
fsck_clean
[ ! -e ".oxen-lite/trash/$id" ] || fail "its folder is still there"
ox undo # gc, gc --undo and the setting moved nothing that it takes back
out_has "(rm)"
ox undo
out_has "(undo)"

# For good.
ox gc
out_has "2 files, "
out_has "brings them back"
ox 2 gc --empty-trash </dev/null
err_has "add --force where nobody can be asked"
ox 2 gc --empty-trash --dry-run
ox 2 gc --force
json gc --empty-trash --force
is "d['freed']['files'] == '2'" "all(i['action'] == 'delete' for i in d['items'])"
ox gc --empty-trash
out_is "trash is empty"

# A file in trash is damaged: it stays there and is named, the other one comes back.
ox add large small
ox rm --cached large small
ox gc
id=$(ls .oxen-lite/trash)
blob=$(find .oxen-lite/trash -name data)
chmod u+w "$blob"
printf y | dd of="$blob" bs=1 seek=1000 conv=notrunc 2>/dev/null
json 1 gc --undo "$id"
is "d['back']['files'] == '1'" "sorted(i['action'] for i in d['items']) == ['back', 'damaged']"
[ -e "$blob" ] || fail "the damaged file is not in trash any more"
fsck_clean
ox gc
ox gc --empty-trash --force
out_has "deleted 2 files"
fsck_clean

# What is needed cannot be read: nothing moves.
ox add large
ox rm --cached large
cp -a .oxen-lite "$tmp/kept"
printf 'x\n' >.oxen-lite/refs/heads/other
ox 3 gc
err_has "gc moves nothing unless it can read everything that is needed"
json 3 gc
is "d['error']['code'] == 'malformed'"
rm .oxen-lite/refs/heads/other
[ -z "$(ls .oxen-lite/trash)" ] || fail "something moved"

# Many commits, few packs; each operation before them can still be undone.
ox config gc.keep_days 90
i=0
while [ $i -lt 70 ]; do
        i=$((i + 1))
        printf '%s\n' $i >"f$i"
        ox add "f$i"
        ox commit -m "$i"
done
packs=$(find .oxen-lite/versions/packs -name '*.pack' | wc -l)
[ "$packs" -le 40 ] || fail "$packs packs"
json gc
is "int(d['packs_after']) <= 30" "d['blobs']['files'] == '0'"
fsck_clean
i=0
while [ $i -lt 70 ]; do
        i=$((i + 1))
        [ "$("$OXEN_LITE" cat "HEAD~$((70 - i)):f$i")" = $i ] || fail "f$i"
done
ox undo
ox undo
ox status
fsck_clean
