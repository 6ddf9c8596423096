/* SPDX-License-Identifier: MIT */
/* SQLite's results as our errors; statements; the db lock; transactions under it. */
#include <string.h>
#include <time.h>

#include "durable/mutant.h"
#include "journal/internal.h"
#include "os/fdio.h"
#include "os/lock.h"
#include "os/sys.h"

int oxl_journal_damaged(const struct oxl_journal *j, const char *why, struct oxl_error *err)
{
        return OXL_FAIL_WHY(err, JOURNAL_DAMAGED, j->path, why);
}

/* A column that SQLite has no memory for reads as NULL, and only the connection knows why. */
int oxl_journal_malformed(const struct oxl_journal *j, const char *why, struct oxl_error *err)
{
        return sqlite3_errcode(j->db) == SQLITE_NOMEM ? OXL_FAIL_PLAIN(err, NOMEM) : oxl_journal_damaged(j, why, err);
}

static int last_errno_of(struct oxl_journal *j, int which)
{
        sqlite3_file *file = NULL;
        int os = 0;
        if (sqlite3_file_control(j->db, "main", which, &file) != SQLITE_OK || !file || !file->pMethods)
                return 0;
        return file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &os) == SQLITE_OK ? os : 0;
}

/* SQLite forgets the errno of a COMMIT that failed; its files remember. */
static int find_errno(struct oxl_journal *j)
{
        int os = sqlite3_system_errno(j->db);
        if (os == 0)
                os = last_errno_of(j, SQLITE_FCNTL_JOURNAL_POINTER);
        return os ? os : last_errno_of(j, SQLITE_FCNTL_FILE_POINTER);
}

/* "disk I/O error: No space left on device" */
static int fail_system(struct oxl_journal *j, const char *text, struct oxl_error *err)
{
        char detail[256], os_text[128];
        size_t n = strlen(text) < 100 ? strlen(text) : 100;
        memcpy(detail, text, n); /* first: it is SQLite's, until the next call */
        detail[n] = 0;
        int os = find_errno(j);
        if (os != 0) {
                const char *reason = strerror_r(os, os_text, sizeof os_text);
                size_t m = strlen(reason) < 120 ? strlen(reason) : 120;
                memcpy(detail + n, ": ", 2);
                memcpy(detail + n + 2, reason, m);
                detail[n + 2 + m] = 0;
        }
        int r = OXL_FAIL_WHY(err, JOURNAL, j->path, detail);
        if (err)
                err->os = os;
        return r;
}

/*
 * Only what SQLite itself calls corrupt is damage; an I/O error never is.
 * After a failed write or sync the kernel may have dropped pages that look clean: a later sync would not write them, and
 * would succeed (fsyncgate). So nothing more is recorded through this connection.
 */
int oxl_journal_fail(struct oxl_journal *j, int rc, struct oxl_error *err)
{
        if (rc == SQLITE_IOERR_DATA)
                return oxl_journal_damaged(j, "a page does not match its checksum", err);
        if ((rc & 0xff) == SQLITE_IOERR && j->writing)
                j->poisoned = true;
        const char *text = j->db ? sqlite3_errmsg(j->db) : sqlite3_errstr(rc);
        switch (rc & 0xff) {
        case SQLITE_NOMEM: return OXL_FAIL_PLAIN(err, NOMEM);
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
        case SQLITE_FORMAT:
        case SQLITE_CONSTRAINT: /* our rows fit our schema: so the schema is not ours any more */
        case SQLITE_MISMATCH: return oxl_journal_damaged(j, text, err);
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
                return OXL_FAIL_WHY(err, LOCKED, j->path, "another program has it open and holds SQLite's lock");
        case SQLITE_TOOBIG: return OXL_FAIL_WHY(err, LIMIT, j->path, text);
        case SQLITE_FULL:
        case SQLITE_IOERR:
        case SQLITE_CANTOPEN:
        case SQLITE_READONLY:
        case SQLITE_PERM: return fail_system(j, text, err);
        default: return OXL_FAIL_WHY(err, JOURNAL, j->path, text);
        }
}

/* More than SQLite needs to read our schema. */
static bool has_memory(void)
{
        void *p = malloc(1 << 20);
        free(p);
        return p != NULL;
}

/*
 * SQLite also says NOMEM where a text of the stored schema cannot be had because its record is damaged: then it does so every
 * time, though there is memory. test: fuzz/journal_file, a seed
 */
static int prepare(struct oxl_journal *j, const char *sql, sqlite3_stmt **ret)
{
        int rc = sqlite3_prepare_v2(j->db, sql, -1, ret, NULL);
        if (rc != SQLITE_NOMEM || !has_memory())
                return rc;
        rc = sqlite3_prepare_v2(j->db, sql, -1, ret, NULL);
        return rc == SQLITE_NOMEM && has_memory() ? SQLITE_CORRUPT : rc;
}

