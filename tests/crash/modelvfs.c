/* SPDX-License-Identifier: MIT */
/* See modelvfs.h. Locks and shared memory are those of one process: a connection conflicts with others of its file. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "crash/modelfs_image.h"
#include "crash/modelvfs.h"

enum { SHM_REGIONS_MAX = 64, SECTOR_BYTES = 4096 };

/* What connections to one file share. */
struct vnode {
        struct vnode *next;
        const struct modelfs *fs;
        uint64_t ino;
        unsigned refs;
        unsigned shared; /* connections that hold SHARED or more */
        const struct vfile *reserved, *exclusive;
        void *region[SHM_REGIONS_MAX];
        unsigned shm_refs;
        unsigned shm_shared[SQLITE_SHM_NLOCK];
        const struct vfile *shm_exclusive[SQLITE_SHM_NLOCK];
};

struct vfile {
        sqlite3_file base;
        struct vnode *node;
        int fd;
        int lock;
        int last_errno;
        bool sync_directory; /* at the first xSync */
        bool delete_on_close;
        bool shm;
        unsigned shm_shared, shm_exclusive; /* bits of slots */
        char path[PATH_MAX];
};

static struct vnode *vnodes;

static struct vfile *vfile_of(sqlite3_file *f)
{
        return (struct vfile *)(void *)f;
}

/* --- nodes -------------------------------------------------------------------------------------------------------- */

static struct vnode *vnode_ref(uint64_t ino)
{
        for (struct vnode *v = vnodes; v; v = v->next) {
                if (v->fs == modelfs_mounted && v->ino == ino) {
                        v->refs++;
                        return v;
                }
        }
        struct vnode *v = mfs_alloc(sizeof *v);
        *v = (struct vnode){ .next = vnodes, .fs = modelfs_mounted, .ino = ino, .refs = 1 };
        return vnodes = v;
}

static void shm_forget(struct vnode *v)
{
        for (int i = 0; i < SHM_REGIONS_MAX; i++) {
                free(v->region[i]);
                v->region[i] = NULL;
        }
}

static void vnode_unref(struct vnode *v)
{
        if (--v->refs > 0)
                return;
        for (struct vnode **p = &vnodes; *p; p = &(*p)->next) {
                if (*p != v)
                        continue;
                *p = v->next;
                break;
        }
        shm_forget(v);
        free(v);
}

/* --- files -------------------------------------------------------------------------------------------------------- */

static int parent_fd(const char *path)
{
        char dir[PATH_MAX];
        const char *slash = strrchr(path, '/');
        if (!slash)
                abort(); /* SQLite only hands out full paths */
        size_t n = slash == path ? 1 : (size_t)(slash - path);
        memcpy(dir, path, n);
        dir[n] = 0;
        return oxl_sys->openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
}

/* As in the unix VFS, whether it can be opened decides nothing; its sync does. */
static int sync_parent(const char *path)
{
        int fd = parent_fd(path);
        if (fd < 0)
                return SQLITE_OK;
        int rc = oxl_sys->fdatasync(fd) < 0 ? SQLITE_IOERR_DIR_FSYNC : SQLITE_OK;
        (void)oxl_sys->close(fd);
        return rc;
}

static int f_close(sqlite3_file *f)
{
        struct vfile *v = vfile_of(f);
        f->pMethods->xUnlock(f, SQLITE_LOCK_NONE);
        if (v->delete_on_close)
                (void)oxl_sys->unlinkat(AT_FDCWD, v->path, 0);
        (void)oxl_sys->close(v->fd);
        vnode_unref(v->node);
        f->pMethods = NULL;
        return SQLITE_OK;
}

static int f_read(sqlite3_file *f, void *buf, int n, sqlite3_int64 at)
{
        struct vfile *v = vfile_of(f);
        ssize_t got = oxl_sys->pread(v->fd, buf, (size_t)n, (off_t)at);
        if (got == n)
                return SQLITE_OK;
        if (got < 0) {
                v->last_errno = errno;
                return SQLITE_IOERR_READ;
        }
        memset((char *)buf + got, 0, (size_t)(n - got));
        return SQLITE_IOERR_SHORT_READ;
}

