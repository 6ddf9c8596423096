/* SPDX-License-Identifier: MIT */
/*
 * journal.db, through a private copy: its structure, the chain of its events, and what it knows that the files
 * alone do not tell: operations that died and wait for recovery, and branches that should be there.
 *
 * An intent is pending only if its owner was dead before a second copy still showed it open: a living one may end it
 * at any moment. A branch is missing only if the newest operation that moved it belongs to no open intent.
 */
#include <stdio.h>
#include <string.h>

#include "check/pass.h"
#include "os/fdio.h"
#include "repo/intent.h"

#define JOURNAL "journal.db"
#define WAL "journal.db-wal"

struct open_intent {
        int64_t seq;
        uint64_t owner;
        char verb[32];
        struct oxl_digest commit; /* NONE: not a commit */
};

struct journal_look {
        struct oxl_buf intents; /* struct open_intent, each */
        struct oxl_buf missing; /* NUL-ended names of refs that should exist */
        struct oxl_buf seen;    /* NUL-ended names of refs whose newest operation was looked at */
        bool tail_whole;        /* of the -wal */
        uint64_t tail_end;
};

static void journal_look_done(struct journal_look *l)
{
        oxl_buf_done(&l->intents);
        oxl_buf_done(&l->missing);
        oxl_buf_done(&l->seen);
}

static size_t intent_count(const struct journal_look *l)
{
        return l->intents.len / sizeof(struct open_intent);
}

static struct open_intent intent_at(const struct journal_look *l, size_t i)
{
        struct open_intent o;
        memcpy(&o, l->intents.data + i * sizeof o, sizeof o);
        return o;
}

static bool is_open(const struct journal_look *l, int64_t seq)
{
        for (size_t i = 0; i < intent_count(l); i++)
                if (intent_at(l, i).seq == seq)
                        return true;
        return false;
}

struct reading {
        struct oxl_check *c;
        struct journal_look *l;
};

static int collect_intent(void *ctx, const struct oxl_event *e, struct oxl_error *err)
{
        struct reading *rd = ctx;
        struct oxl_commit_intent body = OXL_COMMIT_INTENT_INIT;
        struct open_intent o = { .seq = e->intent, .owner = e->owner };
        snprintf(o.verb, sizeof o.verb, "%s", e->verb);
        if (strcmp(e->verb, "commit") == 0 &&
            oxl_commit_intent_parse(e->body, rd->c->format.blob_algo, &body, NULL) == 0)
                o.commit = body.new_id;
        oxl_commit_intent_done(&body);
        return oxl_buf_append(&rd->l->intents, &o, sizeof o, err);
}

static bool listed(const struct oxl_buf *names, const char *name)
{
        for (size_t at = 0; at < names->len; at += strlen((const char *)names->data + at) + 1)
                if (strcmp((const char *)names->data + at, name) == 0)
                        return true;
        return false;
}

/* Newest first: only the first operation of each ref counts. */
static int collect_operation(void *ctx, const struct oxl_operation *op, struct oxl_error *err)
{
        struct reading *rd = ctx;
        struct stat st;
        if (!op->ref || strncmp(op->ref, "refs/", 5) != 0 || is_open(rd->l, op->intent) ||
            listed(&rd->l->seen, op->ref))
                return 0;
        int r = oxl_buf_append(&rd->l->seen, op->ref, strlen(op->ref) + 1, err);
        if (r < 0 || !op->new_id)
                return r;
        if (oxl_fd_stat_at(rd->c->root_fd, op->ref, &st) == 0)
                return 0;
        if (errno != ENOENT && errno != ENOTDIR)
                return OXL_FAIL_OS(err, FILE_STAT, op->ref);
        return oxl_buf_append(&rd->l->missing, op->ref, strlen(op->ref) + 1, err);
}

