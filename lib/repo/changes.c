/* SPDX-License-Identifier: MIT */
/* See changes.h. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/path.h"
#include "os/fdio.h"
#include "repo/changes.h"

/* Does the tree that unstaged entries equal have exactly this at @path? 1 yes, 0 no. */
static int tree_has(struct oxl_changes *c, const char *path, const struct oxl_index_entry *entry, struct oxl_error *err)
{
        const struct oxl_digest *tree = oxl_index_tree(c->index);
        struct oxl_tree_item item;
        if (tree->algo == OXL_ALGO_NONE)
                return 0;
        int k = oxl_tree_find(c->objects, tree, path, &item, err);
        if (k < 0)
                return k;
        if (k > 0)
                return 0;
        if (!entry)
                return item.kind != OXL_ENTRY_DIRECTORY;
        return item.kind == entry->kind && oxl_digest_equal(&item.id, &entry->id);
}

int oxl_changes_remove(struct oxl_changes *c, const struct oxl_index_entry *entry, struct oxl_error *err)
{
        struct oxl_index_entry gone = { .path = entry->path, .path_len = entry->path_len, .staged = true };
        if (entry->staged) { /* perhaps never committed: then nothing is left to remove */
                int k = tree_has(c, entry->path, NULL, err);
                if (k < 0)
                        return k;
                gone.staged = k > 0;
        }
        c->count.removed++;
        return oxl_index_edit_set(c->edit, &gone, err);
}

/* A path that becomes a file ends the entries below it, and entries for its parents as files. */
static int remove_conflicts(struct oxl_changes *c, const char *path, struct oxl_error *err)
{
        cleanup(oxl_buf_done) struct oxl_buf part = OXL_BUF_INIT;
        struct oxl_index_entry entry;
        for (size_t len = oxl_path_parent_len(path); len > 0; len = oxl_path_parent_len(oxl_buf_text(&part))) {
                oxl_buf_clear(&part);
                int k = oxl_buf_append(&part, path, len, err);
                if (k < 0)
                        return k;
                k = oxl_index_lookup(c->index, oxl_buf_text(&part), len, &entry, err);
                if (k < 0)
                        return k;
                if (k == 0 && entry.kind != OXL_ENTRY_NONE && (k = oxl_changes_remove(c, &entry, err)) < 0)
                        return k;
        }
        struct oxl_index_cursor *below;
        int k = oxl_index_cursor_new(c->index, path, 0, &below, err);
        if (k < 0)
                return k;
        size_t len = strlen(path);
        while ((k = oxl_index_cursor_next(below, &entry, err)) == 0) {
                if (entry.path_len > len && entry.kind != OXL_ENTRY_NONE &&
                    (k = oxl_changes_remove(c, &entry, err)) < 0)
                        break;
        }
        oxl_index_cursor_free(below);
        return k < 0 ? k : 0;
}

/* What was stored becomes the index entry of its path. @old: what the index has; NULL: nothing. */
static int set_entry(struct oxl_changes *c, struct oxl_index_entry *entry, enum oxl_put_outcome outcome,
                     const struct oxl_index_entry *old, struct oxl_error *err)
{
        if (outcome == OXL_PUT_HEALED)
                c->count.healed++;
        bool same = old && old->kind == entry->kind && oxl_digest_equal(&old->id, &entry->id);
        if (same) { /* touched, not changed: only the stat cache is news */
                entry->staged = old->staged;
                c->count.unchanged++;
        } else {
                entry->staged = true;
                if (old && old->staged) { /* may be back to what is committed */
                        int k = tree_has(c, entry->path, entry, err);
                        if (k < 0)
                                return k;
                        entry->staged = k == 0;
                }
                c->count.files++;
        }
        return oxl_index_edit_set(c->edit, entry, err);
}

static int store_new(struct oxl_changes *c, int dirfd, const char *name, const char *path,
                     const struct oxl_index_entry *old, struct oxl_error *err)
{
        struct oxl_index_entry entry;
        int k = oxl_worktree_store(c->put, dirfd, name, path, c->repo->options.cancel, &entry, err);
        if (k < 0)
                return k;
        entry.path = path;
        entry.path_len = strlen(path);
        return set_entry(c, &entry, (enum oxl_put_outcome)k, old, err);
}

/* A file that was read ahead. */
static int store_read(void *ctx, struct oxl_intake_file *file, struct oxl_error *err)
{
        struct oxl_changes *c = ctx;
        const struct oxl_index_entry *old = file->known ? &file->old : NULL;
        if (file->result < 0) {
                int code = (int)file->err.code;
                if (err)
                        oxl_error_move(err, &file->err);
                return -code;
        }
        if (file->result == OXL_INTAKE_AGAIN)
                return store_new(c, file->dirfd, oxl_path_base(file->path), file->path, old, err);
        int k = oxl_put_blob(c->put, file->bytes, file->n, &file->entry.id, file->path, err);
        return k < 0 ? k : set_entry(c, &file->entry, (enum oxl_put_outcome)k, old, err);
}

int oxl_changes_settle(struct oxl_changes *c, struct oxl_error *err)
{
        return oxl_intake_settle(c->intake, err);
}

static void say_progress(const struct oxl_changes *c)
{
        struct oxl_put_stats stats;
        oxl_put_get_stats(c->put, &stats);
        oxl_repo_progress(c->repo, "storing", c->looked_at, 0, stats.stored_bytes + c->ahead_bytes, 0);
}

/* Of a large file that is being read. */
static void tick(void *ctx, uint64_t bytes)
{
        struct oxl_changes *c = ctx;
        c->ahead_bytes += bytes;
        say_progress(c);
}

