/* SPDX-License-Identifier: MIT */
/* Commit objects: one text for each commit, and no other is accepted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "objects/commit.h"

#define ID_1 "1111111111111111111111111111111111111111111111111111111111111111"
#define ID_2 "222222222222222222222222222222222222222222222222222222222222222a"
#define ID_3 "3333333333333333333333333333333333333333333333333333333333333333"
#define HEAD "oxen-lite commit 1\ntree " ID_1 "\n"
#define AUTHOR "author Ada Lovelace <ada@example.org>\n"
#define SAMPLE HEAD "parent " ID_2 "\nparent " ID_3 "\n" AUTHOR "time 1700000000 +0130\n\nFirst\n\nline \xc3\xa9\n"

static int decode(const void *text, size_t n, struct oxl_commit *ret, struct oxl_error *err)
{
        return oxl_commit_decode(oxl_bytes_of(text, n), "commit x", ret, err);
}

/* Decodes and encodes again: must give the same bytes. */
static void expect_same_again(const void *text, size_t n)
{
        struct oxl_commit c;
        assert_int_equal(decode(text, n, &c, NULL), 0);
        struct oxl_buf b = OXL_BUF_INIT;
        assert_int_equal(oxl_commit_encode(&c, &b, NULL), 0);
        assert_int_equal(b.len, n);
        assert_memory_equal(b.data, text, n);
        oxl_buf_done(&b);
        oxl_commit_done(&c);
}

static void expect_accepted(const char *text)
{
        expect_same_again(text, strlen(text));
}

static void expect_refused_bytes(const void *text, size_t n, const char *why)
{
        struct oxl_commit c;
        struct oxl_error err = OXL_ERROR_INIT;
        assert_int_equal(decode(text, n, &c, &err), -OXL_E_MALFORMED);
        assert_string_equal(err.path[0], "commit x");
        assert_string_equal(err.detail, why);
        oxl_error_done(&err);
}

static void expect_refused(const char *text, const char *why)
{
        expect_refused_bytes(text, strlen(text), why);
}

static struct oxl_digest id_of(const char *hex)
{
        struct oxl_digest d;
        assert_true(oxl_digest_parse(OXL_ALGO_BLAKE3, hex, &d));
        return d;
}

static void a_commit_is_encoded_as_its_text(void **state)
{
        char author[] = "Ada Lovelace <ada@example.org>", message[] = "First\n\nline \xc3\xa9\n";
        struct oxl_commit c = {
                .tree = id_of(ID_1),
                .parent = { id_of(ID_2), id_of(ID_3) },
                .parents = 2,
                .author = author,
                .seconds = 1700000000,
                .zone_minutes = 90,
                .message = message,
        };
        struct oxl_buf b = OXL_BUF_INIT;
        assert_int_equal(oxl_commit_encode(&c, &b, NULL), 0);
        assert_string_equal(oxl_buf_text(&b), SAMPLE);
        oxl_buf_done(&b);
}

static void a_commit_is_decoded_from_its_text(void **state)
{
        struct oxl_commit c;
        assert_int_equal(decode(SAMPLE, strlen(SAMPLE), &c, NULL), 0);
        struct oxl_digest id[] = { id_of(ID_1), id_of(ID_2), id_of(ID_3) };
        assert_true(oxl_digest_equal(&c.tree, &id[0]));
        assert_int_equal(c.parents, 2);
        assert_true(oxl_digest_equal(&c.parent[0], &id[1]));
        assert_true(oxl_digest_equal(&c.parent[1], &id[2]));
        assert_string_equal(c.author, "Ada Lovelace <ada@example.org>");
        assert_int_equal(c.seconds, 1700000000);
        assert_int_equal(c.zone_minutes, 90);
        assert_string_equal(c.message, "First\n\nline \xc3\xa9\n");
        oxl_commit_done(&c);
        oxl_commit_done(&c);
        assert_null(c.message);
}

static void texts_of_one_form_are_accepted(void **state)
{
        expect_accepted(SAMPLE);
        expect_accepted(HEAD AUTHOR "time 0 +0000\n\n");
        expect_accepted(HEAD AUTHOR "time 0 +0000\n\nno newline at the end");
        expect_accepted(HEAD AUTHOR "time 0 +0000\n\n\n\n");
        expect_accepted(HEAD AUTHOR "time -1 -0001\n\nm");
        expect_accepted(HEAD AUTHOR "time 10 -1200\n\nm");
        expect_accepted(HEAD AUTHOR "time 10 +1400\n\nm");
        expect_accepted(HEAD AUTHOR "time 9223372036854775807 +0059\n\nm");
        expect_accepted(HEAD AUTHOR "time -9223372036854775808 +0059\n\nm");
        expect_accepted(HEAD
                        "author \xe2\x82\xac\xc2\xa0  \n"
                        "time 1 +0000\n\nparent " ID_2 "\n");
}

static void a_wrong_first_line_is_refused(void **state)
{
        expect_refused("", "it is no commit of version 1");
        expect_refused("oxen-lite commit 2\n", "it is no commit of version 1");
        expect_refused("oxen-lite commit 1\r\n", "it is no commit of version 1");
        expect_refused("oxen-lite commit 1", "it is no commit of version 1");
}

