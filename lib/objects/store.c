/* SPDX-License-Identifier: MIT */
/*
 * The packs of a store and the search for copies, see store.h.
 *
 * Order of a search: the lookup, packs that it does not cover through their own index, the loose file; then, in a
 * thorough search, whatever a new listing brings, and the packs behind the lookup when the two disagree. The lookup is
 * derived: a wrong one costs time, never an answer.
 *
 * A failure never hides another copy. It is kept, and told only when no copy is good: failures to read before damage of
 * a copy before damage of a pack's index, so that damage is never reported where the medium did not answer.
 *
 * Memory: at most OPEN_MAX packs are open, with their indexes.
 */
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/le.h"
#include "objects/scan.h"
#include "objects/store.h"
#include "os/fdio.h"

#define OPEN_MAX 48

/* --- the packs -------------------------------------------------------------------------------------------------- */

static void close_pack(struct oxl_objects *o, struct oxl_store_pack *sp)
{
        if (!sp->open)
                return;
        oxl_pack_free(take_ptr(&sp->open));
        o->open--;
}

static void forget_pack(struct oxl_objects *o, struct oxl_store_pack *sp)
{
        close_pack(o, sp);
        oxl_error_done(&sp->broken);
}

void oxl_store_drop_lookup(struct oxl_objects *o)
{
        oxl_lookup_free(take_ptr(&o->lookup));
        o->lookup_proven = false;
        for (size_t i = 0; i < o->count; i++)
                o->packs[i].covered = false;
}

void oxl_store_forget(struct oxl_objects *o)
{
        oxl_store_drop_lookup(o);
        for (size_t i = 0; i < o->count; i++)
                forget_pack(o, &o->packs[i]);
        o->count = 0;
        o->listed = false;
}

static int compare_packs(const void *a, const void *b)
{
        return oxl_digest_compare(&((const struct oxl_store_pack *)a)->id, &((const struct oxl_store_pack *)b)->id);
}

static struct oxl_store_pack *find_pack(const struct oxl_objects *o, const struct oxl_digest *id, size_t among)
{
        const struct oxl_store_pack key = { .id = *id };
        return among ? bsearch(&key, o->packs, among, sizeof(key), compare_packs) : NULL;
}

struct listing {
        struct oxl_objects *o;
        size_t known; /* packs before this listing; the new ones follow them, unsorted */
};

static int list_pack(void *ctx, const struct oxl_digest *id, struct oxl_error *err)
{
        struct listing *l = ctx;
        struct oxl_objects *o = l->o;
        struct oxl_store_pack *known = find_pack(o, id, l->known);
        if (known) {
                known->listed = true;
                return 0;
        }
        if (o->count == o->cap) {
                size_t cap = o->cap ? 2 * o->cap : 16;
                struct oxl_store_pack *packs = reallocarray(o->packs, cap, sizeof(*packs));
                if (!packs)
                        return OXL_FAIL_PLAIN(err, NOMEM);
                o->packs = packs;
                o->cap = cap;
        }
        o->packs[o->count++] = (struct oxl_store_pack){ .id = *id, .listed = true, .fresh = true };
        return 0;
}

static void say_unreadable(const struct oxl_objects *o, const struct oxl_error *why)
{
        if (o->config.unreadable)
                o->config.unreadable(o->config.ctx, why);
}

/* A lookup that cannot be read is done without, but not in silence. */
static void say_lookup(const struct oxl_objects *o)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        int os = o->lookup ? oxl_lookup_take_os(o->lookup) : 0;
        if (!os)
                return;
        errno = os;
        OXL_IGNORE(OXL_FAIL_OS(&why, FILE_READ, OXL_LOOKUP_PATH), "said next");
        say_unreadable(o, &why);
}

static int open_lookup(struct oxl_objects *o, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        bool current = o->lookup && oxl_lookup_current(o->lookup, o->config.root_fd);
        say_lookup(o);
        if (o->lookup && !current)
                oxl_store_drop_lookup(o);
        if (!o->lookup) {
                int r = oxl_lookup_open(o->config.root_fd, &o->lookup, &why);
                if (r == OXL_LOOKUP_UNREADABLE)
                        say_unreadable(o, &why);
                if (r != 0)
                        return r < 0 ? oxl_error_copy(err, &why) : 0;
        }
        for (size_t i = 0; i < o->count; i++)
                o->packs[i].covered = oxl_lookup_pack_position(o->lookup, &o->packs[i].id) != UINT32_MAX;
        return 0;
}

