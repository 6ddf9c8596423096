/* SPDX-License-Identifier: MIT */
/*
 * Merging small packs: docs/FORMAT.md, "Merging".
 *
 * A tier holds packs of about one size, a factor of 16 wide. 16 of them make one of the next tier, so each object is written again at
 * most once per tier, and n commits leave at most 15 packs in each of log16(n) tiers. (Below 64 KiB the filler between the copies of
 * metadata is most of a pack, and a merged pack may stay in its tier for one or two rounds; that tier is small.)
 *
 * The new pack is a copy: every object is read and hashed. The old packs go to trash; the next merge or gc deletes them
 * after it has read the new one back from the medium and found each of their objects in it, so no moment has a single
 * unproven copy. What a crash leaves: see trash.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "objects/pack_copy.h"
#include "os/fdio.h"
#include "repo/gc.h"

enum { TIERS = 4 };

struct small_pack {
        struct oxl_digest id;
        uint64_t bytes;
        bool taken; /* all of it is in the new pack */
};

struct tiers {
        struct oxl_repo *repo;
        struct oxl_buf packs[TIERS]; /* struct small_pack each */
};

static void tiers_done(struct tiers *t)
{
        for (size_t i = 0; i < TIERS; i++)
                oxl_buf_done(&t->packs[i]);
}

static size_t count_of(const struct tiers *t, size_t tier)
{
        return t->packs[tier].len / sizeof(struct small_pack);
}

/* TIERS: too large to be merged. */
static size_t tier_of(uint64_t bytes)
{
        size_t tier = 0;
        for (uint64_t end = UINT64_C(64) << 10; tier < TIERS && bytes >= end; end *= 16)
                tier++;
        return tier;
}

static int take_pack(void *ctx, const struct oxl_digest *id, struct oxl_error *err)
{
        struct tiers *t = ctx;
        char path[96];
        struct stat st;
        oxl_pack_path(id, path);
        if (oxl_fd_stat_at(t->repo->root_fd, path, &st) < 0)
                return errno == ENOENT ? 0 : OXL_FAIL_OS(err, FILE_STAT, path);
        const struct small_pack p = { .id = *id, .bytes = (uint64_t)st.st_size };
        size_t tier = tier_of(p.bytes);
        return tier == TIERS || !S_ISREG(st.st_mode) ? 0 : oxl_buf_append(&t->packs[tier], &p, sizeof p, err);
}

static int compare_bytes(const void *a, const void *b)
{
        const struct small_pack *x = a, *y = b;
        if (x->bytes != y->bytes)
                return x->bytes < y->bytes ? -1 : 1;
        return oxl_digest_compare(&x->id, &y->id);
}

/* The smallest packs of the lowest full tier, as far as @max_bytes go. 1: none is full. */
static int choose(struct tiers *t, uint64_t max_bytes, struct small_pack **ret, size_t *ret_n, struct oxl_error *err)
{
        int k = oxl_pack_list(t->repo->root_fd, take_pack, t, err);
        for (size_t tier = 0; k == 0 && tier < TIERS; tier++) {
                struct small_pack *at = (struct small_pack *)(void *)t->packs[tier].data;
                size_t count = count_of(t, tier), n = 0;
                uint64_t bytes = 0;
                if (count < OXL_MERGE_MIN)
                        continue;
                qsort(at, count, sizeof *at, compare_bytes);
                while (n < count && n < OXL_MERGE_MAX && bytes + at[n].bytes <= max_bytes)
                        bytes += at[n++].bytes;
                if (n < 2)
                        continue;
                *ret = at;
                *ret_n = n;
                return 0;
        }
        return k < 0 ? k : 1;
}

/* --- removing what earlier merges left --------------------------------------------------------------------------------- */

struct proof {
        struct oxl_repo *repo;
        struct oxl_pack **at; /* the new packs, whole on the medium; owned */
        size_t n;
};

static void proof_done(struct proof *p)
{
        for (size_t i = 0; p->at && i < p->n; i++)
                oxl_pack_free(p->at[i]);
        free(p->at);
}

/* 0 proven; 1 not: it stays, as another copy. */
static int open_new(struct proof *p, const struct oxl_digest *ids, size_t n, struct oxl_error *err)
{
        struct oxl_repo *r = p->repo;
        p->at = calloc(n, sizeof(struct oxl_pack *));
        if (!p->at)
                return OXL_FAIL_PLAIN(err, NOMEM);
        p->n = n;
        for (size_t i = 0; i < n; i++) {
                cleanup_error struct oxl_error why = OXL_ERROR_INIT;
                char path[96];
                int fd = -1;
                oxl_pack_path(&ids[i], path);
                int k = oxl_durable_reopen(r->durable, path, &fd, &why);
                if (k == 0)
                        k = oxl_pack_open_fd(fd, path, &ids[i], &r->format.id, r->format.blob_algo, &p->at[i], &why);
                if (k == 0)
                        k = oxl_pack_verify(p->at[i], NULL, NULL, r->options.cancel, &why);
                if (k == 0)
                        k = oxl_pack_load_index(p->at[i], &why);
                if (k < 0)
                        return why.code == OXL_E_CANCELLED || why.code == OXL_E_NOMEM ? oxl_error_copy(err, &why) : 1;
        }
        return 0;
}

