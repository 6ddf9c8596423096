/* SPDX-License-Identifier: MIT */
/* init: the repository is made in one step by the library, then opened to tell its id. */
#include <string.h>

#include "cli.h"

static void repo_closep(struct oxl_repo **r)
{
        oxl_repo_close(*r);
}

int cmd_init(struct cli *c, int argc, char **argv, struct oxl_error *err)
{
        const char *dir = argc ? argv[0] : ".", *hash = cli_value(c, OPT_HASH);
        enum oxl_algo algo = OXL_ALGO_BLAKE3;

        if (hash && strcmp(hash, "xxh3-128") == 0)
                algo = OXL_ALGO_XXH3_128;
        else if (hash && strcmp(hash, "blake3") != 0)
                return cli_usage(c, err, "--hash takes blake3 or xxh3-128, not '%s'", hash);
        int r = oxl_repo_init(dir, algo, err);
        if (r < 0)
                return r;
        cleanup(repo_closep) struct oxl_repo *repo = NULL;
        r = oxl_repo_open(dir, &c->repo_options, &repo, err);
        if (r < 0)
                return r;
        const char *path = oxl_repo_worktree(repo), *name = algo == OXL_ALGO_BLAKE3 ? "blake3" : "xxh3-128";
        if (c->json) {
                struct oxl_json *o = oxl_json_object();
                oxl_json_set_name(o, "path", path, strlen(path));
                oxl_json_set_string(o, "id", oxl_repo_id_text(repo));
                oxl_json_set_string(o, "hash", name);
                json_members(c, o);
        } else if (!c->quiet) {
                out(c, "made a repository in ");
                out_name(c, path);
                out(c, "\n");
        }
        return 0;
}
