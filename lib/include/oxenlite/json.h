/* SPDX-License-Identifier: MIT */
/*
 * JSON documents: a thin, strict layer over cJSON for oxen-lite's own documents.
 *
 * Parsing demands the grammar of RFC 8259, valid UTF-8 without NUL (also not escaped), exactly one document (nothing but
 * space after it), no duplicate keys, at most 64 levels, numbers of at most 63 characters that a double can hold. 64-bit
 * numbers and digests travel as strings, since JSON numbers are doubles in most readers.
 * Ownership: a tree owns its children; what set/append is given, it takes (also when it fails). Building is sticky: the
 * first failed allocation marks the tree and oxl_json_print reports NOMEM. Threads: one at a time per tree.
 */
#ifndef OXENLITE_JSON_H
#define OXENLITE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <oxenlite/error.h>

OXL_BEGIN_DECLS

struct oxl_json;

OXL_API struct oxl_json *oxl_json_object(void);
OXL_API struct oxl_json *oxl_json_array(void);
OXL_API struct oxl_json *oxl_json_string(const char *text); /* NULL: null; bytes that are not UTF-8 become U+FFFD */
/* A file name inside an array: a string, or {"bytes": "<base64>"} when it is not UTF-8. */
OXL_API struct oxl_json *oxl_json_name(const char *bytes, size_t n);
OXL_API void oxl_json_free(struct oxl_json *j);

/* Replaces a member of the same key. */
OXL_API void oxl_json_set(struct oxl_json *object, const char *key, struct oxl_json *value);
OXL_API void oxl_json_set_string(struct oxl_json *object, const char *key, const char *text); /* NULL: null */
OXL_API void oxl_json_set_u64(struct oxl_json *object, const char *key, uint64_t value);      /* as string */
OXL_API void oxl_json_set_i64(struct oxl_json *object, const char *key, int64_t value);       /* as string */
OXL_API void oxl_json_set_int(struct oxl_json *object, const char *key, int value);           /* as number */
OXL_API void oxl_json_set_bool(struct oxl_json *object, const char *key, bool value);
OXL_API void oxl_json_set_digest(struct oxl_json *object, const char *key, const struct oxl_digest *d); /* NONE: null */
/* A file name: "key" (bytes that are not UTF-8 become U+FFFD) and, only when it is not UTF-8, "key_bytes" (base64). */
OXL_API void oxl_json_set_name(struct oxl_json *object, const char *key, const char *bytes, size_t n);
OXL_API void oxl_json_append(struct oxl_json *array, struct oxl_json *value);

/* Compact text, malloc'd. NOMEM. */
OXL_API OXL_MUST_CHECK int oxl_json_print(const struct oxl_json *j, char **ret, struct oxl_error *err);

/* MALFORMED with @name. */
OXL_API OXL_MUST_CHECK int oxl_json_parse(const char *text, size_t n, const char *name, struct oxl_json **ret,
                                          struct oxl_error *err);

/* Getters: NULL or false when absent or of another type; case-sensitive. */
OXL_API const struct oxl_json *oxl_json_get(const struct oxl_json *object, const char *key);
OXL_API const char *oxl_json_get_string(const struct oxl_json *object, const char *key);
OXL_API bool oxl_json_get_u64(const struct oxl_json *object, const char *key, uint64_t *ret); /* from string */
OXL_API bool oxl_json_get_bool(const struct oxl_json *object, const char *key, bool *ret);
/* Number that is an integer of at most 2^53. */
OXL_API bool oxl_json_get_int(const struct oxl_json *object, const char *key, int64_t *ret);
OXL_API bool oxl_json_is_null(const struct oxl_json *object, const char *key);
/* The bytes of a name written by set_name (malloc'd, NUL-ended); false when absent or malformed. */
OXL_API bool oxl_json_get_name(const struct oxl_json *object, const char *key, char **ret, size_t *ret_n);
/* The same for a value made by oxl_json_name. */
OXL_API bool oxl_json_name_bytes(const struct oxl_json *value, char **ret, size_t *ret_n);
/* Items of an array, members of an object. Both this and _at walk the list: for loops see _member. */
OXL_API size_t oxl_json_size(const struct oxl_json *array);
OXL_API const struct oxl_json *oxl_json_at(const struct oxl_json *array, size_t i);
OXL_API const char *oxl_json_text(const struct oxl_json *string);
/* Iterates an object's members, or an array's items (*ret_key is then NULL), in order and in linear time: *pos starts at
 * 0 and is a cookie afterwards; false at the end. The tree must not change meanwhile. */
OXL_API bool oxl_json_member(const struct oxl_json *object, size_t *pos, const char **ret_key,
                             const struct oxl_json **ret_value);

OXL_END_DECLS

#endif
