/* SPDX-License-Identifier: MIT */
/* Requests of the control socket: what is not exactly one of them is refused; HTTP is told by its first bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "request.h"

static void takes(const char *line, enum request_do what, const char *repository, uint64_t rate)
{
        struct request q = { 0 };
        bool malformed = true;

        assert_int_equal(request_parse(line, strlen(line), &q, &malformed, NULL), 0);
        assert_false(malformed);
        assert_int_equal(q.what, what);
        if (repository)
                assert_string_equal(q.repository, repository);
        else
                assert_null(q.repository);
        assert_int_equal(q.rate, rate);
        request_done(&q);
}

static void refuses(const char *line, bool wanted_malformed)
{
        struct request q = { 0 };
        struct oxl_error err = OXL_ERROR_INIT;
        bool malformed = !wanted_malformed;

        assert_int_equal(request_parse(line, strlen(line), &q, &malformed, &err), -OXL_E_DAEMON_REQUEST);
        assert_int_equal(malformed, wanted_malformed);
        assert_non_null(err.detail);
        assert_null(q.repository);
        oxl_error_done(&err);
}

static void each_request_is_understood(void **state)
{
        takes("{\"do\": \"status\"}", REQUEST_STATUS, NULL, 0);
        takes("{\"do\": \"status\", \"repository\": \"/a\"}", REQUEST_STATUS, "/a", 0);
        takes("{\"repository\": \"/\xc3\xa4\", \"do\": \"findings\"}", REQUEST_FINDINGS, "/\xc3\xa4", 0);
        takes("{\"do\": \"watch\"}", REQUEST_WATCH, NULL, 0);
        takes("{\"do\": \"pause\"}", REQUEST_PAUSE, NULL, 0);
        takes("{\"do\": \"resume\", \"repository\": \"/a\"}", REQUEST_RESUME, "/a", 0);
        takes("{\"do\": \"scrub\", \"repository\": \"/a\"}", REQUEST_SCRUB, "/a", 0);
        takes("{\"do\": \"limit\", \"rate\": 1000}", REQUEST_LIMIT, NULL, 1000);
        takes("{\"do\": \"limit\", \"rate\": \"18446744073709551615\"}", REQUEST_LIMIT, NULL, UINT64_MAX);
        takes("{\"do\": \"limit\", \"rate\": \"50MiB\"}\r", REQUEST_LIMIT, NULL, 50 << 20);
        takes("{\"do\": \"reload\"}", REQUEST_RELOAD, NULL, 0);
}

static void a_path_may_be_any_bytes(void **state)
{
        static const char path[] = { '/', '\xff', 'a', '\0' };

        takes("{\"do\": \"status\", \"repository\": \"/\xef\xbf\xbd"
              "a\", \"repository_bytes\": \"L/9h\"}",
              REQUEST_STATUS, path, 0);
        refuses("{\"do\": \"status\", \"repository\": \"/other\", \"repository_bytes\": \"L/9h\"}", false);
        refuses("{\"do\": \"status\", \"repository\": \"\"}", false);
}

static void everything_else_is_refused_with_a_reason(void **state)
{
        refuses("{\"do\": \"explode\"}", false);
        refuses("{}", false);
        refuses("[]", false);
        refuses("{\"do\": 1}", false);
        refuses("{\"do\": \"status\", \"rate\": 1}", false);
        refuses("{\"do\": \"watch\", \"repository\": \"/a\"}", false);
        refuses("{\"do\": \"scrub\"}", false);
        refuses("{\"do\": \"status\", \"repository\": 7}", false);
        refuses("{\"do\": \"limit\"}", false);
        refuses("{\"do\": \"limit\", \"rate\": -1}", false);
        refuses("{\"do\": \"limit\", \"rate\": 1.5}", false);
        refuses("{\"do\": \"limit\", \"rate\": \"18446744073709551616\"}", false);
        refuses("{\"do\": \"limit\", \"rate\": \"50 bananas\"}", false);
        refuses("", true);
        refuses("x", true);
        refuses("{\"do\": \"status\"", true);
        refuses("{\"do\": \"status\"} {\"do\": \"status\"}", true);
        refuses("{\"do\": \"status\", \"do\": \"pause\"}", true);
        refuses("POST / HTTP/1.1", true);
}

static void only_some_requests_change_something(void **state)
{
        for (int i = 0; i < REQUEST_KINDS; i++)
                assert_int_equal(request_changes((enum request_do)i),
                                 i != REQUEST_STATUS && i != REQUEST_WATCH && i != REQUEST_FINDINGS);
}

static void http_is_told_from_json_by_its_first_bytes(void **state)
{
        assert_int_equal(request_protocol("", 0), REQUEST_UNDECIDED);
        assert_int_equal(request_protocol("GE", 2), REQUEST_UNDECIDED);
        assert_int_equal(request_protocol("GET ", 4), REQUEST_HTTP);
        assert_int_equal(request_protocol("GETX", 4), REQUEST_UNDECIDED);
        assert_int_equal(request_protocol("POST /", 6), REQUEST_HTTP);
        assert_int_equal(request_protocol("GETx ", 5), REQUEST_JSON);
        assert_int_equal(request_protocol("GET\n", 4), REQUEST_JSON);
        assert_int_equal(request_protocol("AVERYLONGMETHODX ", 17), REQUEST_JSON);
        assert_int_equal(request_protocol("{\"do", 4), REQUEST_JSON);
        assert_int_equal(request_protocol("\0\0\0\0", 4), REQUEST_JSON);
}

static void a_head_ends_with_an_empty_line(void **state)
{
        static const char head[] = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\nmore";
        static const char bare[] = "GET /healthz\n\n";
        size_t whole = sizeof head - 1 - 4;

        for (size_t n = 0; n < sizeof head; n++)
                assert_int_equal(request_http_length(head, n), n < whole ? 0 : whole);
        assert_int_equal(request_http_length(bare, sizeof bare - 1), sizeof bare - 1);
}

static void pages_are_found_by_their_path(void **state)
{
        static const struct {
                const char *head;
                enum request_page page;
        } heads[] = {
                { "GET /metrics HTTP/1.1\r\n\r\n", REQUEST_PAGE_METRICS },
                { "GET /metrics\n\n", REQUEST_PAGE_METRICS },
                { "GET /metrics?x=1 HTTP/1.0\n\n", REQUEST_PAGE_METRICS },
                { "GET /healthz HTTP/1.0\n\n", REQUEST_PAGE_HEALTH },
                { "GET /metricsx HTTP/1.0\n\n", REQUEST_PAGE_NONE },
                { "GET / HTTP/1.0\n\n", REQUEST_PAGE_NONE },
                { "GET ", REQUEST_PAGE_NONE },
                { "POST /metrics HTTP/1.0\n\n", REQUEST_PAGE_METHOD },
                { "HEAD /metrics HTTP/1.0\n\n", REQUEST_PAGE_METHOD },
        };

        for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
                assert_int_equal(request_http_page(heads[i].head, strlen(heads[i].head)), heads[i].page);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_request_is_understood),
                cmocka_unit_test(a_path_may_be_any_bytes),
                cmocka_unit_test(everything_else_is_refused_with_a_reason),
                cmocka_unit_test(only_some_requests_change_something),
                cmocka_unit_test(http_is_told_from_json_by_its_first_bytes),
                cmocka_unit_test(a_head_ends_with_an_empty_line),
                cmocka_unit_test(pages_are_found_by_their_path),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
