/* SPDX-License-Identifier: MIT */
/* ls: the entries of a commit's tree. */
#include <string.h>

#include "cli.h"

static int show(void *ctx, const struct oxl_ls_item *item, struct oxl_error *err)
{
        struct cli *c = ctx;
        char id[OXL_DIGEST_TEXT_MAX];

        if (c->json) {
                struct oxl_json *o = oxl_json_object();
                oxl_json_set_name(o, "path", item->path, strlen(item->path));
                oxl_json_set_string(o, "kind", kind_text(item->kind));
                oxl_json_set_u64(o, "size", item->size);
                oxl_json_set_digest(o, "id", &item->id);
                json_row(c, o);
        } else {
                out(c, "%c %14llu ", item->kind, (unsigned long long)item->size);
                out_colour(c, COLOUR_ID);
                out(c, "%s", digest_short(&item->id, id));
                out_colour(c, COLOUR_NONE);
                out(c, " ");
                out_name(c, item->path);
                out(c, "%s\n", item->kind == 'd' ? "/" : "");
        }
        return cli_go_on(c, err);
}

/* One argument: a revision when it is one, else a path of HEAD. Only "there is no such revision" makes it a path. */
static int one_argument(struct cli *c, const char *word, const char **ret_rev, const char **ret_path,
                        struct oxl_error *err)
{
        struct oxl_digest id;

        int r = oxl_repo_resolve(c->repo, word, &id, err);
        if (r == 0) {
                *ret_rev = word;
                return 0;
        }
        if (err->code != OXL_E_REV && err->code != OXL_E_REF_NOT_FOUND && err->code != OXL_E_REF_NAME)
                return r;
        oxl_error_done(err);
        *ret_path = word;
        return 0;
}

int cmd_ls(struct cli *c, int argc, char **argv, struct oxl_error *err)
{
        const char *rev = argc == 2 ? argv[0] : "HEAD", *typed = argc == 2 ? argv[1] : NULL;
        cleanup_free char *path = NULL;
        int r = 0;

        if (argc == 1)
                r = one_argument(c, argv[0], &rev, &typed, err);
        if (r == 0 && typed)
                r = oxl_repo_path(c->repo, typed, &path, err);
        if (r < 0)
                return r;
        if (c->json)
                json_rows(c, "entries");
        return oxl_repo_ls(c->repo, rev, path ? path : "", cli_has(c, OPT_RECURSIVE), show, c, err);
}
