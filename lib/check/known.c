/* SPDX-License-Identifier: MIT */
/* The table of known objects, see known.h. */
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/le.h"
#include "check/known.h"

enum { SLOTS_MIN = 1024 };

uint64_t oxl_known_size(const struct oxl_known_slot *s)
{
        uint8_t wide[8] = { 0 };
        memcpy(wide, s->size, sizeof s->size);
        return le_load64(wide);
}

void oxl_known_set_size(struct oxl_known_slot *s, uint64_t size)
{
        uint8_t wide[8];
        le_store64(wide, size);
        memcpy(s->size, wide, sizeof s->size);
}

/* The slot that has @id, or the free one where it belongs. There is always a free one. */
static struct oxl_known_slot *probe(struct oxl_known_slot *slots, size_t cap, const uint8_t *id)
{
        size_t i = (size_t)le_load64(id) & (cap - 1);
        while (slots[i].flags && memcmp(slots[i].id, id, sizeof slots[i].id) != 0)
                i = (i + 1) & (cap - 1);
        return &slots[i];
}

static int grow(struct oxl_known *k, struct oxl_error *err)
{
        size_t cap = k->cap ? 2 * k->cap : SLOTS_MIN;
        struct oxl_known_slot *slots = calloc(cap, sizeof *slots);
        if (!slots)
                return OXL_FAIL_PLAIN(err, NOMEM);
        for (size_t i = 0; i < k->cap; i++)
                if (k->slots[i].flags)
                        *probe(slots, cap, k->slots[i].id) = k->slots[i];
        free(k->slots);
        k->slots = slots;
        k->cap = cap;
        return 0;
}

int oxl_known_put(struct oxl_known *k, const struct oxl_digest *id, struct oxl_known_slot **ret, struct oxl_error *err)
{
        if (k->used >= k->cap / 4 * 3) {
                int r = grow(k, err);
                if (r < 0)
                        return r;
        }
        struct oxl_known_slot *s = probe(k->slots, k->cap, id->bytes);
        if (!s->flags) {
                memcpy(s->id, id->bytes, sizeof s->id);
                s->flags = OXL_KNOWN_USED;
                k->used++;
        }
        *ret = s;
        return 0;
}

struct oxl_known_slot *oxl_known_find(const struct oxl_known *k, const struct oxl_digest *id)
{
        struct oxl_known_slot *s = k->cap ? probe(k->slots, k->cap, id->bytes) : NULL;
        return s && s->flags ? s : NULL;
}

uint64_t oxl_known_count(const struct oxl_known *k, unsigned mask, unsigned want)
{
        uint64_t n = 0;
        for (size_t i = 0; i < k->cap; i++)
                n += k->slots[i].flags && (k->slots[i].flags & mask) == want;
        return n;
}

void oxl_known_done(struct oxl_known *k)
{
        free(k->slots);
        *k = (struct oxl_known)OXL_KNOWN_INIT;
}
