/* SPDX-License-Identifier: MIT */
/*
 * Allocations that fail on demand: malloc and its relatives in our own objects (the program is linked with --wrap for each, see
 * tests/CMakeLists.txt), and those of SQLite and cJSON. Threads: allocations of all of them count.
 */
#ifndef OXL_TESTS_SUPPORT_ALLOCATIONS_H
#define OXL_TESTS_SUPPORT_ALLOCATIONS_H

#include <stdbool.h>

struct allocations_plan {
        unsigned nth;  /* the first that fails, from 1; 0: none, they are only counted */
        bool for_ever; /* all from there on, else one */
};

/* Before anything uses SQLite or cJSON. */
void allocations_setup(void);
void allocations_fail(const struct allocations_plan *plan);
/* Everything works again. Did one fail? */
bool allocations_end(void);
/* Since allocations_fail. */
unsigned allocations_count(void);

#endif
