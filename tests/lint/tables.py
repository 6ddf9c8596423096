#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The tables and what must agree with them: error.def with docs/ERRORS.md, problems.def with docs/FSCK.md.

  tables.py             check
  tables.py --write     write docs/ERRORS.md
  tables.py --untested  list the rows that no test names
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
ERRORS = ROOT / "lib/include/oxenlite/error.def"
ERRORS_DOC = ROOT / "docs/ERRORS.md"
PROBLEMS = ROOT / "lib/check/problems.def"
PROBLEMS_DOC = ROOT / "docs/FSCK.md"

SHAPES = {"PLAIN", "PATH", "PATHS", "WHY", "OBJECT", "OS_PATH", "OS_PATHS"}
EXITS = {1: "failed", 2: "usage", 3: "damaged", 4: "locked", 5: "nothing to do", 130: "interrupted"}
# What a shape can fill in.
FACTS = {"PLAIN": set(), "PATH": {"%1"}, "OS_PATH": {"%1"}, "PATHS": {"%1", "%2"}, "OS_PATHS": {"%1", "%2"},
         "WHY": {"%1", "%d"}, "OBJECT": {"%1", "%w", "%g"}}

STRING = r'"((?:\\.|[^"\\])*)"'
KEBAB = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def uncommented(path):
    text = path.read_text(encoding="utf-8")
    return re.sub(r"/\*.*?\*/", "", text, flags=re.S)


def read_errors(problems):
    text = uncommented(ERRORS)
    row = re.compile(r"\bOXL_ERR\(\s*(\d+),\s*(\w+),\s*" + STRING + r",\s*(\w+),\s*(\d+),\s*" + STRING
                     + r",\s*" + STRING + r"\s*\)")
    rows = [(int(n), code, slug, shape, int(status), text, step)
            for n, code, slug, shape, status, text, step in row.findall(text)]
    begun = len(re.findall(r"\bOXL_ERR\(", text))
    if not rows or len(rows) != begun:
        problems.append(f"error.def: {begun} rows begin, {len(rows)} have the right form")
    return rows


def check_errors(rows, problems):
    for column, what in ((0, "number"), (1, "code"), (2, "slug")):
        seen = set()
        for row in rows:
            if row[column] in seen:
                problems.append(f"error.def: {what} {row[column]} is there twice")
            seen.add(row[column])
    for number, code, slug, shape, status, text, step in rows:
        if not KEBAB.fullmatch(slug):
            problems.append(f"error.def: {code}: slug '{slug}' is not kebab-case")
        if number < 1 or status not in EXITS or shape not in SHAPES:
            problems.append(f"error.def: {code}: number, shape or exit is out of range")
        for fact in set(re.findall(r"%.", text)) - {"%%"} - FACTS.get(shape, set()):
            problems.append(f"error.def: {code}: {fact} in the message, but shape {shape} has no such fact")
        if not text or not step:
            problems.append(f"error.def: {code}: no message or no next step")


def errors_doc(rows):
    facts = {"%1": "PATH", "%2": "PATH2", "%d": "REASON", "%w": "WANTED", "%g": "FOUND", "%%": "%"}
    out = ["# Errors", "",
           "Generated from `lib/include/oxenlite/error.def` by `tests/lint/tables.py --write`; not edited by hand.",
           "The slug stands in brackets behind the message, and in `\"error\": {\"code\": ...}` of `--json`.",
           "Numbers are permanent. Errors of the operating system append its own text.", "",
           "| Number | Slug | Exit | Message | Next step |", "|---:|---|---|---|---|"]
    for number, _, slug, _, status, text, step in sorted(rows):
        text = re.sub(r"%.", lambda m: facts.get(m.group(0), m.group(0)), text)
        cells = [c.replace("|", "\\|").replace('\\"', '"') for c in (text, step)]
        out.append(f"| {number} | `{slug}` | {status} {EXITS.get(status, '')} | {cells[0]} | {cells[1]} |")
    return "\n".join(out) + "\n"


def read_problems(problems):
    """(macro arguments up to the slug) of each row: the slug is its first string."""
    if not PROBLEMS.exists():
        return []
    slugs = re.findall(r"^\s*OXL_PROBLEM\w*\([^\"]*?" + STRING, uncommented(PROBLEMS), re.M)
    if not slugs:
        problems.append("problems.def: no rows of the form OXL_PROBLEM(..., \"slug\", ...)")
    return slugs


def check_problems(slugs, problems):
    doc = PROBLEMS_DOC.read_text(encoding="utf-8") if PROBLEMS_DOC.exists() else ""
    for slug in slugs:
        if not KEBAB.fullmatch(slug):
            problems.append(f"problems.def: slug '{slug}' is not kebab-case")
        if slugs.count(slug) > 1:
            problems.append(f"problems.def: slug '{slug}' is there twice")
        if f"`{slug}`" not in doc:
            problems.append(f"docs/FSCK.md: problem `{slug}` is missing")


def untested(rows, slugs):
    tests = "\n".join(p.read_text(encoding="utf-8", errors="replace") for p in (ROOT / "tests").rglob("*")
                      if p.suffix in (".c", ".h", ".sh", ".py") and "lint" not in p.parts)
    names = [(f"OXL_E_{r[1]}", r[2]) for r in rows] + [(s, s) for s in slugs]
    missing = [n[1] for n in names if not any(re.search(rf"(?<![\w-]){re.escape(w)}(?![\w-])", tests) for w in n)]
    print("\n".join(missing + [f"{len(missing)} of {len(names)} rows are named by no test"]))


def main():
    problems = []
    rows = read_errors(problems)
    slugs = read_problems(problems)
    check_errors(rows, problems)
    if "--write" in sys.argv and not problems:
        ERRORS_DOC.write_text(errors_doc(rows), encoding="utf-8")
    if "--untested" in sys.argv:
        untested(rows, slugs)
        return 0
    if not ERRORS_DOC.exists() or ERRORS_DOC.read_text(encoding="utf-8") != errors_doc(rows):
        problems.append("docs/ERRORS.md is not what error.def says: run tests/lint/tables.py --write")
    check_problems(slugs, problems)
    for problem in problems:
        print(problem)
    print(f"tables: {len(rows)} errors, {len(slugs)} problems, {len(problems)} findings")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
