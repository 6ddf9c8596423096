/* SPDX-License-Identifier: MIT */
/*
 * What the tree files share: encoding of entries, decoding with totals, and cursors over any source of nodes, so that
 * tests can walk trees that no store would take.
 */
#ifndef OXL_OBJECTS_TREE_INTERNAL_H
#define OXL_OBJECTS_TREE_INTERNAL_H

#include "objects/tree.h"

#define OXL_TREE_VERSION 1
#define OXL_TREE_HEADER_BYTES 8
#define OXL_SYMLINK_BYTES_MAX 4095

/* --- nodes --- */

void oxl_tree_store_header(uint8_t ret[OXL_TREE_HEADER_BYTES], uint8_t level, uint32_t entries);
/* Appends @e as it lies in a node of @level. NOMEM. */
OXL_MUST_CHECK int oxl_tree_append_entry(struct oxl_buf *to, uint8_t level, const struct oxl_tree_entry *e,
                                         struct oxl_error *err);

/* Order of names in a node: memcmp, then length. */
int oxl_tree_name_compare(const char *a, size_t alen, const char *b, size_t blen);

/* Why a blob of @size bytes cannot be an entry of @kind (1 to 3), as a static text; NULL when it can. */
const char *oxl_tree_size_problem(enum oxl_entry_kind kind, uint64_t size);

/* Sums over a node; first and last borrow from the payload and are unset in an empty node. */
struct oxl_tree_totals {
        uint64_t count, size; /* leaf entries below, bytes */
        struct oxl_tree_entry first, last;
};
/* oxl_tree_decode() that also gives the totals. */
OXL_MUST_CHECK int oxl_tree_decode_totals(struct oxl_bytes payload, enum oxl_algo blob_algo, const char *name,
                                          struct oxl_tree_node *ret, struct oxl_tree_totals *ret_totals,
                                          struct oxl_error *err);

/* What a node must be that @from points to, as a static text; NULL when it is. @from: the entry of a directory (NULL: the root
 * tree), or of an inner node of @level whose names are all below @bound (data NULL: the last of its level). */
const char *oxl_tree_root_problem(const struct oxl_tree_node *node, const struct oxl_tree_totals *t,
                                  const struct oxl_tree_entry *from);
const char *oxl_tree_child_problem(const struct oxl_tree_node *node, const struct oxl_tree_totals *t,
                                   const struct oxl_tree_entry *from, uint8_t level, struct oxl_bytes bound);

/* --- sources of nodes --- */

/* Fills the empty buffer @ret with the verified payload of node @id. */
typedef int oxl_tree_fetch_fn(void *ctx, const struct oxl_digest *id, struct oxl_buf *ret, struct oxl_error *err);
struct oxl_tree_source {
        oxl_tree_fetch_fn *fetch;
        void *ctx; /* borrowed */
        enum oxl_algo blob_algo;
};
struct oxl_tree_source oxl_tree_source_of(struct oxl_objects *o);

OXL_MUST_CHECK int oxl_tree_cursor_new_from(const struct oxl_tree_source *source, const struct oxl_digest *root,
                                            const char *prefix, unsigned flags, struct oxl_tree_cursor **ret,
                                            struct oxl_error *err);
OXL_MUST_CHECK int oxl_tree_find_in(const struct oxl_tree_source *source, const struct oxl_digest *root,
                                    const char *path, struct oxl_tree_item *ret, struct oxl_error *err);
OXL_MUST_CHECK int oxl_tree_diff_in(const struct oxl_tree_source *source, const struct oxl_digest *a,
                                    const struct oxl_digest *b, oxl_tree_diff_fn *fn, void *ctx, struct oxl_error *err);

OXL_MUST_CHECK int oxl_tree_update_from(const struct oxl_tree_source *source, const struct oxl_digest *base,
                                        oxl_tree_change_fn *next, void *ctx, oxl_tree_emit_fn *emit, void *emit_ctx,
                                        struct oxl_digest *ret_root, struct oxl_error *err);

/* The last items of both cursors had the same path: moves both over the nodes that follow in both with the same id.
 * Without this, one change in a directory of millions reads all of it. */
OXL_MUST_CHECK int oxl_tree_cursor_skip_common(struct oxl_tree_cursor *a, struct oxl_tree_cursor *b,
                                               struct oxl_error *err);

#endif
