/* SPDX-License-Identifier: MIT */
/*
 * Which commits have it, and which refs lead to one of these. Commits are walked newest first along first parents, other parents
 * afterwards, each once; a run is what stays the same from one commit to the next on such a line.
 * A tree node that does not lead to the object is looked at once, however many commits share it: 40 bytes or so for each.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "objects/commit.h"
#include "objects/tree.h"
#include "repo/why.h"

enum { RUNS_MAX = 256, CHILDREN_MAX = 100 };

struct set {
        struct oxl_buf ids; /* 32 bytes each */
        struct oxl_idset seen;
};

struct run {
        char *path; /* owned */
        struct oxl_digest id, newest, oldest;
        uint64_t count;
        bool now; /* the commit that is looked at has it */
};

struct history {
        struct oxl_why *w;
        struct set visited, without; /* commits; tree nodes without it */
        struct set having;           /* commits that have it */
        struct oxl_buf todo;         /* ids of commits at which lines begin */
        struct run runs[RUNS_MAX];   /* of the line */
        size_t n_runs;
        struct oxl_digest commit; /* that is looked at */
        struct oxl_buf path;      /* on the way down a tree */
        unsigned children;
};

static const uint8_t *id_of(const void *array, size_t i)
{
        return (const uint8_t *)array + i * OXL_DIGEST_BYTES;
}

static bool set_has(const struct set *s, const struct oxl_digest *id)
{
        return s->ids.data && oxl_idset_find(&s->seen, s->ids.data, id->bytes) != OXL_IDSET_NONE;
}

static int set_add(struct set *s, const struct oxl_digest *id, struct oxl_error *err)
{
        if (set_has(s, id))
                return 0;
        int k = oxl_buf_append(&s->ids, id->bytes, OXL_DIGEST_BYTES, err);
        if (k >= 0)
                k = oxl_idset_reserve(&s->seen, s->ids.data, err);
        if (k >= 0)
                oxl_idset_add(&s->seen, s->ids.data, s->ids.len / OXL_DIGEST_BYTES - 1);
        return k;
}

static void set_done(struct set *s)
{
        oxl_buf_done(&s->ids);
        oxl_idset_done(&s->seen);
}

static void history_done(struct history *h)
{
        set_done(&h->visited);
        set_done(&h->without);
        set_done(&h->having);
        oxl_buf_done(&h->todo);
        oxl_buf_done(&h->path);
        for (size_t i = 0; i < h->n_runs; i++)
                free(h->runs[i].path);
}

/* --- runs ---------------------------------------------------------------------------------------------------------------- */

static int end_run(struct history *h, size_t i, struct oxl_error *err)
{
        struct run *r = &h->runs[i];
        const struct oxl_why_item item = { .kind = OXL_WHY_COMMITS,
                                           .path = r->path,
                                           .id = r->id,
                                           .first = r->oldest,
                                           .last = r->newest,
                                           .count = r->count };
        int k = h->w->result->runs++ < OXL_WHY_COMMITS_MAX ? oxl_why_tell(h->w, &item, err) : 0;
        free(r->path);
        h->runs[i] = h->runs[--h->n_runs];
        return k;
}

static int end_line(struct history *h, bool all, struct oxl_error *err)
{
        int k = 0;
        for (size_t i = h->n_runs; k >= 0 && i-- > 0;) {
                if (all || !h->runs[i].now)
                        k = end_run(h, i, err);
                else
                        h->runs[i].now = false;
        }
        return k < 0 ? k : 0;
}

/* The commit has @id at @path. */
static int note(struct history *h, const char *path, const struct oxl_digest *id, struct oxl_error *err)
{
        h->w->result->commits++;
        int k = set_add(&h->having, &h->commit, err);
        for (size_t i = 0; k >= 0 && i < h->n_runs; i++) {
                struct run *r = &h->runs[i];
                if (oxl_digest_equal(&r->id, id) && strcmp(r->path, path) == 0) {
                        r->oldest = h->commit;
                        r->count++;
                        r->now = true;
                        return 0;
                }
        }
        if (k < 0)
                return k;
        if (h->n_runs == RUNS_MAX) /* counted as a pair, which is all that can be shown of so many */
                return 0;
        char *copy = strdup(path);
        if (!copy)
                return OXL_FAIL_PLAIN(err, NOMEM);
        h->runs[h->n_runs++] = (struct run){ copy, *id, h->commit, h->commit, 1, true };
        return 0;
}

/* --- looking into trees ------------------------------------------------------------------------------------------------------ */

static int search_node(struct history *h, const struct oxl_digest *id, unsigned depth, bool *ret,
                       struct oxl_error *err);

