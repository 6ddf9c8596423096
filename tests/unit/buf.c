/* SPDX-License-Identifier: MIT */
/* Buffers, cursors, little-endian integers, hex, UTF-8. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/hex.h"
#include "base/utf8.h"

static void what_is_appended_is_read_back(void **state)
{
        cleanup_buf struct oxl_buf b = OXL_BUF_INIT;
        assert_int_equal(oxl_buf_append_u8(&b, 0x12, NULL), 0);
        assert_int_equal(oxl_buf_append_le16(&b, 0x3456, NULL), 0);
        assert_int_equal(oxl_buf_append_le32(&b, 0x89abcdef, NULL), 0);
        assert_int_equal(oxl_buf_append_le64(&b, UINT64_C(0xfedcba9876543210), NULL), 0);
        assert_int_equal(oxl_buf_append_zeros(&b, 3, NULL), 0);
        assert_int_equal(oxl_buf_append_fmt(&b, NULL, "%s-%d", "x", 42), 0);
        assert_int_equal(b.len, 1 + 2 + 4 + 8 + 3 + 4);
        assert_int_equal(b.data[1], 0x56); /* little-endian whatever the machine */
        struct oxl_cursor c = oxl_cursor_of(oxl_buf_bytes(&b));
        assert_int_equal(oxl_cursor_u8(&c), 0x12);
        assert_int_equal(oxl_cursor_le16(&c), 0x3456);
        assert_int_equal(oxl_cursor_le32(&c), 0x89abcdef);
        assert_true(oxl_cursor_le64(&c) == UINT64_C(0xfedcba9876543210));
        assert_memory_equal(oxl_cursor_bytes(&c, 3).data, "\0\0\0", 3);
        assert_true(oxl_bytes_equal(oxl_cursor_bytes(&c, 4), oxl_bytes_text("x-42")));
        assert_int_equal(oxl_cursor_remaining(&c), 0);
        assert_false(c.failed);
}

static void a_read_past_the_end_fails_for_good(void **state)
{
        struct oxl_cursor c = oxl_cursor_of(oxl_bytes_of("abc", 3));
        assert_int_equal(oxl_cursor_le32(&c), 0);
        assert_true(c.failed);
        assert_int_equal(oxl_cursor_u8(&c), 0);
        assert_int_equal(oxl_cursor_bytes(&c, SIZE_MAX).len, 0);
        assert_true(c.failed);
}

static void buffers_grow_and_stay_text(void **state)
{
        cleanup_buf struct oxl_buf b = OXL_BUF_INIT;
        assert_string_equal(oxl_buf_text(&b), "");
        for (int i = 0; i < 10000; i++)
                assert_int_equal(oxl_buf_append(&b, "ab", 2, NULL), 0);
        assert_int_equal(strlen(oxl_buf_text(&b)), 20000);
        oxl_buf_clear(&b);
        assert_string_equal(oxl_buf_text(&b), "");
        uint8_t *taken = oxl_buf_take(&b);
        assert_non_null(taken);
        assert_null(b.data);
        free(taken);
}

static void sizes_that_overflow_are_no_memory(void **state)
{
        cleanup_buf struct oxl_buf b = OXL_BUF_INIT;
        struct oxl_error err = OXL_ERROR_INIT;
        assert_int_equal(oxl_buf_append_text(&b, "keep", &err), 0);
        assert_int_equal(oxl_buf_reserve(&b, SIZE_MAX, &err), -OXL_E_NOMEM);
        assert_int_equal(oxl_buf_reserve(&b, SIZE_MAX - 4, &err), -OXL_E_NOMEM);
        assert_string_equal(oxl_buf_text(&b), "keep");
        oxl_error_done(&err);
}

static void hex_is_lowercase_and_strict(void **state)
{
        char text[9];
        uint8_t raw[4];
        uint64_t v;
        oxl_hex_encode("\x00\x0f\xa0\xff", 4, text);
        assert_string_equal(text, "000fa0ff");
        assert_true(oxl_hex_decode(text, raw, 4));
        assert_memory_equal(raw, "\x00\x0f\xa0\xff", 4);
        oxl_hex_encode_number(raw, 4, text);
        assert_string_equal(text, "fa0ff");
        oxl_hex_encode_number("\0\0", 2, text);
        assert_string_equal(text, "0");
        assert_false(oxl_hex_decode("000fA0ff", raw, 4));
        assert_false(oxl_hex_decode("000f", raw, 4));
        assert_true(oxl_hex_decode_u64("00000000000000a1", &v));
        assert_int_equal(v, 0xa1);
        assert_false(oxl_hex_decode_u64("0x000000000000a1", &v));
}

static void utf8_is_strict(void **state)
{
        static const char *const good[] = { "",
                                            "a",
                                            "\xc3\xa9",
                                            "\xe2\x82\xac",
                                            "\xf0\x9f\x90\x82",
                                            "\xed\x9f\xbf",
                                            "\xee\x80\x80",
                                            "\xf4\x8f\xbf\xbf",
                                            "\xc2\x80" };
        static const char *const bad[] = { "\x80",
                                           "\xc0\x80",
                                           "\xc1\xbf",
                                           "\xe0\x9f\xbf",
                                           "\xed\xa0\x80",
                                           "\xf0\x8f\xbf\xbf",
                                           "\xf4\x90\x80\x80",
                                           "\xf5\x80\x80\x80",
                                           "\xff",
                                           "a\xc3",
                                           "\xe2\x82",
                                           "\xe2\x28\xa1",
                                           "\xf0\x9f\x90\x28" };
        for (size_t i = 0; i < OXL_ARRAY_LEN(good); i++)
                assert_true(oxl_utf8_valid(good[i], strlen(good[i])));
        for (size_t i = 0; i < OXL_ARRAY_LEN(bad); i++)
                assert_false(oxl_utf8_valid(bad[i], strlen(bad[i])));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_appended_is_read_back), cmocka_unit_test(a_read_past_the_end_fails_for_good),
                cmocka_unit_test(buffers_grow_and_stay_text),    cmocka_unit_test(sizes_that_overflow_are_no_memory),
                cmocka_unit_test(hex_is_lowercase_and_strict),   cmocka_unit_test(utf8_is_strict),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
