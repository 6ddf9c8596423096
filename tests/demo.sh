#!/bin/sh
# SPDX-License-Identifier: MIT
# What oxen-lite survives, shown on real files of this machine: commits, a kill in the middle of one, recovery, fsck,
# and a restore that is compared byte for byte. Called by ./run demo, with the release build in OXEN_LITE.
# Ends with 0 only when every step did what it says. OXL_DEMO_DIR: where to work (default: $TMPDIR or /tmp).
set -eu

LC_ALL=C OXEN_LITE_AUTHOR="Demo <demo@example.org>"
export LC_ALL OXEN_LITE_AUTHOR
umask 022
wanted_files=20000
gib=1073741824

top=$(mktemp -d "${OXL_DEMO_DIR:-${TMPDIR:-/tmp}}/oxen-lite-demo.XXXXXX")
data=$top/data
child=
end() {
        status=$?
        if [ -n "$child" ]; then
                kill -9 "$child" 2>/dev/null || true
        fi
        cd /
        rm -rf "$top" 2>/dev/null || {
                chmod -R u+rwx "$top" 2>/dev/null || true
                rm -rf "$top"
        }
        exit "$status"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() {
        printf '%s\n' "$*"
}
step() {
        printf '\n== %s\n' "$*"
}
die() {
        printf 'demo: FAILED: %s\n' "$*" >&2
        exit 1
}
now() {
        date +%s%N
}
# since NANOSECONDS: "3.2 s"
since() {
        echo "$1 $(now)" | awk '{ printf "%.1f s", ($2 - $1) / 1e9 }'
}
human() {
        awk -v n="$1" 'BEGIN { split("bytes KiB MiB GiB TiB", u, " "); i = 1
                while (n >= 1024 && i < 5) { n /= 1024; i++ }
                printf(i == 1 ? "%d %s" : "%.1f %s", n, u[i]) }'
}
# ox ARGUMENT...: shown as a user would type it, run, timed
ox() {
        printf '$ oxen-lite'
        for word; do
                case $word in *[!A-Za-z0-9./:~_=-]*) printf " '%s'" "$word" ;; *) printf ' %s' "$word" ;; esac
        done
        printf '\n'
        begin=$(now)
        "$OXEN_LITE" --no-progress "$@" >"$top/out" 2>"$top/err" || {
                code=$?
                cat "$top/out" "$top/err" >&2
                die "oxen-lite $1 ended with $code"
        }
        took=$(since "$begin")
        cat "$top/err" "$top/out" | cut -c1-160 | awk 'NR <= 12 { print "  " $0 } END { if (NR > 12) print "  ... " NR - 12 " lines more" }'
        say "  ($took)"
}

# --- input ----------------------------------------------------------------------------------------------------------

count_files() {
        find "$1" -name .oxen-lite -prune -o \( -type f -o -type l \) -print | wc -l | tr -d ' '
}
sum_bytes() {
        find "$1" -name .oxen-lite -prune -o -type f -printf '%s\n' | awk '{ n += $1 } END { printf "%.0f", n }'
}

# take FOLDER: copies at most what is missing to the wanted number, up to 512 KiB each (the large file comes on its own);
# a file that cannot be read or vanishes while it is copied is left out.
take() {
        [ -d "$1" ] || return 0
        left=$((wanted_files + 500 - have))
        [ "$left" -gt 0 ] || return 0
        find "$1" -xdev \( -type f -size -1024 -o -type l \) -print0 2>/dev/null |
                head -z -n "$left" | tar -C / --null -T - --no-recursion -cf - 2>/dev/null |
                tar -C "$data/system" -xf - --no-same-owner --warning=none 2>/dev/null || true
        chmod -R u+rwX "$data/system"
        have=$(count_files "$data/system")
        if [ "$have" -gt "$before" ]; then
                say "  $1: $((have - before)) files"
        fi
        before=$have
}

