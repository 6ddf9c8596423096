/* SPDX-License-Identifier: MIT */
/*
 * How much fsck reads: the options that say so, and what the summary tells of it. A run that left something out and found
 * nothing is "clean", but never "complete".
 */
#include <stdio.h>
#include <string.h>

#include "fsck.h"

/* --- values ------------------------------------------------------------------------------------------------------- */

/* Digits, then one of the @units or nothing: the number times that unit's factor. */
struct unit {
        const char *suffix;
        uint64_t factor;
};

static const struct unit sizes[] = {
        { "", 1 }, { "K", 1ull << 10 }, { "M", 1ull << 20 }, { "G", 1ull << 30 }, { "T", 1ull << 40 }, { NULL, 0 },
};
static const struct unit times_ms[] = {
        { "ms", 1 }, { "s", 1000 }, { "", 1000 }, { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 }, { NULL, 0 },
};

static bool number_with_unit(const char *text, const struct unit *units, uint64_t *ret)
{
        char digits[24];
        size_t n = strspn(text, "0123456789");
        uint64_t value, product;

        if (n == 0 || n >= sizeof digits)
                return false;
        memcpy(digits, text, n);
        digits[n] = '\0';
        if (!cli_number(digits, UINT64_MAX, &value) || value == 0)
                return false;
        for (; units->suffix; units++) {
                if (strcmp(text + n, units->suffix) != 0)
                        continue;
                if (__builtin_mul_overflow(value, units->factor, &product) || product > INT64_MAX)
                        return false;
                *ret = product;
                return true;
        }
        return false;
}

/* "5%", "0.25%": millionths, rounded up. */
static bool percent(const char *text, uint32_t *ret_ppm)
{
        uint64_t ppm = 0, scale = 10000;
        bool point = false, more = false;
        size_t n = strlen(text);

        if (n < 2 || text[n - 1] != '%' || text[0] == '.' || text[n - 2] == '.')
                return false;
        for (const char *p = text; p < text + n - 1; p++) {
                if (*p == '.' && !point) {
                        point = true;
                        continue;
                }
                if (*p < '0' || *p > '9' || ppm > 1000000)
                        return false;
                uint64_t digit = (uint64_t)(*p - '0');
                if (!point) {
                        ppm = ppm * 10 + digit * 10000;
                } else {
                        scale /= 10;
                        ppm += digit * scale;
                        more = more || (scale == 0 && digit > 0);
                }
        }
        ppm += more;
        if (ppm == 0 || ppm > 1000000)
                return false;
        *ret_ppm = (uint32_t)ppm;
        return true;
}

static int read_sample(struct cli *c, struct oxl_check_options *o, struct oxl_error *err)
{
        const char *text = cli_value(c, OPT_SAMPLE);

        if (!text || percent(text, &o->sample_ppm) || number_with_unit(text, sizes, &o->sample_bytes))
                return 0;
        return cli_usage(c, err, "--sample takes a share (5%%) or a number of bytes (200M), not '%s'", text);
}

static int read_limits(struct cli *c, struct oxl_check_options *o, struct oxl_error *err)
{
        const char *days = cli_value(c, OPT_SINCE_DAYS), *time = cli_value(c, OPT_TIME_LIMIT),
                   *rate = cli_value(c, OPT_RATE), *jobs = cli_value(c, OPT_JOBS);
        uint64_t n;

        if (days) {
                if (!cli_number(days, 36500, &n) || n == 0)
                        return cli_usage(c, err, "--since-days takes a number from 1 to 36500, not '%s'", days);
                o->since_days = (uint32_t)n;
        }
        if (time) {
                if (!number_with_unit(time, times_ms, &n) || n > INT64_MAX / 1000000)
                        return cli_usage(c, err, "--time-limit takes a time such as 30s, 10m or 2h, not '%s'", time);
                o->time_limit_ms = (int64_t)n;
        }
        if (rate && !number_with_unit(rate, sizes, &o->rate))
                return cli_usage(c, err, "--rate takes bytes per second such as 500K or 20M, not '%s'", rate);
        if (jobs) {
                if (!cli_number(jobs, 256, &n) || n == 0)
                        return cli_usage(c, err, "--jobs takes a number from 1 to 256, not '%s'", jobs);
                o->jobs = (unsigned)n;
        }
        return 0;
}

bool fsck_limited(const struct cli *c)
{
        static const enum option_id ids[] = { OPT_QUICK, OPT_SAMPLE, OPT_SINCE_DAYS, OPT_TIME_LIMIT,
                                              OPT_RATE,  OPT_MEDIA,  OPT_JOBS,       OPT_RECORD };
        for (size_t i = 0; i < ARRAY_LEN(ids); i++)
                if (cli_has(c, ids[i]))
                        return true;
        return false;
}

int fsck_options_read(struct cli *c, struct oxl_check_options *ret, struct oxl_error *err)
{
        struct oxl_check_options o = {
                .quick = cli_has(c, OPT_QUICK),
                .media = cli_has(c, OPT_MEDIA),
                .record = cli_has(c, OPT_RECORD),
        };
        int r = read_sample(c, &o, err);

        if (r == 0)
                r = read_limits(c, &o, err);
        if (r < 0)
                return r;
        if (o.quick && (cli_has(c, OPT_SAMPLE) || o.since_days || o.time_limit_ms || o.rate || o.media || o.jobs))
                return cli_usage(c, err, "--quick reads no file contents: of the other limits only --record fits");
        *ret = o;
        return 0;
}

