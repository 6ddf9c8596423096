/* SPDX-License-Identifier: MIT */
/* Walking, finding and comparing trees, honest ones and hostile ones. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/path.h"
#include "objects/commit.h"
#include "support/trees.h"

struct fixture {
        struct trees trees;
        struct oxl_tree_source source;
        struct trees_files files;
        struct oxl_error err;
};

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof *f);
        assert_non_null(f);
        f->source = trees_source(&f->trees);
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;
        trees_done(&f->trees);
        trees_files_done(&f->files);
        oxl_error_done(&f->err);
        free(f);
        return 0;
}

static struct oxl_tree_cursor *cursor(struct fixture *f, const struct oxl_digest *root, const char *prefix,
                                      unsigned flags)
{
        struct oxl_tree_cursor *c;
        assert_int_equal(oxl_tree_cursor_new_from(&f->source, root, prefix, flags, &c, NULL), 0);
        return c;
}

static void expect_file(const struct oxl_tree_item *item, const struct trees_file *want)
{
        assert_string_equal(item->path, want->path);
        assert_int_equal(item->path_len, strlen(want->path));
        assert_int_equal(item->kind, want->kind);
        assert_int_equal(item->size, want->size);
        assert_true(oxl_digest_equal(&item->id, &want->id));
}

/* The walk below @prefix must give exactly the files within it. */
static void expect_walk(struct fixture *f, const struct oxl_digest *root, const struct trees_files *files,
                        const char *prefix)
{
        struct oxl_tree_cursor *c = cursor(f, root, prefix, 0);
        struct oxl_tree_item item;
        for (size_t i = 0; i < files->n; i++) {
                if (!oxl_path_is_within(files->at[i].path, prefix))
                        continue;
                assert_int_equal(oxl_tree_cursor_next(c, &item, &f->err), 0);
                expect_file(&item, &files->at[i]);
        }
        assert_int_equal(oxl_tree_cursor_next(c, &item, &f->err), 1);
        assert_int_equal(oxl_tree_cursor_next(c, &item, &f->err), 1);
        oxl_tree_cursor_free(c);
}

/* "<dir><number>" for 0 to @n - 1. */
static void add_numbered(struct trees_files *files, const char *dir, unsigned n)
{
        for (unsigned i = 0; i < n; i++) {
                char path[64];
                snprintf(path, sizeof path, "%sfile-%06u", dir, i);
                trees_files_add(files, path, i);
        }
}

/* --- walking --- */

static void the_walk_gives_back_what_was_built(void **state)
{
        struct fixture *f = *state;
        uint64_t seed = 1;
        for (unsigned round = 0; round < 40; round++) {
                struct trees_files files = { 0 };
                trees_files_random(&files, &seed, (size_t)(trees_random(&seed) % 1500), 1 + round % 5);
                struct oxl_digest root = trees_build(&f->trees, &files);
                expect_walk(f, &root, &files, "");
                static const char *const dirs[] = { "a", "a.b", "a/a.b", "zz\xff\xfe/a-/dir", "\x01low" };
                for (size_t i = 0; i < OXL_ARRAY_LEN(dirs); i++) {
                        struct oxl_tree_item item;
                        if (oxl_tree_find_in(&f->source, &root, dirs[i], &item, NULL) == 0)
                                expect_walk(f, &root, &files, dirs[i]);
                }
                trees_files_done(&files);
        }
}

static void the_empty_tree_has_nothing(void **state)
{
        struct fixture *f = *state;
        struct oxl_digest root = trees_build(&f->trees, &f->files);
        expect_walk(f, &root, &f->files, "");
}

static void directories_come_before_their_content_with_their_size(void **state)
{
        struct fixture *f = *state;
        trees_files_add(&f->files, "a", 0);      /* 1 byte */
        trees_files_add(&f->files, "b/c/d", 9);  /* 10 */
        trees_files_add(&f->files, "b/c/e", 99); /* 100 */
        trees_files_add(&f->files, "b/f", 999);  /* 1000 */
        struct oxl_digest root = trees_build(&f->trees, &f->files);
        struct oxl_tree_cursor *c = cursor(f, &root, "", OXL_TREE_DIRECTORIES);
        struct {
                const char *path;
                uint64_t size;
        } want[] = { { "a", 1 }, { "b", 1110 }, { "b/c", 110 }, { "b/c/d", 10 }, { "b/c/e", 100 }, { "b/f", 1000 } };
        struct oxl_tree_item item;
        for (size_t i = 0; i < OXL_ARRAY_LEN(want); i++) {
                assert_int_equal(oxl_tree_cursor_next(c, &item, NULL), 0);
                assert_string_equal(item.path, want[i].path);
                assert_int_equal(item.size, want[i].size);
                assert_int_equal(item.kind == OXL_ENTRY_DIRECTORY, i == 1 || i == 2);
        }
        assert_int_equal(oxl_tree_cursor_next(c, &item, NULL), 1);
        oxl_tree_cursor_free(c);
}

