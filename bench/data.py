# SPDX-License-Identifier: MIT
"""Seeded data sets. The same name gives the same bytes everywhere; nothing in them can be compressed."""
import os
import random

SETS = {
    # name: (files, smallest, largest, files in a folder)
    "small": (20_000, 1 << 10, 16 << 10, 100),
    "medium": (2_000, 1 << 20, 1 << 20, 100),
    "tiny": (100_000, 100, 300, 100),
    "million": (1_000_000, 100, 300, 100),
    "flat": (1_000_000, 10, 30, 1_000_000),
    "thousand": (1_000, 100, 300, 100),
    "tenthousand": (10_000, 100, 300, 100),
}
LARGE = 4 << 30
EDIT = 1 << 30  # the file of append and change


def _write(path, r, size):
    with open(path, "wb") as f:
        while size > 0:
            n = min(size, 4 << 20)
            f.write(r.randbytes(n))
            size -= n


def make(name, where):
    """Makes the set below the folder @where and returns its files and bytes."""
    r = random.Random(f"oxen-lite bench {name}")
    os.makedirs(where)
    if name in ("large", "edit"):
        size = LARGE if name == "large" else EDIT
        _write(f"{where}/data.bin", r, size)
        return 1, size
    files, low, high, per = SETS[name]
    total = 0
    for i in range(files):
        folder = f"{where}/d{i // per:04d}"
        if i % per == 0:
            os.makedirs(folder)
        size = r.randint(low, high)
        with open(f"{folder}/f{i:07d}.bin", "wb") as f:
            f.write(r.randbytes(size))
        total += size
    return files, total


def append(path, round_number):
    """10 MiB behind the end."""
    with open(path, "ab") as f:
        f.write(random.Random(f"append {round_number}").randbytes(10 << 20))


def change(path, round_number):
    """1 % in 160 scattered pieces of 64 KiB."""
    r = random.Random(f"change {round_number}")
    size = os.path.getsize(path)
    with open(path, "r+b") as f:
        for _ in range(160):
            f.seek(r.randrange(0, size - (64 << 10)))
            f.write(r.randbytes(64 << 10))
