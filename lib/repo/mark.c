/* SPDX-License-Identifier: MIT */
/*
 * Marking, see mark.h.
 *
 * A set of blobs, one of trees and commits, and one of objects that only a note names: those are kept, but what they lead to
 * is not followed, so they must not count as visited. Nodes that are marked and not read yet wait on a stack.
 * Writes nothing, so a crash leaves nothing.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/path.h"
#include "objects/commit.h"
#include "objects/idset.h"
#include "objects/loose.h"
#include "objects/quarantine.h"
#include "os/fdio.h"
#include "repo/index.h"
#include "repo/intent.h"
#include "repo/mark.h"
#include "repo/move.h"
#include "repo/needs.h"

struct set {
        struct oxl_buf ids; /* OXL_DIGEST_BYTES each */
        struct oxl_idset places;
};

struct pending {
        struct oxl_digest id;
        enum oxl_kind kind;
};

struct oxl_marks {
        struct oxl_repo *repo;
        struct oxl_objects *objects; /* borrowed, of the call */
        struct set blobs, nodes, kept;
        struct oxl_buf stack; /* struct pending each */
        struct oxl_buf bytes; /* of one object */
        uint64_t said;        /* nodes, when progress was told last */
};

/* --- sets ----------------------------------------------------------------------------------------------------------- */

static const uint8_t *set_id(const void *array, size_t i)
{
        return (const uint8_t *)array + i * OXL_DIGEST_BYTES;
}

static void set_done(struct set *s)
{
        oxl_buf_done(&s->ids);
        oxl_idset_done(&s->places);
}

static bool set_has(const struct set *s, const struct oxl_digest *id)
{
        uint8_t bytes[OXL_DIGEST_BYTES];
        oxl_digest_store(id, bytes);
        return oxl_idset_find(&s->places, s->ids.data, bytes) != OXL_IDSET_NONE;
}

/* 0 added, 1 it was there. */
static int set_add(struct set *s, const struct oxl_digest *id, struct oxl_error *err)
{
        uint8_t bytes[OXL_DIGEST_BYTES];
        oxl_digest_store(id, bytes);
        if (oxl_idset_find(&s->places, s->ids.data, bytes) != OXL_IDSET_NONE)
                return 1;
        s->places.id_of = set_id;
        int k = oxl_idset_reserve(&s->places, s->ids.data, err);
        if (k == 0)
                k = oxl_buf_append(&s->ids, bytes, sizeof bytes, err);
        if (k == 0)
                oxl_idset_add(&s->places, s->ids.data, s->ids.len / OXL_DIGEST_BYTES - 1);
        return k;
}

/* --- life ------------------------------------------------------------------------------------------------------------ */

int oxl_marks_new(struct oxl_repo *r, struct oxl_marks **ret, struct oxl_error *err)
{
        struct oxl_marks *m = calloc(1, sizeof *m);
        if (!m)
                return OXL_FAIL_PLAIN(err, NOMEM);
        m->repo = r;
        *ret = m;
        return 0;
}

void oxl_marks_clear(struct oxl_marks *m)
{
        set_done(&m->blobs);
        set_done(&m->nodes);
        set_done(&m->kept);
        oxl_buf_clear(&m->stack);
}

void oxl_marks_free(struct oxl_marks *m)
{
        if (!m)
                return;
        oxl_marks_clear(m);
        oxl_buf_done(&m->stack);
        oxl_buf_done(&m->bytes);
        free(m);
}

bool oxl_marks_has(const struct oxl_marks *m, enum oxl_kind kind, const struct oxl_digest *id)
{
        return set_has(kind == OXL_KIND_BLOB ? &m->blobs : &m->nodes, id) || set_has(&m->kept, id);
}

uint64_t oxl_marks_count(const struct oxl_marks *m)
{
        return (m->blobs.ids.len + m->nodes.ids.len) / OXL_DIGEST_BYTES;
}

static int each_of(const struct set *s, enum oxl_kind kind, oxl_marks_fn *fn, void *ctx, struct oxl_error *err)
{
        int k = 0;
        for (size_t at = 0; k >= 0 && at < s->ids.len; at += OXL_DIGEST_BYTES)
                k = fn(ctx, kind, s->ids.data + at, err);
        return k < 0 ? k : 0;
}

