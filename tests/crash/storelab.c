/* SPDX-License-Identifier: MIT */
/* See storelab.h: the promises, and the running of one workload. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <oxenlite/repair.h>

#include "base/cleanup.h"
#include "crash/modelvfs.h"
#include "crash/storelab.h"

enum { TEXT_BYTES = 512, CONTENT_MAX = 20000, LINE_BYTES = 3000 };

static char said[TEXT_BYTES]; /* the last violation that has facts in it */

static const char *say(const char *what, const char *fact)
{
        snprintf(said, sizeof said, "%s: %s", what, fact);
        return said;
}

static const char *say_error(const char *what, const struct oxl_error *err)
{
        char fact[TEXT_BYTES / 2];
        snprintf(fact, sizeof fact, "error %d (%s, %s, errno %d)", (int)err->code, err->path[0] ? err->path[0] : "-",
                 err->path[1] ? err->path[1] : "-", err->os);
        return say(what, fact);
}

/* --- helpers for workloads ---------------------------------------------------------------------------------------- */

static void fill(char *buf, size_t n, unsigned seed)
{
        for (size_t i = 0; i < n; i++)
                buf[i] = (char)(i * 31 + i / 512 + seed);
}

struct oxl_repo *lab_open(void)
{
        static const struct oxl_repo_options options = { .command = "lab" };
        struct oxl_repo *r = NULL;
        return oxl_repo_open(LAB_TREE, &options, &r, NULL) == 0 ? r : NULL;
}

bool lab_put(const struct lab_file *f)
{
        char bytes[CONTENT_MAX], path[256], folder[256];
        fill(bytes, f->size, f->seed);
        snprintf(path, sizeof path, LAB_TREE "/%s", f->path);
        snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
        (void)modelfs_put_dir(folder);
        (void)oxl_sys->unlinkat(AT_FDCWD, path, 0);
        return modelfs_put(path, bytes, f->size, 0644);
}

bool lab_put_version(const struct lab *l, unsigned version)
{
        const struct lab_version *v = &l->w->versions[version];
        for (int i = 0; i < LAB_FILES && v->files[i].path; i++)
                if (!lab_put(&v->files[i]))
                        return false;
        return true;
}

bool lab_is(const char *path, unsigned seed, size_t size)
{
        char want[CONTENT_MAX], got[CONTENT_MAX + 1], full[256];
        fill(want, size, seed);
        snprintf(full, sizeof full, LAB_TREE "/%s", path);
        return modelfs_get(full, got, sizeof got) == (ssize_t)size && memcmp(got, want, size) == 0;
}

bool lab_init(void)
{
        return oxl_repo_init(LAB_TREE, OXL_ALGO_BLAKE3, NULL) == 0;
}

bool lab_add(struct oxl_repo *r, const char *path)
{
        const struct oxl_add_options options = { .all = true };
        struct oxl_add_result result;
        return oxl_repo_add(r, &path, 1, &options, &result, NULL) == 0;
}

bool lab_commit(struct oxl_repo *r, unsigned version, bool all)
{
        char message[16];
        snprintf(message, sizeof message, "%u", version);
        const struct oxl_commit_options options = { .message = message, .author = "L <l@lab>", .all = all };
        struct oxl_commit_result result;
        return oxl_repo_commit(r, &options, &result, NULL) == 0;
}

static const char *repair(void)
{
        const struct oxl_repair_options options = { .force = true };
        struct oxl_repair_result result;
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        if (oxl_repair_run(LAB_TREE, NULL, &options, NULL, NULL, NULL, &result, &err) < 0)
                return say_error("O5: repair fails", &err);
        return result.left || result.failed || result.after.findings ? "O5: repair leaves damage" : NULL;
}

bool lab_repair(void)
{
        return !repair();
}

void lab_ack(struct lab *l)
{
        l->acked++;
        modelfs_count_in(l->fs, l->plan.counted); /* what came before may not have been judged */
        modelfs_ack(l->fs);
}

void lab_settle(struct lab *l)
{
        modelfs_checkpoint(l->fs);
}

struct death {
        struct modelfs *kept, *previous; /* previous: before the operation, when asked for */
        bool before;
        const char *last, *and;
};

