# SPDX-License-Identifier: MIT
"""The progress line as a terminal gets it: for each long command, in any width, never beside other text, and Ctrl-C."""
import fcntl
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios

OX = os.environ["OXEN_LITE"]
LINE = re.compile(rb"\r\x1b\[K([^\r\n\x1b]+)(?=\r\x1b\[K)")  # written, and taken back by what follows


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, *words, columns=100, **env):
        self.said = b""
        go, ready = os.pipe()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.close(ready)
            os.read(go, 1)  # the width is set by now
            os.environ.update({"TERM": "xterm", "OXEN_LITE_PROGRESS_DELAY": "0", **env})
            os.execv(OX, [OX, *words])
        os.close(go)
        self.resize(columns)
        os.write(ready, b"x")
        os.close(ready)

    def resize(self, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def read(self):
        """False at the end."""
        try:
            piece = os.read(self.fd, 65536)
        except OSError:
            return False
        self.said += piece
        return bool(piece)

    def until(self, text):
        while text not in self.said:
            assert self.read(), (text, self.said)

    def end(self):
        while self.read():
            pass
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def lines(self):
        return [m.group(1).decode() for m in LINE.finditer(self.said)]


def run(*words, status=0, **more):
    t = Terminal(*words, **more)
    code = t.end()
    assert code == status, (words, code, t.said)
    return t


def shows(phase, *words, **more):
    """The line comes, fits, and is gone in the end."""
    t = run(*words, **more)
    lines = t.lines()
    assert any(re.search(phase, line) for line in lines), (words, phase, t.said)
    assert all(len(line) < more.get("columns", 100) for line in lines), lines
    left = LINE.sub(b"", t.said).replace(b"\r\x1b[K", b"").decode()
    assert not re.search(phase, left, re.M), left
    return t


def fill(folder, n, size):
    os.makedirs(folder, exist_ok=True)
    for i in range(n):
        with open(f"{folder}/f{i}", "wb") as f:
            f.write(os.urandom(size))


run("init", "--quiet", ".")
run("--quiet", "config", "pack_threshold", "10000")
fill("a", 20, 20000)
shows(r"^storing: \d+ files?", "add", "-A")
fill("a", 20, 20000)
shows(r"^storing: ", "commit", "-a", "-m", "one")
run("commit", "--allow-empty", "-m", "two")
shows(r"^packs and blobs: .*\d+ files", "fsck")
shows(r"^copying: .*\d of \d", "copy", "../copied")
shutil.rmtree("a")
shows(r"^restoring: \d+% \d+ of 20 files .* of 390", "restore", ".")
run("--quiet", "switch", "-c", "other")
fill("a", 20, 30000)
run("--quiet", "commit", "-a", "-m", "three")
shows(r"^switching: |^\w+: \d+% \d+ of 20 files", "switch", "main")
shows(r"^marking: ", "gc", "--dry-run")

# Narrow, wide, and changed on the way.
shows("^pac", "fsck", columns=24)
assert any("/s" in line and "left" in line for line in shows("^packs", "fsck", "--media", "--rate", "1M").lines())
WHOLE = re.compile(r"packs and blobs:( \d+%)?( \d+( of \d+)? files?)?( [\d.]+ \w+( of [\d.]+ \w+)?)?(, [\d.]+ \w+/s)?(, \d+ s left)?")
for columns in (60, 40, 34):
    fits = shows("^packs", "fsck", "--media", "--rate", "1M", columns=columns).lines()
    timed = [line for line in fits if line.endswith(" left")]
    assert timed and all("%" in line for line in timed), (columns, fits)
    assert all(WHOLE.fullmatch(line) for line in fits if line.startswith("packs and")), (columns, fits)
t = Terminal("fsck", "--media", "--rate", "1M", columns=90)
t.until(b" left")
t.resize(20)
before = len(t.said)
assert t.end() == 0
after = [m.group(1) for m in LINE.finditer(t.said, before)]
assert after[1:] and all(len(line) < 20 for line in after[1:]), after

# None where nobody looks.
for words, env in ((("--quiet", "fsck"), {}), (("--no-progress", "fsck"), {}), (("fsck",), {"TERM": "dumb"}),
                   (("fsck",), {"OXEN_LITE_PROGRESS_DELAY": "1000"})):
    assert b"packs and" not in run(*words, **env).said, words
said = subprocess.run([OX, "fsck"], capture_output=True, check=True, env={**os.environ, "OXEN_LITE_PROGRESS_DELAY": "0"})
assert b"packs" not in said.stdout + said.stderr, said

# Colours: on a terminal, unless it was said otherwise; NO_COLOR counts, --color is stronger.
open("new", "w").close()
open("a/f0", "w").close()
for words in (["status"], ["log"], ["diff"], ["fsck"], ["show"], ["health"]):
    colour = b"\x1b[3"
    def has(*more, **env):
        return colour in run("--no-progress", *more, *words, status=0, **env).said
    assert has() and not has("--color", "never") and not has(NO_COLOR="1") and not has(TERM="dumb"), words
    assert has("--color", "always", NO_COLOR="1") and has("--color=auto"), words
    piped = [subprocess.run([OX, *more, *words], capture_output=True, check=True).stdout for more in ([], ["--color", "always"])]
    assert colour not in piped[0] and colour in piped[1], words
    assert colour not in subprocess.run([OX, "--json", "--color", "always", *words], capture_output=True, check=True).stdout
os.remove("new")

# Ctrl-C: a clean end, and what was kept.
def stop(wait, status, kept, *words):
    t = Terminal(*words)
    t.until(wait)
    os.write(t.fd, b"\x03")
    assert t.end() == status, t.said
    said = t.said.replace(b"\r\n", b"\n")
    assert b"interrupted [cancelled]\n  kept: " + kept in said, said


with open("sparse", "wb") as f:
    f.truncate(64 << 30)
stop(b"storing: ", 130, b"nothing was staged\n", "add", "sparse")
stop(b"storing: ", 130, b"nothing was committed", "commit", "-m", "x", "sparse")
os.remove("sparse")
stop(b"packs and blobs: ", 32, b"nothing was changed\n", "fsck", "--media", "--rate", "20K")
stop(b"packs and blobs: ", 32, b"nothing was changed; what was verified so far is recorded\n", "fsck", "--record", "--media",
     "--rate", "20K")
assert not [n for n in os.listdir(".oxen-lite/versions/tmp")]
