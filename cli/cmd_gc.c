/* SPDX-License-Identifier: MIT */
/*
 * gc: puts aside what nothing refers to, merges small packs; --undo brings back, --empty-trash deletes what was put aside.
 *
 * Exit 1 when packs had to be left alone because they are damaged.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <oxenlite/gc.h>

#include "cli.h"

struct gc {
        struct cli *c;
        bool dry_run;
        struct oxl_gc_count seen; /* of what is listed */
        char **ids;               /* runs that were listed; owned */
        size_t n_ids;
};

static void gc_done(struct gc *g)
{
        for (size_t i = 0; i < g->n_ids; i++)
                free(g->ids[i]);
        free(g->ids);
}

/* --- rows --------------------------------------------------------------------------------------------------------- */

static void item_json(struct cli *c, const struct oxl_gc_item *i)
{
        struct oxl_json *o = oxl_json_object();

        oxl_json_set_string(o, "action", oxl_gc_action_slug(i->action));
        oxl_json_set_string(o, "trash", *i->trash ? i->trash : NULL);
        oxl_json_set_string(o, "path", i->path);
        oxl_json_set_u64(o, "bytes", i->bytes);
        oxl_json_set_u64(o, "live_bytes", i->live_bytes);
        json_row(c, o);
}

static void item_text(struct cli *c, const struct oxl_gc_item *i)
{
        char size[SIZE_TEXT];

        if (c->quiet)
                return;
        out_colour(c, i->action == OXL_GC_DAMAGED || i->action == OXL_GC_IN_WAY ? COLOUR_BAD : COLOUR_NONE);
        out(c, "%-8s ", oxl_gc_action_slug(i->action));
        out_colour(c, COLOUR_NONE);
        out_name(c, i->path);
        out(c, "  %s\n", size_text(i->bytes, size));
}

static int show(void *ctx, const struct oxl_gc_item *i, struct oxl_error *err)
{
        struct gc *g = ctx;

        progress_erase(g->c);
        if (g->c->json)
                item_json(g->c, i);
        else
                item_text(g->c, i);
        if (i->action == OXL_GC_DAMAGED)
                g->c->exit = 1;
        return cli_go_on(g->c, err);
}

static void set_count(struct oxl_json *o, const char *key, const struct oxl_gc_count *n)
{
        struct oxl_json *of = oxl_json_object();

        oxl_json_set_u64(of, "files", n->files);
        oxl_json_set_u64(of, "bytes", n->bytes);
        oxl_json_set(o, key, of);
}

/* --- gc ------------------------------------------------------------------------------------------------------------- */

static void end_json(const struct gc *g, const struct oxl_gc_result *d)
{
        struct oxl_json *o = oxl_json_object();

        json_rows_end(g->c);
        oxl_json_set_bool(o, "dry_run", g->dry_run);
        oxl_json_set_string(o, "trash", d->trash[0] ? d->trash : NULL);
        oxl_json_set_u64(o, "live", d->live);
        set_count(o, "packs", &d->packs);
        set_count(o, "blobs", &d->blobs);
        set_count(o, "rewritten", &d->rewritten);
        set_count(o, "merged", &d->merged);
        set_count(o, "written", &d->written);
        set_count(o, "dead", &d->dead);
        set_count(o, "young", &d->young);
        set_count(o, "waits", &d->waits);
        oxl_json_set_u64(o, "damaged", d->damaged);
        oxl_json_set_u64(o, "packs_before", d->packs_before);
        oxl_json_set_u64(o, "packs_after", d->packs_after);
        oxl_json_set_u64(o, "reserve_bytes", d->reserve_bytes);
        json_members(g->c, o);
}

static void say_count(struct cli *c, const char *text, const struct oxl_gc_count *n, const char *what)
{
        char size[SIZE_TEXT];

        if (n->files)
                out(c, "%s%llu %s%s, %s", text, (unsigned long long)n->files, what, plural(n->files),
                    size_text(n->bytes, size));
}

/* "moved 2 files, 12 KiB to trash 2026…; rewrote 1 pack, …; 12 KiB wait in trash: …" */
static void end_text(const struct gc *g, const struct oxl_gc_result *d)
{
        struct cli *c = g->c;
        char size[SIZE_TEXT];
        struct oxl_gc_count moved = { d->packs.files + d->blobs.files, d->packs.bytes + d->blobs.bytes };

        if (c->quiet)
                return;
        out(c, "%s %llu file%s, %s", g->dry_run ? "would move" : "moved", (unsigned long long)moved.files,
            plural(moved.files), size_text(moved.bytes, size));
        if (d->trash[0])
                out(c, " to trash %s", d->trash);
        say_count(c, g->dry_run ? "; would rewrite " : "; rewrote ", &d->rewritten, "pack");
        say_count(c, "; merged ", &d->merged, "pack");
        say_count(c, "; kept ", &d->young, "young file");
        out(c, "; %llu pack%s\n", (unsigned long long)d->packs_after, plural(d->packs_after));
        if (d->waits.files) {
                out(c, "%s wait in trash: oxen-lite gc --empty-trash frees them", size_text(d->waits.bytes, size));
                if (d->trash[0])
                        out(c, ", oxen-lite gc --undo %s brings them back", d->trash);
                out(c, "\n");
        }
        if (d->damaged)
                out(c, "%llu damaged pack%s left alone: run oxen-lite fsck\n", (unsigned long long)d->damaged,
                    d->damaged == 1 ? " was" : "s were");
}

