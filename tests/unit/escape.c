/* SPDX-License-Identifier: MIT */
/* oxl_text_escape(): what a name from a disk may not do to a terminal, a log line or its reader. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <oxenlite/error.h>

static void expect(const char *text, unsigned flags, const char *wanted)
{
        char buf[128];

        assert_int_equal(oxl_text_escape(text, flags, buf, sizeof buf), strlen(wanted));
        assert_string_equal(buf, wanted);
}

static void what_steers_a_terminal_or_reorders_text_is_shown_as_bytes(void **state)
{
        static const char *const rows[][2] = {
                { "a\nb\tc\r", "a\\x0ab\\x09c\\x0d" },
                { "\x1b[31m\x7f", "\\x1b[31m\\x7f" },
                { "\xc2\x9b"
                  "31m",
                  "\\xc2\\x9b31m" },
                { "\xd8\x9c", "\\xd8\\x9c" },
                { "\xe2\x80\xae"
                  "gpj",
                  "\\xe2\\x80\\xaegpj" },
                { "\xe2\x81\xa6", "\\xe2\\x81\\xa6" },
                { "\xe2\x80\xa8", "\\xe2\\x80\\xa8" },
                { "\xe2\x80\x8f", "\\xe2\\x80\\x8f" },
        };
        (void)state;
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                expect(rows[i][0], 0, rows[i][1]);
                expect(rows[i][0], OXL_ESCAPE_BYTES, rows[i][1]);
        }
}

static void other_text_stays_as_it_is(void **state)
{
        (void)state;
        expect("", 0, "");
        expect("na\xc3\xafve \xe2\x82\xac \xf0\x9f\x90\x82 \\x", OXL_ESCAPE_BYTES,
               "na\xc3\xafve \xe2\x82\xac \xf0\x9f\x90\x82 \\x");
}

static void bytes_that_are_no_utf8_are_shown_or_kept(void **state)
{
        /* Stray, cut off at the end, overlong, a surrogate, beyond Unicode. */
        static const char *const rows[][2] = {
                { "\x80", "\\x80" },
                { "a\xe2\x80", "a\\xe2\\x80" },
                { "\xc0\xaf", "\\xc0\\xaf" },
                { "\xe0\x80\x9b", "\\xe0\\x80\\x9b" },
                { "\xed\xa0\x80", "\\xed\\xa0\\x80" },
                { "\xf5\x80\x80\x80", "\\xf5\\x80\\x80\\x80" },
        };
        (void)state;
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                expect(rows[i][0], 0, rows[i][0]);
                expect(rows[i][0], OXL_ESCAPE_BYTES, rows[i][1]);
        }
}

static void lines_and_tabs_are_kept_when_asked(void **state)
{
        (void)state;
        expect("a\n\tb\r", OXL_ESCAPE_KEEP_LINES, "a\n\tb\\x0d");
}

static void a_small_buffer_is_cut_and_the_whole_length_told(void **state)
{
        char buf[4] = "zzz";
        (void)state;
        assert_int_equal(oxl_text_escape("\x01\x02", 0, NULL, 0), 8);
        assert_int_equal(oxl_text_escape("\x01\x02", 0, buf, sizeof buf), 8);
        assert_string_equal(buf, "\\x0");
        assert_int_equal(oxl_text_escape("abc", 0, buf, sizeof buf), 3);
        assert_string_equal(buf, "abc");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_steers_a_terminal_or_reorders_text_is_shown_as_bytes),
                cmocka_unit_test(other_text_stays_as_it_is),
                cmocka_unit_test(bytes_that_are_no_utf8_are_shown_or_kept),
                cmocka_unit_test(lines_and_tabs_are_kept_when_asked),
                cmocka_unit_test(a_small_buffer_is_cut_and_the_whole_length_told),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
