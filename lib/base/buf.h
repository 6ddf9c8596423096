/* SPDX-License-Identifier: MIT */
/*
 * A byte buffer that grows.
 *
 *      cleanup_buf struct oxl_buf b = OXL_BUF_INIT;
 *      int r = oxl_buf_append_fmt(&b, err, "tree %s\n", text);
 *
 * Every fallible function returns 0 or NOMEM; after NOMEM the buffer is as before. There is always a NUL byte behind
 * `data[len]` once anything was reserved, so text can be used as a C string. Sizes are bytes.
 */
#ifndef OXL_BASE_BUF_H
#define OXL_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

#include <oxenlite/error.h>

#include "base/bytes.h"
#include "base/cleanup.h"

struct oxl_buf {
        uint8_t *data; /* owned; NULL until the first reserve */
        size_t len;
        size_t cap; /* excluding the NUL byte */
};
#define OXL_BUF_INIT { NULL, 0, 0 }

/* Frees and resets. Idempotent; keeps errno. */
void oxl_buf_done(struct oxl_buf *b);
#define cleanup_buf cleanup(oxl_buf_done)

/* Makes room for @extra more bytes. */
OXL_MUST_CHECK int oxl_buf_reserve(struct oxl_buf *b, size_t extra, struct oxl_error *err);

OXL_MUST_CHECK int oxl_buf_append(struct oxl_buf *b, const void *p, size_t n, struct oxl_error *err);
OXL_MUST_CHECK int oxl_buf_append_text(struct oxl_buf *b, const char *text, struct oxl_error *err);
OXL_MUST_CHECK int oxl_buf_append_u8(struct oxl_buf *b, uint8_t v, struct oxl_error *err);
OXL_MUST_CHECK int oxl_buf_append_le16(struct oxl_buf *b, uint16_t v, struct oxl_error *err);
OXL_MUST_CHECK int oxl_buf_append_le32(struct oxl_buf *b, uint32_t v, struct oxl_error *err);
OXL_MUST_CHECK int oxl_buf_append_le64(struct oxl_buf *b, uint64_t v, struct oxl_error *err);
OXL_MUST_CHECK int oxl_buf_append_zeros(struct oxl_buf *b, size_t n, struct oxl_error *err);

/* As printf. Not for user-given formats. */
OXL_MUST_CHECK int oxl_buf_append_fmt(struct oxl_buf *b, struct oxl_error *err, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* The content, borrowed until the next change. */
static inline struct oxl_bytes oxl_buf_bytes(const struct oxl_buf *b)
{
        return (struct oxl_bytes){ b->data, b->len };
}

/* The content as text, borrowed; "" for a buffer that never held anything. */
static inline const char *oxl_buf_text(const struct oxl_buf *b)
{
        return b->data ? (const char *)b->data : "";
}

/* Empties, keeping the memory. */
void oxl_buf_clear(struct oxl_buf *b);

/* Gives the memory (NUL-ended, to be freed) to the caller and resets; NULL when nothing was ever reserved. */
uint8_t *oxl_buf_take(struct oxl_buf *b);

#endif
