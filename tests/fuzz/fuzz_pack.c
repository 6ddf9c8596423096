/* SPDX-License-Identifier: MIT */
/*
 * A pack. Input: u8 flags, then the file. Flags: bit 0 XXH3 blobs, bit 1 leave the trailer's lengths as they are, bit 2
 * leave the records as they are. Record checksums, id and seal are put right.
 *
 * What verifies whole can be read record by record, and each payload has its digest.
 */
#include "fuzz/fuzz.h"
#include "objects/pack_private.h"

enum { XXH3 = 1, KEEP_LENGTHS = 2, KEEP_RECORDS = 4 };

/* --- putting sums right ---------------------------------------------------------------------------------------- */

static void fix_records(uint8_t *file, uint64_t end)
{
        uint8_t magic[OXL_PACK_MAGIC_BYTES];
        oxl_pack_magic(file, magic);
        for (uint64_t at = OXL_PACK_HEADER_BYTES; end - at >= OXL_PACK_RECORD_BYTES;) {
                uint64_t payload = le_load64(file + at + 16);
                memcpy(file + at, magic, sizeof magic);
                oxl_pack_checksum(at, file + at, file + at + OXL_PACK_CHECKED_BYTES);
                if (payload > end - at || oxl_pack_record_size(payload) > end - at)
                        return;
                at += oxl_pack_record_size(payload);
        }
}

/* The trailer's fields fit the file, with as many entries as it names (or as there can be). */
static void fix_lengths(uint8_t *trailer, uint64_t size)
{
        uint64_t room = size - OXL_PACK_HEADER_BYTES - OXL_PACK_TRAILER_BYTES;
        uint64_t entries = le_load64(trailer + 16);
        if (entries > room / OXL_PACK_ENTRY_BYTES)
                entries = room / OXL_PACK_ENTRY_BYTES;
        le_store64(trailer + 8, size - OXL_PACK_TRAILER_BYTES - entries * OXL_PACK_ENTRY_BYTES);
        le_store64(trailer + 16, entries);
        le_store64(trailer + 24, size);
}

static struct oxl_digest fix_file(uint8_t flags, uint8_t *file, size_t size)
{
        struct oxl_digest id = { .algo = OXL_ALGO_BLAKE3 }, seal;
        struct oxl_hasher h;
        if (size < OXL_PACK_HEADER_BYTES + OXL_PACK_TRAILER_BYTES)
                return id;
        uint8_t *trailer = file + size - OXL_PACK_TRAILER_BYTES;
        memcpy(file + 32, fuzz_repo.bytes, OXL_REPO_ID_BYTES);
        if (!(flags & KEEP_LENGTHS))
                fix_lengths(trailer, size);
        uint64_t index = le_load64(trailer + 8), end = size - OXL_PACK_TRAILER_BYTES;
        if (index < OXL_PACK_HEADER_BYTES || index > end)
                return id;
        if (!(flags & KEEP_RECORDS))
                fix_records(file, index);
        oxl_hasher_init_derive(&h, OXL_CONTEXT_PACK_ID);
        oxl_hasher_update(&h, file, OXL_PACK_HEADER_BYTES);
        oxl_hasher_update(&h, file + index, (size_t)(end - index));
        oxl_hasher_final(&h, &id);
        oxl_pack_seal_begin(&h, &fuzz_repo, &id, file);
        oxl_hasher_update(&h, file + index, (size_t)(end - index) + OXL_PACK_SEALED_TRAILER_BYTES);
        oxl_hasher_final(&h, &seal);
        memcpy(trailer + OXL_PACK_SEALED_TRAILER_BYTES, seal.bytes, OXL_DIGEST_BYTES);
        return id;
}

/* --- properties ------------------------------------------------------------------------------------------------ */

static struct oxl_digest digest_of(const struct oxl_pack_entry *e, const uint8_t *payload)
{
        if (e->kind == OXL_KIND_BLOB)
                return oxl_digest_of((enum oxl_algo)e->id.algo, payload, (size_t)e->raw_len);
        return oxl_digest_derive(e->kind == OXL_KIND_TREE ? OXL_CONTEXT_TREE : OXL_CONTEXT_COMMIT, payload,
                                 (size_t)e->raw_len);
}

