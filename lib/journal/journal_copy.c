/* SPDX-License-Identifier: MIT */
/*
 * A private copy of the journal, for those who may not write and for checks that must change nothing.
 *
 * Database, -wal and -journal are copied under a shared db lock; without a lock, or against a program that does not take
 * it, the copy counts only when no file changed meanwhile. As soon as the copy is open and read once, its names are
 * removed: SQLite keeps the descriptors. So a crash leaves a directory in $TMPDIR only within those few milliseconds, and the next copy
 * removes it (copy_dir.c).
 *
 * The repository's files are opened and closed here: never in a process that has the same journal open (POSIX locks).
 */
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/path.h"
#include "journal/internal.h"
#include "os/fdio.h"

enum {
        COPY_BYTES = 256 << 10,
        COPY_TRIES = 8,
};

/* The -shm is derived from the -wal: SQLite makes it again. */
static const char *const copied[] = { "journal.db", "journal.db-wal", "journal.db-journal" };

/* --- copying ---------------------------------------------------------------------------------------------------- */

static int copy_bytes(const struct oxl_journal *j, int from, int to, struct oxl_error *err)
{
        cleanup_free uint8_t *bytes = malloc(COPY_BYTES);
        if (!bytes)
                return OXL_FAIL_PLAIN(err, NOMEM);
        for (;;) {
                ssize_t n = oxl_fd_read(from, bytes, COPY_BYTES);
                if (n < 0)
                        return OXL_FAIL_OS(err, FILE_READ, j->path);
                if (n == 0)
                        return 0;
                if (oxl_fd_write_all(to, bytes, (size_t)n) < 0)
                        return OXL_FAIL_OS(err, FILE_WRITE, j->copy_dir);
        }
}

/* An absent file is copied as absent, but the database itself. */
static int copy_file(const struct oxl_journal *j, int from_dir, int to_dir, const char *name, struct oxl_error *err)
{
        cleanup_fd int from = oxl_fd_open(from_dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
        if (from < 0 && errno == ENOENT && name != copied[0])
                return 0;
        if (from < 0)
                return OXL_FAIL_OS(err, FILE_OPEN, j->path);
        int to = oxl_fd_open(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
        if (to < 0)
                return OXL_FAIL_OS(err, FILE_CREATE, j->copy_dir);
        int r = copy_bytes(j, from, to, err);
        if (oxl_fd_close(to) < 0 && r == 0)
                r = OXL_FAIL_OS(err, FILE_CLOSE, j->copy_dir);
        return r;
}

struct snapshot {
        struct stat st[OXL_ARRAY_LEN(copied)];
        bool there[OXL_ARRAY_LEN(copied)];
};

static int take_snapshot(const struct oxl_journal *j, int dirfd, struct snapshot *ret, struct oxl_error *err)
{
        for (size_t i = 0; i < OXL_ARRAY_LEN(copied); i++) {
                ret->there[i] = oxl_fd_stat_at(dirfd, copied[i], &ret->st[i]) == 0;
                if (!ret->there[i] && errno != ENOENT)
                        return OXL_FAIL_OS(err, FILE_STAT, j->path);
        }
        return 0;
}

static bool same_time(struct timespec a, struct timespec b)
{
        return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool same_snapshot(const struct snapshot *a, const struct snapshot *b)
{
        for (size_t i = 0; i < OXL_ARRAY_LEN(copied); i++) {
                const struct stat *x = &a->st[i], *y = &b->st[i];
                if (a->there[i] != b->there[i])
                        return false;
                if (!a->there[i])
                        continue;
                if (!oxl_stat_same(x, y) || x->st_size != y->st_size || !same_time(x->st_mtim, y->st_mtim) ||
                    !same_time(x->st_ctim, y->st_ctim))
                        return false;
        }
        return true;
}

/* 1: the copy may be torn. */
static int copy_once(const struct oxl_journal *j, int from_dir, int to_dir, struct oxl_error *err)
{
        struct snapshot before = { 0 }, after = { 0 };
        int r = take_snapshot(j, from_dir, &before, err);
        for (size_t i = 0; r == 0 && i < OXL_ARRAY_LEN(copied); i++)
                r = copy_file(j, from_dir, to_dir, copied[i], err);
        if (r == 0)
                r = take_snapshot(j, from_dir, &after, err);
        if (r < 0)
                return r;
        return !same_snapshot(&before, &after);
}

static int copy_files(struct oxl_journal *j, int from_dir, int to_dir, struct oxl_error *err)
{
        for (int i = 0; i < COPY_TRIES; i++) {
                int r = copy_once(j, from_dir, to_dir, err);
                if (r <= 0)
                        return r;
                oxl_copy_dir_clear(to_dir);
        }
        return OXL_FAIL_WHY(err, LOCKED, j->path, "another program keeps writing to it");
}

/* --- opening ---------------------------------------------------------------------------------------------------- */

static int make_copy(struct oxl_journal *j, int *ret_dir, struct oxl_error *err)
{
        cleanup_fd int from_dir = oxl_fd_open(AT_FDCWD, j->dir, O_RDONLY | O_DIRECTORY, 0);
        if (from_dir < 0)
                return OXL_FAIL_OS(err, DIR_OPEN, j->dir);
        int r = oxl_journal_check_files(j, from_dir, err);
        if (r == 0)
                r = oxl_copy_dir_make(j, ret_dir, err);
        if (r == 0)
                r = oxl_journal_lock(j, true, err);
        if (r < 0)
                return r;
        r = copy_files(j, from_dir, *ret_dir, err);
        oxl_journal_unlock(j);
        return r < 0 ? r : oxl_journal_look_at_rest(j, *ret_dir, err);
}

/* A read after the last change of settings has every file open that later reads need: a database that was found in another journal
 * mode than its own gets a -wal only now. test: fuzz/journal_file */
static int open_made_copy(struct oxl_journal *j, struct oxl_error *err)
{
        cleanup_free char *path = NULL;
        int64_t rows;
        int r = oxl_path_join(j->copy_dir, "journal.db", &path, err);
        if (r == 0)
                r = oxl_journal_connect(j, path, err);
        if (r == 0)
                r = oxl_journal_begin_use(j, err);
        if (r == 0)
                r = oxl_journal_query(j, "SELECT count(*) FROM meta", &rows, err);
        return r;
}

static void journal_done(struct oxl_journal **j)
{
        oxl_journal_close(*j);
}

int oxl_journal_open_copy(const struct oxl_journal_config *config, struct oxl_journal **ret, struct oxl_error *err)
{
        cleanup(journal_done) struct oxl_journal *j = NULL;
        cleanup_fd int dirfd = -1;
        int r = oxl_journal_new(config, &j, err);
        if (r == 0)
                r = make_copy(j, &dirfd, err);
        if (r < 0)
                return r;
        j->lock_fd = -1; /* nobody else knows the copy */
        j->copy = true;
        r = open_made_copy(j, err);
        if (r < 0)
                return r;
        oxl_copy_dir_remove(j); /* it has been read: every descriptor is open */
        *ret = take_ptr(&j);
        return 0;
}
