/* SPDX-License-Identifier: MIT */
/*
 * Every system call of the durable layer fails once, and from then on for ever, with each errno of a sick disk. After each
 * failure: the code is one that the header promises, the message names a file, the effect is true, the target is old or
 * new and whole, no temp is left unless that was said, no descriptor leaks, and the next call works.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "durable/durable.h"
#include "os/fdio.h"
#include "support/fault.h"

enum { OLD_BYTES = 3000, NEW_BYTES = 9000, BATCH = 3 };

static char old_bytes[OLD_BYTES], new_bytes[NEW_BYTES];
static char root[64];

static int enter_root(void **state)
{
        snprintf(root, sizeof root, "%s", "/tmp/oxl-fault-XXXXXX");
        for (size_t i = 0; i < NEW_BYTES; i++)
                new_bytes[i] = (char)(i * 7 + 3);
        memset(old_bytes, 'o', sizeof old_bytes);
        return mkdtemp(root) && chdir(root) == 0 ? 0 : -1;
}

static int leave_root(void **state)
{
        char command[128];
        snprintf(command, sizeof command, "rm -rf %s", root);
        return chdir("/") == 0 && system(command) == 0 ? 0 : -1;
}

static void put_old(const char *path)
{
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        assert_int_equal(fwrite(old_bytes, 1, sizeof old_bytes, f), sizeof old_bytes);
        assert_int_equal(fclose(f), 0);
}

enum content { OLD, NEW, ABSENT, BROKEN };

static enum content look(const char *path)
{
        char got[NEW_BYTES + 1];
        FILE *f = fopen(path, "r");
        if (!f)
                return ABSENT;
        size_t n = fread(got, 1, sizeof got, f);
        fclose(f);
        if (n == OLD_BYTES && memcmp(got, old_bytes, n) == 0)
                return OLD;
        return n == NEW_BYTES && memcmp(got, new_bytes, n) == 0 ? NEW : BROKEN;
}

/* Temps in the working folder and in sub/. */
static unsigned temps(void)
{
        unsigned n = 0;
        static const char *const folders[] = { ".", "sub", "sub/deep" };
        for (size_t i = 0; i < 3; i++) {
                DIR *dir = opendir(folders[i]);
                for (struct dirent *e; dir && (e = readdir(dir));)
                        n += oxl_temp_name_is_ours(e->d_name, NULL);
                if (dir)
                        closedir(dir);
        }
        return n;
}

/* Leftovers are allowed only where said; they are removed so that the next round starts clean. */
static void sweep_all(void)
{
        static const char *const folders[] = { ".", "sub", "sub/deep" };
        for (size_t i = 0; i < 3; i++) {
                int fd = open(folders[i], O_RDONLY | O_DIRECTORY);
                DIR *dir = fd < 0 ? NULL : fdopendir(fd);
                for (struct dirent *e; dir && (e = readdir(dir));)
                        if (oxl_temp_name_is_ours(e->d_name, NULL))
                                assert_int_equal(unlinkat(dirfd(dir), e->d_name, 0), 0);
                if (dir)
                        closedir(dir);
        }
        assert_true(rmdir("sub/deep") == 0 || errno == ENOENT || errno == ENOTEMPTY);
}

/* --- the calls under test ------------------------------------------------------------------------------------------- */

struct result {
        int r;
        struct oxl_error err;
        struct oxl_atomic_result res; /* of the atomic calls */
        bool has_res;
        bool poisoned;
        size_t published; /* of a batch: targets that are new though it failed */
};

struct subject {
        const char *name;
        const char *target;
        void (*run)(struct result *ret);
};

static void run_to_path(struct result *ret)
{
        ret->has_res = true;
        ret->r = oxl_atomic_write_to_path("t", new_bytes, NEW_BYTES, NULL, &ret->res, &ret->err);
}

static void run_strict_deep(struct result *ret)
{
        const struct oxl_atomic_options o = { .flags = OXL_ATOMIC_STRICT | OXL_ATOMIC_PRESERVE_MODE };
        ret->has_res = true;
        ret->r = oxl_atomic_write_to_path("sub/deep/t", new_bytes, NEW_BYTES, &o, &ret->res, &ret->err);
}

static ssize_t read_new(void *ctx, void *buf, size_t n)
{
        size_t *at = ctx;
        n = n < 1000 ? n : 1000;
        n = n < NEW_BYTES - *at ? n : NEW_BYTES - *at;
        memcpy(buf, new_bytes + *at, n);
        *at += n;
        return (ssize_t)n;
}

static void run_from_reader(struct result *ret)
{
        size_t at = 0;
        const struct timespec time = { .tv_sec = 1000000 };
        const struct oxl_atomic_options o = { .buffer_bytes = 4096, .mtime = &time, .flags = OXL_ATOMIC_READ_BACK };
        ret->has_res = true;
        ret->r = oxl_atomic_write_from_reader("t", read_new, &at, &o, &ret->res, &ret->err);
}

