/* SPDX-License-Identifier: MIT */
/*
 * The version store: a repository and its verbs.
 *
 *   struct oxl_repo *repo;
 *   oxl_repo_open(".", NULL, &repo, &err);
 *   oxl_repo_add(repo, paths, 1, &add_options, &stats, &err);
 *   oxl_repo_commit(repo, &commit_options, &result, &err);
 *   oxl_repo_close(repo);
 *
 * Verbs that write take the writer lock (LOCKED after wait_ms, naming the holder), first finish or undo what a dead process
 * left (each outcome goes to the `recovered` callback), and return only when what they acknowledge is durable. A verb
 * that fails leaves HEAD, refs and index as they were, or says OUTCOME_UNKNOWN. After FILE_SYNC or DIR_SYNC the
 * repository object refuses writes (POISONED): close it and open it again.
 *
 * Paths given to verbs are relative to the root of the working tree, '/'-separated, "" for the root; use oxl_repo_path()
 * to turn what a user typed into one. Paths handed out are raw bytes, NUL-ended, borrowed for the call.
 *
 * Threads: one at a time per repository object. Fork: not while a verb runs.
 */
#ifndef OXENLITE_REPO_H
#define OXENLITE_REPO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <oxenlite/cancel.h>
#include <oxenlite/digest.h>
#include <oxenlite/error.h>

OXL_BEGIN_DECLS

struct oxl_repo;

struct oxl_kept { /* a file as it was before it was overwritten or removed */
        const char *path;
        uint64_t size;
        struct oxl_digest id; /* of the blob: oxl_repo_cat_blob */
};

/* What recovery decided about one interrupted operation. Strings borrowed. */
struct oxl_recovered {
        int64_t intent;
        const char *verb;            /* "commit", "restore" */
        const char *outcome;         /* "rolled-forward", "rolled-back", "superseded" */
        const char *ref;             /* may be NULL */
        struct oxl_digest commit;    /* the commit concerned, or NONE */
        const char *why;             /* one sentence for people */
        const char *proof;           /* JSON text: FORMAT section 7.2 */
        const struct oxl_kept *kept; /* files with changes that it was to replace, and perhaps did */
        size_t n_kept;
};
typedef void oxl_recovered_fn(void *ctx, const struct oxl_recovered *r);

/* Something worth saying that did not stop the verb. @path may be NULL. @text is one sentence without the path. */
typedef void oxl_notice_fn(void *ctx, const char *path, const char *text);

/* Called now and then by long verbs; totals are 0 while unknown. */
typedef void oxl_progress_fn(void *ctx, const char *phase, uint64_t files, uint64_t files_total, uint64_t bytes,
                             uint64_t bytes_total);

struct oxl_repo_options {
        int64_t wait_ms;     /* for locks; < 0: for ever; the command line's default is 30,000 */
        bool trust;          /* open a repository that another user owns */
        const char *command; /* for owners/<id> and lock messages; may be NULL */
        const atomic_bool *cancel;
        oxl_recovered_fn *recovered;
        oxl_notice_fn *notice;
        oxl_progress_fn *progress;
        void *ctx; /* of the three callbacks */
};

/* Creates `<dir>/.oxen-lite` (and @dir): built whole under another name, synced, renamed into place. REPO_EXISTS. */
OXL_API OXL_MUST_CHECK int oxl_repo_init(const char *dir, enum oxl_algo blob_algo, struct oxl_error *err);

/* Finds the repository at or above @start and opens it; takes no lock and writes nothing. REPO_NOT_FOUND, REPO_UNTRUSTED,
 * FEATURE, MALFORMED, SEAL. A config.json with a broken seal is not an error here: see oxl_repo_config_state. */
OXL_API OXL_MUST_CHECK int oxl_repo_open(const char *start, const struct oxl_repo_options *options,
                                         struct oxl_repo **ret, struct oxl_error *err);
/* NULL is fine. */
OXL_API void oxl_repo_close(struct oxl_repo *r);

OXL_API const char *oxl_repo_worktree(const struct oxl_repo *r); /* absolute path */
OXL_API const char *oxl_repo_id_text(const struct oxl_repo *r);  /* 32 hex digits */
OXL_API enum oxl_algo oxl_repo_algo(const struct oxl_repo *r);

/* What a user typed, relative to the current directory, as a path of the working tree (malloc'd). "." and ".." are
 * resolved by text; symlinks above the working tree are followed. PATH when it lies outside. */
OXL_API OXL_MUST_CHECK int oxl_repo_path(const struct oxl_repo *r, const char *typed, char **ret,
                                         struct oxl_error *err);

/* --- refs and revisions --- */

struct oxl_head {
        char *branch;             /* short name, owned; NULL when HEAD is a commit id */
        struct oxl_digest commit; /* NONE when the branch has no commits */
};
OXL_API void oxl_head_done(struct oxl_head *h);
OXL_API OXL_MUST_CHECK int oxl_repo_head(struct oxl_repo *r, struct oxl_head *ret, struct oxl_error *err);