static void keep_if(void *ctx, struct modelfs *clone, uint64_t op)
{
        struct death *d = ctx;
        cleanup_free char *last = modelfs_last(clone);
        (void)op;
        bool now = !d->kept && strstr(last, d->last) && (!d->and || strstr(last, d->and));
        if (now && !d->before)
                d->kept = clone;
        else if (now)
                d->kept = d->previous;
        if (now && d->before)
                d->previous = clone;
        else if (!now && d->before && !d->kept)
                modelfs_free(d->previous), d->previous = clone;
        else if (!now)
                modelfs_free(clone);
}

bool lab_die_in(struct lab *l, bool (*verb)(struct lab *l), bool before, const char *last, const char *and)
{
        struct death d = { .before = before, .last = last, .and = and};
        enum oxl_mutant mutant = oxl_mutant;
        oxl_mutant = OXL_MUTANT_NONE; /* those who are tried are the survivors */
        modelfs_watch_kills(l->fs, keep_if, &d);
        (void)verb(l);
        modelfs_unwatch(l->fs);
        oxl_mutant = mutant;
        modelfs_free(l->fs);
        modelfs_free(d.previous);
        l->fs = d.kept;
        if (d.kept)
                modelfs_mount(d.kept);
        return d.kept != NULL;
}

/* --- reading ------------------------------------------------------------------------------------------------------- */

struct history {
        const struct lab_workload *w;
        unsigned head, n; /* version of HEAD, commits seen */
        const char *broken;
};

static int see_commit(void *ctx, const struct oxl_commit_info *info, struct oxl_error *err)
{
        struct history *h = ctx;
        unsigned version = (unsigned)strtoul(info->message, NULL, 10);
        (void)err;
        if (h->n == 0)
                h->head = version;
        if (version == 0 || version > LAB_VERSIONS || version != h->head - h->n)
                h->broken = "O1: the history has another commit";
        h->n++;
        return 0;
}

static int count_file(void *ctx, const struct oxl_ls_item *item, struct oxl_error *err)
{
        (void)err;
        *(size_t *)ctx += item->kind == 'f';
        return 0;
}

struct content {
        char got[CONTENT_MAX];
        size_t n;
        bool too_long;
};

static int collect(void *ctx, const void *bytes, size_t n, struct oxl_error *err)
{
        struct content *c = ctx;
        (void)err;
        c->too_long |= n > sizeof c->got - c->n;
        if (!c->too_long)
                memcpy(c->got + c->n, bytes, n);
        c->n += n;
        return 0;
}

static const char *check_content(struct oxl_repo *r, const char *rev, const struct lab_file *f)
{
        static struct content c;
        char want[CONTENT_MAX];
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        c.n = 0, c.too_long = false;
        if (oxl_repo_cat(r, rev, f->path, collect, &c, &err) < 0)
                return say_error("O1: a committed file cannot be read", &err);
        fill(want, f->size, f->seed);
        return c.too_long || c.n != f->size || memcmp(c.got, want, c.n) != 0
                       ? say("O1: a file has other bytes", f->path)
                       : NULL;
}

static const char *check_commit(const struct lab_workload *w, struct oxl_repo *r, const char *rev, unsigned version)
{
        const struct lab_version *v = &w->versions[version];
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        size_t want = 0, got = 0;
        if (oxl_repo_ls(r, rev, "", true, count_file, &got, &err) < 0)
                return say_error("O1: a committed tree cannot be read", &err);
        for (; want < LAB_FILES && v->files[want].path; want++) {
                const char *broken = check_content(r, rev, &v->files[want]);
                if (broken)
                        return broken;
        }
        return got == want ? NULL : "O1: a committed tree has other files";
}

/* The whole history of HEAD; *ret is its version. */
static const char *check_history(const struct lab_workload *w, struct oxl_repo *r, unsigned *ret)
{
        struct history h = { .w = w };
        struct oxl_head head;
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        if (oxl_repo_head(r, &head, &err) < 0)
                return say_error("O1: HEAD cannot be read", &err);
        bool unborn = head.commit.algo == OXL_ALGO_NONE;
        oxl_head_done(&head);
        *ret = 0;
        if (unborn)
                return NULL;
        if (oxl_repo_log(r, NULL, 0, see_commit, &h, &err) < 0)
                return say_error("O1: the history cannot be read", &err);
        if (h.broken || h.n != h.head)
                return h.broken ? h.broken : "O1: the history is short";
        *ret = h.head;
        for (unsigned back = 0; back < h.n; back++) {
                char rev[16];
                snprintf(rev, sizeof rev, "HEAD~%u", back);
                const char *broken = check_commit(w, r, rev, h.head - back);
                if (broken)
                        return broken;
        }
        return NULL;
}

