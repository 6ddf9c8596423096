/* SPDX-License-Identifier: MIT */
/*
 * Events: the chain, and walking along it.
 *
 * Rows are read by a scan of the table itself in the order of seq, never through an index: the index is not in the chain, and
 * a flipped bit in it could hide an outcome. A row is used only after its chain value was computed from its own bytes
 * and the row before it. What the chain cannot show is that its last rows are gone.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "durable/mutant.h"
#include "journal/internal.h"
#include "journal/schema.h"

#define COLUMNS "seq, kind, intent, owner, verb, state, time, body, chain"

enum {
        BATCH_ROWS = 256,
        BATCH_BYTES = 1 << 20,
};

/* --- one row ---------------------------------------------------------------------------------------------------- */

static void hash_text(struct oxl_hasher *h, const char *text)
{
        size_t n = strlen(text);
        oxl_hasher_le32(h, (uint32_t)n);
        oxl_hasher_update(h, text, n);
}

/* docs/FORMAT.md section 7. */
static void chain_next(const struct oxl_journal *j, const struct oxl_event *e, const uint8_t *before, uint8_t *ret)
{
        struct oxl_hasher h;
        struct oxl_digest d;
        char owner[17];
        snprintf(owner, sizeof owner, "%016" PRIx64, e->owner);
        oxl_hasher_init_derive(&h, OXL_CONTEXT_JOURNAL_CHAIN);
        oxl_hasher_update(&h, j->id.bytes, OXL_REPO_ID_BYTES);
        oxl_hasher_update(&h, before, OXL_JOURNAL_CHAIN_BYTES);
        oxl_hasher_le64(&h, (uint64_t)e->seq);
        oxl_hasher_le64(&h, (uint64_t)e->intent);
        oxl_hasher_le64(&h, (uint64_t)e->time_ns);
        hash_text(&h, e->outcome ? "outcome" : "intent");
        hash_text(&h, owner);
        hash_text(&h, e->verb);
        hash_text(&h, oxl_intent_state_text(e->state));
        hash_text(&h, e->body);
        oxl_hasher_final(&h, &d);
        memcpy(ret, d.bytes, OXL_JOURNAL_CHAIN_BYTES);
}

bool oxl_intent_state_parse(const char *text, enum oxl_intent_state *ret)
{
        for (int i = OXL_INTENT_STAGED; text && i <= OXL_INTENT_SUPERSEDED; i++)
                if (strcmp(text, oxl_intent_state_text((enum oxl_intent_state)i)) == 0) {
                        *ret = (enum oxl_intent_state)i;
                        return true;
                }
        return false;
}

static bool read_kind(sqlite3_stmt *s, struct oxl_event *e)
{
        const char *kind = oxl_stmt_text(s, 1);
        if (!kind || !oxl_intent_state_parse(oxl_stmt_text(s, 5), &e->state))
                return false;
        e->outcome = strcmp(kind, "outcome") == 0;
        if (!e->outcome && strcmp(kind, "intent") != 0)
                return false;
        return e->outcome == (e->state != OXL_INTENT_STAGED);
}

static bool read_numbers(sqlite3_stmt *s, struct oxl_event *e)
{
        static const int columns[] = { 0, 2, 6 };
        for (size_t i = 0; i < OXL_ARRAY_LEN(columns); i++)
                if (sqlite3_column_type(s, columns[i]) != SQLITE_INTEGER)
                        return false;
        e->seq = sqlite3_column_int64(s, 0);
        e->intent = sqlite3_column_int64(s, 2);
        e->time_ns = sqlite3_column_int64(s, 6);
        return e->outcome ? e->intent > 0 && e->intent < e->seq : e->intent == e->seq;
}

/* Columns in the order of COLUMNS. False: no row of ours looks so. Texts are borrowed until the next step. */
static bool read_event(sqlite3_stmt *s, struct oxl_event *e, const uint8_t **ret_chain)
{
        const char *owner = oxl_stmt_text(s, 3);
        e->verb = oxl_stmt_text(s, 4);
        e->body = oxl_stmt_text(s, 7);
        if (!owner || !e->verb || !e->body || strlen(owner) != 16 || !oxl_hex_decode_u64(owner, &e->owner))
                return false;
        if (!read_kind(s, e) || !read_numbers(s, e))
                return false;
        *ret_chain = sqlite3_column_blob(s, 8);
        return sqlite3_column_type(s, 8) == SQLITE_BLOB && *ret_chain &&
               sqlite3_column_bytes(s, 8) == OXL_JOURNAL_CHAIN_BYTES;
}

