/* SPDX-License-Identifier: MIT */
/* The private temp, see temp.h. Sections: the writer's open list, birth, writing, the sync, publication, the end. */
#include <stdio.h>
#include <string.h>

#include "base/fail.h"
#include "base/path.h"
#include "durable/mutant.h"
#include "durable/sync.h"
#include "durable/temp.h"
#include "os/crew.h"
#include "os/fdio.h"
#include "os/lock.h"

enum {
        TEMP_OPEN_MAX = 128,  /* written descriptors per writer */
        TEMP_NAME_TRIES = 64, /* 64 random bits: a second try means an enemy or a broken random source */
        SYNCFS_FROM = 32,     /* more files than this are cheaper by one syncfs, measured */
        WRITEBACK_STEP = 8 << 20,
        RIGHTS_OF_MAKER = 0600,
};

#ifdef OXL_LAB
enum oxl_mutant oxl_mutant;
#endif

/* --- written descriptors --------------------------------------------------------------------------------------- */

static void list_remove(struct oxl_temp *t)
{
        struct oxl_writer *w = t->w;
        *(t->older ? &t->older->newer : &w->oldest) = t->newer;
        *(t->newer ? &t->newer->older : &w->newest) = t->older;
        t->older = t->newer = NULL;
        w->open--;
}

static void list_append(struct oxl_temp *t)
{
        struct oxl_writer *w = t->w;
        t->older = w->newest;
        *(w->newest ? &w->newest->newer : &w->oldest) = t;
        w->newest = t;
        w->open++;
}

/* The directory whose descriptor is older than the temp and may speak for its file system; NULL when none may. */
static struct oxl_dnode *spokesman(const struct oxl_temp *t)
{
        return oxl_dirs_spokesman(&t->w->dirs, t->dev);
}

static int close_written(struct oxl_temp *t, struct oxl_error *err)
{
        list_remove(t);
        if (oxl_fd_close(take_fd(&t->fd)) == 0)
                return 0;
        t->w->poisoned = true; /* NFS and friends report lost data here */
        return OXL_FAIL_OS(err, FILE_CLOSE, t->label);
}

static int sync_failed(struct oxl_temp *t, struct oxl_error *err)
{
        t->w->poisoned = true;
        return OXL_FAIL_OS(err, FILE_SYNC, t->label);
}

/* Closes the oldest written descriptor when there are too many. A closed file's inode may leave the cache and take the
 * note of a failed writeback with it; syncfs() keeps that note per file system, without it we sync now. */
static int park_oldest(struct oxl_writer *w, struct oxl_error *err)
{
        if (w->open < TEMP_OPEN_MAX)
                return 0;
        struct oxl_temp *t = w->oldest;
        /* CRASH: leaves the temp, as at any other moment before the rename; the sweeper removes it */
        if (!spokesman(t) && oxl_sync_fd(t->fd) < 0)
                return sync_failed(t, err);
        t->parked = true;
        return close_written(t, err);
}

static int reopen(struct oxl_temp *t, struct oxl_error *err)
{
        int r = park_oldest(t->w, err);
        if (r < 0)
                return r;
        int at = oxl_dnode_fd(&t->w->dirs, t->dir);
        cleanup_fd int fd = at < 0 ? -1 : oxl_fd_open(at, t->name, O_RDWR | O_NOFOLLOW | O_NONBLOCK, 0);
        struct stat st;
        if (fd < 0 || oxl_fd_stat(fd, &st) < 0)
                return OXL_FAIL_OS(err, FILE_OPEN, t->path);
        if (st.st_dev != t->dev || st.st_ino != t->ino) {
                errno = ESTALE;
                return OXL_FAIL_OS(err, FILE_OPEN, t->path);
        }
        t->fd = take_fd(&fd);
        list_append(t);
        return 0;
}

int oxl_temp_fd(struct oxl_temp *t, int *ret_fd, struct oxl_error *err)
{
        OXL_ASSERT(!t->closed);
        int r = t->fd >= 0 ? 0 : reopen(t, err);
        if (r < 0)
                return r;
        *ret_fd = t->fd;
        return 0;
}

