/* SPDX-License-Identifier: MIT */
/*
 * Proving a pack whole, in one sequential pass: from the header to the index, what lies there must be exactly the
 * records of the index, in order of their offsets, with nothing but filler between them. Together with the seal
 * (header, index, trailer) this looks at every bit of the file: tests/unit/pack.c flips each one.
 *
 * Besides the index, it needs one window and four bytes per record.
 */
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/le.h"
#include "objects/pack_private.h"
#include "os/fdio.h"

#define WINDOW_BYTES (256u << 10)

struct verifier {
        struct oxl_pack *pack;
        oxl_pack_damage_fn *seen;
        void *ctx;
        const atomic_bool *cancel;
        struct oxl_error why; /* what is returned in the end: the first damage, or the first failure of the medium */
        uint8_t *window;
        uint64_t window_at;
        size_t window_len;
        bool some;             /* no reading ahead */
        uint64_t first, count; /* some: positions in the index */
};

static bool is_medium(enum oxl_code code)
{
        return code == OXL_E_FILE_READ;
}

static bool is_damage(enum oxl_code code)
{
        return code == OXL_E_MALFORMED || code == OXL_E_OBJECT_CORRUPT;
}

/* Handles the failure @why of the record @e: 0 go on with the next record, < 0 stop with it. Takes @why. */
static int damaged(struct verifier *v, const struct oxl_pack_entry *e, struct oxl_error *why, struct oxl_error *err)
{
        if (!v->seen || !(is_damage(why->code) || is_medium(why->code)))
                return oxl_fail_with(err, why);
        v->seen(v->ctx, e, why);
        if (v->why.code == 0 || (is_medium(why->code) && !is_medium(v->why.code)))
                oxl_error_move(&v->why, why);
        else
                oxl_error_done(why);
        return 0;
}

/* @n bytes (at most a window) at @at, borrowed until the next call. Reads ahead, never behind the file's end. */
static int view(struct verifier *v, uint64_t at, size_t n, const uint8_t **ret, struct oxl_error *err)
{
        if (v->cancel && atomic_load_explicit(v->cancel, memory_order_relaxed))
                return OXL_FAIL_PLAIN(err, CANCELLED);
        if (at < v->window_at || at + n > v->window_at + v->window_len) {
                v->window_len = 0;
                size_t ahead = v->some ? (n < 4096 ? 4096 : n) : WINDOW_BYTES;
                ssize_t got = oxl_source_read(v->pack->source, v->pack->fd, v->window, ahead, at);
                if (got < 0)
                        return OXL_FAIL_OS(err, FILE_READ, v->pack->name);
                v->window_at = at;
                v->window_len = (size_t)got;
        }
        if (n > v->window_len - (size_t)(at - v->window_at))
                return OXL_FAIL_WHY(err, MALFORMED, v->pack->name, "it is cut short");
        *ret = v->window + (at - v->window_at);
        return 0;
}

static int check_zeros(struct verifier *v, uint64_t at, uint64_t n, struct oxl_error *err)
{
        while (n > 0) {
                size_t piece = n < WINDOW_BYTES ? (size_t)n : WINDOW_BYTES;
                const uint8_t *bytes;
                int r = view(v, at, piece, &bytes, err);
                if (r < 0)
                        return r;
                for (size_t i = 0; i < piece; i++)
                        if (bytes[i] != 0)
                                return OXL_FAIL_WHY(err, MALFORMED, v->pack->name, "padding or filler is not zero");
                at += piece;
                n -= piece;
        }
        return 0;
}

static void hasher_of(const struct oxl_pack *p, uint8_t kind, struct oxl_hasher *ret)
{
        if (kind == OXL_KIND_TREE)
                oxl_hasher_init_derive(ret, OXL_CONTEXT_TREE);
        else if (kind == OXL_KIND_COMMIT)
                oxl_hasher_init_derive(ret, OXL_CONTEXT_COMMIT);
        else
                oxl_hasher_init(ret, p->blob_algo);
}

