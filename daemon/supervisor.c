/* SPDX-License-Identifier: MIT */
/*
 * What is due, and what a job's end means.
 *
 * A repository has two jobs. `maintain` (recover, status) is wanted at the slow timer when somebody wrote and after each pass; with a sweep of
 * everything at the start, once a day, and when an owner died (watch.c). `scrub` is wanted once a day, or twice within a contract of one
 * day: a pass reads only what is older than half of the contract. At most MAINTAIN_MAX maintain jobs run at once, and one scrub on each
 * device; of those that could, the one whose next file is due first. A job that fails waits 2 s, 4 s, ... 1 h.
 *
 * There is one timer for all of this: it stands on the earliest moment at which a job may start. Nothing else runs while nothing happens.
 */
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "daemon.h"
#include "notify.h"

enum {
        MAINTAIN_MAX = 2,
        PASS_AGAIN_SECONDS = 3600, /* at least between two passes that nobody asked for */
        PUBLISH_MS = 1000,
        TEXTFILE_MS = 15000,
};
#define NEVER INT64_MAX

/* --- the table ---------------------------------------------------------------------------------------------------------- */

/* Without slashes at the end. */
static size_t path_length(const char *path)
{
        size_t n = strlen(path);

        while (n > 1 && path[n - 1] == '/')
                n--;
        return n;
}

struct repository *supervisor_find(struct daemon *d, const char *path)
{
        size_t n = path_length(path);

        for (size_t i = 0; i < d->n_repositories; i++) {
                struct repository *r = d->repositories[i];
                if (r->listed && strlen(r->path) == n && memcmp(r->path, path, n) == 0)
                        return r;
        }
        for (size_t i = 0; i < d->n_repositories; i++) {
                struct repository *r = d->repositories[i];
                if (r->listed && r->real && strlen(r->real) == n && memcmp(r->real, path, n) == 0)
                        return r;
        }
        return NULL;
}

/* Its watch was dropped before. */
static void repository_free(struct repository *r)
{
        if (r->look)
                event_free(r->look);
        for (int k = 0; k < JOB_KINDS; k++)
                free(r->jobs[k].error);
        findings_done(&r->facts.findings);
        free(r->scrub.from);
        free(r->absent_why);
        free(r->real);
        free(r->path);
        free(r);
}

/* Out of the table: what the settings no longer have, once its workers have ended. */
static void drop_unlisted(struct daemon *d)
{
        size_t kept = 0, n = d->n_repositories;

        for (size_t i = 0; i < n; i++) {
                struct repository *r = d->repositories[i];
                for (int k = 0; !r->listed && k < JOB_KINDS; k++)
                        if (r->jobs[k].worker)
                                child_cancel(r->jobs[k].worker);
                if (!r->listed)
                        watch_drop(r);
        }
        for (size_t i = 0; i < n; i++) {
                struct repository *r = d->repositories[i];
                if (r->listed || r->jobs[JOB_MAINTAIN].worker || r->jobs[JOB_SCRUB].worker)
                        d->repositories[kept++] = r;
                else
                        repository_free(r);
        }
        d->n_repositories = kept;
}

static struct repository *repository_new(struct daemon *d, const char *path)
{
        struct repository **all = realloc(d->repositories, (d->n_repositories + 1) * sizeof(struct repository *));
        struct repository *r = all ? calloc(1, sizeof *r) : NULL;
        char *copy = r ? strdup(path) : NULL;

        if (all)
                d->repositories = all;
        if (!copy) {
                free(r);
                return NULL;
        }
        r->daemon = d;
        r->path = copy;
        r->watch = -1;
        r->facts.findings_recorded = true;
        all[d->n_repositories++] = r;
        return r;
}

static struct repository *known(struct daemon *d, const char *path)
{
        size_t n = path_length(path);

        for (size_t i = 0; i < d->n_repositories; i++)
                if (strlen(d->repositories[i]->path) == n && memcmp(d->repositories[i]->path, path, n) == 0)
                        return d->repositories[i];
        return NULL;
}

