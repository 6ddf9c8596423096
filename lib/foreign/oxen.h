/* SPDX-License-Identifier: MIT */
/*
 * One check of an Oxen repository or version store: what its files share.
 *
 *      oxen.c     the call: finds the store, runs the parts in order
 *      config.c   HEAD and config.toml as text
 *      walk.c     every entry of the version store
 *      look.c     hashing a file, and hashing it again before anything is said about it
 *      items.c    what repair may act on
 *      repair.c   quarantine, good bytes, replacing
 *      sources.c  where good bytes are looked for
 *      report.c   findings
 *      names.c    names
 *
 * Every part returns < 0 only when the whole call has to stop: CANCELLED, NOMEM, what the caller's function
 * returned, and in repair a failed write. What cannot be read is reported and left alone.
 *
 * Memory: one buffer, one folder's entry at a time for each level, and the damaged entries that repair will act on
 * (at most OXL_OXEN_ITEMS_MAX). The list of blobs is never held.
 */
#ifndef OXL_FOREIGN_OXEN_H
#define OXL_FOREIGN_OXEN_H

#include <sys/stat.h>

#include <oxenlite/foreign.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fail.h"
#include "digest/digest.h"
#include "foreign/names.h"
#include "os/fdio.h"

enum { OXL_OXEN_BUFFER = 1 << 20, OXL_OXEN_ITEMS_MAX = 16384 };

/* A damaged or lost file that repair may replace. */
struct oxl_oxen_item {
        enum oxl_problem problem;
        char *path;                  /* owned; relative to the version store */
        struct oxl_digest want, got; /* got.algo NONE: nothing is there */
        bool block;
        struct stat st; /* as it was when it was judged; of the folder when nothing is there */
        bool stale;     /* it changed since: left alone */
        bool unproven;  /* it was replaced, but did not read back right */
        bool healed;
        char quarantine[17]; /* name of its folder in the quarantine; "" none */
        char *source;        /* owned; where the good bytes were */
};

struct oxl_oxen {
        const struct oxl_oxen_options *options;
        oxl_finding_fn *fn;
        void *fn_ctx;
        struct oxl_oxen_result result;
        uint8_t *buf; /* owned; OXL_OXEN_BUFFER bytes */

        int repo_fd;  /* .oxen; -1: a bare version store */
        char *repo;   /* owned; its real path */
        int store_fd; /* the version store; -1: none to look at */
        char *store;  /* owned; its real path */
        char *shown;  /* owned; what stands before the paths of the store in findings */

        struct oxl_oxen_item *items;
        size_t n_items, cap_items;
        bool searched; /* every source was looked through */
};

/* --- report.c ---------------------------------------------------------------------------------------------------- */

struct oxl_oxen_report {
        enum oxl_problem problem;
        const char *path; /* as shown */
        const struct oxl_digest *want, *got;
        bool block; /* digests in 32 digits */
        const char *verdict, *detail;
        int os;
        bool repaired;
};
OXL_MUST_CHECK int oxl_oxen_report(struct oxl_oxen *x, const struct oxl_oxen_report *r, struct oxl_error *err);
/* UNREADABLE, with the error and its errno. A cancelled call is not a finding: it is returned. */
OXL_MUST_CHECK int oxl_oxen_unreadable(struct oxl_oxen *x, const char *path, const struct oxl_error *why,
                                       struct oxl_error *err);
/* "<shown><path>", to be freed. NOMEM. */
OXL_MUST_CHECK int oxl_oxen_shown(const struct oxl_oxen *x, const char *path, char **ret, struct oxl_error *err);
OXL_MUST_CHECK int oxl_oxen_poll(const struct oxl_oxen *x, struct oxl_error *err);

/* --- look.c ------------------------------------------------------------------------------------------------------ */

struct oxl_oxen_hashed {
        struct oxl_digest id;
        struct stat st; /* before it was read */
        uint64_t bytes; /* read */
};

/* Is it still the same file, unchanged as far as its inode tells? */
bool oxl_oxen_same(const struct stat *a, const struct stat *b);

/* Opens the regular file @name in @dirfd for reading; nothing else is ever opened, no link followed. 0: *ret_fd;
 * 1: there is none (any more). FILE_STAT, FILE_OPEN. */
OXL_MUST_CHECK int oxl_oxen_open(int dirfd, const char *name, const char *shown, int *ret_fd, struct stat *ret_st,
                                 struct oxl_error *err);
/* Hashes what is left of @fd. FILE_READ, CANCELLED. */
OXL_MUST_CHECK int oxl_oxen_hash_fd(const struct oxl_oxen *x, int fd, const char *shown, struct oxl_digest *ret_id,
                                    uint64_t *ret_bytes, struct oxl_error *err);