/* HEAD, HEAD~2, branch, tag, refs/…, full id, unique prefix of 4 digits or more; any of them followed by ~N or ^.
 * REV, REF_NOT_FOUND, NO_COMMITS. */
OXL_API OXL_MUST_CHECK int oxl_repo_resolve(struct oxl_repo *r, const char *rev, struct oxl_digest *ret,
                                            struct oxl_error *err);

typedef int oxl_ref_fn(void *ctx, const char *name, const struct oxl_digest *id, struct oxl_error *err);
/* Each ref ("refs/heads/main"), sorted. Stops when @fn returns < 0. */
OXL_API OXL_MUST_CHECK int oxl_repo_refs(struct oxl_repo *r, oxl_ref_fn *fn, void *ctx, struct oxl_error *err);

/* --- config --- */
enum oxl_config_state { OXL_CONFIG_SOUND = 0, OXL_CONFIG_EDITED, OXL_CONFIG_DAMAGED };
OXL_API enum oxl_config_state oxl_repo_config_state(const struct oxl_repo *r);
/* Value as text (malloc'd), the default when unset; *ret NULL when there is none. CONFIG_KEY. */
OXL_API OXL_MUST_CHECK int oxl_repo_config_get(struct oxl_repo *r, const char *key, char **ret, struct oxl_error *err);
/* @value NULL: unset. CONFIG_KEY, CONFIG_VALUE, CONFIG_EDITED. */
OXL_API OXL_MUST_CHECK int oxl_repo_config_set(struct oxl_repo *r, const char *key, const char *value,
                                               struct oxl_error *err);
/* Seals config.json again after it was edited by hand, if its content is valid. MALFORMED, CONFIG_KEY, CONFIG_VALUE. */
OXL_API OXL_MUST_CHECK int oxl_repo_config_accept(struct oxl_repo *r, struct oxl_error *err);
/* Replaces the settings by @text (an edited copy, seal line optional), checked. */
OXL_API OXL_MUST_CHECK int oxl_repo_config_replace(struct oxl_repo *r, const char *text, size_t n,
                                                   struct oxl_error *err);
/* The settings without the seal, as the JSON object that config_replace takes (malloc'd). */
OXL_API OXL_MUST_CHECK int oxl_repo_config_text(struct oxl_repo *r, char **ret, struct oxl_error *err);
typedef int oxl_config_fn(void *ctx, const char *key, const char *value, bool is_default, const char *about,
                          struct oxl_error *err);
OXL_API OXL_MUST_CHECK int oxl_repo_config_list(struct oxl_repo *r, oxl_config_fn *fn, void *ctx,
                                                struct oxl_error *err);

/* --- add, commit --- */
struct oxl_add_options {
        bool all;   /* everything below the paths, removals too */
        bool force; /* also what .oxenliteignore leaves out, and names that look like our temps */
};
struct oxl_add_result {
        uint64_t files, removed, unchanged; /* paths staged, staged as removed, looked at and found equal */
        uint64_t stored, stored_bytes;      /* blobs written */
        uint64_t healed;                    /* damaged blobs replaced by good bytes */
};
/* Stages @paths. A path that cannot be stored (special file, unreadable, changing) fails the call by name and stages
 * nothing. PATH_NOT_FOUND, PATH_SPECIAL, PATH_CHANGED, PATH_IGNORED, PATH, FILE_*, HASH_COLLISION. */
OXL_API OXL_MUST_CHECK int oxl_repo_add(struct oxl_repo *r, const char *const *paths, size_t n,
                                        const struct oxl_add_options *options, struct oxl_add_result *ret,
                                        struct oxl_error *err);

struct oxl_commit_options {
        const char *message;
        const char *author; /* NULL: config, OXEN_LITE_AUTHOR, else user@host with a notice */
        bool all;           /* all tracked files as they are now */
        bool allow_empty;
        const char *const *paths; /* these as they are now, besides what is staged */
        size_t n_paths;
};
struct oxl_commit_result {
        struct oxl_digest commit, tree;
        char branch[1024];     /* short name, or "HEAD" when detached */
        uint64_t files, bytes; /* paths changed by this commit; raw bytes newly stored */
        bool first;            /* no parent */
};
/* NOTHING when nothing changed. OUTCOME_UNKNOWN: recovery decides. */
OXL_API OXL_MUST_CHECK int oxl_repo_commit(struct oxl_repo *r, const struct oxl_commit_options *options,
                                           struct oxl_commit_result *ret, struct oxl_error *err);

