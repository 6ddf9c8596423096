#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The tables and what must agree with them: error.def with docs/ERRORS.md, problems.def with docs/FSCK.md and the folders of
tests/check, one for each row; the commands of cli/main.c with their schemas, tests, and what man/ adds. (Man pages and
completions are made from the table by the build; tests/cli/help.sh and completion.sh look at the results.)

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
# Behind the introduction of docs/FSCK.md.
REPAIR = """\
## What could not be read

Every I/O error of every pass is a finding `unreadable`, names the file and adds 8 to the exit code, also when another copy
of the object was good, and with `--repair` also when it did not come again. It never leads to a repair or a deletion. Only these reads may
fail unheard, because no verdict rests on them: how the path of the working tree is learned (`realpath` is asked next), where a
loose blob has holes (it is read as it is), the removal of the private copy of `journal.db` (tried again), and the look for such copies
that killed processes left in $TMPDIR (the next one looks again).

## Locks

A check holds the lock `gc` shared, so that nothing it relies on is moved away meanwhile; that needs no write access, and works
on a read-only mount. When a gc is at work it waits (`--wait`), then ends with 8 and says who that is. A process that stays in a
transaction of `journal.db` is named in the finding, with its command and, when it is stopped, how to continue it. `--repair`,
`--apply`, `--undo` and `--purge-quarantine` hold `writer` and `gc`.

## Repair

Good bytes come, in this order, from another copy in the store, the working tree and staged files, quarantine, trash, and the folders
given with `--from`. What no hash names, `config.json`, HEAD and refs, is taken from a folder given with `--from` when that is a copy of the
repository (the same id; its seal proves it) and, for HEAD and refs, the operation log does not know better; a ref only when its commit is
here. A damaged `config.json` is never replaced by the defaults unasked: a plan has to list it. A missing object that is in trash is a finding whose remedy is `gc --undo ID`. They are read from the medium and hashed before they are used, so a working file that shares the bad extents
(FICLONE, deduplication) is no source: it has the wrong hash, too. Repair copies and never clones, so what it heals has a place of
its own on the medium. Without good bytes the damaged file stays where it is.

What is replaced goes to `quarantine/` first, with a note; `fsck --undo ID` puts it back. The same holds when `add`, `commit` or
`restore --force` meet a damaged loose blob whose good bytes they have: the damaged file is in quarantine before the good one takes its
place.

More damage than max(5 items, 1 % of the files checked) is left alone until `--force`.

**What only a person knows.** When a ref or HEAD is lost and the operation log does not know where it was, `fsck --repair` proposes:
commits that nothing names, or the branches. Nothing is guessed. To choose, put the answer into a plan and apply it:

```
oxen-lite fsck --json >plan.json
    in the finding of the ref:  "choice": "<64 digits of the commit>"
    in the finding of HEAD:     "choice": "main"  (or a commit)
oxen-lite fsck --apply plan.json
```

A commit is taken only when it can be read, a branch only when it is there; the damaged file goes to quarantine.
`--apply` acts on the findings that the plan lists, and on those only as long as they look as they did.
""".rstrip("\n").split("\n")

