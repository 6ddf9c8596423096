/* SPDX-License-Identifier: MIT */
/*
 * The main process of oxen-lited: one thread, one event loop (libevent). It decides when; workers do (worker.c, child.c).
 *
 *   main.c        options, life of the process
 *   supervisor.c  table of repositories, what is due, jobs: when they start, what their end means
 *   watch.c       inotify on `locks`, and the question whether an owner died
 *   child.c       a worker as a process: start, lines, liveness, end
 *   report.c      what a worker's lines say, into the table
 *   server.c      control socket       status.c, metrics.c  what it answers       state.c  what holds after a restart
 *
 * Invariants: the main process opens no journal, pack or blob; it never waits for a worker, a client or a file system's lock. What a
 * worker or a client says is checked like any input: a worker runs as the repository's owner, who may be anybody.
 * What a crash leaves: the socket's name (replaced at the next start), workers that end by themselves (worker.c), state.json old or new.
 */
#ifndef OXEN_LITED_DAEMON_H
#define OXEN_LITED_DAEMON_H

#include <sys/types.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include <oxenlite/json.h>
#include <oxenlite/scrub.h>
#include <oxenlite/sweeper.h>

#include "config.h"
#include "log.h"
#include "util.h"

enum {
        FINDINGS_MAX = 1000, /* kept of each repository; more are counted */
        LEFTOVERS_MAX = 64,
        SLOW_SECONDS = 600,
        FAST_SECONDS = 5, /* of the slow timer where inotify cannot be had */
        DAY_SECONDS = 86400,
        STOP_SECONDS = 20,     /* that workers get to end */
        CLIENT_SECONDS = 10,   /* for a whole request, or to take the answer */
        SILENCE_SECONDS = 600, /* after which a worker is taken for stuck */
        RETRY_FIRST_MS = 2000,
        RETRY_MAX_MS = 3600 * 1000,
};

struct daemon;
struct repository;

enum job_kind { JOB_MAINTAIN = 0, JOB_SCRUB, JOB_KINDS };
extern const char *const job_names[JOB_KINDS];

struct finding {
        char *id, *slug, *severity, *path, *object, *verdict, *detail;
        bool repaired;
};
struct findings {
        struct finding *items;
        size_t n;
        uint64_t more; /* heard of, not kept */
};
void findings_done(struct findings *f);
uint64_t findings_open(const struct findings *f); /* those that were not repaired */

struct job {
        struct worker *worker; /* NULL: it does not run */
        bool wanted;
        bool full;         /* maintain: a sweep, too; scrub: asked for by somebody, so outside of the window too */
        unsigned failures; /* in a row */
        uint64_t done, failures_total;
        int64_t not_before_ms; /* monotonic: pause after a failure */
        char *error;           /* owned: of the last failure; NULL after a success */
};

enum outcome { OUTCOME_FORWARD = 0, OUTCOME_BACK, OUTCOME_SUPERSEDED, OUTCOMES };
extern const char *const outcome_names[OUTCOMES];

/* What is known about a repository, from its workers. Counters run since the start of the daemon. */
struct facts {
        bool have_status;
        struct oxl_scrub_status status;
        struct {
                uint64_t files, bytes;
        } swept[OXL_SWEEP_PROOFS], kept[OXL_SWEEP_PROOFS];
        uint64_t recoveries[OUTCOMES];
        uint64_t bytes_verified;
        uint64_t read_us_p50, read_us_p99;
        struct findings findings; /* of the ledger, and what a pass found since */
        bool findings_known;      /* false: the ledger was not read yet */
        bool findings_recorded;   /* all of them are in the ledger: what is not there any more is settled */
};

struct repository {
        struct daemon *daemon;
        char *path; /* owned; absolute, no slash at the end */
        char *real; /* owned; the same with links resolved, while it is there; may be NULL */
        enum config_kind kind;
        struct config_scrub scrub;
        bool listed; /* by the settings as they are now; else it goes when its workers have ended */

        bool present, oxen, read_only;
        char *absent_why; /* owned; may be NULL */
        dev_t device;     /* of its folder */
        ino_t inode;
        uid_t uid;
        gid_t gid;

        int watch;          /* inotify descriptor of `locks`; -1: none */
        bool dirty;         /* somebody wrote since it was last maintained */
        bool busy;          /* somebody else was at work when it was last maintained */
        struct event *look; /* soon: see whether an owner died */
        unsigned looks;
        uint64_t leftovers[LEFTOVERS_MAX]; /* dead owners that maintaining did not remove: of other machines */
        size_t n_leftovers;

        struct job jobs[JOB_KINDS];
        int64_t maintained_ms;              /* monotonic: end of the last maintain job with a sweep; 0: never */
        int64_t passed_ms;                  /* monotonic: end of the last complete pass since the start; 0: none */
        struct oxl_scrub_progress progress; /* of the running pass */
        struct facts facts;
};

