/* SPDX-License-Identifier: MIT */
/* The sweeper of repositories and of Oxen's stores: what is proven dead goes, everything else stays and is told why. */
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

#include <oxenlite/sweeper.h>

#include "base/cleanup.h"
#include "os/sys.h"
#include "repo/repo.h"
#include "support/place.h"

#define DEAD "x.oxl-0000000000000000-0000000000000001.tmp"
#define OWNED "x.oxl-00000000000000a1-0000000000000001.tmp"
#define EXPORT ".oxentmp.4711.export-data"
#define SIBLING "data.oxentmp.aB3xYz"

struct fixture {
        char *place;
        struct oxl_sweeper_result r;
        struct oxl_sweeper_options o;
        char said[16384]; /* "<proof> <path>: <why>\n" of each item */
        struct oxl_error err;
};

static struct oxl_sys sys;

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof *f);
        f->place = place_new();
        assert_int_equal(oxl_repo_init(f->place, OXL_ALGO_BLAKE3, &f->err), 0);
        f->o.worktree = true;
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;
        oxl_sys = &oxl_sys_real;
        oxl_error_done(&f->err);
        place_free(f->place);
        free(f);
        return 0;
}

static int hear(void *ctx, const struct oxl_sweeper_item *i, struct oxl_error *err)
{
        struct fixture *f = ctx;
        size_t n = strlen(f->said);
        snprintf(f->said + n, sizeof f->said - n, "%s%s %s: %s\n", oxl_sweep_proof_slug(i->proof),
                 i->failed    ? " FAILED"
                 : i->removed ? " removed"
                              : "",
                 i->path, i->why);
        return 0;
}

static void sweep(struct fixture *f)
{
        f->said[0] = 0;
        int r = oxl_sweeper_repository(f->place, NULL, &f->o, hear, f, &f->r, &f->err);
        if (r < 0)
                print_error("%s\n", oxl_error_slug(f->err.code));
        assert_int_equal(r, 0);
}

static void sweep_oxen(struct fixture *f, const char *dir)
{
        cleanup_free char *path = place_path(f->place, dir);
        f->said[0] = 0;
        assert_int_equal(oxl_sweeper_oxen(path, &f->o, NULL, hear, f, &f->r, &f->err), 0);
}

static uint64_t kept(const struct fixture *f)
{
        uint64_t n = 0;
        for (int p = 0; p < OXL_SWEEP_PROOFS; p++)
                n += oxl_sweep_proof_removes((enum oxl_sweep_proof)p) ? 0 : f->r.by_proof[p].files;
        return n;
}

static void says(const struct fixture *f, const char *text)
{
        if (!strstr(f->said, text))
                print_error("not said: %s\nsaid:\n%s", text, f->said);
        assert_non_null(strstr(f->said, text));
}

static void put(const struct fixture *f, const char *name)
{
        place_text(f->place, name, "x");
}

static bool has(const struct fixture *f, const char *name)
{
        cleanup_free char *path = place_path(f->place, name);
        struct stat st;
        return lstat(path, &st) == 0;
}

static void record(const struct fixture *f, const char *owner, const char *machine)
{
        char name[64], text[128];
        snprintf(name, sizeof name, ".oxen-lite/owners/%s", owner);
        snprintf(text, sizeof text, "pid 4711\nboot -\nmachine %s\ncommand oxen-lite commit\nsince x\n", machine);
        place_text(f->place, name, text);
}

/* --- processes ---------------------------------------------------------------------------------------------------- */

/* In a child: opens for writing, leaves temps at various places, with clocks a year off, records an intent perhaps, stops. */
static void write_and_stop(const char *place, const char *verb)
{
        static const char *const dirs[] = { "", "versions/tmp", "versions/packs", "refs/heads" };
        struct oxl_repo_options options = { .command = "oxen-lite commit" };
        const struct timespec times[2][2] = { { { 0, 0 }, { 0, 0 } },
                                              { { 4102444800, 0 }, { 4102444800, 0 } } }; /* 1970, 2100 */
        struct oxl_repo *r;
        struct oxl_stage *s;
        if (oxl_repo_open(place, &options, &r, NULL) < 0 || oxl_repo_begin_write(r, NULL) < 0)
                _exit(1);
        for (size_t i = 0; i < OXL_ARRAY_LEN(dirs); i++)
                if (oxl_stage_open(r->durable, dirs[i], "x", 0, &s, NULL) < 0 ||
                    oxl_stage_write(s, "abc", 3, NULL) < 0 || futimens(oxl_stage_fd(s), times[i % 2]) < 0)
                        _exit(2);
        int64_t id;
        if (verb && oxl_journal_stage(r->journal, oxl_owner_number(r->owner), verb, "{}", NULL, &id, NULL) < 0)
                _exit(3);
        raise(SIGSTOP);
        _exit(4);
}

