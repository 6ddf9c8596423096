/* SPDX-License-Identifier: MIT */
/*
 * What the parts of repair share. One run is some rounds of: check, collect findings, act on each by its kind,
 * check again;
 * it ends when a round changed nothing.
 *
 *   plan.c         findings as items: copies, an earlier `fsck --json`, what is stale, the error budget
 *   repair.c       the run: locks, intent, order of the items
 *   repair_boot.c  what must be right before a repository can be opened: folders, locks, format, config, journal
 *   repair_pack.c  packs, record by record
 *   repair_put.c   blobs, trees and commits that are damaged or missing
 *   repair_refs.c  HEAD and refs
 *   repair_index.c the index
 *   good.c         where good bytes come from
 *   quarantine.c   what was replaced: notes, links, list, purge, undo
 *
 * Every replacement is: note durable -> the bad file linked into quarantine, durable -> good bytes renamed over it ->
 * barrier. What a crash leaves: the bad or the good file, both whole, and at worst a link in quarantine to a file that
 * is still in place; recovery of the intent (lib/repo/recover_repair.c) takes such links away. Every step can be
 * done again.
 */
#ifndef OXL_CHECK_REPAIR_H
#define OXL_CHECK_REPAIR_H

#include <oxenlite/json.h>
#include <oxenlite/repair.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/hex.h"
#include "base/path.h"
#include "objects/pack_write.h"
#include "os/fdio.h"
#include "repo/repo.h"

/* --- plan.c ------------------------------------------------------------------------------------------------------ */

struct oxl_repair_find { /* a finding, owned */
        enum oxl_problem problem;
        char id[17];
        char *path, *object, *verdict, *expected, *actual;
        char **affects;
        size_t n_affects;
        bool exists; /* what was at the path when it was found */
        uint64_t size, inode;
        int64_t mtime_ns;
        char *choice;  /* owned: what a person put in the plan for a proposal; NULL: nothing */
        bool selected; /* by the plan; without one: always */
        bool told;     /* its item was said */
};

struct oxl_repair_held { /* an item that is said when the run ends, owned */
        enum oxl_repair_verdict verdict;
        char id[17];
        const char *slug; /* static */
        char *path, *detail;
};

struct oxl_good;

struct oxl_repair {
        const struct oxl_repo_options *options;
        const struct oxl_repair_options *how;
        struct oxl_repair_result result;
        oxl_finding_fn *finding;
        oxl_repair_fn *item;
        void *ctx;

        const char *start;
        char *root; /* owned: absolute path of .oxen-lite */
        int root_fd;

        struct oxl_repair_find *finds;
        size_t n_finds, cap_finds;
        struct oxl_repair_held *held;
        size_t n_held, cap_held;
        uint64_t progress; /* items healed or rebuilt in this round */
        bool suspect;      /* a finding is "memory-suspect" */
        bool quiet;        /* findings of this check are not handed on */

        /* while the writer lock is held */
        struct oxl_durable *durable; /* borrowed: of the repository, or of the boot phase */
        struct oxl_repo *repo;       /* NULL in the boot phase */
        struct oxl_objects *objects; /* borrowed */
        struct oxl_good *good;       /* owned */
        unsigned serial;             /* entries of this run's quarantine folder */
};

OXL_MUST_CHECK int oxl_repair_collect(struct oxl_repair *p, const struct oxl_finding *f, struct oxl_error *err);
void oxl_repair_forget(struct oxl_repair *p);
/* Marks the finds that @plan lists and that are as they were then; says STALE of its other items. INVALID. */
OXL_MUST_CHECK int oxl_repair_select(struct oxl_repair *p, const char *plan, size_t n, struct oxl_error *err);
/* Items that count against the budget. */
uint64_t oxl_repair_count(const struct oxl_repair *p);
/* Is the file at the find's path the one that was checked? */
bool oxl_repair_fresh(const struct oxl_repair *p, const struct oxl_repair_find *f);
/* Says what became of @f, once. HEALED and REBUILT at once, the others when the run ends. */
OXL_MUST_CHECK int oxl_repair_tell(struct oxl_repair *p, struct oxl_repair_find *f, enum oxl_repair_verdict verdict,
                                   const char *source, const char *detail, struct oxl_error *err);
/* An action on @f failed: CANCELLED, NOMEM and failures to write end the run (returned), anything else leaves @f
 * as it is (0). */
OXL_MUST_CHECK int oxl_repair_failed(struct oxl_repair *p, struct oxl_repair_find *f, struct oxl_error *why,
                                     struct oxl_error *err);
/* Says what was held back. */
OXL_MUST_CHECK int oxl_repair_tell_held(struct oxl_repair *p, struct oxl_error *err);
void oxl_repair_drop_held(struct oxl_repair *p);
/* Kind and id of the object that the find is about; false when there is none. */
bool oxl_repair_object(const struct oxl_repair *p, const struct oxl_repair_find *f, enum oxl_kind *ret_kind,
                       struct oxl_digest *ret);

/* --- quarantine.c ------------------------------------------------------------------------------------------------ */

/* Gives the run its id. */
OXL_MUST_CHECK int oxl_quarantine_begin(struct oxl_repair *p, struct oxl_error *err);
/* Notes and links the file at @path, durably. 0, also when there is nothing at @path. UNSUPPORTED: not a regular
 * file. */
OXL_MUST_CHECK int oxl_quarantine_keep(struct oxl_repair *p, const struct oxl_repair_find *f, const char *path,
                                       const char *source, struct oxl_error *err);
