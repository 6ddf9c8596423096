/* SPDX-License-Identifier: MIT */
/*
 * oxl_repo_status: the index against HEAD, then the working tree against the index. Each is one merged pass over two sorted
 * sequences, so memory does not grow with the tree. Takes no lock and writes nothing, not even a fresher stat cache.
 */
#include <string.h>

#include <oxenlite/verbs.h>

#include "base/fail.h"
#include "base/path.h"
#include "objects/commit.h"
#include "os/crew.h"
#include "repo/ignore.h"
#include "repo/index_internal.h"
#include "repo/worktree.h"

enum { PROGRESS_STEP = 4096 };

struct status {
        struct oxl_repo *repo;
        oxl_status_fn *fn;
        void *ctx;
        struct oxl_index *index;
        struct oxl_digest head; /* tree of HEAD's commit; NONE: no commit */

        /* the working tree pass */
        struct oxl_index_cursor *cursor;
        struct oxl_index_entry entry; /* next tracked path */
        bool has_entry;
        size_t untracked_len; /* an untracked directory of this path length is being searched for files; 0: none */
        struct oxl_ignore *ignore;
        size_t ignored_len; /* likewise an ignored directory with tracked files in it */
        uint64_t looked_at;
};

static int report(const struct status *s, enum oxl_change change, const char *path, const struct oxl_error *why,
                  struct oxl_error *err)
{
        struct oxl_status_item item = { change, path, why };
        int r = s->fn(s->ctx, &item, err);
        return r < 0 ? r : 0;
}

static int find_head(struct status *s, struct oxl_error *err)
{
        struct oxl_head head = { 0 };
        int r = oxl_repo_head(s->repo, &head, err);
        if (r < 0)
                return r;
        struct oxl_digest id = head.commit;
        oxl_head_done(&head);
        if (id.algo == OXL_ALGO_NONE)
                return 0;
        struct oxl_objects *objects;
        r = oxl_repo_objects(s->repo, &objects, err);
        if (r < 0)
                return r;
        struct oxl_commit commit = OXL_COMMIT_INIT;
        r = oxl_commit_read(objects, &id, &commit, err);
        if (r < 0)
                return r;
        s->head = commit.tree;
        oxl_commit_done(&commit);
        return 0;
}

/* --- the index against HEAD -------------------------------------------------------------------------------------- */

/* @entry (NULL or kind NONE: not in the index) against what HEAD has at its path (NULL: nothing). */
static int compare_with_head(struct status *s, const struct oxl_index_entry *entry, const struct oxl_tree_item *item,
                             struct oxl_error *err)
{
        bool live = entry && entry->kind != OXL_ENTRY_NONE;
        if (!live && !item)
                return 0;
        if (live && item && entry->kind == item->kind && oxl_digest_equal(&entry->id, &item->id))
                return 0;
        const char *path = entry ? entry->path : item->path;
        return report(s, !item ? OXL_STAGED_ADDED : !live ? OXL_STAGED_REMOVED : OXL_STAGED_MODIFIED, path, NULL, err);
}

/* Unstaged entries equal HEAD: only staged ones have to be looked up. */
static int report_staged_entries(struct status *s, struct oxl_index_cursor *c, struct oxl_error *err)
{
        struct oxl_objects *objects = NULL;
        int r = s->head.algo != OXL_ALGO_NONE ? oxl_repo_objects(s->repo, &objects, err) : 0;
        while (r == 0) {
                struct oxl_index_entry e;
                struct oxl_tree_item item;
                r = oxl_index_cursor_next(c, &e, err);
                if (r != 0)
                        break;
                int found = objects ? oxl_tree_find(objects, &s->head, e.path, &item, err) : 1;
                if (found < 0)
                        return found;
                bool in_head = found == 0 && item.kind != OXL_ENTRY_DIRECTORY;
                r = compare_with_head(s, &e, in_head ? &item : NULL, err);
        }
        return r < 0 ? r : 0;
}

/* One step of merging index and tree: the lower path, or both. */
static int merge_step(struct status *s, const struct oxl_index_entry *e, const struct oxl_tree_item *item,
                      bool *ret_entry_used, bool *ret_item_used, struct oxl_error *err)
{
        int order = !e ? 1 : !item ? -1 : oxl_path_compare(e->path, e->path_len, item->path, item->path_len);
        *ret_entry_used = order <= 0;
        *ret_item_used = order >= 0;
        return compare_with_head(s, order <= 0 ? e : NULL, order >= 0 ? item : NULL, err);
}