/* Lists versions/packs, keeping what is open. */
static int list_again(struct oxl_objects *o, struct oxl_error *err)
{
        struct listing l = { o, o->count };
        for (size_t i = 0; i < o->count; i++)
                o->packs[i].listed = o->packs[i].fresh = false;
        int r = oxl_pack_list(o->config.root_fd, list_pack, &l, err);
        if (r < 0) {
                o->count = l.known; /* half a list would hide packs: it is begun anew next time */
                o->listed = false;
                return r;
        }
        size_t kept = 0;
        for (size_t i = 0; i < o->count; i++) {
                if (o->packs[i].listed)
                        o->packs[kept++] = o->packs[i];
                else
                        forget_pack(o, &o->packs[i]);
        }
        o->count = kept;
        if (kept > 1)
                qsort(o->packs, kept, sizeof(*o->packs), compare_packs);
        o->listed = true;
        return open_lookup(o, err);
}

int oxl_store_list(struct oxl_objects *o, struct oxl_error *err)
{
        return o->listed ? 0 : list_again(o, err);
}

static void close_oldest(struct oxl_objects *o)
{
        struct oxl_store_pack *oldest = NULL;
        for (size_t i = 0; i < o->count; i++)
                if (o->packs[i].open && (!oldest || o->packs[i].used < oldest->used))
                        oldest = &o->packs[i];
        if (oldest)
                close_pack(o, oldest);
}

static bool is_damage(enum oxl_code code)
{
        return code == OXL_E_MALFORMED || code == OXL_E_SEAL || code == OXL_E_OBJECT_CORRUPT || code == OXL_E_LIMIT;
}

static bool is_medium(enum oxl_code code)
{
        return code == OXL_E_FILE_OPEN || code == OXL_E_FILE_READ || code == OXL_E_FILE_STAT ||
               code == OXL_E_DIR_OPEN || code == OXL_E_DIR_READ;
}

int oxl_store_pack(struct oxl_objects *o, size_t i, bool index, struct oxl_pack **ret, struct oxl_error *err)
{
        struct oxl_store_pack *sp = &o->packs[i];
        if (index && sp->broken.code != 0) {
                OXL_IGNORE(oxl_error_copy(err, &sp->broken), "the code is known");
                return -(int)sp->broken.code;
        }
        if (!sp->open) {
                char path[96];
                if (o->open >= OPEN_MAX)
                        close_oldest(o);
                oxl_pack_path(&sp->id, path);
                int r = oxl_pack_open(o->config.root_fd, path, &sp->id, &o->config.id, o->config.blob_algo, &sp->open,
                                      err);
                if (r < 0)
                        return r;
                o->open++;
        }
        sp->used = ++o->clock;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        int r = index ? oxl_pack_load_index(sp->open, &why) : 0;
        if (r < 0) {
                oxl_error_copy(err, &why);
                if (is_damage(why.code))
                        oxl_error_move(&sp->broken, &why);
                return r;
        }
        *ret = sp->open;
        return 0;
}

void oxl_store_hasher(const struct oxl_objects *o, enum oxl_kind kind, struct oxl_hasher *ret)
{
        if (kind == OXL_KIND_TREE)
                oxl_hasher_init_derive(ret, OXL_CONTEXT_TREE);
        else if (kind == OXL_KIND_COMMIT)
                oxl_hasher_init_derive(ret, OXL_CONTEXT_COMMIT);
        else
                oxl_hasher_init(ret, o->config.blob_algo);
}

/* --- copies ----------------------------------------------------------------------------------------------------- */

void oxl_copy_done(struct oxl_copy *c)
{
        oxl_fd_done(&c->fd);
}

static void copy_in_pack(struct oxl_pack *p, const struct oxl_pack_entry *e, struct oxl_copy *ret)
{
        *ret = (struct oxl_copy){ .pack = p, .entry = *e, .fd = -1, .size = e->raw_len };
        oxl_pack_path(oxl_pack_id(p), ret->name);
}

int oxl_copy_corrupt(const struct oxl_copy *c, const struct oxl_digest *want, const struct oxl_digest *got,
                     struct oxl_error *err)
{
        return OXL_FAIL_OBJECT(err, OBJECT_CORRUPT, c->name, want, got);
}