void oxl_writer_done(struct oxl_writer *w)
{
        OXL_ASSERT(w->open == 0);
        oxl_crew_free(w->crew); /* before the descriptor that it syncs */
        w->crew = NULL;
        oxl_dirs_done(&w->dirs);
}

/* --- birth ------------------------------------------------------------------------------------------------------ */

static int name_temp(struct oxl_temp *t, const char *base, struct oxl_error *err)
{
        int r = oxl_temp_name_make(base, t->w->owner, t->name, err);
        if (r < 0)
                return r;
        free(take_ptr(&t->path));
        return oxl_path_join(t->dir->path, t->name, &t->path, err);
}

static int start(struct oxl_temp *t, struct oxl_writer *w, struct oxl_dnode *dir, const char *base,
                 struct oxl_error *err)
{
        *t = (struct oxl_temp)OXL_TEMP_INIT;
        t->w = w;
        t->dir = oxl_dnode_ref(dir);
        return oxl_path_join(dir->path, base, &t->label, err);
}

/* Where no locks exist at all, no sweeper can prove anything either: our temp is safe without one. */
static bool no_locks_here(int os)
{
        return os == EOPNOTSUPP || os == ENOSYS || os == EINVAL;
}

enum { TAKEN = 1 }; /* the name went to somebody else, or might: try another */

/* Opens the second description and takes the proof of life; TAKEN when a sweeper may have seen us without it. */
static int lock_temp(struct oxl_temp *t, int at, struct oxl_error *err)
{
        t->lock_fd = oxl_fd_open(at, t->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
        if (t->lock_fd < 0)
                return errno == ENOENT ? TAKEN : OXL_FAIL_OS(err, FILE_OPEN, t->path);
        struct stat st;
        if (oxl_fd_stat(t->lock_fd, &st) < 0)
                return OXL_FAIL_OS(err, FILE_STAT, t->path);
        if (st.st_dev != t->dev || st.st_ino != t->ino || st.st_nlink != 1)
                return TAKEN;
        int r = oxl_lock_set(t->lock_fd, OXL_TEMP_BYTE_OWNER, 1, OXL_LOCK_SHARED, false, t->path, NULL);
        if (r < 0)
                return no_locks_here(errno) ? 0 : OXL_FAIL_OS(err, FILE_LOCK, t->path);
        bool sweeper = false;
        if (r == 0)
                r = oxl_lock_probe(t->lock_fd, OXL_TEMP_BYTE_SWEEPER, 1, t->path, &sweeper, err);
        return r < 0 ? r : r == OXL_LOCK_BUSY || sweeper ? TAKEN : 0;
}

/* Creates the file under the name drawn. 0; TAKEN; an error. What exists then is cleared away by oxl_temp_done(). */
static int create_file(struct oxl_temp *t, mode_t mode, struct oxl_error *err)
{
        int at = oxl_dnode_fd(&t->w->dirs, t->dir);
        if (at < 0)
                return OXL_FAIL_OS(err, DIR_OPEN, t->dir->path);
        /* CRASH: leaves an empty temp under a name that sweepers know (crash/atomic) */
        t->fd = oxl_fd_open(at, t->name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode | RIGHTS_OF_MAKER);
        if (t->fd < 0)
                return errno == EEXIST ? TAKEN : OXL_FAIL_OS(err, FILE_CREATE, t->label);
        list_append(t);
        t->on_disk = true;
        struct stat st;
        if (oxl_fd_stat(t->fd, &st) < 0)
                return OXL_FAIL_OS(err, FILE_STAT, t->path);
        t->dev = st.st_dev;
        t->ino = st.st_ino;
        t->mode = st.st_mode & 07777 & ~(RIGHTS_OF_MAKER & ~mode);
        t->mode_waits = t->mode != (st.st_mode & 07777);
        return t->w->owner == 0 ? lock_temp(t, at, err) : 0;
}

/* Gives up the name drawn, for the next try. */
static void forget_name(struct oxl_temp *t)
{
        if (t->fd >= 0) {
                list_remove(t);
                oxl_fd_done(&t->fd);
        }
        oxl_fd_done(&t->lock_fd);
        int at = t->on_disk ? oxl_dnode_fd(&t->w->dirs, t->dir) : -1;
        if (at >= 0)
                OXL_IGNORE(oxl_sys->unlinkat(at, t->name, 0), "a sweeper may have been faster");
        t->on_disk = false;
}

int oxl_temp_create(struct oxl_temp *t, struct oxl_writer *w, struct oxl_dnode *dir, const char *name, mode_t mode,
                    struct oxl_error *err)
{
        int r = start(t, w, dir, name, err);
        if (r == 0)
                r = park_oldest(w, err);
        for (int tries = 0; r == 0 && tries < TEMP_NAME_TRIES; tries++) {
                r = name_temp(t, name, err);
                if (r == 0)
                        r = create_file(t, mode, err);
                if (r <= 0)
                        return r;
                forget_name(t);
                r = 0;
        }
        if (r < 0)
                return r;
        errno = EEXIST;
        return OXL_FAIL_OS(err, FILE_CREATE, t->label);
}

int oxl_temp_create_link(struct oxl_temp *t, struct oxl_writer *w, struct oxl_dnode *dir, const char *name,
                         const char *target, struct oxl_error *err)
{
        int r = start(t, w, dir, name, err);
        if (r == 0)
                r = name_temp(t, name, err);
        if (r < 0)
                return r;
        int at = oxl_dnode_fd(&w->dirs, dir);
        struct stat st;
        /* CRASH: leaves the link under its temp name; being no regular file it is reported, not swept */
        if (at < 0 || oxl_sys->symlinkat(target, at, t->name) < 0)
                return OXL_FAIL_OS(err, FILE_CREATE, t->label);
        t->on_disk = true;
        if (oxl_fd_stat_at(at, t->name, &st) < 0)
                return OXL_FAIL_OS(err, FILE_STAT, t->path);
        t->dev = st.st_dev;
        t->ino = st.st_ino;
        t->synced = t->closed = true; /* a link's content is part of its directory's journal entry */
        return 0;
}

/* --- writing ---------------------------------------------------------------------------------------------------- */

int oxl_temp_reserve(struct oxl_temp *t, uint64_t bytes, struct oxl_error *err)
{
        int fd;
        int r = oxl_temp_fd(t, &fd, err);
        if (r < 0)
                return r;
        do
                r = oxl_sys->fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes);
        while (r < 0 && errno == EINTR);
        if (r < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG || errno == EIO))
                return OXL_FAIL_OS(err, FILE_WRITE, t->label);
        return 0;
}

