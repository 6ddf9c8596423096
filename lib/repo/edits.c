/* SPDX-License-Identifier: MIT */
/* See edits.h. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/hex.h"
#include "base/path.h"
#include "repo/edits.h"
#include "repo/index_internal.h"

#define WHERE "journal.db"

enum { INLINE_MAX = 4096, PIECE_BYTES = 4 << 20, PIECE_MAX = 8 << 20 };
enum { NEW_SHIFT = 2, SAME = 1 << 4 };

void oxl_edits_done(struct oxl_edits *e)
{
        for (size_t i = 0; i < e->n; i++)
                free(e->at[i].path);
        free(e->at);
        *e = (struct oxl_edits)OXL_EDITS_INIT;
}

bool oxl_state_equal(const struct oxl_state *a, const struct oxl_state *b)
{
        if (a->kind == OXL_ENTRY_NONE || b->kind == OXL_ENTRY_NONE)
                return a->kind == b->kind;
        return a->kind == b->kind && oxl_digest_equal(&a->id, &b->id);
}

struct oxl_state oxl_state_of(const struct oxl_index_entry *entry)
{
        if (entry->kind == OXL_ENTRY_NONE)
                return (struct oxl_state){ .kind = OXL_ENTRY_NONE };
        return (struct oxl_state){ entry->kind, entry->size, entry->id };
}

int oxl_edits_add(struct oxl_edits *e, const char *path, size_t path_len, const struct oxl_state *old,
                  const struct oxl_state *new_, struct oxl_error *err)
{
        if (e->n == e->cap) {
                size_t cap = e->cap + e->cap / 2 + 16;
                struct oxl_edit *grown = realloc(e->at, cap * sizeof *grown);
                if (!grown)
                        return OXL_FAIL_PLAIN(err, NOMEM);
                e->at = grown;
                e->cap = cap;
        }
        char *copy = strndup(path, path_len);
        if (!copy)
                return OXL_FAIL_PLAIN(err, NOMEM);
        e->at[e->n++] = (struct oxl_edit){ copy, path_len, false, *old, *new_ };
        return 0;
}

/* qsort is not stable: equal paths are compared by the place at which they were added. */
struct ranked {
        struct oxl_edit edit;
        size_t place;
};

static int compare_ranked(const void *a, const void *b)
{
        const struct ranked *x = a, *y = b;
        int order = oxl_path_compare(x->edit.path, x->edit.path_len, y->edit.path, y->edit.path_len);
        return order != 0 ? order : x->place < y->place ? -1 : 1;
}

static bool ascending(const struct oxl_edits *e)
{
        for (size_t i = 1; i < e->n; i++)
                if (oxl_path_compare(e->at[i - 1].path, e->at[i - 1].path_len, e->at[i].path, e->at[i].path_len) >= 0)
                        return false;
        return true;
}

int oxl_edits_sort(struct oxl_edits *e, struct oxl_error *err)
{
        if (ascending(e))
                return 0;
        cleanup_free struct ranked *ranked = calloc(e->n, sizeof *ranked);
        if (!ranked)
                return OXL_FAIL_PLAIN(err, NOMEM);
        for (size_t i = 0; i < e->n; i++)
                ranked[i] = (struct ranked){ e->at[i], i };
        qsort(ranked, e->n, sizeof *ranked, compare_ranked);
        size_t kept = 0;
        for (size_t i = 0; i < e->n; i++) {
                const struct oxl_edit *next = i + 1 < e->n ? &ranked[i + 1].edit : NULL;
                if (next && strcmp(next->path, ranked[i].edit.path) == 0)
                        free(ranked[i].edit.path);
                else
                        e->at[kept++] = ranked[i].edit;
        }
        e->n = kept;
        return 0;
}

size_t oxl_edits_lower_bound(const struct oxl_edits *e, const char *path, size_t path_len)
{
        size_t low = 0, high = e->n;
        while (low < high) {
                size_t mid = low + (high - low) / 2;
                if (oxl_path_compare(e->at[mid].path, e->at[mid].path_len, path, path_len) < 0)
                        low = mid + 1;
                else
                        high = mid;
        }
        return low;
}

const struct oxl_edit *oxl_edits_find(const struct oxl_edits *e, const char *path, size_t path_len)
{
        size_t i = oxl_edits_lower_bound(e, path, path_len);
        if (i == e->n || e->at[i].path_len != path_len || memcmp(e->at[i].path, path, path_len) != 0)
                return NULL;
        return &e->at[i];
}

