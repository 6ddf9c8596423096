#!/bin/sh
# SPDX-License-Identifier: MIT
# A switch --force over local changes, and its undo, killed at each of their waits for the disk: status tells of what waits and
# recover ends it; either nothing happened or all of it, and no content is lost.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

strace -f -o "$tmp/probe" true 2>/dev/null || {
        echo "skipped: no strace, or ptrace is not allowed here"
        exit 77
}
# Leaks cannot be looked for under ptrace.
ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0
export ASAN_OPTIONS

ox init
printf 'committed\n' >a
ox add a
ox commit -m one
ox switch -c topic
printf 'topic\n' >a
printf 'new\n' >new
ox add -A
ox commit -m two
ox switch main

contents() {
        json status
        branch=$(python3 -c 'import json,sys; print(json.load(sys.stdin)["branch"])' <"$tmp/out")
        printf '%s %s %s' "$branch" "$(cat a)" "$(cat new)"
}

# kill_at N ARGUMENT...: killed when it asks for the Nth fsync; 0: it was, 1: it has fewer
kill_at() {
        n=$1
        shift
        status=0
        strace -f -o "$tmp/trace" -e trace=fsync -e inject=fsync:signal=KILL:when="$n" \
                "$OXEN_LITE" --quiet "$@" >"$tmp/out" 2>"$tmp/err" || status=$?
        [ "$status" -ne 0 ] || return 1
        [ "$status" -eq 137 ] || {
                show
                fail "$* ended with $status"
        }
}

# ends VERB OLD NEW: status and recover agree on what waits, and afterwards it is one or the other
ends() {
        json status
        waits=$(python3 -c 'import json,sys; print([i["verb"] for i in json.load(sys.stdin)["interrupted"]])' <"$tmp/out")
        is "d['interrupted'] == [] or not d['clean']"
        ox status
        if [ "$waits" = "['$1']" ]; then
                told=$((told + 1))
                out_has "interrupted:"
                out_has "$1, intent "
        else
                same "$waits" "[]" "what waits"
                out_lacks "interrupted:"
        fi
        json recover
        same "$(python3 -c 'import json,sys; print([r["verb"] for r in json.load(sys.stdin)["recovered"]])' <"$tmp/out")" \
                "$waits" "what status told of and recover ended"
        now=$(contents)
        [ "$now" = "$2" ] || [ "$now" = "$3" ] || fail "after a kill in $1: $now"
        [ "$waits" = "[]" ] || same "$now" "$3" "what was decided"
}

old='main LOCAL UNTRACKED' new='topic topic new'
for verb in switch undo; do
        told=0 round=1
        while :; do
                if [ "$verb" = switch ]; then
                        ox --quiet switch --force main
                        printf 'LOCAL\n' >a
                        printf 'UNTRACKED\n' >new
                        kill_at "$round" switch --force topic || break
                        ends switch "$old" "$new"
                else
                        ox --quiet switch --force main
                        printf 'LOCAL\n' >a
                        printf 'UNTRACKED\n' >new
                        ox --quiet switch --force topic
                        kill_at "$round" undo || break
                        ends undo "$new" "$old"
                fi
                [ "$round" -lt 60 ] || fail "no end of the rounds"
                round=$((round + 1))
        done
        [ "$told" -gt 1 ] || fail "no kill of $verb was told of"
done
same "$(contents)" "$old" "the last undo"
json status
is "d['interrupted'] == []"
fsck_clean
