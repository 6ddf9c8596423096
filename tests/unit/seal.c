/* SPDX-License-Identifier: MIT */
/* Seals of text: every changed bit, every other place and every other repository is found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "digest/seal.h"

static const struct oxl_repo_id id = { { 1, 2, 3 } };
static const struct oxl_repo_id other_id = { { 1, 2, 4 } };

static void seal(struct oxl_buf *text, const char *body)
{
        *text = (struct oxl_buf)OXL_BUF_INIT;
        assert_int_equal(oxl_buf_append_text(text, body, NULL), 0);
        assert_int_equal(oxl_seal_text(text, "ref", &id, "refs/heads/main", NULL), 0);
}

static int check(struct oxl_bytes text, struct oxl_bytes *ret_body)
{
        return oxl_seal_text_check(text, "ref", &id, "refs/heads/main", "refs/heads/main", ret_body, NULL);
}

static void a_sealed_text_gives_its_body_back(void **state)
{
        struct oxl_buf text;
        struct oxl_bytes body;
        seal(&text, "one\ntwo\n");
        assert_int_equal(text.len, 8 + 12 + 64 + 1);
        assert_memory_equal(text.data + 8, "seal blake3:", 12);
        assert_int_equal(text.data[text.len - 1], '\n');
        assert_int_equal(check(oxl_buf_bytes(&text), &body), 0);
        assert_true(oxl_bytes_equal(body, oxl_bytes_text("one\ntwo\n")));
        oxl_buf_done(&text);
}

static void an_empty_body_can_be_sealed(void **state)
{
        struct oxl_buf text;
        struct oxl_bytes body;
        seal(&text, "");
        assert_int_equal(check(oxl_buf_bytes(&text), &body), 0);
        assert_int_equal(body.len, 0);
        oxl_buf_done(&text);
}

static void every_flipped_bit_is_found(void **state)
{
        struct oxl_buf text;
        struct oxl_bytes body;
        seal(&text, "one\ntwo\n");
        for (size_t bit = 0; bit < text.len * 8; bit++) {
                text.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
                assert_true(check(oxl_buf_bytes(&text), &body) < 0);
                text.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        assert_int_equal(check(oxl_buf_bytes(&text), &body), 0);
        oxl_buf_done(&text);
}

static void every_truncation_and_an_added_byte_are_found(void **state)
{
        struct oxl_buf text;
        struct oxl_bytes body;
        seal(&text, "one\ntwo\n");
        for (size_t n = 0; n < text.len; n++)
                assert_int_equal(check(oxl_bytes_of(text.data, n), &body), -OXL_E_MALFORMED);
        assert_int_equal(oxl_buf_append_text(&text, "\n", NULL), 0);
        assert_int_equal(check(oxl_buf_bytes(&text), &body), -OXL_E_MALFORMED);
        oxl_buf_done(&text);
}

static void a_seal_line_that_does_not_begin_a_line_is_malformed(void **state)
{
        struct oxl_buf text;
        struct oxl_bytes body;
        seal(&text, "no newline");
        assert_int_equal(check(oxl_buf_bytes(&text), &body), -OXL_E_MALFORMED);
        oxl_buf_done(&text);
}

static void a_seal_of_another_kind_place_or_repository_is_broken(void **state)
{
        struct oxl_buf text;
        struct oxl_bytes body;
        seal(&text, "one\n");
        struct oxl_bytes t = oxl_buf_bytes(&text);
        assert_int_equal(oxl_seal_text_check(t, "HEAD", &id, "refs/heads/main", "x", &body, NULL), -OXL_E_SEAL);
        assert_int_equal(oxl_seal_text_check(t, "ref", &id, "refs/heads/maim", "x", &body, NULL), -OXL_E_SEAL);
        assert_int_equal(oxl_seal_text_check(t, "ref", &other_id, "refs/heads/main", "x", &body, NULL), -OXL_E_SEAL);
        /* Lengths are part of what is hashed: moving a byte from the kind to the path is no way out. */
        struct oxl_hasher a, b;
        struct oxl_digest da, db;
        oxl_seal_begin(&a, "ab", &id, "c");
        oxl_seal_begin(&b, "a", &id, "bc");
        oxl_hasher_final(&a, &da);
        oxl_hasher_final(&b, &db);
        assert_false(oxl_digest_equal(&da, &db));
        oxl_buf_done(&text);
}

static void the_seal_is_the_one_of_the_format_document(void **state)
{
        static const uint8_t covered[] = "\3ref\1\2\3\0\0\0\0\0\0\0\0\0\0\0\0\0\17\0refs/heads/mainone\n";
        struct oxl_digest want = oxl_digest_derive("oxen-lite 2026-11-22 seal v1", covered, sizeof(covered) - 1);
        char hex[OXL_DIGEST_TEXT_MAX];
        oxl_digest_text(&want, hex);
        struct oxl_buf text;
        seal(&text, "one\n");
        assert_memory_equal(text.data + 4 + 12, hex, 64);
        oxl_buf_done(&text);
}

int main(void)
{
        oxl_digest_setup();
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_sealed_text_gives_its_body_back),
                cmocka_unit_test(an_empty_body_can_be_sealed),
                cmocka_unit_test(every_flipped_bit_is_found),
                cmocka_unit_test(every_truncation_and_an_added_byte_are_found),
                cmocka_unit_test(a_seal_line_that_does_not_begin_a_line_is_malformed),
                cmocka_unit_test(a_seal_of_another_kind_place_or_repository_is_broken),
                cmocka_unit_test(the_seal_is_the_one_of_the_format_document),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
