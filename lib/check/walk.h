/* SPDX-License-Identifier: MIT */
/*
 * Walks trees node by node: each node once however many commits share it, in depth-first order, holding only the
 * nodes on the way (at most 1,024 folders of 8 levels, 10 KiB each on average).
 *
 * The first walk of a node marks it needed, and bad when it or anything below it is. A walk for paths enters bad nodes
 * only, as often as they are referred to.
 */
#ifndef OXL_CHECK_WALK_H
#define OXL_CHECK_WALK_H

#include "check/bad.h"
#include "objects/tree_internal.h"

struct oxl_lost { /* the first object that is missing or damaged, and that no finding names */
        bool any;
        enum oxl_kind kind;
        struct oxl_digest id; /* NONE: unknown */
};
void oxl_lost_add(struct oxl_lost *l, enum oxl_kind kind, const struct oxl_digest *id);

struct oxl_walk_step;
struct oxl_tree_walk {
        struct oxl_check *c;
        struct oxl_bad_list *bad;
        bool quiet;                      /* mark only: roots that may be half there */
        struct oxl_lost *lost;           /* when quiet: filled when something is missing; NULL: nobody asks */
        const struct oxl_digest *commit; /* for a walk for paths; NULL: a first walk */
        uint64_t budget;                 /* entries that a walk for paths still looks at */
        struct oxl_walk_step *steps;     /* owned */
        size_t used, slots;
        struct oxl_buf path;
};
#define OXL_TREE_WALK_INIT { .path = OXL_BUF_INIT }
void oxl_tree_walk_done(struct oxl_tree_walk *w);

/* Marks the tree or commit @id, and all that it leads to, as needed. *lost (NULL: nobody asks) is filled when some of it is
 * missing or damaged that no finding names. pass_graph.c. < 0: the check must stop. */
OXL_MUST_CHECK int oxl_check_needed(struct oxl_check *c, enum oxl_kind kind, const struct oxl_digest *id,
                                    struct oxl_lost *lost, struct oxl_error *err);

/* Walks the tree @root. < 0: the check must stop. */
OXL_MUST_CHECK int oxl_tree_walk_run(struct oxl_tree_walk *w, const struct oxl_digest *root, struct oxl_error *err);

#endif
