/* SPDX-License-Identifier: MIT */
/* Packs: what is written is what the format document says, and nothing can be changed in one unseen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/le.h"
#include "objects/pack_private.h"
#include "objects/pack_write.h"
#include "os/fdio.h"
#include "support/store.h"

static int setup(void **state)
{
        struct store *s = malloc(sizeof(*s));
        store_setup(s, OXL_ALGO_BLAKE3);
        *state = s;
        return 0;
}

static int teardown(void **state)
{
        store_teardown(*state);
        free(*state);
        return 0;
}

/* One session with two blobs, a tree and a commit. */
static void store_few(struct store *s, struct oxl_digest ids[4])
{
        struct oxl_put *p;
        assert_int_equal(oxl_put_begin(s->objects, &p, NULL), 0);
        assert_int_equal(oxl_put_object(p, OXL_KIND_BLOB, "first blob", 10, &ids[0], NULL), 0);
        assert_int_equal(oxl_put_object(p, OXL_KIND_TREE, "a tree's bytes", 14, &ids[1], NULL), 0);
        assert_int_equal(oxl_put_object(p, OXL_KIND_BLOB, "\0\0\0\0\0\0\0\0", 8, &ids[2], NULL), 0);
        assert_int_equal(oxl_put_object(p, OXL_KIND_COMMIT, "the commit", 10, &ids[3], NULL), 0);
        store_end(s, p);
}

static int open_pack(struct store *s, const char *path, const struct oxl_digest *id, struct oxl_pack **ret)
{
        return oxl_pack_open(s->root_fd, path, id, &s->config.id, s->config.blob_algo, ret, &s->err);
}

static int verify(struct store *s, const char *path, const struct oxl_digest *id)
{
        struct oxl_pack *p;
        int r = open_pack(s, path, id, &p);
        if (r < 0)
                return r;
        r = oxl_pack_verify(p, NULL, NULL, NULL, &s->err);
        oxl_pack_free(p);
        return r;
}

static void a_pack_has_the_layout_of_the_format_document(void **state)
{
        struct store *s = *state;
        struct oxl_digest ids[4], id;
        char path[96];
        size_t n;
        store_few(s, ids);
        store_only_pack(s, path, &id);
        uint8_t *b = store_file(s, path, &n);
        assert_memory_equal(b, "\x89OXLPCK\n\1\0\x40\0\0\0\0\0", 16);
        assert_memory_equal(b + 32, s->config.id.bytes, 16);
        struct oxl_digest magic = oxl_digest_derive("oxen-lite 2026-11-22 pack magic v1", b + 16, 16);
        assert_memory_equal(b + 64, magic.bytes, 8);
        assert_int_equal(b[64 + 8], OXL_KIND_BLOB);
        assert_int_equal(le_load64(b + 64 + 16), 10);
        assert_memory_equal(b + 64 + 32, ids[0].bytes, 32);
        uint8_t covered[72];
        le_store64(covered, 64);
        memcpy(covered + 8, b + 64, 64);
        struct oxl_digest sum = oxl_digest_derive("oxen-lite 2026-11-22 pack record v1", covered, sizeof(covered));
        assert_memory_equal(b + 128, sum.bytes, 16);
        assert_memory_equal(b + 144, "first blob\0\0\0\0\0\0", 16);
        assert_memory_equal(b + n - 64, "\x89OXLPEN\n", 8);
        uint64_t index = le_load64(b + n - 56);
        assert_int_equal(le_load64(b + n - 48), 6);
        assert_int_equal(le_load64(b + n - 40), n);
        assert_int_equal(index + 6 * 64 + 64, n);
        struct oxl_hasher h;
        struct oxl_digest got;
        oxl_hasher_init_derive(&h, "oxen-lite 2026-11-22 pack id v1");
        oxl_hasher_update(&h, b, 64);
        oxl_hasher_update(&h, b + index, n - 64 - index);
        oxl_hasher_final(&h, &got);
        assert_true(oxl_digest_equal(&got, &id));
        oxl_seal_begin(&h, "pack", &s->config.id, path);
        oxl_hasher_update(&h, b, 64);
        oxl_hasher_update(&h, b + index, n - 32 - index);
        oxl_hasher_final(&h, &got);
        assert_memory_equal(b + n - 32, got.bytes, 32);
        free(b);
}

