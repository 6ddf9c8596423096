/* SPDX-License-Identifier: MIT */
/*
 * The pass over packs and loose blobs: lists them, lets select.c decide, has them read by one or more threads, and tells
 * of each in the order of reading, whatever finishes first. So the findings do not depend on the number of threads.
 * Where a rotating disk chooses the order of reading, a check holds what it finds until all is read, and hands it over in the
 * order of names (held.c), so that two disks with the same files give the same report. A pass of scrub, which may last for
 * days, tells at once: its order is that of ages, and depends on what was read before, anyway.
 *
 * A file that was begun is read to its end: the time limit is looked at between files, and at least one file is read
 * that need not be, so that a series of limited runs always gets on.
 */
#include <string.h>

#include "check/job.h"
#include "os/fdio.h"

/* Files that may be read ahead of the one that is told of next: their indexes are in memory. */
enum { AHEAD = 2, JOBS_MAX = 256 };

int oxl_units_add(struct oxl_units *u, const struct oxl_unit *unit, struct oxl_error *err)
{
        if (u->n == u->cap) {
                size_t cap = u->cap + u->cap / 2 + 64;
                struct oxl_unit *at = reallocarray(u->at, cap, sizeof *at);
                if (!at)
                        return OXL_FAIL_PLAIN(err, NOMEM);
                u->at = at;
                u->cap = cap;
        }
        u->at[u->n++] = *unit;
        return 0;
}

struct oxl_digest oxl_unit_id(const struct oxl_check *c, const struct oxl_unit *u)
{
        struct oxl_digest id = { .algo = u->loose ? (uint8_t)c->format.blob_algo : (uint8_t)OXL_ALGO_BLAKE3 };
        memcpy(id.bytes, u->id, sizeof id.bytes);
        return id;
}

void oxl_unit_path(const struct oxl_check *c, const struct oxl_unit *u, char ret[OXL_LOOSE_PATH_MAX])
{
        struct oxl_digest id = oxl_unit_id(c, u);
        if (u->loose)
                oxl_loose_path(&id, ret);
        else
                oxl_pack_path(&id, ret);
}

int oxl_unit_compare(const struct oxl_unit *x, const struct oxl_unit *y)
{
        if (x->loose != y->loose)
                return x->loose ? 1 : -1;
        return memcmp(x->id, y->id, sizeof x->id);
}

bool oxl_unit_shared(const struct oxl_check *c, const struct oxl_unit *u)
{
        const struct oxl_check_options *o = &c->limits;
        return o->jobs > 1 && !o->media && o->rate == 0 && !(o->hooks && o->hooks->pace) &&
               u->size >= c->units.wanted_bytes / 4;
}

enum oxl_check_part oxl_check_part(const struct oxl_check *c)
{
        return c->limits.hooks ? c->limits.hooks->part : OXL_CHECK_ALL;
}

int64_t oxl_unit_changed(const struct stat *st)
{
        return (int64_t)st->st_ctim.tv_sec * 1000000000 + st->st_ctim.tv_nsec;
}

void oxl_check_content_progress(struct oxl_check *c)
{
        oxl_ledger_tick(c);
        if (!c->options.progress)
                return;
        const struct oxl_check_extent *e = &c->result.extent;
        bool open_end = c->limits.time_limit_ms > 0; /* how far it gets is not known */
        c->options.progress(
                c->options.ctx, "packs and blobs", e->read_files + e->part_files, open_end ? 0 : c->units.wanted_files,
                atomic_load_explicit(&c->pace.bytes, memory_order_relaxed), open_end ? 0 : c->units.wanted_bytes);
}

/* --- one file --- */

static void job_done(struct oxl_job *j)
{
        oxl_look_done(&j->look);
        oxl_pack_free(take_ptr(&j->pack));
        oxl_reader_done(&j->reader);
        oxl_suspects_done(&j->suspects);
        oxl_error_done(&j->why);
        oxl_error_done(&j->err);
}

/* Fills in what the job needs before it is read; called in the order of the units. */
static void job_begin(struct oxl_check *c, struct oxl_job *j, struct oxl_unit *u, uint64_t *begun)
{
        const struct oxl_check_options *o = &c->limits;
        *j = (struct oxl_job)OXL_JOB_INIT;
        j->unit = u;
        oxl_unit_path(c, u, j->path);
        if (u->want == OXL_WANT_NOTHING || u->must)
                return;
        if (o->time_limit_ms > 0 && *begun > 0 &&
            oxl_check_clock(CLOCK_MONOTONIC) - c->pace.start_ns >= o->time_limit_ms * 1000000) {
                u->want = OXL_WANT_NOTHING;
                u->left_out = OXL_LEFT_TIME;
                return;
        }
        ++*begun;
}

static void job_read(struct oxl_check *c, struct oxl_job *j)
{
        j->r = j->unit->loose ? oxl_loose_job_read(c, j, &j->err) : oxl_pack_job_read(c, j, &j->err);
}

