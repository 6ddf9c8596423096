#!/bin/sh
# SPDX-License-Identifier: MIT
# What verbs keep of changes that they replace: op log names it, cat hands it out, undo writes it back, gc keeps it for gc.keep_days.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

ox --quiet init
printf 'committed\n' >a
printf '#!/bin/sh\n' >run
ln -s a link
ox add -A
ox commit -m one
ox switch -c topic
printf 'topic\n' >a
printf 'new\n' >new
ox add -A
ox commit -m two
ox switch main
printf 'LOCAL\n' >a
printf 'UNTRACKED\n' >new
ox 1 switch topic
ox switch --force topic
same "$(cat a) $(cat new)" "topic new" "the forced switch"
json op log -n 1
is "[k['path'] for k in d['operations'][0]['kept']] == ['a', 'new']" "all(len(k['blob']) == 64 for k in d['operations'][0]['kept'])"
blob=$(python3 -c 'import json,sys; print(json.load(sys.stdin)["operations"][0]["kept"][1]["blob"])' <"$tmp/out")
ox op log -n 1
out_has "kept new: oxen-lite cat $blob >FILE"
ox cat "$(printf %.8s "$blob")"
out_is UNTRACKED
json cat "$blob"
is "d['blob'] == '$blob'"
ox 1 cat "$(printf %.7s "$blob")"
err_has "at least 8 digits"
ox 1 cat 0123456789abcdef
err_has "no blob begins like this"
json log -n 1
ox 1 cat "$(python3 -c 'import json,sys; print(json.load(sys.stdin)["commits"][0]["id"])' <"$tmp/out")"
err_has "[object-kind]"
ox undo
same "$(cat a) $(cat new)" "LOCAL UNTRACKED" "undo of a forced switch"
json status
is "d['branch'] == 'main'" "d['staged'] == []" "[e['path'] for e in d['changed']] == ['a']" "[e['path'] for e in d['untracked']] == ['new']"
ox undo
same "$(cat a) $(cat new)" "topic new" "undo of the undo"
ox status
out_has clean
ox undo
same "$(cat a) $(cat new)" "LOCAL UNTRACKED" "and back again"
printf 'PRECIOUS\n' >a
ox 1 undo
err_has "[path-modified]"
same "$(cat a)" PRECIOUS "undo refuses"
ox --quiet restore --force a
chmod +x run
ln -sf elsewhere link
ox rm run link
ox undo
[ -x run ] || fail "the executable bit is lost"
same "$(readlink link)" elsewhere "the changed link"
ox rm run link
ox undo --force
ox restore --force run link

# A long list is a blob of its own, which gc keeps as well.
mkdir many
for i in $(seq 300); do echo "$i" >"many/file-$i"; done
ox --quiet add many
ox commit -m many
for i in $(seq 300); do echo "changed $i" >"many/file-$i"; done
ox rm many
find .oxen-lite/versions -type f -exec touch -d '100 days ago' {} +
ox gc
json op log -n 1
is "len(d['operations'][0]['kept']) == 300"
ox op log -n 2
out_has "and kept 280 more"
ox undo "$(python3 -c 'import json,sys; print(next(o["id"] for o in json.load(sys.stdin)["operations"] if o["verb"] == "rm"))' <<JSON
$("$OXEN_LITE" --json op log)
JSON
)"
same "$(cat many/file-*)" "$(for f in many/file-*; do echo "changed ${f#many/file-}"; done)" "300 changed files"
ox restore --force many

# gc keeps it as long as the operation counts, and not longer.
printf 'KEPT\n' >a
ox restore --force a
blob=$(sed -n 's/.*oxen-lite cat \([0-9a-f]*\) >FILE.*/\1/p' "$tmp/err")
find .oxen-lite/versions -type f -exec touch -d '100 days ago' {} +
ox gc
ox cat "$blob"
out_is KEPT
ox why "$blob"
out_has "(restore) keeps it"
ox config gc.keep_days 0
ox gc
ox 1 cat "$blob"
json op log
is "all(o['kept'] == [] for o in d['operations'])"
ox why "$blob" # by now in trash
out_has "in trash: "
trash=$(find .oxen-lite/trash -mindepth 1 -maxdepth 1 | sort | tail -n 1)
trash=${trash##*/}
ox gc --undo "$trash"
ox cat "$blob"
out_is KEPT
fsck_clean
