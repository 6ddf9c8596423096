/* SPDX-License-Identifier: MIT */
/* Loose blobs: docs/FORMAT.md section 4.2. Pure naming and whole-file verification. */
#ifndef OXL_OBJECTS_LOOSE_H
#define OXL_OBJECTS_LOOSE_H

#include "objects/objects.h"

#define OXL_LOOSE_PATH_MAX 128

/* "versions/files/<hh>/<rest>/data" for @id. */
void oxl_loose_path(const struct oxl_digest *id, char ret[OXL_LOOSE_PATH_MAX]);

/* The digest that "versions/files/…/data" names; false when the path is none of ours. */
bool oxl_loose_path_parse(enum oxl_algo algo, const char *path, struct oxl_digest *ret);

/* Hashes the whole descriptor from offset 0 (holes skipped cheaply). FILE_READ, CANCELLED. */
OXL_MUST_CHECK int oxl_fd_digest(int fd, const char *name, enum oxl_algo algo, const atomic_bool *cancel,
                                 struct oxl_digest *ret, uint64_t *ret_bytes, struct oxl_error *err);

/* Calls @fn for each loose blob name below versions/files; entries that are not of the layout go to @other (may be
 * NULL) with their path relative to .oxen-lite. */
typedef int oxl_loose_list_fn(void *ctx, const struct oxl_digest *id, const char *path, struct oxl_error *err);
typedef int oxl_loose_other_fn(void *ctx, const char *path, struct oxl_error *err);
OXL_MUST_CHECK int oxl_loose_list(int root_fd, enum oxl_algo algo, oxl_loose_list_fn *fn, oxl_loose_other_fn *other,
                                  void *ctx, struct oxl_error *err);

#endif
