/* SPDX-License-Identifier: MIT */
/* The workloads of the store, one row each; see storelab.h. */
#include <stdio.h>
#include <string.h>

#include <oxenlite/gc.h>
#include <oxenlite/tools.h>
#include <oxenlite/verbs.h>

#include "base/cleanup.h"
#include "check/trashed.h"
#include "crash/storelab.h"
#include "repo/repo.h"

enum { PATH_BYTES = 256 };

/* --- setups and runs ----------------------------------------------------------------------------------------------- */

static bool with_repo(bool (*verb)(struct oxl_repo *r, struct lab *l), struct lab *l)
{
        struct oxl_repo *r = lab_open();
        bool ok = r && verb(r, l);
        oxl_repo_close(r);
        return ok;
}

static bool settled(struct lab *l, bool ok)
{
        if (ok)
                lab_settle(l);
        return ok;
}

static bool setup_nothing(struct lab *l)
{
        return settled(l, true);
}

static bool run_init(struct lab *l)
{
        bool ok = lab_init();
        lab_ack(l);
        return ok;
}

/* A repository, and the files of version 1, not added. */
static bool setup_files(struct lab *l)
{
        return settled(l, lab_init() && lab_put_version(l, 1));
}

static bool add_all(struct oxl_repo *r, struct lab *l)
{
        (void)l;
        return lab_add(r, "");
}

static bool run_add(struct lab *l)
{
        bool ok = with_repo(add_all, l);
        lab_ack(l);
        return ok;
}

static int count_change(void *ctx, const struct oxl_status_item *item, struct oxl_error *err)
{
        unsigned *count = ctx;
        (void)err;
        count[item->change == OXL_STAGED_ADDED]++;
        return 0;
}

static const char *added_or_not(struct lab *l, unsigned acked)
{
        unsigned count[2] = { 0, 0 }; /* others, added */
        struct oxl_repo *r = lab_open();
        int k = r ? oxl_repo_status(r, count_change, count, NULL) : -1;
        (void)l;
        oxl_repo_close(r);
        if (k < 0 || (count[0] > 0 && count[1] > 0))
                return "O4: added by half";
        return acked > 0 && count[1] != 3 ? "O2: acknowledged and not staged" : NULL;
}

static bool setup_added(struct lab *l)
{
        return settled(l, lab_init() && lab_put_version(l, 1) && with_repo(add_all, l));
}

static bool commit_1(struct oxl_repo *r, struct lab *l)
{
        (void)l;
        return lab_commit(r, 1, false);
}

static bool commit_2(struct oxl_repo *r, struct lab *l)
{
        (void)l;
        return lab_commit(r, 2, false);
}

static bool commit_2_all(struct oxl_repo *r, struct lab *l)
{
        (void)l;
        return lab_commit(r, 2, true);
}

static bool run_commit_1(struct lab *l)
{
        bool ok = with_repo(commit_1, l);
        lab_ack(l);
        return ok;
}

static bool setup_committed(struct lab *l)
{
        return settled(l, lab_init() && lab_put_version(l, 1) && with_repo(add_all, l) && with_repo(commit_1, l));
}

/* Version 2 in the working tree: files that it lacks are removed. */
static bool put_2(struct lab *l)
{
        for (int i = 0; i < LAB_FILES && l->w->versions[1].files[i].path; i++) {
                char path[256];
                snprintf(path, sizeof path, LAB_TREE "/%s", l->w->versions[1].files[i].path);
                (void)oxl_sys->unlinkat(AT_FDCWD, path, 0);
        }
        return lab_put_version(l, 2);
}

static bool setup_changed(struct lab *l)
{
        return settled(l, setup_committed(l) && put_2(l));
}

static bool setup_change_added(struct lab *l)
{
        return settled(l, setup_committed(l) && put_2(l) && with_repo(add_all, l));
}

static bool run_commit_2(struct lab *l)
{
        bool ok = with_repo(commit_2, l);
        lab_ack(l);
        return ok;
}

static bool run_commit_2_all(struct lab *l)
{
        bool ok = with_repo(commit_2_all, l);
        lab_ack(l);
        return ok;
}

static bool small_packs(struct oxl_repo *r, struct lab *l)
{
        (void)l;
        return oxl_repo_config_set(r, "pack_threshold", "4096", NULL) == 0;
}

static bool setup_large(struct lab *l)
{
        return settled(l, setup_committed(l) && with_repo(small_packs, l) && put_2(l));
}

/* Two processes, one after the other. */
static bool run_two_commits(struct lab *l)
{
        bool ok = with_repo(commit_1, l);
        lab_ack(l);
        ok = ok && put_2(l) && with_repo(add_all, l);
        lab_ack(l);
        ok = ok && with_repo(commit_2, l);
        lab_ack(l);
        return ok;
}

static bool two_in_one(struct oxl_repo *r, struct lab *l)
{
        if (!lab_commit(r, 1, false))
                return false;
        lab_ack(l);
        if (!lab_put(&l->w->versions[2].files[0]) || !lab_commit(r, 2, true))
                return false;
        lab_ack(l);
        return true;
}

static bool run_two_in_one(struct lab *l)
{
        return with_repo(two_in_one, l);
}

/* --- restore --------------------------------------------------------------------------------------------------------- */

/* Version 1 is committed, the working tree has that of version 2, committed as well. */
static bool setup_two(struct lab *l)
{
        return settled(l, setup_changed(l) && with_repo(add_all, l) && with_repo(commit_2, l));
}

