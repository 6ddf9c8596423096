/* SPDX-License-Identifier: MIT */
/*
 * oxl_repo_restore: files of a commit, or of the index, into the working tree or another folder.
 *
 *   pass 1 looks at every destination and refuses local changes by name; with force it stores them as blobs first
 *     -> intent STAGED -> pass 2, in halves of 2,048: write temps, sync (while the next half is written), rename;
 *        at the end, and after 4,096 folders, sync directories -> outcome
 *
 * Small blobs are read and verified by a crew ahead of the writing. Memory: one batch of names, 4 MiB of blobs, and the list of what was kept; both passes walk the source again. A file is replaced only by bytes that hashed to their name; a
 * damaged blob is named, its file left as it was, and the rest restored.
 * What a crash leaves: some files new, the others old, each whole, and temps carrying our owner number. Recovery runs pass 2
 * again: a file that equals neither the source nor the index, and is not in the store either, is somebody's new work, left
 * alone and reported.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "durable/mutant.h"
#include "objects/commit.h"
#include "repo/move.h"
#include "repo/recover.h"

#define OUTCOME "{\"schema\":\"oxen-lite.outcome/1\",\"proof\":[]}"

struct restore {
        struct oxl_repo *repo;
        struct oxl_checkout out;
        struct oxl_restore_intent spec;
        struct oxl_digest root; /* tree of the source commit; NONE: the index */
        struct oxl_edits kept;  /* of what is overwritten: about 130 bytes for each changed file, with force */
        struct oxl_restore_result result;
        bool finishing; /* recovery */
        bool alone;     /* into another folder, from a repository that cannot be written: no lock and no intent */
        struct oxl_error unwritable; /* why; with alone */
};

static void restore_free(struct restore **p)
{
        struct restore *rs = *p;
        if (!rs)
                return;
        oxl_checkout_done(&rs->out);
        oxl_restore_intent_done(&rs->spec);
        oxl_edits_done(&rs->kept);
        oxl_error_done(&rs->unwritable);
        free(rs);
        *p = NULL;
}

/* --- the source --------------------------------------------------------------------------------------------------- */

typedef int visit_fn(struct restore *rs, const struct oxl_tree_item *item, struct oxl_error *err);

