/* SPDX-License-Identifier: MIT */
/* Relative paths: what is clean, their order, splitting and joining; opening below a root. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "os/fdio.h"

static bool clean(const char *path)
{
        return oxl_path_problem(path, strlen(path)) == NULL;
}

static void clean_paths_are_accepted(void **state)
{
        static const char *const good[] = { "a", "a/b", ".a", "..a", "a..", "...", "a b/\n/\xff", "a/.oxl" };
        for (size_t i = 0; i < OXL_ARRAY_LEN(good); i++)
                assert_true(clean(good[i]));
        char longest[256];
        memset(longest, 'x', 255);
        longest[255] = 0;
        assert_true(clean(longest));
}

static void other_paths_are_refused(void **state)
{
        static const char *const bad[] = { "",   "/",   "/a",   "a/",  "a//b", ".",
                                           "..", "a/.", "a/..", "./a", "../a", "a/../b" };
        for (size_t i = 0; i < OXL_ARRAY_LEN(bad); i++)
                assert_false(clean(bad[i]));
        assert_non_null(oxl_path_problem("a\0b", 3));
        char name[300];
        memset(name, 'x', 256);
        name[256] = 0;
        assert_false(clean(name));
        struct oxl_error err = OXL_ERROR_INIT;
        assert_int_equal(oxl_path_check("a//b", &err), -OXL_E_PATH);
        assert_string_equal(err.path[0], "a//b");
        oxl_error_done(&err);
}

static void slash_sorts_below_every_other_byte(void **state)
{
        static const char *const sorted[] = { "a", "a/b", "a/b/c", "a\x01", "a b", "a-b", "a.b", "aa", "b", "\xff" };
        for (size_t i = 0; i < OXL_ARRAY_LEN(sorted); i++) {
                for (size_t k = 0; k < OXL_ARRAY_LEN(sorted); k++) {
                        int c = oxl_path_compare(sorted[i], strlen(sorted[i]), sorted[k], strlen(sorted[k]));
                        assert_int_equal((c > 0) - (c < 0), (i > k) - (i < k));
                }
        }
}

static void split_and_join_are_inverse(void **state)
{
        static const char *const paths[] = { "a", "a/b", "a/b/c" };
        for (size_t i = 0; i < OXL_ARRAY_LEN(paths); i++) {
                cleanup_free char *parent = NULL;
                cleanup_free char *joined = NULL;
                assert_int_equal(oxl_path_parent(paths[i], &parent, NULL), 0);
                assert_int_equal(oxl_path_join(parent, oxl_path_base(paths[i]), &joined, NULL), 0);
                assert_string_equal(joined, paths[i]);
        }
        cleanup_free char *rooted = NULL;
        assert_int_equal(oxl_path_join("/", "a", &rooted, NULL), 0);
        assert_string_equal(rooted, "/a");
        assert_true(oxl_path_is_within("a/b", "a"));
        assert_true(oxl_path_is_within("a", "a"));
        assert_true(oxl_path_is_within("a", ""));
        assert_false(oxl_path_is_within("ab", "a"));
}

/* --- oxl_open_beneath, once with openat2 and once without -------------------------------------------------------- */

static int no_openat2(int dirfd, const char *path, int flags, mode_t mode, uint64_t resolve)
{
        errno = ENOSYS;
        return -1;
}

static int opens(int root, const char *path)
{
        cleanup_fd int fd = oxl_open_beneath(root, path, O_RDONLY, 0);
        return fd >= 0 ? 0 : errno;
}

static void opening_never_leaves_the_root(void **state)
{
        char dir[] = "/tmp/oxl-path-XXXXXX";
        assert_non_null(mkdtemp(dir));
        cleanup_fd int root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(mkdirat(root, "d", 0755), 0);
        close(openat(root, "d/f", O_WRONLY | O_CREAT, 0644));
        assert_int_equal(symlinkat("/etc", root, "out"), 0);
        assert_int_equal(symlinkat("d", root, "in"), 0);
        assert_int_equal(symlinkat("f", root, "d/link"), 0);
        struct oxl_sys old = oxl_sys_real;
        old.openat2 = no_openat2;
        for (int kernel = 0; kernel < 2; kernel++) {
                oxl_sys = kernel == 0 ? &oxl_sys_real : &old;
                assert_int_equal(opens(root, "d/f"), 0);
                assert_int_equal(opens(root, ""), 0);
                assert_int_equal(opens(root, "d/link"), ELOOP);
                assert_true(opens(root, "in/f") == ELOOP || opens(root, "in/f") == ENOTDIR);
                assert_true(opens(root, "out/passwd") == ELOOP || opens(root, "out/passwd") == ENOTDIR);
                assert_int_equal(opens(root, "../etc/passwd"), EXDEV);
                assert_int_equal(opens(root, "d/../d/f"), EXDEV);
                assert_int_equal(opens(root, "d/.."), EXDEV);
                assert_int_equal(opens(root, "/etc/passwd"), EXDEV);
                assert_int_equal(opens(root, "d/none"), ENOENT);
        }
        oxl_sys = &oxl_sys_real;
        char command[64];
        snprintf(command, sizeof command, "rm -rf %s", dir);
        assert_int_equal(system(command), 0);
}

static void paths_longer_than_path_max_can_be_opened(void **state)
{
        enum { LEVELS = 40 };
        char dir[] = "/tmp/oxl-path-XXXXXX";
        assert_non_null(mkdtemp(dir));
        int root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        char name[201], *path = calloc(LEVELS, sizeof name);
        assert_non_null(path);
        memset(name, 'n', 200);
        name[200] = 0;
        for (int i = 0, at = dup(root); i < LEVELS; i++) {
                assert_int_equal(mkdirat(at, name, 0755), 0);
                int next = openat(at, name, O_RDONLY | O_DIRECTORY);
                close(at);
                at = next;
                memcpy(path + strlen(path), i ? "/" : "", i ? 2 : 1);
                memcpy(path + strlen(path), name, sizeof name);
                if (i == LEVELS - 1)
                        close(at);
        }
        assert_true(strlen(path) > 8000);
        assert_int_equal(opens(root, path), 0);
        path[strlen(path) - 1] = 0;
        assert_int_equal(opens(root, path), ENOENT);
        free(path);
        close(root);
        char command[64];
        snprintf(command, sizeof command, "rm -rf %s", dir);
        assert_int_equal(system(command), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(clean_paths_are_accepted),
                cmocka_unit_test(other_paths_are_refused),
                cmocka_unit_test(slash_sorts_below_every_other_byte),
                cmocka_unit_test(split_and_join_are_inverse),
                cmocka_unit_test(opening_never_leaves_the_root),
                cmocka_unit_test(paths_longer_than_path_max_can_be_opened),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