static bool restore_old(struct oxl_repo *r, struct lab *l)
{
        const struct oxl_restore_options options = { .source = "HEAD~1" };
        const char *path = "";
        struct oxl_restore_result result;
        (void)l;
        return oxl_repo_restore(r, &path, 1, &options, &result, NULL) == 0;
}

static bool run_restore(struct lab *l)
{
        bool ok = with_repo(restore_old, l);
        lab_ack(l);
        return ok;
}

/* All of version @to, or all of what was there: recovery finishes what was begun. */
static const char *all_or_nothing(struct lab *l, unsigned acked, const char *folder, const struct lab_version *old)
{
        const struct lab_version *new_ = &l->w->versions[1];
        bool is_old = true, is_new = true;
        for (int i = 0; i < LAB_FILES && new_->files[i].path; i++) {
                char path[256];
                struct stat st;
                snprintf(path, sizeof path, "%s%s", folder, new_->files[i].path);
                is_new = is_new && lab_is(path, new_->files[i].seed, new_->files[i].size);
                char full[300];
                snprintf(full, sizeof full, LAB_TREE "/%s", path);
                bool absent = oxl_sys->fstatat(AT_FDCWD, full, &st, 0) < 0;
                bool same = false;
                for (int k = 0; old && k < LAB_FILES && old->files[k].path; k++)
                        if (strcmp(old->files[k].path, new_->files[i].path) == 0)
                                same = lab_is(path, old->files[k].seed, old->files[k].size);
                is_old = is_old && (same || absent);
        }
        if (acked > 0 && !is_new)
                return "O2: acknowledged, and not restored";
        return is_old || is_new ? NULL : "O4: restored by half";
}

static const char *restored_or_not(struct lab *l, unsigned acked)
{
        return all_or_nothing(l, acked, "", &l->w->versions[2]);
}

static bool restore_to(struct oxl_repo *r, struct lab *l)
{
        const struct oxl_restore_options options = { .source = "HEAD~1", .to = LAB_TREE "/out/deep" };
        const char *path = "";
        struct oxl_restore_result result;
        (void)l;
        return oxl_repo_restore(r, &path, 1, &options, &result, NULL) == 0;
}

static bool run_restore_to(struct lab *l)
{
        bool ok = with_repo(restore_to, l);
        lab_ack(l);
        return ok;
}

static const char *restored_there_or_not(struct lab *l, unsigned acked)
{
        return all_or_nothing(l, acked, "out/deep/", NULL);
}

static bool restore_force(struct oxl_repo *r, struct lab *l)
{
        const struct oxl_restore_options options = { .source = "HEAD", .force = true };
        const char *path = "";
        struct oxl_restore_result result;
        (void)l;
        return oxl_repo_restore(r, &path, 1, &options, &result, NULL) == 0;
}

static bool run_restore_force(struct lab *l)
{
        bool ok = with_repo(restore_force, l);
        lab_ack(l);
        return ok;
}

/* --- small files ------------------------------------------------------------------------------------------------------ */

static bool set_name(struct oxl_repo *r, struct lab *l)
{
        bool ok = oxl_repo_config_set(r, "user.name", "Lab", NULL) == 0;
        lab_ack(l);
        return ok;
}

static bool run_config(struct lab *l)
{
        return with_repo(set_name, l);
}

static const char *name_is_set(struct lab *l, unsigned acked)
{
        struct oxl_repo *r = lab_open();
        cleanup_free char *value = NULL;
        (void)l;
        int k = r ? oxl_repo_config_get(r, "user.name", &value, NULL) : -1;
        bool sound = r && oxl_repo_config_state(r) == OXL_CONFIG_SOUND;
        oxl_repo_close(r);
        if (k < 0 || !sound || (value && strcmp(value, "Lab") != 0))
                return "O1: the setting is neither old nor new";
        return acked > 0 && !value ? "O2: acknowledged and lost" : NULL;
}

#define LAB_TAG "refs/tags/a/b"

static bool make_tag(struct oxl_repo *r, struct lab *l)
{
        struct oxl_digest none = OXL_DIGEST_INIT, id;
        if (oxl_repo_resolve(r, "HEAD", &id, NULL) < 0 || oxl_repo_begin_write(r, NULL) < 0)
                return false;
        bool ok = oxl_ref_swap(r, LAB_TAG, &none, &id, NULL) == 0;
        oxl_repo_end_write(r);
        lab_ack(l);
        return ok;
}

static bool run_tag(struct lab *l)
{
        return with_repo(make_tag, l);
}

static const char *tag_is_there(struct lab *l, unsigned acked)
{
        struct oxl_repo *r = lab_open();
        struct oxl_digest id;
        (void)l;
        int k = r ? oxl_ref_read(r, LAB_TAG, &id, NULL) : -1;
        oxl_repo_close(r);
        if (k < 0)
                return "O1: the tag is neither there nor absent";
        return acked > 0 && k > 0 ? "O2: acknowledged and lost" : NULL;
}

/* --- after the death of another process ------------------------------------------------------------------------------- */

static bool verb_add(struct lab *l)
{
        return with_repo(add_all, l);
}

static bool verb_commit(struct lab *l)
{
        return with_repo(commit_2_all, l);
}

static bool run_recover_only(void)
{
        struct oxl_repo *r = lab_open();
        bool ok = r && oxl_repo_recover(r, NULL, NULL) == 0;
        oxl_repo_close(r);
        return ok;
}

