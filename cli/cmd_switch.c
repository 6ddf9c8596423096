/* SPDX-License-Identifier: MIT */
/* switch: another branch, or a commit, in the working tree. */
#include "cli.h"

static void say(struct cli *c, const char *name, const struct oxl_switch_result *done)
{
        char id[OXL_DIGEST_TEXT_MAX];

        if (c->json) {
                struct oxl_json *o = oxl_json_object();
                oxl_json_set_string(o, "branch", done->branch[0] ? done->branch : NULL);
                oxl_json_set_digest(o, "commit", &done->commit);
                oxl_json_set_u64(o, "files", done->files);
                oxl_json_set_u64(o, "bytes", done->bytes);
                oxl_json_set_u64(o, "removed", done->removed);
                oxl_json_set_u64(o, "kept", done->kept);
                oxl_json_set_bool(o, "already", done->already);
                json_members(c, o);
                return;
        }
        if (c->quiet)
                return;
        out(c, done->already ? "already on " : "switched to ");
        out_name(c, done->branch[0] ? done->branch : name);
        if (done->commit.algo)
                out(c, " (%s)", digest_short(&done->commit, id));
        if (!done->already)
                out(c, ": %llu file%s written, %llu removed", (unsigned long long)done->files, plural(done->files),
                    (unsigned long long)done->removed);
        out(c, "\n");
        if (done->kept)
                out(c, "kept %llu changed content%s in the store\n", (unsigned long long)done->kept,
                    plural(done->kept));
}

int cmd_switch(struct cli *c, int argc, char **argv, struct oxl_error *err)
{
        struct oxl_switch_options options = { .create = cli_has(c, OPT_CREATE), .force = cli_has(c, OPT_FORCE) };
        struct oxl_switch_result done = { 0 };

        (void)argc;
        int r = oxl_repo_switch(c->repo, argv[0], &options, &done, err);
        if (r == 0)
                say(c, argv[0], &done);
        return r;
}
