/* SPDX-License-Identifier: MIT */
/*
 * The two index files together. Input: u8 flags, u32 length of the base, base, delta. Flags: bit 0 XXH3 blobs, bit 1 the
 * delta is stale, bit 2 it is of another base. Block digests, seals and the link between the two are put right.
 *
 * What opens and verifies ascends, never fails later, and lookups agree with the cursor.
 */
#include "base/path.h"
#include "fuzz/fuzz.h"
#include "repo/index_internal.h"

enum { XXH3 = 1, STALE = 2, FOREIGN = 4, KEPT_MAX = 512 };

/* --- putting seals right --------------------------------------------------------------------------------------- */

static void fix_block(uint8_t *base, uint64_t end, uint64_t offset, uint32_t length, uint8_t *field)
{
        struct oxl_hasher h;
        struct oxl_digest d;
        if (offset > end || length > end - offset)
                return;
        oxl_hasher_init_derive(&h, OXL_CONTEXT_INDEX_BLOCK);
        oxl_hasher_le64(&h, offset);
        oxl_hasher_update(&h, base + offset, length);
        oxl_hasher_final(&h, &d);
        memcpy(field, d.bytes, OXL_DIGEST_BYTES);
}

static void fix_table(uint8_t *base, uint64_t table, uint64_t end)
{
        for (uint64_t at = table; end - at >= OXL_INDEX_TABLE_BYTES;) {
                uint64_t path_len = le_load16(base + at + 20);
                if (path_len > end - at - OXL_INDEX_TABLE_BYTES)
                        return;
                fix_block(base, table, le_load64(base + at), le_load32(base + at + 8), base + at + 22 + path_len);
                at += OXL_INDEX_TABLE_BYTES + path_len;
        }
}

/* Seals the base, if it is long enough to have a seal. */
static void fix_base(uint8_t *base, size_t n, struct oxl_digest *ret_seal)
{
        if (n < OXL_INDEX_HEADER_BYTES + OXL_INDEX_TAIL_BYTES)
                return;
        size_t end = n - OXL_INDEX_TAIL_BYTES;
        uint64_t table = le_load64(base + end);
        if (table < OXL_INDEX_HEADER_BYTES || table > end)
                return;
        fix_table(base, table, end);
        le_store64(base + end + 8, end - table);
        struct oxl_bytes pieces[] = { { base, OXL_INDEX_HEADER_BYTES }, { base + table, end - (size_t)table + 24 } };
        *ret_seal = fuzz_seal(OXL_INDEX_NAME, OXL_INDEX_NAME, pieces, 2);
        memcpy(base + n - OXL_INDEX_SEAL_BYTES, ret_seal->bytes, OXL_INDEX_SEAL_BYTES);
}

static void fix_delta(uint8_t *delta, size_t n, struct oxl_digest *ret_seal)
{
        if (n < OXL_INDEX_HEADER_BYTES + OXL_INDEX_SEAL_BYTES)
                return;
        struct oxl_bytes body = { delta, n - OXL_INDEX_SEAL_BYTES };
        *ret_seal = fuzz_seal(OXL_INDEX_DELTA_NAME, OXL_INDEX_DELTA_NAME, &body, 1);
        memcpy(delta + body.len, ret_seal->bytes, OXL_INDEX_SEAL_BYTES);
}

static void fix_both(uint8_t flags, uint8_t *base, size_t base_len, uint8_t *delta, size_t delta_len)
{
        struct oxl_digest seal = OXL_DIGEST_INIT;
        if (flags & STALE) {
                fix_delta(delta, delta_len, &seal);
                if (base_len >= OXL_INDEX_HEADER_BYTES)
                        memcpy(base + 64, seal.bytes, OXL_DIGEST_BYTES);
                fix_base(base, base_len, &seal);
                return;
        }
        fix_base(base, base_len, &seal);
        if (delta_len >= OXL_INDEX_HEADER_BYTES && !(flags & FOREIGN))
                memcpy(delta + 64, seal.bytes, OXL_DIGEST_BYTES);
        fix_delta(delta, delta_len, &seal);
}

/* --- properties ------------------------------------------------------------------------------------------------ */

struct kept {
        char *path;
        size_t len;
        struct oxl_index_entry entry;
};

static bool same_entry(const struct oxl_index_entry *a, const struct oxl_index_entry *b)
{
        return a->kind == b->kind && a->staged == b->staged && a->size == b->size && oxl_digest_equal(&a->id, &b->id) &&
               a->stat.ino == b->stat.ino && a->stat.mtime_s == b->stat.mtime_s;
}

/* Walks the cursor (freed); the first entries are kept. Returns how many there were. */
static uint64_t walk(struct oxl_index_cursor *c, bool sound, struct kept *keep)
{
        cleanup_index_cursor struct oxl_index_cursor *owned = c;
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        cleanup_buf struct oxl_buf last = OXL_BUF_INIT;
        struct oxl_index_entry e;
        uint64_t n = 0;
        int r;
        for (; (r = oxl_index_cursor_next(owned, &e, &err)) == 0; n++) {
                FUZZ_REQUIRE(e.path[e.path_len] == 0 && !oxl_path_problem(e.path, e.path_len));
                FUZZ_REQUIRE(n == 0 || oxl_path_compare((char *)last.data, last.len, e.path, e.path_len) < 0);
                FUZZ_REQUIRE(e.kind != OXL_ENTRY_NONE || e.staged);
                oxl_buf_clear(&last);
                FUZZ_REQUIRE(oxl_buf_append(&last, e.path, e.path_len, NULL) == 0);
                if (keep && n < KEPT_MAX)
                        keep[n] = (struct kept){ fuzz_text(e.path, e.path_len), e.path_len, e };
        }
        FUZZ_REQUIRE(!fuzz_failed(r, &err) || !sound);
        return n;
}

