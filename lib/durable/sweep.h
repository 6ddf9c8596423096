/* SPDX-License-Identifier: MIT */
/* One folder of the sweep, by descriptor; see durable.h for the options and the rules. */
#ifndef OXL_DURABLE_SWEEP_H
#define OXL_DURABLE_SWEEP_H

#include "durable/durable.h"

/* @dirfd is borrowed; @dir ("" for the root) is put in front of the names reported. Adds to *ret. DIR_OPEN, DIR_READ,
 * FILE_REMOVE (the first; the rest is still swept), NOMEM. */
OXL_MUST_CHECK int oxl_sweep_folder(int dirfd, const char *dir, const struct oxl_sweep_options *options,
                                    struct oxl_sweep_report *ret, struct oxl_error *err);

#endif
