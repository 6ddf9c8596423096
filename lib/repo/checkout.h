/* SPDX-License-Identifier: MIT */
/*
 * Writing files of the store below a folder, in batches: what restore and switch share. A batch has two halves: while the sync
 * of one goes on in a thread of its own, the temps of the other are written; no file gets its name before the sync of its half
 * said that it is durable. A file is replaced only by bytes that hashed to their name; a damaged blob is named, its file left
 * as it was, and the others written.
 * What is replaced or removed is in the store before: a file with changes is stored, and of one without the blob is read and hashed
 * first, because a damaged blob would make the file the only good copy. The cost: as many bytes are read from the store as the files
 * hold that go. In the cache that is 0.1 s for 10,000 files of 4 KiB and 0.6 s for a GiB, little beside the syncs of a switch; from the
 * medium it is its reading speed, and most of the time of an rm of large files, which only unlinked before.
 * A file that changes between the look at it and the rename stays, with a notice, except in the microseconds between the last look
 * (an lstat) and the rename itself: no system call renames over a file only if it is a certain one.
 * What a crash leaves: some files new, the others old, each whole, and temps that carry our owner number.
 * Needs the writer lock (but see destination.h). About 700 KiB: on the heap.
 */
#ifndef OXL_REPO_CHECKOUT_H
#define OXL_REPO_CHECKOUT_H

#include "objects/ahead.h"
#include "repo/destination.h"
#include "repo/edits.h"

#define OXL_CHECKOUT_BATCH 4096      /* two halves: one is written while the other is synced */
#define OXL_CHECKOUT_FOLDERS 4096    /* that wait for a barrier */
#define OXL_CHECKOUT_BATCH_ALONE 128 /* without an owner number each temp holds a descriptor */

/* Which file was written, for the stat cache: all zero when it is not known. */
struct oxl_written {
        uint64_t ino;
        int64_t mtime_s;
        uint32_t mtime_ns;
};

/* What was in a file's place when it was looked at. */
struct oxl_seen {
        bool there;
        dev_t dev;
        ino_t ino;
        mode_t mode;
        off_t size;
        struct timespec mtime, ctime;
};

struct oxl_checkout_item {
        struct oxl_stage *stage; /* NULL: its blob is being read, or is damaged */
        char *target;
        struct oxl_digest id;
        enum oxl_entry_kind kind;
        uint64_t size;
        struct oxl_seen seen;
};

struct oxl_checkout {
        struct oxl_repo *repo;
        struct oxl_objects *objects;
        struct oxl_destination dest;
        const char *phase;     /* for progress: "restoring" */
        uint64_t total;        /* files to be written, 0: not known */
        uint64_t total_bytes;  /* their bytes; 0: not known */
        uint64_t part_bytes;   /* of the file that is being written, for progress */
        uint64_t files, bytes; /* written */
        uint64_t kept;         /* blobs stored of files that are replaced */
        struct oxl_buf told;   /* what oxl_checkout_tell_kept says: struct told of checkout.c, each with its path */
        uint64_t secured;      /* files of which the blob was verified */
        uint64_t secured_bytes;
        bool changed;            /* a file of the destination was written or removed */
        struct oxl_put *put;     /* they go here; NULL until the first */
        struct oxl_ahead *ahead; /* reads blobs of the batch; NULL: each is read when it is written */
        struct oxl_error damage; /* the first damaged blob */
        char *swept;             /* last folder swept */
        struct oxl_checkout_item batch[OXL_CHECKOUT_BATCH];
        size_t pending, syncing; /* files in the batch; the first of them, whose sync has begun */
        size_t folders;          /* changed since the last barrier, about */
};

/* On zeroed memory. Opens no destination. Blobs are read one by one unless oxl_checkout_read_ahead says otherwise. */
OXL_MUST_CHECK int oxl_checkout_init(struct oxl_checkout *c, struct oxl_repo *r, const char *phase,
                                     struct oxl_error *err);
