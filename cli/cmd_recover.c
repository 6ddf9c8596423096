/* SPDX-License-Identifier: MIT */
/* recover: ends what dead processes left open. Each outcome is said by recovered_show(), as for every writing command. */
#include "cli.h"

int cmd_recover(struct cli *c, int argc, char **argv, struct oxl_error *err)
{
        uint64_t count = 0;

        (void)argc, (void)argv;
        if (c->json)
                c->recovered = oxl_json_array(); /* there also when empty */
        int r = oxl_repo_recover(c->repo, &count, err);
        if (r < 0 || c->json || c->quiet)
                return r;
        if (count)
                out(c, "recovered %llu interrupted operation%s\n", (unsigned long long)count, plural(count));
        else
                out(c, "nothing to recover\n");
        return 0;
}
