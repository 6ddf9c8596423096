/* SPDX-License-Identifier: MIT */
/*
 * Constructors of errors, for use inside the library: `return OXL_FAIL_PATH(err, FILE_CREATE, path);`
 * Each captures errno and the source position first, fills *err (may be NULL) and yields -(enum oxl_code).
 * The shape of the row in error.def must be the shape of the macro: the compiler checks it.
 */
#ifndef OXL_BASE_FAIL_H
#define OXL_BASE_FAIL_H

#include <errno.h>

#include <oxenlite/error.h>

enum oxl_error_shape {
        OXL_SHAPE_PLAIN,
        OXL_SHAPE_PATH,
        OXL_SHAPE_PATHS,
        OXL_SHAPE_WHY,
        OXL_SHAPE_OBJECT,
        OXL_SHAPE_OS_PATH,
        OXL_SHAPE_OS_PATHS,
};

enum {
#define OXL_ERR(number, code, slug, shape, exit, text, next) OXL_SHAPE_OF_##code = OXL_SHAPE_##shape,
#include <oxenlite/error.def>
#undef OXL_ERR
};

struct oxl_failure {
        enum oxl_code code;
        const char *path[2];
        const char *detail;
        const struct oxl_digest *want, *got;
        const char *file;
        int line;
        int os; /* errno at the site for OS_ shapes, else 0 */
};

/* Fills *err from @f (paths copied) and returns -(f->code). Keeps errno. */
int oxl_fail(struct oxl_error *err, const struct oxl_failure *f);

/* clang-tidy sees one file at a time: it learns here that a failure is negative, so that outputs are not read. */
#ifdef __clang_analyzer__
#define OXL_FAIL_CALL(err, ...) ((void)(err), -(int)(__VA_ARGS__)->code)
#else
#define OXL_FAIL_CALL oxl_fail
#endif

/* clang-format off */
/* Makes *dst (may be NULL) a copy of @src and returns -(src->code). */
int oxl_error_copy(struct oxl_error *dst, const struct oxl_error *src);

/* 0, but a compile error when CODE's row has another shape. */
#define OXL_SHAPE_CHECK(CODE, SHAPE) \
        ((enum oxl_code)(OXL_E_##CODE + 0 * (int)sizeof(char[(int)OXL_SHAPE_OF_##CODE == (int)OXL_SHAPE_##SHAPE ? 1 : -1])))

#define OXL_FAIL_PLAIN(err, CODE) \
        OXL_FAIL_CALL(err, &(struct oxl_failure){ .code = OXL_SHAPE_CHECK(CODE, PLAIN), .file = __FILE__, .line = __LINE__ })
#define OXL_FAIL_PATH(err, CODE, p) \
        OXL_FAIL_CALL(err, &(struct oxl_failure){ .code = OXL_SHAPE_CHECK(CODE, PATH), .path = { (p) }, .file = __FILE__, .line = __LINE__ })
#define OXL_FAIL_WHY(err, CODE, p, why) \
        OXL_FAIL_CALL(err, &(struct oxl_failure){ .code = OXL_SHAPE_CHECK(CODE, WHY), .path = { (p) }, .detail = (why), .file = __FILE__, .line = __LINE__ })
#define OXL_FAIL_OBJECT(err, CODE, p, w, g) \
        OXL_FAIL_CALL(err, &(struct oxl_failure){ .code = OXL_SHAPE_CHECK(CODE, OBJECT), .path = { (p) }, .want = (w), .got = (g), .file = __FILE__, .line = __LINE__ })
#define OXL_FAIL_OS(err, CODE, p) \
        OXL_FAIL_CALL(err, &(struct oxl_failure){ .os = errno, .code = OXL_SHAPE_CHECK(CODE, OS_PATH), .path = { (p) }, .file = __FILE__, .line = __LINE__ })
#define OXL_FAIL_OS_PATHS(err, CODE, p, q) \
        OXL_FAIL_CALL(err, &(struct oxl_failure){ .os = errno, .code = OXL_SHAPE_CHECK(CODE, OS_PATHS), .path = { (p), (q) }, .file = __FILE__, .line = __LINE__ })
/* clang-format on */

#endif
