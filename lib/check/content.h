/* SPDX-License-Identifier: MIT */
/*
 * Packs and loose blobs: which of them a run reads, in what order, by how many threads, and what the ledger remembers.
 *
 *      list (content.c) -> ledger rows (ledger.c) -> wanted and order (select.c) -> read (content.c: threads)
 *                       -> told, learned and recorded by the main thread, in that order, whatever finishes first
 *                       -> the findings of a check handed over in the order of names (held.c)
 *
 * Only the reading half of a job runs on other threads; it touches its own job, and of the check what does not change
 * meanwhile (root, format, options). What a crash leaves: rows of the ledger that were not written yet are lost, and
 * their files are verified again.
 */
#ifndef OXL_CHECK_CONTENT_H
#define OXL_CHECK_CONTENT_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include <oxenlite/check.h>

#include "check/hooks.h"
#include "journal/journal.h"
#include "objects/loose.h"
#include "objects/pack.h"
#include "os/source.h"

struct oxl_check;
struct oxl_job;

/* --- units: the files --- */

enum oxl_want { OXL_WANT_NOTHING, OXL_WANT_PART, OXL_WANT_ALL };

struct oxl_unit {
        uint8_t id[OXL_DIGEST_BYTES];
        bool loose;          /* else a pack */
        bool must;           /* damaged or unreadable when it was last recorded */
        bool medium;         /* verified_ns is about reading around the cache */
        uint8_t want;        /* enum oxl_want */
        uint8_t left_out;    /* enum oxl_left_out, when nothing is wanted */
        uint32_t pack;       /* position in the check's packs */
        uint64_t size;       /* when it was listed */
        uint64_t part;       /* OXL_WANT_PART: bytes of records, at least */
        int64_t verified_ns; /* 0: never, as far as we know */
        int64_t changed_ns;  /* ctime, when it was listed */
        int64_t damaged_ns;  /* when it was found damaged; 0: it was not */
        uint64_t place;      /* its first byte on a rotating disk; 0: not known, or not asked */
};

struct oxl_units {
        struct oxl_unit *at; /* owned */
        size_t n, cap;
        bool complete; /* all folders could be listed */
        bool by_place; /* some are read in the order of the disk, which no names tell */
        uint64_t wanted_files, wanted_bytes;
};

OXL_MUST_CHECK int oxl_units_add(struct oxl_units *u, const struct oxl_unit *unit, struct oxl_error *err);
struct oxl_digest oxl_unit_id(const struct oxl_check *c, const struct oxl_unit *u);
void oxl_unit_path(const struct oxl_check *c, const struct oxl_unit *u, char ret[OXL_LOOSE_PATH_MAX]);

/* For qsort: packs before loose blobs, each by id. So they are listed. */
int oxl_unit_compare(const struct oxl_unit *x, const struct oxl_unit *y);

/* Is it read by several threads? One file that is much of the work is; of many, each is read by one. */
bool oxl_unit_shared(const struct oxl_check *c, const struct oxl_unit *u);

/* Nanoseconds since 1970. */
int64_t oxl_unit_changed(const struct stat *st);

/* Decides what is read of each unit, by options and ledger, and puts the units in the order of reading. */
OXL_MUST_CHECK int oxl_check_select(struct oxl_check *c, struct oxl_error *err);
/* A number that depends on seed and unit, evenly spread. */
uint64_t oxl_unit_random(const struct oxl_check *c, const struct oxl_unit *u);

/* --- reader.c: one file, read at the rate and from where the options say --- */

struct oxl_pace { /* of all threads together */
        pthread_mutex_t mutex;
        int64_t free_ns; /* monotonic: when all bytes so far are paid */
        _Atomic uint64_t bytes;
        _Atomic uint64_t medium, cache; /* media: where they came from */
        int64_t start_ns;               /* monotonic */
};

struct oxl_reader {
        struct oxl_check *c;
        int fd;
        bool direct;     /* opened with O_DIRECT */
        bool trusted;    /* and the file system has a medium to read from */
        uint8_t *window; /* owned; direct only */
        uint64_t window_at;
        size_t window_len;
        _Atomic uint64_t cached;  /* bytes that the cache may have answered */
        struct oxl_source source; /* `shared` only where neither window nor hooks are in use */
};
#define OXL_READER_INIT { .fd = -1 }

