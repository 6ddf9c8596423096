/* SPDX-License-Identifier: MIT */
/*
 * The working tree's part of a move. Two readings of the same list: one that refuses or keeps, before the intent, and
 * one that acts, after it; recovery repeats the second. A file is replaced or removed only if it is what the index said,
 * or a stored blob has its content; anything else stays, with a notice. "What the index said" is no reason alone: its blob is
 * read and hashed first, and stored again when it is not good (checkout.h).
 *
 * What is to be written is read and hashed before the intent as well: a switch to damaged content is refused, not half done.
 * What undo writes can be a content that the index does not know, kept of a file that had local changes: m->local.
 *
 * Files that go are removed before any is written, because a file may become a folder and a folder a file.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/path.h"
#include "durable/mutant.h"
#include "os/fdio.h"
#include "repo/move.h"

enum look {
        LOOK_DONE,      /* as it shall be */
        LOOK_ABSENT,    /* to be written, nothing is there */
        LOOK_OLD,       /* what the index had */
        LOOK_KEPT,      /* not that, but what m->local says: a blob has it */
        LOOK_CHANGED,   /* the file that was tracked, with other content */
        LOOK_UNTRACKED, /* a file that was not tracked */
        LOOK_FOLDER,    /* a folder where a file shall be */
        LOOK_BLOCKED,   /* a file where a parent folder shall be */
};

static bool moves(const struct oxl_edit *e)
{
        return !oxl_state_equal(&e->old, &e->new_);
}

/* What the file becomes. */
static const struct oxl_state *wanted(const struct oxl_move *m, const struct oxl_edit *e)
{
        const struct oxl_edit *local = oxl_edits_find(&m->local, e->path, e->path_len);
        return local && local->new_.kind != OXL_ENTRY_NONE ? &local->new_ : &e->new_;
}

static bool goes(const struct oxl_move *m, const struct oxl_edit *e)
{
        return wanted(m, e)->kind == OXL_ENTRY_NONE;
}

/* What was kept of it. */
static const struct oxl_state *kept(const struct oxl_move *m, const struct oxl_edit *e)
{
        static const struct oxl_state none = { .kind = OXL_ENTRY_NONE };
        const struct oxl_edit *local = oxl_edits_find(&m->local, e->path, e->path_len);
        return local ? &local->old : &none;
}

static struct oxl_tree_item item_of(const struct oxl_edit *e, const struct oxl_state *s)
{
        return (struct oxl_tree_item){ e->path, e->path_len, s->kind, s->size, s->id };
}

static int look_at_file(struct oxl_checkout *c, const struct oxl_move *m, const struct oxl_edit *e, int dirfd,
                        const struct stat *st, enum look *ret, struct oxl_error *err)
{
        const struct {
                const struct oxl_state *state;
                enum look look;
        } known[] = { { wanted(m, e), LOOK_DONE }, { &e->old, LOOK_OLD }, { kept(m, e), LOOK_KEPT } };
        for (size_t i = 0; i < OXL_ARRAY_LEN(known); i++) {
                struct oxl_tree_item item = item_of(e, known[i].state);
                if (item.kind == OXL_ENTRY_NONE)
                        continue;
                int k = oxl_destination_compare(&c->dest, dirfd, &item, st, err);
                if (k < 0)
                        return k;
                if (k == 0) {
                        *ret = known[i].look;
                        return 0;
                }
        }
        *ret = e->old.kind == OXL_ENTRY_NONE ? LOOK_UNTRACKED : LOOK_CHANGED;
        return 0;
}

/* What is at the path of @e? @ret_st: its lstat, with OLD, KEPT and CHANGED. */
static int look(struct oxl_checkout *c, const struct oxl_move *m, const struct oxl_edit *e, enum look *ret,
                struct stat *ret_st, struct oxl_error *err)
{
        cleanup_fd int dirfd = -1;
        const char *what;
        bool shall_go = goes(m, e);
        if (oxl_repo_cancelled(c->repo))
                return OXL_FAIL_PLAIN(err, CANCELLED);
        int k = oxl_destination_parent(&c->dest, e->path, &dirfd, err);
        if (k < 0)
                return k;
        *ret = shall_go ? LOOK_DONE : k == 2 ? LOOK_BLOCKED : LOOK_ABSENT;
        if (k > 0)
                return 0;
        if (oxl_fd_stat_at(dirfd, oxl_path_base(e->path), ret_st) < 0)
                return errno == ENOENT ? 0 : OXL_FAIL_OS(err, FILE_STAT, e->path);
        if (S_ISDIR(ret_st->st_mode)) {
                *ret = shall_go ? LOOK_DONE : LOOK_FOLDER;
                return 0;
        }
        if (oxl_worktree_kind(ret_st, &what) == OXL_ENTRY_NONE)
                return OXL_FAIL_WHY(err, PATH_SPECIAL, e->path, what);
        return look_at_file(c, m, e, dirfd, ret_st, ret, err);
}

