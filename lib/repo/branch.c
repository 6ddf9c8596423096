/* SPDX-License-Identifier: MIT */
/* Branches and tags: made and deleted as moves of one ref (move.h). */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "objects/commit.h"
#include "objects/idset.h"
#include "repo/move.h"

#define HEADS "refs/heads/"
#define TAGS "refs/tags/"

static int full_name(const char *prefix, const char *name, char **ret, struct oxl_error *err)
{
        int k = oxl_ref_name_check(name, err);
        if (k < 0)
                return k;
        return asprintf(ret, "%s%s", prefix, name) < 0 ? OXL_FAIL_PLAIN(err, NOMEM) : 0;
}

/* People would not know which of two they name. */
static void warn_twin(struct oxl_repo *r, const char *prefix, const char *name)
{
        cleanup_free char *other = NULL;
        struct oxl_digest id;
        if (full_name(strcmp(prefix, HEADS) == 0 ? TAGS : HEADS, name, &other, NULL) == 0 &&
            oxl_ref_read(r, other, &id, NULL) == 0)
                oxl_repo_notice(r, name, "is now both a branch and a tag; as a revision it means the branch");
}

static int run_ref_move(struct oxl_repo *r, struct oxl_move *m, const char *verb, const char *note,
                        struct oxl_error *err)
{
        struct oxl_move_result done;
        const struct oxl_move_words words = { .verb = verb, .note = note };
        return oxl_move_run(r, m, &m->edits, &words, &done, err);
}

static int create_locked(struct oxl_repo *r, const char *prefix, const char *name, const char *rev,
                         struct oxl_digest *ret, struct oxl_error *err)
{
        cleanup(oxl_move_done) struct oxl_move m = OXL_MOVE_INIT;
        int k = oxl_ref_new_name_check(name, err);
        if (k >= 0)
                k = full_name(prefix, name, &m.ref, err);
        if (k >= 0)
                k = oxl_repo_resolve(r, rev ? rev : "HEAD", &m.ref_new, err);
        if (k >= 0)
                k = oxl_ref_place_check(r, m.ref, err);
        if (k < 0)
                return k;
        warn_twin(r, prefix, name);
        *ret = m.ref_new;
        return run_ref_move(r, &m, strcmp(prefix, TAGS) == 0 ? "tag" : "branch", name, err);
}

static int create(struct oxl_repo *r, const char *prefix, const char *name, const char *rev, struct oxl_digest *ret,
                  struct oxl_error *err)
{
        int k = oxl_repo_begin_write(r, err);
        if (k < 0)
                return k;
        k = create_locked(r, prefix, name, rev, ret, err);
        oxl_repo_end_write(r);
        return k;
}

int oxl_repo_branch_create(struct oxl_repo *r, const char *name, const char *rev, struct oxl_digest *ret,
                           struct oxl_error *err)
{
        return create(r, HEADS, name, rev, ret, err);
}

int oxl_repo_tag_create(struct oxl_repo *r, const char *name, const char *rev, struct oxl_digest *ret,
                        struct oxl_error *err)
{
        return create(r, TAGS, name, rev, ret, err);
}

/* --- is a commit reached by other refs? ----------------------------------------------------------------------------- */

struct reach {
        struct oxl_repo *repo;
        struct oxl_objects *objects;
        const char *except; /* full name */
        struct oxl_buf ids; /* 32 bytes each, in the order in which they were found */
        struct oxl_idset seen;
};

static const uint8_t *id_of(const void *array, size_t i)
{
        return (const uint8_t *)array + i * OXL_DIGEST_BYTES;
}

static void reach_done(struct reach *x)
{
        oxl_buf_done(&x->ids);
        oxl_idset_done(&x->seen);
}

static int push(struct reach *x, const struct oxl_digest *id, struct oxl_error *err)
{
        if (x->ids.data && oxl_idset_find(&x->seen, x->ids.data, id->bytes) != OXL_IDSET_NONE)
                return 0;
        int k = oxl_buf_append(&x->ids, id->bytes, OXL_DIGEST_BYTES, err);
        if (k >= 0)
                k = oxl_idset_reserve(&x->seen, x->ids.data, err);
        if (k >= 0)
                oxl_idset_add(&x->seen, x->ids.data, x->ids.len / OXL_DIGEST_BYTES - 1);
        return k;
}

