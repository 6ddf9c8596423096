#!/bin/sh
# SPDX-License-Identifier: MIT
# Names with newlines, blanks, leading dashes, control characters, of 255 bytes, not UTF-8; long paths.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

ox init
python3 - <<'PYTHON'
import os
names = [b"new\nline", b" blank ", b"-dash", b"--all", b"tab\there", b"\x1b[31mred", b"n" * 255, b"\xff\xfe", b"caf\xc3\xa9", b"a:b",
         b"back\\slash", b"'quote\"", b"*", b"\xe2\x80\xaegnp.exe", b"...", b"\x7f", b"#x", b"HEAD", b"con", b"a" * 200 + b"\xc3\xa9"]
for name in names:
    with open(name, "wb") as f:
        f.write(b"content of " + name)
path = b"/".join([b"deep" * 60] * 15)  # about 3,600 bytes
os.makedirs(path)
with open(path + b"/f", "wb") as f:
    f.write(b"deep\n")
# Longer than PATH_MAX: only relative steps reach it.
here = os.open(".", os.O_RDONLY)
os.mkdir("long")
os.chdir("long")
for _ in range(20):
    os.mkdir("x" * 250)
    os.chdir("x" * 250)
with open("end", "wb") as f:
    f.write(b"beyond PATH_MAX\n")
os.fchdir(here)
PYTHON
ox status
ox add -A
out_has "staged 22 files"
ox commit -m names
ox status
out_has clean

# Nothing in the output can begin a line or steer a terminal.
ox ls -r
out_has 'new\x0aline'
out_has '\x1b[31mred'
out_has '\x7f'
out_has '\xe2\x80\xae'
out_has 'café'
same "$(wc -l <"$tmp/out" | tr -d ' ')" 22 "lines of ls -r"
json ls -r
is "len(d['entries']) == 22" "'new\nline' in [e['path'] for e in d['entries']]" \
        "any(e.get('path_bytes') == '//4=' for e in d['entries'])" "'n' * 255 in [e['path'] for e in d['entries']]"

ox add -- -dash --all
ox 2 add -dash
ox cat "HEAD:$(printf '\377\376')"
printf 'content of \377\376' | cmp - "$tmp/out" || fail "cat of a name that is not UTF-8"
ox cat HEAD:a:b
printf 'content of a:b' | cmp - "$tmp/out" || fail "cat of a name with a colon"
# HEAD is a revision first; ./HEAD is the file.
ox ls ./HEAD
same "$(wc -l <"$tmp/out" | tr -d ' ')" 1 "lines of ls ./HEAD"

ox restore --to "$tmp/to"
(cd "$tmp/to/long" && i=0 && while [ "$i" -lt 20 ]; do
        cd -P ./x*
        i=$((i + 1))
done && grep -qx 'beyond PATH_MAX' end) || fail "the path beyond PATH_MAX"
rm -rf "$tmp/to/long" "$work/long"
same_tree "$work" "$tmp/to"

# A name for a message: one line, escaped.
ox 1 add "$(printf 'no\nsuch\033[31m')"
same "$(wc -l <"$tmp/err" | tr -d ' ')" 2 "lines of an error"
err_has 'no\x0asuch\x1b[31m'
fsck_clean
