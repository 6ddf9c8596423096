/* SPDX-License-Identifier: MIT */
/* Every crash of every workload of the store, for the profiles that a sound file system may have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "crash/modelvfs.h"
#include "crash/storelab.h"

static void survives(enum modelfs_profile profile, const char *name)
{
        const char *only = getenv("OXL_CRASH_ONLY");
        for (size_t i = 0; i < lab_workloads_count; i++) {
                const struct lab_workload *w = &lab_workloads[i];
                const struct lab_plan plan = { .profile = profile };
                if (only && strcmp(only, w->name) != 0)
                        continue;
                struct lab_result r = lab_run(w, &plan);
                print_message("%s  %-26s %7llu states, %6.0f a second, %llu violations%s%s\n", name, w->name,
                              (unsigned long long)r.states, (double)r.states / r.seconds,
                              (unsigned long long)r.violations, r.first ? ": " : "", r.first ? r.first : "");
                if (getenv("OXL_CRASH_GO_ON"))
                        continue;
                assert_true(r.ran);
                assert_int_equal(r.violations, 0);
                assert_int_equal(r.descriptors, 0);
        }
}

static void every_crash_of_p0_keeps_the_promises(void **state)
{
        survives(MODELFS_P0, "P0");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_crash_of_p0_keeps_the_promises),
        };
        setenv("TMPDIR", "/tmp", 1);
        setenv("TZ", "UTC", 1);
        modelvfs_register();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
