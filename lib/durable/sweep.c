/* SPDX-License-Identifier: MIT */
/*
 * The sweeper's mechanism: remove the temps in one folder whose owner is proven dead.
 *
 * Invariants: only names of the exact grammar, only regular files of the expected user with one link, never followed
 * through a link; a live or an unproven owner keeps its file; the inode that was judged is the inode that is removed. No
 * clock is read. The names are collected before anything is removed, so the listing never runs over its own changes.
 * What a crash leaves: temps not yet removed. Nothing needs a sync: a temp that comes back is swept again.
 */
#include <string.h>
#include <unistd.h>

#include "base/fail.h"
#include "base/path.h"
#include "durable/mutant.h"
#include "durable/sweep.h"
#include "durable/temp.h"
#include "os/fdio.h"
#include "os/lock.h"

struct sweep {
        int dirfd;
        const char *dir;
        const struct oxl_sweep_options *options;
        struct oxl_sweep_report *report;
};

/* All temp names of the folder, each ended by NUL. */
static int collect(int dirfd, const char *dir, struct oxl_buf *names, struct oxl_error *err)
{
        cleanup_dir struct oxl_dir listing = OXL_DIR_INIT;
        if (oxl_dir_open(&listing, dirfd) < 0)
                return OXL_FAIL_OS(err, DIR_OPEN, dir);
        struct oxl_dirent e;
        int more;
        while ((more = oxl_dir_next(&listing, &e)) > 0) {
                if (!oxl_temp_name_is_ours(e.name, NULL))
                        continue;
                int r = oxl_buf_append(names, e.name, strlen(e.name) + 1, err);
                if (r < 0)
                        return r;
        }
        return more < 0 ? OXL_FAIL_OS(err, DIR_READ, dir) : 0;
}

/* A temp of a standalone writer proves by a lock of its own that its maker lives. We announce ourselves first: see temp.h
 * for why neither side can miss the other. The announcement stays until @fd is closed, after the removal. */
static enum oxl_temp_verdict judge_by_own_lock(int fd, const char *name)
{
        if (OXL_MUTANT(SWEEP_WITHOUT_LOCK_CHECK))
                return OXL_TEMP_DEAD;
        bool held;
        if (oxl_lock_set(fd, OXL_TEMP_BYTE_SWEEPER, 1, OXL_LOCK_SHARED, false, name, NULL) != 0)
                return OXL_TEMP_UNKNOWN;
        if (oxl_lock_probe(fd, OXL_TEMP_BYTE_OWNER, 1, name, &held, NULL) < 0)
                return OXL_TEMP_UNKNOWN;
        return held ? OXL_TEMP_ALIVE : OXL_TEMP_DEAD;
}

static enum oxl_temp_verdict judge(const struct sweep *s, int fd, const char *name)
{
        uint64_t owner;
        OXL_ASSERT(oxl_temp_name_is_ours(name, &owner));
        if (owner == 0)
                return judge_by_own_lock(fd, name);
        return s->options->owner_alive ? s->options->owner_alive(s->options->ctx, owner) : OXL_TEMP_UNKNOWN;
}

static bool is_touchable(const struct sweep *s, const struct stat *st)
{
        bool right_type = S_ISREG(st->st_mode) || (s->options->links && S_ISLNK(st->st_mode));
        return right_type && st->st_nlink == 1 && st->st_uid == s->options->uid;
}

static void count(struct oxl_sweep_report *report, enum oxl_temp_verdict verdict, uint64_t bytes)
{
        switch (verdict) {
        case OXL_TEMP_DEAD: report->removed++; break;
        case OXL_TEMP_ALIVE: report->kept_alive++; break;
        case OXL_TEMP_UNKNOWN: report->kept_unknown++; break;
        case OXL_TEMP_FOREIGN: report->foreign++; break;
        }
        *(verdict == OXL_TEMP_DEAD ? &report->removed_bytes : &report->kept_bytes) += bytes;
}

