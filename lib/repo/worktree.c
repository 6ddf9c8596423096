/* SPDX-License-Identifier: MIT */
/*
 * The walk through the working tree.
 *
 * Order: names of a directory sorted by bytes, a directory's content right after it. Because '/' is below every byte of a
 * name, that is the order of oxl_path_compare: "a", "a/x", "a-b", "a.txt".
 * Everything is opened relative to its parent with O_NOFOLLOW, so a link put in the way while we walk leads nowhere, and
 * only directories are opened at all: a FIFO or device is looked at with lstat alone.
 */
#include <string.h>
#include <strings.h>

#include "base/fail.h"
#include "base/path.h"
#include "os/fdio.h"
#include "repo/look.h"
#include "repo/worktree.h"

enum {
        FDS_MAX = 64,
        AHEAD_FROM = 2000, /* names: fewer are walked before threads have begun */
        FEW = 64,          /* names that are not worth handing over */
};

/* One open directory: its names, and how far they were yielded. */
struct level {
        int fd; /* -1: closed to save descriptors */
        struct stat st;
        size_t path_len; /* of the directory */
        struct oxl_names names;
        size_t at;
        bool kept; /* something in it, or deeper, can be stored or could not be examined */

        /* with looks ahead only */
        struct stat *files; /* owned; of names [files_from, files_to); st_mode 0: not known */
        size_t files_from, files_to;
        size_t asked_files, asked_folders; /* up to which name looks were asked for */
};

struct oxl_walk {
        int root_fd;          /* borrowed */
        struct level *levels; /* owned; [0] is the root, or the parent of the start with that one name */
        size_t depth, cap;
        size_t open; /* descriptors held by levels */
        char *path;  /* owned; of the last item */
        size_t path_cap;
        enum oxl_skip start_skip;
        bool enter;           /* the last item is a directory to be entered next */
        struct stat entering; /* its state */
        unsigned threads;     /* allowed; 0: no looks ahead */
        size_t names_read;
        struct oxl_looks *looks; /* owned; NULL: not yet, or never */
        bool ask;                /* a level was left: there is room for looks */
        struct oxl_error error;  /* lent to the last item */
};

enum oxl_skip oxl_worktree_skip(const char *name)
{
        if (strcasecmp(name, OXL_REPO_DIR) == 0 || strcmp(name, ".oxen") == 0)
                return OXL_SKIP_REPOSITORY;
        return oxl_temp_name_is_ours(name, NULL) ? OXL_SKIP_TEMP : OXL_SKIP_NONE;
}

enum oxl_entry_kind oxl_worktree_kind(const struct stat *st, const char **ret_what)
{
        const char *unused = NULL;
        const char **what = ret_what ? ret_what : &unused;
        *what = NULL;
        if (S_ISREG(st->st_mode))
                return st->st_mode & S_IXUSR ? OXL_ENTRY_EXECUTABLE : OXL_ENTRY_FILE;
        if (S_ISLNK(st->st_mode))
                return OXL_ENTRY_SYMLINK;
        *what = S_ISDIR(st->st_mode)    ? "a folder"
                : S_ISFIFO(st->st_mode) ? "a FIFO"
                : S_ISSOCK(st->st_mode) ? "a socket"
                                        : "a device";
        return OXL_ENTRY_NONE;
}

/* Closes @l; what was seen ahead in it goes too. */
static void level_close(struct oxl_walk *w, struct level *l)
{
        if (w->looks)
                oxl_looks_drop(w->looks, (size_t)(l - w->levels), SIZE_MAX);
        w->open -= l->fd >= 0;
        oxl_fd_done(&l->fd);
        free(l->files);
        l->files = NULL;
        l->files_to = l->asked_files = l->asked_folders = 0;
}

static void level_done(struct oxl_walk *w, struct level *l)
{
        level_close(w, l);
        oxl_names_done(&l->names);
}

/* --- descriptors ------------------------------------------------------------------------------------------------ */

static size_t fds_open(const struct oxl_walk *w)
{
        return w->open + (w->looks ? oxl_looks_open(w->looks) : 0);
}