static void run_batch(struct result *ret)
{
        struct oxl_batch *b = NULL;
        const struct oxl_atomic_options o = { .flags = OXL_ATOMIC_STRICT };
        ret->r = oxl_batch_begin(&o, &b, &ret->err);
        if (ret->r == 0)
                ret->r = oxl_batch_add(b, "t", new_bytes, NEW_BYTES, &ret->err);
        if (ret->r == 0)
                ret->r = oxl_batch_add(b, "sub/u", new_bytes, NEW_BYTES, &ret->err);
        if (ret->r == 0)
                ret->r = oxl_batch_commit(b, &ret->published, &ret->err);
        oxl_batch_free(b);
}

static void run_stage(struct result *ret)
{
        struct oxl_durable *d = NULL;
        struct oxl_stage *s = NULL;
        int fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        ret->r = oxl_durable_new(fd, "root", 0xa1, &d, &ret->err);
        if (ret->r == 0)
                ret->r = oxl_stage_open(d, "sub", "t", OXL_STAGE_READ_ONLY, &s, &ret->err);
        if (ret->r == 0)
                ret->r = oxl_stage_write(s, new_bytes, NEW_BYTES, &ret->err);
        if (ret->r == 0)
                ret->r = oxl_stage_sync(s, &ret->err);
        if (ret->r == 0)
                ret->r = oxl_stage_publish(s, "t", false, &ret->err);
        oxl_stage_free(s);
        if (ret->r == 0)
                ret->r = oxl_durable_barrier(d, &ret->err);
        ret->poisoned = d && oxl_durable_poisoned(d);
        oxl_durable_free(d);
        close(fd);
}

static const struct subject subjects[] = {
        { "to path", "t", run_to_path },    { "strict, deep", "sub/deep/t", run_strict_deep },
        { "reader", "t", run_from_reader }, { "batch", "t", run_batch },
        { "stage", "t", run_stage },
};

/* --- what must hold afterwards ------------------------------------------------------------------------------------------ */

static bool code_is_promised(enum oxl_code code)
{
        static const enum oxl_code promised[] = { OXL_E_DIR_CREATE, OXL_E_DIR_OPEN,    OXL_E_FILE_CREATE,
                                                  OXL_E_FILE_WRITE, OXL_E_FILE_META,   OXL_E_FILE_SYNC,
                                                  OXL_E_FILE_CLOSE, OXL_E_FILE_RENAME, OXL_E_FILE_STAT,
                                                  OXL_E_FILE_OPEN,  OXL_E_FILE_READ,   OXL_E_FILE_LOCK,
                                                  OXL_E_RANDOM,     OXL_E_DIR_SYNC,    OXL_E_NOMEM };
        for (size_t i = 0; i < OXL_ARRAY_LEN(promised); i++)
                if (promised[i] == code)
                        return true;
        return false;
}

static void check(const struct subject *s, const struct result *res, const struct fault_plan *plan, unsigned fds)
{
        enum content now = look(s->target);
        assert_int_equal(fault_open_descriptors(), fds);
        assert_true(now == OLD || now == NEW);
        if (res->r == 0) {
                assert_int_equal(now, NEW);
                assert_int_equal(res->err.code, 0);
                assert_true(!res->has_res || res->res.effect != OXL_ATOMIC_UNCHANGED);
        } else {
                char text[512];
                assert_int_equal(-res->r, res->err.code);
                assert_true(code_is_promised(res->err.code));
                assert_true(oxl_error_text(&res->err, text, sizeof text) > 0);
                assert_true(res->err.code == OXL_E_NOMEM || strstr(text, strerror(plan->os)));
                assert_true(res->err.code == OXL_E_NOMEM || res->err.path[0]);
                if (res->err.code == OXL_E_DIR_SYNC || res->published > 0)
                        assert_int_equal(now, NEW);
                else
                        assert_int_equal(now, OLD);
                if (res->has_res)
                        assert_int_equal(res->res.effect,
                                         res->err.code == OXL_E_DIR_SYNC ? OXL_ATOMIC_UNKNOWN : OXL_ATOMIC_UNCHANGED);
        }
        enum oxl_code c = res->err.code;
        if (s->run == run_stage)
                assert_int_equal(res->poisoned, c == OXL_E_FILE_SYNC || c == OXL_E_FILE_CLOSE || c == OXL_E_DIR_SYNC);
        if (res->has_res)
                assert_int_equal(temps() > 0, res->res.leftover);
        else if (fault_calls("unlinkat") == 0 || !plan->for_ever)
                assert_int_equal(temps(), 0);
}

static unsigned fail_each_call_of(const struct subject *s, struct fault_plan plan)
{
        for (plan.nth = 1;; plan.nth++) {
                (void)mkdir("sub", 0755);
                put_old("t");
                if (strncmp(s->target, "sub/deep", 8) == 0) {
                        (void)mkdir("sub/deep", 0755);
                        put_old(s->target);
                }
                unsigned fds = fault_open_descriptors();
                struct result res = { .err = OXL_ERROR_INIT };
                fault_install(&plan);
                s->run(&res);
                bool fired = fault_remove();
                check(s, &res, &plan, fds);
                oxl_error_done(&res.err);
                sweep_all();
                struct result again = { .err = OXL_ERROR_INIT };
                s->run(&again);
                assert_int_equal(again.r, 0);
                assert_int_equal(look(s->target), NEW);
                if (!fired)
                        return plan.nth - 1;
        }
}

