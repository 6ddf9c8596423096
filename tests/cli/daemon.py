# SPDX-License-Identifier: MIT
"""The service itself: settings, reload, status, control, metrics, permissions, systemd's messages, end."""
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys

from daemon_lib import LIMIT, OXEN_LITED, Connection, Daemon, check, idle, metrics, not_tried, ox, repository

tmp = pathlib.Path(os.environ["TMP_FOLDER"])


def check_config(text, status, *wanted):
    path = tmp / "checked.json"
    path.write_text(text)
    done = subprocess.run([OXEN_LITED, "--check-config", "--config", path], capture_output=True, text=True)
    assert done.returncode == status, (text, done)
    for line in wanted:
        assert line in done.stderr + done.stdout, (line, done)


def settings():
    check_config('{"repositories": [{"path": "/srv/data"}]}', 0, "no errors")
    check_config('{"repositories": [{"path": "x", "days": 0}], "scrub": 1}', 2,
                 "checked.json: /repositories/0/path: must be an absolute path", "/repositories/0/days: 0 is below 1",
                 "/scrub: must be an object")
    check_config("", 2, "is no JSON: it is empty")
    check_config('{\n  "repositories": [],\n  "days" 1}', 2, "is no JSON: line 3, column 10: a colon is missing")
    check_config('{"repositories": [], "socket": {"group": "no-such-group"}}', 2, '/socket/group: there is no group "no-such-group"')
    check_config('{"repositories": [], "socket": {"group": "root"}}', 0, "no errors")
    done = subprocess.run([OXEN_LITED, "--config", tmp / "nothing.json"], capture_output=True, text=True)
    assert done.returncode == 2 and "[file-open]" in done.stderr, done


def reload_and_control():
    one, two = repository(tmp / "one"), repository(tmp / 'tw"o\\ \n')
    with Daemon(tmp / "d", [one, tmp / "not-there"]) as d:
        status = d.wait(lambda s: idle(s))
        paths = {r["path"]: r for r in status["repositories"]}
        assert paths[str(one)]["state"] in ("idle", "scrubbing") and paths[str(one)]["kind"] == "native", paths
        assert paths[str(tmp / "not-there")]["state"] == "absent" and status["config"]["ok"]

        # A good new file: by SIGHUP.
        d.configure([one, two])
        d.process.send_signal(signal.SIGHUP)
        status = d.wait(lambda s: len(s["repositories"]) == 2 and idle(s))
        assert {r["path"] for r in status["repositories"]} == {str(one), str(two)}
        d.wait_log("settings were read again")

        # A bad one: the old settings hold, and it is said everywhere.
        good = d.config.read_text()
        d.config.write_text('{"repositories": [{"path": "relative", "days": 1.5}]}')
        d.process.send_signal(signal.SIGHUP)
        status = d.wait(lambda s: not s["config"]["ok"])
        assert len(status["repositories"]) == 2
        assert status["config"]["errors"] == ["/repositories/0/path: must be an absolute path",
                                              "/repositories/0/days: must be a whole number"], status["config"]
        d.wait_log("/repositories/0/days: must be a whole number")
        assert d.metrics()[("oxen_lite_config_ok", "")] == 0
        answer = d.ask(do="reload")
        assert answer["error"]["code"] == "daemon-config" and len(answer["error"]["errors"]) == 2, answer
        done = ox("daemon", "--socket", str(d.socket), "reload", status=2)
        assert "must be an absolute path" in done.stderr and "[daemon-config]" in done.stderr, done.stderr
        d.config.write_text(good)
        assert d.ask(do="reload") == {"ok": True}
        assert d.status()["config"] == {"path": str(d.config), "ok": True, "errors": []}

        # Control, by the command.
        cli = lambda *a, **k: ox("daemon", "--socket", str(d.socket), *a, **k)  # noqa: E731
        assert f"{one}  " in cli("status").stdout and "within 30 days: met" in cli("status", str(one)).stdout
        document = json.loads(cli("status", "--json").stdout)
        check(document, "daemon.json")
        assert document["request"] == "status" and len(document["answer"]["repositories"]) == 2
        assert cli("pause").stdout == "done\n"
        assert d.wait(lambda s: s["paused"])["by"].startswith(f"uid {os.getuid()}, pid ")
        assert "[daemon-request]" in cli("scrub", str(one), status=2).stderr
        # Resuming one would change nothing: said, not promised.
        assert "resume without naming one" in cli("resume", str(one), status=2).stderr
        cli("limit", "50MiB")
        assert d.status()["limit"] == str(50 << 20)
        state = json.loads((d.folder / "state/state.json").read_text())
        assert state["paused"] is True and state["limit"] == str(50 << 20), state
        assert "[daemon-repository]" in cli("findings", "/nowhere", status=1).stderr
        assert cli("findings", str(one)).stdout == "no findings\n"
        check(json.loads(cli("findings", str(one), "--json").stdout), "daemon.json")
        watching = subprocess.Popen([os.environ["OXEN_LITE"], "daemon", "--socket", d.socket, "status", "--watch"],
                                    stdout=subprocess.PIPE, text=True)
        assert "scrubbing is paused" in watching.stdout.readline()
        cli("resume")
        for line in watching.stdout:
            if line.startswith("oxen-lited") and "paused" not in line:
                break
        watching.send_signal(signal.SIGINT)
        watching.stdout.read()
        assert watching.wait(LIMIT) == 130

        # What holds after a restart.
        cli("pause", str(two))
        assert d.stop() == 0
        assert not d.socket.exists()
        d.start()
        status = d.wait(lambda s: all(r["state"] in ("idle", "paused") for r in s["repositories"]) and idle(s))
        assert {r["path"]: r["paused"] for r in status["repositories"]} == {str(one): False, str(two): True}
        assert status["limit"] == str(50 << 20) and not status["paused"]
        passed = {r["path"]: int(r["jobs"]["scrub"]["done"]) for r in status["repositories"]}
        assert passed[str(two)] == 0, passed
        assert d.ask(do="resume") == {"ok": True}

        # A second daemon does not get the folder, nor the socket.
        second = subprocess.run([OXEN_LITED, "--config", d.config], capture_output=True, text=True, timeout=LIMIT)
        assert second.returncode == 1 and "[daemon-running]" in second.stderr, second
        return pages(d, one, two)