static int f_write(sqlite3_file *f, const void *buf, int n, sqlite3_int64 at)
{
        struct vfile *v = vfile_of(f);
        if (oxl_sys->pwrite(v->fd, buf, (size_t)n, (off_t)at) == n)
                return SQLITE_OK;
        v->last_errno = errno;
        return errno == ENOSPC ? SQLITE_FULL : SQLITE_IOERR_WRITE;
}

static int f_truncate(sqlite3_file *f, sqlite3_int64 size)
{
        struct vfile *v = vfile_of(f);
        if (oxl_sys->ftruncate(v->fd, (off_t)size) == 0)
                return SQLITE_OK;
        v->last_errno = errno;
        return SQLITE_IOERR_TRUNCATE;
}

static int f_sync(sqlite3_file *f, int flags)
{
        struct vfile *v = vfile_of(f);
        (void)flags;
        if (oxl_sys->fdatasync(v->fd) < 0) {
                v->last_errno = errno;
                return SQLITE_IOERR_FSYNC;
        }
        if (!v->sync_directory)
                return SQLITE_OK;
        v->sync_directory = false;
        (void)sync_parent(v->path); /* the unix VFS does not look at the result here */
        return SQLITE_OK;
}

static int f_size(sqlite3_file *f, sqlite3_int64 *ret)
{
        struct stat st;
        struct vfile *v = vfile_of(f);
        if (oxl_sys->fstat(v->fd, &st) < 0) {
                v->last_errno = errno;
                return SQLITE_IOERR_FSTAT;
        }
        *ret = (sqlite3_int64)st.st_size;
        return SQLITE_OK;
}

static int f_control(sqlite3_file *f, int op, void *arg)
{
        switch (op) {
        case SQLITE_FCNTL_LAST_ERRNO: *(int *)arg = vfile_of(f)->last_errno; return SQLITE_OK;
        case SQLITE_FCNTL_LOCKSTATE: *(int *)arg = vfile_of(f)->lock; return SQLITE_OK;
        case SQLITE_FCNTL_SIZE_HINT: return SQLITE_OK;
        default: return SQLITE_NOTFOUND;
        }
}

static int f_sector(sqlite3_file *f)
{
        (void)f;
        return SECTOR_BYTES;
}

