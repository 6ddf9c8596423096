/* SPDX-License-Identifier: MIT */
/*
 * Every system call of each verb fails: once, and from then on for ever, with each errno of a sick disk; calls are interrupted,
 * reads and writes are short. What must be true after each: support/verbs.h.
 *
 * A verb is run from opening the repository to closing it; in every third round it is first tried once more with the same
 * repository object, without faults. Only calls through oxl_sys fail: SQLite makes its own, which the model disk of
 * tests/crash and the full disks of tests/cli cover.
 *
 * Each verb is counted first. EIO once: a sample of the calls, with all of the first 40; other faults take their turns with the call
 * numbers. OXL_DEEP: all of all.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "support/fault.h"
#include "support/verbs.h"

enum { ALL_UP_TO = 40, SAMPLES = 45, TURN = 8 };

static void begin(const void *plan)
{
        fault_install(plan);
}

static const struct kind {
        const char *name;
        struct fault_plan plan;
        bool works; /* in spite of it */
} kinds[] = {
        { "EIO", { .os = EIO }, false },       { "EIO for ever", { .os = EIO, .for_ever = true }, false },
        { "ENOSPC", { .os = ENOSPC }, false }, { "ENOSPC for ever", { .os = ENOSPC, .for_ever = true }, false },
        { "EMFILE", { .os = EMFILE }, false }, { "EMFILE for ever", { .os = EMFILE, .for_ever = true }, false },
        { "EINTR", { .os = EINTR }, true },    { "EINTR 5 times", { .os = EINTR, .times = 5 }, true },
};

/* Is it this kind's turn to fail call @n of @total? */
static bool is_turn(size_t kind, unsigned n, unsigned total)
{
        if (verbs_deep() || (kind == 0 && n <= ALL_UP_TO))
                return true;
        unsigned stride = (total / SAMPLES + 1) * (kind == 0 ? 1 : TURN);
        return n % stride == kind % stride;
}

static unsigned all_rounds, all_fired;

static void fail_each_call_of(const struct subject *s)
{
        unsigned rounds = 0, fired = 0;
        struct fault_plan plan = { 0 };
        const struct verbs_faults faults = { begin, fault_remove, &plan };
        verbs_prepare(s);
        verbs_count(s, &faults);
        unsigned total = fault_calls(NULL);
        assert_true(total > 20);
        for (size_t i = 0; i < OXL_ARRAY_LEN(kinds); i++) {
                plan = kinds[i].plan;
                for (plan.nth = 1; plan.nth <= total; plan.nth++) {
                        if (!is_turn(i, plan.nth, total))
                                continue;
                        verbs_round("%s, %s, call %u of %u", s->name, kinds[i].name, plan.nth, total);
                        rounds++;
                        fired += verbs_one_round(s, &faults, kinds[i].works, plan.nth % 3 == 0);
                }
        }
        const struct fault_plan shorts[] = {
                { .short_write = 100 }, { .short_write = 4095 }, { .one_less = true },
                { .short_read = 100 },  { .short_read = 1 },     { .short_read = 4095 },
        };
        for (size_t i = 0; i < OXL_ARRAY_LEN(shorts); i++) {
                plan = shorts[i];
                verbs_round("%s, short writes or reads %zu", s->name, i);
                (void)verbs_one_round(s, &faults, true, false);
        }
        assert_true(fired > rounds / 2);
        verbs_round("%s", "");
        print_message("%-24s %4u calls, %4u rounds, %4u with a failed call\n", s->name, total, rounds, fired);
        all_rounds += rounds;
        all_fired += fired;
}

static void any_call_of_init_fails(void **state)
{
        fail_each_call_of(&verbs_subjects[VERBS_INIT]);
}

static void any_call_of_add_fails(void **state)
{
        fail_each_call_of(&verbs_subjects[VERBS_ADD]);
}

static void any_call_of_a_first_commit_fails(void **state)
{
        fail_each_call_of(&verbs_subjects[VERBS_COMMIT_FIRST]);
}

static void any_call_of_commit_all_fails(void **state)
{
        fail_each_call_of(&verbs_subjects[VERBS_COMMIT_ALL]);
}

static void any_call_of_restore_fails(void **state)
{
        fail_each_call_of(&verbs_subjects[VERBS_RESTORE]);
}

static void any_call_of_config_fails(void **state)
{
        fail_each_call_of(&verbs_subjects[VERBS_CONFIG]);
}

static void any_call_of_recovery_of_a_commit_with_nothing_named_fails(void **state)
{
        fail_each_call_of(&verbs_subjects[VERBS_RECOVER_EARLY]);
}

static void any_call_of_recovery_of_a_commit_with_an_old_ref_fails(void **state)
{
        fail_each_call_of(&verbs_subjects[VERBS_RECOVER_LATE]);
}

static void any_call_of_status_fails(void **state)
{
        fail_each_call_of(&verbs_subjects[VERBS_STATUS]);
}

static void any_call_of_log_fails(void **state)
{
        fail_each_call_of(&verbs_subjects[VERBS_LOG]);
}

static void any_call_of_fsck_fails(void **state)
{
        fail_each_call_of(&verbs_subjects[VERBS_FSCK]);
}

static void any_call_of_repair_fails(void **state)
{
        fail_each_call_of(&verbs_subjects[VERBS_REPAIR]);
}

static void any_call_of_switch_fails(void **state)
{
        fail_each_call_of(&verbs_subjects[VERBS_SWITCH]);
}

static void any_call_of_rm_fails(void **state)
{
        fail_each_call_of(&verbs_subjects[VERBS_RM]);
}

static void any_call_of_undo_fails(void **state)
{
        fail_each_call_of(&verbs_subjects[VERBS_UNDO]);
}

static void any_call_of_gc_fails(void **state)
{
        fail_each_call_of(&verbs_subjects[VERBS_GC]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_teardown(any_call_of_init_fails, verbs_say_round),
                cmocka_unit_test_teardown(any_call_of_add_fails, verbs_say_round),
                cmocka_unit_test_teardown(any_call_of_a_first_commit_fails, verbs_say_round),
                cmocka_unit_test_teardown(any_call_of_commit_all_fails, verbs_say_round),
                cmocka_unit_test_teardown(any_call_of_restore_fails, verbs_say_round),
                cmocka_unit_test_teardown(any_call_of_config_fails, verbs_say_round),
                cmocka_unit_test_teardown(any_call_of_recovery_of_a_commit_with_nothing_named_fails, verbs_say_round),
                cmocka_unit_test_teardown(any_call_of_recovery_of_a_commit_with_an_old_ref_fails, verbs_say_round),
                cmocka_unit_test_teardown(any_call_of_status_fails, verbs_say_round),
                cmocka_unit_test_teardown(any_call_of_log_fails, verbs_say_round),
                cmocka_unit_test_teardown(any_call_of_fsck_fails, verbs_say_round),
                cmocka_unit_test_teardown(any_call_of_repair_fails, verbs_say_round),
                cmocka_unit_test_teardown(any_call_of_switch_fails, verbs_say_round),
                cmocka_unit_test_teardown(any_call_of_rm_fails, verbs_say_round),
                cmocka_unit_test_teardown(any_call_of_undo_fails, verbs_say_round),
                cmocka_unit_test_teardown(any_call_of_gc_fails, verbs_say_round),
        };
        int failed = cmocka_run_group_tests(tests, verbs_enter, verbs_leave);
        print_message("%u rounds, %u with a failed call\n", all_rounds, all_fired);
        return failed;
}
