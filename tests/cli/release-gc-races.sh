#!/bin/sh
# SPDX-License-Identifier: MIT
# gc in a loop beside 8 writers, 2 fsck and readers: nothing acknowledged is lost, nobody sees damage. 3 rounds of each writer, 60
# with OXL_DEEP=1. gc.keep_days is 0, so that everything that no root keeps goes at once.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

ox init
ox config gc.keep_days 0
ox config pack_threshold 20000
echo first >first
ox add first
ox commit -m first
cat >"$tmp/races.py" <<'PYTHON'
import os, subprocess, sys, threading
ox, rounds = sys.argv[1], int(sys.argv[2])
busy, problems, acked = threading.Event(), [], []
counts = dict(commits=0, gc=0, moved=0, merged=0, fsck=0, reads=0, emptied=0)
lock = threading.Lock()
busy.set()

def run(*words):
    p = subprocess.run([ox, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return p.returncode, p.stdout.decode(), p.stderr.decode()

def need(allowed, *words):
    status, said, error = run(*words)
    if status not in allowed or "amage" in error or "issing" in error or "orrupt" in error:
        raise AssertionError((words, status, said[-500:], error[-1000:]))
    return status, said

def count(**more):
    with lock:
        for key, n in more.items():
            counts[key] += n

def writer(n):
    for i in range(rounds):
        name = f"w{n}-{i}"
        size = 30000 if i % 5 == 4 else 50
        content = f"content {n} {i}\n" * (size // 14)
        with open(name, "w") as f:
            f.write(content)
        need({0}, "--wait", "120", "add", name)
        if i % 3 == 2: # garbage, on purpose; another's commit may have taken it along
            status, said, error = run("--wait", "120", "rm", "--cached", name)
            assert status == 0, (name, status, error)
            os.unlink(name)
            continue
        status, said = need({0}, "--wait", "120", "commit", "--allow-empty", "-m", f"commit {n} {i}")
        with lock:
            acked.append((said.split()[1].rstrip("]"), name, content))
        count(commits=1)

def collector():
    import json
    while busy.is_set():
        status, said = need({0, 4}, "--json", "--wait", "120", "gc")
        if status == 0:
            d = json.loads(said)
            count(gc=1, moved=int(d["packs"]["files"]) + int(d["blobs"]["files"]) + int(d["rewritten"]["files"]),
                  merged=int(d["merged"]["files"]))
        if counts["gc"] % 7 == 6:
            need({0}, "--wait", "120", "gc", "--empty-trash", "--force")
            count(emptied=1)

def checker():
    while busy.is_set():
        status, said, error = run("--wait", "120", "fsck")
        if status & ~8 or (status == 8 and "is in use" not in said + error):
            raise AssertionError(("fsck", status, said[-1500:], error[-500:]))
        count(fsck=1)

def reader():
    while busy.is_set():
        need({0}, "cat", "HEAD:first")
        need({0}, "ls", "-r")
        need({0}, "log", "-n", "20")
        count(reads=3)

def guarded(f, *args):
    try:
        f(*args)
    except BaseException as e:
        problems.append((f.__name__, args, e))
        busy.clear()

writers = [threading.Thread(target=guarded, args=(writer, n)) for n in range(8)]
others = [threading.Thread(target=guarded, args=(f,)) for f in (collector, checker, checker, reader)]
for t in writers + others:
    t.start()
for t in writers:
    t.join()
busy.clear()
for t in others:
    t.join()
assert not problems, problems
log = run("log")[1]
for commit, name, content in acked:
    assert commit in log, f"acknowledged, and not in the log: {commit}"
    status, said, error = run("cat", f"{commit}:{name}")
    # another's commit may have taken the file along before
    if status != 0:
        status, said, error = run("cat", f"HEAD:{name}")
    assert (status, said) == (0, content), (commit, name, status, error)
assert counts["gc"] >= 2 and counts["moved"] > 0, counts
print("release-gc-races:", counts)
PYTHON
python3 "$tmp/races.py" "$OXEN_LITE" "$([ "${OXL_DEEP-}" = 1 ] && echo 60 || echo 3)" || fail "races"
fsck_clean
ox gc
fsck_clean
left=$(find . -name '*.oxl-*.tmp')
[ -z "$left" ] || fail "left: $left"