static int check_payload(struct verifier *v, const struct oxl_pack_entry *e, struct oxl_error *err)
{
        struct oxl_hasher h;
        hasher_of(v->pack, e->kind, &h);
        uint64_t at = e->offset + OXL_PACK_RECORD_BYTES, end = at + e->stored_len;
        while (at < end) {
                size_t piece = end - at < WINDOW_BYTES ? (size_t)(end - at) : WINDOW_BYTES;
                const uint8_t *bytes;
                int r = view(v, at, piece, &bytes, err);
                if (r < 0)
                        return r;
                oxl_hasher_update(&h, bytes, piece);
                at += piece;
        }
        struct oxl_digest got;
        oxl_hasher_final(&h, &got);
        if (!oxl_digest_equal(&got, &e->id))
                return OXL_FAIL_OBJECT(err, OBJECT_CORRUPT, v->pack->name, &e->id, &got);
        return check_zeros(v, end, e->offset + oxl_pack_record_size(e->stored_len) - end, err);
}

static int check_record(struct verifier *v, const struct oxl_pack_entry *e, struct oxl_error *err)
{
        const uint8_t *bytes;
        int r = view(v, e->offset, OXL_PACK_RECORD_BYTES, &bytes, err);
        if (r < 0)
                return r;
        struct oxl_pack_entry here;
        r = oxl_pack_record_decode(v->pack, bytes, e->offset, &here, err);
        if (r < 0)
                return r;
        if (here.kind != e->kind || here.flags != e->flags || here.stored_len != e->stored_len ||
            !oxl_digest_equal(&here.id, &e->id))
                return OXL_FAIL_WHY(err, MALFORMED, v->pack->name, "a record differs from its index entry");
        return check_payload(v, e, err);
}

/* One filler record that must end at @end or before. */
static int check_filler(struct verifier *v, uint64_t at, uint64_t end, uint64_t *ret_next, struct oxl_error *err)
{
        const uint8_t *bytes;
        if (end - at < OXL_PACK_RECORD_BYTES)
                return OXL_FAIL_WHY(err, MALFORMED, v->pack->name, "there is a gap between two records");
        int r = view(v, at, OXL_PACK_RECORD_BYTES, &bytes, err);
        if (r < 0)
                return r;
        struct oxl_pack_entry filler;
        r = oxl_pack_record_decode(v->pack, bytes, at, &filler, err);
        if (r < 0)
                return r;
        uint64_t size = oxl_pack_record_size(filler.stored_len);
        if (filler.kind != OXL_KIND_FILLER || size > end - at)
                return OXL_FAIL_WHY(err, MALFORMED, v->pack->name, "a record is not in the index");
        r = check_zeros(v, at + OXL_PACK_RECORD_BYTES, size - OXL_PACK_RECORD_BYTES, err);
        if (r < 0)
                return r;
        *ret_next = at + size;
        return 0;
}

/* From @at to @end there is nothing but filler. */
static int check_gap(struct verifier *v, uint64_t at, uint64_t end, struct oxl_error *err)
{
        while (at < end) {
                cleanup_error struct oxl_error why = OXL_ERROR_INIT;
                if (check_filler(v, at, end, &at, &why) < 0) {
                        struct oxl_pack_entry e = { .offset = at };
                        return damaged(v, &e, &why, err);
                }
        }
        return 0;
}

static int compare_offsets(const void *a, const void *b, void *ctx)
{
        const struct oxl_pack *p = ctx;
        uint64_t x = le_load64(p->index + *(const uint32_t *)a * (size_t)OXL_PACK_ENTRY_BYTES + 32);
        uint64_t y = le_load64(p->index + *(const uint32_t *)b * (size_t)OXL_PACK_ENTRY_BYTES + 32);
        return x < y ? -1 : x > y;
}

/* Positions of the index entries in the order of their offsets; to be freed. */
static int sort_offsets(struct oxl_pack *p, uint32_t **ret, struct oxl_error *err)
{
        uint32_t *order = calloc((size_t)p->entries + 1, sizeof(*order));
        if (!order)
                return OXL_FAIL_PLAIN(err, NOMEM);
        for (uint32_t i = 0; i < p->entries; i++)
                order[i] = i;
        if (p->entries > 1)
                qsort_r(order, (size_t)p->entries, sizeof(*order), compare_offsets, p);
        *ret = order;
        return 0;
}

