/* SPDX-License-Identifier: MIT */
/*
 * 64 processes on one target of the atomic-write library: readers see whole versions only; what a killed writer leaves is swept, what a
 * stopped one holds is not.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <oxenlite/atomic.h>

#include "support/place.h"

enum {
        PROCESSES = 64,
        WRITERS = 40, /* of them this many are killed on the way */
        KILLED = 8,
        READERS = PROCESSES - WRITERS,
        VERSIONS = 12,
        SMALLEST = 5000,
};

static char *place;

static int enter(void **state)
{
        if (access("/dev/shm", W_OK) == 0 && setenv("TMPDIR", "/dev/shm", 0) != 0)
                return -1;
        place = place_new();
        return chdir(place);
}

static int leave(void **state)
{
        if (chdir("/") != 0)
                return -1;
        place_free(place);
        return 0;
}

/* A version: its length, then one byte as often as fits. Lengths differ, so that a mixture shows in them as well. */
static size_t make_version(unsigned writer, unsigned n, uint8_t *ret)
{
        uint32_t len = SMALLEST + writer * 1009 + n * 7919;
        memset(ret, (int)(1 + (writer * 31 + n) % 255), len);
        memcpy(ret, &len, sizeof len);
        return len;
}

static bool is_version(const uint8_t *bytes, size_t n)
{
        uint32_t len;
        if (n < SMALLEST)
                return false;
        memcpy(&len, bytes, sizeof len);
        return len == n && memcmp(bytes + 4, bytes + 5, n - 5) == 0;
}

/* Status 0: each version was written; 1: one could not be. With @endless it goes on until it is killed. */
static int write_versions(unsigned writer, bool endless)
{
        uint8_t *bytes = malloc(200000);
        int r = bytes ? 0 : 1;
        for (unsigned n = 0; r == 0 && (endless || n < VERSIONS); n++) {
                size_t len = make_version(writer, n % VERSIONS, bytes);
                r = oxl_atomic_write_to_path("target", bytes, len, NULL, NULL, NULL) == 0 ? 0 : 1;
        }
        free(bytes);
        return r;
}

/* Status 0: all that was read until @stop appeared was whole, 2: something was not. */
static int read_versions(void)
{
        uint8_t *bytes = malloc(200000);
        int r = bytes ? 0 : 1;
        unsigned n = 0;
        for (; r == 0 && (n < 20 || access("stop", F_OK) != 0); n++) {
                ssize_t got = -1;
                int fd = open("target", O_RDONLY | O_CLOEXEC);
                if (fd >= 0)
                        got = read(fd, bytes, 200000);
                close(fd);
                r = got > 0 && is_version(bytes, (size_t)got) ? 0 : 2;
        }
        free(bytes);
        return r;
}

static pid_t start(unsigned i)
{
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
                _exit(i < WRITERS ? write_versions(i, i < KILLED) : read_versions());
        return pid;
}

static void expect_exit(pid_t pid, int status_wanted)
{
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), status_wanted);
}

static void expect_killed(pid_t pid)
{
        int status;
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void of_64_processes_on_one_target_readers_see_whole_versions_only(void **state)
{
        pid_t pids[PROCESSES];
        uint8_t first[SMALLEST];
        struct oxl_sweep_report swept;
        size_t len = make_version(0, 0, first);
        assert_int_equal(oxl_atomic_write_to_path("target", first, len, NULL, NULL, NULL), 0);
        for (unsigned i = 0; i < PROCESSES; i++)
                pids[i] = start(i);
        /* The killed ones die while the others are at it, and somebody sweeps. */
        for (unsigned i = KILLED; i < WRITERS; i++) {
                if (i % 4 == 0)
                        expect_killed(pids[i / 4 - KILLED / 4]);
                assert_int_equal(oxl_atomic_sweep(".", &swept, NULL), 0);
                expect_exit(pids[i], 0);
        }
        place_text(place, "stop", "");
        for (unsigned i = WRITERS; i < PROCESSES; i++)
                expect_exit(pids[i], 0);
        assert_int_equal(oxl_atomic_sweep(".", &swept, NULL), 0);
        assert_int_equal(swept.kept_alive + swept.kept_unknown, 0);
        assert_int_equal(place_count(place, "."), 2);
}

/* Has some bytes, and never the next. */
static ssize_t read_for_ever(void *ctx, void *buf, size_t n)
{
        bool *begun = ctx;
        while (*begun)
                pause();
        *begun = true;
        memset(buf, 'x', n < 4096 ? n : 4096);
        return n < 4096 ? (ssize_t)n : 4096;
}

/* Waits for a temp of @pid, without a clock: the writer stays in its reader. */
static void wait_for_temp(pid_t pid)
{
        while (place_count(place, ".") < 2)
                assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
}

static void a_stopped_writer_is_never_declared_dead_and_a_killed_one_always(void **state)
{
        struct oxl_sweep_report swept;
        int status;
        assert_int_equal(oxl_atomic_write_to_path("target", "x", 1, NULL, NULL, NULL), 0);
        (void)unlink("stop");
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                bool begun = false;
                (void)!oxl_atomic_write_from_reader("target", read_for_ever, &begun, NULL, NULL, NULL);
                _exit(1);
        }
        wait_for_temp(pid);
        assert_int_equal(kill(pid, SIGSTOP), 0);
        assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
        assert_true(WIFSTOPPED(status));
        for (int i = 0; i < 10; i++) {
                assert_int_equal(oxl_atomic_sweep(".", &swept, NULL), 0);
                assert_int_equal(swept.kept_alive, 1);
                assert_int_equal(swept.removed, 0);
        }
        expect_killed(pid);
        assert_int_equal(oxl_atomic_sweep(".", &swept, NULL), 0);
        assert_int_equal(swept.removed, 1);
        assert_int_equal(place_count(place, "."), 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(of_64_processes_on_one_target_readers_see_whole_versions_only),
                cmocka_unit_test(a_stopped_writer_is_never_declared_dead_and_a_killed_one_always),
        };
        return cmocka_run_group_tests(tests, enter, leave);
}