/* Reads the row that @s stands on, which must follow @at; moves @at onto it. */
static int follow(struct oxl_journal *j, sqlite3_stmt *s, struct oxl_chain *at, struct oxl_event *e,
                  struct oxl_error *err)
{
        const uint8_t *chain = NULL;
        uint8_t want[OXL_JOURNAL_CHAIN_BYTES];
        if (!read_event(s, e, &chain))
                return oxl_journal_malformed(j, "an event is malformed", err);
        if (e->seq - 1 != at->seq)
                return oxl_journal_damaged(j, "an event is missing", err);
        chain_next(j, e, at->digest, want);
        if (memcmp(want, chain, sizeof want) != 0)
                return oxl_journal_damaged(j, "an event was changed: the chain is broken", err);
        at->seq = e->seq;
        memcpy(at->digest, want, sizeof want);
        return 0;
}

/* --- appending -------------------------------------------------------------------------------------------------- */

/* The last rows, newest first, up to two: the new row is chained only to one that itself fits. */
static int verify_tail(struct oxl_journal *j, sqlite3_stmt *s, struct oxl_chain *ret, struct oxl_error *err)
{
        struct oxl_event e;
        const uint8_t *chain = NULL;
        struct oxl_chain last = { 0 }, before = { 0 };
        uint8_t want[OXL_JOURNAL_CHAIN_BYTES];
        if (!read_event(s, &e, &chain))
                return oxl_journal_malformed(j, "the last event is malformed", err);
        last.seq = e.seq;
        memcpy(last.digest, chain, sizeof last.digest);
        if (last.seq == j->tail.seq && memcmp(last.digest, j->tail.digest, sizeof last.digest) == 0) {
                *ret = last;
                return 0;
        }
        if (e.seq > 1) {
                cleanup_stmt sqlite3_stmt *p = NULL;
                int r = oxl_stmt_new(j, "SELECT chain FROM event WHERE seq = ?", &p, err);
                if (r == 0)
                        r = oxl_stmt_bind_int(j, p, 1, e.seq - 1, err);
                if (r == 0)
                        r = oxl_stmt_step(j, p, err);
                if (r < 0)
                        return r;
                const uint8_t *digest = r == 0 ? NULL : sqlite3_column_blob(p, 0);
                if (!digest || sqlite3_column_bytes(p, 0) != OXL_JOURNAL_CHAIN_BYTES)
                        return oxl_journal_malformed(j, "an event is missing", err);
                memcpy(before.digest, digest, sizeof before.digest);
        }
        chain_next(j, &e, before.digest, want);
        if (memcmp(want, last.digest, sizeof want) != 0)
                return oxl_journal_damaged(j, "the last event was changed: the chain is broken", err);
        *ret = last;
        return 0;
}

static int find_tail(struct oxl_journal *j, struct oxl_chain *ret, struct oxl_error *err)
{
        cleanup_stmt sqlite3_stmt *s = NULL;
        int r = oxl_stmt_new(j, "SELECT " COLUMNS " FROM event NOT INDEXED ORDER BY seq DESC LIMIT 1", &s, err);
        if (r == 0)
                r = oxl_stmt_step(j, s, err);
        if (r < 0)
                return r;
        if (r == 0) {
                *ret = (struct oxl_chain){ 0 };
                return 0;
        }
        return verify_tail(j, s, ret, err);
}

