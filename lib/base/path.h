/* SPDX-License-Identifier: MIT */
/*
 * Relative paths with '/' as separator, bytes otherwise: no encoding is assumed, no locale is used.
 *
 * A *clean* path has one or more components of 1 to 255 bytes, none of them "." or "..", no NUL, no leading, trailing
 * or doubled '/'. The root itself is "" and is not clean; functions that accept it say so.
 */
#ifndef OXL_BASE_PATH_H
#define OXL_BASE_PATH_H

#include <stdbool.h>
#include <stddef.h>

#include <oxenlite/error.h>

enum { OXL_NAME_MAX = 255 }; /* bytes of one component */

/* Why @path is not clean, as a static text; NULL when it is. */
const char *oxl_path_problem(const char *path, size_t len);

/* The same for one component. */
const char *oxl_path_name_problem(const char *name, size_t len);

/* 0 when @path is clean, else PATH with the reason. */
OXL_MUST_CHECK int oxl_path_check(const char *path, struct oxl_error *err);

/* Order of tree entries: bytes, with '/' below every other byte and the end below '/'. < 0, 0, > 0. */
int oxl_path_compare(const char *a, size_t alen, const char *b, size_t blen);

/* The last component of @path, borrowed: what follows the last '/'. */
const char *oxl_path_base(const char *path);

/* Length of the parent of @path, without the '/'; 0 when there is none ("a", "/a"). */
size_t oxl_path_parent_len(const char *path);

/* The parent of @path ("" for "a"), to be freed. NOMEM. */
OXL_MUST_CHECK int oxl_path_parent(const char *path, char **ret, struct oxl_error *err);

/* "<dir>/<name>", or @name alone when @dir is "" (or @dir alone when @name is ""), to be freed. A @dir that ends in '/'
 * gets no second one. NOMEM. */
OXL_MUST_CHECK int oxl_path_join(const char *dir, const char *name, char **ret, struct oxl_error *err);

/* Is @path @dir itself or below it? The root "" holds everything. */
bool oxl_path_is_within(const char *path, const char *dir);

#endif
