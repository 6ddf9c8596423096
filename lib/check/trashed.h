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
        oxl_unreadable_fn *unreadable; /* hears of what could not be read; NULL: nobody */
        void *ctx;
};
void oxl_trashed_done(struct oxl_trashed *t);

/* Opens the runs in trash of the repository of @like, once. What cannot be read is left out, and like->unreadable hears of it. NOMEM. */
OXL_MUST_CHECK int oxl_trashed_list(struct oxl_trashed *t, const struct oxl_objects_config *like,
                                    struct oxl_error *err);
/* *ret: the run that has a good copy of the object; NULL: none that can be read. NOMEM. */
OXL_MUST_CHECK int oxl_trashed_find(const struct oxl_trashed *t, enum oxl_kind kind, const struct oxl_digest *id,
                                    const struct oxl_trashed_run **ret, struct oxl_error *err);

#endif
