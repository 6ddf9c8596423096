/* SPDX-License-Identifier: MIT */
/* The atomic writes on a real file system: contents, names, links, modes, readers, cancellation, races. Numbers are those of
 * the test matrix of the specification. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "digest/digest.h"
#include "durable/durable.h"
#include "os/sys.h"
#include "support/fault.h"

enum { MIB = 1 << 20 };

static char root[64];

static int enter_root(void **state)
{
        snprintf(root, sizeof root, "%s", "/tmp/oxl-atomic-XXXXXX");
        return mkdtemp(root) && chdir(root) == 0 ? 0 : -1;
}

static int leave_root(void **state)
{
        char command[128];
        snprintf(command, sizeof command, "rm -rf %s", root);
        return chdir("/") == 0 && system(command) == 0 ? 0 : -1;
}

static unsigned entries(const char *folder)
{
        unsigned n = 0;
        DIR *dir = opendir(folder);
        assert_non_null(dir);
        for (struct dirent *e; (e = readdir(dir));)
                n += e->d_name[0] != '.';
        closedir(dir);
        return n;
}

static unsigned temps(void)
{
        unsigned n = 0;
        DIR *dir = opendir(".");
        assert_non_null(dir);
        for (struct dirent *e; (e = readdir(dir));)
                n += oxl_temp_name_is_ours(e->d_name, NULL);
        closedir(dir);
        return n;
}

static char *pattern(size_t n, unsigned seed)
{
        char *p = malloc(n + 1);
        assert_non_null(p);
        for (size_t i = 0; i < n; i++)
                p[i] = (char)(i * 131 + i / 4096 + seed);
        return p;
}

static bool file_is(const char *path, const void *want, size_t n)
{
        char *got = malloc(n + 1);
        FILE *f = fopen(path, "r");
        bool same = f && got && fread(got, 1, n + 1, f) == n && memcmp(got, want, n) == 0;
        if (f)
                fclose(f);
        free(got);
        return same;
}

static int put(const char *path, const char *text, const struct oxl_atomic_options *o, struct oxl_error *err)
{
        return oxl_atomic_write_to_path(path, text, strlen(text), o, NULL, err);
}

static void put_ok(const char *path, const char *text)
{
        assert_int_equal(put(path, text, NULL, NULL), 0);
}

static void fails(int r, struct oxl_error *err, enum oxl_code code)
{
        assert_int_equal(r, -(int)code);
        assert_int_equal(err->code, code);
        oxl_error_done(err);
}

struct memory {
        const char *p;
        size_t n, at, step; /* step: most bytes per call */
        size_t fail_at;
        int os; /* what it fails with, at fail_at */
        atomic_bool *cancel;
        const char *change_to; /* chdir here in the middle */
};

static ssize_t read_memory(void *ctx, void *buf, size_t n)
{
        struct memory *m = ctx;
        if (m->os && m->at >= m->fail_at)
                return -m->os;
        if (m->cancel && m->at >= m->fail_at)
                atomic_store(m->cancel, true);
        if (m->change_to && m->at > 0 && chdir(m->change_to) < 0)
                return -errno;
        n = m->step && n > m->step ? m->step : n;
        n = n < m->n - m->at ? n : m->n - m->at;
        if (n > 0)
                memcpy(buf, m->p + m->at, n);
        m->at += n;
        return (ssize_t)n;
}

/* --- contents, matrix 1, 35 ------------------------------------------------------------------------------------------ */

static void what_is_written_is_read_back(void **state)
{
        static const size_t sizes[] = { 0, 1, 4096, 10 * MIB - 1, 10 * MIB, 10 * MIB + 1, 3 * 10 * MIB + 7 };
        for (size_t i = 0; i < OXL_ARRAY_LEN(sizes); i++) {
                char *p = pattern(sizes[i], (unsigned)i);
                struct oxl_atomic_result res;
                assert_int_equal(oxl_atomic_write_to_path("t", p, sizes[i], NULL, &res, NULL), 0);
                assert_int_equal(res.effect, OXL_ATOMIC_PUBLISHED);
                assert_int_equal(res.bytes, sizes[i]);
                assert_true(file_is("t", p, sizes[i]));
                struct memory m = { .p = p, .n = sizes[i], .step = 100000 };
                assert_int_equal(oxl_atomic_write_from_reader("u", read_memory, &m, NULL, &res, NULL), 0);
                assert_int_equal(res.bytes, sizes[i]);
                assert_true(file_is("u", p, sizes[i]));
                assert_int_equal(entries("."), 2);
                free(p);
        }
        unlink("u");
}