int oxl_changes_store(struct oxl_changes *c, int dirfd, const char *name, const char *path, const struct stat *st,
                      struct oxl_error *err)
{
        struct oxl_index_entry old;
        c->looked_at++;
        c->ahead_bytes = 0;
        say_progress(c);
        if (oxl_repo_cancelled(c->repo))
                return OXL_FAIL_PLAIN(err, CANCELLED);
        int k = oxl_index_lookup(c->index, path, strlen(path), &old, err);
        if (k < 0)
                return k;
        bool known = k == 0, live = known && old.kind != OXL_ENTRY_NONE;
        if (live && oxl_stat_unchanged(&old, st)) {
                c->count.unchanged++;
                return 0;
        }
        if (!live) {
                k = remove_conflicts(c, path, err);
                if (k < 0)
                        return k;
                /* the lookups above reused what @old borrows from */
                k = oxl_index_lookup(c->index, path, strlen(path), &old, err);
                if (k < 0)
                        return k;
        }
        if (S_ISREG(st->st_mode) && (uint64_t)st->st_size < c->read_ahead_below)
                return oxl_intake_add(c->intake, dirfd, path, st, known ? &old : NULL, err);
        k = oxl_intake_settle(c->intake, err); /* packs are written in the order of the walk */
        return k < 0 ? k : store_new(c, dirfd, name, path, known ? &old : NULL, err);
}

/* --- beginning and end --- */

int oxl_changes_begin(struct oxl_changes *c, struct oxl_repo *r, struct oxl_error *err)
{
        c->repo = r;
        int k = oxl_repo_objects(r, &c->objects, err);
        if (k < 0)
                return k;
        k = oxl_index_open(r->root_fd, &r->format.id, r->format.blob_algo, &c->index, err);
        if (k < 0)
                return k;
        k = oxl_index_edit_new(c->index, &c->edit, err);
        if (k < 0)
                return k;
        k = oxl_put_begin(c->objects, &c->put, err);
        if (k < 0)
                return k;
        oxl_put_set_tick(c->put, tick, c);
        uint64_t packed = r->settings.pack_threshold;
        c->read_ahead_below = packed < OXL_INTAKE_FILE_MAX ? packed : OXL_INTAKE_FILE_MAX;
        return oxl_intake_new(r->format.blob_algo, r->options.cancel, store_read, c, &c->intake, err);
}

void oxl_changes_done(struct oxl_changes *c)
{
        oxl_intake_free(c->intake);
        oxl_put_free(c->put);
        oxl_index_edit_free(c->edit);
        oxl_index_free(c->index);
        *c = (struct oxl_changes)OXL_CHANGES_INIT;
}

/* --- all tracked paths --- */

/* The directory that holds the last path looked at, so that a folder is opened once. */
struct parent {
        int fd;
        char *path; /* owned */
        bool missing;
};

static void parent_done(struct parent *p)
{
        oxl_fd_done(&p->fd);
        free(p->path);
        p->path = NULL;
}

static int parent_open(struct parent *p, int root_fd, const char *path, struct oxl_error *err)
{
        size_t len = oxl_path_parent_len(path);
        if (p->path && strlen(p->path) == len && memcmp(p->path, path, len) == 0)
                return 0;
        parent_done(p);
        p->path = strndup(path, len);
        if (!p->path)
                return OXL_FAIL_PLAIN(err, NOMEM);
        p->fd = oxl_open_beneath(root_fd, len ? p->path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
        p->missing = p->fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP);
        if (p->fd < 0 && !p->missing)
                return OXL_FAIL_OS(err, DIR_OPEN, p->path);
        return 0;
}

static int tracked_path(struct oxl_changes *c, struct parent *p, const char *path, enum oxl_tracked which,
                        struct oxl_error *err)
{
        struct oxl_index_entry entry;
        struct stat st;
        const char *name = oxl_path_base(path), *what;
        int k = parent_open(p, c->repo->worktree_fd, path, err);
        if (k < 0)
                return k;
        bool missing = p->missing;
        if (!missing && oxl_fd_stat_at(p->fd, name, &st) < 0) {
                if (errno != ENOENT)
                        return OXL_FAIL_OS(err, FILE_STAT, path);
                missing = true;
        }
        if (!missing && oxl_worktree_kind(&st, &what) == OXL_ENTRY_NONE) {
                if (!S_ISDIR(st.st_mode)) /* never taken for a removal */
                        return OXL_FAIL_WHY(err, PATH_SPECIAL, path, what);
                missing = true;
        }
        if (!missing && which == OXL_TRACKED_REMOVED)
                return 0;
        if (!missing)
                return oxl_changes_store(c, p->fd, name, path, &st, err);
        k = oxl_index_lookup(c->index, path, strlen(path), &entry, err);
        return k < 0 ? k : oxl_changes_remove(c, &entry, err);
}

int oxl_changes_tracked(struct oxl_changes *c, const char *from, enum oxl_tracked which, struct oxl_error *err)
{
        cleanup(parent_done) struct parent p = { .fd = -1 };
        struct oxl_index_cursor *cursor;
        struct oxl_index_entry entry;
        int k = oxl_index_cursor_new(c->index, from, 0, &cursor, err);
        if (k < 0)
                return k;
        while ((k = oxl_index_cursor_next(cursor, &entry, err)) == 0) {
                if (entry.kind == OXL_ENTRY_NONE)
                        continue;
                k = tracked_path(c, &p, entry.path, which, err);
                if (k < 0)
                        break;
        }
        oxl_index_cursor_free(cursor);
        return k < 0 ? k : 0;
}