/* --- the summary -------------------------------------------------------------------------------------------------- */

static const char *const reason_names[OXL_LEFT_REASONS] = { "quick", "recent", "sample", "time" };
static const char *const reason_texts[OXL_LEFT_REASONS] = {
        "not read (--quick)",
        "verified recently enough",
        "not in the sample",
        "beyond the time limit",
};

/* What reading the rest takes at the pace of this run; 0: nothing is left, or nobody knows. */
static uint64_t seconds_left(const struct oxl_check_extent *e)
{
        uint64_t bytes = e->read_bytes + e->part_bytes;

        if (e->due_bytes == 0 || bytes == 0 || e->read_ms <= 0)
                return 0;
        return (uint64_t)((double)e->due_bytes / (double)bytes * (double)e->read_ms / 1000.0 + 1.0);
}

static struct oxl_json *amount(uint64_t files, uint64_t bytes)
{
        struct oxl_json *o = oxl_json_object();

        oxl_json_set_u64(o, "files", files);
        oxl_json_set_u64(o, "bytes", bytes);
        return o;
}

void fsck_extent_json(const struct cli *c, struct oxl_json *o, const struct oxl_check_result *done)
{
        const struct oxl_check_extent *e = &done->extent;
        struct oxl_json *extent = oxl_json_object(), *left = oxl_json_object();

        oxl_json_set(extent, "all", amount(e->files, e->bytes));
        oxl_json_set(extent, "read", amount(e->read_files, e->read_bytes));
        oxl_json_set(extent, "part", amount(e->part_files, e->part_bytes));
        for (int i = 0; i < OXL_LEFT_REASONS; i++)
                oxl_json_set(left, reason_names[i], amount(e->left_out[i].files, e->left_out[i].bytes));
        oxl_json_set(extent, "left_out", left);
        oxl_json_set(extent, "due", amount(e->due_files, e->due_bytes));
        oxl_json_set_u64(extent, "seconds_left", seconds_left(e));
        if (cli_has(c, OPT_MEDIA)) {
                oxl_json_set_u64(extent, "medium_bytes", e->medium_read_bytes);
                oxl_json_set_u64(extent, "cache_bytes", e->cache_read_bytes);
        }
        oxl_json_set_u64(extent, "recorded", done->recorded);
        oxl_json_set_bool(o, "complete", e->complete);
        oxl_json_set(o, "extent", extent);
}

/* "3 s", "12 min", "5 h", "9 days" */
static const char *span(uint64_t seconds, char buf[32])
{
        if (seconds < 120)
                (void)snprintf(buf, 32, "%llu s", (unsigned long long)seconds);
        else if (seconds < 7200)
                (void)snprintf(buf, 32, "%llu min", (unsigned long long)(seconds / 60));
        else if (seconds < 172800)
                (void)snprintf(buf, 32, "%llu h", (unsigned long long)(seconds / 3600));
        else
                (void)snprintf(buf, 32, "%llu days", (unsigned long long)(seconds / 86400));
        return buf;
}

static void out_amount(struct cli *c, uint64_t files, uint64_t bytes, const char *what)
{
        char size[SIZE_TEXT];

        out(c, "  %llu file%s (%s) %s\n", (unsigned long long)files, plural(files), size_text(bytes, size), what);
}

/* By when everything would be verified, when runs like this one go on. */
static void out_due(struct cli *c, const struct oxl_check_result *done)
{
        const struct oxl_check_extent *e = &done->extent;
        uint64_t seconds = seconds_left(e), bytes = e->read_bytes + e->part_bytes;
        char buf[32];

        if (e->due_files == 0) {
                out(c, "  every file was verified to its end by this run or an earlier one\n");
                return;
        }
        out_amount(c, e->due_files, e->due_bytes, "never verified to the end, as far as is known");
        if (seconds > 0)
                out(c, "  at this pace that takes %s more of reading\n", span(seconds, buf));
        if (done->recorded > 0 && !done->record_failed)
                out(c, "  about %llu more such runs verify it all\n",
                    (unsigned long long)((e->due_bytes + bytes - 1) / (bytes ? bytes : 1)));
        else if (!cli_has(c, OPT_RECORD))
                out(c, "  without --record the next run begins anew\n");
}

void fsck_extent_text(struct cli *c, const struct oxl_check_result *done)
{
        const struct oxl_check_extent *e = &done->extent;
        char medium[SIZE_TEXT], cache[SIZE_TEXT];

        if (cli_has(c, OPT_MEDIA)) {
                out(c, "read from the medium: %s", size_text(e->medium_read_bytes, medium));
                if (e->cache_read_bytes)
                        out(c, "; %s could not be: the cache may have answered", size_text(e->cache_read_bytes, cache));
                out(c, "\n");
        }
        if (e->complete)
                return;
        out(c, "partly checked: there are %llu packs and loose blobs\n", (unsigned long long)e->files);
        out_amount(c, e->read_files, e->read_bytes, "read to the end");
        if (e->part_files)
                out_amount(c, e->part_files, e->part_bytes, "read in part");
        for (int i = 0; i < OXL_LEFT_REASONS; i++)
                if (e->left_out[i].files)
                        out_amount(c, e->left_out[i].files, e->left_out[i].bytes, reason_texts[i]);
        out_due(c, done);
}
