/* SPDX-License-Identifier: MIT */
/* Removing whole folders of ours that nothing refers to: what a failed or killed init was building. */
#ifndef OXL_DURABLE_REMOVE_H
#define OXL_DURABLE_REMOVE_H

#include <oxenlite/error.h>

/* Removes the directory @name in @dirfd and all below it, without following links. Not a durable change: after a
 * power cut a part may be back. 0 also when it is not there. DIR_OPEN, DIR_READ, FILE_REMOVE, LIMIT (deeper than 16
 * levels): the first of them, after everything else that could go has gone. */
OXL_MUST_CHECK int oxl_remove_tree(int dirfd, const char *name, struct oxl_error *err);

/* Removes the directory @name in @dirfd when nothing is in it. 0 also when it holds something or is not there. Not a
 * durable change. FILE_REMOVE. */
OXL_MUST_CHECK int oxl_remove_empty(int dirfd, const char *name, struct oxl_error *err);

#endif
