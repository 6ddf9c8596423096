/* SPDX-License-Identifier: MIT */
/*
 * Repair: plan, apply, undo. Nothing is deleted: what is replaced goes to `quarantine/<id>/` with a note, durably, before the good
 * bytes are renamed over it; with no good copy the damaged file stays in place, marked in the note.
 *
 * A plan is a list of items taken from fsck's findings (`fsck --json` is itself a plan). Each item carries what was seen
 * (digest, size, inode, mtime): an item that no longer matches is stale and skipped. An item of a damaged ref or HEAD may have a
 * "choice", which a person added: the commit id (or, for HEAD, the branch) to write where nothing else tells. Items are applied under the writer and gc locks, each as an
 * intent, so a crash inside repair is finished or undone by recovery like any other operation.
 *
 * Good bytes, in this order: another copy in the store (second copy of metadata, another pack, a loose blob), the working
 * tree (not a file that shares the damaged extents), staged files, quarantine, the folders given as @from. They are hashed before they are used.
 * An I/O error is never a reason to replace anything. A verdict "memory-suspect" stops all repair.
 *
 * Error budget: more than max(5 items, 1 % of the files checked) stops automatic repair before it begins, unless forced.
 */
#ifndef OXENLITE_REPAIR_H
#define OXENLITE_REPAIR_H

#include <oxenlite/check.h>

OXL_BEGIN_DECLS

enum oxl_repair_verdict {
        OXL_REPAIR_HEALED = 1, /* good bytes are in place */
        OXL_REPAIR_REBUILT,    /* a derived or rebuildable file was made anew */
        OXL_REPAIR_LEFT,       /* no good copy: the damaged file stays where it is */
        OXL_REPAIR_STALE,      /* not what the plan saw any more */
        OXL_REPAIR_PROPOSED,   /* a person has to decide: `detail` says between what, and how to say so */
};
struct oxl_repair_item { /* borrowed for the call */
        enum oxl_repair_verdict verdict;
        const char *finding_id, *slug, *path;
        const char *source; /* where the good bytes came from, or "" */
        const char *detail; /* one sentence, may be "" */
};
typedef int oxl_repair_fn(void *ctx, const struct oxl_repair_item *item, struct oxl_error *err);

struct oxl_repair_options {
        const char *const *from; /* folders to take good bytes from: repositories, Oxen stores, plain files */
        size_t n_from;
        const char *plan; /* JSON text of an earlier `fsck --json`; NULL: check first */
        size_t plan_bytes;
        bool force;                          /* beyond the error budget */
        const struct oxl_check_hooks *hooks; /* for the library itself; NULL */
};
struct oxl_repair_result {
        struct oxl_check_result before; /* of the check that found the items */
        uint64_t healed, rebuilt, left, stale, proposed;
        bool over_budget;              /* nothing was done: --force */
        bool memory_suspect;           /* nothing was done: a file read differently each time */
        uint64_t failed;               /* items that an I/O error kept from being repaired */
        struct oxl_check_result after; /* of the check that ended the repair; as before when nothing was done */
        char quarantine[32];           /* id for undo; "" when nothing was moved */
};

/* Checks (or takes the plan), then repairs what can be repaired. @finding hears the findings, @item what became of them.
 * After a change the check that ends the run is recorded: what it does not find any more is settled in the ledger. */
OXL_API OXL_MUST_CHECK int oxl_repair_run(const char *start, const struct oxl_repo_options *repo_options,
                                          const struct oxl_repair_options *options, oxl_finding_fn *finding,
                                          oxl_repair_fn *item, void *ctx, struct oxl_repair_result *ret,
                                          struct oxl_error *err);

/* Puts back what repair @id moved to quarantine. Refuses to replace verified good content without @force. */
OXL_API OXL_MUST_CHECK int oxl_repair_undo(const char *start, const struct oxl_repo_options *repo_options,
                                           const char *id, bool force, oxl_repair_fn *item, void *ctx,
                                           struct oxl_error *err);

struct oxl_quarantine_entry {
        const char *id, *path; /* path: canonical file that was replaced or marked */
        uint64_t bytes;
        bool only_copy; /* no verified good copy of its content is in the store */
};
typedef int oxl_quarantine_fn(void *ctx, const struct oxl_quarantine_entry *entry, struct oxl_error *err);
/* Lists what quarantine holds; with @purge removes it, when @fn returned 0 for each entry. All are listed, under the locks, before the
 * first is removed: a caller that asked a person about an earlier list refuses there what was not on it. */
OXL_API OXL_MUST_CHECK int oxl_quarantine_list(const char *start, const struct oxl_repo_options *repo_options,
                                               bool purge, oxl_quarantine_fn *fn, void *ctx, struct oxl_error *err);

OXL_END_DECLS

#endif
