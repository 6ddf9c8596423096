/* SPDX-License-Identifier: MIT */
/* Intents, outcomes, operations: one transaction per call. */
#include <string.h>

#include <oxenlite/json.h>

#include "journal/internal.h"

enum { BATCH_ROWS = 256 };

/* --- writing ---------------------------------------------------------------------------------------------------- */

/* @intent 0: none. */
int oxl_operation_insert(struct oxl_journal *j, const struct oxl_operation *op, int64_t intent, struct oxl_error *err)
{
        cleanup_stmt sqlite3_stmt *s = NULL;
        const struct {
                int at;
                const char *text;
        } texts[] = {
                { 2, op->verb }, { 4, op->ref }, { 5, op->old_id }, { 6, op->new_id }, { 7, op->note ? op->note : "" }
        };
        int r = oxl_stmt_new(
                j, "INSERT INTO operation (intent, verb, time, ref, old, new, note) VALUES (?, ?, ?, ?, ?, ?, ?)", &s,
                err);
        if (r == 0 && intent != 0)
                r = oxl_stmt_bind_int(j, s, 1, intent, err);
        if (r == 0)
                r = oxl_stmt_bind_int(j, s, 3, op->time_ns ? op->time_ns : oxl_journal_now(), err);
        for (size_t i = 0; r == 0 && i < OXL_ARRAY_LEN(texts); i++)
                r = oxl_stmt_bind_text(j, s, texts[i].at, texts[i].text, err);
        return r < 0 ? r : oxl_stmt_run(j, s, err);
}

int oxl_journal_stage(struct oxl_journal *j, uint64_t owner, const char *verb, const char *body,
                      const struct oxl_operation *op, int64_t *ret_id, struct oxl_error *err)
{
        cleanup(oxl_txn_done) struct oxl_txn t = OXL_TXN_INIT;
        struct oxl_event e = { .owner = owner, .verb = verb, .body = body, .state = OXL_INTENT_STAGED };
        int r = oxl_txn_begin(&t, j, OXL_TXN_DURABLE, err);
        if (r == 0)
                r = oxl_event_append(j, &e, err);
        if (r == 0 && op)
                r = oxl_operation_insert(j, op, e.seq, err);
        if (r < 0)
                return r;
        j->staged = e.seq; /* also if it fails now: who knows */
        r = oxl_txn_commit(&t, err);
        if (r < 0)
                return r;
        *ret_id = e.seq;
        return 0;
}

static void json_done(struct oxl_json **j)
{
        oxl_json_free(*j);
}

static bool has_edits(const struct oxl_json *index)
{
        const char *hex = oxl_json_get_string(index, "edits");
        return (hex && hex[0]) || oxl_json_size(oxl_json_get(index, "edits")) > 0;
}

/* Does it name contents that it took away, though it is undone: of files ("local"), or, when it may have come to the index, what was
 * staged? Lists of a commit may have gone with its temps. What cannot be read may name some. */
static bool keeps(const char *verb, const char *body, enum oxl_intent_state state)
{
        cleanup(json_done) struct oxl_json *j = NULL;
        const bool index = state == OXL_INTENT_SUPERSEDED && strcmp(verb, "commit") != 0;
        if (!oxl_intent_undone(state) || (!index && !strstr(body, "\"local\""))) /* nearly all of them */
                return false;
        return oxl_json_parse(body, strlen(body), "intent", &j, NULL) < 0 || oxl_json_get(j, "local") ||
               (index && has_edits(oxl_json_get(j, "index")));
}

/* The verb of @intent, to be freed, and whether its operation stays when it ends as @state because of what it kept. */
static int find_intent(struct oxl_journal *j, int64_t intent, enum oxl_intent_state state, char **ret_verb,
                       bool *ret_keeps, struct oxl_error *err)
{
        cleanup_stmt sqlite3_stmt *s = NULL;
        int r = oxl_stmt_new(j, "SELECT verb, kind, body FROM event WHERE seq = ?", &s, err);
        if (r == 0)
                r = oxl_stmt_bind_int(j, s, 1, intent, err);
        if (r == 0)
                r = oxl_stmt_step(j, s, err);
        if (r < 0)
                return r;
        if (r == 0)
                return OXL_FAIL_WHY(err, JOURNAL, j->path, "there is no such intent");
        const char *verb = oxl_stmt_text(s, 0), *kind = oxl_stmt_text(s, 1), *body = oxl_stmt_text(s, 2);
        if (!verb || !kind || !body)
                return oxl_journal_malformed(j, "an event is malformed", err);
        if (strcmp(kind, "intent") != 0)
                return OXL_FAIL_WHY(err, JOURNAL, j->path, "there is no such intent");
        *ret_keeps = keeps(verb, body, state);
        *ret_verb = strdup(verb);
        return *ret_verb ? 0 : OXL_FAIL_PLAIN(err, NOMEM);
}