/* Entry @i of an index that was loaded, in a file of @size bytes. */
static void check_entry(struct oxl_pack *p, uint64_t i, bool whole, size_t size)
{
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        struct oxl_pack_entry e, r;
        oxl_pack_entry_at(p, i, &e);
        FUZZ_REQUIRE(e.raw_len < size && e.offset + OXL_PACK_RECORD_BYTES + e.raw_len <= p->index_at);
        uint64_t low = oxl_pack_lower_bound(p, e.id.bytes);
        oxl_pack_entry_at(p, low, &r);
        FUZZ_REQUIRE(low <= i && memcmp(r.id.bytes, e.id.bytes, OXL_DIGEST_BYTES) == 0);
        if (fuzz_failed(oxl_pack_record(p, e.offset, &r, &err), &err)) {
                FUZZ_REQUIRE(!whole);
                return;
        }
        FUZZ_REQUIRE(r.offset == e.offset && r.raw_len < size);
        cleanup_free uint8_t *payload = fuzz_copy(NULL, 0);
        uint8_t *grown = realloc(payload, (size_t)e.raw_len + 1);
        FUZZ_REQUIRE(grown);
        payload = grown;
        FUZZ_REQUIRE(oxl_pack_payload(p, &e, 0, payload, (size_t)e.raw_len, NULL) == 0);
        struct oxl_digest got = digest_of(&e, payload);
        FUZZ_REQUIRE(!whole || (oxl_digest_equal(&got, &e.id) && oxl_digest_equal(&r.id, &e.id) && r.kind == e.kind));
}

static void count_damage(void *ctx, const struct oxl_pack_entry *e, const struct oxl_error *why)
{
        unsigned *n = ctx;
        FUZZ_REQUIRE(why && why->code != 0);
        FUZZ_REQUIRE(!e || e->kind <= OXL_KIND_COMMIT);
        (*n)++;
}

static void check_pack(struct oxl_pack *p, size_t size)
{
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        struct oxl_pack_entry e;
        unsigned damage = 0;
        FUZZ_REQUIRE(oxl_pack_entries(p) <= size / OXL_PACK_ENTRY_BYTES);
        bool loaded = !fuzz_failed(oxl_pack_load_index(p, &err), &err);
        bool whole = !fuzz_failed(oxl_pack_verify(p, NULL, NULL, NULL, &err), &err);
        bool heard = !fuzz_failed(oxl_pack_verify(p, count_damage, &damage, NULL, &err), &err);
        FUZZ_REQUIRE(loaded || !whole);
        fuzz_accepted += whole;
        FUZZ_REQUIRE(whole == (heard && damage == 0));
        for (uint64_t i = 0; loaded && i < oxl_pack_entries(p); i++)
                check_entry(p, i, whole, size);
        /* any place may be asked for, aligned or not */
        for (uint64_t at = 0; at < size + 16 && at < 4096; at += 4)
                if (!fuzz_failed(oxl_pack_record(p, at, &e, &err), &err))
                        FUZZ_REQUIRE(e.offset == at && e.raw_len < size && at + e.raw_len < p->index_at);
        FUZZ_REQUIRE(fuzz_failed(oxl_pack_record(p, UINT64_MAX - 7, &e, &err), &err));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (size == 0)
                return 0;
        uint8_t flags = *data++;
        size--;
        cleanup_free uint8_t *file = fuzz_copy(data, size);
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        struct oxl_digest id = fix_file(flags, file, size);
        struct oxl_pack *p = NULL;
        int r = oxl_pack_open_fd(fuzz_file(file, size), "input.pack", &id, &fuzz_repo,
                                 flags & XXH3 ? OXL_ALGO_XXH3_128 : OXL_ALGO_BLAKE3, &p, &err);
        if (!fuzz_failed(r, &err)) {
                check_pack(p, size);
                oxl_pack_free(p);
        }
        return 0;
}
