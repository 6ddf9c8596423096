/* SPDX-License-Identifier: MIT */
/*
 * What the files of lib/journal share: the connection, transactions under the db lock, statements, errors.
 *
 *      cleanup(oxl_txn_done) struct oxl_txn t = OXL_TXN_INIT;
 *      int r = oxl_txn_begin(&t, j, OXL_TXN_DURABLE, err);
 *      ...                                     statements live in functions of their own, so that they end first
 *      return oxl_txn_commit(&t, err);         without it: rolled back
 */
#ifndef OXL_JOURNAL_INTERNAL_H
#define OXL_JOURNAL_INTERNAL_H

#include <sqlite3.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "digest/digest.h"
#include "journal/journal.h"

enum {
        OXL_JOURNAL_LOCK_BYTE = 2,       /* docs/FORMAT.md section 8 */
        OXL_JOURNAL_BODY_MAX = 64 << 20, /* docs/FORMAT.md section 1 */
        OXL_JOURNAL_SYNC_NORMAL = 1,     /* values of PRAGMA synchronous */
        OXL_JOURNAL_SYNC_FULL = 2,
        OXL_JOURNAL_CHAIN_BYTES = OXL_DIGEST_BYTES,
        OXL_JOURNAL_PAGE_BYTES = 4096,
        OXL_JOURNAL_SUM_BYTES = 16, /* at the end of each page */
};

/* A position in the chain of events; seq 0 and zeros before the first. */
struct oxl_chain {
        int64_t seq;
        uint8_t digest[OXL_JOURNAL_CHAIN_BYTES];
};

/* What oxl_journal_look_at_rest saw. */
struct oxl_journal_rest {
        char why[64];         /* what is wrong with the database; "": nothing */
        uint64_t empty_pages; /* of zeros: only unused ones may be */
        uint64_t wal_end;     /* behind the last whole transaction */
        uint64_t wal_size;
};

struct oxl_journal {
        sqlite3 *db;
        sqlite3_vfs *vfs; /* ours, see journal_vfs.c; lives as long as db */
        char *dir, *path; /* of the repository and of its journal.db, also for a copy: for messages */
        char *copy_dir;   /* private copy: its directory, as long as it is still there; NULL else */
        int copy_lock;    /* held as long as that; -1 else */
        struct oxl_repo_id id;
        int lock_fd; /* borrowed; -1: no locking */
        int64_t wait_ms;
        bool wal;
        bool copy;
        bool writing;          /* inside a transaction that writes */
        bool poisoned;         /* a write failed in the file system: what is in the cache is not what is on disk */
        int sync;              /* the value of PRAGMA synchronous, 0: not known */
        struct oxl_chain tail; /* the last event that this object wrote or verified */
        int64_t staged;        /* an intent that this object recorded, or may have, without an outcome; 0: none */
        struct oxl_journal_rest rest; /* of a copy */
};

/* Caller's directory of the database; makes the object without a connection. NOMEM. */
OXL_MUST_CHECK int oxl_journal_new(const struct oxl_journal_config *config, struct oxl_journal **ret,
                                   struct oxl_error *err);

/* Connects to the file at @path (which differs from j->path for a copy) and sets what does not touch it. */
OXL_MUST_CHECK int oxl_journal_connect(struct oxl_journal *j, const char *path, struct oxl_error *err);

/* The rest of opening, under the db lock: version, migrations, meta, journal mode, synchronous. */
OXL_MUST_CHECK int oxl_journal_begin_use(struct oxl_journal *j, struct oxl_error *err);

/* Is there a file that SQLite may safely be pointed at? @dirfd is the directory. FILE_OPEN, JOURNAL_DAMAGED. */
OXL_MUST_CHECK int oxl_journal_check_files(struct oxl_journal *j, int dirfd, struct oxl_error *err);

/* The db lock of the repository. LOCKED, FILE_LOCK. */
OXL_MUST_CHECK int oxl_journal_lock(struct oxl_journal *j, bool shared, struct oxl_error *err);
void oxl_journal_unlock(struct oxl_journal *j);

/* --- errors and statements -------------------------------------------------------------------------------------- */

/* The error for the result @rc of the last call on the connection. */
int oxl_journal_fail(struct oxl_journal *j, int rc, struct oxl_error *err);
/* JOURNAL_DAMAGED with @why. */
int oxl_journal_damaged(const struct oxl_journal *j, const char *why, struct oxl_error *err);
/* For a row that does not read as ours: NOMEM when SQLite lacked the memory for a text or blob of it, else JOURNAL_DAMAGED
 * with @why. Before the next call on the connection. */
int oxl_journal_malformed(const struct oxl_journal *j, const char *why, struct oxl_error *err);

static inline void oxl_stmt_done(sqlite3_stmt **s)
{
        sqlite3_finalize(*s);
}
#define cleanup_stmt cleanup(oxl_stmt_done)

/* @sql is ours and fits our schema: that it does not compile means that the stored schema is damaged. */
OXL_MUST_CHECK int oxl_stmt_new(struct oxl_journal *j, const char *sql, sqlite3_stmt **ret, struct oxl_error *err);
/* 1: a row; 0: done. */
OXL_MUST_CHECK int oxl_stmt_step(struct oxl_journal *j, sqlite3_stmt *s, struct oxl_error *err);
/* Steps a statement without rows. */
OXL_MUST_CHECK int oxl_stmt_run(struct oxl_journal *j, sqlite3_stmt *s, struct oxl_error *err);
OXL_MUST_CHECK int oxl_journal_exec(struct oxl_journal *j, const char *sql, struct oxl_error *err);
/* The one integer that @sql yields; JOURNAL_DAMAGED when there is none. */
OXL_MUST_CHECK int oxl_journal_query(struct oxl_journal *j, const char *sql, int64_t *ret, struct oxl_error *err);