/* Closes the shallowest open level when there are too many: it is needed again last. */
static void spare_fd(struct oxl_walk *w)
{
        for (size_t i = 0; fds_open(w) >= FDS_MAX && i < w->depth; i++)
                level_close(w, w->levels + i);
}

/* Opens the topmost level again. 1: it is not the directory that it was. */
static int reopen_level(struct oxl_walk *w, struct level *l, struct oxl_error *err)
{
        struct stat st;
        w->path[l->path_len] = 0;
        spare_fd(w);
        int fd = oxl_open_beneath(w->root_fd, w->path, O_RDONLY | O_DIRECTORY | O_NONBLOCK, 0);
        if (fd < 0) {
                if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)
                        return 1;
                return OXL_FAIL_OS(err, DIR_OPEN, w->path);
        }
        l->fd = fd;
        w->open++;
        if (oxl_fd_stat(fd, &st) < 0)
                return OXL_FAIL_OS(err, FILE_STAT, w->path);
        return !oxl_stat_same(&st, &l->st);
}

/* --- levels ----------------------------------------------------------------------------------------------------- */

/* A new topmost level over @fd, which is taken. */
static int push_level(struct oxl_walk *w, int fd, const struct stat *st, size_t path_len, struct oxl_error *err)
{
        if (w->depth == w->cap) {
                size_t cap = w->cap * 2 + 16;
                void *p = realloc(w->levels, cap * sizeof *w->levels);
                if (!p) {
                        oxl_fd_done(&fd);
                        return OXL_FAIL_PLAIN(err, NOMEM);
                }
                w->levels = p;
                w->cap = cap;
        }
        w->levels[w->depth++] = (struct level){ .fd = fd, .st = *st, .path_len = path_len };
        w->open++;
        return 0;
}

static void pop_level(struct oxl_walk *w)
{
        struct level *l = w->levels + --w->depth;
        if (w->depth > 0)
                l[-1].kept |= l->kept;
        level_done(w, l);
        w->ask = true;
}

/* Makes the path of the last item @len bytes of itself and @name. */
static int set_path(struct oxl_walk *w, size_t len, const char *name, struct oxl_error *err)
{
        size_t n = strlen(name), need = len + 1 + n + 1;
        if (need > w->path_cap) {
                char *p = realloc(w->path, need * 2);
                if (!p)
                        return OXL_FAIL_PLAIN(err, NOMEM);
                w->path = p;
                w->path_cap = need * 2;
        }
        if (len > 0)
                w->path[len++] = '/';
        memcpy(w->path + len, name, n + 1);
        return 0;
}

static size_t item_offset(const struct level *l)
{
        return l->path_len > 0 ? l->path_len + 1 : 0;
}

/* The topmost level has its names. */
static void level_begun(struct oxl_walk *w)
{
        spare_fd(w);
        w->ask = true;
        w->names_read += w->levels[w->depth - 1].names.count;
        if (w->threads == 0 || w->looks || w->names_read < AHEAD_FROM)
                return;
        if (oxl_looks_new(w->threads, &w->looks, NULL) < 0)
                w->threads = 0; /* it goes without */
}

/* Enters the directory @fd, which is taken: a new topmost level with its names. */
static int push_directory(struct oxl_walk *w, int fd, size_t path_len, struct oxl_error *err)
{
        struct stat st;
        if (oxl_fd_stat(fd, &st) < 0) {
                int failed = OXL_FAIL_OS(err, FILE_STAT, w->path);
                oxl_fd_done(&fd);
                return failed;
        }
        int r = push_level(w, fd, &st, path_len, err);
        if (r < 0)
                return r;
        r = oxl_names_read(fd, path_len > 0 ? w->path : ".", SIZE_MAX, &w->levels[w->depth - 1].names, err);
        if (r < 0) {
                pop_level(w);
                return r;
        }
        level_begun(w);
        return 0;
}

/* The same with a directory that was looked into ahead; all of it is taken. */
static int push_seen(struct oxl_walk *w, struct oxl_look_folder *seen, size_t path_len, struct oxl_error *err)
{
        int r = push_level(w, seen->fd, &seen->st, path_len, err);
        if (r < 0) {
                oxl_names_done(&seen->names);
                free(seen->files);
                return r;
        }
        struct level *l = w->levels + w->depth - 1;
        l->names = seen->names;
        l->files = seen->files;
        l->files_to = seen->n;
        level_begun(w);
        return 0;
}