# A system with few files: the same tree again, with one line more in each file, so that each content is new.
repeat() {
        round=1
        cp -a "$data/system" "$top/once"
        while [ "$have" -lt "$wanted_files" ]; do
                cp -a "$top/once" "$data/system/again-$round"
                find "$data/system/again-$round" -type f -exec sh -c \
                        'n=$1; shift; for f; do printf "copy %s\n" "$n" >>"$f"; done' sh "$round" {} +
                have=$(count_files "$data/system")
                say "  copy $round with other content: $have files so far"
                round=$((round + 1))
        done
        rm -rf "$top/once"
}

# large FILE SEED BYTES: the same bytes on every machine, unlike any other block of it
large() {
        "$python" - "$@" <<'PYTHON'
import hashlib, sys
name, seed, size = sys.argv[1], sys.argv[2].encode(), int(sys.argv[3])
# Each MiB: a keystream block (SHAKE-128), XORed with the block's number all along. No two blocks are equal.
base = hashlib.shake_128(seed).digest(1 << 20)
number = int.from_bytes(base, "little")
ones = int.from_bytes((b"\1" + b"\0" * 7) * (1 << 17), "little")
with open(name, "wb") as f:
    for i in range(size >> 20):
        f.write((number ^ (ones * (i + 1))).to_bytes(1 << 20, "little"))
PYTHON
}

# --- comparing ------------------------------------------------------------------------------------------------------

# modes FOLDER: path, kind and permission of everything that a repository keeps
modes() {
        (cd "$1" && find . -name .oxen-lite -prune -o \( -type f -o -type l \) -printf '%p %y %m\n' | sort)
}

# equal A B: byte for byte; folders that hold nothing are not kept by a repository
equal() {
        find "$1" "$2" -depth -type d -empty -delete
        diff -r --no-dereference --exclude=.oxen-lite "$1" "$2" >"$top/differences" 2>&1 || {
                head -n 20 "$top/differences" >&2
                die "$1 and $2 differ"
        }
        modes "$1" >"$top/modes.a"
        modes "$2" >"$top/modes.b"
        # Only "executable by its owner" is kept, as in git.
        for side in a b; do
                sed -E 's/ l 777$/ l/; s/ f [1357]?[1357][0-7]{2}$/ x/; s/ f [0-7]*$/ f/' "$top/modes.$side" >"$top/kinds.$side"
        done
        cmp "$top/kinds.a" "$top/kinds.b" || {
                diff "$top/kinds.a" "$top/kinds.b" | head -n 20 >&2
                die "permissions of $1 and $2 differ"
        }
}

# ---------------------------------------------------------------------------------------------------------------------

started=$(now)
python=$(command -v python3) || die "python3 is missing"
[ -x "${OXEN_LITE-}" ] || die "OXEN_LITE must name the program"
free=$(df -Pk "$top" | awk 'NR == 2 { print $4 }')
[ "$free" -gt 8000000 ] || die "needs 8 GB free in ${top%/*}; OXL_DEMO_DIR names another place"

step "Input: files of this machine, and one large file"
mkdir -p "$data/system"
have=0 before=0
for folder in /usr/share /usr/include /usr/lib /etc /usr/bin /usr/sbin /var/lib /opt; do
        take "$folder"
done
[ "$have" -gt 0 ] || die "no file of this system could be copied"
[ "$have" -ge "$wanted_files" ] || repeat
large "$data/large.bin" one "$gib"
files=$(count_files "$data") bytes=$(sum_bytes "$data")
say "  $files files, $(human "$bytes"), among them one of $(human "$gib")"
[ "$files" -ge "$wanted_files" ] || die "only $files files"

step "First commit: everything"
cd "$data"
ox init
ox add -A
begin=$(now)
ox commit -m "Everything as it was found"
say "  From here on these files survive a kill, a crash and a power cut."

