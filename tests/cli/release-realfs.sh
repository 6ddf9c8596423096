#!/bin/sh
# SPDX-License-Identifier: MIT
# Power cuts on ext4, xfs and btrfs. The file system lives in an image on a tmpfs; a copy of the image, taken while it is mounted, is
# what the disk holds when the power fails: the page cache is not in it. The program stands still at each of its file-changing
# calls while the copy is made. Every copy is mounted (journal replay) and must recover to a state that keeps the promises.
#
#   plain   nothing is on disk but what the program synced
#   names   before each copy the file system commits its journal, so names and sizes are on disk, data is not
#   all     before each copy everything is written (only with OXL_DEEP=1)
#
# Controls, which must be seen to lose: the same program while its syncs do nothing; cp and mv without a sync.
# Last, a disk below ext4 that runs full at a chosen call: fsync fails with ENOSPC or EIO.
#
#   OXL_REALFS="ext4 xfs"   only these; OXL_EVERY=N: at every Nth call in mode names (default 7; 1 with OXL_DEEP=1)
#   OXL_SEED=N              at which of them it begins
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

root_only
own_mounts

deep=${OXL_DEEP-}
seed=${OXL_SEED:-$(date +%s)}
modes="plain names${deep:+ all}"
if [ "$deep" = 1 ]; then every=${OXL_EVERY:-1} room=6g; else every=${OXL_EVERY:-7} room=1500m; fi
killat=$BUILDDIR/tests/killat
disk=$tmp/disk m=$tmp/disk/m c=$tmp/disk/c img=$tmp/disk/img shots=$tmp/disk/shots expect=$tmp/disk/expect
fs='' mode='' loop='' step='' acked=1
export disk m img shots fs mode loop step acked every seed

# The namespace is ours alone: what is mounted in it goes with its last process, and the loop devices with their mounts.
leave() {
        status=$?
        cd /
        umount -R -l "$disk" 2>/dev/null || true
        (exit "$status") || true
        [ "$status" -eq 0 ] || printf 'seed %s: OXL_SEED=%s\n' "$seed" "$seed" >&2
        chmod -R u+rwx "$tmp" 2>/dev/null || true
        rm -rf "$tmp"
        exit "$status"
}
trap leave EXIT

mkdir "$disk"
mount -t tmpfs -o "size=$room" tmpfs "$disk" || {
        echo "skipped: cannot mount a tmpfs"
        exit 77
}
mkdir "$m" "$c" "$shots" "$expect"

# --- images -----------------------------------------------------------------------------------------------------

make_image() {
        rm -f "$1"
        case $fs in
        ext4) truncate -s 96m "$1" && mkfs.ext4 -q -F "$1" ;;
        xfs) truncate -s 300m "$1" && mkfs.xfs -q "$1" ;;
        btrfs) truncate -s 160m "$1" && mkfs.btrfs -q "$1" >/dev/null 2>&1 ;;
        esac
}

# The journal is written when somebody asks for it, not every few seconds: what nobody synced is not there.
mount_live() {
        case $fs in
        xfs) mount -o loop "$1" "$2" ;;
        *) mount -o loop,commit=300 "$1" "$2" ;;
        esac
        loop=$(findmnt -n -o SOURCE "$2")
        loop=${loop##*/}
}

# A copy has the identity of its original: it is mounted only when that is not.
mount_copy() {
        mount -o loop "$1" "$c"
}

# --- shots ------------------------------------------------------------------------------------------------------

# sh shoot N NAME: called while the program stands still at its Nth call, and with N = end when it has ended. Leaves
# $shots/K.img and $shots/K: which step, call and mode, and how many commits were acknowledged. While nothing was written since the
# last copy that copy is also today's, and must stand today's oracles. A copy during which something was written is made again.
cat >"$tmp/shoot" <<'HOOK'
set -eu
written() {
        read -r _ _ _ _ writes _ _ _ flying _ _ discards _ <"/sys/block/$loop/stat"
        echo "$writes $discards $flying"
}
n=$1 name=$2
if [ "$mode" = names ] && [ "$n" != end ] && [ $(((n + seed) % every)) -ne 0 ]; then
        exit 0
