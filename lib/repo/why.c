/* SPDX-License-Identifier: MIT */
/* See why.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "objects/commit.h"
#include "objects/tree.h"
#include "repo/index.h"
#include "repo/why.h"

enum { INDEX_MAX = 100 };

int oxl_why_tell(struct oxl_why *w, const struct oxl_why_item *item, struct oxl_error *err)
{
        if (item->kind == OXL_WHY_PACK || item->kind == OXL_WHY_LOOSE)
                w->result->copies++;
        else
                w->result->kept = true;
        return w->fn(w->ctx, item, err);
}

int oxl_why_damage(struct oxl_why *w, struct oxl_error *why, struct oxl_error *err)
{
        bool damage = why->code == OXL_E_OBJECT_CORRUPT || why->code == OXL_E_OBJECT_MISSING ||
                      why->code == OXL_E_MALFORMED || why->code == OXL_E_SEAL || why->code == OXL_E_JOURNAL_DAMAGED;
        if (!damage) {
                int code = (int)why->code;
                oxl_error_move(err, why);
                return -code;
        }
        oxl_repo_notice(w->repo, why->path[0], "is damaged: what it says is not in this answer");
        if (w->first.code == 0)
                oxl_error_move(&w->first, why);
        else
                oxl_error_done(why);
        return 0;
}

/* --- the index ------------------------------------------------------------------------------------------------------- */

static void index_free(struct oxl_index **x)
{
        oxl_index_free(*x);
}

static int open_index(struct oxl_why *w, struct oxl_index **ret, struct oxl_error *err)
{
        const struct oxl_format *f = &w->repo->format;
        return oxl_index_open(w->repo->root_fd, &f->id, f->blob_algo, ret, err);
}

static bool entry_matches(const struct oxl_why *w, const struct oxl_index_entry *e)
{
        if (e->kind == OXL_ENTRY_NONE)
                return false;
        return w->path ? true : w->kind == OXL_KIND_BLOB && oxl_digest_equal(&e->id, &w->id);
}

static int tell_entry(struct oxl_why *w, const struct oxl_index_entry *e, struct oxl_error *err)
{
        const struct oxl_why_item item = { .kind = OXL_WHY_INDEX,
                                           .name = e->staged ? "staged" : "tracked",
                                           .path = e->path,
                                           .id = e->id,
                                           .size = e->size };
        return oxl_why_tell(w, &item, err);
}

static int ask_entries(struct oxl_why *w, struct oxl_index *x, struct oxl_error *err)
{
        struct oxl_index_cursor *cursor;
        struct oxl_index_entry e;
        unsigned told = 0;
        int k = oxl_index_cursor_new(x, w->path ? w->path : "", 0, &cursor, err);
        if (k < 0)
                return k;
        while (told < INDEX_MAX && (k = oxl_index_cursor_next(cursor, &e, err)) == 0) {
                if (!entry_matches(w, &e))
                        continue;
                told++;
                if ((k = tell_entry(w, &e, err)) < 0)
                        break;
        }
        oxl_index_cursor_free(cursor);
        return k < 0 ? k : 0;
}

static int ask_index(struct oxl_why *w, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        cleanup(index_free) struct oxl_index *x = NULL;
        int k = open_index(w, &x, &why);
        if (k >= 0 && w->kind == OXL_KIND_TREE && oxl_digest_equal(oxl_index_tree(x), &w->id)) {
                const struct oxl_why_item item = { .kind = OXL_WHY_INDEX, .name = "tracked", .path = "", .id = w->id };
                k = oxl_why_tell(w, &item, &why);
        }
        if (k >= 0 && w->kind != OXL_KIND_TREE && w->kind != OXL_KIND_COMMIT)
                k = ask_entries(w, x, &why);
        return k < 0 ? oxl_why_damage(w, &why, err) : 0;
}

/* --- what is meant? ----------------------------------------------------------------------------------------------------- */

/* Is @path, or something below it, in the index? 0 yes; 1 no. */
static int in_index(struct oxl_why *w, const char *path, struct oxl_error *err)
{
        cleanup(index_free) struct oxl_index *x = NULL;
        struct oxl_index_cursor *cursor;
        struct oxl_index_entry e;
        int k = open_index(w, &x, err);
        if (k < 0 || (k = oxl_index_cursor_new(x, path, 0, &cursor, err)) < 0)
                return k;
        k = oxl_index_cursor_next(cursor, &e, err);
        if (k == 0)
                w->id = strcmp(e.path, path) == 0 ? e.id : (struct oxl_digest)OXL_DIGEST_INIT;
        oxl_index_cursor_free(cursor);
        return k;
}

