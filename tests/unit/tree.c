/* SPDX-License-Identifier: MIT */
/* Tree nodes: the split rule, names, and a decoder that meets hostile payloads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/hex.h"
#include "objects/tree_internal.h"

static struct oxl_tree_entry entry(const char *name, enum oxl_entry_kind kind, uint64_t size)
{
        struct oxl_tree_entry e = { .name = name, .name_len = (uint8_t)strlen(name), .kind = kind, .size = size };
        e.id.algo = OXL_ALGO_BLAKE3;
        memset(e.id.bytes, 0xd1, sizeof e.id.bytes);
        return e;
}

static struct oxl_tree_entry child(const char *name, uint64_t count, uint64_t size)
{
        struct oxl_tree_entry e = entry(name, OXL_ENTRY_NONE, size);
        e.count = count;
        return e;
}

static void encode(struct oxl_buf *to, uint8_t level, const struct oxl_tree_entry *e, size_t n)
{
        uint8_t header[OXL_TREE_HEADER_BYTES];
        oxl_tree_store_header(header, level, (uint32_t)n);
        oxl_buf_clear(to);
        assert_int_equal(oxl_buf_append(to, header, sizeof header, NULL), 0);
        for (size_t i = 0; i < n; i++)
                assert_int_equal(oxl_tree_append_entry(to, level, &e[i], NULL), 0);
}

static int decode(const struct oxl_buf *b, struct oxl_tree_node *ret, struct oxl_error *err)
{
        return oxl_tree_decode(oxl_buf_bytes(b), OXL_ALGO_BLAKE3, "node", ret, err);
}

/* The payload must be MALFORMED, and for exactly the reason @why. */
static void expect_refused(const struct oxl_buf *b, const char *why)
{
        struct oxl_tree_node node;
        struct oxl_error err = OXL_ERROR_INIT;
        assert_int_equal(decode(b, &node, &err), -OXL_E_MALFORMED);
        assert_string_equal(err.path[0], "node");
        assert_string_equal(err.detail, why);
        oxl_error_done(&err);
}

static void expect_refused_entries(uint8_t level, const struct oxl_tree_entry *e, size_t n, const char *why)
{
        struct oxl_buf b = OXL_BUF_INIT;
        encode(&b, level, e, n);
        expect_refused(&b, why);
        oxl_buf_done(&b);
}

static void expect_accepted_entries(uint8_t level, const struct oxl_tree_entry *e, size_t n)
{
        struct oxl_buf b = OXL_BUF_INIT;
        struct oxl_tree_node node;
        encode(&b, level, e, n);
        assert_int_equal(decode(&b, &node, NULL), 0);
        assert_int_equal(node.level, level);
        assert_int_equal(node.entries, n);
        oxl_buf_done(&b);
}

/* Decodes and encodes again: must give the same bytes. */
static void expect_same_again(const struct oxl_buf *b, const struct oxl_tree_node *node)
{
        static struct oxl_tree_entry e[OXL_TREE_ENTRIES_MAX];
        struct oxl_bytes rest = node->body;
        size_t n = 0;
        while (oxl_tree_next(node, OXL_ALGO_BLAKE3, &rest, &e[n]))
                n++;
        assert_int_equal(n, node->entries);
        struct oxl_buf again = OXL_BUF_INIT;
        encode(&again, node->level, e, n);
        assert_int_equal(again.len, b->len);
        assert_memory_equal(again.data, b->data, b->len);
        oxl_buf_done(&again);
}

/* --- the split rule --- */

static void nodes_end_by_the_hash_of_the_last_name(void **state)
{
        /* From printf '\000e17' | b3sum --derive-key 'oxen-lite 2026-11-22 tree split v1': first 8 bytes mod 96. */
        struct {
                uint8_t level;
                const char *name;
                bool ends;
        } known[] = { { 0, "e17", true },   { 0, "e210", true }, { 0, "e239", true },
                      { 1, "e112", true },  { 1, "e157", true }, { 1, "e17", false },
                      { 0, "e112", false }, { 0, "e0", false },  { 7, "e17", false } };
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
                assert_int_equal(oxl_tree_ends(known[i].level, 32, known[i].name, strlen(known[i].name)),
                                 known[i].ends);
                assert_int_equal(oxl_tree_ends(known[i].level, 1023, known[i].name, strlen(known[i].name)),
                                 known[i].ends);
        }
}

