/* SPDX-License-Identifier: MIT */
/*
 * Packs: each one whole, or what in it is not; and the list of objects that have a verified copy.
 *
 * A pack whose header, index or trailer is wrong is one finding. A damaged record is one each, after the whole
 * pack was read again from the medium; a record whose payload is right all the same (its header or padding is
 * wrong) still counts as a copy. One damaged copy of a tree or commit whose twin is good costs only redundancy.
 *
 * Memory: the index of one pack (64 bytes a record), and 144 bytes a damaged record.
 */
#include <stdio.h>
#include <string.h>

#include "base/le.h"
#include "check/pass.h"
#include "objects/lookup.h"
#include "objects/pack.h"
#include "os/fdio.h"

#define PACKS "versions/packs"

/* --- damaged records --- */

struct suspect {
        struct oxl_pack_entry e;
        struct oxl_error why; /* owned */
        bool readable;        /* not a failure of the medium */
        bool content_whole;
        const char *verdict;
};

struct suspects {
        struct suspect *at; /* owned; sorted by offset after settle() */
        size_t n, cap;
        bool nomem;
};

static void suspects_done(struct suspects *s)
{
        for (size_t i = 0; i < s->n; i++)
                oxl_error_done(&s->at[i].why);
        free(s->at);
        *s = (struct suspects){ 0 };
}

static void collect(void *ctx, const struct oxl_pack_entry *e, const struct oxl_error *why)
{
        struct suspects *s = ctx;
        if (s->n == s->cap) {
                size_t cap = 2 * s->cap + 16;
                struct suspect *at = reallocarray(s->at, cap, sizeof *at);
                if (!at) {
                        s->nomem = true;
                        return;
                }
                s->at = at;
                s->cap = cap;
        }
        struct suspect *new_ = &s->at[s->n++];
        *new_ = (struct suspect){ .e = *e, .readable = !oxl_check_is_unreadable(why), .verdict = "" };
        oxl_error_copy(&new_->why, why);
}

static int compare_suspects(const void *a, const void *b)
{
        uint64_t x = ((const struct suspect *)a)->e.offset, y = ((const struct suspect *)b)->e.offset;
        return x < y ? -1 : x > y;
}

static struct suspect *find_suspect(const struct suspects *s, uint64_t offset)
{
        const struct suspect key = { .e.offset = offset };
        return s->n ? bsearch(&key, s->at, s->n, sizeof key, compare_suspects) : NULL;
}

/* One reading of the whole pack. < 0: it ended early, or fatal. */
static int verify(struct oxl_check *c, struct oxl_pack *p, struct suspects *s, struct oxl_error *err)
{
        int r = oxl_pack_verify(p, collect, s, c->options.cancel, err);
        if (s->nomem)
                return OXL_FAIL_PLAIN(err, NOMEM);
        if (s->n > 1)
                qsort(s->at, s->n, sizeof *s->at, compare_suspects);
        /* What was heard of record by record is returned once more; anything else has ended the reading early. */
        bool heard = s->n > 0 && err->code != OXL_E_CANCELLED && err->code != OXL_E_NOMEM;
        return r < 0 && heard ? 0 : r;
}

/* Do the payload bytes of the index entry @e hash to its name, whatever stands around them? */
static bool content_whole(struct oxl_check *c, struct oxl_pack *p, const struct oxl_pack_entry *e)
{
        enum { PIECE = 256 << 10 };
        struct oxl_hasher h;
        struct oxl_digest got;
        cleanup_free uint8_t *buf = malloc(PIECE);
        if (!buf || e->kind == OXL_KIND_FILLER)
                return false;
        if (e->kind == OXL_KIND_BLOB)
                oxl_hasher_init(&h, c->format.blob_algo);
        else
                oxl_hasher_init_derive(&h, e->kind == OXL_KIND_TREE ? OXL_CONTEXT_TREE : OXL_CONTEXT_COMMIT);
        for (uint64_t at = 0; at < e->raw_len;) {
                size_t n = e->raw_len - at < PIECE ? (size_t)(e->raw_len - at) : PIECE;
                if (oxl_pack_payload(p, e, at, buf, n, NULL) < 0)
                        return false;
                oxl_hasher_update(&h, buf, n);
                at += n;
        }
        oxl_hasher_final(&h, &got);
        return oxl_digest_equal(&got, &e->id);
}

