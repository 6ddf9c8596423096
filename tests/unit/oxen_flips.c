/* SPDX-License-Identifier: MIT */
/*
 * Each changed bit of each file that an Oxen store names by its hash is found by the right problem, and so is each length it may be
 * cut to: all bits of the vectors, a sample of a larger version and of a block (OXL_DEEP: 20,000 in all). So is each file with a byte
 * more, each that is lost, any two in each other's place, and what does not belong there. HEAD and
 * config.toml carry no checksum: what a flipped bit turns into another legal text is theirs.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <oxenlite/foreign.h>

#include "digest/digest.h"
#include "support/place.h"
#include "support/trees.h"

enum { LARGE = 5000, BITS = 2000, BITS_DEEP = 20000 };

static char *place;
static struct {
        char path[96];
        enum oxl_problem problem;
        size_t size;
} files[8];
static size_t n_files;

/* What the last check said. */
static struct {
        size_t n;
        struct {
                enum oxl_problem problem;
                char path[128];
        } at[8];
} said;

/* place_write with the folders above. */
static void write_below(const char *path, const void *bytes, size_t n)
{
        char command[512];
        snprintf(command, sizeof command, "mkdir -p \"$(dirname '%s/%s')\"", place, path);
        assert_int_equal(system(command), 0);
        place_write(place, path, bytes, n);
}

static void put(const char *path, const void *bytes, size_t n, enum oxl_problem problem)
{
        snprintf(files[n_files].path, sizeof files[n_files].path, "versions/files/%s", path);
        files[n_files].problem = problem;
        files[n_files++].size = n;
        char full[160];
        snprintf(full, sizeof full, "repo/.oxen/versions/files/%s", path);
        write_below(full, bytes, n);
}

/* At the place that its hash gives; blocks keep leading zeros. */
static void put_hashed(const char *folder, const void *bytes, size_t n, enum oxl_problem problem)
{
        char hex[33], path[80];
        struct oxl_digest d = oxl_digest_of(OXL_ALGO_XXH3_128, bytes, n);
        for (int i = 0; i < 16; i++)
                snprintf(hex + 2 * i, 3, "%02x", d.bytes[i]);
        const char *text = hex;
        while (!folder[0] && *text == '0')
                text++;
        snprintf(path, sizeof path, "%s%.2s/%s/data", folder, text, text + 2);
        put(path, bytes, n, problem);
}

static int setup(void **state)
{
        uint8_t large[LARGE];
        uint64_t seed = 1;
        (void)state;
        for (size_t i = 0; i < sizeof large; i++)
                large[i] = (uint8_t)trees_random(&seed);
        place = place_new();
        write_below("repo/.oxen/HEAD", "main", 4);
        place_text(place, "repo/.oxen/config.toml", "min_version = \"0.36.0\"\n");
        put("a7/666c8f5aaf946ca629d9d20c29aa6a/data", "Hello\n", 6, OXL_P_OXEN_BLOB_DAMAGED);
        put("18/066113d946cfa640ffc8773c83f61b/data", "World\n", 6, OXL_P_OXEN_BLOB_DAMAGED);
        put("df/8d09e93f874900a99b8775cc15b6c7/data.txt", "hello world", 11, OXL_P_OXEN_BLOB_DAMAGED);
        put("15/77598f7d7589481ced4b6fab7dc4e/data", "oxen-lite 1", 11, OXL_P_OXEN_BLOB_DAMAGED);
        put_hashed("", large, sizeof large, OXL_P_OXEN_BLOB_DAMAGED);
        put_hashed("blocks/", large, sizeof large / 2, OXL_P_OXEN_BLOCK_DAMAGED);
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        place_free(place);
        return 0;
}

static int hear(void *ctx, const struct oxl_finding *f, struct oxl_error *err)
{
        (void)ctx;
        (void)err;
        if (said.n < sizeof said.at / sizeof said.at[0]) {
                said.at[said.n].problem = f->problem;
                snprintf(said.at[said.n].path, sizeof said.at[0].path, "%s", f->path);
        }
        said.n++;
        return 0;
}

