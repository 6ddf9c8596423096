/* SPDX-License-Identifier: MIT */
/*
 * The object store: blobs, trees and commits by digest, whatever holds them (loose file or pack).
 *
 * Reading never trusts a name: bytes are handed out only after they hashed to it; when a copy is damaged the next copy
 * is tried. Writing goes through a put session, which leaves everything durable but unnamed until it is published:
 *
 *      oxl_put_begin -> oxl_put_blob_* / oxl_put_object ... -> oxl_put_finish -> (intent) -> oxl_put_publish -> barrier
 *
 * What a crash leaves: temps in versions/tmp (swept), or whole objects that nothing refers to.
 * I/O errors are never taken for damage: FILE_OPEN and FILE_READ are forwarded, OBJECT_CORRUPT means that bytes were read
 * and are wrong in every copy, OBJECT_MISSING that no copy has a name.
 *
 * Threads: one at a time per object store. Locks: put sessions need the writer lock.
 */
#ifndef OXL_OBJECTS_OBJECTS_H
#define OXL_OBJECTS_OBJECTS_H

#include <oxenlite/atomic.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "digest/seal.h"
#include "durable/durable.h"

enum oxl_kind {
        OXL_KIND_FILLER = 0,
        OXL_KIND_BLOB = 1,
        OXL_KIND_TREE = 2,
        OXL_KIND_COMMIT = 3,
};

#define OXL_METADATA_MAX (2u << 20) /* bytes of a tree node or commit */
#define OXL_PACK_THRESHOLD_DEFAULT (4u << 20)
#define OXL_PACK_THRESHOLD_MAX (64u << 20)

struct oxl_objects;
struct oxl_put;

/* Hears of each failure of the medium, also when another copy was good; the caller of the search learns only what is left. */
typedef void oxl_unreadable_fn(void *ctx, const struct oxl_error *why);

struct oxl_objects_config {
        int root_fd; /* .oxen-lite; borrowed */
        struct oxl_repo_id id;
        enum oxl_algo blob_algo;
        uint64_t pack_threshold;       /* bytes */
        bool reflink;                  /* try FICLONE */
        struct oxl_durable *durable;   /* borrowed; NULL: read only */
        oxl_unreadable_fn *unreadable; /* may be NULL */
        void *ctx;                     /* of unreadable */
};

OXL_MUST_CHECK int oxl_objects_open(const struct oxl_objects_config *config, struct oxl_objects **ret,
                                    struct oxl_error *err);
void oxl_objects_free(struct oxl_objects *o);

/* Digest of @bytes as an object of @kind in this store. */
struct oxl_digest oxl_objects_digest(const struct oxl_objects *o, enum oxl_kind kind, const void *bytes, size_t n);

/* 0: some copy has a name (not verified); 1: none. */
OXL_MUST_CHECK int oxl_objects_exists(struct oxl_objects *o, enum oxl_kind kind, const struct oxl_digest *id,
                                      struct oxl_error *err);

/* Reads a whole object of at most @max bytes, verified. OBJECT_MISSING, OBJECT_CORRUPT, LIMIT, FILE_*, NOMEM. */
OXL_MUST_CHECK int oxl_objects_read(struct oxl_objects *o, enum oxl_kind kind, const struct oxl_digest *id, size_t max,
                                    struct oxl_buf *ret, struct oxl_error *err);

/* Receives consecutive pieces; @bytes NULL means @n zero bytes that are a hole. < 0 stops the stream and is forwarded. */
typedef int oxl_sink_fn(void *ctx, const void *bytes, size_t n, struct oxl_error *err);

/* Streams a blob in a fixed amount of memory. Bytes reach the sink BEFORE the digest of the whole is known: the sink must
 * not publish before 0 is returned. The first copy that verifies on a reading pass ahead of the stream is used, so a damaged
 * copy with a good twin never reaches the sink; OBJECT_CORRUPT after the sink saw bytes means the medium changed its
 * answer between the passes. @sink NULL: verify only. */
OXL_MUST_CHECK int oxl_objects_stream(struct oxl_objects *o, const struct oxl_digest *id, oxl_sink_fn *sink, void *ctx,
                                      const atomic_bool *cancel, struct oxl_error *err);

/* --- put sessions --- */

OXL_MUST_CHECK int oxl_put_begin(struct oxl_objects *o, struct oxl_put **ret, struct oxl_error *err);
/* For progress: @tick hears of the bytes of a large file while they are read. In the thread that puts. */
typedef void oxl_put_tick_fn(void *ctx, uint64_t bytes);
void oxl_put_set_tick(struct oxl_put *p, oxl_put_tick_fn *tick, void *ctx);

