# SPDX-License-Identifier: MIT
"""results.json (everything), table.md (for reading) and chart.svg. A case that is measured again replaces its old result."""
import json
import math
import os
from xml.sax.saxutils import escape

LIMITS = ("raw", "raw (store)", "cp + sync", "b3sum", "xxhsum")


def write(out, name, result):
    os.makedirs(out, exist_ok=True)
    path = os.path.join(out, "results.json")
    results = json.load(open(path)) if os.path.exists(path) else {}
    results[name] = result
    save(path, json.dumps(results, indent=1, sort_keys=True) + "\n")
    save(os.path.join(out, "table.md"), table(results))
    save(os.path.join(out, "chart.svg"), chart(results))


def save(path, text):
    with open(path + ".new", "w") as f:
        f.write(text)
    os.replace(path + ".new", path)


def seconds(s):
    return f"{s:.1f}" if s >= 10 else f"{s:.2f}" if s >= 1 else f"{s:.3f}"


def calls(c):
    if not c:
        return ""
    fsyncs = c["fsync"] + c["fdatasync"] + c["msync"]
    return f"{fsyncs} / {c['syncfs'] + c['sync']} / {c['sync_file_range']}"


def table(results):
    text = ["<!-- written by ./run bench -->", ""]
    for name, r in results.items():
        ours = r["tools"].get("oxen-lite", {}).get("wall")
        cold = ", cold cache" if r["cold"] else ""
        text += [f"## {name}: {r['title']}{cold}", "", f"{r['date']}; {r['machine']}", "",
                 "| | median s | quartiles | x ours | CPU s | peak MiB | written MiB | fsync / syncfs / range | rounds |",
                 "|---|--:|--:|--:|--:|--:|--:|--:|--:|"]
        for n, t in sorted(r["tools"].items(), key=lambda kv: kv[1]["wall"]):
            times = f"{t['wall'] / ours:.2f}" if ours else ""
            bold = "**" if n == "oxen-lite" else "*" if n in LIMITS else ""
            text.append(f"| {bold}{n}{bold} | {seconds(t['wall'])} | {seconds(t['low'])}-{seconds(t['high'])} | {times} "
                        f"| {seconds(t['cpu'])} | {t['peak_kib'] / 1024:.0f} | {t['written'] / 2**20:.0f} "
                        f"| {calls(t['calls'])} | {t['rounds']} |")
        versions = sorted({t["version"] for t in r["tools"].values() if t["version"]})
        text += ["", "; ".join(versions), ""]
    return "\n".join(text)


COLOURS = {"oxen-lite": "#c2410c", "raw": "#6b7280", "raw (store)": "#6b7280", "cp + sync": "#9ca3af", "b3sum": "#9ca3af", "xxhsum": "#9ca3af"}
BAR, GAP, LEFT, WIDE = 15, 26, 130, 560


def chart(results):
    """One group of bars per case; the scale is logarithmic from a tenth of the best to the worst."""
    parts, y = [], 30
    for name, r in results.items():
        rows = sorted(r["tools"].items(), key=lambda kv: kv[1]["wall"])
        if not rows:
            continue
        low = rows[0][1]["wall"] / 2
        span = max(math.log10(rows[-1][1]["wall"] / low), 1.0)
        parts.append(f'<text x="8" y="{y}" class="t">{escape(name)}: {escape(r["title"])}'
                     f'{" (cold)" if r["cold"] else ""}, {r["date"]}</text>')
        y += 8
        for n, t in rows:
            width = WIDE * math.log10(t["wall"] / low) / span
            parts.append(f'<text x="{LEFT - 6}" y="{y + 11}" text-anchor="end">{escape(n)}</text>'
                         f'<rect x="{LEFT}" y="{y}" width="{width:.0f}" height="{BAR - 3}" '
                         f'fill="{COLOURS.get(n, "#3b82f6")}"/>'
                         f'<text x="{LEFT + width + 5:.0f}" y="{y + 11}">{seconds(t["wall"])} s</text>')
            y += BAR
        y += GAP
    machine = next(iter(results.values()))["machine"] if results else ""
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDE + 90}" height="{y}" '
            'font-family="sans-serif" font-size="11"><style>text{fill:#374151}.t{font-weight:bold}</style>'
            '<rect width="100%" height="100%" fill="#fff"/>'
            f'<text x="8" y="14">Seconds, logarithmic, shorter is better; {escape(machine)}</text>'
            + "\n".join(parts) + "</svg>\n")


GROWTH_COLOURS = {"commit": "#c2410c", "verify": "#7c3aed", "status": "#2563eb", "one": "#059669", "log": "#6b7280"}
GROWTH_WORDS = {"commit": "first commit", "verify": "fsck", "status": "status, unchanged", "one": "commit of one file", "log": "log"}


def panel(points, value, left, title):
    """One logarithmic panel: @value(row) over the number of files, both from decade to decade."""
    values = [value(r) for p in points for r in p["what"].values()]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)) + 1e-9)
    first, last = math.log10(points[0]["files"]), math.log10(points[-1]["files"])
    wide, tall, top = 300, 260, 50

    def x(files):
        return left + (math.log10(files) - first) / max(last - first, 1) * wide

    def y(v):
        return top + tall - (math.log10(v) - low) / max(high - low, 1) * tall

    parts = [f'<text x="{left}" y="{top - 14}" class="t">{escape(title)}</text>']
    for d in range(low, high + 1):
        parts.append(f'<line x1="{left}" x2="{left + wide}" y1="{y(10 ** d):.0f}" y2="{y(10 ** d):.0f}" stroke="#e5e7eb"/>'
                     f'<text x="{left - 4}" y="{y(10 ** d) + 4:.0f}" text-anchor="end">{10 ** d:g}</text>')
    for p in points:
        parts.append(f'<text x="{x(p["files"]):.0f}" y="{top + tall + 16}" text-anchor="middle">{p["files"]:,}</text>')
    for what, colour in GROWTH_COLOURS.items():
        dots = [(x(p["files"]), y(value(p["what"][what]))) for p in points if what in p["what"]]
        if dots:
            parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="'
                         + " ".join(f"{a:.0f},{b:.0f}" for a, b in dots) + '"/>')
            parts += [f'<circle cx="{a:.0f}" cy="{b:.0f}" r="3" fill="{colour}"/>' for a, b in dots]
    return parts


def growth(out, points):
    os.makedirs(out, exist_ok=True)
    save(os.path.join(out, "growth.json"), json.dumps(points, indent=1, sort_keys=True) + "\n")
    parts = panel(points, lambda r: max(r["wall"], 1e-4), 60, "Seconds by number of files")
    parts += panel(points, lambda r: r["peak_kib"] / 1024, 440, "Peak memory, MiB, by number of files")
    for i, (what, colour) in enumerate(GROWTH_COLOURS.items()):
        parts.append(f'<rect x="{60 + 140 * i}" y="342" width="10" height="10" fill="{colour}"/>'
                     f'<text x="{75 + 140 * i}" y="351">{GROWTH_WORDS[what]}</text>')
    save(os.path.join(out, "growth.svg"),
         '<svg xmlns="http://www.w3.org/2000/svg" width="770" height="365" font-family="sans-serif" font-size="11">'
         '<style>text{fill:#374151}.t{font-weight:bold}</style><rect width="100%" height="100%" fill="#fff"/>'
         f'<text x="8" y="14">{escape(points[-1]["date"])}; {escape(points[-1]["machine"])}</text>' + "\n".join(parts) + "</svg>\n")
