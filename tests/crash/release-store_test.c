/* SPDX-License-Identifier: MIT */
/*
 * Every power cut, second power cut and kill of every workload of the store, on each kind of disk: 100,000 different disks, and
 * 5,000,000 with OXL_DEEP. Without sanitizers, which would cost nine tenths of the states.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "crash/survey.h"

static void every_crash_keeps_the_promises(void **state)
{
        const bool deep = getenv("OXL_DEEP");
        const struct survey_options options = { .depth = deep ? SURVEY_DEEP : SURVEY_TEST, .verbose = deep };
        struct survey_result r = survey_run(&options);
        assert_int_equal(r.violations, 0);
        assert_int_equal(r.failed, 0);
        assert_true(r.states >= (deep ? 5000000 : 100000));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_crash_keeps_the_promises),
        };
        lab_begin();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
