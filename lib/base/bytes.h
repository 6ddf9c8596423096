/* SPDX-License-Identifier: MIT */
/*
 * Borrowed byte strings, and a cursor that reads them with bounds checks.
 *
 *      struct oxl_cursor c = oxl_cursor_of(bytes);
 *      uint32_t count = oxl_cursor_le32(&c);
 *      struct oxl_bytes name = oxl_cursor_bytes(&c, n);
 *      if (c.failed || oxl_cursor_remaining(&c) != 0)
 *              return OXL_FAIL_WHY(err, MALFORMED, path, "...");
 *
 * Failure is sticky: once a read would pass the end, it and every later one yield zero or the empty string and move
 * nothing, so a decoder may check once at the end, before it believes any value.
 */
#ifndef OXL_BASE_BYTES_H
#define OXL_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/le.h"

struct oxl_bytes {
        const uint8_t *data; /* may be NULL when len is 0 */
        size_t len;
};
#define OXL_BYTES_INIT { NULL, 0 }

static inline struct oxl_bytes oxl_bytes_of(const void *data, size_t len)
{
        return (struct oxl_bytes){ data, len };
}

static inline struct oxl_bytes oxl_bytes_text(const char *text)
{
        return (struct oxl_bytes){ (const uint8_t *)text, strlen(text) };
}

static inline bool oxl_bytes_equal(struct oxl_bytes a, struct oxl_bytes b)
{
        return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

struct oxl_cursor {
        struct oxl_bytes rest;
        bool failed;
};

static inline struct oxl_cursor oxl_cursor_of(struct oxl_bytes bytes)
{
        return (struct oxl_cursor){ bytes, false };
}

static inline size_t oxl_cursor_remaining(const struct oxl_cursor *c)
{
        return c->rest.len;
}

/* The next @n bytes, borrowed from the source; empty after a failure. */
static inline struct oxl_bytes oxl_cursor_bytes(struct oxl_cursor *c, size_t n)
{
        if (c->failed || n > c->rest.len) {
                c->failed = true;
                return (struct oxl_bytes)OXL_BYTES_INIT;
        }
        struct oxl_bytes b = { c->rest.data, n };
        if (n > 0)
                c->rest.data += n;
        c->rest.len -= n;
        return b;
}

static inline uint8_t oxl_cursor_u8(struct oxl_cursor *c)
{
        struct oxl_bytes b = oxl_cursor_bytes(c, 1);
        return c->failed ? 0 : b.data[0];
}

static inline uint16_t oxl_cursor_le16(struct oxl_cursor *c)
{
        struct oxl_bytes b = oxl_cursor_bytes(c, 2);
        return c->failed ? 0 : le_load16(b.data);
}

static inline uint32_t oxl_cursor_le32(struct oxl_cursor *c)
{
        struct oxl_bytes b = oxl_cursor_bytes(c, 4);
        return c->failed ? 0 : le_load32(b.data);
}

static inline uint64_t oxl_cursor_le64(struct oxl_cursor *c)
{
        struct oxl_bytes b = oxl_cursor_bytes(c, 8);
        return c->failed ? 0 : le_load64(b.data);
}

#endif
