#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Do two folders hold the same? Names, kinds, contents, link targets and the executable bit; empty folders and
`.oxen-lite` do not count, because a repository does not store them. Prints up to 20 differences.

  same_tree.py A B
"""
import os
import stat
import sys


def entries(top):
    found = {}
    for folder, folders, files in os.walk(top, onerror=lambda e: sys.exit(str(e))):
        folders[:] = [f for f in folders if f != b".oxen-lite" or os.path.islink(os.path.join(folder, f))]
        for name in files + [f for f in folders if os.path.islink(os.path.join(folder, f))]:
            path = os.path.join(folder, name)
            found[os.path.relpath(path, top)] = path
    return found


def same_bytes(a, b):
    with open(a, "rb") as x, open(b, "rb") as y:
        while True:
            p, q = x.read(1 << 20), y.read(1 << 20)
            if p != q:
                return False
            if not p:
                return True


def difference(a, b):
    s, t = os.lstat(a), os.lstat(b)
    if stat.S_IFMT(s.st_mode) != stat.S_IFMT(t.st_mode):
        return "kinds differ"
    if stat.S_ISLNK(s.st_mode):
        return "" if os.readlink(a) == os.readlink(b) else "link targets differ"
    if not stat.S_ISREG(s.st_mode):
        return ""
    if bool(s.st_mode & 0o100) != bool(t.st_mode & 0o100):
        return f"modes differ: {s.st_mode:o}, {t.st_mode:o}"
    return "" if s.st_size == t.st_size and same_bytes(a, b) else "contents differ"


def main():
    a, b = (entries(os.fsencode(p)) for p in sys.argv[1:3])
    found = [(n, "only in the first") for n in a.keys() - b.keys()]
    found += [(n, "only in the second") for n in b.keys() - a.keys()]
    found += [(n, d) for n in a.keys() & b.keys() if (d := difference(a[n], b[n]))]
    for name, what in sorted(found)[:20]:
        print(f"{name!r}: {what}")
    print(f"{len(a)} and {len(b)} files, {len(found)} differences")
    return 1 if found or not a else 0


if __name__ == "__main__":
    sys.exit(main())
