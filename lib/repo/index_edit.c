/* SPDX-License-Identifier: MIT */
/*
 * Changing the index: edits, and writing them as a new delta or a new base.
 *
 * Memory: about 120 bytes and its path per change, plus the block table when a base is written; never the index.
 * CRASH: what is written here is a temp until the caller publishes it. Exactly one of the two files is replaced, and a new
 * base remembers the seal of the delta that lies beside it, so the pair is good before and after the rename
 * (tests/unit/index.c, the_pair_opens_at_every_point_between_replacements).
 */
#include <string.h>

#include "base/fail.h"
#include "base/path.h"
#include "objects/loose.h"
#include "repo/index_internal.h"

enum { CHUNK_BYTES = 256 << 10, DELTA_SMALL = 64 << 10, DELTA_RATIO = 300 };

struct change {
        uint64_t number; /* of the call */
        uint64_t size;
        struct oxl_stat stat;
        uint8_t id[OXL_DIGEST_BYTES];
        uint16_t path_len;
        uint8_t kind;
        bool staged;
        char path[]; /* NUL-ended */
};

struct chunk {
        struct chunk *next;
        size_t used, size;
        _Alignas(8) char bytes[];
};

struct oxl_index_edit {
        struct oxl_index *x; /* borrowed */
        struct chunk *chunks;
        struct change **changes; /* in order of path once sorted */
        size_t count, cap;
        bool sorted;
        uint64_t calls;
        bool commits;
        uint64_t commit_call; /* changes of earlier calls are committed */
        struct oxl_digest tree;
};

int oxl_index_edit_new(struct oxl_index *x, struct oxl_index_edit **ret, struct oxl_error *err)
{
        struct oxl_index_edit *e = calloc(1, sizeof *e);
        if (!e)
                return OXL_FAIL_PLAIN(err, NOMEM);
        e->x = x;
        e->sorted = true;
        e->tree = x->tree;
        *ret = e;
        return 0;
}

void oxl_index_edit_free(struct oxl_index_edit *e)
{
        if (!e)
                return;
        for (struct chunk *c = e->chunks, *next; c; c = next) {
                next = c->next;
                free(c);
        }
        free(e->changes);
        free(e);
}

/* --- collecting ------------------------------------------------------------------------------------------------- */

/* Memory from the chunks, which are freed only together: malloc's own cost per change would be another quarter. */
static void *take_bytes(struct oxl_index_edit *e, size_t n)
{
        n = (n + 7) & ~(size_t)7;
        struct chunk *c = e->chunks;
        if (!c || c->size - c->used < n) {
                size_t size = n > CHUNK_BYTES ? n : CHUNK_BYTES;
                c = malloc(sizeof *c + size);
                if (!c)
                        return NULL;
                *c = (struct chunk){ .next = e->chunks, .size = size };
                e->chunks = c;
        }
        c->used += n;
        return c->bytes + c->used - n;
}

static int make_room(struct oxl_index_edit *e, struct oxl_error *err)
{
        if (e->count < e->cap)
                return 0;
        size_t cap = e->cap + e->cap / 2 + 64;
        void *p = realloc(e->changes, cap * sizeof(struct change *));
        if (!p)
                return OXL_FAIL_PLAIN(err, NOMEM);
        e->changes = p;
        e->cap = cap;
        return 0;
}

static int check_entry(const struct oxl_index_edit *e, const struct oxl_index_entry *entry, struct oxl_error *err)
{
        OXL_ASSERT(entry->kind <= OXL_ENTRY_SYMLINK);
        OXL_ASSERT(entry->kind == OXL_ENTRY_NONE || entry->id.algo == e->x->blob_algo);
        if (entry->path_len > OXL_PATH_BYTES_MAX)
                return OXL_FAIL_WHY(err, LIMIT, entry->path, "its path has more than 32,767 bytes");
        const char *problem = oxl_index_path_problem(entry->path, entry->path_len, 0);
        if (problem)
                return OXL_FAIL_WHY(err, PATH, entry->path, problem);
        size_t depth = 0;
        for (size_t i = 0; i < entry->path_len; i++)
                depth += entry->path[i] == '/';
        if (depth > OXL_DEPTH_MAX)
                return OXL_FAIL_WHY(err, LIMIT, entry->path, "it is more than 1,024 folders deep");
        problem = entry->kind != OXL_ENTRY_NONE ? oxl_index_entry_problem(entry) : NULL;
        return problem ? OXL_FAIL_WHY(err, LIMIT, entry->path, problem) : 0;
}

