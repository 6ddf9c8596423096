/* SPDX-License-Identifier: MIT */
/*
 * How far the contract is kept: each file has a deadline, the contract's days after it was verified last, or after it came
 * to be there. The rate needed is the steepest of the lines from now to what must be read by each deadline.
 */
#include <stdlib.h>

#include "scrub/run.h"

/* What is overdue, or will be in a moment, is wanted within the hour, not at once. */
#define SOON_NS (INT64_C(3600) * OXL_SECOND_NS)

void oxl_coverage_done(struct oxl_coverage *c)
{
        free(c->deadlines);
        c->deadlines = NULL;
        c->n = c->cap = 0;
}

static void count_age(struct oxl_coverage *c, const struct oxl_check_unit *u, bool overdue)
{
        int64_t age = c->now_ns - u->verified_ns;
        int eighth = overdue ? 7 : (int)((double)age * 8 / (double)c->days_ns);
        if (u->verified_ns > 0 || overdue)
                c->status.by_age[eighth < 0 ? 0 : eighth > 7 ? 7 : eighth] += u->size;
}

static void count(struct oxl_coverage *c, const struct oxl_check_unit *u, int64_t deadline)
{
        struct oxl_scrub_status *s = &c->status;
        bool overdue = deadline < c->now_ns, never = u->verified_ns <= 0;
        s->files++;
        s->bytes += u->size;
        s->damaged_files += u->damaged;
        s->never_files += never;
        s->never_bytes += never ? u->size : 0;
        s->overdue_files += overdue;
        s->overdue_bytes += overdue ? u->size : 0;
        if (!overdue && !never && !u->damaged) {
                s->verified_files++;
                s->verified_bytes += u->size;
        }
        if (!never && (s->oldest_ns == 0 || u->verified_ns < s->oldest_ns))
                s->oldest_ns = u->verified_ns;
        if (s->due_ns == 0 || deadline < s->due_ns)
                s->due_ns = deadline;
        c->due_bytes += u->due ? u->size : 0;
        count_age(c, u, overdue);
}

int oxl_coverage_add(struct oxl_coverage *c, const struct oxl_check_unit *u, struct oxl_error *err)
{
        int64_t deadline = (u->verified_ns > 0 ? u->verified_ns : u->changed_ns) + c->days_ns;
        if (c->n == c->cap) {
                size_t cap = 2 * c->cap + 256;
                struct oxl_deadline *at = reallocarray(c->deadlines, cap, sizeof *at);
                if (!at)
                        return OXL_FAIL_PLAIN(err, NOMEM);
                c->deadlines = at;
                c->cap = cap;
        }
        c->deadlines[c->n++] = (struct oxl_deadline){ deadline, u->size };
        count(c, u, deadline);
        return 0;
}

static int compare(const void *a, const void *b)
{
        const struct oxl_deadline *x = a, *y = b;
        return x->at_ns < y->at_ns ? -1 : x->at_ns > y->at_ns;
}

void oxl_coverage_end(struct oxl_coverage *c)
{
        struct oxl_scrub_status *s = &c->status;
        double rate = 0, bytes = 0;
        if (c->n > 1)
                qsort(c->deadlines, c->n, sizeof *c->deadlines, compare);
        for (size_t i = 0; i < c->n; i++) {
                int64_t left = c->deadlines[i].at_ns - c->now_ns;
                bytes += (double)c->deadlines[i].bytes;
                double needed = bytes * 1e9 / (double)(left > SOON_NS ? left : SOON_NS);
                rate = needed > rate ? needed : rate;
        }
        s->rate_needed = (uint64_t)(rate + 0.999);
        s->met = s->overdue_files == 0;
        if (s->never_files > 0)
                s->oldest_ns = 0;
}
