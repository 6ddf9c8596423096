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
#include "os/crew.h"
#include "repo/changes.h"
#include "repo/ignore.h"
#include "repo/move.h"

struct adding {
        struct oxl_changes changes;
        const struct oxl_add_options *options;
        struct oxl_ignore *ignore;
        size_t ignored_len; /* the walk is in an ignored folder of this path length, for what is tracked in it; 0: it is not */
};

static void adding_done(struct adding *a)
{
        oxl_changes_done(&a->changes);
        oxl_ignore_free(a->ignore);
}

/* Is the path tracked, or anything below it? 1 yes, 0 no. */
static int is_tracked(struct adding *a, const char *path, struct oxl_error *err)
{
        struct oxl_index_cursor *cursor;
        struct oxl_index_entry entry;
        int k = oxl_index_cursor_new(a->changes.index, path, 0, &cursor, err);
        if (k < 0)
                return k;
        while ((k = oxl_index_cursor_next(cursor, &entry, err)) == 0 && entry.kind == OXL_ENTRY_NONE)
                ;
        oxl_index_cursor_free(cursor);
        return k < 0 ? k : k == 0;
}

/* 1: `.oxenliteignore` leaves @item out. */
static int is_ignored(struct adding *a, struct oxl_walk *w, const struct oxl_walk_item *item, bool named,
                      struct oxl_error *err)
{
        bool directory = S_ISDIR(item->st.st_mode), inside = a->ignored_len > 0;
        if (item->done && item->path_len == a->ignored_len)
                a->ignored_len = 0;
        if (item->done || a->options->force)
                return 0;
        int k = inside  ? 1
                : named ? oxl_ignore_path(a->ignore, item->path, directory, err)
                        : oxl_ignore_item(a->ignore, item->path, directory, err);
        if (k <= 0)
                return k;
        k = is_tracked(a, item->path, err);
        if (k < 0)
                return k;
        if (k == 0 && named)
                return OXL_FAIL_PATH(err, PATH_IGNORED, item->path);
        if (k == 0 && directory)
                oxl_walk_skip(w);
        if (k > 0 && directory && !inside)
                a->ignored_len = item->path_len;
        return k == 0;
}

/* Something the walk met and add leaves alone, with the reason for people. */
static int leave_out(struct oxl_changes *c, const struct oxl_walk_item *item, bool named, const char *why,
                     struct oxl_error *err)
{
        if (named)
                return OXL_FAIL_PATH(err, PATH_IGNORED, item->path);
        oxl_repo_notice(c->repo, item->path, why);
        return 0;
}

