/* SPDX-License-Identifier: MIT */
/* Copying objects of a pack into a put session, for packs that take the place of others. */
#ifndef OXL_OBJECTS_PACK_COPY_H
#define OXL_OBJECTS_PACK_COPY_H

#include "objects/objects.h"
#include "objects/pack.h"

/* Is this object to be copied? */
typedef bool oxl_pack_keep_fn(void *ctx, const struct oxl_pack_entry *e);

/* Copies the objects of @pack (its index is loaded) that @keep (NULL: all) wants, in the order in which they lie there; each is read and
 * hashed, the second copy instead of a damaged first. OBJECT_CORRUPT, MALFORMED, LIMIT: the pack cannot be given up, and what was
 * copied does no harm. FILE_READ, CANCELLED, NOMEM, what a put session says. Memory: 16 bytes a record. */
OXL_MUST_CHECK int oxl_pack_copy(struct oxl_objects *o, struct oxl_pack *pack, oxl_pack_keep_fn *keep, void *ctx,
                                 struct oxl_put *put, const atomic_bool *cancel, struct oxl_error *err);

#endif
