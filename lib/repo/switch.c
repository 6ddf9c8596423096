/* SPDX-License-Identifier: MIT */
/*
 * oxl_repo_switch: HEAD, index and working tree go to another commit, as one move (move.h).
 *
 * What the two commits differ in changes; everything else stays, with its local changes, staged or not. A staged change
 * of a path that differs is in the way, as a changed file is: refused, or dropped with force (its content is a blob already).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/path.h"
#include "objects/commit.h"
#include "repo/move.h"

#define HEADS "refs/heads/"
#define TAGS "refs/tags/"

static const struct oxl_state absent = { .kind = OXL_ENTRY_NONE };

struct switching {
        struct oxl_repo *repo;
        struct oxl_objects *objects;
        const struct oxl_switch_options *options;
        struct oxl_index *x;
        struct oxl_digest from, to;           /* commits; NONE: none */
        struct oxl_digest from_tree, to_tree; /* NONE: nothing */
        struct oxl_edits staged;              /* new_: what the index has and `from` has not */
        struct oxl_edits own;                 /* edits that the two trees do not tell */
        struct oxl_move m;
        uint64_t dropped;
        struct oxl_buf told; /* what is so once it is decided */
        struct oxl_error refused;
};

static void switching_done(struct switching *s)
{
        oxl_index_free(s->x);
        oxl_edits_done(&s->staged);
        oxl_edits_done(&s->own);
        oxl_move_done(&s->m);
        oxl_buf_done(&s->told);
        oxl_error_done(&s->refused);
}

/* --- where from, where to ------------------------------------------------------------------------------------------- */

static int read_tree(struct switching *s, const struct oxl_digest *commit, struct oxl_digest *ret,
                     struct oxl_error *err)
{
        cleanup(oxl_commit_done) struct oxl_commit c = OXL_COMMIT_INIT;
        *ret = (struct oxl_digest)OXL_DIGEST_INIT;
        if (commit->algo == OXL_ALGO_NONE)
                return 0;
        int k = oxl_commit_read(s->objects, commit, &c, err);
        if (k >= 0)
                *ret = c.tree;
        return k;
}

static int find_from(struct switching *s, struct oxl_error *err)
{
        cleanup(oxl_head_done) struct oxl_head head = { 0 };
        int k = oxl_repo_head(s->repo, &head, err);
        if (k < 0)
                return k;
        s->from = head.commit;
        k = oxl_head_text(s->repo, &s->m.head_old, err);
        return k < 0 ? k : read_tree(s, &s->from, &s->from_tree, err);
}

static int set_head(struct switching *s, const char *prefix, const char *name, struct oxl_error *err)
{
        return asprintf(&s->m.head_new, "%s%s", prefix, name) < 0 ? OXL_FAIL_PLAIN(err, NOMEM) : 0;
}

static int create_branch(struct switching *s, const char *name, struct oxl_error *err)
{
        int k = oxl_ref_new_name_check(name, err);
        if (k >= 0)
                k = set_head(s, HEADS, name, err);
        if (k >= 0)
                k = oxl_ref_place_check(s->repo, s->m.head_new, err);
        if (k >= 0 && strcmp(s->m.head_new, s->m.head_old) == 0)
                k = OXL_FAIL_PATH(err, REF_EXISTS, name); /* a branch without commits has no file */
        s->to = s->from;
        if (k < 0 || s->from.algo == OXL_ALGO_NONE)
                return k;
        s->m.ref = strdup(s->m.head_new);
        s->m.ref_new = s->from;
        return s->m.ref ? 0 : OXL_FAIL_PLAIN(err, NOMEM);
}

static int to_commit(struct switching *s, const char *name, struct oxl_error *err)
{
        char text[OXL_DIGEST_TEXT_MAX];
        int k = oxl_repo_resolve(s->repo, name, &s->to, err);
        if (k < 0)
                return k;
        oxl_digest_text(&s->to, text);
        k = oxl_notice_later(&s->told, name,
                             "is no branch: HEAD is now this commit, and new commits are on no branch "
                             "(oxen-lite switch -c NAME makes one)",
                             err);
        return k < 0 ? k : set_head(s, "", text, err);
}