static void a_reader_of_single_bytes_makes_one_file(void **state)
{
        char *p = pattern(10000, 9);
        struct memory m = { .p = p, .n = 10000, .step = 1 };
        const struct oxl_atomic_options o = { .buffer_bytes = 4096 };
        assert_int_equal(oxl_atomic_write_from_reader("t", read_memory, &m, &o, NULL, NULL), 0);
        assert_true(file_is("t", p, 10000));
        free(p);
}

static void a_failing_reader_leaves_the_target(void **state)
{
        static const size_t places[] = { 0, 5000, 9999 };
        char *p = pattern(10000, 9);
        put_ok("t", "old");
        for (size_t i = 0; i < OXL_ARRAY_LEN(places); i++) {
                struct oxl_error err = OXL_ERROR_INIT;
                struct memory m = { .p = p, .n = 10000, .step = 1, .fail_at = places[i], .os = ENODATA };
                const struct oxl_atomic_options o = { .buffer_bytes = 4096 };
                int r = oxl_atomic_write_from_reader("t", read_memory, &m, &o, NULL, &err);
                assert_int_equal(err.os, ENODATA);
                fails(r, &err, OXL_E_READER);
                assert_true(file_is("t", "old", 3));
                assert_int_equal(temps(), 0);
        }
        free(p);
}

static void a_source_of_the_wrong_size_is_refused(void **state)
{
        char *p = pattern(10000, 9);
        put_ok("t", "old");
        const uint64_t expect = 9999, more = 10001;
        const struct oxl_atomic_options cases[] = { { .expect_bytes = &expect },
                                                    { .expect_bytes = &more },
                                                    { .max_bytes = 9999 } };
        for (size_t i = 0; i < OXL_ARRAY_LEN(cases); i++) {
                struct oxl_error err = OXL_ERROR_INIT;
                struct memory m = { .p = p, .n = 10000, .step = 777 };
                fails(oxl_atomic_write_from_reader("t", read_memory, &m, &cases[i], NULL, &err), &err, OXL_E_SIZE);
                fails(oxl_atomic_write_to_path("t", p, 10000, &cases[i], NULL, &err), &err, OXL_E_SIZE);
                assert_true(file_is("t", "old", 3));
                assert_int_equal(temps(), 0);
        }
        free(p);
}

/* matrix 38 */
static void an_expected_digest_decides(void **state)
{
        char *p = pattern(10000, 9);
        put_ok("t", "old");
        for (int algo = OXL_ALGO_BLAKE3; algo <= OXL_ALGO_XXH3_128; algo++) {
                struct oxl_error err = OXL_ERROR_INIT;
                struct oxl_digest want = oxl_digest_of((enum oxl_algo)algo, p, 10000);
                struct oxl_atomic_options o = { .expect = &want, .flags = OXL_ATOMIC_READ_BACK, .buffer_bytes = 4096 };
                struct memory m = { .p = p, .n = 10000 };
                assert_int_equal(oxl_atomic_write_to_path("good", p, 10000, &o, NULL, &err), 0);
                assert_int_equal(oxl_atomic_write_from_reader("good", read_memory, &m, &o, NULL, &err), 0);
                assert_true(file_is("good", p, 10000));
                want.bytes[0] ^= 1;
                m.at = 0;
                fault_install(&(struct fault_plan){ 0 });
                int r = oxl_atomic_write_to_path("new/t", p, 10000, &o, NULL, &err);
                (void)fault_remove();
                fails(r, &err, OXL_E_DIGEST);
                assert_int_equal(fault_calls(NULL), 0); /* nothing was touched */
                fails(oxl_atomic_write_from_reader("t", read_memory, &m, &o, NULL, &err), &err, OXL_E_DIGEST);
                assert_true(file_is("t", "old", 3));
                assert_int_equal(temps(), 0);
        }
        unlink("good");
        free(p);
}

/* --- names, matrix 2, 6, 7, 10 ------------------------------------------------------------------------------------------ */

