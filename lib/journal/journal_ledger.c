/* SPDX-License-Identifier: MIT */
/*
 * The ledger (when each canonical file was verified last, and what came of it) and the findings of the last check.
 *
 * Neither is in the chain: what they claim costs at most that a file is read once more, or later than wanted. Written
 * without a sync: after a power cut the last rows may be gone, and their files are verified again.
 */
#include "journal/internal.h"

/* --- reading ---------------------------------------------------------------------------------------------------- */

/* Columns: path, size, verified, method, verdict. Rows that are none of ours are skipped: the file counts as never verified. */
static bool read_row(sqlite3_stmt *s, struct oxl_ledger_row *ret)
{
        const char *method = oxl_stmt_text(s, 3);
        ret->path = oxl_stmt_text(s, 0);
        ret->verdict = oxl_stmt_text(s, 4);
        if (!ret->path || !ret->verdict || !method || sqlite3_column_int64(s, 1) < 0)
                return false;
        ret->size = (uint64_t)sqlite3_column_int64(s, 1);
        ret->verified_ns = sqlite3_column_int64(s, 2);
        ret->medium = method[0] == 'm';
        return true;
}

/* A row that is none of ours, or that there is no memory for. */
static int skip_row(const struct oxl_journal *j, struct oxl_error *err)
{
        return sqlite3_errcode(j->db) == SQLITE_NOMEM ? OXL_FAIL_PLAIN(err, NOMEM) : 0;
}

static int read_ledger(struct oxl_journal *j, oxl_ledger_fn *fn, void *ctx, struct oxl_error *err)
{
        cleanup_stmt sqlite3_stmt *s = NULL;
        int r = oxl_stmt_new(j, "SELECT path, size, verified, method, verdict FROM ledger ORDER BY path", &s, err);
        while (r == 0 && (r = oxl_stmt_step(j, s, err)) > 0) {
                struct oxl_ledger_row row;
                r = read_row(s, &row) ? fn(ctx, &row, err) : skip_row(j, err);
                if (r < 0)
                        return r;
        }
        return r;
}

int oxl_journal_ledger(struct oxl_journal *j, oxl_ledger_fn *fn, void *ctx, struct oxl_error *err)
{
        cleanup(oxl_txn_done) struct oxl_txn t = OXL_TXN_INIT;
        int r = oxl_txn_begin(&t, j, OXL_TXN_READ, err);
        if (r == 0)
                r = read_ledger(j, fn, ctx, err);
        return r < 0 ? r : oxl_txn_commit(&t, err);
}

static int read_findings(struct oxl_journal *j, oxl_finding_row_fn *fn, void *ctx, struct oxl_error *err)
{
        cleanup_stmt sqlite3_stmt *s = NULL;
        int r = oxl_stmt_new(j, "SELECT id, slug, path, detail, first, last FROM finding ORDER BY path, id", &s, err);
        while (r == 0 && (r = oxl_stmt_step(j, s, err)) > 0) {
                struct oxl_finding_row row = {
                        .id = oxl_stmt_text(s, 0),
                        .slug = oxl_stmt_text(s, 1),
                        .path = oxl_stmt_text(s, 2),
                        .detail = oxl_stmt_text(s, 3),
                        .first_ns = sqlite3_column_int64(s, 4),
                        .last_ns = sqlite3_column_int64(s, 5),
                };
                r = row.id && row.slug && row.path && row.detail ? fn(ctx, &row, err) : skip_row(j, err);
                if (r < 0)
                        return r;
        }
        return r;
}

int oxl_journal_findings(struct oxl_journal *j, oxl_finding_row_fn *fn, void *ctx, struct oxl_error *err)
{
        cleanup(oxl_txn_done) struct oxl_txn t = OXL_TXN_INIT;
        int r = oxl_txn_begin(&t, j, OXL_TXN_READ, err);
        if (r == 0)
                r = read_findings(j, fn, ctx, err);
        return r < 0 ? r : oxl_txn_commit(&t, err);
}

/* --- writing ---------------------------------------------------------------------------------------------------- */

static int run_again(struct oxl_journal *j, sqlite3_stmt *s, struct oxl_error *err)
{
        int r = oxl_stmt_run(j, s, err);
        sqlite3_reset(s); /* its result is that of the step */
        return r;
}

