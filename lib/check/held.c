/* SPDX-License-Identifier: MIT */
/*
 * Findings that wait for their turn: files are read in the order of the disk, and told of in the order of their names.
 *
 * Counting and recording do not wait, only the caller's function does. At most HELD_BYTES_MAX are held, some 1,600 findings: of
 * more it is told in several batches, each in order. What a crash leaves: nothing.
 */
#include <string.h>

#include "check/pass.h"

enum { HELD_BYTES_MAX = 1 << 20 };

struct oxl_held_finding {
        const struct oxl_unit *unit; /* borrowed */
        size_t nth;                  /* of all that are held */
        struct oxl_finding f;        /* its texts stand behind it */
        char texts[];
};

/* In the order of reading a file's own findings are in order already. */
static int compare(const void *a, const void *b)
{
        const struct oxl_held_finding *const *x = a, *const *y = b;
        int r = oxl_unit_compare((*x)->unit, (*y)->unit);
        return r ? r : (*x)->nth < (*y)->nth ? -1 : 1;
}

static struct oxl_held_finding *copy(const struct oxl_finding *f, size_t *ret_bytes)
{
        const char *const texts[] = { f->id,       f->path,   f->object, f->verdict,
                                      f->expected, f->actual, f->detail, f->remedy };
        size_t bytes = sizeof(struct oxl_held_finding);
        for (size_t i = 0; i < OXL_ARRAY_LEN(texts); i++)
                bytes += texts[i] ? strlen(texts[i]) + 1 : 0;
        struct oxl_held_finding *h = malloc(bytes);
        if (!h)
                return NULL;
        h->f = *f;
        const char **const to[] = { &h->f.id,       &h->f.path,   &h->f.object, &h->f.verdict,
                                    &h->f.expected, &h->f.actual, &h->f.detail, &h->f.remedy };
        char *at = h->texts;
        for (size_t i = 0; i < OXL_ARRAY_LEN(texts); i++) {
                size_t n = texts[i] ? strlen(texts[i]) + 1 : 0;
                if (n > 0)
                        *to[i] = memcpy(at, texts[i], n);
                at += n;
        }
        *ret_bytes = bytes;
        return h;
}

int oxl_held_add(struct oxl_check *c, const struct oxl_finding *f, struct oxl_error *err)
{
        struct oxl_held *h = &c->held;
        size_t bytes;
        OXL_ASSERT(f->n_affects == 0); /* whom it affects is known when the graph was walked */
        if (h->n == h->cap) {
                size_t cap = 2 * h->cap + 16;
                struct oxl_held_finding **at = reallocarray(h->at, cap, sizeof *at);
                if (!at)
                        return OXL_FAIL_PLAIN(err, NOMEM);
                h->at = at;
                h->cap = cap;
        }
        struct oxl_held_finding *new_ = copy(f, &bytes);
        if (!new_)
                return OXL_FAIL_PLAIN(err, NOMEM);
        new_->unit = h->unit;
        new_->nth = h->n;
        h->at[h->n++] = new_;
        h->bytes += bytes;
        return h->bytes > HELD_BYTES_MAX ? oxl_held_tell(c, err) : 0;
}

static void free_all(struct oxl_held *h)
{
        while (h->n > 0)
                free(h->at[--h->n]);
        h->bytes = 0;
}

int oxl_held_tell(struct oxl_check *c, struct oxl_error *err)
{
        struct oxl_held *h = &c->held;
        int r = 0;
        if (h->n > 1)
                qsort(h->at, h->n, sizeof(void *), compare);
        for (size_t i = 0; r == 0 && c->fn && i < h->n; i++)
                r = c->fn(c->fn_ctx, &h->at[i]->f, err);
        free_all(h);
        return r;
}

void oxl_held_done(struct oxl_held *h)
{
        free_all(h);
        free(h->at);
        *h = (struct oxl_held){ 0 };
}
