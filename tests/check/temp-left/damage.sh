# SPDX-License-Identifier: MIT
# shellcheck shell=sh
echo left >.oxen-lite/versions/tmp/0.oxl-0123456789abcdef-0123456789abcdef.tmp
