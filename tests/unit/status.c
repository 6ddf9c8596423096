/* SPDX-License-Identifier: MIT */
/* Status: what is staged, changed, removed and untracked, told apart; and nothing is written while looking. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <oxenlite/repo.h>

#include "base/buf.h"
#include "os/fdio.h"
#include "repo/repo.h"
#include "support/scratch.h"

struct place {
        struct scratch dir;
        struct oxl_repo *repo;
};

static void place_new(struct place *p)
{
        oxl_digest_setup();
        scratch_new(&p->dir);
        assert_int_equal(oxl_repo_init(p->dir.path, OXL_ALGO_BLAKE3, NULL), 0);
        assert_int_equal(oxl_repo_open(p->dir.path, NULL, &p->repo, NULL), 0);
}

static void place_done(struct place *p)
{
        oxl_repo_close(p->repo);
        scratch_done(&p->dir);
}

static void add(struct place *p, const char *path)
{
        struct oxl_add_options options = { .all = true };
        struct oxl_add_result result;
        assert_int_equal(oxl_repo_add(p->repo, &path, 1, &options, &result, NULL), 0);
}

static void commit(struct place *p)
{
        struct oxl_commit_options options = { .message = "m", .author = "A <a@example.org>" };
        struct oxl_commit_result result;
        assert_int_equal(oxl_repo_commit(p->repo, &options, &result, NULL), 0);
}

/* One line per item: a letter, a space, the path. */
static int collect(void *ctx, const struct oxl_status_item *item, struct oxl_error *err)
{
        static const char letters[] = "?AMDcru!";
        char letter[2] = { letters[item->change], ' ' };
        int r = oxl_buf_append(ctx, letter, 2, err);
        if (r == 0)
                r = oxl_buf_append_text(ctx, item->path, err);
        if (r == 0)
                r = oxl_buf_append_text(ctx, "|", err);
        return r;
}

static void assert_status(struct place *p, const char *want)
{
        struct oxl_buf got = OXL_BUF_INIT;
        assert_int_equal(oxl_repo_status(p->repo, collect, &got, NULL), 0);
        assert_string_equal(oxl_buf_text(&got), want);
        oxl_buf_done(&got);
}

static void an_empty_repository_has_nothing_to_say(void **state)
{
        struct place p;
        place_new(&p);
        assert_status(&p, "");
        place_done(&p);
}

static void every_kind_of_difference_has_its_place(void **state)
{
        struct place p;
        place_new(&p);
        scratch_mkdir(p.dir.fd, "d");
        scratch_write(p.dir.fd, "d/same", "1");
        scratch_write(p.dir.fd, "d/changed", "1");
        scratch_write(p.dir.fd, "d/removed", "1");
        scratch_write(p.dir.fd, "d-staged", "1");
        scratch_write(p.dir.fd, "z-gone", "1");
        assert_status(&p, "u d/|u d-staged|u z-gone|");
        add(&p, "");
        assert_status(&p, "A d/changed|A d/removed|A d/same|A d-staged|A z-gone|");
        commit(&p);
        assert_status(&p, "");
        scratch_write(p.dir.fd, "d/changed", "2");
        assert_int_equal(unlinkat(p.dir.fd, "d/removed", 0), 0);
        assert_int_equal(unlinkat(p.dir.fd, "z-gone", 0), 0);
        scratch_write(p.dir.fd, "d-staged", "22");
        scratch_write(p.dir.fd, "n", "new");
        add(&p, "d-staged");
        add(&p, "z-gone");
        add(&p, "n");
        scratch_write(p.dir.fd, "n", "newer");
        scratch_write(p.dir.fd, "d/untracked", "u");
        scratch_write(p.dir.fd, "top", "u");
        assert_status(&p, "M d-staged|A n|D z-gone|c d/changed|r d/removed|u d/untracked|c n|u top|");
        scratch_write(p.dir.fd, "z-gone", "again");
        assert_status(&p, "M d-staged|A n|D z-gone|c d/changed|r d/removed|u d/untracked|c n|u top|u z-gone|");
        place_done(&p);
}

