# SPDX-License-Identifier: MIT
"""html_check.py PAGE TEXT...: the page is one whole, well-formed document that loads and runs nothing, has enough contrast in both
schemes, and each TEXT is in what a reader sees."""
import html.parser
import pathlib
import re
import sys

VOID = {"meta", "link", "br"}
TAGS = VOID | set("html head title style body header main section article h1 h2 h3 p span strong code ul li dl dt dd table thead tbody tr "
                  "th td svg g rect path circle figure figcaption div".split())
ATTRIBUTES = set("lang charset http-equiv content name rel href class viewbox aria-hidden aria-label role d cx cy r x y rx width "
                 "height scope".split())


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.seen, self.text, self.style, self.squares = [], set(), [], "", []

    def look(self, tag, attributes):
        assert tag in TAGS, f"<{tag}> has no place in a report"
        names = [a for a, _ in attributes]
        assert len(set(names)) == len(names), (tag, names)
        for name, value in attributes:
            assert name in ATTRIBUTES, f"<{tag} {name}>"
            assert name != "href" or value == "data:,", f"<{tag} {name}={value}>"
            assert not re.search(r"(?i)https?:|url\(|javascript:", value or ""), value
        if tag == "rect":
            self.squares.append(dict(attributes).get("class"))
        self.seen.add(tag)

    def handle_starttag(self, tag, attributes):
        self.look(tag, attributes)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.look(tag, attributes)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> ends {self.open}"
        self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1] == "style":
            self.style += data
        else:
            self.text.append(data)

    def handle_comment(self, data):
        raise AssertionError(f"a comment: {data}")


def luminance(colour):
    colour = colour.lstrip("#")
    if len(colour) == 3:
        colour = "".join(c * 2 for c in colour)
    parts = [int(colour[i:i + 2], 16) / 255 for i in (0, 2, 4)]
    parts = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(a, b):
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def check_style(style):
    schemes = [dict(re.findall(r"--(\w+):(#[0-9a-f]+)", block)) for block in re.findall(r":root\{([^}]*)\}", style)]
    assert len(schemes) == 2 and "prefers-color-scheme:dark" in style
    assert schemes[0].keys() == schemes[1].keys()
    assert not re.search(r"(?i)url\(|@import|@font-face|https?:|expression", style)
    for colours in schemes:
        for text, ground in [(t, g) for t in ("fg", "muted", "good", "warn", "bad") for g in ("bg", "card")] + [
                (t, t + "bg") for t in ("good", "warn", "bad")] + [("fg", g + "bg") for g in ("good", "warn", "bad")]:
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground, contrast(colours[text], colours[ground]))
        for mark, ground in (("on", "k10"), ("onold", "k8"), ("k10", "bg"), ("k0", "bg"), ("k0", "k7")):
            assert contrast(colours[mark], colours[ground]) >= 3, (mark, ground, contrast(colours[mark], colours[ground]))


def read(path):
    raw = pathlib.Path(path).read_bytes().decode("utf-8")
    assert raw.startswith("<!DOCTYPE html>\n") and raw.endswith("</html>\n")
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]", raw), "a control character"
    page = Page()
    page.feed(raw)
    page.close()
    assert not page.open, f"not closed: {page.open}"
    assert {"html", "head", "title", "style", "main"} <= page.seen
    check_style(page.style)
    return page


if __name__ == "__main__":
    found = read(sys.argv[1])
    shown = "".join(found.text)
    missing = [t for t in sys.argv[2:] if t not in shown]
    if missing:
        sys.exit(f"the page lacks {missing}")
