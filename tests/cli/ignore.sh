#!/bin/sh
# SPDX-License-Identifier: MIT
# .oxenliteignore: add, status and commit leave out what it names, as git would; what is tracked stays tracked.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

ox --quiet init
mkdir -p out/deep data
printf '*.o\n/out/\n!keep.o\n' >.oxenliteignore
printf '*.tmp\n!b.tmp\n' >data/.oxenliteignore
touch a.o keep.o out/x out/deep/y data/a.tmp data/b.tmp data/c.o data/d
json status
is "[e['path'] for e in d['untracked']] == ['.oxenliteignore', 'data/', 'keep.o']"
ox add -A
json status
is "[e['path'] for e in d['staged']] == ['.oxenliteignore', 'data/.oxenliteignore', 'data/b.tmp', 'data/d', 'keep.o']" \
        "d['untracked'] == []"
ox commit -m one

# Named: refused, whatever names it, unless forced.
ox 1 add a.o
err_has "[path-ignored]"
ox 1 add out
ox 1 add out/deep/y
ox 1 commit -m no data/a.tmp
err_has "[path-ignored]"
ox add --force out/deep
json status
is "[e['path'] for e in d['staged']] == ['out/deep/y']"

# What is tracked is not ignored: changes are seen and added, named or not.
ox commit -m two
echo changed >out/deep/y
touch out/deep/z
json status
is "[e['path'] for e in d['changed']] == ['out/deep/y']" "d['untracked'] == []"
ox add out/deep/y
json status
is "[e['path'] for e in d['staged']] == ['out/deep/y']"
echo again >out/deep/y
ox add -A
ox commit -m three
ox diff
silent_out
rm out/deep/y
ox add -A
json status
is "[(e['path'], e['change']) for e in d['staged']] == [('out/deep/y', 'removed')]"
ox commit -m four

# Files that are none: a link is not followed, a FIFO not waited for; limits are typed errors.
mkdir links pipe
ln -s ../.oxenliteignore links/.oxenliteignore
mkfifo pipe/.oxenliteignore
touch links/l.tmp pipe/p.tmp
json status
is "[e['path'] for e in d['untracked']] == ['links/', 'pipe/']"
rm -r links pipe
head -c 5000 /dev/zero | tr '\0' x >data/.oxenliteignore
ox 1 status
err_has "[limit]"
head -c 1048577 /dev/zero | tr '\0' '\n' >data/.oxenliteignore
ox 1 add -A
err_has "[limit]"

# A pattern that takes others for ever.
name=$(head -c 200 /dev/zero | tr '\0' a)
touch "data/$name"
python3 -c 'print("*a" * 1000 + "b"); print("**/" * 600 + "b*"); print(("a*" * 90 + "**/") * 20)' >data/.oxenliteignore
json status
is "'data/$name' in [e['path'] for e in d['untracked']]"

# As git, for random trees and patterns.
if command -v git >/dev/null; then
        rounds=8
        [ "${OXL_DEEP:-0}" != 1 ] || rounds=400
        run 0 python3 "$SRCDIR/tests/cli/ignore_git.py" "$OXEN_LITE" "$tmp/random" "$rounds" "${OXL_SEED:-1}"
        cat "$tmp/out"
        rm -rf "$tmp/random"
else
        not_tried "ignore files beside git's" "no git here"
fi
