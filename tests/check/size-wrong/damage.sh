# SPDX-License-Identifier: MIT
# shellcheck shell=sh
forge wrong-size second
