/* SPDX-License-Identifier: MIT */
/*
 * The repository object: finding, opening, making writable, closing; and turning typed paths into paths of the
 * working tree.
 *
 * Opening takes no lock and writes nothing. begin_write builds up, in this order: owner byte (so that every temp
 * has a living owner), durable context, writer lock, gc lock (shared), journal, object store, recovery. What a crash leaves: nothing
 * of its own.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/fail.h"
#include "base/hex.h"
#include "base/path.h"
#include "objects/tree.h"
#include "os/fdio.h"
#include "repo/repo.h"

enum { WAIT_MS_DEFAULT = 30000 };

/* --- files and directories --------------------------------------------------------------------------------- */

static int not_a_file(struct oxl_error *err, const char *path, const char *why)
{
        cleanup_free char *shown = NULL;
        int r = oxl_path_join(OXL_REPO_DIR, path, &shown, err);
        return r < 0 ? r : OXL_FAIL_WHY(err, MALFORMED, shown, why);
}

int oxl_repo_read_file(int root_fd, const char *path, struct oxl_buf *ret, struct oxl_error *err)
{
        struct stat st;
        /* O_NONBLOCK: a FIFO in its place must not stop us */
        cleanup_fd int fd = oxl_open_beneath(root_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
        if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
                return 1;
        if (fd < 0 && (errno == ELOOP || errno == ENXIO))
                return not_a_file(err, path, "a link or something else is in its place");
        if (fd < 0)
                return OXL_FAIL_OS(err, FILE_OPEN, path);
        if (oxl_fd_stat(fd, &st) < 0)
                return OXL_FAIL_OS(err, FILE_READ, path);
        if (!S_ISREG(st.st_mode))
                return not_a_file(err, path, "it is not a regular file");
        oxl_buf_clear(ret);
        if (oxl_fd_read_all(fd, OXL_SEALED_TEXT_MAX, ret) == 0)
                return 0;
        if (errno == EFBIG)
                return not_a_file(err, path, "it is larger than 1 MiB");
        return errno == ENOMEM ? OXL_FAIL_PLAIN(err, NOMEM) : OXL_FAIL_OS(err, FILE_READ, path);
}

/* Does @path name the very directory that @fd is? */
static bool names_fd(const char *path, int fd)
{
        struct stat a, b;
        return path[0] == '/' && oxl_fd_stat(fd, &a) == 0 && oxl_fd_stat_at(AT_FDCWD, path, &b) == 0 &&
               oxl_stat_same(&a, &b);
}

int oxl_repo_real_path(int fd, const char *name, char **ret, struct oxl_error *err)
{
        char link[32], path[PATH_MAX];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t n = oxl_sys->readlinkat(AT_FDCWD, link, path, sizeof path - 1);
        path[n > 0 ? n : 0] = 0;
        cleanup_free char *real = names_fd(path, fd) ? strdup(path) : realpath(name, NULL); /* without /proc */
        if (!real)
                return OXL_FAIL_OS(err, DIR_OPEN, name);
        if (!names_fd(real, fd)) {
                errno = ENOENT; /* removed or moved meanwhile */
                return OXL_FAIL_OS(err, DIR_OPEN, name);
        }
        *ret = take_ptr(&real);
        return 0;
}

/* --- finding ----------------------------------------------------------------------------------------------- */

/* 0: @dir holds an entry .oxen-lite, whatever it is; 1: it does not. */
static int has_repository(const char *dir, struct oxl_error *err)
{
        struct stat st;
        cleanup_fd int fd = oxl_fd_open(AT_FDCWD, dir, O_PATH | O_DIRECTORY, 0);
        if (fd < 0)
                return OXL_FAIL_OS(err, DIR_OPEN, dir);
        if (oxl_fd_stat_at(fd, OXL_REPO_DIR, &st) == 0)
                return 0;
        return errno == ENOENT ? 1 : OXL_FAIL_OS(err, DIR_OPEN, dir);
}

int oxl_repo_discover(const char *start, char **ret, struct oxl_error *err)
{
        cleanup_free char *dir = NULL;
        cleanup_fd int fd = oxl_fd_open(AT_FDCWD, start, O_PATH | O_DIRECTORY, 0);
        if (fd < 0)
                return OXL_FAIL_OS(err, DIR_OPEN, start);
        int r = oxl_repo_real_path(fd, start, &dir, err);
        while (r == 0) {
                r = has_repository(dir, err);
                if (r <= 0)
                        break;
                if (strcmp(dir, "/") == 0)
                        return OXL_FAIL_PATH(err, REPO_NOT_FOUND, start);
                size_t n = oxl_path_parent_len(dir);
                dir[n > 0 ? n : 1] = 0;
                r = 0;
        }
        if (r < 0)
                return r;
        *ret = take_ptr(&dir);
        return 0;
}

/* Opens both directories; refuses what is no folder, and what somebody else owns: its content would steer us. */
static int open_directories(struct oxl_repo *r, struct oxl_error *err)
{
        struct stat st;
        r->worktree_fd = oxl_fd_open(AT_FDCWD, r->worktree, O_RDONLY | O_DIRECTORY, 0);
        if (r->worktree_fd < 0)
                return OXL_FAIL_OS(err, DIR_OPEN, r->worktree);
        r->root_fd = oxl_fd_open(r->worktree_fd, OXL_REPO_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
        if (r->root_fd < 0 && (errno == ELOOP || errno == ENOTDIR))
                return OXL_FAIL_WHY(err, MALFORMED, r->root, "it is not a folder");
        if (r->root_fd < 0)
                return OXL_FAIL_OS(err, DIR_OPEN, r->root);
        if (oxl_fd_stat(r->root_fd, &st) < 0)
                return OXL_FAIL_OS(err, FILE_STAT, r->root);
        if (!r->options.trust && st.st_uid != geteuid())
                return OXL_FAIL_PATH(err, REPO_UNTRUSTED, r->root);
        return 0;
}

static int load_format(struct oxl_repo *r, struct oxl_error *err)
{
        cleanup_buf struct oxl_buf text = OXL_BUF_INIT;
        int n = oxl_repo_read_file(r->root_fd, "format", &text, err);
        if (n == 1)
                return OXL_FAIL_WHY(err, MALFORMED, OXL_REPO_DIR "/format", "it is missing");
        if (n == 0)
                n = oxl_format_parse(oxl_buf_bytes(&text), &r->format, err);
        if (n == 0)
                oxl_hex_encode(r->format.id.bytes, OXL_REPO_ID_BYTES, r->id_text);
        return n;
}

/* Settings that cannot be trusted do not stop those who only look, but they are told. */
static int load_config(struct oxl_repo *r, struct oxl_error *err)
{
        static const char name[] = OXL_REPO_DIR "/config.json";
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        int n = oxl_config_load(r, &why, err);
        if (n < 0)
                return n;
        if (r->config_state == OXL_CONFIG_EDITED)
                oxl_repo_notice(r, name, "was edited by hand: its seal does not match");
        else if (r->config_state == OXL_CONFIG_DAMAGED)
                oxl_repo_notice(r, name, "cannot be used, so every setting has its default");
        return 0;
}

static int copy_options(struct oxl_repo *r, const struct oxl_repo_options *options, struct oxl_error *err)
{
        r->options = options ? *options : (struct oxl_repo_options){ .wait_ms = WAIT_MS_DEFAULT };
        r->options.command = NULL;
        if (!options || !options->command)
                return 0;
        r->command = strdup(options->command);
        r->options.command = r->command;
        return r->command ? 0 : OXL_FAIL_PLAIN(err, NOMEM);
}

static int open_at(struct oxl_repo *r, const char *start, struct oxl_error *err)
{
        int n = oxl_repo_discover(start, &r->worktree, err);
        if (n == 0)
                n = oxl_path_join(r->worktree, OXL_REPO_DIR, &r->root, err);
        if (n == 0)
                n = open_directories(r, err);
        if (n == 0)
                n = load_format(r, err);
        return n < 0 ? n : load_config(r, err);
}

int oxl_repo_open(const char *start, const struct oxl_repo_options *options, struct oxl_repo **ret,
                  struct oxl_error *err)
{
        oxl_digest_setup();
        struct oxl_repo *r = calloc(1, sizeof *r);
        if (!r)
                return OXL_FAIL_PLAIN(err, NOMEM);
        r->worktree_fd = r->root_fd = -1;
        oxl_settings_default(&r->settings);
        int n = copy_options(r, options, err);
        if (n == 0)
                n = open_at(r, start, err);
        if (n < 0) {
                oxl_repo_close(r);
                return n;
        }
        *ret = r;
        return 0;
}

void oxl_repo_close(struct oxl_repo *r)
{
        if (!r)
                return;
        int saved = errno;
        oxl_repo_end_write(r);
        oxl_objects_free(r->objects);
        if (r->owner && oxl_journal_unsettled(r->journal))
                oxl_owner_leave_file(r->owner); /* as if we had died: status names it, the service ends it */
        oxl_journal_close(r->journal);
        oxl_durable_free(r->durable);
        oxl_owner_free(r->owner); /* last of those that write: its byte vouches for their temps */
        oxl_settings_done(&r->settings);
        oxl_fd_done(&r->root_fd);
        oxl_fd_done(&r->worktree_fd);
        free(r->command);
        free(r->worktree);
        free(r->root);
        free(r);
        errno = saved;
}

const char *oxl_repo_worktree(const struct oxl_repo *r)
{
        return r->worktree;
}

const char *oxl_repo_id_text(const struct oxl_repo *r)
{
        return r->id_text;
}

enum oxl_algo oxl_repo_algo(const struct oxl_repo *r)
{
        return r->format.blob_algo;
}

/* --- making writable --------------------------------------------------------------------------------------- */

int oxl_repo_objects(struct oxl_repo *r, struct oxl_objects **ret, struct oxl_error *err)
{
        struct oxl_objects_config config = {
                .root_fd = r->root_fd,
                .id = r->format.id,
                .blob_algo = r->format.blob_algo,
                .pack_threshold = r->settings.pack_threshold,
                .reflink = r->settings.reflink,
                .durable = r->durable,
        };
        int n = r->objects ? 0 : oxl_objects_open(&config, &r->objects, err);
        if (n < 0)
                return n;
        *ret = r->objects;
        return 0;
}

/* init synced the standard folders before the repository had its name, so only folders made later need that. One
 * that is missing is fsck's business; whoever makes it again syncs it. */
static int new_durable(struct oxl_repo *r, struct oxl_error *err)
{
        static const char *const standard[] = { "refs/heads", "refs/tags", "versions/packs", "versions/tmp",
                                                "versions/files" };
        cleanup_error struct oxl_error ignored = OXL_ERROR_INIT;
        int n = oxl_durable_new(r->root_fd, r->root, oxl_owner_number(r->owner), &r->durable, err);
        for (size_t i = 0; n == 0 && i < OXL_ARRAY_LEN(standard); i++)
                OXL_IGNORE(oxl_durable_trust(r->durable, standard[i], &ignored),
                           "then its name is synced like any other");
        return n;
}

int oxl_repo_lock_writer(struct oxl_repo *r, struct oxl_error *err)
{
        OXL_ASSERT(!r->writing);
        if (r->format.read_only)
                return OXL_FAIL_WHY(err, FEATURE, OXL_REPO_DIR "/format", "it has features that only allow reading");
        if (r->durable && oxl_durable_poisoned(r->durable))
                return OXL_FAIL_PATH(err, POISONED, r->root);
        int n = r->owner ? 0 : oxl_owner_new(r->root_fd, r->options.command, &r->owner, err);
        if (n == 0 && !r->durable)
                n = new_durable(r, err);
        if (n == 0)
                n = oxl_owner_lock(r->owner, OXL_LOCK_WRITER, true, r->options.wait_ms, r->options.cancel, err);
        if (n < 0)
                return n;
        r->writing = true;
        return 0;
}

static int open_journal(struct oxl_repo *r, struct oxl_error *err)
{
        struct oxl_journal_config config = {
                .dir = r->root,
                .id = r->format.id,
                .lock_fd = oxl_owner_fd(r->owner),
                .wait_ms = r->options.wait_ms,
        };
        int n = r->journal ? 0 : oxl_journal_open(&config, &r->journal, err);
        if (n < 0)
                oxl_owner_explain_db(r->root_fd, oxl_owner_number(r->owner), err);
        return n;
}

int oxl_repo_journal_copy(const struct oxl_repo *r, struct oxl_journal **ret, struct oxl_error *err)
{
        OXL_ASSERT(!r->journal);
        cleanup_fd int lock_fd = oxl_open_beneath(r->root_fd, "locks", O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
        const struct oxl_journal_config config = {
                .dir = r->root, .id = r->format.id, .lock_fd = lock_fd, .wait_ms = r->options.wait_ms
        };
        if (lock_fd < 0 && errno != ENOENT)
                return OXL_FAIL_OS(err, FILE_OPEN, "locks");
        return oxl_journal_open_copy(&config, ret, err);
}

/* The object store with what is true now: settings may have changed, and so may the packs. */
static int reopen_objects(struct oxl_repo *r, struct oxl_error *err)
{
        struct oxl_objects *o;
        oxl_objects_free(r->objects);
        r->objects = NULL;
        return oxl_repo_objects(r, &o, err);
}

/* What begin_write does once it has the writer lock. */
static int prepare_writing(struct oxl_repo *r, struct oxl_error *err)
{
        int n = oxl_config_load(r, NULL, err); /* as it is under the lock */
        if (n < 0)
                return n;
        if (r->config_state != OXL_CONFIG_SOUND)
                return OXL_FAIL_PATH(err, CONFIG_EDITED, OXL_REPO_DIR "/config.json");
        n = open_journal(r, err);
        if (n == 0)
                n = reopen_objects(r, err);
        if (n == 0)
                n = oxl_repo_recover_locked(r, NULL, err);
        /* Commit never adds these syncs to its own below this size; add, restore and recover keep the -wal far below it. */
        return n < 0 ? n : oxl_journal_checkpoint(r->journal, OXL_WAL_HIGH_BYTES, err);
}

int oxl_repo_begin_write(struct oxl_repo *r, struct oxl_error *err)
{
        int n = oxl_repo_lock_writer(r, err);
        if (n < 0)
                return n;
        /* From here to the end no gc moves what was found and is relied on. */
        n = oxl_owner_lock(r->owner, OXL_LOCK_GC, false, r->options.wait_ms, r->options.cancel, err);
        if (n == 0)
                n = prepare_writing(r, err);
        if (n < 0)
                oxl_repo_end_write(r);
        return n;
}

void oxl_repo_end_write(struct oxl_repo *r)
{
        if (!r->writing)
                return;
        r->writing = false;
        if (oxl_owner_holds(r->owner, OXL_LOCK_GC))
                oxl_owner_unlock(r->owner, OXL_LOCK_GC);
        oxl_owner_unlock(r->owner, OXL_LOCK_WRITER);
}

/* --- callbacks --------------------------------------------------------------------------------------------- */

void oxl_repo_notice(const struct oxl_repo *r, const char *path, const char *text)
{
        if (r->options.notice)
                r->options.notice(r->options.ctx, path, text);
}

int oxl_notice_later(struct oxl_buf *list, const char *path, const char *text, struct oxl_error *err)
{
        int k = oxl_buf_append(list, path, strlen(path) + 1, err);
        return k < 0 ? k : oxl_buf_append(list, text, strlen(text) + 1, err);
}

void oxl_repo_notices(const struct oxl_repo *r, const struct oxl_buf *list)
{
        for (size_t at = 0; at < list->len;) {
                const char *path = (const char *)list->data + at, *text = path + strlen(path) + 1;
                oxl_repo_notice(r, path, text);
                at += strlen(path) + strlen(text) + 2;
        }
}

void oxl_repo_progress(const struct oxl_repo *r, const char *phase, uint64_t files, uint64_t files_total,
                       uint64_t bytes, uint64_t bytes_total)
{
        if (r->options.progress)
                r->options.progress(r->options.ctx, phase, files, files_total, bytes, bytes_total);
}

bool oxl_repo_cancelled(const struct oxl_repo *r)
{
        return r->options.cancel && atomic_load(r->options.cancel);
}

/* --- typed paths ------------------------------------------------------------------------------------------- */

/* Absolute form of @typed, malloc'd. */
static int absolute(const char *typed, char **ret, struct oxl_error *err)
{
        cleanup_free char *cwd = NULL;
        if (typed[0] == '/')
                return oxl_path_join(typed, "", ret, err); /* a copy */
        cleanup_fd int fd = oxl_fd_open(AT_FDCWD, ".", O_PATH | O_DIRECTORY, 0);
        if (fd < 0)
                return OXL_FAIL_OS(err, DIR_OPEN, ".");
        int r = oxl_repo_real_path(fd, ".", &cwd, err);
        return r < 0 ? r : oxl_path_join(cwd, typed, ret, err);
}

/* Resolves ".", ".." and doubled '/' of an absolute path in place, by text; the root becomes "". */
static void normalise(char *path)
{
        size_t out = 0;
        for (const char *at = path; *at;) {
                at += strspn(at, "/");
                size_t n = strcspn(at, "/");
                if (n == 2 && memcmp(at, "..", 2) == 0) {
                        while (out > 0 && path[--out] != '/')
                                ;
                } else if (n > 0 && !(n == 1 && at[0] == '.')) {
                        path[out++] = '/';
                        memmove(path + out, at, n); /* never beyond what was read: each component had a '/' */
                        out += n;
                }
                at += n;
        }
        path[out] = 0;
}

/* The part of normal absolute @path below the working tree, borrowed; NULL when it lies outside. */
static const char *below_worktree(const struct oxl_repo *r, const char *path)
{
        const char *top = strcmp(r->worktree, "/") == 0 ? "" : r->worktree;
        if (!oxl_path_is_within(path, top))
                return NULL;
        path += strlen(top);
        return *path == '/' ? path + 1 : path;
}

/* Is @path, cut after @n bytes, a directory inside the working tree once links are followed? Then *ret is the whole
 * path below the working tree; NULL when not, or when nothing is there. */
static int follow_prefix(const struct oxl_repo *r, const char *path, size_t n, char **ret, struct oxl_error *err)
{
        cleanup_free char *real = NULL;
        *ret = NULL;
        cleanup_free char *prefix = strndup(path, n);
        if (!prefix)
                return OXL_FAIL_PLAIN(err, NOMEM);
        cleanup_fd int fd = oxl_fd_open(AT_FDCWD, prefix, O_PATH | O_DIRECTORY, 0);
        if (fd < 0 || oxl_repo_real_path(fd, prefix, &real, NULL) < 0)
                return 0;
        const char *below = below_worktree(r, strcmp(real, "/") == 0 ? "" : real);
        return below ? oxl_path_join(below, path + n + (path[n] == '/'), ret, err) : 0;
}

/* For paths that lie outside by their text: the first link that leads inside decides. */
static int follow_links(const struct oxl_repo *r, const char *path, char **ret, struct oxl_error *err)
{
        *ret = NULL;
        for (size_t n = 0; path[n] && !*ret;) {
                n += 1 + strcspn(path + n + 1, "/");
                int e = follow_prefix(r, path, n, ret, err);
                if (e < 0)
                        return e;
        }
        return 0;
}

static const char *path_problem(const char *path)
{
        size_t len = strlen(path);
        if (len == 0)
                return NULL; /* the working tree itself */
        if (len > OXL_PATH_BYTES_MAX)
                return "it is longer than 32767 bytes";
        for (const char *at = path; at; at = strchr(at, '/')) {
                at += at != path;
                size_t n = strcspn(at, "/");
                if (n == strlen(OXL_REPO_DIR) && strncasecmp(at, OXL_REPO_DIR, n) == 0)
                        return "it is inside the repository's own folder";
        }
        return oxl_path_problem(path, len);
}

int oxl_repo_path(const struct oxl_repo *r, const char *typed, char **ret, struct oxl_error *err)
{
        cleanup_free char *path = NULL;
        cleanup_free char *result = NULL;
        if (!*typed)
                return OXL_FAIL_WHY(err, PATH, typed, "it is empty");
        int n = absolute(typed, &path, err);
        if (n < 0)
                return n;
        normalise(path);
        const char *below = below_worktree(r, path);
        if (below)
                n = oxl_path_join(below, "", &result, err); /* a copy */
        else
                n = follow_links(r, path, &result, err);
        if (n < 0)
                return n;
        const char *problem = result ? path_problem(result) : "it is outside the working tree";
        if (problem)
                return OXL_FAIL_WHY(err, PATH, typed, problem);
        *ret = take_ptr(&result);
        return 0;
}