static size_t count_slashes(const char *p)
{
        size_t n = 0;
        for (; *p; p++)
                n += *p == '/';
        return n;
}

/* Enters the directory that was yielded last. 1: it vanished. */
static int enter_directory(struct oxl_walk *w, struct oxl_error *err)
{
        struct level *parent = w->levels + w->depth - 1;
        if (count_slashes(w->path) >= OXL_DEPTH_MAX)
                return OXL_FAIL_WHY(err, LIMIT, w->path, "it is more than 1,024 folders deep");
        struct oxl_look_folder seen;
        if (w->looks && oxl_looks_take_folder(w->looks, w->depth - 1, parent->at - 1, &w->entering, &seen))
                return push_seen(w, &seen, strlen(w->path), err);
        int fd = oxl_fd_open(parent->fd, w->path + item_offset(parent),
                             O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK, 0);
        if (fd >= 0)
                return push_directory(w, fd, strlen(w->path), err);
        if (errno == ENOENT)
                return 1;
        if (errno == ENOTDIR || errno == ELOOP)
                return OXL_FAIL_PATH(err, PATH_CHANGED, w->path);
        return OXL_FAIL_OS(err, DIR_OPEN, w->path);
}

/* --- looking ahead ---------------------------------------------------------------------------------------------- */

static void ask_for_files(struct oxl_walk *w, struct level *l)
{
        while (l->asked_files < l->names.count) {
                size_t left = l->names.count - l->asked_files, n = left < OXL_LOOK_FILES ? left : OXL_LOOK_FILES;
                if (!oxl_looks_files(w->looks, w->depth - 1, l->asked_files, l->fd, l->names.sorted + l->asked_files,
                                     n))
                        return;
                l->asked_files += n;
        }
}

/* The folders among the files that were seen. Not those of other file systems: opening one may mount it, and nobody knows yet
 * whether it will be entered. */
static void ask_for_folders(struct oxl_walk *w, struct level *l)
{
        size_t i = l->asked_folders > l->at ? l->asked_folders : l->at;
        for (; i < l->files_to && fds_open(w) + 2 < FDS_MAX; i++) {
                const struct stat *st = l->files + (i - l->files_from);
                const char *name = l->names.sorted[i];
                if (S_ISDIR(st->st_mode) && st->st_dev == l->st.st_dev && !oxl_worktree_skip(name) &&
                    !oxl_looks_folder(w->looks, w->depth - 1, i, l->fd, name))
                        break;
        }
        l->asked_folders = i;
}

/* Fills `files` from the next name on; empty when there is no memory. */
static void see_files(struct oxl_walk *w, struct level *l)
{
        size_t left = l->names.count - l->at, n = left < OXL_LOOK_FILES ? left : OXL_LOOK_FILES;
        free(l->files);
        l->files = NULL;
        l->files_from = l->files_to = l->at;
        if (l->asked_files < l->at)
                l->asked_files = l->at;
        if (l->asked_files > l->at || left >= FEW)
                ask_for_files(w, l);
        if (!oxl_looks_take_files(w->looks, w->depth - 1, l->at, &l->files, &n)) {
                l->files = malloc(n * sizeof *l->files);
                if (!l->files)
                        return;
                oxl_look_at(l->fd, l->names.sorted + l->at, n, l->files);
        }
        l->files_to = l->at + n;
}

/* Keeps the crew busy with what comes after the next name of the topmost level. */
static void look_ahead(struct oxl_walk *w, struct level *l)
{
        if (l->at < l->files_to && !w->ask)
                return;
        w->ask = false;
        oxl_looks_drop(w->looks, w->depth - 1, l->at); /* what was not entered */
        if (l->at >= l->files_to)
                see_files(w, l);
        if (l->asked_files < l->files_to)
                l->asked_files = l->files_to;
        ask_for_files(w, l);
        ask_for_folders(w, l);
}