/* Lets the disk start early, so that the fsync at the end finds little to do. No promise of any kind. */
static void start_writeback(struct oxl_temp *t, int fd)
{
        if (t->size - t->started < WRITEBACK_STEP)
                return;
        OXL_IGNORE(
                oxl_sys->sync_file_range(fd, (off_t)t->started, (off_t)(t->size - t->started), SYNC_FILE_RANGE_WRITE),
                "a hint; the fsync reports what goes wrong");
        t->started = t->size;
}

int oxl_temp_write_at(struct oxl_temp *t, uint64_t at, const void *bytes, size_t n, struct oxl_error *err)
{
        int fd;
        int r = oxl_temp_fd(t, &fd, err);
        if (r < 0)
                return r;
        return oxl_fd_pwrite_all(fd, bytes, n, at) == 0 ? 0 : OXL_FAIL_OS(err, FILE_WRITE, t->label);
}

int oxl_temp_write(struct oxl_temp *t, const void *bytes, size_t n, struct oxl_error *err)
{
        if (n == 0)
                return 0;
        int r = oxl_temp_write_at(t, t->size, bytes, n, err);
        if (r < 0)
                return r;
        t->size += n;
        t->hole_at_end = false;
        start_writeback(t, t->fd);
        return 0;
}

int oxl_temp_skip(struct oxl_temp *t, uint64_t n, struct oxl_error *err)
{
        uint64_t size;
        if (__builtin_add_overflow(t->size, n, &size) || size > INT64_MAX) {
                errno = EFBIG;
                return OXL_FAIL_OS(err, FILE_WRITE, t->label);
        }
        t->size = size;
        t->hole_at_end |= n > 0;
        return 0;
}