static int write_rows(struct oxl_journal *j, const struct oxl_ledger_change *c, struct oxl_error *err)
{
        cleanup_stmt sqlite3_stmt *s = NULL;
        int r = oxl_stmt_new(
                j, "INSERT OR REPLACE INTO ledger (path, size, verified, method, verdict) VALUES (?, ?, ?, ?, ?)", &s,
                err);
        for (size_t i = 0; r == 0 && i < c->n_rows; i++) {
                const struct oxl_ledger_row *row = &c->rows[i];
                r = oxl_stmt_bind_text(j, s, 1, row->path, err);
                if (r == 0)
                        r = oxl_stmt_bind_int(j, s, 2, (int64_t)row->size, err);
                if (r == 0)
                        r = oxl_stmt_bind_int(j, s, 3, row->verified_ns, err);
                if (r == 0)
                        r = oxl_stmt_bind_text(j, s, 4, row->medium ? "medium" : "cache", err);
                if (r == 0)
                        r = oxl_stmt_bind_text(j, s, 5, row->verdict, err);
                if (r == 0)
                        r = run_again(j, s, err);
        }
        return r;
}

/* @sql has one parameter: each of @texts. */
static int delete_each(struct oxl_journal *j, const char *sql, const char *const *texts, size_t n,
                       struct oxl_error *err)
{
        cleanup_stmt sqlite3_stmt *s = NULL;
        int r = oxl_stmt_new(j, sql, &s, err);
        for (size_t i = 0; r == 0 && i < n; i++) {
                r = oxl_stmt_bind_text(j, s, 1, texts[i], err);
                if (r == 0)
                        r = run_again(j, s, err);
        }
        return r;
}

static int write_findings(struct oxl_journal *j, const struct oxl_ledger_change *c, struct oxl_error *err)
{
        cleanup_stmt sqlite3_stmt *s = NULL;
        int r = oxl_stmt_new(j,
                             "INSERT INTO finding (id, slug, path, detail, first, last) VALUES (?, ?, ?, ?, ?, ?) "
                             "ON CONFLICT (id) DO UPDATE SET detail = excluded.detail, last = excluded.last",
                             &s, err);
        for (size_t i = 0; r == 0 && i < c->n_findings; i++) {
                const struct oxl_finding_row *f = &c->findings[i];
                const char *const texts[] = { f->id, f->slug, f->path, f->detail };
                for (int k = 0; r == 0 && k < 4; k++)
                        r = oxl_stmt_bind_text(j, s, k + 1, texts[k], err);
                if (r == 0)
                        r = oxl_stmt_bind_int(j, s, 5, f->first_ns, err);
                if (r == 0)
                        r = oxl_stmt_bind_int(j, s, 6, f->last_ns, err);
                if (r == 0)
                        r = run_again(j, s, err);
        }
        return r;
}

static int delete_settled(struct oxl_journal *j, int64_t before_ns, struct oxl_error *err)
{
        cleanup_stmt sqlite3_stmt *s = NULL;
        int r = oxl_stmt_new(j, "DELETE FROM finding WHERE last < ?", &s, err);
        if (r == 0)
                r = oxl_stmt_bind_int(j, s, 1, before_ns, err);
        return r < 0 ? r : oxl_stmt_run(j, s, err);
}

int oxl_journal_record(struct oxl_journal *j, const struct oxl_ledger_change *change, struct oxl_error *err)
{
        cleanup(oxl_txn_done) struct oxl_txn t = OXL_TXN_INIT;
        int r = oxl_txn_begin(&t, j, OXL_TXN_LAZY, err);
        if (r == 0)
                r = delete_each(j, "DELETE FROM ledger WHERE path = ?", change->gone, change->n_gone, err);
        if (r == 0)
                r = delete_each(j, "DELETE FROM finding WHERE id = ?", change->healed, change->n_healed, err);
        if (r == 0)
                r = write_rows(j, change, err);
        if (r == 0)
                r = write_findings(j, change, err);
        if (r == 0 && change->settled_before_ns > 0)
                r = delete_settled(j, change->settled_before_ns, err);
        return r < 0 ? r : oxl_txn_commit(&t, err);
}
