/* SPDX-License-Identifier: MIT */
/*
 * Looks ahead of a walk: two walks go side by side, one that looks ahead and one that does not, and have to yield the same items.
 * Runs under the thread sanitizer in the deep tests.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fail.h"
#include "os/fdio.h"
#include "repo/look.h"
#include "repo/worktree.h"
#include "support/scratch.h"

/* --- trees ---------------------------------------------------------------------------------------------------------- */

static int open_folder(int dirfd, const char *name)
{
        scratch_mkdir(dirfd, name);
        int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(fd >= 0);
        return fd;
}

static void make_files(int dirfd, unsigned count)
{
        char name[32];
        for (unsigned i = 0; i < count; i++) {
                snprintf(name, sizeof name, "f%05u", i);
                scratch_write(dirfd, name, i % 3 ? "" : "some");
        }
}

/* A folder with @count files. */
static void make_folder(int dirfd, const char *name, unsigned count)
{
        int fd = open_folder(dirfd, name);
        make_files(fd, count);
        close(fd);
}

/* @count folders with @files each. */
static void make_folders(int dirfd, unsigned count, unsigned files)
{
        char name[32];
        for (unsigned i = 0; i < count; i++) {
                snprintf(name, sizeof name, "d%05u", i);
                make_folder(dirfd, name, files);
        }
}

/* What is not a file, and what failing_*() below makes fail. */
static void make_odd_things(int dirfd)
{
        static const char *const folders[] = { "empty",      "e-locked",   "m-locked",   "z-locked",
                                               "e-unlisted", "m-unlisted", "z-unlisted", "e-left",
                                               "m-left",     "m-turned",   ".oxen",      "m-broken" };
        static const char *const files[] = {
                "a-broken", "f00100-broken", "f00101-gone",
                "z-gone",   "link-target",   "f.oxl-0123456789abcdef-0123456789abcdef.tmp"
        };
        for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
                make_folder(dirfd, folders[i], i == 0 ? 0 : 3);
        for (size_t i = 0; i < sizeof files / sizeof *files; i++)
                scratch_write(dirfd, files[i], "");
        assert_int_equal(mkfifoat(dirfd, "fifo", 0644), 0);
        assert_int_equal(symlinkat("empty", dirfd, "link"), 0);
        assert_int_equal(symlinkat("nowhere", dirfd, "f00102-link"), 0);
}

/* 3 to the power of @levels folders, with files and odd things. */
static void make_bush(int dirfd, unsigned levels)
{
        make_odd_things(dirfd);
        make_files(dirfd, 5);
        for (unsigned i = 0; levels > 0 && i < 3; i++) {
                char name[8];
                snprintf(name, sizeof name, "s%u", i);
                int fd = open_folder(dirfd, name);
                make_bush(fd, levels - 1);
                close(fd);
        }
}

/* A little of everything that the looks tell apart: more files than one look, small and large folders, folders among files,
 * more folders than looks on several levels, a folder that is too large for a look. */
static void make_all(const struct scratch *d)
{
        int fd = open_folder(d->fd, "0-flat");
        make_files(fd, 2600);
        make_odd_things(fd);
        close(fd);
        fd = open_folder(d->fd, "1-folders");
        make_folders(fd, 200, 4);
        make_odd_things(fd);
        close(fd);
        fd = open_folder(d->fd, "2-bush");
        make_bush(fd, 4);
        close(fd);
        fd = open_folder(d->fd, "3-mixed");
        make_folders(fd, 12, 280);
        make_files(fd, 600);
        close(fd);
        fd = open_folder(d->fd, "4-large");
        char name[200] = { 0 };
        for (unsigned i = 0; i < 500; i++) {
                snprintf(name, sizeof name, "%0190u", i);
                scratch_write(fd, name, "");
        }
        close(fd);
}

/* Such a tree, for the tests that change nothing. */
static struct scratch all;

static int make_shared(void **state)
{
        (void)state;
        scratch_new(&all);
        make_all(&all);
        return 0;
}

static int remove_shared(void **state)
{
        (void)state;
        scratch_done(&all);
        return 0;
}

static size_t open_descriptors(void)
{
        size_t n = 0;
        DIR *dir = opendir("/proc/self/fd");
        assert_non_null(dir);
        while (readdir(dir))
                n++;
        closedir(dir);
        return n;
}

/* --- side by side --------------------------------------------------------------------------------------------------- */

