#!/bin/sh
# SPDX-License-Identifier: MIT
# why: paths, blobs, trees and commits; runs of commits, refs, the index, operations, quarantine, stored copies.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

ox init
ox config pack_threshold 65536
mkdir d
echo a >d/a
newline=$(printf 'two\nlines')
echo n >"$newline"
head -c 100000 /dev/zero >big
ox add -A
ox commit -m one
one=$(head -n 1 .oxen-lite/refs/heads/main)
ox tag v1
for i in 2 3 4; do
        echo $i >d/b
        ox add -A
        ox commit -m "$i"
done
four=$(head -n 1 .oxen-lite/refs/heads/main)
ox rm d/a
ox commit -m five

# A path: its run of commits ends before it was removed; refs, operations.
json why d/a
is "d['object'] == 'path'" "d['commits'] == '4'" "d['runs'] == '1'" "d['kept'] is True" \
        "[(r['last'], r['first'], r['count'], r['path']) for r in d['reasons'] if r['kind'] == 'commits'] == [('$four', '$one', '4', 'd/a')]" \
        "sorted(r['name'] for r in d['reasons'] if r['kind'] == 'ref') == ['refs/heads/main', 'refs/tags/v1']" \
        "[r for r in d['reasons'] if r['kind'] == 'index'] == []" \
        "sorted(r['name'] for r in d['reasons'] if r['kind'] == 'operation')[-1] == 'rm'"
# The same content, by its id, from ls; and by 10 digits of it.
id=$("$OXEN_LITE" ls -r "$one" d | awk '$4 ~ /a$/ { print $3 }' | head -n 1)
json why "$id"
is "d['object'] == 'blob'" "d['id'].startswith('$id')" "d['commits'] == '4'" "d['copies'] == '1'" "[r['kind'] for r in d['reasons']][-1] == 'pack'"
json why "$(printf %.10s "$id")"
is "d['id'].startswith('$id')"
# A path whose content changed has a run for each content.
json why d/b
is "d['runs'] == '3'" "[r['count'] for r in d['reasons'] if r['kind'] == 'commits'] == ['2', '1', '1']" \
        "[r['name'] for r in d['reasons'] if r['kind'] == 'index'] == ['tracked']"
# A commit: its child, what leads to it, two copies of its metadata.
json why "$one"
is "d['object'] == 'commit'" "len([r for r in d['reasons'] if r['kind'] == 'child']) == 1" "d['copies'] == '2'" \
        "[r['name'] for r in d['reasons'] if r['kind'] == 'ref'] == ['refs/heads/main', 'refs/tags/v1']"
# A tree.
json show v1
tree=$(python3 -c "import json; print(json.load(open('$tmp/out'))['commit']['tree'])")
json why "$tree"
is "d['object'] == 'tree'" "d['commits'] == '1'" "d['copies'] == '2'"
# A name with a newline.
json why "$newline"
is "d['path'] == 'two\nlines'" "d['commits'] == '5'" "d['runs'] == '1'"
ox why "$newline"
out_has 'two\x0alines'

# What is staged alone; then nothing keeps it but the operation log.
echo staged >s
ox add s
json why s
is "d['commits'] == '0'" "[r['name'] for r in d['reasons'] if r['kind'] == 'index'] == ['staged']"
id=$(python3 -c "import json; print(json.load(open('$tmp/out'))['id'])")
ox restore --staged s
json why "$id"
is "d['commits'] == '0'" "{r['kind'] for r in d['reasons']} == {'operation', 'pack'}"

# A large file, and what repair put aside of it.
json why big
is "[r['kind'] for r in d['reasons']][-1] == 'loose'" "d['reasons'][-1]['size'] == '100000'"
blob=.oxen-lite/versions/files/$(python3 -c "import json; i = json.load(open('$tmp/out'))['id']; print(i[:2] + '/' + i[2:])")/data
chmod u+w "$blob"
printf damaged | dd of="$blob" bs=1 seek=500 conv=notrunc 2>/dev/null
ox 1 fsck --repair
json why big
is "[r['path'].startswith('quarantine/') for r in d['reasons'] if r['kind'] == 'quarantine'] == [True]"

# Nothing of that name; damage on the way is said.
json 1 why nothing-here
is "d['error']['code'] == 'why-target'" "d['reasons'] == []"
json 1 why deadbeef00
is "d['error']['code'] == 'why-target'"
json 2 why
is "d['error']['code'] == 'usage'"
pack=$(find .oxen-lite/versions/packs -name '*.pack' | sort | head -n 1)
cp "$pack" "$tmp/pack.keep"
chmod u+w "$pack"
printf damaged | dd of="$pack" bs=1 seek=$(($(wc -c <"$pack") - 100)) conv=notrunc 2>/dev/null
json 3 why big
err_has "is damaged"
cp "$tmp/pack.keep" "$pack"
ox fsck