static void wrong_tree_and_parent_lines_are_refused(void **state)
{
        const char *tree = "its tree line", *parent = "a parent line";
        expect_refused("oxen-lite commit 1\n", tree);
        expect_refused("oxen-lite commit 1\ntree " ID_1, tree);
        expect_refused("oxen-lite commit 1\ntree  " ID_1 "\n", tree);
        expect_refused("oxen-lite commit 1\ntree " ID_1 " \n", tree);
        expect_refused("oxen-lite commit 1\ntree 1" ID_1 "\n", tree);
        expect_refused("oxen-lite commit 1\ntree 1111\n", tree);
        expect_refused("oxen-lite commit 1\ntree A111111111111111111111111111111111111111111111111111111111111111\n",
                       tree);
        expect_refused("oxen-lite commit 1\nTree " ID_1 "\n", tree);
        expect_refused(HEAD "parent \n", parent);
        expect_refused(HEAD "parent " ID_2 "\r\n", parent);
        expect_refused(HEAD AUTHOR "parent " ID_2 "\ntime 1 +0000\n\n", "its time line");
        expect_refused(HEAD "parent " ID_2 "\nparent " ID_3 "\nparent " ID_2 "\n" AUTHOR "time 1 +0000\n\n",
                       "a parent is named twice");
}

static void a_commit_has_up_to_16_parents(void **state)
{
        for (unsigned n = 16; n <= 17; n++) {
                struct oxl_buf b = OXL_BUF_INIT;
                assert_int_equal(oxl_buf_append_text(&b, HEAD, NULL), 0);
                for (unsigned i = 0; i < n; i++)
                        assert_int_equal(oxl_buf_append_fmt(&b, NULL, "parent %064x\n", i), 0);
                assert_int_equal(oxl_buf_append_text(&b, AUTHOR "time 1 +0000\n\n", NULL), 0);
                if (n == 16)
                        expect_accepted(oxl_buf_text(&b));
                else
                        expect_refused(oxl_buf_text(&b), "a commit has at most 16 parents");
                oxl_buf_done(&b);
        }
}

static void wrong_times_are_refused(void **state)
{
        const char *times[] = {
                "-0 +0000",
                "00 +0000",
                "01 +0000",
                "-01 +0000",
                "+1 +0000",
                " 1 +0000",
                " +0000",
                "- +0000",
                "1  +0000",
                "1 +0000 ",
                "1",
                "1 ",
                "1+0000",
                "1 0000",
                "1 +000",
                "1 +00000",
                "1 +00:0",
                "1 -0000",
                "1 +0060",
                "1 +0099",
                "1 +1401",
                "1 -1201",
                "1 +1500",
                "1 -1300",
                "1 +9900",
                "1 +0a00",
                "9223372036854775808 +0000",
                "-9223372036854775809 +0000",
                "99999999999999999999 +0000",
                "1 +0000\r",
                "0x1 +0000",
                "1.0 +0000",
        };
        for (size_t i = 0; i < OXL_ARRAY_LEN(times); i++) {
                char text[300];
                snprintf(text, sizeof text, HEAD AUTHOR "time %s\n\nm", times[i]);
                expect_refused(text, "its time line");
        }
        expect_refused(HEAD AUTHOR "time 1 +0000", "its time line");
        expect_refused(HEAD AUTHOR "time 1 +0000\n", "no empty line before the message");
        expect_refused(HEAD AUTHOR "time 1 +0000\nmessage", "no empty line before the message");
}

static void wrong_authors_are_refused(void **state)
{
        expect_refused(HEAD "author", "its author line");
        expect_refused(HEAD "author Ada", "its author line");
        expect_refused(HEAD "time 1 +0000\n\n", "its author line");
        expect_refused(HEAD AUTHOR AUTHOR "time 1 +0000\n\n", "its time line");
        expect_refused(HEAD
                       "author a\xff\n"
                       "time 1 +0000\n\n",
                       "the author is not UTF-8");
        const char *controls[] = { "\x01", "\t", "\x1b[2J", "\r", "\x7f", "\xc2\x80", "\xc2\x9f" };
        for (size_t i = 0; i < OXL_ARRAY_LEN(controls); i++) {
                char text[200];
                snprintf(text, sizeof text, HEAD "author a%s\ntime 1 +0000\n\n", controls[i]);
                expect_refused(text, "the author holds a control character");
        }
        static const char nul[] = HEAD "author a\0b\ntime 1 +0000\n\n";
        expect_refused_bytes(nul, sizeof nul - 1, "the author holds a control character");
}

static void wrong_messages_are_refused(void **state)
{
        expect_refused(HEAD AUTHOR "time 1 +0000\n\n\xc3", "the message is not UTF-8");
        expect_refused(HEAD AUTHOR "time 1 +0000\n\n\xed\xa0\x80", "the message is not UTF-8");
        static const char nul[] = HEAD AUTHOR "time 1 +0000\n\na\0b";
        expect_refused_bytes(nul, sizeof nul - 1, "the message holds a NUL byte");
}