/* --- before -------------------------------------------------------------------------------------------------------- */

/* What stands against the move: all of it is named, the first is the error. */
struct check {
        struct oxl_checkout *c;
        const struct oxl_move *m;
        struct oxl_edits local; /* what m->local becomes */
        struct oxl_error first;
};

static void refuse(struct check *x, bool tracked, const char *path)
{
        oxl_repo_notice(x->c->repo, path,
                        tracked ? "has changes that would be lost" : "is not tracked and would be overwritten");
        if (x->first.code != 0)
                return;
        if (tracked)
                OXL_IGNORE(OXL_FAIL_PATH(&x->first, PATH_MODIFIED, path), "kept for the end");
        else
                OXL_IGNORE(OXL_FAIL_PATH(&x->first, PATH_IN_WAY, path), "kept for the end");
}

/* Does the move take the file @path away? */
static bool takes_away(const struct check *x, const char *path, size_t len)
{
        const struct oxl_edit *e = oxl_edits_find(&x->m->edits, path, len);
        return e && (e->old.kind != OXL_ENTRY_NONE || kept(x->m, e)->kind != OXL_ENTRY_NONE) && goes(x->m, e);
}

/* The folder goes by itself when all files in it go; each of those has an edit of its own. */
static int check_folder(struct check *x, const char *path, struct oxl_error *err)
{
        struct oxl_walk *w;
        struct oxl_walk_item item;
        int k = oxl_walk_new(x->c->dest.fd, path, &w, err);
        if (k < 0)
                return k;
        while ((k = oxl_walk_next(w, &item, err)) == 0) {
                if (item.error)
                        k = oxl_error_copy(err, item.error);
                else if (!S_ISDIR(item.st.st_mode) && !takes_away(x, item.path, item.path_len))
                        refuse(x, false, item.path);
                if (k < 0)
                        break;
        }
        oxl_walk_free(w);
        return k < 0 ? k : 0;
}

/* The file that is in the place of one of @path's parents: does it go? */
static int check_parents(struct check *x, const struct oxl_edit *e, struct oxl_error *err)
{
        struct stat st;
        for (size_t i = 1; i < e->path_len; i++) {
                if (e->path[i] != '/')
                        continue;
                cleanup_free char *parent = strndup(e->path, i);
                if (!parent)
                        return OXL_FAIL_PLAIN(err, NOMEM);
                cleanup_fd int dirfd = -1;
                int k = oxl_destination_parent(&x->c->dest, parent, &dirfd, err);
                if (k != 0)
                        return k < 0 ? k : 0;
                if (oxl_fd_stat_at(dirfd, oxl_path_base(parent), &st) < 0)
                        return errno == ENOENT ? 0 : OXL_FAIL_OS(err, FILE_STAT, parent);
                if (S_ISDIR(st.st_mode))
                        continue;
                if (!takes_away(x, parent, i))
                        refuse(x, false, parent);
                return 0;
        }
        return 0;
}

/* What is at its path, as it was found, can go. *ret_kept: what it was, if the edit does not say that. */
static int check_found(struct check *x, const struct oxl_edit *e, enum look found, struct oxl_state *ret_kept,
                       struct oxl_error *err)
{
        const char *what = goes(x->m, e) ? "removed" : "overwritten";
        switch (found) {
        case LOOK_DONE:
        case LOOK_ABSENT: return 0;
        case LOOK_OLD: return oxl_checkout_secure(x->c, e->path, &e->old.id, e->old.size, what, err);
        case LOOK_KEPT:
                *ret_kept = *kept(x->m, e);
                return oxl_checkout_secure(x->c, e->path, &ret_kept->id, ret_kept->size, what, err);
        case LOOK_FOLDER: return check_folder(x, e->path, err);
        case LOOK_BLOCKED: return check_parents(x, e, err);
        case LOOK_CHANGED:
        case LOOK_UNTRACKED: break;
        }
        if (x->m->force)
                return oxl_checkout_keep(x->c, e->path, what, ret_kept, err);
        refuse(x, found == LOOK_CHANGED, e->path);
        return 0;
}

