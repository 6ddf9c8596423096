/* SPDX-License-Identifier: MIT */
/*
 * What is needed: every object that a root leads to. See oxenlite/gc.h for the roots.
 *
 * Fail closed: a root or a node that cannot be read is an error, after which the marks are good for nothing (an object is marked
 * before what it leads to) and can only be freed or cleared. Marking again adds only what is new, so it may be done twice:
 * without locks, and under them.
 * Memory: 40 to 48 bytes an object, and the objects of one commit that are still to be read. Threads: one at a time.
 */
#ifndef OXL_REPO_MARK_H
#define OXL_REPO_MARK_H

#include "repo/repo.h"

struct oxl_marks;

OXL_MUST_CHECK int oxl_marks_new(struct oxl_repo *r, struct oxl_marks **ret, struct oxl_error *err);
void oxl_marks_free(struct oxl_marks *m);
void oxl_marks_clear(struct oxl_marks *m);

/* Refs, HEAD and index, as they are now. OBJECT_*, MALFORMED, SEAL, FILE_*, DIR_*, NOMEM, CANCELLED. */
OXL_MUST_CHECK int oxl_marks_refs(struct oxl_marks *m, struct oxl_error *err);
/* Notes of quarantine, open intents, and operations since @since_ns. PENDING: a gc of an owner that is not known to be dead.
 * JOURNAL_DAMAGED. */
OXL_MUST_CHECK int oxl_marks_log(struct oxl_marks *m, struct oxl_journal *j, int64_t since_ns, struct oxl_error *err);

bool oxl_marks_has(const struct oxl_marks *m, enum oxl_kind kind, const struct oxl_digest *id);
/* Each object that is marked and was not read for that: blobs, and (FILLER: of an unknown kind) what notes name. Trees and commits
 * were read. < 0 stops and is forwarded. */
typedef int oxl_marks_fn(void *ctx, enum oxl_kind kind, const uint8_t id[OXL_DIGEST_BYTES], struct oxl_error *err);
OXL_MUST_CHECK int oxl_marks_each_unread(const struct oxl_marks *m, oxl_marks_fn *fn, void *ctx, struct oxl_error *err);
/* Objects that are marked. */
uint64_t oxl_marks_count(const struct oxl_marks *m);

#endif