static bool run_recover(struct lab *l)
{
        bool ok = run_recover_only();
        lab_ack(l);
        return ok;
}

/* add was killed after it renamed its pack: the name is in the cache only. The next add finds the object there. */
static bool setup_add_killed(struct lab *l)
{
        return setup_files(l) && lab_die_in(l, verb_add, false, "rename", ".pack");
}

/* add was killed after it renamed the index: the next add finds that there is nothing to do. */
static bool setup_add_killed_at_index(struct lab *l)
{
        return setup_files(l) && lab_die_in(l, verb_add, false, "rename", "index");
}

static bool run_add_and_commit(struct lab *l)
{
        bool ok = with_repo(add_all, l);
        lab_ack(l);
        ok = ok && with_repo(commit_1, l);
        lab_ack(l);
        return ok;
}

static bool run_add_and_commit_2(struct lab *l)
{
        bool ok = with_repo(add_all, l);
        lab_ack(l);
        ok = ok && with_repo(commit_2, l);
        lab_ack(l);
        return ok;
}

/* commit was killed after the pack got its name, in the cache only. */
static bool setup_commit_killed(struct lab *l)
{
        return setup_changed(l) && lab_die_in(l, verb_commit, false, "rename", ".pack");
}

/* The same of a second version; then commit is given the path, and finds its content in the pack without a durable name. */
static bool setup_change_killed(struct lab *l)
{
        return setup_changed(l) && lab_die_in(l, verb_add, false, "rename", ".pack");
}

static bool commit_paths(struct oxl_repo *r, struct lab *l)
{
        static const char *const paths[] = { "a", "d/c", "d/n" };
        const struct oxl_commit_options options = {
                .message = "2", .author = "L <l@lab>", .paths = paths, .n_paths = 3
        };
        struct oxl_commit_result result;
        (void)l;
        return oxl_repo_commit(r, &options, &result, NULL) == 0;
}

static bool run_commit_paths(struct lab *l)
{
        bool ok = with_repo(commit_paths, l);
        lab_ack(l);
        return ok;
}

/* commit was killed after it wrote the intent and before it synced it. */
static bool setup_commit_killed_in_journal(struct lab *l)
{
        return setup_changed(l) && lab_die_in(l, verb_commit, true, "sync ", "journal.db-wal");
}

static bool setup_commit_killed_at_index(struct lab *l)
{
        return setup_changed(l) && lab_die_in(l, verb_commit, false, "rename", "index");
}

static bool setup_commit_killed_at_ref(struct lab *l)
{
        return setup_changed(l) && lab_die_in(l, verb_commit, false, "rename", "refs/heads/main");
}

static void find_pack_of_intent(void *ctx, const char *path)
{
        size_t n = strlen(path);
        if (n > 5 && strcmp(path + n - 5, ".pack") == 0)
                snprintf(ctx, PATH_BYTES, "%s", path); /* the last one listed is the newest */
}

/* The same, then somebody copies the pack out and in again (from a backup, say), and syncs nothing. */
static bool setup_pack_copied_back(struct lab *l)
{
        char path[PATH_BYTES] = "";
        static char bytes[1 << 18];
        if (!setup_commit_killed(l))
                return false;
        lab_settle(l);
        modelfs_each(modelfs_current(), find_pack_of_intent, path);
        ssize_t n = modelfs_get(path, bytes, sizeof bytes);
        return n > 0 && oxl_sys->unlinkat(AT_FDCWD, path, 0) == 0 && modelfs_put(path, bytes, (size_t)n, 0444);
}

static void remove_index_temp(void *ctx, const char *path)
{
        if (strncmp(path, LAB_REPO "/index", strlen(LAB_REPO "/index")) == 0 && strstr(path, ".oxl-"))
                snprintf(ctx, PATH_BYTES, "%s", path);
}

/* The intent is durable and the new index lost: recovery has to undo. */
static bool setup_undone(struct lab *l)
{
        char path[PATH_BYTES] = "";
        if (!setup_changed(l) || !lab_die_in(l, verb_commit, true, "rename", ".pack"))
                return false;
        modelfs_each(modelfs_current(), remove_index_temp, path);
        bool ok = path[0] && oxl_sys->unlinkat(AT_FDCWD, path, 0) == 0;
        return settled(l, ok);
}

static void find_any_temp(void *ctx, const char *path)
{
        *(bool *)ctx |= strstr(path, "/versions/tmp/") && strstr(path, ".oxl-");
}

/* What recovery said that it removed does not come back. */
static const char *removed_stays_removed(struct lab *l, unsigned acked)
{
        bool there = false;
        (void)l;
        modelfs_each(modelfs_current(), find_any_temp, &there);
        return acked > 0 && there ? "O3: a temp is back that recovery had removed" : NULL;
}

/* --- repair ---------------------------------------------------------------------------------------------------------------- */

enum { DAMAGED_MAX = 1 << 18 };

static char damaged[DAMAGED_MAX]; /* what the damaged file held when the repair began */
static size_t damaged_bytes;

