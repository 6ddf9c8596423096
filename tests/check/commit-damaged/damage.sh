# SPDX-License-Identifier: MIT
# shellcheck shell=sh
forge flip commit:1
