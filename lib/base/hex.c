/* SPDX-License-Identifier: MIT */
/* Lowercase hexadecimal, strict. */
#include <string.h>

#include "base/hex.h"

int oxl_hex_digit(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        return -1;
}

void oxl_hex_encode(const void *p, size_t n, char *ret)
{
        static const char digits[] = "0123456789abcdef";
        const uint8_t *b = p;
        for (size_t i = 0; i < n; i++) {
                *ret++ = digits[b[i] >> 4];
                *ret++ = digits[b[i] & 15];
        }
        *ret = 0;
}

void oxl_hex_encode_number(const void *p, size_t n, char *ret)
{
        oxl_hex_encode(p, n, ret);
        size_t len = 2 * n, zeros = strspn(ret, "0");
        if (zeros == len && zeros > 0)
                zeros--;
        memmove(ret, ret + zeros, len - zeros + 1);
}

bool oxl_hex_decode(const char *text, void *ret, size_t n)
{
        uint8_t *b = ret;
        for (size_t i = 0; i < n; i++) {
                int high = oxl_hex_digit(text[2 * i]);
                int low = high < 0 ? -1 : oxl_hex_digit(text[2 * i + 1]);
                if (low < 0)
                        return false;
                b[i] = (uint8_t)(high << 4 | low);
        }
        return true;
}

bool oxl_hex_decode_u64(const char *text, uint64_t *ret)
{
        uint64_t v = 0;
        for (size_t i = 0; i < 16; i++) {
                int digit = oxl_hex_digit(text[i]);
                if (digit < 0)
                        return false;
                v = v << 4 | (uint64_t)digit;
        }
        *ret = v;
        return true;
}
