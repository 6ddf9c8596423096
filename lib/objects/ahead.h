/* SPDX-License-Identifier: MIT */
/*
 * Blobs read ahead of their use: a crew reads and verifies small ones from the packs while the caller's thread does something else with
 * those before them. They come back in the order in which they were asked for, so nothing depends on the number of threads.
 *
 *      oxl_ahead_new -> oxl_ahead_add ... -> oxl_ahead_settle -> oxl_ahead_free
 *
 * It is a short cut, never a verdict: a blob that is not where the lookup or an index says, that cannot be read or that does not hash
 * to its name is handed out without bytes, and oxl_objects_stream, which knows other copies, says what is wrong.
 * Memory: 4 batches of at most 64 blobs and 1 MiB. Threads: one at a time per object; the crew reads packs only.
 */
#ifndef OXL_OBJECTS_AHEAD_H
#define OXL_OBJECTS_AHEAD_H

#include "objects/objects.h"

#define OXL_AHEAD_BATCH_FILES 64
#define OXL_AHEAD_BATCH_BYTES (1u << 20)
#define OXL_AHEAD_BLOB_MAX OXL_AHEAD_BATCH_BYTES /* larger ones are streamed */

struct oxl_ahead;

/* Hears of each blob, in the caller's thread. @bytes: verified, borrowed for the call; NULL: ask oxl_objects_stream. < 0 is forwarded, and
 * what was read with it is forgotten. */
typedef int oxl_ahead_fn(void *ctx, size_t number, const void *bytes, struct oxl_error *err);

/* @o outlives it. NOMEM. */
OXL_MUST_CHECK int oxl_ahead_new(struct oxl_objects *o, oxl_ahead_fn *fn, void *ctx, struct oxl_ahead **ret,
                                 struct oxl_error *err);
/* Reads no further. NULL is fine. */
void oxl_ahead_free(struct oxl_ahead *a);

/* Asks for the blob @id of @size bytes, at most BLOB_MAX; @number is the caller's. Hands out older ones when there is no room. */
OXL_MUST_CHECK int oxl_ahead_add(struct oxl_ahead *a, const struct oxl_digest *id, uint64_t size, size_t number,
                                 struct oxl_error *err);
/* Hands out all that were asked for. */
OXL_MUST_CHECK int oxl_ahead_settle(struct oxl_ahead *a, struct oxl_error *err);
/* Forgets them. */
void oxl_ahead_drop(struct oxl_ahead *a);

#endif