/* Takes the name @path away, after oxl_quarantine_keep. Barrier included. */
OXL_MUST_CHECK int oxl_quarantine_drop(struct oxl_repair *p, const char *path, struct oxl_error *err);
/* Calls @fn for each entry: folder "quarantine/<id>/<n>", its note (NULL: unreadable). */
typedef int oxl_quarantine_each_fn(void *ctx, const char *folder, const char *id, const struct oxl_json *note,
                                   struct oxl_error *err);
OXL_MUST_CHECK int oxl_quarantine_each(int root_fd, const char *only, oxl_quarantine_each_fn *fn, void *ctx,
                                       struct oxl_error *err);

/* --- good.c ------------------------------------------------------------------------------------------------------ */

enum { OXL_GOOD_SOURCE_BYTES = 512 };

struct oxl_good_copy {
        struct oxl_objects *objects; /* borrowed; a blob of this store */
        int fd;                      /* owned; a file, whole */
        struct oxl_buf bytes;        /* when neither */
        uint64_t size;
        char source[OXL_GOOD_SOURCE_BYTES];
};
#define OXL_GOOD_COPY_INIT                      \
        {                                       \
                .fd = -1, .bytes = OXL_BUF_INIT \
        }
void oxl_good_copy_done(struct oxl_good_copy *c);

OXL_MUST_CHECK int oxl_good_new(struct oxl_repair *p, struct oxl_good **ret, struct oxl_error *err);
void oxl_good_free(struct oxl_good *g);
/* 0: *ret was read and hashes to @id; 1: there is none. CANCELLED, NOMEM. */
OXL_MUST_CHECK int oxl_good_find(struct oxl_repair *p, enum oxl_kind kind, const struct oxl_digest *id,
                                 struct oxl_good_copy *ret, struct oxl_error *err);
/* The content once more, hashed again: OBJECT_CORRUPT after the sink saw it. */
OXL_MUST_CHECK int oxl_good_stream(struct oxl_repair *p, struct oxl_good_copy *c, enum oxl_kind kind,
                                   const struct oxl_digest *id, oxl_sink_fn *sink, void *ctx, struct oxl_error *err);
/* All of it in memory; LIMIT above 64 MiB. */
OXL_MUST_CHECK int oxl_good_bytes(struct oxl_repair *p, struct oxl_good_copy *c, enum oxl_kind kind,
                                  const struct oxl_digest *id, struct oxl_buf *ret, struct oxl_error *err);
/* Is a verified copy in the store? 0 yes, 1 no. Failures to read count as no. */
OXL_MUST_CHECK int oxl_good_stored(struct oxl_repair *p, enum oxl_kind kind, const struct oxl_digest *id,
                                   struct oxl_error *err);

/* Files that no hash names, of another copy of this repository: @fn gets the .oxen-lite of each folder given as @from whose format
 * has @id, until it returns something else than 1, which is returned; its folder is then in @ret_source. 1: none. Works without an
 * opened repository. NOMEM. */
typedef int oxl_good_kin_fn(void *ctx, int root_fd, struct oxl_error *err);
OXL_MUST_CHECK int oxl_good_kin(const struct oxl_repair *p, const struct oxl_repo_id *id, oxl_good_kin_fn *fn,
                                void *ctx, char ret_source[OXL_GOOD_SOURCE_BYTES], struct oxl_error *err);

/* --- repair_pack.c ----------------------------------------------------------------------------------------------- */

/* One record of a pack, good or not. Its payload is in @bytes when it is good, has a kind other than filler and is
 * not larger than
 * 64 MiB. */
typedef int oxl_salvage_fn(void *ctx, const struct oxl_pack_entry *e, bool good, struct oxl_bytes bytes,
                           struct oxl_error *err);
/* Reads the pack at @fd (taken) whatever is wrong with it: by its index when that is whole, else from record header to
 * record header, each of which proves itself by a checksum over its place. *ret_gap: bytes were passed over. */
OXL_MUST_CHECK int oxl_salvage(int fd, const char *name, const struct oxl_repo_id *repo, enum oxl_algo algo,
                               oxl_salvage_fn *fn, void *ctx, bool *ret_gap, struct oxl_error *err);

/* --- the actions: each tells what became of the finds that are its business
 * ------------------------------------------ */

OXL_MUST_CHECK int oxl_repair_boot(struct oxl_repair *p, struct oxl_error *err);
OXL_MUST_CHECK int oxl_repair_packs(struct oxl_repair *p, struct oxl_error *err);
OXL_MUST_CHECK int oxl_repair_loose(struct oxl_repair *p, struct oxl_error *err);
OXL_MUST_CHECK int oxl_repair_missing(struct oxl_repair *p, struct oxl_error *err);
OXL_MUST_CHECK int oxl_repair_refs(struct oxl_repair *p, struct oxl_error *err);
OXL_MUST_CHECK int oxl_repair_index(struct oxl_repair *p, struct oxl_error *err);

/* Loose blob @id from @c, over whatever has its name. Barrier included. */
OXL_MUST_CHECK int oxl_repair_write_loose(struct oxl_repair *p, const struct oxl_digest *id, struct oxl_good_copy *c,
                                          struct oxl_error *err);
/* Finishes, syncs and publishes a pack; barrier included. Frees it. */
OXL_MUST_CHECK int oxl_repair_publish_pack(struct oxl_repair *p, struct oxl_pack_writer *w, struct oxl_error *err);

/* check.c: finds and opens .oxen-lite at or above @start. */
OXL_MUST_CHECK int oxl_check_open_root(const char *start, const struct oxl_repo_options *options, char **ret_root,
                                       int *ret_fd, struct oxl_error *err);

#endif