static void assert_same_error(const struct oxl_error *a, const struct oxl_error *b)
{
        assert_int_equal(!a, !b);
        if (!a)
                return;
        assert_int_equal(a->code, b->code);
        assert_int_equal(a->os, b->os);
        assert_string_equal(a->path[0], b->path[0]);
}

static void assert_same(const struct oxl_walk_item *a, const struct oxl_walk_item *b)
{
        assert_string_equal(a->path, b->path);
        assert_string_equal(a->name, b->name);
        assert_int_equal(a->path_len, b->path_len);
        assert_int_equal(a->done, b->done);
        assert_int_equal(a->skip, b->skip);
        assert_int_equal(a->empty, b->empty);
        assert_same_error(a->error, b->error);
        assert_int_equal(a->st.st_mode, b->st.st_mode);
        assert_int_equal(a->st.st_ino, b->st.st_ino);
        assert_int_equal(a->st.st_size, b->st.st_size);
        assert_int_equal(a->st.st_mtim.tv_nsec, b->st.st_mtim.tv_nsec);
        assert_int_equal(a->dirfd < 0, b->dirfd < 0);
        struct stat st;
        if (b->dirfd >= 0) {
                assert_int_equal(fstatat(b->dirfd, b->name, &st, AT_SYMLINK_NOFOLLOW), 0);
                assert_int_equal(st.st_ino, b->st.st_ino);
        }
}

/* What the caller does after an item; the same for both. */
enum { JUST_WALK, SKIP_SOME, LEAVE_SOME };

static void react(struct oxl_walk *w, int what, const struct oxl_walk_item *item, size_t number)
{
        if (what == SKIP_SOME && S_ISDIR(item->st.st_mode) && !item->done && number % 3 == 0)
                oxl_walk_skip(w);
        if (what == LEAVE_SOME && number % 40 == 39 && item->path_len > 12)
                oxl_walk_leave(w, 10);
}

/* Returns the number of items. */
static size_t walk_both(int fd, unsigned threads, int what)
{
        struct oxl_walk *plain, *ahead;
        struct oxl_walk_item a, b;
        size_t items = 0;
        assert_int_equal(oxl_walk_new(fd, "", &plain, NULL), 0);
        assert_int_equal(oxl_walk_new(fd, "", &ahead, NULL), 0);
        oxl_walk_ahead(ahead, threads);
        for (;;) {
                int r = oxl_walk_next(plain, &a, NULL);
                assert_int_equal(oxl_walk_next(ahead, &b, NULL), r);
                if (r != 0)
                        break;
                assert_same(&a, &b);
                react(plain, what, &a, items);
                react(ahead, what, &b, items);
                items++;
        }
        oxl_walk_free(plain);
        oxl_walk_free(ahead);
        return items;
}

static void walks_that_look_ahead_yield_the_same(void **state)
{
        (void)state;
        size_t before = open_descriptors();
        for (unsigned threads = 1; threads <= 3; threads++)
                assert_true(walk_both(all.fd, threads, JUST_WALK) > 12000);
        assert_true(walk_both(all.fd, 2, SKIP_SOME) > 5000);
        assert_true(walk_both(all.fd, 2, LEAVE_SOME) > 1000);
        assert_int_equal(open_descriptors(), before);
}

/* --- what fails ------------------------------------------------------------------------------------------------------ */

static bool is_called(const char *path, const char *what)
{
        size_t n = strlen(path), k = strlen(what);
        return n > k && strcmp(path + n - k, what) == 0;
}

static int failing_fstatat(int dirfd, const char *path, struct stat *ret, int flags)
{
        if (is_called(path, "-gone"))
                errno = ENOENT;
        else if (is_called(path, "-broken"))
                errno = EIO;
        else
                return oxl_sys_real.fstatat(dirfd, path, ret, flags);
        return -1;
}

static int failing_openat(int dirfd, const char *path, int flags, mode_t mode)
{
        if (is_called(path, "-locked"))
                errno = EACCES;
        else if (is_called(path, "-left"))
                errno = ENOENT;
        else if (is_called(path, "-turned"))
                errno = ENOTDIR;
        else
                return oxl_sys_real.openat(dirfd, path, flags, mode);
        return -1;
}

static ssize_t failing_getdents(int fd, void *buf, size_t n)
{
        char link[64], path[4096];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t got = readlink(link, path, sizeof path - 1);
        if (got < 0)
                return -1;
        path[got] = 0;
        ssize_t r = oxl_sys_real.getdents(fd, buf, n);
        if (r != 0 || !is_called(path, "-unlisted"))
                return r;
        errno = EIO; /* at the end */
        return -1;
}

