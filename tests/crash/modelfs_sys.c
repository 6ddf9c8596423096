/* SPDX-License-Identifier: MIT */
/* The model disk's system calls: path lookup, descriptors, locks, and the table. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/openat2.h>

#include "crash/modelfs_image.h"

struct modelfs *modelfs_mounted;

static int fail(int os)
{
        errno = os;
        return -1;
}

static struct modelfs *the_fs(void)
{
        if (!modelfs_mounted)
                abort();
        return modelfs_mounted;
}

static const struct minode *node_of(uint32_t ino)
{
        return the_fs()->now.inodes[ino];
}

static char *text_copy(const char *s)
{
        size_t n = strlen(s) + 1;
        return memcpy(mfs_alloc(n), s, n);
}

static void do_op(struct mop op)
{
        modelfs_do(the_fs(), op);
}

static void do_attr(uint32_t ino, struct minode want)
{
        do_op((struct mop){ .kind = MOP_ATTR,
                            .ino = ino,
                            .mode = want.mode,
                            .uid = want.uid,
                            .gid = want.gid,
                            .mtime = want.mtime });
}

/* --- descriptors -------------------------------------------------------------------------------------------------- */

static struct mofd *ofd_of(int fd)
{
        int i = fd - MODELFS_FD_FIRST;
        return i >= 0 && i < MODELFS_FD_MAX ? the_fs()->fds[i] : NULL;
}

static int fd_new(struct mofd *ofd)
{
        struct modelfs *fs = the_fs();
        for (int i = 0; i < MODELFS_FD_MAX; i++) {
                if (fs->fds[i])
                        continue;
                fs->fds[i] = ofd;
                ofd->refs++;
                return MODELFS_FD_FIRST + i;
        }
        if (ofd->refs == 0)
                free(ofd);
        return fail(EMFILE);
}

static void locks_drop(struct modelfs *fs, const struct mofd *ofd)
{
        size_t kept = 0;
        for (size_t i = 0; i < fs->locks_n; i++)
                if (fs->locks[i].owner != ofd)
                        fs->locks[kept++] = fs->locks[i];
        fs->locks_n = kept;
}

static void fd_drop(struct modelfs *fs, int i)
{
        struct mofd *ofd = fs->fds[i];
        fs->fds[i] = NULL;
        if (!ofd || --ofd->refs > 0)
                return;
        locks_drop(fs, ofd);
        free(ofd);
}

static int m_close(int fd)
{
        if (!ofd_of(fd))
                return fail(EBADF);
        fd_drop(the_fs(), fd - MODELFS_FD_FIRST);
        return 0;
}

static int m_dup(int fd)
{
        struct mofd *ofd = ofd_of(fd);
        return ofd ? fd_new(ofd) : fail(EBADF);
}

unsigned modelfs_open_descriptors(const struct modelfs *fs)
{
        unsigned n = 0;
        for (int i = 0; i < MODELFS_FD_MAX; i++)
                n += fs->fds[i] != NULL;
        return n;
}

/* --- the disk itself ------------------------------------------------------------------------------------------------ */

struct modelfs *modelfs_new(enum modelfs_profile profile)
{
        struct modelfs *fs = mfs_alloc(sizeof *fs);
        fs->profile = profile;
        mimage_init(&fs->base);
        mimage_init(&fs->now);
        fs->random = 42;
        fs->watch.random = 4242;
        fs->watch.seen = &fs->watch.own_seen;
        fs->watch.limits = (struct modelfs_limits){ .exhaustive = 12, .pairs = true, .random = 64, .torn = true };
        return fs;
}

void modelfs_free(struct modelfs *fs)
{
        if (!fs)
                return;
        if (modelfs_mounted == fs)
                modelfs_unmount();
        for (int i = 0; i < MODELFS_FD_MAX; i++)
                fd_drop(fs, i);
        modelfs_checkpoint(fs);
        mimage_done(&fs->base);
        mimage_done(&fs->now);
        free(fs->log);
        free(fs->locks);
        free(fs->watch.own_seen.hash);
        modelfs_words_done(fs);
        free(fs);
}

void modelfs_mount(struct modelfs *fs)
{
        /* A fault table wrapped around modelfs_sys stays where it is. */
        if (!modelfs_mounted)
                oxl_sys = &modelfs_sys;
        modelfs_mounted = fs;
}

