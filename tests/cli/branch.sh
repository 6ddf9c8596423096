#!/bin/sh
# SPDX-License-Identifier: MIT
# branch and tag: making, listing, deleting; names; what is not merged is kept.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

ox --quiet init
ox 1 branch early
err_has "[no-commits]"
ox branch
out_has "* main (no commits yet)"
ox tag
silent_out
echo 1 >f
ox add f
ox commit -m one
ox branch topic
out_has "created branch topic at"
ox 1 switch topci
err_has "did you mean 'topic'? See oxen-lite branch"
ox 1 tag v2 nope
err_has "next: see oxen-lite branch, and oxen-lite tag"
ox 1 branch topic
err_has "[ref-exists]"
ox 1 branch topic/sub
err_has "[ref-conflict]"
ox branch like/b/c
ox 1 branch like/b
err_has "[ref-conflict]"
ox 2 branch abc123
err_has "[ref-name-invalid]"
for name in HEAD -x; do
        ox 2 branch -- "$name"
        err_has "[ref-name-invalid]"
        ox 2 tag -- "$name"
        err_has "[ref-name-invalid]"
        ox 2 switch -c -- "$name"
        err_has "[ref-name-invalid]"
done
ox 2 branch -d
json branch
is "[b['name'] for b in d['branches']] == ['like/b/c', 'main', 'topic']" "[b['current'] for b in d['branches']] == [False, True, False]"
ox 1 branch -d main
err_has "[branch-current]"
ox 1 branch -d nothing
err_has "[ref-not-found]"
ox branch -d like/b/c
[ ! -e .oxen-lite/refs/heads/like ] || fail "an empty folder of refs stays"
ox branch like
ox branch -d like

# Not merged: kept, unless another ref has it.
ox switch topic
echo 2 >f
ox commit -a -m two
ox switch main
ox 1 branch -d topic
err_has "[branch-unmerged]"
err_has "tag NAME BRANCH"
json tag keep topic
is "d['tag'] == 'keep'" "d['action'] == 'created'"
ox branch -d topic
out_has "deleted branch topic (was "
ox undo
ox branch
out_has topic
fsck_clean
ox tag -d keep
ox 1 branch -d topic
ox switch topic
ox branch -d main
ox undo

ox tag v1 HEAD~1
ox 1 tag v1
err_has "[ref-exists]"
ox 1 tag v2 nowhere
ox 2 tag -d
json tag
is "[t['name'] for t in d['tags']] == ['v1']"
json tag -d v1
is "d['action'] == 'deleted'"
ox undo
ox log v1
out_has one
json branch
is "all(len(b['commit']) == 64 for b in d['branches'])"
fsck_clean
