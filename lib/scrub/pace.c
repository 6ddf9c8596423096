/* SPDX-License-Identifier: MIT */
/*
 * The pace: when the next read may begin.
 *
 * A bucket of a quarter of a second: bytes are paid for after they were read, at the rate of that moment; a read waits until all
 * before it are paid. So no span of time has more than its share, a quarter of a second's and one read's.
 * The rate is what keeps the contract, at least the minimum, at most the cap, times a factor. Once a second the factor is halved
 * while the machine is under I/O pressure or our own reads are slow, else it grows by a sixteenth. The pressure of others is what the
 * kernel tells less the time that our own reads took, which it counts as well: else an idle machine would stop us. Who backs off without a
 * cap backs off from what was reached, not from no limit at all.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/fdio.h"
#include "scrub/run.h"

#define RATE_MIN_DEFAULT (UINT64_C(1) << 20)
#define BURST_NS (OXL_SECOND_NS / 4)
#define NAP_NS (OXL_SECOND_NS / 10) /* between two looks at the flags */
#define FACTOR_MIN (1.0 / 64)
#define FACTOR_STEP (1.0 / 16)

enum { DAY_MINUTES = 1440, SLOW_TIMES = 4, SLOW_US = 2000, READS_MIN = 8 };

int64_t oxl_scrub_clock(clockid_t clock)
{
        struct timespec t;
        if (oxl_sys->clock_gettime(clock, &t) < 0)
                return 0;
        return (int64_t)t.tv_sec * OXL_SECOND_NS + t.tv_nsec;
}

void oxl_scrub_pace_init(struct oxl_scrub_pace *p, const struct oxl_scrub_contract *contract,
                         struct oxl_scrub_control *control, const struct oxl_scrub_callbacks *callbacks,
                         const atomic_bool *cancel)
{
        *p = (struct oxl_scrub_pace){ .contract = contract,
                                      .control = control,
                                      .callbacks = callbacks,
                                      .cancel = cancel,
                                      .factor = 1,
                                      .free_ns = oxl_scrub_clock(CLOCK_MONOTONIC) };
        p->looked_ns = p->told_ns = p->free_ns;
}

/* --- latencies ---------------------------------------------------------------------------------------------------- */

static size_t bucket_of(int64_t latency_ns)
{
        uint64_t us = (uint64_t)latency_ns / 1000;
        size_t doublings = 0;
        for (; us >= 8; us >>= 1)
                doublings++;
        size_t b = 4 * doublings + us;
        return b < OXL_PACE_BUCKETS ? b : OXL_PACE_BUCKETS - 1;
}

/* The upper end of a bucket, in microseconds: 0 to 3 have one each, then each doubling has four. */
static double bucket_end_us(size_t b)
{
        size_t doublings = b < 8 ? 0 : b / 4 - 1;
        return (double)((uint64_t)(b - 4 * doublings + 1) << doublings);
}

static void note_latency(struct oxl_scrub_pace *p, int64_t now, int64_t latency_ns)
{
        int64_t second = now / OXL_SECOND_NS;
        struct oxl_pace_second *s = &p->seconds[second % OXL_PACE_SECONDS];
        if (s->second != second)
                *s = (struct oxl_pace_second){ .second = second };
        s->n[bucket_of(latency_ns)]++;
}

/* Reads of the last minute by latency; how many. */
static uint64_t last_minute(const struct oxl_scrub_pace *p, int64_t now, uint64_t ret[OXL_PACE_BUCKETS])
{
        uint64_t total = 0;
        memset(ret, 0, OXL_PACE_BUCKETS * sizeof *ret);
        for (size_t i = 0; i < OXL_PACE_SECONDS; i++) {
                if (now / OXL_SECOND_NS - p->seconds[i].second >= OXL_PACE_SECONDS)
                        continue;
                for (size_t b = 0; b < OXL_PACE_BUCKETS; b++) {
                        ret[b] += p->seconds[i].n[b];
                        total += p->seconds[i].n[b];
                }
        }
        return total;
}