/* Reads the pack again from the medium and says of each suspect what it is. */
static int judge(struct oxl_check *c, struct oxl_pack *p, const char *path, struct suspects *s, struct oxl_error *err)
{
        cleanup(suspects_done) struct suspects again = { 0 };
        oxl_check_drop_cache(c, path);
        int r = verify(c, p, &again, err);
        if (r < 0)
                return r;
        for (size_t i = 0; i < s->n; i++) {
                struct suspect *x = &s->at[i];
                const struct suspect *y = find_suspect(&again, x->e.offset);
                if (!x->readable)
                        continue;
                if (!y)
                        x->verdict = "transient";
                else
                        x->verdict = oxl_check_same_error(&x->why, &y->why) ? "media" : "memory-suspect";
                x->content_whole = !y || content_whole(c, p, &x->e);
        }
        return 0;
}

/* --- saying so --- */

/* Is another copy of the tree or commit @x in this pack good? */
static bool twin_good(struct oxl_pack *p, const struct suspects *s, const struct suspect *x)
{
        struct oxl_pack_entry e;
        for (uint64_t i = oxl_pack_lower_bound(p, x->e.id.bytes); i < oxl_pack_entries(p); i++) {
                oxl_pack_entry_at(p, i, &e);
                if (!oxl_digest_equal(&e.id, &x->e.id))
                        break;
                const struct suspect *y = find_suspect(s, e.offset);
                if (e.kind == x->e.kind && e.offset != x->e.offset && (!y || y->content_whole))
                        return true;
        }
        return false;
}

static enum oxl_problem problem_of(struct oxl_pack *p, const struct suspects *s, const struct suspect *x)
{
        bool metadata = x->e.kind == OXL_KIND_TREE || x->e.kind == OXL_KIND_COMMIT;
        if (strcmp(x->verdict, "transient") == 0)
                return OXL_P_TRANSIENT;
        return metadata && (x->content_whole || twin_good(p, s, x)) ? OXL_P_METADATA_COPY : OXL_P_RECORD_DAMAGED;
}

static int report_suspect(struct oxl_check *c, struct oxl_pack *p, const char *path, const struct suspects *s,
                          const struct suspect *x, struct oxl_error *err)
{
        static const char *const kinds[] = { "filler", "blob", "tree", "commit" };
        char text[512];
        snprintf(text, sizeof text, "%s at offset %llu%s%s%s", kinds[x->e.kind & 3], (unsigned long long)x->e.offset,
                 x->content_whole ? ", its content is whole" : "", x->why.detail ? ": " : "",
                 x->why.detail ? x->why.detail : "");
        struct oxl_report r = {
                .problem = problem_of(p, s, x),
                .path = path,
                .object = x->e.kind == OXL_KIND_FILLER ? NULL : &x->e.id,
                .want = &x->why.want,
                .got = &x->why.got,
                .verdict = x->verdict,
                .detail = text,
                .offset = x->e.offset,
        };
        return oxl_check_report(c, &r, err);
}

static int report_suspects(struct oxl_check *c, struct oxl_pack *p, const char *path, const struct suspects *s,
                           struct oxl_error *err)
{
        const struct oxl_error *unreadable = NULL;
        int r = 0;
        for (size_t i = 0; r == 0 && i < s->n; i++) {
                if (s->at[i].readable)
                        r = report_suspect(c, p, path, s, &s->at[i], err);
                else
                        unreadable = &s->at[i].why; /* a bad spot fails many records: one finding */
        }
        if (r == 0 && unreadable)
                r = oxl_check_report_error(c, OXL_P_UNREADABLE, path, "", unreadable, err);
        return r;
}

/* --- what is in the pack --- */

/* XXH3-128 of the entry as the lookup lists it, with the position of the pack left out. */
static void add_to_sum(struct oxl_check_pack *pack, const struct oxl_pack_entry *e)
{
        uint8_t bytes[OXL_LOOKUP_ENTRY_BYTES];
        struct oxl_lookup_hit hit = { .kind = e->kind, .offset = e->offset };
        memcpy(hit.id, e->id.bytes, sizeof hit.id);
        oxl_lookup_entry_encode(&hit, bytes);
        struct oxl_digest d = oxl_digest_of(OXL_ALGO_XXH3_128, bytes, sizeof bytes);
        pack->sum[0] += le_load64(d.bytes);
        pack->sum[1] += le_load64(d.bytes + 8);
}

