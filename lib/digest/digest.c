/* SPDX-License-Identifier: MIT */
/*
 * The only file, with seal.c on top of it, that knows which libraries hash: the official BLAKE3 C code and libxxhash.
 *
 * Both choose their SIMD code at run time: BLAKE3 by itself, libxxhash only through its *_dispatch functions, which
 * x86-64 builds of it export. States are initialised before use, so a digest depends on the bytes alone; a library that
 * disagrees with the published vectors is found by tests/unit/digest.c.
 */
#include <string.h>

#include <blake3.h>
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>
#if defined(__x86_64__) && defined(__has_include)
#if __has_include(<xxh_x86dispatch.h>)
#define XXH_DISPATCH_DISABLE_REPLACE
#include <xxh_x86dispatch.h>
#define XXH3_128_UPDATE XXH3_128bits_update_dispatch
#define XXH3_128_OF XXH3_128bits_dispatch
#endif
#endif
#ifndef XXH3_128_UPDATE
#define XXH3_128_UPDATE XXH3_128bits_update
#define XXH3_128_OF XXH3_128bits
#endif

#include "base/cleanup.h"
#include "base/hex.h"
#include "base/le.h"
#include "digest/digest.h"

#define XXH3_128_BYTES 16

_Static_assert(sizeof(blake3_hasher) <= sizeof(((struct oxl_hasher *)0)->state), "BLAKE3's state fits");
_Static_assert(sizeof(XXH3_state_t) <= sizeof(((struct oxl_hasher *)0)->state), "XXH3's state fits");
_Static_assert(_Alignof(XXH3_state_t) <= 64 && _Alignof(blake3_hasher) <= 64, "the alignment is enough");
_Static_assert(sizeof(XXH128_canonical_t) == XXH3_128_BYTES, "canonical form");

static blake3_hasher *blake3_of(struct oxl_hasher *h)
{
        return (void *)h->state;
}

static XXH3_state_t *xxh3_of(struct oxl_hasher *h)
{
        return (void *)h->state;
}

void oxl_digest_setup(void)
{
        /* Long enough for the wide code paths, so that every dispatch decision is made here. */
        uint8_t bytes[2048] = { 0 };
        struct oxl_digest d = oxl_digest_of(OXL_ALGO_BLAKE3, bytes, sizeof(bytes));
        bytes[0] = d.bytes[0];
        struct oxl_hasher h;
        oxl_hasher_init(&h, OXL_ALGO_XXH3_128);
        oxl_hasher_update(&h, bytes, sizeof(bytes));
        oxl_hasher_final(&h, &d);
}

void oxl_hasher_init(struct oxl_hasher *h, enum oxl_algo algo)
{
        OXL_ASSERT(algo == OXL_ALGO_BLAKE3 || algo == OXL_ALGO_XXH3_128);
        h->algo = (uint8_t)algo;
        if (algo == OXL_ALGO_BLAKE3)
                blake3_hasher_init(blake3_of(h));
        else
                OXL_ASSERT(XXH3_128bits_reset(xxh3_of(h)) == XXH_OK);
}

void oxl_hasher_init_derive(struct oxl_hasher *h, const char *context)
{
        h->algo = OXL_ALGO_BLAKE3;
        blake3_hasher_init_derive_key(blake3_of(h), context);
}

void oxl_hasher_update(struct oxl_hasher *h, const void *bytes, size_t n)
{
        if (n == 0)
                return; /* @bytes may be NULL */
        if (h->algo == OXL_ALGO_BLAKE3)
                blake3_hasher_update(blake3_of(h), bytes, n);
        else
                OXL_ASSERT(XXH3_128_UPDATE(xxh3_of(h), bytes, n) == XXH_OK);
}

void oxl_hasher_le16(struct oxl_hasher *h, uint16_t v)
{
        uint8_t b[2];
        le_store16(b, v);
        oxl_hasher_update(h, b, sizeof(b));
}

void oxl_hasher_le32(struct oxl_hasher *h, uint32_t v)
{
        uint8_t b[4];
        le_store32(b, v);
        oxl_hasher_update(h, b, sizeof(b));
}

void oxl_hasher_le64(struct oxl_hasher *h, uint64_t v)
{
        uint8_t b[8];
        le_store64(b, v);
        oxl_hasher_update(h, b, sizeof(b));
}

static void store_xxh128(XXH128_hash_t hash, struct oxl_digest *ret)
{
        XXH128_canonical_t canonical;
        XXH128_canonicalFromHash(&canonical, hash);
        memcpy(ret->bytes, canonical.digest, XXH3_128_BYTES);
}

