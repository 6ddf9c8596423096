#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Annotated hex dump of a small repository, as docs/FORMAT.md ends with, and back.

usage: dump_repository.py WORKTREE            prints the dump
       dump_repository.py --rebuild FILE DIR  makes DIR/.oxen-lite from the dump in FILE
Lines: offset, hex bytes (`xx * n` repeats one byte), two blanks, what they are. journal.db is not dumped: SQLite's own format.
"""
import os, re, struct, sys

def run_length(data):
    if len(data) > 16 and data == data[:1] * len(data):
        return f"{data[:1].hex()} * {len(data)}"
    return None

class Dump:
    def __init__(self, name, data):
        self.data, self.at = data, 0
        print(f"\n**`{name}`**, {len(data)} bytes\n\n```")

    def take(self, n, what):
        part = self.data[self.at:self.at + n]
        short = run_length(part)
        for i in range(0, 1 if short else max(len(part), 1), 16):
            text = short or part[i:i + 16].hex(" ")
            print(f"{self.at + i:06x}  {text:<47}  {what if i == 0 else ''}".rstrip())
        self.at += n
        return part

    def number(self, fmt, what):
        value = struct.unpack_from("<" + fmt, self.data, self.at)[0]
        self.take(struct.calcsize(fmt), f"{what}: {value}")
        return value

    def end(self):
        if self.at < len(self.data):
            self.take(len(self.data) - self.at, "?")
        print("```")

def text(name, data):
    d = Dump(name, data)
    for line in data.splitlines(keepends=True):
        d.take(len(line), line.decode("utf-8", "replace").rstrip("\n") or "LF")
    d.end()

def tree(d):
    d.take(1, "tree version"), d.take(1, "level"), d.take(2, "zero")
    for _ in range(d.number("I", "entries")):
        kind = d.data[d.at]
        d.take(1, {1: "file", 2: "executable file", 3: "symlink", 4: "directory"}[kind])
        name = d.data[d.at + 1:d.at + 1 + d.data[d.at]]
        d.take(1 + len(name), f"name: {name!r}"[0:9] + repr(name)[1:])
        d.number("Q", "  size")
        d.take(32, "  digest")

def record(d):
    d.take(8, "record magic")
    kind, flags = d.data[d.at], d.data[d.at + 2]
    d.take(1, ("filler", "blob", "tree", "commit")[kind])
    d.take(1, "codec")
    d.take(2, "flags: second copy" if flags else "flags")
    d.take(4, "zero")
    d.number("Q", "stored length")
    raw = d.number("Q", "raw length")
    d.take(32, "digest"), d.take(16, "checksum of this header")
    end = d.at + raw
    if kind == 2:
        tree(d)
    elif kind == 3:
        for line in d.data[d.at:end].splitlines(keepends=True):
            d.take(len(line), line.decode().rstrip("\n") or "LF")
    elif raw:
        d.take(raw, "payload")
    if -d.at % 8:
        d.take(-d.at % 8, "padding")

def pack(name, data):
    d = Dump(name, data)
    d.take(8, "magic"), d.number("H", "version"), d.number("H", "header length"), d.take(4, "flags")
    d.take(16, "nonce"), d.take(16, "repository id"), d.take(16, "zero")
    index, count = struct.unpack_from("<QQ", data, len(data) - 56)
    while d.at < index:
        record(d)
    for _ in range(count):
        d.take(32, "index: digest"), d.number("Q", "  offset"), d.number("Q", "  stored length"), d.number("Q", "  raw length")
        d.take(8, "  kind, codec, flags, zero")
    d.take(8, "trailer magic"), d.number("Q", "offset of the index"), d.number("Q", "index entries"), d.number("Q", "length of the file")
    d.take(32, "seal")
    d.end()

def entries(d, end):
    path = b""
    while d.at < end:
        shared = d.number("H", "entry: shared prefix")
        rest = d.number("H", "  rest")
        path = path[:shared] + d.take(rest, "  " + repr(d.data[d.at:d.at + rest])[1:])
        d.take(1, "  kind"), d.take(1, "  flags"), d.number("Q", "  size"), d.take(32, "  digest")
        d.take(44, "  stat cache")

def index(name, data, base):
    d = Dump(name, data)
    d.take(8, "magic"), d.number("H", "version"), d.number("H", "header length"), d.take(4, "flags")
    d.number("Q", "generation"), d.number("Q", "entries"), d.take(32, "tree"), d.take(32, "absorbed" if base else "base")
    if base:
        table, _, blocks = struct.unpack_from("<QQQ", data, len(data) - 56)
        entries(d, table)
        for _ in range(blocks):
            d.number("Q", "block: offset"), d.number("I", "  length"), d.number("I", "  entries"), d.number("I", "  staged")
            d.take(d.number("H", "  first path, length"), "  first path"), d.take(32, "  checksum")
        d.number("Q", "offset of the table"), d.number("Q", "its length"), d.number("Q", "blocks")
    else:
        entries(d, len(data) - 32)
    d.take(32, "seal")
    d.end()

def dump(root):
    for folder, folders, names in os.walk(root):
        folders.sort()
        for file in sorted(names):
            name = os.path.relpath(os.path.join(folder, file), root)
            with open(os.path.join(folder, file), "rb") as f:
                data = f.read()
            if name.endswith(".pack"):
                pack(name, data)
            elif name in ("index", "index.delta"):
                index(name, data, name == "index")
            elif name.startswith(("format", "HEAD", "refs/", "config.json")):
                text(name, data)
            elif name.endswith("/data"):
                d = Dump(name, data)
                d.take(len(data), "the content")
                d.end()

def rebuild(dump_file, where):
    root = os.path.join(where, ".oxen-lite")
    for folder in ("refs/heads", "refs/tags", "versions/files", "versions/packs", "versions/tmp"):
        os.makedirs(os.path.join(root, folder))
    with open(dump_file, encoding="utf-8") as f:
        sections = re.findall(r"(?ms)^\*\*`([^`]+)`\*\*, (\d+) bytes\n\n```\n(.*?)^```", f.read())
    for name, size, body in sections:
        data = b""
        for line in body.splitlines():
            m = re.match(r"([0-9a-f]{6,})  (?:([0-9a-f]{2}) \* (\d+)|((?:[0-9a-f]{2} ?)*))(?:  |$)", line)
            assert m and int(m.group(1), 16) == len(data), line
            data += bytes.fromhex(m.group(2)) * int(m.group(3)) if m.group(2) else bytes.fromhex(m.group(4))
        assert len(data) == int(size), name
        os.makedirs(os.path.dirname(os.path.join(root, name)), exist_ok=True)
        with open(os.path.join(root, name), "wb") as f:
            f.write(data)
    assert sections, "no dump found"

if sys.argv[1] == "--rebuild":
    rebuild(sys.argv[2], sys.argv[3])
else:
    dump(os.path.join(sys.argv[1], ".oxen-lite"))