static int check_edit(struct check *x, const struct oxl_edit *e, struct oxl_error *err)
{
        const struct oxl_edit *local = oxl_edits_find(&x->m->local, e->path, e->path_len);
        struct oxl_state was = { .kind = OXL_ENTRY_NONE }, becomes = was;
        const struct oxl_tree_item item = item_of(e, wanted(x->m, e));
        enum look found;
        struct stat st;
        int k = look(x->c, x->m, e, &found, &st, err);
        if (k < 0)
                return k;
        if (item.kind != OXL_ENTRY_NONE && found != LOOK_DONE) {
                x->c->total++;
                k = oxl_checkout_verify(x->c, &item, &x->first, err);
        }
        if (k >= 0)
                k = check_found(x, e, found, &was, err);
        if (local)
                becomes = local->new_;
        if (k < 0 || (was.kind == OXL_ENTRY_NONE && becomes.kind == OXL_ENTRY_NONE))
                return k;
        return oxl_edits_add(&x->local, e->path, e->path_len, &was, &becomes, err);
}

int oxl_move_check_files(struct oxl_checkout *c, struct oxl_move *m, struct oxl_error *err)
{
        struct check x = { c, m, OXL_EDITS_INIT, OXL_ERROR_INIT };
        int k = 0;
        for (size_t i = 0; k >= 0 && i < m->edits.n; i++)
                if (moves(&m->edits.at[i]))
                        k = check_edit(&x, &m->edits.at[i], err);
        if (k >= 0 && x.first.code != 0) {
                k = -(int)x.first.code;
                oxl_error_move(err, &x.first);
        }
        if (k >= 0) {
                oxl_edits_done(&m->local);
                m->local = x.local;
                x.local = (struct oxl_edits)OXL_EDITS_INIT;
        }
        oxl_edits_done(&x.local);
        oxl_error_done(&x.first);
        return k < 0 ? k : 0;
}

/* --- after --------------------------------------------------------------------------------------------------------- */

struct action {
        struct oxl_checkout *c;
        const struct oxl_move *m;
        bool finishing;
        uint64_t removed;
};

/* Its content is in the store, because we put it there before the intent: 0. 1: it is newer. */
static int is_kept(struct action *a, const char *path, struct oxl_error *err)
{
        return a->m->force ? oxl_destination_is_stored(&a->c->dest, a->c->objects, path, err) : 1;
}

/* May the file go, as it was found? 0; 1: it stays, and that was said. Of a file without changes the blob was good before the intent;
 * what happened to it since a dead process looked is not known. */
static int may_go(struct action *a, const struct oxl_edit *e, enum look found, struct oxl_error *err)
{
        if (found == LOOK_OLD || found == LOOK_KEPT) {
                const struct oxl_state *was = found == LOOK_OLD ? &e->old : kept(a->m, e);
                int k = a->finishing ? oxl_checkout_blob_good(a->c, &was->id, err) : 0;
                if (k > 0)
                        oxl_repo_notice(a->c->repo, e->path,
                                        "left alone: its content is damaged or missing in the store");
                return k;
        }
        int k = is_kept(a, e->path, err);
        if (k > 0)
                oxl_repo_notice(a->c->repo, e->path, "left alone: it was changed meanwhile");
        return k;
}

/* While finishing: the file is right, or gone, perhaps only in the cache, because the dead process did not come to sync its folder; and
 * the outcome that we record says that it is done. tests: crash/release-store_mutants, kills in "switch" and "rm". */
static int mark(struct action *a, const char *path, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        bool believed = !a->finishing || OXL_MUTANT(MOVE_BELIEVES_FILES);
        int k = believed ? 0 : oxl_durable_mark(a->c->dest.durable, path, &why);
        if (k < 0 && !(why.code == OXL_E_DIR_OPEN && (why.os == ENOENT || why.os == ENOTDIR || why.os == ELOOP))) {
                oxl_error_move(err, &why);
                return k;
        }
        return 0;
}

static int remove_file(struct action *a, const struct oxl_edit *e, struct oxl_error *err)
{
        enum look found;
        struct stat st;
        int k = look(a->c, a->m, e, &found, &st, err);
        if (k < 0)
                return k;
        if (found == LOOK_DONE)
                return mark(a, e->path, err);
        k = may_go(a, e, found, err);
        if (k == 0) /* what came to it while it was read is nowhere else */
                k = oxl_checkout_unchanged(a->c, e->path, &st, err);
        if (k != 0)
                return k < 0 ? k : 0;
        k = oxl_durable_unlink(a->c->dest.durable, e->path, st.st_dev, st.st_ino, err);
        a->removed += k == 0;
        a->c->changed = a->c->changed || k == 0;
        return k < 0 ? k : 0;
}

/* 1: it stays, because it is not empty, or cannot be removed: no file is lost by that. */
static int remove_folder(struct action *a, const char *path, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        int gone = oxl_durable_rmdir(a->c->dest.durable, path, &why);
        if (gone < 0 && why.code == OXL_E_POISONED) {
                oxl_error_move(err, &why);
                return gone;
        }
        if (gone != 0)
                return 1;
        return mark(a, path, err);
}