fi
case $fs-$mode in
*-plain) ;;
btrfs-names)
        # Deleting a subvolume with -c commits the transaction; data that waits for allocation stays where it is.
        btrfs subvolume create "$m/bystander" >/dev/null
        btrfs subvolume delete -c "$m/bystander" >/dev/null
        ;;
*-names)
        echo >>"$m/bystander"
        sync "$m/bystander"
        ;;
*-all) sync -f "$m" ;;
esac
now=$acked
ended=no
if [ "$n" = end ]; then
        ended=yes
elif grep -q '^\[main ' "$disk/out"; then
        now=$((acked + 1))
fi
last=$(cat "$shots/last")
if [ "$(written)" != "$(cat "$shots/key")" ] || [ "$last" -eq 0 ]; then
        last=$((last + 1)) tries=0
        while :; do
                before=$(written)
                cp --sparse=always "$img" "$shots/$last.img"
                after=$(written)
                [ "$before" != "$after" ] || [ "${after##* }" -ne 0 ] || break
                tries=$((tries + 1))
                [ "$tries" -lt 50 ] || exit 1
                sleep 0.02
        done
        echo "$after" >"$shots/key"
        echo "$last" >"$shots/last"
fi
echo "$step $mode $n $name $now $ended" >"$shots/$last"
HOOK

# stepped STEP COMMAND...: runs it in $m/repo under the stepper; it must succeed unless a control says otherwise
stepped() {
        step=$1
        shift
        : >"$disk/out"
        cd "$m/repo"
        # shellcheck disable=SC2086 # may be nothing
        "$killat" -e "$tmp/shoot" $control "$@" >"$disk/out" 2>"$tmp/err" 3>"$tmp/how" || true
        cd /
        grep -q '^ended 0 ' "$tmp/how" || {
                cat "$disk/out" "$tmp/err" >&2
                fail "$fs: $step: $(cat "$tmp/how")"
        }
        read -r _ _ n <"$tmp/how"
        [ "$n" -gt 10 ] || fail "$fs: $step: only $n calls were seen"
        calls=$((calls + n))
        if grep -q '^\[main ' "$disk/out"; then
                acked=$((acked + 1))
                sed 's/^\[main \([0-9a-f]*\)\].*/\1/;q' "$disk/out" >"$expect/id.$acked"
        fi
        sh "$tmp/shoot" end end
}

# --- the workload -----------------------------------------------------------------------------------------------

edit() {
        cd "$m/repo"
        case $1 in
        1)
                mkdir sub many
                echo first >sub/a
                echo first >b
                : >empty
                head -c 100000 /dev/zero | tr '\0' x >large
                printf '#!/bin/sh\n' >tool
                chmod +x tool
                ln -s sub/a link
                for i in 1 2 3 4 5 6 7 8 9; do echo "many $i" >"many/$i"; done
                ;;
        2)
                echo second >b
                mkdir -p deep/er
                echo second >deep/er/file
                echo second >many/4
                rm empty
                ;;
        3)
                echo third >b
                echo third >sub/a
                echo third >many/1
                head -c 150000 /dev/zero | tr '\0' y >large
                ;;
        4)
                echo fourth >many/9
                echo fourth >many/4
                ;;
        5)
                echo "never committed" >b
                head -c 120000 /dev/zero | tr '\0' z >large
                ;;
        esac
        rm -rf "${expect:?}/$1"
        mkdir "$expect/$1"
        tar -c --exclude=./.oxen-lite . | tar -x -C "$expect/$1"
        cd /
}

# The base image: one commit, all of it on disk.
make_base() {
        make_image "$disk/base"
        mount_live "$disk/base" "$m"
        read -r _ _ _ _ writes _ <"/sys/block/$loop/stat"
        [ "$writes" -gt 0 ] || fail "$loop does not count its writes"
        mkdir "$m/repo"
        ox -C "$m/repo" init
        ox -C "$m/repo" config pack_threshold 65536
        edit 1
        ox -C "$m/repo" add -A
        ox -C "$m/repo" commit -m 1
        sed 's/^\[main \([0-9a-f]*\)\].*/\1/;q' "$tmp/out" >"$expect/id.1"
        umount "$m"
        fallocate --dig-holes "$disk/base"
}

