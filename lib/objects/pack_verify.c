/* SPDX-License-Identifier: MIT */
/*
 * Proving a pack whole, in one pass: from the header to the index, what lies there must be exactly the
 * records of the index, in order of their offsets, with nothing but filler between them. Together with the seal
 * (header, index, trailer) this looks at every bit of the file: tests/unit/pack.c flips each one.
 *
 * Records say nothing of each other, and where one must begin is known from the index alone. So the pass is cut into stretches
 * of some MiB, which a crew reads and hashes when the pack is large; what is wrong in them is told on the caller's thread, in
 * the order of the file, whatever finishes first.
 *
 * Besides the index, it needs four bytes per record, one window per stretch in work, and what is wrong in those.
 */
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/le.h"
#include "objects/pack_private.h"
#include "os/crew.h"
#include "os/fdio.h"

#define WINDOW_BYTES (256u << 10)
#define STRETCH_BYTES (UINT64_C(4) << 20)
#define CREW_BYTES (UINT64_C(16) << 20) /* from here on several threads bring more than they cost */
enum { STRETCHES_MAX = 16 };

struct damage {
        struct oxl_pack_entry e;
        struct oxl_error why; /* owned */
};

/* Some records that follow on each other, and the gaps before them. */
struct stretch {
        struct verifier *v;
        uint64_t from, to; /* positions in `order` */
        uint64_t at, end;  /* of the file; the records may lie elsewhere when the index is malformed */
        uint8_t *window;   /* owned */
        uint64_t window_at;
        size_t window_len;
        struct damage *damage; /* owned; of records, in their order */
        size_t n, cap;
        int r; /* < 0: it ended early, with err */
        struct oxl_error err;
};

struct verifier {
        struct oxl_pack *pack;
        oxl_pack_damage_fn *seen;
        void *ctx;
        const atomic_bool *cancel;
        struct oxl_error why;  /* what is returned in the end: the first damage, or the first failure of the medium */
        bool some;             /* no reading ahead */
        uint64_t first, count; /* some: positions in the index */
        uint32_t *order;       /* owned; positions of the index entries in the order of their offsets */
        uint64_t next, at;     /* in order and file: where the next stretch begins */
        struct oxl_crew *crew; /* owned */
        struct stretch stretches[STRETCHES_MAX];
};

static void stretch_clear(struct stretch *t)
{
        for (size_t i = 0; i < t->n; i++)
                oxl_error_done(&t->damage[i].why);
        t->n = 0;
        oxl_error_done(&t->err);
}

static void verifier_done(struct verifier *v)
{
        oxl_crew_free(v->crew); /* first: it works on the rest */
        for (size_t i = 0; i < STRETCHES_MAX; i++) {
                stretch_clear(&v->stretches[i]);
                free(v->stretches[i].window);
                free(v->stretches[i].damage);
        }
        free(v->order);
        oxl_error_done(&v->why);
}

static bool is_medium(enum oxl_code code)
{
        return code == OXL_E_FILE_READ;
}

static bool is_damage(enum oxl_code code)
{
        return code == OXL_E_MALFORMED || code == OXL_E_OBJECT_CORRUPT;
}

/* Handles the failure @why of the record @e: 0 go on with the next record, < 0 stop with it. Takes @why. */
static int damaged(struct stretch *t, const struct oxl_pack_entry *e, struct oxl_error *why, struct oxl_error *err)
{
        if (!t->v->seen || !(is_damage(why->code) || is_medium(why->code)))
                return oxl_fail_with(err, why);
        if (t->n == t->cap) {
                size_t cap = 2 * t->cap + 4;
                struct damage *all = reallocarray(t->damage, cap, sizeof *all);
                if (!all)
                        return OXL_FAIL_PLAIN(err, NOMEM);
                t->damage = all;
                t->cap = cap;
        }
        t->damage[t->n] = (struct damage){ .e = *e };
        oxl_error_move(&t->damage[t->n++].why, why);
        return 0;
}

/* Tells of @it. Takes @it->why. */
static void tell(struct verifier *v, struct damage *it)
{
        v->seen(v->ctx, &it->e, &it->why);
        if (v->why.code == 0 || (is_medium(it->why.code) && !is_medium(v->why.code)))
                oxl_error_move(&v->why, &it->why);
        else
                oxl_error_done(&it->why);
}

/* How much is read when @n bytes at @at are wanted: no more than the stretch needs, so that nothing is read twice. */
static size_t ahead(const struct stretch *t, uint64_t at, size_t n)
{
        uint64_t most = t->v->some ? 4096 : WINDOW_BYTES;
        if (!t->v->some && at < t->end && t->end - at < most)
                most = t->end - at;
        return n < most ? (size_t)most : n;
}

