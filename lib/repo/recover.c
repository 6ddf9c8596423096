/* SPDX-License-Identifier: MIT */
/*
 * Recovery: every intent of a dead owner ends complete or absent, before the next write, with a proof per file.
 *
 *   commit: each file it names is looked for at its target, else as its temp. What is found is synced, dropped from the
 *   cache, read again and verified before it is believed (a dead process's failed fsync may have left a page that is right in memory
 *   and wrong on the disk).
 *     all found, ref old or already new -> rename what is missing, sync directories, write index and ref afresh: rolled-forward
 *     ref elsewhere                     -> superseded (its objects stay, unreferenced)
 *     something missing, ref old        -> remove its temps: rolled-back
 *     ref already new                   -> rolled-forward whatever is missing: the commit was perhaps acknowledged; damage is
 *                                          named, for fsck to explain
 *   restore: finished, see restore.c. switch, rm, branch, tag, undo: finished, see move.h.
 *   repair: see recover_repair.c. gc, merge, gc-undo: see trash.h.
 *
 * An I/O error ends recovery with that error and leaves the intent: it proves nothing. Every directory that the
 * dead process may have renamed into is synced before the outcome is recorded, also when rolled back.
 * What a crash leaves: the intent, still open; recovery starts over and finds at least what it found before (idempotent;
 * tests/crash/commit_test.c crashes it at every step).
 * Afterwards the temps of dead owners in the repository's own folders are swept.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/path.h"
#include "durable/mutant.h"
#include "durable/sweep.h"
#include "objects/loose.h"
#include "objects/pack.h"
#include "os/fdio.h"
#include "repo/index.h"
#include "repo/intent.h"
#include "repo/move.h"
#include "repo/recover.h"
#include "repo/stale.h"
#include "repo/trash.h"

enum found { FOUND_TARGET, FOUND_TEMP, FOUND_ABSENT, FOUND_MISMATCH };

static const char *found_text(enum found f)
{
        static const char *const text[] = { "target", "temp", "absent", "mismatch" };
        return text[f];
}

/* --- looking ------------------------------------------------------------------------------------------------------ */

/* Verifies an open file against what the intent says; takes @fd. 0 it is that file, 1 it is not. */
static int verify_fd(struct oxl_repo *r, int fd, const struct oxl_intent_file *f, const char *path,
                     struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        struct oxl_digest got;
        uint64_t bytes;
        int k;
        if (f->kind == OXL_INTENT_PACK) {
                struct oxl_pack *pack = NULL;
                k = oxl_pack_open_fd(fd, path, &f->digest, &r->format.id, r->format.blob_algo, &pack, &why);
                if (k >= 0)
                        k = oxl_pack_verify(pack, NULL, NULL, NULL, &why);
                oxl_pack_free(pack);
        } else {
                enum oxl_algo algo = f->kind == OXL_INTENT_BLOB ? r->format.blob_algo : OXL_ALGO_BLAKE3;
                k = oxl_fd_digest(fd, path, algo, NULL, &got, &bytes, &why);
                oxl_fd_done(&fd);
                if (k >= 0)
                        return bytes == f->size && oxl_digest_equal(&got, &f->digest) ? 0 : 1;
        }
        if (k >= 0)
                return 0;
        if (why.code == OXL_E_MALFORMED || why.code == OXL_E_SEAL || why.code == OXL_E_OBJECT_CORRUPT)
                return 1; /* read, and wrong */
        oxl_error_move(err, &why);
        return k;
}

/* 0 @path is that file, on the medium; 1 not there; 2 something else. */
static int look_at(struct oxl_repo *r, const struct oxl_intent_file *f, const char *path, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        int fd = -1;
        int k = oxl_durable_reopen(r->durable, path, &fd, &why);
        if (k < 0 && why.code == OXL_E_FILE_OPEN && (why.os == ENOENT || why.os == ENOTDIR))
                return 1;
        if (k < 0) {
                oxl_error_move(err, &why);
                return k;
        }
        k = verify_fd(r, fd, f, path, err);
        return k > 0 ? 2 : k;
}

