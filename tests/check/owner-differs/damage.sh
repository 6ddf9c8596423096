# SPDX-License-Identifier: MIT
# shellcheck shell=sh
chown 65534 .oxen-lite/refs/heads/other
