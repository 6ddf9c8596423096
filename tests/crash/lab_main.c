/* SPDX-License-Identifier: MIT */
/* The crash lab by hand: ./run crash. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crash/survey.h"

static int usage(void)
{
        fputs("usage: ./run crash [--deep] [--sample] [--only WORKLOAD] [--seed N] [--workers N]\n"
              "       ./run crash --list\n"
              "       ./run crash --replay LINE\n",
              stderr);
        return 2;
}

static int list(void)
{
        for (size_t i = 0; i < lab_workloads_count; i++)
                puts(lab_workloads[i].name);
        return 0;
}

/* An option of the survey; @value may be NULL. 1: it took the value; 0: it needs none; -1: unknown. */
static int take_option(struct survey_options *o, const char *name, const char *value)
{
        if (strcmp(name, "--deep") == 0 || strcmp(name, "--sample") == 0) {
                o->depth = name[2] == 'd' ? SURVEY_DEEP : SURVEY_SAMPLE;
                return 0;
        }
        if (!value)
                return -1;
        if (strcmp(name, "--only") == 0 && lab_find(value))
                o->only = value;
        else if (strcmp(name, "--seed") == 0)
                o->seed = strtoull(value, NULL, 10);
        else if (strcmp(name, "--workers") == 0)
                o->workers = (unsigned)strtoul(value, NULL, 10);
        else
                return -1;
        return 1;
}

int main(int argc, char **argv)
{
        struct survey_options options = { .depth = SURVEY_TEST, .verbose = true };
        lab_begin();
        if (argc == 2 && strcmp(argv[1], "--help") == 0)
                return usage(), 0;
        if (argc == 2 && strcmp(argv[1], "--list") == 0)
                return list();
        if (argc == 3 && strcmp(argv[1], "--replay") == 0)
                return lab_replay(argv[2], stdout);
        for (int i = 1; i < argc; i++) {
                int taken = take_option(&options, argv[i], argv[i + 1]);
                if (taken < 0)
                        return usage();
                i += taken;
        }
        return survey_run(&options).failed > 0;
}
