/* SPDX-License-Identifier: MIT */
/*
 * versions/packs/lookup, see lookup.h. Reading: lengths are checked against the file's size at opening, everything else
 * when it is used; a failure to read means "no answer", because the packs have it.
 *
 * What a crash leaves: the old file, or the new name with any content (it is not synced), which the header check, the
 * records, or oxl_lookup_sealed() find out.
 */
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/le.h"
#include "objects/lookup.h"
#include "os/fdio.h"

#define MAGIC "\x89OXLLKP\n"
#define HEADER_BYTES 64
#define FANOUT 256
#define FANOUT_BYTES (FANOUT * 8)
#define FIXED_BYTES (HEADER_BYTES + FANOUT_BYTES)
#define SEAL_BYTES 32
#define BLOCK_ENTRIES 85 /* a page */

struct oxl_lookup {
        int fd;
        dev_t dev;
        ino_t ino;
        struct timespec mtime;
        uint64_t packs, entries, entries_at, size;
        uint8_t fixed[FIXED_BYTES]; /* header and fan-out */
        uint8_t *ids;               /* packs * 32 */
        uint8_t block[BLOCK_ENTRIES * OXL_LOOKUP_ENTRY_BYTES];
        uint64_t block_first;
        size_t block_count;
        int os; /* of the first read that failed since somebody asked */
};

static uint64_t fanout(const struct oxl_lookup *l, unsigned i)
{
        return le_load64(l->fixed + HEADER_BYTES + 8 * i);
}

/* --- opening ---------------------------------------------------------------------------------------------------- */

static bool read_exactly(struct oxl_lookup *l, void *buf, size_t n, uint64_t at)
{
        ssize_t got = oxl_fd_pread_full(l->fd, buf, n, at);
        if (got < 0 && !l->os)
                l->os = errno;
        return got == (ssize_t)n;
}

static bool lengths_fit(struct oxl_lookup *l)
{
        uint64_t ids, entries, sum;
        l->packs = le_load64(l->fixed + 16);
        l->entries = le_load64(l->fixed + 24);
        if (__builtin_mul_overflow(l->packs, (uint64_t)OXL_DIGEST_BYTES, &ids) ||
            __builtin_mul_overflow(l->entries, (uint64_t)OXL_LOOKUP_ENTRY_BYTES, &entries) ||
            __builtin_add_overflow(ids, entries, &sum) || __builtin_add_overflow(sum, FIXED_BYTES + SEAL_BYTES, &sum))
                return false;
        l->entries_at = FIXED_BYTES + ids;
        return sum == l->size && l->packs < UINT32_MAX;
}

static bool fixed_ok(struct oxl_lookup *l)
{
        static const uint8_t zero[32];
        if (!read_exactly(l, l->fixed, FIXED_BYTES, 0) || memcmp(l->fixed, MAGIC, 8) != 0 ||
            le_load16(l->fixed + 8) != 1 || le_load16(l->fixed + 10) != HEADER_BYTES || le_load32(l->fixed + 12) != 0 ||
            memcmp(l->fixed + 32, zero, sizeof(zero)) != 0 || !lengths_fit(l))
                return false;
        for (unsigned i = 1; i < FANOUT; i++)
                if (fanout(l, i) < fanout(l, i - 1))
                        return false;
        return fanout(l, FANOUT - 1) == l->entries;
}

static bool read_ids(struct oxl_lookup *l)
{
        if (!read_exactly(l, l->ids, (size_t)l->packs * OXL_DIGEST_BYTES, FIXED_BYTES))
                return false;
        for (uint64_t i = 1; i < l->packs; i++)
                if (memcmp(l->ids + (i - 1) * OXL_DIGEST_BYTES, l->ids + i * OXL_DIGEST_BYTES, OXL_DIGEST_BYTES) >= 0)
                        return false;
        return true;
}

static void lookup_freep(struct oxl_lookup **l)
{
        oxl_lookup_free(*l);
}

int oxl_lookup_take_os(struct oxl_lookup *l)
{
        int os = l->os;
        l->os = 0;
        return os;
}

static int not_usable(const struct oxl_lookup *l, struct oxl_error *err)
{
        if (!l->os)
                return OXL_LOOKUP_NONE;
        errno = l->os;
        OXL_IGNORE(OXL_FAIL_OS(err, FILE_READ, OXL_LOOKUP_PATH), "the outcome says it");
        return OXL_LOOKUP_UNREADABLE;
}

