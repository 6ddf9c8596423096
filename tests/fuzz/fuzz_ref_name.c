/* SPDX-License-Identifier: MIT */
/* Names of refs against a second reading of the rules (FORMAT section 3.3). What is accepted can be printed into HEAD and read
 * back, and is a clean path. */
#include "base/path.h"
#include "fuzz/fuzz.h"
#include "repo/repo.h"

static bool has_suffix(const char *at, size_t n, const char *suffix)
{
        size_t m = strlen(suffix);
        return n >= m && memcmp(at + n - m, suffix, m) == 0;
}

static bool component_allowed(const char *at, size_t n)
{
        cleanup_free char *name = fuzz_text(at, n);
        return n > 0 && n <= 255 && *at != '.' && !has_suffix(at, n, ".lock") && !oxl_temp_name_is_ours(name, NULL);
}

static bool allowed(const char *name)
{
        size_t n = strlen(name), digits = 0;
        if (n == 0 || n + strlen("refs/heads/") > 1024 || name[n - 1] == '.' || strcmp(name, "@") == 0)
                return false;
        for (size_t i = 0; i < n; i++) {
                unsigned char c = (unsigned char)name[i];
                if (c <= ' ' || c == 127 || c == '~' || c == '^' || c == ':' || c == '?' || c == '*' || c == '[' ||
                    c == '\\')
                        return false;
                if ((c == '.' && name[i + 1] == '.') || (c == '@' && name[i + 1] == '{'))
                        return false;
                digits += (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
        }
        if (digits == n)
                return false;
        for (size_t from = 0, i = 0; i <= n; i++) {
                if (i < n && name[i] != '/')
                        continue;
                if (!component_allowed(name + from, i - from))
                        return false;
                from = i + 1;
        }
        return true;
}

static void check_in_head(const char *name)
{
        const struct oxl_repo repo = { .root_fd = -1, .format = { .id = fuzz_repo, .blob_algo = OXL_ALGO_BLAKE3 } };
        cleanup_buf struct oxl_buf full = OXL_BUF_INIT, head = OXL_BUF_INIT;
        cleanup_free char *ref = NULL;
        struct oxl_digest id = OXL_DIGEST_INIT;
        FUZZ_REQUIRE(oxl_buf_append_fmt(&full, NULL, "refs/heads/%s", name) == 0);
        FUZZ_REQUIRE(oxl_head_print(&fuzz_repo, oxl_buf_text(&full), NULL, &head, NULL) == 0);
        fuzz_serve("HEAD", oxl_buf_bytes(&head));
        FUZZ_REQUIRE(oxl_head_read(&repo, &ref, &id, NULL) == 0);
        fuzz_serve_end();
        FUZZ_REQUIRE(ref && strcmp(ref, oxl_buf_text(&full)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        cleanup_free char *name = fuzz_text(data, size);
        bool refused = fuzz_failed(oxl_ref_name_check(name, &err), &err);
        FUZZ_REQUIRE(refused == !allowed(name));
        if (refused)
                return 0;
        fuzz_accepted++;
        FUZZ_REQUIRE(!oxl_path_problem(name, strlen(name)));
        check_in_head(name);
        return 0;
}
