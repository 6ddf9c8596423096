# SPDX-License-Identifier: MIT
# shellcheck shell=sh
oxen_file A7/xyz/data 'what is this'
