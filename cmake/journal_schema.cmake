# SPDX-License-Identifier: MIT
# Turns schema/journal/<number>-<name>.sql into journal_schema.c (see lib/journal/schema.h); sets OXL_JOURNAL_SCHEMA_C.
file(GLOB journal_sql CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/schema/journal/*.sql)
set(OXL_JOURNAL_SCHEMA_C ${PROJECT_BINARY_DIR}/generated/journal_schema.c)
add_custom_command(
        OUTPUT ${OXL_JOURNAL_SCHEMA_C}
        COMMAND ${CMAKE_COMMAND} "-DSQL=${journal_sql}" -DOUT=${OXL_JOURNAL_SCHEMA_C}
                -P ${PROJECT_SOURCE_DIR}/cmake/embed_sql.cmake
        DEPENDS ${journal_sql} ${PROJECT_SOURCE_DIR}/cmake/embed_sql.cmake
        COMMENT "Embedding schema/journal"
        VERBATIM)
