#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Builds the man pages.

  build.py [--scdoc PROGRAM] [--version V] HELP_JSON SOURCE_FOLDER TARGET_FOLDER

oxen-lite(1) and oxen-lite-CMD(1) are made from HELP_JSON, what `oxen-lite --json help` says; what SOURCE_FOLDER/CMD.body (or
oxen-lite.body) adds comes behind the description. NAME.SECTION.scd are pages as they are. TARGET_FOLDER/man1 and so on are replaced.
"""
import argparse
import json
import pathlib
import re
import shutil
import subprocess
import sys

SEE_ALSO = {"fsck": ["oxen-lite-recover(1)", "oxen-lite-sweep(1)", "oxen-lited(8)"], "daemon": ["oxen-lited(8)", "oxen-lited.json(5)"],
            "add": ["oxen-lite-ignore(5)", "oxen-lite-commit(1)"], "sweep": ["oxen-lite-recover(1)", "oxen-lited(8)"],
            "undo": ["oxen-lite-op(1)"], "op": ["oxen-lite-undo(1)"], "status": ["oxen-lite-ignore(5)"]}


def plain(text):
    """@text with nothing that scdoc would take for markup."""
    text = re.sub(r"([\\*_])", r"\\\1", text)
    return re.sub(r"(?m)^([-#|\[\]:;.~+])", r"\\\1", text)


def usage_line(text):
    """A line of usage: literals bold, what stands for something (in capitals) underlined."""
    def word(match):
        w = match.group(0)
        return f"_{w}_" if re.fullmatch(r"[A-Z][A-Z]+", w) else f"*{plain(w)}*"
    return re.sub(r"[A-Za-z0-9-]+", word, text)


def options(rows):
    out = []
    for row in rows:
        names = [f"*\\-{row['letter']}*"] if row["letter"] else []
        names += [f"*--{row['name']}*"] if row["name"] else []
        value = f" {plain(row['value'])}" if row["value"] else ""
        out.append(f"{', '.join(names)}{value}\n\t{plain(row['help'])}\n")
    return "\n".join(out)


def head(name, section, version):
    return f'{name}({section}) "oxen-lite {version}" "oxen-lite"\n\n'


def body(folder, name):
    path = folder / f"{name}.body"
    return path.read_text(encoding="utf-8").strip() + "\n\n" if path.exists() else ""


def sentence(text):
    return plain(text[0].upper() + text[1:] + ("" if text.endswith(".") else "."))


def command_page(command, table, folder, version):
    name, about = command["name"], command["about"]
    # Each alternative of `a | b` on a line of its own, when the bars stand outside of brackets.
    forms = [f for f in re.split(r" \| (?![^\[]*\])", command["synopsis"])]
    synopsis = "++\n".join(f"*oxen-lite {name}* {usage_line(f)}".rstrip() for f in forms)
    also = sorted({"oxen-lite(1)", *SEE_ALSO.get(name, [])})
    page = head(f"oxen-lite-{name}", 1, version)
    page += f"# NAME\n\noxen-lite-{name} - {plain(about)}\n\n# SYNOPSIS\n\n{synopsis}\n\n"
    page += f"# DESCRIPTION\n\n{sentence(about)}\n\n"
    if command["more"]:
        page += plain(command["more"]) + "\n\n"
    page += body(folder, name)
    if command["options"]:
        page += "# OPTIONS\n\n" + options(command["options"]) + "\n"
    page += "# OPTIONS OF EVERY COMMAND\n\n" + options(table["options"]) + "\n"
    page += "# EXIT STATUS\n\n" + plain(re.sub(r"(?m)^ +", "", command["exit_codes"]).strip()) + "\n\n"
    page += f"# EXAMPLE\n\n```\n{command['example']}\n```\n\n"
    return page + "# SEE ALSO\n\n" + ", ".join(re.sub(r"^(.*)\((\d)\)$", r"*\1*(\2)", a) for a in also) + "\n"


def main_page(table, folder, version):
    page = head("oxen-lite", 1, version)
    page += "# NAME\n\noxen-lite - a crash-safe version store for data\n\n"
    page += "# SYNOPSIS\n\n*oxen-lite* _COMMAND_ [_OPTION_]... [_ARGUMENT_]...\n\n"
    page += body(folder, "oxen-lite")
    page += "# COMMANDS\n\n"
    for command in table["commands"]:
        page += f"*oxen-lite-{command['name']}*(1)\n\t{sentence(command['about'])}\n\n"
    page += "# OPTIONS OF EVERY COMMAND\n\n" + options(table["options"]) + "\n"
    return page + ("# SEE ALSO\n\n*oxen-lite-format*(5), *oxen-lite-ignore*(5), *oxen-lited*(8), *oxen-lited.json*(5)\n")


def sources(table, folder, version):
    """(name, section) and scdoc text of each page."""
    yield "oxen-lite", "1", main_page(table, folder, version)
    for command in table["commands"]:
        yield f"oxen-lite-{command['name']}", "1", command_page(command, table, folder, version)
    for path in sorted(folder.glob("*.scd")):
        name, section = re.fullmatch(r"(.+)\.(\d)\.scd", path.name).groups()
        yield name, section, path.read_text(encoding="utf-8").replace("@VERSION@", version)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--scdoc", default="scdoc")
    parser.add_argument("--version", default="0")
    parser.add_argument("json", type=pathlib.Path)
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("target", type=pathlib.Path)
    args = parser.parse_args()
    table = json.loads(args.json.read_text(encoding="utf-8"))
    known = {c["name"] for c in table["commands"]} | {"oxen-lite"}
    for path in args.source.glob("*.body"):
        if path.stem not in known:
            sys.exit(f"build.py: {path}: there is no such command")
    for old in args.target.glob("man[1-8]"):
        shutil.rmtree(old)
    for name, section, text in sources(table, args.source, args.version):
        done = subprocess.run([args.scdoc], input=text.encode(), capture_output=True, check=False)
        if done.returncode or done.stderr:
            sys.exit(f"build.py: {name}({section}): {done.stderr.decode()}\n{text}")
        folder = args.target / f"man{section}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.{section}").write_bytes(done.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
