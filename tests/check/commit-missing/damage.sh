# SPDX-License-Identifier: MIT
# shellcheck shell=sh
forge drop commit:1
