/* SPDX-License-Identifier: MIT */
/*
 * The report of one check. The map shows what the ledger says, and what this run saw: damaged files are marked although nothing was
 * recorded, and a run that read everything makes everything "verified now". When the ledger cannot be read the page says so and
 * has the rest.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fsck.h"
#include "fsck_html.h"

static void free_list(char **list, size_t n)
{
        for (size_t i = 0; i < n; i++)
                free(list[i]);
        free(list);
}

void fsck_html_done(struct fsck_html *f)
{
        html_done(&f->findings);
        free_list(f->damaged, f->n);
        free_list(f->unreadable, f->n_unreadable);
        *f = (struct fsck_html){ 0 };
}

static int keep(char ***list, size_t *n, size_t *cap, const char *path, struct oxl_error *err)
{
        if (*n == *cap) {
                size_t room = 2 * *cap + 16;
                char **grown = realloc(*list, room * sizeof *grown);
                if (!grown)
                        return cli_error(err, OXL_E_NOMEM, 0, NULL, NULL);
                *list = grown;
                *cap = room;
        }
        char *copy = strdup(path);
        if (!copy)
                return cli_error(err, OXL_E_NOMEM, 0, NULL, NULL);
        (*list)[(*n)++] = copy;
        return 0;
}

int fsck_html_add(struct fsck_html *f, const struct oxl_finding *x, struct oxl_error *err)
{
        enum oxl_severity severity = oxl_problem_severity(x->problem);
        const struct html_finding row = {
                .severity = fsck_severity_text(severity),
                .slug = oxl_problem_slug(x->problem),
                .message = oxl_problem_text(x->problem),
                .path = x->path,
                .id = x->id,
                .verdict = x->verdict,
                .object = x->object,
                .expected = x->expected,
                .actual = x->actual,
                .detail = x->detail,
                .cost = oxl_problem_cost(x->problem),
                .remedy = x->remedy,
                .error = x->os ? strerror(x->os) : NULL,
                .affects = x->affects,
                .n_affects = x->n_affects,
                .affects_total = x->affects_total,
                .repaired = x->repaired,
        };

        if (f->shown == FSCK_HTML_FINDINGS) {
                f->more++;
        } else {
                html_finding(&f->findings, &row);
                f->shown++;
        }
        if (x->problem == OXL_P_UNREADABLE)
                return keep(&f->unreadable, &f->n_unreadable, &f->cap_unreadable, x->path, err);
        if (severity <= OXL_SEVERITY_NOTE || x->repaired)
                return 0;
        f->worst = severity > f->worst ? severity : f->worst;
        return keep(&f->damaged, &f->n, &f->cap, x->path, err);
}

/* --- the map of this run ------------------------------------------------------------------------------------------------ */

struct seen {
        const struct fsck_html *f;
        struct health_map map;
        struct html recorded; /* rows of what the journal has */
        uint64_t n_recorded;
        bool whole; /* this run read everything */
};

static int compare(const void *a, const void *b)
{
        const char *const *x = a, *const *y = b;
        return strcmp(*x, *y);
}

static void sort(char **list, size_t n)
{
        if (n > 1)
                qsort(list, n, sizeof *list, compare);
}

static bool listed(char *const *list, size_t n, const char *path)
{
        return path && n > 0 && bsearch(&path, list, n, sizeof *list, compare);
}

static int hear_file(void *ctx, const struct oxl_health_file *file, struct oxl_error *err)
{
        struct seen *s = ctx;
        struct oxl_health_file now = *file;

        if (listed(s->f->damaged, s->f->n, file->path)) {
                now.damaged = true;
        } else if (s->whole && !listed(s->f->unreadable, s->f->n_unreadable, file->path)) {
                now.damaged = false;
                now.verified_ns = s->map.now_ns;
        }
        return health_map_add(&s->map, &now, err);
}

