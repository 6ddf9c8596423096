/* SPDX-License-Identifier: MIT */
/*
 * A worker as a process: fork, the repository owner's rights, exec of ourselves, lines over a socket pair, its end.
 *
 * A worker has ended when it was reaped *and* its lines were read to the end: only then does the supervisor hear of it. Somebody else may
 * hold its end of the socket: so its lines end LINES_SECONDS after it was reaped, whoever goes on. It counts as done when it said so and
 * exited with 0. Between fork and exec only this thread exists in the child; every signal is blocked until the
 * handlers of the event loop are gone, so that none of them writes into the parent's pipe.
 */
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "daemon.h"

enum {
        CHILD_FD = 3,
        LINES_SECONDS = 3,
        LINE_MAX_BYTES = 64 * 1024,
        BUFFER_MAX_BYTES = 256 * 1024,
};

struct worker {
        struct worker *next;
        struct repository *repository;
        enum job_kind kind;
        pid_t pid;
        struct bufferevent *io; /* NULL after the end of its lines */
        struct event *silence;  /* runs off when it says nothing for too long; after a cancel or its exit: sooner */
        struct report report;
        bool full, exited, cancelled, broken;
        int status;         /* of waitpid */
        const char *killed; /* why we killed it; static text */
};

pid_t child_pid(const struct worker *w)
{
        return w->pid;
}

/* --- in the child ------------------------------------------------------------------------------------------------- */

/* Every right of the owner and no other; root's own repositories need no change. Who is in which group may be a question to a
 * directory service: it is asked here, where it keeps nobody waiting. An owner without a name has the folder's group. */
static bool become(uid_t uid, gid_t gid)
{
        uid_t u[3];
        gid_t g[3];

        if (geteuid() != 0 || uid == 0)
                return true;
        struct passwd *pw = getpwuid(uid);
        if (pw)
                gid = pw->pw_gid;
        if ((pw ? initgroups(pw->pw_name, gid) : setgroups(0, NULL)) < 0)
                return false;
        if (setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
                return false;
        if (getresuid(&u[0], &u[1], &u[2]) < 0 || getresgid(&g[0], &g[1], &g[2]) < 0)
                return false;
        for (int i = 0; i < 3; i++)
                if (u[i] != uid || g[i] != gid)
                        return false;
        return setresuid(0, 0, 0) < 0; /* there is no way back */
}

static void reset_signals(void)
{
        sigset_t none;

        for (int i = 1; i < NSIG; i++)
                (void)signal(i, SIG_DFL); /* fails for SIGKILL and SIGSTOP, and those of the C library */
        sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

_Noreturn static void run_child(const struct repository *r, int fd, pid_t parent)
{
        static const char *const private[] = { "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID",
                                               "LISTEN_FDS",    "LISTEN_PID",    "LISTEN_FDNAMES" };
        char name[] = "oxen-lited", option[] = "--worker";
        char *argv[] = { name, option, NULL };

        for (size_t i = 0; i < ARRAY_LEN(private); i++)
                (void)unsetenv(private[i]);
        if (geteuid() == 0 && r->uid != 0)
                (void)unsetenv("TMPDIR"); /* root's own: the owner may not be able to write there */
        reset_signals();
        if (fd == CHILD_FD ? fcntl(fd, F_SETFD, 0) < 0 : dup2(fd, CHILD_FD) < 0)
                _exit(70);
        if (close_range(CHILD_FD + 1, ~0U, 0) < 0 || !become(r->uid, r->gid))
                _exit(71);
        /* After the change of user, which forgets it. A parent that died in between cannot be heard of any more. */
        if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || getppid() != parent)
                _exit(72);
        execv("/proc/self/exe", argv);
        _exit(73);
}

/* --- the job ---------------------------------------------------------------------------------------------------------- */

/* The folder for ledgers of Oxen repositories of @uid: below ours, but the worker's own. NULL: there is none. */
static char *state_folder(const struct repository *r)
{
        char *path = util_format("%s/oxen-%ju", r->daemon->config.state, (uintmax_t)r->uid);
        struct stat st;

        if (path)
                (void)mkdir(path, 0700); /* what is there is looked at below */
        /* Root's own still: we made it now, or were killed before this. */
        bool roots = path && geteuid() == 0 && lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == 0;
        if (roots && r->uid != 0 && lchown(path, r->uid, r->gid) < 0)
                log_say(LOG_WARN, "cannot give '%s' to its user: %s", path, strerror(errno));
        if (path && (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode) || (!r->read_only && st.st_uid != r->uid))) {
                free(path);
                path = NULL;
        }
        return path;
}