/* One path of the settings. The first entry that names it counts; explicit ones are read before patterns. */
static void list_path(struct daemon *d, const struct config_repository *from, const char *found)
{
        cleanup_free char *path = strdup(found);

        if (!path)
                return;
        path[path_length(path)] = '\0';
        if (supervisor_find(d, path))
                return;
        struct repository *r = known(d, path);
        if (!r)
                r = repository_new(d, path);
        if (!r)
                return;
        r->listed = true;
        r->kind = from->kind;
        r->scrub.contract = from->scrub.contract;
        util_set(&r->scrub.from, from->scrub.from);
        r->scrub.contract.from = r->scrub.from;
}

/* The folder that makes @parent a repository, or NULL. *ret_oxen: of which kind. */
static char *repository_folder(const char *parent, enum config_kind kind, bool *ret_oxen)
{
        static const char *const names[] = { "/.oxen-lite", "/.oxen", "" };
        struct stat st;

        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
                if ((i == 0 && kind == CONFIG_OXEN) || (i == 1 && kind == CONFIG_NATIVE) ||
                    (i == 2 && kind != CONFIG_OXEN))
                        continue;
                char *path = util_format("%s%s", parent, names[i]);
                if (path && lstat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
                        *ret_oxen = i > 0;
                        return path;
                }
                free(path);
        }
        return NULL;
}

/* What matches and is a repository, or was one while we ran: then its absence is worth knowing. */
static void list_pattern(struct daemon *d, const struct config_repository *from)
{
        glob_t found = { 0 };
        int r = glob(from->path, GLOB_NOSORT | GLOB_ONLYDIR, NULL, &found);

        for (size_t i = 0; r == 0 && i < found.gl_pathc; i++) {
                bool oxen = false;
                cleanup_free char *folder = repository_folder(found.gl_pathv[i], from->kind, &oxen);
                if (folder || known(d, found.gl_pathv[i]))
                        list_path(d, from, found.gl_pathv[i]);
        }
        if (r != 0 && r != GLOB_NOMATCH)
                log_say(LOG_WARN, "pattern '%s' cannot be read", from->path);
        globfree(&found);
}

static const struct repository *twin_of(const struct repository *r, const struct stat *st)
{
        for (size_t i = 0; i < r->daemon->n_repositories; i++) {
                const struct repository *other = r->daemon->repositories[i];
                if (other != r && other->present && other->device == st->st_dev && other->inode == st->st_ino)
                        return other;
        }
        return NULL;
}

static void gone(struct repository *r, const char *why)
{
        struct log_about about = { r->path, NULL, NULL };

        if (r->present || !r->absent_why || strcmp(r->absent_why, why) != 0) {
                log_about(LOG_WARN, &about, "%s", why);
                supervisor_changed(r->daemon);
        }
        util_set(&r->absent_why, why);
        r->present = false;
        watch_drop(r);
}

/* Is it there, and whose is it? One that has come, or come back as another, is maintained. */
static void look_for(struct repository *r)
{
        struct stat st;
        cleanup_free char *path = repository_folder(r->path, r->kind, &r->oxen);

        if (!path || lstat(path, &st) < 0) {
                gone(r, "no repository is there");
                return;
        }
        const struct repository *twin = twin_of(r, &st);
        if (twin) {
                cleanup_free char *why = util_format("the same repository as %s", twin->path);
                gone(r, why ? why : "the same repository as another");
                return;
        }
        bool same = r->present && r->device == st.st_dev && r->inode == st.st_ino;
        r->present = true;
        r->device = st.st_dev;
        r->inode = st.st_ino;
        r->uid = st.st_uid;
        r->gid = st.st_gid;
        r->read_only = geteuid() != 0 && geteuid() != r->uid;
        util_set(&r->absent_why, NULL);
        free(r->real);
        r->real = realpath(r->path, NULL);
        watch_add(r);
        if (!same)
                supervisor_want(r, JOB_MAINTAIN, true);
}

/* The table as the settings and the disk have it now. */
static void refresh(struct daemon *d)
{
        const struct config *c = &d->config;

        for (size_t i = 0; i < d->n_repositories; i++)
                d->repositories[i]->listed = false;
        for (size_t i = 0; i < c->n_repositories; i++)
                if (!config_is_pattern(c->repositories[i].path))
                        list_path(d, &c->repositories[i], c->repositories[i].path);
        for (size_t i = 0; i < c->n_repositories; i++)
                if (config_is_pattern(c->repositories[i].path))
                        list_pattern(d, &c->repositories[i]);
        drop_unlisted(d);
        for (size_t i = 0; i < d->n_repositories; i++)
                if (d->repositories[i]->listed)
                        look_for(d->repositories[i]);
        supervisor_changed(d);
        supervisor_schedule(d);
}

