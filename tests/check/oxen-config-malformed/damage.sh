# SPDX-License-Identifier: MIT
# shellcheck shell=sh
printf 'min_version = ' >.oxen/config.toml