static int see_status(void *ctx, const struct oxl_status_item *item, struct oxl_error *err)
{
        static const char letters[] = "?AMDmd?!";
        char *text = ctx;
        size_t n = strlen(text);
        (void)err;
        snprintf(text + n, TEXT_BYTES / 2 - n, "%c %s\n", letters[item->change < 8 ? item->change : 7], item->path);
        return 0;
}

static const char *check_status(const struct lab_workload *w, struct oxl_repo *r, unsigned version)
{
        char got[TEXT_BYTES / 2] = "";
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        if (oxl_repo_status(r, see_status, got, &err) < 0)
                return say_error("O4: status fails", &err);
        const char *want = w->versions[version].status;
        return !want || strcmp(want, got) == 0 ? NULL : say("O4: something is half there; status", got);
}

/* Which versions may be seen. */
static const char *check_range(const struct lab *l, unsigned version, unsigned acked)
{
        unsigned next = acked < l->w->acks ? acked + 1 : acked;
        if (version < l->w->after_ack[acked])
                return "O2: acknowledged and lost";
        return version > l->w->after_ack[next] ? "O1: a version that nobody made yet" : NULL;
}

static const char *check_reading(struct lab *l, unsigned acked, bool recovered)
{
        unsigned version;
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        static const struct oxl_repo_options options = { .command = "lab" };
        struct oxl_repo *r;
        if (oxl_repo_open(LAB_TREE, &options, &r, &err) < 0)
                return say_error("O1: the repository does not open", &err);
        const char *broken = check_history(l->w, r, &version);
        if (!broken)
                broken = check_range(l, version, acked);
        if (!broken && recovered)
                broken = check_status(l->w, r, version);
        oxl_repo_close(r);
        return broken;
}

/* --- after recovery -------------------------------------------------------------------------------------------------- */

static int first_finding(void *ctx, const struct oxl_finding *f, struct oxl_error *err)
{
        char *text = ctx;
        (void)err;
        if (!text[0])
                snprintf(text, TEXT_BYTES / 2, "%s %s %s", oxl_problem_slug(f->problem), f->path, f->detail);
        return 0;
}

static const char *check_fsck(void)
{
        char text[TEXT_BYTES / 2] = "";
        struct oxl_check_result result;
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        if (oxl_check_run(LAB_TREE, NULL, NULL, first_finding, text, &result, &err) < 0)
                return say_error("O5: fsck fails", &err);
        return text[0] || result.findings || result.unreadable || result.pending ? say("O5: fsck", text) : NULL;
}

/* A folder of init without `locks` stays, and holds nothing else: see lib/repo/init.c. */
static bool is_unfinished_folder(const char *path)
{
        static const char start[] = LAB_REPO ".oxl-";
        char locks[300];
        struct stat st;
        if (strncmp(path, start, strlen(start)) != 0)
                return false;
        size_t n = strlen(LAB_TREE "/") + strcspn(path + strlen(LAB_TREE "/"), "/");
        snprintf(locks, sizeof locks, "%.*s/locks", (int)n, path);
        return oxl_sys->fstatat(AT_FDCWD, locks, &st, 0) < 0 && (!path[n] || strncmp(path + n, "/locks.oxl-", 11) == 0);
}

static void find_temp(void *ctx, const char *path)
{
        if (is_unfinished_folder(path))
                return;
        if (strstr(path, ".oxl-") || strstr(path, "/owners/"))
                snprintf(ctx, TEXT_BYTES / 2, "%s", path);
}

static const char *check_leftovers(void)
{
        char text[TEXT_BYTES / 2] = "";
        modelfs_each(modelfs_current(), find_temp, text);
        return text[0] ? say("O3: left over", text) : NULL;
}

static FILE *talks(const struct lab *l);

static void count_recovered(void *ctx, const struct oxl_recovered *r)
{
        struct lab *l = ctx;
        FILE *out = talks(l);
        l->recovered_intents++;
        if (out)
                fprintf(out, "        %s %s: %s\n", r->verb, r->outcome, r->why);
}

static const char *recover(struct lab *l)
{
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        const struct oxl_repo_options options = { .command = "lab", .recovered = count_recovered, .ctx = l };
        struct oxl_repo *r;
        uint64_t count;
        l->recovered_intents = 0;
        if (oxl_repo_open(LAB_TREE, &options, &r, &err) < 0)
                return say_error("O5: the repository does not open", &err);
        const char *broken = oxl_repo_recover(r, &count, &err) < 0 ? say_error("O5: recovery fails", &err) : NULL;
        oxl_repo_close(r);
        return broken;
}

