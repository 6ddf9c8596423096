/* SPDX-License-Identifier: MIT */
/* Every allocation of a check of an Oxen repository fails, once and from then on: the check says so, or that something could not be
 * read; that there is no memory is never damage of HEAD or config.toml, nor a missing store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <oxenlite/foreign.h>

#include "support/allocations.h"
#include "support/place.h"

struct heard {
        unsigned damage, unreadable;
};

static int hear(void *ctx, const struct oxl_finding *f, struct oxl_error *err)
{
        struct heard *h = ctx;
        if (f->problem == OXL_P_UNREADABLE)
                h->unreadable++;
        else
                h->damage++;
        return 0;
}

static void no_memory_is_no_damage(void **state)
{
        unsigned fired = 0, refused = 0;
        char config[512];
        char *place = place_new();
        snprintf(config, sizeof config,
                 "min_version = \"0.36.0\"\n[storage]\nkind = \"local\"\nversions_path = \"%s/far/files\"\n", place);
        static const char *const folders[] = { "repo",
                                               "repo/.oxen",
                                               "repo/.oxen/history",
                                               "far",
                                               "far/files",
                                               "far/files/a7",
                                               "far/files/a7/666c8f5aaf946ca629d9d20c29aa6a" };
        for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
                place_mkdir(place, folders[i]);
        place_text(place, "repo/.oxen/HEAD", "main");
        place_text(place, "repo/.oxen/config.toml", config);
        place_text(place, "far/files/a7/666c8f5aaf946ca629d9d20c29aa6a/data", "Hello\n");
        char *repo = place_path(place, "repo");
        for (int for_ever = 0; for_ever < 2; for_ever++) {
                bool reached = true;
                for (unsigned nth = 1; reached; nth++) {
                        struct heard h = { 0 };
                        struct oxl_oxen_result result;
                        struct oxl_error err = OXL_ERROR_INIT;
                        allocations_fail(&(struct allocations_plan){ nth, for_ever });
                        int r = oxl_oxen_check(repo, NULL, hear, &h, &result, &err);
                        reached = allocations_end();
                        assert_int_equal(h.damage, 0);
                        assert_true(r == 0 || r == -OXL_E_NOMEM);
                        assert_true(reached || (r == 0 && h.unreadable == 0 && result.blobs == 1));
                        fired += reached;
                        refused += r < 0;
                        oxl_error_done(&err);
                }
        }
        assert_true(fired > 20 && refused > 10);
        free(repo);
        place_free(place);
}

static int enter(void **state)
{
        allocations_setup();
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(no_memory_is_no_damage) };
        return cmocka_run_group_tests(tests, enter, NULL);
}
