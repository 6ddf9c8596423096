/* SPDX-License-Identifier: MIT */
/*
 * The working tree: a sorted walk through directory descriptors that never follows symlinks, and the one way in which
 * a file of it becomes an index entry.
 */
#ifndef OXL_REPO_WORKTREE_H
#define OXL_REPO_WORKTREE_H

#include "repo/index.h"

enum oxl_skip {
        OXL_SKIP_NONE = 0,
        OXL_SKIP_REPOSITORY, /* .oxen-lite, .oxen (any ASCII case for .oxen-lite) */
        OXL_SKIP_TEMP,       /* a temp name of ours */
};
/* Is this component left out of walks, and why? */
enum oxl_skip oxl_worktree_skip(const char *name);

struct oxl_walk_item {
        const char *path; /* relative to the working tree, NUL-ended, borrowed */
        size_t path_len;
        int dirfd;                     /* open directory that holds it, borrowed; -1 with @done or @error */
        const char *name;              /* last component */
        struct stat st;                /* lstat; zero when @error is set */
        const struct oxl_error *error; /* the item (or the directory) could not be examined or listed; @done is set */
        enum oxl_skip skip;            /* yielded once with the reason, not descended */
        bool empty;                    /* a directory with nothing in it that can be stored */
        bool done;                     /* directories: second visit, after the content; false on the first */
};
struct oxl_walk;
/* Walks the file or directory @start ("" the root) in path order, bounded descriptors (64, reopened when deeper) and
 * memory (one directory's names per level). PATH_NOT_FOUND. */
OXL_MUST_CHECK int oxl_walk_new(int worktree_fd, const char *start, struct oxl_walk **ret, struct oxl_error *err);
/* 0 next, 1 end. Entries that vanish meanwhile are left out. Other file systems are entered. The root itself is not
 * yielded. A folder that cannot be entered or listed, or was replaced meanwhile, is known at its second visit: `done`, with
 * `error`. `empty` is known at the second visit. DIR_OPEN, DIR_READ (the root itself), NOMEM. */
OXL_MUST_CHECK int oxl_walk_next(struct oxl_walk *w, struct oxl_walk_item *ret, struct oxl_error *err);
/* Lets @threads threads look at large folders, and at folders of a large tree, before they are asked for; items, errors and
 * their order stay the same. For callers that change nothing below @start while they walk: what was seen ahead is some
 * hundred files old. 0: none. */
void oxl_walk_ahead(struct oxl_walk *w, unsigned threads);
/* After a directory's first visit: do not descend. */
void oxl_walk_skip(struct oxl_walk *w);
/* Leaves out the rest of every open directory whose path has @len bytes or more, second visits too. */
void oxl_walk_leave(struct oxl_walk *w, size_t len);
void oxl_walk_free(struct oxl_walk *w);

/* Kind of entry that @st makes; OXL_ENTRY_NONE for special files and directories, with a word for messages in *ret_what
 * ("a FIFO", "a socket", "a device", "a folder"; may be NULL). */
enum oxl_entry_kind oxl_worktree_kind(const struct stat *st, const char **ret_what);

/* Stores the file, executable or symlink @name in @dirfd (opened O_NONBLOCK|O_NOFOLLOW) through @put and fills *ret (path
 * borrowed from @path; staged set; stat cache filled). > 0: enum oxl_put_outcome. PATH_SPECIAL, PATH_CHANGED,
 * PATH_NOT_FOUND (vanished), FILE_OPEN, FILE_READ … with @path. */
OXL_MUST_CHECK int oxl_worktree_store(struct oxl_put *put, int dirfd, const char *name, const char *path,
                                      const atomic_bool *cancel, struct oxl_index_entry *ret, struct oxl_error *err);

/* Is the file the same content and kind as @entry? Uses the stat cache, else reads and hashes. 0 same, 1 different (also
 * when it is missing or special). FILE_*, PATH_CHANGED. @st: its lstat. */
OXL_MUST_CHECK int oxl_worktree_compare(int dirfd, const char *name, const char *path, const struct stat *st,
                                        const struct oxl_index_entry *entry, const atomic_bool *cancel,
                                        struct oxl_error *err);

#endif
