#!/bin/sh
# SPDX-License-Identifier: MIT
# health: never verified, verified, damaged (exit 3), healed; the map with and without colour; a read-only repository.
# And show --verify: good, damaged content by name, damaged trees.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

json 1 health
is "d['error']['code'] == 'repository-not-found'"
ox init
ox config pack_threshold 65536
ox health
out_has "nothing stored yet"
mkdir d
echo a >d/a
head -c 100000 /dev/urandom >big
ox add -A
ox commit -m one

json health
is "d['files'] == d['never_files'] == '3'" "d['verified_bytes'] == '0'" "d['findings'] == []" "len(d['by_age']) == 8"
ox health
out_has "not everything was verified yet"
out_has "................................................................"
ox fsck --record
json health
is "d['never_files'] == '0'" "d['verified_files'] == d['files']" "d['by_age'][0] == d['bytes']" "int(d['oldest_ns']) > 0"
ox health
out_has healthy
out_has "1111111111111111111111111111111111111111111111111111111111111111"
ox --color always health
grep -q "$(printf '\033')" "$tmp/out" || fail "no colour"
NO_COLOR=1 ox health
! grep -q "$(printf '\033')" "$tmp/out" || fail "colour in spite of NO_COLOR"
ox --quiet health
out_lacks 1111

json show --verify
is "d['good'] is True" "d['files'] == '2'" "d['folders'] == '2'" "d['damaged'] == []" "d['bytes'] == '100002'"
ox show --verify HEAD
out_has "good: the commit, 2 folders, 2 files"

# Damage, as it is recorded.
blob=$(find .oxen-lite/versions/files -name data)
cp "$blob" "$tmp/good"
chmod u+w "$blob"
printf damaged | dd of="$blob" bs=1 seek=500 conv=notrunc 2>/dev/null
ox health # nothing is recorded yet, and health reads nothing
json 3 show --verify
is "d['good'] is False" "[(x['path'], x['code']) for x in d['damaged']] == [('big', 'object-corrupt')]" \
        "d['error']['code'] == 'object-corrupt'"
ox 3 show --verify
out_has "damaged big"
ox 4 fsck --record
json 3 health
is "d['damaged_files'] == '1'" "'blob-damaged' in [f['slug'] for f in d['findings']]" "d['open_findings'] == str(len(d['findings']))"
ox 3 health
out_has "blob-damaged"
out_has X
out_has "fsck --record looks again"
json 3 health
is "int(d['last_pass_ns']) > int(d['last_clean_ns']) > 0"
cp "$tmp/good" "$blob"
ox fsck --record
ox health
out_has healthy
out_lacks "pass     never"

# What a repair healed is settled at once.
chmod u+w "$blob"
printf damaged | dd of="$blob" bs=1 seek=500 conv=notrunc 2>/dev/null
ox 4 fsck --record
ox 3 health
ox 1 fsck --repair
json health
is "d['findings'] == []" "d['damaged_files'] == '0'" "d['last_clean_ns'] == d['last_pass_ns'] != '0'"

# A tree that is gone: the folder is named.
cp -a .oxen-lite/versions/packs "$tmp/packs"
chmod -R u+w .oxen-lite/versions/packs
for pack in .oxen-lite/versions/packs/*.pack; do
        python3 - "$pack" <<'END'
import sys
data = bytearray(open(sys.argv[1], "rb").read())
# every node that holds the name of the file is spoiled
for where in [i for i in range(len(data)) if data[i:i + 3] == b"big"]:
    data[where] ^= 1
open(sys.argv[1], "wb").write(data)
END
done
json 3 show --verify
is "d['good'] is False" "len(d['damaged']) == 1"
rm -rf .oxen-lite/versions/packs
cp -a "$tmp/packs" .oxen-lite/versions/packs
ox show --verify

# Media that may only be read.
chmod -R a-w .oxen-lite
ox health
chmod -R u+w .oxen-lite
