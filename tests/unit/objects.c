/* SPDX-License-Identifier: MIT */
/* The object store: what goes in comes out; damage is found, healed on the next write, and never hides a good copy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/hex.h"
#include "objects/ahead.h"
#include "objects/pack.h"
#include "objects/store.h"
#include "os/sys.h"
#include "support/store.h"

static int setup(void **state)
{
        struct store *s = malloc(sizeof(*s));
        store_setup(s, OXL_ALGO_BLAKE3);
        *state = s;
        return 0;
}

static int setup_xxh3(void **state)
{
        struct store *s = malloc(sizeof(*s));
        store_setup(s, OXL_ALGO_XXH3_128);
        *state = s;
        return 0;
}

static int teardown(void **state)
{
        oxl_sys = &oxl_sys_real;
        store_teardown(*state);
        free(*state);
        return 0;
}

static uint8_t *some_bytes(size_t n, uint32_t seed)
{
        uint8_t *b = malloc(n + 1);
        assert_non_null(b);
        for (size_t i = 0; i < n; i++) {
                seed = seed * 1664525 + 1013904223;
                b[i] = (uint8_t)(seed >> 24);
        }
        return b;
}

static size_t temps(struct store *s)
{
        return store_count(s, "versions/tmp", NULL);
}

/* --- round trips ------------------------------------------------------------------------------------------------ */

static const size_t sizes[] = { 0,    1,     7,      8,      9,      63,     64,     65,     4095,   4096,
                                4097, 65536, 262143, 262144, 262145, 524287, 524288, 524289, 1048577 };
#define SIZES (sizeof(sizes) / sizeof(*sizes))

static void objects_of_many_sizes_come_back(void **state)
{
        struct store *s = *state;
        struct oxl_put *p;
        struct oxl_digest ids[4][SIZES];
        uint8_t *b = some_bytes(2000000, 1);
        assert_int_equal(oxl_put_begin(s->objects, &p, NULL), 0);
        for (size_t i = 0; i < SIZES; i++)
                for (enum oxl_kind k = OXL_KIND_BLOB; k <= OXL_KIND_COMMIT; k++)
                        assert_int_equal(oxl_put_object(p, k, b, sizes[i], &ids[k][i], NULL), 0);
        store_end(s, p);
        assert_int_equal(temps(s), 0);
        assert_int_equal(store_count(s, "versions/packs", NULL), 1);
        store_reopen(s);
        for (size_t i = 0; i < SIZES; i++)
                for (enum oxl_kind k = OXL_KIND_BLOB; k <= OXL_KIND_COMMIT; k++)
                        store_expect(s, k, &ids[k][i], b, sizes[i]);
        free(b);
}

struct collected {
        struct oxl_buf buf;
        size_t holes;
};

static int collect(void *ctx, const void *bytes, size_t n, struct oxl_error *err)
{
        struct collected *c = ctx;
        if (bytes)
                return oxl_buf_append(&c->buf, bytes, n, err);
        c->holes++;
        return oxl_buf_append_zeros(&c->buf, n, err);
}

static void files_of_many_sizes_are_packed_or_loose_and_stream_back(void **state)
{
        struct store *s = *state;
        struct oxl_digest ids[SIZES];
        uint8_t *b = some_bytes(2000000, 2);
        s->config.pack_threshold = 4096;
        store_reopen(s);
        size_t loose = 0;
        for (size_t i = 0; i < SIZES; i++) {
                assert_int_equal(store_put_file(s, b, sizes[i], &ids[i]), OXL_PUT_STORED);
                char path[OXL_LOOSE_PATH_MAX];
                oxl_loose_path(&ids[i], path);
                bool is_loose = faccessat(s->root_fd, path, F_OK, 0) == 0;
                assert_int_equal(is_loose, sizes[i] >= 4096);
                loose += is_loose;
                struct stat st;
                if (is_loose) {
                        assert_int_equal(fstatat(s->root_fd, path, &st, 0), 0);
                        assert_int_equal(st.st_mode & 0777 & ~0444u, 0);
                }
        }
        assert_true(loose > 0);
        for (size_t i = 0; i < SIZES; i++) {
                struct collected c = { OXL_BUF_INIT, 0 };
                assert_int_equal(oxl_objects_stream(s->objects, &ids[i], collect, &c, NULL, NULL), 0);
                assert_int_equal(c.buf.len, sizes[i]);
                assert_true(sizes[i] == 0 || memcmp(c.buf.data, b, sizes[i]) == 0);
                oxl_buf_done(&c.buf);
        }
        free(b);
}

static void a_blob_above_four_mebibytes_streams_from_a_pack(void **state)
{
        struct store *s = *state;
        struct oxl_digest id;
        size_t n = (5u << 20) + 3;
        uint8_t *b = some_bytes(n, 3);
        assert_int_equal(store_put(s, OXL_KIND_BLOB, b, n, &id), 0);
        struct collected c = { OXL_BUF_INIT, 0 };
        assert_int_equal(oxl_objects_stream(s->objects, &id, collect, &c, NULL, NULL), 0);
        assert_int_equal(c.buf.len, n);
        assert_memory_equal(c.buf.data, b, n);
        oxl_buf_done(&c.buf);
        free(b);
}

static void nothing_stored_is_nothing_written(void **state)
{
        struct store *s = *state;
        struct oxl_put *p;
        const struct oxl_put_item *items;
        assert_int_equal(oxl_put_begin(s->objects, &p, NULL), 0);
        assert_int_equal(oxl_put_finish(p, NULL), 0);
        assert_int_equal(oxl_put_items(p, &items), 0);
        assert_int_equal(oxl_put_publish(p, NULL), 0);
        oxl_put_free(p);
        assert_int_equal(store_count(s, "versions/packs", NULL), 0);
        assert_int_equal(temps(s), 0);
}

