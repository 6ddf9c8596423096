# SPDX-License-Identifier: MIT
# shellcheck shell=sh
forge byte .oxen-lite/refs/heads/main 7
