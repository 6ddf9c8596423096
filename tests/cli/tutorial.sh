#!/bin/sh
# SPDX-License-Identifier: MIT
# docs/TUTORIAL.md, command by command: what it shows is what happens, up to the healed bit flip.
# To record it again: python3 tests/cli/tutorial.py docs/TUTORIAL.md --write, in an empty folder with oxen-lite in PATH.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

unset OXEN_LITE_AUTHOR
mkdir "$tmp/bin"
ln -s "$OXEN_LITE" "$tmp/bin/oxen-lite"
PATH=$tmp/bin:$PATH
# What it uses is in the help: each command, and each of its options.
# shellcheck disable=SC2016
sed -n '/^```console/,/^```$/s/^\$ oxen-lite \(-C [^ ]* \)\{0,1\}\([a-z]*\)\(.*\)/\2\3/p' "$SRCDIR/docs/TUTORIAL.md" >"$tmp/used"
while read -r name rest; do
        ox help "$name"
        for word in $rest; do
                case $word in
                --[a-z]*) out_has "${word%%=*}" ;;
                esac
        done
done <"$tmp/used"
python3 "$SRCDIR/tests/cli/tutorial.py" "$SRCDIR/docs/TUTORIAL.md" >&2 || fail "the tutorial shows something else"
python3 "$SRCDIR/tests/cli/html_check.py" letters/report.html Healthy >&2 || fail "the report of the tutorial"
