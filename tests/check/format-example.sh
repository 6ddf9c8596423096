#!/bin/sh
# SPDX-License-Identifier: MIT
# The repository of docs/FORMAT.md section 9, rebuilt from the text: the independent reader finds every id and seal right, and fsck's
# opinion of it is the same but for the journal, which the text does not hold. One changed digit is found.
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
dump=$SRCDIR/tests/check/dump_repository.py
reader=$SRCDIR/tests/check/read_repository.py
mkdir "$here/good" "$here/bad"
python3 "$dump" --rebuild "$SRCDIR/docs/FORMAT.md" "$here/good"
python3 "$reader" "$here/good"
[ "$("$OXEN_LITE" -C "$here/good" cat HEAD:three)" = abc ]
[ "$("$OXEN_LITE" -C "$here/good" cat HEAD:five | wc -c)" -eq 5242880 ]
# the first payload byte of the commit's message: "An example"
sed 's/^\(0[0-9a-f]*  \)41 6e 20 65 78 61 6d 70 6c 65/\141 6e 20 65 78 61 6d 70 6c 66/' "$SRCDIR/docs/FORMAT.md" >"$here/changed.md"
if cmp -s "$SRCDIR/docs/FORMAT.md" "$here/changed.md"; then
        echo "format-example: the text has no commit to change" >&2
        exit 1
fi
python3 "$dump" --rebuild "$here/changed.md" "$here/bad"
if python3 "$reader" "$here/bad"; then
        echo "format-example: a changed byte was not noticed" >&2
        exit 1
fi
