/* SPDX-License-Identifier: MIT */
/*
 * A pass over an Oxen store.
 *
 *      walk        every name of the store, as fsck --oxen: what can be verified is noted, everything else is looked at
 *      read        what is due, never-verified first, then the oldest
 *      repair      if the contract says so: of what this pass found
 *
 * Ledger and findings are in STATE/<store>/ledger: a journal.db as repositories have, with a `locks` of its own. Nothing depends on it but
 * what is read first: a damaged one is set aside and begun anew.
 * What a crash leaves: rows not yet written (a few seconds' worth); of making the ledger a folder `ledger.new`, which the next pass
 * removes.
 */
#include <stdio.h>
#include <string.h>

#include "base/path.h"
#include "durable/remove.h"
#include "foreign/oxen.h"
#include "journal/journal.h"
#include "scrub/run.h"

enum { ROWS_MAX = 512, FINDINGS_MAX = 4096, WAIT_MS = 30000 };
#define FLUSH_NS (5 * OXL_SECOND_NS)

struct unit {
        char *path;  /* owned; relative to the store */
        size_t name; /* where its last component begins */
        struct oxl_digest want;
        bool block, damaged, again, due;
        uint64_t size;
        int64_t changed_ns, verified_ns;
};

struct row {
        const char *path; /* the unit's */
        uint64_t size;
        int64_t verified_ns;
        const char *verdict; /* static */
};

struct found {
        char *id, *slug, *path, *detail; /* owned, in one piece: id begins it */
};

struct scan {
        struct oxl_scrub_pass *pass; /* NULL: status only */
        struct oxl_coverage *coverage;
        struct unit *units; /* owned */
        size_t n, cap;
        struct oxl_journal *journal; /* owned */
        int lock_fd;
        struct row rows[ROWS_MAX];
        size_t n_rows;
        struct found *found; /* owned */
        size_t n_found, cap_found;
        char **gone; /* owned; paths of rows without a file */
        size_t n_gone, cap_gone;
        int64_t now_ns, flushed_ns;
        struct oxl_passes passes;
        oxl_scrub_finding_fn *tell; /* oxl_scrub_findings only */
        void *tell_ctx;
};

static void forget_found(struct scan *s)
{
        while (s->n_found > 0)
                free(s->found[--s->n_found].id);
}

static void scan_free(struct scan **ps)
{
        struct scan *s = *ps;
        if (!s)
                return;
        for (size_t i = 0; i < s->n; i++)
                free(s->units[i].path);
        for (size_t i = 0; i < s->n_gone; i++)
                free(s->gone[i]);
        forget_found(s);
        free(s->units);
        free(s->gone);
        free(s->found);
        oxl_journal_close(s->journal);
        oxl_fd_done(&s->lock_fd);
        free(s);
        *ps = NULL;
}

static int scan_new(struct scan **ret, struct oxl_scrub_pass *pass, struct oxl_coverage *coverage,
                    struct oxl_error *err)
{
        struct scan *s = calloc(1, sizeof *s);
        if (!s)
                return OXL_FAIL_PLAIN(err, NOMEM);
        s->pass = pass;
        s->coverage = coverage;
        s->lock_fd = -1;
        s->now_ns = coverage->now_ns;
        s->flushed_ns = oxl_scrub_clock(CLOCK_MONOTONIC);
        *ret = s;
        return 0;
}

/* Room for one more in an owned array. */
static int grow(void **at, size_t n, size_t *cap, size_t size, struct oxl_error *err)
{
        if (n < *cap)
                return 0;
        void *p = reallocarray(*at, 2 * *cap + 64, size);
        if (!p)
                return OXL_FAIL_PLAIN(err, NOMEM);
        *at = p;
        *cap = 2 * *cap + 64;
        return 0;
}

/* --- units -------------------------------------------------------------------------------------------------------- */

