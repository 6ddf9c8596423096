/* SPDX-License-Identifier: MIT */
/*
 * Oxen stores: every changed bit is found and healed, what is in progress is no finding, what cannot be read is
 * never damage, and nothing is written without --repair, nothing lost with it.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
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

#include <oxenlite/foreign.h>
#include <oxenlite/repo.h>

#include "digest/digest.h"
#include "foreign/names.h"
#include "os/sys.h"
#include "support/fault.h"
#include "support/place.h"

#define STORE "repo/.oxen/versions/files/"
#define CONFIG "remotes = [\n  \"]\",\n]\nmin_version = \"0.36.0\"\nvnode_size = 10000 # it's [\n"

/* Text, hash, place: the first is the empty file, the fourth has a name of 31 digits. */
static const struct {
        const char *text, *id, *path;
} vectors[] = {
        { "", "99aa06d3014798d86001c324468d497f", "99/aa06d3014798d86001c324468d497f/data" },
        { "Hello\n", "a7666c8f5aaf946ca629d9d20c29aa6a", "a7/666c8f5aaf946ca629d9d20c29aa6a/data" },
        { "World\n", "18066113d946cfa640ffc8773c83f61b", "18/066113d946cfa640ffc8773c83f61b/data" },
        { "oxen-lite 1", "1577598f7d7589481ced4b6fab7dc4e", "15/77598f7d7589481ced4b6fab7dc4e/data" },
        { "hello world", "df8d09e93f874900a99b8775cc15b6c7", "df/8d09e93f874900a99b8775cc15b6c7/data" },
};
enum { VECTORS = 5, HELLO = 1, WORLD = 2, SHORT = 3 };
#define OLD_PATH "df/8d09e93f874900a99b8775cc15b6c7/data.txt" /* as older stores name it */

struct found {
        enum oxl_problem problem;
        char path[200], verdict[24], expected[65], actual[65], detail[300];
        int os;
        bool repaired, exists;
        uint64_t size, inode;
        int64_t mtime_ns;
};

static char *place;
static struct {
        bool force;
        unsigned batch;
} how; /* beside the parameters of check_with() */
static struct {
        struct found at[64];
        size_t n;
        struct oxl_oxen_result result;
        enum oxl_code code;
        int os;
} run;

/* --- a synthetic repository ------------------------------------------------------------------------------------------ */

static void make_parents(const char *name)
{
        char *path = place_path(place, name);
        for (char *p = path + strlen(place) + 1; (p = strchr(p, '/')); p++) {
                *p = 0;
                assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
                *p = '/';
        }
        free(path);
}

static void put_bytes(const char *name, const void *bytes, size_t n)
{
        make_parents(name);
        place_write(place, name, bytes, n);
}

static void put(const char *name, const char *text)
{
        put_bytes(name, text, strlen(text));
}

static void in_store(const char *below, const char *text)
{
        char name[256];
        snprintf(name, sizeof name, STORE "%s", below);
        put(name, text);
}

static void drop(const char *name)
{
        char *path = place_path(place, name);
        assert_int_equal(remove(path), 0);
        free(path);
}

static void drop_in_store(const char *below)
{
        char name[256];
        snprintf(name, sizeof name, STORE "%s", below);
        drop(name);
}

/* A block: 32 digits always, so one whose hash begins with a zero keeps it. */
static char block_path[64];
static char block_text[32];

static void make_block(void)
{
        struct oxl_digest d;
        char hex[33];
        for (int i = 0;; i++) {
                snprintf(block_text, sizeof block_text, "block %d OXBK", i);
                d = oxl_digest_of(OXL_ALGO_XXH3_128, block_text, strlen(block_text));
                if (d.bytes[0] >> 4 == 0)
                        break;
        }
        for (int i = 0; i < 16; i++)
                snprintf(hex + 2 * i, 3, "%02x", d.bytes[i]);
        snprintf(block_path, sizeof block_path, "blocks/%.2s/%s/data", hex, hex + 2);
}

static int setup(void **state)
{
        (void)state;
        place = place_new();
        place_mkdir(place, "state");
        put("repo/.oxen/HEAD", "main");
        put("repo/.oxen/config.toml", CONFIG);
        put("repo/.oxen/refs/CURRENT", "MANIFEST-000004\n");
        put("repo/.oxen/tree/nodes_lmdb/data.mdb", "lmdb");
        put("repo/.oxen/history/a7666c8f/dir_hashes/CURRENT", "MANIFEST-000005\n");
        put("repo/file.txt", "Hello\n");
        for (int i = 0; i < VECTORS - 1; i++)
                in_store(vectors[i].path, vectors[i].text);
        in_store(OLD_PATH, "hello world");
        make_block();
        in_store(block_path, block_text);
        in_store("chunk_index/data.mdb", "lmdb");
        in_store("a7/666c8f5aaf946ca629d9d20c29aa6a/200x300.jpg", "thumbnail");
        in_store("ab/cdef0123456789abcdef0123456789/manifest", "chunks of a large file");
        for (int i = 0; i < VECTORS; i++) {
                char name[64];
                snprintf(name, sizeof name, "good/some name %d", i);
                put(name, vectors[i].text);
        }
        put("good/folder/block", block_text);
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        oxl_oxen_result_done(&run.result);
        how.force = false;
        how.batch = 0;
        place_free(place);
        place = NULL;
        return 0;
}

/* --- running --------------------------------------------------------------------------------------------------------- */

static int hear(void *ctx, const struct oxl_finding *f, struct oxl_error *err)
{
        (void)ctx, (void)err;
        if (run.n == sizeof run.at / sizeof run.at[0])
                return 0;
        struct found *d = &run.at[run.n++];
        *d = (struct found){ .problem = f->problem, .os = f->os, .repaired = f->repaired };
        d->exists = f->exists;
        d->size = f->size;
        d->inode = f->inode;
        d->mtime_ns = f->mtime_ns;
        snprintf(d->path, sizeof d->path, "%s", f->path);
        snprintf(d->verdict, sizeof d->verdict, "%s", f->verdict);
        snprintf(d->expected, sizeof d->expected, "%s", f->expected);
        snprintf(d->actual, sizeof d->actual, "%s", f->actual);
        snprintf(d->detail, sizeof d->detail, "%s", f->detail);
        return 0;
}

static int check_with(const char *dir, bool repair, const char *from, const atomic_bool *cancel)
{
        struct oxl_error err = OXL_ERROR_INIT;
        char *path = place_path(place, dir), *state = place_path(place, "state/made/by us");
        char *source = from ? place_path(place, from) : NULL;
        struct oxl_oxen_options options = { .repair = repair,
                                            .from = source,
                                            .state = state,
                                            .cancel = cancel,
                                            .force = how.force,
                                            .batch = how.batch };
        oxl_oxen_result_done(&run.result);
        run.n = 0;
        int r = oxl_oxen_check(path, &options, hear, NULL, &run.result, &err);
        run.code = err.code;
        run.os = err.os;
        oxl_error_done(&err);
        free(path);
        free(state);
        free(source);
        return r;
}

static int check(void)
{
        return check_with("repo", false, NULL, NULL);
}

static int repair(const char *from)
{
        return check_with("repo", true, from, NULL);
}

static void show(void)
{
        for (size_t i = 0; i < run.n; i++)
                fprintf(stderr, "%s %s [%s] %s -> %s: %s%s\n", oxl_problem_slug(run.at[i].problem), run.at[i].path,
                        run.at[i].verdict, run.at[i].expected, run.at[i].actual, run.at[i].detail,
                        run.at[i].repaired ? " (repaired)" : "");
}

static void expect_n(size_t n)
{
        if (run.n != n || run.code)
                show();
        assert_int_equal(run.code, 0);
        assert_int_equal(run.n, n);
}

static void expect_clean(void)
{
        assert_int_equal(check(), 0);
        expect_n(0);
}

