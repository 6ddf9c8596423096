/* SPDX-License-Identifier: MIT */
/*
 * Garbage collection, trash, and the merging of small packs.
 *
 * gc marks everything that a root leads to, without locks, then again under `writer` and `gc`, where only what is new since costs
 * time. Roots: refs, HEAD, the index, open intents, operations of the last gc.keep_days days (so that they can be undone), objects
 * that notes in quarantine name. A root or a tree that cannot be read ends it with that error, and nothing is moved.
 * What no root leads to, and lies in a file older than gc.keep_days days, goes to `trash/<id>/`, as the file it is in:
 *
 *      loose blob, or pack without a live object     moved
 *      pack of which more than half is dead          its live objects go into a new pack, durable; then it is moved
 *      any other pack                                stays
 *
 * Nothing is deleted before oxl_trash_empty(); oxl_gc_undo() moves a run back. A crash at any moment is finished or undone by the
 * recovery that every writing verb begins with. On a full disk `reserve` gives way, and is made again.
 *
 * Merging: 16 packs of a tier (a factor of 16 in size) become one, so that n commits leave O(log n) packs. Every object is read,
 * hashed and written again; the old packs wait in trash until a later merge or gc has read the new one back from the medium.
 *
 *      oxl_gc_run(repo, &options, item, ctx, &result, &err);
 *      oxl_gc_undo(repo, result.trash, NULL, NULL, &undone, &err);
 *
 * Errors of all: those of every writing verb (repo.h). Threads: as repo.h.
 */
#ifndef OXENLITE_GC_H
#define OXENLITE_GC_H

#include <oxenlite/repo.h>

OXL_BEGIN_DECLS

#define OXL_TRASH_ID_BYTES 32

enum oxl_gc_action {
        OXL_GC_MOVE = 0, /* "move": no root leads to anything in it */
        OXL_GC_REWRITE,  /* "rewrite": mostly dead; its live objects are in a new pack */
        OXL_GC_MERGE,    /* "merge": small; all of it is in a larger pack */
        OXL_GC_DAMAGED,  /* "damaged": stays (in trash, for an undo), because it cannot be read whole: run fsck */
        OXL_GC_BACK,     /* "back": out of trash again */
        OXL_GC_IN_WAY,   /* "in-way": stays in trash, because another file has its place */
        OXL_GC_DELETE,   /* "delete": for good */
};
OXL_API const char *oxl_gc_action_slug(enum oxl_gc_action action);

struct oxl_gc_item { /* borrowed for the call */
        enum oxl_gc_action action;
        const char *trash;   /* id of the run in whose folder it is; "": not moved yet */
        const char *path;    /* its place, relative to .oxen-lite */
        uint64_t bytes;      /* of the file */
        uint64_t live_bytes; /* of a pack: records that stay alive */
};
/* < 0 stops with that code before anything is moved; later it is ignored. */
typedef int oxl_gc_fn(void *ctx, const struct oxl_gc_item *item, struct oxl_error *err);

struct oxl_gc_count {
        uint64_t files, bytes;
};

struct oxl_gc_options {
        bool dry_run; /* says what would be done; takes no lock, and sees what open operations add too late */
};
struct oxl_gc_result {
        char trash[OXL_TRASH_ID_BYTES];     /* "": nothing was moved */
        uint64_t live;                      /* objects that roots lead to */
        struct oxl_gc_count packs, blobs;   /* moved as a whole */
        struct oxl_gc_count rewritten;      /* packs moved after their live objects went into new ones */
        struct oxl_gc_count merged;         /* small packs that became larger ones */
        struct oxl_gc_count written;        /* new packs, of both kinds */
        struct oxl_gc_count dead;           /* objects that no root leads to, and that stay in packs mostly alive */
        struct oxl_gc_count young;          /* files that would go if they were older: gc.keep_days */
        uint64_t damaged;                   /* packs left alone */
        uint64_t packs_before, packs_after; /* in versions/packs */
        struct oxl_gc_count waits;          /* everything in trash, afterwards */
        uint64_t reserve_bytes;             /* set free meanwhile, because the disk was full */
};
/* OBJECT_*, MALFORMED, SEAL, FILE_*, JOURNAL_DAMAGED: a root cannot be read, nothing was moved. PENDING: another machine's gc is not
 * ended. OUTCOME_UNKNOWN: recovery decides. */
OXL_API OXL_MUST_CHECK int oxl_gc_run(struct oxl_repo *r, const struct oxl_gc_options *options, oxl_gc_fn *fn,
                                      void *ctx, struct oxl_gc_result *ret, struct oxl_error *err);

/* Moves back what run @id put into trash, each file after it was read and verified. A damaged one stays, and so does one that has another
 * file in its place: @fn hears of both. TRASH_NOT_FOUND; OBJECT_CORRUPT, SEAL, MALFORMED, LIMIT, FILE_READ: not one is whole,
 * nothing was moved. */
OXL_API OXL_MUST_CHECK int oxl_gc_undo(struct oxl_repo *r, const char *id, oxl_gc_fn *fn, void *ctx,
                                       struct oxl_gc_count *ret, struct oxl_error *err);

/* Each file in trash, runs in the order of their ids. Takes no lock. */
OXL_API OXL_MUST_CHECK int oxl_trash_list(struct oxl_repo *r, oxl_gc_fn *fn, void *ctx, struct oxl_error *err);

/* Deletes the runs @ids for good, after what a root leads to, of all that they hold, was read outside of trash, from the medium; when they
 * hold a pack with a damaged index, everything that a root leads to. TRASH_NEEDED: something has no good copy there; nothing
 * was deleted, as after each other error of reading. TRASH_NOT_FOUND. */
OXL_API OXL_MUST_CHECK int oxl_trash_empty(struct oxl_repo *r, const char *const *ids, size_t n, oxl_gc_fn *fn,
                                           void *ctx, struct oxl_gc_count *ret, struct oxl_error *err);

/* After add or commit, once what they did is acknowledged: merges one tier of small packs when it is full (of at most 64 MiB). Costs a
 * listing when none is. 0 merged; 1 nothing to do, or somebody else is at work: the next call does it. */
OXL_API OXL_MUST_CHECK int oxl_gc_merge_some(struct oxl_repo *r, struct oxl_gc_result *ret, struct oxl_error *err);

OXL_END_DECLS

#endif