static void an_object_that_is_nowhere_is_missing(void **state)
{
        struct store *s = *state;
        struct oxl_digest id = oxl_digest_of(OXL_ALGO_BLAKE3, "no", 2);
        assert_int_equal(oxl_objects_exists(s->objects, OXL_KIND_BLOB, &id, NULL), 1);
        assert_int_equal(store_read(s, OXL_KIND_BLOB, &id), -OXL_E_OBJECT_MISSING);
        assert_int_equal(oxl_objects_stream(s->objects, &id, NULL, NULL, NULL, NULL), -OXL_E_OBJECT_MISSING);
}

static void a_kind_is_part_of_the_name(void **state)
{
        struct store *s = *state;
        struct oxl_digest id;
        assert_int_equal(store_put(s, OXL_KIND_TREE, "t", 1, &id), 0);
        assert_int_equal(oxl_objects_exists(s->objects, OXL_KIND_TREE, &id, NULL), 0);
        assert_int_equal(oxl_objects_exists(s->objects, OXL_KIND_COMMIT, &id, NULL), 1);
        assert_int_equal(store_read(s, OXL_KIND_BLOB, &id), -OXL_E_OBJECT_MISSING);
}

static void an_object_larger_than_the_caller_allows_is_refused(void **state)
{
        struct store *s = *state;
        struct oxl_digest id;
        struct oxl_buf b = OXL_BUF_INIT;
        assert_int_equal(store_put(s, OXL_KIND_BLOB, "12345", 5, &id), 0);
        assert_int_equal(oxl_objects_read(s->objects, OXL_KIND_BLOB, &id, 4, &b, NULL), -OXL_E_LIMIT);
        assert_int_equal(oxl_objects_read(s->objects, OXL_KIND_BLOB, &id, 5, &b, NULL), 0);
        oxl_buf_done(&b);
}

static void a_tree_above_the_limit_cannot_be_put(void **state)
{
        struct store *s = *state;
        struct oxl_digest id;
        uint8_t *b = some_bytes(OXL_METADATA_MAX + 1, 3);
        assert_int_equal(store_put(s, OXL_KIND_TREE, b, OXL_METADATA_MAX + 1, &id), -OXL_E_LIMIT);
        assert_int_equal(store_put(s, OXL_KIND_TREE, b, OXL_METADATA_MAX, &id), 0);
        store_expect(s, OXL_KIND_TREE, &id, b, OXL_METADATA_MAX);
        free(b);
}

static void packs_of_another_process_are_found_on_a_miss(void **state)
{
        struct store *s = *state;
        struct oxl_objects *other;
        struct oxl_digest id = oxl_digest_of(OXL_ALGO_BLAKE3, "new", 3);
        assert_int_equal(oxl_objects_open(&s->config, &other, NULL), 0);
        assert_int_equal(oxl_objects_exists(other, OXL_KIND_BLOB, &id, NULL), 1);
        assert_int_equal(store_put(s, OXL_KIND_BLOB, "new", 3, &id), 0);
        assert_int_equal(oxl_objects_exists(other, OXL_KIND_BLOB, &id, NULL), 0);
        oxl_objects_free(other);
}

/* --- stored already ----------------------------------------------------------------------------------------------- */

static void the_same_bytes_are_stored_once(void **state)
{
        struct store *s = *state;
        struct oxl_put *p;
        struct oxl_digest a, b;
        struct oxl_put_stats stats;
        assert_int_equal(oxl_put_begin(s->objects, &p, NULL), 0);
        assert_int_equal(oxl_put_object(p, OXL_KIND_BLOB, "same", 4, &a, NULL), OXL_PUT_STORED);
        assert_int_equal(oxl_put_object(p, OXL_KIND_BLOB, "same", 4, &b, NULL), OXL_PUT_EXISTED);
        assert_true(oxl_digest_equal(&a, &b));
        oxl_put_get_stats(p, &stats);
        assert_int_equal(stats.stored, 1);
        assert_int_equal(stats.stored_bytes, 4);
        assert_int_equal(stats.existed, 1);
        store_end(s, p);
        assert_int_equal(store_put(s, OXL_KIND_BLOB, "same", 4, &b), OXL_PUT_EXISTED);
        assert_int_equal(store_count(s, "versions/packs", NULL), 1);
}

static void the_same_large_file_is_stored_once(void **state)
{
        struct store *s = *state;
        struct oxl_put *p;
        struct oxl_digest id;
        struct stat st;
        const struct oxl_put_item *items;
        s->config.pack_threshold = 4;
        store_reopen(s);
        int fd = file_with("same large", 10);
        assert_int_equal(oxl_put_begin(s->objects, &p, NULL), 0);
        assert_int_equal(oxl_put_file(p, fd, "f", NULL, &id, &st, NULL), OXL_PUT_STORED);
        assert_int_equal(oxl_put_file(p, fd, "f", NULL, &id, &st, NULL), OXL_PUT_EXISTED);
        assert_int_equal(temps(s), 1);
        assert_int_equal(oxl_put_finish(p, NULL), 0);
        assert_int_equal(oxl_put_items(p, &items), 1);
        assert_true(items[0].loose);
        assert_int_equal(items[0].size, 10);
        assert_memory_equal(items[0].temp, "versions/tmp/blob.oxl-", 22);
        assert_int_equal(oxl_put_publish(p, NULL), 0);
        oxl_put_free(p);
        assert_int_equal(store_put_file(s, "same large", 10, &id), OXL_PUT_EXISTED);
        assert_int_equal(temps(s), 0);
        close(fd);
}

/* Positions of a payload byte of the record with @payload. */
static uint64_t find_bytes(struct store *s, const char *path, const char *payload, unsigned skip)
{
        size_t n, len = strlen(payload);
        uint8_t *b = store_file(s, path, &n), *at = b;
        for (;;) {
                at = memmem(at, n - (size_t)(at - b), payload, len);
                assert_non_null(at);
                if (skip-- == 0)
                        break;
                at++;
        }
        uint64_t offset = (uint64_t)(at - b);
        free(b);
        return offset;
}