static int collect(struct gc *g, struct oxl_error *err)
{
        const struct oxl_gc_options options = { .dry_run = g->dry_run };
        struct oxl_gc_result done;

        if (g->c->json)
                json_rows(g->c, "items");
        int r = oxl_gc_run(g->c->repo, &options, show, g, &done, err);
        progress_erase(g->c);
        if (r < 0) {
                if (err->code != OXL_E_LOCKED && err->code != OXL_E_CANCELLED && err->code != OXL_E_OUTCOME_UNKNOWN)
                        errors_note(g->c, NULL, "gc moves nothing unless it can read everything that is needed");
                return r;
        }
        if (g->c->json)
                end_json(g, &done);
        else
                end_text(g, &done);
        if (done.damaged)
                g->c->exit = 1;
        return 0;
}

/* --- --undo ------------------------------------------------------------------------------------------------------------ */

static int undo(struct gc *g, struct oxl_error *err)
{
        struct oxl_gc_count back = { 0 };
        char size[SIZE_TEXT];

        if (g->c->json)
                json_rows(g->c, "items");
        int r = oxl_gc_undo(g->c->repo, cli_value(g->c, OPT_UNDO), show, g, &back, err);
        progress_erase(g->c);
        if (r < 0)
                return r;
        if (g->c->json) {
                struct oxl_json *o = oxl_json_object();
                json_rows_end(g->c);
                set_count(o, "back", &back);
                json_members(g->c, o);
        } else if (!g->c->quiet) {
                out(g->c, "moved %llu file%s, %s back\n", (unsigned long long)back.files, plural(back.files),
                    size_text(back.bytes, size));
        }
        return 0;
}

/* --- --empty-trash ------------------------------------------------------------------------------------------------------- */

static int list_item(void *ctx, const struct oxl_gc_item *i, struct oxl_error *err)
{
        struct gc *g = ctx;
        char size[SIZE_TEXT];

        if (g->n_ids == 0 || strcmp(g->ids[g->n_ids - 1], i->trash) != 0) {
                char *id = strdup(i->trash), **ids = id ? realloc(g->ids, (g->n_ids + 1) * sizeof *ids) : NULL;
                if (!ids) {
                        free(id);
                        return cli_error(err, OXL_E_NOMEM, 0, NULL, NULL);
                }
                g->ids = ids;
                g->ids[g->n_ids++] = id;
        }
        g->seen.files++;
        g->seen.bytes += i->bytes;
        if (g->c->json) {
                item_json(g->c, i);
        } else {
                out(g->c, "%s  ", i->trash);
                out_name(g->c, i->path);
                out(g->c, "  %s\n", size_text(i->bytes, size));
        }
        return cli_go_on(g->c, err);
}

/* On a terminal a person decides; elsewhere only --force does. */
static int ask(struct gc *g, struct oxl_error *err)
{
        char answer[16] = "", size[SIZE_TEXT];

        if (cli_has(g->c, OPT_FORCE))
                return 0;
        if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
                return cli_usage(g->c, err, "--empty-trash deletes for good: add --force where nobody can be asked");
        int r = out_end(g->c, err);
        if (r < 0)
                return r;
        fprintf(stderr, "delete %llu file%s (%s) for good? [y/N] ", (unsigned long long)g->seen.files,
                plural(g->seen.files), size_text(g->seen.bytes, size));
        if (!fgets(answer, sizeof answer, stdin) || (answer[0] != 'y' && answer[0] != 'Y'))
                return cli_error(err, OXL_E_CANCELLED, 0, NULL, NULL);
        return 0;
}

static int empty_trash(struct gc *g, struct oxl_error *err)
{
        struct cli *c = g->c;
        struct oxl_gc_count freed = { 0 };
        char size[SIZE_TEXT];

        if (c->json)
                json_rows(c, "items");
        int r = oxl_trash_list(c->repo, list_item, g, err);
        if (c->json)
                json_rows_end(c);
        if (r == 0 && g->n_ids > 0)
                r = ask(g, err);
        if (r == 0 && g->n_ids > 0)
                r = oxl_trash_empty(c->repo, (const char *const *)g->ids, g->n_ids, NULL, NULL, &freed, err);
        progress_erase(c);
        if (r < 0)
                return r;
        if (c->json) {
                struct oxl_json *o = oxl_json_object();
                set_count(o, "freed", &freed);
                json_members(c, o);
        } else if (!c->quiet) {
                if (g->n_ids)
                        out(c, "freed %s: deleted %llu file%s\n", size_text(freed.bytes, size),
                            (unsigned long long)freed.files, plural(freed.files));
                else
                        out(c, "trash is empty\n");
        }
        return 0;
}

int cmd_gc(struct cli *c, int argc, char **argv, struct oxl_error *err)
{
        cleanup(gc_done) struct gc g = { .c = c, .dry_run = cli_has(c, OPT_DRY_RUN) };
        bool back = cli_has(c, OPT_UNDO), empty = cli_has(c, OPT_EMPTY_TRASH);

        (void)argc, (void)argv;
        if (g.dry_run + back + empty > 1)
                return cli_usage(c, err, "one of --dry-run, --undo and --empty-trash at a time");
        if (cli_has(c, OPT_FORCE) && !empty)
                return cli_usage(c, err, "--force belongs to --empty-trash");
        if (back)
                return undo(&g, err);
        return empty ? empty_trash(&g, err) : collect(&g, err);
}

/* Best effort, and silent: whoever comes next does what could not be done now. */
void gc_after(struct cli *c)
{
        cleanup_error struct oxl_error ignored = OXL_ERROR_INIT;
        struct oxl_gc_result done;

        if (oxl_gc_merge_some(c->repo, &done, &ignored) < 0)
                return;
}
