/* SPDX-License-Identifier: MIT */
/* Changing a tree must give the very id that building all of its files gives, and touch only what changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/path.h"
#include "support/trees.h"

/* The difference of two settled lists, as an update wants it. */
struct changes {
        const struct trees_files *from, *to;
        size_t i, j;
};

static bool same_file(const struct trees_file *a, const struct trees_file *b)
{
        return a->kind == b->kind && a->size == b->size && oxl_digest_equal(&a->id, &b->id);
}

static int next_change(void *ctx, struct oxl_tree_item *ret, struct oxl_error *err)
{
        struct changes *c = ctx;
        (void)err;
        while (c->i < c->from->n || c->j < c->to->n) {
                const struct trees_file *a = c->i < c->from->n ? &c->from->at[c->i] : NULL;
                const struct trees_file *b = c->j < c->to->n ? &c->to->at[c->j] : NULL;
                int order = !a ? 1 : !b ? -1 : oxl_path_compare(a->path, strlen(a->path), b->path, strlen(b->path));
                c->i += order <= 0;
                c->j += order >= 0;
                if (order == 0 && same_file(a, b))
                        continue;
                *ret = order < 0 ? (struct oxl_tree_item){ .path = a->path, .path_len = strlen(a->path) }
                                 : (struct oxl_tree_item){ b->path, strlen(b->path), b->kind, b->size, b->id };
                return 0;
        }
        return 1;
}

static int update(struct trees *t, const struct trees_files *from, const struct trees_files *to,
                  const struct oxl_digest *base, struct oxl_digest *ret)
{
        struct changes c = { from, to, 0, 0 };
        struct oxl_tree_source source = trees_source(t);
        t->fetched = t->emitted = 0;
        return oxl_tree_update_from(&source, base, next_change, &c, trees_emit, t, ret, NULL);
}

static void expect_same(struct trees *t, const struct trees_files *from, const struct trees_files *to)
{
        struct oxl_digest base = trees_build(t, from), want = trees_build(t, to), got;
        assert_int_equal(update(t, from, to, &base, &got), 0);
        assert_memory_equal(&got, &want, sizeof want);
}

static void remove_file(struct trees_files *f, size_t i)
{
        free(f->at[i].path);
        memmove(&f->at[i], &f->at[i + 1], (--f->n - i) * sizeof f->at[0]);
}

/* Removes, changes and adds about @n files; runs of neighbours now and then. */
static struct trees_files edited(const struct trees_files *from, uint64_t *seed, size_t n, unsigned dirs)
{
        struct trees_files to = trees_files_copy(from), more = { 0 };
        for (size_t k = 0; k < n && to.n > 0; k++) {
                size_t at = trees_random(seed) % to.n, run = trees_random(seed) % 8 == 0 ? 40 : 1;
                for (; run > 0 && at < to.n; run--) {
                        if (trees_random(seed) % 2)
                                remove_file(&to, at);
                        else
                                to.at[at++].size ^= 1 + trees_random(seed) % 2;
                }
        }
        for (size_t k = 0; k < to.n; k++) /* no link without a target, none that is too long */
                if (to.at[k].size == 0)
                        to.at[k].size = 9;
        trees_files_random(&more, seed, n + 1, dirs);
        for (size_t k = 0; k < more.n; k++)
                trees_files_add(&to, more.at[k].path, trees_random(seed));
        trees_files_settle(&to);
        trees_files_done(&more);
        return to;
}

static void any_change_gives_the_tree_that_building_gives(void **state)
{
        (void)state;
        uint64_t seed = 7;
        for (unsigned round = 0; round < 120; round++) {
                struct trees t = { 0 };
                struct trees_files from = { 0 };
                unsigned dirs = 1 + round % 5;
                trees_files_random(&from, &seed, 1 + trees_random(&seed) % (round % 10 == 0 ? 3000 : 400), dirs);
                struct trees_files to = edited(&from, &seed, round % 7 == 0 ? 300 : trees_random(&seed) % 12, dirs);
                expect_same(&t, &from, &to);
                expect_same(&t, &to, &from);
                trees_files_done(&from);
                trees_files_done(&to);
                trees_done(&t);
        }
}

static void ends_of_split_nodes_come_and_go(void **state)
{
        (void)state;
        struct trees t = { 0 };
        struct trees_files from = { 0 };
        trees_files_add_chosen(&from, "d/n", 3000, true);
        trees_files_add(&from, "a", 1);
        trees_files_add(&from, "z/z", 2);
        trees_files_settle(&from);
        for (size_t i = 0; i < from.n; i += i < 80 ? 1 : 97) {
                struct trees_files to = trees_files_copy(&from);
                remove_file(&to, i);
                expect_same(&t, &from, &to);
                expect_same(&t, &to, &from);
                trees_files_done(&to);
        }
        trees_files_done(&from);
        trees_done(&t);
}

static void from_nothing_to_everything_and_back(void **state)
{
        (void)state;
        struct trees t = { 0 };
        struct trees_files none = { 0 }, all = { 0 };
        uint64_t seed = 3;
        trees_files_random(&all, &seed, 2000, 3);
        expect_same(&t, &none, &all);
        expect_same(&t, &all, &none);
        expect_same(&t, &all, &all);
        trees_files_done(&all);
        trees_done(&t);
}

/* Shrinks the one-file commit in a large tree from minutes to milliseconds: the reason for all of this. */
static void one_change_touches_the_nodes_on_its_way_only(void **state)
{
        (void)state;
        struct trees t = { 0 };
        struct trees_files from = { 0 };
        for (unsigned i = 0; i < 20000; i++) {
                char path[64];
                snprintf(path, sizeof path, "deep/%u/%u/f", i % 100, i);
                if (i % 2)
                        snprintf(path, sizeof path, "flat/file-%u", i);
                trees_files_add(&from, path, i);
        }
        trees_files_settle(&from);
        struct oxl_digest base = trees_build(&t, &from), want, got;
        for (size_t i = 0; i < from.n; i += 1999) {
                struct trees_files to = trees_files_copy(&from);
                to.at[i].id.bytes[0] ^= 1;
                want = trees_build(&t, &to);
                assert_int_equal(update(&t, &from, &to, &base, &got), 0);
                assert_memory_equal(&got, &want, sizeof want);
                assert_in_range(t.fetched, 1, 12);
                assert_in_range(t.emitted, 1, 12);
                trees_files_done(&to);
        }
        trees_files_done(&from);
        trees_done(&t);
}

static void a_node_that_cannot_be_read_is_told(void **state)
{
        (void)state;
        struct trees t = { 0 };
        struct trees_files from = { 0 }, to;
        trees_files_add(&from, "d/a", 1);
        trees_files_add(&from, "e/b", 2);
        to = trees_files_copy(&from);
        to.at[0].size++;
        struct oxl_digest base = trees_build(&t, &from), got;
        t.missing = &base;
        assert_int_equal(update(&t, &from, &to, &base, &got), -OXL_E_OBJECT_MISSING);
        trees_files_done(&from);
        trees_files_done(&to);
        trees_done(&t);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(any_change_gives_the_tree_that_building_gives),
                cmocka_unit_test(ends_of_split_nodes_come_and_go),
                cmocka_unit_test(from_nothing_to_everything_and_back),
                cmocka_unit_test(one_change_touches_the_nodes_on_its_way_only),
                cmocka_unit_test(a_node_that_cannot_be_read_is_told),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
