# SPDX-License-Identifier: MIT
#
# oxl_blake3: the official C implementation of BLAKE3 with SIMD chosen at run time. From the distribution: libblake3
# where it has one, else built from the C sources inside Debian's librust-blake3-dev. Nothing is copied into our tree.
set(OXL_BLAKE3_DIR "" CACHE PATH "Folder with blake3.c and blake3.h of the official C implementation")

if(NOT OXL_BLAKE3_DIR)
        pkg_check_modules(BLAKE3 QUIET IMPORTED_TARGET libblake3)
endif()
if(BLAKE3_FOUND)
        message(STATUS "BLAKE3: libblake3 ${BLAKE3_VERSION}")
        add_library(oxl_blake3 INTERFACE)
        target_link_libraries(oxl_blake3 INTERFACE PkgConfig::BLAKE3)
        set(OXL_BLAKE3_PC libblake3)
        return()
endif()
set(OXL_BLAKE3_PC "")

file(GLOB candidates
        /usr/share/cargo/registry/blake3-*/c
        ${PROJECT_SOURCE_DIR}/build/deps/blake3/usr/share/cargo/registry/blake3-*/c)
foreach(dir IN LISTS OXL_BLAKE3_DIR candidates)
        if(EXISTS ${dir}/blake3.c AND EXISTS ${dir}/blake3_dispatch.c)
                set(blake3_dir ${dir})
                break()
        endif()
endforeach()
if(NOT blake3_dir)
        message(FATAL_ERROR "BLAKE3 not found: no libblake3 (pkg-config), and no C sources in OXL_BLAKE3_DIR, "
                "/usr/share/cargo/registry or build/deps. To fetch them: run ./run deps")
endif()

set(blake3_sources blake3.c blake3_dispatch.c blake3_portable.c)
set(blake3_definitions "")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$" AND CMAKE_SIZEOF_VOID_P EQUAL 8)
        enable_language(ASM)
        foreach(simd sse2 sse41 avx2 avx512)
                # Portable C alone is several times slower than the disk: not acceptable here.
                if(NOT EXISTS ${blake3_dir}/blake3_${simd}_x86-64_unix.S)
                        message(FATAL_ERROR "BLAKE3: ${blake3_dir} lacks the ${simd} code: run ./run deps")
                endif()
                list(APPEND blake3_sources blake3_${simd}_x86-64_unix.S)
        endforeach()
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
        list(APPEND blake3_sources blake3_neon.c)
        set(blake3_definitions BLAKE3_USE_NEON=1)
else()
        set(blake3_definitions BLAKE3_NO_SSE2 BLAKE3_NO_SSE41 BLAKE3_NO_AVX2 BLAKE3_NO_AVX512)
endif()
list(TRANSFORM blake3_sources PREPEND ${blake3_dir}/)
message(STATUS "BLAKE3: C sources in ${blake3_dir}")

add_library(oxl_blake3 OBJECT ${blake3_sources})
target_include_directories(oxl_blake3 SYSTEM INTERFACE ${blake3_dir})
target_compile_definitions(oxl_blake3 PRIVATE ${blake3_definitions})
# Foreign code: our warnings do not apply, and the speed of a debug build should not hang on it.
target_compile_options(oxl_blake3 PRIVATE $<$<COMPILE_LANGUAGE:C>:-w> -O3 -fno-sanitize=all)