static int search_entry(struct history *h, const struct oxl_tree_entry *e, unsigned depth, bool *found,
                        struct oxl_error *err)
{
        bool node = e->kind == OXL_ENTRY_NONE || e->kind == OXL_ENTRY_DIRECTORY;
        size_t was = h->path.len;
        bool below = false;
        int k = 0;
        if (e->kind != OXL_ENTRY_NONE) {
                k = was ? oxl_buf_append(&h->path, "/", 1, err) : 0;
                if (k >= 0)
                        k = oxl_buf_append(&h->path, e->name, e->name_len, err);
        }
        if (k >= 0 && node == (h->w->kind == OXL_KIND_TREE) && oxl_digest_equal(&e->id, &h->w->id)) {
                *found = true;
                k = note(h, h->path.data ? (const char *)h->path.data : "", &e->id, err);
        }
        if (k >= 0 && node)
                k = search_node(h, &e->id, depth + 1, &below, err);
        *found = *found || below;
        h->path.len = was;
        if (h->path.data)
                h->path.data[was] = 0;
        return k;
}

static int search_node(struct history *h, const struct oxl_digest *id, unsigned depth, bool *ret, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        cleanup_buf struct oxl_buf bytes = OXL_BUF_INIT;
        struct oxl_tree_node node;
        struct oxl_tree_entry e;
        *ret = false;
        if (set_has(&h->without, id))
                return 0;
        if (depth > OXL_DEPTH_MAX * OXL_TREE_LEVELS)
                return OXL_FAIL_WHY(err, LIMIT, "tree", "it is too deep");
        if (oxl_repo_cancelled(h->w->repo))
                return OXL_FAIL_PLAIN(err, CANCELLED);
        int k = oxl_objects_read(h->w->objects, OXL_KIND_TREE, id, OXL_METADATA_MAX, &bytes, &why);
        if (k >= 0)
                k = oxl_tree_decode(oxl_buf_bytes(&bytes), h->w->repo->format.blob_algo, "tree", &node, &why);
        if (k < 0) {
                k = oxl_why_damage(h->w, &why, err);
                return k < 0 ? k : set_add(&h->without, id, err);
        }
        struct oxl_bytes rest = node.body;
        while (k >= 0 && oxl_tree_next(&node, h->w->repo->format.blob_algo, &rest, &e))
                k = search_entry(h, &e, depth, ret, err);
        return k >= 0 && !*ret ? set_add(&h->without, id, err) : k;
}

static int search_commit(struct history *h, const struct oxl_commit *commit, struct oxl_error *err)
{
        struct oxl_why *w = h->w;
        bool found = false;
        if (w->path) {
                cleanup_error struct oxl_error why = OXL_ERROR_INIT;
                struct oxl_tree_item item;
                int k = oxl_tree_find(w->objects, &commit->tree, w->path, &item, &why);
                return k < 0 ? oxl_why_damage(w, &why, err) : k > 0 ? 0 : note(h, w->path, &item.id, err);
        }
        if (w->kind == OXL_KIND_TREE && oxl_digest_equal(&commit->tree, &w->id)) {
                int k = note(h, "", &w->id, err);
                if (k < 0)
                        return k;
        }
        return search_node(h, &commit->tree, 0, &found, err);
}

/* --- commits ------------------------------------------------------------------------------------------------------------------ */

static int tell_children(struct history *h, const struct oxl_commit *commit, struct oxl_error *err)
{
        int k = 0;
        for (unsigned i = 0; k >= 0 && i < commit->parents; i++) {
                const struct oxl_why_item item = { .kind = OXL_WHY_CHILD, .id = h->w->id, .first = h->commit };
                if (oxl_digest_equal(&commit->parent[i], &h->w->id) && h->children++ < CHILDREN_MAX)
                        k = oxl_why_tell(h->w, &item, err);
        }
        return k;
}

/* One commit of a line. 1: the line ends with it. */
static int visit(struct history *h, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        cleanup(oxl_commit_done) struct oxl_commit commit = OXL_COMMIT_INIT;
        struct oxl_why *w = h->w;
        if (oxl_commit_read(w->objects, &h->commit, &commit, &why) < 0) {
                int k = oxl_why_damage(w, &why, err);
                return k < 0 ? k : 1;
        }
        int k = w->kind == OXL_KIND_COMMIT ? tell_children(h, &commit, err) : search_commit(h, &commit, err);
        if (k >= 0)
                k = end_line(h, false, err);
        for (unsigned i = 1; k >= 0 && i < commit.parents; i++)
                k = oxl_buf_append(&h->todo, commit.parent[i].bytes, OXL_DIGEST_BYTES, err);
        if (k < 0)
                return k;
        if (commit.parents == 0)
                return 1;
        h->commit = commit.parent[0];
        return 0;
}

