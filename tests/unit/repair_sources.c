/* SPDX-License-Identifier: MIT */
/*
 * Sources of good bytes: a second copy of a blob in the store itself, and the version store of an Oxen repository, whose names are of
 * another hash than ours may be. The bytes decide: what is wrong there, too, is not taken. The working tree never helps here.
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

#include "digest/digest.h"
#include "repo/repo.h"
#include "support/checked.h"
#include "support/place.h"

/* What the last repair did. */
static struct {
        struct oxl_repair_result result;
        size_t n;
        char sources[8192]; /* one a line */
} heard;

static int hear(void *ctx, const struct oxl_repair_item *item, struct oxl_error *err)
{
        size_t n = strlen(heard.sources);
        (void)ctx;
        (void)err;
        heard.n++;
        snprintf(heard.sources + n, sizeof heard.sources - n, "%s: %s\n", item->path, item->source);
        return 0;
}

static void repair(struct checked *k, const char *from)
{
        const char *const folders[] = { from };
        const struct oxl_repair_options options = { .from = folders, .n_from = from ? 1 : 0, .force = true };
        memset(&heard, 0, sizeof heard);
        assert_int_equal(oxl_repair_run(k->place, &k->options, &options, NULL, hear, NULL, &heard.result, NULL), 0);
}

static void expect_clean(struct checked *k)
{
        assert_int_equal(checked_run(k), 0);
        if (k->n_found) {
                fprintf(stderr, "%s", heard.sources);
                checked_print(k);
        }
        assert_int_equal(k->n_found, 0);
}

static __attribute__((format(printf, 1, 2))) void run(const char *format, ...)
{
        char command[2048];
        va_list args;
        va_start(args, format);
        vsnprintf(command, sizeof command, format, args);
        va_end(args);
        assert_int_equal(system(command), 0);
}

/* Replaced, not written into: what else has a link to it stays as it is. */
static void replace(struct checked *k, const char *path, const void *bytes, size_t n)
{
        char *full = place_path(k->root, path);
        assert_int_equal(unlink(full), 0);
        place_write(k->root, path, bytes, n);
        free(full);
}

/* Damages the file below @prefix that holds these bytes as they are. */
static char *damage_holder(struct checked *k, const char *prefix, const void *bytes, size_t n)
{
        char **files = checked_files(k, prefix), *found = NULL;
        for (char **f = files; *f && !found; f++) {
                size_t size;
                char *now = place_read(k->root, *f, &size), *at = memmem(now, size, bytes, n);
                if (at) {
                        at[n / 2] = (char)(at[n / 2] ^ 4);
                        replace(k, *f, now, size);
                        found = strdup(*f);
                }
                free(now);
        }
        checked_files_free(files);
        assert_non_null(found);
        return found;
}

static void forget_working_tree(struct checked *k)
{
        run("cd '%s' && find . -name .oxen-lite -prune -o -type f -exec rm '{}' +", k->place);
}

/* --- twice in the store ------------------------------------------------------------------------------------------ */

enum { TWICE = 1500 };

/* Adds the same file in a copy of the repository where it goes into a pack, and takes that pack over. */
static void store_twice(struct checked *k, uint8_t bytes[TWICE])
{
        struct oxl_repo *r = NULL;
        struct checked twin = { .place = place_new(), .options = k->options };
        twin.root = place_path(twin.place, ".oxen-lite");
        for (int i = 0; i < TWICE; i++)
                bytes[i] = (uint8_t)(i * i >> 3 ^ i);
        run("cp -a '%s/.oxen-lite' '%s'", k->place, twin.place);
        assert_int_equal(oxl_repo_open(twin.place, &twin.options, &r, NULL), 0);
        assert_int_equal(oxl_repo_config_set(r, "pack_threshold", "100000", NULL), 0);
        oxl_repo_close(r);
        checked_add(&twin, "twice.bin", bytes, TWICE);
        checked_add(k, "twice.bin", bytes, TWICE);
        checked_commit(k, "twice");
        run("cp -an '%s'/versions/packs/*.pack '%s/versions/packs/'", twin.root, k->root);
        checked_free(&twin);
}

static void a_blob_that_is_stored_twice_heals_each_of_its_copies(void **state)
{
        uint8_t bytes[TWICE];
        struct checked k;
        (void)state;
        checked_new(&k, OXL_ALGO_BLAKE3);
        store_twice(&k, bytes);
        forget_working_tree(&k);
        expect_clean(&k);

        size_t n;
        char *loose = damage_holder(&k, "versions/files/", bytes, TWICE);
        assert_int_equal(checked_run(&k), 0);
        assert_int_equal(checked_count(&k, OXL_P_BLOB_DAMAGED, loose), 1);
        repair(&k, NULL);
        expect_clean(&k);
        char *now = place_read(k.root, loose, &n);
        assert_int_equal(n, TWICE);
        assert_memory_equal(now, bytes, n);
        free(now);

        char *pack = damage_holder(&k, "versions/packs/", bytes, TWICE);
        assert_int_equal(checked_run(&k), 0);
        assert_int_equal(checked_count(&k, OXL_P_RECORD_DAMAGED, pack), 1);
        run("rm -rf '%s/quarantine'/*", k.root); /* which has it as well */
        repair(&k, NULL);
        expect_clean(&k);
        assert_false(place_has(k.root, pack));
        /* and the new pack has it: the loose file is no longer needed */
        run("rm -r '%s/%s'", k.root, loose);
        expect_clean(&k);
        free(pack);
        free(loose);
        checked_free(&k);
}