/* What did not happen, and kept nothing, is not in the operation log. */
static int delete_operation(struct oxl_journal *j, int64_t intent, struct oxl_error *err)
{
        cleanup_stmt sqlite3_stmt *s = NULL;
        int r = oxl_stmt_new(j, "DELETE FROM operation WHERE intent = ?", &s, err);
        if (r == 0)
                r = oxl_stmt_bind_int(j, s, 1, intent, err);
        return r < 0 ? r : oxl_stmt_run(j, s, err);
}

bool oxl_intent_undone(enum oxl_intent_state state)
{
        return state == OXL_INTENT_ABORTED || state == OXL_INTENT_ROLLED_BACK || state == OXL_INTENT_SUPERSEDED;
}

int oxl_journal_outcome(struct oxl_journal *j, int64_t intent, uint64_t owner, enum oxl_intent_state state,
                        const char *proof, bool durable, struct oxl_error *err)
{
        cleanup_free char *verb = NULL;
        cleanup(oxl_txn_done) struct oxl_txn t = OXL_TXN_INIT;
        bool kept = false;
        OXL_ASSERT(state > OXL_INTENT_STAGED && state <= OXL_INTENT_SUPERSEDED);
        int r = oxl_txn_begin(&t, j, durable ? OXL_TXN_DURABLE : OXL_TXN_LAZY, err);
        if (r == 0)
                r = find_intent(j, intent, state, &verb, &kept, err);
        if (r < 0)
                return r;
        struct oxl_event e = {
                .intent = intent,
                .outcome = true,
                .owner = owner,
                .verb = verb,
                .body = proof,
                .state = state,
        };
        r = oxl_event_append(j, &e, err);
        if (r == 0 && oxl_intent_undone(state) && !kept)
                r = delete_operation(j, intent, err);
        if (r == 0)
                r = oxl_txn_commit(&t, err);
        if (r == 0 && intent == j->staged)
                j->staged = 0;
        return r;
}

bool oxl_journal_unsettled(const struct oxl_journal *j)
{
        return j && j->staged != 0;
}

int oxl_journal_operation(struct oxl_journal *j, const struct oxl_operation *op, bool durable, struct oxl_error *err)
{
        cleanup(oxl_txn_done) struct oxl_txn t = OXL_TXN_INIT;
        int r = oxl_txn_begin(&t, j, durable ? OXL_TXN_DURABLE : OXL_TXN_LAZY, err);
        if (r == 0)
                r = oxl_operation_insert(j, op, op->intent, err);
        return r < 0 ? r : oxl_txn_commit(&t, err);
}

/* --- reading the operation log ---------------------------------------------------------------------------------- */

struct operations {
        struct oxl_operation row[BATCH_ROWS];
        char *text[BATCH_ROWS]; /* the strings of each row, one after the other */
        size_t n;
        bool all; /* the undone, too */
};

static void operations_clear(struct operations *ops)
{
        while (ops->n > 0)
                free(ops->text[--ops->n]);
}

static void operations_free(struct operations **ops)
{
        if (*ops)
                operations_clear(*ops);
        free(*ops);
}

#define STATE "(SELECT state FROM event WHERE event.intent = operation.intent ORDER BY seq DESC LIMIT 1)"
#define COLUMNS "id, intent, time, verb, ref, old, new, note, " STATE " AS ended"
#define UNDONE "('aborted', 'rolled-back', 'superseded')"

/* Columns as in COLUMNS. */
static bool well_formed(sqlite3_stmt *s, enum oxl_intent_state *ret_state)
{
        int intent = sqlite3_column_type(s, 1);
        *ret_state = OXL_INTENT_DONE; /* without an intent */
        if (sqlite3_column_type(s, 8) != SQLITE_NULL && !oxl_intent_state_parse(oxl_stmt_text(s, 8), ret_state))
                return false;
        if (sqlite3_column_type(s, 0) != SQLITE_INTEGER || sqlite3_column_type(s, 2) != SQLITE_INTEGER)
                return false;
        if (intent != SQLITE_INTEGER && intent != SQLITE_NULL)
                return false;
        for (int column = 3; column <= 7; column++) {
                bool optional = column >= 4 && column <= 6;
                if (optional && sqlite3_column_type(s, column) == SQLITE_NULL)
                        continue;
                if (!oxl_stmt_text(s, column))
                        return false;
        }
        return true;
}

