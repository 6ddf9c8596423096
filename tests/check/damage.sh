#!/bin/sh
# SPDX-License-Identifier: MIT
# fsck from outside: exit codes, JSON, what each problem tells, and that check mode changes nothing.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

# spoil FILE: turns the bits of its byte number 100
spoil() {
        chmod u+w "$1"
        byte=$(od -An -tu1 -j100 -N1 "$1" | tr -d ' ')
        # shellcheck disable=SC2059 # the format is the byte
        printf "\\$(printf %o $((255 - byte)))" | dd of="$1" bs=1 seek=100 conv=notrunc 2>/dev/null
}

# tree: names and digests of all files of the repository
tree() {
        find .oxen-lite -type f | sort | xargs sha256sum
}

ox init
ox config pack_threshold 1000
mkdir folder
head -c 3000 /dev/zero | tr '\0' 'a' >folder/large
printf small >small
ox add folder small
ox commit -m one
tree >"$tmp/before"
ox 0 fsck
out_has clean
tree >"$tmp/after"
cmp "$tmp/before" "$tmp/after" || fail "a clean check changed something"

# A damaged blob: exit 4, the paths that need it, the same id twice, nothing changed.
blob=$(find .oxen-lite/versions/files -name data)
spoil "$blob"
tree >"$tmp/before"
ox 4 fsck
out_has blob-damaged
out_has blob-missing
out_has ":folder/large"
json 4 fsck
grep -o '"id":"[^"]*"' "$tmp/out" >"$tmp/ids"
json 4 fsck
grep -o '"id":"[^"]*"' "$tmp/out" | cmp - "$tmp/ids" || fail "ids differ from run to run"
tree >"$tmp/after"
cmp "$tmp/before" "$tmp/after" || fail "check mode changed something"
ox 0 fsck --quick
spoil "$blob"
ox 0 fsck

# A repository that open refuses is checked all the same.
cp .oxen-lite/format "$tmp/format"
chmod u+w .oxen-lite/format
echo broken >.oxen-lite/format
ox 3 status
ox 4 fsck
out_has format-damaged
out_has "1 commit"
cp "$tmp/format" .oxen-lite/format
ox 0 fsck

# Each problem can explain itself, and the documentation knows it.
# shellcheck disable=SC2016 # no expansion: Markdown
sed -n 's/^### `\(.*\)`$/\1/p' "$SRCDIR/docs/FSCK.md" >"$tmp/slugs"
[ "$(wc -l <"$tmp/slugs")" -gt 30 ] || fail "docs/FSCK.md lists too few problems"
while read -r slug; do
        ox fsck --explain "$slug"
        out_has "$slug"
done <"$tmp/slugs"
ox 16 fsck --explain no-such-problem
