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
 * Memory: one buffer, one folder's entry at a time for each level, and the damaged entries that repair will act on: with `force` at
 * most a batch (and what one folder adds), which is then repaired before the walk goes on; else as many as the error budget allows,
 * that is 1 % of the versions at 400 bytes each, or a batch. The list of blobs is never held.
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
#include "objects/objects.h"
#include "os/fdio.h"

enum { OXL_OXEN_BUFFER = 1 << 20, OXL_OXEN_ALIGN = 4096 }; /* aligned, for reading around the cache */
/* Items that are repaired together, unless the options say otherwise. */
enum { OXL_OXEN_BATCH = 16384 };

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

struct oxl_oxen;

/* For lib/scrub: its pace, its choice. */
struct oxl_oxen_unit {             /* a file that can be verified */
        const char *folder, *name; /* relative to the store: "15/775…", "blocks/ab/…"; "data" */
        const struct oxl_digest *want;
        bool block;
        uint64_t size;
        int64_t changed_ns; /* ctime */
};
enum { OXL_OXEN_NOW = 2 };
struct oxl_oxen_hooks {
        /* As struct oxl_check_hooks has it; NULL: none. */
        void (*pace)(void *ctx, uint64_t bytes, int64_t latency_ns, bool medium);
        /* Each unit. 0: it is not verified now; OXL_OXEN_NOW: it is; < 0 stops everything. */
        int (*unit)(void *ctx, const struct oxl_oxen_unit *unit, struct oxl_error *err);
        /* After the walk: verifies what is due. */
        int (*after)(void *ctx, struct oxl_oxen *x, struct oxl_error *err);
        void *ctx;
        bool media; /* read around the cache */
};

struct oxl_oxen {
        const struct oxl_oxen_hooks *hooks; /* NULL: none */
        const struct oxl_oxen_options *options;
        oxl_finding_fn *fn;
        void *fn_ctx;
        struct oxl_oxen_result result;
        uint8_t *buf; /* owned; OXL_OXEN_BUFFER bytes */

        int repo_fd;        /* .oxen; -1: a bare version store */
        char *repo;         /* owned; its real path */
        int store_fd;       /* the version store; -1: none to look at */
        char *store;        /* owned; its real path */
        char *shown;        /* owned; what stands before the paths of the store in findings */
        bool place_unknown; /* config.toml could not be read: where the store is, is a guess */

        struct oxl_oxen_item *items;
        size_t n_items, cap_items;
        uint64_t counted; /* versions that a quick look found; 0: it was not needed */
        bool searched;    /* every source was looked through */
};

/* Where things are, for those who only list names. */
struct oxl_oxen_places {
        int repo_fd;  /* .oxen; -1: a bare version store */
        char *repo;   /* owned; its real path */
        int store_fd; /* -1: there is none, or it is elsewhere */
        char *store;  /* owned; its real path */
        char *shown;  /* owned; what config.toml calls it */
};
#define OXL_OXEN_PLACES_INIT { .repo_fd = -1, .store_fd = -1 }
void oxl_oxen_places_done(struct oxl_oxen_places *p);
/* As oxl_oxen_check finds them; what is wrong with them is not said. REPO_NOT_FOUND, DIR_OPEN, DIR_READ, FILE_STAT, NOMEM, CANCELLED. */
OXL_MUST_CHECK int oxl_oxen_find(const char *dir, const atomic_bool *cancel, struct oxl_oxen_places *ret,
                                 struct oxl_error *err);

/* --- report.c ---------------------------------------------------------------------------------------------------- */

