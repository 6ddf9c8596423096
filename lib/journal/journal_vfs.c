/* SPDX-License-Identifier: MIT */
/*
 * What stands between SQLite and the files of a journal: checksums of database pages, and a directory sync less.
 *
 * Checksums. integrity_check finds wrong structure, the chain wrong events; a flipped bit in any other row is just another row. So
 * every page of the database ends in 16 bytes that SQLite leaves to us ("reserved space"), computed when the page is written and
 * compared when it is read. Frames of the -wal have SQLite's own checksums; what the reserved bytes hold there does not
 * matter, because a checkpoint writes through here as well. A page of zeros is one that was never written. A
 * database without the reserved space is read as it is; fsck calls it damaged.
 *
 * A mismatch is SQLITE_IOERR_DATA, which oxl_journal_fail makes JOURNAL_DAMAGED.
 *
 * The sync. SQLite syncs the directory at the first sync of every connection's -wal, because it opens
 * the -wal with O_CREAT each time and cannot know who made it. A short-lived process that commits once pays two syncs.
 * Here a -wal that has frames is opened without O_CREAT, hence without that directory sync. That is safe: frames are
 * written only after the header was synced (SQLite does so with synchronous NORMAL and FULL), and the first sync by the
 * connection that created the file syncs the directory as well. A shorter -wal may be one whose creator was killed before
 * that: it is opened as usual. tests: unit/journal counts the syncs of both.
 *
 * The VFS is a copy of the default one, so a model disk that is registered as the default is under it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "journal/internal.h"

enum { WAL_HEADER_BYTES = 32, RESERVED_AT = 20 };

struct journal_vfs {
        sqlite3_vfs vfs; /* first: SQLite passes its address */
        sqlite3_vfs *below;
        struct oxl_repo_id id;
        char name[40];
};

/* --- pages ------------------------------------------------------------------------------------------------------- */

void oxl_journal_page_sum(const struct oxl_repo_id *id, uint32_t number, const uint8_t page[OXL_JOURNAL_PAGE_BYTES],
                          uint8_t ret[OXL_JOURNAL_SUM_BYTES])
{
        struct oxl_hasher h;
        struct oxl_digest d;
        oxl_hasher_init_derive(&h, OXL_CONTEXT_JOURNAL_PAGE);
        oxl_hasher_update(&h, id->bytes, OXL_REPO_ID_BYTES);
        oxl_hasher_le32(&h, number);
        oxl_hasher_update(&h, page, OXL_JOURNAL_PAGE_BYTES - OXL_JOURNAL_SUM_BYTES);
        oxl_hasher_final(&h, &d);
        memcpy(ret, d.bytes, OXL_JOURNAL_SUM_BYTES);
}

enum oxl_journal_page_state oxl_journal_page_check(const struct oxl_repo_id *id, uint32_t number,
                                                   const uint8_t page[OXL_JOURNAL_PAGE_BYTES])
{
        static const uint8_t zeros[OXL_JOURNAL_PAGE_BYTES];
        uint8_t sum[OXL_JOURNAL_SUM_BYTES];
        oxl_journal_page_sum(id, number, page, sum);
        if (memcmp(page + OXL_JOURNAL_PAGE_BYTES - sizeof sum, sum, sizeof sum) == 0)
                return OXL_JOURNAL_PAGE_GOOD;
        return memcmp(page, zeros, sizeof zeros) == 0 ? OXL_JOURNAL_PAGE_EMPTY : OXL_JOURNAL_PAGE_BAD;
}

/* --- the database's file ----------------------------------------------------------------------------------------- */

struct database { /* followed by the file below */
        sqlite3_file file;
        const struct journal_vfs *vfs;
        bool sums; /* the header reserves the space */
};

static sqlite3_file *file_below(sqlite3_file *file)
{
        return (sqlite3_file *)(void *)((struct database *)(void *)file + 1);
}

static bool is_page(int n, sqlite3_int64 at)
{
        return n == OXL_JOURNAL_PAGE_BYTES && at % OXL_JOURNAL_PAGE_BYTES == 0;
}

static void see_header(struct database *d, const uint8_t *bytes, int n, sqlite3_int64 at)
{
        if (at == 0 && n > RESERVED_AT)
                d->sums = bytes[RESERVED_AT] == OXL_JOURNAL_SUM_BYTES;
}

static int db_read(sqlite3_file *file, void *buf, int n, sqlite3_int64 at)
{
        struct database *d = (struct database *)(void *)file;
        sqlite3_file *below = file_below(file);
        int rc = below->pMethods->xRead(below, buf, n, at);
        if (rc != SQLITE_OK)
                return rc;
        see_header(d, buf, n, at);
        if (!d->sums || !is_page(n, at))
                return SQLITE_OK;
        uint32_t number = (uint32_t)(at / OXL_JOURNAL_PAGE_BYTES) + 1;
        return oxl_journal_page_check(&d->vfs->id, number, buf) == OXL_JOURNAL_PAGE_BAD ? SQLITE_IOERR_DATA : SQLITE_OK;
}

static int db_write(sqlite3_file *file, const void *buf, int n, sqlite3_int64 at)
{
        struct database *d = (struct database *)(void *)file;
        sqlite3_file *below = file_below(file);
        uint8_t page[OXL_JOURNAL_PAGE_BYTES];
        see_header(d, buf, n, at);
        if (!d->sums || !is_page(n, at))
                return below->pMethods->xWrite(below, buf, n, at);
        memcpy(page, buf, sizeof page);
        oxl_journal_page_sum(&d->vfs->id, (uint32_t)(at / OXL_JOURNAL_PAGE_BYTES) + 1, page,
                             page + sizeof page - OXL_JOURNAL_SUM_BYTES);
        return below->pMethods->xWrite(below, page, n, at);
}