/* --- looking --- */
enum oxl_change {
        OXL_STAGED_ADDED = 1,
        OXL_STAGED_MODIFIED,
        OXL_STAGED_REMOVED, /* index against HEAD */
        OXL_CHANGED,
        OXL_REMOVED,    /* working tree against index */
        OXL_UNTRACKED,  /* a file, or a folder (path ends in '/') */
        OXL_UNREADABLE, /* could not be examined: see error */
};
struct oxl_status_item {
        enum oxl_change change;
        const char *path;
        const struct oxl_error *why; /* OXL_UNREADABLE only */
};
typedef int oxl_status_fn(void *ctx, const struct oxl_status_item *item, struct oxl_error *err);
/* All differences: staged ones in path order, then those of the working tree in path order. Writes nothing. */
OXL_API OXL_MUST_CHECK int oxl_repo_status(struct oxl_repo *r, oxl_status_fn *fn, void *ctx, struct oxl_error *err);

struct oxl_commit_info { /* borrowed for the call */
        struct oxl_digest id, tree;
        const struct oxl_digest *parents;
        unsigned n_parents;
        const char *author, *message;
        int64_t seconds;
        int zone_minutes;
};
typedef int oxl_commit_fn(void *ctx, const struct oxl_commit_info *info, struct oxl_error *err);
/* From @rev (NULL: HEAD) along first parents, newest first, at most @max (0: all). > 0 from @fn stops with 0. */
OXL_API OXL_MUST_CHECK int oxl_repo_log(struct oxl_repo *r, const char *rev, uint64_t max, oxl_commit_fn *fn, void *ctx,
                                        struct oxl_error *err);

struct oxl_ls_item {
        const char *path;
        char kind;     /* 'f' file, 'x' executable, 'l' symlink, 'd' directory, 'a' absent (one side of a diff) */
        uint64_t size; /* bytes; directories: the sum below */
        struct oxl_digest id;
};
typedef int oxl_ls_fn(void *ctx, const struct oxl_ls_item *item, struct oxl_error *err);
OXL_API OXL_MUST_CHECK int oxl_repo_ls(struct oxl_repo *r, const char *rev, const char *path, bool recursive,
                                       oxl_ls_fn *fn, void *ctx, struct oxl_error *err);
typedef int oxl_diff_fn(void *ctx, const struct oxl_ls_item *old, const struct oxl_ls_item *new_,
                        struct oxl_error *err);
/* Differences between the trees of two commits; @a NONE: against nothing. */
OXL_API OXL_MUST_CHECK int oxl_repo_diff(struct oxl_repo *r, const struct oxl_digest *a, const struct oxl_digest *b,
                                         oxl_diff_fn *fn, void *ctx, struct oxl_error *err);
typedef int oxl_bytes_fn(void *ctx, const void *bytes, size_t n, struct oxl_error *err);
/* Verifies first, then streams: damaged content is never handed out. OBJECT_CORRUPT, PATH_NOT_FOUND. A symlink yields its
 * target; a directory is OBJECT_KIND. */
OXL_API OXL_MUST_CHECK int oxl_repo_cat(struct oxl_repo *r, const char *rev, const char *path, oxl_bytes_fn *fn,
                                        void *ctx, struct oxl_error *err);
/* The blob whose id is, or begins with, the digits @id (8 or more). WHY_TARGET: none, or several; OBJECT_KIND: no blob. */
OXL_API OXL_MUST_CHECK int oxl_repo_blob(struct oxl_repo *r, const char *id, struct oxl_digest *ret,
                                         struct oxl_error *err);
/* As oxl_repo_cat. OBJECT_CORRUPT, OBJECT_MISSING. */
OXL_API OXL_MUST_CHECK int oxl_repo_cat_blob(struct oxl_repo *r, const struct oxl_digest *id, oxl_bytes_fn *fn,
                                             void *ctx, struct oxl_error *err);

/* --- restore, recover --- */
struct oxl_restore_options {
        const char *source; /* revision; NULL: the index for the working tree, HEAD with @to */
        const char *to;     /* other directory (made if missing); NULL: the working tree */
        bool force;         /* overwrite changed files; they are stored as blobs first, and named by a notice */
};
struct oxl_restore_result {
        uint64_t files, bytes, unchanged;
        uint64_t kept; /* blobs stored of files that were overwritten */
};
/* Writes the files at and below @paths as they are in the source; files that are not in the source stay. All or nothing is
 * promised per file; an interrupted restore is finished by recovery. Verifies every blob before its file is replaced.
 * PATH_MODIFIED (nothing was written), PATH_NOT_FOUND, OBJECT_CORRUPT, OBJECT_MISSING. */
OXL_API OXL_MUST_CHECK int oxl_repo_restore(struct oxl_repo *r, const char *const *paths, size_t n,
                                            const struct oxl_restore_options *options, struct oxl_restore_result *ret,
                                            struct oxl_error *err);

/* What every writing verb does first, alone. *ret_count (may be NULL): intents of dead owners that were ended. */
OXL_API OXL_MUST_CHECK int oxl_repo_recover(struct oxl_repo *r, uint64_t *ret_count, struct oxl_error *err);

OXL_END_DECLS

#endif