/* Folders that the removed files leave empty, from the last one up. */
static int remove_folders(struct action *a, struct oxl_error *err)
{
        cleanup_buf struct oxl_buf dir = OXL_BUF_INIT;
        for (size_t i = a->m->edits.n; i-- > 0;) {
                const struct oxl_edit *e = &a->m->edits.at[i];
                if (!moves(e) || !goes(a->m, e))
                        continue;
                size_t len = oxl_path_parent_len(e->path);
                if (len == dir.len && (len == 0 || memcmp(dir.data, e->path, len) == 0))
                        continue; /* tried for the file behind it */
                oxl_buf_clear(&dir);
                int k = oxl_buf_append(&dir, e->path, len, err);
                int gone = 0;
                for (; k >= 0 && len > 0 && gone == 0; len = oxl_path_parent_len(oxl_buf_text(&dir))) {
                        dir.data[dir.len = len] = '\0';
                        gone = remove_folder(a, oxl_buf_text(&dir), err);
                }
                if (gone < 0)
                        return gone;
                if (k < 0)
                        return k;
                oxl_buf_clear(&dir);
                k = oxl_buf_append(&dir, e->path, oxl_path_parent_len(e->path), err);
                if (k < 0)
                        return k;
        }
        return 0;
}

static int write_file(struct action *a, const struct oxl_edit *e, struct oxl_written *written, struct oxl_error *err)
{
        enum look found;
        struct stat st;
        int k = a->finishing ? oxl_checkout_sweep_beside(a->c, e->path, err) : 0;
        if (k >= 0)
                k = look(a->c, a->m, e, &found, &st, err);
        if (k < 0)
                return k;
        if (found == LOOK_DONE)
                return mark(a, e->path, err);
        if (found == LOOK_FOLDER || found == LOOK_BLOCKED) {
                oxl_repo_notice(a->c->repo, e->path, "not written: something else is in its place");
                return 0;
        }
        k = found == LOOK_ABSENT ? 0 : may_go(a, e, found, err);
        if (k != 0)
                return k < 0 ? k : 0;
        const struct oxl_state *state = wanted(a->m, e);
        struct oxl_tree_item item = item_of(e, state);
        /* The stat cache of the index is for what the index says. */
        return oxl_checkout_write(a->c, &item, found == LOOK_ABSENT ? NULL : &st, state == &e->new_ ? written : NULL,
                                  err);
}

/* Before the first temp of our own: those that our own move could not remove when it failed are leftovers by now. */
static int sweep_leftovers(struct oxl_checkout *c, const struct oxl_move *m, struct oxl_error *err)
{
        int k = 0;
        c->dest.sweep_own = true;
        for (size_t i = 0; k >= 0 && i < m->edits.n; i++)
                if (moves(&m->edits.at[i]) && !goes(m, &m->edits.at[i]))
                        k = oxl_checkout_sweep_beside(c, m->edits.at[i].path, err);
        c->dest.sweep_own = false;
        oxl_freep(&c->swept);
        return k;
}

/* While finishing, what cannot be done to a file stays undone. */
static int left(struct action *a, const char *path, int k, struct oxl_error *why, struct oxl_error *err)
{
        if (a->finishing)
                return oxl_checkout_leave(a->c, path, k, why, err);
        if (k < 0)
                oxl_error_move(err, why);
        return k;
}

int oxl_move_files(struct oxl_checkout *c, const struct oxl_move *m, bool finishing, struct oxl_written *written,
                   uint64_t *ret_removed, struct oxl_error *err)
{
        struct action a = { c, m, finishing, 0 };
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        int k = finishing ? left(&a, NULL, sweep_leftovers(c, m, &why), &why, err) : 0;
        for (size_t i = 0; k >= 0 && i < m->edits.n; i++) {
                const struct oxl_edit *e = &m->edits.at[i];
                if (moves(e) && goes(m, e))
                        k = left(&a, e->path, remove_file(&a, e, &why), &why, err);
        }
        /* CRASH: some are gone, some not; recovery removes the rest. */
        if (k >= 0)
                k = left(&a, NULL, remove_folders(&a, &why), &why, err);
        if (k >= 0)
                k = oxl_durable_barrier(c->dest.durable, err);
        for (size_t i = 0; k >= 0 && i < m->edits.n; i++) {
                const struct oxl_edit *e = &m->edits.at[i];
                if (moves(e) && !goes(m, e))
                        k = left(&a, e->path, write_file(&a, e, &written[i], &why), &why, err);
        }
        if (k >= 0)
                k = left(&a, NULL, oxl_checkout_flush(c, &why), &why, err);
        *ret_removed = a.removed;
        return k < 0 ? k : 0;
}