int oxl_stmt_new(struct oxl_journal *j, const char *sql, sqlite3_stmt **ret, struct oxl_error *err)
{
        int rc = prepare(j, sql, ret);
        if (rc == SQLITE_OK)
                return 0;
        if (rc == SQLITE_CORRUPT && sqlite3_errcode(j->db) == SQLITE_NOMEM)
                return oxl_journal_damaged(j, "its schema cannot be read", err);
        if ((rc & 0xff) == SQLITE_ERROR)
                return oxl_journal_damaged(j, sqlite3_errmsg(j->db), err);
        return oxl_journal_fail(j, rc, err);
}

int oxl_stmt_step(struct oxl_journal *j, sqlite3_stmt *s, struct oxl_error *err)
{
        int rc = sqlite3_step(s);
        if (rc == SQLITE_ROW)
                return 1;
        return rc == SQLITE_DONE ? 0 : oxl_journal_fail(j, rc, err);
}

int oxl_stmt_run(struct oxl_journal *j, sqlite3_stmt *s, struct oxl_error *err)
{
        int r;
        do
                r = oxl_stmt_step(j, s, err);
        while (r > 0);
        return r;
}

int oxl_journal_exec(struct oxl_journal *j, const char *sql, struct oxl_error *err)
{
        int rc = sqlite3_exec(j->db, sql, NULL, NULL, NULL);
        return rc == SQLITE_OK ? 0 : oxl_journal_fail(j, rc, err);
}

int oxl_journal_query(struct oxl_journal *j, const char *sql, int64_t *ret, struct oxl_error *err)
{
        cleanup_stmt sqlite3_stmt *s = NULL;
        int r = oxl_stmt_new(j, sql, &s, err);
        if (r < 0)
                return r;
        r = oxl_stmt_step(j, s, err);
        if (r < 0)
                return r;
        if (r == 0 || sqlite3_column_type(s, 0) != SQLITE_INTEGER)
                return oxl_journal_damaged(j, "a number is missing", err);
        *ret = sqlite3_column_int64(s, 0);
        return 0;
}

const char *oxl_stmt_text(sqlite3_stmt *s, int column)
{
        if (sqlite3_column_type(s, column) != SQLITE_TEXT)
                return NULL;
        const char *text = (const char *)sqlite3_column_text(s, column);
        if (!text || strlen(text) != (size_t)sqlite3_column_bytes(s, column))
                return NULL;
        return text;
}

int oxl_stmt_bind_text(struct oxl_journal *j, sqlite3_stmt *s, int at, const char *text, struct oxl_error *err)
{
        int rc = text ? sqlite3_bind_text64(s, at, text, strlen(text), SQLITE_STATIC, SQLITE_UTF8)
                      : sqlite3_bind_null(s, at);
        return rc == SQLITE_OK ? 0 : oxl_journal_fail(j, rc, err);
}

int oxl_stmt_bind_int(struct oxl_journal *j, sqlite3_stmt *s, int at, int64_t v, struct oxl_error *err)
{
        int rc = sqlite3_bind_int64(s, at, v);
        return rc == SQLITE_OK ? 0 : oxl_journal_fail(j, rc, err);
}

/* --- the db lock ------------------------------------------------------------------------------------------------ */