int oxl_marks_each_unread(const struct oxl_marks *m, oxl_marks_fn *fn, void *ctx, struct oxl_error *err)
{
        int k = each_of(&m->blobs, OXL_KIND_BLOB, fn, ctx, err);
        return k < 0 ? k : each_of(&m->kept, OXL_KIND_FILLER, fn, ctx, err);
}

/* --- following -------------------------------------------------------------------------------------------------------- */

static int mark_blob(struct oxl_marks *m, const struct oxl_digest *id, struct oxl_error *err)
{
        int k = set_add(&m->blobs, id, err);
        return k < 0 ? k : 0;
}

static int mark_node(struct oxl_marks *m, enum oxl_kind kind, const struct oxl_digest *id, struct oxl_error *err)
{
        const struct pending p = { .id = *id, .kind = kind };
        int k = id->algo == OXL_ALGO_NONE ? 1 : set_add(&m->nodes, id, err);
        return k != 0 ? (k < 0 ? k : 0) : oxl_buf_append(&m->stack, &p, sizeof p, err);
}

static int follow_commit(struct oxl_marks *m, const struct oxl_digest *id, struct oxl_error *err)
{
        cleanup(oxl_commit_done) struct oxl_commit c = OXL_COMMIT_INIT;
        int k = oxl_commit_read(m->objects, id, &c, err);
        for (unsigned i = 0; k >= 0 && i < c.parents; i++)
                k = mark_node(m, OXL_KIND_COMMIT, &c.parent[i], err);
        return k < 0 ? k : mark_node(m, OXL_KIND_TREE, &c.tree, err);
}

static int follow_tree(struct oxl_marks *m, const struct oxl_digest *id, struct oxl_error *err)
{
        enum oxl_algo algo = m->repo->format.blob_algo;
        struct oxl_tree_node node;
        struct oxl_tree_entry e;
        char name[OXL_DIGEST_TEXT_MAX];
        int k = oxl_objects_read(m->objects, OXL_KIND_TREE, id, OXL_METADATA_MAX, &m->bytes, err);
        oxl_digest_text(id, name);
        if (k >= 0)
                k = oxl_tree_decode(oxl_buf_bytes(&m->bytes), algo, name, &node, err);
        if (k < 0)
                return k;
        struct oxl_bytes rest = node.body;
        while (k >= 0 && oxl_tree_next(&node, algo, &rest, &e)) {
                bool file = node.level == 0 && e.kind != OXL_ENTRY_DIRECTORY;
                k = file ? mark_blob(m, &e.id, err) : mark_node(m, OXL_KIND_TREE, &e.id, err);
        }
        return k;
}

static void say_progress(struct oxl_marks *m)
{
        uint64_t nodes = m->nodes.ids.len / OXL_DIGEST_BYTES;
        if (nodes == m->said)
                return;
        m->said = nodes;
        oxl_repo_progress(m->repo, "marking", oxl_marks_count(m), 0, 0, 0);
}

/* Reads what waits. */
static int follow(struct oxl_marks *m, struct oxl_error *err)
{
        int k = 0;
        while (k >= 0 && m->stack.len > 0) {
                struct pending p;
                m->stack.len -= sizeof p;
                memcpy(&p, m->stack.data + m->stack.len, sizeof p);
                if (oxl_repo_cancelled(m->repo))
                        return OXL_FAIL_PLAIN(err, CANCELLED);
                k = p.kind == OXL_KIND_COMMIT ? follow_commit(m, &p.id, err) : follow_tree(m, &p.id, err);
                say_progress(m);
        }
        return k < 0 ? k : 0;
}

static int mark_root(struct oxl_marks *m, enum oxl_kind kind, const struct oxl_digest *id, struct oxl_error *err)
{
        int k = mark_node(m, kind, id, err);
        return k < 0 ? k : follow(m, err);
}

/* --- refs, HEAD, index ------------------------------------------------------------------------------------------------- */

static int root_ref(void *ctx, const char *name, const struct oxl_digest *id, struct oxl_error *err)
{
        (void)name;
        return mark_root(ctx, OXL_KIND_COMMIT, id, err);
}