static int compare_paths(const struct change *a, const struct change *b)
{
        return oxl_path_compare(a->path, a->path_len, b->path, b->path_len);
}

int oxl_index_edit_set(struct oxl_index_edit *e, const struct oxl_index_entry *entry, struct oxl_error *err)
{
        int r = check_entry(e, entry, err);
        if (r < 0)
                return r;
        r = make_room(e, err);
        if (r < 0)
                return r;
        struct change *c = take_bytes(e, sizeof *c + entry->path_len + 1);
        if (!c)
                return OXL_FAIL_PLAIN(err, NOMEM);
        memset(c, 0, sizeof *c);
        c->number = e->calls++;
        c->kind = (uint8_t)entry->kind;
        c->staged = entry->staged;
        if (entry->kind != OXL_ENTRY_NONE) {
                c->size = entry->size;
                c->stat = entry->stat;
                memcpy(c->id, entry->id.bytes, OXL_DIGEST_BYTES);
        }
        c->path_len = (uint16_t)entry->path_len;
        memcpy(c->path, entry->path, entry->path_len);
        c->path[entry->path_len] = 0;
        /* callers mostly walk in order: then nothing has to be sorted */
        e->sorted = e->sorted && (e->count == 0 || compare_paths(e->changes[e->count - 1], c) < 0);
        e->changes[e->count++] = c;
        return 0;
}

int oxl_index_edit_commit(struct oxl_index_edit *e, const struct oxl_digest *tree, struct oxl_error *err)
{
        OXL_ASSERT(!e->commits);
        if (tree->algo != OXL_ALGO_BLAKE3 && tree->algo != OXL_ALGO_NONE)
                return OXL_FAIL_WHY(err, INVALID, OXL_INDEX_SHOWN, "no id of a tree");
        e->commits = true;
        e->commit_call = e->calls;
        e->tree = *tree;
        return 0;
}

void oxl_index_edit_set_tree(struct oxl_index_edit *e, const struct oxl_digest *tree)
{
        OXL_ASSERT(!e->commits && (tree->algo == OXL_ALGO_BLAKE3 || tree->algo == OXL_ALGO_NONE));
        e->tree = *tree;
}

uint64_t oxl_index_edit_count(const struct oxl_index_edit *e)
{
        return e->count;
}

struct oxl_index *oxl_index_edit_index(const struct oxl_index_edit *e)
{
        return e->x;
}

bool oxl_index_edit_commits(const struct oxl_index_edit *e)
{
        return e->commits;
}

/* --- in order of path ------------------------------------------------------------------------------------------- */

static int compare_changes(const void *a, const void *b)
{
        const struct change *const *ca = a, *const *cb = b;
        int order = compare_paths(*ca, *cb);
        if (order != 0)
                return order;
        return (*ca)->number < (*cb)->number ? -1 : 1;
}

void oxl_index_edit_sort(struct oxl_index_edit *e)
{
        if (e->sorted)
                return;
        qsort(e->changes, e->count, sizeof(struct change *), compare_changes);
        size_t kept = 0;
        for (size_t i = 0; i < e->count; i++) {
                bool again = i + 1 < e->count && compare_paths(e->changes[i], e->changes[i + 1]) == 0;
                if (!again)
                        e->changes[kept++] = e->changes[i];
        }
        e->count = kept;
        e->sorted = true;
}

size_t oxl_index_edit_lower_bound(const struct oxl_index_edit *e, const char *path, size_t len)
{
        size_t low = 0, high = e->count;
        while (low < high) {
                size_t mid = low + (high - low) / 2;
                const struct change *c = e->changes[mid];
                if (oxl_path_compare(c->path, c->path_len, path, len) < 0)
                        low = mid + 1;
                else
                        high = mid;
        }
        return low;
}

bool oxl_index_edit_at(const struct oxl_index_edit *e, size_t i, struct oxl_index_entry *ret)
{
        if (i >= e->count)
                return false;
        const struct change *c = e->changes[i];
        *ret = (struct oxl_index_entry){
                .path = c->path,
                .path_len = c->path_len,
                .kind = (enum oxl_entry_kind)c->kind,
                .staged = c->staged && !(e->commits && c->number < e->commit_call),
                .size = c->size,
                .stat = c->stat,
        };
        if (ret->kind != OXL_ENTRY_NONE) {
                ret->id.algo = (uint8_t)e->x->blob_algo;
                memcpy(ret->id.bytes, c->id, OXL_DIGEST_BYTES);
        }
        return true;
}

