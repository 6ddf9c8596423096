/* SPDX-License-Identifier: MIT */
/*
 * The worker: one job on one repository, as its owner. Descriptor 3 is a socket to the main process: the job comes as the first line,
 * orders after it, events go back (report.c lists them).
 *
 * Orders: {"do": "pause"}, "resume", "limit" (rate), "cancel". A second thread reads them and says `alive` while the process uses the CPU or
 * reads, or stands still because it was told to; so one that hangs falls silent and is killed. When the main process is gone (end of the
 * socket, SIGTERM from the kernel) the job is cancelled, and a minute later the process ends however far it is.
 *
 * What a crash leaves: what the library leaves; this file writes nothing.
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "daemon.h"

enum {
        FD = 3,
        LINE_BYTES = 64 * 1024,
        ALIVE_MS = 30000,
        END_MS = 60000,
        RECOVER_WAIT_MS = 3000, /* for the writer lock: a living writer recovers by itself when it begins */
        DETAIL_BYTES = 4096,
};

struct work {
        const struct oxl_json *job;
        char *path, *state, *from; /* owned; the last two may be NULL */
        bool oxen, read_only, full;
        size_t n_recorded;
        struct oxl_scrub_contract contract;
        struct oxl_scrub_control *control;
        bool busy;
};

static atomic_bool cancelled;
static _Atomic(struct oxl_scrub_control *) running_control;
static atomic_bool standing; /* the job says that it was told to wait */
static pthread_mutex_t out_lock = PTHREAD_MUTEX_INITIALIZER;

static void cancel(void)
{
        struct oxl_scrub_control *c = atomic_load(&running_control);
        atomic_store(&cancelled, true);
        if (c)
                oxl_scrub_control_cancel(c);
}

static void on_signal(int number)
{
        (void)number;
        cancel(); /* lock-free, and scrub.h allows it */
}

/* --- lines -------------------------------------------------------------------------------------------------------------- */

/* Sends @event, which is taken. When nobody hears us any more there is nothing to work for. */
static void say(struct oxl_json *event)
{
        cleanup_free char *text = NULL;
        int r = oxl_json_print(event, &text, NULL);
        size_t n = text ? strlen(text) : 0, sent = 0;

        oxl_json_free(event);
        if (r < 0 || !text) {
                cancel();
                return;
        }
        text[n++] = '\n'; /* in place of the final NUL */
        (void)pthread_mutex_lock(&out_lock);
        while (sent < n) {
                ssize_t now = send(FD, text + sent, n - sent, MSG_NOSIGNAL);
                if (now < 0 && errno == EINTR)
                        continue;
                if (now < 0) {
                        cancel();
                        break;
                }
                sent += (size_t)now;
        }
        (void)pthread_mutex_unlock(&out_lock);
}

static struct oxl_json *event(const char *name)
{
        struct oxl_json *json = oxl_json_object();
        oxl_json_set_string(json, "event", name);
        return json;
}

/* A text from a disk: as long as a line can bear. */
static void set_text(struct oxl_json *json, const char *key, const char *text)
{
        char cut[DETAIL_BYTES];

        if (text && strlen(text) >= sizeof cut) {
                memcpy(cut, text, sizeof cut - 1);
                cut[sizeof cut - 1] = '\0';
                text = cut;
        }
        oxl_json_set_string(json, key, text ? text : "");
}

struct input {
        char bytes[LINE_BYTES];
        size_t n;
};

/* The next line without its newline, in @line; false at the end of the socket, or when a line is too long. */
static bool read_line(struct input *in, char line[LINE_BYTES])
{
        for (;;) {
                char *end = memchr(in->bytes, '\n', in->n);
                if (end) {
                        size_t n = (size_t)(end - in->bytes);
                        memcpy(line, in->bytes, n);
                        line[n] = '\0';
                        in->n -= n + 1;
                        memmove(in->bytes, end + 1, in->n);
                        return true;
                }
                ssize_t got = in->n < sizeof in->bytes ? recv(FD, in->bytes + in->n, sizeof in->bytes - in->n, 0) : 0;
                if (got < 0 && errno == EINTR)
                        continue;
                if (got <= 0)
                        return false;
                in->n += (size_t)got;
        }
}

