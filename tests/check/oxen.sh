#!/bin/sh
# SPDX-License-Identifier: MIT
# fsck --oxen from outside: exit codes added up, text and JSON, the quarantine, and that check mode changes nothing.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

XDG_STATE_HOME=$tmp/state
export XDG_STATE_HOME
files=repo/.oxen/versions/files
hello=a7/666c8f5aaf946ca629d9d20c29aa6a/data
world=18/066113d946cfa640ffc8773c83f61b/data
short=15/77598f7d7589481ced4b6fab7dc4e/data # an unpadded name, of 31 digits

# store PATH TEXT
store() {
        mkdir -p "$files/${1%/*}"
        printf '%b' "$2" >"$files/$1"
}

# tree: everything that a change would show
tree() {
        find repo -printf '%p %y %m %s %T@ %C@ %i\n' | sort
}

mkdir -p repo/.oxen/refs repo/.oxen/tree/nodes_lmdb good
printf main >repo/.oxen/HEAD
printf 'min_version = "0.36.0"\nmerkle_node_backend = "lmdb"\n' >repo/.oxen/config.toml
printf 'MANIFEST-000004\n' >repo/.oxen/refs/CURRENT
: >repo/.oxen/tree/nodes_lmdb/data.mdb
store $hello 'Hello\n'
store $world 'World\n'
store $short 'oxen-lite 1'
store 99/aa06d3014798d86001c324468d497f/data ''
store a7/666c8f5aaf946ca629d9d20c29aa6a/200x300.jpg 'thumbnail'
printf 'Hello\n' >"good/any name"

# Clean, from each folder, in text and JSON; also where nothing can be written.
for dir in repo repo/.oxen $files; do
        ox fsck --oxen "$dir"
        out_has "checked 4 versions (23 bytes): clean"
        out_has "1 known but not verifiable"
done
json fsck --oxen repo
is 'd["result"] == "clean"' 'd["checked"]["files"] == "4"' 'd["oxen"]["unverifiable"] == "1"' 'd["findings"] == []'

# An upload in progress is a note at most.
mkdir -p $files/cd/ef0123456789abcdef0123456789ab/chunks/0
printf part >$files/cd/ef0123456789abcdef0123456789ab/chunks/0/chunk
ox fsck --oxen repo
store ce/ef0123456789abcdef0123456789ab/data.oxentmp.a1B2c3 'begun'
ox fsck --oxen repo
out_has "note: 'versions/files/ce/ef0123456789abcdef0123456789ab/data.oxentmp.a1B2c3'"
out_has "1 temporary file (5 bytes)"

# Damage: exit 4, the hashes, the same ids twice, nothing changed.
printf 'Hallo\n' >"$files/$hello"
chmod 600 "$files/$hello"
tree >"$tmp/before"
ox 4 fsck --oxen repo
out_has "[oxen-blob-damaged]"
out_has "a7666c8f5aaf946ca629d9d20c29aa6a"
out_has "verdict:  media"
json 4 fsck --oxen repo
is 'd["result"] == "problems"' \
        'sum(f["slug"] == "oxen-blob-damaged" and not f["repaired"] for f in d["findings"]) == 1'
cp "$tmp/out" "$tmp/first"
json 4 fsck --oxen repo
cmp "$tmp/first" "$tmp/out" || fail "two runs differ"
tree | diff "$tmp/before" - || fail "check mode changed something"
[ ! -e "$tmp/state" ] || fail "check mode made a state folder"

# Without a good copy: it stays, and a copy is in the quarantine. With one: healed, and clean afterwards.
ox 4 fsck --oxen repo --repair
out_has "no good copy was found"
[ "$(cat "$files/$hello")" = Hallo ] || fail "the damaged file was touched"
store $world 'Warld\n'
json 5 fsck --oxen repo --repair --from good
is 'd["result"] == "problems"' 'd["oxen"]["healed"] == "1"' 'd["oxen"]["quarantined"] == "2"' \
        'sorted(f["repaired"] for f in d["findings"] if f["severity"] == "error") == [False, True]'
[ "$(cat "$files/$hello")" = Hello ] || fail "not healed"
same "$(stat -c %a "$files/$hello")" 600 "mode of the healed file"
same "$(cat "$tmp"/state/oxen-lite/oxen/*/quarantine/*/data | sort | tr '\n' ' ')" "Hallo Warld " "the quarantine"
printf 'World\n' >good/world
ox 1 fsck --oxen repo --repair --from good
out_has "repaired: "
ox 0 fsck --oxen repo --repair --from good
out_has clean

# A quarantine elsewhere; never inside of the repository.
printf 'Hallo\n' >"$files/$hello"
ox 12 fsck --oxen repo --repair --from good --state repo/.oxen/state
err_has "[oxen-state]"
ox 1 fsck --oxen repo --repair --from good --state "$tmp/other state"
[ "$(cat "$tmp/other state"/*/quarantine/*/data)" = Hallo ] || fail "nothing in the other state folder"

# What cannot be read is exit 8, never damage; root reads everything, so it needs a folder that is not one for it.
printf '[storage]\nkind = "s3"\n' >>repo/.oxen/config.toml
ox 8 fsck --oxen repo
out_has "[unreadable]"
printf 'main\n' >repo/.oxen/HEAD
ox 12 fsck --oxen repo
out_has "[oxen-head-malformed]"
printf main >repo/.oxen/HEAD
printf 'min_version = "0.36.0"\n' >repo/.oxen/config.toml
if [ "$(id -u)" -ne 0 ]; then
        chmod 000 "$files/$world"
        tree >"$tmp/before"
        ox 8 fsck --oxen repo --repair --from good
        tree | diff "$tmp/before" - || fail "an unreadable file was touched"
        chmod 600 "$files/$world"
else
        not_tried "fsck --oxen of a file without read permission" "root may read it"
fi

# Wrong use, and places that are no Oxen repository.
ox 16 fsck --state state
ox 16 fsck --oxen repo --from good
ox 16 fsck --oxen repo --quick
ox 8 fsck --oxen good
err_has "[repository-not-found]"
ox 8 fsck --oxen repo --repair --from missing
json 8 fsck --oxen good
is 'd["error"]["code"] == "repository-not-found"'

# More than the budget: nothing is touched until --force says so.
rm -rf repo "$XDG_STATE_HOME"
mkdir -p repo/.oxen
printf main >repo/.oxen/HEAD
printf 'min_version = "0.36.0"\n' >repo/.oxen/config.toml
for id in 10 11 12 13 14 15 16 17; do
        store "$id/666c8f5aaf946ca629d9d20c29aa6a/data" "wrong $id"
done
store $hello 'Hallo\n'
tree >"$tmp/before"
ox 4 fsck --oxen repo --repair --from good
out_has "nothing was repaired: more than 5 items and 1 % of the versions are damaged"
tree >"$tmp/after"
same "$(cat "$tmp/before")" "$(cat "$tmp/after")" "the store beyond the budget"
[ ! -e "$XDG_STATE_HOME" ] || fail "state was made beyond the budget"
json 4 fsck --oxen repo --repair --from good
is 'd["oxen"]["over_budget"] is True' 'all(f["size"] and f["inode"] and f["mtime"] for f in d["findings"])'
json 5 fsck --oxen repo --repair --force --from good
is 'd["oxen"]["over_budget"] is False' 'd["oxen"]["healed"] == "1"' 'd["oxen"]["quarantined"] == "9"'
ox 16 fsck --oxen repo --force
