/* SPDX-License-Identifier: MIT */
/*
 * The model disk: a file system in memory behind `struct oxl_sys`, which knows at every moment what a power cut could leave,
 * and tries all of it.
 *
 *      struct modelfs *fs = modelfs_new(MODELFS_P0);
 *      modelfs_mount(fs);                      oxl_sys now leads here; AT_FDCWD and "/" are its root
 *      ... prepare files ...
 *      modelfs_checkpoint(fs);                 what exists now is durable
 *      modelfs_watch(fs, oracle, ctx);         from now on every change is followed by all crashes
 *      ... the code under test ...
 *      modelfs_ack(fs);                        what was asked for has been acknowledged
 *      assert_int_equal(modelfs_violations(fs), 0);
 *      modelfs_free(fs);                       unmounts
 *
 * Every change is an operation in a log: data operations (write, split at 4096 bytes; size; attributes) belong to an
 * inode, name operations (add, delete, rename) to a directory. fsync of a file makes its data operations durable, fsync of
 * a directory its name operations, and neither more; syncfs all. A crash state is the last checkpoint, plus all durable
 * operations, plus a selection of the others that the profile allows, applied in order. Sizes and data are separate
 * operations, so a file may come back with its size and zeros; one write may also be torn at 512 bytes.
 *
 * After each operation all selections are tried: every subset of up to 12 pending operations, else all prefixes, all
 * but one, only one, all but two, and random ones from a seed. States equal to an earlier one are skipped. For each
 * state the oracle runs with the state mounted as a fresh disk: no locks, no descriptors, as after a reboot. It may change
 * it: that is how recovery is tested.
 *
 * Threads: none. One disk is mounted at a time; the oracle's is mounted and unmounted around it.
 */
#ifndef OXL_TESTS_MODELFS_H
#define OXL_TESTS_MODELFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "os/sys.h"

enum modelfs_profile {
        MODELFS_P0, /* any subset of the pending operations */
        MODELFS_P1, /* the same, and rename is three operations: not what POSIX file systems do */
        MODELFS_P2, /* names in order, data any: XFS's zero-length files */
        MODELFS_P5, /* in order: the friendliest disk there is */
};

struct modelfs;

/* NULL: fine. Else the name of the broken promise, a static text. */
typedef const char *modelfs_oracle_fn(void *ctx, unsigned acked);

/* Which selections are tried when there are more than `exhaustive` pending operations: always all prefixes, all but one, and only
 * one; and of clusters, each either one name operation or all data operations of a file, all subsets of up to `clusters`. */
struct modelfs_limits {
        unsigned exhaustive;
        unsigned clusters;
        unsigned random;
        bool pairs; /* all but two */
        bool torn;
};

struct modelfs_seen; /* states that need not be tried again */

/* The process has just been killed: the clone of its disk is mounted, with what was pending still pending, no locks and no
 * descriptors. @op counts operations. */
typedef void modelfs_kill_fn(void *ctx, struct modelfs *clone, uint64_t op);

struct modelfs *modelfs_new(enum modelfs_profile profile);
void modelfs_free(struct modelfs *fs);

void modelfs_mount(struct modelfs *fs);
void modelfs_unmount(void);

/* The file system calls of the mounted disk, to be wrapped by a fault table. */
extern const struct oxl_sys modelfs_sys;

void modelfs_checkpoint(struct modelfs *fs);
void modelfs_watch(struct modelfs *fs, modelfs_oracle_fn *oracle, void *ctx);
/* Tries the crashes of this moment, and counts one acknowledgement more for all later ones. */
void modelfs_ack(struct modelfs *fs);
/* As if @n acknowledgements had been given: for a disk that goes on from another. */
void modelfs_set_acked(struct modelfs *fs, unsigned n);
void modelfs_limit(struct modelfs *fs, struct modelfs_limits limits);
/* The first broken promise ends it: nothing more is tried. */
void modelfs_stop_at_first(struct modelfs *fs);
/* Shared by several disks, so that none judges again what another judged; lives longer than they do. */
struct modelfs_seen *modelfs_seen_new(void);
void modelfs_seen_free(struct modelfs_seen *seen);
void modelfs_share_seen(struct modelfs *fs, struct modelfs_seen *seen);
/* Notes @hash. Was it there? */
bool modelfs_seen_before(struct modelfs_seen *seen, uint64_t hash);
/* Each disk that the oracle is shown is noted in @seen, by content; and so are those that come after it. */
void modelfs_count_in(struct modelfs *fs, struct modelfs_seen *seen);
uint64_t modelfs_fresh(const struct modelfs *fs); /* how many this disk noted first */
uint64_t modelfs_seen_count(const struct modelfs_seen *seen);
/* Other random selections than those of seed 0. */
void modelfs_seed(struct modelfs *fs, uint64_t seed);

