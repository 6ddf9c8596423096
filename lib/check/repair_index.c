/* SPDX-License-Identifier: MIT */
/*
 * The index, made anew: the tree of HEAD, and over it what can still be read of the staged entries. Each block of
 * the base
 * proves itself by the digest in its row of the block table, the delta by its seal; so a damaged header, table or
 * other block
 * takes nothing else along.
 *
 * Base and delta are built whole in a folder of quarantine's run, then renamed into place one after the other.
 * What a crash leaves: the
 * old pair, the new one, or a base and a delta that do not fit each other, which every reader refuses as damage;
 * never an index
 * that is valid and wrong.
 */
#include <stdio.h>
#include <string.h>

#include "base/le.h"
#include "check/repair.h"
#include "durable/remove.h"
#include "objects/commit.h"
#include "repo/index_format.h"

enum { TABLE_ROW = 22, INDEX_MAX = 1 << 30 };

struct staged {     /* a staged entry that could be read, or (kind NONE, not staged) one that hides it */
        char *path; /* owned */
        struct oxl_index_entry e;
        size_t order; /* the last one counts */
};

struct rebuild {
        struct oxl_repair *p;
        struct staged *at;
        size_t n, cap;
        uint64_t blocks_lost, kept;
        bool delta_lost;
        char folder[96];
};

static void rebuild_done(struct rebuild *b)
{
        for (size_t i = 0; i < b->n; i++)
                free(b->at[i].path);
        free(b->at);
}

/* --- what is left of the old one --- */

static int keep_entry(struct rebuild *b, const struct oxl_index_entry *e, struct oxl_error *err)
{
        if (b->n == b->cap) {
                size_t cap = 2 * b->cap + 64;
                struct staged *at = reallocarray(b->at, cap, sizeof *at);
                if (!at)
                        return OXL_FAIL_PLAIN(err, NOMEM);
                b->at = at;
                b->cap = cap;
        }
        struct staged s = { .path = strdup(e->path), .e = *e, .order = b->n };
        if (!s.path)
                return OXL_FAIL_PLAIN(err, NOMEM);
        s.e.path = s.path;
        b->at[b->n++] = s;
        return 0;
}

/* Every entry of the delta counts, since one that is not staged replaces a staged one of the base. */
static int read_run(struct rebuild *b, struct oxl_bytes bytes, bool delta, bool *ret_whole, struct oxl_error *err)
{
        cleanup_index_decoder struct oxl_index_decoder d = OXL_INDEX_DECODER_INIT;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        struct oxl_index_entry e;
        int r;
        oxl_index_decoder_start(&d, bytes, b->p->repo->format.blob_algo, delta);
        while ((r = oxl_index_decoder_next(&d, &e, &why)) == 0)
                if (delta || e.staged) {
                        r = keep_entry(b, &e, err);
                        if (r < 0)
                                return r;
                }
        *ret_whole = r > 0;
        return r < 0 && why.code == OXL_E_NOMEM ? oxl_error_copy(err, &why) : 0;
}

static bool block_good(const struct oxl_buf *file, uint64_t at, uint32_t len, const uint8_t *digest)
{
        struct oxl_hasher h;
        struct oxl_digest got;
        oxl_hasher_init_derive(&h, OXL_CONTEXT_INDEX_BLOCK);
        oxl_hasher_le64(&h, at);
        oxl_hasher_update(&h, file->data + at, len);
        oxl_hasher_final(&h, &got);
        return memcmp(got.bytes, digest, OXL_DIGEST_BYTES) == 0;
}

