/* SPDX-License-Identifier: MIT */
/*
 * Locks of fsck and of the verbs: `gc` is held shared while objects are relied on, a gc at work is waited for and named, whoever stays
 * in a transaction is named, and a check needs no more than a readable lock file, or none.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <oxenlite/repair.h>

#include "base/buf.h"
#include "os/lock.h"
#include "os/sys.h"
#include "repo/repo.h"
#include "support/checked.h"
#include "support/place.h"

static int setup(void **state)
{
        static struct checked k;
        checked_new(&k, OXL_ALGO_BLAKE3);
        k.options.wait_ms = 0;
        *state = &k;
        return 0;
}

static int teardown(void **state)
{
        checked_free(*state);
        return 0;
}

/* --- what is done beside a lock -------------------------------------------------------------------------------------- */

enum act { ADD, COMMIT, RESTORE, CHECK, REPAIR, ACTS };

static int hear_nothing(void *ctx, const struct oxl_finding *f, struct oxl_error *err)
{
        (void)ctx, (void)f, (void)err;
        return 0;
}

static int act(struct checked *k, enum act what, struct oxl_error *err)
{
        const char *paths[] = { "a.txt" };
        const struct oxl_commit_options commit = { .message = "m", .author = "A <a@b>", .allow_empty = true };
        const struct oxl_restore_options restore = { .force = true };
        struct oxl_add_result added;
        struct oxl_commit_result committed;
        struct oxl_restore_result restored;
        struct oxl_check_result checked;
        struct oxl_repair_result repaired;
        struct oxl_repo *r = NULL;
        if (what == CHECK)
                return oxl_check_run(k->place, &k->options, NULL, hear_nothing, NULL, &checked, err);
        if (what == REPAIR)
                return oxl_repair_run(k->place, &k->options, NULL, NULL, NULL, NULL, &repaired, err);
        int e = oxl_repo_open(k->place, &k->options, &r, err);
        if (e == 0 && what == ADD)
                e = oxl_repo_add(r, paths, 1, NULL, &added, err);
        if (e == 0 && what == COMMIT)
                e = oxl_repo_commit(r, &commit, &committed, err);
        if (e == 0 && what == RESTORE)
                e = oxl_repo_restore(r, paths, 1, &restore, &restored, err);
        oxl_repo_close(r);
        return e;
}

/* --- gc --------------------------------------------------------------------------------------------------------------- */

static void a_gc_at_work_is_waited_for_and_named(void **state)
{
        struct checked *k = *state;
        struct oxl_owner *gc;
        int root_fd = place_open(k->place, ".oxen-lite", O_RDONLY | O_DIRECTORY);
        assert_int_equal(oxl_owner_new(root_fd, "oxen-lite gc", &gc, NULL), 0);
        assert_int_equal(oxl_owner_lock(gc, OXL_LOCK_GC, true, 0, NULL, NULL), 0);
        for (int what = 0; what < ACTS; what++) {
                struct oxl_error err = OXL_ERROR_INIT;
                assert_int_equal(act(k, (enum act)what, &err), -OXL_E_LOCKED);
                assert_non_null(strstr(err.detail, "oxen-lite gc"));
                oxl_error_done(&err);
        }
        oxl_owner_unlock(gc, OXL_LOCK_GC);
        for (int what = 0; what < ACTS; what++)
                assert_int_equal(act(k, (enum act)what, NULL), 0);
        oxl_owner_free(gc);
        close(root_fd);
}

/* A kernel that asks, at each call that matters, whether gc is held. */
static struct {
        struct oxl_sys table;
        char *locks;
        unsigned asked, held;
} probe;

static void ask(void)
{
        bool held = false;
        int fd = open(probe.locks, O_RDONLY | O_CLOEXEC);
        if (fd >= 0 && oxl_lock_probe(fd, OXL_LOCK_GC, 1, "locks", &held, NULL) == 0)
                probe.held += held;
        probe.asked++;
        if (fd >= 0)
                close(fd);
}