/* From now on also what the store has already is written once more: an old copy that nothing refers to is as old as its file for gc,
 * and may go at once. */
void oxl_put_set_fresh(struct oxl_put *p);

enum oxl_put_outcome {
        OXL_PUT_STORED = 0,
        OXL_PUT_EXISTED = 1, /* a copy was found, read and verified (XXH3: bytes compared) */
        OXL_PUT_HEALED =
                2, /* copies were found, all damaged; a good one was stored, a damaged loose file kept in quarantine */
};

/* Stores @bytes (below 64 MiB) as an object. > 0: enum oxl_put_outcome. HASH_COLLISION (XXH3-128 only). */
OXL_MUST_CHECK int oxl_put_object(struct oxl_put *p, enum oxl_kind kind, const void *bytes, size_t n,
                                  struct oxl_digest *ret_id, struct oxl_error *err);

/* The same for a blob whose digest @id the caller has computed from these very bytes. @name is for messages. */
OXL_MUST_CHECK int oxl_put_blob(struct oxl_put *p, const void *bytes, size_t n, const struct oxl_digest *id,
                                const char *name, struct oxl_error *err);

/* Stores a verified object once more, whatever the store has of it: for packs that take the place of others. EXISTED: this session
 * has it. HASH_COLLISION. */
OXL_MUST_CHECK int oxl_put_again(struct oxl_put *p, enum oxl_kind kind, const void *bytes, size_t n,
                                 const struct oxl_digest *id, const char *name, struct oxl_error *err);

/* Stores the content of the regular file open at @fd: packed below pack_threshold, loose from there on (reflinked if
 * possible, holes kept). One pass. The file is examined before and after: PATH_CHANGED when it changed meanwhile.
 * @name is for messages. *ret_st is the state that was stored. > 0: enum oxl_put_outcome. CANCELLED. */
OXL_MUST_CHECK int oxl_put_file(struct oxl_put *p, int fd, const char *name, const atomic_bool *cancel,
                                struct oxl_digest *ret_id, struct stat *ret_st, struct oxl_error *err);

/* Ends writing: second copies, index, trailer; every temp synced (one syncfs for more than 32). Nothing is visible yet. */
OXL_MUST_CHECK int oxl_put_finish(struct oxl_put *p, struct oxl_error *err);

/* What publish will rename, for the intent. Valid after finish, until free; borrowed strings. */
struct oxl_put_item {
        bool loose;                /* else a pack */
        const char *temp, *target; /* relative to .oxen-lite */
        struct oxl_digest digest;  /* blob digest, or pack id */
        uint64_t size;             /* bytes of the file */
};
size_t oxl_put_items(const struct oxl_put *p, const struct oxl_put_item **ret);

/* Renames all. The caller runs oxl_durable_barrier next: it also covers the directories of objects that were only found.
 * A target that exists is replaced by the verified new bytes. FILE_RENAME. */
OXL_MUST_CHECK int oxl_put_publish(struct oxl_put *p, struct oxl_error *err);

/* Counters for reports. */
struct oxl_put_stats {
        uint64_t stored, stored_bytes; /* objects written, raw bytes */
        uint64_t existed, healed;
};
void oxl_put_get_stats(const struct oxl_put *p, struct oxl_put_stats *ret);

/* Removes unpublished temps. NULL is fine. */
void oxl_put_free(struct oxl_put *p);
/* Frees and leaves the temps: a durable intent names them. */
void oxl_put_leave(struct oxl_put *p);

/* Post-step of commit, best effort: rewrites versions/packs/lookup when FORMAT 4.4 says so. */
OXL_MUST_CHECK int oxl_objects_refresh_lookup(struct oxl_objects *o, bool force, struct oxl_error *err);
/* Rewrites it when it is there and wrong: nobody syncs it, so a power cut may have left anything under its name. */
OXL_MUST_CHECK int oxl_objects_heal_lookup(struct oxl_objects *o, struct oxl_error *err);

/* Forgets cached packs: call after other processes may have added some; readers do it by themselves before they report
 * OBJECT_MISSING. */
void oxl_objects_rescan(struct oxl_objects *o);

/* --- revisions by prefix --- */
/* Finds commits whose hex id begins with @hex (4 to 64 digits). 0: exactly one; REV ("no such" or "ambiguous"). */
OXL_MUST_CHECK int oxl_objects_find_commit(struct oxl_objects *o, const char *hex, struct oxl_digest *ret,
                                           struct oxl_error *err);

#endif
