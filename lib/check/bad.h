/* SPDX-License-Identifier: MIT */
/*
 * Objects of the graph that are missing or damaged, and the commits and paths that need them. They are collected
 * while the graph is walked, and reported at the end, when the paths are known.
 */
#ifndef OXL_CHECK_BAD_H
#define OXL_CHECK_BAD_H

#include "check/pass.h"

#define OXL_AFFECTS_MAX 100

struct oxl_bad {
        enum oxl_problem problem;
        struct oxl_digest id;
        uint8_t kind; /* enum oxl_kind */
        char *path;   /* owned: of the finding */
        char *detail; /* owned; may be NULL */
        struct oxl_digest got;
        char expected[24], actual[24]; /* SIZE_WRONG */
        char **affects;                /* owned */
        size_t n_affects;
        uint64_t affects_total;
};

struct oxl_bad_list {
        struct oxl_bad *at; /* owned */
        size_t n, cap;
        size_t text_bytes; /* of all affects: limited */
};

void oxl_bad_list_done(struct oxl_bad_list *l);
/* Adds an object. *ret (may be NULL) is valid until the next addition. NOMEM. */
OXL_MUST_CHECK int oxl_bad_add(struct oxl_bad_list *l, enum oxl_problem problem, enum oxl_kind kind,
                               const struct oxl_digest *id, const char *path, const char *detail, struct oxl_bad **ret,
                               struct oxl_error *err);
/* Sorts by id, for find. */
void oxl_bad_sort(struct oxl_bad_list *l);
/* The first with this id in a sorted list, and the number of them. */
struct oxl_bad *oxl_bad_find(struct oxl_bad_list *l, const struct oxl_digest *id, size_t *ret_n);
/* Adds "<commit 12>:<path>" (@commit NULL: @path alone); beyond the limits it is only counted. NOMEM. */
OXL_MUST_CHECK int oxl_bad_affects(struct oxl_bad_list *l, struct oxl_bad *b, const struct oxl_digest *commit,
                                   const char *path, size_t path_len, struct oxl_error *err);
OXL_MUST_CHECK int oxl_bad_report(struct oxl_check *c, const struct oxl_bad_list *l, struct oxl_error *err);

#endif
