/* SPDX-License-Identifier: MIT */
/*
 * Every call of fsck that reads fails in turn, once or for ever: the result is exit 8 with an `unreadable` finding that names
 * the file (or an error that does), or, for the few reads that are optional, the same as without a failure; never damage, never
 * a clean report of what was not read. And of fsck --repair: nothing that was there is gone.
 *
 * OXL_DEEP=1 tries every call of a repair, and more errors.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <oxenlite/repair.h>

#include "digest/digest.h"
#include "os/sys.h"
#include "support/checked.h"
#include "support/place.h"

/* --- a kernel that fails ------------------------------------------------------------------------------------------- */

static struct {
        struct oxl_sys table;
        int call;
        unsigned nth, seen;
        bool for_ever, fired;
        int os;
        char path[1024]; /* what the first failing call was about */
} bad;

static void note_path(int fd, const char *name)
{
        char link[64];
        ssize_t n = 0;
        if (!name || name[0] != '/') {
                snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
                n = fd == AT_FDCWD ? 0 : readlink(link, bad.path, sizeof bad.path - 300);
                n = n < 0 ? 0 : n;
        }
        snprintf(bad.path + n, sizeof bad.path - (size_t)n, "%s%s", name && n ? "/" : "", name ? name : "");
        if (!name)
                bad.path[n] = 0;
}

static bool fails(int fd, const char *name)
{
        bad.seen++;
        if (bad.seen < bad.nth || (bad.seen > bad.nth && !bad.for_ever))
                return false;
        if (!bad.fired)
                note_path(fd, name);
        bad.fired = true;
        errno = bad.os;
        return true;
}

static int f_openat(int fd, const char *path, int flags, mode_t mode)
{
        bool reading = (flags & (O_ACCMODE | O_CREAT)) == O_RDONLY;
        if (strncmp(path, "/sys/", 5) == 0) { /* the same calls on every machine: no disk rotates here */
                errno = ENOENT;
                return -1;
        }
        return reading && bad.call == 0 && fails(fd, path) ? -1 : oxl_sys_real.openat(fd, path, flags, mode);
}
static int f_openat2(int fd, const char *path, int flags, mode_t mode, uint64_t resolve)
{
        bool reading = (flags & (O_ACCMODE | O_CREAT)) == O_RDONLY;
        return reading && fails(fd, path) ? -1 : oxl_sys_real.openat2(fd, path, flags, mode, resolve);
}
static ssize_t f_read(int fd, void *buf, size_t n)
{
        return fails(fd, NULL) ? -1 : oxl_sys_real.read(fd, buf, n);
}
static ssize_t f_pread(int fd, void *buf, size_t n, off_t at)
{
        return fails(fd, NULL) ? -1 : oxl_sys_real.pread(fd, buf, n, at);
}
static off_t f_lseek(int fd, off_t at, int whence)
{
        return fails(fd, NULL) ? -1 : oxl_sys_real.lseek(fd, at, whence);
}
static ssize_t f_getdents(int fd, void *buf, size_t n)
{
        return fails(fd, NULL) ? -1 : oxl_sys_real.getdents(fd, buf, n);
}
static int f_fstat(int fd, struct stat *ret)
{
        return fails(fd, NULL) ? -1 : oxl_sys_real.fstat(fd, ret);
}
static int f_fstatat(int fd, const char *path, struct stat *ret, int flags)
{
        return fails(fd, path) ? -1 : oxl_sys_real.fstatat(fd, path, ret, flags);
}
static ssize_t f_readlinkat(int fd, const char *path, char *buf, size_t n)
{
        return fails(fd, path) ? -1 : oxl_sys_real.readlinkat(fd, path, buf, n);
}

enum { CALLS = 9 };
static const char *const names[CALLS] = { "openat",   "openat2", "read",    "pread",     "lseek",
                                          "getdents", "fstat",   "fstatat", "readlinkat" };

static void install(int call, unsigned nth, int os, bool for_ever)
{
        memset(&bad, 0, sizeof bad);
        bad.table = oxl_sys_real;
        bad.table.openat = f_openat;
        bad.call = call;
        bad.nth = nth;
        bad.os = os;
        bad.for_ever = for_ever;
        switch (call) {
        case 0: break;
        case 1: bad.table.openat2 = f_openat2; break;
        case 2: bad.table.read = f_read; break;
        case 3: bad.table.pread = f_pread; break;
        case 4: bad.table.lseek = f_lseek; break;
        case 5: bad.table.getdents = f_getdents; break;
        case 6: bad.table.fstat = f_fstat; break;
        case 7: bad.table.fstatat = f_fstatat; break;
        default: bad.table.readlinkat = f_readlinkat; break;
        }
        oxl_sys = &bad.table;
}

static bool uninstall(void)
{
        oxl_sys = &oxl_sys_real;
        return bad.fired;
}

/* --- what may fail unheard ------------------------------------------------------------------------------------------ */