static void nodes_never_end_before_32_entries_and_always_at_1024(void **state)
{
        for (unsigned i = 0; i < 1000; i++) {
                char name[16];
                int n = snprintf(name, sizeof name, "n%u", i);
                assert_false(oxl_tree_ends(0, 1, name, (size_t)n));
                assert_false(oxl_tree_ends(0, 31, name, (size_t)n));
                assert_true(oxl_tree_ends(0, 1024, name, (size_t)n));
        }
}

/* --- names --- */

static void ordinary_names_are_allowed(void **state)
{
        char longest[255];
        memset(longest, 'x', sizeof longest);
        assert_true(oxl_tree_name_ok("a", 1));
        assert_true(oxl_tree_name_ok("...", 3));
        assert_true(oxl_tree_name_ok(".oxen-lit", 9));
        assert_true(oxl_tree_name_ok(".oxen-lite2", 11));
        assert_true(oxl_tree_name_ok(".oxen", 5));
        assert_true(oxl_tree_name_ok("\xff\xfe\n\x01 \\", 6));
        assert_true(oxl_tree_name_ok(longest, sizeof longest));
}

static void names_that_escape_or_hide_are_refused(void **state)
{
        char longer[256];
        memset(longer, 'x', sizeof longer);
        assert_false(oxl_tree_name_ok("", 0));
        assert_false(oxl_tree_name_ok(".", 1));
        assert_false(oxl_tree_name_ok("..", 2));
        assert_false(oxl_tree_name_ok("a/b", 3));
        assert_false(oxl_tree_name_ok("a\0b", 3));
        assert_false(oxl_tree_name_ok(".oxen-lite", 10));
        assert_false(oxl_tree_name_ok(".OXEN-lite", 10));
        assert_false(oxl_tree_name_ok(".Oxen-LITE", 10));
        assert_false(oxl_tree_name_ok(longer, sizeof longer));
}

/* --- decoding --- */

static const char leaf_hex[] =
        "01000000"
        "03000000"
        "04"
        "01"
        "61"
        "0500000000000000"
        "d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1"
        "03"
        "03"
        "612e62"
        "ff0f000000000000"
        "d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1"
        "01"
        "02"
        "fffe"
        "0000000000000000"
        "d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1";

static void a_leaf_is_decoded_from_its_bytes(void **state)
{
        uint8_t raw[(sizeof leaf_hex - 1) / 2];
        assert_true(oxl_hex_decode(leaf_hex, raw, sizeof raw));
        struct oxl_tree_node node;
        assert_int_equal(oxl_tree_decode(oxl_bytes_of(raw, sizeof raw), OXL_ALGO_BLAKE3, "node", &node, NULL), 0);
        assert_int_equal(node.level, 0);
        assert_int_equal(node.entries, 3);
        struct oxl_tree_entry want[] = { entry("a", OXL_ENTRY_DIRECTORY, 5), entry("a.b", OXL_ENTRY_SYMLINK, 4095),
                                         entry("\xff\xfe", OXL_ENTRY_FILE, 0) };
        struct oxl_bytes rest = node.body;
        struct oxl_tree_entry e;
        for (size_t i = 0; i < 3; i++) {
                assert_true(oxl_tree_next(&node, OXL_ALGO_BLAKE3, &rest, &e));
                assert_int_equal(e.kind, want[i].kind);
                assert_int_equal(e.size, want[i].size);
                assert_int_equal(oxl_tree_name_compare(e.name, e.name_len, want[i].name, want[i].name_len), 0);
                assert_true(oxl_digest_equal(&e.id, &want[i].id));
        }
        assert_false(oxl_tree_next(&node, OXL_ALGO_BLAKE3, &rest, &e));
}

static const char inner_hex[] =
        "01020000"
        "02000000"
        "01"
        "61"
        "8000000000000000"
        "0a00000000000000"
        "d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1"
        "01"
        "62"
        "0100000000000000"
        "ffffffffffffff00"
        "d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1";

