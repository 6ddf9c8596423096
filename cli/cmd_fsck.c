/* SPDX-License-Identifier: MIT */
/*
 * fsck: shows what the check finds. Exit codes are those of fsck(8), added up: 0 clean, 4 problems left, 8 something could not be
 * checked, 16 usage, 32 interrupted. What could not be read is not a problem and not clean: it is 8.
 */
#include <stdio.h>
#include <string.h>

#include "fsck.h"
#include "fsck_html.h"

struct fsck {
        struct cli *c;
        uint64_t problems; /* of severity warning and above, without what could not be read */
        uint64_t unreadable;
        struct fsck_html *html; /* NULL: no report is wanted */
};

const char *fsck_severity_text(enum oxl_severity s)
{
        switch (s) {
        case OXL_SEVERITY_NOTE: return "note";
        case OXL_SEVERITY_WARNING: return "warning";
        case OXL_SEVERITY_ERROR: return "error";
        case OXL_SEVERITY_LOSS: return "loss";
        }
        return "error";
}

/* May repair act on it without being asked about this one? */
static bool repairable(enum oxl_problem p)
{
        switch (p) {
#define OXL_PROBLEM(number, NAME, slug, severity, cost, text, remedy, automatic) \
        case OXL_P_##NAME:                                                       \
                return automatic;
#include <oxenlite/problems.def>
#undef OXL_PROBLEM
        }
        return false;
}

/* The message template with %1 replaced. */
static void out_template(struct cli *c, const char *template, const char *path)
{
        for (const char *p = template; *p; p++) {
                if (p[0] == '%' && p[1] == '1') {
                        out_name(c, path);
                        p++;
                } else {
                        out_bytes(c, p, 1);
                }
        }
}

static struct oxl_json *finding_json(const struct oxl_finding *f)
{
        struct oxl_json *o = oxl_json_object(), *affects = oxl_json_array();

        for (size_t i = 0; i < f->n_affects; i++)
                oxl_json_append(affects, oxl_json_name(f->affects[i], strlen(f->affects[i])));
        oxl_json_set_string(o, "id", f->id);
        oxl_json_set_string(o, "slug", oxl_problem_slug(f->problem));
        oxl_json_set_string(o, "severity", fsck_severity_text(oxl_problem_severity(f->problem)));
        oxl_json_set_name(o, "path", f->path, strlen(f->path));
        oxl_json_set_string(o, "object", f->object);
        oxl_json_set_string(o, "verdict", f->verdict);
        oxl_json_set_string(o, "expected", f->expected);
        oxl_json_set_string(o, "actual", f->actual);
        oxl_json_set_name(o, "detail", f->detail, strlen(f->detail));
        oxl_json_set(o, "affects", affects);
        oxl_json_set_u64(o, "affects_total", f->affects_total);
        oxl_json_set_string(o, "remedy", f->remedy);
        oxl_json_set_bool(o, "repairable", repairable(f->problem));
        oxl_json_set_bool(o, "repaired", f->repaired);
        oxl_json_set(o, "size", oxl_json_string(NULL));
        oxl_json_set(o, "inode", oxl_json_string(NULL));
        oxl_json_set(o, "mtime", oxl_json_string(NULL));
        if (f->exists) {
                oxl_json_set_u64(o, "size", f->size);
                oxl_json_set_u64(o, "inode", f->inode);
                oxl_json_set_u64(o, "mtime", (uint64_t)f->mtime_ns);
        }
        oxl_json_set_string(o, "errno", f->os ? strerrorname_np(f->os) : NULL);
        return o;
}

static void out_fact(struct cli *c, const char *name, const char *value)
{
        if (!value || !*value)
                return;
        out(c, "  %-9s ", name);
        out_name(c, value);
        out(c, "\n");
}

