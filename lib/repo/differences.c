/* SPDX-License-Identifier: MIT */
/*
 * oxl_repo_differences: names, sizes and kinds. Two commits by their trees, equal parts skipped; the working tree path by
 * path, along the index and, if given, a commit's tree, both sorted; the index likewise along a commit's tree alone
 * (oxl_repo_differences_staged). Writes nothing and keeps nothing in memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/path.h"
#include "objects/commit.h"
#include "os/fdio.h"
#include "repo/edits.h"
#include "repo/worktree.h"

struct diff {
        struct oxl_repo *repo;
        struct oxl_objects *objects;
        oxl_difference_fn *fn;
        void *ctx;
        struct oxl_index *index;
        struct oxl_index_cursor *tracked;
        struct oxl_tree_cursor *tree; /* NULL: the index is compared; @staged: no commits */
        bool staged;                  /* the index is the new side, not the working tree */
        struct oxl_index_entry entry;
        struct oxl_tree_item item;
        bool has_entry, has_item;
        struct oxl_error unreadable; /* the first */
};

static void diff_done(struct diff *d)
{
        oxl_index_cursor_free(d->tracked);
        oxl_tree_cursor_free(d->tree);
        oxl_index_free(d->index);
        oxl_error_done(&d->unreadable);
}

static char kind_letter(enum oxl_entry_kind kind)
{
        switch (kind) {
        case OXL_ENTRY_FILE: return 'f';
        case OXL_ENTRY_EXECUTABLE: return 'x';
        case OXL_ENTRY_SYMLINK: return 'l';
        case OXL_ENTRY_DIRECTORY: return 'd';
        case OXL_ENTRY_NONE: break;
        }
        return 'a';
}

/* @same: the content, which need not be known. */
static int report(struct diff *d, const char *path, const struct oxl_state *old, const struct oxl_state *new_,
                  bool same, struct oxl_error *err)
{
        struct oxl_difference_item item = {
                .path = path,
                .old_kind = kind_letter(old->kind),
                .new_kind = kind_letter(new_->kind),
                .old_size = old->size,
                .new_size = new_->size,
                .old_id = old->id,
                .new_id = new_->id,
        };
        bool link = old->kind == OXL_ENTRY_SYMLINK || new_->kind == OXL_ENTRY_SYMLINK;
        item.what = old->kind == OXL_ENTRY_NONE       ? OXL_DIFF_ADDED
                    : new_->kind == OXL_ENTRY_NONE    ? OXL_DIFF_DELETED
                    : old->kind != new_->kind && link ? OXL_DIFF_KIND
                    : old->kind != new_->kind && same ? OXL_DIFF_EXECUTABLE
                                                      : OXL_DIFF_MODIFIED;
        return d->fn(d->ctx, &item, err);
}

/* --- two commits ----------------------------------------------------------------------------------------------------- */

static int read_tree(struct diff *d, const char *rev, struct oxl_digest *ret, struct oxl_error *err)
{
        cleanup(oxl_commit_done) struct oxl_commit c = OXL_COMMIT_INIT;
        struct oxl_digest id;
        int k = oxl_repo_resolve(d->repo, rev, &id, err);
        if (k >= 0)
                k = oxl_commit_read(d->objects, &id, &c, err);
        if (k >= 0)
                *ret = c.tree;
        return k;
}

static int report_items(void *ctx, const struct oxl_tree_item *a, const struct oxl_tree_item *b, struct oxl_error *err)
{
        static const struct oxl_state absent = { .kind = OXL_ENTRY_NONE };
        struct oxl_state old = absent, new_ = absent;
        if (a)
                old = (struct oxl_state){ a->kind, a->size, a->id };
        if (b)
                new_ = (struct oxl_state){ b->kind, b->size, b->id };
        const struct oxl_tree_item *either = a ? a : b;
        OXL_ASSERT(either);
        return report(ctx, either->path, &old, &new_, oxl_digest_equal(&old.id, &new_.id), err);
}

static int compare_commits(struct diff *d, const char *old, const char *new_, struct oxl_error *err)
{
        struct oxl_digest a, b;
        int k = read_tree(d, old, &a, err);
        if (k >= 0)
                k = read_tree(d, new_, &b, err);
        return k < 0 ? k : oxl_tree_diff(d->objects, &a, &b, report_items, d, err);
}

/* --- the working tree ------------------------------------------------------------------------------------------------ */

static int next_entry(struct diff *d, struct oxl_error *err)
{
        int k;
        do
                k = oxl_index_cursor_next(d->tracked, &d->entry, err);
        while (k == 0 && d->entry.kind == OXL_ENTRY_NONE);
        d->has_entry = k == 0;
        return k < 0 ? k : 0;
}

