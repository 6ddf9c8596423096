#!/bin/sh
# SPDX-License-Identifier: MIT
# A tmpfs that is full from the Nth file-changing call of add, commit, commit -a, restore, recover and fsck --repair on, for every third N
# (repair: ninth; every N with OXL_DEEP=1): a typed error or success, nothing half, everything can still be read; with space again,
# everything works.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

own_mounts
killat=$BUILDDIR/tests/killat
disk=$tmp/disk
export disk tmp
stride=3
[ "${OXL_DEEP-}" != 1 ] || stride=1
mkdir "$disk"
mount -t tmpfs -o size=64m tmpfs "$disk" || {
        echo "skipped: cannot mount a tmpfs"
        exit 77
}

cat >"$tmp/fill" <<'HOOK'
set -eu
[ "$1" -ne "$at" ] || mount -o "remount,size=$(df -k --output=used "$disk" | tail -n 1 | tr -dc 0-9)k" tmpfs "$disk"
HOOK

# A commit, then changes to a packed, a loose and a removed file.
mkdir "$tmp/one"
cd "$tmp/one"
ox init
ox config pack_threshold 65536
mkdir sub
echo first >sub/a
echo first >b
echo first >gone
head -c 100000 /dev/zero | tr '\0' x >large
ox add -A
ox commit -m one
cp -a "$tmp/one" "$tmp/changed"
cd "$tmp/changed"
echo second >b
echo second >sub/new
rm gone
head -c 200000 /dev/zero | tr '\0' y >large
cp -a "$tmp/changed" "$tmp/staged"
cd "$tmp/staged"
ox add -A
# A commit that was killed before its second rename: recover has work.
cp -a "$tmp/changed" "$tmp/killed"
cd "$tmp/killed"
k=0 renames=0
while [ "$renames" -lt 2 ]; do
        k=$((k + 1))
        rm -rf "$tmp/killed"
        cp -a "$tmp/changed" "$tmp/killed"
        cd "$tmp/killed"
        "$killat" "$k" "$OXEN_LITE" commit -a -m two >"$tmp/out" 2>"$tmp/err" 3>"$tmp/how" || fail "commit -a has fewer than 2 renames"
        ! grep -q ' rename' "$tmp/how" || [ ! -e "$tmp/killed/.oxen-lite/journal.db-wal" ] || renames=$((renames + 1))
done
# Damage that repair heals: a loose blob (from the working tree), a pack, a ref and the index.
cp -a "$tmp/one" "$tmp/damaged"
cd "$tmp/damaged/.oxen-lite"
python3 - "$(find versions/files -name data)" versions/packs/*.pack refs/heads/main index <<'PYTHON'
import os, sys
for path in sys.argv[1:]:
    data = bytearray(open(path, "rb").read())
    data[len(data) // 3] ^= 1
    os.unlink(path)
    open(path, "wb").write(data)
PYTHON
cp -a "$tmp/changed" "$tmp/restored"
cp -a "$tmp/one/sub/a" "$tmp/restored/sub/a"
cp -a "$tmp/one/b" "$tmp/one/gone" "$tmp/one/large" "$tmp/restored/"

commits() {
        "$OXEN_LITE" log --json | grep -c '"message"'
}

# full WHAT FROM COMMAND...: N goes up to the number of calls that the command makes where there is room; that run is the first.
full() {
        what=$1 from=$2
        shift 2
        at=0 total=0 refused=0 worked=0
        export at
        while [ "$at" -le "$total" ]; do
                cd /
                mount -o remount,size=64m tmpfs "$disk"
                rm -rf "$disk/r" "$disk/copy"
                cp -a "$tmp/$from" "$disk/r"
                cd "$disk/r"
                : >"$tmp/how"
                "$killat" -e "$tmp/fill" "$OXEN_LITE" "$@" >"$tmp/out" 2>"$tmp/err" 3>"$tmp/how" || true
                read -r ended status calls <"$tmp/how" || fail "$what, full at $at: $(cat "$tmp/err")"
                first=$status
                [ "$at" -gt 0 ] || total=$calls
                case $what-$ended-$status in
                repair-ended-[01]) worked=$((worked + 1)) ;;
                repair-ended-*)
                        refused=$((refused + 1))
                        [ $((status & ~13)) -eq 0 ] || fail "repair, full at $at: exit $status: $(cat "$tmp/err")"
                        ;;
                *-ended-0) worked=$((worked + 1)) ;;
                *-ended-1)
                        refused=$((refused + 1))
                        grep -q '\[[a-z-]*\]$' "$tmp/err" || fail "$what, full at $at: no typed error: $(cat "$tmp/err")"
                        out_lacks '[main '
                        ;;
                *) fail "$what, full at $at: $ended $status: $(cat "$tmp/err")" ;;
                esac
                after
                at=$((at > 0 ? at + stride : 1))
        done
        [ "$refused" -gt 2 ] || fail "$what: only $refused runs met the end of the disk"
        echo "release-full: $what: $refused refused, $worked went through, of $total calls"
}

after() {
        said=$(cat "$tmp/err")
        if [ "$what" = repair ]; then
                mount -o remount,size=64m tmpfs "$disk"
                status=0
                "$OXEN_LITE" fsck --repair --force >"$tmp/out" 2>"$tmp/err" || status=$?
                [ "$status" -le 1 ] || fail "$what, full at $at ($said): the next repair: $(cat "$tmp/out" "$tmp/err")"
        else
                run 0 "$OXEN_LITE" log
                run 0 "$OXEN_LITE" status
                mount -o remount,size=64m tmpfs "$disk"
        fi
        "$OXEN_LITE" recover >"$tmp/out" 2>"$tmp/err" || fail "$what, full at $at ($said): recover: $(cat "$tmp/err")"
        "$OXEN_LITE" fsck >"$tmp/out" 2>"$tmp/err" || fail "$what, full at $at ($said): fsck: $(cat "$tmp/out" "$tmp/err")"
        left=$(find . -name '*.oxl-*.tmp')
        [ -z "$left" ] || fail "$what, full at $at ($said): left $left"
        case $what-$first-$(commits) in
        commit*-0-2 | add-?-1 | restore-?-1 | recover-?-2 | repair-*-1) ;;
        commit*-1-[12]) ;;
        *) fail "$what, full at $at: exit $first and $(commits) commits" ;;
        esac
        if [ "$what" = restore ]; then
                want=restored
                [ "$first" -eq 0 ] || diff -r -x .oxen-lite "$tmp/$want" . >"$tmp/diff" || want=changed
        else
                want=$from
        fi
        diff -r -x .oxen-lite "$tmp/$want" . >"$tmp/diff" || fail "$what, full at $at ($said): $(cat "$tmp/diff")"
        ox add -A
        ox commit -m again --allow-empty
        ox fsck
        ox restore --to "$disk/copy"
        diff -r -x .oxen-lite . "$disk/copy" >"$tmp/diff" || fail "$what, full at $at: the next commit: $(cat "$tmp/diff")"
}

full add changed add -A
full commit staged commit -m two
full commit-a changed commit -a -m two
full restore changed restore --force --source HEAD .
full recover killed recover
stride=$((3 * stride))
[ "${OXL_DEEP-}" != 1 ] || stride=1
full repair damaged fsck --repair --force