static void check_lookups(struct oxl_index *x, const struct kept *kept, size_t n)
{
        struct oxl_index_entry e;
        for (size_t i = 0; i < n; i++) {
                const struct kept *k = kept + i * 7919 % n; /* in no order */
                FUZZ_REQUIRE(oxl_index_lookup(x, k->path, k->len, &e, NULL) == 0);
                FUZZ_REQUIRE(same_entry(&e, &k->entry));
        }
        FUZZ_REQUIRE(oxl_index_lookup(x, "\xff\xff", 2, &e, NULL) >= 0);
}

/* A cursor from the folder of @path yields what lies in it; one from a path yields that path. */
static void check_folder(struct oxl_index *x, const struct kept *kept, size_t n, const char *path)
{
        struct oxl_index_cursor *c = NULL;
        cleanup_free char *folder = NULL;
        uint64_t expected = 0, staged = 0;
        FUZZ_REQUIRE(oxl_path_parent(path, &folder, NULL) == 0);
        for (size_t i = 0; i < n; i++) {
                bool within = oxl_path_is_within(kept[i].path, folder);
                expected += within;
                staged += within && kept[i].entry.staged;
        }
        FUZZ_REQUIRE(oxl_index_cursor_new(x, folder, 0, &c, NULL) == 0);
        FUZZ_REQUIRE(walk(c, true, NULL) == expected);
        FUZZ_REQUIRE(oxl_index_cursor_new(x, folder, OXL_INDEX_STAGED_ONLY, &c, NULL) == 0);
        FUZZ_REQUIRE(walk(c, true, NULL) == staged);
}

/* After a commit nothing is staged, and what was removed is gone. */
static void check_commit(struct oxl_index *x, const struct kept *kept, size_t n)
{
        static const struct oxl_digest tree = { OXL_ALGO_BLAKE3, { 1 } };
        struct oxl_index_edit *edit = NULL;
        struct oxl_index_cursor *c = NULL;
        uint64_t live = 0;
        for (size_t i = 0; i < n; i++)
                live += kept[i].entry.kind != OXL_ENTRY_NONE;
        FUZZ_REQUIRE(oxl_index_edit_new(x, &edit, NULL) == 0);
        FUZZ_REQUIRE(oxl_index_edit_commit(edit, &tree, NULL) == 0);
        FUZZ_REQUIRE(oxl_index_edit_cursor_new(edit, "", 0, &c, NULL) == 0);
        FUZZ_REQUIRE(walk(c, true, NULL) == live);
        FUZZ_REQUIRE(oxl_index_edit_cursor_new(edit, "", OXL_INDEX_STAGED_ONLY, &c, NULL) == 0);
        FUZZ_REQUIRE(walk(c, true, NULL) == 0);
        oxl_index_edit_free(edit);
}

static void check_index(struct oxl_index *x)
{
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        struct oxl_index_cursor *c = NULL;
        struct kept kept[KEPT_MAX];
        bool sound = !fuzz_failed(oxl_index_verify(x, &err), &err);
        int r = oxl_index_cursor_new(x, "", 0, &c, &err);
        if (fuzz_failed(r, &err)) {
                FUZZ_REQUIRE(!sound);
                return;
        }
        uint64_t n = walk(c, sound, kept);
        fuzz_accepted += sound && n > 0;
        size_t known = n < KEPT_MAX ? (size_t)n : KEPT_MAX;
        FUZZ_REQUIRE(!sound || n <= oxl_index_count_bound(x));
        if (sound && known > 0)
                check_lookups(x, kept, known);
        if (sound && n == known && n > 0) {
                check_folder(x, kept, known, kept[0].path);
                check_folder(x, kept, known, kept[known - 1].path);
                check_commit(x, kept, known);
        }
        for (size_t i = 0; i < known; i++)
                free(kept[i].path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (size < 5)
                return 0;
        uint8_t flags = data[0];
        size_t base_len = le_load32(data + 1), rest = size - 5;
        base_len = base_len < rest ? base_len : rest;
        cleanup_free uint8_t *base = fuzz_copy(data + 5, base_len);
        cleanup_free uint8_t *delta = fuzz_copy(data + 5 + base_len, rest - base_len);
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        struct oxl_index *x = NULL;
        fix_both(flags, base, base_len, delta, rest - base_len);
        fuzz_serve(OXL_INDEX_NAME, oxl_bytes_of(base, base_len));
        fuzz_serve(OXL_INDEX_DELTA_NAME, oxl_bytes_of(delta, rest - base_len));
        int r = oxl_index_open(-1, &fuzz_repo, flags & XXH3 ? OXL_ALGO_XXH3_128 : OXL_ALGO_BLAKE3, &x, &err);
        if (!fuzz_failed(r, &err)) {
                check_index(x);
                oxl_index_free(x);
        }
        fuzz_serve_end();
        return 0;
}
