#!/bin/sh
# SPDX-License-Identifier: MIT
# switch: files, folders, kinds; what stands in the way is refused and named, or stored first; carried changes.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

ox --quiet init
ox config pack_threshold 65536
mkdir -p sub gone/deep
echo one >a
echo b >sub/b
echo d >gone/deep/d
echo same >same
echo f >was-file
mkdir was-folder
echo x >was-folder/x
ln -s a link
printf '#!/bin/sh\n' >tool
chmod +x tool
head -c 70000 /dev/zero | tr '\0' 1 >large
ox add -A
ox commit -m one
cp -a . "$tmp/one"

ox switch -c topic
out_has "switched to topic"
ox 1 switch -c topic
err_has "[ref-exists]"
ox 2 switch -c 'no good'
ox 1 switch nowhere
err_has "[ref-not-found]"
echo two >a
rm -r gone was-file was-folder link
mkdir was-file new
echo y >was-file/y
echo now >was-folder
ln -s sub link
chmod -x tool
echo n >new/n
head -c 70000 /dev/zero | tr '\0' 2 >large
ox add -A
ox commit -m two
cp -a . "$tmp/two"

ox switch main
out_has "switched to main"
same_tree . "$tmp/one"
[ ! -e new ] || fail "an emptied folder stays"
ox status
out_has "clean"
ox switch topic
same_tree . "$tmp/two"
[ ! -e gone ] || fail "emptied folders stay"
ox status
out_has clean
ox switch topic
out_has "already on topic"
json branch
is "[(b['name'], b['current']) for b in d['branches']] == [('main', False), ('topic', True)]"

# Refused: changed, staged, untracked in the way; nothing is written.
echo mine >a
ox 1 switch main
err_has "'a': has changes that would be lost"
err_has "[path-modified]"
ox add a
ox 1 switch main
err_has "'a': has staged changes that would be lost"
ox restore --staged a
ox restore --force a
mkdir -p gone/deep
echo untracked >gone/deep/d
ox 1 switch main
err_has "'gone/deep/d': is not tracked and would be overwritten"
err_has "[path-in-way]"
rm -r gone
echo file >gone
ox 1 switch main
err_has "'gone': is not tracked"
rm gone
touch was-file/untracked
ox 1 switch main
err_has "'was-file/untracked': is not tracked"
ox 1 switch --force main
rm was-file/untracked
mkfifo gone
ox 1 switch main
rm gone
same_tree . "$tmp/two"
ox status
out_has clean

# Carried: changes of what both have, staged or not; a deleted file is no loss.
echo changed >same
echo staged >sub/b
echo new >extra
ox add sub/b extra
rm large
ox switch main
same "$(cat same)" changed "unstaged change"
json status
is "[(e['path'], e['change']) for e in d['staged']] == [('extra', 'added'), ('sub/b', 'modified')]" \
        "[e['path'] for e in d['changed']] == ['same']" "d['removed'] == []"
ox switch topic
json status
is "[(e['path'], e['change']) for e in d['staged']] == [('extra', 'added'), ('sub/b', 'modified')]"
ox restore --staged .
ox restore --force .
rm extra

# Already as there: not in the way.
cp "$tmp/one/a" a
ox switch main
same_tree . "$tmp/one"

# Staged as there, and staged over a folder that comes.
cp "$tmp/two/a" a
ox add a
ox switch topic
ox status
out_has clean
ox switch main
echo in-way >new
ox add new
ox 1 switch topic
err_has "'new': has staged changes that would be lost"
rm new

# Forced: stored, named, and to be had again.
echo in-way >new
echo mine >a
ox switch --force topic
same_tree . "$tmp/two"
err_has "'a': overwritten; what it was is kept as blob"
err_has "'new': no longer staged; what was staged is kept as blob"
ox status
out_has clean
ox switch main
same_tree . "$tmp/one"

# Detached.
ox tag v1
id=$(sed -n 's/.* at //p' "$tmp/out")
ox switch v1
err_has "is no branch"
json status
is "d['branch'] is None"
ox branch
out_has "* (HEAD is no branch) $id"
echo loose >a
ox commit -a -m loose
out_has "[HEAD "
ox switch topic
same_tree . "$tmp/two"
ox switch main
ox branch v1
err_has "both a branch and a tag"
ox switch v1
err_has "the branch is meant"
ox switch main
ox branch -d v1
fsck_clean

# An unborn branch.
mkdir "$tmp/empty"
cd "$tmp/empty"
ox --quiet init
ox switch -c first
echo 1 >f
ox add f
ox commit -m f
out_has "[first "
json branch
is "[(b['name'], b['current']) for b in d['branches']] == [('first', True)]"
ox 1 switch main
err_has "[ref-not-found]"
fsck_clean
json switch -c second
is "d['branch'] == 'second'" "d['files'] == d['removed'] == '0'"
json 1 switch main
is "d['error']['code'] == 'ref-not-found'"

# Content that is damaged in the store: refused before anything moves, also with --force; undo of a switch does the same.
mkdir "$tmp/damaged"
cd "$tmp/damaged"
ox --quiet init
printf 'one\n' >a
printf 'one\n' >b
ox add -A
ox commit -m one
ox switch -c topic
printf 'content that gets damaged\n' >a
printf 'two\n' >b
ox commit -am two
ox switch main
python3 - <<'PYTHON' || fail "nothing was damaged"
import glob, os
hit = 0
for path in glob.glob(".oxen-lite/versions/packs/*.pack"):
    data = open(path, "rb").read()
    if b"gets damaged" in data:
        os.chmod(path, 0o644)
        open(path, "r+b").write(data.replace(b"gets damaged", b"got damaged!"))
        hit += 1
assert hit == 1, hit
PYTHON
for words in "switch topic" "switch --force topic" undo; do
        # shellcheck disable=SC2086 # words
        ox 3 $words
        err_has "'a': cannot be written: its content is damaged or missing in the store"
        err_lacks "'b'"
        err_has "is damaged: should hash to"
        same "$(head -n 1 .oxen-lite/HEAD)" "ref: refs/heads/main" "HEAD"
        same "$(cat a) $(cat b)" "one one" "the files"
        ox status
        out_has clean
done
printf 'content that gets damaged\n' >a
ox switch topic # what is there already is not written
same "$(cat b)" two "the other file"