static void fail_everything(int os)
{
        for (size_t i = 0; i < OXL_ARRAY_LEN(subjects); i++) {
                unsigned once = fail_each_call_of(&subjects[i], (struct fault_plan){ .os = os });
                unsigned for_ever = fail_each_call_of(&subjects[i], (struct fault_plan){ .os = os, .for_ever = true });
                assert_true(once > 5 && for_ever > 5);
                print_message("%-14s %-28s %u calls failed once, %u for ever\n", subjects[i].name, strerror(os), once,
                              for_ever);
        }
}

/* matrix 19, 20, 42 */
static void any_call_fails_with_eio(void **state)
{
        fail_everything(EIO);
}

static void any_call_fails_with_enospc(void **state)
{
        fail_everything(ENOSPC);
}

static void any_call_fails_with_emfile(void **state)
{
        fail_everything(EMFILE);
}

/* --- interruptions and short writes, matrix 16, 17 ------------------------------------------------------------------------- */

static void any_call_interrupted_succeeds(struct fault_plan plan)
{
        plan.os = EINTR;
        for (size_t i = 0; i < OXL_ARRAY_LEN(subjects); i++) {
                for (plan.nth = 1;; plan.nth++) {
                        (void)mkdir("sub", 0755);
                        put_old("t");
                        struct result res = { .err = OXL_ERROR_INIT };
                        unsigned fds = fault_open_descriptors();
                        fault_install(&plan);
                        subjects[i].run(&res);
                        bool fired = fault_remove();
                        assert_int_equal(res.r, 0);
                        assert_int_equal(look(subjects[i].target), NEW);
                        assert_int_equal(fault_open_descriptors(), fds);
                        assert_int_equal(temps(), 0);
                        if (!fired)
                                break;
                }
        }
}

static void any_call_interrupted_once_succeeds(void **state)
{
        any_call_interrupted_succeeds((struct fault_plan){ .times = 1 });
}

static void any_call_interrupted_a_hundred_times_succeeds(void **state)
{
        any_call_interrupted_succeeds((struct fault_plan){ .times = 100 });
}

static void short_writes_make_a_whole_file(void **state)
{
        const struct fault_plan plans[] = { { .short_write = 1 }, { .short_write = 4095 }, { .one_less = true } };
        for (size_t p = 0; p < OXL_ARRAY_LEN(plans); p++) {
                for (size_t i = 0; i < OXL_ARRAY_LEN(subjects); i++) {
                        put_old("t");
                        struct result res = { .err = OXL_ERROR_INIT };
                        fault_install(&plans[p]);
                        subjects[i].run(&res);
                        (void)fault_remove();
                        assert_int_equal(res.r, 0);
                        assert_int_equal(look(subjects[i].target), NEW);
                }
        }
}

/* matrix 18 */
static void a_write_of_nothing_is_an_error_and_no_loop(void **state)
{
        struct result res = { .err = OXL_ERROR_INIT };
        put_old("t");
        fault_install(&(struct fault_plan){ .only = "pwrite", .nth = 1, .for_ever = true });
        run_to_path(&res);
        assert_true(fault_remove());
        assert_int_equal(res.err.code, OXL_E_FILE_WRITE);
        assert_int_equal(fault_calls("pwrite"), 1);
        assert_int_equal(look("t"), OLD);
        oxl_error_done(&res.err);
}

/* --- the sync is final, matrix 23, 24 ---------------------------------------------------------------------------------------- */

static void a_failed_fsync_is_called_once_and_nothing_is_renamed(void **state)
{
        static const int causes[] = { EIO, ENOSPC, EDQUOT };
        for (size_t c = 0; c < OXL_ARRAY_LEN(causes); c++) {
                for (size_t i = 0; i < OXL_ARRAY_LEN(subjects); i++) {
                        struct result res = { .err = OXL_ERROR_INIT };
                        (void)mkdir("sub", 0755);
                        put_old("t");
                        fault_install(&(struct fault_plan){ .only = "fsync", .nth = 1, .os = causes[c] });
                        subjects[i].run(&res);
                        assert_true(fault_remove());
                        assert_int_equal(res.err.code, OXL_E_FILE_SYNC);
                        assert_int_equal(res.err.os, causes[c]);
                        assert_int_equal(fault_calls("fsync"), 1);
                        assert_int_equal(fault_calls("renameat2"), 0);
                        assert_int_equal(temps(), 0);
                        assert_true(subjects[i].run != run_stage || res.poisoned);
                        oxl_error_done(&res.err);
                }
        }
}

static void a_poisoned_object_takes_no_more_writes(void **state)
{
        struct oxl_error err = OXL_ERROR_INIT;
        struct oxl_durable *d = NULL;
        int fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        put_old("t");
        assert_int_equal(oxl_durable_new(fd, "root", 0xa1, &d, &err), 0);
        fault_install(&(struct fault_plan){ .only = "fsync", .nth = 1, .os = EIO });
        assert_int_equal(oxl_durable_write(d, "t", "x", 1, &err), -OXL_E_FILE_SYNC);
        assert_true(fault_remove());
        assert_int_equal(oxl_durable_write(d, "t", "x", 1, &err), -OXL_E_POISONED);
        assert_int_equal(oxl_durable_mkdir(d, "sub/new", &err), -OXL_E_POISONED);
        assert_int_equal(oxl_durable_barrier(d, &err), -OXL_E_POISONED);
        assert_int_equal(look("t"), OLD);
        oxl_error_done(&err);
        oxl_durable_free(d);
        close(fd);
}

