# SPDX-License-Identifier: MIT
# oxl_warnings: the warnings of our own code, as an INTERFACE target so that nobody else inherits them.
add_library(oxl_warnings INTERFACE)
target_compile_options(oxl_warnings INTERFACE
        -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wcast-qual -Wformat=2 -Wundef -Wvla
        -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wwrite-strings
        -Wnull-dereference -Wswitch-enum -Wdate-time -fno-common)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
        target_compile_options(oxl_warnings INTERFACE -Wjump-misses-init -Wlogical-op -Wduplicated-cond)
        if(OXL_SANITIZE)
                # gcc's instrumentation makes this one guess wrong; the release build has it on.
                target_compile_options(oxl_warnings INTERFACE -Wno-maybe-uninitialized)
        endif()
endif()
if(OXL_WERROR)
        target_compile_options(oxl_warnings INTERFACE -Werror)
endif()