/* The only finding of a check. */
static const struct found *expect_one(enum oxl_problem problem, const char *path)
{
        expect_n(1);
        if (run.at[0].problem != problem || strcmp(run.at[0].path, path) != 0)
                show();
        assert_int_equal(run.at[0].problem, problem);
        assert_string_equal(run.at[0].path, path);
        return &run.at[0];
}

static const struct found *expect_one_in_store(enum oxl_problem problem, const char *below)
{
        char path[256];
        snprintf(path, sizeof path, "versions/files/%s", below);
        assert_int_equal(check(), 0);
        return expect_one(problem, path);
}

/* --- what lies on disk ------------------------------------------------------------------------------------------------ */

static char *lines[256];
static size_t n_lines;

static int note(const char *path, const struct stat *st, int type, struct FTW *at)
{
        (void)type, (void)at;
        assert_true(n_lines < sizeof lines / sizeof lines[0]);
        assert_true(asprintf(&lines[n_lines++], "%s %o %llu %lld.%09ld %lld.%09ld %llu\n", path, st->st_mode,
                             (unsigned long long)st->st_size, (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec,
                             (long long)st->st_ctim.tv_sec, st->st_ctim.tv_nsec, (unsigned long long)st->st_ino) > 0);
        return 0;
}

static int by_text(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names, types, sizes, times and inodes of everything below the folder. */
static char *listing(const char *name)
{
        char *path = place_path(place, name), *text = NULL;
        size_t n = 0;
        n_lines = 0;
        assert_int_equal(nftw(path, note, 16, FTW_PHYS), 0);
        qsort(lines, n_lines, sizeof lines[0], by_text);
        FILE *out = open_memstream(&text, &n);
        for (size_t i = 0; i < n_lines; i++) {
                fputs(lines[i], out);
                free(lines[i]);
        }
        fclose(out);
        free(path);
        return text;
}

static char *slurp(const char *below, size_t *ret_n)
{
        char name[256];
        snprintf(name, sizeof name, STORE "%s", below);
        return place_read(place, name, ret_n);
}

static void expect_content(const char *below, const char *text)
{
        size_t n;
        char *now = slurp(below, &n);
        assert_int_equal(n, strlen(text));
        assert_memory_equal(now, text, n);
        free(now);
}

static void flip(const char *below, size_t bit)
{
        char name[256];
        size_t n;
        snprintf(name, sizeof name, STORE "%s", below);
        char *bytes = place_read(place, name, &n);
        assert_true(bit < 8 * n);
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
        place_write(place, name, bytes, n);
        free(bytes);
}

/* --- names ------------------------------------------------------------------------------------------------------------- */

static void both_temp_shapes_are_known_and_nothing_else(void **state)
{
        static const char *const temps[] = { "data.oxentmp.a1B2c3", "chunk.oxentmp.ZZZZZZ",
                                             ".oxentmp.4711.export-table.parquet", "a.oxentmp.b.oxentmp.000000" };
        static const char *const others[] = { "x.oxentmp.",
                                              "x.oxentmp.toolong1",
                                              "notes about .oxentmp.txt",
                                              ".oxentmp.a1B2c3",
                                              "x.oxentmp.a1B2c",
                                              "x.oxentmp.a1B2c_",
                                              ".oxentmp.0.export-x",
                                              ".oxentmp.12.export-",
                                              ".oxentmp..export-x",
                                              ".oxentmp.12345678901.export-x",
                                              "x.oxentmp.12.export-x",
                                              "data",
                                              "" };
        (void)state;
        for (size_t i = 0; i < sizeof temps / sizeof temps[0]; i++)
                assert_true(oxl_oxen_temp_name(temps[i]));
        for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
                assert_false(oxl_oxen_temp_name(others[i]));
}

static void hashes_are_named_without_leading_zeros(void **state)
{
        struct oxl_digest d, same;
        char folder[OXL_OXEN_FOLDER_SIZE], rest[64];
        (void)state;
        for (int i = 0; i < VECTORS; i++) {
                char two[3] = { vectors[i].id[0], vectors[i].id[1], 0 };
                assert_null(oxl_oxen_hash_problem(two, vectors[i].id + 2, false, &d));
                same = oxl_digest_of(OXL_ALGO_XXH3_128, vectors[i].text, strlen(vectors[i].text));
                assert_true(oxl_digest_equal(&d, &same));
                oxl_oxen_folder(&d, folder);
                snprintf(rest, sizeof rest, "%s/data", folder);
                assert_string_equal(rest, vectors[i].path);
        }
        assert_non_null(oxl_oxen_hash_problem("01", "577598f7d7589481ced4b6fab7dc4e", false, &d));
        assert_null(oxl_oxen_hash_problem("01", "577598f7d7589481ced4b6fab7dc4e", true, &d));
        assert_non_null(oxl_oxen_hash_problem("15", "77598f7d7589481ced4b6fab7dc4e", true, &d));
        assert_non_null(oxl_oxen_hash_problem("AB", "cd", false, &d));
        assert_non_null(oxl_oxen_hash_problem("ab", "xy", false, &d));
        assert_non_null(oxl_oxen_hash_problem("a7", "666c8f5aaf946ca629d9d20c29aa6a0", false, &d));
}

/* --- what is right ------------------------------------------------------------------------------------------------------- */

static void a_good_repository_is_clean_from_each_of_its_folders(void **state)
{
        static const char *const dirs[] = { "repo", "repo/.oxen", "repo/.oxen/versions/files" };
        (void)state;
        for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++) {
                assert_int_equal(check_with(dirs[i], false, NULL, NULL), 0);
                expect_n(0);
                assert_int_equal(run.result.blobs, VECTORS + 1);
                assert_int_equal(run.result.unverifiable, 3); /* chunk_index, thumbnail, manifest */
                assert_int_equal(run.result.findings, 0);
        }
        char *before = listing("."), *after;
        assert_int_equal(repair("good"), 0);
        expect_n(0);
        assert_null(run.result.quarantine);
        after = listing(".");
        assert_string_equal(before, after);
        free(before);
        free(after);
}

static void uploads_in_progress_are_no_finding(void **state)
{
        (void)state;
        in_store("cd/ef0123456789abcdef0123456789ab/chunks/0/chunk", "first part");
        in_store("cd/ef0123456789abcdef0123456789ab/chunks/10485760/chunk", "second part");
        expect_clean();
        assert_int_equal(run.result.unverifiable, 5);
        in_store("cd/ef0123456789abcdef0123456789ab/chunks/20971520/chunk.oxentmp.ZZZZZZ", "third");
        in_store("ce/ef0123456789abcdef0123456789ab/data.oxentmp.a1B2c3", "whole");
        put("repo/.oxen/HEAD.oxentmp.q1w2e3", "main");
        in_store("a7/666c8f5aaf946ca629d9d20c29aa6a/data.oxl-0000000000000000-aaaaaaaaaaaaaaaa.tmp", "ours");
        put("repo/.oxen/.oxentmp.4711.export-table.parquet", "table");
        assert_int_equal(check(), 0);
        expect_n(5);
        for (size_t i = 0; i < run.n; i++)
                assert_int_equal(run.at[i].problem, OXL_P_OXEN_TEMP);
        assert_int_equal(run.result.temps, 5);
        assert_int_equal(run.result.temp_bytes, 5 + 5 + 4 + 4 + 5);
        assert_int_equal(run.result.findings, 0);
        assert_int_equal(repair(NULL), 0); /* and repair leaves them where they are */
        expect_n(5);
}

/* --- what is wrong --------------------------------------------------------------------------------------------------------- */

static void every_flipped_bit_is_found_and_healed(void **state)
{
        static const char *const paths[] = { "a7/666c8f5aaf946ca629d9d20c29aa6a/data",
                                             "15/77598f7d7589481ced4b6fab7dc4e/data", OLD_PATH, block_path };
        static const char *const texts[] = { "Hello\n", "oxen-lite 1", "hello world", block_text };
        (void)state;
        for (size_t i = 0; i < 4; i++) {
                enum oxl_problem problem = i == 3 ? OXL_P_OXEN_BLOCK_DAMAGED : OXL_P_OXEN_BLOB_DAMAGED;
                for (size_t bit = 0; bit < 8 * strlen(texts[i]); bit++) {
                        flip(paths[i], bit);
                        const struct found *f = expect_one_in_store(problem, paths[i]);
                        assert_string_equal(f->verdict, "media");
                        assert_true(strlen(f->actual) > 20 && strcmp(f->actual, f->expected) != 0);
                        assert_int_equal(repair("good"), 0);
                        expect_n(1);
                        assert_true(run.at[0].repaired && run.result.healed == 1 && run.result.quarantined == 1);
                        expect_content(paths[i], texts[i]);
                }
        }
        expect_clean();
}

static void what_is_cut_grown_or_emptied_is_found(void **state)
{
        (void)state;
        for (int i = 1; i < VECTORS - 1; i++) {
                for (size_t n = 0; n < strlen(vectors[i].text); n++) {
                        char cut[32] = "";
                        memcpy(cut, vectors[i].text, n);
                        in_store(vectors[i].path, cut);
                        expect_one_in_store(OXL_P_OXEN_BLOB_DAMAGED, vectors[i].path);
                }
                assert_int_equal(repair("good"), 0);
                char grown[64];
                snprintf(grown, sizeof grown, "%s!", vectors[i].text);
                in_store(vectors[i].path, grown);
                const struct found *f = expect_one_in_store(OXL_P_OXEN_BLOB_DAMAGED, vectors[i].path);
                assert_string_equal(f->expected, vectors[i].id);
                assert_int_equal(repair("good"), 0);
        }
        in_store(vectors[0].path, "x"); /* the empty one */
        expect_one_in_store(OXL_P_OXEN_BLOB_DAMAGED, vectors[0].path);
        assert_int_equal(repair("good"), 0);
        expect_clean();
}

static void swapped_blobs_are_told_apart_from_damage_and_heal_each_other(void **state)
{
        (void)state;
        in_store(vectors[HELLO].path, vectors[WORLD].text);
        in_store(vectors[WORLD].path, vectors[HELLO].text);
        assert_int_equal(check(), 0);
        expect_n(2);
        for (size_t i = 0; i < 2; i++) {
                assert_int_equal(run.at[i].problem, OXL_P_OXEN_MISPLACED);
                assert_non_null(strstr(run.at[i].detail, "its bytes belong at "));
        }
        assert_int_equal(repair(NULL), 0); /* the quarantine has the good bytes of both */
        expect_n(2);
        assert_true(run.at[0].repaired && run.at[1].repaired);
        expect_content(vectors[HELLO].path, vectors[HELLO].text);
        expect_content(vectors[WORLD].path, vectors[WORLD].text);
        expect_clean();
}

static void missing_data_is_found_and_healed(void **state)
{
        (void)state;
        drop_in_store(vectors[HELLO].path); /* its thumbnail stays */
        expect_one_in_store(OXL_P_OXEN_DATA_MISSING, vectors[HELLO].path);
        drop_in_store("a7/666c8f5aaf946ca629d9d20c29aa6a/200x300.jpg");
        const struct found *f = expect_one_in_store(OXL_P_OXEN_DATA_MISSING, vectors[HELLO].path);
        assert_string_equal(f->expected, vectors[HELLO].id);
        assert_int_equal(repair(NULL), 0);
        expect_n(1);
        assert_false(run.at[0].repaired);
        assert_int_equal(repair("good"), 0);
        expect_n(1);
        assert_true(run.at[0].repaired);
        assert_int_equal(run.result.quarantined, 0);
        assert_null(run.result.quarantine);
        expect_content(vectors[HELLO].path, "Hello\n");
        drop_in_store(block_path);
        expect_one_in_store(OXL_P_OXEN_DATA_MISSING, block_path);
        assert_int_equal(repair("good"), 0);
        expect_clean();
}

static void names_that_oxen_does_not_give_are_found(void **state)
{
        static const char *const names[] = {
                "01/577598f7d7589481ced4b6fab7dc4e",   /* zero-padded */
                "A7/666C8F5AAF946CA629D9D20C29AA6A",   /* upper case */
                "a7/666c8f5aaf946ca629d9d20c29aa6a00", /* too long */
                "a7/not hexadecimal",
                "blocks/12/345", /* too short */
        };
        (void)state;
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
                char data[128], folder[128];
                snprintf(data, sizeof data, "%s/data", names[i]);
                in_store(data, "oxen-lite 1");
                const struct found *f = expect_one_in_store(OXL_P_OXEN_NAME, names[i]);
                assert_non_null(strstr(f->detail, "; its data belongs at 15/77598f7d7589481ced4b6fab7dc4e/data"));
                if (i != 4)
                        assert_string_equal(f->actual, vectors[SHORT].id);
                drop_in_store(data);
                f = expect_one_in_store(OXL_P_OXEN_NAME, names[i]);
                assert_string_equal(f->actual, "");
                drop_in_store(names[i]);
                snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(names[i], '/') - names[i]), names[i]);
                if (strcmp(folder, "a7") != 0)
                        drop_in_store(folder);
        }
        place_mkdir(place, STORE "abc");
        expect_one_in_store(OXL_P_OXEN_NAME, "abc");
        drop_in_store("abc");
        place_mkdir(place, STORE "cd");
        in_store("cd/ef0123456789abcdef0123456789ab/chunks/0x10/chunk", "part");
        expect_one_in_store(OXL_P_OXEN_NAME, "cd/ef0123456789abcdef0123456789ab/chunks/0x10");
}

