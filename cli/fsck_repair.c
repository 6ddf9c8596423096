/* SPDX-License-Identifier: MIT */
/*
 * fsck --repair, --apply, --undo, --purge-quarantine. What was found is shown as fsck shows it, then what became of it.
 * Exit codes, added up: 1 something was repaired, 4 problems are left, 8 something could not be checked or repaired.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <oxenlite/repair.h>

#include "fsck.h"

enum { PLAN_MAX = 256 << 20, PLAN_PIECE = 1 << 16 };

struct repair {
        struct cli *c;
        bool items; /* the rows of "findings" have ended */
        int found;  /* exit bits for what was shown, when it does not run to its end */
};

static const char *verdict_text(enum oxl_repair_verdict v)
{
        switch (v) {
        case OXL_REPAIR_HEALED: return "healed";
        case OXL_REPAIR_REBUILT: return "rebuilt";
        case OXL_REPAIR_LEFT: return "left";
        case OXL_REPAIR_STALE: return "stale";
        case OXL_REPAIR_PROPOSED: return "proposed";
        }
        return "left";
}

static int show_finding(void *ctx, const struct oxl_finding *f, struct oxl_error *err)
{
        struct repair *r = ctx;
        r->found |= f->problem == OXL_P_UNREADABLE ? FSCK_UNCHECKED : FSCK_LEFT;
        fsck_show(r->c, f);
        return cli_go_on(r->c, err);
}

static void begin_items(struct repair *r)
{
        if (r->items)
                return;
        r->items = true;
        if (r->c->json) {
                json_rows_end(r->c);
                json_rows(r->c, "repairs");
        }
}

static void item_json(struct cli *c, const struct oxl_repair_item *item)
{
        struct oxl_json *o = oxl_json_object();

        oxl_json_set_string(o, "finding", item->finding_id);
        oxl_json_set_string(o, "slug", item->slug);
        oxl_json_set_name(o, "path", item->path, strlen(item->path));
        oxl_json_set_string(o, "verdict", verdict_text(item->verdict));
        oxl_json_set_name(o, "source", item->source, strlen(item->source));
        oxl_json_set_name(o, "detail", item->detail, strlen(item->detail));
        json_row(c, o);
}

static void item_text(struct cli *c, const struct oxl_repair_item *item)
{
        bool good = item->verdict == OXL_REPAIR_HEALED || item->verdict == OXL_REPAIR_REBUILT;

        out_colour(c, good ? COLOUR_GOOD : COLOUR_BAD);
        out(c, "%s:", verdict_text(item->verdict));
        out_colour(c, COLOUR_NONE);
        out(c, " '");
        out_name(c, item->path);
        out(c, "' [%s]", item->slug);
        if (*item->source) {
                out(c, " from ");
                out_name(c, item->source);
        }
        if (*item->detail) {
                out(c, ": ");
                out_name(c, item->detail);
        }
        out(c, "\n");
}

static int show_item(void *ctx, const struct oxl_repair_item *item, struct oxl_error *err)
{
        struct repair *r = ctx;

        (void)err; /* what was done is said to the end, also when nobody waits for it any more */
        progress_erase(r->c);
        begin_items(r);
        if (r->c->json)
                item_json(r->c, item);
        else
                item_text(r->c, item);
        return 0;
}

/* --- --repair, --apply --- */

static int status_of(const struct oxl_repair_result *done)
{
        uint64_t left = done->after.findings - done->after.unreadable;
        int status = done->healed + done->rebuilt > 0 ? FSCK_REPAIRED : 0;

        if (left || done->after.pending || done->proposed || done->stale || done->over_budget || done->memory_suspect)
                status |= FSCK_LEFT;
        if (done->before.unreadable || done->after.unreadable || done->failed)
                status |= FSCK_UNCHECKED;
        return status;
}

static void end_json(struct repair *r, const struct oxl_repair_result *done, int status)
{
        struct oxl_json *o = oxl_json_object();

        begin_items(r);
        json_rows_end(r->c);
        oxl_json_set_string(o, "result", fsck_result_text(status));
        oxl_json_set(o, "checked", fsck_checked_json(&done->after));
        oxl_json_set_string(o, "quarantine", done->quarantine[0] ? done->quarantine : NULL);
        oxl_json_set_bool(o, "over_budget", done->over_budget);
        oxl_json_set_bool(o, "memory_suspect", done->memory_suspect);
        json_members(r->c, o);
}

static void end_text(struct repair *r, const struct oxl_repair_result *done, int status)
{
        struct cli *c = r->c;

        if (c->quiet)
                return;
        out(c, "%llu healed, %llu rebuilt, %llu left, %llu proposed, %llu stale: ", (unsigned long long)done->healed,
            (unsigned long long)done->rebuilt, (unsigned long long)done->left, (unsigned long long)done->proposed,
            (unsigned long long)done->stale);
        out_colour(c, status & (FSCK_LEFT | FSCK_UNCHECKED) ? COLOUR_BAD : COLOUR_GOOD);
        out(c, "%s\n", fsck_result_text(status));
        out_colour(c, COLOUR_NONE);
        if (done->over_budget)
                out(c,
                    "nothing was repaired: more than 5 items and 1 %% of the files are damaged; look at the disk, then "
                    "add --force\n");
        if (done->memory_suspect)
                out(c, "a file was read differently each time: check the memory of this machine\n");
        if (done->quarantine[0])
                out(c, "what was replaced is kept: oxen-lite fsck --undo %s puts it back\n", done->quarantine);
}