static int root_head(struct oxl_marks *m, struct oxl_error *err)
{
        cleanup_free char *ref = NULL;
        struct oxl_digest id = OXL_DIGEST_INIT;
        int k = oxl_head_read(m->repo, &ref, &id, err);
        return k < 0 ? k : ref ? 0 : mark_root(m, OXL_KIND_COMMIT, &id, err);
}

/* Staged or not: the tree of an index may be that of a commit which was aborted. */
static int root_index(struct oxl_marks *m, struct oxl_error *err)
{
        struct oxl_repo *r = m->repo;
        struct oxl_index *x = NULL;
        struct oxl_index_cursor *cursor = NULL;
        struct oxl_index_entry e;
        int k = oxl_index_open(r->root_fd, &r->format.id, r->format.blob_algo, &x, err);
        if (k >= 0)
                k = mark_root(m, OXL_KIND_TREE, oxl_index_tree(x), err);
        if (k >= 0)
                k = oxl_index_cursor_new(x, "", 0, &cursor, err);
        while (k >= 0 && (k = oxl_index_cursor_next(cursor, &e, err)) == 0)
                k = e.kind == OXL_ENTRY_NONE ? 0 : mark_blob(m, &e.id, err);
        oxl_index_cursor_free(cursor);
        oxl_index_free(x);
        return k < 0 ? k : 0;
}

int oxl_marks_refs(struct oxl_marks *m, struct oxl_error *err)
{
        int k = oxl_repo_objects(m->repo, &m->objects, err);
        if (k >= 0)
                k = oxl_repo_refs(m->repo, root_ref, m, err);
        if (k >= 0)
                k = root_head(m, err);
        return k < 0 ? k : root_index(m, err);
}

/* --- operations and intents ---------------------------------------------------------------------------------------------- */

static int mark_need(void *ctx, const struct oxl_need *need, struct oxl_error *err)
{
        switch (need->kind) {
        case OXL_NEED_COMMIT: return mark_root(ctx, OXL_KIND_COMMIT, need->id, err);
        case OXL_NEED_TREE: return mark_root(ctx, OXL_KIND_TREE, need->id, err);
        case OXL_NEED_LIST:
        case OXL_NEED_STATE:
        case OXL_NEED_KEPT_LIST:
        case OXL_NEED_KEPT: break;
        }
        return mark_blob(ctx, need->id, err);
}

static int root_body(struct oxl_marks *m, enum oxl_intent_state state, const char *body, struct oxl_error *err)
{
        const struct oxl_needs n = { m->objects, m->repo->format.blob_algo, mark_need, m };
        int k = oxl_needs_undo(&n, state, body, err);
        return k < 0 ? k : oxl_needs_kept(&n, body, err);
}

struct log {
        struct oxl_marks *m;
        struct oxl_journal *journal;
        int64_t since_ns;
};

static int root_operation(void *ctx, const struct oxl_operation *op, struct oxl_error *err)
{
        struct log *l = ctx;
        cleanup_free char *body = NULL;
        if (op->intent == 0 || op->time_ns < l->since_ns)
                return 0;
        int k = oxl_journal_intent_body(l->journal, op->intent, &body, err);
        return k < 0 || !body ? k : root_body(l->m, op->state, body, err);
}

static int root_commit_intent(struct oxl_marks *m, const char *body, struct oxl_error *err)
{
        cleanup(oxl_commit_intent_done) struct oxl_commit_intent i = OXL_COMMIT_INTENT_INIT;
        int k = oxl_commit_intent_parse(body, m->repo->format.blob_algo, &i, err);
        for (size_t n = 0; k >= 0 && n < i.n_files; n++)
                if (i.files[n].kind == OXL_INTENT_BLOB)
                        k = mark_blob(m, &i.files[n].digest, err);
        return k < 0 ? k : mark_root(m, OXL_KIND_COMMIT, &i.new_id, err);
}

static int root_restore_intent(struct oxl_marks *m, const char *body, struct oxl_error *err)
{
        cleanup(oxl_restore_intent_done) struct oxl_restore_intent i = OXL_RESTORE_INTENT_INIT;
        int k = oxl_restore_intent_parse(body, &i, err);
        return k < 0 ? k : mark_root(m, OXL_KIND_COMMIT, &i.source, err);
}

