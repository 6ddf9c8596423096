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
        const char *const parts[] = { oxl_problem_slug(r->problem), r->path, "" };
        oxl_digest_label(parts, OXL_ARRAY_LEN(parts), 0, ret);
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

/* What is at the path of a finding, as it is now. */
static bool stat_shown(const struct oxl_oxen *x, const char *path, struct stat *ret)
{
        size_t n = x->shown ? strlen(x->shown) : 0;
        bool below = x->store_fd >= 0 && x->shown && strncmp(path, x->shown, n) == 0 &&
                     (n == 0 || path[n] == '/' || !path[n]);
        if (!below)
                return x->repo_fd >= 0 && path[0] && oxl_fd_stat_at(x->repo_fd, path, ret) == 0;
        path += n + (n > 0 && path[n] == '/');
        return *path && oxl_fd_stat_at(x->store_fd, path, ret) == 0;
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
        struct stat now = { 0 };
        bool exists = r->st || stat_shown(x, r->path, &now);
        const struct stat *st = r->st ? r->st : &now;
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
                .remedy = r->remedy ? r->remedy : oxl_problem_remedy(r->problem),
                .repaired = r->repaired,
                .exists = exists,
                .size = (uint64_t)st->st_size,
                .inode = (uint64_t)st->st_ino,
                .mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec,
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
        if (r.os == EMFILE || r.os == ENFILE)
                r.remedy = "raise the limit of open files (ulimit -n), then run oxen-lite fsck again";
        return oxl_oxen_report(x, &r, err);
}
