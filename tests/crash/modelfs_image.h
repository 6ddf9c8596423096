/* SPDX-License-Identifier: MIT */
/* Inside the model disk: what is stored (images), and the log of operations between two images. */
#ifndef OXL_TESTS_MODELFS_IMAGE_H
#define OXL_TESTS_MODELFS_IMAGE_H

#include <stdio.h>

#include "crash/modelfs.h"

#define MODELFS_NO_TEAR SIZE_MAX

enum { MODELFS_ROOT = 1, MODELFS_PAGE = 4096, MODELFS_SECTOR = 512 };

/* A page of content and its hash, shared between images until one of them writes. */
struct mpage {
        unsigned refs;
        bool hashed;
        uint64_t hash;
        uint8_t bytes[MODELFS_PAGE];
};

struct mname {
        unsigned refs;
        uint64_t hash;
        char text[];
};

struct mentry {
        struct mname *name;
        uint32_t ino;
        uint64_t id; /* position in listings; grows */
};

/* Shared between images as a whole, too. */
struct minode {
        unsigned refs;
        mode_t born; /* type and mode that come with the inode itself */
        mode_t mode;
        uid_t uid;
        gid_t gid;
        struct timespec mtime;
        struct mpage **pages; /* content of a file, target of a link; NULL: zeros */
        size_t n_pages;
        uint64_t size;
        struct mentry *entries; /* of a directory */
        size_t n, cap;
        bool hashed;
        uint64_t hash; /* of all but the entries */
};

struct mimage {
        struct minode **inodes; /* [ino] */
        uint32_t n, cap;
        uint64_t next_entry;
};

enum mop_kind { MOP_WRITE, MOP_SIZE, MOP_ATTR, MOP_ADD, MOP_DEL, MOP_RENAME };

struct mop {
        enum mop_kind kind;
        uint32_t ino;       /* the inode changed, or the one that a name leads to */
        uint32_t dir, dir2; /* where a name changed; RENAME: from, to */
        char *name, *name2;
        uint64_t at; /* WRITE: offset; SIZE: new size */
        size_t n;
        uint8_t *data;
        mode_t mode;
        uid_t uid;
        gid_t gid;
        struct timespec mtime;
        uint64_t number; /* among the operations of this disk */
        bool durable, lost;
};

void *mfs_alloc(size_t n); /* zeroed, aborts without memory */
void *mfs_grow(void *p, size_t size);

void mimage_init(struct mimage *im);
void mimage_copy(struct mimage *dst, const struct mimage *src);
void mimage_done(struct mimage *im);
uint32_t mimage_new_inode(struct mimage *im, mode_t mode);
struct mentry *mimage_find(const struct mimage *im, uint32_t dir, const char *name);
unsigned mimage_links(const struct mimage *im, uint32_t ino);

/* Makes inode @ino that of @from. */
void mimage_take_inode(struct mimage *im, const struct mimage *from, uint32_t ino);
/* Reads within the size. */
void minode_read(const struct minode *node, uint64_t at, void *buf, size_t n);

/* Applies @op; a write only up to @torn bytes. */
void mimage_apply(struct mimage *im, const struct mop *op, size_t torn);

/* Of everything that can be reached from the root. */
uint64_t mimage_hash(const struct mimage *im);

void mop_done(struct mop *op);

struct modelfs_seen {
        uint64_t *hash; /* open hash table */
        size_t n, cap;
};

/* The pending operations of this moment, and which of them reached the disk. */
struct mselection {
        size_t *ops; /* indexes into the log */
        size_t n;
        bool *chosen;
        size_t torn; /* index into ops of a write that was cut, or MODELFS_NO_TEAR */
        size_t cut;
};

/* The one crash that is tried, when a point was given: see modelfs_replay(). */
struct mreplay {
        char *point;
        const char *lost; /* within point: numbers and ranges */
        uint64_t op, torn, cut;
        unsigned acked;
        bool done;
};

/* What happened since the watching began, in words, by number of the operation. */
struct mtold {
        FILE *out;
        char **line;
        uint64_t first; /* number of line[0] */
        size_t n;
};

struct mwatch {
        modelfs_oracle_fn *oracle;
        void *ctx;
        const struct mselection *at; /* while the oracle looks at it */
        struct modelfs_seen *counted;
        struct mreplay replay;
        bool active, stop_at_first;
        unsigned acked;
        uint64_t states, fresh, violations;
        const char *first;
        uint64_t first_op;
        struct modelfs_seen own_seen, *seen;
        uint64_t random;
        struct modelfs_limits limits;
        modelfs_kill_fn *kill;
        void *kill_ctx;
};

struct mofd {
        uint32_t ino;
        int flags;
        uint64_t pos;
        unsigned refs;
};

struct mlock {
        const struct mofd *owner;
        uint32_t ino;
        uint64_t start, end; /* end excluded */
        short type;
};

enum { MODELFS_FD_FIRST = 1000, MODELFS_FD_MAX = 512 };

struct modelfs {
        enum modelfs_profile profile;
        struct mimage base, now;
        struct mop *log;
        size_t log_n, log_cap;
        struct mofd *fds[MODELFS_FD_MAX];
        struct mlock *locks;
        size_t locks_n;
        struct mwatch watch;
        struct mtold told;
        unsigned fail_sync;
        unsigned generation; /* boots and deaths before this one: nothing random is drawn twice */
        uint64_t random;
        int64_t clock;
        bool network;
        uint64_t ops;
        bool last_is_sync;
        uint32_t last_synced; /* 0: syncfs */
};

extern struct modelfs *modelfs_mounted;

/* Logs and applies one operation (taking its memory), then tries the crashes. */
void modelfs_do(struct modelfs *fs, struct mop op);
void modelfs_try_crashes(struct modelfs *fs);

/* --- modelfs_words.c --- */

/* Notes the operation that just came. */
void modelfs_note_op(struct modelfs *fs, const struct mop *op);
void modelfs_note_sync(struct modelfs *fs, bool failed);
/* Says what was noted, and what became of it in crash @s (NULL: in a kill). */
void modelfs_say_log(const struct modelfs *fs, const struct mselection *s);
void modelfs_words_copy(struct modelfs *fs, const struct modelfs *from);
void modelfs_words_done(struct modelfs *fs);
/* Is this moment the one of the point, and had it not come yet? Then @s says which operations reached the disk. */
bool modelfs_replay_now(struct modelfs *fs, struct mselection *s);

/* Moves into the base what is durable and comes after nothing pending in the same inode or directory. */
void modelfs_fold(struct modelfs *fs);

/* What is clean in the cache is read from the disk again: lost pages are seen to be lost. */
void modelfs_drop_cache(struct modelfs *fs, uint32_t ino);

#endif
