/* SPDX-License-Identifier: MIT */
/* Text from outside made harmless: see oxl_text_escape() in oxenlite/error.h. The one place that knows which characters are not. */
#include <stdbool.h>
#include <stdint.h>

#include <oxenlite/error.h>

#include "base/hex.h"
#include "base/sink.h"

/* Length of the well-formed UTF-8 character at @p, its code point in *ret; 0: not UTF-8. */
static size_t utf8_char(const unsigned char *p, uint32_t *ret)
{
        static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
        size_t n = p[0] < 0x80                   ? 1
                   : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
                   : (p[0] & 0xf0) == 0xe0       ? 3
                   : (p[0] & 0xf8) == 0xf0       ? 4
                                                 : 0;

        if (n < 2) {
                *ret = p[0];
                return n;
        }
        uint32_t v = p[0] & (0xffu >> (n + 1));
        for (size_t i = 1; i < n; i++) {
                if ((p[i] & 0xc0) != 0x80) /* also the final NUL */
                        return 0;
                v = v << 6 | (p[i] & 0x3fu);
        }
        if (v < least[n] || v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
                return 0;
        *ret = v;
        return n;
}

/* C0, DEL, C1, line separators, and what reorders text. */
static bool is_control(uint32_t v)
{
        return v < 0x20 || (v >= 0x7f && v < 0xa0) || v == 0x61c || v == 0x200e || v == 0x200f ||
               (v >= 0x2028 && v <= 0x202e) || (v >= 0x2066 && v <= 0x2069);
}

static void put_hex(struct sink *s, unsigned char byte)
{
        char hex[3];

        oxl_hex_encode(&byte, 1, hex);
        sink_put(s, '\\');
        sink_put(s, 'x');
        sink_put(s, hex[0]);
        sink_put(s, hex[1]);
}

size_t oxl_text_escape(const char *text, unsigned flags, char *buf, size_t size)
{
        struct sink s = { buf, size, 0 };

        for (const unsigned char *p = (const unsigned char *)text; *p;) {
                uint32_t v = 0;
                size_t n = utf8_char(p, &v);
                bool line = (flags & OXL_ESCAPE_KEEP_LINES) && (v == '\n' || v == '\t');
                bool plain = n == 0 ? !(flags & OXL_ESCAPE_BYTES) : line || !is_control(v);
                for (size_t left = n ? n : 1; left > 0; left--, p++) {
                        if (plain)
                                sink_put(&s, (char)*p);
                        else
                                put_hex(&s, *p);
                }
        }
        return sink_end(&s);
}
