/* SPDX-License-Identifier: MIT */
/*
 * versions/packs/lookup: its seal, its order, and that it lists exactly what the indexes of its packs list. Both
 * sides are compared as sums of hashes, so it takes no more memory however many objects there are. Packs that it
 * lists and that are gone, or could not be read, are left out of the comparison: a lookup may be older than the packs.
 * It is derived: losing it costs nothing, and a missing one is no finding.
 */
#include <string.h>

#include "base/le.h"
#include "check/pass.h"
#include "objects/lookup.h"
#include "os/fdio.h"

enum { HEADER = 64, FANOUT = 256, FIXED = HEADER + FANOUT * 8, SEAL = 32, PIECE_ENTRIES = 4096 };

struct lookup_file {
        int fd;
        uint64_t size, packs, entries, at;
        struct oxl_hasher seal;
        uint8_t fixed[FIXED];
        uint8_t *ids;       /* owned */
        uint64_t (*sum)[2]; /* owned; by position of the pack */
        uint8_t *piece;     /* owned */
        uint8_t last[OXL_LOOKUP_ENTRY_BYTES];
        uint64_t seen;
};

static void lookup_file_done(struct lookup_file *f)
{
        oxl_fd_done(&f->fd);
        free(f->ids);
        free(f->sum);
        free(f->piece);
}

static int malformed(struct oxl_error *err, const char *why)
{
        return OXL_FAIL_WHY(err, MALFORMED, OXL_LOOKUP_PATH, why);
}

static int read_on(struct lookup_file *f, void *buf, size_t n, struct oxl_error *err)
{
        ssize_t got = oxl_fd_pread_full(f->fd, buf, n, f->at);
        if (got < 0)
                return OXL_FAIL_OS(err, FILE_READ, OXL_LOOKUP_PATH);
        f->at += n;
        return (size_t)got == n ? 0 : malformed(err, "it is cut short");
}

static uint64_t fanout(const struct lookup_file *f, unsigned i)
{
        return le_load64(f->fixed + HEADER + 8 * (size_t)i);
}

static const char *fixed_problem(struct lookup_file *f)
{
        static const uint8_t magic[] = "\x89OXLLKP\n", zero[32];
        uint64_t ids, entries, sum;
        if (memcmp(f->fixed, magic, 8) != 0 || le_load16(f->fixed + 8) != 1 || le_load16(f->fixed + 10) != HEADER ||
            le_load32(f->fixed + 12) != 0 || memcmp(f->fixed + 32, zero, sizeof zero) != 0)
                return "its header is not that of a lookup";
        f->packs = le_load64(f->fixed + 16);
        f->entries = le_load64(f->fixed + 24);
        if (__builtin_mul_overflow(f->packs, (uint64_t)OXL_DIGEST_BYTES, &ids) ||
            __builtin_mul_overflow(f->entries, (uint64_t)OXL_LOOKUP_ENTRY_BYTES, &entries) ||
            __builtin_add_overflow(ids, entries, &sum) || __builtin_add_overflow(sum, FIXED + SEAL, &sum) ||
            sum != f->size || f->packs >= UINT32_MAX)
                return "its length is not the recorded one";
        for (unsigned i = 1; i < FANOUT; i++)
                if (fanout(f, i) < fanout(f, i - 1))
                        return "its fan-out does not ascend";
        return fanout(f, FANOUT - 1) == f->entries ? NULL : "its fan-out does not end at its number of entries";
}

static int read_head(struct oxl_check *c, struct lookup_file *f, struct oxl_error *err)
{
        int r = read_on(f, f->fixed, FIXED, err);
        if (r < 0)
                return r;
        const char *problem = fixed_problem(f);
        if (problem)
                return malformed(err, problem);
        size_t bytes = (size_t)f->packs * OXL_DIGEST_BYTES; /* no more than the file has */
        f->ids = malloc(bytes + 1);
        f->sum = calloc((size_t)f->packs + 1, sizeof *f->sum);
        f->piece = malloc((size_t)PIECE_ENTRIES * OXL_LOOKUP_ENTRY_BYTES);
        if (!f->ids || !f->sum || !f->piece)
                return OXL_FAIL_PLAIN(err, NOMEM);
        r = read_on(f, f->ids, bytes, err);
        if (r < 0)
                return r;
        for (size_t i = OXL_DIGEST_BYTES; i < bytes; i += OXL_DIGEST_BYTES)
                if (memcmp(f->ids + i - OXL_DIGEST_BYTES, f->ids + i, OXL_DIGEST_BYTES) >= 0)
                        return malformed(err, "its list of packs is not sorted");
        oxl_seal_begin(&f->seal, "lookup", &c->format.id, OXL_LOOKUP_PATH);
        oxl_hasher_update(&f->seal, f->fixed, FIXED);
        oxl_hasher_update(&f->seal, f->ids, bytes);
        return 0;
}