static void untracked_folders_are_told_once_and_empty_ones_not_at_all(void **state)
{
        struct place p;
        place_new(&p);
        scratch_mkdir(p.dir.fd, "a");
        scratch_mkdir(p.dir.fd, "a/b");
        scratch_mkdir(p.dir.fd, "a/b/c");
        scratch_mkdir(p.dir.fd, "e");
        scratch_mkdir(p.dir.fd, "e/f");
        scratch_write(p.dir.fd, "e/f/1", "");
        scratch_write(p.dir.fd, "e/f/2", "");
        scratch_mkdir(p.dir.fd, "e/g");
        scratch_write(p.dir.fd, "e/g/3", "");
        scratch_mkdir(p.dir.fd, "t");
        scratch_write(p.dir.fd, "t/tracked", "");
        scratch_mkdir(p.dir.fd, "t/u");
        scratch_write(p.dir.fd, "t/u/v", "");
        scratch_mkdir(p.dir.fd, ".oxen");
        scratch_write(p.dir.fd, ".oxen/x", "");
        scratch_write(p.dir.fd, "f.oxl-0123456789abcdef-0123456789abcdef.tmp", "");
        assert_int_equal(mkfifoat(p.dir.fd, "fifo", 0644), 0);
        scratch_mkdir(p.dir.fd, "p");
        assert_int_equal(mkfifoat(p.dir.fd, "p/fifo", 0644), 0);
        add(&p, "t/tracked");
        assert_status(&p, "A t/tracked|u e/|u t/u/|");
        place_done(&p);
}

static void odd_names_come_as_they_are(void **state)
{
        struct place p;
        char name[256], want[600];
        place_new(&p);
        memset(name, 'n', 255);
        name[255] = 0;
        scratch_write(p.dir.fd, name, "1");
        scratch_write(p.dir.fd, "x\ny", "1");
        scratch_write(p.dir.fd, "\xff\xfe", "1");
        snprintf(want, sizeof want, "u %s|u x\ny|u \xff\xfe|", name);
        assert_status(&p, want);
        add(&p, "");
        snprintf(want, sizeof want, "A %s|A x\ny|A \xff\xfe|", name);
        assert_status(&p, want);
        commit(&p);
        assert_status(&p, "");
        place_done(&p);
}

static void a_file_that_became_a_folder_and_the_reverse(void **state)
{
        struct place p;
        place_new(&p);
        scratch_write(p.dir.fd, "file", "1");
        scratch_mkdir(p.dir.fd, "folder");
        scratch_write(p.dir.fd, "folder/x", "1");
        scratch_write(p.dir.fd, "special", "1");
        scratch_write(p.dir.fd, "turned", "1");
        add(&p, "");
        commit(&p);
        assert_int_equal(unlinkat(p.dir.fd, "file", 0), 0);
        scratch_mkdir(p.dir.fd, "file");
        scratch_write(p.dir.fd, "file/y", "1");
        assert_int_equal(unlinkat(p.dir.fd, "folder/x", 0), 0);
        assert_int_equal(unlinkat(p.dir.fd, "folder", AT_REMOVEDIR), 0);
        scratch_write(p.dir.fd, "folder", "1");
        assert_int_equal(unlinkat(p.dir.fd, "special", 0), 0);
        assert_int_equal(mkfifoat(p.dir.fd, "special", 0644), 0);
        assert_int_equal(unlinkat(p.dir.fd, "turned", 0), 0);
        assert_int_equal(symlinkat("file", p.dir.fd, "turned"), 0);
        assert_status(&p, "r file|u file/|u folder|r folder/x|c special|c turned|");
        assert_int_equal(unlinkat(p.dir.fd, "special", 0), 0);
        add(&p, "");
        assert_status(&p, "D file|A file/y|A folder|D folder/x|D special|M turned|");
        commit(&p);
        assert_status(&p, "");
        place_done(&p);
}

static void modes_and_links_count_and_times_do_not(void **state)
{
        struct place p;
        place_new(&p);
        scratch_write(p.dir.fd, "f", "1");
        scratch_write(p.dir.fd, "g", "1");
        assert_int_equal(symlinkat("f", p.dir.fd, "l"), 0);
        add(&p, "");
        commit(&p);
        const struct timespec old[2] = { { 5, 0 }, { 5, 0 } };
        assert_int_equal(utimensat(p.dir.fd, "f", old, 0), 0);
        assert_int_equal(fchmodat(p.dir.fd, "f", 0600, 0), 0);
        assert_status(&p, "");
        assert_int_equal(fchmodat(p.dir.fd, "f", 0744, 0), 0);
        assert_int_equal(unlinkat(p.dir.fd, "l", 0), 0);
        assert_int_equal(symlinkat("g", p.dir.fd, "l"), 0);
        assert_status(&p, "c f|c l|");
        add(&p, "");
        assert_status(&p, "M f|M l|");
        place_done(&p);
}

