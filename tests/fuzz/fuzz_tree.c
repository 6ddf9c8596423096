/* SPDX-License-Identifier: MIT */
/* One tree node, for both hashes. What is decoded ascends, holds only allowed names, ends where a node ends, and is encoded to
 * the same bytes. */
#include "base/path.h"
#include "fuzz/fuzz.h"
#include "objects/tree_internal.h"

static void check_entry(const struct oxl_tree_node *node, uint32_t i, const struct oxl_tree_entry *e)
{
        FUZZ_REQUIRE(oxl_tree_name_ok(e->name, e->name_len));
        FUZZ_REQUIRE((e->kind == OXL_ENTRY_NONE) == (node->level > 0));
        FUZZ_REQUIRE(i + 1 == node->entries || !oxl_tree_ends(node->level, i + 1, e->name, e->name_len));
}

static void check_node(struct oxl_bytes payload, enum oxl_algo algo)
{
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        cleanup_buf struct oxl_buf again = OXL_BUF_INIT;
        struct oxl_tree_node node;
        struct oxl_tree_totals totals;
        struct oxl_tree_entry e, before = { 0 };
        uint64_t size = 0, count = 0;
        if (fuzz_failed(oxl_tree_decode_totals(payload, algo, "tree", &node, &totals, &err), &err))
                return;
        FUZZ_REQUIRE(oxl_buf_append_zeros(&again, OXL_TREE_HEADER_BYTES, NULL) == 0);
        oxl_tree_store_header(again.data, node.level, node.entries);
        struct oxl_bytes rest = node.body;
        uint32_t n = 0;
        for (; oxl_tree_next(&node, algo, &rest, &e); n++, before = e) {
                check_entry(&node, n, &e);
                FUZZ_REQUIRE(n == 0 || oxl_tree_name_compare(before.name, before.name_len, e.name, e.name_len) < 0);
                FUZZ_REQUIRE(!__builtin_add_overflow(size, e.size, &size));
                FUZZ_REQUIRE(!__builtin_add_overflow(count, node.level > 0 ? e.count : 1, &count));
                FUZZ_REQUIRE(oxl_tree_append_entry(&again, node.level, &e, NULL) == 0);
        }
        fuzz_accepted += n > 0;
        FUZZ_REQUIRE(n == node.entries && n <= OXL_TREE_ENTRIES_MAX);
        FUZZ_REQUIRE(size == totals.size && count == totals.count);
        FUZZ_REQUIRE(oxl_bytes_equal(payload, oxl_buf_bytes(&again)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        check_node(oxl_bytes_of(data, size), OXL_ALGO_BLAKE3);
        check_node(oxl_bytes_of(data, size), OXL_ALGO_XXH3_128);
        return 0;
}