static void a_skipped_directory_is_not_read(void **state)
{
        struct fixture *f = *state;
        trees_files_add(&f->files, "a/b/c", 1);
        trees_files_add(&f->files, "d", 2);
        struct oxl_digest root = trees_build(&f->trees, &f->files);
        struct oxl_tree_cursor *c = cursor(f, &root, "", OXL_TREE_DIRECTORIES);
        struct oxl_tree_item item;
        assert_int_equal(oxl_tree_cursor_next(c, &item, NULL), 0);
        assert_string_equal(item.path, "a");
        oxl_tree_cursor_skip(c);
        assert_int_equal(oxl_tree_cursor_next(c, &item, NULL), 0);
        assert_string_equal(item.path, "d");
        assert_int_equal(f->trees.fetched, 1);
        oxl_tree_cursor_free(c);
}

static void a_flat_walk_lists_one_directory(void **state)
{
        struct fixture *f = *state;
        trees_files_add(&f->files, "a/b/c", 1);
        trees_files_add(&f->files, "a/d", 2);
        trees_files_add(&f->files, "e", 3);
        struct oxl_digest root = trees_build(&f->trees, &f->files);
        const char *want[][3] = { { "", "a", "e" }, { "a", "a/b", "a/d" }, { "e", "e", NULL } };
        for (size_t i = 0; i < 3; i++) {
                struct oxl_tree_cursor *c = cursor(f, &root, want[i][0], OXL_TREE_FLAT);
                struct oxl_tree_item item;
                for (size_t k = 1; k < 3 && want[i][k]; k++) {
                        assert_int_equal(oxl_tree_cursor_next(c, &item, NULL), 0);
                        assert_string_equal(item.path, want[i][k]);
                }
                assert_int_equal(oxl_tree_cursor_next(c, &item, NULL), 1);
                oxl_tree_cursor_free(c);
        }
}

static void a_prefix_that_nothing_has_is_not_found(void **state)
{
        struct fixture *f = *state;
        trees_files_add(&f->files, "a/b", 1);
        trees_files_add(&f->files, "bc", 1);
        struct oxl_digest root = trees_build(&f->trees, &f->files);
        const char *none[] = { "b", "a/c", "a/b/c", "bc/d", "zz", "/", "a/", "/a", "a//b", ".", "a/.." };
        for (size_t i = 0; i < OXL_ARRAY_LEN(none); i++) {
                struct oxl_tree_cursor *c = cursor(f, &root, none[i], 0);
                struct oxl_tree_item item;
                assert_int_equal(oxl_tree_cursor_next(c, &item, &f->err), -OXL_E_PATH_NOT_FOUND);
                assert_string_equal(f->err.path[0], none[i]);
                assert_int_equal(oxl_tree_cursor_next(c, &item, NULL), 1); /* and that was all */
                assert_int_equal(oxl_tree_find_in(&f->source, &root, none[i], &item, NULL), 1);
                oxl_tree_cursor_free(c);
        }
}

static void every_path_is_found_by_reading_one_node_per_level(void **state)
{
        struct fixture *f = *state;
        add_numbered(&f->files, "big/dir/", 6000);
        add_numbered(&f->files, "other/", 3000);
        trees_files_settle(&f->files);
        struct oxl_digest root = trees_build(&f->trees, &f->files);
        for (size_t i = 0; i < f->files.n; i += 7) {
                struct oxl_tree_item item;
                f->trees.fetched = 0;
                assert_int_equal(oxl_tree_find_in(&f->source, &root, f->files.at[i].path, &item, NULL), 0);
                assert_in_range(f->trees.fetched, 2, 5);
                assert_null(item.path);
                assert_int_equal(item.size, f->files.at[i].size);
                assert_true(oxl_digest_equal(&item.id, &f->files.at[i].id));
        }
        f->trees.fetched = 0;
        struct oxl_tree_cursor *c = cursor(f, &root, "big/dir/file-005000", 0);
        struct oxl_tree_item item;
        assert_int_equal(oxl_tree_cursor_next(c, &item, NULL), 0);
        assert_string_equal(item.path, "big/dir/file-005000");
        assert_int_equal(oxl_tree_cursor_next(c, &item, NULL), 1);
        assert_in_range(f->trees.fetched, 2, 5);
        oxl_tree_cursor_free(c);
}

static void the_root_is_found_by_the_empty_path(void **state)
{
        struct fixture *f = *state;
        trees_files_add(&f->files, "a/b", 9);
        trees_files_add(&f->files, "c", 99);
        struct oxl_digest root = trees_build(&f->trees, &f->files);
        struct oxl_tree_item item;
        assert_int_equal(oxl_tree_find_in(&f->source, &root, "", &item, NULL), 0);
        assert_int_equal(item.kind, OXL_ENTRY_DIRECTORY);
        assert_int_equal(item.size, 110);
        assert_true(oxl_digest_equal(&item.id, &root));
}