static int db_close(sqlite3_file *file)
{
        return file_below(file)->pMethods->xClose(file_below(file));
}

static int db_truncate(sqlite3_file *file, sqlite3_int64 size)
{
        return file_below(file)->pMethods->xTruncate(file_below(file), size);
}

static int db_sync(sqlite3_file *file, int flags)
{
        return file_below(file)->pMethods->xSync(file_below(file), flags);
}

static int db_size(sqlite3_file *file, sqlite3_int64 *ret)
{
        return file_below(file)->pMethods->xFileSize(file_below(file), ret);
}

static int db_lock(sqlite3_file *file, int level)
{
        return file_below(file)->pMethods->xLock(file_below(file), level);
}

static int db_unlock(sqlite3_file *file, int level)
{
        return file_below(file)->pMethods->xUnlock(file_below(file), level);
}

static int db_check_lock(sqlite3_file *file, int *ret)
{
        return file_below(file)->pMethods->xCheckReservedLock(file_below(file), ret);
}

static int db_control(sqlite3_file *file, int what, void *arg)
{
        return file_below(file)->pMethods->xFileControl(file_below(file), what, arg);
}

static int db_sector(sqlite3_file *file)
{
        return file_below(file)->pMethods->xSectorSize(file_below(file));
}

static int db_device(sqlite3_file *file)
{
        return file_below(file)->pMethods->xDeviceCharacteristics(file_below(file));
}

static int db_shm_map(sqlite3_file *file, int region, int size, int extend, void volatile **ret)
{
        return file_below(file)->pMethods->xShmMap(file_below(file), region, size, extend, ret);
}

static int db_shm_lock(sqlite3_file *file, int at, int n, int flags)
{
        return file_below(file)->pMethods->xShmLock(file_below(file), at, n, flags);
}

static void db_shm_barrier(sqlite3_file *file)
{
        file_below(file)->pMethods->xShmBarrier(file_below(file));
}

static int db_shm_unmap(sqlite3_file *file, int delete_it)
{
        return file_below(file)->pMethods->xShmUnmap(file_below(file), delete_it);
}

/* Version 2: with shared memory, and without mmap, which would read past us. */
static const sqlite3_io_methods db_methods = {
        .iVersion = 2,
        .xClose = db_close,
        .xRead = db_read,
        .xWrite = db_write,
        .xTruncate = db_truncate,
        .xSync = db_sync,
        .xFileSize = db_size,
        .xLock = db_lock,
        .xUnlock = db_unlock,
        .xCheckReservedLock = db_check_lock,
        .xFileControl = db_control,
        .xSectorSize = db_sector,
        .xDeviceCharacteristics = db_device,
        .xShmMap = db_shm_map,
        .xShmLock = db_shm_lock,
        .xShmBarrier = db_shm_barrier,
        .xShmUnmap = db_shm_unmap,
};

static int open_database(const struct journal_vfs *v, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
        struct database *d = (struct database *)(void *)file;
        sqlite3_file *below = file_below(file);
        *d = (struct database){ .vfs = v };
        below->pMethods = NULL;
        int rc = v->below->xOpen(v->below, name, below, flags, ret_flags);
        if (rc == SQLITE_OK && below->pMethods->iVersion < 2) { /* no shared memory: not made for a WAL */
                below->pMethods->xClose(below);
                return SQLITE_CANTOPEN;
        }
        if (below->pMethods) /* SQLite closes what has methods, also after a failure */
                d->file.pMethods = &db_methods;
        return rc;
}

/* --- opening ----------------------------------------------------------------------------------------------------- */

static bool has_frames(sqlite3_file *file)
{
        sqlite3_int64 size = 0;
        return file->pMethods->xFileSize(file, &size) == SQLITE_OK && size > WAL_HEADER_BYTES;
}

static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
        const struct journal_vfs *v = (struct journal_vfs *)(void *)vfs;
        sqlite3_vfs *below = v->below;
        if (flags & SQLITE_OPEN_MAIN_DB)
                return open_database(v, name, file, flags, ret_flags);
        if ((flags & SQLITE_OPEN_WAL) && (flags & SQLITE_OPEN_CREATE)) {
                int rc = below->xOpen(below, name, file, flags & ~SQLITE_OPEN_CREATE, ret_flags);
                if (rc == SQLITE_OK && has_frames(file))
                        return rc;
                if (file->pMethods)
                        file->pMethods->xClose(file);
        }
        return below->xOpen(below, name, file, flags, ret_flags);
}

sqlite3_vfs *oxl_journal_vfs_new(const struct oxl_repo_id *id)
{
        struct journal_vfs *v = calloc(1, sizeof *v);
        sqlite3_vfs *below = sqlite3_vfs_find(NULL);
        if (!v || !below) {
                free(v);
                return NULL;
        }
        v->vfs = *below;
        v->below = below;
        v->id = *id;
        snprintf(v->name, sizeof v->name, "oxenlite-%p", (void *)v);
        v->vfs.zName = v->name;
        v->vfs.pNext = NULL;
        v->vfs.szOsFile = below->szOsFile + (int)sizeof(struct database);
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
