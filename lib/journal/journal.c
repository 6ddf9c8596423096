/* SPDX-License-Identifier: MIT */
/*
 * Opening, creating, checking, checkpointing.
 *
 * Before SQLite sees a file, its name must be a regular file that is not empty: beside an empty database SQLite deletes the
 * -wal, and it follows links. Every setting that durability rests on is read back, because SQLite answers an unknown or
 * refused PRAGMA with silence. Triggers and views of a database that others may have written are off.
 */
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "base/path.h"
#include "durable/mutant.h"
#include "journal/internal.h"
#include "journal/schema.h"
#include "os/fdio.h"
#include "os/fskind.h"

const char *oxl_intent_state_text(enum oxl_intent_state state)
{
        static const char *const texts[] = {
                "staged", "done", "aborted", "rolled-forward", "rolled-back", "superseded",
        };
        OXL_ASSERT((size_t)state < OXL_ARRAY_LEN(texts));
        return texts[state];
}

/* --- the object ------------------------------------------------------------------------------------------------- */

static void close_connection(struct oxl_journal *j)
{
        OXL_IGNORE(sqlite3_close_v2(j->db) != SQLITE_OK, "no statement is left open");
        j->db = NULL;
        oxl_journal_vfs_free(j->vfs);
        j->vfs = NULL;
}

void oxl_journal_close(struct oxl_journal *j)
{
        if (!j)
                return;
        int saved = errno;
        close_connection(j);
        oxl_copy_dir_remove(j);
        oxl_fd_done(&j->copy_lock);
        free(j->copy_dir);
        free(j->dir);
        free(j->path);
        free(j);
        errno = saved;
}

static void journal_done(struct oxl_journal **j)
{
        oxl_journal_close(*j);
}
#define cleanup_journal cleanup(journal_done)

int oxl_journal_new(const struct oxl_journal_config *config, struct oxl_journal **ret, struct oxl_error *err)
{
        cleanup_journal struct oxl_journal *j = calloc(1, sizeof *j);
        if (!j)
                return OXL_FAIL_PLAIN(err, NOMEM);
        j->id = config->id;
        j->copy_lock = -1;
        j->lock_fd = config->lock_fd;
        j->wait_ms = config->wait_ms;
        j->dir = strdup(config->dir);
        if (!j->dir)
                return OXL_FAIL_PLAIN(err, NOMEM);
        int r = oxl_path_join(config->dir, "journal.db", &j->path, err);
        if (r < 0)
                return r;
        *ret = take_ptr(&j);
        return 0;
}

static int open_dir(const struct oxl_journal *j, int *ret, struct oxl_error *err)
{
        *ret = oxl_fd_open(AT_FDCWD, j->dir, O_RDONLY | O_DIRECTORY, 0);
        return *ret < 0 ? OXL_FAIL_OS(err, DIR_OPEN, j->dir) : 0;
}

/* --- settings --------------------------------------------------------------------------------------------------- */

static int set_option(struct oxl_journal *j, int option, int value, struct oxl_error *err)
{
        int found = -1;
        int rc = sqlite3_db_config(j->db, option, value, &found);
        if (rc != SQLITE_OK || found != value)
                return OXL_FAIL_WHY(err, JOURNAL, j->path, "this SQLite lacks a safety option");
        return 0;
}

/* @set, then @get must yield @value. */
static int set_pragma(struct oxl_journal *j, const char *set, const char *get, int64_t value, struct oxl_error *err)
{
        int64_t found = -1;
        int r = oxl_journal_exec(j, set, err);
        if (r == 0)
                r = oxl_journal_query(j, get, &found, err);
        if (r < 0)
                return r;
        return found == value ? 0 : OXL_FAIL_WHY(err, JOURNAL, j->path, "a setting did not take");
}

