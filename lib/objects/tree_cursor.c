/* SPDX-License-Identifier: MIT */
/*
 * Walks a tree in path order, reading each node once and holding only the nodes on the way to the current entry.
 *
 * Each node is checked against what points to it: level, first name, number of entries, size; every name below the
 * next sibling's; and, unless it is the last of its level, that it ends where the split rule says. So two trees that
 * walk through as equal have equal ids, and a hostile tree ends in MALFORMED, not in a loop or a deep stack.
 * A step that fails has moved on: the next one continues behind the node that could not be read.
 */
#include <string.h>

#include "base/fail.h"
#include "objects/tree_internal.h"

/* A node on the way to the current entry. */
struct step {
        struct oxl_buf payload;
        struct oxl_tree_node node;
        struct oxl_bytes rest;  /* entries that were not taken yet */
        struct oxl_bytes bound; /* all names in it are below; data is NULL in the last node of a level */
        size_t path_len;        /* the directory it belongs to is that much of cursor.path */
        unsigned depth;         /* of that directory; 0 is the root */
};

struct oxl_tree_cursor {
        struct oxl_tree_source source;
        struct oxl_digest root;
        unsigned flags;
        char *prefix; /* owned */
        bool started;
        bool alone;   /* @entry is a file that @prefix names: the only item */
        bool descend; /* @entry is a directory to be entered next */
        struct oxl_tree_entry entry;
        struct step *steps; /* owned */
        size_t used, slots;
        struct oxl_buf path; /* of the last item */
};

static struct step *top(const struct oxl_tree_cursor *c)
{
        return &c->steps[c->used - 1];
}

static void pop(struct oxl_tree_cursor *c)
{
        oxl_buf_done(&top(c)->payload);
        c->used--;
}

static void cursor_done(struct oxl_tree_cursor *c)
{
        while (c->used > 0)
                pop(c);
        free(c->steps);
        free(c->prefix);
        oxl_buf_done(&c->path);
}

/* --- loading nodes --- */

static int grow(struct oxl_tree_cursor *c, struct oxl_error *err)
{
        if (c->used < c->slots)
                return 0;
        size_t slots = c->slots * 2 + 4;
        struct step *steps = realloc(c->steps, slots * sizeof *steps);
        if (!steps)
                return OXL_FAIL_PLAIN(err, NOMEM);
        c->steps = steps;
        c->slots = slots;
        return 0;
}

/* Loads node @id as @s, whose path_len, depth and bound are set. @from: what points there, NULL for the root tree.
 * @parent: the inner node that @from is in, else NULL. */
static int load(struct oxl_tree_cursor *c, const struct oxl_digest *id, const struct oxl_tree_entry *from,
                const struct step *parent, struct step *s, struct oxl_error *err)
{
        char name[sizeof "tree " + OXL_DIGEST_TEXT_MAX] = "tree ";
        oxl_digest_text(id, name + strlen(name));
        int r = c->source.fetch(c->source.ctx, id, &s->payload, err);
        if (r < 0)
                return r;
        struct oxl_tree_totals totals;
        r = oxl_tree_decode_totals(oxl_buf_bytes(&s->payload), c->source.blob_algo, name, &s->node, &totals, err);
        if (r < 0)
                return r;
        const char *problem = parent ? oxl_tree_child_problem(&s->node, &totals, from, parent->node.level, s->bound)
                                     : oxl_tree_root_problem(&s->node, &totals, from);
        if (problem)
                return OXL_FAIL_WHY(err, MALFORMED, name, problem);
        s->rest = s->node.body;
        return 0;
}

static int push(struct oxl_tree_cursor *c, const struct oxl_digest *id, const struct oxl_tree_entry *from,
                const struct step *parent, const struct step *where, struct oxl_error *err)
{
        struct step s = *where;
        int r = load(c, id, from, parent, &s, err);
        if (r == 0)
                r = grow(c, err); /* @parent may move: it is not used any more */
        if (r < 0) {
                oxl_buf_done(&s.payload);
                return r;
        }
        c->steps[c->used++] = s;
        return 0;
}

