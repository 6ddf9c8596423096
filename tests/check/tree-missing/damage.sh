# SPDX-License-Identifier: MIT
# shellcheck shell=sh
forge drop tree:0/folder
