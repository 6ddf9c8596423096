#!/bin/sh
# SPDX-License-Identifier: MIT
# Every header compiles alone: the public ones as strict C11 and as C++17, the private ones as our own dialect.
# usage: alone.sh c11|c++17|private   (environment: SRCDIR, CC)
set -eu

language=$1
check="-Wall -Wextra -Wpedantic -Werror -fsyntax-only -I$SRCDIR/lib/include"
case $language in
c11) compile="${CC:-cc} -x c -std=c11 $check" ;;
c++17) compile="c++ -x c++ -std=c++17 $check" ;;
private) compile="${CC:-cc} -x c -std=gnu17 -D_GNU_SOURCE $check -I$SRCDIR/lib" ;;
*) echo "usage: alone.sh c11|c++17|private" >&2 && exit 2 ;;
esac
if [ "$language" = private ]; then
        set -- "$SRCDIR"/lib/[!i]*/*.h # every layer; not lib/include
else
        set -- "$SRCDIR"/lib/include/oxenlite/*.h
fi

failed=0
for header in "$@"; do
        # Twice: the guard works, too. The last line: ISO C forbids a file without a declaration.
        # shellcheck disable=SC2086 # $compile is a command with its flags
        printf '#include "%s"\n#include "%s"\nextern int alone;\n' "$header" "$header" | $compile - || {
                echo "FAILED: $header" >&2
                failed=1
        }
done
echo "$# headers as $language"
[ "$failed" -eq 0 ]
