#!/bin/sh
# SPDX-License-Identifier: MIT
# Settings: list, get, set; an edit by hand stops writers with 3 until it is accepted or edited with --edit.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

ox init
ox config
out_has "pack_threshold = 4194304"
out_has "(default)"
ox config pack_threshold
out_is 4194304
ox config pack_threshold 1024
ox config pack_threshold
out_is 1024
ox config user.name "Ada Lovelace"
ox config user.email ada@example.org
ox 2 config no.such.key
err_has "[config-key-unknown]"
ox 2 config pack_threshold many
err_has "[config-value-invalid]"
ox config pack_threshold
out_is 1024
(
        unset OXEN_LITE_AUTHOR
        printf 1 >a
        "$OXEN_LITE" add a
        "$OXEN_LITE" commit -m one
        "$OXEN_LITE" log
) >"$tmp/out"
out_has "Author: Ada Lovelace <ada@example.org>"

# By hand.
sed 's/1024/2048/' .oxen-lite/config.json >"$tmp/edited"
cat "$tmp/edited" >.oxen-lite/config.json
ox status
err_has "edited by hand"
ox log
printf 2 >a
ox 3 add a
err_has "[config-edited]"
err_has "config accept"
ox 3 commit -am two
ox 3 restore --force a
ox 3 config user.name Bob
ox 4 fsck
out_has "[config-edited]"
ox config accept
ox config pack_threshold
out_is 2048
ox add a
ox status
silent_err
fsck_clean

# What cannot be accepted stays refused, and says why.
cp .oxen-lite/config.json "$tmp/good"
printf 'not json' >.oxen-lite/config.json
run 3 "$OXEN_LITE" config accept
ox 3 add a
cat "$tmp/good" >.oxen-lite/config.json
ox add a

# --edit: a checked copy; a bad one changes nothing and is kept.
cat >"$tmp/editor" <<'SCRIPT'
#!/bin/sh
sed 's/2048/4096/' "$2" >"$2.new" && cat "$2.new" >"$2" && rm "$2.new"
SCRIPT
chmod +x "$tmp/editor"
EDITOR="$tmp/editor -w" TMPDIR=$tmp ox config --edit
ox config pack_threshold
out_is 4096
cat >"$tmp/editor" <<'SCRIPT'
#!/bin/sh
echo "{ broken" >"$1"
SCRIPT
before=$(cat .oxen-lite/config.json)
status=0
EDITOR=$tmp/editor TMPDIR=$tmp "$OXEN_LITE" config --edit >"$tmp/out" 2>"$tmp/err" || status=$?
same "$status" 2 "exit of a broken edit"
err_has "is kept here"
err_has "which you edited, is not taken"
err_lacks "fsck"
same "$(cat .oxen-lite/config.json)" "$before" "config.json after a broken edit"
grep -q broken "$tmp"/oxen-lite-config-*.json || fail "the edited copy is gone"
rm "$tmp"/oxen-lite-config-*.json
EDITOR=false TMPDIR=$tmp ox 2 config --edit
VISUAL=true EDITOR=false TMPDIR=$tmp ox config --edit
out_is "nothing changed"
for left in "$tmp"/oxen-lite-config-*; do
        [ ! -e "$left" ] || fail "left behind: $left"
done

# --edit also repairs a file that is not even JSON.
printf 'not json' >.oxen-lite/config.json
cat >"$tmp/editor" <<'SCRIPT'
#!/bin/sh
echo '{"schema": "oxen-lite.config/1", "pack_threshold": 7}' >"$1"
SCRIPT
EDITOR=$tmp/editor TMPDIR=$tmp ox config --edit
ox config pack_threshold
out_is 7
ox add a
fsck_clean
