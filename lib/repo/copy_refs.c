/* SPDX-License-Identifier: MIT */
/*
 * Refs and HEAD of a copy. A ref moves when everything that its history needs is at the destination: commits are read, trees are
 * compared with those of their first parents, and blobs must have a name there (they were verified on their way). What the
 * refs of the destination already have is not looked at again.
 *
 * Each ref is one move (move.h): an intent, recovery, a row of the operation log there. Order: all refs but the current one of
 * the destination; then HEAD, which takes the index with it; then the one that was current. A destination in
 * which somebody works (a folder with files in it, or staged changes) keeps its HEAD, and its current branch unless forced.
 * What a crash leaves: some refs moved, others not, each with all it needs; one open move, which recovery ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "objects/commit.h"
#include "objects/idset.h"
#include "os/fdio.h"
#include "repo/copy.h"
#include "repo/move.h"

#define HEADS "refs/heads/"

/* --- sets of commits ------------------------------------------------------------------------------------------------- */

struct commits {
        struct oxl_buf ids; /* 32 bytes each, in the order in which they were found */
        struct oxl_idset seen;
};

static const uint8_t *id_of(const void *array, size_t i)
{
        return (const uint8_t *)array + i * OXL_DIGEST_BYTES;
}

static void commits_done(struct commits *s)
{
        oxl_buf_done(&s->ids);
        oxl_idset_done(&s->seen);
}

static size_t commits_count(const struct commits *s)
{
        return s->ids.len / OXL_DIGEST_BYTES;
}

static struct oxl_digest commits_at(const struct commits *s, size_t i)
{
        struct oxl_digest id = { .algo = OXL_ALGO_BLAKE3 };
        memcpy(id.bytes, id_of(s->ids.data, i), OXL_DIGEST_BYTES);
        return id;
}

static int commits_add(struct commits *s, const struct oxl_digest *id, struct oxl_error *err)
{
        if (s->ids.data && oxl_idset_find(&s->seen, s->ids.data, id->bytes) != OXL_IDSET_NONE)
                return 0;
        int k = oxl_buf_append(&s->ids, id->bytes, OXL_DIGEST_BYTES, err);
        if (k >= 0)
                k = oxl_idset_reserve(&s->seen, s->ids.data, err);
        if (k >= 0)
                oxl_idset_add(&s->seen, s->ids.data, commits_count(s) - 1);
        return k;
}

/* Forgets all but the first @n. */
static int commits_cut(struct commits *s, size_t n, struct oxl_error *err)
{
        struct commits kept = { .ids = OXL_BUF_INIT, .seen = { .id_of = id_of } };
        int k = 0;
        for (size_t i = 0; k >= 0 && i < n; i++) {
                struct oxl_digest id = commits_at(s, i);
                k = commits_add(&kept, &id, err);
        }
        commits_done(s);
        *s = kept;
        return k;
}

/* --- is everything there? --------------------------------------------------------------------------------------------- */

struct moving {
        struct oxl_copying *c;
        struct commits whole; /* commits whose history is there */
        char *head;           /* of the destination, owned; as oxl_head_text */
        bool worked_in;       /* there are files in its working tree, or changes in its index */
};

struct needing {
        struct oxl_copying *c;
        struct oxl_digest commit;
};

static int need_blob(void *ctx, const struct oxl_tree_item *a, const struct oxl_tree_item *b, struct oxl_error *err)
{
        const struct needing *n = ctx;
        char where[OXL_DIGEST_TEXT_MAX];
        (void)a;
        if (!b)
                return 0;
        int k = oxl_copying_step(n->c, 0, err);
        if (k >= 0)
                k = oxl_objects_exists(n->c->to_objects, OXL_KIND_BLOB, &b->id, err);
        if (k <= 0)
                return k;
        cleanup_free char *name = NULL;
        oxl_digest_text(&n->commit, where);
        if (asprintf(&name, "%.12s:%s", where, b->path) < 0)
                return OXL_FAIL_PLAIN(err, NOMEM);
        return OXL_FAIL_OBJECT(err, OBJECT_MISSING, name, &b->id, NULL);
}

/* What @id has that its first parent does not; its parents are added to the set. */
static int check_commit(struct moving *m, const struct oxl_digest *id, struct oxl_error *err)
{
        cleanup(oxl_commit_done) struct oxl_commit commit = OXL_COMMIT_INIT, parent = OXL_COMMIT_INIT;
        struct needing n = { m->c, *id };
        int k = oxl_commit_read(m->c->to_objects, id, &commit, err);
        for (unsigned i = 0; k >= 0 && i < commit.parents; i++)
                k = commits_add(&m->whole, &commit.parent[i], err);
        if (k >= 0 && commit.parents)
                k = oxl_commit_read(m->c->to_objects, &commit.parent[0], &parent, err);
        if (k < 0)
                return k;
        return oxl_tree_diff(m->c->to_objects, commit.parents ? &parent.tree : NULL, &commit.tree, need_blob, &n, err);
}

