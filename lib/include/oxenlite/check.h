/* SPDX-License-Identifier: MIT */
/*
 * fsck: verifies every canonical file and the whole graph of a repository, and says what is wrong.
 *
 * Check mode changes nothing: no lock is taken, no file written (a private copy of journal.db is read), so it works on
 * a read-only mount and beside running writers. Refs are read first, then objects are listed; a suspect is reported
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
        OXL_SEVERITY_LOSS,     /* committed or staged content is gone from the store */
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
        int os; /* errno of unreadable, else 0 */
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

typedef int oxl_finding_fn(void *ctx, const struct oxl_finding *finding, struct oxl_error *err);

struct oxl_check_options {
        bool quick; /* names, sizes, seals and the graph; blobs are not read */
};

struct oxl_check_result {
        uint64_t files, bytes; /* canonical files verified, bytes read from them */
        uint64_t objects;      /* blobs, trees and commits verified */
        uint64_t commits, refs;
        uint64_t unreachable; /* whole objects that no ref, index or intent needs */
        uint64_t findings;    /* severity warning and above */
        uint64_t notes;
        uint64_t unreadable; /* what could not be checked: I/O errors */
        bool pending;        /* a dead owner's intent waits for recovery */
};

/* Checks the repository at or above @start. Returns 0 when the check ran to its end, whatever it found; @fn hears each
 * finding, most serious passes first. Errors: REPO_NOT_FOUND, REPO_UNTRUSTED, CANCELLED, NOMEM, what @fn returns. */
OXL_API OXL_MUST_CHECK int oxl_check_run(const char *start, const struct oxl_repo_options *repo_options,
                                         const struct oxl_check_options *options, oxl_finding_fn *fn, void *ctx,
                                         struct oxl_check_result *ret, struct oxl_error *err);

OXL_END_DECLS

#endif