static int hear_finding(void *ctx, const struct oxl_health_finding *x, struct oxl_error *err)
{
        struct seen *s = ctx;
        char when[TIME_TEXT];

        (void)err;
        if (++s->n_recorded > FSCK_HTML_FINDINGS)
                return 0;
        html_add(&s->recorded, "<tr><td><code>");
        html_text(&s->recorded, x->slug);
        html_add(&s->recorded, "</code></td><td class=\"path\">");
        html_text(&s->recorded, x->path);
        html_addf(&s->recorded, "</td><td>%.19s</td>", time_text(TIME_ISO, x->first_ns / 1000000000, 0, when));
        html_addf(&s->recorded, "<td>%.19s</td></tr>\n", time_text(TIME_ISO, x->last_ns / 1000000000, 0, when));
        return 0;
}

/* --- the parts of the page -------------------------------------------------------------------------------------------------- */

static void verdict(struct html *h, const struct fsck_html *f, const struct oxl_check_result *done, int status)
{
        const char *more = status & FSCK_UNCHECKED
                                   ? "Not everything could be read; what could not be read is listed below."
                                   : NULL;

        if (f->worst == OXL_SEVERITY_LOSS)
                html_verdict(h, HTML_BAD, "Committed content is damaged or missing", more);
        else if (f->worst == OXL_SEVERITY_ERROR)
                html_verdict(h, HTML_BAD, "Damaged files were found", more);
        else if (f->worst == OXL_SEVERITY_WARNING)
                html_verdict(h, HTML_WARN, "No content is lost, but something is to be done", more);
        else if (status & FSCK_UNCHECKED)
                html_verdict(h, HTML_WARN, "Not everything could be checked", "What was read is good.");
        else if (done->pending)
                html_verdict(h, HTML_WARN, "An interrupted operation waits to be finished", "Next: oxen-lite recover");
        else if (!done->extent.complete)
                html_verdict(h, HTML_WARN, "Nothing is wrong in the part that was read",
                             "This check was limited by its options.");
        else
                html_verdict(h, HTML_GOOD, "Healthy", "Every stored byte was read, and nothing is wrong.");
}

static void tile_number(struct html *h, enum html_state bad, const char *name, uint64_t n, const char *more)
{
        char value[32];

        (void)snprintf(value, sizeof value, "%llu", (unsigned long long)n);
        html_tile(h, n ? bad : HTML_IDLE, name, value, more);
}

static void tiles(struct html *h, const struct oxl_check_result *done)
{
        char size[SIZE_TEXT], all[SIZE_TEXT], more[96];
        const struct oxl_check_extent *x = &done->extent;

        html_tiles(h, true);
        tile_number(h, HTML_BAD, "Problems", done->findings > done->unreadable ? done->findings - done->unreadable : 0,
                    "found by this check");
        tile_number(h, HTML_WARN, "Could not be read", done->unreadable, "I/O errors");
        (void)snprintf(more, sizeof more, "of %s in packs and large files", size_text(x->bytes, all));
        html_tile(h, HTML_IDLE, "Content read", size_text(x->read_bytes + x->part_bytes, size), more);
        (void)snprintf(more, sizeof more, "%s", size_text(done->bytes, size));
        tile_number(h, HTML_IDLE, "Files checked", done->files, more);
        tile_number(h, HTML_IDLE, "Objects", done->objects, "blobs, folders, commits");
        tile_number(h, HTML_IDLE, "Commits", done->commits, "reached and verified");
        tile_number(h, HTML_IDLE, "Branches and tags", done->refs, "verified");
        tile_number(h, HTML_IDLE, "Notes", done->notes, "worth knowing");
        html_tiles(h, false);
}

static void findings(struct html *h, const struct fsck_html *f)
{
        html_add(h, "<section>\n<h2>Findings</h2>\n");
        if (f->shown == 0)
                html_add(h, "<p>None.</p>\n");
        html_append(h, &f->findings);
        if (f->more)
                html_addf(h, "<p>And %llu more: <code>oxen-lite fsck --json</code> lists all.</p>\n",
                          (unsigned long long)f->more);
        html_add(h, "</section>\n");
}

static void time_fact(struct html *h, const char *name, int64_t ns)
{
        char when[TIME_TEXT];
        html_fact(h, name, ns ? time_text(TIME_ISO, ns / 1000000000, 0, when) : "never");
}

struct passes {
        const struct oxl_scrub_status *status;
        size_t n;
        char begin[TIME_TEXT];
};

