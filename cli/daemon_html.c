/* SPDX-License-Identifier: MIT */
/*
 * The report of all that a daemon watches. It knows sums, not files: in the map of a repository equal ages lie together, and a damaged
 * file takes one cell at least. Nothing of an answer is trusted to be plain text.
 */
#include <stdio.h>
#include <string.h>

#include <oxenlite/check.h>

#include "daemon_html.h"

void daemon_html_done(struct daemon_html *d)
{
        html_done(&d->sections);
}

static uint64_t number(const struct oxl_json *o, const char *key)
{
        uint64_t n = 0;
        (void)(o && oxl_json_get_u64(o, key, &n));
        return n;
}

static const char *words(const struct oxl_json *o, const char *key, const char *otherwise)
{
        const char *text = o ? oxl_json_get_string(o, key) : NULL;
        return text && *text ? text : otherwise;
}

static void name(struct html *h, const struct oxl_json *o, const char *key)
{
        cleanup_free char *bytes = NULL;
        size_t n;

        html_text(h, oxl_json_get_name(o, key, &bytes, &n) ? bytes : "?");
}

/* --- map ------------------------------------------------------------------------------------------------------------------ */

static uint64_t less(uint64_t a, uint64_t b)
{
        return a > b ? a - b : 0;
}

/* The bytes of damaged files, taken out of the youngest: a pass has just judged them. What is overdue may be damaged, too: then
 * nothing is known but that there are some. */
static uint64_t take_damaged(const struct oxl_json *coverage, uint64_t bytes[HEALTH_KINDS])
{
        uint64_t judged = less(number(coverage, "bytes"), number(coverage, "never_bytes"));
        uint64_t damaged = number(coverage, "overdue_files") ? 0 : less(judged, number(coverage, "verified_bytes"));

        uint64_t left = damaged;
        for (int i = 0; i < HEALTH_AGES && left > 0; i++) {
                uint64_t here = bytes[i] < left ? bytes[i] : left;
                bytes[i] -= here;
                left -= here;
        }
        return damaged - left;
}

/* by_age's last eighth also holds what is overdue, never verified or not; what is in none of them was never verified. */
static int fill_map(struct health_map *m, const struct oxl_json *coverage, struct oxl_error *err)
{
        const struct oxl_json *ages = oxl_json_get(coverage, "by_age"), *item = NULL;
        uint64_t bytes[HEALTH_KINDS] = { 0 }, known = 0;
        const char *key = NULL;
        size_t pos = 0;
        int r = 0;

        for (int i = 0; ages && i < HEALTH_AGES && oxl_json_member(ages, &pos, &key, &item); i++) {
                const char *text = oxl_json_text(item);
                (void)(text && cli_number(text, UINT64_MAX, &bytes[i]));
                known += bytes[i];
        }
        bytes[HEALTH_OVERDUE] = number(coverage, "overdue_bytes");
        bytes[HEALTH_AGES - 1] = less(bytes[HEALTH_AGES - 1], bytes[HEALTH_OVERDUE]);
        bytes[HEALTH_NEVER] = less(number(coverage, "bytes"), known);
        if (number(coverage, "damaged_files"))
                r = health_map_add_sum(m, HEALTH_DAMAGED, take_damaged(coverage, bytes), err);
        for (int i = HEALTH_NEVER; r == 0 && i >= 0; i--)
                if (bytes[i])
                        r = health_map_add_sum(m, (enum health_kind)i, bytes[i], err);
        return r;
}

static int map(struct html *h, const struct oxl_json *row, struct oxl_error *err)
{
        const struct oxl_json *coverage = oxl_json_get(row, "coverage"), *contract = oxl_json_get(row, "contract");
        cleanup(health_map_done) struct health_map m = { 0 };
        int64_t days = HEALTH_DAYS;

        (void)(contract && oxl_json_get_int(contract, "days", &days));
        if (!coverage || oxl_json_is_null(row, "coverage"))
                return 0;
        health_map_init(&m, days > 0 && days <= 3650 ? (uint32_t)days : HEALTH_DAYS);
        int r = fill_map(&m, coverage, err);
        if (r == 0)
                html_map(h, &m, "One cell is an equal share of the stored bytes; damage has one cell at least.");
        return r;
}

/* --- one repository ----------------------------------------------------------------------------------------------------------- */