static void the_walk_goes_on_behind_a_directory_that_cannot_be_read(void **state)
{
        struct fixture *f = *state;
        trees_files_add(&f->files, "a", 1);
        trees_files_add(&f->files, "b/c/d", 2);
        trees_files_add(&f->files, "b/e", 3);
        trees_files_add(&f->files, "f", 4);
        struct oxl_digest root = trees_build(&f->trees, &f->files);
        struct oxl_tree_item item;
        assert_int_equal(oxl_tree_find_in(&f->source, &root, "b/c", &item, NULL), 0);
        struct oxl_digest lost = item.id;
        f->trees.missing = &lost;
        struct oxl_tree_cursor *c = cursor(f, &root, "", 0);
        assert_int_equal(oxl_tree_cursor_next(c, &item, NULL), 0);
        assert_int_equal(oxl_tree_cursor_next(c, &item, &f->err), -OXL_E_OBJECT_MISSING);
        assert_int_equal(oxl_tree_cursor_next(c, &item, NULL), 0);
        assert_string_equal(item.path, "b/e");
        assert_int_equal(oxl_tree_cursor_next(c, &item, NULL), 0);
        assert_string_equal(item.path, "f");
        assert_int_equal(oxl_tree_cursor_next(c, &item, NULL), 1);
        oxl_tree_cursor_free(c);
        assert_int_equal(oxl_tree_find_in(&f->source, &root, "b/c/d", &item, NULL), -OXL_E_OBJECT_MISSING);
        assert_int_equal(oxl_tree_find_in(&f->source, &root, "b/e", &item, NULL), 0);
}

/* --- hostile trees --- */

static struct oxl_tree_entry entry(const char *name, enum oxl_entry_kind kind, uint64_t size, uint64_t count,
                                   const struct oxl_digest *id)
{
        return (struct oxl_tree_entry){ name, (uint8_t)strlen(name), kind, size, count, *id };
}

static struct oxl_digest put_node(struct trees *t, uint8_t level, const struct oxl_tree_entry *e, size_t n)
{
        struct oxl_buf b = OXL_BUF_INIT;
        uint8_t header[OXL_TREE_HEADER_BYTES];
        oxl_tree_store_header(header, level, (uint32_t)n);
        assert_int_equal(oxl_buf_append(&b, header, sizeof header, NULL), 0);
        for (size_t i = 0; i < n; i++)
                assert_int_equal(oxl_tree_append_entry(&b, level, &e[i], NULL), 0);
        struct oxl_digest id = trees_put(t, b.data, b.len);
        oxl_buf_done(&b);
        return id;
}

static int walk_all(struct fixture *f, const struct oxl_digest *root)
{
        struct oxl_tree_cursor *c = cursor(f, root, "", 0);
        struct oxl_tree_item item;
        int r = 0;
        while (r == 0)
                r = oxl_tree_cursor_next(c, &item, &f->err);
        oxl_tree_cursor_free(c);
        return r;
}

static void expect_malformed(struct fixture *f, const struct oxl_digest *root, const char *why)
{
        assert_int_equal(walk_all(f, root), -OXL_E_MALFORMED);
        assert_string_equal(f->err.detail, why);
}

/* A directory split in two by the rule: entries, and the two inner entries over them. */
struct halves {
        char name[100][16];
        struct oxl_tree_entry leaf[100];
        size_t first, n; /* leaf entries in the first node, in both */
        struct oxl_tree_entry inner[2];
};

static void make_halves(struct fixture *f, struct halves *h)
{
        struct oxl_digest id = { .algo = OXL_ALGO_BLAKE3 };
        h->first = 40;
        h->n = 60;
        unsigned number = 0;
        for (size_t i = 0; i < h->n; number++) {
                int len = snprintf(h->name[i], sizeof h->name[i], "h%08u", number);
                if (oxl_tree_ends(0, 500, h->name[i], (size_t)len) != (i + 1 == h->first))
                        continue;
                h->leaf[i] = entry(h->name[i], OXL_ENTRY_FILE, 10, 0, &id);
                i++;
        }
        struct oxl_digest a = put_node(&f->trees, 0, h->leaf, h->first);
        struct oxl_digest b = put_node(&f->trees, 0, h->leaf + h->first, h->n - h->first);
        h->inner[0] = entry(h->name[0], OXL_ENTRY_NONE, 10 * h->first, h->first, &a);
        h->inner[1] = entry(h->name[h->first], OXL_ENTRY_NONE, 10 * (h->n - h->first), h->n - h->first, &b);
}

static void a_split_directory_made_by_hand_is_walked(void **state)
{
        struct fixture *f = *state;
        struct halves h;
        make_halves(f, &h);
        struct oxl_digest root = put_node(&f->trees, 1, h.inner, 2);
        assert_int_equal(walk_all(f, &root), 1);
}

static void a_child_of_the_wrong_level_is_refused(void **state)
{
        struct fixture *f = *state;
        struct halves h;
        make_halves(f, &h);
        struct oxl_digest root = put_node(&f->trees, 2, h.inner, 2);
        expect_malformed(f, &root, "it is not of the level below its parent");

        struct oxl_digest inner = put_node(&f->trees, 1, h.inner, 2);
        struct oxl_tree_entry e[2] = { h.inner[0], h.inner[1] };
        e[0].id = inner;
        e[0].count = h.n;
        e[0].size = 10 * h.n;
        root = put_node(&f->trees, 1, e, 2);
        expect_malformed(f, &root, "it is not of the level below its parent");

        struct oxl_digest empty = put_node(&f->trees, 0, NULL, 0);
        e[0].id = empty;
        root = put_node(&f->trees, 1, e, 2);
        expect_malformed(f, &root, "it is not of the level below its parent");
}