struct state {
        bool paused;
        uint64_t limit; /* 0: as configured */
        char *by;       /* owned; who asked last, for people; may be NULL */
        char **paths;   /* repositories that are paused, in the table or not */
        size_t n_paths;
};

struct daemon {
        struct event_base *base;
        const char *config_path;
        unsigned client_seconds, silence_seconds; /* as above, but for tests */
        struct config config;
        bool config_ok;
        struct config_errors config_errors; /* of the last reload */
        struct state state;
        int state_lock; /* descriptor */

        struct repository **repositories;
        size_t n_repositories;
        struct worker *workers; /* list */
        size_t n_workers;

        int inotify; /* -1: none */
        bool inotify_full;
        struct event *inotify_event;
        struct event *schedule, *slow, *watchdog, *publish, *stop;
        struct event *signals[4];
        struct timeval watchdog_every;
        int64_t published_ms, textfile_ms, refreshed_ms; /* monotonic: when it was done last */
        char *told;                                      /* STATUS= that systemd heard last */
        struct server *server;
        int64_t started_ns;
        bool stopping;
        int exit;
};

/* --- supervisor.c --- */
int supervisor_begin(struct daemon *d, struct oxl_error *err); /* the table, timers, everything wanted once */
void supervisor_stop(struct daemon *d); /* asks workers to end; the loop ends with the last one */
void supervisor_done(struct daemon *d);
/* Settings anew. 0; CONFIG_BAD: the old ones stay, d->config_errors says why; < 0. */
int supervisor_reload(struct daemon *d, struct oxl_error *err);
void supervisor_schedule(struct daemon *d); /* soon: start what is due, set the timers */
struct repository *supervisor_find(struct daemon *d, const char *path);
void supervisor_want(struct repository *r, enum job_kind kind, bool full);
/* A worker has ended. @error NULL: it did its job. @busy: but somebody else's lock kept it from recovering. */
struct job_end {
        const char *error;
        bool cancelled, busy, complete, full;
};
void supervisor_ended(struct repository *r, enum job_kind kind, const struct job_end *end);
/* What a running pass must hear after paused or limit changed. */
void supervisor_steer(struct daemon *d);
bool supervisor_paused(const struct repository *r);
/* Something that status shows has changed. */
void supervisor_changed(struct daemon *d);

/* --- watch.c --- */
void watch_begin(struct daemon *d);
void watch_done(struct daemon *d);
void watch_add(struct repository *r);
void watch_drop(struct repository *r);
void watch_drain(struct daemon *d);          /* hears now what inotify has to say */
bool watch_owner_died(struct repository *r); /* since it was last maintained */
void watch_remember(struct repository *r);   /* the dead of now: not news any more */

/* --- child.c --- */
/* Starts a worker; its end is heard by supervisor_ended(). 0, or a negative errno. */
int child_start(struct repository *r, enum job_kind kind, bool full);
void child_cancel(struct worker *w);
bool child_is_full(const struct worker *w);
void child_kill_all(struct daemon *d);
void child_steer(struct worker *w, bool paused, uint64_t limit);
pid_t child_pid(const struct worker *w);
void child_reap(struct daemon *d); /* after SIGCHLD */

/* --- report.c --- */
/* What is collected while a worker runs. */
struct report {
        bool done, busy, complete, cancelled;
        char *error; /* owned: the worker's own failure */
        struct findings found;
        uint64_t bytes; /* of the pass, as counted so far */
};
void report_done(struct report *p);
/* One line of a worker. false: it is not what a worker says. */
bool report_line(struct repository *r, enum job_kind kind, struct report *p, const char *line, size_t n);

/* --- status.c, metrics.c, state.c --- */
struct oxl_json *status_document(struct daemon *d, struct repository *only);
struct oxl_json *status_findings(struct repository *r);
const char *status_state(const struct repository *r);
uint64_t status_findings_open(const struct repository *r);
void metrics_write(struct daemon *d, struct evbuffer *to);
void metrics_textfile(struct daemon *d);
OXL_MUST_CHECK int state_load(struct daemon *d, struct oxl_error *err);
OXL_MUST_CHECK int state_save(struct daemon *d, struct oxl_error *err);
void state_done(struct state *s);
/* @path NULL: all. Resuming all resumes each. NOMEM. */
OXL_MUST_CHECK int state_pause(struct state *s, const char *path, bool paused, struct oxl_error *err);
bool state_paused(const struct state *s, const char *path);

/* --- server.c --- */
/* supervisor_reload(), said to the manager and in the log. */
OXL_MUST_CHECK int server_reload(struct daemon *d, struct oxl_error *err);
OXL_MUST_CHECK int server_begin(struct daemon *d, struct oxl_error *err);
void server_publish(struct daemon *d); /* to those that watch */
void server_done(struct daemon *d);

/* --- worker.c: the other process --- */
int worker_main(void);

#endif