static const char *recover_again(struct lab *l)
{
        uint64_t before = modelfs_hash(modelfs_current());
        const char *broken = recover(l);
        if (broken)
                return broken;
        if (l->recovered_intents > 0)
                return "O6: the second recovery found something to do";
        return modelfs_hash(modelfs_current()) == before ? NULL : "O6: recovering twice is not recovering once";
}

static const char *commit_once_more(void)
{
        static const struct lab_file more = { "more", 99, 300 };
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        struct oxl_repo *r = lab_open();
        const char *path = "more", *broken = NULL;
        struct oxl_add_result added;
        const struct oxl_commit_options options = { .message = "more", .author = "L <l@lab>" };
        struct oxl_commit_result result;
        if (!r || !lab_put(&more) || oxl_repo_add(r, &path, 1, NULL, &added, &err) < 0 ||
            oxl_repo_commit(r, &options, &result, &err) < 0)
                broken = say_error("O7: nothing can be committed any more", &err);
        oxl_repo_close(r);
        return broken ? broken : check_fsck();
}

/* The rest depends on the recovered disk alone: what was found sound once is not looked at again. */
static const char *check_recovered(struct lab *l, unsigned acked)
{
        struct modelfs *disk = modelfs_current();
        if (modelfs_seen_before(l->recovered, modelfs_hash(disk) + 0x9e3779b97f4a7c15U * acked))
                return NULL;
        l->looked++;
        if (l->plan.profile ==
            MODELFS_P1) /* there the index may go, whose temp has no durable name, and a temp be a link */
                return check_reading(l, acked, false);
        const char *broken = check_leftovers();
        if (!broken)
                broken = check_reading(l, acked, true);
        if (!broken)
                broken = check_fsck();
        if (!broken && l->w->extra)
                broken = l->w->extra(l, acked);
        if (!broken)
                broken = recover_again(l);
        return broken ? broken : commit_once_more();
}

/* --- one boot -------------------------------------------------------------------------------------------------------- */

static const char *boot(void *ctx, unsigned acked);

/* Keeps the point: the disk of this recovery is gone when the line is written. */
static const char *boot_again(void *ctx, unsigned acked)
{
        struct lab *l = ctx;
        const char *broken = boot(ctx, acked);
        if (broken && !l->inner_point)
                l->inner_point = modelfs_point(l->inner_fs);
        return broken;
}

/* A second crash at every operation of recovery. */
static const char *recover_watched(struct lab *l, unsigned acked)
{
        struct modelfs *disk = modelfs_current();
        const char *again = l->plan.replay ? l->plan.replay->again : NULL;
        l->inner_fs = disk;
        modelfs_share_seen(disk, l->inner);
        modelfs_set_acked(disk, acked);
        if (l->plan.stop_at_first)
                modelfs_stop_at_first(disk);
        modelfs_limit(disk, (struct modelfs_limits){ .exhaustive = 3, .clusters = l->plan.quick ? 0 : 6 });
        modelfs_seed(disk, l->plan.seed);
        modelfs_count_in(disk, l->plan.counted);
        if (again && !modelfs_replay(disk, again))
                return "there is no such second crash";
        l->depth++;
        modelfs_watch(disk, boot_again, l);
        const char *broken = recover(l);
        modelfs_unwatch(disk);
        l->depth--;
        l->inner_states += modelfs_states(disk);
        l->again += modelfs_fresh(disk);
        if (again && !modelfs_replayed(disk))
                l->replayed = false;
        return modelfs_first_violation(disk) ? modelfs_first_violation(disk) : broken;
}

static bool repo_is_there(void)
{
        struct stat st;
        return oxl_sys->fstatat(AT_FDCWD, LAB_REPO, &st, 0) == 0;
}

/* Before the first acknowledgement of init there is nothing, or all of it. */
static const char *make_again(void)
{
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        return oxl_repo_init(LAB_TREE, OXL_ALGO_BLAKE3, &err) < 0 ? say_error("O5: init fails", &err) : NULL;
}

static bool sampled(const struct lab *l)
{
        const struct lab_point *point = l->plan.replay;
        if (l->depth > 0)
                return false;
        if (point)
                return point->again || point->watched;
        return l->plan.nested && modelfs_hash(modelfs_current()) % (l->plan.sample ? l->plan.sample : 1) == 0;
}