/* --- what is due -------------------------------------------------------------------------------------------------------- */

bool supervisor_paused(const struct repository *r)
{
        return state_paused(&r->daemon->state, r->path);
}

/* A pass for the contract takes its time, for days perhaps: on @device it makes room, and what it verified stays verified. */
static void make_room(const struct daemon *d, dev_t device)
{
        for (size_t i = 0; i < d->n_repositories; i++) {
                struct worker *w = d->repositories[i]->jobs[JOB_SCRUB].worker;
                if (w && d->repositories[i]->device == device && !child_is_full(w))
                        child_cancel(w);
        }
}

void supervisor_want(struct repository *r, enum job_kind kind, bool full)
{
        r->jobs[kind].wanted = true;
        r->jobs[kind].full |= full;
        if (kind == JOB_SCRUB && full) {
                r->jobs[kind].not_before_ms = 0;
                make_room(r->daemon, r->device);
        }
        supervisor_schedule(r->daemon);
}

/* Minutes until the window of @c opens; 0: it is open. */
static int window_opens_in(const struct oxl_scrub_contract *c)
{
        enum { DAY = 24 * 60 };
        time_t now = time(NULL);
        struct tm t;

        if (c->window_begin == c->window_end || !localtime_r(&now, &t))
                return 0;
        int minute = t.tm_hour * 60 + t.tm_min;
        int into = (minute - c->window_begin + DAY) % DAY;
        int length = (c->window_end - c->window_begin + DAY) % DAY;
        return into < length ? 0 : DAY - into;
}

static int64_t later(int64_t a, int64_t b)
{
        return a > b ? a : b;
}

/* Monotonic milliseconds of the moment from which a pass may begin; NEVER: not before something changes. */
static int64_t pass_due(const struct repository *r, int64_t now)
{
        const struct oxl_scrub_status *s = &r->facts.status;
        const struct job *job = &r->jobs[JOB_SCRUB];
        int64_t interval = (int64_t)r->scrub.contract.days * DAY_SECONDS / 2;

        if (supervisor_paused(r))
                return NEVER;
        if (job->wanted && job->full)
                return job->not_before_ms;
        if (!r->facts.have_status)
                return NEVER;
        if (interval > DAY_SECONDS)
                interval = DAY_SECONDS;
        int64_t since_s = (util_now_ns() - s->last_pass_ns) / 1000000000;
        bool at_once = s->last_pass_ns == 0 || since_s < -DAY_SECONDS || s->overdue_files > 0 ||
                       (s->findings > 0 && r->passed_ms == 0);
        /* What is damaged stays overdue, and a read-only ledger never learns: hence the pause between two passes. */
        int64_t due = at_once ? now : now + (interval - since_s) * 1000;
        if (r->passed_ms)
                due = later(due, r->passed_ms + (r->read_only ? interval : PASS_AGAIN_SECONDS) * INT64_C(1000));
        due = later(due, job->not_before_ms);
        return later(due, now + window_opens_in(&r->scrub.contract) * INT64_C(60000));
}

static int64_t maintain_due(const struct repository *r)
{
        const struct job *job = &r->jobs[JOB_MAINTAIN];

        if (job->wanted)
                return job->not_before_ms;
        return later(r->maintained_ms + DAY_SECONDS * INT64_C(1000), job->not_before_ms);
}

static void failed(struct repository *r, enum job_kind kind, const char *why)
{
        struct log_about about = { r->path, "daemon-worker", NULL };
        struct job *job = &r->jobs[kind];
        int64_t pause = RETRY_FIRST_MS;

        for (unsigned i = 0; i < job->failures && pause < RETRY_MAX_MS; i++)
                pause *= 2;
        if (pause > RETRY_MAX_MS)
                pause = RETRY_MAX_MS;
        job->failures++;
        job->failures_total++;
        job->not_before_ms = util_monotonic_ms() + pause;
        job->wanted = true;
        util_set(&job->error, why);
        log_about(LOG_ERROR, &about, "%s failed: %s; again in %jd s", job_names[kind], why, (intmax_t)(pause / 1000));
}

