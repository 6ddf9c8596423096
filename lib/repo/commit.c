/* SPDX-License-Identifier: MIT */
/*
 * oxl_repo_commit: the protocol that everything else serves. `commit_steps` reads as the list of its steps.
 *
 *   hash and store -> trees -> commit object -> packs, blobs and index durable as temps
 *     -> intent STAGED durable                                  before: a crash leaves temps only; rolled back
 *     -> objects renamed, their directories synced              after: rolled forward if everything is present
 *     -> index renamed, its directory synced
 *     -> ref swapped, durable                                   the commit point that readers see
 *     -> outcome (rides in the next transaction)
 *
 * The index moves before the ref, not after it: its temp's name is not synced by itself, so while the ref is old a lost temp still
 * means "roll back"; a new ref proves that the index is in place. (tests/crash/commit_test.c)
 *
 * After STAGED cancellation is ignored. An error then ends as ABORTED when the ref is known not to have moved, else as
 * OUTCOME_UNKNOWN, and recovery decides. An aborted commit may leave the new index: its content then simply counts as staged.
 *
 * Syncs of one commit of small files, 8: pack, versions/packs, index, journal, versions/packs, .oxen-lite, ref, refs/heads
 * (ARCHITECTURE.md says why each; tests/cli/release-syncs.sh counts them).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/path.h"
#include "durable/mutant.h"
#include "objects/commit.h"
#include "os/sys.h"
#include "repo/changes.h"
#include "repo/ignore.h"
#include "repo/intent.h"

struct commit {
        struct oxl_repo *repo;
        const struct oxl_commit_options *options;
        struct oxl_changes changes;
        char *ref;                        /* NULL: HEAD is detached */
        struct oxl_digest old_id, new_id; /* of the ref; old NONE: first commit */
        struct oxl_digest old_tree, tree;
        struct oxl_commit object;
        struct oxl_stage *index;
        const char *index_target;
        struct oxl_commit_intent intent;
        int64_t intent_id;
        uint64_t entries; /* in the new tree */
};

static void commit_done(struct commit *c)
{
        oxl_stage_free(c->index);
        oxl_changes_done(&c->changes);
        oxl_commit_done(&c->object);
        oxl_commit_intent_done(&c->intent);
        free(c->ref);
}

/* --- where we are --- */

static int read_head(struct commit *c, struct oxl_error *err)
{
        int k = oxl_head_read(c->repo, &c->ref, &c->old_id, err);
        if (k < 0)
                return k;
        if (c->ref) {
                k = oxl_ref_read(c->repo, c->ref, &c->old_id, err);
                if (k < 0)
                        return k;
                if (k > 0)
                        c->old_id = (struct oxl_digest)OXL_DIGEST_INIT;
        }
        if (c->old_id.algo == OXL_ALGO_NONE)
                return 0;
        cleanup(oxl_commit_done) struct oxl_commit parent = OXL_COMMIT_INIT;
        k = oxl_commit_read(c->changes.objects, &c->old_id, &parent, err);
        if (k < 0)
                return k; /* never build on a commit that cannot be read */
        c->old_tree = parent.tree;
        return 0;
}

/* --- files --- */

/* Only add --force takes what .oxenliteignore leaves out. */
static int refuse_ignored(struct commit *c, const char *path, struct oxl_error *err)
{
        struct oxl_ignore *ignore;
        int k = oxl_ignore_new(c->repo->worktree_fd, &ignore, err);
        if (k < 0)
                return k;
        k = oxl_ignore_path(ignore, path, false, err);
        oxl_ignore_free(ignore);
        return k > 0 ? OXL_FAIL_PATH(err, PATH_IGNORED, path) : k;
}