static size_t check(void)
{
        struct oxl_oxen_options options = { 0 };
        struct oxl_oxen_result result = { 0 };
        char *repo = place_path(place, "repo");
        said.n = 0;
        assert_int_equal(oxl_oxen_check(repo, &options, hear, NULL, &result, NULL), 0);
        oxl_oxen_result_done(&result);
        free(repo);
        return said.n;
}

/* Did the last check say @problem of @path? */
static bool has_said(enum oxl_problem problem, const char *path)
{
        for (size_t i = 0; i < said.n && i < sizeof said.at / sizeof said.at[0]; i++)
                if (said.at[i].problem == problem && strcmp(said.at[i].path, path) == 0)
                        return true;
        return false;
}

static void expect(size_t n, enum oxl_problem problem, const char *path)
{
        bool right = said.n == n && has_said(problem, path);
        for (size_t i = 0; !right && i < said.n && i < sizeof said.at / sizeof said.at[0]; i++)
                fprintf(stderr, "not %s %s: %s %s\n", oxl_problem_slug(problem), path,
                        oxl_problem_slug(said.at[i].problem), said.at[i].path);
        assert_true(right);
}

static void expect_found(size_t i)
{
        check();
        expect(1, files[i].problem, files[i].path);
}

static void flip(int fd, uint64_t bit)
{
        uint8_t byte;
        assert_int_equal(pread(fd, &byte, 1, (off_t)(bit / 8)), 1);
        byte ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(pwrite(fd, &byte, 1, (off_t)(bit / 8)), 1);
}

static int open_file(size_t i)
{
        char below[160];
        snprintf(below, sizeof below, "repo/.oxen/%s", files[i].path);
        return place_open(place, below, O_RDWR | O_CLOEXEC);
}

static void every_flipped_bit_is_found(void **state)
{
        size_t want = (size_t)(getenv("OXL_DEEP") ? BITS_DEEP : BITS) / 2, n = 0;
        uint64_t seed = 20261122;
        (void)state;
        assert_int_equal(check(), 0);
        for (size_t i = 0; i < n_files; i++) {
                uint64_t bits = 8 * files[i].size, tries = bits < want ? bits : want;
                int fd = open_file(i);
                for (uint64_t t = 0; t < tries; t++, n++) {
                        uint64_t bit = tries == bits ? t : trees_random(&seed) % bits;
                        flip(fd, bit);
                        expect_found(i);
                        flip(fd, bit);
                }
                close(fd);
        }
        assert_int_equal(check(), 0);
        fprintf(stderr, "%zu bits of %zu files flipped, all found\n", n, n_files);
}

static void every_length_is_found(void **state)
{
        size_t n = 0;
        (void)state;
        for (size_t i = 0; i < n_files; i++) {
                uint8_t bytes[LARGE];
                int fd = open_file(i);
                size_t step = files[i].size / 50 + 1;
                assert_int_equal(pread(fd, bytes, files[i].size, 0), files[i].size);
                for (size_t size = 0; size < files[i].size; size += step, n++) {
                        assert_int_equal(ftruncate(fd, (off_t)size), 0);
                        expect_found(i);
                        assert_int_equal(pwrite(fd, bytes, files[i].size, 0), files[i].size);
                }
                close(fd);
        }
        assert_int_equal(check(), 0);
        fprintf(stderr, "%zu lengths of %zu files, all found\n", n, n_files);
}

/* --- whole files ------------------------------------------------------------------------------------------------- */

static char *full_path(size_t i)
{
        char below[160];
        snprintf(below, sizeof below, "repo/.oxen/%s", files[i].path);
        return place_path(place, below);
}

static void a_byte_more_is_found(void **state)
{
        (void)state;
        for (size_t i = 0; i < n_files; i++) {
                int fd = open_file(i);
                assert_int_equal(pwrite(fd, "x", 1, (off_t)files[i].size), 1);
                expect_found(i);
                assert_int_equal(ftruncate(fd, (off_t)files[i].size), 0);
                close(fd);
        }
        assert_int_equal(check(), 0);
}

