/* SPDX-License-Identifier: MIT */
/*
 * SQLite alone on the model disk: which modes keep an acknowledged transaction. WAL + FULL and TRUNCATE + FULL, which our
 * journal uses, lose nothing in any state. DELETE + FULL (SQLite's default) and WAL + NORMAL must be seen losing: a disk on which
 * they lose nothing proves nothing about the others.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/cleanup.h"
#include "crash/modelfs.h"
#include "crash/modelvfs.h"

enum { TRANSACTIONS = 4 };

struct mode {
        const char *name, *journal, *sync;
};

static sqlite3 *open_database(const struct mode *m)
{
        sqlite3 *db = NULL;
        char sql[96];
        snprintf(sql, sizeof sql, "PRAGMA journal_mode=%s; PRAGMA synchronous=%s", m->journal, m->sync);
        if (sqlite3_open_v2("/db", &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) != SQLITE_OK ||
            sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL) != SQLITE_OK ||
            sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
                sqlite3_close(db);
                return NULL;
        }
        return db;
}

/* The first column of the first row; -1. */
static int query(sqlite3 *db, const char *sql)
{
        sqlite3_stmt *s = NULL;
        int value = -1;
        if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
                value = sqlite3_column_int(s, 0);
        sqlite3_finalize(s);
        return value;
}

static const char *oracle(void *ctx, unsigned acked)
{
        sqlite3 *db = open_database(ctx);
        if (!db)
                return "O1: it does not open";
        int sound = query(db, "SELECT integrity_check = 'ok' FROM pragma_integrity_check(1)");
        int rows = query(db, "SELECT count(*) FROM t"), last = query(db, "SELECT coalesce(max(x), 0) FROM t");
        sqlite3_close(db);
        if (sound != 1 || rows < 0 || rows != last)
                return "O1: it is damaged";
        return (unsigned)rows < acked ? "O2: acknowledged and lost" : NULL;
}

static const char *first_loss(const struct mode *m, enum modelfs_profile profile, uint64_t *ret_states)
{
        struct modelfs *fs = modelfs_new(profile);
        modelfs_mount(fs);
        sqlite3 *db = open_database(m);
        assert_non_null(db);
        assert_int_equal(sqlite3_exec(db, "CREATE TABLE t (x INTEGER PRIMARY KEY, y)", NULL, NULL, NULL), SQLITE_OK);
        modelfs_checkpoint(fs);
        struct mode copy = *m;
        modelfs_watch(fs, oracle, &copy);
        for (int i = 1; i <= TRANSACTIONS; i++) {
                char sql[96];
                snprintf(sql, sizeof sql, "INSERT INTO t VALUES (%d, zeroblob(3000))", i);
                assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
                modelfs_ack(fs);
        }
        modelfs_unwatch(fs);
        sqlite3_close(db);
        const char *first = modelfs_first_violation(fs);
        *ret_states = modelfs_states(fs);
        print_message("%-9s %-7s %6llu states, %llu violations%s%s\n", m->journal, m->sync,
                      (unsigned long long)*ret_states, (unsigned long long)modelfs_violations(fs), first ? ": " : "",
                      first ? first : "");
        modelfs_free(fs);
        return first;
}

static void loses_nothing(const char *journal)
{
        static const enum modelfs_profile profiles[] = { MODELFS_P0, MODELFS_P2, MODELFS_P5 };
        const struct mode m = { "sound", journal, "FULL" };
        for (size_t i = 0; i < OXL_ARRAY_LEN(profiles); i++) {
                uint64_t states;
                assert_null(first_loss(&m, profiles[i], &states));
                assert_true(states > 10);
        }
}

static void is_seen_losing(const char *journal, const char *sync)
{
        const struct mode m = { "broken", journal, sync };
        uint64_t states;
        const char *seen = first_loss(&m, MODELFS_P0, &states);
        assert_non_null(seen);
        assert_memory_equal(seen, "O2", 2);
}

static void wal_with_full_loses_nothing(void **state)
{
        loses_nothing("WAL");
}

static void truncate_with_full_loses_nothing(void **state)
{
        loses_nothing("TRUNCATE");
}

static void delete_with_full_is_seen_losing(void **state)
{
        is_seen_losing("DELETE", "FULL");
}

static void wal_with_normal_is_seen_losing(void **state)
{
        is_seen_losing("WAL", "NORMAL");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(wal_with_full_loses_nothing),
                cmocka_unit_test(truncate_with_full_loses_nothing),
                cmocka_unit_test(delete_with_full_is_seen_losing),
                cmocka_unit_test(wal_with_normal_is_seen_losing),
        };
        modelvfs_register();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
