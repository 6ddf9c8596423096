/* SPDX-License-Identifier: MIT */
/*
 * The durable layer on the model disk: every crash of every small workload.
 *
 * Promises (oracle names): O1 a target is wholly old or new, or absent if it never existed; O2 what was acknowledged is
 * new; O3 after a sweep no temp is left; O4 mode and content belong to the same version; O7 a failed call changed nothing.
 * The mutants at the end prove that the disk is cruel enough: each mistake is caught by a workload, by name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "crash/modelfs.h"
#include "durable/durable.h"
#include "durable/mutant.h"

enum { OLD_BYTES = 5000, NEW_BYTES = 6000, FILES_MAX = 4, OWNER = 0xa1 };

/* --- what must hold ------------------------------------------------------------------------------------------------- */

struct file {
        const char *path;
        bool existed;
        unsigned seed;     /* new content; old is seed + 100 */
        mode_t mode;       /* 0: any; else of both versions */
        unsigned acked_by; /* number of the acknowledgement that promises it */
};

struct workload {
        const char *name;
        struct file files[FILES_MAX];
        const char *folders[3]; /* made beforehand */
        const char *swept[3];
        bool fails; /* run() is to fail, and nothing may ever be new */
        bool (*run)(const struct workload *w, struct modelfs *fs);
};

static void fill(char *buf, size_t n, unsigned seed)
{
        for (size_t i = 0; i < n; i++)
                buf[i] = (char)(i * 31 + i / 512 + seed);
}

static bool holds(const char *got, ssize_t n, size_t want_n, unsigned seed)
{
        char want[NEW_BYTES];
        fill(want, want_n, seed);
        return n == (ssize_t)want_n && memcmp(got, want, want_n) == 0;
}

static const char *check_file(const struct workload *w, const struct file *f, unsigned acked)
{
        char got[NEW_BYTES + 1];
        ssize_t n = modelfs_get(f->path, got, sizeof got);
        bool is_new = holds(got, n, NEW_BYTES, f->seed);
        bool is_old = f->existed ? holds(got, n, OLD_BYTES, f->seed + 100) : n < 0 && errno == ENOENT;
        if (!is_new && !is_old)
                return "O1: neither old nor new";
        if (w->fails && !is_old)
                return "O7: a failed call changed the target";
        if (!w->fails && acked >= f->acked_by && !is_new)
                return "O2: acknowledged and lost";
        struct stat st;
        if (f->mode && n >= 0 && oxl_sys->fstatat(AT_FDCWD, f->path, &st, 0) == 0 && (st.st_mode & 0777) != f->mode)
                return "O4: content of one version, mode of another";
        return NULL;
}

static enum oxl_temp_verdict everybody_is_dead(void *ctx, uint64_t owner)
{
        return OXL_TEMP_DEAD;
}

static const char *sweep_and_check(const char *folder)
{
        struct oxl_sweep_report report = { 0 };
        const struct oxl_sweep_options options = { .owner_alive = everybody_is_dead, .uid = geteuid() };
        int fd = oxl_sys->openat(AT_FDCWD, folder, O_RDONLY | O_DIRECTORY, 0);
        if (fd < 0)
                return errno == ENOENT ? NULL : "O3: a folder cannot be opened";
        struct oxl_durable *d = NULL;
        bool ok = oxl_durable_new(fd, ".", 1, &d, NULL) == 0 && oxl_durable_sweep(d, "", &options, &report, NULL) == 0;
        struct oxl_sweep_report again = { 0 };
        ok = ok && oxl_durable_sweep(d, "", &options, &again, NULL) == 0;
        oxl_durable_free(d);
        OXL_IGNORE(oxl_sys->close(fd), "the model");
        if (!ok || again.removed + again.kept_alive + again.kept_unknown + again.foreign > 0 || report.foreign > 0)
                return "O3: a temp is left after the sweep";
        return NULL;
}

static const char *oracle(void *ctx, unsigned acked)
{
        const struct workload *w = ctx;
        const char *broken = NULL;
        for (int i = 0; i < FILES_MAX && w->files[i].path && !broken; i++)
                broken = check_file(w, &w->files[i], acked);
        for (int i = 0; i < 3 && w->swept[i] && !broken; i++)
                broken = sweep_and_check(w->swept[i]);
        for (int i = 0; i < FILES_MAX && w->files[i].path && !broken; i++) /* the sweep touched no target */
                broken = check_file(w, &w->files[i], acked);
        return broken;
}

/* --- workloads -------------------------------------------------------------------------------------------------------- */

static const struct oxl_atomic_options strict = { .flags = OXL_ATOMIC_STRICT };

