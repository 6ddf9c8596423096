/* SPDX-License-Identifier: MIT */
/*
 * Reading the index: opening, lookup, cursors. index_edit.c writes it; index_format.c knows the bytes.
 *
 * Readers take no lock. A writer replaces one of the two files at a time, so a reader may see the base of one update and the
 * delta of another: such a pair is read again while it keeps changing, and is damage only when it stays as it is.
 */
#include <string.h>

#include "base/fail.h"
#include "base/path.h"
#include "os/fdio.h"
#include "repo/index_internal.h"

enum { SAMPLE_BYTES = 4096, OPEN_TRIES = 64 };

/* --- the block table ------------------------------------------------------------------------------------------- */

static int malformed(const char *why, struct oxl_error *err)
{
        return OXL_FAIL_WHY(err, MALFORMED, OXL_INDEX_SHOWN, why);
}

static int read_at(const struct oxl_index *x, uint64_t at, void *buf, size_t n, struct oxl_error *err)
{
        ssize_t got = oxl_fd_pread_full(x->fd, buf, n, at);
        if (got < 0)
                return OXL_FAIL_OS(err, FILE_READ, OXL_INDEX_SHOWN);
        return (size_t)got < n ? malformed("it is cut short", err) : 0;
}

/* Decodes one row; blocks lie without gaps from the header to @end, in order of their first paths. */
static const char *parse_block(struct oxl_cursor *c, const struct oxl_index_block *before, uint64_t end,
                               struct oxl_index_block *ret)
{
        struct oxl_index_block b = { .offset = oxl_cursor_le64(c) };
        b.length = oxl_cursor_le32(c);
        b.entries = oxl_cursor_le32(c);
        b.staged = oxl_cursor_le32(c);
        b.path = oxl_cursor_bytes(c, oxl_cursor_le16(c));
        b.digest = oxl_cursor_bytes(c, OXL_DIGEST_BYTES).data;
        if (c->failed)
                return "its block table is cut short";
        if (b.offset != (before ? before->offset + before->length : OXL_INDEX_HEADER_BYTES))
                return "its blocks have gaps or overlap";
        if (b.length == 0 || b.length > OXL_INDEX_BLOCK_MAX || b.length > end - b.offset)
                return "a block has an impossible length";
        if (b.entries == 0 || b.entries > b.length / OXL_INDEX_ENTRY_BYTES || b.staged > b.entries)
                return "a block has an impossible number of entries";
        if (b.path.len == 0 || (before && oxl_path_compare((const char *)before->path.data, before->path.len,
                                                           (const char *)b.path.data, b.path.len) >= 0))
                return "its blocks are not in ascending order";
        *ret = b;
        return NULL;
}

static int parse_table(struct oxl_index *x, uint64_t end, uint64_t count, struct oxl_error *err)
{
        if (count > x->table.len / OXL_INDEX_TABLE_BYTES)
                return malformed("its block table is too short", err);
        x->blocks = calloc(count + 1, sizeof *x->blocks);
        if (!x->blocks)
                return OXL_FAIL_PLAIN(err, NOMEM);
        struct oxl_cursor c = oxl_cursor_of(oxl_buf_bytes(&x->table));
        uint64_t entries = 0, at = OXL_INDEX_HEADER_BYTES;
        for (; x->n_blocks < count; x->n_blocks++) {
                struct oxl_index_block *b = x->blocks + x->n_blocks;
                const char *problem = parse_block(&c, x->n_blocks > 0 ? b - 1 : NULL, end, b);
                if (problem)
                        return malformed(problem, err);
                entries += b->entries;
                at = b->offset + b->length;
        }
        if (oxl_cursor_remaining(&c) != 0 || at != end)
                return malformed("its block table does not cover it", err);
        return entries != x->base.entries ? malformed("its number of entries is wrong", err) : 0;
}

/* --- the base -------------------------------------------------------------------------------------------------- */

static int check_seal(const struct oxl_digest *got, const uint8_t *stored, const char *name, struct oxl_digest *ret,
                      struct oxl_error *err)
{
        struct oxl_digest want;
        if (!oxl_digest_load(OXL_ALGO_BLAKE3, stored, &want) || !oxl_digest_equal(&want, got))
                return OXL_FAIL_OBJECT(err, SEAL, name, &want, got);
        *ret = want;
        return 0;
}

