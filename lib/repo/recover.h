/* SPDX-License-Identifier: MIT */
/* Recovery of one restore (restore.c) or repair (recover_repair.c), called by recover.c under the writer lock. */
#ifndef OXL_REPO_RECOVER_H
#define OXL_REPO_RECOVER_H

#include "repo/repo.h"

/* Finishes the restore that @event records and writes its outcome. */
OXL_MUST_CHECK int oxl_restore_recover(struct oxl_repo *r, const struct oxl_event *event, struct oxl_error *err);

/* Ends the repair that @event records: recover_repair.c. */
OXL_MUST_CHECK int oxl_repair_recover(struct oxl_repo *r, const struct oxl_event *event, struct oxl_error *err);

#endif
