/* SPDX-License-Identifier: MIT */
/* oxl_repo_rm and oxl_repo_restore_staged: moves (move.h) of the index, and for rm of the working tree. */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/path.h"
#include "objects/commit.h"
#include "repo/move.h"

static const struct oxl_state absent = { .kind = OXL_ENTRY_NONE };

static void index_freep(struct oxl_index **x)
{
        oxl_index_free(*x);
}

/* Every tracked path at and below @path goes. *ret_any is set when there is one. */
static int add_tracked(struct oxl_index *x, const char *path, struct oxl_edits *e, bool *ret_any, struct oxl_error *err)
{
        struct oxl_index_cursor *cursor;
        struct oxl_index_entry entry;
        int k = oxl_index_cursor_new(x, path, 0, &cursor, err);
        if (k < 0)
                return k;
        while ((k = oxl_index_cursor_next(cursor, &entry, err)) == 0) {
                struct oxl_state state = oxl_state_of(&entry);
                if (state.kind == OXL_ENTRY_NONE)
                        continue;
                *ret_any = true;
                k = oxl_edits_add(e, entry.path, entry.path_len, &state, &absent, err);
                if (k < 0)
                        break;
        }
        oxl_index_cursor_free(cursor);
        return k < 0 ? k : 0;
}

static int open_index(struct oxl_repo *r, struct oxl_move *m, struct oxl_index **ret, struct oxl_error *err)
{
        int k = oxl_index_open(r->root_fd, &r->format.id, r->format.blob_algo, ret, err);
        if (k < 0)
                return k;
        m->index = true;
        m->tree_old = m->tree_new = *oxl_index_tree(*ret);
        return 0;
}

static int rm_locked(struct oxl_repo *r, const char *const *paths, size_t n, bool cached, struct oxl_rm_result *ret,
                     struct oxl_error *err)
{
        cleanup(oxl_move_done) struct oxl_move m = OXL_MOVE_INIT;
        cleanup(index_freep) struct oxl_index *x = NULL;
        cleanup_free char *note = NULL;
        struct oxl_move_result done = { 0 };
        int k = open_index(r, &m, &x, err);
        for (size_t i = 0; k >= 0 && i < n; i++) {
                bool any = false;
                k = add_tracked(x, paths[i], &m.edits, &any, err);
                if (k >= 0 && !any)
                        return OXL_FAIL_PATH(err, PATH_NOT_FOUND, paths[i][0] ? paths[i] : ".");
        }
        if (k >= 0)
                k = oxl_edits_sort(&m.edits, err);
        if (k >= 0)
                k = oxl_paths_note(paths, n, &note, err);
        if (k < 0)
                return k;
        m.worktree = !cached;
        m.force = true; /* what has changes is stored first */
        const struct oxl_move_words words = { .verb = "rm", .note = note };
        k = oxl_move_run(r, &m, &m.edits, &words, &done, err);
        if (k >= 0)
                *ret = (struct oxl_rm_result){ m.edits.n, done.removed, done.kept };
        return k;
}

int oxl_repo_rm(struct oxl_repo *r, const char *const *paths, size_t n, const struct oxl_rm_options *options,
                struct oxl_rm_result *ret, struct oxl_error *err)
{
        int k = oxl_repo_begin_write(r, err);
        if (k < 0)
                return k;
        k = rm_locked(r, paths, n, options && options->cached, ret, err);
        oxl_repo_end_write(r);
        return k;
}

/* --- restore --staged ---------------------------------------------------------------------------------------------- */

struct unstage {
        struct oxl_repo *repo;
        struct oxl_objects *objects;
        struct oxl_index *x;
        struct oxl_digest source; /* tree; NONE: nothing is committed */
        struct oxl_move m;
};

static void unstage_done(struct unstage *u)
{
        oxl_index_free(u->x);
        oxl_move_done(&u->m);
}

static int find_source(struct unstage *u, const char *rev, struct oxl_error *err)
{
        cleanup(oxl_commit_done) struct oxl_commit c = OXL_COMMIT_INIT;
        cleanup(oxl_head_done) struct oxl_head head = { 0 };
        struct oxl_digest id;
        int k = rev ? oxl_repo_resolve(u->repo, rev, &id, err) : oxl_repo_head(u->repo, &head, err);
        if (k >= 0 && !rev)
                id = head.commit;
        if (k < 0 || id.algo == OXL_ALGO_NONE)
                return k;
        k = oxl_commit_read(u->objects, &id, &c, err);
        if (k >= 0)
                u->source = c.tree;
        return k;
}