static void strays_are_found_and_neither_followed_nor_opened(void **state)
{
        static const char *const names[] = { "notes.txt",
                                             "ef",
                                             "a7/file",
                                             "blocks/file",
                                             "a7/666c8f5aaf946ca629d9d20c29aa6a/folder",
                                             "cd/ef0123456789abcdef0123456789ab/chunks/file" };
        (void)state;
        place_mkdir(place, STORE "cd");
        place_mkdir(place, STORE "cd/ef0123456789abcdef0123456789ab");
        place_mkdir(place, STORE "cd/ef0123456789abcdef0123456789ab/chunks");
        for (int kind = 0; kind < 4; kind++) {
                for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
                        char name[256];
                        snprintf(name, sizeof name, STORE "%s", names[i]);
                        char *path = place_path(place, name), *target = place_path(place, "good");
                        if (kind == 0 && strstr(names[i], "folder"))
                                assert_int_equal(mkdir(path, 0755), 0);
                        else if (kind == 0)
                                in_store(names[i], "file");
                        else if (kind == 1)
                                assert_int_equal(symlink(target, path), 0);
                        else if (kind == 2) /* opening it would hang */
                                assert_int_equal(mkfifo(path, 0644), 0);
                        else
                                assert_int_equal(symlink("data.oxentmp.a1B2c3", path), 0);
                        expect_one_in_store(OXL_P_OXEN_STRAY, names[i]);
                        assert_int_equal(remove(path), 0);
                        free(path);
                        free(target);
                }
        }
        char chunks[128]; /* uploads are of blobs, not of blocks */
        snprintf(chunks, sizeof chunks, "%.*schunks", (int)(strlen(block_path) - strlen("data")), block_path);
        in_store(chunks, "file");
        expect_one_in_store(OXL_P_OXEN_STRAY, chunks);
        drop_in_store(chunks);
        char *folder = place_path(place, STORE), *below = place_path(folder, chunks);
        assert_int_equal(mkdir(below, 0755), 0);
        expect_one_in_store(OXL_P_OXEN_STRAY, chunks);
        assert_int_equal(rmdir(below), 0);
        free(folder);
        free(below);
        /* In the place of the data itself: said once, and not taken for it. */
        drop_in_store(vectors[HELLO].path);
        char *data = place_path(place, STORE "a7/666c8f5aaf946ca629d9d20c29aa6a/data");
        char *good = place_path(place, "good/some name 1");
        assert_int_equal(symlink(good, data), 0);
        expect_one_in_store(OXL_P_OXEN_STRAY, vectors[HELLO].path);
        assert_int_equal(repair("good"), 0);
        expect_n(1);
        assert_int_equal(unlink(data), 0);
        assert_int_equal(mkfifo(data, 0644), 0);
        expect_one_in_store(OXL_P_OXEN_STRAY, vectors[HELLO].path);
        free(data);
        free(good);
}

