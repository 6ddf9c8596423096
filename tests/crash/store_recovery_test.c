/* SPDX-License-Identifier: MIT */
/*
 * Crashes within recovery: after a power cut, the power fails again at each operation of the recovery that follows; and after
 * a kill, when names and bytes that nobody synced are still in the cache, the power fails during the recovery.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "crash/storelab.h"

static void survives(const char *kind, const char *name, struct lab_plan plan)
{
        const char *only = getenv("OXL_CRASH_ONLY");
        const struct lab_workload *w = lab_find(name);
        assert_non_null(w);
        if (only && strcmp(only, name) != 0)
                return;
        if (getenv("OXL_DEEP"))
                plan.sample = 1;
        struct lab_result r = lab_run(w, &plan);
        lab_print(kind, w, &r);
        assert_true(r.ran);
        assert_int_equal(r.violations, 0);
        assert_int_equal(r.descriptors, 0);
        assert_true(r.states > 10);
}

static const char *const names[] = { "init",          "add",           "first commit", "commit -a",
                                     "commit, large", "commit on NFS", "restore",      "restore --to" };

static void the_power_may_fail_again_during_recovery(void **state)
{
        for (size_t i = 0; i < OXL_ARRAY_LEN(names); i++)
                survives("twice", names[i], (struct lab_plan){ .nested = true, .sample = 61, .quick = true });
}

static void the_power_may_fail_during_recovery_from_a_kill(void **state)
{
        for (size_t i = 0; i < OXL_ARRAY_LEN(names); i++)
                survives("kill", names[i], (struct lab_plan){ .kills = true, .sample = 5, .quick = true });
}

/* Whichever sync fails: its pages count as clean and never reach the disk, and the next process must not believe the cache. */
static void one_sync_may_fail(void **state)
{
        bool failed = true;
        for (lab_failing_sync = 1; failed; lab_failing_sync++) {
                /* the two that found mistakes in all orders, the others in order */
                bool all = getenv("OXL_DEEP") || lab_failing_sync == 4 || lab_failing_sync == 5;
                const struct lab_plan plan = { .profile = all ? MODELFS_P0 : MODELFS_P5, .quick = true };
                struct lab_result r = lab_run(&lab_failing, &plan);
                char kind[16];
                snprintf(kind, sizeof kind, "%u", lab_failing_sync);
                lab_print(kind, &lab_failing, &r);
                failed = lab_sync_failed();
                assert_true(r.ran);
                assert_int_equal(r.violations, 0);
        }
        assert_true(lab_failing_sync > 7);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_power_may_fail_again_during_recovery),
                cmocka_unit_test(the_power_may_fail_during_recovery_from_a_kill),
                cmocka_unit_test(one_sync_may_fail),
        };
        lab_begin();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
