#!/bin/sh
# SPDX-License-Identifier: MIT
# rm and restore --staged.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

ox --quiet init
mkdir -p dir/deep
echo a >a
echo b >b
echo d >dir/deep/d
echo e >dir/e
ox add -A
ox commit -m one

ox rm b dir
out_has "staged the removal of 3 files; removed 3"
if [ -e b ] || [ -e dir ]; then fail "files or emptied folders stay"; fi
json status
is "[(e['path'], e['change']) for e in d['staged']] == [('b', 'removed'), ('dir/deep/d', 'removed'), ('dir/e', 'removed')]"
ox undo
[ "$(cat b)$(cat dir/deep/d)" = bd ] || fail "undo did not bring the files back"
ox status
out_has clean

# Changed content is stored, untracked files stay.
echo changed >b
touch dir/untracked
json rm b dir
is "d['files'] == '3'" "d['removed'] == '3'" "d['kept'] == '1'"
err_has "'b': removed; what it was is kept as blob"
[ -e dir/untracked ] || fail "an untracked file is gone"
blob=$(sed -n 's/.*oxen-lite cat \([0-9a-f]*\) >FILE.*/\1/p' "$tmp/err")
ox cat "$blob"
out_is changed
ox why "$blob"
out_has "(rm) keeps it"
ox undo
same "$(cat b)" changed "undo of rm"
json status
is "d['staged'] == []" "[e['path'] for e in d['changed']] == ['b']"
ox restore --force b

ox rm --cached a
[ -e a ] || fail "--cached removed the file"
json status
is "[(e['path'], e['change']) for e in d['staged']] == [('a', 'removed')]" "'a' in [e['path'] for e in d['untracked']]"
ox restore --staged a
ox 1 rm nothing
err_has "[path-not-found]"
ox 1 rm dir/untracked
ox 2 rm
rm b
ox rm b
json status
is "[e['path'] for e in d['staged']] == ['b']" "d['removed'] == []"

# restore --staged: of all kinds of staged changes.
echo new >new
echo more >>a
ox add new a
json restore --staged .
is "d['unstaged'] == '3'"
json status
is "d['staged'] == []" "[e['path'] for e in d['removed']] == ['b']" "[e['path'] for e in d['changed']] == ['a']"
ox undo
json status
is "[(e['path'], e['change']) for e in d['staged']] == [('a', 'modified'), ('b', 'removed'), ('new', 'added')]"
ox 2 restore --staged --force a
ox 1 restore --staged nothing
err_has "[path-not-found]"
ox restore --staged --source HEAD a
ox commit -m two
json log
is "len(d['commits']) == 2"
ox restore --staged --source HEAD~1 b
json status
is "[(e['path'], e['change']) for e in d['staged']] == [('b', 'added')]" "[e['path'] for e in d['removed']] == ['b']"

# A file where a folder was committed, and back.
ox restore --staged .
ox restore --force a
rm -r dir
echo file >dir
ox add -A
ox restore --staged dir/e
json status
is "[(e['path'], e['change']) for e in d['staged']] == [('dir/deep/d', 'removed')]"
ox undo
json status
is "[(e['path'], e['change']) for e in d['staged']] == [('dir', 'added'), ('dir/deep/d', 'removed'), ('dir/e', 'removed')]"
fsck_clean
