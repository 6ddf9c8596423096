#!/bin/sh
# SPDX-License-Identifier: MIT
# SIGKILL at every sixth file-changing system call of a copy to a new folder, and of one that brings an earlier copy up to date and
# heals it (OXL_DEEP=1: every one): what is there is sound, the source is untouched, and the next copy completes it.
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
stride=6
[ "${OXL_DEEP-}" != 1 ] || stride=1
killat=$BUILDDIR/tests/killat
reader=$SRCDIR/tests/check/read_repository.py
export OXEN_LITE_AUTHOR="Test <test@example.org>"

fail() {
        echo "release-kill-copy: $*" >&2
        exit 1
}

mkdir "$here/source" "$here/nothing"
cd "$here/source"
"$OXEN_LITE" init --quiet .
"$OXEN_LITE" config pack_threshold 65536 >/dev/null
mkdir sub
echo first >sub/a
head -c 100000 /dev/zero | tr '\0' x >large
"$OXEN_LITE" add -A . >/dev/null 2>&1
"$OXEN_LITE" commit -m one >/dev/null
"$OXEN_LITE" copy "$here/earlier/copy" >/dev/null
"$OXEN_LITE" tag v1 >/dev/null
"$OXEN_LITE" switch -c other >/dev/null
echo second >b
head -c 100000 /dev/zero | tr '\0' y >large
"$OXEN_LITE" add -A . >/dev/null 2>&1
"$OXEN_LITE" commit -m two >/dev/null
# One damaged file there, which a copy heals.
bad=$(find "$here/earlier/copy/.oxen-lite/versions/files" -name data | head -n 1)
chmod u+w "$bad"
printf damaged | dd of="$bad" bs=1 seek=1000 conv=notrunc 2>/dev/null
main=$(head -n 1 .oxen-lite/refs/heads/main)
other=$(head -n 1 .oxen-lite/refs/heads/other)
find . -type f | sort | xargs sha256sum >"$here/before"

# only_old_damage: every finding in $here/fsck is of the file that was damaged before, and that file is as it was
only_old_damage() {
        cmp -s "$bad" "$here/work/copy/${bad#"$here/earlier/copy/"}" || return 1
        python3 - "$here/fsck" "${bad#"$here/earlier/copy/.oxen-lite/"}" <<'END'
import json, sys
found = json.load(open(sys.argv[1]))["findings"]
assert found and all(f["path"] == sys.argv[2] and f["slug"] in ("blob-damaged", "blob-missing") for f in found), found
END
}

# sound N WHAT: what a kill left at $here/work/copy
sound() {
        [ -d "$here/work/copy/.oxen-lite" ] || return 0
        "$OXEN_LITE" -C "$here/work/copy" recover >"$here/recovered" 2>&1 || fail "$2 killed at $1: recover: $(cat "$here/recovered")"
        # Damage that was there and is not healed yet is no fault of the kill; any other is.
        status=0
        "$OXEN_LITE" --json -C "$here/work/copy" fsck >"$here/fsck" 2>&1 || status=$?
        case $2:$status in
        *:0) ;;
        again:4) only_old_damage || fail "$2 killed at $1: fsck finds more than was there: $(cat "$here/fsck")" ;;
        *) fail "$2 killed at $1: fsck: $(cat "$here/fsck")" ;;
        esac
        left=$(find "$here/work/copy/.oxen-lite" -name '*.oxl-*.tmp' | head -n 3)
        [ -z "$left" ] || fail "$2 killed at $1: left $left"
}

# whole N WHAT: after the next copy
whole() {
        cd "$here/source"
        "$OXEN_LITE" copy "$here/work/copy" >"$here/out" 2>&1 || fail "$2 killed at $1: the next copy: $(cat "$here/out")"
        "$OXEN_LITE" -C "$here/work/copy" fsck >"$here/fsck" 2>&1 || fail "$2 killed at $1: fsck after the next copy: $(cat "$here/fsck")"
        refs=$here/work/copy/.oxen-lite/refs
        [ "$(head -n 1 "$refs/heads/main")" = "$main" ] || fail "$2 killed at $1: main is elsewhere"
        [ "$(head -n 1 "$refs/heads/other")" = "$other" ] || fail "$2 killed at $1: other is elsewhere"
        [ -f "$refs/tags/v1" ] || fail "$2 killed at $1: the tag did not come"
        grep -q 'refs/heads/other' "$here/work/copy/.oxen-lite/HEAD" || fail "$2 killed at $1: HEAD did not come"
}

# run WHAT FROM
run() {
        n=$((1 - stride)) kills=0
        while :; do
                n=$((n + stride))
                rm -rf "$here/work"
                cp -a "$here/$2" "$here/work"
                cd "$here/source"
                "$killat" "$n" "$OXEN_LITE" copy "$here/work/copy" >"$here/out" 2>"$here/err" 3>"$here/how" || break
                kills=$((kills + 1))
                sound "$n" "$1"
                whole "$n" "$1"
                [ $((kills % 8)) -ne 0 ] || python3 "$reader" "$here/work/copy" >"$here/reader" || fail "$1 $n: $(cat "$here/reader")"
        done
        grep -q '^ended 0 ' "$here/how" || fail "$1: $(cat "$here/how" "$here/err")"
        [ "$n" -ge 60 ] || fail "$1: only $n calls were seen"
        echo "release-kill-copy: $1: killed at $kills of its calls, all sound"
}
run new nothing
run again earlier
cd "$here/source"
find . -type f | sort | xargs sha256sum >"$here/after"
cmp -s "$here/before" "$here/after" || fail "the source was changed: $(diff "$here/before" "$here/after")"