/* The crash that a replay is about, or one on the way to it. */
static FILE *talks(const struct lab *l)
{
        const struct lab_point *point = l->plan.replay;
        return point && (l->depth > 0 || !point->again) ? point->out : NULL;
}

static void say_found(const struct lab *l)
{
        FILE *out = talks(l);
        if (!out)
                return;
        fprintf(out, "\nwhat the next process finds:\n");
        modelfs_say_tree(modelfs_current(), out);
}

static const char *recover_aloud(struct lab *l, bool watched, unsigned acked)
{
        FILE *out = talks(l);
        struct modelfs *disk = modelfs_current();
        if (out)
                fprintf(out, "\nrecovery:\n");
        if (l->plan.replay)
                modelfs_tell(disk, l->plan.replay->out);
        const char *broken = watched ? recover_watched(l, acked) : recover(l);
        if (out) {
                if (!watched)
                        modelfs_tell_now(disk);
                fprintf(out, "\nafter recovery:\n");
                modelfs_say_tree(disk, out);
        }
        return broken;
}

static const char *boot(void *ctx, unsigned acked)
{
        struct lab *l = ctx;
        bool watched = sampled(l);
        if (l->w->from_first_ack && acked == 0)
                return NULL;
        l->boots++;
        l->watched = watched;
        say_found(l);
        if (l->w->no_repo && acked == 0 && !repo_is_there())
                return make_again() ? said : check_recovered(l, acked);
        const bool damaged = l->w->damaged && acked == 0;
        const char *broken = l->plan.profile == MODELFS_P1 || damaged ? NULL : check_reading(l, acked, false);
        if (!broken && l->w->before)
                broken = l->w->before(l, acked);
        if (!broken)
                broken = recover_aloud(l, watched, acked);
        if (!broken && damaged)
                broken = repair();
        bool second = l->depth == 0 && l->plan.replay && l->plan.replay->again;
        return broken || second ? broken : check_recovered(l, acked);
}

/* Keeps the facts, and the line: the disk only keeps the pointer. @outer: what came before the crash. */
static void violated(struct lab *l, const char *broken, uint64_t op, const char *outer)
{
        static char kept[TEXT_BYTES], line[LINE_BYTES];
        l->violations++;
        if (l->first)
                return;
        snprintf(kept, sizeof kept, "%s", broken);
        l->first = kept;
        l->first_op = op;
        l->line = line;
        size_t n = lab_begin_line(l, line, sizeof line);
        n += (size_t)snprintf(line + n, sizeof line - n, "/%s", outer);
        if (l->inner_point)
                snprintf(line + n, sizeof line - n, "/%s", l->inner_point);
        else if (l->watched)
                snprintf(line + n, sizeof line - n, "/watched");
}

const char *lab_boot(void *ctx, unsigned acked)
{
        struct lab *l = ctx;
        const char *broken = boot(ctx, acked);
        if (!broken)
                return NULL;
        cleanup_free char *point = modelfs_point(l->fs);
        violated(l, broken, modelfs_ops(l->fs), point);
        return broken;
}

/* Is this kill to be looked at? */
static bool kill_wanted(struct lab *l, const struct modelfs *clone, uint64_t op)
{
        if (l->plan.replay)
                return l->plan.replay->kill == op && !l->replayed;
        if (l->first && l->plan.stop_at_first)
                return false;
        return op % (l->plan.sample ? l->plan.sample : 1) == 0 &&
               !modelfs_seen_before(l->killed, modelfs_hash_pending(clone) + l->acked);
}

void lab_killed(void *ctx, struct modelfs *clone, uint64_t op)
{
        struct lab *l = ctx;
        if (kill_wanted(l, clone, op)) {
                char outer[32];
                l->replayed = true;
                l->boots++;
                l->watched = false;
                say_found(l);
                const char *broken = l->w->no_repo && !repo_is_there() ? make_again() : NULL;
                if (!broken)
                        broken = recover_aloud(l, true, l->acked);
                if (!broken && l->w->damaged && l->acked == 0)
                        broken = repair();
                if (!broken && !(l->plan.replay && l->plan.replay->again))
                        broken = check_recovered(l, l->acked);
                snprintf(outer, sizeof outer, "kill %llu", (unsigned long long)op);
                if (broken)
                        violated(l, broken, op, outer);
        }
        modelfs_free(clone);
}