/* Enters the child @e of the inner node on top, which was just taken from its rest. */
static int push_child(struct oxl_tree_cursor *c, const struct oxl_tree_entry *e, struct oxl_error *err)
{
        const struct step *parent = top(c);
        struct step s = { .bound = parent->bound, .path_len = parent->path_len, .depth = parent->depth };
        struct oxl_bytes rest = parent->rest;
        struct oxl_tree_entry next;
        if (oxl_tree_next(&parent->node, c->source.blob_algo, &rest, &next))
                s.bound = oxl_bytes_of(next.name, next.name_len);
        return push(c, &e->id, e, parent, &s, err);
}

/* Enters a directory whose path is c->path. @from: see load. */
static int push_directory(struct oxl_tree_cursor *c, const struct oxl_digest *id, const struct oxl_tree_entry *from,
                          unsigned depth, struct oxl_error *err)
{
        if (depth > OXL_DEPTH_MAX)
                return OXL_FAIL_WHY(err, MALFORMED, oxl_buf_text(&c->path), "it is more than 1,024 directories deep");
        struct step s = { .path_len = c->path.len, .depth = depth };
        return push(c, id, from, NULL, &s, err);
}

/* Makes c->path the path of @name in the directory whose path has @dir_len bytes. */
static int set_path(struct oxl_tree_cursor *c, size_t dir_len, const char *name, size_t len, struct oxl_error *err)
{
        c->path.len = dir_len;
        int r = dir_len > 0 ? oxl_buf_append_u8(&c->path, '/', err) : 0;
        if (r == 0)
                r = oxl_buf_append(&c->path, name, len, err);
        if (r < 0)
                return r;
        if (c->path.len > OXL_PATH_BYTES_MAX)
                return OXL_FAIL_WHY(err, MALFORMED, oxl_buf_text(&c->path), "a path of more than 32,767 bytes");
        return 0;
}

/* --- finding one path --- */

/* The last entry of @s whose name is not above @name; s->rest begins behind it. False when there is none. */
static bool last_not_above(const struct oxl_tree_cursor *c, struct step *s, const char *name, size_t len,
                           struct oxl_tree_entry *ret)
{
        struct oxl_bytes rest = s->node.body;
        struct oxl_tree_entry e;
        bool found = false;
        while (oxl_tree_next(&s->node, c->source.blob_algo, &rest, &e) &&
               oxl_tree_name_compare(e.name, e.name_len, name, len) <= 0) {
                *ret = e;
                s->rest = rest;
                found = true;
        }
        return found;
}

/* Finds @name in the directory whose root node is on top. 0 found, 1 not there. */
static int find_name(struct oxl_tree_cursor *c, const char *name, size_t len, struct oxl_tree_entry *ret,
                     struct oxl_error *err)
{
        struct oxl_tree_entry e;
        for (;;) {
                struct step *s = top(c);
                if (!last_not_above(c, s, name, len, &e))
                        return 1;
                if (s->node.level == 0)
                        break;
                int r = push_child(c, &e, err);
                if (r < 0)
                        return r;
        }
        if (oxl_tree_name_compare(e.name, e.name_len, name, len) != 0)
                return 1;
        *ret = e;
        return 0;
}

/* Finds @path, which is not empty, going down directly. 0: *ret is its entry, its name borrowed from the node on top;
 * 1: not there. Paths that are not clean need no care: no node has their components. */
static int locate(struct oxl_tree_cursor *c, const char *path, struct oxl_tree_entry *ret, struct oxl_error *err)
{
        struct oxl_tree_entry e;
        const struct oxl_tree_entry *from = NULL;
        struct oxl_digest id = c->root;
        for (unsigned depth = 0;; depth++) {
                while (c->used > 0)
                        pop(c);
                int r = push_directory(c, &id, from, depth, err);
                if (r < 0)
                        return r;
                size_t len = strcspn(path, "/");
                r = find_name(c, path, len, &e, err);
                if (r == 0)
                        r = set_path(c, c->path.len, path, len, err);
                if (r != 0)
                        return r;
                path += len;
                if (*path == 0)
                        break;
                if (e.kind != OXL_ENTRY_DIRECTORY)
                        return 1;
                path++;
                from = &e;
                id = e.id;
        }
        *ret = e;
        return 0;
}

/* --- walking --- */

/* Before the first step: goes to the prefix. */
static void pop_all(struct oxl_tree_cursor *c)
{
        while (c->used > 0)
                pop(c);
}

