#!/bin/sh
# SPDX-License-Identifier: MIT
# doctor: every promise has an answer, memory keeps none of a power cut, nothing is left, a folder that takes nothing is an error.
# shellcheck source=tests/cli/_lib.sh
. "$SRCDIR/tests/cli/_lib.sh"

expect=0
[ "$(stat -f -c %T .)" != tmpfs ] || expect=1
json $expect doctor
is "sorted(p['number'] for p in d['promises']) == list(range(13))" "len(d['probes']) > 15" \
        "{p['name']: p['state'] for p in d['probes']}['rename'] == 'good'" \
        "{p['name']: p['state'] for p in d['probes']}['locks'] == 'good'" "int(d['total_bytes']) >= int(d['free_bytes']) > 0"
same "$(find . -mindepth 1)" "" "what is left behind"
ox $expect doctor .
out_has "Promises here:"
out_has "holds: a file is replaced whole"
ox $expect --quiet doctor
out_lacks "rename  "

if [ "$(stat -f -c %T /dev/shm 2>/dev/null)" = tmpfs ] && [ -w /dev/shm ]; then
        json 1 doctor /dev/shm
        is "d['all_hold'] is False" "[p['state'] for p in d['promises'] if p['number'] == 2] == ['bad']" "d['file_system'] == 'tmpfs'"
        ox 1 doctor /dev/shm
        out_has "does not hold: what was acknowledged survives a power cut"
        out_has "because this file system lives in memory"
else
        not_tried "doctor of a tmpfs" "/dev/shm is none, or not writable"
fi
json 1 doctor nothing-here
is "d['error']['code'] == 'dir-open'" "d['probes'] == []"
json 1 doctor /proc/self
is "d['error']['code'] == 'doctor-probe'"
json 2 doctor a b
is "d['error']['code'] == 'usage'"