static void start(struct repository *r, enum job_kind kind)
{
        struct job *job = &r->jobs[kind];
        bool full = job->full || (kind == JOB_MAINTAIN && !job->wanted);

        job->wanted = job->full = false;
        if (kind == JOB_SCRUB)
                r->progress = (struct oxl_scrub_progress){ 0 };
        else if (full || watch_owner_died(r)) {
                full = true;
                watch_remember(r); /* this sweep is for them; who dies while it runs is news */
        }
        int e = child_start(r, kind, full);
        if (e < 0) {
                job->full = full;
                failed(r, kind, strerror(-e));
        }
        supervisor_changed(r->daemon);
}

static size_t running(const struct daemon *d, enum job_kind kind)
{
        size_t n = 0;
        for (size_t i = 0; i < d->n_repositories; i++)
                n += d->repositories[i]->jobs[kind].worker != NULL;
        return n;
}

static bool device_busy(const struct daemon *d, dev_t device)
{
        for (size_t i = 0; i < d->n_repositories; i++)
                if (d->repositories[i]->jobs[JOB_SCRUB].worker && d->repositories[i]->device == device)
                        return true;
        return false;
}

/* May @kind run on @r as things are, but for its time? */
static bool eligible(const struct repository *r, enum job_kind kind)
{
        return r->listed && r->present && !r->jobs[kind].worker &&
               (kind == JOB_MAINTAIN || !device_busy(r->daemon, r->device));
}

/* Does @a go before @b on the same device? What somebody asked for; else the file that is due first; else the first in the table. */
static bool goes_first(const struct repository *a, const struct repository *b)
{
        if (a->jobs[JOB_SCRUB].full != b->jobs[JOB_SCRUB].full)
                return a->jobs[JOB_SCRUB].full;
        return a->facts.status.due_ns < b->facts.status.due_ns;
}

/* Starts what may start now; returns when the next one may, NEVER when that is up to others. */
static int64_t start_maintain(struct daemon *d, int64_t now)
{
        size_t n = running(d, JOB_MAINTAIN);
        int64_t next = NEVER;

        for (size_t i = 0; i < d->n_repositories; i++) {
                struct repository *r = d->repositories[i];
                int64_t due = eligible(r, JOB_MAINTAIN) ? maintain_due(r) : NEVER;
                if (due <= now && n < MAINTAIN_MAX) {
                        start(r, JOB_MAINTAIN);
                        n++;
                } else if (due > now && due < next) {
                        next = due;
                }
        }
        return next;
}

static int64_t start_scrubs(struct daemon *d, int64_t now)
{
        for (;;) {
                struct repository *first = NULL;
                int64_t next = NEVER;
                for (size_t i = 0; i < d->n_repositories; i++) {
                        struct repository *r = d->repositories[i];
                        int64_t due = eligible(r, JOB_SCRUB) ? pass_due(r, now) : NEVER;
                        if (due <= now && (!first || goes_first(r, first)))
                                first = r;
                        else if (due > now && due < next)
                                next = due;
                }
                if (!first)
                        return next;
                start(first, JOB_SCRUB); /* also when that fails: it then waits */
        }
}

static void on_schedule(evutil_socket_t fd, short what, void *ctx)
{
        struct daemon *d = ctx;
        int64_t now = util_monotonic_ms();

        (void)fd, (void)what;
        if (d->stopping)
                return;
        int64_t a = start_maintain(d, now), b = start_scrubs(d, now), next = a < b ? a : b;
        if (next == NEVER)
                return;
        int64_t wait = next > now ? next - now : 0;
        if (wait > SLOW_SECONDS * 1000)
                return; /* the slow timer comes first and asks again: clocks may have been set meanwhile */
        struct timeval in = { .tv_sec = (time_t)(wait / 1000), .tv_usec = (suseconds_t)(wait % 1000 * 1000) };
        (void)evtimer_add(d->schedule, &in);
}

void supervisor_schedule(struct daemon *d)
{
        struct timeval now = { 0 };
        if (!d->stopping && d->schedule)
                (void)evtimer_add(d->schedule, &now);
}

void supervisor_steer(struct daemon *d)
{
        for (size_t i = 0; i < d->n_repositories; i++) {
                struct repository *r = d->repositories[i];
                struct worker *w = r->jobs[JOB_SCRUB].worker;
                if (!w)
                        continue;
                /* One that is paused alone gives its place on the device away; all of them keep theirs. */
                if (supervisor_paused(r) && !d->state.paused)
                        child_cancel(w);
                else
                        child_steer(w, supervisor_paused(r), d->state.limit);
        }
        supervisor_changed(d);
        supervisor_schedule(d);
}