static int look(struct oxl_repo *r, const struct oxl_intent_file *f, enum found *ret, struct oxl_error *err)
{
        int target = look_at(r, f, f->target, err);
        if (target < 0)
                return target;
        if (target == 0) {
                *ret = FOUND_TARGET;
                return 0;
        }
        int temp = look_at(r, f, f->temp, err);
        if (temp < 0)
                return temp;
        *ret = temp == 0 ? FOUND_TEMP : temp == 1 && target == 1 ? FOUND_ABSENT : FOUND_MISMATCH;
        return 0;
}

/* --- acting ------------------------------------------------------------------------------------------------------- */

static int remove_temp(struct oxl_repo *r, const char *path, struct oxl_error *err)
{
        struct stat st;
        cleanup_fd int fd = oxl_open_beneath(r->root_fd, path, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0);
        if (fd < 0)
                return errno == ENOENT || errno == ENOTDIR ? 0 : OXL_FAIL_OS(err, FILE_OPEN, path);
        if (oxl_fd_stat(fd, &st) < 0)
                return OXL_FAIL_OS(err, FILE_STAT, path);
        if (!S_ISREG(st.st_mode))
                return 0; /* not what commit made: not ours to remove */
        int k = oxl_durable_unlink(r->durable, path, st.st_dev, st.st_ino, err);
        return k < 0 ? k : 0;
}

/* The parent of a name that a dead process may have made: synced by the next barrier. A folder that is not there needs none. */
static int mark(struct oxl_repo *r, const char *path, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        int k = oxl_durable_mark(r->durable, path, &why);
        if (k < 0 && !(why.code == OXL_E_DIR_OPEN && (why.os == ENOENT || why.os == ENOTDIR))) {
                oxl_error_move(err, &why);
                return k;
        }
        return 0;
}

/* Copies the verified index into a fresh temp and renames that: the dead process's own file is not believed any further. */
static int rewrite_index(struct oxl_repo *r, const char *from, const char *target, struct oxl_error *err)
{
        cleanup_fd int fd = oxl_open_beneath(r->root_fd, from, O_RDONLY | O_NOFOLLOW | O_CLOEXEC, 0);
        if (fd < 0)
                return OXL_FAIL_OS(err, FILE_OPEN, from);
        cleanup_free char *buf = malloc(1 << 18);
        if (!buf)
                return OXL_FAIL_PLAIN(err, NOMEM);
        struct oxl_stage *stage = NULL;
        int k = oxl_stage_open(r->durable, "", target, 0, &stage, err);
        ssize_t n = 0;
        while (k >= 0 && (n = oxl_fd_read(fd, buf, 1 << 18)) > 0)
                k = oxl_stage_write(stage, buf, (size_t)n, err);
        if (k >= 0 && n < 0)
                k = OXL_FAIL_OS(err, FILE_READ, from);
        if (k >= 0)
                k = oxl_stage_sync(stage, err);
        if (k >= 0)
                k = oxl_stage_publish(stage, target, false, err);
        oxl_stage_free(stage);
        return k;
}

static int put_in_place(struct oxl_repo *r, const struct oxl_intent_file *f, enum found where, struct oxl_error *err)
{
        if (f->kind == OXL_INTENT_INDEX) {
                int k = rewrite_index(r, where == FOUND_TEMP ? f->temp : f->target, f->target, err);
                return k < 0 ? k : remove_temp(r, f->temp, err);
        }
        if (where == FOUND_TEMP) /* CRASH: named or not; found again at one of its names */
                return oxl_durable_rename(r->durable, f->temp, f->target, err);
        int k = mark(r, f->target, err);
        return k < 0 ? k : remove_temp(r, f->temp, err);
}

