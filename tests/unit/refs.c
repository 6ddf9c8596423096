/* SPDX-License-Identifier: MIT */
/* Refs and HEAD: names, reading under damage, compare and swap, listing. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "repo/repo.h"
#include "support/place.h"

struct fixture {
        char *place;
        struct oxl_repo *repo;
        struct oxl_digest id[2];
};

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof *f);
        f->place = place_new();
        *state = f;
        if (oxl_repo_init(f->place, OXL_ALGO_BLAKE3, NULL) < 0 || oxl_repo_open(f->place, NULL, &f->repo, NULL) < 0)
                return -1;
        f->id[0] = oxl_digest_of(OXL_ALGO_BLAKE3, "a", 1);
        f->id[1] = oxl_digest_of(OXL_ALGO_BLAKE3, "b", 1);
        return oxl_repo_lock_writer(f->repo, NULL);
}

static int teardown(void **state)
{
        struct fixture *f = *state;
        oxl_repo_close(f->repo);
        place_free(f->place);
        free(f);
        return 0;
}

static const struct oxl_digest none = OXL_DIGEST_INIT;

static void make(struct fixture *f, const char *name, const struct oxl_digest *id)
{
        assert_int_equal(oxl_ref_swap(f->repo, name, &none, id, NULL), 0);
}

static void names_follow_git(void **state)
{
        static const char *const good[] = { "main",  "a/b", "v1.0", "feature/x-y_z", "\xc3\xa4", "abcdefg",
                                            "ab/cd", "a@b", "{" };
        static const char *const bad[] = {
                "",
                "/a",
                "a/",
                "a//b",
                ".a",
                "a/.b",
                "a.",
                "a..b",
                "a b",
                "a\tb",
                "a~",
                "a^b",
                "a:b",
                "a?",
                "a*",
                "a[",
                "a\\b",
                "a@{b",
                "@",
                "x.lock",
                "a.lock/b",
                "a\x7f",
                "abc",
                "0123",
                "ABCD",
                ".",
                "..",
                "a/../b",
                "a\nb",
                "f.oxl-0123456789abcdef-0123456789abcdef.tmp",
                "f.oxl-0123456789abcdef-0123456789abcdef.tmp/x",
        };
        for (size_t i = 0; i < OXL_ARRAY_LEN(good); i++)
                if (oxl_ref_name_check(good[i], NULL) != 0)
                        fail_msg("'%s' was refused", good[i]);
        for (size_t i = 0; i < OXL_ARRAY_LEN(bad); i++)
                if (oxl_ref_name_check(bad[i], NULL) != -OXL_E_REF_NAME)
                        fail_msg("'%s' was not refused", bad[i]);
}

static void long_names_are_refused_before_they_reach_the_disk(void **state)
{
        char name[2000];
        memset(name, 'x', sizeof name);
        name[255] = 0;
        assert_int_equal(oxl_ref_name_check(name, NULL), 0);
        name[255] = 'x';
        name[256] = 0;
        assert_int_equal(oxl_ref_name_check(name, NULL), -OXL_E_REF_NAME);
        name[256] = 'x';
        for (size_t i = 100; i < sizeof name; i += 100)
                name[i] = '/';
        name[1013] = 0;
        assert_int_equal(oxl_ref_name_check(name, NULL), 0);
        name[1013] = 'x';
        name[1014] = 0;
        assert_int_equal(oxl_ref_name_check(name, NULL), -OXL_E_REF_NAME);
}

static void a_swapped_ref_is_read_back(void **state)
{
        struct fixture *f = *state;
        struct oxl_digest got;
        assert_int_equal(oxl_ref_read(f->repo, "refs/heads/a/b", &got, NULL), 1);
        make(f, "refs/heads/a/b", &f->id[0]);
        assert_int_equal(oxl_ref_read(f->repo, "refs/heads/a/b", &got, NULL), 0);
        assert_true(oxl_digest_equal(&got, &f->id[0]));
        assert_int_equal(oxl_ref_swap(f->repo, "refs/heads/a/b", &f->id[0], &f->id[1], NULL), 0);
        assert_int_equal(oxl_ref_read(f->repo, "refs/heads/a/b", &got, NULL), 0);
        assert_true(oxl_digest_equal(&got, &f->id[1]));
}

static void a_swap_from_the_wrong_value_changes_nothing(void **state)
{
        struct fixture *f = *state;
        struct oxl_digest got;
        struct oxl_error err = OXL_ERROR_INIT;
        assert_int_equal(oxl_ref_swap(f->repo, "refs/heads/m", &f->id[0], &f->id[1], &err), -OXL_E_REF_CHANGED);
        assert_int_equal(err.got.algo, OXL_ALGO_NONE);
        assert_int_equal(oxl_ref_read(f->repo, "refs/heads/m", &got, NULL), 1);
        make(f, "refs/heads/m", &f->id[0]);
        assert_int_equal(oxl_ref_swap(f->repo, "refs/heads/m", &none, &f->id[1], &err), -OXL_E_REF_CHANGED);
        assert_true(oxl_digest_equal(&err.got, &f->id[0]));
        assert_int_equal(oxl_ref_swap(f->repo, "refs/heads/m", &f->id[1], &f->id[1], &err), -OXL_E_REF_CHANGED);
        assert_int_equal(oxl_ref_read(f->repo, "refs/heads/m", &got, NULL), 0);
        assert_true(oxl_digest_equal(&got, &f->id[0]));
        oxl_error_done(&err);
}

static void names_outside_refs_are_refused(void **state)
{
        static const char *const bad[] = {
                "HEAD",        "refs/heads/", "refs/other/x", "refs/heads/../../format", "refs/heads/a/../b",
                "/etc/passwd", "refs"
        };
        struct fixture *f = *state;
        struct oxl_digest got;
        for (size_t i = 0; i < OXL_ARRAY_LEN(bad); i++)
                assert_int_equal(oxl_ref_read(f->repo, bad[i], &got, NULL), -OXL_E_REF_NAME);
}

/* Every changed bit and every cut of file @name makes @read fail with MALFORMED or SEAL. */
static void assert_guarded(struct fixture *f, const char *name, int (*read_it)(struct fixture *f))
{
        size_t n;
        char *bytes = place_read(f->place, name, &n);
        for (size_t bit = 0; bit < 8 * n; bit++) {
                bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
                place_write(f->place, name, bytes, n);
                int r = read_it(f);
                assert_true(r == -OXL_E_MALFORMED || r == -OXL_E_SEAL);
                bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
        }
        for (size_t cut = 0; cut < n; cut++) {
                place_write(f->place, name, bytes, cut);
                assert_int_equal(read_it(f), -OXL_E_MALFORMED);
        }
        place_write(f->place, name, bytes, n);
        assert_int_equal(read_it(f), 0);
        free(bytes);
}