static void an_inner_node_is_decoded_from_its_bytes(void **state)
{
        uint8_t raw[(sizeof inner_hex - 1) / 2];
        assert_true(oxl_hex_decode(inner_hex, raw, sizeof raw));
        struct oxl_tree_node node;
        struct oxl_tree_totals t;
        assert_int_equal(
                oxl_tree_decode_totals(oxl_bytes_of(raw, sizeof raw), OXL_ALGO_XXH3_128, "node", &node, &t, NULL), 0);
        assert_int_equal(node.level, 2);
        assert_int_equal(t.count, 129);
        assert_int_equal(t.size, UINT64_C(0x00ffffffffffffff) + 10);
        struct oxl_bytes rest = node.body;
        struct oxl_tree_entry e;
        assert_true(oxl_tree_next(&node, OXL_ALGO_XXH3_128, &rest, &e));
        assert_int_equal(e.kind, OXL_ENTRY_NONE);
        assert_int_equal(e.count, 128);
        assert_int_equal(e.size, 10);
        assert_int_equal(e.id.algo, OXL_ALGO_BLAKE3);
}

static void the_empty_leaf_is_accepted_and_the_empty_inner_node_is_not(void **state)
{
        expect_accepted_entries(0, NULL, 0);
        expect_refused_entries(1, NULL, 0, "its number of entries is out of range");
}

static void a_wrong_header_is_refused(void **state)
{
        struct oxl_tree_entry e = entry("a", OXL_ENTRY_FILE, 1);
        struct oxl_buf b = OXL_BUF_INIT;
        expect_refused(&b, "it has no header of a tree node");
        encode(&b, 0, &e, 1);
        b.data[0] = 2;
        expect_refused(&b, "it has no header of a tree node");
        b.data[0] = 1;
        b.data[2] = 1;
        expect_refused(&b, "it has no header of a tree node");
        b.data[2] = 0;
        b.data[1] = 8;
        expect_refused(&b, "its level is above 7");
        b.data[1] = 0;
        le_store32(b.data + 4, 1025);
        expect_refused(&b, "its number of entries is out of range");
        le_store32(b.data + 4, 2);
        expect_refused(&b, "it is cut short");
        le_store32(b.data + 4, 0);
        expect_refused(&b, "bytes follow its last entry");
        oxl_buf_done(&b);
}

static void names_out_of_order_or_twice_are_refused(void **state)
{
        const char *why = "its names are not in ascending order";
        struct oxl_tree_entry swapped[] = { entry("b", OXL_ENTRY_FILE, 1), entry("a", OXL_ENTRY_FILE, 1) };
        struct oxl_tree_entry twice[] = { entry("a", OXL_ENTRY_FILE, 1), entry("a", OXL_ENTRY_DIRECTORY, 1) };
        struct oxl_tree_entry longer_first[] = { entry("ab", OXL_ENTRY_FILE, 1), entry("a", OXL_ENTRY_FILE, 1) };
        struct oxl_tree_entry signed_order[] = { entry("\xff", OXL_ENTRY_FILE, 1), entry("a", OXL_ENTRY_FILE, 1) };
        expect_refused_entries(0, swapped, 2, why);
        expect_refused_entries(0, twice, 2, why);
        expect_refused_entries(0, longer_first, 2, why);
        expect_refused_entries(0, signed_order, 2, why);
        struct oxl_tree_entry inner[] = { child("b", 1, 1), child("a", 1, 1) };
        expect_refused_entries(1, inner, 2, why);
}

static void names_that_are_not_allowed_are_refused(void **state)
{
        const char *names[] = { "", ".", "..", "a/b", ".oxen-lite", ".OXEN-LITE" };
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
                struct oxl_tree_entry e = entry(names[i], OXL_ENTRY_FILE, 1);
                expect_refused_entries(0, &e, 1, "an entry has a name that is not allowed");
                struct oxl_tree_entry c[] = { child(names[i], 1, 1), child("zz", 1, 1) };
                expect_refused_entries(1, c, 2, "an entry has a name that is not allowed");
        }
        struct oxl_tree_entry nul = entry("a", OXL_ENTRY_FILE, 1);
        nul.name = "a\0b";
        nul.name_len = 3;
        expect_refused_entries(0, &nul, 1, "an entry has a name that is not allowed");
}

static void unknown_kinds_are_refused(void **state)
{
        struct oxl_tree_entry e = entry("a", OXL_ENTRY_FILE, 1);
        struct oxl_buf b = OXL_BUF_INIT;
        encode(&b, 0, &e, 1);
        for (unsigned kind = 0; kind < 256; kind++) {
                b.data[8] = (uint8_t)kind;
                struct oxl_tree_node node;
                if (kind >= 1 && kind <= 4)
                        assert_int_equal(decode(&b, &node, NULL), 0);
                else
                        expect_refused(&b, "an entry has an unknown kind");
        }
        oxl_buf_done(&b);
}

