/* SPDX-License-Identifier: MIT */
/* Loose blobs: the content must hash to the name. Needs no id of the repository: it runs even when nothing else can. */
#include <string.h>

#include "base/path.h"
#include "check/job.h"
#include "objects/loose.h"
#include "objects/scan.h"
#include "os/fdio.h"

#define FILES "versions/files"

static int look_blob(struct oxl_check *c, void *ctx, struct oxl_error *err)
{
        struct oxl_job *j = ctx;
        struct stat st;
        struct oxl_hasher h;
        struct oxl_digest got, id = oxl_unit_id(c, j->unit);
        int r = oxl_reader_open(&j->reader, c, j->path, err);
        if (r < 0)
                return r;
        if (oxl_fd_stat(j->reader.fd, &st) < 0)
                return OXL_FAIL_OS(err, FILE_READ, j->path);
        if (!S_ISREG(st.st_mode))
                return OXL_FAIL_WHY(err, MALFORMED, j->path, "it is not a regular file");
        j->size = (uint64_t)st.st_size;
        j->reader.source.shared = oxl_unit_shared(c, j->unit);
        oxl_hasher_init(&h, c->format.blob_algo);
        r = oxl_fd_scan_source(j->reader.fd, &j->reader.source, j->path, &h, NULL, NULL, c->options.cancel, &j->size,
                               err);
        if (r < 0)
                return r;
        oxl_hasher_final(&h, &got);
        return oxl_digest_equal(&got, &id) ? 0 : OXL_FAIL_OBJECT(err, OBJECT_CORRUPT, j->path, &id, &got);
}

/* It is there, a file, and can be opened. */
static int look_name(struct oxl_check *c, void *ctx, struct oxl_error *err)
{
        struct oxl_job *j = ctx;
        struct stat st;
        cleanup_fd int fd = oxl_open_beneath(c->root_fd, j->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
        if (fd < 0)
                return OXL_FAIL_OS(err, FILE_OPEN, j->path);
        if (oxl_fd_stat(fd, &st) < 0)
                return OXL_FAIL_OS(err, FILE_READ, j->path);
        j->size = (uint64_t)st.st_size;
        return S_ISREG(st.st_mode) ? 0 : OXL_FAIL_WHY(err, MALFORMED, j->path, "it is not a regular file");
}

int oxl_loose_job_read(struct oxl_check *c, struct oxl_job *j, struct oxl_error *err)
{
        oxl_look_fn *fn = j->unit->want == OXL_WANT_NOTHING ? look_name : look_blob;
        return oxl_check_look(c, j->path, NULL, fn, j, &j->look, err);
}

int oxl_loose_job_tell(struct oxl_check *c, struct oxl_job *j, struct oxl_error *err)
{
        struct oxl_known_slot *slot;
        struct oxl_digest id = oxl_unit_id(c, j->unit);
        int r = oxl_check_tell(c, j->path, 0, OXL_P_BLOB_DAMAGED, &j->look, err);
        if (r < 0 || (j->look.state != OXL_LOOK_GOOD && j->look.state != OXL_LOOK_TRANSIENT))
                return r;
        r = oxl_known_put(&c->known, &id, &slot, err);
        if (r < 0)
                return r;
        slot->flags |= OXL_KNOWN_WHOLE;
        if (j->unit->want != OXL_WANT_NOTHING)
                slot->flags |= OXL_KNOWN_READ;
        oxl_known_set_size(slot, j->size);
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
                return oxl_check_list(c, path, visit, &next, &c->units.complete, err);
        }
        if (S_ISREG(st->st_mode) && oxl_loose_path_parse(c->format.blob_algo, path, &id)) {
                struct oxl_unit u = { .loose = true,
                                      .size = (uint64_t)st->st_size,
                                      .changed_ns = oxl_unit_changed(st) };
                memcpy(u.id, id.bytes, sizeof u.id);
                return oxl_units_add(&c->units, &u, err);
        }
        return oxl_check_stray(c, OXL_P_BLOB_STRAY, path, name, st, err);
}

int oxl_loose_list_units(struct oxl_check *c, struct oxl_error *err)
{
        int depth = 0;
        if (!c->have_algo) {
                c->units.complete = false;
                return 0;
        }
        return oxl_check_list(c, FILES, visit, &depth, &c->units.complete, err);
}
