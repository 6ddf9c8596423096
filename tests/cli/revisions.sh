#!/bin/sh
# SPDX-License-Identifier: MIT
# ls, cat, show, log: revisions, prefixes, paths, binary content.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

ox init
for n in 1 2 3; do
        printf '%s\n' "$n" >f
        mkdir -p "d$n"
        printf '%s' "$n" >"d$n/in"
        ox add -A
        ox commit -m "number $n"
done
json log
is True
python3 - "$tmp/out" >"$tmp/ids" <<'PYTHON'
import json, sys
print("\n".join(c["id"] for c in json.load(open(sys.argv[1]))["commits"]))
PYTHON
newest=$(sed -n 1p "$tmp/ids") oldest=$(sed -n 3p "$tmp/ids")
for rev in HEAD~2 HEAD^^ main~2 refs/heads/main~2 "$oldest" "$(printf %.8s "$oldest")" "$newest~2" "$(printf %.8s "$newest")^^"; do
        ox cat "$rev:f"
        out_is 1
        ox show "$rev"
        out_has "number 1"
        ox log "$rev"
        same "$(grep -c '^commit' "$tmp/out")" 1 "commits of $rev"
done
for rev in HEAD~3 HEAD~x nosuch 0000 "HEAD~99999999999999999999" "" "main~2^^" "a..b" "-1"; do
        status=0
        "$OXEN_LITE" show -- "$rev" >"$tmp/out" 2>"$tmp/err" || status=$?
        case $status in 1 | 2) ;; *) fail "exit $status for the revision '$rev'" ;; esac
done
ox log -n 1
out_has "commit $newest"
same "$(grep -c '^commit' "$tmp/out")" 1 "log -n 1"
ox log
same "$(grep -c '^commit' "$tmp/out")" 3 "log"
ox 2 log -n 0
ox 2 log -n x

ox ls HEAD~2
out_has " d1"
out_lacks " d2"
ox ls d2
out_has "d2/in"
ox ls -r HEAD d2
out_has "d2/in"
ox ls f
same "$(wc -l <"$tmp/out" | tr -d ' ')" 1 "lines of ls f"
ox 1 ls nosuch
ox 1 ls HEAD~2 d2
ox 2 ls a b c
ox 2 cat HEAD
ox 2 cat :f
ox 2 cat HEAD:
ox 1 cat HEAD:d1
err_has "[object-kind]"
ox 1 cat HEAD:nosuch
err_has "[path-not-found]"
ox 2 ls HEAD ../outside

python3 -c 'import sys; sys.stdout.buffer.write(bytes(range(256)) * 40000)' >bin
ln -s "d1/in" link
ox add bin link
ox commit -m binary
ox cat HEAD:bin
cmp bin "$tmp/out" || fail "binary content"
ox cat HEAD:link
printf 'd1/in' | cmp - "$tmp/out" || fail "target of a link"
ox show --color always
grep -q "$(printf '\033')" "$tmp/out" || fail "--color always"
ox show
! grep -q "$(printf '\033')" "$tmp/out" || fail "colours without a terminal"
