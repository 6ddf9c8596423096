/* SPDX-License-Identifier: MIT */
/* See ahead.h. A batch is filled here, read by the crew, and handed out here. Writes nothing, so a crash leaves nothing. */
#include "objects/ahead.h"
#include "base/cleanup.h"
#include "base/fail.h"
#include "objects/store.h"
#include "os/crew.h"

enum { SLOTS = 4, BATCH_PACKS = 4 /* descriptors are few */ };

struct item {
        struct oxl_digest id;
        uint64_t size, offset;  /* offset: of the record */
        size_t number, at;      /* at: in the batch's buffer */
        struct oxl_pack *pack;  /* one of the batch's; NULL: nothing to be read */
        const uint8_t *payload; /* in the buffer; NULL: not read */
};

struct batch {
        struct item items[OXL_AHEAD_BATCH_FILES];
        struct oxl_pack *packs[BATCH_PACKS]; /* referenced: the store may close its own */
        size_t n, n_packs, bytes;
        struct oxl_buf content;
};

struct oxl_ahead {
        struct oxl_objects *objects;
        oxl_ahead_fn *fn;
        void *ctx;
        struct oxl_crew *crew;
        struct batch *filling; /* one of the batches, or NULL */
        struct batch batches[SLOTS];
};

/* On any thread. */
static void read_batch(void *ctx, size_t slot)
{
        struct batch *b = &((struct oxl_ahead *)ctx)->batches[slot];
        for (size_t i = 0; i < b->n; i++) {
                struct item *it = &b->items[i];
                uint8_t *to = b->content.data + it->at;
                if (it->pack && oxl_pack_blob(it->pack, it->offset, &it->id, it->size, to))
                        it->payload = to + OXL_PACK_RECORD_BYTES;
        }
}

static void batch_clear(struct batch *b)
{
        for (size_t i = 0; i < b->n_packs; i++)
                oxl_pack_free(b->packs[i]);
        b->n = b->n_packs = b->bytes = 0;
}

int oxl_ahead_new(struct oxl_objects *o, oxl_ahead_fn *fn, void *ctx, struct oxl_ahead **ret, struct oxl_error *err)
{
        cleanup_free struct oxl_ahead *a = calloc(1, sizeof *a);
        if (!a)
                return OXL_FAIL_PLAIN(err, NOMEM);
        a->objects = o;
        a->fn = fn;
        a->ctx = ctx;
        int r = oxl_crew_new(oxl_crew_default(), SLOTS, read_batch, a, &a->crew, err);
        if (r == 0)
                *ret = take_ptr(&a);
        return r;
}

void oxl_ahead_free(struct oxl_ahead *a)
{
        if (!a)
                return;
        oxl_crew_free(a->crew);
        for (size_t i = 0; i < SLOTS; i++) {
                batch_clear(&a->batches[i]);
                oxl_buf_done(&a->batches[i].content);
        }
        free(a);
}

static int hand_out(struct oxl_ahead *a, struct oxl_error *err)
{
        struct batch *b = &a->batches[oxl_crew_take(a->crew)];
        int r = 0;
        for (size_t i = 0; r >= 0 && i < b->n; i++)
                r = a->fn(a->ctx, b->items[i].number, b->items[i].payload, err);
        batch_clear(b);
        return r < 0 ? r : 0;
}

static int submit(struct oxl_ahead *a, struct oxl_error *err)
{
        struct batch *b = a->filling;
        int r = oxl_buf_reserve(&b->content, b->bytes, err);
        if (r < 0)
                return r;
        a->filling = NULL;
        oxl_crew_submit(a->crew);
        return 0;
}

/* A batch in which one more blob, of one more pack, has room. */
static int find_room(struct oxl_ahead *a, uint64_t size, struct oxl_error *err)
{
        const struct batch *b = a->filling;
        int r = 0;
        if (b &&
            (b->n == OXL_AHEAD_BATCH_FILES || b->bytes + size > OXL_AHEAD_BATCH_BYTES || b->n_packs == BATCH_PACKS))
                r = submit(a, err);
        if (r == 0 && oxl_crew_full(a->crew))
                r = hand_out(a, err);
        if (r == 0 && !a->filling)
                a->filling = &a->batches[oxl_crew_slot(a->crew)];
        return r;
}

/* Takes a reference of @pack, unless the batch has one. */
static void keep_pack(struct batch *b, struct oxl_pack *pack)
{
        for (size_t i = 0; i < b->n_packs; i++)
                if (b->packs[i] == pack)
                        return;
        b->packs[b->n_packs++] = oxl_pack_ref(pack);
}

int oxl_ahead_add(struct oxl_ahead *a, const struct oxl_digest *id, uint64_t size, size_t number, struct oxl_error *err)
{
        OXL_ASSERT(size <= OXL_AHEAD_BLOB_MAX);
        int r = find_room(a, size, err);
        if (r < 0)
                return r;
        struct batch *b = a->filling;
        struct item *it = &b->items[b->n++];
        *it = (struct item){ .id = *id, .size = size, .number = number, .at = b->bytes };
        if (oxl_store_locate(a->objects, id, &it->pack, &it->offset) != 0)
                return 0;
        keep_pack(b, it->pack);
        b->bytes += OXL_PACK_RECORD_BYTES + (size_t)size;
        return 0;
}

int oxl_ahead_settle(struct oxl_ahead *a, struct oxl_error *err)
{
        int r = a->filling ? submit(a, err) : 0;
        while (r == 0 && oxl_crew_busy(a->crew))
                r = hand_out(a, err);
        return r;
}

void oxl_ahead_drop(struct oxl_ahead *a)
{
        while (oxl_crew_busy(a->crew))
                batch_clear(&a->batches[oxl_crew_take(a->crew)]);
        if (a->filling)
                batch_clear(a->filling);
        a->filling = NULL;
}
