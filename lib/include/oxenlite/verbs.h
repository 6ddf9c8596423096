/* SPDX-License-Identifier: MIT */
/*
 * Everyday verbs on a repository: rm, branch, tag, switch, restore --staged, diff, op log, undo. What repo.h says at its top
 * holds here too. Each verb that writes is one intent: a kill at any moment leaves it undone, or finished by the next
 * writing command; and it is a row of the operation log, which undo takes back.
 *
 *   oxl_repo_branch_create(repo, "try", NULL, &id, &err);
 *   oxl_repo_switch(repo, "try", NULL, &result, &err);
 *   oxl_repo_undo(repo, 0, NULL, &undone, &err);
 *
 * Errors of all verbs: LOCKED, POISONED, CONFIG_EDITED, FILE_*, DIR_*, MALFORMED, SEAL, NOMEM, CANCELLED (nothing was
 * written). After the intent is staged a failure is an ordinary error: HEAD, refs, index and the files of the working tree are then as
 * before; or it is OUTCOME_UNKNOWN, a notice says what failed, and recovery, by the next verb that writes, does the rest.
 */
#ifndef OXENLITE_VERBS_H
#define OXENLITE_VERBS_H

#include <oxenlite/repo.h>

OXL_BEGIN_DECLS

/* --- rm --- */
struct oxl_rm_options {
        bool cached; /* leave the working tree alone */
};
struct oxl_rm_result {
        uint64_t files;   /* paths that left the index */
        uint64_t removed; /* files that left the working tree */
        uint64_t kept;    /* of those: blobs stored first, because they had changes */
};
/* Removes the tracked files at and below @paths from index and working tree, and folders that become empty. A file with
 * changes is stored as a blob first, named by a notice. PATH_NOT_FOUND: nothing tracked there. PATH: a folder is in the place of a
 * tracked file. PATH_SPECIAL. */
OXL_API OXL_MUST_CHECK int oxl_repo_rm(struct oxl_repo *r, const char *const *paths, size_t n,
                                       const struct oxl_rm_options *options, struct oxl_rm_result *ret,
                                       struct oxl_error *err);

/* --- restore --staged --- */
/* Makes the index at and below @paths as in @rev (NULL: HEAD; before the first commit: nothing). The working tree stays.
 * *ret_files: entries that changed. PATH_NOT_FOUND: neither in the index nor in @rev. */
OXL_API OXL_MUST_CHECK int oxl_repo_restore_staged(struct oxl_repo *r, const char *const *paths, size_t n,
                                                   const char *rev, uint64_t *ret_files, struct oxl_error *err);

/* --- branch, tag --- */
/* Names are short ("main"). @rev NULL: HEAD. REF_NAME, REF_EXISTS, NO_COMMITS, REV, REF_NOT_FOUND. */
OXL_API OXL_MUST_CHECK int oxl_repo_branch_create(struct oxl_repo *r, const char *name, const char *rev,
                                                  struct oxl_digest *ret, struct oxl_error *err);
OXL_API OXL_MUST_CHECK int oxl_repo_tag_create(struct oxl_repo *r, const char *name, const char *rev,
                                               struct oxl_digest *ret, struct oxl_error *err);
/* *ret: where it was. BRANCH_CURRENT; BRANCH_UNMERGED: HEAD and no other ref reaches its commit. REF_NOT_FOUND. */
OXL_API OXL_MUST_CHECK int oxl_repo_branch_delete(struct oxl_repo *r, const char *name, struct oxl_digest *ret,
                                                  struct oxl_error *err);
OXL_API OXL_MUST_CHECK int oxl_repo_tag_delete(struct oxl_repo *r, const char *name, struct oxl_digest *ret,
                                               struct oxl_error *err);

/* --- switch --- */
struct oxl_switch_options {
        bool create; /* make the branch @name at HEAD first */
        bool force;  /* replace files with changes; they are stored as blobs first, named by a notice */
};
struct oxl_switch_result {
        char branch[1024];        /* short name; "" when HEAD is now a commit id */
        struct oxl_digest commit; /* NONE: a branch without commits */
        uint64_t files, bytes;    /* written */
        uint64_t removed;         /* files that left the working tree */
        uint64_t kept;            /* blobs stored of files that had changes */
        bool already;             /* HEAD was there */
};
/* Makes working tree, index and HEAD those of branch @name; a tag or a commit id makes HEAD that commit (said by a notice).
 * Changes of files that both commits have alike are carried over, staged or not. PATH_MODIFIED, PATH_IN_WAY: nothing was
 * written, and each such file was named by a notice; so with OBJECT_CORRUPT and OBJECT_MISSING for contents that are to be written. (After
 * notices "not restored" the damage came meanwhile: switched, but for these files.) REF_NOT_FOUND, REV, REF_EXISTS (create). */
