# SPDX-License-Identifier: MIT
# shellcheck shell=sh
blob=$(find .oxen-lite/versions/files -name data | sort | head -n 1)
forge byte "$blob" 100
