#!/bin/sh
# SPDX-License-Identifier: MIT
# add, commit, status and restore need at most 200 MiB for 100,000 tiny files, and 128 MiB for one file of 1 GiB (OXL_DEEP=1:
# 6 GiB, which needs 18 GiB of disk). release-fsck-memory.sh is the same for fsck.
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
peak 200 add -A
peak 200 commit -m many
peak 200 status
for i in 1 2 3 4 5 6 7 8 9; do echo changed >"d$i/f${i}500"; done
peak 200 commit -am changed
peak 200 restore --to "$tmp/to"
[ "$(find "$tmp/to" -type f | wc -l)" -eq 100000 ] || fail "the restored folder lacks files"
cd ..
rm -rf many "$tmp/to"

ox init large
cd large
mib=1024
[ "${OXL_DEEP-}" != 1 ] || mib=6144
python3 - "$mib" <<'PYTHON'
import hashlib, sys
with open("large", "wb") as f:
    for i in range(int(sys.argv[1])):
        f.write(hashlib.shake_128(b"%d" % (i % 8)).digest(1 << 20) if i < 8 else b"%16d" % i * (1 << 16))
PYTHON
peak 128 add large
peak 128 commit -m large
peak 128 restore --to "$tmp/to"
cmp large "$tmp/to/large" || fail "the restored file differs"
rm -r "$tmp/to"
printf x >>large
peak 128 commit -am again
