# SPDX-License-Identifier: MIT
# shellcheck shell=sh
forge flip tree:0/folder
