/* SPDX-License-Identifier: MIT */
/*
 * copy while the n-th system call fails, to a new folder and to an earlier copy: it says a failure (never damage) or does without the
 * call; no descriptor stays open; what is at the destination is sound, and the next copy completes it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <oxenlite/check.h>
#include <oxenlite/tools.h>

#include "durable/remove.h"
#include "repo/repo.h"
#include "support/fault.h"
#include "support/scratch.h"

enum { LARGE = 70000 };

struct place {
        struct scratch dir; /* with "source", and "copy" */
        char source[96], copy[96];
        struct oxl_digest old, new_; /* commits of the source */
};

static struct oxl_digest record(struct oxl_repo *r)
{
        const char *path = "";
        struct oxl_add_options add = { .all = true };
        struct oxl_add_result added;
        struct oxl_commit_options options = { .message = "m", .author = "A <a@example.org>" };
        struct oxl_commit_result result;
        assert_int_equal(oxl_repo_add(r, &path, 1, &add, &added, NULL), 0);
        assert_int_equal(oxl_repo_commit(r, &options, &result, NULL), 0);
        return result.commit;
}

static int copy(struct place *p, struct oxl_copy_result *ret, struct oxl_error *err)
{
        const struct oxl_repo_options options = { .wait_ms = 100 };
        struct oxl_repo *r = NULL;
        int k = oxl_repo_open(p->source, &options, &r, err);
        if (k < 0)
                return k;
        k = oxl_repo_copy(r, p->copy, NULL, ret, err);
        oxl_repo_close(r);
        return k;
}

/* The source gets its second commit when @earlier is to hold the first one. */
static void place_new(struct place *p)
{
        struct oxl_repo *r;
        char *large = calloc(1, LARGE + 1);
        oxl_digest_setup();
        scratch_new(&p->dir);
        snprintf(p->source, sizeof p->source, "%s/source", p->dir.path);
        snprintf(p->copy, sizeof p->copy, "%s/copy", p->dir.path);
        scratch_mkdir(p->dir.fd, "source");
        assert_int_equal(oxl_repo_init(p->source, OXL_ALGO_BLAKE3, NULL), 0);
        assert_int_equal(oxl_repo_open(p->source, NULL, &r, NULL), 0);
        assert_int_equal(oxl_repo_config_set(r, "pack_threshold", "65536", NULL), 0);
        scratch_write(p->dir.fd, "source/a", "one");
        memset(large, 'l', LARGE);
        scratch_write(p->dir.fd, "source/large", large);
        p->old = record(r);
        free(large);
        oxl_repo_close(r);
}

static void place_more(struct place *p)
{
        struct oxl_repo *r;
        assert_int_equal(oxl_repo_open(p->source, NULL, &r, NULL), 0);
        scratch_write(p->dir.fd, "source/b", "two");
        p->new_ = record(r);
        oxl_repo_close(r);
}

static int no_finding(void *ctx, const struct oxl_finding *f, struct oxl_error *err)
{
        (void)err;
        if (oxl_problem_severity(f->problem) >= OXL_SEVERITY_WARNING)
                fprintf(stderr, "%s %s\n", oxl_problem_slug(f->problem), f->path);
        ++*(unsigned *)ctx;
        return 0;
}

static void assert_sound(struct place *p)
{
        struct stat st;
        struct oxl_repo *r;
        struct oxl_check_result checked;
        const struct oxl_check_options options = { 0 };
        unsigned findings = 0;
        if (fstatat(p->dir.fd, "copy/.oxen-lite", &st, AT_SYMLINK_NOFOLLOW) < 0)
                return;
        assert_int_equal(oxl_repo_open(p->copy, NULL, &r, NULL), 0);
        assert_int_equal(oxl_repo_recover(r, NULL, NULL), 0);
        oxl_repo_close(r);
        assert_int_equal(oxl_check_run(p->copy, NULL, &options, no_finding, &findings, &checked, NULL), 0);
        assert_int_equal(checked.findings, 0);
        assert_int_equal(checked.unreadable, 0);
}

static void assert_complete(struct place *p)
{
        struct oxl_copy_result result;
        assert_int_equal(copy(p, &result, NULL), 0);
        assert_true(oxl_digest_equal(&result.commit, &p->new_));
        assert_string_equal(result.head, "main");
        assert_int_equal(result.refs_unmoved, 0);
        assert_sound(p);
}

/* false: fewer calls than that. */
static bool one_round(struct place *p, const struct fault_plan *plan)
{
        struct oxl_error err = OXL_ERROR_INIT;
        struct oxl_copy_result result;
        unsigned before = fault_open_descriptors();
        fault_install(plan);
        int k = copy(p, &result, &err);
        bool fired = fault_remove();
        assert_int_equal(fault_open_descriptors(), before);
        assert_int_equal(k < 0 ? -k : 0, err.code);
        assert_int_not_equal(err.code, OXL_E_OBJECT_CORRUPT);
        assert_int_not_equal(err.code, OXL_E_OBJECT_MISSING);
        assert_int_not_equal(err.code, OXL_E_SEAL);
        if (k == 0 && result.head[0]) /* else the failure was in looking at it for the report */
                assert_true(oxl_digest_equal(&result.commit, &p->new_));
        oxl_error_done(&err);
        assert_sound(p);
        return fired;
}

static void fail_calls(bool earlier, const char *only, int os, bool for_ever, unsigned stride)
{
        struct place p;
        unsigned rounds = 0;
        bool fired = true;
        if (getenv("OXL_DEEP"))
                stride = 1;
        place_new(&p);
        if (!earlier)
                place_more(&p);
        struct place kept = p;
        for (unsigned n = 1; fired; n += stride, rounds++) {
                struct oxl_copy_result result;
                if (earlier && rounds == 0) {
                        snprintf(p.copy, sizeof p.copy, "%s/first", p.dir.path);
                        assert_int_equal(copy(&p, &result, NULL), 0);
                        place_more(&p);
                        kept.new_ = p.new_;
                        p = kept;
                }
                if (earlier) {
                        char command[320];
                        snprintf(command, sizeof command, "cp -a '%s/first' '%s'", p.dir.path, p.copy);
                        assert_int_equal(system(command), 0);
                }
                fired = one_round(&p, &(struct fault_plan){ .only = only, .nth = n, .os = os, .for_ever = for_ever });
                if (rounds % 4 == 0)
                        assert_complete(&p);
                assert_int_equal(oxl_remove_tree(p.dir.fd, "copy", NULL), 0);
        }
        assert_true(rounds > 10);
        scratch_done(&p.dir);
}

static void any_call_of_a_first_copy_fails(void **state)
{
        (void)state;
        fail_calls(false, NULL, EIO, false, 11);
}

static void any_call_of_a_later_copy_fails(void **state)
{
        (void)state;
        fail_calls(true, NULL, EIO, false, 9);
}

static void no_call_works_any_more_from_some_on(void **state)
{
        (void)state;
        fail_calls(true, NULL, ENOSPC, true, 23);
}

/* Looking for the nearest folder that is there once went on for ever. */
static void no_folder_can_be_opened_any_more_from_some_call_on(void **state)
{
        (void)state;
        fail_calls(true, "openat", EMFILE, true, 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(any_call_of_a_first_copy_fails),
                cmocka_unit_test(any_call_of_a_later_copy_fails),
                cmocka_unit_test(no_call_works_any_more_from_some_on),
                cmocka_unit_test(no_folder_can_be_opened_any_more_from_some_call_on),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