static int note_unit(void *ctx, const struct oxl_oxen_unit *u, struct oxl_error *err)
{
        struct scan *s = ctx;
        int r = grow((void **)&s->units, s->n, &s->cap, sizeof *s->units, err);
        struct unit new_ = { .name = strlen(u->folder) + 1,
                             .want = *u->want,
                             .block = u->block,
                             .size = u->size,
                             .changed_ns = u->changed_ns };
        if (r == 0)
                r = oxl_path_join(u->folder, u->name, &new_.path, err);
        if (r < 0)
                return r;
        s->units[s->n++] = new_;
        return s->pass && oxl_scrub_pace_cancelled(&s->pass->pace) ? OXL_FAIL_PLAIN(err, CANCELLED) : 0;
}

static int compare_paths(const void *a, const void *b)
{
        const struct unit *x = a, *y = b;
        return strcmp(x->path, y->path);
}

static int rank_of(const struct unit *u)
{
        return u->again ? 0 : u->verified_ns <= 0 ? 1 : 2;
}

static int compare_order(const void *a, const void *b)
{
        const struct unit *x = a, *y = b;
        int s = rank_of(x), t = rank_of(y);
        if (s != t)
                return s - t;
        if (s == 2 && x->verified_ns != y->verified_ns)
                return x->verified_ns < y->verified_ns ? -1 : 1;
        return strcmp(x->path, y->path);
}

/* --- the ledger: reading ------------------------------------------------------------------------------------------ */

static int note_gone(struct scan *s, const char *path, struct oxl_error *err)
{
        int r = grow((void **)&s->gone, s->n_gone, &s->cap_gone, sizeof *s->gone, err);
        char *copy = r < 0 ? NULL : strdup(path);
        if (!copy)
                return r < 0 ? r : OXL_FAIL_PLAIN(err, NOMEM);
        s->gone[s->n_gone++] = copy;
        return 0;
}

static int take_row(void *ctx, const struct oxl_ledger_row *row, struct oxl_error *err)
{
        struct scan *s = ctx;
        struct unit key = { .path = (char *)(uintptr_t)row->path };
        if (oxl_passes_take(&s->passes, row))
                return 0;
        if (strcmp(row->path, OXL_LEDGER_PASS) == 0) {
                s->coverage->status.last_pass_ns = row->verified_ns;
                return 0;
        }
        if (strcmp(row->path, OXL_LEDGER_CLEAN) == 0) {
                s->coverage->status.last_clean_ns = row->verified_ns;
                return 0;
        }
        struct unit *u = s->n ? bsearch(&key, s->units, s->n, sizeof *s->units, compare_paths) : NULL;
        if (!u)
                return note_gone(s, row->path, err);
        bool good = strcmp(row->verdict, "good") == 0, past = row->verified_ns > 0 && row->verified_ns <= s->now_ns;
        u->again = !good;
        u->damaged = !good && past;
        u->verified_ns = past && (!good || row->size == u->size) ? row->verified_ns : 0;
        return 0;
}

static int count_finding(void *ctx, const struct oxl_finding_row *row, struct oxl_error *err)
{
        struct scan *s = ctx;
        (void)row, (void)err;
        s->coverage->status.findings++;
        return 0;
}

/* Without a journal nothing was ever verified. */
static int match(struct scan *s, int64_t due_before_ns, struct oxl_error *err)
{
        int r = 0;
        if (s->n > 1)
                qsort(s->units, s->n, sizeof *s->units, compare_paths);
        s->passes = (struct oxl_passes){ 0 };
        if (s->journal)
                r = oxl_journal_ledger(s->journal, take_row, s, err);
        memcpy(s->coverage->status.passes, s->passes.shown, sizeof s->passes.shown);
        if (r == 0 && s->journal)
                r = oxl_journal_findings(s->journal, count_finding, s, err);
        for (size_t i = 0; r == 0 && i < s->n; i++) {
                struct unit *u = &s->units[i];
                u->due = u->again || u->verified_ns < due_before_ns;
                const struct oxl_check_unit unit = { .size = u->size,
                                                     .verified_ns = u->verified_ns,
                                                     .changed_ns = u->changed_ns,
                                                     .damaged = u->damaged,
                                                     .again = u->again,
                                                     .due = u->due };
                r = oxl_coverage_add(s->coverage, &unit, err);
        }
        return r;
}

