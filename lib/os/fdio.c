/* SPDX-License-Identifier: MIT */
/* Descriptors: complete reads and writes, confined opening, checked closing, reading directories. */
#include <string.h>

#include <linux/openat2.h>

#include "os/fdio.h"

/* Longest path handed to openat2 at once; PATH_MAX is 4096 with its NUL. */
enum { BENEATH_CHUNK = 4000, BENEATH_TRIES = 128, READ_STEP = 65536 };

void oxl_fd_done(int *fd)
{
        if (*fd < 0)
                return;
        int saved = errno;
        OXL_IGNORE(oxl_sys->close(take_fd(fd)), "only descriptors that were read get here");
        errno = saved;
}

int oxl_fd_close(int fd)
{
        /* Linux frees the descriptor before it can be interrupted: a retry could close somebody else's. */
        return oxl_sys->close(fd) < 0 && errno != EINTR ? -1 : 0;
}

int oxl_fd_open(int dirfd, const char *path, int flags, mode_t mode)
{
        int fd;
        do
                fd = oxl_sys->openat(dirfd, path, flags | O_CLOEXEC, mode);
        while (fd < 0 && errno == EINTR);
        return fd;
}

/* --- opening below a root -------------------------------------------------------------------------------------- */

static int open_resolved(int dirfd, const char *path, int flags, mode_t mode)
{
        static const uint64_t resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
        for (int tries = 0;; tries++) {
                int fd = oxl_sys->openat2(dirfd, path, flags | O_CLOEXEC, mode, resolve);
                /* EAGAIN: a rename elsewhere raced with the lookup; the kernel asks for another try */
                if (fd >= 0 || !(errno == EINTR || (errno == EAGAIN && tries < BENEATH_TRIES)))
                        return fd;
        }
}

static bool leaves_root(const char *path)
{
        if (path[0] == '/')
                return true;
        for (const char *at = path; at; at = strchr(at, '/')) {
                at += at != path;
                if (at[0] == '.' && at[1] == '.' && (at[2] == '/' || at[2] == 0))
                        return true;
        }
        return false;
}

/* Length of the leading components of @path that fit in @max bytes, at least one; the whole when it fits. */
static size_t chunk_len(const char *path, size_t max)
{
        size_t len = strlen(path);
        if (len <= max)
                return len;
        size_t cut = max;
        while (cut > 0 && path[cut] != '/')
                cut--;
        return cut > 0 ? cut : strcspn(path, "/");
}

/* Opens @path piece by piece: every piece but the last is a directory. With @step 1 a piece is one component and
 * O_NOFOLLOW confines it, else a piece is what openat2 takes. */
static int open_pieces(int rootfd, const char *path, int flags, mode_t mode, bool by_component)
{
        int at = rootfd;
        cleanup_fd int owned = -1;
        for (;;) {
                char piece[BENEATH_CHUNK + 1];
                size_t n = by_component ? strcspn(path, "/") : chunk_len(path, BENEATH_CHUNK);
                if (n > BENEATH_CHUNK) {
                        errno = ENAMETOOLONG;
                        return -1;
                }
                memcpy(piece, path, n);
                piece[n] = 0;
                path += n + strspn(path + n, "/");
                int f = *path ? O_PATH | O_DIRECTORY : flags;
                int fd = by_component ? oxl_fd_open(at, piece, f | O_NOFOLLOW, *path ? 0 : mode)
                                      : open_resolved(at, piece, f, *path ? 0 : mode);
                if (fd < 0 || !*path)
                        return fd;
                oxl_fd_done(&owned);
                at = owned = fd;
        }
}

int oxl_open_beneath(int rootfd, const char *path, int flags, mode_t mode)
{
        if (leaves_root(path)) {
                errno = EXDEV;
                return -1;
        }
        if (!*path)
                path = ".";
        int fd = open_pieces(rootfd, path, flags, mode, false);
        if (fd >= 0 || (errno != ENOSYS && errno != EPERM)) /* EPERM: seccomp filters older than openat2 */
                return fd;
        return open_pieces(rootfd, path, flags, mode, true);
}

/* --- reading and writing --------------------------------------------------------------------------------------- */

ssize_t oxl_fd_read(int fd, void *buf, size_t n)
{
        ssize_t r;
        do
                r = oxl_sys->read(fd, buf, n);
        while (r < 0 && errno == EINTR);
        return r;
}