static int read_table(struct oxl_index *x, uint64_t at, uint64_t n, struct oxl_error *err)
{
        if (n > OXL_INDEX_TABLE_MAX)
                return malformed("its block table is too long", err);
        int r = oxl_buf_reserve(&x->table, (size_t)n, err);
        if (r < 0)
                return r;
        r = read_at(x, at, x->table.data, (size_t)n, err);
        if (r < 0)
                return r;
        x->table.len = (size_t)n;
        return 0;
}

static int load_base(struct oxl_index *x, struct oxl_error *err)
{
        struct stat st;
        if (oxl_fd_stat(x->fd, &st) < 0)
                return OXL_FAIL_OS(err, FILE_STAT, OXL_INDEX_SHOWN);
        if (!S_ISREG(st.st_mode) || st.st_size < (off_t)(OXL_INDEX_HEADER_BYTES + OXL_INDEX_TAIL_BYTES))
                return malformed("it is too short, or no file", err);
        x->bytes = (uint64_t)st.st_size;
        uint8_t header[OXL_INDEX_HEADER_BYTES], tail[OXL_INDEX_TAIL_BYTES];
        int r = read_at(x, 0, header, sizeof header, err);
        if (r < 0)
                return r;
        uint64_t tail_at = x->bytes - sizeof tail;
        r = read_at(x, tail_at, tail, sizeof tail, err);
        if (r < 0)
                return r;
        r = oxl_index_header_load(header, false, &x->base, err);
        if (r < 0)
                return r;
        uint64_t table_at = le_load64(tail), table_len = le_load64(tail + 8);
        if (table_at < OXL_INDEX_HEADER_BYTES || table_at > tail_at || table_len != tail_at - table_at)
                return malformed("its block table is not where it should be", err);
        r = read_table(x, table_at, table_len, err);
        if (r < 0)
                return r;
        struct oxl_hasher h;
        struct oxl_digest got;
        oxl_seal_begin(&h, OXL_INDEX_NAME, &x->id, OXL_INDEX_NAME);
        oxl_hasher_update(&h, header, sizeof header);
        oxl_hasher_update(&h, x->table.data, x->table.len);
        oxl_hasher_update(&h, tail, sizeof tail - OXL_INDEX_SEAL_BYTES);
        oxl_hasher_final(&h, &got);
        r = check_seal(&got, tail + 24, OXL_INDEX_SHOWN, &x->base_seal, err);
        return r < 0 ? r : parse_table(x, table_at, le_load64(tail + 16), err);
}

/* --- the delta ------------------------------------------------------------------------------------------------- */

static int load_delta(struct oxl_index *x, int fd, struct oxl_error *err)
{
        if (oxl_fd_read_all(fd, OXL_INDEX_DELTA_MAX, &x->delta_bytes) < 0)
                return errno == EFBIG ? OXL_FAIL_WHY(err, MALFORMED, OXL_INDEX_DELTA_SHOWN, "it is too long")
                                      : OXL_FAIL_OS(err, FILE_READ, OXL_INDEX_DELTA_SHOWN);
        struct oxl_bytes all = oxl_buf_bytes(&x->delta_bytes);
        if (all.len < OXL_INDEX_HEADER_BYTES + OXL_INDEX_SEAL_BYTES)
                return OXL_FAIL_WHY(err, MALFORMED, OXL_INDEX_DELTA_SHOWN, "it is too short");
        int r = oxl_index_header_load(all.data, true, &x->delta, err);
        if (r < 0)
                return r;
        size_t body = all.len - OXL_INDEX_SEAL_BYTES;
        struct oxl_hasher h;
        struct oxl_digest got;
        oxl_seal_begin(&h, OXL_INDEX_DELTA_NAME, &x->id, OXL_INDEX_DELTA_NAME);
        oxl_hasher_update(&h, all.data, body);
        oxl_hasher_final(&h, &got);
        r = check_seal(&got, all.data + body, OXL_INDEX_DELTA_SHOWN, &x->delta_seal, err);
        if (r < 0)
                return r;
        x->delta_entries = oxl_bytes_of(all.data + OXL_INDEX_HEADER_BYTES, body - OXL_INDEX_HEADER_BYTES);
        return 0;
}

