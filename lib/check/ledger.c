/* SPDX-License-Identifier: MIT */
/*
 * The ledger from the check's side: what was verified when, and what is written of this run. docs/FORMAT.md section 7.
 *
 * It has a row for each pack and each loose blob; whatever else is canonical is verified by every run. A row is believed
 * only to save reading: at worst a file is read later than wanted. Rows go out in batches, without a sync, so a run that is
 * killed loses little and a power cut costs only time.
 */
#include <stdio.h>
#include <string.h>

#include "base/path.h"
#include "check/pass.h"
#include "repo/owner.h"

enum { ROWS_MAX = 4096, FINDINGS_MAX = 256 };
#define FLUSH_NS INT64_C(5000000000)

struct row {
        char path[OXL_LOOSE_PATH_MAX];
        uint64_t size;
        int64_t verified_ns;
        bool medium;
        const char *verdict; /* static */
};

struct finding {
        char *id, *slug, *path, *detail; /* owned, in one piece: id begins it */
};

struct oxl_ledger_pending {
        struct row rows[ROWS_MAX];
        struct finding findings[FINDINGS_MAX];
        size_t n_rows, n_findings;
        int64_t flushed_ns;
};

bool oxl_ledger_wanted(const struct oxl_check *c)
{
        const struct oxl_check_options *o = &c->limits;
        return o->hooks || o->record || o->since_days > 0 || o->time_limit_ms > 0 || o->sample_ppm > 0 ||
               o->sample_bytes > 0;
}

/* --- reading ---------------------------------------------------------------------------------------------------- */

static bool parse_path(const struct oxl_check *c, const char *path, bool *ret_loose, struct oxl_digest *ret)
{
        static const char packs[] = "versions/packs/";
        char hex[OXL_DIGEST_TEXT_MAX] = { 0 };
        *ret_loose = strncmp(path, packs, sizeof packs - 1) != 0;
        if (*ret_loose)
                return oxl_loose_path_parse(c->format.blob_algo, path, ret);
        path += sizeof packs - 1;
        if (strlen(path) != 64 + strlen(".pack") || strcmp(path + 64, ".pack") != 0)
                return false;
        memcpy(hex, path, 64);
        return oxl_digest_parse(OXL_ALGO_BLAKE3, hex, ret);
}

static void take_fact(struct oxl_check *c, const struct oxl_ledger_row *row)
{
        struct oxl_check_facts *f = c->limits.hooks ? c->limits.hooks->facts : NULL;
        if (f && strcmp(row->path, OXL_LEDGER_PASS) == 0)
                f->pass_ns = row->verified_ns;
        else if (f && strcmp(row->path, OXL_LEDGER_CLEAN) == 0)
                f->clean_ns = row->verified_ns;
}

/* That an operation waits for recovery is true for as long as one is open, whenever it was written down. */
static bool is_over(const struct oxl_check_facts *f, const struct oxl_finding_row *row)
{
        return f->open_intents == 0 && strcmp(row->slug, oxl_problem_slug(OXL_P_PENDING_RECOVERY)) == 0;
}

static int take_finding(void *ctx, const struct oxl_finding_row *row, struct oxl_error *err)
{
        struct oxl_check_facts *f = ctx;
        const int64_t times[] = { row->first_ns, row->last_ns };
        const char *const texts[] = { row->id, row->slug, row->path, row->detail };
        if (is_over(f, row))
                return 0;
        int r = oxl_buf_append(&f->recorded, times, sizeof times, err);
        for (size_t i = 0; r == 0 && i < OXL_ARRAY_LEN(texts); i++)
                r = oxl_buf_append(&f->recorded, texts[i], strlen(texts[i]) + 1, err);
        f->findings += r == 0;
        return r;
}

static int count_intent(void *ctx, const struct oxl_event *event, struct oxl_error *err)
{
        struct oxl_check_facts *f = ctx;
        (void)event, (void)err;
        f->open_intents++;
        return 0;
}

static int take_row(void *ctx, const struct oxl_ledger_row *row, struct oxl_error *err)
{
        struct oxl_check *c = ctx;
        struct oxl_ledger *l = &c->ledger;
        struct oxl_digest id;
        struct oxl_ledger_entry e = {
                .size = row->size,
                .verified_ns = row->verified_ns,
                .medium = row->medium,
                .good = strcmp(row->verdict, "good") == 0,
        };
        if (!parse_path(c, row->path, &e.loose, &id)) {
                if (!oxl_passes_take(&l->passes, row))
                        take_fact(c, row);
                return 0;
        }
        memcpy(e.id, id.bytes, sizeof e.id);
        if (l->n == l->cap) {
                size_t cap = 2 * l->cap + 64;
                struct oxl_ledger_entry *at = reallocarray(l->at, cap, sizeof *at);
                if (!at)
                        return OXL_FAIL_PLAIN(err, NOMEM);
                l->at = at;
                l->cap = cap;
        }
        l->at[l->n++] = e;
        return 0;
}