/* --- writing a delta -------------------------------------------------------------------------------------------- */

static bool delta_fits(const struct oxl_index *x, size_t len)
{
        if (len > OXL_INDEX_DELTA_MAX)
                return false;
        return len <= DELTA_SMALL || ((uint64_t)len * len + DELTA_RATIO - 1) / DELTA_RATIO <= x->bytes;
}

static bool is_hidden(const struct oxl_index_entry *entry)
{
        return entry->kind == OXL_ENTRY_NONE && !entry->staged;
}

/* Does @entry of the merge belong into the new delta? 1 yes, 0 no. */
static int in_delta(struct oxl_index *x, const struct oxl_index_entry *entry, enum oxl_index_layer top, bool changed,
                    struct oxl_error *err)
{
        if (top == OXL_INDEX_BASE)
                return changed;
        if (!is_hidden(entry))
                return 1;
        /* there must be something to hide, or the delta would only ever grow */
        int r = oxl_index_base_has(x, entry->path, entry->path_len, err);
        return r < 0 ? r : r == 0;
}

/* Appends the entries of the new delta to @enc, which holds room for the header. 1: they are too many. */
static int encode_delta(struct oxl_index_edit *e, struct oxl_index_encoder *enc, struct oxl_error *err)
{
        cleanup_index_cursor struct oxl_index_cursor *c = NULL;
        int r = oxl_index_merge_new(e->x, e, e->commits ? OXL_INDEX_BASE_STAGED : OXL_INDEX_BASE_NONE, "", &c, err);
        if (r < 0)
                return r;
        for (;;) {
                struct oxl_index_entry entry;
                enum oxl_index_layer top;
                bool changed;
                r = oxl_index_merge_next(c, &entry, &top, &changed, err);
                if (r != 0)
                        return r < 0 ? r : 0;
                r = in_delta(e->x, &entry, top, changed, err);
                if (r < 0)
                        return r;
                if (r == 0)
                        continue;
                r = oxl_index_encoder_add(enc, &entry, err);
                if (r < 0)
                        return r;
                if (!delta_fits(e->x, enc->bytes.len + OXL_INDEX_SEAL_BYTES))
                        return 1;
        }
}

static int seal_delta(const struct oxl_repo_id *id, struct oxl_buf *file, struct oxl_error *err)
{
        struct oxl_hasher h;
        struct oxl_digest seal;
        oxl_seal_begin(&h, OXL_INDEX_DELTA_NAME, id, OXL_INDEX_DELTA_NAME);
        oxl_hasher_update(&h, file->data, file->len);
        oxl_hasher_final(&h, &seal);
        return oxl_buf_append(file, seal.bytes, OXL_INDEX_SEAL_BYTES, err);
}

/* 1: the delta would be too large. */
static int make_delta(struct oxl_index_edit *e, struct oxl_buf *ret, struct oxl_error *err)
{
        cleanup_index_encoder struct oxl_index_encoder enc = OXL_INDEX_ENCODER_INIT;
        int r = oxl_buf_append_zeros(&enc.bytes, OXL_INDEX_HEADER_BYTES, err);
        if (r < 0)
                return r;
        r = encode_delta(e, &enc, err);
        if (r != 0)
                return r;
        struct oxl_index_header h = { .delta = true, .generation = e->x->base.generation, .entries = enc.entries };
        h.tree = e->tree;
        memcpy(h.other, e->x->base_seal.bytes, OXL_DIGEST_BYTES);
        oxl_index_header_store(&h, enc.bytes.data);
        r = seal_delta(&e->x->id, &enc.bytes, err);
        if (r < 0)
                return r;
        *ret = enc.bytes;
        enc.bytes = (struct oxl_buf)OXL_BUF_INIT;
        return 0;
}

/* --- writing a base --------------------------------------------------------------------------------------------- */

struct base_writer {
        struct oxl_stage *stage; /* borrowed */
        struct oxl_index_encoder block;
        struct oxl_buf first; /* path of the block's first entry */
        struct oxl_buf table;
        uint64_t at; /* where the block begins */
        uint64_t entries, blocks;
};

