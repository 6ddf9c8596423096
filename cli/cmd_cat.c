/* SPDX-License-Identifier: MIT */
/* cat: the bytes of a stored file or blob, as they are; the library verifies them before it hands out the first. */
#include <string.h>

#include "cli.h"

static int show(void *ctx, const void *bytes, size_t n, struct oxl_error *err)
{
        struct cli *c = ctx;

        if (c->json)
                json_text_bytes(c, bytes, n);
        else
                out_bytes(c, bytes, n);
        return cli_go_on(c, err);
}

/* REV:PATH -> its two parts. PATH counts from the root; with a leading ./ or ../ from the current folder. */
static int split(struct cli *c, const char *word, char **ret_rev, char **ret_path, struct oxl_error *err)
{
        const char *colon = strchr(word, ':'), *path = colon ? colon + 1 : NULL;

        if (!colon || colon == word || !*path)
                return cli_usage(c, err, "cat needs REV:PATH, for example HEAD:README, or the id of a blob, not '%s'",
                                 word);
        *ret_rev = strndup(word, (size_t)(colon - word));
        if (strncmp(path, "./", 2) == 0 || strncmp(path, "../", 3) == 0)
                return oxl_repo_path(c->repo, path, ret_path, err);
        *ret_path = strdup(path);
        return *ret_rev && *ret_path ? 0 : cli_error(err, OXL_E_NOMEM, 0, NULL, NULL);
}

/* Only digits: an id. Numbers of xxh3-128 are written without zeros before them, so short ones are possible. */
static bool is_id(const char *word)
{
        return *word && strspn(word, "0123456789abcdef") == strlen(word);
}

static int cat_blob(struct cli *c, const char *text, struct oxl_error *err)
{
        struct oxl_digest id;

        int r = oxl_repo_blob(c->repo, text, &id, err);
        if (r < 0)
                return r;
        if (c->json) {
                struct oxl_json *o = oxl_json_object();
                oxl_json_set_digest(o, "blob", &id);
                json_members(c, o);
                json_text(c, "content");
        }
        return oxl_repo_cat_blob(c->repo, &id, show, c, err);
}

int cmd_cat(struct cli *c, int argc, char **argv, struct oxl_error *err)
{
        cleanup_free char *rev = NULL;
        cleanup_free char *path = NULL;

        (void)argc;
        if (is_id(argv[0]))
                return cat_blob(c, argv[0], err);
        int r = split(c, argv[0], &rev, &path, err);
        if (r < 0)
                return r;
        if (!c->json)
                return oxl_repo_cat(c->repo, rev, path, show, c, err);
        struct oxl_json *o = oxl_json_object();
        oxl_json_set_name(o, "path", path, strlen(path));
        json_members(c, o);
        json_text(c, "content");
        return oxl_repo_cat(c->repo, rev, path, show, c, err);
}
