/* SPDX-License-Identifier: MIT */
/*
 * Durable changes below one directory: the only code that creates, syncs, renames, links or unlinks canonical files.
 *
 * A `struct oxl_durable` is bound to a root directory and an owner number (the temp names carry it). A file goes
 *
 *      oxl_stage_open -> oxl_stage_write ... -> oxl_stage_sync -> oxl_stage_publish -> oxl_durable_barrier
 *        [temp]                                  [temp durable]    [renamed, visible]   [name durable]
 *
 * and batches share the steps: sync many with oxl_stage_sync_many, publish many, then one barrier. Paths are relative
 * to the root, '/'-separated, without ".", "..", empty components; symlinks in them are refused.
 *
 * Invariants: every byte and every attribute is set before the temp's one fsync; nothing is renamed before that
 * fsync succeeded; after any failed fsync the object is poisoned (POISONED for every later call that writes).
 * What a crash leaves: old or new targets, whole, and temps that carry the owner number.
 * The barrier syncs, deepest first, every directory in which a canonical name changed and every ancestor that this
 * process has not yet synced (not the folder that a temp left: its name there is a dead owner's temp); "mkdir said EEXIST" is no proof of durability.
 *
 * Threads: one at a time per object. Locks: the caller holds the repository lock that guards what it changes.
 */
#ifndef OXL_DURABLE_DURABLE_H
#define OXL_DURABLE_DURABLE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include <oxenlite/atomic.h>

struct oxl_durable;
struct oxl_stage;

/* @root_fd is borrowed and must outlive the object; @root_path (copied) is for messages only.
 * @owner 0: standalone, temps hold an OFD lock of their own. NOMEM. */
OXL_MUST_CHECK int oxl_durable_new(int root_fd, const char *root_path, uint64_t owner, struct oxl_durable **ret,
                                   struct oxl_error *err);
void oxl_durable_free(struct oxl_durable *d);
bool oxl_durable_poisoned(const struct oxl_durable *d);

enum oxl_stage_flags {
        OXL_STAGE_EXECUTABLE = 1 << 0, /* mode 0777 & ~umask instead of 0666 & ~umask */
        OXL_STAGE_READ_ONLY = 1 << 1,  /* mode 0444 & ~umask: objects */
};

/* Creates the temp `<name>.oxl-<owner>-<random>.tmp` in directory @dir ("" = the root), making missing directories.
 * @name is cut to fit 255 bytes. PATH, DIR_CREATE, DIR_OPEN, FILE_CREATE, RANDOM, NOMEM, POISONED. */
OXL_MUST_CHECK int oxl_stage_open(struct oxl_durable *d, const char *dir, const char *name, unsigned flags,
                                  struct oxl_stage **ret, struct oxl_error *err);

/* The same for a symbolic link: created complete, nothing to write or sync. */
OXL_MUST_CHECK int oxl_stage_symlink(struct oxl_durable *d, const char *dir, const char *name, const char *target,
                                     struct oxl_stage **ret, struct oxl_error *err);

/* Path of the temp relative to the root; borrowed until free or publish. */
const char *oxl_stage_path(const struct oxl_stage *s);

/* The descriptor, open for reading and writing; for FICLONE, fallocate and pread. Borrowed until the next call with any
 * stage of the object: the oldest of very many open stages are closed and opened again. -1 with errno. */
int oxl_stage_fd(struct oxl_stage *s);

/* Appends; starts writeback early, every 8 MiB (sync_file_range). FILE_WRITE. */
OXL_MUST_CHECK int oxl_stage_write(struct oxl_stage *s, const void *bytes, size_t n, struct oxl_error *err);
/* Skips @n bytes as a hole; the last skip is made real by sync. */
OXL_MUST_CHECK int oxl_stage_skip(struct oxl_stage *s, uint64_t n, struct oxl_error *err);
/* Writes at a given offset below what was appended. */
OXL_MUST_CHECK int oxl_stage_write_at(struct oxl_stage *s, uint64_t at, const void *bytes, size_t n,
                                      struct oxl_error *err);
