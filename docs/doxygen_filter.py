#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Doxygen's input filter: our comments are plain C comments, written for people who read the header. What stands directly before a declaration
becomes its documentation, what stands behind a member the member's, the first block of a file the file's. Their layout is kept."""
import pathlib
import re
import sys

# Doxygen would take these for commands, links and tags.
SPECIAL = re.compile(r"[@\\<>#&$%]")


def quote(text):
    text = re.sub(r"@(\w+)", r"`\1`", text)  # @name is how we mention a parameter
    parts = text.split("`")  # what stands in backticks is shown as it is
    return "`".join(p if i % 2 and i < len(parts) - 1 else SPECIAL.sub(lambda m: "\\" + m.group(0), p) for i, p in enumerate(parts))


def block(body, opening):
    lines = [re.sub(r"^\s*\* ?", "", line) for line in body.split("\n")]
    out, code = [], False
    for line in lines:
        # Indented lines are calling sequences and tables.
        indented = line.startswith("  ") and line.strip() != ""
        if indented != code and (indented or line.strip()):
            out.append("@code{.unparsed}" if indented else "@endcode")
            code = indented
        out.append(line if code else quote(line))
    if code:
        out.append("@endcode")
    return f"/**{opening} " + "\n".join(out).strip("\n") + " */"


def convert(text, name):
    first = True

    def change(match):
        nonlocal first
        body = match.group(2)
        if body.startswith(" SPDX") or (body.startswith(" ---") and "\n" not in body):
            return match.group(0)
        body = re.sub(r"^ -{3,} (.*?) *-*\n", r" \1\n", body)
        if first and "\n" in body and not match.group(1).strip():
            first = False
            return match.group(1) + block(body, f" @file oxenlite/{name}\n")
        behind = match.group(1).strip() != ""
        return match.group(1) + block(body, "<" if behind else "")

    return re.sub(r"(?m)(^[^\n\"]*?)/\*(?!\*)((?:.|\n)*?)\*/", change, text)


def main():
    path = pathlib.Path(sys.argv[1])
    sys.stdout.write(convert(path.read_text(encoding="utf-8"), path.name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