void modelfs_unmount(void)
{
        modelfs_mounted = NULL;
        oxl_sys = &oxl_sys_real;
}

/* --- lookup --------------------------------------------------------------------------------------------------------- */

enum { LINKS_MAX = 40 };

struct place {
        uint32_t dir;            /* holds the last name */
        char name[NAME_MAX + 1]; /* "" when the path ends in "." or the root */
        uint32_t ino;            /* 0: no such name */
};

static uint32_t parent_of(uint32_t dir)
{
        const struct mimage *im = &the_fs()->now;
        for (uint32_t i = 1; i < im->n; i++)
                for (size_t k = 0; k < im->inodes[i]->n; k++)
                        if (im->inodes[i]->entries[k].ino == dir)
                                return i;
        return MODELFS_ROOT;
}

static int start_of(int dirfd, const char *path, uint32_t *ret)
{
        const struct mofd *ofd = ofd_of(dirfd);
        if (path[0] == '/' || dirfd == AT_FDCWD)
                *ret = MODELFS_ROOT;
        else if (!ofd)
                return fail(EBADF);
        else
                *ret = ofd->ino;
        return 0;
}

static int walk(uint32_t dir, const char *path, bool follow, bool links_refused, int links, struct place *ret);

static int walk_link(const struct place *p, const char *rest, bool follow, bool links_refused, int links,
                     struct place *ret)
{
        if (links_refused || links >= LINKS_MAX)
                return fail(ELOOP);
        const struct minode *link = node_of(p->ino);
        char path[2 * PATH_MAX], target[PATH_MAX];
        if (link->size >= sizeof target)
                return fail(ENAMETOOLONG);
        minode_read(link, 0, target, (size_t)link->size);
        int n = snprintf(path, sizeof path, "%.*s%s%s", (int)link->size, target, *rest ? "/" : "", rest);
        if (n < 0 || (size_t)n >= sizeof path)
                return fail(ENAMETOOLONG);
        return walk(path[0] == '/' ? MODELFS_ROOT : p->dir, path, follow, links_refused, links + 1, ret);
}

/* One component from @dir. 0; -1 with errno. */
static int step(uint32_t dir, const char *name, size_t n, struct place *ret)
{
        if (!S_ISDIR(node_of(dir)->mode))
                return fail(ENOTDIR);
        if (n > NAME_MAX)
                return fail(ENAMETOOLONG);
        *ret = (struct place){ .dir = dir };
        if (n == 1 && name[0] == '.') {
                ret->ino = dir;
                return 0;
        }
        if (n == 2 && name[0] == '.' && name[1] == '.') {
                ret->dir = ret->ino = parent_of(dir);
                return 0;
        }
        memcpy(ret->name, name, n);
        const struct mentry *e = mimage_find(&the_fs()->now, dir, ret->name);
        ret->ino = e ? e->ino : 0;
        return 0;
}

static int walk(uint32_t dir, const char *path, bool follow, bool links_refused, int links, struct place *ret)
{
        *ret = (struct place){ .dir = dir, .ino = dir };
        if (!*path)
                return fail(ENOENT);
        path += strspn(path, "/");
        while (*path) {
                size_t n = strcspn(path, "/");
                if (step(dir, path, n, ret) < 0)
                        return -1;
                bool more = path[n] != 0;
                const char *rest = path + n + strspn(path + n, "/");
                if (ret->ino && S_ISLNK(node_of(ret->ino)->mode) && (more || follow))
                        return walk_link(ret, rest, follow, links_refused, links, ret);
                if (!*rest)
                        return more && ret->ino && !S_ISDIR(node_of(ret->ino)->mode) ? fail(ENOTDIR) : 0;
                if (!ret->ino)
                        return fail(ENOENT);
                dir = ret->ino;
                path = rest;
        }
        return 0;
}

static int look_up(int dirfd, const char *path, bool follow, struct place *ret)
{
        uint32_t start;
        return start_of(dirfd, path, &start) < 0 ? -1 : walk(start, path, follow, false, 0, ret);
}

/* --- opening -------------------------------------------------------------------------------------------------------- */

static uint32_t create(const struct place *p, mode_t mode)
{
        uint32_t ino = mimage_new_inode(&the_fs()->now, mode);
        do_op((struct mop){ .kind = MOP_ADD, .dir = p->dir, .name = text_copy(p->name), .ino = ino });
        return ino;
}

