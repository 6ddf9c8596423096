/* SPDX-License-Identifier: MIT */
/*
 * status: what differs, in five groups. The library hands out staged differences first and then those of the working
 * tree in path order; the groups of the working tree are kept until the end, at about the length of their paths.
 *
 * A path that could not be examined is never "clean": it has its own group, and when the system refused (not merely a
 * FIFO or the like) the command fails after it has said everything.
 */
#include <string.h>

#include "cli.h"

enum group { CHANGED, REMOVED, UNTRACKED, UNREADABLE, GROUPS };

/* Strings, each with its NUL, one after the other. */
struct strings {
        char *bytes;
        size_t n, room;
};

struct status {
        struct cli *c;
        struct strings groups[GROUPS]; /* UNREADABLE: path, slug, message */
        struct oxl_error refused;      /* the first that the system refused */
        bool any_staged, any_interrupted;
};

static void status_done(struct status *s)
{
        for (size_t i = 0; i < GROUPS; i++)
                free(s->groups[i].bytes);
        oxl_error_done(&s->refused);
}

static int append(struct strings *s, const char *text, struct oxl_error *err)
{
        size_t n = strlen(text) + 1;

        if (s->room - s->n < n) {
                size_t room = s->room + s->room / 2 + n + 4096;
                char *bytes = realloc(s->bytes, room);
                if (!bytes)
                        return cli_error(err, OXL_E_NOMEM, 0, NULL, NULL);
                s->bytes = bytes;
                s->room = room;
        }
        memcpy(s->bytes + s->n, text, n);
        s->n += n;
        return 0;
}

static const char *next(const struct strings *s, size_t *pos)
{
        if (*pos >= s->n)
                return NULL;
        const char *text = s->bytes + *pos;
        *pos += strlen(text) + 1;
        return text;
}

/* --- collecting --------------------------------------------------------------------------------------------------------- */

static void head(struct cli *c, const char *title, const char *hint)
{
        out_colour(c, COLOUR_BOLD);
        out(c, "%s:", title);
        out_colour(c, COLOUR_NONE);
        out(c, "  (%s)\n", hint);
}

static void row(struct cli *c, enum colour colour, const char *word, const char *path)
{
        out(c, "  ");
        out_colour(c, colour);
        out(c, "%s", word);
        out_name(c, path);
        out_colour(c, COLOUR_NONE);
        out(c, "\n");
}

static void staged(struct status *s, const char *path, const char *change)
{
        struct cli *c = s->c;
        char word[16] = "          ";

        if (c->json) {
                struct oxl_json *o = oxl_json_object();
                oxl_json_set_name(o, "path", path, strlen(path));
                oxl_json_set_string(o, "change", change);
                json_row(c, o);
                return;
        }
        if (!s->any_staged)
                head(c, "staged", "to record: oxen-lite commit -m MSG");
        s->any_staged = true;
        memcpy(word, change, strlen(change));
        row(c, COLOUR_GOOD, word, path);
}

static int unreadable(struct status *s, const struct oxl_status_item *item, struct oxl_error *err)
{
        struct strings *to = &s->groups[UNREADABLE];
        cleanup_free char *text = errors_text(s->c, item->why);

        if (!text)
                return cli_error(err, OXL_E_NOMEM, 0, NULL, NULL);
        int r = append(to, item->path, err);
        if (r == 0)
                r = append(to, oxl_error_slug(item->why->code), err);
        if (r == 0)
                r = append(to, text, err);
        if (r == 0 && item->why->os && !s->refused.code)
                (void)cli_error(&s->refused, item->why->code, item->why->os, item->path, item->why->detail);
        return r;
}

static int collect(void *ctx, const struct oxl_status_item *item, struct oxl_error *err)
{
        struct status *s = ctx;
        int r = 0;

        switch (item->change) {
        case OXL_STAGED_ADDED: staged(s, item->path, "added"); break;
        case OXL_STAGED_MODIFIED: staged(s, item->path, "modified"); break;
        case OXL_STAGED_REMOVED: staged(s, item->path, "removed"); break;
        case OXL_CHANGED: r = append(&s->groups[CHANGED], item->path, err); break;
        case OXL_REMOVED: r = append(&s->groups[REMOVED], item->path, err); break;
        case OXL_UNTRACKED: r = append(&s->groups[UNTRACKED], item->path, err); break;
        case OXL_UNREADABLE: r = unreadable(s, item, err); break;
        }
        return r < 0 ? r : cli_go_on(s->c, err);
}

/* --- showing ---------------------------------------------------------------------------------------------------------------- */

static const struct {
        const char *key, *hint;
} titles[GROUPS] = {
        [CHANGED] = { "changed", "to stage: oxen-lite add PATH; to drop the changes: oxen-lite restore --force PATH" },
        [REMOVED] = { "removed", "to stage: oxen-lite add -A PATH; to bring back: oxen-lite restore PATH" },
        [UNTRACKED] = { "untracked", "to stage: oxen-lite add PATH" },
        [UNREADABLE] = { "unreadable", "not examined; check them, then run oxen-lite status again" },
};

