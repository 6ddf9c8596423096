/* SPDX-License-Identifier: MIT */
/* The parts that pages are made of; the look is in html_style.c. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "html.h"

extern const char *const html_style[]; /* ends with NULL */

/* --- frame ------------------------------------------------------------------------------------------------------------- */

void html_begin(struct html *h, const char *title, const char *what)
{
        char when[TIME_TEXT], host[256] = "";

        if (gethostname(host, sizeof host - 1) < 0)
                host[0] = '\0';
        html_add(h,
                 "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                 "<meta http-equiv=\"Content-Security-Policy\" "
                 "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n"
                 "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                 "<meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n<title>");
        html_text(h, title);
        html_add(h, "</title>\n<style>\n");
        for (const char *const *line = html_style; *line; line++)
                html_add(h, *line);
        html_add(h, "</style>\n</head>\n<body>\n<header>\n<h1>");
        html_text(h, what);
        html_addf(h, "</h1>\n<p class=\"made\">%s", time_text(TIME_ISO, (int64_t)time(NULL), 0, when));
        if (*host) {
                html_add(h, ", ");
                html_text(h, host);
        }
        html_addf(h, ", oxen-lite %s</p>\n</header>\n<main>\n", OXL_VERSION);
}

void html_end(struct html *h)
{
        html_add(h, "</main>\n</body>\n</html>\n");
}

/* --- glance ------------------------------------------------------------------------------------------------------------- */

static const char *const classes[] = {
        [HTML_GOOD] = "good", [HTML_WARN] = "warn", [HTML_BAD] = "bad", [HTML_IDLE] = "idle"
};

void html_verdict(struct html *h, enum html_state state, const char *sentence, const char *more)
{
        static const char *const marks[] = {
                [HTML_GOOD] = "<path d=\"M6 12.5l4 4 8-9\"/>",
                [HTML_WARN] = "<path d=\"M12 6v7M12 16.6v.4\"/>",
                [HTML_BAD] = "<path d=\"M7.5 7.5l9 9m0-9l-9 9\"/>",
                [HTML_IDLE] = "<path d=\"M7 12h10\"/>",
        };

        html_addf(h,
                  "<p class=\"verdict %s\"><svg viewBox=\"0 0 24 24\" aria-hidden=\"true\"><circle cx=\"12\" cy=\"12\" "
                  "r=\"11\"/>%s</svg><span><strong>",
                  classes[state], marks[state]);
        html_text(h, sentence);
        html_add(h, "</strong>");
        if (more && *more) {
                html_add(h, "<br>");
                html_text(h, more);
        }
        html_add(h, "</span></p>\n");
}

void html_tiles(struct html *h, bool begin)
{
        html_add(h, begin ? "<ul class=\"tiles\">\n" : "</ul>\n");
}

void html_tile(struct html *h, enum html_state state, const char *name, const char *value, const char *more)
{
        html_addf(h, "<li class=\"%s\"><span class=\"name\">", classes[state]);
        html_text(h, name);
        html_add(h, "</span><span class=\"value\">");
        html_text(h, value);
        html_add(h, "</span><span class=\"more\">");
        html_text(h, more);
        html_add(h, "</span></li>\n");
}

void html_fact(struct html *h, const char *name, const char *value)
{
        if (!value || !*value)
                return;
        html_addf(h, "<dt>%s</dt><dd>", name);
        html_text(h, value);
        html_add(h, "</dd>\n");
}

/* --- map -------------------------------------------------------------------------------------------------------------------- */

enum { CELL = 10, SQUARE = 9, HTML_ROWS_MIN = 6 };

/* "verified 4 to 8 days ago" */
static void kind_words(enum health_kind kind, uint32_t days, char *buf, size_t size)
{
        double step = (double)days / HEALTH_AGES;

        switch (kind) {
        case HEALTH_OVERDUE: (void)snprintf(buf, size, "verified longer ago than %u days", (unsigned)days); return;
        case HEALTH_NEVER: (void)snprintf(buf, size, "never verified"); return;
        case HEALTH_DAMAGED: (void)snprintf(buf, size, "damaged"); return;
        case HEALTH_AGE:
        case HEALTH_KINDS:
        default: break;
        }
        if (kind == HEALTH_AGE)
                (void)snprintf(buf, size, "verified within %.3g days", step);
        else
                (void)snprintf(buf, size, "verified %.3g to %.3g days ago", step * (double)kind,
                               step * (double)(kind + 1));
}

static void square(struct html *h, enum health_kind kind, size_t x, size_t y)
{
        html_addf(h, "<rect class=\"k%d\" x=\"%zu\" y=\"%zu\" width=\"%d\" height=\"%d\" rx=\"1.5\"/>", (int)kind, x, y,
                  SQUARE, SQUARE);
        if (kind == HEALTH_DAMAGED)
                html_addf(h, "<path class=\"cross\" d=\"M%zu.5 %zu.5l4 4m0-4l-4 4\"/>", x + 2, y + 2);
        else if (kind == HEALTH_NEVER)
                html_addf(h, "<path class=\"dash\" d=\"M%zu.5 %zu.5h4\"/>", x + 2, y + 4);
        else if (kind == HEALTH_OVERDUE)
                html_addf(h, "<path class=\"mark\" d=\"M%zu.5 %zu.5v4\"/>", x + 4, y + 2);
}

static void draw_cell(struct html *h, const struct health_map *m, const struct health_cell *cell, size_t at)
{
        char words[80], when[TIME_TEXT];

        if (!cell->worst)
                return;
        kind_words(cell->kind, m->days, words, sizeof words);
        html_add(h, "<g><title>");
        html_add(h, words);
        if (cell->worst->verified_ns > 0 && cell->kind != HEALTH_DAMAGED)
                html_addf(h, ": %s", time_text(TIME_ISO, cell->worst->verified_ns / 1000000000, 0, when));
        if (cell->worst->path) {
                html_add(h, ": ");
                html_text(h, cell->worst->path);
        }
        html_add(h, "</title>");
        square(h, cell->kind, at % HEALTH_COLUMNS * CELL, at / HEALTH_COLUMNS * CELL);
        html_add(h, "</g>\n");
}

static void legend(struct html *h, const struct health_map *m)
{
        struct {
                uint64_t files, bytes;
        } sums[HEALTH_KINDS] = { 0 };
        char words[80], size[SIZE_TEXT];

        for (size_t i = 0; i < m->n; i++) {
                sums[m->files[i].kind].files++;
                sums[m->files[i].kind].bytes += m->files[i].size;
        }
        html_add(h,
                 "<table class=\"legend\">\n<thead><tr><th scope=\"col\">Last verification</th>"
                 "<th scope=\"col\" class=\"n\">Bytes</th></tr></thead>\n<tbody>\n");
        for (int k = 0; k < HEALTH_KINDS; k++) {
                kind_words((enum health_kind)k, m->days, words, sizeof words);
                html_addf(h, "<tr%s><th scope=\"row\"><svg viewBox=\"0 0 9 9\" aria-hidden=\"true\">",
                          sums[k].files ? "" : " class=\"none\"");
                square(h, (enum health_kind)k, 0, 0);
                html_addf(h, "</svg>%s</th><td class=\"n\">%s</td></tr>\n", words,
                          sums[k].files ? sums[k].bytes ? size_text(sums[k].bytes, size) : "some" : "none");
        }
        html_add(h, "</tbody>\n</table>\n");
}

void html_map(struct html *h, const struct health_map *m, const char *about)
{
        struct health_cell cells[HEALTH_CELLS_MAX];
        size_t rows = (m->n + HEALTH_COLUMNS - 1) / HEALTH_COLUMNS;

        rows = rows < HTML_ROWS_MIN ? HTML_ROWS_MIN : rows;
        size_t n = rows * HEALTH_COLUMNS < HEALTH_CELLS_MAX ? rows * HEALTH_COLUMNS : HEALTH_CELLS_MAX;
        if (m->n == 0) {
                html_add(h, "<p>Nothing is stored yet.</p>\n");
                return;
        }
        health_map_cells(m, n, cells);
        html_add(h, "<p>");
        html_text(h, about);
        html_addf(
                h,
                "</p>\n<svg class=\"map\" role=\"img\" aria-label=\"Map of all stored bytes by their last verification; the "
                "table below has the sums\" viewBox=\"0 0 %d %zu\">\n",
                HEALTH_COLUMNS * CELL - 1, n / HEALTH_COLUMNS * CELL - 1);
        for (size_t i = 0; i < n; i++)
                draw_cell(h, m, &cells[i], i);
        html_add(h, "</svg>\n");
        legend(h, m);
}

/* --- history ------------------------------------------------------------------------------------------------------------------ */

enum { BAR = 18, BAR_GAP = 3, BAR_HEIGHT = 90 };

void html_days(struct html *h, const struct health_map *m)
{
        uint64_t days[HEALTH_DAYS] = { 0 }, most = 0;
        const int64_t day_ns = INT64_C(86400) * 1000000000, today = m->now_ns / day_ns;
        char size[SIZE_TEXT], when[TIME_TEXT];

        for (size_t i = 0; i < m->n; i++) {
                int64_t ago = today - m->files[i].verified_ns / day_ns;
                ago = ago < 0 ? 0 : ago;
                if (m->files[i].verified_ns > 0 && ago < HEALTH_DAYS)
                        days[ago] += m->files[i].size;
        }
        for (int i = 0; i < HEALTH_DAYS; i++)
                most = days[i] > most ? days[i] : most;
        if (most == 0)
                return;
        html_addf(
                h,
                "<figure><figcaption>Bytes by the day of their last verification, the last %d days; the highest bar is %s."
                "</figcaption>\n<svg class=\"days\" role=\"img\" aria-label=\"Bytes by the day of their last verification\" "
                "viewBox=\"0 0 %d %d\">\n",
                HEALTH_DAYS, size_text(most, size), HEALTH_DAYS * (BAR + BAR_GAP) - BAR_GAP, BAR_HEIGHT + 2);
        for (int i = 0; i < HEALTH_DAYS; i++) {
                double high = (double)days[i] / (double)most * BAR_HEIGHT;
                high = days[i] ? high < 2 ? 2 : high : 0;
                when[0] = '\0';
                (void)time_text(TIME_ISO, (today - i) * 86400, 0, when);
                html_addf(
                        h,
                        "<g><title>%.10s: %s</title><rect class=\"base\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"1\"/>"
                        "<rect x=\"%d\" y=\"%.1f\" width=\"%d\" height=\"%.1f\"/></g>\n",
                        when, days[i] ? size_text(days[i], size) : "nothing", (HEALTH_DAYS - 1 - i) * (BAR + BAR_GAP),
                        BAR_HEIGHT + 1, BAR, (HEALTH_DAYS - 1 - i) * (BAR + BAR_GAP), BAR_HEIGHT - high, BAR, high);
        }
        html_add(h, "</svg>\n<div class=\"axis\"><span>");
        html_addf(h, "%.10s</span><span>", time_text(TIME_ISO, (today - HEALTH_DAYS + 1) * 86400, 0, when));
        html_addf(h, "%.10s</span></div></figure>\n", time_text(TIME_ISO, today * 86400, 0, when));
}

static void took(uint64_t ms, char *text, size_t size)
{
        uint64_t s = ms / 1000;

        if (s < 60)
                (void)snprintf(text, size, "%.1f s", (double)ms / 1000);
        else if (s < 3600)
                (void)snprintf(text, size, "%llu min %llu s", (unsigned long long)(s / 60),
                               (unsigned long long)(s % 60));
        else
                (void)snprintf(text, size, "%llu h %llu min", (unsigned long long)(s / 3600),
                               (unsigned long long)(s / 60 % 60));
}

static void pass_row(struct html *h, const struct html_pass *p)
{
        char size[SIZE_TEXT], time[48];

        took(p->ms, time, sizeof time);
        html_add(h, "<tr><td>");
        html_text(h, p->begin);
        html_addf(h, "</td><td class=\"n\">%s</td><td>%s</td><td class=\"n\">%llu</td><td class=\"n\">%s</td>", time,
                  p->scrub ? "oxen-lited" : "fsck", (unsigned long long)p->files, size_text(p->bytes, size));
        html_addf(h, "<td class=\"n\">%llu</td><td class=\"n\">%llu</td><td>%s</td></tr>\n",
                  (unsigned long long)p->findings, (unsigned long long)p->unreadable,
                  p->clean                      ? "whole, clean"
                  : p->whole                    ? "whole"
                  : p->findings + p->unreadable ? "a part"
                                                : "a part, clean");
}

void html_passes(struct html *h, html_pass_fn *pass, void *ctx)
{
        struct html_pass p = { 0 };

        if (!pass(ctx, &p))
                return;
        html_add(h,
                 "<h3>Last passes</h3>\n<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">Began</th>"
                 "<th scope=\"col\" class=\"n\">Took</th><th scope=\"col\">By</th>"
                 "<th scope=\"col\" class=\"n\">Files</th><th scope=\"col\" class=\"n\">Bytes</th>"
                 "<th scope=\"col\" class=\"n\">Findings</th><th scope=\"col\" class=\"n\">Unreadable</th>"
                 "<th scope=\"col\">Extent</th></tr></thead>\n<tbody>\n");
        do
                pass_row(h, &p);
        while (pass(ctx, &p));
        html_add(h, "</tbody>\n</table></div>\n");
}

/* --- findings ----------------------------------------------------------------------------------------------------------------- */

static void message(struct html *h, const struct html_finding *f)
{
        const char *at = f->message ? strstr(f->message, "%1") : NULL;

        if (!f->message || !at) {
                html_text(h, f->message ? f->message : f->path);
                return;
        }
        html_addf(h, "%.*s", (int)(at - f->message), f->message); /* a text of ours */
        html_text(h, f->path);
        html_text(h, at + 2);
}

static void affects(struct html *h, const struct html_finding *f)
{
        if (f->n_affects == 0)
                return;
        html_add(h, "<dt>Affects</dt><dd><ul>\n");
        for (size_t i = 0; i < f->n_affects; i++) {
                html_add(h, "<li>");
                html_text(h, f->affects[i]);
                html_add(h, "</li>\n");
        }
        if (f->affects_total > f->n_affects)
                html_addf(h, "<li>and %llu more</li>\n", (unsigned long long)(f->affects_total - f->n_affects));
        html_add(h, "</ul></dd>\n");
}

void html_finding(struct html *h, const struct html_finding *f)
{
        const char *severity = f->repaired ? "repaired" : f->severity;

        html_add(h, "<article class=\"finding s-");
        html_text(h, severity);
        html_add(h, "\">\n<h3><span class=\"badge\">");
        html_text(h, severity);
        html_add(h, "</span> ");
        message(h, f);
        html_add(h, " <code class=\"slug\">");
        html_text(h, f->slug);
        html_add(h, "</code></h3>\n<dl>\n");
        html_fact(h, "Why", f->detail);
        html_fact(h, "Object", f->object);
        html_fact(h, "Expected", f->expected);
        html_fact(h, "Found", f->actual);
        html_fact(h, "Verdict", f->verdict);
        html_fact(h, "Error", f->error);
        html_fact(h, "Lost", f->repaired ? NULL : f->cost);
        affects(h, f);
        html_fact(h, "Finding", f->id);
        html_add(h, "</dl>\n");
        if (f->remedy && *f->remedy && !f->repaired) {
                html_add(h, "<p class=\"next\">Next: <code>");
                html_text(h, f->remedy);
                html_add(h, "</code></p>\n");
        }
        html_add(h, "</article>\n");
}
