/* SPDX-License-Identifier: MIT */
/* Lines of .oxenliteignore: what each matches, as gitignore(5) says; and that no line takes for ever. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "repo/ignore.h"
#include "support/scratch.h"

static bool matches(const char *line, const char *path, bool directory)
{
        struct oxl_pattern *p;
        assert_int_equal(oxl_pattern_new(line, &p, NULL), 0);
        assert_non_null(p);
        bool yes = oxl_pattern_matches(p, path, directory);
        oxl_pattern_free(p);
        return yes;
}

struct row {
        const char *line, *path;
        bool yes;
};

static void check_rows(const struct row *rows, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (matches(rows[i].line, rows[i].path, false) != rows[i].yes)
                        fail_msg("'%s' against '%s' should be %d", rows[i].line, rows[i].path, rows[i].yes);
}

static void a_line_without_slash_matches_the_last_component(void **state)
{
        static const struct row rows[] = {
                { "a", "a", true },
                { "a", "x/y/a", true },
                { "a", "a/x", false },
                { "a", "ab", false },
                { "*.o", "x/f.o", true },
                { "*.o", ".o", true },
                { "*.o", "f.oo", false },
                { "f*", "d/foo", true },
                { "?", "x/a", true },
                { "?", "ab", false },
                { "**", "x/y", true },
                { "a**b", "axxb", true },
                { "*a*b*c", "xaxbxcx", false },
                { "*a*b*c*", "xaxbxcx", true },
        };
        (void)state;
        check_rows(rows, sizeof rows / sizeof rows[0]);
}

static void a_slash_binds_to_the_folder_of_the_file(void **state)
{
        static const struct row rows[] = {
                { "/a", "a", true },        { "/a", "x/a", false },    { "x/a", "x/a", true },
                { "x/a", "y/x/a", false },  { "x/*", "x/a", true },    { "x/*", "x/a/b", false },
                { "x/*/b", "x/a/b", true }, { "x/*/b", "x/b", false }, { "*/b", "x/b", true },
                { "*/b", "b", false },      { "x?a", "x/a", false },
        };
        (void)state;
        check_rows(rows, sizeof rows / sizeof rows[0]);
}

static void two_stars_between_slashes_match_any_folders(void **state)
{
        static const struct row rows[] = {
                { "**/a", "a", true },
                { "**/a", "x/y/a", true },
                { "**/a", "x/ya", false },
                { "a/**", "a/b/c", true },
                { "a/**", "a", false },
                { "a/**/b", "a/b", true },
                { "a/**/b", "a/x/y/b", true },
                { "a/**/b", "ab", false },
                { "a/**/b", "a/xb", false },
                { "**/x/**", "a/x/b", true },
                { "**/x/**", "x", false },
                { "a/x**/b", "a/xy/b", true },
                { "a/?x**/b", "a/yxz/w/b", false },
                { "a/?x**/b", "a/yxz/b", true },
                { "a/x**/b", "a/xy/z/b", true }, /* as git, which matches a literal beginning by itself */
                { "**/a/*.o", "q/a/f.o", true },
                { "**/**/a", "a", true },
        };
        (void)state;
        check_rows(rows, sizeof rows / sizeof rows[0]);
}

static void sets_ranges_classes_and_escapes(void **state)
{
        static const struct row rows[] = {
                { "[a-c]", "b", true },
                { "[a-c]", "d", false },
                { "[!a-c]", "d", true },
                { "[^a-c]", "b", false },
                { "[]a]", "]", true },
                { "[!]a]", "]", false },
                { "[a-]", "-", true },
                { "[[:digit:]x]", "7", true },
                { "[[:digit:]x]", "x", true },
                { "[[:nope:]]", "n", false },
                { "[a", "a", false },
                { "[a", "[a", false },
                { "\\*", "*", true },
                { "\\*", "a", false },
                { "a\\", "a", false },
                { "\\#x", "#x", true },
                { "\\!x", "!x", true },
                { "[\\]]", "]", true },
                { "x[!a]y", "x/y", false },
                { "a\\ ", "a ", true },
                { "a ", "a", true },
                { "a\t", "a\t", true },
                { "\\a", "a", true },
                { "[z-a]", "m", false },
                { "[\xc3-\xc4]", "\xc3", true },
        };
        (void)state;
        check_rows(rows, sizeof rows / sizeof rows[0]);
}