/* digest, then pack, then offset */
static int compare_entries(const uint8_t *a, const uint8_t *b)
{
        int r = memcmp(a, b, OXL_DIGEST_BYTES);
        if (r == 0)
                r = le_load32(a + 32) < le_load32(b + 32) ? -1 : le_load32(a + 32) > le_load32(b + 32);
        if (r == 0)
                r = le_load64(a + 40) < le_load64(b + 40) ? -1 : le_load64(a + 40) > le_load64(b + 40);
        return r;
}

static const char *take_entry(struct lookup_file *f, uint8_t *e)
{
        uint32_t pack = le_load32(e + 32);
        if (f->seen > 0 && compare_entries(f->last, e) >= 0)
                return "its entries are not sorted";
        if (f->seen >= fanout(f, e[0]) || (e[0] > 0 && f->seen < fanout(f, e[0] - 1u)))
                return "its fan-out does not fit its entries";
        if (pack >= f->packs)
                return "an entry names no pack";
        memcpy(f->last, e, sizeof f->last);
        f->seen++;
        le_store32(e + 32, 0); /* as pass_packs.c sums them */
        struct oxl_digest d = oxl_digest_of(OXL_ALGO_XXH3_128, e, OXL_LOOKUP_ENTRY_BYTES);
        f->sum[pack][0] += le_load64(d.bytes);
        f->sum[pack][1] += le_load64(d.bytes + 8);
        return NULL;
}

static int read_entries(struct oxl_check *c, struct lookup_file *f, struct oxl_error *err)
{
        for (uint64_t left = f->entries; left > 0;) {
                size_t n = left < PIECE_ENTRIES ? (size_t)left : PIECE_ENTRIES;
                int r = read_on(f, f->piece, n * OXL_LOOKUP_ENTRY_BYTES, err);
                if (r == 0)
                        r = oxl_check_poll(c, err);
                if (r < 0)
                        return r;
                oxl_hasher_update(&f->seal, f->piece, n * OXL_LOOKUP_ENTRY_BYTES);
                for (size_t i = 0; i < n; i++) {
                        const char *problem = take_entry(f, f->piece + i * OXL_LOOKUP_ENTRY_BYTES);
                        if (problem)
                                return malformed(err, problem);
                }
                left -= n;
        }
        return 0;
}

static int check_seal(struct lookup_file *f, struct oxl_error *err)
{
        struct oxl_digest want = { .algo = OXL_ALGO_BLAKE3 }, got;
        int r = read_on(f, want.bytes, SEAL, err);
        if (r < 0)
                return r;
        oxl_hasher_final(&f->seal, &got);
        return oxl_digest_equal(&want, &got) ? 0 : OXL_FAIL_OBJECT(err, SEAL, OXL_LOOKUP_PATH, &want, &got);
}

static int compare_packs(const void *a, const void *b)
{
        return memcmp(a, ((const struct oxl_check_pack *)b)->id.bytes, OXL_DIGEST_BYTES);
}

static int compare_with_packs(struct oxl_check *c, const struct lookup_file *f, struct oxl_error *err)
{
        for (size_t i = 0; i < f->packs; i++) {
                const struct oxl_check_pack *p = c->n_packs ? bsearch(f->ids + i * OXL_DIGEST_BYTES, c->packs,
                                                                      c->n_packs, sizeof *c->packs, compare_packs)
                                                            : NULL;
                if (p && p->indexed && (p->sum[0] != f->sum[i][0] || p->sum[1] != f->sum[i][1]))
                        return malformed(err, "it lists other objects than the packs have");
        }
        return 0;
}

static int look_lookup(struct oxl_check *c, void *ctx, struct oxl_error *err)
{
        struct stat st;
        cleanup(lookup_file_done) struct lookup_file f = { .fd = -1 };
        (void)ctx;
        f.fd = oxl_open_beneath(c->root_fd, OXL_LOOKUP_PATH, O_RDONLY | O_NONBLOCK | O_NOFOLLOW, 0);
        if (f.fd < 0)
                return errno == ENOENT ? 1 : OXL_FAIL_OS(err, FILE_OPEN, OXL_LOOKUP_PATH);
        if (oxl_fd_stat(f.fd, &st) < 0)
                return OXL_FAIL_OS(err, FILE_READ, OXL_LOOKUP_PATH);
        if (!S_ISREG(st.st_mode))
                return malformed(err, "it is not a regular file");
        f.size = (uint64_t)st.st_size;
        int r = read_head(c, &f, err);
        if (r == 0)
                r = read_entries(c, &f, err);
        if (r == 0)
                r = check_seal(&f, err);
        return r < 0 ? r : compare_with_packs(c, &f, err);
}

int oxl_check_lookup(struct oxl_check *c, struct oxl_error *err)
{
        if (!c->have_id)
                return 0;
        return oxl_check_file(c, OXL_LOOKUP_PATH, 0, OXL_P_LOOKUP_DAMAGED, look_lookup, NULL, NULL, err);
}