static void sizes_that_nothing_can_have_are_refused(void **state)
{
        const char *link = "the target of a symbolic link has 1 to 4,095 bytes";
        const char *file = "a file has at most 2^63 - 1 bytes";
        struct oxl_tree_entry e = entry("a", OXL_ENTRY_SYMLINK, 0);
        expect_refused_entries(0, &e, 1, link);
        e.size = 4096;
        expect_refused_entries(0, &e, 1, link);
        e.size = 4095;
        expect_accepted_entries(0, &e, 1);
        e = entry("a", OXL_ENTRY_EXECUTABLE, UINT64_C(1) << 63);
        expect_refused_entries(0, &e, 1, file);
        e.size--;
        expect_accepted_entries(0, &e, 1);
        e = entry("a", OXL_ENTRY_DIRECTORY, UINT64_MAX);
        expect_accepted_entries(0, &e, 1);
        struct oxl_tree_entry two[] = { entry("a", OXL_ENTRY_DIRECTORY, UINT64_MAX), entry("b", OXL_ENTRY_FILE, 1) };
        expect_refused_entries(0, two, 2, "its sums overflow");
}

static void sums_of_inner_nodes_that_overflow_are_refused(void **state)
{
        struct oxl_tree_entry size[] = { child("a", 1, UINT64_MAX), child("b", 1, 1) };
        struct oxl_tree_entry count[] = { child("a", UINT64_MAX, 1), child("b", 1, 1) };
        struct oxl_tree_entry none[] = { child("a", 1, 1), child("b", 0, 1) };
        expect_refused_entries(1, size, 2, "its sums overflow");
        expect_refused_entries(1, count, 2, "its sums overflow");
        expect_refused_entries(1, none, 2, "a child has no entries");
}

static void digests_with_bytes_in_the_padding_are_refused(void **state)
{
        struct oxl_tree_entry e = entry("a", OXL_ENTRY_FILE, 1);
        struct oxl_buf b = OXL_BUF_INIT;
        struct oxl_tree_node node;
        struct oxl_error err = OXL_ERROR_INIT;
        encode(&b, 0, &e, 1);
        assert_int_equal(oxl_tree_decode(oxl_buf_bytes(&b), OXL_ALGO_XXH3_128, "node", &node, &err), -OXL_E_MALFORMED);
        assert_string_equal(err.detail, "a digest is not padded with zero bytes");
        memset(b.data + b.len - 16, 0, 16);
        assert_int_equal(oxl_tree_decode(oxl_buf_bytes(&b), OXL_ALGO_XXH3_128, "node", &node, &err), 0);
        struct oxl_tree_entry back;
        struct oxl_bytes rest = node.body;
        assert_true(oxl_tree_next(&node, OXL_ALGO_XXH3_128, &rest, &back));
        assert_int_equal(back.id.algo, OXL_ALGO_XXH3_128);

        e.kind = OXL_ENTRY_DIRECTORY; /* names a tree, which is BLAKE3 in every repository */
        encode(&b, 0, &e, 1);
        assert_int_equal(oxl_tree_decode(oxl_buf_bytes(&b), OXL_ALGO_XXH3_128, "node", &node, &err), 0);
        oxl_error_done(&err);
        oxl_buf_done(&b);
}

/* @n entries with names in order; when @split is set, entry 40 (of a node that goes on) ends a node. */
static size_t many(struct oxl_tree_entry *e, char (*name)[16], size_t n, bool split)
{
        unsigned number = 0;
        for (size_t i = 0; i < n; number++) {
                int len = snprintf(name[i], sizeof name[i], "m%08u", number);
                bool ends = oxl_tree_ends(0, 500, name[i], (size_t)len);
                if (ends != (split && i == 40) && i >= 31)
                        continue;
                e[i] = entry(name[i], OXL_ENTRY_FILE, 1);
                i++;
        }
        return n;
}

static void a_node_that_goes_on_behind_its_end_is_refused(void **state)
{
        static struct oxl_tree_entry e[64];
        static char name[64][16];
        many(e, name, 64, true);
        expect_refused_entries(0, e, 64, "it should have ended earlier");
        expect_refused_entries(0, e, 42, "it should have ended earlier");
        expect_accepted_entries(0, e, 41); /* ends right there */
        expect_accepted_entries(0, e, 40); /* the last of its level may be short */
}

