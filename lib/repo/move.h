/* SPDX-License-Identifier: MIT */
/*
 * A move: HEAD, one ref, the index and the working tree go from one state to another, as one intent. switch, rm, branch, tag,
 * restore --staged and undo are moves; undo of an operation is its move in reverse. docs/FORMAT.md section 7.3.
 *
 *   look at every file concerned; refuse, or store what would be lost     before: nothing is changed
 *     -> intent STAGED durable
 *     -> working tree: files that go, then files that come, in batches     after: recovery does the rest again
 *     -> index -> ref -> HEAD -> outcome
 *
 * The intent says what shall be, not which temps hold it, so recovery does every step again, each of which accepts the old
 * state and the new one and leaves anything else alone: files of the working tree with a notice; HEAD, ref or an index of
 * another tree end it as superseded.
 * What a crash leaves: the working tree partly old, partly new, each file whole; temps that carry our owner number. What was stored
 * of files with changes is a root of gc however recovery ends it (kept.c; test: cli/kept-undone).
 */
#ifndef OXL_REPO_MOVE_H
#define OXL_REPO_MOVE_H

#include "repo/checkout.h"
#include "repo/edits.h"

struct oxl_move {
        char *head_old, *head_new;          /* owned: "refs/heads/x" or an id; NULL: HEAD stays */
        char *ref;                          /* owned: full name; NULL: none moves */
        struct oxl_digest ref_old, ref_new; /* NONE: absent */
        bool index;                         /* it moves: */
        struct oxl_digest tree_old, tree_new;
        bool from_trees; /* its content changes as tree_old to tree_new do, but for the paths in the record */
        bool worktree;   /* the files follow */
        bool force;      /* files with changes are stored and replaced */
        struct oxl_edits_record record;
        struct oxl_edits edits; /* all of them, sorted: those of the trees too */
        /* Files that are not what the index says: old, what was kept of a file before it went; new_, what it becomes. NONE: as in
         * the edit of that path. */
        struct oxl_edits_record local_record;
        struct oxl_edits local;
};
#define OXL_MOVE_INIT { 0 }
void oxl_move_done(struct oxl_move *m);

struct oxl_move_result {
        uint64_t files, bytes, removed, kept; /* of the working tree */
};

/* Executes @m, which holds edits but no records, under the writer lock, and records it as operation @verb with @note; the operation's
 * ref and ids are those of the move, or @op_ref and @op_id when HEAD moves to them. @own: edits that are not
 * derived from the trees (all of them unless from_trees); their record is made here. */
struct oxl_move_words {
        const char *verb, *note;
        const char *op_ref;               /* NULL: the ref of the move */
        struct oxl_digest op_old, op_new; /* with op_ref */
        const struct oxl_buf *told;       /* said once the intent is there: oxl_notice_later; may be NULL */
};
OXL_MUST_CHECK int oxl_move_run(struct oxl_repo *r, struct oxl_move *m, const struct oxl_edits *own,
                                const struct oxl_move_words *words, struct oxl_move_result *ret, struct oxl_error *err);

/* Ends the interrupted move that @event records. */
OXL_MUST_CHECK int oxl_move_recover(struct oxl_repo *r, const struct oxl_event *event, struct oxl_error *err);

/* --- bodies of intents --- */
OXL_MUST_CHECK int oxl_move_print(const struct oxl_move *m, const char *verb, char **ret, struct oxl_error *err);
/* Of a move, or of add or commit, which can be undone like one. Reads no edits. 1: it says nothing about HEAD, refs and index
 * (restore, repair, a commit of an older version). JOURNAL_DAMAGED. */
OXL_MUST_CHECK int oxl_move_parse(const char *body, enum oxl_algo blob_algo, struct oxl_move *ret,
                                  struct oxl_error *err);
/* Fills m->edits from the record and the trees, and m->local. */
OXL_MUST_CHECK int oxl_move_load(struct oxl_move *m, struct oxl_objects *o, enum oxl_algo blob_algo,
                                 struct oxl_error *err);
/* Is @verb that of a move? */
bool oxl_move_verb(const char *verb);

/* What an operation on @paths notes: "a.txt", "a.txt and 3 more"; malloc'd. NOMEM. */
OXL_MUST_CHECK int oxl_paths_note(const char *const *paths, size_t n, char **ret, struct oxl_error *err);

/* --- kept.c --- */
/* Member "local" of the intent @body, which those of moves and restore have; without it the record is empty. JOURNAL_DAMAGED. */
OXL_MUST_CHECK int oxl_kept_parse(const char *body, enum oxl_algo blob_algo, struct oxl_edits_record *ret,
                                  struct oxl_error *err);
bool oxl_kept_any(const struct oxl_edits_record *r);
/* The files that it names as they were before: *ret, an array of struct oxl_kept, which points into @local. A list that is damaged is
 * said by a notice, of @what, and empty. JOURNAL_DAMAGED, NOMEM, CANCELLED. */
OXL_MUST_CHECK int oxl_kept_list(struct oxl_repo *r, const char *body, const char *what, struct oxl_edits *local,
                                 struct oxl_buf *ret, struct oxl_error *err);
/* Says that recovery ended the intent of @body, as @what, with what it kept. */
void oxl_kept_recovered(struct oxl_repo *r, const char *body, const struct oxl_recovered *what);

/* The text of HEAD: "refs/heads/x" or an id, malloc'd; NULL when the file is missing. */
OXL_MUST_CHECK int oxl_head_text(struct oxl_repo *r, char **ret, struct oxl_error *err);

/* --- move_files.c --- */
/* Looks at every file that @m->edits change, and at every content that is to be written; PATH_MODIFIED, PATH_IN_WAY, PATH_SPECIAL,
 * OBJECT_CORRUPT, OBJECT_MISSING after each was named by a notice. With force, what would be lost is stored, and noted in
 * m->local; durable after oxl_checkout_keep_end. */
OXL_MUST_CHECK int oxl_move_check_files(struct oxl_checkout *c, struct oxl_move *m, struct oxl_error *err);
/* @written: one per edit. @finishing: recovery. */
OXL_MUST_CHECK int oxl_move_files(struct oxl_checkout *c, const struct oxl_move *m, bool finishing,
                                  struct oxl_written *written, uint64_t *ret_removed, struct oxl_error *err);

/* --- move_index.c --- */
/* Are all edits still old in the index, and its tree? 0 yes; 1 no. */
OXL_MUST_CHECK int oxl_move_check_index(struct oxl_index *x, const struct oxl_move *m, struct oxl_error *err);
/* Writes the index, durably. @written may be NULL. */
OXL_MUST_CHECK int oxl_move_index(struct oxl_repo *r, struct oxl_index *x, const struct oxl_move *m,
                                  const struct oxl_written *written, struct oxl_error *err);

/* --- refs_move.c --- */
/* Makes @ref be @new_ (NONE: deleted, and folders that become empty with it). The caller knows what it was. Durable. */
OXL_MUST_CHECK int oxl_ref_move(struct oxl_repo *r, const char *ref, const struct oxl_digest *new_,
                                struct oxl_error *err);
/* May a ref of this name be made? REF_EXISTS, REF_CONFLICT. */
OXL_MUST_CHECK int oxl_ref_place_check(struct oxl_repo *r, const char *ref, struct oxl_error *err);
/* Makes HEAD name the branch, or the commit, @text. Durable. */
OXL_MUST_CHECK int oxl_head_move(struct oxl_repo *r, const char *text, struct oxl_error *err);

#endif
