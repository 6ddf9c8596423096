/* SPDX-License-Identifier: MIT */
/* See checkout.h. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/path.h"
#include "os/fdio.h"
#include "repo/checkout.h"

int oxl_checkout_init(struct oxl_checkout *c, struct oxl_repo *r, const char *phase, struct oxl_error *err)
{
        c->repo = r;
        c->phase = phase;
        c->dest = (struct oxl_destination)OXL_DESTINATION_INIT;
        return oxl_repo_objects(r, &c->objects, err);
}

void oxl_checkout_drop_batch(struct oxl_checkout *c)
{
        for (size_t i = 0; i < c->pending; i++) {
                oxl_stage_free(c->batch[i].stage);
                free(c->batch[i].target);
        }
        c->pending = 0;
}

void oxl_checkout_done(struct oxl_checkout *c)
{
        oxl_checkout_drop_batch(c);
        oxl_put_free(c->put);
        c->put = NULL;
        oxl_destination_done(&c->dest);
        oxl_error_done(&c->damage);
        oxl_freep(&c->swept);
}

/* --- what is replaced ---------------------------------------------------------------------------------------------- */

int oxl_checkout_keep(struct oxl_checkout *c, const char *path, const char *what, struct oxl_error *err)
{
        struct oxl_index_entry kept;
        char text[96 + OXL_DIGEST_TEXT_MAX], id[OXL_DIGEST_TEXT_MAX];
        int k = c->put ? 0 : oxl_put_begin(c->objects, &c->put, err);
        if (k >= 0)
                k = oxl_destination_store(&c->dest, c->put, path, &kept, err);
        if (k < 0)
                return k;
        oxl_digest_text(&kept.id, id);
        snprintf(text, sizeof text, "%s; what it was is kept as blob %s", what, id);
        oxl_repo_notice(c->repo, path, text);
        c->kept++;
        return 0;
}

int oxl_checkout_keep_end(struct oxl_checkout *c, struct oxl_error *err)
{
        struct oxl_put_stats stats = { 0 };
        if (c->put)
                oxl_put_get_stats(c->put, &stats);
        if (stats.stored + stats.existed + stats.healed == 0)
                return 0;
        int k = oxl_put_finish(c->put, err);
        if (k >= 0)
                k = oxl_put_publish(c->put, err);
        return k < 0 ? k : oxl_durable_barrier(c->repo->durable, err);
}

/* --- writing ------------------------------------------------------------------------------------------------------- */

int oxl_checkout_flush(struct oxl_checkout *c, struct oxl_error *err)
{
        struct oxl_stage *stages[OXL_CHECKOUT_BATCH];
        for (size_t i = 0; i < c->pending; i++)
                stages[i] = c->batch[i].stage;
        int k = oxl_stage_sync_many(c->dest.durable, stages, c->pending, err);
        for (size_t i = 0; k >= 0 && i < c->pending; i++)
                k = oxl_stage_publish(stages[i], c->batch[i].target, c->batch[i].no_replace, err);
        /* CRASH: some of the batch new, some old, each whole; recovery writes the rest. */
        if (k >= 0)
                k = oxl_durable_barrier(c->dest.durable, err);
        oxl_checkout_drop_batch(c);
        return k;
}

struct filling {
        struct oxl_checkout *c;
        struct oxl_stage *stage;
};

static int to_stage(void *ctx, const void *bytes, size_t n, struct oxl_error *err)
{
        const struct filling *f = ctx;
        f->c->part_bytes += n;
        oxl_repo_progress(f->c->repo, f->c->phase, f->c->files, f->c->total, f->c->bytes + f->c->part_bytes,
                          f->c->total_bytes);
        return bytes ? oxl_stage_write(f->stage, bytes, n, err) : oxl_stage_skip(f->stage, n, err);
}

