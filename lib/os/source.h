/* SPDX-License-Identifier: MIT */
/*
 * Where the bytes of an open file come from: by pread, or from somebody who paces, counts, or goes around the cache.
 */
#ifndef OXL_OS_SOURCE_H
#define OXL_OS_SOURCE_H

#include "os/fdio.h"

/* As oxl_fd_pread_full. */
typedef ssize_t oxl_source_fn(void *ctx, void *buf, size_t n, uint64_t at);

struct oxl_source { /* borrowed by whoever reads through it */
        oxl_source_fn *read;
        void *ctx;
        bool shared; /* several threads may read at a time */
};

/* @s NULL: the file at @fd itself. */
static inline ssize_t oxl_source_read(const struct oxl_source *s, int fd, void *buf, size_t n, uint64_t at)
{
        return s ? s->read(s->ctx, buf, n, at) : oxl_fd_pread_full(fd, buf, n, at);
}

#endif
