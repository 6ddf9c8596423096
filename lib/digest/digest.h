/* SPDX-License-Identifier: MIT */
/*
 * Hashing: BLAKE3 and XXH3-128 through their own libraries, with run-time SIMD dispatch.
 * All functions are reentrant after oxl_digest_setup(), which is idempotent and must run once before threads start
 * (BLAKE3's dispatch caches the CPU's features on its first call).
 */
#ifndef OXL_DIGEST_DIGEST_H
#define OXL_DIGEST_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include <oxenlite/digest.h>

/* Derive-key contexts: docs/FORMAT.md section 2. */
#define OXL_CONTEXT_SEAL "oxen-lite 2026-11-22 seal v1"
#define OXL_CONTEXT_TREE "oxen-lite 2026-11-22 tree v1"
#define OXL_CONTEXT_COMMIT "oxen-lite 2026-11-22 commit v1"
#define OXL_CONTEXT_TREE_SPLIT "oxen-lite 2026-11-22 tree split v1"
#define OXL_CONTEXT_PACK_ID "oxen-lite 2026-11-22 pack id v1"
#define OXL_CONTEXT_PACK_MAGIC "oxen-lite 2026-11-22 pack magic v1"
#define OXL_CONTEXT_PACK_RECORD "oxen-lite 2026-11-22 pack record v1"
#define OXL_CONTEXT_INDEX_BLOCK "oxen-lite 2026-11-22 index block v1"
#define OXL_CONTEXT_JOURNAL_CHAIN "oxen-lite 2026-11-22 journal chain v1"
#define OXL_CONTEXT_JOURNAL_PAGE "oxen-lite 2026-11-22 journal page v1"

void oxl_digest_setup(void);

/* Caller's storage; the size is checked against the libraries' own types at compile time. */
struct oxl_hasher {
        uint8_t algo;
        _Alignas(64) unsigned char state[2048];
};

void oxl_hasher_init(struct oxl_hasher *h, enum oxl_algo algo);
/* BLAKE3 in derive-key mode. */
void oxl_hasher_init_derive(struct oxl_hasher *h, const char *context);
void oxl_hasher_update(struct oxl_hasher *h, const void *bytes, size_t n);
void oxl_hasher_le16(struct oxl_hasher *h, uint16_t v);
void oxl_hasher_le32(struct oxl_hasher *h, uint32_t v);
void oxl_hasher_le64(struct oxl_hasher *h, uint64_t v);
/* The hasher may be updated further afterwards. */
void oxl_hasher_final(struct oxl_hasher *h, struct oxl_digest *ret);

/* One shot. */
struct oxl_digest oxl_digest_of(enum oxl_algo algo, const void *bytes, size_t n);
struct oxl_digest oxl_digest_derive(const char *context, const void *bytes, size_t n);

/* 16 hex digits of BLAKE3 over the texts, each with its NUL, and @place: a name for something that stays the same from run to
 * run, such as a finding. */
void oxl_digest_label(const char *const *parts, size_t n, uint64_t place, char ret[17]);

/* Digest fields of 32 bytes in binary files (FORMAT section 2): zero bytes after a shorter digest. load returns false when
 * the padding is not zero. */
void oxl_digest_store(const struct oxl_digest *d, uint8_t ret_field[OXL_DIGEST_BYTES]);
bool oxl_digest_load(enum oxl_algo algo, const uint8_t field[OXL_DIGEST_BYTES], struct oxl_digest *ret);
bool oxl_digest_is_zero(const struct oxl_digest *d);

#endif
