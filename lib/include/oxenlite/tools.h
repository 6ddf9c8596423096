/* SPDX-License-Identifier: MIT */
/*
 * Tools around a repository: copy (backup and clone), why (what keeps something alive), verify (one commit), doctor (what
 * this file system keeps of the promises), health (all stored bytes by last verification).
 *
 * What repo.h says at its top holds here too. copy writes at its destination only; the others write nothing, but for
 * doctor's probe folder, which it removes.
 */
#ifndef OXENLITE_TOOLS_H
#define OXENLITE_TOOLS_H

#include <oxenlite/repo.h>
#include <oxenlite/scrub.h>

OXL_BEGIN_DECLS

/* --- copy --- */
struct oxl_copy_options {
        bool force; /* move branches that have diverged, and the one that is in use there */
        bool quick; /* believe what the destination has by name, size and (packs) sealed index; do not read it */
};
struct oxl_copy_result {
        bool created;                /* the repository is new there */
        uint64_t files, bytes;       /* packs and loose blobs written */
        uint64_t found, found_bytes; /* were there; read and verified, or believed (quick) */
        uint64_t healed;  /* of the written ones: had a damaged file in their place, which is in quarantine now */
        uint64_t rescued; /* objects brought one by one, because the file that holds them is damaged here */
        uint64_t damaged; /* objects, or packs whose index is damaged, without a good copy: not copied */
        uint64_t refs, refs_unmoved; /* moved; left alone, each named by a notice */
        char head[1024];             /* HEAD of the copy: a short branch name, or a commit id */
        struct oxl_digest commit;    /* its commit, or NONE */
        bool finished;               /* it came to its end: what was not copied, or not moved, was named by notices */
};
/*
 * Makes the repository at @dest (a new or an existing folder) hold all that this one holds: objects, then refs, then HEAD. The
 * copy has the same repository id, so its packs and loose blobs are the same files. Refs that only the copy has stay. The
 * working tree is not copied, and what is staged here neither: the index of the copy is that of its HEAD.
 * Each object is verified by its digest as it lies at the destination, read back from the medium, before it has its name there;
 * what was there already is verified too, and replaced when it is damaged. A ref moves when all that its history needs is
 * there. Killed at any moment, the destination is a sound repository, and the next copy completes it.
 * Holds `gc` shared here, so a read-only source works; there the writer lock.
 *
 * COPY_DEST (another repository, other files, or a part of this one): nothing was written. COPY_DIVERGED, COPY_IN_USE, REF_CONFLICT:
 * everything else was done.
 * OBJECT_CORRUPT, OBJECT_MISSING, MALFORMED, SEAL: the source is damaged; everything good was copied, what is missing was
 * named by notices, and refs that need it did not move. LOCKED, FEATURE, FILE_*, DIR_*, POISONED, CANCELLED, as any verb.
 * *ret is filled in these cases too, as far as it came.
 */
OXL_API OXL_MUST_CHECK int oxl_repo_copy(struct oxl_repo *r, const char *dest, const struct oxl_copy_options *options,
                                         struct oxl_copy_result *ret, struct oxl_error *err);

/* --- why --- */
enum oxl_why_kind {
        OXL_WHY_REF = 1,    /* @name: the ref (or HEAD); it names the commit, or its newest commit has the object */
        OXL_WHY_COMMITS,    /* @first, @last, @count: a run of commits, oldest and newest, that have it at @path */
        OXL_WHY_CHILD,      /* of a commit: @first has it as a parent */
        OXL_WHY_INDEX,      /* @path, @name: "staged" or "tracked" */
        OXL_WHY_OPERATION,  /* @number, @name: verb. Undoing it needs the object, or it names the commit */
        OXL_WHY_INTENT,     /* @number, @name: verb of an operation that is not ended */
        OXL_WHY_QUARANTINE, /* @path of the kept file */
        OXL_WHY_TRASH,      /* the same */
        OXL_WHY_PACK,       /* a stored copy: @path, @offset, @size */
        OXL_WHY_LOOSE,      /* a stored copy: @path, @size */
};
struct oxl_why_item { /* borrowed for the call */
        enum oxl_why_kind kind;
        const char *name, *path;
        struct oxl_digest id;          /* the object that this is about: a path has several */
        struct oxl_digest first, last; /* commits */
        int64_t number;
        uint64_t count, offset, size;
};
typedef int oxl_why_fn(void *ctx, const struct oxl_why_item *item, struct oxl_error *err);
enum { OXL_WHY_COMMITS_MAX = 100 };
struct oxl_why_result {
        char object;          /* 'b' blob, 't' tree, 'c' commit, 'p' a path */
        char path[4096];      /* of the working tree, when 'p'; cut to fit */
        struct oxl_digest id; /* of the object; of a path: what HEAD's commit or the index has there, or NONE */
        uint64_t commits;     /* how many pairs of commit and path hold it */
        uint64_t runs;        /* how many runs there are, at least; OXL_WHY_COMMITS_MAX were handed out at most */
        uint64_t copies;      /* stored */
        bool kept;            /* something keeps it: it is not just stored */
};
/* What keeps @what alive: a path of the working tree (as the user typed it), a commit by name or prefix, the full id of any
 * object, or a unique prefix of one, of 8 digits or more. A path that is tracked comes first. WHY_TARGET: none of these. Objects
 * that cannot be read are named by notices; the answer is then not complete, and the first of them is returned. */
