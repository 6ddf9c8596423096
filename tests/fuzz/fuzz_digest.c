/* SPDX-License-Identifier: MIT */
/* Text and fields of digests: one text for each digest, and back. */
#include "base/hex.h"
#include "fuzz/fuzz.h"

static void check_text(const char *text, enum oxl_algo algo)
{
        struct oxl_digest d;
        char again[OXL_DIGEST_TEXT_MAX];
        if (!oxl_digest_parse(algo, text, &d))
                return;
        fuzz_accepted++;
        FUZZ_REQUIRE(d.algo == algo);
        oxl_digest_text(&d, again);
        FUZZ_REQUIRE(strcmp(text, again) == 0);
}

static void check_field(const uint8_t *field, enum oxl_algo algo)
{
        struct oxl_digest d, again;
        char text[OXL_DIGEST_TEXT_MAX];
        uint8_t stored[OXL_DIGEST_BYTES];
        static const uint8_t zero[16];
        bool ok = oxl_digest_load(algo, field, &d);
        FUZZ_REQUIRE(ok == (algo == OXL_ALGO_BLAKE3 || memcmp(field + 16, zero, 16) == 0));
        if (!ok)
                return;
        oxl_digest_store(&d, stored);
        FUZZ_REQUIRE(memcmp(stored, field, sizeof stored) == 0);
        oxl_digest_text(&d, text);
        FUZZ_REQUIRE(oxl_digest_parse(algo, text, &again) && oxl_digest_equal(&d, &again));
        FUZZ_REQUIRE(oxl_digest_compare(&d, &again) == 0);
}

static void check_order(const uint8_t *a, const uint8_t *b)
{
        struct oxl_digest x = { OXL_ALGO_BLAKE3, { 0 } }, y = { OXL_ALGO_BLAKE3, { 0 } };
        memcpy(x.bytes, a, OXL_DIGEST_BYTES);
        memcpy(y.bytes, b, OXL_DIGEST_BYTES);
        int c = oxl_digest_compare(&x, &y), back = oxl_digest_compare(&y, &x);
        FUZZ_REQUIRE((c < 0) == (back > 0) && (c == 0) == oxl_digest_equal(&x, &y));
        FUZZ_REQUIRE((c < 0) == (memcmp(a, b, OXL_DIGEST_BYTES) < 0));
}

static void check_hex(const char *text)
{
        uint64_t v;
        char again[17];
        if (strlen(text) < 16 || !oxl_hex_decode_u64(text, &v))
                return;
        uint8_t big_endian[8];
        for (unsigned i = 0; i < 8; i++)
                big_endian[i] = (uint8_t)(v >> (56 - 8 * i));
        oxl_hex_encode(big_endian, sizeof big_endian, again);
        FUZZ_REQUIRE(memcmp(text, again, 16) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        cleanup_free char *text = fuzz_text(data, size);
        check_text(text, OXL_ALGO_BLAKE3);
        check_text(text, OXL_ALGO_XXH3_128);
        check_hex(text);
        if (size >= OXL_DIGEST_BYTES) {
                check_field(data, OXL_ALGO_BLAKE3);
                check_field(data, OXL_ALGO_XXH3_128);
        }
        if (size >= 2 * OXL_DIGEST_BYTES)
                check_order(data, data + OXL_DIGEST_BYTES);
        return 0;
}
