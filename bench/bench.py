#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures oxen-lite beside its peers and the physical limits: ./run bench.

Rounds are interleaved (A B C, B C A, ...), each run starts from fresh names, a settled disk, primed memory and a warm (or,
with --cold, an emptied) cache. What is written: results.json, table.md and chart.svg in docs/performance. Nothing here passes
or fails, and no test calls it.
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys

import data
import report
import tools

CORES = os.cpu_count() or 1
# A tool that needs longer gets 3 rounds, or one; the last column of the table says so.
THREE_ROUNDS_S, ONE_ROUND_S = 4.0, 10.0

# name: (data set, what, tools besides us that take part, title)
CASES = {
    "commit-small": ("small", "commit", "first commit, 20,000 files of 1-16 KiB"),
    "commit-medium": ("medium", "commit", "first commit, 2,000 files of 1 MiB"),
    "commit-large": ("large", "commit", "first commit, one file of 4 GiB"),
    "commit-tiny": ("tiny", "commit", "first commit, 100,000 files of 100-300 bytes"),
    "status-tiny": ("tiny", "status", "nothing changed, 100,000 files"),
    "restore-small": ("small", "restore", "restore of 20,000 deleted files"),
    "restore-medium": ("medium", "restore", "restore of 2,000 deleted files of 1 MiB"),
    "append-large": ("edit", "append", "commit after 10 MiB appended to 1 GiB"),
    "change-large": ("edit", "change", "commit after 1 % of 1 GiB changed"),
    "verify-small": ("small", "verify", "fsck, 20,000 files of 1-16 KiB"),
    "verify-medium": ("medium", "verify", "fsck, 2,000 files of 1 MiB"),
    "verify-large": ("large", "verify", "fsck, one file of 4 GiB"),
    "verify-tiny": ("tiny", "verify", "fsck, 100,000 files"),
    "log-tiny": ("tiny", "log", "log, 100,000 files"),
    "show-tiny": ("tiny", "show", "show, 100,000 files"),
    "ls-tiny": ("tiny", "ls", "ls of a folder, 100,000 files"),
    "cat-tiny": ("tiny", "cat", "cat of a file, 100,000 files"),
    "one-tiny": ("tiny", "one", "commit of one changed file among 100,000"),  # last: it changes the data
}
SCALE = {
    "commit-thousand": ("thousand", "commit", "first commit, 1,000 files"),
    "commit-tenthousand": ("tenthousand", "commit", "first commit, 10,000 files"),
    "commit-million": ("million", "commit", "first commit, 1,000,000 files"),
    "commit-flat": ("flat", "commit", "first commit, 1,000,000 files in one folder"),
    "status-million": ("million", "status", "nothing changed, 1,000,000 files"),
    "one-million": ("million", "one", "commit of one changed file among 1,000,000"),
    "one-flat": ("flat", "one", "commit of one changed file in a folder of 1,000,000"),
    "log-million": ("million", "log", "log, 1,000,000 files"),
    "cat-million": ("million", "cat", "cat of a file, 1,000,000 files"),
    "verify-million": ("million", "verify", "fsck, 1,000,000 files"),
}
# Case, cold, with peers: what the goals are judged by, in the order in which data and stores can be used again.
SESSION = (
    ("commit-small", False, True), ("verify-small", False, True), ("verify-small", True, False),
    ("restore-small", False, False),
    ("commit-medium", False, True), ("verify-medium", False, True), ("verify-medium", True, False),
    ("commit-large", False, True), ("verify-large", False, True), ("verify-large", True, False),
    ("status-tiny", False, True), ("one-tiny", False, False),
)
GROWTH = (("thousand", 1_000), ("tenthousand", 10_000), ("tiny", 100_000), ("million", 1_000_000))
GROWTH_WHAT = ("commit", "status", "verify", "log", "one")
KEEPING = ("verify", "status", "log", "show", "ls", "cat", "restore", "one")  # work on the store of the last commit
COUNTED_FILES = 200_000  # with more, a run under strace takes minutes
BARRIERS = ("fsync", "fdatasync", "syncfs", "sync", "msync")
CALLS = BARRIERS + ("sync_file_range",)


