/* SPDX-License-Identifier: MIT */
/*
 * Exactly one JSON document on stdout, whatever happens: begun by the first member, streamed row by row, closed by
 * json_end(), which also adds "recovered" and "error". So a reader that got a whole document knows how the command ended.
 */
#include <string.h>

#include "cli.h"

static void begin(struct cli *c)
{
        if (c->js.begun)
                return;
        c->js.begun = true;
        out(c, "{\"schema\":\"oxen-lite.%s/1\"", c->command ? c->command->name : "error");
}

/* Prints and frees @j. A lack of memory counts as a failed write: the document would be wrong. */
static void print(struct cli *c, struct oxl_json *j, bool members_only)
{
        cleanup_free char *text = NULL;
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        int r = oxl_json_print(j, &text, &err);

        oxl_json_free(j);
        if (r < 0) {
                if (!c->out_errno)
                        c->out_errno = err.os ? err.os : 12; /* ENOMEM */
                return;
        }
        size_t n = strlen(text);
        if (!members_only)
                out_bytes(c, text, n);
        else if (n > 2) { /* not {} */
                out(c, ",");
                out_bytes(c, text + 1, n - 2);
        }
}

void json_members(struct cli *c, struct oxl_json *object)
{
        begin(c);
        print(c, object, true);
}

void json_rows(struct cli *c, const char *key)
{
        begin(c);
        out(c, ",\"%s\":[", key);
        c->js.in_rows = true;
        c->js.has_row = false;
}

void json_row(struct cli *c, struct oxl_json *row)
{
        out(c, "%s", c->js.has_row ? ",\n" : "\n");
        c->js.has_row = true;
        print(c, row, false);
}

void json_rows_end(struct cli *c)
{
        if (c->js.in_rows)
                out(c, "]");
        c->js.in_rows = false;
}

/* --- base64 -------------------------------------------------------------------------------------------------------------- */

void json_text(struct cli *c, const char *key)
{
        begin(c);
        out(c, ",\"%s\":\"", key);
        c->js.in_text = true;
        c->js.carry_n = 0;
}

static void encode(const unsigned char in[3], unsigned n, char ret[4])
{
        static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        unsigned v = (unsigned)in[0] << 16 | (n > 1 ? (unsigned)in[1] << 8 : 0) | (n > 2 ? in[2] : 0u);
        ret[0] = digits[v >> 18];
        ret[1] = digits[v >> 12 & 63];
        ret[2] = n > 1 ? digits[v >> 6 & 63] : '=';
        ret[3] = n > 2 ? digits[v & 63] : '=';
}

void json_text_bytes(struct cli *c, const unsigned char *bytes, size_t n)
{
        char group[4];

        for (size_t i = 0; i < n; i++) {
                c->js.carry[c->js.carry_n++] = bytes[i];
                if (c->js.carry_n < 3)
                        continue;
                encode(c->js.carry, 3, group);
                out_bytes(c, group, sizeof group);
                c->js.carry_n = 0;
        }
}

void json_text_end(struct cli *c)
{
        char group[4];

        if (!c->js.in_text)
                return;
        if (c->js.carry_n > 0) {
                encode(c->js.carry, c->js.carry_n, group);
                out_bytes(c, group, sizeof group);
        }
        out(c, "\"");
        c->js.in_text = false;
        c->js.carry_n = 0;
}

/* --- the end ------------------------------------------------------------------------------------------------------------- */

static struct oxl_json *paths_json(const struct oxl_error *err)
{
        struct oxl_json *paths = oxl_json_array();

        for (size_t i = 0; i < ARRAY_LEN(err->path); i++)
                if (err->path[i])
                        oxl_json_append(paths, oxl_json_name(err->path[i], strlen(err->path[i])));
        return paths;
}

static struct oxl_json *error_json(const struct cli *c, const struct oxl_error *err)
{
        struct oxl_json *e = oxl_json_object();
        cleanup_free char *text = errors_text(c, err);

        oxl_json_set_string(e, "code", errors_slug(c, err));
        /* It may quote a name that is not UTF-8: the same rule as for names. */
        oxl_json_set_name(e, "message", text ? text : "", text ? strlen(text) : 0);
        oxl_json_set(e, "paths", paths_json(err));
        oxl_json_set_string(e, "errno", err->os ? strerrorname_np(err->os) : NULL);
        if (err->want.algo)
                oxl_json_set_digest(e, "expected", &err->want);
        if (err->got.algo)
                oxl_json_set_digest(e, "actual", &err->got);
        return e;
}

void json_end(struct cli *c, const struct oxl_error *err)
{
        begin(c);
        json_text_end(c);
        json_rows_end(c);
        if (c->recovered) {
                struct oxl_json *o = oxl_json_object();
                oxl_json_set(o, "recovered", c->recovered);
                c->recovered = NULL;
                json_members(c, o);
        }
        if (err) {
                struct oxl_json *o = oxl_json_object();
                oxl_json_set(o, "error", error_json(c, err));
                json_members(c, o);
        }
        out(c, "}\n");
}
