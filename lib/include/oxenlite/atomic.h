/* SPDX-License-Identifier: MIT */
/*
 * The atomic-write library: replace a file whole, or not at all, and know whether it will survive a power cut.
 *
 *   static const char text[] = "hello\n";
 *   struct oxl_error err = OXL_ERROR_INIT;
 *   struct oxl_atomic_result res;
 *   if (oxl_atomic_write_to_path("notes/today.txt", text, sizeof text - 1, NULL, &res, &err) < 0) ...
 *   oxl_error_done(&err);
 *
 * Order, for every call: validate the name -> open the parent (missing ones are created) -> sibling temp, O_EXCL,
 * locked from birth -> write -> mode, owner, time -> fsync, once: it decides -> rename -> fsync the parent and each
 * level of it that is not known durable. The target is never opened for writing; nothing re-resolves a path after
 * the parent is open (chdir and a renamed parent are harmless).
 *
 * What a crash leaves: the old target or the new one, whole, and perhaps one temp `<name>.oxl-<owner>-<random>.tmp`
 * beside it, which oxl_atomic_sweep() removes as soon as its owner is proven dead.
 *
 * After a failure: `res->effect` says whether the target is unchanged. err->code is one of
 *   TARGET (bad name; nothing was created)      FILE_SYMLINK (policy REFUSE, or a loop)
 *   DIR_CREATE, DIR_OPEN, FILE_CREATE, FILE_WRITE, FILE_META, FILE_SYNC, FILE_CLOSE, FILE_RENAME, FILE_STAT
 *   FILE_EXISTS (no-replace)   READER (the reader's errno)   SIZE, DIGEST (expectation missed)
 *   FILE_OPEN, FILE_READ, FILE_LOCK, INVALID (options), UNSUPPORTED, RANDOM, NOMEM, CANCELLED: target unchanged, no temp left (unless `res->leftover`);
 *   DIR_SYNC (only with OXL_ATOMIC_STRICT): target published, durability unknown.
 * Missing parents: each level that the call made, or found made by somebody else meanwhile, is synced together with its
 * parent. A parent that existed when the call first looked is taken as durable: its maker answers for it.
 * A failed fsync is final: it is not retried and nothing is published after it.
 *
 * Threads: reentrant. Signals, umask, cwd and locale are neither used nor changed. No descriptor is inherited (O_CLOEXEC).
 */
#ifndef OXENLITE_ATOMIC_H
#define OXENLITE_ATOMIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include <oxenlite/api.h>
#include <oxenlite/cancel.h>
#include <oxenlite/digest.h>
#include <oxenlite/error.h>

OXL_BEGIN_DECLS

enum oxl_atomic_flags {
        OXL_ATOMIC_STRICT = 1 << 0,         /* an unsynced parent is the error DIR_SYNC, not a warning */
        OXL_ATOMIC_NO_REPLACE = 1 << 1,     /* FILE_EXISTS when the target exists */
        OXL_ATOMIC_PRESERVE_MODE = 1 << 2,  /* keep mode of the file being replaced */
        OXL_ATOMIC_PRESERVE_OWNER = 1 << 3, /* keep its owner and group; EPERM is FILE_META */
        OXL_ATOMIC_TRY_OWNER = 1 << 4,      /* as PRESERVE_OWNER, but EPERM is ignored */
        OXL_ATOMIC_READ_BACK = 1 << 5,      /* after fsync drop the cached pages, re-read and compare digests */
};

enum oxl_atomic_symlink {
        OXL_SYMLINK_REPLACE = 0, /* replace the link itself (default) */
        OXL_SYMLINK_FOLLOW,      /* write the file that it points to, created if dangling; at most 40 links */
        OXL_SYMLINK_REFUSE,      /* FILE_SYMLINK */
};

enum oxl_atomic_effect {
        OXL_ATOMIC_UNCHANGED = 0, /* the target is as it was */
        OXL_ATOMIC_PUBLISHED,     /* new content in place, and durable */
        OXL_ATOMIC_UNKNOWN,       /* new content in place, not known to survive a power cut */
};

/* Something that did not stop the write: called once for each parent level that could not be opened or synced,
 * and for a temp that could not be removed. @warning is borrowed for the call. */
typedef void oxl_atomic_warn_fn(void *ctx, const struct oxl_error *warning);

/* All zero is the default; sizes in bytes. */
struct oxl_atomic_options {
        unsigned flags; /* enum oxl_atomic_flags */
        enum oxl_atomic_symlink symlink;
        mode_t mode;                     /* 0: 0666; the kernel applies umask and default ACL */
        const struct timespec *mtime;    /* set on the temp, before the fsync; access time untouched */
        const struct oxl_digest *expect; /* BLAKE3 or XXH3-128 of the content, checked before publishing */
        const uint64_t *expect_bytes;    /* exact size, checked before publishing */
        uint64_t max_bytes;              /* 0: no limit */
        size_t buffer_bytes;             /* readers only; 0: 10 MiB; 4 KiB to 1 GiB */
        const atomic_bool *cancel;       /* polled between buffers and before the rename; not after it */
        oxl_atomic_warn_fn *warn;
        void *warn_ctx;
};

