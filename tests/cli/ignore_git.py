#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Random trees with random .oxenliteignore files: what add -A stages must be what git lists as untracked and not ignored.

  ignore_git.py OXEN_LITE FOLDER ROUNDS SEED
"""
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys

PROGRAM, FOLDER, ROUNDS, SEED = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
NAMES = ["a", "b", "ab", "abc", "a.c", "a.o", "b.o", "build", "sub", "deep", "x y", "end ", "#h", "!n", "a*b", "[z]", "q\\r",
         "Z9", "foo", "foobar", "é", "-", "a-b", "tmp"]
PIECES = NAMES + ["*", "?", "**", "*.o", "a*", "*b", "*a*", "[a-c]", "[!a]", "[^b]*", "[[:alpha:]]", "[[:digit:]Z]*", "[]-]",
                  "[a", "[z-a]", "a\\*b", "\\[z\\]", "\\#h", "\\!n", "q\\\\r", "a?c", "[[:no:]]", "x\\ y", "***", "a**", "**b",
                  "[\\]a]", "[a\\-c]b", "[[:]*"]


def pattern(rng):
    text = "/".join(rng.choice(PIECES) for _ in range(rng.choice([1, 1, 1, 2, 2, 3])))
    text = rng.choice(["", "", "", "/", "**/", "/**/"]) + text + rng.choice(["", "", "", "/", "/**", "/*", " ", "\\ ", "  "])
    return rng.choice(["", "", "", "!"]) + text


def ignore_file(rng):
    lines = [pattern(rng) for _ in range(rng.randint(1, 6))]
    lines += rng.sample(["# a comment", "", "   ", "!", "/", "\\"], rng.randint(0, 2))
    rng.shuffle(lines)
    text = rng.choice(["\n", "\n", "\n", "\r\n"]).join(lines) + rng.choice(["\n", ""])
    return rng.choice(["", "", "\ufeff"]) + text


def fill(rng, folder, depth):
    folder.mkdir(exist_ok=True)
    if rng.random() < (0.9 if depth == 0 else 0.3):
        (folder / ".oxenliteignore").write_bytes(ignore_file(rng).encode())
    for name in rng.sample(NAMES, rng.randint(2, 6)):
        if depth < 3 and rng.random() < 0.45:
            fill(rng, folder / name, depth + 1)
        else:
            (folder / name).write_text("x")


def output(*command, cwd):
    return subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE).stdout


def show(folder):
    for path in sorted(folder.rglob(".oxenliteignore")):
        print(f"--- {path.relative_to(folder)}: {path.read_bytes()!r}")


def compare(folder):
    wanted = output("git", "ls-files", "--others", "-z", "--exclude-per-directory=.oxenliteignore", cwd=folder)
    wanted = sorted(os.fsdecode(p) for p in wanted.split(b"\0") if p and not p.startswith(b".oxen-lite/"))
    status = json.loads(output(PROGRAM, "--json", "status", cwd=folder))
    output(PROGRAM, "--quiet", "add", "-A", cwd=folder)
    staged = json.loads(output(PROGRAM, "--json", "status", cwd=folder))
    got = sorted(e["path"] for e in staged["staged"])
    if got != wanted or staged["untracked"]:
        show(folder)
        print(f"only git: {sorted(set(wanted) - set(got))}\nonly we: {sorted(set(got) - set(wanted))}"
              f"\nstill untracked: {staged['untracked']}")
        return False
    untracked = {e["path"] for e in status["untracked"]}
    for path in wanted:
        if not any(path == u or (u.endswith("/") and path.startswith(u)) for u in untracked):
            show(folder)
            print(f"status does not show {path}: {untracked}")
            return False
    for path in untracked:
        if not any(w == path or (path.endswith("/") and w.startswith(path)) for w in wanted):
            show(folder)
            print(f"status shows {path}, which is ignored")
            return False
    return True


def main():
    for n in range(ROUNDS):
        rng = random.Random(SEED + n)
        shutil.rmtree(FOLDER, ignore_errors=True)
        fill(rng, FOLDER, 0)
        output("git", "init", "-q", cwd=FOLDER)
        output(PROGRAM, "--quiet", "init", cwd=FOLDER)
        shutil.move(FOLDER / ".git", FOLDER.with_suffix(".git"))
        os.environ["GIT_DIR"], os.environ["GIT_WORK_TREE"] = str(FOLDER.with_suffix(".git")), str(FOLDER)
        good = compare(FOLDER)
        shutil.rmtree(FOLDER.with_suffix(".git"))
        del os.environ["GIT_DIR"], os.environ["GIT_WORK_TREE"]
        if not good:
            sys.exit(f"ignore_git: seed {SEED + n}: differs from git")
    print(f"ignore_git: {ROUNDS} trees, as git")


main()
