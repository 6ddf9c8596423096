/* SPDX-License-Identifier: MIT */
/*
 * oxl_repo_restore: files of a commit, or of the index, into the working tree or another folder.
 *
 *   pass 1 looks at every destination and refuses local changes by name; with force it stores them as blobs first
 *     -> intent STAGED -> pass 2, in batches of 4,096: write temps, sync, rename, sync directories -> outcome
 *
 * Memory: one batch of names; both passes walk the source again. A file is replaced only by bytes that hashed to their name; a
 * damaged blob is named, its file left as it was, and the rest restored.
 * What a crash leaves: some files new, the others old, each whole, and temps carrying our owner number. Recovery runs pass 2
 * again: a file that equals neither the source nor the index, and is not in the store either, is somebody's new work, left
 * alone and reported.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/path.h"
#include "durable/mutant.h"
#include "objects/commit.h"
#include "objects/loose.h"
#include "os/fdio.h"
#include "repo/destination.h"
#include "repo/recover.h"

#define BATCH 4096
#define OUTCOME "{\"schema\":\"oxen-lite.outcome/1\",\"proof\":[]}"

struct pending {
        struct oxl_stage *stage;
        char *target;
        bool no_replace;
};

struct restore {
        struct oxl_repo *repo;
        struct oxl_objects *objects;
        struct oxl_restore_intent spec;
        struct oxl_digest root; /* tree of the source commit; NONE: the index */
        struct oxl_destination dest;
        struct oxl_put *put; /* pass 1: overwritten files */
        struct oxl_restore_result result;
        uint64_t to_write;
        bool finishing; /* recovery */
        char *swept;    /* last folder swept while finishing */
        struct pending batch[BATCH];
        size_t pending;
        struct oxl_error damage; /* the first damaged blob */
};

static void batch_done(struct restore *rs)
{
        for (size_t i = 0; i < rs->pending; i++) {
                oxl_stage_free(rs->batch[i].stage);
                free(rs->batch[i].target);
        }
        rs->pending = 0;
}

static void restore_free(struct restore **p)
{
        struct restore *rs = *p;
        if (!rs)
                return;
        batch_done(rs);
        oxl_put_free(rs->put);
        oxl_destination_done(&rs->dest);
        oxl_restore_intent_done(&rs->spec);
        oxl_error_done(&rs->damage);
        free(rs->swept);
        free(rs);
        *p = NULL;
}

/* --- the source --------------------------------------------------------------------------------------------------- */

typedef int visit_fn(struct restore *rs, const struct oxl_tree_item *item, struct oxl_error *err);

static int visit_tree(struct restore *rs, const char *path, visit_fn *visit, struct oxl_error *err)
{
        struct oxl_tree_cursor *c;
        struct oxl_tree_item item;
        int k = oxl_tree_cursor_new(rs->objects, &rs->root, path, 0, &c, err);
        if (k < 0)
                return k;
        while ((k = oxl_tree_cursor_next(c, &item, err)) == 0 && (k = visit(rs, &item, err)) >= 0)
                ;
        oxl_tree_cursor_free(c);
        return k < 0 ? k : 0;
}

static int visit_index(struct restore *rs, const char *path, visit_fn *visit, struct oxl_error *err)
{
        struct oxl_index_cursor *c;
        struct oxl_index_entry e;
        bool any = false;
        int k = oxl_index_cursor_new(rs->dest.index, path, 0, &c, err);
        if (k < 0)
                return k;
        while ((k = oxl_index_cursor_next(c, &e, err)) == 0) {
                struct oxl_tree_item item = { e.path, e.path_len, e.kind, e.size, e.id };
                if (e.kind == OXL_ENTRY_NONE)
                        continue;
                any = true;
                k = visit(rs, &item, err);
                if (k < 0)
                        break;
        }
        oxl_index_cursor_free(c);
        if (k >= 0 && !any && path[0])
                return OXL_FAIL_PATH(err, PATH_NOT_FOUND, path);
        return k < 0 ? k : 0;
}