static int walk_line(struct history *h, struct oxl_error *err)
{
        int k = 0;
        while (k == 0 && !set_has(&h->visited, &h->commit)) {
                oxl_repo_progress(h->w->repo, "commits", h->visited.ids.len / OXL_DIGEST_BYTES, 0, 0, 0);
                if (oxl_repo_cancelled(h->w->repo))
                        return OXL_FAIL_PLAIN(err, CANCELLED);
                k = set_add(&h->visited, &h->commit, err);
                if (k >= 0)
                        k = visit(h, err);
        }
        return k < 0 ? k : end_line(h, true, err);
}

static int walk_from(struct history *h, const struct oxl_digest *tip, struct oxl_error *err)
{
        h->commit = *tip;
        int k = walk_line(h, err);
        while (k >= 0 && h->todo.len) {
                h->todo.len -= OXL_DIGEST_BYTES;
                h->commit.algo = OXL_ALGO_BLAKE3;
                memcpy(h->commit.bytes, h->todo.data + h->todo.len, OXL_DIGEST_BYTES);
                k = walk_line(h, err);
        }
        return k;
}

/* --- refs --------------------------------------------------------------------------------------------------------------------- */

/* The newest commit on the way from @tip that has it, in *ret. 0 found; 1 none. */
static int reaches(struct history *h, const struct oxl_digest *tip, struct oxl_digest *ret, struct oxl_error *err)
{
        struct set seen = { .ids = OXL_BUF_INIT, .seen = { .id_of = id_of } };
        int k = set_add(&seen, tip, err), found = 1;
        for (size_t i = 0; k >= 0 && found > 0 && i < seen.ids.len / OXL_DIGEST_BYTES; i++) {
                cleanup(oxl_commit_done) struct oxl_commit commit = OXL_COMMIT_INIT;
                *ret = (struct oxl_digest){ .algo = OXL_ALGO_BLAKE3 };
                memcpy(ret->bytes, id_of(seen.ids.data, i), OXL_DIGEST_BYTES);
                if (set_has(&h->having, ret))
                        found = 0;
                else if (oxl_commit_read(h->w->objects, ret, &commit, NULL) >= 0) /* damage was said already */
                        for (unsigned p = 0; k >= 0 && p < commit.parents; p++)
                                k = set_add(&seen, &commit.parent[p], err);
        }
        set_done(&seen);
        return k < 0 ? k : found;
}

static int walk_ref(void *ctx, const char *name, const struct oxl_digest *id, struct oxl_error *err)
{
        (void)name;
        return walk_from(ctx, id, err);
}

static int ask_ref(void *ctx, const char *name, const struct oxl_digest *id, struct oxl_error *err)
{
        struct history *h = ctx;
        struct oxl_why_item item = { .kind = OXL_WHY_REF, .name = name };
        if (h->having.ids.len == 0)
                return 0;
        int k = reaches(h, id, &item.id, err);
        return k == 0 ? oxl_why_tell(h->w, &item, err) : k < 0 ? k : 0;
}

/* HEAD first (alone when it is on no branch): its line is the one that people know. */
static int for_tips(struct history *h, oxl_ref_fn *fn, bool head_too, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        cleanup(oxl_head_done) struct oxl_head head = { 0 };
        int k = oxl_repo_head(h->w->repo, &head, &why);
        if (k >= 0 && (head_too || !head.branch) && head.commit.algo != OXL_ALGO_NONE)
                k = fn(h, "HEAD", &head.commit, &why);
        if (k >= 0)
                k = oxl_repo_refs(h->w->repo, fn, h, &why);
        return k < 0 ? oxl_why_damage(h->w, &why, err) : 0;
}

int oxl_why_history(struct oxl_why *w, struct oxl_error *err)
{
        cleanup_free struct history *h = calloc(1, sizeof *h);
        if (!h)
                return OXL_FAIL_PLAIN(err, NOMEM);
        h->w = w;
        h->visited.seen.id_of = h->without.seen.id_of = h->having.seen.id_of = id_of;
        int k = w->kind == OXL_KIND_COMMIT ? set_add(&h->having, &w->id, err) : 0;
        if (k >= 0)
                k = for_tips(h, walk_ref, true, err);
        if (k >= 0)
                k = for_tips(h, ask_ref, false, err);
        history_done(h);
        return k;
}