# What a step leaves for the next is not synced by us, except what is the working tree's.
work() {
        edit 2
        sync -f "$m"
        stepped add "$OXEN_LITE" add -A .
        stepped commit "$OXEN_LITE" commit -m 2
        edit 3
        sync -f "$m"
        stepped commit-a "$OXEN_LITE" commit -a -m 3
        edit 4
        stepped again "$OXEN_LITE" commit -a -m 4
        edit 5
        rm -rf "$expect/restored"
        cp -a "$expect/5" "$expect/restored"
        cp -a "$expect/2/." "$expect/restored/"
        sync -f "$m"
        stepped restore "$OXEN_LITE" restore --force --source HEAD~2 .
}

# --- the oracles ------------------------------------------------------------------------------------------------

wrong() {
        printf '%s\n' "$*"
        return 1
}

same_files() {
        diff -r --no-dereference -x .oxen-lite "$1" "$2" >"$tmp/diff" 2>&1 && [ -x "$2/tool" ]
}

# sound STEP NOW ENDED: is the repository in $c/repo what it may be? Else says why not.
sound() {
        cd "$c/repo" 2>/dev/null || { wrong "the repository is gone" || return 1; }
        "$OXEN_LITE" recover >"$tmp/said" 2>&1 || { wrong "recover: $(cat "$tmp/said")" || return 1; }
        "$OXEN_LITE" fsck >"$tmp/said" 2>&1 || { wrong "fsck: $(cat "$tmp/said")" || return 1; }
        left=$(find . -name '*.oxl-*.tmp')
        [ -z "$left" ] || wrong "left: $left" || return 1
        "$OXEN_LITE" log --json >"$tmp/log" 2>&1 || { wrong "log: $(cat "$tmp/log")" || return 1; }
        sed -n 's/^{"id":"\([0-9a-f]*\)".*/\1/p' "$tmp/log" >"$tmp/ids"
        count=$(wc -l <"$tmp/ids")
        most=$2
        case $1 in commit | commit-a | again) [ "$3" = yes ] || most=$((base_acked + 1)) ;; esac
        [ "$count" -ge "$2" ] || wrong "$2 commits were acknowledged, $count are there" || return 1
        [ "$count" -le "$most" ] || wrong "$count commits, only $most were made" || return 1
        k=$2
        while [ "$k" -gt 0 ]; do
                id=$(sed -n "$((count - k + 1))p" "$tmp/ids")
                case $id in
                "$(cat "$expect/id.$k")"*) ;;
                *) wrong "commit $k is $id, acknowledged was $(cat "$expect/id.$k")" || return 1 ;;
                esac
                k=$((k - 1))
        done
        rm -rf "$disk/copy"
        "$OXEN_LITE" restore --to "$disk/copy" >"$tmp/said" 2>&1 || { wrong "restore --to: $(cat "$tmp/said")" || return 1; }
        same_files "$expect/$count" "$disk/copy" || wrong "commit $count is not whole: $(cat "$tmp/diff")" || return 1
        "$OXEN_LITE" status --json >"$tmp/said" 2>&1 || { wrong "status: $(cat "$tmp/said")" || return 1; }
        staged=$(tr -d '\n' <"$tmp/said" | sed 's/.*"staged":\[//; s/\].*//' | tr ',' '\n' | grep -c '"path"') || true
        case $1-$count-$3 in
        add-1-no) [ "$staged" -eq 0 ] || [ "$staged" -eq 4 ] || wrong "$staged of 4 files are staged" || return 1 ;;
        add-* | commit-1-*) [ "$staged" -eq 4 ] || wrong "$staged of 4 files are staged" || return 1 ;;
        *) [ "$staged" -eq 0 ] || wrong "$staged files are staged" || return 1 ;;
        esac
        if [ "$1" = restore ]; then
                restored || return 1
        fi
}

