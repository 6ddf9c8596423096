/* SPDX-License-Identifier: MIT */
/*
 * Who died? A writer has `locks` open for writing as long as it lives, so its end, however it came, is IN_CLOSE_WRITE on that file.
 *
 * The file itself is watched, not its folder: one event for each writer's end, none for the rest of its work. The kernel tells before
 * it drops the lock (close comes before the release in __fput), so the question is asked a moment later, and once more after two
 * seconds; then nothing runs until the next event. The question: is there a record in `owners/` whose byte of `locks` is free
 * (F_OFD_GETLK through a descriptor opened for reading, as FORMAT section 8 says)? A clean end removes its record, so most events cost
 * one readdir of an empty folder.
 *
 * Each event also makes the repository `dirty`, and the slow timer maintains what is dirty: whatever no record tells.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "daemon.h"

enum {
        LOOK_MS = 100,
        LOOK_AGAIN_MS = 2000,
        OWNERS_MAX = 4096, /* records that one look reads */
        WRITER_BYTE = 0,   /* of `locks`; FORMAT section 8 */
};
#define OWNER_BASE (UINT64_C(1) << 62)

/* --- owners ------------------------------------------------------------------------------------------------------------- */

static int open_folder(const struct repository *r, const char *name, int flags)
{
        cleanup_free char *path = util_format("%s/.oxen-lite/%s", r->path, name);
        return path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | flags) : -1;
}

/* "00af…" (16 lowercase hex digits) -> number; owners are below 2^62. */
static bool owner_number(const char *name, uint64_t *ret)
{
        uint64_t n = 0;
        size_t i = 0;

        for (; name[i]; i++) {
                const char *digit = strchr("0123456789abcdef", name[i]);
                if (!digit || i == 16)
                        return false;
                n = n << 4 | (uint64_t)(digit - "0123456789abcdef");
        }
        *ret = n;
        return i == 16 && n != 0 && n < OWNER_BASE;
}

/* Does nobody hold @byte? An error is no proof. */
static bool is_free(int locks, uint64_t byte)
{
        struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1 };
        return fcntl(locks, F_OFD_GETLK, &l) == 0 && l.l_type == F_UNLCK;
}

static bool is_leftover(const struct repository *r, uint64_t number)
{
        for (size_t i = 0; i < r->n_leftovers; i++)
                if (r->leftovers[i] == number)
                        return true;
        return false;
}

/* A walk over the records of dead owners. */
struct dead {
        int locks;
        DIR *dir;
        int left; /* records that this walk may still read */
};

static void dead_done(struct dead *w)
{
        util_closep(&w->locks);
        if (w->dir)
                (void)closedir(w->dir);
}

static struct dead dead_begin(const struct repository *r)
{
        struct dead w = { .locks = open_folder(r, "locks", 0), .left = OWNERS_MAX };
        int fd = w.locks >= 0 ? open_folder(r, "owners", O_DIRECTORY) : -1;

        w.dir = fd >= 0 ? fdopendir(fd) : NULL;
        if (fd >= 0 && !w.dir)
                (void)close(fd);
        return w;
}

static bool dead_next(struct dead *w, uint64_t *ret)
{
        struct dirent *entry;

        while (w->dir && w->left-- > 0 && (entry = readdir(w->dir)))
                if (owner_number(entry->d_name, ret) && is_free(w->locks, OWNER_BASE + *ret))
                        return true;
        return false;
}

bool watch_owner_died(struct repository *r)
{
        cleanup(dead_done) struct dead w = dead_begin(r);
        uint64_t number;

        while (dead_next(&w, &number))
                if (!is_leftover(r, number))
                        return true;
        return false;
}

void watch_remember(struct repository *r)
{
        cleanup(dead_done) struct dead w = dead_begin(r);
        uint64_t number;

        r->n_leftovers = 0;
        while (r->n_leftovers < LEFTOVERS_MAX && dead_next(&w, &number))
                r->leftovers[r->n_leftovers++] = number;
}

/* --- events ------------------------------------------------------------------------------------------------------------- */

static void look_in(struct repository *r, int ms)
{
        struct timeval soon = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
        (void)evtimer_add(r->look, &soon);
}

/*
 * May a writer that ended in order have changed what was heard last? It may have healed findings. Where a writer kept us from
 * recovering, it ended the open intents, or they were its own; while one holds the lock we would not get further, and its end will be heard.
 */
static bool is_old_news(const struct repository *r)
{
        cleanup_fd int locks = r->busy ? open_folder(r, "locks", 0) : -1;

        return r->busy ? is_free(locks, WRITER_BYTE) : status_findings_open(r) > 0;
}