static bool next_pass(void *ctx, struct html_pass *ret)
{
        struct passes *s = ctx;
        const struct oxl_pass *p = s->n < OXL_PASSES_SHOWN ? &s->status->passes[s->n++] : NULL;

        if (!p || !p->end_ns)
                return false;
        *ret = (struct html_pass){
                .begin = time_text(TIME_ISO, p->begin_ns / 1000000000, 0, s->begin),
                .ms = (uint64_t)(p->end_ns - p->begin_ns) / 1000000,
                .files = p->files,
                .bytes = p->bytes,
                .findings = p->findings,
                .unreadable = p->unreadable,
                .whole = p->whole,
                .clean = p->clean,
                .scrub = p->scrub,
        };
        return true;
}

static void history(struct html *h, const struct seen *s, const struct oxl_scrub_status *now)
{
        html_add(h, "<section>\n<h2>History</h2>\n<dl class=\"facts\">\n");
        time_fact(h, "Last whole pass", now->last_pass_ns);
        time_fact(h, "Last clean pass", now->last_clean_ns);
        time_fact(h, "Oldest verification", now->oldest_ns);
        html_add(h, "</dl>\n");
        html_passes(h, next_pass, &(struct passes){ .status = now });
        html_days(h, &s->map);
        if (s->n_recorded) {
                html_add(
                        h,
                        "<h3>Recorded and not settled</h3>\n<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">Problem</th>"
                        "<th scope=\"col\">File</th><th scope=\"col\">First seen</th><th scope=\"col\">Last seen</th></tr>"
                        "</thead>\n<tbody>\n");
                html_append(h, &s->recorded);
                html_add(h, "</tbody>\n</table></div>\n");
        }
        html_add(h, "</section>\n");
}

static void map_and_history(struct html *h, struct fsck_html *f, struct cli *c, const struct oxl_check_result *done)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        struct oxl_repo_options quiet = c->repo_options;
        struct oxl_scrub_status now = { 0 };
        struct seen s = { .f = f, .whole = done->extent.complete };

        quiet.notice = NULL; /* said once already */
        health_map_init(&s.map, HEALTH_DAYS);
        sort(f->damaged, f->n);
        sort(f->unreadable, f->n_unreadable);
        int r = oxl_health(".", &quiet, HEALTH_DAYS, hear_file, hear_finding, &s, &now, &why);
        progress_erase(c);
        html_add(h, "<section>\n<h2>Stored bytes by their last verification</h2>\n");
        if (r == 0) {
                html_map(
                        h, &s.map,
                        s.whole ? "This check read everything. One cell is an equal share of the stored bytes."
                                : "As recorded, with the damage that this check saw. One cell is an equal share of the "
                                  "stored bytes.");
        } else {
                cleanup_free char *text = errors_text(c, &why);
                html_add(h, "<p>The map cannot be drawn: ");
                html_text(h, text ? text : "out of memory");
                html_add(h, "</p>\n");
        }
        html_add(h, "</section>\n");
        findings(h, f);
        if (r == 0)
                history(h, &s, &now);
        h->failed = h->failed || s.recorded.failed;
        html_done(&s.recorded);
        health_map_done(&s.map);
}

static char *repository_name(struct cli *c)
{
        cleanup_error struct oxl_error ignored = OXL_ERROR_INIT;
        struct oxl_repo_options quiet = c->repo_options;
        struct oxl_repo *r = NULL;

        quiet.notice = NULL;
        if (oxl_repo_open(".", &quiet, &r, &ignored) < 0)
                return realpath(".", NULL);
        char *name = strdup(oxl_repo_worktree(r));
        oxl_repo_close(r);
        return name;
}

int fsck_html_write(struct fsck_html *f, struct cli *c, const char *file, const struct oxl_check_result *done,
                    int status, struct oxl_error *err)
{
        cleanup(html_done) struct html h = { 0 };
        cleanup_free char *name = repository_name(c);
        cleanup_free char *title = NULL;

        if (asprintf(&title, "oxen-lite: health of %s", name ? name : "the repository") < 0)
                title = NULL;
        html_begin(&h, title ? title : "oxen-lite", name ? name : "Repository");
        verdict(&h, f, done, status);
        tiles(&h, done);
        map_and_history(&h, f, c, done);
        html_end(&h);
        return html_write(&h, file, err);
}