static int merge_with_tree(struct status *s, struct oxl_index_cursor *c, struct oxl_tree_cursor *t,
                           struct oxl_error *err)
{
        struct oxl_index_entry e;
        struct oxl_tree_item item;
        int have_entry = oxl_index_cursor_next(c, &e, err);
        int have_item = have_entry < 0 || !t ? 1 : oxl_tree_cursor_next(t, &item, err);
        while (have_entry >= 0 && have_item >= 0 && (have_entry == 0 || have_item == 0)) {
                bool entry_used, item_used;
                int r = merge_step(s, have_entry == 0 ? &e : NULL, have_item == 0 ? &item : NULL, &entry_used,
                                   &item_used, err);
                if (r < 0)
                        return r;
                if (oxl_repo_cancelled(s->repo))
                        return OXL_FAIL_PLAIN(err, CANCELLED);
                if (entry_used)
                        have_entry = oxl_index_cursor_next(c, &e, err);
                if (item_used && have_entry >= 0)
                        have_item = oxl_tree_cursor_next(t, &item, err);
        }
        return have_entry < 0 ? have_entry : have_item < 0 ? have_item : 0;
}

static int report_against_tree(struct status *s, struct oxl_index_cursor *c, struct oxl_error *err)
{
        struct oxl_tree_cursor *t = NULL;
        if (s->head.algo != OXL_ALGO_NONE) {
                struct oxl_objects *objects;
                int r = oxl_repo_objects(s->repo, &objects, err);
                if (r < 0)
                        return r;
                r = oxl_tree_cursor_new(objects, &s->head, "", 0, &t, err);
                if (r < 0)
                        return r;
        }
        int r = merge_with_tree(s, c, t, err);
        oxl_tree_cursor_free(t);
        return r;
}

static int report_staged(struct status *s, struct oxl_error *err)
{
        bool same = oxl_digest_equal(oxl_index_tree(s->index), &s->head);
        /* Looking up each of very many entries costs more than reading the tree once. */
        bool few = s->head.algo == OXL_ALGO_NONE ||
                   oxl_index_staged_bound(s->index) <= 64 + oxl_index_count_bound(s->index) / 16;
        bool lookup = same && few;
        cleanup_index_cursor struct oxl_index_cursor *c = NULL;
        int r = oxl_index_cursor_new(s->index, "", lookup ? OXL_INDEX_STAGED_ONLY : 0, &c, err);
        if (r < 0)
                return r;
        return lookup ? report_staged_entries(s, c, err) : report_against_tree(s, c, err);
}

/* --- the working tree against the index --------------------------------------------------------------------------- */

/* Moves to the next tracked path; staged removals are not tracked. */
static int next_entry(struct status *s, struct oxl_error *err)
{
        int r;
        do
                r = oxl_index_cursor_next(s->cursor, &s->entry, err);
        while (r == 0 && s->entry.kind == OXL_ENTRY_NONE);
        s->has_entry = r == 0;
        return r < 0 ? r : 0;
}

