/* SPDX-License-Identifier: MIT */
/* add: stages paths; all of them or, when one cannot be stored, none. */
#include "cli.h"

static void say(struct cli *c, const struct oxl_add_result *a)
{
        char size[SIZE_TEXT];

        if (a->files == 0 && a->removed == 0)
                out(c, "nothing to stage: %llu file%s as before\n", (unsigned long long)a->unchanged,
                    plural(a->unchanged));
        else
                out(c, "staged %llu file%s, %llu removed; stored %llu new content%s, %s\n",
                    (unsigned long long)a->files, plural(a->files), (unsigned long long)a->removed,
                    (unsigned long long)a->stored, plural(a->stored), size_text(a->stored_bytes, size));
        if (a->healed)
                out(c, "healed %llu damaged stored content%s\n", (unsigned long long)a->healed, plural(a->healed));
}

int cmd_add(struct cli *c, int argc, char **argv, struct oxl_error *err)
{
        struct oxl_add_options options = { .all = cli_has(c, OPT_ALL), .force = cli_has(c, OPT_FORCE) };
        cleanup(paths_done) struct paths paths = { 0 };
        struct oxl_add_result a = { 0 };

        if (argc == 0 && !options.all)
                return cli_usage(c, err, "add needs a PATH, or -A for everything");
        int r = cli_paths(c, argc, argv, true, &paths, err);
        if (r < 0)
                return r;
        r = oxl_repo_add(c->repo, (const char *const *)paths.items, paths.n, &options, &a, err);
        if (r < 0)
                return r;
        c->after = gc_after;
        if (c->json) {
                struct oxl_json *o = oxl_json_object();
                oxl_json_set_u64(o, "staged", a.files);
                oxl_json_set_u64(o, "removed", a.removed);
                oxl_json_set_u64(o, "unchanged", a.unchanged);
                oxl_json_set_u64(o, "stored", a.stored);
                oxl_json_set_u64(o, "bytes", a.stored_bytes);
                oxl_json_set_u64(o, "healed", a.healed);
                json_members(c, o);
        } else if (!c->quiet) {
                say(c, &a);
        }
        return 0;
}