static void a_whole_pack_verifies(void **state)
{
        struct store *s = *state;
        struct oxl_digest ids[4], id;
        char path[96];
        store_few(s, ids);
        store_only_pack(s, path, &id);
        assert_int_equal(verify(s, path, &id), 0);
}

static void every_flipped_bit_of_a_pack_is_found(void **state)
{
        struct store *s = *state;
        struct oxl_digest ids[4], id;
        char path[96];
        size_t n;
        store_few(s, ids);
        store_only_pack(s, path, &id);
        uint8_t *b = store_file(s, path, &n);
        int fd = openat(s->root_fd, "flipped", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        assert_int_equal(write(fd, b, n), (ssize_t)n);
        assert_int_equal(verify(s, "flipped", &id), 0);
        for (size_t bit = 0; bit < n * 8; bit++) {
                size_t at = bit / 8;
                uint8_t flipped = b[at] ^ (uint8_t)(1u << bit % 8);
                assert_int_equal(pwrite(fd, &flipped, 1, (off_t)at), 1);
                if (verify(s, "flipped", &id) == 0)
                        fail_msg("bit %zu of byte %zu", bit % 8, at);
                assert_int_equal(pwrite(fd, b + at, 1, (off_t)at), 1);
        }
        assert_int_equal(verify(s, "flipped", &id), 0);
        close(fd);
        free(b);
}

static void every_truncation_and_an_appended_byte_are_found(void **state)
{
        struct store *s = *state;
        struct oxl_digest ids[4], id;
        char path[96];
        size_t n;
        store_few(s, ids);
        store_only_pack(s, path, &id);
        uint8_t *b = store_file(s, path, &n);
        int fd = openat(s->root_fd, "cut", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        assert_int_equal(write(fd, b, n), (ssize_t)n);
        assert_int_equal(write(fd, "", 1), 1);
        assert_int_equal(verify(s, "cut", &id), -OXL_E_MALFORMED);
        for (size_t cut = n; cut-- > 0;) {
                assert_int_equal(ftruncate(fd, (off_t)cut), 0);
                assert_int_equal(verify(s, "cut", &id), -OXL_E_MALFORMED);
        }
        close(fd);
        free(b);
}

static void a_pack_under_another_name_or_of_another_repository_is_found(void **state)
{
        struct store *s = *state;
        struct oxl_digest ids[4], id, other;
        char path[96];
        store_few(s, ids);
        store_only_pack(s, path, &id);
        other = id;
        other.bytes[0] ^= 1;
        assert_int_equal(verify(s, path, &other), -OXL_E_SEAL);
        s->config.id.bytes[0] ^= 1;
        assert_int_equal(verify(s, path, &id), -OXL_E_MALFORMED);
}

/* Rewrites the pack with a valid id and seal around changed contents: @index entries begin at @index_at. */
static void reseal(struct store *s, const char *path, uint8_t *b, size_t n, struct oxl_digest *ret_id)
{
        char target[96];
        struct oxl_hasher h;
        struct oxl_digest seal;
        uint64_t index = le_load64(b + n - 56);
        oxl_hasher_init_derive(&h, OXL_CONTEXT_PACK_ID);
        oxl_hasher_update(&h, b, 64);
        oxl_hasher_update(&h, b + index, n - 64 - index);
        oxl_hasher_final(&h, ret_id);
        oxl_pack_path(ret_id, target);
        oxl_seal_begin(&h, "pack", &s->config.id, target);
        oxl_hasher_update(&h, b, 64);
        oxl_hasher_update(&h, b + index, n - 32 - index);
        oxl_hasher_final(&h, &seal);
        memcpy(b + n - 32, seal.bytes, 32);
        store_write_file(s, path, b, n);
}

static int load_index(struct store *s, const char *path, const struct oxl_digest *id)
{
        struct oxl_pack *p;
        assert_int_equal(open_pack(s, path, id, &p), 0);
        int r = oxl_pack_load_index(p, &s->err);
        oxl_pack_free(p);
        return r;
}

static void a_validly_sealed_index_with_hostile_entries_is_refused(void **state)
{
        struct store *s = *state;
        struct oxl_digest ids[4], id, forged;
        char path[96];
        size_t n;
        store_few(s, ids);
        store_only_pack(s, path, &id);
        uint8_t *b = store_file(s, path, &n), *entry = b + le_load64(b + n - 56) + 64, kept[64];
        memcpy(kept, entry, 64);
        static const struct {
                size_t at;
                uint64_t value;
        } forgeries[] = {
                { 32, 0 },          { 32, 7 },        { 32, UINT64_MAX - 7 }, { 32, INT64_MAX - 7 },
                { 40, UINT64_MAX }, { 40, 1u << 30 }, { 48, UINT64_MAX },     { 56, 0 },
                { 56, 9 },          { 56, 0x0101 },   { 56, 0x040001 },       { 56, UINT64_MAX },
        };
        for (size_t i = 0; i < sizeof(forgeries) / sizeof(*forgeries); i++) {
                le_store64(entry + forgeries[i].at, forgeries[i].value);
                reseal(s, "forged", b, n, &forged);
                assert_int_equal(load_index(s, "forged", &forged), -OXL_E_MALFORMED);
                memcpy(entry, kept, 64);
        }
        static const uint64_t lengths[] = { UINT64_MAX, UINT64_MAX - 143, 1u << 20, 20000 };
        for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
                le_store64(entry + 40, lengths[i]);
                le_store64(entry + 48, lengths[i]);
                reseal(s, "forged", b, n, &forged);
                assert_int_equal(load_index(s, "forged", &forged), -OXL_E_MALFORMED);
                memcpy(entry, kept, 64);
        }
        uint8_t *last = b + n - 128;
        memcpy(entry, last, 64);
        memcpy(last, kept, 64);
        reseal(s, "forged", b, n, &forged);
        assert_int_equal(load_index(s, "forged", &forged), -OXL_E_MALFORMED);
        memcpy(entry - 64, entry, 64); /* a duplicate */
        reseal(s, "forged", b, n, &forged);
        assert_int_equal(load_index(s, "forged", &forged), -OXL_E_MALFORMED);
        free(b);
}

static void a_pack_whose_name_is_not_its_id_is_found_though_it_is_sealed(void **state)
{
        struct store *s = *state;
        struct oxl_digest ids[4], id, seal;
        char path[96];
        size_t n;
        store_few(s, ids);
        store_only_pack(s, path, &id);
        uint8_t *b = store_file(s, path, &n);
        uint64_t index = le_load64(b + n - 56);
        id.bytes[3] ^= 1;
        oxl_pack_path(&id, path);
        struct oxl_hasher h;
        oxl_seal_begin(&h, "pack", &s->config.id, path);
        oxl_hasher_update(&h, b, 64);
        oxl_hasher_update(&h, b + index, n - 32 - index);
        oxl_hasher_final(&h, &seal);
        memcpy(b + n - 32, seal.bytes, 32);
        store_write_file(s, path, b, n);
        assert_int_equal(load_index(s, path, &id), -OXL_E_SEAL);
        free(b);
}

static void a_tree_that_is_stored_once_is_found(void **state)
{
        struct store *s = *state;
        struct oxl_digest id;
        char path[96];
        size_t n;
        assert_int_equal(store_put(s, OXL_KIND_BLOB, "a tree's", 8, &id), 0);
        store_only_pack(s, path, &id);
        uint8_t *b = store_file(s, path, &n), *entry = b + n - 128;
        struct oxl_digest tree = oxl_digest_derive(OXL_CONTEXT_TREE, "a tree's", 8);
        b[64 + 8] = entry[56] = OXL_KIND_TREE;
        oxl_digest_store(&tree, b + 64 + 32);
        oxl_digest_store(&tree, entry);
        oxl_pack_checksum(64, b + 64, b + 128);
        reseal(s, "forged", b, n, &id);
        assert_int_equal(load_index(s, "forged", &id), 0);
        assert_int_equal(verify(s, "forged", &id), -OXL_E_MALFORMED);
        free(b);
}

static void a_record_that_the_index_leaves_out_is_found(void **state)
{
        struct store *s = *state;
        struct oxl_digest ids[4], id, forged;
        char path[96];
        size_t n;
        store_few(s, ids);
        store_only_pack(s, path, &id);
        uint8_t *b = store_file(s, path, &n);
        size_t index = (size_t)le_load64(b + n - 56), entries = (size_t)le_load64(b + n - 48);
        for (size_t i = 0; i < entries; i++) {
                if (b[index + i * 64 + 56] != OXL_KIND_BLOB)
                        continue;
                uint8_t *c = malloc(n);
                assert_non_null(c);
                memcpy(c, b, n);
                memmove(c + index + i * 64, c + index + (i + 1) * 64, n - index - (i + 1) * 64);
                le_store64(c + n - 64 - 48, entries - 1);
                le_store64(c + n - 64 - 40, n - 64);
                le_store64(c + n - 64 - 56, index);
                reseal(s, "forged", c, n - 64, &forged);
                assert_int_equal(verify(s, "forged", &forged), -OXL_E_MALFORMED);
                free(c);
        }
        free(b);
}

static void lengths_near_the_end_of_the_number_range_are_refused(void **state)
{
        struct store *s = *state;
        struct oxl_digest ids[4], id;
        char path[96];
        size_t n;
        store_few(s, ids);
        store_only_pack(s, path, &id);
        uint8_t *b = store_file(s, path, &n);
        static const uint64_t values[] = { 0, 1, 63, UINT64_MAX, UINT64_MAX / 64 + 1, UINT64_MAX - 63, 1u << 24 };
        for (size_t field = 8; field <= 24; field += 8) {
                uint64_t kept = le_load64(b + n - 64 + field);
                for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
                        le_store64(b + n - 64 + field, values[i]);
                        store_write_file(s, "forged", b, n);
                        assert_int_equal(verify(s, "forged", &id), -OXL_E_MALFORMED);
                }
                le_store64(b + n - 64 + field, kept);
        }
        free(b);
}

