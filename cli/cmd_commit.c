/* SPDX-License-Identifier: MIT */
/*
 * commit: the line `[branch id] message` is the acknowledgement. It is printed only after the library said that the commit
 * survives a power cut, and flushed before the exit code is decided.
 */
#include <stdio.h>
#include <string.h>

#include "cli.h"

/* All -m, as paragraphs. Owned by the caller. */
static int message(struct cli *c, char **ret, struct oxl_error *err)
{
        const char *part;
        size_t pos = 0, n = 1;

        while ((part = cli_next_value(c, OPT_MESSAGE, &pos)))
                n += strlen(part) + 2;
        char *text = malloc(n), *to = text;
        if (!text)
                return cli_error(err, OXL_E_NOMEM, 0, NULL, NULL);
        *to = '\0';
        for (pos = 0; (part = cli_next_value(c, OPT_MESSAGE, &pos));)
                to += snprintf(to, n - (size_t)(to - text), "%s%s", to == text ? "" : "\n\n", part);
        *ret = text;
        return 0;
}

static void say(struct cli *c, const struct oxl_commit_result *done, char *text)
{
        char id[OXL_DIGEST_TEXT_MAX];

        if (c->json) {
                struct oxl_json *o = oxl_json_object();
                oxl_json_set_digest(o, "commit", &done->commit);
                oxl_json_set_digest(o, "tree", &done->tree);
                oxl_json_set_string(o, "branch", done->branch);
                oxl_json_set_bool(o, "first", done->first);
                oxl_json_set_u64(o, "files", done->files);
                oxl_json_set_u64(o, "bytes", done->bytes);
                json_members(c, o);
                return;
        }
        if (c->quiet)
                return;
        text[strcspn(text, "\n")] = '\0';
        out(c, "[");
        out_name(c, done->branch);
        out(c, " %s] ", digest_short(&done->commit, id));
        out_name(c, text);
        out(c, "\n");
}

int cmd_commit(struct cli *c, int argc, char **argv, struct oxl_error *err)
{
        cleanup(paths_done) struct paths paths = { 0 };
        cleanup_free char *text = NULL;
        struct oxl_commit_result done = { 0 };

        if (!cli_has(c, OPT_MESSAGE))
                return cli_usage(c, err, "commit needs a message: -m MSG");
        int r = message(c, &text, err);
        if (r < 0)
                return r;
        if (text[strspn(text, " \t\r\n")] == '\0')
                return cli_usage(c, err, "commit needs a message, and this one is empty");
        r = cli_paths(c, argc, argv, false, &paths, err);
        if (r < 0)
                return r;
        struct oxl_commit_options options = {
                .message = text,
                .all = cli_has(c, OPT_ALL),
                .allow_empty = cli_has(c, OPT_ALLOW_EMPTY),
                .paths = (const char *const *)paths.items,
                .n_paths = paths.n,
        };
        r = oxl_repo_commit(c->repo, &options, &done, err);
        if (r < 0)
                return r;
        say(c, &done, text);
        c->after = gc_after;
        return 0;
}
