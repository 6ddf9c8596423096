#!/bin/sh
# SPDX-License-Identifier: MIT
# Restore: refuses local changes, --force keeps them as blobs, --to, --source; modes, links, holes, empty files.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

ox init
printf 'one\n' >f
printf '#!/bin/sh\n' >x
chmod 755 x
ln -s f link
ln -s /nowhere/at/all dangling
: >empty
mkdir d
printf 'in d\n' >d/g
python3 - <<'PYTHON'
with open("sparse", "wb") as f:
    f.truncate(64 << 20)
    f.seek(10 << 20)
    f.write(b"island")
PYTHON
ox add -A
ox commit -m one
first=$(sed -n 's/^\[main \([0-9a-f]*\)\].*/\1/p' "$tmp/out")
cp -a "$work" "$tmp/one"

# Missing files come back, whole and with their bit.
rm -rf f x link dangling empty d sparse
ox restore .
same_tree "$tmp/one" "$work"
ox status
out_has clean
same "$(stat -c %a x)" 755 "mode of x"
same "$(stat -c %a f)" 644 "mode of f"
same "$(readlink dangling)" /nowhere/at/all "target of dangling"
[ "$(du -k sparse | cut -f1)" -lt 32768 ] || fail "the holes of 'sparse' are filled: $(du -k sparse)"

# Local changes are refused as a whole.
printf 'mine\n' >f
rm d/g
ox 1 restore f d
err_has "'f' has changes that are not committed [path-modified]"
[ ! -e d/g ] || fail "something was restored before the refusal"
same "$(cat f)" mine "the changed file"
ox restore d
printf 'mine\n' | cmp - f || fail "restore d touched f"

# --force stores them first.
ox restore --force f
err_has "f"
out_has "kept the content of 1"
same "$(cat f)" one "the restored file"
if command -v b3sum >/dev/null; then
        id=$(printf 'mine\n' | b3sum --no-names)
        err_has "$(printf %.12s "$id")"
else
        not_tried "the id of kept content" "no b3sum here"
fi

# A changed link, a changed bit, a folder in the way.
chmod -x x
ox 1 restore x
ox restore --force x
same "$(stat -c %a x)" 755 "mode of x"
rm link
ln -s elsewhere link
ox 1 restore link
ox restore --force link
same "$(readlink link)" f "target of link"
rm f
mkdir f
printf 'precious\n' >f/inside
status=0
"$OXEN_LITE" restore --force f >"$tmp/out" 2>"$tmp/err" || status=$?
[ "$status" -ne 0 ] || [ -f f ] || fail "restore over a folder: exit 0, but no file"
[ "$status" -eq 0 ] || grep -q precious f/inside || fail "what was in the folder is gone"
rm -rf f
ox restore f

# Nothing is written through a link that replaced a folder.
mkdir "$tmp/outside"
rm -r d
ln -s "$tmp/outside" d
status=0
"$OXEN_LITE" restore d/g >"$tmp/out" 2>"$tmp/err" || status=$?
[ ! -e "$tmp/outside/g" ] || fail "restore wrote through a link, outside of the working tree"
rm -f d
ox restore d

# --source.
printf 'two\n' >f
ox commit -am two
ox restore --source "$first" f
same "$(cat f)" one "f from the first commit"
ox status
out_has "changed:"
ox restore --force --source HEAD f
same "$(cat f)" two "f from HEAD"
ox 1 restore --source HEAD nothing
err_has "[path-not-found]"
ox 1 restore --source nosuch f

# --to.
ox restore --to "$tmp/to" --source HEAD~1
same_tree "$tmp/one" "$tmp/to"
ox restore --to "$tmp/part" d
[ -f "$tmp/part/d/g" ] || fail "restore --to with a path"
[ ! -e "$tmp/part/f" ] || fail "restore --to brought more than asked"
printf 'there\n' >"$tmp/part/d/g"
ox 1 restore --to "$tmp/part" d
err_has "[path-modified]"
same "$(cat "$tmp/part/d/g")" there "a file of somebody else below --to"
ox 2 restore

# Damage is never handed out: of a loose blob (its last byte, after much that is good) and of a record in a pack. Both are named, no
# file and no temp of them appears, and all else comes back.
mkdir "$tmp/damaged"
cd "$tmp/damaged"
ox init .
ox config pack_threshold 100000
mkdir d
python3 -c 'open("loose", "wb").write(b"x" * 5000000 + b"the end")'
printf 'only in a pack\n' >d/packed
printf 'whole\n' >d/whole
python3 -c 'open("large", "wb").write(b"y" * 200000)'
ox add -A
ox commit -m three
cp -a . "$tmp/sound"
ox cat HEAD:loose
cmp "$tmp/out" loose || fail "cat of what is sound"
python3 - 'the end' 'only in a pack' <<'PYTHON' || fail "nothing was damaged"
import glob, os, sys
hit = 0
for path in glob.glob(".oxen-lite/versions/files/*/*/data") + glob.glob(".oxen-lite/versions/packs/*.pack"):
    data = bytearray(open(path, "rb").read())
    for text in sys.argv[1:]:
        at = data.find(text.encode())
        if at >= 0:
            data[at + len(text) - 1] ^= 1
            os.chmod(path, 0o644)
            open(path, "r+b").write(data)
            hit += 1
assert hit == 2, hit
PYTHON
# named FILE...: the last command told of the damage to these, and where it lies
named() {
        for name in "$@"; do
                err_has "'$name': not restored: its content is damaged or missing in the store"
        done
        err_has "is damaged: should hash to"
        err_has "[object-corrupt]"
}
# rest FOLDER: it has what is whole, and nothing of what is damaged
rest() {
        (cd "$1" && find . -name .oxen-lite -prune -o -type f -print | sort) >"$tmp/files"
        printf '%s\n' ./d/whole ./large | diff - "$tmp/files" >&2 || fail "not what is whole: $1"
        cmp "$tmp/sound/d/whole" "$1/d/whole" || fail "d/whole"
        cmp "$tmp/sound/large" "$1/large" || fail "large"
        left=$(find "$1" .oxen-lite -name '*.oxl-*')
        [ -z "$left" ] || fail "left behind: $left"
}
for file in loose d/packed; do
        ox 3 cat "HEAD:$file"
        silent_out
        err_has "is damaged: should hash to"
done
err_has "versions/packs/"
rm -r loose large d
ox 3 restore .
named loose d/packed
rest .
ox 3 restore --to "$tmp/to-damaged" .
named loose d/packed
rest "$tmp/to-damaged"
# What lies there already is not replaced by damage either.
printf 'mine\n' >loose
ox 3 restore --force loose
err_has "'loose': not restored"
same "$(cat loose)" mine "a file that damage would have replaced"
cd "$work"
fsck_clean