static pid_t stopped_writer(const struct fixture *f, const char *verb)
{
        int status;
        pid_t child = fork();
        if (child == 0)
                write_and_stop(f->place, verb);
        assert_int_equal(waitpid(child, &status, WUNTRACED), child);
        assert_true(WIFSTOPPED(status));
        return child;
}

static void kill_it(pid_t child)
{
        int status;
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
}

static void a_paused_writer_keeps_its_temps_and_a_killed_one_loses_them_at_once(void **state)
{
        struct fixture *f = *state;
        char pid[32];
        pid_t child = stopped_writer(f, NULL);
        sweep(f);
        assert_int_equal(f->r.by_proof[OXL_SWEEP_ALIVE].files, 4);
        assert_int_equal(f->r.by_proof[OXL_SWEEP_OWNER_DEAD].files, 0);
        assert_int_equal(f->r.owners_removed, 0);
        kill_it(child);
        sweep(f);
        assert_int_equal(f->r.by_proof[OXL_SWEEP_OWNER_DEAD].files, 4);
        assert_true(f->r.by_proof[OXL_SWEEP_OWNER_DEAD].bytes >= 4 * 3);
        assert_int_equal(kept(f), 0);
        assert_int_equal(f->r.owners_removed, 1);
        snprintf(pid, sizeof pid, "pid %d (oxen-lite commit) died", (int)child);
        says(f, pid);
        says(f, "owner-dead removed .oxen-lite/versions/tmp/x.oxl-");
        sweep(f);
        assert_string_equal(f->said, "");
}

static void what_an_open_intent_needs_waits_for_recovery(void **state)
{
        struct fixture *f = *state;
        pid_t child = stopped_writer(f, "commit");
        kill_it(child);
        sweep(f);
        assert_int_equal(f->r.by_proof[OXL_SWEEP_INTENT].files, 4);
        assert_int_equal(f->r.by_proof[OXL_SWEEP_OWNER_DEAD].files, 0);
        assert_int_equal(f->r.owners_removed, 0);
        says(f, "recovery has to end");
        assert_int_equal(place_count(f->place, ".oxen-lite/owners"), 1);
}

static int kill_a_new_writer(void *ctx, const struct oxl_sweeper_item *i, struct oxl_error *err)
{
        struct fixture *f = ctx;
        if (f->said[0] == 0)
                kill_it(stopped_writer(f, "restore"));
        return hear(ctx, i, err);
}

/* The writer lives and dies while the sweep runs: the intents that were read at the beginning do not have its own. */
static void intents_are_read_after_the_owner_was_asked(void **state)
{
        struct fixture *f = *state;
        put(f, ".oxen-lite/" DEAD);
        record(f, "00000000000000a1", "");
        assert_int_equal(oxl_sweeper_repository(f->place, NULL, &f->o, kill_a_new_writer, f, &f->r, &f->err), 0);
        assert_int_equal(f->r.by_proof[OXL_SWEEP_OWNER_DEAD].files, 0);
        assert_int_equal(f->r.by_proof[OXL_SWEEP_INTENT].files, 3); /* its fourth lies where the sweep has been */
}