/* TEXT column without NUL, borrowed until the next step; NULL else. */
const char *oxl_stmt_text(sqlite3_stmt *s, int column);

/* Binding copies nothing (the caller's strings outlive the step) and cannot fail but for memory, which the step reports. */
OXL_MUST_CHECK int oxl_stmt_bind_text(struct oxl_journal *j, sqlite3_stmt *s, int at, const char *text,
                                      struct oxl_error *err);
OXL_MUST_CHECK int oxl_stmt_bind_int(struct oxl_journal *j, sqlite3_stmt *s, int at, int64_t v, struct oxl_error *err);

/* --- transactions ----------------------------------------------------------------------------------------------- */

enum oxl_txn_kind {
        OXL_TXN_READ,
        OXL_TXN_DURABLE, /* on disk when commit returns */
        OXL_TXN_LAZY,    /* on disk with the next durable one; survives the death of the process at once */
};

struct oxl_txn {
        struct oxl_journal *j; /* NULL: not begun */
        enum oxl_txn_kind kind;
};
#define OXL_TXN_INIT { NULL, OXL_TXN_READ }

/* LOCKED, POISONED (writes), JOURNAL, JOURNAL_DAMAGED. */
OXL_MUST_CHECK int oxl_txn_begin(struct oxl_txn *t, struct oxl_journal *j, enum oxl_txn_kind kind,
                                 struct oxl_error *err);
/* A failure is a rollback, after which a write in the file system poisons the journal. */
OXL_MUST_CHECK int oxl_txn_commit(struct oxl_txn *t, struct oxl_error *err);
/* Rolls back what was not committed. Idempotent. */
void oxl_txn_done(struct oxl_txn *t);

/* Now, in nanoseconds since 1970; 0 when the clock fails. */
int64_t oxl_journal_now(void);

/* --- events ----------------------------------------------------------------------------------------------------- */

/* Of oxl_intent_state_text. @text may be NULL. */
bool oxl_intent_state_parse(const char *text, enum oxl_intent_state *ret);

/* Appends an event within a transaction; e->seq and e->time_ns are set here, e->intent too for an intent. */
OXL_MUST_CHECK int oxl_event_append(struct oxl_journal *j, struct oxl_event *e, struct oxl_error *err);

/* Verifies the whole chain within a transaction. JOURNAL_DAMAGED. */
OXL_MUST_CHECK int oxl_event_verify_all(struct oxl_journal *j, struct oxl_error *err);

/* Appends a row of the operation log within a transaction; @intent 0: none. */
OXL_MUST_CHECK int oxl_operation_insert(struct oxl_journal *j, const struct oxl_operation *op, int64_t intent,
                                        struct oxl_error *err);

/* --- journal_vfs.c ---------------------------------------------------------------------------------------------- */

/* A VFS over the default one, registered under a name of its own; see journal_vfs.c. NULL: no memory. */
sqlite3_vfs *oxl_journal_vfs_new(const struct oxl_repo_id *id);
void oxl_journal_vfs_free(sqlite3_vfs *vfs);

enum oxl_journal_page_state {
        OXL_JOURNAL_PAGE_GOOD,
        OXL_JOURNAL_PAGE_EMPTY, /* zeros throughout: never written */
        OXL_JOURNAL_PAGE_BAD,
};
/* docs/FORMAT.md section 7; pages count from 1. */
void oxl_journal_page_sum(const struct oxl_repo_id *id, uint32_t number, const uint8_t page[OXL_JOURNAL_PAGE_BYTES],
                          uint8_t ret[OXL_JOURNAL_SUM_BYTES]);
enum oxl_journal_page_state oxl_journal_page_check(const struct oxl_repo_id *id, uint32_t number,
                                                   const uint8_t page[OXL_JOURNAL_PAGE_BYTES]);

/* --- journal_rest.c --------------------------------------------------------------------------------------------- */

/* Reads database and -wal in @dirfd, which nobody has open, into j->rest. FILE_OPEN, FILE_READ, FILE_STAT, NOMEM. */
OXL_MUST_CHECK int oxl_journal_look_at_rest(struct oxl_journal *j, int dirfd, struct oxl_error *err);
/* JOURNAL_DAMAGED when pages of the database are not what was written. */
OXL_MUST_CHECK int oxl_journal_verify_rest(struct oxl_journal *j, struct oxl_error *err);
/* Checkpoints when the -wal has more than SQLite reads of it, or nothing: new frames before that would make an old tail look like damage. The db
 * lock is held, and the journal has been read. */
OXL_MUST_CHECK int oxl_journal_settle(struct oxl_journal *j, uint64_t wal_size, struct oxl_error *err);

/* journal.c: checkpoints, cuts the -wal, and writes frames to it, under the db lock. */
OXL_MUST_CHECK int oxl_journal_truncate_wal(struct oxl_journal *j, struct oxl_error *err);

/* --- copy_dir.c -------------------------------------------------------------------------------------------------- */

/* Removes what dead processes left in $TMPDIR, then makes and locks j->copy_dir, which *ret_fd is open on. DIR_CREATE, DIR_OPEN,
 * FILE_CREATE, FILE_STAT, RANDOM, NOMEM. */
OXL_MUST_CHECK int oxl_copy_dir_make(struct oxl_journal *j, int *ret_fd, struct oxl_error *err);

/* Removes the files of a copy, not its lock. */
void oxl_copy_dir_clear(int dirfd);

/* Removes its names, as far as they are still there. Idempotent. */
void oxl_copy_dir_remove(struct oxl_journal *j);

#endif
