/* SPDX-License-Identifier: MIT */
/* The error table tests itself; messages are complete, one line, and harmless on a terminal. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fail.h"

static const struct {
        int number;
        enum oxl_error_shape shape;
        int exit_code;
        const char *slug, *text, *next;
} rows[] = {
#define OXL_ERR(number, code, slug, shape, exit, text, next) { number, OXL_SHAPE_##shape, exit, slug, text, next },
#include <oxenlite/error.def>
#undef OXL_ERR
};

static void numbers_and_slugs_are_unique(void **state)
{
        for (size_t i = 0; i < OXL_ARRAY_LEN(rows); i++) {
                assert_true(rows[i].number > 0);
                for (size_t k = 0; k < i; k++) {
                        assert_int_not_equal(rows[i].number, rows[k].number);
                        assert_string_not_equal(rows[i].slug, rows[k].slug);
                }
        }
}

static void exits_are_those_of_the_design(void **state)
{
        for (size_t i = 0; i < OXL_ARRAY_LEN(rows); i++) {
                int e = rows[i].exit_code;
                assert_true((e >= 1 && e <= 5) || e == 130);
                assert_int_equal(oxl_error_exit((enum oxl_code)rows[i].number), e);
                assert_string_equal(oxl_error_slug((enum oxl_code)rows[i].number), rows[i].slug);
                assert_true(strlen(oxl_error_next((enum oxl_code)rows[i].number)) > 0);
        }
        assert_string_equal(oxl_error_slug((enum oxl_code)9999), "unknown");
        assert_int_equal(oxl_error_exit(0), 0);
}

/* Every template uses the facts of its shape and no other. */
static void templates_fit_their_shapes(void **state)
{
        for (size_t i = 0; i < OXL_ARRAY_LEN(rows); i++) {
                enum oxl_error_shape s = rows[i].shape;
                bool one = strstr(rows[i].text, "%1"), two = strstr(rows[i].text, "%2"),
                     why = strstr(rows[i].text, "%d");
                bool digest = strstr(rows[i].text, "%w") || strstr(rows[i].text, "%g");
                assert_int_equal(one, s != OXL_SHAPE_PLAIN);
                assert_int_equal(two, s == OXL_SHAPE_PATHS || s == OXL_SHAPE_OS_PATHS);
                assert_int_equal(why, s == OXL_SHAPE_WHY);
                assert_int_equal(digest, s == OXL_SHAPE_OBJECT);
        }
}

static void a_message_names_files_and_cause(void **state)
{
        struct oxl_error err = OXL_ERROR_INIT;
        char text[256];
        errno = ENOSPC;
        assert_int_equal(OXL_FAIL_OS_PATHS(&err, FILE_RENAME, "a", "b"), -OXL_E_FILE_RENAME);
        assert_int_equal(errno, ENOSPC);
        assert_int_equal(err.os, ENOSPC);
        size_t n = oxl_error_text(&err, text, sizeof text);
        assert_string_equal(text, "cannot rename 'a' to 'b': No space left on device");
        assert_int_equal(n, strlen(text));
        assert_int_equal(oxl_error_text(&err, text, 7), n);
        assert_string_equal(text, "cannot");
        assert_int_equal(oxl_error_text(&err, NULL, 0), n);
        assert_int_equal(OXL_FAIL_WHY(&err, TARGET, err.path[1], "it is empty"),
                         -OXL_E_TARGET); /* borrows from itself */
        oxl_error_text(&err, text, sizeof text);
        assert_string_equal(text, "'b' cannot be a file: it is empty");
        oxl_error_done(&err);
        oxl_error_done(&err);
        oxl_error_text(&err, text, sizeof text);
        assert_string_equal(text, "no error");
}

