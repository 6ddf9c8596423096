# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# Runs folders of tests/check: each holds one row of the problem table, as `damage.sh` (makes it, in a prepared repository) and
# `expect`, lines of these words:
#
#   finds: STATUS                exit of the check: 4; 8 could not read; 0 a note
#   path: PATTERN                where, as case knows it
#   automatic: yes|no            as the table says
#   verdict: WORD                media, transient ...
#   affects: PATTERN             somebody is told that this is affected
#   without: STATUS              what `fsck --repair` gives when there is no good copy (tried on a copy of the repository)
#   works: ARGUMENT...           a command that succeeds all the same, before and after that
#   heal: STATUS ARGUMENT...     the row's remedy, as oxen-lite's arguments
#   heal: do COMMAND...          a remedy that is not ours
#   differs: WORD...             what is not as it was before, by its nature: config, staged, history, operations
#   test: NAME FUNCTION          the state takes an injected fault: this test makes it, in place of damage.sh
#   needs: root                  left to problems-root.sh
# After the last `heal` fsck is clean and the repository is what it was. tests/lint/tables.py compares folders and table.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

FORGE=$SRCDIR/tests/check/forge.py
KILLAT=$BUILDDIR/tests/killat
XDG_STATE_HOME=$tmp/state
export FORGE KILLAT BUILDDIR XDG_STATE_HOME

check=fsck   # the command that checks
describe=describe_native

forge() {
        python3 -IS "$FORGE" "$@"
}

# words FOLDER WORD: the rest of each line that begins with `WORD: `
words() {
        sed -n "s/^$2: //p" "$1/expect"
}

# describe_native: what users see of the repository in this folder
describe_native() {
        {
                for ref in main other v1; do
                        echo "== $ref"
                        "$OXEN_LITE" log "$ref"
                        "$OXEN_LITE" ls -r "$ref"
                done
                echo "== staged"
                "$OXEN_LITE" status
                echo "== config"
                "$OXEN_LITE" config
                echo "== files"
                "$OXEN_LITE" restore --source main --to "$tmp/out-of"
                (cd "$tmp/out-of" && find . -type f -exec sha256sum {} + | sort)
                echo "== end"
        } 2>&1 | grep -v -e "$tmp/out-of"
        rm -rf "$tmp/out-of"
}

# without_sections SECTION...: leaves sections of a description out
without_sections() {
        awk -v out="$*" 'BEGIN { n = split(out, names, " ") }
                /^== / { show = 1; for (i = 1; i <= n; i++) if ($2 == names[i]) show = 0 }
                show'
}

# one_finding STATUS FOLDER SLUG: fsck finds the row, and says what is expected
one_finding() {
        # shellcheck disable=SC2086 # words
        json "$1" $check
        python3 -IS - "$tmp/out" "$2/expect" "$3" <<'END' || fail "$3: the finding is not what $2/expect says"
import fnmatch, json, sys
d = json.load(open(sys.argv[1]))
want = {}
for line in open(sys.argv[2]):
    word, _, rest = line.strip().partition(": ")
    want.setdefault(word, []).append(rest)
found = [f for f in d["findings"] if f["slug"] == sys.argv[3]]
assert found, [f["slug"] for f in d["findings"]]
for f in found:
    assert f["repairable"] == (want["automatic"] == ["yes"]), f
for path in want.get("path", []):
    assert any(fnmatch.fnmatch(f["path"], path) for f in found), (path, found)
for verdict in want.get("verdict", []):
    assert {f["verdict"] for f in found} == {verdict}, found
told = [a for f in d["findings"] for a in f["affects"]]
for text in want.get("affects", []):
    assert any(fnmatch.fnmatch(a, text) for a in told), (text, told)
END
}

# heal FOLDER
heal() {
        words "$1" heal >"$tmp/heals"
        while read -r status command; do
                if [ "$status" = "do" ]; then
                        sh -euc "$command" || fail "failed: $command"
                else
                        # shellcheck disable=SC2086 # words
                        ox "$status" $command
                fi
        done <"$tmp/heals"
}

# damaged FOLDER SLUG: the repository is damaged, and good content outlives it
damaged() {
        words "$1" works >"$tmp/works"
        while read -r command; do
                # shellcheck disable=SC2086 # words
                ox $command
        done <"$tmp/works"
        stuck=$(words "$1" without)
        [ -n "$stuck" ] || return 0
        rm -rf "$tmp/work/stuck"
        cp -a "$tmp/work/row" "$tmp/work/stuck"
        cd "$tmp/work/stuck"
        # shellcheck disable=SC2086 # words
        ox "$stuck" $check --repair
        while read -r command; do
                # shellcheck disable=SC2086 # words
                ox $command
        done <"$tmp/works"
        one_finding "$stuck" "$1" "$2"
        cd "$tmp/work/row"
        rm -rf "$tmp/work/stuck"
}

read_independently() {
        [ -d .oxen-lite ] || return 0
        python3 -IS "$SRCDIR/tests/check/read_repository.py" . >"$tmp/read" || {
                cat "$tmp/read" >&2
                fail "$here: the independent reader disagrees"
        }
}

