/* SPDX-License-Identifier: MIT */
/* The few helpers that every file of the service needs. Nothing here knows the event loop. */
#ifndef OXEN_LITED_UTIL_H
#define OXEN_LITED_UTIL_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <oxenlite/error.h>

#define cleanup(fn) __attribute__((cleanup(fn)))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static inline void util_freep(void *p)
{
        void **pp = p;
        free(*pp);
        *pp = NULL;
}
#define cleanup_free cleanup(util_freep)
#define cleanup_error cleanup(oxl_error_done)

static inline void util_closep(int *fd)
{
        int keep = errno;
        if (*fd >= 0)
                (void)close(*fd);
        *fd = -1;
        errno = keep;
}
#define cleanup_fd cleanup(util_closep)
static inline int util_take_fd(int *fd)
{
        int taken = *fd;
        *fd = -1;
        return taken;
}

struct oxl_json;
void util_json_freep(struct oxl_json **j);
#define cleanup_json cleanup(util_json_freep)

/* Fills @err as the library would and returns -(code). @path and @detail may be NULL. */
int util_error(struct oxl_error *err, enum oxl_code code, int os, const char *path, const char *detail);
/* The message of @err with its slug, malloc'd; NULL without memory. */
char *util_error_text(const struct oxl_error *err);
/* Replaces *@to by a copy of @text (NULL: nothing). Best effort: without memory it becomes NULL. */
void util_set(char **to, const char *text);
/* @name harmless for one line of UTF-8 (oxl_text_escape()), malloc'd; NULL without memory. */
char *util_escape(const char *name);
__attribute__((format(printf, 1, 2))) char *util_format(const char *format, ...);

int64_t util_monotonic_ms(void);
int64_t util_now_ns(void);

#endif
