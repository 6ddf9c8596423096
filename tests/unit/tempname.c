/* SPDX-License-Identifier: MIT */
/* Temp names: the vectors that all implementations share, and names of every length. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/utf8.h"
#include "durable/tempname.h"
#include "support/fault.h"

static void our_names_are_recognised(void **state)
{
        static const struct {
                const char *name;
                uint64_t owner;
        } ours[] = {
                { "HEAD.oxl-00000000000000a1-0123456789abcdef.tmp", 0xa1 },
                { "a b.oxl-ffffffffffffffff-0000000000000000.tmp", UINT64_MAX },
                { ".x.oxl-0000000000000000-aaaaaaaaaaaaaaaa.tmp", 0 },
        };
        for (size_t i = 0; i < OXL_ARRAY_LEN(ours); i++) {
                uint64_t owner = 1;
                assert_true(oxl_temp_name_is_ours(ours[i].name, &owner));
                assert_true(owner == ours[i].owner);
                assert_true(oxl_temp_name_is_ours(ours[i].name, NULL));
        }
}

static void other_names_are_not(void **state)
{
        static const char *const others[] = {
                "",
                "HEAD.tmp",
                "x.oxl-1-2.tmp",
                "x.oxl-00000000000000A1-0123456789abcdef.tmp",
                "x.oxl-00000000000000a1-0123456789abcdef.tmp~",
                ".oxl-00000000000000a1-0123456789abcdef.tmp",
                "x.oxentmp.a1B2c3",
                "x.oxl-00000000000000a1_0123456789abcdef.tmp",
                "x.oxl-00000000000000a1-0123456789abcdeg.tmp",
                "x.oxm-00000000000000a1-0123456789abcdef.tmp",
                "d/x.oxl-00000000000000a1-0123456789abcdef.tmp",
                "x.oxl-00000000000000a1-0123456789abcdef.tmq",
                "x.oxl-000000000000000a1-0123456789abcdef.tmp",
        };
        for (size_t i = 0; i < OXL_ARRAY_LEN(others); i++) {
                uint64_t owner = 77;
                assert_false(oxl_temp_name_is_ours(others[i], &owner));
                assert_int_equal(owner, 77);
        }
        char too_long[400];
        memset(too_long, 'x', OXL_NAME_MAX - 41); /* 214, and 42 of the suffix */
        memcpy(too_long + OXL_NAME_MAX - 41, ".oxl-00000000000000a1-0123456789abcdef.tmp", 43);
        assert_int_equal(strlen(too_long), OXL_NAME_MAX + 1);
        assert_false(oxl_temp_name_is_ours(too_long, NULL));
        assert_true(oxl_temp_name_is_ours(too_long + 1, NULL));
}

/* matrix 10 */
static void made_names_fit_and_are_recognised(void **state)
{
        char base[OXL_NAME_MAX + 1], name[OXL_TEMP_NAME_SIZE];
        for (size_t n = 1; n <= OXL_NAME_MAX; n++) {
                memset(base, 'x', n);
                base[n] = 0;
                uint64_t owner = 0;
                assert_int_equal(oxl_temp_name_make(base, 0xfeed, name, NULL), 0);
                assert_true(strlen(name) <= OXL_NAME_MAX);
                assert_true(oxl_temp_name_is_ours(name, &owner));
                assert_int_equal(owner, 0xfeed);
                assert_memory_equal(name, base, n < 213 ? n : 213);
        }
}

static void long_names_are_cut_between_characters(void **state)
{
        for (size_t ascii = 0; ascii < 4; ascii++) {
                char base[OXL_NAME_MAX + 1] = "abc", name[OXL_TEMP_NAME_SIZE];
                size_t n = ascii;
                while (n + 4 <= OXL_NAME_MAX) {
                        memcpy(base + n, "\xf0\x9f\x90\x82", 4); /* an ox */
                        n += 4;
                }
                base[n] = 0;
                assert_int_equal(oxl_temp_name_make(base, 1, name, NULL), 0);
                assert_true(oxl_utf8_valid(name, strlen(name)));
                assert_true(strlen(name) > OXL_NAME_MAX - 4);
        }
}

static void two_names_differ(void **state)
{
        char a[OXL_TEMP_NAME_SIZE], b[OXL_TEMP_NAME_SIZE];
        assert_int_equal(oxl_temp_name_make("x", 0, a, NULL), 0);
        assert_int_equal(oxl_temp_name_make("x", 0, b, NULL), 0);
        assert_string_not_equal(a, b);
}

static void no_random_numbers_is_a_typed_error(void **state)
{
        struct oxl_error err = OXL_ERROR_INIT;
        char name[OXL_TEMP_NAME_SIZE];
        fault_install(&(struct fault_plan){ .only = "getrandom", .nth = 1, .os = EIO });
        assert_int_equal(oxl_temp_name_make("x", 0, name, &err), -OXL_E_RANDOM);
        assert_true(fault_remove());
        oxl_error_done(&err);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(our_names_are_recognised),
                cmocka_unit_test(other_names_are_not),
                cmocka_unit_test(made_names_fit_and_are_recognised),
                cmocka_unit_test(long_names_are_cut_between_characters),
                cmocka_unit_test(two_names_differ),
                cmocka_unit_test(no_random_numbers_is_a_typed_error),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