static int open_place(struct place *p, int flags, mode_t mode)
{
        if (p->ino && (flags & O_CREAT) && (flags & O_EXCL))
                return fail(EEXIST);
        if (!p->ino && !(flags & O_CREAT))
                return fail(ENOENT);
        if (!p->ino)
                p->ino = create(p, S_IFREG | (mode & 0755)); /* umask 022 */
        mode_t type = node_of(p->ino)->mode & S_IFMT;
        if (type == S_IFLNK && !(flags & O_PATH))
                return fail(ELOOP);
        if ((flags & O_DIRECTORY) && type != S_IFDIR)
                return fail(ENOTDIR);
        if (type == S_IFDIR && (flags & O_ACCMODE) != O_RDONLY)
                return fail(EISDIR);
        if (flags & O_TRUNC)
                do_op((struct mop){ .kind = MOP_SIZE, .ino = p->ino });
        struct mofd *ofd = mfs_alloc(sizeof *ofd);
        *ofd = (struct mofd){ .ino = p->ino, .flags = flags };
        return fd_new(ofd);
}

static int m_openat(int dirfd, const char *path, int flags, mode_t mode)
{
        struct place p;
        bool follow = !(flags & O_NOFOLLOW) && !((flags & O_CREAT) && (flags & O_EXCL));
        return look_up(dirfd, path, follow, &p) < 0 ? -1 : open_place(&p, flags, mode);
}

static bool climbs(const char *path)
{
        for (const char *at = path; (at = strstr(at, "..")); at += 2)
                if ((at == path || at[-1] == '/') && (at[2] == 0 || at[2] == '/'))
                        return true;
        return false;
}

/* Only the resolve flags that the library uses. */
static int m_openat2(int dirfd, const char *path, int flags, mode_t mode, uint64_t resolve)
{
        struct place p;
        uint32_t start;
        if ((resolve & RESOLVE_BENEATH) && (path[0] == '/' || climbs(path)))
                return fail(EXDEV);
        if (start_of(dirfd, path, &start) < 0 ||
            walk(start, path, !(flags & O_NOFOLLOW), resolve & RESOLVE_NO_SYMLINKS, 0, &p) < 0)
                return -1;
        return open_place(&p, flags, mode);
}

/* --- reading and writing ---------------------------------------------------------------------------------------------- */

static ssize_t m_pread(int fd, void *buf, size_t n, off_t at)
{
        const struct mofd *ofd = ofd_of(fd);
        if (!ofd || (ofd->flags & O_ACCMODE) == O_WRONLY || (ofd->flags & O_PATH))
                return fail(EBADF);
        const struct minode *node = node_of(ofd->ino);
        if (S_ISDIR(node->mode))
                return fail(EISDIR);
        if ((uint64_t)at >= node->size)
                return 0;
        if (n > node->size - (uint64_t)at)
                n = (size_t)(node->size - (uint64_t)at);
        minode_read(node, (uint64_t)at, buf, n);
        return (ssize_t)n;
}

static ssize_t m_read(int fd, void *buf, size_t n)
{
        struct mofd *ofd = ofd_of(fd);
        ssize_t r = m_pread(fd, buf, n, ofd ? (off_t)ofd->pos : 0);
        if (r > 0)
                ofd->pos += (uint64_t)r;
        return r;
}

static ssize_t m_pwrite(int fd, const void *buf, size_t n, off_t at)
{
        const struct mofd *ofd = ofd_of(fd);
        if (!ofd || (ofd->flags & O_ACCMODE) == O_RDONLY)
                return fail(EBADF);
        for (size_t done = 0; done < n;) {
                uint64_t to = (uint64_t)at + done;
                size_t step_n = MODELFS_PAGE - (size_t)(to % MODELFS_PAGE);
                step_n = step_n < n - done ? step_n : n - done;
                if (to + step_n > node_of(ofd->ino)->size) /* the size may reach the disk before the bytes */
                        do_op((struct mop){ .kind = MOP_SIZE, .ino = ofd->ino, .at = to + step_n });
                uint8_t *copy = memcpy(mfs_alloc(step_n), (const char *)buf + done, step_n);
                do_op((struct mop){ .kind = MOP_WRITE, .ino = ofd->ino, .at = to, .n = step_n, .data = copy });
                done += step_n;
        }
        return (ssize_t)n;
}

