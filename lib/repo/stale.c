/* SPDX-License-Identifier: MIT */
/* Whose temps may go, see stale.h. */
#include "repo/stale.h"
#include "repo/owner.h"

static bool is_listed(const struct oxl_stale *s, uint64_t owner)
{
        for (size_t i = 0; i < s->n_kept; i++)
                if (s->kept[i] == owner)
                        return true;
        return false;
}

void oxl_stale_keep(struct oxl_stale *s, uint64_t owner)
{
        if (s->n_kept > OXL_STALE_KEPT_MAX || is_listed(s, owner))
                return;
        if (s->n_kept < OXL_STALE_KEPT_MAX)
                s->kept[s->n_kept] = owner;
        s->n_kept++;
}

bool oxl_stale_keeps(const struct oxl_stale *s, uint64_t owner)
{
        return s->n_kept > OXL_STALE_KEPT_MAX || is_listed(s, owner);
}

enum oxl_temp_verdict oxl_stale_verdict(const struct oxl_stale *s, uint64_t owner)
{
        return oxl_stale_keeps(s, owner) ? OXL_TEMP_UNKNOWN : oxl_owner_verdict(s->root_fd, owner);
}
