/* SPDX-License-Identifier: MIT */
/*
 * Errors of liboxenlite.
 *
 * Every fallible function returns int and takes `struct oxl_error *err` last:
 *   0    done
 *   < 0  an error: the value is -(enum oxl_code); err (when not NULL) is complete and owns copies of its paths
 *   > 0  an outcome that the function's own comment documents
 * The caller starts with OXL_ERROR_INIT, forwards negative values unchanged, and ends with oxl_error_done().
 * A function that fails while err already holds an error replaces it. The library never prints.
 * Paths are copied best effort: out of memory loses a path, never the code.
 *
 * Threads: an oxl_error belongs to one thread at a time. No global state.
 */
#ifndef OXENLITE_ERROR_H
#define OXENLITE_ERROR_H

#include <stddef.h>

#include <oxenlite/api.h>
#include <oxenlite/digest.h>

OXL_BEGIN_DECLS

enum oxl_code {
#define OXL_ERR(number, code, slug, shape, exit, text, next) OXL_E_##code = (number),
#include <oxenlite/error.def>
#undef OXL_ERR
};

struct oxl_error {
        enum oxl_code code;          /* 0: no error */
        int os;                      /* errno of the first failing call, or 0 */
        char *path[2];               /* owned; may be NULL */
        char *detail;                /* owned; may be NULL */
        struct oxl_digest want, got; /* shape OBJECT */
        const char *file;            /* source position, for bug reports */
        int line;
};
#define OXL_ERROR_INIT { 0 }

/* Frees what @err owns and resets it to OXL_ERROR_INIT. NULL is fine. Keeps errno. */
OXL_API void oxl_error_done(struct oxl_error *err);

/* Moves @src into @dst (whose old content is freed) and resets @src. */
OXL_API void oxl_error_move(struct oxl_error *dst, struct oxl_error *src);

/* Slug ("file-rename"), exit code of DESIGN's table, and the next step of @code; static strings, never NULL. */
OXL_API const char *oxl_error_slug(enum oxl_code code);
OXL_API int oxl_error_exit(enum oxl_code code);
OXL_API const char *oxl_error_next(enum oxl_code code);
/* The next step for @err: that of its code, unless its errno tells more (EMFILE and ENFILE: too many open files). */
OXL_API const char *oxl_error_next_step(const struct oxl_error *err);

/* Writes the one-line message of @err (no newline, no slug) into @buf, cut to @size bytes, always NUL-ended.
 * Returns the full length, as snprintf does. Control characters in names are shown as \xHH. */
OXL_API size_t oxl_error_text(const struct oxl_error *err, char *buf, size_t size);

/*
 * Writes @text so that it cannot steer a terminal, begin a line or change the order in which it is read: each byte of C0, DEL and C1
 * controls, of line separators and of marks that reorder text becomes \xHH. Into @buf, cut to @size bytes, always NUL-ended.
 * Returns the full length, as snprintf does: at most OXL_ESCAPE_GROWTH times that of @text. No allocation; thread-safe.
 */
enum {
        OXL_ESCAPE_BYTES = 1,      /* bytes that are not UTF-8, too; else they stay as they are */
        OXL_ESCAPE_KEEP_LINES = 2, /* newlines and tabs stay */
        OXL_ESCAPE_GROWTH = 4,     /* no flag: what one byte may become */
};
OXL_API size_t oxl_text_escape(const char *text, unsigned flags, char *buf, size_t size);

OXL_END_DECLS

#endif
