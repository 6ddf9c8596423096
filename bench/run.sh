#!/bin/sh
# SPDX-License-Identifier: MIT
# ./run bench [NAME...] [--rounds N] [--peers] [--cold] [--scale] [--dir DIR] [--out DIR] [--list]
# Measures; judges nothing. `./run` has built the program and bench-raw already.
set -eu
: "${SRCDIR:?}" "${OXEN_LITE:?}" "${BENCH_RAW:?}"
exec python3 "$SRCDIR/bench/bench.py" "$@"