/* Reports the tracked paths before @path as removed. @path NULL: all that are left. */
static int report_removed_before(struct status *s, const char *path, size_t len, struct oxl_error *err)
{
        while (s->has_entry && (!path || oxl_path_compare(s->entry.path, s->entry.path_len, path, len) < 0)) {
                int r = report(s, OXL_REMOVED, s->entry.path, NULL, err);
                if (r < 0)
                        return r;
                r = next_entry(s, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

static bool at_entry(const struct status *s, const struct oxl_walk_item *item)
{
        return s->has_entry && s->entry.path_len == item->path_len &&
               memcmp(s->entry.path, item->path, item->path_len) == 0;
}

static bool entry_is_below(const struct status *s, const struct oxl_walk_item *item)
{
        return s->has_entry && s->entry.path_len > item->path_len && s->entry.path[item->path_len] == '/' &&
               memcmp(s->entry.path, item->path, item->path_len) == 0;
}

/* Nothing is known about the tracked paths at and below @item: they are neither changed nor removed. */
static int pass_over(struct status *s, const struct oxl_walk_item *item, struct oxl_error *err)
{
        while (at_entry(s, item) || entry_is_below(s, item)) {
                int r = next_entry(s, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* The untracked directory being searched has something in it: reports it, and leaves it. @item is what was found. */
static int report_untracked_directory(struct status *s, struct oxl_walk *w, const struct oxl_walk_item *item,
                                      struct oxl_error *err)
{
        cleanup_buf struct oxl_buf path = OXL_BUF_INIT;
        int r = oxl_buf_append(&path, item->path, s->untracked_len, err);
        if (r < 0)
                return r;
        r = oxl_buf_append_text(&path, "/", err);
        if (r < 0)
                return r;
        r = report(s, OXL_UNTRACKED, oxl_buf_text(&path), NULL, err);
        if (r < 0)
                return r;
        /* what could not be examined in it is worth saying, whoever tracks it */
        r = item->error ? report(s, OXL_UNREADABLE, item->path, item->error, err) : 0;
        oxl_walk_leave(w, s->untracked_len);
        s->untracked_len = 0;
        return r;
}

/* A tracked path that is there, not as a directory. */
static int report_tracked(struct status *s, const struct oxl_walk_item *item, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        int r = oxl_worktree_compare(item->dirfd, item->name, item->path, &item->st, &s->entry, s->repo->options.cancel,
                                     &why);
        if (r == -OXL_E_NOMEM || r == -OXL_E_CANCELLED) {
                if (err)
                        oxl_error_move(err, &why);
                return r;
        }
        if (r > 0 || r == -OXL_E_PATH_CHANGED) /* being written right now is changed too */
                r = report(s, OXL_CHANGED, item->path, NULL, err);
        else if (r < 0)
                r = report(s, OXL_UNREADABLE, item->path, &why, err);
        return r < 0 ? r : next_entry(s, err);
}

static int visit_unreadable(struct status *s, struct oxl_walk *w, const struct oxl_walk_item *item,
                            struct oxl_error *err)
{
        int r = report_removed_before(s, item->path, item->path_len, err);
        if (r < 0)
                return r;
        if (s->untracked_len > 0 && item->path_len > s->untracked_len)
                return report_untracked_directory(s, w, item, err);
        s->untracked_len = 0;
        r = report(s, OXL_UNREADABLE, item->path, item->error, err);
        return r < 0 ? r : pass_over(s, item, err);
}

/* 1: @item, which is not tracked, is left out by .oxenliteignore. */
static int is_ignored(struct status *s, const struct oxl_walk_item *item, struct oxl_error *err)
{
        if (s->ignored_len > 0)
                return 1;
        return oxl_ignore_item(s->ignore, item->path, S_ISDIR(item->st.st_mode), err);
}

static int visit_directory(struct status *s, struct oxl_walk *w, const struct oxl_walk_item *item,
                           struct oxl_error *err)
{
        if (item->done) {
                if (item->path_len == s->untracked_len)
                        s->untracked_len = 0; /* nothing was found in it */
                if (item->path_len == s->ignored_len)
                        s->ignored_len = 0;
                return 0;
        }
        int r = report_removed_before(s, item->path, item->path_len, err);
        if (r < 0)
                return r;
        if (at_entry(s, item)) { /* the tracked file is gone; a directory has its name */
                r = report(s, OXL_REMOVED, item->path, NULL, err);
                if (r < 0)
                        return r;
                r = next_entry(s, err);
                if (r < 0)
                        return r;
        }
        bool tracked = entry_is_below(s, item);
        r = is_ignored(s, item, err);
        if (r < 0)
                return r;
        if (r > 0 && !tracked)
                oxl_walk_skip(w);
        else if (r > 0 && s->ignored_len == 0)
                s->ignored_len = item->path_len;
        else if (s->untracked_len == 0 && !tracked)
                s->untracked_len = item->path_len;
        return 0;
}

static int visit(struct status *s, struct oxl_walk *w, const struct oxl_walk_item *item, struct oxl_error *err)
{
        if (item->error)
                return visit_unreadable(s, w, item, err);
        if (S_ISDIR(item->st.st_mode) && !item->skip)
                return visit_directory(s, w, item, err);
        int r = report_removed_before(s, item->path, item->path_len, err);
        if (r < 0)
                return r;
        if (at_entry(s, item))
                return report_tracked(s, item, err);
        if (item->skip || oxl_worktree_kind(&item->st, NULL) == OXL_ENTRY_NONE)
                return 0; /* never stored, so nobody misses it */
        r = is_ignored(s, item, err);
        if (r != 0)
                return r < 0 ? r : 0;
        if (s->untracked_len > 0)
                return report_untracked_directory(s, w, item, err);
        return report(s, OXL_UNTRACKED, item->path, NULL, err);
}

static int walk_worktree(struct status *s, struct oxl_walk *w, struct oxl_error *err)
{
        for (;;) {
                struct oxl_walk_item item;
                int r = oxl_walk_next(w, &item, err);
                if (r < 0)
                        return r;
                if (r > 0)
                        return report_removed_before(s, NULL, 0, err);
                if (oxl_repo_cancelled(s->repo))
                        return OXL_FAIL_PLAIN(err, CANCELLED);
                if (++s->looked_at % PROGRESS_STEP == 0)
                        oxl_repo_progress(s->repo, "looking", s->looked_at, 0, 0, 0);
                r = visit(s, w, &item, err);
                if (r < 0)
                        return r;
        }
}

static int report_worktree(struct status *s, struct oxl_error *err)
{
        int r = oxl_index_cursor_new(s->index, "", 0, &s->cursor, err);
        if (r < 0)
                return r;
        r = next_entry(s, err);
        if (r < 0)
                return r;
        r = oxl_ignore_new(s->repo->worktree_fd, &s->ignore, err);
        if (r < 0)
                return r;
        struct oxl_walk *w;
        r = oxl_walk_new(s->repo->worktree_fd, "", &w, err);
        if (r < 0)
                return r;
        oxl_walk_ahead(w, oxl_crew_default());
        r = walk_worktree(s, w, err);
        oxl_walk_free(w);
        return r;
}

/* ------------------------------------------------------------------------------------------------------------------ */

static void status_done(struct status *s)
{
        oxl_ignore_free(s->ignore);
        oxl_index_cursor_free(s->cursor);
        oxl_index_free(s->index);
}

int oxl_repo_status(struct oxl_repo *r, oxl_status_fn *fn, void *ctx, struct oxl_error *err)
{
        cleanup(status_done) struct status s = { .repo = r, .fn = fn, .ctx = ctx };
        /* HEAD before the index: a commit that ends in between shows as staged changes, never as none */
        int k = find_head(&s, err);
        if (k < 0)
                return k;
        k = oxl_index_open(r->root_fd, &r->format.id, r->format.blob_algo, &s.index, err);
        if (k < 0)
                return k;
        k = report_staged(&s, err);
        return k < 0 ? k : report_worktree(&s, err);
}

/* --- what was interrupted ------------------------------------------------------------------------------------------ */

struct interrupted {
        struct oxl_repo *repo;
        oxl_interrupted_fn *fn;
        void *ctx;
};

/* Only asked whether there is one: its file stays. */
static bool note_dead(void *ctx, uint64_t number)
{
        (void)number;
        *(bool *)ctx = true;
        return false;
}

static int tell_interrupted(void *ctx, const struct oxl_event *event, struct oxl_error *err)
{
        const struct interrupted *x = ctx;
        const struct oxl_interrupted i = { event->seq, event->verb };
        if (oxl_owner_verdict(x->repo->root_fd, event->owner) != OXL_TEMP_DEAD)
                return 0; /* at work, or on another machine */
        int k = x->fn(x->ctx, &i, err);
        return k < 0 ? k : 0;
}

int oxl_repo_interrupted(struct oxl_repo *r, oxl_interrupted_fn *fn, void *ctx, struct oxl_error *err)
{
        struct interrupted x = { r, fn, ctx };
        struct oxl_journal *j = r->journal;
        bool any = false;
        OXL_IGNORE((int)oxl_owner_sweep_some(r->root_fd, note_dead, &any), "none is removed");
        int k = any && !j ? oxl_repo_journal_copy(r, &j, err) : 0;
        if (k >= 0 && any)
                k = oxl_journal_open_intents(j, tell_interrupted, &x, err);
        if (j != r->journal)
                oxl_journal_close(j);
        return k < 0 ? k : 0;
}
