# SPDX-License-Identifier: MIT
# shellcheck shell=sh
oxen_file cd/ef0123456789abcdef0123456789ab/data.oxentmp.a1B2c3 begun
