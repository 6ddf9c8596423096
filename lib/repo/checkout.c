/* SPDX-License-Identifier: MIT */
/* See checkout.h. */
#include <errno.h>
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

static void forget_first(struct oxl_checkout *c, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                oxl_stage_free(c->batch[i].stage);
                free(c->batch[i].target);
        }
        memmove(c->batch, c->batch + n, (c->pending - n) * sizeof c->batch[0]);
        c->pending -= n;
}

void oxl_checkout_drop_batch(struct oxl_checkout *c)
{
        if (c->ahead)
                oxl_ahead_drop(c->ahead);
        forget_first(c, c->pending);
        c->syncing = 0;
}

static bool may_leave(const struct oxl_checkout *c, const struct oxl_error *why)
{
        bool passing = why->os == ENOMEM || why->os == EMFILE || why->os == ENFILE || why->os == EINTR;
        bool lost =
                oxl_durable_poisoned(c->repo->durable) || (c->dest.durable && oxl_durable_poisoned(c->dest.durable));
        return !lost && (why->code == OXL_E_PATH_SPECIAL || (why->os != 0 && !passing));
}

int oxl_checkout_leave(struct oxl_checkout *c, const char *path, int k, struct oxl_error *why, struct oxl_error *err)
{
        char text[512], said[600];
        if (k >= 0)
                return 0;
        if (!may_leave(c, why)) {
                oxl_error_move(err, why);
                return k;
        }
        oxl_checkout_drop_batch(c);
        (void)oxl_error_text(why, text, sizeof text);
        snprintf(said, sizeof said, "left alone, see oxen-lite status: %s", text);
        oxl_repo_notice(c->repo, path, said);
        return 0;
}

void oxl_checkout_done(struct oxl_checkout *c)
{
        oxl_checkout_drop_batch(c);
        oxl_ahead_free(c->ahead);
        c->ahead = NULL;
        oxl_put_free(c->put);
        c->put = NULL;
        oxl_destination_done(&c->dest);
        oxl_error_done(&c->damage);
        oxl_buf_done(&c->told);
        oxl_freep(&c->swept);
}

/* --- what is replaced ---------------------------------------------------------------------------------------------- */

static int begin_put(struct oxl_checkout *c, struct oxl_error *err)
{
        if (c->put)
                return 0;
        int k = oxl_put_begin(c->objects, &c->put, err);
        if (k >= 0)
                oxl_put_set_fresh(
                        c->put); /* only an operation names it: it must not be as old as a copy that is there */
        return k;
}

struct told { /* its path and a NUL follow */
        const char *what, *why;
        struct oxl_digest id;
};

static int tell_later(struct oxl_checkout *c, const char *path, const struct told *t, struct oxl_error *err)
{
        int k = oxl_buf_append(&c->told, t, sizeof *t, err);
        return k < 0 ? k : oxl_buf_append(&c->told, path, strlen(path) + 1, err);
}

void oxl_checkout_tell_kept(struct oxl_checkout *c)
{
        char text[160 + OXL_DIGEST_TEXT_MAX], id[OXL_DIGEST_TEXT_MAX];
        struct told t;
        for (size_t at = 0; at < c->told.len;) {
                const char *path = (const char *)c->told.data + at + sizeof t;
                memcpy(&t, c->told.data + at, sizeof t);
                oxl_digest_text(&t.id, id);
                snprintf(text, sizeof text, "%s; %s as blob: oxen-lite cat %s >FILE", t.what, t.why, id);
                oxl_repo_notice(c->repo, path, text);
                at += sizeof t + strlen(path) + 1;
        }
}

void oxl_checkout_tell_aborted(struct oxl_checkout *c)
{
        if (c->told.len > 0)
                oxl_repo_notice(c->repo, NULL, "no file was overwritten or removed; what was kept stays kept");
}

/* @why: what is said about it. */
static int store(struct oxl_checkout *c, const char *path, const char *what, const char *why,
                 struct oxl_state *ret_kept, struct oxl_error *err)
{
        struct oxl_index_entry kept;
        int k = begin_put(c, err);
        if (k >= 0)
                k = oxl_destination_store(&c->dest, c->put, path, &kept, err);
        if (k < 0)
                return k;
        const struct told t = { what, why, kept.id };
        k = tell_later(c, path, &t, err);
        if (k < 0)
                return k;
        c->kept++;
        *ret_kept = oxl_state_of(&kept);
        return 0;
}

int oxl_checkout_keep(struct oxl_checkout *c, const char *path, const char *what, struct oxl_state *ret_kept,
                      struct oxl_error *err)
{
        return store(c, path, what, "what it was is kept", ret_kept, err);
}

