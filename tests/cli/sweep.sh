#!/bin/sh
# SPDX-License-Identifier: MIT
# sweep: what killed processes left goes at once, what a paused one writes stays; each file is named with its proof.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

standalone() {
        printf 'x.oxl-0000000000000000-%016x.tmp' "$1"
}

ox init
printf 1 >a
ox add a
ox commit -m first
ox sweep
out_is "removed 0 temporary files, 0 bytes of 0 bytes"
ox status
cp "$tmp/out" "$tmp/status"

# In the repository, in the working tree and deep in it.
mkdir -p d/e/f
for dir in .oxen-lite .oxen-lite/versions/tmp . d/e/f; do
        printf 0123456789 >"$dir/$(standalone 1)"
done
touch -d 2100-01-01 "d/e/f/$(standalone 1)"
# What must stay: names that are not ours, links, folders, FIFOs, second names.
mkdir hostile
printf mine >hostile/x.tmp
printf mine >hostile/x.oxl-1-2.tmp
ln -s ../a "hostile/l$(standalone 2)"
mkdir "hostile/d$(standalone 3)"
mkfifo "hostile/p$(standalone 4)"
printf twice >"hostile/h$(standalone 5)"
ln "hostile/h$(standalone 5)" hostile/second
ls hostile >"$tmp/hostile"

ox sweep --dry-run d
out_has "would go d/e/f/$(standalone 1)"
out_has "[lock-free] its writer died"
out_has "would remove 4 temporary files, 16.0 KiB of "
out_has "; kept 4, "
out_has ": 4 not-ours"
[ -e "d/e/f/$(standalone 1)" ] || fail "a dry run removed something"
json sweep --dry-run
is "d['dry_run'] is True" "d['proofs']['lock-free']['files'] == '4'" "d['bytes_before'] == d['bytes_after']" \
        "not any(t['removed'] for t in d['temps'])"
json sweep
is "d['proofs']['lock-free'] == {'files': '4', 'bytes': '16384'}" "sum(t['removed'] for t in d['temps']) == 4" \
        "int(d['bytes_before']) - int(d['bytes_after']) == 16384" "d['bytes_waiting'] == d['bytes_after']" \
        "all(t['owner'] is None for t in d['temps'])"
ls hostile >"$tmp/now"
cmp "$tmp/hostile" "$tmp/now" || fail "hostile names were touched"
rm -r hostile d
ox --quiet sweep
silent_out
ox status
cmp "$tmp/status" "$tmp/out" || fail "the status changed"
fsck_clean

# A writer that stands still holds its temps; killed, it loses them. It has 64 GiB to read: it is not done before we look.
truncate -s 64G big
"$OXEN_LITE" --quiet add big &
writer=$!
until [ -n "$(find .oxen-lite/versions/tmp -name '*.oxl-*')" ]; do
        kill -0 "$writer" || fail "the writer ended"
done
kill -STOP "$writer"
json sweep
is "d['proofs']['owner-dead']['files'] == '0'" "int(d['proofs']['alive']['files']) > 0" \
        "any(t['why'].startswith('pid $writer (oxen-lite add) lives') for t in d['temps'])"
kill -KILL "$writer"
wait "$writer" || true
json sweep
is "int(d['proofs']['owner-dead']['files']) > 0" "d['proofs']['alive']['files'] == '0'" \
        "any('pid $writer (oxen-lite add) died' in t['why'] for t in d['temps'])" "d['owners_removed'] == '1'"
rm big
fsck_clean

# Temps of Oxen: these are young.
mkdir -p ox/.oxen/versions/files/15/77
: >ox/.oxen/config.toml
printf 12345 >ox/.oxen/versions/files/15/77/data.oxentmp.aB3xYz
printf 12345 >ox/.oxentmp.4711.export-data
json sweep --oxen ox
is "[t['path'] for t in d['temps']] == ['.oxen/versions/files/15/77/data.oxentmp.aB3xYz', '.oxentmp.4711.export-data']" \
        "not any(t['removed'] for t in d['temps'])" "all(t['proof'] in ('young', 'no-proof') for t in d['temps'])"
ox fsck --oxen ox
out_has "oxen-lite sweep --oxen DIR"

# Errors.
ox 2 sweep --oxen ox .
ox 2 sweep a b
ox 1 sweep --oxen hostile
err_has repository-not-found
ox 1 sweep "$tmp"
err_has repository-not-found
ox 1 sweep --oxen "$work/.oxen-lite/refs"

# What cannot be removed: exit 1, and it is named.
if [ "$(id -u)" -ne 0 ]; then
        mkdir closed
        printf x >"closed/$(standalone 1)"
        chmod a-w closed
        ox 1 sweep
        err_has "cannot remove"
        out_has "1 that could not be removed"
        chmod u+w closed
else
        not_tried "a temp that cannot be removed" "root may remove it"
fi
