/* SPDX-License-Identifier: MIT */
/*
 * A table of system calls around the current one (the kernel's, or a model disk's) that counts calls, remembers their order
 * and makes some of them fail.
 *
 *      for (unsigned n = 1;; n++) {
 *              fault_install(&(struct fault_plan){ .nth = n, .os = EIO });
 *              int r = code_under_test();
 *              if (!fault_remove())
 *                      break;          // fewer than n calls: every one has failed once
 *              ...
 *      }
 *
 * Threads: none while it is installed.
 */
#ifndef OXL_TESTS_FAULT_H
#define OXL_TESTS_FAULT_H

#include <stdbool.h>
#include <stddef.h>

struct fault_plan {
        const char *only;   /* count and fail only calls of this name; NULL: all */
        unsigned nth;       /* the first call that fails, from 1; 0: none */
        unsigned times;     /* how many in a row; 0: one */
        bool for_ever;      /* all from there on */
        bool after;         /* do it, then say that it failed */
        int os;             /* errno; EINTR counts only calls that signals interrupt; 0 for writes: they return 0 */
        size_t short_write; /* writes take at most this many bytes */
        bool one_less;      /* writes take all but one byte */
        size_t short_read;  /* reads give at most this many bytes */
};

void fault_install(const struct fault_plan *plan);

/* Puts the table of before back. Has any call failed? */
bool fault_remove(void);

/* Calls since install: of one name, or all (NULL). Valid after remove, too. */
unsigned fault_calls(const char *name);

/* The names in order, each followed by a space (the first 64 KiB). */
const char *fault_trace(void);

/* Descriptors that the process has open, for comparing. */
unsigned fault_open_descriptors(void);

#endif
