/* SPDX-License-Identifier: MIT */
/*
 * Everything that refs, HEAD and open intents lead to: commits with their ancestors, trees, blobs.
 *
 * Each commit and each tree node is read once, verified by the object store; of each blob it is asked whether some
 * copy verified in the passes over packs and loose blobs. Only when something is missing are commits walked again
 * for the paths that need it.
 *
 * Memory: the table of known objects, 64 bytes a commit, and known bounds for a walk (walk.h) and for paths (bad.c).
 */
#include <stdio.h>
#include <string.h>

#include "check/walk.h"
#include "objects/commit.h"
#include "objects/loose.h"

/* Entries that all walks for paths together look at: a store that lost much has more places than anybody reads. */
#define PATHS_BUDGET UINT64_C(20000000)

struct seen_commit {
        struct oxl_digest id, tree;
};

struct pending {
        struct oxl_digest id, child; /* child NONE: a ref points here */
        size_t ref;
};

struct graph {
        struct oxl_check *c;
        struct oxl_bad_list bad;
        struct oxl_tree_walk walk;
        struct oxl_buf commits; /* struct seen_commit each: those that decoded */
        struct oxl_buf stack;   /* struct pending each */
        const char *const *roots;
};

static void graph_done(struct graph *g)
{
        oxl_tree_walk_done(&g->walk);
        oxl_bad_list_done(&g->bad);
        oxl_buf_done(&g->commits);
        oxl_buf_done(&g->stack);
}

/* --- blobs --- */

static int count_bytes(void *ctx, const void *bytes, size_t n, struct oxl_error *err)
{
        (void)bytes;
        (void)err;
        *(uint64_t *)ctx += n;
        return 0;
}

int oxl_check_blob(struct oxl_check *c, const struct oxl_digest *id, int *ret, struct oxl_known_slot **ret_slot,
                   struct oxl_error *err)
{
        uint64_t size = 0;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        int r = oxl_known_put(&c->known, id, ret_slot, err);
        if (r < 0)
                return r;
        struct oxl_known_slot *s = *ret_slot;
        *ret = s->flags & OXL_KNOWN_WHOLE ? 0 : s->flags & OXL_KNOWN_UNREADABLE ? 2 : 1;
        if (*ret != 1 || s->flags & OXL_KNOWN_BAD)
                return 0;
        /* The passes saw no good copy. The store looks again, with a new listing: it may have come meanwhile. */
        int k = oxl_objects_stream(c->objects, id, count_bytes, &size, c->options.cancel, &why);
        if (k == 0) {
                s->flags |= OXL_KNOWN_WHOLE | OXL_KNOWN_READ;
                oxl_known_set_size(s, size);
                *ret = 0;
                return 0;
        }
        if (oxl_check_is_fatal(&why))
                return oxl_error_copy(err, &why);
        if (!oxl_check_is_unreadable(&why))
                return 0;
        s->flags |= OXL_KNOWN_UNREADABLE;
        *ret = 2;
        const char *where = why.path[0] ? why.path[0] : "versions";
        if (c->said && strcmp(c->said, where) == 0)
                return 0; /* all blobs of a pack that cannot be read: one finding */
        free(c->said);
        c->said = strdup(where);
        return oxl_check_report_error(c, OXL_P_UNREADABLE, where, "", &why, err);
}

/* --- commits --- */

static int push(struct graph *g, const struct oxl_digest *id, const struct oxl_digest *child, size_t ref,
                struct oxl_error *err)
{
        struct pending p = { .id = *id, .ref = ref };
        if (child)
                p.child = *child;
        return oxl_buf_append(&g->stack, &p, sizeof p, err);
}

static bool pop(struct graph *g, struct pending *ret)
{
        if (g->stack.len == 0)
                return false;
        g->stack.len -= sizeof *ret;
        memcpy(ret, g->stack.data + g->stack.len, sizeof *ret);
        return true;
}

/* A commit that is missing or damaged: of the ref that points to it, or of the commit that has it as parent. */
static int add_bad_commit(struct graph *g, const struct pending *p, const struct oxl_error *why, struct oxl_error *err)
{
        bool root = p->child.algo == OXL_ALGO_NONE;
        const char *ref = g->c->refs[p->ref].name;
        struct oxl_bad *b;
        enum oxl_problem problem =
                why->code == OXL_E_OBJECT_MISSING || why->code == 0 ? OXL_P_COMMIT_MISSING : OXL_P_COMMIT_DAMAGED;
        int r = oxl_bad_add(&g->bad, root ? OXL_P_REF_DANGLING : problem, OXL_KIND_COMMIT, &p->id,
                            root ? ref : "versions/packs", why->detail, &b, err);
        if (r < 0)
                return r;
        if (why->code == OXL_E_OBJECT_CORRUPT)
                b->got = why->got;
        if (root)
                return 0;
        r = oxl_bad_affects(&g->bad, b, &p->child, "parent", strlen("parent"), err);
        return r < 0 ? r : oxl_bad_affects(&g->bad, b, NULL, ref, strlen(ref), err);
}

static int take_commit(struct graph *g, const struct pending *p, const struct oxl_commit *commit, struct oxl_error *err)
{
        struct seen_commit seen = { .id = p->id, .tree = commit->tree };
        int r = oxl_buf_append(&g->commits, &seen, sizeof seen, err);
        for (unsigned i = commit->parents; r == 0 && i-- > 0;)
                r = push(g, &commit->parent[i], &p->id, p->ref, err);
        if (r < 0)
                return r;
        g->c->result.commits += !g->walk.quiet;
        oxl_check_progress(g->c, "commits");
        return oxl_tree_walk_run(&g->walk, &commit->tree, err);
}

