# SPDX-License-Identifier: MIT
# shellcheck shell=sh
head -c 5000 /dev/zero | tr '\0' x >big
"$OXEN_LITE" --quiet add big
rm big
find .oxen-lite/versions/files -name data -size 5000c -exec rm {} +