/* The upper end of the bucket in which the share lies. */
static double quantile_us(const uint64_t n[OXL_PACE_BUCKETS], uint64_t total, double share)
{
        uint64_t seen = 0;
        for (size_t b = 0; b < OXL_PACE_BUCKETS; b++) {
                seen += n[b];
                if (seen > 0 && (double)seen >= share * (double)total)
                        return bucket_end_us(b);
        }
        return 0;
}

/* Do reads take much longer than in the best minute? A few milliseconds are no reason, whatever it was before. */
static bool is_slow(struct oxl_scrub_pace *p, int64_t now)
{
        uint64_t n[OXL_PACE_BUCKETS], total = last_minute(p, now, n);
        double median = quantile_us(n, total, 0.5);
        p->progress.read_us_p50 = (uint64_t)median;
        p->progress.read_us_p99 = (uint64_t)quantile_us(n, total, 0.99);
        if (total < READS_MIN)
                return false;
        if (p->best_us <= 0 || median < p->best_us)
                p->best_us = median;
        return p->contract->pressure > 0 && median > SLOW_TIMES * p->best_us + SLOW_US;
}

/* --- pressure ----------------------------------------------------------------------------------------------------- */

/* "some avg10=1.53 …": per cent of the last ten seconds in which somebody waited for I/O. < 0: not known here. */
static double io_pressure(void)
{
        char text[256];
        cleanup_fd int fd = oxl_fd_open(AT_FDCWD, "/proc/pressure/io", O_RDONLY | O_NOCTTY, 0);
        ssize_t n = fd < 0 ? -1 : oxl_fd_read_full(fd, text, sizeof text - 1);
        if (n <= 0)
                return -1;
        text[n] = 0;
        const char *at = strncmp(text, "some ", 5) == 0 ? strstr(text, "avg10=") : NULL;
        return at ? strtod(at + strlen("avg10="), NULL) : -1;
}

/* What we read, and how long we waited for it, since the last look. Our share is smoothed as the kernel's avg10 is, but falls a
 * little later: avg10 is renewed every two seconds only, and its delay is not to be taken for others. */
static void sum_up(struct oxl_scrub_pace *p, int64_t now)
{
        double span = (double)(now - p->looked_ns), seconds = span / (double)OXL_SECOND_NS;
        double share = 100.0 * (double)p->read_ns / span, reached = (double)p->read_bytes / seconds;
        share = share < 100 ? share : 100;
        p->waited += (share - p->waited) * seconds / (seconds + (share > p->waited ? 8 : 14));
        p->top = reached > p->top ? reached : p->top;
        p->looked_ns = now;
        p->read_bytes = 0;
        p->read_ns = 0;
}

static void look_at_pressure(struct oxl_scrub_pace *p, int64_t now)
{
        if (now - p->looked_ns < OXL_SECOND_NS)
                return;
        sum_up(p, now);
        bool slow = is_slow(p, now);
        if (slow || (p->contract->pressure > 0 && io_pressure() - p->waited >= p->contract->pressure))
                p->factor = p->factor / 2 > FACTOR_MIN ? p->factor / 2 : FACTOR_MIN;
        else
                p->factor = p->factor + FACTOR_STEP < 1 ? p->factor + FACTOR_STEP : 1;
}

/* --- rate --------------------------------------------------------------------------------------------------------- */

static int window_minutes(const struct oxl_scrub_contract *c)
{
        int n = c->window_end - c->window_begin;
        return n == 0 ? DAY_MINUTES : n > 0 ? n : n + DAY_MINUTES;
}

/* A quarter more than needed: what is read late, or comes to be there, wants its share, too. */
static double allowed_rate(const struct oxl_scrub_pace *p)
{
        const struct oxl_scrub_contract *c = p->contract;
        uint64_t limit = atomic_load(&p->control->limit), cap = limit ? limit : c->rate_max;
        double rate = (double)p->needed * 1.25 * DAY_MINUTES / window_minutes(c);
        double least = (double)(c->rate_min ? c->rate_min : RATE_MIN_DEFAULT);
        rate = rate > least ? rate : least;
        if (cap > 0 && rate > (double)cap)
                rate = (double)cap;
        if (p->factor < 1 && p->top > 0 && rate > p->top)
                rate = p->top;
        rate *= p->factor;
        return rate > 1 ? rate : 1;
}