/* --- the ledger: writing ------------------------------------------------------------------------------------------ */

static int flush(struct scan *s, int64_t settled_before_ns, struct oxl_error *err)
{
        cleanup_free struct oxl_finding_row *findings = calloc(s->n_found + 1, sizeof *findings);
        struct oxl_ledger_row rows[ROWS_MAX];
        if (!findings)
                return OXL_FAIL_PLAIN(err, NOMEM);
        for (size_t i = 0; i < s->n_rows; i++)
                rows[i] = (struct oxl_ledger_row){ s->rows[i].path, s->rows[i].size, s->rows[i].verified_ns,
                                                   s->pass->contract->media, s->rows[i].verdict };
        for (size_t i = 0; i < s->n_found; i++)
                findings[i] = (struct oxl_finding_row){ s->found[i].id,     s->found[i].slug, s->found[i].path,
                                                        s->found[i].detail, s->now_ns,        s->now_ns };
        const struct oxl_ledger_change change = { .rows = rows,
                                                  .n_rows = s->n_rows,
                                                  .findings = findings,
                                                  .n_findings = s->n_found,
                                                  .settled_before_ns = settled_before_ns };
        int r = oxl_journal_record(s->journal, &change, err);
        if (r < 0)
                return r;
        s->n_rows = 0;
        forget_found(s);
        s->flushed_ns = oxl_scrub_clock(CLOCK_MONOTONIC);
        return 0;
}

static int tick(struct scan *s, struct oxl_error *err)
{
        bool late = s->n_rows + s->n_found > 0 && oxl_scrub_clock(CLOCK_MONOTONIC) - s->flushed_ns > FLUSH_NS;
        return late || s->n_rows == ROWS_MAX ? flush(s, 0, err) : 0;
}

static int keep_found(struct scan *s, const struct oxl_finding *f, struct oxl_error *err)
{
        const char *const texts[] = { f->id, oxl_problem_slug(f->problem), f->path, f->detail };
        size_t size = 0;
        int r = grow((void **)&s->found, s->n_found, &s->cap_found, sizeof *s->found, err);
        for (size_t i = 0; i < OXL_ARRAY_LEN(texts); i++)
                size += strlen(texts[i]) + 1;
        char *at = r == 0 && s->n_found < FINDINGS_MAX ? malloc(size) : NULL;
        if (at) { /* else the next pass says it again */
                struct found *new_ = &s->found[s->n_found++];
                char **const to[] = { &new_->id, &new_->slug, &new_->path, &new_->detail };
                for (size_t i = 0; i < OXL_ARRAY_LEN(texts); at += strlen(texts[i]) + 1, i++)
                        *to[i] = memcpy(at, texts[i], strlen(texts[i]) + 1);
        }
        return r;
}

static int hear(void *ctx, const struct oxl_finding *f, struct oxl_error *err)
{
        struct scan *s = ctx;
        if (!s->pass)
                return 0;
        int r = oxl_problem_severity(f->problem) > OXL_SEVERITY_NOTE ? keep_found(s, f, err) : 0;
        return r < 0 ? r : oxl_scrub_tell(s->pass, f, err);
}

/* --- the ledger: where it is -------------------------------------------------------------------------------------- */

static struct oxl_journal_config config_of(const struct oxl_oxen *x, const char *dir, int lock_fd)
{
        struct oxl_journal_config c = { .dir = dir, .lock_fd = lock_fd, .wait_ms = WAIT_MS };
        struct oxl_digest d = oxl_digest_of(OXL_ALGO_BLAKE3, x->store, strlen(x->store));
        memcpy(c.id.bytes, d.bytes, sizeof c.id.bytes);
        return c;
}

