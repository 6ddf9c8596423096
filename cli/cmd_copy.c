/* SPDX-License-Identifier: MIT */
/* copy: the repository, again, in another folder: backup and clone. */
#include <string.h>

#include <oxenlite/tools.h>

#include "cli.h"

static void say_json(struct cli *c, const char *dest, const struct oxl_copy_result *done)
{
        struct oxl_json *o = oxl_json_object();
        oxl_json_set_name(o, "to", dest, strlen(dest));
        oxl_json_set_bool(o, "created", done->created);
        oxl_json_set_u64(o, "files", done->files);
        oxl_json_set_u64(o, "bytes", done->bytes);
        oxl_json_set_u64(o, "found", done->found);
        oxl_json_set_u64(o, "found_bytes", done->found_bytes);
        oxl_json_set_u64(o, "healed", done->healed);
        oxl_json_set_u64(o, "rescued", done->rescued);
        oxl_json_set_u64(o, "damaged", done->damaged);
        oxl_json_set_u64(o, "refs", done->refs);
        oxl_json_set_u64(o, "refs_unmoved", done->refs_unmoved);
        oxl_json_set_string(o, "head", done->head[0] ? done->head : NULL);
        oxl_json_set_digest(o, "commit", &done->commit);
        json_members(c, o);
}

static void say(struct cli *c, const char *dest, const struct oxl_copy_result *done, bool whole)
{
        char size[SIZE_TEXT], id[OXL_DIGEST_TEXT_MAX];

        if (c->json) {
                say_json(c, dest, done);
                return;
        }
        if (c->quiet)
                return;
        out(c, whole || !done->damaged ? "copied to " : "copied what is good to ");
        out_name(c, dest);
        out(c, ": %llu file%s written (%s), %llu there already%s\n", (unsigned long long)done->files,
            plural(done->files), size_text(done->bytes, size), (unsigned long long)done->found,
            cli_has(c, OPT_QUICK) ? " (not read)" : "");
        if (done->healed)
                out(c, "healed %llu damaged file%s of the copy\n", (unsigned long long)done->healed,
                    plural(done->healed));
        if (done->rescued)
                out(c, "saved %llu object%s out of damaged files here\n", (unsigned long long)done->rescued,
                    plural(done->rescued));
        out(c, "%llu branch%s or tag%s moved", (unsigned long long)done->refs, done->refs == 1 ? "" : "es",
            plural(done->refs));
        if (done->refs_unmoved)
                out(c, ", %llu left alone", (unsigned long long)done->refs_unmoved);
        if (done->head[0]) {
                out(c, "; HEAD is ");
                out_name(c, done->head);
        }
        if (done->head[0] && done->commit.algo)
                out(c, " (%s)", digest_short(&done->commit, id));
        out(c, "\n");
        if (done->created && done->commit.algo) {
                out(c, "its files: oxen-lite -C ");
                out_name(c, dest);
                out(c, " restore .\n");
        }
}

int cmd_copy(struct cli *c, int argc, char **argv, struct oxl_error *err)
{
        const struct oxl_copy_options options = { .force = cli_has(c, OPT_FORCE), .quick = cli_has(c, OPT_QUICK) };
        struct oxl_copy_result done;

        (void)argc;
        int r = oxl_repo_copy(c->repo, argv[0], &options, &done, err);
        progress_erase(c);
        if (r == 0 || done.finished)
                say(c, argv[0], &done, r == 0);
        return r;
}
