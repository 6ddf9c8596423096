/* SPDX-License-Identifier: MIT */
/* See storelab.h: one run of one workload, and the replay of one crash of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/cleanup.h"
#include "crash/modelvfs.h"
#include "crash/storelab.h"

/* --- names ----------------------------------------------------------------------------------------------------------- */

const char *lab_profile_name(enum modelfs_profile profile)
{
        switch (profile) {
        case MODELFS_P0: return "P0";
        case MODELFS_P1: return "P1";
        case MODELFS_P2: return "P2";
        case MODELFS_P5: return "P5";
        }
        return "P?";
}

static const char *const mutant_names[] = { [OXL_MUTANT_NONE] = "NONE",
#define LAB_MUTANT_NAME(name) [OXL_MUTANT_##name] = #name,
                                            OXL_MUTANTS(LAB_MUTANT_NAME)
#undef LAB_MUTANT_NAME
};

/* --- one workload ------------------------------------------------------------------------------------------------------ */

static struct modelfs_limits outer_limits(const struct lab_plan *plan, bool heavy)
{
        if (plan->deep)
                return (struct modelfs_limits){
                        .exhaustive = 8, .clusters = 9, .random = 64, .pairs = true, .torn = true
                };
        if (plan->quick || heavy)
                return (struct modelfs_limits){ .exhaustive = 3, .clusters = 0 };
        return (struct modelfs_limits){ .exhaustive = 5, .clusters = 6, .random = 8, .torn = true };
}

static bool prepare(struct lab *l)
{
        enum oxl_mutant mutant = oxl_mutant;
        oxl_mutant =
                mutant == OXL_MUTANT_JOURNAL_DELETE ? mutant : OXL_MUTANT_NONE; /* it decides when the file is made */
        bool ok = modelfs_put_dir("/tmp") && modelfs_put_dir(LAB_TREE);
        oxl_mutant = mutant;
        return ok && (!l->w->setup || l->w->setup(l));
}