static int f_characteristics(sqlite3_file *f)
{
        (void)f;
        return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

/* --- locks -------------------------------------------------------------------------------------------------------- */

static int f_lock(sqlite3_file *f, int want)
{
        struct vfile *v = vfile_of(f);
        struct vnode *n = v->node;
        if (v->lock >= want)
                return SQLITE_OK;
        if (n->exclusive && n->exclusive != v)
                return SQLITE_BUSY;
        if (want >= SQLITE_LOCK_RESERVED && n->reserved && n->reserved != v)
                return SQLITE_BUSY;
        if (v->lock == SQLITE_LOCK_NONE)
                n->shared++;
        v->lock = v->lock < SQLITE_LOCK_SHARED ? SQLITE_LOCK_SHARED : v->lock;
        if (want >= SQLITE_LOCK_RESERVED)
                n->reserved = v;
        if (want == SQLITE_LOCK_EXCLUSIVE && n->shared > 1)
                return SQLITE_BUSY;
        if (want == SQLITE_LOCK_EXCLUSIVE)
                n->exclusive = v;
        v->lock = want;
        return SQLITE_OK;
}

static int f_unlock(sqlite3_file *f, int want)
{
        struct vfile *v = vfile_of(f);
        struct vnode *n = v->node;
        if (v->lock <= want)
                return SQLITE_OK;
        if (n->exclusive == v)
                n->exclusive = NULL;
        if (n->reserved == v)
                n->reserved = NULL;
        if (want == SQLITE_LOCK_NONE)
                n->shared--;
        v->lock = want;
        return SQLITE_OK;
}

static int f_reserved(sqlite3_file *f, int *ret)
{
        *ret = vfile_of(f)->node->reserved != NULL;
        return SQLITE_OK;
}

/* --- shared memory -------------------------------------------------------------------------------------------------- */

static int f_shm_map(sqlite3_file *f, int region, int size, int extend, void volatile **ret)
{
        struct vfile *v = vfile_of(f);
        *ret = NULL;
        if (region >= SHM_REGIONS_MAX)
                return SQLITE_NOMEM;
        if (!v->shm) {
                v->shm = true;
                v->node->shm_refs++;
        }
        if (!v->node->region[region] && extend)
                v->node->region[region] = mfs_alloc((size_t)size);
        *ret = v->node->region[region];
        return SQLITE_OK;
}

static int shm_unlock(struct vfile *v, unsigned slot)
{
        struct vnode *n = v->node;
        if (v->shm_shared >> slot & 1)
                n->shm_shared[slot]--;
        if (n->shm_exclusive[slot] == v)
                n->shm_exclusive[slot] = NULL;
        v->shm_shared &= ~(1U << slot);
        v->shm_exclusive &= ~(1U << slot);
        return SQLITE_OK;
}

static bool shm_free(const struct vfile *v, unsigned slot, bool exclusive)
{
        const struct vnode *n = v->node;
        unsigned others = n->shm_shared[slot] - (v->shm_shared >> slot & 1);
        return (!n->shm_exclusive[slot] || n->shm_exclusive[slot] == v) && !(exclusive && others > 0);
}

static int f_shm_lock(sqlite3_file *f, int from, int count, int flags)
{
        struct vfile *v = vfile_of(f);
        bool exclusive = flags & SQLITE_SHM_EXCLUSIVE;
        for (int i = from; i < from + count && (flags & SQLITE_SHM_LOCK); i++)
                if (!shm_free(v, (unsigned)i, exclusive))
                        return SQLITE_BUSY;
        for (int i = from; i < from + count; i++) {
                unsigned slot = (unsigned)i;
                if (flags & SQLITE_SHM_UNLOCK) {
                        (void)shm_unlock(v, slot);
                } else if (exclusive) {
                        v->node->shm_exclusive[slot] = v;
                        v->shm_exclusive |= 1U << slot;
                } else if (!(v->shm_shared >> slot & 1)) {
                        v->node->shm_shared[slot]++;
                        v->shm_shared |= 1U << slot;
                }
        }
        return SQLITE_OK;
}

static void f_shm_barrier(sqlite3_file *f)
{
        (void)f;
}

/* The last one to leave forgets it: the unix VFS's file would stay, and the next to open it would clear it. */
static int f_shm_unmap(sqlite3_file *f, int delete_it)
{
        struct vfile *v = vfile_of(f);
        (void)delete_it;
        if (!v->shm)
                return SQLITE_OK;
        for (unsigned slot = 0; slot < SQLITE_SHM_NLOCK; slot++)
                (void)shm_unlock(v, slot);
        v->shm = false;
        if (--v->node->shm_refs == 0)
                shm_forget(v->node);
        return SQLITE_OK;
}

static const sqlite3_io_methods methods = {
        .iVersion = 2,
        .xClose = f_close,
        .xRead = f_read,
        .xWrite = f_write,
        .xTruncate = f_truncate,
        .xSync = f_sync,
        .xFileSize = f_size,
        .xLock = f_lock,
        .xUnlock = f_unlock,
        .xCheckReservedLock = f_reserved,
        .xFileControl = f_control,
        .xSectorSize = f_sector,
        .xDeviceCharacteristics = f_characteristics,
        .xShmMap = f_shm_map,
        .xShmLock = f_shm_lock,
        .xShmBarrier = f_shm_barrier,
        .xShmUnmap = f_shm_unmap,
};

/* --- the VFS -------------------------------------------------------------------------------------------------------- */

static int open_flags(int flags)
{
        int os = flags & SQLITE_OPEN_READWRITE ? O_RDWR : O_RDONLY;
        os |= flags & SQLITE_OPEN_CREATE ? O_CREAT : 0;
        os |= flags & SQLITE_OPEN_EXCLUSIVE ? O_EXCL | O_NOFOLLOW : 0;
        return os | O_CLOEXEC;
}

static int v_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *ret_flags)
{
        struct vfile *v = vfile_of(f);
        struct stat st;
        (void)vfs;
        *v = (struct vfile){ .fd = -1 };
        if (!name || strlen(name) >= sizeof v->path)
                return SQLITE_CANTOPEN; /* files without a name: temp_store is MEMORY */
        v->fd = oxl_sys->openat(AT_FDCWD, name, open_flags(flags), 0644);
        if (v->fd < 0)
                return SQLITE_CANTOPEN;
        if (oxl_sys->fstat(v->fd, &st) < 0) {
                (void)oxl_sys->close(v->fd);
                return SQLITE_IOERR_FSTAT;
        }
        int journals = SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL | SQLITE_OPEN_WAL;
        v->sync_directory = (flags & SQLITE_OPEN_CREATE) && (flags & journals);
        v->delete_on_close = flags & SQLITE_OPEN_DELETEONCLOSE;
        v->node = vnode_ref(st.st_ino);
        memcpy(v->path, name, strlen(name) + 1);
        f->pMethods = &methods;
        if (ret_flags)
                *ret_flags = flags;
        return SQLITE_OK;
}

