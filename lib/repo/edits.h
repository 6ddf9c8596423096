/* SPDX-License-Identifier: MIT */
/*
 * What an operation did to the index, path by path: docs/FORMAT.md section 7.3. Recorded so that recovery can finish it and
 * undo can take it back.
 *
 * An index is its tree and its content; what differs between the two is staged, and the rest of an entry is cache. So an
 * operation is: the tree before and after, and for each path that it touched what was there before and after.
 * Small lists lie in the intent itself, larger ones in blobs of the store, in pieces of 4 MiB, so that recording takes
 * a fixed amount of memory. oxl_edits_read takes about 130 bytes and its path per edit, oxl_edits_each a piece of memory.
 */
#ifndef OXL_REPO_EDITS_H
#define OXL_REPO_EDITS_H

#include <oxenlite/json.h>
#include <oxenlite/verbs.h>

#include "repo/index.h"

struct oxl_state {                /* of a path */
        enum oxl_entry_kind kind; /* NONE: absent */
        uint64_t size;
        struct oxl_digest id;
};

struct oxl_edit {
        char *path; /* owned by the list */
        size_t path_len;
        bool of_trees;              /* one of oxl_edits_add_trees */
        struct oxl_state old, new_; /* equal: it stays, and is staged; see switch.c */
};

/* Sorted by path once oxl_edits_sort was called. */
struct oxl_edits {
        struct oxl_edit *at; /* owned */
        size_t n, cap;
};
#define OXL_EDITS_INIT { 0 }
void oxl_edits_done(struct oxl_edits *e);
bool oxl_state_equal(const struct oxl_state *a, const struct oxl_state *b);
/* @path is copied. */
OXL_MUST_CHECK int oxl_edits_add(struct oxl_edits *e, const char *path, size_t path_len, const struct oxl_state *old,
                                 const struct oxl_state *new_, struct oxl_error *err);
/* Sorts; of edits of the same path the one that was added last stays. NOMEM. */
OXL_MUST_CHECK int oxl_edits_sort(struct oxl_edits *e, struct oxl_error *err);
/* Place of the first edit that is not before @path. */
size_t oxl_edits_lower_bound(const struct oxl_edits *e, const char *path, size_t path_len);
/* NULL: not in it. */
const struct oxl_edit *oxl_edits_find(const struct oxl_edits *e, const char *path, size_t path_len);
/* Adds what differs between two trees; either may be NONE. */
OXL_MUST_CHECK int oxl_edits_add_trees(struct oxl_edits *e, struct oxl_objects *o, const struct oxl_digest *old,
                                       const struct oxl_digest *new_, struct oxl_error *err);
/* Old becomes new. */
void oxl_edits_reverse(struct oxl_edits *e);

struct oxl_state oxl_state_of(const struct oxl_index_entry *entry);

/* --- recording --- */

/* Where a recorded list is. */
struct oxl_edits_record {
        char *hex;                /* owned; NULL: in blobs */
        struct oxl_digest *blobs; /* owned */
        size_t n_blobs;
};
#define OXL_EDITS_RECORD_INIT { 0 }
void oxl_edits_record_done(struct oxl_edits_record *r);

struct oxl_edits_writer {
        struct oxl_put *put; /* borrowed; receives blobs when the list is not small */
        struct oxl_buf bytes;
        struct oxl_buf path; /* the last one */
        struct oxl_edits_record record;
};
#define OXL_EDITS_WRITER_INIT { NULL, OXL_BUF_INIT, OXL_BUF_INIT, OXL_EDITS_RECORD_INIT }
void oxl_edits_writer_done(struct oxl_edits_writer *w);
/* Paths must ascend. Errors of oxl_put_object. */
OXL_MUST_CHECK int oxl_edits_write(struct oxl_edits_writer *w, const char *path, size_t path_len,
                                   const struct oxl_state *old, const struct oxl_state *new_, struct oxl_error *err);
/* *ret is taken from the writer. */
OXL_MUST_CHECK int oxl_edits_write_end(struct oxl_edits_writer *w, struct oxl_edits_record *ret, struct oxl_error *err);
/* Both for a list in memory. */
OXL_MUST_CHECK int oxl_edits_write_all(const struct oxl_edits *e, struct oxl_put *put, struct oxl_edits_record *ret,
                                       struct oxl_error *err);
/* What a pending edit of the index changes, compared with the index as it is. */
OXL_MUST_CHECK int oxl_edits_write_index(struct oxl_index_edit *e, struct oxl_put *put, struct oxl_edits_record *ret,
                                         struct oxl_error *err);

/* Member "edits" of an intent's "index". */
void oxl_edits_record_set(struct oxl_json *j, const struct oxl_edits_record *r);
/* JOURNAL_DAMAGED. */
OXL_MUST_CHECK int oxl_edits_record_get(const struct oxl_json *j, enum oxl_algo blob_algo, struct oxl_edits_record *ret,
                                        struct oxl_error *err);
/* One edit; it and its path are borrowed for the call. < 0 stops and is forwarded. */
typedef int oxl_edit_fn(void *ctx, const struct oxl_edit *edit, struct oxl_error *err);
/* Hands out the edits of @r, in order. JOURNAL_DAMAGED, OBJECT_*. */
OXL_MUST_CHECK int oxl_edits_each(struct oxl_objects *o, enum oxl_algo blob_algo, const struct oxl_edits_record *r,
                                  oxl_edit_fn *fn, void *ctx, struct oxl_error *err);
/* Adds the edits of @r. JOURNAL_DAMAGED, OBJECT_*. */
OXL_MUST_CHECK int oxl_edits_read(struct oxl_edits *e, struct oxl_objects *o, enum oxl_algo blob_algo,
                                  const struct oxl_edits_record *r, struct oxl_error *err);

#endif
