# SPDX-License-Identifier: MIT
# shellcheck shell=sh
rmdir .oxen-lite/versions/tmp
