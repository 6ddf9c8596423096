/* SPDX-License-Identifier: MIT */
/*
 * The index's part of a move. Content changes by the edits; what is staged follows from content and tree: an entry is
 * staged exactly when the tree has something else at its path. So three kinds of paths get an entry here: those of the
 * edits, and those in which the old and the new tree differ.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/path.h"
#include "os/fdio.h"
#include "repo/move.h"

struct builder {
        struct oxl_repo *repo;
        struct oxl_objects *objects;
        struct oxl_index *x;
        struct oxl_index_edit *edit;
        const struct oxl_move *m;
        struct timespec now;
};

static void builder_done(struct builder *b)
{
        oxl_index_edit_free(b->edit);
}

/* What the index has at @path; *ret_entry is valid until the next lookup. */
static int current(struct oxl_index *x, const char *path, size_t len, struct oxl_state *ret,
                   struct oxl_index_entry *ret_entry, struct oxl_error *err)
{
        int k = oxl_index_lookup(x, path, len, ret_entry, err);
        if (k < 0)
                return k;
        if (k > 0)
                *ret_entry = (struct oxl_index_entry){ .path = path, .path_len = len };
        *ret = oxl_state_of(ret_entry);
        return 0;
}

/* A path that comes cannot be above or below another file of the index, unless that goes. 0 fine, 1 not. */
static int check_neighbours(struct oxl_index *x, const struct oxl_move *m, const struct oxl_edit *e,
                            struct oxl_error *err)
{
        struct oxl_index_cursor *below;
        struct oxl_index_entry entry;
        int k = 0;
        for (size_t i = 1; i < e->path_len; i++) {
                const struct oxl_edit *above = e->path[i] == '/' ? oxl_edits_find(&m->edits, e->path, i) : NULL;
                if (e->path[i] != '/' || (above && above->new_.kind == OXL_ENTRY_NONE))
                        continue;
                k = oxl_index_lookup(x, e->path, i, &entry, err);
                if (k < 0)
                        return k;
                if (k == 0 && entry.kind != OXL_ENTRY_NONE)
                        return 1;
        }
        k = oxl_index_cursor_new(x, e->path, 0, &below, err);
        if (k < 0)
                return k;
        while ((k = oxl_index_cursor_next(below, &entry, err)) == 0) {
                const struct oxl_edit *goes = oxl_edits_find(&m->edits, entry.path, entry.path_len);
                if (entry.kind != OXL_ENTRY_NONE && !(goes && goes->new_.kind == OXL_ENTRY_NONE) &&
                    entry.path_len > e->path_len)
                        break;
        }
        oxl_index_cursor_free(below);
        return k < 0 ? k : k == 0;
}

int oxl_move_check_index(struct oxl_index *x, const struct oxl_move *m, struct oxl_error *err)
{
        struct oxl_index_entry entry;
        struct oxl_state now;
        if (!oxl_digest_equal(oxl_index_tree(x), &m->tree_old))
                return 1;
        for (size_t i = 0; i < m->edits.n; i++) {
                const struct oxl_edit *e = &m->edits.at[i];
                int k = current(x, e->path, e->path_len, &now, &entry, err);
                if (k < 0)
                        return k;
                if (!oxl_state_equal(&now, &e->old))
                        return 1;
                if (e->old.kind == OXL_ENTRY_NONE && e->new_.kind != OXL_ENTRY_NONE)
                        k = check_neighbours(x, m, e, err);
                if (k != 0)
                        return k;
        }
        return 0;
}

static int tree_state(struct builder *b, const struct oxl_edit *e, struct oxl_state *ret, struct oxl_error *err)
{
        struct oxl_tree_item item;
        *ret = (struct oxl_state){ .kind = OXL_ENTRY_NONE };
        if (b->m->from_trees && e->of_trees) {
                *ret = e->new_;
                return 0;
        }
        if (b->m->tree_new.algo == OXL_ALGO_NONE)
                return 0;
        int k = oxl_tree_find(b->objects, &b->m->tree_new, e->path, &item, err);
        if (k == 0 && item.kind != OXL_ENTRY_DIRECTORY)
                *ret = (struct oxl_state){ item.kind, item.size, item.id };
        return k < 0 ? k : 0;
}

