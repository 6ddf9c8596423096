# SPDX-License-Identifier: MIT
# cmake -DPROGRAM=<oxen-lite> -DOUT=<file> -P help_json.cmake
# @OUT changes only when the answer does, so that nothing behind it is built again for nothing.
cmake_minimum_required(VERSION 3.25)

execute_process(COMMAND ${PROGRAM} --json help OUTPUT_FILE ${OUT}.new COMMAND_ERROR_IS_FATAL ANY)
file(COPY_FILE ${OUT}.new ${OUT} ONLY_IF_DIFFERENT)
