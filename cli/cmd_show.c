/* SPDX-License-Identifier: MIT */
/* show: one commit, and what it changed against its first parent (the first commit: against nothing). */
#include <string.h>

#include <oxenlite/tools.h>

#include "cli.h"

struct shown {
        struct cli *c;
        struct oxl_digest parent;
};

static int show_commit(void *ctx, const struct oxl_commit_info *info, struct oxl_error *err)
{
        struct shown *s = ctx;

        if (info->n_parents > 0)
                s->parent = info->parents[0];
        if (s->c->json) {
                struct oxl_json *o = oxl_json_object();
                oxl_json_set(o, "commit", json_commit(info));
                json_members(s->c, o);
        } else {
                out_commit(s->c, info);
                out(s->c, "\n");
        }
        return cli_go_on(s->c, err);
}

static int show_change(void *ctx, const struct oxl_ls_item *old, const struct oxl_ls_item *new_, struct oxl_error *err)
{
        static const struct oxl_digest none = OXL_DIGEST_INIT;
        struct shown *s = ctx;
        struct cli *c = s->c;
        const char *status = old->kind == 'a' ? "A" : new_->kind == 'a' ? "D" : "M";
        const struct oxl_ls_item *item = new_->kind == 'a' ? old : new_;

        if (c->json) {
                struct oxl_json *o = oxl_json_object();
                oxl_json_set_string(o, "status", status);
                oxl_json_set_name(o, "path", item->path, strlen(item->path));
                oxl_json_set_string(o, "kind", kind_text(item->kind));
                oxl_json_set_u64(o, "size", item->size);
                oxl_json_set_digest(o, "old", old->kind == 'a' ? &none : &old->id);
                oxl_json_set_digest(o, "new", new_->kind == 'a' ? &none : &new_->id);
                json_row(c, o);
        } else {
                out_colour(c, *status == 'D' ? COLOUR_BAD : *status == 'A' ? COLOUR_GOOD : COLOUR_ID);
                out(c, "%s", status);
                out_colour(c, COLOUR_NONE);
                out(c, " ");
                out_name(c, item->path);
                out(c, "\n");
        }
        return cli_go_on(c, err);
}

/* --- show --verify --- */

static int show_damage(void *ctx, const char *path, const struct oxl_error *why, struct oxl_error *err)
{
        struct cli *c = ctx;
        cleanup_free char *text = errors_text(c, why);

        if (c->json) {
                struct oxl_json *o = oxl_json_object();
                oxl_json_set_name(o, "path", path, strlen(path));
                oxl_json_set_string(o, "code", errors_slug(c, why));
                oxl_json_set_string(o, "message", text);
                json_row(c, o);
                return cli_go_on(c, err);
        }
        progress_erase(c);
        out_colour(c, COLOUR_BAD);
        out(c, "damaged");
        out_colour(c, COLOUR_NONE);
        out(c, " ");
        out_name(c, *path ? path : "the commit, or its tree");
        out(c, ": %s\n", text ? text : "out of memory");
        return cli_go_on(c, err);
}

static void say_verified(struct cli *c, const struct oxl_verify_result *done)
{
        char size[SIZE_TEXT];

        if (c->json) {
                struct oxl_json *o = oxl_json_object();
                oxl_json_set_bool(o, "good", done->damaged == 0);
                oxl_json_set_u64(o, "files", done->files);
                oxl_json_set_u64(o, "bytes", done->bytes);
                oxl_json_set_u64(o, "folders", done->trees);
                json_members(c, o);
                return;
        }
        if (done->damaged)
                return;
        out_colour(c, COLOUR_GOOD);
        out(c, "good");
        out_colour(c, COLOUR_NONE);
        out(c, ": the commit, %llu folder%s, %llu file%s (%s) hash to their names\n", (unsigned long long)done->trees,
            plural(done->trees), (unsigned long long)done->files, plural(done->files), size_text(done->bytes, size));
}

static int verify(struct cli *c, const char *rev, struct oxl_error *err)
{
        struct oxl_verify_result done;
        cleanup_error struct oxl_error first = OXL_ERROR_INIT;

        if (c->json)
                json_rows(c, "damaged");
        int r = oxl_repo_verify(c->repo, rev, show_damage, c, &done, &first, err);
        progress_erase(c);
        if (c->json)
                json_rows_end(c);
        if (r < 0)
                return r;
        say_verified(c, &done);
        if (done.damaged == 0)
                return 0;
        r = -(int)first.code;
        oxl_error_move(err, &first);
        return r;
}

int cmd_show(struct cli *c, int argc, char **argv, struct oxl_error *err)
{
        const char *rev = argc ? argv[0] : "HEAD";
        struct shown s = { .c = c, .parent = OXL_DIGEST_INIT };
        struct oxl_digest id;
        char text[OXL_DIGEST_TEXT_MAX];

        int r = oxl_repo_resolve(c->repo, rev, &id, err);
        if (r < 0)
                return r;
        if (cli_has(c, OPT_VERIFY)) {
                oxl_digest_text(&id, text);
                r = oxl_repo_log(c->repo, text, 1, show_commit, &s, err);
                return r < 0 ? r : verify(c, text, err);
        }
        oxl_digest_text(&id, text); /* a writer may move the branch between the two steps */
        r = oxl_repo_log(c->repo, text, 1, show_commit, &s, err);
        if (r < 0)
                return r;
        if (c->json)
                json_rows(c, "changes");
        return oxl_repo_diff(c->repo, &s.parent, &id, show_change, &s, err);
}
