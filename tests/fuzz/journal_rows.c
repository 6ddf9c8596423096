/* SPDX-License-Identifier: MIT */
/* See journal_rows.h. */
#include <stdio.h>

#include "fuzz/journal_rows.h"

enum { COLUMNS_MAX = 9 };

const char rows_loose_schema[] =
        "CREATE TABLE meta (key, value);"
        "CREATE TABLE event (seq, kind, intent, owner, verb, state, time, body, chain);"
        "CREATE INDEX event_intent ON event (intent, seq);"
        "CREATE TABLE operation (id, intent, verb, time, ref, old, new, note);"
        "CREATE TABLE ledger (path, size, verified, method, verdict);"
        "CREATE TABLE finding (id, slug, path, first, last, detail);";

static const struct {
        int columns;
        const char *sql;
} tables[ROWS_TABLES] = {
        [ROWS_EVENT] = { 9, "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)" },
        [ROWS_OPERATION] = { 8, "INSERT INTO operation VALUES (?, ?, ?, ?, ?, ?, ?, ?)" },
        [ROWS_LEDGER] = { 5, "INSERT INTO ledger VALUES (?, ?, ?, ?, ?)" },
        [ROWS_FINDING] = { 6, "INSERT INTO finding VALUES (?, ?, ?, ?, ?, ?)" },
        [ROWS_META] = { 2, "INSERT INTO meta VALUES (?, ?)" },
};

struct value {
        uint8_t type;
        int64_t integer;
        struct oxl_bytes bytes; /* of texts and blobs */
};

/* --- the chain, a second time: docs/FORMAT.md section 7 ---------------------------------------------------------- */

static void hash_text(struct oxl_hasher *h, const struct value *v)
{
        oxl_hasher_le32(h, (uint32_t)v->bytes.len);
        oxl_hasher_update(h, v->bytes.data, v->bytes.len);
}

