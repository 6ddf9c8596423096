/* SPDX-License-Identifier: MIT */
/* Copying objects of a pack, see pack_copy.h. A crash leaves what a put session leaves. */
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "objects/pack_copy.h"
#include "objects/scan.h"

struct place {
        uint64_t offset;
        uint64_t entry; /* position in the index */
};

struct copying {
        struct oxl_objects *objects;
        struct oxl_pack *pack;
        struct oxl_put *put;
        char name[96];
        struct oxl_buf bytes;
};

static void copying_done(struct copying *c)
{
        oxl_buf_done(&c->bytes);
}

static bool same_object(const struct oxl_pack_entry *a, const struct oxl_pack_entry *b)
{
        return a->kind == b->kind && oxl_digest_equal(&a->id, &b->id);
}

static int compare_places(const void *a, const void *b)
{
        const struct place *x = a, *y = b;
        return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* One of each object: the index sorts copies of the same one together, the first copy first. */
static int list_wanted(struct oxl_pack *pack, oxl_pack_keep_fn *keep, void *ctx, struct place **ret, size_t *ret_n,
                       struct oxl_error *err)
{
        struct oxl_pack_entry last = { 0 }, e;
        uint64_t entries = oxl_pack_entries(pack);
        size_t n = 0;
        struct place *at = calloc((size_t)entries + 1, sizeof *at);
        if (!at)
                return OXL_FAIL_PLAIN(err, NOMEM);
        for (uint64_t i = 0; i < entries; i++, last = e) {
                oxl_pack_entry_at(pack, i, &e);
                if ((i > 0 && same_object(&last, &e)) || (keep && !keep(ctx, &e)))
                        continue;
                at[n++] = (struct place){ e.offset, i };
        }
        if (n > 1)
                qsort(at, n, sizeof *at, compare_places);
        *ret = at;
        *ret_n = n;
        return 0;
}

/* 0 the bytes are those of the object; OBJECT_CORRUPT. */
static int read_record(struct copying *c, const struct oxl_pack_entry *e, struct oxl_error *err)
{
        size_t n = (size_t)e->raw_len;
        if (e->raw_len > OXL_PACK_THRESHOLD_MAX)
                return OXL_FAIL_WHY(err, LIMIT, c->name, "an object in it is larger than expected");
        oxl_buf_clear(&c->bytes);
        int r = oxl_buf_reserve(&c->bytes, n + 1, err);
        if (r == 0 && n > 0)
                r = oxl_pack_payload(c->pack, e, 0, c->bytes.data, n, err);
        if (r < 0)
                return r;
        c->bytes.len = n;
        struct oxl_digest got = oxl_objects_digest(c->objects, (enum oxl_kind)e->kind, c->bytes.data, n);
        return oxl_digest_equal(&got, &e->id) ? 0 : OXL_FAIL_OBJECT(err, OBJECT_CORRUPT, c->name, &e->id, &got);
}

/* The first good copy of the object at @i of the index. */
static int copy_object(struct copying *c, uint64_t i, struct oxl_error *err)
{
        struct oxl_pack_entry e, next;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        oxl_pack_entry_at(c->pack, i, &e);
        int r = read_record(c, &e, &why);
        for (i++; r == -OXL_E_OBJECT_CORRUPT && i < oxl_pack_entries(c->pack); i++) {
                oxl_pack_entry_at(c->pack, i, &next);
                if (!same_object(&e, &next))
                        break;
                oxl_error_done(&why);
                r = read_record(c, &next, &why);
        }
        if (r < 0)
                return oxl_error_copy(err, &why);
        r = oxl_put_again(c->put, (enum oxl_kind)e.kind, c->bytes.data, c->bytes.len, &e.id, c->name, err);
        return r < 0 ? r : 0;
}

int oxl_pack_copy(struct oxl_objects *o, struct oxl_pack *pack, oxl_pack_keep_fn *keep, void *ctx, struct oxl_put *put,
                  const atomic_bool *cancel, struct oxl_error *err)
{
        cleanup(copying_done) struct copying c = { .objects = o, .pack = pack, .put = put };
        cleanup_free struct place *at = NULL;
        size_t n = 0;
        oxl_pack_path(oxl_pack_id(pack), c.name);
        int r = list_wanted(pack, keep, ctx, &at, &n, err);
        for (size_t i = 0; r == 0 && i < n; i++)
                r = oxl_cancelled(cancel) ? OXL_FAIL_PLAIN(err, CANCELLED) : copy_object(&c, at[i].entry, err);
        return r;
}