static void a_damaged_packed_blob_is_healed_by_writing_it_again(void **state)
{
        struct store *s = *state;
        struct oxl_digest id, pack;
        char path[96];
        assert_int_equal(store_put(s, OXL_KIND_BLOB, "precious bytes", 14, &id), 0);
        store_only_pack(s, path, &pack);
        store_flip(s, path, find_bytes(s, path, "precious", 0), 3);
        store_reopen(s);
        assert_int_equal(store_read(s, OXL_KIND_BLOB, &id), -OXL_E_OBJECT_CORRUPT);
        assert_int_equal(store_put(s, OXL_KIND_BLOB, "precious bytes", 14, &id), OXL_PUT_HEALED);
        store_expect(s, OXL_KIND_BLOB, &id, "precious bytes", 14);
        assert_int_equal(store_put(s, OXL_KIND_BLOB, "precious bytes", 14, &id), OXL_PUT_EXISTED);
        store_reopen(s);
        store_expect(s, OXL_KIND_BLOB, &id, "precious bytes", 14);
}

static void a_damaged_loose_blob_is_healed_in_its_place(void **state)
{
        struct store *s = *state;
        struct oxl_digest id;
        char path[OXL_LOOSE_PATH_MAX];
        s->config.pack_threshold = 4;
        store_reopen(s);
        assert_int_equal(store_put_file(s, "precious bytes", 14, &id), 0);
        oxl_loose_path(&id, path);
        store_flip(s, path, 5, 0);
        assert_int_equal(store_read(s, OXL_KIND_BLOB, &id), -OXL_E_OBJECT_CORRUPT);
        assert_int_equal(oxl_objects_stream(s->objects, &id, NULL, NULL, NULL, NULL), -OXL_E_OBJECT_CORRUPT);
        assert_int_equal(store_put_file(s, "precious bytes", 14, &id), OXL_PUT_HEALED);
        size_t n;
        uint8_t *b = store_file(s, path, &n);
        assert_int_equal(n, 14);
        assert_memory_equal(b, "precious bytes", 14);
        free(b);
        /* Cut short is damage too. */
        store_write_file(s, path, "precious", 8);
        assert_int_equal(store_put_file(s, "precious bytes", 14, &id), OXL_PUT_HEALED);
        store_expect(s, OXL_KIND_BLOB, &id, "precious bytes", 14);
}

static void the_second_copy_of_a_tree_is_used_when_the_first_is_damaged(void **state)
{
        struct store *s = *state;
        struct oxl_digest id, pack;
        char path[96];
        assert_int_equal(store_put(s, OXL_KIND_TREE, "a tree node", 11, &id), 0);
        store_only_pack(s, path, &pack);
        store_flip(s, path, find_bytes(s, path, "a tree", 0), 0);
        store_reopen(s);
        store_expect(s, OXL_KIND_TREE, &id, "a tree node", 11);
        store_flip(s, path, find_bytes(s, path, "a tree", 0), 0);
        store_reopen(s);
        assert_int_equal(store_read(s, OXL_KIND_TREE, &id), -OXL_E_OBJECT_CORRUPT);
}

static void a_damaged_copy_never_reaches_the_sink(void **state)
{
        struct store *s = *state;
        struct oxl_digest id, pack;
        char path[96];
        size_t n = (4u << 20) + 5;
        uint8_t *b = some_bytes(n, 4);
        assert_int_equal(store_put(s, OXL_KIND_BLOB, b, n, &id), 0); /* packed */
        store_only_pack(s, path, &pack);
        store_flip(s, path, n / 2, 0);
        s->config.pack_threshold = 4;
        store_reopen(s);
        struct collected c = { OXL_BUF_INIT, 0 };
        assert_int_equal(oxl_objects_stream(s->objects, &id, collect, &c, NULL, NULL), -OXL_E_OBJECT_CORRUPT);
        assert_int_equal(c.buf.len, 0);
        assert_int_equal(store_put_file(s, b, n, &id), OXL_PUT_HEALED); /* loose */
        assert_int_equal(oxl_objects_stream(s->objects, &id, collect, &c, NULL, NULL), 0);
        assert_int_equal(c.buf.len, n);
        assert_memory_equal(c.buf.data, b, n);
        oxl_buf_done(&c.buf);
        free(b);
}

static void a_pack_with_a_damaged_index_hides_nothing_else(void **state)
{
        struct store *s = *state;
        struct oxl_digest one, two, pack;
        char path[96];
        size_t n;
        assert_int_equal(store_put(s, OXL_KIND_BLOB, "one", 3, &one), 0);
        store_only_pack(s, path, &pack);
        free(store_file(s, path, &n));
        assert_int_equal(store_put(s, OXL_KIND_BLOB, "two", 3, &two), 0);
        store_flip(s, path, n - 100, 0);
        store_reopen(s);
        store_expect(s, OXL_KIND_BLOB, &two, "two", 3);
        assert_int_equal(store_read(s, OXL_KIND_BLOB, &one), -OXL_E_SEAL);
        struct oxl_digest none = oxl_digest_of(OXL_ALGO_BLAKE3, "none", 4);
        assert_int_equal(store_read(s, OXL_KIND_BLOB, &none), -OXL_E_SEAL);
        assert_int_equal(store_put(s, OXL_KIND_BLOB, "one", 3, &one), OXL_PUT_STORED);
        store_expect(s, OXL_KIND_BLOB, &one, "one", 3);
}

/* --- failures of the medium --------------------------------------------------------------------------------------- */

static struct oxl_sys table;
static uint64_t pread_bad_from;

static ssize_t pread_eio(int fd, void *buf, size_t n, off_t at)
{
        if ((uint64_t)at + n > pread_bad_from && n > 0) {
                errno = EIO;
                return -1;
        }
        return oxl_sys_real.pread(fd, buf, n, at);
}

static int openat_emfile(int dirfd, const char *path, int flags, mode_t mode)
{
        errno = EMFILE;
        return -1;
}

static int openat2_emfile(int dirfd, const char *path, int flags, mode_t mode, uint64_t resolve)
{
        errno = EMFILE;
        return -1;
}

