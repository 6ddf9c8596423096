/* SPDX-License-Identifier: MIT */
/* JSON: what is built can be read back, and nothing but strict JSON is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include <oxenlite/json.h>

static int parse_n(const char *text, size_t n)
{
        struct oxl_json *j = NULL;
        /* an exact copy: the sanitizer sees each byte that is read behind it */
        char *copy = malloc(n > 0 ? n : 1);
        memcpy(copy, text, n);
        int r = oxl_json_parse(copy, n, "doc", &j, NULL);
        free(copy);
        oxl_json_free(j);
        return r;
}

static int parse(const char *text)
{
        return parse_n(text, strlen(text));
}

static struct oxl_json *must_parse(const char *text)
{
        struct oxl_json *j = NULL;
        assert_int_equal(oxl_json_parse(text, strlen(text), "doc", &j, NULL), 0);
        return j;
}

/* Prints and frees. */
static void assert_prints(struct oxl_json *j, const char *want)
{
        char *text = NULL;
        assert_int_equal(oxl_json_print(j, &text, NULL), 0);
        assert_string_equal(text, want);
        free(text);
        oxl_json_free(j);
}

static void what_is_no_json_is_said_with_its_place(void **state)
{
        static const struct {
                const char *text, *want;
        } cases[] = {
                { "", "it is empty" },
                { " \n\t", "it is empty" },
                { "{", "line 1, column 2: it ends too early" },
                { "{\n  \"a\": 1\n  \"b\": 2\n}", "line 3, column 3: a comma or the end of the object is missing" },
                { "[1 2]", "line 1, column 4: a comma or the end of the list is missing" },
                { "{\"a\": 1,}", "line 1, column 9: a key in double quotes is missing" },
                { "{\"a\" 1}", "line 1, column 6: a colon is missing" },
                { "{\"a\":\n\n yes}", "line 3, column 2: a value is missing" },
                { "[\"\xc3\xa4\xe2\x82\xac\", nul]", "line 1, column 8: a value is missing" },
                { "[01]", "line 1, column 2: it has a number that begins with 0" },
                { "[1.x]", "line 1, column 4: it has a number that is not JSON" },
                { "{} {}", "line 1, column 4: something follows the document" },
                { "[\n\"\xc3\xa4\xff\"]", "line 2, column 3: it is not UTF-8 text" },
        };
        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct oxl_error err = OXL_ERROR_INIT;
                struct oxl_json *j = NULL;
                assert_int_equal(oxl_json_parse(cases[i].text, strlen(cases[i].text), "doc", &j, &err),
                                 -OXL_E_MALFORMED);
                assert_string_equal(err.detail, cases[i].want);
                oxl_error_done(&err);
        }
}

static void every_kind_of_value_is_written(void **state)
{
        struct oxl_json *j = oxl_json_object(), *a = oxl_json_array();
        struct oxl_digest none = OXL_DIGEST_INIT, blake3 = { OXL_ALGO_BLAKE3, { 0xab, 1 } };
        struct oxl_digest xxh3 = { OXL_ALGO_XXH3_128, { 0, 0x0a } };
        oxl_json_set_string(j, "s", "a\"\n");
        oxl_json_set_string(j, "n", NULL);
        oxl_json_set_u64(j, "u", UINT64_MAX);
        oxl_json_set_i64(j, "i", INT64_MIN);
        oxl_json_set_int(j, "d", -7);
        oxl_json_set_bool(j, "b", true);
        oxl_json_set_digest(j, "none", &none);
        oxl_json_set_digest(j, "blake3", &blake3);
        oxl_json_set_digest(j, "xxh3", &xxh3);
        oxl_json_append(a, oxl_json_string("x"));
        oxl_json_append(a, oxl_json_object());
        oxl_json_set(j, "a", a);
        assert_prints(j,
                      "{\"s\":\"a\\\"\\n\",\"n\":null,\"u\":\"18446744073709551615\",\"i\":\"-9223372036854775808\","
                      "\"d\":-7,\"b\":true,\"none\":null,"
                      "\"blake3\":\"ab01000000000000000000000000000000000000000000000000000000000000\","
                      "\"xxh3\":\"a0000000000000000000000000000\",\"a\":[\"x\",{}]}");
}