# All old or all new; what it replaced is in the store: adding it again stores nothing.
restored() {
        if same_files "$expect/restored" .; then
                key=$(b3sum --no-names "$expect/5/large")
                kept=.oxen-lite/versions/files/$(printf %s "$key" | cut -c1-2)/$(printf %s "$key" | cut -c3-)/data
                cmp -s "$expect/5/large" "$kept" || wrong "what restore replaced is not in the store" || return 1
        else
                [ "$ended" = no ] || wrong "restore had ended: $(cat "$tmp/diff")" || return 1
                same_files "$expect/5" . || wrong "neither old nor restored: $(cat "$tmp/diff")" || return 1
        fi
}

# The number of commits before the step.
before_step() {
        case $1 in
        add | commit) base_acked=1 ;;
        commit-a) base_acked=2 ;;
        again) base_acked=3 ;;
        restore) base_acked=4 ;;
        esac
}

# check_shots: sets $checked and $lost
check_shots() {
        last=$(cat "$shots/last") i=0 checked=0 lost=0
        rm -f "$tmp"/why.*
        while [ "$i" -lt "$last" ]; do
                i=$((i + 1))
                read -r step smode call name now ended <"$shots/$i"
                before_step "$step"
                mount_copy "$shots/$i.img" || fail "$fs: the copy at $step $smode $call $name cannot be mounted"
                ok=yes
                sound "$step" "$now" "$ended" >"$tmp/why" || ok=no
                if [ "$ok" = yes ] && [ $((i % 5)) -eq 0 ]; then
                        "$OXEN_LITE" commit -a --allow-empty -m next >"$tmp/why" 2>&1 && "$OXEN_LITE" fsck >>"$tmp/why" 2>&1 || ok=no
                fi
                cd /
                umount "$c"
                rm -f "$shots/$i.img"
                checked=$((checked + 1))
                if [ "$ok" = no ]; then
                        lost=$((lost + 1))
                        head -n 1 "$tmp/why" >"$tmp/why.$lost"
                        [ -n "$control" ] || {
                                cat "$tmp/why" "$tmp/said" >&2
                                fail "$fs: power cut at $step, mode $smode, call $call ($name), $now commits acknowledged"
                        }
                fi
        done
}

# power_cut MODE [CONTROL]: the workload once from the base image, then all its copies
power_cut() {
        mode=$1 control=${2-} calls=0 acked=1
        cp --sparse=always "$disk/base" "$img"
        mount_live "$img" "$m"
        echo 0 >"$shots/last"
        : >"$shots/key"
        work
        umount "$m"
        check_shots
}

# --- controls ---------------------------------------------------------------------------------------------------

# cp and mv over a file, as scripts do it: says what a power cut right after that leaves.
shell_loses() {
        cp --sparse=always "$disk/base" "$img"
        mount_live "$img" "$m"
        head -c 16384 /dev/zero | tr '\0' A >"$m/old"
        sync -f "$m"
        head -c 16384 /dev/zero | tr '\0' B >"$disk/new"
        cp "$disk/new" "$m/new"
        mv "$m/new" "$m/old"
        cp "$disk/new" "$m/fresh"
        mode=names step=none acked=0
        echo 0 >"$shots/last"
        : >"$shots/key"
        : >"$disk/out"
        sh "$tmp/shoot" end end
        umount "$m"
        mount_copy "$shots/1.img"
        replaced=whole fresh=whole
        cmp -s "$disk/new" "$c/old" || replaced="$(stat -c %s "$c/old" 2>/dev/null || echo no) bytes"
        [ "$replaced" != "16384 bytes" ] || replaced=old
        cmp -s "$disk/new" "$c/fresh" || fresh="$(stat -c %s "$c/fresh" 2>/dev/null || echo no) bytes"
        umount "$c"
        rm -f "$shots/1.img"
}

# --- one file system --------------------------------------------------------------------------------------------