int oxl_lookup_open(int root_fd, struct oxl_lookup **ret, struct oxl_error *err)
{
        struct stat st;
        cleanup_fd int fd = oxl_open_beneath(root_fd, OXL_LOOKUP_PATH, O_RDONLY | O_NONBLOCK, 0);
        if (fd < 0 && (errno == ENOENT || errno == ELOOP || errno == ENXIO || errno == ENOTDIR))
                return OXL_LOOKUP_NONE;
        if (fd < 0 || oxl_fd_stat(fd, &st) < 0) {
                OXL_IGNORE(OXL_FAIL_OS(err, FILE_OPEN, OXL_LOOKUP_PATH), "the outcome says it");
                return OXL_LOOKUP_UNREADABLE;
        }
        if (!S_ISREG(st.st_mode))
                return OXL_LOOKUP_NONE;
        cleanup(lookup_freep) struct oxl_lookup *l = calloc(1, sizeof(*l));
        if (!l)
                return OXL_FAIL_PLAIN(err, NOMEM);
        l->fd = take_fd(&fd);
        l->dev = st.st_dev;
        l->ino = st.st_ino;
        l->mtime = st.st_mtim;
        l->size = (uint64_t)st.st_size;
        if (!fixed_ok(l))
                return not_usable(l, err);
        l->ids = malloc((size_t)l->packs * OXL_DIGEST_BYTES + 1); /* no more than the file has: lengths_fit() */
        if (!l->ids)
                return OXL_FAIL_PLAIN(err, NOMEM);
        if (!read_ids(l))
                return not_usable(l, err);
        *ret = take_ptr(&l);
        return 0;
}

void oxl_lookup_free(struct oxl_lookup *l)
{
        if (!l)
                return;
        oxl_fd_done(&l->fd);
        free(l->ids);
        free(l);
}

bool oxl_lookup_current(struct oxl_lookup *l, int root_fd)
{
        struct stat st = { 0 };
        cleanup_fd int fd = oxl_open_beneath(root_fd, OXL_LOOKUP_PATH, O_RDONLY | O_NONBLOCK, 0);
        if ((fd < 0 && errno != ENOENT) || (fd >= 0 && oxl_fd_stat(fd, &st) < 0)) {
                l->os = errno;
                return false;
        }
        return fd >= 0 && st.st_dev == l->dev && st.st_ino == l->ino && st.st_mtim.tv_sec == l->mtime.tv_sec &&
               st.st_mtim.tv_nsec == l->mtime.tv_nsec;
}

uint64_t oxl_lookup_packs(const struct oxl_lookup *l)
{
        return l->packs;
}

uint64_t oxl_lookup_entries(const struct oxl_lookup *l)
{
        return l->entries;
}

void oxl_lookup_pack(const struct oxl_lookup *l, uint64_t i, struct oxl_digest *ret)
{
        ret->algo = OXL_ALGO_BLAKE3;
        memcpy(ret->bytes, l->ids + i * OXL_DIGEST_BYTES, OXL_DIGEST_BYTES);
}

static int compare_bytes(const void *a, const void *b)
{
        return memcmp(a, b, OXL_DIGEST_BYTES);
}

uint32_t oxl_lookup_pack_position(const struct oxl_lookup *l, const struct oxl_digest *id)
{
        const uint8_t *found =
                l->packs ? bsearch(id->bytes, l->ids, (size_t)l->packs, OXL_DIGEST_BYTES, compare_bytes) : NULL;
        return found ? (uint32_t)((size_t)(found - l->ids) / OXL_DIGEST_BYTES) : UINT32_MAX;
}

/* --- entries ---------------------------------------------------------------------------------------------------- */

void oxl_lookup_entry_encode(const struct oxl_lookup_hit *hit, uint8_t ret[OXL_LOOKUP_ENTRY_BYTES])
{
        memcpy(ret, hit->id, OXL_DIGEST_BYTES);
        le_store32(ret + 32, hit->pack);
        le_store32(ret + 36, hit->kind);
        le_store64(ret + 40, hit->offset);
}

static void entry_decode(const uint8_t *b, struct oxl_lookup_hit *ret)
{
        memcpy(ret->id, b, OXL_DIGEST_BYTES);
        ret->pack = le_load32(b + 32);
        ret->kind = le_load32(b + 36);
        ret->offset = le_load64(b + 40);
}

/* Puts the entries from @first on into the block. */
static bool load_block(struct oxl_lookup *l, uint64_t first)
{
        uint64_t left = l->entries - first;
        size_t count = left < BLOCK_ENTRIES ? (size_t)left : BLOCK_ENTRIES;
        l->block_count = 0;
        if (!read_exactly(l, l->block, count * OXL_LOOKUP_ENTRY_BYTES, l->entries_at + first * OXL_LOOKUP_ENTRY_BYTES))
                return false;
        l->block_first = first;
        l->block_count = count;
        return true;
}