/* Objects first, then the index, each behind a barrier: the order of commit. */
static int roll_files_forward(struct oxl_repo *r, const struct oxl_commit_intent *i, const enum found *found,
                              struct oxl_error *err)
{
        for (int index = 0; index <= 1; index++) {
                for (size_t k = 0; k < i->n_files; k++) {
                        if ((i->files[k].kind == OXL_INTENT_INDEX) != (index == 1) || found[k] > FOUND_TEMP)
                                continue;
                        int e = put_in_place(r, &i->files[k], found[k], err);
                        if (e < 0)
                                return e;
                }
                int e = OXL_MUTANT(RECOVERY_WITHOUT_BARRIER) ? 0 : oxl_durable_barrier(r->durable, err);
                if (e < 0)
                        return e;
        }
        return 0;
}

static int remove_temps(struct oxl_repo *r, const struct oxl_commit_intent *i, struct oxl_error *err)
{
        for (size_t k = 0; k < i->n_files; k++) {
                int e = remove_temp(r, i->files[k].temp, err);
                if (e >= 0)
                        e = mark(r, i->files[k].target, err);
                if (e < 0)
                        return e;
        }
        return OXL_MUTANT(ROLLBACK_WITHOUT_BARRIER) ? 0 : oxl_durable_barrier(r->durable, err);
}

/* --- one commit --------------------------------------------------------------------------------------------------- */

static int read_ref(struct oxl_repo *r, const char *ref, struct oxl_digest *ret, struct oxl_error *err)
{
        cleanup_free char *symbolic = NULL;
        *ret = (struct oxl_digest)OXL_DIGEST_INIT;
        if (strcmp(ref, "HEAD") == 0)
                return oxl_head_read(r, &symbolic, ret, err);
        int k = oxl_ref_read(r, ref, ret, err);
        return k < 0 ? k : 0;
}

static int write_ref(struct oxl_repo *r, const struct oxl_commit_intent *i, const struct oxl_digest *now,
                     struct oxl_error *err)
{
        if (strcmp(i->ref, "HEAD") == 0)
                return oxl_head_swap(r, now, &i->new_id, err);
        return oxl_ref_swap(r, i->ref, now, &i->new_id, err);
}

static int record(struct oxl_repo *r, const struct oxl_event *event, enum oxl_intent_state state,
                  const struct oxl_commit_intent *i, const enum found *found, const char *why, struct oxl_error *err)
{
        struct oxl_json *j = oxl_json_object(), *proof = oxl_json_array();
        cleanup_free char *text = NULL;
        for (size_t k = 0; k < i->n_files; k++) {
                struct oxl_json *p = oxl_json_object();
                oxl_json_set_string(p, "path", i->files[k].target);
                oxl_json_set_string(p, "found", found_text(found[k]));
                oxl_json_set_digest(p, "digest", &i->files[k].digest);
                oxl_json_append(proof, p);
        }
        oxl_json_set_string(j, "schema", "oxen-lite.outcome/1");
        oxl_json_set(j, "proof", proof);
        int k = oxl_json_print(j, &text, err);
        oxl_json_free(j);
        if (k >= 0)
                k = oxl_journal_outcome(r->journal, event->seq, oxl_owner_number(r->owner), state, text, true, err);
        if (k < 0)
                return k;
        struct oxl_recovered said = {
                .intent = event->seq,
                .verb = "commit",
                .outcome = oxl_intent_state_text(state),
                .ref = i->ref,
                .commit = i->new_id,
                .why = why,
                .proof = text,
        };
        if (r->options.recovered)
                r->options.recovered(r->options.ctx, &said);
        return 0;
}