static int visit_all(struct restore *rs, visit_fn *visit, struct oxl_error *err)
{
        int k = 0;
        for (size_t i = 0; k >= 0 && i < rs->spec.n_paths; i++)
                k = rs->root.algo != OXL_ALGO_NONE ? visit_tree(rs, rs->spec.paths[i], visit, err)
                                                   : visit_index(rs, rs->spec.paths[i], visit, err);
        return k;
}

/* --- pass 1 ------------------------------------------------------------------------------------------------------- */

/* Stores the file that is about to be overwritten, and says under which name it can be had again. */
static int keep_changed(struct restore *rs, const struct oxl_tree_item *item, struct oxl_error *err)
{
        struct oxl_index_entry kept;
        char text[64 + OXL_DIGEST_TEXT_MAX], id[OXL_DIGEST_TEXT_MAX];
        int k = oxl_destination_store(&rs->dest, rs->put, item->path, &kept, err);
        if (k < 0)
                return k;
        oxl_digest_text(&kept.id, id);
        snprintf(text, sizeof text, "overwritten; what it was is kept as blob %s", id);
        oxl_repo_notice(rs->repo, item->path, text);
        rs->result.kept++;
        return 0;
}

static int check_item(struct restore *rs, const struct oxl_tree_item *item, struct oxl_error *err)
{
        enum oxl_destination_state state;
        if (oxl_repo_cancelled(rs->repo))
                return OXL_FAIL_PLAIN(err, CANCELLED);
        int k = oxl_destination_look(&rs->dest, item, &state, err);
        if (k < 0)
                return k;
        if (state == OXL_DEST_SAME) {
                rs->result.unchanged++;
                return 0;
        }
        rs->to_write++;
        if (state != OXL_DEST_CHANGED)
                return 0;
        if (!rs->spec.force)
                return OXL_FAIL_PATH(err, PATH_MODIFIED, item->path);
        return keep_changed(rs, item, err);
}

/* Everything is looked at, and what will be overwritten is durable, before anything is written. */
static int check_all(struct restore *rs, struct oxl_error *err)
{
        int k = oxl_put_begin(rs->objects, &rs->put, err);
        if (k >= 0)
                k = visit_all(rs, check_item, err);
        if (k < 0 || rs->result.kept == 0)
                return k;
        k = oxl_put_finish(rs->put, err);
        if (k >= 0)
                k = oxl_put_publish(rs->put, err);
        return k < 0 ? k : oxl_durable_barrier(rs->repo->durable, err);
}

/* --- pass 2 ------------------------------------------------------------------------------------------------------- */

static int flush(struct restore *rs, struct oxl_error *err)
{
        struct oxl_stage *stages[BATCH];
        for (size_t i = 0; i < rs->pending; i++)
                stages[i] = rs->batch[i].stage;
        int k = oxl_stage_sync_many(rs->dest.durable, stages, rs->pending, err);
        for (size_t i = 0; k >= 0 && i < rs->pending; i++)
                k = oxl_stage_publish(stages[i], rs->batch[i].target, rs->batch[i].no_replace, err);
        /* CRASH: some of the batch new, some old, each whole; recovery writes the rest. */
        if (k >= 0)
                k = oxl_durable_barrier(rs->dest.durable, err);
        batch_done(rs);
        return k;
}

static int to_stage(void *ctx, const void *bytes, size_t n, struct oxl_error *err)
{
        return bytes ? oxl_stage_write(ctx, bytes, n, err) : oxl_stage_skip(ctx, n, err);
}