/* --- orders ------------------------------------------------------------------------------------------------------------- */

static void obey(const char *line, struct oxl_scrub_control *control)
{
        cleanup_json struct oxl_json *order = NULL;
        uint64_t rate = 0;

        if (oxl_json_parse(line, strlen(line), "order", &order, NULL) < 0)
                return;
        const char *what = oxl_json_get_string(order, "do");
        if (!what)
                return;
        if (strcmp(what, "cancel") == 0)
                cancel();
        else if (strcmp(what, "pause") == 0 || strcmp(what, "resume") == 0)
                oxl_scrub_control_pause(control, strcmp(what, "pause") == 0);
        else if (strcmp(what, "limit") == 0 && oxl_json_get_u64(order, "rate", &rate))
                oxl_scrub_control_limit(control, rate);
}

/* Has the process done anything since the last question? */
static bool has_worked(void)
{
        static int64_t last = -1;
        struct rusage u;

        if (getrusage(RUSAGE_SELF, &u) < 0)
                return true;
        int64_t now =
                ((int64_t)u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 + u.ru_utime.tv_usec + u.ru_stime.tv_usec;
        now = now / 10000 + u.ru_inblock; /* this thread's own few microseconds do not count */
        bool worked = now != last || atomic_load(&standing);
        last = now;
        return worked;
}

struct orders {
        struct input *in;
        struct oxl_scrub_control *control;
};

static void *hear_orders(void *ctx)
{
        struct orders *o = ctx;
        cleanup_free char *line = malloc(LINE_BYTES);
        struct pollfd p = { .fd = FD, .events = POLLIN };

        for (bool more = line != NULL; more;) {
                if (!memchr(o->in->bytes, '\n', o->in->n)) {
                        int r = poll(&p, 1, ALIVE_MS);
                        if (r == 0 && has_worked())
                                say(event("alive"));
                        if (r <= 0)
                                continue;
                }
                more = read_line(o->in, line);
                if (more)
                        obey(line, o->control);
        }
        cancel();
        (void)poll(NULL, 0, END_MS);
        _exit(1);
}

/* --- what the library says ---------------------------------------------------------------------------------------------- */

static void on_recovered(void *ctx, const struct oxl_recovered *r)
{
        struct oxl_json *json = event("recovered");
        (void)ctx;
        set_text(json, "verb", r->verb);
        set_text(json, "outcome", r->outcome);
        set_text(json, "why", r->why);
        oxl_json_set_u64(json, "kept", r->n_kept);
        say(json);
}

static void on_notice(void *ctx, const char *path, const char *text)
{
        struct oxl_json *json = event("notice");
        (void)ctx;
        set_text(json, "path", path);
        set_text(json, "text", text);
        say(json);
}

static int on_temp(void *ctx, const struct oxl_sweeper_item *item, struct oxl_error *err)
{
        cleanup_free char *failed = item->failed ? util_error_text(item->failed) : NULL;

        (void)ctx;
        if (atomic_load(&cancelled))
                return util_error(err, OXL_E_CANCELLED, 0, NULL, NULL);
        if (!item->removed && !failed)
                return 0;
        struct oxl_json *json = event("temp");
        set_text(json, "path", item->path);
        oxl_json_set_string(json, "proof", oxl_sweep_proof_slug(item->proof));
        oxl_json_set_bool(json, "removed", item->removed);
        oxl_json_set_u64(json, "bytes", item->bytes);
        set_text(json, "why", item->why);
        set_text(json, "error", failed);
        say(json);
        return 0;
}

static const char *severity_text(enum oxl_severity s)
{
        switch (s) {
        case OXL_SEVERITY_NOTE: return "note";
        case OXL_SEVERITY_WARNING: return "warning";
        case OXL_SEVERITY_ERROR: return "error";
        case OXL_SEVERITY_LOSS: return "loss";
        }
        return "error";
}

static int on_finding(void *ctx, const struct oxl_finding *f, struct oxl_error *err)
{
        struct oxl_json *json = event("finding");

        (void)ctx, (void)err;
        set_text(json, "id", f->id);
        oxl_json_set_string(json, "slug", oxl_problem_slug(f->problem));
        oxl_json_set_string(json, "severity", severity_text(oxl_problem_severity(f->problem)));
        set_text(json, "path", f->path);
        set_text(json, "object", f->object);
        set_text(json, "verdict", f->verdict);
        set_text(json, "detail", f->detail);
        oxl_json_set_bool(json, "repaired", f->repaired);
        say(json);
        return 0;
}

static const char *repair_text(enum oxl_repair_verdict v)
{
        switch (v) {
        case OXL_REPAIR_HEALED: return "healed";
        case OXL_REPAIR_REBUILT: return "rebuilt";
        case OXL_REPAIR_LEFT: return "left";
        case OXL_REPAIR_STALE: return "stale";
        case OXL_REPAIR_PROPOSED: return "proposed";
        }
        return "left";
}

static int on_repaired(void *ctx, const struct oxl_repair_item *item, struct oxl_error *err)
{
        struct oxl_json *json = event("repaired");

        (void)ctx, (void)err;
        set_text(json, "id", item->finding_id);
        set_text(json, "slug", item->slug);
        set_text(json, "path", item->path);
        oxl_json_set_string(json, "verdict", repair_text(item->verdict));
        set_text(json, "source", item->source);
        set_text(json, "detail", item->detail);
        say(json);
        return 0;
}

static void on_progress(void *ctx, const struct oxl_scrub_progress *p)
{
        struct oxl_json *json = event("progress");

        (void)ctx;
        atomic_store(&standing, p->state == OXL_SCRUB_PAUSED || p->state == OXL_SCRUB_WAITING);
        oxl_json_set_string(json, "state", oxl_scrub_state_text(p->state));
        oxl_json_set_u64(json, "bytes", p->bytes);
        oxl_json_set_u64(json, "bytes_total", p->bytes_total);
        oxl_json_set_u64(json, "rate", p->rate);
        oxl_json_set_u64(json, "read_us_p50", p->read_us_p50);
        oxl_json_set_u64(json, "read_us_p99", p->read_us_p99);
        say(json);
}

/* --- maintain ----------------------------------------------------------------------------------------------------------- */

static struct oxl_repo_options repo_options(const struct work *w)
{
        return (struct oxl_repo_options){
                .wait_ms = RECOVER_WAIT_MS,
                .trust = w->read_only,
                .command = "oxen-lited",
                .cancel = &cancelled,
                .recovered = on_recovered,
                .notice = on_notice,
        };
}

static struct oxl_scrub_target target_of(const struct work *w)
{
        return (struct oxl_scrub_target){ .path = w->path, .oxen = w->oxen, .state = w->state };
}

static struct oxl_json *passes(const struct oxl_scrub_status *s)
{
        struct oxl_json *list = oxl_json_array();

        for (size_t i = 0; i < ARRAY_LEN(s->passes) && s->passes[i].end_ns; i++) {
                const struct oxl_pass *p = &s->passes[i];
                struct oxl_json *row = oxl_json_object();
                oxl_json_set_i64(row, "begin", p->begin_ns);
                oxl_json_set_i64(row, "end", p->end_ns);
                oxl_json_set_u64(row, "files", p->files);
                oxl_json_set_u64(row, "bytes", p->bytes);
                oxl_json_set_u64(row, "findings", p->findings);
                oxl_json_set_u64(row, "unreadable", p->unreadable);
                oxl_json_set_bool(row, "whole", p->whole);
                oxl_json_set_bool(row, "clean", p->clean);
                oxl_json_set_bool(row, "scrub", p->scrub);
                oxl_json_append(list, row);
        }
        return list;
}

static void say_status(const struct oxl_scrub_status *s)
{
        struct oxl_json *json = event("status");

        oxl_json_set_u64(json, "files", s->files);
        oxl_json_set_u64(json, "bytes", s->bytes);
        oxl_json_set_u64(json, "verified_files", s->verified_files);
        oxl_json_set_u64(json, "verified_bytes", s->verified_bytes);
        oxl_json_set_u64(json, "never_files", s->never_files);
        oxl_json_set_u64(json, "never_bytes", s->never_bytes);
        oxl_json_set_u64(json, "overdue_files", s->overdue_files);
        oxl_json_set_u64(json, "overdue_bytes", s->overdue_bytes);
        oxl_json_set_u64(json, "damaged_files", s->damaged_files);
        oxl_json_set_u64(json, "findings", s->findings);
        oxl_json_set_u64(json, "open_intents", s->open_intents);
        oxl_json_set_u64(json, "rate_needed", s->rate_needed);
        oxl_json_set_i64(json, "oldest", s->oldest_ns);
        oxl_json_set_i64(json, "last_pass", s->last_pass_ns);
        oxl_json_set_i64(json, "last_clean", s->last_clean_ns);
        oxl_json_set_i64(json, "due", s->due_ns);
        oxl_json_set_bool(json, "met", s->met);
        oxl_json_set(json, "passes", passes(s));
        for (size_t i = 0; i < ARRAY_LEN(s->by_age); i++) {
                char key[16];
                (void)snprintf(key, sizeof key, "age_%zu", i);
                oxl_json_set_u64(json, key, s->by_age[i]);
        }
        say(json);
}

static int on_recorded(void *ctx, const struct oxl_scrub_finding *f, struct oxl_error *err)
{
        struct work *w = ctx;
        int problem = oxl_problem_find(f->slug);

        (void)err;
        if (w->n_recorded++ >= FINDINGS_MAX)
                return 0; /* the rest is only counted */
        struct oxl_json *json = event("recorded");
        set_text(json, "id", f->id);
        set_text(json, "slug", f->slug);
        oxl_json_set_string(
                json, "severity",
                severity_text(problem < 0 ? OXL_SEVERITY_ERROR : oxl_problem_severity((enum oxl_problem)problem)));
        set_text(json, "path", f->path);
        set_text(json, "detail", f->detail);
        say(json);
        return 0;
}

/* By name: what is known after a restart, and what others recorded. */
static int list_findings(struct work *w, struct oxl_error *err)
{
        const struct oxl_repo_options options = repo_options(w);
        const struct oxl_scrub_target target = target_of(w);

        w->n_recorded = 0;
        return oxl_scrub_findings(&target, &options, on_recorded, w, err);
}

static int status(const struct work *w, struct oxl_scrub_status *ret, struct oxl_error *err)
{
        const struct oxl_repo_options options = repo_options(w);
        const struct oxl_scrub_target target = target_of(w);

        *ret = (struct oxl_scrub_status){ 0 };
        return oxl_scrub_status(&target, &options, w->contract.days, ret, err);
}

/* Somebody who holds the writer lock is no failure: their verb has recovered, or its end will be heard. */
static int recover(struct work *w, struct oxl_error *err)
{
        const struct oxl_repo_options options = repo_options(w);
        struct oxl_repo *repo = NULL;
        int r = oxl_repo_open(w->path, &options, &repo, err);

        if (r == 0)
                r = oxl_repo_recover(repo, NULL, err);
        oxl_repo_close(repo);
        if (r != -OXL_E_LOCKED)
                return r;
        w->busy = true;
        oxl_error_done(err);
        return 0;
}

static int sweep(struct work *w, struct oxl_error *err)
{
        const struct oxl_repo_options options = repo_options(w);
        const struct oxl_sweeper_options how = { .dry_run = w->read_only, .worktree = true };
        struct oxl_sweeper_result result = { 0 };
        int r = w->oxen ? oxl_sweeper_oxen(w->path, &how, &cancelled, on_temp, w, &result, err)
                        : oxl_sweeper_repository(w->path, &options, &how, on_temp, w, &result, err);
        if (r < 0)
                return r;
        struct oxl_json *json = event("swept"), *by_proof = oxl_json_object();
        for (int p = 0; p < OXL_SWEEP_PROOFS; p++) {
                struct oxl_json *row = oxl_json_object();
                oxl_json_set_u64(row, "files", result.by_proof[p].files);
                oxl_json_set_u64(row, "bytes", result.by_proof[p].bytes);
                oxl_json_set(by_proof, oxl_sweep_proof_slug((enum oxl_sweep_proof)p), row);
        }
        oxl_json_set(json, "by_proof", by_proof);
        oxl_json_set_u64(json, "failed", result.failed);
        oxl_json_set_u64(json, "unreadable", result.unreadable);
        say(json);
        return 0;
}

static bool wanted(const struct work *w, const char *key)
{
        bool b = false;
        return oxl_json_get_bool(w->job, key, &b) && b;
}

/* A step that fails does not keep the next one from its work; the first error is the job's. */
static void note(int r, struct oxl_error *step, int *first, struct oxl_error *err)
{
        if (r < 0 && *first == 0) {
                *first = r;
                oxl_error_move(err, step);
        }
        oxl_error_done(step);
}

static int maintain(struct work *w, struct oxl_error *err)
{
        cleanup_error struct oxl_error step = OXL_ERROR_INIT;
        struct oxl_scrub_status s;
        int first = 0;

        note(status(w, &s, &step), &step, &first, err);
        if (wanted(w, "recover") && !w->oxen && s.open_intents > 0)
                note(recover(w, &step), &step, &first, err);
        if (wanted(w, "sweep") && w->full && !atomic_load(&cancelled))
                note(sweep(w, &step), &step, &first, err);
        int r = status(w, &s, &step);
        if (r == 0 && s.findings > 0)
                r = list_findings(w, &step);
        if (r == 0)
                say_status(&s);
        note(r, &step, &first, err);
        if (first < 0)
                return first;
        struct oxl_json *json = event("done");
        oxl_json_set_bool(json, "busy", w->busy);
        say(json);
        return 0;
}

/* --- scrub -------------------------------------------------------------------------------------------------------------- */

static int scrub(struct work *w, struct oxl_error *err)
{
        const struct oxl_repo_options options = repo_options(w);
        const struct oxl_scrub_target target = target_of(w);
        const struct oxl_scrub_callbacks callbacks = {
                .finding = on_finding,
                .repaired = on_repaired,
                .progress = on_progress,
                .ctx = w,
        };
        struct oxl_scrub_result result = { 0 };
        int r = oxl_scrub_run(&target, &options, &w->contract, w->control, &callbacks, &result, err);

        if (r < 0)
                return r;
        struct oxl_json *json = event("done");
        oxl_json_set_u64(json, "files", result.files);
        oxl_json_set_u64(json, "bytes", result.bytes);
        oxl_json_set_u64(json, "findings", result.findings);
        oxl_json_set_u64(json, "unreadable", result.unreadable);
        oxl_json_set_u64(json, "repaired", result.repaired);
        oxl_json_set_u64(json, "left", result.left);
        oxl_json_set_bool(json, "over_budget", result.over_budget);
        oxl_json_set_bool(json, "complete", result.complete);
        oxl_json_set_bool(json, "clean", result.clean);
        oxl_json_set_bool(json, "cancelled", !result.complete && atomic_load(&cancelled));
        say(json);
        return 0;
}

/* --- the process -------------------------------------------------------------------------------------------------------- */

static bool read_contract(struct work *w)
{
        struct oxl_scrub_contract *c = &w->contract;
        int64_t days = 0, pressure = 0, begin = 0, end = 0;

        oxl_scrub_contract_default(c);
        if (!oxl_json_get_int(w->job, "days", &days) || !oxl_json_get_int(w->job, "pressure", &pressure) ||
            !oxl_json_get_int(w->job, "window_begin", &begin) || !oxl_json_get_int(w->job, "window_end", &end))
                return false;
        c->days = (uint32_t)days;
        c->pressure = (uint32_t)pressure;
        c->window_begin = (int)begin;
        c->window_end = (int)end;
        c->media = wanted(w, "media");
        c->repair = wanted(w, "repair");
        c->from = w->from;
        c->all = w->full;
        return oxl_json_get_u64(w->job, "rate_max", &c->rate_max) && oxl_json_get_u64(w->job, "rate_min", &c->rate_min);
}

static bool read_job(struct work *w)
{
        uint64_t limit = 0;
        size_t n;

        if (!oxl_json_get_name(w->job, "path", &w->path, &n))
                return false;
        (void)oxl_json_get_name(w->job, "state", &w->state, &n);
        (void)oxl_json_get_name(w->job, "from", &w->from, &n);
        w->oxen = wanted(w, "oxen");
        w->read_only = wanted(w, "read_only");
        w->full = wanted(w, "full");
        if (!read_contract(w) || !oxl_json_get_u64(w->job, "limit", &limit) ||
            oxl_scrub_control_new(&w->control, NULL) < 0)
                return false;
        oxl_scrub_control_limit(w->control, limit);
        oxl_scrub_control_pause(w->control, wanted(w, "paused"));
        atomic_store(&running_control, w->control);
        return true;
}

/* A store may have become another's since the main process looked: with one user's rights nothing is done to the files of another. A native
 * repository is asked the same whenever it is opened for writing. */
static int check_owner(const struct work *w, struct oxl_error *err)
{
        static const char *const names[] = { "/.oxen", "" };
        struct stat st;

        for (size_t i = 0; w->oxen && !w->read_only && i < ARRAY_LEN(names); i++) {
                cleanup_free char *folder = util_format("%s%s", w->path, names[i]);
                if (!folder)
                        return util_error(err, OXL_E_NOMEM, 0, NULL, NULL);
                if (stat(folder, &st) < 0)
                        continue;
                return st.st_uid == geteuid() ? 0 : util_error(err, OXL_E_REPO_UNTRUSTED, 0, folder, NULL);
        }
        return 0;
}

static int work(struct work *w)
{
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        const char *job = oxl_json_get_string(w->job, "job");
        int r = check_owner(w, &err);

        if (r == 0)
                r = job && strcmp(job, job_names[JOB_SCRUB]) == 0 ? scrub(w, &err) : maintain(w, &err);
        if (r == 0)
                return 0;
        cleanup_free char *text = util_error_text(&err);
        struct oxl_json *json = event("failed");
        set_text(json, "text", text);
        oxl_json_set_bool(json, "cancelled", r == -OXL_E_CANCELLED);
        say(json);
        return r == -OXL_E_CANCELLED ? 0 : 1;
}

static void set_signals(void)
{
        struct sigaction stop = { .sa_handler = on_signal }, ignore = { .sa_handler = SIG_IGN };
        sigset_t lease;

        (void)sigaction(SIGTERM, &stop, NULL);
        (void)sigaction(SIGINT, &ignore, NULL); /* from the terminal: the main process tells us */
        (void)sigaction(SIGHUP, &ignore, NULL);
        (void)sigaction(SIGPIPE, &ignore, NULL);
        (void)sigaction(SIGXFSZ, &ignore, NULL);
        sigemptyset(&lease);
        sigaddset(&lease, SIGIO); /* somebody opened a file that we hold a lease on */
        (void)pthread_sigmask(SIG_BLOCK, &lease, NULL);
}

int worker_main(void)
{
        static struct input in; /* the thread may outlive this function */
        static struct orders orders;
        cleanup_json struct oxl_json *job = NULL;
        cleanup_free char *line = malloc(LINE_BYTES);
        struct work w = { 0 };
        pthread_t thread;

        set_signals();
        if (!line || !read_line(&in, line) || oxl_json_parse(line, strlen(line), "job", &job, NULL) < 0)
                return 1;
        w.job = job;
        if (!read_job(&w))
                return 1;
        orders = (struct orders){ &in, w.control };
        if (pthread_create(&thread, NULL, hear_orders, &orders) != 0)
                return 1;
        int status_code = work(&w);
        /* The thread may still use the control: both end with the process. */
        (void)pthread_detach(thread);
        free(w.path);
        free(w.state);
        free(w.from);
        return status_code;
}