static ssize_t m_write(int fd, const void *buf, size_t n)
{
        struct mofd *ofd = ofd_of(fd);
        if (ofd && (ofd->flags & O_APPEND))
                ofd->pos = node_of(ofd->ino)->size;
        ssize_t r = m_pwrite(fd, buf, n, ofd ? (off_t)ofd->pos : 0);
        if (r > 0)
                ofd->pos += (uint64_t)r;
        return r;
}

static off_t m_lseek(int fd, off_t at, int whence)
{
        struct mofd *ofd = ofd_of(fd);
        if (!ofd)
                return fail(EBADF);
        const off_t size = (off_t)node_of(ofd->ino)->size;
        switch (whence) {
        case SEEK_SET: break;
        case SEEK_CUR: at += (off_t)ofd->pos; break;
        case SEEK_END: at += size; break;
        case SEEK_DATA: return at < size ? at : fail(ENXIO); /* no holes here */
        case SEEK_HOLE: return at < size ? size : fail(ENXIO);
        default: return fail(EINVAL);
        }
        if (at < 0)
                return fail(EINVAL);
        ofd->pos = (uint64_t)at;
        return at;
}

static int m_ftruncate(int fd, off_t size)
{
        const struct mofd *ofd = ofd_of(fd);
        if (!ofd || (ofd->flags & O_ACCMODE) == O_RDONLY)
                return fail(EBADF);
        do_op((struct mop){ .kind = MOP_SIZE, .ino = ofd->ino, .at = (uint64_t)size });
        return 0;
}

static int m_fallocate(int fd, int mode, off_t at, off_t n)
{
        const struct mofd *ofd = ofd_of(fd);
        if (!ofd || (ofd->flags & O_ACCMODE) == O_RDONLY)
                return fail(EBADF);
        if (mode != 0)
                return fail(EOPNOTSUPP);
        if ((uint64_t)(at + n) > node_of(ofd->ino)->size)
                do_op((struct mop){ .kind = MOP_SIZE, .ino = ofd->ino, .at = (uint64_t)(at + n) });
        return 0;
}

static int m_ficlone(int fd, int src_fd)
{
        (void)fd, (void)src_fd;
        return fail(EOPNOTSUPP);
}

static int m_fiemap(int fd, uint64_t *ret_physical, uint32_t *ret_flags)
{
        (void)fd, (void)ret_physical, (void)ret_flags;
        return fail(EOPNOTSUPP);
}

/* --- directories and names ---------------------------------------------------------------------------------------------- */

static ssize_t m_getdents(int fd, void *buf, size_t n)
{
        struct mofd *ofd = ofd_of(fd);
        if (!ofd || !S_ISDIR(node_of(ofd->ino)->mode))
                return fail(ofd ? ENOTDIR : EBADF);
        const struct minode *node = node_of(ofd->ino);
        size_t filled = 0;
        for (size_t i = 0; i < node->n; i++) {
                const struct mentry *e = &node->entries[i];
                size_t len = (offsetof(struct dirent64, d_name) + strlen(e->name->text) + 1 + 7) & ~(size_t)7;
                if (e->id <= ofd->pos)
                        continue;
                if (filled + len > n)
                        return filled ? (ssize_t)filled : fail(EINVAL);
                struct dirent64 head = { .d_ino = e->ino, .d_off = (off64_t)e->id, .d_reclen = (unsigned short)len };
                head.d_type = (unsigned char)IFTODT(node_of(e->ino)->mode);
                memset((char *)buf + filled, 0, len);
                memcpy((char *)buf + filled, &head, offsetof(struct dirent64, d_name));
                memcpy((char *)buf + filled + offsetof(struct dirent64, d_name), e->name->text, strlen(e->name->text));
                filled += len;
                ofd->pos = e->id;
        }
        return (ssize_t)filled;
}

static int m_mkdirat(int dirfd, const char *path, mode_t mode)
{
        struct place p;
        if (look_up(dirfd, path, false, &p) < 0)
                return -1;
        if (p.ino)
                return fail(EEXIST);
        (void)create(&p, S_IFDIR | (mode & 0755));
        return 0;
}

