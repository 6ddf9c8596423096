/* SPDX-License-Identifier: MIT */
/* why: everything that keeps an object or a path, and where it is stored. */
#include <string.h>

#include <oxenlite/tools.h>

#include "cli.h"

static const char *const kinds[] = {
        [OXL_WHY_REF] = "ref",
        [OXL_WHY_COMMITS] = "commits",
        [OXL_WHY_CHILD] = "child",
        [OXL_WHY_INDEX] = "index",
        [OXL_WHY_OPERATION] = "operation",
        [OXL_WHY_INTENT] = "intent",
        [OXL_WHY_QUARANTINE] = "quarantine",
        [OXL_WHY_TRASH] = "trash",
        [OXL_WHY_PACK] = "pack",
        [OXL_WHY_LOOSE] = "loose",
};

static void set_json(struct oxl_json *o, const struct oxl_why_item *i)
{
        oxl_json_set_string(o, "kind", kinds[i->kind]);
        if (i->name)
                oxl_json_set_string(o, "name", i->name);
        if (i->path)
                oxl_json_set_name(o, "path", i->path, strlen(i->path));
        oxl_json_set_digest(o, "id", &i->id);
        if (i->first.algo)
                oxl_json_set_digest(o, "first", &i->first);
        if (i->last.algo)
                oxl_json_set_digest(o, "last", &i->last);
        if (i->number)
                oxl_json_set_i64(o, "number", i->number);
        if (i->kind == OXL_WHY_COMMITS)
                oxl_json_set_u64(o, "count", i->count);
        if (i->kind == OXL_WHY_PACK || i->kind == OXL_WHY_TRASH)
                oxl_json_set_u64(o, "offset", i->offset);
        if (i->kind == OXL_WHY_PACK || i->kind == OXL_WHY_LOOSE || i->kind == OXL_WHY_TRASH)
                oxl_json_set_u64(o, "size", i->size);
}

static void out_place(struct cli *c, const struct oxl_why_item *i)
{
        char size[SIZE_TEXT];
        out(c, i->kind == OXL_WHY_TRASH ? "in trash: " : "stored in ");
        out_name(c, i->path);
        if (i->kind == OXL_WHY_PACK || i->offset)
                out(c, " at byte %llu", (unsigned long long)i->offset);
        out(c, ", %s\n", size_text(i->size, size));
}

static void out_commits(struct cli *c, const struct oxl_why_item *i)
{
        char a[OXL_DIGEST_TEXT_MAX], b[OXL_DIGEST_TEXT_MAX];
        if (i->count == 1)
                out(c, "commit %s:", digest_short(&i->last, a));
        else
                out(c, "%llu commits %s..%s:", (unsigned long long)i->count, digest_short(&i->last, a),
                    digest_short(&i->first, b));
        out_name(c, *i->path ? i->path : "(its tree)");
        out(c, "\n");
}

static int show_item(void *ctx, const struct oxl_why_item *i, struct oxl_error *err)
{
        struct cli *c = ctx;
        char id[OXL_DIGEST_TEXT_MAX];

        if (c->json) {
                struct oxl_json *o = oxl_json_object();
                set_json(o, i);
                json_row(c, o);
                return cli_go_on(c, err);
        }
        progress_erase(c);
        switch (i->kind) {
        case OXL_WHY_REF:
                out_name(c, i->name);
                out(c, " leads to it, at commit %s\n", digest_short(&i->id, id));
                break;
        case OXL_WHY_COMMITS: out_commits(c, i); break;
        case OXL_WHY_CHILD: out(c, "parent of commit %s\n", digest_short(&i->first, id)); break;
        case OXL_WHY_INDEX:
                out(c, "%s: ", i->name);
                out_name(c, *i->path ? i->path : "(the whole tree)");
                out(c, "\n");
                break;
        case OXL_WHY_OPERATION: out(c, "operation %lld (%s) keeps it\n", (long long)i->number, i->name); break;
        case OXL_WHY_INTENT:
                out(c, "open operation %lld (%s): oxen-lite recover\n", (long long)i->number, i->name);
                break;
        case OXL_WHY_QUARANTINE:
                out(c, "in quarantine: ");
                out_name(c, i->path);
                out(c, "\n");
                break;
        case OXL_WHY_TRASH:
        case OXL_WHY_PACK:
        case OXL_WHY_LOOSE: out_place(c, i); break;
        }
        return cli_go_on(c, err);
}

static void say_end(struct cli *c, const struct oxl_why_result *done)
{
        const char *object = done->object == 'b'   ? "blob"
                             : done->object == 't' ? "tree"
                             : done->object == 'c' ? "commit"
                                                   : "path";
        char id[OXL_DIGEST_TEXT_MAX];

        if (c->json) {
                struct oxl_json *o = oxl_json_object();
                oxl_json_set_string(o, "object", object);
                if (done->object == 'p')
                        oxl_json_set_name(o, "path", done->path, strlen(done->path));
                oxl_json_set_digest(o, "id", &done->id);
                oxl_json_set_u64(o, "commits", done->commits);
                oxl_json_set_u64(o, "runs", done->runs);
                oxl_json_set_u64(o, "copies", done->copies);
                oxl_json_set_bool(o, "kept", done->kept);
                json_members(c, o);
                return;
        }
        if (done->runs > OXL_WHY_COMMITS_MAX)
                out(c, "and %llu more runs of commits\n", (unsigned long long)done->runs - OXL_WHY_COMMITS_MAX);
        if (c->quiet)
                return;
        oxl_digest_text(&done->id, id);
        out(c, "%s ", object);
        out_name(c, done->object == 'p' ? done->path : id);
        out(c, ": %s; %llu cop%s stored\n",
            done->kept ? "kept by the above" : "nothing keeps it: gc may put it into trash",
            (unsigned long long)done->copies, done->copies == 1 ? "y" : "ies");
}

int cmd_why(struct cli *c, int argc, char **argv, struct oxl_error *err)
{
        struct oxl_why_result done;

        (void)argc;
        if (c->json)
                json_rows(c, "reasons");
        int r = oxl_repo_why(c->repo, argv[0], show_item, c, &done, err);
        progress_erase(c);
        if (c->json)
                json_rows_end(c);
        if (r == 0)
                say_end(c, &done);
        return r;
}
