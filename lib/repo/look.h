/* SPDX-License-Identifier: MIT */
/*
 * Looking ahead of a walk: a crew reads folders and looks at files before the walk comes to them.
 *
 * A look saves time and is no answer of its own: what failed, vanished, was replaced or is too large is as if nobody had
 * looked, and the walk asks again itself. So items, errors and their order are those of a walk without looks.
 *
 * A look belongs to entry `at` of the walk's level `level`, and borrows that level's descriptor and names until it is taken
 * or dropped. Bounded: OXL_LOOKS looks, each with the names of a small folder (64 KiB) and the state of OXL_LOOK_FILES
 * files; at most two descriptors for each look into a folder.
 */
#ifndef OXL_REPO_LOOK_H
#define OXL_REPO_LOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include <oxenlite/error.h>

enum { OXL_LOOKS = 16, OXL_LOOK_FILES = 128 };

/* The names in a folder, sorted by bytes. */
struct oxl_names {
        char *text;          /* owned; NUL-ended, one after the other */
        const char **sorted; /* owned */
        size_t count;
};
/* Reads them all: a listing that fails half-way must not look like a folder with fewer files. > 0: they have more than
 * @bytes_max bytes. @path is for errors: DIR_OPEN, DIR_READ, NOMEM. */
OXL_MUST_CHECK int oxl_names_read(int dirfd, const char *path, size_t bytes_max, struct oxl_names *ret,
                                  struct oxl_error *err);
void oxl_names_done(struct oxl_names *n);

/* A folder that was looked into. All owned by who takes it. */
struct oxl_look_folder {
        int fd;
        struct stat st;
        struct oxl_names names;
        struct stat *files; /* of the first @n names; st_mode 0: not known */
        size_t n;
};

struct oxl_looks;
/* NOMEM. */
OXL_MUST_CHECK int oxl_looks_new(unsigned threads, struct oxl_looks **ret, struct oxl_error *err);
/* NULL is fine. */
void oxl_looks_free(struct oxl_looks *a);
/* Descriptors that looks may hold: one of each folder, and one while it is listed. */
size_t oxl_looks_open(const struct oxl_looks *a);

/* Wants a look into the folder @name of @dirfd, or at its files @names (at most OXL_LOOK_FILES). false: there are enough. The
 * looks of upper levels give way: they are needed last. */
bool oxl_looks_folder(struct oxl_looks *a, size_t level, size_t at, int dirfd, const char *name);
bool oxl_looks_files(struct oxl_looks *a, size_t level, size_t at, int dirfd, const char *const *names, size_t n);

/* false: nobody looked, or it is not the folder @st any more. */
bool oxl_looks_take_folder(struct oxl_looks *a, size_t level, size_t at, const struct stat *st,
                           struct oxl_look_folder *ret);
/* *ret is the caller's, @n files as in the call that wanted it. false: nobody looked. */
bool oxl_looks_take_files(struct oxl_looks *a, size_t level, size_t at, struct stat **ret, size_t *ret_n);
/* Drops the looks for the entries of @level below @end; waits for one that is at work. */
void oxl_looks_drop(struct oxl_looks *a, size_t level, size_t end);

/* The state of @n files, mode 0 where it is not known; as a look, but at once. */
void oxl_look_at(int dirfd, const char *const *names, size_t n, struct stat *ret);

#endif
