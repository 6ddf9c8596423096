/* SPDX-License-Identifier: MIT */
/* daemon.json: every error is found, each with its place; what is left out has its default; entries inherit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "config.h"

static const char nothing[] = "{\"repositories\": [{\"path\": \"/srv/data\"}]}";

static void good(const char *text, struct config *ret)
{
        struct config_errors errors = { 0 };
        int r = config_parse(text, strlen(text), ret, &errors, NULL);
        for (size_t i = 0; i < errors.n; i++)
                print_error("%s\n", errors.lines[i]);
        assert_int_equal(r, 0);
        assert_int_equal(errors.n, 0);
}

/* @wanted: the lines, joined by newlines. */
static void bad(const char *text, const char *wanted)
{
        struct config c = { 0 };
        struct config_errors errors = { 0 };
        char all[4096] = "";

        assert_int_equal(config_parse(text, strlen(text), &c, &errors, NULL), CONFIG_BAD);
        for (size_t i = 0; i < errors.n; i++) {
                strncat(all, errors.lines[i], sizeof all - strlen(all) - 1);
                strncat(all, "\n", sizeof all - strlen(all) - 1);
        }
        assert_string_equal(all, wanted);
        assert_null(c.repositories);
        config_errors_done(&errors);
}

static void one_path_is_a_complete_file(void **state)
{
        struct config c;

        good(nothing, &c);
        assert_int_equal(c.n_repositories, 1);
        assert_string_equal(c.repositories[0].path, "/srv/data");
        assert_int_equal(c.repositories[0].kind, CONFIG_AUTO);
        const struct oxl_scrub_contract *k = &c.repositories[0].scrub.contract;
        assert_int_equal(k->days, 30);
        assert_int_equal(k->rate_max, 0);
        assert_int_equal(k->pressure, 10);
        assert_int_equal(k->window_begin, k->window_end);
        assert_true(k->media);
        assert_false(k->repair);
        assert_null(k->from);
        assert_true(c.sweep);
        assert_true(c.recover);
        assert_string_equal(c.socket_path, "/run/oxen-lite/control");
        assert_string_equal(c.socket_group, "oxen-lite");
        assert_string_equal(c.state, "/var/lib/oxen-lite");
        assert_null(c.textfile);
        config_done(&c);
}

static void entries_inherit_and_override_whatever_the_order(void **state)
{
        struct config c;

        good("{\"repositories\": [{\"path\": \"/a\"}, {\"path\": \"/b\", \"days\": 7, \"rate_max\": \"20M\", \"window\": \"\", "
             "\"media\": true, \"repair\": false, \"from\": \"\", \"kind\": \"oxen\"}], \"scrub\": {\"days\": 90, "
             "\"rate_max\": \"1GiB\", \"window\": \"22:00-06:30\", \"media\": false, \"pressure\": 0}, \"repair\": "
             "{\"automatic\": true, \"from\": \"/mirror\"}, \"sweep\": {\"enabled\": false}, \"recover\": {\"enabled\": false}, "
             "\"socket\": {\"path\": \"/tmp/s\", \"group\": \"adm\"}, \"metrics\": {\"textfile\": \"/tmp/m.prom\"}, \"state\": \"/tmp/x\"}",
             &c);
        const struct oxl_scrub_contract *a = &c.repositories[0].scrub.contract, *b = &c.repositories[1].scrub.contract;
        assert_int_equal(a->days, 90);
        assert_int_equal(a->rate_max, UINT64_C(1) << 30);
        assert_int_equal(a->window_begin, 22 * 60);
        assert_int_equal(a->window_end, 6 * 60 + 30);
        assert_false(a->media);
        assert_true(a->repair);
        assert_int_equal(a->pressure, 0);
        assert_string_equal(a->from, "/mirror");
        assert_int_equal(b->days, 7);
        assert_int_equal(b->rate_max, 20 << 20);
        assert_int_equal(b->window_begin, b->window_end);
        assert_true(b->media);
        assert_false(b->repair);
        assert_null(b->from);
        assert_int_equal(c.repositories[1].kind, CONFIG_OXEN);
        assert_false(c.sweep);
        assert_false(c.recover);
        assert_string_equal(c.socket_group, "adm");
        assert_string_equal(c.textfile, "/tmp/m.prom");
        config_done(&c);
}

