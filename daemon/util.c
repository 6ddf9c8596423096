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

/* Length of the well-formed UTF-8 character at @p (never beyond the final NUL); 0: not UTF-8. */
static size_t utf8_length(const unsigned char *p)
{
        static const unsigned char low[] = { 0xe0, 0xa0, 0xf0, 0x90 };
        size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : p[0] >= 0xe0 && p[0] < 0xf0 ? 3 : 0;

        if (p[0] >= 0xf0 && p[0] < 0xf5)
                n = 4;
        for (size_t i = 1; i < n; i++)
                if ((p[i] & 0xc0) != 0x80)
                        return 0;
        if ((p[0] == low[0] && p[1] < low[1]) || (p[0] == low[2] && p[1] < low[3]) || (p[0] == 0xed && p[1] > 0x9f) ||
            (p[0] == 0xf4 && p[1] > 0x8f))
                return 0;
        return n;
}

char *util_escape(const char *name)
{
        static const char hex[] = "0123456789abcdef", replacement[] = "\xef\xbf\xbd";
        char *text = malloc(strlen(name) * 4 + 1), *to = text;

        if (!text)
                return NULL;
        for (const unsigned char *p = (const unsigned char *)name; *p;) {
                size_t n = utf8_length(p);
                if (n == 0) {
                        memcpy(to, replacement, 3);
                        to += 3;
                        p++;
                } else if (n == 1 && (*p < 0x20 || *p == 0x7f)) {
                        *to++ = '\\';
                        *to++ = 'x';
                        *to++ = hex[*p >> 4];
                        *to++ = hex[*p & 15];
                        p++;
                } else {
                        memcpy(to, p, n);
                        to += n;
                        p += n;
                }
        }
        *to = '\0';
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