static void names_that_are_no_file_are_refused_untouched(void **state)
{
        static const char *const bad[] = { "", "/", ".", "..", "new/", "new/.", "new/..", "/." };
        char name[300] = "new/";
        memset(name + 4, 'n', 256);
        for (size_t i = 0; i <= OXL_ARRAY_LEN(bad); i++) {
                struct oxl_error err = OXL_ERROR_INIT;
                fails(put(i < OXL_ARRAY_LEN(bad) ? bad[i] : name, "x", NULL, &err), &err, OXL_E_TARGET);
                assert_int_equal(access("new", F_OK), -1);
        }
}

static void unusual_names_work(void **state)
{
        static const char *const names[] = { ".hidden",
                                             "a\nb",
                                             "\xff\xfe",
                                             " ",
                                             "x.oxentmp.a1B2c3",
                                             "-",
                                             "x.oxl-00000000000000a1-0123456789abcdef.tmp" };
        for (size_t i = 0; i < OXL_ARRAY_LEN(names); i++) {
                put_ok(names[i], "x");
                assert_true(file_is(names[i], "x", 1));
                assert_int_equal(unlink(names[i]), 0);
        }
        for (size_t n = 200; n <= 255; n++) {
                char name[256];
                memset(name, 'n', n);
                name[n] = 0;
                put_ok(name, "x");
                assert_int_equal(unlink(name), 0);
        }
        assert_int_equal(temps(), 0);
}

static void a_parent_that_is_a_file_is_a_typed_error(void **state)
{
        struct oxl_error err = OXL_ERROR_INIT;
        put_ok("t", "old");
        int r = put("t/sub/x", "x", NULL, &err);
        assert_int_equal(err.os, ENOTDIR);
        fails(r, &err, OXL_E_DIR_OPEN);
        assert_true(file_is("t", "old", 3));
}

static void a_folder_in_the_target_s_place_stays(void **state)
{
        struct oxl_error err = OXL_ERROR_INIT;
        assert_int_equal(mkdir("folder", 0755), 0);
        int r = put("folder", "x", NULL, &err);
        assert_int_equal(err.os, EISDIR);
        assert_string_equal(err.path[1], "folder");
        fails(r, &err, OXL_E_FILE_RENAME);
        assert_int_equal(temps(), 0);
        assert_int_equal(rmdir("folder"), 0);
}

/* --- links, matrix 8, 9, 14 ---------------------------------------------------------------------------------------------- */

static void links_are_treated_as_the_policy_says(void **state)
{
        struct oxl_error err = OXL_ERROR_INIT;
        struct stat st;
        struct oxl_atomic_options o = { .symlink = OXL_SYMLINK_FOLLOW };
        put_ok("real", "old");
        assert_int_equal(symlink("real", "l1"), 0);
        assert_int_equal(symlink("l1", "l2"), 0);
        assert_int_equal(symlink("made/by/follow", "dangling"), 0);
        assert_int_equal(symlink("loop", "loop"), 0);
        assert_int_equal(put("l2", "followed", &o, &err), 0);
        assert_true(file_is("real", "followed", 8));
        assert_int_equal(put("dangling", "there", &o, &err), 0);
        assert_true(file_is("made/by/follow", "there", 5));
        fails(put("loop", "x", &o, &err), &err, OXL_E_FILE_SYMLINK);
        o.symlink = OXL_SYMLINK_REFUSE;
        fails(put("l1", "x", &o, &err), &err, OXL_E_FILE_SYMLINK);
        o.symlink = OXL_SYMLINK_REPLACE;
        assert_int_equal(put("l1", "replaced", &o, &err), 0);
        assert_true(lstat("l1", &st) == 0 && S_ISREG(st.st_mode));
        assert_true(file_is("real", "followed", 8));
        assert_int_equal(temps(), 0);
        assert_int_equal(system("rm -rf real l1 l2 dangling loop made"), 0);
}

static void the_other_name_of_a_hard_link_keeps_its_bytes(void **state)
{
        put_ok("one", "old");
        assert_int_equal(link("one", "two"), 0);
        put_ok("one", "new");
        assert_true(file_is("one", "new", 3));
        assert_true(file_is("two", "old", 3));
        unlink("one");
        unlink("two");
}

