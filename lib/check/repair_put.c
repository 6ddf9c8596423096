/* SPDX-License-Identifier: MIT */
/*
 * Damaged loose blobs, and objects that are missing. Small ones and trees and commits go into one pack, large ones
 * become loose
 * files. With a commit or tree come, from the same folders, the commits and trees that it needs.
 *
 * What a crash leaves: whole objects more than before, temps for the sweeper, and the damaged blob or its good
 * successor.
 */
#include <string.h>

#include "check/repair.h"
#include "objects/commit.h"
#include "objects/loose.h"
#include "objects/tree.h"

/* --- loose files --- */

struct filling {
        struct oxl_stage *stage;
        struct oxl_hasher h;
};

static int fill_sink(void *ctx, const void *bytes, size_t n, struct oxl_error *err)
{
        static const uint8_t zeros[4096];
        struct filling *f = ctx;
        if (bytes) {
                oxl_hasher_update(&f->h, bytes, n);
                return oxl_stage_write(f->stage, bytes, n, err);
        }
        for (size_t at = 0; at < n; at += sizeof zeros)
                oxl_hasher_update(&f->h, zeros, n - at < sizeof zeros ? n - at : sizeof zeros);
        return oxl_stage_skip(f->stage, n, err);
}

/* The bytes are hashed as they are written: what the file gets is what has that name. */
static int fill(struct oxl_repair *p, struct filling *f, const struct oxl_digest *id, struct oxl_good_copy *c,
                struct oxl_error *err)
{
        struct oxl_digest got;
        oxl_hasher_init(&f->h, p->repo->format.blob_algo);
        int r = oxl_good_stream(p, c, OXL_KIND_BLOB, id, fill_sink, f, err);
        if (r < 0)
                return r;
        oxl_hasher_final(&f->h, &got);
        return oxl_digest_equal(&got, id) ? 0 : OXL_FAIL_OBJECT(err, OBJECT_CORRUPT, c->source, id, &got);
}

int oxl_repair_write_loose(struct oxl_repair *p, const struct oxl_digest *id, struct oxl_good_copy *c,
                           struct oxl_error *err)
{
        char target[OXL_LOOSE_PATH_MAX];
        struct filling f = { .stage = NULL };
        oxl_loose_path(id, target);
        int r = oxl_stage_open(p->durable, "versions/tmp", "blob", OXL_STAGE_READ_ONLY, &f.stage, err);
        if (r == 0)
                r = fill(p, &f, id, c, err);
        if (r == 0)
                r = oxl_stage_sync(f.stage, err);
        /* CRASH: the old file or the new one, whole */
        if (r == 0)
                r = oxl_stage_publish(f.stage, target, false, err);
        oxl_stage_free(f.stage);
        return r < 0 ? r : oxl_durable_barrier(p->durable, err);
}

static int heal_loose(struct oxl_repair *p, struct oxl_repair_find *f, struct oxl_good_copy *c, int *ret_none,
                      struct oxl_error *err)
{
        enum oxl_kind kind;
        struct oxl_digest id;
        struct stat st;
        *ret_none = !oxl_repair_object(p, f, &kind, &id);
        if (*ret_none)
                return 0;
        if (oxl_fd_stat_at(p->root_fd, f->path, &st) < 0)
                return OXL_FAIL_OS(err, FILE_STAT, f->path);
        int r = oxl_good_find(p, OXL_KIND_BLOB, &id, c, err);
        *ret_none = r == 1;
        if (r != 0)
                return r < 0 ? r : 0;
        r = oxl_quarantine_keep(p, f, f->path, c->source, err);
        return r < 0 ? r : oxl_repair_write_loose(p, &id, c, err);
}

static int repair_loose(struct oxl_repair *p, struct oxl_repair_find *f, struct oxl_error *err)
{
        struct oxl_good_copy c = OXL_GOOD_COPY_INIT;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        int none = 0, r;
        if (!oxl_repair_fresh(p, f))
                return oxl_repair_tell(p, f, OXL_REPAIR_STALE, "", "it changed since it was checked", err);
        r = heal_loose(p, f, &c, &none, &why);
        if (r < 0)
                r = oxl_repair_failed(p, f, &why, err);
        else if (none)
                r = oxl_repair_tell(p, f, OXL_REPAIR_LEFT, "", "no good copy was found", err);
        else
                r = oxl_repair_tell(p, f, OXL_REPAIR_HEALED, c.source, "", err);
        oxl_good_copy_done(&c);
        return r;
}

int oxl_repair_loose(struct oxl_repair *p, struct oxl_error *err)
{
        int r = 0;
        for (size_t i = 0; r == 0 && i < p->n_finds; i++)
                if (p->finds[i].selected && p->finds[i].problem == OXL_P_BLOB_DAMAGED)
                        r = repair_loose(p, &p->finds[i], err);
        return r;
}

