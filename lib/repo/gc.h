/* SPDX-License-Identifier: MIT */
/* What gc.c and merge.c share. */
#ifndef OXL_REPO_GC_H
#define OXL_REPO_GC_H

#include <oxenlite/gc.h>

#include "objects/pack.h"
#include "repo/trash.h"

/* begin_write, then `gc` exclusively instead of shared. end_write gives both back. */
OXL_MUST_CHECK int oxl_gc_begin(struct oxl_repo *r, struct oxl_error *err);

/* Opens pack @id with its index. 1: it is damaged. FILE_OPEN, FILE_READ, NOMEM. */
OXL_MUST_CHECK int oxl_gc_open_pack(struct oxl_repo *r, const char *path, const struct oxl_digest *id,
                                    struct oxl_pack **ret, struct oxl_error *err);

/* Packs in versions/packs. */
OXL_MUST_CHECK int oxl_gc_count_packs(struct oxl_repo *r, uint64_t *ret, struct oxl_error *err);

enum { OXL_MERGE_MIN = 16, OXL_MERGE_MAX = 64 };
#define OXL_MERGE_SOME_BYTES (UINT64_C(64) << 20)

/* Under the locks: removes folders of earlier merges whose packs are proven to be elsewhere, then merges one full tier, of at most
 * @max_bytes. 1: no tier is full. Adds to *ret. */
OXL_MUST_CHECK int oxl_merge_locked(struct oxl_repo *r, uint64_t max_bytes, oxl_gc_fn *fn, void *ctx,
                                    struct oxl_gc_result *ret, struct oxl_error *err);
OXL_MUST_CHECK int oxl_merge_purge(struct oxl_repo *r, struct oxl_error *err);

#endif
