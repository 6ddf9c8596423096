/* SPDX-License-Identifier: MIT */
/*
 * health: all stored bytes by the age of their last verification, as a map. A cell shows the worst of what lies in it. Without
 * colour the same cells are letters and digits. Exit 3 when damage is recorded.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <oxenlite/tools.h>

#include "cli.h"

enum { COLUMNS = 64, CELLS_MAX = COLUMNS * 12, AGES = 8, DAYS = 30 };

/* In the order of what is worse. */
enum cell { CELL_AGE = 0, CELL_OVERDUE = AGES, CELL_NEVER, CELL_DAMAGED, CELL_KINDS };

struct file {
        uint64_t size;
        enum cell cell;
};

struct health {
        struct cli *c;
        int64_t now_ns;
        struct file *files;
        size_t n, cap;
        bool findings; /* the rows are findings by now */
};

static enum cell cell_of(const struct health *h, const struct oxl_health_file *f)
{
        const int64_t days_ns = INT64_C(86400) * 1000000000 * DAYS;
        if (f->damaged)
                return CELL_DAMAGED;
        if (f->verified_ns == 0)
                return CELL_NEVER;
        int64_t age = h->now_ns - f->verified_ns;
        if (age < 0)
                age = 0;
        return age >= days_ns ? CELL_OVERDUE : (enum cell)(age / (days_ns / AGES));
}

static int hear_file(void *ctx, const struct oxl_health_file *f, struct oxl_error *err)
{
        struct health *h = ctx;
        if (h->n == h->cap) {
                size_t cap = 2 * h->cap + 256;
                struct file *files = realloc(h->files, cap * sizeof *files);
                if (!files)
                        return cli_error(err, OXL_E_NOMEM, 0, NULL, NULL);
                h->files = files;
                h->cap = cap;
        }
        h->files[h->n++] = (struct file){ f->size, cell_of(h, f) };
        return cli_go_on(h->c, err);
}

static int hear_finding(void *ctx, const struct oxl_health_finding *f, struct oxl_error *err)
{
        char when[TIME_TEXT];
        struct health *h = ctx;
        struct cli *c = h->c;
        if (c->json) {
                struct oxl_json *o = oxl_json_object();
                oxl_json_set_string(o, "id", f->id);
                oxl_json_set_string(o, "slug", f->slug);
                oxl_json_set_name(o, "path", f->path, strlen(f->path));
                oxl_json_set_string(o, "detail", f->detail);
                oxl_json_set_string(o, "first", time_text(TIME_ISO, f->first_ns / 1000000000, 0, when));
                oxl_json_set_string(o, "last", time_text(TIME_ISO, f->last_ns / 1000000000, 0, when));
                json_row(c, o);
                return cli_go_on(c, err);
        }
        if (!h->findings) {
                out(c, "Recorded, and not settled yet (oxen-lite fsck looks again, fsck --repair heals):\n");
                h->findings = true;
        }
        out(c, "  ");
        out_colour(c, COLOUR_BAD);
        out(c, "%s", f->slug);
        out_colour(c, COLOUR_NONE);
        out(c, " ");
        out_name(c, f->path);
        out(c, ", since %s\n", time_text(TIME_ISO, f->first_ns / 1000000000, 0, when));
        return cli_go_on(c, err);
}

/* --- the map ---------------------------------------------------------------------------------------------------------- */

static const struct {
        char letter;
        int colour; /* of 256 */
        const char *about;
} kinds[CELL_KINDS] = {
        { '1', 22, NULL },
        { '2', 28, NULL },
        { '3', 34, NULL },
        { '4', 70, NULL },
        { '5', 106, NULL },
        { '6', 142, NULL },
        { '7', 178, NULL },
        { '8', 214, NULL },
        [CELL_OVERDUE] = { '!', 202, "longer ago" },
        [CELL_NEVER] = { '.', 245, "never" },
        [CELL_DAMAGED] = { 'X', 196, "damaged" },
};

/* @n cells of one kind. */
static void out_cells(struct cli *c, enum cell cell, size_t n)
{
        if (c->color_out)
                out(c, "\033[%s38;5;%dm", cell == CELL_DAMAGED ? "1;" : "", kinds[cell].colour);
        for (; n > 0; n--) {
                if (c->color_out && cell != CELL_DAMAGED)
                        out(c, "\xe2\x96\x88"); /* a full block */
                else
                        out(c, "%c", kinds[cell].letter);
        }
        if (c->color_out)
                out(c, "\033[m");
}

static enum cell worse(enum cell a, enum cell b)
{
        return a > b ? a : b;
}

/* Cells of equal size over all files in turn; a small file makes its cell at least as bad as it is. */
static void out_map(const struct health *h, uint64_t bytes)
{
        enum cell cells[CELLS_MAX];
        size_t n = h->n < COLUMNS ? COLUMNS : h->n < CELLS_MAX ? (h->n + COLUMNS - 1) / COLUMNS * COLUMNS : CELLS_MAX;
        double at = 0, scale = bytes ? (double)n / (double)bytes : 0;

        for (size_t i = 0; i < n; i++)
                cells[i] = CELL_AGE;
        for (size_t i = 0; i < h->n; i++) {
                size_t from = (size_t)(at * scale);
                at += (double)h->files[i].size;
                double end = at * scale;
                for (size_t k = from; k < n && (k == from || (double)k < end - 1e-9); k++)
                        cells[k] = worse(cells[k], h->files[i].cell);
        }
        for (size_t i = 0, same; i < n; i += same) {
                for (same = 1; (i + same) % COLUMNS && cells[i + same] == cells[i]; same++)
                        ;
                out(h->c, "%s", i % COLUMNS == 0 ? "  " : "");
                out_cells(h->c, cells[i], same);
                out(h->c, "%s", (i + same) % COLUMNS == 0 ? "\n" : "");
        }
}

