/* SPDX-License-Identifier: MIT */
/*
 * Directories that a writer touches: opened once, worked in by descriptor, synced at the barrier.
 *
 * A directory is a node below a base: the root of a repository, or, for a standalone target, the nearest directory
 * that existed when the call first looked. The name of a base is taken as durable; the name of every other node is not,
 * until a barrier of this writer has synced its parent: it may exist because another process made it a moment ago.
 *
 * Invariants: `linked` means that the node's name and those of all its ancestors up to the base are durable; it is
 * believed only while the node's descriptor is open, because a closed one lets the file system reuse the inode number.
 * A marked node stays in the table until a barrier synced it.
 * Base descriptors are never closed before done(): syncfs() reports only errors newer than its descriptor.
 */
#ifndef OXL_DURABLE_DIRS_H
#define OXL_DURABLE_DIRS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <oxenlite/error.h>

struct oxl_dnode {
        struct oxl_dnode *parent; /* NULL: a base; else referenced */
        struct oxl_dnode *child;  /* the one entered last, or NULL: files come folder by folder */
        struct oxl_dnode *chain;  /* next node of its bucket */
        char *path;               /* owned; for messages, and its last component for opening again */
        int fd;                   /* -1: closed to save descriptors */
        int unreadable;           /* errno, when it can be worked in but not opened for fsync */
        dev_t dev;
        ino_t ino;
        unsigned depth; /* below the base */
        unsigned refs;  /* temps and child nodes */
        uint64_t used;  /* tick of the last use */
        bool dirty;     /* a name in it changed since the last barrier */
        bool linking;   /* its own name is waiting for the barrier */
        bool linked;
        enum { OXL_SYNCFS_NOT_ASKED = 0, OXL_SYNCFS_SILENT, OXL_SYNCFS_REPORTS } syncfs; /* of a base */
};

struct oxl_dirs {
        struct oxl_dnode **nodes; /* in the order of their making */
        size_t n, cap;
        struct oxl_dnode **buckets; /* by inode number; as many as `cap` */
        unsigned open;              /* nodes with a descriptor, bases not counted */
        uint64_t tick;
};
#define OXL_DIRS_INIT { 0 }

/* Closes and frees everything, referenced or not. Idempotent; keeps errno. */
void oxl_dirs_done(struct oxl_dirs *d);

/* The node of directory @path as seen from @at (AT_FDCWD, a descriptor), following links in it, as a new base if it has no
 * node yet. "" is @at itself. The caller gets a reference. errno ENOENT in a DIR_OPEN error means that it is missing. */
OXL_MUST_CHECK int oxl_dirs_base(struct oxl_dirs *d, int at, const char *path, struct oxl_dnode **ret,
                                 struct oxl_error *err);

enum oxl_dirs_enter_flags {
        OXL_DIRS_MAKE = 1 << 0,   /* make what is missing, mode 0777 & ~umask */
        OXL_DIRS_FOLLOW = 1 << 1, /* links in @path are followed; else they are errors */
};

/* The node of @path below @from; the caller gets a reference. "" is @from. DIR_OPEN, DIR_CREATE, NOMEM. */
OXL_MUST_CHECK int oxl_dirs_enter(struct oxl_dirs *d, struct oxl_dnode *from, const char *path, unsigned flags,
                                  struct oxl_dnode **ret, struct oxl_error *err);

/* The parent directory of a standalone target: @path as seen from @at, the missing tail made. As above. */
OXL_MUST_CHECK int oxl_dirs_make_path(struct oxl_dirs *d, int at, const char *path, struct oxl_dnode **ret,
                                      struct oxl_error *err);

/* One more reference, and one less (NULL is fine). */
struct oxl_dnode *oxl_dnode_ref(struct oxl_dnode *node);
void oxl_dnode_unref(struct oxl_dnode *node);

/* The descriptor of @node, for *at calls; valid until the next call on @d. -1 with errno: it was closed meanwhile and its
 * name now leads elsewhere (ESTALE) or cannot be opened. */
OXL_MUST_CHECK int oxl_dnode_fd(struct oxl_dirs *d, struct oxl_dnode *node);

/* A name in @node is about to change: it, and its ancestors as far as their names are not durable, wait for the barrier. */
void oxl_dnode_mark(struct oxl_dnode *node);

/* The directory of @node was removed: nothing in it waits any more, and a new one of its name is not durable. */
void oxl_dnode_forget(struct oxl_dnode *node);

/* Called by the barrier for each directory that could not be synced; errno says why. */
typedef void oxl_dirs_failed_fn(void *ctx, const char *path);

/* Syncs all marked directories, deepest first; more than 32 of one file system by one syncfs(), where that reports failures. Returns
 * the number of those that failed, which stay marked. */
OXL_MUST_CHECK size_t oxl_dirs_barrier(struct oxl_dirs *d, oxl_dirs_failed_fn *failed, void *ctx);

/* The first base on device @dev, when syncfs() of its descriptor reports failures (durable/sync.h); else NULL. Not a later one: its
 * descriptor may be younger than a failure. */
struct oxl_dnode *oxl_dirs_spokesman(const struct oxl_dirs *d, dev_t dev);

#endif