static void every_error_is_named_at_once(void **state)
{
        bad("{\"repositories\": [{\"path\": \"/a\", \"days\": 0}, {\"kind\": \"git\"}, {\"path\": \"b\", \"a/b~c\": 1}, 7, "
            "{\"path\": \"/a\"}], \"scrub\": {\"pressure\": 101, \"window\": \"25:00-06:00\", \"rate_max\": \"fast\", \"days\": 1.5}, "
            "\"sweep\": true, \"socket\": {\"group\": \"\"}, \"more\": null}",
            "/scrub/pressure: 101 is above 100\n"
            "/scrub/window: '25:00-06:00' is not a window such as \"22:00-06:00\"\n"
            "/scrub/rate_max: 'fast' is not a size such as \"50MiB\"\n"
            "/scrub/days: must be a whole number\n"
            "/sweep: must be an object\n"
            "/socket/group: must not be empty\n"
            "/more: unknown key\n"
            "/repositories/0/days: 0 is below 1\n"
            "/repositories/1/kind: 'git' is not one of auto, native, oxen\n"
            "/repositories/1: \"path\" is missing\n"
            "/repositories/2/path: must be an absolute path\n"
            "/repositories/2/a~1b~0c: unknown key\n"
            "/repositories/3: must be an object\n"
            "/repositories/4: the same path is in /repositories/0\n");
}

static void what_is_no_object_is_said_to_be_none(void **state)
{
        bad("[]", "the document: must be an object\n");
        bad("{}", "the document: \"repositories\" is missing\n");
        bad("{\"repositories\": {}}", "/repositories: must be an array\n");
        bad("{\"repositories\": [{\"path\": 3}]}", "/repositories/0/path: must be a string\n");
        bad("{\"repositories\": [], \"state\": \"\"}", "/state: must be an absolute path\n");
}

static void what_is_no_json_says_where(void **state)
{
        struct config c = { 0 };
        struct config_errors errors = { 0 };
        static const char *const texts[] = { "", "{", "{\"repositories\": []} x",
                                             "{\"repositories\": [], \"repositories\": []}" };

        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
                assert_int_equal(config_parse(texts[i], strlen(texts[i]), &c, &errors, NULL), CONFIG_BAD);
                assert_int_equal(errors.n, 1);
                assert_non_null(strstr(errors.lines[0], "the document: is no JSON"));
                assert_int_equal(strstr(errors.lines[0], ": line 1, column ") != NULL, i == 1 || i == 2);
                config_errors_done(&errors);
        }
}

static void errors_have_a_limit_and_are_harmless_on_a_terminal(void **state)
{
        struct config c = { 0 };
        struct config_errors errors = { 0 };
        char text[8192] = "{\"repositories\": [";
        size_t n = strlen(text);

        for (int i = 0; i < 150; i++) {
                memcpy(text + n, "7,", 2);
                n += 2;
        }
        memcpy(text + n, "{\"\\u001b[2J\": 1}]}", 19);
        n = strlen(text);
        assert_int_equal(config_parse(text, n, &c, &errors, NULL), CONFIG_BAD);
        assert_int_equal(errors.n, CONFIG_ERRORS_MAX);
        assert_int_equal(errors.more, 150 + 2 - CONFIG_ERRORS_MAX);
        config_errors_done(&errors);
        bad("{\"repositories\": [], \"\\u001b[2J\": 1}", "/\\x1b[2J: unknown key\n");
}

static void windows_may_wrap_and_end_at_midnight(void **state)
{
        static const struct {
                const char *text;
                int begin, end;
        } windows[] = { { "00:00-24:00", 0, 0 },
                        { "18:00-24:00", 1080, 0 },
                        { "23:59-00:00", 1439, 0 },
                        { "07:00-07:00", 420, 420 } };

        for (size_t i = 0; i < sizeof windows / sizeof windows[0]; i++) {
                struct config c;
                char text[128];
                (void)snprintf(text, sizeof text, "{\"repositories\": [], \"scrub\": {\"window\": \"%s\"}}",
                               windows[i].text);
                good(text, &c);
                assert_int_equal(c.scrub.contract.window_begin, windows[i].begin);
                assert_int_equal(c.scrub.contract.window_end, windows[i].end);
                config_done(&c);
        }
}

static void patterns_are_told_from_paths(void **state)
{
        assert_true(config_is_pattern("/srv/*/data"));
        assert_true(config_is_pattern("/srv/a?"));
        assert_true(config_is_pattern("/srv/[ab]"));
        assert_false(config_is_pattern("/srv/data"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(one_path_is_a_complete_file),
                cmocka_unit_test(entries_inherit_and_override_whatever_the_order),
                cmocka_unit_test(every_error_is_named_at_once),
                cmocka_unit_test(what_is_no_object_is_said_to_be_none),
                cmocka_unit_test(what_is_no_json_says_where),
                cmocka_unit_test(errors_have_a_limit_and_are_harmless_on_a_terminal),
                cmocka_unit_test(windows_may_wrap_and_end_at_midnight),
                cmocka_unit_test(patterns_are_told_from_paths),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