/* A path named on the command line: a tracked folder or file as it is now, or a new file. */
static int store_path(struct commit *c, const char *path, struct oxl_error *err)
{
        struct oxl_walk *walk;
        struct oxl_walk_item item;
        uint64_t before = c->changes.looked_at + c->changes.count.removed;
        int k = oxl_changes_tracked(&c->changes, path, OXL_TRACKED_ALL, err);
        if (k < 0)
                return k;
        if (c->changes.looked_at + c->changes.count.removed > before)
                return 0;
        k = oxl_walk_new(c->repo->worktree_fd, path, &walk, err);
        if (k < 0)
                return k;
        k = oxl_walk_next(walk, &item, err);
        if (k == 0 && item.error)
                k = oxl_error_copy(err, item.error);
        else if (k == 0 && item.skip != OXL_SKIP_NONE)
                k = OXL_FAIL_PATH(err, PATH_IGNORED, item.path);
        else if (k == 0 && !S_ISDIR(item.st.st_mode) && (k = refuse_ignored(c, path, err)) == 0)
                k = oxl_changes_store(&c->changes, item.dirfd, item.name, item.path, &item.st, err);
        else if (k >= 0)
                k = OXL_FAIL_PATH(err, PATH_NOT_FOUND, path); /* a folder in which nothing is tracked */
        oxl_walk_free(walk);
        return k;
}

static int store_changes(struct commit *c, struct oxl_error *err)
{
        int k = 0;
        if (c->options->all)
                k = oxl_changes_tracked(&c->changes, "", OXL_TRACKED_ALL, err);
        for (size_t i = 0; k >= 0 && i < c->options->n_paths; i++)
                k = store_path(c, c->options->paths[i], err);
        return k < 0 ? k : oxl_changes_settle(&c->changes, err);
}

/* --- trees and the commit object --- */

static int emit_tree(void *ctx, const void *payload, size_t n, struct oxl_digest *ret_id, struct oxl_error *err)
{
        int k = oxl_put_object(ctx, OXL_KIND_TREE, payload, n, ret_id, err);
        return k < 0 ? k : 0;
}

static int add_entries(struct commit *c, struct oxl_tree_builder *b, struct oxl_index_cursor *cursor,
                       struct oxl_error *err)
{
        struct oxl_index_entry e;
        int k;
        while ((k = oxl_index_cursor_next(cursor, &e, err)) == 0) {
                if (e.kind == OXL_ENTRY_NONE)
                        continue;
                k = oxl_tree_builder_add(b, e.path, e.path_len, e.kind, e.size, &e.id, err);
                if (k < 0)
                        return k;
                c->entries++;
        }
        return k < 0 ? k : 0;
}

static int build_trees(struct commit *c, struct oxl_error *err)
{
        struct oxl_tree_builder *b = NULL;
        struct oxl_index_cursor *cursor = NULL;
        int k = oxl_index_edit_cursor_new(c->changes.edit, "", 0, &cursor, err);
        if (k >= 0)
                k = oxl_tree_builder_new(emit_tree, c->changes.put, &b, err);
        if (k >= 0)
                k = add_entries(c, b, cursor, err);
        if (k >= 0)
                k = oxl_tree_builder_finish(b, &c->tree, err);
        oxl_tree_builder_free(b);
        oxl_index_cursor_free(cursor);
        return k;
}

static int next_staged(void *ctx, struct oxl_tree_item *ret, struct oxl_error *err)
{
        struct oxl_index_entry e;
        int k = oxl_index_cursor_next(ctx, &e, err);
        if (k == 0)
                *ret = (struct oxl_tree_item){ e.path, e.path_len, e.kind, e.size, e.id };
        return k;
}

/* Entries that are not staged equal the old tree: only the staged ones have to be looked at. 1: that tree is damaged. */
static int update_trees(struct commit *c, struct oxl_error *err)
{
        struct oxl_index_cursor *cursor = NULL;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        int k = oxl_index_edit_cursor_new(c->changes.edit, "", OXL_INDEX_STAGED_ONLY, &cursor, err);
        if (k < 0)
                return k;
        k = oxl_tree_update(c->changes.objects, &c->old_tree, next_staged, cursor, emit_tree, c->changes.put, &c->tree,
                            &why);
        oxl_index_cursor_free(cursor);
        if (k == -OXL_E_OBJECT_CORRUPT || k == -OXL_E_OBJECT_MISSING)
                return 1;
        if (k < 0)
                oxl_error_move(err, &why);
        return k;
}