static void pay(struct oxl_scrub_pace *p, int64_t now, uint64_t bytes)
{
        if (p->free_ns < now - BURST_NS)
                p->free_ns = now - BURST_NS;
        p->free_ns += (int64_t)((double)bytes * 1e9 / allowed_rate(p));
}

/* --- waiting ------------------------------------------------------------------------------------------------------ */

bool oxl_scrub_pace_cancelled(struct oxl_scrub_pace *p)
{
        if (p->cancel && atomic_load(p->cancel))
                atomic_store(&p->control->cancelled, true);
        return atomic_load(&p->control->cancelled);
}

static void tell(struct oxl_scrub_pace *p, int64_t now, bool at_once)
{
        if (!p->callbacks->progress || (!at_once && now - p->told_ns < OXL_SECOND_NS))
                return;
        p->told_ns = now;
        p->progress.rate = (uint64_t)allowed_rate(p);
        p->callbacks->progress(p->callbacks->ctx, &p->progress);
}

void oxl_scrub_pace_state(struct oxl_scrub_pace *p, enum oxl_scrub_state state)
{
        bool changed = p->progress.state != state;
        p->progress.state = state;
        tell(p, oxl_scrub_clock(CLOCK_MONOTONIC), changed);
}

static void nap(int64_t ns)
{
        OXL_IGNORE(oxl_sys->nanosleep(&(struct timespec){ .tv_nsec = (long)(ns < NAP_NS ? ns : NAP_NS) }, NULL),
                   "woken early: one more look");
}

static bool in_window(const struct oxl_scrub_contract *c)
{
        time_t now = (time_t)(oxl_scrub_clock(CLOCK_REALTIME) / OXL_SECOND_NS);
        struct tm tm;
        if (c->window_begin == c->window_end || !localtime_r(&now, &tm))
                return true;
        int minute = tm.tm_hour * 60 + tm.tm_min;
        if (c->window_begin < c->window_end)
                return minute >= c->window_begin && minute < c->window_end;
        return minute >= c->window_begin || minute < c->window_end;
}

void oxl_scrub_pace_ready(struct oxl_scrub_pace *p)
{
        bool waited = false;
        while (!oxl_scrub_pace_cancelled(p)) {
                bool paused = atomic_load(&p->control->paused);
                if (!paused && in_window(p->contract))
                        break;
                waited = true;
                oxl_scrub_pace_state(p, paused ? OXL_SCRUB_PAUSED : OXL_SCRUB_WAITING);
                nap(NAP_NS);
        }
        if (waited) /* no credit for it */
                p->free_ns = oxl_scrub_clock(CLOCK_MONOTONIC);
}

static void before_read(struct oxl_scrub_pace *p)
{
        while (!oxl_scrub_pace_cancelled(p)) {
                if (!p->steady)
                        oxl_scrub_pace_ready(p);
                int64_t now = oxl_scrub_clock(CLOCK_MONOTONIC), left = p->free_ns - now;
                look_at_pressure(p, now);
                oxl_scrub_pace_state(p, p->factor < 1 ? OXL_SCRUB_BACKING_OFF : OXL_SCRUB_READING);
                if (left <= 0)
                        return;
                nap(left);
        }
}

void oxl_scrub_pace_hook(void *ctx, uint64_t bytes, int64_t latency_ns, bool medium)
{
        struct oxl_scrub_pace *p = ctx;
        if (latency_ns < 0) {
                before_read(p);
                return;
        }
        int64_t now = oxl_scrub_clock(CLOCK_MONOTONIC);
        if (medium || !p->contract->media)
                note_latency(p, now, latency_ns);
        p->progress.bytes += bytes;
        p->read_bytes += bytes;
        p->read_ns += latency_ns;
        pay(p, now, bytes);
        tell(p, now, false);
}