static bool write_with(const struct file *f, const struct oxl_atomic_options *o)
{
        char bytes[NEW_BYTES];
        fill(bytes, sizeof bytes, f->seed);
        return oxl_atomic_write_to_path(f->path, bytes, sizeof bytes, o, NULL, NULL) == 0;
}

static bool run_each(const struct workload *w, struct modelfs *fs)
{
        for (int i = 0; i < FILES_MAX && w->files[i].path; i++) {
                if (!write_with(&w->files[i], &strict))
                        return false;
                modelfs_ack(fs);
        }
        return true;
}

static bool run_keeping_mode(const struct workload *w, struct modelfs *fs)
{
        struct oxl_atomic_options o = strict;
        o.flags |= OXL_ATOMIC_PRESERVE_MODE;
        bool ok = write_with(&w->files[0], &o);
        modelfs_ack(fs);
        return ok;
}

static bool run_no_replace(const struct workload *w, struct modelfs *fs)
{
        struct oxl_atomic_options o = strict;
        o.flags |= OXL_ATOMIC_NO_REPLACE;
        bool ok = write_with(&w->files[0], &o);
        modelfs_ack(fs);
        return ok;
}

static bool run_batch(const struct workload *w, struct modelfs *fs)
{
        struct oxl_batch *b = NULL;
        bool ok = oxl_batch_begin(&strict, &b, NULL) == 0;
        for (int i = 0; i < FILES_MAX && w->files[i].path && ok; i++) {
                char bytes[NEW_BYTES];
                fill(bytes, sizeof bytes, w->files[i].seed);
                ok = oxl_batch_add(b, w->files[i].path, bytes, sizeof bytes, NULL) == 0;
        }
        ok = ok && oxl_batch_commit(b, NULL, NULL) == 0;
        oxl_batch_free(b);
        modelfs_ack(fs);
        return ok;
}

/* A repository's way: owner number, stage, publish, barrier. */
static bool run_durable(const struct workload *w, struct modelfs *fs)
{
        char bytes[NEW_BYTES];
        int root = oxl_sys->openat(AT_FDCWD, "repo", O_RDONLY | O_DIRECTORY, 0);
        struct oxl_durable *d = NULL;
        bool ok = oxl_durable_new(root, "repo", OWNER, &d, NULL) == 0;
        for (int i = 0; i < FILES_MAX && w->files[i].path && ok; i++) {
                fill(bytes, sizeof bytes, w->files[i].seed);
                ok = oxl_durable_write(d, w->files[i].path + strlen("repo/"), bytes, sizeof bytes, NULL) == 0;
                modelfs_ack(fs);
        }
        oxl_durable_free(d);
        return oxl_sys->close(root) == 0 && ok;
}

struct reader {
        unsigned seed;
        size_t at;
        int cancel_at; /* -ECANCELED from this byte on; 0: never */
        bool sweeps;   /* somebody sweeps while we are in the middle */
};

static ssize_t read_some(void *ctx, void *buf, size_t n)
{
        struct reader *r = ctx;
        char bytes[NEW_BYTES];
        fill(bytes, sizeof bytes, r->seed);
        if (r->cancel_at && r->at >= (size_t)r->cancel_at)
                return -ECANCELED;
        if (r->sweeps && r->at > 0 && oxl_atomic_sweep(".", NULL, NULL) < 0)
                return -EIO;
        n = n < NEW_BYTES / 4 ? n : NEW_BYTES / 4;
        n = n < NEW_BYTES - r->at ? n : NEW_BYTES - r->at;
        memcpy(buf, bytes + r->at, n);
        r->at += n;
        return (ssize_t)n;
}

static bool run_reader(const struct workload *w, struct modelfs *fs, struct reader r)
{
        r.seed = w->files[0].seed;
        struct oxl_atomic_options o = strict;
        o.buffer_bytes = 4096;
        bool ok = oxl_atomic_write_from_reader(w->files[0].path, read_some, &r, &o, NULL, NULL) == 0;
        modelfs_ack(fs);
        return ok;
}

static bool run_cancelled(const struct workload *w, struct modelfs *fs)
{
        return run_reader(w, fs, (struct reader){ .cancel_at = NEW_BYTES * 3 / 4 });
}

static bool run_swept_meanwhile(const struct workload *w, struct modelfs *fs)
{
        return run_reader(w, fs, (struct reader){ .sweeps = true });
}

static bool run_failing_sync(const struct workload *w, struct modelfs *fs)
{
        modelfs_fail_sync(fs, 1);
        bool ok = write_with(&w->files[0], &strict);
        modelfs_ack(fs);
        return ok;
}