static int write_trees(struct commit *c, struct oxl_error *err)
{
        /* Objects of the old tree have durable names: its commit's ref moved after them. An index of another tree (an aborted
         * commit leaves one) says nothing about it; and building everything heals a damaged tree. */
        bool known =
                c->old_id.algo != OXL_ALGO_NONE && oxl_digest_equal(oxl_index_tree(c->changes.index), &c->old_tree);
        int k = known ? update_trees(c, err) : 1;
        if (k > 0)
                k = build_trees(c, err);
        if (k < 0)
                return k;
        bool same = c->old_id.algo == OXL_ALGO_NONE ? c->entries == 0 : oxl_digest_equal(&c->tree, &c->old_tree);
        if (same && !c->options->allow_empty)
                return OXL_FAIL_PATH(err, NOTHING, c->ref ? oxl_path_base(c->ref) : "HEAD");
        k = oxl_edits_write_index(c->changes.edit, c->changes.put, &c->intent.edits, err); /* for undo */
        if (k < 0)
                return k;
        c->intent.has_index = true;
        c->intent.index_tree = *oxl_index_tree(c->changes.index);
        return oxl_index_edit_commit(c->changes.edit, &c->tree, err);
}

/* config, OXEN_LITE_AUTHOR, else user@host with a notice. */
static int find_author(struct commit *c, struct oxl_error *err)
{
        const struct oxl_settings *s = &c->repo->settings;
        const char *env = getenv("OXEN_LITE_AUTHOR"), *user = getenv("USER");
        char host[256] = "localhost";
        int n;
        if (c->options->author)
                c->object.author = strdup(c->options->author);
        else if (env && env[0])
                c->object.author = strdup(env);
        if (c->object.author)
                return 0;
        if (s->user_name || s->user_email) {
                const char *name = s->user_name ? s->user_name : s->user_email;
                n = s->user_email ? asprintf(&c->object.author, "%s <%s>", name, s->user_email)
                                  : asprintf(&c->object.author, "%s", name);
        } else {
                OXL_IGNORE(gethostname(host, sizeof host - 1), "the default stands");
                if (!user || !user[0])
                        user = "unknown";
                n = asprintf(&c->object.author, "%s <%s@%s>", user, user, host);
                oxl_repo_notice(
                        c->repo, NULL,
                        "no author is set: used the login name; set user.name and user.email with oxen-lite config");
        }
        if (n < 0) {
                c->object.author = NULL;
                return OXL_FAIL_PLAIN(err, NOMEM);
        }
        return 0;
}

static int write_commit_object(struct commit *c, struct oxl_error *err)
{
        cleanup_buf struct oxl_buf text = OXL_BUF_INIT;
        struct tm local;
        struct timespec clock = { 0 };
        OXL_IGNORE(oxl_sys->clock_gettime(CLOCK_REALTIME, &clock), "cannot fail for this clock");
        time_t now = clock.tv_sec;
        int k = find_author(c, err);
        if (k < 0)
                return k;
        c->object.tree = c->tree;
        c->object.parents = c->old_id.algo != OXL_ALGO_NONE;
        c->object.parent[0] = c->old_id;
        c->object.seconds = now;
        c->object.zone_minutes = localtime_r(&now, &local) ? (int)(local.tm_gmtoff / 60) : 0;
        c->object.message = strdup(c->options->message);
        if (!c->object.message)
                return OXL_FAIL_PLAIN(err, NOMEM);
        k = oxl_commit_encode(&c->object, &text, err);
        if (k < 0)
                return k;
        k = oxl_put_object(c->changes.put, OXL_KIND_COMMIT, text.data, text.len, &c->new_id, err);
        return k < 0 ? k : 0;
}

/* --- durable, unnamed --- */

static int stage_all(struct commit *c, struct oxl_error *err)
{
        struct oxl_digest digest;
        uint64_t size;
        int k = oxl_put_finish(c->changes.put, err);
        /* Objects that were only found may have their names in the cache alone; the intent does not list them, so they must
         * be durable before it. Always, so that every commit costs the same. (tests: crash/store, "commit after a killed add") */
        if (k >= 0)
                k = oxl_durable_mark(c->repo->durable, "versions/packs/lookup", err);
        if (k >= 0 && !OXL_MUTANT(INTENT_BEFORE_FOUND))
                k = oxl_durable_barrier(c->repo->durable, err);
        if (k < 0)
                return k;
        k = oxl_index_stage(c->changes.edit, c->repo->durable, &c->index, &c->index_target, &digest, &size, err);
        if (k < 0)
                return k;
        const struct oxl_put_item *items;
        size_t n = oxl_put_items(c->changes.put, &items);
        for (size_t i = 0; i < n; i++) {
                k = oxl_commit_intent_add(&c->intent, items[i].loose ? OXL_INTENT_BLOB : OXL_INTENT_PACK, items[i].temp,
                                          items[i].target, &items[i].digest, items[i].size, err);
                if (k < 0)
                        return k;
        }
        return oxl_commit_intent_add(&c->intent, OXL_INTENT_INDEX, oxl_stage_path(c->index), c->index_target, &digest,
                                     size, err);
}

