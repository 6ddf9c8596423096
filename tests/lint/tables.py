#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The tables and what must agree with them: error.def with docs/ERRORS.md, problems.def with docs/FSCK.md.

  tables.py               check
  tables.py --write       write docs/ERRORS.md
  tables.py --write-fsck  write docs/FSCK.md
  tables.py --untested    list the rows that no test names
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
ERRORS = ROOT / "lib/include/oxenlite/error.def"
ERRORS_DOC = ROOT / "docs/ERRORS.md"
PROBLEMS = ROOT / "lib/include/oxenlite/problems.def"
PROBLEMS_DOC = ROOT / "docs/FSCK.md"

SHAPES = {"PLAIN", "PATH", "PATHS", "WHY", "OBJECT", "OS_PATH", "OS_PATHS"}
EXITS = {1: "failed", 2: "usage", 3: "damaged", 4: "locked", 5: "nothing to do", 130: "interrupted"}
# What a shape can fill in.
FACTS = {"PLAIN": set(), "PATH": {"%1"}, "OS_PATH": {"%1"}, "PATHS": {"%1", "%2"}, "OS_PATHS": {"%1", "%2"},
         "WHY": {"%1", "%d"}, "OBJECT": {"%1", "%w", "%g"}}

PASSES = {1: "format", 2: "HEAD and refs", 3: "config", 4: "index", 5: "journal", 6: "lookup", 7: "commits and trees",
          8: "packs", 9: "loose blobs", 10: "reachability", 11: "leftovers",
          12: "Oxen stores"}
SEVERITIES = {"NOTE": "worth knowing; nothing is lost or at risk",
              "WARNING": "redundancy or a derived file is lost; no content",
              "ERROR": "a canonical file is damaged; content may still exist elsewhere",
              "LOSS": "committed or staged content is gone from the store"}

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
    """(number, name, slug, severity, cost, message, remedy, automatic) of each row."""
    text = uncommented(PROBLEMS)
    row = re.compile(r"\bOXL_PROBLEM\(\s*(\d+),\s*(\w+),\s*" + STRING + r",\s*(\w+),\s*" + STRING + r",\s*" + STRING
                     + r",\s*" + STRING + r",\s*(true|false)\s*\)")
    rows = [(int(r[0]),) + r[1:] for r in row.findall(text)]
    begun = len(re.findall(r"\bOXL_PROBLEM\(", text))
    if not rows or len(rows) != begun:
        problems.append(f"problems.def: {begun} rows begin, {len(rows)} have the right form")
    return rows


def check_problems(rows, problems):
    for column, what in ((0, "number"), (1, "name"), (2, "slug")):
        seen = set()
        for row in rows:
            if row[column] in seen:
                problems.append(f"problems.def: {what} {row[column]} is there twice")
            seen.add(row[column])
    for number, name, slug, severity, cost, text, remedy, _ in rows:
        if not KEBAB.fullmatch(slug):
            problems.append(f"problems.def: slug '{slug}' is not kebab-case")
        if number // 100 not in PASSES or severity not in SEVERITIES:
            problems.append(f"problems.def: {name}: number or severity is out of range")
        if set(re.findall(r"%.", text)) - {"%1"} or not (cost and text and remedy):
            problems.append(f"problems.def: {name}: a text is missing, or has another fact than %1")


def problems_doc(rows):
    out = ["# What fsck finds", "",
           "Generated from `lib/include/oxenlite/problems.def` by `tests/lint/tables.py --write-fsck`; not edited by hand.",
           "`oxen-lite fsck --explain SLUG` says the same. Numbers are permanent; the hundreds are the pass.", "",
           "**Severity.**"]
    out += [f"*{s.lower()}*: {meaning}." for s, meaning in SEVERITIES.items()]
    out += ["", "**Verdict.** What looks wrong is read a second time, from the medium.",
            "*media*: wrong the same way twice: that is what is stored (or what the cache holds, where a file system keeps no",
            "other copy, as tmpfs). *transient*: right the second time. *memory-suspect*: wrong in another way: neither answer",
            "can be believed, and nothing should be repaired on this machine. *unreadable*: the system reported an error: that is",
            "never taken for damage, and never for clean.", "",
            "**Automatic**: `fsck --repair` does it without being asked about this problem in particular.", ""]
    for hundred, title in PASSES.items():
        part = [r for r in sorted(rows) if r[0] // 100 == hundred]
        if part:
            out += [f"## {title}", ""]
        for number, _, slug, severity, cost, text, remedy, automatic in part:
            say = text.replace("%1", "PATH")
            out += [f"### `{slug}`", "", f"{number}, {severity.lower()}: {say}.", "",
                    f"- lost: {cost}", f"- remedy: {remedy}", f"- automatic: {'yes' if automatic == 'true' else 'no'}", ""]
    return "\n".join(out).rstrip() + "\n"


def untested(rows, known):
    tests = "\n".join(p.read_text(encoding="utf-8", errors="replace") for p in (ROOT / "tests").rglob("*")
                      if p.suffix in (".c", ".h", ".sh", ".py") and "lint" not in p.parts)
    names = [(f"OXL_E_{r[1]}", r[2]) for r in rows] + [(f"OXL_P_{r[1]}", r[2]) for r in known]
    missing = [n[1] for n in names if not any(re.search(rf"(?<![\w-]){re.escape(w)}(?![\w-])", tests) for w in n)]
    print("\n".join(missing + [f"{len(missing)} of {len(names)} rows are named by no test"]))


def main():
    problems = []
    rows = read_errors(problems)
    known = read_problems(problems)
    check_errors(rows, problems)
    check_problems(known, problems)
    if "--write" in sys.argv and not problems:
        ERRORS_DOC.write_text(errors_doc(rows), encoding="utf-8")
    if "--write-fsck" in sys.argv and not problems:
        PROBLEMS_DOC.write_text(problems_doc(known), encoding="utf-8")
    if "--untested" in sys.argv:
        untested(rows, known)
        return 0
    if not ERRORS_DOC.exists() or ERRORS_DOC.read_text(encoding="utf-8") != errors_doc(rows):
        problems.append("docs/ERRORS.md is not what error.def says: run tests/lint/tables.py --write")
    if not PROBLEMS_DOC.exists() or PROBLEMS_DOC.read_text(encoding="utf-8") != problems_doc(known):
        problems.append("docs/FSCK.md is not what problems.def says: run tests/lint/tables.py --write-fsck")
    for problem in problems:
        print(problem)
    print(f"tables: {len(rows)} errors, {len(known)} problems, {len(problems)} findings")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