/* The state of the entry @at, by a look ahead or now. */
static int stat_entry(const struct level *l, size_t at, struct stat *ret)
{
        if (l->files && at >= l->files_from && at < l->files_to && l->files[at - l->files_from].st_mode != 0) {
                *ret = l->files[at - l->files_from];
                return 0;
        }
        return oxl_fd_stat_at(l->fd, l->names.sorted[at], ret);
}

/* --- items ------------------------------------------------------------------------------------------------------ */

static void fill_item(struct oxl_walk *w, int dirfd, size_t name_at, struct oxl_walk_item *ret)
{
        *ret = (struct oxl_walk_item){ .path = w->path, .path_len = strlen(w->path), .dirfd = dirfd };
        ret->name = w->path + name_at;
}

/* The last item again, with what went wrong at it; @r is that. */
static int yield_error(struct oxl_walk *w, int r, struct oxl_walk_item *ret, struct oxl_error *err)
{
        if (r == -OXL_E_NOMEM || w->depth == 0) {
                if (err)
                        oxl_error_move(err, &w->error);
                return r;
        }
        struct level *l = w->levels + w->depth - 1;
        l->kept = true; /* nobody knows what is there */
        fill_item(w, -1, item_offset(l), ret);
        ret->error = &w->error;
        ret->done = true;
        return 0;
}

/* The next entry of the topmost level. 1: it vanished. */
static int yield_entry(struct oxl_walk *w, struct level *l, struct oxl_walk_item *ret, struct oxl_error *err)
{
        if (w->looks)
                look_ahead(w, l);
        size_t at = l->at++;
        int r = set_path(w, l->path_len, l->names.sorted[at], err);
        if (r < 0)
                return r;
        fill_item(w, l->fd, item_offset(l), ret);
        ret->skip = w->start_skip ? w->start_skip : oxl_worktree_skip(ret->name);
        if (ret->path_len > OXL_PATH_BYTES_MAX) {
                r = OXL_FAIL_WHY(&w->error, LIMIT, w->path, "its path has more than 32,767 bytes");
                return yield_error(w, r, ret, err);
        }
        if (stat_entry(l, at, &ret->st) < 0) {
                if (errno == ENOENT)
                        return 1;
                r = OXL_FAIL_OS(&w->error, FILE_STAT, w->path);
                return yield_error(w, r, ret, err);
        }
        if (ret->skip)
                return 0;
        w->enter = S_ISDIR(ret->st.st_mode);
        if (w->enter)
                w->entering = ret->st;
        l->kept |= oxl_worktree_kind(&ret->st, NULL) != OXL_ENTRY_NONE;
        return 0;
}

/* All entries of the topmost level were yielded: the second visit of its directory. 1: it was the lowest level. */
static int yield_done(struct oxl_walk *w, struct oxl_walk_item *ret)
{
        struct level *l = w->levels + w->depth - 1;
        struct stat st = l->st;
        bool empty = !l->kept;
        w->path[l->path_len] = 0;
        pop_level(w);
        if (w->depth == 0)
                return 1;
        fill_item(w, -1, item_offset(w->levels + w->depth - 1), ret);
        ret->st = st;
        ret->done = true;
        ret->empty = empty;
        return 0;
}

/* The topmost level has no descriptor any more. 1: it has one again; 0: it has not, and *ret says why. */
static int revive_level(struct oxl_walk *w, struct oxl_walk_item *ret, struct oxl_error *err)
{
        int r = reopen_level(w, w->levels + w->depth - 1, &w->error);
        if (r == 0)
                return 1;
        if (r > 0)
                r = OXL_FAIL_PATH(&w->error, PATH_CHANGED, w->path);
        pop_level(w);
        return yield_error(w, r, ret, err);
}

int oxl_walk_next(struct oxl_walk *w, struct oxl_walk_item *ret, struct oxl_error *err)
{
        oxl_error_done(&w->error);
        if (w->enter) {
                w->enter = false;
                int r = enter_directory(w, &w->error);
                if (r < 0)
                        return yield_error(w, r, ret, err);
        }
        while (w->depth > 0) {
                struct level *l = w->levels + w->depth - 1;
                if (l->at == l->names.count)
                        return yield_done(w, ret);
                if (l->fd < 0) {
                        int r = revive_level(w, ret, err);
                        if (r <= 0)
                                return r;
                        continue;
                }
                int r = yield_entry(w, l, ret, err);
                if (r <= 0)
                        return r;
        }
        return 1;
}

