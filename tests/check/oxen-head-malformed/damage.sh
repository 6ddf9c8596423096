# SPDX-License-Identifier: MIT
# shellcheck shell=sh
printf 'main\n' >.oxen/HEAD
