# SPDX-License-Identifier: MIT
"""What most daemons never meet. Each part has its own daemon and repositories, and all run at once: they mostly wait."""
import concurrent.futures
import ctypes
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

from daemon_lib import OWNER_BASE, OXEN_LITED, Connection, Daemon, check, idle, not_tried, ox, owner_record, repository

tmp = pathlib.Path(os.environ["TMP_FOLDER"])
NOBODY = 65534
PIDFD_GETFD = 438  # of every architecture


def of(status, path):
    return next(r for r in status["repositories"] if r["path"] == str(path))


def passes(status, path):
    return int(of(status, path)["jobs"]["scrub"]["done"])


def maintained(status, path):
    return int(of(status, path)["jobs"]["maintain"]["done"])


def dead_owner(path):
    """A record and a temp of somebody who is proven dead."""
    child = subprocess.Popen(["true"])
    child.wait()
    number = OWNER_BASE // 3
    owner_record(path / ".oxen-lite", number, child.pid)
    temp = path / f".oxen-lite/refs/heads/main.oxl-{number:016x}-{1:016x}.tmp"
    temp.write_text("begun")
    return temp


def flip(path):
    blob = max((p for p in (path / ".oxen-lite/versions").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    os.chmod(blob, 0o644)
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 4
    blob.write_bytes(data)


def everything(path):
    return sorted((str(p), p.lstat().st_mtime_ns, p.lstat().st_ino, p.lstat().st_uid) for p in path.rglob("*"))


def read_only():
    """Not root: others' repositories are read, nothing in them changes, and what a pass finds is told all the same."""
    if os.getuid() != 0:
        return not_tried("another user's repository", "needs root")
    one = repository(tmp / "theirs", size=100000)
    temp = dead_owner(one)
    flip(one)
    folder = tmp / "r"
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    program = shutil.copy(OXEN_LITED, tmp / "oxen-lited")
    before = everything(one)
    user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    with Daemon(folder, [one], start=False, env={"TMPDIR": str(folder)}, repair={"automatic": True}) as d:
        d.command = [*user, program, "--config", str(d.config)]
        d.start()
        r = of(d.wait(lambda s: idle(s, 1) and of(s, one)["findings"] != "0"), one)
        assert r["read_only"] and r["temps"]["kept"]["owner-dead"]["files"] == "1", r
        found = d.ask(do="findings", repository=str(one))["findings"]
        assert found and not any(f["repaired"] for f in found), found
        # A maintain job reads a ledger that has none of them: they stay.
        assert of(d.wait(lambda s: maintained(s, one) >= 2 and idle(s, 1)), one)["findings"] == str(len(found))
        uid = pathlib.Path(f"/proc/{d.process.pid}/status").read_text().split("Uid:")[1].split()[0]
        assert uid == str(NOBODY)
        assert d.stop() == 0
    assert everything(one) == before and temp.exists()
    return "nothing changed"


def window():
    """Two hours away from its window nothing is read, unless somebody asks; within it a pass begins by itself."""
    def minutes(offset):
        return time.strftime("%H:%M", time.localtime(time.time() + offset * 60))

    out, within = repository(tmp / "out"), repository(tmp / "within")
    with Daemon(tmp / "w", [{"path": str(out), "window": f"{minutes(120)}-{minutes(180)}"},
                            {"path": str(within), "window": f"{minutes(-120)}-{minutes(120)}"}]) as d:
        status = d.wait(lambda s: idle(s) and passes(s, within) == 1)
        assert passes(status, out) == 0 and of(status, out)["coverage"]["never_files"] != "0", of(status, out)
        assert d.ask(do="scrub", repository=str(out)) == {"ok": True}
        status = d.wait(lambda s: idle(s) and passes(s, out) == 1)
        assert of(status, out)["coverage"]["never_files"] == "0", of(status, out)
        assert d.stop() == 0
    return "kept"


def pattern():
    """What a pattern matches later is found at the next reload; what is no repository is not listed."""
    first = repository(tmp / "many/a/data")
    (tmp / "many/b/data").mkdir(parents=True)
    with Daemon(tmp / "g", [f"{tmp}/many/*/data/"]) as d:
        status = d.wait(lambda s: idle(s))
        assert [r["path"] for r in status["repositories"]] == [str(first)], status
        second = repository(tmp / "many/c/data")
        d.process.send_signal(signal.SIGHUP)
        status = d.wait(lambda s: len(s["repositories"]) == 2 and idle(s))
        assert {r["path"] for r in status["repositories"]} == {str(first), str(second)}
        # One that goes is absent, and said to be.
        shutil.rmtree(second / ".oxen-lite")
        assert d.ask(do="reload") == {"ok": True}
        status = d.wait(lambda s: any(r["state"] == "absent" for r in s["repositories"]))
        assert of(status, second)["last_error"] == "no repository is there", status
        assert d.stop() == 0
    return "2 repositories"


def no_watches():
    """The limit of a user namespace is its own; a dead owner is then found by the timer."""
    limited = ["unshare", "-Ur", "sh", "-c", 'echo 0 >/proc/sys/user/max_inotify_watches && exec "$@"', "sh"]
    if subprocess.run([*limited, "true"], stderr=subprocess.DEVNULL).returncode != 0:
        return not_tried("no inotify watches left", "no user namespaces here")
    one = repository(tmp / "unwatched")
    with Daemon(tmp / "i", [one], prefix=limited) as d:
        assert any("no more inotify watches" in line for line in d.heard) or d.wait_log("no more inotify watches")
        status = d.wait(lambda s: idle(s, 1))
        before = maintained(status, one)
        temp = dead_owner(one)
        d.wait(lambda s: maintained(s, one) > before and idle(s, 1))
        assert not temp.exists()
        assert d.stop() == 0
    return "polled"


def stuck():
    """A worker that hangs costs its job: it is killed, said, and the job is tried again."""
    one = repository(tmp / "slow", size=300000)
    with Daemon(tmp / "s", [{"path": str(one), "rate_max": "20kB", "media": False}], limits="10:6") as d:
        status = d.wait(lambda s: of(s, one)["pass"] and int(of(s, one)["pass"]["bytes"]) > 0)
        pid = int(of(status, one)["jobs"]["scrub"]["pid"])
        os.kill(pid, signal.SIGSTOP)
        d.wait_log("scrub failed: the worker was killed: it was silent for too long")
        assert not pathlib.Path(f"/proc/{pid}").exists()
        status = d.wait(lambda s: of(s, one)["jobs"]["scrub"]["failed"] == "1")
        assert "silent" in of(status, one)["last_error"], status
        assert d.metrics()[("oxen_lite_job_failures_total", f'repository="{one}",job="scrub"')] == 1
        assert d.ask(do="limit", rate="1GB") == {"ok": True}
        d.wait(lambda s: idle(s, 1) and of(s, one)["coverage"]["never_files"] == "0")
        assert d.stop() == 0
    return "killed"


def held():
    """Somebody has the worker's end of the socket too and keeps it: the worker's end is heard all the same."""
    one = repository(tmp / "held", size=300000)
    with Daemon(tmp / "h", [{"path": str(one), "rate_max": "20kB", "media": False}]) as d:
        status = d.wait(lambda s: of(s, one)["pass"] and int(of(s, one)["pass"]["bytes"]) > 0)
        pid = int(of(status, one)["jobs"]["scrub"]["pid"])
        pidfd = os.pidfd_open(pid)
        ours = ctypes.CDLL(None).syscall(PIDFD_GETFD, pidfd, 3, 0)
        os.close(pidfd)
        if ours < 0:
            return not_tried("a worker whose socket somebody else holds", "pidfd_getfd is not allowed")
        os.kill(pid, signal.SIGKILL)
        d.wait_log("scrub failed: the worker was killed by signal 9")
        assert d.ask(do="limit", rate="1GB") == {"ok": True}
        d.wait(lambda s: idle(s, 1))
        assert d.stop() == 0
        os.close(ours)
    return "let go"


def beside():
    """Somebody dies while the daemon does not look, and a job without a sweep is the first that it starts then: the dead one is swept all
    the same."""
    one = repository(tmp / "beside", size=300000)
    with Daemon(tmp / "b", [{"path": str(one), "rate_max": "20kB", "media": False}]) as d:
        status = d.wait(lambda s: of(s, one)["pass"] and of(s, one)["jobs"]["maintain"]["running"] is False
                        and int(of(s, one)["pass"]["bytes"]) > 0)
        worker = int(of(status, one)["jobs"]["scrub"]["pid"])
        d.process.send_signal(signal.SIGSTOP)
        os.kill(worker, signal.SIGTERM)  # a pass that ends: a maintain job follows
        while pathlib.Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
            time.sleep(0.01)
        with open(one / ".oxen-lite/locks", "r+b"):
            temp = dead_owner(one)
        d.process.send_signal(signal.SIGCONT)
        assert d.ask(do="limit", rate="1GB") == {"ok": True}
        d.wait(lambda s: idle(s, 1))
        d.wait_log("removed the stale")
        assert not temp.exists()
        assert d.stop() == 0
    return "swept"


def put_off():
    """A pause holds for passes that were asked for, too: one that runs, one that waits for its turn. After it they are made."""
    first, second = repository(tmp / "first", size=200000), repository(tmp / "second", size=200000)
    with Daemon(tmp / "p", [{"path": str(p), "media": False} for p in (first, second)]) as d:
        d.wait(lambda s: idle(s, 1))
        assert d.ask(do="limit", rate="20kB") == {"ok": True}
        assert d.ask(do="scrub", repository=str(first)) == {"ok": True}
        d.wait(lambda s: of(s, first)["pass"] and int(of(s, first)["pass"]["bytes"]) > 0)
        assert d.ask(do="scrub", repository=str(second)) == {"ok": True}  # the same device: it waits
        assert d.ask(do="pause", repository=str(second)) == {"ok": True}
        before = maintained(d.status(), first)
        assert d.ask(do="pause", repository=str(first)) == {"ok": True}  # gives the device away
        status = d.wait(lambda s: idle(s) and maintained(s, first) > before)
        assert [of(status, p)["jobs"]["scrub"]["pid"] for p in (first, second)] == ["0", "0"], status
        assert passes(status, first) == passes(status, second) == 1, status
        assert d.ask(do="limit", rate="1GB") == {"ok": True}
        assert d.ask(do="resume", repository=str(second)) == {"ok": True}
        status = d.wait(lambda s: idle(s) and passes(s, second) == 2)
        assert passes(status, first) == 1, status
        assert d.ask(do="resume", repository=str(first)) == {"ok": True}
        d.wait(lambda s: idle(s) and passes(s, first) == 2)
        assert d.stop() == 0
    return "made later"


def damaged_state():
    """What cannot be understood is kept under another name, and the service starts."""
    one = repository(tmp / "stated")
    with Daemon(tmp / "t", [one], start=False) as d:
        (d.folder / "state").mkdir()
        (d.folder / "state/state.json").write_text("{ paused")
        d.start()
        assert any("it is kept as" in line for line in d.heard), d.heard
        assert not d.status()["paused"] and d.ask(do="pause") == {"ok": True}
        kept = list((d.folder / "state").glob("state.json.damaged-*"))
        assert len(kept) == 1 and kept[0].read_text() == "{ paused", kept
        assert d.stop() == 0
    return "kept"


def activation():
    """The socket comes as descriptor 3 and is not ours: its name stays."""
    if os.environ["SYSTEMD"] != "ON":
        return not_tried("a socket from the service manager", "built without systemd")
    one = repository(tmp / "activated")
    launcher = ("import os, socket, sys; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(8); "
                "os.dup2(s.fileno(), 3); os.set_inheritable(3, True); os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid())); os.execv(sys.argv[2], sys.argv[2:])")
    with Daemon(tmp / "a", [one], start=False) as d:
        given = d.folder / "given"
        d.command = [sys.executable, "-c", launcher, str(given), *d.command]
        d.start()
        assert not d.socket.exists()
        d.socket = given
        status = d.wait(lambda s: idle(s, 1))
        check(status, "daemon-status.json")
        worker = Connection(given)
        assert worker.ask(do="status")["pid"] == str(d.process.pid)
        worker.close()
        assert d.stop() == 0
        assert given.is_socket(), "the manager's socket was removed"
    ox("fsck", cwd=one)
    return "served"


parts = (read_only, window, pattern, no_watches, stuck, held, beside, put_off, damaged_state, activation)
with concurrent.futures.ThreadPoolExecutor(len(parts)) as pool:
    begun = [(part, pool.submit(part)) for part in parts]
    for part, result in begun:
        text = result.result()
        print(text if text.startswith("NOT TRIED") else f"{part.__name__}: {text}", flush=True)
print("ok")
