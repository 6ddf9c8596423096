/* SPDX-License-Identifier: MIT */
/*
 * Trees: docs/FORMAT.md section 5.1. A history-independent, split representation of directories.
 *
 * The builder takes the files of a whole working tree as sorted paths and emits every tree node bottom-up, in memory
 * bounded by depth; the cursor walks a root tree as sorted paths; both check that splits are canonical.
 * Threads: one at a time per object.
 */
#ifndef OXL_OBJECTS_TREE_H
#define OXL_OBJECTS_TREE_H

#include "objects/objects.h"

enum oxl_entry_kind {
        OXL_ENTRY_NONE = 0, /* removed (index only) */
        OXL_ENTRY_FILE = 1,
        OXL_ENTRY_EXECUTABLE = 2,
        OXL_ENTRY_SYMLINK = 3,
        OXL_ENTRY_DIRECTORY = 4,
};

#define OXL_PATH_BYTES_MAX 32767
#define OXL_DEPTH_MAX 1024 /* directories that a file lies in, the root not counted */
#define OXL_TREE_ENTRIES_MAX 1024
#define OXL_TREE_ENTRIES_MIN 32
#define OXL_TREE_SPLIT 96
#define OXL_TREE_LEVELS 8

struct oxl_tree_entry {
        const char *name; /* one component, not NUL-ended */
        uint8_t name_len;
        enum oxl_entry_kind kind; /* inner nodes: OXL_ENTRY_NONE */
        uint64_t size;
        uint64_t count; /* inner nodes: leaf entries below */
        struct oxl_digest id;
};

/* A decoded node; borrows from the payload. */
struct oxl_tree_node {
        uint8_t level;
        uint32_t entries;
        struct oxl_bytes body; /* undecoded entries */
};

/* Checks the whole payload (order, names, kinds, sizes, splits within the node). MALFORMED with @name. */
OXL_MUST_CHECK int oxl_tree_decode(struct oxl_bytes payload, enum oxl_algo blob_algo, const char *name,
                                   struct oxl_tree_node *ret, struct oxl_error *err);
/* Next entry of a checked node; false at the end. Start with a copy of node->body. */
bool oxl_tree_next(const struct oxl_tree_node *node, enum oxl_algo blob_algo, struct oxl_bytes *rest,
                   struct oxl_tree_entry *ret);

/* Must a node of @level that has @count entries, the last one named @name, end here? */
bool oxl_tree_ends(uint8_t level, uint32_t count, const char *name, size_t name_len);

/* Is @name allowed as a component? (not empty, ".", "..", ".oxen-lite" in any case; no '/' or NUL; at most 255 bytes) */
bool oxl_tree_name_ok(const char *name, size_t len);

/* --- builder --- */
/* Receives each finished node payload; returns its id. */
typedef int oxl_tree_emit_fn(void *ctx, const void *payload, size_t n, struct oxl_digest *ret_id,
                             struct oxl_error *err);
struct oxl_tree_builder;
OXL_MUST_CHECK int oxl_tree_builder_new(oxl_tree_emit_fn *emit, void *ctx, struct oxl_tree_builder **ret,
                                        struct oxl_error *err);
/* Paths in ascending order (oxl_path_compare), kinds 1 to 3. PATH when a path is invalid, out of order, a duplicate, or
 * both a file and a directory; LIMIT: length, depth, size. Both leave the builder as it was; after any other failure it can
 * only be freed. */
OXL_MUST_CHECK int oxl_tree_builder_add(struct oxl_tree_builder *b, const char *path, size_t path_len,
                                        enum oxl_entry_kind kind, uint64_t size, const struct oxl_digest *id,
                                        struct oxl_error *err);
/* The same for a directory that is known already, with all that is in it; no path below it may follow. */
OXL_MUST_CHECK int oxl_tree_builder_add_directory(struct oxl_tree_builder *b, const char *path, size_t path_len,
                                                  uint64_t size, const struct oxl_digest *id, struct oxl_error *err);
