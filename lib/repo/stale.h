/* SPDX-License-Identifier: MIT */
/*
 * Whose temps may go: those of the dead, but for owners with an open intent. Without their temps an intent could only be
 * rolled back, so what recovery has not ended keeps them, even when its owner has died since it was asked.
 *
 * A verdict counts only when it was asked before the intents were read: else its owner may have recorded one in between.
 */
#ifndef OXL_REPO_STALE_H
#define OXL_REPO_STALE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <oxenlite/atomic.h>

enum { OXL_STALE_KEPT_MAX = 64 };

struct oxl_stale {
        int root_fd; /* borrowed */
        uint64_t kept[OXL_STALE_KEPT_MAX];
        size_t n_kept; /* may exceed what fits: then everybody is kept */
};

/* @owner has an open intent. */
void oxl_stale_keep(struct oxl_stale *s, uint64_t owner);
bool oxl_stale_keeps(const struct oxl_stale *s, uint64_t owner);
/* DEAD: its temps may go; UNKNOWN also for those that are kept. */
enum oxl_temp_verdict oxl_stale_verdict(const struct oxl_stale *s, uint64_t owner);

#endif
