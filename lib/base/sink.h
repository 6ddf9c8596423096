/* SPDX-License-Identifier: MIT */
/* Text into a buffer that counts on after it is full, as snprintf does. The caller ends it: sink_end(). */
#ifndef OXL_BASE_SINK_H
#define OXL_BASE_SINK_H

#include <stddef.h>

struct sink {
        char *buf;
        size_t size, len;
};

static inline void sink_put(struct sink *s, char c)
{
        if (s->size > 0 && s->len < s->size - 1)
                s->buf[s->len] = c;
        s->len++;
}

/* The length that all of it has. */
static inline size_t sink_end(struct sink *s)
{
        if (s->size > 0)
                s->buf[s->len < s->size ? s->len : s->size - 1] = '\0';
        return s->len;
}

#endif