static void an_unreadable_object_is_neither_damaged_nor_missing(void **state)
{
        struct store *s = *state;
        struct oxl_digest id;
        s->config.pack_threshold = 4;
        store_reopen(s);
        assert_int_equal(store_put_file(s, "precious bytes", 14, &id), 0);
        table = oxl_sys_real;
        table.pread = pread_eio;
        pread_bad_from = 0;
        oxl_sys = &table;
        assert_int_equal(store_read(s, OXL_KIND_BLOB, &id), -OXL_E_FILE_READ);
        assert_int_equal(s->err.os, EIO);
        assert_int_equal(oxl_objects_stream(s->objects, &id, NULL, NULL, NULL, NULL), -OXL_E_FILE_READ);
        table = oxl_sys_real;
        table.openat = openat_emfile;
        table.openat2 = openat2_emfile;
        int r = store_read(s, OXL_KIND_BLOB, &id);
        assert_true(r == -OXL_E_FILE_OPEN || r == -OXL_E_DIR_OPEN);
        assert_int_equal(s->err.os, EMFILE);
        oxl_sys = &oxl_sys_real;
        store_expect(s, OXL_KIND_BLOB, &id, "precious bytes", 14);
}

/* --- reading ahead ---------------------------------------------------------------------------------------------- */

enum { AHEAD = 300, AHEAD_DAMAGED = 7, AHEAD_MISSING = 100 };

struct heard {
        size_t next;
};

static size_t ahead_bytes(size_t i)
{
        return i % 50 == 3 ? OXL_AHEAD_BLOB_MAX - 5 : i; /* 0 bytes, small ones, and some that fill a batch */
}

static int hear(void *ctx, size_t number, const void *bytes, struct oxl_error *err)
{
        struct heard *h = ctx;
        assert_int_equal(number, h->next++);
        if (number == AHEAD_DAMAGED || number == AHEAD_MISSING) {
                assert_null(bytes);
                return 0;
        }
        uint8_t *want = some_bytes(ahead_bytes(number), (uint32_t)number);
        assert_non_null(bytes);
        assert_memory_equal(bytes, want, ahead_bytes(number));
        free(want);
        return 0;
}

static void damage(struct store *s, const struct oxl_digest *id)
{
        struct oxl_pack *pack;
        struct oxl_digest only;
        char path[96];
        uint64_t offset;
        assert_int_equal(oxl_store_locate(s->objects, id, &pack, &offset), 0);
        store_only_pack(s, path, &only);
        store_flip(s, path, offset + OXL_PACK_RECORD_BYTES, 3);
}

static void blobs_read_ahead_come_in_order_and_the_damaged_one_without_bytes(void **state)
{
        struct store *s = *state;
        struct oxl_put *p;
        struct oxl_ahead *a;
        struct oxl_digest *ids = calloc(AHEAD, sizeof *ids);
        struct heard h = { 0 };
        assert_int_equal(oxl_put_begin(s->objects, &p, NULL), 0);
        for (size_t i = 0; i < AHEAD; i++) {
                uint8_t *b = some_bytes(ahead_bytes(i), (uint32_t)i);
                assert_true(oxl_put_object(p, OXL_KIND_BLOB, b, ahead_bytes(i), &ids[i], NULL) >= 0);
                free(b);
        }
        store_end(s, p);
        ids[AHEAD_MISSING].bytes[0] ^= 1;
        damage(s, &ids[AHEAD_DAMAGED]);
        for (int twice = 0; twice < 2; twice++) { /* by a crew, and on this thread alone */
                table = oxl_sys_real;
                oxl_sys = twice ? &table : &oxl_sys_real;
                h = (struct heard){ 0 };
                assert_int_equal(oxl_ahead_new(s->objects, hear, &h, &a, NULL), 0);
                for (size_t i = 0; i < AHEAD; i++)
                        assert_int_equal(oxl_ahead_add(a, &ids[i], ahead_bytes(i), i, NULL), 0);
                oxl_objects_rescan(s->objects); /* the store closes its packs, the batches keep theirs */
                assert_int_equal(oxl_ahead_settle(a, NULL), 0);
                assert_int_equal(h.next, AHEAD);
                assert_int_equal(oxl_ahead_add(a, &ids[1], 1, AHEAD, NULL), 0);
                oxl_ahead_drop(a);
                assert_int_equal(oxl_ahead_settle(a, NULL), 0);
                assert_int_equal(h.next, AHEAD);
                oxl_ahead_free(a);
        }
        free(ids);
}

static ssize_t getdents_eio(int fd, void *buf, size_t n)
{
        errno = EIO;
        return -1;
}

static void a_list_of_packs_that_cannot_be_read_hides_no_loose_blob(void **state)
{
        struct store *s = *state;
        struct oxl_digest packed, loose;
        s->config.pack_threshold = 8;
        store_reopen(s);
        assert_int_equal(store_put_file(s, "loose bytes", 11, &loose), 0);
        assert_int_equal(store_put_file(s, "packed", 6, &packed), 0);
        store_reopen(s);
        table = oxl_sys_real;
        table.getdents = getdents_eio;
        oxl_sys = &table;
        store_expect(s, OXL_KIND_BLOB, &loose, "loose bytes", 11);
        assert_int_equal(store_read(s, OXL_KIND_BLOB, &packed), -OXL_E_DIR_READ);
        assert_int_equal(store_put(s, OXL_KIND_BLOB, "new", 3, &packed), -OXL_E_DIR_READ);
        oxl_sys = &oxl_sys_real;
}

static void an_unreadable_copy_is_not_replaced(void **state)
{
        struct store *s = *state;
        struct oxl_digest id;
        struct oxl_put *p;
        s->config.pack_threshold = 64;
        store_reopen(s);
        uint8_t *b = some_bytes(100, 5);
        assert_int_equal(store_put_file(s, b, 100, &id), 0);
        assert_int_equal(oxl_put_begin(s->objects, &p, NULL), 0);
        table = oxl_sys_real;
        table.pread = pread_eio;
        pread_bad_from = 50;
        oxl_sys = &table;
        assert_int_equal(oxl_put_object(p, OXL_KIND_BLOB, b, 100, &id, &s->err), -OXL_E_FILE_READ);
        oxl_sys = &oxl_sys_real;
        oxl_put_free(p);
        assert_int_equal(temps(s), 0);
        free(b);
}

