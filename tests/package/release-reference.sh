#!/bin/sh
# SPDX-License-Identifier: MIT
# Doxygen reads every public header without a warning, and knows every function by what the header says about it.
# Environment: SRCDIR, BUILDDIR
set -eu

command -v doxygen >/dev/null || {
        echo "skipped: no doxygen"
        exit 77
}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
sed "s,^OUTPUT_DIRECTORY.*,OUTPUT_DIRECTORY = $tmp," "$BUILDDIR/Doxyfile" >"$tmp/Doxyfile"
doxygen "$tmp/Doxyfile" >"$tmp/log" 2>&1 || {
        cat "$tmp/log" >&2
        exit 1
}
[ ! -s "$tmp/log" ] || {
        cat "$tmp/log" >&2
        exit 1
}
grep -q 'Removes the temps that were not published' "$tmp/html/atomic_8h.html" || {
        echo "FAILED: comments do not reach the reference" >&2
        exit 1
}
for header in "$SRCDIR"/lib/include/oxenlite/*.h; do
        name=$(basename "$header" .h)
        [ -s "$tmp/html/${name}_8h.html" ] || {
                echo "FAILED: $name.h is not in the reference" >&2
                exit 1
        }
done
echo "$(find "$tmp/html" -name '*.html' | wc -l) pages"