static void base_writer_done(struct base_writer *w)
{
        oxl_index_encoder_done(&w->block);
        oxl_buf_done(&w->first);
        oxl_buf_done(&w->table);
}

static int append_row(struct base_writer *w, struct oxl_error *err)
{
        struct oxl_hasher h;
        struct oxl_digest sum;
        oxl_hasher_init_derive(&h, OXL_CONTEXT_INDEX_BLOCK);
        oxl_hasher_le64(&h, w->at);
        oxl_hasher_update(&h, w->block.bytes.data, w->block.bytes.len);
        oxl_hasher_final(&h, &sum);

        uint8_t row[22];
        le_store64(row, w->at);
        le_store32(row + 8, (uint32_t)w->block.bytes.len);
        le_store32(row + 12, (uint32_t)w->block.entries);
        le_store32(row + 16, (uint32_t)w->block.staged);
        le_store16(row + 20, (uint16_t)w->first.len);
        if (w->table.len + OXL_INDEX_TABLE_BYTES + w->first.len > OXL_INDEX_TABLE_MAX)
                return OXL_FAIL_WHY(err, LIMIT, OXL_INDEX_SHOWN, "it has too many entries");
        int r = oxl_buf_append(&w->table, row, sizeof row, err);
        if (r < 0)
                return r;
        r = oxl_buf_append(&w->table, w->first.data, w->first.len, err);
        if (r < 0)
                return r;
        return oxl_buf_append(&w->table, sum.bytes, OXL_DIGEST_BYTES, err);
}

static int end_block(struct base_writer *w, struct oxl_error *err)
{
        if (w->block.entries == 0)
                return 0;
        int r = append_row(w, err);
        if (r < 0)
                return r;
        r = oxl_stage_write(w->stage, w->block.bytes.data, w->block.bytes.len, err);
        if (r < 0)
                return r;
        w->at += w->block.bytes.len;
        w->entries += w->block.entries;
        w->blocks++;
        oxl_index_encoder_restart(&w->block);
        return 0;
}

static int add_to_base(struct base_writer *w, const struct oxl_index_entry *entry, struct oxl_error *err)
{
        if (w->block.bytes.len + oxl_index_encoder_cost(&w->block, entry) > OXL_INDEX_BLOCK_TARGET) {
                int r = end_block(w, err);
                if (r < 0)
                        return r;
        }
        if (w->block.entries == 0) {
                oxl_buf_clear(&w->first);
                int r = oxl_buf_append(&w->first, entry->path, entry->path_len, err);
                if (r < 0)
                        return r;
        }
        return oxl_index_encoder_add(&w->block, entry, err);
}

static int write_blocks(struct oxl_index_edit *e, struct base_writer *w, struct oxl_error *err)
{
        cleanup_index_cursor struct oxl_index_cursor *c = NULL;
        int r = oxl_index_merge_new(e->x, e, OXL_INDEX_BASE_ALL, "", &c, err);
        if (r < 0)
                return r;
        for (;;) {
                struct oxl_index_entry entry;
                enum oxl_index_layer top;
                bool changed;
                r = oxl_index_merge_next(c, &entry, &top, &changed, err);
                if (r < 0)
                        return r;
                if (r > 0)
                        return end_block(w, err);
                r = is_hidden(&entry) ? 0 : add_to_base(w, &entry, err);
                if (r < 0)
                        return r;
        }
}

/* Appends what follows the blocks: table, its place, and the seal over @header, table and place. */
static int append_end(const struct oxl_repo_id *id, const uint8_t header[OXL_INDEX_HEADER_BYTES], uint64_t table_at,
                      uint64_t blocks, struct oxl_buf *table, struct oxl_error *err)
{
        uint8_t place[24];
        le_store64(place, table_at);
        le_store64(place + 8, table->len);
        le_store64(place + 16, blocks);
        int r = oxl_buf_append(table, place, sizeof place, err);
        if (r < 0)
                return r;
        struct oxl_hasher h;
        struct oxl_digest seal;
        oxl_seal_begin(&h, OXL_INDEX_NAME, id, OXL_INDEX_NAME);
        oxl_hasher_update(&h, header, OXL_INDEX_HEADER_BYTES);
        oxl_hasher_update(&h, table->data, table->len);
        oxl_hasher_final(&h, &seal);
        return oxl_buf_append(table, seal.bytes, OXL_INDEX_SEAL_BYTES, err);
}