static void what_fails_fails_in_the_same_place(void **state)
{
        struct oxl_sys failing = oxl_sys_real;
        (void)state;
        failing.fstatat = failing_fstatat;
        failing.openat = failing_openat;
        failing.getdents = failing_getdents;
        size_t good = walk_both(all.fd, 2, JUST_WALK), before = open_descriptors();
        oxl_sys = &failing;
        size_t less = walk_both(all.fd, 1, JUST_WALK), again = walk_both(all.fd, 3, JUST_WALK);
        oxl_sys = &oxl_sys_real;
        assert_true(less < good);
        assert_int_equal(less, again);
        assert_int_equal(open_descriptors(), before);
}

/* A folder is looked into, and then another one has its name. */
static void a_folder_that_was_replaced_is_entered_anew(void **state)
{
        struct scratch d;
        struct oxl_looks *looks;
        struct oxl_look_folder seen;
        struct stat old, new;
        (void)state;
        scratch_new(&d);
        make_folder(d.fd, "a", 3);
        make_folder(d.fd, "b", 2);
        assert_int_equal(fstatat(d.fd, "a", &old, 0), 0);
        assert_int_equal(fstatat(d.fd, "b", &new, 0), 0);
        assert_int_equal(oxl_looks_new(1, &looks, NULL), 0);
        assert_true(oxl_looks_folder(looks, 0, 0, d.fd, "a"));
        assert_true(oxl_looks_folder(looks, 0, 1, d.fd, "b"));
        assert_int_equal(oxl_looks_open(looks), 4);
        assert_false(oxl_looks_take_folder(looks, 0, 0, &new, &seen));
        assert_false(oxl_looks_take_folder(looks, 0, 0, &old, &seen)); /* it is gone */
        assert_true(oxl_looks_take_folder(looks, 0, 1, &new, &seen));
        assert_int_equal(seen.names.count, 2);
        assert_int_equal(seen.n, 2);
        assert_string_equal(seen.names.sorted[1], "f00001");
        assert_true(S_ISREG(seen.files[1].st_mode));
        assert_int_equal(oxl_looks_open(looks), 0);
        oxl_fd_done(&seen.fd);
        oxl_names_done(&seen.names);
        free(seen.files);
        oxl_looks_free(looks);
        scratch_done(&d);
}

static void a_folder_with_very_many_names_is_left_to_the_walk(void **state)
{
        struct oxl_looks *looks;
        struct oxl_look_folder seen;
        struct stat st;
        (void)state;
        assert_int_equal(fstatat(all.fd, "4-large", &st, 0), 0);
        assert_int_equal(oxl_looks_new(0, &looks, NULL), 0);
        assert_true(oxl_looks_folder(looks, 0, 0, all.fd, "4-large"));
        assert_false(oxl_looks_take_folder(looks, 0, 0, &st, &seen));
        oxl_looks_free(looks);
}

/* --- how many -------------------------------------------------------------------------------------------------------- */

static atomic_size_t stats, opens;

static int counting_fstatat(int dirfd, const char *path, struct stat *ret, int flags)
{
        atomic_fetch_add(&stats, 1);
        int r = oxl_sys_real.fstatat(dirfd, path, ret, flags);
        if (r == 0 && strcmp(path, "mounted") == 0)
                ret->st_dev++;
        return r;
}

static int counting_openat(int dirfd, const char *path, int flags, mode_t mode)
{
        atomic_fetch_add(&opens, 1);
        return oxl_sys_real.openat(dirfd, path, flags, mode);
}

/* How far files were looked at when @path came. */
static void count_calls(int fd, unsigned threads, const char *path, size_t *ret_stats, size_t *ret_opens,
                        size_t *ret_then)
{
        struct oxl_walk *w;
        struct oxl_walk_item item;
        atomic_store(&stats, 0);
        atomic_store(&opens, 0);
        assert_int_equal(oxl_walk_new(fd, "", &w, NULL), 0);
        oxl_walk_ahead(w, threads);
        while (oxl_walk_next(w, &item, NULL) == 0)
                if (strcmp(item.path, path) == 0 && !item.done)
                        *ret_then = atomic_load(&stats);
        oxl_walk_free(w);
        *ret_stats = atomic_load(&stats);
        *ret_opens = atomic_load(&opens);
}