static int next_item(struct diff *d, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        int k = d->tree ? oxl_tree_cursor_next(d->tree, &d->item, &why) : 1;
        d->has_item = k == 0;
        if (k >= 0 || k == -OXL_E_PATH_NOT_FOUND) /* an empty tree */
                return 0;
        oxl_error_move(err, &why);
        return k;
}

static int compare_file(struct diff *d, int dirfd, const char *path, const struct stat *st, struct oxl_index_entry *old,
                        bool *ret_same, bool *ret_same_content, struct oxl_error *err)
{
        const atomic_bool *cancel = d->repo->options.cancel;
        enum oxl_entry_kind now = oxl_worktree_kind(st, NULL);
        int k = oxl_worktree_compare(dirfd, oxl_path_base(path), path, st, old, cancel, err);
        if (k < 0)
                return k;
        *ret_same = *ret_same_content = k == 0;
        if (k == 0 || now == old->kind || now == OXL_ENTRY_SYMLINK || old->kind == OXL_ENTRY_SYMLINK)
                return 0;
        struct oxl_index_entry flipped = *old; /* only the executable bit? */
        flipped.kind = now;
        flipped.stat = (struct oxl_stat){ 0 };
        k = oxl_worktree_compare(dirfd, oxl_path_base(path), path, st, &flipped, cancel, err);
        *ret_same_content = k == 0;
        return k < 0 ? k : 0;
}