static int visit_tree(struct restore *rs, const char *path, visit_fn *visit, struct oxl_error *err)
{
        struct oxl_tree_cursor *c;
        struct oxl_tree_item item;
        int k = oxl_tree_cursor_new(rs->out.objects, &rs->root, path, 0, &c, err);
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
        int k = oxl_index_cursor_new(rs->out.dest.index, path, 0, &c, err);
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

/* Of a file that is CLEAN. */
static int indexed(struct restore *rs, const struct oxl_tree_item *item, struct oxl_index_entry *ret,
                   struct oxl_error *err)
{
        int k = oxl_index_lookup(rs->out.dest.index, item->path, item->path_len, ret, err);
        OXL_ASSERT(k <= 0);
        return k;
}

static int keep_item(struct restore *rs, const struct oxl_tree_item *item, struct oxl_error *err)
{
        static const struct oxl_state none = { .kind = OXL_ENTRY_NONE };
        struct oxl_state kept;
        if (rs->alone) {
                oxl_repo_notice(rs->repo, item->path,
                                "would be overwritten; the repository cannot be written, so it cannot be kept");
                return oxl_error_copy(err, &rs->unwritable);
        }
        int k = oxl_checkout_keep(&rs->out, item->path, "overwritten", &kept, err);
        return k < 0 ? k : oxl_edits_add(&rs->kept, item->path, item->path_len, &kept, &none, err);
}

static int check_item(struct restore *rs, const struct oxl_tree_item *item, struct oxl_error *err)
{
        enum oxl_destination_state state;
        struct oxl_index_entry entry;
        struct stat st;
        if (oxl_repo_cancelled(rs->repo))
                return OXL_FAIL_PLAIN(err, CANCELLED);
        int k = oxl_destination_look(&rs->out.dest, item, &state, &st, err);
        if (k < 0)
                return k;
        if (state == OXL_DEST_SAME) {
                rs->result.unchanged++;
                return 0;
        }
        rs->out.total++;
        rs->out.total_bytes += item->size;
        if (state == OXL_DEST_ABSENT)
                return 0;
        if (state == OXL_DEST_CLEAN) {
                k = indexed(rs, item, &entry, err);
                return k != 0 ? k
                              : oxl_checkout_secure(&rs->out, item->path, &entry.id, entry.size, "overwritten", err);
        }
        if (!rs->spec.force)
                return OXL_FAIL_PATH(err, PATH_MODIFIED, item->path);
        return keep_item(rs, item, err);
}

/* Everything is looked at, and what will be overwritten is durable, before anything is written. */
static int check_all(struct restore *rs, struct oxl_error *err)
{
        int k = visit_all(rs, check_item, err);
        if (k >= 0)
                k = oxl_edits_sort(&rs->kept, err);
        if (k >= 0 && rs->kept.n > 0)
                k = oxl_edits_write_all(&rs->kept, rs->out.put, &rs->spec.local, err);
        return k < 0 ? k : oxl_checkout_keep_end(&rs->out, err);
}

/* --- pass 2 ------------------------------------------------------------------------------------------------------- */

/* While finishing: the file is right, perhaps only in the cache, because the dead process did not come to sync its folder.
 * tests: crash/release-store, kills in "restore". */
static int confirm(struct restore *rs, const struct oxl_tree_item *item, struct oxl_error *err)
{
        return OXL_MUTANT(RESTORE_BELIEVES_FILES) ? 0 : oxl_durable_mark(rs->out.dest.durable, item->path, err);
}

/* As in move_files.c. 0: the file may be replaced; 1: it stays, and that was said. */
static int may_go(struct restore *rs, const struct oxl_tree_item *item, enum oxl_destination_state state,
                  struct oxl_error *err)
{
        struct oxl_index_entry entry;
        int k = 0;
        if (state == OXL_DEST_CLEAN && rs->finishing) {
                k = indexed(rs, item, &entry, err);
                if (k >= 0)
                        k = oxl_checkout_blob_good(&rs->out, &entry.id, err);
                if (k > 0)
                        oxl_repo_notice(rs->repo, item->path,
                                        "left alone: its content is damaged or missing in the store");
        } else if (state == OXL_DEST_CHANGED) { /* pass 1 stored it; if it is not in the store it is newer */
                k = rs->spec.force ? oxl_destination_is_stored(&rs->out.dest, rs->out.objects, item->path, err) : 1;
                if (k > 0)
                        oxl_repo_notice(rs->repo, item->path, "left alone: it was changed meanwhile");
        }
        return k;
}

static int restore_item(struct restore *rs, const struct oxl_tree_item *item, struct oxl_error *err)
{
        enum oxl_destination_state state;
        struct stat st;
        if (!rs->finishing && oxl_repo_cancelled(rs->repo))
                return OXL_FAIL_PLAIN(err, CANCELLED);
        int k = rs->finishing ? oxl_checkout_sweep_beside(&rs->out, item->path, err) : 0;
        if (k >= 0)
                k = oxl_destination_look(&rs->out.dest, item, &state, &st, err);
        if (k < 0)
                return k;
        if (state == OXL_DEST_SAME)
                return rs->finishing ? confirm(rs, item, err) : 0;
        k = may_go(rs, item, state, err);
        if (k != 0)
                return k < 0 ? k : 0;
        return oxl_checkout_write(&rs->out, item, state == OXL_DEST_ABSENT ? NULL : &st, NULL, err);
}

static int write_all(struct restore *rs, struct oxl_error *err)
{
        int k = oxl_checkout_read_ahead(&rs->out, err);
        if (k >= 0)
                k = visit_all(rs, restore_item, err);
        return k < 0 ? k : oxl_checkout_flush(&rs->out, err);
}

/* --- the verb ----------------------------------------------------------------------------------------------------- */

static int read_source(struct restore *rs, const struct oxl_digest *commit, struct oxl_error *err)
{
        cleanup(oxl_commit_done) struct oxl_commit c = OXL_COMMIT_INIT;
        if (commit->algo == OXL_ALGO_NONE)
                return 0;
        int k = oxl_commit_read(rs->out.objects, commit, &c, err);
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
        cleanup_free char *body = NULL, *note = NULL;
        if (rs->out.dest.path) {
                rs->spec.to = strdup(rs->out.dest.path);
                if (!rs->spec.to)
                        return OXL_FAIL_PLAIN(err, NOMEM);
        }
        int k = oxl_restore_intent_print(&rs->spec, &body, err);
        if (k >= 0)
                k = oxl_paths_note((const char *const *)rs->spec.paths, rs->spec.n_paths, &note, err);
        const struct oxl_operation op = { .verb = "restore", .note = note };
        return k < 0 ? k
                     : oxl_journal_stage(rs->repo->journal, oxl_owner_number(rs->repo->owner), "restore", body, &op,
                                         ret_id, err);
}

/* Files that were restored stay; the outcome says that the rest was given up. Once a file was replaced the operation stays in the log:
 * it names what was kept. */
static int end_badly(struct restore *rs, int64_t intent, int k)
{
        cleanup_error struct oxl_error ignored = OXL_ERROR_INIT;
        enum oxl_intent_state state = rs->out.changed ? OXL_INTENT_DONE : OXL_INTENT_ABORTED;
        oxl_checkout_drop_batch(&rs->out);
        if (rs->alone)
                return k;
        if (!rs->out.changed)
                oxl_checkout_tell_aborted(&rs->out);
        OXL_IGNORE(oxl_journal_outcome(rs->repo->journal, intent, oxl_owner_number(rs->repo->owner), state, OUTCOME,
                                       true, &ignored),
                   "the intent stays open then, and recovery finishes it");
        return k;
}

static int restore_locked(struct restore *rs, const char *const *paths, size_t n, const struct oxl_restore_options *o,
                          struct oxl_error *err)
{
        int64_t intent = 0;
        int k;
        if ((k = oxl_checkout_init(&rs->out, rs->repo, "restoring", err)) < 0 ||
            (k = make_spec(rs, paths, n, o, err)) < 0 ||                                 /* what */
            (k = oxl_destination_open(&rs->out.dest, rs->repo, o->to, true, err)) < 0 || /* where to */
            (k = check_all(rs, err)) < 0) /* refuse, or keep what is there */
                return k;
        if (rs->out.total == 0)
                return 0;
        if ((k = rs->alone || OXL_MUTANT(RESTORE_WITHOUT_INTENT) ? 0 : record_intent(rs, &intent, err)) < 0)
                return k;
        oxl_checkout_tell_kept(&rs->out);
        k = write_all(rs, err);
        if (k < 0)
                return end_badly(rs, intent, k);
        cleanup_error struct oxl_error ignored = OXL_ERROR_INIT;
        if (!rs->alone)
                OXL_IGNORE(oxl_journal_outcome(rs->repo->journal, intent, oxl_owner_number(rs->repo->owner),
                                               OXL_INTENT_DONE, OUTCOME, false, &ignored),
                           "recovery proves it again");
        return oxl_checkout_end(&rs->out, err);
}

/* The writer lock; or, for another folder, no lock where the repository cannot be written (another user's, a read-only mount): then
 * we only read from it, as cat does, and what a crash leaves is files of that folder, whole, and temps that sweep knows. */
static int begin(struct restore *rs, const struct oxl_restore_options *o, struct oxl_error *err)
{
        struct oxl_error *why = &rs->unwritable;
        int k = oxl_repo_begin_write(rs->repo, why);
        bool refused = why->code == OXL_E_FILE_OPEN && (why->os == EROFS || why->os == EACCES || why->os == EPERM);
        rs->alone = k < 0 && o->to && !rs->repo->owner && (refused || rs->repo->format.read_only);
        if (k < 0 && !rs->alone)
                oxl_error_move(err, why);
        return rs->alone ? 0 : k;
}

int oxl_repo_restore(struct oxl_repo *r, const char *const *paths, size_t n, const struct oxl_restore_options *options,
                     struct oxl_restore_result *ret, struct oxl_error *err)
{
        static const struct oxl_restore_options defaults;
        cleanup(restore_free) struct restore *rs = calloc(1, sizeof *rs);
        if (!rs)
                return OXL_FAIL_PLAIN(err, NOMEM);
        rs->repo = r;
        int k = begin(rs, options ? options : &defaults, err);
        if (k < 0)
                return k;
        k = restore_locked(rs, paths, n, options ? options : &defaults, err);
        rs->result.files = rs->out.files;
        rs->result.bytes = rs->out.bytes;
        rs->result.kept = rs->out.kept;
        *ret = rs->result;
        restore_free(&rs); /* its temps go before the lock */
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
        if (k >= 0)
                oxl_kept_recovered(rs->repo, event->body, &said);
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
        int k = oxl_restore_intent_parse(event->body, &rs->spec, err);
        if (k >= 0)
                k = oxl_checkout_init(&rs->out, r, "restoring", err);
        struct oxl_digest commit = rs->spec.source;
        if (k >= 0)
                k = read_source(rs, &commit, err);
        if (k < 0)
                return k;
        k = oxl_destination_open(&rs->out.dest, r, rs->spec.to, false, &why);
        if (k < 0 && why.code == OXL_E_DIR_OPEN && why.os == ENOENT)
                return end_recovered(rs, event, OXL_INTENT_ROLLED_BACK, "its folder is gone", err);
        if (k >= 0)
                k = write_all(rs, &why);
        if (k >= 0)
                return end_recovered(rs, event, OXL_INTENT_ROLLED_FORWARD, "the remaining files were restored", err);
        k = oxl_checkout_leave(&rs->out, NULL, k, &why, err);
        return k < 0 ? k
                     : end_recovered(rs, event, OXL_INTENT_ROLLED_BACK,
                                     "its folder does not allow it; files restored so far stay", err);
}