struct oxl_oxen_report {
        enum oxl_problem problem;
        const char *path; /* as shown */
        const struct oxl_digest *want, *got;
        bool block; /* digests in 32 digits */
        const char *verdict, *detail;
        const char *remedy; /* instead of the problem's */
        int os;
        bool repaired;
        const struct stat *st; /* of what is at the path; NULL: as it is now */
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
enum oxl_oxen_judged { OXL_OXEN_IS_GOOD, OXL_OXEN_IS_DAMAGED, OXL_OXEN_IS_UNREADABLE, OXL_OXEN_IS_GONE };
/* Verifies one file that a hook was told of, and reports what is wrong with it. *ret_bytes: its size. */
OXL_MUST_CHECK int oxl_oxen_verify(struct oxl_oxen *x, const struct oxl_oxen_unit *u, enum oxl_oxen_judged *ret,
                                   uint64_t *ret_bytes, struct oxl_error *err);
/* oxl_oxen_check with hooks. */
OXL_MUST_CHECK int oxl_oxen_check_with(const char *dir, const struct oxl_oxen_options *options,
                                       const struct oxl_oxen_hooks *hooks, oxl_finding_fn *fn, void *fn_ctx,
                                       struct oxl_oxen_result *ret, struct oxl_error *err);
/* The folders of hashes in the store, by their names alone; what cannot be listed is not counted. CANCELLED. */
OXL_MUST_CHECK int oxl_oxen_count(struct oxl_oxen *x, uint64_t *ret, struct oxl_error *err);

/* --- items.c, repair.c, sources.c ---------------------------------------------------------------------------------- */

void oxl_oxen_items_done(struct oxl_oxen *x);
/* Takes what repair may act on; @path is relative to the store, @item's own path is not read. 0 taken, it is reported by
 * oxl_oxen_items_report(); 1: the budget is exhausted, nothing will be repaired, the caller reports it. NOMEM. */
OXL_MUST_CHECK int oxl_oxen_items_add(struct oxl_oxen *x, const struct oxl_oxen_item *item, const char *path,
                                      struct oxl_error *err);
/* Between two folders of the walk: with `force` a full batch is repaired, reported and forgotten. */
OXL_MUST_CHECK int oxl_oxen_items_flush(struct oxl_oxen *x, struct oxl_error *err);
/* Behind the walk: decides whether the budget allows it, repairs, reports. The error of repair comes first. */
OXL_MUST_CHECK int oxl_oxen_items_finish(struct oxl_oxen *x, struct oxl_error *err);
void oxl_oxen_items_sort(struct oxl_oxen *x);
/* The first item of a sorted list that wants @id, and the number of them. */
struct oxl_oxen_item *oxl_oxen_items_find(const struct oxl_oxen *x, const struct oxl_digest *id, size_t *ret_n);
/* Items that still want good bytes. */
size_t oxl_oxen_items_open(const struct oxl_oxen *x);
OXL_MUST_CHECK int oxl_oxen_items_report(struct oxl_oxen *x, struct oxl_error *err);

struct oxl_oxen_repair;
/* Where bytes are: the file @name in @dirfd, or the blob @blob of an object store. */
struct oxl_oxen_bytes {
        int dirfd;
        const char *name;
        struct oxl_objects *objects; /* NULL: the file */
        struct oxl_digest blob;
};
/* Offers @bytes, which hashed to @id, to the items that want it. */
OXL_MUST_CHECK int oxl_oxen_offer(struct oxl_oxen_repair *p, const struct oxl_oxen_bytes *bytes, const char *shown,
                                  const struct oxl_digest *id, struct oxl_error *err);
/* Looks for good bytes in the quarantine (@quarantine_fd, -1: none yet) and in the caller's folder. */
OXL_MUST_CHECK int oxl_oxen_sources(struct oxl_oxen *x, struct oxl_oxen_repair *p, int quarantine_fd,
                                    const char *quarantine, struct oxl_error *err);
/* Quarantines and heals the items. An error is a failed write, or CANCELLED; what was done stays done. */
OXL_MUST_CHECK int oxl_oxen_repair(struct oxl_oxen *x, struct oxl_error *err);

/* Where state of this store goes: "STATE/<store>/@what". Nothing is made. OXEN_STATE, DIR_OPEN, PATH, NOMEM. */
struct oxl_oxen_state_place {
        int fd;      /* the nearest folder above it that is there */
        char *real;  /* owned; that folder's path */
        char *below; /* owned; of the place, below it */
        char *shown; /* owned; of the place, absolute */
};
void oxl_oxen_state_place_done(struct oxl_oxen_state_place *p);
OXL_MUST_CHECK int oxl_oxen_state(const struct oxl_oxen *x, const char *what, struct oxl_oxen_state_place *ret,
                                  struct oxl_error *err);

/* The real path behind @fd, to be freed; @fallback where /proc is missing. NOMEM. */
OXL_MUST_CHECK int oxl_oxen_real_path(int fd, const char *fallback, char **ret, struct oxl_error *err);

#endif
