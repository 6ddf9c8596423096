/* SPDX-License-Identifier: MIT */
/* log: commits along first parents, newest first. */
#include "cli.h"

struct rows {
        struct cli *c;
        bool any;
};

static int show(void *ctx, const struct oxl_commit_info *info, struct oxl_error *err)
{
        struct rows *rows = ctx;

        if (rows->c->json) {
                json_row(rows->c, json_commit(info));
        } else {
                out(rows->c, "%s", rows->any ? "\n" : "");
                out_commit(rows->c, info);
        }
        rows->any = true;
        return cli_go_on(rows->c, err);
}

int cmd_log(struct cli *c, int argc, char **argv, struct oxl_error *err)
{
        const char *number = cli_value(c, OPT_NUMBER);
        struct rows rows = { .c = c };
        uint64_t max = 0;

        if (number && (!cli_number(number, INT64_MAX, &max) || max == 0))
                return cli_usage(c, err, "-n takes a number from 1, not '%s'", number);
        if (c->json)
                json_rows(c, "commits");
        return oxl_repo_log(c->repo, argc ? argv[0] : NULL, max, show, &rows, err);
}
