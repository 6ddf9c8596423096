/* SPDX-License-Identifier: MIT */
/* See allocations.h. */
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <cjson/cJSON.h>
#include <sqlite3.h>

#include "support/allocations.h"

static atomic_uint count, fired;
static struct allocations_plan plan;

static bool denied(void)
{
        unsigned n = atomic_fetch_add(&count, 1) + 1;
        if (plan.nth == 0 || n < plan.nth || (n > plan.nth && !plan.for_ever))
                return false;
        atomic_fetch_add(&fired, 1);
        errno = ENOMEM;
        return true;
}

#define WRAP(name, params, args)                             \
        void *__real_##name params;                          \
        void *__wrap_##name params;                          \
        void *__wrap_##name params                           \
        {                                                    \
                return denied() ? NULL : __real_##name args; \
        }

WRAP(malloc, (size_t n), (n))
WRAP(calloc, (size_t n, size_t size), (n, size))
WRAP(realloc, (void *p, size_t n), (p, n))
WRAP(reallocarray, (void *p, size_t n, size_t size), (p, n, size))
WRAP(strdup, (const char *s), (s))
WRAP(strndup, (const char *s, size_t n), (s, n))
WRAP(aligned_alloc, (size_t align, size_t n), (align, n))

int __wrap_asprintf(char **ret, const char *format, ...);
__attribute__((format(printf, 2, 3))) int __wrap_asprintf(char **ret, const char *format, ...)
{
        va_list args;
        if (denied())
                return -1;
        va_start(args, format);
        int n = vasprintf(ret, format, args);
        va_end(args);
        return n;
}

/* --- SQLite ------------------------------------------------------------------------------------------------------ */

static sqlite3_mem_methods sqlite_below;

static void *sqlite_malloc(int n)
{
        return denied() ? NULL : sqlite_below.xMalloc(n);
}

static void *sqlite_realloc(void *p, int n)
{
        return denied() ? NULL : sqlite_below.xRealloc(p, n);
}

/* --- cJSON ------------------------------------------------------------------------------------------------------- */

/* This object is wrapped as well, so these are counted by malloc. */
static void *json_malloc(size_t n)
{
        return malloc(n);
}

static void json_free(void *p)
{
        free(p);
}

/* ------------------------------------------------------------------------------------------------------------------ */

void allocations_setup(void)
{
        sqlite3_mem_methods methods;
        cJSON_Hooks hooks = { json_malloc, json_free };
        if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &sqlite_below) != SQLITE_OK)
                abort();
        methods = sqlite_below;
        methods.xMalloc = sqlite_malloc;
        methods.xRealloc = sqlite_realloc;
        /* No pool of small pieces: each allocation is one. */
        if (sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) != SQLITE_OK ||
            sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0) != SQLITE_OK)
                abort();
        cJSON_InitHooks(&hooks);
}

void allocations_fail(const struct allocations_plan *new_plan)
{
        atomic_store(&count, 0);
        atomic_store(&fired, 0);
        plan = *new_plan;
}

bool allocations_end(void)
{
        plan = (struct allocations_plan){ 0 };
        return atomic_load(&fired) > 0;
}

unsigned allocations_count(void)
{
        return atomic_load(&count);
}
