#!/bin/sh
# SPDX-License-Identifier: MIT
# Purging the package takes away what the service kept, but not what repairs of Oxen repositories have put aside: that may be the only copy.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

own_mounts
for folder in /var/lib /run; do
        mount -t tmpfs tmpfs "$folder" || {
                echo "skipped: cannot mount a tmpfs"
                exit 77
        }
done
mkdir "$tmp/bin"
for tool in deb-systemd-helper systemctl groupdel; do
        printf '#!/bin/sh\necho %s "$@" >>"%s/called"\n' "$tool" "$tmp" >"$tmp/bin/$tool"
done
printf '#!/bin/sh\nexit 2\n' >"$tmp/bin/getent"
chmod +x "$tmp"/bin/*
PATH=$tmp/bin:$PATH
state=/var/lib/oxen-lite

service_ran() {
        mkdir -p $state/oxen-1000/0123456789abcdef/ledger.damaged-1 $state/oxen-1000/0123456789abcdef/ledger /run/oxen-lite
        echo '{}' >$state/state.json
        : >$state/lock
        : >/run/oxen-lite/control
        echo old >$state/oxen-1000/0123456789abcdef/ledger/journal.db
        ln -s "$work" $state/oxen-1000/elsewhere
}
echo mine >mine

service_ran
run 0 sh "$SRCDIR/packaging/postrm" remove
[ -e $state/state.json ] || fail "removing is not purging"
run 0 sh "$SRCDIR/packaging/postrm" purge
[ ! -e $state ] || fail "the state folder is left"
[ ! -e /run/oxen-lite ] || fail "the socket is left"
[ -e mine ] || fail "a link was followed"
silent_err
grep -q '^deb-systemd-helper purge oxen-lited.service oxen-lited.socket$' "$tmp/called" || fail "the units' state was not purged"

service_ran
kept=$state/oxen-1000/0123456789abcdef/quarantine/fedcba9876543210
mkdir -p $kept
echo only >$kept/data
run 0 sh "$SRCDIR/packaging/postrm" purge
err_has "kept in /var/lib/oxen-lite"
same "$(find $state ! -type d)" "$kept/data" "what is left"
same "$(cat $kept/data)" only "the only copy"
