# SPDX-License-Identifier: MIT
"""Clients that do everything wrong, while others get their answers."""
import json
import os
import pathlib
import socket
import subprocess
import sys

from daemon_lib import LIMIT, Connection, Daemon, check, idle, not_tried, repository

tmp = pathlib.Path(os.environ["TMP_FOLDER"])


def closed(c):
    """Everything that still comes, until the daemon closes."""
    data = b""
    while True:
        try:
            got = c.socket.recv(65536)
        except ConnectionResetError:
            return data
        if not got:
            return data
        data += got


def raw(d, data):
    c = Connection(d.socket)
    c.socket.sendall(data)
    return c


CROWD = """
import json, os, socket, sys
path, uid = sys.argv[1], int(sys.argv[2])
os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(uid, uid, uid)
n, all = 0, []
for _ in range(16):
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    all.append(s)
    try:
        s.sendall(b'{"do":"watch"}\\n')  # without a deadline
        n += "schema" in json.loads(s.makefile().readline() or "{}")
    except (BrokenPipeError, ConnectionResetError):
        pass
print(n, flush=True)
sys.stdin.read()
"""


def crowd(d):
    """Those who may only ask take every place that they get: root still gets in, eight times."""
    if os.getuid() != 0:
        print(not_tried("places that are kept", "needs root"))
        return
    os.chmod(d.folder, 0o755)
    people, n = [], 0
    for uid in range(60001, 60006):
        people.append(subprocess.Popen([sys.executable, "-c", CROWD, str(d.socket), str(uid)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        n += int(people[-1].stdout.readline())
    assert n == 56, n
    mine = []
    for _ in range(8):
        mine.append(Connection(d.socket))
        assert mine[-1].ask(do="status")["schema"]
    extra = Connection(d.socket)
    assert extra.answer()["error"]["code"] == "daemon-limit"
    for c in mine:
        c.close()
    for p in people:
        p.communicate()


def served(d):
    try:
        return "schema" in (d.status() or {})
    except (BrokenPipeError, ConnectionResetError):  # refused, and closed before the request was sent
        return False


one = repository(tmp / "one")
with Daemon(tmp / "d", [one], limits="4:600") as d:
    d.wait(lambda s: idle(s))

    # Whoever goes makes place at once: far more than 16, one after the other.
    for _ in range(40):
        assert d.status()["schema"]

    # Garbage: an answer, then the end. What is JSON, but no request, is only refused.
    for garbage in (b"\0\xff\xfe\n", b"{\n", b"{\"do\":\"status\"} x\n", b"\n"):
        assert json.loads(closed(raw(d, garbage)))["error"]["code"] == "daemon-request", garbage
    c = raw(d, b"{\"do\":\"nonsense\"}\n{\"do\":\"status\"}\n")
    assert c.answer()["error"]["code"] == "daemon-request"
    check(c.answer(), "daemon-status.json")
    c.close()

    # Another method than GET.
    for method, tail in (("POST", "body"), ("HEAD", ""), ("DELETE", "")):
        head, _, body = closed(raw(d, f"{method} /metrics HTTP/1.1\r\nHost: x\r\n\r\n{tail}".encode())).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.0 405 ") and b"\r\nAllow: GET\r\n" in head, head
        assert (body == b"") == (method == "HEAD"), body

    # A line that never ends; the head of a request that never ends.
    for start in (b"x", b"GET /metrics HTTP/1.0\r\nA: "):
        c = Connection(d.socket)
        try:
            c.socket.sendall(start + b"x" * (1 << 20))
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer = closed(c)
        assert b"is longer than 64 KiB" in answer, answer
        assert answer.startswith(b"HTTP/1.0 400 " if start[:3] == b"GET" else b"{"), answer

    # Asks and closes its half: the answer comes. Asks a hundred times at once: a hundred answers, in order.
    c = raw(d, b"{\"do\":\"status\"}\n")
    c.socket.shutdown(socket.SHUT_WR)
    check(json.loads(closed(c)), "daemon-status.json")
    c = raw(d, b"{\"do\":\"status\"}\n{\"do\":\"findings\",\"repository\":\"/\"}\n" * 50)
    for _ in range(50):
        assert c.answer()["schema"] == "oxen-lite.daemon-status/1"
        assert c.answer()["error"]["code"] == "daemon-repository"
    c.close()

    # Silent, slow, and one that asks without end and never reads; all at once, and others are served meanwhile.
    silent = Connection(d.socket)
    slow = raw(d, b"{\"do\":")
    greedy = Connection(d.socket)
    greedy.socket.setblocking(False)
    sent = 0
    try:
        while sent < 64 << 20:
            sent += greedy.socket.send(b"{\"do\":\"status\"}\n" * 1000)
            assert d.status()["schema"]
    except BlockingIOError:
        pass
    assert sent < 8 << 20, f"the daemon swallowed {sent} bytes of requests"
    rss = int(next(line for line in pathlib.Path(f"/proc/{d.process.pid}/status").read_text().split("\n") if line.startswith("VmRSS")).split()[1])
    watcher = Connection(d.socket)
    watcher.send({"do": "watch"})
    check(watcher.answer(), "daemon-status.json")
    # Each byte that the slow one sends buys it nothing: it goes with the silent one, after its time.
    slow.socket.sendall(b"\"")
    assert closed(silent) == b"" and closed(slow) == b""
    greedy.socket.setblocking(True)
    greedy.socket.settimeout(LIMIT)
    closed(greedy)
    # One that watches may be silent for longer.
    assert d.ask(do="pause") == {"ok": True}
    while not watcher.answer()["paused"]:
        pass
    watcher.close()

    # 16 connections of one user; the 17th hears why. Their end makes place.
    many = []
    for _ in range(16):  # one after the other: meanwhile the daemon hears that the last ones are gone
        many.append(Connection(d.socket))
        assert many[-1].ask(do="status")["schema"]
    extra = Connection(d.socket)
    assert extra.answer()["error"]["code"] == "daemon-limit" and extra.answer() is None
    for c in many:
        c.close()
    # They are gone as soon as the daemon has turned to each: until then its answer is that refusal.
    while not served(d):
        pass
    crowd(d)
    while not served(d):
        pass
    fds = len(os.listdir(f"/proc/{d.process.pid}/fd"))
    assert fds < 40, fds
    assert d.stop() == 0
    print(f"{fds} descriptors after all of them; resident {rss} KiB with a greedy client (not a release build)")
print("ok")
