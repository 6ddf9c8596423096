/* SPDX-License-Identifier: MIT */
/* The lookup: a derived file. It answers when it is right; wrong, damaged, stale or missing it changes no answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/le.h"
#include "objects/lookup.h"
#include "objects/pack.h"
#include "objects/store.h"
#include "os/sys.h"
#include "support/store.h"

#define PACKS 5
#define BLOBS 60

struct fixture {
        struct store s;
        struct oxl_digest blobs[BLOBS], tree;
};

static void blob_text(unsigned i, char text[16])
{
        snprintf(text, 16, "blob %u", i);
}

/* Five packs; the lookup covers the first four. */
static int setup_algo(void **state, enum oxl_algo algo)
{
        struct fixture *f = malloc(sizeof(*f));
        char text[16];
        store_setup(&f->s, algo);
        for (unsigned pack = 0; pack < PACKS; pack++) {
                struct oxl_put *p;
                if (pack == PACKS - 1)
                        assert_int_equal(oxl_objects_refresh_lookup(f->s.objects, true, NULL), 0);
                assert_int_equal(oxl_put_begin(f->s.objects, &p, NULL), 0);
                for (unsigned i = pack; i < BLOBS; i += PACKS) {
                        blob_text(i, text);
                        assert_int_equal(oxl_put_object(p, OXL_KIND_BLOB, text, strlen(text), &f->blobs[i], NULL), 0);
                }
                if (pack == 0)
                        assert_int_equal(oxl_put_object(p, OXL_KIND_TREE, "tree", 4, &f->tree, NULL), 0);
                store_end(&f->s, p);
        }
        *state = f;
        return 0;
}

static int setup(void **state)
{
        return setup_algo(state, OXL_ALGO_BLAKE3);
}

static int setup_xxh3(void **state)
{
        return setup_algo(state, OXL_ALGO_XXH3_128);
}

static int teardown(void **state)
{
        struct fixture *f = *state;
        oxl_sys = &oxl_sys_real;
        store_teardown(&f->s);
        free(f);
        return 0;
}

static void expect_all(struct fixture *f)
{
        char text[16];
        store_reopen(&f->s);
        for (unsigned i = 0; i < BLOBS; i++) {
                blob_text(i, text);
                assert_int_equal(oxl_objects_exists(f->s.objects, OXL_KIND_BLOB, &f->blobs[i], NULL), 0);
                store_expect(&f->s, OXL_KIND_BLOB, &f->blobs[i], text, strlen(text));
        }
        store_expect(&f->s, OXL_KIND_TREE, &f->tree, "tree", 4);
        struct oxl_digest none = oxl_digest_of(f->s.config.blob_algo, "none", 4);
        assert_int_equal(oxl_objects_exists(f->s.objects, OXL_KIND_BLOB, &none, NULL), 1);
        assert_int_equal(store_read(&f->s, OXL_KIND_BLOB, &none), -OXL_E_OBJECT_MISSING);
}

static void writing_asks_the_lookup_too(void **state)
{
        struct fixture *f = *state;
        char text[16];
        for (unsigned i = 0; i < BLOBS; i++) {
                struct oxl_digest id;
                blob_text(i, text);
                assert_int_equal(store_put(&f->s, OXL_KIND_BLOB, text, strlen(text), &id), OXL_PUT_EXISTED);
        }
}