/* --- XXH3-128 ----------------------------------------------------------------------------------------------------- */

static void load_collision(uint8_t a[32], uint8_t b[32])
{
        assert_true(oxl_hex_decode("b8fe6c3923a44bbe74696c2d6e65786f6f78656e2d6c69746520313620627974", a, 32));
        assert_true(oxl_hex_decode("b066583a9ae716117c01812cf721ad1c6f78656e2d6c69746520313620627974", b, 32));
}

static void a_collision_in_the_store_is_refused_and_loses_nothing(void **state)
{
        struct store *s = *state;
        uint8_t a[32], b[32];
        struct oxl_digest id, other;
        load_collision(a, b);
        for (int loose = 0; loose < 2; loose++) {
                s->config.pack_threshold = loose ? 4 : 4096;
                store_reopen(s);
                assert_int_equal(store_put_file(s, a, 32, &id), loose ? OXL_PUT_EXISTED : OXL_PUT_STORED);
                assert_int_equal(store_put_file(s, b, 32, &other), -OXL_E_HASH_COLLISION);
                assert_int_equal(store_put(s, OXL_KIND_BLOB, b, 32, &other), -OXL_E_HASH_COLLISION);
                store_expect(s, OXL_KIND_BLOB, &id, a, 32);
                assert_int_equal(temps(s), 0);
        }
}

static void a_collision_with_a_loose_blob_is_refused(void **state)
{
        struct store *s = *state;
        uint8_t a[32], b[32];
        struct oxl_digest id, other;
        load_collision(a, b);
        s->config.pack_threshold = 4;
        store_reopen(s);
        assert_int_equal(store_put_file(s, b, 32, &id), OXL_PUT_STORED);
        assert_int_equal(store_put_file(s, a, 32, &other), -OXL_E_HASH_COLLISION);
        assert_int_equal(store_put(s, OXL_KIND_BLOB, a, 32, &other), -OXL_E_HASH_COLLISION);
        assert_int_equal(store_put_file(s, b, 32, &id), OXL_PUT_EXISTED);
        store_expect(s, OXL_KIND_BLOB, &id, b, 32);
}

static void a_collision_within_a_session_is_refused(void **state)
{
        struct store *s = *state;
        uint8_t a[32], b[32];
        struct oxl_digest id, other;
        struct oxl_put *p;
        struct stat st;
        load_collision(a, b);
        for (int loose = 0; loose < 2; loose++) {
                s->config.pack_threshold = loose ? 4 : 4096;
                store_reopen(s);
                int fa = file_with(a, 32), fb = file_with(b, 32);
                assert_int_equal(oxl_put_begin(s->objects, &p, NULL), 0);
                assert_int_equal(oxl_put_file(p, fa, "a", NULL, &id, &st, NULL), OXL_PUT_STORED);
                assert_int_equal(oxl_put_file(p, fa, "a", NULL, &id, &st, NULL), OXL_PUT_EXISTED);
                assert_int_equal(oxl_put_file(p, fb, "b", NULL, &other, &st, NULL), -OXL_E_HASH_COLLISION);
                oxl_put_free(p);
                close(fa);
                close(fb);
        }
}

static void a_damaged_blob_is_no_collision_but_healed(void **state)
{
        struct store *s = *state;
        struct oxl_digest id;
        char path[OXL_LOOSE_PATH_MAX];
        s->config.pack_threshold = 4;
        store_reopen(s);
        assert_int_equal(store_put_file(s, "precious bytes", 14, &id), 0);
        oxl_loose_path(&id, path);
        store_flip(s, path, 5, 0);
        assert_int_equal(store_put_file(s, "precious bytes", 14, &id), OXL_PUT_HEALED);
        store_expect(s, OXL_KIND_BLOB, &id, "precious bytes", 14);
}

/* --- files that change, holes, sessions --------------------------------------------------------------------------- */

static unsigned fstat_calls, change_at;
static const char *change_how;
static int changing_fd;

/* The file changes right before the @change_at-th fstat of it. */
static int fstat_changing(int fd, struct stat *ret)
{
        if (fd == changing_fd && ++fstat_calls == change_at) {
                if (strcmp(change_how, "append") == 0)
                        assert_int_equal(pwrite(fd, "x", 1, lseek(fd, 0, SEEK_END)), 1);
                else if (strcmp(change_how, "cut") == 0)
                        assert_int_equal(ftruncate(fd, 3), 0);
                else
                        assert_int_equal(pwrite(fd, "X", 1, 0), 1);
        }
        int r = oxl_sys_real.fstat(fd, ret);
        if (fd == changing_fd && fstat_calls >= change_at && strcmp(change_how, "rewrite") == 0)
                ret->st_mtim.tv_nsec ^= 1; /* whatever the granularity of the file system's clock */
        return r;
}

static void a_file_that_changes_while_it_is_read_is_refused(void **state)
{
        struct store *s = *state;
        static const char *const ways[] = { "append", "cut", "rewrite" };
        for (int large = 0; large < 2; large++) {
                for (size_t i = 0; i < 3; i++) {
                        struct oxl_put *p;
                        struct oxl_digest id;
                        struct stat st;
                        s->config.pack_threshold = large ? 4 : 4096;
                        store_reopen(s);
                        changing_fd = file_with("before the change", 17);
                        fstat_calls = 0;
                        change_at =
                                2 + (unsigned)large; /* the second; loose files are asked for their size in between */
                        change_how = ways[i];
                        table = oxl_sys_real;
                        table.fstat = fstat_changing;
                        oxl_sys = &table;
                        assert_int_equal(oxl_put_begin(s->objects, &p, NULL), 0);
                        int r = oxl_put_file(p, changing_fd, "moving", NULL, &id, &st, &s->err);
                        oxl_sys = &oxl_sys_real;
                        assert_int_equal(r, -OXL_E_PATH_CHANGED);
                        assert_string_equal(s->err.path[0], "moving");
                        assert_true(fstat_calls >= change_at);
                        oxl_put_free(p);
                        close(changing_fd);
                        assert_int_equal(temps(s), 0);
                }
        }
}

