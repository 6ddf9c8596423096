#!/bin/sh
# SPDX-License-Identifier: MIT
# Instructions per file and per byte on the hot paths, counted by callgrind: no clock, so it says the same on a busy machine. A row
# that is off by more than 30 % fails, in either direction: what became cheaper on purpose is written down here, so that it stays so.
# A difference between two sizes is counted, so what a process costs to start does not matter.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

command -v valgrind >/dev/null || {
        echo "skipped: no valgrind"
        exit 77
}

# instructions WORD...: of one run of oxen-lite
instructions() {
        valgrind --tool=callgrind --callgrind-out-file=/dev/null "$OXEN_LITE" "$@" 2>"$tmp/callgrind" >/dev/null ||
                fail "under callgrind: $*: $(tail -n 5 "$tmp/callgrind")"
        sed -n 's/.*Collected : //p' "$tmp/callgrind"
}

# measure NAME: add, commit, status, fsck of what is in this folder; then of one file: NAME.<what>
measure() {
        instructions --quiet add . >"$tmp/$1.add"
        instructions --quiet commit -m x >"$tmp/$1.commit"
        instructions status >"$tmp/$1.status"
        instructions fsck >"$tmp/$1.fsck"
}

# expect WHAT NUMBER UNIT WANTED: instructions between few.WHAT and many.WHAT per UNIT, of which there are NUMBER more in many
expect() {
        python3 - "$1" "$(cat "$tmp/few.$1")" "$(cat "$tmp/many.$1")" "$2" "$3" "$4" <<'PYTHON' || broken=1
import sys
what, few, many, number, unit, wanted = sys.argv[1:]
got, wanted = (int(many) - int(few)) / int(number), float(wanted)
bad = not 0.7 * wanted <= got <= 1.3 * wanted
print(f"{'BAD' if bad else 'ok '} {what}: {got:.2f} instructions per {unit}, written down are {wanted:g}")
sys.exit(bad)
PYTHON
}

broken=0
python3 - <<'PYTHON'
import hashlib, os
for name, files in (("few", 200), ("many", 1200)):
    for i in range(files):
        os.makedirs(f"{name}/d{i // 100:02d}", exist_ok=True)
        with open(f"{name}/d{i // 100:02d}/f{i:04d}", "w") as f:
            f.write(f"{i:0300d}")
for name, mib in (("few.large", 4), ("many.large", 20)):
    os.mkdir(name)
    with open(f"{name}/large", "wb") as f:
        for i in range(mib):
            f.write(hashlib.shake_128(b"%d" % i).digest(1 << 20))
PYTHON
for name in few many; do
        cd "$name"
        ox init
        measure "$name"
        echo changed >d00/f0000
        instructions --quiet commit -m y d00/f0000 >"$tmp/$name.one"
        cd "../$name.large"
        ox init
        instructions --quiet add . >"$tmp/$name.add-bytes"
        instructions fsck >"$tmp/$name.fsck-bytes"
        cd ..
done
expect add 1000 file 17000
expect commit 1000 file 11400
expect status 1000 file 2100
expect fsck 1000 file 11800
more=$(($(cat "$tmp/many.one") - $(cat "$tmp/few.one")))
echo "commit of one file: $more instructions more among 1,200 files than among 200"
[ "$more" -le 1000000 ] || fail "a commit of one file grows with the repository"
# valgrind knows AVX2 at most, and less where the processor has less.
if grep -qw avx2 /proc/cpuinfo; then
        expect add-bytes 16777216 byte 2.5
        expect fsck-bytes 16777216 byte 2.5
fi
[ "$broken" -eq 0 ] || fail "instruction counts changed"