/* Flips a bit at @at (from the end when negative) of @path. */
static bool damage(const char *path, long at)
{
        ssize_t n = modelfs_get(path, damaged, sizeof damaged);
        size_t byte = at < 0 ? (size_t)(n + at) : (size_t)at;
        if (n < 0 || (size_t)n == sizeof damaged || byte >= (size_t)n)
                return false;
        damaged_bytes = (size_t)n;
        damaged[byte] = (char)(damaged[byte] ^ 1);
        struct stat st;
        return oxl_sys->fstatat(AT_FDCWD, path, &st, 0) == 0 &&
               modelfs_put(path, damaged, damaged_bytes, st.st_mode & 0777);
}

static void find_damaged(void *ctx, const char *path)
{
        static char bytes[DAMAGED_MAX];
        struct stat st;
        if (*(bool *)ctx || oxl_sys->fstatat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) ||
            (size_t)st.st_size != damaged_bytes)
                return;
        *(bool *)ctx = modelfs_get(path, bytes, sizeof bytes) == (ssize_t)damaged_bytes &&
                       memcmp(bytes, damaged, damaged_bytes) == 0;
}

/* A repair deletes nothing: the damaged file is in its place or in quarantine. */
static const char *damaged_is_kept(struct lab *l, unsigned acked)
{
        bool there = false;
        (void)l, (void)acked;
        modelfs_each(modelfs_current(), find_damaged, &there);
        return there ? NULL : "O2: the damaged file is neither in its place nor in quarantine";
}

static bool run_repair(struct lab *l)
{
        bool ok = lab_repair();
        lab_ack(l);
        return ok;
}

/* A record of the only pack: its content is in the working tree as well. */
static bool setup_pack_damaged(struct lab *l)
{
        char path[PATH_BYTES] = "";
        if (!setup_committed(l))
                return false;
        modelfs_each(modelfs_current(), find_pack_of_intent, path);
        return settled(l, damage(path, 200));
}

/* The beginning: every record is whole. */
static bool setup_pack_header_damaged(struct lab *l)
{
        char path[PATH_BYTES] = "";
        if (!setup_committed(l))
                return false;
        modelfs_each(modelfs_current(), find_pack_of_intent, path);
        return settled(l, damage(path, 1));
}

static void find_loose(void *ctx, const char *path)
{
        struct stat st;
        if (strstr(path, "/versions/files/") && oxl_sys->fstatat(AT_FDCWD, path, &st, 0) == 0 && S_ISREG(st.st_mode))
                snprintf(ctx, PATH_BYTES, "%s", path);
}

static bool commit_large(struct lab *l)
{
        return setup_large(l) && with_repo(add_all, l) && with_repo(commit_2, l);
}

/* A large file's blob: it is healed from the working tree. */
static bool setup_blob_damaged(struct lab *l)
{
        char path[PATH_BYTES] = "";
        if (!commit_large(l))
                return false;
        modelfs_each(modelfs_current(), find_loose, path);
        return settled(l, damage(path, -5));
}

static bool setup_index_damaged(struct lab *l)
{
        return settled(l, setup_changed(l) && damage(LAB_REPO "/index", -5));
}

/* Adding the same bytes heals a damaged blob. */
static bool setup_blob_damaged_and_staged(struct lab *l)
{
        static const struct lab_file same = { "again", 6, 9000 };
        return setup_blob_damaged(l) && settled(l, lab_put(&same));
}

/* --- one sync fails -------------------------------------------------------------------------------------------------- */

/* One sync of the commit fails, its pages are lost; another process does it again. An aborted commit may leave the new
 * index (lib/repo/commit.c), so status is not looked at. */
enum { JOURNAL_SYNC = 4 }; /* the intent's: before anything moved, so status is looked at when it fails */

static bool run_failing(struct lab *l)
{
        modelfs_fail_sync(l->fs, l->plan.failing_sync ? l->plan.failing_sync : JOURNAL_SYNC);
        bool ok = with_repo(commit_2_all, l);
        l->sync_failed = !modelfs_sync_will_fail(l->fs);
        modelfs_fail_sync(l->fs, 0);
        if (!ok)
                ok = with_repo(commit_2_all, l) ||
                     run_recover_only(); /* "nothing to commit": the first one had come far enough */
        lab_ack(l);
        return ok;
}

/* --- the table ---------------------------------------------------------------------------------------------------------- */

/* --- branches, undo ---------------------------------------------------------------------------------------------------- */

static bool go(struct oxl_repo *r, const char *name, bool create)
{
        const struct oxl_switch_options options = { .create = create };
        struct oxl_switch_result result;
        return oxl_repo_switch(r, name, &options, &result, NULL) == 0;
}

static bool new_topic(struct oxl_repo *r, struct lab *l)
{
        struct oxl_digest id;
        (void)l;
        return oxl_repo_branch_create(r, "spare", NULL, &id, NULL) == 0 && go(r, "topic", true);
}

static bool to_main(struct oxl_repo *r, struct lab *l)
{
        (void)l;
        return go(r, "main", false);
}

static bool to_topic(struct oxl_repo *r, struct lab *l)
{
        (void)l;
        return go(r, "topic", false);
}

/* Version 1 is main, version 2 is topic; HEAD is main. */
static bool setup_branches(struct lab *l)
{
        return settled(l, setup_committed(l) && with_repo(new_topic, l) && put_2(l) && with_repo(add_all, l) &&
                                  with_repo(commit_2, l) && with_repo(to_main, l));
}

static bool run_switch(struct lab *l)
{
        bool ok = with_repo(to_topic, l);
        lab_ack(l);
        return ok;
}