static int read_plan(const char *name, char **ret, size_t *ret_n, struct oxl_error *err)
{
        bool standard = strcmp(name, "-") == 0;
        const char *shown = standard ? "standard input" : name;
        FILE *f = standard ? stdin : fopen(name, "re");
        char *text = NULL;
        size_t n = 0, cap = 0, got = 1;
        int r = f ? 0 : cli_error(err, OXL_E_FILE_OPEN, errno, shown, NULL);

        while (r == 0 && got > 0) {
                if (n + PLAN_PIECE > cap) {
                        cap = 2 * cap + PLAN_PIECE;
                        char *grown = cap > PLAN_MAX ? NULL : realloc(text, cap);
                        if (!grown) {
                                enum oxl_code code = cap > PLAN_MAX ? OXL_E_LIMIT : OXL_E_NOMEM;
                                r = cli_error(err, code, 0, shown, "it is too long for a plan");
                                break;
                        }
                        text = grown;
                }
                got = fread(text + n, 1, PLAN_PIECE, f);
                n += got;
        }
        if (r == 0 && ferror(f))
                r = cli_error(err, OXL_E_FILE_READ, errno ? errno : EIO, shown, NULL);
        if (f && !standard)
                (void)fclose(f); /* only read */
        if (r < 0) {
                free(text);
                return r;
        }
        *ret = text;
        *ret_n = n;
        return 0;
}

static int list_from(struct cli *c, const char ***ret, size_t *ret_n, struct oxl_error *err)
{
        size_t n = 0, pos = 0;
        const char **from = calloc(c->n_values + 1, sizeof *from);

        if (!from)
                return cli_error(err, OXL_E_NOMEM, 0, NULL, NULL);
        for (const char *dir; (dir = cli_next_value(c, OPT_FROM, &pos));) {
                if (access(dir, R_OK | X_OK) < 0) {
                        free(from);
                        return cli_error(err, OXL_E_DIR_OPEN, errno, dir, NULL);
                }
                from[n++] = dir;
        }
        *ret = from;
        *ret_n = n;
        return 0;
}

static int repair(struct cli *c, struct oxl_error *err)
{
        struct repair r = { .c = c };
        struct oxl_repair_options options = { .force = cli_has(c, OPT_FORCE) };
        struct oxl_repair_result done = { .quarantine = "" };
        cleanup_free char *plan = NULL;
        cleanup_free const char **from = NULL;
        int e = list_from(c, &from, &options.n_from, err);

        if (e == 0 && cli_has(c, OPT_APPLY))
                e = read_plan(cli_value(c, OPT_APPLY), &plan, &options.plan_bytes, err);
        if (e < 0)
                return e;
        options.from = from;
        options.plan = plan;
        if (c->json)
                json_rows(c, "findings");
        e = oxl_repair_run(".", &c->repo_options, &options, show_finding, show_item, &r, &done, err);
        progress_erase(c);
        if (e == -OXL_E_INVALID && plan) {
                char text[256];
                oxl_error_text(err, text, sizeof text);
                return cli_usage(c, err, "%s", text);
        }
        c->exit = e < 0 ? r.found : status_of(&done);
        if (e < 0)
                return e;
        if (c->json)
                end_json(&r, &done, c->exit);
        else
                end_text(&r, &done, c->exit);
        return 0;
}

/* --- --undo --- */

static int undo(struct cli *c, struct oxl_error *err)
{
        struct repair r = { .c = c, .items = true };

        if (c->json)
                json_rows(c, "repairs");
        int e = oxl_repair_undo(".", &c->repo_options, cli_value(c, OPT_UNDO), cli_has(c, OPT_FORCE), show_item, &r,
                                err);
        if (e < 0 || !c->json)
                return e;
        json_rows_end(c);
        return 0;
}

/* --- --purge-quarantine --- */

struct seen { /* an entry as it was listed, owned */
        char *id, *path;
        uint64_t bytes;
        bool only_copy;
};

struct purge {
        struct cli *c;
        struct seen *seen;
        size_t n, cap, next; /* next: behind the last one that was met again */
        uint64_t bytes;
};

static void purge_done(struct purge *p)
{
        for (size_t i = 0; i < p->n; i++) {
                free(p->seen[i].id);
                free(p->seen[i].path);
        }
        free(p->seen);
}

