#!/bin/sh
# SPDX-License-Identifier: MIT
# What was kept of changes stays when the operation that replaced them did not come to its end: killed in the middle, then set aside or
# given up by recovery. And nothing is said of content that a refused operation did not keep.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

ox --quiet init
printf 'committed\n' >a
ox add a
ox commit -m one
ox branch other
ox switch -c topic
printf 'topic\n' >a
printf 'new\n' >new
ox add -A
ox commit -m two
ox switch other
cp .oxen-lite/HEAD "$tmp/HEAD"
ox switch main

# A refused operation keeps nothing, and does not say that it did.
printf 'STAGED\n' >a
ox --quiet add a
printf 'LOCAL\n' >a
mkdir new
printf 'in the way\n' >new/file
ox 1 switch --force topic
err_has "[path-in-way]"
err_lacks "kept as blob"
err_lacks "no longer staged"
rm -r new
ox --quiet restore --staged a
ox --quiet restore --force a
ox --quiet switch topic
ox --quiet switch main
printf 'LOCAL\n' >a
mkdir new
printf 'in the way\n' >new/file
ox 1 undo --force
err_has "[path-in-way]"
err_lacks "kept as blob"
rm -r new
ox --quiet restore --force a

strace -f -o "$tmp/probe" true 2>/dev/null || {
        not_tried "kills in the middle" "no strace, or ptrace is not allowed here"
        exit 0
}
# Leaks cannot be looked for under ptrace.
ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0
export ASAN_OPTIONS

# kill_at N ARGUMENT...: killed when it asks for the Nth fsync; 1: it has fewer
kill_at() {
        n=$1 status=0
        shift
        strace -f -o "$tmp/trace" -e trace=fsync -e inject=fsync:signal=KILL:when="$n" \
                "$OXEN_LITE" "$@" >"$tmp/out" 2>"$tmp/err" || status=$?
        [ "$status" -ne 0 ] || return 1
        [ "$status" -eq 137 ] || {
                show
                fail "$* ended with $status"
        }
}

# named FILE: the blob that the killed process said it kept of it
named() {
        sed -n "s/.*'$1': overwritten; .*oxen-lite cat \([0-9a-f]*\) >FILE.*/\1/p" "$tmp/err"
}

# collect BLOB TEXT: what gc does in a hundred days, and emptying trash, leave the blob
collect() {
        find .oxen-lite/versions -type f -exec touch -d '100 days ago' {} +
        ox gc
        ox gc --empty-trash --force
        ox cat "$1"
        out_is "$2"
        ox why "$1"
        out_has "keeps it"
}

# ended ID BLOB WORD: the newest row of the log says how it ended, and undo neither takes it nor is stopped by it
ended() {
        json op log -n 1
        is "d['operations'][0]['id'] == '$1'" "d['operations'][0]['state'] == '$3'" "not d['operations'][0]['undoable']" \
                "'$2' in [k['blob'] for k in d['operations'][0]['kept']]"
        ox op log -n 1
        out_has "[$3: it did not come to its end]"
        out_has "oxen-lite cat $2 >FILE"
        ox 1 undo "$1"
        err_has "[operation-not-undone]"
}

# gone BLOB TEXT: fsck misses it when its pack is gone
gone() {
        rm -rf "$tmp/gone"
        cp -a . "$tmp/gone"
        grep -la "$2" "$tmp"/gone/.oxen-lite/versions/packs/*.pack >"$tmp/packs" || fail "$2 is in no pack"
        xargs rm -f <"$tmp/packs"
        json 4 -C "$tmp/gone" fsck
        is "any(f['slug'] == 'kept-missing' and f['object'] == '$1' and f['affects'] == ['a'] for f in d['findings'])"
}

newest() {
        "$OXEN_LITE" --json op log -n 1 | python3 -c 'import json,sys; print(json.load(sys.stdin)["operations"][0]["id"])'
}

# HEAD names another branch by the time recovery looks: as when the process ran on another machine, and others went on.
superseded=0 round=1
while :; do
        ox --quiet restore --force a
        rm -f new
        ox --quiet branch "later-$round"
        printf 'LOCAL %s\n' "$round" >a
        kill_at "$round" switch --force topic || break
        [ "$round" -lt 60 ] || fail "no end of the rounds"
        round=$((round + 1))
        blob=$(named a)
        if [ "$(cat a)" = topic ] && ! grep -q topic .oxen-lite/HEAD; then
                [ -n "$blob" ] || fail "it was replaced, and nobody said where it is"
                cp "$tmp/HEAD" .oxen-lite/HEAD
                json recover
                is "[r['outcome'] for r in d['recovered']] == ['superseded']" \
                        "[(k['path'], k['blob']) for k in d['recovered'][0]['kept']] == [('a', '$blob')]"
                err_has "kept: 'a' as it was: oxen-lite cat $blob >FILE"
                ended "$(newest)" "$blob" superseded
                gone "$blob" "LOCAL $((round - 1))"
                ox undo
                out_has "(branch)"
                collect "$blob" "LOCAL $((round - 1))"
                superseded=$((superseded + 1))
        fi
        ox --quiet switch --force main
done
[ "$superseded" -gt 0 ] || fail "no kill of switch in the middle"

# The folder is gone by the time recovery looks.
ox --quiet switch --force main
back=0 round=1
while :; do
        rm -rf "$tmp/to"
        mkdir "$tmp/to"
        printf 'THEIRS %s\n' "$round" >"$tmp/to/a"
        kill_at "$round" restore --force --to "$tmp/to" a || break
        [ "$round" -lt 60 ] || fail "no end of the rounds"
        round=$((round + 1))
        blob=$(named a)
        if [ "$(cat "$tmp/to/a")" = committed ]; then
                rm -r "$tmp/to"
                json recover
                is "[r['outcome'] for r in d['recovered']] == ['rolled-back']" \
                        "[k['blob'] for k in d['recovered'][0]['kept']] == ['$blob']"
                ended "$(newest)" "$blob" rolled-back
                gone "$blob" "THEIRS $((round - 1))"
                collect "$blob" "THEIRS $((round - 1))"
                back=$((back + 1))
        fi
        ox --quiet recover
done
[ "$back" -gt 0 ] || fail "no kill of restore in the middle"

fsck_clean
