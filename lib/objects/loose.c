/* SPDX-License-Identifier: MIT */
/* Loose blobs: the path is the digest, the content is the blob and nothing else (docs/FORMAT.md section 4.2). */
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/path.h"
#include "objects/loose.h"
#include "objects/scan.h"
#include "os/fdio.h"

#define FILES_DIR "versions/files"

void oxl_loose_path(const struct oxl_digest *id, char ret[OXL_LOOSE_PATH_MAX])
{
        char text[OXL_DIGEST_TEXT_MAX], *to = ret;
        oxl_digest_text(id, text);
        size_t len = strlen(text), first = len < 2 ? len : 2;
        memcpy(to, FILES_DIR "/", sizeof(FILES_DIR));
        to += sizeof(FILES_DIR);
        memcpy(to, text, first);
        to += first;
        if (len > first) {
                *to++ = '/';
                memcpy(to, text + first, len - first);
                to += len - first;
        }
        memcpy(to, "/data", sizeof("/data"));
}

bool oxl_loose_path_parse(enum oxl_algo algo, const char *path, struct oxl_digest *ret)
{
        /* Whatever the slashes leave is tried as a digest; whether they are the right ones, the way back tells. */
        char text[OXL_LOOSE_PATH_MAX], back[OXL_LOOSE_PATH_MAX];
        size_t len = strnlen(path, OXL_LOOSE_PATH_MAX), n = 0;
        if (len == OXL_LOOSE_PATH_MAX || len <= sizeof(FILES_DIR) + sizeof("/data") - 1)
                return false;
        for (const char *c = path + sizeof(FILES_DIR); c < path + len - (sizeof("/data") - 1); c++)
                if (*c != '/')
                        text[n++] = *c;
        text[n] = 0;
        struct oxl_digest d;
        if (!oxl_digest_parse(algo, text, &d))
                return false;
        oxl_loose_path(&d, back);
        if (strcmp(path, back) != 0)
                return false;
        *ret = d;
        return true;
}

int oxl_fd_digest(int fd, const char *name, enum oxl_algo algo, const atomic_bool *cancel, struct oxl_digest *ret,
                  uint64_t *ret_bytes, struct oxl_error *err)
{
        struct oxl_hasher h;
        uint64_t bytes;
        oxl_hasher_init(&h, algo);
        int r = oxl_fd_scan(fd, name, &h, NULL, NULL, cancel, &bytes, err);
        if (r < 0)
                return r;
        oxl_hasher_final(&h, ret);
        *ret_bytes = bytes;
        return 0;
}

/* --- listing ---------------------------------------------------------------------------------------------------- */

struct lister {
        int root_fd;
        enum oxl_algo algo;
        oxl_loose_list_fn *fn;
        oxl_loose_other_fn *other;
        void *ctx;
};

static bool is_hex(const char *name, size_t min, size_t max)
{
        size_t len = strlen(name);
        return len >= min && len <= max && strspn(name, "0123456789abcdef") == len;
}

/* Could the directory @name, @depth levels below versions/files, lead to a blob? */
static bool is_layout_dir(const char *name, int depth)
{
        return depth == 0 ? is_hex(name, 1, 2) : depth == 1 && is_hex(name, 1, 62);
}

/* DT_* of an entry, asking when the directory does not say; DT_UNKNOWN when it is gone. */
static int type_of(int dirfd, const struct oxl_dirent *e, const char *path, unsigned char *ret, struct oxl_error *err)
{
        struct stat st;
        *ret = e->type;
        if (e->type != DT_UNKNOWN)
                return 0;
        if (oxl_fd_stat_at(dirfd, e->name, &st) < 0)
                return errno == ENOENT ? 0 : OXL_FAIL_OS(err, FILE_STAT, path);
        *ret = (unsigned char)IFTODT(st.st_mode);
        return 0;
}

static int list_dir(const struct lister *l, const char *path, int depth, struct oxl_error *err);

static int list_entry(const struct lister *l, int dirfd, const struct oxl_dirent *e, const char *dir, int depth,
                      struct oxl_error *err)
{
        cleanup_free char *path = NULL;
        unsigned char type = DT_UNKNOWN;
        struct oxl_digest id;
        int r = oxl_path_join(dir, e->name, &path, err);
        if (r == 0)
                r = type_of(dirfd, e, path, &type, err);
        if (r < 0 || type == DT_UNKNOWN)
                return r;
        if (type == DT_DIR && is_layout_dir(e->name, depth))
                return list_dir(l, path, depth + 1, err);
        if (type == DT_REG && oxl_loose_path_parse(l->algo, path, &id))
                return l->fn(l->ctx, &id, path, err);
        return l->other ? l->other(l->ctx, path, err) : 0;
}

static int list_dir(const struct lister *l, const char *path, int depth, struct oxl_error *err)
{
        cleanup_fd int fd = oxl_open_beneath(l->root_fd, path, O_RDONLY | O_DIRECTORY, 0);
        cleanup_dir struct oxl_dir dir = OXL_DIR_INIT;
        if (fd < 0 && errno == ENOENT)
                return 0; /* nothing was ever stored loose, or gc removed the folder just now */
        if (fd < 0 || oxl_dir_open(&dir, fd) < 0)
                return OXL_FAIL_OS(err, DIR_OPEN, path);
        struct oxl_dirent e;
        int r;
        while ((r = oxl_dir_next(&dir, &e)) > 0) {
                r = list_entry(l, fd, &e, path, depth, err);
                if (r < 0)
                        return r;
        }
        return r < 0 ? OXL_FAIL_OS(err, DIR_READ, path) : 0;
}

int oxl_loose_list(int root_fd, enum oxl_algo algo, oxl_loose_list_fn *fn, oxl_loose_other_fn *other, void *ctx,
                   struct oxl_error *err)
{
        const struct lister l = { .root_fd = root_fd, .algo = algo, .fn = fn, .other = other, .ctx = ctx };
        return list_dir(&l, FILES_DIR, 0, err);
}