/* @old->kind NONE: it is in the index, not in the commit. */
static int compare_path(struct diff *d, const char *path, struct oxl_index_entry *old, struct oxl_error *err)
{
        cleanup_free char *parent = NULL;
        struct oxl_state was = oxl_state_of(old), is = { .kind = OXL_ENTRY_NONE };
        struct stat st;
        bool same = false, same_content = false;
        int k = oxl_path_parent(path, &parent, err);
        if (k < 0)
                return k;
        cleanup_fd int dirfd =
                oxl_open_beneath(d->repo->worktree_fd, parent[0] ? parent : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
        if (dirfd < 0 && errno != ENOENT && errno != ENOTDIR && errno != ELOOP)
                return OXL_FAIL_OS(err, DIR_OPEN, parent);
        bool there = dirfd >= 0 && oxl_fd_stat_at(dirfd, oxl_path_base(path), &st) == 0;
        if (dirfd >= 0 && !there && errno != ENOENT)
                return OXL_FAIL_OS(err, FILE_STAT, path);
        if (there)
                is = (struct oxl_state){ .kind = oxl_worktree_kind(&st, NULL), .size = (uint64_t)st.st_size };
        if (is.kind == OXL_ENTRY_NONE) { /* gone, or nothing that can be stored */
                is.size = 0;
                return was.kind == OXL_ENTRY_NONE ? 0 : report(d, path, &was, &is, false, err);
        }
        if (was.kind != OXL_ENTRY_NONE)
                k = compare_file(d, dirfd, path, &st, old, &same, &same_content, err);
        return k < 0 || same ? k : report(d, path, &was, &is, same_content, err);
}

/* What cannot be read is kept for the end; the others are compared. */
static int compare_or_keep(struct diff *d, const char *path, struct oxl_index_entry *old, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        int k = compare_path(d, path, old, &why);
        if (k >= 0)
                return k;
        bool one_file = why.code == OXL_E_FILE_OPEN || why.code == OXL_E_FILE_READ || why.code == OXL_E_FILE_STAT ||
                        why.code == OXL_E_DIR_OPEN || why.code == OXL_E_PATH_CHANGED;
        if (!one_file) {
                oxl_error_move(err, &why);
                return k;
        }
        oxl_repo_notice(d->repo, path, "cannot be read: not compared");
        if (d->unreadable.code == 0)
                oxl_error_move(&d->unreadable, &why);
        return 0;
}

/* The entry, if it is next, against the item, if that is next: both are of the same path, or one is absent. */
static int compare_staged(struct diff *d, bool entry, bool item, struct oxl_error *err)
{
        static const struct oxl_state absent = { .kind = OXL_ENTRY_NONE };
        struct oxl_state was = item ? (struct oxl_state){ d->item.kind, d->item.size, d->item.id } : absent;
        struct oxl_state is = entry ? oxl_state_of(&d->entry) : absent;
        bool same = oxl_digest_equal(&was.id, &is.id);
        if (was.kind == is.kind && same)
                return 0;
        return report(d, entry ? d->entry.path : d->item.path, &was, &is, same, err);
}

/* The next path of index and tree together. */
static int step(struct diff *d, struct oxl_error *err)
{
        static const struct oxl_state absent = { .kind = OXL_ENTRY_NONE };
        int order = !d->has_item ? -1
                    : !d->has_entry
                            ? 1
                            : oxl_path_compare(d->entry.path, d->entry.path_len, d->item.path, d->item.path_len);
        int k = 0;
        if (d->staged) {
                k = compare_staged(d, order <= 0, order >= 0, err);
        } else if (order > 0) { /* committed, no longer tracked */
                struct oxl_state was = { d->item.kind, d->item.size, d->item.id };
                k = report(d, d->item.path, &was, &absent, false, err);
        } else {
                struct oxl_index_entry old = d->entry;
                if (d->tree && order < 0)
                        old = (struct oxl_index_entry){ .path = old.path, .path_len = old.path_len };
                if (d->tree && order == 0 && (old.kind != d->item.kind || !oxl_digest_equal(&old.id, &d->item.id)))
                        old = (struct oxl_index_entry){ .path = old.path,
                                                        .path_len = old.path_len,
                                                        .kind = d->item.kind,
                                                        .size = d->item.size,
                                                        .id = d->item.id };
                k = compare_or_keep(d, old.path, &old, err);
        }
        if (k >= 0 && order >= 0)
                k = next_item(d, err);
        if (k >= 0 && order <= 0)
                k = next_entry(d, err);
        return k;
}

/* @tree NULL: only the index. */
static int compare_index(struct diff *d, const struct oxl_digest *tree, struct oxl_error *err)
{
        struct oxl_repo *r = d->repo;
        int k = oxl_index_open(r->root_fd, &r->format.id, r->format.blob_algo, &d->index, err);
        if (k >= 0)
                k = oxl_index_cursor_new(d->index, "", 0, &d->tracked, err);
        if (k >= 0 && tree)
                k = oxl_tree_cursor_new(d->objects, tree, "", 0, &d->tree, err);
        if (k >= 0)
                k = next_entry(d, err);
        if (k >= 0)
                k = next_item(d, err);
        while (k >= 0 && (d->has_entry || d->has_item)) {
                if (oxl_repo_cancelled(r))
                        return OXL_FAIL_PLAIN(err, CANCELLED);
                k = step(d, err);
        }
        if (k >= 0 && d->unreadable.code != 0) {
                k = -(int)d->unreadable.code;
                oxl_error_move(err, &d->unreadable);
        }
        return k;
}

static int compare_worktree(struct diff *d, const char *old, struct oxl_error *err)
{
        struct oxl_digest tree;
        int k = old ? read_tree(d, old, &tree, err) : 0;
        return k < 0 ? k : compare_index(d, old ? &tree : NULL, err);
}

/* Without @rev: HEAD, which may have no commits yet. */
static int compare_staging(struct diff *d, const char *rev, struct oxl_error *err)
{
        cleanup(oxl_head_done) struct oxl_head head = { 0 };
        struct oxl_digest tree;
        int k = rev ? 0 : oxl_repo_head(d->repo, &head, err);
        bool any = rev || head.commit.algo != OXL_ALGO_NONE;
        d->staged = true;
        if (k >= 0 && any)
                k = read_tree(d, rev ? rev : "HEAD", &tree, err);
        return k < 0 ? k : compare_index(d, any ? &tree : NULL, err);
}

int oxl_repo_differences(struct oxl_repo *r, const char *old, const char *new_, oxl_difference_fn *fn, void *ctx,
                         struct oxl_error *err)
{
        struct diff d = { .repo = r, .fn = fn, .ctx = ctx, .unreadable = OXL_ERROR_INIT };
        if (!old && new_)
                return OXL_FAIL_WHY(err, INVALID, new_, "the index is compared with the working tree only");
        int k = oxl_repo_objects(r, &d.objects, err);
        if (k >= 0)
                k = old && new_ ? compare_commits(&d, old, new_, err) : compare_worktree(&d, old, err);
        diff_done(&d);
        return k < 0 ? k : 0;
}

int oxl_repo_differences_staged(struct oxl_repo *r, const char *rev, oxl_difference_fn *fn, void *ctx,
                                struct oxl_error *err)
{
        struct diff d = { .repo = r, .fn = fn, .ctx = ctx, .unreadable = OXL_ERROR_INIT };
        int k = oxl_repo_objects(r, &d.objects, err);
        if (k >= 0)
                k = compare_staging(&d, rev, err);
        diff_done(&d);
        return k < 0 ? k : 0;
}
