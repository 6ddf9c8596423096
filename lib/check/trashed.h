/* SPDX-License-Identifier: MIT */
/* What trash holds, run by run: each folder there reads like a store of its own (docs/FORMAT.md section 8). */
#ifndef OXL_CHECK_TRASHED_H
#define OXL_CHECK_TRASHED_H

#include <oxenlite/gc.h>

#include "objects/objects.h"

struct oxl_trashed_run {
        char id[OXL_TRASH_ID_BYTES];
        int root_fd;                 /* owned */
        struct oxl_objects *objects; /* owned */
};

struct oxl_trashed {
        struct oxl_trashed_run *at; /* owned */
        size_t n;
        bool listed;
};
void oxl_trashed_done(struct oxl_trashed *t);

/* Opens the runs once; those that cannot be opened are left out. NOMEM. */
OXL_MUST_CHECK int oxl_trashed_list(struct oxl_trashed *t, int root_fd, const struct oxl_repo_id *id,
                                    enum oxl_algo blob_algo, struct oxl_error *err);
/* The run that has a good copy of the object; NULL: none. */
const struct oxl_trashed_run *oxl_trashed_find(const struct oxl_trashed *t, enum oxl_kind kind,
                                               const struct oxl_digest *id);

#endif
