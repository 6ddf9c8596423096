/* SPDX-License-Identifier: MIT */
/* Every power cut during every workload of the store, in any order that the disk likes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crash/storelab.h"

static void survives(const char *name, struct lab_plan plan)
{
        const char *only = getenv("OXL_CRASH_ONLY");
        uint64_t total = 0;
        for (size_t i = 0; i < lab_workloads_count; i++) {
                const struct lab_workload *w = &lab_workloads[i];
                if (only && strcmp(only, w->name) != 0)
                        continue;
                struct lab_result r = lab_run(w, &plan);
                lab_print(name, w, &r);
                assert_true(r.ran);
                assert_int_equal(r.violations, 0);
                assert_int_equal(r.descriptors, 0);
                assert_true(r.states > 10);
                total += r.states;
        }
        print_message("%s  total %llu states\n", name, (unsigned long long)total);
}

static void every_crash_of_p0_keeps_the_promises(void **state)
{
        survives("P0", (struct lab_plan){ .profile = MODELFS_P0 });
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_crash_of_p0_keeps_the_promises),
        };
        lab_begin();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
