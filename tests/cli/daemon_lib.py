# SPDX-License-Identifier: MIT
"""A running oxen-lited for tests: started with settings of its own, asked over its socket, stopped, killed.

Nothing here sleeps: a test waits for a line of the log or for a status that `watch` brings. The limit of a wait only keeps a dead
daemon from hanging the suite.
"""
import contextlib
import fcntl
import json
import os
import pathlib
import queue
import re
import signal
import socket
import struct
import subprocess
import sys
import threading

LIMIT = 120
OXEN_LITE, OXEN_LITED, SRCDIR = (os.environ[k] for k in ("OXEN_LITE", "OXEN_LITED", "SRCDIR"))
OWNER_BASE = 1 << 62
F_OFD_SETLK = 37

sys.argv[1:2] = [os.path.join(SRCDIR, "schema/json")] + sys.argv[1:]  # json_check reads its folder from there
import json_check  # noqa: E402  pylint: disable=wrong-import-position


def check(document, schema):
    found = list(json_check.errors(document, json_check.load(schema)))
    assert not found, found[:5]


def ox(*args, cwd=None, status=0, env=None):
    done = subprocess.run([OXEN_LITE, *args], cwd=cwd, capture_output=True, text=True, timeout=LIMIT,
                          env={**os.environ, **(env or {})})
    assert done.returncode == status, (args, done.returncode, done.stdout, done.stderr)
    return done


def repository(path, files=3, size=2000):
    """A repository with one commit."""
    path = pathlib.Path(path)
    path.mkdir(parents=True)
    ox("init", "--quiet", ".", cwd=path)
    for i in range(files):
        (path / f"file{i}").write_bytes(bytes((i * 31 + k) % 251 for k in range(size)))
    ox("add", "-A", cwd=path)
    ox("commit", "-m", "one", cwd=path)
    return path


class Connection:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(LIMIT)
        self.socket.connect(str(path))
        self.lines = self.socket.makefile("rb")

    def send(self, request):
        self.socket.sendall(json.dumps(request).encode() + b"\n")

    def answer(self):
        line = self.lines.readline()
        return json.loads(line) if line else None

    def ask(self, **request):
        self.send(request)
        return self.answer()

    def close(self):
        self.lines.close()
        self.socket.close()


