# SPDX-License-Identifier: MIT
# shellcheck shell=sh
forge byte "$(find .oxen-lite/versions/packs -name '*.pack' | sort | head -n 1)" -5