/* Damage is an error; the set is then as before. */
static int check_history(struct moving *m, const struct oxl_digest *id, struct oxl_error *err)
{
        size_t before = commits_count(&m->whole);
        int k = commits_add(&m->whole, id, err);
        for (size_t i = before; k >= 0 && i < commits_count(&m->whole); i++) {
                struct oxl_digest at = commits_at(&m->whole, i);
                k = oxl_copying_step(m->c, 0, err);
                if (k >= 0)
                        k = check_commit(m, &at, err);
        }
        if (k >= 0)
                return 0;
        int cut = commits_cut(&m->whole, before, NULL);
        return cut < 0 ? OXL_FAIL_PLAIN(err, NOMEM) : k;
}

/* 0: @old is @id, or an ancestor of it; 1: it is not. */
static int is_ancestor(struct oxl_copying *c, const struct oxl_digest *old, const struct oxl_digest *id,
                       struct oxl_error *err)
{
        cleanup(commits_done) struct commits seen = { .ids = OXL_BUF_INIT, .seen = { .id_of = id_of } };
        int k = commits_add(&seen, id, err);
        for (size_t i = 0; k >= 0 && i < commits_count(&seen); i++) {
                cleanup(oxl_commit_done) struct oxl_commit commit = OXL_COMMIT_INIT;
                struct oxl_digest at = commits_at(&seen, i);
                if (oxl_digest_equal(&at, old))
                        return 0;
                k = oxl_copying_step(c, 0, err);
                if (k >= 0)
                        k = oxl_commit_read(c->to_objects, &at, &commit, err);
                for (unsigned p = 0; k >= 0 && p < commit.parents; p++)
                        k = commits_add(&seen, &commit.parent[p], err);
        }
        return k < 0 ? k : 1;
}

/* --- moving ------------------------------------------------------------------------------------------------------------ */

static int tree_of(struct oxl_copying *c, const struct oxl_digest *id, struct oxl_digest *ret, struct oxl_error *err)
{
        cleanup(oxl_commit_done) struct oxl_commit commit = OXL_COMMIT_INIT;
        *ret = (struct oxl_digest)OXL_DIGEST_INIT;
        if (id->algo == OXL_ALGO_NONE)
                return 0;
        int k = oxl_commit_read(c->to_objects, id, &commit, err);
        *ret = commit.tree;
        return k;
}

static void index_free(struct oxl_index **x)
{
        oxl_index_free(*x);
}

/* The index becomes the tree of @id. */
static int add_index(struct oxl_copying *c, struct oxl_move *mv, const struct oxl_digest *id, struct oxl_error *err)
{
        const struct oxl_format *f = &c->to->format;
        cleanup(index_free) struct oxl_index *x = NULL;
        int k = oxl_index_open(c->to->root_fd, &f->id, f->blob_algo, &x, err);
        if (k < 0)
                return k;
        mv->tree_old = *oxl_index_tree(x);
        k = tree_of(c, id, &mv->tree_new, err);
        if (k < 0 || oxl_digest_equal(&mv->tree_old, &mv->tree_new))
                return k;
        mv->index = mv->from_trees = true;
        k = oxl_edits_add_trees(&mv->edits, c->to_objects, &mv->tree_old, &mv->tree_new, err);
        return k < 0 ? k : oxl_edits_sort(&mv->edits, err);
}

static int run(struct oxl_copying *c, struct oxl_move *mv, const struct oxl_move_words *words, struct oxl_error *err)
{
        const struct oxl_edits none = OXL_EDITS_INIT;
        struct oxl_move_result done;
        return oxl_move_run(c->to, mv, &none, words, &done, err);
}

static const char *short_name(const char *ref)
{
        const char *prefixes[] = { HEADS, "refs/tags/" };
        for (size_t i = 0; i < OXL_ARRAY_LEN(prefixes); i++)
                if (strncmp(ref, prefixes[i], strlen(prefixes[i])) == 0)
                        return ref + strlen(prefixes[i]);
        return ref;
}

static int move_ref(struct moving *m, const struct oxl_copy_ref *ref, const struct oxl_digest *old, bool current,
                    struct oxl_error *err)
{
        cleanup(oxl_move_done) struct oxl_move mv = OXL_MOVE_INIT;
        const struct oxl_move_words words = { .verb = "copy", .note = short_name(ref->name) };
        mv.ref = strdup(ref->name);
        mv.ref_old = *old;
        mv.ref_new = ref->id;
        int k = mv.ref ? 0 : OXL_FAIL_PLAIN(err, NOMEM);
        if (k >= 0 && current)
                k = add_index(m->c, &mv, &ref->id, err);
        if (k >= 0)
                k = run(m->c, &mv, &words, err);
        m->c->result->refs += k >= 0;
        return k < 0 ? k : 0;
}