/* matrix 26 */
static void a_failed_close_of_the_written_file_leaves_the_target(void **state)
{
        for (int only_first = 0; only_first < 2; only_first++) {
                struct result res = { .err = OXL_ERROR_INIT };
                put_old("t");
                fault_install(&(struct fault_plan){ .only = "close", .nth = 1, .os = only_first ? EDQUOT : EIO });
                run_to_path(&res);
                assert_true(fault_remove());
                assert_int_equal(res.err.code, OXL_E_FILE_CLOSE);
                assert_int_equal(res.res.effect, OXL_ATOMIC_UNCHANGED);
                assert_int_equal(fault_calls("renameat2"), 0);
                assert_int_equal(look("t"), OLD);
                assert_int_equal(temps(), 0);
                oxl_error_done(&res.err);
        }
}

/* --- rename, matrix 27, 28, 30, 31 --------------------------------------------------------------------------------------------- */

static void a_failed_rename_names_both_files_and_leaves_no_temp(void **state)
{
        static const int causes[] = { EXDEV, EBUSY, EACCES, EPERM, EIO };
        for (size_t i = 0; i < OXL_ARRAY_LEN(causes); i++) {
                struct result res = { .err = OXL_ERROR_INIT };
                put_old("t");
                fault_install(&(struct fault_plan){ .only = "renameat2", .nth = 1, .os = causes[i] });
                run_to_path(&res);
                assert_true(fault_remove());
                assert_int_equal(res.err.code, OXL_E_FILE_RENAME);
                assert_int_equal(res.err.os, causes[i]);
                assert_true(oxl_temp_name_is_ours(res.err.path[0], NULL));
                assert_string_equal(res.err.path[1], "t");
                assert_int_equal(look("t"), OLD);
                assert_int_equal(temps(), 0);
                oxl_error_done(&res.err);
        }
}

static void a_rename_that_happened_is_published_whatever_the_server_said(void **state)
{
        static const int causes[] = { ENOENT, EIO, ESTALE };
        for (size_t i = 0; i < OXL_ARRAY_LEN(causes); i++) {
                struct result res = { .err = OXL_ERROR_INIT };
                put_old("t");
                fault_install(&(struct fault_plan){ .only = "renameat2", .nth = 1, .os = causes[i], .after = true });
                run_to_path(&res);
                assert_true(fault_remove());
                assert_int_equal(res.r, 0);
                assert_int_equal(res.res.effect, OXL_ATOMIC_PUBLISHED);
                assert_false(res.res.leftover);
                assert_int_equal(look("t"), NEW);
        }
}

static int write_no_replace(const char *path, struct oxl_error *err)
{
        const struct oxl_atomic_options o = { .flags = OXL_ATOMIC_NO_REPLACE };
        return oxl_atomic_write_to_path(path, new_bytes, NEW_BYTES, &o, NULL, err);
}

static void no_replace_falls_back_to_a_link(void **state)
{
        struct oxl_error err = OXL_ERROR_INIT;
        fault_install(&(struct fault_plan){ .only = "renameat2", .nth = 1, .os = EINVAL, .for_ever = true });
        assert_int_equal(write_no_replace("fresh", &err), 0);
        assert_int_equal(write_no_replace("fresh", &err), -OXL_E_FILE_EXISTS);
        assert_true(fault_remove());
        assert_int_equal(look("fresh"), NEW);
        assert_int_equal(temps(), 0); /* matrix 31: the temp is unlinked, not renamed over its own inode */
        assert_int_equal(unlink("fresh"), 0);
        oxl_error_done(&err);
}

/* Fails renameat2 with EINVAL and linkat with EPERM: FAT. */
static int no_flags(int fromfd, const char *from, int tofd, const char *to, unsigned flags)
{
        errno = EINVAL;
        return -1;
}

static int no_links(int fromfd, const char *from, int tofd, const char *to, int flags)
{
        errno = EPERM;
        return -1;
}

static void no_replace_without_links_is_unsupported(void **state)
{
        struct oxl_error err = OXL_ERROR_INIT;
        struct oxl_sys fat = oxl_sys_real;
        fat.renameat2 = no_flags;
        fat.linkat = no_links;
        oxl_sys = &fat;
        int r = write_no_replace("fresh", &err);
        oxl_sys = &oxl_sys_real;
        assert_int_equal(r, -OXL_E_UNSUPPORTED);
        assert_int_equal(look("fresh"), ABSENT);
        assert_int_equal(temps(), 0);
        oxl_error_done(&err);
}

/* --- directories, matrix 3, 4, 29 ----------------------------------------------------------------------------------------------- */

struct warnings {
        unsigned n;
        int os;
};

static void count_warning(void *ctx, const struct oxl_error *warning)
{
        struct warnings *w = ctx;
        w->n++;
        w->os = warning->os;
        assert_int_equal(warning->code, OXL_E_DIR_SYNC);
}

