/* SPDX-License-Identifier: MIT */
/*
 * Reading one file for verification: paced, counted, and around the cache where that was asked for.
 *
 * The pace is a bucket without a floor: a read waits until all bytes read so far are paid for at the rate, then may take
 * its piece on credit. So in any span of time no more is read than the rate allows, and one piece per thread.
 *
 * O_DIRECT wants aligned memory, offsets and lengths: whole windows are read, aligned to the largest block that devices
 * have. Bytes count as read from the medium only when O_DIRECT was taken by a file system that has one: dropping a file from the
 * cache is only advice.
 */
#include <linux/magic.h>
#include <string.h>

#include "check/pass.h"
#include "os/fdio.h"

enum {
        ALIGN_BYTES = 64 << 10,
        WINDOW_BYTES = 256 << 10,
        SLICE_NS = 100000000, /* between two looks at the caller's flag */
};
#define SECOND_NS INT64_C(1000000000)
#define ZFS_MAGIC 0x2fc12fc1

int64_t oxl_check_clock(clockid_t clock)
{
        struct timespec t;
        if (oxl_sys->clock_gettime(clock, &t) < 0)
                return 0;
        return (int64_t)t.tv_sec * SECOND_NS + t.tv_nsec;
}

/* --- the pace --- */

static void pace_wait(struct oxl_check *c, size_t n)
{
        if (c->limits.hooks && c->limits.hooks->pace)
                c->limits.hooks->pace(c->limits.hooks->ctx, n, -1, false);
        if (c->limits.rate == 0)
                return;
        for (;;) {
                pthread_mutex_lock(&c->pace.mutex);
                int64_t left = c->pace.free_ns - oxl_check_clock(CLOCK_MONOTONIC);
                pthread_mutex_unlock(&c->pace.mutex);
                if (left <= 0 || oxl_check_poll(c, NULL) < 0)
                        return;
                if (left > SLICE_NS)
                        left = SLICE_NS;
                OXL_IGNORE(oxl_sys->nanosleep(&(struct timespec){ .tv_nsec = (long)left }, NULL),
                           "woken early: one more look at the clock");
        }
}

/* Where somebody measures. */
static int64_t now(const struct oxl_check *c)
{
        return c->limits.hooks && c->limits.hooks->pace ? oxl_check_clock(CLOCK_MONOTONIC) : 0;
}

static void pace_pay(struct oxl_check *c, size_t n)
{
        atomic_fetch_add_explicit(&c->pace.bytes, n, memory_order_relaxed);
        if (c->limits.rate == 0)
                return;
        int64_t now = oxl_check_clock(CLOCK_MONOTONIC);
        pthread_mutex_lock(&c->pace.mutex);
        if (c->pace.free_ns < now)
                c->pace.free_ns = now;
        c->pace.free_ns += (int64_t)((double)n * 1e9 / (double)c->limits.rate);
        pthread_mutex_unlock(&c->pace.mutex);
}

/* @began: before the read, by the monotonic clock; 0: nobody wants to know. */
static void count(struct oxl_reader *r, size_t n, int64_t began)
{
        const struct oxl_check_hooks *h = r->c->limits.hooks;
        if (h && h->pace)
                h->pace(h->ctx, n, oxl_check_clock(CLOCK_MONOTONIC) - began, r->direct && r->trusted);
        if (!r->direct || !r->trusted)
                r->cached += n;
        if (r->c->limits.media)
                atomic_fetch_add_explicit(r->direct && r->trusted ? &r->c->pace.medium : &r->c->pace.cache, n,
                                          memory_order_relaxed);
        pace_pay(r->c, n);
}

/* --- direct --- */

/* Fills the window that has @at. 0; -1 with errno. */
static int fill(struct oxl_reader *r, uint64_t at)
{
        r->window_at = at / ALIGN_BYTES * ALIGN_BYTES;
        r->window_len = 0;
        while (r->window_len < WINDOW_BYTES) {
                ssize_t got = oxl_sys->pread(r->fd, r->window + r->window_len, WINDOW_BYTES - r->window_len,
                                             (off_t)(r->window_at + r->window_len));
                if (got < 0 && errno == EINTR)
                        continue;
                if (got < 0) {
                        r->window_len = 0;
                        return -1;
                }
                r->window_len += (size_t)got;
                if (got == 0 || r->window_len % ALIGN_BYTES != 0)
                        break; /* the end */
        }
        return 0;
}