/* Of the last look: a reader of the facts must not take what could not be looked at for empty. */
static void note_facts(const struct oxl_check *c, int r, const struct oxl_error *err)
{
        struct oxl_check_facts *f = c->limits.hooks ? c->limits.hooks->facts : NULL;
        if (!f)
                return;
        f->read = r == 0;
        oxl_error_done(&f->why);
        if (r < 0)
                OXL_IGNORE(oxl_error_copy(&f->why, err), "without memory it keeps the code");
}

static int look_journal(struct oxl_check *c, void *ctx, struct oxl_error *err)
{
        struct reading rd = { c, ctx };
        struct oxl_journal *j = NULL;
        cleanup_fd int lock_fd = oxl_open_beneath(c->root_fd, "locks", O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
        const struct oxl_journal_config config = {
                .dir = c->root, .id = c->format.id, .lock_fd = lock_fd, .wait_ms = c->options.wait_ms
        };
        oxl_buf_clear(&rd.l->intents);
        oxl_buf_clear(&rd.l->missing);
        oxl_buf_clear(&rd.l->seen);
        if (lock_fd < 0 && errno != ENOENT)
                return OXL_FAIL_OS(err, FILE_OPEN, "locks");
        int r = oxl_journal_open_copy(&config, &j, err);
        if (r < 0)
                oxl_owner_explain_db(c->root_fd, 0, err);
        if (r == 0)
                rd.l->tail_whole = oxl_journal_tail_whole(j, &rd.l->tail_end);
        if (r == 0)
                r = oxl_journal_verify(j, err);
        if (r == 0)
                r = oxl_journal_open_intents(j, collect_intent, &rd, err);
        if (r == 0)
                r = oxl_journal_operations(j, 0, collect_operation, &rd, err);
        if (r == 0 && oxl_ledger_wanted(c))
                r = oxl_ledger_read(c, j, err);
        if (r == 0 && oxl_check_part(c) == OXL_CHECK_ALL) { /* what the last look that succeeded read */
                oxl_journal_close(take_ptr(&c->journal));
                c->journal = take_ptr(&j);
        }
        oxl_journal_close(j);
        note_facts(c, r, err);
        return r;
}

/* --- what it tells --- */

/* The rest of what was read counts all the same: it is sound as far as it goes. */
static int check_tail(struct oxl_check *c, const struct journal_look *first, struct oxl_error *err)
{
        cleanup(journal_look_done) struct journal_look again = { .tail_whole = false };
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        char text[96];
        if (first->tail_whole)
                return 0;
        oxl_check_drop_cache(c, WAL);
        int r = look_journal(c, &again, &why);
        if (r < 0)
                return oxl_check_report_error(c, OXL_P_JOURNAL_DAMAGED, JOURNAL, "", &why, err);
        snprintf(text, sizeof text, "what follows byte %llu is not a whole transaction",
                 (unsigned long long)again.tail_end);
        struct oxl_report report = {
                .problem = again.tail_whole ? OXL_P_TRANSIENT : OXL_P_JOURNAL_TAIL,
                .path = WAL,
                .verdict = again.tail_whole ? "transient" : "media",
                .detail = text,
        };
        return oxl_check_report(c, &report, err);
}

/* Their commits are needed, though no ref leads there yet. */
static int keep_intents(struct oxl_check *c, const struct journal_look *l, struct oxl_error *err)
{
        size_t n = intent_count(l);
        c->intents = n ? calloc(n, sizeof *c->intents) : NULL;
        if (n && !c->intents)
                return OXL_FAIL_PLAIN(err, NOMEM);
        for (size_t i = 0; i < n; i++) {
                struct open_intent o = intent_at(l, i);
                if (o.commit.algo != OXL_ALGO_NONE)
                        c->intents[c->n_intents++] = o.commit;
        }
        return 0;
}

static int report_pending(struct oxl_check *c, const struct open_intent *o, struct oxl_error *err)
{
        char text[128];
        snprintf(text, sizeof text, "intent %lld (%s) of owner %016llx, which is dead", (long long)o->seq, o->verb,
                 (unsigned long long)o->owner);
        struct oxl_report r = {
                .problem = OXL_P_PENDING_RECOVERY, .path = JOURNAL, .detail = text, .offset = (uint64_t)o->seq
        };
        return oxl_check_report(c, &r, err);
}

/* The intents in @first whose owners are dead, if a later copy still shows them open. */
static int check_pending(struct oxl_check *c, const struct journal_look *first, struct oxl_error *err)
{
        bool any = false;
        cleanup_free bool *dead = calloc(intent_count(first) + 1, sizeof *dead);
        if (!dead)
                return OXL_FAIL_PLAIN(err, NOMEM);
        for (size_t i = 0; i < intent_count(first); i++) {
                dead[i] = oxl_owner_verdict(c->root_fd, intent_at(first, i).owner) == OXL_TEMP_DEAD;
                any = any || dead[i];
        }
        if (!any)
                return 0;
        cleanup(journal_look_done) struct journal_look again = { .tail_whole = false };
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        int r = look_journal(c, &again, &why);
        if (r < 0)
                return oxl_check_report_error(c, OXL_P_JOURNAL_DAMAGED, JOURNAL, "", &why, err);
        for (size_t i = 0; r == 0 && i < intent_count(first); i++) {
                struct open_intent o = intent_at(first, i);
                if (dead[i] && is_open(&again, o.seq))
                        r = report_pending(c, &o, err);
        }
        return r;
}

static int check_missing_refs(struct oxl_check *c, const struct journal_look *l, struct oxl_error *err)
{
        int r = 0;
        for (size_t at = 0; r == 0 && at < l->missing.len; at += strlen((const char *)l->missing.data + at) + 1) {
                struct oxl_report report = {
                        .problem = OXL_P_REF_MISSING,
                        .path = (const char *)l->missing.data + at,
                        .detail = "the operation log says that it exists",
                };
                r = oxl_check_report(c, &report, err);
        }
        return r;
}

/* HEAD's branch has no file, but the index was made from a commit: for when the log does not know. */
static int check_unborn(struct oxl_check *c, const struct journal_look *l, struct oxl_error *err)
{
        struct stat st;
        if (!c->head || !c->index || oxl_index_tree(c->index)->algo == OXL_ALGO_NONE || listed(&l->missing, c->head) ||
            !c->refs_complete)
                return 0;
        if (oxl_fd_stat_at(c->root_fd, c->head, &st) == 0)
                return 0;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        if (errno == ENOENT || errno == ENOTDIR)
                OXL_IGNORE(
                        OXL_FAIL_WHY(&why, MALFORMED, c->head, "HEAD names it, and the index was made from a commit"),
                        "reported next");
        else
                OXL_IGNORE(OXL_FAIL_OS(&why, FILE_STAT, c->head), "reported next");
        return oxl_check_report_error(c, OXL_P_REF_MISSING, c->head, "", &why, err);
}

int oxl_check_journal(struct oxl_check *c, struct oxl_error *err)
{
        cleanup(journal_look_done) struct journal_look l = { .tail_whole = false };
        enum oxl_look_state state;
        if (!c->have_id)
                return 0;
        int r = oxl_check_file(c, JOURNAL, OXL_P_JOURNAL_MISSING, OXL_P_JOURNAL_DAMAGED, look_journal, &l, &state, err);
        if (r == 0 && (state == OXL_LOOK_GOOD || state == OXL_LOOK_TRANSIENT)) {
                r = keep_intents(c, &l, err);
                if (r == 0)
                        r = check_tail(c, &l, err);
                if (r == 0)
                        r = check_pending(c, &l, err);
                if (r == 0)
                        r = check_missing_refs(c, &l, err);
        }
        return r < 0 ? r : check_unborn(c, &l, err);
}