/* All zero before the call is not required: every field is written. */
struct oxl_atomic_result {
        enum oxl_atomic_effect effect;
        uint64_t bytes;    /* size of the published content */
        unsigned warnings; /* number of calls to warn, also counted when warn is NULL */
        bool leftover;     /* our temp could not be removed; the sweeper will */
};

/* A source of bytes. > 0: that many bytes are in @buf (at most @n). 0: the true end of input; a source that was
 * cancelled or cut off must NOT return 0. < 0: -errno; -ECANCELED is reported as CANCELLED. */
typedef ssize_t oxl_reader_fn(void *ctx, void *buf, size_t n);

/* Replaces @target with @n bytes. @options and @ret may be NULL. Expected size and digest are checked before
 * anything is created. 0: published (see ret->effect: PUBLISHED, or UNKNOWN with a warning). */
OXL_API OXL_MUST_CHECK int oxl_atomic_write_to_path(const char *target, const void *bytes, size_t n,
                                                    const struct oxl_atomic_options *options,
                                                    struct oxl_atomic_result *ret, struct oxl_error *err);

/* The same from a reader, in a fixed amount of memory (buffer_bytes; 1 MiB when that much cannot be had). */
OXL_API OXL_MUST_CHECK int oxl_atomic_write_from_reader(const char *target, oxl_reader_fn *read, void *read_ctx,
                                                        const struct oxl_atomic_options *options,
                                                        struct oxl_atomic_result *ret, struct oxl_error *err);

/* --- batches: many files, shared barriers ---------------------------------------------------------------------
 *   begin -> add ... add -> commit -> free
 * add writes the temp; commit syncs all of them (one syncfs for more than 32, Linux 5.17 or newer and a local file system), renames all,
 * then syncs each directory once. Not one transaction: a crash inside commit can leave some targets new and some
 * old, each of them whole. Holds one descriptor per file (its temp's lock, the proof that we live) and per directory, and
 * 128 more. A batch too large for the descriptor limit fails in add with FILE_CREATE (EMFILE); what was added before
 * can still be committed. What the options point to is borrowed until free; `expect`, `expect_bytes` and READ_BACK are
 * INVALID here. commit works once; after it only free does.
 */
struct oxl_batch;

OXL_API OXL_MUST_CHECK int oxl_batch_begin(const struct oxl_atomic_options *options, struct oxl_batch **ret,
                                           struct oxl_error *err);
OXL_API OXL_MUST_CHECK int oxl_batch_add(struct oxl_batch *b, const char *target, const void *bytes, size_t n,
                                         struct oxl_error *err);
/* 0: all published, see @ret_published (count; may be NULL). On error @ret_published says how many targets are new. */
OXL_API OXL_MUST_CHECK int oxl_batch_commit(struct oxl_batch *b, size_t *ret_published, struct oxl_error *err);
/* Removes the temps that were not published. NULL is fine. */
OXL_API void oxl_batch_free(struct oxl_batch *b);

/* --- temps of ours --------------------------------------------------------------------------------------------- */

/* Is @name (one component) exactly `<1 byte or more>.oxl-<16 lowercase hex>-<16 lowercase hex>.tmp`?
 * When it is, *ret_owner (may be NULL) is the owner number. */
OXL_API bool oxl_temp_name_is_ours(const char *name, uint64_t *ret_owner);

enum oxl_temp_verdict {
        OXL_TEMP_DEAD = 0, /* owner proven dead by the kernel: removable */
        OXL_TEMP_ALIVE,    /* a live process holds it */
        OXL_TEMP_UNKNOWN,  /* no proof either way: kept */
        OXL_TEMP_FOREIGN,  /* right name, but not a regular file of the expected user with one link: untouched */
};
struct oxl_sweep_report {
        uint64_t removed, kept_alive, kept_unknown, foreign; /* files */
        uint64_t removed_bytes, kept_bytes;                  /* allocated bytes */
};

/* Removes from the directory @dir the temps of standalone writers (owner 0) whose own lock is proven free.
 * Repository temps are the business of the repository's sweeper. @ret may be NULL.
 * DIR_OPEN, DIR_READ, FILE_REMOVE (the first; the rest is still swept), NOMEM. */
OXL_API OXL_MUST_CHECK int oxl_atomic_sweep(const char *dir, struct oxl_sweep_report *ret, struct oxl_error *err);

OXL_END_DECLS

#endif