static void the_file_has_the_layout_of_the_format_document(void **state)
{
        struct fixture *f = *state;
        size_t n;
        uint8_t *b = store_file(&f->s, OXL_LOOKUP_PATH, &n);
        assert_memory_equal(b, "\x89OXLLKP\n\1\0\x40\0\0\0\0\0", 16);
        assert_int_equal(le_load64(b + 16), PACKS - 1);
        uint64_t entries = le_load64(b + 24);
        assert_int_equal(entries, BLOBS / PACKS * (PACKS - 1) + 2);
        assert_int_equal(n, 64 + 2048 + (PACKS - 1) * 32 + entries * 48 + 32);
        const uint8_t *first = b + 64 + 2048 + (PACKS - 1) * 32;
        for (unsigned i = 0; i < 256; i++) {
                uint64_t below = 0;
                while (below < entries && first[48 * below] <= i)
                        below++;
                assert_int_equal(le_load64(b + 64 + 8 * i), below);
        }
        struct oxl_hasher h;
        struct oxl_digest seal;
        oxl_seal_begin(&h, "lookup", &f->s.config.id, "versions/packs/lookup");
        oxl_hasher_update(&h, b, n - 32);
        oxl_hasher_final(&h, &seal);
        assert_memory_equal(b + n - 32, seal.bytes, 32);
        free(b);
}

static void all_objects_are_found_through_it(void **state)
{
        expect_all(*state);
}

static unsigned index_reads;

/* Reads of 300 bytes and more from a pack are of an index here: records and payloads are smaller. */
static ssize_t pread_counting(int fd, void *buf, size_t n, off_t at)
{
        uint8_t magic[8];
        if (n > 300 && oxl_sys_real.pread(fd, magic, 8, 0) == 8 && memcmp(magic, "\x89OXLPCK\n", 8) == 0)
                index_reads++;
        return oxl_sys_real.pread(fd, buf, n, at);
}

static void a_hit_loads_no_index_of_a_covered_pack(void **state)
{
        struct fixture *f = *state;
        static struct oxl_sys table;
        table = oxl_sys_real;
        table.pread = pread_counting;
        index_reads = 0;
        store_reopen(&f->s);
        oxl_sys = &table;
        for (unsigned i = 0; i < BLOBS; i++)
                if (i % PACKS != PACKS - 1)
                        assert_int_equal(store_read(&f->s, OXL_KIND_BLOB, &f->blobs[i]), 0);
        assert_int_equal(index_reads, 0);
        struct oxl_digest id;
        assert_int_equal(store_put(&f->s, OXL_KIND_BLOB, "new", 3, &id), OXL_PUT_STORED);
        assert_int_equal(index_reads, 1); /* of the one pack that is not covered */
        oxl_sys = &oxl_sys_real;
}

static void a_missing_lookup_changes_no_answer(void **state)
{
        struct fixture *f = *state;
        store_remove_file(&f->s, OXL_LOOKUP_PATH);
        expect_all(f);
}