static void add_contract(struct oxl_json *job, const struct repository *r, bool full)
{
        const struct oxl_scrub_contract *c = &r->scrub.contract;

        oxl_json_set_int(job, "days", (int)c->days);
        oxl_json_set_u64(job, "rate_max", c->rate_max);
        /* Somebody waits for it: no slower than the cap and the pressure say. */
        oxl_json_set_u64(job, "rate_min", full ? UINT64_C(1) << 40 : c->rate_min);
        oxl_json_set_bool(job, "media", c->media);
        oxl_json_set_int(job, "pressure", (int)c->pressure);
        oxl_json_set_int(job, "window_begin", full ? 0 : c->window_begin);
        oxl_json_set_int(job, "window_end", full ? 0 : c->window_end);
        oxl_json_set_bool(job, "repair", c->repair && !r->read_only);
        if (c->from)
                oxl_json_set_name(job, "from", c->from, strlen(c->from));
}

static char *job_line(const struct repository *r, enum job_kind kind, bool full)
{
        cleanup_json struct oxl_json *job = oxl_json_object();
        cleanup_free char *state = r->oxen ? state_folder(r) : NULL;
        char *line = NULL;

        oxl_json_set_string(job, "job", job_names[kind]);
        oxl_json_set_name(job, "path", r->path, strlen(r->path));
        oxl_json_set_bool(job, "oxen", r->oxen);
        oxl_json_set_bool(job, "read_only", r->read_only);
        oxl_json_set_bool(job, "recover", r->daemon->config.recover && !r->read_only);
        oxl_json_set_bool(job, "sweep", r->daemon->config.sweep);
        oxl_json_set_bool(job, "full", full);
        if (state)
                oxl_json_set_name(job, "state", state, strlen(state));
        oxl_json_set_bool(job, "paused", supervisor_paused(r));
        oxl_json_set_u64(job, "limit", r->daemon->state.limit);
        add_contract(job, r, full);
        return oxl_json_print(job, &line, NULL) < 0 ? NULL : line;
}

/* --- its end ------------------------------------------------------------------------------------------------------------ */

static char *failure_text(const struct worker *w)
{
        static const char *const starting[] = { "descriptors", "the owner's rights", "the parent", "exec" };

        if (w->killed)
                return util_format("the worker was killed: %s", w->killed);
        if (WIFSIGNALED(w->status))
                return util_format("the worker was killed by signal %d (%s)", WTERMSIG(w->status),
                                   strsignal(WTERMSIG(w->status)));
        if (w->report.error)
                return strdup(w->report.error);
        int code = WEXITSTATUS(w->status);
        if (code >= 70 && code <= 73)
                return util_format("the worker could not start: %s", starting[code - 70]);
        if (w->broken)
                return strdup("the worker said something that cannot be");
        if (code != 0 || !w->report.done)
                return util_format("the worker ended without a result (exit %d)", code);
        return NULL;
}

static void unlink_worker(struct worker *w)
{
        struct daemon *d = w->repository->daemon;

        for (struct worker **p = &d->workers; *p; p = &(*p)->next) {
                if (*p == w) {
                        *p = w->next;
                        d->n_workers--;
                        return;
                }
        }
}

static void finish(struct worker *w)
{
        struct repository *r = w->repository;
        cleanup_free char *why = NULL;

        if (!w->exited || w->io)
                return;
        struct job_end end = {
                .cancelled = w->cancelled || w->report.cancelled,
                .busy = w->report.busy,
                .complete = w->report.complete,
                .full = w->full,
        };
        /* What was asked to end owes no result. */
        why = w->cancelled && !w->killed ? NULL : failure_text(w);
        end.error = why;
        if (w->kind == JOB_SCRUB && w->report.complete && !why) {
                findings_done(&r->facts.findings);
                r->facts.findings = w->report.found;
                w->report.found = (struct findings){ 0 };
                r->facts.findings_known = true;
                r->facts.findings_recorded = !r->read_only;
        }
        unlink_worker(w);
        r->jobs[w->kind].worker = NULL;
        event_free(w->silence);
        report_done(&w->report);
        enum job_kind kind = w->kind;
        free(w);
        supervisor_ended(r, kind, &end);
}

static void take_lines(struct worker *w);

static void end_lines(struct worker *w)
{
        take_lines(w);
        bufferevent_free(w->io);
        w->io = NULL;
        finish(w);
}

/* It was reaped. Lines that are on their way still count. */
static void wind_up(struct worker *w)
{
        struct timeval limit = { .tv_sec = LINES_SECONDS };

        w->exited = true;
        if (w->io && evtimer_add(w->silence, &limit) < 0)
                end_lines(w);
        else
                finish(w);
}

void child_reap(struct daemon *d)
{
        for (struct worker *w = d->workers, *next; w; w = next) {
                next = w->next;
                if (w->exited)
                        continue;
                pid_t pid = waitpid(w->pid, &w->status, WNOHANG);
                if (pid == 0 || (pid < 0 && errno == EINTR))
                        continue;
                if (pid < 0)
                        w->status = 70 << 8; /* somebody else reaped it */
                wind_up(w);
        }
}

static void kill_worker(struct worker *w, const char *why)
{
        if (w->exited)
                return;
        w->killed = why;
        if (kill(w->pid, SIGKILL) < 0)
                log_say(LOG_ERROR, "cannot kill worker %d: %s", (int)w->pid, strerror(errno));
}

/* --- lines -------------------------------------------------------------------------------------------------------------- */