static void staged_entries_that_equal_head_again_are_no_change(void **state)
{
        struct place p;
        place_new(&p);
        scratch_write(p.dir.fd, "f", "1");
        add(&p, "");
        commit(&p);
        scratch_write(p.dir.fd, "f", "two");
        add(&p, "f");
        assert_status(&p, "M f|");
        scratch_write(p.dir.fd, "f", "1");
        add(&p, "f");
        assert_status(&p, "");
        place_done(&p);
}

static void many_staged_paths_are_compared_in_one_pass(void **state)
{
        struct place p;
        struct oxl_buf want = OXL_BUF_INIT;
        place_new(&p);
        scratch_write(p.dir.fd, "first", "1");
        scratch_write(p.dir.fd, "gone", "1");
        add(&p, "");
        commit(&p);
        assert_int_equal(unlinkat(p.dir.fd, "gone", 0), 0);
        scratch_write(p.dir.fd, "first", "changed");
        for (unsigned i = 0; i < 300; i++) {
                char name[32];
                snprintf(name, sizeof name, "e%03u", i);
                scratch_write(p.dir.fd, name, "");
                assert_int_equal(oxl_buf_append_fmt(&want, NULL, "A %s|", name), 0);
        }
        assert_int_equal(oxl_buf_append_text(&want, "M first|D gone|", NULL), 0);
        add(&p, "");
        assert_status(&p, oxl_buf_text(&want));
        oxl_buf_done(&want);
        place_done(&p);
}

/* HEAD moves to another commit while the index stays: what a switch that was killed would leave. */
static void an_index_of_another_tree_is_compared_with_all_of_head(void **state)
{
        struct place p;
        struct oxl_digest first, second;
        place_new(&p);
        scratch_write(p.dir.fd, "a", "1");
        scratch_write(p.dir.fd, "c", "1");
        add(&p, "");
        commit(&p);
        assert_int_equal(oxl_repo_resolve(p.repo, "HEAD", &first, NULL), 0);
        assert_int_equal(unlinkat(p.dir.fd, "a", 0), 0);
        scratch_write(p.dir.fd, "b", "1");
        scratch_write(p.dir.fd, "c", "22");
        add(&p, "");
        commit(&p);
        assert_int_equal(oxl_repo_resolve(p.repo, "HEAD", &second, NULL), 0);
        assert_status(&p, "");
        assert_int_equal(oxl_repo_begin_write(p.repo, NULL), 0);
        assert_int_equal(oxl_ref_swap(p.repo, "refs/heads/main", &second, &first, NULL), 0);
        oxl_repo_end_write(p.repo);
        assert_status(&p, "D a|A b|M c|");
        place_done(&p);
}

