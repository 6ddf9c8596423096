#!/bin/sh
# SPDX-License-Identifier: MIT
# A commit that is killed at each of its waits for the disk: recover says in words and in JSON what it decided, and the
# log agrees with it; the next writing command does the same by itself.
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
printf 1 >a
ox add a
ox commit -m first

# kill_commit N: a commit, killed when it asks for the Nth fsync; 0: it was, 1: it has fewer
kill_commit() {
        printf 'round %s\n' "$1" >a
        status=0
        strace -f -o "$tmp/trace" -e trace=fsync -e inject=fsync:signal=KILL:when="$1" \
                "$OXEN_LITE" --quiet commit -am "round $1" >"$tmp/out" 2>"$tmp/err" || status=$?
        [ "$status" -ne 0 ] || return 1
        [ "$status" -eq 137 ] || {
                show
                fail "round $1 ended with $status"
        }
}

decided=0 round=1 told=0
while kill_commit "$round"; do
        [ "$round" -lt 40 ] || fail "no end of the rounds"
        "$OXEN_LITE" fsck --record >"$tmp/out" 2>&1 || grep -q pending-recovery "$tmp/out" || fail "fsck of round $round"
        ! grep -q pending-recovery "$tmp/out" || told=$((told + 1))
        ox --json log
        cp "$tmp/out" "$tmp/log.before"
        json recover
        is "all(r['verb'] == 'commit' and r['ref'] == 'refs/heads/main' for r in d['recovered'])" "len(d['recovered']) < 2"
        cp "$tmp/out" "$tmp/recovered"
        if grep -q '"outcome"' "$tmp/out"; then
                decided=$((decided + 1))
                err_has "oxen-lite: recovered: an interrupted commit on refs/heads/main"
        else
                err_lacks "recovered:"
        fi
        ox --json log
        python3 - "$tmp/recovered" "$tmp/out" "round $round" <<'PYTHON' || fail "round $round: the log and the outcome differ"
import json, sys
outcomes = [r["outcome"] for r in json.load(open(sys.argv[1]))["recovered"]]
there = sys.argv[3] in [c["message"] for c in json.load(open(sys.argv[2]))["commits"]]
print(sys.argv[3], outcomes, "in the log" if there else "not in the log")
# Without an intent nothing was decided; with one, the log says what the outcome says.
assert there == (outcomes == ["rolled-forward"]) or (there and not outcomes), (outcomes, there)
PYTHON
        json recover
        is "d['recovered'] == []"
        json health # what a check wrote down before is over
        is "d['findings'] == [] and d['open_findings'] == '0'"
        fsck_clean
        round=$((round + 1))
done
[ "$round" -gt 4 ] || fail "only $round rounds"
[ "$decided" -gt 0 ] || fail "no round left anything to decide"
[ "$told" -gt 0 ] || fail "no check saw what waits for recovery"

# lookup is written without a sync: what a power cut left under its name is replaced.
lookup=.oxen-lite/versions/packs/lookup
cp "$lookup" "$tmp/lookup"
for size in 0 100 "$(($(wc -c <"$lookup") - 1))"; do
        chmod u+w "$lookup"
        truncate -s "$size" "$lookup"
        ox 4 fsck
        out_has lookup-damaged
        ox recover
        fsck_clean
done

# The same without asking: the next writing command says it, also with --quiet, and in its own document.
while [ "$round" -gt 0 ]; do
        round=$((round - 1))
        kill_commit "$round" || break
        printf b >b
        json --quiet add b
        if grep -q recovered "$tmp/err"; then
                is "len(d['recovered']) == 1" "d['staged'] == '1'"
                fsck_clean
                exit 0
        fi
        ox commit -am "go on"
        rm -f b
        ox commit -am "remove b"
done
fail "no command recovered by itself"