/* What is lost with its folder is known to Oxen's database alone; the folder without its file tells. */
static void a_lost_file_is_found_by_its_folder(void **state)
{
        (void)state;
        for (size_t i = 0; i < n_files; i++) {
                char data[104], *path = full_path(i), *aside = place_path(place, "aside");
                snprintf(data, sizeof data, "%.*s/data", (int)(strrchr(files[i].path, '/') - files[i].path),
                         files[i].path);
                assert_int_equal(rename(path, aside), 0);
                check();
                expect(1, OXL_P_OXEN_DATA_MISSING, data); /* by its own name, also where an older Oxen wrote data.txt */
                assert_int_equal(rename(aside, path), 0);
                free(path);
                free(aside);
        }
        assert_int_equal(check(), 0);
}

/* A version in the place of another is told as that; among blocks it is damage. */
static enum oxl_problem swapped_problem(size_t at, size_t with)
{
        bool versions = files[at].problem == OXL_P_OXEN_BLOB_DAMAGED && files[with].problem == OXL_P_OXEN_BLOB_DAMAGED;
        return versions ? OXL_P_OXEN_MISPLACED : files[at].problem;
}

static void swap(size_t a, size_t b)
{
        char *x = full_path(a), *y = full_path(b), *aside = place_path(place, "aside");
        assert_int_equal(rename(x, aside), 0);
        assert_int_equal(rename(y, x), 0);
        assert_int_equal(rename(aside, y), 0);
        free(x);
        free(y);
        free(aside);
}

static void any_two_files_that_changed_places_are_found(void **state)
{
        size_t n = 0;
        (void)state;
        for (size_t a = 0; a < n_files; a++)
                for (size_t b = a + 1; b < n_files; b++, n++) {
                        swap(a, b);
                        check();
                        expect(2, swapped_problem(a, b), files[a].path);
                        expect(2, swapped_problem(b, a), files[b].path);
                        swap(a, b);
                }
        assert_int_equal(check(), 0);
        fprintf(stderr, "%zu pairs of files swapped, all found\n", n);
}

/* But beside `data`, where Oxen puts what it derives from it, under any name. */
static void a_stray_file_is_found_in_every_folder(void **state)
{
        static const struct {
                const char *path, *told;
                enum oxl_problem problem;
        } strays[] = {
                { "versions/files/stray", "versions/files/stray", OXL_P_OXEN_STRAY },
                { "versions/files/a7/stray", "versions/files/a7/stray", OXL_P_OXEN_STRAY },
                { "versions/files/blocks/stray", "versions/files/blocks/stray", OXL_P_OXEN_STRAY },
                { "versions/files/blocks/00/stray", "versions/files/blocks/00/stray", OXL_P_OXEN_STRAY },
                { "versions/files/zz/stray", "versions/files/zz", OXL_P_OXEN_NAME },
                { "versions/files/a7/zz/data", "versions/files/a7/zz", OXL_P_OXEN_NAME },
        };
        (void)state;
        for (size_t i = 0; i < sizeof strays / sizeof strays[0]; i++) {
                char full[160], command[512];
                snprintf(full, sizeof full, "repo/.oxen/%s", strays[i].path);
                write_below(full, "what is this\n", 13);
                check();
                expect(1, strays[i].problem, strays[i].told);
                snprintf(command, sizeof command, "cd '%s' && rm '%s' && find repo -type d -empty -delete", place,
                         full);
                assert_int_equal(system(command), 0);
        }
        assert_int_equal(check(), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_flipped_bit_is_found),
                cmocka_unit_test(every_length_is_found),
                cmocka_unit_test(a_byte_more_is_found),
                cmocka_unit_test(a_lost_file_is_found_by_its_folder),
                cmocka_unit_test(any_two_files_that_changed_places_are_found),
                cmocka_unit_test(a_stray_file_is_found_in_every_folder),
        };
        oxl_digest_setup();
        return cmocka_run_group_tests(tests, setup, teardown);
}