static void a_child_with_another_first_name_is_refused(void **state)
{
        struct fixture *f = *state;
        struct halves h;
        make_halves(f, &h);
        struct oxl_tree_entry e[2] = { h.inner[0], h.inner[1] };
        e[0].name = "g"; /* still below the second one */
        e[0].name_len = 1;
        struct oxl_digest root = put_node(&f->trees, 1, e, 2);
        expect_malformed(f, &root, "its first name is not what its parent says");
}

static void a_child_with_other_sums_is_refused(void **state)
{
        struct fixture *f = *state;
        struct halves h;
        make_halves(f, &h);
        for (unsigned which = 0; which < 4; which++) {
                struct oxl_tree_entry e[2] = { h.inner[0], h.inner[1] };
                if (which % 2 == 0)
                        e[which / 2].count++;
                else
                        e[which / 2].size++;
                struct oxl_digest root = put_node(&f->trees, 1, e, 2);
                expect_malformed(f, &root, "its sums are not what its parent says");
        }
}

static void a_node_that_ends_elsewhere_is_refused(void **state)
{
        struct fixture *f = *state;
        struct halves h;
        make_halves(f, &h);
        struct oxl_digest a = put_node(&f->trees, 0, h.leaf, 39);
        struct oxl_digest b = put_node(&f->trees, 0, h.leaf + 39, 21);
        struct oxl_tree_entry e[2] = { entry(h.name[0], OXL_ENTRY_NONE, 390, 39, &a),
                                       entry(h.name[39], OXL_ENTRY_NONE, 210, 21, &b) };
        struct oxl_digest root = put_node(&f->trees, 1, e, 2);
        expect_malformed(f, &root, "it ends at the wrong place");
}

static void the_last_child_of_a_node_that_is_not_the_last_ends_by_the_rule_too(void **state)
{
        struct fixture *f = *state;
        trees_files_add_chosen(&f->files, "n", 1025, true);
        struct oxl_digest honest = trees_build(&f->trees, &f->files);
        assert_int_equal(walk_all(f, &honest), 1);

        struct oxl_tree_entry inner[33], top[2];
        for (size_t i = 0; i < 33; i++) { /* node 31 lacks its last entry */
                struct oxl_tree_entry leaf[32];
                size_t n = i < 31 ? 32 : i == 31 ? 31 : 1;
                uint64_t size = 0;
                for (size_t k = 0; k < n; k++) {
                        const struct trees_file *x = &f->files.at[32 * i + k];
                        leaf[k] = entry(x->path, x->kind, x->size, 0, &x->id);
                        size += x->size;
                }
                struct oxl_digest id = put_node(&f->trees, 0, leaf, n);
                inner[i] = entry(f->files.at[32 * i].path, OXL_ENTRY_NONE, size, n, &id);
        }
        struct oxl_digest a = put_node(&f->trees, 1, inner, 32), b = put_node(&f->trees, 1, inner + 32, 1);
        top[0] = entry(f->files.at[0].path, OXL_ENTRY_NONE, 0, 1023, &a);
        for (size_t i = 0; i < 32; i++)
                top[0].size += inner[i].size;
        top[1] = entry(f->files.at[1024].path, OXL_ENTRY_NONE, inner[32].size, 1, &b);
        struct oxl_digest root = put_node(&f->trees, 2, top, 2);
        expect_malformed(f, &root, "it ends at the wrong place");
}

static void names_that_reach_into_the_next_node_are_refused(void **state)
{
        struct fixture *f = *state;
        struct halves h;
        make_halves(f, &h);
        /* The second node begins before the first one ends. */
        struct oxl_tree_entry leaf[2] = { h.leaf[20], h.leaf[50] };
        struct oxl_digest b = put_node(&f->trees, 0, leaf, 2);
        struct oxl_tree_entry e[2] = { h.inner[0], entry(h.name[20], OXL_ENTRY_NONE, 20, 2, &b) };
        struct oxl_digest root = put_node(&f->trees, 1, e, 2);
        expect_malformed(f, &root, "its names reach into the next node");
        struct oxl_tree_item item;
        assert_int_equal(oxl_tree_find_in(&f->source, &root, h.name[3], &item, NULL), -OXL_E_MALFORMED);
}

static void an_inner_root_with_one_child_is_refused(void **state)
{
        struct fixture *f = *state;
        struct halves h;
        make_halves(f, &h);
        struct oxl_digest root = put_node(&f->trees, 1, h.inner, 1);
        expect_malformed(f, &root, "it is the root of a directory and has one child");
        struct oxl_tree_entry dir = entry("d", OXL_ENTRY_DIRECTORY, h.inner[0].size, 0, &root);
        root = put_node(&f->trees, 0, &dir, 1);
        expect_malformed(f, &root, "it is the root of a directory and has one child");
}

