/* SPDX-License-Identifier: MIT */
/* HEAD and config.toml of an Oxen repository. Input: le16 length of HEAD, which comes next; the rest is config.toml. Damage is found
 * twice, in the same bytes, so it is never called a bad read; what the config names has no NUL. */
#include "foreign/oxen.h"
#include "fuzz/fuzz.h"

static const char *place;
static int repo_fd;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
        (void)argc;
        (void)argv;
        place = fuzz_place();
        repo_fd = oxl_fd_open(AT_FDCWD, place, O_RDONLY | O_DIRECTORY, 0);
        FUZZ_REQUIRE(repo_fd >= 0);
        return 0;
}

static int see_finding(void *ctx, const struct oxl_finding *f, struct oxl_error *err)
{
        (void)err;
        FUZZ_REQUIRE(f->problem == OXL_P_OXEN_HEAD || f->problem == OXL_P_OXEN_CONFIG ||
                     f->problem == OXL_P_UNREADABLE);
        FUZZ_REQUIRE(strcmp(f->verdict, f->problem == OXL_P_UNREADABLE ? "unreadable" : "media") == 0);
        FUZZ_REQUIRE(f->detail[0] && f->os == 0 && !f->repaired);
        (*(unsigned *)ctx)++;
        return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const struct oxl_oxen_options options = { 0 };
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        cleanup_free char *path = NULL;
        unsigned findings = 0;
        struct oxl_oxen x = {
                .options = &options, .fn = see_finding, .fn_ctx = &findings, .repo_fd = repo_fd, .store_fd = -1
        };
        if (size < 2)
                return 0;
        size_t n = le_load16(data) < size - 2 ? le_load16(data) : size - 2;
        fuzz_put(place, "HEAD", data + 2, n);
        fuzz_put(place, "config.toml", data + 2 + n, size - 2 - n);
        int r = oxl_oxen_config(&x, &path, &err);
        FUZZ_REQUIRE(r >= 0 && findings <= 2 && (r == 0 || findings > 0));
        FUZZ_REQUIRE(!path || (path[0] && strlen(path) < size));
        fuzz_accepted += findings == 0 && path;
        return 0;
}