static void every_file_is_looked_at_once_and_ahead(void **state)
{
        struct scratch d;
        struct oxl_sys counting = oxl_sys_real;
        size_t plain_stats, plain_opens, then, ahead_stats, ahead_opens, ahead_then;
        (void)state;
        scratch_new(&d);
        make_folder(d.fd, "a", 3000);
        make_folders(d.fd, 100, 20);
        make_folder(d.fd, "e", 600);
        make_folder(d.fd, "f.oxl-0123456789abcdef-0123456789abcdef.tmp", 3); /* nobody opens it */
        make_folder(d.fd, "mounted", 3);                                     /* nobody but the walk opens it */
        counting.fstatat = counting_fstatat;
        counting.openat = counting_openat;
        oxl_sys = &counting;
        count_calls(d.fd, 0, "a/f00000", &plain_stats, &plain_opens, &then);
        count_calls(d.fd, 2, "a/f00000", &ahead_stats, &ahead_opens, &ahead_then);
        oxl_sys = &oxl_sys_real;
        assert_int_equal(plain_stats, 104 + 3000 + 2000 + 600 + 3);
        assert_int_equal(ahead_stats, plain_stats);
        assert_int_equal(ahead_opens, plain_opens);
        assert_int_equal(then, 2);
        assert_true(ahead_then >= 1 + OXL_LOOK_FILES);
        scratch_done(&d);
}

static void a_small_tree_is_not_looked_at_ahead(void **state)
{
        struct scratch d;
        struct oxl_sys counting = oxl_sys_real;
        size_t all_stats, all_opens, then;
        (void)state;
        scratch_new(&d);
        make_folder(d.fd, "a", 900);
        make_folder(d.fd, "b", 90);
        counting.fstatat = counting_fstatat;
        oxl_sys = &counting;
        count_calls(d.fd, 2, "b/f00000", &all_stats, &all_opens, &then);
        oxl_sys = &oxl_sys_real;
        assert_int_equal(then, 1 + 900 + 1 + 1);
        assert_int_equal(all_stats, 992);
        scratch_done(&d);
}

/* Folders in folders, first alone, so that their descriptors are all there are, then with nine more beside the next one. */
static void looks_keep_to_the_number_of_descriptors(void **state)
{
        struct scratch d;
        struct oxl_walk *w;
        struct oxl_walk_item item;
        (void)state;
        scratch_new(&d);
        make_folder(d.fd, "a", 2000);
        int at = dup(d.fd);
        for (size_t i = 0; i < 90; i++) {
                if (i >= 70)
                        make_folders(at, 9, 1);
                int next = open_folder(at, "c"); /* before the others, so that those wait */
                close(at);
                at = next;
        }
        close(at);
        size_t before = open_descriptors(), most = 0, items = 0;
        assert_int_equal(oxl_walk_new(d.fd, "", &w, NULL), 0);
        oxl_walk_ahead(w, 3);
        while (oxl_walk_next(w, &item, NULL) == 0) {
                size_t now = open_descriptors();
                most = now > most ? now : most;
                assert_null(item.error);
                items++;
        }
        oxl_walk_free(w);
        assert_int_equal(items, 2002 + 90 * 2 + 20 * 9 * 3);
        assert_in_range(most - before, 60, 64);
        assert_int_equal(open_descriptors(), before);
        scratch_done(&d);
}

static void a_walk_may_end_while_others_look(void **state)
{
        (void)state;
        size_t before = open_descriptors();
        for (size_t end = 2000; end < 12000; end += 797) {
                struct oxl_walk *w;
                struct oxl_walk_item item;
                assert_int_equal(oxl_walk_new(all.fd, "", &w, NULL), 0);
                oxl_walk_ahead(w, 2);
                for (size_t i = 0; i < end; i++)
                        assert_int_equal(oxl_walk_next(w, &item, NULL), 0);
                oxl_walk_free(w);
        }
        assert_int_equal(open_descriptors(), before);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(walks_that_look_ahead_yield_the_same),
                cmocka_unit_test(what_fails_fails_in_the_same_place),
                cmocka_unit_test(a_folder_that_was_replaced_is_entered_anew),
                cmocka_unit_test(a_folder_with_very_many_names_is_left_to_the_walk),
                cmocka_unit_test(every_file_is_looked_at_once_and_ahead),
                cmocka_unit_test(a_small_tree_is_not_looked_at_ahead),
                cmocka_unit_test(looks_keep_to_the_number_of_descriptors),
                cmocka_unit_test(a_walk_may_end_while_others_look),
        };
        return cmocka_run_group_tests(tests, make_shared, remove_shared);
}