/* --- HEAD and config.toml -------------------------------------------------------------------------------------------------- */

static void head_is_a_branch_or_a_commit(void **state)
{
        static const char *const good[] = { "main", "feature/x-1", "a7666c8f5aaf946ca629d9d20c29aa6a", "h\xc3\xa9" };
        static const char *const bad[] = { "",      "main\n", "ref: refs/heads/main", "ma\001in", "a..b", "/main",
                                           "m\xc3", "a b" };
        (void)state;
        for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
                put("repo/.oxen/HEAD", good[i]);
                expect_clean();
        }
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
                put("repo/.oxen/HEAD", bad[i]);
                assert_int_equal(check(), 0);
                assert_string_equal(expect_one(OXL_P_OXEN_HEAD, "HEAD")->verdict, "media");
        }
        drop("repo/.oxen/HEAD");
        expect_clean(); /* no commit yet */
        char *path = place_path(place, "repo/.oxen/HEAD");
        assert_int_equal(mkfifo(path, 0644), 0);
        assert_int_equal(check(), 0);
        expect_one(OXL_P_OXEN_HEAD, "HEAD");
        free(path);
}

static void a_damaged_config_is_found(void **state)
{
        static const char *const bad[] = { "min_version",   "= 1\n",
                                           "[storage\n",    "a = \"b\n",
                                           "x = [1,\n",     "a = \"\"\"b\n",
                                           "a = 'b'\001\n", "[storage]\nversions_path = 7\n",
                                           "a =\n",         "[storage]\nkind = \"local\"\nkind = \"local\"\n",
                                           "\xff = 1\n" };
        (void)state;
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
                put("repo/.oxen/config.toml", bad[i]);
                assert_int_equal(check(), 0);
                expect_one(OXL_P_OXEN_CONFIG, "config.toml");
                assert_int_equal(run.result.blobs, VECTORS + 1); /* the rest is looked at */
        }
        drop("repo/.oxen/config.toml");
        assert_int_equal(check(), 0);
        expect_one(OXL_P_OXEN_CONFIG, "config.toml");
}

static void move(const char *from, const char *to)
{
        char *a = place_path(place, from), *b = place_path(place, to);
        assert_int_equal(rename(a, b), 0);
        free(a);
        free(b);
}

static void the_store_is_found_where_the_config_says(void **state)
{
        char text[512], prefix[300];
        (void)state;
        move("repo/.oxen/versions/files", "repo/.oxen/elsewhere");
        in_store("never/looked/at", "x"); /* the default place is not the store any more */
        snprintf(prefix, sizeof prefix, "elsewhere/%s", vectors[HELLO].path);
        put("repo/.oxen/elsewhere/a7/666c8f5aaf946ca629d9d20c29aa6a/data", "hello\n");
        static const char *const forms[] = { "[storage]\nkind = \"local\"\nversions_path = \".oxen/elsewhere\"\n",
                                             "storage.versions_path = '.oxen/elsewhere/' # a comment\n",
                                             "[ storage.settings ]\npath = \".oxen/elsewhere\"\n" };
        for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
                snprintf(text, sizeof text, CONFIG "%s", forms[i]);
                put("repo/.oxen/config.toml", text);
                assert_int_equal(check(), 0);
                expect_one(OXL_P_OXEN_BLOB_DAMAGED, prefix);
        }
        move("repo/.oxen/elsewhere", "repo/.oxen-versions");
        put("repo/.oxen/config.toml", "[storage]\nversions_path = \".oxen-versions\"\n");
        assert_int_equal(check(), 0);
        expect_n(1);
        move("repo/.oxen-versions", "absolute");
        snprintf(text, sizeof text, "[storage]\nversions_path = \"%s/absolute\"\n", place);
        put("repo/.oxen/config.toml", text);
        snprintf(prefix, sizeof prefix, "%s/absolute/%s", place, vectors[HELLO].path);
        assert_int_equal(check(), 0);
        expect_one(OXL_P_OXEN_BLOB_DAMAGED, prefix);
        assert_int_equal(repair("good"), 0);
        assert_true(run.n == 1 && run.at[0].repaired);
        move("absolute", "gone");
        assert_int_equal(check(), 0);
        snprintf(prefix, sizeof prefix, "%s/absolute", place);
        expect_one(OXL_P_OXEN_STORE_MISSING, prefix);
}

static void a_store_that_cannot_be_looked_at_is_not_clean(void **state)
{
        static const char *const configs[] = { "[storage]\nkind = \"s3\"\n", "storage = { kind = \"local\" }\n",
                                               "[storage]\nversions_path = \"relative/to/nothing\"\n" };
        (void)state;
        for (size_t i = 0; i < sizeof configs / sizeof configs[0]; i++) {
                put("repo/.oxen/config.toml", configs[i]);
                assert_int_equal(check(), 0);
                expect_one(OXL_P_UNREADABLE, "versions/files");
                assert_int_equal(run.result.unreadable, 1);
                assert_int_equal(run.result.blobs, 0);
        }
        put("repo/.oxen/config.toml", CONFIG);
        move("repo/.oxen/versions", "versions");
        assert_int_equal(check(), 0);
        expect_one(OXL_P_OXEN_STORE_MISSING, "versions/files");
        char *link = place_path(place, "repo/.oxen/versions"), *target = place_path(place, "versions");
        assert_int_equal(symlink(target, link), 0);
        assert_int_equal(check(), 0);
        expect_one(OXL_P_OXEN_STORE_MISSING, "versions/files");
        assert_int_equal(unlink(link), 0);
        move("repo/.oxen/tree", "tree");
        move("repo/.oxen/history", "history");
        expect_clean(); /* a repository without a commit: nothing was ever stored */
        free(link);
        free(target);
}

static int no_config_toml(int dirfd, const char *path, int flags, mode_t mode)
{
        if (strcmp(path, "config.toml") == 0) {
                errno = EIO;
                return -1;
        }
        return oxl_sys_real.openat(dirfd, path, flags, mode);
}

static int no_config_toml2(int dirfd, const char *path, int flags, mode_t mode, uint64_t resolve)
{
        if (strcmp(path, "config.toml") == 0) {
                errno = EIO;
                return -1;
        }
        return oxl_sys_real.openat2(dirfd, path, flags, mode, resolve);
}

/* Who cannot read where the store is, does not know that it is missing. */
static void a_config_that_cannot_be_read_makes_no_store_missing(void **state)
{
        char text[512];
        struct oxl_sys table = oxl_sys_real;
        (void)state;
        move("repo/.oxen/versions", "absolute");
        snprintf(text, sizeof text, "[storage]\nversions_path = \"%s/absolute/files\"\n", place);
        put("repo/.oxen/config.toml", text);
        expect_clean();
        table.openat = no_config_toml;
        table.openat2 = no_config_toml2;
        oxl_sys = &table;
        int r = check();
        oxl_sys = &oxl_sys_real;
        assert_int_equal(r, 0);
        expect_one(OXL_P_UNREADABLE, "config.toml");
}

static void what_is_no_oxen_repository_is_refused(void **state)
{
        static const char *const dirs[] = { "good", "nothing", "repo/file.txt" };
        (void)state;
        for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++) {
                assert_int_equal(check_with(dirs[i], false, NULL, NULL), -OXL_E_REPO_NOT_FOUND);
                assert_int_equal(run.n, 0);
        }
}