static int probing_rename(int fromfd, const char *from, int tofd, const char *to, unsigned flags)
{
        ask();
        return oxl_sys_real.renameat2(fromfd, from, tofd, to, flags);
}

static ssize_t probing_pread(int fd, void *buf, size_t n, off_t at)
{
        ask();
        return oxl_sys_real.pread(fd, buf, n, at);
}

static void objects_that_are_relied_on_are_safe_from_gc(void **state)
{
        struct checked *k = *state;
        probe.locks = place_path(k->root, "locks");
        for (int what = 0; what <= CHECK; what++) {
                place_text(k->place, "a.txt", what == ADD ? "third\n" : "fourth\n");
                probe.table = oxl_sys_real;
                probe.asked = probe.held = 0;
                if (what == CHECK)
                        probe.table.pread = probing_pread;
                else
                        probe.table.renameat2 = probing_rename;
                oxl_sys = &probe.table;
                int r = act(k, (enum act)what, NULL);
                oxl_sys = &oxl_sys_real;
                assert_int_equal(r, 0);
                assert_true(probe.asked > 0);
                assert_int_equal(probe.held, probe.asked);
        }
        ask();
        probe.held = 0;
        ask();
        assert_int_equal(probe.held, 0); /* and given back */
        free(probe.locks);
}

static void without_a_lock_file_a_check_runs_and_says_so(void **state)
{
        struct checked *k = *state;
        char *path = place_path(k->root, "locks");
        assert_int_equal(unlink(path), 0);
        assert_int_equal(checked_run(k), 0);
        assert_int_equal(checked_count(k, OXL_P_STRUCTURE, "locks"), 1);
        assert_int_equal(k->n_found, 1);
        free(path);
}

static int knows_none(int fd, int cmd, struct flock *lock)
{
        (void)fd, (void)cmd, (void)lock;
        errno = ENOLCK;
        return -1;
}

static void on_a_file_system_without_locks_a_check_reads_all_but_the_journal(void **state)
{
        struct checked *k = *state;
        probe.table = oxl_sys_real;
        probe.table.ofd_lock = knows_none;
        oxl_sys = &probe.table;
        int r = checked_run(k);
        oxl_sys = &oxl_sys_real;
        assert_int_equal(r, 0);
        assert_int_equal(checked_count(k, OXL_P_UNREADABLE, "locks"), 0);
        assert_int_equal(checked_count(k, OXL_P_UNREADABLE, "journal.db"), 1); /* it cannot be copied safely */
        assert_int_equal(k->n_found, 1);
}

static void a_repair_beside_a_writer_says_who_it_is(void **state)
{
        struct checked *k = *state;
        struct oxl_error err = OXL_ERROR_INIT;
        struct oxl_owner *writer;
        struct oxl_repair_result result;
        char *path = place_path(k->root, "index");
        int root_fd = place_open(k->place, ".oxen-lite", O_RDONLY | O_DIRECTORY);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(oxl_owner_new(root_fd, "oxen-lite commit", &writer, NULL), 0);
        assert_int_equal(oxl_owner_lock(writer, OXL_LOCK_WRITER, true, 0, NULL, NULL), 0);
        assert_int_equal(oxl_repair_run(k->place, &k->options, NULL, NULL, NULL, NULL, &result, &err), -OXL_E_LOCKED);
        assert_non_null(strstr(err.detail, "oxen-lite commit"));
        assert_int_equal(oxl_repair_undo(k->place, &k->options, "x", false, NULL, NULL, &err), -OXL_E_LOCKED);
        oxl_error_done(&err);
        oxl_owner_free(writer);
        close(root_fd);
        free(path);
}

/* --- db --------------------------------------------------------------------------------------------------------------- */

/* Dies in its parent's hands. */
static void stop_in_a_transaction(struct checked *k)
{
        struct oxl_owner *o;
        int root_fd = place_open(k->place, ".oxen-lite", O_RDONLY | O_DIRECTORY);
        if (oxl_owner_new(root_fd, "oxen-lite commit", &o, NULL) < 0 ||
            oxl_owner_lock(o, OXL_LOCK_WRITER, true, 0, NULL, NULL) < 0 ||
            oxl_owner_lock(o, OXL_LOCK_DB, true, 0, NULL, NULL) < 0)
                _exit(1);
        raise(SIGSTOP);
        _exit(0);
}