static int find_to(struct switching *s, const char *name, struct oxl_error *err)
{
        char tag[1100];
        struct oxl_digest id;
        if (s->options->create)
                return create_branch(s, name, err);
        const char *branch = strncmp(name, HEADS, strlen(HEADS)) == 0 ? name + strlen(HEADS) : name;
        if (oxl_ref_name_check(branch, NULL) < 0)
                return to_commit(s, name, err);
        int k = set_head(s, HEADS, branch, err);
        if (k >= 0)
                k = oxl_ref_read(s->repo, s->m.head_new, &s->to, err);
        if (k > 0 && strcmp(s->m.head_new, s->m.head_old) == 0) {
                s->to = (struct oxl_digest)OXL_DIGEST_INIT;
                return 0; /* here, without commits */
        }
        if (k > 0) {
                oxl_freep(&s->m.head_new);
                return to_commit(s, name, err);
        }
        snprintf(tag, sizeof tag, TAGS "%s", branch);
        if (k == 0 && oxl_ref_read(s->repo, tag, &id, NULL) == 0)
                oxl_repo_notice(s->repo, branch, "is both a branch and a tag: the branch is meant");
        return k;
}

/* --- what changes --------------------------------------------------------------------------------------------------- */

/* What is staged, against the commit that we leave. (The index can be made from another tree: after an aborted commit.) */
static int find_staged(struct switching *s, struct oxl_error *err)
{
        struct oxl_index_cursor *cursor;
        struct oxl_index_entry entry;
        int k = 0;
        if (!oxl_digest_equal(&s->from_tree, &s->m.tree_old))
                k = oxl_edits_add_trees(&s->staged, s->objects, &s->from_tree, &s->m.tree_old, err);
        if (k >= 0)
                k = oxl_index_cursor_new(s->x, "", OXL_INDEX_STAGED_ONLY, &cursor, err);
        if (k < 0)
                return k;
        while ((k = oxl_index_cursor_next(cursor, &entry, err)) == 0) {
                struct oxl_state state = oxl_state_of(&entry);
                if (entry.staged)
                        k = oxl_edits_add(&s->staged, entry.path, entry.path_len, &absent, &state, err);
                if (k < 0)
                        break;
        }
        oxl_index_cursor_free(cursor);
        return k < 0 ? k : oxl_edits_sort(&s->staged, err);
}

/* A path that comes cannot be above or below a staged file. */
static bool collides(const struct switching *s, const struct oxl_edit *staged)
{
        const struct oxl_edits *d = &s->m.edits;
        for (size_t i = 1; i < staged->path_len; i++) {
                const struct oxl_edit *above = staged->path[i] == '/' ? oxl_edits_find(d, staged->path, i) : NULL;
                if (above && above->new_.kind != OXL_ENTRY_NONE)
                        return true;
        }
        for (size_t i = oxl_edits_lower_bound(d, staged->path, staged->path_len); i < d->n; i++) {
                if (!oxl_path_is_within(d->at[i].path, staged->path))
                        return false;
                if (d->at[i].new_.kind != OXL_ENTRY_NONE)
                        return true;
        }
        return false;
}

static int drop_staged(struct switching *s, const struct oxl_edit *staged, const struct oxl_state *new_,
                       struct oxl_error *err)
{
        char text[96 + OXL_DIGEST_TEXT_MAX], id[OXL_DIGEST_TEXT_MAX];
        if (!s->options->force) {
                oxl_repo_notice(s->repo, staged->path, "has staged changes that would be lost");
                if (s->refused.code == 0)
                        OXL_IGNORE(OXL_FAIL_PATH(&s->refused, PATH_MODIFIED, staged->path), "kept for the end");
                return 0;
        }
        if (staged->new_.kind != OXL_ENTRY_NONE) {
                oxl_digest_text(&staged->new_.id, id);
                snprintf(text, sizeof text, "no longer staged; what was staged is kept as blob %s", id);
                int k = oxl_notice_later(&s->told, staged->path, text, err);
                if (k < 0)
                        return k;
                s->dropped++;
        }
        return oxl_edits_add(&s->own, staged->path, staged->path_len, &staged->new_, new_, err);
}

static int check_staged(struct switching *s, const struct oxl_edit *staged, struct oxl_error *err)
{
        const struct oxl_edit *d = oxl_edits_find(&s->m.edits, staged->path, staged->path_len);
        if (d && oxl_state_equal(&d->new_, &staged->new_)) /* staged is what the other commit has */
                return oxl_edits_add(&s->own, staged->path, staged->path_len, &staged->new_, &d->new_, err);
        if (d)
                return drop_staged(s, staged, &d->new_, err);
        if (staged->new_.kind != OXL_ENTRY_NONE && collides(s, staged))
                return drop_staged(s, staged, &absent, err);
        return 0;
}

