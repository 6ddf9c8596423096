/* SPDX-License-Identifier: MIT */
/* Findings about an Oxen store: made and counted in one place. An id hashes the slug and the path, nothing that differs from
 * run to run. */
#include <string.h>

#include "base/hex.h"
#include "base/path.h"
#include "foreign/oxen.h"

int oxl_oxen_poll(const struct oxl_oxen *x, struct oxl_error *err)
{
        if (x->options->cancel && atomic_load_explicit(x->options->cancel, memory_order_relaxed))
                return OXL_FAIL_PLAIN(err, CANCELLED);
        return 0;
}

int oxl_oxen_shown(const struct oxl_oxen *x, const char *path, char **ret, struct oxl_error *err)
{
        return oxl_path_join(x->shown, path, ret, err);
}

static void make_id(const struct oxl_oxen_report *r, char ret[17])
{
        const char *parts[] = { oxl_problem_slug(r->problem), r->path };
        struct oxl_hasher h;
        struct oxl_digest d;
        oxl_hasher_init(&h, OXL_ALGO_BLAKE3);
        for (size_t i = 0; i < OXL_ARRAY_LEN(parts); i++)
                oxl_hasher_update(&h, parts[i], strlen(parts[i]) + 1);
        oxl_hasher_final(&h, &d);
        oxl_hex_encode(d.bytes, 8, ret);
}

static void text_of(const struct oxl_digest *d, bool block, char ret[OXL_DIGEST_TEXT_MAX])
{
        ret[0] = 0;
        if (!d || d->algo == OXL_ALGO_NONE)
                return;
        if (block)
                oxl_hex_encode(d->bytes, 16, ret);
        else
                oxl_digest_text(d, ret);
}

int oxl_oxen_report(struct oxl_oxen *x, const struct oxl_oxen_report *r, struct oxl_error *err)
{
        char id[17], want[OXL_DIGEST_TEXT_MAX], got[OXL_DIGEST_TEXT_MAX];
        make_id(r, id);
        text_of(r->want, r->block, want);
        text_of(r->got, r->block, got);
        if (r->problem == OXL_P_UNREADABLE)
                x->result.unreadable++;
        if (oxl_problem_severity(r->problem) > OXL_SEVERITY_NOTE)
                x->result.findings++;
        const struct oxl_finding f = {
                .problem = r->problem,
                .id = id,
                .path = r->path,
                .object = want[0] ? want : NULL,
                .verdict = r->verdict ? r->verdict : "",
                .expected = want,
                .actual = got,
                .detail = r->detail ? r->detail : "",
                .os = r->os,
                .repaired = r->repaired,
        };
        return x->fn ? x->fn(x->fn_ctx, &f, err) : 0;
}

int oxl_oxen_unreadable(struct oxl_oxen *x, const char *path, const struct oxl_error *why, struct oxl_error *err)
{
        char text[512];
        if (why->code == OXL_E_CANCELLED)
                return oxl_error_copy(err, why);
        oxl_error_text(why, text, sizeof text);
        struct oxl_oxen_report r = { .problem = OXL_P_UNREADABLE,
                                     .path = path,
                                     .verdict = "unreadable",
                                     .detail = text,
                                     .os = why->code == OXL_E_NOMEM ? ENOMEM : why->os };
        return oxl_oxen_report(x, &r, err);
}
