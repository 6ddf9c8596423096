#!/bin/sh
# SPDX-License-Identifier: MIT
# Errors of the command line: exit 2, a sentence, where to look.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

ox init
ox 2 stauts
err_has "no command 'stauts'; did you mean 'status'? [usage]"
err_has "  next: see oxen-lite help"
ox 2 xyzzy
err_has "no command 'xyzzy' [usage]"
ox 2 "$(printf 'bad\033[31m')"
err_has 'bad\x1b[31m'
ox 2 log --nonsense
err_has "unknown option '--nonsense' for log [usage]"
err_has "next: see oxen-lite help log"
ox 2 log -z
err_has "unknown option '-z'"
ox 2 --nonsense log
ox 2 add -A --all=yes
err_has "takes no value"
ox 2 commit -m
err_has "needs a value"
ox 2 restore --source
ox 2 --wait soon status
err_has "--wait takes a number of seconds"
ox 2 --wait= status
ox 2 --wait -1 status
ox 2 --wait 99999999999999999999 status
ox 2 --color sometimes status
ox 2 init --hash md5 x
[ ! -e x ] || fail "a wrong --hash made a folder"
ox 2 status extra
err_has "unexpected argument 'extra'"
ox 2 cat
ox 2 add
err_has "-A"
ox 2 commit
err_has "commit needs a message: -m MSG"
for empty in "" " " "
"; do
        ox 2 commit -m "$empty"
        err_has "empty"
done
ox 2 daemon status --watch somewhere
err_has "leave 'somewhere' out"
ox 2 add ../outside
err_has "[path-invalid]"
ox 2 config a b c
ox 2 config --edit x

# What is right: clusters, joined values, options before and after, -- ends them.
printf 1 >a
ox add a
ox --wait=forever --color=never commit -am joined
printf 2 >a
ox commit -amtwo
out_has "] two"
ox log -n1 --quiet
ox --no-progress --quiet -C. log -n 1
out_has "    two"
printf 3 >--json
ox add -- --json
ox status
out_has "added     --json"
ox --quiet commit -m quiet
silent_out