ssize_t oxl_fd_read_full(int fd, void *buf, size_t n)
{
        size_t done = 0;
        while (done < n) {
                ssize_t r = oxl_fd_read(fd, (char *)buf + done, n - done);
                if (r < 0)
                        return -1;
                if (r == 0)
                        break;
                done += (size_t)r;
        }
        return (ssize_t)done;
}

ssize_t oxl_fd_pread_full(int fd, void *buf, size_t n, uint64_t at)
{
        size_t done = 0;
        while (done < n) {
                ssize_t r = oxl_sys->pread(fd, (char *)buf + done, n - done, (off_t)(at + done));
                if (r < 0 && errno == EINTR)
                        continue;
                if (r < 0)
                        return -1;
                if (r == 0)
                        break;
                done += (size_t)r;
        }
        return (ssize_t)done;
}

int oxl_fd_read_all(int fd, size_t max, struct oxl_buf *buf)
{
        for (size_t total = 0;;) {
                if (oxl_buf_reserve(buf, READ_STEP, NULL) < 0) {
                        errno = ENOMEM;
                        return -1;
                }
                ssize_t r = oxl_fd_read(fd, buf->data + buf->len, READ_STEP);
                if (r <= 0)
                        return (int)r;
                buf->len += (size_t)r;
                buf->data[buf->len] = 0;
                total += (size_t)r;
                if (total > max) {
                        errno = EFBIG;
                        return -1;
                }
        }
}

/* The result of one write: bytes done, 0 to try again, -1. A write that makes no progress would spin for ever. */
static ssize_t written(ssize_t r)
{
        if (r < 0 && errno == EINTR)
                return 0;
        if (r == 0) {
                errno = EIO;
                return -1;
        }
        return r;
}

int oxl_fd_write_all(int fd, const void *bytes, size_t n)
{
        for (const char *p = bytes; n > 0;) {
                ssize_t r = written(oxl_sys->write(fd, p, n));
                if (r < 0)
                        return -1;
                p += r;
                n -= (size_t)r;
        }
        return 0;
}

int oxl_fd_pwrite_all(int fd, const void *bytes, size_t n, uint64_t at)
{
        for (const char *p = bytes; n > 0;) {
                ssize_t r = written(oxl_sys->pwrite(fd, p, n, (off_t)at));
                if (r < 0)
                        return -1;
                p += r;
                at += (uint64_t)r;
                n -= (size_t)r;
        }
        return 0;
}

int oxl_fd_truncate(int fd, uint64_t size)
{
        int r;
        do
                r = oxl_sys->ftruncate(fd, (off_t)size);
        while (r < 0 && errno == EINTR);
        return r;
}

int oxl_fd_stat(int fd, struct stat *ret)
{
        return oxl_sys->fstat(fd, ret);
}

int oxl_fd_stat_at(int dirfd, const char *name, struct stat *ret)
{
        return oxl_sys->fstatat(dirfd, name, ret, AT_SYMLINK_NOFOLLOW);
}

bool oxl_stat_same(const struct stat *a, const struct stat *b)
{
        return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

int oxl_random_bytes(void *buf, size_t n)
{
        for (char *p = buf; n > 0;) {
                ssize_t r = oxl_sys->getrandom(p, n, 0);
                if (r < 0 && errno == EINTR)
                        continue;
                if (r < 0)
                        return -1;
                p += r;
                n -= (size_t)r;
        }
        return 0;
}

/* --- directories ------------------------------------------------------------------------------------------------ */

int oxl_dir_open(struct oxl_dir *d, int dirfd)
{
        d->fd = oxl_fd_open(dirfd, ".", O_RDONLY | O_DIRECTORY, 0);
        d->at = d->filled = 0;
        return d->fd < 0 ? -1 : 0;
}

static int dir_fill(struct oxl_dir *d)
{
        ssize_t r;
        do
                r = oxl_sys->getdents(d->fd, d->buf, sizeof d->buf);
        while (r < 0 && errno == EINTR);
        if (r <= 0)
                return (int)r;
        d->at = 0;
        d->filled = (size_t)r;
        return 1;
}

int oxl_dir_next(struct oxl_dir *d, struct oxl_dirent *ret)
{
        for (;;) {
                if (d->at >= d->filled) {
                        int r = dir_fill(d);
                        if (r <= 0)
                                return r;
                }
                const struct dirent64 *e = (const void *)(d->buf + d->at);
                d->at += e->d_reclen;
                if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
                        continue;
                *ret = (struct oxl_dirent){ e->d_name, e->d_ino, e->d_type };
                return 1;
        }
}

void oxl_dir_done(struct oxl_dir *d)
{
        oxl_fd_done(&d->fd);
}