static void an_empty_directory_below_another_is_refused(void **state)
{
        struct fixture *f = *state;
        struct oxl_digest empty = put_node(&f->trees, 0, NULL, 0);
        struct oxl_tree_entry dir = entry("d", OXL_ENTRY_DIRECTORY, 0, 0, &empty);
        struct oxl_digest root = put_node(&f->trees, 0, &dir, 1);
        expect_malformed(f, &root, "it is an empty directory below another");
}

static void a_directory_of_another_size_is_refused(void **state)
{
        struct fixture *f = *state;
        struct oxl_digest id = { .algo = OXL_ALGO_BLAKE3 };
        struct oxl_tree_entry file = entry("f", OXL_ENTRY_FILE, 10, 0, &id);
        struct oxl_digest sub = put_node(&f->trees, 0, &file, 1);
        struct oxl_tree_entry dir = entry("d", OXL_ENTRY_DIRECTORY, 11, 0, &sub);
        struct oxl_digest root = put_node(&f->trees, 0, &dir, 1);
        expect_malformed(f, &root, "its size is not what its directory says");
        struct oxl_tree_item item;
        assert_int_equal(oxl_tree_find_in(&f->source, &root, "d/f", &item, NULL), -OXL_E_MALFORMED);
}

static void a_malformed_node_is_named(void **state)
{
        struct fixture *f = *state;
        struct oxl_digest root = trees_put(&f->trees, "\x01\0\0\0\1\0\0\0", 8);
        expect_malformed(f, &root, "it is cut short");
        char name[80] = "tree ";
        oxl_digest_text(&root, name + 5);
        assert_string_equal(f->err.path[0], name);
}

/* @depth directories called @name with one file at the end. */
static struct oxl_digest put_chain(struct trees *t, const char *name, unsigned depth)
{
        struct oxl_digest id = { .algo = OXL_ALGO_BLAKE3 };
        struct oxl_tree_entry e = entry("f", OXL_ENTRY_FILE, 10, 0, &id);
        id = put_node(t, 0, &e, 1);
        for (unsigned i = 0; i < depth; i++) {
                e = entry(name, OXL_ENTRY_DIRECTORY, 10, 0, &id);
                id = put_node(t, 0, &e, 1);
        }
        return id;
}

static void directories_are_walked_1024_deep_and_no_deeper(void **state)
{
        struct fixture *f = *state;
        struct oxl_digest root = put_chain(&f->trees, "d", 1024);
        struct oxl_tree_cursor *c = cursor(f, &root, "", 0);
        struct oxl_tree_item item;
        assert_int_equal(oxl_tree_cursor_next(c, &item, NULL), 0);
        assert_int_equal(item.path_len, 2 * 1024 + 1);
        assert_int_equal(oxl_tree_cursor_next(c, &item, NULL), 1);
        oxl_tree_cursor_free(c);

        root = put_chain(&f->trees, "d", 1025);
        expect_malformed(f, &root, "it is more than 1,024 directories deep");

        char path[2 * 1025 + 2] = "";
        for (size_t i = 0; i < 1025; i++)
                memcpy(path + 2 * i, "d/", 2);
        path[2 * 1025] = 'f';
        assert_int_equal(oxl_tree_find_in(&f->source, &root, path, &item, NULL), -OXL_E_MALFORMED);
        path[2 * 1000 - 1] = 0; /* a prefix does not reset the count */
        c = cursor(f, &root, path, 0);
        assert_int_equal(oxl_tree_cursor_next(c, &item, NULL), -OXL_E_MALFORMED);
        oxl_tree_cursor_free(c);
}

static void paths_of_more_than_32767_bytes_are_refused(void **state)
{
        struct fixture *f = *state;
        char name[256] = "";
        memset(name, 'x', 255);
        struct oxl_digest root = put_chain(&f->trees, name, 127); /* 127 * 256 + 1 */
        assert_int_equal(walk_all(f, &root), 1);
        root = put_chain(&f->trees, name, 128); /* 128 * 256 + 1 = 32,769 */
        expect_malformed(f, &root, "a path of more than 32,767 bytes");
}

/* --- differences --- */

struct changes {
        const struct trees_files *a, *b; /* what was built */
        size_t at_a, at_b, n;
};

static void next_expected(struct changes *c, const struct trees_file **ret_a, const struct trees_file **ret_b)
{
        for (;;) {
                const struct trees_file *a = c->at_a < c->a->n ? &c->a->at[c->at_a] : NULL;
                const struct trees_file *b = c->at_b < c->b->n ? &c->b->at[c->at_b] : NULL;
                int order = !a || !b ? !a - !b : oxl_path_compare(a->path, strlen(a->path), b->path, strlen(b->path));
                *ret_a = order <= 0 ? a : NULL;
                *ret_b = order >= 0 ? b : NULL;
                c->at_a += *ret_a != NULL;
                c->at_b += *ret_b != NULL;
                bool same = *ret_a && *ret_b && a->kind == b->kind && a->size == b->size &&
                            oxl_digest_equal(&a->id, &b->id);
                if (!same)
                        return;
        }
}

