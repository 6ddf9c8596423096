/* SPDX-License-Identifier: MIT */
/*
 * Why is it kept: what the files of oxl_repo_why share. why.c finds out what is meant and asks everything in turn, why_history.c
 * walks commits and trees, why_store.c looks into packs, trash, quarantine and the journal. All of it only reads.
 */
#ifndef OXL_REPO_WHY_H
#define OXL_REPO_WHY_H

#include <oxenlite/tools.h>

#include "objects/idset.h"
#include "repo/repo.h"

enum { OXL_WHY_DIGITS_MIN = 8 }; /* of the start of an id */

struct oxl_why {
        struct oxl_repo *repo;
        struct oxl_objects *objects;
        oxl_why_fn *fn;
        void *ctx;
        struct oxl_why_result *result;
        enum oxl_kind kind; /* of the object; FILLER: a path is meant */
        struct oxl_digest id;
        char *path;             /* owned; NULL unless a path is meant */
        struct oxl_error first; /* the first damage on the way */
};

/* Hands out one item; what is no stored copy keeps the object. */
OXL_MUST_CHECK int oxl_why_tell(struct oxl_why *w, const struct oxl_why_item *item, struct oxl_error *err);
/* Damage on the way is named, and the search goes on: 0; everything else is an error. Takes @why. */
OXL_MUST_CHECK int oxl_why_damage(struct oxl_why *w, struct oxl_error *why, struct oxl_error *err);

/* --- why_history.c --- */
/* Refs, HEAD and commits. */
OXL_MUST_CHECK int oxl_why_history(struct oxl_why *w, struct oxl_error *err);

/* --- why_store.c --- */
/* An object of the store, or (@trash) of trash, by its id or by a unique prefix of it: 0 found, 1 none; WHY_TARGET: several. Sets
 * kind and id. */
OXL_MUST_CHECK int oxl_why_find_object(struct oxl_why *w, const char *hex, bool trash, struct oxl_error *err);
OXL_MUST_CHECK int oxl_why_copies(struct oxl_why *w, struct oxl_error *err);
OXL_MUST_CHECK int oxl_why_quarantine(struct oxl_why *w, struct oxl_error *err);
/* Operations and open intents. */
OXL_MUST_CHECK int oxl_why_journal(struct oxl_why *w, struct oxl_error *err);

#endif
