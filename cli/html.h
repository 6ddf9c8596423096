/* SPDX-License-Identifier: MIT */
/*
 * A report to look at: one page, whole in itself. It loads nothing and runs nothing (its own content policy forbids it), and is
 * readable in light and dark. Everything that comes from a disk or a daemon passes html_text(), which leaves no markup and no control
 * character in it.
 *
 * The page is built in memory and replaces FILE atomically: a crash leaves the earlier report or the new one, whole. A lack of
 * memory is remembered and told by html_write().
 */
#ifndef OXL_CLI_HTML_H
#define OXL_CLI_HTML_H

#include "health_map.h"

struct html {
        char *bytes;
        size_t n, cap;
        bool failed; /* no memory: the page is not complete */
};

void html_done(struct html *h);
/* Markup, as it is. */
void html_add(struct html *h, const char *markup);
/* The same with numbers and texts of ours. */
__attribute__((format(printf, 2, 3))) void html_addf(struct html *h, const char *format, ...);
/* Anything from outside. */
void html_text(struct html *h, const char *text);
/* All of @from, which stays as it is. */
void html_append(struct html *h, const struct html *from);

/* Refuses early what cannot be replaced by a report: a folder, a device, a link. */
int html_check_target(struct cli *c, const char *file, struct oxl_error *err);
int html_write(const struct html *h, const char *file, struct oxl_error *err);

/* html_page.c: the parts of a page */
enum html_state { HTML_GOOD, HTML_WARN, HTML_BAD, HTML_IDLE };

/* Head, title, and "WHAT, made WHEN on HOST by oxen-lite VERSION". */
void html_begin(struct html *h, const char *title, const char *what);
void html_end(struct html *h);
/* The glance: one sentence with a mark that does not need its colour. */
void html_verdict(struct html *h, enum html_state state, const char *sentence, const char *more);
/* Tiles between begin and end; @value and @more are texts of ours or pass html_text. */
void html_tiles(struct html *h, bool begin);
void html_tile(struct html *h, enum html_state state, const char *name, const char *value, const char *more);
/* A row of a <dl>; nothing when @value is NULL or "". */
void html_fact(struct html *h, const char *name, const char *value);
/* The map with its legend, which is a table of the same sums. */
void html_map(struct html *h, const struct health_map *m, const char *about);
/* Bytes by the day of their last verification. */
void html_days(struct html *h, const struct health_map *m);

struct html_pass {
        const char *begin; /* a time as text, of ours or from outside */
        uint64_t ms, files, bytes, findings, unreadable;
        bool whole, clean, scrub;
};
/* The last checks and scrubs; @pass is called until it returns false. Nothing when there is none. */
typedef bool html_pass_fn(void *ctx, struct html_pass *ret);
void html_passes(struct html *h, html_pass_fn *pass, void *ctx);

struct html_finding {
        const char *severity, *slug, *message, *path; /* @message: template, %1 is the path; NULL: the path alone */
        const char *id, *verdict, *object, *expected, *actual, *detail, *cost, *remedy, *error;
        const char *const *affects;
        size_t n_affects;
        uint64_t affects_total;
        bool repaired;
};
void html_finding(struct html *h, const struct html_finding *f);

#endif
