/* SPDX-License-Identifier: MIT */
/*
 * Saying what was found: one place that makes findings, counts them, and tells failures to read from damage.
 *
 * An id is stable: it hashes the slug, the path, the object and the offset, nothing that differs from run to run.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "check/pass.h"
#include "os/fdio.h"

static bool is_link_or_other_type(int os)
{
        /* what open says when something else stands in a file's place: a finding, not a failure of the medium */
        return os == ELOOP || os == ENOTDIR || os == EISDIR || os == ENXIO || os == EXDEV;
}

bool oxl_check_is_absent(const struct oxl_error *e)
{
        return (e->code == OXL_E_FILE_OPEN || e->code == OXL_E_FILE_STAT || e->code == OXL_E_DIR_OPEN) &&
               e->os == ENOENT;
}

bool oxl_check_is_fatal(const struct oxl_error *e)
{
        return e->code == OXL_E_CANCELLED;
}

bool oxl_check_is_unreadable(const struct oxl_error *e)
{
        switch ((int)e->code) {
        case OXL_E_FEATURE: /* only `format` says that we are too old; elsewhere it contradicts `format` */
                return e->path[0] && strcmp(oxl_path_base(e->path[0]), "format") == 0;
        case OXL_E_MALFORMED:
        case OXL_E_SEAL:
        case OXL_E_OBJECT_CORRUPT:
        case OXL_E_OBJECT_MISSING:
        case OXL_E_OBJECT_KIND:
        case OXL_E_LIMIT:
        case OXL_E_JOURNAL_DAMAGED: return false;
        case OXL_E_FILE_OPEN:
        case OXL_E_DIR_OPEN: return !is_link_or_other_type(e->os);
        default: return true; /* also what we do not know: it was not seen to be wrong */
        }
}

int oxl_check_poll(const struct oxl_check *c, struct oxl_error *err)
{
        if (c->options.cancel && atomic_load_explicit(c->options.cancel, memory_order_relaxed))
                return OXL_FAIL_PLAIN(err, CANCELLED);
        return 0;
}

void oxl_check_progress(const struct oxl_check *c, const char *phase)
{
        if (c->options.progress)
                c->options.progress(c->options.ctx, phase, c->result.files, 0, c->result.bytes, 0);
}

/* 16 hex digits of the hash of everything that names the finding. */
static void make_id(const struct oxl_report *r, const char *object, char ret[17])
{
        const char *const parts[] = { oxl_problem_slug(r->problem), r->path, object };
        oxl_digest_label(parts, OXL_ARRAY_LEN(parts), r->offset, ret);
}

static void text_of(const struct oxl_digest *d, const char *other, char ret[OXL_DIGEST_TEXT_MAX])
{
        ret[0] = 0;
        if (other)
                strncat(ret, other, OXL_DIGEST_TEXT_MAX - 1);
        else if (d && d->algo != OXL_ALGO_NONE)
                oxl_digest_text(d, ret);
}

/* --- what the object store could not read and got around --- */

/* Beyond these nothing is kept: that something could not be read is known by then. */
enum { UNREAD_BYTES_MAX = 64 << 10 };

/* Is @path one of the texts, every @step-th of them? */
static bool has_text(const struct oxl_buf *b, const char *path, size_t step)
{
        size_t i = 0;
        for (size_t at = 0; at < b->len; at += strlen((const char *)b->data + at) + 1, i++)
                if (i % step == 0 && strcmp((const char *)b->data + at, path) == 0)
                        return true;
        return false;
}

static void add_text(struct oxl_buf *b, const char *text)
{
        OXL_IGNORE(oxl_buf_append(b, text, strlen(text) + 1, NULL), "then it is told twice, or its pack only");
}

