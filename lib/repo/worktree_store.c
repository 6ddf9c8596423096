/* SPDX-License-Identifier: MIT */
/*
 * One path of the working tree: storing it, comparing it with its index entry, and the stat cache.
 *
 * A file may change while it is looked at. Content is taken from one descriptor that is examined before and after; what
 * changed meanwhile is PATH_CHANGED by name, never stored as a mixture. Nothing is opened that lstat did not call a regular
 * file, and O_NONBLOCK keeps a FIFO that was put in its place meanwhile from hanging us.
 */
#include <string.h>

#include "base/fail.h"
#include "objects/loose.h"
#include "os/fdio.h"
#include "repo/worktree.h"

enum {
        SYMLINK_BYTES_MAX = 4095,
        SYMLINK_BYTES_READ = 65536,
        RACY_NS = 50 * 1000 * 1000, /* well above the tick by which kernels stamp files (1 to 10 ms) */
        NS_PER_S = 1000 * 1000 * 1000,
};

/* --- the stat cache --------------------------------------------------------------------------------------------- */

/* Is time @t of a file so close to @now, or after it, that a later change could get the same one? */
static bool is_racy(const struct timespec *t, const struct timespec *now)
{
        int64_t slack_ns = t->tv_nsec == 0 ? INT64_C(2) * NS_PER_S : RACY_NS;
        int64_t age_s = 0;
        if (__builtin_sub_overflow((int64_t)now->tv_sec, (int64_t)t->tv_sec, &age_s))
                return now->tv_sec < t->tv_sec;
        if (age_s > 4)
                return false;
        return age_s < 0 || age_s * NS_PER_S + now->tv_nsec - t->tv_nsec < slack_ns;
}

void oxl_stat_fill(const struct stat *st, const struct timespec *now, struct oxl_stat *ret)
{
        *ret = (struct oxl_stat){ 0 };
        if (is_racy(&st->st_mtim, now) || is_racy(&st->st_ctim, now))
                return;
        if (st->st_mtim.tv_nsec >= NS_PER_S || st->st_ctim.tv_nsec >= NS_PER_S)
                return; /* no time that the format can hold */
        ret->mtime_s = st->st_mtim.tv_sec;
        ret->mtime_ns = (uint32_t)st->st_mtim.tv_nsec;
        ret->ctime_s = st->st_ctim.tv_sec;
        ret->ctime_ns = (uint32_t)st->st_ctim.tv_nsec;
        ret->dev = st->st_dev;
        ret->ino = st->st_ino;
        ret->mode = st->st_mode;
}

bool oxl_stat_unchanged(const struct oxl_index_entry *entry, const struct stat *st)
{
        const struct oxl_stat *s = &entry->stat;
        if (s->mode == 0) /* no file has mode 0: the type is in it */
                return false;
        return entry->size == (uint64_t)st->st_size && s->mtime_s == st->st_mtim.tv_sec &&
               s->mtime_ns == (uint64_t)st->st_mtim.tv_nsec && s->ctime_s == st->st_ctim.tv_sec &&
               s->ctime_ns == (uint64_t)st->st_ctim.tv_nsec && s->dev == st->st_dev && s->ino == st->st_ino &&
               s->mode == st->st_mode;
}

