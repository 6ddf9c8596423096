# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# What the scripts share: a folder of their own that is removed at the end, and checks that print what differed.
# Sourced first; leaves the script in an empty folder $work, below $tmp. Output of the last command: $tmp/out, $tmp/err.
set -eu

LC_ALL=C TZ=UTC0 OXEN_LITE_AUTHOR="Ada <ada@example.org>"
export LC_ALL TZ OXEN_LITE_AUTHOR
unset VISUAL EDITOR NO_COLOR
umask 022

tmp=$(mktemp -d "${TMPDIR:-/tmp}/oxen-lite-test.XXXXXX")
work=$tmp/work
mkdir "$work"
chmod 755 "$tmp"
# Scratch copies that the program makes and should remove are seen at the end.
HOME=$tmp TMPDIR=$tmp
export HOME TMPDIR

# Every repository that a script leaves behind and fsck calls clean is read by the independent reader as well.
independent_reader() {
        find "$tmp" -maxdepth 4 -type d -name .oxen-lite -prune 2>/dev/null >"$tmp/repositories" || true
        while read -r found; do
                "$OXEN_LITE" -C "${found%/.oxen-lite}" --trust --quiet fsck >/dev/null 2>&1 || continue
                python3 "$SRCDIR/tests/check/read_repository.py" "${found%/.oxen-lite}" >"$tmp/read" 2>&1 || {
                        echo "FAILED: $found: the independent reader disagrees" >&2
                        cat "$tmp/read" >&2
                        status=1
                }
        done <"$tmp/repositories"
}

end() {
        status=$?
        cd /
        [ "$status" -ne 0 ] || independent_reader
        for left in "$tmp"/oxen-lite-journal-*; do
                [ ! -e "$left" ] || [ "$status" -ne 0 ] || {
                        echo "FAILED: left behind: $left" >&2
                        status=1
                }
        done
        [ ! -d "$tmp/disk" ] || umount "$tmp/disk" 2>/dev/null || true
        chmod -R u+rwx "$tmp" 2>/dev/null || true
        rm -rf "$tmp"
        exit "$status"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
cd "$work"

fail() {
        printf 'FAILED: %s\n' "$*" >&2
        exit 1
}

# What the last command said, for the log of a failed test.
show() {
        printf -- '--- stdout\n' >&2
        head -c 4000 "$tmp/out" >&2
        printf -- '--- stderr\n' >&2
        head -c 4000 "$tmp/err" >&2
        printf -- '---\n' >&2
}

# not_tried WHAT WHY: a part of a test that cannot run here; ./run counts and lists these lines
not_tried() {
        printf 'NOT TRIED: %s: %s\n' "$1" "$2"
}

# run WANTED_STATUS COMMAND...: keeps what it says
run() {
        wanted=$1 status=0
        shift
        "$@" >"$tmp/out" 2>"$tmp/err" || status=$?
        if [ "$status" -ne "$wanted" ]; then
                show
                fail "exit $status, not $wanted: $*"
        fi
}

# ox [WANTED_STATUS] ARGUMENT...: runs oxen-lite; 0 is wanted when the first word is no number
ox() {
        case $1 in
        [0-9]*)
                status=$1
                shift
                ;;
        *) status=0 ;;
        esac
        run "$status" "$OXEN_LITE" "$@"
}

# The last command's whole standard output.
out_is() {
        printf '%s\n' "$*" >"$tmp/wanted"
        diff -u "$tmp/wanted" "$tmp/out" >&2 || fail "the output differs"
}

# out_has/err_has/out_lacks/err_lacks TEXT: a fixed text, within one line
out_has() {
        grep -qF -e "$1" "$tmp/out" || {
                show
                fail "stdout lacks: $1"
        }
}
err_has() {
        grep -qF -e "$1" "$tmp/err" || {
                show
                fail "stderr lacks: $1"
        }
}
out_lacks() {
        ! grep -qF -e "$1" "$tmp/out" || {
                show
                fail "stdout has: $1"
        }
}
err_lacks() {
        ! grep -qF -e "$1" "$tmp/err" || {
                show
                fail "stderr has: $1"
        }
}
silent_out() {
        [ ! -s "$tmp/out" ] || {
                show
                fail "stdout is not empty"
        }
}
silent_err() {
        [ ! -s "$tmp/err" ] || {
                show
                fail "stderr is not empty"
        }
}

# same A B TEXT: two values that must be equal
same() {
        [ "$1" = "$2" ] || fail "$3: '$1' is not '$2'"
}

# same_tree A B: names, kinds, contents and modes, without repositories
same_tree() {
        python3 "$SRCDIR/tests/cli/same_tree.py" "$1" "$2" >&2 || fail "the trees $1 and $2 differ"
}

# json [WANTED_STATUS] ARGUMENT...: runs with --json; `is` checks what it said
json() {
        case $1 in
        [0-9]*)
                status=$1
                shift
                ;;
        *) status=0 ;;
        esac
        run "$status" "$OXEN_LITE" --json "$@"
}

# is EXPRESSION...: stdout was exactly one document, as its schema says, and each Python expression over `d`, the
# document, is true
is() {
        python3 "$SRCDIR/tests/cli/json_check.py" "$SRCDIR/schema/json" "$tmp/out" "$@" >&2 || {
                show
                fail "the document is not as it should be: $*"
        }
}

# A clean fsck, after which every object hashes to its name.
fsck_clean() {
        ox fsck
        out_has clean
}

root_only() {
        [ "$(id -u)" -eq 0 ] || {
                echo "skipped: needs root"
                exit 77
        }
}

daemon_only() {
        [ "${DAEMON-ON}" = ON ] || {
                echo "skipped: built without libevent, so without oxen-lited"
                exit 77
        }
}

# Another user, who can read the program and $tmp.
nobody() {
        setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
}

# own_mounts: runs this script again in a mount namespace of its own; skipped where that is not allowed
own_mounts() {
        [ -z "${OXL_OWN_MOUNTS-}" ] || return 0
        if unshare -m true 2>/dev/null; then
                set -- unshare -m
        elif unshare -rm true 2>/dev/null; then
                set -- unshare -rm
        else
                echo "skipped: no mount namespaces here"
                exit 77
        fi
        status=0
        OXL_OWN_MOUNTS=1 "$@" sh "$SRCDIR/tests/cli/${0##*/}" || status=$?
        exit "$status"
}