static int add_item(struct adding *a, struct oxl_walk *w, const struct oxl_walk_item *item, bool named,
                    struct oxl_error *err)
{
        struct oxl_changes *c = &a->changes;
        const char *what;
        if (item->error)
                return oxl_error_copy(err, item->error);
        if (item->skip == OXL_SKIP_REPOSITORY && !named && strcmp(item->path, OXL_REPO_DIR) == 0)
                return 0; /* our own, as everybody expects */
        if (item->skip == OXL_SKIP_REPOSITORY)
                return leave_out(c, item, named, "skipped: a repository's own folder", err);
        if (item->skip == OXL_SKIP_TEMP && !a->options->force)
                return leave_out(c, item, named, "skipped: named like a temp file of ours", err);
        int ignored = is_ignored(a, w, item, named, err);
        if (ignored != 0)
                return ignored < 0 ? ignored : 0;
        if (S_ISDIR(item->st.st_mode)) {
                if (item->done && item->empty)
                        oxl_repo_notice(
                                c->repo, item->path,
                                "not stored: the folder holds nothing that can be stored, or only what is ignored");
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

static int add_below(struct adding *a, const char *path, struct oxl_error *err)
{
        struct oxl_walk *walk;
        struct oxl_walk_item item;
        int k = oxl_walk_new(a->changes.repo->worktree_fd, path, &walk, err);
        if (k < 0)
                return k;
        oxl_walk_ahead(walk, oxl_crew_default());
        while ((k = oxl_walk_next(walk, &item, err)) == 0) {
                k = add_item(a, walk, &item, strcmp(item.path, path) == 0, err);
                if (k < 0)
                        break;
        }
        oxl_walk_free(walk);
        return k < 0 ? k : 0;
}

/* Removals below @path, for -A; a path that is neither there nor tracked is an error. */
static int add_path(struct adding *a, const char *path, struct oxl_error *err)
{
        struct oxl_changes *c = &a->changes;
        cleanup_error struct oxl_error missing = OXL_ERROR_INIT;
        uint64_t removed = c->count.removed;
        int k;
        if (a->options->all && (k = oxl_changes_tracked(c, path, OXL_TRACKED_REMOVED, err)) < 0)
                return k;
        a->ignored_len = 0;
        k = add_below(a, path, &missing);
        if (k == -OXL_E_PATH_NOT_FOUND && c->count.removed > removed)
                return 0; /* gone, and its removal is what is staged */
        if (k < 0)
                oxl_error_move(err, &missing);
        return k < 0 ? k : 0;
}

static int publish(struct oxl_changes *c, struct oxl_edits_record *ret_record, struct oxl_error *err)
{
        struct oxl_repo *r = c->repo;
        struct oxl_stage *stage = NULL;
        struct oxl_digest digest;
        const char *target;
        uint64_t size;
        int k = oxl_edits_write_index(c->edit, c->put, ret_record, err); /* for undo; may be blobs */
        if (k >= 0)
                k = oxl_put_finish(c->put, err);
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

/* The operation, after the fact: the index decided. When this fails, undo does not know of it. */
static void record(struct oxl_changes *c, const char *const *paths, size_t n, struct oxl_move *m)
{
        cleanup_free char *body = NULL, *note = NULL;
        cleanup_error struct oxl_error ignored = OXL_ERROR_INIT;
        struct oxl_repo *r = c->repo;
        if (m->record.n_blobs == 0 && (!m->record.hex || !m->record.hex[0]))
                return; /* only the stat cache is news */
        m->index = true;
        m->tree_old = m->tree_new = *oxl_index_tree(c->index);
        if (oxl_move_print(m, "add", &body, &ignored) < 0 || oxl_paths_note(paths, n, &note, &ignored) < 0)
                return;
        struct oxl_operation op = { .verb = "add", .note = note };
        OXL_IGNORE(oxl_journal_record_done(r->journal, oxl_owner_number(r->owner), "add", body, &op, &ignored),
                   "the log is for people and for undo");
}

static int add_locked(struct oxl_repo *r, const char *const *paths, size_t n, const struct oxl_add_options *options,
                      struct oxl_add_result *ret, struct oxl_error *err)
{
        cleanup(adding_done) struct adding a = { .changes = OXL_CHANGES_INIT, .options = options };
        cleanup(oxl_move_done) struct oxl_move m = OXL_MOVE_INIT;
        int k = oxl_changes_begin(&a.changes, r, err);
        if (k >= 0)
                k = oxl_ignore_new(r->worktree_fd, &a.ignore, err);
        for (size_t i = 0; k >= 0 && i < n; i++)
                k = add_path(&a, paths[i], err);
        if (k >= 0)
                k = oxl_changes_settle(&a.changes, err);
        if (k >= 0)
                k = oxl_index_edit_count(a.changes.edit) > 0 ? publish(&a.changes, &m.record, err)
                                                             : confirm(&a.changes, err);
        if (k >= 0)
                record(&a.changes, paths, n, &m);
        if (k >= 0)
                k = oxl_journal_checkpoint(r->journal, OXL_WAL_LOW_BYTES, err);
        if (k < 0)
                return k;
        struct oxl_put_stats stats;
        oxl_put_get_stats(a.changes.put, &stats);
        a.changes.count.stored = stats.stored;
        a.changes.count.stored_bytes = stats.stored_bytes;
        *ret = a.changes.count;
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
