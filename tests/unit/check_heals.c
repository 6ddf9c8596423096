/* SPDX-License-Identifier: MIT */
/*
 * Every way of damage to every kind of file, and every two files in each other's place, with a good copy elsewhere: one repair, and
 * the repository is whole, with the identical bytes where the bytes are given by what they hold. Packs are salvaged into packs of
 * another name, the index is made anew, and config.json and journal.db start over: for those a clean fsck is the proof.
 */
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

#include "support/checked.h"
#include "support/place.h"

enum way { FLIPPED, CUT, EMPTIED, LOST, GROWN, WAYS };
static const char *const way_names[] = { "flipped", "cut", "emptied", "lost", "grown" };

static struct checked k;
static char *good; /* a copy of k.place */

static void copy(const char *from, const char *to)
{
        char command[1024];
        snprintf(command, sizeof command, "rm -rf '%s' && cp -a '%s' '%s'", to, from, to);
        assert_int_equal(system(command), 0);
}

static int setup(void **state)
{
        (void)state;
        checked_new(&k, OXL_ALGO_BLAKE3);
        if (asprintf(&good, "%s-good", k.place) < 0)
                abort();
        copy(k.place, good);
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        checked_free(&k);
        place_free(good);
        return 0;
}

static bool starts(const char *path, const char *prefix)
{
        return strncmp(path, prefix, strlen(prefix)) == 0;
}

/* Of these the bytes follow from what they hold. */
static bool is_exact(const char *path)
{
        return strcmp(path, "format") == 0 || strcmp(path, "HEAD") == 0 || starts(path, "refs/") ||
               starts(path, "versions/files/");
}

/* refs/tags/v1 and refs/heads/other were put there by hand: no log knows them, the copy does. Left out of the swaps for time. */
static bool is_damaged_here(const char *path)
{
        return is_exact(path)
                       ? strcmp(path, "refs/tags/v1") != 0 && strcmp(path, "refs/heads/other") != 0
                       : starts(path, "versions/packs/") || starts(path, "index") || strcmp(path, "config.json") == 0 ||
                                 strcmp(path, "journal.db") == 0 || strcmp(path, "journal.db-wal") == 0;
}

static void damage(const char *path, enum way way)
{
        size_t n;
        char *full = place_path(k.root, path), *bytes = place_read(k.root, path, &n);
        char *more = realloc(bytes, n + 1);
        assert_non_null(more);
        more[n] = 'x';
        more[n / 2] = (char)(more[n / 2] ^ (way == FLIPPED));
        assert_int_equal(unlink(full), 0);
        if (way != LOST)
                place_write(k.root, path, more, way == CUT ? n - 1 : way == EMPTIED ? 0 : way == GROWN ? n + 1 : n);
        free(more);
        free(full);
}

static void repair(void)
{
        const char *const from[] = { good };
        const struct oxl_repair_options options = { .from = from, .n_from = 1, .force = true };
        struct oxl_repair_result result = { 0 };
        struct oxl_error err = OXL_ERROR_INIT;
        assert_int_equal(oxl_repair_run(k.place, &k.options, &options, NULL, NULL, NULL, &result, &err), 0);
        oxl_error_done(&err);
}

/* @how: what was done to @path. */
static void expect_whole(const char *path, const char *how)
{
        char *root = place_path(good, ".oxen-lite");
        assert_int_equal(checked_run(&k), 0);
        if (k.n_found) {
                fprintf(stderr, "after '%s' was %s and repaired:\n", path, how);
                checked_print(&k);
        }
        assert_int_equal(k.n_found, 0);
        char **files = checked_files(&k, "");
        for (char **f = files; *f; f++) {
                size_t n, m;
                if (!is_exact(*f))
                        continue;
                char *now = place_read(k.root, *f, &n), *then = place_read(root, *f, &m);
                assert_int_equal(n, m);
                assert_memory_equal(now, then, n);
                free(now);
                free(then);
        }
        checked_files_free(files);
        free(root);
}

static void every_damaged_file_with_a_good_copy_is_healed(void **state)
{
        char **files = checked_files(&k, "");
        size_t healed = 0;
        (void)state;
        for (char **f = files; *f; f++)
                for (int way = 0; way < WAYS && (is_damaged_here(*f) || is_exact(*f)); way++) {
                        damage(*f, (enum way)way);
                        assert_int_equal(checked_run(&k), 0);
                        /* A lost lookup is no loss; a config whose seal alone is wrong is left to a person. */
                        if (k.n_found > 0 && checked_count(&k, OXL_P_CONFIG_EDITED, NULL) == 0) {
                                repair();
                                expect_whole(*f, way_names[way]);
                                healed++;
                        }
                        copy(good, k.place);
                }
        checked_files_free(files);
        fprintf(stderr, "%zu kinds of damage, all healed\n", healed);
        assert_true(healed > 40);
}

static void swap(const char *a, const char *b)
{
        size_t n, m;
        char *one = place_path(k.root, a), *other = place_path(k.root, b);
        char *x = place_read(k.root, a, &n), *y = place_read(k.root, b, &m);
        assert_int_equal(unlink(one), 0);
        assert_int_equal(unlink(other), 0);
        place_write(k.root, a, y, m);
        place_write(k.root, b, x, n);
        free(x);
        free(y);
        free(one);
        free(other);
}

/* Where HEAD and a branch pointed is known to the log in journal.db alone: without it a person has to choose. */
static bool has_copies(const char *a, const char *b)
{
        return strcmp(b, "journal.db") != 0 || (strcmp(a, "HEAD") != 0 && !starts(a, "refs/"));
}

/* A branch and the pack of its commit: repair asks, for it looks for that commit in the store alone. */
static bool is_asked(const char *a, const char *b)
{
        if (!starts(a, "refs/") || !starts(b, "versions/packs/"))
                return false;
        assert_int_equal(checked_run(&k), 0);
        return k.n_found == 1 && checked_count(&k, OXL_P_REF_DAMAGED, a) == 1;
}

static void any_two_files_that_changed_places_are_healed(void **state)
{
        char **files = checked_files(&k, "");
        size_t healed = 0, asked = 0;
        (void)state;
        for (char **a = files; *a; a++)
                for (char **b = a + 1; *b && is_damaged_here(*a); b++) {
                        if (!is_damaged_here(*b) || !has_copies(*a, *b) || !has_copies(*b, *a))
                                continue;
                        char how[300];
                        snprintf(how, sizeof how, "swapped with '%s'", *b);
                        swap(*a, *b);
                        repair();
                        if (is_asked(*a, *b)) {
                                asked++;
                        } else {
                                expect_whole(*a, how);
                                healed++;
                        }
                        copy(good, k.place);
                }
        checked_files_free(files);
        fprintf(stderr, "%zu pairs of files swapped: %zu healed, %zu proposed to a person\n", healed + asked, healed,
                asked);
        assert_true(asked <= 1);
        assert_true(healed > 100);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_damaged_file_with_a_good_copy_is_healed),
                cmocka_unit_test(any_two_files_that_changed_places_are_healed),
        };
        return cmocka_run_group_tests(tests, setup, teardown);
}
