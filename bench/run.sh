#!/bin/sh
# SPDX-License-Identifier: MIT
# ./run bench [NAME...] [--rounds N] [--peers] [--cold] [--scale] [--dir DIR] [--out DIR] [--list]
# ./run bench daemon [--seconds N] [--rounds N] [--dir DIR]
# Measures; judges nothing. `./run` has built the programs and bench-raw already.
set -eu
: "${SRCDIR:?}" "${OXEN_LITE:?}" "${BENCH_RAW:?}"
if [ "${1-}" = daemon ]; then
        shift
        exec python3 "$SRCDIR/bench/daemon.py" "$@"
fi
exec python3 "$SRCDIR/bench/bench.py" "$@"
