/* SPDX-License-Identifier: MIT */
/*
 * Subtrees of BLAKE3, see subtree.h. The library hashes them, at full speed; it has no call that takes parts of a tree or
 * gives them, so its state is read and set here, by the names in blake3.h, and the few parent nodes above subtrees are
 * compressed by our own lines.
 *
 * A library that keeps its state in another way would give wrong digests without a word: so oxl_hasher_splits() hashes a
 * small content in both ways each time, and says no when they differ. tests/unit/subtree.c compares large ones.
 *
 * State between subtrees: the stack has one value for each bit that is set in the number of chunks, the chunk is empty.
 */
#include <string.h>

#include <blake3.h>

#include "base/cleanup.h"
#include "base/le.h"
#include "digest/subtree.h"

enum { PARENT = 4, ROUNDS = 7, WORDS = 16 };

static const uint32_t iv[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };

static uint32_t rotate(uint32_t w, unsigned n)
{
        return w >> n | w << (32 - n);
}

static void mix(uint32_t *v, unsigned a, unsigned b, unsigned c, unsigned d, uint32_t x, uint32_t y)
{
        v[a] += v[b] + x;
        v[d] = rotate(v[d] ^ v[a], 16);
        v[c] += v[d];
        v[b] = rotate(v[b] ^ v[c], 12);
        v[a] += v[b] + y;
        v[d] = rotate(v[d] ^ v[a], 8);
        v[c] += v[d];
        v[b] = rotate(v[b] ^ v[c], 7);
}

/* The node above two others, which is not the root. Section 2.4 of the BLAKE3 paper. */
static void join(const uint8_t children[2 * BLAKE3_OUT_LEN], uint8_t ret[BLAKE3_OUT_LEN])
{
        static const uint8_t order[WORDS] = { 2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8 };
        uint32_t m[WORDS], v[WORDS] = { 0 };
        for (unsigned i = 0; i < WORDS; i++)
                m[i] = le_load32(children + 4 * i);
        memcpy(v, iv, sizeof iv);
        memcpy(v + 8, iv, sizeof iv / 2);
        v[14] = BLAKE3_BLOCK_LEN;
        v[15] = PARENT;
        for (unsigned round = 0; round < ROUNDS; round++) {
                uint32_t next[WORDS];
                for (unsigned i = 0; i < 4; i++)
                        mix(v, i, 4 + i, 8 + i, 12 + i, m[2 * i], m[2 * i + 1]);
                for (unsigned i = 0; i < 4; i++)
                        mix(v, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4, m[8 + 2 * i], m[9 + 2 * i]);
                for (unsigned i = 0; i < WORDS; i++)
                        next[i] = m[order[i]];
                memcpy(m, next, sizeof m);
        }
        for (unsigned i = 0; i < 8; i++)
                le_store32(ret + 4 * i, v[i] ^ v[i + 8]);
}

/* @size: a power of two, at least two chunks. An update with one whole subtree leaves its two halves on the stack. */
static void hash(const void *bytes, size_t size, uint64_t number, uint8_t ret[BLAKE3_OUT_LEN])
{
        blake3_hasher h;
        blake3_hasher_init(&h);
        h.chunk.chunk_counter = number * (size / BLAKE3_CHUNK_LEN);
        blake3_hasher_update(&h, bytes, size);
        join(h.cv_stack, ret);
}

static void add(blake3_hasher *h, size_t size, const uint8_t cv[BLAKE3_OUT_LEN])
{
        uint64_t chunks = size / BLAKE3_CHUNK_LEN;
        memcpy(h->cv_stack + h->cv_stack_len * (size_t)BLAKE3_OUT_LEN, cv, BLAKE3_OUT_LEN);
        h->cv_stack_len++;
        h->chunk.chunk_counter += chunks;
        for (uint64_t n = h->chunk.chunk_counter / chunks; n % 2 == 0; n /= 2) {
                uint8_t *left = h->cv_stack + (h->cv_stack_len - 2) * (size_t)BLAKE3_OUT_LEN;
                join(left, left);
                h->cv_stack_len--;
        }
}

static blake3_hasher *state_of(struct oxl_hasher *h)
{
        return (void *)h->state;
}

/* Three subtrees of two chunks and a rest, joined here and hashed by the library alone. */
static bool proven(void)
{
        enum { SIZE = 2 * BLAKE3_CHUNK_LEN, N = 3, REST = 100 };
        uint8_t bytes[N * SIZE + REST], cv[BLAKE3_OUT_LEN], whole[BLAKE3_OUT_LEN], joined[BLAKE3_OUT_LEN];
        blake3_hasher a, b;
        for (size_t i = 0; i < sizeof bytes; i++)
                bytes[i] = (uint8_t)(i * 7 + i / 251);
        blake3_hasher_init(&a);
        blake3_hasher_update(&a, bytes, sizeof bytes);
        blake3_hasher_finalize(&a, whole, sizeof whole);
        blake3_hasher_init(&b);
        for (unsigned i = 0; i < N; i++) {
                hash(bytes + (size_t)i * SIZE, SIZE, i, cv);
                add(&b, SIZE, cv);
        }
        blake3_hasher_update(&b, bytes + sizeof bytes - REST, REST);
        blake3_hasher_finalize(&b, joined, sizeof joined);
        return memcmp(whole, joined, sizeof whole) == 0;
}

bool oxl_hasher_splits(const struct oxl_hasher *h)
{
        blake3_hasher now, fresh;
        if (h->algo != OXL_ALGO_BLAKE3)
                return false;
        memcpy(&now, h->state, sizeof now);
        blake3_hasher_init(&fresh);
        return memcmp(now.key, fresh.key, sizeof fresh.key) == 0 && memcmp(fresh.key, iv, sizeof iv) == 0 &&
               now.chunk.flags == 0 && now.chunk.chunk_counter == 0 && now.chunk.buf_len == 0 &&
               now.chunk.blocks_compressed == 0 && now.cv_stack_len == 0 && proven();
}

void oxl_subtree_hash(const void *bytes, uint64_t number, uint8_t ret_cv[OXL_SUBTREE_CV_BYTES])
{
        hash(bytes, OXL_SUBTREE_BYTES, number, ret_cv);
}

void oxl_hasher_add_subtree(struct oxl_hasher *h, const uint8_t cv[OXL_SUBTREE_CV_BYTES])
{
        OXL_ASSERT(h->algo == OXL_ALGO_BLAKE3);
        add(state_of(h), OXL_SUBTREE_BYTES, cv);
}