static void digests_are_shown_in_their_own_form(void **state)
{
        struct oxl_error err = OXL_ERROR_INIT;
        struct oxl_digest want = { .algo = OXL_ALGO_XXH3_128, .bytes = { 0x01, 0x57 } },
                          got = { .algo = OXL_ALGO_BLAKE3 };
        char text[512];
        assert_int_equal(OXL_FAIL_OBJECT(&err, DIGEST, "f", &want, &got), -OXL_E_DIGEST);
        oxl_error_text(&err, text, sizeof text);
        assert_string_equal(text,
                            "'f' was not published: expected 1570000000000000000000000000000, got "
                            "0000000000000000000000000000000000000000000000000000000000000000");
        oxl_error_done(&err);
}

static void control_characters_are_escaped(void **state)
{
        struct oxl_error err = OXL_ERROR_INIT;
        char text[256];
        assert_int_equal(OXL_FAIL_PATH(&err, FILE_EXISTS, "a\n\x1b[31m\x7f\xc2\x9b\xc3\xa9"), -OXL_E_FILE_EXISTS);
        oxl_error_text(&err, text, sizeof text);
        assert_string_equal(text, "'a\\x0a\\x1b[31m\\x7f\\xc2\\x9b\xc3\xa9' exists already");
        oxl_error_done(&err);
}

static void errors_move(void **state)
{
        struct oxl_error a = OXL_ERROR_INIT, b = OXL_ERROR_INIT;
        OXL_IGNORE(OXL_FAIL_PATH(&a, FILE_EXISTS, "a"), "its fields are looked at");
        OXL_IGNORE(OXL_FAIL_PATH(&b, FILE_SYMLINK, "b"), "its fields are looked at");
        oxl_error_move(&a, &b);
        assert_int_equal(a.code, OXL_E_FILE_SYMLINK);
        assert_string_equal(a.path[0], "b");
        assert_int_equal(b.code, 0);
        assert_null(b.path[0]);
        oxl_error_done(&a);
        assert_int_equal(OXL_FAIL_PATH(NULL, FILE_EXISTS, "a"), -OXL_E_FILE_EXISTS);
}

static void what_the_system_refused_decides_the_next_step(void **state)
{
        static const struct {
                int os;
                const char *word;
        } refused[] = {
                { ENOSPC, "disk is full" }, { EDQUOT, "quota" }, { EROFS, "read-only" }, { EACCES, "permission" }
        };
        (void)state;
        for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
                const struct oxl_error open = { .code = OXL_E_FILE_OPEN, .os = refused[i].os };
                const struct oxl_error placed = { .code = OXL_E_DIR_SYNC, .os = refused[i].os };
                assert_non_null(strstr(oxl_error_next_step(&open), refused[i].word));
                assert_string_equal(oxl_error_next_step(&placed), oxl_error_next(OXL_E_DIR_SYNC));
        }
}

static void too_many_open_files_have_a_step_of_their_own(void **state)
{
        const struct oxl_error many = { .code = OXL_E_FILE_OPEN, .os = EMFILE };
        const struct oxl_error all = { .code = OXL_E_DIR_OPEN, .os = ENFILE };
        const struct oxl_error other = { .code = OXL_E_FILE_OPEN, .os = ENOENT };
        (void)state;
        assert_non_null(strstr(oxl_error_next_step(&many), "ulimit -n"));
        assert_non_null(strstr(oxl_error_next_step(&all), "file-max"));
        assert_string_equal(oxl_error_next_step(&other), oxl_error_next(OXL_E_FILE_OPEN));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(numbers_and_slugs_are_unique),
                cmocka_unit_test(exits_are_those_of_the_design),
                cmocka_unit_test(templates_fit_their_shapes),
                cmocka_unit_test(a_message_names_files_and_cause),
                cmocka_unit_test(digests_are_shown_in_their_own_form),
                cmocka_unit_test(control_characters_are_escaped),
                cmocka_unit_test(errors_move),
                cmocka_unit_test(what_the_system_refused_decides_the_next_step),
                cmocka_unit_test(too_many_open_files_have_a_step_of_their_own),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