static void two_sweepers_at_once_remove_everything_once(void **state)
{
        enum { TEMPS = 400 };
        struct fixture *f = *state;
        int ends[2], status;
        uint64_t total = 0;
        for (int i = 0; i < TEMPS; i++) {
                char name[128];
                snprintf(name, sizeof name, ".oxen-lite/versions/tmp/x.oxl-%016x-%016x.tmp", i / 2 * (i % 2), i);
                put(f, name);
        }
        assert_int_equal(pipe(ends), 0);
        for (int i = 0; i < 2; i++) {
                if (fork() == 0) {
                        uint64_t n = 0;
                        if (oxl_sweeper_repository(f->place, NULL, &f->o, NULL, NULL, &f->r, NULL) == 0)
                                n = f->r.by_proof[OXL_SWEEP_OWNER_DEAD].files +
                                    f->r.by_proof[OXL_SWEEP_LOCK_FREE].files;
                        _exit(f->r.failed > 0 || write(ends[1], &n, sizeof n) != sizeof n);
                }
        }
        for (int i = 0; i < 2; i++) {
                uint64_t n;
                assert_int_equal(read(ends[0], &n, sizeof n), sizeof n);
                total += n;
                assert_true(wait(&status) > 0);
                assert_int_equal(status, 0);
        }
        assert_in_range(total, TEMPS, 2 * TEMPS); /* both may see one go */
        assert_int_equal(place_count(f->place, ".oxen-lite/versions/tmp"), 0);
        close(ends[0]);
        close(ends[1]);
}

/* --- who is asked ------------------------------------------------------------------------------------------------- */

static void owners_of_other_machines_are_never_dead(void **state)
{
        struct fixture *f = *state;
        record(f, "00000000000000a1", "of-somebody-else");
        put(f, ".oxen-lite/versions/tmp/" OWNED);
        sweep(f);
        assert_int_equal(f->r.by_proof[OXL_SWEEP_OTHER_MACHINE].files, 1);
        assert_int_equal(f->r.owners_removed, 0);
        says(f, "pid 4711 (oxen-lite commit) of another machine");
}

static void in_the_working_tree_an_owner_must_be_known_here(void **state)
{
        struct fixture *f = *state;
        place_mkdir(f->place, "a");
        put(f, "a/" OWNED);
        sweep(f);
        assert_int_equal(f->r.by_proof[OXL_SWEEP_NO_PROOF].files, 1);
        says(f, "another repository's");
        put(f, ".oxen-lite/owners/00000000000000a1"); /* torn by a power cut */
        sweep(f);
        says(f, "owner-dead removed a/" OWNED);
        assert_int_equal(f->r.owners_removed, 1);
}

static void other_repositories_below_are_not_touched(void **state)
{
        struct fixture *f = *state;
        cleanup_free char *inner = place_path(f->place, "inner");
        place_mkdir(f->place, "inner");
        place_mkdir(f->place, "theirs");
        place_mkdir(f->place, "theirs/.oxen");
        place_mkdir(f->place, "mine");
        assert_int_equal(oxl_repo_init(inner, OXL_ALGO_BLAKE3, NULL), 0);
        put(f, "inner/" DEAD);
        put(f, "inner/.oxen-lite/" DEAD);
        put(f, "theirs/" DEAD);
        put(f, "theirs/.oxen/" DEAD);
        put(f, "mine/" DEAD);
        sweep(f);
        assert_string_equal(f->said, "lock-free removed mine/" DEAD ": its writer died: the lock on it is free\n");
        assert_true(has(f, "inner/.oxen-lite/" DEAD) && has(f, "theirs/.oxen/" DEAD));
}

static void without_the_option_the_working_tree_is_left_alone(void **state)
{
        struct fixture *f = *state;
        put(f, DEAD);
        put(f, ".oxen-lite/refs/tags/" DEAD);
        f->o.worktree = false;
        sweep(f);
        says(f, "lock-free removed .oxen-lite/refs/tags/" DEAD);
        assert_true(has(f, DEAD));
}

static void a_journal_that_cannot_be_read_proves_nothing(void **state)
{
        struct fixture *f = *state;
        cleanup_free char *journal = place_path(f->place, ".oxen-lite/journal.db");
        put(f, ".oxen-lite/versions/tmp/" OWNED);
        put(f, ".oxen-lite/versions/tmp/" DEAD);
        assert_int_equal(unlink(journal), 0);
        sweep(f);
        assert_int_equal(f->r.by_proof[OXL_SWEEP_NO_PROOF].files, 1);
        assert_int_equal(f->r.by_proof[OXL_SWEEP_LOCK_FREE].files, 1);
        says(f, "which operations were interrupted is not known");
}