static void what_cannot_be_read_is_said_and_never_taken_for_removed(void **state)
{
        struct place p;
        int ends[2];
        struct oxl_buf text = OXL_BUF_INIT;
        place_new(&p);
        scratch_mkdir(p.dir.fd, "closed");
        scratch_write(p.dir.fd, "closed/tracked", "1");
        scratch_write(p.dir.fd, "secret", "1");
        scratch_write(p.dir.fd, "z", "1");
        add(&p, "");
        commit(&p);
        scratch_mkdir(p.dir.fd, "new");
        scratch_mkdir(p.dir.fd, "new/closed");
        scratch_mkdir(p.dir.fd, "other");
        scratch_write(p.dir.fd, "secret", "2");
        assert_int_equal(fchmodat(p.dir.fd, "closed", 0, 0), 0);
        assert_int_equal(fchmodat(p.dir.fd, "new/closed", 0, 0), 0);
        assert_int_equal(fchmodat(p.dir.fd, "other", 0, 0), 0);
        assert_int_equal(fchmodat(p.dir.fd, "secret", 0, 0), 0);
        assert_int_equal(fchmod(p.dir.fd, 0755), 0);
        assert_int_equal(pipe(ends), 0);
        pid_t pid = fork();
        if (pid == 0) {
                struct oxl_repo_options options = { .trust = true };
                struct oxl_repo *repo;
                struct oxl_buf got = OXL_BUF_INIT;
                if (getuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
                        _exit(1);
                if (oxl_repo_open(p.dir.path, &options, &repo, NULL) < 0)
                        _exit(2);
                if (oxl_repo_status(repo, collect, &got, NULL) < 0)
                        _exit(3);
                _exit(oxl_fd_write_all(ends[1], got.data, got.len) < 0 ? 4 : 0);
        }
        close(ends[1]);
        assert_int_equal(oxl_fd_read_all(ends[0], 1u << 20, &text), 0);
        close(ends[0]);
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        assert_string_equal(oxl_buf_text(&text), "! closed|u new/|! new/closed|! other|! secret|");
        oxl_buf_done(&text);
        place_done(&p);
}

/* Adds up names, sizes and times of everything below .oxen-lite. */
static uint64_t fingerprint(struct place *p, const char *path)
{
        struct oxl_dir dir = OXL_DIR_INIT;
        struct oxl_dirent e;
        uint64_t sum = 0;
        int fd = oxl_open_beneath(p->dir.fd, path, O_RDONLY | O_DIRECTORY, 0);
        assert_true(fd >= 0);
        assert_int_equal(oxl_dir_open(&dir, fd), 0);
        while (oxl_dir_next(&dir, &e) > 0) {
                struct stat st;
                char below[1000];
                assert_int_equal(oxl_fd_stat_at(fd, e.name, &st), 0);
                sum += st.st_ino * 31 + (uint64_t)st.st_size * 7 + (uint64_t)st.st_mtim.tv_nsec +
                       (uint64_t)st.st_ctim.tv_nsec;
                snprintf(below, sizeof below, "%s/%s", path, e.name);
                if (S_ISDIR(st.st_mode))
                        sum += fingerprint(p, below);
        }
        oxl_dir_done(&dir);
        close(fd);
        return sum;
}

static unsigned opened;

static int counting_openat(int dirfd, const char *path, int flags, mode_t mode)
{
        opened += strcmp(path, "tracked") == 0;
        return oxl_sys_real.openat(dirfd, path, flags, mode);
}

static time_t clock_error; /* seconds */

static int wrong_clock(clockid_t clock, struct timespec *ret)
{
        int r = oxl_sys_real.clock_gettime(clock, ret);
        ret->tv_sec += clock_error;
        return r;
}

static void looking_writes_nothing_and_reads_only_what_the_cache_does_not_know(void **state)
{
        struct place p;
        struct oxl_sys counting = oxl_sys_real;
        place_new(&p);
        counting.openat = counting_openat;
        counting.clock_gettime = wrong_clock;
        scratch_write(p.dir.fd, "tracked", "1");
        clock_error = -10;
        oxl_sys = &counting;
        add(&p, "");
        oxl_sys = &oxl_sys_real;
        commit(&p);
        opened = 0;
        uint64_t before = fingerprint(&p, ".oxen-lite");
        oxl_sys = &counting;
        assert_status(&p, "");
        unsigned racy = opened;
        oxl_sys = &oxl_sys_real;
        assert_int_equal(fingerprint(&p, ".oxen-lite"), before);
        assert_int_equal(racy, 1); /* stored as soon as it was written, or sooner: not cached */

        /* stored ten seconds after it was written: the cache answers */
        scratch_write(p.dir.fd, "tracked", "22");
        clock_error = 10;
        oxl_sys = &counting;
        add(&p, "");
        opened = 0;
        assert_status(&p, "M tracked|");
        oxl_sys = &oxl_sys_real;
        assert_int_equal(opened, 0);
        place_done(&p);
}

static int stop(void *ctx, const struct oxl_status_item *item, struct oxl_error *err)
{
        ++*(unsigned *)ctx;
        return -OXL_E_INVALID;
}

static void a_callback_that_fails_ends_the_status(void **state)
{
        struct place p;
        unsigned calls = 0;
        place_new(&p);
        scratch_write(p.dir.fd, "a", "1");
        scratch_write(p.dir.fd, "b", "1");
        assert_int_equal(oxl_repo_status(p.repo, stop, &calls, NULL), -OXL_E_INVALID);
        assert_int_equal(calls, 1);
        place_done(&p);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_empty_repository_has_nothing_to_say),
                cmocka_unit_test(every_kind_of_difference_has_its_place),
                cmocka_unit_test(untracked_folders_are_told_once_and_empty_ones_not_at_all),
                cmocka_unit_test(odd_names_come_as_they_are),
                cmocka_unit_test(a_file_that_became_a_folder_and_the_reverse),
                cmocka_unit_test(modes_and_links_count_and_times_do_not),
                cmocka_unit_test(staged_entries_that_equal_head_again_are_no_change),
                cmocka_unit_test(many_staged_paths_are_compared_in_one_pass),
                cmocka_unit_test(an_index_of_another_tree_is_compared_with_all_of_head),
                cmocka_unit_test(what_cannot_be_read_is_said_and_never_taken_for_removed),
                cmocka_unit_test(looking_writes_nothing_and_reads_only_what_the_cache_does_not_know),
                cmocka_unit_test(a_callback_that_fails_ends_the_status),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