static bool holds(const struct proof *p, const struct oxl_pack_entry *want)
{
        for (size_t i = 0; i < p->n; i++) {
                struct oxl_pack_entry e;
                for (uint64_t at = oxl_pack_lower_bound(p->at[i], want->id.bytes); at < oxl_pack_entries(p->at[i]);
                     at++) {
                        oxl_pack_entry_at(p->at[i], at, &e);
                        if (memcmp(e.id.bytes, want->id.bytes, OXL_DIGEST_BYTES) != 0)
                                break;
                        if (e.kind == want->kind && e.raw_len == want->raw_len)
                                return true;
                }
        }
        return false;
}

/* Is each object of the pack in trash in one of the new ones? 0 yes; 1 no. */
static int has_all(const struct proof *p, const char *path, const char *place, struct oxl_error *err)
{
        struct oxl_digest id;
        struct oxl_pack *old = NULL;
        char hex[65] = { 0 };
        if (strncmp(place, "versions/packs/", 15) != 0)
                return 1;
        memcpy(hex, place + 15, 64);
        if (!oxl_digest_parse(OXL_ALGO_BLAKE3, hex, &id))
                return 1;
        int k = oxl_gc_open_pack(p->repo, path, &id, &old, err);
        for (uint64_t i = 0; k == 0 && i < oxl_pack_entries(old); i++) {
                struct oxl_pack_entry e;
                oxl_pack_entry_at(old, i, &e);
                k = !holds(p, &e);
        }
        oxl_pack_free(old);
        return k;
}

/* 0: each object of the run is in a new pack that is whole on the medium. 1: not, or it is no run of a merge. */
static int prove_run(struct oxl_repo *r, const char *id, struct oxl_error *err)
{
        cleanup(proof_done) struct proof p = { .repo = r };
        cleanup_places struct oxl_places places = OXL_PLACES_INIT;
        cleanup_free struct oxl_digest *ids = NULL;
        size_t n = 0;
        int k = oxl_trash_merged(r, id, &ids, &n, err);
        if (k == 0)
                k = oxl_trash_places(r, id, &places, err);
        if (k == 0 && places.n > 0) /* none: an earlier removal was cut short */
                k = open_new(&p, ids, n, err);
        for (const char *t = NULL; k == 0 && (t = oxl_places_next(&places, t));) {
                cleanup_free char *path = NULL;
                k = oxl_trash_path(id, t, &path, err);
                if (k == 0)
                        k = has_all(&p, path, t, err);
        }
        return k;
}

/* What cannot be proven or removed stays, as another copy; it is no reason not to look at the others, or not to merge. */
static int purge_run(struct oxl_repo *r, const char *id, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        int k = prove_run(r, id, &why);
        if (k == 0)
                k = oxl_trash_delete(r, id, &why);
        return k < 0 && (why.code == OXL_E_CANCELLED || why.code == OXL_E_NOMEM) ? oxl_error_copy(err, &why) : 0;
}

int oxl_merge_purge(struct oxl_repo *r, struct oxl_error *err)
{
        cleanup_places struct oxl_places ids = OXL_PLACES_INIT;
        int k = oxl_trash_ids(r->root_fd, &ids, err);
        for (const char *id = NULL; k == 0 && (id = oxl_places_next(&ids, id));)
                k = purge_run(r, id, err);
        return k;
}

/* --- merging -------------------------------------------------------------------------------------------------------------- */

struct merge {
        struct oxl_repo *repo;
        struct oxl_objects *objects;
        struct oxl_put *put;
        struct oxl_places places; /* of the old packs */
        oxl_gc_fn *fn;
        void *ctx;
        struct oxl_gc_result *result;
};

static void merge_done(struct merge *m)
{
        oxl_put_free(m->put);
        oxl_places_done(&m->places);
}

