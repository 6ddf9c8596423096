/* SPDX-License-Identifier: MIT */
/*
 * Sweeping an Oxen repository or version store: temps of Oxen's two shapes, and standalone ones of ours that a repair left.
 *
 * Oxen takes no locks, so the proof is a lease and a day of age: lib/durable/lease.h. Folders are listed, and nothing but
 * temps is ever opened: databases are not.
 * What a crash leaves: temps not yet removed.
 */
#include <string.h>

#include "base/path.h"
#include "foreign/oxen.h"
#include "sweep/run.h"

struct oxen_tree {
        struct oxl_sweep_tree sweep;
        struct oxl_sweeper_run *run;
        bool worktree;
};

static int tell(void *ctx, const struct oxl_sweep_seen *seen, struct oxl_error *err)
{
        struct oxen_tree *t = ctx;
        char buf[160];
        const char *why;
        enum oxl_sweep_proof proof =
                oxl_sweeper_proof_of_file(seen, t->run->kind == OXL_FS_NETWORK, &why, buf, sizeof buf);
        if (proof == OXL_SWEEP_NO_PROOF && seen->owner != 0)
                why = "a repository of oxen-lite wrote it; which one is not known here";
        return oxl_sweeper_tell(t->run, seen, proof, why, err);
}

static int enter(void *ctx, int dirfd, const char *dir, const char *name, bool *ret, struct oxl_error *err)
{
        struct oxen_tree *t = ctx;
        int r = oxl_sweeper_poll(t->run, err);
        *ret = !t->worktree || !name[0] || !oxl_sweeper_is_elsewhere(dirfd, name);
        return r < 0 || !*ret ? r : oxl_sweeper_ask_fs(t->run, dirfd, dir, &t->sweep.options, err);
}

static int unreadable(void *ctx, const char *dir, const struct oxl_error *why, struct oxl_error *err)
{
        struct oxen_tree *t = ctx;
        return oxl_sweeper_unreadable(t->run, dir, why, err);
}

static int sweep_below(struct oxl_sweeper_run *run, int dirfd, const char *dir, bool worktree, struct oxl_error *err)
{
        struct oxl_sweep_report report = { 0 };
        struct stat st;
        if (oxl_fd_stat(dirfd, &st) < 0)
                return OXL_FAIL_OS(err, FILE_STAT, dir);
        struct oxen_tree t = {
                .sweep = { .options = { .seen = tell,
                                        .uid = st.st_uid,
                                        .foreign = true,
                                        .dry_run = run->options->dry_run },
                           .enter = enter,
                           .unreadable = unreadable },
                .run = run,
                .worktree = worktree,
        };
        t.sweep.ctx = t.sweep.options.ctx = &t;
        return oxl_sweep_tree(dirfd, dir, &t.sweep, &report, err);
}

/* Was the folder given the one that holds .oxen, not .oxen itself? */
static bool is_above(int fd, const struct oxl_oxen_places *p)
{
        struct stat a, b;
        return p->repo_fd >= 0 && oxl_fd_stat_at(fd, ".oxen", &a) == 0 && oxl_fd_stat(p->repo_fd, &b) == 0 &&
               oxl_stat_same(&a, &b);
}

int oxl_sweeper_oxen(const char *dir, const struct oxl_sweeper_options *options, const atomic_bool *cancel,
                     oxl_sweeper_fn *fn, void *ctx, struct oxl_sweeper_result *ret, struct oxl_error *err)
{
        static const struct oxl_sweeper_options none = { 0 };
        struct oxl_sweeper_run run = {
                .options = options ? options : &none, .cancel = cancel, .fn = fn, .fn_ctx = ctx
        };
        cleanup(oxl_oxen_places_done) struct oxl_oxen_places p = OXL_OXEN_PLACES_INIT;
        int r = oxl_oxen_find(dir, cancel, &p, err);
        if (r < 0)
                return r;
        cleanup_fd int fd = oxl_fd_open(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0);
        if (fd < 0)
                return OXL_FAIL_OS(err, DIR_OPEN, dir);
        bool above = is_above(fd, &p);
        if (p.repo_fd >= 0)
                r = sweep_below(&run, p.repo_fd, above ? ".oxen" : "", false, err);
        if (r == 0 && p.store_fd >= 0 && (p.repo_fd < 0 || !oxl_path_is_within(p.store, p.repo)))
                r = sweep_below(&run, p.store_fd, p.repo_fd < 0 ? "" : p.shown, false, err);
        if (r == 0 && above && run.options->worktree)
                r = sweep_below(&run, fd, "", true, err);
        if (r < 0)
                return r;
        *ret = run.result;
        return 0;
}
