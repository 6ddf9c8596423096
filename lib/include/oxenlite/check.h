/* SPDX-License-Identifier: MIT */
/*
 * fsck: verifies every canonical file and the whole graph of a repository, and says what is wrong.
 *
 * Check mode changes nothing: no file is written (a private copy of journal.db is read), and the only lock that it holds is gc, shared,
 * which needs no write access; so it works on a read-only mount and beside running writers; with `record` it writes rows of journal.db, under the db lock. Refs are read first, then objects are listed; a suspect is reported
 * only after a second look with a fresh listing. An I/O error is never damage: it becomes UNREADABLE and result.unreadable.
 *
 * Problems are rows of problems.def. Threads: one check per call; reentrant.
 */
#ifndef OXENLITE_CHECK_H
#define OXENLITE_CHECK_H

#include <oxenlite/repo.h>

OXL_BEGIN_DECLS

enum oxl_severity {
        OXL_SEVERITY_NOTE = 1, /* worth knowing; nothing is lost or at risk */
        OXL_SEVERITY_WARNING,  /* redundancy or a derived file is lost; no content */
        OXL_SEVERITY_ERROR,    /* a canonical file is damaged; content may still exist elsewhere */
        OXL_SEVERITY_LOSS,     /* committed, staged or kept content is gone from the store */
};

enum oxl_problem {
#define OXL_PROBLEM(number, NAME, slug, severity, cost, text, remedy, automatic) OXL_P_##NAME = (number),
#include <oxenlite/problems.def>
#undef OXL_PROBLEM
};

struct oxl_finding { /* borrowed for the call */
        enum oxl_problem problem;
        const char *id;      /* stable: 16 hex digits of BLAKE3 over slug, path, object, place in the file */
        const char *path;    /* relative to .oxen-lite */
        const char *object;  /* text form of the object's id, or NULL */
        const char *verdict; /* "media", "transient", "memory-suspect", "unreadable", or "" where it does not apply */
        const char *expected, *actual; /* digests or values as text; "" when not known */
        const char *detail;            /* one sentence, may be "" */
        const char *const *affects;    /* "<commit 12>:<path>" or ref names, at most 100 */
        size_t n_affects;
        uint64_t affects_total;
        int os;        /* errno of unreadable, else 0 */
        bool repaired; /* good bytes are in its place by now */
        bool exists;   /* something is at the path: */
        uint64_t size, inode;
        int64_t mtime_ns;   /* since 1970; an inode number alone may be used again */
        const char *remedy; /* one command: the problem's, or what fits the error of UNREADABLE */
};

OXL_API const char *oxl_problem_slug(enum oxl_problem p);
OXL_API enum oxl_severity oxl_problem_severity(enum oxl_problem p);
OXL_API const char *oxl_problem_text(enum oxl_problem p);   /* message template: %1 is the path */
OXL_API const char *oxl_problem_cost(enum oxl_problem p);   /* what is lost */
OXL_API const char *oxl_problem_remedy(enum oxl_problem p); /* one command */
/* The problem with that slug, or 0. */
OXL_API int oxl_problem_find(const char *slug);
/* Iterates the table: the problem after @p (0: the first), or 0 at the end. */
OXL_API int oxl_problem_next(int p);

struct oxl_pass {                 /* a check or scrub that was recorded */
        int64_t begin_ns, end_ns; /* since 1970 */
        uint64_t files, bytes;    /* packs and loose blobs read to the end */
        uint64_t findings, unreadable;
        bool whole; /* it ran to its end, and everything that was due was read */
        bool clean; /* whole, nothing found, nothing unreadable */
        bool scrub; /* by oxl_scrub_run, else by oxl_check_run */
};

typedef int oxl_finding_fn(void *ctx, const struct oxl_finding *finding, struct oxl_error *err);

/*
 * What limits the reading of packs and loose blobs; everything else is verified by every run. A file that an option
 * leaves out is opened and measured, a pack's index is verified. Files that were damaged or unreadable when they were
 * last recorded are always read again, first and beyond every limit. The others in order: never verified, then oldest.
 */
struct oxl_check_options {
        bool quick;    /* blobs are not read at all */
        bool media;    /* read around the cache (O_DIRECT), else drop the file from it first */
        bool record;   /* write ledger, findings and the pass to journal.db; implied by since_days and time_limit_ms */
        unsigned jobs; /* threads that read; 0: 1 */
        uint32_t sample_ppm;   /* millionths of all bytes to read at least; 0: no sample */
        uint64_t sample_bytes; /* bytes to read at least; 0: no sample */
        uint64_t seed;         /* of the sample; 0: from the kernel */
        uint32_t since_days;   /* leave out what the ledger says was verified within so many days; 0: nothing */
        int64_t time_limit_ms; /* begin no file after so long, but read one at least; 0: no limit */
        uint64_t rate;         /* bytes per second at most; 0: no limit */
        const struct oxl_check_hooks *hooks; /* for the library itself; NULL */
};

/* Why a file was not read. */
enum oxl_left_out {
        OXL_LEFT_QUICK = 0,
        OXL_LEFT_RECENT, /* since_days */
        OXL_LEFT_SAMPLE,
        OXL_LEFT_TIME,
        OXL_LEFT_REASONS, /* how many there are */
};

/* Packs and loose blobs: what the options left of them. */
struct oxl_check_extent {
        uint64_t files, bytes;           /* all there are */
        uint64_t read_files, read_bytes; /* read to the end and judged, also when damaged; bytes: their sizes */
        uint64_t part_files, part_bytes; /* packs of which only some records were read; bytes of those records */
        struct {
                uint64_t files, bytes;
        } left_out[OXL_LEFT_REASONS];
        uint64_t due_files, due_bytes; /* never verified to the end, as far as this run and the ledger know */
        uint64_t medium_read_bytes;    /* media: what came from the medium for certain */
        uint64_t cache_read_bytes;     /* media: what the cache may have answered */
        int64_t read_ms;               /* how long the reading took */
        bool complete;                 /* nothing was left out */
};

struct oxl_check_result {
        uint64_t files, bytes; /* canonical files verified, their bytes */
        uint64_t objects;      /* blobs, trees and commits verified */
        uint64_t commits, refs;
        uint64_t unreachable; /* whole objects that no ref, index or intent needs */
        uint64_t findings;    /* severity warning and above */
        uint64_t notes;
        uint64_t unreadable; /* what could not be checked: I/O errors */
        bool pending;        /* a dead owner's intent waits for recovery */
        struct oxl_check_extent extent;
        uint64_t seed;      /* of the sample */
        uint64_t recorded;  /* rows of the ledger written */
        bool record_failed; /* the ledger could not be written: the notice says why */
};

/* Checks the repository at or above @start. Returns 0 when the check ran to its end, whatever it found; @fn hears each
 * finding, most serious passes first. A cancelled run has recorded what it verified. Errors: REPO_NOT_FOUND, REPO_UNTRUSTED,
 * CANCELLED, NOMEM,
 * LOCKED (gc is at work, longer than wait_ms), what @fn returns. */
OXL_API OXL_MUST_CHECK int oxl_check_run(const char *start, const struct oxl_repo_options *repo_options,
                                         const struct oxl_check_options *options, oxl_finding_fn *fn, void *ctx,
                                         struct oxl_check_result *ret, struct oxl_error *err);

OXL_END_DECLS

#endif