/* From now on small blobs are read by a crew, and written by a later call: what fails with a file may be said by the write of another, or
 * by flush. For those whom the first error stops. */
OXL_MUST_CHECK int oxl_checkout_read_ahead(struct oxl_checkout *c, struct oxl_error *err);
/* Removes temps that were not published. Idempotent. */
void oxl_checkout_done(struct oxl_checkout *c);
void oxl_checkout_drop_batch(struct oxl_checkout *c);
/* For recovery, of what failed with @k at @path (NULL: folders): what the user's folder does not allow (permissions, space, something else
 * in the place) must not keep the whole repository from being written. 0: said, and left alone, as are the files that were being written
 * with it; nothing is lost by that. Else @k, and @why moves to @err: lack of memory or descriptors, a failed sync, the store's own trouble. */
OXL_MUST_CHECK int oxl_checkout_leave(struct oxl_checkout *c, const char *path, int k, struct oxl_error *why,
                                      struct oxl_error *err);

/* Stores the file @path that is about to go; oxl_checkout_tell_kept says under which name it can be had again, and @what happened to
 * it: "overwritten". *ret_kept: what was stored, for the intent. Durable after oxl_checkout_keep_end. */
OXL_MUST_CHECK int oxl_checkout_keep(struct oxl_checkout *c, const char *path, const char *what,
                                     struct oxl_state *ret_kept, struct oxl_error *err);
/* The same for a file that equals the blob @id, unless that can be read and is good. @size: of the file, for progress. */
OXL_MUST_CHECK int oxl_checkout_secure(struct oxl_checkout *c, const char *path, const struct oxl_digest *id,
                                       uint64_t size, const char *what, struct oxl_error *err);
/* Can @item be written? 0; 1: its blob is missing or damaged, which *ret_damage (the first of all) and a notice say. FILE_*: not
 * known. */
OXL_MUST_CHECK int oxl_checkout_verify(struct oxl_checkout *c, const struct oxl_tree_item *item,
                                       struct oxl_error *ret_damage, struct oxl_error *err);
/* 0: the blob can be read and is good; 1: missing or damaged. FILE_*: not known. */
OXL_MUST_CHECK int oxl_checkout_blob_good(struct oxl_checkout *c, const struct oxl_digest *id, struct oxl_error *err);
OXL_MUST_CHECK int oxl_checkout_keep_end(struct oxl_checkout *c, struct oxl_error *err);
/* Says by a notice for each what was stored. Once it is durable and the intent that names it is: what is refused before that is not kept. */
void oxl_checkout_tell_kept(struct oxl_checkout *c);
/* The operation was aborted after that: says that the files are as they were. */
void oxl_checkout_tell_aborted(struct oxl_checkout *c);

/* Before @path is removed: 0 it is still what @st says, or gone; 1: it stays, and that was said. FILE_STAT, DIR_OPEN. */
OXL_MUST_CHECK int oxl_checkout_unchanged(struct oxl_checkout *c, const char *path, const struct stat *st,
                                          struct oxl_error *err);

/* Writes one file; half of the batch gets its names when it is full. @seen: the file that it may replace; NULL: nothing was there.
 * @ret_written may be NULL, and is with reading ahead. */
OXL_MUST_CHECK int oxl_checkout_write(struct oxl_checkout *c, const struct oxl_tree_item *item, const struct stat *seen,
                                      struct oxl_written *ret_written, struct oxl_error *err);
/* Everything that was written is durable; what is not as it was seen any more stays, with a notice. */
OXL_MUST_CHECK int oxl_checkout_flush(struct oxl_checkout *c, struct oxl_error *err);

/* For recovery: removes temps of dead owners beside @path; consecutive calls of one folder cost nothing. */
OXL_MUST_CHECK int oxl_checkout_sweep_beside(struct oxl_checkout *c, const char *path, struct oxl_error *err);

/* 0, or the first damage. */
OXL_MUST_CHECK int oxl_checkout_end(struct oxl_checkout *c, struct oxl_error *err);

#endif
