/* SPDX-License-Identifier: MIT */
/* Proofs, counting and telling, see run.h. */
#include <stdio.h>
#include <string.h>

#include "repo/worktree.h"
#include "sweep/run.h"

static const struct proof_row {
        const char *slug, *why;
        bool removes;
} proofs[OXL_SWEEP_PROOFS] = {
        [OXL_SWEEP_OWNER_DEAD] = { "owner-dead", "its process died", true },
        [OXL_SWEEP_LOCK_FREE] = { "lock-free", "its writer died: the lock on it is free", true },
        [OXL_SWEEP_LEASE] = { "lease", "nobody has it open, and it is more than a day old", true },
        [OXL_SWEEP_ALIVE] = { "alive", "its writer lives", false },
        [OXL_SWEEP_INTENT] = { "intent", "recovery needs it to end an interrupted operation", false },
        [OXL_SWEEP_OTHER_MACHINE] = { "other-machine", "a process of another machine wrote it", false },
        [OXL_SWEEP_YOUNG] = { "young", "nobody has it open, but it is not a day old", false },
        [OXL_SWEEP_NO_PROOF] = { "no-proof", "whether its writer lives is not known", false },
        [OXL_SWEEP_NOT_OURS] = { "not-ours", "it is no regular file of the repository's user with one name", false },
};

const char *oxl_sweep_proof_slug(enum oxl_sweep_proof p)
{
        return (unsigned)p < OXL_SWEEP_PROOFS ? proofs[p].slug : "";
}

bool oxl_sweep_proof_removes(enum oxl_sweep_proof p)
{
        return (unsigned)p < OXL_SWEEP_PROOFS && proofs[p].removes;
}

int oxl_sweeper_poll(const struct oxl_sweeper_run *run, struct oxl_error *err)
{
        return run->cancel && atomic_load(run->cancel) ? OXL_FAIL_PLAIN(err, CANCELLED) : 0;
}

int oxl_sweeper_tell(struct oxl_sweeper_run *run, const struct oxl_sweep_seen *seen, enum oxl_sweep_proof proof,
                     const char *why, struct oxl_error *err)
{
        const struct oxl_sweeper_item item = {
                .path = seen->path,
                .proof = proof,
                .removed = proofs[proof].removes && !seen->failed && !run->options->dry_run,
                .owner = seen->owner,
                .bytes = seen->bytes,
                .why = why ? why : proofs[proof].why,
                .failed = seen->failed,
        };
        if (seen->failed) {
                run->result.failed++;
        } else {
                run->result.by_proof[proof].files++;
                run->result.by_proof[proof].bytes += seen->bytes;
        }
        int r = run->fn ? run->fn(run->fn_ctx, &item, err) : 0;
        return r < 0 ? r : oxl_sweeper_poll(run, err);
}

enum oxl_sweep_proof oxl_sweeper_proof_of_file(const struct oxl_sweep_seen *seen, bool network, const char **ret_why,
                                               char *buf, size_t size)
{
        char text[96];
        *ret_why = NULL;
        switch (seen->verdict) {
        case OXL_TEMP_DEAD: return seen->foreign ? OXL_SWEEP_LEASE : OXL_SWEEP_LOCK_FREE;
        case OXL_TEMP_FOREIGN: return OXL_SWEEP_NOT_OURS;
        case OXL_TEMP_ALIVE:
                *ret_why = seen->foreign ? "it is open" : "its writer holds the lock on it";
                return OXL_SWEEP_ALIVE;
        case OXL_TEMP_UNKNOWN: break;
        }
        if (seen->young)
                return OXL_SWEEP_YOUNG;
        if (seen->os) {
                snprintf(buf, size, "the question failed: %s", strerror_r(seen->os, text, sizeof text));
                *ret_why = buf;
        } else if (network) {
                *ret_why = "another machine may have it open: this file system does not tell";
        } else if (seen->foreign) {
                *ret_why = "this file system does not tell who has it open";
        }
        return OXL_SWEEP_NO_PROOF;
}

int oxl_sweeper_ask_fs(struct oxl_sweeper_run *run, int dirfd, const char *dir, struct oxl_sweep_options *ret,
                       struct oxl_error *err)
{
        struct stat st;
        if (oxl_fd_stat(dirfd, &st) < 0)
                return OXL_FAIL_OS(err, FILE_STAT, dir);
        if (!run->dev_known || st.st_dev != run->dev) {
                if (oxl_fs_kind(dirfd, &run->kind) < 0)
                        run->kind = OXL_FS_NETWORK; /* which proves least */
                run->dev = st.st_dev;
                run->dev_known = true;
        }
        ret->no_locks = run->kind == OXL_FS_NETWORK;
        ret->no_lease = run->kind != OXL_FS_LOCAL;
        return 0;
}

bool oxl_sweeper_is_elsewhere(int dirfd, const char *name)
{
        static const char *const marks[] = { ".oxen-lite", ".oxen" };
        struct stat st;
        if (oxl_worktree_skip(name) != OXL_SKIP_NONE)
                return true;
        for (size_t i = 0; i < OXL_ARRAY_LEN(marks); i++)
                if (oxl_fd_stat_at(dirfd, marks[i], &st) == 0 || errno != ENOENT)
                        return true; /* or perhaps: whose temps they are is then not known */
        return false;
}

int oxl_sweeper_unreadable(struct oxl_sweeper_run *run, const char *dir, const struct oxl_error *why,
                           struct oxl_error *err)
{
        (void)dir, (void)why;
        run->result.unreadable++;
        return oxl_sweeper_poll(run, err);
}
