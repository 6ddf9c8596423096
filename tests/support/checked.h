/* SPDX-License-Identifier: MIT */
/* A small repository made through the library, and what fsck finds in it. Functions abort the test when they cannot do
 * their work. */
#ifndef OXL_TESTS_SUPPORT_CHECKED_H
#define OXL_TESTS_SUPPORT_CHECKED_H

#include <oxenlite/check.h>

struct checked_finding { /* owned copies */
        enum oxl_problem problem;
        char *path, *verdict, *object, *detail, *id;
        char *affects; /* each followed by LF */
        uint64_t affects_total;
        int os;
};

struct checked {
        char *place; /* the working tree */
        char *root;  /* place + "/.oxen-lite" */
        struct checked_finding *found;
        size_t n_found, cap_found;
        struct oxl_check_result result;
        struct oxl_repo_options options;
        bool quick;
        struct oxl_check_options limits; /* of checked_run */
};

/* Two commits on main, a tag and a second branch on the first; packed and loose blobs; a staged file; a lookup over all
 * packs; journal.db without -wal. */
void checked_new(struct checked *k, enum oxl_algo algo);
void checked_free(struct checked *k);

/* Runs the check; its return value. The findings replace those of the run before. */
int checked_run(struct checked *k);
/* Number of findings with this problem (0: any) at this path (NULL: any), notes included. */
size_t checked_count(const struct checked *k, int problem, const char *path);
const struct checked_finding *checked_first(const struct checked *k, int problem);
/* All of it as text, for failures. */
void checked_print(const struct checked *k);

/* Paths below .oxen-lite that begin with @prefix and name regular files, sorted; the list ends with NULL. */
char **checked_files(const struct checked *k, const char *prefix);
void checked_files_free(char **files);

/* Writes a file of the working tree and adds it; commits everything that is staged. */
void checked_add(struct checked *k, const char *name, const void *bytes, size_t n);
void checked_commit(struct checked *k, const char *message);

#endif