static ssize_t pread_cutting(int fd, void *buf, size_t n, off_t at)
{
        if (fd == changing_fd)
                assert_int_equal(ftruncate(fd, 3), 0);
        return oxl_sys_real.pread(fd, buf, n, at);
}

static void a_file_cut_short_while_it_is_read_is_refused(void **state)
{
        struct store *s = *state;
        for (int large = 0; large < 2; large++) {
                struct oxl_put *p;
                struct oxl_digest id;
                struct stat st;
                s->config.pack_threshold = large ? 4 : 4096;
                store_reopen(s);
                changing_fd = file_with("before the change", 17);
                table = oxl_sys_real;
                table.pread = pread_cutting;
                oxl_sys = &table;
                assert_int_equal(oxl_put_begin(s->objects, &p, NULL), 0);
                int r = oxl_put_file(p, changing_fd, "moving", NULL, &id, &st, &s->err);
                oxl_sys = &oxl_sys_real;
                assert_int_equal(r, -OXL_E_PATH_CHANGED);
                oxl_put_free(p);
                close(changing_fd);
        }
}

static void what_is_no_regular_file_is_refused(void **state)
{
        struct store *s = *state;
        struct oxl_put *p;
        struct oxl_digest id;
        struct stat st;
        assert_int_equal(oxl_put_begin(s->objects, &p, NULL), 0);
        assert_int_equal(oxl_put_file(p, s->root_fd, "folder", NULL, &id, &st, NULL), -OXL_E_PATH_SPECIAL);
        oxl_put_free(p);
}

static void a_sparse_file_is_stored_sparse(void **state)
{
        struct store *s = *state;
        struct oxl_digest id;
        struct stat st;
        struct oxl_put *p;
        char path[OXL_LOOSE_PATH_MAX];
        int fd = file_with("begin", 5);
        assert_int_equal(pwrite(fd, "middle", 6, 500 << 20), 6);
        assert_int_equal(ftruncate(fd, 1 << 30), 0);
        assert_int_equal(oxl_put_begin(s->objects, &p, NULL), 0);
        assert_int_equal(oxl_put_file(p, fd, "sparse", NULL, &id, &st, NULL), OXL_PUT_STORED);
        store_end(s, p);
        close(fd);
        oxl_loose_path(&id, path);
        assert_int_equal(fstatat(s->root_fd, path, &st, 0), 0);
        assert_int_equal(st.st_size, 1 << 30);
        assert_true(st.st_blocks < 2048); /* 1 MiB */
        struct oxl_digest got;
        uint64_t n;
        fd = openat(s->root_fd, path, O_RDONLY | O_CLOEXEC);
        assert_int_equal(oxl_fd_digest(fd, "sparse", OXL_ALGO_BLAKE3, NULL, &got, &n, NULL), 0);
        assert_int_equal(n, 1 << 30);
        assert_true(oxl_digest_equal(&got, &id));
        close(fd);
}

static void holes_reach_the_sink_as_holes(void **state)
{
        struct store *s = *state;
        struct oxl_digest id;
        struct stat st;
        struct oxl_put *p;
        int fd = file_with("begin", 5);
        assert_int_equal(pwrite(fd, "end", 3, 8 << 20), 3);
        assert_int_equal(ftruncate(fd, (9 << 20)), 0);
        assert_int_equal(oxl_put_begin(s->objects, &p, NULL), 0);
        assert_int_equal(oxl_put_file(p, fd, "sparse", NULL, &id, &st, NULL), OXL_PUT_STORED);
        store_end(s, p);
        struct collected c = { OXL_BUF_INIT, 0 };
        assert_int_equal(oxl_objects_stream(s->objects, &id, collect, &c, NULL, NULL), 0);
        assert_int_equal(c.buf.len, 9 << 20);
        assert_memory_equal(c.buf.data, "begin", 5);
        assert_memory_equal(c.buf.data + (8 << 20), "end", 3);
        assert_true(c.holes >= 2);
        struct oxl_digest dense = oxl_digest_of(OXL_ALGO_BLAKE3, c.buf.data, c.buf.len);
        assert_true(oxl_digest_equal(&dense, &id));
        oxl_buf_done(&c.buf);
        close(fd);
}

/* A "clone" that tells itself apart, so that the test sees which bytes were hashed. */
static int clone_other_bytes(int fd, int src)
{
        return pwrite(fd, "CLONED BYTES", 12, 0) == 12 ? 0 : -1;
}

static void a_reflinked_file_is_hashed_from_its_clone(void **state)
{
        struct store *s = *state;
        struct oxl_digest id;
        s->config.pack_threshold = 4;
        table = oxl_sys_real;
        table.ficlone = clone_other_bytes;
        oxl_sys = &table;
        for (int reflink = 0; reflink < 2; reflink++) {
                s->config.reflink = reflink;
                store_reopen(s);
                assert_int_equal(store_put_file(s, "cloned bytes", 12, &id), OXL_PUT_STORED);
                store_expect(s, OXL_KIND_BLOB, &id, reflink ? "CLONED BYTES" : "cloned bytes", 12);
        }
}

