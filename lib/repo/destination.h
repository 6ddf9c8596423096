/* SPDX-License-Identifier: MIT */
/*
 * Where restore writes: the working tree, or another folder. Says what is there, and keeps it when asked.
 * Needs the writer lock, but for another folder from a repository that cannot be written: without an owner number the temps there
 * prove by their own locks that we live. Symlinks in parents are refused, never followed.
 */
#ifndef OXL_REPO_DESTINATION_H
#define OXL_REPO_DESTINATION_H

#include "repo/index.h"
#include "repo/intent.h"
#include "repo/worktree.h"

struct oxl_destination {
        struct oxl_repo *repo;
        char *path;                  /* owned, absolute; NULL: the working tree */
        int fd;                      /* of the folder; borrowed from the repository when path is NULL */
        struct oxl_durable *durable; /* owned; temps carry the repository's owner number; 0 without one */
        struct oxl_index *index;     /* owned */
        bool sweep_own; /* our own temps are leftovers, too: recovery of our own move, which has none yet */
        char *seen_dir; /* owned; the folder of the last look: files come folder by folder */
        int seen_fd;    /* owned; -1: it was not there */
};
#define OXL_DESTINATION_INIT { .fd = -1, .seen_fd = -1 }

/* @to NULL: the working tree. With @make a missing folder is made, durably. DIR_OPEN, DIR_CREATE, PATH. */
OXL_MUST_CHECK int oxl_destination_open(struct oxl_destination *d, struct oxl_repo *r, const char *to, bool make,
                                        struct oxl_error *err);
void oxl_destination_done(struct oxl_destination *d);

enum oxl_destination_state {
        OXL_DEST_SAME, /* what the source has */
        OXL_DEST_ABSENT,
        OXL_DEST_CLEAN,   /* differs from the source, but equals the index: nothing is lost by replacing it */
        OXL_DEST_CHANGED, /* local changes, or not tracked */
};
/* What it says is a guess, as old as the first look of a run in one folder: whoever replaces something looks again through
 * oxl_destination_parent, and what was absent is made without replacing.
 * *ret_st: its lstat, unless ABSENT. PATH: a folder, or a parent that is no folder, is in the way. PATH_SPECIAL. FILE_*: could not be
 * read. */
OXL_MUST_CHECK int oxl_destination_look(struct oxl_destination *d, const struct oxl_tree_item *item,
                                        enum oxl_destination_state *ret, struct stat *ret_st, struct oxl_error *err);

/* The folder that holds @path. 1: it is not there; 2: a file or link is in the place of it or of a parent. DIR_OPEN. */
OXL_MUST_CHECK int oxl_destination_parent(struct oxl_destination *d, const char *path, int *ret_fd,
                                          struct oxl_error *err);
/* Is the file at @dirfd, whose lstat is @st, what @item says? 0 yes, 1 no. */
OXL_MUST_CHECK int oxl_destination_compare(struct oxl_destination *d, int dirfd, const struct oxl_tree_item *item,
                                           const struct stat *st, struct oxl_error *err);

/* Stores the present content of @path through @put. */
OXL_MUST_CHECK int oxl_destination_store(struct oxl_destination *d, struct oxl_put *put, const char *path,
                                         struct oxl_index_entry *ret, struct oxl_error *err);

/* 0: the present content of @path is a blob of the store, verified; 1: it is not. */
OXL_MUST_CHECK int oxl_destination_is_stored(struct oxl_destination *d, struct oxl_objects *o, const char *path,
                                             struct oxl_error *err);

/* Removes dead owners' temps from the folder @dir below the destination, when it exists. */
OXL_MUST_CHECK int oxl_destination_sweep(struct oxl_destination *d, const char *dir, struct oxl_error *err);

#endif
