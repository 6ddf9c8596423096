#!/bin/sh
# SPDX-License-Identifier: MIT
# 64 processes on one repository, each with a fixed number of commands: every acknowledged commit is in the log, readers and fsck
# see no damage at any moment, those who do not wait exit 4. A writer that is stopped in the middle of a commit is alive:
# nobody declares it dead or touches its temps, and it completes. A killed one is recovered by the next command. And with few
# descriptors or a small limit on file sizes: done, or a typed error, never damage.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

killat=$BUILDDIR/tests/killat

# --- 64 at once -------------------------------------------------------------------------------------------------------
ox init
echo first >first
ox add first
ox commit -m first

cat >"$tmp/races.py" <<'PYTHON'
import os, subprocess, sys
from concurrent.futures import ThreadPoolExecutor

ox, WRITERS, COMMITS = sys.argv[1], 24, 2
acked, counts = [], {"committed": 0, "locked": 0, "read": 0, "fsck": 0, "recovered": 0}

def run(*words):
    p = subprocess.run([ox, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return p.returncode, p.stdout.decode(), p.stderr.decode()

def need(allowed, *words):
    status, said, error = run(*words)
    assert status in allowed, (words, status, said, error)
    assert "amage" not in error and "orrupt" not in error, (words, error)
    return status, said

# A writer is one process after another, all with files of its own.
def writer(n):
    mine = []
    for i in range(COMMITS):
        name = f"w{n}-{i}"
        with open(name, "w") as f:
            f.write(f"content {n} {i}\n" * 50)
        need({0}, "--wait", "60", "add", name)
        # Another writer's commit may take along what is staged here: then there is nothing left to commit.
        status, said = need({0}, "--wait", "60", "commit", "--allow-empty", "-m", f"commit {n} {i}")
        assert said.startswith("[main "), said
        mine.append((said.split()[1].rstrip("]"), f"commit {n} {i}", name))
    return "committed", mine

# These do not wait: they lose, or win.
def hasty(n):
    lost = 0
    for i in range(4):
        lost += need({0, 4}, "--wait", "0", "config", "user.name", f"hasty {n} {i}")[0] == 4
    return "locked", lost

def reader(n):
    for i in range(3):
        need({0}, "log")
        need({0}, "ls", "-r")
        assert need({0}, "cat", "HEAD:first")[1] == "first\n"
        need({0}, "status")
        to = f"{sys.argv[2]}/to-{n}-{i}"
        need({0}, "restore", "--to", to, "first")
        assert open(f"{to}/first").read() == "first\n"
    return "read", 15

def checker(n):
    for i in range(2):
        status, said = need({0}, "fsck")
        assert "clean" in said, said
    return "fsck", 2

def recoverer(n):
    for i in range(2):
        need({0}, "--wait", "60", "recover")
    return "recovered", 2

jobs = [(writer, n) for n in range(WRITERS)] + [(hasty, n) for n in range(12)] + [(reader, n) for n in range(16)] + \
       [(checker, n) for n in range(6)] + [(recoverer, n) for n in range(6)]
assert len(jobs) == 64
with ThreadPoolExecutor(64) as pool:
    # Interleaved: the kinds begin together.
    for future in [pool.submit(f, n) for f, n in sorted(jobs, key=lambda j: j[1])]:
        kind, what = future.result()
        if kind == "committed":
            acked += what
            counts[kind] += len(what)
        else:
            counts[kind] += what

log = run("log")[1]
for commit, message, name in acked:
    assert commit in log, f"acknowledged, and not in the log: {commit} {message}"
    assert message in log, message
    n, i = name[1:].split("-")
    status, said, error = run("cat", f"HEAD:{name}")
    assert (status, said) == (0, f"content {n} {i}\n" * 50), (name, status, error)
assert len(acked) == WRITERS * COMMITS
print("release-races: 64 processes:", counts)
PYTHON
mkdir "$tmp/restored"
python3 "$tmp/races.py" "$OXEN_LITE" "$tmp/restored" || fail "64 processes"
fsck_clean
ox recover
left=$(find . -name '*.oxl-*.tmp')
[ -z "$left" ] || fail "left: $left"

# --- a stopped writer -------------------------------------------------------------------------------------------------
# killat -e runs this while the commit stands still at its Nth file-changing call.
cat >"$tmp/hook" <<'HOOK'
set -eu
others() {
        for words in "add other" "commit --allow-empty -m other" "recover" "config user.name Other" "restore --force other"; do
                status=0
                # shellcheck disable=SC2086 # words
                "$OXEN_LITE" --wait 0 $words >"$HOOKED/said" 2>&1 || status=$?
                [ "$status" -eq 4 ] || {
                        echo "beside a stopped commit (call $1, $2): '$words' ended with $status: $(cat "$HOOKED/said")" >&2
                        exit 1
                }
        done
        for words in "log" "status" "cat HEAD:first"; do
                # shellcheck disable=SC2086 # words
                "$OXEN_LITE" $words >"$HOOKED/said" 2>&1 || {
                        echo "beside a stopped commit (call $1, $2): '$words' failed: $(cat "$HOOKED/said")" >&2
                        exit 1
                }
        done
        # Within SQLite's own transaction fsck cannot look at the journal: it says so, and calls nothing damaged.
        status=0
        "$OXEN_LITE" --wait 0 --json fsck >"$HOOKED/said" 2>&1 || status=$?
        case $status in
        0) ;;
        8) grep -q "is in use: another process is in a transaction" "$HOOKED/said" || status=1 ;;
        *) status=1 ;;
        esac
        [ "$status" -ne 1 ] || {
                echo "beside a stopped commit (call $1, $2): fsck: $(cat "$HOOKED/said")" >&2
                exit 1
        }
        [ "$status" -eq 0 ] || echo "$1" >>"$HOOKED/incomplete"
}
# Writes to files that are not complete yet are all alike.
case $2 in write | pwrite64) exit 0 ;; esac
before=$(find . -name '*.oxl-*.tmp' | sort)
[ -n "$before" ] || exit 0
others "$@"
[ "$(find . -name '*.oxl-*.tmp' | sort)" = "$before" ] || {
        echo "temps of a living process were touched at call $1, $2" >&2
        exit 1
}
echo "$1" >>"$HOOKED/stopped"
HOOK
mkdir "$tmp/hooked"
: >"$tmp/hooked/incomplete"
HOOKED=$tmp/hooked
export HOOKED
echo other >other
ox add other
ox commit -m other
echo changed >first
# 1: it ended by itself
run 1 "$killat" -e "$tmp/hook" "$OXEN_LITE" commit -am stopped 3>"$tmp/how"
out_has "[main "
grep -q '^ended 0 ' "$tmp/how" || fail "the stopped commit: $(cat "$tmp/how")"
[ "$(wc -l <"$tmp/hooked/stopped")" -ge 3 ] || fail "the commit had a temp at fewer than 3 calls"
echo "release-races: stopped at $(wc -l <"$tmp/hooked/stopped") calls, others lost; fsck incomplete at" \
        "$(wc -l <"$tmp/hooked/incomplete")"