int oxl_checkout_verify(struct oxl_checkout *c, const struct oxl_tree_item *item, struct oxl_error *ret_damage,
                        struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        int k = oxl_objects_stream(c->objects, &item->id, NULL, NULL, c->repo->options.cancel, &why);
        c->secured++;
        c->secured_bytes += item->size;
        oxl_repo_progress(c->repo, "verifying", c->secured, 0, c->secured_bytes, 0);
        if (k >= 0)
                return 0;
        if (k != -OXL_E_OBJECT_MISSING && k != -OXL_E_OBJECT_CORRUPT) {
                oxl_error_move(err, &why);
                return k;
        }
        oxl_repo_notice(c->repo, item->path, "cannot be written: its content is damaged or missing in the store");
        if (ret_damage->code == 0)
                oxl_error_move(ret_damage, &why);
        return 1;
}

int oxl_checkout_blob_good(struct oxl_checkout *c, const struct oxl_digest *id, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        int k = oxl_objects_stream(c->objects, id, NULL, NULL, c->repo->options.cancel, &why);
        if (k == -OXL_E_OBJECT_MISSING || k == -OXL_E_OBJECT_CORRUPT)
                return 1;
        if (k < 0)
                oxl_error_move(err, &why);
        return k;
}

int oxl_checkout_secure(struct oxl_checkout *c, const char *path, const struct oxl_digest *id, uint64_t size,
                        const char *what, struct oxl_error *err)
{
        struct oxl_state stored;
        int k = oxl_checkout_blob_good(c, id, err);
        c->secured++;
        c->secured_bytes += size;
        oxl_repo_progress(c->repo, "verifying", c->secured, 0, c->secured_bytes, 0);
        return k <= 0 ? k
                      : store(c, path, what, "its blob was damaged or missing, and what it was is stored again",
                              &stored, err);
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

static struct oxl_seen seen_of(const struct stat *st)
{
        if (!st)
                return (struct oxl_seen){ .there = false };
        return (struct oxl_seen){ true, st->st_dev, st->st_ino, st->st_mode, st->st_size, st->st_mtim, st->st_ctim };
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
        return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool same_seen(const struct oxl_seen *a, const struct oxl_seen *b)
{
        return a->there == b->there && a->dev == b->dev && a->ino == b->ino && a->mode == b->mode &&
               a->size == b->size && same_time(&a->mtime, &b->mtime) && same_time(&a->ctime, &b->ctime);
}

static int see(struct oxl_checkout *c, const char *path, struct oxl_seen *ret, struct oxl_error *err)
{
        cleanup_fd int dirfd = -1;
        struct stat st;
        *ret = seen_of(NULL);
        int k = oxl_destination_parent(&c->dest, path, &dirfd, err);
        if (k != 0)
                return k < 0 ? k : 0;
        if (oxl_fd_stat_at(dirfd, oxl_path_base(path), &st) == 0)
                *ret = seen_of(&st);
        else if (errno != ENOENT)
                return OXL_FAIL_OS(err, FILE_STAT, path);
        return 0;
}

int oxl_checkout_unchanged(struct oxl_checkout *c, const char *path, const struct stat *st, struct oxl_error *err)
{
        const struct oxl_seen before = seen_of(st);
        struct oxl_seen now;
        int k = see(c, path, &now, err);
        if (k < 0 || !now.there || same_seen(&now, &before))
                return k < 0 ? k : 0;
        oxl_repo_notice(c->repo, path, "left alone: it was changed meanwhile");
        return 1;
}

/* One file gets its name, unless somebody was faster: a file that changed since it was looked at, or that came. One that went is
 * nobody's work. */
static int publish(struct oxl_checkout *c, struct oxl_checkout_item *i, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        struct oxl_seen now = i->seen; /* what was not there needs no second look: the rename replaces nothing then */
        int k = i->seen.there ? see(c, i->target, &now, err) : 0;
        if (k < 0)
                return k;
        if (!now.there || same_seen(&now, &i->seen)) {
                k = oxl_stage_publish(i->stage, i->target, !now.there, &why);
                c->changed = c->changed || k >= 0;
                if (k < 0 && why.code != OXL_E_FILE_EXISTS)
                        oxl_error_move(err, &why);
                if (k != -OXL_E_FILE_EXISTS)
                        return k;
        }
        oxl_repo_notice(c->repo, i->target, "left alone: it was changed meanwhile");
        c->files--;
        c->bytes -= i->size;
        return 0;
}

/* The stages of the first @n files of the batch; of those whose blob is damaged there is none. */
static size_t stages_of(const struct oxl_checkout *c, size_t n, struct oxl_stage *ret[OXL_CHECKOUT_BATCH])
{
        size_t stages = 0;
        for (size_t i = 0; i < n; i++)
                if (c->batch[i].stage)
                        ret[stages++] = c->batch[i].stage;
        return stages;
}

/* Everything that is in the batch has its bytes; their sync begins. */
static int begin_sync(struct oxl_checkout *c, struct oxl_error *err)
{
        struct oxl_stage *stages[OXL_CHECKOUT_BATCH];
        c->syncing = c->pending;
        return oxl_stage_sync_begin(c->dest.durable, stages, stages_of(c, c->syncing, stages), err);
}

static int publish_synced(struct oxl_checkout *c, struct oxl_error *err)
{
        struct oxl_stage *stages[OXL_CHECKOUT_BATCH];
        int k = oxl_stage_sync_end(c->dest.durable, stages, stages_of(c, c->syncing, stages), err);
        for (size_t i = 0; k >= 0 && i < c->syncing; i++)
                k = c->batch[i].stage ? publish(c, &c->batch[i], err) : 0;
        if (k < 0)
                return k;
        forget_first(c, c->syncing);
        c->syncing = 0;
        return 0;
}

/* The older half of the batch gets its names, while the younger waits for its sync. */
static int turn(struct oxl_checkout *c, struct oxl_error *err)
{
        int k = c->ahead ? oxl_ahead_settle(c->ahead, err) : 0;
        if (k >= 0)
                k = publish_synced(c, err);
        return k < 0 ? k : begin_sync(c, err);
}

int oxl_checkout_flush(struct oxl_checkout *c, struct oxl_error *err)
{
        int k = turn(c, err);
        if (k >= 0)
                k = publish_synced(c, err);
        /* CRASH: some of the batch new, some old, each whole; recovery writes the rest. */
        if (k >= 0)
                k = oxl_durable_barrier(c->dest.durable, err);
        c->folders = 0;
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

static int make_link(struct oxl_checkout *c, struct oxl_checkout_item *i, const char *dir, struct oxl_error *err)
{
        cleanup_buf struct oxl_buf target = OXL_BUF_INIT;
        int k = oxl_objects_read(c->objects, OXL_KIND_BLOB, &i->id, PATH_MAX, &target, err);
        return k < 0 ? k
                     : oxl_stage_symlink(c->dest.durable, dir, oxl_path_base(i->target), oxl_buf_text(&target),
                                         &i->stage, err);
}

/* @bytes: the blob, verified; NULL: it is read here. */
static int fill_stage(struct oxl_checkout *c, struct oxl_checkout_item *i, const void *bytes, struct oxl_error *err)
{
        cleanup_free char *dir = NULL;
        int k = oxl_path_parent(i->target, &dir, err);
        if (k < 0)
                return k;
        if (i->kind == OXL_ENTRY_SYMLINK)
                return make_link(c, i, dir, err);
        unsigned flags = i->kind == OXL_ENTRY_EXECUTABLE ? OXL_STAGE_EXECUTABLE : 0;
        k = oxl_stage_open(c->dest.durable, dir, oxl_path_base(i->target), flags, &i->stage, err);
        if (k < 0)
                return k;
        struct filling filling = { c, i->stage };
        c->part_bytes = 0;
        k = bytes ? oxl_stage_write(i->stage, bytes, (size_t)i->size, err)
                  : oxl_objects_stream(c->objects, &i->id, to_stage, &filling, c->repo->options.cancel, err);
        c->part_bytes = 0;
        if (k < 0) {
                oxl_stage_free(i->stage);
                i->stage = NULL;
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

/* Writes the temp of the @number th file of the batch. */
static int write_item(void *ctx, size_t number, const void *bytes, struct oxl_error *err)
{
        struct oxl_checkout *c = ctx;
        struct oxl_checkout_item *i = &c->batch[number];
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        int k = fill_stage(c, i, bytes, &why);
        if (k < 0)
                return blob_failed(c, i->target, &why, err);
        c->files++;
        c->bytes += i->size;
        oxl_repo_progress(c->repo, c->phase, c->files, c->total, c->bytes, c->total_bytes);
        return 0;
}

int oxl_checkout_read_ahead(struct oxl_checkout *c, struct oxl_error *err)
{
        return c->ahead ? 0 : oxl_ahead_new(c->objects, write_item, c, &c->ahead, err);
}

static bool same_folder(const char *a, const char *b)
{
        size_t n = oxl_path_parent_len(a);
        return n == oxl_path_parent_len(b) && memcmp(a, b, n) == 0;
}

int oxl_checkout_write(struct oxl_checkout *c, const struct oxl_tree_item *item, const struct stat *seen,
                       struct oxl_written *ret_written, struct oxl_error *err)
{
        size_t room = c->repo->owner ? OXL_CHECKOUT_BATCH : OXL_CHECKOUT_BATCH_ALONE;
        char *target = strdup(item->path);
        if (!target)
                return OXL_FAIL_PLAIN(err, NOMEM);
        c->folders += c->pending == 0 || !same_folder(target, c->batch[c->pending - 1].target);
        size_t number = c->pending++;
        struct oxl_checkout_item *i = &c->batch[number];
        *i = (struct oxl_checkout_item){ NULL, target, item->id, item->kind, item->size, seen_of(seen) };
        OXL_ASSERT(!c->ahead || !ret_written);
        int k = c->ahead && item->kind != OXL_ENTRY_SYMLINK && item->size <= OXL_AHEAD_BLOB_MAX
                        ? oxl_ahead_add(c->ahead, &item->id, item->size, number, err)
                        : write_item(c, number, NULL, err);
        if (k < 0)
                return k;
        if (i->stage)
                remember(i->stage, item->kind, ret_written);
        if (c->folders >= OXL_CHECKOUT_FOLDERS)
                return oxl_checkout_flush(c, err);
        return c->pending - c->syncing >= room / 2 ? turn(c, err) : 0;
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
