/* SPDX-License-Identifier: MIT */
/* Cleanup attributes and the few helpers that every file needs. Cleanup functions keep errno and never report;
 * hence a descriptor that was written through is never left to cleanup: close it and check. */
#ifndef OXL_BASE_CLEANUP_H
#define OXL_BASE_CLEANUP_H

#include <errno.h>
#include <stdlib.h>

#include <oxenlite/error.h>

#define cleanup(fn) __attribute__((cleanup(fn)))

static inline void oxl_freep(void *p)
{
        void **pp = p;
        free(*pp);
        *pp = NULL;
}
#define cleanup_free cleanup(oxl_freep)
#define cleanup_error cleanup(oxl_error_done)

/* Takes ownership out of a pointer variable: returns its value and leaves NULL. */
static inline void *oxl_take(void *p)
{
        void **pp = p;
        void *v = *pp;
        *pp = NULL;
        return v;
}
#define take_ptr(p) ((__typeof__(*(p)))oxl_take(p))

static inline int take_fd(int *fd)
{
        int v = *fd;
        *fd = -1;
        return v;
}

/* Names a result that is dropped on purpose, with the reason. */
#define OXL_IGNORE(expr, reason)           \
        do {                               \
                if ((expr)) { /* reason */ \
                }                          \
        } while (0)

/* Programmer errors only; stays on in release builds. Prints nothing: abort() leaves a core. */
#define OXL_ASSERT(cond)         \
        do {                     \
                if (!(cond))     \
                        abort(); \
        } while (0)

#define OXL_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
