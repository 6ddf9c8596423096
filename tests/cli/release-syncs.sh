#!/bin/sh
# SPDX-License-Identifier: MIT
# commit -a waits for the disk at most 8 times, as often for 10,000 small files as for 10.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

command -v strace >/dev/null || {
        echo "skipped: no strace"
        exit 77
}
strace -f -o "$tmp/probe" true 2>/dev/null || {
        echo "skipped: ptrace is not allowed here"
        exit 77
}
ox init
python3 - <<'PYTHON'
import os
for i in range(10000):
    if i % 100 == 0:
        os.mkdir(f"d{i // 100}")
    with open(f"d{i // 100}/f{i}", "w") as f:
        f.write(f"first {i}\n")
PYTHON
ox add -A
ox commit -m first

# count NUMBER: changes that many files, commits under strace, prints the number of calls that wait for the disk
count() {
        python3 - "$1" <<'PYTHON'
import sys
n = int(sys.argv[1])
for i in range(n):
    with open(f"d{i // 100}/f{i}", "w") as f:
        f.write(f"changed by the round of {n}: {i}\n")
PYTHON
        run 0 strace -f -y -e trace=fsync,fdatasync,syncfs,sync,msync,sync_file_range -o "$tmp/trace.$1" \
                "$OXEN_LITE" commit -am "round of $1"
        grep -cE '(fsync|fdatasync|syncfs|sync|msync|sync_file_range)\(' "$tmp/trace.$1" || true
}
few=$(count 10)
many=$(count 10000)
echo "10 files: $few calls; 10,000 files: $many calls"
cat "$tmp/trace.10" "$tmp/trace.10000"
[ "$few" -gt 0 ] || fail "no call was seen"
same "$few" "$many" "calls for 10 and for 10,000 files"
[ "$many" -le 8 ] || fail "$many calls"
fsck_clean
