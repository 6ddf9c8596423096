#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The rules of CONTRIBUTING.md that no compiler checks: who may include whom, who may call what, how long a function is.

--self-test proves that each rule catches its own violation.
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

# A layer may include the layers of a lower number, and itself.
LAYERS = {"base": 0, "os": 1, "digest": 2, "durable": 3, "objects": 4, "journal": 4, "repo": 5,
          "check": 6, "foreign": 6, "sweep": 7, "scrub": 7}

# Header -> where it may be included. Tests look behind the scenes, but not behind the digests.
OWNERS = {
    "sqlite3.h": ("lib/journal/", "tests/"),
    "cJSON.h": ("lib/base/json.c", "tests/"),
    "cjson/cJSON.h": ("lib/base/json.c", "tests/"),
    "blake3.h": ("lib/digest/", "bench/"),  # bench: the limit is measured with the same code
    "xxhash.h": ("lib/digest/",),
    "xxh3.h": ("lib/digest/",),
    "xxh_x86dispatch.h": ("lib/digest/",),
}

BANNED = "strcpy strcat sprintf vsprintf strtok atoi atol atoll mktemp tmpnam alloca gets".split()

# The library never prints and never ends the process (OXL_ASSERT's abort is the one exception).
SPEAKS = """printf fprintf vprintf vfprintf dprintf puts fputs putchar fputc perror syslog vsyslog
        exit _exit quick_exit _Exit""".split()

# What changes names or durability: the business of lib/durable (and of lib/os, which offers the calls).
DURABLE = """fsync fdatasync syncfs sync_file_range renameat2 linkat unlinkat symlinkat mkdirat""".split()

# System calls that must go through the table, so that the tests can make them fail.
SYSCALLS = """open openat openat2 creat close dup dup2 dup3 read pread write pwrite readv writev preadv pwritev lseek
        stat lstat fstat fstatat statx fstatfs statfs readlink readlinkat symlink symlinkat mkdir mkdirat rmdir unlink
        unlinkat remove rename renameat renameat2 link linkat truncate ftruncate fallocate posix_fallocate chmod fchmod
        fchmodat chown fchown fchownat futimens utimensat fsync fdatasync sync syncfs sync_file_range posix_fadvise
        ioctl fcntl flock lockf getrandom getentropy clock_gettime gettimeofday mkstemp mkostemp mkdtemp fopen fdopen
        freopen opendir fdopendir readdir scandir nftw copy_file_range sendfile splice mmap""".split()

FUNCTION_LINES = 80

TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)


def bare(text):
    """The code without comments and literals, with the same lines."""
    def blank(match):
        word = match.group(0)
        if word[0] == "/":
            return re.sub(r"[^\n]", " ", word)
        return word[0] + " " * (len(word) - 2) + word[0]
    return TOKEN.sub(blank, text)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def calls(code, names):
    """(offset, name) of each plain call; not of members (a->read()) nor of names that the file uses as pointers."""
    for match in re.finditer(r"(?<![\w.>])(" + "|".join(names) + r")\s*\(", code):
        name = match.group(1)
        if re.search(r"\*\s*" + name + r"\b", code):
            continue  # a parameter or member of that name, such as `oxl_reader_fn *read`
        yield match.start(), name