static int push_ref(void *ctx, const char *name, const struct oxl_digest *id, struct oxl_error *err)
{
        struct reach *x = ctx;
        return strcmp(name, x->except) == 0 ? 0 : push(x, id, err);
}

static int push_parents(struct reach *x, const struct oxl_digest *id, struct oxl_error *err)
{
        cleanup(oxl_commit_done) struct oxl_commit c = OXL_COMMIT_INIT;
        int k = oxl_commit_read(x->objects, id, &c, err);
        for (unsigned i = 0; k >= 0 && i < c.parents; i++)
                k = push(x, &c.parent[i], err);
        return k;
}

/* 0: @id is an ancestor of HEAD or of a ref other than x->except, or is one of them; 1: it is not. */
static int find(struct reach *x, const struct oxl_digest *id, struct oxl_error *err)
{
        cleanup(oxl_head_done) struct oxl_head head = { 0 };
        int k = oxl_repo_objects(x->repo, &x->objects, err);
        if (k >= 0)
                k = oxl_repo_head(x->repo, &head, err);
        if (k >= 0 && head.commit.algo != OXL_ALGO_NONE)
                k = push(x, &head.commit, err);
        if (k >= 0)
                k = oxl_repo_refs(x->repo, push_ref, x, err);
        for (size_t i = 0; k >= 0 && i < x->ids.len / OXL_DIGEST_BYTES; i++) {
                struct oxl_digest at = { .algo = OXL_ALGO_BLAKE3 };
                memcpy(at.bytes, id_of(x->ids.data, i), OXL_DIGEST_BYTES);
                if (oxl_digest_equal(&at, id))
                        return 0;
                if (oxl_repo_cancelled(x->repo))
                        return OXL_FAIL_PLAIN(err, CANCELLED);
                k = push_parents(x, &at, err);
        }
        return k < 0 ? k : 1;
}

static int check_branch(struct oxl_repo *r, const char *name, const struct oxl_move *m, struct oxl_error *err)
{
        cleanup(reach_done) struct reach x = { .repo = r, .except = m->ref, .ids = OXL_BUF_INIT };
        cleanup_free char *head = NULL;
        x.seen.id_of = id_of;
        int k = oxl_head_text(r, &head, err);
        if (k >= 0 && head && strcmp(head, m->ref) == 0)
                return OXL_FAIL_PATH(err, BRANCH_CURRENT, name);
        if (k >= 0)
                k = find(&x, &m->ref_old, err);
        return k > 0 ? OXL_FAIL_PATH(err, BRANCH_UNMERGED, name) : k;
}

/* --- deleting ------------------------------------------------------------------------------------------------------ */

static int delete_locked(struct oxl_repo *r, const char *prefix, const char *name, struct oxl_digest *ret,
                         struct oxl_error *err)
{
        cleanup(oxl_move_done) struct oxl_move m = OXL_MOVE_INIT;
        cleanup_free char *note = NULL;
        bool branch = strcmp(prefix, HEADS) == 0;
        int k = full_name(prefix, name, &m.ref, err);
        if (k >= 0)
                k = oxl_ref_read(r, m.ref, &m.ref_old, err);
        if (k > 0)
                return OXL_FAIL_PATH(err, REF_NOT_FOUND, name);
        if (k >= 0 && branch)
                k = check_branch(r, name, &m, err);
        if (k < 0)
                return k;
        if (asprintf(&note, "-d %s", name) < 0)
                return OXL_FAIL_PLAIN(err, NOMEM);
        *ret = m.ref_old;
        return run_ref_move(r, &m, branch ? "branch" : "tag", note, err);
}

static int delete_ref(struct oxl_repo *r, const char *prefix, const char *name, struct oxl_digest *ret,
                      struct oxl_error *err)
{
        int k = oxl_repo_begin_write(r, err);
        if (k < 0)
                return k;
        k = delete_locked(r, prefix, name, ret, err);
        oxl_repo_end_write(r);
        return k;
}

int oxl_repo_branch_delete(struct oxl_repo *r, const char *name, struct oxl_digest *ret, struct oxl_error *err)
{
        return delete_ref(r, HEADS, name, ret, err);
}

int oxl_repo_tag_delete(struct oxl_repo *r, const char *name, struct oxl_digest *ret, struct oxl_error *err)
{
        return delete_ref(r, TAGS, name, ret, err);
}
