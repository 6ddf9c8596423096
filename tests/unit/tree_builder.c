/* SPDX-License-Identifier: MIT */
/* The streaming tree builder: its bytes, its refusals, and that it agrees with a plain model of the split rule. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/path.h"
#include "support/trees.h"

struct fixture {
        struct trees trees;
        struct oxl_tree_builder *b;
        struct oxl_error err;
};

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof *f);
        assert_non_null(f);
        assert_int_equal(oxl_tree_builder_new(trees_emit, &f->trees, &f->b, NULL), 0);
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;
        oxl_tree_builder_free(f->b);
        trees_done(&f->trees);
        oxl_error_done(&f->err);
        free(f);
        return 0;
}

static const struct oxl_digest some_id = { .algo = OXL_ALGO_BLAKE3, .bytes = { 0xb1, 0xb2 } };

static int add(struct fixture *f, const char *path)
{
        return oxl_tree_builder_add(f->b, path, strlen(path), OXL_ENTRY_FILE, 7, &some_id, &f->err);
}

static void expect_refused(struct fixture *f, const char *path, enum oxl_code code, const char *why)
{
        assert_int_equal(add(f, path), -(int)code);
        assert_int_equal(f->err.code, code);
        assert_string_equal(f->err.path[0], path);
        assert_string_equal(f->err.detail, why);
}

/* --- a model: all entries of a directory in memory, cut level by level --- */

static struct oxl_digest model_node(struct trees *t, uint8_t level, const struct oxl_tree_entry *e, size_t n,
                                    struct oxl_tree_entry *ret_up)
{
        struct oxl_buf b = OXL_BUF_INIT;
        uint8_t header[OXL_TREE_HEADER_BYTES] = { 1, level, 0, 0, (uint8_t)n, (uint8_t)(n >> 8), 0, 0 };
        assert_int_equal(oxl_buf_append(&b, header, sizeof header, NULL), 0);
        *ret_up = (struct oxl_tree_entry){ .name = n ? e[0].name : "", .name_len = n ? e[0].name_len : 0 };
        for (size_t i = 0; i < n; i++) {
                assert_int_equal(oxl_tree_append_entry(&b, level, &e[i], NULL), 0);
                ret_up->size += e[i].size;
                ret_up->count += level ? e[i].count : 1;
        }
        ret_up->id = trees_put(t, b.data, b.len);
        oxl_buf_done(&b);
        return ret_up->id;
}

/* Cuts @e in place into the entries one level up; returns their number. */
static size_t model_cut(struct trees *t, uint8_t level, struct oxl_tree_entry *e, size_t n)
{
        size_t out = 0, begin = 0;
        for (size_t i = 0; i < n; i++) {
                size_t count = i - begin + 1;
                if (i + 1 < n && !oxl_tree_ends(level, (uint32_t)count, e[i].name, e[i].name_len))
                        continue;
                struct oxl_tree_entry up;
                model_node(t, level, e + begin, count, &up);
                e[out++] = up;
                begin = i + 1;
        }
        return out;
}

static struct oxl_tree_entry model_directory(struct trees *t, const struct trees_file *f, size_t n, size_t skip)
{
        struct oxl_tree_entry *e = calloc(n + 1, sizeof *e);
        assert_non_null(e);
        size_t entries = 0;
        for (size_t i = 0; i < n;) {
                const char *name = f[i].path + skip;
                size_t len = strcspn(name, "/"), end = i + 1;
                struct oxl_tree_entry x = { .kind = f[i].kind, .size = f[i].size, .id = f[i].id };
                if (name[len] == '/') {
                        while (end < n && strncmp(f[end].path, f[i].path, skip + len + 1) == 0)
                                end++;
                        x = model_directory(t, f + i, end - i, skip + len + 1);
                        x.kind = OXL_ENTRY_DIRECTORY;
                        x.count = 0;
                }
                x.name = name;
                x.name_len = (uint8_t)len;
                e[entries++] = x;
                i = end;
        }
        struct oxl_tree_entry root;
        if (entries == 0)
                model_node(t, 0, NULL, 0, &root);
        uint8_t level = 0;
        for (; entries > 0 && (level == 0 || entries > 1); level++)
                entries = model_cut(t, level, e, entries);
        if (level > 0)
                root = e[0];
        free(e);
        return root;
}