static int remember(struct purge *p, const struct oxl_quarantine_entry *e, struct oxl_error *err)
{
        if (p->n == p->cap) {
                size_t cap = 2 * p->cap + 16;
                struct seen *seen = reallocarray(p->seen, cap, sizeof *seen);
                if (!seen)
                        return cli_error(err, OXL_E_NOMEM, 0, NULL, NULL);
                p->seen = seen;
                p->cap = cap;
        }
        struct seen *s = &p->seen[p->n++];
        *s = (struct seen){ strdup(e->id), strdup(e->path), e->bytes, e->only_copy };
        p->bytes += e->bytes;
        return s->id && s->path ? 0 : cli_error(err, OXL_E_NOMEM, 0, NULL, NULL);
}

/* Only what the person saw is deleted: both lists have the same order, and entries may only be gone meanwhile. */
static int meet_again(void *ctx, const struct oxl_quarantine_entry *e, struct oxl_error *err)
{
        struct purge *p = ctx;

        while (p->next < p->n) {
                const struct seen *s = &p->seen[p->next++];
                if (strcmp(s->id, e->id) == 0 && strcmp(s->path, e->path) == 0 && s->bytes == e->bytes &&
                    (s->only_copy || !e->only_copy))
                        return cli_go_on(p->c, err);
        }
        return cli_error(err, OXL_E_QUARANTINE_CHANGED, 0, e->path, NULL);
}

static int show_entry(void *ctx, const struct oxl_quarantine_entry *e, struct oxl_error *err)
{
        struct purge *p = ctx;
        char size[SIZE_TEXT];

        int r = remember(p, e, err);
        if (r < 0)
                return r;
        if (p->c->json) {
                struct oxl_json *o = oxl_json_object();
                oxl_json_set_string(o, "id", e->id);
                oxl_json_set_name(o, "path", e->path, strlen(e->path));
                oxl_json_set_u64(o, "bytes", e->bytes);
                oxl_json_set_bool(o, "only_copy", e->only_copy);
                json_row(p->c, o);
                return cli_go_on(p->c, err);
        }
        out(p->c, "%s  %s  ", e->id, size_text(e->bytes, size));
        out_name(p->c, e->path);
        out(p->c, "%s\n", e->only_copy ? "  (no good copy is in the store)" : "");
        return cli_go_on(p->c, err);
}

/* On a terminal a person decides; elsewhere only --force does. */
static int ask(struct cli *c, const struct purge *p, struct oxl_error *err)
{
        char answer[16] = "", size[SIZE_TEXT];

        if (cli_has(c, OPT_FORCE))
                return 0;
        if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
                return cli_usage(c, err, "--purge-quarantine deletes for good: add --force where nobody can be asked");
        int r = out_end(c, err);
        if (r < 0)
                return r;
        fprintf(stderr, "delete %llu file%s (%s) for good? [y/N] ", (unsigned long long)p->n, plural(p->n),
                size_text(p->bytes, size));
        if (!fgets(answer, sizeof answer, stdin) || (answer[0] != 'y' && answer[0] != 'Y'))
                return cli_error(err, OXL_E_CANCELLED, 0, NULL, NULL);
        return 0;
}

static int purge(struct cli *c, struct oxl_error *err)
{
        cleanup(purge_done) struct purge p = { .c = c };

        if (c->json)
                json_rows(c, "quarantine");
        int r = oxl_quarantine_list(".", &c->repo_options, false, show_entry, &p, err);
        if (c->json)
                json_rows_end(c);
        if (r < 0)
                return r;
        if (p.n == 0) {
                if (!c->json && !c->quiet)
                        out(c, "quarantine is empty\n");
                return 0;
        }
        r = ask(c, &p, err);
        if (r == 0)
                r = oxl_quarantine_list(".", &c->repo_options, true, meet_again, &p, err);
        if (r == 0 && !c->json && !c->quiet)
                out(c, "deleted %llu file%s\n", (unsigned long long)p.n, plural(p.n));
        return r;
}

/* --- which --- */

bool fsck_repair_wanted(const struct cli *c)
{
        return cli_has(c, OPT_REPAIR) || cli_has(c, OPT_APPLY) || cli_has(c, OPT_UNDO) || cli_has(c, OPT_PURGE) ||
               cli_has(c, OPT_FROM) || cli_has(c, OPT_FORCE);
}

int fsck_repair(struct cli *c, int argc, char **argv, struct oxl_error *err)
{
        int n = (cli_has(c, OPT_REPAIR) || cli_has(c, OPT_APPLY)) + cli_has(c, OPT_UNDO) + cli_has(c, OPT_PURGE);

        (void)argc, (void)argv;
        if (n != 1)
                return cli_usage(c, err,
                                 n ? "one of --repair, --undo and --purge-quarantine at a time"
                                   : "--from and --force belong to --repair, --apply, --undo or --purge-quarantine");
        if (cli_has(c, OPT_FROM) && !cli_has(c, OPT_REPAIR) && !cli_has(c, OPT_APPLY))
                return cli_usage(c, err, "--from belongs to --repair or --apply");
        if (fsck_limited(c))
                return cli_usage(c, err, "a repair checks everything: leave out what limits the check");
        if (cli_has(c, OPT_UNDO))
                return undo(c, err);
        return cli_has(c, OPT_PURGE) ? purge(c, err) : repair(c, err);
}
