/* SPDX-License-Identifier: MIT */
/* Temp names against a second recogniser: a name that is taken for ours may be deleted. And every name that is made is
 * recognised, with its owner. */
#include "base/utf8.h"
#include "durable/tempname.h"
#include "fuzz/fuzz.h"

/* The grammar of FORMAT section 8, from the right. */
static bool ours(const char *name, uint64_t *ret_owner)
{
        static const char shape[] = ".oxl-hhhhhhhhhhhhhhhh-hhhhhhhhhhhhhhhh.tmp";
        size_t n = strlen(name), tail = sizeof shape - 1;
        if (n < tail + 1 || n > 255)
                return false;
        for (size_t i = 0; i < n; i++)
                if (name[i] == '/')
                        return false;
        *ret_owner = 0;
        for (size_t i = 0; i < tail; i++) {
                char c = name[n - tail + i];
                if (shape[i] == 'h' ? !strchr("0123456789abcdef", c) : c != shape[i])
                        return false;
                if (i >= 5 && i < 21)
                        *ret_owner = *ret_owner << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
        }
        return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        cleanup_free char *name = fuzz_text(data, size);
        uint64_t want = 0, got = 0;
        char made[OXL_TEMP_NAME_SIZE];
        bool is = ours(name, &want);
        FUZZ_REQUIRE(oxl_temp_name_is_ours(name, &got) == is && oxl_temp_name_is_ours(name, NULL) == is);
        fuzz_accepted += is;
        FUZZ_REQUIRE(!is || got == want);
        if (!*name || strchr(name, '/'))
                return 0;
        want = size > 8 ? le_load64(data) : size;
        FUZZ_REQUIRE(oxl_temp_name_make(name, want, made, NULL) == 0);
        FUZZ_REQUIRE(oxl_temp_name_is_ours(made, &got) && got == want);
        size_t kept = strlen(made) - strlen(".oxl-hhhhhhhhhhhhhhhh-hhhhhhhhhhhhhhhh.tmp"), n = strlen(name);
        FUZZ_REQUIRE(kept >= 1 && kept <= n && memcmp(made, name, kept) == 0);
        FUZZ_REQUIRE(kept == n || strlen(made) > 255 - 4);
        FUZZ_REQUIRE(!oxl_utf8_valid(name, n) || oxl_utf8_valid(made, kept));
        return 0;
}