static int add_sample(struct oxl_index *x, size_t at, const struct oxl_buf *before, size_t *cap, struct oxl_error *err)
{
        if (x->n_samples == *cap) {
                size_t want = *cap * 2 + 8;
                void *p = realloc(x->samples, want * sizeof *x->samples);
                if (!p)
                        return OXL_FAIL_PLAIN(err, NOMEM);
                x->samples = p;
                *cap = want;
        }
        char *copy = malloc(before->len + 1);
        if (!copy)
                return OXL_FAIL_PLAIN(err, NOMEM);
        if (before->len > 0)
                memcpy(copy, before->data, before->len);
        copy[before->len] = 0;
        x->samples[x->n_samples++] = (struct oxl_index_sample){ at, copy, before->len };
        return 0;
}

/* Decodes the whole delta once: checks every entry and notes where later decoding may begin. */
static int scan_delta(struct oxl_index *x, struct oxl_error *err)
{
        cleanup_index_decoder struct oxl_index_decoder d = OXL_INDEX_DECODER_INIT;
        struct oxl_index_entry e;
        uint64_t entries = 0;
        size_t cap = 0, last = 0;
        oxl_index_decoder_start(&d, x->delta_entries, x->blob_algo, true);
        int r = add_sample(x, 0, &d.path, &cap, err);
        while (r == 0) {
                size_t at = x->delta_entries.len - oxl_cursor_remaining(&d.in);
                if (at - last >= SAMPLE_BYTES && at - last >= d.path.len) {
                        r = add_sample(x, at, &d.path, &cap, err);
                        if (r < 0)
                                return r;
                        last = at;
                }
                r = oxl_index_decoder_next(&d, &e, err);
                entries += r == 0;
        }
        if (r < 0)
                return r;
        if (entries != x->delta.entries)
                return OXL_FAIL_WHY(err, MALFORMED, OXL_INDEX_DELTA_SHOWN, "its number of entries is wrong");
        return 0;
}

/* FORMAT section 6: 0 it applies or is stale; 1 it is of another base. */
static int match_delta(struct oxl_index *x)
{
        if (memcmp(x->delta.other, x->base_seal.bytes, OXL_DIGEST_BYTES) == 0)
                x->delta_applies = true;
        else if (memcmp(x->base.other, x->delta_seal.bytes, OXL_DIGEST_BYTES) != 0)
                return 1;
        return 0;
}

/* --- opening --------------------------------------------------------------------------------------------------- */

static int open_file(int root_fd, const char *name, const char *shown, int *ret, struct oxl_error *err)
{
        int fd = oxl_open_beneath(root_fd, name, O_RDONLY | O_NONBLOCK, 0);
        if (fd < 0)
                return OXL_FAIL_OS(err, FILE_OPEN, shown);
        *ret = fd;
        return 0;
}

static void index_freep(struct oxl_index **x)
{
        oxl_index_free(*x);
}

/* One look at both files. 1: the delta is of another base. */
static int open_once(int root_fd, const struct oxl_repo_id *id, enum oxl_algo blob_algo, struct oxl_index **ret,
                     struct oxl_error *err)
{
        cleanup(index_freep) struct oxl_index *x = calloc(1, sizeof *x);
        if (!x)
                return OXL_FAIL_PLAIN(err, NOMEM);
        x->fd = -1;
        x->id = *id;
        x->blob_algo = blob_algo;
        oxl_index_stream_init(x->find, x, false, false);
        oxl_index_stream_init(x->find + 1, x, true, false);
        int r = open_file(root_fd, OXL_INDEX_NAME, OXL_INDEX_SHOWN, &x->fd, err);
        if (r < 0)
                return r;
        cleanup_fd int delta_fd = -1;
        r = open_file(root_fd, OXL_INDEX_DELTA_NAME, OXL_INDEX_DELTA_SHOWN, &delta_fd, err);
        if (r < 0)
                return r;
        r = load_base(x, err);
        if (r < 0)
                return r;
        r = load_delta(x, delta_fd, err);
        if (r < 0)
                return r;
        int other = match_delta(x);
        *ret = take_ptr(&x);
        return other;
}

