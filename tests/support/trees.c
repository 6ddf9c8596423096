/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/fail.h"
#include "base/path.h"
#include "support/trees.h"

uint64_t trees_random(uint64_t *seed)
{
        uint64_t z = (*seed += UINT64_C(0x9e3779b97f4a7c15));
        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        return z ^ (z >> 31);
}

/* --- nodes --- */

void trees_done(struct trees *t)
{
        for (size_t i = 0; i < t->nodes; i++)
                oxl_buf_done(&t->node[i].payload);
        free(t->node);
        *t = (struct trees){ 0 };
}

const struct trees_node *trees_get(const struct trees *t, const struct oxl_digest *id)
{
        for (size_t i = 0; i < t->nodes; i++)
                if (oxl_digest_equal(&t->node[i].id, id))
                        return &t->node[i];
        return NULL;
}

struct oxl_digest trees_put(struct trees *t, const void *payload, size_t n)
{
        struct oxl_digest id = oxl_digest_derive(OXL_CONTEXT_TREE, payload, n);
        if (trees_get(t, &id))
                return id;
        if (t->nodes == t->slots) {
                t->slots = t->slots * 2 + 16;
                t->node = realloc(t->node, t->slots * sizeof *t->node);
                assert_non_null(t->node);
        }
        struct trees_node *node = &t->node[t->nodes++];
        *node = (struct trees_node){ id, OXL_BUF_INIT };
        assert_int_equal(oxl_buf_append(&node->payload, payload, n, NULL), 0);
        return id;
}

int trees_emit(void *ctx, const void *payload, size_t n, struct oxl_digest *ret_id, struct oxl_error *err)
{
        struct trees *t = ctx;
        (void)err;
        t->emitted++;
        *ret_id = trees_put(t, payload, n);
        return 0;
}

int trees_fetch(void *ctx, const struct oxl_digest *id, struct oxl_buf *ret, struct oxl_error *err)
{
        struct trees *t = ctx;
        t->fetched++;
        const struct trees_node *node = trees_get(t, id);
        if (!node || (t->missing && oxl_digest_equal(t->missing, id)))
                return OXL_FAIL_OBJECT(err, OBJECT_MISSING, "memory", id, NULL);
        return oxl_buf_append(ret, node->payload.data, node->payload.len, err);
}

struct oxl_tree_source trees_source(struct trees *t)
{
        return (struct oxl_tree_source){ trees_fetch, t, OXL_ALGO_BLAKE3 };
}

/* --- files --- */

void trees_files_done(struct trees_files *f)
{
        for (size_t i = 0; i < f->n; i++)
                free(f->at[i].path);
        free(f->at);
        *f = (struct trees_files){ 0 };
}

void trees_files_add(struct trees_files *f, const char *path, uint64_t content)
{
        if (f->n == f->slots) {
                f->slots = f->slots * 2 + 64;
                f->at = realloc(f->at, f->slots * sizeof *f->at);
                assert_non_null(f->at);
        }
        f->at[f->n] = (struct trees_file){
                .path = strdup(path),
                .kind = content % 3 == 0   ? OXL_ENTRY_SYMLINK
                        : content % 3 == 1 ? OXL_ENTRY_EXECUTABLE
                                           : OXL_ENTRY_FILE,
                .size = 1 + content % 4000,
                .id = oxl_digest_of(OXL_ALGO_BLAKE3, &content, sizeof content),
        };
        assert_non_null(f->at[f->n++].path);
}

static int compare_files(const void *a, const void *b)
{
        const struct trees_file *x = a, *y = b;
        return oxl_path_compare(x->path, strlen(x->path), y->path, strlen(y->path));
}

void trees_files_settle(struct trees_files *f)
{
        if (f->n == 0)
                return;
        qsort(f->at, f->n, sizeof *f->at, compare_files);
        size_t kept = 1;
        for (size_t i = 1; i < f->n; i++) {
                if (oxl_path_is_within(f->at[i].path, f->at[kept - 1].path))
                        free(f->at[i].path);
                else
                        f->at[kept++] = f->at[i];
        }
        f->n = kept;
}

void trees_files_random(struct trees_files *f, uint64_t *seed, size_t n, unsigned dirs)
{
        static const char *const names[] = { "a", "a.b", "a-", "zz\xff\xfe", "\x01low", "dir" };
        for (size_t i = 0; i < n; i++) {
                char path[256] = "";
                for (uint64_t d = trees_random(seed) % dirs == 0 ? 0 : 1 + trees_random(seed) % 3; d > 0; d--) {
                        strncat(path, names[trees_random(seed) % OXL_ARRAY_LEN(names)], 10);
                        strncat(path, "/", 2);
                }
                size_t len = strlen(path);
                /* Now and then a file takes the name of a directory. */
                if (trees_random(seed) % 500 == 0)
                        snprintf(path + len, sizeof path - len, "%s", names[trees_random(seed) % OXL_ARRAY_LEN(names)]);
                else
                        snprintf(path + len, sizeof path - len, "f%u", (unsigned)(trees_random(seed) % (2 * n)));
                trees_files_add(f, path, trees_random(seed));
        }
        trees_files_settle(f);
}

void trees_files_add_chosen(struct trees_files *f, const char *prefix, size_t n, bool ending)
{
        unsigned number = 0;
        for (size_t i = 0; i < n; number++) {
                char name[64];
                int len = snprintf(name, sizeof name, "%s%08u", prefix, number);
                if (oxl_tree_ends(0, 32, name, (size_t)len) != ending)
                        continue;
                if (ending && i % 1024 == 31 * 32 && !oxl_tree_ends(1, 32, name, (size_t)len))
                        continue;
                trees_files_add(f, name, number);
                i++;
        }
}

struct trees_files trees_files_copy(const struct trees_files *f)
{
        struct trees_files copy = { 0 };
        for (size_t i = 0; i < f->n; i++) {
                trees_files_add(&copy, f->at[i].path, 0);
                char *path = copy.at[i].path;
                copy.at[i] = f->at[i];
                copy.at[i].path = path;
        }
        return copy;
}

struct oxl_digest trees_build(struct trees *t, const struct trees_files *f)
{
        struct oxl_tree_builder *b;
        assert_int_equal(oxl_tree_builder_new(trees_emit, t, &b, NULL), 0);
        for (size_t i = 0; i < f->n; i++) {
                const struct trees_file *x = &f->at[i];
                assert_int_equal(oxl_tree_builder_add(b, x->path, strlen(x->path), x->kind, x->size, &x->id, NULL), 0);
        }
        struct oxl_digest root;
        assert_int_equal(oxl_tree_builder_finish(b, &root, NULL), 0);
        oxl_tree_builder_free(b);
        return root;
}
