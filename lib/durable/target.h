/* SPDX-License-Identifier: MIT */
/* Standalone targets: what a caller's path means, and what the options ask of the temp that will replace it. Shared by the
 * two entry points and the batch. */
#ifndef OXL_DURABLE_TARGET_H
#define OXL_DURABLE_TARGET_H

#include "durable/temp.h"

struct oxl_target {
        struct oxl_dnode *dir; /* referenced */
        char *name;            /* owned; one component in @dir */
        char *shown;           /* owned; the caller's path, for messages */
        struct stat old;       /* what is there now ... */
        bool exists;           /* ... if anything is */
};
#define OXL_TARGET_INIT { 0 }

/* Refuses options out of range: INVALID. */
OXL_MUST_CHECK int oxl_options_check(const struct oxl_atomic_options *o, const char *target, struct oxl_error *err);

/* Refuses names that cannot be a file, before anything is touched: TARGET. */
OXL_MUST_CHECK int oxl_target_check(const char *path, struct oxl_error *err);

/* Opens the parent (missing directories are made), follows or refuses a link as the options say, looks at what is there.
 * FILE_SYMLINK, FILE_STAT, DIR_OPEN, DIR_CREATE, NOMEM. */
OXL_MUST_CHECK int oxl_target_open(struct oxl_target *t, struct oxl_writer *w, const char *path,
                                   const struct oxl_atomic_options *o, struct oxl_error *err);

/* Creates the temp beside the target, with the mode that the options ask for. */
OXL_MUST_CHECK int oxl_target_temp(const struct oxl_target *t, struct oxl_writer *w, const struct oxl_atomic_options *o,
                                   struct oxl_temp *ret, struct oxl_error *err);

/* Owner, mode and time, as the options ask: after the last write, before the sync. FILE_META. */
OXL_MUST_CHECK int oxl_target_apply(const struct oxl_target *t, struct oxl_temp *temp,
                                    const struct oxl_atomic_options *o, struct oxl_error *err);

/* Renames the synced, closed temp over the target. */
OXL_MUST_CHECK int oxl_target_publish(const struct oxl_target *t, struct oxl_temp *temp,
                                      const struct oxl_atomic_options *o, struct oxl_error *err);

/* Syncs the directories of what was published. 0 durable; OXL_NOT_DURABLE (> 0) not known to be, each failure was passed
 * to the options' warn and added to *warnings; DIR_SYNC: the same with STRICT, without warnings. */
enum { OXL_NOT_DURABLE = 1 };
OXL_MUST_CHECK int oxl_target_settle(struct oxl_writer *w, const struct oxl_atomic_options *o, unsigned *warnings,
                                     struct oxl_error *err);

/* Clears away a temp and its target. False, with a warning: the temp could not be removed. */
bool oxl_target_drop(struct oxl_target *t, struct oxl_temp *temp, const struct oxl_atomic_options *o,
                     unsigned *warnings);

bool oxl_is_cancelled(const struct oxl_atomic_options *o);

#endif
