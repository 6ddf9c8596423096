/* SPDX-License-Identifier: MIT */
/*
 * What goes to stderr: errors with the next step, notes, and what recovery did; and the exit codes.
 *
 *   oxen-lite: cannot rename 'a' to 'b': No space left on device [file-rename]
 *     next: check permissions of the folder; the target is unchanged
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

enum { EXIT_USAGE = 2 };
enum { FSCK_UNCHECKED = 8, FSCK_USAGE = 16, FSCK_CANCELLED = 32 };

const char *errors_slug(const struct cli *c, const struct oxl_error *err)
{
        return c->usage[0] ? "usage" : oxl_error_slug(err->code);
}

char *errors_text(const struct cli *c, const struct oxl_error *err)
{
        if (c->usage[0])
                return escape_name(c->usage, true, false);
        size_t n = oxl_error_text(err, NULL, 0);
        char *text = malloc(n + 1);
        if (text)
                oxl_error_text(err, text, n + 1);
        return text;
}

static int fsck_exit(const struct cli *c, const struct oxl_error *err)
{
        if (c->usage[0])
                return FSCK_USAGE;
        return err->code == OXL_E_CANCELLED ? FSCK_CANCELLED : FSCK_UNCHECKED;
}

int errors_exit(const struct cli *c, const struct oxl_error *err)
{
        int own = c->exit > 0 ? c->exit : 0; /* fsck adds its codes up */
        if (!err->code)
                return own;
        if (c->command && (c->command->flags & COMMAND_FSCK))
                return own | fsck_exit(c, err);
        return c->usage[0] ? EXIT_USAGE : oxl_error_exit(err->code);
}

/* What an interrupted command leaves, as its header promises it. */
static const char *kept_text(const struct cli *c)
{
        static const struct {
                const char *command, *text;
        } rows[] = {
                { "add", "nothing was staged" },
                { "commit", "nothing was committed; branch and staged files are as they were" },
                { "copy", "what was copied so far is verified and stays; run it again, and it goes on from there" },
                { "gc", "nothing was deleted; what was moved so far is in trash" },
                { "recover", "what was recovered so far stays; the rest waits for the next run" },
                { "restore", "files restored so far stay, each whole; all others are as they were" },
                { "rm", "nothing was changed" },
                { "sweep", "what was removed so far is gone; nothing else was changed" },
                { "switch", "nothing was changed" },
                { "undo", "nothing was changed" },
        };
        const char *name = c->command ? c->command->name : "";

        for (size_t i = 0; i < ARRAY_LEN(rows); i++)
                if (strcmp(rows[i].command, name) == 0)
                        return rows[i].text;
        if (strcmp(name, "fsck") != 0)
                return NULL;
        if (cli_has(c, OPT_REPAIR) || cli_has(c, OPT_APPLY))
                return "what was repaired so far stays, and what it replaced is in quarantine";
        if (cli_has(c, OPT_RECORD) || cli_has(c, OPT_SINCE_DAYS) || cli_has(c, OPT_TIME_LIMIT))
                return "nothing was changed; what was verified so far is recorded";
        return "nothing was changed";
}

static void print_next(const struct cli *c, const struct oxl_error *err)
{
        if (err->code == OXL_E_FILE_WRITE && c->out_errno && err->os == c->out_errno)
                (void)fputs("  next: the output is not complete: see where it goes, and whether there is room\n",
                            stderr);
        else if (c->near[0])
                (void)fprintf(stderr, "  next: did you mean '%s'? See oxen-lite branch, and oxen-lite tag\n", c->near);
        else if (!c->usage[0])
                (void)fprintf(stderr, "  next: %s\n", oxl_error_next_step(err));
        else if (c->command)
                (void)fprintf(stderr, "  next: see oxen-lite help %s\n", c->command->name);
        else
                (void)fputs("  next: see oxen-lite help\n", stderr);
}

void errors_print(struct cli *c, const struct oxl_error *err)
{
        /* `oxen-lite log | head`: the reader has what it wanted. The exit code still says that not all was written. */
        if (err->code == OXL_E_FILE_WRITE && err->os == EPIPE && c->out_errno == EPIPE)
                return;
        progress_erase(c);
        cleanup_free char *text = errors_text(c, err);
        (void)fprintf(stderr, "%soxen-lite:%s %s [%s]\n", c->color_err ? "\033[31m" : "", c->color_err ? "\033[m" : "",
                      text ? text : "out of memory", errors_slug(c, err));
        const char *kept = err->code == OXL_E_CANCELLED ? kept_text(c) : NULL;
        if (kept)
                (void)fprintf(stderr, "  kept: %s\n", kept);
        print_next(c, err);
}