static void show_text(struct cli *c, const struct oxl_finding *f)
{
        enum oxl_severity severity = oxl_problem_severity(f->problem);

        out_colour(c, f->repaired ? COLOUR_GOOD : severity > OXL_SEVERITY_WARNING ? COLOUR_BAD : COLOUR_ID);
        out(c, "%s:", f->repaired ? "repaired" : fsck_severity_text(severity));
        out_colour(c, COLOUR_NONE);
        out(c, " ");
        out_template(c, oxl_problem_text(f->problem), f->path);
        out(c, " [%s]\n", oxl_problem_slug(f->problem));
        out_fact(c, "why:", f->detail);
        out_fact(c, "object:", f->object);
        out_fact(c, "expected:", f->expected);
        out_fact(c, "found:", f->actual);
        out_fact(c, "verdict:", f->verdict);
        out_fact(c, "error:", f->os ? strerror(f->os) : "");
        if (!f->repaired)
                out_fact(c, "lost:", oxl_problem_cost(f->problem));
        for (size_t i = 0; i < f->n_affects; i++)
                out_fact(c, i ? "" : "affects:", f->affects[i]);
        if (f->affects_total > f->n_affects)
                out(c, "  %-9s and %llu more\n", "", (unsigned long long)(f->affects_total - f->n_affects));
        if (!f->repaired)
                out_fact(c, "next:", f->remedy);
}

void fsck_show(struct cli *c, const struct oxl_finding *f)
{
        progress_erase(c);
        if (c->json)
                json_row(c, finding_json(f));
        else
                show_text(c, f);
}

static int show(void *ctx, const struct oxl_finding *f, struct oxl_error *err)
{
        struct fsck *s = ctx;

        if (f->problem == OXL_P_UNREADABLE)
                s->unreadable++;
        else if (oxl_problem_severity(f->problem) > OXL_SEVERITY_NOTE)
                s->problems++;
        fsck_show(s->c, f);
        int r = s->html ? fsck_html_add(s->html, f, err) : 0;
        return r < 0 ? r : cli_go_on(s->c, err);
}

const char *fsck_result_text(int status)
{
        if (status & FSCK_UNCHECKED)
                return "incomplete";
        return status & FSCK_LEFT ? "problems" : status & FSCK_REPAIRED ? "repaired" : "clean";
}

struct oxl_json *fsck_checked_json(const struct oxl_check_result *done)
{
        struct oxl_json *checked = oxl_json_object();

        oxl_json_set_u64(checked, "files", done->files);
        oxl_json_set_u64(checked, "bytes", done->bytes);
        oxl_json_set_u64(checked, "objects", done->objects);
        oxl_json_set_u64(checked, "commits", done->commits);
        oxl_json_set_u64(checked, "refs", done->refs);
        oxl_json_set_u64(checked, "unreachable", done->unreachable);
        oxl_json_set_u64(checked, "unreadable", done->unreadable);
        return checked;
}

static void end_json(struct cli *c, const struct oxl_check_result *done, int status)
{
        struct oxl_json *o = oxl_json_object();

        oxl_json_set_string(o, "result", fsck_result_text(status));
        oxl_json_set(o, "checked", fsck_checked_json(done));
        fsck_extent_json(c, o, done);
        json_rows_end(c);
        json_members(c, o);
}

static void end_text(struct fsck *s, const struct oxl_check_result *done, int status)
{
        struct cli *c = s->c;
        char size[SIZE_TEXT];

        if (c->quiet)
                return;
        out(c, "checked %llu file%s (%s), %llu object%s, %llu commit%s, %llu ref%s: ", (unsigned long long)done->files,
            plural(done->files), size_text(done->bytes, size), (unsigned long long)done->objects, plural(done->objects),
            (unsigned long long)done->commits, plural(done->commits), (unsigned long long)done->refs,
            plural(done->refs));
        out_colour(c, status ? COLOUR_BAD : COLOUR_GOOD);
        out(c, "%s%s", fsck_result_text(status), done->extent.complete ? "" : ", partly checked");
        out_colour(c, COLOUR_NONE);
        if (s->problems)
                out(c, ", %llu problem%s", (unsigned long long)s->problems, plural(s->problems));
        if (status & FSCK_UNCHECKED)
                out(c, ", not everything could be read");
        if (done->notes)
                out(c, ", %llu note%s", (unsigned long long)done->notes, plural(done->notes));
        if (done->unreachable)
                out(c, "; %llu whole object%s that nothing needs", (unsigned long long)done->unreachable,
                    plural(done->unreachable));
        out(c, "\n");
        fsck_extent_text(c, done);
}

