/* SPDX-License-Identifier: MIT */
/*
 * The index: docs/FORMAT.md section 6. A sorted map from path to staged content and stat cache; a sealed base read block
 * by block, and a small delta over it.
 *
 * Reading: oxl_index_open, then lookup or a cursor; blocks are verified as they are touched. Writing: collect changes in an
 * oxl_index_edit (sorted by itself), then oxl_index_stage writes exactly one file - the delta, or a new base when the delta has
 * grown - as a durable temp that the caller publishes as part of its operation.
 * What a crash leaves: the old index or the new one.
 * Threads: one at a time.
 */
#ifndef OXL_REPO_INDEX_H
#define OXL_REPO_INDEX_H

#include "objects/tree.h"
#include "repo/repo.h"

struct oxl_stat { /* all zero: not cached */
        int64_t mtime_s, ctime_s;
        uint32_t mtime_ns, ctime_ns;
        uint64_t dev, ino;
        uint32_t mode;
};

struct oxl_index_entry {
        const char *path; /* borrowed; NUL-ended when handed out */
        size_t path_len;
        enum oxl_entry_kind kind;
        bool staged;
        uint64_t size;
        struct oxl_digest id;
        struct oxl_stat stat;
};

struct oxl_index;
/* Opens base and delta below @root_fd. MALFORMED, SEAL, FILE_*: also when the delta belongs to another base. */
OXL_MUST_CHECK int oxl_index_open(int root_fd, const struct oxl_repo_id *id, enum oxl_algo blob_algo,
                                  struct oxl_index **ret, struct oxl_error *err);
void oxl_index_free(struct oxl_index *x);
/* Root tree that the unstaged entries equal; NONE: no commit. */
const struct oxl_digest *oxl_index_tree(const struct oxl_index *x);
uint64_t oxl_index_count_bound(const struct oxl_index *x); /* at most this many live entries */

/* 0 found (kind NONE: staged removal), 1 not there. *ret borrows until the next call. */
OXL_MUST_CHECK int oxl_index_lookup(struct oxl_index *x, const char *path, size_t path_len, struct oxl_index_entry *ret,
                                    struct oxl_error *err);

/* Merged view in path order, from the first path >= @from ("" all) while it equals @from or lies below it. */
struct oxl_index_cursor;
enum oxl_index_cursor_flags {
        OXL_INDEX_STAGED_ONLY = 1 << 0, /* skip blocks without staged entries */
};
OXL_MUST_CHECK int oxl_index_cursor_new(struct oxl_index *x, const char *from, unsigned flags,
                                        struct oxl_index_cursor **ret, struct oxl_error *err);
/* 0 next (staged removals are yielded with kind NONE), 1 end. */
OXL_MUST_CHECK int oxl_index_cursor_next(struct oxl_index_cursor *c, struct oxl_index_entry *ret,
                                         struct oxl_error *err);
void oxl_index_cursor_free(struct oxl_index_cursor *c);

/* --- edits --- */
struct oxl_index_edit;
OXL_MUST_CHECK int oxl_index_edit_new(struct oxl_index *x, struct oxl_index_edit **ret, struct oxl_error *err);
void oxl_index_edit_free(struct oxl_index_edit *e);
/* Sets (kind 1-3) or removes (kind NONE) one path; the last call for a path wins. @entry is copied. NOMEM, PATH, LIMIT. */
OXL_MUST_CHECK int oxl_index_edit_set(struct oxl_index_edit *e, const struct oxl_index_entry *entry,
                                      struct oxl_error *err);
/* Marks every staged entry of index and edit as committed, drops staged removals, and sets the tree. Once per edit. */
OXL_MUST_CHECK int oxl_index_edit_commit(struct oxl_index_edit *e, const struct oxl_digest *tree,
                                         struct oxl_error *err);
/* Sets the tree alone: the caller has set every entry whose `staged` changes with it. Not together with commit. */
void oxl_index_edit_set_tree(struct oxl_index_edit *e, const struct oxl_digest *tree);
uint64_t oxl_index_edit_count(const struct oxl_index_edit *e);
/* Cursor over the index as it will be after the edit; @e must not change meanwhile. */
OXL_MUST_CHECK int oxl_index_edit_cursor_new(struct oxl_index_edit *e, const char *from, unsigned flags,
                                             struct oxl_index_cursor **ret, struct oxl_error *err);

/* Writes the new delta, or the new base, as a synced temp beside its target (all below root). *ret_target is "index" or
 * "index.delta" (static); *ret_digest is B3 of the file, *ret_size its length. */
OXL_MUST_CHECK int oxl_index_stage(struct oxl_index_edit *e, struct oxl_durable *d, struct oxl_stage **ret,
                                   const char **ret_target, struct oxl_digest *ret_digest, uint64_t *ret_size,
                                   struct oxl_error *err);

/* The sealed bytes of an empty index base with @tree, for init and rebuild. */
OXL_MUST_CHECK int oxl_index_print_empty(const struct oxl_repo_id *id, struct oxl_buf *ret_base,
                                         struct oxl_buf *ret_delta, struct oxl_error *err);

/* Reads and verifies every block and every rule of FORMAT section 6, for fsck. */
OXL_MUST_CHECK int oxl_index_verify(struct oxl_index *x, struct oxl_error *err);

/* --- stat cache (worktree.c) --- */
/* Fills the cache from @st, or leaves zeros when the file was changed so recently (against the clock's value @now at which its
 * reading began) that a later change might not show in its times: within 50 ms, or 2 s where times have whole seconds. */
void oxl_stat_fill(const struct stat *st, const struct timespec *now, struct oxl_stat *ret);
/* Does @st show the very file and state that @entry was taken from? False when not cached. */
bool oxl_stat_unchanged(const struct oxl_index_entry *entry, const struct stat *st);

#endif