static void the_limits_of_author_and_message_hold_in_both_directions(void **state)
{
        struct {
                size_t author, message;
                const char *why;
        } cases[] = { { 1024, 1u << 20, NULL },
                      { 1025, 1, "an author has at most 1,024 bytes" },
                      { 1, (1u << 20) + 1, "a message has at most 1 MiB" } };
        for (size_t i = 0; i < OXL_ARRAY_LEN(cases); i++) {
                struct oxl_commit c = { .tree = id_of(ID_1) };
                c.author = calloc(1, cases[i].author + 1);
                c.message = calloc(1, cases[i].message + 1);
                assert_true(c.author && c.message);
                memset(c.author, 'a', cases[i].author);
                memset(c.message, 'm', cases[i].message);
                struct oxl_buf b = OXL_BUF_INIT, text = OXL_BUF_INIT;
                struct oxl_error err = OXL_ERROR_INIT;
                int r = oxl_commit_encode(&c, &b, &err);
                assert_int_equal(r, cases[i].why ? -OXL_E_INVALID : 0);
                assert_int_equal(
                        oxl_buf_append_fmt(&text, NULL, HEAD "author %s\ntime 1 +0000\n\n%s", c.author, c.message), 0);
                if (cases[i].why) {
                        assert_string_equal(err.detail, cases[i].why);
                        assert_int_equal(b.len, 0);
                        expect_refused(oxl_buf_text(&text), cases[i].why);
                } else {
                        expect_accepted(oxl_buf_text(&text));
                }
                oxl_error_done(&err);
                oxl_buf_done(&b);
                oxl_buf_done(&text);
                oxl_commit_done(&c);
        }
}

static void expect_invalid(const struct oxl_commit *c, const char *why)
{
        struct oxl_buf b = OXL_BUF_INIT;
        struct oxl_error err = OXL_ERROR_INIT;
        assert_int_equal(oxl_commit_encode(c, &b, &err), -OXL_E_INVALID);
        assert_string_equal(err.detail, why);
        assert_int_equal(b.len, 0);
        oxl_error_done(&err);
        oxl_buf_done(&b);
}

static void what_decode_refuses_is_not_encoded(void **state)
{
        char ok[] = "a", line[] = "a\nb", bad[] = "\xff";
        const struct oxl_commit good = { .tree = id_of(ID_1), .author = ok, .message = ok };
        struct oxl_buf b = OXL_BUF_INIT;
        assert_int_equal(oxl_commit_encode(&good, &b, NULL), 0);
        oxl_buf_done(&b);
        struct oxl_commit c = good;
        c.author = line;
        expect_invalid(&c, "the author holds a control character");
        c.author = bad;
        expect_invalid(&c, "the author is not UTF-8");
        c = good;
        c.message = bad;
        expect_invalid(&c, "the message is not UTF-8");
        c = good;
        c.zone_minutes = 841;
        expect_invalid(&c, "the time zone is out of range");
        c.zone_minutes = -721;
        expect_invalid(&c, "the time zone is out of range");
        c = good;
        c.parents = 2;
        c.parent[0] = c.parent[1] = id_of(ID_2);
        expect_invalid(&c, "a parent is named twice");
        c.parents = 17;
        expect_invalid(&c, "a commit has at most 16 parents");
}

static void every_cut_and_every_changed_byte_is_refused_or_canonical(void **state)
{
        char text[] = SAMPLE;
        size_t n = sizeof text - 1;
        const char *body = strstr(text, "\n\n");
        struct oxl_commit c;
        for (size_t len = 0; len < n; len++) {
                char *exact = malloc(len ? len : 1); /* so that a read behind the end is seen */
                assert_non_null(exact);
                memcpy(exact, text, len);
                if (decode(exact, len, &c, NULL) == 0) {
                        oxl_commit_done(&c);
                        assert_true(text + len >= body + 2); /* a shorter message */
                        expect_same_again(exact, len);
                }
                free(exact);
        }
        for (size_t i = 0; i < n; i++) {
                for (unsigned v = 1; v < 256; v++) {
                        text[i] = (char)(text[i] ^ (char)v);
                        if (decode(text, n, &c, NULL) == 0) {
                                oxl_commit_done(&c);
                                expect_same_again(text, n);
                        }
                        text[i] = (char)(text[i] ^ (char)v);
                }
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_commit_is_encoded_as_its_text),
                cmocka_unit_test(a_commit_is_decoded_from_its_text),
                cmocka_unit_test(texts_of_one_form_are_accepted),
                cmocka_unit_test(a_wrong_first_line_is_refused),
                cmocka_unit_test(wrong_tree_and_parent_lines_are_refused),
                cmocka_unit_test(a_commit_has_up_to_16_parents),
                cmocka_unit_test(wrong_times_are_refused),
                cmocka_unit_test(wrong_authors_are_refused),
                cmocka_unit_test(wrong_messages_are_refused),
                cmocka_unit_test(the_limits_of_author_and_message_hold_in_both_directions),
                cmocka_unit_test(what_decode_refuses_is_not_encoded),
                cmocka_unit_test(every_cut_and_every_changed_byte_is_refused_or_canonical),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
