/* SPDX-License-Identifier: MIT */
/* op log, undo: what was done, and taking it back. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli.h"

static const char *when_text(int64_t time_ns, enum time_form form, char buf[TIME_TEXT])
{
        time_t seconds = (time_t)(time_ns / 1000000000);
        struct tm local;
        int zone = localtime_r(&seconds, &local) ? (int)(local.tm_gmtoff / 60) : 0;

        return time_text(form, seconds, zone, buf);
}

static struct oxl_json *operation_json(const struct oxl_operation_info *op)
{
        struct oxl_json *o = oxl_json_object();
        char when[TIME_TEXT];

        oxl_json_set_i64(o, "id", op->id);
        oxl_json_set_string(o, "time", when_text(op->time_ns, TIME_ISO, when));
        oxl_json_set_string(o, "verb", op->verb);
        oxl_json_set_name(o, "note", op->note, strlen(op->note));
        oxl_json_set_string(o, "ref", op->ref);
        oxl_json_set_string(o, "old", op->old_id);
        oxl_json_set_string(o, "new", op->new_id);
        oxl_json_set_bool(o, "undoable", op->undoable);
        oxl_json_set_string(o, "state", op->state);
        oxl_json_set(o, "kept", kept_json(op->kept, op->n_kept));
        return o;
}

static void out_kept(struct cli *c, const struct oxl_operation_info *op)
{
        char id[OXL_DIGEST_TEXT_MAX];

        for (size_t i = 0; i < op->n_kept && i < KEPT_MAX; i++) {
                oxl_digest_text(&op->kept[i].id, id);
                out(c, "        kept ");
                out_name(c, op->kept[i].path);
                out(c, ": oxen-lite cat %s >FILE\n", id);
        }
        if (op->n_kept > KEPT_MAX)
                out(c, "        and kept %zu more: oxen-lite --json op log\n", op->n_kept - KEPT_MAX);
}

/* How it ended, where that is not what everybody expects. */
static void out_state(struct cli *c, const struct oxl_operation_info *op)
{
        bool ended = strcmp(op->state, "done") == 0 || strcmp(op->state, "rolled-forward") == 0;

        if (strcmp(op->state, "staged") == 0)
                out(c, "  [not ended yet: see oxen-lite status]");
        else if (!ended)
                out(c, "  [%s: it did not come to its end]", op->state);
        else if (!op->undoable)
                out(c, "  [cannot be undone]");
        out(c, "\n");
}

static int show(void *ctx, const struct oxl_operation_info *op, struct oxl_error *err)
{
        struct cli *c = ctx;
        char when[TIME_TEXT];

        if (c->json) {
                json_row(c, operation_json(op));
                return cli_go_on(c, err);
        }
        out_colour(c, COLOUR_ID);
        out(c, "%6lld", (long long)op->id);
        out_colour(c, COLOUR_NONE);
        out(c, " %s  %-14s ", when_text(op->time_ns, TIME_ISO, when), op->verb);
        out_name(c, op->note);
        if (op->ref && op->new_id)
                out(c, "  (%s %.12s)", op->ref, op->new_id);
        else if (op->ref)
                out(c, "  (%s)", op->ref);
        out_state(c, op);
        out_kept(c, op);
        return cli_go_on(c, err);
}

int cmd_op(struct cli *c, int argc, char **argv, struct oxl_error *err)
{
        const char *number = cli_value(c, OPT_NUMBER);
        uint64_t max = 0;

        if (argc < 1 || strcmp(argv[0], "log") != 0)
                return cli_usage(c, err, "op knows one thing: op log");
        if (number && (!cli_number(number, UINT64_MAX, &max) || max == 0))
                return cli_usage(c, err, "-n needs a number from 1 on, not '%s'", number);
        if (c->json)
                json_rows(c, "operations");
        return oxl_repo_operations(c->repo, max, show, c, err);
}

int cmd_undo(struct cli *c, int argc, char **argv, struct oxl_error *err)
{
        const struct oxl_undo_options options = { .force = cli_has(c, OPT_FORCE) };
        struct oxl_undo_result done = { 0 };
        uint64_t id = 0;

        if (argc > 0 && (!cli_number(argv[0], INT64_MAX, &id) || id == 0))
                return cli_usage(c, err, "'%s' is no number of an operation: see oxen-lite op log", argv[0]);
        int r = oxl_repo_undo(c->repo, (int64_t)id, &options, &done, err);
        if (r < 0)
                return r;
        if (c->json) {
                struct oxl_json *o = oxl_json_object();
                oxl_json_set_i64(o, "operation", done.id);
                oxl_json_set_string(o, "verb", done.verb);
                oxl_json_set_u64(o, "files", done.files);
                oxl_json_set_u64(o, "removed", done.removed);
                oxl_json_set_u64(o, "kept", done.kept);
                json_members(c, o);
        } else if (!c->quiet) {
                out(c, "undid operation %lld (%s)", (long long)done.id, done.verb);
                if (done.files || done.removed)
                        out(c, ": %llu file%s written, %llu removed", (unsigned long long)done.files,
                            plural(done.files), (unsigned long long)done.removed);
                out(c, "\n");
        }
        return 0;
}
