/* SPDX-License-Identifier: MIT */
/*
 * journal.db: intents, their outcomes, the operation log. docs/FORMAT.md section 7.
 *
 * Every transaction and checkpoint runs under the byte lock `db` of the repository's `locks` file (SQLite before 3.51.3 can
 * corrupt a WAL when two checkpoints meet). WAL + synchronous=FULL, read back and asserted; nothing is checkpointed on
 * close, so closing costs no sync. A committed intent is durable; an outcome written with @durable false survives the
 * death of the process, and a power cut once any later durable transaction is committed.
 *
 * Rows of `event` carry a chained BLAKE3; a broken chain makes every call that reads events fail with JOURNAL_DAMAGED.
 * The chain finds a changed, missing, moved or foreign row, but not that the *last* rows are gone (an older copy of the file,
 * a -wal that was lost or cut between two transactions): what remains is a sound, shorter journal. Every page of the database
 * carries a checksum, compared at each read; frames of the -wal have SQLite's.
 *
 * Common errors: JOURNAL (SQLite or the file system under it, errno in the text), JOURNAL_DAMAGED, LOCKED (the db lock, for
 * wait_ms), NOMEM; of calls that write also POISONED: a write or sync failed earlier and nothing more is recorded through
 * this object. A call that failed recorded nothing for this object; but when the commit's sync failed, whoever opens the
 * journal next may find the row, as a whole: recovery then decides it, as for any other dead owner's intent.
 * No other code may open journal.db in a process that has a connection (POSIX locks die with any close).
 *
 * What a crash leaves: SQLite's own recovery applies; no row is half there.
 * Threads: one at a time per journal. Fork: never with one open.
 */
#ifndef OXL_JOURNAL_JOURNAL_H
#define OXL_JOURNAL_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "digest/seal.h"

struct oxl_journal;

enum oxl_intent_state {
        OXL_INTENT_STAGED = 0,
        OXL_INTENT_DONE,
        OXL_INTENT_ABORTED,
        OXL_INTENT_ROLLED_FORWARD,
        OXL_INTENT_ROLLED_BACK,
        OXL_INTENT_SUPERSEDED,
};
/* "staged", "done", "aborted", "rolled-forward", "rolled-back", "superseded". */
const char *oxl_intent_state_text(enum oxl_intent_state state);

struct oxl_journal_config {
        const char *dir; /* absolute path of .oxen-lite (or of the temp folder that init builds) */
        struct oxl_repo_id id;
        int lock_fd;     /* the open `locks` file, borrowed; -1: no locking (init, private copies) */
        int64_t wait_ms; /* for the db lock; < 0: for ever */
};

/* Makes journal.db with all migrations and syncs it (database, -wal if any). FILE_EXISTS, FILE_CREATE, JOURNAL. After a
 * failure, part of the files may be there. The -wal stays, with frames: the first intent then costs one sync. */
OXL_MUST_CHECK int oxl_journal_create(const struct oxl_journal_config *config, struct oxl_error *err);

/* Opens for reading and writing; runs missing migrations in one transaction. JOURNAL_NEWER, JOURNAL_DAMAGED, JOURNAL,
 * LOCKED (wait_ms passed), FILE_OPEN (no such file, or it may only be read). */
OXL_MUST_CHECK int oxl_journal_open(const struct oxl_journal_config *config, struct oxl_journal **ret,
                                    struct oxl_error *err);

/* Opens a private copy (database and -wal, copied to a new directory below $TMPDIR or /tmp, whose names are removed before this
 * returns) for reading: for those who may not write, and for fsck's check mode. Copies under a shared db lock when lock_fd
 * is not -1 (open for reading is enough), and again when a file changed meanwhile; LOCKED when that does not end.
 * Writing calls fail with JOURNAL. Never in a process that has the journal itself open. */
OXL_MUST_CHECK int oxl_journal_open_copy(const struct oxl_journal_config *config, struct oxl_journal **ret,
                                         struct oxl_error *err);
/* NULL is fine. */
void oxl_journal_close(struct oxl_journal *j);

/* A row of the operation log. Strings borrowed. */
struct oxl_operation {
        int64_t id;     /* 0 when written: assigned */
        int64_t intent; /* 0: none */
        int64_t time_ns;
        const char *verb, *ref, *old_id, *new_id, *note; /* ref, old_id, new_id may be NULL */
        enum oxl_intent_state state;                     /* when read: of its intent; DONE without one */
};
/* Aborted, rolled back, superseded: it did not come to its end. */
bool oxl_intent_undone(enum oxl_intent_state state);

/* Records an intent, durably, in one transaction; with @op its operation row rides along (id, intent and, when 0, time_ns are
 * set here). *ret_id is its number. LIMIT: @body is larger than 64 MiB. */
OXL_MUST_CHECK int oxl_journal_stage(struct oxl_journal *j, uint64_t owner, const char *verb, const char *body,
                                     const struct oxl_operation *op, int64_t *ret_id, struct oxl_error *err);

/* Records the outcome of @intent (JOURNAL: there is none). Aborted, rolled back and superseded intents also lose their
 * operation row, unless it names what may be the only copy of something that was replaced before that: their body has a member "local", or
 * is superseded, no commit, and has edits of the index. */
OXL_MUST_CHECK int oxl_journal_outcome(struct oxl_journal *j, int64_t intent, uint64_t owner,
                                       enum oxl_intent_state state, const char *proof, bool durable,
                                       struct oxl_error *err);

/* May an intent that was recorded through @j be without an outcome? NULL is fine. */
bool oxl_journal_unsettled(const struct oxl_journal *j);