static const char *problem_name(size_t *pos)
{
        int p = oxl_problem_next((int)*pos);
        *pos = (size_t)p;
        return p ? oxl_problem_slug((enum oxl_problem)p) : NULL;
}

static int explain(struct cli *c, const char *slug, struct oxl_error *err)
{
        int found = oxl_problem_find(slug);

        if (!found) {
                const char *near = nearest(slug, problem_name);
                return cli_usage(c, err, "no problem '%s'%s%s%s", slug, near ? "; did you mean '" : "",
                                 near ? near : "", near ? "'?" : "");
        }
        enum oxl_problem p = (enum oxl_problem)found;
        if (c->json) {
                struct oxl_json *o = oxl_json_object(), *row = oxl_json_object();
                oxl_json_set_int(row, "number", found);
                oxl_json_set_string(row, "slug", slug);
                oxl_json_set_string(row, "severity", fsck_severity_text(oxl_problem_severity(p)));
                oxl_json_set_string(row, "text", oxl_problem_text(p));
                oxl_json_set_string(row, "cost", oxl_problem_cost(p));
                oxl_json_set_string(row, "remedy", oxl_problem_remedy(p));
                oxl_json_set_bool(row, "repairable", repairable(p));
                oxl_json_set(o, "problem", row);
                json_members(c, o);
                return 0;
        }
        out(c, "%s (%s): ", slug, fsck_severity_text(oxl_problem_severity(p)));
        out_template(c, oxl_problem_text(p), "PATH");
        out(c, "\n");
        out_fact(c, "lost:", oxl_problem_cost(p));
        out_fact(c, "next:", oxl_problem_remedy(p));
        return 0;
}

static int check(struct cli *c, const char *report, struct oxl_error *err)
{
        struct oxl_check_options options = { 0 };
        struct oxl_check_result done = { 0 };
        cleanup(fsck_html_done) struct fsck_html html = { 0 };
        struct fsck s = { .c = c, .html = report ? &html : NULL };

        int r = fsck_options_read(c, &options, err);
        if (r < 0)
                return r;
        if (c->json)
                json_rows(c, "findings");
        r = oxl_check_run(".", &c->repo_options, &options, show, &s, &done, err);
        progress_erase(c);
        int status = (s.problems || done.pending ? FSCK_LEFT : 0) |
                     (s.unreadable || done.unreadable || done.record_failed ? FSCK_UNCHECKED : 0);
        c->exit = status; /* also when it did not run to its end */
        if (r < 0)
                return r;
        if (c->json)
                end_json(c, &done, status);
        else
                end_text(&s, &done, status);
        if (report)
                r = fsck_html_write(&html, c, report, &done, status, err);
        if (r == 0 && report && !c->json && !c->quiet) {
                out(c, "report: ");
                out_name(c, report);
                out(c, "\n");
        }
        return r;
}

int cmd_fsck(struct cli *c, int argc, char **argv, struct oxl_error *err)
{
        const char *report = cli_value(c, OPT_HTML);
        bool oxen = cli_has(c, OPT_OXEN), repair = !oxen && fsck_repair_wanted(c);

        if (cli_has(c, OPT_EXPLAIN))
                return explain(c, cli_value(c, OPT_EXPLAIN), err);
        if (report && (oxen || repair))
                return cli_usage(c, err, "--html shows a check: it goes with neither --oxen nor repair");
        int r = report ? html_check_target(c, report, err) : 0;
        if (r < 0)
                return r;
        if (oxen)
                return fsck_oxen(c, argc, argv, err);
        if (cli_has(c, OPT_STATE))
                return cli_usage(c, err, "--state needs --oxen DIR");
        return repair ? fsck_repair(c, argc, argv, err) : check(c, report, err);
}
