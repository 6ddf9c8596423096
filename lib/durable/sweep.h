/* SPDX-License-Identifier: MIT */
/* Sweeping by descriptor; see durable.h for the options and the rules. */
#ifndef OXL_DURABLE_SWEEP_H
#define OXL_DURABLE_SWEEP_H

#include "durable/durable.h"

/* One folder. @dirfd is borrowed; @dir ("" for the root) is put in front of the names reported. Adds to *ret. DIR_OPEN, DIR_READ,
 * FILE_REMOVE (the first; the rest is still swept), NOMEM, what a callback returns. */
OXL_MUST_CHECK int oxl_sweep_folder(int dirfd, const char *dir, const struct oxl_sweep_options *options,
                                    struct oxl_sweep_report *ret, struct oxl_error *err);

struct oxl_sweep_tree {
        struct oxl_sweep_options options; /* `enter` may change them for the folder it is asked about */
        /* Is the folder @dirfd to be swept, and what is below it? < 0 stops everything. NULL: always. */
        int (*enter)(void *ctx, int dirfd, const char *dir, const char *name, bool *ret, struct oxl_error *err);
        /* A folder could not be listed, or not to its end. NULL: such errors end the sweep. */
        int (*unreadable)(void *ctx, const char *dir, const struct oxl_error *why, struct oxl_error *err);
        void *ctx; /* of these two */
};

/* All folders at and below @dirfd, which links do not count among. Memory and descriptors are bounded by the depth; folders deeper
 * than 256 levels are unreadable (LIMIT). Errors that the callbacks do not take: as above. */
OXL_MUST_CHECK int oxl_sweep_tree(int dirfd, const char *dir, struct oxl_sweep_tree *tree, struct oxl_sweep_report *ret,
                                  struct oxl_error *err);

#endif
