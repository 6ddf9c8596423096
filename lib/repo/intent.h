/* SPDX-License-Identifier: MIT */
/*
 * Bodies of intents and outcomes: docs/FORMAT.md section 7.2. Pure encoding and decoding; the decoder takes what it finds in a
 * journal row and refuses everything that names a path outside the places where objects and indexes live.
 */
#ifndef OXL_REPO_INTENT_H
#define OXL_REPO_INTENT_H

#include <oxenlite/json.h>

#include "repo/edits.h"

enum oxl_intent_file_kind {
        OXL_INTENT_PACK = 1, /* verified by its own structure */
        OXL_INTENT_BLOB,     /* by the digest of all its bytes, in the repository's hash */
        OXL_INTENT_INDEX,    /* by B3 of all its bytes */
};

struct oxl_intent_file {
        enum oxl_intent_file_kind kind;
        char *temp, *target; /* owned, relative to .oxen-lite */
        struct oxl_digest digest;
        uint64_t size;
};

/* A commit: @files become visible, then @ref moves from @old_id to @new_id. */
struct oxl_commit_intent {
        char *ref;                        /* owned: "refs/heads/x" or "HEAD" */
        struct oxl_digest old_id, new_id; /* old NONE: the ref did not exist */
        struct oxl_digest tree;
        struct oxl_intent_file *files; /* owned */
        size_t n_files;
        bool has_index;                /* for undo; always when written, not read back by recovery */
        struct oxl_digest index_tree;  /* of the index before */
        struct oxl_edits_record edits; /* what the commit itself changed in the index */
};
#define OXL_COMMIT_INTENT_INIT { 0 }
void oxl_commit_intent_done(struct oxl_commit_intent *i);
OXL_MUST_CHECK int oxl_commit_intent_add(struct oxl_commit_intent *i, enum oxl_intent_file_kind kind, const char *temp,
                                         const char *target, const struct oxl_digest *digest, uint64_t size,
                                         struct oxl_error *err);
OXL_MUST_CHECK int oxl_commit_intent_print(const struct oxl_commit_intent *i, char **ret, struct oxl_error *err);
/* MALFORMED. */
OXL_MUST_CHECK int oxl_commit_intent_parse(const char *body, enum oxl_algo blob_algo, struct oxl_commit_intent *ret,
                                           struct oxl_error *err);

/* A restore: @paths become as they are in @source. */
struct oxl_restore_intent {
        struct oxl_digest source; /* commit; NONE: the index */
        char *to;                 /* owned; absolute; NULL: the working tree */
        char **paths;             /* owned */
        size_t n_paths;
        bool force;
        struct oxl_edits_record local; /* what was kept of the files that it overwrites; read by oxl_kept_parse */
};
#define OXL_RESTORE_INTENT_INIT { 0 }
void oxl_restore_intent_done(struct oxl_restore_intent *i);
OXL_MUST_CHECK int oxl_restore_intent_print(const struct oxl_restore_intent *i, char **ret, struct oxl_error *err);
OXL_MUST_CHECK int oxl_restore_intent_parse(const char *body, struct oxl_restore_intent *ret, struct oxl_error *err);

/* Of gc, merge and gc-undo: @packs become visible, then files move to, or from, the folder of @trash. */
struct oxl_gc_intent {
        char *verb, *trash; /* owned */
        int64_t kept_since_ns;
        bool whole;                     /* gc-undo: no file stays in trash because it is damaged */
        struct oxl_commit_intent packs; /* of which only the files are used, each a pack */
};
#define OXL_GC_INTENT_INIT { 0 }
void oxl_gc_intent_done(struct oxl_gc_intent *i);
OXL_MUST_CHECK int oxl_gc_intent_print(const struct oxl_gc_intent *i, char **ret, struct oxl_error *err);
OXL_MUST_CHECK int oxl_gc_intent_parse(const char *body, struct oxl_gc_intent *ret, struct oxl_error *err);
/* Is @verb one of these? */
bool oxl_gc_verb(const char *verb);
/* Can @id be the name of a run's folder in trash? */
bool oxl_trash_id_ok(const char *id);

#endif
