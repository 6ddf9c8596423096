/* SPDX-License-Identifier: MIT */
/* Bytes of the index files: docs/FORMAT.md section 6. Pure computation. */
#include <string.h>

#include "base/fail.h"
#include "base/path.h"
#include "repo/index_format.h"

enum { VERSION = 1, FLAG_STAGED = 1, SYMLINK_BYTES_MAX = 4095, NS_PER_S = 1000000000 };

static const uint8_t base_magic[8] = { 0x89, 'O', 'X', 'L', 'I', 'D', 'X', '\n' };
static const uint8_t delta_magic[8] = { 0x89, 'O', 'X', 'L', 'I', 'D', 'D', '\n' };

/* --- headers --------------------------------------------------------------------------------------------------- */

void oxl_index_header_store(const struct oxl_index_header *h, uint8_t ret[OXL_INDEX_HEADER_BYTES])
{
        memcpy(ret, h->delta ? delta_magic : base_magic, 8);
        le_store16(ret + 8, VERSION);
        le_store16(ret + 10, OXL_INDEX_HEADER_BYTES);
        le_store32(ret + 12, 0);
        le_store64(ret + 16, h->generation);
        le_store64(ret + 24, h->entries);
        oxl_digest_store(&h->tree, ret + 32);
        memcpy(ret + 64, h->other, OXL_DIGEST_BYTES);
}

int oxl_index_header_load(const uint8_t bytes[OXL_INDEX_HEADER_BYTES], bool delta, struct oxl_index_header *ret,
                          struct oxl_error *err)
{
        const char *name = delta ? OXL_INDEX_DELTA_SHOWN : OXL_INDEX_SHOWN;
        if (memcmp(bytes, delta ? delta_magic : base_magic, 8) != 0)
                return OXL_FAIL_WHY(err, MALFORMED, name, "it does not begin as an index does");
        if (le_load16(bytes + 8) != VERSION)
                return OXL_FAIL_WHY(err, FEATURE, name, "its version is not known");
        if (le_load16(bytes + 10) != OXL_INDEX_HEADER_BYTES || le_load32(bytes + 12) != 0)
                return OXL_FAIL_WHY(err, MALFORMED, name, "its header has a wrong length or unknown flags");
        struct oxl_index_header h = { .delta = delta };
        h.generation = le_load64(bytes + 16);
        h.entries = le_load64(bytes + 24);
        if (h.generation == 0)
                return OXL_FAIL_WHY(err, MALFORMED, name, "its generation is 0");
        if (!oxl_digest_load(OXL_ALGO_BLAKE3, bytes + 32, &h.tree))
                return OXL_FAIL_WHY(err, MALFORMED, name, "its tree is no digest");
        if (oxl_digest_is_zero(&h.tree))
                h.tree = (struct oxl_digest)OXL_DIGEST_INIT;
        memcpy(h.other, bytes + 64, OXL_DIGEST_BYTES);
        *ret = h;
        return 0;
}

/* --- rules of an entry ------------------------------------------------------------------------------------------ */

static size_t count_slashes(const char *p, size_t n)
{
        size_t count = 0;
        for (size_t i = 0; i < n; i++)
                count += p[i] == '/';
        return count;
}

const char *oxl_index_path_problem(const char *path, size_t len, size_t from)
{
        for (const char *at = path + from, *end = path + len;;) {
                const char *slash = at < end ? memchr(at, '/', (size_t)(end - at)) : NULL;
                size_t n = (size_t)((slash ? slash : end) - at);
                const char *problem = oxl_path_name_problem(at, n);
                if (problem)
                        return problem;
                if (!oxl_tree_name_ok(at, n))
                        return "it has a component of a reserved name";
                if (!slash)
                        return NULL;
                at = slash + 1;
        }
}

static bool stat_is_zero(const struct oxl_stat *s)
{
        return s->mtime_s == 0 && s->ctime_s == 0 && s->mtime_ns == 0 && s->ctime_ns == 0 && s->dev == 0 &&
               s->ino == 0 && s->mode == 0;
}

