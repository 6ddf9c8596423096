#!/bin/sh
# SPDX-License-Identifier: MIT
# run.sh SECONDS [TARGET...]: runs each libFuzzer program that long (all of build/fuzz by default), two at a time. What it
# learns stays in build/fuzz/corpus; inputs that break a target are left in build/fuzz/broken and make it fail. To keep one
# as a regression, copy it to tests/fuzz/seeds/<target>/.
set -eu

seconds=$1
shift
build=${FUZZBUILD-$(dirname "$0")/../../build/fuzz}
dir=$(cd "$(dirname "$0")" && pwd)
cd "$build"
mkdir -p corpus broken log
tests/make_seeds "$PWD/tests/fuzz-seeds"

if [ $# -eq 0 ]; then
        for program in tests/libfuzzer-*; do
                set -- "$@" "${program#tests/libfuzzer-}"
        done
fi

# one TARGET
one() {
        mkdir -p "corpus/$1"
        folders="corpus/$1 tests/fuzz-seeds/$1"
        [ ! -d "$dir/seeds/$1" ] || folders="$folders $dir/seeds/$1"
        # What a target that is broken leaves behind goes with the folder.
        if [ -w /dev/shm ]; then place=$(mktemp -d /dev/shm/oxl-fuzz.XXXXXX); else place=$(mktemp -d); fi
        # shellcheck disable=SC2086 # a list of folders
        if TMPDIR=$place ASAN_OPTIONS=detect_stack_use_after_return=1:quarantine_size_mb=8 UBSAN_OPTIONS=print_stacktrace=1 "tests/libfuzzer-$1" \
                -max_total_time="$seconds" -max_len=65536 -timeout=10 -rss_limit_mb=512 -malloc_limit_mb=4 \
                -print_final_stats=1 -artifact_prefix="broken/$1-" $folders >"log/$1" 2>&1; then
                runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "log/$1")
                echo "fuzz: $1 ok, $runs inputs, $(find "corpus/$1" -type f | wc -l) kept"
        else
                tail -n 60 "log/$1" >&2
                echo "fuzz: $1 BROKEN, see $PWD/log/$1"
                : >"broken/.$1"
        fi
        rm -rf "$place"
}

rm -f broken/.[!.]*
while [ $# -gt 0 ]; do
        one "$1" &
        first=$!
        [ $# -lt 2 ] || one "$2"
        wait "$first"
        [ $# -lt 2 ] || shift
        shift
done
[ -z "$(find broken -name '.[!.]*')" ]
