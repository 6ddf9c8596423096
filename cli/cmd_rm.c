/* SPDX-License-Identifier: MIT */
/* rm: tracked files leave the index and the working tree. */
#include "cli.h"

int cmd_rm(struct cli *c, int argc, char **argv, struct oxl_error *err)
{
        struct oxl_rm_options options = { .cached = cli_has(c, OPT_CACHED) };
        cleanup(paths_done) struct paths paths = { 0 };
        struct oxl_rm_result done = { 0 };

        int r = cli_paths(c, argc, argv, false, &paths, err);
        if (r == 0)
                r = oxl_repo_rm(c->repo, (const char *const *)paths.items, paths.n, &options, &done, err);
        if (r < 0)
                return r;
        if (c->json) {
                struct oxl_json *o = oxl_json_object();
                oxl_json_set_u64(o, "files", done.files);
                oxl_json_set_u64(o, "removed", done.removed);
                oxl_json_set_u64(o, "kept", done.kept);
                json_members(c, o);
        } else if (!c->quiet) {
                out(c, "staged the removal of %llu file%s; removed %llu from the working tree\n",
                    (unsigned long long)done.files, plural(done.files), (unsigned long long)done.removed);
                if (done.kept)
                        out(c, "kept the content of %llu changed file%s in the store\n", (unsigned long long)done.kept,
                            plural(done.kept));
        }
        return 0;
}