/*
 * One crash again. Within the oracle, modelfs_point() says which one it is looking at (to be freed):
 *
 *      cut 143 acked 0 lost 138,140-142 torn 137@512
 *
 * after operation 143 and no acknowledgement; of what was pending these numbers did not reach the disk ("0": all did), and of 137 only
 * the first 512 bytes. A disk of the same history that is given the point tries this crash and no other.
 */
char *modelfs_point(const struct modelfs *fs);
bool modelfs_replay(struct modelfs *fs, const char *point); /* false: not a point */
bool modelfs_replayed(const struct modelfs *fs);            /* has it come? */
/* From now on operations are noted; at each crash that is tried, what became of them is said. */
void modelfs_tell(struct modelfs *fs, FILE *out);
/* The same without a crash. */
void modelfs_tell_now(const struct modelfs *fs);
/* Sizes and paths of all that is there; the disk is mounted. */
void modelfs_say_tree(const struct modelfs *fs, FILE *out);

/* After every operation: the process is killed, the machine goes on. */
void modelfs_watch_kills(struct modelfs *fs, modelfs_kill_fn *kill, void *ctx);
/* The disk as another process finds it after this one was killed now. */
struct modelfs *modelfs_clone(const struct modelfs *fs);

/* The disk that is mounted, and a hash of all that it holds. */
struct modelfs *modelfs_current(void);
uint64_t modelfs_hash(const struct modelfs *fs);
/* The same, and of what of it is on the disk: a sync changes it, and so does one that fails. */
uint64_t modelfs_hash_pending(const struct modelfs *fs);
/* Called when another boot or process takes over; for state outside the disk (SQLite's generator). */
extern void (*modelfs_on_switch)(void);
/* Numbers of this boot or process: different ones for the next. */
uint64_t modelfs_generation(const struct modelfs *fs);
/* fstatfs says NFS. */
void modelfs_set_network(struct modelfs *fs);
/* Calls @fn with the path of everything there is. */
void modelfs_each(const struct modelfs *fs, void (*fn)(void *ctx, const char *path), void *ctx);
/* Operations so far. */
uint64_t modelfs_ops(const struct modelfs *fs);
/* The last operation, in words; to be freed. */
char *modelfs_last(const struct modelfs *fs);

/* No more crashes. */
void modelfs_unwatch(struct modelfs *fs);

/* The @n-th fsync, fdatasync or syncfs from now (1: the next) fails with EIO; its pages are called clean and are never
 * written. */
void modelfs_fail_sync(struct modelfs *fs, unsigned n);

/* Has that sync not come yet? */
bool modelfs_sync_will_fail(const struct modelfs *fs);

uint64_t modelfs_states(const struct modelfs *fs); /* different crash states that the oracle saw */
uint64_t modelfs_violations(const struct modelfs *fs);
const char *modelfs_first_violation(const struct modelfs *fs); /* NULL: none */
uint64_t modelfs_first_violation_op(const struct modelfs *fs);
unsigned modelfs_open_descriptors(const struct modelfs *fs);

/* Whole-file helpers on whatever oxl_sys is. Return false when a call fails. */
bool modelfs_put(const char *path, const void *bytes, size_t n, mode_t mode);
bool modelfs_put_dir(const char *path);
/* The size, at most @max; -1 with errno. */
ssize_t modelfs_get(const char *path, void *buf, size_t max);

#endif