static int record_intent(struct commit *c, struct oxl_error *err)
{
        cleanup_free char *body = NULL;
        char old_text[OXL_DIGEST_TEXT_MAX], new_text[OXL_DIGEST_TEXT_MAX];
        cleanup_free char *note = strndup(c->object.message, strcspn(c->object.message, "\n"));
        c->intent.ref = strdup(c->ref ? c->ref : "HEAD");
        if (!c->intent.ref || !note)
                return OXL_FAIL_PLAIN(err, NOMEM);
        c->intent.old_id = c->old_id;
        c->intent.new_id = c->new_id;
        c->intent.tree = c->tree;
        int k = oxl_commit_intent_print(&c->intent, &body, err);
        if (k < 0)
                return k;
        oxl_digest_text(&c->old_id, old_text);
        oxl_digest_text(&c->new_id, new_text);
        struct oxl_operation op = {
                .verb = "commit",
                .ref = c->intent.ref,
                .old_id = c->old_id.algo != OXL_ALGO_NONE ? old_text : NULL,
                .new_id = new_text,
                .note = note,
        };
        /* CRASH: during the transaction: no intent, temps only; after it: recovery rolls forward. */
        return oxl_journal_stage(c->repo->journal, oxl_owner_number(c->repo->owner), "commit", body, &op, &c->intent_id,
                                 err);
}

/* --- visible --- */

static int publish_objects_and_index(struct commit *c, struct oxl_error *err)
{
        struct oxl_durable *d = c->repo->durable;
        int k = oxl_put_publish(c->changes.put, err);
        if (k < 0)
                return k;
        /* CRASH: some objects named, unreferenced; recovery finds the rest as temps or rolls back. */
        k = OXL_MUTANT(REF_BEFORE_OBJECTS) ? 0 : oxl_durable_barrier(d, err);
        if (k < 0 || OXL_MUTANT(INDEX_AFTER_REF))
                return k;
        k = oxl_stage_publish(c->index, c->index_target, false, err);
        if (k < 0)
                return k;
        /* CRASH: index new or old, ref old; recovery rolls forward. */
        return OXL_MUTANT(REF_BEFORE_OBJECTS) ? 0 : oxl_durable_barrier(d, err);
}

static int move_ref(struct commit *c, struct oxl_error *err)
{
        /* CRASH: ref old or new, everything it needs durable; recovery writes it again. */
        if (c->ref)
                return oxl_ref_swap(c->repo, c->ref, &c->old_id, &c->new_id, err);
        return oxl_head_swap(c->repo, &c->old_id, &c->new_id, err);
}

/* After STAGED something failed. The ref did not move unless swapping it said "visible, durability unknown". */
static int end_badly(struct commit *c, struct oxl_error *why, struct oxl_error *err)
{
        cleanup_error struct oxl_error second = OXL_ERROR_INIT;
        bool moved = why->code == OXL_E_DIR_SYNC && c->index == NULL;
        if (!moved &&
            oxl_journal_outcome(c->repo->journal, c->intent_id, oxl_owner_number(c->repo->owner), OXL_INTENT_ABORTED,
                                "{\"schema\":\"oxen-lite.outcome/1\",\"proof\":[]}", true, &second) == 0) {
                int code = (int)why->code;
                oxl_error_move(err, why);
                return -code;
        }
        /* The intent stays: leave what it names. */
        oxl_put_leave(c->changes.put);
        c->changes.put = NULL;
        oxl_stage_leave(c->index);
        c->index = NULL;
        char text[64];
        snprintf(text, sizeof text, "intent %lld took effect", (long long)c->intent_id);
        return OXL_FAIL_WHY(err, OUTCOME_UNKNOWN, "commit", text);
}

