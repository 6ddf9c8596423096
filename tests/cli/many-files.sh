#!/bin/sh
# SPDX-License-Identifier: MIT
# status and add of a tree that is large enough for several threads say the same with one processor (no threads) and with all.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

one() {
        taskset -c "$(taskset -cp $$ | sed 's/.*: //; s/[,-].*//')" "$OXEN_LITE" "$@"
}

python3 - <<'PYTHON'
import os
for i in range(4000):
    folder = f"d{i // 80:02d}" if i < 2400 else "flat"
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/f{i:04d}", "w") as f:
        f.write(str(i))
PYTHON
ox init
ox --quiet add .
ox --quiet commit -m x
[ "$(one status)" = "$("$OXEN_LITE" status)" ] || fail "unchanged: not the same"
python3 - <<'PYTHON'
import os
for i in range(40, 4000, 90):
    path = f"{f'd{i // 80:02d}' if i < 2400 else 'flat'}/f{i:04d}"
    kind = i // 90 % 6
    if kind != 1:
        os.unlink(path)
    if kind in (1, 2):
        with open(path, "w") as f:
            f.write("changed")
    elif kind == 3:
        os.mkdir(path)
        open(f"{path}/below", "w").close()
    elif kind == 4:
        os.mkfifo(path)
    elif kind == 5:
        os.symlink("nowhere", path)
    open(f"{path}.new", "w").close()
    open(f"{path}.o", "w").close()
os.mkdir("flat/ignored")
open("flat/ignored/f", "w").close()
with open(".oxenliteignore", "w") as f:
    f.write("*.o\nignored/\n")
PYTHON
one status >"$tmp/one"
"$OXEN_LITE" status >"$tmp/all"
cmp "$tmp/one" "$tmp/all" || fail "changed: not the same"
[ "$(grep -c '\.new' "$tmp/all")" -eq 44 ] || fail "not all new files are told: $(cat "$tmp/all")"
cp -a . "$tmp/copy"
ox --quiet add .
(cd "$tmp/copy" && one --quiet add .)
"$OXEN_LITE" status >"$tmp/all"
(cd "$tmp/copy" && one status) >"$tmp/one"
cmp "$tmp/one" "$tmp/all" || fail "added: not the same"