static int fill_stage(struct oxl_checkout *c, const struct oxl_tree_item *item, const char *dir, const char *name,
                      struct oxl_stage **ret, struct oxl_error *err)
{
        if (item->kind == OXL_ENTRY_SYMLINK) {
                cleanup_buf struct oxl_buf target = OXL_BUF_INIT;
                int k = oxl_objects_read(c->objects, OXL_KIND_BLOB, &item->id, PATH_MAX, &target, err);
                if (k < 0)
                        return k;
                return oxl_stage_symlink(c->dest.durable, dir, name, oxl_buf_text(&target), ret, err);
        }
        unsigned flags = item->kind == OXL_ENTRY_EXECUTABLE ? OXL_STAGE_EXECUTABLE : 0;
        int k = oxl_stage_open(c->dest.durable, dir, name, flags, ret, err);
        if (k < 0)
                return k;
        struct filling filling = { c, *ret };
        c->part_bytes = 0;
        k = oxl_objects_stream(c->objects, &item->id, to_stage, &filling, c->repo->options.cancel, err);
        if (k < 0) {
                oxl_stage_free(*ret);
                *ret = NULL;
        }
        return k;
}

/* A damaged blob does not stop the others: named now, reported at the end. */
static int blob_failed(struct oxl_checkout *c, const char *path, struct oxl_error *why, struct oxl_error *err)
{
        enum oxl_code code = why->code;
        if (code != OXL_E_OBJECT_CORRUPT && code != OXL_E_OBJECT_MISSING) {
                oxl_error_move(err, why);
                return -(int)code;
        }
        oxl_repo_notice(c->repo, path, "not restored: its content is damaged or missing in the store");
        if (c->damage.code == 0)
                oxl_error_move(&c->damage, why);
        return 0;
}

static void remember(struct oxl_stage *stage, enum oxl_entry_kind kind, struct oxl_written *ret)
{
        struct stat st;
        if (!ret)
                return;
        *ret = (struct oxl_written){ 0 };
        int fd = kind != OXL_ENTRY_SYMLINK ? oxl_stage_fd(stage) : -1;
        if (fd >= 0 && oxl_fd_stat(fd, &st) == 0)
                *ret = (struct oxl_written){ st.st_ino, st.st_mtim.tv_sec, (uint32_t)st.st_mtim.tv_nsec };
}

int oxl_checkout_write(struct oxl_checkout *c, const struct oxl_tree_item *item, bool absent,
                       struct oxl_written *ret_written, struct oxl_error *err)
{
        cleanup_free char *dir = NULL;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        struct oxl_stage *stage = NULL;
        int k = oxl_path_parent(item->path, &dir, err);
        if (k < 0)
                return k;
        k = fill_stage(c, item, dir, oxl_path_base(item->path), &stage, &why);
        if (k < 0)
                return blob_failed(c, item->path, &why, err);
        char *target = strdup(item->path);
        if (!target) {
                oxl_stage_free(stage);
                return OXL_FAIL_PLAIN(err, NOMEM);
        }
        remember(stage, item->kind, ret_written);
        c->batch[c->pending++] = (struct oxl_checkout_item){ stage, target, absent };
        c->files++;
        c->bytes += item->size;
        c->part_bytes = 0;
        oxl_repo_progress(c->repo, c->phase, c->files, c->total, c->bytes, c->total_bytes);
        return c->pending == OXL_CHECKOUT_BATCH ? oxl_checkout_flush(c, err) : 0;
}

int oxl_checkout_sweep_beside(struct oxl_checkout *c, const char *path, struct oxl_error *err)
{
        cleanup_free char *dir = NULL;
        int k = oxl_path_parent(path, &dir, err);
        if (k < 0 || (c->swept && strcmp(c->swept, dir) == 0))
                return k;
        free(c->swept);
        c->swept = take_ptr(&dir);
        return oxl_destination_sweep(&c->dest, c->swept, err);
}

int oxl_checkout_end(struct oxl_checkout *c, struct oxl_error *err)
{
        if (c->damage.code == 0)
                return 0;
        int code = (int)c->damage.code;
        oxl_error_move(err, &c->damage);
        return -code;
}
