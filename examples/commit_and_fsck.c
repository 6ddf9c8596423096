/* SPDX-License-Identifier: MIT */
/*
 * commit_and_fsck DIR MESSAGE: records everything in DIR (which becomes a repository when it is none), then verifies every byte.
 *
 *   cc commit_and_fsck.c $(pkg-config --cflags --libs oxenlite) -o commit_and_fsck
 *   ./commit_and_fsck ~/data "Labels of batch 7"
 *
 * Exit 0: the commit survives a power cut, and nothing is wrong. The pattern of every call: 0 or more is success; below 0 `err` says
 * what happened, and is forwarded until somebody prints it.
 */
#include <stdio.h>

#include <oxenlite/check.h>
#include <oxenlite/repo.h>

static int commit(const char *dir, const char *message, struct oxl_error *err)
{
        static const char *const everything[] = { "" };
        struct oxl_repo_options options = { .wait_ms = 30000, .command = "commit_and_fsck" };
        struct oxl_commit_options what = { .message = message, .author = "Example <example@example.org>" };
        struct oxl_add_options add = { .all = true };
        struct oxl_add_result staged;
        struct oxl_commit_result result;
        struct oxl_repo *repo;

        int r = oxl_repo_open(dir, &options, &repo, err);
        if (r == -OXL_E_REPO_NOT_FOUND) {
                r = oxl_repo_init(dir, OXL_ALGO_BLAKE3, err);
                if (r == 0)
                        r = oxl_repo_open(dir, &options, &repo, err);
        }
        if (r < 0)
                return r;
        r = oxl_repo_add(repo, everything, 1, &add, &staged, err);
        if (r == 0)
                r = oxl_repo_commit(repo, &what, &result, err);
        if (r == 0)
                printf("committed %llu files to %s\n", (unsigned long long)result.files, result.branch);
        oxl_repo_close(repo);
        return r;
}

static int print_finding(void *ctx, const struct oxl_finding *finding, struct oxl_error *err)
{
        (void)ctx, (void)err;
        printf("%s: %s\n  next: %s\n", finding->path, oxl_problem_slug(finding->problem), finding->remedy);
        return 0;
}

static int check(const char *dir, bool *ret_clean, struct oxl_error *err)
{
        struct oxl_repo_options options = { .wait_ms = 30000, .command = "commit_and_fsck" };
        struct oxl_check_options everything = { .jobs = 2 };
        struct oxl_check_result result;

        int r = oxl_check_run(dir, &options, &everything, print_finding, NULL, &result, err);
        if (r < 0)
                return r;
        *ret_clean = result.findings == 0 && result.unreadable == 0;
        printf("verified %llu files, %llu bytes: %s\n", (unsigned long long)result.files,
               (unsigned long long)result.bytes, *ret_clean ? "clean" : "not clean");
        return 0;
}

int main(int argc, char **argv)
{
        struct oxl_error err = OXL_ERROR_INIT;
        bool clean = false;
        char text[1024];

        if (argc != 3) {
                fprintf(stderr, "usage: commit_and_fsck DIR MESSAGE\n");
                return 2;
        }
        int r = commit(argv[1], argv[2], &err);
        if (r == -OXL_E_NOTHING) { /* that is no failure here */
                oxl_error_done(&err);
                r = 0;
        }
        if (r == 0)
                r = check(argv[1], &clean, &err);
        if (r < 0) {
                (void)oxl_error_text(&err, text, sizeof text);
                fprintf(stderr, "commit_and_fsck: %s [%s]\n", text, oxl_error_slug(err.code));
                int status = oxl_error_exit(err.code);
                oxl_error_done(&err);
                return status;
        }
        return clean ? 0 : 3;
}