static const char *verdict_of(const struct oxl_job *j)
{
        if (j->look.state == OXL_LOOK_UNREADABLE || j->unreadable)
                return "unreadable";
        return j->look.state == OXL_LOOK_DAMAGED || j->suspects.n > 0 || j->why.code ? "damaged" : "good";
}

static void count(struct oxl_check *c, const struct oxl_job *j)
{
        struct oxl_check_extent *e = &c->result.extent;
        const struct oxl_unit *u = j->unit;
        uint64_t size = (uint64_t)j->look.st.st_size;
        const char *verdict = verdict_of(j);
        bool transient = j->look.state == OXL_LOOK_TRANSIENT, good = strcmp(verdict, "good") == 0;
        bool all = u->want == OXL_WANT_ALL && strcmp(verdict, "unreadable") != 0;
        if (j->look.state == OXL_LOOK_ABSENT)
                return; /* merged into another, or moved by gc: nothing to verify any more */
        if (j->look.state == OXL_LOOK_UNREADABLE)
                size = u->size;
        e->files++;
        e->bytes += size;
        if (u->want == OXL_WANT_NOTHING) {
                e->left_out[u->left_out].files++;
                e->left_out[u->left_out].bytes += size;
        } else if (u->want == OXL_WANT_PART) {
                e->part_files++;
                e->part_bytes += j->part;
                c->result.bytes += j->part;
        } else if (all) {
                e->read_files++;
                e->read_bytes += size;
                c->result.files++;
                c->result.bytes += size;
        }
        if (!all && (u->verified_ns <= 0 || !good)) {
                e->due_files++;
                e->due_bytes += size;
        }
        if (u->want == OXL_WANT_ALL || !good)
                oxl_ledger_verified(c, u, size, c->limits.media && j->reader.cached == 0,
                                    transient ? "damaged" : verdict);
}

static int job_end(struct oxl_check *c, struct oxl_job *j, struct oxl_error *err)
{
        int r = j->r < 0 ? oxl_error_copy(err, &j->err) : 0;
        c->held.unit = c->units.by_place && !c->limits.hooks ? j->unit : NULL;
        if (r == 0)
                r = j->unit->loose ? oxl_loose_job_tell(c, j, err) : oxl_pack_job_tell(c, j, err);
        c->held.unit = NULL;
        if (r == 0)
                count(c, j);
        job_done(j);
        if (r == 0)
                oxl_check_content_progress(c);
        return r;
}

/* --- one thread --- */

static int run_alone(struct oxl_check *c, struct oxl_error *err)
{
        uint64_t begun = 0;
        int r = 0;
        for (size_t i = 0; r == 0 && i < c->units.n; i++) {
                struct oxl_job j;
                if (c->units.at[i].want == OXL_WANT_NOTHING && oxl_check_part(c) == OXL_CHECK_CONTENT)
                        continue;
                job_begin(c, &j, &c->units.at[i], &begun);
                job_read(c, &j);
                r = job_end(c, &j, err);
        }
        return r;
}

/* --- several --- */

struct crew {
        struct oxl_check *c;
        pthread_mutex_t mutex;
        pthread_cond_t work, done;
        struct oxl_job *jobs; /* owned: a ring; unit i is read into jobs[i % slots] */
        bool *ready;          /* owned */
        size_t slots, next, told;
        uint64_t begun;
        bool stop;
        pthread_t *threads; /* owned */
        size_t n_threads;
};

static void *work(void *ctx)
{
        struct crew *w = ctx;
        pthread_mutex_lock(&w->mutex);
        for (;;) {
                while (!w->stop && w->next < w->c->units.n && w->next >= w->told + w->slots)
                        pthread_cond_wait(&w->work, &w->mutex);
                if (w->stop || w->next == w->c->units.n)
                        break;
                size_t i = w->next++;
                struct oxl_job *j = &w->jobs[i % w->slots];
                job_begin(w->c, j, &w->c->units.at[i], &w->begun);
                pthread_mutex_unlock(&w->mutex);
                job_read(w->c, j);
                pthread_mutex_lock(&w->mutex);
                w->ready[i % w->slots] = true;
                pthread_cond_signal(&w->done);
        }
        pthread_mutex_unlock(&w->mutex);
        return NULL;
}

static void wait_for(struct crew *w, size_t slot)
{
        enum { TICK_NS = 200000000 };
        while (!w->ready[slot]) {
                struct timespec until;
                OXL_IGNORE(oxl_sys->clock_gettime(CLOCK_REALTIME, &until), "cannot fail for this clock");
                until.tv_nsec += TICK_NS;
                if (until.tv_nsec >= 1000000000) {
                        until.tv_nsec -= 1000000000;
                        until.tv_sec++;
                }
                OXL_IGNORE(pthread_cond_timedwait(&w->done, &w->mutex, &until), "looked at again");
                oxl_check_content_progress(w->c);
        }
}

