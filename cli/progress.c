/* SPDX-License-Identifier: MIT */
/*
 * One line on a terminal's stderr, with the rate and the time left where they are known: after one second, at most ten
 * times a second, gone before anything else is printed.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

enum { FIRST_MS = 1000, EVERY_MS = 100 };

static int64_t now_ms(void)
{
        struct timespec t;
        if (clock_gettime(CLOCK_MONOTONIC, &t) < 0)
                return 0;
        return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void progress_setup(struct cli *c, bool wanted)
{
        const char *term = getenv("TERM");
        c->progress.enabled = wanted && isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
        c->progress.started_ms = now_ms();
}

void progress_erase(struct cli *c)
{
        if (!c->progress.visible)
                return;
        fputs("\r\033[K", stderr);
        c->progress.visible = false;
}

/* "12 of 340 files", "12 files", "" */
static void count(char *buf, size_t size, uint64_t n, uint64_t total)
{
        if (total > 0)
                (void)snprintf(buf, size, " %llu of %llu files", (unsigned long long)n, (unsigned long long)total);
        else if (n > 0)
                (void)snprintf(buf, size, " %llu file%s", (unsigned long long)n, plural(n));
        else
                buf[0] = '\0';
}

/* " 95.1 MiB/s, 12 s left": of the phase, once it has run for a second */
static void pace(const struct progress *p, int64_t now, uint64_t bytes, uint64_t bytes_total)
{
        char rate[SIZE_TEXT];
        int64_t ms = now - p->phase_ms;

        if (ms < FIRST_MS || bytes <= p->phase_bytes)
                return;
        bytes_total -= bytes_total ? p->phase_bytes : 0;
        bytes -= p->phase_bytes;
        (void)fprintf(stderr, ", %s/s", size_text((uint64_t)((double)bytes / (double)ms * 1000), rate));
        if (bytes_total > bytes) {
                uint64_t left = (uint64_t)((double)(bytes_total - bytes) / (double)bytes * (double)ms / 1000) + 1;
                if (left < 120)
                        (void)fprintf(stderr, ", %llu s left", (unsigned long long)left);
                else
                        (void)fprintf(stderr, ", %llu min left", (unsigned long long)(left / 60));
        }
}

void progress_show(void *ctx, const char *phase, uint64_t files, uint64_t files_total, uint64_t bytes,
                   uint64_t bytes_total)
{
        struct cli *c = ctx;
        struct progress *p = &c->progress;
        char counted[80], done[SIZE_TEXT], all[SIZE_TEXT];

        if (!p->enabled)
                return;
        int64_t now = now_ms();
        if (!p->phase || strcmp(p->phase, phase) != 0) {
                p->phase = phase;
                p->phase_ms = now;
                p->phase_bytes = bytes;
        }
        if (now - p->started_ms < FIRST_MS || now - p->shown_ms < EVERY_MS)
                return;
        count(counted, sizeof counted, files, files_total);
        (void)fprintf(stderr, "\r\033[K%s:%s", phase, counted);
        if (bytes_total > 0)
                (void)fprintf(stderr, " %s of %s", size_text(bytes, done), size_text(bytes_total, all));
        else if (bytes > 0)
                (void)fprintf(stderr, " %s", size_text(bytes, done));
        pace(p, now, bytes, bytes_total);
        (void)fflush(stderr);
        p->visible = true;
        p->shown_ms = now;
}