void errors_note(struct cli *c, const char *path, const char *text)
{
        if (c->quiet)
                return;
        progress_erase(c);
        cleanup_free char *name = path ? escape_name(path, true, false) : NULL;
        cleanup_free char *said = escape_name(text, true, false);
        if (name)
                (void)fprintf(stderr, "oxen-lite: '%s': %s\n", name, said ? said : "");
        else
                (void)fprintf(stderr, "oxen-lite: %s\n", said ? said : "");
}

void notice_show(void *ctx, const char *path, const char *text)
{
        errors_note(ctx, path, text);
}

struct oxl_json *kept_json(const struct oxl_kept *kept, size_t n)
{
        struct oxl_json *list = oxl_json_array();

        for (size_t i = 0; i < n; i++) {
                struct oxl_json *o = oxl_json_object();
                oxl_json_set_name(o, "path", kept[i].path, strlen(kept[i].path));
                oxl_json_set_digest(o, "blob", &kept[i].id);
                oxl_json_set_u64(o, "size", kept[i].size);
                oxl_json_append(list, o);
        }
        return list;
}

/* The row of the document; the proof is JSON already. */
static struct oxl_json *recovered_json(const struct oxl_recovered *r)
{
        struct oxl_json *row = oxl_json_object(), *proof = NULL;

        oxl_json_set_i64(row, "intent", r->intent);
        oxl_json_set_string(row, "verb", r->verb);
        oxl_json_set_string(row, "outcome", r->outcome);
        oxl_json_set_string(row, "ref", r->ref);
        oxl_json_set_digest(row, "commit", &r->commit);
        oxl_json_set_string(row, "why", r->why);
        oxl_json_set(row, "kept", kept_json(r->kept, r->n_kept));
        if (r->proof && oxl_json_parse(r->proof, strlen(r->proof), "proof", &proof, NULL) == 0)
                oxl_json_set(row, "proof", proof);
        return row;
}

/* The process that replaced them may not have come to say it. */
static void print_kept(const struct oxl_recovered *r)
{
        char id[OXL_DIGEST_TEXT_MAX];

        for (size_t i = 0; i < r->n_kept && i < KEPT_MAX; i++) {
                cleanup_free char *path = escape_name(r->kept[i].path, true, false);
                oxl_digest_text(&r->kept[i].id, id);
                (void)fprintf(stderr, "  kept: '%s' as it was: oxen-lite cat %s >FILE\n", path ? path : "", id);
        }
        if (r->n_kept > KEPT_MAX)
                (void)fprintf(stderr, "  kept: %zu more: oxen-lite --json op log\n", r->n_kept - KEPT_MAX);
}

/* Said even with --quiet: something was decided about the user's data. */
void recovered_show(void *ctx, const struct oxl_recovered *r)
{
        static const struct {
                const char *outcome, *words;
        } plain[] = {
                { "rolled-forward", "was finished" },
                { "rolled-back", "was undone" },
                { "superseded", "was set aside, because the branch has moved on" },
        };
        struct cli *c = ctx;
        const char *words = r->outcome;
        char id[OXL_DIGEST_TEXT_MAX];

        for (size_t i = 0; i < ARRAY_LEN(plain); i++)
                if (r->outcome && strcmp(plain[i].outcome, r->outcome) == 0)
                        words = plain[i].words;
        progress_erase(c);
        cleanup_free char *ref = r->ref ? escape_name(r->ref, true, false) : NULL;
        (void)fprintf(stderr, "oxen-lite: recovered: an interrupted %s%s%s%s%s %s%s%s\n", r->verb, ref ? " on " : "",
                      ref ? ref : "", r->commit.algo ? ", " : "", digest_short(&r->commit, id), words,
                      r->why ? ": " : "", r->why ? r->why : "");
        print_kept(r);
        if (!c->json)
                return;
        if (!c->recovered)
                c->recovered = oxl_json_array();
        oxl_json_append(c->recovered, recovered_json(r));
}
