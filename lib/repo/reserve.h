/* SPDX-License-Identifier: MIT */
/*
 * `reserve`: space that is kept so that recovery, gc and sweep can work on a full disk.
 *
 * What a crash leaves: the file or none; whoever makes it again needs no more than its name.
 */
#ifndef OXL_REPO_RESERVE_H
#define OXL_REPO_RESERVE_H

#include <stdint.h>

#include "durable/durable.h"

/* Makes it, allocated, in the root of @d, when there is none; the name is durable after a barrier. FILE_CREATE, FILE_WRITE (no
 * space), FILE_SYNC, FILE_RENAME. */
OXL_MUST_CHECK int oxl_reserve_make(struct oxl_durable *d, struct oxl_error *err);

/* Gives its space back; @root_fd is the root of @d. Returns the bytes that became free; 0: there was none, or it could not be removed. */
uint64_t oxl_reserve_drop(struct oxl_durable *d, int root_fd);

#endif
