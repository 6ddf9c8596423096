/* SPDX-License-Identifier: MIT */
/* Growable byte buffers. Invariant: data == NULL, or cap + 1 bytes are allocated and data[len] is NUL. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/fail.h"

enum { BUF_FIRST_CAP = 63 };

void oxl_buf_done(struct oxl_buf *b)
{
        int saved = errno;
        free(b->data);
        *b = (struct oxl_buf)OXL_BUF_INIT;
        errno = saved;
}

int oxl_buf_reserve(struct oxl_buf *b, size_t extra, struct oxl_error *err)
{
        if (b->data && extra <= b->cap - b->len)
                return 0;
        size_t need, alloc;
        if (__builtin_add_overflow(b->len, extra, &need) || __builtin_add_overflow(need, 1, &alloc))
                return OXL_FAIL_PLAIN(err, NOMEM);
        size_t cap = b->cap < BUF_FIRST_CAP ? BUF_FIRST_CAP : b->cap;
        while (cap < need)
                cap = cap <= SIZE_MAX / 4 ? cap * 2 + 1 : need;
        uint8_t *p = realloc(b->data, cap + 1);
        if (!p)
                return OXL_FAIL_PLAIN(err, NOMEM);
        p[b->len] = 0;
        b->data = p;
        b->cap = cap;
        return 0;
}

int oxl_buf_append(struct oxl_buf *b, const void *p, size_t n, struct oxl_error *err)
{
        int r = oxl_buf_reserve(b, n, err);
        if (r < 0)
                return r;
        if (n > 0)
                memcpy(b->data + b->len, p, n);
        b->len += n;
        b->data[b->len] = 0;
        return 0;
}

int oxl_buf_append_text(struct oxl_buf *b, const char *text, struct oxl_error *err)
{
        return oxl_buf_append(b, text, strlen(text), err);
}

int oxl_buf_append_u8(struct oxl_buf *b, uint8_t v, struct oxl_error *err)
{
        return oxl_buf_append(b, &v, 1, err);
}

int oxl_buf_append_le16(struct oxl_buf *b, uint16_t v, struct oxl_error *err)
{
        uint8_t raw[2];
        le_store16(raw, v);
        return oxl_buf_append(b, raw, sizeof raw, err);
}

int oxl_buf_append_le32(struct oxl_buf *b, uint32_t v, struct oxl_error *err)
{
        uint8_t raw[4];
        le_store32(raw, v);
        return oxl_buf_append(b, raw, sizeof raw, err);
}

int oxl_buf_append_le64(struct oxl_buf *b, uint64_t v, struct oxl_error *err)
{
        uint8_t raw[8];
        le_store64(raw, v);
        return oxl_buf_append(b, raw, sizeof raw, err);
}

int oxl_buf_append_zeros(struct oxl_buf *b, size_t n, struct oxl_error *err)
{
        int r = oxl_buf_reserve(b, n, err);
        if (r < 0)
                return r;
        memset(b->data + b->len, 0, n + 1);
        b->len += n;
        return 0;
}

int oxl_buf_append_fmt(struct oxl_buf *b, struct oxl_error *err, const char *format, ...)
{
        va_list ap;
        va_start(ap, format);
        int n = vsnprintf(NULL, 0, format, ap);
        va_end(ap);
        if (n < 0) /* only an unprintable wide character or more than INT_MAX bytes */
                return OXL_FAIL_PLAIN(err, NOMEM);
        int r = oxl_buf_reserve(b, (size_t)n, err);
        if (r < 0)
                return r;
        va_start(ap, format);
        OXL_IGNORE(vsnprintf((char *)b->data + b->len, (size_t)n + 1, format, ap), "measured above");
        va_end(ap);
        b->len += (size_t)n;
        return 0;
}

void oxl_buf_clear(struct oxl_buf *b)
{
        b->len = 0;
        if (b->data)
                b->data[0] = 0;
}

uint8_t *oxl_buf_take(struct oxl_buf *b)
{
        uint8_t *p = b->data;
        *b = (struct oxl_buf)OXL_BUF_INIT;
        return p;
}
