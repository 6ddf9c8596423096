/* SPDX-License-Identifier: MIT */
/* The model disk's log, and the crashes: which selections of pending operations are tried, see modelfs.h. */
#include <stdlib.h>
#include <string.h>

#include "crash/modelfs_image.h"

enum { EXHAUSTIVE_MAX = 12, RANDOM_STATES = 64, NO_TEAR = -1 };

/* --- seen states ------------------------------------------------------------------------------------------------- */

static void seen_grow(struct mwatch *w)
{
        size_t old_cap = w->seen_cap;
        uint64_t *old = w->seen;
        w->seen_cap = old_cap ? old_cap * 2 : 1024;
        w->seen = mfs_alloc(w->seen_cap * sizeof *w->seen);
        for (size_t i = 0; i < old_cap; i++) {
                if (old[i] == 0)
                        continue;
                size_t at = old[i] & (w->seen_cap - 1);
                while (w->seen[at])
                        at = (at + 1) & (w->seen_cap - 1);
                w->seen[at] = old[i];
        }
        free(old);
}

static bool seen_before(struct mwatch *w, uint64_t hash)
{
        if (2 * w->seen_n >= w->seen_cap)
                seen_grow(w);
        hash += hash == 0;
        size_t at = hash & (w->seen_cap - 1);
        for (; w->seen[at]; at = (at + 1) & (w->seen_cap - 1))
                if (w->seen[at] == hash)
                        return true;
        w->seen[at] = hash;
        w->seen_n++;
        return false;
}

/* --- one crash --------------------------------------------------------------------------------------------------- */

/* The pending operations of this moment, and which of them reached the disk. */
struct selection {
        size_t *ops; /* indexes into the log */
        size_t n;
        bool *chosen;
        size_t torn; /* index into ops of a write that was cut, or NO_TEAR */
        size_t cut;
};

static void judge(struct modelfs *fs, struct mimage *state)
{
        struct mwatch *w = &fs->watch;
        if (seen_before(w, mimage_hash(state) + 0x9e3779b97f4a7c15U * w->acked)) {
                mimage_done(state);
                return;
        }
        w->states++;
        struct modelfs *crashed = modelfs_new(fs->profile);
        mimage_done(&crashed->base);
        mimage_done(&crashed->now);
        crashed->base = *state;
        mimage_copy(&crashed->now, state);
        const struct oxl_sys *sys = oxl_sys; /* perhaps a fault table around ours */
        modelfs_unmount();
        modelfs_mount(crashed);
        const char *broken = w->oracle(w->ctx, w->acked);
        modelfs_free(crashed);
        modelfs_mount(fs);
        oxl_sys = sys;
        if (!broken)
                return;
        w->violations++;
        if (!w->first)
                w->first = broken;
}

/* P2: a name operation counts only if all pending ones before it were chosen. */
static bool allowed(const struct modelfs *fs, const struct mop *op, bool names_stopped)
{
        bool is_name = op->kind == MOP_ADD || op->kind == MOP_DEL || op->kind == MOP_RENAME;
        return fs->profile != MODELFS_P2 || !is_name || !names_stopped;
}

static void crash(struct modelfs *fs, const struct selection *s)
{
        struct mimage state;
        mimage_copy(&state, &fs->base);
        for (uint32_t i = state.n; i < fs->now.n; i++) /* a new inode comes with type and mode, unlinked */
                (void)mimage_new_inode(&state, fs->now.inodes[i].born);
        bool names_stopped = false;
        for (size_t i = 0, k = 0; i < fs->log_n; i++) {
                const struct mop *op = &fs->log[i];
                size_t torn = SIZE_MAX;
                if (k < s->n && s->ops[k] == i) {
                        bool chosen = s->chosen[k];
                        torn = k == s->torn ? s->cut : SIZE_MAX;
                        k++;
                        if (!chosen || !allowed(fs, op, names_stopped)) {
                                names_stopped |= op->kind >= MOP_ADD;
                                continue;
                        }
                }
                if (!op->lost)
                        mimage_apply(&state, op, torn);
        }
        judge(fs, &state);
}

/* --- which crashes ------------------------------------------------------------------------------------------------ */

static void choose_all(struct selection *s, bool chosen)
{
        for (size_t i = 0; i < s->n; i++)
                s->chosen[i] = chosen;
}

static void try_subsets(struct modelfs *fs, struct selection *s)
{
        for (uint64_t bits = 0; bits < (uint64_t)1 << s->n; bits++) {
                for (size_t i = 0; i < s->n; i++)
                        s->chosen[i] = bits >> i & 1;
                crash(fs, s);
        }
}

