#!/bin/sh
# SPDX-License-Identifier: MIT
# SIGKILL at file-changing system calls (every fifth, beginning anywhere; with OXL_DEEP=1 each) of switch, undo, rm, tag, branch, branch -d
# and restore --staged: after recovery the operation is done or
# not begun, in the working tree, the index and the refs alike; fsck is clean, no temp is left, and the same operation works.
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
step=5
[ "${OXL_DEEP:-0}" != 1 ] || step=1
killat=$BUILDDIR/tests/killat
reader=$SRCDIR/tests/check/read_repository.py
export OXEN_LITE_AUTHOR="Test <test@example.org>"

fail() {
        echo "release-kill-verbs: $*" >&2
        exit 1
}
ox() {
        "$OXEN_LITE" --quiet "$@"
}

# Two branches that differ in content, kinds, and which names are folders; and refs that can go.
mkdir "$here/main"
cd "$here/main"
ox init .
ox config pack_threshold 65536
rm .oxen-lite/reserve # copying it is most of the time
mkdir -p gone/deep turn
echo first >a
echo same >same
echo d >gone/deep/d
echo t >turn/t
echo f >file
ln -s a link
ox add -A .
ox commit -m one >/dev/null
ox branch spare
ox switch -c topic
echo second >a
rm -r gone turn file
mkdir -p file new/deep
echo x >file/x
echo n >new/deep/n
echo turned >turn
head -c 70000 /dev/zero | tr '\0' y >large
ox add -A .
ox commit -m two >/dev/null
cp -a "$here/main" "$here/topic"
ox switch main
cp -a "$here/main" "$here/switched"
cd "$here/topic"
echo three >a
echo more >same
echo new >untracked
ox add a
cp -a "$here/topic" "$here/staged"
ox commit -a -m three >/dev/null
cp -a "$here/topic" "$here/committed"
ox rm gone 2>/dev/null || ox rm new file
cp -a "$here/topic" "$here/removed"

# What an operation is about: HEAD, refs, what is staged and changed, and all files.
state() {
        {
                ox branch
                ox tag
                ox --json status | python3 -c 'import json,sys; d = json.load(sys.stdin)
for k in ("branch", "commit", "staged", "changed", "removed", "untracked"): print(k, d[k])'
                find . -name .oxen-lite -prune -o \( -type f -exec cksum {} + \) -o -printf '%p %y %l\n' | sort
        } >"$1"
}

# run WHAT FROM COMMAND...: a fresh copy of FROM for every kill.
run() {
        what=$1
        from=$2
        shift 2
        rm -rf "$here/work"
        cp -a "$here/$from" "$here/work"
        cd "$here/work"
        state "$here/before"
        ox "$@" >/dev/null 2>&1 || fail "$what: failed without a kill"
        state "$here/after"
        ! cmp -s "$here/before" "$here/after" || fail "$what: changes nothing"
        n=$((${OXL_SEED:-$$} % step + 1 - step)) done=0 kills=-1
        while :; do
                n=$((n + step)) kills=$((kills + 1))
                rm -rf "$here/work"
                cp -a "$here/$from" "$here/work"
                cd "$here/work"
                "$killat" "$n" "$OXEN_LITE" --quiet "$@" >"$here/out" 2>"$here/err" 3>"$here/how" || break
                ox recover >"$here/recovered" 2>&1 || fail "$what killed at $n: recover failed: $(cat "$here/recovered")"
                ox fsck >"$here/fsck" 2>&1 || fail "$what killed at $n: fsck: $(cat "$here/fsck")"
                left=$(find . -name '*.oxl-*.tmp' | head -n 3)
                [ -z "$left" ] || fail "$what killed at $n: left $left"
                state "$here/now"
                if cmp -s "$here/now" "$here/after"; then
                        done=$((done + 1))
                else
                        diff "$here/before" "$here/now" || fail "$what killed at $n: neither done nor undone"
                        ox "$@" >"$here/again" 2>&1 || fail "$what killed at $n: fails afterwards: $(cat "$here/again")"
                        state "$here/now"
                        diff "$here/after" "$here/now" || fail "$what killed at $n: differs when done again"
                fi
                [ $((kills % 10)) -ne 0 ] || python3 "$reader" . >"$here/reader" || fail "$what $n: $(cat "$here/reader")"
        done
        grep -q '^ended 0 ' "$here/how" || fail "$what: $(cat "$here/how" "$here/err")"
        [ "$n" -gt 5 ] || fail "$what: only $n calls were seen"
        echo "release-kill-verbs: $what: killed at $kills calls, all sound, $done done by recovery"
}

run switch switched switch topic
run "undo of switch" switched undo
run "branch -d" committed branch -d spare
run "undo of commit" committed undo
run rm committed rm a file new
run "undo of rm" removed undo
run "restore --staged" staged restore --staged a
run tag committed tag v1
run branch committed branch fresh
