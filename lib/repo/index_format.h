/* SPDX-License-Identifier: MIT */
/*
 * Bytes of the index files: docs/FORMAT.md section 6. Pure encoding and strict decoding of headers and runs of entries (a
 * block of the base, or all entries of the delta); no file is touched here.
 *
 * Decoders refuse everything that the encoder would not have written: order, shared prefixes that are not the longest,
 * unknown kinds and flags, names that no tree may hold, padding that is not zero.
 */
#ifndef OXL_REPO_INDEX_FORMAT_H
#define OXL_REPO_INDEX_FORMAT_H

#include "base/bytes.h"
#include "repo/index.h"

#define OXL_INDEX_NAME "index" /* file below .oxen-lite, and kind of its seal */
#define OXL_INDEX_DELTA_NAME "index.delta"
#define OXL_INDEX_SHOWN OXL_REPO_DIR "/" OXL_INDEX_NAME /* in messages */
#define OXL_INDEX_DELTA_SHOWN OXL_REPO_DIR "/" OXL_INDEX_DELTA_NAME

#define OXL_INDEX_HEADER_BYTES 96u
#define OXL_INDEX_SEAL_BYTES 32u
#define OXL_INDEX_TAIL_BYTES 56u  /* base: T, length, blocks, seal */
#define OXL_INDEX_TABLE_BYTES 54u /* entry of the block table without its path */
#define OXL_INDEX_ENTRY_BYTES 90u /* entry without its path */
#define OXL_INDEX_BLOCK_TARGET (16u << 10)
#define OXL_INDEX_BLOCK_MAX (64u << 10)
#define OXL_INDEX_TABLE_MAX (1u << 30)
#define OXL_INDEX_DELTA_MAX (64u << 20)

struct oxl_index_header {
        bool delta;
        uint64_t generation, entries;
        struct oxl_digest tree;          /* NONE: no commit */
        uint8_t other[OXL_DIGEST_BYTES]; /* base: `absorbed`; delta: `base` */
};

void oxl_index_header_store(const struct oxl_index_header *h, uint8_t ret[OXL_INDEX_HEADER_BYTES]);
/* MALFORMED, FEATURE (another version). */
OXL_MUST_CHECK int oxl_index_header_load(const uint8_t bytes[OXL_INDEX_HEADER_BYTES], bool delta,
                                         struct oxl_index_header *ret, struct oxl_error *err);

/* Why @path cannot be in an index, as a static text; NULL when it can. The components before @from are known good. */
const char *oxl_index_path_problem(const char *path, size_t len, size_t from);
/* The same for what is not the path. */
const char *oxl_index_entry_problem(const struct oxl_index_entry *e);

/* --- writing a run of entries --- */

struct oxl_index_encoder {
        struct oxl_buf bytes;
        struct oxl_buf path; /* the last one */
        uint64_t entries, staged;
};
#define OXL_INDEX_ENCODER_INIT { OXL_BUF_INIT, OXL_BUF_INIT, 0, 0 }
void oxl_index_encoder_done(struct oxl_index_encoder *e);
#define cleanup_index_encoder cleanup(oxl_index_encoder_done)

/* Bytes that adding @entry would take. */
size_t oxl_index_encoder_cost(const struct oxl_index_encoder *e, const struct oxl_index_entry *entry);
/* Paths must ascend. NOMEM. */
OXL_MUST_CHECK int oxl_index_encoder_add(struct oxl_index_encoder *e, const struct oxl_index_entry *entry,
                                         struct oxl_error *err);
/* Begins a new run, keeping the memory. */
void oxl_index_encoder_restart(struct oxl_index_encoder *e);

/* --- reading a run of entries --- */

struct oxl_index_decoder {
        struct oxl_cursor in;
        enum oxl_algo algo; /* of blobs */
        bool delta, begun;
        size_t depth; /* slashes in `path` */
        struct oxl_buf path;
};
#define OXL_INDEX_DECODER_INIT { .path = OXL_BUF_INIT }
void oxl_index_decoder_done(struct oxl_index_decoder *d);
#define cleanup_index_decoder cleanup(oxl_index_decoder_done)

/* Starts at the beginning of the run @bytes (borrowed); keeps the memory of an earlier use. */
void oxl_index_decoder_start(struct oxl_index_decoder *d, struct oxl_bytes bytes, enum oxl_algo blob_algo, bool delta);
/* Starts in the middle of a run, after the entry of @path. NOMEM. */
OXL_MUST_CHECK int oxl_index_decoder_resume(struct oxl_index_decoder *d, struct oxl_bytes rest, enum oxl_algo blob_algo,
                                            bool delta, struct oxl_bytes path, struct oxl_error *err);
/* 0: *ret is the next entry, its path borrowed until the next call; 1: the end. MALFORMED, NOMEM. */
OXL_MUST_CHECK int oxl_index_decoder_next(struct oxl_index_decoder *d, struct oxl_index_entry *ret,
                                          struct oxl_error *err);

#endif