static void many_owners_are_asked_in_few_readings_of_the_journal(void **state)
{
        enum { TEMPS = 3000 };
        struct fixture *f = *state;
        for (int i = 0; i < TEMPS; i++) {
                char name[128];
                snprintf(name, sizeof name, ".oxen-lite/versions/tmp/x.oxl-%016x-%016x.tmp", i + 1, i);
                put(f, name);
        }
        sweep(f);
        assert_int_equal(f->r.by_proof[OXL_SWEEP_OWNER_DEAD].files, TEMPS);
        assert_int_equal(kept(f), 0);
}

/* --- hostile names ------------------------------------------------------------------------------------------------ */

static void only_regular_files_of_the_owner_with_one_name_are_touched(void **state)
{
        struct fixture *f = *state;
        static const char *const dirs[] = { "d", ".oxen-lite/versions/tmp", ".oxen-lite/refs/heads" };
        place_mkdir(f->place, "d");
        put(f, "target");
        for (size_t i = 0; i < OXL_ARRAY_LEN(dirs); i++) {
                char command[2048];
                snprintf(command, sizeof command,
                         "cd %s/%s && N=.oxl-0000000000000000-00000000000000 && "
                         "ln -s /etc/passwd l${N}01.tmp && ln -s nowhere m${N}02.tmp && mkdir d${N}03.tmp && "
                         "mkfifo p${N}04.tmp && echo >h${N}05.tmp && ln h${N}05.tmp hard && "
                         "echo >x.tmp && echo >${N}06.tmp && echo >x${N}07.tmpx && echo >'x.oxl-00-11.tmp' && "
                         "echo >data.oxentmp.aB3xYz",
                         f->place, dirs[i]);
                assert_int_equal(system(command), 0);
                if (geteuid() == 0) {
                        char name[128];
                        snprintf(name, sizeof name, "%s/u.oxl-0000000000000000-0000000000000008.tmp", dirs[i]);
                        put(f, name);
                        cleanup_free char *path = place_path(f->place, name);
                        assert_int_equal(chown(path, 65534, 65534), 0);
                }
        }
        size_t before = place_count(f->place, "d"), inside = place_count(f->place, dirs[1]);
        sweep(f);
        for (int p = 0; p < OXL_SWEEP_PROOFS; p++)
                assert_int_equal(f->r.by_proof[p].files, p == OXL_SWEEP_NOT_OURS ? 3 * (geteuid() == 0 ? 6 : 5) : 0);
        assert_int_equal(place_count(f->place, "d"), before);
        assert_int_equal(place_count(f->place, dirs[1]), inside);
        assert_true(has(f, "target"));
}

static void a_dry_run_decides_and_removes_nothing(void **state)
{
        struct fixture *f = *state;
        put(f, DEAD);
        put(f, ".oxen-lite/versions/tmp/" OWNED);
        record(f, "00000000000000a1", "");
        f->o.dry_run = true;
        sweep(f);
        assert_int_equal(f->r.by_proof[OXL_SWEEP_LOCK_FREE].files, 1);
        assert_int_equal(f->r.by_proof[OXL_SWEEP_OWNER_DEAD].files, 1);
        assert_int_equal(f->r.owners_removed, 1);
        assert_null(strstr(f->said, "removed"));
        assert_true(has(f, DEAD) && has(f, ".oxen-lite/versions/tmp/" OWNED));
        assert_int_equal(place_count(f->place, ".oxen-lite/owners"), 1);
}

/* --- what fails --------------------------------------------------------------------------------------------------- */

static int no_unlink(int dirfd, const char *path, int flags)
{
        errno = EROFS;
        return -1;
}

static void what_cannot_be_removed_is_told_and_its_owner_remembered(void **state)
{
        struct fixture *f = *state;
        put(f, ".oxen-lite/versions/tmp/" OWNED);
        put(f, DEAD);
        record(f, "00000000000000a1", "");
        sys = oxl_sys_real;
        sys.unlinkat = no_unlink;
        oxl_sys = &sys;
        sweep(f);
        assert_int_equal(f->r.failed, 2);
        assert_int_equal(f->r.by_proof[OXL_SWEEP_OWNER_DEAD].files, 0);
        says(f, "owner-dead FAILED .oxen-lite/versions/tmp/" OWNED);
        assert_int_equal(f->r.owners_removed, 0);
        oxl_sys = &oxl_sys_real;
        sweep(f);
        assert_int_equal(f->r.failed, 0);
        assert_false(has(f, DEAD));
}

