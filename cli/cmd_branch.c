/* SPDX-License-Identifier: MIT */
/* branch and tag: list, create, delete. */
#include <string.h>

#include "cli.h"

struct listing {
        struct cli *c;
        const char *prefix;  /* "refs/heads/" */
        const char *current; /* short name of the branch that HEAD names; NULL: none, or tags */
        bool seen_current;
};

static void show_ref(struct listing *l, const char *name, const struct oxl_digest *id)
{
        struct cli *c = l->c;
        bool current = l->current && strcmp(name, l->current) == 0;
        char text[OXL_DIGEST_TEXT_MAX];

        l->seen_current = l->seen_current || current;
        if (c->json) {
                struct oxl_json *o = oxl_json_object();
                oxl_json_set_string(o, "name", name);
                oxl_json_set_digest(o, "commit", id);
                if (strcmp(l->prefix, "refs/heads/") == 0)
                        oxl_json_set_bool(o, "current", current);
                json_row(c, o);
                return;
        }
        if (strcmp(l->prefix, "refs/heads/") == 0)
                out(c, "%s ", current ? "*" : " ");
        out_colour(c, current ? COLOUR_GOOD : COLOUR_NONE);
        out_name(c, name);
        out_colour(c, COLOUR_NONE);
        out(c, " %s\n", id->algo ? digest_short(id, text) : "(no commits yet)");
}

static int list_ref(void *ctx, const char *name, const struct oxl_digest *id, struct oxl_error *err)
{
        struct listing *l = ctx;

        if (strncmp(name, l->prefix, strlen(l->prefix)) == 0)
                show_ref(l, name + strlen(l->prefix), id);
        return cli_go_on(l->c, err);
}

static int list(struct cli *c, const char *prefix, const char *key, bool branches, struct oxl_error *err)
{
        cleanup(oxl_head_done) struct oxl_head head = { 0 };
        struct listing l = { .c = c, .prefix = prefix };

        if (c->json)
                json_rows(c, key);
        int r = branches ? oxl_repo_head(c->repo, &head, err) : 0;
        if (r < 0)
                return r;
        l.current = head.branch;
        if (branches && !head.branch && !c->json) {
                char text[OXL_DIGEST_TEXT_MAX];
                out(c, "* (HEAD is no branch) %s\n", digest_short(&head.commit, text));
        }
        r = oxl_repo_refs(c->repo, list_ref, &l, err);
        if (r >= 0 && l.current && !l.seen_current)
                show_ref(&l, l.current, &head.commit);
        return r;
}

static void say(struct cli *c, const char *what, const char *key, const char *done, const char *name,
                const struct oxl_digest *id)
{
        char text[OXL_DIGEST_TEXT_MAX];

        if (c->json) {
                struct oxl_json *o = oxl_json_object();
                oxl_json_set_string(o, key, name);
                oxl_json_set_string(o, "action", done);
                oxl_json_set_digest(o, "commit", id);
                json_members(c, o);
        } else if (!c->quiet) {
                out(c, "%s %s ", done, what);
                out_name(c, name);
                out(c, strcmp(done, "deleted") == 0 ? " (was %s)\n" : " at %s\n", digest_short(id, text));
        }
}

int cmd_branch(struct cli *c, int argc, char **argv, struct oxl_error *err)
{
        struct oxl_digest id = OXL_DIGEST_INIT;
        bool delete = cli_has(c, OPT_DELETE);

        if (argc == 0 && delete)
                return cli_usage(c, err, "branch -d needs a NAME");
        if (argc == 0)
                return list(c, "refs/heads/", "branches", true, err);
        int r = delete ? oxl_repo_branch_delete(c->repo, argv[0], &id, err)
                       : oxl_repo_branch_create(c->repo, argv[0], NULL, &id, err);
        if (r == 0)
                say(c, "branch", "branch", delete ? "deleted" : "created", argv[0], &id);
        return r;
}

int cmd_tag(struct cli *c, int argc, char **argv, struct oxl_error *err)
{
        struct oxl_digest id = OXL_DIGEST_INIT;
        bool delete = cli_has(c, OPT_DELETE);

        if (delete &&argc != 1)
                return cli_usage(c, err, "tag -d needs a NAME, and nothing else");
        if (argc == 0)
                return list(c, "refs/tags/", "tags", false, err);
        int r = delete ? oxl_repo_tag_delete(c->repo, argv[0], &id, err)
                       : oxl_repo_tag_create(c->repo, argv[0], argc > 1 ? argv[1] : NULL, &id, err);
        if (r == 0)
                say(c, "tag", "tag", delete ? "deleted" : "created", argv[0], &id);
        return r;
}