static void a_full_pack_is_followed_by_another(void **state)
{
        struct store *s = *state;
        struct oxl_put *p;
        struct oxl_digest ids[40], again;
        const struct oxl_put_item *items;
        uint8_t *b = some_bytes(11000, 6);
        assert_int_equal(oxl_put_begin(s->objects, &p, NULL), 0);
        oxl_put_limit_packs(p, 100000);
        for (unsigned i = 0; i < 40; i++) {
                b[0] = (uint8_t)i;
                enum oxl_kind kind = i % 4 ? OXL_KIND_BLOB : OXL_KIND_TREE;
                assert_int_equal(oxl_put_object(p, kind, b, 8000, &ids[i], NULL), OXL_PUT_STORED);
        }
        b[0] = 1;
        assert_int_equal(oxl_put_object(p, OXL_KIND_BLOB, b, 8000, &again, NULL), OXL_PUT_EXISTED);
        assert_int_equal(oxl_put_finish(p, NULL), 0);
        size_t n = oxl_put_items(p, &items);
        assert_true(n >= 5);
        for (size_t i = 0; i < n; i++)
                assert_true(items[i].size <= 100000);
        assert_int_equal(oxl_put_publish(p, NULL), 0);
        oxl_put_free(p);
        assert_int_equal(store_count(s, "versions/packs", NULL), n);
        store_reopen(s);
        for (unsigned i = 0; i < 40; i++) {
                b[0] = (uint8_t)i;
                store_expect(s, i % 4 ? OXL_KIND_BLOB : OXL_KIND_TREE, &ids[i], b, 8000);
        }
        free(b);
}

static void the_limit_of_a_pack_counts_second_copies(void **state)
{
        struct store *s = *state;
        struct oxl_put *p;
        struct oxl_digest id;
        const struct oxl_put_item *items;
        uint8_t *b = some_bytes(40000, 8);
        assert_int_equal(oxl_put_begin(s->objects, &p, NULL), 0);
        oxl_put_limit_packs(p, 230000);
        for (b[0] = 0; b[0] < 6; b[0]++)
                assert_int_equal(oxl_put_object(p, OXL_KIND_TREE, b, 40000, &id, NULL), OXL_PUT_STORED);
        assert_int_equal(oxl_put_finish(p, NULL), 0);
        assert_int_equal(oxl_put_items(p, &items), 3);
        for (size_t i = 0; i < 3; i++)
                assert_true(items[i].size <= 230000);
        oxl_put_free(p);
        free(b);
}

static void freeing_a_session_removes_its_temps_and_leaving_keeps_them(void **state)
{
        struct store *s = *state;
        struct oxl_put *p;
        struct oxl_digest id;
        struct stat st;
        s->config.pack_threshold = 8;
        store_reopen(s);
        for (int leave = 0; leave < 2; leave++) {
                int fd = file_with("large enough", 12);
                assert_int_equal(oxl_put_begin(s->objects, &p, NULL), 0);
                assert_int_equal(oxl_put_file(p, fd, "f", NULL, &id, &st, NULL), OXL_PUT_STORED);
                assert_int_equal(oxl_put_object(p, OXL_KIND_TREE, "t", 1, &id, NULL), OXL_PUT_STORED);
                close(fd);
                assert_int_equal(temps(s), 2);
                assert_int_equal(oxl_put_finish(p, NULL), 0);
                if (leave)
                        oxl_put_leave(p);
                else
                        oxl_put_free(p);
                assert_int_equal(temps(s), leave ? 2 : 0);
                assert_int_equal(store_count(s, "versions/packs", NULL), 0);
        }
}

static int ficlone_never(int fd, int src)
{
        fail();
        return -1;
}

static ssize_t pwrite_enospc(int fd, const void *buf, size_t n, off_t at)
{
        errno = ENOSPC;
        return -1;
}

static ssize_t write_enospc(int fd, const void *buf, size_t n)
{
        errno = ENOSPC;
        return -1;
}

static void after_a_failed_write_the_session_cannot_be_finished(void **state)
{
        struct store *s = *state;
        struct oxl_put *p;
        struct oxl_digest id;
        uint8_t *b = some_bytes(600000, 7);
        assert_int_equal(oxl_put_begin(s->objects, &p, NULL), 0);
        assert_int_equal(oxl_put_object(p, OXL_KIND_BLOB, "before", 6, &id, NULL), OXL_PUT_STORED);
        table = oxl_sys_real;
        table.ficlone = ficlone_never;
        table.pwrite = pwrite_enospc;
        table.write = write_enospc;
        oxl_sys = &table;
        assert_int_equal(oxl_put_object(p, OXL_KIND_BLOB, b, 600000, &id, &s->err), -OXL_E_FILE_WRITE);
        assert_int_equal(s->err.os, ENOSPC);
        oxl_sys = &oxl_sys_real;
        assert_int_equal(oxl_put_finish(p, &s->err), -OXL_E_PUT_FAILED);
        oxl_put_free(p);
        assert_int_equal(temps(s), 0);
        free(b);
}

static void cancelling_a_large_file_leaves_nothing(void **state)
{
        struct store *s = *state;
        struct oxl_put *p;
        struct oxl_digest id;
        struct stat st;
        atomic_bool cancel = true;
        s->config.pack_threshold = 4;
        store_reopen(s);
        int fd = file_with("large enough", 12);
        assert_int_equal(oxl_put_begin(s->objects, &p, NULL), 0);
        assert_int_equal(oxl_put_file(p, fd, "f", &cancel, &id, &st, NULL), -OXL_E_CANCELLED);
        oxl_put_free(p);
        assert_int_equal(temps(s), 0);
        close(fd);
}

static unsigned fsyncs;

static int fsync_counting(int fd)
{
        fsyncs++;
        return oxl_sys_real.fsync(fd);
}

/* A dead process may have renamed without syncing: what is only found is covered by the barrier too. */
static void the_barrier_covers_the_folders_of_objects_that_were_found(void **state)
{
        struct store *s = *state;
        struct oxl_put *p;
        struct oxl_digest id;
        assert_int_equal(store_put(s, OXL_KIND_BLOB, "found", 5, &id), 0);
        assert_int_equal(oxl_put_begin(s->objects, &p, NULL), 0);
        assert_int_equal(oxl_put_object(p, OXL_KIND_BLOB, "found", 5, &id, NULL), OXL_PUT_EXISTED);
        assert_int_equal(oxl_put_finish(p, NULL), 0);
        assert_int_equal(oxl_put_publish(p, NULL), 0);
        table = oxl_sys_real;
        table.fsync = fsync_counting;
        fsyncs = 0;
        oxl_sys = &table;
        assert_int_equal(oxl_durable_barrier(s->durable, NULL), 0);
        oxl_sys = &oxl_sys_real;
        assert_true(fsyncs >= 1);
        oxl_put_free(p);
}

