/* SPDX-License-Identifier: MIT */
/* doctor: which promises hold on this file system, in words. Exit 1 when one does not. */
#include <oxenlite/tools.h>

#include "cli.h"

struct told {
        struct cli *c;
        bool promises; /* the rows are promises by now */
};

static enum colour colour_of(enum oxl_doctor_state s)
{
        return s == OXL_DOCTOR_GOOD ? COLOUR_GOOD : s == OXL_DOCTOR_BAD ? COLOUR_BAD : COLOUR_ID;
}

static void coloured(struct cli *c, enum oxl_doctor_state s, const char *text, int width)
{
        out_colour(c, colour_of(s));
        out(c, "%-*s", width, text);
        out_colour(c, COLOUR_NONE);
}

static int tell_probe(void *ctx, const struct oxl_doctor_probe *p, struct oxl_error *err)
{
        struct told *t = ctx;
        if (t->c->json) {
                struct oxl_json *o = oxl_json_object();
                oxl_json_set_string(o, "name", p->name);
                oxl_json_set_string(o, "state", oxl_doctor_state_text(p->state));
                oxl_json_set_string(o, "about", p->about);
                json_row(t->c, o);
        } else if (!t->c->quiet) {
                out(t->c, "  %-18s", p->name);
                coloured(t->c, p->state, oxl_doctor_state_text(p->state), 8);
                out(t->c, "%s\n", p->about);
        }
        return cli_go_on(t->c, err);
}

static void begin_promises(struct told *t)
{
        struct cli *c = t->c;
        t->promises = true;
        if (c->json) {
                json_rows_end(c);
                json_rows(c, "promises");
                return;
        }
        out(c, "%s", c->quiet ? "" : "\n");
        out_colour(c, COLOUR_BOLD);
        out(c, "Promises here:");
        out_colour(c, COLOUR_NONE);
        out(c, "\n");
}

static int tell_promise(void *ctx, const struct oxl_doctor_promise *p, struct oxl_error *err)
{
        static const char *const verdicts[] = {
                [OXL_DOCTOR_GOOD] = "holds",
                [OXL_DOCTOR_WITHOUT] = "holds, with a limit",
                [OXL_DOCTOR_BAD] = "does not hold",
                [OXL_DOCTOR_UNKNOWN] = "not known",
        };
        struct told *t = ctx;
        struct cli *c = t->c;
        if (!t->promises)
                begin_promises(t);
        if (c->json) {
                struct oxl_json *o = oxl_json_object();
                oxl_json_set_int(o, "number", p->number);
                oxl_json_set_string(o, "promise", p->promise);
                oxl_json_set_string(o, "state", oxl_doctor_state_text(p->state));
                oxl_json_set_string(o, "because", p->because);
                json_row(c, o);
                return cli_go_on(c, err);
        }
        if (p->number)
                out(c, "  %2d  ", p->number);
        else
                out(c, "      ");
        coloured(c, p->state, verdicts[p->state], 0);
        out(c, ": %s\n", p->promise);
        if (*p->because)
                out(c, "      %s%s\n", p->state == OXL_DOCTOR_BAD ? "because " : "", p->because);
        return cli_go_on(c, err);
}

int cmd_doctor(struct cli *c, int argc, char **argv, struct oxl_error *err)
{
        struct told t = { .c = c };
        struct oxl_doctor_result done;
        const char *dir = argc ? argv[0] : ".";

        if (c->json)
                json_rows(c, "probes");
        int r = oxl_doctor(dir, &signals_cancel, tell_probe, tell_promise, &t, &done, err);
        if (c->json) {
                json_rows_end(c);
                if (r == 0) {
                        struct oxl_json *o = oxl_json_object();
                        oxl_json_set_string(o, "file_system", done.file_system);
                        oxl_json_set_u64(o, "free_bytes", done.free_bytes);
                        oxl_json_set_u64(o, "total_bytes", done.total_bytes);
                        oxl_json_set_bool(o, "all_hold", done.bad == 0);
                        json_members(c, o);
                }
        }
        if (r < 0)
                return r;
        if (done.bad)
                c->exit = 1;
        return 0;
}
