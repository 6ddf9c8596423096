#!/bin/sh
# SPDX-License-Identifier: MIT
# What systemd says about our unit files: no errors, and an exposure of 2.0 or better.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"
command -v systemd-analyze >/dev/null || {
        echo "skipped: no systemd-analyze"
        exit 77
}
daemon_only

mkdir units
sed "s|@CMAKE_INSTALL_FULL_BINDIR@/oxen-lited|$OXEN_LITED|" "$SRCDIR/systemd/oxen-lited.service.in" >units/oxen-lited.service
cp "$SRCDIR/systemd/oxen-lited.socket" units
cp "$SRCDIR/systemd/oxen-lite-alert@.service" units
for unit in oxen-lited.service oxen-lited.socket oxen-lite-alert@x.service; do
        cp -n "units/oxen-lite-alert@.service" "units/oxen-lite-alert@x.service"
        run 0 systemd-analyze verify --man=no "units/$unit"
        # Other units of this machine may be wrong; ours may not.
        ! grep -i 'oxen' "$tmp/err" || fail "systemd-analyze verify $unit"
done

# Would it notice?
sed 's/^SystemCallFilter=@system-service/SystemCallFilter=@nonsense-group/; s/^Type=notify/Type=notifying/' units/oxen-lited.service >wrong.service
status=0
systemd-analyze verify --man=no wrong.service >"$tmp/out" 2>"$tmp/err" || status=$?
grep -q 'notifying' "$tmp/err" || fail "verify says nothing about a wrong unit"

run 0 systemd-analyze security --offline=true --threshold=20 units/oxen-lited.service
grep 'Overall exposure' "$tmp/out"
status=0
systemd-analyze security --offline=true --threshold=5 units/oxen-lited.service >/dev/null 2>&1 || status=$?
[ "$status" -ne 0 ] || fail "the threshold is not looked at"

# Exactly these capabilities; each of them is explained.
same "$(sed -n 's/^CapabilityBoundingSet=//p' units/oxen-lited.service)" \
        "CAP_SETUID CAP_SETGID CAP_KILL CAP_DAC_READ_SEARCH CAP_CHOWN" "capabilities"
for word in CAP_SETUID CAP_SETGID CAP_KILL CAP_DAC_READ_SEARCH CAP_CHOWN; do
        grep -q "^#.*$word" units/oxen-lited.service || fail "$word is not explained"
done

if [ "$(id -u)" -eq 0 ] && command -v systemd-sysusers >/dev/null; then
        run 0 systemd-sysusers --dry-run --root="$work" "$SRCDIR/systemd/oxen-lite.sysusers"
        mkdir root
        run 0 systemd-tmpfiles --root="$work/root" --create "$SRCDIR/systemd/oxen-lite.tmpfiles"
        same "$(stat -c %a root/var/lib/oxen-lite)" 711 "mode of /var/lib/oxen-lite"
else
        not_tried "sysusers and tmpfiles" "needs root and systemd-sysusers"
fi
"$OXEN_LITED" --config "$SRCDIR/systemd/daemon.json" --check-config || fail "daemon.json as installed"
