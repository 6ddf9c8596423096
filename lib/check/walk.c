/* SPDX-License-Identifier: MIT */
/* Walking trees, see walk.h. */
#include <stdio.h>
#include <string.h>

#include "check/walk.h"
#include "objects/loose.h"

struct oxl_walk_step {
        struct oxl_digest id;
        struct oxl_buf payload;
        struct oxl_tree_node node;
        struct oxl_bytes rest;  /* entries that were not taken yet */
        struct oxl_bytes bound; /* all names in it are below; data is NULL in the last node of a level */
        size_t path_len;        /* the folder it belongs to is that much of the path */
        size_t depth;           /* of that folder */
        bool bad;               /* something at or below it is */
};

/* What points to a node. */
struct from {
        const struct oxl_tree_entry *entry; /* NULL: a root tree */
        const struct oxl_walk_step *parent; /* the inner node that the entry is in; NULL: it names a folder */
        struct oxl_bytes bound;
};

static struct oxl_walk_step *top(const struct oxl_tree_walk *w)
{
        return &w->steps[w->used - 1];
}

void oxl_tree_walk_done(struct oxl_tree_walk *w)
{
        while (w->used > 0)
                oxl_buf_done(&w->steps[--w->used].payload);
        free(w->steps);
        oxl_buf_done(&w->path);
        w->steps = NULL;
}

void oxl_lost_add(struct oxl_lost *l, enum oxl_kind kind, const struct oxl_digest *id)
{
        if (!l->any)
                *l = (struct oxl_lost){ true, kind, *id };
}

/* --- one node --- */

/* What a reader would refuse in how node and parent fit together. */
static const char *fit_problem(const struct oxl_tree_node *node, const struct oxl_tree_totals *t, const struct from *f)
{
        const struct oxl_tree_entry *e = f->entry;
        if (!f->parent && node->level > 0 && node->entries == 1)
                return "it is the root of a folder and has one child";
        if (!e)
                return NULL;
        if (node->entries == 0)
                return "it is empty, below another";
        if (t->size != e->size)
                return "its size is not what its parent says";
        if (!f->parent)
                return NULL;
        if (node->level + 1 != f->parent->node.level || t->count != e->count ||
            oxl_tree_name_compare(t->first.name, t->first.name_len, e->name, e->name_len) != 0)
                return "its level, first name or number of entries is not what its parent says";
        if (!f->bound.data)
                return NULL;
        if (oxl_tree_name_compare(t->last.name, t->last.name_len, (const char *)f->bound.data, f->bound.len) >= 0)
                return "its names reach into the next node";
        return oxl_tree_ends(node->level, node->entries, t->last.name, t->last.name_len) ? NULL
                                                                                         : "it ends at the wrong place";
}

/* Puts a tree that cannot be used on the list, unless nobody wants to hear of it. */
static int add_bad_tree(struct oxl_tree_walk *w, const struct oxl_digest *id, const struct oxl_error *why,
                        struct oxl_error *err)
{
        bool damaged = why->code == OXL_E_OBJECT_CORRUPT || why->code == OXL_E_MALFORMED;
        struct oxl_bad *b;
        if ((w->quiet && !w->lost) || w->commit)
                return 0;
        if (oxl_check_is_unreadable(why))
                return oxl_check_report_error(w->c, OXL_P_UNREADABLE, why->path[0] ? why->path[0] : "versions/packs",
                                              "", why, err);
        if (w->quiet) {
                oxl_lost_add(w->lost, OXL_KIND_TREE, id);
                return 0;
        }
        int r = oxl_bad_add(w->bad, damaged ? OXL_P_TREE_DAMAGED : OXL_P_TREE_MISSING, OXL_KIND_TREE, id,
                            "versions/packs", why->detail, &b, err);
        if (r == 0 && why->code == OXL_E_OBJECT_CORRUPT)
                b->got = why->got;
        return r;
}

