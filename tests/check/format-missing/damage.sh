# SPDX-License-Identifier: MIT
# shellcheck shell=sh
rm .oxen-lite/format
