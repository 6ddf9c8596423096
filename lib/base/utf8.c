/* SPDX-License-Identifier: MIT */
/* UTF-8 validation, table 3-7 of the Unicode standard written out: the lead byte gives the length and the range of the
 * second byte; all later bytes are 80..bf. */
#include <stdint.h>

#include "base/utf8.h"

struct lead {
        uint8_t first, last; /* lead bytes */
        uint8_t more;        /* bytes that follow */
        uint8_t low, high;   /* range of the second byte */
};

static const struct lead leads[] = {
        { 0x00, 0x7f, 0, 0x00, 0x00 }, { 0xc2, 0xdf, 1, 0x80, 0xbf }, { 0xe0, 0xe0, 2, 0xa0, 0xbf },
        { 0xe1, 0xec, 2, 0x80, 0xbf }, { 0xed, 0xed, 2, 0x80, 0x9f }, { 0xee, 0xef, 2, 0x80, 0xbf },
        { 0xf0, 0xf0, 3, 0x90, 0xbf }, { 0xf1, 0xf3, 3, 0x80, 0xbf }, { 0xf4, 0xf4, 3, 0x80, 0x8f },
};

static const struct lead *lead_of(uint8_t byte)
{
        for (size_t i = 0; i < sizeof leads / sizeof leads[0]; i++)
                if (byte >= leads[i].first && byte <= leads[i].last)
                        return &leads[i];
        return NULL;
}

bool oxl_utf8_valid(const void *p, size_t n)
{
        const uint8_t *b = p;
        for (size_t i = 0; i < n;) {
                const struct lead *l = lead_of(b[i]);
                if (!l || l->more > n - i - 1)
                        return false;
                if (l->more > 0 && (b[i + 1] < l->low || b[i + 1] > l->high))
                        return false;
                for (size_t k = 2; k <= l->more; k++)
                        if ((b[i + k] & 0xc0) != 0x80)
                                return false;
                i += 1U + l->more;
        }
        return true;
}