static int load(struct oxl_tree_walk *w, const struct oxl_digest *id, const struct from *f, struct oxl_walk_step *s,
                uint64_t *ret_size, struct oxl_error *err)
{
        char name[sizeof "tree " + OXL_DIGEST_TEXT_MAX] = "tree ";
        struct oxl_tree_totals totals = { 0 };
        oxl_digest_text(id, name + strlen(name));
        int r = oxl_objects_read(w->c->objects, OXL_KIND_TREE, id, OXL_METADATA_MAX, &s->payload, err);
        if (r == 0)
                r = oxl_tree_decode_totals(oxl_buf_bytes(&s->payload), w->c->format.blob_algo, name, &s->node, &totals,
                                           err);
        if (r < 0)
                return r;
        const char *problem = fit_problem(&s->node, &totals, f);
        if (problem)
                return OXL_FAIL_WHY(err, MALFORMED, name, problem);
        s->id = *id;
        s->rest = s->node.body;
        s->bound = f->bound;
        *ret_size = totals.size;
        return 0;
}

static int push(struct oxl_tree_walk *w, const struct oxl_walk_step *s, struct oxl_error *err)
{
        if (w->used == w->slots) {
                size_t slots = 2 * w->slots + 8;
                struct oxl_walk_step *steps = reallocarray(w->steps, slots, sizeof *steps);
                if (!steps)
                        return OXL_FAIL_PLAIN(err, NOMEM);
                w->steps = steps;
                w->slots = slots;
        }
        w->steps[w->used++] = *s;
        return 0;
}

static int read_and_push(struct oxl_tree_walk *w, const struct oxl_digest *id, const struct from *f,
                         const struct oxl_walk_step *where, bool *ret_bad, struct oxl_error *err)
{
        struct oxl_walk_step s = *where;
        struct oxl_known_slot *slot;
        uint64_t size = 0;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        int r = load(w, id, f, &s, &size, &why);
        int k = oxl_known_put(&w->c->known, id, &slot, err);
        if (k < 0) {
                oxl_buf_done(&s.payload);
                return k;
        }
        slot->flags |= OXL_KNOWN_NEEDED;
        if (r < 0) {
                oxl_buf_done(&s.payload);
                if (oxl_check_is_fatal(&why))
                        return oxl_error_copy(err, &why);
                *ret_bad = !oxl_check_is_unreadable(&why);
                slot->flags |= *ret_bad ? OXL_KNOWN_BAD : OXL_KNOWN_UNREADABLE;
                if (*ret_bad && w->quiet && w->lost)
                        slot->flags |= OXL_KNOWN_UNTOLD;
                return add_bad_tree(w, id, &why, err);
        }
        oxl_known_set_size(slot, size);
        slot->flags |= OXL_KNOWN_WHOLE | OXL_KNOWN_READ;
        r = push(w, &s, err);
        if (r < 0)
                oxl_buf_done(&s.payload);
        return r;
}

/* A node that was walked before: only what can be compared without reading it. */
static int meet_again(struct oxl_tree_walk *w, const struct oxl_digest *id, const struct from *f,
                      struct oxl_known_slot *slot, bool *ret_bad, struct oxl_error *err)
{
        *ret_bad = slot->flags & OXL_KNOWN_BAD;
        if (w->lost && slot->flags & OXL_KNOWN_UNTOLD)
                oxl_lost_add(w->lost, OXL_KIND_TREE, id);
        if (!f->entry || w->quiet || slot->flags & (OXL_KNOWN_BAD | OXL_KNOWN_UNREADABLE) ||
            oxl_known_size(slot) == f->entry->size)
                return 0;
        slot->flags |= OXL_KNOWN_BAD;
        *ret_bad = true;
        return oxl_bad_add(w->bad, OXL_P_TREE_DAMAGED, OXL_KIND_TREE, id, "versions/packs",
                           "its size is not what another parent says", NULL, err);
}

