/* SPDX-License-Identifier: MIT */
/* Names in an Oxen version store. ASCII only, whatever the locale: the facts are docs/OXEN.md's. */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/hex.h"
#include "foreign/names.h"

enum { HASH_DIGITS = 32 };

static bool is_upper_hex(char c)
{
        return c >= 'A' && c <= 'F';
}

bool oxl_oxen_prefix_name(const char *name)
{
        for (int i = 0; i < 2; i++)
                if (oxl_hex_digit(name[i]) < 0 && !is_upper_hex(name[i]))
                        return false;
        return !name[2];
}

const char *oxl_oxen_hash_problem(const char *two, const char *rest, bool block, struct oxl_digest *ret_id)
{
        size_t head = strlen(two), n = head + strlen(rest);
        bool upper = false;
        if (n > HASH_DIGITS)
                return "it is longer than the 32 digits of a hash";
        char text[HASH_DIGITS + 1], padded[HASH_DIGITS + 1];
        memcpy(text, two, head);
        memcpy(text + head, rest, n - head + 1);
        for (const char *p = text; *p; p++) {
                if (oxl_hex_digit(*p) < 0 && !is_upper_hex(*p))
                        return "it is not hexadecimal";
                upper |= is_upper_hex(*p);
        }
        if (upper)
                return "it has upper-case digits, and Oxen writes lower case";
        if (block && n != HASH_DIGITS)
                return "it is shorter than the 32 digits of a block's name";
        if (!block && text[0] == '0')
                return "it begins with a zero, and Oxen writes none";
        memset(padded, '0', HASH_DIGITS - n);
        memcpy(padded + HASH_DIGITS - n, text, n + 1);
        *ret_id = (struct oxl_digest){ .algo = OXL_ALGO_XXH3_128 };
        OXL_ASSERT(oxl_hex_decode(padded, ret_id->bytes, HASH_DIGITS / 2));
        return NULL;
}

bool oxl_oxen_data_name(const char *name)
{
        return strncmp(name, "data", 4) == 0 && (!name[4] || (name[4] == '.' && name[5]));
}

bool oxl_oxen_offset_name(const char *name)
{
        size_t n = strspn(name, "0123456789");
        return n > 0 && n <= 20 && !name[n] && (name[0] != '0' || n == 1);
}

void oxl_oxen_folder(const struct oxl_digest *id, char ret[OXL_OXEN_FOLDER_SIZE])
{
        char text[OXL_DIGEST_TEXT_MAX];
        oxl_digest_text(id, text);
        OXL_IGNORE(snprintf(ret, OXL_OXEN_FOLDER_SIZE, "%.2s/%.30s", text, strlen(text) > 2 ? text + 2 : ""), "fits");
}
