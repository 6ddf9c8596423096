/* SPDX-License-Identifier: MIT */
/* UTF-8 against a second implementation, which decodes each character and encodes it again. */
#include "base/utf8.h"
#include "fuzz/fuzz.h"

/* The one form of @c; 0 when it has none. */
static size_t encode(uint32_t c, uint8_t ret[4])
{
        if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
                return 0;
        size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        for (size_t i = n - 1; i > 0; i--, c >>= 6)
                ret[i] = (uint8_t)(0x80 | (c & 0x3f));
        static const uint8_t lead[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
        ret[0] = (uint8_t)(lead[n] | c);
        return n;
}

/* The character that @n bytes at @p would mean. */
static uint32_t decode(const uint8_t *p, size_t n)
{
        uint32_t c = n == 1 ? p[0] : p[0] & (0xffu >> (n + 1));
        for (size_t i = 1; i < n; i++)
                c = c << 6 | (p[i] & 0x3fu);
        return c;
}

static bool valid(const uint8_t *p, size_t n)
{
        uint8_t again[4];
        for (size_t at = 0, len; at < n; at += len) {
                len = p[at] < 0x80 ? 1 : p[at] < 0xe0 ? 2 : p[at] < 0xf0 ? 3 : 4;
                if (len > n - at || encode(decode(p + at, len), again) != len || memcmp(p + at, again, len) != 0)
                        return false;
        }
        return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        FUZZ_REQUIRE(oxl_utf8_valid(data, size) == valid(data, size));
        fuzz_accepted += size > 0 && valid(data, size);
        for (size_t i = 0; i < size && i < 16; i++) {
                cleanup_free uint8_t *part = fuzz_copy(data + i, size - i);
                FUZZ_REQUIRE(oxl_utf8_valid(part, size - i) == valid(part, size - i));
        }
        return 0;
}
