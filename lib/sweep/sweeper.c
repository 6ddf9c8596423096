/* SPDX-License-Identifier: MIT */
/*
 * Sweeping a repository: who owns the temps, which of them recovery still needs, and all folders.
 *
 * Order: an owner is asked first, then the open intents are read (from a private copy of the journal, without the writer
 * lock), then its temps go: what a dead owner had recorded is then known, and it records nothing more. A journal that
 * cannot be read proves nothing about anybody.
 * In the working tree another repository may have temps of its own (`restore --to`), whose owners hold no lock of ours:
 * there an owner must be known by its record in owners/, too. Records go last, when nothing of their owners is left.
 * What a crash leaves: temps and records not yet removed, and perhaps no `reserve`.
 */
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "repo/repo.h"
#include "repo/reserve.h"
#include "repo/stale.h"
#include "sweep/run.h"

enum { KNOWN_MAX = 4096, WHO_BYTES = 96 };

struct known {
        uint64_t number;
        enum oxl_sweep_proof proof; /* OWNER_DEAD: and its intents are known */
        bool recorded;              /* owners/ has a record of it */
        bool asked_late;            /* dead, but the intents were not read since */
        char who[WHO_BYTES];
};

struct sweeping {
        struct oxl_sweeper_run run;
        struct oxl_repo *repo;
        bool network;  /* .oxen-lite lies on another machine */
        bool worktree; /* that is where we are */
        struct oxl_stale stale;
        struct known *known; /* owned */
        size_t n_known;
        struct oxl_durable *durable; /* owned; NULL until `reserve` is needed */
        char why[256];               /* why the intents are not known */
};

static void sweeping_done(struct sweeping *s)
{
        free(s->known);
        oxl_durable_free(s->durable);
        oxl_repo_close(s->repo);
}

/* --- intents ------------------------------------------------------------------------------------------------------ */

static int keep(void *ctx, const struct oxl_event *event, struct oxl_error *err)
{
        struct sweeping *s = ctx;
        (void)err;
        oxl_stale_keep(&s->stale, event->owner);
        return 0;
}

