/* SPDX-License-Identifier: MIT */
/* A sample of the crash lab under sanitizers: release-store_test.c is the whole of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "crash/survey.h"

static void every_crash_of_the_sample_keeps_the_promises(void **state)
{
        const struct survey_options options = { .depth = SURVEY_SAMPLE };
        struct survey_result r = survey_run(&options);
        assert_int_equal(r.violations, 0);
        assert_int_equal(r.failed, 0);
        assert_true(r.states > 5000);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_crash_of_the_sample_keeps_the_promises),
        };
        lab_begin();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