/* The delta matches: believes its fields, or sets a stale one aside. */
static int finish_open(struct oxl_index *x, struct oxl_error *err)
{
        int r = scan_delta(x, err);
        if (r < 0)
                return r;
        if (x->delta_applies && x->delta.generation != x->base.generation)
                return OXL_FAIL_WHY(err, MALFORMED, OXL_INDEX_DELTA_SHOWN, "its generation is not the base's");
        x->tree = x->delta_applies ? x->delta.tree : x->base.tree;
        if (!x->delta_applies) {
                for (size_t i = 0; i < x->n_samples; i++)
                        free(x->samples[i].before);
                x->n_samples = 0;
                x->delta_entries = (struct oxl_bytes)OXL_BYTES_INIT;
        }
        return 0;
}

static bool same_pair(const struct oxl_index *a, const struct oxl_index *b)
{
        return oxl_digest_equal(&a->base_seal, &b->base_seal) && oxl_digest_equal(&a->delta_seal, &b->delta_seal);
}

int oxl_index_open(int root_fd, const struct oxl_repo_id *id, enum oxl_algo blob_algo, struct oxl_index **ret,
                   struct oxl_error *err)
{
        cleanup(index_freep) struct oxl_index *before = NULL;
        for (int tries = 0; tries < OPEN_TRIES; tries++) {
                cleanup(index_freep) struct oxl_index *x = NULL;
                int r = open_once(root_fd, id, blob_algo, &x, err);
                if (r < 0)
                        return r;
                OXL_ASSERT(x); /* gcc cannot see it through the cleanup attribute */
                if (r == 0) {
                        r = finish_open(x, err);
                        if (r == 0)
                                *ret = take_ptr(&x);
                        return r;
                }
                if (before && same_pair(before, x))
                        break;
                oxl_index_free(before);
                before = take_ptr(&x);
        }
        return OXL_FAIL_WHY(err, MALFORMED, OXL_INDEX_DELTA_SHOWN, "the delta belongs to another base");
}

void oxl_index_free(struct oxl_index *x)
{
        if (!x)
                return;
        oxl_index_stream_done(x->find);
        oxl_index_stream_done(x->find + 1);
        for (size_t i = 0; i < x->n_samples; i++)
                free(x->samples[i].before);
        free(x->samples);
        free(x->blocks);
        oxl_buf_done(&x->table);
        oxl_buf_done(&x->delta_bytes);
        oxl_fd_done(&x->fd);
        free(x);
}

const struct oxl_digest *oxl_index_tree(const struct oxl_index *x)
{
        return &x->tree;
}

uint64_t oxl_index_count_bound(const struct oxl_index *x)
{
        return x->base.entries + (x->delta_applies ? x->delta.entries : 0);
}

uint64_t oxl_index_staged_bound(const struct oxl_index *x)
{
        uint64_t n = x->delta_applies ? x->delta.entries : 0;
        for (size_t i = 0; i < x->n_blocks; i++)
                n += x->blocks[i].staged;
        return n;
}

/* --- streams --------------------------------------------------------------------------------------------------- */

void oxl_index_stream_init(struct oxl_index_stream *s, struct oxl_index *x, bool delta, bool staged_blocks)
{
        *s = (struct oxl_index_stream){ .x = x, .delta = delta, .staged_blocks = staged_blocks };
}

void oxl_index_stream_done(struct oxl_index_stream *s)
{
        oxl_buf_done(&s->block);
        oxl_index_decoder_done(&s->decoder);
}

/* Reads block @i and verifies its checksum. */
static int load_block(struct oxl_index_stream *s, size_t i, struct oxl_error *err)
{
        const struct oxl_index_block *b = s->x->blocks + i;
        oxl_buf_clear(&s->block);
        int r = oxl_buf_reserve(&s->block, b->length, err);
        if (r < 0)
                return r;
        r = read_at(s->x, b->offset, s->block.data, b->length, err);
        if (r < 0)
                return r;
        s->block.len = b->length;
        struct oxl_hasher h;
        struct oxl_digest got, unused;
        oxl_hasher_init_derive(&h, OXL_CONTEXT_INDEX_BLOCK);
        oxl_hasher_le64(&h, b->offset);
        oxl_hasher_update(&h, s->block.data, b->length);
        oxl_hasher_final(&h, &got);
        r = check_seal(&got, b->digest, OXL_INDEX_SHOWN, &unused, err);
        if (r < 0)
                return r;
        s->unit = i;
        s->left = b->entries;
        s->staged_left = b->staged;
        oxl_index_decoder_start(&s->decoder, oxl_buf_bytes(&s->block), s->x->blob_algo, false);
        return 0;
}

