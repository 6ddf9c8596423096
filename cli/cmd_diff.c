/* SPDX-License-Identifier: MIT */
/* diff: names, sizes and kinds of what differs. */
#include <string.h>

#include "cli.h"

static struct oxl_json *side_json(char kind, uint64_t size, const struct oxl_digest *id)
{
        struct oxl_json *o = oxl_json_object();

        oxl_json_set_string(o, "kind", kind_text(kind));
        oxl_json_set_u64(o, "size", size);
        oxl_json_set_digest(o, "id", id);
        return o;
}

static void show_text(struct cli *c, const struct oxl_difference_item *item)
{
        char old[SIZE_TEXT], new_[SIZE_TEXT];

        out_colour(c, item->what == OXL_DIFF_DELETED ? COLOUR_BAD
                      : item->what == OXL_DIFF_ADDED ? COLOUR_GOOD
                                                     : COLOUR_ID);
        out(c, "%c", (char)item->what);
        out_colour(c, COLOUR_NONE);
        out(c, " ");
        out_name(c, item->path);
        (void)size_text(item->old_size, old);
        (void)size_text(item->new_size, new_);
        switch (item->what) {
        case OXL_DIFF_ADDED: out(c, " %s\n", new_); break;
        case OXL_DIFF_DELETED: out(c, " %s\n", old); break;
        case OXL_DIFF_MODIFIED: out(c, " %s -> %s\n", old, new_); break;
        case OXL_DIFF_KIND:
        case OXL_DIFF_EXECUTABLE: out(c, " %s -> %s\n", kind_text(item->old_kind), kind_text(item->new_kind)); break;
        }
}

static int show(void *ctx, const struct oxl_difference_item *item, struct oxl_error *err)
{
        struct cli *c = ctx;
        char what[2] = { (char)item->what, '\0' };

        if (c->json) {
                struct oxl_json *o = oxl_json_object();
                oxl_json_set_string(o, "status", what);
                oxl_json_set_name(o, "path", item->path, strlen(item->path));
                oxl_json_set(o, "old",
                             item->old_kind == 'a' ? oxl_json_string(NULL)
                                                   : side_json(item->old_kind, item->old_size, &item->old_id));
                oxl_json_set(o, "new",
                             item->new_kind == 'a' ? oxl_json_string(NULL)
                                                   : side_json(item->new_kind, item->new_size, &item->new_id));
                json_row(c, o);
        } else {
                show_text(c, item);
        }
        return cli_go_on(c, err);
}

int cmd_diff(struct cli *c, int argc, char **argv, struct oxl_error *err)
{
        bool staged = cli_has(c, OPT_STAGED) || cli_has(c, OPT_CACHED);

        if (staged && argc > 1)
                return cli_usage(c, err, "diff --staged takes one REV: what is staged is the other side");
        if (c->json)
                json_rows(c, "differences");
        if (staged)
                return oxl_repo_differences_staged(c->repo, argc > 0 ? argv[0] : NULL, show, c, err);
        return oxl_repo_differences(c->repo, argc > 0 ? argv[0] : NULL, argc > 1 ? argv[1] : NULL, show, c, err);
}
