#!/bin/sh
# SPDX-License-Identifier: MIT
# op log and undo: every verb that moved HEAD, a ref or the index, there and back; refusals.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

# What undo promises to bring back: HEAD, refs, and what is staged.
state() {
        {
                ox branch
                cat "$tmp/out"
                ox tag
                cat "$tmp/out"
                ox --json status
                python3 -c 'import json,sys; d = json.load(sys.stdin); print(d["branch"], d["commit"], d["staged"])' <"$tmp/out"
        } >"$tmp/$1"
}
# there_and_back WHAT ARGUMENT...: the operation, its undo, the undo of that
there_and_back() {
        what=$1
        shift
        state before
        ox "$@"
        state after
        ! cmp -s "$tmp/before" "$tmp/after" || fail "$what did nothing"
        ox undo
        state undone
        diff "$tmp/before" "$tmp/undone" || fail "undo of $what"
        ox undo
        state again
        diff "$tmp/after" "$tmp/again" || fail "undo of undo of $what"
        ox fsck --quick
}

ox --quiet init
ox 1 undo
err_has "[operation-not-found]"
echo 1 >a
echo 2 >b
there_and_back "the first add" add -A
there_and_back "the first commit" commit -m one
echo changed >a
echo c >c
there_and_back "add" add a
there_and_back "commit PATH" commit -m two a
echo again >a
rm b
there_and_back "add -A" add -A
there_and_back "restore --staged" restore --staged b
there_and_back "commit of what is staged" commit -m three
echo more >>a
there_and_back "commit -a over a staged file" commit -a -m four
there_and_back "commit --allow-empty" commit --allow-empty -m five
there_and_back "branch" branch topic
there_and_back "branch -d" branch -d topic
there_and_back "tag" tag v1 HEAD~1
there_and_back "tag -d" tag -d v1
there_and_back "switch -c" switch -c topic
echo t >t
ox add t
there_and_back "commit on a branch" commit -m six
there_and_back "switch" switch main
[ ! -e t ] || fail "t is there on main"
there_and_back "rm" rm a
[ ! -e a ] || fail "a is there"
there_and_back "rm --cached" rm --cached c
ox undo

there_and_back "switch to a commit" switch HEAD~1
ox switch main
ox op log
out_has "undo"
ox op log -n 2
same "$(wc -l <"$tmp/out" | tr -d ' ')" 2 "rows"
json op log
is "[int(o['id']) for o in d['operations']] == sorted((int(o['id']) for o in d['operations']), reverse=True)" \
        "d['operations'][-1]['verb'] == 'add'" "all(o['undoable'] for o in d['operations'])"
ox 2 op
ox 2 op nonsense

# Refused: what moved since, what moved nothing, what is not there.
ox config user.name Ada
ox op log -n 1
out_has "cannot be undone"
json op log -n 1
id=$(python3 -c 'import json,sys; print(json.load(sys.stdin)["operations"][0]["id"])' <"$tmp/out")
ox 1 undo "$id"
err_has "[operation-not-undone]"
err_has "neither HEAD nor a ref nor the index"
ox undo # what came before it
out_lacks config
ox undo
ox 1 undo 1
err_has "[operation-not-undone]"
ox 1 undo 99999
err_has "[operation-not-found]"
ox 2 undo nonsense
ox branch other
ox switch other
json op log
is "d['operations'][1]['verb'] == 'branch'"
id=$(python3 -c 'import json,sys; print(json.load(sys.stdin)["operations"][1]["id"])' <"$tmp/out")
ox 1 undo "$id"
err_has "the current one"
ox switch main
ox undo "$id"
ox branch
out_lacks other

# Undo of a switch refuses to lose a file; with --force it is stored.
ox switch topic
ox switch main
printf 'local' >b2
echo mine >t
ox 1 undo
err_has "'t': is not tracked and would be overwritten"
err_has "[path-in-way]"
same "$(cat t)" mine "the file in the way"
json undo --force
is "d['kept'] == '1'" "d['verb'] == 'switch'"
err_has "'t': overwritten; what it was is kept as blob"
same "$(cat t)" t "the file of the branch"
ox undo
same "$(cat t)" mine "undo of a forced undo"
rm t
fsck_clean

# What the index would name again must be there.
ox config pack_threshold 0
printf 'first of them' >lost
ox add lost
blob=$(find .oxen-lite/versions/files -name data -newer lost)
printf 'second of them' >lost
ox add lost
rm -f "$blob"
ox 3 undo
err_has "'lost': cannot be staged: its content is missing in the store"
err_has "[object-missing]"
ox diff --staged
printf 'first of them' >lost
ox add lost
ox undo
fsck_clean
