#!/bin/sh
# SPDX-License-Identifier: MIT
# Exit codes 0, 1, 2, 3, 5 and fsck's own; an output that cannot be written is a failure.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

ox init
printf 1 >a
ox add a
ox commit -m one
ox 5 commit -m two
err_has "[nothing-to-commit]"
ox 1 add nothing
err_has "oxen-lite: 'nothing' is not there [path-not-found]"
err_has "  next: "
ox 2 add
ox 2 commit
ox 2 nonsense
ox 1 -C / status
err_has "[repository-not-found]"
ox 8 -C / fsck
ox 16 fsck --nonsense
ox 16 fsck extra
ox fsck

for command in "log" "ls" "cat HEAD:a" "status" "show" "help" "version" "fsck" "config" "--json log"; do
        # shellcheck disable=SC2086 # words
        status=0
        # shellcheck disable=SC2086
        "$OXEN_LITE" $command >/dev/full 2>"$tmp/err" || status=$?
        case $command in fsck) wanted=8 ;; *) wanted=1 ;; esac
        same "$status" $wanted "exit code of '$command >/dev/full'"
        grep -q 'standard output.*\[file-write\]' "$tmp/err" || fail "'$command >/dev/full' says: $(cat "$tmp/err")"
done

# The commit is made; that its line was not seen is said by the exit code.
printf 2 >a
status=0
"$OXEN_LITE" commit -am two >/dev/full 2>"$tmp/err" || status=$?
same "$status" 1 "exit code of commit >/dev/full"
ox log -n 1
out_has "    two"

# A reader that goes away: no message, no success.
python3 - "$OXEN_LITE" <<'PYTHON' || fail "closed pipe"
import os, subprocess, sys
r, w = os.pipe()
os.close(r)
p = subprocess.run([sys.argv[1], "log"], stdout=w, stderr=subprocess.PIPE)
assert p.returncode == 1 and p.stderr == b"", (p.returncode, p.stderr)
PYTHON

# Damage is 3, and nothing of it is handed out.
pack=$(find .oxen-lite/versions/packs -name '*.pack' | sort | head -n 1)
chmod u+w .oxen-lite/HEAD
printf 'x' | dd of=.oxen-lite/HEAD bs=1 seek=3 conv=notrunc 2>/dev/null
ox 3 log
err_has "oxen-lite fsck"
ox 4 fsck
out_has "[head-damaged]"
[ -n "$pack" ] || fail "no pack"