static int decide_commit(struct oxl_repo *r, const struct oxl_event *event, const struct oxl_commit_intent *i,
                         const enum found *found, struct oxl_error *err)
{
        struct oxl_digest now;
        bool complete = true;
        int k = read_ref(r, i->ref, &now, err);
        if (k < 0)
                return k;
        bool is_new = oxl_digest_equal(&now, &i->new_id), is_old = oxl_digest_equal(&now, &i->old_id);
        /* Where the ref is new the index was in place before it, and a later add may have replaced it since. */
        for (size_t n = 0; n < i->n_files; n++)
                complete = complete && (found[n] <= FOUND_TEMP || (is_new && i->files[n].kind == OXL_INTENT_INDEX));
        /* A branch that was there is gone: where rename is no single step, its new file is what was lost (crash/store, P1). */
        if (complete && now.algo == OXL_ALGO_NONE)
                is_old = true;
        if (is_new || (is_old && complete)) {
                k = OXL_MUTANT(RECOVERY_DONE_FIRST) ? record(r, event, OXL_INTENT_ROLLED_FORWARD, i, found, "", err)
                                                    : 0;
                if (k >= 0)
                        k = roll_files_forward(r, i, found, err);
                if (k >= 0)
                        k = write_ref(r, i, &now, err);
                return k < 0 ? k
                             : record(r, event, OXL_INTENT_ROLLED_FORWARD, i, found,
                                      !complete
                                              ? "its branch had moved already, but some of its files are damaged: run oxen-lite fsck"
                                      : is_new ? "everything was in place; it is complete"
                                               : "everything was on the disk; it was completed",
                                      err);
        }
        k = remove_temps(r, i, err);
        if (k < 0)
                return k;
        if (!is_old)
                return record(r, event, OXL_INTENT_SUPERSEDED, i, found, "the branch has moved on since", err);
        return record(r, event, OXL_INTENT_ROLLED_BACK, i, found,
                      "not everything had reached the disk; the branch is as it was before", err);
}

static int recover_commit(struct oxl_repo *r, const struct oxl_event *event, struct oxl_error *err)
{
        cleanup(oxl_commit_intent_done) struct oxl_commit_intent i = OXL_COMMIT_INTENT_INIT;
        int k = oxl_commit_intent_parse(event->body, r->format.blob_algo, &i, err);
        if (k < 0)
                return k;
        cleanup_free enum found *found = calloc(i.n_files + 1, sizeof *found);
        if (!found)
                return OXL_FAIL_PLAIN(err, NOMEM);
        for (size_t n = 0; n < i.n_files; n++) {
                k = look(r, &i.files[n], &found[n], err);
                if (k < 0)
                        return k;
        }
        return decide_commit(r, event, &i, found, err);
}

/* --- all ---------------------------------------------------------------------------------------------------------- */

struct recovery {
        struct oxl_repo *repo;
        uint64_t count;
        struct oxl_stale stale; /* keeps those whose intents stay open: not known to be dead when it was asked */
};

static int recover_intent(void *ctx, const struct oxl_event *event, struct oxl_error *err)
{
        struct recovery *rec = ctx;
        struct oxl_repo *r = rec->repo;
        int k;
        /* A move of our own: it ended with OUTCOME_UNKNOWN. Nothing of it is under way, because we begin. */
        bool own = event->owner == oxl_owner_number(r->owner) && oxl_move_verb(event->verb);
        if (!own && oxl_owner_verdict(r->root_fd, event->owner) != OXL_TEMP_DEAD) {
                oxl_stale_keep(&rec->stale, event->owner);
                return 0; /* alive, or on another machine: not ours to end */
        }
        if (strcmp(event->verb, "commit") == 0)
                k = recover_commit(r, event, err);
        else if (strcmp(event->verb, "restore") == 0)
                k = oxl_restore_recover(r, event, err);
        else if (strcmp(event->verb, "repair") == 0)
                k = oxl_repair_recover(r, event, err);
        else if (oxl_move_verb(event->verb))
                k = oxl_move_recover(r, event, err);
        else if (oxl_gc_verb(event->verb))
                k = oxl_trash_recover(r, event, err);
        else
                return OXL_FAIL_WHY(err, FEATURE, "journal.db", "it has an interrupted operation of an unknown kind");
        if (k >= 0)
                rec->count++;
        return k < 0 ? k : 0;
}

