# SPDX-License-Identifier: MIT
"""1,000 stale temps of dead owners and of dead standalone writers, 100 of living ones (half of them stopped), in every folder that
has temps. The daemon starts; ten seconds later the stale ones are gone. Clocks prove nothing here: half of all are a year off."""
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

from daemon_lib import LIMIT, OWNER_BASE, Daemon, idle, ox, owner_record, repository

tmp = pathlib.Path(os.environ["TMP_FOLDER"])
HOLD = f"""
import sys; sys.path.insert(0, {os.path.dirname(__file__)!r})
import fcntl, os
from daemon_lib import OWNER_BASE, lock
fds = []
for line in sys.stdin:
    kind, path, number = line.rstrip("\\n").split("\\t")
    fds.append(os.open(path, os.O_RDWR))
    # as the library does: an owner's byte exclusive, a temp's own shared
    lock(fds[-1], OWNER_BASE + int(number), fcntl.F_WRLCK) if kind == "owner" else lock(fds[-1], 0, fcntl.F_RDLCK)
print("held", flush=True)
os.read(os.open({str(tmp)!r} + "/never", os.O_RDWR), 1)
"""
random.seed(7)


def temp(folder, owner):
    path = folder / f"file.oxl-{owner:016x}-{random.getrandbits(64):016x}.tmp"
    path.write_bytes(b"x" * random.choice((0, 10, 5000)))
    if random.random() < 0.5:
        off = time.time() + random.choice((-1, 1)) * 365 * 86400
        os.utime(path, (off, off))
    return path


def number():
    return random.randrange(1, OWNER_BASE)


one = repository(tmp / "one")
(one / "sub").mkdir()
(one / "sub/file").write_text("mine")
ox("add", "-A", cwd=one)
ox("commit", "-m", "two", cwd=one)
root = one / ".oxen-lite"
folders = [root, root / "versions/tmp", root / "versions/packs", root / "refs/heads", root / "owners", one, one / "sub"]
folders = [f for f in folders if f.is_dir()]
trap = one / f"user.oxl-{0:016x}-nothex.tmp"
trap.write_text("a user's own file")
link = one / f"link.oxl-{0:016x}-{1:016x}.tmp"
link.symlink_to(one / "file0")

dead_pid = subprocess.Popen(["true"])
dead_pid.wait()
dead, living, stale, live = [number() for _ in range(20)], [number() for _ in range(10)], [], []
for owner in dead:
    owner_record(root, owner, dead_pid.pid)
for owner in living:
    owner_record(root, owner, os.getpid())
standalone = [f for f in folders if f in (one, one / "sub")]
for i in range(1000):
    stale.append(temp(random.choice(standalone), 0) if i % 2 else temp(random.choice(folders), dead[i // 2 % len(dead)]))
orders = [[], []]
for i in range(100):
    path = temp(random.choice(standalone), 0) if i % 2 else temp(random.choice(folders), living[i // 2 % len(living)])
    live.append(path)
    if i % 2:
        orders[i // 2 % 2].append(f"temp\t{path}\t0")
for i, owner in enumerate(living):
    orders[i % 2].append(f"owner\t{root}/locks\t{owner}")
os.mkfifo(tmp / "never")
holders = []
for lines in orders:
    holders.append(subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
    holders[-1].stdin.write("\n".join(lines) + "\n")
    holders[-1].stdin.close()
    assert holders[-1].stdout.readline() == "held\n"
holders[0].send_signal(signal.SIGSTOP)

try:
    with Daemon(tmp / "d", [one], start=False) as d:
        begin = time.monotonic()
        d.start()
        status = d.wait(lambda s: idle(s))
        took = time.monotonic() - begin
        left = [p for p in stale if p.exists()]
        assert not left, (len(left), left[:5])
        gone = [p for p in live if not p.exists()]
        assert not gone, gone
        assert trap.exists() and link.is_symlink() and (one / "sub/file").read_text() == "mine"
        temps = status["repositories"][0]["temps"]
        swept = sum(int(r["files"]) for r in temps["swept"].values())
        assert swept == 1000, temps
        assert temps["kept"]["alive"]["files"] == "100", temps
        assert temps["kept"]["not-ours"]["files"] == "1", temps
        samples = d.metrics()
        assert sum(v for (n, _), v in samples.items() if n == "oxen_lite_temps_swept_total") == 1000
        assert samples[("oxen_lite_temps_kept", f'repository="{one}",proof="alive"')] == 100
        print(f"1,000 stale temps gone {took:.1f} s after the start")
        assert took < 10, took
        assert sum("removed the stale" in line for line in d.heard + [d.wait_log("removed the stale")]) >= 1

        # A holder dies: its owners are proven dead. Nobody runs a command; the kernel tells.
        maintained = int(status["repositories"][0]["jobs"]["maintain"]["done"])
        holders[0].kill()
        holders[0].wait(LIMIT)
        half = [p for p in live if any(f"-{o:016x}-" in p.name for o in living[0::2])]
        status = d.wait(lambda s: idle(s) and int(s["repositories"][0]["jobs"]["maintain"]["done"]) > maintained)
        assert half and not [p for p in half if p.exists()], [p for p in half if p.exists()]
        rest = [p for p in live if any(f"-{o:016x}-" in p.name for o in living[1::2])]
        assert rest and all(p.exists() for p in rest)
        assert d.stop() == 0
finally:
    for h in holders:
        h.kill()
        h.wait()
    for path in live + [link]:
        path.unlink(missing_ok=True)
print("ok")
