/* SPDX-License-Identifier: MIT */
/* Temp names: one maker, one recogniser. A name that is recognised may be deleted by a sweeper, so the grammar is exact. */
#include <stdio.h>
#include <string.h>

#include "base/fail.h"
#include "base/hex.h"
#include "durable/tempname.h"
#include "os/fdio.h"

#define MARK ".oxl-"
#define END ".tmp"

enum {
        HEX = 16,
        OWNER_AT = sizeof MARK - 1,
        RANDOM_AT = OWNER_AT + HEX + 1,
        END_AT = RANDOM_AT + HEX,
        SUFFIX = END_AT + sizeof END - 1,
};

bool oxl_temp_name_is_ours(const char *name, uint64_t *ret_owner)
{
        size_t len = strlen(name);
        if (len <= SUFFIX || len > OXL_NAME_MAX || strchr(name, '/'))
                return false;
        const char *suffix = name + len - SUFFIX;
        uint64_t owner, random;
        if (memcmp(suffix, MARK, OWNER_AT) != 0 || suffix[RANDOM_AT - 1] != '-' || strcmp(suffix + END_AT, END) != 0)
                return false;
        if (!oxl_hex_decode_u64(suffix + OWNER_AT, &owner) || !oxl_hex_decode_u64(suffix + RANDOM_AT, &random))
                return false;
        if (ret_owner)
                *ret_owner = owner;
        return true;
}

/* Bytes of @base to keep: at most @max, not ending inside a UTF-8 character of up to 4 bytes. */
static size_t cut(const char *base, size_t max)
{
        size_t len = strlen(base);
        if (len <= max)
                return len;
        for (size_t n = max; n + 3 >= max && n > 0; n--)
                if (((unsigned char)base[n] & 0xc0) != 0x80)
                        return n;
        return max; /* not UTF-8: any place is as good */
}

int oxl_temp_name_make(const char *base, uint64_t owner, char ret[OXL_TEMP_NAME_SIZE], struct oxl_error *err)
{
        uint64_t random;
        if (oxl_random_bytes(&random, sizeof random) < 0)
                return OXL_FAIL_OS(err, RANDOM, base);
        int keep = (int)cut(base, OXL_NAME_MAX - SUFFIX);
        OXL_IGNORE(snprintf(ret, OXL_TEMP_NAME_SIZE, "%.*s" MARK "%016llx-%016llx" END, keep, base,
                            (unsigned long long)owner, (unsigned long long)random),
                   "cut to fit");
        return 0;
}