/* @n bytes (at most a window) at @at, borrowed until the next call. */
static int view(struct stretch *t, uint64_t at, size_t n, const uint8_t **ret, struct oxl_error *err)
{
        const struct oxl_pack *p = t->v->pack;
        if (t->v->cancel && atomic_load_explicit(t->v->cancel, memory_order_relaxed))
                return OXL_FAIL_PLAIN(err, CANCELLED);
        if (at < t->window_at || at + n > t->window_at + t->window_len) {
                t->window_len = 0;
                ssize_t got = oxl_source_read(p->source, p->fd, t->window, ahead(t, at, n), at);
                if (got < 0)
                        return OXL_FAIL_OS(err, FILE_READ, p->name);
                t->window_at = at;
                t->window_len = (size_t)got;
        }
        if (n > t->window_len - (size_t)(at - t->window_at))
                return OXL_FAIL_WHY(err, MALFORMED, p->name, "it is cut short");
        *ret = t->window + (at - t->window_at);
        return 0;
}

/* How many of the @n bytes at @at are looked at in one go: those at hand, else a window. */
static size_t piece_of(const struct stretch *t, uint64_t at, uint64_t n)
{
        bool here = at >= t->window_at && at < t->window_at + t->window_len;
        uint64_t most = here ? t->window_len - (at - t->window_at) : WINDOW_BYTES;
        return (size_t)(n < most ? n : most);
}

