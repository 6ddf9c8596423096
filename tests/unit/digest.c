/* SPDX-License-Identifier: MIT */
/* Digests against published vectors (BLAKE3's own; Oxen's names; a colliding XXH3-128 pair), whole and in pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/hex.h"
#include "digest/digest.h"

static void assert_text(const struct oxl_digest *d, const char *want)
{
        char text[OXL_DIGEST_TEXT_MAX];
        oxl_digest_text(d, text);
        assert_string_equal(text, want);
}

static void assert_digest_of(enum oxl_algo algo, const char *bytes, const char *want)
{
        struct oxl_digest d = oxl_digest_of(algo, bytes, strlen(bytes));
        assert_text(&d, want);
}

static void blake3_names_are_those_of_b3sum(void **state)
{
        assert_digest_of(OXL_ALGO_BLAKE3, "", "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
        assert_digest_of(OXL_ALGO_BLAKE3, "Hello\n",
                         "38d5445421bfd60d4d48ff2a7acb3ed412e43e68e66cdb2bb86f604ec6e6caa0");
        assert_digest_of(OXL_ALGO_BLAKE3, "abc", "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85");
}

static void xxh3_names_are_those_of_oxen(void **state)
{
        assert_digest_of(OXL_ALGO_XXH3_128, "", "99aa06d3014798d86001c324468d497f");
        assert_digest_of(OXL_ALGO_XXH3_128, "Hello\n", "a7666c8f5aaf946ca629d9d20c29aa6a");
        assert_digest_of(OXL_ALGO_XXH3_128, "World\n", "18066113d946cfa640ffc8773c83f61b");
        assert_digest_of(OXL_ALGO_XXH3_128, "hello world", "df8d09e93f874900a99b8775cc15b6c7");
        assert_digest_of(OXL_ALGO_XXH3_128, "oxen-lite 1", "1577598f7d7589481ced4b6fab7dc4e");
}

static void xxh3_collides_where_blake3_does_not(void **state)
{
        static const char hex_a[] = "b8fe6c3923a44bbe74696c2d6e65786f6f78656e2d6c69746520313620627974";
        static const char hex_b[] = "b066583a9ae716117c01812cf721ad1c6f78656e2d6c69746520313620627974";
        uint8_t a[32], b[32];
        assert_true(oxl_hex_decode(hex_a, a, 32) && oxl_hex_decode(hex_b, b, 32));
        struct oxl_digest xa = oxl_digest_of(OXL_ALGO_XXH3_128, a, 32), xb = oxl_digest_of(OXL_ALGO_XXH3_128, b, 32);
        assert_text(&xa, "6635b65a97e219f618c85bf930eac70d");
        assert_true(oxl_digest_equal(&xa, &xb));
        struct oxl_digest ba = oxl_digest_of(OXL_ALGO_BLAKE3, a, 32), bb = oxl_digest_of(OXL_ALGO_BLAKE3, b, 32);
        assert_text(&ba, "8bf7a12243fdf960f10a08265c03e1a5e56bc905b48ac9fc5c492ff32e217556");
        assert_text(&bb, "cd69c7a0e796039e1d4443dd4da86327ab6a2fc8ee448e8e2e59150a6a5e3652");
}

static void derived_keys_are_those_of_the_official_vectors(void **state)
{
        static const char context[] = "BLAKE3 2019-12-27 16:29:52 test vectors context";
        struct oxl_digest d = oxl_digest_derive(context, NULL, 0);
        assert_text(&d, "2cc39783c223154fea8dfb7c1b1660f2ac2dcbd1c1de8277b0b0dd39b7e50d7d");
        d = oxl_digest_derive(context, "", 1);
        assert_text(&d, "b3e2e340a117a499c6cf2398a19ee0d29cca2bb7404c73063382693bf66cb06c");
}

static void pieces_give_the_digest_of_the_whole(void **state)
{
        static uint8_t bytes[70000];
        for (size_t i = 0; i < sizeof(bytes); i++)
                bytes[i] = (uint8_t)(i * 7 + i / 251);
        for (enum oxl_algo algo = OXL_ALGO_BLAKE3; algo <= OXL_ALGO_XXH3_128; algo++) {
                struct oxl_digest whole = oxl_digest_of(algo, bytes, sizeof(bytes)), d;
                for (size_t step = 1; step < sizeof(bytes); step = step * 3 + 1) {
                        struct oxl_hasher h;
                        oxl_hasher_init(&h, algo);
                        for (size_t at = 0; at < sizeof(bytes); at += step)
                                oxl_hasher_update(&h, bytes + at,
                                                  at + step < sizeof(bytes) ? step : sizeof(bytes) - at);
                        oxl_hasher_final(&h, &d);
                        assert_true(oxl_digest_equal(&d, &whole));
                }
        }
}

static void a_hasher_goes_on_after_final(void **state)
{
        for (enum oxl_algo algo = OXL_ALGO_BLAKE3; algo <= OXL_ALGO_XXH3_128; algo++) {
                struct oxl_hasher h;
                struct oxl_digest d, want = oxl_digest_of(algo, "ab", 2);
                oxl_hasher_init(&h, algo);
                oxl_hasher_update(&h, "a", 1);
                oxl_hasher_final(&h, &d);
                oxl_hasher_update(&h, "b", 1);
                oxl_hasher_final(&h, &d);
                assert_true(oxl_digest_equal(&d, &want));
        }
}

static void integers_are_hashed_little_endian(void **state)
{
        struct oxl_hasher h;
        struct oxl_digest d, want = oxl_digest_of(OXL_ALGO_BLAKE3, "\1\2\3\4\5\6\7\10\11\12\13\14\15\16", 14);
        oxl_hasher_init(&h, OXL_ALGO_BLAKE3);
        oxl_hasher_le16(&h, 0x0201);
        oxl_hasher_le32(&h, 0x06050403);
        oxl_hasher_le64(&h, UINT64_C(0x0e0d0c0b0a090807));
        oxl_hasher_final(&h, &d);
        assert_true(oxl_digest_equal(&d, &want));
}

static void the_text_form_has_one_spelling(void **state)
{
        struct oxl_digest d = OXL_DIGEST_INIT, zero = { .algo = OXL_ALGO_XXH3_128 };
        assert_text(&d, "-");
        assert_text(&zero, "0");
        assert_true(oxl_digest_parse(OXL_ALGO_XXH3_128, "0", &d));
        assert_true(oxl_digest_equal(&d, &zero));
        assert_true(oxl_digest_parse(OXL_ALGO_XXH3_128, "1577598f7d7589481ced4b6fab7dc4e", &d));
        assert_text(&d, "1577598f7d7589481ced4b6fab7dc4e");
        assert_int_equal(d.bytes[0], 0x01);
        assert_int_equal(d.bytes[15], 0x4e);
        static const char *const bad_xxh3[] = { "", "01", "A", "g", "00", "6635b65a97e219f618c85bf930eac70d1", "1 " };
        for (size_t i = 0; i < sizeof(bad_xxh3) / sizeof(*bad_xxh3); i++)
                assert_false(oxl_digest_parse(OXL_ALGO_XXH3_128, bad_xxh3[i], &d));
        char text[OXL_DIGEST_TEXT_MAX + 1];
        memset(text, 'a', sizeof(text));
        text[64] = 0;
        assert_true(oxl_digest_parse(OXL_ALGO_BLAKE3, text, &d));
        text[5] = 'A';
        assert_false(oxl_digest_parse(OXL_ALGO_BLAKE3, text, &d));
        text[5] = 'a';
        text[63] = 0;
        assert_false(oxl_digest_parse(OXL_ALGO_BLAKE3, text, &d));
        text[63] = text[64] = 'a';
        text[65] = 0;
        assert_false(oxl_digest_parse(OXL_ALGO_BLAKE3, text, &d));
        assert_false(oxl_digest_parse(OXL_ALGO_NONE, "0", &d));
        assert_text(&d, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
}

static void a_field_with_padding_that_is_not_zero_is_refused(void **state)
{
        uint8_t field[OXL_DIGEST_BYTES];
        struct oxl_digest d = oxl_digest_of(OXL_ALGO_XXH3_128, "abc", 3), back;
        oxl_digest_store(&d, field);
        assert_true(oxl_digest_load(OXL_ALGO_XXH3_128, field, &back));
        assert_true(oxl_digest_equal(&d, &back));
        field[31] = 1;
        assert_false(oxl_digest_load(OXL_ALGO_XXH3_128, field, &back));
        assert_true(oxl_digest_load(OXL_ALGO_BLAKE3, field, &back));
}

static void digests_of_two_algorithms_are_never_equal(void **state)
{
        struct oxl_digest a = { .algo = OXL_ALGO_BLAKE3 }, b = { .algo = OXL_ALGO_XXH3_128 };
        assert_false(oxl_digest_equal(&a, &b));
        assert_true(oxl_digest_compare(&a, &b) < 0);
        assert_true(oxl_digest_is_zero(&a));
        a.bytes[31] = 1;
        assert_false(oxl_digest_is_zero(&a));
        assert_true(oxl_digest_compare(&a, &b) > 0);
}

int main(void)
{
        oxl_digest_setup();
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(blake3_names_are_those_of_b3sum),
                cmocka_unit_test(xxh3_names_are_those_of_oxen),
                cmocka_unit_test(xxh3_collides_where_blake3_does_not),
                cmocka_unit_test(derived_keys_are_those_of_the_official_vectors),
                cmocka_unit_test(pieces_give_the_digest_of_the_whole),
                cmocka_unit_test(a_hasher_goes_on_after_final),
                cmocka_unit_test(integers_are_hashed_little_endian),
                cmocka_unit_test(the_text_form_has_one_spelling),
                cmocka_unit_test(a_field_with_padding_that_is_not_zero_is_refused),
                cmocka_unit_test(digests_of_two_algorithms_are_never_equal),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
