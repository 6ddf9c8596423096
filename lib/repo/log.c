/* SPDX-License-Identifier: MIT */
/*
 * The verbs that look: log, ls, cat, diff. They take no lock and write nothing; what they hand out was verified
 * first.
 *
 * Objects are never removed while a commit names them, so a reader sees a whole history whatever a writer does
 * meanwhile.
 */
#include <string.h>

#include "base/fail.h"
#include "objects/commit.h"
#include "objects/tree.h"
#include "repo/repo.h"

static const char *rev_or_head(const char *rev)
{
        return rev ? rev : "HEAD";
}

/* --- log --------------------------------------------------------------------------------------------------- */

static int tell_commit(const struct oxl_digest *id, const struct oxl_commit *c, oxl_commit_fn *fn, void *ctx,
                       struct oxl_error *err)
{
        struct oxl_commit_info info = {
                .id = *id,
                .tree = c->tree,
                .parents = c->parent,
                .n_parents = c->parents,
                .author = c->author,
                .message = c->message,
                .seconds = c->seconds,
                .zone_minutes = c->zone_minutes,
        };
        return fn(ctx, &info, err);
}

int oxl_repo_log(struct oxl_repo *r, const char *rev, uint64_t max, oxl_commit_fn *fn, void *ctx, struct oxl_error *err)
{
        struct oxl_digest id;
        struct oxl_objects *o;
        int n = oxl_repo_resolve(r, rev_or_head(rev), &id, err);
        if (n == 0)
                n = oxl_repo_objects(r, &o, err);
        for (uint64_t told = 0; n == 0 && (max == 0 || told < max); told++) {
                cleanup(oxl_commit_done) struct oxl_commit c = OXL_COMMIT_INIT;
                if (oxl_repo_cancelled(r))
                        return OXL_FAIL_PLAIN(err, CANCELLED);
                n = oxl_commit_read(o, &id, &c, err);
                if (n == 0)
                        n = tell_commit(&id, &c, fn, ctx, err);
                if (n == 0 && c.parents == 0)
                        break;
                id = c.parent[0];
        }
        return n < 0 ? n : 0; /* > 0: the callback has enough */
}

/* --- ls ---------------------------------------------------------------------------------------------------- */

static char kind_letter(enum oxl_entry_kind kind)
{
        switch (kind) {
        case OXL_ENTRY_FILE: return 'f';
        case OXL_ENTRY_EXECUTABLE: return 'x';
        case OXL_ENTRY_SYMLINK: return 'l';
        case OXL_ENTRY_DIRECTORY: return 'd';
        case OXL_ENTRY_NONE: break;
        }
        return 'a';
}

static struct oxl_ls_item ls_item(const struct oxl_tree_item *item)
{
        return (struct oxl_ls_item){ item->path, kind_letter(item->kind), item->size, item->id };
}

/* The root tree of the commit that @rev names. */
static int tree_of(struct oxl_repo *r, const struct oxl_digest *commit, struct oxl_objects **ret_objects,
                   struct oxl_digest *ret, struct oxl_error *err)
{
        cleanup(oxl_commit_done) struct oxl_commit c = OXL_COMMIT_INIT;
        int n = oxl_repo_objects(r, ret_objects, err);
        if (n == 0)
                n = oxl_commit_read(*ret_objects, commit, &c, err);
        if (n == 0)
                *ret = c.tree;
        return n;
}

static int tree_of_rev(struct oxl_repo *r, const char *rev, struct oxl_objects **ret_objects, struct oxl_digest *ret,
                       struct oxl_error *err)
{
        struct oxl_digest commit;
        int n = oxl_repo_resolve(r, rev_or_head(rev), &commit, err);
        return n < 0 ? n : tree_of(r, &commit, ret_objects, ret, err);
}

static void cursor_freep(struct oxl_tree_cursor **c)
{
        oxl_tree_cursor_free(*c);
}