/* --- bytes --- */

static void a_small_tree_has_the_bytes_of_the_format(void **state)
{
        struct fixture *f = *state;
        struct oxl_digest id = { .algo = OXL_ALGO_BLAKE3 };
        memset(id.bytes, 0x11, sizeof id.bytes);
        struct oxl_digest xxh = { .algo = OXL_ALGO_XXH3_128, .bytes = { 0x22 } };
        assert_int_equal(oxl_tree_builder_add(f->b, "a", 1, OXL_ENTRY_EXECUTABLE, 258, &id, NULL), 0);
        assert_int_equal(oxl_tree_builder_add(f->b, "d/\xff", 3, OXL_ENTRY_SYMLINK, 3, &xxh, NULL), 0);
        struct oxl_digest root;
        assert_int_equal(oxl_tree_builder_finish(f->b, &root, NULL), 0);
        assert_int_equal(f->trees.emitted, 2);

        static const uint8_t sub[8 + 2 + 1 + 8 + 32] = { 1,    0, 0, 0, 1, 0, 0, 0, 3, 1,
                                                         0xff, 3, 0, 0, 0, 0, 0, 0, 0, 0x22 };
        uint8_t top[8 + 2 * (2 + 1 + 8 + 32)] = { 1, 0, 0, 0, 2, 0, 0, 0, 2, 1, 'a', 2, 1 };
        memset(top + 19, 0x11, 32);
        static const uint8_t dir[] = { 4, 1, 'd', 3, 0, 0, 0, 0, 0, 0, 0 };
        memcpy(top + 51, dir, sizeof dir);
        struct oxl_digest sub_id = oxl_digest_derive("oxen-lite 2026-11-22 tree v1", sub, sizeof sub);
        memcpy(top + 62, sub_id.bytes, 32);
        const struct trees_node *node = trees_get(&f->trees, &root);
        assert_non_null(node);
        assert_int_equal(node->payload.len, sizeof top);
        assert_memory_equal(node->payload.data, top, sizeof top);
        node = trees_get(&f->trees, &sub_id);
        assert_non_null(node);
        assert_memory_equal(node->payload.data, sub, sizeof sub);
}

static void the_empty_tree_is_a_leaf_without_entries(void **state)
{
        struct fixture *f = *state;
        static const uint8_t empty[8] = { 1 };
        struct oxl_digest root;
        assert_int_equal(oxl_tree_builder_finish(f->b, &root, NULL), 0);
        const struct trees_node *node = trees_get(&f->trees, &root);
        assert_int_equal(node->payload.len, sizeof empty);
        assert_memory_equal(node->payload.data, empty, sizeof empty);
}

/* --- refusals --- */

static void paths_out_of_order_are_refused(void **state)
{
        struct fixture *f = *state;
        assert_int_equal(add(f, "b/x"), 0);
        expect_refused(f, "a", OXL_E_PATH, "it is out of order");
        expect_refused(f, "b/a", OXL_E_PATH, "it is out of order");
        assert_int_equal(add(f, "b.c"), 0); /* '/' is below '.' */
        expect_refused(f, "b/y", OXL_E_PATH, "it is out of order");
}

static void duplicates_are_refused(void **state)
{
        struct fixture *f = *state;
        assert_int_equal(add(f, "a/b"), 0);
        expect_refused(f, "a/b", OXL_E_PATH, "it comes twice");
}