/* FILE_OPEN. Under `media` without O_DIRECT, the file is dropped from the cache first. */
OXL_MUST_CHECK int oxl_reader_open(struct oxl_reader *r, struct oxl_check *c, const char *path, struct oxl_error *err);
/* Forgets what is at hand: the next read asks again. */
void oxl_reader_again(struct oxl_reader *r);
void oxl_reader_done(struct oxl_reader *r);

/* Nanoseconds; 0 when the clock fails. */
int64_t oxl_check_clock(clockid_t clock);

/* --- ledger.c --- */

struct oxl_ledger_entry {
        uint8_t id[OXL_DIGEST_BYTES];
        bool loose, medium, good, met;
        uint64_t size;
        int64_t verified_ns;
};

struct oxl_ledger_pending;
struct oxl_ledger {
        struct oxl_ledger_entry *at; /* owned; what the journal had; sorted by kind and id once matched */
        size_t n, cap;
        int64_t now_ns;                     /* since 1970: when the run began */
        struct oxl_owner *owner;            /* recording */
        struct oxl_journal *journal;        /* recording */
        struct oxl_ledger_pending *pending; /* owned; recording */
        struct oxl_passes passes;
};

/* Which part of the check is wanted? */
enum oxl_check_part oxl_check_part(const struct oxl_check *c);

/* Does any option need what the ledger knows? */
bool oxl_ledger_wanted(const struct oxl_check *c);
/* Reads all rows of @j, instead of those that were read before. */
OXL_MUST_CHECK int oxl_ledger_read(struct oxl_check *c, struct oxl_journal *j, struct oxl_error *err);
/* Tells each unit what the ledger knows of it. */
void oxl_ledger_match(struct oxl_check *c);
/* Opens the journal for recording; a failure is a notice and result.record_failed. */
void oxl_ledger_begin(struct oxl_check *c);
/* @verdict static. Kept, and written now and then. */
void oxl_ledger_verified(struct oxl_check *c, const struct oxl_unit *u, uint64_t size, bool medium,
                         const char *verdict);
void oxl_ledger_finding(struct oxl_check *c, const struct oxl_finding *f);
/* Writes what waits for longer than a few seconds. Main thread. */
void oxl_ledger_tick(struct oxl_check *c);
/* Writes what is pending, and the pass; @finished: all passes ran, so that what was not found again is settled. */
void oxl_ledger_end(struct oxl_check *c, bool finished);
void oxl_ledger_done(struct oxl_ledger *l);

/* --- held.c: findings that wait, while files are read in the order of the disk --- */

struct oxl_held_finding;
struct oxl_held {
        struct oxl_held_finding **at; /* owned, as each */
        size_t n, cap, bytes;
        const struct oxl_unit *unit; /* borrowed: what is told of belongs to it; NULL: nothing is held */
};

/* Keeps a copy. NOMEM, what the caller's function returned. */
OXL_MUST_CHECK int oxl_held_add(struct oxl_check *c, const struct oxl_finding *f, struct oxl_error *err);
/* Hands over what is held, in the order of units' names. < 0: what the caller's function returned. */
OXL_MUST_CHECK int oxl_held_tell(struct oxl_check *c, struct oxl_error *err);
void oxl_held_done(struct oxl_held *h);

/* --- jobs: pass_packs.c and pass_loose.c --- */

struct oxl_suspect; /* a damaged record */
struct oxl_suspects {
        struct oxl_suspect *at; /* owned; sorted by offset when complete */
        size_t n, cap;
        bool nomem;
};
void oxl_suspects_done(struct oxl_suspects *s);

OXL_MUST_CHECK int oxl_packs_list(struct oxl_check *c, struct oxl_error *err);
OXL_MUST_CHECK int oxl_loose_list_units(struct oxl_check *c, struct oxl_error *err);

/* Reads, on any thread. < 0: the check must stop. */
OXL_MUST_CHECK int oxl_pack_job_read(struct oxl_check *c, struct oxl_job *j, struct oxl_error *err);
OXL_MUST_CHECK int oxl_loose_job_read(struct oxl_check *c, struct oxl_job *j, struct oxl_error *err);
/* Reports and learns, on the main thread. */
OXL_MUST_CHECK int oxl_pack_job_tell(struct oxl_check *c, struct oxl_job *j, struct oxl_error *err);
OXL_MUST_CHECK int oxl_loose_job_tell(struct oxl_check *c, struct oxl_job *j, struct oxl_error *err);

#endif