void oxl_hasher_final(struct oxl_hasher *h, struct oxl_digest *ret)
{
        struct oxl_digest d = OXL_DIGEST_INIT;
        d.algo = h->algo;
        if (h->algo == OXL_ALGO_BLAKE3)
                blake3_hasher_finalize(blake3_of(h), d.bytes, OXL_DIGEST_BYTES);
        else
                store_xxh128(XXH3_128bits_digest(xxh3_of(h)), &d);
        *ret = d;
}

void oxl_digest_label(const char *const *parts, size_t n, uint64_t place, char ret[17])
{
        struct oxl_hasher h;
        struct oxl_digest d;
        oxl_hasher_init(&h, OXL_ALGO_BLAKE3);
        for (size_t i = 0; i < n; i++)
                oxl_hasher_update(&h, parts[i], strlen(parts[i]) + 1);
        oxl_hasher_le64(&h, place);
        oxl_hasher_final(&h, &d);
        oxl_hex_encode(d.bytes, 8, ret);
}

struct oxl_digest oxl_digest_of(enum oxl_algo algo, const void *bytes, size_t n)
{
        struct oxl_digest d = OXL_DIGEST_INIT;
        if (algo == OXL_ALGO_XXH3_128) {
                d.algo = OXL_ALGO_XXH3_128;
                store_xxh128(XXH3_128_OF(n ? bytes : "", n), &d);
                return d;
        }
        struct oxl_hasher h;
        oxl_hasher_init(&h, algo);
        oxl_hasher_update(&h, bytes, n);
        oxl_hasher_final(&h, &d);
        return d;
}

struct oxl_digest oxl_digest_derive(const char *context, const void *bytes, size_t n)
{
        struct oxl_digest d;
        struct oxl_hasher h;
        oxl_hasher_init_derive(&h, context);
        oxl_hasher_update(&h, bytes, n);
        oxl_hasher_final(&h, &d);
        return d;
}

static size_t digest_size(enum oxl_algo algo)
{
        return algo == OXL_ALGO_XXH3_128 ? XXH3_128_BYTES : OXL_DIGEST_BYTES;
}

static bool all_zero(const uint8_t *p, size_t n)
{
        uint8_t bits = 0;
        for (size_t i = 0; i < n; i++)
                bits |= p[i];
        return bits == 0;
}

void oxl_digest_store(const struct oxl_digest *d, uint8_t ret_field[OXL_DIGEST_BYTES])
{
        memcpy(ret_field, d->bytes, OXL_DIGEST_BYTES);
}

bool oxl_digest_load(enum oxl_algo algo, const uint8_t field[OXL_DIGEST_BYTES], struct oxl_digest *ret)
{
        size_t size = digest_size(algo);
        if (!all_zero(field + size, OXL_DIGEST_BYTES - size))
                return false;
        ret->algo = (uint8_t)algo;
        memcpy(ret->bytes, field, OXL_DIGEST_BYTES);
        return true;
}

bool oxl_digest_is_zero(const struct oxl_digest *d)
{
        return all_zero(d->bytes, OXL_DIGEST_BYTES);
}

bool oxl_digest_equal(const struct oxl_digest *a, const struct oxl_digest *b)
{
        return a->algo == b->algo && memcmp(a->bytes, b->bytes, OXL_DIGEST_BYTES) == 0;
}

int oxl_digest_compare(const struct oxl_digest *a, const struct oxl_digest *b)
{
        int c = memcmp(a->bytes, b->bytes, OXL_DIGEST_BYTES);
        return c ? c : (int)a->algo - (int)b->algo;
}

void oxl_digest_text(const struct oxl_digest *d, char *ret_text)
{
        if (d->algo == OXL_ALGO_BLAKE3)
                oxl_hex_encode(d->bytes, OXL_DIGEST_BYTES, ret_text);
        else if (d->algo == OXL_ALGO_XXH3_128)
                oxl_hex_encode_number(d->bytes, XXH3_128_BYTES, ret_text);
        else
                memcpy(ret_text, "-", 2);
}

bool oxl_digest_parse(enum oxl_algo algo, const char *text, struct oxl_digest *ret)
{
        struct oxl_digest d = OXL_DIGEST_INIT;
        if (algo != OXL_ALGO_BLAKE3 && algo != OXL_ALGO_XXH3_128)
                return false;
        d.algo = (uint8_t)algo;
        size_t digits = 2 * digest_size(algo), len = strnlen(text, digits + 1);
        if (len == 0 || len > digits)
                return false;
        if (algo == OXL_ALGO_BLAKE3 ? len != digits : (text[0] == '0' && len > 1))
                return false;
        char padded[2 * OXL_DIGEST_BYTES];
        memset(padded, '0', digits - len);
        memcpy(padded + digits - len, text, len);
        if (!oxl_hex_decode(padded, d.bytes, digits / 2))
                return false;
        *ret = d;
        return true;
}