static bool undo(struct oxl_repo *r, struct lab *l)
{
        struct oxl_undo_result result;
        (void)l;
        return oxl_repo_undo(r, 0, NULL, &result, NULL) == 0;
}

static bool setup_switched_back(struct lab *l)
{
        return settled(l, setup_branches(l) && with_repo(to_topic, l) && with_repo(undo, l));
}

static bool setup_commit_undone(struct lab *l)
{
        return settled(l, setup_change_added(l) && with_repo(commit_2, l) && with_repo(undo, l));
}

static bool run_undo(struct lab *l)
{
        bool ok = with_repo(undo, l);
        lab_ack(l);
        return ok;
}

static bool rm_all(struct oxl_repo *r, struct lab *l)
{
        const char *const paths[] = { "d" };
        struct oxl_rm_result result;
        (void)l;
        return oxl_repo_rm(r, paths, 1, NULL, &result, NULL) == 0;
}

static bool run_rm(struct lab *l)
{
        bool ok = with_repo(rm_all, l);
        lab_ack(l);
        return ok;
}

static int count_removed(void *ctx, const struct oxl_status_item *item, struct oxl_error *err)
{
        unsigned *count = ctx;
        (void)err;
        count[item->change == OXL_STAGED_REMOVED]++;
        return 0;
}

static const char *removed_or_not(struct lab *l, unsigned acked)
{
        unsigned count[2] = { 0, 0 }; /* others, staged as removed */
        struct oxl_repo *r = lab_open();
        int k = r ? oxl_repo_status(r, count_removed, count, NULL) : -1;
        (void)l;
        oxl_repo_close(r);
        if (k < 0 || count[0] > 0 || (count[1] != 0 && count[1] != 2))
                return "O4: removed by half";
        return acked > 0 && count[1] == 0 ? "O2: acknowledged and not removed" : NULL;
}

static bool delete_spare(struct oxl_repo *r, struct lab *l)
{
        struct oxl_digest id;
        (void)l;
        return oxl_repo_branch_delete(r, "spare", &id, NULL) == 0;
}

static bool run_branch_delete(struct lab *l)
{
        bool ok = with_repo(delete_spare, l);
        lab_ack(l);
        return ok;
}

static const char *spare_is_gone(struct lab *l, unsigned acked)
{
        struct oxl_digest id;
        struct oxl_repo *r = lab_open();
        int k = r ? oxl_repo_resolve(r, "spare", &id, NULL) : -1;
        (void)l;
        oxl_repo_close(r);
        if (k != 0 && k != -OXL_E_REF_NOT_FOUND)
                return "O4: deleted by half";
        return acked > 0 && k == 0 ? "O2: acknowledged and not deleted" : NULL;
}

/* --- copy: the watched repository is the destination ------------------------------------------------------------------- */

#define COPY_SOURCE "/tmp/source"

static bool copy_there(struct oxl_repo *r, struct lab *l)
{
        struct oxl_copy_result result;
        (void)l;
        return oxl_repo_copy(r, "/tmp/copy", NULL, &result, NULL) == 0;
}

static bool rename_folder(const char *from, const char *to)
{
        return oxl_sys->renameat2(AT_FDCWD, from, AT_FDCWD, to, 0) == 0;
}

/* The source has version 1, the destination is an empty folder. */
static bool setup_copy(struct lab *l)
{
        return settled(l, setup_committed(l) && rename_folder(LAB_TREE, COPY_SOURCE) &&
                                  oxl_sys->mkdirat(AT_FDCWD, LAB_TREE, 0777) == 0);
}

/* The source has version 2, the destination, in which nobody works, version 1. */
static bool setup_copied(struct lab *l)
{
        return settled(l, setup_committed(l) && with_repo(copy_there, l) && put_2(l) && with_repo(add_all, l) &&
                                  with_repo(commit_2, l) && rename_folder(LAB_TREE, COPY_SOURCE) &&
                                  rename_folder("/tmp/copy", LAB_TREE));
}

static bool run_copy(struct lab *l)
{
        struct oxl_copy_result result;
        struct oxl_repo *r = NULL;
        bool ok =
                oxl_repo_open(COPY_SOURCE, NULL, &r, NULL) == 0 && oxl_repo_copy(r, LAB_TREE, NULL, &result, NULL) == 0;
        oxl_repo_close(r);
        lab_ack(l);
        return ok;
}

#define V1 { { "a", 1, 700 }, { "d/b", 2, 5000 }, { "d/c", 3, 0 } }
#define V2 { { "a", 4, 900 }, { "d/b", 2, 5000 }, { "d/n", 5, 3000 } }
#define V2_TRACKED { { "a", 4, 900 }, { "d/b", 2, 5000 } }
#define V2_LARGE { { "a", 4, 900 }, { "d/b", 2, 5000 }, { "big", 6, 9000 } }

/* --- gc ---------------------------------------------------------------------------------------------------------------- */

static const struct lab_file lab_garbage = { "garbage", 9, 19000 };

static bool no_days(struct oxl_repo *r, struct lab *l)
{
        (void)l;
        return oxl_repo_config_set(r, "gc.keep_days", "0", NULL) == 0;
}

static bool forget_garbage(struct oxl_repo *r, struct lab *l)
{
        const char *const paths[] = { lab_garbage.path };
        const struct oxl_rm_options options = { .cached = true };
        struct oxl_rm_result result;
        (void)l;
        return oxl_repo_rm(r, paths, 1, &options, &result, NULL) == 0 &&
               oxl_sys->unlinkat(AT_FDCWD, LAB_TREE "/garbage", 0) == 0;
}