/* --- what cannot be read ----------------------------------------------------------------------------------------------------- */

/* Runs with the fault; false when it did not come to it. */
static bool fails_as_unreadable(const struct fault_plan *plan, bool repairing)
{
        fault_install(plan);
        int r = repairing ? repair("good") : check();
        if (!fault_remove())
                return false;
        if (r == 0 && run.result.unreadable == 0)
                fprintf(stderr, "%s %u was not noticed\n", plan->only, plan->nth);
        assert_true(r < 0 ? run.os == plan->os : run.result.unreadable > 0);
        for (size_t i = 0; i < run.n; i++) {
                assert_int_equal(run.at[i].problem, OXL_P_UNREADABLE);
                assert_int_equal(run.at[i].os, plan->os);
                assert_string_equal(run.at[i].verdict, "unreadable");
        }
        return true;
}

static void a_failing_read_is_unreadable_and_changes_nothing(void **state)
{
        static const char *const calls[] = { "openat", "openat2", "read", "getdents", "fstat", "fstatat" };
        static const int errors[] = { EIO, EACCES, EMFILE };
        unsigned tried = 0;
        (void)state;
        char *before = listing(".");
        for (int mode = 0; mode < 4; mode++) { /* check or repair; one failure, or all from there on */
                for (size_t c = 0; c < sizeof calls / sizeof calls[0]; c++) {
                        for (size_t e = 0; e < 3; e++) {
                                struct fault_plan plan = {
                                        .only = calls[c], .nth = 1, .os = errors[e], .for_ever = mode >= 2
                                };
                                for (; fails_as_unreadable(&plan, mode & 1); plan.nth++)
                                        tried++;
                        }
                }
        }
        char *after = listing(".");
        assert_string_equal(before, after);
        assert_true(tried > 300);
        free(before);
        free(after);
}

/* --- a table of system calls that watches and lies ---------------------------------------------------------------------------- */

static struct {
        struct oxl_sys table;
        char opened[65536]; /* names, each followed by LF */
        size_t n;
        bool wrote, special;                       /* opened for writing; something that is no file or folder */
        unsigned reads;                            /* reads that gave something */
        unsigned lies;                             /* bit n: the read n (from 0) is changed */
        bool lies_differ;                          /* each in its own way */
        void (*after)(void);                       /* called once after the first read */
        void (*at_mkdir)(void), (*at_match)(void); /* once, before a folder is made; after the first read of ... */
        const char *match;                         /* ... this text */
        unsigned matches, lie_at_match;
} watch;

static void saw_open(int dirfd, const char *path, int flags)
{
        struct stat st;
        watch.special |=
                fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
        if (watch.n + strlen(path) + 2 < sizeof watch.opened)
                watch.n += (size_t)snprintf(watch.opened + watch.n, sizeof watch.opened - watch.n, "%s\n", path);
        watch.wrote |= (flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)) != 0;
}

static int watch_openat(int dirfd, const char *path, int flags, mode_t mode)
{
        saw_open(dirfd, path, flags);
        return oxl_sys_real.openat(dirfd, path, flags, mode);
}

static int watch_openat2(int dirfd, const char *path, int flags, mode_t mode, uint64_t resolve)
{
        saw_open(dirfd, path, flags);
        return oxl_sys_real.openat2(dirfd, path, flags, mode, resolve);
}

static ssize_t watch_read(int fd, void *buf, size_t n)
{
        ssize_t r = oxl_sys_real.read(fd, buf, n);
        if (r <= 0)
                return r;
        if (watch.reads < 32 && watch.lies >> watch.reads & 1)
                *(char *)buf = (char)(*(char *)buf ^ (watch.lies_differ ? 1 << watch.reads : 1));
        if (watch.reads++ == 0 && watch.after)
                watch.after();
        if (!watch.match || (size_t)r != strlen(watch.match) || memcmp(buf, watch.match, (size_t)r) != 0)
                return r;
        if (watch.matches++ == 0 && watch.at_match)
                watch.at_match();
        if (watch.matches == watch.lie_at_match)
                *(char *)buf ^= 1;
        return r;
}

static int watch_mkdirat(int dirfd, const char *path, mode_t mode)
{
        void (*hook)(void) = watch.at_mkdir;
        watch.at_mkdir = NULL;
        if (hook)
                hook();
        return oxl_sys_real.mkdirat(dirfd, path, mode);
}

static int refuse_name(int dirfd, const char *path, int flags)
{
        (void)dirfd, (void)path, (void)flags;
        watch.wrote = true;
        errno = EROFS;
        return -1;
}

static int refuse_mkdir(int dirfd, const char *path, mode_t mode)
{
        return refuse_name(dirfd, path, (int)mode);
}

static int refuse_rename(int fromfd, const char *from, int tofd, const char *to, unsigned flags)
{
        (void)tofd, (void)to;
        return refuse_name(fromfd, from, (int)flags);
}

static int refuse_sync(int fd)
{
        return refuse_name(fd, "", 0);
}

static void watch_begin(bool refuse)
{
        memset(&watch, 0, sizeof watch);
        watch.table = oxl_sys_real;
        watch.table.openat = watch_openat;
        watch.table.openat2 = watch_openat2;
        watch.table.read = watch_read;
        watch.table.mkdirat = watch_mkdirat;
        if (refuse) {
                watch.table.unlinkat = refuse_name;
                watch.table.mkdirat = refuse_mkdir;
                watch.table.renameat2 = refuse_rename;
                watch.table.fsync = refuse_sync;
                watch.table.fdatasync = refuse_sync;
                watch.table.syncfs = refuse_sync;
        }
        oxl_sys = &watch.table;
}

static void watch_end(void)
{
        oxl_sys = &oxl_sys_real;
}

static void databases_are_never_opened_and_check_mode_writes_nothing(void **state)
{
        static const char *const never[] = { "refs", "CURRENT", "mdb", "tree", "nodes", "history", "chunk_index" };
        (void)state;
        flip(vectors[HELLO].path, 3);
        drop_in_store(vectors[WORLD].path);
        in_store("01/23/data", "x");
        for (int mode = 0; mode < 2; mode++) {
                char *before = listing(".");
                watch_begin(mode == 0);
                int r = mode ? repair("repo")
                             : check(); /* its own repository as the source: databases in it are not read either */
                watch_end();
                assert_int_equal(r, 0);
                assert_int_equal(run.n, 3);
                assert_non_null(strstr(watch.opened, "data\n"));
                for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
                        assert_null(strstr(watch.opened, never[i]));
                if (mode == 0) {
                        char *after = listing(".");
                        assert_string_equal(before, after);
                        assert_false(watch.wrote);
                        free(after);
                }
                free(before);
        }
}

static void fifos_and_links_are_never_opened(void **state)
{
        static const char *const fifos[] = { "repo/.oxen/HEAD",
                                             STORE "01/23/data",
                                             STORE "a7/fifo",
                                             STORE "a7/666c8f5aaf946ca629d9d20c29aa6a/data",
                                             "source/18/066113d946cfa640ffc8773c83f61b/data",
                                             "source/fifo" };
        static const char *const links[] = { STORE "18/066113d946cfa640ffc8773c83f61b/data.txt", STORE "02/34/data",
                                             STORE "bb" };
        (void)state;
        drop("repo/.oxen/HEAD");
        drop_in_store(vectors[HELLO].path);
        drop_in_store(vectors[WORLD].path); /* wanted from the source */
        for (size_t i = 0; i < sizeof fifos / sizeof fifos[0]; i++) {
                make_parents(fifos[i]);
                char *path = place_path(place, fifos[i]);
                assert_int_equal(mkfifo(path, 0644), 0);
                free(path);
        }
        for (size_t i = 0; i < sizeof links / sizeof links[0]; i++) {
                make_parents(links[i]);
                char *path = place_path(place, links[i]),
                     *good = place_path(place, i == 2 ? "good" : "good/some name 2");
                assert_int_equal(symlink(good, path), 0);
                free(path);
                free(good);
        }
        for (int mode = 0; mode < 2; mode++) {
                watch_begin(false);
                int r = mode ? repair("source") : check();
                watch_end();
                assert_int_equal(r, 0);
                assert_false(watch.special);
                assert_int_equal(run.result.healed, 0);
                assert_true(run.n >= 6);
        }
        drop_in_store(
                "18/066113d946cfa640ffc8773c83f61b/data.txt"); /* now its absence is a loss, and the source is asked */
        watch_begin(false);
        int r = repair("source");
        watch_end();
        assert_int_equal(r, 0);
        assert_false(watch.special);
        assert_int_equal(run.result.healed, 0);
}