class Bench:
    def __init__(self, args, where):
        self.args, self.where = args, pathlib.Path(where)
        self.n = self.trash = 0
        self.base = self.where / "sets"
        self.sets = {}
        self.stores = {}  # (set, tool): where the store of its last commit is
        self.cold, self.peers = args.cold, args.peers
        self.may_drop = os.geteuid() == 0 and os.access("/proc/sys/vm/drop_caches", os.W_OK)

    # --- running -------------------------------------------------------------------------------------------------

    def sh(self, command, cwd, prefix=(), check=True):
        # borg and others keep caches in the home folder: theirs is here, and goes with the rest
        env = dict(os.environ, HOME=str(self.where / "home"), OXEN_LITE_AUTHOR="bench <bench@bench>",
                   BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK="yes", BORG_RELOCATED_REPO_ACCESS_IS_OK="yes",
                   BORG_CHECK_I_KNOW_WHAT_I_AM_DOING="yes")
        r = subprocess.run([*prefix, "sh", "-c", command], cwd=cwd, env=env, stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
        if check and r.returncode != 0:
            raise RuntimeError(f"{command}: exit {r.returncode}: {r.stderr[-400:]}")
        return r

    def set(self, name):
        if name not in self.sets:
            for other in list(self.sets):
                self.forget(other)
            say(f"making data set '{name}'")
            self.sets[name] = data.make(name, self.base / name)
        return self.base / name

    def forget(self, name):
        """A data set that is done with, and the stores of it."""
        cwd = self.base / name
        for key in [k for k in self.stores if k[0] == name]:
            self.throw_away(self.stores.pop(key), cwd)
        self.throw_away(cwd, cwd)
        self.sets.pop(name)

    def fill(self, text, cwd):
        some = sorted(p for p in cwd.glob("d0*/*"))[:1] or [cwd / "data.bin"]
        path = some[0].relative_to(cwd)
        return text.format(ox=tools.OX, raw=tools.RAW, repo=self.repo, to=self.to, cores=CORES, n=self.n,
                           file=path, folder=path.parent)

    def settle(self, cwd):
        """The same start for everybody: nothing dirty, memory in hand, sources in the cache, or out of it."""
        prime = f"{tools.RAW} prime {min(self.sets[cwd.name][1] + (512 << 20), 6 << 30)}"
        self.sh("sync", cwd)
        if not self.cold:
            self.sh(f"{prime}; {tools.RAW} read . ; {tools.RAW} stat .", cwd)
        elif self.may_drop:
            # what the cache gave back is what will be read into: primed after it. The programs themselves come from the
            # cache, as they do when a service runs them
            self.sh(f"echo 3 > /proc/sys/vm/drop_caches; {prime}", cwd)
            self.sh(f"{tools.OX} version; {tools.RAW} stat {self.where / 'home'}", cwd)
        else:
            self.sh(f"{prime}; {tools.RAW} drop .; [ ! -e {self.repo} ] || {tools.RAW} drop {self.repo}", cwd)

    def metered(self, command, cwd):
        out = self.where / "meter.json"
        self.sh(command, cwd, prefix=(tools.RAW, "meter", str(out)))
        return json.loads(out.read_text())

    def counted(self, command, cwd):
        """Fsync-like calls, from one run under strace that is not timed."""
        if not shutil.which("strace"):
            return None
        out = self.where / "strace.txt"
        self.sh(command, cwd, prefix=("strace", "-f", "-qq", "-e", "trace=" + ",".join(CALLS), "-o", str(out)))
        text = out.read_text(errors="replace")
        return {c: len(re.findall(rf"^\d+ +{c}\(", text, re.M)) for c in CALLS}

    # --- one run of one tool -------------------------------------------------------------------------------------

    def begin(self, name, tool, what, cwd):
        """Fresh names, and what must exist before the clock starts."""
        self.n += 1
        self.repo = self.where / f"repo{self.n}"
        self.to = self.where / f"to{self.n}"
        if "new" not in tool:
            return
        if what in KEEPING and self.key(name, tool, cwd) in self.stores:
            store = self.stores.pop(self.key(name, tool, cwd))
            if self.is_ours(tool):
                store.rename(cwd / ".oxen-lite")
            else:
                self.repo = store
            return
        self.sh(self.fill(tool["new"], cwd), cwd)
        if what != "commit":
            self.sh(self.fill(tool["commit"], cwd), cwd)
        if what in ("status", "one", "append", "change"):
            # the first look after a commit may have to read files that were new: it is not the one measured
            self.sh(self.fill(tool.get("status", "true"), cwd), cwd)

    def edit(self, what, cwd):
        if what in ("append", "change"):
            (data.append if what == "append" else data.change)(cwd / "data.bin", self.n)
        if what == "one":
            with open(cwd / self.fill("{file}", cwd), "ab") as f:
                f.write(b"%d" % self.n)

    def end(self, name, tool, what, cwd):
        if "clean" in tool:
            self.sh(self.fill(tool["clean"], cwd), cwd, check=False)
        elif "new" in tool and what in KEEPING + ("commit",):
            self.keep(name, tool, cwd)
        for path in (self.repo, self.to, cwd / ".oxen-lite"):
            self.throw_away(path, cwd)

    def is_ours(self, tool):
        return tool is tools.OURS or tool.get("ours")

    def key(self, name, tool, cwd):
        """Whose store: what reads our files raw reads the store that we read."""
        return cwd.name, "oxen-lite" if self.is_ours(tool) else name

    def keep(self, name, tool, cwd):
        """The store stays for the next run, out of the way of the others. One of an earlier commit goes."""
        store = self.repo
        if self.is_ours(tool) and (cwd / ".oxen-lite").exists():
            store = self.where / f"ours{self.n}"
            (cwd / ".oxen-lite").rename(store)
        key = self.key(name, tool, cwd)
        old, self.repo = self.stores.pop(key, None), self.where / "none"
        if old:
            self.throw_away(old, cwd)
        if store.exists():
            self.stores[key] = store

    def throw_away(self, path, cwd):
        """ext4 does not give out inodes that were freed minutes ago and searches around them, at several times the cost of
        making a file: whatever has many files stays until the end."""
        if not path.exists():
            return
        if self.sets[cwd.name][0] > 1000 and shutil.disk_usage(self.where).free > 20 << 30:
            self.trash += 1
            path.rename(self.where / f"trash{self.trash}")
        elif path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()

    def take_away(self, tool, what, cwd):
        """Before a restore in place everything goes."""
        if what == "restore" and "{to}" not in tool["restore"]:
            kept = self.where / f"kept{self.n}"
            kept.mkdir()
            for p in [p for p in cwd.iterdir() if p.name not in (".oxen-lite", ".git")]:
                p.rename(kept / p.name)
            return kept
        return None

    def bring_back(self, kept, cwd):
        if kept:
            for p in [p for p in cwd.iterdir() if p.name not in (".oxen-lite", ".git")]:
                self.throw_away(p, cwd)
            for p in kept.iterdir():
                p.rename(cwd / p.name)
            kept.rmdir()

    def once(self, name, tool, what, cwd, count=False):
        text = tool.get(f"{what}-{cwd.name}") or tool.get("commit" if what in ("append", "change") else what)
        self.begin(name, tool, what, cwd)
        if tool is tools.PEERS["borg"] and what in ("append", "change"):
            text = tool["status"]
        self.edit(what, cwd)
        kept = self.take_away(tool, what, cwd)
        try:
            self.settle(cwd)
            command = self.fill(text, cwd)
            return self.counted(command, cwd) if count else self.metered(command, cwd)
        finally:
            self.bring_back(kept, cwd)
            self.end(name, tool, what, cwd)

    # --- one case ------------------------------------------------------------------------------------------------

    def takes_part(self, name, tool, what, cwd):
        key = "commit" if what in ("append", "change") else what
        if (what in ("append", "change") and "new" not in tool) or (tool.get("ours") and what != "verify"):
            return False
        if f"{what}-{cwd.name}" not in tool and key not in tool:
            return False
        if self.args.tools and name not in self.args.tools.split(","):
            return False
        if cwd.name not in tool.get("sets", cwd.name):
            return False
        if not tools.present(tool):
            say(f"  {name}: not installed, left out")
            return False
        return True

    def rounds(self, tool, runs):
        """How many runs this tool gets, from how long its first took."""
        wall = runs[0]["wall"] if runs else 0
        least = 1 if wall > ONE_ROUND_S or tool.get("slow") else 3 if wall > THREE_ROUNDS_S else self.args.rounds
        return self.args.rounds if tool is tools.OURS or tool in tools.LIMITS.values() else min(least, self.args.rounds)

    def case(self, name, row):
        which, what, title = row
        cwd = self.set(which)
        say(f"{name}: {title}")
        if self.cold and not self.may_drop:
            say("  not root: only the files are dropped from the cache, not names and inodes")
        everybody = {"oxen-lite": tools.OURS, **tools.LIMITS, **(tools.PEERS if self.peers else {})}
        if not self.peers and what != "commit" and not self.args.growth:
            everybody["git"] = tools.PEERS["git"]
        part = {n: t for n, t in everybody.items() if self.takes_part(n, t, what, cwd)}
        runs = {n: [] for n in part}
        for r in range(self.args.rounds):
            order = list(part)
            turn = r % max(len(order), 1)
            for n in order[turn:] + order[:turn]:
                if n not in part or len(runs[n]) >= self.rounds(part[n], runs[n]):
                    continue
                try:
                    runs[n].append(self.once(n, part[n], what, cwd))
                except RuntimeError as e:
                    say(f"  {n}: {e}")
                    part.pop(n)
            say(f"  round {r + 1}: " + ", ".join(f"{n} {v[-1]['wall']:.3f}" for n, v in runs.items() if v))
        rows = {}
        for n, v in runs.items():
            if v and n in part:
                barriers = self.counted_calls(n, part[n], what, cwd, v)
                rows[n] = summary(v) | {"calls": barriers, "version": tools.version(part[n])}
        files, size = self.sets[which]
        return {"title": title, "files": files, "bytes": size, "what": what, "cold": self.cold,
                "date": datetime.date.today().isoformat(), "machine": machine(self.where), "tools": rows}

    def counted_calls(self, name, tool, what, cwd, runs):
        slow = runs[0]["wall"] > ONE_ROUND_S or (what != "one" and self.sets[cwd.name][0] > COUNTED_FILES)
        if what not in ("commit", "one", "restore", "append", "change") or slow or self.cold:
            return None
        try:
            return self.once(name, tool, what, cwd, count=True)
        except RuntimeError:
            return None


def run_session(bench, out):
    """Everything that the goals are judged by, in one go."""
    for name, cold, peers in SESSION:
        bench.cold, bench.peers = cold, peers and bench.args.peers
        report.write(out, name + ("-cold" if cold else ""), bench.case(name, CASES[name]))


def run_growth(bench, out):
    """Only we, by the number of files: growth.json and growth.svg."""
    bench.args.tools, points = "oxen-lite", []
    for which, files in GROWTH[: 4 if bench.args.scale else 3]:
        cases = {what: bench.case(f"{what} of {which}", (which, what, f"{what}, {files:,} files")) for what in GROWTH_WHAT}
        points.append({"files": files, "machine": machine(bench.where), "date": datetime.date.today().isoformat(),
                       "what": {what: c["tools"]["oxen-lite"] for what, c in cases.items() if c["tools"]}})
        report.growth(out, points)


def quartiles(values):
    if len(values) < 2:
        return [values[0]] * 3
    return statistics.quantiles(values, n=4, method="inclusive")


def summary(runs):
    row = {k: round(statistics.median(r[k] for r in runs), 6) for k in runs[0]}
    low, median, high = quartiles([r["wall"] for r in runs])
    return row | {"wall": round(median, 6), "low": round(low, 6), "high": round(high, 6), "rounds": len(runs),
                  "cpu": round(row["user"] + row["sys"], 6), "walls": [r["wall"] for r in runs]}


def machine(where):
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if "model name" in line), "")
    memory = next(int(line.split()[1]) >> 20 for line in open("/proc/meminfo") if line.startswith("MemTotal"))
    kind = subprocess.run(["stat", "-f", "-c", "%T", str(where)], capture_output=True, text=True, check=False).stdout
    return f"{CORES} CPUs {model}, {memory} GiB, {kind.strip()}, Linux {platform.release()}"


