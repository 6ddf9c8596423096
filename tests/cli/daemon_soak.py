# SPDX-License-Identifier: MIT
"""Everything at once, for a while; what is checked is only the end. Seeded, but the machine decides the order of things."""
import os
import pathlib
import random
import shutil
import signal
import subprocess
import threading
import time

from daemon_lib import LIMIT, OXEN_LITE, Daemon, idle, ox, repository

tmp = pathlib.Path(os.environ["TMP_FOLDER"])
SECONDS = float(os.environ["OXL_SOAK_SECONDS"])
WRITERS = 3
one, good = tmp / "one", tmp / "good"
acknowledged, lock = {}, threading.Lock()
counts = dict.fromkeys(("commits", "nothing left to commit", "writers killed", "daemons killed", "flips"), 0)
over = threading.Event()


def count(what):
    with lock:
        counts[what] += 1


def command(rng, *args):
    """True: it ended with 0. Every fourth is killed, unless it is over before."""
    p = subprocess.Popen([OXEN_LITE, "--quiet", *args], cwd=one, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if rng.random() < 0.25:
        time.sleep(rng.random() * 0.03)  # where it dies, not how long we wait
        p.send_signal(signal.SIGKILL)
    error = p.communicate()[1]
    if p.returncode == -signal.SIGKILL:
        count("writers killed")
    else:
        # Another writer may have committed what was added: then there is nothing left to do. No other failure is expected of three writers.
        nothing = p.returncode == 5 and b"[nothing-to-commit]" in error
        assert p.returncode == 0 or nothing, (args, p.returncode, error)
        if nothing:
            count("nothing left to commit")
    return p.returncode == 0


def writer(number):
    rng = random.Random(number)
    n = 0
    while not over.is_set():
        n += 1
        name, data = f"w{number}-{n}", rng.randbytes(rng.choice((100, 5000, 100000, 300000)))
        (good / name).write_bytes(data)
        (one / name).write_bytes(data)
        if command(rng, "add", name) and command(rng, "commit", "-m", name):
            with lock:
                acknowledged[name] = data
            count("commits")


def blobs():
    return [p for p in (one / ".oxen-lite/versions/files").rglob("*") if p.is_file() and p.name == "data"]


def flip(rng):
    """One bit of a loose blob; returns what must come back."""
    blob = rng.choice(blobs())
    data = blob.read_bytes()
    at = rng.randrange(len(data))
    os.chmod(blob, 0o644)
    with open(blob, "r+b") as f:
        f.seek(at)
        f.write(bytes([data[at] ^ 1 << rng.randrange(8)]))
    count("flips")
    return blob, data


def heal(d, blob, data, rng):
    """Passes until the blob is as it was; the daemon may die twice meanwhile: a repair of much data needs longer than it would live otherwise."""
    until = time.monotonic() + LIMIT
    kills = 0
    asked = False
    while True:
        status = d.status()["repositories"][0]
        if not asked or not status["pass"]:
            d.ask(do="scrub", repository=str(one))
            asked = True
        if kills < 2 and rng.random() < 0.05:
            kills += 1
            d.kill()
            d.start()
            asked = False
            count("daemons killed")
        if blob.exists() and blob.read_bytes() == data:
            return
        assert time.monotonic() < until, (blob, status, d.heard[-20:])
        time.sleep(0.1)


def left():
    return [p for p in one.rglob("*.oxl-*.tmp")] + list((one / ".oxen-lite/owners").iterdir())


def check_end(d):
    d.ask(do="scrub", repository=str(one))
    d.wait(lambda s: idle(s) and s["repositories"][0]["findings"] == "0" and s["repositories"][0]["intents"] == "0" and not left(),
           also=left)
    assert d.stop() == 0
    ox("fsck", cwd=one)
    ox("restore", "--to", str(tmp / "out"), cwd=one)
    lost = [name for name, data in acknowledged.items() if not (tmp / "out" / name).exists() or (tmp / "out" / name).read_bytes() != data]
    assert not lost, (len(lost), len(acknowledged), lost[:5])
    assert not left(), left()


good.mkdir()
repository(one)
ox("config", "pack_threshold", "65536", cwd=one)
(one / "large").write_bytes(os.urandom(200000))
shutil.copy(one / "large", good / "large")
ox("add", "-A", cwd=one)
ox("commit", "-m", "large", cwd=one)
main_rng = random.Random(99)
with Daemon(tmp / "d", [one], repair={"automatic": True, "from": str(good)}) as d:
    threads = [threading.Thread(target=writer, args=(i,)) for i in range(WRITERS)]
    failed = []
    threading.excepthook = lambda a: failed.append(a.exc_value)
    end = time.monotonic() + SECONDS
    for t in threads:
        t.start()
    try:
        while time.monotonic() < end and not failed:
            heal(d, *flip(main_rng), main_rng)
            d.process.kill()
            d.process.wait()
            count("daemons killed")
            d.start()
    finally:
        over.set()
        for t in threads:
            t.join()
    print(f"{len(acknowledged)} files acknowledged in {SECONDS:.0f} s; {counts}", flush=True)
    assert not failed, failed
    check_end(d)
print("none of them lost, nothing left behind")
assert all(n for what, n in counts.items() if what != "nothing left to commit"), counts