static void a_node_has_up_to_1024_entries(void **state)
{
        static struct oxl_tree_entry e[1025];
        static char name[1025][16];
        many(e, name, 1025, false);
        expect_accepted_entries(0, e, 1024);
        expect_refused_entries(0, e, 1025, "its number of entries is out of range");
}

static void names_of_255_bytes_and_of_any_bytes_are_decoded(void **state)
{
        char longest[256] = "";
        memset(longest, 0xfe, 255);
        struct oxl_tree_entry e[] = { entry("\x01\n", OXL_ENTRY_FILE, 1), entry(longest, OXL_ENTRY_FILE, 2),
                                      entry("\xff", OXL_ENTRY_DIRECTORY, 3) };
        struct oxl_buf b = OXL_BUF_INIT;
        struct oxl_tree_node node;
        encode(&b, 0, e, 3);
        assert_int_equal(decode(&b, &node, NULL), 0);
        expect_same_again(&b, &node);
        oxl_buf_done(&b);
}

static void try_every_change(uint8_t level, const struct oxl_tree_entry *e, size_t n)
{
        struct oxl_buf b = OXL_BUF_INIT;
        struct oxl_tree_node node;
        encode(&b, level, e, n);
        assert_int_equal(decode(&b, &node, NULL), 0);
        for (size_t len = 0; len < b.len; len++) {
                uint8_t *exact = malloc(len + 1); /* so that a read behind the end is seen */
                assert_non_null(exact);
                memcpy(exact, b.data, len);
                exact = realloc(exact, len ? len : 1);
                assert_int_equal(oxl_tree_decode(oxl_bytes_of(exact, len), OXL_ALGO_BLAKE3, "node", &node, NULL),
                                 -OXL_E_MALFORMED);
                free(exact);
        }
        for (size_t i = 0; i < b.len; i++) {
                for (unsigned v = 1; v < 256; v++) {
                        b.data[i] ^= (uint8_t)v;
                        if (decode(&b, &node, NULL) == 0)
                                expect_same_again(&b, &node);
                        b.data[i] ^= (uint8_t)v;
                }
        }
        oxl_buf_done(&b);
}

static void every_cut_fails_and_every_changed_byte_fails_or_is_canonical(void **state)
{
        struct oxl_tree_entry leaf[] = { entry("a", OXL_ENTRY_DIRECTORY, 5), entry("a.b", OXL_ENTRY_SYMLINK, 17),
                                         entry("b", OXL_ENTRY_EXECUTABLE, 0) };
        struct oxl_tree_entry inner[] = { child("a", 40, 5), child("m", 50, 17), child("x", 1, 0) };
        try_every_change(0, leaf, 3);
        try_every_change(1, inner, 3);
}

int main(void)
{
        oxl_digest_setup();
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(nodes_end_by_the_hash_of_the_last_name),
                cmocka_unit_test(nodes_never_end_before_32_entries_and_always_at_1024),
                cmocka_unit_test(ordinary_names_are_allowed),
                cmocka_unit_test(names_that_escape_or_hide_are_refused),
                cmocka_unit_test(a_leaf_is_decoded_from_its_bytes),
                cmocka_unit_test(an_inner_node_is_decoded_from_its_bytes),
                cmocka_unit_test(the_empty_leaf_is_accepted_and_the_empty_inner_node_is_not),
                cmocka_unit_test(a_wrong_header_is_refused),
                cmocka_unit_test(names_out_of_order_or_twice_are_refused),
                cmocka_unit_test(names_that_are_not_allowed_are_refused),
                cmocka_unit_test(unknown_kinds_are_refused),
                cmocka_unit_test(sizes_that_nothing_can_have_are_refused),
                cmocka_unit_test(sums_of_inner_nodes_that_overflow_are_refused),
                cmocka_unit_test(digests_with_bytes_in_the_padding_are_refused),
                cmocka_unit_test(a_node_that_goes_on_behind_its_end_is_refused),
                cmocka_unit_test(a_node_has_up_to_1024_entries),
                cmocka_unit_test(names_of_255_bytes_and_of_any_bytes_are_decoded),
                cmocka_unit_test(every_cut_fails_and_every_changed_byte_fails_or_is_canonical),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