/* Built under another name, so that it is there whole or not at all. */
static int make_ledger(const struct oxl_oxen *x, const struct oxl_oxen_state_place *place, struct oxl_durable *d,
                       struct oxl_error *err)
{
        cleanup_buf struct oxl_buf below = OXL_BUF_INIT, shown = OXL_BUF_INIT, locks = OXL_BUF_INIT;
        int r = oxl_buf_append_fmt(&below, err, "%s.new", place->below);
        if (r == 0)
                r = oxl_buf_append_fmt(&shown, err, "%s.new", place->shown);
        if (r == 0)
                r = oxl_buf_append_fmt(&locks, err, "%s.new/locks", place->below);
        if (r == 0)
                r = oxl_remove_tree(place->fd, oxl_buf_text(&below), err);
        if (r == 0)
                r = oxl_durable_mkdir(d, oxl_buf_text(&below), err);
        if (r == 0)
                r = oxl_durable_write(d, oxl_buf_text(&locks), "", 0, err);
        const struct oxl_journal_config config = config_of(x, oxl_buf_text(&shown), -1);
        if (r == 0)
                r = oxl_journal_create(&config, err);
        if (r == 0)
                r = oxl_durable_rename_dir(d, oxl_buf_text(&below), place->below, err);
        return r < 0 ? r : oxl_durable_barrier(d, err);
}

static int open_ledger_once(struct scan *s, const struct oxl_oxen *x, const struct oxl_oxen_state_place *place,
                            struct oxl_error *err)
{
        cleanup_free char *locks = NULL;
        int r = oxl_path_join(place->below, "locks", &locks, err);
        if (r < 0)
                return r;
        oxl_fd_done(&s->lock_fd);
        s->lock_fd = oxl_open_beneath(place->fd, locks, s->pass ? O_RDWR : O_RDONLY, 0);
        if (s->lock_fd < 0)
                return OXL_FAIL_OS(err, FILE_OPEN, place->shown);
        const struct oxl_journal_config config = config_of(x, place->shown, s->lock_fd);
        return s->pass ? oxl_journal_open(&config, &s->journal, err) : oxl_journal_open_copy(&config, &s->journal, err);
}

static bool is_missing(const struct oxl_error *e)
{
        return e->code == OXL_E_FILE_OPEN && (e->os == ENOENT || e->os == ENOTDIR);
}

/* It is only about what to read first, so it is not worth a person's time. */
static int set_aside(const struct scan *s, const struct oxl_oxen_state_place *place, struct oxl_durable *d,
                     struct oxl_error *err)
{
        cleanup_buf struct oxl_buf to = OXL_BUF_INIT;
        int r = oxl_buf_append_fmt(&to, err, "%s.damaged-%lld", place->below, (long long)s->now_ns);
        return r < 0 ? r : oxl_durable_rename_dir(d, place->below, oxl_buf_text(&to), err);
}

static int open_or_make(struct scan *s, const struct oxl_oxen *x, const struct oxl_oxen_state_place *place,
                        struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        struct oxl_durable *d = NULL;
        int r = open_ledger_once(s, x, place, &why);
        if (r == 0 || !s->pass)
                return r == 0 || is_missing(&why) ? 0 : oxl_error_copy(err, &why);
        if (!is_missing(&why) && why.code != OXL_E_JOURNAL_DAMAGED)
                return oxl_error_copy(err, &why);
        r = oxl_durable_new(place->fd, place->real, 0, &d, err);
        if (r == 0 && why.code == OXL_E_JOURNAL_DAMAGED)
                r = set_aside(s, place, d, err);
        if (r == 0)
                r = make_ledger(x, place, d, err);
        oxl_durable_free(d);
        return r < 0 ? r : open_ledger_once(s, x, place, err);
}

