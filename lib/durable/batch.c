/* SPDX-License-Identifier: MIT */
/*
 * Batches: many standalone targets, written first, synced together, renamed, and their directories synced once.
 *
 * Invariants: no target is renamed before every temp of the batch is durable; after a failure nothing further is renamed,
 * but what was renamed is made durable. A batch commits once.
 * What a crash leaves: each target old or new, whole, and temps of owner 0 (crash/atomic, batch of several files).
 */
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "durable/target.h"

struct item {
        struct oxl_target target;
        struct oxl_temp temp;
};

struct oxl_batch {
        struct oxl_atomic_options o; /* what it points to is the caller's until free */
        struct oxl_writer w;
        struct item **items;
        size_t n, cap;
        bool committed;
};

int oxl_batch_begin(const struct oxl_atomic_options *options, struct oxl_batch **ret, struct oxl_error *err)
{
        struct oxl_atomic_options o = options ? *options : (struct oxl_atomic_options){ 0 };
        int r = oxl_options_check(&o, "batch", err);
        if (r < 0)
                return r;
        if (o.expect || o.expect_bytes || (o.flags & OXL_ATOMIC_READ_BACK))
                return OXL_FAIL_WHY(err, INVALID, "batch",
                                    "expected size, expected digest and read-back are for one file");
        struct oxl_batch *b = calloc(1, sizeof *b);
        if (!b)
                return OXL_FAIL_PLAIN(err, NOMEM);
        b->o = o;
        b->w = (struct oxl_writer)OXL_WRITER_INIT;
        *ret = b;
        return 0;
}

static void item_free(struct oxl_batch *b, struct item *it)
{
        unsigned warnings = 0;
        OXL_IGNORE(oxl_target_drop(&it->target, &it->temp, &b->o, &warnings), "the caller was warned");
        free(it);
}

/* A slot at the end of the list. */
static int item_new(struct oxl_batch *b, struct item **ret, struct oxl_error *err)
{
        if (b->n == b->cap) {
                size_t cap = b->cap ? b->cap * 2 : 16;
                struct item **p = realloc(b->items, cap * sizeof(struct item *));
                if (!p)
                        return OXL_FAIL_PLAIN(err, NOMEM);
                b->items = p;
                b->cap = cap;
        }
        struct item *it = calloc(1, sizeof *it);
        if (!it)
                return OXL_FAIL_PLAIN(err, NOMEM);
        it->target = (struct oxl_target)OXL_TARGET_INIT;
        it->temp = (struct oxl_temp)OXL_TEMP_INIT;
        *ret = it;
        return 0;
}

static int write_item(struct oxl_batch *b, struct item *it, const char *path, const void *bytes, size_t n,
                      struct oxl_error *err)
{
        int r = oxl_target_open(&it->target, &b->w, path, &b->o, err);
        if (r == 0)
                r = oxl_target_temp(&it->target, &b->w, &b->o, &it->temp, err);
        if (r == 0)
                r = oxl_temp_write(&it->temp, bytes, n, err);
        return r < 0 ? r : oxl_target_apply(&it->target, &it->temp, &b->o, err);
}

int oxl_batch_add(struct oxl_batch *b, const char *target, const void *bytes, size_t n, struct oxl_error *err)
{
        if (b->committed || b->w.poisoned)
                return OXL_FAIL_PATH(err, POISONED, target);
        int r = oxl_target_check(target, err);
        if (r < 0)
                return r;
        if (b->o.max_bytes && n > b->o.max_bytes)
                return OXL_FAIL_WHY(err, SIZE, target, "it has more bytes than allowed");
        if (oxl_is_cancelled(&b->o))
                return OXL_FAIL_PLAIN(err, CANCELLED);
        struct item *it = NULL;
        r = item_new(b, &it, err);
        if (r < 0)
                return r;
        r = write_item(b, it, target, bytes, n, err);
        if (r < 0)
                item_free(b, it);
        else
                b->items[b->n++] = it;
        return r;
}

static int sync_all(struct oxl_batch *b, struct oxl_error *err)
{
        if (b->n == 0)
                return 0;
        cleanup_free struct oxl_temp **temps = calloc(b->n, sizeof(struct oxl_temp *));
        if (!temps)
                return OXL_FAIL_PLAIN(err, NOMEM);
        for (size_t i = 0; i < b->n; i++)
                temps[i] = &b->items[i]->temp;
        return oxl_temp_sync_many(&b->w, temps, b->n, err);
}

/* Syncs the directories. An error of the renames before it (@r) stays the one reported. */
static int settle(struct oxl_batch *b, int r, struct oxl_error *err)
{
        unsigned warnings = 0;
        int s = oxl_target_settle(&b->w, &b->o, &warnings, r < 0 ? NULL : err);
        return r < 0 ? r : s < 0 ? s : 0;
}

int oxl_batch_commit(struct oxl_batch *b, size_t *ret_published, struct oxl_error *err)
{
        size_t published = 0;
        if (ret_published)
                *ret_published = 0;
        if (b->committed || b->w.poisoned)
                return OXL_FAIL_PATH(err, POISONED, "batch");
        b->committed = true;
        int r = sync_all(b, err);
        if (r == 0 && oxl_is_cancelled(&b->o))
                r = OXL_FAIL_PLAIN(err, CANCELLED);
        if (r < 0)
                return r;
        for (; r == 0 && published < b->n; published += r == 0) {
                struct item *it = b->items[published];
                r = oxl_target_publish(&it->target, &it->temp, &b->o, err);
        }
        if (ret_published)
                *ret_published = published;
        return settle(b, r, err);
}

void oxl_batch_free(struct oxl_batch *b)
{
        if (!b)
                return;
        for (size_t i = 0; i < b->n; i++)
                item_free(b, b->items[i]);
        oxl_writer_done(&b->w);
        free(b->items);
        free(b);
}
