#!/bin/sh
# SPDX-License-Identifier: MIT
# The Debian packages in a system of their own: lintian, installation, the service with the rights that its unit leaves it,
# removal, purge, nothing left behind. Needs root and the network (debootstrap).
# Environment: SRCDIR; by hand also OXL_CHROOT=FILE.tar, a fresh chroot instead of debootstrap's, and OXL_PACKAGES=FOLDER, packages that
# are built.
set -eu

fail() {
        printf 'FAILED: %s\n' "$*" >&2
        exit 1
}
skip() {
        echo "skipped: $*"
        exit 77
}
[ "$(id -u)" -eq 0 ] || skip "needs root"
for tool in debootstrap lintian unshare setpriv; do
        command -v "$tool" >/dev/null || skip "no $tool"
done
# Mounts of our own, gone with us.
[ -n "${OXL_OWN_MOUNTS-}" ] || {
        unshare -m true 2>/dev/null || skip "no mount namespaces here"
        status=0
        OXL_OWN_MOUNTS=1 unshare -m sh "$0" || status=$?
        exit "$status"
}

tmp=$(mktemp -d)
root=$tmp/root
trap 'umount -l "$root/proc" "$root/dev" 2>/dev/null || true; rm -rf --one-file-system "$tmp"' EXIT
quietly() {
        "$@" >"$tmp/log" 2>&1 || {
                tail -n 50 "$tmp/log" >&2
                fail "$*"
        }
}
inside() {
        chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C DEBIAN_FRONTEND=noninteractive "$@"
}

[ -n "${OXL_PACKAGES-}" ] || quietly "$SRCDIR/run" package
mkdir -p "$root"
if [ -n "${OXL_CHROOT-}" ]; then
        tar -xf "$OXL_CHROOT" -C "$root"
else
        # shellcheck source=/dev/null
        quietly debootstrap --variant=minbase --include=systemd,ca-certificates \
                "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$root"
fi
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mkdir "$root/packages"
cp "${OXL_PACKAGES-$SRCDIR/build/package/packages}"/*.deb "$root/packages"
cp /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null || true

# Every name outside of /usr/share/doc that is not apt's, dpkg's or the linker's own notes.
names() {
        (cd "$root" && find . -xdev \( -path ./proc -o -path ./dev -o -path ./var/cache -o -path ./var/log -o -path ./packages -o -path ./tmp \
                -o -path ./var/lib/dpkg -o -path ./var/lib/apt \) -prune -o -print) | sort
}

# What the packages need goes first, so that only the packages themselves differ between before and after.
quietly inside apt-get -q update
needs=$(for deb in liboxenlite0 oxen-lite; do dpkg-deb -f "$root"/packages/${deb}_*.deb Depends; done | sed 's/([^)]*)//g' | tr ',\n' '  ')
# shellcheck disable=SC2086 # a list of packages
quietly inside apt-get -q install -y --no-install-recommends $needs
names >"$tmp/before"
inside sh -c 'dpkg -i /packages/liboxenlite0_*.deb /packages/oxen-lite_*.deb' >"$tmp/log" 2>&1 || {
        cat "$tmp/log" >&2
        fail "the packages cannot be installed"
}
grep -q '^oxen-lite:' "$root/etc/group" || fail "no group oxen-lite"
[ -d "$root/var/lib/oxen-lite" ] || fail "no /var/lib/oxen-lite"
[ "$(stat -c %a "$root/var/lib/oxen-lite")" = 711 ] || fail "/var/lib/oxen-lite: $(stat -c %a "$root/var/lib/oxen-lite")"
[ -L "$root/etc/systemd/system/multi-user.target.wants/oxen-lited.service" ] || fail "the service is not enabled"
inside oxen-lited --check-config || fail "the installed settings have errors"
inside ldconfig -p | grep -q 'liboxenlite\.so\.0' || fail "the linker does not know the library"
echo "installed: $(inside oxen-lite version)"

# --- the service, as far as it goes without systemd: its capabilities, its notify socket, a user's repository --------------------
inside useradd -m ada
inside setpriv --reuid ada --regid ada --init-groups env HOME=/home/ada sh -c '
        cd && oxen-lite init data && cd data && echo one >file && oxen-lite add -A && oxen-lite commit -m one' >"$tmp/log" 2>&1 ||
        { cat "$tmp/log" >&2; fail "ada has no repository"; }
chmod 700 "$root/home/ada"
touch "$root/home/ada/data/x.oxl-0000000000000000-0123456789abcdef.tmp"
chown --reference="$root/home/ada/data" "$root/home/ada/data/x.oxl-0000000000000000-0123456789abcdef.tmp"
printf '{"repositories": [{"path": "/home/*/data"}], "metrics": {"textfile": "/run/oxen-lite.prom"}}\n' >"$root/etc/oxen-lite/daemon.json"
inside oxen-lited --check-config || fail "settings"
# The capabilities that the unit leaves it, in setpriv's words.
bounding=$(sed -n 's/^CapabilityBoundingSet=//p' "$root/usr/lib/systemd/system/oxen-lited.service" | tr ' ' '\n' |
        sed 's/^CAP_/+/' | tr 'A-Z\n' 'a-z,' | sed 's/,$//')
