/* SPDX-License-Identifier: MIT */
/*
 * gc: oxenlite/gc.h says what it does, mark.h what is needed, trash.h how files move.
 *
 *   mark refs, HEAD, index                          without locks; best effort, its failure costs only time
 *   -> writer, gc exclusively; recovery
 *   -> mark again: refs, HEAD, index, operations, intents, notes       fail closed
 *   -> look at the index of every pack, and at every loose blob: dead, mostly dead, alive
 *   -> copy what is alive in packs mostly dead -> one run to trash -> merge full tiers -> lookup
 *
 * What a crash leaves: see trash.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/path.h"
#include "objects/loose.h"
#include "objects/pack_copy.h"
#include "objects/pack_private.h"
#include "os/fdio.h"
#include "repo/gc.h"
#include "repo/mark.h"
#include "repo/needs.h"
#include "repo/reserve.h"

#define DAY_NS (INT64_C(86400) * 1000000000)

struct plan { /* for one pack or blob */
        struct oxl_digest id;
        enum oxl_gc_action action;
        bool blob;
        uint64_t bytes, live_bytes;
};

struct gc {
        struct oxl_repo *repo;
        struct oxl_objects *objects;
        struct oxl_journal *journal; /* borrowed, or a copy */
        struct oxl_marks *marks;
        int64_t since_ns; /* what is younger stays; operations too */
        struct oxl_buf plans;
        oxl_gc_fn *fn;
        void *ctx;
        bool dry_run;
        struct oxl_gc_result *ret;
};

static void gc_done(struct gc *g)
{
        oxl_marks_free(g->marks);
        oxl_buf_done(&g->plans);
}

const char *oxl_gc_action_slug(enum oxl_gc_action action)
{
        static const char *const slugs[] = { "move", "rewrite", "merge", "damaged", "back", "in-way", "delete" };
        return (size_t)action < OXL_ARRAY_LEN(slugs) ? slugs[action] : "move";
}

/* --- locks ----------------------------------------------------------------------------------------------------------- */

int oxl_gc_begin(struct oxl_repo *r, struct oxl_error *err)
{
        int k = oxl_repo_begin_write(r, err);
        if (k < 0)
                return k;
        oxl_owner_unlock(r->owner, OXL_LOCK_GC); /* `writer` keeps every other writer out meanwhile */
        k = oxl_owner_lock(r->owner, OXL_LOCK_GC, true, r->options.wait_ms, r->options.cancel, err);
        if (k < 0)
                oxl_repo_end_write(r);
        return k;
}

/* --- marking ------------------------------------------------------------------------------------------------------------ */

/* Operations from before an earlier gc's horizon are no roots: what they need may be in trash. */
static int mark_log(struct gc *g, struct oxl_error *err)
{
        int64_t since_ns = g->since_ns;
        int k = oxl_needs_since(g->journal, &since_ns, err);
        return k < 0 ? k : oxl_marks_log(g->marks, g->journal, since_ns, err);
}

static int mark_all(struct gc *g, struct oxl_error *err)
{
        int k = oxl_marks_refs(g->marks, err);
        if (k >= 0)
                k = mark_log(g, err);
        if (k >= 0)
                g->ret->live = oxl_marks_count(g->marks);
        return k < 0 ? k : 0;
}

/* A writer at work may hide something for a moment; under the locks it counts. */
static int mark_early(struct gc *g, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        int k = oxl_marks_refs(g->marks, &why);
        if (k >= 0)
                return 0;
        oxl_marks_clear(g->marks); /* marked, but not followed */
        return why.code == OXL_E_CANCELLED || why.code == OXL_E_NOMEM ? oxl_error_copy(err, &why) : 0;
}