def say(text):
    print(text, file=sys.stderr, flush=True)


def enough_room(where, need):
    free = shutil.disk_usage(where).free
    if free < need:
        sys.exit(f"bench: {where} has {free >> 30} GiB free, {need >> 30} are needed; choose another with --dir")


def main():
    p = argparse.ArgumentParser(prog="./run bench", description="measurements; judges nothing")
    p.add_argument("names", nargs="*", metavar="NAME", help="cases (default: all); --list shows them")
    p.add_argument("--rounds", type=int, default=7)
    p.add_argument("--peers", action="store_true", help="install what is missing (Debian) and measure the peers too")
    p.add_argument("--tools", metavar="A,B", help="only these, by the names in the table")
    p.add_argument("--cold", action="store_true", help="empty the cache before each run")
    p.add_argument("--scale", action="store_true", help="the cases with 1,000,000 files as well")
    p.add_argument("--session", action="store_true", help="what the goals are judged by, warm and cold, in one go")
    p.add_argument("--growth", action="store_true", help="only we, from 1,000 to 100,000 files; 1,000,000 with --scale")
    p.add_argument("--dir", default="/var/tmp", help="a folder on the disk to be measured")
    p.add_argument("--out", default=os.environ["SRCDIR"] + "/docs/performance")
    p.add_argument("--list", action="store_true")
    args = p.parse_args()
    known = CASES | SCALE
    if args.list:
        print("\n".join(f"{n:20} {row[2]}" for n, row in known.items()))
        return
    if bad := [n for n in args.names if n not in known]:
        sys.exit(f"bench: no case {' '.join(bad)}; see ./run bench --list")
    names = args.names or list(known if args.scale else CASES)
    enough_room(args.dir, (100 if args.session and args.peers else 60 if args.peers else 20) << 30)
    where = os.path.join(args.dir, f"oxen-lite-bench.{os.getpid()}")
    os.makedirs(where + "/home")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench: stopped"))  # and what was made is removed
    try:
        bench = Bench(args, where)
        if args.session or args.growth:
            (run_session if args.session else run_growth)(bench, args.out)
            return
        for n in names:
            result = bench.case(n, known[n])
            report.write(args.out, n + ("-cold" if args.cold else ""), result)
    finally:
        shutil.rmtree(where, ignore_errors=True)


if __name__ == "__main__":
    main()
