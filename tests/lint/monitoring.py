#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""docs/monitoring against docs/DAEMON.md: every metric that a rule or panel asks for is in the table, with the labels that it is asked by;
every metric of the table is shown; and the table is what daemon/metrics.c writes.

  monitoring.py               check
  monitoring.py --self-test   would it notice?
"""
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
METRIC = re.compile(r"\boxen_lite_[a-z_]+")
# What Prometheus and Grafana add, and what aggregations keep.
COMMON = {"instance", "job", "le"}


def table(text):
    """name -> labels, of the table below "## Metrics"."""
    found = {}
    part = text.split("## Metrics", 1)[1].split("\n## ", 1)[0]
    for line in part.splitlines():
        cells = [c.strip() for c in line.strip("|").split("|")]
        for name in METRIC.findall(cells[0]) if len(cells) == 3 else []:
            found[name] = set(re.findall(r"[a-z]+", cells[2]))
    return found


def expressions(dashboard, alerts):
    """(where, expression, texts that use its labels)"""
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield f"dashboard.json: {panel['title']}", target["expr"], target["legendFormat"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield f"dashboard.json: {variable['name']}", variable["definition"], ""
    for rule in alerts.split("- alert: ")[1:]:
        name = rule.split("\n", 1)[0]
        expr = re.search(r"expr: (.*?)\n +(?:for|labels):", rule, re.S).group(1)
        yield f"alerts.yml: {name}", expr, rule.split("annotations:", 1)[1]


def labels_of(expr, texts):
    used = set(re.findall(r"\{\{ ?(?:\$labels\.)?([a-z]+) ?\}\}", texts)) | set(re.findall(r"([a-z]+) ?(?:=~|=|!=) ?\"", expr))
    for group in re.findall(r"\b(?:by|on) \(([^)]*)\)", expr):
        used |= set(re.findall(r"[a-z]+", group))
    return used


def check(known, dashboard, alerts, source):
    problems, shown = [], set()
    for where, expr, texts in expressions(dashboard, alerts):
        names = set(METRIC.findall(expr))
        shown |= names
        if not names:
            problems.append(f"{where}: asks for no metric of ours")
        for name in names - set(known):
            problems.append(f"{where}: {name} is not in docs/DAEMON.md")
        have = COMMON.union(*(known.get(n, set()) for n in names)) | ({"file"} if "node_textfile" in expr else set())
        for label in labels_of(expr, texts) - have:
            problems.append(f"{where}: label {label} is not one of {', '.join(sorted(names))}")
    for name in set(known) - shown:
        problems.append(f"docs/DAEMON.md: {name} is on no panel and in no rule")
    written = set(re.findall(r"\"(oxen_lite_[a-z_]+)\"", source))
    for name in set(known) - written:
        problems.append(f"docs/DAEMON.md: {name} is not written by daemon/metrics.c")
    for name in written - set(known):
        problems.append(f"daemon/metrics.c: {name} is not in the table of docs/DAEMON.md")
    return problems


def self_test(known, dashboard, alerts, source):
    wrong = [alerts.replace("oxen_lite_config_ok", "oxen_lite_config_fine"), alerts.replace("$labels.slug", "$labels.slag")]
    assert all(check(known, dashboard, w, source) for w in wrong), "a wrong rule goes unseen"
    assert check({**known, "oxen_lite_new": set()}, dashboard, alerts, source), "a metric that nobody shows goes unseen"
    assert check(known, dashboard, alerts, source + '"oxen_lite_secret"'), "a metric that nobody documents goes unseen"


def main():
    known = table((ROOT / "docs/DAEMON.md").read_text(encoding="utf-8"))
    dashboard = json.loads((ROOT / "docs/monitoring/dashboard.json").read_text(encoding="utf-8"))
    alerts = (ROOT / "docs/monitoring/alerts.yml").read_text(encoding="utf-8")
    source = (ROOT / "daemon/metrics.c").read_text(encoding="utf-8")
    if "--self-test" in sys.argv:
        self_test(known, dashboard, alerts, source)
    problems = check(known, dashboard, alerts, source)
    print("\n".join(problems + [f"monitoring: {len(known)} metrics, {len(problems)} findings"]))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
