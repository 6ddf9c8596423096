# SPDX-License-Identifier: MIT
# shellcheck shell=sh
head -c 4000 /dev/zero | tr '\0' u >replaced
"$OXEN_LITE" --quiet add replaced
rm -rf ../staged-once
cp -a . ../staged-once
echo 'staged instead' >replaced
"$OXEN_LITE" --quiet add replaced
"$OXEN_LITE" --quiet rm --cached replaced
rm replaced
find .oxen-lite/versions/files -name data -size 4000c -exec rm {} +
