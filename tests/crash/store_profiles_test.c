/* SPDX-License-Identifier: MIT */
/* Every power cut during every workload of the store, on each kind of disk that a sound file system may be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "crash/storelab.h"

static void survives(const char *name, struct lab_plan plan)
{
        const char *only = getenv("OXL_CRASH_ONLY");
        uint64_t total = 0;
        for (size_t i = 0; i < lab_workloads_count; i++) {
                const struct lab_workload *w = &lab_workloads[i];
                if ((only && strcmp(only, w->name) != 0) || (w->heavy && !getenv("OXL_DEEP")))
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

static void every_crash_of_p2_keeps_the_promises(void **state)
{
        survives("P2", (struct lab_plan){ .profile = MODELFS_P2, .quick = true });
}

static void every_crash_of_p5_keeps_the_promises(void **state)
{
        survives("P5", (struct lab_plan){ .profile = MODELFS_P5, .quick = true });
}

/* Where rename is three operations, readers may see none of the two; what an intent covers is whole after recovery. */
static void a_disk_that_splits_renames_is_survived_by_commit(void **state)
{
        static const char *const names[] = { "first commit", "commit -a" };
        for (size_t i = 0; i < OXL_ARRAY_LEN(names); i++) {
                const struct lab_plan plan = { .profile = MODELFS_P1, .quick = true };
                struct lab_result r = lab_run(lab_find(names[i]), &plan);
                lab_print("P1", lab_find(names[i]), &r);
                assert_true(r.ran);
                assert_int_equal(r.violations, 0);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_crash_of_p2_keeps_the_promises),
                cmocka_unit_test(every_crash_of_p5_keeps_the_promises),
                cmocka_unit_test(a_disk_that_splits_renames_is_survived_by_commit),
        };
        lab_begin();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
