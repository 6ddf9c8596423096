# SPDX-License-Identifier: MIT
# shellcheck shell=sh
head -c 4000 /dev/zero | tr '\0' k >folder/large
"$OXEN_LITE" --quiet restore --force folder/large
rm -rf ../kept
cp -a . ../kept
find .oxen-lite/versions/files -name data -size 4000c -exec rm {} +