/* May it move? 0 yes; errors of damage, COPY_DIVERGED, COPY_IN_USE, REF_CONFLICT: it stays. */
static int may_move(struct moving *m, const struct oxl_copy_ref *ref, const struct oxl_digest *old, bool current,
                    struct oxl_error *err)
{
        struct oxl_copying *c = m->c;
        int k = check_history(m, &ref->id, err);
        if (k < 0)
                return k;
        if (old->algo == OXL_ALGO_NONE)
                return oxl_ref_place_check(c->to, ref->name, err);
        if (c->options->force)
                return 0;
        if (current && m->worked_in)
                return OXL_FAIL_PATH(err, COPY_IN_USE, short_name(ref->name));
        if (strncmp(ref->name, HEADS, strlen(HEADS)) != 0) /* a tag that was moved */
                return OXL_FAIL_PATH(err, COPY_DIVERGED, short_name(ref->name));
        k = is_ancestor(c, old, &ref->id, err);
        return k > 0 ? OXL_FAIL_PATH(err, COPY_DIVERGED, short_name(ref->name)) : k;
}

static bool is_of_ref(enum oxl_code code)
{
        return oxl_copying_is_damage(code) || code == OXL_E_COPY_DIVERGED || code == OXL_E_COPY_IN_USE ||
               code == OXL_E_REF_CONFLICT;
}

static const char *reason(enum oxl_code code)
{
        return code == OXL_E_COPY_DIVERGED  ? "not moved: it has commits that this repository's does not have"
               : code == OXL_E_COPY_IN_USE  ? "not moved: somebody works on it there"
               : code == OXL_E_REF_CONFLICT ? "not made: the copy has a ref whose name begins like it"
                                            : "not moved: something that it needs has no good copy here";
}

static int copy_ref(struct moving *m, const struct oxl_copy_ref *ref, bool current, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        struct oxl_digest old = OXL_DIGEST_INIT;
        int k = oxl_ref_read(m->c->to, ref->name, &old, &why);
        if (k > 0)
                old = (struct oxl_digest)OXL_DIGEST_INIT;
        if (k >= 0 && oxl_digest_equal(&old, &ref->id))
                return 0;
        if (k >= 0)
                k = may_move(m, ref, &old, current, &why);
        if (k >= 0)
                return move_ref(m, ref, &old, current, err);
        if (!is_of_ref(why.code)) {
                oxl_error_move(err, &why);
                return k;
        }
        m->c->result->refs_unmoved++;
        oxl_copying_miss(m->c, ref->name, reason(why.code), &why);
        return 0;
}

/* --- HEAD -------------------------------------------------------------------------------------------------------------- */

static bool is_branch(const char *head)
{
        return strncmp(head, HEADS, strlen(HEADS)) == 0;
}

/* The commit of @head at the destination; NONE: a branch that has none. */
static int commit_of(struct oxl_copying *c, const char *head, struct oxl_digest *ret, struct oxl_error *err)
{
        *ret = (struct oxl_digest)OXL_DIGEST_INIT;
        if (is_branch(head)) {
                int k = oxl_ref_read(c->to, head, ret, err);
                if (k > 0)
                        *ret = (struct oxl_digest)OXL_DIGEST_INIT;
                return k < 0 ? k : 0;
        }
        return oxl_digest_parse(OXL_ALGO_BLAKE3, head, ret)
                       ? 0
                       : OXL_FAIL_WHY(err, MALFORMED, OXL_REPO_DIR "/HEAD", "it names no commit");
}

/* NULL: the source has no such ref. */
static const struct oxl_copy_ref *source_ref(const struct oxl_copying *c, const char *name)
{
        for (size_t i = 0; i < c->n_refs; i++)
                if (strcmp(c->refs[i].name, name) == 0)
                        return &c->refs[i];
        return NULL;
}

/* 0 HEAD may go where the source's is; 1: not (a notice says why). */
static int may_move_head(struct moving *m, const struct oxl_digest *to, struct oxl_error *err)
{
        struct oxl_copying *c = m->c;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        if (m->worked_in) {
                oxl_repo_notice(c->from, "HEAD", "not moved: somebody works in the copy");
                return 1;
        }
        if (is_branch(c->head))
                return source_ref(c, c->head) && to->algo == OXL_ALGO_NONE; /* its branch did not come: said already */
        int k = check_history(m, to, &why);
        if (k < 0 && !oxl_copying_is_damage(why.code)) {
                oxl_error_move(err, &why);
                return k;
        }
        if (k < 0)
                oxl_copying_miss(c, "HEAD", "not moved: something that it needs has no good copy here", &why);
        return k < 0;
}