/* Loads the first block from @i on that the stream does not leave out. 1: there is none. */
static int load_block_from(struct oxl_index_stream *s, size_t i, struct oxl_error *err)
{
        while (i < s->x->n_blocks && s->staged_blocks && s->x->blocks[i].staged == 0)
                i++;
        return i < s->x->n_blocks ? load_block(s, i, err) : 1;
}

/* What the table says about the block against the entry just decoded, or (with @end) against the whole block. */
static int check_against_table(struct oxl_index_stream *s, bool end, struct oxl_error *err)
{
        const struct oxl_index_block *b = s->x->blocks + s->unit;
        if (end) {
                struct oxl_bytes last = oxl_buf_bytes(&s->decoder.path);
                if (s->left != 0 || s->staged_left != 0)
                        return malformed("a block has fewer entries than the table says", err);
                if (s->unit + 1 < s->x->n_blocks && oxl_path_compare((const char *)last.data, last.len,
                                                                     (const char *)b[1].path.data, b[1].path.len) >= 0)
                        return malformed("its blocks are not in ascending order", err);
                return 0;
        }
        if (s->left == b->entries && !oxl_bytes_equal(oxl_bytes_of(s->entry.path, s->entry.path_len), b->path))
                return malformed("a block does not begin as the table says", err);
        if (s->left == 0 || (s->entry.staged && s->staged_left == 0))
                return malformed("a block has more entries than the table says", err);
        s->left--;
        s->staged_left -= s->entry.staged;
        return 0;
}

int oxl_index_stream_next(struct oxl_index_stream *s, struct oxl_error *err)
{
        s->has = false;
        for (;;) {
                int r = oxl_index_decoder_next(&s->decoder, &s->entry, err);
                if (r < 0)
                        return r;
                if (r > 0 && (s->delta || s->x->n_blocks == 0))
                        return 0;
                if (!s->delta) {
                        int q = check_against_table(s, r > 0, err);
                        if (q < 0)
                                return q;
                }
                if (r == 0) {
                        s->has = true;
                        return 0;
                }
                r = load_block_from(s, s->unit + 1, err);
                if (r != 0)
                        return r < 0 ? r : 0;
        }
}

/* The last block, or sample, that begins at or before @path; 0 when all begin after it. */
static size_t unit_of(const struct oxl_index_stream *s, const char *path, size_t len)
{
        size_t low = 0, high = s->delta ? s->x->n_samples : s->x->n_blocks;
        while (high - low > 1) {
                size_t mid = low + (high - low) / 2;
                const struct oxl_index_sample *sample = s->x->samples + mid;
                int order = s->delta ? oxl_path_compare(sample->before, sample->before_len, path, len)
                                     : oxl_path_compare((const char *)s->x->blocks[mid].path.data,
                                                        s->x->blocks[mid].path.len, path, len);
                /* a sample begins after the path it remembers */
                if (order < 0 || (order == 0 && !s->delta))
                        low = mid;
                else
                        high = mid;
        }
        return low;
}

/* Places the decoder at the beginning of @unit. 1: nothing there. */
static int enter_unit(struct oxl_index_stream *s, size_t unit, struct oxl_error *err)
{
        s->has = false;
        if (!s->delta)
                return load_block_from(s, unit, err);
        if (unit >= s->x->n_samples)
                return 1;
        const struct oxl_index_sample *sample = s->x->samples + unit;
        struct oxl_bytes rest = { s->x->delta_entries.data + sample->at, s->x->delta_entries.len - sample->at };
        s->unit = unit;
        if (unit == 0) {
                oxl_index_decoder_start(&s->decoder, rest, s->x->blob_algo, true);
                return 0;
        }
        return oxl_index_decoder_resume(&s->decoder, rest, s->x->blob_algo, true,
                                        oxl_bytes_of(sample->before, sample->before_len), err);
}