static struct oxl_state state_of_item(const struct oxl_tree_item *item)
{
        return item ? (struct oxl_state){ item->kind, item->size, item->id }
                    : (struct oxl_state){ .kind = OXL_ENTRY_NONE };
}

static int add_difference(void *ctx, const struct oxl_tree_item *a, const struct oxl_tree_item *b,
                          struct oxl_error *err)
{
        const struct oxl_tree_item *item = a ? a : b;
        struct oxl_state old = state_of_item(a), new_ = state_of_item(b);
        struct oxl_edits *e = ctx;
        int k = oxl_edits_add(e, item->path, item->path_len, &old, &new_, err);
        if (k >= 0)
                e->at[e->n - 1].of_trees = true;
        return k;
}

int oxl_edits_add_trees(struct oxl_edits *e, struct oxl_objects *o, const struct oxl_digest *old,
                        const struct oxl_digest *new_, struct oxl_error *err)
{
        return oxl_tree_diff(o, old->algo != OXL_ALGO_NONE ? old : NULL, new_->algo != OXL_ALGO_NONE ? new_ : NULL,
                             add_difference, e, err);
}

void oxl_edits_reverse(struct oxl_edits *e)
{
        for (size_t i = 0; i < e->n; i++) {
                struct oxl_state old = e->at[i].old;
                e->at[i].old = e->at[i].new_;
                e->at[i].new_ = old;
        }
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

void oxl_edits_record_done(struct oxl_edits_record *r)
{
        free(r->hex);
        free(r->blobs);
        *r = (struct oxl_edits_record)OXL_EDITS_RECORD_INIT;
}

static struct oxl_edits_record take_record(struct oxl_edits_record *r)
{
        struct oxl_edits_record taken = *r;
        *r = (struct oxl_edits_record)OXL_EDITS_RECORD_INIT;
        return taken;
}

void oxl_edits_writer_done(struct oxl_edits_writer *w)
{
        oxl_buf_done(&w->bytes);
        oxl_buf_done(&w->path);
        oxl_edits_record_done(&w->record);
}

static int append_state(struct oxl_buf *b, const struct oxl_state *s, struct oxl_error *err)
{
        uint8_t field[OXL_DIGEST_BYTES];
        oxl_digest_store(&s->id, field);
        int k = oxl_buf_append_le64(b, s->size, err);
        return k < 0 ? k : oxl_buf_append(b, field, sizeof field, err);
}

/* A piece that is full becomes a blob. */
static int store_piece(struct oxl_edits_writer *w, struct oxl_error *err)
{
        struct oxl_edits_record *r = &w->record;
        struct oxl_digest *grown = realloc(r->blobs, (r->n_blobs + 1) * sizeof *grown);
        if (!grown)
                return OXL_FAIL_PLAIN(err, NOMEM);
        r->blobs = grown;
        int k = oxl_put_object(w->put, OXL_KIND_BLOB, w->bytes.data, w->bytes.len, &r->blobs[r->n_blobs], err);
        if (k < 0)
                return k;
        r->n_blobs++;
        oxl_buf_clear(&w->bytes);
        oxl_buf_clear(&w->path);
        return 0;
}

int oxl_edits_write(struct oxl_edits_writer *w, const char *path, size_t path_len, const struct oxl_state *old,
                    const struct oxl_state *new_, struct oxl_error *err)
{
        size_t shared = 0;
        bool same = oxl_state_equal(old, new_);
        int k = w->bytes.len > PIECE_BYTES ? store_piece(w, err) : 0;
        if (k < 0)
                return k;
        while (shared < w->path.len && shared < path_len && w->path.data[shared] == (uint8_t)path[shared])
                shared++;
        oxl_buf_clear(&w->path);
        unsigned flags = (unsigned)old->kind | (unsigned)new_->kind << NEW_SHIFT | (same ? SAME : 0u);
        if ((k = oxl_buf_append(&w->path, path, path_len, err)) < 0 ||
            (k = oxl_buf_append_u8(&w->bytes, (uint8_t)flags, err)) < 0 ||
            (k = oxl_buf_append_le16(&w->bytes, (uint16_t)shared, err)) < 0 ||
            (k = oxl_buf_append_le16(&w->bytes, (uint16_t)(path_len - shared), err)) < 0 ||
            (k = oxl_buf_append(&w->bytes, path + shared, path_len - shared, err)) < 0 ||
            (k = old->kind != OXL_ENTRY_NONE ? append_state(&w->bytes, old, err) : 0) < 0 ||
            (k = new_->kind != OXL_ENTRY_NONE && !same ? append_state(&w->bytes, new_, err) : 0) < 0)
                return k;
        return 0;
}

int oxl_edits_write_end(struct oxl_edits_writer *w, struct oxl_edits_record *ret, struct oxl_error *err)
{
        if (w->record.n_blobs > 0 || w->bytes.len > INLINE_MAX) {
                int k = w->bytes.len > 0 ? store_piece(w, err) : 0;
                if (k < 0)
                        return k;
        } else {
                w->record.hex = malloc(2 * w->bytes.len + 1);
                if (!w->record.hex)
                        return OXL_FAIL_PLAIN(err, NOMEM);
                w->record.hex[0] = '\0';
                if (w->bytes.len > 0)
                        oxl_hex_encode(w->bytes.data, w->bytes.len, w->record.hex);
        }
        *ret = take_record(&w->record);
        return 0;
}

int oxl_edits_write_all(const struct oxl_edits *e, struct oxl_put *put, struct oxl_edits_record *ret,
                        struct oxl_error *err)
{
        cleanup(oxl_edits_writer_done) struct oxl_edits_writer w = OXL_EDITS_WRITER_INIT;
        w.put = put;
        for (size_t i = 0; i < e->n; i++) {
                const struct oxl_edit *x = &e->at[i];
                int k = oxl_edits_write(&w, x->path, x->path_len, &x->old, &x->new_, err);
                if (k < 0)
                        return k;
        }
        return oxl_edits_write_end(&w, ret, err);
}

int oxl_edits_write_index(struct oxl_index_edit *e, struct oxl_put *put, struct oxl_edits_record *ret,
                          struct oxl_error *err)
{
        cleanup(oxl_edits_writer_done) struct oxl_edits_writer w = OXL_EDITS_WRITER_INIT;
        struct oxl_index_entry now, before;
        w.put = put;
        oxl_index_edit_sort(e);
        for (size_t i = 0; oxl_index_edit_at(e, i, &now); i++) {
                int k = oxl_index_lookup(oxl_index_edit_index(e), now.path, now.path_len, &before, err);
                if (k < 0)
                        return k;
                struct oxl_state old = k == 0 ? oxl_state_of(&before) : (struct oxl_state){ .kind = OXL_ENTRY_NONE };
                struct oxl_state new_ = oxl_state_of(&now);
                if (oxl_state_equal(&old, &new_))
                        continue; /* only the stat cache is news */
                k = oxl_edits_write(&w, now.path, now.path_len, &old, &new_, err);
                if (k < 0)
                        return k;
        }
        return oxl_edits_write_end(&w, ret, err);
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

static int damaged(struct oxl_error *err)
{
        return OXL_FAIL_WHY(err, JOURNAL_DAMAGED, WHERE, "what an operation did to the index is malformed");
}

static struct oxl_state take_state(struct oxl_cursor *c, unsigned kind, enum oxl_algo algo)
{
        struct oxl_state s = { .kind = (enum oxl_entry_kind)kind };
        if (kind == OXL_ENTRY_NONE)
                return s;
        s.size = oxl_cursor_le64(c);
        struct oxl_bytes id = oxl_cursor_bytes(c, OXL_DIGEST_BYTES);
        if (!c->failed && !oxl_digest_load(algo, id.data, &s.id))
                c->failed = true;
        return s;
}

struct reading {
        enum oxl_algo algo;
        oxl_edit_fn *fn;
        void *ctx;
};

static int take_edit(const struct reading *rd, struct oxl_cursor *c, struct oxl_buf *path, struct oxl_error *err)
{
        unsigned flags = oxl_cursor_u8(c), old_kind = flags & 3, new_kind = flags >> NEW_SHIFT & 3;
        size_t shared = oxl_cursor_le16(c);
        struct oxl_bytes rest = oxl_cursor_bytes(c, oxl_cursor_le16(c));
        bool same = flags & SAME;
        struct oxl_edit e = { .old = take_state(c, old_kind, rd->algo) };
        e.new_ = same ? e.old : take_state(c, new_kind, rd->algo);
        if (c->failed || flags > 31 || (same && old_kind != new_kind) || shared > path->len)
                return damaged(err);
        path->len = shared;
        int k = oxl_buf_append(path, rest.data, rest.len, err);
        if (k < 0)
                return k;
        if (path->len > OXL_PATH_BYTES_MAX || oxl_index_path_problem(oxl_buf_text(path), path->len, 0))
                return damaged(err);
        e.path = (char *)path->data;
        e.path_len = path->len;
        return rd->fn(rd->ctx, &e, err);
}

static int read_piece(const struct reading *rd, struct oxl_bytes bytes, struct oxl_error *err)
{
        cleanup_buf struct oxl_buf path = OXL_BUF_INIT;
        struct oxl_cursor c = oxl_cursor_of(bytes);
        int k = oxl_buf_reserve(&path, 64, err);
        while (k >= 0 && oxl_cursor_remaining(&c) > 0)
                k = take_edit(rd, &c, &path, err);
        return k < 0 ? k : 0;
}

int oxl_edits_each(struct oxl_objects *o, enum oxl_algo blob_algo, const struct oxl_edits_record *r, oxl_edit_fn *fn,
                   void *ctx, struct oxl_error *err)
{
        const struct reading rd = { blob_algo, fn, ctx };
        cleanup_buf struct oxl_buf bytes = OXL_BUF_INIT;
        if (r->hex && r->hex[0]) {
                size_t n = strlen(r->hex) / 2;
                int k = oxl_buf_append_zeros(&bytes, n, err);
                if (k < 0)
                        return k;
                if (strlen(r->hex) % 2 || !oxl_hex_decode(r->hex, bytes.data, n))
                        return damaged(err);
                return read_piece(&rd, oxl_buf_bytes(&bytes), err);
        }
        for (size_t i = 0; i < r->n_blobs; i++) {
                oxl_buf_clear(&bytes);
                int k = oxl_objects_read(o, OXL_KIND_BLOB, &r->blobs[i], PIECE_MAX, &bytes, err);
                if (k >= 0)
                        k = read_piece(&rd, oxl_buf_bytes(&bytes), err);
                if (k < 0)
                        return k;
        }
        return 0;
}

static int keep_edit(void *ctx, const struct oxl_edit *edit, struct oxl_error *err)
{
        return oxl_edits_add(ctx, edit->path, edit->path_len, &edit->old, &edit->new_, err);
}

int oxl_edits_read(struct oxl_edits *e, struct oxl_objects *o, enum oxl_algo blob_algo,
                   const struct oxl_edits_record *r, struct oxl_error *err)
{
        return oxl_edits_each(o, blob_algo, r, keep_edit, e, err);
}

/* --- JSON --------------------------------------------------------------------------------------------------------- */

void oxl_edits_record_set(struct oxl_json *j, const struct oxl_edits_record *r)
{
        char text[OXL_DIGEST_TEXT_MAX];
        if (r->n_blobs == 0) {
                oxl_json_set_string(j, "edits", r->hex ? r->hex : "");
                return;
        }
        struct oxl_json *list = oxl_json_array();
        for (size_t i = 0; i < r->n_blobs; i++) {
                oxl_digest_text(&r->blobs[i], text);
                oxl_json_append(list, oxl_json_string(text));
        }
        oxl_json_set(j, "edits", list);
}

int oxl_edits_record_get(const struct oxl_json *j, enum oxl_algo blob_algo, struct oxl_edits_record *ret,
                         struct oxl_error *err)
{
        cleanup(oxl_edits_record_done) struct oxl_edits_record r = OXL_EDITS_RECORD_INIT;
        const char *hex = oxl_json_get_string(j, "edits"), *key;
        const struct oxl_json *list = oxl_json_get(j, "edits"), *item;
        if (hex) {
                r.hex = strdup(hex);
                if (!r.hex)
                        return OXL_FAIL_PLAIN(err, NOMEM);
        } else {
                size_t n = oxl_json_size(list);
                r.blobs = calloc(n + 1, sizeof *r.blobs);
                if (!r.blobs)
                        return OXL_FAIL_PLAIN(err, NOMEM);
                for (size_t pos = 0; oxl_json_member(list, &pos, &key, &item);) {
                        const char *text = key ? NULL : oxl_json_text(item);
                        if (!text || !oxl_digest_parse(blob_algo, text, &r.blobs[r.n_blobs]))
                                return damaged(err);
                        r.n_blobs++;
                }
                if (r.n_blobs == 0)
                        return damaged(err);
        }
        *ret = take_record(&r);
        return 0;
}