/* --- the sync --------------------------------------------------------------------------------------------------- */

static int set_mode(struct oxl_temp *t, struct oxl_error *err)
{
        if (!t->mode_waits)
                return 0;
        int fd;
        int r = oxl_temp_fd(t, &fd, err);
        if (r == 0 && oxl_sys->fchmod(fd, t->mode) < 0)
                return OXL_FAIL_OS(err, FILE_META, t->label);
        t->mode_waits = r < 0;
        return r;
}

/* Everything that the one fsync has to cover and that is not yet done. */
int oxl_temp_complete(struct oxl_temp *t, struct oxl_error *err)
{
        if (t->hole_at_end) {
                int fd;
                int r = oxl_temp_fd(t, &fd, err);
                if (r < 0)
                        return r;
                if (oxl_fd_truncate(fd, t->size) < 0)
                        return OXL_FAIL_OS(err, FILE_WRITE, t->label);
                t->hole_at_end = false;
        }
        return OXL_MUTANT(CHMOD_AFTER_FSYNC) ? 0 : set_mode(t, err);
}

static int sync_alone(struct oxl_temp *t, struct oxl_error *err)
{
        int fd;
        int r = oxl_temp_fd(t, &fd, err);
        if (r < 0)
                return r;
        /* CRASH: before it the temp may hold anything, after it all of its bytes; nothing else refers to it yet. The
         * sweeper removes it (crash/atomic, mutant NO_FILE_FSYNC). */
        bool in_time = !OXL_MUTANT(FSYNC_AFTER_RENAME);
        if (!OXL_MUTANT(NO_FILE_FSYNC) && in_time && oxl_sync_fd(fd) < 0)
                return sync_failed(t, err);
        t->synced = true;
        return 0;
}

static int sync_through(struct oxl_temp *t, const struct oxl_dnode *base, struct oxl_error *err)
{
        /* CRASH: as above, for all temps on this file system at once */
        if (!OXL_MUTANT(NO_FILE_FSYNC) && oxl_sync_fs(base->fd) < 0)
                return sync_failed(t, err);
        t->synced = true;
        return 0;
}

int oxl_temp_sync(struct oxl_temp *t, struct oxl_error *err)
{
        if (t->synced)
                return 0;
        int r = oxl_temp_complete(t, err);
        if (r < 0)
                return r;
        struct oxl_dnode *base = t->parked ? spokesman(t) : NULL;
        r = base ? sync_through(t, base, err) : sync_alone(t, err);
        if (r == 0 && OXL_MUTANT(CHMOD_AFTER_FSYNC))
                r = set_mode(t, err);
        return r;
}

int oxl_temp_close(struct oxl_temp *t, struct oxl_error *err)
{
        int r = t->fd >= 0 ? close_written(t, err) : 0;
        t->closed = true;
        return r;
}

/* Syncs by one syncfs() every temp on @base's file system. */
static int sync_group(const struct oxl_dnode *base, struct oxl_temp *const *t, size_t n, struct oxl_error *err)
{
        bool done = false;
        for (size_t i = 0; i < n; i++) {
                if (t[i]->synced || t[i]->dev != base->dev)
                        continue;
                int r = done ? 0 : sync_through(t[i], base, err);
                if (r < 0)
                        return r;
                t[i]->synced = done = true;
        }
        return 0;
}

/* Everything but the sync itself, and a hint that it comes. */
static int complete_many(struct oxl_writer *w, struct oxl_temp *const *t, size_t n, struct oxl_error *err)
{
        int r = 0;
        for (size_t i = 0; i < n && r == 0; i++) {
                OXL_ASSERT(t[i]->w == w);
                r = t[i]->synced ? 0 : oxl_temp_complete(t[i], err);
                if (r == 0 && n > 1 && t[i]->fd >= 0)
                        OXL_IGNORE(oxl_sys->sync_file_range(t[i]->fd, 0, 0, SYNC_FILE_RANGE_WRITE), "a hint");
        }
        return r;
}

