/* SPDX-License-Identifier: MIT */
/* Positions of an array, found by digest: see idset.h. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/le.h"
#include "digest/digest.h"
#include "objects/idset.h"

#define FIRST_SLOTS 256

/* The slot that holds @id, or the free one where it belongs. */
static size_t slot_of(const struct oxl_idset *s, const void *array, const uint8_t *id)
{
        size_t slot = (size_t)le_load64(id) & (s->cap - 1);
        while (s->slots[slot] != 0 && memcmp(s->id_of(array, s->slots[slot] - 1), id, OXL_DIGEST_BYTES) != 0)
                slot = (slot + 1) & (s->cap - 1);
        return slot;
}

size_t oxl_idset_find(const struct oxl_idset *s, const void *array, const uint8_t *id)
{
        if (s->cap == 0)
                return OXL_IDSET_NONE;
        uint32_t held = s->slots[slot_of(s, array, id)];
        return held ? held - 1 : OXL_IDSET_NONE;
}

int oxl_idset_reserve(struct oxl_idset *s, const void *array, struct oxl_error *err)
{
        if (s->used < s->cap / 2)
                return 0;
        struct oxl_idset bigger = { .id_of = s->id_of, .cap = s->cap ? 2 * s->cap : FIRST_SLOTS, .used = s->used };
        bigger.slots = calloc(bigger.cap, sizeof(*bigger.slots));
        if (!bigger.slots)
                return OXL_FAIL_PLAIN(err, NOMEM);
        for (size_t i = 0; i < s->cap; i++)
                if (s->slots[i] != 0)
                        bigger.slots[slot_of(&bigger, array, s->id_of(array, s->slots[i] - 1))] = s->slots[i];
        free(s->slots);
        *s = bigger;
        return 0;
}

void oxl_idset_add(struct oxl_idset *s, const void *array, size_t i)
{
        OXL_ASSERT(s->used < s->cap / 2 && i < UINT32_MAX);
        uint32_t *slot = &s->slots[slot_of(s, array, s->id_of(array, i))];
        if (*slot == 0)
                s->used++;
        *slot = (uint32_t)i + 1;
}

void oxl_idset_done(struct oxl_idset *s)
{
        free(s->slots);
        s->slots = NULL;
        s->cap = s->used = 0;
}