static int fs_type;
static int some_fs(int fd, struct statfs *ret)
{
        int r = fstatfs(fd, ret);
        ret->f_type = fs_type;
        return r;
}

static void on_a_network_file_system_only_records_of_this_machine_prove(void **state)
{
        struct fixture *f = *state;
        sys = oxl_sys_real;
        sys.fstatfs = some_fs;
        fs_type = 0x6969;
        oxl_sys = &sys;
        put(f, DEAD);
        put(f, ".oxen-lite/versions/tmp/" OWNED);
        put(f, ".oxen-lite/versions/tmp/y.oxl-00000000000000a2-0000000000000001.tmp");
        record(f, "00000000000000a2", "");
        sweep(f);
        assert_int_equal(f->r.by_proof[OXL_SWEEP_OWNER_DEAD].files, 1);
        assert_int_equal(f->r.by_proof[OXL_SWEEP_NO_PROOF].files, 2);
        says(f, "removed .oxen-lite/versions/tmp/y.oxl-");
        says(f, "another machine may have it open");
        says(f, "on which machine its writer runs is not known");
}

static char reserve[256];
static ssize_t write_when_there_is_space(int fd, const void *bytes, size_t n)
{
        if (access(reserve, F_OK) < 0)
                return write(fd, bytes, n);
        errno = ENOSPC;
        return -1;
}

static void on_a_full_disk_the_reserve_makes_room_and_is_made_again(void **state)
{
        struct fixture *f = *state;
        snprintf(reserve, sizeof reserve, "%s/.oxen-lite/reserve", f->place);
        put(f, ".oxen-lite/versions/tmp/" OWNED);
        sys = oxl_sys_real;
        sys.write = write_when_there_is_space;
        oxl_sys = &sys;
        sweep(f);
        assert_int_equal(f->r.by_proof[OXL_SWEEP_OWNER_DEAD].files, 1);
        assert_int_equal(f->r.reserve_bytes, 8 << 20);
        assert_int_equal(access(reserve, F_OK), 0);
}

static int stop_at_once(void *ctx, const struct oxl_sweeper_item *i, struct oxl_error *err)
{
        ++*(int *)ctx;
        return -(int)OXL_E_LIMIT;
}

static void what_the_callback_returns_ends_the_sweep(void **state)
{
        struct fixture *f = *state;
        int calls = 0;
        atomic_bool cancel = true;
        const struct oxl_repo_options cancelled = { .cancel = &cancel };
        put(f, ".oxen-lite/" DEAD);
        put(f, DEAD);
        assert_int_equal(oxl_sweeper_repository(f->place, NULL, &f->o, stop_at_once, &calls, &f->r, NULL),
                         -OXL_E_LIMIT);
        assert_int_equal(calls, 1);
        assert_true(has(f, DEAD));
        assert_int_equal(oxl_sweeper_repository(f->place, &cancelled, &f->o, NULL, NULL, &f->r, NULL),
                         -OXL_E_CANCELLED);
        assert_true(has(f, DEAD));
}

/* --- Oxen --------------------------------------------------------------------------------------------------------- */

static int64_t age; /* seconds by which files with a name look older: a ctime cannot be set */
static int aged_fstat(int fd, struct stat *ret)
{
        int r = fstat(fd, ret);
        if (r == 0 && S_ISREG(ret->st_mode) && ret->st_nlink == 1)
                ret->st_ctim.tv_sec -= age;
        return r;
}

enum { DAY = 86400 };

static void make_oxen(struct fixture *f, int64_t seconds)
{
        static const char *const dirs[] = { "ox",
                                            "ox/.oxen",
                                            "ox/.oxen/versions",
                                            "ox/.oxen/versions/files",
                                            "ox/.oxen/versions/files/15",
                                            "ox/.oxen/versions/files/15/77",
                                            "ox/.oxen/versions/files/15/77/chunks",
                                            "ox/.oxen/versions/files/15/77/chunks/1048576",
                                            "ox/data" };
        for (size_t i = 0; i < OXL_ARRAY_LEN(dirs); i++)
                place_mkdir(f->place, dirs[i]);
        put(f, "ox/.oxen/config.toml");
        put(f, "ox/.oxen/HEAD.oxentmp.a1b2c3");
        put(f, "ox/.oxen/versions/files/15/77/" SIBLING);
        put(f, "ox/.oxen/versions/files/15/77/data");
        put(f, "ox/.oxen/versions/files/15/77/chunks/1048576/chunk.oxentmp.000000");
        put(f, "ox/data/" EXPORT);
        put(f, "ox/data/x.tmp");
        put(f, "ox/data/.oxentmp.");
        sys = oxl_sys_real;
        sys.fstat = aged_fstat;
        age = seconds;
        oxl_sys = &sys;
}