int oxl_lookup_at(struct oxl_lookup *l, uint64_t i, struct oxl_lookup_hit *ret)
{
        if (i >= l->entries)
                return OXL_LOOKUP_NONE;
        bool held = l->block_count > 0 && i >= l->block_first && i < l->block_first + l->block_count;
        if (!held && !load_block(l, i))
                return OXL_LOOKUP_NONE;
        entry_decode(l->block + (i - l->block_first) * OXL_LOOKUP_ENTRY_BYTES, ret);
        return 0;
}

int oxl_lookup_lower_bound(struct oxl_lookup *l, const uint8_t id[OXL_DIGEST_BYTES], uint64_t *ret)
{
        uint64_t low = id[0] ? fanout(l, id[0] - 1u) : 0, high = fanout(l, id[0]);
        while (low < high) {
                uint64_t middle = low + (high - low) / 2;
                struct oxl_lookup_hit hit;
                if (high - low <= BLOCK_ENTRIES &&
                    (l->block_count == 0 || low < l->block_first || high > l->block_first + l->block_count))
                        OXL_IGNORE(load_block(l, low), "the read that follows tells");
                int r = oxl_lookup_at(l, middle, &hit);
                if (r != 0)
                        return r;
                if (memcmp(hit.id, id, OXL_DIGEST_BYTES) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        *ret = low;
        return 0;
}

static int compare_hits(const void *a, const void *b)
{
        const struct oxl_lookup_hit *x = a, *y = b;
        int c = memcmp(x->id, y->id, OXL_DIGEST_BYTES);
        if (c == 0)
                c = x->pack < y->pack ? -1 : x->pack > y->pack;
        return c ? c : x->offset < y->offset ? -1 : x->offset > y->offset;
}

bool oxl_lookup_sealed(struct oxl_lookup *l, const struct oxl_repo_id *id)
{
        struct oxl_hasher h;
        struct oxl_digest got;
        struct oxl_lookup_hit hit, before;
        uint8_t bytes[OXL_LOOKUP_ENTRY_BYTES], seal[SEAL_BYTES];
        oxl_seal_begin(&h, "lookup", id, OXL_LOOKUP_PATH);
        oxl_hasher_update(&h, l->fixed, FIXED_BYTES);
        oxl_hasher_update(&h, l->ids, (size_t)l->packs * OXL_DIGEST_BYTES);
        for (uint64_t i = 0; i < l->entries; i++, before = hit) {
                if (oxl_lookup_at(l, i, &hit) != 0 || i >= fanout(l, hit.id[0]) ||
                    (hit.id[0] && i < fanout(l, hit.id[0] - 1u)) || (i > 0 && compare_hits(&before, &hit) >= 0))
                        return false;
                oxl_lookup_entry_encode(&hit, bytes);
                oxl_hasher_update(&h, bytes, sizeof(bytes));
        }
        oxl_hasher_final(&h, &got);
        return read_exactly(l, seal, sizeof(seal), l->size - SEAL_BYTES) && memcmp(seal, got.bytes, SEAL_BYTES) == 0;
}

/* --- writing ---------------------------------------------------------------------------------------------------- */

#define BUFFER_BYTES (64u << 10)

struct lookup_writer {
        struct oxl_lookup *old;
        uint32_t *moved; /* by position in the old list: position in the new one, UINT32_MAX: gone */
        const struct oxl_lookup_hit *hits;
        size_t count, next_hit;
        uint64_t next_old;
        struct oxl_stage *stage;
        struct oxl_hasher seal;
        uint64_t fan[FANOUT];
        uint8_t *buf;
        size_t used;
};

static void writer_done(struct lookup_writer *w)
{
        oxl_stage_free(w->stage);
        free(w->moved);
        free(w->buf);
}

/* The next entry of the old lookup whose pack is still there. False: the end. */
static bool peek_old(struct lookup_writer *w, struct oxl_lookup_hit *ret)
{
        for (; w->old && oxl_lookup_at(w->old, w->next_old, ret) == 0; w->next_old++) {
                if (ret->pack >= w->old->packs || w->moved[ret->pack] == UINT32_MAX)
                        continue;
                ret->pack = w->moved[ret->pack];
                return true;
        }
        return false;
}

/* The next entry of the merge. */
static bool next_entry(struct lookup_writer *w, struct oxl_lookup_hit *ret)
{
        struct oxl_lookup_hit old;
        bool have_old = peek_old(w, &old), have_hit = w->next_hit < w->count;
        if (!have_old && !have_hit)
                return false;
        if (have_old && (!have_hit || compare_hits(&old, &w->hits[w->next_hit]) < 0)) {
                w->next_old++;
                *ret = old;
                return true;
        }
        *ret = w->hits[w->next_hit++];
        return true;
}

static void rewind_merge(struct lookup_writer *w)
{
        w->next_hit = 0;
        w->next_old = 0;
}

static int put(struct lookup_writer *w, const void *bytes, size_t n, struct oxl_error *err)
{
        int r = 0;
        oxl_hasher_update(&w->seal, bytes, n);
        if (n > BUFFER_BYTES - w->used) {
                r = oxl_stage_write(w->stage, w->buf, w->used, err);
                w->used = 0;
        }
        if (r < 0)
                return r;
        memcpy(w->buf + w->used, bytes, n);
        w->used += n;
        return 0;
}

/* The first of two passes over the merge: counts, for header and fan-out, which come before the entries. */
static uint64_t count_entries(struct lookup_writer *w)
{
        struct oxl_lookup_hit hit;
        uint64_t total = 0;
        while (next_entry(w, &hit)) {
                w->fan[hit.id[0]]++;
                total++;
        }
        for (unsigned i = 1; i < FANOUT; i++)
                w->fan[i] += w->fan[i - 1];
        rewind_merge(w);
        return total;
}

static int put_head(struct lookup_writer *w, const struct oxl_lookup_source *packs, size_t n, uint64_t entries,
                    struct oxl_error *err)
{
        uint8_t fixed[FIXED_BYTES] = MAGIC;
        le_store16(fixed + 8, 1);
        le_store16(fixed + 10, HEADER_BYTES);
        le_store64(fixed + 16, n);
        le_store64(fixed + 24, entries);
        for (unsigned i = 0; i < FANOUT; i++)
                le_store64(fixed + HEADER_BYTES + 8 * i, w->fan[i]);
        int r = put(w, fixed, sizeof(fixed), err);
        for (size_t i = 0; r == 0 && i < n; i++)
                r = put(w, packs[i].id.bytes, OXL_DIGEST_BYTES, err);
        return r;
}

static int put_all(struct lookup_writer *w, const struct oxl_lookup_source *packs, size_t n, struct oxl_error *err)
{
        struct oxl_lookup_hit hit;
        struct oxl_digest seal;
        uint8_t bytes[OXL_LOOKUP_ENTRY_BYTES];
        int r = put_head(w, packs, n, count_entries(w), err);
        while (r == 0 && next_entry(w, &hit)) {
                oxl_lookup_entry_encode(&hit, bytes);
                r = put(w, bytes, sizeof(bytes), err);
        }
        if (r < 0)
                return r;
        oxl_hasher_final(&w->seal, &seal);
        r = put(w, seal.bytes, SEAL_BYTES, err);
        return r < 0 ? r : oxl_stage_write(w->stage, w->buf, w->used, err);
}

static int map_old(struct lookup_writer *w, const struct oxl_lookup_source *packs, size_t n, struct oxl_error *err)
{
        size_t old_packs = w->old ? (size_t)w->old->packs : 0;
        w->moved = malloc(old_packs * sizeof(*w->moved) + 1);
        w->buf = malloc(BUFFER_BYTES);
        if (!w->moved || !w->buf)
                return OXL_FAIL_PLAIN(err, NOMEM);
        for (size_t i = 0; i < old_packs; i++)
                w->moved[i] = UINT32_MAX;
        for (size_t i = 0; i < n; i++)
                if (packs[i].old < old_packs)
                        w->moved[packs[i].old] = (uint32_t)i;
        return 0;
}

int oxl_lookup_write(struct oxl_durable *d, const struct oxl_repo_id *id, struct oxl_lookup *old,
                     const struct oxl_lookup_source *packs, size_t n, struct oxl_lookup_hit *hits, size_t count,
                     struct oxl_error *err)
{
        cleanup(writer_done) struct lookup_writer w = { .old = old, .hits = hits, .count = count };
        int r = map_old(&w, packs, n, err);
        if (r == 0)
                r = oxl_stage_open(d, "versions/packs", "lookup", OXL_STAGE_READ_ONLY, &w.stage, err);
        if (r < 0)
                return r;
        if (count > 1)
                qsort(hits, count, sizeof(*hits), compare_hits);
        oxl_seal_begin(&w.seal, "lookup", id, OXL_LOOKUP_PATH);
        r = put_all(&w, packs, n, err);
        if (r == 0)
                r = oxl_stage_close_derived(w.stage, err);
        /* CRASH: the new name may hold anything, for nothing was synced: readers check each hit */
        return r < 0 ? r : oxl_stage_publish(w.stage, OXL_LOOKUP_PATH, false, err);
}
