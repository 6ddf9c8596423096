/* SPDX-License-Identifier: MIT */
/* Reading a whole file once, in pieces, holes told apart: for hashing, copying and comparing in one pass. */
#ifndef OXL_OBJECTS_SCAN_H
#define OXL_OBJECTS_SCAN_H

#include "objects/objects.h"
#include "os/source.h"

/* Bytes per read: stays in the second-level cache together with the hash, measured. */
#define OXL_SCAN_PIECE_BYTES (256u << 10)
#define OXL_SCAN_SPLIT_BYTES (16u << 20) /* from here on several threads bring more than they cost */

/*
 * Hands the content of @fd, from 0 to the size that fstat gives, to @h and then to @sink (either may be NULL), in
 * order. Holes reach the sink as one or more calls with NULL. The position of @fd moves. *ret_bytes is what was read:
 * less than the size when the file is cut short meanwhile; then the digest is of no use. @sink is called on the caller's
 * thread, with pieces of up to 512 KiB; a large file is read and hashed on others beside it, which have ended when this
 * returns. FILE_READ, CANCELLED, NOMEM, or what @sink returns.
 */
OXL_MUST_CHECK int oxl_fd_scan(int fd, const char *name, struct oxl_hasher *h, oxl_sink_fn *sink, void *ctx,
                               const atomic_bool *cancel, uint64_t *ret_bytes, struct oxl_error *err);
/* The same, but data is read through @source (NULL: from @fd, which still tells where the holes are), by one thread unless it
 * is `shared`. */
OXL_MUST_CHECK int oxl_fd_scan_source(int fd, const struct oxl_source *source, const char *name, struct oxl_hasher *h,
                                      oxl_sink_fn *sink, void *ctx, const atomic_bool *cancel, uint64_t *ret_bytes,
                                      struct oxl_error *err);

static inline bool oxl_cancelled(const atomic_bool *cancel)
{
        return cancel && atomic_load_explicit(cancel, memory_order_relaxed);
}

#endif