static int insert(struct oxl_journal *j, const struct oxl_event *e, const uint8_t *chain, struct oxl_error *err)
{
        cleanup_stmt sqlite3_stmt *s = NULL;
        char owner[17];
        snprintf(owner, sizeof owner, "%016" PRIx64, e->owner);
        const struct {
                int at;
                const char *text;
        } texts[] = { { 2, e->outcome ? "outcome" : "intent" },
                      { 4, owner },
                      { 5, e->verb },
                      { 6, oxl_intent_state_text(e->state) },
                      { 8, e->body } };
        const struct {
                int at;
                int64_t value;
        } numbers[] = { { 1, e->seq }, { 3, e->intent }, { 7, e->time_ns } };
        int r = oxl_stmt_new(j, "INSERT INTO event (" COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", &s, err);
        for (size_t i = 0; r == 0 && i < OXL_ARRAY_LEN(texts); i++)
                r = oxl_stmt_bind_text(j, s, texts[i].at, texts[i].text, err);
        for (size_t i = 0; r == 0 && i < OXL_ARRAY_LEN(numbers); i++)
                r = oxl_stmt_bind_int(j, s, numbers[i].at, numbers[i].value, err);
        if (r < 0)
                return r;
        int rc = sqlite3_bind_blob(s, 9, chain, OXL_JOURNAL_CHAIN_BYTES, SQLITE_STATIC);
        return rc == SQLITE_OK ? oxl_stmt_run(j, s, err) : oxl_journal_fail(j, rc, err);
}

int oxl_event_append(struct oxl_journal *j, struct oxl_event *e, struct oxl_error *err)
{
        struct oxl_chain at = { 0 };
        if (strlen(e->body) > OXL_JOURNAL_BODY_MAX)
                return OXL_FAIL_WHY(err, LIMIT, j->path, "an intent or outcome is larger than 64 MiB");
        int r = find_tail(j, &at, err);
        if (r < 0)
                return r;
        e->seq = at.seq + 1;
        e->time_ns = oxl_journal_now();
        if (!e->outcome)
                e->intent = e->seq;
        chain_next(j, e, at.digest, at.digest);
        at.seq = e->seq;
        r = insert(j, e, at.digest, err);
        if (r < 0)
                return r;
        j->tail = at;
        return 0;
}

/* --- rows that outlive their statement -------------------------------------------------------------------------- */

struct rows {
        struct oxl_event *row; /* verb and body of each are one allocation, which starts at verb */
        size_t n, cap;
        size_t bytes;
};

static void row_done(struct oxl_event *e)
{
        char *text;
        memcpy(&text, &e->verb, sizeof text); /* ours: rows_add allocated it */
        free(text);
        e->verb = e->body = NULL;
}

static void rows_clear(struct rows *rows)
{
        for (size_t i = 0; i < rows->n; i++)
                row_done(&rows->row[i]);
        rows->n = rows->bytes = 0;
}

static void rows_done(struct rows *rows)
{
        rows_clear(rows);
        free(rows->row);
        *rows = (struct rows){ 0 };
}
#define cleanup_rows cleanup(rows_done)

static bool rows_reserve(struct rows *rows)
{
        if (rows->n < rows->cap)
                return true;
        size_t cap = rows->cap ? rows->cap * 2 : 16;
        struct oxl_event *row = cap <= SIZE_MAX / sizeof *row ? realloc(rows->row, cap * sizeof *row) : NULL;
        if (!row)
                return false;
        rows->row = row;
        rows->cap = cap;
        return true;
}

static int rows_add(struct rows *rows, const struct oxl_event *e, struct oxl_error *err)
{
        size_t verb = strlen(e->verb) + 1, body = strlen(e->body) + 1;
        if (!rows_reserve(rows))
                return OXL_FAIL_PLAIN(err, NOMEM);
        char *text = malloc(verb + body);
        if (!text)
                return OXL_FAIL_PLAIN(err, NOMEM);
        memcpy(text, e->verb, verb);
        memcpy(text + verb, e->body, body);
        struct oxl_event *copy = &rows->row[rows->n++];
        *copy = *e;
        copy->verb = text;
        copy->body = text + verb;
        rows->bytes += verb + body;
        return 0;
}

/* --- walking ---------------------------------------------------------------------------------------------------- */

/* Every event behind @at, in order. */
static int new_scan(struct oxl_journal *j, const struct oxl_chain *at, sqlite3_stmt **ret, struct oxl_error *err)
{
        int r = oxl_stmt_new(j, "SELECT " COLUMNS " FROM event NOT INDEXED WHERE seq > ? ORDER BY seq", ret, err);
        return r < 0 ? r : oxl_stmt_bind_int(j, *ret, 1, at->seq, err);
}

/* Rows with a seq below 1 would be in no scan. */
static int check_start(struct oxl_journal *j, struct oxl_error *err)
{
        int64_t below;
        int r = oxl_journal_query(j, "SELECT count(*) FROM event NOT INDEXED WHERE seq < 1", &below, err);
        if (r < 0)
                return r;
        return below == 0 ? 0 : oxl_journal_damaged(j, "an event has a number below 1", err);
}

int oxl_event_verify_all(struct oxl_journal *j, struct oxl_error *err)
{
        cleanup_stmt sqlite3_stmt *s = NULL;
        struct oxl_chain at = { 0 };
        struct oxl_event e;
        int r = check_start(j, err);
        if (r == 0)
                r = new_scan(j, &at, &s, err);
        if (r < 0)
                return r;
        while ((r = oxl_stmt_step(j, s, err)) > 0) {
                r = follow(j, s, &at, &e, err);
                if (r < 0)
                        return r;
        }
        return r;
}

/* The intent @seq among @open, which is sorted; NULL: it has an outcome already. */
static struct oxl_event *find_open(struct rows *open, int64_t seq)
{
        size_t low = 0, high = open->n;
        while (low < high) {
                size_t mid = low + (high - low) / 2;
                if (open->row[mid].seq == seq)
                        return open->row[mid].verb ? &open->row[mid] : NULL;
                if (open->row[mid].seq < seq)
                        low = mid + 1;
                else
                        high = mid;
        }
        return NULL;
}

/* Closed rows have no texts; they go when they are more than half. */
static void drop_closed(struct rows *open)
{
        size_t n = 0;
        for (size_t i = 0; i < open->n; i++)
                if (open->row[i].verb)
                        open->row[n++] = open->row[i];
        open->n = n;
}

static int track(struct rows *open, size_t *closed, const struct oxl_event *e, struct oxl_error *err)
{
        if (!e->outcome)
                return rows_add(open, e, err);
        struct oxl_event *intent = find_open(open, e->intent);
        if (!intent)
                return 0;
        row_done(intent);
        if (++*closed > open->n / 2) {
                drop_closed(open);
                *closed = 0;
        }
        return 0;
}

/* The whole chain in one transaction; @open holds the intents without outcome. */
static int collect_open(struct oxl_journal *j, struct rows *open, struct oxl_error *err)
{
        cleanup_stmt sqlite3_stmt *s = NULL;
        struct oxl_chain at = { 0 };
        struct oxl_event e;
        size_t closed = 0;
        int r = check_start(j, err);
        if (r == 0)
                r = new_scan(j, &at, &s, err);
        if (r < 0)
                return r;
        while ((r = oxl_stmt_step(j, s, err)) > 0) {
                r = follow(j, s, &at, &e, err);
                if (r == 0)
                        r = track(open, &closed, &e, err);
                if (r < 0)
                        return r;
        }
        drop_closed(open);
        j->tail = at;
        return r;
}

static int call_all(const struct rows *rows, oxl_event_fn *fn, void *ctx, struct oxl_error *err)
{
        for (size_t i = 0; i < rows->n; i++) {
                int r = fn(ctx, &rows->row[i], err);
                if (r != 0)
                        return r;
        }
        return 0;
}

static int read_open(struct oxl_journal *j, struct rows *open, struct oxl_error *err)
{
        cleanup(oxl_txn_done) struct oxl_txn t = OXL_TXN_INIT;
        int r = oxl_txn_begin(&t, j, OXL_TXN_READ, err);
        if (r == 0)
                r = collect_open(j, open, err);
        return r < 0 ? r : oxl_txn_commit(&t, err);
}

/*
 * The -wal, over itself. Its writer's sync may have failed before it was killed: then its pages count as clean in the cache and are
 * not on the disk, and a sync of our own would be believed and leave the hole, which hides all that comes behind it.
 * CRASH: the same bytes, or the hole of before. Within a transaction that writes: nobody else appends. Test:
 * crash/release-store, kills in "commit, its intent's sync fails".
 */
static int write_wal_again(struct oxl_journal *j, struct oxl_error *err)
{
        enum { STEP = 64 << 10 };
        cleanup_free char *bytes = malloc(STEP);
        sqlite3_file *file = NULL;
        sqlite3_int64 size = 0;
        if (!bytes)
                return OXL_FAIL_PLAIN(err, NOMEM);
        int rc = sqlite3_file_control(j->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &file);
        if (rc == SQLITE_OK && (!file || !file->pMethods))
                return 0;
        if (rc == SQLITE_OK)
                rc = file->pMethods->xFileSize(file, &size);
        for (sqlite3_int64 at = 0; rc == SQLITE_OK && at < size; at += STEP) {
                int n = (int)(size - at < STEP ? size - at : STEP);
                rc = file->pMethods->xRead(file, bytes, n, at);
                if (rc == SQLITE_OK)
                        rc = file->pMethods->xWrite(file, bytes, n, at);
        }
        return rc == SQLITE_OK ? 0 : oxl_journal_fail(j, rc, err);
}

/* What was read may be in the cache only: its writer can have been killed between writing and syncing. Nobody may act on an
 * intent that a power cut would take back, so a transaction of our own, which changes nothing, makes all before it durable.
 * (A row with an equal value would not be written at all; the version always is.) */
static int make_durable(struct oxl_journal *j, struct oxl_error *err)
{
        cleanup(oxl_txn_done) struct oxl_txn t = OXL_TXN_INIT;
        char sql[64];
        snprintf(sql, sizeof sql, "PRAGMA user_version=%d", (int)oxl_journal_migrations_count);
        int r = oxl_txn_begin(&t, j, OXL_TXN_DURABLE, err);
        bool keep_cache = OXL_MUTANT(RECOVERY_BELIEVES_WAL);
        keep_cache |= OXL_MUTANT(JOURNAL_KEEPS_CACHE);
        if (r == 0 && j->wal && !keep_cache)
                r = write_wal_again(j, err);
        if (r == 0)
                r = oxl_journal_exec(j, sql, err);
        return r < 0 ? r : oxl_txn_commit(&t, err);
}

int oxl_journal_open_intents(struct oxl_journal *j, oxl_event_fn *fn, void *ctx, struct oxl_error *err)
{
        cleanup_rows struct rows open = { 0 };
        int r = read_open(j, &open, err);
        if (r == 0 && open.n > 0 && !j->copy && !OXL_MUTANT(RECOVERY_BELIEVES_JOURNAL))
                r = make_durable(j, err);
        return r < 0 ? r : call_all(&open, fn, ctx, err);
}

/* 1: @rows is full and there may be more. */
static int collect_batch(struct oxl_journal *j, struct oxl_chain *at, struct rows *rows, struct oxl_error *err)
{
        cleanup_stmt sqlite3_stmt *s = NULL;
        struct oxl_event e;
        int r = at->seq == 0 ? check_start(j, err) : 0;
        if (r == 0)
                r = new_scan(j, at, &s, err);
        if (r < 0)
                return r;
        while ((r = oxl_stmt_step(j, s, err)) > 0) {
                r = follow(j, s, at, &e, err);
                if (r == 0)
                        r = rows_add(rows, &e, err);
                if (r < 0)
                        return r;
                if (rows->n == BATCH_ROWS || rows->bytes >= BATCH_BYTES)
                        return 1;
        }
        return r;
}

static int read_batch(struct oxl_journal *j, struct oxl_chain *at, struct rows *rows, struct oxl_error *err)
{
        cleanup(oxl_txn_done) struct oxl_txn t = OXL_TXN_INIT;
        int r = oxl_txn_begin(&t, j, OXL_TXN_READ, err);
        if (r == 0)
                r = collect_batch(j, at, rows, err);
        if (r < 0)
                return r;
        int committed = oxl_txn_commit(&t, err);
        return committed < 0 ? committed : r;
}

/* In batches, each in a transaction of its own: a slow @fn holds up nobody. Events are only ever appended. */
int oxl_journal_events(struct oxl_journal *j, oxl_event_fn *fn, void *ctx, struct oxl_error *err)
{
        cleanup_rows struct rows rows = { 0 };
        struct oxl_chain at = { 0 };
        for (;;) {
                int more = read_batch(j, &at, &rows, err);
                if (more < 0)
                        return more;
                int r = call_all(&rows, fn, ctx, err);
                if (r != 0 || !more)
                        return r;
                rows_clear(&rows);
        }
}
