# SPDX-License-Identifier: MIT
# cmake -DSQL=<files> -DOUT=<file.c> -P embed_sql.cmake
# Byte arrays, not string literals: no limit on their length and nothing to escape.
cmake_minimum_required(VERSION 3.25)

set(arrays "")
set(rows "")
set(count 0)
list(SORT SQL COMPARE NATURAL)
foreach(file IN LISTS SQL)
        get_filename_component(stem ${file} NAME_WE)
        if(NOT stem MATCHES "^0*([1-9][0-9]*)[-_](.+)$")
                message(FATAL_ERROR "${file}: a migration is called <number>-<name>.sql")
        endif()
        set(version ${CMAKE_MATCH_1})
        set(name ${CMAKE_MATCH_2})
        math(EXPR count "${count} + 1")
        if(NOT version EQUAL count)
                message(FATAL_ERROR "${file}: migration ${count} expected here; numbers have no gaps and no doubles")
        endif()
        file(READ ${file} hex HEX)
        string(LENGTH "${hex}" digits)
        math(EXPR len "${digits} / 2")
        string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
        string(APPEND arrays "static const unsigned char sql_${version}[] = {\n${bytes}0x00\n};\n")
        string(APPEND rows "        { ${version}, \"${name}\", (const char *)sql_${version}, ${len} },\n")
endforeach()

file(WRITE ${OUT}.new "/* Generated from schema/journal/ by cmake/embed_sql.cmake. */
#include \"journal/schema.h\"

${arrays}
const struct oxl_journal_migration oxl_journal_migrations[] = {
${rows}        { 0, 0, 0, 0 },
};
const size_t oxl_journal_migrations_count = ${count};
")
file(RENAME ${OUT}.new ${OUT})
