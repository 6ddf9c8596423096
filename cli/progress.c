/* SPDX-License-Identifier: MIT */
/*
 * One line on a terminal's stderr: what is done, how much of how much, how fast, how long yet, where that is known. It comes after
 * one second, at most ten times a second and with each new phase, and is gone before anything else is printed. OXEN_LITE_PROGRESS_DELAY: another number of
 * seconds, 0 too.
 *
 * The terminal is asked for its width each time, so a changed window is followed without a signal; what matters least is
 * left out until the line fits, and it never wraps, because only one row can be taken back.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

enum { DELAY_MS = 1000, DELAY_SECONDS_MAX = 86400, EVERY_MS = 100, PART = 96, WIDTH = 80, WIDTH_MIN = 16 };

static int64_t now_ms(void)
{
        struct timespec t;
        if (clock_gettime(CLOCK_MONOTONIC, &t) < 0)
                return 0;
        return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void progress_setup(struct cli *c, bool wanted)
{
        const char *term = getenv("TERM"), *delay = getenv("OXEN_LITE_PROGRESS_DELAY");
        uint64_t seconds = 0;

        c->progress.enabled = wanted && isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
        c->progress.started_ms = now_ms();
        c->progress.delay_ms =
                delay && cli_number(delay, DELAY_SECONDS_MAX, &seconds) ? (int64_t)seconds * 1000 : DELAY_MS;
}

void progress_erase(struct cli *c)
{
        if (!c->progress.visible)
                return;
        fputs("\r\033[K", stderr);
        (void)fflush(stderr);
        c->progress.visible = false;
}

/* Columns that a line may take: one less than there are, because the last one wraps in some terminals. */
static size_t columns(void)
{
        struct winsize size = { 0 };

        if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
                return WIDTH - 1;
        return size.ws_col < WIDTH_MIN ? WIDTH_MIN - 1 : (size_t)size.ws_col - 1;
}

/* What the line says, most important first; the last one that does not fit is left out, then the one before it. ASCII, so a
 * byte is a column. */
enum part { PART_PHASE, PART_SHARE, PART_LEFT, PART_FILES, PART_BYTES, PART_RATE, PARTS };
struct line {
        char part[PARTS][PART];
};

__attribute__((format(printf, 3, 4))) static void set(struct line *l, enum part part, const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(l->part[part], sizeof l->part[part], format, ap);
        va_end(ap);
}

/* " 12 of 340 files", " 12 files", "" */
static void set_count(struct line *l, uint64_t n, uint64_t total)
{
        if (total > 0)
                set(l, PART_FILES, " %llu of %llu files", (unsigned long long)n, (unsigned long long)total);
        else if (n > 0)
                set(l, PART_FILES, " %llu file%s", (unsigned long long)n, plural(n));
}

static void set_size(struct line *l, uint64_t bytes, uint64_t total)
{
        char done[SIZE_TEXT], all[SIZE_TEXT];

        if (total > 0)
                set(l, PART_BYTES, " %s of %s", size_text(bytes, done), size_text(total, all));
        else if (bytes > 0)
                set(l, PART_BYTES, " %s", size_text(bytes, done));
}

/* " 53%": of the bytes, else of the files */
static void set_share(struct line *l, const struct progress_count *at)
{
        bool bytes = at->bytes_total > 0;
        uint64_t done = bytes ? at->bytes : at->files, total = bytes ? at->bytes_total : at->files_total;

        if (total > 0)
                set(l, PART_SHARE, " %d%%", done < total ? (int)((double)done / (double)total * 100) : 100);
}

/* ", 12 s left", when @done of @total took @ms */
static void set_left(struct line *l, double done, double total, int64_t ms)
{
        if (done <= 0 || total <= done)
                return;
        double seconds = (total - done) / done * (double)ms / 1000 + 1;
        if (seconds < 120)
                set(l, PART_LEFT, ", %.0f s left", seconds);
        else if (seconds < 7200)
                set(l, PART_LEFT, ", %.0f min left", seconds / 60);
        else
                set(l, PART_LEFT, ", %.0f h left", seconds / 3600);
}

/* ", 95.1 MiB/s, 12 s left": of the phase, once it has run for as long as the line waits. Without bytes files are counted. */
static void set_pace(struct line *l, const struct progress *p, int64_t now, const struct progress_count *at)
{
        char rate[SIZE_TEXT];
        int64_t ms = now - p->phase_ms;
        double bytes = (double)at->bytes - (double)p->begin.bytes, files = (double)at->files - (double)p->begin.files;

        if (ms < p->delay_ms || ms <= 0)
                return;
        if (bytes > 0)
                set(l, PART_RATE, ", %s/s", size_text((uint64_t)(bytes / (double)ms * 1000), rate));
        if (at->bytes_total > 0)
                set_left(l, bytes, (double)at->bytes_total - (double)p->begin.bytes, ms);
        else if (at->files_total > 0)
                set_left(l, files, (double)at->files_total - (double)p->begin.files, ms);
}

/* Whole parts only: half a number is a wrong one. A phase that is longer than the line is cut. */
static void write_line(struct line *l)
{
        static const enum part order[] = { PART_PHASE, PART_SHARE, PART_FILES, PART_BYTES, PART_RATE, PART_LEFT };
        size_t width = columns(), n = 0;

        for (size_t i = 0; i < PARTS; i++)
                n += strlen(l->part[i]);
        for (size_t i = PARTS - 1; i > 0 && n > width; i--) {
                n -= strlen(l->part[i]);
                l->part[i][0] = '\0';
        }
        (void)fprintf(stderr, "\r\033[K");
        for (size_t i = 0; i < ARRAY_LEN(order); i++)
                (void)fprintf(stderr, "%.*s", (int)width, l->part[order[i]]);
        (void)fflush(stderr);
}

void progress_show(void *ctx, const char *phase, uint64_t files, uint64_t files_total, uint64_t bytes,
                   uint64_t bytes_total)
{
        const struct progress_count at = { files, files_total, bytes, bytes_total };
        struct cli *c = ctx;
        struct progress *p = &c->progress;
        struct line l = { 0 };

        if (!p->enabled)
                return;
        int64_t now = now_ms();
        if (!p->phase || strcmp(p->phase, phase) != 0) {
                p->phase = phase;
                p->phase_ms = now;
                p->begin = at;
                p->shown_ms = 0; /* a new phase is shown at once */
        }
        if (now - p->started_ms < p->delay_ms || now - p->shown_ms < EVERY_MS)
                return;
        set(&l, PART_PHASE, "%s:", phase);
        set_share(&l, &at);
        set_count(&l, files, files_total);
        set_size(&l, bytes, bytes_total);
        set_pace(&l, p, now, &at);
        write_line(&l);
        p->visible = true;
        p->shown_ms = now;
}
