/* SPDX-License-Identifier: MIT */
/*
 * Reading objects. Bytes are handed out only after they hashed to the name asked for: small ones from memory, large
 * blobs on a second pass that is hashed again, because between the passes the medium may change its answer.
 * Writes nothing, so a crash leaves nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/hex.h"
#include "objects/pack_private.h"
#include "objects/scan.h"
#include "objects/store.h"
#include "os/fdio.h"

#define STREAM_WHOLE_MAX (4u << 20) /* blobs up to this are verified in memory: one read instead of two */
#define STORE_NAME "versions"

int oxl_objects_open(const struct oxl_objects_config *config, struct oxl_objects **ret, struct oxl_error *err)
{
        struct oxl_objects *o = calloc(1, sizeof(*o));
        if (!o)
                return OXL_FAIL_PLAIN(err, NOMEM);
        o->config = *config;
        *ret = o;
        return 0;
}

void oxl_objects_free(struct oxl_objects *o)
{
        if (!o)
                return;
        oxl_store_forget(o);
        free(o->packs);
        oxl_buf_done(&o->bytes);
        free(o);
}

void oxl_objects_rescan(struct oxl_objects *o)
{
        oxl_store_forget(o);
}

struct oxl_digest oxl_objects_digest(const struct oxl_objects *o, enum oxl_kind kind, const void *bytes, size_t n)
{
        struct oxl_digest d;
        struct oxl_hasher h;
        if (kind == OXL_KIND_BLOB)
                return oxl_digest_of(o->config.blob_algo, bytes, n);
        oxl_store_hasher(o, kind, &h);
        oxl_hasher_update(&h, bytes, n);
        oxl_hasher_final(&h, &d);
        return d;
}

/* The error of a search that found no good copy. */
static int none_good(struct oxl_search *s, struct oxl_error *err)
{
        if (s->worst.code != 0)
                return oxl_fail_with(err, &s->worst);
        return OXL_FAIL_OBJECT(err, OBJECT_MISSING, STORE_NAME, s->id, NULL);
}

int oxl_objects_exists(struct oxl_objects *o, enum oxl_kind kind, const struct oxl_digest *id, struct oxl_error *err)
{
        cleanup_search struct oxl_search s = { .o = o, .kind = kind, .id = id, .thorough = true };
        int r = oxl_search_run(&s, err);
        if (r == OXL_SEARCH_NONE && s.worst.code != 0)
                return oxl_fail_with(err, &s.worst); /* something that could hold it does not answer */
        return r;
}

/* --- reading into memory ---------------------------------------------------------------------------------------- */

struct reading {
        struct oxl_objects *o;
        enum oxl_kind kind;
        const struct oxl_digest *id;
        uint64_t max;
        struct oxl_buf *ret;
};

static int read_copy(const struct reading *r, struct oxl_copy *c, struct oxl_error *err)
{
        oxl_buf_clear(r->ret);
        if (c->size > r->max)
                return OXL_FAIL_WHY(err, LIMIT, c->name, "the object is larger than expected");
        int e = oxl_buf_reserve(r->ret, (size_t)c->size, err);
        if (e == 0)
                e = oxl_copy_read(c, r->ret->data, err);
        if (e < 0)
                return e;
        struct oxl_digest got = oxl_objects_digest(r->o, r->kind, r->ret->data, (size_t)c->size);
        if (!oxl_digest_equal(&got, r->id))
                return oxl_copy_corrupt(c, r->id, &got, err);
        r->ret->len = (size_t)c->size;
        r->ret->data[r->ret->len] = 0;
        return 0;
}

static int judge_read(void *ctx, struct oxl_copy *c, struct oxl_error *err)
{
        return read_copy(ctx, c, err);
}

