/* SPDX-License-Identifier: MIT */
/*
 * A tree with some files changed, without reading or writing what stays as it is.
 *
 * The old nodes are walked beside the sorted changes. Directories without a change are taken whole; so are the nodes of a split
 * directory, wherever the builder stands at the begin of a node of that level: where a node ends depends on the names in it alone,
 * so the same names from the same begin on make the same node. Behind a change the builder's nodes and the old ones meet again at
 * the next old end that the split rule made.
 * The result is the one of building everything (tests/unit/tree_update.c compares); what is read is checked as a cursor checks it.
 */
#include <string.h>

#include "base/fail.h"
#include "objects/tree_internal.h"

struct update {
        struct oxl_tree_source source;
        oxl_tree_change_fn *next;
        void *ctx;
        struct oxl_tree_builder *builder; /* owned */
        struct oxl_tree_item change;      /* the next one, while `has` */
        bool has;
        struct oxl_buf path; /* directory being walked, NUL-ended */
        unsigned depth;
};

static void update_done(struct update *u)
{
        oxl_tree_builder_free(u->builder);
        oxl_buf_done(&u->path);
}

/* A node of the old tree, checked. */
struct old {
        struct oxl_buf payload;
        struct oxl_tree_node node;
};

static void old_done(struct old *o)
{
        oxl_buf_done(&o->payload);
}

/* --- changes ---------------------------------------------------------------------------------------------------- */

static int next_change(struct update *u, struct oxl_error *err)
{
        int r = u->next(u->ctx, &u->change, err);
        u->has = r == 0;
        return r < 0 ? r : 0;
}

/* The next component of the next change below the directory being walked; data NULL: the next change is not in it. */
static struct oxl_bytes change_name(const struct update *u)
{
        size_t n = u->path.len;
        if (!u->has || (n > 0 && (u->change.path_len <= n || memcmp(u->change.path, u->path.data, n) != 0 ||
                                  u->change.path[n] != '/')))
                return (struct oxl_bytes)OXL_BYTES_INIT;
        const char *name = u->change.path + n + (n > 0);
        return oxl_bytes_of(name, strcspn(name, "/"));
}

/* Is there a change in the directory below @bound (data NULL: at all)? */
static bool changes_before(const struct update *u, struct oxl_bytes bound)
{
        struct oxl_bytes name = change_name(u);
        return name.data && (!bound.data || oxl_tree_name_compare((const char *)name.data, name.len,
                                                                  (const char *)bound.data, bound.len) < 0);
}

static int apply_change(struct update *u, struct oxl_error *err)
{
        const struct oxl_tree_item *c = &u->change;
        int r = c->kind == OXL_ENTRY_NONE
                        ? 0
                        : oxl_tree_builder_add(u->builder, c->path, c->path_len, c->kind, c->size, &c->id, err);
        return r < 0 ? r : next_change(u, err);
}

static int apply_before(struct update *u, struct oxl_bytes bound, struct oxl_error *err)
{
        int r = 0;
        while (r == 0 && changes_before(u, bound))
                r = apply_change(u, err);
        return r;
}

/* --- old nodes -------------------------------------------------------------------------------------------------- */

/* @level and @bound: of the inner node that has @from; level 0: @from is a directory, NULL the root tree. */
static int load(struct update *u, const struct oxl_digest *id, const struct oxl_tree_entry *from, uint8_t level,
                struct oxl_bytes bound, struct old *ret, struct oxl_error *err)
{
        char name[sizeof "tree " + OXL_DIGEST_TEXT_MAX] = "tree ";
        struct oxl_tree_totals totals;
        oxl_digest_text(id, name + strlen(name));
        int r = u->source.fetch(u->source.ctx, id, &ret->payload, err);
        if (r == 0)
                r = oxl_tree_decode_totals(oxl_buf_bytes(&ret->payload), u->source.blob_algo, name, &ret->node, &totals,
                                           err);
        if (r < 0)
                return r;
        const char *problem = level > 0 ? oxl_tree_child_problem(&ret->node, &totals, from, level, bound)
                                        : oxl_tree_root_problem(&ret->node, &totals, from);
        return problem ? OXL_FAIL_WHY(err, MALFORMED, name, problem) : 0;
}

/* Makes u->path the path of @e; the caller cuts it off again. */
static int enter(struct update *u, const struct oxl_tree_entry *e, struct oxl_error *err)
{
        int r = u->path.len > 0 ? oxl_buf_append_u8(&u->path, '/', err) : 0;
        return r < 0 ? r : oxl_buf_append(&u->path, e->name, e->name_len, err);
}

static void leave(struct update *u, size_t len)
{
        u->path.len = len;
        u->path.data[len] = 0;
}

static int update_node(struct update *u, const struct oxl_digest *id, const struct oxl_tree_entry *from, uint8_t level,
                       struct oxl_bytes bound, struct oxl_error *err);

