# SPDX-License-Identifier: MIT
"""Scrubbing by the daemon: what a flip becomes, what a kill leaves, what repair does."""
import contextlib
import os
import pathlib
import select
import shutil
import signal
import sqlite3

from daemon_lib import LIMIT, Daemon, check, idle, not_tried, ox, repository

tmp = pathlib.Path(os.environ["TMP_FOLDER"])

def flip(path, offset=-40):
    os.chmod(path, 0o644)
    with open(path, "r+b") as f:
        f.seek(offset, os.SEEK_END)
        byte = f.read(1)[0]
        f.seek(offset, os.SEEK_END)
        f.write(bytes([byte ^ 4]))


def big_blob(path):
    """The largest file of the store: a loose blob."""
    return max((p for p in (path / ".oxen-lite/versions").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def of(status, path):
    return next(r for r in status["repositories"] if r["path"] == str(path))


def own(folder, uid):
    if os.getuid() == 0:
        for path in [folder, *folder.rglob("*")]:
            os.lchown(path, uid, uid)


def oxen():
    """A real Oxen repository: read, never written into; its ledger is in the state folder."""
    store = tmp / "ox/.oxen/versions/files"
    for name, text in (("a7/666c8f5aaf946ca629d9d20c29aa6a", b"Hello\n"), ("18/066113d946cfa640ffc8773c83f61b", b"World\n")):
        (store / name).mkdir(parents=True)
        (store / name / "data").write_bytes(text)
    (store / "a7/666c8f5aaf946ca629d9d20c29aa6a/data.oxentmp.a1B2c3").write_text("begun")
    for name, text in (("HEAD", "main"), ("config.toml", 'min_version = "0.36.0"\nmerkle_node_backend = "lmdb"\n'),
                       ("refs/CURRENT", "MANIFEST-000004\n"), ("tree/nodes_lmdb/data.mdb", "")):
        path = tmp / "ox/.oxen" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    before = sorted((str(p), p.stat().st_mtime_ns) for p in (tmp / "ox").rglob("*"))
    owner = 65534 if os.getuid() == 0 else os.getuid()
    own(tmp / "ox", owner)
    with Daemon(tmp / "o", [tmp / "ox"], start=False) as d:
        # What a daemon left that was killed between making the folder and giving it away.
        folder = d.folder / f"state/oxen-{owner}"
        folder.mkdir(parents=True, mode=0o700)
        d.start()
        status = of(d.wait(lambda s: idle(s, 1) and of(s, tmp / "ox")["last_clean"]), tmp / "ox")
        assert folder.stat().st_uid == owner and len(list(folder.glob("*/ledger/journal.db"))) == 1
        assert status["kind"] == "oxen" and status["coverage"]["verified_files"] == "2", status
        assert status["temps"]["kept"]["young"]["files"] == "1", status["temps"]
        assert sorted((str(p), p.stat().st_mtime_ns) for p in (tmp / "ox").rglob("*")) == before
        (store / "18/066113d946cfa640ffc8773c83f61b/data").write_bytes(b"Wurld\n")
        assert d.ask(do="scrub", repository=str(tmp / "ox")) == {"ok": True}
        d.wait(lambda s: idle(s, 2) and of(s, tmp / "ox")["findings"] == "1")
        found = d.ask(do="findings", repository=str(tmp / "ox"))["findings"]
        assert [f["slug"] for f in found] == ["oxen-blob-damaged"], found
        restarted(d, tmp / "ox", found)
        stolen(d)
        assert d.stop() == 0


def stolen(d):
    """The store becomes another user's while the daemon runs: nothing is done there with the rights of the former owner."""
    if os.getuid() != 0:
        print(not_tried("a store that changes its owner", "needs root"))
        return
    d.wait(idle)
    own(tmp / "ox/.oxen", 0)
    assert d.ask(do="scrub", repository=str(tmp / "ox")) == {"ok": True}
    d.wait_log("scrub failed: '" + str(tmp / "ox/.oxen") + "' belongs to another user [repository-untrusted]")


def restarted(d, path, before):
    """The daemon starts again and may not scrub: what it says comes from the ledger."""
    if d.process.poll() is None:
        assert d.ask(do="pause") == {"ok": True} and d.stop() == 0
    else:
        state = d.folder / "state/state.json"
        state.write_text('{"schema": "oxen-lite.daemon-state/1", "paused": true, "limit": "0", "repositories": []}')
    d.start()
    status = of(d.wait(lambda s: idle(s)), path)
    answer = d.ask(do="findings", repository=str(path))
    check(answer, "daemon-findings.json")
    assert status["jobs"]["scrub"]["done"] == "0" and status["findings"] == answer["total"] == str(len(before)), (status, answer)
    known = [{k: f[k] for k in ("id", "slug", "severity", "path")} for f in before]
    assert answer["known"] and sorted(({k: f[k] for k in known[0]} for f in answer["findings"]), key=str) == sorted(known, key=str), answer
    samples = d.metrics()
    for f in known:
        assert samples[("oxen_lite_findings", f'repository="{path}",slug="{f["slug"]}"')] >= 1, samples
    assert not any('slug="recorded"' in label for _, label in samples)
    assert d.ask(do="resume") == {"ok": True}


def findings():
    one = repository(tmp / "one")
    ox("config", "pack_threshold", "65536", cwd=one)
    (one / "large").write_bytes(os.urandom(300000))
    ox("add", "-A", cwd=one)
    ox("commit", "-m", "large", cwd=one)
    with Daemon(tmp / "d", [one]) as d:
        status = of(d.wait(lambda s: idle(s, 1) and of(s, one)["last_clean"]), one)
        assert status["findings"] == "0" and status["contract"]["met"] is True, status
        assert status["coverage"]["verified_bytes"] == status["coverage"]["bytes"] != "0", status["coverage"]
        assert d.metrics()[("oxen_lite_findings", f'repository="{one}",slug=""')] == 0
        clean = d.metrics()[("oxen_lite_last_clean_scrub_timestamp_seconds", f'repository="{one}"')]

        flip(big_blob(one))
        assert d.ask(do="scrub", repository=str(one)) == {"ok": True}
        status = of(d.wait(lambda s: idle(s, 2)), one)
        assert int(status["findings"]) >= 1, status
        answer = d.ask(do="findings", repository=str(one))
        check(answer, "daemon-findings.json")
        slugs = {f["slug"] for f in answer["findings"]}
        assert answer["known"] and slugs, answer
        slug = next(f["slug"] for f in answer["findings"] if "versions/" in f["path"])
        assert any(f"[{slug}]" in line for line in d.heard + [d.wait_log(f"[{slug}]")])
        samples = d.metrics()
        assert samples[("oxen_lite_findings", f'repository="{one}",slug="{slug}"')] >= 1
        assert samples[("oxen_lite_last_clean_scrub_timestamp_seconds", f'repository="{one}"')] == clean, \
            "a pass with findings refreshed the freshness"
        assert d.stop() == 0

        # It is known by name after a restart, before any pass; then one follows by itself.
        restarted(d, one, answer["findings"])
        status = of(d.wait(lambda s: idle(s, 1)), one)
        assert {f["id"] for f in d.ask(do="findings", repository=str(one))["findings"]} == {f["id"] for f in answer["findings"]}

        # Repair, once it is configured; the good bytes are in the working tree.
        d.configure([one], repair={"automatic": True})
        assert d.ask(do="reload") == {"ok": True}
        assert d.ask(do="scrub", repository=str(one)) == {"ok": True}
        d.wait(lambda s: idle(s, 2))
        d.wait_log("repair of ")
        assert d.ask(do="scrub", repository=str(one)) == {"ok": True}
        status = of(d.wait(lambda s: idle(s, 3) and of(s, one)["findings"] == "0"), one)
        assert d.ask(do="findings", repository=str(one))["findings"] == []
        assert d.stop() == 0
    ox("fsck", cwd=one)


def makes_room():
    """A pass for the contract goes at 1 MiB/s, here for longer than we wait for anything: one that somebody asks for takes its place, of
    this repository or of another one on the same device."""
    path = repository(tmp / "room")
    (path / "large").write_bytes(os.urandom(1 << 20) * (LIMIT + 40))
    ox("add", "-A", cwd=path)
    ox("commit", "-m", "large", cwd=path)
    small = repository(tmp / "small")
    with Daemon(tmp / "r", [path]) as d:
        d.wait(lambda s: of(s, path)["jobs"]["scrub"]["running"])
        d.configure([path, small])
        assert d.ask(do="reload") == {"ok": True}
        status = d.wait(lambda s: int(of(s, small)["jobs"]["maintain"]["done"]) > 0)
        assert of(status, path)["jobs"]["scrub"]["running"] and of(status, small)["jobs"]["scrub"]["done"] == "0", status
        assert d.ask(do="scrub", repository=str(small)) == {"ok": True}
        status = d.wait(lambda s: of(s, small)["jobs"]["scrub"]["done"] == "1")
        d.wait(lambda s: of(s, path)["jobs"]["scrub"]["running"])  # it goes on
        assert d.ask(do="scrub", repository=str(path)) == {"ok": True}
        status = of(d.wait(lambda s: idle(s, 1)), path)
        assert status["last_clean"] and status["coverage"]["never_files"] == "0", status
        assert d.stop() == 0


def kills():
    """A pass over 40 loose blobs at a limit that makes it long, killed with its daemon: what was verified stays verified."""
    two = repository(tmp / "two")
    ox("config", "pack_threshold", "65536", cwd=two)
    for i in range(40):
        (two / f"blob{i}").write_bytes(os.urandom(100000))
    ox("add", "-A", cwd=two)
    ox("commit", "-m", "blobs", cwd=two)
    # As root: somebody else's repository. Its work is done with their rights and no others.
    owner = 65534 if os.getuid() == 0 else os.getuid()
    own(two, owner)
    with Daemon(tmp / "k", [{"path": str(two), "rate_max": "400kB", "media": False}]) as d:
        d.wait(lambda s: of(s, two)["pass"] and int(of(s, two)["pass"]["bytes"]) > 0)

        def verified():
            """Rows of the ledger, from a copy: opening the journal itself would leave files of ours beside it."""
            copy = tmp / "copy"
            copy.mkdir(exist_ok=True)
            for name in ("journal.db", "journal.db-wal"):
                shutil.copy(two / ".oxen-lite" / name, copy / name)
            try:
                with contextlib.closing(sqlite3.connect(copy / "journal.db")) as db:
                    return db.execute("SELECT count(*) FROM ledger WHERE verdict = 'good'").fetchone()[0]
            except sqlite3.DatabaseError:  # copied in the middle of a transaction
                return 0

        status = of(d.wait(lambda s: verified() > 0), two)
        worker = int(status["jobs"]["scrub"]["pid"])
        assert worker > 0, status
        facts = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{worker}/status").read_text().splitlines())
        assert facts["Uid"].split() == 4 * [str(owner)], facts["Uid"]
        if os.getuid() == 0:
            assert set(facts["Gid"].split() + facts["Groups"].split()) == {"65534"}, facts
            assert facts["CapEff"].strip() == facts["CapPrm"].strip() == "0" * 16 and facts["NoNewPrivs"].strip() == "1", facts
            mine = {os.readlink(f"/proc/{d.process.pid}/fd/{n}") for n in os.listdir(f"/proc/{d.process.pid}/fd") if int(n) > 2}
            theirs = {os.readlink(f"/proc/{worker}/fd/{n}") for n in os.listdir(f"/proc/{worker}/fd") if int(n) > 2}
            assert not mine & theirs, mine & theirs
        before = verified()
        d.process.send_signal(signal.SIGKILL)
        d.process.wait()
        # The worker hears that it is alone: it records what it has and ends. Its end is the end of its pidfd.
        try:
            fd = os.pidfd_open(worker)
        except ProcessLookupError:
            pass
        else:
            assert select.select([fd], [], [], 90)[0], "the worker outlived its daemon"
            os.close(fd)
        after = verified()
        assert after >= before > 0, (before, after)
        d.start()
        status = of(d.wait(lambda s: of(s, two)["coverage"]), two)
        assert int(status["coverage"]["verified_files"]) >= after > 0, (after, status)
        assert d.ask(do="limit", rate="100MB") == {"ok": True}
        d.wait(lambda s: idle(s, 1) and of(s, two)["coverage"]["never_files"] == "0")
        assert d.stop() == 0
    strangers = [p for p in (two / ".oxen-lite").rglob("*") if p.lstat().st_uid != owner]
    assert not strangers, strangers
    own(two, os.getuid())
    ox("fsck", cwd=two)
    print(f"{before} files recorded at the kill, {after} after the worker's end")


findings()
oxen()
makes_room()
kills()
print("ok")
