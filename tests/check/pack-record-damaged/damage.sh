# SPDX-License-Identifier: MIT
# shellcheck shell=sh
forge flip blob:0/second
rm second