int oxl_objects_read(struct oxl_objects *o, enum oxl_kind kind, const struct oxl_digest *id, size_t max,
                     struct oxl_buf *ret, struct oxl_error *err)
{
        if (kind != OXL_KIND_BLOB && max > OXL_METADATA_MAX)
                max = OXL_METADATA_MAX;
        struct reading reading = { o, kind, id, max, ret };
        cleanup_search struct oxl_search s = {
                .o = o, .kind = kind, .id = id, .judge = judge_read, .ctx = &reading, .thorough = true
        };
        oxl_buf_clear(ret);
        int r = oxl_search_run(&s, err);
        return r == OXL_SEARCH_NONE ? none_good(&s, err) : r;
}

/* --- streaming -------------------------------------------------------------------------------------------------- */

struct streaming {
        struct reading reading; /* for small blobs */
        const atomic_bool *cancel;
        bool in_memory;
};

static int judge_stream(void *ctx, struct oxl_copy *c, struct oxl_error *err)
{
        struct streaming *st = ctx;
        struct oxl_digest got;
        st->in_memory = c->size <= STREAM_WHOLE_MAX;
        if (st->in_memory)
                return read_copy(&st->reading, c, err);
        int r = oxl_copy_scan(st->reading.o, c, OXL_KIND_BLOB, NULL, NULL, st->cancel, &got, err);
        if (r < 0)
                return r;
        return oxl_digest_equal(&got, st->reading.id) ? 0 : oxl_copy_corrupt(c, st->reading.id, &got, err);
}

int oxl_objects_stream(struct oxl_objects *o, const struct oxl_digest *id, oxl_sink_fn *sink, void *ctx,
                       const atomic_bool *cancel, struct oxl_error *err)
{
        struct streaming st = { { o, OXL_KIND_BLOB, id, STREAM_WHOLE_MAX, &o->bytes }, cancel, false };
        cleanup_search struct oxl_search s = {
                .o = o, .kind = OXL_KIND_BLOB, .id = id, .judge = judge_stream, .ctx = &st, .thorough = true
        };
        if (oxl_cancelled(cancel))
                return OXL_FAIL_PLAIN(err, CANCELLED);
        int r = oxl_search_run(&s, err);
        if (r == OXL_SEARCH_NONE)
                return none_good(&s, err);
        if (r < 0 || !sink)
                return r;
        if (st.in_memory)
                return o->bytes.len ? sink(ctx, o->bytes.data, o->bytes.len, err) : 0;
        struct oxl_digest got;
        r = oxl_copy_scan(o, &s.copy, OXL_KIND_BLOB, sink, ctx, cancel, &got, err);
        if (r < 0)
                return r;
        return oxl_digest_equal(&got, id) ? 0 : oxl_copy_corrupt(&s.copy, id, &got, err);
}

/* --- commits by prefix ------------------------------------------------------------------------------------------ */

struct prefix {
        const char *hex;
        size_t len;
        uint8_t first[OXL_DIGEST_BYTES]; /* the smallest digest with this prefix */
        unsigned found;                  /* different commits: 0, 1, 2 (= several) */
        struct oxl_digest id;
};

static bool prefix_parse(const char *hex, struct prefix *ret)
{
        char digits[2 * OXL_DIGEST_BYTES];
        *ret = (struct prefix){ .hex = hex, .len = strnlen(hex, sizeof(digits) + 1) };
        if (ret->len < 4 || ret->len > sizeof(digits))
                return false;
        memset(digits, '0', sizeof(digits));
        memcpy(digits, hex, ret->len);
        return oxl_hex_decode(digits, ret->first, OXL_DIGEST_BYTES);
}

static bool prefix_matches(const struct prefix *p, const uint8_t *id)
{
        char text[2 * OXL_DIGEST_BYTES + 1];
        oxl_hex_encode(id, OXL_DIGEST_BYTES, text);
        return strncmp(text, p->hex, p->len) == 0;
}

static void prefix_found(struct prefix *p, const struct oxl_digest *id)
{
        if (p->found && oxl_digest_equal(&p->id, id))
                return;
        p->id = *id;
        p->found = p->found ? 2 : 1;
}