/* --- objects that are missing --- */

struct needed {
        struct oxl_digest id;
        enum oxl_kind kind;
};

struct refill {
        struct oxl_repair *p;
        struct oxl_pack_writer *writer;
        struct oxl_buf stack; /* struct needed each */
        struct oxl_buf bytes;
        const struct oxl_repair_find *find; /* that is being supplied */
        char source[512];
};

static void refill_done(struct refill *x)
{
        oxl_pack_writer_free(x->writer);
        oxl_buf_done(&x->stack);
        oxl_buf_done(&x->bytes);
}

static int push(struct refill *x, enum oxl_kind kind, const struct oxl_digest *id, struct oxl_error *err)
{
        const struct needed n = { *id, kind };
        return oxl_buf_append(&x->stack, &n, sizeof n, err);
}

/* What @bytes, a tree or commit that was not there, needs. What does not decode needs nothing: the next check says
 * so. */
static int push_children(struct refill *x, enum oxl_kind kind, struct oxl_error *err)
{
        enum oxl_algo algo = x->p->repo->format.blob_algo;
        int r = 0;
        if (kind == OXL_KIND_COMMIT) {
                struct oxl_commit c = OXL_COMMIT_INIT;
                if (oxl_commit_decode(oxl_buf_bytes(&x->bytes), "commit", &c, NULL) < 0)
                        return 0;
                r = push(x, OXL_KIND_TREE, &c.tree, err);
                for (unsigned i = 0; r == 0 && i < c.parents; i++)
                        r = push(x, OXL_KIND_COMMIT, &c.parent[i], err);
                oxl_commit_done(&c);
                return r;
        }
        struct oxl_tree_node node;
        struct oxl_tree_entry e;
        if (oxl_tree_decode(oxl_buf_bytes(&x->bytes), algo, "tree", &node, NULL) < 0)
                return 0;
        for (struct oxl_bytes rest = node.body; r == 0 && oxl_tree_next(&node, algo, &rest, &e);)
                r = push(x, node.level > 0 || e.kind == OXL_ENTRY_DIRECTORY ? OXL_KIND_TREE : OXL_KIND_BLOB, &e.id,
                         err);
        return r;
}

static int publish(struct refill *x, struct oxl_error *err)
{
        return x->writer ? oxl_repair_publish_pack(x->p, take_ptr(&x->writer), err) : 0;
}

static int store_small(struct refill *x, enum oxl_kind kind, const struct oxl_digest *id, struct oxl_error *err)
{
        uint64_t at, len;
        int r = 0;
        if (x->writer && !oxl_pack_writer_fits(x->writer, kind, x->bytes.len, OXL_PACK_SOFT_LIMIT))
                r = publish(x, err);
        if (r == 0 && !x->writer)
                r = oxl_pack_writer_new(x->p->durable, &x->p->repo->format.id, &x->writer, err);
        if (r < 0 || oxl_pack_writer_find(x->writer, kind, id, &at, &len))
                return r;
        return oxl_pack_writer_add(x->writer, kind, id, x->bytes.len ? x->bytes.data : (const void *)"", x->bytes.len,
                                   err);
}

static uint64_t size_of(struct oxl_good_copy *c, struct stat *st)
{
        if (c->fd >= 0 && oxl_fd_stat(c->fd, st) == 0)
                return (uint64_t)st->st_size;
        return c->objects ? OXL_PACK_THRESHOLD_MAX : c->size; /* of another store: tried in memory first */
}

/* What stands in its place is kept, as everything that is replaced. */
static int store_large(struct refill *x, const struct oxl_digest *id, struct oxl_good_copy *c, struct oxl_error *err)
{
        char path[OXL_LOOSE_PATH_MAX];
        oxl_loose_path(id, path);
        int r = oxl_quarantine_keep(x->p, x->find, path, c->source, err);
        return r < 0 ? r : oxl_repair_write_loose(x->p, id, c, err);
}

