/* SPDX-License-Identifier: MIT */
/*
 * Oxen stores: checks, and heals, the version store of a real Oxen repository (.oxen/versions/files) as it is.
 *
 * What can be verified is verified: each blob against the XXH3-128 in its path. Derived files, chunks of an upload in progress and
 * manifests are known names that cannot be verified: counted, never blamed. Nothing is ever deleted; repair copies a damaged blob to a
 * quarantine folder outside of the Oxen repository and, where it has them, puts verified good bytes in its place by an atomic
 * write. RocksDB and LMDB files are never opened. Facts of the format: docs/OXEN.md.
 *
 * An I/O error is UNREADABLE, never damage. Locks: none (Oxen has none across processes). Threads: one check per call; reentrant.
 */
#ifndef OXENLITE_FOREIGN_H
#define OXENLITE_FOREIGN_H

#include <oxenlite/check.h>

OXL_BEGIN_DECLS

struct oxl_oxen_options {
        bool repair;
        bool force;     /* beyond the error budget: more than max(5 items, 1 % of the versions) */
        unsigned batch; /* items that are repaired together; 0: 16,384 */
        const char *
                from; /* folder with good copies: Oxen stores, oxen-lite repositories (loose or packed), plain files; NULL: none */
        const char *state; /* where quarantine goes; NULL: $XDG_STATE_HOME or ~/.local/state, + /oxen-lite/oxen */
        const atomic_bool *cancel;
        oxl_progress_fn *progress;
        void *ctx; /* of progress */
};

struct oxl_oxen_result {
        uint64_t blobs, bytes;      /* verified */
        uint64_t unverifiable;      /* derived files, chunks, manifests, databases: known, not checked */
        uint64_t temps, temp_bytes; /* Oxen's two temp shapes: reported, not swept here */
        uint64_t findings;          /* severity warning and above, healed ones and unreadable ones included */
        uint64_t unreadable;
        uint64_t quarantined, healed; /* a file without a good copy is quarantined as a copy, and stays */
        bool over_budget;             /* nothing was repaired: `force` */
        char *quarantine;             /* owned; folder that holds the copies, or NULL: there are none */
};
OXL_API void oxl_oxen_result_done(struct oxl_oxen_result *r);

/* Checks the Oxen repository @dir (with .oxen), its .oxen folder, or a bare version store. Findings as fsck's; paths are relative
 * to .oxen, to a bare store, or begin as config.toml's versions_path does. With repair a finding that can be acted on comes
 * after the walk (with `force` after every 16,384), when it is known what became of it (`repaired`).
 * 0 when it ran to its end. REPO_NOT_FOUND; DIR_OPEN, DIR_READ, FILE_STAT of @dir or of `from`; CANCELLED, NOMEM, what @fn returns;
 * of repair OXEN_STATE (no place for it, or inside of the repository) and failed writes: all findings were reported before, and
 * what was healed stays so. *ret is written in any case. */
OXL_API OXL_MUST_CHECK int oxl_oxen_check(const char *dir, const struct oxl_oxen_options *options, oxl_finding_fn *fn,
                                          void *fn_ctx, struct oxl_oxen_result *ret, struct oxl_error *err);

OXL_END_DECLS

#endif