/* Reads that no verdict rests on. */
static const struct {
        const char *call, *path;
        bool for_ever;
        const char *why;
} optional[] = {
        { "readlinkat", "/proc/self/fd/", true, "the path of the working tree: realpath is asked instead" },
        { "fstat", "$PLACE", false, "whether that is its path" },
        { "fstatat", "$PLACE", false, "the same" },
        { "openat", "$TMPDIR", true, "what dead processes left there is removed by the next one" },
        { "getdents", "$TMPDIR", true, "the same" },
        { "openat", "oxen-lite-journal-", false, "taking the private copy of the journal away, which is tried again" },
        { "lseek", ".oxen-lite/versions/files/", false, "where holes are: the file is then read as it is" },
};

static bool is_optional(const struct checked *k, const char *call, bool for_ever)
{
        for (size_t i = 0; i < sizeof optional / sizeof optional[0]; i++) {
                bool place = strcmp(optional[i].path, "$PLACE") == 0, temp = strcmp(optional[i].path, "$TMPDIR") == 0;
                if (strcmp(optional[i].call, call) == 0 && (optional[i].for_ever || !for_ever) &&
                    (place  ? strcmp(bad.path, k->place) == 0
                     : temp ? strncmp(bad.path, getenv("TMPDIR"), strlen(getenv("TMPDIR"))) == 0 &&
                                      !strstr(bad.path, "oxen-lite-")
                            : strstr(bad.path, optional[i].path) != NULL))
                        return true;
        }
        return false;
}

/* Does the finding speak of the file, or of a folder above it? journal.db stands for its own files, for their private copy, and
 * for what its rows are compared with, which the reason names. */
static bool names_it(const struct checked *k, const struct checked_finding *f)
{
        const char *path = f->path, *base = strrchr(bad.path, '/');
        size_t n = strlen(path);
        char root[1024];
        if (strcmp(path, "journal.db") == 0 &&
            (strstr(bad.path, "oxen-lite-journal-") || strstr(base, "/journal.db") || strstr(f->detail, base + 1)))
                return true;
        if (strlen(bad.path) > 2 && strcmp(bad.path + strlen(bad.path) - 2, "/.") == 0)
                bad.path[strlen(bad.path) - 2] = 0;
        if (strcmp(path, ".") == 0 || strcmp(path, ".oxen-lite") == 0)
                return strcmp(bad.path, k->root) == 0;
        snprintf(root, sizeof root, "%s/", k->root);
        const char *below = strncmp(bad.path, root, strlen(root)) == 0 ? bad.path + strlen(root) : bad.path;
        return (strncmp(below, path, n) == 0 && (below[n] == 0 || below[n] == '/')) ||
               strncmp(path, below, strlen(below)) == 0;
}

/* --- check ----------------------------------------------------------------------------------------------------------- */

struct tally {
        unsigned tried, unreadable, refused, unheard;
};

static void judge(struct checked *k, const struct oxl_check_result *sound, int r, const char *call, struct tally *t)
{
        bool other = false, named = false;
        t->tried++;
        for (size_t i = 0; i < k->n_found; i++) {
                other = other || k->found[i].problem != OXL_P_UNREADABLE;
                named = named || (k->found[i].problem == OXL_P_UNREADABLE && names_it(k, &k->found[i]));
        }
        k->result.extent.read_ms = 0;
        bool same = r == 0 && memcmp(sound, &k->result, sizeof *sound) == 0;
        /* where an optional read begins what fails for ever, the next ones are told */
        bool begins = bad.for_ever && is_optional(k, call, false);
        bool good = r < 0 || (k->result.unreadable > 0 ? named || begins : same && is_optional(k, call, bad.for_ever));
        t->refused += r < 0;
        t->unreadable += r == 0 && k->result.unreadable > 0;
        t->unheard += same;
        if (good && !other)
                return;
        fprintf(stderr, "%s number %u (%s) fails with %s%s: result %d, %s\n", call, bad.nth, bad.path, strerror(bad.os),
                bad.for_ever ? " for ever" : "", r, same ? "as if nothing had happened" : "");
        checked_print(k);
        assert_true(good && !other);
}

static void every_read_that_fails_is_told_and_named(void **state)
{
        static const int errors[] = { EIO, EACCES };
        struct checked k;
        struct tally t = { 0 };
        (void)state;
        checked_new(&k, OXL_ALGO_BLAKE3);
        assert_int_equal(checked_run(&k), 0);
        assert_int_equal(k.n_found, 0);
        k.result.extent.read_ms = 0;
        const struct oxl_check_result sound = k.result;
        for (int call = 0; call < CALLS; call++)
                for (int mode = 0; mode < 4; mode++) {
                        bool for_ever = mode >= 2;
                        /* what for ever begins with matters less than that it does not end */
                        for (unsigned n = 1;; n += for_ever && n > 8 ? 5 : 1) {
                                install(call, n, errors[mode & 1], for_ever);
                                int r = checked_run(&k);
                                if (!uninstall())
                                        break;
                                judge(&k, &sound, r, names[call], &t);
                        }
                }
        print_message("%u failures: %u unreadable, %u refused, %u optional\n", t.tried, t.unreadable, t.refused,
                      t.unheard);
        assert_true(t.unreadable > 300 && t.unheard < t.tried / 4);
        checked_free(&k);
}

