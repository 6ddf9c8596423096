/* SPDX-License-Identifier: MIT */
/*
 * One sweep: what its files share.
 *
 *      sweeper.c       the repository: owners, intents, folders
 *      sweeper_oxen.c  Oxen's repositories and version stores
 *      run.c           proofs, counting, telling
 *
 * The mechanism (names, inodes, locks, leases, unlinking) is lib/durable's; here it is decided whom to ask and what the answer is called.
 */
#ifndef OXL_SWEEP_RUN_H
#define OXL_SWEEP_RUN_H

#include <oxenlite/sweeper.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "durable/sweep.h"
#include "os/fdio.h"
#include "os/fskind.h"

struct oxl_sweeper_run {
        const struct oxl_sweeper_options *options;
        const atomic_bool *cancel;
        oxl_sweeper_fn *fn; /* may be NULL */
        void *fn_ctx;
        struct oxl_sweeper_result result;

        dev_t dev; /* of the last folder, and what its file system can answer */
        bool dev_known;
        enum oxl_fs_kind kind;
};

OXL_MUST_CHECK int oxl_sweeper_poll(const struct oxl_sweeper_run *run, struct oxl_error *err);

/* Counts one temp and tells it. @why: for people; NULL where the proof says it all. */
OXL_MUST_CHECK int oxl_sweeper_tell(struct oxl_sweeper_run *run, const struct oxl_sweep_seen *seen,
                                    enum oxl_sweep_proof proof, const char *why, struct oxl_error *err);

/* The proof of a temp that its own lock or a lease decided; *ret_why as above, in @buf where it must be made. */
enum oxl_sweep_proof oxl_sweeper_proof_of_file(const struct oxl_sweep_seen *seen, bool network, const char **ret_why,
                                               char *buf, size_t size);

/* Sets what locks and leases are worth in the folder @dirfd. FILE_STAT with @dir. */
OXL_MUST_CHECK int oxl_sweeper_ask_fs(struct oxl_sweeper_run *run, int dirfd, const char *dir,
                                      struct oxl_sweep_options *ret, struct oxl_error *err);

/* Is the folder the working tree of another repository, ours or Oxen's, or a name that no working tree has? */
bool oxl_sweeper_is_elsewhere(int dirfd, const char *name);

/* Counts a folder that could not be listed. */
OXL_MUST_CHECK int oxl_sweeper_unreadable(struct oxl_sweeper_run *run, const char *dir, const struct oxl_error *why,
                                          struct oxl_error *err);

#endif