/* Enters the node @id, or does without: *ret_bad tells the parent. */
static int enter(struct oxl_tree_walk *w, const struct oxl_digest *id, const struct from *f,
                 const struct oxl_walk_step *where, bool *ret_bad, struct oxl_error *err)
{
        struct oxl_known_slot *slot = oxl_known_find(&w->c->known, id);
        int r = oxl_check_poll(w->c, err);
        if (r < 0)
                return r;
        if (w->commit) {
                size_t n;
                if (!slot || !(slot->flags & OXL_KNOWN_BAD))
                        return 0;
                struct oxl_bad *b = oxl_bad_find(w->bad, id, &n);
                for (size_t i = 0; r == 0 && i < n; i++)
                        r = oxl_bad_affects(w->bad, &b[i], w->commit, oxl_buf_text(&w->path), w->path.len, err);
                return r < 0 || n > 0 ? r : read_and_push(w, id, f, where, ret_bad, err);
        }
        if (slot && slot->flags & OXL_KNOWN_NEEDED)
                return meet_again(w, id, f, slot, ret_bad, err);
        return read_and_push(w, id, f, where, ret_bad, err);
}

/* --- entries --- */

static int set_path(struct oxl_tree_walk *w, size_t dir_len, const struct oxl_tree_entry *e, bool folder,
                    struct oxl_error *err)
{
        w->path.len = dir_len;
        int r = oxl_buf_append(&w->path, e->name, e->name_len, err);
        return r == 0 && folder ? oxl_buf_append(&w->path, "/", 1, err) : r;
}

static int add_bad_blob(struct oxl_tree_walk *w, const struct oxl_tree_entry *e, bool missing, uint64_t size,
                        struct oxl_error *err)
{
        char path[OXL_LOOSE_PATH_MAX];
        struct oxl_bad *b;
        oxl_loose_path(&e->id, path);
        int r = oxl_bad_add(w->bad, missing ? OXL_P_BLOB_MISSING : OXL_P_SIZE_WRONG, OXL_KIND_BLOB, &e->id, path, NULL,
                            &b, err);
        if (r == 0 && !missing) {
                snprintf(b->expected, sizeof b->expected, "%llu", (unsigned long long)e->size);
                snprintf(b->actual, sizeof b->actual, "%llu", (unsigned long long)size);
        }
        return r;
}

/* Of a walk for the operation log. */
static int lose_blob(struct oxl_tree_walk *w, const struct oxl_digest *id, struct oxl_known_slot *slot, int state)
{
        slot->flags |= OXL_KNOWN_NEEDED;
        if (state != 1)
                return 0;
        if (!(slot->flags & OXL_KNOWN_BAD))
                slot->flags |= OXL_KNOWN_BAD | OXL_KNOWN_UNTOLD;
        if (slot->flags & OXL_KNOWN_UNTOLD)
                oxl_lost_add(w->lost, OXL_KIND_BLOB, id);
        return 0;
}

/* A file's blob, in a first walk. */
static int check_entry(struct oxl_tree_walk *w, const struct oxl_tree_entry *e, struct oxl_error *err)
{
        struct oxl_known_slot *slot;
        int state;
        if (w->quiet && (!w->lost || w->lost->any)) {
                int q = oxl_known_put(&w->c->known, &e->id, &slot, err);
                if (q == 0)
                        slot->flags |= OXL_KNOWN_NEEDED;
                return q;
        }
        int r = oxl_check_blob(w->c, &e->id, &state, &slot, err);
        if (r < 0)
                return r;
        if (w->quiet)
                return lose_blob(w, &e->id, slot, state);
        uint64_t size = oxl_known_size(slot);
        bool reported = slot->flags & OXL_KNOWN_BAD;
        bool bad = state == 1 || (state == 0 && size != e->size);
        slot->flags |= OXL_KNOWN_NEEDED;
        if (!bad)
                return 0;
        slot->flags |= OXL_KNOWN_BAD;
        top(w)->bad = true;
        return reported ? 0 : add_bad_blob(w, e, state == 1, size, err);
}

