/* SPDX-License-Identifier: MIT */
/* Locks and liveness: numbers, verdicts, waiting, what is told about the holder, replaced lock files. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/sys.h"
#include "repo/owner.h"
#include "support/place.h"

struct fixture {
        char *place;
        int fd;
};

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof *f);
        f->place = place_new();
        place_text(f->place, "locks", "");
        place_mkdir(f->place, "owners");
        f->fd = place_open(f->place, ".", O_RDONLY | O_DIRECTORY);
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;
        oxl_sys = &oxl_sys_real;
        close(f->fd);
        place_free(f->place);
        free(f);
        return 0;
}

static struct oxl_owner *owner(struct fixture *f, const char *command)
{
        struct oxl_owner *o = NULL;
        assert_int_equal(oxl_owner_new(f->fd, command, &o, NULL), 0);
        return o;
}

static void name_of(uint64_t number, char ret[32])
{
        snprintf(ret, 32, "owners/%016llx", (unsigned long long)number);
}

static void an_owner_lives_until_it_is_freed(void **state)
{
        struct fixture *f = *state;
        struct oxl_owner *a = owner(f, "oxen-lite add"), *b = owner(f, NULL);
        uint64_t k = oxl_owner_number(a);
        assert_true(k > 0 && k < OXL_LOCK_OWNER_BASE);
        assert_true(k != oxl_owner_number(b));
        assert_int_equal(place_count(f->place, "owners"), 2);
        assert_int_equal(oxl_owner_verdict(f->fd, k), OXL_TEMP_ALIVE);
        oxl_owner_free(a);
        assert_int_equal(oxl_owner_verdict(f->fd, k), OXL_TEMP_DEAD);
        assert_int_equal(oxl_owner_verdict(f->fd, oxl_owner_number(b)), OXL_TEMP_ALIVE);
        assert_int_equal(place_count(f->place, "owners"), 1);
        oxl_owner_free(b);
        assert_int_equal(place_count(f->place, "owners"), 0);
}

static void the_file_tells_people_who_it_is(void **state)
{
        struct fixture *f = *state;
        char name[32], pid[32];
        struct oxl_owner *o = owner(f, "oxen-lite commit\x1b[2J\nholds gc");
        name_of(oxl_owner_number(o), name);
        char *text = place_read(f->place, name, NULL);
        snprintf(pid, sizeof pid, "pid %ld\n", (long)getpid());
        assert_int_equal(strncmp(text, pid, strlen(pid)), 0);
        assert_non_null(strstr(text, "\nboot "));
        assert_non_null(strstr(text, "\nmachine "));
        assert_non_null(strstr(text, "\ncommand oxen-lite commit?[2J?holds gc\n"));
        assert_non_null(strstr(text, "\nsince 20"));
        free(text);
        oxl_owner_free(o);
}

static void numbers_that_are_no_owner_are_unknown(void **state)
{
        struct fixture *f = *state;
        assert_int_equal(oxl_owner_verdict(f->fd, 0), OXL_TEMP_UNKNOWN);
        assert_int_equal(oxl_owner_verdict(f->fd, OXL_LOCK_OWNER_BASE), OXL_TEMP_UNKNOWN);
        assert_int_equal(oxl_owner_verdict(f->fd, UINT64_MAX), OXL_TEMP_UNKNOWN);
        assert_int_equal(oxl_owner_verdict(f->fd, OXL_LOCK_OWNER_BASE - 1), OXL_TEMP_UNKNOWN);
        assert_int_equal(oxl_owner_verdict(f->fd, OXL_LOCK_OWNER_BASE - 2), OXL_TEMP_DEAD);
}

static void an_owner_of_another_machine_is_never_dead(void **state)
{
        struct fixture *f = *state;
        char name[32];
        name_of(5, name);
        place_text(f->place, name, "pid 1\nboot x\nmachine ffffffffffffffffffffffffffffffff\n");
        assert_int_equal(oxl_owner_verdict(f->fd, 5), OXL_TEMP_UNKNOWN);
        assert_int_equal(oxl_owner_sweep(f->fd), 0);
        assert_true(place_has(f->place, name));
        place_text(f->place, name, "pid 1\nboot x\nmachine ffff"); /* torn by a power cut */
        assert_int_equal(oxl_owner_verdict(f->fd, 5), OXL_TEMP_DEAD);
}

static void what_cannot_be_examined_is_unknown(void **state)
{
        struct fixture *f = *state;
        char name[32];
        name_of(6, name);
        place_mkdir(f->place, name);
        assert_int_equal(oxl_owner_verdict(f->fd, 6), OXL_TEMP_UNKNOWN);
        char *path = place_path(f->place, "locks");
        assert_int_equal(unlink(path), 0);
        assert_int_equal(oxl_owner_verdict(f->fd, 7), OXL_TEMP_UNKNOWN);
        assert_int_equal(mkfifo(path, 0666), 0);
        assert_int_equal(oxl_owner_verdict(f->fd, 7), OXL_TEMP_UNKNOWN);
        struct oxl_owner *o;
        assert_int_equal(oxl_owner_new(f->fd, NULL, &o, NULL), -OXL_E_FILE_OPEN);
        free(path);
}