static void a_link_never_leads_a_durable_write_out_of_its_root(void **state)
{
        struct oxl_error err = OXL_ERROR_INIT;
        struct oxl_durable *d = NULL;
        assert_int_equal(system("mkdir -p repo outside && ln -s ../outside repo/out"), 0);
        int fd = open("repo", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(oxl_durable_new(fd, "repo", 0xa1, &d, &err), 0);
        fails(oxl_durable_write(d, "out/t", "x", 1, &err), &err, OXL_E_DIR_OPEN);
        fails(oxl_durable_write(d, "../outside/t", "x", 1, &err), &err, OXL_E_PATH);
        assert_int_equal(oxl_durable_write(d, "a/b/t", "x", 1, &err), 0);
        assert_true(file_is("repo/a/b/t", "x", 1));
        assert_int_equal(entries("outside"), 0);
        oxl_durable_free(d);
        close(fd);
        assert_int_equal(system("rm -rf repo outside"), 0);
}

/* --- mode, owner, time, matrix 11, 12, 15 ----------------------------------------------------------------------------------- */

static mode_t mode_of(const char *path)
{
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        return st.st_mode & 07777;
}

static void modes_are_those_of_a_plain_open(void **state)
{
        static const mode_t umasks[] = { 0, 022, 077 };
        for (size_t i = 0; i < OXL_ARRAY_LEN(umasks); i++) {
                mode_t before = umask(umasks[i]);
                const struct oxl_atomic_options o = { .mode = 0755 }, narrow = { .mode = 0444 };
                put_ok("t", "x");
                assert_int_equal(put("u", "x", &o, NULL), 0);
                assert_int_equal(put("v", "x", &narrow, NULL), 0);
                umask(before);
                assert_int_equal(mode_of("t"), 0666 & ~umasks[i]);
                assert_int_equal(mode_of("u"), 0755 & ~umasks[i]);
                assert_int_equal(mode_of("v"), 0444 & ~umasks[i]);
                assert_int_equal(system("rm -f t u v"), 0);
        }
}

static void a_kept_mode_survives_and_a_link_s_does_not_count(void **state)
{
        const struct oxl_atomic_options o = { .flags = OXL_ATOMIC_PRESERVE_MODE | OXL_ATOMIC_TRY_OWNER };
        put_ok("t", "old");
        assert_int_equal(chmod("t", 0751), 0);
        assert_int_equal(put("t", "new", &o, NULL), 0);
        assert_int_equal(mode_of("t"), 0751);
        assert_int_equal(symlink("t", "l"), 0);
        assert_int_equal(put("l", "new", &o, NULL), 0);
        assert_int_equal(mode_of("l") & 0111, 0);
        assert_int_equal(system("rm -f t l"), 0);
}

static void a_time_given_is_the_time_of_the_file(void **state)
{
        const struct timespec when = { .tv_sec = 1234567890, .tv_nsec = 5000 };
        const struct oxl_atomic_options o = { .mtime = &when };
        struct stat st;
        assert_int_equal(put("t", "x", &o, NULL), 0);
        assert_int_equal(stat("t", &st), 0);
        assert_int_equal(st.st_mtim.tv_sec, when.tv_sec);
        assert_int_equal(st.st_mtim.tv_nsec, when.tv_nsec);
        assert_int_not_equal(st.st_atim.tv_sec, when.tv_sec);
}

/* --- limits, matrix 21, 22 ----------------------------------------------------------------------------------------------------- */

static int write_beyond_rlimit(void)
{
        struct oxl_error err = OXL_ERROR_INIT;
        const struct rlimit limit = { 10000, 10000 };
        char big[20000] = { 0 };
        signal(SIGXFSZ, SIG_IGN);
        if (setrlimit(RLIMIT_FSIZE, &limit) < 0)
                return 1;
        if (oxl_atomic_write_to_path("t", big, sizeof big, NULL, NULL, &err) != -OXL_E_FILE_WRITE)
                return 2;
        return err.os == EFBIG ? 0 : 3;
}

static int write_to_full_disk(void)
{
        struct oxl_error err = OXL_ERROR_INIT;
        static char big[2 * MIB];
        struct memory m = { .p = big, .n = sizeof big };
        if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mkdir("full", 0755) < 0 || mount("none", "full", "tmpfs", 0, "size=1m") < 0)
                return 77;
        if (put("full/t", "old", NULL, NULL) < 0)
                return 1;
        if (oxl_atomic_write_to_path("full/t", big, sizeof big, NULL, NULL, &err) != -OXL_E_FILE_WRITE ||
            err.os != ENOSPC)
                return 2;
        if (oxl_atomic_write_from_reader("full/t", read_memory, &m, NULL, NULL, &err) != -OXL_E_FILE_WRITE ||
            err.os != ENOSPC)
                return 3;
        return file_is("full/t", "old", 3) && entries("full") == 1 ? 0 : 4;
}

