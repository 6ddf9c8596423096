/* SPDX-License-Identifier: MIT */
/*
 * health: all stored bytes by the age of their last verification, as a map. A cell shows the worst of what lies in it. Without
 * colour the same cells are letters and digits. Exit 3 when damage is recorded.
 */
#include <stdio.h>
#include <string.h>

#include "health_map.h"

struct health {
        struct cli *c;
        struct health_map map;
        bool findings; /* the rows are findings by now */
};

static int hear_file(void *ctx, const struct oxl_health_file *f, struct oxl_error *err)
{
        struct health *h = ctx;
        int r = health_map_add(&h->map, f, err);
        return r < 0 ? r : cli_go_on(h->c, err);
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
                out(c, "Recorded, and not settled yet (oxen-lite fsck --record looks again, fsck --repair heals):\n");
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
} kinds[HEALTH_KINDS] = {
        { '1', 22, NULL },
        { '2', 28, NULL },
        { '3', 34, NULL },
        { '4', 70, NULL },
        { '5', 106, NULL },
        { '6', 142, NULL },
        { '7', 178, NULL },
        { '8', 214, NULL },
        [HEALTH_OVERDUE] = { '!', 202, "longer ago" },
        [HEALTH_NEVER] = { '.', 245, "never" },
        [HEALTH_DAMAGED] = { 'X', 196, "damaged" },
};

/* @n cells of one kind. */
static void out_cells(struct cli *c, enum health_kind cell, size_t n)
{
        if (c->color_out)
                out(c, "\033[%s38;5;%dm", cell == HEALTH_DAMAGED ? "1;" : "", kinds[cell].colour);
        for (; n > 0; n--) {
                if (c->color_out && cell != HEALTH_DAMAGED)
                        out(c, "\xe2\x96\x88"); /* a full block */
                else
                        out(c, "%c", kinds[cell].letter);
        }
        if (c->color_out)
                out(c, "\033[m");
}

static void out_map(const struct health *h)
{
        struct health_cell cells[HEALTH_CELLS_MAX];
        size_t rows = (h->map.n + HEALTH_COLUMNS - 1) / HEALTH_COLUMNS;
        size_t n = rows * HEALTH_COLUMNS < HEALTH_CELLS_MAX ? rows * HEALTH_COLUMNS : HEALTH_CELLS_MAX;

        health_map_cells(&h->map, n, cells);
        for (size_t i = 0, same; i < n; i += same) {
                for (same = 1; (i + same) % HEALTH_COLUMNS && cells[i + same].kind == cells[i].kind; same++)
                        ;
                out(h->c, "%s", i % HEALTH_COLUMNS == 0 ? "  " : "");
                out_cells(h->c, cells[i].kind, same);
                out(h->c, "%s", (i + same) % HEALTH_COLUMNS == 0 ? "\n" : "");
        }
}

static void out_legend(struct cli *c)
{
        out(c, "  verified within: ");
        for (int i = 0; i < HEALTH_AGES; i++) {
                out_cells(c, (enum health_kind)i, 1);
                if (i == 0 || i == HEALTH_AGES - 1)
                        out(c, " %d days%s", i == 0 ? (HEALTH_DAYS + HEALTH_AGES - 1) / HEALTH_AGES : HEALTH_DAYS,
                            i == 0 ? " " : "");
        }
        for (int i = HEALTH_OVERDUE; i < HEALTH_KINDS; i++) {
                out(c, "  ");
                out_cells(c, (enum health_kind)i, 1);
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
            s->bytes ? 100.0 * (double)s->verified_bytes / (double)s->bytes : 100.0, (int)HEALTH_DAYS);
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
        oxl_json_set_int(o, "days", HEALTH_DAYS);
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
        struct health h = { .c = c };

        (void)argc, (void)argv;
        health_map_init(&h.map, HEALTH_DAYS);
        if (c->json)
                json_rows(c, "findings");
        int r = oxl_health(".", &c->repo_options, HEALTH_DAYS, hear_file, hear_finding, &h, &s, err);
        progress_erase(c);
        if (c->json)
                json_rows_end(c);
        if (r == 0 && c->json)
                json_glance(c, &s);
        if (r == 0 && !c->json) {
                out(c, "%s", h.findings ? "\n" : "");
                out_glance(c, &s);
                if (h.map.n > 0 && !c->quiet) {
                        out_map(&h);
                        out_legend(c);
                }
        }
        if (r == 0 && (s.damaged_files || s.findings))
                c->exit = 3;
        health_map_done(&h.map);
        return r;
}