static int find_in_lookup(struct oxl_objects *o, struct prefix *p, struct oxl_error *err)
{
        struct oxl_lookup_hit hit;
        uint64_t i;
        if (oxl_lookup_lower_bound(o->lookup, p->first, &i) != 0)
                return 0;
        for (; oxl_lookup_at(o->lookup, i, &hit) == 0 && prefix_matches(p, hit.id) && p->found < 2; i++) {
                struct oxl_digest id;
                if (hit.kind != OXL_KIND_COMMIT || !oxl_digest_load(OXL_ALGO_BLAKE3, hit.id, &id))
                        continue;
                /* The lookup is only a hint: a name counts when an object has it. */
                cleanup_search struct oxl_search s = { .o = o, .kind = OXL_KIND_COMMIT, .id = &id };
                int r = oxl_search_run(&s, err);
                if (r < 0)
                        return r;
                if (!o->lookup)
                        return 0;
                if (r == 0)
                        prefix_found(p, &id);
        }
        return 0;
}

static int find_in_packs(struct oxl_objects *o, struct prefix *p, struct oxl_error *ret_worst)
{
        for (size_t n = 0; n < o->count; n++) {
                struct oxl_pack *pack = NULL;
                if (o->packs[n].covered)
                        continue;
                if (oxl_store_pack(o, n, true, &pack, ret_worst) < 0)
                        continue; /* told when nothing is found elsewhere */
                for (uint64_t i = oxl_pack_lower_bound(pack, p->first); i < oxl_pack_entries(pack); i++) {
                        struct oxl_pack_entry e;
                        oxl_pack_entry_at(pack, i, &e);
                        if (!prefix_matches(p, e.id.bytes))
                                break;
                        if (e.kind == OXL_KIND_COMMIT)
                                prefix_found(p, &e.id);
                }
        }
        return 0;
}

static int find_everywhere(struct oxl_objects *o, struct prefix *p, struct oxl_error *ret_worst, struct oxl_error *err)
{
        int r = oxl_store_list(o, err);
        if (r == 0 && o->lookup)
                r = find_in_lookup(o, p, err);
        return r < 0 ? r : find_in_packs(o, p, ret_worst);
}

int oxl_objects_find_commit(struct oxl_objects *o, const char *hex, struct oxl_digest *ret, struct oxl_error *err)
{
        struct prefix p;
        cleanup_error struct oxl_error worst = OXL_ERROR_INIT;
        if (!prefix_parse(hex, &p))
                return OXL_FAIL_WHY(err, REV, hex, "no commit has such an id");
        int r = find_everywhere(o, &p, &worst, err);
        if (r == 0 && p.found == 0) {
                /* Perhaps another process made it, or the lookup lacks it: ask the packs themselves. */
                oxl_store_forget(o);
                r = oxl_store_list(o, err);
                if (r == 0) {
                        oxl_store_drop_lookup(o);
                        r = find_in_packs(o, &p, &worst);
                        o->listed = false; /* and take up the lookup again */
                }
        }
        if (r < 0)
                return r;
        if (p.found == 0 && worst.code != 0)
                return oxl_fail_with(err, &worst);
        if (p.found != 1)
                return OXL_FAIL_WHY(err, REV, hex, p.found ? "several commits begin so" : "no commit begins so");
        *ret = p.id;
        return 0;
}

/* --- the lookup ------------------------------------------------------------------------------------------------- */

struct rewrite {
        struct oxl_lookup_source *packs;
        struct oxl_lookup_hit *hits;
        size_t n, count, cap;
};

static void rewrite_done(struct rewrite *w)
{
        free(w->packs);
        free(w->hits);
}