static void old_temps_of_oxen_that_nobody_has_open_go(void **state)
{
        struct fixture *f = *state;
        make_oxen(f, DAY + 60);
        sweep_oxen(f, "ox");
        assert_int_equal(f->r.by_proof[OXL_SWEEP_LEASE].files, 4);
        assert_int_equal(kept(f), 0);
        says(f, "lease removed .oxen/versions/files/15/77/chunks/1048576/chunk.oxentmp.000000");
        says(f, "lease removed data/" EXPORT);
        assert_true(has(f, "ox/data/x.tmp") && has(f, "ox/data/.oxentmp.") &&
                    has(f, "ox/.oxen/versions/files/15/77/data"));
        assert_int_equal(place_count(f->place, "ox/data"), 2); /* no probe is left */
}

static void young_temps_of_oxen_stay(void **state)
{
        static const int64_t ages[] = { 0, DAY - 60, -365 * DAY };
        struct fixture *f = *state;
        make_oxen(f, 0);
        for (size_t i = 0; i < OXL_ARRAY_LEN(ages); i++) {
                age = ages[i];
                sweep_oxen(f, "ox/.oxen");
                assert_int_equal(f->r.by_proof[OXL_SWEEP_YOUNG].files, 3);
                says(f, "young versions/files/15/77/" SIBLING);
                assert_int_equal(f->r.by_proof[OXL_SWEEP_LEASE].files, 0);
        }
}

static void an_open_temp_of_oxen_stays_however_old(void **state)
{
        struct fixture *f = *state;
        make_oxen(f, 400 * DAY);
        cleanup_free char *path = place_path(f->place, "ox/data/" EXPORT);
        int ready[2], status;
        char c;
        assert_int_equal(pipe(ready), 0);
        pid_t child = fork();
        if (child == 0) {
                if (open(path, O_WRONLY) < 0 || write(ready[1], "x", 1) != 1)
                        _exit(1);
                pause();
        }
        assert_int_equal(read(ready[0], &c, 1), 1);
        sweep_oxen(f, "ox");
        says(f, "alive data/" EXPORT ": it is open");
        assert_int_equal(f->r.by_proof[OXL_SWEEP_LEASE].files, 3);
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        sweep_oxen(f, "ox");
        assert_int_equal(f->r.by_proof[OXL_SWEEP_LEASE].files, 1);
        close(ready[0]);
        close(ready[1]);
}

static int no_tmpfile(int dirfd, const char *path, int flags, mode_t mode)
{
        if ((flags & O_TMPFILE) == O_TMPFILE) {
                errno = EOPNOTSUPP;
                return -1;
        }
        return openat(dirfd, path, flags, mode);
}

static int aged_unless_probe(int fd, struct stat *ret)
{
        int r = fstat(fd, ret);
        if (r == 0 && S_ISREG(ret->st_mode) && ret->st_size > 0)
                ret->st_ctim.tv_sec -= age;
        return r;
}

static void without_unnamed_files_the_probe_has_a_name_and_is_removed(void **state)
{
        struct fixture *f = *state;
        make_oxen(f, 2 * DAY);
        sys.openat = no_tmpfile;
        sys.fstat = aged_unless_probe;
        sweep_oxen(f, "ox");
        assert_int_equal(f->r.by_proof[OXL_SWEEP_LEASE].files, 4);
        assert_int_equal(place_count(f->place, "ox/data"), 2);
}

static int no_lease(int fd, int type)
{
        errno = EACCES;
        return -1;
}