/* Other things in the place of file @name. */
static void assert_typed_errors(struct fixture *f, const char *name, int (*read_it)(struct fixture *f))
{
        char *path = place_path(f->place, name), *big = calloc(1, OXL_SEALED_TEXT_MAX + 1);
        place_write(f->place, name, big, OXL_SEALED_TEXT_MAX + 1);
        assert_int_equal(read_it(f), -OXL_E_MALFORMED);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(mkfifo(path, 0666), 0);
        assert_int_equal(read_it(f), -OXL_E_MALFORMED);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(symlink("format", path), 0);
        assert_int_equal(read_it(f), -OXL_E_MALFORMED);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(mkdir(path, 0777), 0);
        assert_int_equal(read_it(f), -OXL_E_MALFORMED);
        free(big);
        free(path);
}

static int read_main(struct fixture *f)
{
        struct oxl_digest got;
        return oxl_ref_read(f->repo, "refs/heads/main", &got, NULL);
}

static int read_head(struct fixture *f)
{
        struct oxl_digest got;
        char *ref;
        int r = oxl_head_read(f->repo, &ref, &got, NULL);
        if (r == 0)
                free(ref);
        return r;
}

static void a_damaged_ref_is_refused(void **state)
{
        struct fixture *f = *state;
        make(f, "refs/heads/main", &f->id[0]);
        assert_guarded(f, ".oxen-lite/refs/heads/main", read_main);
        assert_typed_errors(f, ".oxen-lite/refs/heads/main", read_main);
}

static void a_damaged_head_is_refused(void **state)
{
        struct fixture *f = *state;
        assert_guarded(f, ".oxen-lite/HEAD", read_head);
        assert_typed_errors(f, ".oxen-lite/HEAD", read_head);
}