static void a_read_that_was_wrong_once_is_transient(void **state)
{
        (void)state;
        put("bare/15/77598f7d7589481ced4b6fab7dc4e/data", "oxen-lite 1");
        for (int mode = 0; mode < 2; mode++) {
                watch_begin(false);
                watch.lies = 1;
                int r = check_with("bare", mode == 1, "good", NULL);
                watch_end();
                assert_int_equal(r, 0);
                assert_string_equal(expect_one(OXL_P_TRANSIENT, vectors[SHORT].path)->verdict, "transient");
                assert_int_equal(run.result.blobs, 1);
                assert_int_equal(place_count(place, "state"), 0);
        }
}

static void reads_that_are_wrong_in_two_ways_make_memory_suspect_and_are_not_repaired(void **state)
{
        (void)state;
        put("bare/15/77598f7d7589481ced4b6fab7dc4e/data", "oxen-lite 1");
        watch_begin(false);
        watch.lies = 3;
        watch.lies_differ = true;
        int r = check_with("bare", true, "good", NULL);
        watch_end();
        assert_int_equal(r, 0);
        assert_string_equal(expect_one(OXL_P_OXEN_BLOB_DAMAGED, vectors[SHORT].path)->verdict, "memory-suspect");
        assert_false(run.at[0].repaired);
        assert_int_equal(place_count(place, "state"), 0);
}

static void replace_by_good(void)
{
        put("bare/15/77598f7d7589481ced4b6fab7dc4e/new", "oxen-lite 1");
        move("bare/15/77598f7d7589481ced4b6fab7dc4e/new", "bare/15/77598f7d7589481ced4b6fab7dc4e/data");
}

static void remove_data(void)
{
        drop("bare/15/77598f7d7589481ced4b6fab7dc4e/data");
        drop("bare/15/77598f7d7589481ced4b6fab7dc4e");
}

static void a_file_that_is_replaced_or_removed_between_the_looks_is_no_suspect(void **state)
{
        (void)state;
        put("bare/15/77598f7d7589481ced4b6fab7dc4e/data", "oxen-lite 2");
        watch_begin(false);
        watch.after = replace_by_good;
        int r = check_with("bare", false, NULL, NULL);
        watch_end();
        assert_int_equal(r, 0);
        expect_n(0);
        assert_int_equal(run.result.blobs, 1);
        put("bare/15/77598f7d7589481ced4b6fab7dc4e/data", "oxen-lite 2");
        watch_begin(false);
        watch.after = remove_data;
        r = check_with("bare", false, NULL, NULL);
        watch_end();
        assert_int_equal(r, 0);
        expect_n(0);
}

/* --- repair --------------------------------------------------------------------------------------------------------------------- */

static void a_blob_without_a_good_copy_stays_and_is_kept(void **state)
{
        struct stat before, after;
        (void)state;
        flip(vectors[HELLO].path, 5);
        char *path = place_path(place, STORE "a7/666c8f5aaf946ca629d9d20c29aa6a/data");
        assert_int_equal(stat(path, &before), 0);
        for (int i = 0; i < 2; i++) { /* the second run finds it in the quarantine and makes no other */
                assert_int_equal(repair(NULL), 0);
                expect_n(1);
                assert_false(run.at[0].repaired);
                assert_non_null(strstr(run.at[0].detail, "no good copy was found"));
                assert_int_equal(run.result.quarantined, 1);
                assert_int_equal(run.result.healed, 0);
                assert_int_equal(stat(path, &after), 0);
                assert_true(before.st_ino == after.st_ino && before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
                assert_int_equal(place_count(run.result.quarantine, "."), 1);
        }
        put("other/unrelated", "nothing of use");
        assert_int_equal(repair("other"), 0);
        assert_false(run.at[0].repaired);
        free(path);
}

/* --- budget, batches ------------------------------------------------------------------------------------------------------------ */

enum { DAMAGED = VECTORS + 1 };

/* What is in quarantine would heal everything. */
static void forget_state(void)
{
        char *rm = NULL;
        assert_true(asprintf(&rm, "rm -rf '%s/state/made'", place) > 0);
        assert_int_equal(system(rm), 0);
        free(rm);
}

static void damage_all(void)
{
        in_store(vectors[0].path, "not empty");
        for (int i = 1; i < VECTORS - 1; i++)
                flip(vectors[i].path, 9);
        flip(OLD_PATH, 9);
        flip(block_path, 9);
}

static void more_than_the_budget_is_left_alone_until_forced(void **state)
{
        (void)state;
        damage_all();
        char *before = listing("repo");
        for (how.batch = 0; how.batch < DAMAGED; how.batch++) { /* the list is full before the walk ends, or not */
                assert_int_equal(repair("good"), 0);
                expect_n(DAMAGED);
                assert_true(run.result.over_budget);
                for (size_t i = 0; i < run.n; i++) {
                        assert_false(run.at[i].repaired);
                        /* those behind a full list are told as a check tells them */
                        assert_true(how.batch > 0 || strstr(run.at[i].detail, "--force"));
                }
                assert_int_equal(place_count(place, "state"), 0);
        }
        char *after = listing("repo");
        assert_string_equal(before, after);
        free(before);
        free(after);
        how.batch = 0;
        how.force = true;
        assert_int_equal(repair("good"), 0);
        expect_n(DAMAGED);
        assert_false(run.result.over_budget);
        assert_int_equal(run.result.healed, DAMAGED);
        expect_clean();
        flip(vectors[HELLO].path, 2); /* one is within the budget */
        how.force = false;
        assert_int_equal(repair("good"), 0);
        assert_true(run.n == 1 && run.at[0].repaired);
}

/* How often the folder was opened: once before all, and once for each batch. */
static unsigned opened(const char *path)
{
        unsigned n = 0;
        size_t len = strlen(path);
        for (const char *at = watch.opened; (at = strstr(at, path)); at += len)
                n += at[len] == '\n';
        return n;
}

static void more_than_a_batch_is_repaired_in_several(void **state)
{
        char *from = place_path(place, "good");
        (void)state;
        how.force = true;
        for (how.batch = 1; how.batch <= DAMAGED; how.batch++) {
                damage_all();
                watch_begin(false);
                int r = repair("good");
                watch_end();
                assert_int_equal(r, 0);
                assert_int_equal(opened(from), 1 + (DAMAGED + how.batch - 1) / how.batch);
                expect_n(DAMAGED);
                for (size_t i = 0; i < run.n; i++)
                        assert_true(run.at[i].repaired);
                assert_int_equal(run.result.healed, DAMAGED);
                assert_int_equal(run.result.quarantined, DAMAGED);
                expect_clean();
                forget_state();
        }
        free(from);
}

static void findings_say_which_file_they_saw(void **state)
{
        struct stat st;
        (void)state;
        in_store(vectors[HELLO].path, "Hallo!\n");
        drop_in_store(vectors[WORLD].path);
        char *path = place_path(place, STORE "a7/666c8f5aaf946ca629d9d20c29aa6a/data");
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(check(), 0);
        expect_n(2);
        for (size_t i = 0; i < run.n; i++) {
                bool missing = run.at[i].problem == OXL_P_OXEN_DATA_MISSING;
                assert_true(run.at[i].exists == !missing);
                if (missing)
                        continue;
                assert_int_equal(run.at[i].size, 7);
                assert_int_equal(run.at[i].inode, st.st_ino);
                assert_int_equal(run.at[i].mtime_ns, st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec);
        }
        free(path);
}

/* A repository of ours, with the texts in packs, and a loose blob that is none of them. */
static void make_ours(const char *name, enum oxl_algo algo)
{
        struct oxl_repo *r;
        struct oxl_add_result result;
        struct oxl_error err = OXL_ERROR_INIT;
        const struct oxl_add_options all = { .all = true };
        const char *paths[] = { "" };
        char file[64], *path = place_path(place, name);
        place_mkdir(place, name);
        for (int i = 0; i < VECTORS; i++) {
                snprintf(file, sizeof file, "%s/file %d", name, i);
                put(file, vectors[i].text);
        }
        assert_int_equal(oxl_repo_init(path, algo, &err), 0);
        assert_int_equal(oxl_repo_open(path, NULL, &r, &err), 0);
        assert_int_equal(oxl_repo_add(r, paths, 1, &all, &result, &err), 0);
        oxl_repo_close(r);
        for (int i = 0; i < VECTORS; i++) {
                snprintf(file, sizeof file, "%s/file %d", name, i);
                drop(file);
        }
        free(path);
}

static void packs_of_a_repository_of_ours_are_a_source(void **state)
{
        static const enum oxl_algo algos[] = { OXL_ALGO_XXH3_128, OXL_ALGO_BLAKE3 };
        static const char *const from[] = { "ours-0", "above/ours-1" };
        (void)state;
        place_mkdir(place, "above");
        for (int i = 0; i < 2; i++) {
                make_ours(from[i], algos[i]);
                flip(vectors[HELLO].path, 3);
                flip(vectors[SHORT].path, 3);
                drop_in_store(vectors[WORLD].path);
                assert_int_equal(repair(i ? "above" : from[i]), 0);
                expect_n(3);
                for (size_t k = 0; k < run.n; k++) {
                        assert_true(run.at[k].repaired);
                        assert_non_null(strstr(run.at[k].detail, ".oxen-lite/versions/packs/"));
                }
                for (int k = 1; k < 4; k++)
                        expect_content(vectors[k].path, vectors[k].text);
                expect_clean();
                forget_state();
        }
}

static char *quarantine_folder(void)
{
        const char *end = strrchr(run.at[0].detail, '/');
        char name[32];
        assert_non_null(end);
        snprintf(name, sizeof name, "%.16s", end + 1);
        return place_path(run.result.quarantine, name);
}

static void the_quarantine_has_the_damaged_bytes_and_a_note(void **state)
{
        struct stat st;
        size_t n;
        (void)state;
        in_store(vectors[HELLO].path, "Hallo\n");
        assert_int_equal(repair("good"), 0);
        assert_true(run.n == 1 && run.at[0].repaired);
        char *folder = quarantine_folder(), *data = place_read(folder, "data", &n),
             *text = place_read(folder, "note", NULL);
        assert_int_equal(n, 6);
        assert_memory_equal(data, "Hallo\n", 6);
        assert_non_null(strstr(text, "expected xxh3-128:a7666c8f5aaf946ca629d9d20c29aa6a\n"));
        assert_non_null(strstr(text, "actual xxh3-128:"));
        assert_non_null(strstr(text, "size 6\n"));
        assert_non_null(strstr(text, "path a7/666c8f5aaf946ca629d9d20c29aa6a/data\n"));
        char *path = place_path(folder, "data");
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0400);
        free(path);
        free(folder);
        free(data);
        free(text);
}