static int fill_stage(struct restore *rs, const struct oxl_tree_item *item, const char *dir, const char *name,
                      struct oxl_stage **ret, struct oxl_error *err)
{
        if (item->kind == OXL_ENTRY_SYMLINK) {
                cleanup_buf struct oxl_buf target = OXL_BUF_INIT;
                int k = oxl_objects_read(rs->objects, OXL_KIND_BLOB, &item->id, PATH_MAX, &target, err);
                if (k < 0)
                        return k;
                return oxl_stage_symlink(rs->dest.durable, dir, name, oxl_buf_text(&target), ret, err);
        }
        unsigned flags = item->kind == OXL_ENTRY_EXECUTABLE ? OXL_STAGE_EXECUTABLE : 0;
        int k = oxl_stage_open(rs->dest.durable, dir, name, flags, ret, err);
        if (k < 0)
                return k;
        k = oxl_objects_stream(rs->objects, &item->id, to_stage, *ret, rs->repo->options.cancel, err);
        if (k < 0) {
                oxl_stage_free(*ret);
                *ret = NULL;
        }
        return k;
}

/* A damaged blob does not stop the others: named now, reported at the end. */
static int blob_failed(struct restore *rs, const char *path, struct oxl_error *why, struct oxl_error *err)
{
        enum oxl_code code = why->code;
        if (code != OXL_E_OBJECT_CORRUPT && code != OXL_E_OBJECT_MISSING) {
                oxl_error_move(err, why);
                return -(int)code;
        }
        oxl_repo_notice(rs->repo, path, "not restored: its content is damaged or missing in the store");
        if (rs->damage.code == 0)
                oxl_error_move(&rs->damage, why);
        return 0;
}

static int write_item(struct restore *rs, const struct oxl_tree_item *item, bool absent, struct oxl_error *err)
{
        cleanup_free char *dir = NULL;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        struct oxl_stage *stage = NULL;
        int k = oxl_path_parent(item->path, &dir, err);
        if (k < 0)
                return k;
        k = fill_stage(rs, item, dir, oxl_path_base(item->path), &stage, &why);
        if (k < 0)
                return blob_failed(rs, item->path, &why, err);
        char *target = strdup(item->path);
        if (!target) {
                oxl_stage_free(stage);
                return OXL_FAIL_PLAIN(err, NOMEM);
        }
        rs->batch[rs->pending++] = (struct pending){ stage, target, absent };
        rs->result.files++;
        rs->result.bytes += item->size;
        oxl_repo_progress(rs->repo, "restoring", rs->result.files, rs->to_write, rs->result.bytes, 0);
        return rs->pending == BATCH ? flush(rs, err) : 0;
}

/* While finishing: temps of the dead owner beside the targets. */
static int sweep_beside(struct restore *rs, const char *path, struct oxl_error *err)
{
        cleanup_free char *dir = NULL;
        int k = oxl_path_parent(path, &dir, err);
        if (k < 0 || (rs->swept && strcmp(rs->swept, dir) == 0))
                return k;
        free(rs->swept);
        rs->swept = take_ptr(&dir);
        return oxl_destination_sweep(&rs->dest, rs->swept, err);
}

/* While finishing: the file is right, perhaps only in the cache, because the dead process did not come to sync its folder.
 * tests: crash/store_recovery, kills in "restore". */
static int confirm(struct restore *rs, const struct oxl_tree_item *item, struct oxl_error *err)
{
        return OXL_MUTANT(RESTORE_BELIEVES_FILES) ? 0 : oxl_durable_mark(rs->dest.durable, item->path, err);
}

static int restore_item(struct restore *rs, const struct oxl_tree_item *item, struct oxl_error *err)
{
        enum oxl_destination_state state;
        if (!rs->finishing && oxl_repo_cancelled(rs->repo))
                return OXL_FAIL_PLAIN(err, CANCELLED);
        int k = rs->finishing ? sweep_beside(rs, item->path, err) : 0;
        if (k >= 0)
                k = oxl_destination_look(&rs->dest, item, &state, err);
        if (k < 0)
                return k;
        if (state == OXL_DEST_SAME)
                return rs->finishing ? confirm(rs, item, err) : 0;
        if (state == OXL_DEST_CHANGED) { /* pass 1 stored it; if it is not in the store it is newer */
                k = rs->spec.force ? oxl_destination_is_stored(&rs->dest, rs->objects, item->path, err) : 1;
                if (k < 0)
                        return k;
                if (k > 0) {
                        oxl_repo_notice(rs->repo, item->path, "left alone: it was changed meanwhile");
                        return 0;
                }
        }
        return write_item(rs, item, state == OXL_DEST_ABSENT, err);
}

