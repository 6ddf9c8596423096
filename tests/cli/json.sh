#!/bin/sh
# SPDX-License-Identifier: MIT
# Every command gives exactly one document, as its schema says; also when it fails.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

json init --hash blake3
is "d['path'] == '$work'" "d['hash'] == 'blake3'" "len(d['id']) == 32"
json status
is "d['clean'] is True" "d['branch'] == 'main'" "d['commit'] is None" "d['staged'] == []"
json 1 log
is "d['error']['code'] == 'no-commits'" "d['commits'] == []"
printf 'abc' >a
printf '#!/bin/sh\n' >x
chmod +x x
ln -s a l
json add -A
is "d['staged'] == '3'" "d['bytes'] == '14'" "d['removed'] == d['healed'] == '0'"
json status
is "[(e['path'], e['change']) for e in d['staged']] == [('a', 'added'), ('l', 'added'), ('x', 'added')]" \
        "d['clean'] is False"
json commit -m "One" -m "Two"
is "d['branch'] == 'main'" "d['files'] == '3'" "d['first'] is True" "len(d['commit']) == 64"
json 5 commit -m again
is "d['error']['code'] == 'nothing-to-commit'" "d['error']['errno'] is None" "isinstance(d['error']['paths'], list)"
json log
is "len(d['commits']) == 1" "d['commits'][0]['message'] == 'One\n\nTwo'" "d['commits'][0]['parents'] == []" \
        "d['commits'][0]['author'] == 'Ada <ada@example.org>'"
json ls
is "[(e['path'], e['kind'], e['size']) for e in d['entries']] == [('a', 'file', '3'), ('l', 'symlink', '1'), ('x', 'executable', '10')]"
b3=$(b3sum --no-names a 2>/dev/null || true)
[ -z "$b3" ] || is "d['entries'][0]['id'] == '$b3'"
json cat HEAD:a
is "__import__('base64').b64decode(d['content']) == b'abc'" "d['path'] == 'a'"
: >empty
json add empty
is True
json show
is "d['commit']['message'] == 'One\n\nTwo'" "[c['status'] for c in d['changes']] == ['A', 'A', 'A']" \
        "d['changes'][0]['old'] is None"
json commit -m empty
is True
json cat HEAD:empty
is "d['content'] == ''"
printf changed >a
rm x
printf new >n
json status
is "[e['path'] for e in d['changed']] == ['a']" "[e['path'] for e in d['removed']] == ['x']" \
        "[e['path'] for e in d['untracked']] == ['n']" "d['unreadable'] == []" "d['clean'] is False"
json restore x
is "d['files'] == '1'" "d['to'] is None" "d['kept'] == '0'"
json 1 restore --source HEAD a
is "d['error']['code'] == 'path-modified'" "d['error']['paths'][0].endswith('a')"
json restore --to "$tmp/to" .
is "d['to'] == '$tmp/to'" "d['files'] == '4'"
json recover
is "d['recovered'] == []"
json sweep
is "d['temps'] == []" "d['dry_run'] is False" "d['bytes_before'] == d['bytes_after'] == '0'"
json config
is "'pack_threshold' in [s['key'] for s in d['settings']]"
json config user.name Ada
is "d['key'] == 'user.name'" "d['value'] == 'Ada'"
json config user.name
is "d['value'] == 'Ada'"
json config accept
is "d['accepted'] is True"
json 2 config no.such
is "d['error']['code'] == 'config-key-unknown'"
EDITOR=true json config --edit
is "d['edited'] is False"
json show --verify
is "d['good'] is True" "d['damaged'] == []" "d['commit']['message'] == 'empty'"
json copy "$tmp/copied"
is "d['created'] is True" "d['refs'] == '1'" "d['head'] == 'main'" "d['to'] == '$tmp/copied'"
json why a
is "d['object'] == 'path'" "{r['kind'] for r in d['reasons']} >= {'commits', 'ref', 'index', 'operation', 'pack'}"
memory=0 # a file system that lives there breaks a promise
[ "$(stat -f -c %T .)" != tmpfs ] || memory=1
json $memory doctor
is "len(d['promises']) == 13" "isinstance(d['all_hold'], bool)"
json health
is "d['findings'] == []" "d['days'] == 30" "int(d['never_files']) > 0"
json version
is "d['format'] == 1"
json help
is "[c['name'] for c in d['commands']] == sorted(c['name'] for c in d['commands'])" "len(d['commands']) > 14"
json help ls
is "len(d['commands']) == 1"
json fsck
is "d['result'] == 'clean'" "d['findings'] == []" "int(d['checked']['objects']) > 4"
json fsck --explain blob-missing
is "d['problem']['severity'] == 'loss'"
json 16 fsck --explain blob-mising
is "'blob-missing' in d['error']['message']"

# Failures before and beside the command.
json 2
is "d['schema'] == 'oxen-lite.error/1'" "d['error']['code'] == 'usage'"
json 2 nonsense
is "d['schema'] == 'oxen-lite.error/1'"
json 2 log --nonsense
is "d['schema'] == 'oxen-lite.log/1'"
run 2 "$OXEN_LITE" --nonsense --json
is "d['error']['code'] == 'usage'"
json 2 commit
is "d['error']['code'] == 'usage'" "'-m' in d['error']['message']"
json 1 ls HEAD nothing-here
is "d['error']['code'] == 'path-not-found'" "d['entries'] == []"
json 1 cat nosuch:a
is "d['error']['code'] in ('revision-unknown', 'ref-not-found')"
json 1 add nothing-here
is "d['error']['code'] == 'path-not-found'"
json 1 -C "$tmp" status
is "d['error']['code'] == 'repository-not-found'"
json 1 -C "$tmp/none" status
is "d['error']['errno'] == 'ENOENT'"

# A name that is not UTF-8, in rows, in errors, as a file to write to.
bad=$(printf 'n\377')
printf 1 >"$bad"
json add "$bad"
is True
json commit -m bad
is True
json ls
is "[(e['path'], e['path_bytes']) for e in d['entries'] if 'path_bytes' in e] == [('n\ufffd', 'bv8=')]"
json show
is "d['changes'][0]['path_bytes'] == 'bv8='"
printf 2 >"$bad"
json status
is "d['changed'][-1]['path_bytes'] == 'bv8='"
json 1 add "$bad$bad"
is "any('bytes' in p for p in d['error']['paths'] if isinstance(p, dict))"
json restore --to "$tmp/to$bad" a
is "d['to_bytes'].endswith('=') or len(d['to_bytes']) > 8"