struct heard {
        size_t records;
        struct oxl_digest id;
        enum oxl_code code;
};

static void hear(void *ctx, const struct oxl_pack_entry *e, const struct oxl_error *why)
{
        struct heard *h = ctx;
        h->records++;
        h->id = e->id;
        h->code = why->code;
}

static void verification_goes_on_behind_a_damaged_record(void **state)
{
        struct store *s = *state;
        struct oxl_digest ids[4], id;
        char path[96];
        store_few(s, ids);
        store_only_pack(s, path, &id);
        store_flip(s, path, 64 + 80, 0);      /* payload of the first record */
        store_flip(s, path, 64 + 96 + 20, 0); /* header of the second */
        struct oxl_pack *p;
        struct heard heard = { 0 };
        assert_int_equal(open_pack(s, path, &id, &p), 0);
        assert_int_equal(oxl_pack_verify(p, hear, &heard, NULL, &s->err), -OXL_E_OBJECT_CORRUPT);
        assert_int_equal(heard.records, 2);
        assert_int_equal(heard.code, OXL_E_MALFORMED);
        assert_true(oxl_digest_equal(&heard.id, &ids[1]));
        oxl_pack_free(p);
}

static void trees_and_commits_are_stored_twice_far_apart(void **state)
{
        struct store *s = *state;
        struct oxl_digest id;
        char path[96];
        struct oxl_put *put;
        static uint8_t bytes[40000];
        assert_int_equal(oxl_put_begin(s->objects, &put, NULL), 0);
        for (size_t i = 0; i < 60; i++) {
                bytes[0] = (uint8_t)i;
                enum oxl_kind kind = i % 3 == 0 ? OXL_KIND_BLOB : i % 3 == 1 ? OXL_KIND_TREE : OXL_KIND_COMMIT;
                assert_int_equal(oxl_put_object(put, kind, bytes, 1 + i * 601 % sizeof(bytes), &id, NULL), 0);
        }
        store_end(s, put);
        store_only_pack(s, path, &id);
        struct oxl_pack *p;
        assert_int_equal(open_pack(s, path, &id, &p), 0);
        assert_int_equal(oxl_pack_verify(p, NULL, NULL, NULL, &s->err), 0);
        assert_int_equal(oxl_pack_entries(p), 20 + 2 * 40);
        for (uint64_t i = 0; i < oxl_pack_entries(p); i++) {
                struct oxl_pack_entry a, b;
                oxl_pack_entry_at(p, i, &a);
                if (a.kind == OXL_KIND_BLOB)
                        continue;
                oxl_pack_entry_at(p, ++i, &b);
                assert_true(oxl_digest_equal(&a.id, &b.id));
                assert_int_equal(a.flags, 0);
                assert_int_equal(b.flags, OXL_PACK_SECOND_COPY);
                assert_true(b.offset >= a.offset + 80 + a.raw_len + OXL_PACK_COPY_DISTANCE);
        }
        oxl_pack_free(p);
}