/* Bytes appended so far. */
uint64_t oxl_stage_size(const struct oxl_stage *s);

/* fsync and close, both checked. FILE_SYNC, FILE_CLOSE: the object is poisoned. A second call returns 0 at once. */
OXL_MUST_CHECK int oxl_stage_sync(struct oxl_stage *s, struct oxl_error *err);
/* The same for many: one syncfs when @n > 32 and that reports errors (sync.h), else one fsync each. */
OXL_MUST_CHECK int oxl_stage_sync_many(struct oxl_durable *d, struct oxl_stage *const *s, size_t n,
                                       struct oxl_error *err);

/* The same in two steps, between which other stages may be written: where one syncfs is enough, a thread waits for it. Only after end, of
 * the same stages, they are durable and may be published. */
OXL_MUST_CHECK int oxl_stage_sync_begin(struct oxl_durable *d, struct oxl_stage *const *s, size_t n,
                                        struct oxl_error *err);
OXL_MUST_CHECK int oxl_stage_sync_end(struct oxl_durable *d, struct oxl_stage *const *s, size_t n,
                                      struct oxl_error *err);

/* Without sync: closes only. For derived files that are verified at every read (lookup). FILE_CLOSE. */
OXL_MUST_CHECK int oxl_stage_close_derived(struct oxl_stage *s, struct oxl_error *err);

/* Renames the synced temp to @target, making missing directories. With @no_replace an existing target is
 * FILE_EXISTS. The new name is durable after oxl_durable_barrier. FILE_RENAME, FILE_EXISTS, DIR_CREATE, DIR_OPEN. */
OXL_MUST_CHECK int oxl_stage_publish(struct oxl_stage *s, const char *target, bool no_replace, struct oxl_error *err);

/* Unlinks the temp when it was not published (best effort), frees. NULL is fine. Keeps errno. */
void oxl_stage_free(struct oxl_stage *s);
/* Frees without unlinking: the temp stays, named in a durable intent. */
void oxl_stage_leave(struct oxl_stage *s);

/* Syncs every directory changed since the last barrier. DIR_SYNC: poisoned; names are visible, durability unknown. */
OXL_MUST_CHECK int oxl_durable_barrier(struct oxl_durable *d, struct oxl_error *err);

/* Marks the parent of @path (and its ancestors up to the root) for the next barrier, as if a name in it had just
 * changed: for names that another, perhaps dead, process made. DIR_OPEN when it does not exist. */
OXL_MUST_CHECK int oxl_durable_mark(struct oxl_durable *d, const char *path, struct oxl_error *err);

/* Takes the names of @path and of its ancestors below the root as durable: only for directories that were synced before the
 * root had its name, such as those that init makes. Saves their syncs. DIR_OPEN. */
OXL_MUST_CHECK int oxl_durable_trust(struct oxl_durable *d, const char *path, struct oxl_error *err);

/* One small file, whole: stage, write, sync, publish, barrier. Strict: DIR_SYNC is an error. */
OXL_MUST_CHECK int oxl_durable_write(struct oxl_durable *d, const char *target, const void *bytes, size_t n,
                                     struct oxl_error *err);

/* --- what recovery needs ------------------------------------------------------------------------------------- */

/* Opens @path for reading without following symlinks, fsyncs it and drops its pages from the cache, so that what is
 * read next comes from the medium (fsyncgate). FILE_OPEN, FILE_SYNC. */
OXL_MUST_CHECK int oxl_durable_reopen(struct oxl_durable *d, const char *path, int *ret_fd, struct oxl_error *err);

/* Renames an existing file (a dead owner's durable temp) to @target. Barrier as above. FILE_RENAME, DIR_CREATE. */
OXL_MUST_CHECK int oxl_durable_rename(struct oxl_durable *d, const char *from, const char *target,
                                      struct oxl_error *err);

