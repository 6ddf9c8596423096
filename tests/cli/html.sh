#!/bin/sh
# SPDX-License-Identifier: MIT
# fsck --html and daemon report --html: well-formed, whole in itself, every finding with its remedy, hostile names harmless, replaced
# whole or not at all. OXL_DEEP=1: headless Chromium draws it in light and dark without a word on the console.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

# page FILE TEXT...
page() {
        python3 "$SRCDIR/tests/cli/html_check.py" "$@" >&2 || fail "the page $1"
}

hostile='<img src=x onerror=alert(1)>&"'\''{}'
mkdir "$hostile"
cd "$hostile"
ox init .
ox config pack_threshold 65536
ox fsck --html ../empty.html
page ../empty.html Healthy "Nothing is stored yet." "$hostile"

name=$(printf '"><script>alert(2)<!--&amp;\033[31m\nx\377')
head -c 100000 /dev/urandom >"$name"
head -c 200000 /dev/urandom >other
echo small >small
ox add -A
ox commit -m '<script>alert(3)</script>'

# Good: everything was read, so nothing is "never verified", although nothing was recorded. The earlier report goes in one step.
echo before >../report.html
chmod 600 ../report.html
ox fsck --html ../report.html
out_has "report: ../report.html"
page ../report.html Healthy "$hostile" "Every stored byte was read"
! grep -q "Last passes" ../report.html || fail "passes, although none is recorded"
same "$(stat -c %a ../report.html)" 600 "mode of a replaced report"
[ "$(find .. -maxdepth 1 -name '*.tmp')" = "" ] || fail "a temp was left"
python3 - "$SRCDIR/tests/cli" ../report.html <<'END' || fail "the map of a healthy repository"
import sys
sys.path.insert(0, sys.argv[1])
import html_check
squares = html_check.read(sys.argv[2]).squares
assert squares.count("k0") > 300 and squares.count("k10") == 1 and squares.count("k9") == 1, squares
END
ox --quiet fsck --html ../quick.html --quick
silent_out
page ../quick.html "Nothing is wrong in the part that was read" "never verified"

# Damaged: every finding of --json is there with id, slug and remedy; the damaged file is marked; the name is text.
blob=$(find .oxen-lite/versions/files -name data -size -150k)
chmod u+w "$blob"
printf damaged | dd of="$blob" bs=1 seek=500 conv=notrunc 2>/dev/null
ox 4 fsck --record
ox fsck --record --quick
json 4 fsck --html ../damaged.html
page ../damaged.html "Recorded and not settled" "Last passes" "a part, clean"
cp "$tmp/out" ../damaged.json
is "len(d['findings']) >= 2"
python3 - "$SRCDIR/tests/cli" ../damaged.json ../damaged.html <<'END' || fail "findings of the damaged repository"
import json, sys
sys.path.insert(0, sys.argv[1])
import html_check
page = html_check.read(sys.argv[3])
text = "".join(page.text)
found = json.load(open(sys.argv[2]))["findings"]
for f in found:
    for part in (f["id"], f["slug"], f["remedy"], f["severity"], f["object"] or ""):
        assert part in text, part
assert '"><script>alert(2)<!--&amp;\\x1b[31m\\x0ax\\xff' in text, text
assert page.squares.count("k10") > 50, "the damaged file is not marked"
assert "versions/files/" in text and "damaged: versions/files/" in text
END

# A damaged journal costs the map, and nothing else.
cp .oxen-lite/journal.db ../journal.db
printf 'no database' | dd of=.oxen-lite/journal.db conv=notrunc 2>/dev/null
ox 4 fsck --html ../journal.html
page ../journal.html journal-damaged blob-damaged
cp ../journal.db .oxen-lite/journal.db

# What is no page of ours is not replaced; what fails leaves the report as it was.
ln -s report.html ../link.html
ox 16 fsck --html ../link.html
err_has "is something else"
ox 16 fsck --html ..
ox 16 fsck --html ../nowhere/x.html
err_has "no folder '../nowhere'"
[ ! -e ../nowhere ] || fail "a folder was made for the report"
ox 16 fsck --html ../x.html --repair
ox 16 fsck --html ../x.html --oxen .
json 12 fsck --html ../report.html/x.html # 4, and 8: the report is missing
is "len(d['findings']) >= 2" "d['result'] == 'problems'" "d['error']['code'].startswith(('dir-', 'file-'))"
[ ! -e ../x.html ] || fail "a report although the command line was wrong"
cp ../report.html ../before.html
(cd .. && ox 8 fsck --html report.html)
cmp ../report.html ../before.html || fail "a check that failed replaced the report"
cd ..
ox 2 daemon report
err_has "needs --html FILE"
ox 2 daemon status --html x.html
ox 1 daemon --socket "$tmp/none" report --html x.html
[ ! -e x.html ] || fail "a report without a daemon"