SEVERITIES = {"NOTE": "worth knowing; nothing is lost or at risk",
              "WARNING": "redundancy or a derived file is lost; no content",
              "ERROR": "a canonical file is damaged; content may still exist elsewhere",
              "LOSS": "committed, staged or kept content is gone from the store"}

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
            "**Automatic**: `fsck --repair` does it without being asked about this problem in particular.", "",
            *REPAIR, ""]
    for hundred, title in PASSES.items():
        part = [r for r in sorted(rows) if r[0] // 100 == hundred]
        if part:
            out += [f"## {title}", ""]
        for number, _, slug, severity, cost, text, remedy, automatic in part:
            say = text.replace("%1", "PATH")
            out += [f"### `{slug}`", "", f"{number}, {severity.lower()}: {say}.", "",
                    f"- lost: {cost}", f"- remedy: {remedy}", f"- automatic: {'yes' if automatic == 'true' else 'no'}", ""]
    return "\n".join(out).rstrip() + "\n"


# The words of tests/check/*/expect (tests/check/_problems.sh); true: must be there unless a test stands in.
EXPECT = {"finds": True, "automatic": True, "heal": True, "path": False, "verdict": False, "affects": False,
          "without": False, "works": False, "differs": False, "needs": False, "test": False}


def names_remedy(remedy, heals):
    """Is the row's command among those that healed it? A remedy that is no command of ours is for people."""
    if not remedy.startswith("oxen-lite "):
        return True
    words = [r"\S+" if re.fullmatch("[A-Z]+", w) else re.escape(w) for w in remedy.split()[1:]]
    return any(re.search(r"(?:^\d |\"\$OXEN_LITE\" )" + " ".join(words), h) for h in heals)


def check_folder(folder, row, problems):
    where = folder.relative_to(ROOT)
    want = {}
    for line in (folder / "expect").read_text(encoding="utf-8").splitlines():
        word, _, rest = line.partition(": ")
        want.setdefault(word, []).append(rest)
    for word in set(want) - set(EXPECT):
        problems.append(f"{where}/expect: unknown word '{word}'")
    if "test" in want:
        name, function = (want["test"][0].split() + [""])[:2]
        source = ROOT / "tests" / f"{name}.c"
        if not source.exists() or f"cmocka_unit_test({function})" not in source.read_text(encoding="utf-8") and \
                f"with_repository({function})" not in source.read_text(encoding="utf-8"):
            problems.append(f"{where}/expect: there is no test {name} with {function}")
        return
    for word, must in EXPECT.items():
        if must and word not in want:
            problems.append(f"{where}/expect: no '{word}'")
    if not (folder / "damage.sh").exists():
        problems.append(f"{where}: no damage.sh")
    if want.get("automatic") != ["yes" if row[7] == "true" else "no"]:
        problems.append(f"{where}/expect: the table says otherwise about 'automatic'")
    if not names_remedy(row[6], want.get("heal", [])):
        problems.append(f"{where}/expect: '{row[6]}', the row's remedy, is not what heals it")


def check_folders(rows, problems):
    folders = {p.parent.name: p.parent for p in (ROOT / "tests/check").glob("*/expect")}
    for row in rows:
        if row[2] not in folders:
            problems.append(f"problems.def: {row[1]}: no folder tests/check/{row[2]}")
        else:
            check_folder(folders[row[2]], row, problems)
    for slug in set(folders) - {row[2] for row in rows}:
        problems.append(f"tests/check/{slug}: the table has no such row")


COMMANDS = ROOT / "cli/main.c"
# What a command prints for people only.
NO_DOCUMENT = set()


def read_commands(problems):
    """(name, function, synopsis, about, example) of each row."""
    text = uncommented(COMMANDS)
    begin = text.find("const struct command commands[] = {")
    table = text[begin:text.find("\n};", begin)]
    texts = r'"(?:\\.|[^"\\])*"(?:\s*"(?:\\.|[^"\\])*")*'
    row = re.compile(r"\{ \"([a-z-]+)\", (cmd_\w+), ([\w| ]+), (-?\d+), (-?\d+), (\w+),\s*(" + texts + r"),\s*(" + texts
                     + r"),\s*(NULL|" + texts + r"),\s*(" + texts + r") \}")
    rows = [(m[0], m[1], m[6], m[7], m[9]) for m in row.findall(table)]
    begun = len(re.findall(r'\{ "[a-z-]+", cmd_', table))
    if not rows or len(rows) != begun:
        problems.append(f"cli/main.c: {begun} commands begin, {len(rows)} have the right form")
    return rows


def check_commands(rows, problems):
    names = [r[0] for r in rows]
    if names != sorted(names):
        problems.append("cli/main.c: the commands are not in order")
    tests = "\n".join(p.read_text(encoding="utf-8") for p in (ROOT / "tests").rglob("*.sh"))
    for name, _, _, about, example in rows:
        if not re.fullmatch(r'"[a-z][^"]*[^."]"', about):
            problems.append(f"cli/main.c: {name}: '{about}' should begin small and end without a full stop")
        if not re.search(rf'"(.*[ |])?oxen-lite( -\S+)* {name}\b', example):
            problems.append(f"cli/main.c: {name}: the example does not use it")
        if name in NO_DOCUMENT:
            continue
        if not (ROOT / f"schema/json/{name}.json").exists():
            problems.append(f"cli/main.c: {name}: no schema/json/{name}.json")
        if not re.search(rf"(?m)^\s*json(?: \d+)?(?: -\S+(?: \S+)?)* {name}\b", tests):
            problems.append(f"cli/main.c: {name}: no test runs it with --json")
    for path in (ROOT / "man").glob("*.body"):
        if path.stem not in {*names, "oxen-lite"}:
            problems.append(f"man/{path.name}: there is no such command")


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
    check_folders(known, problems)
    commands = read_commands(problems)
    check_commands(commands, problems)
    if "--write" in sys.argv and rows:
        ERRORS_DOC.write_text(errors_doc(rows), encoding="utf-8")
    if "--write-fsck" in sys.argv and known:
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
    print(f"tables: {len(rows)} errors, {len(known)} problems, {len(commands)} commands, {len(problems)} findings")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
