/* SPDX-License-Identifier: MIT */
/* The model disk's log, and the crashes: which selections of pending operations are tried, see modelfs.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crash/modelfs_image.h"

enum { CLUSTERS_MAX = 16 };

void (*modelfs_on_switch)(void);

static void switched(void)
{
        if (modelfs_on_switch)
                modelfs_on_switch();
}

/* --- seen states ------------------------------------------------------------------------------------------------- */

static void seen_grow(struct modelfs_seen *s)
{
        size_t old_cap = s->cap;
        uint64_t *old = s->hash;
        s->cap = old_cap ? old_cap * 2 : 1024;
        s->hash = mfs_alloc(s->cap * sizeof *s->hash);
        for (size_t i = 0; i < old_cap; i++) {
                if (old[i] == 0)
                        continue;
                size_t at = old[i] & (s->cap - 1);
                while (s->hash[at])
                        at = (at + 1) & (s->cap - 1);
                s->hash[at] = old[i];
        }
        free(old);
}

bool modelfs_seen_before(struct modelfs_seen *s, uint64_t hash)
{
        if (2 * s->n >= s->cap)
                seen_grow(s);
        hash += hash == 0;
        size_t at = hash & (s->cap - 1);
        for (; s->hash[at]; at = (at + 1) & (s->cap - 1))
                if (s->hash[at] == hash)
                        return true;
        s->hash[at] = hash;
        s->n++;
        return false;
}

struct modelfs_seen *modelfs_seen_new(void)
{
        return mfs_alloc(sizeof(struct modelfs_seen));
}

void modelfs_seen_free(struct modelfs_seen *seen)
{
        free(seen->hash);
        free(seen);
}

/* --- one crash --------------------------------------------------------------------------------------------------- */

/* What follows on the disk @next: a new boot, or a new process. */
static void next_life(struct modelfs *next, const struct modelfs *fs)
{
        next->generation = fs->generation + 1;
        next->network = fs->network;
        next->clock = (int64_t)next->generation * 1000000;
        next->random = 42 + next->generation * 0x9e3779b97f4a7c15U;
        next->watch.limits = fs->watch.limits;
        next->watch.counted = fs->watch.counted;
}

static void judge(struct modelfs *fs, struct mimage *state, const struct mselection *s)
{
        struct mwatch *w = &fs->watch;
        uint64_t hash = mimage_hash(state);
        if (modelfs_seen_before(w->seen, hash + 0x9e3779b97f4a7c15U * w->acked) && !w->replay.point) {
                mimage_done(state);
                return;
        }
        w->states++;
        if (w->counted)
                w->fresh += !modelfs_seen_before(w->counted, hash);
        w->at = s;
        struct modelfs *crashed = modelfs_new(fs->profile);
        next_life(crashed, fs);
        mimage_done(&crashed->base);
        mimage_done(&crashed->now);
        crashed->base = *state;
        mimage_copy(&crashed->now, state);
        const struct oxl_sys *sys = oxl_sys; /* perhaps a fault table around ours */
        modelfs_unmount();
        modelfs_mount(crashed);
        switched();
        const char *broken = w->oracle(w->ctx, w->acked);
        w->at = NULL;
        modelfs_free(crashed);
        modelfs_mount(fs);
        oxl_sys = sys;
        if (!broken)
                return;
        w->violations++;
        if (w->first)
                return;
        w->first = broken;
        w->first_op = fs->ops;
}

/* P2: a name operation counts only if all pending ones before it were chosen. */
static bool allowed(const struct modelfs *fs, const struct mop *op, bool names_stopped)
{
        bool is_name = op->kind == MOP_ADD || op->kind == MOP_DEL || op->kind == MOP_RENAME;
        return fs->profile != MODELFS_P2 || !is_name || !names_stopped;
}