static int set_options(struct oxl_journal *j, struct oxl_error *err)
{
        static const struct {
                int option, value;
        } options[] = {
                { SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1 }, { SQLITE_DBCONFIG_DEFENSIVE, 1 },
                { SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0 },   { SQLITE_DBCONFIG_ENABLE_TRIGGER, 0 },
                { SQLITE_DBCONFIG_ENABLE_VIEW, 0 },      { SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0 },
                { SQLITE_DBCONFIG_DQS_DML, 0 },          { SQLITE_DBCONFIG_DQS_DDL, 0 },
        };
        for (size_t i = 0; i < OXL_ARRAY_LEN(options); i++) {
                int r = set_option(j, options[i].option, options[i].value, err);
                if (r < 0)
                        return r;
        }
        sqlite3_limit(j->db, SQLITE_LIMIT_LENGTH, OXL_JOURNAL_BODY_MAX + (1 << 20));
        sqlite3_limit(j->db, SQLITE_LIMIT_ATTACHED, 0);
        int64_t busy_ms = j->wait_ms < 0 || j->wait_ms > 1000000 ? 1000000 : j->wait_ms;
        sqlite3_busy_timeout(j->db, (int)busy_ms);
        return 0;
}

static int set_pragmas(struct oxl_journal *j, struct oxl_error *err)
{
        int r = set_pragma(j, "PRAGMA wal_autocheckpoint=0", "PRAGMA wal_autocheckpoint", 0, err);
        if (r == 0)
                r = set_pragma(j, "PRAGMA cell_size_check=ON", "PRAGMA cell_size_check", 1, err);
        if (r == 0)
                r = set_pragma(j, "PRAGMA temp_store=MEMORY", "PRAGMA temp_store", 2, err);
        return r;
}

/* A file that we may only read opens too, read-only: that is not what the caller asked for. */
static int check_writable(struct oxl_journal *j, struct oxl_error *err)
{
        if (sqlite3_db_readonly(j->db, "main") != 1)
                return 0;
        errno = EACCES;
        return OXL_FAIL_OS(err, FILE_OPEN, j->path);
}

int oxl_journal_connect(struct oxl_journal *j, const char *path, struct oxl_error *err)
{
        int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE;
        j->vfs = oxl_journal_vfs_new(&j->id);
        if (!j->vfs)
                return OXL_FAIL_PLAIN(err, NOMEM);
        int rc = sqlite3_open_v2(path, &j->db, flags, j->vfs->zName);
        if (rc != SQLITE_OK)
                return oxl_journal_fail(j, rc, err);
        int r = set_options(j, err);
        if (r == 0)
                r = check_writable(j, err);
        return r;
}

/* --- files ------------------------------------------------------------------------------------------------------ */

/* The others may be absent. */
static int check_other_file(struct oxl_journal *j, int dirfd, const char *name, struct oxl_error *err)
{
        struct stat st;
        if (oxl_fd_stat_at(dirfd, name, &st) < 0)
                return errno == ENOENT ? 0 : OXL_FAIL_OS(err, FILE_STAT, j->path);
        return S_ISREG(st.st_mode) ? 0 : oxl_journal_damaged(j, "what lies beside it is not a regular file", err);
}