static void out_legend(const struct health *h)
{
        struct cli *c = h->c;
        out(c, "  verified within: ");
        for (int i = 0; i < AGES; i++) {
                out_cells(c, (enum cell)i, 1);
                if (i == 0 || i == AGES - 1)
                        out(c, " %d days%s", i == 0 ? (DAYS + AGES - 1) / AGES : DAYS, i == 0 ? " " : "");
        }
        for (int i = CELL_OVERDUE; i < CELL_KINDS; i++) {
                out(c, "  ");
                out_cells(c, (enum cell)i, 1);
                out(c, " %s", kinds[i].about);
        }
        out(c, "\n\n");
}

/* --- the glance ---------------------------------------------------------------------------------------------------------- */

static void out_time(struct cli *c, const char *what, int64_t ns)
{
        char when[TIME_TEXT];
        out(c, "  %-20s%s\n", what, ns ? time_text(TIME_ISO, ns / 1000000000, 0, when) : "never");
}

static void out_glance(struct cli *c, const struct oxl_scrub_status *s)
{
        char a[SIZE_TEXT], b[SIZE_TEXT];
        bool bad = s->damaged_files || s->findings;
        enum colour colour = bad ? COLOUR_BAD : s->verified_files == s->files ? COLOUR_GOOD : COLOUR_ID;

        out_colour(c, colour);
        out(c, "%s",
            bad                             ? "damaged"
            : s->files == 0                 ? "nothing stored yet"
            : s->verified_files == s->files ? "healthy"
            : s->overdue_files              ? "overdue: not everything was verified in time"
                                            : "good so far: not everything was verified yet");
        out_colour(c, COLOUR_NONE);
        out(c, "\n  %-20s%llu pack%s and large file%s, %s\n", "stored", (unsigned long long)s->files, plural(s->files),
            plural(s->files), size_text(s->bytes, a));
        out(c, "  %-20s%s (%.0f %%) within %d days\n", "verified", size_text(s->verified_bytes, a),
            s->bytes ? 100.0 * (double)s->verified_bytes / (double)s->bytes : 100.0, (int)DAYS);
        if (s->never_files)
                out(c, "  %-20s%s in %llu file%s\n", "never verified", size_text(s->never_bytes, b),
                    (unsigned long long)s->never_files, plural(s->never_files));
        if (s->damaged_files)
                out(c, "  %-20s%llu file%s\n", "damaged", (unsigned long long)s->damaged_files,
                    plural(s->damaged_files));
        if (s->open_intents)
                out(c, "  %-20s%llu\n", "open operations", (unsigned long long)s->open_intents);
        out_time(c, "last whole pass", s->last_pass_ns);
        out_time(c, "last clean pass", s->last_clean_ns);
        if (s->never_files || s->overdue_files)
                out(c, "  next: oxen-lite fsck --record, or let oxen-lited do it\n");
        out(c, "\n");
}

static void json_glance(struct cli *c, const struct oxl_scrub_status *s)
{
        struct oxl_json *o = oxl_json_object(), *ages = oxl_json_array();
        char text[32];
        for (size_t i = 0; i < ARRAY_LEN(s->by_age); i++) {
                (void)snprintf(text, sizeof text, "%llu", (unsigned long long)s->by_age[i]);
                oxl_json_append(ages, oxl_json_string(text));
        }
        oxl_json_set_int(o, "days", DAYS);
        oxl_json_set_u64(o, "files", s->files);
        oxl_json_set_u64(o, "bytes", s->bytes);
        oxl_json_set_u64(o, "verified_files", s->verified_files);
        oxl_json_set_u64(o, "verified_bytes", s->verified_bytes);
        oxl_json_set_u64(o, "never_files", s->never_files);
        oxl_json_set_u64(o, "never_bytes", s->never_bytes);
        oxl_json_set_u64(o, "overdue_files", s->overdue_files);
        oxl_json_set_u64(o, "overdue_bytes", s->overdue_bytes);
        oxl_json_set_u64(o, "damaged_files", s->damaged_files);
        oxl_json_set_u64(o, "open_findings", s->findings);
        oxl_json_set_u64(o, "open_intents", s->open_intents);
        oxl_json_set_i64(o, "oldest_ns", s->oldest_ns);
        oxl_json_set_i64(o, "last_pass_ns", s->last_pass_ns);
        oxl_json_set_i64(o, "last_clean_ns", s->last_clean_ns);
        oxl_json_set(o, "by_age", ages);
        json_members(c, o);
}

int cmd_health(struct cli *c, int argc, char **argv, struct oxl_error *err)
{
        struct oxl_scrub_status s;
        struct timespec now;
        struct health h = { .c = c };

        (void)argc, (void)argv;
        (void)clock_gettime(CLOCK_REALTIME, &now);
        h.now_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
        if (c->json)
                json_rows(c, "findings");
        int r = oxl_health(".", &c->repo_options, DAYS, hear_file, hear_finding, &h, &s, err);
        progress_erase(c);
        if (c->json)
                json_rows_end(c);
        if (r == 0 && c->json)
                json_glance(c, &s);
        if (r == 0 && !c->json) {
                out(c, "%s", h.findings ? "\n" : "");
                out_glance(c, &s);
                if (h.n > 0 && !c->quiet) {
                        out_map(&h, s.bytes);
                        out_legend(&h);
                }
        }
        if (r == 0 && (s.damaged_files || s.findings))
                c->exit = 3;
        free(h.files);
        return r;
}
