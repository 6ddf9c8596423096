/* SPDX-License-Identifier: MIT */
/*
 * A run of index entries (a block of the base, or the entries of a delta). The first byte: bit 0 delta, bit 1 XXH3 blobs.
 * What is decoded ascends and is encoded to the same bytes; decoding may begin after any entry.
 */
#include "base/path.h"
#include "fuzz/fuzz.h"
#include "repo/index_format.h"

static void require_same_entry(const struct oxl_index_entry *a, const struct oxl_index_entry *b)
{
        FUZZ_REQUIRE(a->path_len == b->path_len && memcmp(a->path, b->path, a->path_len) == 0);
        FUZZ_REQUIRE(a->kind == b->kind && a->staged == b->staged && a->size == b->size);
        FUZZ_REQUIRE(oxl_digest_equal(&a->id, &b->id));
}

/* @e was decoded from the bytes before @rest. The next entry is the same when decoding starts there. */
static void check_resume(struct oxl_index_decoder *d, const char *path, size_t len)
{
        cleanup_index_decoder struct oxl_index_decoder second = OXL_INDEX_DECODER_INIT;
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        struct oxl_index_entry a, b;
        FUZZ_REQUIRE(oxl_index_decoder_resume(&second, d->in.rest, d->algo, d->delta, oxl_bytes_of(path, len), NULL) ==
                     0);
        int r = oxl_index_decoder_next(&second, &b, &err);
        bool failed = fuzz_failed(r, &err);
        int q = oxl_index_decoder_next(d, &a, &err);
        FUZZ_REQUIRE(q == r && fuzz_failed(q, &err) == failed);
        if (r == 0)
                require_same_entry(&a, &b);
}

/* Decodes @skip entries and tries to begin there. */
static void check_middle(struct oxl_bytes run, enum oxl_algo algo, bool delta, uint64_t skip)
{
        cleanup_index_decoder struct oxl_index_decoder d = OXL_INDEX_DECODER_INIT;
        struct oxl_index_entry e = { 0 };
        oxl_index_decoder_start(&d, run, algo, delta);
        for (uint64_t i = 0; i < skip; i++)
                FUZZ_REQUIRE(oxl_index_decoder_next(&d, &e, NULL) == 0);
        cleanup_free char *path = fuzz_text(e.path, e.path_len);
        check_resume(&d, path, e.path_len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (size == 0)
                return 0;
        bool delta = data[0] & 1;
        enum oxl_algo algo = data[0] & 2 ? OXL_ALGO_XXH3_128 : OXL_ALGO_BLAKE3;
        cleanup_free uint8_t *exact = fuzz_copy(data + 1, size - 1);
        struct oxl_bytes run = oxl_bytes_of(exact, size - 1);
        cleanup_index_decoder struct oxl_index_decoder d = OXL_INDEX_DECODER_INIT;
        cleanup_index_encoder struct oxl_index_encoder out = OXL_INDEX_ENCODER_INIT;
        cleanup_buf struct oxl_buf last = OXL_BUF_INIT;
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        struct oxl_index_entry e;
        int r;
        oxl_index_decoder_start(&d, run, algo, delta);
        while ((r = oxl_index_decoder_next(&d, &e, &err)) == 0) {
                FUZZ_REQUIRE(!oxl_path_problem(e.path, e.path_len) && e.path_len <= OXL_PATH_BYTES_MAX);
                FUZZ_REQUIRE(e.path[e.path_len] == 0);
                FUZZ_REQUIRE(out.entries == 0 || oxl_path_compare((char *)last.data, last.len, e.path, e.path_len) < 0);
                FUZZ_REQUIRE(!oxl_index_path_problem(e.path, e.path_len, 0) && !oxl_index_entry_problem(&e));
                oxl_buf_clear(&last);
                FUZZ_REQUIRE(oxl_buf_append(&last, e.path, e.path_len, NULL) == 0);
                FUZZ_REQUIRE(oxl_index_encoder_add(&out, &e, NULL) == 0);
        }
        if (!fuzz_failed(r, &err)) {
                fuzz_accepted += out.entries > 0;
                FUZZ_REQUIRE(out.bytes.len == run.len);
        }
        FUZZ_REQUIRE(out.bytes.len <= run.len);
        FUZZ_REQUIRE(out.bytes.len == 0 || memcmp(out.bytes.data, run.data, out.bytes.len) == 0);
        if (out.entries > 0)
                check_middle(run, algo, delta, data[0] % out.entries + 1);
        return 0;
}
