/* SPDX-License-Identifier: MIT */
/* daemon.json: every error has its place in the document; what is accepted has absolute paths and a contract that can be kept. */
#include "config.h"
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        cleanup_free uint8_t *text = fuzz_copy(data, size);
        struct config c = { 0 };
        struct config_errors errors = { 0 };
        int r = config_parse((const char *)text, size, &c, &errors, &err);
        FUZZ_REQUIRE(r == 0 || r == CONFIG_BAD);
        FUZZ_REQUIRE((r == CONFIG_BAD) == (errors.n > 0) && errors.n <= CONFIG_ERRORS_MAX);
        for (size_t i = 0; i < errors.n; i++)
                FUZZ_REQUIRE(errors.lines[i] && errors.lines[i][0]);
        for (size_t i = 0; r == 0 && i < c.n_repositories; i++) {
                const struct oxl_scrub_contract *k = &c.repositories[i].scrub.contract;
                FUZZ_REQUIRE(c.repositories[i].path && c.repositories[i].path[0] == '/');
                FUZZ_REQUIRE(k->days >= 1 && k->days <= 3650 && k->pressure <= 100);
                FUZZ_REQUIRE(k->window_begin >= 0 && k->window_begin <= 24 * 60 && k->window_end >= 0 &&
                             k->window_end <= 24 * 60);
        }
        if (r == 0) {
                fuzz_accepted++;
                config_done(&c);
        }
        config_errors_done(&errors);
        return 0;
}