static void a_quarantine_without_its_note_is_completed(void **state)
{
        (void)state;
        in_store(vectors[HELLO].path, "Hallo\n");
        assert_int_equal(repair(NULL), 0);
        char *folder = quarantine_folder(), *note_path = place_path(folder, "note");
        assert_int_equal(unlink(note_path), 0);
        assert_int_equal(repair("good"), 0);
        assert_true(run.at[0].repaired);
        assert_true(place_has(folder, "note"));
        free(folder);
        free(note_path);
}

static void healing_keeps_the_mode_and_takes_any_source(void **state)
{
        static const char *const sources[] = { "good", "clone", "clone/.oxen", "clone/.oxen/versions/files", "deep" };
        struct stat st;
        (void)state;
        put("clone/.oxen/config.toml", CONFIG);
        put("clone/.oxen/versions/files/a7/666c8f5aaf946ca629d9d20c29aa6a/data", "Hello\n");
        put("deep/a/b/c/d/e/f/g/old copy (2).txt", "Hello\n");
        char *path = place_path(place, STORE "a7/666c8f5aaf946ca629d9d20c29aa6a/data");
        for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++) {
                in_store(vectors[HELLO].path, i % 2 ? "Hallo\n" : "another size");
                assert_int_equal(chmod(path, 0600), 0);
                assert_int_equal(repair(sources[i]), 0);
                expect_n(1);
                assert_true(run.at[0].repaired);
                assert_int_equal(stat(path, &st), 0);
                assert_int_equal(st.st_mode & 07777, 0600);
                expect_content(vectors[HELLO].path, "Hello\n");
        }
        expect_clean();
        free(path);
}

static void damage_otherwise(void)
{
        in_store("a7/666c8f5aaf946ca629d9d20c29aa6a/new", "Hxllo\n");
        move(STORE "a7/666c8f5aaf946ca629d9d20c29aa6a/new", STORE "a7/666c8f5aaf946ca629d9d20c29aa6a/data");
}

static void a_file_that_changes_during_repair_is_left_alone(void **state)
{
        (void)state;
        for (int when = 0; when < 2; when++) { /* before its copy is made, before it is replaced */
                in_store(vectors[HELLO].path, "Hallo\n");
                watch_begin(false);
                watch.match = "Hello\n";
                if (when == 0)
                        watch.at_mkdir = damage_otherwise;
                else
                        watch.at_match = damage_otherwise;
                int r = repair("good");
                watch_end();
                assert_int_equal(r, 0);
                expect_n(1);
                assert_false(run.at[0].repaired);
                assert_non_null(strstr(run.at[0].detail, "it changed"));
                expect_content(vectors[HELLO].path, "Hxllo\n");
                assert_int_equal(run.result.quarantined, when);
                assert_int_equal(run.result.healed, 0);
        }
}

static void spoil_source(void)
{
        put("good/some name 1", "Hxllo\n");
}

static void a_source_that_changes_while_it_is_copied_is_not_published(void **state)
{
        (void)state;
        in_store(vectors[HELLO].path, "Hallo\n");
        watch_begin(false);
        watch.match = "Hello\n";
        watch.at_match = spoil_source;
        int r = repair("good");
        watch_end();
        assert_int_equal(r, 0);
        expect_n(1);
        assert_false(run.at[0].repaired);
        assert_non_null(strstr(run.at[0].detail, "no good copy"));
        expect_content(vectors[HELLO].path, "Hallo\n");
}

static void what_reads_back_wrong_is_neither_kept_nor_healed(void **state)
{
        (void)state;
        in_store(vectors[HELLO].path, "Hallo\n");
        watch_begin(false);
        watch.match = "Hallo\n"; /* two looks, the copy, the copy's own reading */
        watch.lie_at_match = 4;
        int r = repair("good");
        watch_end();
        assert_int_equal(r, 0);
        expect_n(1);
        assert_false(run.at[0].repaired);
        assert_int_equal(run.result.quarantined, 0);
        expect_content(vectors[HELLO].path, "Hallo\n");
        watch_begin(false);
        watch.match = "Hello\n"; /* found, copied, read again */
        watch.lie_at_match = 3;
        r = repair("good");
        watch_end();
        assert_int_equal(r, 0);
        expect_n(1);
        assert_false(run.at[0].repaired);
        assert_non_null(strstr(run.at[0].detail, "reads back wrong"));
        assert_int_equal(run.result.healed, 0);
        assert_int_equal(run.result.quarantined, 1);
}