static void finding(struct html *h, const struct oxl_json *row)
{
        cleanup_free char *path = NULL;
        const char *slug = words(row, "slug", "?");
        int problem = oxl_problem_find(slug);
        bool repaired = false;
        size_t n;

        (void)oxl_json_get_bool(row, "repaired", &repaired);
        (void)oxl_json_get_name(row, "path", &path, &n);
        html_finding(h, &(struct html_finding){
                                .severity = words(row, "severity", "error"),
                                .slug = slug,
                                .message = problem ? oxl_problem_text((enum oxl_problem)problem) : NULL,
                                .path = path ? path : "?",
                                .id = words(row, "id", ""),
                                .verdict = words(row, "verdict", ""),
                                .object = words(row, "object", ""),
                                .detail = words(row, "detail", ""),
                                .cost = problem ? oxl_problem_cost((enum oxl_problem)problem) : "",
                                .remedy = problem ? oxl_problem_remedy((enum oxl_problem)problem) : "",
                                .repaired = repaired,
                        });
}

static void findings(struct html *h, const struct oxl_json *answer, uint64_t total)
{
        const struct oxl_json *list = answer ? oxl_json_get(answer, "findings") : NULL, *row = NULL;
        const char *key = NULL;
        size_t pos = 0;
        uint64_t shown = 0;

        html_add(h, "<h3>Findings</h3>\n");
        for (; list && oxl_json_member(list, &pos, &key, &row); shown++)
                finding(h, row);
        if (shown < total)
                html_addf(h, "<p>%llu recorded%s; the next pass lists them, or <code>oxen-lite fsck</code>.</p>\n",
                          (unsigned long long)(total - shown), shown ? " beyond these" : "");
        else if (shown == 0)
                html_add(h, "<p>None.</p>\n");
}

static void tiles(struct html *h, const struct oxl_json *row)
{
        const struct oxl_json *coverage = oxl_json_get(row, "coverage");
        uint64_t all = number(coverage, "bytes"), good = number(coverage, "verified_bytes"),
                 n = number(row, "findings");
        char a[SIZE_TEXT], more[96], value[32];

        html_tiles(h, true);
        (void)snprintf(value, sizeof value, "%.1f %%", all ? 100.0 * (double)good / (double)all : 100.0);
        (void)snprintf(more, sizeof more, "within the contract, of %s", size_text(all, a));
        html_tile(h, good == all ? HTML_GOOD : HTML_WARN, "Verified", value, more);
        (void)snprintf(value, sizeof value, "%llu", (unsigned long long)n);
        html_tile(h, n ? HTML_BAD : HTML_IDLE, "Findings", value, "open");
        (void)snprintf(more, sizeof more, "%llu files", (unsigned long long)number(coverage, "never_files"));
        html_tile(h, HTML_IDLE, "Never verified", size_text(number(coverage, "never_bytes"), a), more);
        (void)snprintf(more, sizeof more, "%llu files", (unsigned long long)number(coverage, "overdue_files"));
        html_tile(h, number(coverage, "overdue_files") ? HTML_WARN : HTML_IDLE, "Overdue",
                  size_text(number(coverage, "overdue_bytes"), a), more);
        html_tiles(h, false);
}

struct passes {
        const struct oxl_json *list; /* NULL: none */
        size_t pos;
};

static bool next_pass(void *ctx, struct html_pass *ret)
{
        struct passes *s = ctx;
        const struct oxl_json *row = NULL;
        const char *key = NULL;

        if (!s->list || !oxl_json_member(s->list, &s->pos, &key, &row))
                return false;
        *ret = (struct html_pass){
                .begin = words(row, "begin", "?"),
                .ms = number(row, "ms"),
                .files = number(row, "files"),
                .bytes = number(row, "bytes"),
                .findings = number(row, "findings"),
                .unreadable = number(row, "unreadable"),
                .scrub = strcmp(words(row, "by", ""), "oxen-lited") == 0,
        };
        (void)oxl_json_get_bool(row, "whole", &ret->whole);
        (void)oxl_json_get_bool(row, "clean", &ret->clean);
        return true;
}

