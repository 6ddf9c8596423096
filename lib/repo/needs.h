/* SPDX-License-Identifier: MIT */
/*
 * What a row of the operation log, or an open intent, needs of the store: what it kept of files, the lists of its edits, and all that
 * doing it or taking it back reads. gc marks it (mark.c), fsck looks for it (check/pass_operations.c); so both follow the same rules.
 *
 * Whose rows count is a matter of time: what gc no longer kept for one row it need not have kept for any older one. See oxl_needs_since.
 * Memory: a piece of a list of edits. Writes nothing, so a crash leaves nothing. Threads: as the objects.
 */
#ifndef OXL_REPO_NEEDS_H
#define OXL_REPO_NEEDS_H

#include "journal/journal.h"
#include "objects/store.h"
#include "repo/edits.h"

enum oxl_need_kind {
        OXL_NEED_COMMIT,    /* and what it leads to */
        OXL_NEED_TREE,      /* and what it leads to */
        OXL_NEED_LIST,      /* a blob: a list of edits */
        OXL_NEED_STATE,     /* a blob: content of the index or of a file, before or after */
        OXL_NEED_KEPT_LIST, /* a blob: the list of what was kept */
        OXL_NEED_KEPT,      /* a blob: what was kept of the file at @path; often the only copy */
};

struct oxl_need { /* borrowed for the call */
        enum oxl_need_kind kind;
        const struct oxl_digest *id; /* never NONE */
        const char *path;            /* of KEPT, else NULL; need not end with NUL: */
        size_t path_len;
};
/* < 0 stops and is forwarded. */
typedef int oxl_need_fn(void *ctx, const struct oxl_need *need, struct oxl_error *err);

struct oxl_needs {
        struct oxl_objects *objects; /* for lists in blobs; each is handed out before it is read */
        enum oxl_algo blob_algo;
        oxl_need_fn *fn;
        void *ctx;
};

/* What taking back (or doing) the operation with the intent @body reads; of an undone one, what it may have taken out of the index.
 * JOURNAL_DAMAGED; OBJECT_*, FILE_*: of a list. */
OXL_MUST_CHECK int oxl_needs_undo(const struct oxl_needs *n, enum oxl_intent_state state, const char *body,
                                  struct oxl_error *err);
/* What it kept of files that it replaced or removed, however it ended. Errors as above. */
OXL_MUST_CHECK int oxl_needs_kept(const struct oxl_needs *n, const char *body, struct oxl_error *err);

/* Operations since *since_ns count, says who asks; this raises it to what earlier runs of gc did not keep anything before, whatever they were
 * told then. JOURNAL*. */
OXL_MUST_CHECK int oxl_needs_since(struct oxl_journal *j, int64_t *since_ns, struct oxl_error *err);

#endif
