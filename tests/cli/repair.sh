#!/bin/sh
# SPDX-License-Identifier: MIT
# fsck --repair, --apply, --undo, --purge-quarantine: exit codes, documents, what is asked, what is refused.
. "$SRCDIR/tests/cli/_lib.sh"

flip() {
        python3 -c 'import os, sys
path, at = sys.argv[1], int(sys.argv[2])
data = bytearray(open(path, "rb").read())
data[at] ^= 1
os.unlink(path)
open(path, "wb").write(data)' "$1" "$2"
}

ox init --quiet .
ox config pack_threshold 1000
head -c 5000 /dev/zero | tr '\0' x >large
echo small >small
ox add -A .
ox commit -m one
cp -a . ../other

# nothing to do
ox fsck --repair
out_has "0 healed, 0 rebuilt, 0 left, 0 proposed, 0 stale: clean"

# healed from the working tree, said where from, kept in quarantine
blob=$(find .oxen-lite/versions/files -name data)
flip "$blob" 7
cp "$blob" ../bad
ox 4 fsck
ox 1 fsck --repair
out_has "from working tree: large"
out_has "repaired"
ox fsck
b3=$(cksum <"$blob")
same "$b3" "$(cksum <large)" "the healed blob"
json fsck --repair
is 'd["result"] == "clean"' 'd["repairs"] == []' 'd["findings"] == []' 'd["quarantine"] is None'

# undo refuses over good content; forced, it puts the bad bytes back
id=$(ls .oxen-lite/quarantine)
ox 8 fsck --undo "$id"
err_has "[undo-refused]"
err_has "--force"
ox fsck --undo "$id" --force
cmp "$blob" ../bad || fail "undo did not bring the bad bytes back"
ox 4 fsck
ox 8 fsck --undo 20000101T000000-00000000
err_has "[quarantine-not-found]"

# no good copy: named, left, exit 4; nothing is moved. Then from another folder.
mv large ../large
ox fsck --purge-quarantine --force
cp -a "$blob" ../before
json 4 fsck --repair
is 'd["result"] == "problems"' '{r["verdict"] for r in d["repairs"]} == {"left"}' \
        'any("large" in a for f in d["findings"] for a in f["affects"])'
cmp "$blob" ../before || fail "the damaged blob was touched"
ox 1 fsck --repair --from ../other
out_has "from --from"
ox fsck
mv ../large large

# a plan: only what it lists
flip .oxen-lite/HEAD 7
json 4 fsck
cp "$tmp/out" ../plan
flip .oxen-lite/config.json 1
ox 5 fsck --apply ../plan
out_has "healed: 'HEAD' [head-damaged] from operation log"
out_lacks "rebuilt: 'config.json'"
ox 4 fsck --apply ../plan
out_has "stale: 'HEAD'"
json 4 fsck
cp "$tmp/out" ../plan
# shellcheck disable=SC2016 # the inner shell expands it
run 1 sh -c '"$OXEN_LITE" fsck --apply - <../plan'
out_has "rebuilt: 'config.json'"
ox fsck
ox 16 fsck --apply /dev/null
ox 8 fsck --apply ../no-such-plan

# a ref and the journal gone: nobody knows, so a person says it, in the plan
rm .oxen-lite/journal.db*
flip .oxen-lite/refs/heads/main 7
ox 5 fsck --repair
out_has "proposed: 'refs/heads/main' [ref-damaged]: the operation log does not know where it pointed"
out_has "fsck --apply"
id=$(sed -n 's/.*that nothing names: \([0-9a-f]*\).*/\1/p' "$tmp/out")
json 4 fsck
python3 -c 'import json, sys
plan = json.load(open(sys.argv[1]))
for finding in plan["findings"]:
    if finding["path"] == "refs/heads/main":
        finding["choice"] = sys.argv[2]
json.dump(plan, open(sys.argv[3], "w"))' "$tmp/out" "$id" ../plan
ox 1 fsck --apply ../plan
out_has "healed: 'refs/heads/main' [ref-damaged] from the choice in the plan"
ox fsck
ox show HEAD
out_has "$id"

# the budget
for file in HEAD config.json index versions/packs/lookup; do
        [ ! -e ".oxen-lite/$file" ] || flip ".oxen-lite/$file" 9
done
rm .oxen-lite/index.delta .oxen-lite/journal.db*
flip "$blob" 3
json 4 fsck --repair
is 'd["over_budget"] is True' 'd["quarantine"] is None'
ox 5 fsck --repair --force
out_has "proposed: 'config.json' [config-damaged]: a person may still read the settings in it"
json 4 fsck
cp "$tmp/out" ../plan
ox 1 fsck --apply ../plan
out_has "rebuilt: 'config.json'"
ox fsck

# purge lists, and wants --force where nobody can be asked
# shellcheck disable=SC2016 # the inner shell expands it
run 16 sh -c '"$OXEN_LITE" fsck --purge-quarantine </dev/null'
out_has "config.json"
[ -n "$(ls .oxen-lite/quarantine)" ] || fail "purged without being asked"
json fsck --purge-quarantine --force
is 'len(d["quarantine"]) > 3' 'any(q["only_copy"] for q in d["quarantine"])' 'not all(q["only_copy"] for q in d["quarantine"])'
[ -z "$(ls .oxen-lite/quarantine)" ] || fail "quarantine is not empty"
ox fsck --purge-quarantine
out_has "quarantine is empty"
ox fsck

# usage
ox 16 fsck --from ../other
ox 16 fsck --force
ox 16 fsck --repair --undo x
ox 16 fsck --undo x --from ../other
ox 16 fsck --repair --quick
ox 8 fsck --repair --from ../no-such-folder