# contents: of every file but SQLite's index of the -wal, and 8 MiB of nothing
contents() {
        find . -type f ! -name '*-shm' ! -name reserve -exec sha256sum {} + | sort
}

ran=0
# ran_all PATTERN [OTHERS]: with OTHERS rows that other scripts run, this one has run all rows of the table whose slugs match
ran_all() {
        table=$(sed -n 's/^OXL_PROBLEM([^"]*"\([^"]*\)".*/\1/p' "$SRCDIR/lib/include/oxenlite/problems.def" | grep -c "$1")
        same "$((ran + ${2-0}))" "$table" "number of rows that were run"
        echo "$ran rows, all healed"
}

# problem SLUG: the whole life of a row
problem() {
        ran=$((ran + 1))
        folder=$SRCDIR/tests/check/$1 here=$1
        ox fsck --explain "$here"
        out_has "$here"
        [ -z "$(words "$folder" test)" ] || return 0
        rm -rf "$tmp/work/row"
        cp -a "$tmp/work/good" "$tmp/work/row"
        cd "$tmp/work/row"
        # shellcheck source=/dev/null
        (. "$folder/damage.sh") || fail "$here: the damage was not done"
        one_finding "$(words "$folder" finds)" "$folder" "$here"
        contents >"$tmp/before"
        # shellcheck disable=SC2086 # words
        ox "$(words "$folder" finds)" $check
        out_has "[$here]"
        contents | diff "$tmp/before" - >&2 || fail "$here: the check changed something"
        damaged "$folder" "$here"
        heal "$folder"
        # shellcheck disable=SC2086 # words
        ox $check
        out_has clean
        out_lacks "$here"
        differs=$(words "$folder" differs)
        # shellcheck disable=SC2086 # words
        $describe | without_sections $differs >"$tmp/now"
        # shellcheck disable=SC2086 # words
        without_sections $differs <"$tmp/was" | diff - "$tmp/now" >&2 || fail "$here: what is there now is not what was there"
        read_independently
        cd "$tmp/work"
}

# prepare: $tmp/work/good, with every kind of file, and what it looks like in $tmp/was
prepare() {
        mkdir "$tmp/work/good"
        cd "$tmp/work/good"
        ox init --quiet .
        ox config pack_threshold 1000
        ox config user.name Ada
        mkdir folder
        head -c 3000 /dev/zero | tr '\0' a >folder/large
        echo 'in a folder' >folder/small
        echo one >first
        ox add -A .
        ox commit -m one
        forge ref refs/heads/other "$(forge id commit:0)"
        forge ref refs/tags/v1 "$(forge id commit:0)"
        echo two >second
        head -c 2000 /dev/zero | tr '\0' b >large
        ox add second large
        ox commit -m two
        echo three >third
        ox add third
        ox commit -m three
        echo 'not committed yet' >staged
        ox add staged
        ox fsck --record
        $describe >"$tmp/was"
        cd "$tmp/work"
}

# describe_oxen: what the store in this folder holds
describe_oxen() {
        echo "== files"
        find . -type f -exec sha256sum {} + | sort
}

# prepare_oxen: as prepare, an Oxen repository with the vectors of tests/check/oxen.sh and a block
prepare_oxen() {
        check="fsck --oxen ." describe=describe_oxen
        mkdir -p "$tmp/work/good/.oxen/refs"
        cd "$tmp/work/good"
        printf main >.oxen/HEAD
        printf 'min_version = "0.36.0"\n' >.oxen/config.toml
        printf 'MANIFEST-000004\n' >.oxen/refs/CURRENT
        oxen_file a7/666c8f5aaf946ca629d9d20c29aa6a/data 'Hello\n'
        oxen_file 18/066113d946cfa640ffc8773c83f61b/data 'World\n'
        oxen_file df/8d09e93f874900a99b8775cc15b6c7/data.txt 'hello world'
        oxen_file 15/77598f7d7589481ced4b6fab7dc4e/data 'oxen-lite 1'
        oxen_file 99/aa06d3014798d86001c324468d497f/data ''
        block=$(printf 'a block OXBK' | xxhsum -H2 | cut -d ' ' -f 1)
        oxen_file "blocks/$(printf %.2s "$block")/${block#??}/data" 'a block OXBK'
        ox fsck --oxen .
        $describe >"$tmp/was"
        cd "$tmp/work"
}

# oxen_file PATH TEXT: in the version store
oxen_file() {
        mkdir -p ".oxen/versions/files/${1%/*}"
        printf '%b' "$2" >".oxen/versions/files/$1"
}

root_rows() {
        grep -lx 'needs: root' "$SRCDIR"/tests/check/*/expect | wc -l
}

# rows PART PARTS: those of this script, in order of names; Oxen's have their own
rows() {
        find "$SRCDIR/tests/check" -mindepth 2 -maxdepth 2 -name expect | sort | grep -v '/oxen-' >"$tmp/all"
        at=0
        while read -r expect; do
                at=$((at + 1))
                [ "$(words "${expect%/expect}" needs)" != root ] || continue
                [ $((at % $2)) -ne "$1" ] || basename "${expect%/expect}"
        done <"$tmp/all"
}
