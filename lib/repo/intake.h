/* SPDX-License-Identifier: MIT */
/*
 * Reading ahead: small files of the working tree are read and hashed by several threads, in batches, and come back in the
 * order in which they were added. So a pack's order, and which error is the first, do not depend on the threads.
 *
 * A file is examined before and after it is read, from one descriptor; what changed meanwhile is PATH_CHANGED, never a mixture.
 * Memory: 8 batches of at most OXL_INTAKE_BATCH_BYTES, or one file each.
 */
#ifndef OXL_REPO_INTAKE_H
#define OXL_REPO_INTAKE_H

#include "repo/index.h"
#include "repo/worktree.h"

#define OXL_INTAKE_FILE_MAX (4u << 20)    /* larger ones are not taken */
#define OXL_INTAKE_BATCH_BYTES (1u << 20) /* of content */
#define OXL_INTAKE_BATCH_FILES 64u

/* A file that was read, or was not. */
struct oxl_intake_file {
        const char *path; /* borrowed, as all of it, until the callback returns */
        int dirfd;
        struct oxl_index_entry old; /* as it was added; its path is not set */
        bool known;
        int result;           /* 0; < 0: `err` says why; OXL_INTAKE_AGAIN */
        struct oxl_error err; /* the callback may move it away */
        const uint8_t *bytes;
        size_t n;
        struct oxl_index_entry entry; /* staged, with stat cache; path borrowed */
};
enum { OXL_INTAKE_AGAIN = 1 }; /* it is no longer what was added: it has to be looked at by itself */

/* Gets each file, in order. < 0 ends the call that led to it. */
typedef int oxl_intake_fn(void *ctx, struct oxl_intake_file *file, struct oxl_error *err);

struct oxl_intake;
/* NOMEM. @cancel may be NULL. */
OXL_MUST_CHECK int oxl_intake_new(enum oxl_algo algo, const atomic_bool *cancel, oxl_intake_fn *fn, void *ctx,
                                  struct oxl_intake **ret, struct oxl_error *err);
/* Drops what was not handed out. NULL is fine. */
void oxl_intake_free(struct oxl_intake *in);

/* Adds a regular file of at most OXL_INTAKE_FILE_MAX bytes. @old (NULL: not in the index) is copied. Earlier files may be handed
 * out. NOMEM, DIR_OPEN, or what the callback returns. */
OXL_MUST_CHECK int oxl_intake_add(struct oxl_intake *in, int dirfd, const char *path, const struct stat *st,
                                  const struct oxl_index_entry *old, struct oxl_error *err);
/* Hands out all that was added. */
OXL_MUST_CHECK int oxl_intake_settle(struct oxl_intake *in, struct oxl_error *err);

#endif