static void chain(const struct value *row, uint8_t at[OXL_DIGEST_BYTES])
{
        static const int numbers[] = { 0, 2, 6 }, texts[] = { 1, 3, 4, 5, 7 };
        struct oxl_hasher h;
        struct oxl_digest d;
        oxl_hasher_init_derive(&h, OXL_CONTEXT_JOURNAL_CHAIN);
        oxl_hasher_update(&h, fuzz_repo.bytes, OXL_REPO_ID_BYTES);
        oxl_hasher_update(&h, at, OXL_DIGEST_BYTES);
        for (size_t i = 0; i < OXL_ARRAY_LEN(numbers); i++)
                oxl_hasher_le64(&h, (uint64_t)row[numbers[i]].integer);
        for (size_t i = 0; i < OXL_ARRAY_LEN(texts); i++)
                hash_text(&h, &row[texts[i]]);
        oxl_hasher_final(&h, &d);
        memcpy(at, d.bytes, OXL_DIGEST_BYTES);
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

static bool take(struct oxl_bytes *in, size_t n, struct oxl_bytes *ret)
{
        if (in->len < n)
                return false;
        *ret = oxl_bytes_of(in->data, n);
        in->data += n;
        in->len -= n;
        return true;
}

static bool take_value(struct oxl_bytes *in, struct value *ret)
{
        struct oxl_bytes b;
        *ret = (struct value){ 0 };
        if (!take(in, 1, &b))
                return false;
        ret->type = b.data[0] % ROWS_TYPES;
        switch (ret->type) {
        case ROWS_INTEGER:
        case ROWS_REAL:
                if (!take(in, 8, &b))
                        return false;
                ret->integer = (int64_t)le_load64(b.data);
                return true;
        case ROWS_TEXT:
        case ROWS_BLOB: return take(in, 2, &b) && take(in, le_load16(b.data), &ret->bytes);
        default: return true;
        }
}

static bool take_row(struct oxl_bytes *in, uint8_t *ret_table, struct value row[COLUMNS_MAX])
{
        struct oxl_bytes b;
        if (!take(in, 1, &b))
                return false;
        *ret_table = b.data[0] % ROWS_TABLES;
        for (int i = 0; i < tables[*ret_table].columns; i++)
                if (!take_value(in, &row[i]))
                        return false;
        return true;
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

static int bind(sqlite3_stmt *s, int at, const struct value *v, const uint8_t *chained)
{
        const char *bytes = v->bytes.len > 0 ? (const char *)v->bytes.data : "";
        switch (v->type) {
        case ROWS_INTEGER: return sqlite3_bind_int64(s, at, v->integer);
        case ROWS_TEXT: return sqlite3_bind_text(s, at, bytes, (int)v->bytes.len, SQLITE_STATIC);
        case ROWS_BLOB: return sqlite3_bind_blob(s, at, bytes, (int)v->bytes.len, SQLITE_STATIC);
        case ROWS_REAL: return sqlite3_bind_double(s, at, (double)v->integer / 256);
        case ROWS_CHAIN: return sqlite3_bind_blob(s, at, chained, OXL_DIGEST_BYTES, SQLITE_STATIC);
        default: return sqlite3_bind_null(s, at);
        }
}

void rows_insert(sqlite3 *db, const uint8_t *data, size_t n)
{
        struct oxl_bytes in = oxl_bytes_of(data, n);
        struct value row[COLUMNS_MAX];
        uint8_t table, chained[OXL_DIGEST_BYTES] = { 0 };
        while (take_row(&in, &table, row)) {
                sqlite3_stmt *s = NULL;
                if (table == ROWS_EVENT)
                        chain(row, chained);
                FUZZ_REQUIRE(sqlite3_prepare_v2(db, tables[table].sql, -1, &s, NULL) == SQLITE_OK);
                for (int i = 0; i < tables[table].columns; i++)
                        FUZZ_REQUIRE(bind(s, i + 1, &row[i], chained) == SQLITE_OK);
                int rc = sqlite3_step(s) & 0xff;
                FUZZ_REQUIRE(rc == SQLITE_DONE || rc == SQLITE_CONSTRAINT || rc == SQLITE_MISMATCH);
                sqlite3_finalize(s);
        }
}

/* --- making ------------------------------------------------------------------------------------------------------- */

void rows_table(struct oxl_buf *b, uint8_t table)
{
        FUZZ_REQUIRE(oxl_buf_append_u8(b, table, NULL) == 0);
}

void rows_null(struct oxl_buf *b)
{
        FUZZ_REQUIRE(oxl_buf_append_u8(b, ROWS_NULL, NULL) == 0);
}

void rows_integer(struct oxl_buf *b, int64_t v)
{
        FUZZ_REQUIRE(oxl_buf_append_u8(b, ROWS_INTEGER, NULL) == 0 && oxl_buf_append_le64(b, (uint64_t)v, NULL) == 0);
}

void rows_text(struct oxl_buf *b, const char *text)
{
        size_t n = strlen(text);
        FUZZ_REQUIRE(oxl_buf_append_u8(b, ROWS_TEXT, NULL) == 0 && oxl_buf_append_le16(b, (uint16_t)n, NULL) == 0 &&
                     oxl_buf_append(b, text, n, NULL) == 0);
}

void rows_chain(struct oxl_buf *b)
{
        FUZZ_REQUIRE(oxl_buf_append_u8(b, ROWS_CHAIN, NULL) == 0);
}

void rows_event(struct oxl_buf *b, int64_t seq, int64_t intent, const char *verb, const char *state, const char *body)
{
        rows_table(b, ROWS_EVENT);
        rows_integer(b, seq);
        rows_text(b, seq == intent ? "intent" : "outcome");
        rows_integer(b, intent);
        rows_text(b, "00000000000000a1");
        rows_text(b, verb);
        rows_text(b, state);
        rows_integer(b, seq);
        rows_text(b, body);
        rows_chain(b);
}
