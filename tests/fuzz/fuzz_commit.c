/* SPDX-License-Identifier: MIT */
/* A commit object: whatever is decoded is encoded to the same bytes, so a history has one id. */
#include "base/utf8.h"
#include "fuzz/fuzz.h"
#include "objects/commit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        cleanup_buf struct oxl_buf again = OXL_BUF_INIT;
        cleanup(oxl_commit_done) struct oxl_commit c = OXL_COMMIT_INIT;
        if (fuzz_failed(oxl_commit_decode(oxl_bytes_of(data, size), "commit", &c, &err), &err))
                return 0;
        fuzz_accepted++;
        FUZZ_REQUIRE(c.parents <= OXL_PARENTS_MAX && c.tree.algo == OXL_ALGO_BLAKE3);
        FUZZ_REQUIRE(oxl_utf8_valid(c.message, strlen(c.message)) && oxl_utf8_valid(c.author, strlen(c.author)));
        FUZZ_REQUIRE(!strpbrk(c.author, "\n\r\033\177"));
        FUZZ_REQUIRE(c.zone_minutes >= -720 && c.zone_minutes <= 840);
        FUZZ_REQUIRE(oxl_commit_encode(&c, &again, NULL) == 0);
        FUZZ_REQUIRE(oxl_bytes_equal(oxl_bytes_of(data, size), oxl_buf_bytes(&again)));
        return 0;
}