static void a_directory_that_cannot_be_synced_is_a_warning_or_an_error(void **state)
{
        static const int causes[] = { EINVAL, EIO };
        for (size_t i = 0; i < OXL_ARRAY_LEN(causes); i++) {
                struct warnings seen = { 0 };
                struct oxl_error err = OXL_ERROR_INIT;
                struct oxl_atomic_result res;
                struct oxl_atomic_options o = { .warn = count_warning, .warn_ctx = &seen };
                const struct fault_plan plan = { .only = "fsync", .nth = 2, .os = causes[i] };
                fault_install(&plan);
                assert_int_equal(oxl_atomic_write_to_path("t", new_bytes, NEW_BYTES, &o, &res, &err), 0);
                assert_true(fault_remove());
                assert_int_equal(seen.n, 1);
                assert_int_equal(seen.os, causes[i]);
                assert_int_equal(res.warnings, 1);
                assert_int_equal(res.effect, OXL_ATOMIC_UNKNOWN);
                o.flags = OXL_ATOMIC_STRICT;
                fault_install(&plan);
                assert_int_equal(oxl_atomic_write_to_path("t", new_bytes, NEW_BYTES, &o, &res, &err), -OXL_E_DIR_SYNC);
                assert_true(fault_remove());
                assert_int_equal(seen.n, 1);
                assert_int_equal(res.effect, OXL_ATOMIC_UNKNOWN);
                assert_int_equal(err.os, causes[i]);
                oxl_error_done(&err);
        }
}

static void each_new_level_is_synced(void **state)
{
        struct oxl_error err = OXL_ERROR_INIT;
        fault_install(&(struct fault_plan){ 0 });
        assert_int_equal(oxl_atomic_write_to_path("l1/l2/l3/t", new_bytes, NEW_BYTES, NULL, NULL, &err), 0);
        (void)fault_remove();
        assert_int_equal(fault_calls("mkdirat"), 3);
        assert_int_equal(fault_calls("fsync"), 1 + 4); /* the file; l3, l2, l1, and "." which holds l1 */
        fault_install(&(struct fault_plan){ 0 });
        assert_int_equal(oxl_atomic_write_to_path("l1/l2/l3/t", new_bytes, NEW_BYTES, NULL, NULL, &err), 0);
        (void)fault_remove();
        assert_int_equal(fault_calls("fsync"), 2);
        assert_int_equal(fault_calls("renameat2"), 1);
}

static void a_bare_name_syncs_the_working_directory(void **state)
{
        fault_install(&(struct fault_plan){ 0 });
        assert_int_equal(oxl_atomic_write_to_path("t", "x", 1, NULL, NULL, NULL), 0);
        (void)fault_remove();
        const char *rename = strstr(fault_trace(), "renameat2 ");
        assert_non_null(rename);
        assert_non_null(strstr(rename, "fsync ")); /* after the rename */
        assert_int_equal(fault_calls("fsync"), 2);
}

/* --- temp names, matrix 34 --------------------------------------------------------------------------------------------------------- */

static void a_taken_temp_name_is_tried_again_64_times(void **state)
{
        struct oxl_error err = OXL_ERROR_INIT;
        put_old("t");
        /* openat: 1 is the parent directory, 2 the temp */
        fault_install(&(struct fault_plan){ .only = "openat", .nth = 2, .os = EEXIST });
        assert_int_equal(oxl_atomic_write_to_path("t", new_bytes, NEW_BYTES, NULL, NULL, &err), 0);
        assert_true(fault_remove());
        assert_int_equal(look("t"), NEW);
        put_old("t");
        fault_install(&(struct fault_plan){ .only = "openat", .nth = 2, .os = EEXIST, .for_ever = true });
        assert_int_equal(oxl_atomic_write_to_path("t", new_bytes, NEW_BYTES, NULL, NULL, &err), -OXL_E_FILE_CREATE);
        assert_true(fault_remove());
        assert_int_equal(fault_calls("openat"), 1 + 64);
        assert_int_equal(err.os, EEXIST);
        assert_int_equal(look("t"), OLD);
        oxl_error_done(&err);
}

/* More than 32 files: one syncfs, and its failure is final too. */
static void many_stages_share_one_syncfs(void **state)
{
        enum { MANY = 200 };
        for (int failing = 0; failing < 2; failing++) {
                struct oxl_error err = OXL_ERROR_INIT;
                struct oxl_durable *d = NULL;
                struct oxl_stage *s[MANY];
                int fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                (void)mkdir("sub", 0755);
                assert_int_equal(oxl_durable_new(fd, "root", 0xa1, &d, &err), 0);
                unsigned before = fault_open_descriptors();
                fault_install(&(struct fault_plan){ .only = "syncfs", .nth = (unsigned)failing, .os = EIO });
                for (int i = 0; i < MANY; i++) {
                        assert_int_equal(oxl_stage_open(d, "sub", "many", 0, &s[i], &err), 0);
                        assert_int_equal(oxl_stage_write(s[i], &i, sizeof i, &err), 0);
                }
                assert_true(fault_open_descriptors() <= before + 130);
                int r = oxl_stage_sync_many(d, s, MANY, &err);
                assert_int_equal(fault_remove(), failing);
                assert_int_equal(r, failing ? -OXL_E_FILE_SYNC : 0);
                assert_int_equal(fault_calls("syncfs"), 1);
                assert_int_equal(fault_calls("fsync"), 0);
                for (int i = 0; i < MANY; i++) {
                        char name[32];
                        snprintf(name, sizeof name, "sub/many%d", i);
                        if (!failing)
                                assert_int_equal(oxl_stage_publish(s[i], name, true, &err), 0);
                        else
                                assert_int_equal(oxl_stage_publish(s[i], name, true, &err), -OXL_E_POISONED);
                        oxl_stage_free(s[i]);
                        assert_int_equal(failing ? 0 : unlink(name), 0);
                }
                assert_int_equal(oxl_durable_barrier(d, &err), failing ? -OXL_E_POISONED : 0);
                oxl_error_done(&err);
                oxl_durable_free(d);
                close(fd);
                assert_int_equal(temps(), 0);
        }
}

