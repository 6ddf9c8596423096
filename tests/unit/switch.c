/* SPDX-License-Identifier: MIT */
/* Switch, rm, branches and differences by the library: results, the stat cache afterwards, and errors that write nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <oxenlite/verbs.h>

#include "repo/repo.h"
#include "support/scratch.h"

struct place {
        struct scratch dir;
        struct oxl_repo *repo;
        struct oxl_digest one, two; /* commits of main and topic; HEAD is topic */
};

static struct oxl_digest record(struct place *p)
{
        const char *path = "";
        struct oxl_add_options add = { .all = true };
        struct oxl_add_result added;
        struct oxl_commit_options options = { .message = "m", .author = "A <a@example.org>" };
        struct oxl_commit_result result;
        assert_int_equal(oxl_repo_add(p->repo, &path, 1, &add, &added, NULL), 0);
        assert_int_equal(oxl_repo_commit(p->repo, &options, &result, NULL), 0);
        return result.commit;
}

static int go(struct place *p, const char *name, bool create, bool force, struct oxl_switch_result *ret)
{
        struct oxl_switch_options options = { .create = create, .force = force };
        return oxl_repo_switch(p->repo, name, &options, ret, NULL);
}

static void place_new(struct place *p)
{
        struct oxl_switch_result result;
        oxl_digest_setup();
        scratch_new(&p->dir);
        assert_int_equal(oxl_repo_init(p->dir.path, OXL_ALGO_BLAKE3, NULL), 0);
        assert_int_equal(oxl_repo_open(p->dir.path, NULL, &p->repo, NULL), 0);
        scratch_write(p->dir.fd, "a", "one");
        scratch_write(p->dir.fd, "same", "same");
        p->one = record(p);
        assert_int_equal(go(p, "topic", true, false, &result), 0);
        assert_string_equal(result.branch, "topic");
        scratch_write(p->dir.fd, "a", "two!");
        assert_int_equal(mkdirat(p->dir.fd, "d", 0777), 0);
        scratch_write(p->dir.fd, "d/new", "new");
        p->two = record(p);
}

static void place_done(struct place *p)
{
        oxl_repo_close(p->repo);
        scratch_done(&p->dir);
}

static void assert_content(struct place *p, const char *path, const char *want)
{
        char got[64] = "";
        int fd = openat(p->dir.fd, path, O_RDONLY);
        if (!want) {
                assert_int_equal(fd, -1);
                return;
        }
        assert_true(fd >= 0);
        assert_int_equal(read(fd, got, sizeof got - 1), (ssize_t)strlen(want));
        close(fd);
        assert_string_equal(got, want);
}

static int any(void *ctx, const struct oxl_status_item *item, struct oxl_error *err)
{
        (void)item;
        (void)err;
        *(int *)ctx += 1;
        return 0;
}

static int differences_of_status(struct place *p)
{
        int n = 0;
        assert_int_equal(oxl_repo_status(p->repo, any, &n, NULL), 0);
        return n;
}

static void a_switch_there_and_back(void **state)
{
        struct place p;
        struct oxl_switch_result result;
        (void)state;
        place_new(&p);
        assert_int_equal(go(&p, "main", false, false, &result), 0);
        assert_int_equal(result.files, 1);
        assert_int_equal(result.bytes, 3);
        assert_int_equal(result.removed, 1);
        assert_true(oxl_digest_equal(&result.commit, &p.one));
        assert_content(&p, "a", "one");
        assert_content(&p, "d", NULL);
        assert_int_equal(differences_of_status(&p), 0);
        assert_int_equal(go(&p, "topic", false, false, &result), 0);
        assert_content(&p, "a", "two!");
        assert_content(&p, "d/new", "new");
        assert_int_equal(differences_of_status(&p), 0);
        assert_int_equal(go(&p, "topic", false, false, &result), 0);
        assert_true(result.already);
        place_done(&p);
}

