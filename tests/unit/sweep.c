/* SPDX-License-Identifier: MIT */
/* The sweeper: dead owners' temps go, everything else stays. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "durable/durable.h"
#include "durable/temp.h"
#include "os/lock.h"
#include "os/sys.h"

#define DEAD_NAME "x.oxl-0000000000000000-00000000000000%02x.tmp"

static char root[64];

static int enter_root(void **state)
{
        snprintf(root, sizeof root, "%s", "/tmp/oxl-sweep-XXXXXX");
        return mkdtemp(root) && chdir(root) == 0 ? 0 : -1;
}

static int leave_root(void **state)
{
        char command[128];
        snprintf(command, sizeof command, "rm -rf %s", root);
        return chdir("/") == 0 && system(command) == 0 ? 0 : -1;
}

static void name_of(char ret[64], unsigned n)
{
        snprintf(ret, 64, DEAD_NAME, n);
}

static void put(const char *path)
{
        int fd = open(path, O_WRONLY | O_CREAT, 0644);
        assert_int_equal(write(fd, "x", 1), 1);
        assert_int_equal(close(fd), 0);
}

static struct oxl_sweep_report sweep(void)
{
        struct oxl_sweep_report report;
        assert_int_equal(oxl_atomic_sweep(".", &report, NULL), 0);
        return report;
}

static void dead_temps_are_removed(void **state)
{
        char name[64];
        for (unsigned i = 0; i < 20; i++) {
                name_of(name, i);
                put(name);
        }
        struct oxl_sweep_report r = sweep();
        assert_int_equal(r.removed, 20);
        assert_int_equal(r.kept_alive + r.kept_unknown + r.foreign, 0);
        assert_int_equal(access(name, F_OK), -1);
}

/* matrix 60 */
static void what_only_looks_like_ours_is_untouched(void **state)
{
        char link_name[64], dir_name[64], fifo_name[64], hard_name[64], uid_name[64];
        name_of(link_name, 1);
        name_of(dir_name, 2);
        name_of(fifo_name, 3);
        name_of(hard_name, 4);
        name_of(uid_name, 5);
        put("victim");
        assert_int_equal(symlink("victim", link_name), 0);
        assert_int_equal(mkdir(dir_name, 0755), 0);
        assert_int_equal(mkfifo(fifo_name, 0644), 0);
        assert_int_equal(link("victim", hard_name), 0);
        put(uid_name);
        unsigned strangers = chown(uid_name, 12345, 12345) == 0; /* only root can make the sixth case */
        put(".nfs0000000000000001");
        put("x.oxentmp.a1B2c3");
        put("notes.oxl.tmp");
        struct oxl_sweep_report r = sweep();
        assert_int_equal(r.foreign, 4 + strangers);
        assert_int_equal(r.removed, 1 - strangers);
        const char *const kept[] = { "victim",           link_name,      dir_name,
                                     fifo_name,          hard_name,      ".nfs0000000000000001",
                                     "x.oxentmp.a1B2c3", "notes.oxl.tmp" };
        struct stat st;
        for (size_t i = 0; i < OXL_ARRAY_LEN(kept); i++)
                assert_int_equal(lstat(kept[i], &st), 0);
        assert_int_equal(system("rm -rf -- * .nfs*"), 0);
}

/* matrix 62: the proof is a lock of the open file description */
static void a_temp_lives_until_the_last_close(void **state)
{
        char name[64];
        int to_child[2];
        name_of(name, 7);
        put(name);
        assert_int_equal(pipe(to_child), 0);
        int fd = open(name, O_RDONLY | O_CLOEXEC);
        assert_int_equal(oxl_lock_set(fd, OXL_TEMP_BYTE_OWNER, 1, OXL_LOCK_SHARED, false, name, NULL), 0);
        assert_int_equal(sweep().kept_alive, 1);
        close(open(name, O_RDONLY)); /* a classic lock would be lost by this */
        assert_int_equal(sweep().kept_alive, 1);
        pid_t child = fork();
        if (child == 0) {
                char c;
                close(to_child[1]);
                _exit(read(to_child[0], &c, 1) == 0 ? 0 : 1); /* until the parent closes its end */
        }
        close(to_child[0]);
        close(fd);
        assert_int_equal(sweep().kept_alive, 1); /* the child has it still */
        close(to_child[1]);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        assert_int_equal(sweep().removed, 1);
}

static ssize_t read_while_swept(void *ctx, void *buf, size_t n)
{
        struct oxl_sweep_report *seen = ctx;
        if (seen->kept_alive > 0)
                return 0;
        *seen = sweep();
        memcpy(buf, "new", 3);
        return 3;
}

static void a_live_writer_keeps_its_temp(void **state)
{
        struct oxl_sweep_report seen = { 0 };
        assert_int_equal(oxl_atomic_write_from_reader("t", read_while_swept, &seen, NULL, NULL, NULL), 0);
        assert_int_equal(seen.kept_alive, 1);
        assert_int_equal(seen.removed, 0);
        assert_int_equal(unlink("t"), 0);
}

/* A sweeper that looked just before the lock was taken has announced itself: the maker draws another name. */
static int sweeper_fd = -1;
static unsigned creations;

static int open_and_be_seen(int dirfd, const char *path, int flags, mode_t mode)
{
        int fd = oxl_sys_real.openat(dirfd, path, flags, mode);
        if ((flags & O_EXCL) && creations++ == 0) {
                sweeper_fd = oxl_sys_real.openat(dirfd, path, O_RDONLY | O_CLOEXEC, 0);
                struct flock lock = { .l_type = F_RDLCK, .l_start = OXL_TEMP_BYTE_SWEEPER, .l_len = 1 };
                if (oxl_sys_real.ofd_lock(sweeper_fd, F_OFD_SETLK, &lock) < 0)
                        abort();
        }
        return fd;
}