total=0 done_fs='' skipped_fs='' shell_lost=''
power_cuts() {
        begin=$(date +%s)
        make_base
        line=''
        for one in $modes; do
                power_cut "$one"
                [ "$checked" -gt 10 ] || fail "$fs: only $checked states in mode $one"
                line="$line $one $checked (of $calls calls),"
                total=$((total + checked))
        done
        power_cut plain "$BUILDDIR/tests/nosync"
        [ "$lost" -gt 0 ] || fail "$fs: syncs that do nothing were not noticed: the method sees nothing here"
        gone=$(cat "$tmp"/why.* | grep -c 'were acknowledged') || fail "$fs: without syncs no acknowledged commit was lost"
        shell_loses
        [ "$fresh" != whole ] || fail "$fs: a file that was never synced survived: the method sees nothing here"
        [ "$replaced" = whole ] || shell_lost="$shell_lost $fs"
        echo "release-realfs: $fs: crash states:$line all sound ($(($(date +%s) - begin)) s)"
        echo "  controls: without syncs $lost of $checked states are wrong, $gone of them lack an acknowledged commit"
        echo "            cp: new file has $fresh; mv over a file: $replaced"
}

available() {
        command -v "mkfs.$fs" >/dev/null || {
                why_not="no mkfs.$fs"
                return 1
        }
        make_image "$img"
        if ! mount -o loop "$img" "$m" 2>"$tmp/err"; then
                why_not=$(cat "$tmp/err")
                return 1
        fi
        umount "$m"
}

# --- a disk below the file system without room --------------------------------------------------------------------

# At its Nth call the disk below loses all the room that it has left. Not earlier with a rest: a loop device reports a request
# that it could write a part of as done, so that there fsync would succeed and lie.
cat >"$tmp/fill" <<'HOOK'
set -eu
[ "$1" -eq "$at" ] || exit 0
# ext4 may be writing: then there is more in it than df said, and the new size is refused.
tries=0
until mount -o "remount,size=$(df -k --output=used "$disk/host" | tail -n 1 | tr -dc 0-9)k" "$disk/host" 2>/dev/null; do
        tries=$((tries + 1))
        [ "$tries" -lt 100 ]
done
HOOK

# no_room N COMMAND...: on ext4 above a tmpfs that is full from the Nth call on
no_room() {
        at=$1
        shift
        export at
        mkdir -p "$disk/host"
        mount -t tmpfs -o size=200m tmpfs "$disk/host"
        cp --sparse=always "$disk/wide" "$disk/host/img"
        # What ext4 keeps about itself has its room.
        dd if="$disk/wide" of="$disk/host/img" bs=1M count=4 conv=notrunc status=none
        mount_live "$disk/host/img" "$m"
        : >"$tmp/how"
        "$killat" -e "$tmp/fill" "$OXEN_LITE" -C "$m/repo" "$@" >"$tmp/out" 2>"$tmp/err" 3>"$tmp/how" || true
        read -r ended first calls <"$tmp/how" || fail "no room from call $at on: $(cat "$tmp/err")"
        said_first=$(grep -F '[' "$tmp/err" | tail -n 1)
        case $ended-$first in
        ended-0) enough=$((enough + 1)) ;;
        ended-1)
                refused=$((refused + 1))
                out_lacks '[main '
                [ -n "$said_first" ] || fail "no room from call $at on: no typed error: $*"
                ;;
        *)
                show
                fail "no room from call $at on: $ended $first: $*"
                ;;
        esac
        after_no_room "$@"
}