static int check_zeros(struct stretch *t, uint64_t at, uint64_t n, struct oxl_error *err)
{
        while (n > 0) {
                size_t piece = piece_of(t, at, n);
                const uint8_t *bytes;
                int r = view(t, at, piece, &bytes, err);
                if (r < 0)
                        return r;
                for (size_t i = 0; i < piece; i++)
                        if (bytes[i] != 0)
                                return OXL_FAIL_WHY(err, MALFORMED, t->v->pack->name, "padding or filler is not zero");
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

static int check_payload(struct stretch *t, const struct oxl_pack_entry *e, struct oxl_error *err)
{
        struct oxl_hasher h;
        hasher_of(t->v->pack, e->kind, &h);
        uint64_t at = e->offset + OXL_PACK_RECORD_BYTES, end = at + e->stored_len;
        while (at < end) {
                size_t piece = piece_of(t, at, end - at);
                const uint8_t *bytes;
                int r = view(t, at, piece, &bytes, err);
                if (r < 0)
                        return r;
                oxl_hasher_update(&h, bytes, piece);
                at += piece;
        }
        struct oxl_digest got;
        oxl_hasher_final(&h, &got);
        if (!oxl_digest_equal(&got, &e->id))
                return OXL_FAIL_OBJECT(err, OBJECT_CORRUPT, t->v->pack->name, &e->id, &got);
        return check_zeros(t, end, e->offset + oxl_pack_record_size(e->stored_len) - end, err);
}

static int check_record(struct stretch *t, const struct oxl_pack_entry *e, struct oxl_error *err)
{
        const uint8_t *bytes;
        int r = view(t, e->offset, OXL_PACK_RECORD_BYTES, &bytes, err);
        if (r < 0)
                return r;
        struct oxl_pack_entry here;
        r = oxl_pack_record_decode(t->v->pack, bytes, e->offset, &here, err);
        if (r < 0)
                return r;
        if (here.kind != e->kind || here.flags != e->flags || here.stored_len != e->stored_len ||
            !oxl_digest_equal(&here.id, &e->id))
                return OXL_FAIL_WHY(err, MALFORMED, t->v->pack->name, "a record differs from its index entry");
        return check_payload(t, e, err);
}

/* One filler record that must end at @end or before. */
static int check_filler(struct stretch *t, uint64_t at, uint64_t end, uint64_t *ret_next, struct oxl_error *err)
{
        const uint8_t *bytes;
        if (end - at < OXL_PACK_RECORD_BYTES)
                return OXL_FAIL_WHY(err, MALFORMED, t->v->pack->name, "there is a gap between two records");
        int r = view(t, at, OXL_PACK_RECORD_BYTES, &bytes, err);
        if (r < 0)
                return r;
        struct oxl_pack_entry filler;
        r = oxl_pack_record_decode(t->v->pack, bytes, at, &filler, err);
        if (r < 0)
                return r;
        uint64_t size = oxl_pack_record_size(filler.stored_len);
        if (filler.kind != OXL_KIND_FILLER || size > end - at)
                return OXL_FAIL_WHY(err, MALFORMED, t->v->pack->name, "a record is not in the index");
        r = check_zeros(t, at + OXL_PACK_RECORD_BYTES, size - OXL_PACK_RECORD_BYTES, err);
        if (r < 0)
                return r;
        *ret_next = at + size;
        return 0;
}

/* From @at to @end there is nothing but filler. */
static int check_gap(struct stretch *t, uint64_t at, uint64_t end, struct oxl_error *err)
{
        while (at < end) {
                cleanup_error struct oxl_error why = OXL_ERROR_INIT;
                if (check_filler(t, at, end, &at, &why) < 0) {
                        struct oxl_pack_entry e = { .offset = at };
                        return damaged(t, &e, &why, err);
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

/* The entry at @i of the order, behind what ends at @at; *ret_at: behind it. */
static int check_entry(struct stretch *t, uint64_t i, uint64_t at, uint64_t *ret_at, struct oxl_error *err)
{
        const struct verifier *v = t->v;
        struct oxl_pack_entry e;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        oxl_pack_entry_at(v->pack, v->order[i], &e);
        int r = v->some ? 0 : check_gap(t, at, e.offset, err);
        if (r < 0)
                return r;
        if (e.offset < at)
                r = OXL_FAIL_WHY(&why, MALFORMED, v->pack->name, "two records overlap");
        else
                r = check_record(t, &e, &why);
        if (r < 0)
                r = damaged(t, &e, &why, err);
        if (r < 0)
                return r;
        uint64_t end = e.offset + oxl_pack_record_size(e.stored_len);
        *ret_at = end > at ? end : at;
        return 0;
}

static int check_stretch(struct stretch *t, struct oxl_error *err)
{
        const struct verifier *v = t->v;
        uint64_t at = t->at;
        int r = 0;
        if (!t->window)
                t->window = malloc(WINDOW_BYTES);
        if (!t->window)
                return OXL_FAIL_PLAIN(err, NOMEM);
        for (uint64_t i = t->from; r == 0 && i < t->to; i++)
                if (wanted(v, v->order[i]))
                        r = check_entry(t, i, at, &at, err);
        return r == 0 && t->to == v->pack->entries && !v->some ? check_gap(t, at, v->pack->index_at, err) : r;
}

/* On any thread. */
static void work(void *ctx, size_t slot)
{
        struct verifier *v = ctx;
        struct stretch *t = &v->stretches[slot];
        t->r = check_stretch(t, &t->err);
}

/* The next stretch, by the index alone. */
static void cut(struct verifier *v, struct stretch *t)
{
        uint64_t from = v->next, at = v->at;
        while (v->next < v->pack->entries && v->at - at < STRETCH_BYTES) {
                struct oxl_pack_entry e;
                uint64_t i = v->order[v->next++];
                if (!wanted(v, i))
                        continue;
                oxl_pack_entry_at(v->pack, i, &e);
                uint64_t end = e.offset + oxl_pack_record_size(e.stored_len);
                if (end > v->at)
                        v->at = end;
        }
        *t = (struct stretch){ .v = v,
                               .from = from,
                               .to = v->next,
                               .at = at,
                               .end = v->next < v->pack->entries ? v->at : v->pack->index_at,
                               .window = t->window,
                               .damage = t->damage,
                               .cap = t->cap };
}

static int use(struct verifier *v, struct stretch *t, struct oxl_error *err)
{
        for (size_t i = 0; i < t->n; i++)
                tell(v, &t->damage[i]);
        t->n = 0;
        return t->r < 0 ? oxl_fail_with(err, &t->err) : 0;
}

/* Threads that may read, and bring something. */
static unsigned threads_for(const struct verifier *v)
{
        const struct oxl_pack *p = v->pack;
        return v->some || p->index_at < CREW_BYTES || (p->source && !p->source->shared) ? 0 : oxl_crew_default();
}

static int check_records(struct verifier *v, struct oxl_error *err)
{
        unsigned threads = threads_for(v);
        size_t slots = threads == 0 ? 1 : 2 * threads < STRETCHES_MAX ? 2 * threads : STRETCHES_MAX;
        bool more = true;
        v->at = OXL_PACK_HEADER_BYTES;
        int r = sort_offsets(v->pack, &v->order, err);
        if (r == 0)
                r = oxl_crew_new(threads, slots, work, v, &v->crew, err);
        while (r == 0 && (more || oxl_crew_busy(v->crew))) {
                if (!more || oxl_crew_full(v->crew)) {
                        r = use(v, &v->stretches[oxl_crew_take(v->crew)], err);
                        continue;
                }
                cut(v, &v->stretches[oxl_crew_slot(v->crew)]);
                more = v->next < v->pack->entries;
                oxl_crew_submit(v->crew);
        }
        return r;
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
                if (!v->seen)
                        return oxl_fail_with(err, &why);
                struct damage it = { .e = a };
                oxl_error_move(&it.why, &why);
                tell(v, &it);
                return 0; /* the pairs behind it cannot be told any more */
        }
        return 0;
}

static int verify(struct verifier *v, struct oxl_error *err)
{
        int r = oxl_pack_load_index(v->pack, err);
        if (r == 0)
                r = check_records(v, err);
        if (r == 0 && !v->some)
                r = check_copies(v, err);
        return r == 0 && v->why.code != 0 ? oxl_fail_with(err, &v->why) : r;
}

int oxl_pack_verify(struct oxl_pack *p, oxl_pack_damage_fn *seen, void *ctx, const atomic_bool *cancel,
                    struct oxl_error *err)
{
        cleanup(verifier_done) struct verifier v = { .pack = p, .seen = seen, .ctx = ctx, .cancel = cancel };
        return verify(&v, err);
}

int oxl_pack_verify_some(struct oxl_pack *p, uint64_t first, uint64_t count, oxl_pack_damage_fn *seen, void *ctx,
                         const atomic_bool *cancel, struct oxl_error *err)
{
        cleanup(verifier_done) struct verifier v = {
                .pack = p, .seen = seen, .ctx = ctx, .cancel = cancel, .some = true
        };
        v.first = first;
        v.count = count;
        return verify(&v, err);
}