static void a_pack_of_blobs_alone_has_no_filler(void **state)
{
        struct store *s = *state;
        struct oxl_digest id;
        char path[96];
        size_t n;
        assert_int_equal(store_put(s, OXL_KIND_BLOB, "0123456", 7, &id), 0);
        store_only_pack(s, path, &id);
        free(store_file(s, path, &n));
        assert_int_equal(n, 64 + 80 + 8 + 64 + 64);
        assert_int_equal(verify(s, path, &id), 0);
}

static void cancelling_ends_a_verification(void **state)
{
        struct store *s = *state;
        struct oxl_digest ids[4], id;
        char path[96];
        atomic_bool cancel = true;
        store_few(s, ids);
        store_only_pack(s, path, &id);
        struct oxl_pack *p;
        assert_int_equal(open_pack(s, path, &id, &p), 0);
        assert_int_equal(oxl_pack_verify(p, hear, &(struct heard){ 0 }, &cancel, &s->err), -OXL_E_CANCELLED);
        oxl_pack_free(p);
}

/* Large enough for a crew: blobs of all sizes, and trees between them. */
static void store_large(struct store *s, char path[96], struct oxl_digest *ret_id)
{
        enum { RECORDS = 400, MAX = 128 << 10 };
        struct oxl_put *put;
        struct oxl_digest id;
        uint8_t *bytes = malloc(MAX);
        assert_non_null(bytes);
        for (size_t i = 0; i < MAX; i++)
                bytes[i] = (uint8_t)(i * 7 + i / 251);
        assert_int_equal(oxl_put_begin(s->objects, &put, NULL), 0);
        for (uint64_t i = 0; i < RECORDS; i++) {
                enum oxl_kind kind = i % 50 == 49 ? OXL_KIND_TREE : OXL_KIND_BLOB;
                le_store64(bytes, i);
                assert_int_equal(oxl_put_object(put, kind, bytes, 8 + i * 20011 % (MAX - 8), &id, NULL), 0);
        }
        free(bytes);
        store_end(s, put);
        store_only_pack(s, path, ret_id);
}

