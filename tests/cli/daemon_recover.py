# SPDX-License-Identifier: MIT
"""Real writers, killed with SIGKILL at one of their system calls (tests/tools/killat), while a daemon watches."""
import os
import pathlib
import signal
import subprocess

from daemon_lib import OXEN_LITE, Daemon, idle, ox, repository

tmp = pathlib.Path(os.environ["TMP_FOLDER"])
KILLAT = os.path.join(os.environ["BUILDDIR"], "tests/killat")


def commit_killed_at(path, n):
    """False: it ended before its @n-th call that changes files. 0: it ends; returns the number of calls."""
    read, write = os.pipe()
    program = subprocess.Popen(["sh", "-c", f'exec 3>&{write}; exec "$0" "$@"', KILLAT, str(n), OXEN_LITE, "commit", "-a", "-m",
                                "killed"], cwd=path, pass_fds=[write], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    os.close(write)
    error = program.stderr.read()
    code = program.wait()
    with open(read, encoding="ascii") as f:
        said = f.read().split()
    assert code in (0, 1), (code, error)
    return int(said[2]) if n == 0 else code == 0


def clean(path):
    """Nobody's leavings, without any command having run."""
    root = pathlib.Path(path) / ".oxen-lite"
    return not list(root.rglob("*.oxl-*.tmp")) and not list((root / "owners").iterdir())


def recoveries(status):
    return sum(int(n) for r in status["repositories"] for n in r["recoveries"].values())


one = repository(tmp / "one")
# Its last calls are those after the intent was staged, so somebody has to finish or undo it.
subprocess.run(["cp", "-a", one, tmp / "probe"], check=True)
(tmp / "probe/file0").write_text("changed")
calls = commit_killed_at(tmp / "probe", 0)
with Daemon(tmp / "d", [one]) as d:
    d.wait(lambda s: idle(s))
    ended = 0
    for n in [calls * i // 8 for i in (1, 3, 5)] + list(range(calls - 12, calls, 3)):
        (one / "file0").write_text(f"changed before the kill at {n}")
        before = recoveries(d.status())
        maintained = int(d.status()["repositories"][0]["jobs"]["maintain"]["done"])
        if not commit_killed_at(one, n):
            continue
        ended += 1
        status = d.wait(lambda s: idle(s) and int(s["repositories"][0]["jobs"]["maintain"]["done"]) > maintained)
        assert status["repositories"][0]["intents"] == "0", status
        assert clean(one), (n, sorted((one / ".oxen-lite").rglob("*.oxl-*.tmp")), recoveries(status) - before)
    assert ended >= 4, f"only {ended} commits could be killed"
    done = recoveries(d.status())
    assert done >= 1, "no kill left an intent: choose other calls"
    samples = d.metrics()
    assert done == sum(v for (name, _), v in samples.items() if name == "oxen_lite_recoveries_total")
    assert any("an interrupted commit was ended" in line for line in d.heard) or d.wait_log("an interrupted commit was ended")
    print(f"{ended} commits killed, {done} intents ended")

    # A writer that is only paused is left alone: it holds its lock, and nothing is recovered or swept until it dies. Once at its first sync:
    # it has temps, and no intent yet; then with its intent open. It ends in order, and the status is right again without anybody's death.
    os.mkfifo(tmp / "fifo")
    os.mkfifo(tmp / "go")
    for calls, intents in (("fsync|fdatasync", "0"), ("renameat", "1")):
        hook = tmp / "hook"
        hook.write_text(f"""case $2 in {calls}) [ -e {tmp}/paused ] || {{ : >{tmp}/paused; echo here >{tmp}/fifo; cat {tmp}/go >/dev/null; }} ;; esac\n""")
        (tmp / "paused").unlink(missing_ok=True)
        (one / "file0").write_text(f"changed before the pause at {calls}")
        run = f'exec 3>/dev/null; "$0" "$@"; r=$?; [ -e {tmp}/paused ] || echo over >{tmp}/fifo; exit $r'
        writer = subprocess.Popen(["sh", "-c", run, KILLAT, "-e", str(hook), OXEN_LITE, "commit", "-a", "-m", "paused"], cwd=one,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        assert (tmp / "fifo").read_text() == "here\n"
        temps = set((one / ".oxen-lite").rglob("*.oxl-*.tmp"))
        assert temps
        maintained = int(d.status()["repositories"][0]["jobs"]["maintain"]["done"])
        answer = d.ask(do="scrub", repository=str(one))
        assert answer == {"ok": True}, answer  # ends with a maintain job, beside the paused writer
        status = d.wait(lambda s: idle(s) and int(s["repositories"][0]["jobs"]["maintain"]["done"]) > maintained)
        assert status["repositories"][0]["intents"] == intents, (calls, status)
        assert set((one / ".oxen-lite").rglob("*.oxl-*.tmp")) == temps
        (tmp / "go").write_text("")
        out, err = writer.communicate()
        assert writer.returncode == 1 and b"paused" in out, (writer.returncode, out, err)
        d.wait(lambda s: idle(s) and s["repositories"][0]["intents"] == "0")
    assert d.stop() == 0
ox("fsck", cwd=one)
print("ok")