/* Removes @name if it is still the inode judged. 0 gone; 1 it went or changed meanwhile; -1 with errno. */
static int remove_same(const struct sweep *s, const char *name, const struct stat *judged)
{
        struct stat now;
        if (oxl_fd_stat_at(s->dirfd, name, &now) < 0)
                return errno == ENOENT ? 1 : -1;
        if (!oxl_stat_same(&now, judged) || now.st_nlink != 1)
                return 1;
        if (s->options->dry_run)
                return 0;
        /* CRASH: the temp is gone, or comes back and is swept again (crash/atomic) */
        if (oxl_sys->unlinkat(s->dirfd, name, 0) < 0)
                return errno == ENOENT ? 1 : -1;
        return 0;
}

static int report(const struct sweep *s, const char *name, enum oxl_temp_verdict verdict, const struct stat *st,
                  struct oxl_error *err)
{
        uint64_t bytes = (uint64_t)st->st_blocks * 512;
        count(s->report, verdict, bytes);
        if (!s->options->seen)
                return 0;
        cleanup_free char *path = NULL;
        int r = oxl_path_join(s->dir, name, &path, err);
        if (r == 0)
                s->options->seen(s->options->ctx, path, verdict, bytes);
        return r;
}

static int sweep_one(const struct sweep *s, const char *name, struct oxl_error *err)
{
        struct stat st;
        if (oxl_fd_stat_at(s->dirfd, name, &st) < 0)
                return errno == ENOENT ? 0 : OXL_FAIL_OS(err, FILE_REMOVE, name);
        if (!is_touchable(s, &st))
                return report(s, name, OXL_TEMP_FOREIGN, &st, err);
        /* O_NONBLOCK: a FIFO may have taken the place of the file since */
        int how = S_ISLNK(st.st_mode) ? O_PATH : O_RDONLY | O_NONBLOCK;
        cleanup_fd int fd = oxl_fd_open(s->dirfd, name, how | O_NOFOLLOW, 0);
        struct stat opened;
        if (fd < 0 && errno == ENOENT)
                return 0;
        if (fd < 0 || oxl_fd_stat(fd, &opened) < 0 || !oxl_stat_same(&st, &opened))
                return report(s, name, OXL_TEMP_UNKNOWN, &st, err);
        enum oxl_temp_verdict verdict = judge(s, fd, name);
        if (verdict == OXL_TEMP_DEAD) {
                int r = remove_same(s, name, &opened);
                if (r < 0)
                        return OXL_FAIL_OS(err, FILE_REMOVE, name);
                if (r > 0)
                        return 0;
        }
        return report(s, name, verdict, &st, err);
}

int oxl_sweep_folder(int dirfd, const char *dir, const struct oxl_sweep_options *options, struct oxl_sweep_report *ret,
                     struct oxl_error *err)
{
        cleanup_buf struct oxl_buf names = OXL_BUF_INIT;
        int first = collect(dirfd, dir, &names, err);
        if (first < 0)
                return first;
        struct sweep s = { dirfd, dir, options, ret };
        for (size_t at = 0; at < names.len; at += strlen((const char *)names.data + at) + 1) {
                int r = sweep_one(&s, (const char *)names.data + at, first < 0 ? NULL : err);
                if (r < 0 && first == 0)
                        first = r;
        }
        return first;
}

int oxl_atomic_sweep(const char *dir, struct oxl_sweep_report *ret, struct oxl_error *err)
{
        struct oxl_sweep_report report = { 0 };
        const struct oxl_sweep_options options = { .uid = geteuid() };
        cleanup_fd int fd = oxl_fd_open(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0);
        if (fd < 0)
                return OXL_FAIL_OS(err, DIR_OPEN, dir);
        int r = oxl_sweep_folder(fd, dir, &options, &report, err);
        if (ret)
                *ret = report;
        return r;
}