/* Both. 0, or 1: there is no such file. */
OXL_MUST_CHECK int oxl_oxen_hash(const struct oxl_oxen *x, int dirfd, const char *name, const char *shown,
                                 struct oxl_oxen_hashed *ret, struct oxl_error *err);

enum oxl_oxen_state {
        OXL_OXEN_GOOD,
        OXL_OXEN_GONE,
        OXL_OXEN_TRANSIENT,  /* wrong first, right from the medium */
        OXL_OXEN_MEDIA,      /* the same wrong bytes twice */
        OXL_OXEN_MEMORY,     /* wrong in two ways: neither can be believed */
        OXL_OXEN_UNREADABLE, /* ret_why says why */
};
/* Looks at a file that should hash to @want, twice when it does not. CANCELLED only. */
OXL_MUST_CHECK int oxl_oxen_look(const struct oxl_oxen *x, int dirfd, const char *name, const char *shown,
                                 const struct oxl_digest *want, enum oxl_oxen_state *ret,
                                 struct oxl_oxen_hashed *ret_hashed, struct oxl_error *ret_why, struct oxl_error *err);

/* --- config.c ---------------------------------------------------------------------------------------------------- */

/* Checks HEAD and config.toml. *ret_path (owned) is the configured place of the version store, NULL for the default. 1: where
 * it lies could not be learned, which was reported. */
OXL_MUST_CHECK int oxl_oxen_config(struct oxl_oxen *x, char **ret_path, struct oxl_error *err);

/* --- walk.c ------------------------------------------------------------------------------------------------------ */

typedef int oxl_oxen_entry_fn(struct oxl_oxen *x, void *ctx, int dirfd, const char *path, const char *name,
                              const struct stat *st, struct oxl_error *err);
/* Calls @fn for each entry of the folder @dirfd, shown as @dir ("" or without '/' at its end). What cannot be listed or
 * examined is reported, and *ret_complete (may be NULL) set to false. */
OXL_MUST_CHECK int oxl_oxen_each(struct oxl_oxen *x, int dirfd, const char *dir, oxl_oxen_entry_fn *fn, void *ctx,
                                 bool *ret_complete, struct oxl_error *err);
/* Opens a folder for listing. 0: *ret_fd; 1: gone, or reported. */
OXL_MUST_CHECK int oxl_oxen_enter(struct oxl_oxen *x, int dirfd, const char *name, const char *path, int *ret_fd,
                                  struct oxl_error *err);
/* Reports a temp, of Oxen or of ours, as a note. 1: it is no temp, nothing was said. */
OXL_MUST_CHECK int oxl_oxen_temp(struct oxl_oxen *x, const char *path, const char *name, const struct stat *st,
                                 struct oxl_error *err);
OXL_MUST_CHECK int oxl_oxen_walk(struct oxl_oxen *x, struct oxl_error *err);

/* --- items.c, repair.c, sources.c ---------------------------------------------------------------------------------- */

void oxl_oxen_items_done(struct oxl_oxen *x);
/* Takes what repair may act on; @path is relative to the store, @item's own path is not read. 0 taken, it is reported by
 * oxl_oxen_items_report(); 1: the list is full. NOMEM. */
OXL_MUST_CHECK int oxl_oxen_items_add(struct oxl_oxen *x, const struct oxl_oxen_item *item, const char *path,
                                      struct oxl_error *err);
void oxl_oxen_items_sort(struct oxl_oxen *x);
/* The first item of a sorted list that wants @id, and the number of them. */
struct oxl_oxen_item *oxl_oxen_items_find(const struct oxl_oxen *x, const struct oxl_digest *id, size_t *ret_n);
/* Items that still want good bytes. */
size_t oxl_oxen_items_open(const struct oxl_oxen *x);
OXL_MUST_CHECK int oxl_oxen_items_report(struct oxl_oxen *x, struct oxl_error *err);

struct oxl_oxen_repair;
/* Offers the file @name in @dirfd, whose bytes hashed to @id, to the items that want it. */
OXL_MUST_CHECK int oxl_oxen_offer(struct oxl_oxen_repair *p, int dirfd, const char *name, const char *shown,
                                  const struct oxl_digest *id, struct oxl_error *err);
/* Looks for good bytes in the quarantine (@quarantine_fd, -1: none yet) and in the caller's folder. */
OXL_MUST_CHECK int oxl_oxen_sources(struct oxl_oxen *x, struct oxl_oxen_repair *p, int quarantine_fd,
                                    const char *quarantine, struct oxl_error *err);
/* Quarantines and heals the items. An error is a failed write, or CANCELLED; what was done stays done. */
OXL_MUST_CHECK int oxl_oxen_repair(struct oxl_oxen *x, struct oxl_error *err);

/* The real path behind @fd, to be freed; @fallback where /proc is missing. NOMEM. */
OXL_MUST_CHECK int oxl_oxen_real_path(int fd, const char *fallback, char **ret, struct oxl_error *err);

#endif
