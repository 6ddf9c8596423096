/* SPDX-License-Identifier: MIT */
/* What the operation log needs besides its rows: intents of verbs that decide by one atomic write, and bodies read back. */
#include <string.h>

#include "journal/internal.h"

/* One transaction, without a sync: it survives the death of the process at once, and a power cut with the next durable one. */
int oxl_journal_record_done(struct oxl_journal *j, uint64_t owner, const char *verb, const char *body,
                            const struct oxl_operation *op, struct oxl_error *err)
{
        cleanup(oxl_txn_done) struct oxl_txn t = OXL_TXN_INIT;
        struct oxl_event intent = { .owner = owner, .verb = verb, .body = body, .state = OXL_INTENT_STAGED };
        struct oxl_event done = { .outcome = true, .owner = owner, .verb = verb, .state = OXL_INTENT_DONE };
        int r = oxl_txn_begin(&t, j, OXL_TXN_LAZY, err);
        if (r == 0)
                r = oxl_event_append(j, &intent, err);
        if (r == 0)
                r = oxl_operation_insert(j, op, intent.seq, err);
        done.intent = intent.seq;
        done.body = "{\"schema\":\"oxen-lite.outcome/1\",\"proof\":[]}";
        if (r == 0)
                r = oxl_event_append(j, &done, err);
        return r < 0 ? r : oxl_txn_commit(&t, err);
}

static int read_body(struct oxl_journal *j, int64_t intent, char **ret, struct oxl_error *err)
{
        cleanup_stmt sqlite3_stmt *s = NULL;
        int r = oxl_stmt_new(j, "SELECT body FROM event WHERE seq = ? AND kind = 'intent'", &s, err);
        if (r == 0)
                r = oxl_stmt_bind_int(j, s, 1, intent, err);
        if (r == 0)
                r = oxl_stmt_step(j, s, err);
        if (r < 0)
                return r;
        *ret = NULL;
        if (r == 0)
                return 0;
        const char *body = oxl_stmt_text(s, 0);
        if (!body)
                return oxl_journal_malformed(j, "an event is malformed", err);
        *ret = strdup(body);
        return *ret ? 0 : OXL_FAIL_PLAIN(err, NOMEM);
}

int oxl_journal_intent_body(struct oxl_journal *j, int64_t intent, char **ret, struct oxl_error *err)
{
        cleanup_free char *body = NULL;
        cleanup(oxl_txn_done) struct oxl_txn t = OXL_TXN_INIT;
        int r = oxl_txn_begin(&t, j, OXL_TXN_READ, err);
        if (r == 0)
                r = read_body(j, intent, &body, err);
        if (r == 0)
                r = oxl_txn_commit(&t, err);
        if (r < 0)
                return r;
        *ret = take_ptr(&body);
        return 0;
}
