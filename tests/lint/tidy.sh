#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: OXL_TIDY_COMMON=KEY [OXL_TIDY_CHECKS=LIST] tidy.sh FILE   clang-tidy for one file, unless the same bytes were clean before
set -eu
checks=${OXL_TIDY_CHECKS-}
key=$(printf '%s %s %s\n' "$OXL_TIDY_COMMON" "$checks" "$1" | cat - "$1" | sha256sum | cut -c1-40)
[ ! -e "build/lint/tidy/$key" ] || exit 0
clang-tidy -p build/clang --quiet ${checks:+"--checks=$checks"} "$1" 2>/dev/null || {
        echo "clang-tidy: $1"
        exit 1
}
: >"build/lint/tidy/$key"
