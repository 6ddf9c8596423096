/* SPDX-License-Identifier: MIT */
/*
 * oxl_repo_add: content into the store (one pack per call, large files loose), then the index.
 *
 * One atomic write, the index's, decides; so add needs no intent. What a crash leaves: temps (swept), or whole objects that
 * nothing refers to, and the old index.
 */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/path.h"
#include "durable/mutant.h"
#include "repo/changes.h"

/* Something the walk met and add leaves alone, with the reason for people. */
static int leave_out(struct oxl_changes *c, const struct oxl_walk_item *item, bool named, const char *why,
                     struct oxl_error *err)
{
        if (named)
                return OXL_FAIL_PATH(err, PATH_IGNORED, item->path);
        oxl_repo_notice(c->repo, item->path, why);
        return 0;
}

static int add_item(struct oxl_changes *c, const struct oxl_walk_item *item, bool named,
                    const struct oxl_add_options *options, struct oxl_error *err)
{
        const char *what;
        if (item->error)
                return oxl_error_copy(err, item->error);
        if (item->skip == OXL_SKIP_REPOSITORY && !named && strcmp(item->path, OXL_REPO_DIR) == 0)
                return 0; /* our own, as everybody expects */
        if (item->skip == OXL_SKIP_REPOSITORY)
                return leave_out(c, item, named, "skipped: a repository's own folder", err);
        if (item->skip == OXL_SKIP_TEMP && !options->force)
                return leave_out(c, item, named, "skipped: named like a temp file of ours", err);
        if (S_ISDIR(item->st.st_mode)) {
                if (item->done && item->empty)
                        oxl_repo_notice(c->repo, item->path, "not stored: the folder holds nothing that can be stored");
                return 0;
        }
        if (oxl_worktree_kind(&item->st, &what) == OXL_ENTRY_NONE) {
                if (named)
                        return OXL_FAIL_WHY(err, PATH_SPECIAL, item->path, what);
                oxl_repo_notice(c->repo, item->path, "skipped: neither file, folder nor symbolic link");
                return 0;
        }
        return oxl_changes_store(c, item->dirfd, item->name, item->path, &item->st, err);
}

static int add_below(struct oxl_changes *c, const char *path, const struct oxl_add_options *options,
                     struct oxl_error *err)
{
        struct oxl_walk *walk;
        struct oxl_walk_item item;
        int k = oxl_walk_new(c->repo->worktree_fd, path, &walk, err);
        if (k < 0)
                return k;
        while ((k = oxl_walk_next(walk, &item, err)) == 0) {
                k = add_item(c, &item, strcmp(item.path, path) == 0, options, err);
                if (k < 0)
                        break;
        }
        oxl_walk_free(walk);
        return k < 0 ? k : 0;
}

/* Removals below @path, for -A; a path that is neither there nor tracked is an error. */
static int add_path(struct oxl_changes *c, const char *path, const struct oxl_add_options *options,
                    struct oxl_error *err)
{
        cleanup_error struct oxl_error missing = OXL_ERROR_INIT;
        uint64_t removed = c->count.removed;
        int k;
        if (options->all && (k = oxl_changes_tracked(c, path, OXL_TRACKED_REMOVED, err)) < 0)
                return k;
        k = add_below(c, path, options, &missing);
        if (k == -OXL_E_PATH_NOT_FOUND && c->count.removed > removed)
                return 0; /* gone, and its removal is what is staged */
        if (k < 0)
                oxl_error_move(err, &missing);
        return k < 0 ? k : 0;
}

static int publish(struct oxl_changes *c, struct oxl_error *err)
{
        struct oxl_repo *r = c->repo;
        struct oxl_stage *stage = NULL;
        struct oxl_digest digest;
        const char *target;
        uint64_t size;
        int k = oxl_put_finish(c->put, err);
        if (k < 0)
                return k;
        k = oxl_put_publish(c->put, err);
        if (k < 0)
                return k;
        /* CRASH: objects named or not, unreferenced; the index is old. The barrier comes before the index may name them. */
        k = OXL_MUTANT(ADD_WITHOUT_BARRIER) ? 0 : oxl_durable_barrier(r->durable, err);
        if (k < 0)
                return k;
        k = oxl_index_stage(c->edit, r->durable, &stage, &target, &digest, &size, err);
        if (k < 0)
                return k;
        k = oxl_stage_publish(stage, target, false, err);
        oxl_stage_free(stage);
        if (k < 0)
                return k;
        /* CRASH: old or new index, both whole; tests/crash, tests/cli/kill.sh. */
        return oxl_durable_barrier(r->durable, err);
}

/* All of it is in the index already, perhaps only in the cache: its writer may have been killed before it synced the folder.
 * tests: crash/store, "add after an add killed late". */
static int confirm(struct oxl_changes *c, struct oxl_error *err)
{
        int k = OXL_MUTANT(ADD_BELIEVES_INDEX) ? 0 : oxl_durable_mark(c->repo->durable, "index", err);
        return k < 0 ? k : oxl_durable_barrier(c->repo->durable, err);
}

static int add_locked(struct oxl_repo *r, const char *const *paths, size_t n, const struct oxl_add_options *options,
                      struct oxl_add_result *ret, struct oxl_error *err)
{
        cleanup(oxl_changes_done) struct oxl_changes c = OXL_CHANGES_INIT;
        int k = oxl_changes_begin(&c, r, err);
        for (size_t i = 0; k >= 0 && i < n; i++)
                k = add_path(&c, paths[i], options, err);
        if (k >= 0)
                k = oxl_index_edit_count(c.edit) > 0 ? publish(&c, err) : confirm(&c, err);
        if (k >= 0)
                k = oxl_journal_checkpoint(r->journal, OXL_WAL_LOW_BYTES, err);
        if (k < 0)
                return k;
        struct oxl_put_stats stats;
        oxl_put_get_stats(c.put, &stats);
        c.count.stored = stats.stored;
        c.count.stored_bytes = stats.stored_bytes;
        *ret = c.count;
        return 0;
}

int oxl_repo_add(struct oxl_repo *r, const char *const *paths, size_t n, const struct oxl_add_options *options,
                 struct oxl_add_result *ret, struct oxl_error *err)
{
        static const struct oxl_add_options defaults;
        int k = oxl_repo_begin_write(r, err);
        if (k < 0)
                return k;
        k = add_locked(r, paths, n, options ? options : &defaults, ret, err);
        oxl_repo_end_write(r);
        return k;
}