/* A start that fails leaves nothing to walk: the next step is the end. */
static int start(struct oxl_tree_cursor *c, struct oxl_error *err)
{
        if (c->started)
                return 0;
        c->started = true;
        oxl_buf_clear(&c->path);
        if (*c->prefix == 0)
                return push_directory(c, &c->root, NULL, 0, err);
        int r = locate(c, c->prefix, &c->entry, err);
        unsigned depth = r == 0 ? top(c)->depth + 1 : 0;
        pop_all(c);
        if (r != 0)
                return r < 0 ? r : OXL_FAIL_PATH(err, PATH_NOT_FOUND, c->prefix);
        c->alone = c->entry.kind != OXL_ENTRY_DIRECTORY;
        return c->alone ? 0 : push_directory(c, &c->entry.id, &c->entry, depth, err);
}

/* Enters the directory that was passed last, unless it was skipped. */
static int descend(struct oxl_tree_cursor *c, struct oxl_error *err)
{
        if (!c->descend)
                return 0;
        c->descend = false;
        return push_directory(c, &c->entry.id, &c->entry, top(c)->depth + 1, err);
}

static void drop_finished(struct oxl_tree_cursor *c)
{
        while (c->used > 0 && top(c)->rest.len == 0)
                pop(c);
}

static void fill_item(const struct oxl_tree_cursor *c, struct oxl_tree_item *ret)
{
        *ret = (struct oxl_tree_item){
                .path = oxl_buf_text(&c->path),
                .path_len = c->path.len,
                .kind = c->entry.kind,
                .size = c->entry.size,
                .id = c->entry.id,
        };
}

/* Goes to the next leaf entry, directories included. 0: c->entry and c->path are set; 1: end. */
static int next_entry(struct oxl_tree_cursor *c, struct oxl_error *err)
{
        int r = descend(c, err);
        if (r < 0)
                return r;
        for (drop_finished(c); c->used > 0; drop_finished(c)) {
                struct step *s = top(c);
                OXL_ASSERT(oxl_tree_next(&s->node, c->source.blob_algo, &s->rest, &c->entry));
                if (s->node.level == 0)
                        return set_path(c, s->path_len, c->entry.name, c->entry.name_len, err);
                r = push_child(c, &c->entry, err);
                if (r < 0)
                        return r;
        }
        return 1;
}

int oxl_tree_cursor_next(struct oxl_tree_cursor *c, struct oxl_tree_item *ret, struct oxl_error *err)
{
        int r = start(c, err);
        if (r < 0)
                return r;
        if (c->alone) {
                c->alone = false;
                fill_item(c, ret);
                return 0;
        }
        do {
                r = next_entry(c, err);
                if (r != 0)
                        return r;
                c->descend = c->entry.kind == OXL_ENTRY_DIRECTORY && !(c->flags & OXL_TREE_FLAT);
        } while (c->descend && !(c->flags & OXL_TREE_DIRECTORIES));
        fill_item(c, ret);
        return 0;
}

void oxl_tree_cursor_skip(struct oxl_tree_cursor *c)
{
        c->descend = false;
}

/* Brings the node with the next entry to the top. */
static int settle(struct oxl_tree_cursor *c, struct oxl_error *err)
{
        int r = descend(c, err);
        if (r == 0)
                drop_finished(c);
        return r;
}

/* Enters the next child of the inner node on top. */
static int push_next(struct oxl_tree_cursor *c, struct oxl_error *err)
{
        struct step *s = top(c);
        struct oxl_tree_entry e;
        OXL_ASSERT(oxl_tree_next(&s->node, c->source.blob_algo, &s->rest, &e));
        return push_child(c, &e, err);
}

/* Takes the next child of both inner nodes on top when it is the same. */
static bool take_common(struct oxl_tree_cursor *a, struct oxl_tree_cursor *b)
{
        struct oxl_bytes rest_a = top(a)->rest, rest_b = top(b)->rest;
        struct oxl_tree_entry ea, eb;
        OXL_ASSERT(oxl_tree_next(&top(a)->node, a->source.blob_algo, &rest_a, &ea));
        OXL_ASSERT(oxl_tree_next(&top(b)->node, b->source.blob_algo, &rest_b, &eb));
        if (!oxl_digest_equal(&ea.id, &eb.id))
                return false;
        top(a)->rest = rest_a;
        top(b)->rest = rest_b;
        return true;
}

