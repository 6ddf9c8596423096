#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that our C is as clang-format (.clang-format) writes it; --write makes it so. Arguments: files.

clang-format 14 tears `#define X_INIT { 0 }` into four lines; those lines are hidden from it.
"""
import concurrent.futures
import difflib
import os
import re
import subprocess
import sys

INITIALISER = re.compile(r"^(#define \w+ )(\{ .* \})( /\*.*\*/)?$", re.M)


def formatted(path, text):
    hidden = [m.group(0) for m in INITIALISER.finditer(text)]
    number = iter(range(len(hidden)))
    masked = INITIALISER.sub(lambda m: f"#define OXL_HIDDEN_{next(number)}_", text)
    done = subprocess.run(["clang-format", "--style=file", f"--assume-filename={path}"],
                          input=masked, capture_output=True, text=True, check=True).stdout
    return re.sub(r"^#define OXL_HIDDEN_(\d+)_$", lambda m: hidden[int(m.group(1))], done, flags=re.M)


def check(path, write):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    want = formatted(path, text)
    if want == text:
        return ""
    if write:
        with open(path, "w", encoding="utf-8") as f:
            f.write(want)
        return ""
    return "".join(difflib.unified_diff(text.splitlines(True), want.splitlines(True), path, "formatted", n=1))


def main():
    write = "--write" in sys.argv
    paths = [a for a in sys.argv[1:] if a != "--write"]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        diffs = [d for d in pool.map(lambda p: check(p, write), paths) if d]
    for diff in diffs:
        sys.stdout.write(diff)
    if diffs:
        print(f"format: {len(diffs)} of {len(paths)} files differ; tests/lint/format.py --write FILE... repairs them",
              file=sys.stderr)
    return 1 if diffs else 0


if __name__ == "__main__":
    sys.exit(main())
