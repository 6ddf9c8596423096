/* SPDX-License-Identifier: MIT */
/*
 * Copying a repository: what its files share. copy.c opens both sides and says the order; copy_objects.c brings packs and
 * loose blobs over, copy_rescue.c what is damaged at the source, one object at a time; copy_refs.c moves refs and HEAD.
 *
 *   refs of the source read -> [objects, in batches: written, synced, read back, renamed, folders synced]
 *     -> for each ref: its history walked at the destination -> a move (move.h) -> HEAD: a move
 *
 * Invariant: a file gets its name at the destination after its bytes, read back from there, hashed to it.
 * What a crash leaves at the destination: temps of a dead owner in versions/tmp, whole objects that nothing refers to yet, and at
 * most one move, which recovery ends.
 */
#ifndef OXL_REPO_COPY_H
#define OXL_REPO_COPY_H

#include <oxenlite/tools.h>

#include "repo/repo.h"

struct oxl_copy_ref {
        char *name; /* owned */
        struct oxl_digest id;
};

struct oxl_copying {
        struct oxl_repo *from, *to; /* to: owned, in begin_write */
        struct oxl_objects *from_objects, *to_objects;
        const struct oxl_copy_options *options;
        struct oxl_copy_result *result;
        int gc_fd; /* holds gc at the source */

        char *head;                /* of the source, owned: "refs/heads/x" or an id */
        struct oxl_copy_ref *refs; /* owned, sorted by name */
        size_t n_refs, refs_cap;
        bool refs_known; /* all of them could be read */

        struct oxl_error first; /* the first thing that was not copied, and why; empty: all was */
        uint64_t files_total, bytes_total, files_done, bytes_done;
};

/* What is not copied is named by a notice, and the copy goes on; *why is taken: the first is what it returns in the end. */
void oxl_copying_miss(struct oxl_copying *c, const char *path, const char *text, struct oxl_error *why);
/* Does @code say that bytes are damaged or not there? */
bool oxl_copying_is_damage(enum oxl_code code);
/* Adds to the bytes done, tells progress; CANCELLED. */
OXL_MUST_CHECK int oxl_copying_step(struct oxl_copying *c, uint64_t bytes, struct oxl_error *err);

/* --- copy_objects.c --- */
OXL_MUST_CHECK int oxl_copy_objects(struct oxl_copying *c, struct oxl_error *err);

/* --- copy_rescue.c --- */
/* The pack @id of the source is damaged: its objects come one by one, from whatever copy of each is good. */
OXL_MUST_CHECK int oxl_copy_rescue_pack(struct oxl_copying *c, const struct oxl_digest *id, struct oxl_error *err);
/* The same for a loose blob. */
OXL_MUST_CHECK int oxl_copy_rescue_loose(struct oxl_copying *c, const struct oxl_digest *id, struct oxl_error *err);

/* --- copy_refs.c --- */
OXL_MUST_CHECK int oxl_copy_refs(struct oxl_copying *c, struct oxl_error *err);

#endif