/* Packs and records that the lookup does not know. */
static void count_uncovered(struct oxl_objects *o, uint64_t *ret_packs, uint64_t *ret_entries)
{
        *ret_packs = *ret_entries = 0;
        for (size_t i = 0; i < o->count; i++) {
                struct oxl_pack *pack = NULL;
                if (o->packs[i].covered || oxl_store_pack(o, i, false, &pack, NULL) < 0)
                        continue;
                *ret_packs += 1;
                *ret_entries += oxl_pack_entries(pack);
        }
}

static int take_hits(struct rewrite *w, const struct oxl_pack *pack, struct oxl_error *err)
{
        size_t need = w->count + (size_t)oxl_pack_entries(pack);
        if (need > w->cap || !w->hits) {
                size_t cap = need >= 2 * w->cap ? need + 1 : 2 * w->cap;
                struct oxl_lookup_hit *hits = reallocarray(w->hits, cap, sizeof(*hits));
                if (!hits)
                        return OXL_FAIL_PLAIN(err, NOMEM);
                w->hits = hits;
                w->cap = cap;
        }
        for (uint64_t i = 0; i < oxl_pack_entries(pack); i++) {
                struct oxl_pack_entry e;
                oxl_pack_entry_at(pack, i, &e);
                struct oxl_lookup_hit *hit = &w->hits[w->count++];
                *hit = (struct oxl_lookup_hit){ .pack = (uint32_t)w->n, .kind = e.kind, .offset = e.offset };
                oxl_digest_store(&e.id, hit->id);
        }
        return 0;
}

/* All packs of the new lookup: those of the old one by reference, the others by their index. A pack whose index cannot
 * be used stays uncovered. */
static int gather(struct oxl_objects *o, struct rewrite *w, struct oxl_error *err)
{
        w->packs = calloc(o->count + 1, sizeof(*w->packs));
        if (!w->packs)
                return OXL_FAIL_PLAIN(err, NOMEM);
        for (size_t i = 0; i < o->count; i++) {
                struct oxl_lookup_source source = { .id = o->packs[i].id, .old = UINT32_MAX };
                struct oxl_pack *pack = NULL;
                if (o->packs[i].covered) {
                        source.old = oxl_lookup_pack_position(o->lookup, &o->packs[i].id);
                } else {
                        if (oxl_store_pack(o, i, true, &pack, NULL) < 0)
                                continue;
                        int r = take_hits(w, pack, err);
                        if (r < 0)
                                return r;
                }
                w->packs[w->n++] = source;
        }
        return 0;
}

int oxl_objects_refresh_lookup(struct oxl_objects *o, bool force, struct oxl_error *err)
{
        cleanup(rewrite_done) struct rewrite w = { 0 };
        uint64_t packs, entries;
        o->listed = false;
        int r = oxl_store_list(o, err);
        if (r < 0)
                return r;
        count_uncovered(o, &packs, &entries);
        uint64_t known = o->lookup ? oxl_lookup_entries(o->lookup) : 0;
        if (o->count == 0 || (!force && packs <= 32 && entries <= known / 4))
                return 0;
        /* Its entries are copied: a damaged or forged one must not live on. */
        if (o->lookup && (force || !oxl_lookup_sealed(o->lookup, &o->config.id)))
                oxl_store_drop_lookup(o);
        r = gather(o, &w, err);
        if (r == 0)
                r = oxl_lookup_write(o->config.durable, &o->config.id, o->lookup, w.packs, w.n, w.hits, w.count, err);
        o->listed = false;
        return r;
}

int oxl_objects_heal_lookup(struct oxl_objects *o, struct oxl_error *err)
{
        o->listed = false;
        int r = oxl_store_list(o, err);
        if (r < 0 || (o->lookup && oxl_lookup_sealed(o->lookup, &o->config.id)))
                return r;
        cleanup_fd int fd = oxl_open_beneath(o->config.root_fd, OXL_LOOKUP_PATH, O_RDONLY | O_NONBLOCK | O_NOFOLLOW, 0);
        return fd < 0 && errno == ENOENT ? 0 : oxl_objects_refresh_lookup(o, true, err);
}