OXL_API OXL_MUST_CHECK int oxl_repo_why(struct oxl_repo *r, const char *what, oxl_why_fn *fn, void *ctx,
                                        struct oxl_why_result *ret, struct oxl_error *err);

/* --- show --verify --- */
struct oxl_verify_result {
        uint64_t trees, files, bytes; /* directories, paths and bytes of their content that were verified */
        uint64_t damaged;             /* paths, and folders, that are not whole */
};
/* @path "" is the commit itself; a folder ends in '/'. */
typedef int oxl_verify_fn(void *ctx, const char *path, const struct oxl_error *why, struct oxl_error *err);
/* Reads the commit @rev, its trees and all its content, verified by their digests. @fn hears of each damaged one. 0: all
 * good, or *ret->damaged > 0 and the first damage in *ret_first, which the caller owns (may be NULL). FILE_*: a failure to read
 * is no damage, and ends it. */
OXL_API OXL_MUST_CHECK int oxl_repo_verify(struct oxl_repo *r, const char *rev, oxl_verify_fn *fn, void *ctx,
                                           struct oxl_verify_result *ret, struct oxl_error *ret_first,
                                           struct oxl_error *err);

/* --- doctor --- */
enum oxl_doctor_state {
        OXL_DOCTOR_GOOD = 0, /* works as it should */
        OXL_DOCTOR_WITHOUT,  /* is not there; something else is used, or something is slower */
        OXL_DOCTOR_BAD,      /* does not work, and a promise depends on it */
        OXL_DOCTOR_UNKNOWN,  /* could not be found out */
};
/* "good", "without", "bad", "unknown" */
OXL_API const char *oxl_doctor_state_text(enum oxl_doctor_state s);
struct oxl_doctor_probe { /* borrowed for the call */
        const char *name; /* "rename", "directory-sync" … */
        enum oxl_doctor_state state;
        const char *about; /* one sentence: what was seen */
};
struct oxl_doctor_promise {
        int number;                  /* as in the list of promises; 0: of the tool itself */
        const char *promise;         /* one clause */
        enum oxl_doctor_state state; /* GOOD: holds; WITHOUT: holds with a limit; BAD: does not hold; UNKNOWN */
        const char *because;         /* one sentence; "" when there is nothing to say */
};
typedef int oxl_doctor_probe_fn(void *ctx, const struct oxl_doctor_probe *probe, struct oxl_error *err);
typedef int oxl_doctor_promise_fn(void *ctx, const struct oxl_doctor_promise *promise, struct oxl_error *err);
struct oxl_doctor_result {
        char file_system[32]; /* "ext4", "xfs", "overlay", … or its magic number */
        uint64_t free_bytes, total_bytes;
        unsigned good, without, bad, unknown; /* promises */
};
/* Tries what the promises depend on, in a folder of its own in @dir, removed in the end; then says which promises hold. 0 also
 * when some do not: *ret->bad. DIR_OPEN, FILE_CREATE (@dir cannot be written to), CANCELLED. */
OXL_API OXL_MUST_CHECK int oxl_doctor(const char *dir, const atomic_bool *cancel, oxl_doctor_probe_fn *probe,
                                      oxl_doctor_promise_fn *promise, void *ctx, struct oxl_doctor_result *ret,
                                      struct oxl_error *err);

/* --- health --- */
struct oxl_health_file {  /* a pack or a loose blob */
        const char *path; /* relative to .oxen-lite, as in findings; borrowed for the call */
        uint64_t size;
        int64_t verified_ns; /* when it was verified last, since 1970; 0: never */
        bool damaged;        /* as last recorded */
};
typedef int oxl_health_file_fn(void *ctx, const struct oxl_health_file *file, struct oxl_error *err);
struct oxl_health_finding { /* as last recorded; strings borrowed */
        const char *id, *slug, *path, *detail;
        int64_t first_ns, last_ns;
};
typedef int oxl_health_finding_fn(void *ctx, const struct oxl_health_finding *finding, struct oxl_error *err);
/* What the ledger says of the repository at or above @start, for a contract of @days: each stored file, those to be read first
 * coming first; recorded findings; and the sums. Reads no content. Callbacks may be NULL. As oxl_scrub_status. */
OXL_API OXL_MUST_CHECK int oxl_health(const char *start, const struct oxl_repo_options *repo_options, uint32_t days,
                                      oxl_health_file_fn *file, oxl_health_finding_fn *finding, void *ctx,
                                      struct oxl_scrub_status *ret, struct oxl_error *err);

OXL_END_DECLS

#endif