int oxl_ledger_read(struct oxl_check *c, struct oxl_journal *j, struct oxl_error *err)
{
        struct oxl_check_facts *f = c->limits.hooks ? c->limits.hooks->facts : NULL;
        int r = 0;
        c->ledger.n = 0;
        c->ledger.passes = (struct oxl_passes){ 0 };
        if (f) {
                f->findings = f->open_intents = 0;
                f->pass_ns = f->clean_ns = 0;
                oxl_buf_clear(&f->recorded);
                r = oxl_journal_open_intents(j, count_intent, f, err);
                if (r == 0)
                        r = oxl_journal_findings(j, take_finding, f, err); /* after them: see is_over */
        }
        if (r == 0)
                r = oxl_journal_ledger(j, take_row, c, err);
        if (r == 0 && f)
                memcpy(f->passes, c->ledger.passes.shown, sizeof f->passes);
        return r;
}

static int compare_entries(const void *a, const void *b)
{
        const struct oxl_ledger_entry *x = a, *y = b;
        return x->loose != y->loose ? (int)x->loose - (int)y->loose : memcmp(x->id, y->id, sizeof x->id);
}

void oxl_ledger_match(struct oxl_check *c)
{
        struct oxl_ledger *l = &c->ledger;
        if (l->n > 1)
                qsort(l->at, l->n, sizeof *l->at, compare_entries);
        for (size_t i = 0; l->n > 0 && i < c->units.n; i++) {
                struct oxl_unit *u = &c->units.at[i];
                struct oxl_ledger_entry key = { .loose = u->loose };
                memcpy(key.id, u->id, sizeof key.id);
                struct oxl_ledger_entry *e = bsearch(&key, l->at, l->n, sizeof *l->at, compare_entries);
                if (!e)
                        continue;
                e->met = true;
                u->must = !e->good;
                u->damaged_ns = e->good ? 0 : e->verified_ns;
                if (e->good && e->size == u->size) {
                        u->verified_ns = e->verified_ns;
                        u->medium = e->medium;
                }
        }
}

/* --- writing ---------------------------------------------------------------------------------------------------- */

static void say_failed(struct oxl_check *c, const struct oxl_error *why)
{
        char text[512], line[600];
        c->result.record_failed = true;
        oxl_error_text(why, text, sizeof text);
        snprintf(line, sizeof line, "what was verified could not be recorded: %s", text);
        if (c->options.notice)
                c->options.notice(c->options.ctx, NULL, line);
}

static void stop_recording(struct oxl_check *c)
{
        oxl_journal_close(take_ptr(&c->ledger.journal));
        oxl_owner_free(take_ptr(&c->ledger.owner));
}

static int begin(struct oxl_check *c, struct oxl_error *err)
{
        struct oxl_ledger *l = &c->ledger;
        int r = oxl_owner_new(c->root_fd, c->options.command ? c->options.command : "fsck", &l->owner, err);
        if (r < 0)
                return r;
        const struct oxl_journal_config config = {
                .dir = c->root,
                .id = c->format.id,
                .lock_fd = oxl_owner_fd(l->owner),
                .wait_ms = c->options.wait_ms,
        };
        r = oxl_journal_open(&config, &l->journal, err);
        if (r < 0)
                oxl_owner_explain_db(c->root_fd, oxl_owner_number(l->owner), err);
        return r;
}

void oxl_ledger_begin(struct oxl_check *c)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        if (!c->limits.record)
                return;
        if (begin(c, &why) < 0) {
                stop_recording(c);
                say_failed(c, &why);
        }
}

static void forget_pending(struct oxl_ledger_pending *p)
{
        p->n_rows = 0;
        while (p->n_findings > 0)
                free(p->findings[--p->n_findings].id);
}

