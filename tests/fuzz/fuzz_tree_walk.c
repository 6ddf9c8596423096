/* SPDX-License-Identifier: MIT */
/*
 * Trees from a hostile store. Input: u8 number of a second root, then nodes, each u16 length and payload. An id means the node
 * whose number is the id's first byte (255: the last, which is the root), so that nodes may hold each other in any way.
 *
 * The cursor yields ascending clean paths, lookups agree with it, and differences of a tree to itself are none. Trees may be
 * exponentially large by sharing; the walk stops after some steps.
 */
#include "base/fail.h"
#include "base/path.h"
#include "fuzz/fuzz.h"
#include "objects/tree_internal.h"

enum { ROOT = 255, NODES_MAX = 64, STEPS_MAX = 150, FINDS_MAX = 4 };

static struct oxl_bytes nodes[NODES_MAX];
static size_t n_nodes;

static int fetch(void *ctx, const struct oxl_digest *id, struct oxl_buf *ret, struct oxl_error *err)
{
        (void)ctx;
        struct oxl_bytes node = nodes[id->bytes[0] == ROOT ? n_nodes - 1 : id->bytes[0] % n_nodes];
        return oxl_buf_append(ret, node.data, node.len, err);
}

static const struct oxl_tree_source source = { fetch, NULL, OXL_ALGO_BLAKE3 };

static void cursor_done(struct oxl_tree_cursor **c)
{
        oxl_tree_cursor_free(*c);
}

/* The cursor and find must agree about @item. */
static void check_find(const struct oxl_digest *root, const struct oxl_tree_item *item)
{
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        struct oxl_tree_item found;
        int r = oxl_tree_find_in(&source, root, item->path, &found, &err);
        FUZZ_REQUIRE(!fuzz_failed(r, &err) && r == 0);
        FUZZ_REQUIRE(found.kind == item->kind && found.size == item->size && oxl_digest_equal(&found.id, &item->id));
}

static void walk(const struct oxl_digest *root, const char *prefix, unsigned flags)
{
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        cleanup_buf struct oxl_buf last = OXL_BUF_INIT;
        cleanup(cursor_done) struct oxl_tree_cursor *c = NULL;
        struct oxl_tree_item item;
        if (fuzz_failed(oxl_tree_cursor_new_from(&source, root, prefix, flags, &c, &err), &err))
                return;
        bool any = false, damaged = false;
        for (unsigned steps = 0; steps < STEPS_MAX; steps++) {
                int r = oxl_tree_cursor_next(c, &item, &err);
                if (r == 1) {
                        fuzz_accepted += any && !damaged;
                        break;
                }
                if (fuzz_failed(r, &err)) {
                        damaged = true;
                        continue;
                }
                FUZZ_REQUIRE(item.path[item.path_len] == 0 && !oxl_path_problem(item.path, item.path_len));
                FUZZ_REQUIRE(oxl_path_is_within(item.path, prefix));
                FUZZ_REQUIRE(item.kind != OXL_ENTRY_NONE);
                FUZZ_REQUIRE(item.kind != OXL_ENTRY_DIRECTORY || flags);
                FUZZ_REQUIRE(!any || oxl_path_compare((char *)last.data, last.len, item.path, item.path_len) < 0);
                oxl_buf_clear(&last);
                FUZZ_REQUIRE(oxl_buf_append(&last, item.path, item.path_len, NULL) == 0);
                any = true;
                if (!damaged && steps < FINDS_MAX)
                        check_find(root, &item);
        }
}

struct seen {
        unsigned added, removed, changed;
};

static int count_difference(void *ctx, const struct oxl_tree_item *a, const struct oxl_tree_item *b,
                            struct oxl_error *err)
{
        struct seen *s = ctx;
        FUZZ_REQUIRE(a || b);
        FUZZ_REQUIRE(!a || !b || (a->path_len == b->path_len && memcmp(a->path, b->path, a->path_len) == 0));
        s->added += !a;
        s->removed += !b;
        s->changed += a && b;
        unsigned all = s->added + s->removed + s->changed;
        return all < STEPS_MAX ? 0 : OXL_FAIL_PLAIN(err, CANCELLED);
}

static void compare(const struct oxl_digest *a, const struct oxl_digest *b)
{
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        struct seen there = { 0 }, back = { 0 }, same = { 0 };
        bool failed = fuzz_failed(oxl_tree_diff_in(&source, a, b, count_difference, &there, &err), &err);
        failed |= fuzz_failed(oxl_tree_diff_in(&source, b, a, count_difference, &back, &err), &err);
        if (!failed)
                FUZZ_REQUIRE(there.added == back.removed && there.removed == back.added &&
                             there.changed == back.changed);
        if (!fuzz_failed(oxl_tree_diff_in(&source, a, a, count_difference, &same, &err), &err))
                FUZZ_REQUIRE(same.added + same.removed + same.changed == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const struct oxl_digest root = { OXL_ALGO_BLAKE3, { ROOT } };
        if (size == 0)
                return 0;
        const struct oxl_digest other = { OXL_ALGO_BLAKE3, { data[0] } };
        data++;
        size--;
        n_nodes = 0;
        while (size >= 2 && n_nodes < NODES_MAX) {
                size_t n = le_load16(data);
                n = n < size - 2 ? n : size - 2;
                nodes[n_nodes++] = oxl_bytes_of(data + 2, n);
                data += 2 + n;
                size -= 2 + n;
        }
        if (n_nodes == 0)
                return 0;
        walk(&root, "", 0);
        walk(&root, "", OXL_TREE_DIRECTORIES);
        walk(&root, "", OXL_TREE_FLAT);
        walk(&root, "a", OXL_TREE_DIRECTORIES);
        walk(&root, "d/e", 0);
        compare(&root, &other);
        return 0;
}
