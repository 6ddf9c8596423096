#!/bin/sh
# SPDX-License-Identifier: MIT
# Ctrl-C while a large file is added: 130, nothing staged, no temp left; the same for TERM and for commit.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

ox init
printf 1 >small
truncate -s 64G large
python3 - "$OXEN_LITE" <<'PYTHON' || fail "interrupted"
import os, signal, subprocess, sys, time
ox = sys.argv[1]
temps = ".oxen-lite/versions/tmp"

def run(number, *words):
    p = subprocess.Popen([ox, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    end = time.monotonic() + 120
    while not any(n.endswith(".tmp") for n in os.listdir(temps)):
        assert p.poll() is None, ("ended before it was interrupted", p.communicate())
        assert time.monotonic() < end, "no temp"
        time.sleep(0.005)
    p.send_signal(number)
    out, err = p.communicate(timeout=120)
    assert p.returncode == 130, (words, p.returncode, out, err)
    assert b"interrupted [cancelled]" in err, err
    assert os.listdir(temps) == [], os.listdir(temps)

run(signal.SIGINT, "add", "large")
run(signal.SIGTERM, "add", "large")
run(signal.SIGINT, "add", "-A")
subprocess.run([ox, "--quiet", "add", "small"], check=True)
run(signal.SIGINT, "commit", "-m", "both", "large")
PYTHON
rm large
json status
is "[e['path'] for e in d['staged']] == ['small']" "d['untracked'] == []" "d['commit'] is None"
ox commit -m small
fsck_clean
