#!/bin/sh
# SPDX-License-Identifier: MIT
# SIGKILL after a random number of file-changing calls of `commit -a` of 200 changed files, on the real disk, 150 times (1,000 with
# OXL_DEEP=1): recover, fsck; an acknowledged commit is there, what was not acknowledged is whole or absent, no temp is
# left. Every fourth time recovery is killed, too. OXL_SEED=N repeats a run, OXL_KILLS=N sets how many.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

killat=$BUILDDIR/tests/killat
seed=${OXL_SEED:-$(date +%s)}
if [ "${OXL_DEEP-}" = 1 ]; then kills=${OXL_KILLS:-1000}; else kills=${OXL_KILLS:-150}; fi
echo "release-kill-random: OXL_SEED=$seed"

# A number from 1 to $1, the same for the same seed.
state=$((seed % 2147483647))
random() {
        state=$(((state * 48271 + 11) % 2147483647))
        picked=$((state / 7 % $1 + 1))
}

# Every file says which round it is from; every third round changes the loose one, too.
change() {
        i=0
        while [ "$i" -lt 200 ]; do
                echo "file $i of round $1" >"f$i"
                i=$((i + 1))
        done
        [ $(($1 % 3)) -ne 0 ] || head -c 70000 /dev/zero | tr '\0' "$(($1 % 10))" >large
}

head_id() {
        "$OXEN_LITE" log -n 1 --json | sed -n 's/^{"id":"\([0-9a-f]*\)".*/\1/p'
}

begin() {
        rm -rf "$work/r"
        mkdir "$work/r"
        cd "$work/r"
        ox init
        ox config pack_threshold 65536
        change 0
        echo large >large
        ox add -A
        ox commit -m 0
        old=$(head_id)
}

# How many calls there are to choose from: those of one run that is let be.
begin
change 3
"$killat" 0 "$OXEN_LITE" commit -a -m 3 >"$tmp/out" 2>"$tmp/err" 3>"$tmp/how" || true
grep -q '^ended 0 ' "$tmp/how" || fail "the first run: $(cat "$tmp/how" "$tmp/err")"
read -r _ _ calls <"$tmp/how"
[ "$calls" -gt 20 ] || fail "only $calls calls were seen"

round=0 killed=0 kept=0 acknowledged=0 again=0
begin
while [ "$round" -lt "$kills" ]; do
        round=$((round + 1))
        # A long history only makes fsck slow.
        [ $((round % 25)) -ne 0 ] || begin
        change "$round"
        random $((calls + 5))
        at=$picked
        "$killat" "$at" "$OXEN_LITE" commit -a -m "$round" >"$tmp/out" 2>"$tmp/err" 3>"$tmp/how" || true
        case $(cat "$tmp/how") in killed*) killed=$((killed + 1)) ;; "ended 0 "*) ;; *) fail "round $round: $(cat "$tmp/how" "$tmp/err")" ;; esac
        what="OXL_SEED=$seed, round $round, killed at call $at ($(cat "$tmp/how"))"
        ack=no
        grep -q '^\[main ' "$tmp/out" && ack=yes acknowledged=$((acknowledged + 1))
        if [ $((round % 4)) -eq 0 ]; then
                random 30
                "$killat" "$picked" "$OXEN_LITE" recover >"$tmp/out" 2>"$tmp/err" 3>"$tmp/how" || true
                ! grep -q '^killed' "$tmp/how" || again=$((again + 1))
                what="$what, recovery killed at $picked"
        fi
        "$OXEN_LITE" recover >"$tmp/out" 2>"$tmp/err" || fail "$what: recover: $(cat "$tmp/out" "$tmp/err")"
        "$OXEN_LITE" fsck >"$tmp/out" 2>"$tmp/err" || fail "$what: fsck: $(cat "$tmp/out" "$tmp/err")"
        left=$(find . -name '*.oxl-*.tmp')
        [ -z "$left" ] || fail "$what: left $left"
        now=$(head_id)
        if [ "$now" = "$old" ]; then
                [ "$ack" = no ] || fail "$what: acknowledged, but gone"
                continue
        fi
        kept=$((kept + 1))
        old=$now
        rm -rf "$work/copy"
        ox restore --to "$work/copy"
        diff -r -x .oxen-lite . "$work/copy" >"$tmp/diff" || fail "$what: the commit is not whole: $(head -n 3 "$tmp/diff")"
done
[ "$killed" -gt $((kills / 2)) ] || fail "only $killed of $kills were killed"
echo "release-kill-random: $kills rounds over $calls calls: $killed killed, $acknowledged acknowledged, $kept commits kept and whole," \
        "$again recoveries killed; all sound"