static enum oxl_temp_verdict owner_alive(void *ctx, uint64_t owner)
{
        const struct recovery *rec = ctx;
        return oxl_stale_verdict(&rec->stale, owner);
}

static void sweep_below(struct oxl_repo *r, const char *dir, const struct oxl_sweep_options *options,
                        struct oxl_sweep_report *report)
{
        cleanup_error struct oxl_error ignored = OXL_ERROR_INIT;
        struct oxl_sweep_tree tree = { .options = *options };
        cleanup_fd int fd = oxl_open_beneath(r->root_fd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
        if (fd >= 0)
                OXL_IGNORE(oxl_sweep_tree(fd, dir, &tree, report, &ignored), "swept next time");
}

static void say_swept(struct oxl_repo *r, const struct oxl_sweep_report *report)
{
        char text[128];
        snprintf(text, sizeof text, "removed %llu temp file%s, %llu KiB: the process that wrote %s is dead",
                 (unsigned long long)report->removed, report->removed == 1 ? "" : "s",
                 (unsigned long long)report->removed_bytes / 1024, report->removed == 1 ? "it" : "them");
        oxl_repo_notice(r, NULL, text);
}

/* Failing to sweep is no reason not to work: what stays is found again. */
static void sweep_own_folders(struct recovery *rec)
{
        struct oxl_repo *r = rec->repo;
        static const char *const dirs[] = { "", "versions/tmp", "versions/packs" };
        cleanup_error struct oxl_error ignored = OXL_ERROR_INIT;
        struct oxl_sweep_report report = { 0 };
        struct stat st;
        if (oxl_fd_stat(r->root_fd, &st) < 0)
                return;
        struct oxl_sweep_options options = { .owner_alive = owner_alive, .ctx = rec, .uid = st.st_uid };
        for (size_t i = 0; i < OXL_ARRAY_LEN(dirs); i++)
                OXL_IGNORE(oxl_durable_sweep(r->durable, dirs[i], &options, &report, &ignored), "swept next time");
        sweep_below(r, "refs", &options, &report);
        sweep_below(r, "quarantine", &options, &report);
        sweep_below(r, "trash", &options, &report);
        oxl_owner_sweep(r->root_fd);
        if (report.removed > 0)
                say_swept(r, &report);
}

int oxl_repo_recover_locked(struct oxl_repo *r, uint64_t *ret_count, struct oxl_error *err)
{
        struct recovery rec = { .repo = r, .stale = { .root_fd = r->root_fd } };
        int k = oxl_journal_open_intents(r->journal, recover_intent, &rec, err);
        if (k < 0)
                return k;
        sweep_own_folders(&rec);
        r->recovered = rec.count;
        if (ret_count)
                *ret_count = rec.count;
        return 0;
}

/* The outcome of a commit can survive a power cut that its lookup did not. A wrong one is only slow, but fsck names it. */
static void heal_lookup(struct oxl_repo *r)
{
        cleanup_error struct oxl_error ignored = OXL_ERROR_INIT;
        struct oxl_objects *objects;
        if (oxl_repo_objects(r, &objects, &ignored) == 0)
                OXL_IGNORE(oxl_objects_heal_lookup(objects, &ignored), "lookup is derived");
}

int oxl_repo_recover(struct oxl_repo *r, uint64_t *ret_count, struct oxl_error *err)
{
        /* begin_write recovers: counting is all that is left to do */
        int k = oxl_repo_begin_write(r, err);
        if (k < 0)
                return k;
        if (ret_count)
                *ret_count = r->recovered;
        heal_lookup(r);
        k = oxl_journal_checkpoint(r->journal, OXL_WAL_LOW_BYTES, err);
        oxl_repo_end_write(r);
        return k;
}