static int m_symlinkat(const char *target, int dirfd, const char *path)
{
        struct place p;
        if (look_up(dirfd, path, false, &p) < 0)
                return -1;
        if (p.ino)
                return fail(EEXIST);
        size_t n = strlen(target);
        uint32_t ino = mimage_new_inode(&the_fs()->now, S_IFLNK | 0777);
        struct mop text = { .kind = MOP_WRITE, .ino = ino, .n = n, .data = memcpy(mfs_alloc(n), target, n) };
        struct mop size = { .kind = MOP_SIZE, .ino = ino, .at = n };
        text.durable = size.durable = true; /* comes with the inode, as a new file's mode does */
        do_op(text);
        do_op(size);
        do_op((struct mop){ .kind = MOP_ADD, .dir = p.dir, .name = text_copy(p.name), .ino = ino });
        return 0;
}

/* As /proc/self/fd says it. */
static ssize_t path_of_fd(int fd, char *buf, size_t n)
{
        char path[PATH_MAX] = "";
        const struct mofd *ofd = ofd_of(fd);
        if (!ofd)
                return fail(ENOENT);
        for (uint32_t ino = ofd->ino; ino != MODELFS_ROOT;) {
                uint32_t dir = parent_of(ino);
                const struct minode *node = node_of(dir);
                char longer[PATH_MAX];
                size_t k = 0;
                while (k < node->n && node->entries[k].ino != ino)
                        k++;
                if (k == node->n ||
                    snprintf(longer, sizeof longer, "/%s%s", node->entries[k].name->text, path) >= PATH_MAX)
                        return fail(k == node->n ? ENOENT : ENAMETOOLONG);
                memcpy(path, longer, sizeof path);
                ino = dir;
        }
        if (!path[0])
                path[0] = '/', path[1] = 0;
        n = n < strlen(path) ? n : strlen(path);
        memcpy(buf, path, n);
        return (ssize_t)n;
}

static ssize_t m_readlinkat(int dirfd, const char *path, char *buf, size_t n)
{
        struct place p;
        int fd;
        if (sscanf(path, "/proc/self/fd/%d", &fd) == 1)
                return path_of_fd(fd, buf, n);
        if (look_up(dirfd, path, false, &p) < 0)
                return -1;
        const struct minode *node = p.ino ? node_of(p.ino) : NULL;
        if (!node || !S_ISLNK(node->mode))
                return fail(node ? EINVAL : ENOENT);
        n = n < node->size ? n : (size_t)node->size;
        minode_read(node, 0, buf, n);
        return (ssize_t)n;
}

static int m_unlinkat(int dirfd, const char *path, int flags)
{
        struct place p;
        if (look_up(dirfd, path, false, &p) < 0)
                return -1;
        if (!p.ino || !p.name[0])
                return fail(p.ino ? EINVAL : ENOENT);
        bool is_dir = S_ISDIR(node_of(p.ino)->mode);
        if (is_dir != !!(flags & AT_REMOVEDIR))
                return fail(is_dir ? EISDIR : ENOTDIR);
        if (is_dir && node_of(p.ino)->n > 0)
                return fail(ENOTEMPTY);
        do_op((struct mop){ .kind = MOP_DEL, .dir = p.dir, .name = text_copy(p.name), .ino = p.ino });
        return 0;
}

static int rename_allowed(const struct place *from, const struct place *to, unsigned flags)
{
        if (!from->ino || !from->name[0] || !to->name[0])
                return fail(from->ino ? EBUSY : ENOENT);
        if (flags & ~(unsigned)RENAME_NOREPLACE)
                return fail(EINVAL);
        if (!to->ino)
                return 0;
        if (flags & RENAME_NOREPLACE)
                return fail(EEXIST);
        bool from_dir = S_ISDIR(node_of(from->ino)->mode), to_dir = S_ISDIR(node_of(to->ino)->mode);
        if (from_dir != to_dir)
                return fail(to_dir ? EISDIR : ENOTDIR);
        return to_dir && node_of(to->ino)->n > 0 ? fail(ENOTEMPTY) : 0;
}