int oxl_check_report(struct oxl_check *c, const struct oxl_report *r, struct oxl_error *err)
{
        char id[17], object[OXL_DIGEST_TEXT_MAX], want[OXL_DIGEST_TEXT_MAX], got[OXL_DIGEST_TEXT_MAX];
        text_of(r->object, NULL, object);
        text_of(r->want, r->expected, want);
        text_of(r->got, r->actual, got);
        make_id(r, object, id);
        if (oxl_problem_severity(r->problem) == OXL_SEVERITY_NOTE)
                c->result.notes++;
        else
                c->result.findings++;
        if (r->problem == OXL_P_UNREADABLE) {
                c->result.unreadable++;
                if (c->unread[0].len <= UNREAD_BYTES_MAX && !has_text(&c->unread[0], r->path, 1))
                        add_text(&c->unread[0], r->path);
        }
        if (r->problem == OXL_P_PENDING_RECOVERY)
                c->result.pending = true;
        struct stat st = { 0 };
        bool exists = r->path[0] && oxl_fd_stat_at(c->root_fd, r->path, &st) == 0;
        const struct oxl_finding f = {
                .problem = r->problem,
                .id = id,
                .path = r->path,
                .object = object[0] ? object : NULL,
                .verdict = r->verdict ? r->verdict : "",
                .expected = want,
                .actual = got,
                .detail = r->detail ? r->detail : "",
                .affects = r->affects,
                .n_affects = r->n_affects,
                .affects_total = r->affects_total,
                .os = r->os,
                .remedy = r->remedy ? r->remedy : oxl_problem_remedy(r->problem),
                .exists = exists,
                .size = (uint64_t)st.st_size,
                .inode = (uint64_t)st.st_ino,
                .mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec,
        };
        if (c->limits.record && oxl_problem_severity(r->problem) > OXL_SEVERITY_NOTE)
                oxl_ledger_finding(c, &f);
        if (c->held.unit)
                return oxl_held_add(c, &f, err);
        return c->fn ? c->fn(c->fn_ctx, &f, err) : 0;
}

void oxl_check_hear_unread(void *ctx, const struct oxl_error *why)
{
        struct oxl_check *c = ctx;
        char text[512], os[16];
        const char *path = why->path[0] ? why->path[0] : "versions";
        if (c->unread[1].len > UNREAD_BYTES_MAX || has_text(&c->unread[1], path, 3))
                return;
        oxl_error_text(why, text, sizeof text);
        snprintf(os, sizeof os, "%d", why->os);
        add_text(&c->unread[1], path);
        add_text(&c->unread[1], text);
        add_text(&c->unread[1], os);
}

int oxl_check_tell_unread(struct oxl_check *c, struct oxl_error *err)
{
        int r = 0;
        for (size_t at = 0; r == 0 && at < c->unread[1].len;) {
                const char *path = (const char *)c->unread[1].data + at, *text = path + strlen(path) + 1;
                const char *os = text + strlen(text) + 1;
                at += strlen(path) + strlen(text) + strlen(os) + 3;
                if (has_text(&c->unread[0], path, 1))
                        continue;
                const struct oxl_report report = { .problem = OXL_P_UNREADABLE,
                                                   .path = path,
                                                   .verdict = "unreadable",
                                                   .detail = text,
                                                   .os = (int)strtol(os, NULL, 10) };
                r = oxl_check_report(c, &report, err);
        }
        oxl_buf_clear(&c->unread[1]);
        return r;
}

static int report_unreadable(struct oxl_check *c, const char *path, const struct oxl_error *why, struct oxl_error *err)
{
        char text[512];
        int os = why->os ? why->os : why->code == OXL_E_NOMEM ? ENOMEM : 0;
        oxl_error_text(why, text, sizeof text);
        struct oxl_report r = {
                .problem = OXL_P_UNREADABLE, .path = path, .verdict = "unreadable", .detail = text, .os = os
        };
        if (os == EMFILE || os == ENFILE)
                r.remedy = "raise the limit of open files (ulimit -n), then run oxen-lite fsck again";
        else if (why->code == OXL_E_LOCKED)
                r.remedy = "wait for the process that holds the lock, or end it; then run oxen-lite fsck again";
        return oxl_check_report(c, &r, err);
}

int oxl_check_report_error(struct oxl_check *c, enum oxl_problem problem, const char *path, const char *verdict,
                           const struct oxl_error *why, struct oxl_error *err)
{
        if (oxl_check_is_unreadable(why))
                return report_unreadable(c, path, why, err);
        struct oxl_report r = {
                .problem = problem,
                .path = path,
                .want = &why->want,
                .got = &why->got,
                .verdict = verdict,
                .detail = why->detail,
        };
        return oxl_check_report(c, &r, err);
}
