/* SPDX-License-Identifier: MIT */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "notify.h"
#include "util.h"

static void to_stderr(enum log_level level, const struct log_about *about, const char *text)
{
        static const char *const levels[] = { [LOG_ERROR] = "error: ", [LOG_WARN] = "warning: ", [LOG_INFORM] = "" };
        time_t now = time(NULL);
        struct tm t;
        char when[32] = "";

        if (gmtime_r(&now, &t))
                (void)strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &t);
        /* One write for each line: workers share stderr. */
        cleanup_free char *line =
                util_format("%s oxen-lited: %s%s%s%s%s%s%s\n", when, levels[level] ? levels[level] : "",
                            about->repository ? about->repository : "", about->repository ? ": " : "", text,
                            about->slug ? " [" : "", about->slug ? about->slug : "", about->slug ? "]" : "");
        if (line)
                (void)fputs(line, stderr);
}

void log_about(enum log_level level, const struct log_about *about, const char *format, ...)
{
        cleanup_free char *raw = NULL;
        va_list ap;

        va_start(ap, format);
        int n = vasprintf(&raw, format, ap);
        va_end(ap);
        if (n < 0) {
                raw = NULL;
                (void)fputs("oxen-lited: out of memory\n", stderr);
                return;
        }
        cleanup_free char *text = util_escape(raw);
        cleanup_free char *repository = about->repository ? util_escape(about->repository) : NULL;
        cleanup_free char *slug = about->slug ? util_escape(about->slug) : NULL;
        cleanup_free char *finding = about->finding ? util_escape(about->finding) : NULL;
        struct log_about harmless = { repository, slug, finding };
        if (text && !notify_journal(level, &harmless, text))
                to_stderr(level, &harmless, text);
}
