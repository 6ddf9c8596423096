#!/bin/sh
# SPDX-License-Identifier: MIT
# fsck as a user who may read but not write: it finds what is there, creates nothing, and says what it could not read.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

[ "$(id -u)" -eq 0 ] || {
        echo "skipped: only root can become another user"
        exit 77
}
command -v setpriv >/dev/null || {
        echo "skipped: no setpriv"
        exit 77
}

mkdir -m 1777 "$tmp/any" # the journal is read through a private copy, which goes there

# other WANTED_STATUS ARGUMENT...: as nobody
other() {
        wanted_status=$1
        shift
        run "$wanted_status" env TMPDIR="$tmp/any" setpriv --reuid 65534 --regid 65534 --clear-groups "$OXEN_LITE" "$@"
}

setpriv --reuid 65534 --regid 65534 --clear-groups "$OXEN_LITE" version >/dev/null 2>&1 || {
        echo "skipped: nobody may not run $OXEN_LITE"
        exit 77
}
ox init
ox config pack_threshold 1000
head -c 3000 /dev/zero >large
printf small >small
ox add large small
ox commit -m one
chmod -R go+rX .
find . | sort >"$tmp/before"
other 8 fsck # somebody else's repository: refused, not checked
err_has "belongs to another user"
other 0 --trust fsck
out_has clean
find . | sort | cmp - "$tmp/before" || fail "something was created"

# What may not be read is neither damage nor clean.
chmod 600 .oxen-lite/HEAD
blob=$(find .oxen-lite/versions/files -name data)
chmod 600 "$blob"
other 8 --trust fsck
out_has unreadable
out_lacks "blob-missing"
out_lacks "is damaged"