ox log -n 1
out_has "    stopped"
fsck_clean

# The same with SIGSTOP, and a plain SIGCONT.
head -c 200000000 /dev/zero >large
python3 - "$OXEN_LITE" <<'PYTHON' || fail "SIGSTOP"
import os, signal, subprocess, sys, time
ox, tmps = sys.argv[1], ".oxen-lite/versions/tmp"

def run(status, *words):
    p = subprocess.run([ox, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert p.returncode == status, (words, p.returncode, p.stderr)
    return p.stdout.decode() + p.stderr.decode()

def start():
    p = subprocess.Popen([ox, "commit", "-m", "large", "large"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while not any(n.endswith(".tmp") for n in os.listdir(tmps)):
        assert p.poll() is None, "it ended before its temp was seen"
    p.send_signal(signal.SIGSTOP)
    os.waitpid(p.pid, os.WUNTRACED)
    assert p.poll() is None
    return p

# Killed: its owner is dead at once, and the next command sweeps after it.
p = start()
p.kill()
p.wait()
assert any(n.endswith(".tmp") for n in os.listdir(tmps))
run(0, "--wait", "0", "add", "first")
assert os.listdir(tmps) == [], os.listdir(tmps)
assert "clean" in run(0, "fsck")

# Stopped: alive for as long as it takes.
p = start()
names = sorted(os.listdir(tmps))
for words in (["add", "first"], ["commit", "--allow-empty", "-m", "x"], ["recover"], ["config", "user.name", "x"]):
    assert "[locked]" in run(4, "--wait", "0", *words)
assert "clean" in run(0, "fsck")
assert sorted(os.listdir(tmps)) == names
p.send_signal(signal.SIGCONT)
said, error = p.communicate()
assert p.returncode == 0 and said.startswith(b"[main "), (p.returncode, error)
assert "    large" in run(0, "log", "-n", "1")
assert os.listdir(tmps) == []
PYTHON
rm large
fsck_clean

# --- few descriptors, small files -------------------------------------------------------------------------------------
# limited LIMIT COMMAND...: done, or exit 1 with a typed error (not "-f 0": the file that keeps it is limited, too); sound afterwards
done=0 failed=0 again=''
limited() {
        limit=$1
        shift
        status=0
        # shellcheck disable=SC3045,SC2086 # dash and bash have ulimit -n; LIMIT is two words
        (ulimit $limit && exec "$OXEN_LITE" "$@") >"$tmp/out" 2>"$tmp/err" || status=$?
        case $status in
        0) done=$((done + 1)) ;;
        1 | 8)
                # 8: fsck could not look at everything
                [ "$status" -eq 1 ] || [ "$1" = fsck ] || fail "ulimit $limit: '$*' ended with 8"
                case $limit in
                "-n 256")
                        show
                        fail "256 descriptors are not enough for '$*'"
                        ;;
                esac
                failed=$((failed + 1))
                [ "$status" -eq 8 ] || err_has "oxen-lite: "
                [ "$status" -eq 8 ] || err_has "]"
                ;;
        *)
                show
                fail "ulimit $limit: '$*' ended with $status"
                ;;
        esac
        rm -rf "$tmp/copy"
        [ -z "$again" ] || [ -d .oxen-lite ] || ox "$again"
        ox recover
        ox --json fsck
        left=$(find . -name '*.oxl-*.tmp')
        [ -z "$left" ] || fail "ulimit $limit: '$*' left $left"
}

