/* SPDX-License-Identifier: MIT */
/*
 * The whole table of the crash lab: every workload on every kind of disk, by some processes at once, and the figures.
 *
 * A cell of the table is a workload on a profile. Its number counts different disks, by content (names, links, sizes, bytes, modes,
 * owners, times): disks that a power cut could leave and that were booted, recovered and judged. A disk that comes twice in a
 * cell counts once, however it came about: after a power cut, after a second one within recovery, or after a kill. The numbers
 * depend on the code and the seed alone.
 */
#ifndef OXL_TESTS_SURVEY_H
#define OXL_TESTS_SURVEY_H

#include "crash/storelab.h"

enum survey_depth {
        SURVEY_SAMPLE, /* seconds, under sanitizers */
        SURVEY_TEST,   /* 100,000 states */
        SURVEY_DEEP,   /* 5,000,000 states */
};

struct survey_options {
        enum survey_depth depth;
        unsigned workers; /* 0: one for each processor */
        const char *only; /* name of a workload; NULL: all */
        uint64_t seed;
        bool verbose; /* says each cell when it is done */
};

struct survey_result {
        uint64_t states, violations;
        unsigned cells, failed; /* failed: violated, or could not run as planned */
        double seconds, cpu_seconds;
};

/* Prints the table to stdout, and before it a line for each cell that failed. */
struct survey_result survey_run(const struct survey_options *options);

#endif