static int expect_change(void *ctx, const struct oxl_tree_item *a, const struct oxl_tree_item *b, struct oxl_error *err)
{
        struct changes *c = ctx;
        const struct trees_file *want_a, *want_b;
        next_expected(c, &want_a, &want_b);
        assert_int_equal(a != NULL, want_a != NULL);
        assert_int_equal(b != NULL, want_b != NULL);
        if (a)
                expect_file(a, want_a);
        if (b)
                expect_file(b, want_b);
        c->n++;
        return 0;
}

/* The differences must be exactly those of the two lists; returns their number. */
static size_t expect_diff(struct fixture *f, const struct trees_files *a, const struct trees_files *b)
{
        struct oxl_digest ra = trees_build(&f->trees, a), rb = trees_build(&f->trees, b);
        struct changes c = { .a = a, .b = b };
        f->trees.fetched = 0;
        assert_int_equal(oxl_tree_diff_in(&f->source, &ra, &rb, expect_change, &c, &f->err), 0);
        const struct trees_file *want_a, *want_b;
        next_expected(&c, &want_a, &want_b);
        assert_true(!want_a && !want_b);
        return c.n;
}

static void edit(struct trees_files *files, uint64_t *seed, unsigned edits)
{
        for (unsigned i = 0; i < edits && files->n > 1; i++) {
                size_t at = (size_t)(trees_random(seed) % files->n);
                char path[300];
                switch (trees_random(seed) % 6) {
                case 0: files->at[at].size++; break;
                case 3:
                        files->at[at].kind =
                                files->at[at].kind == OXL_ENTRY_FILE ? OXL_ENTRY_EXECUTABLE : OXL_ENTRY_FILE;
                        break;
                case 4: files->at[at].id.bytes[31] ^= 1; break;
                case 1:
                        free(files->at[at].path);
                        files->at[at] = files->at[--files->n];
                        break;
                case 2: /* a neighbour */
                        snprintf(path, sizeof path, "%s~", files->at[at].path);
                        trees_files_add(files, path, i);
                        break;
                default: /* a file becomes a directory */
                        snprintf(path, sizeof path, "%s/in", files->at[at].path);
                        trees_files_add(files, path, i);
                        free(files->at[at].path);
                        files->at[at] = files->at[--files->n];
                        break;
                }
        }
        trees_files_settle(files);
}

static void the_diff_is_the_difference_of_the_lists(void **state)
{
        struct fixture *f = *state;
        uint64_t seed = 99;
        size_t changes = 0;
        for (unsigned round = 0; round < 60; round++) {
                struct trees_files a = { 0 };
                trees_files_random(&a, &seed, (size_t)(trees_random(&seed) % 1500), 1 + round % 5);
                struct trees_files b = trees_files_copy(&a);
                edit(&b, &seed, 1u << (round % 9));
                changes += expect_diff(f, &a, &b);
                changes += expect_diff(f, &b, &a);
                trees_files_done(&a);
                trees_files_done(&b);
        }
        assert_true(changes > 1000);
}

static void the_diff_of_unrelated_trees_is_all_of_both(void **state)
{
        struct fixture *f = *state;
        uint64_t seed = 5;
        for (unsigned round = 0; round < 20; round++) {
                struct trees_files a = { 0 }, b = { 0 };
                trees_files_random(&a, &seed, 300, 1 + round % 4);
                trees_files_random(&b, &seed, round % 3 == 0 ? 0 : 2000, 1 + round % 3);
                expect_diff(f, &a, &b);
                trees_files_done(&a);
                trees_files_done(&b);
        }
}

static int count_change(void *ctx, const struct oxl_tree_item *a, const struct oxl_tree_item *b, struct oxl_error *err)
{
        size_t *n = ctx;
        n[0] += a && !b;
        n[1] += b && !a;
        n[2] += a && b;
        return 0;
}

static void no_tree_is_the_empty_tree(void **state)
{
        struct fixture *f = *state;
        add_numbered(&f->files, "a/", 5);
        struct oxl_digest root = trees_build(&f->trees, &f->files);
        size_t n[3] = { 0 };
        assert_int_equal(oxl_tree_diff_in(&f->source, NULL, &root, count_change, n, NULL), 0);
        assert_int_equal(n[1], 5);
        assert_int_equal(oxl_tree_diff_in(&f->source, &root, NULL, count_change, n, NULL), 0);
        assert_int_equal(n[0], 5);
        assert_int_equal(oxl_tree_diff_in(&f->source, NULL, NULL, count_change, n, NULL), 0);
        assert_int_equal(n[0] + n[1] + n[2], 10);
}

static void a_file_that_becomes_a_directory_is_removed_and_its_content_added(void **state)
{
        struct fixture *f = *state;
        struct trees_files other = { 0 };
        trees_files_add(&f->files, "a", 1);
        trees_files_add(&f->files, "b", 2);
        trees_files_add(&other, "a/x/y", 3);
        trees_files_add(&other, "a/z", 4);
        trees_files_add(&other, "b", 2);
        assert_int_equal(expect_diff(f, &f->files, &other), 3);
        assert_int_equal(expect_diff(f, &other, &f->files), 3);
        trees_files_done(&other);
}