static void setting_a_key_again_replaces_it(void **state)
{
        struct oxl_json *j = oxl_json_object();
        oxl_json_set_int(j, "a", 1);
        oxl_json_set_int(j, "A", 3);
        oxl_json_set_int(j, "a", 2);
        assert_prints(j, "{\"A\":3,\"a\":2}");
}

static void text_that_is_not_utf8_is_written_with_replacements(void **state)
{
        struct oxl_json *j = oxl_json_object();
        oxl_json_set_string(j, "a", "x\xffy\xc3\xa4\xe2\x82");
        assert_prints(j, "{\"a\":\"x\xef\xbf\xbdy\xc3\xa4\xef\xbf\xbd\xef\xbf\xbd\"}");
}

static void names_of_any_bytes_survive(void **state)
{
        static const struct {
                const char *bytes;
                size_t n;
                bool twice;
        } cases[] = {
                { "a", 1, false },       { "", 0, false },        { "\xc3\xa4", 2, false }, { "\xff", 1, true },
                { "\xff\xfe", 2, true }, { "ab\xff", 3, true },   { "abc\xff", 4, true },   { "a\0b", 3, true },
                { "\xe2\x82", 2, true }, { "\xfb\xff", 2, true },
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct oxl_json *j = oxl_json_object(), *back = NULL, *a = oxl_json_array();
                char *text = NULL, *name = NULL;
                size_t n = 0;
                oxl_json_set_name(j, "p", cases[i].bytes, cases[i].n);
                oxl_json_append(a, oxl_json_name(cases[i].bytes, cases[i].n));
                oxl_json_set(j, "list", a);
                assert_int_equal(oxl_json_print(j, &text, NULL), 0);
                assert_int_equal(oxl_json_parse(text, strlen(text), "doc", &back, NULL), 0);
                assert_int_equal(oxl_json_get(back, "p_bytes") != NULL, cases[i].twice);
                assert_true(oxl_json_get_name(back, "p", &name, &n));
                assert_int_equal(n, cases[i].n);
                assert_memory_equal(name, cases[i].bytes, n + 1);
                free(name);
                assert_true(oxl_json_name_bytes(oxl_json_at(oxl_json_get(back, "list"), 0), &name, &n));
                assert_int_equal(n, cases[i].n);
                assert_memory_equal(name, cases[i].bytes, n + 1);
                free(name);
                free(text);
                oxl_json_free(j);
                oxl_json_free(back);
        }
}

static void a_name_that_we_would_not_write_is_refused(void **state)
{
        static const char *const bad[] = {
                "{}",
                "{\"p\":1}",
                "{\"p_bytes\":\"/w==\"}",
                "{\"p\":\"\xef\xbf\xbd\",\"p_bytes\":1}",
                "{\"p\":\"\xef\xbf\xbd\",\"p_bytes\":\"/w=\"}",
                "{\"p\":\"\xef\xbf\xbd\",\"p_bytes\":\"/w\"}",
                "{\"p\":\"\xef\xbf\xbd\",\"p_bytes\":\"/x==\"}",     /* bits behind the end */
                "{\"p\":\"\xef\xbf\xbd\",\"p_bytes\":\"/w==/w==\"}", /* padding in the middle */
                "{\"p\":\"\xef\xbf\xbd\",\"p_bytes\":\"_w==\"}",
                "{\"p\":\"\xef\xbf\xbd\",\"p_bytes\":\" /w==\"}",
                "{\"p\":\"\xef\xbf\xbd\",\"p_bytes\":\"====\"}",
                "{\"p\":\"a\",\"p_bytes\":\"YQ==\"}",     /* text, so no bytes are needed */
                "{\"p\":\"other\",\"p_bytes\":\"/w==\"}", /* shows another name */
        };
        char *name = NULL;
        size_t n;
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
                struct oxl_json *j = must_parse(bad[i]);
                assert_false(oxl_json_get_name(j, "p", &name, &n));
                oxl_json_free(j);
        }
        struct oxl_json *good = must_parse("{\"p\":\"\xef\xbf\xbd\",\"p_bytes\":\"/w==\"}");
        assert_true(oxl_json_get_name(good, "p", &name, &n));
        free(name);
        oxl_json_free(good);
}

