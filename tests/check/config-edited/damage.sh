# SPDX-License-Identifier: MIT
# shellcheck shell=sh
sed 's/1000/1001/' .oxen-lite/config.json >../edited
cat ../edited >.oxen-lite/config.json
rm ../edited