static void equal_directories_and_equal_nodes_are_not_read(void **state)
{
        struct fixture *f = *state;
        add_numbered(&f->files, "big/", 20000);
        add_numbered(&f->files, "same/", 5000);
        trees_files_settle(&f->files);
        struct trees_files b = trees_files_copy(&f->files);
        assert_int_equal(expect_diff(f, &f->files, &b), 0);
        assert_int_equal(f->trees.fetched, 0);

        b.at[12345].size++;
        assert_int_equal(expect_diff(f, &f->files, &b), 1);
        assert_in_range(f->trees.fetched, 4, 10); /* on each side: the root and one node per level of big */

        trees_files_add(&b, "big/file-004711-new", 1);
        trees_files_settle(&b);
        assert_int_equal(expect_diff(f, &f->files, &b), 2);
        assert_in_range(f->trees.fetched, 4, 16);
        trees_files_done(&b);
}

/* "<dir>/" before the names of files @begin to @end of @from. */
static void add_below(struct trees_files *to, const char *dir, const struct trees_files *from, size_t begin, size_t end)
{
        for (size_t i = begin; i < end; i++) {
                char path[64];
                snprintf(path, sizeof path, "%s%s%s", dir, *dir ? "/" : "", from->at[i].path);
                trees_files_add(to, path, i);
        }
}

static void equal_nodes_of_different_directories_are_not_skipped(void **state)
{
        struct fixture *f = *state;
        struct trees_files pool = { 0 }, a = { 0 }, b = { 0 };
        trees_files_add_chosen(&pool, "n", 96, true); /* three nodes of 32 */
        const char *dir = pool.at[31].path;
        add_below(&a, "", &pool, 0, 31);
        add_below(&a, "", &pool, 64, 96);
        add_below(&a, dir, &pool, 0, 64);
        b = trees_files_copy(&a);
        /* Where a's directory ends, its parent goes on with the very node that b's directory goes on with. */
        add_below(&b, dir, &pool, 64, 96);
        trees_files_settle(&a);
        trees_files_settle(&b);
        assert_int_equal(expect_diff(f, &a, &b), 32);
        assert_int_equal(expect_diff(f, &b, &a), 32);
        trees_files_done(&pool);
        trees_files_done(&a);
        trees_files_done(&b);
}

static int stop(void *ctx, const struct oxl_tree_item *a, const struct oxl_tree_item *b, struct oxl_error *err)
{
        unsigned *left = ctx;
        return (*left)-- == 0 ? OXL_FAIL_PLAIN(err, CANCELLED) : 0;
}

static void a_failing_callback_or_source_ends_the_diff(void **state)
{
        struct fixture *f = *state;
        struct trees_files b = { 0 };
        add_numbered(&f->files, "a/", 3);
        add_numbered(&b, "c/", 3);
        struct oxl_digest ra = trees_build(&f->trees, &f->files), rb = trees_build(&f->trees, &b);
        for (unsigned good = 0; good < 7; good++) {
                unsigned left = good;
                int r = oxl_tree_diff_in(&f->source, &ra, &rb, stop, &left, NULL);
                assert_int_equal(r, good < 6 ? -OXL_E_CANCELLED : 0);
        }
        for (size_t i = 0; i < f->trees.nodes; i++) {
                unsigned left = 100;
                f->trees.missing = &f->trees.node[i].id;
                assert_int_equal(oxl_tree_diff_in(&f->source, &ra, &rb, stop, &left, NULL), -OXL_E_OBJECT_MISSING);
        }
        trees_files_done(&b);
}

/* --- the real store --- */

static int put_node_object(void *ctx, const void *payload, size_t n, struct oxl_digest *ret_id, struct oxl_error *err)
{
        return oxl_put_object(ctx, OXL_KIND_TREE, payload, n, ret_id, err);
}

static struct oxl_digest store_tree(struct oxl_put *p, const struct trees_files *files)
{
        struct oxl_tree_builder *b;
        struct oxl_digest root;
        assert_int_equal(oxl_tree_builder_new(put_node_object, p, &b, NULL), 0);
        for (size_t i = 0; i < files->n; i++) {
                const struct trees_file *x = &files->at[i];
                assert_int_equal(oxl_tree_builder_add(b, x->path, strlen(x->path), x->kind, x->size, &x->id, NULL), 0);
        }
        assert_int_equal(oxl_tree_builder_finish(b, &root, NULL), 0);
        oxl_tree_builder_free(b);
        return root;
}

static struct oxl_digest store_commit(struct oxl_put *p, const struct oxl_digest *root)
{
        char author[] = "Ada <ada@example.org>", message[] = "First";
        struct oxl_commit c = { .tree = *root, .author = author, .seconds = 1, .message = message };
        struct oxl_buf text = OXL_BUF_INIT;
        struct oxl_digest id;
        assert_int_equal(oxl_commit_encode(&c, &text, NULL), 0);
        assert_true(oxl_put_object(p, OXL_KIND_COMMIT, text.data, text.len, &id, NULL) >= 0);
        oxl_buf_done(&text);
        return id;
}