const char *oxl_index_entry_problem(const struct oxl_index_entry *e)
{
        if (e->kind > OXL_ENTRY_SYMLINK)
                return "an entry has an unknown kind";
        if (e->kind == OXL_ENTRY_NONE)
                return e->size != 0 || e->id.algo != OXL_ALGO_NONE || !stat_is_zero(&e->stat)
                               ? "a removed entry has content"
                               : NULL;
        if (e->size > INT64_MAX)
                return "an entry has an impossible size";
        if (e->kind == OXL_ENTRY_SYMLINK && (e->size == 0 || e->size > SYMLINK_BYTES_MAX))
                return "a link has an impossible length";
        if (e->stat.mtime_ns >= NS_PER_S || e->stat.ctime_ns >= NS_PER_S)
                return "an entry has an impossible time";
        return NULL;
}

/* --- writing --------------------------------------------------------------------------------------------------- */

void oxl_index_encoder_done(struct oxl_index_encoder *e)
{
        oxl_buf_done(&e->bytes);
        oxl_buf_done(&e->path);
}

void oxl_index_encoder_restart(struct oxl_index_encoder *e)
{
        oxl_buf_clear(&e->bytes);
        oxl_buf_clear(&e->path);
        e->entries = e->staged = 0;
}

static size_t shared_prefix(const struct oxl_buf *prev, const char *path, size_t len)
{
        size_t n = prev->len < len ? prev->len : len, i = 0;
        while (i < n && prev->data[i] == (uint8_t)path[i])
                i++;
        return i;
}

size_t oxl_index_encoder_cost(const struct oxl_index_encoder *e, const struct oxl_index_entry *entry)
{
        return OXL_INDEX_ENTRY_BYTES + entry->path_len - shared_prefix(&e->path, entry->path, entry->path_len);
}

static void store_fixed(const struct oxl_index_entry *entry, uint8_t *p)
{
        p[0] = (uint8_t)entry->kind;
        p[1] = entry->staged ? FLAG_STAGED : 0;
        le_store64(p + 2, entry->size);
        oxl_digest_store(&entry->id, p + 10);
        le_store64(p + 42, (uint64_t)entry->stat.mtime_s);
        le_store32(p + 50, entry->stat.mtime_ns);
        le_store64(p + 54, (uint64_t)entry->stat.ctime_s);
        le_store32(p + 62, entry->stat.ctime_ns);
        le_store64(p + 66, entry->stat.dev);
        le_store64(p + 74, entry->stat.ino);
        le_store32(p + 82, entry->stat.mode);
}

int oxl_index_encoder_add(struct oxl_index_encoder *e, const struct oxl_index_entry *entry, struct oxl_error *err)
{
        size_t shared = shared_prefix(&e->path, entry->path, entry->path_len), rest = entry->path_len - shared;
        OXL_ASSERT(entry->path_len <= OXL_PATH_BYTES_MAX);
        int r = oxl_buf_reserve(&e->bytes, OXL_INDEX_ENTRY_BYTES + rest, err);
        if (r < 0)
                return r;
        if (rest > 0) {
                e->path.len = shared;
                r = oxl_buf_append(&e->path, entry->path + shared, rest, err);
                if (r < 0)
                        return r;
        }
        uint8_t *p = e->bytes.data + e->bytes.len;
        le_store16(p, (uint16_t)shared);
        le_store16(p + 2, (uint16_t)rest);
        memcpy(p + 4, entry->path + shared, rest);
        store_fixed(entry, p + 4 + rest);
        e->bytes.len += OXL_INDEX_ENTRY_BYTES + rest;
        e->entries++;
        e->staged += entry->staged;
        return 0;
}

/* --- reading --------------------------------------------------------------------------------------------------- */

void oxl_index_decoder_done(struct oxl_index_decoder *d)
{
        oxl_buf_done(&d->path);
}

void oxl_index_decoder_start(struct oxl_index_decoder *d, struct oxl_bytes bytes, enum oxl_algo blob_algo, bool delta)
{
        d->in = oxl_cursor_of(bytes);
        d->algo = blob_algo;
        d->delta = delta;
        d->begun = false;
        d->depth = 0;
        oxl_buf_clear(&d->path);
}

int oxl_index_decoder_resume(struct oxl_index_decoder *d, struct oxl_bytes rest, enum oxl_algo blob_algo, bool delta,
                             struct oxl_bytes path, struct oxl_error *err)
{
        oxl_index_decoder_start(d, rest, blob_algo, delta);
        int r = oxl_buf_append(&d->path, path.data, path.len, err);
        if (r < 0)
                return r;
        d->begun = true;
        d->depth = count_slashes((const char *)path.data, path.len);
        return 0;
}

