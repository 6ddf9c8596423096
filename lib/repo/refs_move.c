/* SPDX-License-Identifier: MIT */
/* Moving refs and HEAD as part of a move: what they were is the caller's business. Each is one atomic write, or one unlink. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/path.h"
#include "os/fdio.h"
#include "repo/move.h"

enum { BASE_LEVELS = 2 }; /* "refs/heads" and "refs/tags" stay */

static size_t levels(const char *path)
{
        size_t n = 1;
        for (; *path; path++)
                n += *path == '/';
        return n;
}

/* An empty folder of the name would stand in the way of a ref called like it. */
static void remove_empty_parents(struct oxl_repo *r, const char *ref)
{
        cleanup_free char *dir = strdup(ref);
        cleanup_error struct oxl_error ignored = OXL_ERROR_INIT;
        for (size_t len; dir && (len = oxl_path_parent_len(dir)) > 0;) {
                dir[len] = '\0';
                if (levels(dir) <= BASE_LEVELS || oxl_durable_rmdir(r->durable, dir, &ignored) != 0)
                        return;
        }
}

static int delete_ref(struct oxl_repo *r, const char *ref, struct oxl_error *err)
{
        struct stat st;
        cleanup_free char *parent = NULL;
        int k = oxl_path_parent(ref, &parent, err);
        if (k < 0)
                return k;
        cleanup_fd int dirfd = oxl_open_beneath(r->root_fd, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
        if (dirfd < 0 && errno != ENOENT)
                return OXL_FAIL_OS(err, DIR_OPEN, parent);
        bool there = dirfd >= 0 && oxl_fd_stat_at(dirfd, oxl_path_base(ref), &st) == 0;
        if (dirfd >= 0 && !there && errno != ENOENT)
                return OXL_FAIL_OS(err, FILE_STAT, ref);
        if (there && !S_ISREG(st.st_mode))
                return OXL_FAIL_WHY(err, MALFORMED, ref, "it is in the place of a ref, and is none");
        if (there)
                k = oxl_durable_unlink(r->durable, ref, st.st_dev, st.st_ino, err);
        else if (dirfd >= 0) /* removed by a dead process, perhaps in the cache alone */
                k = oxl_durable_mark(r->durable, ref, err);
        else
                k = oxl_durable_mark(r->durable, strncmp(ref, "refs/tags/", 10) == 0 ? "refs/tags/x" : "refs/heads/x",
                                     err);
        /* CRASH: there or not; recovery deletes it again. */
        remove_empty_parents(r, ref);
        return k < 0 ? k : oxl_durable_barrier(r->durable, err);
}

int oxl_ref_move(struct oxl_repo *r, const char *ref, const struct oxl_digest *new_, struct oxl_error *err)
{
        cleanup_buf struct oxl_buf text = OXL_BUF_INIT;
        if (new_->algo == OXL_ALGO_NONE)
                return delete_ref(r, ref, err);
        int k = oxl_ref_print(&r->format.id, ref, new_, &text, err);
        /* CRASH: absent, old or new; recovery writes it again. */
        return k < 0 ? k : oxl_durable_write(r->durable, ref, text.data, text.len, err);
}

/* Are there refs below the folder @ref? Empty folders, left by a crash, go. */
static int check_folder(struct oxl_repo *r, const char *ref, unsigned depth, struct oxl_error *err)
{
        cleanup_fd int fd = oxl_open_beneath(r->root_fd, ref, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
        cleanup_dir struct oxl_dir list = OXL_DIR_INIT;
        struct oxl_dirent e;
        int more;
        if (fd < 0 || depth > 512 || oxl_dir_open(&list, fd) < 0)
                return OXL_FAIL_OS(err, DIR_OPEN, ref);
        while ((more = oxl_dir_next(&list, &e)) > 0) {
                cleanup_free char *below = NULL;
                if (e.type != DT_DIR)
                        return OXL_FAIL_WHY(err, REF_CONFLICT, ref, "there are refs whose names begin with it");
                int k = oxl_path_join(ref, e.name, &below, err);
                if (k < 0 || (k = check_folder(r, below, depth + 1, err)) < 0)
                        return k;
        }
        if (more < 0)
                return OXL_FAIL_OS(err, DIR_READ, ref);
        int k = oxl_durable_rmdir(r->durable, ref, err);
        return k < 0 ? k : 0;
}

int oxl_ref_place_check(struct oxl_repo *r, const char *ref, struct oxl_error *err)
{
        struct stat st;
        for (size_t i = strlen("refs/heads/"), n = strlen(ref); i <= n; i++) {
                if (ref[i] != '/' && ref[i] != '\0')
                        continue;
                cleanup_free char *part = strndup(ref, i);
                if (!part)
                        return OXL_FAIL_PLAIN(err, NOMEM);
                cleanup_fd int fd = oxl_open_beneath(r->root_fd, part, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0);
                if (fd < 0)
                        return errno == ENOENT ? 0 : OXL_FAIL_OS(err, FILE_OPEN, part);
                if (oxl_fd_stat(fd, &st) < 0)
                        return OXL_FAIL_OS(err, FILE_STAT, part);
                if (i == n && !S_ISDIR(st.st_mode))
                        return OXL_FAIL_PATH(err, REF_EXISTS, ref);
                if (i == n)
                        return check_folder(r, ref, 0, err);
                if (!S_ISDIR(st.st_mode))
                        return OXL_FAIL_WHY(err, REF_CONFLICT, ref, "there is a ref whose name is the beginning of it");
        }
        return 0;
}

int oxl_head_move(struct oxl_repo *r, const char *text, struct oxl_error *err)
{
        cleanup_buf struct oxl_buf file = OXL_BUF_INIT;
        struct oxl_digest id = OXL_DIGEST_INIT;
        bool symbolic = strncmp(text, "refs/", 5) == 0;
        if (!symbolic && !oxl_digest_parse(OXL_ALGO_BLAKE3, text, &id))
                return OXL_FAIL_WHY(err, JOURNAL_DAMAGED, "journal.db", "an operation names an impossible HEAD");
        int k = oxl_head_print(&r->format.id, symbolic ? text : NULL, symbolic ? NULL : &id, &file, err);
        /* CRASH: old or new; recovery writes it again. */
        return k < 0 ? k : oxl_durable_write(r->durable, "HEAD", file.data, file.len, err);
}

int oxl_head_text(struct oxl_repo *r, char **ret, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        cleanup_free char *ref = NULL;
        struct oxl_digest id;
        char text[OXL_DIGEST_TEXT_MAX];
        cleanup_fd int fd = oxl_open_beneath(r->root_fd, "HEAD", O_PATH | O_NOFOLLOW | O_CLOEXEC, 0);
        if (fd < 0 && errno == ENOENT) {
                *ret = NULL;
                return 0;
        }
        int k = oxl_head_read(r, &ref, &id, &why);
        if (k < 0) {
                oxl_error_move(err, &why);
                return k;
        }
        if (!ref) {
                oxl_digest_text(&id, text);
                ref = strdup(text);
                if (!ref)
                        return OXL_FAIL_PLAIN(err, NOMEM);
        }
        *ret = take_ptr(&ref);
        return 0;
}