/* A file's blob, in a walk for paths. */
static int map_entry(struct oxl_tree_walk *w, const struct oxl_tree_entry *e, struct oxl_error *err)
{
        const struct oxl_known_slot *slot = oxl_known_find(&w->c->known, &e->id);
        size_t n = 0;
        if (!slot || !(slot->flags & OXL_KNOWN_BAD))
                return 0;
        struct oxl_bad *b = oxl_bad_find(w->bad, &e->id, &n);
        int r = set_path(w, top(w)->path_len, e, false, err);
        for (size_t i = 0; r == 0 && i < n; i++)
                if (b[i].problem != OXL_P_SIZE_WRONG || oxl_known_size(slot) != e->size)
                        r = oxl_bad_affects(w->bad, &b[i], w->commit, oxl_buf_text(&w->path), w->path.len, err);
        return r;
}

/* Enters the child of an inner node, or the folder, that @e is. */
static int enter_entry(struct oxl_tree_walk *w, const struct oxl_tree_entry *e, struct oxl_error *err)
{
        const struct oxl_walk_step *s = top(w);
        struct oxl_walk_step where = { .path_len = s->path_len, .depth = s->depth };
        struct from f = { .entry = e };
        bool bad = false;
        size_t me = w->used - 1;
        if (s->node.level > 0) {
                struct oxl_bytes rest = s->rest;
                struct oxl_tree_entry next;
                f.parent = s;
                f.bound = s->bound;
                if (oxl_tree_next(&s->node, w->c->format.blob_algo, &rest, &next))
                        f.bound = oxl_bytes_of(next.name, next.name_len);
        } else {
                int r = set_path(w, s->path_len, e, true, err);
                if (r < 0)
                        return r;
                where.path_len = w->path.len;
                where.depth++;
        }
        if (where.depth > OXL_DEPTH_MAX) {
                cleanup_error struct oxl_error why = OXL_ERROR_INIT;
                OXL_IGNORE(OXL_FAIL_WHY(&why, MALFORMED, "tree", "it is more than 1,024 folders deep"), "added next");
                return add_bad_tree(w, &e->id, &why, err);
        }
        int r = enter(w, &e->id, &f, &where, &bad, err);
        w->steps[me].bad = w->steps[me].bad || bad;
        return r;
}

static void leave(struct oxl_tree_walk *w)
{
        struct oxl_walk_step *s = top(w);
        struct oxl_known_slot *slot = oxl_known_find(&w->c->known, &s->id);
        bool bad = s->bad;
        if (bad && slot)
                slot->flags |= OXL_KNOWN_BAD;
        oxl_buf_done(&s->payload);
        w->used--;
        if (bad && w->used > 0)
                top(w)->bad = true;
}

int oxl_tree_walk_run(struct oxl_tree_walk *w, const struct oxl_digest *root, struct oxl_error *err)
{
        const struct oxl_walk_step where = { 0 };
        const struct from f = { 0 };
        struct oxl_tree_entry e;
        bool bad = false;
        w->path.len = 0;
        int r = enter(w, root, &f, &where, &bad, err);
        while (r == 0 && w->used > 0) {
                struct oxl_walk_step *s = top(w);
                if (!oxl_tree_next(&s->node, w->c->format.blob_algo, &s->rest, &e)) {
                        leave(w);
                        continue;
                }
                if (w->commit && w->budget == 0)
                        break;
                w->budget -= w->commit != NULL;
                if (s->node.level > 0 || e.kind == OXL_ENTRY_DIRECTORY)
                        r = enter_entry(w, &e, err);
                else
                        r = w->commit ? map_entry(w, &e, err) : check_entry(w, &e, err);
        }
        while (w->used > 0)
                oxl_buf_done(&w->steps[--w->used].payload);
        return r;
}
