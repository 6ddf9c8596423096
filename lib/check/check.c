/* SPDX-License-Identifier: MIT */
/*
 * fsck: finds the repository, runs the passes, counts. See pass.h for what they share.
 *
 * Nothing is written into the repository. `gc` is held shared, so that nothing that a ref led to when it was read is moved away
 * before it was looked at; a copy of the journal is taken under its shared db lock, for the milliseconds that takes. Both work where
 * nothing can be written. What a crash leaves: nothing.
 */
#include <string.h>
#include <unistd.h>

#include "base/path.h"
#include "check/pass.h"
#include "check/repair.h"
#include "os/fdio.h"

static void check_done(struct oxl_check *c)
{
        for (size_t i = 0; i < c->n_refs; i++)
                free(c->refs[i].name);
        free(c->refs);
        free(c->head);
        free(c->root);
        free(c->packs);
        free(c->intents);
        oxl_journal_close(c->journal);
        free(c->said);
        oxl_buf_done(&c->unread[0]);
        oxl_buf_done(&c->unread[1]);
        oxl_held_done(&c->held);
        free(c->units.at);
        oxl_ledger_done(&c->ledger);
        pthread_mutex_destroy(&c->pace.mutex);
        oxl_index_free(c->index);
        oxl_objects_free(c->objects);
        oxl_known_done(&c->known);
        oxl_fd_done(&c->gc_fd);
        oxl_fd_done(&c->root_fd);
}

/* --- finding the repository, as oxl_repo_open does, but content with less --- */

static int open_root(struct oxl_check *c, const char *start, struct oxl_error *err)
{
        struct stat st;
        cleanup_free char *worktree = NULL;
        int r = oxl_repo_discover(start, &worktree, err);
        if (r == 0)
                r = oxl_path_join(worktree, OXL_REPO_DIR, &c->root, err);
        if (r < 0)
                return r;
        c->root_fd = oxl_fd_open(AT_FDCWD, c->root, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
        if (c->root_fd < 0 && (errno == ELOOP || errno == ENOTDIR))
                return OXL_FAIL_WHY(err, MALFORMED, c->root, "it is not a folder");
        if (c->root_fd < 0)
                return OXL_FAIL_OS(err, DIR_OPEN, c->root);
        if (oxl_fd_stat(c->root_fd, &st) < 0)
                return OXL_FAIL_OS(err, FILE_STAT, c->root);
        if (!c->options.trust && st.st_uid != geteuid())
                return OXL_FAIL_PATH(err, REPO_UNTRUSTED, c->root);
        c->uid = st.st_uid;
        c->dev = st.st_dev;
        return 0;
}

int oxl_check_open_root(const char *start, const struct oxl_repo_options *options, char **ret_root, int *ret_fd,
                        struct oxl_error *err)
{
        cleanup(check_done) struct oxl_check c = {
                .options = *options, .root_fd = -1, .gc_fd = -1, .pace.mutex = PTHREAD_MUTEX_INITIALIZER
        };
        int r = open_root(&c, start, err);
        if (r < 0)
                return r;
        *ret_root = take_ptr(&c.root);
        *ret_fd = take_fd(&c.root_fd);
        return 0;
}

/* --- the passes --- */

typedef int pass_fn(struct oxl_check *c, struct oxl_error *err);

/* HEAD, refs and index before the objects that they need; the journal (it knows the open intents) before the graph. */
static const struct {
        const char *phase;
        pass_fn *run;
} passes[] = {
        { "format", oxl_check_format },       { "refs", oxl_check_refs },
        { "config", oxl_check_config },       { "index", oxl_check_index },
        { "journal", oxl_check_journal },     { "packs and blobs", oxl_check_content },
        { "lookup", oxl_check_lookup },       { "commits", oxl_check_graph },
        { "staged", oxl_check_staged },       { "operations", oxl_check_operations },
        { "leftovers", oxl_check_leftovers },
};

/* A part of the check needs to know what there is, and of which kind. */
static bool is_wanted(const struct oxl_check *c, pass_fn *run)
{
        return oxl_check_part(c) == OXL_CHECK_ALL || run == oxl_check_format || run == oxl_check_journal ||
               run == oxl_check_content;
}

static int run_passes(struct oxl_check *c, struct oxl_error *err)
{
        for (size_t i = 0; i < OXL_ARRAY_LEN(passes); i++) {
                int r = oxl_check_poll(c, err);
                if (r < 0)
                        return r;
                if (!is_wanted(c, passes[i].run))
                        continue;
                oxl_check_progress(c, passes[i].phase);
                r = passes[i].run(c, err);
                if (r == 0)
                        r = oxl_check_tell_unread(c, err);
                if (r < 0)
                        return r;
                if (c->too_new)
                        break;
        }
        return 0;
}

/* A gc at work is waited for: what it moves would look lost. A lock that cannot be asked for is said, and the rest checked. */
static int lock_gc(struct oxl_check *c, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        int r = oxl_owner_lock_gc_shared(c->root_fd, c->options.wait_ms, c->options.cancel, &c->gc_fd, &why);
        if (r < 0 && why.code != OXL_E_LOCKED && why.code != OXL_E_CANCELLED)
                return oxl_check_report_error(c, OXL_P_STRUCTURE, "locks", "", &why, err);
        return r < 0 ? oxl_error_copy(err, &why) : 0;
}

static struct oxl_check_options limits_of(const struct oxl_check_options *options)
{
        struct oxl_check_options o = { 0 };
        if (options)
                o = *options;
        o.record = o.record || o.since_days > 0 || o.time_limit_ms > 0;
        return o;
}

static void count_objects(struct oxl_check *c)
{
        c->result.objects = oxl_known_count(&c->known, OXL_KNOWN_READ, OXL_KNOWN_READ);
        c->result.unreachable = oxl_known_count(&c->known, OXL_KNOWN_WHOLE | OXL_KNOWN_NEEDED, OXL_KNOWN_WHOLE);
}

int oxl_check_run(const char *start, const struct oxl_repo_options *repo_options,
                  const struct oxl_check_options *options, oxl_finding_fn *fn, void *ctx, struct oxl_check_result *ret,
                  struct oxl_error *err)
{
        static const struct oxl_repo_options defaults = { .wait_ms = 30000 };
        oxl_digest_setup();
        cleanup(check_done) struct oxl_check c = {
                .options = repo_options ? *repo_options : defaults,
                .limits = limits_of(options),
                .fn = fn,
                .fn_ctx = ctx,
                .root_fd = -1,
                .gc_fd = -1,
                .pace = { .mutex = PTHREAD_MUTEX_INITIALIZER, .start_ns = oxl_check_clock(CLOCK_MONOTONIC) },
                .ledger = { .now_ns = oxl_check_clock(CLOCK_REALTIME) },
        };
        int r = open_root(&c, start, err);
        if (r == 0 && oxl_check_part(&c) == OXL_CHECK_ALL)
                r = lock_gc(&c, err);
        if (r == 0)
                r = run_passes(&c, err);
        oxl_ledger_end(&c, r == 0);
        if (r < 0)
                return r;
        count_objects(&c);
        *ret = c.result;
        return 0;
}
