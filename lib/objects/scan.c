/* SPDX-License-Identifier: MIT */
/*
 * Reading a whole file once, in pieces, holes told apart: see scan.h.
 *
 * A large file without holes is read and hashed by a crew, a subtree of its digest at a time, while the caller's thread hands
 * the pieces to the sink in their order: reading, hashing and writing go on beside each other. The same bytes give the same
 * digest and the same calls of the sink either way.
 */
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "digest/subtree.h"
#include "objects/scan.h"
#include "os/crew.h"
#include "os/fdio.h"

/* So many pieces and the one held back are in memory at most; and so many make a run: 8 MiB. */
enum { SLOTS = 8, RUN = 16 };

struct scan {
        int fd;
        const struct oxl_source *source;
        const char *name;
        struct oxl_hasher *h;
        oxl_sink_fn *sink;
        void *ctx;
        const atomic_bool *cancel;
        uint8_t *piece;
        uint64_t at, size;
        bool no_holes; /* the file system cannot tell */
};

/* Where the next data at or behind @at begins; the size when there is none. */
static int seek_data(struct scan *s, uint64_t *ret, struct oxl_error *err)
{
        if (s->no_holes) {
                *ret = s->at;
                return 0;
        }
        off_t data = oxl_sys->lseek(s->fd, (off_t)s->at, SEEK_DATA);
        if (data < 0 && errno == ENXIO)
                data = (off_t)s->size; /* nothing but a hole up to the end */
        if (data < 0 && (errno == EINVAL || errno == EOPNOTSUPP || errno == ENOSYS || errno == ESPIPE)) {
                s->no_holes = true;
                data = (off_t)s->at;
        }
        if (data < 0)
                return OXL_FAIL_OS(err, FILE_READ, s->name);
        *ret = (uint64_t)data < s->size ? (uint64_t)data : s->size;
        return 0;
}

/* Where the data at @at ends. */
static int seek_hole(struct scan *s, uint64_t *ret, struct oxl_error *err)
{
        off_t hole = s->no_holes ? (off_t)s->size : oxl_sys->lseek(s->fd, (off_t)s->at, SEEK_HOLE);
        if (hole < 0 && errno == ENXIO)
                hole = (off_t)s->size; /* cut short meanwhile: reading will tell */
        if (hole < 0)
                return OXL_FAIL_OS(err, FILE_READ, s->name);
        *ret = (uint64_t)hole < s->size ? (uint64_t)hole : s->size;
        return 0;
}

static int scan_hole(struct scan *s, uint64_t end, struct oxl_error *err)
{
        static const uint8_t zeros[64u << 10];
        uint64_t n = end - s->at;
        for (uint64_t at = 0; s->h && at < n; at += sizeof(zeros)) {
                if (oxl_cancelled(s->cancel))
                        return OXL_FAIL_PLAIN(err, CANCELLED);
                oxl_hasher_update(s->h, zeros, n - at < sizeof(zeros) ? (size_t)(n - at) : sizeof(zeros));
        }
        s->at = end;
        return s->sink && n > 0 ? s->sink(s->ctx, NULL, (size_t)n, err) : 0;
}

enum { SCAN_CUT_SHORT = 1 };

