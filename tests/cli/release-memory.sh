#!/bin/sh
# SPDX-License-Identifier: MIT
# add and commit need at most 400 MiB for 100,000 tiny files, and 64 MiB for one file of 1 GiB.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

# peak LIMIT_MIB WORD...: runs oxen-lite, fails when it needed more
peak() {
        python3 - "$OXEN_LITE" "$@" <<'PYTHON' || fail "memory of: $*"
import resource, subprocess, sys
ox, limit, words = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
subprocess.run([ox, "--quiet", *words], check=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
print(f"{used:.0f} MiB of {limit}: {' '.join(words)}")
sys.exit(used > limit)
PYTHON
}

ox init many
cd many
python3 - <<'PYTHON'
import os
for i in range(100000):
    if i % 1000 == 0:
        os.mkdir(f"d{i // 1000}")
    with open(f"d{i // 1000}/f{i}", "w") as f:
        f.write(f"{i}\n")
PYTHON
peak 400 add -A
peak 400 commit -m many
peak 400 status
cd ..
rm -rf many

ox init large
cd large
python3 - <<'PYTHON'
import hashlib
with open("large", "wb") as f:
    for i in range(1024):
        f.write(hashlib.shake_128(b"%d" % (i % 8)).digest(1 << 20) if i < 8 else b"%16d" % i * (1 << 16))
PYTHON
peak 64 add large
peak 64 commit -m large
printf x >>large
peak 64 commit -am again
peak 64 restore --to "$tmp/to"
cmp large "$tmp/to/large" || fail "the restored file differs"