/* A file above @path in the index cannot stay when @path comes. */
static int remove_parents(struct unstage *u, const char *path, struct oxl_error *err)
{
        for (size_t len = strlen(path); len > 0; len--) {
                struct oxl_index_entry entry;
                if (path[len] != '/')
                        continue;
                cleanup_free char *parent = strndup(path, len);
                if (!parent)
                        return OXL_FAIL_PLAIN(err, NOMEM);
                int k = oxl_index_lookup(u->x, parent, len, &entry, err);
                struct oxl_state old = k == 0 ? oxl_state_of(&entry) : absent;
                if (k == 0 && old.kind != OXL_ENTRY_NONE)
                        k = oxl_edits_add(&u->m.edits, parent, len, &old, &absent, err);
                if (k < 0)
                        return k;
        }
        return 0;
}

/* The later of two edits of a path stays: what the source has replaces "it goes". */
static int add_source(struct unstage *u, const char *path, bool *any, struct oxl_error *err)
{
        struct oxl_tree_cursor *cursor;
        struct oxl_tree_item item;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        if (u->source.algo == OXL_ALGO_NONE)
                return 0;
        int k = oxl_tree_cursor_new(u->objects, &u->source, path, 0, &cursor, err);
        if (k < 0)
                return k;
        while ((k = oxl_tree_cursor_next(cursor, &item, &why)) == 0) {
                struct oxl_index_entry entry;
                struct oxl_state new_ = { item.kind, item.size, item.id };
                *any = true;
                k = oxl_index_lookup(u->x, item.path, item.path_len, &entry, &why);
                struct oxl_state old = k == 0 ? oxl_state_of(&entry) : absent;
                if (k >= 0 && old.kind == OXL_ENTRY_NONE)
                        k = remove_parents(u, item.path, &why);
                if (k >= 0)
                        k = oxl_edits_add(&u->m.edits, item.path, item.path_len, &old, &new_, &why);
                if (k < 0)
                        break;
        }
        oxl_tree_cursor_free(cursor);
        if (k == -OXL_E_PATH_NOT_FOUND)
                return 0;
        if (k < 0)
                oxl_error_move(err, &why);
        return k < 0 ? k : 0;
}

/* Edits that change nothing are of no use here. */
static void drop_equal(struct oxl_edits *e)
{
        size_t kept = 0;
        for (size_t i = 0; i < e->n; i++) {
                if (oxl_state_equal(&e->at[i].old, &e->at[i].new_))
                        free(e->at[i].path);
                else
                        e->at[kept++] = e->at[i];
        }
        e->n = kept;
}

static int unstage_locked(struct unstage *u, const char *const *paths, size_t n, const char *rev, uint64_t *ret_files,
                          struct oxl_error *err)
{
        cleanup_free char *note = NULL;
        struct oxl_move_result done;
        int k = oxl_repo_objects(u->repo, &u->objects, err);
        if (k >= 0)
                k = open_index(u->repo, &u->m, &u->x, err);
        if (k >= 0)
                k = find_source(u, rev, err);
        for (size_t i = 0; k >= 0 && i < n; i++) {
                bool any = false;
                k = add_tracked(u->x, paths[i], &u->m.edits, &any, err);
                if (k >= 0)
                        k = add_source(u, paths[i], &any, err);
                if (k >= 0 && !any && paths[i][0])
                        return OXL_FAIL_PATH(err, PATH_NOT_FOUND, paths[i]);
        }
        if (k >= 0)
                k = oxl_edits_sort(&u->m.edits, err);
        if (k >= 0)
                k = oxl_paths_note(paths, n, &note, err);
        if (k < 0)
                return k;
        drop_equal(&u->m.edits);
        *ret_files = u->m.edits.n;
        if (u->m.edits.n == 0)
                return 0;
        const struct oxl_move_words words = { .verb = "restore-staged", .note = note };
        return oxl_move_run(u->repo, &u->m, &u->m.edits, &words, &done, err);
}

int oxl_repo_restore_staged(struct oxl_repo *r, const char *const *paths, size_t n, const char *rev,
                            uint64_t *ret_files, struct oxl_error *err)
{
        int k = oxl_repo_begin_write(r, err);
        if (k < 0)
                return k;
        struct unstage u = { .repo = r, .m = OXL_MOVE_INIT };
        k = unstage_locked(&u, paths, n, rev, ret_files, err);
        unstage_done(&u);
        oxl_repo_end_write(r);
        return k;
}
