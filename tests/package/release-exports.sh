#!/bin/sh
# SPDX-License-Identifier: MIT
# liboxenlite.so exports what the headers mark OXL_API, under its version, and nothing else; its SONAME is that of the package.
# Environment: SRCDIR, BUILDDIR
set -eu

library=$BUILDDIR/lib/liboxenlite.so
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

objdump -p "$library" | grep -q 'SONAME *liboxenlite\.so\.0$' || {
        echo "FAILED: SONAME: $(objdump -p "$library" | grep SONAME)" >&2
        exit 1
}
nm -D --defined-only "$library" | awk '$2 != "A" { print $3 }' | sort >"$tmp/exported"
if grep -v '@@OXENLITE_0$' "$tmp/exported" >&2; then
        echo "FAILED: exported without a version" >&2
        exit 1
fi
sed -i 's/@@.*//' "$tmp/exported"
# A declaration is everything from OXL_API to the first parenthesis behind a name.
cat "$SRCDIR"/lib/include/oxenlite/*.h | tr '\n' ' ' | grep -o 'OXL_API [^;{]*' | sed 's/__attribute__((.*)) / /' |
        grep -o 'oxl_[a-z0-9_]*(' | tr -d '(' | sort -u >"$tmp/declared"
[ "$(wc -l <"$tmp/declared")" -gt 50 ] || {
        echo "FAILED: only $(wc -l <"$tmp/declared") functions were found in the headers" >&2
        exit 1
}
diff -u "$tmp/declared" "$tmp/exported" >&2 || {
        echo "FAILED: headers (-) and library (+) differ" >&2
        exit 1
}
echo "$(wc -l <"$tmp/exported") functions"