static int write_all(struct restore *rs, struct oxl_error *err)
{
        int k = visit_all(rs, restore_item, err);
        return k < 0 ? k : flush(rs, err);
}

/* --- the verb ----------------------------------------------------------------------------------------------------- */

static int read_source(struct restore *rs, const struct oxl_digest *commit, struct oxl_error *err)
{
        cleanup(oxl_commit_done) struct oxl_commit c = OXL_COMMIT_INIT;
        if (commit->algo == OXL_ALGO_NONE)
                return 0;
        int k = oxl_commit_read(rs->objects, commit, &c, err);
        if (k < 0)
                return k;
        rs->spec.source = *commit;
        rs->root = c.tree;
        return 0;
}

static int make_spec(struct restore *rs, const char *const *paths, size_t n, const struct oxl_restore_options *o,
                     struct oxl_error *err)
{
        struct oxl_digest commit = OXL_DIGEST_INIT;
        int k = 0;
        if (o->source || o->to)
                k = oxl_repo_resolve(rs->repo, o->source ? o->source : "HEAD", &commit, err);
        if (k >= 0)
                k = read_source(rs, &commit, err);
        if (k < 0)
                return k;
        rs->spec.force = o->force;
        rs->spec.paths = calloc(n + 1, sizeof *rs->spec.paths);
        for (size_t i = 0; rs->spec.paths && i < n; i++) {
                rs->spec.paths[i] = strdup(paths[i]);
                if (!rs->spec.paths[i])
                        return OXL_FAIL_PLAIN(err, NOMEM);
                rs->spec.n_paths = i + 1;
        }
        return rs->spec.paths ? 0 : OXL_FAIL_PLAIN(err, NOMEM);
}

static int record_intent(struct restore *rs, int64_t *ret_id, struct oxl_error *err)
{
        cleanup_free char *body = NULL;
        if (rs->dest.path) {
                rs->spec.to = strdup(rs->dest.path);
                if (!rs->spec.to)
                        return OXL_FAIL_PLAIN(err, NOMEM);
        }
        int k = oxl_restore_intent_print(&rs->spec, &body, err);
        return k < 0 ? k
                     : oxl_journal_stage(rs->repo->journal, oxl_owner_number(rs->repo->owner), "restore", body, NULL,
                                         ret_id, err);
}

/* Files that were restored stay; the outcome says that the rest was given up. */
static int end_badly(struct restore *rs, int64_t intent, int k)
{
        cleanup_error struct oxl_error ignored = OXL_ERROR_INIT;
        batch_done(rs);
        OXL_IGNORE(oxl_journal_outcome(rs->repo->journal, intent, oxl_owner_number(rs->repo->owner), OXL_INTENT_ABORTED,
                                       OUTCOME, true, &ignored),
                   "the intent stays open then, and recovery finishes it");
        return k;
}

static int finish(struct restore *rs, struct oxl_error *err)
{
        if (rs->damage.code == 0)
                return 0;
        int code = (int)rs->damage.code;
        oxl_error_move(err, &rs->damage);
        return -code;
}