/* Row by row, bounds checked; a row that is damaged fits no block. */
static int read_base(struct rebuild *b, const struct oxl_buf *file, struct oxl_error *err)
{
        size_t tail = OXL_INDEX_SEAL_BYTES + 24;
        if (file->len < OXL_INDEX_HEADER_BYTES + tail) {
                b->blocks_lost++;
                return 0;
        }
        const uint8_t *place = file->data + file->len - tail;
        uint64_t table_at = le_load64(place), table_len = le_load64(place + 8), blocks = le_load64(place + 16),
                 seen = 0;
        if (table_at > file->len || table_len > file->len - table_at) {
                b->blocks_lost++;
                return 0;
        }
        struct oxl_cursor c = oxl_cursor_of(oxl_bytes_of(file->data + table_at, (size_t)table_len));
        while (oxl_cursor_remaining(&c) >= TABLE_ROW) {
                uint64_t at = oxl_cursor_le64(&c);
                uint32_t len = oxl_cursor_le32(&c);
                OXL_IGNORE(oxl_cursor_le64(&c), "counts: the block tells");
                OXL_IGNORE(oxl_cursor_bytes(&c, oxl_cursor_le16(&c)).len, "first path: as above");
                struct oxl_bytes digest = oxl_cursor_bytes(&c, OXL_DIGEST_BYTES);
                bool whole = false;
                int r = 0;
                if (c.failed)
                        break;
                seen++;
                if (at <= table_at && len <= table_at - at && block_good(file, at, len, digest.data))
                        r = read_run(b, oxl_bytes_of(file->data + at, len), false, &whole, err);
                if (r < 0)
                        return r;
                b->blocks_lost += !whole;
        }
        b->blocks_lost += blocks > seen ? 1 : 0;
        return 0;
}

/* Is the delta one that the base has taken in already? */
static bool is_absorbed(const struct oxl_buf *base, const struct oxl_buf *delta)
{
        return base->len >= OXL_INDEX_HEADER_BYTES &&
               memcmp(base->data + 64, delta->data + delta->len - OXL_INDEX_SEAL_BYTES, OXL_DIGEST_BYTES) == 0;
}

static int read_delta(struct rebuild *b, const struct oxl_buf *base, const struct oxl_buf *delta, struct oxl_error *err)
{
        struct oxl_hasher h;
        struct oxl_digest got;
        bool whole = false;
        b->delta_lost = true;
        if (delta->len < OXL_INDEX_HEADER_BYTES + OXL_INDEX_SEAL_BYTES)
                return 0;
        size_t body = delta->len - OXL_INDEX_SEAL_BYTES;
        oxl_seal_begin(&h, OXL_INDEX_DELTA_NAME, &b->p->repo->format.id, OXL_INDEX_DELTA_NAME);
        oxl_hasher_update(&h, delta->data, body);
        oxl_hasher_final(&h, &got);
        if (memcmp(got.bytes, delta->data + body, OXL_DIGEST_BYTES) != 0)
                return 0;
        b->delta_lost = false;
        if (is_absorbed(base, delta))
                return 0;
        return read_run(b, oxl_bytes_of(delta->data + OXL_INDEX_HEADER_BYTES, body - OXL_INDEX_HEADER_BYTES), true,
                        &whole, err);
}

