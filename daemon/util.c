/* SPDX-License-Identifier: MIT */
#include "util.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <oxenlite/json.h>

void util_json_freep(struct oxl_json **j)
{
        oxl_json_free(*j);
        *j = NULL;
}

int util_error(struct oxl_error *err, enum oxl_code code, int os, const char *path, const char *detail)
{
        if (err) {
                char *path_copy = path ? strdup(path) : NULL, *detail_copy = detail ? strdup(detail) : NULL;
                oxl_error_done(err);
                err->code = code;
                err->os = os;
                err->path[0] = path_copy;
                err->detail = detail_copy;
        }
        return -(int)code;
}

char *util_error_text(const struct oxl_error *err)
{
        size_t n = oxl_error_text(err, NULL, 0);
        cleanup_free char *text = malloc(n + 1);

        if (!text)
                return NULL;
        oxl_error_text(err, text, n + 1);
        return util_format("%s [%s]", text, oxl_error_slug(err->code));
}

void util_set(char **to, const char *text)
{
        char *copy = text ? strdup(text) : NULL;
        free(*to);
        *to = copy;
}

char *util_escape(const char *name)
{
        size_t n = strlen(name) * OXL_ESCAPE_GROWTH + 1;
        char *text = malloc(n);

        if (text)
                oxl_text_escape(name, OXL_ESCAPE_BYTES, text, n);
        return text;
}

char *util_format(const char *format, ...)
{
        char *text = NULL;
        va_list ap;

        va_start(ap, format);
        int n = vasprintf(&text, format, ap);
        va_end(ap);
        return n < 0 ? NULL : text;
}

static int64_t clock_ns(clockid_t clock)
{
        struct timespec t;
        if (clock_gettime(clock, &t) < 0)
                return 0;
        return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t util_monotonic_ms(void)
{
        return clock_ns(CLOCK_MONOTONIC) / 1000000;
}

int64_t util_now_ns(void)
{
        return clock_ns(CLOCK_REALTIME);
}
