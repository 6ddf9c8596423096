/* SPDX-License-Identifier: MIT */
/* version: of the program, and of the repository format that it writes. */
#include "cli.h"

enum { FORMAT_VERSION = 1 };

int cmd_version(struct cli *c, int argc, char **argv, struct oxl_error *err)
{
        (void)argc, (void)argv, (void)err;
        if (!c->json) {
                out(c, "oxen-lite %s (repository format %d)\n", OXL_VERSION, FORMAT_VERSION);
                return 0;
        }
        struct oxl_json *o = oxl_json_object();
        oxl_json_set_string(o, "version", OXL_VERSION);
        oxl_json_set_int(o, "format", FORMAT_VERSION);
        json_members(c, o);
        return 0;
}