static int merge_own(struct switching *s, struct oxl_error *err)
{
        int k = 0;
        for (size_t i = 0; k >= 0 && i < s->own.n; i++) {
                const struct oxl_edit *e = &s->own.at[i];
                k = oxl_edits_add(&s->m.edits, e->path, e->path_len, &e->old, &e->new_, err);
        }
        return k < 0 ? k : oxl_edits_sort(&s->m.edits, err);
}

static int find_changes(struct switching *s, struct oxl_error *err)
{
        struct oxl_repo *r = s->repo;
        int k = oxl_index_open(r->root_fd, &r->format.id, r->format.blob_algo, &s->x, err);
        if (k < 0)
                return k;
        s->m.tree_old = *oxl_index_tree(s->x);
        s->m.tree_new = s->to_tree;
        s->m.from_trees = oxl_digest_equal(&s->from_tree, &s->m.tree_old);
        k = oxl_edits_add_trees(&s->m.edits, s->objects, &s->from_tree, &s->to_tree, err);
        if (k >= 0)
                k = find_staged(s, err);
        for (size_t i = 0; k >= 0 && i < s->staged.n; i++)
                k = check_staged(s, &s->staged.at[i], err);
        if (k >= 0 && s->refused.code != 0) {
                k = -(int)s->refused.code;
                oxl_error_move(err, &s->refused);
        }
        if (k >= 0)
                k = merge_own(s, err);
        s->m.index = s->m.worktree = true;
        s->m.force = s->options->force;
        return k;
}

/* --- the verb ------------------------------------------------------------------------------------------------------- */

static const char *short_name(const char *head)
{
        return strncmp(head, HEADS, strlen(HEADS)) == 0 ? head + strlen(HEADS) : head;
}

static int run(struct switching *s, struct oxl_switch_result *ret, struct oxl_error *err)
{
        cleanup_free char *note = NULL;
        struct oxl_move_result done = { 0 };
        bool detached = strncmp(s->m.head_new, HEADS, strlen(HEADS)) != 0;
        struct oxl_move_words words = {
                .verb = "switch",
                .op_ref = s->m.ref   ? NULL
                          : detached ? "HEAD"
                                     : s->m.head_new,
                .op_old = detached ? s->from : s->to,
                .op_new = s->to,
                .told = &s->told,
        };
        if (asprintf(&note, "%s -> %s", short_name(s->m.head_old), short_name(s->m.head_new)) < 0)
                return OXL_FAIL_PLAIN(err, NOMEM);
        words.note = note;
        int k = oxl_move_run(s->repo, &s->m, s->m.from_trees ? &s->own : &s->m.edits, &words, &done, err);
        ret->files = done.files;
        ret->bytes = done.bytes;
        ret->removed = done.removed;
        ret->kept = done.kept + s->dropped;
        return k;
}

static int switch_locked(struct switching *s, const char *name, struct oxl_switch_result *ret, struct oxl_error *err)
{
        int k = oxl_repo_objects(s->repo, &s->objects, err);
        if (k >= 0)
                k = find_from(s, err);
        if (k >= 0)
                k = find_to(s, name, err);
        if (k >= 0)
                k = read_tree(s, &s->to, &s->to_tree, err);
        if (k < 0)
                return k;
        *ret = (struct oxl_switch_result){ .commit = s->to };
        if (strncmp(s->m.head_new, HEADS, strlen(HEADS)) == 0)
                snprintf(ret->branch, sizeof ret->branch, "%s", short_name(s->m.head_new));
        ret->already = strcmp(s->m.head_old, s->m.head_new) == 0;
        if (ret->already)
                return 0;
        if (!oxl_digest_equal(&s->from_tree, &s->to_tree))
                k = find_changes(s, err);
        return k < 0 ? k : run(s, ret, err);
}

int oxl_repo_switch(struct oxl_repo *r, const char *name, const struct oxl_switch_options *options,
                    struct oxl_switch_result *ret, struct oxl_error *err)
{
        static const struct oxl_switch_options defaults;
        int k = oxl_repo_begin_write(r, err);
        if (k < 0)
                return k;
        struct switching s = { .repo = r, .options = options ? options : &defaults, .m = OXL_MOVE_INIT };
        k = switch_locked(&s, name, ret, err);
        switching_done(&s);
        oxl_repo_end_write(r);
        return k;
}