static void what_would_be_lost_is_refused_and_nothing_written(void **state)
{
        struct place p;
        struct oxl_switch_result result;
        (void)state;
        place_new(&p);
        scratch_write(p.dir.fd, "a", "mine");
        assert_int_equal(go(&p, "main", false, false, &result), -OXL_E_PATH_MODIFIED);
        assert_content(&p, "a", "mine");
        assert_content(&p, "d/new", "new");
        assert_int_equal(go(&p, "main", false, true, &result), 0);
        assert_int_equal(result.kept, 1);
        assert_content(&p, "a", "one");
        assert_int_equal(mkdirat(p.dir.fd, "d", 0777), 0);
        scratch_write(p.dir.fd, "d/new", "in the way");
        assert_int_equal(go(&p, "topic", false, false, &result), -OXL_E_PATH_IN_WAY);
        assert_content(&p, "a", "one");
        assert_int_equal(differences_of_status(&p), 1);
        place_done(&p);
}

static void names_that_are_none(void **state)
{
        struct place p;
        struct oxl_switch_result result;
        struct oxl_digest id;
        (void)state;
        place_new(&p);
        assert_int_equal(go(&p, "nowhere", false, false, &result), -OXL_E_REF_NOT_FOUND);
        assert_int_equal(go(&p, "main", true, false, &result), -OXL_E_REF_EXISTS);
        assert_int_equal(go(&p, "no good", true, false, &result), -OXL_E_REF_NAME);
        assert_int_equal(go(&p, "main/x", true, false, &result), -OXL_E_REF_CONFLICT);
        assert_int_equal(oxl_repo_branch_delete(p.repo, "topic", &id, NULL), -OXL_E_BRANCH_CURRENT);
        assert_int_equal(go(&p, "main", false, false, &result), 0);
        assert_int_equal(oxl_repo_branch_delete(p.repo, "topic", &id, NULL), -OXL_E_BRANCH_UNMERGED);
        assert_int_equal(oxl_repo_tag_create(p.repo, "v1", "topic", &id, NULL), 0);
        assert_int_equal(oxl_repo_branch_delete(p.repo, "topic", &id, NULL), 0);
        assert_true(oxl_digest_equal(&id, &p.two));
        assert_int_equal(go(&p, "v1", false, false, &result), 0);
        assert_string_equal(result.branch, "");
        place_done(&p);
}

struct seen {
        char text[256];
};

static int collect(void *ctx, const struct oxl_difference_item *item, struct oxl_error *err)
{
        struct seen *s = ctx;
        size_t n = strlen(s->text);
        (void)err;
        snprintf(s->text + n, sizeof s->text - n, "%c %s %u %u|", (char)item->what, item->path,
                 (unsigned)item->old_size, (unsigned)item->new_size);
        return 0;
}

static void assert_differences(struct place *p, const char *old, const char *new_, const char *want)
{
        struct seen s = { "" };
        assert_int_equal(oxl_repo_differences(p->repo, old, new_, collect, &s, NULL), 0);
        assert_string_equal(s.text, want);
}

static void differences_of_commits_index_and_files(void **state)
{
        struct place p;
        const char *path = "same";
        struct oxl_rm_options cached = { .cached = true };
        struct oxl_rm_result removed;
        (void)state;
        place_new(&p);
        assert_differences(&p, "main", "topic", "M a 3 4|A d/new 0 3|");
        assert_differences(&p, "topic", "main", "M a 4 3|D d/new 3 0|");
        assert_differences(&p, NULL, NULL, "");
        assert_differences(&p, "main", NULL, "M a 3 4|A d/new 0 3|");
        unlinkat(p.dir.fd, "a", 0);
        assert_int_equal(symlinkat("same", p.dir.fd, "a"), 0);
        fchmodat(p.dir.fd, "d/new", 0755, 0);
        assert_differences(&p, NULL, NULL, "T a 4 4|X d/new 3 3|");
        assert_int_equal(oxl_repo_rm(p.repo, &path, 1, &cached, &removed, NULL), 0);
        assert_int_equal(removed.files, 1);
        assert_int_equal(removed.removed, 0);
        assert_differences(&p, "topic", NULL, "T a 4 4|X d/new 3 3|D same 4 0|");
        struct seen s = { "" };
        assert_int_equal(oxl_repo_differences(p.repo, NULL, "main", collect, &s, NULL), -OXL_E_INVALID);
        place_done(&p);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_switch_there_and_back),
                cmocka_unit_test(what_would_be_lost_is_refused_and_nothing_written),
                cmocka_unit_test(names_that_are_none),
                cmocka_unit_test(differences_of_commits_index_and_files),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