int oxl_tree_cursor_skip_common(struct oxl_tree_cursor *a, struct oxl_tree_cursor *b, struct oxl_error *err)
{
        for (;;) {
                int r = settle(a, err);
                if (r == 0)
                        r = settle(b, err);
                if (r < 0 || a->used == 0 || b->used == 0)
                        return r;
                /* Both are in the last path's directory or above it, so equal lengths mean the same directory. */
                uint8_t la = top(a)->node.level, lb = top(b)->node.level;
                if (top(a)->path_len != top(b)->path_len || la == 0 || lb == 0)
                        return 0;
                if (la == lb && take_common(a, b))
                        continue;
                r = la >= lb ? push_next(a, err) : push_next(b, err);
                if (r < 0)
                        return r;
        }
}

/* --- interface --- */

int oxl_tree_cursor_new_from(const struct oxl_tree_source *source, const struct oxl_digest *root, const char *prefix,
                             unsigned flags, struct oxl_tree_cursor **ret, struct oxl_error *err)
{
        struct oxl_tree_cursor *c = calloc(1, sizeof *c);
        char *copy = strdup(prefix);
        if (!c || !copy) {
                free(c);
                free(copy);
                return OXL_FAIL_PLAIN(err, NOMEM);
        }
        c->source = *source;
        c->root = *root;
        c->flags = flags;
        c->prefix = copy;
        *ret = c;
        return 0;
}

void oxl_tree_cursor_free(struct oxl_tree_cursor *c)
{
        if (!c)
                return;
        cursor_done(c);
        free(c);
}

static int find_root(struct oxl_tree_cursor *c, struct oxl_tree_item *ret, struct oxl_error *err)
{
        struct oxl_tree_entry e;
        int r = push_directory(c, &c->root, NULL, 0, err);
        if (r < 0)
                return r;
        uint64_t size = 0;
        struct step *s = top(c);
        while (oxl_tree_next(&s->node, c->source.blob_algo, &s->rest, &e))
                size += e.size; /* decode has seen that it does not overflow */
        *ret = (struct oxl_tree_item){ .kind = OXL_ENTRY_DIRECTORY, .size = size, .id = c->root };
        return 0;
}

int oxl_tree_find_in(const struct oxl_tree_source *source, const struct oxl_digest *root, const char *path,
                     struct oxl_tree_item *ret, struct oxl_error *err)
{
        cleanup(cursor_done) struct oxl_tree_cursor c = { .source = *source, .root = *root };
        if (*path == 0)
                return find_root(&c, ret, err);
        struct oxl_tree_entry e;
        int r = locate(&c, path, &e, err);
        if (r != 0)
                return r;
        *ret = (struct oxl_tree_item){ .kind = e.kind, .size = e.size, .id = e.id };
        return 0;
}

static int fetch_object(void *ctx, const struct oxl_digest *id, struct oxl_buf *ret, struct oxl_error *err)
{
        return oxl_objects_read(ctx, OXL_KIND_TREE, id, OXL_METADATA_MAX, ret, err);
}

struct oxl_tree_source oxl_tree_source_of(struct oxl_objects *o)
{
        struct oxl_digest sample = oxl_objects_digest(o, OXL_KIND_BLOB, "", 0);
        return (struct oxl_tree_source){ fetch_object, o, (enum oxl_algo)sample.algo };
}

int oxl_tree_cursor_new(struct oxl_objects *o, const struct oxl_digest *root, const char *prefix, unsigned flags,
                        struct oxl_tree_cursor **ret, struct oxl_error *err)
{
        struct oxl_tree_source source = oxl_tree_source_of(o);
        return oxl_tree_cursor_new_from(&source, root, prefix, flags, ret, err);
}

int oxl_tree_find(struct oxl_objects *o, const struct oxl_digest *root, const char *path, struct oxl_tree_item *ret,
                  struct oxl_error *err)
{
        struct oxl_tree_source source = oxl_tree_source_of(o);
        return oxl_tree_find_in(&source, root, path, ret, err);
}