int oxl_journal_check_files(struct oxl_journal *j, int dirfd, struct oxl_error *err)
{
        static const char *const others[] = { "journal.db-wal", "journal.db-shm", "journal.db-journal" };
        struct stat st;
        if (oxl_fd_stat_at(dirfd, "journal.db", &st) < 0)
                return OXL_FAIL_OS(err, FILE_OPEN, j->path);
        if (!S_ISREG(st.st_mode))
                return oxl_journal_damaged(j, "it is not a regular file", err);
        if (st.st_size == 0)
                return oxl_journal_damaged(j, "it is empty", err);
        for (size_t i = 0; i < OXL_ARRAY_LEN(others); i++) {
                int r = check_other_file(j, dirfd, others[i], err);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* --- schema ----------------------------------------------------------------------------------------------------- */

static int get_version(struct oxl_journal *j, int64_t *ret, struct oxl_error *err)
{
        return oxl_journal_query(j, "PRAGMA user_version", ret, err);
}

/* Applies what follows version @from, inside a transaction. */
static int apply_migrations(struct oxl_journal *j, int64_t from, struct oxl_error *err)
{
        for (size_t i = (size_t)from; i < oxl_journal_migrations_count; i++) {
                const struct oxl_journal_migration *m = &oxl_journal_migrations[i];
                char set[64];
                snprintf(set, sizeof set, "PRAGMA user_version=%d", m->version);
                int r = oxl_journal_exec(j, m->sql, err);
                if (r == 0)
                        r = oxl_journal_exec(j, set, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* The db lock is held. */
static int migrate(struct oxl_journal *j, struct oxl_error *err)
{
        int64_t version;
        int r = get_version(j, &version, err);
        if (r < 0)
                return r;
        if (version > (int64_t)oxl_journal_migrations_count)
                return OXL_FAIL_PATH(err, JOURNAL_NEWER, j->path);
        if (version < 1)
                return oxl_journal_damaged(j, "it has no schema", err);
        if (version == (int64_t)oxl_journal_migrations_count)
                return 0;
        r = oxl_journal_exec(j, "BEGIN IMMEDIATE", err);
        if (r == 0)
                r = apply_migrations(j, version, err);
        if (r == 0)
                r = oxl_journal_exec(j, "COMMIT", err);
        if (r < 0 && !sqlite3_get_autocommit(j->db))
                OXL_IGNORE(oxl_journal_exec(j, "ROLLBACK", NULL), "closing rolls back as well");
        return r;
}

/* Objects of the schema in a fixed order. */
static const char schema_sql[] = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name";

static bool same_text(sqlite3_stmt *a, sqlite3_stmt *b, int column)
{
        const char *x = (const char *)sqlite3_column_text(a, column), *y = (const char *)sqlite3_column_text(b, column);
        return x && y ? strcmp(x, y) == 0 : x == y;
}

static int compare_schema(struct oxl_journal *j, struct oxl_journal *fresh, struct oxl_error *err)
{
        cleanup_stmt sqlite3_stmt *a = NULL, *b = NULL;
        int r = oxl_stmt_new(j, schema_sql, &a, err);
        if (r == 0)
                r = oxl_stmt_new(fresh, schema_sql, &b, err);
        if (r < 0)
                return r;
        for (;;) {
                int have = oxl_stmt_step(j, a, err), want = have < 0 ? 0 : oxl_stmt_step(fresh, b, err);
                if (have < 0 || want < 0)
                        return have < 0 ? have : want;
                if (have != want)
                        return oxl_journal_damaged(j, "its schema is not ours", err);
                if (have == 0)
                        return 0;
                for (int column = 0; column < 4; column++)
                        if (!same_text(a, b, column))
                                return oxl_journal_malformed(sqlite3_errcode(fresh->db) == SQLITE_NOMEM ? fresh : j,
                                                             "its schema is not ours", err);
        }
}

/* Our migrations, run in memory, must yield the stored schema. */
static int verify_schema(struct oxl_journal *j, struct oxl_error *err)
{
        const struct oxl_journal_config config = { .dir = j->dir, .id = j->id, .lock_fd = -1 };
        cleanup_journal struct oxl_journal *fresh = NULL;
        int r = oxl_journal_new(&config, &fresh, err);
        if (r == 0)
                r = oxl_journal_connect(fresh, ":memory:", err);
        if (r == 0)
                r = apply_migrations(fresh, 0, err);
        return r < 0 ? r : compare_schema(j, fresh, err);
}

/* --- meta ------------------------------------------------------------------------------------------------------- */

static void id_text(const struct oxl_journal *j, char ret[2 * OXL_REPO_ID_BYTES + 1])
{
        oxl_hex_encode(j->id.bytes, OXL_REPO_ID_BYTES, ret);
}

static int put_meta(struct oxl_journal *j, const char *key, const char *value, struct oxl_error *err)
{
        cleanup_stmt sqlite3_stmt *s = NULL;
        int r = oxl_stmt_new(j, "INSERT INTO meta (key, value) VALUES (?, ?)", &s, err);
        if (r == 0)
                r = oxl_stmt_bind_text(j, s, 1, key, err);
        if (r == 0)
                r = oxl_stmt_bind_text(j, s, 2, value, err);
        return r < 0 ? r : oxl_stmt_run(j, s, err);
}

/* Copies the value into @ret of @size bytes; an absent or longer one is damage. */
static int get_meta(struct oxl_journal *j, const char *key, char *ret, size_t size, struct oxl_error *err)
{
        cleanup_stmt sqlite3_stmt *s = NULL;
        int r = oxl_stmt_new(j, "SELECT value FROM meta WHERE key = ?", &s, err);
        if (r == 0)
                r = oxl_stmt_bind_text(j, s, 1, key, err);
        if (r == 0)
                r = oxl_stmt_step(j, s, err);
        if (r < 0)
                return r;
        const char *value = r == 1 ? oxl_stmt_text(s, 0) : NULL;
        if (!value || strlen(value) >= size)
                return oxl_journal_malformed(j, "a row of meta is missing or malformed", err);
        memcpy(ret, value, strlen(value) + 1);
        return 0;
}

static int read_meta(struct oxl_journal *j, struct oxl_error *err)
{
        char id[2 * OXL_REPO_ID_BYTES + 1], want[sizeof id], mode[16];
        int r = get_meta(j, "repository", id, sizeof id, err);
        if (r == 0)
                r = get_meta(j, "journal_mode", mode, sizeof mode, err);
        if (r < 0)
                return r;
        id_text(j, want);
        if (strcmp(id, want) != 0)
                return oxl_journal_damaged(j, "it belongs to another repository", err);
        if (strcmp(mode, "wal") != 0 && strcmp(mode, "truncate") != 0)
                return oxl_journal_damaged(j, "it names an unknown journal mode", err);
        j->wal = strcmp(mode, "wal") == 0;
        return 0;
}

/* --- journal mode ----------------------------------------------------------------------------------------------- */

/* *ret: is @mode what `sql` answers? */
static int mode_is(struct oxl_journal *j, const char *sql, const char *mode, bool *ret, struct oxl_error *err)
{
        cleanup_stmt sqlite3_stmt *s = NULL;
        int r = oxl_stmt_new(j, sql, &s, err);
        if (r == 0)
                r = oxl_stmt_step(j, s, err);
        if (r < 0)
                return r;
        const char *found = r == 1 ? oxl_stmt_text(s, 0) : NULL;
        if (!found)
                return oxl_journal_malformed(j, "its journal mode cannot be read", err);
        *ret = strcmp(found, mode) == 0;
        return 0;
}

/* Changing it writes, so an equal one is left alone. */
static int set_journal_mode(struct oxl_journal *j, struct oxl_error *err)
{
        const char *mode = j->wal ? "wal" : "truncate";
        bool same;
        if (OXL_MUTANT(JOURNAL_DELETE) && !j->wal)
                return mode_is(j, "PRAGMA journal_mode=DELETE", mode, &same, err);
        int r = mode_is(j, "PRAGMA journal_mode", mode, &same, err);
        if (r == 0 && !same)
                r = mode_is(j, j->wal ? "PRAGMA journal_mode=WAL" : "PRAGMA journal_mode=TRUNCATE", mode, &same, err);
        if (r == 0 && !same)
                r = mode_is(j, "PRAGMA journal_mode", mode, &same, err);
        if (r < 0)
                return r;
        return same ? 0 : OXL_FAIL_WHY(err, JOURNAL, j->path, "its journal mode cannot be set");
}

static int set_durability(struct oxl_journal *j, struct oxl_error *err)
{
        int r = set_journal_mode(j, err);
        if (r == 0)
                r = set_pragma(j, "PRAGMA synchronous=FULL", "PRAGMA synchronous", OXL_JOURNAL_SYNC_FULL, err);
        if (r < 0)
                return r;
        j->sync = OXL_JOURNAL_SYNC_FULL;
        /* mmap would turn an I/O error into SIGBUS; asking is no write, but needs the file */
        return oxl_journal_exec(j, "PRAGMA mmap_size=0", err);
}

int oxl_journal_begin_use(struct oxl_journal *j, struct oxl_error *err)
{
        int r = set_pragmas(j, err);
        if (r == 0)
                r = migrate(j, err);
        if (r == 0)
                r = read_meta(j, err);
        if (r == 0)
                r = set_durability(j, err);
        return r;
}

/* --- opening ---------------------------------------------------------------------------------------------------- */

/*
 * Without WAL a dead process may have emptied the rollback journal without syncing that. The next transaction's records would then
 * be written over the old ones while a power cut can still bring the old header back: SQLite would roll back with a mixture.
 * So the journal file is made durable as it is now, after SQLite has looked at it. (tests: crash/release-store, kills in
 * "commit on NFS")
 */
static int settle_rollback_journal(struct oxl_journal *j, struct oxl_error *err)
{
        const char *name = sqlite3_filename_journal(sqlite3_db_filename(j->db, "main"));
        cleanup_free sqlite3_file *file = calloc(1, (size_t)j->vfs->szOsFile);
        int flags;
        if (!file)
                return OXL_FAIL_PLAIN(err, NOMEM);
        int rc = j->vfs->xOpen(j->vfs, name, file, SQLITE_OPEN_READWRITE | SQLITE_OPEN_MAIN_JOURNAL, &flags);
        if ((rc & 0xff) == SQLITE_CANTOPEN)
                return 0; /* there is none */
        if (rc == SQLITE_OK)
                rc = file->pMethods->xSync(file, SQLITE_SYNC_NORMAL);
        if (file->pMethods)
                file->pMethods->xClose(file);
        return rc == SQLITE_OK ? 0 : oxl_journal_fail(j, rc, err);
}

static int wal_size(const struct oxl_journal *j, uint64_t *ret, struct oxl_error *err)
{
        cleanup_fd int dirfd = -1;
        struct stat st;
        int r = open_dir(j, &dirfd, err);
        if (r < 0)
                return r;
        *ret = 0;
        if (oxl_fd_stat_at(dirfd, "journal.db-wal", &st) == 0)
                *ret = (uint64_t)st.st_size;
        else if (errno != ENOENT)
                return OXL_FAIL_OS(err, FILE_STAT, j->path);
        return 0;
}

static int open_locked(struct oxl_journal *j, struct oxl_error *err)
{
        uint64_t size = 0;
        int r = oxl_journal_connect(j, j->path, err);
        if (r == 0)
                r = oxl_journal_begin_use(j, err);
        if (r < 0 || !j->wal)
                return r < 0 ? r : settle_rollback_journal(j, err);
        r = wal_size(j, &size, err);
        return r < 0 ? r : oxl_journal_settle(j, size, err);
}

int oxl_journal_open(const struct oxl_journal_config *config, struct oxl_journal **ret, struct oxl_error *err)
{
        cleanup_journal struct oxl_journal *j = NULL;
        cleanup_fd int dirfd = -1;
        int r = oxl_journal_new(config, &j, err);
        if (r == 0)
                r = open_dir(j, &dirfd, err);
        if (r == 0)
                r = oxl_journal_check_files(j, dirfd, err);
        if (r == 0)
                r = oxl_journal_lock(j, false, err);
        if (r < 0)
                return r;
        r = open_locked(j, err);
        oxl_journal_unlock(j);
        if (r < 0)
                return r;
        *ret = take_ptr(&j);
        return 0;
}

/* --- creating --------------------------------------------------------------------------------------------------- */

/* File systems on which two machines may meet: no shared memory between them, so no WAL. */
static int on_network(const struct oxl_journal *j, int dirfd, bool *ret, struct oxl_error *err)
{
        enum oxl_fs_kind kind;
        if (oxl_fs_kind(dirfd, &kind) < 0)
                return OXL_FAIL_OS(err, FILE_STAT, j->dir);
        *ret = kind == OXL_FS_NETWORK;
        return 0;
}

/* Made here and not by SQLite: never over an existing file, and with the modes of our other files. */
static int create_file(const struct oxl_journal *j, int dirfd, struct oxl_error *err)
{
        int fd = oxl_fd_open(dirfd, "journal.db", O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0666);
        if (fd < 0 && errno == EEXIST)
                return OXL_FAIL_PATH(err, FILE_EXISTS, j->path);
        if (fd < 0)
                return OXL_FAIL_OS(err, FILE_CREATE, j->path);
        return oxl_fd_close(fd) < 0 ? OXL_FAIL_OS(err, FILE_CLOSE, j->path) : 0;
}

static int fill(struct oxl_journal *j, struct oxl_error *err)
{
        char id[2 * OXL_REPO_ID_BYTES + 1];
        id_text(j, id);
        int r = oxl_journal_exec(j, "BEGIN IMMEDIATE", err);
        if (r == 0)
                r = apply_migrations(j, 0, err);
        if (r == 0)
                r = put_meta(j, "repository", id, err);
        if (r == 0)
                r = put_meta(j, "journal_mode", j->wal ? "wal" : "truncate", err);
        return r < 0 ? r : oxl_journal_exec(j, "COMMIT", err);
}

/* Through SQLite's own descriptor: closing another one would drop its locks. */
static int sync_database(struct oxl_journal *j, struct oxl_error *err)
{
        sqlite3_file *file = NULL;
        int rc = sqlite3_file_control(j->db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
        if (rc == SQLITE_OK)
                rc = file && file->pMethods ? file->pMethods->xSync(file, SQLITE_SYNC_NORMAL) : SQLITE_INTERNAL;
        return rc == SQLITE_OK ? 0 : oxl_journal_fail(j, rc, err);
}

/* Any change will do, but an equal value is none: SQLite would write no frame. */
static int write_frames(struct oxl_journal *j, struct oxl_error *err)
{
        int r = oxl_journal_exec(j, "BEGIN IMMEDIATE; DELETE FROM meta WHERE key = 'journal_mode'", err);
        if (r == 0)
                r = put_meta(j, "journal_mode", "wal", err);
        return r < 0 ? r : oxl_journal_exec(j, "COMMIT", err);
}

/* Before anything is in it. */
static int reserve_sums(struct oxl_journal *j, struct oxl_error *err)
{
        int bytes = OXL_JOURNAL_SUM_BYTES;
        int rc = sqlite3_file_control(j->db, "main", SQLITE_FCNTL_RESERVE_BYTES, &bytes);
        return rc == SQLITE_OK ? 0 : oxl_journal_fail(j, rc, err);
}

/*
 * Nothing refers to the file yet, so it is filled without any sync and synced once as a whole. The last transaction goes
 * through the -wal (header, directory, frames: three syncs), which stays: the first intent then finds a -wal with frames
 * whose name is durable, and costs one sync. CRASH: a part of a file in a folder that init has not yet published.
 */
static int create_content(struct oxl_journal *j, struct oxl_error *err)
{
        int r = oxl_journal_exec(j, "PRAGMA page_size=4096", err);
        if (r == 0)
                r = reserve_sums(j, err);
        if (r == 0)
                r = oxl_journal_exec(j, "PRAGMA journal_mode=MEMORY; PRAGMA synchronous=OFF", err);
        if (r == 0)
                r = set_pragmas(j, err);
        if (r == 0)
                r = fill(j, err);
        if (r == 0)
                r = set_durability(j, err);
        if (r == 0)
                r = sync_database(j, err);
        if (r == 0 && j->wal)
                r = write_frames(j, err);
        return r;
}

int oxl_journal_create(const struct oxl_journal_config *config, struct oxl_error *err)
{
        cleanup_journal struct oxl_journal *j = NULL;
        cleanup_fd int dirfd = -1;
        bool network = false;
        int r = oxl_journal_new(config, &j, err);
        if (r == 0)
                r = open_dir(j, &dirfd, err);
        if (r == 0)
                r = on_network(j, dirfd, &network, err);
        if (r == 0)
                r = create_file(j, dirfd, err);
        if (r == 0)
                r = oxl_journal_lock(j, false, err);
        if (r < 0)
                return r;
        j->wal = !network;
        r = oxl_journal_connect(j, j->path, err);
        if (r == 0)
                r = create_content(j, err);
        close_connection(j);
        oxl_journal_unlock(j);
        return r;
}

/* --- verifying and checkpointing -------------------------------------------------------------------------------- */

static int check_integrity(struct oxl_journal *j, struct oxl_error *err)
{
        cleanup_stmt sqlite3_stmt *s = NULL;
        int r = oxl_stmt_new(j, "PRAGMA integrity_check(1)", &s, err);
        if (r == 0)
                r = oxl_stmt_step(j, s, err);
        if (r < 0)
                return r;
        const char *found = r == 1 ? oxl_stmt_text(s, 0) : NULL;
        if (!found)
                return oxl_journal_malformed(j, "it cannot be checked", err);
        return strcmp(found, "ok") == 0 ? 0 : oxl_journal_damaged(j, found, err);
}

static int check_version(struct oxl_journal *j, struct oxl_error *err)
{
        int64_t version;
        int r = get_version(j, &version, err);
        if (r < 0)
                return r;
        return version == (int64_t)oxl_journal_migrations_count ? 0
                                                                : oxl_journal_damaged(j, "its version changed", err);
}

static int check_mode(struct oxl_journal *j, struct oxl_error *err)
{
        bool same;
        const char *other = OXL_MUTANT(JOURNAL_DELETE) ? "delete" : "truncate";
        int r = mode_is(j, "PRAGMA journal_mode", j->wal ? "wal" : other, &same, err);
        if (r < 0)
                return r;
        return same ? 0 : oxl_journal_damaged(j, "its journal mode is not the recorded one", err);
}

int oxl_journal_verify(struct oxl_journal *j, struct oxl_error *err)
{
        cleanup(oxl_txn_done) struct oxl_txn t = OXL_TXN_INIT;
        const bool wal = j->wal;
        int r = oxl_txn_begin(&t, j, OXL_TXN_READ, err);
        if (r == 0 && j->copy)
                r = oxl_journal_verify_rest(j, err);
        if (r == 0)
                r = check_integrity(j, err);
        if (r == 0)
                r = check_version(j, err);
        if (r == 0)
                r = verify_schema(j, err);
        if (r == 0)
                r = read_meta(j, err);
        if (r == 0 && j->wal != wal) {
                j->wal = wal; /* what the connection really does */
                r = oxl_journal_damaged(j, "its recorded journal mode changed", err);
        }
        if (r == 0)
                r = check_mode(j, err);
        if (r == 0)
                r = oxl_event_verify_all(j, err);
        return r < 0 ? r : oxl_txn_commit(&t, err);
}

int oxl_journal_truncate_wal(struct oxl_journal *j, struct oxl_error *err)
{
        j->writing = true;
        int rc = sqlite3_wal_checkpoint_v2(j->db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
        /* a -wal that has frames, so that the next commit pays one sync, as after create */
        int r = rc == SQLITE_OK ? write_frames(j, err) : oxl_journal_fail(j, rc, err);
        j->writing = false;
        return r;
}

int oxl_journal_checkpoint(struct oxl_journal *j, uint64_t min_bytes, struct oxl_error *err)
{
        uint64_t size;
        if (!j->wal || j->copy)
                return 0;
        if (j->poisoned)
                return OXL_FAIL_PATH(err, POISONED, j->path);
        int r = wal_size(j, &size, err);
        if (r < 0 || size == 0 || size < min_bytes)
                return r;
        r = oxl_journal_lock(j, false, err);
        if (r < 0)
                return r;
        r = oxl_journal_truncate_wal(j, err);
        oxl_journal_unlock(j);
        return r;
}