/* Is the entry at the position @i of the index wanted? */
static bool wanted(const struct verifier *v, uint64_t i)
{
        uint64_t n = v->pack->entries;
        return !v->some || (i + n - v->first) % n < v->count;
}

static int check_records(struct verifier *v, struct oxl_error *err)
{
        struct oxl_pack *p = v->pack;
        cleanup_free uint32_t *order = NULL;
        int r = sort_offsets(p, &order, err);
        if (r < 0)
                return r;
        uint64_t at = OXL_PACK_HEADER_BYTES;
        for (uint64_t i = 0; i < p->entries; i++) {
                struct oxl_pack_entry e;
                cleanup_error struct oxl_error why = OXL_ERROR_INIT;
                if (!wanted(v, order[i]))
                        continue;
                oxl_pack_entry_at(p, order[i], &e);
                r = v->some ? 0 : check_gap(v, at, e.offset, err);
                if (r < 0)
                        return r;
                if (e.offset < at)
                        r = OXL_FAIL_WHY(&why, MALFORMED, p->name, "two records overlap");
                else
                        r = check_record(v, &e, &why);
                if (r < 0)
                        r = damaged(v, &e, &why, err);
                if (r < 0)
                        return r;
                uint64_t end = e.offset + oxl_pack_record_size(e.stored_len);
                if (end > at)
                        at = end;
        }
        return v->some ? 0 : check_gap(v, at, p->index_at, err);
}

/* Is @b, the index entry behind @a, its second copy, far enough away that one bad spot of the medium misses one? */
static bool is_pair(const struct oxl_pack_entry *a, const struct oxl_pack_entry *b)
{
        return oxl_digest_equal(&a->id, &b->id) && a->kind == b->kind && a->flags == 0 &&
               b->flags == OXL_PACK_SECOND_COPY &&
               b->offset >= a->offset + oxl_pack_record_size(a->stored_len) + OXL_PACK_COPY_DISTANCE;
}

static int check_copies(struct verifier *v, struct oxl_error *err)
{
        struct oxl_pack *p = v->pack;
        for (uint64_t i = 0; i < p->entries; i++) {
                struct oxl_pack_entry a, b = { 0 };
                oxl_pack_entry_at(p, i, &a);
                if (a.kind == OXL_KIND_BLOB)
                        continue;
                if (i + 1 < p->entries)
                        oxl_pack_entry_at(p, ++i, &b);
                if (is_pair(&a, &b))
                        continue;
                cleanup_error struct oxl_error why = OXL_ERROR_INIT;
                OXL_IGNORE(OXL_FAIL_WHY(&why, MALFORMED, p->name, "a tree or commit is not stored twice, far apart"),
                           "handled next");
                return damaged(v, &a, &why, err); /* the pairs behind it cannot be told any more */
        }
        return 0;
}

static int verify(struct verifier *v, struct oxl_error *err)
{
        int r = oxl_pack_load_index(v->pack, err);
        if (r < 0)
                return r;
        cleanup_free uint8_t *window = malloc(WINDOW_BYTES);
        if (!window)
                return OXL_FAIL_PLAIN(err, NOMEM);
        v->window = window;
        r = check_records(v, err);
        if (r == 0 && !v->some)
                r = check_copies(v, err);
        if (r == 0 && v->why.code != 0)
                r = oxl_fail_with(err, &v->why);
        oxl_error_done(&v->why);
        return r;
}

int oxl_pack_verify(struct oxl_pack *p, oxl_pack_damage_fn *seen, void *ctx, const atomic_bool *cancel,
                    struct oxl_error *err)
{
        struct verifier v = { .pack = p, .seen = seen, .ctx = ctx, .cancel = cancel };
        return verify(&v, err);
}

int oxl_pack_verify_some(struct oxl_pack *p, uint64_t first, uint64_t count, oxl_pack_damage_fn *seen, void *ctx,
                         const atomic_bool *cancel, struct oxl_error *err)
{
        struct verifier v = { .pack = p, .seen = seen, .ctx = ctx, .cancel = cancel, .some = true };
        v.first = first;
        v.count = count;
        return verify(&v, err);
}