/* --- commits by prefix ------------------------------------------------------------------------------------------ */

static void a_commit_is_found_by_a_unique_prefix(void **state)
{
        struct store *s = *state;
        struct oxl_digest ids[300], got;
        struct oxl_put *p;
        char text[OXL_DIGEST_TEXT_MAX], bytes[16];
        assert_int_equal(oxl_put_begin(s->objects, &p, NULL), 0);
        for (unsigned i = 0; i < 300; i++) {
                snprintf(bytes, sizeof(bytes), "c%u", i);
                assert_int_equal(oxl_put_object(p, OXL_KIND_COMMIT, bytes, strlen(bytes), &ids[i], NULL), 0);
        }
        assert_int_equal(oxl_put_object(p, OXL_KIND_TREE, "tree", 4, &got, NULL), 0);
        store_end(s, p);
        for (int lookup = 0; lookup < 2; lookup++) {
                for (unsigned i = 0; i < 300; i += 7) {
                        oxl_digest_text(&ids[i], text);
                        for (size_t n = 64; n >= 9; n -= 5) {
                                text[n] = 0;
                                assert_int_equal(oxl_objects_find_commit(s->objects, text, &got, NULL), 0);
                                assert_true(oxl_digest_equal(&got, &ids[i]));
                        }
                }
                assert_int_equal(oxl_objects_find_commit(s->objects, "abc", &got, NULL), -OXL_E_REV);
                assert_int_equal(oxl_objects_find_commit(s->objects, "ABCDEF", &got, NULL), -OXL_E_REV);
                assert_int_equal(oxl_objects_find_commit(s->objects, "0123456789abcdef", &got, NULL), -OXL_E_REV);
                struct oxl_digest tree = oxl_objects_digest(s->objects, OXL_KIND_TREE, "tree", 4);
                oxl_digest_text(&tree, text);
                assert_int_equal(oxl_objects_find_commit(s->objects, text, &got, NULL), -OXL_E_REV);
                assert_int_equal(oxl_objects_refresh_lookup(s->objects, true, NULL), 0);
        }
}

static void a_prefix_of_several_commits_is_ambiguous(void **state)
{
        struct store *s = *state;
        struct oxl_digest id, got;
        struct oxl_put *p;
        char bytes[16];
        assert_int_equal(oxl_put_begin(s->objects, &p, NULL), 0);
        static unsigned char seen[65536];
        char found[5] = "";
        for (unsigned i = 0; !found[0]; i++) {
                snprintf(bytes, sizeof(bytes), "c%u", i);
                assert_int_equal(oxl_put_object(p, OXL_KIND_COMMIT, bytes, strlen(bytes), &id, NULL), 0);
                unsigned first = (unsigned)id.bytes[0] << 8 | id.bytes[1];
                if (seen[first]++)
                        snprintf(found, sizeof(found), "%04x", first);
        }
        store_end(s, p);
        assert_int_equal(oxl_objects_find_commit(s->objects, found, &got, &s->err), -OXL_E_REV);
        assert_string_equal(s->err.detail, "several commits begin so");
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
#define X(test) cmocka_unit_test_setup_teardown(test, setup_xxh3, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                T(objects_of_many_sizes_come_back),
                X(objects_of_many_sizes_come_back),
                T(files_of_many_sizes_are_packed_or_loose_and_stream_back),
                X(files_of_many_sizes_are_packed_or_loose_and_stream_back),
                T(a_blob_above_four_mebibytes_streams_from_a_pack),
                T(nothing_stored_is_nothing_written),
                T(an_object_that_is_nowhere_is_missing),
                T(a_kind_is_part_of_the_name),
                T(an_object_larger_than_the_caller_allows_is_refused),
                T(a_tree_above_the_limit_cannot_be_put),
                T(packs_of_another_process_are_found_on_a_miss),
                T(the_same_bytes_are_stored_once),
                X(the_same_bytes_are_stored_once),
                T(the_same_large_file_is_stored_once),
                X(the_same_large_file_is_stored_once),
                T(a_damaged_packed_blob_is_healed_by_writing_it_again),
                T(a_damaged_loose_blob_is_healed_in_its_place),
                X(a_damaged_loose_blob_is_healed_in_its_place),
                T(the_second_copy_of_a_tree_is_used_when_the_first_is_damaged),
                T(a_damaged_copy_never_reaches_the_sink),
                T(a_pack_with_a_damaged_index_hides_nothing_else),
                T(an_unreadable_object_is_neither_damaged_nor_missing),
                T(blobs_read_ahead_come_in_order_and_the_damaged_one_without_bytes),
                X(blobs_read_ahead_come_in_order_and_the_damaged_one_without_bytes),
                T(a_list_of_packs_that_cannot_be_read_hides_no_loose_blob),
                T(an_unreadable_copy_is_not_replaced),
                X(a_collision_in_the_store_is_refused_and_loses_nothing),
                X(a_collision_with_a_loose_blob_is_refused),
                X(a_collision_within_a_session_is_refused),
                X(a_damaged_blob_is_no_collision_but_healed),
                T(a_file_that_changes_while_it_is_read_is_refused),
                T(a_file_cut_short_while_it_is_read_is_refused),
                T(what_is_no_regular_file_is_refused),
                T(a_sparse_file_is_stored_sparse),
                T(holes_reach_the_sink_as_holes),
                T(a_reflinked_file_is_hashed_from_its_clone),
                T(a_full_pack_is_followed_by_another),
                T(the_limit_of_a_pack_counts_second_copies),
                T(freeing_a_session_removes_its_temps_and_leaving_keeps_them),
                T(after_a_failed_write_the_session_cannot_be_finished),
                T(cancelling_a_large_file_leaves_nothing),
                T(the_barrier_covers_the_folders_of_objects_that_were_found),
                T(a_commit_is_found_by_a_unique_prefix),
                T(a_prefix_of_several_commits_is_ambiguous),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
