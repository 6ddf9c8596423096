#!/bin/sh
# SPDX-License-Identifier: MIT
# How much fsck reads, from outside: options, exit codes, what the summary and the JSON say, what is recorded.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

tree() {
        find .oxen-lite -type f | sort | xargs sha256sum
}

ox init
ox config pack_threshold 1000
for i in 1 2 3 4; do
        head -c 3000 /dev/zero | tr '\0' "$i" >"large$i"
        printf 'small %s\n' "$i" >"small$i"
        ox add "large$i" "small$i"
done
ox commit -m one

# Everything that was wrong with the options is a usage error.
for words in "--sample 0%" "--sample 101%" "--sample 5x" "--sample %" "--sample .5%" "--since-days 0" \
        "--time-limit 5y" "--time-limit 0s" "--rate 0" "--rate 99999999999999999999" "--jobs 0" "--jobs 257" \
        "--quick --media" "--quick --sample 5%" "--quick --time-limit 1s"; do
        # shellcheck disable=SC2086 # several words
        ox 16 fsck $words
        silent_out
done

# A whole check says so.
json fsck
is 'd["result"] == "clean"' 'd["complete"] is True' 'int(d["extent"]["due"]["files"]) == 0' \
        'd["extent"]["all"] == d["extent"]["read"]' 'int(d["extent"]["recorded"]) == 0'
ox fsck
out_lacks "partly checked"

# Limited ones say what they left out and why, and write nothing.
tree >"$tmp/before"
json fsck --quick
is 'd["result"] == "clean"' 'd["complete"] is False' 'int(d["extent"]["left_out"]["quick"]["files"]) == int(d["extent"]["all"]["files"])'
ox fsck --quick
out_has "clean, partly checked"
out_has "not read (--quick)"
json fsck --sample 20%
is 'd["result"] == "clean"' 'd["complete"] is False' 'int(d["extent"]["left_out"]["sample"]["files"]) > 0' \
        'int(d["extent"]["read"]["bytes"]) + int(d["extent"]["part"]["bytes"]) >= int(d["extent"]["all"]["bytes"]) * 0.2' \
        'int(d["extent"]["due"]["files"]) > 0'
ox fsck --sample 0.5%
out_has "partly checked"
out_has "not in the sample"
out_has "without --record the next run begins anew"
json fsck --media --rate 100M --jobs 3
is 'd["complete"] is True' 'int(d["extent"]["medium_bytes"]) + int(d["extent"]["cache_bytes"]) >= int(d["extent"]["all"]["bytes"])'
ox fsck --media
out_has "read from the medium"
tree >"$tmp/after"
cmp "$tmp/before" "$tmp/after" || fail "a check without --record changed something"

# Recorded runs go on where the last one ended.
json fsck --sample 1% --record
is 'd["complete"] is False'
json fsck --record
is 'int(d["extent"]["recorded"]) == int(d["extent"]["all"]["files"])'
json fsck --since-days 30
is 'd["result"] == "clean"' 'd["complete"] is False' 'int(d["extent"]["read"]["files"]) == 0' 'int(d["extent"]["due"]["files"]) == 0'
ox fsck --since-days 30
out_has "verified recently enough"
out_has "every file was verified to its end by this run or an earlier one"
ox fsck --time-limit 10m
out_lacks "partly checked"

# A limit that has passed before the second file: one is read, the rest is left out and counted, and the next runs go on with it. The
# rate makes any first file last, for each has several reads; that it is held is unit/check_limits' business.
mkdir "$tmp/short"
cd "$tmp/short"
ox init
ox config pack_threshold 100000
for i in 1 2 3; do head -c 300000 /dev/zero | tr '\0' "$i" >"f$i"; done
for i in 1 2 3 4 5 6 7; do head -c 80000 /dev/urandom >"small$i"; done
ox commit -m one f1 f2 f3 small1 small2 small3 small4 small5 small6 small7
json fsck --time-limit 1ms --rate 20M --jobs 1
is 'd["result"] == "clean"' 'd["complete"] is False' 'int(d["extent"]["read"]["files"]) == 1' \
        'int(d["extent"]["read"]["bytes"]) >= 300000' \
        'int(d["extent"]["left_out"]["time"]["files"]) == int(d["extent"]["all"]["files"]) - 1 > 1' \
        'int(d["extent"]["due"]["files"]) == int(d["extent"]["all"]["files"]) - 1' 'int(d["extent"]["recorded"]) == 1'
ox fsck --time-limit 1ms --rate 20M --jobs 1
out_has "clean, partly checked"
out_has "beyond the time limit"
for i in 3 4 5 6; do ox fsck --time-limit 1ms --rate 20M --jobs 1; done
json fsck --since-days 30
is 'int(d["extent"]["due"]["files"]) == 0' 'int(d["extent"]["read"]["files"]) == 0'
cd "$work"

# What is damaged is found by every run after the one that recorded it, and what is left out never hides it.
blob=$(find .oxen-lite/versions/files -name data | sort | head -n 1)
chmod u+w "$blob"
printf X | dd of="$blob" bs=1 conv=notrunc 2>/dev/null
ox 0 fsck --since-days 30
out_has "partly checked"
ox 4 fsck --record
ox 4 fsck --since-days 30
out_has blob-damaged
json 4 fsck --sample 1
is 'd["result"] == "problems"' 'd["complete"] is False'

# Where nothing can be written, --record is told and exits 8; the check itself is done.
rm -rf .oxen-lite/owners
ox 12 fsck --record
err_has "could not be recorded"
out_has blob-damaged