static int tell_in_order(struct crew *w, struct oxl_error *err)
{
        int r = 0;
        pthread_mutex_lock(&w->mutex);
        for (size_t i = 0; r == 0 && i < w->c->units.n; i++) {
                size_t slot = i % w->slots;
                wait_for(w, slot);
                pthread_mutex_unlock(&w->mutex);
                r = job_end(w->c, &w->jobs[slot], err);
                pthread_mutex_lock(&w->mutex);
                w->ready[slot] = false;
                w->told = i + 1;
                pthread_cond_broadcast(&w->work);
        }
        w->stop = true;
        pthread_cond_broadcast(&w->work);
        pthread_mutex_unlock(&w->mutex);
        return r;
}

static void crew_done(struct crew *w)
{
        for (size_t i = 0; i < w->n_threads; i++)
                pthread_join(w->threads[i], NULL);
        for (size_t i = 0; w->jobs && w->ready && i < w->slots; i++)
                if (w->ready[i])
                        job_done(&w->jobs[i]);
        free(w->jobs);
        free(w->ready);
        free(w->threads);
        pthread_cond_destroy(&w->work);
        pthread_cond_destroy(&w->done);
        pthread_mutex_destroy(&w->mutex);
}

static int run_crew(struct oxl_check *c, size_t threads, struct oxl_error *err)
{
        cleanup(crew_done) struct crew w = { .c = c,
                                             .mutex = PTHREAD_MUTEX_INITIALIZER,
                                             .work = PTHREAD_COND_INITIALIZER,
                                             .done = PTHREAD_COND_INITIALIZER };
        w.slots = threads * AHEAD;
        w.jobs = calloc(w.slots, sizeof *w.jobs);
        w.ready = calloc(w.slots, sizeof *w.ready);
        w.threads = calloc(threads, sizeof *w.threads);
        if (!w.jobs || !w.ready || !w.threads)
                return OXL_FAIL_PLAIN(err, NOMEM);
        while (w.n_threads < threads && pthread_create(&w.threads[w.n_threads], NULL, work, &w) == 0)
                w.n_threads++;
        return w.n_threads > 0 ? tell_in_order(&w, err) : run_alone(c, err);
}

/* --- the pass --- */

static void summarise(struct oxl_check *c, int64_t began)
{
        struct oxl_check_extent *e = &c->result.extent;
        e->read_ms = (oxl_check_clock(CLOCK_MONOTONIC) - began) / 1000000;
        e->medium_read_bytes = atomic_load(&c->pace.medium);
        e->cache_read_bytes = atomic_load(&c->pace.cache);
        e->complete = e->part_files == 0;
        for (int i = 0; i < OXL_LEFT_REASONS; i++)
                e->complete = e->complete && e->left_out[i].files == 0;
}

static int hand_out_units(struct oxl_check *c, struct oxl_error *err)
{
        const struct oxl_check_hooks *h = c->limits.hooks;
        int r = 0;
        for (size_t i = 0; h && h->unit && r == 0 && i < c->units.n; i++) {
                const struct oxl_unit *u = &c->units.at[i];
                int64_t judged = u->must ? u->damaged_ns : u->verified_ns;
                bool past = judged > 0 && judged <= c->ledger.now_ns;
                char path[OXL_LOOSE_PATH_MAX];
                oxl_unit_path(c, u, path);
                const struct oxl_check_unit unit = {
                        .path = path,
                        .size = u->size,
                        .verified_ns = past ? judged : 0, /* a time to come proves nothing */
                        .changed_ns = u->changed_ns,
                        .damaged = u->must && past,
                        .again = u->must,
                        .due = u->want != OXL_WANT_NOTHING,
                };
                r = h->unit(h->ctx, &unit, err);
        }
        return r;
}

int oxl_check_content(struct oxl_check *c, struct oxl_error *err)
{
        c->units.complete = true;
        oxl_ledger_begin(c); /* from here on nothing else opens journal.db */
        int r = oxl_packs_list(c, err);
        if (r == 0)
                r = oxl_loose_list_units(c, err);
        if (r < 0)
                return r;
        oxl_ledger_match(c);
        r = oxl_check_select(c, err);
        if (r == 0)
                r = hand_out_units(c, err);
        if (r == 0 && oxl_check_part(c) == OXL_CHECK_LIST)
                return 0;
        int64_t began = oxl_check_clock(CLOCK_MONOTONIC);
        size_t jobs = c->limits.jobs < JOBS_MAX ? c->limits.jobs : JOBS_MAX;
        if (r == 0)
                r = jobs > 1 ? run_crew(c, jobs, err) : run_alone(c, err);
        summarise(c, began);
        int told = oxl_held_tell(c, r < 0 ? NULL : err); /* what was found is told also when the check is cancelled */
        return r < 0 ? r : told;
}