static int write_pending(struct oxl_check *c, const char *const *gone, size_t n_gone, int64_t settled_before_ns,
                         struct oxl_error *err)
{
        struct oxl_ledger_pending *p = c->ledger.pending;
        size_t n_rows = p ? p->n_rows : 0, n_findings = p ? p->n_findings : 0;
        cleanup_free struct oxl_ledger_row *rows = calloc(n_rows + 1, sizeof *rows);
        cleanup_free struct oxl_finding_row *findings = calloc(n_findings + 1, sizeof *findings);
        if (!rows || !findings)
                return OXL_FAIL_PLAIN(err, NOMEM);
        for (size_t i = 0; i < n_rows; i++)
                rows[i] = (struct oxl_ledger_row){ p->rows[i].path, p->rows[i].size, p->rows[i].verified_ns,
                                                   p->rows[i].medium, p->rows[i].verdict };
        for (size_t i = 0; i < n_findings; i++)
                findings[i] = (struct oxl_finding_row){ p->findings[i].id,     p->findings[i].slug, p->findings[i].path,
                                                        p->findings[i].detail, c->ledger.now_ns,    c->ledger.now_ns };
        const struct oxl_ledger_change change = {
                .rows = rows,
                .n_rows = n_rows,
                .gone = gone,
                .n_gone = n_gone,
                .findings = findings,
                .n_findings = n_findings,
                .settled_before_ns = settled_before_ns,
        };
        int r = oxl_journal_record(c->ledger.journal, &change, err);
        if (r < 0)
                return r;
        c->result.recorded += n_rows;
        return 0;
}

static void flush(struct oxl_check *c)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        struct oxl_ledger_pending *p = c->ledger.pending;
        if (!c->ledger.journal || !p)
                return;
        if (write_pending(c, NULL, 0, 0, &why) < 0) {
                stop_recording(c);
                say_failed(c, &why);
        }
        forget_pending(p);
        p->flushed_ns = oxl_check_clock(CLOCK_MONOTONIC);
}

static struct oxl_ledger_pending *pending_of(struct oxl_check *c)
{
        struct oxl_ledger *l = &c->ledger;
        if (!c->limits.record || c->result.record_failed)
                return NULL;
        if (!l->pending) {
                cleanup_error struct oxl_error why = OXL_ERROR_INIT;
                l->pending = calloc(1, sizeof *l->pending);
                if (l->pending) {
                        l->pending->flushed_ns = oxl_check_clock(CLOCK_MONOTONIC);
                        return l->pending;
                }
                OXL_IGNORE(OXL_FAIL_PLAIN(&why, NOMEM), "said next");
                stop_recording(c);
                say_failed(c, &why);
        }
        return l->pending;
}

void oxl_ledger_verified(struct oxl_check *c, const struct oxl_unit *u, uint64_t size, bool medium, const char *verdict)
{
        struct oxl_ledger_pending *p = pending_of(c);
        if (!p || !c->ledger.journal)
                return;
        struct row *row = &p->rows[p->n_rows++];
        oxl_unit_path(c, u, row->path);
        row->size = size;
        row->medium = medium;
        row->verdict = verdict;
        row->verified_ns = strcmp(verdict, "unreadable") == 0 ? 0 : oxl_check_clock(CLOCK_REALTIME);
        if (p->n_rows == ROWS_MAX || oxl_check_clock(CLOCK_MONOTONIC) - p->flushed_ns > FLUSH_NS)
                flush(c);
}

void oxl_ledger_finding(struct oxl_check *c, const struct oxl_finding *f)
{
        struct oxl_ledger_pending *p = pending_of(c);
        const char *const texts[] = { f->id, oxl_problem_slug(f->problem), f->path, f->detail };
        size_t size = 0;
        if (!p)
                return;
        if (p->n_findings == FINDINGS_MAX)
                flush(c);
        if (p->n_findings == FINDINGS_MAX)
                return; /* before the journal is open: HEAD, refs and index have no more than a few */
        for (size_t i = 0; i < OXL_ARRAY_LEN(texts); i++)
                size += strlen(texts[i]) + 1;
        char *at = malloc(size);
        if (!at)
                return; /* found again by the next run */
        struct finding *new_ = &p->findings[p->n_findings++];
        char **const to[] = { &new_->id, &new_->slug, &new_->path, &new_->detail };
        for (size_t i = 0; i < OXL_ARRAY_LEN(texts); i++) {
                size_t n = strlen(texts[i]) + 1;
                *to[i] = memcpy(at, texts[i], n);
                at += n;
        }
}

void oxl_ledger_tick(struct oxl_check *c)
{
        const struct oxl_ledger_pending *p = c->ledger.pending;
        if (p && p->n_rows > 0 && oxl_check_clock(CLOCK_MONOTONIC) - p->flushed_ns > FLUSH_NS)
                flush(c);
}