static void a_temp_seen_before_its_lock_is_given_up(void **state)
{
        struct oxl_sys table = oxl_sys_real;
        table.openat = open_and_be_seen;
        creations = 0;
        oxl_sys = &table;
        int r = oxl_atomic_write_to_path("t", "new", 3, NULL, NULL, NULL);
        oxl_sys = &oxl_sys_real;
        close(sweeper_fd);
        assert_int_equal(r, 0);
        assert_int_equal(creations, 2);
        assert_int_equal(sweep().removed, 0); /* the first one is gone */
        assert_int_equal(unlink("t"), 0);
}

static enum oxl_temp_verdict verdict_of_owner(void *ctx, uint64_t owner)
{
        return owner == 0xa1 ? OXL_TEMP_DEAD : owner == 0xa2 ? OXL_TEMP_ALIVE : OXL_TEMP_UNKNOWN;
}

static int seen(void *ctx, const struct oxl_sweep_seen *what, struct oxl_error *err)
{
        unsigned *n = ctx;
        assert_true(strncmp(what->path, "sub/", 4) == 0);
        n[what->verdict]++;
        return 0;
}

static void owners_of_a_repository_are_judged_by_the_caller(void **state)
{
        unsigned n[4] = { 0 };
        struct oxl_sweep_report r = { 0 };
        struct oxl_sweep_options o = {
                .owner_alive = verdict_of_owner, .seen = seen, .ctx = n, .uid = geteuid(), .dry_run = true
        };
        struct oxl_durable *d = NULL;
        int fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(mkdir("sub", 0755), 0);
        put("sub/a.oxl-00000000000000a1-0000000000000001.tmp");
        put("sub/a.oxl-00000000000000a2-0000000000000001.tmp");
        put("sub/a.oxl-00000000000000a3-0000000000000001.tmp");
        assert_int_equal(oxl_durable_new(fd, "root", 0xa4, &d, NULL), 0);
        assert_int_equal(oxl_durable_sweep(d, "sub", &o, &r, NULL), 0);
        assert_int_equal(access("sub/a.oxl-00000000000000a1-0000000000000001.tmp", F_OK), 0); /* dry run */
        o.dry_run = false;
        assert_int_equal(oxl_durable_sweep(d, "sub", &o, &r, NULL), 0);
        assert_int_equal(access("sub/a.oxl-00000000000000a1-0000000000000001.tmp", F_OK), -1);
        assert_int_equal(r.removed, 2); /* it adds up */
        assert_int_equal(r.kept_alive, 2);
        assert_int_equal(r.kept_unknown, 2);
        assert_int_equal(n[OXL_TEMP_DEAD], 2);
        assert_int_equal(sweep().removed, 0);
        oxl_durable_free(d);
        close(fd);
        assert_int_equal(system("rm -rf sub"), 0);
}

/* --- matrix 57: kill -9 ------------------------------------------------------------------------------------------- */

enum { KILLS = 200, PAYLOAD = 30000 };

static void write_for_ever(int ready)
{
        static char bytes[PAYLOAD];
        for (unsigned i = 0;; i++) {
                memset(bytes, 'a' + (int)(i % 26), sizeof bytes);
                if (oxl_atomic_write_to_path("t", bytes, sizeof bytes, NULL, NULL, NULL) < 0)
                        _exit(1);
                if (i == 0 && write(ready, "x", 1) != 1)
                        _exit(2);
        }
}

static bool whole(void)
{
        static char got[PAYLOAD + 1];
        int fd = open("t", O_RDONLY);
        ssize_t n = read(fd, got, sizeof got);
        close(fd);
        return n == PAYLOAD && memcmp(got, got + 1, PAYLOAD - 1) == 0;
}

static void killed_writers_leave_whole_files_and_sweepable_temps(void **state)
{
        uint64_t left = 0;
        for (int i = 0; i < KILLS; i++) {
                int ready[2], status;
                char c;
                assert_int_equal(pipe(ready), 0);
                pid_t child = fork();
                if (child == 0)
                        write_for_ever(ready[1]);
                close(ready[1]);
                assert_int_equal(read(ready[0], &c, 1), 1);
                for (int spin = 0; spin < i * 50; spin++) /* another moment each time */
                        (void)getppid();
                assert_int_equal(kill(child, SIGKILL), 0);
                assert_int_equal(waitpid(child, &status, 0), child);
                assert_true(WIFSIGNALED(status));
                close(ready[0]);
                assert_true(whole());
                struct oxl_sweep_report r = sweep();
                assert_int_equal(r.kept_alive + r.kept_unknown + r.foreign, 0);
                left += r.removed;
        }
        print_message("%d kills left %llu temps, all swept\n", KILLS, (unsigned long long)left);
        assert_true(left > 0); /* else the kills missed the writing */
        assert_int_equal(sweep().removed, 0);
        assert_int_equal(unlink("t"), 0);
        assert_int_equal(rmdir("."), -1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(dead_temps_are_removed),
                cmocka_unit_test(what_only_looks_like_ours_is_untouched),
                cmocka_unit_test(a_temp_lives_until_the_last_close),
                cmocka_unit_test(a_live_writer_keeps_its_temp),
                cmocka_unit_test(a_temp_seen_before_its_lock_is_given_up),
                cmocka_unit_test(owners_of_a_repository_are_judged_by_the_caller),
                cmocka_unit_test(killed_writers_leave_whole_files_and_sweepable_temps),
        };
        return cmocka_run_group_tests(tests, enter_root, leave_root);
}
