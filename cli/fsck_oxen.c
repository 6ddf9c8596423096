/* SPDX-License-Identifier: MIT */
/*
 * fsck --oxen: a repository of Oxen, or a bare version store. Exit codes are fsck's: 1 repaired, 4 problems left, 8
 * something could not be checked or repaired, added up. Notes (temps) change nothing.
 */
#include <string.h>

#include <oxenlite/foreign.h>

#include "fsck.h"

struct run {
        struct cli *c;
        uint64_t left, repaired, unreadable;
};

static int show(void *ctx, const struct oxl_finding *f, struct oxl_error *err)
{
        struct run *s = ctx;

        if (f->problem == OXL_P_UNREADABLE)
                s->unreadable++;
        else if (f->repaired)
                s->repaired++;
        else if (oxl_problem_severity(f->problem) > OXL_SEVERITY_NOTE)
                s->left++;
        fsck_show(s->c, f);
        return cli_go_on(s->c, err);
}

static void end_json(struct cli *c, const struct oxl_oxen_result *done, int status)
{
        struct oxl_json *o = oxl_json_object(), *checked = oxl_json_object(), *oxen = oxl_json_object();

        oxl_json_set_u64(checked, "files", done->blobs);
        oxl_json_set_u64(checked, "bytes", done->bytes);
        oxl_json_set_u64(checked, "objects", done->blobs);
        oxl_json_set_u64(checked, "commits", 0); /* they are in Oxen's databases */
        oxl_json_set_u64(checked, "refs", 0);
        oxl_json_set_u64(checked, "unreachable", 0);
        oxl_json_set_u64(checked, "unreadable", done->unreadable);
        oxl_json_set_u64(oxen, "blobs", done->blobs);
        oxl_json_set_u64(oxen, "unverifiable", done->unverifiable);
        oxl_json_set_u64(oxen, "temps", done->temps);
        oxl_json_set_u64(oxen, "temp_bytes", done->temp_bytes);
        oxl_json_set_u64(oxen, "quarantined", done->quarantined);
        oxl_json_set_u64(oxen, "healed", done->healed);
        oxl_json_set_bool(oxen, "over_budget", done->over_budget);
        if (done->quarantine)
                oxl_json_set_name(oxen, "quarantine", done->quarantine, strlen(done->quarantine));
        oxl_json_set_string(o, "result", fsck_result_text(status));
        oxl_json_set(o, "checked", checked);
        oxl_json_set(o, "oxen", oxen);
        json_rows_end(c);
        json_members(c, o);
}

static void out_count(struct cli *c, uint64_t n, const char *text)
{
        if (n)
                out(c, ", %llu %s", (unsigned long long)n, text);
}

static void end_text(const struct run *s, const struct oxl_oxen_result *done, int status)
{
        struct cli *c = s->c;
        char size[SIZE_TEXT], temps[SIZE_TEXT];

        if (c->quiet)
                return;
        out(c, "checked %llu version%s (%s): ", (unsigned long long)done->blobs, plural(done->blobs),
            size_text(done->bytes, size));
        out_colour(c, status & ~FSCK_REPAIRED ? COLOUR_BAD : COLOUR_GOOD);
        out(c, "%s", fsck_result_text(status));
        out_colour(c, COLOUR_NONE);
        out_count(c, s->repaired, "repaired");
        out_count(c, s->left, s->left == 1 ? "problem left" : "problems left");
        out_count(c, done->unverifiable, "known but not verifiable");
        if (status & FSCK_UNCHECKED)
                out(c, ", not everything could be read");
        if (done->temps)
                out(c, ", %llu temporary file%s (%s)", (unsigned long long)done->temps, plural(done->temps),
                    size_text(done->temp_bytes, temps));
        out(c, "\n");
        if (done->over_budget)
                out(c,
                    "nothing was repaired: more than 5 items and 1 %% of the versions are damaged; look at the disk, then "
                    "add --force\n");
        if (done->quarantine) {
                out(c, "what was damaged is kept in ");
                out_name(c, done->quarantine);
                out(c, "\n");
        }
}

int fsck_oxen(struct cli *c, int argc, char **argv, struct oxl_error *err)
{
        struct oxl_oxen_options options = {
                .repair = cli_has(c, OPT_REPAIR),
                .force = cli_has(c, OPT_FORCE),
                .from = cli_value(c, OPT_FROM),
                .state = cli_value(c, OPT_STATE),
                .cancel = c->repo_options.cancel,
                .progress = c->repo_options.progress,
                .ctx = c->repo_options.ctx,
        };
        struct oxl_oxen_result done = { 0 };
        struct run s = { .c = c };

        (void)argc, (void)argv;
        if (cli_has(c, OPT_QUICK))
                return cli_usage(c, err, "--quick and --oxen do not go together");
        if (!options.repair && (options.from || options.state || options.force))
                return cli_usage(c, err, "--from, --state and --force need --repair");
        if (c->json)
                json_rows(c, "findings");
        int r = oxl_oxen_check(cli_value(c, OPT_OXEN), &options, show, &s, &done, err);
        progress_erase(c);
        int status = (s.repaired ? FSCK_REPAIRED : 0) | (s.left ? FSCK_LEFT : 0) | (s.unreadable ? FSCK_UNCHECKED : 0);
        c->exit = status; /* also when it did not run to its end */
        if (r == 0 && c->json)
                end_json(c, &done, status);
        else if (r == 0)
                end_text(&s, &done, status);
        oxl_oxen_result_done(&done);
        return r;
}
