# SPDX-License-Identifier: MIT
# shellcheck shell=sh
rm .oxen/versions/files/a7/666c8f5aaf946ca629d9d20c29aa6a/data