static void facts(struct html *h, const struct oxl_json *row, const struct oxl_json *answer)
{
        const struct oxl_json *contract = oxl_json_get(row, "contract"), *recoveries = oxl_json_get(row, "recoveries");
        char text[160];
        int64_t days = 0;

        (void)(contract && oxl_json_get_int(contract, "days", &days));
        html_add(h, "<h3>History</h3>\n<dl class=\"facts\">\n");
        (void)snprintf(text, sizeof text, "every byte within %lld days", (long long)days);
        html_fact(h, "Contract", text);
        html_fact(h, "Next due", words(contract, "due", "never"));
        html_fact(h, "Last whole pass", words(row, "last_pass", "none yet"));
        html_fact(h, "Last clean pass", words(row, "last_clean", "none yet"));
        (void)snprintf(text, sizeof text, "%llu finished, %llu undone, %llu set aside; %llu open",
                       (unsigned long long)number(recoveries, "rolled-forward"),
                       (unsigned long long)number(recoveries, "rolled-back"),
                       (unsigned long long)number(recoveries, "superseded"),
                       (unsigned long long)number(row, "intents"));
        html_fact(h, "Interrupted operations", text);
        html_fact(h, "Last error", words(row, "last_error", ""));
        html_add(h, "</dl>\n");
        html_passes(h, next_pass, &(struct passes){ .list = answer ? oxl_json_get(answer, "passes") : NULL });
}

static void verdict(struct daemon_html *d, const struct oxl_json *row)
{
        const struct oxl_json *contract = oxl_json_get(row, "contract");
        const char *state = words(row, "state", "?");
        bool met = false, known = contract && oxl_json_get_bool(contract, "met", &met);
        char more[64];

        (void)snprintf(more, sizeof more, "State: %.40s", state);
        if (number(row, "findings")) {
                d->damaged++;
                html_verdict(&d->sections, HTML_BAD, "Findings are open", more);
        } else if (!known) {
                d->unknown++;
                html_verdict(&d->sections, HTML_IDLE, "Not known", more);
        } else if (!met) {
                d->late++;
                html_verdict(&d->sections, HTML_WARN, "The contract is not kept", more);
        } else {
                html_verdict(&d->sections, HTML_GOOD, "The contract is kept", more);
        }
}

int daemon_html_add(struct daemon_html *d, const struct oxl_json *row, const struct oxl_json *answer,
                    struct oxl_error *err)
{
        struct html *h = &d->sections;
        int r = 0;

        d->repositories++;
        html_add(h, "<section>\n<h2>");
        name(h, row, "path");
        html_add(h, "</h2>\n");
        verdict(d, row);
        if (strcmp(words(row, "state", ""), "absent") != 0) {
                tiles(h, row);
                html_add(h, "<h3>Stored bytes by their last verification</h3>\n");
                r = map(h, row, err);
                findings(h, answer, number(row, "findings"));
                facts(h, row, answer);
        }
        html_add(h, "</section>\n");
        return r;
}

/* --- the page ----------------------------------------------------------------------------------------------------------------------- */

static void glance(struct html *h, const struct daemon_html *d)
{
        char more[160];

        (void)snprintf(more, sizeof more, "%llu repositor%s: %llu with findings, %llu late, %llu not known",
                       (unsigned long long)d->repositories, d->repositories == 1 ? "y" : "ies",
                       (unsigned long long)d->damaged, (unsigned long long)d->late, (unsigned long long)d->unknown);
        html_verdict(h,
                     d->damaged   ? HTML_BAD
                     : d->late    ? HTML_WARN
                     : d->unknown ? HTML_IDLE
                                  : HTML_GOOD,
                     d->damaged   ? "Findings are open"
                     : d->late    ? "A contract is not kept"
                     : d->unknown ? "Not all is known yet"
                                  : "All contracts are kept, and nothing is damaged",
                     more);
}

int daemon_html_write(const struct daemon_html *d, const struct oxl_json *status, const char *file,
                      struct oxl_error *err)
{
        const struct oxl_json *config = oxl_json_get(status, "config");
        cleanup(html_done) struct html h = { 0 };
        bool ok = true, paused = false;

        html_begin(&h, "oxen-lited: health of all repositories", "oxen-lited");
        glance(&h, d);
        html_add(&h, "<dl class=\"facts\">\n");
        html_fact(&h, "Version", words(status, "version", "?"));
        html_fact(&h, "Running since", words(status, "started", "?"));
        if (oxl_json_get_bool(status, "paused", &paused) && paused)
                html_fact(&h, "Scrubbing", "paused");
        if (config && oxl_json_get_bool(config, "ok", &ok) && !ok)
                html_fact(&h, "Settings", "have errors, the old ones hold: oxen-lited --check-config");
        html_add(&h, "</dl>\n");
        html_append(&h, &d->sections);
        html_end(&h);
        return html_write(&h, file, err);
}
