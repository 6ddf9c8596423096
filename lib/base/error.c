/* SPDX-License-Identifier: MIT */
/*
 * Errors: the rows of error.def as tables, filling, moving and printing.
 *
 * Messages are templates, not printf formats: %1 and %2 are the paths, %d the detail, %w and %g the wanted and found
 * digest. Rows whose shape starts with OS_ get ": <text of errno>". Whatever came from outside (paths, details) is
 * escaped, so a file name can never move a terminal's cursor or fake a second line.
 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/hex.h"
#include "base/sink.h"

struct row {
        enum oxl_code code;
        enum oxl_error_shape shape;
        int exit_code;
        const char *slug, *text, *next;
};

static const struct row rows[] = {
#define OXL_ERR(number, code, slug, shape, exit, text, next) \
        { OXL_E_##code, OXL_SHAPE_##shape, exit, slug, text, next },
#include <oxenlite/error.def>
#undef OXL_ERR
};

static const struct row no_error = { 0, OXL_SHAPE_PLAIN, 0, "none", "no error", "nothing to do" };
static const struct row unknown = { 0, OXL_SHAPE_PLAIN, 1, "unknown", "unknown error", "report this as a bug" };

static const struct row *row_of(enum oxl_code code)
{
        if (code == 0)
                return &no_error;
        for (size_t i = 0; i < OXL_ARRAY_LEN(rows); i++)
                if (rows[i].code == code)
                        return &rows[i];
        return &unknown;
}

const char *oxl_error_slug(enum oxl_code code)
{
        return row_of(code)->slug;
}

int oxl_error_exit(enum oxl_code code)
{
        return row_of(code)->exit_code;
}

const char *oxl_error_next(enum oxl_code code)
{
        return row_of(code)->next;
}

/* What the system refused decides what helps, but where the row says more than to look there. */
static const char *next_for_os(const struct oxl_error *err)
{
        if (err->code == OXL_E_DIR_SYNC || err->code == OXL_E_DAEMON_ABSENT || err->code == OXL_E_DOCTOR_PROBE)
                return NULL;
        if (err->os == ENOSPC)
                return "the disk is full: free space there, then run the command again";
        if (err->os == EDQUOT)
                return "your quota there is used up: free space, or ask for more, then run the command again";
        if (err->os == EROFS)
                return "the file system is mounted read-only: mount it writable, or work in another place";
        if (err->os == EACCES)
                return "you lack the permission: see owner and mode of it and of the folders above, then run the command again";
        return NULL;
}

const char *oxl_error_next_step(const struct oxl_error *err)
{
        const char *next = next_for_os(err);
        if (next)
                return next;
        if (err->os == EMFILE)
                return "raise the limit of open files (ulimit -n), then run the command again";
        if (err->os == ENFILE)
                return "the whole system has too many open files (fs.file-max): close programs, then run the command again";
        return oxl_error_next(err->code);
}

void oxl_error_done(struct oxl_error *err)
{
        if (!err)
                return;
        int saved = errno;
        free(err->path[0]);
        free(err->path[1]);
        free(err->detail);
        *err = (struct oxl_error)OXL_ERROR_INIT;
        errno = saved;
}

void oxl_error_move(struct oxl_error *dst, struct oxl_error *src)
{
        if (dst == src)
                return;
        if (!dst) { /* the caller wants no details */
                oxl_error_done(src);
                return;
        }
        oxl_error_done(dst);
        *dst = *src;
        *src = (struct oxl_error)OXL_ERROR_INIT;
}

static char *copy_text(const char *text)
{
        return text ? strdup(text) : NULL; /* best effort: out of memory loses the text, not the code */
}

int oxl_fail(struct oxl_error *err, const struct oxl_failure *f)
{
        if (!err)
                return -(int)f->code;
        int saved = errno;
        struct oxl_error fresh = { .code = f->code, .os = f->os, .file = f->file, .line = f->line };
        fresh.path[0] = copy_text(f->path[0]); /* before done(): they may be borrowed from *err */
        fresh.path[1] = copy_text(f->path[1]);
        fresh.detail = copy_text(f->detail);
        if (f->want)
                fresh.want = *f->want;
        if (f->got)
                fresh.got = *f->got;
        oxl_error_done(err);
        *err = fresh;
        errno = saved;
        return -(int)f->code;
}

static void put_text(struct sink *s, const char *text)
{
        while (*text)
                sink_put(s, *text++);
}

static void put_escaped(struct sink *s, const char *text)
{
        size_t left = s->len < s->size ? s->size - s->len : 0;
        s->len += oxl_text_escape(text ? text : "?", 0, left ? s->buf + s->len : NULL,
                                  left); /* NULL: lost to a lack of memory */
}

/* The form of oxl_digest_text(), which lives one layer above. */
static void put_digest(struct sink *s, const struct oxl_digest *d)
{
        char text[OXL_DIGEST_TEXT_MAX] = "-";
        if (d->algo == OXL_ALGO_BLAKE3)
                oxl_hex_encode(d->bytes, OXL_DIGEST_BYTES, text);
        else if (d->algo == OXL_ALGO_XXH3_128)
                oxl_hex_encode_number(d->bytes, 16, text);
        put_text(s, text);
}

static void put_fact(struct sink *s, const struct oxl_error *err, char which)
{
        switch (which) {
        case '1': put_escaped(s, err->path[0]); break;
        case '2': put_escaped(s, err->path[1]); break;
        case 'd': put_escaped(s, err->detail); break;
        case 'w': put_digest(s, &err->want); break;
        case 'g': put_digest(s, &err->got); break;
        default: sink_put(s, which); break; /* "%%" */
        }
}

size_t oxl_error_text(const struct oxl_error *err, char *buf, size_t size)
{
        int saved = errno;
        const struct row *row = row_of(err->code);
        struct sink s = { buf, size, 0 };
        for (const char *p = row->text; *p; p++) {
                if (*p == '%' && p[1])
                        put_fact(&s, err, *++p);
                else
                        sink_put(&s, *p);
        }
        if (row->shape == OXL_SHAPE_OS_PATH || row->shape == OXL_SHAPE_OS_PATHS) {
                char os[128];
                put_text(&s, ": ");
                put_text(&s, strerror_r(err->os, os, sizeof os));
        }
        if (size > 0)
                buf[s.len < size ? s.len : size - 1] = 0;
        errno = saved;
        return s.len;
}

int oxl_error_copy(struct oxl_error *dst, const struct oxl_error *src)
{
        if (dst && dst != src) {
                struct oxl_error copy = *src;
                copy.path[0] = copy_text(src->path[0]);
                copy.path[1] = copy_text(src->path[1]);
                copy.detail = copy_text(src->detail);
                oxl_error_done(dst);
                *dst = copy;
        }
        return -(int)src->code;
}