static int visit_commit(struct graph *g, const struct pending *p, struct oxl_error *err)
{
        struct oxl_check *c = g->c;
        struct oxl_known_slot *slot;
        struct oxl_commit commit = OXL_COMMIT_INIT;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        int r = oxl_known_put(&c->known, &p->id, &slot, err);
        if (r == 0)
                r = oxl_check_poll(c, err);
        if (r < 0)
                return r;
        if (g->walk.lost && slot->flags & OXL_KNOWN_UNTOLD)
                oxl_lost_add(g->walk.lost, OXL_KIND_COMMIT, &p->id);
        if (slot->flags & OXL_KNOWN_NEEDED) /* every ref to a bad commit is told of, a parent once */
                return slot->flags & OXL_KNOWN_BAD && p->child.algo == OXL_ALGO_NONE && !g->walk.quiet
                               ? add_bad_commit(g, p, &why, err)
                               : 0;
        slot->flags |= OXL_KNOWN_NEEDED;
        r = oxl_commit_read(c->objects, &p->id, &commit, &why);
        if (r == 0) {
                slot->flags |= OXL_KNOWN_READ;
                r = take_commit(g, p, &commit, err);
                oxl_commit_done(&commit);
                return r;
        }
        if (oxl_check_is_fatal(&why))
                return oxl_error_copy(err, &why);
        if (g->walk.quiet && !g->walk.lost)
                return 0;
        if (oxl_check_is_unreadable(&why))
                return oxl_check_report_error(c, OXL_P_UNREADABLE, why.path[0] ? why.path[0] : "versions/packs", "",
                                              &why, err);
        slot->flags |= OXL_KNOWN_BAD;
        if (g->walk.quiet) {
                slot->flags |= OXL_KNOWN_UNTOLD;
                oxl_lost_add(g->walk.lost, OXL_KIND_COMMIT, &p->id);
                return 0;
        }
        return add_bad_commit(g, p, &why, err);
}

static int run_stack(struct graph *g, struct oxl_error *err)
{
        struct pending p;
        int r = 0;
        while (r == 0 && pop(g, &p))
                r = visit_commit(g, &p, err);
        return r;
}

static int walk_roots(struct graph *g, struct oxl_error *err)
{
        int r = 0;
        for (size_t i = 0; r == 0 && i < g->c->n_refs; i++) {
                r = push(g, &g->c->refs[i].id, NULL, i, err);
                if (r == 0)
                        r = run_stack(g, err);
        }
        return r;
}

/* What open intents are about to publish is needed as far as it is there; that it is not all there is no finding. */
static int walk_intents(struct graph *g, struct oxl_error *err)
{
        int r = 0;
        g->walk.quiet = true;
        for (size_t i = 0; r == 0 && i < g->c->n_intents; i++) {
                r = push(g, &g->c->intents[i], NULL, 0, err);
                if (r == 0)
                        r = run_stack(g, err);
        }
        g->walk.quiet = false;
        return r;
}

/* --- paths --- */

static int find_paths(struct graph *g, struct oxl_error *err)
{
        int r = 0;
        size_t n = g->commits.len / sizeof(struct seen_commit);
        oxl_bad_sort(&g->bad);
        g->walk.budget = PATHS_BUDGET;
        for (size_t i = 0; r == 0 && i < n && g->walk.budget > 0; i++) {
                struct seen_commit s;
                memcpy(&s, g->commits.data + i * sizeof s, sizeof s);
                g->walk.commit = &s.id;
                r = oxl_tree_walk_run(&g->walk, &s.tree, err);
                g->walk.commit = NULL;
        }
        return r;
}

static int open_objects(struct oxl_check *c, struct oxl_error *err)
{
        const struct oxl_objects_config config = {
                .root_fd = c->root_fd,
                .id = c->format.id,
                .blob_algo = c->format.blob_algo,
                .pack_threshold = OXL_PACK_THRESHOLD_DEFAULT,
                .unreadable = oxl_check_hear_unread,
                .ctx = c,
        };
        return oxl_objects_open(&config, &c->objects, err);
}

int oxl_check_needed(struct oxl_check *c, enum oxl_kind kind, const struct oxl_digest *id, struct oxl_lost *lost,
                     struct oxl_error *err)
{
        const struct oxl_known_slot *slot = oxl_known_find(&c->known, id);
        if (slot && slot->flags & OXL_KNOWN_NEEDED && !(slot->flags & OXL_KNOWN_UNTOLD))
                return 0; /* nearly always */
        cleanup(graph_done) struct graph g = {
                .c = c, .walk = OXL_TREE_WALK_INIT, .commits = OXL_BUF_INIT, .stack = OXL_BUF_INIT
        };
        g.walk.c = c;
        g.walk.bad = &g.bad;
        g.walk.quiet = true;
        g.walk.lost = lost;
        if (kind == OXL_KIND_TREE)
                return oxl_tree_walk_run(&g.walk, id, err);
        int r = push(&g, id, NULL, 0, err);
        return r < 0 ? r : run_stack(&g, err);
}

int oxl_check_graph(struct oxl_check *c, struct oxl_error *err)
{
        cleanup(graph_done) struct graph g = {
                .c = c, .walk = OXL_TREE_WALK_INIT, .commits = OXL_BUF_INIT, .stack = OXL_BUF_INIT
        };
        if (!c->have_id)
                return 0;
        g.walk.c = c;
        g.walk.bad = &g.bad;
        int r = open_objects(c, err);
        if (r == 0)
                r = walk_roots(&g, err);
        if (r == 0 && g.bad.n > 0)
                r = find_paths(&g, err);
        if (r == 0)
                r = oxl_bad_report(c, &g.bad, err);
        return r < 0 ? r : walk_intents(&g, err);
}
