/* SPDX-License-Identifier: MIT */
/* versions/packs/lookup; the seal is put right. It is derived: whatever it says, questions end, and stay inside the file. In a
 * sealed one, the answers are those of a search from the front. */
#include "fuzz/fuzz.h"
#include "objects/lookup.h"

static const uint8_t *file;
static size_t file_size;

/* The first entry that is not below @id, by looking at all of them. */
static uint64_t search(struct oxl_lookup *l, const uint8_t *id)
{
        struct oxl_lookup_hit hit;
        uint64_t i = 0;
        while (i < oxl_lookup_entries(l) && oxl_lookup_at(l, i, &hit) == 0 && memcmp(hit.id, id, OXL_DIGEST_BYTES) < 0)
                i++;
        return i;
}

static void check_bound(struct oxl_lookup *l, const uint8_t *id, bool sealed)
{
        uint64_t at = 0;
        int r = oxl_lookup_lower_bound(l, id, &at);
        FUZZ_REQUIRE(r == 0 || r == OXL_LOOKUP_NONE);
        FUZZ_REQUIRE(r != 0 || at <= oxl_lookup_entries(l));
        if (sealed)
                FUZZ_REQUIRE(r == 0 && at == search(l, id));
}

static void check_entry(struct oxl_lookup *l, uint64_t i, bool sealed)
{
        struct oxl_lookup_hit hit;
        uint8_t again[OXL_LOOKUP_ENTRY_BYTES], next[OXL_DIGEST_BYTES];
        FUZZ_REQUIRE(oxl_lookup_at(l, i, &hit) == 0);
        oxl_lookup_entry_encode(&hit, again);
        size_t from_end = (size_t)(oxl_lookup_entries(l) - i) * OXL_LOOKUP_ENTRY_BYTES + OXL_DIGEST_BYTES;
        FUZZ_REQUIRE(memcmp(again, file + file_size - from_end, sizeof again) == 0);
        check_bound(l, hit.id, sealed);
        memcpy(next, hit.id, sizeof next);
        next[OXL_DIGEST_BYTES - 1]++;
        check_bound(l, next, sealed);
}

static void check_lookup(struct oxl_lookup *l)
{
        static const uint8_t low[OXL_DIGEST_BYTES] = { 0 };
        uint8_t high[OXL_DIGEST_BYTES];
        struct oxl_lookup_hit hit;
        struct oxl_digest id;
        uint64_t entries = oxl_lookup_entries(l), packs = oxl_lookup_packs(l);
        FUZZ_REQUIRE(entries <= file_size / OXL_LOOKUP_ENTRY_BYTES && packs <= file_size / OXL_DIGEST_BYTES);
        for (uint64_t i = 0; i < packs; i++) {
                oxl_lookup_pack(l, i, &id);
                FUZZ_REQUIRE(oxl_lookup_pack_position(l, &id) == i);
        }
        bool sealed = oxl_lookup_sealed(l, &fuzz_repo);
        fuzz_accepted += sealed && entries > 0;
        uint64_t step = entries / 32 + 1;
        for (uint64_t i = 0; i < entries; i += step)
                check_entry(l, i, sealed);
        FUZZ_REQUIRE(oxl_lookup_at(l, entries, &hit) == OXL_LOOKUP_NONE);
        FUZZ_REQUIRE(oxl_lookup_at(l, UINT64_MAX, &hit) == OXL_LOOKUP_NONE);
        memset(high, 0xff, sizeof high);
        check_bound(l, low, sealed);
        check_bound(l, high, sealed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        cleanup_free uint8_t *copy = fuzz_copy(data, size);
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        struct oxl_lookup *l = NULL;
        file = copy;
        file_size = size;
        if (size >= OXL_DIGEST_BYTES) {
                struct oxl_bytes body = { copy, size - OXL_DIGEST_BYTES };
                struct oxl_digest seal = fuzz_seal("lookup", OXL_LOOKUP_PATH, &body, 1);
                memcpy(copy + body.len, seal.bytes, OXL_DIGEST_BYTES);
        }
        fuzz_serve(OXL_LOOKUP_PATH, oxl_bytes_of(copy, size));
        int r = oxl_lookup_open(-1, &l, &err);
        FUZZ_REQUIRE(!fuzz_failed(r, &err));
        if (r == 0) {
                check_lookup(l);
                oxl_lookup_free(l);
        }
        fuzz_serve_end();
        return 0;
}