/* The pack with the content of version 2 is mostly dead; nothing leads to the rest of it. */
static bool setup_garbage(struct lab *l)
{
        return settled(l, setup_committed(l) && with_repo(no_days, l) && put_2(l) && lab_put(&lab_garbage) &&
                                  with_repo(add_all, l) && with_repo(forget_garbage, l) && with_repo(commit_2, l));
}

static bool collect(struct oxl_repo *r, struct lab *l)
{
        struct oxl_gc_result result;
        (void)l;
        return oxl_gc_run(r, NULL, NULL, NULL, &result, NULL) == 0 && result.rewritten.files == 1;
}

static bool run_gc(struct lab *l)
{
        bool ok = with_repo(collect, l);
        lab_ack(l);
        return ok;
}

static bool setup_collected(struct lab *l)
{
        return settled(l, setup_garbage(l) && with_repo(collect, l));
}

static int first_run(void *ctx, const struct oxl_gc_item *item, struct oxl_error *err)
{
        (void)err;
        snprintf(ctx, OXL_TRASH_ID_BYTES, "%s", item->trash);
        return 0;
}

static bool bring_back(struct oxl_repo *r, struct lab *l)
{
        char id[OXL_TRASH_ID_BYTES] = "";
        struct oxl_gc_count back;
        (void)l;
        return oxl_trash_list(r, first_run, id, NULL) == 0 && oxl_gc_undo(r, id, NULL, NULL, &back, NULL) == 0;
}

static bool run_gc_undo(struct lab *l)
{
        bool ok = with_repo(bring_back, l);
        lab_ack(l);
        return ok;
}

/* What gc moves is in the store or in trash at every moment. */
static const char *garbage_is_kept(struct lab *l, unsigned acked)
{
        struct oxl_repo *r = lab_open();
        struct oxl_objects *o;
        cleanup(oxl_trashed_done) struct oxl_trashed trash = { 0 };
        struct oxl_digest id = OXL_DIGEST_INIT;
        static char bytes[19000];
        (void)l;
        (void)acked;
        for (size_t i = 0; i < lab_garbage.size; i++)
                bytes[i] = (char)(i * 31 + i / 512 + lab_garbage.seed); /* as lab_put() */
        id = oxl_digest_of(OXL_ALGO_BLAKE3, bytes, lab_garbage.size);
        const struct oxl_trashed_run *run = NULL;
        struct oxl_objects_config like = { .blob_algo = OXL_ALGO_BLAKE3, .pack_threshold = OXL_PACK_THRESHOLD_DEFAULT };
        if (r) {
                like.root_fd = r->root_fd;
                like.id = r->format.id;
        }
        bool kept = r && oxl_repo_objects(r, &o, NULL) == 0 &&
                    (oxl_objects_stream(o, &id, NULL, NULL, NULL, NULL) == 0 ||
                     (oxl_trashed_list(&trash, &like, NULL) == 0 &&
                      oxl_trashed_find(&trash, OXL_KIND_BLOB, &id, &run, NULL) == 0 && run));
        oxl_repo_close(r);
        return kept ? NULL : "O2: what gc moved is lost";
}

static bool many_packs(struct oxl_repo *r, struct lab *l)
{
        (void)l;
        bool ok = oxl_repo_begin_write(r, NULL) == 0;
        for (char n = 0; ok && n < 14; n++) {
                struct oxl_put *p;
                struct oxl_digest id;
                ok = oxl_put_begin(r->objects, &p, NULL) == 0;
                if (!ok)
                        break;
                ok = oxl_put_object(p, OXL_KIND_BLOB, &n, 1, &id, NULL) >= 0 && oxl_put_finish(p, NULL) == 0 &&
                     oxl_put_publish(p, NULL) == 0 && oxl_durable_barrier(r->durable, NULL) == 0;
                oxl_put_free(p);
        }
        oxl_repo_end_write(r);
        return ok;
}

static bool setup_many_packs(struct lab *l)
{
        return settled(l, setup_two(l) && with_repo(many_packs, l));
}

static bool merge(struct oxl_repo *r, struct lab *l)
{
        struct oxl_gc_result result;
        (void)l;
        return oxl_gc_merge_some(r, &result, NULL) == 0 && result.merged.files >= 16;
}

static bool run_merge(struct lab *l)
{
        bool ok = with_repo(merge, l);
        lab_ack(l);
        return ok;
}