static int in_child(int (*fn)(void))
{
        pid_t pid = fork();
        if (pid == 0)
                _exit(fn());
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        return WEXITSTATUS(status);
}

static void a_file_size_limit_is_a_typed_error(void **state)
{
        put_ok("t", "old");
        assert_int_equal(in_child(write_beyond_rlimit), 0);
        assert_true(file_is("t", "old", 3));
        assert_int_equal(temps(), 0);
}

static void a_full_disk_leaves_the_target(void **state)
{
        int r = in_child(write_to_full_disk);
        if (r == 77) {
                print_message("NOT TRIED: a full disk: needs the right to mount a tmpfs\n");
                skip();
        }
        assert_int_equal(r, 0);
}

/* --- cancellation, matrix 36, 37 -------------------------------------------------------------------------------------------------- */

static void cancelling_before_the_rename_changes_nothing(void **state)
{
        char *p = pattern(20000, 9);
        struct oxl_error err = OXL_ERROR_INIT;
        struct oxl_atomic_result res;
        atomic_bool cancel = true;
        const struct oxl_atomic_options o = { .cancel = &cancel, .buffer_bytes = 4096 };
        put_ok("t", "old");
        fault_install(&(struct fault_plan){ 0 });
        int r = oxl_atomic_write_to_path("new/t", p, 20000, &o, &res, &err);
        (void)fault_remove();
        fails(r, &err, OXL_E_CANCELLED);
        assert_int_equal(fault_calls(NULL), 0);             /* before anything is created */
        static const size_t places[] = { 0, 10000, 20000 }; /* 20000: after the last byte, before the rename */
        for (size_t i = 0; i < OXL_ARRAY_LEN(places); i++) {
                struct memory m = { .p = p, .n = 20000, .cancel = &cancel, .fail_at = places[i] };
                atomic_store(&cancel, false);
                fails(oxl_atomic_write_from_reader("t", read_memory, &m, &o, &res, &err), &err, OXL_E_CANCELLED);
                assert_int_equal(res.effect, OXL_ATOMIC_UNCHANGED);
                assert_true(file_is("t", "old", 3));
                assert_int_equal(temps(), 0);
        }
        free(p);
}

static void a_cancelled_pipe_is_no_end_of_file(void **state)
{
        char *p = pattern(20000, 9);
        struct oxl_error err = OXL_ERROR_INIT;
        put_ok("t", "old");
        struct memory m = { .p = p, .n = 20000, .fail_at = 10000, .os = ECANCELED, .step = 10000 };
        fails(oxl_atomic_write_from_reader("t", read_memory, &m, NULL, NULL, &err), &err, OXL_E_CANCELLED);
        assert_true(file_is("t", "old", 3));
        free(p);
}

static atomic_bool *cancel_at_rename;

static int rename_and_cancel(int fromfd, const char *from, int tofd, const char *to, unsigned flags)
{
        int r = oxl_sys_real.renameat2(fromfd, from, tofd, to, flags);
        atomic_store(cancel_at_rename, true);
        return r;
}

static void cancelling_after_the_rename_is_too_late(void **state)
{
        atomic_bool cancel = false;
        const struct oxl_atomic_options o = { .cancel = &cancel };
        struct oxl_sys table = oxl_sys_real;
        table.renameat2 = rename_and_cancel;
        cancel_at_rename = &cancel;
        oxl_sys = &table;
        int r = put("t", "new", &o, NULL);
        oxl_sys = &oxl_sys_real;
        assert_int_equal(r, 0);
        assert_true(atomic_load(&cancel));
        assert_true(file_is("t", "new", 3));
}