static int record_done(struct commit *c, bool durable, struct oxl_error *err)
{
        return oxl_journal_outcome(c->repo->journal, c->intent_id, oxl_owner_number(c->repo->owner), OXL_INTENT_DONE,
                                   "{\"schema\":\"oxen-lite.outcome/1\",\"proof\":[]}", durable, err);
}

static int publish_all(struct commit *c, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        int k = OXL_MUTANT(DONE_BEFORE_REF) ? record_done(c, true, &why) : 0;
        if (k >= 0)
                k = publish_objects_and_index(c, &why);
        if (k >= 0 && OXL_MUTANT(INTENT_AFTER_RENAMES))
                k = record_intent(c, &why);
        if (k >= 0 && OXL_MUTANT(INDEX_AFTER_REF))
                k = move_ref(c, &why) < 0 ? -1 : oxl_stage_publish(c->index, c->index_target, false, &why);
        if (k < 0)
                return end_badly(c, &why, err);
        if (OXL_MUTANT(INDEX_AFTER_REF))
                return 0;
        oxl_stage_free(c->index);
        c->index = NULL; /* from here a DIR_SYNC concerns the ref */
        k = move_ref(c, &why);
        return k < 0 ? end_badly(c, &why, err) : 0;
}

/* Nothing that follows can undo the commit: failures here only cost the next recovery a little work. */
static void after_commit(struct commit *c)
{
        cleanup_error struct oxl_error ignored = OXL_ERROR_INIT;
        OXL_IGNORE(record_done(c, false, &ignored), "recovery proves it again");
        OXL_IGNORE(oxl_objects_refresh_lookup(c->changes.objects, false, &ignored), "lookup is derived");
}

static int commit_steps(struct commit *c, struct oxl_error *err)
{
        int k;
        if ((k = oxl_changes_begin(&c->changes, c->repo, err)) < 0 ||                 /* */
            (k = read_head(c, err)) < 0 ||                                            /* where the branch is */
            (k = store_changes(c, err)) < 0 ||                                        /* one pass over the files */
            (k = write_trees(c, err)) < 0 ||                                          /* from the index as it will be */
            (k = write_commit_object(c, err)) < 0 ||                                  /* */
            (k = stage_all(c, err)) < 0 ||                                            /* durable, unnamed */
            (k = OXL_MUTANT(INTENT_AFTER_RENAMES) ? 0 : record_intent(c, err)) < 0 || /* STAGED: the decision */
            (k = publish_all(c, err)) < 0)                                            /* visible, durable */
                return k;
        after_commit(c);
        return 0;
}

static int count_change(void *ctx, const struct oxl_tree_item *a, const struct oxl_tree_item *b, struct oxl_error *err)
{
        uint64_t *n = ctx;
        (void)a;
        (void)b;
        (void)err;
        (*n)++;
        return 0;
}

static void fill_result(struct commit *c, struct oxl_commit_result *ret)
{
        struct oxl_put_stats stats;
        cleanup_error struct oxl_error ignored = OXL_ERROR_INIT;
        oxl_put_get_stats(c->changes.put, &stats);
        *ret = (struct oxl_commit_result){ .commit = c->new_id, .tree = c->tree, .bytes = stats.stored_bytes };
        ret->first = c->old_id.algo == OXL_ALGO_NONE;
        snprintf(ret->branch, sizeof ret->branch, "%s", c->ref ? c->ref + strlen("refs/heads/") : "HEAD");
        OXL_IGNORE(oxl_tree_diff(c->changes.objects, ret->first ? NULL : &c->old_tree, &c->tree, count_change,
                                 &ret->files, &ignored),
                   "only a number for people");
}

int oxl_repo_commit(struct oxl_repo *r, const struct oxl_commit_options *options, struct oxl_commit_result *ret,
                    struct oxl_error *err)
{
        cleanup(commit_done) struct commit c = { .repo = r, .options = options };
        int k = oxl_repo_begin_write(r, err);
        if (k < 0)
                return k;
        k = commit_steps(&c, err);
        if (k == 0)
                fill_result(&c, ret);
        oxl_repo_end_write(r);
        return k;
}