/* Recovery has ended those of the dead: this one's owner lives on another machine, as far as anybody knows. What it needs and
 * cannot be read, because it has no name yet, stops gc. */
static int root_intent(void *ctx, const struct oxl_event *event, struct oxl_error *err)
{
        struct oxl_marks *m = ctx;
        int k = 0;
        if (strcmp(event->verb, "commit") == 0)
                k = root_commit_intent(m, event->body, err);
        else if (strcmp(event->verb, "restore") == 0)
                k = root_restore_intent(m, event->body, err);
        else if (oxl_move_verb(event->verb))
                k = 0;
        else if (strcmp(event->verb, "repair") != 0)
                return OXL_FAIL_PATH(err, PENDING, "journal.db");
        return k < 0 ? k : root_body(m, OXL_INTENT_STAGED, event->body, err);
}

/* --- quarantine ------------------------------------------------------------------------------------------------------------ */

static void json_done(struct oxl_json **j)
{
        oxl_json_free(*j);
}

static int keep_text(struct oxl_marks *m, const char *text, struct oxl_error *err)
{
        struct oxl_digest id;
        int k = 0;
        if (text &&
            (oxl_digest_parse(OXL_ALGO_BLAKE3, text, &id) || oxl_digest_parse(m->repo->format.blob_algo, text, &id)))
                k = set_add(&m->kept, &id, err);
        return k < 0 ? k : 0;
}

static int root_note(struct oxl_marks *m, const char *folder, struct oxl_error *err)
{
        cleanup_free char *name = NULL, *path = NULL;
        cleanup_buf struct oxl_buf text = OXL_BUF_INIT;
        cleanup(json_done) struct oxl_json *note = NULL;
        struct oxl_digest id;
        size_t n;
        int k = oxl_path_join(folder, "note", &name, err);
        if (k == 0)
                k = oxl_repo_read_file(m->repo->root_fd, name, &text, err);
        if (k != 0)
                return k < 0 ? k : 0; /* without a note it names nothing */
        k = oxl_json_parse(oxl_buf_text(&text), text.len, name, &note, err);
        if (k >= 0)
                k = keep_text(m, oxl_json_get_string(note, "object"), err);
        if (k >= 0)
                k = keep_text(m, oxl_json_get_string(note, "expected"), err);
        if (k >= 0 && oxl_json_get_name(note, "path", &path, &n) &&
            oxl_loose_path_parse(m->repo->format.blob_algo, path, &id))
                k = set_add(&m->kept, &id, err);
        return k < 0 ? k : 0;
}

typedef int entry_fn(struct oxl_marks *m, const char *path, struct oxl_error *err);

/* Each folder in @dir; an absent @dir has none. */
static int each_folder(struct oxl_marks *m, const char *dir, entry_fn *fn, struct oxl_error *err)
{
        struct oxl_dirent e;
        cleanup_dir struct oxl_dir d = OXL_DIR_INIT;
        cleanup_fd int fd = oxl_open_beneath(m->repo->root_fd, dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
        int more;
        if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
                return 0;
        if (fd < 0 || oxl_dir_open(&d, fd) < 0)
                return OXL_FAIL_OS(err, DIR_OPEN, dir);
        while ((more = oxl_dir_next(&d, &e)) > 0) {
                cleanup_free char *path = NULL;
                int k = oxl_path_join(dir, e.name, &path, err);
                if (k == 0)
                        k = fn(m, path, err);
                if (k < 0)
                        return k;
        }
        return more < 0 ? OXL_FAIL_OS(err, DIR_READ, dir) : 0;
}

static int root_run(struct oxl_marks *m, const char *dir, struct oxl_error *err)
{
        return each_folder(m, dir, root_note, err);
}

int oxl_marks_log(struct oxl_marks *m, struct oxl_journal *j, int64_t since_ns, struct oxl_error *err)
{
        struct log l = { m, j, since_ns };
        int k = oxl_repo_objects(m->repo, &m->objects, err);
        if (k >= 0)
                k = each_folder(m, OXL_QUARANTINE, root_run, err);
        if (k >= 0)
                k = oxl_journal_open_intents(j, root_intent, m, err); /* verifies the chain, too */
        return k < 0 ? k : oxl_journal_operations_all(j, 0, root_operation, &l, err);
}
