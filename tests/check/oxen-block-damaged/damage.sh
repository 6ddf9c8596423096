# SPDX-License-Identifier: MIT
# shellcheck shell=sh
block=$(find .oxen/versions/files/blocks -name data)
printf 'A block OXBK' >"$block"