/* Gives the regular file @from a second name @to, making missing directories. Barrier as above. FILE_LINK (EEXIST: there is a @to;
 * EPERM, EMLINK, EOPNOTSUPP: this file system cannot), DIR_OPEN, DIR_CREATE. */
OXL_MUST_CHECK int oxl_durable_link(struct oxl_durable *d, const char *from, const char *to, struct oxl_error *err);

/* Unlinks @path if it still has inode (@dev, @ino). 0 gone; 1 it was another file or absent already, nothing done.
 * FILE_REMOVE. Barrier as above. */
OXL_MUST_CHECK int oxl_durable_unlink(struct oxl_durable *d, const char *path, dev_t dev, ino_t ino,
                                      struct oxl_error *err);

/* Removes the directory @path if it is empty. 0 gone, or absent already; 1 not empty. FILE_REMOVE. Barrier as above. */
OXL_MUST_CHECK int oxl_durable_rmdir(struct oxl_durable *d, const char *path, struct oxl_error *err);

/* Makes directory @path (and parents). 0 also when it exists. Barrier as above. DIR_CREATE. */
OXL_MUST_CHECK int oxl_durable_mkdir(struct oxl_durable *d, const char *path, struct oxl_error *err);

/* Renames directory @from to @target without replacing, after the caller made its content durable; barrier as above.
 * FILE_EXISTS, FILE_RENAME. */
OXL_MUST_CHECK int oxl_durable_rename_dir(struct oxl_durable *d, const char *from, const char *target,
                                          struct oxl_error *err);

/* --- sweeping: mechanism ------------------------------------------------------------------------------------- */

/* Says whether the owner number in a temp's name lives. Must not take a lock. */
typedef enum oxl_temp_verdict oxl_owner_alive_fn(void *ctx, uint64_t owner);

/* What was found and decided; borrowed for the call. */
struct oxl_sweep_seen {
        const char *path; /* relative to the root */
        enum oxl_temp_verdict verdict;
        uint64_t owner;                 /* from the name; 0: standalone or foreign */
        uint64_t bytes;                 /* allocated */
        bool foreign;                   /* Oxen's */
        bool young;                     /* foreign, UNKNOWN because of its age alone */
        int os;                         /* errno of a question that failed, of UNKNOWN; 0: none did */
        const struct oxl_error *failed; /* DEAD, but it could not be removed */
};
/* < 0 stops the sweep and is returned. */
typedef int oxl_sweep_seen_fn(void *ctx, const struct oxl_sweep_seen *seen, struct oxl_error *err);

/* Hears the names (each ended by NUL, @n bytes in all) that are judged next, before any of them is. */
typedef int oxl_sweep_batch_fn(void *ctx, const char *names, size_t n, struct oxl_error *err);

struct oxl_sweep_options {
        oxl_owner_alive_fn *owner_alive; /* for owners other than 0 */
        oxl_sweep_batch_fn *batch;       /* may be NULL */
        oxl_sweep_seen_fn *seen;         /* each temp name found, after the decision; may be NULL */
        void *ctx;
        uid_t uid;  /* only files of this user are touched */
        bool links; /* symbolic links too: a restore's own temps, in folders that its intent names; never of owner 0 */
        bool foreign;  /* Oxen's temps too: by a write lease, and a day of age */
        bool no_locks; /* other machines may hold locks here that we cannot see: a temp's own lock proves nothing */
        bool no_lease; /* nor does a lease */
        bool dry_run;  /* decide and report, remove nothing */
};

/* Sweeps the directory @dir below the root, not its subfolders: exact grammar, regular file, nlink 1, @uid, owner
 * proven dead, inode re-checked, unlink. Adds to *ret. */
OXL_MUST_CHECK int oxl_durable_sweep(struct oxl_durable *d, const char *dir, const struct oxl_sweep_options *options,
                                     struct oxl_sweep_report *ret, struct oxl_error *err);

#endif
