/* SPDX-License-Identifier: MIT */
/* restore: brings files back, into the working tree or below another directory. */
#include <string.h>

#include "cli.h"

static void say(struct cli *c, const struct oxl_restore_result *done, const char *to)
{
        char size[SIZE_TEXT];

        if (c->json) {
                struct oxl_json *o = oxl_json_object();
                oxl_json_set_u64(o, "files", done->files);
                oxl_json_set_u64(o, "bytes", done->bytes);
                oxl_json_set_u64(o, "unchanged", done->unchanged);
                oxl_json_set_u64(o, "kept", done->kept);
                if (to)
                        oxl_json_set_name(o, "to", to, strlen(to));
                else
                        oxl_json_set_string(o, "to", NULL);
                json_members(c, o);
                return;
        }
        if (c->quiet)
                return;
        out(c, "restored %llu file%s, %s; %llu were as they should be\n", (unsigned long long)done->files,
            plural(done->files), size_text(done->bytes, size), (unsigned long long)done->unchanged);
        if (done->kept)
                out(c, "kept the content of %llu overwritten file%s in the store\n", (unsigned long long)done->kept,
                    plural(done->kept));
}

static int unstage(struct cli *c, const struct paths *paths, const struct oxl_restore_options *o, struct oxl_error *err)
{
        uint64_t files = 0;

        int r = oxl_repo_restore_staged(c->repo, (const char *const *)paths->items, paths->n, o->source, &files, err);
        if (r < 0)
                return r;
        if (c->json) {
                struct oxl_json *j = oxl_json_object();
                oxl_json_set_u64(j, "unstaged", files);
                json_members(c, j);
        } else if (!c->quiet) {
                out(c, "%llu path%s no longer staged\n", (unsigned long long)files, files == 1 ? " is" : "s are");
        }
        return 0;
}

int cmd_restore(struct cli *c, int argc, char **argv, struct oxl_error *err)
{
        struct oxl_restore_options options = {
                .source = cli_value(c, OPT_SOURCE),
                .to = cli_value(c, OPT_TO),
                .force = cli_has(c, OPT_FORCE),
        };
        cleanup(paths_done) struct paths paths = { 0 };
        struct oxl_restore_result done = { 0 };

        if (argc == 0 && !options.to)
                return cli_usage(c, err, "restore needs a PATH; '.' means everything here");
        if (cli_has(c, OPT_STAGED) && (options.to || options.force))
                return cli_usage(c, err, "--staged changes no files: it goes with neither --to nor --force");
        if (options.to && !*options.to)
                return cli_usage(c, err, "--to needs a folder");
        int r = cli_paths(c, argc, argv, true, &paths, err);
        if (r < 0)
                return r;
        if (cli_has(c, OPT_STAGED))
                return unstage(c, &paths, &options, err);
        r = oxl_repo_restore(c->repo, (const char *const *)paths.items, paths.n, &options, &done, err);
        if (r < 0)
                return r;
        say(c, &done, options.to);
        return 0;
}