static int copy_head(struct moving *m, struct oxl_error *err)
{
        struct oxl_copying *c = m->c;
        struct oxl_digest from, to;
        if (strcmp(m->head, c->head) == 0)
                return 0;
        int k = commit_of(c, m->head, &from, err);
        if (k >= 0)
                k = commit_of(c, c->head, &to, err);
        if (k >= 0)
                k = may_move_head(m, &to, err);
        if (k != 0)
                return k < 0 ? k : 0;
        cleanup(oxl_move_done) struct oxl_move mv = OXL_MOVE_INIT;
        const struct oxl_move_words words = {
                .verb = "copy",
                .note = short_name(c->head),
                .op_ref = is_branch(c->head) ? c->head : "HEAD",
                .op_old = is_branch(c->head) ? to : from,
                .op_new = to,
        };
        mv.head_old = strdup(m->head);
        mv.head_new = strdup(c->head);
        if (!mv.head_old || !mv.head_new)
                return OXL_FAIL_PLAIN(err, NOMEM);
        k = add_index(c, &mv, &to, err);
        if (k >= 0)
                k = run(c, &mv, &words, err);
        if (k < 0)
                return k;
        free(m->head);
        m->head = take_ptr(&mv.head_new);
        return 0;
}

/* --- all of them -------------------------------------------------------------------------------------------------------- */

static int add_known(void *ctx, const char *name, const struct oxl_digest *id, struct oxl_error *err)
{
        struct moving *m = ctx;
        (void)name;
        return commits_add(&m->whole, id, err);
}

/* Is there anything in the folder of the copy but the repository? */
static int look_for_files(struct moving *m, struct oxl_error *err)
{
        struct oxl_repo *to = m->c->to;
        cleanup_dir struct oxl_dir dir = OXL_DIR_INIT;
        struct oxl_dirent e;
        int more = oxl_dir_open(&dir, to->worktree_fd) < 0 ? -1 : 1;
        while (more > 0 && !m->worked_in && (more = oxl_dir_next(&dir, &e)) > 0)
                m->worked_in = strcmp(e.name, OXL_REPO_DIR) != 0 && strcmp(e.name, "lost+found") != 0 &&
                               !oxl_temp_name_is_ours(e.name, NULL);
        return more < 0 ? OXL_FAIL_OS(err, DIR_READ, to->worktree) : 0;
}

static int look_for_staged(struct moving *m, struct oxl_error *err)
{
        const struct oxl_format *f = &m->c->to->format;
        cleanup(index_free) struct oxl_index *x = NULL;
        struct oxl_index_cursor *cursor = NULL;
        struct oxl_index_entry entry;
        int k = oxl_index_open(m->c->to->root_fd, &f->id, f->blob_algo, &x, err);
        if (k >= 0)
                k = oxl_index_cursor_new(x, "", OXL_INDEX_STAGED_ONLY, &cursor, err);
        if (k < 0)
                return k;
        while (!m->worked_in && (k = oxl_index_cursor_next(cursor, &entry, err)) == 0)
                m->worked_in = entry.staged;
        oxl_index_cursor_free(cursor);
        return k < 0 ? k : 0;
}

static int begin(struct moving *m, struct oxl_error *err)
{
        int k = oxl_repo_refs(m->c->to, add_known, m, err);
        if (k >= 0)
                k = oxl_head_text(m->c->to, &m->head, err);
        if (k >= 0 && !m->head)
                return OXL_FAIL_WHY(err, MALFORMED, OXL_REPO_DIR "/HEAD", "it is missing at the destination");
        if (k >= 0)
                k = look_for_files(m, err);
        return k < 0 ? k : look_for_staged(m, err);
}

static int move_all(struct moving *m, struct oxl_error *err)
{
        struct oxl_copying *c = m->c;
        bool current = false;
        int k = begin(m, err);
        if (k < 0)
                return k;
        cleanup_free char *was = strdup(m->head);
        if (!was)
                return OXL_FAIL_PLAIN(err, NOMEM);
        for (size_t i = 0; k >= 0 && i < c->n_refs; i++) {
                if (strcmp(c->refs[i].name, was) == 0)
                        current = true;
                else
                        k = copy_ref(m, &c->refs[i], false, err);
        }
        if (k >= 0)
                k = copy_head(m, err);
        if (k >= 0 && current)
                k = copy_ref(m, source_ref(c, was), strcmp(was, m->head) == 0, err);
        return k;
}

int oxl_copy_refs(struct oxl_copying *c, struct oxl_error *err)
{
        struct moving m = { .c = c, .whole = { .ids = OXL_BUF_INIT, .seen = { .id_of = id_of } } };
        int k = move_all(&m, err);
        commits_done(&m.whole);
        free(m.head);
        return k;
}
