# SPDX-License-Identifier: MIT
# shellcheck shell=sh
echo nothing >.oxen-lite/versions/packs/lookup