/* --- ends --------------------------------------------------------------------------------------------------------------- */

static void succeeded(struct repository *r, enum job_kind kind, const struct job_end *end)
{
        struct job *job = &r->jobs[kind];
        int64_t now = util_monotonic_ms();

        job->done++;
        job->failures = 0;
        job->not_before_ms = 0;
        util_set(&job->error, NULL);
        if (kind == JOB_SCRUB) {
                r->passed_ms = now;
                return;
        }
        if (end->full)
                r->maintained_ms = now;
        /* With somebody else at work, recovery is left to them; their end will be heard. */
        r->busy = end->busy;
        r->dirty = end->busy || r->facts.status.open_intents > 0;
        if (end->busy)
                r->n_leftovers = 0;
}

void supervisor_ended(struct repository *r, enum job_kind kind, const struct job_end *end)
{
        struct daemon *d = r->daemon;

        watch_drain(d); /* what the worker itself did to `locks` is heard before it is forgotten */
        if (kind == JOB_SCRUB)
                r->progress = (struct oxl_scrub_progress){ 0 };
        if (end->error) {
                r->n_leftovers = 0;
                r->jobs[kind].full |= end->full;
                failed(r, kind, end->error);
        } else if (end->cancelled) {
                /* What somebody asked for was put off by a pause, not taken back; unless it was just done. */
                bool again = end->full && r->listed && !end->complete;
                r->jobs[kind].wanted |= again || kind == JOB_MAINTAIN;
                r->jobs[kind].full |= again;
        } else {
                succeeded(r, kind, end);
        }
        /* A pass changed the ledger: what status shows comes from there. */
        if (kind == JOB_SCRUB && !d->stopping)
                supervisor_want(r, JOB_MAINTAIN, false);
        supervisor_changed(d);
        if (d->stopping && !d->workers)
                (void)event_base_loopexit(d->base, NULL);
        else if (!r->listed)
                refresh(d);
        else
                supervisor_schedule(d);
}

/* --- timers ------------------------------------------------------------------------------------------------------------- */

static void set_slow_timer(struct daemon *d)
{
        bool fast = d->inotify < 0 || d->inotify_full;
        struct timeval in = { .tv_sec = fast ? FAST_SECONDS : SLOW_SECONDS };
        (void)evtimer_add(d->slow, &in);
}

/* Other machines are not heard by inotify; repositories are mounted and unmounted; clocks are set. */
static void on_slow(evutil_socket_t fd, short what, void *ctx)
{
        struct daemon *d = ctx;
        bool whole = util_monotonic_ms() - d->refreshed_ms >= (SLOW_SECONDS - 1) * 1000;

        (void)fd, (void)what;
        if (whole) {
                d->refreshed_ms = util_monotonic_ms();
                d->inotify_full = false; /* watches may be free again */
                refresh(d);
        }
        for (size_t i = 0; i < d->n_repositories; i++) {
                struct repository *r = d->repositories[i];
                if (!r->present || r->oxen || (!whole && r->watch >= 0))
                        continue;
                if (watch_owner_died(r))
                        supervisor_want(r, JOB_MAINTAIN, true);
                else if (whole && r->dirty)
                        supervisor_want(r, JOB_MAINTAIN, false);
        }
        set_slow_timer(d);
        if (whole)
                metrics_textfile(d);
}

/* --- telling ------------------------------------------------------------------------------------------------------------ */

static void tell_systemd(struct daemon *d)
{
        size_t findings = 0, failing = 0, absent = 0, scrubbing = running(d, JOB_SCRUB);

        for (size_t i = 0; i < d->n_repositories; i++) {
                const struct repository *r = d->repositories[i];
                findings += (size_t)status_findings_open(r);
                failing += r->jobs[JOB_MAINTAIN].failures || r->jobs[JOB_SCRUB].failures;
                absent += !r->present;
        }
        cleanup_free char *text =
                util_format("STATUS=%zu repositories, %zu absent, %zu failing; %zu scrubbing%s; %zu findings%s",
                            d->n_repositories, absent, failing, scrubbing, d->state.paused ? " (paused)" : "", findings,
                            d->config_ok ? "" : "; daemon.json has errors, the old settings hold");
        if (text && (!d->told || strcmp(text, d->told) != 0)) {
                (void)notify_state(text); /* said at the start when nobody can be told */
                util_set(&d->told, text);
        }
}