def check_includes(path, text):
    uncommented = re.sub(r"/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m.group(0)), text, flags=re.S)
    parts = path.split("/")
    for match in INCLUDE.finditer(uncommented):
        kind, name = match.groups()
        line = line_of(text, match.start())
        owners = OWNERS.get(name)
        if owners and not any(path.startswith(o) for o in owners):
            yield line, f"<{name}> belongs to {' and '.join(owners)}"
        if parts[0] in ("cli", "daemon") and kind == '"':
            if "/" in name:
                yield line, f'"{name}": {parts[0]}/ may include only <oxenlite/...> and its own files'
        if parts[0] != "lib":
            continue
        if parts[1] == "include":
            if kind == '"':
                yield line, f'"{name}": public headers include only <oxenlite/...> and the system'
        elif kind == '"':
            mine, theirs = parts[1], name.split("/")[0]
            if "/" not in name or theirs not in LAYERS:
                yield line, f'"{name}": write "layer/file.h"'
            elif theirs != mine and LAYERS[theirs] >= LAYERS[mine]:
                yield line, f"lib/{mine} may not include lib/{theirs}"


def check_calls(path, code):
    for offset, name in calls(code, BANNED):
        yield line_of(code, offset), f"{name}() is banned"
    if not path.startswith("lib/"):
        return
    for offset, name in calls(code, SPEAKS):
        yield line_of(code, offset), f"{name}(): the library never prints and never exits"
    if path != "lib/os/sys.c":
        for offset, name in calls(code, SYSCALLS):
            yield line_of(code, offset), f"{name}(): go through oxl_sys or lib/os/fdio.h"
    # copy_dir.c makes and removes its own folder in $TMPDIR; it never touches a name of the repository
    if not path.startswith(("lib/os/", "lib/durable/")) and path != "lib/journal/copy_dir.c":
        for match in re.finditer(r"\boxl_sys\s*->\s*(" + "|".join(DURABLE) + r")\b", code):
            yield line_of(code, match.start()), f"oxl_sys->{match.group(1)}: only lib/durable changes names or syncs"


def check_shape(path, text, code):
    lines = text.split("\n")
    if not any("SPDX-License-Identifier: MIT" in line for line in lines[:3]):
        yield 1, "no SPDX line"
    begin = None
    for number, line in enumerate(code.split("\n"), 1):
        if line.rstrip() == "{":
            begin = number
        elif line.rstrip() == "}" and begin:
            if number - begin - 1 > FUNCTION_LINES:
                yield begin, f"function of {number - begin - 1} lines; the limit is {FUNCTION_LINES}"
            begin = None


def check(path, text):
    code = bare(text)
    yield from check_includes(path, text)
    yield from check_calls(path, code)
    yield from check_shape(path, text, code)


HEAD = "/* SPDX-License-Identifier: MIT */\n"
VIOLATIONS = [
    ("lib/objects/a.c", '#include "repo/a.h"'),
    ("lib/objects/a.c", '#include "journal/a.h"'),
    ("lib/objects/a.c", '#include "a.h"'),
    ("lib/base/a.c", '#include "os/sys.h"'),
    ("lib/repo/a.c", "#include <sqlite3.h>"),
    ("lib/repo/a.c", "#include <cjson/cJSON.h>"),
    ("lib/repo/a.c", "#include <blake3.h>"),
    ("lib/include/oxenlite/a.h", '#include "base/buf.h"'),
    ("cli/a.c", '#include "base/buf.h"'),
    ("daemon/a.c", "#include <sqlite3.h>"),
    ("tests/unit/a.c", "#include <xxhash.h>"),
    ("lib/repo/a.c", "r = oxl_sys->unlinkat(fd, p, 0);"),
    ("lib/repo/a.c", "r = oxl_sys\n->fsync(fd);"),
    ("lib/repo/a.c", "fd = open(p, 0);"),
    ("lib/durable/a.c", "r = fsync(fd);"),
    ("lib/base/a.c", 'printf("x");'),
    ("lib/base/a.c", "exit(1);"),
    ("cli/a.c", "strcpy(a, b);"),
    ("tests/unit/a.c", "n = atoi(a);"),
    ("lib/base/a.c", "int f(void)\n{\n" + "x();\n" * 81 + "}"),
]
FINE = [
    ("lib/repo/a.c", '#include "objects/objects.h"\n#include "repo/a.h"\n#include <oxenlite/error.h>'),
    ("lib/journal/a.c", "#include <sqlite3.h>"),
    ("lib/durable/a.c", "r = oxl_sys->fsync(fd);"),
    ("lib/os/sys.c", "r = fsync(fd);"),
    ("lib/base/a.c", '/* printf( */ s = "exit(1)"; snprintf(b, n, "x"); my_exit(1); a->open(b); a.close(c);'),
    ("lib/durable/a.c", "int f(oxl_reader_fn *read)\n{\nread(ctx);\n" + "x();\n" * 79 + "}"),
    ("cli/a.c", '#include "cli.h"\nprintf("x");'),
]


def self_test():
    bad = [v for v in VIOLATIONS if not list(check(v[0], HEAD + v[1]))]
    bad += [v for v in FINE if list(check(v[0], HEAD + v[1]))]
    if not list(check("lib/base/a.c", "int x;\n")):
        bad.append("SPDX")
    for case in bad:
        print(f"layers: self-test failed: {case}", file=sys.stderr)
    return bad


def main():
    if self_test():
        return 1
    if "--self-test" in sys.argv:
        return 0
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "--", "lib", "cli", "daemon", "tests", "bench"],
                            cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    paths = sorted(p for p in set(listed) if p.endswith((".c", ".h", ".def")) and (ROOT / p).exists())
    found = 0
    for path in paths:
        for line, message in check(path, (ROOT / path).read_text(encoding="utf-8")):
            print(f"{path}:{line}: {message}")
            found += 1
    print(f"layers: {len(paths)} files, {found} findings")
    return 1 if found or not paths else 0


if __name__ == "__main__":
    sys.exit(main())
