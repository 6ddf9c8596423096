/* SPDX-License-Identifier: MIT */
/* Loose blobs: the content must hash to the name. Needs no id of the repository: it runs even when nothing else can. */
#include <string.h>

#include "base/path.h"
#include "check/pass.h"
#include "objects/loose.h"
#include "os/fdio.h"

#define FILES "versions/files"

struct blob_look {
        const char *path;
        struct oxl_digest id;
        uint64_t size;
};

static int look_blob(struct oxl_check *c, void *ctx, struct oxl_error *err)
{
        struct blob_look *l = ctx;
        struct stat st;
        struct oxl_digest got;
        cleanup_fd int fd = oxl_open_beneath(c->root_fd, l->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
        if (fd < 0)
                return OXL_FAIL_OS(err, FILE_OPEN, l->path);
        if (oxl_fd_stat(fd, &st) < 0)
                return OXL_FAIL_OS(err, FILE_READ, l->path);
        if (!S_ISREG(st.st_mode))
                return OXL_FAIL_WHY(err, MALFORMED, l->path, "it is not a regular file");
        l->size = (uint64_t)st.st_size;
        if (c->quick)
                return 0;
        int r = oxl_fd_digest(fd, l->path, c->format.blob_algo, c->options.cancel, &got, &l->size, err);
        if (r < 0)
                return r;
        return oxl_digest_equal(&got, &l->id) ? 0 : OXL_FAIL_OBJECT(err, OBJECT_CORRUPT, l->path, &l->id, &got);
}

static int check_blob(struct oxl_check *c, const char *path, const struct oxl_digest *id, struct oxl_error *err)
{
        struct blob_look l = { .path = path, .id = *id };
        struct oxl_known_slot *slot;
        enum oxl_look_state state;
        int r = oxl_check_file(c, path, 0, OXL_P_BLOB_DAMAGED, look_blob, &l, &state, err);
        if (r < 0 || (state != OXL_LOOK_GOOD && state != OXL_LOOK_TRANSIENT))
                return r;
        oxl_check_progress(c, "blobs");
        r = oxl_known_put(&c->known, id, &slot, err);
        if (r < 0)
                return r;
        slot->flags |= OXL_KNOWN_WHOLE;
        oxl_known_set_size(slot, l.size);
        return 0;
}

static bool is_layout_folder(const char *name, int depth)
{
        size_t n = strlen(name);
        return strspn(name, "0123456789abcdef") == n && (depth == 0 ? n <= 2 : depth == 1 && n <= 62);
}

static int visit(struct oxl_check *c, void *ctx, const char *path, const char *name, const struct stat *st,
                 struct oxl_error *err)
{
        struct oxl_digest id;
        const int *depth = ctx; /* below versions/files */
        if (S_ISDIR(st->st_mode) && *depth < 2 && is_layout_folder(name, *depth)) {
                int next = *depth + 1;
                return oxl_check_list(c, path, visit, &next, NULL, err);
        }
        if (S_ISREG(st->st_mode) && oxl_loose_path_parse(c->format.blob_algo, path, &id))
                return check_blob(c, path, &id, err);
        return oxl_check_stray(c, OXL_P_BLOB_STRAY, path, name, st, err);
}

int oxl_check_loose(struct oxl_check *c, struct oxl_error *err)
{
        int depth = 0;
        return c->have_algo ? oxl_check_list(c, FILES, visit, &depth, NULL, err) : 0;
}