/* Is it in HEAD's commit? 0 yes; 1 no. */
static int in_head(struct oxl_why *w, const char *path, struct oxl_error *err)
{
        cleanup(oxl_head_done) struct oxl_head head = { 0 };
        cleanup(oxl_commit_done) struct oxl_commit commit = OXL_COMMIT_INIT;
        struct oxl_tree_item item;
        int k = oxl_repo_head(w->repo, &head, err);
        if (k < 0 || head.commit.algo == OXL_ALGO_NONE)
                return k < 0 ? k : 1;
        k = oxl_commit_read(w->objects, &head.commit, &commit, err);
        if (k >= 0)
                k = oxl_tree_find(w->objects, &commit.tree, path, &item, err);
        if (k == 0)
                w->id = item.id;
        return k;
}

/* 0: @what is a path, tracked now (or, when @any, any path at all); 1: it is not. */
static int is_path(struct oxl_why *w, const char *what, bool any, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        cleanup_free char *path = NULL;
        if (oxl_repo_path(w->repo, what, &path, NULL) < 0 || !*path)
                return 1;
        int k = in_head(w, path, &why);
        if (k > 0)
                k = in_index(w, path, &why);
        if (k < 0 && (k = oxl_why_damage(w, &why, err)) < 0)
                return k;
        if (k > 0 && !any)
                return 1;
        w->path = take_ptr(&path);
        w->result->object = 'p';
        snprintf(w->result->path, sizeof w->result->path, "%s", w->path);
        return 0;
}

static int is_commit(struct oxl_why *w, const char *what, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        int k = oxl_repo_resolve(w->repo, what, &w->id, &why);
        if (k >= 0) {
                w->kind = OXL_KIND_COMMIT;
                return 0;
        }
        w->id = (struct oxl_digest)OXL_DIGEST_INIT;
        if (why.code == OXL_E_REV || why.code == OXL_E_REF_NOT_FOUND || why.code == OXL_E_NO_COMMITS)
                return 1;
        return oxl_why_damage(w, &why, err) < 0 ? -(int)err->code : 1;
}

static int find_target(struct oxl_why *w, const char *what, struct oxl_error *err)
{
        int k = is_path(w, what, false, err);
        if (k > 0)
                k = is_commit(w, what, err);
        if (k > 0)
                k = oxl_why_find_object(w, what, true, err);
        if (k > 0)
                k = is_path(w, what, true, err);
        if (k > 0)
                return OXL_FAIL_WHY(err, WHY_TARGET, what, "nothing of that name is here");
        w->result->id = w->id;
        if (k == 0 && !w->path)
                w->result->object = w->kind == OXL_KIND_TREE ? 't' : w->kind == OXL_KIND_COMMIT ? 'c' : 'b';
        return k;
}

/* --- the verb ------------------------------------------------------------------------------------------------------------ */

static int answer(struct oxl_why *w, const char *what, struct oxl_error *err)
{
        int k = oxl_repo_objects(w->repo, &w->objects, err);
        if (k >= 0)
                k = find_target(w, what, err);
        if (k >= 0)
                k = oxl_why_history(w, err);
        if (k >= 0)
                k = ask_index(w, err);
        if (k >= 0)
                k = oxl_why_journal(w, err);
        if (k >= 0)
                k = oxl_why_quarantine(w, err);
        if (k >= 0)
                k = oxl_why_copies(w, err);
        if (k >= 0 && w->path && !w->result->kept)
                return OXL_FAIL_WHY(err, WHY_TARGET, what, "no commit, and nothing staged, has this path");
        return k;
}

int oxl_repo_why(struct oxl_repo *r, const char *what, oxl_why_fn *fn, void *ctx, struct oxl_why_result *ret,
                 struct oxl_error *err)
{
        struct oxl_why w = { .repo = r, .fn = fn, .ctx = ctx, .result = ret };
        *ret = (struct oxl_why_result){ 0 };
        int k = answer(&w, what, err);
        if (k >= 0 && w.first.code != 0) {
                k = -(int)w.first.code;
                oxl_error_move(err, &w.first);
        }
        oxl_error_done(&w.first);
        free(w.path);
        return k;
}
