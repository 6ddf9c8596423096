/* SPDX-License-Identifier: MIT */
/*
 * Each changed bit of each file that an Oxen store names by its hash is found by the right problem, and so is each length it may be
 * cut to: all bits of the vectors, a sample of a larger version and of a block (OXL_DEEP: 20,000 in all). HEAD and
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
        enum oxl_problem problem;
        char path[128];
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
        said.n++;
        said.problem = f->problem;
        snprintf(said.path, sizeof said.path, "%s", f->path);
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

static void expect_found(size_t i)
{
        assert_int_equal(check(), 1);
        assert_int_equal(said.problem, files[i].problem);
        assert_string_equal(said.path, files[i].path);
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

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_flipped_bit_is_found),
                cmocka_unit_test(every_length_is_found),
        };
        oxl_digest_setup();
        return cmocka_run_group_tests(tests, setup, teardown);
}
