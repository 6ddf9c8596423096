/* SPDX-License-Identifier: MIT */
/* See survey.h. Workers are processes that take cells off one list; figures come back in shared memory. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "crash/survey.h"

enum { PROFILES = 4, CELLS_MAX = 1024, FEW_STATES = 3 };

static const enum modelfs_profile profiles[PROFILES] = { MODELFS_P0, MODELFS_P1, MODELFS_P2, MODELFS_P5 };

struct cell {
        const struct lab_workload *w;
        enum modelfs_profile profile;
        uint64_t states, again, killed; /* again, killed: those of states that only came so */
        uint64_t looked, violations;
        double cpu_seconds;
        bool done, failed;
};

struct shared {
        atomic_uint next;
        int bad_workers;
        size_t n;
        struct cell cells[CELLS_MAX];
};

/* Which share of second crashes, and of kills, is looked at: one in so many. 0: none. */
struct shares {
        unsigned again, kills;
};

static struct shares shares_of(enum survey_depth depth, const struct cell *c)
{
        if (c->profile == MODELFS_P1 || c->w->each_sync)
                return (struct shares){ 0, 0 };
        const bool p0 = c->profile == MODELFS_P0;
        if (c->w->slow && depth != SURVEY_DEEP)
                return (struct shares){ 0, p0 && depth == SURVEY_TEST ? 61 : 0 };
        switch (depth) {
        case SURVEY_SAMPLE: return p0 ? (struct shares){ 997, 47 } : (struct shares){ 0, 0 };
        case SURVEY_TEST: return p0 ? (struct shares){ 151, 17 } : (struct shares){ 0, 0 };
        case SURVEY_DEEP:
                if (c->w->heavy)
                        return p0 ? (struct shares){ 7, 1 } : (struct shares){ 29, 1 };
                if (c->w->slow)
                        return p0 ? (struct shares){ 97, 7 } : (struct shares){ 0, 0 };
                return (struct shares){ p0 ? 1 : 2, 1 };
        }
        return (struct shares){ 0, 0 };
}

/* --- one cell -------------------------------------------------------------------------------------------------------- */

static struct lab_result run(struct cell *c, const struct lab_plan *plan, struct modelfs_seen *counted)
{
        struct lab_result r = lab_run(c->w, plan);
        c->states = modelfs_seen_count(counted);
        c->looked += r.looked;
        c->violations += r.violations;
        c->cpu_seconds += r.seconds;
        if (r.ran && !r.violations && r.descriptors == 0)
                return r;
        c->failed = true;
        printf("FAILED  %s, %s: %s\n", c->w->name, lab_profile_name(c->profile),
               r.first ? r.first
               : r.ran ? "descriptors stay open"
                       : "the workload did not run as planned");
        if (r.line)
                printf("./run crash --replay '%s'\n", r.line);
        fflush(stdout);
        return r;
}

static void run_each_sync(struct cell *c, struct lab_plan plan, struct modelfs_seen *counted)
{
        bool failed = true;
        for (plan.failing_sync = 1; failed; plan.failing_sync++)
                failed = run(c, &plan, counted).sync_failed;
        c->failed |= plan.failing_sync < 8; /* a commit has eight */
}

static void run_cell(struct cell *c, const struct survey_options *o)
{
        const struct shares shares = shares_of(o->depth, c);
        struct modelfs_seen *counted = modelfs_seen_new();
        struct lab_plan plan = {
                .profile = c->profile,
                .seed = o->seed,
                .quick = o->depth == SURVEY_SAMPLE || (o->depth == SURVEY_TEST && c->profile != MODELFS_P0),
                .deep = o->depth == SURVEY_DEEP,
                .nested = shares.again > 0,
                .sample = shares.again,
                .counted = counted,
        };
        if (c->w->each_sync) {
                run_each_sync(c, plan, counted);
        } else {
                c->again = run(c, &plan, counted).again;
        }
        if (shares.kills > 0) {
                uint64_t before = c->states;
                plan.nested = false, plan.kills = true, plan.sample = shares.kills,
                plan.quick = o->depth != SURVEY_DEEP;
                (void)run(c, &plan, counted);
                c->killed = c->states - before;
        }
        if (c->states < FEW_STATES) {
                printf("FAILED  %s, %s: %llu states\n", c->w->name, lab_profile_name(c->profile),
                       (unsigned long long)c->states);
                c->failed = true;
        }
        c->done = true;
        modelfs_seen_free(counted);
        if (!o->verbose)
                return;
        printf("%s  %-28s %8llu states, %6.0f a second\n", lab_profile_name(c->profile), c->w->name,
               (unsigned long long)c->states, (double)c->states / (c->cpu_seconds + 0.001));
        fflush(stdout);
}

/* --- all cells ------------------------------------------------------------------------------------------------------- */

static bool runs_on(const struct lab_workload *w, enum modelfs_profile profile, enum survey_depth depth)
{
        if (depth == SURVEY_SAMPLE && profile != MODELFS_P5)
                return profile == MODELFS_P0 && w->sampled && !w->slow;
        if (depth == SURVEY_SAMPLE && w->slow)
                return w->sampled;
        if (depth == SURVEY_TEST && w->slow && profile == MODELFS_P2)
                return false;
        return profile != MODELFS_P1 || w->splits;
}