static int open_ledger(struct scan *s, const struct oxl_oxen *x, struct oxl_error *err)
{
        cleanup(oxl_oxen_state_place_done) struct oxl_oxen_state_place place = { .fd = -1 };
        int r = oxl_oxen_state(x, "ledger", &place, err);
        return r < 0 ? r : open_or_make(s, x, &place, err);
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

static int verify(struct scan *s, struct oxl_oxen *x, struct unit *u, struct oxl_error *err)
{
        enum oxl_oxen_judged judged;
        uint64_t bytes;
        u->path[u->name - 1] = 0;
        const struct oxl_oxen_unit unit = {
                .folder = u->path, .name = u->path + u->name, .want = &u->want, .block = u->block
        };
        int r = oxl_oxen_verify(x, &unit, &judged, &bytes, err);
        u->path[u->name - 1] = '/';
        if (r < 0 || judged == OXL_OXEN_IS_GONE)
                return r;
        struct row *row = &s->rows[s->n_rows++];
        *row = (struct row){ .path = u->path, .size = bytes, .verified_ns = oxl_scrub_clock(CLOCK_REALTIME) };
        row->verdict = judged == OXL_OXEN_IS_GOOD ? "good" : judged == OXL_OXEN_IS_DAMAGED ? "damaged" : "unreadable";
        u->damaged = judged == OXL_OXEN_IS_DAMAGED;
        if (judged == OXL_OXEN_IS_UNREADABLE)
                row->verified_ns = 0;
        else
                s->pass->result.files++;
        s->pass->result.bytes += judged == OXL_OXEN_IS_UNREADABLE ? 0 : bytes;
        return tick(s, err);
}

static int read_due(struct scan *s, struct oxl_oxen *x, struct oxl_error *err)
{
        int r = 0;
        if (s->n > 1)
                qsort(s->units, s->n, sizeof *s->units, compare_order);
        for (size_t i = 0; r == 0 && i < s->n; i++)
                if (s->units[i].due)
                        r = verify(s, x, &s->units[i], err);
        return r;
}

/* What was verified is recorded also when the pass ends early. */
static int read_and_record(void *ctx, struct oxl_oxen *x, struct oxl_error *err)
{
        struct scan *s = ctx;
        if (x->store_fd < 0)
                return 0; /* said by the walk, if it should be there */
        int r = open_ledger(s, x, err);
        if (r == 0)
                r = match(s, s->pass->due_before_ns, err);
        if (r < 0)
                return r;
        oxl_scrub_plan(s->pass);
        r = read_due(s, x, err);
        if (r < 0)
                OXL_IGNORE(flush(s, 0, NULL), "the first error is returned");
        return r;
}

static int record_end(struct scan *s, bool clean, bool complete, struct oxl_error *err)
{
        int64_t now = oxl_scrub_clock(CLOCK_REALTIME);
        const struct oxl_scrub_result *done = &s->pass->result;
        const struct oxl_pass pass = {
                .begin_ns = s->now_ns,
                .end_ns = now,
                .files = done->files,
                .bytes = done->bytes,
                .findings = done->findings,
                .unreadable = done->unreadable,
                .whole = true,
                .clean = clean,
                .scrub = true,
        };
        struct oxl_pass_texts texts;
        const struct oxl_ledger_row rows[] = { oxl_passes_row(&s->passes, &pass, &texts),
                                               { .path = OXL_LEDGER_PASS, .verified_ns = now, .verdict = "good" },
                                               { .path = OXL_LEDGER_CLEAN, .verified_ns = now, .verdict = "good" } };
        const struct oxl_ledger_change change = { .rows = rows,
                                                  .n_rows = clean ? 3 : 2,
                                                  .gone = (const char *const *)s->gone,
                                                  .n_gone = complete ? s->n_gone : 0 };
        if (!s->journal)
                return 0;
        int r = flush(s, s->now_ns, err);
        if (r == 0)
                r = oxl_journal_record(s->journal, &change, err);
        return r < 0 ? r : oxl_journal_checkpoint(s->journal, UINT64_C(1) << 20, err);
}

/* --- repair ------------------------------------------------------------------------------------------------------- */

static void pace(void *ctx, uint64_t bytes, int64_t latency_ns, bool medium)
{
        struct scan *s = ctx;
        oxl_scrub_pace_hook(&s->pass->pace, bytes, latency_ns, medium);
}

/* Of a store that was just read only the damaged files are looked at again. */
static int only_damaged(void *ctx, const struct oxl_oxen_unit *u, struct oxl_error *err)
{
        struct scan *s = ctx;
        cleanup_free char *path = NULL;
        struct unit key = { 0 };
        int r = oxl_path_join(u->folder, u->name, &path, err);
        if (r < 0)
                return r;
        key.path = path;
        const struct unit *found = bsearch(&key, s->units, s->n, sizeof *s->units, compare_paths);
        return found && found->damaged ? OXL_OXEN_NOW : 0;
}

static int hear_repair(void *ctx, const struct oxl_finding *f, struct oxl_error *err)
{
        struct scan *s = ctx;
        const struct oxl_scrub_callbacks *c = s->pass->callbacks;
        const struct oxl_repair_item item = { .verdict = f->repaired ? OXL_REPAIR_HEALED : OXL_REPAIR_LEFT,
                                              .finding_id = f->id,
                                              .slug = oxl_problem_slug(f->problem),
                                              .path = f->path,
                                              .source = "",
                                              .detail = f->detail };
        if (oxl_problem_severity(f->problem) <= OXL_SEVERITY_NOTE)
                return 0;
        *(f->repaired ? &s->pass->result.repaired : &s->pass->result.left) += 1;
        int r = f->repaired ? keep_found(s, f, err) : 0;
        return r == 0 && c->repaired ? c->repaired(c->ctx, &item, err) : r;
}

/* The name in the ledger of the damaged file that a finding shows as @shown, with the store's folder before it; NULL: none. */
static const char *row_of(const struct scan *s, const char *shown)
{
        size_t n = strlen(shown);
        for (size_t i = 0; i < s->n; i++) {
                size_t k = s->units[i].damaged ? strlen(s->units[i].path) : 0;
                if (k > 0 && k <= n && strcmp(shown + n - k, s->units[i].path) == 0)
                        return s->units[i].path;
        }
        return NULL;
}

/* What the repair healed is no finding any more; its file is read again by the next pass: none has seen it good yet. */
static int settle_healed(struct scan *s, struct oxl_error *err)
{
        cleanup_free const char **rows = calloc(s->n_found + 1, sizeof *rows);
        cleanup_free const char **ids = calloc(s->n_found + 1, sizeof *ids);
        struct oxl_ledger_change change = { .gone = rows, .healed = ids, .n_healed = s->n_found };
        if (!rows || !ids)
                return OXL_FAIL_PLAIN(err, NOMEM);
        for (size_t i = 0; i < s->n_found; i++) {
                ids[i] = s->found[i].id;
                rows[change.n_gone] = row_of(s, s->found[i].path);
                change.n_gone += rows[change.n_gone] != NULL;
        }
        int r = s->journal && s->n_found > 0 ? oxl_journal_record(s->journal, &change, err) : 0;
        forget_found(s);
        return r;
}

static int repair(struct scan *s, struct oxl_error *err)
{
        struct oxl_scrub_pass *p = s->pass;
        const struct oxl_oxen_options options = { .repair = true,
                                                  .from = p->contract->from,
                                                  .state = p->target->state,
                                                  .cancel = &p->pace.control->cancelled };
        const struct oxl_oxen_hooks hooks = {
                .pace = pace, .unit = only_damaged, .ctx = s, .media = p->contract->media
        };
        struct oxl_oxen_result done = { 0 };
        p->pace.steady = true;
        oxl_scrub_pace_state(&p->pace, OXL_SCRUB_REPAIRING);
        if (s->n > 1)
                qsort(s->units, s->n, sizeof *s->units, compare_paths);
        int r = oxl_oxen_check_with(p->target->path, &options, &hooks, hear_repair, s, &done, err);
        oxl_oxen_result_done(&done);
        return r < 0 ? r : settle_healed(s, err);
}

/* --- the calls ---------------------------------------------------------------------------------------------------- */

int oxl_scrub_oxen(struct oxl_scrub_pass *p, struct oxl_error *err)
{
        cleanup(scan_free) struct scan *s = NULL;
        struct oxl_oxen_result done = { 0 };
        int r = scan_new(&s, p, &p->coverage, err);
        if (r < 0)
                return r;
        const struct oxl_oxen_options options = { .state = p->target->state, .cancel = &p->pace.control->cancelled };
        const struct oxl_oxen_hooks hooks = {
                .pace = pace, .unit = note_unit, .after = read_and_record, .ctx = s, .media = p->contract->media
        };
        r = oxl_oxen_check_with(p->target->path, &options, &hooks, hear, s, &done, err);
        p->result.findings = done.findings;
        p->result.unreadable = done.unreadable;
        oxl_oxen_result_done(&done);
        if (r < 0)
                return r;
        p->result.clean = p->result.findings == 0 && p->result.unreadable == 0;
        r = record_end(s, p->result.clean, p->result.unreadable == 0, err);
        if (r < 0) {
                p->result.clean = false;
                return r;
        }
        p->result.complete = true;
        return p->contract->repair && p->result.findings > 0 ? repair(s, err) : 0;
}

static int open_and_match(struct scan *s, const struct oxl_oxen *x, struct oxl_error *err)
{
        int r = open_ledger(s, x, err);
        return r < 0 ? r : match(s, 0, err);
}

/* A damaged ledger says that nothing was ever verified: only a pass may set it aside, and begins because of that. */
static int read_status(void *ctx, struct oxl_oxen *x, struct oxl_error *err)
{
        struct scan *s = ctx;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        if (x->store_fd < 0)
                return match(s, 0, err);
        int r = open_and_match(s, x, &why);
        if (r == 0 || why.code != OXL_E_JOURNAL_DAMAGED)
                return r == 0 ? 0 : oxl_error_copy(err, &why);
        oxl_journal_close(take_ptr(&s->journal));
        s->coverage->status = (struct oxl_scrub_status){ 0 };
        for (size_t i = 0; i < s->n; i++) {
                s->units[i].again = s->units[i].damaged = false;
                s->units[i].verified_ns = 0;
        }
        return match(s, 0, err);
}

static int look_only(const struct oxl_scrub_target *target, const atomic_bool *cancel, struct scan *s,
                     const struct oxl_oxen_hooks *hooks, struct oxl_error *err)
{
        const struct oxl_oxen_options options = { .state = target->state, .cancel = cancel };
        struct oxl_oxen_result done = { 0 };
        int r = oxl_oxen_check_with(target->path, &options, hooks, hear, s, &done, err);
        oxl_oxen_result_done(&done);
        return r;
}

int oxl_scrub_oxen_status(const struct oxl_scrub_target *target, const atomic_bool *cancel, struct oxl_coverage *ret,
                          struct oxl_error *err)
{
        cleanup(scan_free) struct scan *s = NULL;
        int r = scan_new(&s, NULL, ret, err);
        if (r < 0)
                return r;
        const struct oxl_oxen_hooks hooks = { .unit = note_unit, .after = read_status, .ctx = s };
        return look_only(target, cancel, s, &hooks, err);
}

static int tell_row(void *ctx, const struct oxl_finding_row *row, struct oxl_error *err)
{
        const struct scan *s = ctx;
        const struct oxl_scrub_finding f = { row->id, row->slug, row->path, row->detail, row->first_ns, row->last_ns };
        return s->tell(s->tell_ctx, &f, err);
}

static int read_findings(void *ctx, struct oxl_oxen *x, struct oxl_error *err)
{
        struct scan *s = ctx;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        int r = x->store_fd < 0 ? 0 : open_ledger(s, x, &why);
        if (r == 0 && s->journal)
                r = oxl_journal_findings(s->journal, tell_row, s, &why);
        return r >= 0 || why.code == OXL_E_JOURNAL_DAMAGED ? 0 : oxl_error_copy(err, &why);
}

int oxl_scrub_oxen_findings(const struct oxl_scrub_target *target, const atomic_bool *cancel, oxl_scrub_finding_fn *fn,
                            void *ctx, struct oxl_error *err)
{
        struct oxl_coverage unused = { 0 };
        cleanup(scan_free) struct scan *s = NULL;
        int r = scan_new(&s, NULL, &unused, err);
        if (r < 0)
                return r;
        s->tell = fn;
        s->tell_ctx = ctx;
        const struct oxl_oxen_hooks hooks = { .unit = note_unit, .after = read_findings, .ctx = s };
        return look_only(target, cancel, s, &hooks, err);
}