static void on_publish(evutil_socket_t fd, short what, void *ctx)
{
        struct daemon *d = ctx;
        int64_t now = util_monotonic_ms();

        (void)fd, (void)what;
        d->published_ms = now;
        tell_systemd(d);
        server_publish(d);
        if (now - d->textfile_ms >= TEXTFILE_MS)
                metrics_textfile(d);
}

/* At most once a second, and at once after a quiet second. */
void supervisor_changed(struct daemon *d)
{
        if (!d->publish || d->stopping || evtimer_pending(d->publish, NULL))
                return;
        int64_t wait = d->published_ms + PUBLISH_MS - util_monotonic_ms();
        if (wait < 0 || wait > PUBLISH_MS)
                wait = wait < 0 ? 0 : PUBLISH_MS;
        struct timeval in = { .tv_sec = (time_t)(wait / 1000), .tv_usec = (suseconds_t)(wait % 1000 * 1000) };
        (void)evtimer_add(d->publish, &in);
}

/* --- begin, reload, end ------------------------------------------------------------------------------------------------- */

int supervisor_begin(struct daemon *d, struct oxl_error *err)
{
        d->schedule = evtimer_new(d->base, on_schedule, d);
        d->slow = evtimer_new(d->base, on_slow, d);
        d->publish = evtimer_new(d->base, on_publish, d);
        if (!d->schedule || !d->slow || !d->publish)
                return util_error(err, OXL_E_NOMEM, 0, NULL, NULL);
        watch_begin(d);
        refresh(d);
        d->refreshed_ms = util_monotonic_ms();
        set_slow_timer(d);
        return 0;
}

static bool same_text(const char *a, const char *b)
{
        return a == b || (a && b && strcmp(a, b) == 0);
}

int supervisor_reload(struct daemon *d, struct oxl_error *err)
{
        struct config fresh = { 0 };

        config_errors_done(&d->config_errors);
        int r = config_load(d->config_path, &fresh, &d->config_errors, err);
        d->config_ok = r == 0;
        supervisor_changed(d);
        if (r != 0)
                return r;
        if (!same_text(fresh.socket_path, d->config.socket_path) || !same_text(fresh.state, d->config.state) ||
            !same_text(fresh.socket_group, d->config.socket_group))
                log_say(LOG_WARN, "socket and state are used as changed from the next start on");
        util_set(&fresh.socket_path, d->config.socket_path);
        util_set(&fresh.socket_group, d->config.socket_group);
        util_set(&fresh.state, d->config.state);
        config_done(&d->config);
        d->config = fresh;
        refresh(d);
        return 0;
}

static void on_stop_limit(evutil_socket_t fd, short what, void *ctx)
{
        (void)fd, (void)what;
        child_kill_all(ctx);
}

void supervisor_stop(struct daemon *d)
{
        struct timeval limit = { .tv_sec = STOP_SECONDS };

        d->stopping = true;
        for (size_t i = 0; i < d->n_repositories; i++)
                for (int k = 0; k < JOB_KINDS; k++)
                        if (d->repositories[i]->jobs[k].worker)
                                child_cancel(d->repositories[i]->jobs[k].worker);
        if (!d->workers) {
                (void)event_base_loopexit(d->base, NULL);
                return;
        }
        d->stop = evtimer_new(d->base, on_stop_limit, d);
        if (!d->stop || evtimer_add(d->stop, &limit) < 0)
                child_kill_all(d);
}

void supervisor_done(struct daemon *d)
{
        struct event **events[] = { &d->schedule, &d->slow, &d->publish, &d->stop };

        watch_done(d);
        for (size_t i = 0; i < d->n_repositories; i++)
                repository_free(d->repositories[i]);
        free(d->repositories);
        d->repositories = NULL;
        d->n_repositories = 0;
        for (size_t i = 0; i < ARRAY_LEN(events); i++) {
                if (*events[i])
                        event_free(*events[i]);
                *events[i] = NULL;
        }
        free(d->told);
}