/* The same for a whole node of @level of the directory @dir ("": the root) that is known and was ended by the split rule: @node as
 * its parent has it. 1: not taken, because a node of this level or below is begun there; add what is in it. */
OXL_MUST_CHECK int oxl_tree_builder_add_node(struct oxl_tree_builder *b, const char *dir, uint8_t level,
                                             const struct oxl_tree_entry *node, struct oxl_error *err);
OXL_MUST_CHECK int oxl_tree_builder_finish(struct oxl_tree_builder *b, struct oxl_digest *ret_root,
                                           struct oxl_error *err);
void oxl_tree_builder_free(struct oxl_tree_builder *b);

/* --- changing a tree --- */
struct oxl_tree_item;
/* 0: *ret is the next changed file (kind 1 to 3) or removed one (NONE), in path order, borrowed until the next call; 1: the end. */
typedef int oxl_tree_change_fn(void *ctx, struct oxl_tree_item *ret, struct oxl_error *err);
/* Emits the nodes that differ of the tree that @base with the changes is; *ret_root is what a builder of all its files would
 * return. Reads only the nodes on the way to a change, so it is logarithmic in the tree. Removing what is not there is nothing.
 * MALFORMED, OBJECT_*, FILE_*: @base cannot be read; PATH, LIMIT: as the builder. */
OXL_MUST_CHECK int oxl_tree_update(struct oxl_objects *o, const struct oxl_digest *base, oxl_tree_change_fn *next,
                                   void *ctx, oxl_tree_emit_fn *emit, void *emit_ctx, struct oxl_digest *ret_root,
                                   struct oxl_error *err);

/* --- cursor --- */
struct oxl_tree_cursor;
struct oxl_tree_item {
        const char *path; /* full path, NUL-ended, borrowed until the next step */
        size_t path_len;
        enum oxl_entry_kind kind;
        uint64_t size;
        struct oxl_digest id;
};
enum oxl_tree_cursor_flags {
        OXL_TREE_DIRECTORIES = 1 << 0, /* also yield directories, before their content */
        OXL_TREE_FLAT = 1 << 1,        /* do not descend: one directory's entries (implies DIRECTORIES) */
};
/* Walks the tree @root, restricted to @prefix ("" = all; a file's path yields that file). PATH_NOT_FOUND at the first step
 * when nothing has the prefix. A directory @prefix is not yielded itself, only what is in it. */
OXL_MUST_CHECK int oxl_tree_cursor_new(struct oxl_objects *o, const struct oxl_digest *root, const char *prefix,
                                       unsigned flags, struct oxl_tree_cursor **ret, struct oxl_error *err);
/* 0: *ret is the next item; 1: end. MALFORMED, OBJECT_*, FILE_*: the next step goes on behind what could not be read. */
OXL_MUST_CHECK int oxl_tree_cursor_next(struct oxl_tree_cursor *c, struct oxl_tree_item *ret, struct oxl_error *err);
/* After a directory was yielded: do not descend into it. */
void oxl_tree_cursor_skip(struct oxl_tree_cursor *c);
void oxl_tree_cursor_free(struct oxl_tree_cursor *c);

/* Finds one path; "" is the root. 0 found (ret->path is NULL), 1 not there. */
OXL_MUST_CHECK int oxl_tree_find(struct oxl_objects *o, const struct oxl_digest *root, const char *path,
                                 struct oxl_tree_item *ret, struct oxl_error *err);

/* Differences between two root trees (either may be NULL = empty), in path order, equal subtrees skipped.
 * @a or @b of the callback is NULL for an added or removed path. */
typedef int oxl_tree_diff_fn(void *ctx, const struct oxl_tree_item *a, const struct oxl_tree_item *b,
                             struct oxl_error *err);
OXL_MUST_CHECK int oxl_tree_diff(struct oxl_objects *o, const struct oxl_digest *a, const struct oxl_digest *b,
                                 oxl_tree_diff_fn *fn, void *ctx, struct oxl_error *err);

#endif