/* The stat cache of a file that we wrote, if it is still that very file. */
static void fill_stat(struct builder *b, const struct oxl_edit *e, const struct oxl_written *w, struct oxl_stat *ret)
{
        cleanup_free char *parent = NULL;
        struct stat st;
        if (!w || w->ino == 0 || oxl_path_parent(e->path, &parent, NULL) < 0)
                return;
        cleanup_fd int dirfd =
                oxl_open_beneath(b->repo->worktree_fd, parent[0] ? parent : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
        if (dirfd < 0 || oxl_fd_stat_at(dirfd, oxl_path_base(e->path), &st) < 0 || st.st_ino != w->ino ||
            st.st_mtim.tv_sec != w->mtime_s || (uint32_t)st.st_mtim.tv_nsec != w->mtime_ns ||
            (uint64_t)st.st_size != e->new_.size)
                return;
        oxl_stat_fill(&st, &b->now, ret);
}

/* @state is the content from now on, @in_tree what the new tree has. */
static int set(struct builder *b, const struct oxl_edit *e, const struct oxl_state *state,
               const struct oxl_state *in_tree, const struct oxl_stat *stat, struct oxl_error *err)
{
        struct oxl_index_entry entry = {
                .path = e->path,
                .path_len = e->path_len,
                .kind = state->kind,
                .staged = !oxl_state_equal(state, in_tree),
                .size = state->size,
                .id = state->id,
        };
        if (state->kind != OXL_ENTRY_NONE && stat)
                entry.stat = *stat;
        return oxl_index_edit_set(b->edit, &entry, err);
}

static int set_edit(struct builder *b, const struct oxl_edit *e, const struct oxl_written *w, struct oxl_error *err)
{
        struct oxl_index_entry entry;
        struct oxl_state now, in_tree;
        struct oxl_stat stat = { 0 };
        int k = current(b->x, e->path, e->path_len, &now, &entry, err);
        if (k < 0)
                return k;
        if (!oxl_state_equal(&now, &e->old) && !oxl_state_equal(&now, &e->new_)) {
                oxl_repo_notice(b->repo, e->path, "left as it is in the index: it was changed meanwhile");
                return 0;
        }
        if (oxl_state_equal(&now, &e->new_))
                stat = entry.stat;
        fill_stat(b, e, w, &stat);
        k = tree_state(b, e, &in_tree, err);
        return k < 0 ? k : set(b, e, &e->new_, &in_tree, &stat, err);
}

/* The content stays, the tree moves beneath it. */
static int set_flags(struct builder *b, struct oxl_error *err)
{
        cleanup(oxl_edits_done) struct oxl_edits between = OXL_EDITS_INIT;
        struct oxl_index_entry entry;
        struct oxl_state now;
        if (oxl_digest_equal(&b->m->tree_old, &b->m->tree_new) || b->m->from_trees)
                return 0; /* from_trees: all of them are edits */
        int k = oxl_edits_add_trees(&between, b->objects, &b->m->tree_old, &b->m->tree_new, err);
        for (size_t i = 0; k >= 0 && i < between.n; i++) {
                const struct oxl_edit *e = &between.at[i];
                if (oxl_edits_find(&b->m->edits, e->path, e->path_len))
                        continue;
                k = current(b->x, e->path, e->path_len, &now, &entry, err);
                struct oxl_stat stat = entry.stat;
                if (k >= 0)
                        k = set(b, e, &now, &e->new_, &stat, err);
        }
        return k;
}

static int write_edit(struct builder *b, struct oxl_error *err)
{
        struct oxl_durable *d = b->repo->durable;
        struct oxl_stage *stage = NULL;
        struct oxl_digest digest;
        const char *target;
        uint64_t size;
        int k = oxl_index_stage(b->edit, d, &stage, &target, &digest, &size, err);
        if (k < 0)
                return k;
        k = oxl_stage_publish(stage, target, false, err);
        oxl_stage_free(stage);
        /* CRASH: the old index or the new one, both whole; recovery writes it again. */
        return k < 0 ? k : oxl_durable_barrier(d, err);
}

int oxl_move_index(struct oxl_repo *r, struct oxl_index *x, const struct oxl_move *m, const struct oxl_written *written,
                   struct oxl_error *err)
{
        cleanup(builder_done) struct builder b = { .repo = r, .x = x, .m = m };
        OXL_IGNORE(oxl_sys->clock_gettime(CLOCK_REALTIME, &b.now), "cannot fail for this clock");
        int k = oxl_repo_objects(r, &b.objects, err);
        if (k >= 0)
                k = oxl_index_edit_new(x, &b.edit, err);
        for (size_t i = 0; k >= 0 && i < m->edits.n; i++)
                k = set_edit(&b, &m->edits.at[i], written ? &written[i] : NULL, err);
        if (k >= 0)
                k = set_flags(&b, err);
        if (k < 0)
                return k;
        oxl_index_edit_set_tree(b.edit, &m->tree_new);
        return write_edit(&b, err);
}
