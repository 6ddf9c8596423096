/* SPDX-License-Identifier: MIT */
/* Branches and tags by the library: what is made, what is refused, and that deleting loses no commit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <oxenlite/verbs.h>

#include "repo/repo.h"
#include "support/scratch.h"

struct place {
        struct scratch dir;
        struct oxl_repo *repo;
};

static void place_new(struct place *p)
{
        oxl_digest_setup();
        scratch_new(&p->dir);
        assert_int_equal(oxl_repo_init(p->dir.path, OXL_ALGO_BLAKE3, NULL), 0);
        assert_int_equal(oxl_repo_open(p->dir.path, NULL, &p->repo, NULL), 0);
}

static void place_done(struct place *p)
{
        oxl_repo_close(p->repo);
        scratch_done(&p->dir);
}

static struct oxl_digest commit(struct place *p)
{
        struct oxl_commit_options options = { .message = "m", .author = "A <a@example.org>", .allow_empty = true };
        struct oxl_commit_result result;
        assert_int_equal(oxl_repo_commit(p->repo, &options, &result, NULL), 0);
        return result.commit;
}

static int make(struct place *p, const char *name)
{
        struct oxl_digest id;
        return oxl_repo_branch_create(p->repo, name, NULL, &id, NULL);
}

static int drop(struct place *p, const char *name)
{
        struct oxl_digest id;
        return oxl_repo_branch_delete(p->repo, name, &id, NULL);
}

static void a_branch_needs_a_commit_and_a_free_name(void **state)
{
        struct place p;
        (void)state;
        place_new(&p);
        assert_int_equal(make(&p, "topic"), -OXL_E_NO_COMMITS);
        commit(&p);
        assert_int_equal(make(&p, "topic"), 0);
        assert_int_equal(make(&p, "topic"), -OXL_E_REF_EXISTS);
        assert_int_equal(make(&p, "topic/x"), -OXL_E_REF_CONFLICT);
        assert_int_equal(make(&p, "no..good"), -OXL_E_REF_NAME);
        assert_int_equal(make(&p, "x/y/z"), 0);
        assert_int_equal(make(&p, "x/y"), -OXL_E_REF_CONFLICT);
        assert_int_equal(drop(&p, "x/y/z"), 0);
        assert_int_equal(make(&p, "x/y"), 0);
        place_done(&p);
}

static void only_what_others_reach_is_deleted(void **state)
{
        struct place p;
        struct oxl_digest id, reached;
        struct oxl_switch_result result;
        const struct oxl_switch_options create = { .create = true };
        struct oxl_undo_result undone;
        (void)state;
        place_new(&p);
        commit(&p);
        assert_int_equal(drop(&p, "main"), -OXL_E_BRANCH_CURRENT);
        assert_int_equal(drop(&p, "nothing"), -OXL_E_REF_NOT_FOUND);
        assert_int_equal(oxl_repo_switch(p.repo, "topic", &create, &result, NULL), 0);
        id = commit(&p);
        assert_int_equal(drop(&p, "main"), 0); /* an ancestor of HEAD */
        assert_int_equal(oxl_repo_undo(p.repo, 0, NULL, &undone, NULL), 0);
        assert_int_equal(oxl_repo_switch(p.repo, "main", NULL, &result, NULL), 0);
        assert_int_equal(drop(&p, "topic"), -OXL_E_BRANCH_UNMERGED);
        assert_int_equal(oxl_repo_tag_create(p.repo, "keep", "topic", &reached, NULL), 0);
        assert_int_equal(drop(&p, "topic"), 0);
        assert_int_equal(oxl_repo_resolve(p.repo, "topic", &reached, NULL), -OXL_E_REF_NOT_FOUND);
        assert_int_equal(oxl_repo_undo(p.repo, 0, NULL, &undone, NULL), 0);
        assert_int_equal(oxl_repo_resolve(p.repo, "topic", &reached, NULL), 0);
        assert_true(oxl_digest_equal(&reached, &id));
        assert_int_equal(oxl_repo_tag_delete(p.repo, "keep", &reached, NULL), 0);
        assert_int_equal(oxl_repo_tag_delete(p.repo, "keep", &reached, NULL), -OXL_E_REF_NOT_FOUND);
        place_done(&p);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_branch_needs_a_commit_and_a_free_name),
                cmocka_unit_test(only_what_others_reach_is_deleted),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