/* Those that take long come first, so that no worker is alone at the end. */
static void list_cells(struct shared *all, const struct survey_options *o)
{
        for (int light = 0; light < 2; light++)
                for (size_t p = 0; p < PROFILES; p++)
                        for (size_t i = 0; i < lab_workloads_count && all->n < CELLS_MAX; i++) {
                                const struct lab_workload *w = &lab_workloads[i];
                                if (w->heavy == light || !runs_on(w, profiles[p], o->depth) ||
                                    (o->only && strcmp(o->only, w->name) != 0))
                                        continue;
                                all->cells[all->n++] = (struct cell){ .w = w, .profile = profiles[p] };
                        }
}

static void work(struct shared *all, const struct survey_options *o)
{
        for (;;) {
                unsigned i = atomic_fetch_add(&all->next, 1);
                if (i >= all->n)
                        return;
                run_cell(&all->cells[i], o);
        }
}

static void run_workers(struct shared *all, const struct survey_options *o)
{
        long processors = sysconf(_SC_NPROCESSORS_ONLN);
        unsigned n = o->workers ? o->workers : processors > 0 ? (unsigned)processors : 1;
        fflush(NULL);
        for (unsigned i = 0; i < n; i++) {
                pid_t pid = fork();
                if (pid == 0) {
                        work(all, o);
                        exit(0);
                }
                if (pid < 0 && i == 0)
                        work(all, o);
        }
        int status, bad = 0;
        while (wait(&status) > 0) { /* a leak; or it died, and has left a cell that is not done */
                bad += status != 0;
                if (status != 0)
                        printf("FAILED  a worker ended with status %#x\n", (unsigned)status);
        }
        all->bad_workers = bad;
}

/* --- the table ------------------------------------------------------------------------------------------------------- */

static void say_count(uint64_t n)
{
        if (n >= 1000000)
                printf(" %llu,%03llu,%03llu |", (unsigned long long)n / 1000000, (unsigned long long)n / 1000 % 1000,
                       (unsigned long long)n % 1000);
        else if (n >= 1000)
                printf(" %llu,%03llu |", (unsigned long long)n / 1000, (unsigned long long)n % 1000);
        else
                printf(" %llu |", (unsigned long long)n);
}

struct sums {
        uint64_t of[PROFILES], states, again, killed, looked;
};

static void say_row(const char *name, const struct sums *s)
{
        printf("| %s |", name);
        for (size_t p = 0; p < PROFILES; p++)
                if (s->of[p] > 0)
                        say_count(s->of[p]);
                else
                        printf(" - |");
        say_count(s->states);
        say_count(s->again);
        say_count(s->killed);
        say_count(s->looked);
        printf("\n");
}

static void add(struct sums *s, const struct cell *c)
{
        for (size_t p = 0; p < PROFILES; p++)
                s->of[p] += profiles[p] == c->profile ? c->states : 0;
        s->states += c->states;
        s->again += c->again;
        s->killed += c->killed;
        s->looked += c->looked;
}

static void say_table(const struct shared *all)
{
        struct sums total = { 0 };
        printf("| workload | P0 | P1 | P2 | P5 | all | second crash | after a kill | recovered disks |\n"
               "|---|---|---|---|---|---|---|---|---|\n");
        for (size_t i = 0; i < lab_workloads_count; i++) {
                struct sums row = { 0 };
                for (size_t k = 0; k < all->n; k++)
                        if (all->cells[k].w == &lab_workloads[i])
                                add(&row, &all->cells[k]);
                if (row.states > 0)
                        say_row(lab_workloads[i].name, &row);
        }
        for (size_t k = 0; k < all->n; k++)
                add(&total, &all->cells[k]);
        say_row("all", &total);
}

static double wall(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct survey_result survey_run(const struct survey_options *options)
{
        struct survey_result ret = { 0 };
        double begin = wall();
        struct shared *all = mmap(NULL, sizeof *all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (all == MAP_FAILED)
                return (struct survey_result){ .failed = 1 };
        list_cells(all, options);
        run_workers(all, options);
        say_table(all);
        for (size_t i = 0; i < all->n; i++) {
                const struct cell *c = &all->cells[i];
                if (!c->done)
                        printf("FAILED  %s, %s: its process died\n", c->w->name, lab_profile_name(c->profile));
                ret.states += c->states;
                ret.violations += c->violations;
                ret.failed += c->failed || !c->done;
                ret.cpu_seconds += c->cpu_seconds;
        }
        ret.failed += (unsigned)all->bad_workers;
        ret.cells = (unsigned)all->n;
        ret.seconds = wall() - begin;
        (void)munmap(all, sizeof *all);
        printf("%llu states in %.0f s (%.0f s of processor time, %.0f a second), %llu violations, %u of %u cells failed\n",
               (unsigned long long)ret.states, ret.seconds, ret.cpu_seconds,
               (double)ret.states / (ret.cpu_seconds + 0.001), (unsigned long long)ret.violations, ret.failed,
               ret.cells);
        fflush(stdout);
        return ret;
}