int oxl_temp_settle(struct oxl_writer *w)
{
        if (!w->crew || !oxl_crew_busy(w->crew))
                return 0;
        oxl_crew_take(w->crew);
        if (w->sync_os == 0)
                return 0;
        w->poisoned = true; /* the kernel says it once: whoever hears it must not let it be forgotten */
        errno = w->sync_os;
        return -1;
}

int oxl_temp_sync_many(struct oxl_writer *w, struct oxl_temp *const *t, size_t n, struct oxl_error *err)
{
        int r = complete_many(w, t, n, err);
        if (r == 0 && n > 0 && oxl_temp_settle(w) < 0)
                return OXL_FAIL_OS(err, FILE_SYNC, t[0]->label);
        for (size_t i = 0; i < n && r == 0; i++) {
                struct oxl_dnode *base = n > SYNCFS_FROM && !t[i]->synced ? spokesman(t[i]) : NULL;
                r = base ? sync_group(base, t, n, err) : oxl_temp_sync(t[i], err);
        }
        for (size_t i = 0; i < n && r == 0; i++)
                r = oxl_temp_close(t[i], err);
        return r;
}

/* On the thread. CRASH: as in sync_through(). */
static void sync_behind(void *ctx, size_t slot)
{
        struct oxl_writer *w = ctx;
        OXL_ASSERT(slot == 0);
        w->sync_os = OXL_MUTANT(NO_FILE_FSYNC) || oxl_sync_fs(w->sync_fd) == 0 ? 0 : errno;
}

/* The base whose syncfs is enough for all of @t; NULL: there is none, or it does not pay. */
static struct oxl_dnode *speaks_for_all(struct oxl_temp *const *t, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (t[i]->dev != t[0]->dev)
                        return NULL;
        return n > SYNCFS_FROM ? spokesman(t[0]) : NULL;
}

int oxl_temp_sync_begin(struct oxl_writer *w, struct oxl_temp *const *t, size_t n, struct oxl_error *err)
{
        struct oxl_dnode *base = speaks_for_all(t, n);
        if (!base)
                return oxl_temp_sync_many(w, t, n, err);
        int r = complete_many(w, t, n, err);
        if (r == 0 && oxl_temp_settle(w) < 0)
                return OXL_FAIL_OS(err, FILE_SYNC, t[0]->label);
        if (r == 0 && !w->crew)
                r = oxl_crew_new(oxl_crew_default() > 0, 1, sync_behind, w, &w->crew, err);
        if (r < 0)
                return r;
        oxl_crew_start(w->crew);
        w->sync_fd = base->fd; /* bases are never closed before the writer's end */
        oxl_crew_submit(w->crew);
        return 0;
}

int oxl_temp_sync_end(struct oxl_writer *w, struct oxl_temp *const *t, size_t n, struct oxl_error *err)
{
        if (n > 0 && w->crew && oxl_crew_busy(w->crew)) {
                if (oxl_temp_settle(w) < 0)
                        return OXL_FAIL_OS(err, FILE_SYNC, t[0]->label);
                for (size_t i = 0; i < n; i++)
                        t[i]->synced = true;
        }
        int r = 0;
        for (size_t i = 0; i < n && r == 0; i++) {
                OXL_ASSERT(t[i]->synced);
                r = oxl_temp_close(t[i], err);
        }
        return r;
}

/* --- publication ------------------------------------------------------------------------------------------------ */

/* Is our inode at @name? NFS may report an error for a rename or link that the server has done. */
static bool arrived(const struct oxl_temp *t, int at, const char *name)
{
        int saved = errno;
        struct stat st;
        bool same = oxl_fd_stat_at(at, name, &st) == 0 && st.st_dev == t->dev && st.st_ino == t->ino;
        errno = saved;
        return same;
}

static void remove_name(struct oxl_temp *t, int from)
{
        if (oxl_sys->unlinkat(from, t->name, 0) == 0 || errno == ENOENT)
                t->on_disk = false; /* else oxl_temp_done() tries again and reports */
}

/* For file systems without RENAME_NOREPLACE. The temp is always unlinked afterwards: renaming one name of an inode over
 * another succeeds and leaves both. */