struct told {
        char path[64], detail[600], remedy[200];
        int os;
        size_t n;
};

static int hear(void *ctx, const struct oxl_finding *f, struct oxl_error *err)
{
        struct told *t = ctx;
        (void)err;
        t->n++;
        assert_int_equal(f->problem, OXL_P_UNREADABLE);
        snprintf(t->path, sizeof t->path, "%s", f->path);
        snprintf(t->detail, sizeof t->detail, "%s", f->detail);
        snprintf(t->remedy, sizeof t->remedy, "%s", f->remedy);
        t->os = f->os;
        return 0;
}

static void who_is_stopped_in_a_transaction_is_named(void **state)
{
        struct checked *k = *state;
        struct told t = { .n = 0 };
        struct oxl_check_result result;
        struct oxl_error err = OXL_ERROR_INIT;
        char want[64];
        int status;
        pid_t pid = fork();
        if (pid == 0)
                stop_in_a_transaction(k);
        assert_true(pid > 0);
        assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
        bool stopped = WIFSTOPPED(status);
        int r = oxl_check_run(k->place, &k->options, NULL, hear, &t, &result, &err);
        int w = act(k, ADD, &err);
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        assert_true(stopped);
        assert_int_equal(r, 0);
        assert_int_equal(w, -OXL_E_LOCKED);
        oxl_error_done(&err);
        assert_int_equal(t.n, 1);
        assert_int_equal(result.unreadable, 1);
        assert_string_equal(t.path, "journal.db");
        snprintf(want, sizeof want, "kill -CONT %ld", (long)pid);
        assert_non_null(strstr(t.detail, "oxen-lite commit"));
        assert_non_null(strstr(t.detail, want));
        assert_null(strstr(t.remedy, "disk"));
        assert_non_null(strstr(t.remedy, "holds the lock"));
        /* dead now: the check is clean again */
        assert_int_equal(checked_run(k), 0);
        assert_int_equal(k->result.findings, 0);
}

/* --- limits ------------------------------------------------------------------------------------------------------------ */

static int no_more_files(int fd, const char *path, int flags, mode_t mode, uint64_t resolve)
{
        if (strstr(path, "versions/packs/")) {
                errno = EMFILE;
                return -1;
        }
        return oxl_sys_real.openat2(fd, path, flags, mode, resolve);
}

static int hear_last(void *ctx, const struct oxl_finding *f, struct oxl_error *err)
{
        return f->problem == OXL_P_UNREADABLE ? hear(ctx, f, err) : 0;
}

static void too_many_open_files_are_not_blamed_on_the_disk(void **state)
{
        struct checked *k = *state;
        struct told t = { .n = 0 };
        struct oxl_check_result result;
        probe.table = oxl_sys_real;
        probe.table.openat2 = no_more_files;
        oxl_sys = &probe.table;
        int r = oxl_check_run(k->place, &k->options, NULL, hear_last, &t, &result, NULL);
        oxl_sys = &oxl_sys_real;
        assert_int_equal(r, 0);
        assert_int_equal(t.os, EMFILE);
        assert_non_null(strstr(t.remedy, "ulimit -n"));
        assert_int_equal(checked_run(k), 0);
        assert_int_equal(k->n_found, 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                T(a_gc_at_work_is_waited_for_and_named),
                T(objects_that_are_relied_on_are_safe_from_gc),
                T(without_a_lock_file_a_check_runs_and_says_so),
                T(on_a_file_system_without_locks_a_check_reads_all_but_the_journal),
                T(a_repair_beside_a_writer_says_who_it_is),
                T(who_is_stopped_in_a_transaction_is_named),
                T(too_many_open_files_are_not_blamed_on_the_disk),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