static int add_operation(struct oxl_journal *j, sqlite3_stmt *s, struct operations *ops, struct oxl_error *err)
{
        enum oxl_intent_state state;
        if (!well_formed(s, &state))
                return oxl_journal_malformed(j, "an operation is malformed", err);
        struct oxl_operation op = {
                .id = sqlite3_column_int64(s, 0),
                .intent = sqlite3_column_int64(s, 1), /* NULL reads as 0 */
                .time_ns = sqlite3_column_int64(s, 2),
                .state = state,
        };
        const char **const fields[] = { &op.verb, &op.ref, &op.old_id, &op.new_id, &op.note };
        size_t size = 1;
        for (size_t i = 0; i < OXL_ARRAY_LEN(fields); i++)
                size += (size_t)sqlite3_column_bytes(s, 3 + (int)i) + 1;
        char *text = malloc(size), *end = text;
        if (!text)
                return OXL_FAIL_PLAIN(err, NOMEM);
        for (size_t i = 0; i < OXL_ARRAY_LEN(fields); i++) {
                const char *from = oxl_stmt_text(s, 3 + (int)i);
                if (!from)
                        continue;
                size_t n = strlen(from) + 1;
                memcpy(end, from, n);
                *fields[i] = end;
                end += n;
        }
        ops->row[ops->n] = op;
        ops->text[ops->n++] = text;
        return 0;
}

/* Rows older than @before. */
static int collect_operations(struct oxl_journal *j, int64_t before, size_t max, struct operations *ops,
                              struct oxl_error *err)
{
        cleanup_stmt sqlite3_stmt *s = NULL;
        int r = oxl_stmt_new(j,
                             ops->all ? "SELECT " COLUMNS " FROM operation WHERE id < ? ORDER BY id DESC LIMIT ?"
                                      : "SELECT " COLUMNS
                                        " FROM operation WHERE id < ? AND (ended IS NULL OR ended "
                                        "NOT IN " UNDONE ") ORDER BY id DESC LIMIT ?",
                             &s, err);
        if (r == 0)
                r = oxl_stmt_bind_int(j, s, 1, before, err);
        if (r == 0)
                r = oxl_stmt_bind_int(j, s, 2, (int64_t)max, err);
        if (r < 0)
                return r;
        while ((r = oxl_stmt_step(j, s, err)) > 0) {
                r = add_operation(j, s, ops, err);
                if (r < 0)
                        return r;
        }
        return r;
}

static int read_operations(struct oxl_journal *j, int64_t before, size_t max, struct operations *ops,
                           struct oxl_error *err)
{
        cleanup(oxl_txn_done) struct oxl_txn t = OXL_TXN_INIT;
        int r = oxl_txn_begin(&t, j, OXL_TXN_READ, err);
        if (r == 0)
                r = collect_operations(j, before, max, ops, err);
        return r < 0 ? r : oxl_txn_commit(&t, err);
}

static int each_operation(struct oxl_journal *j, bool all, uint64_t max, oxl_operation_fn *fn, void *ctx,
                          struct oxl_error *err)
{
        cleanup(operations_free) struct operations *ops = calloc(1, sizeof *ops);
        int64_t before = INT64_MAX;
        if (!ops)
                return OXL_FAIL_PLAIN(err, NOMEM);
        ops->all = all;
        for (uint64_t left = max ? max : UINT64_MAX; left > 0;) {
                size_t want = left < BATCH_ROWS ? (size_t)left : BATCH_ROWS;
                int r = read_operations(j, before, want, ops, err);
                if (r < 0)
                        return r;
                size_t got = ops->n;
                for (size_t i = 0; i < got; i++) {
                        r = fn(ctx, &ops->row[i], err);
                        if (r != 0)
                                return r;
                }
                if (got < want)
                        return 0;
                before = ops->row[got - 1].id;
                left -= got;
                operations_clear(ops);
        }
        return 0;
}

int oxl_journal_operations(struct oxl_journal *j, uint64_t max, oxl_operation_fn *fn, void *ctx, struct oxl_error *err)
{
        return each_operation(j, false, max, fn, ctx, err);
}

int oxl_journal_operations_all(struct oxl_journal *j, uint64_t max, oxl_operation_fn *fn, void *ctx,
                               struct oxl_error *err)
{
        return each_operation(j, true, max, fn, ctx, err);
}