static void a_file_that_is_a_directory_too_is_refused(void **state)
{
        struct fixture *f = *state;
        assert_int_equal(add(f, "a"), 0);
        expect_refused(f, "a/b", OXL_E_PATH, "it is both a file and a directory");
        assert_int_equal(add(f, "c/d/e"), 0);
        expect_refused(f, "c", OXL_E_PATH, "it is both a file and a directory");
        expect_refused(f, "c/d", OXL_E_PATH, "it is both a file and a directory");
        expect_refused(f, "c/d/e/f/g", OXL_E_PATH, "it is both a file and a directory");
        assert_int_equal(add(f, "c/d/ef"), 0);
}

static void paths_that_are_not_clean_are_refused(void **state)
{
        struct fixture *f = *state;
        const char *paths[] = { "", "/a", "a//b", "a/", "./a", "a/..", "a/../b", ".oxen-lite", "a/.OXEN-LITE/b" };
        for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
                assert_int_equal(add(f, paths[i]), -OXL_E_PATH);
                assert_string_equal(f->err.path[0], paths[i]);
        }
        assert_int_equal(oxl_tree_builder_add(f->b, "a\0b", 3, OXL_ENTRY_FILE, 1, &some_id, NULL), -OXL_E_PATH);
        char longer[257];
        memset(longer, 'x', 256);
        longer[256] = 0;
        assert_int_equal(add(f, longer), -OXL_E_PATH);
        longer[255] = 0;
        assert_int_equal(add(f, longer), 0);
}

static void a_refused_path_leaves_the_builder_as_it_was(void **state)
{
        struct fixture *f = *state;
        struct trees_files files = { 0 };
        trees_files_add(&files, "a/b/c", 1);
        trees_files_add(&files, "a/b/d", 2);
        trees_files_add(&files, "e", 3);
        for (size_t i = 0; i < files.n; i++) {
                const struct trees_file *x = &files.at[i];
                assert_int_equal(oxl_tree_builder_add(f->b, x->path, strlen(x->path), x->kind, x->size, &x->id, NULL),
                                 0);
                assert_int_equal(add(f, "a/b"), -OXL_E_PATH);
                assert_int_equal(add(f, ".oxen-lite"), -OXL_E_PATH);
                assert_int_equal(oxl_tree_builder_add(f->b, "z", 1, OXL_ENTRY_SYMLINK, 0, &some_id, NULL),
                                 -OXL_E_LIMIT);
        }
        struct oxl_digest root, want = trees_build(&f->trees, &files);
        assert_int_equal(oxl_tree_builder_finish(f->b, &root, NULL), 0);
        assert_true(oxl_digest_equal(&root, &want));
        trees_files_done(&files);
}

static void a_path_has_up_to_32767_bytes(void **state)
{
        struct fixture *f = *state;
        char *path = malloc(32770);
        assert_non_null(path);
        memset(path, 'x', 32770);
        for (size_t i = 255; i < 32767; i += 256)
                path[i] = '/';
        path[32767] = 0; /* 128 names of 255 bytes */
        assert_int_equal(add(f, path), 0);
        path[0] = 'y';
        path[32767] = 'x';
        path[32768] = 0;
        expect_refused(f, path, OXL_E_LIMIT, "a path has at most 32,767 bytes");
        free(path);
}

static void a_file_lies_in_up_to_1024_directories(void **state)
{
        struct fixture *f = *state;
        char path[2 * 1025 + 2];
        for (size_t i = 0; i < 1025; i++)
                memcpy(path + 2 * i, "d/", 2);
        memcpy(path + 2 * 1024, "f", 2);
        assert_int_equal(add(f, path), 0);
        path[0] = 'e';
        memcpy(path + 2 * 1024, "d/f", 4);
        assert_int_equal(add(f, path), -OXL_E_LIMIT);
        assert_string_equal(f->err.detail, "it is more than 1,024 directories deep");
        struct oxl_digest root;
        assert_int_equal(oxl_tree_builder_finish(f->b, &root, NULL), 0);
        assert_int_equal(f->trees.emitted, 1025);
}