OXL_API OXL_MUST_CHECK int oxl_repo_switch(struct oxl_repo *r, const char *name,
                                           const struct oxl_switch_options *options, struct oxl_switch_result *ret,
                                           struct oxl_error *err);

/* --- what was interrupted --- */
struct oxl_interrupted { /* borrowed for the call */
        int64_t intent;
        const char *verb;
};
typedef int oxl_interrupted_fn(void *ctx, const struct oxl_interrupted *i, struct oxl_error *err);
/* Operations whose process died within: the next verb that writes, or oxl_repo_recover, finishes or undoes each. Cheap when nobody
 * died: the journal is read only when owners/ has the file of a dead process, which a kill leaves. Takes no writer lock, writes
 * nothing. FILE_OPEN, LOCKED, JOURNAL, JOURNAL_DAMAGED. */
OXL_API OXL_MUST_CHECK int oxl_repo_interrupted(struct oxl_repo *r, oxl_interrupted_fn *fn, void *ctx,
                                                struct oxl_error *err);

/* --- diff --- */
enum oxl_difference {
        OXL_DIFF_ADDED = 'A',
        OXL_DIFF_DELETED = 'D',
        OXL_DIFF_MODIFIED = 'M',
        OXL_DIFF_KIND = 'T',       /* file, symbolic link */
        OXL_DIFF_EXECUTABLE = 'X', /* the same content, another executable bit */
};
struct oxl_difference_item {
        const char *path;
        enum oxl_difference what;
        char old_kind, new_kind;          /* as struct oxl_ls_item; 'a' absent */
        uint64_t old_size, new_size;      /* 0 when absent */
        struct oxl_digest old_id, new_id; /* NONE when absent, and for the working tree */
};
typedef int oxl_difference_fn(void *ctx, const struct oxl_difference_item *item, struct oxl_error *err);
/* @old NULL: the index; @new_ NULL: the working tree (tracked files only; a file that cannot be read is an error, after the
 * others were handed out). Both given: two commits. In path order; writes nothing. INVALID: @old NULL, @new_ not. */
OXL_API OXL_MUST_CHECK int oxl_repo_differences(struct oxl_repo *r, const char *old, const char *new_,
                                                oxl_difference_fn *fn, void *ctx, struct oxl_error *err);
/* What is staged: from commit @rev (NULL: HEAD; before the first commit everything is added) to the index. */
OXL_API OXL_MUST_CHECK int oxl_repo_differences_staged(struct oxl_repo *r, const char *rev, oxl_difference_fn *fn,
                                                       void *ctx, struct oxl_error *err);

/* --- operation log, undo --- */
struct oxl_operation_info { /* borrowed for the call */
        int64_t id, time_ns;
        const char *verb, *note;
        const char *ref, *old_id, *new_id; /* may be NULL */
        const char *state;           /* "done", "rolled-forward" (by recovery), "staged" (not ended yet), or one of: */
                                     /* "aborted", "rolled-back", "superseded": only what it kept counts */
        bool undoable;               /* it moved HEAD, a ref or the index, and says how */
        const struct oxl_kept *kept; /* contents with changes that it kept, as long as gc does */
        size_t n_kept;
};
typedef int oxl_operation_info_fn(void *ctx, const struct oxl_operation_info *op, struct oxl_error *err);
/* Newest first, at most @max (0: all). Takes no writer lock. > 0 from @fn stops with 0. JOURNAL, JOURNAL_DAMAGED. */
OXL_API OXL_MUST_CHECK int oxl_repo_operations(struct oxl_repo *r, uint64_t max, oxl_operation_info_fn *fn, void *ctx,
                                               struct oxl_error *err);

struct oxl_undo_options {
        bool force; /* replace files with changes; they are stored as blobs first, named by a notice */
};
struct oxl_undo_result {
        int64_t id;                    /* of the operation that was undone */
        char verb[16];                 /* its verb */
        uint64_t files, removed, kept; /* of the working tree: written, removed, stored first */
};
/* Takes operation @id (0: the newest that moved one of these) back: HEAD, refs and index as before it; for rm and switch the working
 * tree too, with the changes that it kept. PATH_MODIFIED, PATH_IN_WAY: as oxl_repo_switch. OPERATION_NOT_FOUND, UNDO_REFUSED (what it moved has moved since, or it moved
 * nothing, or it did not come to its end), JOURNAL_DAMAGED. An undo is an operation: undoing it does again what was undone. */
OXL_API OXL_MUST_CHECK int oxl_repo_undo(struct oxl_repo *r, int64_t id, const struct oxl_undo_options *options,
                                         struct oxl_undo_result *ret, struct oxl_error *err);

OXL_END_DECLS

#endif