static int read_intents(struct sweeping *s, struct oxl_error *err)
{
        const struct oxl_repo *r = s->repo;
        struct oxl_journal *j = NULL;
        cleanup_fd int lock_fd = oxl_open_beneath(r->root_fd, "locks", O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
        if (lock_fd < 0)
                return OXL_FAIL_OS(err, FILE_OPEN, "locks");
        const struct oxl_journal_config config = {
                .dir = r->root, .id = r->format.id, .lock_fd = lock_fd, .wait_ms = r->options.wait_ms
        };
        s->stale.n_kept = 0;
        int k = oxl_journal_open_copy(&config, &j, err);
        if (k == 0)
                k = oxl_journal_open_intents(j, keep, s, err);
        oxl_journal_close(j);
        return k;
}

static bool is_full(const struct oxl_error *e)
{
        return e->os == ENOSPC || e->os == EDQUOT;
}

/* The copy of the journal needs space. False: none could be had. */
static bool make_space(struct sweeping *s)
{
        struct oxl_repo *r = s->repo;
        if (s->run.options->dry_run || s->durable || oxl_durable_new(r->root_fd, r->root, 0, &s->durable, NULL) < 0)
                return false;
        s->run.result.reserve_bytes = oxl_reserve_drop(s->durable, r->root_fd);
        return s->run.result.reserve_bytes > 0;
}

static void make_reserve_again(struct sweeping *s)
{
        cleanup_error struct oxl_error ignored = OXL_ERROR_INIT;
        if (s->run.result.reserve_bytes == 0)
                return;
        OXL_IGNORE(oxl_reserve_make(s->durable, &ignored), "the disk is still full; init's was a courtesy, too");
        OXL_IGNORE(oxl_durable_barrier(s->durable, &ignored), "it is space, not content");
}

/* Decides about those who were found dead since the intents were read last. Only CANCELLED and NOMEM stop the sweep. */
static int settle(struct sweeping *s, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        int r = read_intents(s, &why);
        if (r < 0 && is_full(&why) && make_space(s)) {
                oxl_error_done(&why);
                r = read_intents(s, &why);
        }
        if (r == -(int)OXL_E_CANCELLED || r == -(int)OXL_E_NOMEM)
                return oxl_error_copy(err, &why);
        s->why[0] = 0;
        if (r < 0) {
                char text[200];
                oxl_error_text(&why, text, sizeof text);
                snprintf(s->why, sizeof s->why, "which operations were interrupted is not known: %s", text);
        }
        for (size_t i = 0; i < s->n_known; i++) {
                struct known *k = &s->known[i];
                if (k->asked_late)
                        k->proof = r < 0                                   ? OXL_SWEEP_NO_PROOF
                                   : oxl_stale_keeps(&s->stale, k->number) ? OXL_SWEEP_INTENT
                                                                           : OXL_SWEEP_OWNER_DEAD;
                k->asked_late = false;
        }
        return 0;
}

/* --- owners ------------------------------------------------------------------------------------------------------- */

static struct known *find(const struct sweeping *s, uint64_t number)
{
        for (size_t i = 0; i < s->n_known; i++)
                if (s->known[i].number == number)
                        return &s->known[i];
        return NULL;
}

/* A free lock proves death where all who could hold it are of this machine. */
static enum oxl_sweep_proof ask(const struct sweeping *s, uint64_t number, enum oxl_owner_record record)
{
        if (record == OXL_OWNER_ELSEWHERE)
                return OXL_SWEEP_OTHER_MACHINE;
        if (record == OXL_OWNER_UNREADABLE || (record == OXL_OWNER_NO_RECORD && s->network))
                return OXL_SWEEP_NO_PROOF;
        switch (oxl_owner_verdict(s->repo->root_fd, number)) {
        case OXL_TEMP_DEAD: return OXL_SWEEP_OWNER_DEAD;
        case OXL_TEMP_ALIVE: return OXL_SWEEP_ALIVE;
        case OXL_TEMP_UNKNOWN:
        case OXL_TEMP_FOREIGN: break;
        }
        return OXL_SWEEP_NO_PROOF;
}

/* True: it is dead, and the intents must be read again. */
static bool get_to_know(struct sweeping *s, uint64_t number)
{
        if (number == 0 || find(s, number))
                return false;
        struct known *k = &s->known[s->n_known++];
        *k = (struct known){ .number = number };
        enum oxl_owner_record record = oxl_owner_record(s->repo->root_fd, number, k->who, sizeof k->who);
        k->recorded = record == OXL_OWNER_HERE;
        k->proof = ask(s, number, record);
        k->asked_late = k->proof == OXL_SWEEP_OWNER_DEAD;
        return k->asked_late;
}

/* All owners of a batch are asked before the intents are read once. A full table is begun anew: its owners are asked again. */
static int ask_batch(void *ctx, const char *names, size_t n, struct oxl_error *err)
{
        struct sweeping *s = ctx;
        bool late = false;
        if (s->n_known > KNOWN_MAX / 2)
                s->n_known = 0;
        for (size_t at = 0; at < n; at += strlen(names + at) + 1) {
                uint64_t owner = 0;
                if (!oxl_temp_name_is_ours(names + at, &owner))
                        continue;
                if (s->n_known == KNOWN_MAX)
                        break; /* kept, without proof: the next sweep asks */
                late |= get_to_know(s, owner);
        }
        return late ? settle(s, err) : 0;
}

static enum oxl_sweep_proof proof_of_owner(const struct sweeping *s, uint64_t number)
{
        const struct known *k = find(s, number);
        if (!k || k->asked_late || (k->proof == OXL_SWEEP_OWNER_DEAD && s->worktree && !k->recorded))
                return OXL_SWEEP_NO_PROOF;
        return k->proof;
}

static enum oxl_temp_verdict owner_alive(void *ctx, uint64_t number)
{
        enum oxl_sweep_proof p = proof_of_owner(ctx, number);
        return p == OXL_SWEEP_OWNER_DEAD ? OXL_TEMP_DEAD : p == OXL_SWEEP_ALIVE ? OXL_TEMP_ALIVE : OXL_TEMP_UNKNOWN;
}

static void say_why(const struct sweeping *s, uint64_t number, enum oxl_sweep_proof proof, char *ret, size_t size)
{
        const struct known *k = find(s, number);
        const char *who = k ? k->who : "its process";
        ret[0] = 0;
        if (proof == OXL_SWEEP_OWNER_DEAD)
                snprintf(ret, size, "%s died", who);
        else if (proof == OXL_SWEEP_ALIVE)
                snprintf(ret, size, "%s lives", who);
        else if (proof == OXL_SWEEP_INTENT)
                snprintf(ret, size, "%s died in an operation that recovery has to end", who);
        else if (proof == OXL_SWEEP_OTHER_MACHINE)
                snprintf(ret, size, "%s of another machine wrote it", who);
        else if (proof == OXL_SWEEP_NO_PROOF && k && k->proof == OXL_SWEEP_OWNER_DEAD)
                snprintf(ret, size, "its writer is not known here: it may be another repository's");
        else if (proof == OXL_SWEEP_NO_PROOF && s->network && k && !k->recorded)
                snprintf(ret, size, "on which machine its writer runs is not known");
        else if (proof == OXL_SWEEP_NO_PROOF && s->why[0])
                snprintf(ret, size, "%s", s->why);
}

static int tell(void *ctx, const struct oxl_sweep_seen *seen, struct oxl_error *err)
{
        struct sweeping *s = ctx;
        char buf[sizeof s->why] = "";
        const char *why = NULL;
        enum oxl_sweep_proof proof =
                oxl_sweeper_proof_of_file(seen, s->run.kind == OXL_FS_NETWORK, &why, buf, sizeof buf);
        if (seen->owner != 0 && seen->verdict != OXL_TEMP_FOREIGN && !seen->os) {
                proof = proof_of_owner(s, seen->owner);
                say_why(s, seen->owner, proof, buf, sizeof buf);
                why = buf[0] ? buf : NULL;
        }
        return oxl_sweeper_tell(&s->run, seen, proof, why, err);
}

/* --- records ------------------------------------------------------------------------------------------------------ */

/* Before anything else: those whose records are there are asked together. */
static bool note_dead(void *ctx, uint64_t number)
{
        struct sweeping *s = ctx;
        if (s->n_known < KNOWN_MAX / 2)
                OXL_IGNORE(get_to_know(s, number), "settled for all of them");
        return false;
}

static int know_records(struct sweeping *s, struct oxl_error *err)
{
        oxl_owner_sweep_some(s->repo->root_fd, note_dead, s);
        return s->n_known > 0 ? settle(s, err) : 0;
}

static bool is_done_with(void *ctx, uint64_t number)
{
        struct sweeping *s = ctx;
        const struct known *k = find(s, number);
        if (!k || k->asked_late || k->proof != OXL_SWEEP_OWNER_DEAD)
                return false;
        s->run.result.owners_removed += s->run.options->dry_run;
        return !s->run.options->dry_run;
}

/* As long as something of somebody's may be left, the records say whose it is. */
static void sweep_records(struct sweeping *s)
{
        if (s->run.result.failed == 0 && s->run.result.unreadable == 0)
                s->run.result.owners_removed += oxl_owner_sweep_some(s->repo->root_fd, is_done_with, s);
}

/* --- folders ------------------------------------------------------------------------------------------------------ */

struct tree {
        struct oxl_sweep_tree sweep;
        struct sweeping *s;
};

static int enter(void *ctx, int dirfd, const char *dir, const char *name, bool *ret, struct oxl_error *err)
{
        struct tree *t = ctx;
        int r = oxl_sweeper_poll(&t->s->run, err);
        *ret = !t->s->worktree || !name[0] || !oxl_sweeper_is_elsewhere(dirfd, name);
        return r < 0 || !*ret ? r : oxl_sweeper_ask_fs(&t->s->run, dirfd, dir, &t->sweep.options, err);
}

static int unreadable(void *ctx, const char *dir, const struct oxl_error *why, struct oxl_error *err)
{
        struct tree *t = ctx;
        return oxl_sweeper_unreadable(&t->s->run, dir, why, err);
}

static int sweep_below(struct sweeping *s, int dirfd, const char *dir, uid_t uid, struct oxl_error *err)
{
        struct oxl_sweep_report report = { 0 };
        struct tree t = {
                .sweep = { .options = { .owner_alive = owner_alive,
                                        .batch = ask_batch,
                                        .seen = tell,
                                        .ctx = s,
                                        .uid = uid,
                                        .dry_run = s->run.options->dry_run },
                           .enter = enter,
                           .unreadable = unreadable },
                .s = s,
        };
        t.sweep.ctx = &t;
        return oxl_sweep_tree(dirfd, dir, &t.sweep, &report, err);
}

static int sweep_all(struct sweeping *s, struct oxl_error *err)
{
        struct oxl_repo *r = s->repo;
        struct stat st;
        enum oxl_fs_kind kind;
        if (oxl_fd_stat(r->root_fd, &st) < 0)
                return OXL_FAIL_OS(err, FILE_STAT, r->root);
        s->network = oxl_fs_kind(r->root_fd, &kind) < 0 || kind == OXL_FS_NETWORK;
        int k = know_records(s, err);
        if (k == 0)
                k = sweep_below(s, r->root_fd, OXL_REPO_DIR, st.st_uid, err);
        s->worktree = true;
        if (k == 0 && s->run.options->worktree)
                k = sweep_below(s, r->worktree_fd, "", st.st_uid, err);
        if (k == 0)
                sweep_records(s);
        make_reserve_again(s);
        return k;
}

int oxl_sweeper_repository(const char *start, const struct oxl_repo_options *repo_options,
                           const struct oxl_sweeper_options *options, oxl_sweeper_fn *fn, void *ctx,
                           struct oxl_sweeper_result *ret, struct oxl_error *err)
{
        static const struct oxl_sweeper_options none = { 0 };
        cleanup(sweeping_done) struct sweeping s = {
                .run = { .options = options ? options : &none, .fn = fn, .fn_ctx = ctx }
        };
        int r = oxl_repo_open(start, repo_options, &s.repo, err);
        if (r < 0)
                return r;
        s.run.cancel = s.repo->options.cancel;
        s.stale.root_fd = s.repo->root_fd;
        s.known = calloc(KNOWN_MAX, sizeof *s.known);
        if (!s.known)
                return OXL_FAIL_PLAIN(err, NOMEM);
        r = sweep_all(&s, err);
        if (r < 0)
                return r;
        *ret = s.run.result;
        return 0;
}
