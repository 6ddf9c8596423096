/* SPDX-License-Identifier: MIT */
/*
 * Digests: the names of blobs, trees and commits.
 *
 * BLAKE3-256 (https://github.com/BLAKE3-team/BLAKE3-specs) names everything by default. XXH3-128
 * (https://github.com/Cyan4973/xxHash) may name blobs, because Oxen does: it detects accidents, not
 * attackers (colliding pairs can be written down without search), so whoever finds a blob "already
 * stored" under an XXH3-128 name compares the bytes.
 *
 * A digest always carries its algorithm. Text form: lowercase hex; 64 digits for BLAKE3; for XXH3-128
 * Oxen's form, the 128-bit number without leading zeros (1 to 32 digits).
 *
 * Threads: all functions are reentrant; oxl_digest_setup() runs once, before threads start.
 */
#ifndef OXENLITE_DIGEST_H
#define OXENLITE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <oxenlite/api.h>

OXL_BEGIN_DECLS

enum oxl_algo {
        OXL_ALGO_NONE = 0,     /* no digest here */
        OXL_ALGO_BLAKE3 = 1,   /* 32 bytes */
        OXL_ALGO_XXH3_128 = 2, /* 16 bytes, canonical (big-endian) order; the other 16 are zero */
};

#define OXL_DIGEST_BYTES 32
#define OXL_DIGEST_TEXT_MAX 65 /* 64 digits and NUL */

struct oxl_digest {
        uint8_t algo; /* enum oxl_algo */
        uint8_t bytes[OXL_DIGEST_BYTES];
};
#define OXL_DIGEST_INIT { 0 }

/* Same algorithm and same bytes. */
OXL_API bool oxl_digest_equal(const struct oxl_digest *a, const struct oxl_digest *b);

/* memcmp order of the bytes, then of the algorithm: < 0, 0, > 0. */
OXL_API int oxl_digest_compare(const struct oxl_digest *a, const struct oxl_digest *b);

/* Writes the text form and NUL into @ret_text (OXL_DIGEST_TEXT_MAX bytes); "-" for OXL_ALGO_NONE. */
OXL_API void oxl_digest_text(const struct oxl_digest *d, char *ret_text);

/* Parses the canonical text form of @algo. Returns false (and leaves *ret alone) on anything else:
 * upper case, wrong length, a leading zero in XXH3-128. */
OXL_API bool oxl_digest_parse(enum oxl_algo algo, const char *text, struct oxl_digest *ret);

OXL_END_DECLS

#endif