rm -rf "$work/limits"
mkdir "$work/limits"
cd "$work/limits"
ox init
echo a >a
ox add a
ox commit -m a
mkdir -p d/e/f/g/h/i/j/k/l/m/n/o
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40; do
        mkdir "d$i"
        echo "$i" >"d$i/file"
done
echo deep >d/e/f/g/h/i/j/k/l/m/n/o/deep
head -c 3000000 /dev/urandom >random
round=0
for limit in "-n 256" "-n 40" "-n 24" "-n 16" "-n 12" "-n 10" "-n 9" "-n 8" "-n 7" "-n 6" "-n 5" "-f 4096" "-f 2048" "-f 64" "-f 16" "-f 1"; do
        round=$((round + 1))
        echo "round $round" >>a
        limited "$limit" add -A .
        limited "$limit" commit -m "round $round" --allow-empty
        limited "$limit" commit -am "again $round" --allow-empty
        limited "$limit" restore --force --source HEAD .
        limited "$limit" restore --to "$tmp/copy" .
        limited "$limit" config user.name "round $round"
        limited "$limit" recover
        limited "$limit" fsck --repair
done
cd "$work"
for limit in "-n 256" "-n 16" "-n 12" "-n 10" "-n 8" "-n 6" "-f 4096" "-f 64" "-f 16" "-f 1"; do
        rm -rf "$work/made"
        mkdir "$work/made"
        cd "$work/made"
        again=init
        limited "$limit" init
done
again=
cd "$work/limits"
[ "$failed" -gt 10 ] || fail "the limits made only $failed commands fail"
echo "release-races: limits: $done commands worked, $failed said why not"
ox add -A .
ox commit --allow-empty -m end
fsck_clean
