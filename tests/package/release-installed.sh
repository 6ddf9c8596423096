#!/bin/sh
# SPDX-License-Identifier: MIT
# Whoever installs us can build programs: both examples, against the files that were installed elsewhere, by pkg-config and by
# find_package, shared and static; and they do what they say.
# Environment: SRCDIR, BUILDDIR, OXEN_LITE
set -eu

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
prefix=$tmp/usr
cd "$tmp"

fail() {
        printf 'FAILED: %s\n' "$*" >&2
        exit 1
}
quietly() {
        "$@" >"$tmp/log" 2>&1 || {
                cat "$tmp/log" >&2
                fail "$*"
        }
}

quietly cmake --install "$BUILDDIR" --prefix "$prefix"
pc=$(find "$prefix" -name oxenlite.pc)
[ -n "$pc" ] || fail "no oxenlite.pc"
libdir=$(dirname "$(dirname "$pc")")
# The build was configured for another prefix: what names one must name this.
export PKG_CONFIG_PATH="$libdir/pkgconfig"
for name in oxenlite oxenlite-durable; do
        [ "$(realpath "$(pkg-config --variable=prefix $name)")" = "$(realpath "$prefix")" ] || fail "prefix of $name.pc"
        pkg-config --cflags $name | grep -q -- "-I$libdir/pkgconfig/.*/include" || fail "includes of $name.pc"
done
! grep -r 'usr/local' "$libdir/pkgconfig" || fail "the prefix of the build is in a .pc file"
if [ -x "$prefix/bin/oxen-lited" ]; then
        grep -qx "ExecStart=$prefix/bin/oxen-lited" "$prefix/lib/systemd/system/oxen-lited.service" || fail "ExecStart of the unit"
        DESTDIR=$tmp/dest quietly cmake --install "$BUILDDIR" --prefix /opt/oxl --component tools
        grep -qx 'ExecStart=/opt/oxl/bin/oxen-lited' "$tmp/dest/opt/oxl/lib/systemd/system/oxen-lited.service" ||
                fail "ExecStart of a unit in DESTDIR"
fi
[ "$(pkg-config --modversion oxenlite)" = "$("$OXEN_LITE" version | cut -d' ' -f2)" ] || fail "version of oxenlite.pc"

# try FOLDER TEXT: the two programs in FOLDER
try() {
        rm -rf data target
        mkdir data
        echo content >data/file
        echo hello | "$1/atomic_write" target | grep -q '6 bytes, durable' || fail "$2: atomic_write"
        [ "$(cat target)" = hello ] || fail "$2: atomic_write wrote something else"
        status=0
        echo x | "$1/atomic_write" data 2>err || status=$?
        { [ "$status" -eq 1 ] && grep -q 'data is as it was' err; } || fail "$2: atomic_write over a folder: $status"
        "$1/commit_and_fsck" data one >out || fail "$2: commit_and_fsck: $?"
        grep -q 'committed 1 files to main' out || fail "$2: $(cat out)"
        grep -q ': clean$' out || fail "$2: $(cat out)"
        "$OXEN_LITE" -C data --quiet fsck >/dev/null || fail "$2: oxen-lite disagrees"
        pack=$(find data/.oxen-lite/versions/packs -name '*.pack' | head -n 1)
        printf X | dd of="$pack" bs=1 seek=100 conv=notrunc status=none
        status=0
        "$1/commit_and_fsck" data two >out 2>&1 || status=$?
        [ "$status" -eq 3 ] || fail "$2: damage, but exit $status: $(cat out)"
}

mkdir pkg static plain
for name in atomic_write commit_and_fsck; do
        # shellcheck disable=SC2046 # flags
        quietly cc -std=c11 -Wall -Wextra -Werror "$SRCDIR/examples/$name.c" $(pkg-config --cflags --libs oxenlite) \
                -Wl,-rpath,"$libdir" -o "pkg/$name"
done
readelf -d pkg/commit_and_fsck | grep -q 'NEEDED.*liboxenlite\.so\.0' || fail "the shared library is not used"
try "$tmp/pkg" pkg-config

# Without the store: no SQLite, no cJSON.
# shellcheck disable=SC2046
quietly cc -std=c11 "$SRCDIR/examples/atomic_write.c" $(pkg-config --cflags --libs oxenlite-durable) -o plain/atomic_write
! readelf -d plain/atomic_write | grep -q 'sqlite\|cjson\|liboxenlite' || fail "oxenlite-durable needs more than it should"
echo hello | plain/atomic_write target | grep -q '6 bytes, durable' || fail "atomic_write with oxenlite-durable"

for static in OFF ON; do
        quietly cmake -S "$prefix/share/doc/liboxenlite-dev/examples" -B "cmake-$static" -G Ninja \
                -DCMAKE_PREFIX_PATH="$prefix" -DOXL_STATIC=$static
        quietly cmake --build "cmake-$static"
        try "$tmp/cmake-$static" "find_package, static $static"
done
readelf -d cmake-ON/commit_and_fsck | grep -q 'NEEDED.*liboxenlite' && fail "the static library is not used"

for page in man1/oxen-lite-fsck.1 man5/oxen-lite-format.5 man5/oxen-lite-ignore.5 man5/oxen-lited.json.5 man8/oxen-lited.8; do
        [ ! -e "$BUILDDIR/man/stamp" ] || [ -s "$prefix/share/man/$page" ] || fail "$page is not installed"
done
[ -s "$prefix/share/bash-completion/completions/oxen-lite" ] || fail "no completion is installed"
echo ok