# There is room again. What the cache holds is not believed: what is acknowledged now is on the disk, too.
after_no_room() {
        mount -o remount,size=200m "$disk/host"
        again=0
        "$OXEN_LITE" -C "$m/repo" commit -a --allow-empty -m again >"$tmp/again" 2>&1 || again=$?
        cp --sparse=always "$disk/host/img" "$img"
        umount "$m"
        umount "$disk/host"
        mount_copy "$img" || fail "no room from call $at on: ext4 itself is broken"
        cd "$c/repo"
        "$OXEN_LITE" recover >"$tmp/said" 2>&1 || fail "no room from call $at on, $*: recover: $(cat "$tmp/said")"
        "$OXEN_LITE" fsck >"$tmp/said" 2>&1 || fail "no room from call $at on, $*: fsck: $(cat "$tmp/said")"
        left=$(find . -name '*.oxl-*.tmp')
        [ -z "$left" ] || fail "no room from call $at on, $*: left: $left"
        ox log --json
        out_has '"message":"1"'
        if [ "$first" -eq 0 ] && [ "$1" = commit ]; then
                out_has '"message":"2"'
        fi
        if [ "$again" -eq 0 ]; then
                [ "$first" -eq 0 ] || resumed=$((resumed + 1))
                out_has '"message":"again"'
                rm -rf "$disk/copy"
                ox restore --to "$disk/copy"
                diff -r -x .oxen-lite . "$disk/copy" >"$tmp/diff" 2>&1 || fail "no room from call $at on, $*: $(cat "$tmp/diff")"
        fi
        ox commit -a --allow-empty -m last
        ox fsck
        cd /
        umount "$c"
        [ -z "$deep" ] || echo "  full at $at of $calls, $1: exit $first, again: $again; $said_first"
}

# The journal has its room, so that ext4 itself stays up while there is none for data.
fill_journal() {
        n=0
        while [ "$n" -lt 400 ]; do
                n=$((n + 1))
                echo "$n" >"$m/n"
                sync "$m/n"
        done
        rm "$m/n"
}

host_without_room() {
        fs=ext4 enough=0 refused=0 resumed=0 stride=7 begin=$(date +%s) control=''
        [ "$deep" != 1 ] || stride=1
        rm -f "$disk/wide"
        truncate -s 96m "$disk/wide"
        mkfs.ext4 -q -F -b 4096 -N 1024 -J size=4 "$disk/wide"
        mount_live "$disk/wide" "$m"
        fill_journal
        mkdir "$m/repo"
        ox -C "$m/repo" init
        edit 1
        ox -C "$m/repo" config pack_threshold 65536
        for i in 1 2 3 4 5 6 7 8; do head -c 60000 /dev/urandom >"$m/repo/many/$i"; done
        head -c 4m /dev/urandom >"$m/repo/large"
        ox -C "$m/repo" add -A
        ox -C "$m/repo" commit -m 1
        for i in 1 2 3 4 5 6 7 8; do head -c 60000 /dev/urandom >"$m/repo/many/$i"; done
        head -c 4m /dev/urandom >"$m/repo/large"
        sync -f "$m"
        fstrim "$m"
        umount "$m"
        fallocate --dig-holes "$disk/wide"
        for command in "add -A" "commit -a -m 2"; do
                n=1 calls=2
                while [ "$n" -le "$calls" ]; do
                        # shellcheck disable=SC2086 # words
                        no_room "$n" $command
                        n=$((n + stride))
                done
        done
        [ "$resumed" -gt 0 ] || fail "no room: ext4 never went on after a failed sync"
        [ "$refused" -gt 4 ] || fail "no room: only $refused runs met the end of the disk"
        echo "release-realfs: no room below ext4: $refused refused, $enough fitted, $resumed of them went on in the same mount" \
                "($(($(date +%s) - begin)) s)"
}

echo "release-realfs: OXL_SEED=$seed, mode names at every $every. call"
for fs in ${OXL_REALFS:-ext4 xfs btrfs}; do
        if available; then
                done_fs="$done_fs $fs"
                power_cuts
        else
                skipped_fs="$skipped_fs $fs"
                not_tried "power cuts on $fs" "$why_not"
        fi
done
case $done_fs in *xfs*) [ -n "$shell_lost" ] || fail "mv over a file lost nothing on$done_fs" ;; esac
case $done_fs in *ext4*) host_without_room ;; esac
echo "release-realfs: $total crash states on:${done_fs:- nothing}; not tried:${skipped_fs:- nothing}"
if [ -z "$done_fs" ]; then
        echo "skipped: none of these file systems can be made and mounted here"
        exit 77
fi