static int restore_locked(struct restore *rs, const char *const *paths, size_t n, const struct oxl_restore_options *o,
                          struct oxl_error *err)
{
        int64_t intent = 0;
        int k;
        if ((k = oxl_repo_objects(rs->repo, &rs->objects, err)) < 0 ||
            (k = make_spec(rs, paths, n, o, err)) < 0 ||                             /* what */
            (k = oxl_destination_open(&rs->dest, rs->repo, o->to, true, err)) < 0 || /* where to */
            (k = check_all(rs, err)) < 0)                                            /* refuse, or keep what is there */
                return k;
        if (rs->to_write == 0)
                return 0;
        if ((k = OXL_MUTANT(RESTORE_WITHOUT_INTENT) ? 0 : record_intent(rs, &intent, err)) < 0)
                return k;
        k = write_all(rs, err);
        if (k < 0)
                return end_badly(rs, intent, k);
        cleanup_error struct oxl_error ignored = OXL_ERROR_INIT;
        OXL_IGNORE(oxl_journal_outcome(rs->repo->journal, intent, oxl_owner_number(rs->repo->owner), OXL_INTENT_DONE,
                                       OUTCOME, false, &ignored),
                   "recovery proves it again");
        return finish(rs, err);
}

int oxl_repo_restore(struct oxl_repo *r, const char *const *paths, size_t n, const struct oxl_restore_options *options,
                     struct oxl_restore_result *ret, struct oxl_error *err)
{
        static const struct oxl_restore_options defaults;
        int k = oxl_repo_begin_write(r, err);
        if (k < 0)
                return k;
        cleanup(restore_free) struct restore *rs = calloc(1, sizeof *rs);
        if (!rs) {
                k = OXL_FAIL_PLAIN(err, NOMEM);
        } else {
                rs->repo = r;
                rs->dest = (struct oxl_destination)OXL_DESTINATION_INIT;
                k = restore_locked(rs, paths, n, options ? options : &defaults, err);
                *ret = rs->result;
                restore_free(&rs);
        }
        oxl_repo_end_write(r);
        return k;
}

/* --- recovery ----------------------------------------------------------------------------------------------------- */

static int end_recovered(struct restore *rs, const struct oxl_event *event, enum oxl_intent_state state,
                         const char *why, struct oxl_error *err)
{
        int k = oxl_journal_outcome(rs->repo->journal, event->seq, oxl_owner_number(rs->repo->owner), state, OUTCOME,
                                    true, err);
        struct oxl_recovered said = { .intent = event->seq,
                                      .verb = "restore",
                                      .outcome = oxl_intent_state_text(state),
                                      .commit = rs->spec.source,
                                      .why = why,
                                      .proof = OUTCOME };
        if (k >= 0 && rs->repo->options.recovered)
                rs->repo->options.recovered(rs->repo->options.ctx, &said);
        return k;
}

int oxl_restore_recover(struct oxl_repo *r, const struct oxl_event *event, struct oxl_error *err)
{
        cleanup(restore_free) struct restore *rs = calloc(1, sizeof *rs);
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        if (!rs)
                return OXL_FAIL_PLAIN(err, NOMEM);
        rs->repo = r;
        rs->finishing = true;
        rs->dest = (struct oxl_destination)OXL_DESTINATION_INIT;
        int k = oxl_restore_intent_parse(event->body, &rs->spec, err);
        if (k >= 0)
                k = oxl_repo_objects(r, &rs->objects, err);
        struct oxl_digest commit = rs->spec.source;
        if (k >= 0)
                k = read_source(rs, &commit, err);
        if (k < 0)
                return k;
        k = oxl_destination_open(&rs->dest, r, rs->spec.to, false, &why);
        if (k < 0 && why.code == OXL_E_DIR_OPEN && why.os == ENOENT)
                return end_recovered(rs, event, OXL_INTENT_ROLLED_BACK, "its folder is gone", err);
        if (k < 0) {
                oxl_error_move(err, &why);
                return k;
        }
        k = write_all(rs, err);
        return k < 0 ? k
                     : end_recovered(rs, event, OXL_INTENT_ROLLED_FORWARD, "the remaining files were restored", err);
}