/* matrix 63 */
static void a_write_lands_where_it_began(void **state)
{
        char *p = pattern(20000, 9);
        assert_int_equal(system("mkdir -p here/deep elsewhere"), 0);
        struct memory m = { .p = p, .n = 20000, .step = 10000, .change_to = "/" };
        assert_int_equal(chdir("here"), 0);
        assert_int_equal(oxl_atomic_write_from_reader("deep/t", read_memory, &m, NULL, NULL, NULL), 0);
        assert_int_equal(chdir(root), 0);
        assert_true(file_is("here/deep/t", p, 20000));
        assert_int_equal(entries("here/deep"), 1);
        assert_int_equal(system("rm -rf here elsewhere"), 0);
        free(p);
}

/* --- races, matrix 30, 55, 58 --------------------------------------------------------------------------------------------------------- */

enum { WRITERS = 16, ROUNDS = 25, PAYLOAD = 20000 };

struct writer {
        pthread_t thread;
        unsigned number;
        int r;
        bool no_replace;
};

static void *write_in_thread(void *ctx)
{
        struct writer *w = ctx;
        const struct oxl_atomic_options o = { .flags = OXL_ATOMIC_NO_REPLACE };
        char bytes[PAYLOAD];
        for (int i = 0; i < (w->no_replace ? 1 : ROUNDS); i++) {
                memset(bytes, (int)(w->number + (unsigned)i), sizeof bytes);
                w->r = oxl_atomic_write_to_path("raced", bytes, sizeof bytes, w->no_replace ? &o : NULL, NULL, NULL);
                if (w->r < 0)
                        break;
        }
        return NULL;
}

/* A version is whole when all of its bytes are equal. */
static bool reads_whole(const char *path)
{
        char got[PAYLOAD + 1];
        int fd = open(path, O_RDONLY);
        ssize_t n = fd < 0 ? -1 : read(fd, got, sizeof got);
        close(fd);
        if (n != PAYLOAD)
                return false;
        return memcmp(got, got + 1, PAYLOAD - 1) == 0;
}

static int write_in_process(void)
{
        struct writer w = { .number = (unsigned)getpid() };
        write_in_thread(&w);
        return w.r == 0 ? 0 : 1;
}

static void readers_see_whole_versions_only(void **state)
{
        struct writer threads[4] = { { .number = 1 }, { .number = 2 }, { .number = 3 }, { .number = 4 } };
        pid_t children[4];
        char bytes[PAYLOAD];
        memset(bytes, 'a', sizeof bytes);
        assert_int_equal(oxl_atomic_write_to_path("raced", bytes, sizeof bytes, NULL, NULL, NULL), 0);
        for (int i = 0; i < 4; i++) {
                children[i] = fork();
                if (children[i] == 0)
                        _exit(write_in_process());
        }
        for (int i = 0; i < 4; i++)
                assert_int_equal(pthread_create(&threads[i].thread, NULL, write_in_thread, &threads[i]), 0);
        unsigned broken = 0;
        for (int i = 0; i < 500; i++)
                broken += !reads_whole("raced");
        for (int i = 0; i < 4; i++) {
                int status;
                assert_int_equal(pthread_join(threads[i].thread, NULL), 0);
                assert_int_equal(threads[i].r, 0);
                assert_int_equal(waitpid(children[i], &status, 0), children[i]);
                assert_int_equal(status, 0);
        }
        assert_int_equal(broken, 0);
        assert_int_equal(temps(), 0);
        unlink("raced");
}

static void of_writers_that_may_not_replace_one_wins(void **state)
{
        struct writer w[WRITERS];
        unsigned won = 0;
        for (unsigned i = 0; i < WRITERS; i++) {
                w[i] = (struct writer){ .number = i, .no_replace = true };
                assert_int_equal(pthread_create(&w[i].thread, NULL, write_in_thread, &w[i]), 0);
        }
        for (unsigned i = 0; i < WRITERS; i++) {
                assert_int_equal(pthread_join(w[i].thread, NULL), 0);
                assert_true(w[i].r == 0 || w[i].r == -OXL_E_FILE_EXISTS);
                won += w[i].r == 0;
        }
        assert_int_equal(won, 1);
        assert_true(reads_whole("raced"));
        assert_int_equal(temps(), 0);
        unlink("raced");
}