static int m_renameat2(int fromfd, const char *from, int tofd, const char *to, unsigned flags)
{
        struct place a, b;
        if (look_up(fromfd, from, false, &a) < 0 || look_up(tofd, to, false, &b) < 0)
                return -1;
        if (rename_allowed(&a, &b, flags) < 0)
                return -1;
        if (a.ino == b.ino)
                return 0; /* two names of one file: nothing happens, both stay */
        if (the_fs()->profile != MODELFS_P1) {
                do_op((struct mop){ .kind = MOP_RENAME,
                                    .ino = a.ino,
                                    .dir = a.dir,
                                    .name = text_copy(a.name),
                                    .dir2 = b.dir,
                                    .name2 = text_copy(b.name) });
                return 0;
        }
        if (b.ino)
                do_op((struct mop){ .kind = MOP_DEL, .dir = b.dir, .name = text_copy(b.name), .ino = b.ino });
        do_op((struct mop){ .kind = MOP_DEL, .dir = a.dir, .name = text_copy(a.name), .ino = a.ino });
        do_op((struct mop){ .kind = MOP_ADD, .dir = b.dir, .name = text_copy(b.name), .ino = a.ino });
        return 0;
}

static int m_linkat(int fromfd, const char *from, int tofd, const char *to, int flags)
{
        struct place a, b;
        if (look_up(fromfd, from, flags & AT_SYMLINK_FOLLOW, &a) < 0 || look_up(tofd, to, false, &b) < 0)
                return -1;
        if (!a.ino || b.ino)
                return fail(a.ino ? EEXIST : ENOENT);
        if (S_ISDIR(node_of(a.ino)->mode))
                return fail(EPERM);
        do_op((struct mop){ .kind = MOP_ADD, .dir = b.dir, .name = text_copy(b.name), .ino = a.ino });
        return 0;
}

/* --- attributes --------------------------------------------------------------------------------------------------------- */

static int stat_inode(uint32_t ino, struct stat *ret)
{
        const struct minode *node = node_of(ino);
        *ret = (struct stat){
                .st_dev = 77,
                .st_ino = ino,
                .st_mode = node->mode,
                .st_nlink = mimage_links(&the_fs()->now, ino),
                .st_uid = node->uid,
                .st_gid = node->gid,
                .st_size = (off_t)node->size,
                .st_blksize = MODELFS_PAGE,
                .st_blocks = (blkcnt_t)((node->size + 511) / 512),
                .st_mtim = node->mtime,
                .st_ctim = node->mtime,
        };
        return 0;
}

static int m_fstat(int fd, struct stat *ret)
{
        const struct mofd *ofd = ofd_of(fd);
        return ofd ? stat_inode(ofd->ino, ret) : fail(EBADF);
}

static int m_fstatat(int dirfd, const char *path, struct stat *ret, int flags)
{
        struct place p;
        if ((flags & AT_EMPTY_PATH) && !*path)
                return m_fstat(dirfd, ret);
        if (look_up(dirfd, path, !(flags & AT_SYMLINK_NOFOLLOW), &p) < 0)
                return -1;
        return p.ino ? stat_inode(p.ino, ret) : fail(ENOENT);
}

static int m_fstatfs(int fd, struct statfs *ret)
{
        if (!ofd_of(fd))
                return fail(EBADF);
        *ret = (struct statfs){ .f_type = the_fs()->network ? 0x6969 : 0xef53,
                                .f_bsize = MODELFS_PAGE,
                                .f_blocks = 1 << 20,
                                .f_bfree = 1 << 19,
                                .f_bavail = 1 << 19,
                                .f_namelen = NAME_MAX };
        return 0;
}

static int m_fchmod(int fd, mode_t mode)
{
        const struct mofd *ofd = ofd_of(fd);
        if (!ofd)
                return fail(EBADF);
        struct minode want = *node_of(ofd->ino);
        want.mode = (want.mode & S_IFMT) | (mode & 07777);
        do_attr(ofd->ino, want);
        return 0;
}

static int m_fchown(int fd, uid_t uid, gid_t gid)
{
        const struct mofd *ofd = ofd_of(fd);
        if (!ofd)
                return fail(EBADF);
        struct minode want = *node_of(ofd->ino);
        want.uid = uid == (uid_t)-1 ? want.uid : uid;
        want.gid = gid == (gid_t)-1 ? want.gid : gid;
        do_attr(ofd->ino, want);
        return 0;
}

static int m_futimens(int fd, const struct timespec times[2])
{
        const struct mofd *ofd = ofd_of(fd);
        if (!ofd)
                return fail(EBADF);
        struct minode want = *node_of(ofd->ino);
        if (times[1].tv_nsec != UTIME_OMIT)
                want.mtime = times[1];
        do_attr(ofd->ino, want);
        return 0;
}