/* Why the next path, @shared bytes of the last one and then @rest, may not follow; NULL when it may. */
static const char *order_problem(const struct oxl_index_decoder *d, size_t shared, struct oxl_bytes rest)
{
        if (rest.len == 0)
                return "its paths are not in ascending order";
        if (shared > d->path.len || shared + rest.len > OXL_PATH_BYTES_MAX)
                return "a path has an impossible length";
        if (!d->begun || shared == d->path.len)
                return NULL;
        if (rest.data[0] == d->path.data[shared])
                return "a path shares more with the one before it than it says";
        if (oxl_path_compare((const char *)d->path.data + shared, 1, (const char *)rest.data, 1) > 0)
                return "its paths are not in ascending order";
        return NULL;
}

/* Makes the decoder's path the next one. Only components that are new need to be looked at. */
static int advance_path(struct oxl_index_decoder *d, size_t shared, struct oxl_bytes rest, const char **ret_problem,
                        struct oxl_error *err)
{
        *ret_problem = order_problem(d, shared, rest);
        if (*ret_problem)
                return 0;
        d->depth -= d->path.data ? count_slashes((char *)d->path.data + shared, d->path.len - shared) : 0;
        d->depth += count_slashes((const char *)rest.data, rest.len);
        d->path.len = shared;
        int r = oxl_buf_append(&d->path, rest.data, rest.len, err);
        if (r < 0)
                return r;
        const char *path = (const char *)d->path.data;
        size_t from = shared;
        while (from > 0 && path[from - 1] != '/')
                from--;
        *ret_problem =
                d->depth > OXL_DEPTH_MAX ? "a path is too deep" : oxl_index_path_problem(path, d->path.len, from);
        d->begun = true;
        return 0;
}

static const char *load_fixed(struct oxl_index_decoder *d, struct oxl_index_entry *ret)
{
        struct oxl_bytes fixed = oxl_cursor_bytes(&d->in, OXL_INDEX_ENTRY_BYTES - 4);
        if (d->in.failed)
                return "an entry is cut short";
        const uint8_t *p = fixed.data;
        if (p[0] > OXL_ENTRY_SYMLINK || (p[1] & ~FLAG_STAGED) != 0)
                return "an entry has an unknown kind or flag";
        ret->kind = (enum oxl_entry_kind)p[0];
        ret->staged = p[1] & FLAG_STAGED;
        ret->size = le_load64(p + 2);
        enum oxl_algo algo = ret->kind == OXL_ENTRY_NONE ? OXL_ALGO_BLAKE3 : d->algo;
        if (!oxl_digest_load(algo, p + 10, &ret->id))
                return "a digest is not padded with zeros";
        if (ret->kind == OXL_ENTRY_NONE && oxl_digest_is_zero(&ret->id))
                ret->id = (struct oxl_digest)OXL_DIGEST_INIT;
        ret->stat = (struct oxl_stat){
                .mtime_s = (int64_t)le_load64(p + 42),
                .mtime_ns = le_load32(p + 50),
                .ctime_s = (int64_t)le_load64(p + 54),
                .ctime_ns = le_load32(p + 62),
                .dev = le_load64(p + 66),
                .ino = le_load64(p + 74),
                .mode = le_load32(p + 82),
        };
        if (ret->kind == OXL_ENTRY_NONE && !ret->staged && !d->delta)
                return "it holds an entry that is removed but not staged";
        return oxl_index_entry_problem(ret);
}

int oxl_index_decoder_next(struct oxl_index_decoder *d, struct oxl_index_entry *ret, struct oxl_error *err)
{
        const char *name = d->delta ? OXL_INDEX_DELTA_SHOWN : OXL_INDEX_SHOWN;
        if (oxl_cursor_remaining(&d->in) == 0)
                return 1;
        uint16_t shared = oxl_cursor_le16(&d->in);
        uint16_t rest_len = oxl_cursor_le16(&d->in);
        struct oxl_bytes rest = oxl_cursor_bytes(&d->in, rest_len);
        if (d->in.failed)
                return OXL_FAIL_WHY(err, MALFORMED, name, "an entry is cut short");
        struct oxl_index_entry e = { 0 };
        const char *problem = NULL;
        int r = advance_path(d, shared, rest, &problem, err);
        if (r < 0)
                return r;
        if (!problem)
                problem = load_fixed(d, &e);
        if (problem)
                return OXL_FAIL_WHY(err, MALFORMED, name, problem);
        e.path = (const char *)d->path.data;
        e.path_len = d->path.len;
        *ret = e;
        return 0;
}