static void a_slash_at_the_end_means_folders_only(void **state)
{
        (void)state;
        assert_true(matches("d/", "d", true));
        assert_false(matches("d/", "d", false));
        assert_true(matches("d/", "x/d", true));
        assert_false(matches("/d/", "x/d", true));
        assert_true(matches("x/**/", "x/y", true));
}

static void lines_that_say_nothing(void **state)
{
        static const char *const lines[] = { "", "# comment", "   ", "!", "/", "!/" };
        (void)state;
        for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
                struct oxl_pattern *p;
                assert_int_equal(oxl_pattern_new(lines[i], &p, NULL), 0);
                assert_null(p);
        }
}

static void a_line_that_is_too_long_is_refused(void **state)
{
        char line[4099];
        struct oxl_pattern *p;
        (void)state;
        memset(line, 'x', sizeof line);
        line[4096] = '\0';
        assert_int_equal(oxl_pattern_new(line, &p, NULL), 0);
        oxl_pattern_free(p);
        line[4096] = 'x';
        line[4097] = '\0';
        assert_int_equal(oxl_pattern_new(line, &p, NULL), -OXL_E_LIMIT);
}

/* With backtracking each of these would outlive the sun; the alarm kills the test then. */
static void hostile_lines_end(void **state)
{
        char line[4097] = "", path[32768];
        (void)state;
        alarm(120);
        memset(path, 'a', sizeof path);
        path[sizeof path - 1] = '\0';
        for (size_t i = 0; i + 2 < 4096; i += 2)
                memcpy(line + i, "*a", 3);
        memcpy(line + 4092, "*b", 3);
        assert_false(matches(line, path, false));
        for (size_t i = 1; i < sizeof path - 1; i += 2)
                path[i] = '/';
        line[0] = '\0';
        for (size_t i = 0; i + 5 < 4096; i += 5)
                memcpy(line + i, "**/a/", 6);
        snprintf(line + strlen(line), 2, "b");
        assert_false(matches(line, path, false));
        alarm(0);
}

static void ask(struct oxl_ignore *g, const char *path, bool directory, int want)
{
        int got = oxl_ignore_path(g, path, directory, NULL);
        if (got != want)
                fail_msg("'%s' is %d, not %d", path, got, want);
}

static void the_nearest_file_and_the_last_line_win(void **state)
{
        struct scratch dir;
        struct oxl_ignore *g;
        (void)state;
        scratch_new(&dir);
        mkdirat(dir.fd, "d", 0777);
        mkdirat(dir.fd, "d/e", 0777);
        scratch_write(dir.fd, ".oxenliteignore", "\xef\xbb\xbf*.o\r\n!keep.o\nout/\n/top\nd/e/deep");
        scratch_write(dir.fd, "d/.oxenliteignore", "!*.o\n/x.o\n");
        scratch_write(dir.fd, "d/e/.oxenliteignore", "");
        assert_int_equal(oxl_ignore_new(dir.fd, &g, NULL), 0);
        for (int twice = 0; twice < 2; twice++) { /* in any order */
                ask(g, "a.o", false, 1);
                ask(g, "keep.o", false, 0);
                ask(g, "d/a.o", false, 0);
                ask(g, "d/x.o", false, 1);
                ask(g, "d/e/x.o", false, 0);
                ask(g, "d/e/deep", false, 1);
                ask(g, "out", true, 1);
                ask(g, "out", false, 0);
                ask(g, "out/keep.o", false, 1);
                ask(g, "d/e/out/f", false, 1);
                ask(g, "top", false, 1);
                ask(g, "d/top", false, 0);
                ask(g, "dd/a.o", false, 1);
                ask(g, "", true, 0);
        }
        assert_int_equal(oxl_ignore_item(g, "out/keep.o", false, NULL), 0);
        oxl_ignore_free(g);
        scratch_done(&dir);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_line_without_slash_matches_the_last_component),
                cmocka_unit_test(a_slash_binds_to_the_folder_of_the_file),
                cmocka_unit_test(two_stars_between_slashes_match_any_folders),
                cmocka_unit_test(sets_ranges_classes_and_escapes),
                cmocka_unit_test(a_slash_at_the_end_means_folders_only),
                cmocka_unit_test(lines_that_say_nothing),
                cmocka_unit_test(a_line_that_is_too_long_is_refused),
                cmocka_unit_test(hostile_lines_end),
                cmocka_unit_test(the_nearest_file_and_the_last_line_win),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