static int v_delete(sqlite3_vfs *vfs, const char *name, int sync_directory)
{
        (void)vfs;
        if (oxl_sys->unlinkat(AT_FDCWD, name, 0) < 0)
                return errno == ENOENT ? SQLITE_IOERR_DELETE_NOENT : SQLITE_IOERR_DELETE;
        return sync_directory & 1 ? sync_parent(name) : SQLITE_OK;
}

static int v_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret)
{
        struct stat st;
        (void)vfs;
        *ret = oxl_sys->fstatat(AT_FDCWD, name, &st, 0) == 0;
        if (*ret && flags == SQLITE_ACCESS_EXISTS)
                *ret = !S_ISREG(st.st_mode) || st.st_size > 0;
        return SQLITE_OK;
}

static int v_full_path(sqlite3_vfs *vfs, const char *name, int n, char *ret)
{
        (void)vfs;
        if (name[0] != '/' || strlen(name) >= (size_t)n)
                return SQLITE_CANTOPEN;
        memcpy(ret, name, strlen(name) + 1);
        return SQLITE_OK;
}

/* Depends on the boot alone, so that what is tried between two calls changes nothing. */
static int v_randomness(sqlite3_vfs *vfs, int n, char *ret)
{
        (void)vfs;
        uint64_t z = modelfs_mounted ? modelfs_mounted->generation + 1 : 0;
        for (int i = 0; i < n; i++) {
                z = z * 6364136223846793005U + 1442695040888963407U;
                ret[i] = (char)(z >> 56);
        }
        return n;
}

static int v_sleep(sqlite3_vfs *vfs, int microseconds)
{
        (void)vfs;
        return microseconds;
}

static int v_time(sqlite3_vfs *vfs, double *ret)
{
        (void)vfs;
        *ret = 2460000.5;
        return SQLITE_OK;
}

static int v_last_error(sqlite3_vfs *vfs, int n, char *ret)
{
        (void)vfs, (void)n, (void)ret;
        return errno;
}

/* Draws from v_randomness() anew. */
static void forget_random(void)
{
        sqlite3_randomness(0, NULL);
}

void modelvfs_register(void)
{
        static sqlite3_vfs vfs = {
                .iVersion = 1,
                .szOsFile = sizeof(struct vfile),
                .mxPathname = PATH_MAX - 1,
                .zName = "model",
                .xOpen = v_open,
                .xDelete = v_delete,
                .xAccess = v_access,
                .xFullPathname = v_full_path,
                .xRandomness = v_randomness,
                .xSleep = v_sleep,
                .xCurrentTime = v_time,
                .xGetLastError = v_last_error,
        };
        if (sqlite3_vfs_register(&vfs, 1) != SQLITE_OK)
                abort();
        modelfs_on_switch = forget_random;
}
