/* SPDX-License-Identifier: MIT */
/* Which SQLite this is. */
#include <sqlite3.h>

#include "journal/journal.h"

enum { WAL_RESET_FIXED = 3051003 }; /* 3.51.3 */

const char *oxl_journal_sqlite(bool *ret_safe)
{
        *ret_safe = sqlite3_libversion_number() >= WAL_RESET_FIXED;
        return sqlite3_libversion();
}
