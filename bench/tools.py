# SPDX-License-Identifier: MIT
"""Who is measured: us, the peers that are installed, and the limits. A tool is a dict from what it can do to a command.

Commands are run by sh in the data folder; {repo} is a fresh name outside of it, {raw} is bench-raw, {ox} is oxen-lite.
`prepare` is not timed. Every store is asked for its fastest honest mode: no compression, whole-tree commit.
"""
import os
import shutil
import subprocess

OX, RAW = os.environ["OXEN_LITE"], os.environ["BENCH_RAW"]

GIT = "git --git-dir={repo} --work-tree=."
GIT_NEW = "git init -q --bare {repo} && git --git-dir={repo} config core.bare false"
GIT_IDENTITY = " && git --git-dir={repo} config user.name b && git --git-dir={repo} config user.email b@b"
GIT_SYNC = " && git --git-dir={repo} config core.fsync all && git --git-dir={repo} config core.fsyncMethod fsync"


def _git(sync):
    new = GIT_NEW + GIT_IDENTITY + (GIT_SYNC if sync else "")
    add = f"{GIT} add -A && {GIT} commit -q -m x"
    return {
        "needs": "git",
        "version": "git --version",
        "new": new,
        "commit": add,
        "status": f"{GIT} status --porcelain",
        "verify": f"{GIT} fsck --full",
        "one": f"{GIT} add {{file}} && {GIT} commit -q -m y",
        "restore": f"{GIT} checkout -q -- .",
    }


OURS = {
    "version": "{ox} version | head -n 1",
    "new": "{ox} init",
    "commit": "{ox} --quiet add . && {ox} --quiet commit -m x",
    "status": "{ox} status",
    "verify": "{ox} fsck --jobs {cores}",
    "one": "{ox} --quiet commit -m y {file}",
    "restore": "{ox} --quiet restore .",
    "log": "{ox} log -n 5",
    "show": "{ox} show",
    "ls": "{ox} ls HEAD {folder}",
    "cat": "{ox} cat HEAD:{file}",
}

PEERS = {
    "git": _git(False),
    "git fsync=all": _git(True),
    "restic": {
        "needs": "restic",
        "version": "restic version",
        "new": "export RESTIC_PASSWORD=b; restic -q -r {repo} init",
        "commit": "RESTIC_PASSWORD=b restic -q -r {repo} --no-cache backup .",
        "status": "RESTIC_PASSWORD=b restic -q -r {repo} --no-cache backup .",
        "verify": "RESTIC_PASSWORD=b restic -q -r {repo} --no-cache check --read-data",
        "restore": "RESTIC_PASSWORD=b restic -q -r {repo} --no-cache restore latest --target {to} && sync -f {to}",
    },
    "borg": {
        "needs": "borg",
        "version": "borg --version",
        "new": "borg init -e none {repo}",
        "commit": "borg create -C none {repo}::a .",
        "status": "borg create -C none {repo}::{n} .",
        "verify": "borg check --verify-data {repo}",
        "restore": "mkdir {to} && cd {to} && borg extract {repo}::a && sync -f .",
    },
    "ostree": {
        "needs": "ostree",
        "version": "ostree --version | sed -n '2s/ *Version: */ostree /p'",
        "new": "ostree --repo={repo} init --mode=bare-user",
        "commit": "ostree --repo={repo} commit -b main -s x --tree=dir=.",
        "status": "ostree --repo={repo} commit -b main -s x --tree=dir=. --skip-if-unchanged",
        "verify": "ostree --repo={repo} fsck -q",
        "restore": "ostree --repo={repo} checkout -U --force-copy main {to} && sync -f {to}",
    },
    "bup": {
        "needs": "bup",
        "version": "bup version | sed 's/^/bup /'",
        "new": "export BUP_DIR={repo}; bup init",
        "commit": "export BUP_DIR={repo}; bup index . && bup save -q -0 -n main .",
        "verify": "git --git-dir={repo} fsck --full",
    },
    "git-annex": {
        "needs": "git-annex",
        "version": "git-annex version --raw | sed 's/^/git-annex /'",
        "slow": True,
        "sets": ("small", "medium", "large"),  # 100,000 files would take a quarter of an hour
        "new": "git init -q . && git config user.name b && git config user.email b@b && git annex init -q",
        "commit": "git annex add -q . && git commit -q -m x",
        "clean": "git annex uninit -q >/dev/null 2>&1; chmod -R u+w .git; rm -rf .git",
    },
}

LIMITS = {
    "raw": {
        "commit": "{raw} pack . {repo}",
        "commit-large": "{raw} copy data.bin {repo}",
        "status": "{raw} stat .",
        "verify": "{raw} read .",
    },
    "raw (store)": {  # the packs and blobs that fsck reads
        "ours": True,
        "new": OURS["new"],
        "commit": OURS["commit"],
        "verify": "{raw} read .oxen-lite/versions",
    },
    "cp + sync": {
        "needs": "cp",
        "commit": "cp -r . {repo} && sync -f {repo}",
        "restore": "cp -r . {to} && sync -f {to}",
    },
    "b3sum": {
        "needs": "b3sum",
        "version": "b3sum --version",
        "verify": "find . -path ./.oxen-lite -prune -o -type f -print0 | xargs -0 b3sum --num-threads {cores}",
    },
    "xxhsum": {
        "needs": "xxhsum",
        "version": "xxhsum --version 2>&1 | head -n 1",
        "verify": "find . -path ./.oxen-lite -prune -o -type f -print0 | xargs -0 xxhsum -H2 -q",
    },
}


def present(tool):
    return "needs" not in tool or shutil.which(tool["needs"])


def version(tool):
    if "version" not in tool:
        return ""
    text = tool["version"].format(ox=OX)
    return subprocess.run(["sh", "-c", text], capture_output=True, text=True, check=False).stdout.strip()