static void strict_json_is_read(void **state)
{
        static const char *const good[] = {
                "{}",
                "[]",
                "0",
                "-0",
                "1e5",
                "1.25E-3",
                "\"\"",
                "true",
                "false",
                "null",
                " \t\r\n[ 1 , 2 ] \n",
                "{\"a\":{\"a\":1},\"A\":2}",
                "\"\\u00e4\\ud83d\\ude00\\uD83D\\uDE00\\\\\\/\\b\\f\\n\\r\\t\\\"\"",
                "[[],{},[{}]]",
                "{ \"a\" : [ ] }",
                "123456789012345678901234567890123456789012345678901234567890123",
        };
        for (size_t i = 0; i < sizeof good / sizeof *good; i++)
                if (parse(good[i]) != 0)
                        fail_msg("refused: %s", good[i]);
}

static void anything_else_is_malformed(void **state)
{
        static const char *const bad[] = {
                "",
                " ",
                "{",
                "}",
                "[",
                "]",
                "[1",
                "[1,",
                "[1,]",
                "[,1]",
                "{\"a\"",
                "{\"a\":",
                "{\"a\":1",
                "{\"a\":1,",
                "{\"a\":1,}",
                "{a:1}",
                "{'a':1}",
                "{\"a\" 1}",
                "{1:1}",
                "[1 2]",
                "[1]]",
                "{}{}",
                "{} x",
                "1 2",
                "nul",
                "nulll",
                "True",
                "01",
                "-",
                "-01",
                "1.",
                ".5",
                "+1",
                "1e",
                "1e+",
                "0x1",
                "NaN",
                "Infinity",
                "1e999",
                "-1e999",
                "\"a",
                "\"\\\"",
                "\"\\x\"",
                "\"\\u12\"",
                "\"\\u12g4\"",
                "\"\\u0000\"",
                "\"\\ud800\"",
                "\"\\udc00\"",
                "\"\\ud800\\u0041\"",
                "\"\\ud800x\"",
                "\"a\nb\"",
                "\"a\tb\"",
                "\x01{}",
                "{}\x0b",
                "\xef\xbb\xbf{}",
                "\"\xff\"",
                "\"\xc0\x80\"",
                "\"\xed\xa0\x80\"",
                "{\"a\":1,\"a\":2}",
                "[{\"x\":{\"a\":1,\"b\":2,\"a\":3}}]",
                "{\"\\u0061\":1,\"a\":2}",
                "// x\n{}",
                "{}/**/",
                "[1}",
                "{\"a\":1]",
                "1234567890123456789012345678901234567890123456789012345678901234",
        };
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
                if (parse(bad[i]) != -OXL_E_MALFORMED)
                        fail_msg("accepted: %s", bad[i]);
        assert_int_equal(parse_n("{}\0", 3), -OXL_E_MALFORMED);
        assert_int_equal(parse_n("\"a\0b\"", 5), -OXL_E_MALFORMED);
        assert_int_equal(parse_n("[1,2]", 4), -OXL_E_MALFORMED);
        assert_int_equal(parse_n("12345", 3), 0);
}

static void sixty_four_levels_are_the_limit(void **state)
{
        char text[2 * 100000 + 1];
        for (size_t depth = 63; depth <= 66; depth++) {
                memset(text, '[', depth);
                memset(text + depth, ']', depth);
                assert_int_equal(parse_n(text, 2 * depth), depth <= 64 ? 0 : -OXL_E_MALFORMED);
        }
        memset(text, '[', sizeof text);
        assert_int_equal(parse_n(text, sizeof text), -OXL_E_MALFORMED);
        for (size_t i = 0; i + 5 <= sizeof text; i += 5)
                memcpy(text + i, "{\"a\":", 5);
        assert_int_equal(parse_n(text, sizeof text), -OXL_E_MALFORMED);
}

