# SPDX-License-Identifier: MIT
# shellcheck shell=sh
echo 'what is this' >.oxen-lite/versions/packs/stray
