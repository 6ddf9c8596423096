/* SPDX-License-Identifier: MIT */
/*
 * Locks of a repository, and who lives: OFD byte ranges in `.oxen-lite/locks`.
 *
 *   byte 0 writer, 1 gc, 2 db (the journal's), taken in this order; byte 2^62 + k: owner k, one random number per
 *   open-for-writing repository object, held from before its first temp until it closes.
 *
 * Liveness of another owner is asked through a separately opened read-only descriptor (F_OFD_GETLK), never by taking its
 * byte. `owners/<16 hex>` tells people who that is; it proves nothing. After locking, the descriptor is compared with the name's
 * inode: a replaced `locks` file is an error.
 * What a crash leaves: no lock (the kernel drops them), and one owners/ file, removed by the next sweep.
 */
#ifndef OXL_REPO_OWNER_H
#define OXL_REPO_OWNER_H

#include <stdint.h>

#include <oxenlite/atomic.h>

#define OXL_LOCK_WRITER 0
#define OXL_LOCK_GC 1
#define OXL_LOCK_DB 2
#define OXL_LOCK_OWNER_BASE (UINT64_C(1) << 62)

struct oxl_owner;

/* Opens `locks` below @root_fd, draws a number, locks its byte, writes owners/<id>. FILE_OPEN, FILE_LOCK, RANDOM. */
OXL_MUST_CHECK int oxl_owner_new(int root_fd, const char *command, struct oxl_owner **ret, struct oxl_error *err);
/* Releases everything and removes owners/<id>. NULL is fine. */
void oxl_owner_free(struct oxl_owner *o);
/* From now on free leaves owners/<id>, so that everybody takes us for dead: an intent of ours has no outcome. */
void oxl_owner_leave_file(struct oxl_owner *o);
uint64_t oxl_owner_number(const struct oxl_owner *o);
/* The descriptor of `locks`, for the journal's db lock. Borrowed. */
int oxl_owner_fd(const struct oxl_owner *o);

/* Takes byte @which, @exclusive or shared, waiting at most @wait_ms (< 0: for ever); polls @cancel. LOCKED names the holder
 * from owners/ as far as known ("pid 123, oxen-lite commit, since …"); CANCELLED. */
OXL_MUST_CHECK int oxl_owner_lock(struct oxl_owner *o, unsigned which, bool exclusive, int64_t wait_ms,
                                  const atomic_bool *cancel, struct oxl_error *err);
void oxl_owner_unlock(struct oxl_owner *o, unsigned which);
bool oxl_owner_holds(const struct oxl_owner *o, unsigned which);

/* `gc` shared for who only reads, without an owner: *ret_fd is a descriptor of `locks` that holds the byte until it is closed; opened for
 * reading, so it works on a read-only mount. -1: there is no lock file, or the file system knows no locks; no gc can run either.
 * Never in a process that holds `gc` exclusively. LOCKED names the holder; CANCELLED, FILE_OPEN, FILE_LOCK. */
OXL_MUST_CHECK int oxl_owner_lock_gc_shared(int root_fd, int64_t wait_ms, const atomic_bool *cancel, int *ret_fd,
                                            struct oxl_error *err);

/* When *err is LOCKED, says in it who may hold `db`: the living owners, the one that holds `writer` if there is one, and whether it
 * is stopped. For people: the journal itself cannot know. @self: our own number, or 0. */
void oxl_owner_explain_db(int root_fd, uint64_t self, struct oxl_error *err);

/* Who is @number? DEAD only when the kernel says that nobody holds its byte and owners/<id>, if present, names this machine;
 * a file naming another machine, or any error: UNKNOWN. Our own number: ALIVE. */
enum oxl_temp_verdict oxl_owner_verdict(int root_fd, uint64_t number);

enum oxl_owner_record {
        OXL_OWNER_NO_RECORD = 0,
        OXL_OWNER_HERE,       /* of this machine, as far as it says; its number was drawn for this repository */
        OXL_OWNER_ELSEWHERE,  /* of another machine */
        OXL_OWNER_UNREADABLE, /* there is one */
};
/* What owners/<number> says. @ret_who, for people: "pid 4711 (oxen-lite commit)", or "its process". */
enum oxl_owner_record oxl_owner_record(int root_fd, uint64_t number, char *ret_who, size_t size);

/* Removes owners/ files of the dead. Best effort; returns the number removed. */
uint64_t oxl_owner_sweep(int root_fd);
/* The same for those of the dead that @wanted says yes to. */
typedef bool oxl_owner_wanted_fn(void *ctx, uint64_t number);
uint64_t oxl_owner_sweep_some(int root_fd, oxl_owner_wanted_fn *wanted, void *ctx);

#endif
