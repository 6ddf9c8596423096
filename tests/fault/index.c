/* SPDX-License-Identifier: MIT */
/*
 * Every system call of index, walk and status fails once: an error is said, nothing leaks, the index on disk stays as it was,
 * and a failure never makes a tree look smaller or cleaner than it is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/fdio.h"
#include "repo/index.h"
#include "repo/worktree.h"
#include "support/fault.h"
#include "support/scratch.h"

static const struct oxl_repo_id id = { { 9 } };

static void write_file(int dirfd, const char *name, const struct oxl_buf *bytes)
{
        int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        assert_true(fd >= 0);
        assert_int_equal(oxl_fd_write_all(fd, bytes->data, bytes->len), 0);
        assert_int_equal(close(fd), 0);
}

static void make_index(const struct scratch *d)
{
        struct oxl_buf base = OXL_BUF_INIT, delta = OXL_BUF_INIT;
        oxl_digest_setup();
        assert_int_equal(oxl_index_print_empty(&id, &base, &delta, NULL), 0);
        write_file(d->fd, "index", &base);
        write_file(d->fd, "index.delta", &delta);
        oxl_buf_done(&base);
        oxl_buf_done(&delta);
}

/* Opens, adds @count files, stages; publishes when asked. Everything is freed. */
static int update(const struct scratch *d, unsigned count, bool publish, struct oxl_error *err)
{
        struct oxl_durable *durable = NULL;
        struct oxl_index *x = NULL;
        struct oxl_index_edit *e = NULL;
        struct oxl_stage *stage = NULL;
        struct oxl_digest digest;
        const char *target = NULL;
        uint64_t size;
        int r = oxl_durable_new(d->fd, d->path, 1, &durable, err);
        if (r == 0)
                r = oxl_index_open(d->fd, &id, OXL_ALGO_BLAKE3, &x, err);
        if (r == 0)
                r = oxl_index_edit_new(x, &e, err);
        for (unsigned i = 0; r == 0 && i < count; i++) {
                char name[32];
                struct oxl_index_entry entry = { .path = name, .kind = OXL_ENTRY_FILE, .staged = true };
                entry.path_len = (size_t)snprintf(name, sizeof name, "folder/%05u", i);
                entry.id = oxl_digest_of(OXL_ALGO_BLAKE3, name, entry.path_len);
                r = oxl_index_edit_set(e, &entry, err);
        }
        if (r == 0)
                r = oxl_index_stage(e, durable, &stage, &target, &digest, &size, err);
        if (r == 0 && publish)
                r = oxl_stage_publish(stage, target, false, err);
        oxl_stage_free(stage);
        oxl_index_edit_free(e);
        oxl_index_free(x);
        oxl_durable_free(durable);
        return r;
}

static size_t count_entries(const struct scratch *d)
{
        struct oxl_index *x;
        struct oxl_index_cursor *c;
        struct oxl_index_entry e;
        size_t n = 0;
        assert_int_equal(oxl_index_open(d->fd, &id, OXL_ALGO_BLAKE3, &x, NULL), 0);
        assert_int_equal(oxl_index_verify(x, NULL), 0);
        assert_int_equal(oxl_index_cursor_new(x, "", 0, &c, NULL), 0);
        while (oxl_index_cursor_next(c, &e, NULL) == 0)
                n++;
        oxl_index_cursor_free(c);
        oxl_index_free(x);
        return n;
}

static void assert_every_failure_is_said(const struct scratch *d, unsigned count)
{
        size_t before = count_entries(d);
        unsigned fds = fault_open_descriptors(), n = 1;
        for (;; n++) {
                struct oxl_error err = OXL_ERROR_INIT;
                fault_install(&(struct fault_plan){ .nth = n, .os = EIO });
                int r = update(d, count, false, &err);
                bool failed = fault_remove();
                assert_int_equal(r, -(int)err.code);
                assert_true(failed || r == 0);
                oxl_error_done(&err);
                assert_int_equal(fault_open_descriptors(), fds);
                assert_int_equal(count_entries(d), before);
                if (!failed)
                        break;
        }
        assert_true(n > 10);
        assert_int_equal(update(d, count, true, NULL), 0);
}

