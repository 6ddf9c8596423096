/* SPDX-License-Identifier: MIT */
/*
 * Seals: BLAKE3 over kind, repository id, path and body (docs/FORMAT.md section 2), so that a changed, swapped or
 * foreign canonical file is found at every read.
 */
#ifndef OXL_DIGEST_SEAL_H
#define OXL_DIGEST_SEAL_H

#include "base/buf.h"
#include "base/bytes.h"
#include "digest/digest.h"

#define OXL_REPO_ID_BYTES 16

struct oxl_repo_id {
        uint8_t bytes[OXL_REPO_ID_BYTES];
};

/* Starts a seal: updates of @h with the body follow. @kind at most 255, @path at most 65,535 bytes. */
void oxl_seal_begin(struct oxl_hasher *h, const char *kind, const struct oxl_repo_id *id, const char *path);

/* Appends the line `seal blake3:<hex>\n` to sealed text. NOMEM. */
OXL_MUST_CHECK int oxl_seal_text(struct oxl_buf *text, const char *kind, const struct oxl_repo_id *id, const char *path,
                                 struct oxl_error *err);

/* Checks the last line of @text and returns the body (borrowed from @text). @name is for messages.
 * MALFORMED (no seal line, bytes after it), SEAL. */
OXL_MUST_CHECK int oxl_seal_text_check(struct oxl_bytes text, const char *kind, const struct oxl_repo_id *id,
                                       const char *path, const char *name, struct oxl_bytes *ret_body,
                                       struct oxl_error *err);

#endif
