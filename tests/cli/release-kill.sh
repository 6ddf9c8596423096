#!/bin/sh
# SPDX-License-Identifier: MIT
# SIGKILL at every file-changing system call of add, commit, commit -a and restore of a small tree: after recovery fsck is clean, an
# acknowledged commit is there, one that was not is whole or absent, no temp is left, and the next command works.
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
killat=$BUILDDIR/tests/killat
reader=$SRCDIR/tests/check/read_repository.py
export OXEN_LITE_AUTHOR="Test <test@example.org>"

fail() {
        echo "release-kill: $*" >&2
        exit 1
}

# A committed tree with a packed, a loose, an empty and an executable file, a symlink and a folder; then changes to all of it.
mkdir "$here/one"
cd "$here/one"
"$OXEN_LITE" init --quiet .
"$OXEN_LITE" config pack_threshold 65536 >/dev/null
mkdir sub
echo first >sub/a
echo second >b
: >empty
head -c 100000 /dev/zero | tr '\0' x >large
printf '#!/bin/sh\n' >tool
chmod +x tool
ln -s sub/a link
"$OXEN_LITE" add -A . 2>/dev/null
"$OXEN_LITE" commit -m one >/dev/null
old=$("$OXEN_LITE" log -n 1 --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["commits"][0]["id"])')
cp -a "$here/one" "$here/changed"
cd "$here/changed"
echo changed >b
head -c 100000 /dev/zero | tr '\0' y >large
rm -r sub link
mkdir deep deep/er
echo new >deep/er/file
cp -a "$here/changed" "$here/staged"
cd "$here/staged"
"$OXEN_LITE" add -A . 2>/dev/null

head_id() {
        "$OXEN_LITE" log -n 1 --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["commits"][0]["id"])'
}

# after WHAT N: the state that a kill left must be sound.
after() {
        "$OXEN_LITE" recover >"$here/recovered" 2>&1 || fail "$1 killed at $2: recover failed: $(cat "$here/recovered")"
        "$OXEN_LITE" fsck >"$here/fsck" 2>&1 || fail "$1 killed at $2: fsck: $(cat "$here/fsck")"
        left=$(find . -name '*.oxl-*.tmp' | head -n 3)
        [ -z "$left" ] || fail "$1 killed at $2: left $left"
        now=$(head_id)
        if grep -q '^\[main ' "$here/out"; then
                [ "$now" != "$old" ] || fail "$1 killed at $2: acknowledged, but gone"
        fi
        if [ "$now" != "$old" ]; then
                rm -rf "$here/copy"
                "$OXEN_LITE" restore --to "$here/copy" . >/dev/null 2>&1 || fail "$1 killed at $2: restore failed"
                [ "$1" = restore ] || [ "$1" = commit-a ] || diff -r --no-dereference -x .oxen-lite . "$here/copy" ||
                        fail "$1 killed at $2: the commit is not whole"
        fi
}

# run WHAT FROM COMMAND...: a fresh copy of FROM for every kill.
run() {
        what=$1
        from=$2
        shift 2
        n=0
        while :; do
                n=$((n + 1))
                rm -rf "$here/work"
                cp -a "$here/$from" "$here/work"
                cd "$here/work"
                if "$killat" "$n" "$OXEN_LITE" "$@" >"$here/out" 2>"$here/err" 3>"$here/how"; then
                        after "$what" "$n"
                        [ $((n % 10)) -ne 0 ] || python3 "$reader" . >"$here/reader" || fail "$what $n: $(cat "$here/reader")"
                else
                        break
                fi
                "$OXEN_LITE" add -A . >/dev/null 2>&1 || fail "$what killed at $n: add failed afterwards"
                "$OXEN_LITE" commit -m again --allow-empty >/dev/null 2>&1 || fail "$what killed at $n: commit failed afterwards"
                "$OXEN_LITE" fsck >"$here/fsck" 2>&1 || fail "$what killed at $n: fsck after the next commit: $(cat "$here/fsck")"
        done
        grep -q '^ended 0 ' "$here/how" || fail "$what: $(cat "$here/how" "$here/err")"
        [ "$n" -gt 10 ] || fail "$what: only $n calls were seen"
        echo "release-kill: $what: killed at each of $((n - 1)) calls, all sound"
}

run add changed add -A .
run commit staged commit -m two
run commit-a changed commit -a -m two
run restore changed restore --force --source HEAD .