static ssize_t read_and_fork(void *ctx, void *buf, size_t n)
{
        unsigned *calls = ctx;
        if ((*calls)++ > 0)
                return 0;
        pid_t pid = fork();
        if (pid == 0)
                exit(0); /* with all its exit handlers */
        int status;
        if (waitpid(pid, &status, 0) != pid || temps() != 1)
                return -EIO;
        memcpy(buf, "new", 3);
        return 3;
}

static void a_child_that_exits_removes_nothing(void **state)
{
        unsigned calls = 0;
        assert_int_equal(oxl_atomic_write_from_reader("t", read_and_fork, &calls, NULL, NULL, NULL), 0);
        assert_true(file_is("t", "new", 3));
}

/* --- batches, matrix 70 ------------------------------------------------------------------------------------------------------------------ */

static void a_batch_of_64_files_needs_few_syncs(void **state)
{
        struct oxl_batch *b = NULL;
        size_t published;
        assert_int_equal(mkdir("batch", 0755), 0);
        assert_int_equal(oxl_batch_begin(NULL, &b, NULL), 0);
        fault_install(&(struct fault_plan){ 0 });
        for (int i = 0; i < 64; i++) {
                char name[32];
                snprintf(name, sizeof name, "batch/%02d", i);
                assert_int_equal(oxl_batch_add(b, name, name, 8, NULL), 0);
        }
        assert_int_equal(entries("batch"), 64);
        assert_int_equal(access("batch/00", F_OK), -1); /* nothing is visible before commit */
        assert_int_equal(oxl_batch_commit(b, &published, NULL), 0);
        oxl_batch_free(b);
        (void)fault_remove();
        assert_int_equal(published, 64);
        assert_int_equal(fault_calls("fsync") + fault_calls("syncfs"), 2);
        assert_int_equal(entries("batch"), 64);
        assert_true(file_is("batch/63", "batch/63", 8));
        assert_int_equal(system("rm -rf batch"), 0);
}

static void an_abandoned_batch_leaves_nothing(void **state)
{
        struct oxl_batch *b = NULL;
        assert_int_equal(oxl_batch_begin(NULL, &b, NULL), 0);
        assert_int_equal(oxl_batch_add(b, "never", "x", 1, NULL), 0);
        assert_int_equal(temps(), 1);
        oxl_batch_free(b);
        assert_int_equal(temps(), 0);
        assert_int_equal(access("never", F_OK), -1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_written_is_read_back),
                cmocka_unit_test(a_reader_of_single_bytes_makes_one_file),
                cmocka_unit_test(a_failing_reader_leaves_the_target),
                cmocka_unit_test(a_source_of_the_wrong_size_is_refused),
                cmocka_unit_test(an_expected_digest_decides),
                cmocka_unit_test(names_that_are_no_file_are_refused_untouched),
                cmocka_unit_test(unusual_names_work),
                cmocka_unit_test(a_parent_that_is_a_file_is_a_typed_error),
                cmocka_unit_test(a_folder_in_the_target_s_place_stays),
                cmocka_unit_test(links_are_treated_as_the_policy_says),
                cmocka_unit_test(the_other_name_of_a_hard_link_keeps_its_bytes),
                cmocka_unit_test(a_link_never_leads_a_durable_write_out_of_its_root),
                cmocka_unit_test(modes_are_those_of_a_plain_open),
                cmocka_unit_test(a_kept_mode_survives_and_a_link_s_does_not_count),
                cmocka_unit_test(a_time_given_is_the_time_of_the_file),
                cmocka_unit_test(a_file_size_limit_is_a_typed_error),
                cmocka_unit_test(a_full_disk_leaves_the_target),
                cmocka_unit_test(cancelling_before_the_rename_changes_nothing),
                cmocka_unit_test(a_cancelled_pipe_is_no_end_of_file),
                cmocka_unit_test(cancelling_after_the_rename_is_too_late),
                cmocka_unit_test(a_write_lands_where_it_began),
                cmocka_unit_test(readers_see_whole_versions_only),
                cmocka_unit_test(of_writers_that_may_not_replace_one_wins),
                cmocka_unit_test(a_child_that_exits_removes_nothing),
                cmocka_unit_test(a_batch_of_64_files_needs_few_syncs),
                cmocka_unit_test(an_abandoned_batch_leaves_nothing),
        };
        return cmocka_run_group_tests(tests, enter_root, leave_root);
}
