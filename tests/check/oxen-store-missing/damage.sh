# SPDX-License-Identifier: MIT
# shellcheck shell=sh
mkdir .oxen/history
mv .oxen/versions ../not-mounted