static void expect_stored(struct oxl_objects *o, const struct oxl_digest *commit, const struct trees_files *files)
{
        struct oxl_commit c;
        assert_int_equal(oxl_commit_read(o, commit, &c, NULL), 0);
        assert_string_equal(c.message, "First");
        struct oxl_tree_cursor *walk;
        struct oxl_tree_item item;
        assert_int_equal(oxl_tree_cursor_new(o, &c.tree, "", 0, &walk, NULL), 0);
        for (size_t i = 0; i < files->n; i++) {
                assert_int_equal(oxl_tree_cursor_next(walk, &item, NULL), 0);
                expect_file(&item, &files->at[i]);
        }
        assert_int_equal(oxl_tree_cursor_next(walk, &item, NULL), 1);
        oxl_tree_cursor_free(walk);
        assert_int_equal(oxl_tree_find(o, &c.tree, files->at[0].path, &item, NULL), 0);
        assert_int_equal(oxl_tree_find(o, &c.tree, "nowhere", &item, NULL), 1);
        size_t n[3] = { 0 };
        assert_int_equal(oxl_tree_diff(o, NULL, &c.tree, count_change, n, NULL), 0);
        assert_int_equal(n[1], files->n);
        struct oxl_commit none;
        assert_int_equal(oxl_commit_read(o, &c.tree, &none, NULL), -OXL_E_OBJECT_MISSING);
        oxl_commit_done(&c);
}

static void trees_and_commits_come_back_from_the_object_store(void **state)
{
        struct fixture *f = *state;
        add_numbered(&f->files, "big/", 3000);
        add_numbered(&f->files, "a/b/", 10);
        trees_files_settle(&f->files);

        char dir[] = "/tmp/oxl-tree-XXXXXX";
        assert_non_null(mkdtemp(dir));
        int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(fd >= 0);
        struct oxl_durable *durable;
        assert_int_equal(oxl_durable_new(fd, dir, 1, &durable, NULL), 0);
        struct oxl_objects_config config = { .root_fd = fd,
                                             .id = { { 1, 2, 3 } },
                                             .blob_algo = OXL_ALGO_BLAKE3,
                                             .pack_threshold = OXL_PACK_THRESHOLD_DEFAULT,
                                             .durable = durable };
        struct oxl_objects *o;
        struct oxl_put *p;
        assert_int_equal(oxl_objects_open(&config, &o, NULL), 0);
        assert_int_equal(oxl_put_begin(o, &p, NULL), 0);
        struct oxl_digest root = store_tree(p, &f->files);
        struct oxl_digest commit = store_commit(p, &root);
        assert_int_equal(oxl_put_finish(p, NULL), 0);
        assert_int_equal(oxl_put_publish(p, NULL), 0);
        oxl_put_free(p);
        expect_stored(o, &commit, &f->files);
        struct oxl_digest in_memory = trees_build(&f->trees, &f->files);
        assert_true(oxl_digest_equal(&root, &in_memory));
        oxl_objects_free(o);
        oxl_durable_free(durable);
        close(fd);
        char command[64];
        snprintf(command, sizeof command, "rm -rf %s", dir);
        assert_int_equal(system(command), 0);
}

int main(void)
{
        oxl_digest_setup();
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                TEST(the_walk_gives_back_what_was_built),
                TEST(the_empty_tree_has_nothing),
                TEST(directories_come_before_their_content_with_their_size),
                TEST(a_skipped_directory_is_not_read),
                TEST(a_flat_walk_lists_one_directory),
                TEST(a_prefix_that_nothing_has_is_not_found),
                TEST(every_path_is_found_by_reading_one_node_per_level),
                TEST(the_root_is_found_by_the_empty_path),
                TEST(the_walk_goes_on_behind_a_directory_that_cannot_be_read),
                TEST(a_split_directory_made_by_hand_is_walked),
                TEST(a_child_of_the_wrong_level_is_refused),
                TEST(a_child_with_another_first_name_is_refused),
                TEST(a_child_with_other_sums_is_refused),
                TEST(a_node_that_ends_elsewhere_is_refused),
                TEST(the_last_child_of_a_node_that_is_not_the_last_ends_by_the_rule_too),
                TEST(names_that_reach_into_the_next_node_are_refused),
                TEST(an_inner_root_with_one_child_is_refused),
                TEST(an_empty_directory_below_another_is_refused),
                TEST(a_directory_of_another_size_is_refused),
                TEST(a_malformed_node_is_named),
                TEST(directories_are_walked_1024_deep_and_no_deeper),
                TEST(paths_of_more_than_32767_bytes_are_refused),
                TEST(the_diff_is_the_difference_of_the_lists),
                TEST(the_diff_of_unrelated_trees_is_all_of_both),
                TEST(no_tree_is_the_empty_tree),
                TEST(a_file_that_becomes_a_directory_is_removed_and_its_content_added),
                TEST(equal_directories_and_equal_nodes_are_not_read),
                TEST(equal_nodes_of_different_directories_are_not_skipped),
                TEST(a_failing_callback_or_source_ends_the_diff),
                TEST(trees_and_commits_come_back_from_the_object_store),
        };
#undef TEST
        return cmocka_run_group_tests(tests, NULL, NULL);
}