/* Another process makes the folder between our look and our mkdir, and has not synced it. */
static int mkdir_of_somebody_else(int dirfd, const char *path, mode_t mode)
{
        if (modelfs_sys.mkdirat(dirfd, path, mode) == 0)
                errno = EEXIST;
        return -1;
}

static bool run_mkdir_race(const struct workload *w, struct modelfs *fs)
{
        struct oxl_sys table = modelfs_sys;
        table.mkdirat = mkdir_of_somebody_else;
        oxl_sys = &table;
        bool ok = run_each(w, fs);
        oxl_sys = &modelfs_sys;
        return ok;
}

#define HERE { "." }

/* matrix 43, 44, 45, 46, 5, 13, 37, 70, and the failed fsync of 23 */
static const struct workload replace = { "replace", { { "t", true, 1, 0, 1 } }, { NULL }, HERE, false, run_each };
static const struct workload create = { "create", { { "t", false, 1, 0, 1 } }, { NULL }, HERE, false, run_each };
static const struct workload twice = { "replace twice", { { "t", true, 1, 0, 1 }, { "u", false, 2, 0, 2 } },
                                       { NULL },        HERE,
                                       false,           run_each };
static const struct workload ancestors = {
        "three new ancestors", { { "a/b/c/t", false, 1, 0, 1 } }, { NULL }, { "a/b/c" }, false, run_each
};
static const struct workload race = { "mkdir race",  { { "a/b/t", false, 1, 0, 1 } }, { NULL }, { "a/b" }, false,
                                      run_mkdir_race };
static const struct workload batch = {
        "batch", { { "x/t", true, 1, 0, 1 }, { "x/u", false, 2, 0, 1 }, { "y/z/v", false, 3, 0, 1 } },
        { "x" }, { "x", "y/z" },
        false,   run_batch
};
static const struct workload durable = {
        "repository", { { "repo/refs/heads/main", false, 1, 0, 1 }, { "repo/HEAD", true, 2, 0, 2 } },
        { "repo" },   { "repo/refs/heads", "repo" },
        false,        run_durable
};
static const struct workload keep_mode = { "keep mode",     { { "t", true, 1, 0640, 1 } }, { NULL }, HERE, false,
                                           run_keeping_mode };
static const struct workload no_replace = { "no replace",  { { "t", false, 1, 0, 1 } }, { NULL }, HERE, false,
                                            run_no_replace };
static const struct workload cancelled = { "cancelled reader", { { "t", true, 1, 0, 1 } }, { NULL }, HERE, true,
                                           run_cancelled };
static const struct workload failing_sync = { "failing fsync", { { "t", true, 1, 0, 1 } }, { NULL }, HERE, true,
                                              run_failing_sync };
static const struct workload swept_meanwhile = {
        "swept meanwhile", { { "t", true, 1, 0, 1 } }, { NULL }, { NULL }, false, run_swept_meanwhile
};

static const struct workload *const all[] = { &replace,    &create,    &twice,        &ancestors,
                                              &race,       &batch,     &durable,      &keep_mode,
                                              &no_replace, &cancelled, &failing_sync, &swept_meanwhile };

/* --- running ------------------------------------------------------------------------------------------------------------ */

struct outcome {
        uint64_t states, violations;
        const char *first;
        bool ran_as_planned;
        unsigned descriptors;
};

static void prepare(const struct workload *w)
{
        for (int i = 0; i < 3 && w->folders[i]; i++)
                assert_true(modelfs_put_dir(w->folders[i]));
        for (int i = 0; i < FILES_MAX && w->files[i].path; i++) {
                char bytes[OLD_BYTES];
                fill(bytes, sizeof bytes, w->files[i].seed + 100);
                if (w->files[i].existed)
                        assert_true(modelfs_put(w->files[i].path, bytes, sizeof bytes,
                                                w->files[i].mode ? w->files[i].mode : 0644));
        }
}

static struct outcome try(const struct workload *w, enum modelfs_profile profile)
{
        struct modelfs *fs = modelfs_new(profile);
        modelfs_mount(fs);
        prepare(w);
        modelfs_checkpoint(fs);
        struct workload copy = *w;
        modelfs_watch(fs, oracle, &copy);
        bool ok = w->run(w, fs);
        struct outcome o = { modelfs_states(fs), modelfs_violations(fs), modelfs_first_violation(fs), ok != w->fails,
                             modelfs_open_descriptors(fs) };
        modelfs_free(fs);
        return o;
}

