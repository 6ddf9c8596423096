/* SPDX-License-Identifier: MIT */
/*
 * What repair may act on: collected by the walk, sorted by the hash that is wanted, reported when it is known what became of
 * each.
 *
 * Error budget: more than max(5 items, 1 % of the versions) stops repair before it begins, unless forced. When a batch is full and nobody
 * forces, the versions are counted by their names, which says how many items the budget can ever allow: so the list is bounded, and
 * a store that is damaged all over is not held in memory to be left alone in the end.
 */
#include <stdio.h>
#include <string.h>

#include "foreign/oxen.h"

void oxl_oxen_items_done(struct oxl_oxen *x)
{
        for (size_t i = 0; i < x->n_items; i++) {
                free(x->items[i].path);
                free(x->items[i].source);
        }
        free(x->items);
        x->items = NULL;
        x->n_items = x->cap_items = 0;
}

static uint64_t batch_of(const struct oxl_oxen *x)
{
        return x->options->batch ? x->options->batch : OXL_OXEN_BATCH;
}

static uint64_t budget_of(uint64_t versions)
{
        return versions / 100 > 5 ? versions / 100 : 5;
}

/* All that was collected, and nothing is done about it. */
static int give_up(struct oxl_oxen *x, struct oxl_error *err)
{
        x->result.over_budget = true;
        int r = oxl_oxen_items_report(x, err);
        oxl_oxen_items_done(x);
        return r;
}

/* 1: nothing will be repaired. */
static int is_full(struct oxl_oxen *x, struct oxl_error *err)
{
        if (x->result.over_budget)
                return 1;
        if (x->options->force || x->n_items < batch_of(x))
                return 0;
        if (x->counted == 0) {
                int r = oxl_oxen_count(x, &x->counted, err);
                if (r < 0)
                        return r;
        }
        if (x->n_items < budget_of(x->counted))
                return 0;
        int r = give_up(x, err);
        return r < 0 ? r : 1;
}

/* What was found is reported also when repair failed; its error comes first. */
static int repair_and_report(struct oxl_oxen *x, struct oxl_error *err)
{
        cleanup_error struct oxl_error failed = OXL_ERROR_INIT;
        int r = oxl_oxen_repair(x, &failed);
        int s = oxl_oxen_items_report(x, r < 0 ? NULL : err);
        oxl_oxen_items_done(x);
        return r < 0 ? oxl_error_copy(err, &failed) : s;
}

int oxl_oxen_items_flush(struct oxl_oxen *x, struct oxl_error *err)
{
        return x->options->force && x->n_items >= batch_of(x) ? repair_and_report(x, err) : 0;
}

int oxl_oxen_items_finish(struct oxl_oxen *x, struct oxl_error *err)
{
        uint64_t versions = x->result.blobs + x->n_items;
        return !x->options->force && x->n_items > budget_of(versions) ? give_up(x, err) : repair_and_report(x, err);
}

int oxl_oxen_items_add(struct oxl_oxen *x, const struct oxl_oxen_item *item, const char *path, struct oxl_error *err)
{
        int full = is_full(x, err);
        if (full != 0)
                return full;
        if (x->n_items == x->cap_items) {
                size_t cap = x->cap_items ? 2 * x->cap_items : 16;
                struct oxl_oxen_item *grown = realloc(x->items, cap * sizeof *grown);
                if (!grown)
                        return OXL_FAIL_PLAIN(err, NOMEM);
                x->items = grown;
                x->cap_items = cap;
        }
        struct oxl_oxen_item copy = *item;
        copy.path = strdup(path);
        if (!copy.path)
                return OXL_FAIL_PLAIN(err, NOMEM);
        x->items[x->n_items++] = copy;
        return 0;
}

static int compare(const void *a, const void *b)
{
        const struct oxl_oxen_item *p = a, *q = b;
        int c = oxl_digest_compare(&p->want, &q->want);
        return c ? c : strcmp(p->path, q->path);
}

void oxl_oxen_items_sort(struct oxl_oxen *x)
{
        if (x->n_items > 1)
                qsort(x->items, x->n_items, sizeof *x->items, compare);
}

struct oxl_oxen_item *oxl_oxen_items_find(const struct oxl_oxen *x, const struct oxl_digest *id, size_t *ret_n)
{
        size_t low = 0, high = x->n_items;
        while (low < high) {
                size_t middle = low + (high - low) / 2;
                if (oxl_digest_compare(&x->items[middle].want, id) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        size_t n = 0;
        while (low + n < x->n_items && oxl_digest_equal(&x->items[low + n].want, id))
                n++;
        *ret_n = n;
        return n ? &x->items[low] : NULL;
}

size_t oxl_oxen_items_open(const struct oxl_oxen *x)
{
        size_t n = 0;
        for (size_t i = 0; i < x->n_items; i++)
                n += !x->items[i].healed && !x->items[i].stale;
        return n;
}

static int describe(const struct oxl_oxen *x, const struct oxl_oxen_item *item, struct oxl_buf *ret,
                    struct oxl_error *err)
{
        int r;
        if (item->healed)
                r = oxl_buf_append_fmt(ret, err, "replaced by good bytes from '%s'", item->source);
        else if (item->unproven)
                r = oxl_buf_append_text(ret, "it was replaced, but what was written reads back wrong", err);
        else if (item->stale)
                r = oxl_buf_append_text(ret, "it changed while it was being repaired: left alone", err);
        else if (x->result.over_budget)
                r = oxl_buf_append_text(ret, "too much is damaged at once: look at the disk first, then add --force",
                                        err);
        else if (!x->searched)
                r = oxl_buf_append_text(ret, "repair did not get to it: left as it is", err);
        else
                r = oxl_buf_append_text(ret, "no good copy was found: left as it is", err);
        if (r == 0 && item->quarantine[0])
                r = oxl_buf_append_fmt(ret, err, "; what was there is in '%s/%s'", x->result.quarantine,
                                       item->quarantine);
        return r;
}

int oxl_oxen_items_report(struct oxl_oxen *x, struct oxl_error *err)
{
        int r = 0;
        for (size_t i = 0; r == 0 && i < x->n_items; i++) {
                const struct oxl_oxen_item *item = &x->items[i];
                cleanup_buf struct oxl_buf detail = OXL_BUF_INIT;
                cleanup_free char *shown = NULL;
                r = oxl_oxen_shown(x, item->path, &shown, err);
                if (r == 0)
                        r = describe(x, item, &detail, err);
                if (r < 0)
                        return r;
                struct oxl_oxen_report report = { .problem = item->problem,
                                                  .path = shown,
                                                  .want = &item->want,
                                                  .got = &item->got,
                                                  .block = item->block,
                                                  .verdict = item->got.algo ? "media" : "",
                                                  .detail = oxl_buf_text(&detail),
                                                  .st = item->got.algo ? &item->st : NULL,
                                                  .repaired = item->healed };
                r = oxl_oxen_report(x, &report, err);
        }
        return r;
}