static int write_base(struct oxl_index_edit *e, struct oxl_stage *stage, struct oxl_error *err)
{
        uint8_t header[OXL_INDEX_HEADER_BYTES] = { 0 };
        cleanup(base_writer_done) struct base_writer w = { .stage = stage, .at = sizeof header };
        int r = oxl_stage_write(stage, header, sizeof header, err);
        if (r < 0)
                return r;
        r = write_blocks(e, &w, err);
        if (r < 0)
                return r;
        struct oxl_index_header h = { .generation = e->x->base.generation + 1, .entries = w.entries, .tree = e->tree };
        /* The delta that lies beside the new base is in it, or was in the base before it already: stale either way. */
        memcpy(h.other, e->x->delta_seal.bytes, OXL_DIGEST_BYTES);
        oxl_index_header_store(&h, header);
        r = append_end(&e->x->id, header, w.at, w.blocks, &w.table, err);
        if (r < 0)
                return r;
        r = oxl_stage_write(stage, w.table.data, w.table.len, err);
        if (r < 0)
                return r;
        return oxl_stage_write_at(stage, 0, header, sizeof header, err);
}

/* --- staging ---------------------------------------------------------------------------------------------------- */

static void stage_freep(struct oxl_stage **s)
{
        oxl_stage_free(*s);
}

int oxl_index_stage(struct oxl_index_edit *e, struct oxl_durable *d, struct oxl_stage **ret, const char **ret_target,
                    struct oxl_digest *ret_digest, uint64_t *ret_size, struct oxl_error *err)
{
        cleanup_buf struct oxl_buf delta = OXL_BUF_INIT;
        int large = make_delta(e, &delta, err);
        if (large < 0)
                return large;
        const char *target = large ? OXL_INDEX_NAME : OXL_INDEX_DELTA_NAME;
        cleanup(stage_freep) struct oxl_stage *stage = NULL;
        int r = oxl_stage_open(d, "", target, 0, &stage, err);
        if (r < 0)
                return r;
        r = large ? write_base(e, stage, err) : oxl_stage_write(stage, delta.data, delta.len, err);
        if (r < 0)
                return r;
        struct oxl_digest digest;
        uint64_t size;
        /* the header of a base is known last, so its bytes are hashed where they lie */
        int fd = oxl_stage_fd(stage);
        if (fd < 0)
                return OXL_FAIL_OS(err, FILE_OPEN, oxl_stage_path(stage));
        r = oxl_fd_digest(fd, oxl_stage_path(stage), OXL_ALGO_BLAKE3, NULL, &digest, &size, err);
        if (r < 0)
                return r;
        /* CRASH: before this sync nothing refers to the temp; after it a durable intent may (see the file header) */
        r = oxl_stage_sync(stage, err);
        if (r < 0)
                return r;
        *ret_target = target;
        *ret_digest = digest;
        *ret_size = size;
        *ret = take_ptr(&stage);
        return 0;
}

int oxl_index_print_empty(const struct oxl_repo_id *id, struct oxl_buf *ret_base, struct oxl_buf *ret_delta,
                          struct oxl_error *err)
{
        cleanup_buf struct oxl_buf base = OXL_BUF_INIT, end = OXL_BUF_INIT, delta = OXL_BUF_INIT;
        uint8_t header[OXL_INDEX_HEADER_BYTES];
        oxl_index_header_store(&(struct oxl_index_header){ .generation = 1 }, header);
        int r = oxl_buf_append(&base, header, sizeof header, err);
        if (r < 0)
                return r;
        r = append_end(id, header, sizeof header, 0, &end, err);
        if (r < 0)
                return r;
        r = oxl_buf_append(&base, end.data, end.len, err);
        if (r < 0)
                return r;
        struct oxl_index_header h = { .delta = true, .generation = 1 };
        memcpy(h.other, end.data + end.len - OXL_INDEX_SEAL_BYTES, OXL_DIGEST_BYTES);
        oxl_index_header_store(&h, header);
        r = oxl_buf_append(&delta, header, sizeof header, err);
        if (r < 0)
                return r;
        r = seal_delta(id, &delta, err);
        if (r < 0)
                return r;
        *ret_base = base;
        *ret_delta = delta;
        base = delta = (struct oxl_buf)OXL_BUF_INIT;
        return 0;
}
