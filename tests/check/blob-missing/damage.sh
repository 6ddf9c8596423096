# SPDX-License-Identifier: MIT
# shellcheck shell=sh
find .oxen-lite/versions/files -name data -size 3000c -exec rm {} +
rm folder/large
