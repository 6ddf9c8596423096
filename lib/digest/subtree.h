/* SPDX-License-Identifier: MIT */
/*
 * One content hashed on several threads. BLAKE3 is a tree: whole subtrees of it are hashed anywhere, in any order, and joined
 * in the order of the content.
 *
 *      if (oxl_hasher_splits(&h))
 *              for each whole subtree but the last bytes:   oxl_subtree_hash(bytes, number, cv)      any thread
 *                      in order:                            oxl_hasher_add_subtree(&h, cv)
 *      oxl_hasher_update(&h, rest, n)       n > 0: a content that ended before would have another root
 *      oxl_hasher_final(&h, &digest)
 */
#ifndef OXL_DIGEST_SUBTREE_H
#define OXL_DIGEST_SUBTREE_H

#include <stdbool.h>

#include "digest/digest.h"

#define OXL_SUBTREE_BYTES (512u << 10)
#define OXL_SUBTREE_CV_BYTES 32

/* Is @h fresh, and BLAKE3 without a key, and does the library's tree prove to be the one we join here? Costs microseconds. */
bool oxl_hasher_splits(const struct oxl_hasher *h);
/* Of the @number-th OXL_SUBTREE_BYTES of a content. */
void oxl_subtree_hash(const void *bytes, uint64_t number, uint8_t ret_cv[OXL_SUBTREE_CV_BYTES]);
void oxl_hasher_add_subtree(struct oxl_hasher *h, const uint8_t cv[OXL_SUBTREE_CV_BYTES]);

#endif