int oxl_index_stream_seek(struct oxl_index_stream *s, const char *path, size_t len, struct oxl_error *err)
{
        size_t unit = unit_of(s, path, len);
        /* Lookups mostly come in order: go on from where the last one ended when that is not beyond. */
        if (!s->has || s->unit != unit || oxl_path_compare(s->entry.path, s->entry.path_len, path, len) > 0) {
                int r = enter_unit(s, unit, err);
                if (r != 0)
                        return r < 0 ? r : 0;
                r = oxl_index_stream_next(s, err);
                if (r < 0)
                        return r;
        }
        while (s->has && oxl_path_compare(s->entry.path, s->entry.path_len, path, len) < 0) {
                int r = oxl_index_stream_next(s, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* --- lookup ---------------------------------------------------------------------------------------------------- */

static bool is_path(const struct oxl_index_entry *e, const char *path, size_t len)
{
        return e->path_len == len && memcmp(e->path, path, len) == 0;
}

static int find(struct oxl_index_stream *s, const char *path, size_t len, struct oxl_error *err)
{
        int r = oxl_index_stream_seek(s, path, len, err);
        if (r < 0)
                return r;
        return s->has && is_path(&s->entry, path, len) ? 0 : 1;
}

int oxl_index_base_has(struct oxl_index *x, const char *path, size_t len, struct oxl_error *err)
{
        return find(x->find, path, len, err);
}

int oxl_index_lookup(struct oxl_index *x, const char *path, size_t path_len, struct oxl_index_entry *ret,
                     struct oxl_error *err)
{
        for (size_t i = 2; i-- > 0;) {
                int r = find(x->find + i, path, path_len, err);
                if (r < 0)
                        return r;
                if (r > 0)
                        continue;
                const struct oxl_index_entry *e = &x->find[i].entry;
                if (e->kind == OXL_ENTRY_NONE && !e->staged)
                        return 1;
                *ret = *e;
                return 0;
        }
        return 1;
}

/* --- the merge ------------------------------------------------------------------------------------------------- */

static int start_merge(struct oxl_index_cursor *c, struct oxl_error *err)
{
        if (c->base_use != OXL_INDEX_BASE_NONE) {
                int r = oxl_index_stream_seek(c->stream, c->from, c->from_len, err);
                if (r < 0)
                        return r;
        }
        if (c->edit) {
                oxl_index_edit_sort(c->edit);
                c->edit_at = oxl_index_edit_lower_bound(c->edit, c->from, c->from_len);
                c->edit_has = oxl_index_edit_at(c->edit, c->edit_at, &c->edit_entry);
        }
        return oxl_index_stream_seek(c->stream + 1, c->from, c->from_len, err);
}

int oxl_index_merge_new(struct oxl_index *x, struct oxl_index_edit *edit, enum oxl_index_base_use base_use,
                        const char *from, struct oxl_index_cursor **ret, struct oxl_error *err)
{
        cleanup_index_cursor struct oxl_index_cursor *c = calloc(1, sizeof *c);
        if (!c)
                return OXL_FAIL_PLAIN(err, NOMEM);
        c->x = x;
        c->edit = edit;
        c->base_use = base_use;
        oxl_index_stream_init(c->stream, x, false, base_use == OXL_INDEX_BASE_STAGED);
        oxl_index_stream_init(c->stream + 1, x, true, false);
        c->from = strdup(from);
        if (!c->from)
                return OXL_FAIL_PLAIN(err, NOMEM);
        c->from_len = strlen(from);
        int r = start_merge(c, err);
        if (r < 0)
                return r;
        *ret = take_ptr(&c);
        return 0;
}

void oxl_index_cursor_free(struct oxl_index_cursor *c)
{
        if (!c)
                return;
        oxl_index_stream_done(c->stream);
        oxl_index_stream_done(c->stream + 1);
        free(c->from);
        free(c);
}

/* Moves the layers whose entry was handed out: their paths were borrowed until now. */
static int advance_used(struct oxl_index_cursor *c, struct oxl_error *err)
{
        unsigned used = c->used;
        c->used = 0;
        for (unsigned i = 0; i < 2; i++) {
                int r = used & 1u << i ? oxl_index_stream_next(c->stream + i, err) : 0;
                if (r < 0)
                        return r;
        }
        if (used & 1u << OXL_INDEX_EDIT)
                c->edit_has = oxl_index_edit_at(c->edit, ++c->edit_at, &c->edit_entry);
        return 0;
}

/* The current entry of each layer; NULL at its end. */
static const struct oxl_index_entry *layer_entry(const struct oxl_index_cursor *c, unsigned layer)
{
        if (layer == OXL_INDEX_EDIT)
                return c->edit_has ? &c->edit_entry : NULL;
        return c->stream[layer].has ? &c->stream[layer].entry : NULL;
}

int oxl_index_merge_next(struct oxl_index_cursor *c, struct oxl_index_entry *ret, enum oxl_index_layer *ret_top,
                         bool *ret_changed, struct oxl_error *err)
{
        int r = advance_used(c, err);
        if (r < 0)
                return r;
        const struct oxl_index_entry *least = NULL;
        for (unsigned i = 0; i < OXL_INDEX_LAYERS; i++) {
                const struct oxl_index_entry *e = layer_entry(c, i);
                int order = !e ? 1 : !least ? -1 : oxl_path_compare(e->path, e->path_len, least->path, least->path_len);
                if (order > 0)
                        continue;
                c->used = (order == 0 ? c->used : 0) | 1u << i;
                least = e; /* of the same path the uppermost layer counts */
                *ret_top = (enum oxl_index_layer)i;
        }
        if (!least)
                return 1;
        *ret = *least;
        /* the edit itself knows which of its entries came before the commit */
        *ret_changed = least->staged && *ret_top != OXL_INDEX_EDIT && c->edit && oxl_index_edit_commits(c->edit);
        if (*ret_changed)
                ret->staged = false;
        return 0;
}

/* --- cursors --------------------------------------------------------------------------------------------------- */

int oxl_index_cursor_new(struct oxl_index *x, const char *from, unsigned flags, struct oxl_index_cursor **ret,
                         struct oxl_error *err)
{
        bool staged = flags & OXL_INDEX_STAGED_ONLY;
        int r = oxl_index_merge_new(x, NULL, staged ? OXL_INDEX_BASE_STAGED : OXL_INDEX_BASE_ALL, from, ret, err);
        if (r == 0)
                (*ret)->staged_only = staged;
        return r;
}

int oxl_index_edit_cursor_new(struct oxl_index_edit *e, const char *from, unsigned flags, struct oxl_index_cursor **ret,
                              struct oxl_error *err)
{
        bool staged = flags & OXL_INDEX_STAGED_ONLY;
        int r = oxl_index_merge_new(oxl_index_edit_index(e), e, staged ? OXL_INDEX_BASE_STAGED : OXL_INDEX_BASE_ALL,
                                    from, ret, err);
        if (r == 0)
                (*ret)->staged_only = staged;
        return r;
}

static bool within(const struct oxl_index_cursor *c, const struct oxl_index_entry *e)
{
        return c->from_len == 0 || (e->path_len >= c->from_len && memcmp(e->path, c->from, c->from_len) == 0 &&
                                    (e->path_len == c->from_len || e->path[c->from_len] == '/'));
}

int oxl_index_cursor_next(struct oxl_index_cursor *c, struct oxl_index_entry *ret, struct oxl_error *err)
{
        for (;;) {
                struct oxl_index_entry e;
                enum oxl_index_layer top;
                bool changed;
                int r = oxl_index_merge_next(c, &e, &top, &changed, err);
                if (r != 0)
                        return r;
                if (!within(c, &e))
                        return 1;
                if ((e.kind == OXL_ENTRY_NONE && !e.staged) || (c->staged_only && !e.staged))
                        continue;
                *ret = e;
                return 0;
        }
}

/* --- verification ---------------------------------------------------------------------------------------------- */

int oxl_index_verify(struct oxl_index *x, struct oxl_error *err)
{
        struct oxl_index_stream s;
        oxl_index_stream_init(&s, x, false, false);
        uint64_t entries = 0;
        int r = oxl_index_stream_seek(&s, "", 0, err);
        while (r == 0 && s.has) {
                entries++;
                r = oxl_index_stream_next(&s, err);
        }
        oxl_index_stream_done(&s);
        if (r < 0)
                return r;
        return entries != x->base.entries ? malformed("its number of entries is wrong", err) : 0;
}
