#!/bin/sh
# SPDX-License-Identifier: MIT
# Ctrl-C while a large file is added: 130, nothing staged, no temp left; the same for TERM, HUP (unless it was ignored, as under nohup) and commit. fsck: 32 is added to what it
# found so far, also with --repair and of an Oxen store; what was read is not called damaged, and nothing is changed.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

ox init
printf 1 >small
truncate -s 64G large
python3 - "$OXEN_LITE" <<'PYTHON' || fail "interrupted"
import os, signal, subprocess, sys, time
ox = sys.argv[1]
temps = ".oxen-lite/versions/tmp"

def run(number, *words):
    p = subprocess.Popen([ox, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    end = time.monotonic() + 120
    while not any(n.endswith(".tmp") for n in os.listdir(temps)):
        assert p.poll() is None, ("ended before it was interrupted", p.communicate())
        assert time.monotonic() < end, "no temp"
        time.sleep(0.005)
    p.send_signal(number)
    out, err = p.communicate(timeout=120)
    assert p.returncode == 130, (words, p.returncode, out, err)
    assert b"interrupted [cancelled]" in err, err
    assert os.listdir(temps) == [], os.listdir(temps)

run(signal.SIGINT, "add", "large")
run(signal.SIGTERM, "add", "large")
run(signal.SIGHUP, "add", "large")
run(signal.SIGINT, "add", "-A")
subprocess.run([ox, "--quiet", "add", "small"], check=True)
run(signal.SIGINT, "commit", "-m", "both", "large")
PYTHON
rm large
json status
is "[e['path'] for e in d['staged']] == ['small']" "d['untracked'] == []" "d['commit'] is None"
ox commit -m small
fsck_clean

# While a blob of 64 GiB is read (of another repository; the holes take no room).
cp -a . "$tmp/checked"
cd "$tmp/checked"
blob=.oxen-lite/versions/files/ab/$(printf '%062d' 0)
mkdir -p "$blob" oxen/.oxen/versions/files/ab/c0000000000000000000000000000
truncate -s 64G "$blob/data" oxen/.oxen/versions/files/ab/c0000000000000000000000000000/data
printf main >oxen/.oxen/HEAD
printf 'min_version = "0.36.0"\n' >oxen/.oxen/config.toml
cat >"$tmp/stop.py" <<'PYTHON'
"""stop.py STATUS[,STATUS] ARGUMENT...: Ctrl-C as soon as a file of 64 GiB is open."""
import os, signal, subprocess, sys

def reads(pid):
    try:
        return any(os.stat(f"/proc/{pid}/fd/{n}").st_size == 64 << 30 for n in os.listdir(f"/proc/{pid}/fd"))
    except FileNotFoundError:  # closed meanwhile
        return False

p = subprocess.Popen([os.environ["OXEN_LITE"], *sys.argv[2:]], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
while not reads(p.pid):
    assert p.poll() is None, ("ended before it was interrupted", p.communicate())
p.send_signal(signal.SIGINT)
out, err = p.communicate(timeout=120)
assert str(p.returncode) in sys.argv[1].split(","), (sys.argv, p.returncode, out, err)
assert b"interrupted [cancelled]" in err, err
assert b"ab/c0" not in out and b"ab/00" not in out, out
PYTHON
# stopped STATUS ARGUMENT...
stopped() {
        find . -type f ! -size +1G ! -name '*-shm' -exec cksum {} + | sort >"$tmp/before"
        python3 "$tmp/stop.py" "$@" || fail "interrupted: $*"
        find . -type f ! -size +1G ! -name '*-shm' -exec cksum {} + | sort | diff "$tmp/before" - >&2 || fail "changed: $*"
}
stopped 32 fsck
stopped 32 fsck --jobs 3
stopped 32 --json fsck
stopped 32 fsck --repair
stopped 32 fsck --oxen oxen
stopped 32 fsck --oxen oxen --repair --state "$tmp/state"
printf x | dd of=.oxen-lite/HEAD bs=1 seek=3 conv=notrunc 2>/dev/null
printf 'main\n' >oxen/.oxen/HEAD
stopped 36 fsck
stopped 36 --json fsck
stopped 36 fsck --repair
stopped 36 fsck --oxen oxen
stopped 36 fsck --oxen oxen --repair --state "$tmp/state"
rm -r "$blob" oxen
cp "$work/.oxen-lite/HEAD" .oxen-lite/HEAD
fsck_clean
