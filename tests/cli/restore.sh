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
# Damage is never handed out.
fsck_clean