if [ "${DAEMON-ON}" = ON ]; then
        TMP_FOLDER=$work python3 "$SRCDIR/tests/cli/html_daemon.py" >&2 || fail "daemon report"
else
        not_tried "daemon report" "built without libevent, so without oxen-lited"
fi

if [ "${OXL_DEEP-0}" != 1 ]; then
        not_tried "how the pages are drawn" "only --deep has a browser"
        exit 0
fi
browser=$(command -v chromium-headless-shell || command -v chromium || command -v chromium-browser || true)
if [ -z "$browser" ]; then
        not_tried "how the pages are drawn" "no chromium here"
        exit 0
fi
# draw PAGE SCHEME: 0 is dark. What the page says on the console is in $tmp/console.
draw() {
        timeout 120 "$browser" --headless --no-sandbox --disable-gpu --hide-scrollbars --enable-logging=stderr \
                --user-data-dir="$tmp/browser" --window-size=1100,2400 --blink-settings=preferredColorScheme="$2" \
                --screenshot="$work/$1.$2.png" "file://$work/$1" >"$tmp/console" 2>&1 || fail "$browser: $1"
        [ -s "$1.$2.png" ] || fail "no picture of $1"
        grep CONSOLE "$tmp/console" >"$tmp/said" || true
}
echo '<!DOCTYPE html><title>x</title><script>console.error("heard")</script>' >noisy.html
draw noisy.html 0
grep -q heard "$tmp/said" || fail "the console is not heard"
# widths PAGE: in frames from a phone's width to a large window's nothing sticks out at the side. The frame's own policy lets no script run
# in it, so the page around it measures.
widths() {
        python3 - "$1" >frames.html <<'END'
import html, pathlib, sys
page = html.escape(pathlib.Path(sys.argv[1]).read_text(), quote=True)
print("<!DOCTYPE html><title>x</title>")
for width in (400, 500, 640, 760, 900, 1100):
    print(f'<iframe style="width:{width}px;height:900px;border:0" srcdoc="{page}"></iframe>')
print("""<p id="said"></p><script>onload = () => { said.textContent = "widths:" + [...document.querySelectorAll("iframe")].map(f => {
const d = f.contentDocument.documentElement; return " " + f.clientWidth + "=" + d.scrollWidth; }).join("") + ";"; }</script>""")
END
        timeout 120 "$browser" --headless --no-sandbox --disable-gpu --user-data-dir="$tmp/browser" --window-size=1300,1000 \
                --virtual-time-budget=5000 --dump-dom "file://$work/frames.html" >"$tmp/dom" 2>"$tmp/console" || fail "$browser: $1"
        grep -o 'id="said">widths:[^;]*;' "$tmp/dom" >"$tmp/widths" || fail "$1 was not measured"
        # hidden scroll bars or not, a frame is never narrower than 380 of its 400 pixels
        python3 - "$tmp/widths" <<'END' || fail "$1 sticks out: $(cat "$tmp/widths")"
import re, sys
pairs = re.findall(r"(\d+)=(\d+)", open(sys.argv[1]).read())
assert len(pairs) == 6 and all(int(frame) >= int(page) >= int(frame) - 20 for frame, page in pairs), pairs
END
}
for file in report.html damaged.html daemon.html; do
        [ ! -e "$file" ] || widths "$file"
done
for file in report.html damaged.html daemon.html; do
        [ -e "$file" ] || continue
        draw "$file" 0
        [ ! -s "$tmp/said" ] || fail "$file on the console: $(cat "$tmp/said")"
        draw "$file" 1
        [ ! -s "$tmp/said" ] || fail "$file on the console: $(cat "$tmp/said")"
        ! cmp -s "$file.0.png" "$file.1.png" || fail "$file looks the same in light and dark"
done