/* 0 stored; 1 no good copy. */
static int fetch(struct refill *x, const struct needed *n, struct oxl_error *err)
{
        struct oxl_repair *p = x->p;
        struct oxl_good_copy c = OXL_GOOD_COPY_INIT;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        struct stat st;
        int r = oxl_good_find(p, n->kind, &n->id, &c, err);
        if (r == 0 && !x->source[0])
                memcpy(x->source, c.source, sizeof x->source);
        bool large = r == 0 && n->kind == OXL_KIND_BLOB && !c.objects &&
                     size_of(&c, &st) >= p->repo->settings.pack_threshold;
        if (r == 0 && !large) {
                r = oxl_good_bytes(p, &c, n->kind, &n->id, &x->bytes, &why);
                large = r < 0 && why.code == OXL_E_LIMIT;
                if (r < 0 && !large)
                        r = oxl_error_copy(err, &why);
                else if (r == 0)
                        large = n->kind == OXL_KIND_BLOB && x->bytes.len >= p->repo->settings.pack_threshold;
        }
        if (r != 1 && large)
                r = store_large(x, &n->id, &c, err);
        else if (r == 0)
                r = store_small(x, n->kind, &n->id, err);
        oxl_good_copy_done(&c);
        return r;
}

/* Children are fetched when they have no name; that those that have one are good, the next check says. */
static int fetch_all(struct refill *x, struct oxl_error *err)
{
        while (x->stack.len > 0) {
                struct needed n;
                uint64_t at, len;
                x->stack.len -= sizeof n;
                memcpy(&n, x->stack.data + x->stack.len, sizeof n);
                if (oxl_objects_exists(x->p->objects, n.kind, &n.id, NULL) == 0 ||
                    (x->writer && oxl_pack_writer_find(x->writer, n.kind, &n.id, &at, &len)))
                        continue;
                int r = fetch(x, &n, err);
                if (r == 0 && n.kind != OXL_KIND_BLOB)
                        r = push_children(x, n.kind, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

static bool is_missing_find(const struct oxl_repair_find *f)
{
        switch ((int)f->problem) {
        case OXL_P_REF_DANGLING:
        case OXL_P_INDEX_BLOB:
        case OXL_P_COMMIT_DAMAGED:
        case OXL_P_COMMIT_MISSING:
        case OXL_P_TREE_DAMAGED:
        case OXL_P_TREE_MISSING:
        case OXL_P_KEPT_MISSING:
        case OXL_P_UNDO_MISSING:
        case OXL_P_BLOB_MISSING: return f->selected && !f->told;
        default: return false;
        }
}

/* 0 there now; 1 no good copy. */
static int supply(struct refill *x, struct oxl_repair_find *f, struct oxl_error *err)
{
        struct needed n;
        uint64_t at, len;
        if (!oxl_repair_object(x->p, f, &n.kind, &n.id))
                return 1;
        if (x->writer && oxl_pack_writer_find(x->writer, n.kind, &n.id, &at, &len))
                return 0;
        x->find = f;
        int r = oxl_good_stored(x->p, n.kind, &n.id, err);
        bool malformed = f->problem == OXL_P_TREE_DAMAGED || f->problem == OXL_P_UNDO_MISSING;
        if (r == 0 && malformed && !x->p->progress)
                return 1; /* its bytes have its name, and it is no tree: nobody has a better one */
        if (r != 1)
                return r;
        r = fetch(x, &n, err);
        if (r == 0 && n.kind != OXL_KIND_BLOB)
                r = push_children(x, n.kind, err);
        return r == 0 ? fetch_all(x, err) : r;
}

static int supply_all(struct refill *x, bool *there, struct oxl_error *err)
{
        struct oxl_repair *p = x->p;
        for (size_t i = 0; i < p->n_finds; i++) {
                cleanup_error struct oxl_error why = OXL_ERROR_INIT;
                struct oxl_repair_find *f = &p->finds[i];
                if (!is_missing_find(f))
                        continue;
                int r = supply(x, f, &why);
                there[i] = r == 0;
                if (r < 0)
                        r = oxl_repair_failed(p, f, &why, err);
                else if (r == 1 && oxl_problem_severity(f->problem) == OXL_SEVERITY_NOTE)
                        r = 0; /* as before, and no reason to call the repository damaged */
                else if (r == 1)
                        r = oxl_repair_tell(p, f, OXL_REPAIR_LEFT, "", "no good copy was found", err);
                if (r < 0)
                        return r;
        }
        return publish(x, err);
}

int oxl_repair_missing(struct oxl_repair *p, struct oxl_error *err)
{
        cleanup(refill_done) struct refill x = { .p = p, .stack = OXL_BUF_INIT, .bytes = OXL_BUF_INIT };
        cleanup_free bool *there = calloc(p->n_finds + 1, sizeof *there);
        if (!there)
                return OXL_FAIL_PLAIN(err, NOMEM);
        int r = supply_all(&x, there, err);
        /* said only now: before this it was not durable */
        for (size_t i = 0; r == 0 && i < p->n_finds; i++)
                if (there[i])
                        r = oxl_repair_tell(p, &p->finds[i], OXL_REPAIR_HEALED,
                                            x.source[0] ? x.source : "the repair of its file", "", err);
        return r;
}
