#!/bin/sh
# SPDX-License-Identifier: MIT
# Every command has help, works with --help, and is in the list; nothing needs a repository for that.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

ox help
names=$(sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' "$tmp/out")
same "$(printf '%s\n' "$names" | wc -l | tr -d ' ')" "$(grep -c '^        { "[a-z]*", cmd_' "$SRCDIR/cli/main.c")" \
        "number of commands"
same "$(printf '%s\n' "$names" | sort)" "$names" "order of the commands"
for name in $names; do
        ox help "$name"
        cp "$tmp/out" "$tmp/first"
        out_has "usage: oxen-lite $name"
        out_has "Exit codes:"
        out_has "Example:"
        out_has "--json"
        silent_err
        ox "$name" --help
        cmp "$tmp/first" "$tmp/out" || fail "help $name and $name --help differ"
        ox --help "$name"
        cmp "$tmp/first" "$tmp/out" || fail "help $name and --help $name differ"
        ox "$name" -h
        [ "$(wc -L <"$tmp/out")" -le 120 ] || fail "help $name has long lines"
        [ -s "$SRCDIR/schema/json/$name.json" ] || fail "$name has no schema"
        grep -q "^        $name) " "$BUILDDIR/completions/oxen-lite" || fail "$name has no completion"
        page=$BUILDDIR/man/man1/oxen-lite-$name.1
        [ ! -e "$BUILDDIR/man/stamp" ] || [ -s "$page" ] || fail "$name has no man page"
        # Each option is in the page, where roff writes a dash as \-
        sed -n '/^Options/,/^$/{s/^  \(-[A-Za-z],\|   \) \(--[a-z-]*\).*/\2/p}' "$tmp/first" >"$tmp/options"
        while read -r option; do
                [ ! -e "$page" ] || sed 's/\\-/-/g' "$page" | grep -q -e "$option" || fail "$page lacks $option"
        done <"$tmp/options"
done
for page in "$BUILDDIR"/man/man1/oxen-lite-*.1; do
        name=${page##*/oxen-lite-}
        [ ! -e "$page" ] || printf '%s\n' "$names" | grep -qx "${name%.1}" || fail "$page: there is no such command"
done
ox help fsck
out_has "16 usage"
ox --help
out_has "Commands:"
ox --version
out_has "oxen-lite "
ox version
grep -qx 'oxen-lite [0-9]*\.[0-9]*\.[0-9]* (repository format 1)' "$tmp/out" || fail "version: $(cat "$tmp/out")"

ox 2 help nonsense
err_has "[usage]"
ox 2 help comit
err_has "did you mean 'commit'?"
ox 2 comit
err_has "did you mean 'commit'?"
ox 16 fsck --repai
err_has "unknown option '--repai' for fsck; did you mean '--repair'?"
ox 2 status --jsno
err_has "did you mean '--json'?"
ox 2 status --nonsense
err_lacks "did you mean"

# Alone: the ten most useful.
ox 2
silent_out
same "$(grep -c "^  [a-z]*  " "$tmp/err")" 10 "commands of the short help"