/* --- durability ---------------------------------------------------------------------------------------------------------- */

static bool is_data(const struct mop *op)
{
        return op->kind < MOP_ADD;
}

/* The operations that fsync() of @ino makes durable; 0: those that syncfs() does. A rename is durable with the directory
 * that it leads into. */
static bool covers(uint32_t ino, const struct mop *op, bool data_only)
{
        if (ino == 0)
                return true;
        if (is_data(op))
                return op->ino == ino && !(data_only && op->kind == MOP_ATTR);
        return (op->kind == MOP_RENAME ? op->dir2 : op->dir) == ino;
}

static int sync_ops(uint32_t ino, bool data_only)
{
        struct modelfs *fs = the_fs();
        bool failing = fs->fail_sync > 0 && --fs->fail_sync == 0;
        for (size_t i = 0; i < fs->log_n; i++) {
                struct mop *op = &fs->log[i];
                if (op->durable || op->lost || !covers(ino, op, data_only))
                        continue;
                op->durable = !failing;
                op->lost = failing && is_data(op); /* clean in the cache, never on the disk */
        }
        fs->ops++;
        fs->last_is_sync = true;
        fs->last_synced = ino;
        modelfs_note_sync(fs, failing);
        modelfs_fold(fs);
        modelfs_try_crashes(fs);
        return failing ? fail(EIO) : 0;
}

static int m_fsync(int fd)
{
        const struct mofd *ofd = ofd_of(fd);
        return ofd && !(ofd->flags & O_PATH) ? sync_ops(ofd->ino, false) : fail(EBADF);
}

static int m_fdatasync(int fd)
{
        const struct mofd *ofd = ofd_of(fd);
        return ofd && !(ofd->flags & O_PATH) ? sync_ops(ofd->ino, true) : fail(EBADF);
}

static int m_syncfs(int fd)
{
        return ofd_of(fd) ? sync_ops(0, false) : fail(EBADF);
}

static int m_sync_file_range(int fd, off_t at, off_t n, unsigned flags)
{
        (void)at, (void)n, (void)flags;
        return ofd_of(fd) ? 0 : fail(EBADF);
}

static int m_fadvise(int fd, off_t at, off_t n, int advice)
{
        const struct mofd *ofd = ofd_of(fd);
        (void)at, (void)n;
        if (ofd && advice == POSIX_FADV_DONTNEED)
                modelfs_drop_cache(the_fs(), ofd->ino);
        return ofd ? 0 : EBADF;
}

/* --- locks --------------------------------------------------------------------------------------------------------------- */

static void lock_add(struct modelfs *fs, struct mlock lock)
{
        fs->locks = mfs_grow(fs->locks, (fs->locks_n + 1) * sizeof *fs->locks);
        fs->locks[fs->locks_n++] = lock;
}

/* Takes [start, end) out of what @ofd holds, leaving what lies on either side. */
static void lock_cut(struct modelfs *fs, const struct mlock *cut)
{
        for (size_t i = fs->locks_n; i-- > 0;) {
                struct mlock l = fs->locks[i];
                if (l.owner != cut->owner || l.ino != cut->ino || l.end <= cut->start || l.start >= cut->end)
                        continue;
                fs->locks[i] = fs->locks[--fs->locks_n];
                struct mlock left = l, right = l;
                left.end = cut->start;
                right.start = cut->end;
                if (left.start < left.end)
                        lock_add(fs, left);
                if (right.start < right.end)
                        lock_add(fs, right);
        }
}

static const struct mlock *lock_conflict(const struct modelfs *fs, const struct mlock *want)
{
        for (size_t i = 0; i < fs->locks_n; i++) {
                const struct mlock *l = &fs->locks[i];
                if (l->owner != want->owner && l->ino == want->ino && l->start < want->end && want->start < l->end &&
                    (l->type == F_WRLCK || want->type == F_WRLCK))
                        return l;
        }
        return NULL;
}