/* Rows of files that are not there any more. */
static int forget_gone(struct oxl_check *c, struct oxl_error *err)
{
        enum { BATCH = 1024 };
        struct oxl_ledger *l = &c->ledger;
        cleanup_free char(*path)[OXL_LOOSE_PATH_MAX] = calloc(BATCH, sizeof *path);
        const char *gone[BATCH];
        size_t n = 0;
        int r = 0;
        if (!path)
                return OXL_FAIL_PLAIN(err, NOMEM);
        for (size_t i = 0; r == 0 && i < l->n; i++) {
                struct oxl_unit u = { .loose = l->at[i].loose };
                if (l->at[i].met)
                        continue;
                memcpy(u.id, l->at[i].id, sizeof u.id);
                oxl_unit_path(c, &u, path[n]);
                gone[n] = path[n];
                if (++n == BATCH) {
                        r = oxl_journal_record(l->journal, &(struct oxl_ledger_change){ .gone = gone, .n_gone = n },
                                               err);
                        n = 0;
                }
        }
        return r < 0 || n == 0
                       ? r
                       : oxl_journal_record(l->journal, &(struct oxl_ledger_change){ .gone = gone, .n_gone = n }, err);
}

/* Of the scrub's pass that this check ends, or of this check alone. Findings, and what could not be read, were counted by it. */
static struct oxl_pass pass_of(const struct oxl_check *c, bool whole)
{
        const struct oxl_check_result *done = &c->result;
        const struct oxl_check_hooks *h = c->limits.hooks;
        struct oxl_pass p = {
                .begin_ns = h && h->pass_begin_ns ? h->pass_begin_ns : c->ledger.now_ns,
                .end_ns = oxl_check_clock(CLOCK_REALTIME),
                .files = done->extent.read_files,
                .bytes = done->extent.read_bytes,
                .findings = done->findings,
                .unreadable = done->unreadable,
                .whole = whole,
                .clean = whole && done->findings == 0 && done->unreadable == 0,
                .scrub = h != NULL,
        };
        for (size_t i = 0; h && h->pass_files > 0 && i < c->units.n; i++) {
                const struct oxl_unit *u = &c->units.at[i];
                if (u->must && u->damaged_ns > 0 && p.files > 0 && p.bytes >= u->size) { /* counted in pass_files */
                        p.files--;
                        p.bytes -= u->size;
                }
        }
        p.files += h ? h->pass_files : 0;
        p.bytes += h ? h->pass_bytes : 0;
        return p;
}

/* A whole one counts for "last pass" and, when nothing was wrong, "last clean pass"; each is in the history. */
static int mark_pass(struct oxl_check *c, bool whole, struct oxl_error *err)
{
        const struct oxl_pass pass = pass_of(c, whole);
        struct oxl_pass_texts texts;
        const struct oxl_ledger_row rows[] = {
                oxl_passes_row(&c->ledger.passes, &pass, &texts),
                { .path = OXL_LEDGER_PASS, .verified_ns = pass.end_ns, .verdict = "good" },
                { .path = OXL_LEDGER_CLEAN, .verified_ns = pass.end_ns, .verdict = "good" },
        };
        const struct oxl_ledger_change change = { .rows = rows, .n_rows = pass.clean ? 3 : pass.whole ? 2 : 1 };
        return oxl_journal_record(c->ledger.journal, &change, err);
}

/* Was everything verified? What a scrub's check leaves out, its pass has read before. */
static bool is_whole(const struct oxl_check *c)
{
        const struct oxl_check_hooks *h = c->limits.hooks;
        return c->units.complete && (h ? h->mark : c->result.extent.complete);
}

static int finish(struct oxl_check *c, bool finished, struct oxl_error *err)
{
        int r = finished && c->units.complete ? forget_gone(c, err) : 0;
        bool every_pass = finished && oxl_check_part(c) == OXL_CHECK_ALL;
        bool all = every_pass && !c->limits.quick;
        if (r == 0)
                r = write_pending(c, NULL, 0, all ? c->ledger.now_ns : 0, err);
        if (r == 0 && (every_pass || !finished)) /* a scrub that read its content goes on with the rest */
                r = mark_pass(c, all && is_whole(c), err);
        return r < 0 ? r : oxl_journal_checkpoint(c->ledger.journal, OXL_WAL_LOW_BYTES, err);
}

void oxl_ledger_end(struct oxl_check *c, bool finished)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        if (c->ledger.journal && finish(c, finished, &why) < 0)
                say_failed(c, &why);
        if (c->ledger.pending)
                forget_pending(c->ledger.pending);
        stop_recording(c);
}

void oxl_ledger_done(struct oxl_ledger *l)
{
        if (l->pending)
                forget_pending(l->pending);
        free(l->pending);
        free(l->at);
        oxl_journal_close(take_ptr(&l->journal));
        oxl_owner_free(take_ptr(&l->owner));
}