static void survives(enum modelfs_profile profile, const char *name)
{
        uint64_t total = 0;
        for (size_t i = 0; i < OXL_ARRAY_LEN(all); i++) {
                struct outcome o = try(all[i], profile);
                print_message("%s  %-22s %8llu states, %llu violations%s%s\n", name, all[i]->name,
                              (unsigned long long)o.states, (unsigned long long)o.violations, o.first ? ": " : "",
                              o.first ? o.first : "");
                assert_true(o.ran_as_planned);
                assert_int_equal(o.violations, 0);
                assert_int_equal(o.descriptors, 0);
                assert_true(o.states > 1);
                total += o.states;
        }
        print_message("%s  total %llu states\n", name, (unsigned long long)total);
}

static void every_crash_of_p0_keeps_the_promises(void **state)
{
        survives(MODELFS_P0, "P0");
}

static void every_crash_of_p2_keeps_the_promises(void **state)
{
        survives(MODELFS_P2, "P2");
}

static void every_crash_of_p5_keeps_the_promises(void **state)
{
        survives(MODELFS_P5, "P5");
}

/* Negative control: where rename is not atomic, nobody can replace a file without an intent. */
static void a_disk_that_splits_renames_is_noticed(void **state)
{
        const char *seen = try(&replace, MODELFS_P1).first;
        assert_non_null(seen);
        assert_memory_equal(seen, "O1", 2);
}

/* --- mutants, matrix 67 ---------------------------------------------------------------------------------------------------- */

static void is_caught(enum oxl_mutant mutant, const char *name, const struct workload *by, const char *promise)
{
        oxl_mutant = mutant;
        struct outcome o = try(by, MODELFS_P0);
        oxl_mutant = OXL_MUTANT_NONE;
        const char *seen = o.first ? o.first : o.ran_as_planned ? "nothing" : "the call failed";
        print_message("mutant %-26s caught by '%s': %s\n", name, by->name, seen);
        assert_true(strncmp(seen, promise, strlen(promise)) == 0);
}

static void no_file_fsync_is_caught(void **state)
{
        is_caught(OXL_MUTANT_NO_FILE_FSYNC, "no file fsync", &replace, "O1");
        is_caught(OXL_MUTANT_NO_FILE_FSYNC, "no file fsync", &batch, "O1");
        is_caught(OXL_MUTANT_NO_FILE_FSYNC, "no file fsync", &durable, "O1");
}

static void no_directory_fsync_is_caught(void **state)
{
        is_caught(OXL_MUTANT_NO_DIR_FSYNC, "no directory fsync", &replace, "O2");
        is_caught(OXL_MUTANT_NO_DIR_FSYNC, "no directory fsync", &batch, "O2");
        is_caught(OXL_MUTANT_NO_DIR_FSYNC, "no directory fsync", &durable, "O2");
}

static void no_ancestor_fsync_is_caught(void **state)
{
        is_caught(OXL_MUTANT_NO_ANCESTOR_FSYNC, "no ancestor fsync", &ancestors, "O2");
        is_caught(OXL_MUTANT_NO_ANCESTOR_FSYNC, "no ancestor fsync", &race, "O2");
        is_caught(OXL_MUTANT_NO_ANCESTOR_FSYNC, "no ancestor fsync", &durable, "O2");
}

static void fsync_after_rename_is_caught(void **state)
{
        is_caught(OXL_MUTANT_FSYNC_AFTER_RENAME, "fsync after rename", &replace, "O1");
}

static void chmod_after_fsync_is_caught(void **state)
{
        is_caught(OXL_MUTANT_CHMOD_AFTER_FSYNC, "chmod after fsync", &keep_mode, "O4");
}

static void end_of_file_on_cancelled_reader_is_caught(void **state)
{
        is_caught(OXL_MUTANT_EOF_ON_CANCEL, "end of file on cancel", &cancelled, "O1");
}

static void sweeping_without_lock_check_is_caught(void **state)
{
        is_caught(OXL_MUTANT_SWEEP_WITHOUT_LOCK_CHECK, "sweep without lock check", &swept_meanwhile, "O2");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_crash_of_p0_keeps_the_promises),
                cmocka_unit_test(every_crash_of_p2_keeps_the_promises),
                cmocka_unit_test(every_crash_of_p5_keeps_the_promises),
                cmocka_unit_test(a_disk_that_splits_renames_is_noticed),
                cmocka_unit_test(no_file_fsync_is_caught),
                cmocka_unit_test(no_directory_fsync_is_caught),
                cmocka_unit_test(no_ancestor_fsync_is_caught),
                cmocka_unit_test(fsync_after_rename_is_caught),
                cmocka_unit_test(chmod_after_fsync_is_caught),
                cmocka_unit_test(end_of_file_on_cancelled_reader_is_caught),
                cmocka_unit_test(sweeping_without_lock_check_is_caught),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