def pages(d, one, two):
    for path in (one, two):
        assert d.ask(do="scrub", repository=str(path)) == {"ok": True}
    d.wait(lambda s: idle(s, 1))
    assert d.get("/healthz") == ("HTTP/1.0 200 OK", "ok\n")
    assert d.get("/elsewhere")[0] == "HTTP/1.0 404 Not Found"
    samples = d.metrics()
    strange = 'repository="' + str(two).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\\\x0a") + '"'
    for name in ("contract_met", "bytes_verified_total", "last_clean_scrub_timestamp_seconds",
                 "oldest_unverified_age_seconds"):
        for label in (f'repository="{one}"', strange):
            assert ("oxen_lite_" + name, label) in samples, (name, label, [k for k in samples if name in k[0]])
    for label in ('proof="owner-dead"', 'proof="lock-free"', 'proof="lease"'):
        assert samples[("oxen_lite_temps_swept_total", f'repository="{one}",{label}')] == 0
    assert samples[("oxen_lite_job_failures_total", f'repository="{one}",job="scrub"')] == 0
    assert samples[("oxen_lite_up", "")] == 1
    metrics(d.textfile.read_text())
    permissions(d, one)
    assert d.stop(signal.SIGINT) == 0
    assert metrics(d.textfile.read_text())[("oxen_lite_up", "")] == 0
    assert "[daemon-absent]" in ox("daemon", "--socket", str(d.socket), "status", status=1).stderr


def permissions(d, one):
    """Somebody in the group asks; only root and the service user change."""
    if os.getuid() != 0:
        print(not_tried("other users at the socket", "needs root"))
        return
    program = f"""
import sys; sys.path.insert(0, {os.path.dirname(__file__)!r})
import json, os, socket
os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
s = socket.socket(socket.AF_UNIX); s.connect({str(d.socket)!r}); f = s.makefile("rw")
for request in ({{"do": "status"}}, {{"do": "pause"}}, {{"do": "scrub", "repository": {str(one)!r}}}, {{"do": "reload"}}):
    f.write(json.dumps(request) + "\\n"); f.flush()
    answer = json.loads(f.readline())
    print(answer.get("schema") or answer["error"]["code"])
"""
    os.chmod(d.folder, 0o755)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=LIMIT)
    assert done.stdout.split() == ["oxen-lite.daemon-status/1"] + 3 * ["daemon-denied"], done
    assert not d.status()["paused"]


def systemd_messages():
    """READY, STATUS, RELOADING and READY again, WATCHDOG, STOPPING, as systemd 252 wants them."""
    address = tmp / "notify"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(str(address))
    listener.settimeout(LIMIT)
    heard, everything = [], []

    def until(text):
        while text not in heard:
            heard.extend(listener.recv(4096).decode().split("\n"))
            everything.extend(heard[-10:])

    with Daemon(tmp / "s", [tmp / "one"], env={"NOTIFY_SOCKET": str(address), "WATCHDOG_USEC": "400000"}) as d:
        until("READY=1")
        until("WATCHDOG=1")
        heard.clear()
        until("WATCHDOG=1")
        heard.clear()
        d.process.send_signal(signal.SIGHUP)
        until("RELOADING=1")
        del heard[:heard.index("RELOADING=1") + 1]
        until("READY=1")
        d.wait(lambda s: idle(s))
        d.process.send_signal(signal.SIGTERM)
        until("STOPPING=1")
        assert d.process.wait(LIMIT) == 0
        assert any(line.startswith("STATUS=1 repositories, 0 absent, 0 failing") for line in everything), everything


settings()
reload_and_control()
if os.environ["SYSTEMD"] == "ON":
    systemd_messages()
print("ok")
