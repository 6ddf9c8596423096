/* SPDX-License-Identifier: MIT */
/*
 * Differences between two trees: a merge of two cursors that reads only what is not shared.
 *
 * Directories are passed like files, before their content, so equal ones are skipped whole; inside a split directory
 * equal nodes are skipped too. A file that became a directory is one removed path and the added paths below it.
 */
#include "base/fail.h"
#include "base/path.h"
#include "objects/tree_internal.h"

struct side {
        struct oxl_tree_cursor *cursor; /* owned; NULL: an empty tree */
        struct oxl_tree_item item;
        bool there; /* @item is the next one */
};

static void side_done(struct side *s)
{
        oxl_tree_cursor_free(s->cursor);
}

static int side_init(struct side *s, const struct oxl_tree_source *source, const struct oxl_digest *root,
                     struct oxl_error *err)
{
        if (!root)
                return 0;
        return oxl_tree_cursor_new_from(source, root, "", OXL_TREE_DIRECTORIES, &s->cursor, err);
}

static int side_next(struct side *s, struct oxl_error *err)
{
        int r = s->cursor ? oxl_tree_cursor_next(s->cursor, &s->item, err) : 1;
        if (r < 0)
                return r;
        s->there = r == 0;
        return 0;
}

static bool is_directory(const struct oxl_tree_item *i)
{
        return i->kind == OXL_ENTRY_DIRECTORY;
}

static bool items_equal(const struct oxl_tree_item *a, const struct oxl_tree_item *b)
{
        return a->kind == b->kind && a->size == b->size && oxl_digest_equal(&a->id, &b->id);
}

/* < 0: a comes first, > 0: b, 0: both have the same path. */
static int side_compare(const struct side *a, const struct side *b)
{
        if (!a->there || !b->there)
                return b->there - a->there;
        return oxl_path_compare(a->item.path, a->item.path_len, b->item.path, b->item.path_len);
}

/* Reports the path that both are at. Directories report nothing themselves: their content follows. */
static int report_both(struct side *a, struct side *b, oxl_tree_diff_fn *fn, void *ctx, struct oxl_error *err)
{
        if (items_equal(&a->item, &b->item)) {
                oxl_tree_cursor_skip(a->cursor);
                oxl_tree_cursor_skip(b->cursor);
                return 0;
        }
        if (!is_directory(&a->item) && !is_directory(&b->item))
                return fn(ctx, &a->item, &b->item, err);
        int r = is_directory(&a->item) ? 0 : fn(ctx, &a->item, NULL, err);
        if (r >= 0 && !is_directory(&b->item))
                r = fn(ctx, NULL, &b->item, err);
        return r;
}

static int step_both(struct side *a, struct side *b, oxl_tree_diff_fn *fn, void *ctx, struct oxl_error *err)
{
        int r = report_both(a, b, fn, ctx, err);
        if (r >= 0)
                r = oxl_tree_cursor_skip_common(a->cursor, b->cursor, err);
        if (r >= 0)
                r = side_next(a, err);
        return r < 0 ? r : side_next(b, err);
}

static int step_one(struct side *s, bool removed, oxl_tree_diff_fn *fn, void *ctx, struct oxl_error *err)
{
        int r = is_directory(&s->item) ? 0 : fn(ctx, removed ? &s->item : NULL, removed ? NULL : &s->item, err);
        return r < 0 ? r : side_next(s, err);
}

int oxl_tree_diff_in(const struct oxl_tree_source *source, const struct oxl_digest *root_a,
                     const struct oxl_digest *root_b, oxl_tree_diff_fn *fn, void *ctx, struct oxl_error *err)
{
        if (root_a && root_b && oxl_digest_equal(root_a, root_b))
                return 0;
        cleanup(side_done) struct side a = { 0 };
        cleanup(side_done) struct side b = { 0 };
        int r = side_init(&a, source, root_a, err);
        if (r == 0)
                r = side_init(&b, source, root_b, err);
        if (r == 0)
                r = side_next(&a, err);
        if (r == 0)
                r = side_next(&b, err);
        while (r >= 0 && (a.there || b.there)) {
                int order = side_compare(&a, &b);
                if (order == 0)
                        r = step_both(&a, &b, fn, ctx, err);
                else
                        r = order < 0 ? step_one(&a, true, fn, ctx, err) : step_one(&b, false, fn, ctx, err);
        }
        return r < 0 ? r : 0;
}

int oxl_tree_diff(struct oxl_objects *o, const struct oxl_digest *a, const struct oxl_digest *b, oxl_tree_diff_fn *fn,
                  void *ctx, struct oxl_error *err)
{
        struct oxl_tree_source source = oxl_tree_source_of(o);
        return oxl_tree_diff_in(&source, a, b, fn, ctx, err);
}