static void crash(struct modelfs *fs, const struct mselection *s)
{
        struct mimage state;
        if (fs->watch.first && fs->watch.stop_at_first)
                return;
        mimage_copy(&state, &fs->base);
        for (uint32_t i = state.n; i < fs->now.n; i++) /* a new inode comes with type and mode, unlinked */
                (void)mimage_new_inode(&state, fs->now.inodes[i]->born);
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
        modelfs_say_log(fs, s);
        judge(fs, &state, s);
}

/* --- which crashes ------------------------------------------------------------------------------------------------ */

static void choose_all(struct mselection *s, bool chosen)
{
        for (size_t i = 0; i < s->n; i++)
                s->chosen[i] = chosen;
}

static void try_subsets(struct modelfs *fs, struct mselection *s)
{
        for (uint64_t bits = 0; bits < (uint64_t)1 << s->n; bits++) {
                for (size_t i = 0; i < s->n; i++)
                        s->chosen[i] = bits >> i & 1;
                crash(fs, s);
        }
}

static void try_prefixes(struct modelfs *fs, struct mselection *s)
{
        for (size_t n = 0; n <= s->n; n++) {
                for (size_t i = 0; i < s->n; i++)
                        s->chosen[i] = i < n;
                crash(fs, s);
        }
}

/* All but one, only one, all but two. */
static void try_few(struct modelfs *fs, struct mselection *s)
{
        for (size_t i = 0; i < s->n; i++) {
                choose_all(s, false);
                s->chosen[i] = true;
                crash(fs, s);
                choose_all(s, true);
                s->chosen[i] = false;
                crash(fs, s);
                for (size_t k = i + 1; k < s->n && fs->watch.limits.pairs; k++) {
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

static void try_random(struct modelfs *fs, struct mselection *s)
{
        for (unsigned tries = 0; tries < fs->watch.limits.random; tries++) {
                for (size_t i = 0; i < s->n; i++)
                        s->chosen[i] = next_random(&fs->watch.random) & 1;
                crash(fs, s);
        }
}

/* Each pending write in turn reaches the disk in part. */
static void try_torn(struct modelfs *fs, struct mselection *s)
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
        s->torn = MODELFS_NO_TEAR;
}

/* Which cluster each pending operation belongs to; their number. */
static size_t find_clusters(const struct modelfs *fs, const struct mselection *s, size_t *ret)
{
        size_t n = 0;
        for (size_t i = 0; i < s->n; i++) {
                const struct mop *op = &fs->log[s->ops[i]];
                size_t k = 0;
                while (k < i &&
                       (op->kind >= MOP_ADD || fs->log[s->ops[k]].kind >= MOP_ADD || fs->log[s->ops[k]].ino != op->ino))
                        k++;
                ret[i] = k < i ? ret[k] : n++;
        }
        return n;
}

static void try_clusters(struct modelfs *fs, struct mselection *s)
{
        size_t *cluster = mfs_alloc(s->n * sizeof *cluster), n = find_clusters(fs, s, cluster);
        unsigned max = fs->watch.limits.clusters < CLUSTERS_MAX ? fs->watch.limits.clusters : CLUSTERS_MAX;
        uint64_t tries = (uint64_t)1 << (n < max ? n : max);
        for (uint64_t t = 0; t < tries && max > 0; t++) {
                uint64_t bits = n <= max ? t : next_random(&fs->watch.random);
                for (size_t i = 0; i < s->n; i++)
                        s->chosen[i] = bits >> cluster[i] % 64 & 1;
                crash(fs, s);
        }
        free(cluster);
}

static void try_selections(struct modelfs *fs, struct mselection *s)
{
        if (fs->profile == MODELFS_P5) {
                try_prefixes(fs, s);
        } else if (s->n <= fs->watch.limits.exhaustive) {
                try_subsets(fs, s);
        } else {
                try_prefixes(fs, s);
                try_few(fs, s);
                try_clusters(fs, s);
                try_random(fs, s);
        }
        if (fs->watch.limits.torn)
                try_torn(fs, s);
}

static void try_power_cuts(struct modelfs *fs)
{
        struct mselection s = { .torn = MODELFS_NO_TEAR };
        s.ops = mfs_alloc(fs->log_n * sizeof *s.ops);
        s.chosen = mfs_alloc(fs->log_n * sizeof *s.chosen);
        for (size_t i = 0; i < fs->log_n; i++)
                if (!fs->log[i].durable && !fs->log[i].lost)
                        s.ops[s.n++] = i;
        if (!fs->watch.replay.point)
                try_selections(fs, &s);
        else if (modelfs_replay_now(fs, &s))
                crash(fs, &s);
        free(s.ops);
        free(s.chosen);
}

static void try_kill(struct modelfs *fs)
{
        const struct oxl_sys *sys = oxl_sys;
        struct modelfs *clone = modelfs_clone(fs);
        modelfs_unmount();
        modelfs_mount(clone);
        switched();
        fs->watch.kill(fs->watch.kill_ctx, clone, fs->ops);
        modelfs_unmount();
        modelfs_mount(fs);
        oxl_sys = sys;
}

void modelfs_try_crashes(struct modelfs *fs)
{
        if (!fs->watch.active)
                return;
        fs->watch.active = false; /* the oracle's own changes are not watched */
        if (fs->watch.oracle)
                try_power_cuts(fs);
        if (fs->watch.kill)
                try_kill(fs);
        switched();
        fs->watch.active = true;
}

/* --- the log ------------------------------------------------------------------------------------------------------ */

void modelfs_do(struct modelfs *fs, struct mop op)
{
        if (fs->log_n == fs->log_cap) {
                fs->log_cap = fs->log_cap ? fs->log_cap * 2 : 64;
                fs->log = mfs_grow(fs->log, fs->log_cap * sizeof *fs->log);
        }
        op.number = ++fs->ops;
        fs->log[fs->log_n++] = op;
        fs->last_is_sync = false;
        modelfs_note_op(fs, &op);
        mimage_apply(&fs->now, &op, SIZE_MAX);
        modelfs_try_crashes(fs);
}

void modelfs_fold(struct modelfs *fs)
{
        while (fs->base.n < fs->now.n)
                (void)mimage_new_inode(&fs->base, fs->now.inodes[fs->base.n]->born);
        bool *data = mfs_alloc(fs->now.n), *names = mfs_alloc(fs->now.n); /* blocked by something pending */
        size_t kept = 0;
        for (size_t i = 0; i < fs->log_n; i++) {
                struct mop *op = &fs->log[i];
                bool is_data = op->kind < MOP_ADD;
                bool blocked = is_data ? data[op->ino] : names[op->dir] || names[op->dir2];
                if (op->lost || (op->durable && !blocked)) {
                        if (!op->lost)
                                mimage_apply(&fs->base, op, SIZE_MAX);
                        mop_done(op);
                        continue;
                }
                if (is_data)
                        data[op->ino] = true;
                else
                        names[op->dir] = names[op->dir2] = true;
                names[0] = false; /* dir2 of operations that have none */
                fs->log[kept++] = *op;
        }
        fs->log_n = kept;
        free(data);
        free(names);
}

void modelfs_drop_cache(struct modelfs *fs, uint32_t ino)
{
        if (S_ISDIR(fs->now.inodes[ino]->mode))
                return;
        modelfs_fold(fs);
        mimage_take_inode(&fs->now, &fs->base, ino);
        for (size_t i = 0; i < fs->log_n; i++)
                if (fs->log[i].kind < MOP_ADD && fs->log[i].ino == ino)
                        mimage_apply(&fs->now, &fs->log[i], SIZE_MAX);
}

static void *copy_bytes(const void *p, size_t n)
{
        return p ? memcpy(mfs_alloc(n), p, n) : NULL;
}

struct modelfs *modelfs_clone(const struct modelfs *fs)
{
        struct modelfs *c = modelfs_new(fs->profile);
        mimage_done(&c->base);
        mimage_done(&c->now);
        mimage_copy(&c->base, &fs->base);
        mimage_copy(&c->now, &fs->now);
        next_life(c, fs);
        c->ops = fs->ops; /* what is pending keeps its number */
        modelfs_words_copy(c, fs);
        c->last_is_sync = fs->last_is_sync;
        c->last_synced = fs->last_synced;
        c->log = mfs_alloc(fs->log_n * sizeof *c->log);
        c->log_n = c->log_cap = fs->log_n;
        for (size_t i = 0; i < fs->log_n; i++) {
                struct mop *op = &c->log[i];
                *op = fs->log[i];
                op->name = op->name ? copy_bytes(op->name, strlen(op->name) + 1) : NULL;
                op->name2 = op->name2 ? copy_bytes(op->name2, strlen(op->name2) + 1) : NULL;
                op->data = copy_bytes(op->data, op->n);
        }
        return c;
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

void modelfs_watch_kills(struct modelfs *fs, modelfs_kill_fn *kill, void *ctx)
{
        fs->watch.kill = kill;
        fs->watch.kill_ctx = ctx;
        fs->watch.active = true;
}

void modelfs_set_acked(struct modelfs *fs, unsigned n)
{
        fs->watch.acked = n;
}

void modelfs_limit(struct modelfs *fs, struct modelfs_limits limits)
{
        fs->watch.limits = limits;
}

void modelfs_stop_at_first(struct modelfs *fs)
{
        fs->watch.stop_at_first = true;
}

void modelfs_share_seen(struct modelfs *fs, struct modelfs_seen *seen)
{
        fs->watch.seen = seen;
}

void modelfs_count_in(struct modelfs *fs, struct modelfs_seen *seen)
{
        fs->watch.counted = seen;
}

uint64_t modelfs_fresh(const struct modelfs *fs)
{
        return fs->watch.fresh;
}

uint64_t modelfs_seen_count(const struct modelfs_seen *seen)
{
        return seen->n;
}

void modelfs_seed(struct modelfs *fs, uint64_t seed)
{
        fs->watch.random += seed;
}

struct modelfs *modelfs_current(void)
{
        return modelfs_mounted;
}

uint64_t modelfs_hash(const struct modelfs *fs)
{
        return mimage_hash(&fs->now);
}

uint64_t modelfs_hash_pending(const struct modelfs *fs)
{
        uint64_t h = mimage_hash(&fs->now) + 0x9e3779b97f4a7c15U * mimage_hash(&fs->base);
        for (size_t i = 0; i < fs->log_n; i++)
                h = (h ^ (fs->log[i].number * 2 + fs->log[i].durable)) * 0x100000001b3U;
        return h;
}

uint64_t modelfs_generation(const struct modelfs *fs)
{
        return fs->generation;
}

uint64_t modelfs_ops(const struct modelfs *fs)
{
        return fs->ops;
}

void modelfs_set_network(struct modelfs *fs)
{
        fs->network = true;
}

static void each_below(const struct mimage *im, uint32_t dir, const char *path, void (*fn)(void *ctx, const char *path),
                       void *ctx)
{
        const struct minode *node = im->inodes[dir];
        for (size_t i = 0; i < node->n; i++) {
                char below[1024];
                if (snprintf(below, sizeof below, "%s/%s", path, node->entries[i].name->text) >= (int)sizeof below)
                        abort();
                fn(ctx, below);
                each_below(im, node->entries[i].ino, below, fn, ctx);
        }
}

void modelfs_each(const struct modelfs *fs, void (*fn)(void *ctx, const char *path), void *ctx)
{
        each_below(&fs->now, MODELFS_ROOT, "", fn, ctx);
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

bool modelfs_sync_will_fail(const struct modelfs *fs)
{
        return fs->fail_sync > 0;
}

uint64_t modelfs_states(const struct modelfs *fs)
{
        return fs->watch.states;
}

uint64_t modelfs_violations(const struct modelfs *fs)
{
        return fs->watch.violations;
}

uint64_t modelfs_first_violation_op(const struct modelfs *fs)
{
        return fs->watch.first_op;
}

const char *modelfs_first_violation(const struct modelfs *fs)
{
        return fs->watch.first;
}
