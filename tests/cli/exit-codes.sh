#!/bin/sh
# SPDX-License-Identifier: MIT
# Exit codes 0, 1, 2, 3, 5 and fsck's own; an output that cannot be written is a failure; what cannot be read is 8 and no damage.
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
        grep -q 'the output is not complete' "$tmp/err" || fail "'$command >/dev/full' advises: $(cat "$tmp/err")"
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

# fsck: what cannot be read (EIO) is 8, added to what else is wrong; it is no damage, and repair leaves it alone. What is whole is used.
if strace -o /dev/null true 2>/dev/null; then
        # failing WANTED_STATUS FILE ARGUMENT...: each read of FILE fails. (A leak cannot be looked for under ptrace.)
        failing() {
                wanted_status=$1 target=$PWD/$2
                shift 2
                run "$wanted_status" env ASAN_OPTIONS="${ASAN_OPTIONS-}:detect_leaks=0" strace -f -qq -o "$tmp/trace" -P "$target" \
                        -e trace=read,pread64 -e inject=read,pread64:error=EIO "$OXEN_LITE" "$@"
                grep -q INJECTED "$tmp/trace" || fail "nothing read $target: $*"
        }
        # whole FILE: it is there, with the bytes of before, and nothing was put aside
        whole() {
                cmp "$1" "$tmp/whole/$1" || fail "repair touched what could not be read: $1"
                [ -z "$(find .oxen-lite/quarantine -mindepth 1 2>/dev/null)" ] || fail "something is in quarantine"
        }
        mkdir "$tmp/failing"
        cd "$tmp/failing"
        ox init
        ox config pack_threshold 1000
        head -c 5000 /dev/zero >large
        printf small >small
        ox add -A
        ox commit -m one
        blob=$(find .oxen-lite/versions/files -name data)
        pack=$(find .oxen-lite/versions/packs -name '*.pack' | sort | head -n 1)
        cp -a . "$tmp/whole"
        for file in "$blob" "$pack" .oxen-lite/HEAD .oxen-lite/refs/heads/main .oxen-lite/config.json; do
                failing 8 "$file" fsck
                out_has "[unreadable]"
                out_has "Input/output error"
                out_lacks "is damaged"
                out_lacks "is missing"
                failing 8 "$file" fsck --repair --force
                whole "$file"
        done
        failing 8 "$blob" --json fsck
        is 'd["result"] != "clean"' '{f["slug"] for f in d["findings"]} == {"unreadable"}' 'd["findings"][0]["errno"] == "EIO"'
        printf 'x' | dd of=.oxen-lite/index bs=1 seek=3 conv=notrunc 2>/dev/null
        failing 12 "$blob" fsck
        failing 9 "$blob" fsck --repair --force
        cmp "$blob" "$tmp/whole/$blob" || fail "repair touched what could not be read"
        ox fsck
else
        not_tried "exit 8 of fsck with injected errors" "no strace, or ptrace is not allowed here"
fi
