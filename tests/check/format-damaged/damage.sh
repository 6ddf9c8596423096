# SPDX-License-Identifier: MIT
# shellcheck shell=sh
forge byte .oxen-lite/format 30