static int learn_entries(struct oxl_check *c, struct oxl_pack *p, const struct suspects *s, struct oxl_check_pack *pack,
                         struct oxl_error *err)
{
        pack->indexed = true;
        for (uint64_t i = 0; i < oxl_pack_entries(p); i++) {
                struct oxl_pack_entry e;
                struct oxl_known_slot *slot;
                oxl_pack_entry_at(p, i, &e);
                add_to_sum(pack, &e);
                const struct suspect *x = find_suspect(s, e.offset);
                if (x && x->readable && !x->content_whole)
                        continue;
                int r = oxl_known_put(&c->known, &e.id, &slot, err);
                if (r < 0)
                        return r;
                if (x && !x->readable) {
                        slot->flags |= OXL_KNOWN_UNREADABLE; /* said already; another copy may still be whole */
                        continue;
                }
                slot->flags |= OXL_KNOWN_WHOLE;
                if (e.kind == OXL_KIND_BLOB)
                        oxl_known_set_size(slot, e.raw_len);
        }
        return 0;
}

/* --- one pack --- */

struct pack_look {
        const char *path;
        const struct oxl_digest *id;
        struct oxl_pack *pack; /* owned */
};

static void pack_look_done(struct pack_look *l)
{
        oxl_pack_free(l->pack);
}

static int look_pack(struct oxl_check *c, void *ctx, struct oxl_error *err)
{
        struct pack_look *l = ctx;
        oxl_pack_free(take_ptr(&l->pack));
        int r = oxl_pack_open(c->root_fd, l->path, l->id, &c->format.id, c->format.blob_algo, &l->pack, err);
        return r < 0 ? r : oxl_pack_load_index(l->pack, err);
}

static int check_pack(struct oxl_check *c, struct oxl_check_pack *pack, struct oxl_error *err)
{
        char path[96];
        cleanup(pack_look_done) struct pack_look l = { .path = path, .id = &pack->id };
        cleanup(suspects_done) struct suspects s = { 0 };
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        enum oxl_look_state state;
        oxl_pack_path(&pack->id, path);
        int r = oxl_check_file(c, path, 0, OXL_P_PACK_DAMAGED, look_pack, &l, &state, err);
        if (r < 0 || (state != OXL_LOOK_GOOD && state != OXL_LOOK_TRANSIENT))
                return r; /* gone: merged into another, where the object store finds what was in it */
        if (!c->quick) {
                r = verify(c, l.pack, &s, &why);
                if (r == 0 && s.n > 0)
                        r = judge(c, l.pack, path, &s, &why);
        }
        if (r < 0 && oxl_check_is_fatal(&why))
                return oxl_error_copy(err, &why);
        if (r < 0)
                return oxl_check_report_error(c, OXL_P_PACK_DAMAGED, path, "media", &why, err);
        r = report_suspects(c, l.pack, path, &s, err);
        if (r < 0)
                return r;
        oxl_check_progress(c, "packs");
        return learn_entries(c, l.pack, &s, pack, err);
}

/* --- the folder --- */

static bool parse_name(const char *name, struct oxl_digest *ret)
{
        char hex[OXL_DIGEST_TEXT_MAX] = { 0 };
        if (strlen(name) != 64 + strlen(".pack") || strcmp(name + 64, ".pack") != 0)
                return false;
        memcpy(hex, name, 64);
        return oxl_digest_parse(OXL_ALGO_BLAKE3, hex, ret);
}

static int list_entry(struct oxl_check *c, void *ctx, const char *path, const char *name, const struct stat *st,
                      struct oxl_error *err)
{
        struct oxl_digest id;
        (void)ctx;
        if (strcmp(path, OXL_LOOKUP_PATH) == 0)
                return 0;
        if (!parse_name(name, &id))
                return oxl_check_stray(c, OXL_P_PACK_STRAY, path, name, st, err);
        if (c->n_packs == c->cap_packs) {
                size_t cap = 2 * c->cap_packs + 16;
                struct oxl_check_pack *packs = reallocarray(c->packs, cap, sizeof *packs);
                if (!packs)
                        return OXL_FAIL_PLAIN(err, NOMEM);
                c->packs = packs;
                c->cap_packs = cap;
        }
        c->packs[c->n_packs++] = (struct oxl_check_pack){ .id = id };
        return 0;
}

int oxl_check_packs(struct oxl_check *c, struct oxl_error *err)
{
        /* In order of names, which is the order of ids that the lookup pass searches by. */
        int r = oxl_check_list(c, PACKS, list_entry, NULL, NULL, err);
        for (size_t i = 0; r == 0 && c->have_id && i < c->n_packs; i++)
                r = check_pack(c, &c->packs[i], err);
        return r;
}
