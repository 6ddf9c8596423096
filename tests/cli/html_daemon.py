# SPDX-License-Identifier: MIT
"""daemon report --html: all repositories of a running daemon on one page."""
import json
import os
import pathlib

import html_check
from daemon_lib import Daemon, check, idle, ox, repository

tmp = pathlib.Path(os.environ["TMP_FOLDER"])

good, bad = repository(tmp / "good"), tmp / '<b onclick="x">&'
bad.mkdir()
ox("init", "--quiet", ".", cwd=bad)
ox("config", "pack_threshold", "65536", cwd=bad)
(bad / "large").write_bytes(os.urandom(100000))
ox("add", "-A", cwd=bad)
ox("commit", "-m", "one", cwd=bad)
blob = next((bad / ".oxen-lite/versions/files").rglob("data"))
blob.chmod(0o644)
with open(blob, "r+b") as f:
    f.seek(700)
    f.write(b"damage")

with Daemon(tmp / "d", [good, bad, tmp / "absent"]) as d:
    status = d.wait(lambda s: idle(s, 0) and all(r["state"] == "absent" or r["last_pass"] for r in s["repositories"]))
    findings = d.ask(do="findings", repository=str(bad))["findings"]
    assert findings, status
    passes = d.ask(do="findings", repository=str(good))["passes"]
    assert passes[0]["by"] == "oxen-lited" and passes[0]["whole"] and passes[0]["clean"] and int(passes[0]["bytes"]) > 0, passes
    page = tmp / "daemon.html"
    said = ox("daemon", "--socket", str(d.socket), "report", "--html", str(page))
    assert said.stdout == f"report: {page}\n", said
    shown = html_check.read(page)
    text = "".join(shown.text)
    for path in (good, bad, tmp / "absent"):
        assert str(path) in text, path
    for part in (passes[0]["begin"], "Last passes", "oxen-lited", "whole, clean"):
        assert part in text, part
    for f in findings:
        assert f["id"] in text and f["slug"] in text, f
    assert "Findings are open" in text and "The contract is kept" in text and "Not known" in text, text
    assert "oxen-lite fsck --repair" in text
    assert shown.squares.count("k10") > 200 and shown.squares.count("k0") > 300, shown.squares
    document = json.loads(ox("--json", "daemon", "--socket", str(d.socket), "report", "--html", str(page)).stdout)
    check(document, "daemon.json")
    assert document["request"] == "report" and document["answer"] == {"html": str(page), "repositories": "3"}, document

    # Somebody's repair: its writer lock is an event, and what it healed is settled in the ledger.
    ox("fsck", "--repair", cwd=bad, status=1)
    row = next(r for r in d.wait(lambda s: all(r["findings"] == "0" for r in s["repositories"]))["repositories"] if r["path"] == str(bad))
    assert row["coverage"]["damaged_files"] == "0" and row["last_clean"], row
    passes = d.ask(do="findings", repository=str(bad))["passes"]
    assert [(p["by"], p["clean"]) for p in passes[:2]] == [("fsck", True), ("oxen-lited", False)], passes