static void publish_each(struct oxl_stage *s[], size_t n, const char *stem, int wanted)
{
        for (size_t i = 0; i < n; i++) {
                char name[32];
                snprintf(name, sizeof name, "sub/%s%zu", stem, i);
                assert_int_equal(oxl_stage_publish(s[i], name, true, NULL), wanted);
                oxl_stage_free(s[i]);
                assert_int_equal(wanted ? 0 : unlink(name), 0);
        }
}

enum behind { BEHIND_REAL, BEHIND_GOOD, BEHIND_FAILS, BEHIND_FORGOTTEN };

/* While one half is synced another is written; a failure is heard also when nobody asks for the half any more. */
static void a_sync_in_two_steps_is_heard_of_in_any_case(void **state)
{
        enum { MANY = 100 };
        for (enum behind how = BEHIND_REAL; how <= BEHIND_FORGOTTEN; how++) {
                struct oxl_error err = OXL_ERROR_INIT;
                struct oxl_durable *d = NULL;
                struct oxl_stage *s[2][MANY];
                bool failing = how >= BEHIND_FAILS;
                int fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                (void)mkdir("sub", 0755);
                assert_int_equal(oxl_durable_new(fd, "root", 0xa1, &d, &err), 0);
                if (how != BEHIND_REAL)
                        fault_install(&(struct fault_plan){ .only = "syncfs", .nth = failing, .os = EIO });
                for (int half = 0; half < 2; half++) {
                        for (int i = 0; i < MANY; i++) {
                                assert_int_equal(oxl_stage_open(d, "sub", "many", 0, &s[half][i], &err), 0);
                                assert_int_equal(oxl_stage_write(s[half][i], &i, sizeof i, &err), 0);
                        }
                        if (half == 0)
                                assert_int_equal(oxl_stage_sync_begin(d, s[0], MANY, &err), 0);
                }
                if (how == BEHIND_FORGOTTEN)
                        assert_int_equal(oxl_durable_barrier(d, &err), -OXL_E_DIR_SYNC);
                else
                        assert_int_equal(oxl_stage_sync_end(d, s[0], MANY, &err), failing ? -OXL_E_FILE_SYNC : 0);
                assert_int_equal(oxl_durable_poisoned(d), failing);
                publish_each(s[0], MANY, "first", failing ? -OXL_E_POISONED : 0);
                assert_int_equal(oxl_stage_sync_many(d, s[1], MANY, NULL), failing ? -OXL_E_POISONED : 0);
                publish_each(s[1], MANY, "second", failing ? -OXL_E_POISONED : 0);
                assert_int_equal(oxl_durable_barrier(d, NULL), failing ? -OXL_E_POISONED : 0);
                if (how != BEHIND_REAL)
                        assert_int_equal(fault_remove(), failing);
                oxl_durable_free(d);
                oxl_error_done(&err);
                close(fd);
                assert_int_equal(temps(), 0);
        }
}

/* What syncfs is believed to report depends on kernel, file system and descriptor. */
static const struct silent_case {
        const char *release;
        long fs;
        bool unreadable; /* the base is opened by O_PATH */
        unsigned syncfs;
} silent_cases[] = {
        { "6.1.0", 0xef53, false, 1 },
        { "5.17.0-rc1", 0xef53, false, 1 },
        { "5.16.20", 0xef53, false, 0 },
        { "4.19.0", 0xef53, false, 0 },
        { "strange", 0xef53, false, 0 },
        { "6.1.0", 0x794c7630 /* overlay */, false, 0 },
        { "6.1.0", 0x6969 /* NFS */, false, 0 },
        { "6.1.0", 0x65735546 /* FUSE */, false, 0 },
        { "6.1.0", 0xef53, true, 0 },
};
static const struct silent_case *silent;

static int silent_uname(struct utsname *ret)
{
        *ret = (struct utsname){ .sysname = "Linux" };
        snprintf(ret->release, sizeof ret->release, "%s", silent->release);
        return 0;
}

static int silent_fstatfs(int fd, struct statfs *ret)
{
        int r = oxl_sys_real.fstatfs(fd, ret);
        ret->f_type = silent->fs;
        return r;
}

static int silent_openat(int dirfd, const char *path, int flags, mode_t mode)
{
        if (silent->unreadable && strcmp(path, ".") == 0 && !(flags & O_PATH)) {
                errno = EACCES;
                return -1;
        }
        return oxl_sys_real.openat(dirfd, path, flags, mode);
}

