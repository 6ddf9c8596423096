#!/bin/sh
# SPDX-License-Identifier: MIT
# SIGKILL at every file-changing system call of one fsck --repair that heals a loose blob, a damaged pack, HEAD, a ref, the config and
# the index (every third without OXL_DEEP=1): afterwards recover works, another fsck --repair completes, the content is what it was, and nothing is left in the way.
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
killat=$BUILDDIR/tests/killat
export OXEN_LITE_AUTHOR="Test <test@example.org>"

fail() {
        echo "release-kill-repair: $*" >&2
        exit 1
}

flip() {
        python3 -c 'import os, sys
path, at = sys.argv[1], int(sys.argv[2])
data = bytearray(open(path, "rb").read())
data[at] ^= 1
os.unlink(path)
open(path, "wb").write(data)' "$1" "$2"
}

mkdir "$here/bad"
cd "$here/bad"
"$OXEN_LITE" init --quiet .
"$OXEN_LITE" config pack_threshold 65536 >/dev/null
mkdir sub
echo first >sub/a
echo second >b
head -c 100000 /dev/zero | tr '\0' x >large
"$OXEN_LITE" add -A . 2>/dev/null
"$OXEN_LITE" commit -m one >/dev/null
echo third >b
"$OXEN_LITE" commit -a -m two >/dev/null
echo staged >staged
"$OXEN_LITE" add staged 2>/dev/null
cp -a "$here/bad" "$here/good"
flip "$(find .oxen-lite/versions/files -name data | head -n 1)" 100
# shellcheck disable=SC2012  # names of packs are hex
flip "$(ls -S .oxen-lite/versions/packs/*.pack | head -n 1)" 20
flip .oxen-lite/HEAD 7
flip .oxen-lite/refs/heads/main 3
rm .oxen-lite/config.json
flip .oxen-lite/index 20

n=0 step=3 kills=0
[ "${OXL_DEEP-}" != 1 ] || step=1
while :; do
        n=$((n + step))
        rm -rf "$here/work"
        cp -a "$here/bad" "$here/work"
        cd "$here/work"
        "$killat" "$n" "$OXEN_LITE" fsck --repair --force >"$here/out" 2>"$here/err" 3>"$here/how" || break
        kills=$((kills + 1))
        # what is damaged still may keep recovery from its work; repair is the way out then
        "$OXEN_LITE" recover >"$here/recovered" 2>&1 || true
        status=0
        "$OXEN_LITE" fsck --repair --force >"$here/again" 2>&1 || status=$?
        [ "$status" -le 1 ] || fail "killed at $n ($(cat "$here/how")): repair ended with $status: $(cat "$here/again")"
        "$OXEN_LITE" recover >"$here/recovered" 2>&1 || fail "killed at $n: recover: $(cat "$here/recovered")"
        "$OXEN_LITE" fsck >"$here/fsck" 2>&1 || fail "killed at $n: fsck: $(cat "$here/fsck")"
        [ -z "$(find .oxen-lite -name '*.oxl-*.tmp' -o -name build)" ] || fail "killed at $n: left $(find .oxen-lite -name '*.tmp' -o -name build)"
        rm -rf "$here/copy"
        "$OXEN_LITE" restore --to "$here/copy" . >/dev/null 2>&1 || fail "killed at $n: restore failed"
        diff -r -x .oxen-lite -x staged "$here/good" "$here/copy" || fail "killed at $n: the content differs"
        "$OXEN_LITE" status | grep -q 'added *staged' || fail "killed at $n: the staged file is not staged any more"
        "$OXEN_LITE" commit -m again >/dev/null 2>&1 || fail "killed at $n: commit failed afterwards"
done
grep -q "^ended 1 " "$here/how" || fail "$(cat "$here/how" "$here/out" "$here/err")"
[ "$n" -gt 50 ] || fail "only $n calls were seen"
echo "release-kill-repair: killed at $kills of its calls, all completed"