static bool same_state(const struct stat *a, const struct stat *b)
{
        return oxl_stat_same(a, b) && a->st_mode == b->st_mode && a->st_size == b->st_size &&
               a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
               a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* --- opening ----------------------------------------------------------------------------------------------------- */

/* Opens what lstat called a regular file. PATH_NOT_FOUND, PATH_CHANGED (something else by now), FILE_OPEN. */
static int open_regular(int dirfd, const char *name, const char *path, int *ret, struct stat *ret_st,
                        struct oxl_error *err)
{
        cleanup_fd int fd = oxl_fd_open(dirfd, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY, 0);
        if (fd < 0) {
                if (errno == ENOENT)
                        return OXL_FAIL_PATH(err, PATH_NOT_FOUND, path);
                if (errno == ELOOP || errno == ENXIO)
                        return OXL_FAIL_PATH(err, PATH_CHANGED, path);
                return OXL_FAIL_OS(err, FILE_OPEN, path);
        }
        if (oxl_fd_stat(fd, ret_st) < 0)
                return OXL_FAIL_OS(err, FILE_STAT, path);
        if (!S_ISREG(ret_st->st_mode))
                return OXL_FAIL_PATH(err, PATH_CHANGED, path);
        *ret = take_fd(&fd);
        return 0;
}

static int stat_name(int dirfd, const char *name, const char *path, struct stat *ret, struct oxl_error *err)
{
        if (oxl_fd_stat_at(dirfd, name, ret) == 0)
                return 0;
        return errno == ENOENT ? OXL_FAIL_PATH(err, PATH_NOT_FOUND, path) : OXL_FAIL_OS(err, FILE_STAT, path);
}

/* Appends the target of the link to @ret, whole: a buffer that comes back full may have been too small. */
static int read_target(int dirfd, const char *name, const char *path, struct oxl_buf *ret, struct oxl_error *err)
{
        for (size_t room = 256; room <= SYMLINK_BYTES_READ; room *= 4) {
                int r = oxl_buf_reserve(ret, room, err);
                if (r < 0)
                        return r;
                ssize_t n = oxl_sys->readlinkat(dirfd, name, (char *)ret->data, room);
                if (n < 0 && errno == ENOENT)
                        return OXL_FAIL_PATH(err, PATH_NOT_FOUND, path);
                if (n < 0 && errno == EINVAL) /* no link any more */
                        return OXL_FAIL_PATH(err, PATH_CHANGED, path);
                if (n < 0)
                        return OXL_FAIL_OS(err, FILE_READ, path);
                if ((size_t)n < room) {
                        ret->len = (size_t)n;
                        return 0;
                }
        }
        return OXL_FAIL_WHY(err, PATH_SPECIAL, path, "a link with an endless target");
}

/* The target, and proof that the link stayed the one that @before shows. */
static int read_link(int dirfd, const char *name, const char *path, const struct stat *before, struct oxl_buf *ret,
                     struct oxl_error *err)
{
        struct stat after;
        int r = read_target(dirfd, name, path, ret, err);
        if (r < 0)
                return r;
        r = stat_name(dirfd, name, path, &after, err);
        if (r < 0)
                return r;
        return same_state(before, &after) ? 0 : OXL_FAIL_PATH(err, PATH_CHANGED, path);
}

/* --- storing ----------------------------------------------------------------------------------------------------- */

static int store_link(struct oxl_put *put, int dirfd, const char *name, const char *path, const struct stat *st,
                      struct oxl_index_entry *ret, struct oxl_error *err)
{
        cleanup_buf struct oxl_buf target = OXL_BUF_INIT;
        int r = read_link(dirfd, name, path, st, &target, err);
        if (r < 0)
                return r;
        if (target.len == 0 || target.len > SYMLINK_BYTES_MAX)
                return OXL_FAIL_WHY(err, PATH_SPECIAL, path, "a link with a target of more than 4,095 bytes, or none");
        ret->size = target.len;
        return oxl_put_object(put, OXL_KIND_BLOB, target.data, target.len, &ret->id, err);
}

static int store_file(struct oxl_put *put, int dirfd, const char *name, const char *path, const atomic_bool *cancel,
                      struct stat *ret_st, struct oxl_index_entry *ret, struct oxl_error *err)
{
        cleanup_fd int fd = -1;
        int r = open_regular(dirfd, name, path, &fd, ret_st, err);
        if (r < 0)
                return r;
        r = oxl_put_file(put, fd, path, cancel, &ret->id, ret_st, err);
        if (r < 0)
                return r;
        ret->size = (uint64_t)ret_st->st_size;
        return r;
}

int oxl_worktree_store(struct oxl_put *put, int dirfd, const char *name, const char *path, const atomic_bool *cancel,
                       struct oxl_index_entry *ret, struct oxl_error *err)
{
        struct oxl_index_entry e = { .path = path, .path_len = strlen(path), .staged = true };
        struct timespec now;
        struct stat st;
        const char *what;
        /* before anything is read: a change that comes later has a later time */
        if (oxl_sys->clock_gettime(CLOCK_REALTIME, &now) < 0)
                now = (struct timespec){ 0 }; /* every file looks racy: nothing is cached */
        int r = stat_name(dirfd, name, path, &st, err);
        if (r < 0)
                return r;
        if (oxl_worktree_kind(&st, &what) == OXL_ENTRY_NONE)
                return OXL_FAIL_WHY(err, PATH_SPECIAL, path, what);
        if (S_ISLNK(st.st_mode))
                r = store_link(put, dirfd, name, path, &st, &e, err);
        else
                r = store_file(put, dirfd, name, path, cancel, &st, &e, err);
        if (r < 0)
                return r;
        e.kind = oxl_worktree_kind(&st, NULL);
        oxl_stat_fill(&st, &now, &e.stat);
        *ret = e;
        return r;
}

/* --- comparing --------------------------------------------------------------------------------------------------- */

static int compare_link(int dirfd, const char *name, const char *path, const struct stat *st,
                        const struct oxl_index_entry *entry, struct oxl_error *err)
{
        cleanup_buf struct oxl_buf target = OXL_BUF_INIT;
        int r = read_link(dirfd, name, path, st, &target, err);
        if (r < 0)
                return r;
        struct oxl_digest id = oxl_digest_of((enum oxl_algo)entry->id.algo, target.data, target.len);
        return target.len != entry->size || !oxl_digest_equal(&id, &entry->id);
}

static int compare_file(int dirfd, const char *name, const char *path, const struct oxl_index_entry *entry,
                        const atomic_bool *cancel, struct oxl_error *err)
{
        struct stat before, after;
        cleanup_fd int fd = -1;
        int r = open_regular(dirfd, name, path, &fd, &before, err);
        if (r < 0)
                return r;
        if (oxl_worktree_kind(&before, NULL) != entry->kind || (uint64_t)before.st_size != entry->size)
                return 1;
        struct oxl_digest id;
        uint64_t bytes;
        r = oxl_fd_digest(fd, path, (enum oxl_algo)entry->id.algo, cancel, &id, &bytes, err);
        if (r < 0)
                return r;
        if (oxl_fd_stat(fd, &after) < 0)
                return OXL_FAIL_OS(err, FILE_STAT, path);
        if (!same_state(&before, &after))
                return OXL_FAIL_PATH(err, PATH_CHANGED, path);
        return !oxl_digest_equal(&id, &entry->id);
}

int oxl_worktree_compare(int dirfd, const char *name, const char *path, const struct stat *st,
                         const struct oxl_index_entry *entry, const atomic_bool *cancel, struct oxl_error *err)
{
        enum oxl_entry_kind kind = oxl_worktree_kind(st, NULL);
        if (kind == OXL_ENTRY_NONE || kind != entry->kind ||
            (kind != OXL_ENTRY_SYMLINK && (uint64_t)st->st_size != entry->size))
                return 1;
        if (oxl_stat_unchanged(entry, st))
                return 0;
        cleanup_error struct oxl_error e = OXL_ERROR_INIT;
        int r = kind == OXL_ENTRY_SYMLINK ? compare_link(dirfd, name, path, st, entry, &e)
                                          : compare_file(dirfd, name, path, entry, cancel, &e);
        if (r == -OXL_E_PATH_NOT_FOUND) /* removed meanwhile */
                return 1;
        if (r < 0 && err)
                oxl_error_move(err, &e);
        return r;
}
