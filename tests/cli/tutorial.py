# SPDX-License-Identifier: MIT
"""tutorial.py DOCUMENT [--write]: runs the commands of its ```console blocks, in one shell, one after the other, and compares what they
say with what the document shows; ids, times and sizes are masked. --write puts what they said into the document instead.

A line that begins with "$ " is a command; the lines behind it, up to the next, are its output and a last "[exit N]" where N is not 0.
"""
import difflib
import os
import pathlib
import re
import subprocess
import sys

MASKS = ((r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\+\d\d:\d\d)?", "TIME"),
         (r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4} [+-]\d{4}", "TIME"),
         (r"\b\d{8}T\d{6}-[0-9a-f]{8}\b", "ID"), (r"\b[0-9a-f]{2}/[0-9a-f]{62}\b", "ID"), (r"\b[0-9a-f]{12,64}\b", "ID"), (r"\b\d+(\.\d)? (bytes?|[KMGT]iB)", "SIZE"))
MARK = "--- the end of one ---"


def masked(text):
    for pattern, name in MASKS:
        text = re.sub(pattern, name, text)
    return text


def sessions(document):
    """[(first line, last line)] of the blocks."""
    begin, out = None, []
    for i, line in enumerate(document):
        if line == "```console":
            begin = i + 1
        elif line == "```" and begin is not None:
            out.append((begin, i))
            begin = None
    return out


def run(shell, command):
    shell.stdin.write(f"{command}\nprintf '\\n%s %s\\n' '{MARK}' $?\n")
    shell.stdin.flush()
    said = []
    for line in shell.stdout:
        if line.startswith(MARK):
            code = int(line.split()[-1])
            text = "".join(said)[:-1].rstrip("\n").replace(os.getcwd(), "/home/ada")  # without the newline before the mark
            lines = text.split("\n") if text else []
            return lines + ([f"[exit {code}]"] if code else [])
        said.append(line)
    raise SystemExit(f"the shell ended at: {command}")


def main():
    path = pathlib.Path(sys.argv[1])
    document = path.read_text(encoding="utf-8").split("\n")
    shell = subprocess.Popen(["sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    done, at, count = [], 0, 0
    for begin, end in sessions(document):
        done += document[at:begin]
        assert document[begin].startswith("$ "), document[begin]
        for line in document[begin:end]:
            if line.startswith("$ "):
                done += [line] + run(shell, line[2:])
                count += 1
        at = end
    done += document[at:]
    shell.stdin.close()
    shell.wait()
    assert count > 15, "the document has hardly any commands"
    if "--write" in sys.argv:
        path.write_text("\n".join(done), encoding="utf-8")
        return 0
    difference = list(difflib.unified_diff(masked("\n".join(document)).split("\n"), masked("\n".join(done)).split("\n"), "document",
                                           "what was said", lineterm=""))
    print("\n".join(difference))
    return 1 if difference else 0


if __name__ == "__main__":
    sys.exit(main())