static int scan_data(struct scan *s, uint64_t end, struct oxl_error *err)
{
        while (s->at < end) {
                if (oxl_cancelled(s->cancel))
                        return OXL_FAIL_PLAIN(err, CANCELLED);
                size_t want = end - s->at < OXL_SCAN_PIECE_BYTES ? (size_t)(end - s->at) : OXL_SCAN_PIECE_BYTES;
                ssize_t got = oxl_source_read(s->source, s->fd, s->piece, want, s->at);
                if (got < 0)
                        return OXL_FAIL_OS(err, FILE_READ, s->name);
                if (got == 0)
                        return SCAN_CUT_SHORT;
                if (s->h)
                        oxl_hasher_update(s->h, s->piece, (size_t)got);
                s->at += (uint64_t)got;
                int r = s->sink ? s->sink(s->ctx, s->piece, (size_t)got, err) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

/* --- by a crew ---------------------------------------------------------------------------------------------------- */

/*
 * What one thread does at a time: a piece, read and hashed, which the sink wants to see; or, where nobody does, a run of them
 * through the same memory, so that it stays in that processor's cache and threads seldom wait for each other.
 */
struct run {
        uint8_t *bytes;       /* of the piece that was read last */
        uint64_t first;       /* piece */
        size_t subtrees, got; /* whole pieces that were hashed; bytes of all pieces */
        int os;               /* != 0: reading failed */
        uint8_t cv[RUN][OXL_SUBTREE_CV_BYTES];
};

struct split {
        struct scan *s;
        struct oxl_crew *crew;
        uint8_t *room; /* owned; a piece for each run and for the one held back */
        struct run runs[SLOTS];
        uint64_t next, count; /* pieces */
        /* The last piece is held back: should it turn out to be the end of a file that was cut short, its bytes are hashed,
         * since the end of a content is no subtree. */
        uint8_t *held, held_cv[OXL_SUBTREE_CV_BYTES];
        bool holding;
};

static void split_done(struct split *p)
{
        oxl_crew_free(p->crew);
        free(p->room);
}

static uint64_t pieces_per_run(const struct split *p)
{
        return p->s->sink ? 1 : RUN;
}

/* On any thread. One that has grown is read up to the size that fstat gave, as without a crew. */
static void read_run(void *ctx, size_t slot)
{
        struct split *p = ctx;
        struct run *it = &p->runs[slot];
        uint64_t size = p->s->size;
        for (uint64_t i = it->first; i < it->first + pieces_per_run(p) && i < p->count; i++) {
                uint64_t at = i * OXL_SUBTREE_BYTES;
                size_t want = size - at < OXL_SUBTREE_BYTES ? (size_t)(size - at) : OXL_SUBTREE_BYTES;
                if (oxl_cancelled(p->s->cancel))
                        return; /* whoever takes it sees that, too */
                ssize_t got = oxl_source_read(p->s->source, p->s->fd, it->bytes, want, at);
                if (got < 0)
                        it->os = errno;
                if (got <= 0)
                        return;
                it->got += (size_t)got;
                if (got < OXL_SUBTREE_BYTES || i == p->count - 1)
                        return; /* the end of the content, or of what is left of it */
                oxl_subtree_hash(it->bytes, i, it->cv[it->subtrees++]);
        }
}

/* Of a run with bytes: something follows on what was held. What is held changes its memory with the run. */
static void hash_run(struct split *p, struct run *it)
{
        struct oxl_hasher *h = p->s->h;
        size_t rest = it->got - it->subtrees * OXL_SUBTREE_BYTES;
        if (p->holding)
                oxl_hasher_add_subtree(h, p->held_cv);
        p->holding = rest == 0;
        for (size_t i = 0; i < it->subtrees - p->holding; i++)
                oxl_hasher_add_subtree(h, it->cv[i]);
        if (p->holding) {
                uint8_t *free_one = p->held;
                p->held = it->bytes;
                it->bytes = free_one;
                memcpy(p->held_cv, it->cv[it->subtrees - 1], sizeof p->held_cv);
        }
        oxl_hasher_update(h, it->bytes, rest);
}

static int use_run(struct split *p, struct run *it, struct oxl_error *err)
{
        struct scan *s = p->s;
        uint64_t end = (it->first + pieces_per_run(p)) * OXL_SUBTREE_BYTES;
        if (oxl_cancelled(s->cancel))
                return OXL_FAIL_PLAIN(err, CANCELLED);
        errno = it->os;
        if (it->os != 0)
                return OXL_FAIL_OS(err, FILE_READ, s->name);
        if (it->got == 0)
                return SCAN_CUT_SHORT;
        hash_run(p, it);
        s->at += it->got;
        int r = s->sink ? s->sink(s->ctx, p->holding ? p->held : it->bytes, it->got, err) : 0;
        if (r < 0)
                return r;
        return s->at < end && s->at < s->size ? SCAN_CUT_SHORT : 0;
}

/* May the digest be put together from subtrees, and is there anybody to do it? */
static bool may_split(const struct scan *s)
{
        return s->size >= OXL_SCAN_SPLIT_BYTES && s->h && (!s->source || s->source->shared) && oxl_crew_default() > 0 &&
               oxl_hasher_splits(s->h);
}

static int scan_split(struct scan *s, struct oxl_error *err)
{
        size_t slots = s->sink || oxl_crew_default() >= SLOTS ? SLOTS : oxl_crew_default() + 1;
        cleanup(split_done) struct split p = { .s = s, .count = (s->size + OXL_SUBTREE_BYTES - 1) / OXL_SUBTREE_BYTES };
        p.room = malloc((slots + 1) * OXL_SUBTREE_BYTES);
        if (!p.room)
                return OXL_FAIL_PLAIN(err, NOMEM);
        for (size_t i = 0; i < slots; i++)
                p.runs[i].bytes = p.room + i * OXL_SUBTREE_BYTES;
        p.held = p.room + slots * OXL_SUBTREE_BYTES;
        int r = oxl_crew_new(oxl_crew_default(), slots, read_run, &p, &p.crew, err);
        while (r == 0 && (p.next < p.count || oxl_crew_busy(p.crew))) {
                if (p.next >= p.count || oxl_crew_full(p.crew)) {
                        r = use_run(&p, &p.runs[oxl_crew_take(p.crew)], err);
                        continue;
                }
                struct run *it = &p.runs[oxl_crew_slot(p.crew)];
                *it = (struct run){ .bytes = it->bytes, .first = p.next };
                p.next += pieces_per_run(&p);
                oxl_crew_submit(p.crew);
        }
        if (r >= 0 && p.holding)
                oxl_hasher_update(s->h, p.held, OXL_SUBTREE_BYTES);
        return r;
}

/* --- all of it ----------------------------------------------------------------------------------------------------- */

int oxl_fd_scan(int fd, const char *name, struct oxl_hasher *h, oxl_sink_fn *sink, void *ctx, const atomic_bool *cancel,
                uint64_t *ret_bytes, struct oxl_error *err)
{
        return oxl_fd_scan_source(fd, NULL, name, h, sink, ctx, cancel, ret_bytes, err);
}

int oxl_fd_scan_source(int fd, const struct oxl_source *source, const char *name, struct oxl_hasher *h,
                       oxl_sink_fn *sink, void *ctx, const atomic_bool *cancel, uint64_t *ret_bytes,
                       struct oxl_error *err)
{
        struct stat st;
        if (oxl_fd_stat(fd, &st) < 0)
                return OXL_FAIL_OS(err, FILE_READ, name);
        cleanup_free uint8_t *piece = malloc(OXL_SCAN_PIECE_BYTES);
        if (!piece)
                return OXL_FAIL_PLAIN(err, NOMEM);
        struct scan s = { .fd = fd,
                          .source = source,
                          .name = name,
                          .h = h,
                          .sink = sink,
                          .ctx = ctx,
                          .cancel = cancel,
                          .piece = piece,
                          .size = (uint64_t)st.st_size };
        int r = 0;
        while (r == 0 && s.at < s.size) {
                uint64_t data = 0, hole = 0;
                r = seek_data(&s, &data, err);
                if (r == 0)
                        r = scan_hole(&s, data, err);
                if (r < 0 || s.at == s.size)
                        break;
                r = seek_hole(&s, &hole, err);
                if (r == 0 && s.at == 0 && hole == s.size && may_split(&s))
                        r = scan_split(&s, err);
                else if (r == 0)
                        /* A hole made here since seek_data(): read it as the zeros it is, so that we get on. */
                        r = scan_data(&s, hole > s.at ? hole : s.at + 1, err);
        }
        if (r < 0)
                return r;
        *ret_bytes = s.at;
        return 0;
}