/* --- repair ----------------------------------------------------------------------------------------------------------- */

/* Files whose bytes must still be somewhere: in their place, or in quarantine. What is derived is not among them. */
static bool counts(const char *path)
{
        static const char *const derived[] = { "journal.db", "locks", "owners/", "versions/packs/lookup",
                                               "versions/tmp/" };
        for (size_t i = 0; i < sizeof derived / sizeof derived[0]; i++)
                if (strncmp(path, derived[i], strlen(derived[i])) == 0)
                        return false;
        return true;
}

struct kept {
        struct oxl_digest at[256];
        size_t n;
};

static struct kept keep(const struct checked *k)
{
        struct kept all = { .n = 0 };
        char **files = checked_files(k, "");
        for (char **f = files; *f; f++) {
                size_t n;
                if (!counts(*f))
                        continue;
                char *bytes = place_read(k->root, *f, &n);
                assert_true(all.n < sizeof all.at / sizeof all.at[0]);
                all.at[all.n++] = oxl_digest_of(OXL_ALGO_BLAKE3, bytes, n);
                free(bytes);
        }
        checked_files_free(files);
        return all;
}

static bool all_there(const struct kept *before, const struct kept *now)
{
        for (size_t i = 0; i < before->n; i++) {
                bool found = false;
                for (size_t j = 0; j < now->n && !found; j++)
                        found = oxl_digest_equal(&before->at[i], &now->at[j]);
                if (!found)
                        return false;
        }
        return true;
}

/* @to becomes what @from is. */
static void copy_tree(const char *from, const char *to)
{
        char command[2048];
        snprintf(command, sizeof command, "find '%s' -mindepth 1 -delete && cp -a '%s/.' '%s'", to, from, to);
        assert_int_equal(system(command), 0);
}

static void flip(const struct checked *k, const char *path, size_t at)
{
        size_t n;
        char *bytes = place_read(k->root, path, &n), *full = place_path(k->root, path);
        bytes[at] ^= 1;
        unlink(full);
        place_write(k->root, path, bytes, n);
        free(full);
        free(bytes);
}

static int repair(struct checked *k, struct oxl_repair_result *ret)
{
        static const struct oxl_repair_options options = { .force = true };
        struct oxl_error err = OXL_ERROR_INIT;
        *ret = (struct oxl_repair_result){ .healed = 0 };
        int r = oxl_repair_run(k->place, &k->options, &options, NULL, NULL, NULL, ret, &err);
        oxl_error_done(&err);
        return r;
}

static void no_failing_read_of_a_repair_loses_anything(void **state)
{
        struct checked k;
        struct oxl_repair_result sound, result;
        unsigned tried = 0, stride = getenv("OXL_DEEP") ? 1 : 29;
        (void)state;
        checked_new(&k, OXL_ALGO_BLAKE3);
        char **blobs = checked_files(&k, "versions/files/");
        flip(&k, blobs[0], 7);
        char *config = place_path(k.root, "config.json");
        assert_int_equal(unlink(config), 0);
        free(config);
        flip(&k, "HEAD", 7);
        flip(&k, "versions/packs/lookup", 100);
        checked_files_free(blobs);
        const struct kept before = keep(&k);
        char *copy = place_new();
        copy_tree(k.root, copy);
        assert_int_equal(repair(&k, &sound), 0);
        assert_int_equal(sound.after.findings, 0);
        for (int call = 0; call < CALLS; call++)
                for (int mode = 0; mode < 2; mode++)
                        for (unsigned n = 1;; n += stride) {
                                copy_tree(copy, k.root);
                                install(call, n, mode ? EACCES : EIO, mode);
                                int r = repair(&k, &result);
                                if (!uninstall())
                                        break;
                                tried++;
                                const struct kept now = keep(&k);
                                bool told = r < 0 || result.failed > 0 || result.after.unreadable > 0 ||
                                            result.before.unreadable > 0 || result.after.findings == 0;
                                if (!told || !all_there(&before, &now))
                                        fprintf(stderr, "%s number %u (%s), %s: result %d\n", names[call], n, bad.path,
                                                strerror(bad.os), r);
                                assert_true(told);
                                assert_true(all_there(&before, &now));
                        }
        print_message("%u failures of a repair\n", tried);
        assert_true(tried > 20);
        place_free(copy);
        checked_free(&k);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_read_that_fails_is_told_and_named),
                cmocka_unit_test(no_failing_read_of_a_repair_loses_anything),
        };
        /* private copies of the journal that could not be removed go with it */
        char *tmp = place_new();
        setenv("TMPDIR", tmp, 1);
        int r = cmocka_run_group_tests(tests, NULL, NULL);
        place_free(tmp);
        return r;
}