static void try_prefixes(struct modelfs *fs, struct selection *s)
{
        for (size_t n = 0; n <= s->n; n++) {
                for (size_t i = 0; i < s->n; i++)
                        s->chosen[i] = i < n;
                crash(fs, s);
        }
}

/* All but one, only one, all but two. */
static void try_few(struct modelfs *fs, struct selection *s)
{
        for (size_t i = 0; i < s->n; i++) {
                choose_all(s, false);
                s->chosen[i] = true;
                crash(fs, s);
                choose_all(s, true);
                s->chosen[i] = false;
                crash(fs, s);
                for (size_t k = i + 1; k < s->n; k++) {
                        s->chosen[k] = false;
                        crash(fs, s);
                        s->chosen[k] = true;
                }
        }
}

static uint64_t next_random(uint64_t *state)
{
        uint64_t z = *state += 0x9e3779b97f4a7c15U;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
        z = (z ^ z >> 27) * 0x94d049bb133111ebU;
        return z ^ z >> 31;
}

static void try_random(struct modelfs *fs, struct selection *s)
{
        for (int tries = 0; tries < RANDOM_STATES; tries++) {
                for (size_t i = 0; i < s->n; i++)
                        s->chosen[i] = next_random(&fs->watch.random) & 1;
                crash(fs, s);
        }
}

/* Each pending write in turn reaches the disk in part. */
static void try_torn(struct modelfs *fs, struct selection *s)
{
        choose_all(s, true);
        for (size_t i = 0; i < s->n; i++) {
                const struct mop *op = &fs->log[s->ops[i]];
                if (op->kind != MOP_WRITE)
                        continue;
                s->torn = i;
                for (s->cut = MODELFS_SECTOR; s->cut < op->n; s->cut += MODELFS_SECTOR)
                        crash(fs, s);
        }
}

void modelfs_try_crashes(struct modelfs *fs)
{
        if (!fs->watch.active)
                return;
        fs->watch.active = false; /* the oracle's own changes are not watched */
        struct selection s = { .torn = (size_t)NO_TEAR };
        s.ops = mfs_alloc(fs->log_n * sizeof *s.ops);
        s.chosen = mfs_alloc(fs->log_n * sizeof *s.chosen);
        for (size_t i = 0; i < fs->log_n; i++)
                if (!fs->log[i].durable && !fs->log[i].lost)
                        s.ops[s.n++] = i;
        if (fs->profile == MODELFS_P5) {
                try_prefixes(fs, &s);
        } else if (s.n <= EXHAUSTIVE_MAX) {
                try_subsets(fs, &s);
        } else {
                try_prefixes(fs, &s);
                try_few(fs, &s);
                try_random(fs, &s);
        }
        try_torn(fs, &s);
        free(s.ops);
        free(s.chosen);
        fs->watch.active = true;
}

/* --- the log ------------------------------------------------------------------------------------------------------ */

void modelfs_do(struct modelfs *fs, struct mop op)
{
        if (fs->log_n == fs->log_cap) {
                fs->log_cap = fs->log_cap ? fs->log_cap * 2 : 64;
                fs->log = mfs_grow(fs->log, fs->log_cap * sizeof *fs->log);
        }
        fs->log[fs->log_n++] = op;
        mimage_apply(&fs->now, &op, SIZE_MAX);
        modelfs_try_crashes(fs);
}

void modelfs_checkpoint(struct modelfs *fs)
{
        mimage_done(&fs->base);
        mimage_copy(&fs->base, &fs->now);
        for (size_t i = 0; i < fs->log_n; i++)
                mop_done(&fs->log[i]);
        fs->log_n = 0;
}

void modelfs_watch(struct modelfs *fs, modelfs_oracle_fn *oracle, void *ctx)
{
        fs->watch.oracle = oracle;
        fs->watch.ctx = ctx;
        fs->watch.active = true;
        modelfs_try_crashes(fs);
}

void modelfs_unwatch(struct modelfs *fs)
{
        fs->watch.active = false;
}

void modelfs_ack(struct modelfs *fs)
{
        fs->watch.acked++;
        modelfs_try_crashes(fs);
}

void modelfs_fail_sync(struct modelfs *fs, unsigned n)
{
        fs->fail_sync = n;
}

uint64_t modelfs_states(const struct modelfs *fs)
{
        return fs->watch.states;
}

uint64_t modelfs_violations(const struct modelfs *fs)
{
        return fs->watch.violations;
}

const char *modelfs_first_violation(const struct modelfs *fs)
{
        return fs->watch.first;
}