static void no_failure_of_a_delta_passes_for_success(void **state)
{
        struct scratch d;
        scratch_new(&d);
        make_index(&d);
        assert_int_equal(update(&d, 20, true, NULL), 0);
        assert_every_failure_is_said(&d, 30);
        assert_int_equal(count_entries(&d), 30);
        scratch_done(&d);
}

static void no_failure_of_a_base_passes_for_success(void **state)
{
        struct scratch d;
        scratch_new(&d);
        make_index(&d);
        assert_int_equal(update(&d, 800, true, NULL), 0);
        assert_every_failure_is_said(&d, 2000);
        assert_int_equal(count_entries(&d), 2000);
        scratch_done(&d);
}

/* Files seen, or -1 when the walk or an item of it failed. */
static int count_files(int fd)
{
        struct oxl_walk *w;
        struct oxl_walk_item item;
        if (oxl_walk_new(fd, "", &w, NULL) < 0)
                return -1;
        int n = 0, r;
        while ((r = oxl_walk_next(w, &item, NULL)) == 0) {
                if (item.error)
                        n = -1000;
                n += S_ISREG(item.st.st_mode);
        }
        oxl_walk_free(w);
        return r < 0 || n < 0 ? -1 : n;
}

static void a_walk_that_fails_somewhere_never_finds_fewer_files(void **state)
{
        static const int errors[] = { EIO, EACCES, EMFILE, ENOMEM };
        struct scratch d;
        scratch_new(&d);
        scratch_mkdir(d.fd, "a");
        scratch_mkdir(d.fd, "a/b");
        scratch_write(d.fd, "a/b/1", "");
        scratch_write(d.fd, "a/2", "");
        scratch_mkdir(d.fd, "c");
        scratch_write(d.fd, "c/3", "");
        scratch_write(d.fd, "4", "");
        unsigned fds = fault_open_descriptors();
        for (size_t i = 0; i < OXL_ARRAY_LEN(errors); i++) {
                unsigned said = 0;
                for (unsigned n = 1;; n++) {
                        fault_install(&(struct fault_plan){ .nth = n, .os = errors[i] });
                        int files = count_files(d.fd);
                        bool failed = fault_remove();
                        assert_true(files == 4 || (failed && files == -1));
                        assert_int_equal(fault_open_descriptors(), fds);
                        said += files == -1;
                        if (!failed)
                                break;
                }
                assert_true(said > 10);
        }
        scratch_done(&d);
}

static void a_comparison_that_fails_never_says_equal_or_different(void **state)
{
        struct scratch d;
        struct stat st = { 0 };
        scratch_new(&d);
        oxl_digest_setup();
        scratch_write(d.fd, "f", "content");
        assert_int_equal(symlinkat("content", d.fd, "l"), 0);
        unsigned fds = fault_open_descriptors();
        for (int other = 0; other < 4; other++) {
                const char *name = other / 2 ? "l" : "f";
                struct oxl_index_entry e = { .kind = other / 2 ? OXL_ENTRY_SYMLINK : OXL_ENTRY_FILE, .size = 7 };
                e.id = oxl_digest_of(OXL_ALGO_BLAKE3, other % 2 ? "CONTENT" : "content", 7);
                assert_int_equal(fstatat(d.fd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
                unsigned said = 0;
                for (unsigned n = 1;; n++) {
                        fault_install(&(struct fault_plan){ .nth = n, .os = EIO });
                        int r = oxl_worktree_compare(d.fd, name, name, &st, &e, NULL, NULL);
                        bool failed = fault_remove();
                        assert_true(r == other % 2 || (failed && r < 0));
                        assert_int_equal(fault_open_descriptors(), fds);
                        said += r < 0;
                        if (!failed)
                                break;
                }
                assert_true(said >= 2);
        }
        scratch_done(&d);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(no_failure_of_a_delta_passes_for_success),
                cmocka_unit_test(no_failure_of_a_base_passes_for_success),
                cmocka_unit_test(a_walk_that_fails_somewhere_never_finds_fewer_files),
                cmocka_unit_test(a_comparison_that_fails_never_says_equal_or_different),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
