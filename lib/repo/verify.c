/* SPDX-License-Identifier: MIT */
/* Verifying one commit: the commit, every node of its tree, every blob, each read and hashed. Writes nothing. */
#include <stdio.h>
#include <string.h>

#include <oxenlite/tools.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "objects/commit.h"
#include "objects/tree.h"
#include "repo/repo.h"

struct verifying {
        struct oxl_repo *repo;
        struct oxl_objects *objects;
        oxl_verify_fn *fn;
        void *ctx;
        struct oxl_verify_result *result;
        struct oxl_error *first;
};

static bool is_damage(enum oxl_code code)
{
        return code == OXL_E_OBJECT_CORRUPT || code == OXL_E_OBJECT_MISSING || code == OXL_E_MALFORMED ||
               code == OXL_E_SEAL;
}

/* 0: it is damage, and was told; < 0: something else. */
static int tell(struct verifying *v, const char *path, struct oxl_error *why, struct oxl_error *err)
{
        if (!is_damage(why->code)) {
                int code = (int)why->code;
                oxl_error_move(err, why);
                return -code;
        }
        v->result->damaged++;
        int k = v->fn ? v->fn(v->ctx, path, why, err) : 0;
        if (v->first && v->first->code == 0)
                oxl_error_move(v->first, why);
        return k;
}

static int verify_item(struct verifying *v, const struct oxl_tree_item *item, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        if (item->kind == OXL_ENTRY_DIRECTORY) {
                v->result->trees++;
                return 0;
        }
        oxl_repo_progress(v->repo, "verifying", v->result->files, 0, v->result->bytes, 0);
        int k = oxl_objects_stream(v->objects, &item->id, NULL, NULL, v->repo->options.cancel, &why);
        v->result->files++;
        v->result->bytes += k < 0 ? 0 : item->size;
        return k < 0 ? tell(v, item->path, &why, err) : 0;
}

/* A node that cannot be read is one damaged folder; the walk goes on behind it. */
static int verify_tree(struct verifying *v, const struct oxl_digest *root, struct oxl_error *err)
{
        struct oxl_tree_cursor *cursor;
        struct oxl_tree_item item;
        cleanup_free char *folder = strdup("");
        int k = oxl_tree_cursor_new(v->objects, root, "", OXL_TREE_DIRECTORIES, &cursor, err);
        if (k < 0)
                return k;
        v->result->trees++;
        for (;;) {
                cleanup_error struct oxl_error why = OXL_ERROR_INIT;
                k = oxl_tree_cursor_next(cursor, &item, &why);
                if (k > 0)
                        break;
                if (k == 0 && item.kind == OXL_ENTRY_DIRECTORY) {
                        free(folder);
                        if (asprintf(&folder, "%s/", item.path) < 0)
                                folder = NULL;
                }
                k = k < 0 ? tell(v, folder ? folder : "", &why, err) : verify_item(v, &item, err);
                if (k >= 0 && oxl_repo_cancelled(v->repo))
                        k = OXL_FAIL_PLAIN(err, CANCELLED);
                if (k < 0)
                        break;
        }
        oxl_tree_cursor_free(cursor);
        return k < 0 ? k : 0;
}

int oxl_repo_verify(struct oxl_repo *r, const char *rev, oxl_verify_fn *fn, void *ctx, struct oxl_verify_result *ret,
                    struct oxl_error *ret_first, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        cleanup(oxl_commit_done) struct oxl_commit commit = OXL_COMMIT_INIT;
        struct verifying v = { r, NULL, fn, ctx, ret, ret_first };
        struct oxl_digest id;
        *ret = (struct oxl_verify_result){ 0 };
        int k = oxl_repo_resolve(r, rev ? rev : "HEAD", &id, err);
        if (k >= 0)
                k = oxl_repo_objects(r, &v.objects, err);
        if (k < 0)
                return k;
        if (oxl_commit_read(v.objects, &id, &commit, &why) < 0)
                return tell(&v, "", &why, err);
        return verify_tree(&v, &commit.tree, err);
}