/* A file that is absent is empty; one that cannot be read ends the repair of the index. */
static int read_file(struct oxl_repair *p, const char *path, struct oxl_buf *ret, struct oxl_error *err)
{
        cleanup_fd int fd = oxl_open_beneath(p->root_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
        struct stat st;
        if (fd < 0)
                return errno == ENOENT ? 0 : OXL_FAIL_OS(err, FILE_OPEN, path);
        if (oxl_fd_stat(fd, &st) < 0)
                return OXL_FAIL_OS(err, FILE_STAT, path);
        if (!S_ISREG(st.st_mode))
                return OXL_FAIL_WHY(err, UNSUPPORTED, path, "it is not a regular file: move it away");
        return oxl_fd_read_all(fd, INDEX_MAX, ret) < 0 ? OXL_FAIL_OS(err, FILE_READ, path) : 0;
}

static int compare_staged(const void *a, const void *b)
{
        const struct staged *x = a, *y = b;
        int r = oxl_path_compare(x->path, strlen(x->path), y->path, strlen(y->path));
        return r ? r : x->order < y->order ? -1 : 1;
}

static int read_old(struct rebuild *b, struct oxl_error *err)
{
        cleanup_buf struct oxl_buf base = OXL_BUF_INIT, delta = OXL_BUF_INIT;
        int r = read_file(b->p, OXL_INDEX_NAME, &base, err);
        if (r == 0)
                r = read_file(b->p, OXL_INDEX_DELTA_NAME, &delta, err);
        if (r == 0)
                r = read_base(b, &base, err);
        if (r == 0)
                r = read_delta(b, &base, &delta, err);
        if (r == 0 && b->n > 1)
                qsort(b->at, b->n, sizeof *b->at, compare_staged);
        return r;
}

/* --- the new one --- */

/* The tree of HEAD's commit; NONE: its branch has none. */
static int head_tree(struct oxl_repair *p, struct oxl_digest *ret, struct oxl_error *err)
{
        struct oxl_head head = { 0 };
        struct oxl_commit commit = OXL_COMMIT_INIT;
        *ret = (struct oxl_digest)OXL_DIGEST_INIT;
        int r = oxl_repo_head(p->repo, &head, err);
        if (r == 0 && head.commit.algo != OXL_ALGO_NONE)
                r = oxl_commit_read(p->objects, &head.commit, &commit, err);
        if (r == 0 && head.commit.algo != OXL_ALGO_NONE)
                *ret = commit.tree;
        oxl_commit_done(&commit);
        oxl_head_done(&head);
        return r;
}

static int set_tree(struct rebuild *b, struct oxl_index_edit *edit, const struct oxl_digest *tree,
                    struct oxl_error *err)
{
        struct oxl_tree_cursor *c = NULL;
        struct oxl_tree_item item;
        int r = oxl_tree_cursor_new(b->p->objects, tree, "", 0, &c, err);
        while (r == 0 && (r = oxl_tree_cursor_next(c, &item, err)) == 0) {
                const struct oxl_index_entry e = { .path = item.path,
                                                   .path_len = item.path_len,
                                                   .kind = item.kind,
                                                   .staged = true,
                                                   .size = item.size,
                                                   .id = item.id };
                r = oxl_index_edit_set(edit, &e, err);
        }
        oxl_tree_cursor_free(c);
        return r < 0 ? r : oxl_index_edit_commit(edit, tree, err);
}

/* Over the committed tree; entries that equal it are not staged. */
static int set_staged(struct rebuild *b, struct oxl_index *x, struct oxl_index_edit *edit, struct oxl_error *err)
{
        int r = 0;
        for (size_t i = 0; r >= 0 && i < b->n; i++) {
                const struct oxl_index_entry *e = &b->at[i].e;
                struct oxl_index_entry now;
                if (i + 1 < b->n && strcmp(b->at[i].path, b->at[i + 1].path) == 0)
                        continue; /* a later one counts */
                if (!e->staged)
                        continue;
                r = oxl_index_lookup(x, e->path, e->path_len, &now, err);
                bool same =
                        r == 0 ? now.kind == e->kind && oxl_digest_equal(&now.id, &e->id) : e->kind == OXL_ENTRY_NONE;
                if (r < 0 || same)
                        continue;
                r = oxl_index_edit_set(edit, e, err);
                b->kept++;
        }
        return r < 0 ? r : 0;
}

/* Publishes what the edit makes of the index in the build folder @d. */
static int write_edit(struct oxl_index_edit *edit, struct oxl_durable *d, struct oxl_error *err)
{
        struct oxl_stage *stage = NULL;
        struct oxl_digest digest;
        const char *target;
        uint64_t size;
        int r = oxl_index_stage(edit, d, &stage, &target, &digest, &size, err);
        if (r == 0)
                r = oxl_stage_publish(stage, target, false, err);
        oxl_stage_free(stage);
        return r < 0 ? r : oxl_durable_barrier(d, err);
}

static int edit_index(struct rebuild *b, int fd, struct oxl_durable *d, const struct oxl_digest *tree, bool staged,
                      struct oxl_error *err)
{
        struct oxl_index *x = NULL;
        struct oxl_index_edit *edit = NULL;
        int r = oxl_index_open(fd, &b->p->repo->format.id, b->p->repo->format.blob_algo, &x, err);
        if (r == 0)
                r = oxl_index_edit_new(x, &edit, err);
        if (r == 0)
                r = staged ? set_staged(b, x, edit, err) : set_tree(b, edit, tree, err);
        if (r == 0 && oxl_index_edit_count(edit) + !staged > 0)
                r = write_edit(edit, d, err);
        oxl_index_edit_free(edit);
        oxl_index_free(x);
        return r;
}

static int build(struct rebuild *b, const struct oxl_digest *tree, struct oxl_error *err)
{
        cleanup_buf struct oxl_buf base = OXL_BUF_INIT, delta = OXL_BUF_INIT;
        struct oxl_durable *d = NULL;
        int r = oxl_durable_mkdir(b->p->durable, b->folder, err);
        if (r < 0)
                return r;
        cleanup_fd int fd = oxl_open_beneath(b->p->root_fd, b->folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
        if (fd < 0)
                return OXL_FAIL_OS(err, DIR_OPEN, b->folder);
        r = oxl_durable_new(fd, b->folder, oxl_owner_number(b->p->repo->owner), &d, err);
        if (r == 0)
                r = oxl_index_print_empty(&b->p->repo->format.id, &base, &delta, err);
        if (r == 0)
                r = oxl_durable_write(d, OXL_INDEX_NAME, base.data, base.len, err);
        if (r == 0)
                r = oxl_durable_write(d, OXL_INDEX_DELTA_NAME, delta.data, delta.len, err);
        if (r == 0 && tree->algo != OXL_ALGO_NONE)
                r = edit_index(b, fd, d, tree, false, err);
        if (r == 0)
                r = edit_index(b, fd, d, tree, true, err);
        oxl_durable_free(d);
        return r;
}

static int move(struct rebuild *b, const char *name, struct oxl_error *err)
{
        char from[128];
        snprintf(from, sizeof from, "%s/%s", b->folder, name);
        /* CRASH: the old pair, or halves that do not fit: damage that the next repair finds */
        return oxl_durable_rename(b->p->durable, from, name, err);
}

static int rebuild_index(struct rebuild *b, struct oxl_repair_find *f, struct oxl_error *err)
{
        struct oxl_repair *p = b->p;
        struct oxl_digest tree;
        int r = head_tree(p, &tree, err);
        if (r == 0)
                r = read_old(b, err);
        if (r == 0)
                r = oxl_quarantine_begin(p, err);
        if (r == 0)
                r = oxl_quarantine_keep(p, f, OXL_INDEX_NAME, "HEAD's tree", err);
        if (r == 0)
                r = oxl_quarantine_keep(p, f, OXL_INDEX_DELTA_NAME, "HEAD's tree", err);
        if (r < 0)
                return r;
        snprintf(b->folder, sizeof b->folder, "quarantine/%s/build", p->result.quarantine);
        r = build(b, &tree, err);
        if (r == 0)
                r = move(b, OXL_INDEX_NAME, err);
        if (r == 0)
                r = move(b, OXL_INDEX_DELTA_NAME, err);
        if (r == 0)
                r = oxl_durable_barrier(p->durable, err);
        OXL_IGNORE(oxl_remove_tree(p->root_fd, b->folder, NULL), "an empty folder");
        return r;
}

/* A half of the index that is missing is a finding of its own; both are one repair. */
static int tell_all(struct oxl_repair *p, const struct rebuild *b, struct oxl_error *err)
{
        char text[200];
        int r = 0;
        snprintf(text, sizeof text, "%llu staged entr%s kept%s%s", (unsigned long long)b->kept,
                 b->kept == 1 ? "y" : "ies",
                 b->blocks_lost ? "; what else was staged in damaged blocks is lost: add it again" : "",
                 b->delta_lost ? "; the newest changes are lost: add them again" : "");
        for (size_t i = 0; r == 0 && i < p->n_finds; i++) {
                struct oxl_repair_find *f = &p->finds[i];
                if (f->selected && (f->problem == OXL_P_INDEX_DAMAGED || f->problem == OXL_P_INDEX_MISSING))
                        r = oxl_repair_tell(p, f, OXL_REPAIR_REBUILT, "HEAD's tree", text, err);
        }
        return r;
}

int oxl_repair_index(struct oxl_repair *p, struct oxl_error *err)
{
        for (size_t i = 0; i < p->n_finds; i++) {
                cleanup(rebuild_done) struct rebuild b = { .p = p };
                cleanup_error struct oxl_error why = OXL_ERROR_INIT;
                struct oxl_repair_find *f = &p->finds[i];
                if (!f->selected || f->told || (f->problem != OXL_P_INDEX_DAMAGED && f->problem != OXL_P_INDEX_MISSING))
                        continue;
                if (!oxl_repair_fresh(p, f))
                        return oxl_repair_tell(p, f, OXL_REPAIR_STALE, "", "it changed since it was checked", err);
                int r = rebuild_index(&b, f, &why);
                return r < 0 ? oxl_repair_failed(p, f, &why, err) : tell_all(p, &b, err);
        }
        return 0;
}
