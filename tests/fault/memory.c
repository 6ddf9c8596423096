/* SPDX-License-Identifier: MIT */
/* Every allocation of the durable layer fails once, and from then on: NOMEM (or a smaller buffer), the target unchanged, no
 * temp, no leak (the sanitizer looks), no descriptor. Matrix 41. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "durable/durable.h"
#include "os/sys.h"
#include "support/allocations.h"
#include "support/fault.h"

static void deny(unsigned nth, bool for_ever)
{
        allocations_fail(&(struct allocations_plan){ .nth = nth, .for_ever = for_ever });
}

static char root[64];

static int enter_root(void **state)
{
        snprintf(root, sizeof root, "%s", "/tmp/oxl-memory-XXXXXX");
        return mkdtemp(root) && chdir(root) == 0 ? 0 : -1;
}

static int leave_root(void **state)
{
        char command[128];
        snprintf(command, sizeof command, "rm -rf %s", root);
        return chdir("/") == 0 && system(command) == 0 ? 0 : -1;
}

static int to_path(struct oxl_error *err)
{
        return oxl_atomic_write_to_path("a/b/t", "new", 3, NULL, NULL, err);
}

static ssize_t read_new(void *ctx, void *buf, size_t n)
{
        bool *done = ctx;
        if (*done)
                return 0;
        *done = true;
        memcpy(buf, "new", 3);
        return 3;
}

static int from_reader(struct oxl_error *err)
{
        bool done = false;
        return oxl_atomic_write_from_reader("a/b/t", read_new, &done, NULL, NULL, err);
}

static int batch(struct oxl_error *err)
{
        struct oxl_batch *b = NULL;
        int r = oxl_batch_begin(NULL, &b, err);
        if (r == 0)
                r = oxl_batch_add(b, "a/b/t", "new", 3, err);
        if (r == 0)
                r = oxl_batch_commit(b, NULL, err);
        oxl_batch_free(b);
        return r;
}

static int stage(struct oxl_error *err)
{
        struct oxl_durable *d = NULL;
        int fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int r = oxl_durable_new(fd, "root", 0xa1, &d, err);
        if (r == 0)
                r = oxl_durable_write(d, "a/b/t", "new", 3, err);
        oxl_durable_free(d);
        close(fd);
        return r;
}

static bool is_new(void)
{
        char got[8];
        int fd = open("a/b/t", O_RDONLY);
        bool same = fd >= 0 && read(fd, got, sizeof got) == 3 && memcmp(got, "new", 3) == 0;
        close(fd);
        return same;
}

static unsigned entries(void)
{
        unsigned n = 0;
        DIR *dir = opendir("a/b");
        for (; dir && readdir(dir); n++)
                ;
        if (dir)
                closedir(dir);
        return dir ? n - 2 : 0;
}

static void deny_each(int (*run)(struct oxl_error *), bool for_ever)
{
        unsigned failed = 0;
        for (unsigned n = 1;; n++) {
                struct oxl_error err = OXL_ERROR_INIT;
                assert_int_equal(system("rm -rf a"), 0);
                unsigned fds = fault_open_descriptors();
                deny(n, for_ever);
                int r = run(&err);
                bool reached = allocations_end();
                assert_true(r == 0 || (r == -OXL_E_NOMEM && err.code == OXL_E_NOMEM));
                assert_int_equal(is_new(), r == 0);
                assert_int_equal(entries(), r == 0);
                assert_int_equal(fault_open_descriptors(), fds);
                failed += r < 0;
                oxl_error_done(&err);
                if (!reached)
                        break;
        }
        assert_true(failed > 3);
}

static void any_allocation_may_fail(void **state)
{
        int (*const runs[])(struct oxl_error *) = { to_path, from_reader, batch, stage };
        for (size_t i = 0; i < OXL_ARRAY_LEN(runs); i++) {
                deny_each(runs[i], false);
                deny_each(runs[i], true);
        }
}

static void a_reader_is_content_with_a_smaller_buffer(void **state)
{
        struct oxl_error err = OXL_ERROR_INIT;
        unsigned succeeded = 0;
        assert_int_equal(to_path(&err), 0);
        for (unsigned n = 1; n < 40; n++) {
                deny(n, false);
                int r = from_reader(&err);
                succeeded += allocations_end() && r == 0;
                oxl_error_done(&err);
        }
        assert_int_equal(succeeded, 1); /* the one that denied the 10 MiB */
}

static void a_lost_path_loses_no_code(void **state)
{
        struct oxl_error err = OXL_ERROR_INIT;
        char text[128];
        deny(1, true);
        int r = oxl_atomic_write_to_path("a/", "x", 1, NULL, NULL, &err);
        allocations_end();
        assert_int_equal(r, -OXL_E_TARGET);
        assert_null(err.path[0]);
        oxl_error_text(&err, text, sizeof text);
        assert_string_equal(text, "'?' cannot be a file: ?");
        oxl_error_done(&err);
}

static void a_buffer_keeps_its_content(void **state)
{
        cleanup_buf struct oxl_buf b = OXL_BUF_INIT;
        assert_int_equal(oxl_buf_append_text(&b, "keep", NULL), 0);
        deny(1, false);
        int r = oxl_buf_append_zeros(&b, 1000, NULL);
        allocations_end();
        assert_int_equal(r, -OXL_E_NOMEM);
        assert_string_equal(oxl_buf_text(&b), "keep");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(any_allocation_may_fail),
                cmocka_unit_test(a_reader_is_content_with_a_smaller_buffer),
                cmocka_unit_test(a_lost_path_loses_no_code),
                cmocka_unit_test(a_buffer_keeps_its_content),
        };
        return cmocka_run_group_tests(tests, enter_root, leave_root);
}
