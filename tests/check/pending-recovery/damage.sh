# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# A commit that is killed after its intent was recorded, and before its outcome was: counted on a copy, then killed ever earlier.
try() {
        rm -rf ../try
        cp -a . ../try
        (cd ../try && "$KILLAT" "$1" "$OXEN_LITE" commit -m four >/dev/null 2>&1 3>../how) || true
}
try 0
at=$(cut -d ' ' -f 3 ../how)
until "$OXEN_LITE" -C ../try --json fsck | grep -q pending-recovery; do
        [ "$at" -gt 0 ]
        try "$at"
        at=$((at - 1))
done
rm -rf .oxen-lite
mv ../try/.oxen-lite .oxen-lite
rm -r ../try ../how