static void on_look(evutil_socket_t fd, short what, void *ctx)
{
        struct repository *r = ctx;

        (void)fd, (void)what;
        r->looks++;
        if (watch_owner_died(r)) {
                r->looks = 0;
                supervisor_want(r, JOB_MAINTAIN, true);
        } else if (r->looks == 1) {
                look_in(r, LOOK_AGAIN_MS);
        } else {
                r->looks = 0;
                if (is_old_news(r))
                        supervisor_want(r, JOB_MAINTAIN, false);
        }
}

static void on_writer_ended(struct repository *r)
{
        r->dirty = true;
        r->looks = 0;
        look_in(r, LOOK_MS);
}

/* Forgets the watch of every repository that had it: the file is gone or not the same any more. The slow timer looks for a new one. */
static void on_lost(struct daemon *d, int watch)
{
        for (size_t i = 0; i < d->n_repositories; i++)
                if (d->repositories[i]->watch == watch)
                        d->repositories[i]->watch = -1;
}

static void on_inotify_record(struct daemon *d, const struct inotify_event *e)
{
        if (e->mask & IN_Q_OVERFLOW)
                log_say(LOG_WARN, "inotify lost events: every repository is looked at");
        for (size_t i = 0; i < d->n_repositories; i++) {
                struct repository *r = d->repositories[i];
                if (r->present &&
                    (e->mask & IN_Q_OVERFLOW || (r->watch >= 0 && r->watch == e->wd && e->mask & IN_CLOSE_WRITE)))
                        on_writer_ended(r);
        }
        if (e->mask & IN_IGNORED)
                on_lost(d, e->wd);
}

void watch_drain(struct daemon *d)
{
        union {
                struct inotify_event event;
                char bytes[16 * (sizeof(struct inotify_event) + NAME_MAX + 1)];
        } buffer;
        ssize_t n;

        while (d->inotify >= 0 && (n = read(d->inotify, &buffer, sizeof buffer)) > 0) {
                for (ssize_t at = 0; at + (ssize_t)sizeof(struct inotify_event) <= n;) {
                        struct inotify_event e;
                        memcpy(&e, buffer.bytes + at, sizeof e);
                        on_inotify_record(d, &e);
                        at += (ssize_t)(sizeof e + e.len);
                }
        }
}

static void on_inotify(evutil_socket_t fd, short what, void *ctx)
{
        (void)fd, (void)what;
        watch_drain(ctx);
}

/* --- watches ------------------------------------------------------------------------------------------------------------ */

void watch_begin(struct daemon *d)
{
        d->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        if (d->inotify >= 0)
                d->inotify_event = event_new(d->base, d->inotify, EV_READ | EV_PERSIST, on_inotify, d);
        if (d->inotify < 0 || !d->inotify_event || event_add(d->inotify_event, NULL) < 0)
                log_say(LOG_WARN, "no inotify (%s): repositories are looked at every %d seconds", strerror(errno),
                        FAST_SECONDS);
}

void watch_done(struct daemon *d)
{
        if (d->inotify_event)
                event_free(d->inotify_event);
        if (d->inotify >= 0)
                (void)close(d->inotify);
        d->inotify = -1;
        d->inotify_event = NULL;
}

/* Again for one that is watched already: the kernel gives the same number while it is the same file. */
void watch_add(struct repository *r)
{
        struct daemon *d = r->daemon;
        cleanup_free char *path = util_format("%s/.oxen-lite/locks", r->path);

        if (!r->look)
                r->look = evtimer_new(d->base, on_look, r);
        if (d->inotify < 0 || !path || !r->look || r->oxen)
                return;
        int watch = inotify_add_watch(d->inotify, path, IN_CLOSE_WRITE | IN_DONT_FOLLOW);
        if (watch < 0 && (errno == ENOSPC || errno == ENOMEM) && !d->inotify_full) {
                d->inotify_full = true;
                log_say(LOG_WARN,
                        "no more inotify watches (fs.inotify.max_user_watches): the rest is looked at every %d seconds",
                        FAST_SECONDS);
        }
        if (r->watch >= 0 && watch != r->watch)
                watch_drop(r);
        /* Who closed the file before this and has not dropped its lock yet is heard by nobody. */
        if (watch >= 0 && watch != r->watch)
                on_writer_ended(r);
        r->watch = watch;
}

void watch_drop(struct repository *r)
{
        int watch = r->watch;

        r->watch = -1;
        for (size_t i = 0; watch >= 0 && i < r->daemon->n_repositories; i++)
                if (r->daemon->repositories[i] != r && r->daemon->repositories[i]->watch == watch)
                        return;
        if (watch >= 0)
                (void)inotify_rm_watch(r->daemon->inotify, watch); /* EINVAL: the file went first */
}
