/* SPDX-License-Identifier: MIT */
/* A journal.db in memory or in a file, filled with rows that its own code would never write. */
#ifndef OXL_TESTS_FUZZ_JOURNAL_ROWS_H
#define OXL_TESTS_FUZZ_JOURNAL_ROWS_H

#include <sqlite3.h>

#include "fuzz/fuzz.h"

/*
 * Rows, one after another: u8 table, then a value for each of its columns in the order of the schema. A value: u8 type, then
 *
 *      0 null      1 integer: le64      2 text      3 blob: both le16 length, bytes      4 real: le64 as a fraction
 *      5 (chain of event only) what the chain must be here
 *
 * What is cut short ends the list.
 */
enum { ROWS_EVENT, ROWS_OPERATION, ROWS_LEDGER, ROWS_FINDING, ROWS_META, ROWS_TABLES };
enum { ROWS_NULL, ROWS_INTEGER, ROWS_TEXT, ROWS_BLOB, ROWS_REAL, ROWS_CHAIN, ROWS_TYPES };

/* The tables without types, keys and checks, so that any row fits. */
extern const char rows_loose_schema[];

/* Inserts all rows; those that the schema of @db refuses are left out. */
void rows_insert(sqlite3 *db, const uint8_t *data, size_t n);

/* Appends to a list of rows. */
void rows_table(struct oxl_buf *b, uint8_t table);
void rows_null(struct oxl_buf *b);
void rows_integer(struct oxl_buf *b, int64_t v);
void rows_text(struct oxl_buf *b, const char *text);
void rows_chain(struct oxl_buf *b);
/* A whole, valid event; its time is its number. */
void rows_event(struct oxl_buf *b, int64_t seq, int64_t intent, const char *verb, const char *state, const char *body);

#endif
