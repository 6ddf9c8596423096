/* SPDX-License-Identifier: MIT */
/*
 * Positions of an array, found by digest: open addressing over u32 slots, at most half of them used. Digests are evenly
 * spread already, so their first bytes are the hash; somebody who chooses colliding ones slows down only his own store.
 */
#ifndef OXL_OBJECTS_IDSET_H
#define OXL_OBJECTS_IDSET_H

#include <stddef.h>
#include <stdint.h>

#include <oxenlite/error.h>

/* The digest (32 bytes) of element @i of the array. */
typedef const uint8_t *oxl_idset_id_fn(const void *array, size_t i);

struct oxl_idset {
        oxl_idset_id_fn *id_of;
        uint32_t *slots; /* owned; position + 1, 0: free */
        size_t cap, used;
};

#define OXL_IDSET_NONE SIZE_MAX

/* Position of the element with this digest, or OXL_IDSET_NONE. */
size_t oxl_idset_find(const struct oxl_idset *s, const void *array, const uint8_t *id);
/* Makes room for one more; then oxl_idset_add cannot fail. NOMEM. */
OXL_MUST_CHECK int oxl_idset_reserve(struct oxl_idset *s, const void *array, struct oxl_error *err);
void oxl_idset_add(struct oxl_idset *s, const void *array, size_t i);
void oxl_idset_done(struct oxl_idset *s);

#endif
