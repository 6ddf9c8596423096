/* SPDX-License-Identifier: MIT */
/*
 * What can this file system do? Tried, not looked up: in a folder made for it, which is removed in the end.
 *
 * What a crash leaves: that folder, `oxen-lite-doctor.oxl-<0>-<random>.tmp`, with a few small files; nothing looks at it, and it
 * may be deleted.
 */
#ifndef OXL_DURABLE_TRIAL_H
#define OXL_DURABLE_TRIAL_H

#include <stdatomic.h>
#include <stdbool.h>

#include <oxenlite/error.h>

enum oxl_trial_id {
        OXL_TRIAL_RENAME =
                0, /* over a file that somebody has open: he keeps the old bytes, everybody else gets the new ones */
        OXL_TRIAL_NO_REPLACE, /* RENAME_NOREPLACE */
        OXL_TRIAL_FILE_SYNC,
        OXL_TRIAL_DIR_SYNC,
        OXL_TRIAL_SYNCFS,
        OXL_TRIAL_UNNAMED, /* O_TMPFILE */
        OXL_TRIAL_LOCKS,   /* OFD locks, seen through a second open */
        OXL_TRIAL_LEASE,
        OXL_TRIAL_DIRECT, /* O_DIRECT */
        OXL_TRIAL_REFLINK,
        OXL_TRIAL_LINK,
        OXL_TRIAL_SYMLINK,
        OXL_TRIAL_HOLES,
        OXL_TRIAL_BYTES,    /* names that are not UTF-8 */
        OXL_TRIAL_CASE,     /* "a" and "A" are two names */
        OXL_TRIAL_CONFINED, /* openat2 */
        OXL_TRIALS,
};

struct oxl_trial {
        bool works;
        int os; /* errno of what failed; 0 when it works, or did something else than it should */
};

/* @dirfd is the folder @dir. DOCTOR_PROBE: no folder can be made in it; CANCELLED. */
OXL_MUST_CHECK int oxl_trials_run(int dirfd, const char *dir, const atomic_bool *cancel,
                                  struct oxl_trial ret[OXL_TRIALS], struct oxl_error *err);

#endif