void oxl_walk_skip(struct oxl_walk *w)
{
        w->enter = false;
}

void oxl_walk_leave(struct oxl_walk *w, size_t len)
{
        w->enter = false;
        while (w->depth > 1 && w->levels[w->depth - 1].path_len >= len)
                pop_level(w);
}

/* --- beginning and end ------------------------------------------------------------------------------------------ */

/* Does a component above the last one of @path keep it out of every walk? */
static enum oxl_skip skip_of_parents(const char *path)
{
        char name[OXL_NAME_MAX + 1];
        for (const char *slash; (slash = strchr(path, '/')); path = slash + 1) {
                size_t n = (size_t)(slash - path);
                memcpy(name, path, n);
                name[n] = 0;
                enum oxl_skip skip = oxl_worktree_skip(name);
                if (skip)
                        return skip;
        }
        return OXL_SKIP_NONE;
}

/* The lowest level of a walk that begins at @start: its parent, with one name. */
static int begin_below(struct oxl_walk *w, const char *start, struct oxl_error *err)
{
        int r = oxl_path_check(start, err);
        if (r < 0)
                return r;
        size_t parent_len = oxl_path_parent_len(start);
        r = set_path(w, 0, start, err);
        if (r < 0)
                return r;
        w->start_skip = skip_of_parents(start);
        w->path[parent_len] = 0;
        struct stat st;
        int fd = oxl_open_beneath(w->root_fd, w->path, O_RDONLY | O_DIRECTORY | O_NONBLOCK, 0);
        if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
                return OXL_FAIL_PATH(err, PATH_NOT_FOUND, start);
        if (fd < 0)
                return OXL_FAIL_OS(err, DIR_OPEN, w->path);
        r = push_level(w, fd, &(struct stat){ 0 }, parent_len, err);
        if (r < 0)
                return r;
        struct level *l = w->levels;
        if (oxl_fd_stat(fd, &l->st) < 0)
                return OXL_FAIL_OS(err, FILE_STAT, w->path);
        if (oxl_fd_stat_at(fd, oxl_path_base(start), &st) < 0 && errno == ENOENT)
                return OXL_FAIL_PATH(err, PATH_NOT_FOUND, start);
        l->names.text = strdup(oxl_path_base(start));
        l->names.sorted = malloc(sizeof *l->names.sorted);
        if (!l->names.text || !l->names.sorted)
                return OXL_FAIL_PLAIN(err, NOMEM);
        l->names.sorted[0] = l->names.text;
        l->names.count = 1;
        return 0;
}

static int begin_root(struct oxl_walk *w, struct oxl_error *err)
{
        int r = set_path(w, 0, "", err);
        if (r < 0)
                return r;
        int fd = oxl_open_beneath(w->root_fd, "", O_RDONLY | O_DIRECTORY, 0);
        return fd < 0 ? OXL_FAIL_OS(err, DIR_OPEN, ".") : push_directory(w, fd, 0, err);
}

static void walk_freep(struct oxl_walk **w)
{
        oxl_walk_free(*w);
}

int oxl_walk_new(int worktree_fd, const char *start, struct oxl_walk **ret, struct oxl_error *err)
{
        cleanup(walk_freep) struct oxl_walk *w = calloc(1, sizeof *w);
        if (!w)
                return OXL_FAIL_PLAIN(err, NOMEM);
        w->root_fd = worktree_fd;
        int r = *start ? begin_below(w, start, err) : begin_root(w, err);
        if (r < 0)
                return r;
        *ret = take_ptr(&w);
        return 0;
}

void oxl_walk_ahead(struct oxl_walk *w, unsigned threads)
{
        w->threads = threads;
}

void oxl_walk_free(struct oxl_walk *w)
{
        if (!w)
                return;
        while (w->depth > 0)
                pop_level(w);
        oxl_looks_free(w->looks);
        oxl_error_done(&w->error);
        free(w->levels);
        free(w->path);
        free(w);
}
