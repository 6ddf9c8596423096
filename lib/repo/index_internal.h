/* SPDX-License-Identifier: MIT */
/* What the index files share: the open index, streams over its two layers, and the cursor that merges them. */
#ifndef OXL_REPO_INDEX_INTERNAL_H
#define OXL_REPO_INDEX_INTERNAL_H

#include "repo/index_format.h"

struct oxl_index_block {
        uint64_t offset;
        uint32_t length, entries, staged;
        struct oxl_bytes path; /* first path; borrows from the table */
        const uint8_t *digest; /* borrows from the table */
};

/* A place inside the delta where decoding can begin. At most one per 4 KiB and per length of its path, so that the
 * samples never take more memory than the delta itself, whatever its prefixes expand to. */
struct oxl_index_sample {
        size_t at;    /* offset in the entries of the delta */
        char *before; /* owned: path of the entry before it */
        size_t before_len;
};

/* One layer in path order. `entry` is the current one while `has`. */
struct oxl_index_stream {
        struct oxl_index *x;
        bool delta, staged_blocks; /* staged_blocks: base without blocks that have no staged entries */
        bool has;
        size_t unit;                /* base: block; delta: sample where decoding began */
        uint32_t left, staged_left; /* base: entries of the block still to come */
        struct oxl_buf block;
        struct oxl_index_decoder decoder;
        struct oxl_index_entry entry;
};
void oxl_index_stream_init(struct oxl_index_stream *s, struct oxl_index *x, bool delta, bool staged_blocks);
void oxl_index_stream_done(struct oxl_index_stream *s);
/* Moves to the first entry >= @path, or to the next entry; at the end `has` is false. MALFORMED, SEAL, FILE_READ. */
OXL_MUST_CHECK int oxl_index_stream_seek(struct oxl_index_stream *s, const char *path, size_t len,
                                         struct oxl_error *err);
OXL_MUST_CHECK int oxl_index_stream_next(struct oxl_index_stream *s, struct oxl_error *err);

struct oxl_index {
        int fd; /* the base; blocks are read when touched */
        struct oxl_repo_id id;
        enum oxl_algo blob_algo;
        struct oxl_digest tree;

        uint64_t bytes; /* length of the base */
        struct oxl_index_header base;
        struct oxl_digest base_seal;
        struct oxl_buf table;
        struct oxl_index_block *blocks;
        size_t n_blocks;

        struct oxl_index_header delta; /* also when stale */
        struct oxl_digest delta_seal;
        bool delta_applies;
        struct oxl_buf delta_bytes;     /* the whole file */
        struct oxl_bytes delta_entries; /* none when stale */
        struct oxl_index_sample *samples;
        size_t n_samples;

        struct oxl_index_stream find[2]; /* of lookup: base, delta */
};

/* Is @path in the base, staged removals included? 0 yes, 1 no. */
OXL_MUST_CHECK int oxl_index_base_has(struct oxl_index *x, const char *path, size_t len, struct oxl_error *err);

/* At most this many staged entries. */
uint64_t oxl_index_staged_bound(const struct oxl_index *x);

/* --- the merge: edit over delta over base --- */

enum oxl_index_layer { OXL_INDEX_BASE = 0, OXL_INDEX_DELTA, OXL_INDEX_EDIT, OXL_INDEX_LAYERS };
enum oxl_index_base_use { OXL_INDEX_BASE_ALL, OXL_INDEX_BASE_STAGED, OXL_INDEX_BASE_NONE };

struct oxl_index_cursor {
        struct oxl_index *x;
        struct oxl_index_edit *edit; /* NULL: the index as it is */
        enum oxl_index_base_use base_use;
        bool staged_only;
        char *from; /* owned */
        size_t from_len;
        struct oxl_index_stream stream[2];
        size_t edit_at;
        struct oxl_index_entry edit_entry;
        bool edit_has;
        unsigned used; /* layers whose entry was handed out: bit per layer */
};
OXL_MUST_CHECK int oxl_index_merge_new(struct oxl_index *x, struct oxl_index_edit *edit,
                                       enum oxl_index_base_use base_use, const char *from,
                                       struct oxl_index_cursor **ret, struct oxl_error *err);
static inline void oxl_index_cursor_freep(struct oxl_index_cursor **c)
{
        oxl_index_cursor_free(*c);
}
#define cleanup_index_cursor cleanup(oxl_index_cursor_freep)

/* 0: the next path with the entry of its uppermost layer, hidden ones (kind NONE, not staged) included; 1: the end.
 * *ret_changed: a commit takes its staged bit away, so that it differs from what is on disk. */
OXL_MUST_CHECK int oxl_index_merge_next(struct oxl_index_cursor *c, struct oxl_index_entry *ret,
                                        enum oxl_index_layer *ret_top, bool *ret_changed, struct oxl_error *err);

/* --- what a cursor needs of an edit (index_edit.c) --- */
/* Sorts and drops what was set again. NOMEM never: sorting needs no memory that it cannot do without. */
void oxl_index_edit_sort(struct oxl_index_edit *e);
size_t oxl_index_edit_lower_bound(const struct oxl_index_edit *e, const char *path, size_t len);
/* Entry @i of the sorted edit; false at the end. Borrowed from the edit. */
bool oxl_index_edit_at(const struct oxl_index_edit *e, size_t i, struct oxl_index_entry *ret);
bool oxl_index_edit_commits(const struct oxl_index_edit *e);
struct oxl_index *oxl_index_edit_index(const struct oxl_index_edit *e);

#endif
