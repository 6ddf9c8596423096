#!/bin/sh
# SPDX-License-Identifier: MIT
# Shell completion: bash is asked what it would offer; zsh and fish, where they are, read their files and fish answers, too.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

files=$BUILDDIR/completions
for file in oxen-lite _oxen-lite oxen-lite.fish; do
        [ -s "$files/$file" ] || fail "$file was not built"
done
mkdir "$tmp/bin"
ln -s "$OXEN_LITE" "$tmp/bin/oxen-lite"
PATH=$tmp/bin:$PATH

# offers WORD...: what bash would offer for the last one, one a line
offers() {
        bash -c '
                set -u
                . "$1" || exit 1
                shift
                COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
                _oxen_lite
                [[ ${#COMPREPLY[@]} -eq 0 ]] || printf "%s\n" "${COMPREPLY[@]}"
        ' bash "$files/oxen-lite" oxen-lite "$@" >"$tmp/out" 2>"$tmp/err" || fail "bash: $(cat "$tmp/err")"
        silent_err
}
# The whole answer, in any order.
all_are() {
        printf '%s\n' "$@" | sort >"$tmp/wanted"
        sort "$tmp/out" | diff -u "$tmp/wanted" - >&2 || fail "bash offers something else"
}

ox help
sed -n '/^Commands:/,/^$/s/^  \([a-z-]*\) .*/\1/p' "$tmp/out" >"$tmp/names"
[ -s "$tmp/names" ] || fail "no commands"
offers ""
cmp "$tmp/names" "$tmp/out" || fail "bash does not offer the commands of help"
offers stat
all_are status
offers help fsc
all_are fsck

# Every option that help names is offered, and nothing else.
while read -r name; do
        ox help "$name"
        sed -n '/^Options/,/^$/{s/^  \(-[A-Za-z]\).*/\1/p}' "$tmp/out" >"$tmp/wanted"
        sed -n '/^Options/,/^$/{s/^  \(-[A-Za-z],\|   \) \(--[a-z-]*\).*/\2/p}' "$tmp/out" >>"$tmp/wanted"
        offers "$name" -
        sort "$tmp/out" >"$tmp/offered"
        sort "$tmp/wanted" | diff -u - "$tmp/offered" >&2 || fail "$name: bash offers other options than help"
done <"$tmp/names"

# Values, after a blank and after =; arguments after options with values.
offers init --hash ""
all_are blake3 xxh3-128
offers --color = al
all_are always
offers -C /nowhere daemon st
all_are status
offers --color = always daemon pau
all_are pause

mkdir "a folder" other
touch "a file" another
offers add a
all_are "a file" "a folder" another
offers restore --to ""
all_are "a folder" other
offers fsck --jobs ""
silent_out

# Branches and tags; a name that a shell would run is not offered, and is not run.
ox init .
ox add -A
ox commit -m one
ox tag v1
ox branch side
hostile="x\$(touch\${IFS}$work/ran)"
"$OXEN_LITE" branch "$hostile" >/dev/null 2>&1 || echo "branch names of that kind are refused"
offers switch ""
all_are HEAD main side v1
[ ! -e ran ] || fail "a branch name was run"
offers log s
all_are side
ox tag v2
offers branch -d ""
all_are main side
offers tag -d ""
all_are v1 v2
offers tag --delete ""
all_are v1 v2
offers tag new s
all_are side
offers config user.
all_are user.email user.name

if command -v zsh >/dev/null; then
        zsh -n "$files/_oxen-lite" || fail "zsh does not read its file"
else
        not_tried "completion of zsh" "no zsh here"
fi
if command -v fish >/dev/null; then
        fish -c "source $files/oxen-lite.fish; complete -C 'oxen-lite stat'" | grep -q '^status' || fail "fish: no command"
        fish -c "source $files/oxen-lite.fish; complete -C 'oxen-lite init --hash '" | grep -qx 'blake3.*' || fail "fish: no value"
else
        not_tried "completion of fish" "no fish here"
fi