/* Records an operation without intent (add); @durable as above. */
OXL_MUST_CHECK int oxl_journal_operation(struct oxl_journal *j, const struct oxl_operation *op, bool durable,
                                         struct oxl_error *err);

/* Records what one atomic write has decided (add): an intent that is done, and its operation, in one transaction without a sync. */
OXL_MUST_CHECK int oxl_journal_record_done(struct oxl_journal *j, uint64_t owner, const char *verb, const char *body,
                                           const struct oxl_operation *op, struct oxl_error *err);

/* The body of @intent, malloc'd; NULL when there is none of this number. Does not verify the chain. */
OXL_MUST_CHECK int oxl_journal_intent_body(struct oxl_journal *j, int64_t intent, char **ret, struct oxl_error *err);

struct oxl_event {
        int64_t seq, intent, time_ns;
        bool outcome;
        uint64_t owner;
        const char *verb, *body; /* borrowed for the call */
        enum oxl_intent_state state;
};
typedef int oxl_event_fn(void *ctx, const struct oxl_event *event, struct oxl_error *err);

/* Calls @fn for each intent without outcome, oldest first, until one returns not 0, which is returned; rows are read before
 * the first call, so @fn may write. They are made durable first (one sync, when there are any and this is no copy): a dead
 * process may have left them in the cache.
 * Verifies the whole chain first: JOURNAL_DAMAGED. */
OXL_MUST_CHECK int oxl_journal_open_intents(struct oxl_journal *j, oxl_event_fn *fn, void *ctx, struct oxl_error *err);

/* All events in order; verifies the chain while it goes, so @fn may have been called before JOURNAL_DAMAGED. No transaction
 * is open while @fn runs; what @fn returns counts as above. */
OXL_MUST_CHECK int oxl_journal_events(struct oxl_journal *j, oxl_event_fn *fn, void *ctx, struct oxl_error *err);

typedef int oxl_operation_fn(void *ctx, const struct oxl_operation *op, struct oxl_error *err);
/* Newest first, at most @max (0: all): what happened, or may yet. */
OXL_MUST_CHECK int oxl_journal_operations(struct oxl_journal *j, uint64_t max, oxl_operation_fn *fn, void *ctx,
                                          struct oxl_error *err);
/* Those, too, that are undone (oxl_intent_undone) and kept something: of these nothing but what they kept counts. */
OXL_MUST_CHECK int oxl_journal_operations_all(struct oxl_journal *j, uint64_t max, oxl_operation_fn *fn, void *ctx,
                                              struct oxl_error *err);

/* When a canonical file was verified last, and what came of it. Strings borrowed. */
struct oxl_ledger_row {
        const char *path; /* relative to .oxen-lite */
        uint64_t size;
        int64_t verified_ns; /* since 1970; 0: it could not be read */
        bool medium;         /* read around the cache */
        const char *verdict; /* "good", "damaged", "unreadable" */
};
typedef int oxl_ledger_fn(void *ctx, const struct oxl_ledger_row *row, struct oxl_error *err);
/* All rows in order of paths, within one transaction: @fn must not use the journal. */
OXL_MUST_CHECK int oxl_journal_ledger(struct oxl_journal *j, oxl_ledger_fn *fn, void *ctx, struct oxl_error *err);

struct oxl_finding_row { /* strings borrowed */
        const char *id, *slug, *path, *detail;
        int64_t first_ns, last_ns; /* since 1970 */
};
typedef int oxl_finding_row_fn(void *ctx, const struct oxl_finding_row *row, struct oxl_error *err);
/* What was wrong when a check last recorded it, in order of paths; @fn as above. */
OXL_MUST_CHECK int oxl_journal_findings(struct oxl_journal *j, oxl_finding_row_fn *fn, void *ctx,
                                        struct oxl_error *err);

struct oxl_ledger_change {
        const struct oxl_ledger_row *rows; /* replace those of the same path */
        size_t n_rows;
        const char *const *gone; /* paths whose rows are deleted */
        size_t n_gone;
        const struct oxl_finding_row *findings; /* a known id keeps its first_ns */
        size_t n_findings;
        const char *const *healed; /* ids of findings that are deleted */
        size_t n_healed;
        int64_t settled_before_ns; /* findings last seen before this are deleted; 0: none */
};
/* Records all of it in one transaction, without a sync. */
OXL_MUST_CHECK int oxl_journal_record(struct oxl_journal *j, const struct oxl_ledger_change *change,
                                      struct oxl_error *err);

/* Of a copy also: checksums of all pages. integrity_check, user_version, schema, journal mode, dense chain, the repository id in meta. 0 sound; JOURNAL_DAMAGED. */
OXL_MUST_CHECK int oxl_journal_verify(struct oxl_journal *j, struct oxl_error *err);

/* Of a copy: does the -wal end behind its last whole transaction? If not, *ret_end is where that is: what follows was left by a
 * process that died or a power cut, or is damaged; SQLite reads none of it. Opening for writing settles it. */
bool oxl_journal_tail_whole(const struct oxl_journal *j, uint64_t *ret_end);

/* Checkpoints (TRUNCATE) when the -wal has at least @min_bytes, then writes one small transaction, so that the next durable one
 * costs a single sync again, also in a new process. Four syncs in all. */
OXL_MUST_CHECK int oxl_journal_checkpoint(struct oxl_journal *j, uint64_t min_bytes, struct oxl_error *err);

/* The version of SQLite (static text); *ret_safe: without the WAL-reset bug. */
const char *oxl_journal_sqlite(bool *ret_safe);

#endif