static void on_silence(evutil_socket_t fd, short what, void *ctx)
{
        struct worker *w = ctx;
        (void)fd, (void)what;
        if (w->exited)
                end_lines(w);
        else
                kill_worker(w, w->cancelled ? "it did not end when asked to" : "it was silent for too long");
}

static void heard(struct worker *w)
{
        struct timeval limit = { .tv_sec = w->repository->daemon->silence_seconds };
        if (!w->cancelled && !w->exited)
                (void)evtimer_add(w->silence, &limit);
}

static void take_lines(struct worker *w)
{
        struct evbuffer *in = bufferevent_get_input(w->io);
        char *line;
        size_t n;

        while ((line = evbuffer_readln(in, &n, EVBUFFER_EOL_LF))) {
                if (!w->broken && !report_line(w->repository, w->kind, &w->report, line, n)) {
                        w->broken = true;
                        kill_worker(w, "it said something that cannot be");
                }
                free(line);
        }
        if (evbuffer_get_length(in) > LINE_MAX_BYTES) {
                w->broken = true;
                kill_worker(w, "it said a line without an end");
                (void)evbuffer_drain(in, evbuffer_get_length(in));
        }
}

static void on_read(struct bufferevent *io, void *ctx)
{
        (void)io;
        heard(ctx);
        take_lines(ctx);
}

static void on_event(struct bufferevent *io, short what, void *ctx)
{
        struct worker *w = ctx;

        (void)io;
        if (!(what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)))
                return;
        end_lines(w);
}

static void say(struct worker *w, const char *line)
{
        if (w->io && bufferevent_write(w->io, line, strlen(line)) < 0)
                kill_worker(w, "out of memory");
}

void child_cancel(struct worker *w)
{
        struct timeval limit = { .tv_sec = STOP_SECONDS };

        if (w->cancelled)
                return;
        w->cancelled = true;
        say(w, "{\"do\":\"cancel\"}\n");
        if (!w->exited)
                (void)evtimer_add(w->silence, &limit);
}

bool child_is_full(const struct worker *w)
{
        return w->full;
}

void child_kill_all(struct daemon *d)
{
        for (struct worker *w = d->workers, *next; w; w = next) {
                next = w->next;
                if (w->exited)
                        end_lines(w);
                else
                        kill_worker(w, "it did not end when asked to");
        }
}

void child_steer(struct worker *w, bool paused, uint64_t limit)
{
        cleanup_free char *line = util_format("{\"do\":\"%s\"}\n{\"do\":\"limit\",\"rate\":\"%ju\"}\n",
                                              paused ? "pause" : "resume", (uintmax_t)limit);
        if (line)
                say(w, line);
}

/* --- start -------------------------------------------------------------------------------------------------------------- */

static void discard(struct worker *w)
{
        if (w->io)
                bufferevent_free(w->io);
        if (w->silence)
                event_free(w->silence);
        free(w);
}

/* Everything that can fail, before there is a process. */
static struct worker *prepare(struct repository *r, enum job_kind kind, bool full, int *ret_theirs)
{
        cleanup_free char *line = job_line(r, kind, full);
        cleanup_fd int theirs = -1;
        struct worker *w = line ? calloc(1, sizeof *w) : NULL;
        int pair[2];

        if (!w)
                return NULL;
        *w = (struct worker){ .repository = r, .kind = kind, .full = full };
        w->silence = evtimer_new(r->daemon->base, on_silence, w);
        if (!w->silence || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
                discard(w);
                return NULL;
        }
        theirs = pair[1];
        (void)evutil_make_socket_nonblocking(pair[0]);
        w->io = bufferevent_socket_new(r->daemon->base, pair[0], BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
        if (!w->io)
                (void)close(pair[0]);
        if (!w->io || bufferevent_write(w->io, line, strlen(line)) < 0 || bufferevent_write(w->io, "\n", 1) < 0) {
                discard(w);
                return NULL;
        }
        bufferevent_setwatermark(w->io, EV_READ, 0, BUFFER_MAX_BYTES);
        *ret_theirs = util_take_fd(&theirs);
        return w;
}

int child_start(struct repository *r, enum job_kind kind, bool full)
{
        struct daemon *d = r->daemon;
        cleanup_fd int theirs = -1;
        struct worker *w = prepare(r, kind, full, &theirs);
        sigset_t all, before;
        pid_t parent = getpid();

        if (!w)
                return -ENOMEM;
        sigfillset(&all);
        (void)sigprocmask(SIG_SETMASK, &all, &before);
        w->pid = fork();
        if (w->pid == 0)
                run_child(r, theirs, parent);
        int e = errno;
        (void)sigprocmask(SIG_SETMASK, &before, NULL);
        if (w->pid < 0) {
                discard(w);
                return -e;
        }
        w->next = d->workers;
        d->workers = w;
        d->n_workers++;
        r->jobs[kind].worker = w;
        bufferevent_setcb(w->io, on_read, NULL, on_event, w);
        (void)bufferevent_enable(w->io, EV_READ | EV_WRITE);
        heard(w);
        return 0;
}
