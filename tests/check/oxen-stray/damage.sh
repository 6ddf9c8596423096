# SPDX-License-Identifier: MIT
# shellcheck shell=sh
echo >.oxen/versions/files/stray 'what is this'