static int move_by_link(struct oxl_temp *t, int from, int to, const char *name, const char *target,
                        struct oxl_error *err)
{
        /* CRASH: after the link both names exist, the target is whole; a temp with two links is reported, not swept */
        if (oxl_sys->linkat(from, t->name, to, name, 0) < 0 && !arrived(t, to, name)) {
                if (errno == EEXIST)
                        return OXL_FAIL_PATH(err, FILE_EXISTS, target);
                if (errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS)
                        return OXL_FAIL_WHY(err, UNSUPPORTED, target,
                                            "the file system cannot create without replacing");
                return OXL_FAIL_OS_PATHS(err, FILE_RENAME, t->path, target);
        }
        remove_name(t, from);
        return 0;
}

/* A failed rename may have happened all the same (arrived() decides), but not with these. */
static bool never_moved(int os)
{
        return os != ENOENT && os != EIO && os != ESTALE && os != EEXIST;
}

static int move(struct oxl_temp *t, int from, int to, const char *name, const char *target, bool no_replace,
                struct oxl_error *err)
{
        unsigned flags = no_replace ? RENAME_NOREPLACE : 0;
        /* CRASH: the target is old or new, both whole, whichever name the disk kept; the next barrier makes it new. A temp
         * that is still there is swept, or taken by recovery when an intent names it (crash/atomic). */
        if (oxl_sys->renameat2(from, t->name, to, name, flags) == 0 || (!never_moved(errno) && arrived(t, to, name))) {
                t->on_disk = false;
                return 0;
        }
        if (no_replace && errno == EEXIST)
                return OXL_FAIL_PATH(err, FILE_EXISTS, target);
        if (no_replace && (errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP))
                return move_by_link(t, from, to, name, target, err);
        return OXL_FAIL_OS_PATHS(err, FILE_RENAME, t->path, target);
}

#ifdef OXL_LAB
static void lab_sync_late(int at, const char *name)
{
        cleanup_fd int fd = oxl_fd_open(at, name, O_RDONLY | O_NOFOLLOW, 0);
        if (fd >= 0)
                OXL_IGNORE(oxl_sync_fd(fd), "a mutant");
}
#endif

int oxl_temp_publish(struct oxl_temp *t, struct oxl_dnode *dir, const char *name, const char *target, bool no_replace,
                     struct oxl_error *err)
{
        OXL_ASSERT(t->on_disk && t->closed);
        int from = oxl_dnode_fd(&t->w->dirs, t->dir);
        int to = from < 0 ? -1 : oxl_dnode_fd(&t->w->dirs, dir);
        if (to < 0)
                return OXL_FAIL_OS(err, DIR_OPEN, from < 0 ? t->dir->path : dir->path);
        int r = move(t, from, to, name, target, no_replace, err);
        if (r < 0)
                return r;
        /* The temp's own directory needs no sync: if the removal of its old name is lost, that name is a dead owner's temp. */
        oxl_dnode_mark(dir);
        oxl_fd_done(&t->lock_fd); /* not earlier: a sweeper would take us for dead */
#ifdef OXL_LAB
        if (OXL_MUTANT(FSYNC_AFTER_RENAME))
                lab_sync_late(to, name);
#endif
        return 0;
}

/* --- the end ---------------------------------------------------------------------------------------------------- */

void oxl_temp_leave(struct oxl_temp *t)
{
        int saved = errno;
        if (t->fd >= 0) {
                list_remove(t);
                oxl_fd_done(&t->fd);
        }
        oxl_fd_done(&t->lock_fd);
        oxl_dnode_unref(t->dir);
        free(t->label);
        free(t->path);
        *t = (struct oxl_temp)OXL_TEMP_INIT;
        errno = saved;
}

bool oxl_temp_done(struct oxl_temp *t, int *ret_os)
{
        int saved = errno;
        bool gone = true;
        if (t->on_disk) {
                int at = oxl_dnode_fd(&t->w->dirs, t->dir);
                gone = at >= 0 && (oxl_sys->unlinkat(at, t->name, 0) == 0 || errno == ENOENT);
                if (!gone && ret_os)
                        *ret_os = errno;
        }
        oxl_temp_leave(t);
        errno = saved;
        return gone;
}