static void an_error_names_the_document_and_the_reason(void **state)
{
        struct oxl_error err = OXL_ERROR_INIT;
        struct oxl_json *j = NULL;
        assert_int_equal(oxl_json_parse("{\"a\":1,\"a\":1}", 13, "doc.json", &j, &err), -OXL_E_MALFORMED);
        assert_string_equal(err.path[0], "doc.json");
        assert_string_equal(err.detail, "it has the same key twice");
        assert_null(j);
        oxl_error_done(&err);
}

/* Changes every byte of a document to every other: what we take for JSON, cJSON must read too (else: NOMEM). */
static void our_scanner_and_cjson_agree(void **state)
{
        const char doc[] = "{\"a\":[-1.5e+3,\"\\u00e4\\n\\ud83d\\ude00\",true,null,{}],\"b\":\"\xc3\xa4\"}";
        char text[sizeof doc];
        size_t n = sizeof doc - 1, good = 0;
        for (size_t at = 0; at < n; at++)
                for (int value = 0; value < 256; value++) {
                        memcpy(text, doc, sizeof doc);
                        text[at] = (char)(unsigned char)value;
                        int r = parse_n(text, n);
                        assert_true(r == 0 || r == -OXL_E_MALFORMED);
                        good += r == 0;
                }
        assert_true(good > n);
}

static void canonical_numbers_are_read_from_strings(void **state)
{
        struct oxl_json *j = must_parse(
                "{\"zero\":\"0\",\"max\":\"18446744073709551615\",\"over\":\"18446744073709551616\","
                "\"lead\":\"01\",\"sign\":\"+1\",\"neg\":\"-1\",\"empty\":\"\",\"space\":\" 1\",\"num\":1,"
                "\"tail\":\"1x\",\"long\":\"99999999999999999999999\"}");
        static const char *const bad[] = { "over",  "lead", "sign", "neg",  "empty",
                                           "space", "num",  "tail", "long", "absent" };
        uint64_t v = 7;
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
                assert_false(oxl_json_get_u64(j, bad[i], &v));
        assert_int_equal(v, 7);
        assert_true(oxl_json_get_u64(j, "zero", &v));
        assert_int_equal(v, 0);
        assert_true(oxl_json_get_u64(j, "max", &v));
        assert_true(v == UINT64_MAX);
        oxl_json_free(j);
}

static void getters_demand_their_type(void **state)
{
        struct oxl_json *j = must_parse(
                "{\"s\":\"x\",\"b\":false,\"i\":9007199254740992,\"o\":9007199254740994,\"f\":1.5,"
                "\"n\":null,\"a\":[1],\"m\":-3}");
        bool b = true;
        int64_t i = 0;
        assert_string_equal(oxl_json_get_string(j, "s"), "x");
        assert_null(oxl_json_get_string(j, "S"));
        assert_null(oxl_json_get_string(j, "i"));
        assert_true(oxl_json_get_bool(j, "b", &b));
        assert_false(b);
        assert_false(oxl_json_get_bool(j, "s", &b));
        assert_true(oxl_json_get_int(j, "i", &i));
        assert_true(i == INT64_C(9007199254740992));
        assert_false(oxl_json_get_int(j, "o", &i));
        assert_false(oxl_json_get_int(j, "f", &i));
        assert_false(oxl_json_get_int(j, "s", &i));
        assert_true(oxl_json_get_int(j, "m", &i));
        assert_int_equal(i, -3);
        assert_true(oxl_json_is_null(j, "n"));
        assert_false(oxl_json_is_null(j, "absent"));
        assert_null(oxl_json_get(oxl_json_get(j, "a"), "s"));
        assert_null(oxl_json_get(NULL, "s"));
        assert_null(oxl_json_at(j, 0));
        assert_int_equal(oxl_json_size(NULL), 0);
        oxl_json_free(j);
}

