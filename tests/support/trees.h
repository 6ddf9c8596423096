/* SPDX-License-Identifier: MIT */
/* Trees in memory for tests: a map of nodes that counts what is written and read, and random sorted lists of files. */
#ifndef OXL_TESTS_SUPPORT_TREES_H
#define OXL_TESTS_SUPPORT_TREES_H

#include "objects/tree_internal.h"

struct trees_node {
        struct oxl_digest id;
        struct oxl_buf payload;
};

struct trees {
        struct trees_node *node;
        size_t nodes, slots; /* distinct nodes */
        size_t fetched, emitted;
        const struct oxl_digest *missing; /* fetching this one fails with OBJECT_MISSING */
};
void trees_done(struct trees *t);

struct oxl_digest trees_put(struct trees *t, const void *payload, size_t n);
const struct trees_node *trees_get(const struct trees *t, const struct oxl_digest *id);
int trees_emit(void *ctx, const void *payload, size_t n, struct oxl_digest *ret_id, struct oxl_error *err);
int trees_fetch(void *ctx, const struct oxl_digest *id, struct oxl_buf *ret, struct oxl_error *err);
struct oxl_tree_source trees_source(struct trees *t);

struct trees_file {
        char *path; /* owned */
        enum oxl_entry_kind kind;
        uint64_t size;
        struct oxl_digest id;
};
struct trees_files {
        struct trees_file *at;
        size_t n, slots;
};
void trees_files_done(struct trees_files *f);
/* Appends a file whose content is told apart by @content. */
void trees_files_add(struct trees_files *f, const char *path, uint64_t content);
/* Sorts by path; of duplicates, and of files that are directories for others, keeps one. */
void trees_files_settle(struct trees_files *f);
/* @dirs: 1 in @dirs files is at the top, others below up to three of a few directories. Settled. */
void trees_files_random(struct trees_files *f, uint64_t *seed, size_t n, unsigned dirs);
/* Appends @n files "<prefix><number>" whose names end a node of leaves wherever the node has 32 entries (@ending), or
 * never do. If @ending, every 1,024th end comes with one of the level above, so 1,025 files need two inner levels. */
void trees_files_add_chosen(struct trees_files *f, const char *prefix, size_t n, bool ending);
struct trees_files trees_files_copy(const struct trees_files *f);

/* Builds settled files. */
struct oxl_digest trees_build(struct trees *t, const struct trees_files *f);

/* splitmix64 */
uint64_t trees_random(uint64_t *seed);

#endif
