/* SPDX-License-Identifier: MIT */
/* Commit objects: docs/FORMAT.md section 5.2. Pure encoding and decoding. */
#ifndef OXL_OBJECTS_COMMIT_H
#define OXL_OBJECTS_COMMIT_H

#include "objects/objects.h"

#define OXL_PARENTS_MAX 16
#define OXL_MESSAGE_MAX (1u << 20)
#define OXL_AUTHOR_MAX 1024

struct oxl_commit {
        struct oxl_digest tree;
        struct oxl_digest parent[OXL_PARENTS_MAX];
        unsigned parents;
        char *author;     /* owned */
        int64_t seconds;  /* since 1970 UTC */
        int zone_minutes; /* east of UTC, -720 to 840 */
        char *message;    /* owned, NUL-ended; no NUL inside */
};
#define OXL_COMMIT_INIT { 0 }
void oxl_commit_done(struct oxl_commit *c);

/* INVALID when author or message break the limits or are not UTF-8. */
OXL_MUST_CHECK int oxl_commit_encode(const struct oxl_commit *c, struct oxl_buf *ret, struct oxl_error *err);
/* MALFORMED with @name. */
OXL_MUST_CHECK int oxl_commit_decode(struct oxl_bytes payload, const char *name, struct oxl_commit *ret,
                                     struct oxl_error *err);
/* Reads, verifies, decodes. */
OXL_MUST_CHECK int oxl_commit_read(struct oxl_objects *o, const struct oxl_digest *id, struct oxl_commit *ret,
                                   struct oxl_error *err);

#endif
