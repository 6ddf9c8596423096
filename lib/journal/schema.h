/* SPDX-License-Identifier: MIT */
/* The migrations of journal.db, embedded by the build from schema/journal/<number>-<name>.sql: numbered from 1
 * without gaps, applied in order, never edited once released. */
#ifndef OXL_JOURNAL_SCHEMA_H
#define OXL_JOURNAL_SCHEMA_H

#include <stddef.h>

struct oxl_journal_migration {
        int version;      /* the user_version that the database has afterwards */
        const char *name; /* from the file name */
        const char *sql;  /* NUL-ended */
        size_t len;       /* bytes of @sql without the NUL */
};

/* Sorted by version; a row of zeros follows the last. */
extern const struct oxl_journal_migration oxl_journal_migrations[];
extern const size_t oxl_journal_migrations_count;

#endif