static int64_t now_ns(void)
{
        struct timespec t = { 0 };
        OXL_IGNORE(oxl_sys->clock_gettime(CLOCK_REALTIME, &t), "cannot fail for this clock");
        return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void set_since(struct gc *g)
{
        int64_t keep = (int64_t)g->repo->settings.keep_days * DAY_NS, now = now_ns();
        g->since_ns = now > keep ? now - keep : 0;
}

static bool is_young(const struct gc *g, const struct stat *st)
{
        return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec > g->since_ns;
}

/* --- planning ------------------------------------------------------------------------------------------------------------ */

int oxl_gc_open_pack(struct oxl_repo *r, const char *path, const struct oxl_digest *id, struct oxl_pack **ret,
                     struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        struct oxl_pack *pack = NULL;
        int k = oxl_pack_open(r->root_fd, path, id, &r->format.id, r->format.blob_algo, &pack, &why);
        if (k == 0)
                k = oxl_pack_load_index(pack, &why);
        if (k == 0) {
                *ret = pack;
                return 0;
        }
        oxl_pack_free(pack);
        return why.code == OXL_E_MALFORMED || why.code == OXL_E_SEAL || why.code == OXL_E_LIMIT
                       ? 1
                       : oxl_error_copy(err, &why);
}

/* Bytes of records, alive and dead; second copies count. *ret_dead: objects. */
static void weigh(const struct gc *g, const struct oxl_pack *pack, uint64_t ret_bytes[2], uint64_t *ret_dead)
{
        struct oxl_pack_entry e;
        ret_bytes[0] = ret_bytes[1] = *ret_dead = 0;
        for (uint64_t i = 0; i < oxl_pack_entries(pack); i++) {
                oxl_pack_entry_at(pack, i, &e);
                bool live = oxl_marks_has(g->marks, (enum oxl_kind)e.kind, &e.id);
                ret_bytes[live] += oxl_pack_record_size(e.stored_len);
                *ret_dead += !live && !(e.flags & OXL_PACK_SECOND_COPY);
        }
}

static int add_plan(struct gc *g, const struct plan *p, struct oxl_error *err)
{
        char path[OXL_LOOSE_PATH_MAX];
        if (p->blob)
                oxl_loose_path(&p->id, path);
        else
                oxl_pack_path(&p->id, path);
        const struct oxl_gc_item item = {
                .action = p->action, .trash = "", .path = path, .bytes = p->bytes, .live_bytes = p->live_bytes
        };
        int k = p->action == OXL_GC_DAMAGED ? 0 : oxl_buf_append(&g->plans, p, sizeof *p, err);
        return k < 0 || !g->fn ? k : g->fn(g->ctx, &item, err);
}

static void count(struct oxl_gc_count *c, uint64_t bytes)
{
        c->files++;
        c->bytes += bytes;
}

static int plan_pack(void *ctx, const struct oxl_digest *id, struct oxl_error *err)
{
        struct gc *g = ctx;
        struct oxl_pack *pack = NULL;
        struct stat st;
        uint64_t bytes[2], dead;
        char path[96];
        oxl_pack_path(id, path);
        if (oxl_repo_cancelled(g->repo))
                return OXL_FAIL_PLAIN(err, CANCELLED);
        if (oxl_fd_stat_at(g->repo->root_fd, path, &st) < 0)
                return errno == ENOENT && g->dry_run ? 0 : OXL_FAIL_OS(err, FILE_STAT, path);
        struct plan p = { .id = *id, .bytes = (uint64_t)st.st_size };
        g->ret->packs_before++;
        int k = oxl_gc_open_pack(g->repo, path, id, &pack, err);
        if (k < 0)
                return k;
        if (k > 0) {
                p.action = OXL_GC_DAMAGED;
                g->ret->damaged++;
                return add_plan(g, &p, err);
        }
        weigh(g, pack, bytes, &dead);
        oxl_pack_free(pack);
        p.live_bytes = bytes[1];
        p.action = bytes[1] == 0 ? OXL_GC_MOVE : OXL_GC_REWRITE;
        bool goes = bytes[1] == 0 || bytes[0] > bytes[1];
        if (goes && is_young(g, &st)) {
                count(&g->ret->young, p.bytes);
                return 0;
        }
        if (goes)
                return add_plan(g, &p, err);
        g->ret->dead.files += dead;
        g->ret->dead.bytes += bytes[0];
        return 0;
}

static int plan_blob(void *ctx, const struct oxl_digest *id, const char *path, struct oxl_error *err)
{
        struct gc *g = ctx;
        struct stat st;
        if (oxl_repo_cancelled(g->repo))
                return OXL_FAIL_PLAIN(err, CANCELLED);
        if (oxl_marks_has(g->marks, OXL_KIND_BLOB, id))
                return 0;
        if (oxl_fd_stat_at(g->repo->root_fd, path, &st) < 0)
                return errno == ENOENT ? 0 : OXL_FAIL_OS(err, FILE_STAT, path);
        const struct plan p = { .id = *id, .action = OXL_GC_MOVE, .blob = true, .bytes = (uint64_t)st.st_size };
        if (!S_ISREG(st.st_mode))
                return 0; /* fsck's business */
        if (is_young(g, &st)) {
                count(&g->ret->young, p.bytes);
                return 0;
        }
        return add_plan(g, &p, err);
}

static int plan_all(struct gc *g, struct oxl_error *err)
{
        oxl_buf_clear(&g->plans);
        int k = oxl_pack_list(g->repo->root_fd, plan_pack, g, err);
        if (k >= 0)
                k = oxl_loose_list(g->repo->root_fd, g->repo->format.blob_algo, plan_blob, NULL, g, err);
        return k < 0 ? k : 0;
}

static size_t plan_count(const struct gc *g)
{
        return g->plans.len / sizeof(struct plan);
}

static struct plan *plan_at(const struct gc *g, size_t i)
{
        return (struct plan *)(void *)g->plans.data + i;
}

/* --- acting ------------------------------------------------------------------------------------------------------------------ */

static bool is_live(void *ctx, const struct oxl_pack_entry *e)
{
        const struct gc *g = ctx;
        return oxl_marks_has(g->marks, (enum oxl_kind)e->kind, &e->id);
}

/* 0 copied; 1 damaged: it stays. */
static int copy_live(struct gc *g, const struct plan *p, struct oxl_put *put, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        struct oxl_pack *pack = NULL;
        char path[96];
        oxl_pack_path(&p->id, path);
        int k = oxl_gc_open_pack(g->repo, path, &p->id, &pack, err);
        if (k != 0)
                return k;
        k = oxl_pack_copy(g->objects, pack, is_live, g, put, g->repo->options.cancel, &why);
        oxl_pack_free(pack);
        if (k == 0)
                return 0;
        bool damaged = why.code == OXL_E_OBJECT_CORRUPT || why.code == OXL_E_MALFORMED || why.code == OXL_E_LIMIT;
        return damaged ? 1 : oxl_error_copy(err, &why);
}

struct acting {
        struct oxl_put *put;
        struct oxl_places places;
};

static void acting_done(struct acting *a)
{
        oxl_put_free(a->put);
        oxl_places_done(&a->places);
}

static int gather(struct gc *g, struct acting *a, struct oxl_error *err)
{
        char path[OXL_LOOSE_PATH_MAX];
        int k = 0;
        for (size_t i = 0; k >= 0 && i < plan_count(g); i++) {
                struct plan *p = plan_at(g, i);
                if (p->action == OXL_GC_DAMAGED)
                        continue; /* found by an attempt that ran out of space */
                if (p->blob)
                        oxl_loose_path(&p->id, path);
                else
                        oxl_pack_path(&p->id, path);
                if (p->action == OXL_GC_REWRITE) {
                        k = a->put ? 0 : oxl_put_begin(g->objects, &a->put, err);
                        if (k >= 0)
                                k = copy_live(g, p, a->put, err);
                        oxl_repo_progress(g->repo, "rewriting packs", i + 1, plan_count(g), 0, 0);
                }
                if (k > 0)
                        p->action = OXL_GC_DAMAGED;
                else if (k == 0)
                        k = oxl_places_add(&a->places, path, err);
        }
        return k < 0 ? k : a->put ? oxl_put_finish(a->put, err) : 0;
}

static void count_result(struct gc *g, struct oxl_put *put)
{
        const struct oxl_put_item *items = NULL;
        size_t n = put ? oxl_put_items(put, &items) : 0;
        for (size_t i = 0; i < n; i++)
                count(&g->ret->written, items[i].size);
        for (size_t i = 0; i < plan_count(g); i++) {
                const struct plan *p = plan_at(g, i);
                if (p->action == OXL_GC_DAMAGED)
                        g->ret->damaged++;
                else if (p->action == OXL_GC_REWRITE)
                        count(&g->ret->rewritten, p->bytes);
                else
                        count(p->blob ? &g->ret->blobs : &g->ret->packs, p->bytes);
        }
}

static int move_planned(struct gc *g, struct oxl_error *err)
{
        cleanup(acting_done) struct acting a = { .places = OXL_PLACES_INIT };
        char note[64];
        int k = plan_count(g) > 0 ? gather(g, &a, err) : 0;
        if (k < 0)
                return k;
        if (a.places.n == 0)
                return 0;
        snprintf(note, sizeof note, "%zu file%s to trash", a.places.n, a.places.n == 1 ? "" : "s");
        const struct oxl_trash_run run = {
                .verb = "gc", .put = a.put, .places = &a.places, .kept_since_ns = g->since_ns, .note = note
        };
        k = oxl_trash_run(g->repo, &run, g->ret->trash, err);
        if (k >= 0)
                count_result(g, a.put);
        oxl_objects_rescan(g->objects);
        return k;
}

static bool no_space(const struct oxl_error *e)
{
        return e->os == ENOSPC || e->os == EDQUOT;
}

/* On a full disk once more, with the space of `reserve`. */
static int move_or_give_way(struct gc *g, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        int k = move_planned(g, &why);
        if (k < 0 && no_space(&why) && !oxl_durable_poisoned(g->repo->durable)) {
                g->ret->reserve_bytes = oxl_reserve_drop(g->repo->durable, g->repo->root_fd);
                oxl_error_done(&why);
                k = move_planned(g, &why);
        }
        return k < 0 ? oxl_error_copy(err, &why) : k;
}

static int merge_all(struct gc *g, struct oxl_error *err)
{
        int k = oxl_merge_purge(g->repo, err);
        for (unsigned rounds = 0; k == 0 && rounds < 1000; rounds++)
                k = oxl_merge_locked(g->repo, OXL_PACK_SOFT_LIMIT, g->fn, g->ctx, g->ret, err);
        return k < 0 ? k : 0;
}

static int count_pack(void *ctx, const struct oxl_digest *id, struct oxl_error *err)
{
        (void)id;
        (void)err;
        ++*(uint64_t *)ctx;
        return 0;
}

int oxl_gc_count_packs(struct oxl_repo *r, uint64_t *ret, struct oxl_error *err)
{
        *ret = 0;
        return oxl_pack_list(r->root_fd, count_pack, ret, err);
}

static int gc_locked(struct gc *g, struct oxl_error *err)
{
        cleanup_error struct oxl_error ignored = OXL_ERROR_INIT;
        int k;
        set_since(g);
        g->journal = g->repo->journal;
        if ((k = oxl_repo_objects(g->repo, &g->objects, err)) < 0 || /* */
            (k = mark_all(g, err)) < 0 ||                            /* the difference; fail closed */
            (k = plan_all(g, err)) < 0 ||                            /* nothing is changed up to here */
            (k = move_or_give_way(g, err)) < 0 ||                    /* one run */
            (k = merge_all(g, err)) < 0 ||                           /* each a run of its own */
            (k = oxl_gc_count_packs(g->repo, &g->ret->packs_after, err)) < 0 ||
            (k = oxl_trash_count(g->repo, &g->ret->waits, err)) < 0)
                return k;
        OXL_IGNORE(oxl_objects_refresh_lookup(g->objects, g->ret->trash[0] || g->ret->merged.files, &ignored),
                   "lookup is derived");
        if (g->ret->reserve_bytes > 0 && oxl_reserve_make(g->repo->durable, &ignored) == 0)
                OXL_IGNORE(oxl_durable_barrier(g->repo->durable, &ignored), "the reserve is a courtesy");
        return 0;
}

static int dry_run(struct gc *g, struct oxl_error *err)
{
        struct oxl_repo *r = g->repo;
        struct oxl_journal *copy = NULL;
        set_since(g);
        int k = r->journal ? 0 : oxl_repo_journal_copy(r, &copy, err);
        g->journal = r->journal ? r->journal : copy;
        if (k >= 0)
                k = mark_all(g, err);
        oxl_journal_close(copy);
        if (k >= 0)
                k = plan_all(g, err);
        if (k < 0)
                return k;
        count_result(g, NULL);
        g->ret->packs_after = g->ret->packs_before - g->ret->packs.files - g->ret->rewritten.files;
        return oxl_trash_count(r, &g->ret->waits, err);
}

int oxl_gc_run(struct oxl_repo *r, const struct oxl_gc_options *options, oxl_gc_fn *fn, void *ctx,
               struct oxl_gc_result *ret, struct oxl_error *err)
{
        cleanup(gc_done) struct gc g = {
                .repo = r, .fn = fn, .ctx = ctx, .dry_run = options && options->dry_run, .ret = ret
        };
        *ret = (struct oxl_gc_result){ .trash = "" };
        int k = oxl_marks_new(r, &g.marks, err);
        if (k >= 0 && g.dry_run)
                return dry_run(&g, err);
        if (k >= 0)
                k = mark_early(&g, err);
        if (k >= 0)
                k = oxl_gc_begin(r, err);
        if (k < 0)
                return k;
        k = gc_locked(&g, err);
        oxl_repo_end_write(r);
        return k;
}

/* --- undo, list, empty --------------------------------------------------------------------------------------------------------- */

struct visit { /* of files in trash */
        struct oxl_repo *repo;
        oxl_gc_fn *fn;
        void *ctx;
        enum oxl_gc_action action;
        const struct oxl_places *damaged; /* stay where they are; NULL: none */
        struct oxl_gc_count count;
};

static int visit_run(struct visit *v, const char *id, struct oxl_error *err)
{
        cleanup_places struct oxl_places places = OXL_PLACES_INIT;
        int k = oxl_trash_places(v->repo, id, &places, err);
        for (const char *t = NULL; k >= 0 && (t = oxl_places_next(&places, t));) {
                cleanup_free char *path = NULL;
                struct stat st = { 0 };
                k = oxl_trash_path(id, t, &path, err);
                if (k < 0)
                        return k;
                if (oxl_fd_stat_at(v->repo->root_fd, path, &st) < 0) {
                        if (errno != ENOENT)
                                return OXL_FAIL_OS(err, FILE_STAT, path);
                        continue; /* gone since it was listed */
                }
                bool damaged = v->damaged && oxl_places_has(v->damaged, t);
                if (!damaged)
                        count(&v->count, (uint64_t)st.st_size);
                const struct oxl_gc_item item = { .action = damaged ? OXL_GC_DAMAGED : v->action,
                                                  .trash = id,
                                                  .path = t,
                                                  .bytes = (uint64_t)st.st_size };
                k = v->fn ? v->fn(v->ctx, &item, err) : 0;
        }
        return k < 0 ? k : 0;
}

int oxl_trash_list(struct oxl_repo *r, oxl_gc_fn *fn, void *ctx, struct oxl_error *err)
{
        struct visit v = { .repo = r, .fn = fn, .ctx = ctx, .action = OXL_GC_DELETE };
        cleanup_places struct oxl_places ids = OXL_PLACES_INIT;
        int k = oxl_trash_ids(r->root_fd, &ids, err);
        for (const char *id = NULL; k == 0 && (id = oxl_places_next(&ids, id));)
                k = visit_run(&v, id, err);
        return k;
}

/* What of run @id cannot come back. With nothing that can, its first damage is the error. */
static int find_damaged(struct oxl_repo *r, const char *id, struct oxl_places *ret, struct oxl_error *err)
{
        cleanup_places struct oxl_places places = OXL_PLACES_INIT;
        cleanup_error struct oxl_error first = OXL_ERROR_INIT;
        int k = oxl_trash_places(r, id, &places, err);
        if (k >= 0 && places.n == 0)
                return OXL_FAIL_PATH(err, TRASH_NOT_FOUND, id);
        if (k >= 0)
                k = oxl_trash_verify(r, id, &places, ret, &first, err);
        return k < 0 ? k : ret->n == places.n ? oxl_error_copy(err, &first) : 0;
}

static int undo_locked(struct visit *v, const char *id, struct oxl_error *err)
{
        cleanup_places struct oxl_places damaged = OXL_PLACES_INIT, in_way = OXL_PLACES_INIT;
        cleanup_error struct oxl_error ignored = OXL_ERROR_INIT;
        int k = find_damaged(v->repo, id, &damaged, err);
        v->damaged = &damaged;
        if (k >= 0)
                k = visit_run(v, id, err);
        v->damaged = NULL;
        if (k >= 0)
                k = oxl_trash_back(v->repo, id, &damaged, &in_way, err);
        if (k < 0)
                return k;
        for (const char *t = NULL; (t = oxl_places_next(&in_way, t));) {
                const struct oxl_gc_item item = { .action = OXL_GC_IN_WAY, .trash = id, .path = t };
                v->count.files--;
                if (v->fn)
                        OXL_IGNORE(v->fn(v->ctx, &item, NULL), "it is done");
        }
        oxl_objects_rescan(v->repo->objects);
        OXL_IGNORE(oxl_objects_refresh_lookup(v->repo->objects, false, &ignored), "lookup is derived");
        return 0;
}

int oxl_gc_undo(struct oxl_repo *r, const char *id, oxl_gc_fn *fn, void *ctx, struct oxl_gc_count *ret,
                struct oxl_error *err)
{
        struct visit v = { .repo = r, .fn = fn, .ctx = ctx, .action = OXL_GC_BACK };
        if (!oxl_trash_id_ok(id))
                return OXL_FAIL_PATH(err, TRASH_NOT_FOUND, id);
        int k = oxl_gc_begin(r, err);
        if (k < 0)
                return k;
        k = undo_locked(&v, id, err);
        oxl_repo_end_write(r);
        *ret = v.count;
        return k;
}

/* --- emptying ---------------------------------------------------------------------------------------------------------------------- */

/*
 * Nothing that a root leads to may have its only good copy in what goes. A name elsewhere is no copy, and neither is a page of
 * the cache: every pack outside trash is dropped from the cache before roots are marked, which reads trees and commits, and
 * what trash has of the rest is read and hashed. A pack whose index is damaged may have anything, so then all of it is.
 */
struct needed {
        struct oxl_repo *repo;
        struct oxl_objects *objects;
        const struct oxl_marks *marks;
        struct oxl_buf bytes; /* of one tree or commit */
        const char *path;     /* of the file in trash */
        bool has_all;         /* everything that is needed was read */
};

static void needed_done(struct needed *n)
{
        oxl_buf_done(&n->bytes);
}

/* A file that cannot be opened or is not there has no cache to drop: reading it says what there is to say. */
static int drop_cache(struct oxl_repo *r, const char *path, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        int fd = -1;
        int k = oxl_durable_reopen(r->durable, path, &fd, &why);
        oxl_fd_done(&fd);
        return k < 0 && why.code != OXL_E_FILE_OPEN ? oxl_error_copy(err, &why) : 0;
}

static int drop_pack(void *ctx, const struct oxl_digest *id, struct oxl_error *err)
{
        char path[96];
        oxl_pack_path(id, path);
        return drop_cache(ctx, path, err);
}

/* 0 it was read, whole, outside of trash; 1 it has no good copy there. */
static int read_elsewhere(struct needed *n, enum oxl_kind kind, const struct oxl_digest *id, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        char path[OXL_LOOSE_PATH_MAX];
        int k;
        if (oxl_repo_cancelled(n->repo))
                return OXL_FAIL_PLAIN(err, CANCELLED);
        if (kind == OXL_KIND_BLOB) {
                oxl_loose_path(id, path);
                k = drop_cache(n->repo, path, err);
                if (k < 0)
                        return k;
                k = oxl_objects_stream(n->objects, id, NULL, NULL, n->repo->options.cancel, &why);
        } else {
                k = oxl_objects_read(n->objects, kind, id, OXL_METADATA_MAX, &n->bytes, &why);
        }
        if (k >= 0)
                return 0;
        bool none = why.code == OXL_E_OBJECT_MISSING || why.code == OXL_E_OBJECT_CORRUPT ||
                    why.code == OXL_E_MALFORMED || why.code == OXL_E_SEAL || why.code == OXL_E_LIMIT;
        return none ? 1 : oxl_error_copy(err, &why);
}

static int check_object(struct needed *n, enum oxl_kind kind, const struct oxl_digest *id, struct oxl_error *err)
{
        if (n->has_all || !oxl_marks_has(n->marks, kind, id))
                return 0;
        int k = read_elsewhere(n, kind, id, err);
        return k > 0 ? OXL_FAIL_PATH(err, TRASH_NEEDED, n->path) : k;
}

static int check_marked(void *ctx, enum oxl_kind kind, const uint8_t id[OXL_DIGEST_BYTES], struct oxl_error *err)
{
        static const enum oxl_kind kinds[] = { OXL_KIND_BLOB, OXL_KIND_TREE, OXL_KIND_COMMIT };
        struct needed *n = ctx;
        int k = 1;
        for (size_t i = 0; k > 0 && i < OXL_ARRAY_LEN(kinds); i++) {
                enum oxl_algo algo = kinds[i] == OXL_KIND_BLOB ? n->repo->format.blob_algo : OXL_ALGO_BLAKE3;
                struct oxl_digest at;
                if ((kind == OXL_KIND_FILLER || kind == kinds[i]) && oxl_digest_load(algo, id, &at))
                        k = read_elsewhere(n, kinds[i], &at, err);
        }
        return k > 0 ? OXL_FAIL_PATH(err, TRASH_NEEDED, n->path) : k;
}

/* Nobody can tell what is in the file: let all that is needed be elsewhere. */
static int check_all(struct needed *n, struct oxl_error *err)
{
        int k = n->has_all ? 0 : oxl_marks_each_unread(n->marks, check_marked, n, err);
        n->has_all = k == 0;
        return k;
}

static int check_file(struct needed *n, const char *place, struct oxl_error *err)
{
        struct oxl_digest id;
        struct oxl_pack *pack = NULL;
        char hex[65] = { 0 };
        if (oxl_loose_path_parse(n->repo->format.blob_algo, place, &id))
                return check_object(n, OXL_KIND_BLOB, &id, err);
        memcpy(hex, place + strlen("versions/packs/"), 64);
        if (!oxl_digest_parse(OXL_ALGO_BLAKE3, hex, &id))
                return check_all(n, err);
        int k = oxl_gc_open_pack(n->repo, n->path, &id, &pack, err);
        for (uint64_t i = 0; k == 0 && i < oxl_pack_entries(pack); i++) {
                struct oxl_pack_entry e;
                oxl_pack_entry_at(pack, i, &e);
                k = check_object(n, (enum oxl_kind)e.kind, &e.id, err);
        }
        oxl_pack_free(pack);
        return k > 0 ? check_all(n, err) : k;
}

static int check_run(struct needed *n, const char *id, struct oxl_error *err)
{
        cleanup_places struct oxl_places places = OXL_PLACES_INIT;
        int k = oxl_trash_places(n->repo, id, &places, err);
        for (const char *t = NULL; k == 0 && (t = oxl_places_next(&places, t));) {
                cleanup_free char *path = NULL;
                k = oxl_trash_path(id, t, &path, err);
                n->path = path;
                if (k == 0)
                        k = check_file(n, t, err);
        }
        return k;
}

static int check_needed(struct oxl_repo *r, const char *const *ids, size_t n, struct oxl_error *err)
{
        struct oxl_gc_result result = { .trash = "" };
        cleanup(gc_done) struct gc g = { .repo = r, .journal = r->journal, .ret = &result };
        cleanup(needed_done) struct needed needed = { .repo = r, .bytes = OXL_BUF_INIT };
        int k = oxl_repo_objects(r, &needed.objects, err);
        if (k >= 0)
                k = oxl_pack_list(r->root_fd, drop_pack, r, err);
        if (k >= 0)
                k = oxl_marks_new(r, &g.marks, err);
        if (k < 0)
                return k;
        oxl_objects_rescan(needed.objects); /* indexes, too, as they are on the medium */
        set_since(&g);
        needed.marks = g.marks;
        k = mark_all(&g, err);
        for (size_t i = 0; k >= 0 && i < n; i++)
                k = check_run(&needed, ids[i], err);
        return k < 0 ? k : 0;
}

static int empty_locked(struct visit *v, const char *const *ids, size_t n, struct oxl_error *err)
{
        int k = check_needed(v->repo, ids, n, err);
        for (size_t i = 0; k >= 0 && i < n; i++) {
                k = visit_run(v, ids[i], err);
                if (k >= 0)
                        k = oxl_trash_delete(v->repo, ids[i], err);
        }
        return k < 0 ? k : 0;
}

int oxl_trash_empty(struct oxl_repo *r, const char *const *ids, size_t n, oxl_gc_fn *fn, void *ctx,
                    struct oxl_gc_count *ret, struct oxl_error *err)
{
        struct visit v = { .repo = r, .fn = fn, .ctx = ctx, .action = OXL_GC_DELETE };
        for (size_t i = 0; i < n; i++)
                if (!oxl_trash_id_ok(ids[i]))
                        return OXL_FAIL_PATH(err, TRASH_NOT_FOUND, ids[i]);
        int k = oxl_gc_begin(r, err);
        if (k < 0)
                return k;
        k = empty_locked(&v, ids, n, err);
        oxl_repo_end_write(r);
        *ret = v.count;
        return k;
}
