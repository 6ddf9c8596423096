/* SPDX-License-Identifier: MIT */
/* What of a pack whose header, index or trailer is broken can still be had: for the finding about it. repair_pack.c. */
#ifndef OXL_CHECK_SALVAGE_H
#define OXL_CHECK_SALVAGE_H

#include <stdatomic.h>

#include "objects/pack.h"

struct oxl_salvage_count {
        uint64_t good, bad; /* objects whose record proves itself, with good or bad content */
        bool gap;           /* bytes that no record explains: what was there is not known */
};

/* Reads the pack at @fd (taken), record by record, in a fixed amount of memory. FILE_READ, FILE_STAT, UNSUPPORTED, CANCELLED, NOMEM. */
OXL_MUST_CHECK int oxl_salvage_tally(int fd, const char *name, const struct oxl_repo_id *repo, enum oxl_algo algo,
                                     const atomic_bool *cancel, struct oxl_salvage_count *ret, struct oxl_error *err);

#endif