static void links_in_the_source_are_not_followed(void **state)
{
        (void)state;
        flip(vectors[HELLO].path, 1);
        place_mkdir(place, "links");
        char *link = place_path(place, "links/to good"), *good = place_path(place, "good");
        assert_int_equal(symlink(good, link), 0);
        char *fifo = place_path(place, "links/fifo");
        assert_int_equal(mkfifo(fifo, 0644), 0);
        assert_int_equal(repair("links"), 0);
        expect_n(1);
        assert_false(run.at[0].repaired);
        free(link);
        free(good);
        free(fifo);
}

static void a_source_that_is_not_there_is_said_before_anything_is_done(void **state)
{
        (void)state;
        flip(vectors[HELLO].path, 1);
        assert_int_equal(repair("nothing"), -OXL_E_DIR_OPEN);
        assert_int_equal(run.os, ENOENT);
        assert_int_equal(place_count(place, "state"), 0);
}

static void state_inside_of_the_repository_is_refused(void **state)
{
        static const char *const inside[] = { "repo/.oxen", "repo/.oxen/new/folder", "repo/.oxen/versions/files" };
        (void)state;
        flip(vectors[HELLO].path, 1);
        char *before = listing("repo"), *dir = place_path(place, "repo");
        for (size_t i = 0; i < sizeof inside / sizeof inside[0]; i++) {
                struct oxl_oxen_result result;
                char *where = place_path(place, inside[i]);
                struct oxl_oxen_options options = { .repair = true, .state = where };
                run.n = 0;
                assert_int_equal(oxl_oxen_check(dir, &options, hear, NULL, &result, NULL), -OXL_E_OXEN_STATE);
                assert_int_equal(run.n, 1); /* the damage is said all the same */
                assert_non_null(strstr(run.at[0].detail, "did not get to it"));
                oxl_oxen_result_done(&result);
                free(where);
        }
        char *after = listing("repo");
        assert_string_equal(before, after);
        free(before);
        free(after);
        free(dir);
}

static void state_goes_to_the_xdg_folder(void **state)
{
        (void)state;
        flip(vectors[HELLO].path, 1);
        char *dir = place_path(place, "repo"), *xdg = place_path(place, "xdg"), *home = place_path(place, "home");
        struct oxl_oxen_options options = { .repair = true };
        for (int i = 0; i < 2; i++) {
                struct oxl_oxen_result result;
                assert_int_equal(i ? unsetenv("XDG_STATE_HOME") : setenv("XDG_STATE_HOME", xdg, 1), 0);
                assert_int_equal(setenv("HOME", home, 1), 0);
                assert_int_equal(oxl_oxen_check(dir, &options, hear, NULL, &result, NULL), 0);
                assert_int_equal(result.quarantined, 1);
                assert_true(place_has(place, i ? "home/.local/state/oxen-lite/oxen" : "xdg/oxen-lite/oxen"));
                oxl_oxen_result_done(&result);
        }
        free(dir);
        free(xdg);
        free(home);
}

/* After each failure: the old bytes or the good ones, the old ones kept somewhere, and the next run heals. */
static void a_failure_at_any_call_of_repair_loses_nothing(void **state)
{
        unsigned healed = 0, n = 1;
        (void)state;
        for (;; n++) {
                size_t len;
                in_store(vectors[HELLO].path, "Hallo\n");
                unsigned descriptors = fault_open_descriptors();
                fault_install(&(struct fault_plan){ .nth = n, .os = EIO });
                int r = repair("good");
                bool fired = fault_remove();
                assert_int_equal(fault_open_descriptors(), descriptors);
                char *now = slurp(vectors[HELLO].path, &len);
                assert_int_equal(len, 6);
                bool good = memcmp(now, "Hello\n", 6) == 0;
                assert_true(good || memcmp(now, "Hallo\n", 6) == 0);
                free(now);
                if (!fired)
                        break;
                assert_true(good || r < 0 || run.result.unreadable > 0); /* it is said why not */
                for (size_t i = 0; r == 0 && i < run.n; i++)
                        assert_true(run.at[i].problem == OXL_P_UNREADABLE ||
                                    run.at[i].problem == OXL_P_OXEN_BLOB_DAMAGED ||
                                    run.at[i].problem == OXL_P_OXEN_TEMP);
                healed += good;
                assert_int_equal(repair("good"), 0);
                expect_content(vectors[HELLO].path, "Hello\n");
                /* Whatever was damaged is in the quarantine by now: a run that was not disturbed put it there or found it. */
                char *rm = NULL;
                assert_true(asprintf(&rm, "rm -rf '%s/state/made'; rm -f '%s'/" STORE "*/*/*.tmp", place, place) > 0);
                assert_int_equal(system(rm), 0);
                free(rm);
        }
        assert_true(n > 60 && healed > 0);
}

static void cancelling_ends_the_check_and_repair(void **state)
{
        atomic_bool cancel = true;
        (void)state;
        flip(vectors[HELLO].path, 1);
        assert_int_equal(check_with("repo", false, NULL, &cancel), -OXL_E_CANCELLED);
        assert_int_equal(check_with("repo", true, "good", &cancel), -OXL_E_CANCELLED);
        assert_int_equal(place_count(place, "state"), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
        oxl_digest_setup();
        static const struct CMUnitTest tests[] = {
                TEST(both_temp_shapes_are_known_and_nothing_else),
                TEST(hashes_are_named_without_leading_zeros),
                TEST(a_good_repository_is_clean_from_each_of_its_folders),
                TEST(uploads_in_progress_are_no_finding),
                TEST(every_flipped_bit_is_found_and_healed),
                TEST(what_is_cut_grown_or_emptied_is_found),
                TEST(swapped_blobs_are_told_apart_from_damage_and_heal_each_other),
                TEST(missing_data_is_found_and_healed),
                TEST(names_that_oxen_does_not_give_are_found),
                TEST(strays_are_found_and_neither_followed_nor_opened),
                TEST(head_is_a_branch_or_a_commit),
                TEST(a_damaged_config_is_found),
                TEST(the_store_is_found_where_the_config_says),
                TEST(a_store_that_cannot_be_looked_at_is_not_clean),
                TEST(a_config_that_cannot_be_read_makes_no_store_missing),
                TEST(what_is_no_oxen_repository_is_refused),
                TEST(a_failing_read_is_unreadable_and_changes_nothing),
                TEST(databases_are_never_opened_and_check_mode_writes_nothing),
                TEST(fifos_and_links_are_never_opened),
                TEST(a_read_that_was_wrong_once_is_transient),
                TEST(reads_that_are_wrong_in_two_ways_make_memory_suspect_and_are_not_repaired),
                TEST(a_file_that_is_replaced_or_removed_between_the_looks_is_no_suspect),
                TEST(a_blob_without_a_good_copy_stays_and_is_kept),
                TEST(more_than_the_budget_is_left_alone_until_forced),
                TEST(more_than_a_batch_is_repaired_in_several),
                TEST(findings_say_which_file_they_saw),
                TEST(packs_of_a_repository_of_ours_are_a_source),
                TEST(the_quarantine_has_the_damaged_bytes_and_a_note),
                TEST(a_quarantine_without_its_note_is_completed),
                TEST(healing_keeps_the_mode_and_takes_any_source),
                TEST(a_file_that_changes_during_repair_is_left_alone),
                TEST(a_source_that_changes_while_it_is_copied_is_not_published),
                TEST(what_reads_back_wrong_is_neither_kept_nor_healed),
                TEST(links_in_the_source_are_not_followed),
                TEST(a_source_that_is_not_there_is_said_before_anything_is_done),
                TEST(state_inside_of_the_repository_is_refused),
                TEST(state_goes_to_the_xdg_folder),
                TEST(a_failure_at_any_call_of_repair_loses_nothing),
                TEST(cancelling_ends_the_check_and_repair),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
