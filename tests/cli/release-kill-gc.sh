#!/bin/sh
# SPDX-License-Identifier: MIT
# SIGKILL at file-changing system calls of gc (which moves, rewrites and merges), gc --undo, gc --empty-trash, and the merge after a
# commit: after recovery fsck is clean, every file of every commit is there, no temp is left, what was garbage is in its place or in
# trash, and the same command works. Each eleventh call, or all with OXL_DEEP=1; recover is killed, too.
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
killat=$BUILDDIR/tests/killat
reader=$SRCDIR/tests/check/read_repository.py
stride=11
[ "${OXL_DEEP-}" != 1 ] || stride=1
export OXEN_LITE_AUTHOR="Test <test@example.org>"

fail() {
        echo "release-kill-gc: $*" >&2
        exit 1
}
ox() {
        "$OXEN_LITE" --quiet "$@"
}

# 15 packs with commits; garbage: a pack, a loose blob, a pack mostly dead; then 16 packs to be merged.
mkdir "$here/full"
cd "$here/full"
ox init .
ox config pack_threshold 65536
ox config gc.keep_days 0
rm .oxen-lite/reserve # copying it is most of the time
i=0
while [ $i -lt 7 ]; do
        i=$((i + 1))
        echo "content $i" >"f$i"
        ox add "f$i"
        ox commit -m "$i" >/dev/null
done
for i in 1 2 3 4 5 6 7 8 9; do
        head -c 3000 /dev/urandom >"many$i"
done
ox add .
ox rm --cached many1 many2 many3 many4 many5 many6 many7 many8
rm many[1-8]
ox commit -m many >/dev/null
head -c 100000 /dev/zero | tr '\0' z >large
ox add large
ox rm --cached large
rm large
cp -a "$here/full" "$here/few"
for i in 1 2 3; do
        echo "more $i" >"m$i"
        ox add "m$i"
        ox commit -m "more $i" >/dev/null
done
# The last of them merged: take its packs back, so that gc has to do it.
for run in .oxen-lite/trash/*; do
        [ ! -d "$run" ] || ox gc --undo "${run##*/}" >/dev/null
done
cp -a "$here/full" "$here/collected"
cd "$here/collected"
ox gc
ls .oxen-lite/trash >"$here/ids"
[ "$(wc -l <"$here/ids")" -ge 1 ] || fail "gc moved nothing"
id=$(grep -l '"verb":"gc"' .oxen-lite/trash/*/note | head -n 1 | cut -d/ -f3)
[ -n "$id" ] || fail "no run of gc"

# stored: every object file in its place or in trash
stored() {
        find .oxen-lite/versions/files .oxen-lite/versions/packs .oxen-lite/trash -type f ! -name lookup ! -name note -exec sha256sum {} + | sort
}

# What an undo gives when nobody kills it.
cp -a "$here/collected" "$here/work"
cd "$here/work"
ox gc --undo "$id"
stored >"$here/undone"

# HEAD has the files of all commits; fsck has read every object.
every() {
        rm -rf "$here/copy"
        ox restore --to "$here/copy" . >/dev/null 2>"$here/why" || return 1
        [ "$(find "$here/copy" -type f | wc -l)" -eq "$files" ] || return 1
}

sound() {
        ox recover >"$here/recovered" 2>&1 || fail "$1 killed at $2: recover failed: $(cat "$here/recovered")"
        ox fsck >"$here/fsck" 2>&1 || fail "$1 killed at $2: fsck: $(cat "$here/fsck" "$here/recovered")"
        left=$(find . -name '*.oxl-*.tmp' | head -n 3)
        [ -z "$left" ] || fail "$1 killed at $2: left $left"
        every || fail "$1 killed at $2: $(cat "$here/why")"
        # the loose blob: in place or in trash, unless trash was being emptied
        [ "$1" = empty ] || [ "$(find .oxen-lite/versions/files .oxen-lite/trash -name data -size 100000c | wc -l)" -eq 1 ] ||
                fail "$1 killed at $2: garbage is lost, or twice there"
}

# run WHAT FROM COMMAND...: a fresh copy of FROM for every kill.
run() {
        what=$1 from=$2 n=$((1 - stride)) kills=0
        shift 2
        files=$("$OXEN_LITE" -C "$here/$from" ls -r | wc -l)
        while :; do
                n=$((n + stride))
                rm -rf "$here/work"
                cp -a "$here/$from" "$here/work"
                cd "$here/work"
                "$killat" "$n" "$OXEN_LITE" --quiet "$@" >"$here/out" 2>"$here/err" 3>"$here/how" || break
                kills=$((kills + 1))
                if [ $((kills % 4)) -eq 0 ]; then # recovery dies as well, somewhere
                        "$killat" $((1 + kills % 13)) "$OXEN_LITE" --quiet recover >/dev/null 2>&1 3>/dev/null || true
                fi
                sound "$what" "$n"
                [ $((kills % 5)) -ne 0 ] || python3 "$reader" . >"$here/reader" || fail "$what $n: $(cat "$here/reader")"
                case $what in
                undo)
                        # undone by now, by recovery or by this one; and to the same files
                        ox gc --undo "$id" >"$here/again" 2>&1 || grep -q '\[trash-not-found\]' "$here/again" ||
                                fail "$what killed at $n: fails afterwards: $(cat "$here/again")"
                        stored >"$here/now"
                        diff "$here/undone" "$here/now" || fail "$what killed at $n: not the files of an undo that nobody killed"
                        ;;
                merge) ;;
                *) ox "$@" >"$here/again" 2>&1 || fail "$what killed at $n: fails afterwards: $(cat "$here/again")" ;;
                esac
                ox fsck >"$here/fsck" 2>&1 || fail "$what killed at $n: fsck after doing it again: $(cat "$here/fsck")"
        done
        grep -q '^ended 0 ' "$here/how" || fail "$what: $(cat "$here/how" "$here/err")"
        [ "$kills" -ge 2 ] || fail "$what: only $kills kills"
        echo "release-kill-gc: $what: killed at $kills of its calls, all sound"
}

run gc full gc
run undo collected gc --undo "$id"
run empty collected gc --empty-trash --force
# This add makes the 16th small pack, and merges after it has said what it did.
cd "$here/few"
while [ "$(find .oxen-lite/versions/packs -name '*.pack' | wc -l)" -lt 15 ]; do
        echo "pad $(find .oxen-lite/versions/packs -name '*.pack' | wc -l)" >pad
        ox add pad
done
echo last >last
run merge few add last
