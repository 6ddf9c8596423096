#!/bin/sh
# SPDX-License-Identifier: MIT
# A repository of another user is refused without --trust, also for root.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

root_only
cp "$OXEN_LITE" "$tmp/program"
ox init
printf 1 >a
ox add a
ox commit -m one
chmod 755 "$work"
cp -a "$work" "$tmp/theirs"
chown -R 65534:65534 "$tmp/theirs"

cd "$tmp/theirs"
for words in status log "cat HEAD:a" "add a" "config" "recover"; do
        # shellcheck disable=SC2086 # words
        ox 1 $words
        err_has "[repository-untrusted]"
        err_has "--trust"
done
ox 8 fsck
err_has "[repository-untrusted]"
ox --trust status
ox log --trust
ox --trust fsck
run 0 nobody "$tmp/program" status
run 0 nobody "$tmp/program" log

cd "$work"
run 1 nobody "$tmp/program" status
err_has "[repository-untrusted]"
run 0 nobody "$tmp/program" --trust log
out_has "    one"
mkdir "$tmp/for-nobody"
chown 65534:65534 "$tmp/for-nobody"
run 0 nobody "$tmp/program" --trust restore --to "$tmp/for-nobody"
same "$(cat "$tmp/for-nobody/a")" 1 "restore --to from a repository that may only be read"
run 1 nobody "$tmp/program" --trust restore --force a
err_has "Permission denied"
