#!/bin/sh
# SPDX-License-Identifier: MIT
# The way of a file: init, add, status, commit, log, show, ls, cat, change, remove, restore.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

ox init
out_has "made a repository in $work"
ox status
out_has "on main, no commits yet"
out_has clean
ox 5 commit -m nothing
err_has "[nothing-to-commit]"
err_has "  next: "

printf 'one\n' >a
mkdir -p d/e
printf 'two\n' >d/b
printf 'three\n' >d/e/c
ox status
out_has "untracked:"
out_has "  a"
out_has "  d/"
out_has "oxen-lite add PATH"
ox add -A
out_has "staged 3 files"
ox status
out_has "staged:"
out_has "added     d/e/c"
out_lacks "untracked:"
ox commit -m "First message" -m "Second paragraph."
sed -n 1p "$tmp/out" | grep -qx '\[main [0-9a-f]\{12\}\] First message' || fail "the line of commit: $(cat "$tmp/out")"
same "$(wc -l <"$tmp/out" | tr -d ' ')" 1 "lines of commit"
silent_err
ox status
out_is "on main
clean: nothing to commit"

ox log
out_has "Author: Ada <ada@example.org>"
out_has "    First message"
out_has "    Second paragraph."
ox ls
out_has " a"
out_has "d "
out_lacks "d/e/c"
ox ls -r
out_has " d/e/c"
ox cat HEAD:d/b
out_is two

printf 'one and more\n' >a
rm d/b
ox status
out_has "changed:"
out_lacks "clean: "
out_has "removed:"
ox commit -am "Change and remove"
ox show
out_has "M a"
out_has "D d/b"
out_lacks "d/e/c"
ox show HEAD~1
out_has "A d/b"

# Commit of paths: only these, whatever else changed.
printf 'x\n' >a
printf 'y\n' >new
printf 'z\n' >d/e/c
ox commit -m "Only new and a" new a
ox show
out_has "A new"
out_has "M a"
out_lacks "d/e/c"
ox status
out_has "d/e/c"
ox commit -am rest

# Removals are staged by add -A.
rm new
ox add -A
out_has "1 removed"
ox commit -m "Remove new"
ox status
out_has clean
ox commit --allow-empty -m "Nothing, on purpose"
ox log -n 2
same "$(grep -c '^commit ' "$tmp/out")" 2 "log -n 2"

# From a folder below, paths count from there.
cd d
printf 'below\n' >here
ox add here
cd e
ox commit -m "From below"
ox cat HEAD:d/here
out_is below
ox cat HEAD:../here
out_is below
cd "$work"
ox -C d cat HEAD:./here
out_is below

# A second init changes nothing.
ox 1 init
err_has "[repository-exists]"
ox init other/place
[ -d other/place/.oxen-lite ] || fail "init DIR"
fsck_clean
ox recover
out_is "nothing to recover"