static int show_json(struct status *s, enum group g, struct oxl_error *err)
{
        struct strings *from = &s->groups[g];
        const char *path;
        size_t pos = 0;
        int r = 0;

        json_rows(s->c, titles[g].key);
        while (r == 0 && (path = next(from, &pos))) {
                struct oxl_json *o = oxl_json_object();
                oxl_json_set_name(o, "path", path, strlen(path));
                if (g == UNREADABLE) {
                        oxl_json_set_string(o, "code", next(from, &pos));
                        const char *text = next(from, &pos);
                        oxl_json_set_name(o, "message", text, strlen(text));
                }
                json_row(s->c, o);
                r = cli_go_on(s->c, err);
        }
        json_rows_end(s->c);
        return r;
}

static int show(struct status *s, enum group g, struct oxl_error *err)
{
        struct strings *from = &s->groups[g];
        const char *path;
        size_t pos = 0;
        int r = 0;

        if (from->n > 0)
                head(s->c, titles[g].key, titles[g].hint);
        while (r == 0 && (path = next(from, &pos))) {
                if (g == UNREADABLE) {
                        (void)next(from, &pos); /* the slug; the message names the path */
                        path = next(from, &pos);
                }
                row(s->c, COLOUR_BAD, "", path);
                r = cli_go_on(s->c, err);
        }
        return r;
}

static int interrupted(void *ctx, const struct oxl_interrupted *i, struct oxl_error *err)
{
        struct status *s = ctx;
        struct cli *c = s->c;

        if (c->json) {
                struct oxl_json *o = oxl_json_object();
                oxl_json_set_i64(o, "intent", i->intent);
                oxl_json_set_string(o, "verb", i->verb);
                json_row(c, o);
        } else {
                if (!s->any_interrupted)
                        head(c, "interrupted",
                             "the next command that writes, or oxen-lite recover, finishes or undoes it");
                out(c, "  ");
                out_colour(c, COLOUR_BAD);
                out(c, "%s, intent %lld", i->verb, (long long)i->intent);
                out_colour(c, COLOUR_NONE);
                out(c, "\n");
        }
        s->any_interrupted = true;
        return cli_go_on(c, err);
}

/* A journal that cannot be read is told of, and no reason not to show what differs. */
static int show_interrupted(struct status *s, struct oxl_error *err)
{
        cleanup(oxl_error_done) struct oxl_error why = OXL_ERROR_INIT;

        if (s->c->json)
                json_rows(s->c, "interrupted");
        int r = oxl_repo_interrupted(s->c->repo, interrupted, s, &why);
        json_rows_end(s->c);
        if (r == 0)
                return 0;
        r = cli_go_on(s->c, err);
        cleanup_free char *text = r == 0 ? errors_text(s->c, &why) : NULL;
        if (text)
                errors_note(s->c, NULL, text);
        return r;
}

static void begin(struct cli *c, const struct oxl_head *h)
{
        if (c->json) {
                struct oxl_json *o = oxl_json_object();
                oxl_json_set_string(o, "branch", h->branch);
                oxl_json_set_digest(o, "commit", &h->commit);
                json_members(c, o);
                return;
        }
        char id[OXL_DIGEST_TEXT_MAX];
        out(c, "on ");
        if (h->branch)
                out_name(c, h->branch);
        else
                out(c, "commit %s", digest_short(&h->commit, id));
        out(c, "%s\n", h->commit.algo ? "" : ", no commits yet");
}

int cmd_status(struct cli *c, int argc, char **argv, struct oxl_error *err)
{
        cleanup(status_done) struct status s = { .c = c };
        cleanup(oxl_head_done) struct oxl_head h = { 0 };

        (void)argc, (void)argv;
        int r = oxl_repo_head(c->repo, &h, err);
        if (r < 0)
                return r;
        begin(c, &h);
        r = show_interrupted(&s, err);
        if (r < 0)
                return r;
        if (c->json)
                json_rows(c, "staged");
        r = oxl_repo_status(c->repo, collect, &s, err);
        if (r < 0)
                return r;
        json_rows_end(c);
        bool clean = !s.any_interrupted && (c->json ? !c->js.has_row : !s.any_staged);
        for (unsigned g = 0; g < GROUPS; g++) {
                r = c->json ? show_json(&s, g, err) : show(&s, g, err);
                if (r < 0)
                        return r;
                clean = clean && s.groups[g].n == 0;
        }
        if (c->json) {
                struct oxl_json *o = oxl_json_object();
                oxl_json_set_bool(o, "clean", clean);
                json_members(c, o);
        } else if (clean) {
                out(c, "clean: nothing to commit\n");
        }
        if (!s.refused.code)
                return 0;
        oxl_error_move(err, &s.refused);
        return -(int)err->code;
}
