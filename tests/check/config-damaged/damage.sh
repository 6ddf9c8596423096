# SPDX-License-Identifier: MIT
# shellcheck shell=sh
forge byte .oxen-lite/config.json 0