/* 0 copied; 1 damaged: it stays where it is, and what was copied of it does no harm. */
static int copy_pack(struct merge *m, const struct small_pack *p, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        struct oxl_pack *pack = NULL;
        char path[96];
        oxl_pack_path(&p->id, path);
        int k = oxl_gc_open_pack(m->repo, path, &p->id, &pack, err);
        if (k != 0)
                return k;
        k = oxl_pack_copy(m->objects, pack, NULL, NULL, m->put, m->repo->options.cancel, &why);
        oxl_pack_free(pack);
        if (k == 0)
                return 0;
        bool damaged = why.code == OXL_E_OBJECT_CORRUPT || why.code == OXL_E_MALFORMED || why.code == OXL_E_LIMIT ||
                       why.code == OXL_E_HASH_COLLISION;
        return damaged ? 1 : oxl_error_copy(err, &why);
}

static void count_packs(struct merge *m, const struct small_pack *at, size_t n, const char *id)
{
        const struct oxl_put_item *items;
        struct oxl_gc_result *ret = m->result;
        size_t written = oxl_put_items(m->put, &items);
        for (size_t i = 0; i < n; i++) {
                char path[96];
                if (!at[i].taken)
                        continue;
                oxl_pack_path(&at[i].id, path);
                const struct oxl_gc_item item = { .action = OXL_GC_MERGE,
                                                  .trash = id,
                                                  .path = path,
                                                  .bytes = at[i].bytes,
                                                  .live_bytes = at[i].bytes };
                ret->merged.files++;
                ret->merged.bytes += at[i].bytes;
                if (m->fn)
                        OXL_IGNORE(m->fn(m->ctx, &item, NULL), "it is done");
        }
        for (size_t i = 0; i < written; i++) {
                ret->written.files++;
                ret->written.bytes += items[i].size;
        }
}

/* Two packs at least: one alone would only be written again. */
static int merge_packs(struct merge *m, struct small_pack *at, size_t n, struct oxl_error *err)
{
        char id[OXL_TRASH_ID_BYTES];
        int k = oxl_put_begin(m->objects, &m->put, err);
        for (size_t i = 0; k >= 0 && i < n; i++) {
                char path[96];
                oxl_pack_path(&at[i].id, path);
                k = copy_pack(m, &at[i], err);
                at[i].taken = k == 0;
                if (k == 0)
                        k = oxl_places_add(&m->places, path, err);
                oxl_repo_progress(m->repo, "merging packs", i + 1, n, 0, 0);
        }
        if (k >= 0 && m->places.n < 2)
                return 1;
        if (k >= 0)
                k = oxl_put_finish(m->put, err);
        const struct oxl_trash_run run = { .verb = "merge", .put = m->put, .places = &m->places };
        if (k >= 0)
                k = oxl_trash_run(m->repo, &run, id, err);
        if (k >= 0)
                count_packs(m, at, n, id);
        return k < 0 ? k : 0;
}

int oxl_merge_locked(struct oxl_repo *r, uint64_t max_bytes, oxl_gc_fn *fn, void *ctx, struct oxl_gc_result *ret,
                     struct oxl_error *err)
{
        cleanup(tiers_done) struct tiers t = { .repo = r };
        cleanup(merge_done) struct merge m = { .repo = r, .fn = fn, .ctx = ctx, .result = ret };
        struct small_pack *at = NULL;
        size_t n = 0;
        int k = choose(&t, max_bytes, &at, &n, err);
        if (k == 0)
                k = oxl_merge_purge(r, err); /* before a pack that proves it is merged itself */
        if (k == 0)
                k = oxl_repo_objects(r, &m.objects, err);
        if (k == 0)
                k = merge_packs(&m, at, n, err);
        oxl_objects_rescan(r->objects);
        return k;
}

/* Without locks: is there anything to do? */
static bool is_full(struct oxl_repo *r)
{
        cleanup(tiers_done) struct tiers t = { .repo = r };
        struct small_pack *at;
        size_t n;
        return choose(&t, OXL_MERGE_SOME_BYTES, &at, &n, NULL) == 0;
}

int oxl_gc_merge_some(struct oxl_repo *r, struct oxl_gc_result *ret, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT, ignored = OXL_ERROR_INIT;
        *ret = (struct oxl_gc_result){ .trash = "" };
        if (!is_full(r))
                return 1;
        int64_t wait_ms = r->options.wait_ms;
        r->options.wait_ms = 0; /* whoever works now, or a later command, does it */
        int k = oxl_gc_begin(r, &why);
        r->options.wait_ms = wait_ms;
        if (k < 0)
                return why.code == OXL_E_LOCKED ? 1 : oxl_error_copy(err, &why);
        k = oxl_merge_locked(r, OXL_MERGE_SOME_BYTES, NULL, NULL, ret, err);
        if (k == 0)
                OXL_IGNORE(oxl_objects_refresh_lookup(r->objects, false, &ignored), "lookup is derived");
        oxl_repo_end_write(r);
        return k;
}
