/* SPDX-License-Identifier: MIT */
/* The `format` file: one form, every changed bit found, features obeyed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "repo/repo.h"

#define ID "0102030000000000000000000000ff10"
static const struct oxl_repo_id id = { { 1, 2, 3, [14] = 0xff, [15] = 0x10 } };

/* Seals @body and parses it. */
static int parse(const char *body, struct oxl_format *ret)
{
        struct oxl_buf text = OXL_BUF_INIT;
        assert_int_equal(oxl_buf_append_text(&text, body, NULL), 0);
        assert_int_equal(oxl_seal_text(&text, "format", &id, "format", NULL), 0);
        int r = oxl_format_parse(oxl_buf_bytes(&text), ret, NULL);
        oxl_buf_done(&text);
        return r;
}

#define BODY(version, hash, incompat, ro_compat, compat)                                                        \
        "oxen-lite repository " version "\nid " ID "\nhash " hash "\nincompat" incompat "\nro_compat" ro_compat \
        "\ncompat" compat "\n"

static void what_is_printed_is_parsed(void **state)
{
        static const enum oxl_algo algos[] = { OXL_ALGO_BLAKE3, OXL_ALGO_XXH3_128 };
        for (size_t i = 0; i < 2; i++) {
                struct oxl_format f = { .id = id, .blob_algo = algos[i] }, back;
                struct oxl_buf text = OXL_BUF_INIT;
                assert_int_equal(oxl_format_print(&f, &text, NULL), 0);
                assert_int_equal(oxl_format_parse(oxl_buf_bytes(&text), &back, NULL), 0);
                assert_memory_equal(&back.id, &id, sizeof id);
                assert_int_equal(back.blob_algo, algos[i]);
                assert_false(back.read_only);
                oxl_buf_done(&text);
        }
}

static void the_printed_form_is_that_of_the_format_document(void **state)
{
        static const char want[] = BODY("1", "blake3", "", "", "") "seal blake3:";
        struct oxl_format f = { .id = id, .blob_algo = OXL_ALGO_BLAKE3 };
        struct oxl_buf text = OXL_BUF_INIT;
        assert_int_equal(oxl_format_print(&f, &text, NULL), 0);
        assert_int_equal(text.len, sizeof want - 1 + 64 + 1);
        assert_memory_equal(text.data, want, sizeof want - 1);
        oxl_buf_done(&text);
}

static void every_flipped_bit_is_refused(void **state)
{
        struct oxl_format f = { .id = id, .blob_algo = OXL_ALGO_BLAKE3 }, back;
        struct oxl_buf text = OXL_BUF_INIT;
        assert_int_equal(oxl_format_print(&f, &text, NULL), 0);
        for (size_t bit = 0; bit < text.len * 8; bit++) {
                text.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
                int r = oxl_format_parse(oxl_buf_bytes(&text), &back, NULL);
                assert_true(r == -OXL_E_SEAL || r == -OXL_E_MALFORMED);
                text.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        for (size_t n = 0; n < text.len; n++)
                assert_true(oxl_format_parse(oxl_bytes_of(text.data, n), &back, NULL) < 0);
        oxl_buf_done(&text);
}

static void unknown_features_are_obeyed_by_their_class(void **state)
{
        struct oxl_format f;
        assert_int_equal(parse(BODY("1", "blake3", " zebra", "", ""), &f), -OXL_E_FEATURE);
        assert_int_equal(parse(BODY("1", "blake3", "", " a b-2", ""), &f), 0);
        assert_true(f.read_only);
        assert_int_equal(parse(BODY("1", "blake3", "", "", " a b"), &f), 0);
        assert_false(f.read_only);
        assert_int_equal(parse(BODY("2", "blake3", "", "", ""), &f), -OXL_E_FEATURE);
}

static void the_unknown_feature_is_named(void **state)
{
        struct oxl_buf text = OXL_BUF_INIT;
        struct oxl_format f;
        struct oxl_error err = OXL_ERROR_INIT;
        assert_int_equal(oxl_buf_append_text(&text, BODY("1", "blake3", " zebra zoo", "", ""), NULL), 0);
        assert_int_equal(oxl_seal_text(&text, "format", &id, "format", NULL), 0);
        assert_int_equal(oxl_format_parse(oxl_buf_bytes(&text), &f, &err), -OXL_E_FEATURE);
        assert_string_equal(err.detail, "zebra");
        oxl_error_done(&err);
        oxl_buf_done(&text);
}

static void sealed_but_malformed_bodies_are_refused(void **state)
{
        static const char *const bodies[] = {
                BODY("1", "md5", "", "", ""),
                BODY("1", "blake3", "", " b a", ""),
                BODY("1", "blake3", "", " a a", ""),
                BODY("1", "blake3", "", " ", ""),
                BODY("1", "blake3", "", "  a", ""),
                BODY("1", "blake3", "", " A", ""),
                BODY("1", "blake3", "x", "", ""),
                BODY("1", "blake3", "", "", "") "more\n",
                "oxen-lite repository 1\nid " ID "\nhash blake3\nincompat\nro_compat\n",
                "oxen-lite repository 1\nid " ID "\n",
                "oxen-lite repository 1\n",
                "",
                BODY("1", "blake3", "", " aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", ""),
        };
        struct oxl_format f;
        for (size_t i = 0; i < OXL_ARRAY_LEN(bodies); i++)
                assert_int_equal(parse(bodies[i], &f), -OXL_E_MALFORMED);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_printed_is_parsed),
                cmocka_unit_test(the_printed_form_is_that_of_the_format_document),
                cmocka_unit_test(every_flipped_bit_is_refused),
                cmocka_unit_test(unknown_features_are_obeyed_by_their_class),
                cmocka_unit_test(the_unknown_feature_is_named),
                cmocka_unit_test(sealed_but_malformed_bodies_are_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
