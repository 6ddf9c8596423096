/* SPDX-License-Identifier: MIT */
/*
 * Byte-range locks that belong to the open file description (F_OFD_SETLK), never flock, never classic fcntl locks.
 *
 * They are shared by dup() and by forked children, conflict between two open() calls even of one process, and vanish
 * with the last close, that is: with the process, however it dies. That makes a held lock the proof that its owner
 * lives. The proof is read with oxl_lock_probe() through a *separately opened* descriptor: a lock never conflicts with
 * its own description, and probing by taking the lock would itself look like an owner.
 */
#ifndef OXL_OS_LOCK_H
#define OXL_OS_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#include <oxenlite/error.h>

enum oxl_lock_kind {
        OXL_LOCK_SHARED,    /* needs a descriptor open for reading */
        OXL_LOCK_EXCLUSIVE, /* needs one open for writing */
};

enum { OXL_LOCK_BUSY = 1 };

/* Locks @len bytes from @start (0: to the end). 0 got it; OXL_LOCK_BUSY (> 0) somebody else holds it, only without
 * @wait. With @wait it blocks, through signals. FILE_LOCK with @path in the message. */
OXL_MUST_CHECK int oxl_lock_set(int fd, uint64_t start, uint64_t len, enum oxl_lock_kind kind, bool wait,
                                const char *path, struct oxl_error *err);

/* Gives back what this description holds of the range. FILE_LOCK. */
OXL_MUST_CHECK int oxl_lock_drop(int fd, uint64_t start, uint64_t len, const char *path, struct oxl_error *err);

/* Does another open file description hold any lock, shared or exclusive, in the range? Takes none. FILE_LOCK: unknown,
 * which is never the same as free. */
OXL_MUST_CHECK int oxl_lock_probe(int fd, uint64_t start, uint64_t len, const char *path, bool *ret_held,
                                  struct oxl_error *err);

#endif
