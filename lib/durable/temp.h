/* SPDX-License-Identifier: MIT */
/*
 * The private temp: the steps that every durable write is made of. Nothing above lib/durable sees it.
 *
 *      oxl_temp_create -> oxl_temp_write ... -> oxl_temp_sync -> oxl_temp_close -> oxl_temp_publish -> oxl_temp_done
 *
 * A writer (`struct oxl_writer`) owns the directories, the owner number and the verdict of the first failed sync.
 *
 * Invariants: the file is created O_EXCL and written through one description; fsync happens once and decides; nothing is
 * renamed before it succeeded; done() removes what was not published.
 *
 * Proof of life. Owner numbers other than 0 have a lock of their own elsewhere, held since before their first temp. A
 * temp of owner 0 carries its proof itself: from birth to publication its maker holds a shared lock on byte 0, through a
 * second, read-only description, so that the written one can be closed, and the result checked, before the rename.
 * A sweeper announces itself on byte 1 before it looks at byte 0; a maker looks at byte 1 after it locked byte 0. Whoever
 * comes second sees the other, so a temp is never removed in the moment between its creation and its lock.
 *
 * Descriptors: at most TEMP_OPEN_MAX written files are open per writer; then the oldest is *parked*: closed, checked, and
 * opened again when it is needed. Errors of its writeback reach us through syncfs, or it is synced before parking.
 */
#ifndef OXL_DURABLE_TEMP_H
#define OXL_DURABLE_TEMP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "durable/dirs.h"
#include "durable/tempname.h"

enum {
        OXL_TEMP_BYTE_OWNER = 0,   /* locked by the maker of an owner-0 temp */
        OXL_TEMP_BYTE_SWEEPER = 1, /* locked by whoever thinks of removing it */
};

struct oxl_crew;
struct oxl_temp;

struct oxl_writer {
        struct oxl_dirs dirs;
        uint64_t owner;
        struct oxl_temp *oldest, *newest; /* temps with an open written descriptor */
        unsigned open;
        bool poisoned;
        struct oxl_crew *crew; /* a thread for syncfs; NULL until the first */
        int sync_fd, sync_os;  /* borrowed from a base; what its syncfs said */
};
#define OXL_WRITER_INIT { .dirs = OXL_DIRS_INIT }

void oxl_writer_done(struct oxl_writer *w);

struct oxl_temp {
        struct oxl_writer *w;
        struct oxl_dnode *dir; /* referenced */
        char *label;           /* owned; what messages about writing it call it */
        char *path;            /* owned; the temp's own path, for messages */
        char name[OXL_TEMP_NAME_SIZE];
        int fd;      /* written; -1: parked or closed */
        int lock_fd; /* owner 0 */
        dev_t dev;
        ino_t ino;
        mode_t mode;
        uint64_t size;    /* bytes appended, holes included */
        uint64_t started; /* bytes whose writeback was started */
        bool on_disk;     /* our name exists: done() removes it */
        bool hole_at_end; /* the size must be set before the sync */
        bool mode_waits;  /* so must the mode */
        bool parked;      /* was closed before its sync */
        bool synced, closed;
        struct oxl_temp *older, *newer;
};
#define OXL_TEMP_INIT { .fd = -1, .lock_fd = -1 }

/* Creates a temp for a file to be called @name in @dir. @mode as for open(); the maker can always read and write while
 * it is a temp, rights that @mode lacks are taken away by oxl_temp_sync. FILE_CREATE, FILE_STAT, FILE_LOCK, RANDOM,
 * NOMEM. */
OXL_MUST_CHECK int oxl_temp_create(struct oxl_temp *t, struct oxl_writer *w, struct oxl_dnode *dir, const char *name,
                                   mode_t mode, struct oxl_error *err);

/* A symbolic link, complete and closed. */
OXL_MUST_CHECK int oxl_temp_create_link(struct oxl_temp *t, struct oxl_writer *w, struct oxl_dnode *dir,
                                        const char *name, const char *target, struct oxl_error *err);

/* The written descriptor, opened again if parked. FILE_OPEN. */
OXL_MUST_CHECK int oxl_temp_fd(struct oxl_temp *t, int *ret_fd, struct oxl_error *err);

/* Reserves space for @bytes. FILE_WRITE when there is none; file systems that cannot reserve are fine. */
OXL_MUST_CHECK int oxl_temp_reserve(struct oxl_temp *t, uint64_t bytes, struct oxl_error *err);

OXL_MUST_CHECK int oxl_temp_write(struct oxl_temp *t, const void *bytes, size_t n, struct oxl_error *err);
OXL_MUST_CHECK int oxl_temp_write_at(struct oxl_temp *t, uint64_t at, const void *bytes, size_t n,
                                     struct oxl_error *err);
OXL_MUST_CHECK int oxl_temp_skip(struct oxl_temp *t, uint64_t n, struct oxl_error *err);

/* Sets the size and the mode that are still waiting. Part of the sync; by itself for derived files. FILE_WRITE, FILE_META. */
OXL_MUST_CHECK int oxl_temp_complete(struct oxl_temp *t, struct oxl_error *err);

/* The one fsync. FILE_SYNC, FILE_WRITE, FILE_META: the writer is poisoned (FILE_SYNC). Again: 0 at once. */
OXL_MUST_CHECK int oxl_temp_sync(struct oxl_temp *t, struct oxl_error *err);

/* Closes the written descriptor, checked. FILE_CLOSE: poisoned. Again: 0 at once. */
OXL_MUST_CHECK int oxl_temp_close(struct oxl_temp *t, struct oxl_error *err);

/* What oxl_temp_sync_many begins with, and, where one syncfs is enough, that syncfs on a thread of its own while the caller goes on with other
 * temps. Nothing of @t is durable before sync_end with the same @t said so. One at a time: FILE_SYNC may be that of one before. */
OXL_MUST_CHECK int oxl_temp_sync_begin(struct oxl_writer *w, struct oxl_temp *const *t, size_t n,
                                       struct oxl_error *err);
OXL_MUST_CHECK int oxl_temp_sync_end(struct oxl_writer *w, struct oxl_temp *const *t, size_t n, struct oxl_error *err);
/* Waits for a syncfs that was begun and not ended. -1 with errno: it failed, and the writer is poisoned. */
OXL_MUST_CHECK int oxl_temp_settle(struct oxl_writer *w);

/* sync and close of many: above 32 by one syncfs where that reports errors. */
OXL_MUST_CHECK int oxl_temp_sync_many(struct oxl_writer *w, struct oxl_temp *const *t, size_t n, struct oxl_error *err);

/* Renames the closed temp to @name in @dir; both directories are marked for the barrier. @target is for messages.
 * FILE_RENAME, FILE_EXISTS, UNSUPPORTED (@no_replace on a file system that cannot), DIR_OPEN: nothing was published. */
OXL_MUST_CHECK int oxl_temp_publish(struct oxl_temp *t, struct oxl_dnode *dir, const char *name, const char *target,
                                    bool no_replace, struct oxl_error *err);

/* Closes, and removes what was not published. Idempotent; keeps errno. False: the temp could not be removed, *ret_os
 * (may be NULL) says why. */
bool oxl_temp_done(struct oxl_temp *t, int *ret_os);

/* Closes and forgets: the name stays on disk. */
void oxl_temp_leave(struct oxl_temp *t);

#endif