struct medium {
        int fd;
        uint64_t bad;    /* cannot be read from here on, for a while; 0: all can */
        uint64_t cancel; /* reading from here on cancels */
        atomic_bool cancelled;
};

static ssize_t read_medium(void *ctx, void *buf, size_t n, uint64_t at)
{
        struct medium *m = ctx;
        if (m->cancel && at >= m->cancel)
                atomic_store(&m->cancelled, true);
        if (m->bad && at + n > m->bad && at < m->bad + (1u << 20)) {
                errno = EIO;
                return -1;
        }
        return oxl_fd_pread_full(m->fd, buf, n, at);
}

struct told {
        size_t n;
        struct {
                uint64_t offset;
                enum oxl_code code;
                struct oxl_digest got;
        } at[1000];
};

static void note(void *ctx, const struct oxl_pack_entry *e, const struct oxl_error *why)
{
        struct told *t = ctx;
        assert_true(t->n < sizeof t->at / sizeof *t->at);
        t->at[t->n].offset = e->offset;
        t->at[t->n].got = why->got;
        t->at[t->n++].code = why->code;
}

/* By a crew or by one thread. Returns what oxl_pack_verify does. */
static int told_of(struct store *s, const char *path, const struct oxl_digest *id, struct medium *m, bool crew,
                   struct told *ret)
{
        struct oxl_source source = { .read = read_medium, .ctx = m, .shared = crew };
        struct oxl_pack *p;
        m->fd = oxl_fd_open(s->root_fd, path, O_RDONLY, 0);
        assert_true(m->fd >= 0);
        assert_int_equal(oxl_pack_open_source(m->fd, &source, path, id, &s->config.id, OXL_ALGO_BLAKE3, &p, NULL), 0);
        if (ret)
                memset(ret, 0, sizeof *ret);
        int r = oxl_pack_verify(p, ret ? note : NULL, ret, &m->cancelled, &s->err);
        oxl_pack_free(p);
        return r;
}

