#!/bin/sh
# SPDX-License-Identifier: MIT
# A second writer: exit 4 and who holds it; readers go on.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

ox init
printf 1 >a
ox add a
ox commit -m one
printf 2 >a
truncate -s 64G large
python3 - "$OXEN_LITE" <<'PYTHON' || fail "locked"
import fcntl, os, signal, struct, subprocess, sys, time
ox = sys.argv[1]

def run(status, *words):
    p = subprocess.run([ox, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert p.returncode == status, (words, p.returncode, p.stderr)
    return p.stderr.decode()

def reading():
    for words in (["status"], ["log"], ["ls"], ["cat", "HEAD:a"], ["show"], ["config"], ["fsck"]):
        run(0, *words)

# Held by oxen-lite itself: named.
holder = subprocess.Popen([ox, "--quiet", "add", "large"], stderr=subprocess.DEVNULL)
end = time.monotonic() + 120
while not any(n.endswith(".tmp") for n in os.listdir(".oxen-lite/versions/tmp")):
    assert holder.poll() is None and time.monotonic() < end
    time.sleep(0.005)
said = run(4, "--wait", "0", "commit", "-am", "two")
assert "[locked]" in said and str(holder.pid) in said and "oxen-lite add" in said, said
assert "  next: " in said, said
run(4, "--wait", "1", "add", "a")
reading()
holder.send_signal(signal.SIGTERM)
assert holder.wait(120) == 130

# Held by somebody else.
f = open(".oxen-lite/locks", "r+b")
fcntl.fcntl(f, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 1, 0))  # F_OFD_SETLK
for words in (["add", "a"], ["commit", "-am", "x"], ["restore", "--force", "a"], ["recover"], ["config", "user.name", "x"]):
    assert "[locked]" in run(4, "--wait", "0", *words), words
reading()
waiting = subprocess.Popen([ox, "--quiet", "--wait", "forever", "add", "a"])
# It waits until the lock is free, without any deadline of its own.
while waiting.poll() is None and open(f"/proc/{waiting.pid}/stat").read().rsplit(")", 1)[1].split()[0] not in "SD":
    pass
assert waiting.poll() is None
f.close()
assert waiting.wait(120) == 0
# A waiting command can be interrupted.
f = open(".oxen-lite/locks", "r+b")
fcntl.fcntl(f, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 1, 0))
waiting = subprocess.Popen([ox, "--wait", "forever", "add", "a"], stderr=subprocess.DEVNULL)
# It has the file open: the handlers of signals are in place long before that.
fds = f"/proc/{waiting.pid}/fd"
while not any(os.path.realpath(f"{fds}/{n}").endswith("/locks") for n in os.listdir(fds)):
    assert waiting.poll() is None and time.monotonic() < end
    time.sleep(0.005)
waiting.send_signal(signal.SIGINT)
assert waiting.wait(120) == 130
PYTHON
rm large
ox commit -am two
fsck_clean