class Daemon:
    def __init__(self, folder, repositories, start=True, env=None, limits=None, prefix=(), **more):
        """@limits "CLIENT:SILENCE": seconds; @prefix: a program that runs the daemon."""
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(exist_ok=True)
        self.socket = self.folder / "control"
        self.config = self.folder / "daemon.json"
        self.textfile = self.folder / "oxen-lite.prom"
        self.env = env or {}
        self.command = [*prefix, OXEN_LITED, "--config", str(self.config), *(["--test-limits", limits] if limits else [])]
        self.process = None
        self.more = more
        self.configure(repositories)
        if start:
            self.start()

    def configure(self, repositories, **more):
        settings = {"repositories": [{"path": str(r)} if not isinstance(r, dict) else r for r in repositories],
                    "socket": {"path": str(self.socket), "group": "nogroup"}, "state": str(self.folder / "state"),
                    "metrics": {"textfile": str(self.textfile)}, **self.more, **more}
        check(settings, "daemon-config.json")
        self.config.write_text(json.dumps(settings))

    def start(self):
        """Returns when the daemon listens."""
        self.log, self.heard = queue.Queue(), []
        self.process = subprocess.Popen(self.command, stderr=subprocess.PIPE, env={**os.environ, **self.env},
                                        start_new_session=True)
        # Of this process: a worker of one that was killed may still hold the old pipe.
        self.reader = threading.Thread(target=self.read_log, args=(self.process.stderr, self.log), daemon=True)
        self.reader.start()
        self.wait_log(", socket ")

    @staticmethod
    def read_log(pipe, log):
        for line in pipe:
            log.put(line.decode("utf-8", "replace").rstrip("\n"))
        log.put(None)

    def wait_log(self, text):
        while True:
            line = self.log.get(timeout=LIMIT)
            assert line is not None, ("the daemon ended", text, self.heard[-20:])
            self.heard.append(line)
            if text in line:
                return line

    def drain_log(self):
        """All that was said until the process ended."""
        while (line := self.log.get(timeout=LIMIT)) is not None:
            self.heard.append(line)
        return self.heard

    def connect(self):
        return Connection(self.socket)

    def ask(self, **request):
        with contextlib.closing(self.connect()) as c:
            return c.ask(**request)

    def status(self):
        return self.ask(do="status")

    def wait(self, wanted, also=lambda: None):
        """The first status for which @wanted is true; every one on the way fits the schema. If it never comes, what was there instead is told,
        with what @also returns."""
        status = None
        with contextlib.closing(self.connect()) as c:
            c.send({"do": "watch"})
            while True:
                try:
                    status = c.answer()
                except TimeoutError as e:
                    raise AssertionError(("never came", status, also())) from e
                assert status is not None, ("the daemon closed the connection", self.heard[-20:])
                check(status, "daemon-status.json")
                if wanted(status):
                    return status

    def get(self, page):
        with contextlib.closing(self.connect()) as c:
            c.socket.sendall(f"GET {page} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
            head, _, body = c.lines.read().partition(b"\r\n\r\n")
            return head.decode().split("\r\n")[0], body.decode()

    def metrics(self):
        return metrics(self.get("/metrics")[1])

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        code = self.process.wait(LIMIT)
        self.drain_log()
        return code

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind and self.process:
            self.kill()
            self.drain_log()
            print("\n".join(self.heard[-40:]), file=sys.stderr)
        self.kill()


def not_tried(what, why):
    """A line that the runner of the tests counts."""
    return f"NOT TRIED: {what}: {why}"


def idle(status, passes=0):
    """Everything that is there was maintained, and nothing runs."""
    return all(r["state"] in ("idle", "absent", "paused") and (r["state"] == "absent" or int(r["jobs"]["maintain"]["done"]) > 0)
               and int(r["jobs"]["scrub"]["done"]) >= passes for r in status["repositories"])


# --- metrics: the text format 0.0.4, as promtool reads it ----------------------------------------------------------------

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\\\|\\"|\\n)*"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? ([-+]?(?:[0-9.]+(?:e[-+]?[0-9]+)?|Inf)|NaN)")


def metrics(text):
    """{(name, labels): value}; checks the grammar, the order and that nothing is there twice."""
    assert text.endswith("\n")
    types, samples, family, families = {}, {}, None, []
    for line in text.split("\n")[:-1]:
        if line.startswith("# HELP "):
            family = line.split(" ")[2]
            assert family not in families, f"{family} comes in two places"
            families.append(family)
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name == family and kind in ("gauge", "counter"), line
            assert (kind == "counter") == name.endswith("_total"), line
            types[name] = kind
        else:
            match = SAMPLE.fullmatch(line)
            assert match, line
            assert match.group(1) == family and family in types, line
            key = (match.group(1), match.group(2) or "")
            assert key not in samples, line
            samples[key] = float(match.group(3))
    return samples


# --- owners and temps --------------------------------------------------------------------------------------------------------

def lock(fd, start, kind=fcntl.F_WRLCK):
    fcntl.fcntl(fd, F_OFD_SETLK, struct.pack("hhxxxxqqixxxx", kind, os.SEEK_SET, start, 1, 0))


def owner_record(root, number, pid):
    boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    machine = pathlib.Path("/etc/machine-id")
    machine = machine.read_text().strip() if machine.exists() else ""
    (root / "owners").mkdir(exist_ok=True)
    (root / f"owners/{number:016x}").write_text(f"pid {pid}\nboot {boot}\nmachine {machine}\ncommand test\nsince 2026-01-01T00:00:00Z\n")