static void one_sync_stands_for_many_only_where_it_tells_of_failures(void **state)
{
        enum { MANY = 200 };
        struct oxl_sys table = oxl_sys_real;
        table.uname = silent_uname;
        table.fstatfs = silent_fstatfs;
        table.openat = silent_openat;
        for (size_t c = 0; c < sizeof silent_cases / sizeof *silent_cases; c++) {
                struct oxl_error err = OXL_ERROR_INIT;
                struct oxl_durable *d = NULL;
                struct oxl_stage *s[MANY];
                char name[32];
                int fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                silent = &silent_cases[c];
                oxl_sys = &table;
                fault_install(&(struct fault_plan){ 0 });
                assert_int_equal(oxl_durable_new(fd, "root", 0xa1, &d, &err), 0);
                for (int i = 0; i < MANY; i++) { /* more than may be open: some are closed before the sync */
                        snprintf(name, sizeof name, "each/%d", i);
                        assert_int_equal(oxl_stage_open(d, name, "many", 0, &s[i], &err), 0);
                        assert_int_equal(oxl_stage_write(s[i], &i, sizeof i, &err), 0);
                }
                assert_int_equal(oxl_stage_sync_many(d, s, MANY, &err), 0);
                assert_int_equal(fault_calls("syncfs"), silent->syncfs);
                assert_true(silent->syncfs ? fault_calls("fsync") == 0 : fault_calls("fsync") >= MANY);
                unsigned synced = fault_calls("fsync");
                for (int i = 0; i < MANY; i++) {
                        snprintf(name, sizeof name, "each/%d/many", i);
                        assert_int_equal(oxl_stage_publish(s[i], name, true, &err), 0);
                        oxl_stage_free(s[i]);
                }
                if (!silent->unreadable) { /* such a folder cannot be made durable at all */
                        assert_int_equal(oxl_durable_barrier(d, &err), 0);
                        assert_int_equal(fault_calls("syncfs"), 2 * silent->syncfs);
                        assert_int_equal(fault_calls("fsync") - synced, silent->syncfs ? 0 : MANY + 2);
                }
                oxl_durable_free(d);
                (void)fault_remove();
                oxl_sys = &oxl_sys_real;
                oxl_error_done(&err);
                close(fd);
                assert_int_equal(system("rm -rf each"), 0);
        }
}

/* A restore touches more folders than a process has descriptors. */
static void many_folders_are_synced_with_few_descriptors(void **state)
{
        enum { FOLDERS = 300 };
        struct oxl_error err = OXL_ERROR_INIT;
        struct oxl_durable *d = NULL;
        struct oxl_stage *s[FOLDERS];
        int fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(oxl_durable_new(fd, "root", 0xa1, &d, &err), 0);
        unsigned before = fault_open_descriptors();
        fault_install(&(struct fault_plan){ 0 });
        for (int i = 0; i < FOLDERS; i++) {
                char dir[32];
                snprintf(dir, sizeof dir, "many/%d", i);
                assert_int_equal(oxl_stage_open(d, dir, "t", 0, &s[i], &err), 0);
                assert_int_equal(oxl_stage_sync(s[i], &err), 0);
        }
        for (int i = 0; i < FOLDERS; i++) {
                char target[32];
                snprintf(target, sizeof target, "many/%d/t", i);
                assert_int_equal(oxl_stage_publish(s[i], target, true, &err), 0);
                oxl_stage_free(s[i]);
        }
        assert_true(fault_open_descriptors() <= before + 70);
        assert_int_equal(fault_calls("fsync"), FOLDERS);
        assert_int_equal(oxl_durable_barrier(d, &err), 0);
        assert_int_equal(fault_calls("fsync"), FOLDERS);
        assert_int_equal(fault_calls("syncfs"), 1); /* each folder, many/, the root */
        assert_int_equal(oxl_durable_barrier(d, &err), 0);
        assert_int_equal(fault_calls("syncfs"), 1); /* nothing is waiting any more */
        assert_int_equal(oxl_durable_write(d, "many/299/t", "x", 1, &err), 0);
        assert_int_equal(fault_calls("fsync"), FOLDERS + 2); /* its folder's name is known to be durable */
        (void)fault_remove();
        oxl_durable_free(d);
        close(fd);
        assert_int_equal(system("rm -rf many"), 0);
}

/* matrix 29: a folder that may be written but not read */
static int refuse_reading_folders(int dirfd, const char *path, int flags, mode_t mode)
{
        if ((flags & O_DIRECTORY) && !(flags & O_PATH)) {
                errno = EACCES;
                return -1;
        }
        return oxl_sys_real.openat(dirfd, path, flags, mode);
}

static void a_folder_that_may_not_be_read_is_written_with_a_warning(void **state)
{
        struct warnings seen = { 0 };
        struct oxl_atomic_result res;
        const struct oxl_atomic_options o = { .warn = count_warning, .warn_ctx = &seen };
        struct oxl_sys table = oxl_sys_real;
        table.openat = refuse_reading_folders;
        oxl_sys = &table;
        int r = oxl_atomic_write_to_path("t", new_bytes, NEW_BYTES, &o, &res, NULL);
        oxl_sys = &oxl_sys_real;
        assert_int_equal(r, 0);
        assert_int_equal(res.effect, OXL_ATOMIC_UNKNOWN);
        assert_int_equal(seen.n, 1);
        assert_int_equal(seen.os, EACCES);
        assert_int_equal(look("t"), NEW);
}