/* --- Oxen's version store ---------------------------------------------------------------------------------------- */

/* The file's content where Oxen has it below @files, unless one byte of it is @wrong. */
static void put_version(struct checked *k, const char *files, const char *name, bool wrong)
{
        size_t n;
        char hex[33], folder[512];
        char *bytes = place_read(k->place, name, &n);
        struct oxl_digest d = oxl_digest_of(OXL_ALGO_XXH3_128, bytes, n);
        for (int i = 0; i < 16; i++)
                snprintf(hex + 2 * i, 3, "%02x", d.bytes[i]);
        const char *text = hex + strspn(hex, "0");
        snprintf(folder, sizeof folder, "%s/%.2s/%s", files, text, text + 2);
        run("mkdir -p '%s'", folder);
        bytes[n / 2] = (char)(bytes[n / 2] ^ wrong);
        place_write(folder, "data", bytes, n);
        free(bytes);
}

/* Loose blobs flipped and lost, a packed and a staged one flipped. */
static void damage_blobs(struct checked *k)
{
        char **loose = checked_files(k, "versions/files/");
        assert_non_null(loose[1]);
        size_t n;
        char *bytes = place_read(k->root, loose[0], &n);
        bytes[n - 1] = (char)(bytes[n - 1] ^ 1);
        replace(k, loose[0], bytes, n);
        free(bytes);
        run("rm '%s/%s'", k->root, loose[1]);
        checked_files_free(loose);
        free(damage_holder(k, "versions/packs/", "in a folder\n", 12));
        free(damage_holder(k, "versions/packs/", "not committed yet\n", 18));
}

static void heals_from_oxen(enum oxl_algo algo, const char *given)
{
        static const char *const names[] = { "large-1.bin", "large-2.bin", "folder/b.txt", "staged.txt" };
        struct checked k;
        char *elsewhere = place_new(), *files = place_path(elsewhere, ".oxen/versions/files"),
             *from = place_path(elsewhere, given), *good = place_new();
        checked_new(&k, algo);
        char **loose = checked_files(&k, "versions/files/");
        run("cp -a '%s' '%s'", k.root, good);
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
                put_version(&k, files, names[i], false);
        forget_working_tree(&k);
        damage_blobs(&k);
        assert_int_equal(checked_run(&k), 0);
        assert_true(k.n_found >= 4);
        repair(&k, from);
        expect_clean(&k);
        assert_non_null(strstr(heard.sources, "--from "));
        assert_non_null(strstr(heard.sources, "/.oxen/versions/files/"));
        for (char **f = loose; *f; f++) {
                size_t n, m;
                char below[1024];
                snprintf(below, sizeof below, ".oxen-lite/%s", *f);
                char *now = place_read(k.root, *f, &n), *then = place_read(good, below, &m);
                assert_int_equal(n, m);
                assert_memory_equal(now, then, n);
                free(now);
                free(then);
        }
        checked_files_free(loose);
        checked_free(&k);
        free(files);
        free(from);
        place_free(elsewhere);
        place_free(good);
}

static void an_oxen_repository_heals_loose_packed_and_staged_blobs(void **state)
{
        (void)state;
        heals_from_oxen(OXL_ALGO_BLAKE3, "");
        heals_from_oxen(OXL_ALGO_XXH3_128, "");
        heals_from_oxen(OXL_ALGO_BLAKE3, ".oxen");
        heals_from_oxen(OXL_ALGO_XXH3_128, ".oxen/versions/files");
}

static void what_oxen_has_wrong_is_not_taken(void **state)
{
        static const enum oxl_algo algos[] = { OXL_ALGO_BLAKE3, OXL_ALGO_XXH3_128 };
        (void)state;
        for (int i = 0; i < 2; i++) {
                struct checked k;
                char *elsewhere = place_new(), *files = place_path(elsewhere, ".oxen/versions/files");
                checked_new(&k, algos[i]);
                put_version(&k, files, "large-1.bin", true);
                put_version(&k, files, "large-2.bin", true);
                forget_working_tree(&k);
                char **loose = checked_files(&k, "versions/files/");
                size_t n, m;
                char *bytes = place_read(k.root, loose[0], &n);
                bytes[3] = (char)(bytes[3] ^ 16);
                replace(&k, loose[0], bytes, n);
                repair(&k, elsewhere);
                assert_true(heard.n > 0);
                assert_int_equal(heard.result.left, heard.n);
                assert_int_equal(heard.result.healed + heard.result.rebuilt, 0);
                char *now = place_read(k.root, loose[0], &m);
                assert_int_equal(n, m);
                assert_memory_equal(now, bytes, n);
                free(now);
                free(bytes);
                checked_files_free(loose);
                checked_free(&k);
                free(files);
                place_free(elsewhere);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_blob_that_is_stored_twice_heals_each_of_its_copies),
                cmocka_unit_test(an_oxen_repository_heals_loose_packed_and_staged_blobs),
                cmocka_unit_test(what_oxen_has_wrong_is_not_taken),
        };
        oxl_digest_setup();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
