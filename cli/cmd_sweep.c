/* SPDX-License-Identifier: MIT */
/*
 * sweep: removes temporary files whose writers are proven dead, and says of each why it went or stays.
 *
 * Exit 1 when something that could go could not be removed, or a folder not be listed; what is kept for want of proof is no failure.
 */
#include <stdio.h>
#include <string.h>

#include <oxenlite/sweeper.h>

#include "cli.h"

struct sweep {
        struct cli *c;
        bool dry_run;
        uint64_t before, gone; /* bytes of all temps; of those removed, or that would be */
};

static struct oxl_json *item_json(const struct oxl_sweeper_item *i, const char *failed)
{
        struct oxl_json *o = oxl_json_object();
        char owner[17] = "";

        snprintf(owner, sizeof owner, "%016llx", (unsigned long long)i->owner);
        oxl_json_set_name(o, "path", i->path, strlen(i->path));
        oxl_json_set_string(o, "proof", oxl_sweep_proof_slug(i->proof));
        oxl_json_set_bool(o, "removed", i->removed);
        oxl_json_set_string(o, "owner", i->owner ? owner : NULL);
        oxl_json_set_u64(o, "bytes", i->bytes);
        oxl_json_set_string(o, "why", i->why);
        if (failed)
                oxl_json_set_name(o, "failed", failed, strlen(failed));
        return o;
}

static void item_text(const struct sweep *s, const struct oxl_sweeper_item *i)
{
        struct cli *c = s->c;
        char size[SIZE_TEXT];
        bool goes = oxl_sweep_proof_removes(i->proof) && !i->failed;

        out_colour(c, goes ? COLOUR_GOOD : COLOUR_NONE);
        out(c, "%s", i->removed ? "removed  " : goes ? "would go " : "kept     ");
        out_colour(c, COLOUR_NONE);
        out_name(c, i->path);
        out(c, "  %s  [%s] ", size_text(i->bytes, size), oxl_sweep_proof_slug(i->proof));
        out_name(c, i->why);
        out(c, "\n");
}

static int show(void *ctx, const struct oxl_sweeper_item *i, struct oxl_error *err)
{
        struct sweep *s = ctx;
        struct cli *c = s->c;
        cleanup_free char *failed = i->failed ? errors_text(c, i->failed) : NULL;

        if (i->failed && !failed)
                return cli_error(err, OXL_E_NOMEM, 0, NULL, NULL);
        s->before += i->bytes;
        if (oxl_sweep_proof_removes(i->proof) && !i->failed)
                s->gone += i->bytes;
        if (c->json)
                json_row(c, item_json(i, failed));
        else if (!c->quiet)
                item_text(s, i);
        if (failed)
                errors_note(c, i->path, failed);
        return cli_go_on(c, err);
}

static uint64_t count(const struct oxl_sweeper_result *done, bool removes)
{
        uint64_t n = 0;

        for (int p = 0; p < OXL_SWEEP_PROOFS; p++)
                if (oxl_sweep_proof_removes((enum oxl_sweep_proof)p) == removes)
                        n += done->by_proof[p].files;
        return n;
}

static void end_json(const struct sweep *s, const struct oxl_sweeper_result *done)
{
        struct oxl_json *o = oxl_json_object(), *proofs = oxl_json_object();

        for (int p = 0; p < OXL_SWEEP_PROOFS; p++) {
                struct oxl_json *of = oxl_json_object();
                oxl_json_set_u64(of, "files", done->by_proof[p].files);
                oxl_json_set_u64(of, "bytes", done->by_proof[p].bytes);
                oxl_json_set(proofs, oxl_sweep_proof_slug((enum oxl_sweep_proof)p), of);
        }
        oxl_json_set_bool(o, "dry_run", s->dry_run);
        oxl_json_set(o, "proofs", proofs);
        oxl_json_set_u64(o, "bytes_before", s->before);
        oxl_json_set_u64(o, "bytes_after", s->before - (s->dry_run ? 0 : s->gone));
        oxl_json_set_u64(o, "bytes_waiting", s->before - s->gone);
        oxl_json_set_u64(o, "failed", done->failed);
        oxl_json_set_u64(o, "unreadable", done->unreadable);
        oxl_json_set_u64(o, "owners_removed", done->owners_removed);
        oxl_json_set_u64(o, "reserve_bytes", done->reserve_bytes);
        json_rows_end(s->c);
        json_members(s->c, o);
}

/* "removed 3 temporary files, 12 KiB of 15 KiB; kept 1 (3 KiB): 1 alive" */
static void end_text(const struct sweep *s, const struct oxl_sweeper_result *done)
{
        struct cli *c = s->c;
        char gone[SIZE_TEXT], before[SIZE_TEXT], waits[SIZE_TEXT];
        uint64_t removed = count(done, true), kept = count(done, false) + done->failed;
        const char *separator = ": ";

        if (c->quiet)
                return;
        out(c, "%s %llu temporary file%s, %s of %s", s->dry_run ? "would remove" : "removed",
            (unsigned long long)removed, plural(removed), size_text(s->gone, gone), size_text(s->before, before));
        if (kept)
                out(c, "; kept %llu, %s", (unsigned long long)kept, size_text(s->before - s->gone, waits));
        for (int p = 0; p < OXL_SWEEP_PROOFS; p++) {
                if (!done->by_proof[p].files || oxl_sweep_proof_removes((enum oxl_sweep_proof)p))
                        continue;
                out(c, "%s%llu %s", separator, (unsigned long long)done->by_proof[p].files,
                    oxl_sweep_proof_slug((enum oxl_sweep_proof)p));
                separator = ", ";
        }
        if (done->failed)
                out(c, "%s%llu that could not be removed", separator, (unsigned long long)done->failed);
        if (done->unreadable)
                out(c, "; %llu folder%s could not be listed", (unsigned long long)done->unreadable,
                    plural(done->unreadable));
        out(c, "\n");
}

int cmd_sweep(struct cli *c, int argc, char **argv, struct oxl_error *err)
{
        const struct oxl_sweeper_options options = { .dry_run = cli_has(c, OPT_DRY_RUN), .worktree = true };
        struct oxl_sweeper_result done = { 0 };
        struct sweep s = { .c = c, .dry_run = options.dry_run };
        const char *oxen = cli_value(c, OPT_OXEN);

        if (oxen && argc > 0)
                return cli_usage(c, err, "--oxen DIR and PATH do not go together");
        if (c->json)
                json_rows(c, "temps");
        int r = oxen ? oxl_sweeper_oxen(oxen, &options, c->repo_options.cancel, show, &s, &done, err)
                     : oxl_sweeper_repository(argc > 0 ? argv[0] : ".", &c->repo_options, &options, show, &s, &done,
                                              err);
        if (r < 0)
                return r;
        if (c->json)
                end_json(&s, &done);
        else
                end_text(&s, &done);
        if (done.failed || done.unreadable)
                c->exit = 1;
        return 0;
}
