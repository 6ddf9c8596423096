/* SPDX-License-Identifier: MIT */
/*
 * trash/<id>/<place>: files that gc and merges put aside, as the files they are. docs/FORMAT.md section 8.
 *
 * In and out alike: the second name is linked, made durable, then the first one is removed; so at every moment of a crash a file
 * has a durable name. All of it is covered by an intent, which also names the new packs that hold what was alive in the old ones.
 *
 *      new packs durable, unnamed -> intent STAGED -> packs named, durable -> links in trash, durable -> names removed -> outcome
 *
 * What a crash leaves: files with both names, new packs. Recovery reads the new packs from the medium: all whole, it goes on;
 * else everything goes back.
 * Locks: the caller holds `writer` and `gc` exclusively, but for listing. Recovery, which every writing verb begins with, holds `gc`
 * shared only. `writer` keeps out everybody who stores or relies on objects, so who holds `gc` shared besides is a check or the source
 * of a copy, which began after the dead process lost its lock: the new packs had their names by then, or everything goes back, and
 * no root changed since. To them a file can only seem gone between listing and opening, when all that is needed of it is in a pack
 * that was there before they began. Both expect that (check/folders.c, pass_packs.c; copy_objects.c lists again), as every command
 * does that reads without locks. Waiting for them would make each commit wait for hours instead.
 * Threads: one at a time.
 */
#ifndef OXL_REPO_TRASH_H
#define OXL_REPO_TRASH_H

#include <oxenlite/gc.h>

#include "repo/intent.h"
#include "repo/repo.h"

#define OXL_TRASH "trash"

/* Texts, each ended by NUL. */
struct oxl_places {
        struct oxl_buf text;
        size_t n;
};
#define OXL_PLACES_INIT { OXL_BUF_INIT, 0 }
void oxl_places_done(struct oxl_places *p);
#define cleanup_places cleanup(oxl_places_done)
OXL_MUST_CHECK int oxl_places_add(struct oxl_places *p, const char *text, struct oxl_error *err);
/* for (const char *t = NULL; (t = oxl_places_next(p, t));) */
const char *oxl_places_next(const struct oxl_places *p, const char *last);
bool oxl_places_has(const struct oxl_places *p, const char *text);

/* Runs in trash, by id. An absent folder has none. DIR_OPEN, DIR_READ. */
OXL_MUST_CHECK int oxl_trash_ids(int root_fd, struct oxl_places *ret, struct oxl_error *err);
/* The places of the files in the folder of @id; what is no place of a pack or blob is left out. */
OXL_MUST_CHECK int oxl_trash_places(const struct oxl_repo *r, const char *id, struct oxl_places *ret,
                                    struct oxl_error *err);
/* "trash/<id>/<place>", malloc'd. */
OXL_MUST_CHECK int oxl_trash_path(const char *id, const char *place, char **ret, struct oxl_error *err);
/* Everything in trash. */
OXL_MUST_CHECK int oxl_trash_count(struct oxl_repo *r, struct oxl_gc_count *ret, struct oxl_error *err);

/* One run: @put (NULL: none), finished, holds the new packs; @places go to trash. */
struct oxl_trash_run {
        const char *verb; /* "gc", "merge" */
        struct oxl_put *put;
        const struct oxl_places *places;
        int64_t kept_since_ns;
        const char *note; /* of the operation; NULL: none is recorded */
};
/* *ret_id: OXL_TRASH_ID_BYTES. After a failure everything is in its place, or OUTCOME_UNKNOWN. The session can only be freed. */
OXL_MUST_CHECK int oxl_trash_run(struct oxl_repo *r, const struct oxl_trash_run *run, char *ret_id,
                                 struct oxl_error *err);

/* Reads all of the files of @id at @places. *ret_damaged: those that are not whole, or that the medium does not answer for;
 * *ret_first (may be NULL): what the first of them has. FILE_OPEN, CANCELLED, NOMEM. */
OXL_MUST_CHECK int oxl_trash_verify(struct oxl_repo *r, const char *id, const struct oxl_places *places,
                                    struct oxl_places *ret_damaged, struct oxl_error *ret_first, struct oxl_error *err);

/* Moves the files of @id back, as one intent, but for @damaged. *ret_in_way: places that another file has. */
OXL_MUST_CHECK int oxl_trash_back(struct oxl_repo *r, const char *id, const struct oxl_places *damaged,
                                  struct oxl_places *ret_in_way, struct oxl_error *err);

/* Deletes the folder of @id for good. */
OXL_MUST_CHECK int oxl_trash_delete(struct oxl_repo *r, const char *id, struct oxl_error *err);

/* Ends the interrupted gc, merge or gc-undo that @event records. */
OXL_MUST_CHECK int oxl_trash_recover(struct oxl_repo *r, const struct oxl_event *event, struct oxl_error *err);

/* The new packs of a merge whose folder is @id. 1: it is no folder of a merge, or does not say. */
OXL_MUST_CHECK int oxl_trash_merged(struct oxl_repo *r, const char *id, struct oxl_digest **ret, size_t *ret_n,
                                    struct oxl_error *err);

/* --- what undo may rely on ------------------------------------------------------------------------------------------- */

/* Hears the operations, newest first; of those that come later, and are older than since_ns, gc has not kept what they need. */
struct oxl_horizon {
        int64_t since_ns;
        struct oxl_places undone; /* ids of runs that were moved back whole */
};
#define OXL_HORIZON_INIT { 0, OXL_PLACES_INIT }
void oxl_horizon_done(struct oxl_horizon *h);
OXL_MUST_CHECK int oxl_horizon_hear(struct oxl_horizon *h, struct oxl_journal *j, const struct oxl_operation *op,
                                    struct oxl_error *err);

#endif