static double now(void)
{
        struct timespec t;
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool watch(struct lab *l)
{
        const struct lab_point *point = l->plan.replay;
        modelfs_limit(l->fs, outer_limits(&l->plan, l->w->heavy));
        modelfs_seed(l->fs, l->plan.seed);
        if (!l->w->from_first_ack)
                modelfs_count_in(l->fs, l->plan.counted);
        if (l->plan.stop_at_first)
                modelfs_stop_at_first(l->fs);
        if (point)
                modelfs_tell(l->fs, point->out);
        if (point && point->cut && !modelfs_replay(l->fs, point->cut))
                return false;
        if (l->plan.kills)
                modelfs_watch_kills(l->fs, lab_killed, l);
        else
                modelfs_watch(l->fs, lab_boot, l);
        return true;
}

static void run_watched(struct lab *l, struct lab_result *ret)
{
        l->replayed = true;
        if (!prepare(l) || !l->fs)
                return;
        if (l->plan.kills)
                l->replayed = false;
        if (!watch(l))
                return;
        ret->ran = l->w->run(l);
        modelfs_unwatch(l->fs);
        ret->states = modelfs_states(l->fs) + l->inner_states;
        ret->again = l->again;
        ret->descriptors = modelfs_open_descriptors(l->fs);
        ret->replayed = l->replayed && (l->plan.kills || modelfs_replayed(l->fs));
}

struct lab_result lab_run(const struct lab_workload *w, const struct lab_plan *plan)
{
        struct lab l = { .w = w, .plan = *plan };
        struct lab_result ret = { 0 };
        double begin = now();
        l.recovered = modelfs_seen_new(), l.inner = modelfs_seen_new(), l.killed = modelfs_seen_new();
        l.fs = modelfs_new(plan->profile);
        if (w->network)
                modelfs_set_network(l.fs);
        modelfs_mount(l.fs);
        modelfs_on_switch(); /* nothing random is left from an earlier run */
        oxl_mutant = plan->mutant;
        run_watched(&l, &ret);
        oxl_mutant = OXL_MUTANT_NONE;
        ret.sync_failed = l.sync_failed;
        ret.boots = l.boots;
        ret.looked = l.looked;
        ret.violations = l.violations;
        ret.first = l.first;
        ret.first_op = l.first_op;
        ret.line = l.line;
        ret.seconds = now() - begin;
        modelfs_free(l.fs);
        free(l.inner_point);
        modelfs_seen_free(l.recovered), modelfs_seen_free(l.inner), modelfs_seen_free(l.killed);
        return ret;
}

void lab_print(const char *kind, const struct lab_workload *w, const struct lab_result *r)
{
        printf("%-5s %-28s %7llu states, %5llu after recovery, %5.0f a second, %llu violations%s%s\n", kind, w->name,
               (unsigned long long)r->states, (unsigned long long)r->looked, (double)r->states / (r->seconds + 0.001),
               (unsigned long long)r->violations, r->first ? ": " : "", r->first ? r->first : "");
        if (r->line)
                printf("./run crash --replay '%s'\n", r->line);
        fflush(stdout);
}

/* --- replay ------------------------------------------------------------------------------------------------------------ */

size_t lab_begin_line(const struct lab *l, char *ret, size_t size)
{
        int n = snprintf(ret, size, "%s/%s/seed %llu", l->w->name, lab_profile_name(l->plan.profile),
                         (unsigned long long)l->plan.seed);
        if (l->plan.mutant != OXL_MUTANT_NONE)
                n += snprintf(ret + n, size - (size_t)n, "/mutant %s", mutant_names[l->plan.mutant]);
        if (l->plan.failing_sync > 0)
                n += snprintf(ret + n, size - (size_t)n, "/sync %u", l->plan.failing_sync);
        return (size_t)n;
}

static bool parse_mutant(const char *name, enum oxl_mutant *ret)
{
        for (size_t i = 0; i < OXL_ARRAY_LEN(mutant_names); i++) {
                if (strcmp(mutant_names[i], name) != 0)
                        continue;
                *ret = (enum oxl_mutant)i;
                return true;
        }
        return false;
}

static bool parse_profile(const char *name, enum modelfs_profile *ret)
{
        static const enum modelfs_profile all[] = { MODELFS_P0, MODELFS_P1, MODELFS_P2, MODELFS_P5 };
        for (size_t i = 0; i < OXL_ARRAY_LEN(all); i++) {
                if (strcmp(lab_profile_name(all[i]), name) != 0)
                        continue;
                *ret = all[i];
                return true;
        }
        return false;
}

static bool parse_part(char *part, struct lab_plan *plan, struct lab_point *point)
{
        unsigned long long n;
        if (strncmp(part, "cut ", 4) == 0) {
                bool second = point->cut || point->kill;
                *(second ? &point->again : &point->cut) = part;
                return true;
        }
        if (strncmp(part, "mutant ", 7) == 0)
                return parse_mutant(part + 7, &plan->mutant);
        if (strcmp(part, "watched") == 0)
                return point->watched = true;
        if (sscanf(part, "kill %llu", &n) == 1)
                point->kill = n;
        else if (sscanf(part, "sync %llu", &n) == 1)
                plan->failing_sync = (unsigned)n;
        else if (sscanf(part, "seed %llu", &n) == 1)
                plan->seed = n;
        else
                return false;
        return true;
}

/* @line is cut into pieces that the results point into. */
static bool parse_line(char *line, const struct lab_workload **ret_w, struct lab_plan *plan, struct lab_point *point)
{
        char *next = line, *name = strsep(&next, "/"), *profile = strsep(&next, "/"), *part;
        *ret_w = lab_find(name);
        if (!*ret_w || !profile || !parse_profile(profile, &plan->profile))
                return false;
        while ((part = strsep(&next, "/")))
                if (!parse_part(part, plan, point))
                        return false;
        plan->kills = point->kill > 0;
        return point->cut || point->kill;
}

int lab_replay(const char *line, FILE *out)
{
        cleanup_free char *copy = strdup(line);
        struct lab_point point = { .out = out };
        struct lab_plan plan = { .replay = &point };
        const struct lab_workload *w;
        if (!copy || !parse_line(copy, &w, &plan, &point)) {
                fprintf(out, "not a line of the crash lab: %s\n", line);
                return 2;
        }
        fprintf(out, "%s\n", line);
        struct lab_result r = lab_run(w, &plan);
        if (!r.replayed && !r.first) {
                fprintf(out, "\nthere is no such crash: the program has other operations\n");
                return 2;
        }
        fprintf(out, "\nverdict: %s\n", r.first ? r.first : "sound");
        return r.first ? 1 : 0;
}

/* --- before everything ---------------------------------------------------------------------------------------------------- */

/* Freed memory would be kept back for longer than our many small repositories are worth: twice as fast. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
        return "malloc_context_size=3:quarantine_size_mb=1:thread_local_quarantine_size_kb=64";
}

/* It is in the files that owners write, and so in what is counted. */
__attribute__((visibility("default"))) pid_t getpid(void)
{
        return 4242;
}

void lab_begin(void)
{
        setenv("TMPDIR", "/tmp", 1);
        setenv("TZ", "UTC", 1);
        /* One thread, and nobody asks for statistics: a third of SQLite's time. */
        if (sqlite3_config(SQLITE_CONFIG_SINGLETHREAD) != SQLITE_OK ||
            sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0) != SQLITE_OK)
                abort();
        modelvfs_register();
}