static void a_missing_head_is_malformed(void **state)
{
        struct fixture *f = *state;
        char *path = place_path(f->place, ".oxen-lite/HEAD");
        assert_int_equal(unlink(path), 0);
        assert_int_equal(read_head(f), -OXL_E_MALFORMED);
        free(path);
}

static void two_valid_refs_that_were_swapped_are_found(void **state)
{
        struct fixture *f = *state;
        make(f, "refs/heads/main", &f->id[0]);
        make(f, "refs/heads/dev", &f->id[1]);
        char *from = place_path(f->place, ".oxen-lite/refs/heads/dev"),
             *to = place_path(f->place, ".oxen-lite/refs/heads/main");
        assert_int_equal(rename(from, to), 0);
        assert_int_equal(read_main(f), -OXL_E_SEAL);
        free(from);
        free(to);
}

static void sealed_nonsense_in_head_is_malformed(void **state)
{
        static const char *const bodies[] = { "ref: refs/heads/\n",
                                              "ref: refs/tags/x\n",
                                              "ref: refs/heads/a..b\n",
                                              "ref: refs/heads/x",
                                              "ref: refs/heads/x\n\n",
                                              "x\n",
                                              "",
                                              "ref: HEAD\n" };
        struct fixture *f = *state;
        for (size_t i = 0; i < OXL_ARRAY_LEN(bodies); i++) {
                struct oxl_buf text = OXL_BUF_INIT;
                assert_int_equal(oxl_buf_append_text(&text, bodies[i], NULL), 0);
                assert_int_equal(oxl_seal_text(&text, "HEAD", &f->repo->format.id, "HEAD", NULL), 0);
                place_write(f->place, ".oxen-lite/HEAD", text.data, text.len);
                assert_int_equal(read_head(f), -OXL_E_MALFORMED);
                oxl_buf_done(&text);
        }
}

static void sealed_nonsense_in_a_ref_is_malformed(void **state)
{
#define HEX63 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde"
        static const char *const bodies[] = {
                HEX63 "f", HEX63 "f\n\n", HEX63 "f\nmore\n", " " HEX63 "f\n", HEX63 "\n", HEX63 "F\n", ""
        };
        struct fixture *f = *state;
        make(f, "refs/heads/main", &f->id[0]);
        for (size_t i = 0; i < OXL_ARRAY_LEN(bodies); i++) {
                struct oxl_buf text = OXL_BUF_INIT;
                assert_int_equal(oxl_buf_append_text(&text, bodies[i], NULL), 0);
                assert_int_equal(oxl_seal_text(&text, "ref", &f->repo->format.id, "refs/heads/main", NULL), 0);
                place_write(f->place, ".oxen-lite/refs/heads/main", text.data, text.len);
                assert_int_equal(read_main(f), -OXL_E_MALFORMED);
                oxl_buf_done(&text);
        }
}

static void a_new_repository_is_on_main_without_commits(void **state)
{
        struct fixture *f = *state;
        struct oxl_head head;
        assert_int_equal(oxl_repo_head(f->repo, &head, NULL), 0);
        assert_string_equal(head.branch, "main");
        assert_int_equal(head.commit.algo, OXL_ALGO_NONE);
        oxl_head_done(&head);
        make(f, "refs/heads/main", &f->id[0]);
        assert_int_equal(oxl_repo_head(f->repo, &head, NULL), 0);
        assert_true(oxl_digest_equal(&head.commit, &f->id[0]));
        oxl_head_done(&head);
}

static void a_detached_head_moves_by_compare_and_swap(void **state)
{
        struct fixture *f = *state;
        struct oxl_buf text = OXL_BUF_INIT;
        struct oxl_head head;
        assert_int_equal(oxl_head_swap(f->repo, &f->id[0], &f->id[1], NULL), -OXL_E_REF_CHANGED); /* on a branch */
        assert_int_equal(oxl_head_print(&f->repo->format.id, NULL, &f->id[0], &text, NULL), 0);
        place_write(f->place, ".oxen-lite/HEAD", text.data, text.len);
        assert_int_equal(oxl_head_swap(f->repo, &f->id[1], &f->id[0], NULL), -OXL_E_REF_CHANGED);
        assert_int_equal(oxl_head_swap(f->repo, &f->id[0], &f->id[1], NULL), 0);
        assert_int_equal(oxl_repo_head(f->repo, &head, NULL), 0);
        assert_null(head.branch);
        assert_true(oxl_digest_equal(&head.commit, &f->id[1]));
        oxl_head_done(&head);
        oxl_buf_done(&text);
}

