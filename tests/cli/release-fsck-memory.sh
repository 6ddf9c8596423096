#!/bin/sh
# SPDX-License-Identifier: MIT
# fsck needs at most 128 MiB for 100,000 small files, and for one file of 1 GiB (OXL_DEEP=1: 6 GiB), also
# with several threads and around the cache.
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

many() {
        python3 - <<'PYTHON'
import os
for i in range(100000):
    if i % 1000 == 0:
        os.mkdir(f"d{i // 1000}")
    with open(f"d{i // 1000}/f{i}", "w") as f:
        f.write(f"{i}\n")
PYTHON
}

ox init many
cd many
many
ox add -A
ox commit -m many
peak 128 fsck
peak 128 fsck --jobs 4
peak 128 fsck --record
peak 128 fsck --time-limit 1s --media
cd ..
rm -rf many

ox init large
cd large
size=$((1 << 30))
[ "${OXL_DEEP-}" != 1 ] || size=$((6 << 30))
printf begin >large
truncate -s "$size" large
printf end >>large
ox add large
ox commit -m large
peak 128 fsck
peak 128 fsck --media --jobs 2
