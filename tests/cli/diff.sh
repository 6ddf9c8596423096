#!/bin/sh
# SPDX-License-Identifier: MIT
# diff: letters, sizes, kinds; commits, index and working tree.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

ox --quiet init
ox 1 diff HEAD
ox diff
silent_out
ox diff --staged
silent_out
printf first >first
ox add first
ox diff --staged
out_is "A first 5 bytes"
ox 1 diff --staged HEAD
ox rm --cached first
rm first
printf 12345 >mod
printf 1 >del
printf '#!' >tool
printf x >turn
mkdir sub
printf s >sub/s
ox add -A
ox commit -m one
ox diff
silent_out
printf 123456789 >mod
rm del
chmod +x tool
rm turn
ln -s mod turn
printf n >sub/new
ox diff
out_is "D del 1 byte
M mod 5 bytes -> 9 bytes
X tool file -> executable
T turn file -> symlink"
ox diff --staged
silent_out
json diff
is "[(r['status'], r['path']) for r in d['differences']] == [('D', 'del'), ('M', 'mod'), ('X', 'tool'), ('T', 'turn')]" \
        "d['differences'][0]['new'] is None" "d['differences'][1]['new'] == {'kind': 'file', 'size': '9', 'id': None}" \
        "len(d['differences'][1]['old']['id']) == 64"
ox add -A
ox diff
silent_out
ox diff --staged
out_is "D del 1 byte
M mod 5 bytes -> 9 bytes
A sub/new 1 byte
X tool file -> executable
T turn file -> symlink"
printf 1234567890 >mod # not staged: another size in the working tree alone
ox diff --cached HEAD
out_has "M mod 5 bytes -> 9 bytes"
printf 123456789 >mod
json diff --staged
is "[r['status'] for r in d['differences']] == ['D', 'M', 'A', 'X', 'T']" \
        "d['differences'][0]['new'] is None" "len(d['differences'][1]['new']['id']) == 64"
ox diff HEAD
out_is "D del 1 byte
M mod 5 bytes -> 9 bytes
A sub/new 1 byte
X tool file -> executable
T turn file -> symlink"
ox commit -m two
ox diff HEAD
silent_out
ox diff --staged
silent_out
ox diff --staged HEAD~1
out_has "D del 1 byte"
out_has "A sub/new 1 byte"
ox 1 diff --staged nowhere
ox 2 diff --staged HEAD HEAD
ox diff HEAD~1 HEAD
out_is "D del 1 byte
M mod 5 bytes -> 9 bytes
A sub/new 1 byte
X tool file -> executable
T turn file -> symlink"
ox diff HEAD HEAD~1
out_has "A del 1 byte"
out_has "D sub/new 1 byte"
ox rm --cached sub/s
ox diff HEAD
out_is "D sub/s 1 byte"
ox diff
silent_out
rm mod
mkdir mod
ox diff
out_is "D mod 9 bytes"
ox 1 diff nowhere
ox 2 diff a b c
json 1 diff HEAD nowhere
is "d['differences'] == []"
if [ "$(id -u)" -ne 0 ]; then
        rmdir mod
        printf abc >mod
        chmod 0 mod
        printf changed >tool
        ox 1 diff
        out_has "M tool"
        err_has "'mod': cannot be read"
fi
