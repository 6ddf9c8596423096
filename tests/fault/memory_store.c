/* SPDX-License-Identifier: MIT */
/*
 * Every allocation of each verb fails, once and from then on for ever; those that SQLite and cJSON make for us as well. The verb is
 * done all the same, or reports NOMEM; nothing leaks (the sanitizer looks). What else must be true after each: support/verbs.h.
 *
 * A sample of the allocations of each verb, whose first differs from verb to verb; OXL_DEEP: all of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "support/allocations.h"
#include "support/verbs.h"

enum { SAMPLES = 10 };

static void begin(const void *plan)
{
        allocations_fail(plan);
}

static void deny_each_allocation_of(int subject)
{
        const struct subject *s = &verbs_subjects[subject];
        unsigned rounds = 0, fired = 0;
        struct allocations_plan plan = { 0 };
        const struct verbs_faults faults = { begin, allocations_end, &plan };
        verbs_prepare(s);
        verbs_count(s, &faults);
        unsigned total = allocations_count();
        unsigned stride = verbs_deep() ? 1 : total / SAMPLES + 1;
        assert_true(total > 20);
        for (int for_ever = 0; for_ever < 2; for_ever++) {
                plan.for_ever = for_ever;
                for (plan.nth = 1 + (unsigned)(3 * subject + for_ever) % stride; plan.nth <= total;
                     plan.nth += stride) {
                        verbs_round("%s, allocation %u of %u fails%s", s->name, plan.nth, total,
                                    for_ever ? " for ever" : "");
                        rounds++;
                        fired += verbs_one_round(s, &faults, false, rounds % 3 == 0);
                }
        }
        assert_true(fired > rounds / 2);
        verbs_round("%s", "");
        print_message("%-24s %5u allocations, %5u rounds, %5u with a failed one\n", s->name, total, rounds, fired);
}

static void any_allocation_of_init_fails(void **state)
{
        deny_each_allocation_of(VERBS_INIT);
}

static void any_allocation_of_add_fails(void **state)
{
        deny_each_allocation_of(VERBS_ADD);
}

static void any_allocation_of_a_first_commit_fails(void **state)
{
        deny_each_allocation_of(VERBS_COMMIT_FIRST);
}

static void any_allocation_of_commit_all_fails(void **state)
{
        deny_each_allocation_of(VERBS_COMMIT_ALL);
}

static void any_allocation_of_restore_fails(void **state)
{
        deny_each_allocation_of(VERBS_RESTORE);
}

static void any_allocation_of_config_fails(void **state)
{
        deny_each_allocation_of(VERBS_CONFIG);
}

static void any_allocation_of_recovery_of_a_commit_with_nothing_named_fails(void **state)
{
        deny_each_allocation_of(VERBS_RECOVER_EARLY);
}

static void any_allocation_of_recovery_of_a_commit_with_an_old_ref_fails(void **state)
{
        deny_each_allocation_of(VERBS_RECOVER_LATE);
}

static void any_allocation_of_status_fails(void **state)
{
        deny_each_allocation_of(VERBS_STATUS);
}

static void any_allocation_of_log_fails(void **state)
{
        deny_each_allocation_of(VERBS_LOG);
}

static void any_allocation_of_fsck_fails(void **state)
{
        deny_each_allocation_of(VERBS_FSCK);
}

static void any_allocation_of_repair_fails(void **state)
{
        deny_each_allocation_of(VERBS_REPAIR);
}

static void any_allocation_of_switch_fails(void **state)
{
        deny_each_allocation_of(VERBS_SWITCH);
}

static void any_allocation_of_rm_fails(void **state)
{
        deny_each_allocation_of(VERBS_RM);
}

static void any_allocation_of_undo_fails(void **state)
{
        deny_each_allocation_of(VERBS_UNDO);
}

static void any_allocation_of_gc_fails(void **state)
{
        deny_each_allocation_of(VERBS_GC);
}

static int enter(void **state)
{
        allocations_setup();
        return verbs_enter(state);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_teardown(any_allocation_of_init_fails, verbs_say_round),
                cmocka_unit_test_teardown(any_allocation_of_add_fails, verbs_say_round),
                cmocka_unit_test_teardown(any_allocation_of_a_first_commit_fails, verbs_say_round),
                cmocka_unit_test_teardown(any_allocation_of_commit_all_fails, verbs_say_round),
                cmocka_unit_test_teardown(any_allocation_of_restore_fails, verbs_say_round),
                cmocka_unit_test_teardown(any_allocation_of_config_fails, verbs_say_round),
                cmocka_unit_test_teardown(any_allocation_of_recovery_of_a_commit_with_nothing_named_fails,
                                          verbs_say_round),
                cmocka_unit_test_teardown(any_allocation_of_recovery_of_a_commit_with_an_old_ref_fails,
                                          verbs_say_round),
                cmocka_unit_test_teardown(any_allocation_of_status_fails, verbs_say_round),
                cmocka_unit_test_teardown(any_allocation_of_log_fails, verbs_say_round),
                cmocka_unit_test_teardown(any_allocation_of_fsck_fails, verbs_say_round),
                cmocka_unit_test_teardown(any_allocation_of_repair_fails, verbs_say_round),
                cmocka_unit_test_teardown(any_allocation_of_switch_fails, verbs_say_round),
                cmocka_unit_test_teardown(any_allocation_of_rm_fails, verbs_say_round),
                cmocka_unit_test_teardown(any_allocation_of_undo_fails, verbs_say_round),
                cmocka_unit_test_teardown(any_allocation_of_gc_fails, verbs_say_round),
        };
        return cmocka_run_group_tests(tests, enter, verbs_leave);
}
