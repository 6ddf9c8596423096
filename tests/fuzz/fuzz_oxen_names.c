/* SPDX-License-Identifier: MIT */
/* Names in an Oxen version store, "<two>/<rest>" in the input. What is taken for a blob's folder is the folder of its hash. */
#include "foreign/names.h"
#include "fuzz/fuzz.h"

static bool only(const char *text, const char *of)
{
        return text[strspn(text, of)] == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        cleanup_free char *two = fuzz_text(data, size), *folder = fuzz_text(data, size);
        struct oxl_digest id = { 0 };
        char again[OXL_OXEN_FOLDER_SIZE];
        (void)oxl_oxen_prefix_name(two);
        (void)oxl_oxen_data_name(two);
        FUZZ_REQUIRE(!oxl_oxen_temp_name(two) || strstr(two, ".oxentmp."));
        FUZZ_REQUIRE(!oxl_oxen_offset_name(two) || (two[0] && only(two, "0123456789")));
        char *rest = strchr(two, '/');
        if (!rest)
                return 0;
        *rest++ = 0;
        bool block = !oxl_oxen_hash_problem(two, rest, true, &id);
        FUZZ_REQUIRE(!block || strlen(two) + strlen(rest) == 32);
        /* whoever walks a store asks for the first level before */
        if (!oxl_oxen_prefix_name(two) || oxl_oxen_hash_problem(two, rest, false, &id))
                return 0;
        fuzz_accepted++;
        FUZZ_REQUIRE(id.algo == OXL_ALGO_XXH3_128);
        oxl_oxen_folder(&id, again);
        FUZZ_REQUIRE(strcmp(again, folder) == 0);
        return 0;
}