static void sizes_that_nothing_can_have_are_refused(void **state)
{
        struct fixture *f = *state;
        assert_int_equal(oxl_tree_builder_add(f->b, "a", 1, OXL_ENTRY_SYMLINK, 0, &some_id, NULL), -OXL_E_LIMIT);
        assert_int_equal(oxl_tree_builder_add(f->b, "a", 1, OXL_ENTRY_SYMLINK, 4096, &some_id, NULL), -OXL_E_LIMIT);
        assert_int_equal(oxl_tree_builder_add(f->b, "a", 1, OXL_ENTRY_FILE, UINT64_C(1) << 63, &some_id, NULL),
                         -OXL_E_LIMIT);
        for (const char *name = "abc"; *name; name++) {
                int want = *name == 'c' ? -OXL_E_LIMIT : 0; /* the sum reaches 2^64 */
                assert_int_equal(oxl_tree_builder_add(f->b, name, 1, OXL_ENTRY_FILE, INT64_MAX, &some_id, &f->err),
                                 want);
        }
        assert_string_equal(f->err.detail, "its directory has 2^64 bytes or more");
}

static int emit_fails(void *ctx, const void *payload, size_t n, struct oxl_digest *ret_id, struct oxl_error *err)
{
        unsigned *left = ctx;
        if ((*left)-- == 0)
                return OXL_FAIL_PLAIN(err, CANCELLED);
        *ret_id = oxl_digest_derive(OXL_CONTEXT_TREE, payload, n);
        return 1; /* an outcome such as "existed" is no error */
}

static void a_failed_emit_is_forwarded(void **state)
{
        for (unsigned good = 0; good < 4; good++) {
                struct oxl_tree_builder *b;
                unsigned left = good;
                assert_int_equal(oxl_tree_builder_new(emit_fails, &left, &b, NULL), 0);
                struct oxl_digest root;
                int r = oxl_tree_builder_add(b, "a/b/c", 5, OXL_ENTRY_FILE, 1, &some_id, NULL);
                if (r == 0)
                        r = oxl_tree_builder_add(b, "d", 1, OXL_ENTRY_FILE, 1, &some_id, NULL);
                if (r == 0)
                        r = oxl_tree_builder_finish(b, &root, NULL);
                assert_int_equal(r, good < 3 ? -OXL_E_CANCELLED : 0);
                oxl_tree_builder_free(b);
        }
}

/* --- splitting --- */

static struct oxl_tree_node root_node(const struct trees *t, const struct oxl_digest *root)
{
        struct oxl_tree_node node;
        assert_int_equal(
                oxl_tree_decode(oxl_buf_bytes(&trees_get(t, root)->payload), OXL_ALGO_BLAKE3, "root", &node, NULL), 0);
        return node;
}

static void expect_like_model(struct trees *t, const struct trees_files *files)
{
        struct oxl_digest root = trees_build(t, files);
        size_t nodes = t->nodes;
        struct oxl_tree_entry model = model_directory(t, files->at, files->n, 0);
        assert_true(oxl_digest_equal(&root, &model.id));
        assert_int_equal(t->nodes, nodes); /* and so have all other nodes */
}

static void a_node_without_a_boundary_is_cut_at_1024_entries(void **state)
{
        struct fixture *f = *state;
        for (size_t n = 1023; n <= 1026; n++) {
                struct trees_files files = { 0 };
                trees_files_add_chosen(&files, "n", n, false);
                struct oxl_digest root = trees_build(&f->trees, &files);
                struct oxl_tree_node node = root_node(&f->trees, &root);
                assert_int_equal(node.level, n <= 1024 ? 0 : 1);
                assert_int_equal(node.entries, n <= 1024 ? n : 2);
                expect_like_model(&f->trees, &files);
                trees_files_done(&files);
        }
}