struct list {
        char text[1024];
        int stop_after;
};

static int note(void *ctx, const char *name, const struct oxl_digest *id, struct oxl_error *err)
{
        struct list *l = ctx;
        size_t n = strlen(l->text);
        snprintf(l->text + n, sizeof l->text - n, "%s %d\n", name, id->algo);
        return --l->stop_after == 0 ? -OXL_E_CANCELLED : 0;
}

static void refs_are_listed_in_order(void **state)
{
        struct fixture *f = *state;
        struct list l = { .stop_after = -1 };
        make(f, "refs/tags/v1", &f->id[0]);
        make(f, "refs/heads/z", &f->id[0]);
        make(f, "refs/heads/a/b/c", &f->id[0]);
        make(f, "refs/heads/a.b", &f->id[1]);
        place_text(f->place, ".oxen-lite/refs/heads/z.oxl-0123456789abcdef-0123456789abcdef.tmp", "half");
        place_mkdir(f->place, ".oxen-lite/refs/heads/empty");
        assert_int_equal(oxl_repo_refs(f->repo, note, &l, NULL), 0);
        assert_string_equal(l.text, "refs/heads/a.b 1\nrefs/heads/a/b/c 1\nrefs/heads/z 1\nrefs/tags/v1 1\n");
        l = (struct list){ .stop_after = 2 };
        assert_int_equal(oxl_repo_refs(f->repo, note, &l, NULL), -OXL_E_CANCELLED);
        assert_string_equal(l.text, "refs/heads/a.b 1\nrefs/heads/a/b/c 1\n");
}

static void count_notice(void *ctx, const char *path, const char *text)
{
        assert_string_equal(path, "refs/heads/main~");
        assert_non_null(strstr(text, "no ref"));
        (*(int *)ctx)++;
}

static void a_stray_file_among_the_refs_is_told_and_left_out(void **state)
{
        struct fixture *f = *state;
        struct list l = { .stop_after = -1 };
        int told = 0;
        make(f, "refs/heads/main", &f->id[0]);
        place_text(f->place, ".oxen-lite/refs/heads/main~", "junk");
        f->repo->options.notice = count_notice;
        f->repo->options.ctx = &told;
        assert_int_equal(oxl_repo_refs(f->repo, note, &l, NULL), 0);
        assert_string_equal(l.text, "refs/heads/main 1\n");
        assert_int_equal(told, 1);
        /* what has the name of a ref, and is no file, is a root that nobody can follow */
        char *link = place_path(f->place, ".oxen-lite/refs/heads/link");
        assert_int_equal(symlink("main", link), 0);
        assert_int_equal(oxl_repo_refs(f->repo, note, &l, NULL), -OXL_E_MALFORMED);
        free(link);
}

static void a_damaged_ref_stops_the_listing(void **state)
{
        struct fixture *f = *state;
        struct list l = { .stop_after = -1 };
        place_text(f->place, ".oxen-lite/refs/heads/main", "junk");
        assert_int_equal(oxl_repo_refs(f->repo, note, &l, NULL), -OXL_E_MALFORMED);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(names_follow_git),
                cmocka_unit_test(long_names_are_refused_before_they_reach_the_disk),
                T(a_swapped_ref_is_read_back),
                T(a_swap_from_the_wrong_value_changes_nothing),
                T(names_outside_refs_are_refused),
                T(a_damaged_ref_is_refused),
                T(a_damaged_head_is_refused),
                T(a_missing_head_is_malformed),
                T(two_valid_refs_that_were_swapped_are_found),
                T(sealed_nonsense_in_head_is_malformed),
                T(sealed_nonsense_in_a_ref_is_malformed),
                T(a_new_repository_is_on_main_without_commits),
                T(a_detached_head_moves_by_compare_and_swap),
                T(refs_are_listed_in_order),
                T(a_stray_file_among_the_refs_is_told_and_left_out),
                T(a_damaged_ref_stops_the_listing),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