/* A hole at the end is made real, a middle part can be rewritten. */
static void stages_write_holes_and_middles(void **state)
{
        struct oxl_error err = OXL_ERROR_INIT;
        struct oxl_durable *d = NULL;
        struct oxl_stage *s = NULL;
        struct stat st;
        char got[8];
        int fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(oxl_durable_new(fd, "root", 0xa1, &d, &err), 0);
        assert_int_equal(oxl_stage_open(d, "", "holes", OXL_STAGE_EXECUTABLE | OXL_STAGE_READ_ONLY, &s, &err), 0);
        assert_int_equal(oxl_stage_write(s, "abcdef", 6, &err), 0);
        assert_int_equal(oxl_stage_skip(s, 1 << 20, &err), 0);
        assert_int_equal(oxl_stage_write_at(s, 2, "CD", 2, &err), 0);
        assert_int_equal(oxl_stage_size(s), 6 + (1 << 20));
        assert_true(oxl_stage_fd(s) >= 0);
        assert_true(oxl_temp_name_is_ours(oxl_stage_path(s), NULL));
        assert_int_equal(access(oxl_stage_path(s), F_OK), 0);
        assert_int_equal(oxl_stage_sync(s, &err), 0);
        assert_int_equal(oxl_stage_sync(s, &err), 0);
        assert_int_equal(oxl_stage_publish(s, "holes", true, &err), 0);
        oxl_stage_free(s);
        assert_int_equal(oxl_durable_barrier(d, &err), 0);
        assert_int_equal(stat("holes", &st), 0);
        assert_int_equal(st.st_size, 6 + (1 << 20));
        assert_true(st.st_blocks * 512 < 1 << 20);
        assert_int_equal(st.st_mode & 0222, 0);
        assert_int_equal(st.st_mode & 0100, 0100);
        int content = -1;
        assert_int_equal(oxl_durable_reopen(d, "holes", &content, &err), 0);
        assert_int_equal(read(content, got, 6), 6);
        assert_memory_equal(got, "abCDef", 6);
        close(content);
        assert_int_equal(oxl_stage_symlink(d, "sub", "link", "../holes", &s, &err), 0);
        assert_int_equal(oxl_stage_publish(s, "sub/link", false, &err), 0);
        oxl_stage_free(s);
        assert_int_equal(stat("sub/link", &st), 0);
        assert_int_equal(oxl_durable_unlink(d, "holes", st.st_dev, st.st_ino + 1, &err), 1);
        assert_int_equal(oxl_durable_unlink(d, "holes", st.st_dev, st.st_ino, &err), 0);
        assert_int_equal(oxl_durable_unlink(d, "holes", st.st_dev, st.st_ino, &err), 1);
        assert_int_equal(oxl_durable_mkdir(d, "m/n", &err), 0);
        assert_int_equal(oxl_durable_mkdir(d, "m/n", &err), 0);
        assert_int_equal(oxl_durable_rename_dir(d, "m/n", "moved", &err), 0);
        assert_int_equal(oxl_durable_rename_dir(d, "m", "moved", &err), -OXL_E_FILE_EXISTS);
        assert_int_equal(oxl_durable_barrier(d, &err), 0);
        assert_int_equal(system("rm -r m moved sub"), 0);
        oxl_error_done(&err);
        oxl_durable_free(d);
        close(fd);
        assert_int_equal(temps(), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(any_call_fails_with_eio),
                cmocka_unit_test(any_call_fails_with_enospc),
                cmocka_unit_test(any_call_fails_with_emfile),
                cmocka_unit_test(any_call_interrupted_once_succeeds),
                cmocka_unit_test(any_call_interrupted_a_hundred_times_succeeds),
                cmocka_unit_test(short_writes_make_a_whole_file),
                cmocka_unit_test(a_write_of_nothing_is_an_error_and_no_loop),
                cmocka_unit_test(a_failed_fsync_is_called_once_and_nothing_is_renamed),
                cmocka_unit_test(a_poisoned_object_takes_no_more_writes),
                cmocka_unit_test(a_failed_close_of_the_written_file_leaves_the_target),
                cmocka_unit_test(a_failed_rename_names_both_files_and_leaves_no_temp),
                cmocka_unit_test(a_rename_that_happened_is_published_whatever_the_server_said),
                cmocka_unit_test(no_replace_falls_back_to_a_link),
                cmocka_unit_test(no_replace_without_links_is_unsupported),
                cmocka_unit_test(a_directory_that_cannot_be_synced_is_a_warning_or_an_error),
                cmocka_unit_test(each_new_level_is_synced),
                cmocka_unit_test(a_bare_name_syncs_the_working_directory),
                cmocka_unit_test(a_taken_temp_name_is_tried_again_64_times),
                cmocka_unit_test(many_stages_share_one_syncfs),
                cmocka_unit_test(a_sync_in_two_steps_is_heard_of_in_any_case),
                cmocka_unit_test(one_sync_stands_for_many_only_where_it_tells_of_failures),
                cmocka_unit_test(many_folders_are_synced_with_few_descriptors),
                cmocka_unit_test(a_folder_that_may_not_be_read_is_written_with_a_warning),
                cmocka_unit_test(stages_write_holes_and_middles),
        };
        return cmocka_run_group_tests(tests, enter_root, leave_root);
}
