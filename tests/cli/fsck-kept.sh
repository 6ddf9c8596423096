#!/bin/sh
# SPDX-License-Identifier: MIT
# fsck follows the operation log by gc's rules: what it needs is no leftover, what was kept and is gone is a finding whatever became of the
# operation, and what gc gave up is none, whatever gc.keep_days says afterwards.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

ox --quiet init
ox config pack_threshold 4096
printf 'one\n' >a
ox add a
ox commit -m one
json fsck
is "d['checked']['unreachable'] == '0'" "d['findings'] == []"

# kept LETTER: 5,000 of it are kept of a by restore --force; sets $blob and $file
kept() {
        head -c 5000 /dev/zero | tr '\0' "$1" >a
        ox restore --force a
        blob=$(sed -n 's/.*oxen-lite cat \([0-9a-f]*\) >FILE.*/\1/p' "$tmp/err")
        file=$(find .oxen-lite/versions/files -name data -exec grep -l "$1$1$1" {} +)
        [ -n "$blob" ] || fail "nothing was kept"
        [ -f "$file" ] || fail "it is no file of its own"
}

kept K
json fsck
is "d['checked']['unreachable'] == '0'" "d['findings'] == []"

# Gone: also for a check that does not read everything.
cp -a . "$tmp/copy"
rm "$file"
json 4 fsck
is "[(f['slug'], f['affects'], f['object']) for f in d['findings']] == [('kept-missing', ['a'], '$blob')]" \
        "'operation 4 (restore)' in d['findings'][0]['detail']" "d['findings'][0]['severity'] == 'loss'"
ox 4 fsck --quick
out_has "[kept-missing]"
ox 4 fsck --record
ox 3 health
out_has "kept-missing versions/files/"
ox 4 fsck --sample 1%
out_has "[kept-missing]"

# And back, from another repository or from the file that has it again.
ox 1 fsck --repair --from "$tmp/copy"
fsck_clean
ox cat "$blob"
rm "$file" 2>/dev/null || find .oxen-lite/versions/files -name data -size 5000c -exec rm {} +
ox 4 fsck --repair
cp a "$tmp/a"
head -c 5000 /dev/zero | tr '\0' K >a
ox 1 fsck --repair
cp "$tmp/a" a
fsck_clean

# Damaged, with no other copy.
kept D
chmod u+w "$file"
printf y | dd of="$file" bs=1 seek=1000 conv=notrunc 2>/dev/null
json 4 fsck
is "sorted(f['slug'] for f in d['findings']) == ['blob-damaged', 'kept-missing']"
ox 4 fsck --repair
head -c 5000 /dev/zero | tr '\0' D >a
ox 1 fsck --repair
cp "$tmp/a" a
fsck_clean

# What gc has given up is no finding, and no later setting makes it one.
ox config gc.keep_days 0
ox fsck --purge-quarantine --force # whose notes name a blob
ox --quiet gc
ox gc --empty-trash --force
[ -z "$(find .oxen-lite/versions/files -name data -size 5000c)" ] || fail "gc left something"
fsck_clean
ox config gc.keep_days 90
json fsck
is "d['findings'] == []" "d['checked']['unreachable'] == '0'"

# Older than gc.keep_days, and no gc was there: not needed, and whoever removes it loses nothing that counts.
kept O
ox config gc.keep_days 0
json fsck
is "d['checked']['unreachable'] == '1'" "d['findings'] == []"
ox config gc.keep_days 90

# Younger than that gc: what it put aside of older ones is not asked for, but this is.
rm "$file"
ox 4 fsck
out_has "[kept-missing]"
ox --quiet config gc.keep_days 0
fsck_clean
ox --quiet config gc.keep_days 90

# In trash, because a run of gc was not taken back whole, or its row is gone: the remedy is gc --undo.
kept T
mkdir -p ".oxen-lite/trash/20260101T000000-00000001/$(dirname "${file#.oxen-lite/}")"
mv "$file" ".oxen-lite/trash/20260101T000000-00000001/${file#.oxen-lite/}"
json 4 fsck
is "any(f['object'] == '$blob' and f['remedy'] == 'oxen-lite gc --undo 20260101T000000-00000001' for f in d['findings'])"