step "Second commit: 500 files changed, 200 removed, 300 new, 1 MiB of the large file changed"
find system -type f -size +0 | sort | awk 'NR % 23 == 1' | head -n 700 >"$top/some"
head -n 500 "$top/some" | while IFS= read -r f; do printf 'changed by the demo\n' >>"$f"; done
tail -n 200 "$top/some" | tr '\n' '\0' | xargs -0 rm -f
mkdir new
i=0
while [ "$i" -lt 300 ]; do
        printf 'new file %d\n' "$i" >"new/$i"
        i=$((i + 1))
done
"$python" - large.bin <<'PYTHON'
import sys
with open(sys.argv[1], "r+b") as f:
    f.seek(512 << 20)
    f.write(b"\x55" * (1 << 20))
PYTHON
"$OXEN_LITE" --quiet add new
ox commit -a -m "Some changes"
committed=$(sed -n 's/^\[[^ ]* \([0-9a-f]*\)\].*/\1/p' "$top/out")
[ -n "$committed" ] || die "commit did not name its id"
cp -a --reflink=auto "$data" "$top/aside.new"
rm -rf "$top/aside.new/.oxen-lite"
mv "$top/aside.new" "$top/aside"
say "  A plain copy of this state is kept aside, to compare with at the end."

step "Third commit: 5,000 changed files and a new file of 512 MiB; killed with SIGKILL in the middle"
find system -type f | sort | head -n 5000 | while IFS= read -r f; do printf 'never committed\n' >>"$f"; done
large second.bin two "$((gib / 2))"
"$python" - "$OXEN_LITE" <<'PYTHON' >"$top/killed" || die "the third commit could not be killed in time"
import os, signal, subprocess, sys, time
temps = ".oxen-lite/versions/tmp"
begin = time.monotonic()
p = subprocess.Popen([sys.argv[1], "--quiet", "--no-progress", "commit", "-a", "-m", "Never finished", "second.bin"])
# In the middle: at least 256 MiB are written, and the commit is still at work.
while True:
    written = 0
    for name in os.listdir(temps):
        try:
            written = max(written, os.stat(os.path.join(temps, name)).st_blocks * 512)
        except FileNotFoundError:
            pass
    if written >= 256 << 20:
        break
    if p.poll() is not None:
        sys.exit(f"it ended by itself, with {p.returncode}")
    time.sleep(0.001)
p.send_signal(signal.SIGKILL)
assert p.wait() == -signal.SIGKILL, p.returncode
left = [n for n in os.listdir(temps) if n.endswith(".tmp")]
size = sum(os.stat(os.path.join(temps, n)).st_blocks * 512 for n in left)
print(f"  killed after {time.monotonic() - begin:.1f} s; it left {len(left)} half-written temp file(s), "
      f"{size / 2**20:.0f} MiB")
PYTHON
cat "$top/killed"

step "After the kill"
ox recover
left=$(find .oxen-lite -name '*.tmp' | wc -l | tr -d ' ')
[ "$left" -eq 0 ] || die "$left temp files are left after recovery"
say "  The half-written files are gone: the kernel's locks prove that their owner is dead."
ox fsck
grep -q clean "$top/out" || die "fsck does not say clean"
ox log
grep -q "^commit $committed" "$top/out" || die "HEAD is not the second commit"
! grep -q "Never finished" "$top/out" || die "the killed commit is in the log"
same=$(grep -c '^commit' "$top/out")
[ "$same" -eq 2 ] || die "$same commits instead of 2"
ox status
grep -q 'second.bin' "$top/out" || die "status does not see the new file"
say "  Both commits are there, whole; the third one never happened; its files are still in the working tree."

step "Restore the second commit into an empty folder, and compare byte for byte"
ox restore --to "$top/restored" --source HEAD .
begin=$(now)
equal "$top/aside" "$top/restored"
say "  $(count_files "$top/restored") files, $(human "$(sum_bytes "$top/restored")"): every byte, name, link and executable bit is the same ($(since "$begin"))"

step "Done in $(since "$started")"
say "  Repository: $(human "$(du -sk "$data/.oxen-lite" | awk '{ printf "%.0f", $1 * 1024 }')") for two commits."
say "  Nothing acknowledged was lost, nothing unfinished was left. Removing the demo's folder."