static int64_t clock_ns(clockid_t clock)
{
        struct timespec t;
        if (oxl_sys->clock_gettime(clock, &t) < 0)
                return 0;
        return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t oxl_journal_now(void)
{
        return clock_ns(CLOCK_REALTIME);
}

int oxl_journal_lock(struct oxl_journal *j, bool shared, struct oxl_error *err)
{
        enum oxl_lock_kind kind = shared ? OXL_LOCK_SHARED : OXL_LOCK_EXCLUSIVE;
        if (j->lock_fd < 0)
                return 0;
        if (j->wait_ms < 0)
                return oxl_lock_set(j->lock_fd, OXL_JOURNAL_LOCK_BYTE, 1, kind, true, j->path, err);
        int64_t start = clock_ns(CLOCK_MONOTONIC), pause = 1000000;
        for (;;) {
                int r = oxl_lock_set(j->lock_fd, OXL_JOURNAL_LOCK_BYTE, 1, kind, false, j->path, err);
                if (r != OXL_LOCK_BUSY)
                        return r;
                if ((clock_ns(CLOCK_MONOTONIC) - start) / 1000000 >= j->wait_ms)
                        return OXL_FAIL_WHY(err, LOCKED, j->path, "another process is in a transaction");
                nanosleep(&(struct timespec){ .tv_nsec = (long)pause }, NULL); /* woken early: one more try */
                pause = pause < 32000000 ? pause * 2 : pause;
        }
}

void oxl_journal_unlock(struct oxl_journal *j)
{
        if (j->lock_fd >= 0)
                OXL_IGNORE(oxl_lock_drop(j->lock_fd, OXL_JOURNAL_LOCK_BYTE, 1, j->path, NULL), "goes with the process");
}

/* --- transactions ----------------------------------------------------------------------------------------------- */

/* synchronous cannot change inside a transaction, and is read back: SQLite ignores what it does not understand. */
static int set_sync(struct oxl_journal *j, int level, struct oxl_error *err)
{
        if (j->sync == level)
                return 0;
        j->sync = 0;
        int r = oxl_journal_exec(
                j, level == OXL_JOURNAL_SYNC_FULL ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL", err);
        if (r < 0)
                return r;
        int64_t found;
        r = oxl_journal_query(j, "PRAGMA synchronous", &found, err);
        if (r < 0)
                return r;
        if (found != level)
                return OXL_FAIL_WHY(err, JOURNAL, j->path, "the level of synchronous did not take");
        j->sync = level;
        return 0;
}

static int begin_locked(struct oxl_journal *j, enum oxl_txn_kind kind, struct oxl_error *err)
{
        int level = kind == OXL_TXN_LAZY && j->wal ? OXL_JOURNAL_SYNC_NORMAL : OXL_JOURNAL_SYNC_FULL;
        int r = set_sync(j, level, err);
        if (r < 0)
                return r;
        return oxl_journal_exec(j, kind == OXL_TXN_READ ? "BEGIN" : "BEGIN IMMEDIATE", err);
}

int oxl_txn_begin(struct oxl_txn *t, struct oxl_journal *j, enum oxl_txn_kind kind, struct oxl_error *err)
{
        if (kind != OXL_TXN_READ && j->copy)
                return OXL_FAIL_WHY(err, JOURNAL, j->path, "this is a private copy: nothing can be recorded in it");
        if (kind != OXL_TXN_READ && j->poisoned)
                return OXL_FAIL_PATH(err, POISONED, j->path);
        int r = oxl_journal_lock(j, false, err);
        if (r < 0)
                return r;
        j->writing = kind != OXL_TXN_READ;
        r = begin_locked(j, kind, err);
        if (r < 0) {
                j->writing = false;
                oxl_journal_unlock(j);
                return r;
        }
        *t = (struct oxl_txn){ j, kind };
        return 0;
}

/*
 * The -wal's pages count as clean after their sync failed, and are not on the disk. Whoever opens the journal next would
 * believe them, and put its own frames, which it can sync, behind a hole where a later reading of the disk stops. Best effort.
 * The descriptor of another file than the -wal must not be closed here: POSIX locks. tests: crash/release-store.
 */
static void forget_cache(struct oxl_journal *j)
{
        int saved = errno;
        cleanup_fd int dirfd = oxl_fd_open(AT_FDCWD, j->dir, O_RDONLY | O_DIRECTORY, 0);
        cleanup_fd int fd =
                dirfd < 0 ? -1 : oxl_fd_open(dirfd, "journal.db-wal", O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
        if (fd >= 0)
                OXL_IGNORE(oxl_sys->fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), "then the cache stays as it is");
        errno = saved;
}

int oxl_txn_commit(struct oxl_txn *t, struct oxl_error *err)
{
        struct oxl_journal *j = t->j;
        int r = oxl_journal_exec(j, "COMMIT", err);
        if (r < 0) {
                oxl_txn_done(t);
                if (j->poisoned && !OXL_MUTANT(JOURNAL_KEEPS_CACHE))
                        forget_cache(j);
                return r;
        }
        /* The row is there: a level that could not be set back now is set before the next durable transaction. */
        if (t->kind == OXL_TXN_LAZY)
                OXL_IGNORE(set_sync(j, OXL_JOURNAL_SYNC_FULL, NULL), "begin_locked tries again and reports");
        t->j = NULL;
        j->writing = false;
        oxl_journal_unlock(j);
        return 0;
}

void oxl_txn_done(struct oxl_txn *t)
{
        struct oxl_journal *j = t->j;
        if (!j)
                return;
        int saved = errno;
        if (j->writing)
                j->tail = (struct oxl_chain){ 0 }; /* it may be that of the row which is rolled back */
        if (!sqlite3_get_autocommit(j->db))
                OXL_IGNORE(sqlite3_exec(j->db, "ROLLBACK", NULL, NULL, NULL) != SQLITE_OK,
                           "closing rolls back as well");
        t->j = NULL;
        j->writing = false;
        oxl_journal_unlock(j);
        errno = saved;
}
