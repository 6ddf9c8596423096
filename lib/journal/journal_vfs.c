/* SPDX-License-Identifier: MIT */
/*
 * One habit of SQLite's unix VFS, mended: it syncs the directory at the first sync of every connection's -wal, because it opens
 * the -wal with O_CREAT each time and cannot know who made it. A short-lived process that commits once pays two syncs.
 *
 * Here a -wal that has frames is opened without O_CREAT, hence without that directory sync. That is safe: frames are
 * written only after the header was synced (SQLite does so with synchronous NORMAL and FULL), and the first sync by the
 * connection that created the file syncs the directory as well. A shorter -wal may be one whose creator was killed before
 * that: it is opened as usual. tests: unit/journal counts the syncs of both.
 *
 * The VFS is a copy of the default one, so a model disk that is registered as the default is under it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "journal/internal.h"

enum { WAL_HEADER_BYTES = 32 };

struct journal_vfs {
        sqlite3_vfs vfs; /* first: SQLite passes its address */
        sqlite3_vfs *below;
        char name[40];
};

static bool has_frames(sqlite3_file *file)
{
        sqlite3_int64 size = 0;
        return file->pMethods->xFileSize(file, &size) == SQLITE_OK && size > WAL_HEADER_BYTES;
}

static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
        sqlite3_vfs *below = ((struct journal_vfs *)(void *)vfs)->below;
        if ((flags & SQLITE_OPEN_WAL) && (flags & SQLITE_OPEN_CREATE)) {
                int rc = below->xOpen(below, name, file, flags & ~SQLITE_OPEN_CREATE, ret_flags);
                if (rc == SQLITE_OK && has_frames(file))
                        return rc;
                if (file->pMethods)
                        file->pMethods->xClose(file);
        }
        return below->xOpen(below, name, file, flags, ret_flags);
}

sqlite3_vfs *oxl_journal_vfs_new(void)
{
        struct journal_vfs *v = calloc(1, sizeof *v);
        sqlite3_vfs *below = sqlite3_vfs_find(NULL);
        if (!v || !below) {
                free(v);
                return NULL;
        }
        v->vfs = *below;
        v->below = below;
        snprintf(v->name, sizeof v->name, "oxenlite-%p", (void *)v);
        v->vfs.zName = v->name;
        v->vfs.pNext = NULL;
        v->vfs.xOpen = open_file;
        if (sqlite3_vfs_register(&v->vfs, 0) != SQLITE_OK) {
                free(v);
                return NULL;
        }
        return &v->vfs;
}

void oxl_journal_vfs_free(sqlite3_vfs *vfs)
{
        if (!vfs)
                return;
        sqlite3_vfs_unregister(vfs);
        free(vfs);
}
