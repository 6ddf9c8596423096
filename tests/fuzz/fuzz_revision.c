/* SPDX-License-Identifier: MIT */
/* Revisions, in a small repository that is made once: three commits, a branch and a tag. What resolves is one of the commits,
 * under its full id too; what does not is an error with a reason. */
#include <stdio.h>

#include <oxenlite/repo.h>

#include "fuzz/fuzz.h"
#include "support/place.h"

enum { COMMITS = 3, REVISION_MAX = 200 };

static char *place;
static struct oxl_repo *repo;
static struct oxl_digest commits[COMMITS];

static void leave(void)
{
        oxl_repo_close(repo);
        place_free(place);
}

static void commit(unsigned i)
{
        const char *paths[] = { "file" };
        const struct oxl_commit_options options = { .message = "m", .author = "A <a@example.org>" };
        struct oxl_add_result added;
        struct oxl_commit_result made;
        char text[8];
        snprintf(text, sizeof text, "%u", i);
        place_text(place, "file", text);
        FUZZ_REQUIRE(oxl_repo_add(repo, paths, 1, &(struct oxl_add_options){ 0 }, &added, NULL) == 0);
        FUZZ_REQUIRE(oxl_repo_commit(repo, &options, &made, NULL) == 0);
        commits[i] = made.commit;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
        (void)argc;
        (void)argv;
        place = place_new();
        atexit(leave);
        FUZZ_REQUIRE(oxl_repo_init(place, OXL_ALGO_BLAKE3, NULL) == 0);
        FUZZ_REQUIRE(oxl_repo_open(place, &(struct oxl_repo_options){ .wait_ms = 1000 }, &repo, NULL) == 0);
        for (unsigned i = 0; i < COMMITS; i++)
                commit(i);
        return 0;
}

static bool known(const struct oxl_digest *id)
{
        for (unsigned i = 0; i < COMMITS; i++)
                if (oxl_digest_equal(id, commits + i))
                        return true;
        return false;
}

/* "$n" stands for the full id of commit n, which no input can know. */
static char *expand(const uint8_t *data, size_t size)
{
        char text[OXL_DIGEST_TEXT_MAX];
        if (size < 2 || data[0] != '$' || data[1] < '0' || data[1] >= '0' + COMMITS)
                return fuzz_text(data, size);
        oxl_digest_text(commits + (data[1] - '0'), text);
        cleanup_buf struct oxl_buf b = OXL_BUF_INIT;
        FUZZ_REQUIRE(oxl_buf_append_text(&b, text, NULL) == 0 && oxl_buf_append(&b, data + 2, size - 2, NULL) == 0);
        return fuzz_text(b.data, b.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        cleanup_free char *rev = expand(data, size < REVISION_MAX ? size : REVISION_MAX);
        cleanup_free char *parent = NULL;
        struct oxl_digest id = OXL_DIGEST_INIT, same = OXL_DIGEST_INIT;
        char text[OXL_DIGEST_TEXT_MAX];
        if (fuzz_failed(oxl_repo_resolve(repo, rev, &id, &err), &err)) {
                FUZZ_REQUIRE(id.algo == OXL_ALGO_NONE);
                return 0;
        }
        fuzz_accepted++;
        FUZZ_REQUIRE(known(&id));
        oxl_digest_text(&id, text);
        FUZZ_REQUIRE(oxl_repo_resolve(repo, text, &same, NULL) == 0 && oxl_digest_equal(&id, &same));
        /* one more ~ is the parent, and fails only for the first commit */
        parent = fuzz_text(rev, strlen(rev) + 1);
        parent[strlen(rev)] = '~';
        int r = oxl_repo_resolve(repo, parent, &same, &err);
        FUZZ_REQUIRE((r < 0) == oxl_digest_equal(&id, commits));
        FUZZ_REQUIRE(fuzz_failed(r, &err) || known(&same));
        return 0;
}