const struct lab_workload lab_workloads[] = {
        { .name = "init",
          .versions = { { .status = "" } },
          .acks = 1,
          .no_repo = true,
          .setup = setup_nothing,
          .run = run_init },
        { .name = "add",
          .sampled = true,
          .versions = { { .status = NULL }, { V1, NULL } },
          .acks = 1,
          .setup = setup_files,
          .run = run_add,
          .extra = added_or_not },
        { .name = "first commit",
          .sampled = true,
          .splits = true,
          .versions = { { .status = "A a\nA d/b\nA d/c\n" }, { V1, "" } },
          .after_ack = { 0, 1 },
          .acks = 1,
          .setup = setup_added,
          .run = run_commit_1 },
        { .name = "commit",
          .versions = { { .status = NULL }, { V1, "M a\nD d/c\nA d/n\n" }, { V2, "" } },
          .after_ack = { 1, 2 },
          .acks = 1,
          .setup = setup_change_added,
          .run = run_commit_2 },
        { .name = "commit -a",
          .splits = true,
          .versions = { { .status = NULL }, { V1, "m a\nd d/c\n" }, { V2_TRACKED, "" } },
          .after_ack = { 1, 2 },
          .acks = 1,
          .setup = setup_changed,
          .run = run_commit_2_all },
        { .name = "commit, large",
          .heavy = true,
          .versions = { { .status = NULL }, { V1, NULL }, { V2_LARGE, "" } },
          .after_ack = { 1, 1, 2 },
          .acks = 2,
          .setup = setup_large,
          .run = run_add_and_commit_2 },
        { .name = "commit on NFS",
          .heavy = true,
          .versions = { { .status = NULL }, { V1, "m a\nd d/c\n" }, { V2_TRACKED, "" } },
          .after_ack = { 1, 2 },
          .acks = 1,
          .network = true,
          .setup = setup_changed,
          .run = run_commit_2_all },
        { .name = "two commits",
          .heavy = true,
          .versions = { { .status = "A a\nA d/b\nA d/c\n" }, { V1, NULL }, { V2, NULL } },
          .after_ack = { 0, 1, 1, 2 },
          .acks = 3,
          .setup = setup_added,
          .run = run_two_commits },
        { .name = "two in one process",
          .heavy = true,
          .versions = { { .status = NULL },
                        { V1, NULL },
                        { { { "a", 4, 900 }, { "d/b", 2, 5000 }, { "d/c", 3, 0 } }, NULL } },
          .after_ack = { 0, 1, 2 },
          .acks = 2,
          .setup = setup_added,
          .run = run_two_in_one },
        { .name = "restore",
          .versions = { { .status = NULL }, { V1, NULL }, { V2, NULL } },
          .after_ack = { 2, 2 },
          .acks = 1,
          .setup = setup_two,
          .run = run_restore,
          .extra = restored_or_not },
        { .name = "restore --to",
          .versions = { { .status = NULL }, { V1, NULL }, { V2, NULL } },
          .after_ack = { 2, 2 },
          .acks = 1,
          .setup = setup_two,
          .run = run_restore_to,
          .extra = restored_there_or_not },
        { .name = "restore --force",
          .sampled = true,
          .versions = { { .status = NULL }, { V1, NULL } },
          .after_ack = { 1, 1 },
          .acks = 1,
          .setup = setup_changed,
          .run = run_restore_force },
        { .name = "config",
          .sampled = true,
          .versions = { { .status = NULL }, { V1, "" } },
          .after_ack = { 1, 1 },
          .acks = 1,
          .setup = setup_committed,
          .run = run_config,
          .extra = name_is_set },
        { .name = "tag",
          .sampled = true,
          .versions = { { .status = NULL }, { V1, "" } },
          .after_ack = { 1, 1 },
          .acks = 1,
          .setup = setup_committed,
          .run = run_tag,
          .extra = tag_is_there },
        { .name = "add after a killed add",
          .heavy = true,
          .versions = { { .status = NULL }, { V1, "" } },
          .after_ack = { 0, 0, 1 },
          .acks = 2,
          .setup = setup_add_killed,
          .run = run_add_and_commit },
        { .name = "add after an add killed late",
          .versions = { { .status = NULL }, { V1, "" } },
          .acks = 1,
          .setup = setup_add_killed_at_index,
          .run = run_add,
          .extra = added_or_not },
        { .name = "commit after a killed add",
          .heavy = true,
          .versions = { { .status = NULL }, { V1, NULL }, { V2, "" } },
          .after_ack = { 1, 2 },
          .acks = 1,
          .setup = setup_change_killed,
          .run = run_commit_paths },
        { .name = "recover: intent written",
          .versions = { { .status = NULL }, { V1, "m a\nd d/c\n" }, { V2_TRACKED, "" } },
          .after_ack = { 1, 2 },
          .acks = 1,
          .setup = setup_commit_killed_in_journal,
          .run = run_recover },
        { .name = "recover: pack named",
          .versions = { { .status = NULL }, { V1, "m a\nd d/c\n" }, { V2_TRACKED, "" } },
          .after_ack = { 1, 2 },
          .acks = 1,
          .setup = setup_commit_killed,
          .run = run_recover },
        { .name = "recover: index moved",
          .versions = { { .status = NULL }, { V1, "m a\nd d/c\n" }, { V2_TRACKED, "" } },
          .after_ack = { 1, 2 },
          .acks = 1,
          .setup = setup_commit_killed_at_index,
          .run = run_recover },
        { .name = "recover: ref moved",
          .versions = { { .status = NULL }, { V1, "m a\nd d/c\n" }, { V2_TRACKED, "" } },
          .after_ack = { 1, 2 },
          .acks = 1,
          .setup = setup_commit_killed_at_ref,
          .run = run_recover },
        { .name = "recover: pack copied back",
          .versions = { { .status = NULL }, { V1, "m a\nd d/c\n" }, { V2_TRACKED, "" } },
          .after_ack = { 1, 2 },
          .acks = 1,
          .from_first_ack = true,
          .setup = setup_pack_copied_back,
          .run = run_recover },
        { .name = "recover: undo",
          .sampled = true,
          .versions = { { .status = NULL }, { V1, "m a\nd d/c\n" }, { V2_TRACKED, "" } },
          .after_ack = { 1, 1 },
          .acks = 1,
          .setup = setup_undone,
          .run = run_recover,
          .before = removed_stays_removed },
        { .name = "repair: pack record",
          .slow = true,
          .damaged = true,
          .versions = { { .status = NULL }, { V1, NULL } },
          .after_ack = { 1, 1 },
          .acks = 1,
          .setup = setup_pack_damaged,
          .run = run_repair,
          .extra = damaged_is_kept,
          .before = damaged_is_kept },
        { .name = "repair: pack salvage",
          .slow = true,
          .damaged = true,
          .versions = { { .status = NULL }, { V1, NULL } },
          .after_ack = { 1, 1 },
          .acks = 1,
          .setup = setup_pack_header_damaged,
          .run = run_repair,
          .extra = damaged_is_kept,
          .before = damaged_is_kept },
        { .name = "repair: blob",
          .sampled = true,
          .slow = true,
          .damaged = true,
          .versions = { { .status = NULL }, { V1, NULL }, { V2_LARGE, NULL } },
          .after_ack = { 2, 2 },
          .acks = 1,
          .setup = setup_blob_damaged,
          .run = run_repair,
          .extra = damaged_is_kept,
          .before = damaged_is_kept },
        { .name = "repair: index",
          .slow = true,
          .damaged = true,
          .versions = { { .status = NULL }, { V1, NULL } },
          .after_ack = { 1, 1 },
          .acks = 1,
          .setup = setup_index_damaged,
          .run = run_repair,
          .extra = damaged_is_kept,
          .before = damaged_is_kept },
        { .name = "add heals a blob",
          .sampled = true,
          .damaged = true,
          .versions = { { .status = NULL }, { V1, NULL }, { V2_LARGE, NULL } },
          .after_ack = { 2, 2 },
          .acks = 1,
          .setup = setup_blob_damaged_and_staged,
          .run = run_add },
        { .name = "commit, its intent's sync fails",
          .versions = { { .status = NULL }, { V1, "m a\nd d/c\n" }, { V2_TRACKED, "" } },
          .after_ack = { 1, 2 },
          .acks = 1,
          .setup = setup_changed,
          .run = run_failing },
        { .name = "commit, one sync fails",
          .each_sync = true,
          .versions = { { .status = NULL }, { V1, NULL }, { V2_TRACKED, NULL } },
          .after_ack = { 1, 2 },
          .acks = 1,
          .setup = setup_changed,
          .run = run_failing },
        { .name = "switch",
          .versions = { { .status = NULL }, { V1, "" }, { V2, "" } },
          .after_ack = { 1, 2 },
          .acks = 1,
          .setup = setup_branches,
          .run = run_switch },
        { .name = "copy",
          .slow = true,
          .versions = { { .status = NULL }, { V1, NULL } },
          .after_ack = { 0, 1 },
          .acks = 1,
          .no_repo = true,
          .setup = setup_copy,
          .run = run_copy },
        { .name = "copy again",
          .slow = true,
          .versions = { { .status = NULL }, { V1, NULL }, { V2, NULL } },
          .after_ack = { 1, 2 },
          .acks = 1,
          .setup = setup_copied,
          .run = run_copy },
        { .name = "undo of undo of switch",
          .slow = true,
          .versions = { { .status = NULL }, { V1, "" }, { V2, "" } },
          .after_ack = { 1, 2 },
          .acks = 1,
          .setup = setup_switched_back,
          .run = run_undo },
        { .name = "undo of undo of commit",
          .versions = { { .status = NULL }, { V1, NULL }, { V2, "" } },
          .after_ack = { 1, 2 },
          .acks = 1,
          .setup = setup_commit_undone,
          .run = run_undo },
        { .name = "rm",
          .versions = { { .status = NULL }, { V1, NULL } },
          .after_ack = { 1, 1 },
          .acks = 1,
          .setup = setup_committed,
          .run = run_rm,
          .extra = removed_or_not },
        { .name = "branch -d",
          .splits = true,
          .versions = { { .status = NULL }, { V1, "" }, { V2, "" } },
          .after_ack = { 1, 1 },
          .acks = 1,
          .setup = setup_branches,
          .run = run_branch_delete,
          .extra = spare_is_gone },
        { .name = "gc",
          .sampled = true,
          .slow = true,
          .versions = { { .status = NULL }, { V1, NULL }, { V2, NULL } },
          .after_ack = { 2, 2 },
          .acks = 1,
          .setup = setup_garbage,
          .run = run_gc,
          .extra = garbage_is_kept,
          .before = garbage_is_kept },
        { .name = "gc --undo",
          .slow = true,
          .versions = { { .status = NULL }, { V1, NULL }, { V2, NULL } },
          .after_ack = { 2, 2 },
          .acks = 1,
          .setup = setup_collected,
          .run = run_gc_undo,
          .extra = garbage_is_kept,
          .before = garbage_is_kept },
        { .name = "merge",
          .slow = true,
          .versions = { { .status = NULL }, { V1, NULL }, { V2, NULL } },
          .after_ack = { 2, 2 },
          .acks = 1,
          .setup = setup_many_packs,
          .run = run_merge },
};

const size_t lab_workloads_count = OXL_ARRAY_LEN(lab_workloads);

const struct lab_workload *lab_find(const char *name)
{
        for (size_t i = 0; i < lab_workloads_count; i++)
                if (strcmp(lab_workloads[i].name, name) == 0)
                        return &lab_workloads[i];
        return NULL;
}