static void members_and_items_come_in_order(void **state)
{
        struct oxl_json *j = must_parse("{\"b\":[1,2,3],\"a\":{},\"c\":\"x\"}");
        const struct oxl_json *value;
        const char *key;
        char keys[8] = "";
        size_t pos = 0, items = 0;
        while (oxl_json_member(j, &pos, &key, &value))
                keys[strlen(keys)] = key[0];
        assert_string_equal(keys, "bac");
        for (pos = 0; oxl_json_member(oxl_json_get(j, "b"), &pos, &key, &value); items++)
                assert_null(key);
        assert_int_equal(items, 3);
        pos = 0;
        assert_false(oxl_json_member(oxl_json_get(j, "a"), &pos, &key, &value));
        assert_false(oxl_json_member(NULL, &pos, &key, &value));
        assert_int_equal(oxl_json_size(oxl_json_get(j, "b")), 3);
        assert_null(oxl_json_at(oxl_json_get(j, "b"), 3));
        oxl_json_free(j);
}

/* One allocation fails, those after it succeed: so only what was remembered can make the print fail. */
static int allocations_left;

static void *limited_malloc(size_t n)
{
        return allocations_left-- != 0 ? malloc(n) : NULL;
}

static int build_and_print(char **ret)
{
        struct oxl_json *j = oxl_json_object(), *a = oxl_json_array(), *inner = oxl_json_object();
        oxl_json_set_u64(inner, "size", 12);
        oxl_json_set_name(inner, "path", "\xff", 1);
        oxl_json_append(a, inner);
        oxl_json_append(a, oxl_json_name("\xfe", 1));
        oxl_json_set(j, "files", a);
        oxl_json_set_bool(j, "done", true);
        int r = oxl_json_print(j, ret, NULL);
        oxl_json_free(j);
        return r;
}

static void a_failed_allocation_is_never_a_shorter_document(void **state)
{
        char *want = NULL, *got = NULL;
        assert_int_equal(build_and_print(&want), 0);
        for (int n = 0;; n++) {
                allocations_left = n;
                cJSON_InitHooks(&(cJSON_Hooks){ limited_malloc, free });
                int r = build_and_print(&got);
                cJSON_InitHooks(NULL);
                if (r == 0)
                        break;
                assert_int_equal(r, -OXL_E_NOMEM);
                assert_true(n < 100);
        }
        assert_string_equal(got, want);
        free(got);
        free(want);
        assert_int_equal(oxl_json_print(NULL, &got, NULL), -OXL_E_NOMEM);
}

static void reading_reports_a_failed_allocation(void **state)
{
        const char text[] = "{\"a\":[1,\"x\",{\"b\":null}]}";
        struct oxl_json *j = NULL;
        int r = -1;
        for (int n = 0; r != 0; n++) {
                allocations_left = n;
                cJSON_InitHooks(&(cJSON_Hooks){ limited_malloc, free });
                r = oxl_json_parse(text, sizeof text - 1, "doc", &j, NULL);
                cJSON_InitHooks(NULL);
                assert_true(r == 0 || r == -OXL_E_NOMEM);
                assert_true(n < 100);
        }
        oxl_json_free(j);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_no_json_is_said_with_its_place),
                cmocka_unit_test(every_kind_of_value_is_written),
                cmocka_unit_test(setting_a_key_again_replaces_it),
                cmocka_unit_test(text_that_is_not_utf8_is_written_with_replacements),
                cmocka_unit_test(names_of_any_bytes_survive),
                cmocka_unit_test(a_name_that_we_would_not_write_is_refused),
                cmocka_unit_test(strict_json_is_read),
                cmocka_unit_test(anything_else_is_malformed),
                cmocka_unit_test(sixty_four_levels_are_the_limit),
                cmocka_unit_test(an_error_names_the_document_and_the_reason),
                cmocka_unit_test(our_scanner_and_cjson_agree),
                cmocka_unit_test(canonical_numbers_are_read_from_strings),
                cmocka_unit_test(getters_demand_their_type),
                cmocka_unit_test(members_and_items_come_in_order),
                cmocka_unit_test(a_failed_allocation_is_never_a_shorter_document),
                cmocka_unit_test(reading_reports_a_failed_allocation),
        };
        return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