static int scan_packed(struct oxl_copy *c, struct oxl_hasher *h, oxl_sink_fn *sink, void *ctx,
                       const atomic_bool *cancel, struct oxl_error *err)
{
        size_t room = c->size < OXL_SCAN_PIECE_BYTES ? (size_t)c->size : OXL_SCAN_PIECE_BYTES;
        cleanup_free uint8_t *piece = malloc(room + 1);
        if (!piece)
                return OXL_FAIL_PLAIN(err, NOMEM);
        for (uint64_t at = 0; at < c->size; at += room) {
                size_t n = c->size - at < room ? (size_t)(c->size - at) : room;
                if (oxl_cancelled(cancel))
                        return OXL_FAIL_PLAIN(err, CANCELLED);
                int r = oxl_pack_payload(c->pack, &c->entry, at, piece, n, err);
                if (r < 0)
                        return r;
                oxl_hasher_update(h, piece, n);
                r = sink ? sink(ctx, piece, n, err) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

int oxl_copy_scan(const struct oxl_objects *o, struct oxl_copy *c, enum oxl_kind kind, oxl_sink_fn *sink, void *ctx,
                  const atomic_bool *cancel, struct oxl_digest *ret, struct oxl_error *err)
{
        struct oxl_hasher h;
        uint64_t bytes;
        oxl_store_hasher(o, kind, &h);
        int r = c->pack ? scan_packed(c, &h, sink, ctx, cancel, err)
                        : oxl_fd_scan(c->fd, c->name, &h, sink, ctx, cancel, &bytes, err);
        if (r < 0)
                return r;
        oxl_hasher_final(&h, ret);
        return 0;
}

int oxl_copy_read(struct oxl_copy *c, void *buf, struct oxl_error *err)
{
        if (c->pack)
                return oxl_pack_payload(c->pack, &c->entry, 0, buf, (size_t)c->size, err);
        ssize_t got = oxl_fd_pread_full(c->fd, buf, (size_t)c->size, 0);
        if (got < 0)
                return OXL_FAIL_OS(err, FILE_READ, c->name);
        return (uint64_t)got == c->size ? 0 : OXL_FAIL_WHY(err, MALFORMED, c->name, "it is cut short");
}

/* --- searching -------------------------------------------------------------------------------------------------- */

enum { RANK_INDEX = 1, RANK_COPY, RANK_MEDIUM };
enum { NEXT = 1 }; /* results of the steps: 0 found, NEXT go on, < 0 stop */

void oxl_search_done(struct oxl_search *s)
{
        oxl_copy_done(&s->copy);
        oxl_error_done(&s->worst);
}

/* Keeps @why unless something graver is known. Takes it. NEXT, or < 0 when it must end the search. */
static int note(struct oxl_search *s, int rank, struct oxl_error *why, struct oxl_error *err)
{
        if (is_medium(why->code)) {
                rank = RANK_MEDIUM;
                say_unreadable(s->o, why);
        } else if (!is_damage(why->code)) {
                int r = oxl_error_copy(err, why);
                oxl_error_done(why);
                return r;
        }
        if (rank > s->worst_rank) {
                s->worst_rank = rank;
                oxl_error_move(&s->worst, why);
        }
        oxl_error_done(why);
        return NEXT;
}

/* A pack that is gone since it was listed is no failure: whoever took it away put its objects elsewhere. */
static int note_pack(struct oxl_search *s, struct oxl_error *why, struct oxl_error *err)
{
        if (why->code == OXL_E_FILE_OPEN && why->os == ENOENT) {
                oxl_error_done(why);
                s->o->listed = false;
                return NEXT;
        }
        return note(s, RANK_INDEX, why, err);
}

/* Takes @copy. */
static int judge(struct oxl_search *s, struct oxl_copy *copy, struct oxl_error *err)
{
        struct oxl_error why = OXL_ERROR_INIT;
        s->copies++;
        int r = s->judge ? s->judge(s->ctx, copy, &why) : 0;
        if (r == 0) {
                s->copy = *copy;
                return 0;
        }
        oxl_copy_done(copy);
        s->copy_unreadable |= is_medium(why.code);
        return note(s, RANK_COPY, &why, err);
}

static int search_hit(struct oxl_search *s, const struct oxl_lookup_hit *hit, struct oxl_error *err)
{
        struct oxl_objects *o = s->o;
        struct oxl_error why = OXL_ERROR_INIT;
        struct oxl_digest id;
        if (hit->pack >= oxl_lookup_packs(o->lookup)) {
                s->contradiction = true;
                return NEXT;
        }
        oxl_lookup_pack(o->lookup, hit->pack, &id);
        struct oxl_store_pack *sp = find_pack(o, &id, o->count);
        if (!sp)
                return NEXT; /* removed since the lookup was written */
        struct oxl_pack *pack = NULL;
        struct oxl_pack_entry e;
        if (oxl_store_pack(o, (size_t)(sp - o->packs), false, &pack, &why) < 0)
                return note_pack(s, &why, err);
        int r = oxl_pack_record(pack, hit->offset, &e, &why);
        if (r == 0 && e.kind == (uint8_t)s->kind && oxl_digest_equal(&e.id, s->id)) {
                struct oxl_copy copy;
                copy_in_pack(pack, &e, &copy);
                return judge(s, &copy, err);
        }
        s->contradiction = true; /* the record or the lookup is wrong; the pack's own index knows */
        return r == 0 ? NEXT : note(s, RANK_COPY, &why, err);
}

static int search_lookup(struct oxl_search *s, struct oxl_error *err)
{
        struct oxl_lookup_hit hit;
        uint64_t i;
        if (!s->o->lookup)
                return NEXT;
        int found = oxl_lookup_lower_bound(s->o->lookup, s->id->bytes, &i);
        say_lookup(s->o);
        if (found != 0)
                return NEXT;
        for (; oxl_lookup_at(s->o->lookup, i, &hit) == 0 && memcmp(hit.id, s->id->bytes, OXL_DIGEST_BYTES) == 0; i++) {
                int r = hit.kind == (uint32_t)s->kind ? search_hit(s, &hit, err) : NEXT;
                if (r != NEXT)
                        return r;
        }
        say_lookup(s->o);
        return NEXT;
}

static int search_pack(struct oxl_search *s, size_t n, struct oxl_error *err)
{
        struct oxl_error why = OXL_ERROR_INIT;
        struct oxl_pack *pack = NULL;
        if (oxl_store_pack(s->o, n, true, &pack, &why) < 0)
                return note_pack(s, &why, err);
        for (uint64_t i = oxl_pack_lower_bound(pack, s->id->bytes); i < oxl_pack_entries(pack); i++) {
                struct oxl_pack_entry e;
                oxl_pack_entry_at(pack, i, &e);
                if (memcmp(e.id.bytes, s->id->bytes, OXL_DIGEST_BYTES) != 0)
                        break;
                if (e.kind != (uint8_t)s->kind)
                        continue;
                struct oxl_copy copy;
                copy_in_pack(pack, &e, &copy);
                int r = judge(s, &copy, err);
                if (r != NEXT)
                        return r;
        }
        return NEXT;
}

/* --- locating --------------------------------------------------------------------------------------------------- */

static int locate_in_lookup(struct oxl_objects *o, const struct oxl_digest *want, struct oxl_pack **ret,
                            uint64_t *ret_offset)
{
        struct oxl_lookup_hit hit;
        uint64_t i;
        if (!o->lookup || oxl_lookup_lower_bound(o->lookup, want->bytes, &i) != 0)
                return OXL_SEARCH_NONE;
        for (; oxl_lookup_at(o->lookup, i, &hit) == 0 && memcmp(hit.id, want->bytes, OXL_DIGEST_BYTES) == 0; i++) {
                struct oxl_digest id;
                if (hit.kind != OXL_KIND_BLOB || hit.pack >= oxl_lookup_packs(o->lookup))
                        continue;
                oxl_lookup_pack(o->lookup, hit.pack, &id);
                const struct oxl_store_pack *sp = find_pack(o, &id, o->count);
                *ret_offset = hit.offset;
                return sp && oxl_store_pack(o, (size_t)(sp - o->packs), false, ret, NULL) == 0 ? 0 : OXL_SEARCH_NONE;
        }
        return OXL_SEARCH_NONE;
}

static int locate_in_packs(struct oxl_objects *o, const struct oxl_digest *want, struct oxl_pack **ret,
                           uint64_t *ret_offset)
{
        for (size_t n = 0; n < o->count; n++) {
                if (o->packs[n].covered || oxl_store_pack(o, n, true, ret, NULL) < 0)
                        continue;
                for (uint64_t i = oxl_pack_lower_bound(*ret, want->bytes); i < oxl_pack_entries(*ret); i++) {
                        struct oxl_pack_entry e;
                        oxl_pack_entry_at(*ret, i, &e);
                        if (memcmp(e.id.bytes, want->bytes, OXL_DIGEST_BYTES) != 0)
                                break;
                        *ret_offset = e.offset;
                        if (e.kind == OXL_KIND_BLOB)
                                return 0;
                }
        }
        return OXL_SEARCH_NONE;
}

int oxl_store_locate(struct oxl_objects *o, const struct oxl_digest *id, struct oxl_pack **ret, uint64_t *ret_offset)
{
        if (oxl_store_list(o, NULL) < 0)
                return OXL_SEARCH_NONE; /* a search will say so */
        int r = locate_in_lookup(o, id, ret, ret_offset);
        say_lookup(o);
        return r == 0 ? 0 : locate_in_packs(o, id, ret, ret_offset);
}

/* --- searching packs -------------------------------------------------------------------------------------------- */

enum which {
        PACKS_NOT_COVERED,
        PACKS_COVERED,
        PACKS_FRESH,
};

static int search_packs(struct oxl_search *s, enum which which, struct oxl_error *err)
{
        /* Newest packs have no order of their own; any will do. */
        for (size_t i = 0; i < s->o->count; i++) {
                const struct oxl_store_pack *sp = &s->o->packs[i];
                if (which == PACKS_FRESH ? !sp->fresh : sp->covered != (which == PACKS_COVERED))
                        continue;
                int r = search_pack(s, i, err);
                if (r != NEXT)
                        return r;
        }
        return NEXT;
}

static int search_loose(struct oxl_search *s, struct oxl_error *err)
{
        if (s->kind != OXL_KIND_BLOB)
                return NEXT;
        struct oxl_copy copy = OXL_COPY_INIT;
        struct oxl_error why = OXL_ERROR_INIT;
        struct stat st;
        oxl_loose_path(s->id, copy.name);
        copy.fd = oxl_open_beneath(s->o->config.root_fd, copy.name, O_RDONLY | O_NONBLOCK, 0);
        if (copy.fd < 0 && errno == ENOENT)
                return NEXT;
        if (copy.fd < 0 || oxl_fd_stat(copy.fd, &st) < 0) {
                OXL_IGNORE(OXL_FAIL_OS(&why, FILE_OPEN, copy.name), "noted");
                oxl_copy_done(&copy);
                s->copies++;
                s->copy_unreadable = true;
                return note(s, RANK_COPY, &why, err);
        }
        if (!S_ISREG(st.st_mode)) {
                OXL_IGNORE(OXL_FAIL_WHY(&why, MALFORMED, copy.name, "it is not a regular file"), "noted");
                oxl_copy_done(&copy);
                return note(s, RANK_COPY, &why, err);
        }
        copy.size = (uint64_t)st.st_size;
        return judge(s, &copy, err);
}

/* Packs behind a proven lookup are not asked again, but what is wrong with them is still the best answer. */
static int note_broken(struct oxl_search *s, struct oxl_error *err)
{
        for (size_t i = 0; i < s->o->count; i++) {
                struct oxl_error why = OXL_ERROR_INIT;
                if (!s->o->packs[i].covered || s->o->packs[i].broken.code == 0)
                        continue;
                OXL_IGNORE(oxl_error_copy(&why, &s->o->packs[i].broken), "noted");
                int r = note(s, RANK_INDEX, &why, err);
                if (r != NEXT)
                        return r;
        }
        return NEXT;
}

/* What is left to ask before "none" may be said. */
static int search_again(struct oxl_search *s, struct oxl_error *err)
{
        struct oxl_objects *o = s->o;
        struct oxl_error why = OXL_ERROR_INIT;
        int r = list_again(o, &why);
        if (r < 0) {
                s->copy_unreadable = true;
                return note(s, RANK_MEDIUM, &why, err);
        }
        r = search_packs(s, PACKS_FRESH, err);
        if (r != NEXT)
                return r;
        bool dropped = false;
        if (o->lookup && !o->lookup_proven) {
                r = oxl_store_prove_lookup(o, s, err);
                if (r < 0)
                        return r;
                dropped = r > 0;
        }
        if (dropped)
                return search_packs(s, PACKS_NOT_COVERED, err);
        r = s->contradiction ? search_packs(s, PACKS_COVERED, err) : NEXT;
        return r == NEXT ? note_broken(s, err) : r;
}

/* The packs cannot be listed: a loose copy may still do. Takes @why. */
static int search_unlisted(struct oxl_search *s, struct oxl_error *why, struct oxl_error *err)
{
        s->copy_unreadable = true;
        int r = note(s, RANK_MEDIUM, why, err);
        if (r == NEXT)
                r = search_loose(s, err);
        return r == NEXT ? OXL_SEARCH_NONE : r;
}

int oxl_search_run(struct oxl_search *s, struct oxl_error *err)
{
        struct oxl_error why = OXL_ERROR_INIT;
        s->copy = (struct oxl_copy)OXL_COPY_INIT;
        int r = oxl_store_list(s->o, &why);
        if (r < 0)
                return search_unlisted(s, &why, err);
        r = search_lookup(s, err);
        if (r == NEXT)
                r = search_packs(s, PACKS_NOT_COVERED, err);
        if (r == NEXT && !s->no_loose)
                r = search_loose(s, err);
        if (r == NEXT && s->thorough)
                r = search_again(s, err);
        else if (r == NEXT && s->contradiction)
                r = search_packs(s, PACKS_COVERED, err);
        return r == NEXT ? OXL_SEARCH_NONE : r;
}

/* --- the lookup against the packs --------------------------------------------------------------------------------- */

/* Sum of hashes of entries: two lists with equal sums hold the same entries, whatever their order. */
struct sum {
        uint64_t part[2], count;
};

static void sum_add(struct sum *sum, const struct oxl_lookup_hit *hit)
{
        uint8_t bytes[OXL_LOOKUP_ENTRY_BYTES];
        oxl_lookup_entry_encode(hit, bytes);
        struct oxl_digest d = oxl_digest_of(OXL_ALGO_XXH3_128, bytes, sizeof(bytes));
        sum->part[0] += le_load64(d.bytes);
        sum->part[1] += le_load64(d.bytes + 8);
        sum->count++;
}

static void sum_pack(struct sum *sum, const struct oxl_pack *p, uint32_t position)
{
        for (uint64_t i = 0; i < oxl_pack_entries(p); i++) {
                struct oxl_pack_entry e;
                oxl_pack_entry_at(p, i, &e);
                struct oxl_lookup_hit hit = { .pack = position, .kind = e.kind, .offset = e.offset };
                oxl_digest_store(&e.id, hit.id);
                sum_add(sum, &hit);
        }
}

/* Sums the indexes of the covered packs; @ret_in says which positions of the lookup's list took part. *ret_all: all
 * that the medium has; damaged packs are known as such. */
static int sum_packs(struct oxl_search *s, struct sum *sum, bool *ret_in, bool *ret_all, struct oxl_error *err)
{
        struct oxl_objects *o = s->o;
        for (size_t i = 0; i < o->count; i++) {
                uint32_t position =
                        o->packs[i].covered ? oxl_lookup_pack_position(o->lookup, &o->packs[i].id) : UINT32_MAX;
                if (position == UINT32_MAX)
                        continue;
                struct oxl_error why = OXL_ERROR_INIT;
                struct oxl_pack *pack = NULL;
                if (oxl_store_pack(o, i, true, &pack, &why) < 0) {
                        *ret_all &= !is_medium(why.code);
                        int r = note_pack(s, &why, err);
                        if (r < 0)
                                return r;
                        continue;
                }
                ret_in[position] = true;
                sum_pack(sum, pack, position);
        }
        return 0;
}

int oxl_store_prove_lookup(struct oxl_objects *o, struct oxl_search *s, struct oxl_error *err)
{
        struct sum packs = { 0 }, lookup = { 0 };
        bool all = true, wrong = !oxl_lookup_sealed(o->lookup, &o->config.id);
        cleanup_free bool *in = calloc((size_t)oxl_lookup_packs(o->lookup) + 1, sizeof(*in));
        if (!in)
                return OXL_FAIL_PLAIN(err, NOMEM);
        int r = wrong ? 0 : sum_packs(s, &packs, in, &all, err);
        if (r < 0)
                return r;
        struct oxl_lookup_hit hit;
        for (uint64_t i = 0; !wrong && oxl_lookup_at(o->lookup, i, &hit) == 0; i++) {
                wrong = hit.pack >= oxl_lookup_packs(o->lookup);
                if (!wrong && in[hit.pack])
                        sum_add(&lookup, &hit);
        }
        say_lookup(o);
        if (wrong || memcmp(&packs, &lookup, sizeof(packs)) != 0) {
                oxl_store_drop_lookup(o);
                return 1;
        }
        o->lookup_proven = all;
        return 0;
}