static void a_directory_of_exactly_one_full_node_has_no_inner_node(void **state)
{
        struct fixture *f = *state;
        for (size_t n = 31; n <= 33; n++) {
                struct trees_files files = { 0 };
                trees_files_add_chosen(&files, "n", n, true);
                struct oxl_digest root = trees_build(&f->trees, &files);
                struct oxl_tree_node node = root_node(&f->trees, &root);
                assert_int_equal(node.level, n <= 32 ? 0 : 1);
                assert_int_equal(node.entries, n <= 32 ? n : 2);
                expect_like_model(&f->trees, &files);
                trees_files_done(&files);
        }
}

static void names_that_all_end_a_node_give_nodes_of_32(void **state)
{
        struct fixture *f = *state;
        struct trees_files files = { 0 };
        trees_files_add_chosen(&files, "n", 32 * 40, true);
        struct oxl_digest root = trees_build(&f->trees, &files);
        struct oxl_tree_node node = root_node(&f->trees, &root);
        assert_true(node.level >= 1);
        assert_true(f->trees.nodes >= 41);
        expect_like_model(&f->trees, &files);
        trees_files_done(&files);
}

static void a_level_that_has_a_node_keeps_its_last_entry(void **state)
{
        struct fixture *f = *state;
        struct trees_files files = { 0 };
        trees_files_add_chosen(&files, "n", 1025, true); /* level 1: a node of 32, then one of a single entry */
        struct oxl_digest root = trees_build(&f->trees, &files);
        struct oxl_tree_node node = root_node(&f->trees, &root);
        assert_int_equal(node.level, 2);
        assert_int_equal(node.entries, 2);
        expect_like_model(&f->trees, &files);
        trees_files_done(&files);
}

static void random_trees_are_like_the_model(void **state)
{
        uint64_t seed = 42;
        for (unsigned round = 0; round < 60; round++) {
                struct trees t = { 0 };
                struct trees_files files = { 0 };
                trees_files_random(&files, &seed, (size_t)(trees_random(&seed) % (round % 10 == 0 ? 4000 : 400)),
                                   1 + (unsigned)(trees_random(&seed) % 6));
                expect_like_model(&t, &files);
                trees_files_done(&files);
                trees_done(&t);
        }
}

static void a_large_directory_has_two_inner_levels(void **state)
{
        struct fixture *f = *state;
        struct trees_files files = { 0 };
        for (unsigned i = 0; i < 60000; i++) {
                char path[32];
                snprintf(path, sizeof path, "big/file-%06u", i);
                trees_files_add(&files, path, i);
        }
        expect_like_model(&f->trees, &files);
        struct oxl_digest root = trees_build(&f->trees, &files);
        struct oxl_tree_node top = root_node(&f->trees, &root);
        struct oxl_tree_entry big;
        assert_true(oxl_tree_next(&top, OXL_ALGO_BLAKE3, &top.body, &big));
        assert_int_equal(root_node(&f->trees, &big.id).level, 2);
        trees_files_done(&files);
}

/* --- history --- */

static void the_same_files_have_the_same_id_whatever_the_order_of_changes(void **state)
{
        struct fixture *f = *state;
        uint64_t seed = 7;
        struct trees_files all = { 0 };
        trees_files_random(&all, &seed, 3000, 3);
        struct oxl_digest want = trees_build(&f->trees, &all);
        for (unsigned round = 0; round < 5; round++) {
                /* Through other states (with more files, with fewer) back to this one. */
                struct trees_files now = trees_files_copy(&all);
                for (unsigned i = 0; i < 50; i++) {
                        size_t gone = (size_t)(trees_random(&seed) % now.n);
                        free(now.at[gone].path);
                        now.at[gone] = now.at[--now.n];
                }
                trees_files_settle(&now);
                struct oxl_digest other = trees_build(&f->trees, &now);
                assert_false(oxl_digest_equal(&other, &want));
                for (size_t i = 0; i < all.n; i++) {
                        trees_files_add(&now, all.at[i].path, 0);
                        now.at[now.n - 1].kind = all.at[i].kind;
                        now.at[now.n - 1].size = all.at[i].size;
                        now.at[now.n - 1].id = all.at[i].id;
                }
                trees_files_settle(&now);
                struct oxl_digest back = trees_build(&f->trees, &now);
                assert_true(oxl_digest_equal(&back, &want));
                trees_files_done(&now);
        }
        trees_files_done(&all);
}