python3 - "$root" "$bounding" <<'P' || fail "the service"
import json, os, pathlib, signal, socket, subprocess, sys, time
root, bounding = sys.argv[1:]
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.bind(root + "/run/notify-test")
notify.settimeout(60)
daemon = subprocess.Popen(["chroot", root, "env", "-i", "PATH=/usr/bin:/bin", "NOTIFY_SOCKET=/run/notify-test", "setpriv",
                           "--bounding-set", "-all," + bounding, "--inh-caps", "-all", "--no-new-privs", "oxen-lited"],
                          stderr=open(root + "/run/daemon.err", "w"))
def until(what, question):
    for _ in range(600):
        if question():
            return
        assert daemon.poll() is None, "the daemon ended"
        time.sleep(0.1)
    raise AssertionError("never: " + what)
def ask(what):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    s.connect(root + "/run/oxen-lite/control")
    s.sendall(json.dumps(what).encode() + b"\n")
    return json.loads(s.makefile().readline())
def heard(word):
    while word not in notify.recv(4096).decode():
        pass
try:
    heard("READY=1")
    caps = [l for l in open(f"/proc/{daemon.pid}/status") if l.startswith("CapEff")][0].split()[1]
    print("READY=1; effective capabilities", caps)
    until("the stale file of ada is swept", lambda: not list(pathlib.Path(root, "home/ada/data").glob("x.oxl*")))
    until("the repository is there and was verified", lambda: (r := ask({"do": "status"})["repositories"]) and r[0].get("last_clean"))
    status = ask({"do": "status"})["repositories"][0]
    print("status:", status["path"], status["state"], status.get("last_error"))
    assert not status.get("last_error"), status
    group = [l.split(":")[2] for l in open(root + "/etc/group") if l.startswith("oxen-lite:")][0]
    assert os.stat(root + "/run/oxen-lite/control").st_gid == int(group), "the socket's group"
    os.kill(daemon.pid, signal.SIGHUP)
    heard("RELOADING=1")
    heard("READY=1")
    assert "oxen_lite_up 1" in open(root + "/run/oxen-lite.prom").read()
    os.kill(daemon.pid, signal.SIGTERM)
    heard("STOPPING=1")
    assert daemon.wait(60) == 0, "exit code"
    for path in pathlib.Path(root, "home/ada/data").rglob("*"):
        assert path.stat().st_uid == pathlib.Path(root, "home/ada").stat().st_uid, f"{path} is not ada's"
    print("reloaded, stopped, everything below ada's folder is hers")
finally:
    if daemon.poll() is None:
        daemon.kill()
        daemon.wait()
    print(open(root + "/run/daemon.err").read()[-3000:], file=sys.stderr)
P
rm -f "$root/run/notify-test" "$root/run/daemon.err" "$root/run/oxen-lite.prom"
inside userdel -r ada 2>/dev/null || true

# --- gone --------------------------------------------------------------------------------------------------------------------------
inside dpkg -r oxen-lite >/dev/null 2>&1 || fail "it cannot be removed"
[ -e "$root/etc/oxen-lite/daemon.json" ] || fail "removing took the settings"
inside dpkg --purge oxen-lite liboxenlite0 >"$tmp/log" 2>&1 || { cat "$tmp/log" >&2; fail "it cannot be purged"; }
names | diff "$tmp/before" - | grep '^[<>]' | grep -v '/etc/\(passwd\|group\|g\?shadow\|sub[ug]id\)-\?$\|/etc/ld.so.cache' >"$tmp/left" || true
[ ! -s "$tmp/left" ] || {
        cat "$tmp/left" >&2
        fail "left behind"
}
! grep -q '^oxen-lite:' "$root/etc/group" || fail "the group was left"
echo "purged: nothing is left"