/* Runs @o's child; the child reports through its exit code only. */
static int child_exit(pid_t pid)
{
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        return WEXITSTATUS(status);
}

static void a_killed_process_is_dead_and_swept(void **state)
{
        struct fixture *f = *state;
        int ready[2];
        uint64_t number = 0;
        char name[32];
        assert_int_equal(pipe(ready), 0);
        pid_t pid = fork();
        if (pid == 0) {
                struct oxl_owner *o;
                if (oxl_owner_new(f->fd, "victim", &o, NULL) < 0)
                        _exit(1);
                uint64_t k = oxl_owner_number(o);
                if (write(ready[1], &k, sizeof k) != sizeof k)
                        _exit(1);
                pause();
                _exit(1);
        }
        assert_int_equal(read(ready[0], &number, sizeof number), sizeof number);
        name_of(number, name);
        assert_int_equal(oxl_owner_verdict(f->fd, number), OXL_TEMP_ALIVE);
        assert_int_equal(oxl_owner_sweep(f->fd), 0);
        assert_true(place_has(f->place, name));
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        assert_int_equal(oxl_owner_verdict(f->fd, number), OXL_TEMP_DEAD);
        assert_int_equal(oxl_owner_sweep(f->fd), 1);
        assert_false(place_has(f->place, name));
        close(ready[0]);
        close(ready[1]);
}

static void a_taken_lock_is_refused_and_its_holder_named(void **state)
{
        struct fixture *f = *state;
        char pid[64];
        struct oxl_error err = OXL_ERROR_INIT;
        struct oxl_owner *a = owner(f, "oxen-lite gc"), *b = owner(f, "oxen-lite add");
        assert_int_equal(oxl_owner_lock(a, OXL_LOCK_WRITER, true, 0, NULL, NULL), 0);
        assert_int_equal(oxl_owner_lock(b, OXL_LOCK_WRITER, true, 0, NULL, &err), -OXL_E_LOCKED);
        snprintf(pid, sizeof pid, "pid %ld, oxen-lite gc, since 20", (long)getpid());
        assert_int_equal(strncmp(err.detail, pid, strlen(pid)), 0);
        assert_int_equal(oxl_owner_lock(b, OXL_LOCK_GC, true, 0, NULL, NULL), 0);
        oxl_owner_unlock(a, OXL_LOCK_WRITER);
        char name[32];
        name_of(oxl_owner_number(a), name);
        char *text = place_read(f->place, name, NULL);
        assert_null(strstr(text, "holds"));
        free(text);
        assert_int_equal(oxl_owner_lock(b, OXL_LOCK_WRITER, true, 0, NULL, NULL), 0);
        assert_int_equal(oxl_owner_lock(a, OXL_LOCK_WRITER, true, 0, NULL, &err), -OXL_E_LOCKED);
        assert_non_null(strstr(err.detail, "oxen-lite add"));
        oxl_owner_free(b); /* freeing gives everything back */
        assert_int_equal(oxl_owner_lock(a, OXL_LOCK_WRITER, true, 0, NULL, NULL), 0);
        oxl_owner_free(a);
        oxl_error_done(&err);
}

static void an_unknown_holder_is_said_to_be_another_process(void **state)
{
        struct fixture *f = *state;
        struct oxl_error err = OXL_ERROR_INIT;
        struct oxl_owner *a = owner(f, "x");
        int fd = place_open(f->place, "locks", O_RDWR);
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1 };
        assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
        assert_int_equal(oxl_owner_lock(a, OXL_LOCK_WRITER, true, 0, NULL, &err), -OXL_E_LOCKED);
        assert_string_equal(err.detail, "another process holds its writer lock");
        close(fd);
        oxl_owner_free(a);
        oxl_error_done(&err);
}

static void shared_locks_go_together(void **state)
{
        struct fixture *f = *state;
        struct oxl_owner *a = owner(f, "a"), *b = owner(f, "b");
        assert_int_equal(oxl_owner_lock(a, OXL_LOCK_GC, false, 0, NULL, NULL), 0);
        assert_int_equal(oxl_owner_lock(b, OXL_LOCK_GC, false, 0, NULL, NULL), 0);
        oxl_owner_unlock(b, OXL_LOCK_GC);
        assert_int_equal(oxl_owner_lock(b, OXL_LOCK_GC, true, 0, NULL, NULL), -OXL_E_LOCKED);
        oxl_owner_free(a);
        oxl_owner_free(b);
}

