/* SPDX-License-Identifier: MIT */
/*
 * What add and commit share: paths of the working tree become stored blobs and a pending edit of the index. Nothing is visible until
 * the caller publishes objects, then index. Needs the writer lock.
 */
#ifndef OXL_REPO_CHANGES_H
#define OXL_REPO_CHANGES_H

#include "repo/index.h"
#include "repo/intake.h"
#include "repo/worktree.h"

struct oxl_changes {
        struct oxl_repo *repo;
        struct oxl_objects *objects; /* borrowed from the repository */
        struct oxl_index *index;
        struct oxl_index_edit *edit;
        struct oxl_put *put;
        struct oxl_intake *intake; /* files on their way into `put` and `edit` */
        uint64_t read_ahead_below; /* bytes; larger ones are loose, or too large to wait in memory */
        struct oxl_add_result count;
        uint64_t looked_at;   /* paths, for progress */
        uint64_t ahead_bytes; /* of the large file that is being stored, for progress */
};
#define OXL_CHANGES_INIT { 0 }

OXL_MUST_CHECK int oxl_changes_begin(struct oxl_changes *c, struct oxl_repo *r, struct oxl_error *err);
/* Removes what was not published. Idempotent. */
void oxl_changes_done(struct oxl_changes *c);

/* Stages the file that a walk yielded, unless it equals its index entry: now, or at the latest in oxl_changes_settle. Errors of
 * oxl_worktree_store, also about files of earlier calls. */
OXL_MUST_CHECK int oxl_changes_store(struct oxl_changes *c, int dirfd, const char *name, const char *path,
                                     const struct stat *st, struct oxl_error *err);

/* After the last file: everything is in `put` and `edit`. */
OXL_MUST_CHECK int oxl_changes_settle(struct oxl_changes *c, struct oxl_error *err);

/* Stages the removal of an index entry. */
OXL_MUST_CHECK int oxl_changes_remove(struct oxl_changes *c, const struct oxl_index_entry *entry,
                                      struct oxl_error *err);

enum oxl_tracked {
        OXL_TRACKED_ALL,     /* changed content and removals */
        OXL_TRACKED_REMOVED, /* removals only */
};
/* Stages tracked paths at and below @from ("" all) as they are now. What is not in the index is not looked at. A file that became a
 * FIFO, socket or device is PATH_SPECIAL, never a removal. */
OXL_MUST_CHECK int oxl_changes_tracked(struct oxl_changes *c, const char *from, enum oxl_tracked which,
                                       struct oxl_error *err);

#endif