static ssize_t read_direct(struct oxl_reader *r, uint8_t *buf, size_t n, uint64_t at)
{
        size_t done = 0;
        while (done < n) {
                uint64_t from = at + done;
                if (from < r->window_at || from >= r->window_at + r->window_len) {
                        pace_wait(r->c, WINDOW_BYTES);
                        int64_t began = now(r->c);
                        if (fill(r, from) < 0)
                                return -1;
                        count(r, r->window_len, began);
                        if (from >= r->window_at + r->window_len)
                                break;
                }
                size_t skip = (size_t)(from - r->window_at), have = r->window_len - skip;
                if (have > n - done)
                        have = n - done;
                memcpy(buf + done, r->window + skip, have);
                done += have;
        }
        return (ssize_t)done;
}

/* --- either way --- */

static ssize_t read_cached(struct oxl_reader *r, void *buf, size_t n, uint64_t at)
{
        pace_wait(r->c, n);
        int64_t began = now(r->c);
        ssize_t got = oxl_fd_pread_full(r->fd, buf, n, at);
        if (got > 0)
                count(r, (size_t)got, began);
        return got;
}

static ssize_t read_source(void *ctx, void *buf, size_t n, uint64_t at)
{
        struct oxl_reader *r = ctx;
        ssize_t got = r->direct ? read_direct(r, buf, n, at) : read_cached(r, buf, n, at);
        struct oxl_check *c = r->c;
        if (c->limits.jobs <= 1) /* then this is the main thread */
                oxl_check_content_progress(c);
        return got;
}

/* Does the file system keep files on something but memory, and does it take O_DIRECT at its word? */
static bool has_medium(int fd)
{
        struct statfs s;
        if (oxl_sys->fstatfs(fd, &s) < 0)
                return false;
        unsigned long type = (unsigned long)s.f_type & 0xffffffff;
        return type != TMPFS_MAGIC && type != RAMFS_MAGIC && type != ZFS_MAGIC;
}

static int open_file(struct oxl_check *c, const char *path, int more)
{
        return oxl_open_beneath(c->root_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | more, 0);
}

/* Opened with O_DIRECT and able to read so? False: not, and closed. */
static bool open_direct(struct oxl_reader *r, const char *path)
{
        struct stat st;
        r->fd = open_file(r->c, path, O_DIRECT);
        if (r->fd < 0)
                return false;
        r->window = aligned_alloc(ALIGN_BYTES, WINDOW_BYTES);
        pace_wait(r->c, WINDOW_BYTES);
        int64_t began = now(r->c);
        r->direct = r->window && oxl_fd_stat(r->fd, &st) == 0 && S_ISREG(st.st_mode) &&
                    (fill(r, 0) == 0 || errno != EINVAL); /* some refuse only when they read */
        if (!r->direct) {
                oxl_fd_done(&r->fd);
                return false;
        }
        r->trusted = has_medium(r->fd);
        count(r, r->window_len, began); /* after an error there is nothing: it comes again where it is expected */
        return true;
}

int oxl_reader_open(struct oxl_reader *r, struct oxl_check *c, const char *path, struct oxl_error *err)
{
        oxl_reader_done(r);
        *r = (struct oxl_reader){ .c = c, .fd = -1, .source = { .read = read_source, .ctx = r } };
        if (c->limits.media && open_direct(r, path))
                return 0;
        r->fd = open_file(c, path, 0);
        if (r->fd < 0)
                return OXL_FAIL_OS(err, FILE_OPEN, path);
        if (c->limits.media)
                OXL_IGNORE(oxl_sys->fadvise(r->fd, 0, 0, POSIX_FADV_DONTNEED), "the bytes count as the cache's anyway");
        return 0;
}

void oxl_reader_again(struct oxl_reader *r)
{
        r->window_len = 0;
}

void oxl_reader_done(struct oxl_reader *r)
{
        oxl_fd_done(&r->fd);
        free(r->window);
        r->window = NULL;
        r->window_len = 0;
}