static void waiting_ends_when_the_lock_is_given_back(void **state)
{
        struct fixture *f = *state;
        struct oxl_owner *a = owner(f, "a");
        int ready[2];
        char c;
        assert_int_equal(pipe(ready), 0);
        assert_int_equal(oxl_owner_lock(a, OXL_LOCK_WRITER, true, 0, NULL, NULL), 0);
        pid_t pid = fork(); /* shares a's description, so it must open its own */
        if (pid == 0) {
                struct oxl_owner *b;
                if (oxl_owner_new(f->fd, "b", &b, NULL) < 0 || write(ready[1], "x", 1) != 1)
                        _exit(1);
                int r = oxl_owner_lock(b, OXL_LOCK_WRITER, true, -1, NULL, NULL);
                oxl_owner_free(b);
                _exit(r == 0 ? 0 : 2);
        }
        assert_int_equal(read(ready[0], &c, 1), 1);
        oxl_owner_unlock(a, OXL_LOCK_WRITER);
        assert_int_equal(child_exit(pid), 0);
        oxl_owner_free(a);
        close(ready[0]);
        close(ready[1]);
}

static void waiting_can_be_cancelled(void **state)
{
        struct fixture *f = *state;
        atomic_bool cancel = true;
        struct oxl_owner *a = owner(f, "a"), *b = owner(f, "b");
        assert_int_equal(oxl_owner_lock(a, OXL_LOCK_WRITER, true, 0, NULL, NULL), 0);
        assert_int_equal(oxl_owner_lock(b, OXL_LOCK_WRITER, true, -1, &cancel, NULL), -OXL_E_CANCELLED);
        oxl_owner_free(a);
        oxl_owner_free(b);
}

static void a_replaced_lock_file_is_an_error(void **state)
{
        struct fixture *f = *state;
        struct oxl_owner *a = owner(f, "a");
        struct oxl_error err = OXL_ERROR_INIT;
        char *path = place_path(f->place, "locks");
        assert_int_equal(unlink(path), 0);
        place_text(f->place, "locks", "");
        assert_int_equal(oxl_owner_lock(a, OXL_LOCK_WRITER, true, 0, NULL, &err), -OXL_E_FILE_LOCK);
        assert_int_equal(err.os, ESTALE);
        oxl_owner_free(a);
        oxl_error_done(&err);
        free(path);
}

static const char *replaced;

static int lock_and_replace(int fd, int cmd, struct flock *lock)
{
        int r = oxl_sys_real.ofd_lock(fd, cmd, lock);
        char *path = place_path(replaced, "locks");
        assert_int_equal(unlink(path), 0);
        place_text(replaced, "locks", "");
        free(path);
        return r;
}

static void a_lock_file_replaced_while_an_owner_is_made_is_an_error(void **state)
{
        struct fixture *f = *state;
        struct oxl_sys sys = oxl_sys_real;
        struct oxl_owner *o;
        replaced = f->place;
        sys.ofd_lock = lock_and_replace;
        oxl_sys = &sys;
        assert_int_equal(oxl_owner_new(f->fd, "a", &o, NULL), -OXL_E_FILE_LOCK);
        assert_int_equal(place_count(f->place, "owners"), 0);
}

static int full_disk(int fd, const char *path, int flags, mode_t mode, uint64_t resolve)
{
        if (flags & O_CREAT) {
                errno = ENOSPC;
                return -1;
        }
        return oxl_sys_real.openat2(fd, path, flags, mode, resolve);
}

static ssize_t torn_write(int fd, const void *buf, size_t n)
{
        static int calls;
        if (calls++ % 2 == 0)
                return oxl_sys_real.write(fd, buf, 5);
        errno = ENOSPC;
        return -1;
}

static void a_full_disk_gives_an_owner_without_a_file(void **state)
{
        struct fixture *f = *state;
        struct oxl_sys sys = oxl_sys_real;
        sys.openat2 = full_disk;
        oxl_sys = &sys;
        struct oxl_owner *a = owner(f, "a");
        assert_int_equal(place_count(f->place, "owners"), 0);
        assert_int_equal(oxl_owner_verdict(f->fd, oxl_owner_number(a)), OXL_TEMP_ALIVE);
        assert_int_equal(oxl_owner_lock(a, OXL_LOCK_WRITER, true, 0, NULL, NULL), 0);
        oxl_owner_free(a);
        sys = oxl_sys_real;
        sys.write = torn_write;
        a = owner(f, "a");
        assert_int_equal(place_count(f->place, "owners"), 0);
        oxl_owner_free(a);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                T(an_owner_lives_until_it_is_freed),
                T(the_file_tells_people_who_it_is),
                T(numbers_that_are_no_owner_are_unknown),
                T(an_owner_of_another_machine_is_never_dead),
                T(what_cannot_be_examined_is_unknown),
                T(a_killed_process_is_dead_and_swept),
                T(a_taken_lock_is_refused_and_its_holder_named),
                T(an_unknown_holder_is_said_to_be_another_process),
                T(shared_locks_go_together),
                T(waiting_ends_when_the_lock_is_given_back),
                T(waiting_can_be_cancelled),
                T(a_replaced_lock_file_is_an_error),
                T(a_lock_file_replaced_while_an_owner_is_made_is_an_error),
                T(a_full_disk_gives_an_owner_without_a_file),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