static void where_nobody_can_tell_temps_of_oxen_stay(void **state)
{
        static const int types[] = { 0x794c7630 /* overlay */, 0x6969 /* NFS */, 0x65735546 /* FUSE */ };
        struct fixture *f = *state;
        make_oxen(f, 400 * DAY);
        sys.fstatfs = some_fs;
        for (size_t i = 0; i < OXL_ARRAY_LEN(types); i++) {
                fs_type = types[i];
                sweep_oxen(f, "ox");
                assert_int_equal(f->r.by_proof[OXL_SWEEP_NO_PROOF].files, 4);
                assert_int_equal(f->r.by_proof[OXL_SWEEP_LEASE].files, 0);
        }
        sys.fstatfs = oxl_sys_real.fstatfs;
        sys.setlease = no_lease;
        sweep_oxen(f, "ox");
        assert_int_equal(f->r.by_proof[OXL_SWEEP_NO_PROOF].files, 4);
        says(f, "Permission denied");
}

static void hostile_names_in_an_oxen_store_stay(void **state)
{
        struct fixture *f = *state;
        char command[1024];
        make_oxen(f, 400 * DAY);
        snprintf(
                command, sizeof command,
                "cd %s/ox/data && ln -s x.tmp l.oxentmp.abcdef && mkdir d.oxentmp.abcdef && mkfifo p.oxentmp.abcdef && "
                "echo >h.oxentmp.abcdef && ln h.oxentmp.abcdef hard && echo >a.oxentmp.abcdeg7 && echo >.oxentmp.01.export-x",
                f->place);
        assert_int_equal(system(command), 0);
        sweep_oxen(f, "ox");
        assert_int_equal(f->r.by_proof[OXL_SWEEP_LEASE].files, 4);
        assert_int_equal(f->r.by_proof[OXL_SWEEP_NOT_OURS].files, 4);
        assert_int_equal(place_count(f->place, "ox/data"), 2 + 7);
}

static void a_bare_store_is_swept_and_other_folders_are_refused(void **state)
{
        struct fixture *f = *state;
        make_oxen(f, 2 * DAY);
        sweep_oxen(f, "ox/.oxen/versions/files");
        says(f, "lease removed 15/77/" SIBLING);
        assert_int_equal(f->r.by_proof[OXL_SWEEP_LEASE].files, 2);
        cleanup_free char *path = place_path(f->place, "ox/data");
        assert_int_equal(oxl_sweeper_oxen(path, &f->o, NULL, NULL, NULL, &f->r, &f->err), -OXL_E_REPO_NOT_FOUND);
}

static void every_proof_has_a_slug(void **state)
{
        int removes = 0;
        for (int p = 0; p < OXL_SWEEP_PROOFS; p++) {
                assert_true(strlen(oxl_sweep_proof_slug((enum oxl_sweep_proof)p)) > 3);
                removes += oxl_sweep_proof_removes((enum oxl_sweep_proof)p);
        }
        assert_int_equal(removes, 3);
        assert_string_equal(oxl_sweep_proof_slug(OXL_SWEEP_PROOFS), "");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                T(a_paused_writer_keeps_its_temps_and_a_killed_one_loses_them_at_once),
                T(what_an_open_intent_needs_waits_for_recovery),
                T(intents_are_read_after_the_owner_was_asked),
                T(two_sweepers_at_once_remove_everything_once),
                T(owners_of_other_machines_are_never_dead),
                T(in_the_working_tree_an_owner_must_be_known_here),
                T(other_repositories_below_are_not_touched),
                T(without_the_option_the_working_tree_is_left_alone),
                T(a_journal_that_cannot_be_read_proves_nothing),
                T(many_owners_are_asked_in_few_readings_of_the_journal),
                T(only_regular_files_of_the_owner_with_one_name_are_touched),
                T(a_dry_run_decides_and_removes_nothing),
                T(what_cannot_be_removed_is_told_and_its_owner_remembered),
                T(on_a_network_file_system_only_records_of_this_machine_prove),
                T(on_a_full_disk_the_reserve_makes_room_and_is_made_again),
                T(what_the_callback_returns_ends_the_sweep),
                T(old_temps_of_oxen_that_nobody_has_open_go),
                T(young_temps_of_oxen_stay),
                T(an_open_temp_of_oxen_stays_however_old),
                T(without_unnamed_files_the_probe_has_a_name_and_is_removed),
                T(where_nobody_can_tell_temps_of_oxen_stay),
                T(hostile_names_in_an_oxen_store_stay),
                T(a_bare_store_is_swept_and_other_folders_are_refused),
                T(every_proof_has_a_slug),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