int oxl_repo_ls(struct oxl_repo *r, const char *rev, const char *path, bool recursive, oxl_ls_fn *fn, void *ctx,
                struct oxl_error *err)
{
        struct oxl_objects *o;
        struct oxl_digest root;
        cleanup(cursor_freep) struct oxl_tree_cursor *c = NULL;
        int n = tree_of_rev(r, rev, &o, &root, err);
        if (n == 0)
                n = oxl_tree_cursor_new(o, &root, path, recursive ? 0 : OXL_TREE_FLAT, &c, err);
        while (n == 0) {
                struct oxl_tree_item item;
                if (oxl_repo_cancelled(r))
                        return OXL_FAIL_PLAIN(err, CANCELLED);
                n = oxl_tree_cursor_next(c, &item, err);
                if (n != 0)
                        break;
                if (item.kind == OXL_ENTRY_DIRECTORY && strcmp(item.path, path) == 0)
                        continue; /* the folder that was asked for: its entries follow */
                struct oxl_ls_item shown = ls_item(&item);
                n = fn(ctx, &shown, err);
        }
        return n < 0 ? n : 0;
}

/* --- diff -------------------------------------------------------------------------------------------------- */

struct diff {
        const struct oxl_repo *repo;
        oxl_diff_fn *fn;
        void *ctx;
};

static int tell_difference(void *ctx, const struct oxl_tree_item *a, const struct oxl_tree_item *b,
                           struct oxl_error *err)
{
        const struct diff *d = ctx;
        if (oxl_repo_cancelled(d->repo))
                return OXL_FAIL_PLAIN(err, CANCELLED);
        struct oxl_ls_item absent = { .path = a ? a->path : b->path, .kind = 'a' };
        struct oxl_ls_item old = a ? ls_item(a) : absent;
        struct oxl_ls_item new_ = b ? ls_item(b) : absent;
        return d->fn(d->ctx, &old, &new_, err);
}

int oxl_repo_diff(struct oxl_repo *r, const struct oxl_digest *a, const struct oxl_digest *b, oxl_diff_fn *fn,
                  void *ctx, struct oxl_error *err)
{
        struct diff d = { r, fn, ctx };
        struct oxl_objects *o;
        struct oxl_digest tree[2];
        bool none_a = a->algo == OXL_ALGO_NONE, none_b = b->algo == OXL_ALGO_NONE;
        int n = oxl_repo_objects(r, &o, err);
        if (n == 0 && !none_a)
                n = tree_of(r, a, &o, &tree[0], err);
        if (n == 0 && !none_b)
                n = tree_of(r, b, &o, &tree[1], err);
        if (n == 0)
                n = oxl_tree_diff(o, none_a ? NULL : &tree[0], none_b ? NULL : &tree[1], tell_difference, &d, err);
        return n < 0 ? n : 0;
}

/* --- cat --------------------------------------------------------------------------------------------------- */

struct cat {
        oxl_bytes_fn *fn;
        void *ctx;
};

/* Holes become zero bytes: who reads a stream has no other way to see them. */
static int pass_on(void *ctx, const void *bytes, size_t n, struct oxl_error *err)
{
        static const char zeros[65536];
        const struct cat *c = ctx;
        if (bytes)
                return c->fn(c->ctx, bytes, n, err);
        while (n > 0) {
                size_t part = n < sizeof zeros ? n : sizeof zeros;
                int r = c->fn(c->ctx, zeros, part, err);
                if (r < 0)
                        return r;
                n -= part;
        }
        return 0;
}

int oxl_repo_cat_blob(struct oxl_repo *r, const struct oxl_digest *id, oxl_bytes_fn *fn, void *ctx,
                      struct oxl_error *err)
{
        struct cat c = { fn, ctx };
        struct oxl_objects *o;
        int n = oxl_repo_objects(r, &o, err);
        return n < 0 ? n : oxl_objects_stream(o, id, pass_on, &c, r->options.cancel, err);
}

int oxl_repo_cat(struct oxl_repo *r, const char *rev, const char *path, oxl_bytes_fn *fn, void *ctx,
                 struct oxl_error *err)
{
        struct cat c = { fn, ctx };
        struct oxl_objects *o;
        struct oxl_digest root;
        struct oxl_tree_item item;
        if (!*path)
                return OXL_FAIL_WHY(err, OBJECT_KIND, ".", "a folder, not a file");
        int n = tree_of_rev(r, rev, &o, &root, err);
        if (n == 0)
                n = oxl_tree_find(o, &root, path, &item, err);
        if (n < 0)
                return n;
        if (n > 0)
                return OXL_FAIL_PATH(err, PATH_NOT_FOUND, path);
        if (item.kind == OXL_ENTRY_DIRECTORY)
                return OXL_FAIL_WHY(err, OBJECT_KIND, path, "a folder, not a file");
        return oxl_objects_stream(o, &item.id, pass_on, &c, r->options.cancel, err);
}