static void a_crew_tells_of_the_same_damage_in_the_same_order(void **state)
{
        static struct told one, several;
        struct store *s = *state;
        struct medium medium = { 0 };
        struct oxl_digest id;
        struct oxl_pack *p;
        char path[96];
        store_large(s, path, &id);
        assert_int_equal(told_of(s, path, &id, &medium, true, &several), 0);
        assert_int_equal(several.n, 0);
        assert_int_equal(open_pack(s, path, &id, &p), 0);
        assert_int_equal(oxl_pack_load_index(p, &s->err), 0);
        assert_true(p->index_at > 17u << 20);
        for (uint64_t i = 0; i < oxl_pack_entries(p); i += 20) {
                struct oxl_pack_entry e;
                oxl_pack_entry_at(p, i, &e);
                store_flip(s, path, e.offset + (i % 40 == 0 ? OXL_PACK_RECORD_BYTES : 20), 0);
        }
        oxl_pack_free(p);
        int r = told_of(s, path, &id, &medium, false, &one);
        assert_in_range(one.n, 15, 60);
        assert_int_equal(told_of(s, path, &id, &medium, true, &several), r);
        assert_memory_equal(&one, &several, sizeof one);
        assert_int_equal(told_of(s, path, &id, &medium, true, NULL), -(int)one.at[0].code);
        medium.bad = 9u << 20;
        assert_int_equal(told_of(s, path, &id, &medium, false, &one), -OXL_E_FILE_READ);
        assert_int_equal(told_of(s, path, &id, &medium, true, &several), -OXL_E_FILE_READ);
        assert_int_equal(s->err.os, EIO);
        assert_memory_equal(&one, &several, sizeof one);
        medium.cancel = 6u << 20;
        assert_int_equal(told_of(s, path, &id, &medium, true, &several), -OXL_E_CANCELLED);
}

static int nothing_listed(void *ctx, const struct oxl_digest *id, struct oxl_error *err)
{
        fail();
        return 0;
}

static void only_pack_names_are_listed(void **state)
{
        struct store *s = *state;
        struct oxl_digest id;
        assert_int_equal(oxl_pack_list(s->root_fd, nothing_listed, NULL, NULL), 0);
        assert_int_equal(store_put(s, OXL_KIND_BLOB, "x", 1, &id), 0);
        char path[96];
        store_only_pack(s, path, &id);
        store_remove_file(s, path);
        store_write_file(s, "versions/packs/lookup", "", 0);
        store_write_file(s, "versions/packs/0123.pack", "", 0);
        path[20] = 'A';
        store_write_file(s, path, "", 0);
        assert_int_equal(oxl_pack_list(s->root_fd, nothing_listed, NULL, NULL), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(a_pack_has_the_layout_of_the_format_document, setup, teardown),
                cmocka_unit_test_setup_teardown(a_whole_pack_verifies, setup, teardown),
                cmocka_unit_test_setup_teardown(every_flipped_bit_of_a_pack_is_found, setup, teardown),
                cmocka_unit_test_setup_teardown(every_truncation_and_an_appended_byte_are_found, setup, teardown),
                cmocka_unit_test_setup_teardown(a_pack_under_another_name_or_of_another_repository_is_found, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(a_validly_sealed_index_with_hostile_entries_is_refused, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(a_pack_whose_name_is_not_its_id_is_found_though_it_is_sealed, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(a_tree_that_is_stored_once_is_found, setup, teardown),
                cmocka_unit_test_setup_teardown(a_record_that_the_index_leaves_out_is_found, setup, teardown),
                cmocka_unit_test_setup_teardown(lengths_near_the_end_of_the_number_range_are_refused, setup, teardown),
                cmocka_unit_test_setup_teardown(verification_goes_on_behind_a_damaged_record, setup, teardown),
                cmocka_unit_test_setup_teardown(trees_and_commits_are_stored_twice_far_apart, setup, teardown),
                cmocka_unit_test_setup_teardown(a_pack_of_blobs_alone_has_no_filler, setup, teardown),
                cmocka_unit_test_setup_teardown(a_crew_tells_of_the_same_damage_in_the_same_order, setup, teardown),
                cmocka_unit_test_setup_teardown(cancelling_ends_a_verification, setup, teardown),
                cmocka_unit_test_setup_teardown(only_pack_names_are_listed, setup, teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
