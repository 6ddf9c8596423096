/* SPDX-License-Identifier: MIT */
/* The crew: order, every slot once, no thread needed, and an early end. Runs under the thread sanitizer in the deep tests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "os/crew.h"

enum { SLOTS = 5, JOBS = 2000 };

struct job {
        unsigned number, answer, worked;
};

struct fixture {
        struct oxl_crew *crew;
        struct job jobs[SLOTS];
        atomic_uint begun;
};

/* Later jobs are shorter, so that they overtake. */
static void work(void *ctx, size_t slot)
{
        struct fixture *f = ctx;
        struct job *j = &f->jobs[slot];
        atomic_fetch_add(&f->begun, 1);
        unsigned sum = 0;
        for (unsigned i = 0; i < (JOBS - j->number) % 700; i++)
                sum += i ^ j->number;
        j->answer = j->number * 2 + (sum & 0);
        j->worked++;
}

static void take_one(struct fixture *f, unsigned *taken)
{
        struct job *j = &f->jobs[oxl_crew_take(f->crew)];
        assert_int_equal(j->number, *taken);
        assert_int_equal(j->answer, 2 * *taken);
        assert_int_equal(j->worked, 1);
        ++*taken;
}

/* With @help who takes works on other slots meanwhile. */
static void run(unsigned threads, bool help)
{
        struct fixture *f = calloc(1, sizeof *f);
        unsigned taken = 0, helped = 0;
        assert_non_null(f);
        assert_int_equal(oxl_crew_new(threads, SLOTS, work, f, &f->crew, NULL), 0);
        assert_false(oxl_crew_busy(f->crew));
        for (unsigned i = 0; i < JOBS; i++) {
                while (help && oxl_crew_full(f->crew) && oxl_crew_help(f->crew))
                        helped++;
                if (oxl_crew_full(f->crew))
                        take_one(f, &taken);
                f->jobs[oxl_crew_slot(f->crew)] = (struct job){ .number = i };
                oxl_crew_submit(f->crew);
        }
        while (oxl_crew_busy(f->crew)) {
                while (help && oxl_crew_help(f->crew))
                        helped++;
                take_one(f, &taken);
        }
        assert_int_equal(taken, JOBS);
        assert_int_equal(atomic_load(&f->begun), JOBS);
        /* alone it does the oldest, which is done then, so take follows; else it depends on the others */
        assert_true(threads == 0 && help ? helped == JOBS : helped <= (help ? JOBS : 0));
        oxl_crew_free(f->crew);
        free(f);
}

static void results_come_in_the_order_of_submission(void **state)
{
        (void)state;
        for (unsigned threads = 1; threads <= 8; threads++)
                run(threads, false);
}

static void who_waits_may_help(void **state)
{
        (void)state;
        for (unsigned threads = 0; threads <= 4; threads++)
                run(threads, true);
        struct fixture *f = calloc(1, sizeof *f);
        unsigned taken = 0;
        assert_non_null(f);
        assert_int_equal(oxl_crew_new(0, SLOTS, work, f, &f->crew, NULL), 0);
        for (unsigned i = 0; i < 2; i++) {
                f->jobs[oxl_crew_slot(f->crew)] = (struct job){ .number = i };
                oxl_crew_submit(f->crew);
        }
        assert_true(oxl_crew_help(f->crew));
        assert_false(oxl_crew_help(f->crew)); /* the oldest is done: it is time to take it */
        take_one(f, &taken);
        assert_true(oxl_crew_help(f->crew));
        take_one(f, &taken);
        oxl_crew_free(f->crew);
        free(f);
}

static void without_threads_the_taker_works(void **state)
{
        (void)state;
        run(0, false);
}

static void a_crew_that_is_freed_early_leaves_the_rest_undone(void **state)
{
        (void)state;
        for (unsigned i = 0; i < 50; i++) {
                struct fixture *f = calloc(1, sizeof *f);
                assert_non_null(f);
                assert_int_equal(oxl_crew_new(3, SLOTS, work, f, &f->crew, NULL), 0);
                for (unsigned n = 0; n < SLOTS; n++) {
                        f->jobs[oxl_crew_slot(f->crew)] = (struct job){ .number = n };
                        oxl_crew_submit(f->crew);
                }
                oxl_crew_free(f->crew);
                for (unsigned n = 0; n < SLOTS; n++)
                        assert_in_range(f->jobs[n].worked, 0, 1);
                free(f);
        }
        oxl_crew_free(NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(results_come_in_the_order_of_submission),
                cmocka_unit_test(who_waits_may_help),
                cmocka_unit_test(without_threads_the_taker_works),
                cmocka_unit_test(a_crew_that_is_freed_early_leaves_the_rest_undone),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
