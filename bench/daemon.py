#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""./run bench daemon: what the background service costs. Measures; judges nothing, and no test calls it.

    idle        CPU time and resident memory of the main process with 100 repositories watched, nothing happening
    cap         a pass at a cap: bytes that the worker read from the medium (/proc/PID/io) by the clock
    foreground  fio (random 4 KiB, 70 % reads, around the cache) alone, beside a pass at a cap, beside one without (which backs off under
                I/O pressure and slow reads), in turn; the median of the rounds
"""
import argparse
import collections
import datetime
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

p = argparse.ArgumentParser(prog="./run bench daemon", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
p.add_argument("--repositories", type=int, default=100)
p.add_argument("--seconds", type=float, default=60, help="of idling")
p.add_argument("--rounds", type=int, default=5, help="of fio in each state")
p.add_argument("--fio-seconds", type=int, default=10)
p.add_argument("--megabytes", type=int, default=600, help="of data to scrub")
p.add_argument("--cap", type=int, default=20 << 20, help="bytes per second")
p.add_argument("--peers", action="store_true", help="as elsewhere: the peer here is fio, which is always asked")
p.add_argument("--dir", default="/var/tmp", help="a folder on the disk to be measured")
args = p.parse_args()

sys.argv[1:] = []
os.environ.setdefault("OXEN_LITED", os.environ["OXEN_LITE"] + "d")
os.environ.setdefault("OXEN_LITE_AUTHOR", "Bench <bench@example.org>")
sys.path[:0] = [os.environ["SRCDIR"] + "/tests/cli"]
from daemon_lib import Connection, Daemon, idle, ox, repository  # noqa: E402  pylint: disable=wrong-import-position

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory(pid):
    lines = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    return {k: int(lines[k].split()[0]) / 1024 for k in ("VmRSS", "RssAnon")}


def read_bytes(pid):
    lines = dict(line.split(": ") for line in pathlib.Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(lines["read_bytes"])


def measure_idle(where):
    repositories = [repository(where / f"many/{i}") for i in range(args.repositories)]
    with Daemon(where / "idle", repositories) as d:
        d.wait(lambda s: idle(s, 1))
        time.sleep(5)  # the second look after each worker's end, the last textfile
        before, began = cpu_seconds(d.process.pid), time.monotonic()
        time.sleep(args.seconds)
        used, took = cpu_seconds(d.process.pid) - before, time.monotonic() - began
        m = memory(d.process.pid)
        d.stop()
    return [("idle CPU", f"{100 * used / took:.3f} % ({used:.2f} s in {took:.0f} s)", "below 0.1 %"),
            ("resident memory", f"{m['VmRSS']:.1f} MiB, of which {m['RssAnon']:.1f} MiB its own", "below 20 MiB")]


def big(where):
    one = repository(where / "big")
    for i in range(args.megabytes // 20):
        with open(one / f"data{i}", "wb") as f:
            for _ in range(20):
                f.write(os.urandom(1 << 20))
    ox("add", "-A", cwd=one)
    ox("commit", "-m", "data", cwd=one)
    # In the ledger everything is verified: a pass of the daemon's own would go at the contract's 1 MiB/s, and what is asked for waits for it.
    ox("fsck", "--record", cwd=one)
    os.sync()
    return one


def measure_cap(where, one):
    with Daemon(where / "cap", [{"path": str(one), "rate_max": args.cap}], scrub={"pressure": 0}) as d:
        d.ask(do="scrub", repository=str(one))
        c = Connection(d.socket)
        c.send({"do": "watch"})
        points = []
        while True:
            r = c.answer()["repositories"][0]
            if r["pass"] and int(r["pass"]["bytes"]) > args.cap:
                try:
                    points.append((time.monotonic(), read_bytes(int(r["jobs"]["scrub"]["pid"]))))
                except FileNotFoundError:
                    break
            elif points:
                break
            if len(points) > 1 and points[-1][0] - points[0][0] > 20:
                break
        c.close()
        d.stop()
    # By the medium and the clock, so that what the worker says of itself is not asked.
    rate = (points[-1][1] - points[0][1]) / (points[-1][0] - points[0][0])
    return [("rate at a cap of " + f"{args.cap / (1 << 20):.0f} MiB/s",
             f"{rate / (1 << 20):.2f} MiB/s ({100 * rate / args.cap - 100:+.1f} %) over {points[-1][0] - points[0][0]:.0f} s", "within 10 %")]


def fio(where):
    done = subprocess.run(["fio", "--name=foreground", f"--filename={where}/fio", "--size=256M", "--rw=randrw", "--rwmixread=70", "--bs=4k",
                           "--direct=1", "--ioengine=psync", "--numjobs=4", "--group_reporting", "--time_based", "--output-format=json",
                           f"--runtime={args.fio_seconds}", "--randrepeat=1"], capture_output=True, text=True, check=True)
    job = json.loads(done.stdout[done.stdout.index("{"):])["jobs"][0]
    return job["read"]["iops"] + job["write"]["iops"], job["read"]["clat_ns"]["percentile"]["99.000000"] / 1e6


class Scrubbing:
    """A pass that never ends: the next is asked for as soon as one is over."""

    def __init__(self, d, one, limit):
        self.d, self.one, self.over, self.states = d, str(one), threading.Event(), collections.Counter()
        assert d.ask(do="limit", rate=limit) == {"ok": True} and d.ask(do="resume") == {"ok": True}
        self.before = self.bytes()
        self.began = time.monotonic()
        self.thread = threading.Thread(target=self.go_on)

    def bytes(self):
        return int(self.d.status()["repositories"][0]["bytes_verified"])

    def go_on(self):
        while not self.over.wait(0.2):
            r = self.d.status()["repositories"][0]
            self.states[r["state"]] += 1
            if not r["pass"]:
                self.d.ask(do="scrub", repository=self.one)

    def __enter__(self):
        self.thread.start()
        time.sleep(2)
        return self

    def __exit__(self, *unused):
        self.rate = (self.bytes() - self.before) / (time.monotonic() - self.began)
        self.over.set()
        self.thread.join()
        self.d.ask(do="pause")


def measure_foreground(where, one):
    kinds = {"alone": None, f"beside a pass at {args.cap >> 20} MiB/s": args.cap, "beside a pass without a cap": 1 << 40}
    found, rates, states = ({k: kind() for k in kinds} for kind in (list, list, collections.Counter))
    with Daemon(where / "fg", [one]) as d:
        d.wait(idle)
        fio(where)  # lays the file out
        for n in range(args.rounds):
            order = list(kinds)
            for kind in order[n % 3:] + order[:n % 3]:
                if kinds[kind] is None:
                    found[kind].append(fio(where))
                    continue
                with Scrubbing(d, one, kinds[kind]) as s:
                    found[kind].append(fio(where))
                rates[kind].append(s.rate)
                states[kind] += s.states
        d.stop()
    alone = statistics.median(f[0] for f in found["alone"])
    rows = []
    for kind, values in found.items():
        iops, p99 = (statistics.median(v[i] for v in values) for i in (0, 1))
        low, high = min(v[0] for v in values), max(v[0] for v in values)
        text = f"{iops:,.0f} IOPS ({low:,.0f} to {high:,.0f}), p99 {p99:.2f} ms"
        if rates[kind]:
            text += f": {100 * iops / alone:.1f} %; scrub {statistics.median(rates[kind]) / (1 << 20):.1f} MiB/s, {100 * states[kind]['backing-off'] / states[kind].total():.0f} % of the time backing off"
        rows.append((f"fio {kind}", text, "at least 90 %" if rates[kind] else ""))
    return rows


def main():
    if not shutil.which("fio"):
        sys.exit("bench: fio is missing")
    where = pathlib.Path(tempfile.mkdtemp(prefix="oxen-lite-bench.", dir=args.dir))
    began = os.getloadavg()
    try:
        rows = measure_idle(where)
        one = big(where)
        rows += measure_cap(where, one) + measure_foreground(where, one)
    finally:
        shutil.rmtree(where, ignore_errors=True)
    print(f"{datetime.date.today()}, {os.cpu_count()} processors, Linux {platform.release()}, load {began[0]:.1f} before and "
          f"{os.getloadavg()[0]:.1f} after, {args.rounds} rounds of {args.fio_seconds} s of fio\n")
    print("| what | measured | wanted |\n|---|---|---|")
    for row in rows:
        print("| " + " | ".join(row) + " |")


main()