static int m_ofd_lock(int fd, int cmd, struct flock *lock)
{
        struct modelfs *fs = the_fs();
        const struct mofd *ofd = ofd_of(fd);
        if (!ofd)
                return fail(EBADF);
        struct mlock want = { .owner = ofd, .ino = ofd->ino, .start = (uint64_t)lock->l_start, .type = lock->l_type };
        want.end = lock->l_len ? want.start + (uint64_t)lock->l_len : UINT64_MAX;
        const struct mlock *other = lock->l_type == F_UNLCK ? NULL : lock_conflict(fs, &want);
        if (cmd == F_OFD_GETLK) {
                lock->l_type = other ? other->type : F_UNLCK;
                return 0;
        }
        if (other && cmd == F_OFD_SETLKW)
                abort(); /* one thread: nobody could ever release it */
        if (other)
                return fail(EAGAIN);
        int access = ofd->flags & O_ACCMODE;
        if ((want.type == F_WRLCK && access == O_RDONLY) || (want.type == F_RDLCK && access == O_WRONLY))
                return fail(EBADF);
        lock_cut(fs, &want);
        if (want.type != F_UNLCK)
                lock_add(fs, want);
        return 0;
}

/* --- the rest of the world, repeatable -------------------------------------------------------------------------------------- */

static ssize_t m_getrandom(void *buf, size_t n, unsigned flags)
{
        (void)flags;
        for (size_t i = 0; i < n; i++) {
                the_fs()->random = the_fs()->random * 6364136223846793005U + 1442695040888963407U;
                ((uint8_t *)buf)[i] = (uint8_t)(the_fs()->random >> 56);
        }
        return (ssize_t)n;
}

static int m_clock_gettime(clockid_t clock, struct timespec *ret)
{
        (void)clock;
        *ret = (struct timespec){ .tv_sec = 1800000000 + the_fs()->clock++ };
        return 0;
}

static int m_nanosleep(const struct timespec *time, struct timespec *ret)
{
        (void)ret;
        the_fs()->clock += time->tv_sec + 1;
        return 0;
}

/* No file of the model is foreign. */
static int m_setlease(int fd, int type)
{
        (void)fd, (void)type;
        errno = EINVAL;
        return -1;
}

static int m_uname(struct utsname *ret)
{
        *ret = (struct utsname){ .sysname = "Linux", .release = "6.1.0", .machine = "model" };
        return 0;
}

const struct oxl_sys modelfs_sys = {
        .openat = m_openat,
        .openat2 = m_openat2,
        .close = m_close,
        .dup = m_dup,
        .read = m_read,
        .pread = m_pread,
        .write = m_write,
        .pwrite = m_pwrite,
        .lseek = m_lseek,
        .getdents = m_getdents,
        .fstat = m_fstat,
        .fstatat = m_fstatat,
        .fstatfs = m_fstatfs,
        .readlinkat = m_readlinkat,
        .symlinkat = m_symlinkat,
        .mkdirat = m_mkdirat,
        .unlinkat = m_unlinkat,
        .renameat2 = m_renameat2,
        .linkat = m_linkat,
        .ftruncate = m_ftruncate,
        .fallocate = m_fallocate,
        .fchmod = m_fchmod,
        .fchown = m_fchown,
        .futimens = m_futimens,
        .fsync = m_fsync,
        .fdatasync = m_fdatasync,
        .syncfs = m_syncfs,
        .sync_file_range = m_sync_file_range,
        .fadvise = m_fadvise,
        .ficlone = m_ficlone,
        .fiemap = m_fiemap,
        .ofd_lock = m_ofd_lock,
        .setlease = m_setlease,
        .getrandom = m_getrandom,
        .uname = m_uname,
        .clock_gettime = m_clock_gettime,
        .nanosleep = m_nanosleep,
};

/* --- helpers for tests --------------------------------------------------------------------------------------------------------- */

bool modelfs_put(const char *path, const void *bytes, size_t n, mode_t mode)
{
        int fd = oxl_sys->openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (fd < 0)
                return false;
        bool ok = oxl_sys->pwrite(fd, bytes, n, 0) == (ssize_t)n && oxl_sys->fchmod(fd, mode) == 0;
        return oxl_sys->close(fd) == 0 && ok;
}

bool modelfs_put_dir(const char *path)
{
        return oxl_sys->mkdirat(AT_FDCWD, path, 0755) == 0;
}

ssize_t modelfs_get(const char *path, void *buf, size_t max)
{
        int fd = oxl_sys->openat(AT_FDCWD, path, O_RDONLY, 0);
        if (fd < 0)
                return -1;
        ssize_t n = oxl_sys->pread(fd, buf, max, 0);
        int saved = errno;
        (void)oxl_sys->close(fd);
        errno = saved;
        return n;
}