static void a_change_in_a_directory_of_10000_writes_one_node_per_level(void **state)
{
        struct fixture *f = *state;
        struct trees_files files = { 0 };
        for (unsigned i = 0; i < 10000; i++) {
                char path[32];
                snprintf(path, sizeof path, "big/file-%06u", i);
                trees_files_add(&files, path, i);
        }
        struct oxl_digest root = trees_build(&f->trees, &files);
        struct oxl_tree_node top = root_node(&f->trees, &root);
        struct oxl_tree_entry big;
        assert_true(oxl_tree_next(&top, OXL_ALGO_BLAKE3, &top.body, &big));
        unsigned levels = root_node(&f->trees, &big.id).level + 1u;
        uint64_t seed = 3;
        for (unsigned round = 0; round < 20; round++) {
                size_t before = f->trees.nodes;
                files.at[trees_random(&seed) % files.n].size++;
                trees_build(&f->trees, &files);
                assert_int_equal(f->trees.nodes - before, levels + 1); /* and the root */
        }
        trees_files_done(&files);
}

static void an_insertion_rewrites_few_nodes(void **state)
{
        struct fixture *f = *state;
        struct trees_files files = { 0 };
        for (unsigned i = 0; i < 10000; i++) {
                char path[32];
                snprintf(path, sizeof path, "file-%06u", i);
                trees_files_add(&files, path, i);
        }
        trees_build(&f->trees, &files);
        for (unsigned round = 0; round < 20; round++) {
                size_t before = f->trees.nodes;
                char path[32];
                snprintf(path, sizeof path, "file-%06u-new", round * 499);
                trees_files_add(&files, path, round);
                trees_files_settle(&files);
                trees_build(&f->trees, &files);
                /* Per level the node itself, or its two halves when the new name ends it; where a node of fewer than
                 * 32 entries moved a boundary, one more. */
                assert_in_range(f->trees.nodes - before, 2, 6);
        }
        trees_files_done(&files);
}

int main(void)
{
        oxl_digest_setup();
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                TEST(a_small_tree_has_the_bytes_of_the_format),
                TEST(the_empty_tree_is_a_leaf_without_entries),
                TEST(paths_out_of_order_are_refused),
                TEST(duplicates_are_refused),
                TEST(a_file_that_is_a_directory_too_is_refused),
                TEST(paths_that_are_not_clean_are_refused),
                TEST(a_refused_path_leaves_the_builder_as_it_was),
                TEST(a_path_has_up_to_32767_bytes),
                TEST(a_file_lies_in_up_to_1024_directories),
                TEST(sizes_that_nothing_can_have_are_refused),
                cmocka_unit_test(a_failed_emit_is_forwarded),
                TEST(a_node_without_a_boundary_is_cut_at_1024_entries),
                TEST(a_directory_of_exactly_one_full_node_has_no_inner_node),
                TEST(names_that_all_end_a_node_give_nodes_of_32),
                TEST(a_level_that_has_a_node_keeps_its_last_entry),
                cmocka_unit_test(random_trees_are_like_the_model),
                TEST(a_large_directory_has_two_inner_levels),
                TEST(the_same_files_have_the_same_id_whatever_the_order_of_changes),
                TEST(a_change_in_a_directory_of_10000_writes_one_node_per_level),
                TEST(an_insertion_rewrites_few_nodes),
        };
#undef TEST
        return cmocka_run_group_tests(tests, NULL, NULL);
}