static void garbage_changes_no_answer(void **state)
{
        struct fixture *f = *state;
        size_t n;
        uint8_t *b = store_file(&f->s, OXL_LOOKUP_PATH, &n);
        uint32_t x = 1;
        for (size_t i = 0; i < n; i++)
                b[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
        store_write_file(&f->s, OXL_LOOKUP_PATH, b, n);
        expect_all(f);
        store_write_file(&f->s, OXL_LOOKUP_PATH, b, 0);
        expect_all(f);
        free(b);
}

static void every_damaged_byte_and_truncation_changes_no_answer(void **state)
{
        struct fixture *f = *state;
        size_t n;
        uint8_t *b = store_file(&f->s, OXL_LOOKUP_PATH, &n);
        for (size_t at = 0; at < n; at += at < 64 ? 1 : at < 2112 ? 61 : 7) {
                uint8_t kept = b[at];
                b[at] ^= (uint8_t)(1u << at % 8);
                store_write_file(&f->s, OXL_LOOKUP_PATH, b, n);
                b[at] = kept;
                store_reopen(&f->s);
                for (unsigned i = 0; i < BLOBS; i++)
                        assert_int_equal(store_read(&f->s, OXL_KIND_BLOB, &f->blobs[i]), 0);
        }
        for (size_t cut = 0; cut < n; cut += 97) {
                store_write_file(&f->s, OXL_LOOKUP_PATH, b, cut);
                store_reopen(&f->s);
                assert_int_equal(store_read(&f->s, OXL_KIND_BLOB, &f->blobs[0]), 0);
        }
        free(b);
}

static void seal_again(struct fixture *f, uint8_t *b, size_t n)
{
        struct oxl_hasher h;
        struct oxl_digest seal;
        oxl_seal_begin(&h, "lookup", &f->s.config.id, OXL_LOOKUP_PATH);
        oxl_hasher_update(&h, b, n - 32);
        oxl_hasher_final(&h, &seal);
        memcpy(b + n - 32, seal.bytes, 32);
        store_write_file(&f->s, OXL_LOOKUP_PATH, b, n);
}

/* What a seal cannot tell: a lookup that was written wrong. */
static void a_wrong_lookup_with_a_valid_seal_changes_no_answer(void **state)
{
        struct fixture *f = *state;
        size_t n;
        uint8_t *b = store_file(&f->s, OXL_LOOKUP_PATH, &n), *first = b + 64 + 2048 + (PACKS - 1) * 32;
        uint64_t entries = le_load64(b + 24);
        for (uint64_t i = 0; i < entries; i++) {
                uint8_t kept[48], *e = first + 48 * i;
                memcpy(kept, e, 48);
                le_store64(e + 40, le_load64(e + 40) + 8); /* no record there */
                seal_again(f, b, n);
                expect_all(f);
                le_store64(e + 40, UINT64_MAX);
                seal_again(f, b, n);
                expect_all(f);
                memcpy(e, kept, 48);
                le_store32(e + 32, PACKS + 7); /* no such pack */
                seal_again(f, b, n);
                expect_all(f);
                memcpy(e, kept, 48);
                e[31] ^= 1; /* an object of another name: the right one is left out */
                seal_again(f, b, n);
                expect_all(f);
                memcpy(e, kept, 48);
                i += 4;
        }
        free(b);
}

static void a_stale_lookup_that_names_packs_which_are_gone_changes_no_answer(void **state)
{
        struct fixture *f = *state;
        size_t n;
        uint8_t *b = store_file(&f->s, OXL_LOOKUP_PATH, &n);
        struct oxl_digest id = { .algo = OXL_ALGO_BLAKE3 };
        char path[96];
        memcpy(id.bytes, b + 2112, 32);
        oxl_pack_path(&id, path);
        size_t size;
        uint8_t *pack = store_file(&f->s, path, &size);
        store_remove_file(&f->s, path);
        store_reopen(&f->s);
        unsigned missing = 0;
        for (unsigned i = 0; i < BLOBS; i++) {
                int r = store_read(&f->s, OXL_KIND_BLOB, &f->blobs[i]);
                assert_true(r == 0 || r == -OXL_E_OBJECT_MISSING);
                missing += r != 0;
        }
        assert_int_equal(missing, BLOBS / PACKS);
        store_write_file(&f->s, path, pack, size);
        expect_all(f);
        free(pack);
        free(b);
}

static void a_damaged_record_is_passed_over_for_another_copy(void **state)
{
        struct fixture *f = *state;
        struct oxl_digest pack;
        for (size_t i = 0; i < PACKS - 1; i++) {
                size_t n;
                uint8_t *b = store_file(&f->s, OXL_LOOKUP_PATH, &n);
                char path[96];
                pack = (struct oxl_digest){ .algo = OXL_ALGO_BLAKE3 };
                memcpy(pack.bytes, b + 2112 + 32 * i, 32);
                oxl_pack_path(&pack, path);
                for (uint64_t e = 0; e < le_load64(b + 24); e++) {
                        const uint8_t *entry = b + 2112 + 32 * (PACKS - 1) + 48 * e;
                        if (le_load32(entry + 36) == OXL_KIND_TREE && le_load32(entry + 32) == i) {
                                store_flip(&f->s, path, le_load64(entry + 40) + 20, 0); /* header of the first copy */
                                break;
                        }
                }
                free(b);
        }
        store_reopen(&f->s);
        store_expect(&f->s, OXL_KIND_TREE, &f->tree, "tree", 4);
}

/* Position of the record of @id, from the lookup, and the path of its pack. */
static uint64_t find_record(struct fixture *f, const struct oxl_digest *id, char path[96])
{
        struct oxl_lookup *l;
        struct oxl_lookup_hit hit;
        struct oxl_digest pack;
        uint64_t i;
        assert_int_equal(oxl_lookup_open(f->s.root_fd, &l, NULL), 0);
        assert_int_equal(oxl_lookup_lower_bound(l, id->bytes, &i), 0);
        assert_int_equal(oxl_lookup_at(l, i, &hit), 0);
        assert_memory_equal(hit.id, id->bytes, 32);
        oxl_lookup_pack(l, hit.pack, &pack);
        oxl_lookup_free(l);
        oxl_pack_path(&pack, path);
        return hit.offset;
}

static void a_blob_behind_a_damaged_record_header_is_read_through_the_index(void **state)
{
        struct fixture *f = *state;
        char path[96];
        uint64_t at = find_record(f, &f->blobs[0], path);
        store_flip(&f->s, path, at + 20, 0);
        store_reopen(&f->s);
        store_expect(&f->s, OXL_KIND_BLOB, &f->blobs[0], "blob 0", 6);
}

static void a_damaged_index_behind_the_lookup_is_told_instead_of_missing(void **state)
{
        struct fixture *f = *state;
        char path[96];
        size_t n;
        find_record(f, &f->blobs[0], path);
        free(store_file(&f->s, path, &n));
        store_flip(&f->s, path, n - 100, 0);
        store_reopen(&f->s);
        /* What the lookup knows is found all the same. */
        store_expect(&f->s, OXL_KIND_BLOB, &f->blobs[0], "blob 0", 6);
        struct oxl_digest none = oxl_digest_of(OXL_ALGO_BLAKE3, "none", 4);
        for (int again = 0; again < 2; again++)
                assert_int_equal(store_read(&f->s, OXL_KIND_BLOB, &none), -OXL_E_SEAL);
        store_expect(&f->s, OXL_KIND_BLOB, &f->blobs[0], "blob 0", 6);
}

static void the_lookup_is_rewritten_when_the_format_says_so(void **state)
{
        struct fixture *f = *state;
        struct oxl_lookup *l;
        struct oxl_digest id;
        assert_int_equal(oxl_lookup_open(f->s.root_fd, &l, NULL), 0);
        uint64_t entries = oxl_lookup_entries(l);
        /* One pack, 12 objects more on top of 50: no more than a quarter. */
        assert_int_equal(oxl_objects_refresh_lookup(f->s.objects, false, NULL), 0);
        assert_true(oxl_lookup_current(l, f->s.root_fd));
        for (unsigned i = 0; i < 2; i++)
                assert_int_equal(store_put(&f->s, OXL_KIND_BLOB, &i, sizeof(i), &id), 0);
        assert_int_equal(oxl_objects_refresh_lookup(f->s.objects, false, NULL), 0);
        assert_false(oxl_lookup_current(l, f->s.root_fd));
        oxl_lookup_free(l);
        assert_int_equal(oxl_lookup_open(f->s.root_fd, &l, NULL), 0);
        assert_int_equal(oxl_lookup_entries(l), entries + BLOBS / PACKS + 2);
        assert_int_equal(oxl_lookup_packs(l), PACKS + 2);
        assert_true(oxl_lookup_sealed(l, &f->s.config.id));
        oxl_lookup_free(l);
        expect_all(f);
}

static void merging_drops_packs_that_are_gone(void **state)
{
        struct fixture *f = *state;
        size_t n;
        struct oxl_lookup *l;
        struct oxl_digest id = { .algo = OXL_ALGO_BLAKE3 }, put;
        char path[96];
        uint8_t *b = store_file(&f->s, OXL_LOOKUP_PATH, &n);
        memcpy(id.bytes, b + 2112 + 32, 32);
        free(b);
        oxl_pack_path(&id, path);
        store_remove_file(&f->s, path);
        for (unsigned i = 0; i < 2; i++)
                assert_int_equal(store_put(&f->s, OXL_KIND_BLOB, &i, sizeof(i), &put), 0);
        assert_int_equal(oxl_objects_refresh_lookup(f->s.objects, false, NULL), 0);
        assert_int_equal(oxl_lookup_open(f->s.root_fd, &l, NULL), 0);
        assert_int_equal(oxl_lookup_packs(l), PACKS - 1 + 2);
        assert_int_equal(oxl_lookup_pack_position(l, &id), UINT32_MAX);
        assert_true(oxl_lookup_sealed(l, &f->s.config.id));
        oxl_lookup_free(l);
        /* Merged and rebuilt are the same. */
        uint8_t *merged = store_file(&f->s, OXL_LOOKUP_PATH, &n);
        assert_int_equal(oxl_objects_refresh_lookup(f->s.objects, true, NULL), 0);
        size_t rebuilt_n;
        uint8_t *rebuilt = store_file(&f->s, OXL_LOOKUP_PATH, &rebuilt_n);
        assert_int_equal(n, rebuilt_n);
        assert_memory_equal(merged, rebuilt, n);
        free(merged);
        free(rebuilt);
}

static void a_collision_behind_a_wrong_lookup_is_still_refused(void **state)
{
        struct fixture *f = *state;
        static const uint8_t a[] =
                "\xb8\xfe\x6c\x39\x23\xa4\x4b\xbe\x74\x69\x6c\x2d\x6e\x65\x78\x6f"
                "oxen-lite 16 byt";
        static const uint8_t b[] =
                "\xb0\x66\x58\x3a\x9a\xe7\x16\x11\x7c\x01\x81\x2c\xf7\x21\xad\x1c"
                "oxen-lite 16 byt";
        struct oxl_digest id, other;
        assert_int_equal(store_put(&f->s, OXL_KIND_BLOB, a, 32, &id), 0);
        assert_int_equal(oxl_objects_refresh_lookup(f->s.objects, true, NULL), 0);
        size_t n;
        uint8_t *bytes = store_file(&f->s, OXL_LOOKUP_PATH, &n), *at = memmem(bytes, n, id.bytes, 32);
        assert_non_null(at);
        at[15] ^= 1;
        store_write_file(&f->s, OXL_LOOKUP_PATH, bytes, n);
        free(bytes);
        store_reopen(&f->s);
        assert_int_equal(store_put(&f->s, OXL_KIND_BLOB, b, 32, &other), -OXL_E_HASH_COLLISION);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
#define X(test) cmocka_unit_test_setup_teardown(test, setup_xxh3, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                T(the_file_has_the_layout_of_the_format_document),
                T(all_objects_are_found_through_it),
                X(all_objects_are_found_through_it),
                T(writing_asks_the_lookup_too),
                X(writing_asks_the_lookup_too),
                T(a_hit_loads_no_index_of_a_covered_pack),
                T(a_missing_lookup_changes_no_answer),
                T(garbage_changes_no_answer),
                T(every_damaged_byte_and_truncation_changes_no_answer),
                T(a_wrong_lookup_with_a_valid_seal_changes_no_answer),
                X(a_wrong_lookup_with_a_valid_seal_changes_no_answer),
                T(a_stale_lookup_that_names_packs_which_are_gone_changes_no_answer),
                T(a_damaged_record_is_passed_over_for_another_copy),
                T(a_blob_behind_a_damaged_record_header_is_read_through_the_index),
                T(a_damaged_index_behind_the_lookup_is_told_instead_of_missing),
                T(the_lookup_is_rewritten_when_the_format_says_so),
                T(merging_drops_packs_that_are_gone),
                X(a_collision_behind_a_wrong_lookup_is_still_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
