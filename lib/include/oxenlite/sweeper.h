/* SPDX-License-Identifier: MIT */
/*
 * The sweeper: removes temporary files as soon as it is proven that nobody will finish them, and says why it keeps the others.
 *
 * Proof, never a guess: for temps of ours the kernel's word that the owner's lock is free, however young the file is and whatever
 * the clocks say; for foreign ones (Oxen's two shapes) a write lease that was granted *and* a day of age measured against a file
 * made now in the same folder. What an open intent names is left to recovery. Only regular files of the repository's own user
 * with one link are touched, by descriptor, never through a link, after a second look at the inode.
 * What a crash leaves: temps not yet removed. Takes no lock that a writer waits for. Threads: reentrant.
 */
#ifndef OXENLITE_SWEEPER_H
#define OXENLITE_SWEEPER_H

#include <oxenlite/repo.h>

OXL_BEGIN_DECLS

enum oxl_sweep_proof {
        /* removed */
        OXL_SWEEP_OWNER_DEAD =
                0,           /* "owner-dead": the byte of the owner in its name is free, and it was of this machine */
        OXL_SWEEP_LOCK_FREE, /* "lock-free": a standalone writer's own lock on the temp is free */
        OXL_SWEEP_LEASE,     /* "lease": foreign; nobody has it open, and it is older than a day */
        /* kept */
        OXL_SWEEP_ALIVE,         /* "alive": its owner holds the lock, or the file is open */
        OXL_SWEEP_INTENT,        /* "intent": an open intent names it: recovery decides */
        OXL_SWEEP_OTHER_MACHINE, /* "other-machine": written by a process of another machine or container host */
        OXL_SWEEP_YOUNG,         /* "young": foreign, nobody has it open, but it is not a day old */
        OXL_SWEEP_NO_PROOF, /* "no-proof": the file system cannot answer (network, overlay), or the question failed */
        OXL_SWEEP_NOT_OURS, /* "not-ours": the name of a temp, but a link, folder, FIFO, second link, other user */
        OXL_SWEEP_PROOFS,   /* how many there are */
};
OXL_API const char *oxl_sweep_proof_slug(enum oxl_sweep_proof p);
OXL_API bool oxl_sweep_proof_removes(enum oxl_sweep_proof p);

struct oxl_sweeper_item { /* borrowed for the call */
        const char *path; /* relative to the working tree, or to the folder given */
        enum oxl_sweep_proof proof;
        bool removed;                   /* false in a dry run, and when the removal failed */
        uint64_t owner;                 /* from the name; 0: standalone or foreign */
        uint64_t bytes;                 /* allocated */
        const char *why;                /* one sentence: "pid 4711 (oxen-lite commit) died", "…" */
        const struct oxl_error *failed; /* why it could not be removed, or NULL */
};
typedef int oxl_sweeper_fn(void *ctx, const struct oxl_sweeper_item *item, struct oxl_error *err);

struct oxl_sweeper_options {
        bool dry_run;  /* decide and report only */
        bool worktree; /* also the folders of the working tree (all of them: a full walk) */
};
struct oxl_sweeper_result {
        struct {
                uint64_t files, bytes; /* dry run: what would go */
        } by_proof[OXL_SWEEP_PROOFS];
        uint64_t failed;     /* provably stale, but could not be removed */
        uint64_t unreadable; /* folders that could not be listed */
        uint64_t
                reserve_bytes; /* set free by unlinking `reserve` first, because the disk was full; made again afterwards */
        uint64_t owners_removed; /* owners/ records of the dead */
};

/* Sweeps the repository at or above @start. @fn (may be NULL) hears each temp, kept ones too. Read-only mounts and other users'
 * repositories: nothing can be removed; items are reported with `failed`.
 * 0 when it ran to its end. REPO_NOT_FOUND, REPO_UNTRUSTED, CANCELLED, NOMEM, what @fn returns. */
OXL_API OXL_MUST_CHECK int oxl_sweeper_repository(const char *start, const struct oxl_repo_options *repo_options,
                                                  const struct oxl_sweeper_options *options, oxl_sweeper_fn *fn,
                                                  void *ctx, struct oxl_sweeper_result *ret, struct oxl_error *err);

/* The same for an Oxen repository, its .oxen folder, or a bare version store (see foreign.h): temps of Oxen's two shapes below it
 * and, for a repository with `worktree`, in its working tree. */
OXL_API OXL_MUST_CHECK int oxl_sweeper_oxen(const char *dir, const struct oxl_sweeper_options *options,
                                            const atomic_bool *cancel, oxl_sweeper_fn *fn, void *ctx,
                                            struct oxl_sweeper_result *ret, struct oxl_error *err);

OXL_END_DECLS

#endif
