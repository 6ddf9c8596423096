/* SPDX-License-Identifier: MIT */
/* Reading a whole file once, in pieces, holes told apart: see scan.h. */
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "objects/scan.h"
#include "os/fdio.h"

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
                if (r == 0)
                        /* A hole made here since seek_data(): read it as the zeros it is, so that we get on. */
                        r = scan_data(&s, hole > s.at ? hole : s.at + 1, err);
        }
        if (r < 0)
                return r;
        *ret_bytes = s.at;
        return 0;
}