/* The directory whose path u->path is. */
static int update_directory(struct update *u, const struct oxl_tree_entry *e, struct oxl_error *err)
{
        if (u->depth == OXL_DEPTH_MAX)
                return OXL_FAIL_WHY(err, MALFORMED, oxl_buf_text(&u->path), "it is more than 1,024 directories deep");
        u->depth++;
        int r = update_node(u, &e->id, e, 0, (struct oxl_bytes)OXL_BYTES_INIT, err);
        u->depth--;
        return r;
}

/* An entry of a leaf as it was. u->path is its path. */
static int keep_entry(struct update *u, const struct oxl_tree_entry *e, struct oxl_error *err)
{
        const char *path = oxl_buf_text(&u->path);
        if (e->kind == OXL_ENTRY_DIRECTORY)
                return oxl_tree_builder_add_directory(u->builder, path, u->path.len, e->size, &e->id, err);
        return oxl_tree_builder_add(u->builder, path, u->path.len, e->kind, e->size, &e->id, err);
}

/* u->path is the path of @e. */
static int update_entry(struct update *u, const struct oxl_tree_entry *e, struct oxl_error *err)
{
        bool exact =
                u->has && u->change.path_len == u->path.len && memcmp(u->change.path, u->path.data, u->path.len) == 0;
        int r = exact ? apply_change(u, err) : 0;
        if (r < 0)
                return r;
        if (e->kind == OXL_ENTRY_DIRECTORY && (exact || change_name(u).data))
                return update_directory(u, e, err);
        return exact ? 0 : keep_entry(u, e, err);
}

/* A child of an inner node, all of whose names are below @bound. */
static int update_child(struct update *u, const struct old *parent, const struct oxl_tree_entry *e,
                        struct oxl_bytes bound, struct oxl_error *err)
{
        if (bound.data && !changes_before(u, bound)) {
                int r = oxl_tree_builder_add_node(u->builder, oxl_buf_text(&u->path), (uint8_t)(parent->node.level - 1),
                                                  e, err);
                if (r <= 0)
                        return r;
        }
        return update_node(u, &e->id, e, parent->node.level, bound, err);
}

static int update_leaf_entry(struct update *u, const struct oxl_tree_entry *e, struct oxl_error *err)
{
        size_t len = u->path.len;
        int r = enter(u, e, err);
        if (r == 0)
                r = update_entry(u, e, err);
        leave(u, len);
        return r;
}

static int update_node(struct update *u, const struct oxl_digest *id, const struct oxl_tree_entry *from, uint8_t level,
                       struct oxl_bytes bound, struct oxl_error *err)
{
        cleanup(old_done) struct old old = { .payload = OXL_BUF_INIT };
        int r = load(u, id, from, level, bound, &old, err);
        if (r < 0)
                return r;
        struct oxl_bytes rest = old.node.body;
        struct oxl_tree_entry e, following;
        bool more = oxl_tree_next(&old.node, u->source.blob_algo, &rest, &e);
        for (; r == 0 && more; e = following) {
                more = oxl_tree_next(&old.node, u->source.blob_algo, &rest, &following);
                r = apply_before(u, oxl_bytes_of(e.name, e.name_len), err);
                if (r == 0 && old.node.level == 0)
                        r = update_leaf_entry(u, &e, err);
                else if (r == 0)
                        r = update_child(u, &old, &e, more ? oxl_bytes_of(following.name, following.name_len) : bound,
                                         err);
        }
        return r < 0 ? r : apply_before(u, bound, err);
}

/* ---------------------------------------------------------------------------------------------------------------- */

int oxl_tree_update_from(const struct oxl_tree_source *source, const struct oxl_digest *base, oxl_tree_change_fn *next,
                         void *ctx, oxl_tree_emit_fn *emit, void *emit_ctx, struct oxl_digest *ret_root,
                         struct oxl_error *err)
{
        cleanup(update_done) struct update u = { .source = *source, .next = next, .ctx = ctx };
        int r = oxl_tree_builder_new(emit, emit_ctx, &u.builder, err);
        if (r == 0)
                r = oxl_buf_append(&u.path, "", 0, err);
        if (r == 0)
                r = oxl_buf_reserve(&u.path, 1, err);
        if (r == 0)
                r = next_change(&u, err);
        if (r == 0)
                r = update_node(&u, base, NULL, 0, (struct oxl_bytes)OXL_BYTES_INIT, err);
        return r < 0 ? r : oxl_tree_builder_finish(u.builder, ret_root, err);
}

int oxl_tree_update(struct oxl_objects *o, const struct oxl_digest *base, oxl_tree_change_fn *next, void *ctx,
                    oxl_tree_emit_fn *emit, void *emit_ctx, struct oxl_digest *ret_root, struct oxl_error *err)
{
        struct oxl_tree_source source = oxl_tree_source_of(o);
        return oxl_tree_update_from(&source, base, next, ctx, emit, emit_ctx, ret_root, err);
}
