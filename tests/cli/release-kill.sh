#!/bin/sh
# SPDX-License-Identifier: MIT
# SIGKILL at every file-changing system call of init, config, add, commit, commit -a, restore and recover of a small tree: after
# recovery fsck is clean, an acknowledged commit is there, one that was not is whole or absent, no temp is left, and the next command
# works. recover meets commits that were killed at one of their renames and is killed at every fourth of its
# calls (OXL_DEEP=1: every one), and init at every second.
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
deep=0
[ "${OXL_DEEP-}" != 1 ] || deep=1
begin=1
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

# Nothing before the first commit.
head_id() {
        [ ! -e .oxen-lite/refs/heads/main ] || head -n 1 .oxen-lite/refs/heads/main
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
                case $1 in restore | commit-a | recover-*) ;; *) diff -r --no-dereference -x .oxen-lite . "$here/copy" ;; esac ||
                        fail "$1 killed at $2: the commit is not whole"
        fi
}

# After a killed init there is a repository, or init makes one. What it was building is swept by the next one, unless its `locks`, which
# says who died, has no name yet: then it is all but empty (lib/repo/init.c).
again() {
        [ -d .oxen-lite ] || "$OXEN_LITE" init --quiet . || fail "init killed at $n: init failed"
        for left in .oxen-lite.oxl-*.tmp; do
                [ ! -d "$left" ] || [ -e "$left/locks" ] || rm -f "$left"/locks.oxl-*.tmp
                [ ! -d "$left" ] || [ -e "$left/locks" ] || rmdir "$left" || fail "init killed at $n: $left is not empty"
        done
}

# run WHAT FROM STRIDE COMMAND...: a fresh copy of FROM for every kill.
run() {
        what=$1 from=$2 stride=$3
        shift 3
        n=$((begin - stride)) kills=0
        while :; do
                n=$((n + stride))
                rm -rf "$here/work"
                cp -a "$here/$from" "$here/work"
                cd "$here/work"
                if "$killat" "$n" "$OXEN_LITE" "$@" >"$here/out" 2>"$here/err" 3>"$here/how"; then
                        kills=$((kills + 1))
                        [ "$what" != init ] || again
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
        [ "$n" -ge 10 ] || fail "$what: only $n calls were seen"
        echo "release-kill: $what: killed at $kills of its calls, all sound"
}

mkdir "$here/nothing"
old=
run init nothing "$((deep ? 1 : 2))" init --quiet .
cd "$here/one"
old=$(head_id)
run config one 1 config user.name Ada
run add changed 1 add -A .
run commit staged 1 commit -m two
run commit-a changed 1 commit -a -m two
run restore changed 1 restore --force --source HEAD .

# commit -a, killed at each of its renames, for recover to be killed in.
k=0
while :; do
        k=$((k + 1))
        rm -rf "$here/killed"
        cp -a "$here/changed" "$here/killed"
        cd "$here/killed"
        "$killat" "$k" "$OXEN_LITE" commit -a -m two >/dev/null 2>&1 3>"$here/how" || break
        grep -q ' rename' "$here/how" || continue
        begin=$((deep ? 1 : 1 + k % 4))
        run "recover-$k" killed "$((deep ? 1 : 4))" recover
done
