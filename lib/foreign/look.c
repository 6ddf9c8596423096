/* SPDX-License-Identifier: MIT */
/*
 * Looking twice, as fsck does in a repository of ours: a file whose bytes do not hash to its name is dropped from
 * the cache and read again. Right the second time: transient. The same wrong bytes: media. Other wrong bytes:
 * memory-suspect. A file that was replaced or written to between the looks is no suspect: the new one is looked at.
 *
 * Types are asked for before anything is opened: a FIFO is never opened, a link never followed.
 */
#include "foreign/oxen.h"

enum { LOOKS_MAX = 16 };

static bool same_time(const struct timespec *a, const struct timespec *b)
{
        return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

bool oxl_oxen_same(const struct stat *a, const struct stat *b)
{
        return oxl_stat_same(a, b) && a->st_size == b->st_size && same_time(&a->st_mtim, &b->st_mtim);
}

int oxl_oxen_open(int dirfd, const char *name, const char *shown, int *ret_fd, struct stat *ret_st,
                  struct oxl_error *err)
{
        struct stat st;
        if (oxl_fd_stat_at(dirfd, name, &st) < 0)
                return errno == ENOENT ? 1 : OXL_FAIL_OS(err, FILE_STAT, shown);
        if (!S_ISREG(st.st_mode))
                return 1;
        cleanup_fd int fd = oxl_fd_open(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
        if (fd < 0)
                return errno == ENOENT || errno == ELOOP ? 1 : OXL_FAIL_OS(err, FILE_OPEN, shown);
        if (oxl_fd_stat(fd, &st) < 0)
                return OXL_FAIL_OS(err, FILE_STAT, shown);
        if (!S_ISREG(st.st_mode))
                return 1;
        *ret_st = st;
        *ret_fd = take_fd(&fd);
        return 0;
}

/* One read, paced when somebody wants that; asked for after it was waited for, so that nobody waits to be cancelled. */
static ssize_t read_paced(const struct oxl_oxen *x, int fd, bool medium)
{
        const struct oxl_oxen_hooks *h = x->hooks;
        struct timespec began = { 0 }, ended = { 0 };
        if (!h || !h->pace)
                return oxl_fd_read(fd, x->buf, OXL_OXEN_BUFFER);
        h->pace(h->ctx, OXL_OXEN_BUFFER, -1, false);
        OXL_IGNORE(oxl_sys->clock_gettime(CLOCK_MONOTONIC, &began), "cannot fail for this clock");
        ssize_t n = oxl_fd_read(fd, x->buf, OXL_OXEN_BUFFER);
        OXL_IGNORE(oxl_sys->clock_gettime(CLOCK_MONOTONIC, &ended), "cannot fail for this clock");
        if (n > 0)
                h->pace(h->ctx, (uint64_t)n,
                        (int64_t)(ended.tv_sec - began.tv_sec) * 1000000000 + ended.tv_nsec - began.tv_nsec, medium);
        return n;
}

static int hash_from(const struct oxl_oxen *x, int fd, bool medium, const char *shown, struct oxl_digest *ret_id,
                     uint64_t *ret_bytes, struct oxl_error *err)
{
        struct oxl_hasher h;
        uint64_t bytes = 0;
        oxl_hasher_init(&h, OXL_ALGO_XXH3_128);
        for (;;) {
                int r = oxl_oxen_poll(x, err);
                if (r < 0)
                        return r;
                ssize_t n = read_paced(x, fd, medium);
                if (n < 0)
                        return OXL_FAIL_OS(err, FILE_READ, shown);
                if (n == 0)
                        break;
                oxl_hasher_update(&h, x->buf, (size_t)n);
                bytes += (uint64_t)n;
                if (medium && n < OXL_OXEN_BUFFER)
                        break; /* the end: the next offset would not be aligned */
        }
        oxl_hasher_final(&h, ret_id);
        *ret_bytes = bytes;
        return 0;
}

int oxl_oxen_hash_fd(const struct oxl_oxen *x, int fd, const char *shown, struct oxl_digest *ret_id,
                     uint64_t *ret_bytes, struct oxl_error *err)
{
        return hash_from(x, fd, false, shown, ret_id, ret_bytes, err);
}

/* The same file once more, read around the cache; false: not here. The buffer is aligned, and reads are of all of it. */
static bool hash_direct(const struct oxl_oxen *x, int dirfd, const char *name, const char *shown,
                        struct oxl_oxen_hashed *h, struct oxl_error *err, int *ret)
{
        struct stat st;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        if (!x->hooks || !x->hooks->media)
                return false;
        cleanup_fd int fd = oxl_fd_open(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_DIRECT, 0);
        if (fd < 0 || oxl_fd_stat(fd, &st) < 0 || !oxl_oxen_same(&st, &h->st))
                return false;
        *ret = hash_from(x, fd, true, shown, &h->id, &h->bytes, &why);
        if (*ret < 0 && why.os == EINVAL)
                return false; /* some file systems refuse only when they are read */
        if (*ret < 0)
                *ret = oxl_error_copy(err, &why);
        return true;
}

int oxl_oxen_hash(const struct oxl_oxen *x, int dirfd, const char *name, const char *shown, struct oxl_oxen_hashed *ret,
                  struct oxl_error *err)
{
        cleanup_fd int fd = -1;
        struct oxl_oxen_hashed h = { 0 };
        int r = oxl_oxen_open(dirfd, name, shown, &fd, &h.st, err);
        if (r == 0 && !hash_direct(x, dirfd, name, shown, &h, err, &r))
                r = oxl_oxen_hash_fd(x, fd, shown, &h.id, &h.bytes, err);
        if (r == 0)
                *ret = h;
        return r;
}

/* What the next read returns comes from the medium, where the file system can forget. */
static void drop_cache(int dirfd, const char *name, const char *shown)
{
        cleanup_fd int fd = -1;
        struct stat st;
        if (oxl_oxen_open(dirfd, name, shown, &fd, &st, NULL) == 0)
                OXL_IGNORE(oxl_sys->fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), "the second look is then the cache's");
}

/* One pair of looks. 0: *ret; 1: the file changed meanwhile; < 0: it could not be read, or CANCELLED. */
static int look_pair(const struct oxl_oxen *x, int dirfd, const char *name, const char *shown,
                     const struct oxl_digest *want, enum oxl_oxen_state *ret, struct oxl_oxen_hashed *ret_hashed,
                     struct oxl_error *why)
{
        struct oxl_oxen_hashed first, second;
        struct stat after;
        int r = oxl_oxen_hash(x, dirfd, name, shown, &first, why);
        if (r < 0)
                return r;
        *ret = r > 0 ? OXL_OXEN_GONE : OXL_OXEN_GOOD;
        if (r > 0)
                return 0;
        *ret_hashed = first;
        if (oxl_digest_equal(&first.id, want))
                return 0;
        drop_cache(dirfd, name, shown);
        r = oxl_oxen_hash(x, dirfd, name, shown, &second, why);
        if (r != 0)
                return r; /* gone is changed */
        if (!oxl_oxen_same(&first.st, &second.st))
                return 1;
        if (oxl_fd_stat_at(dirfd, name, &after) < 0)
                return errno == ENOENT ? 1 : OXL_FAIL_OS(why, FILE_STAT, shown);
        if (!oxl_oxen_same(&second.st, &after))
                return 1;
        if (oxl_digest_equal(&second.id, want))
                *ret = OXL_OXEN_TRANSIENT;
        else
                *ret = oxl_digest_equal(&first.id, &second.id) ? OXL_OXEN_MEDIA : OXL_OXEN_MEMORY;
        if (*ret != OXL_OXEN_TRANSIENT)
                *ret_hashed = second;
        return 0;
}

int oxl_oxen_look(const struct oxl_oxen *x, int dirfd, const char *name, const char *shown,
                  const struct oxl_digest *want, enum oxl_oxen_state *ret, struct oxl_oxen_hashed *ret_hashed,
                  struct oxl_error *ret_why, struct oxl_error *err)
{
        int r = 1;
        for (int i = 0; r > 0 && i < LOOKS_MAX; i++)
                r = look_pair(x, dirfd, name, shown, want, ret, ret_hashed, ret_why);
        if (r == 0)
                return 0;
        if (r < 0 && ret_why->code == OXL_E_CANCELLED)
                return oxl_error_copy(err, ret_why);
        if (r > 0) { /* somebody writes to it all the time: nothing was proven either way */
                errno = EAGAIN;
                OXL_IGNORE(OXL_FAIL_OS(ret_why, FILE_READ, shown), "it is what is returned");
        }
        *ret = OXL_OXEN_UNREADABLE;
        return 0;
}
