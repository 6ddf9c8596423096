/* SPDX-License-Identifier: MIT */
/*
 * The journal: intents and outcomes, what they cost in syncs, and every way in which the file can be damaged.
 *
 * fsync and fdatasync are defined here, so that SQLite's calls are counted and can fail.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/cleanup.h"
#include "journal/journal.h"
#include "os/lock.h"
#include "os/sys.h"

#define DB_BYTE 2
#define OWNER UINT64_C(0x00c0ffee12345678)

static unsigned syncs;
static bool syncs_fail;

static int counted_sync(long call, int fd)
{
        syncs++;
        if (syncs_fail) {
                errno = EIO;
                return -1;
        }
        return (int)syscall(call, fd);
}

/* Visible, or libsqlite3 would not find them. */
__attribute__((visibility("default"))) int fsync(int fd)
{
        return counted_sync(SYS_fsync, fd);
}

__attribute__((visibility("default"))) int fdatasync(int fd)
{
        return counted_sync(SYS_fdatasync, fd);
}

/* --- fixture ---------------------------------------------------------------------------------------------------- */

struct fixture {
        char root[64], dir[80], path[96], temp[80];
        struct oxl_journal_config config;
};

static void remove_tree(const char *path)
{
        char command[200];
        snprintf(command, sizeof command, "rm -rf '%s'", path);
        assert_int_equal(system(command), 0);
}

static int set_up(void **state)
{
        struct fixture *f = calloc(1, sizeof *f);
        snprintf(f->root, sizeof f->root, "/tmp/oxl-journal-test-XXXXXX");
        assert_non_null(mkdtemp(f->root));
        snprintf(f->dir, sizeof f->dir, "%s/repo", f->root);
        snprintf(f->path, sizeof f->path, "%s/journal.db", f->dir);
        snprintf(f->temp, sizeof f->temp, "%s/temp", f->root);
        assert_int_equal(mkdir(f->dir, 0755), 0);
        assert_int_equal(mkdir(f->temp, 0777), 0);
        assert_int_equal(setenv("TMPDIR", f->temp, 1), 0);
        char locks[96];
        snprintf(locks, sizeof locks, "%s/locks", f->dir);
        f->config = (struct oxl_journal_config){ .dir = f->dir, .id = { { 1, 2, 3 } }, .wait_ms = 10000 };
        f->config.lock_fd = open(locks, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        assert_true(f->config.lock_fd >= 0);
        syncs_fail = false;
        *state = f;
        return 0;
}

static int tear_down(void **state)
{
        struct fixture *f = *state;
        oxl_sys = &oxl_sys_real;
        syncs_fail = false;
        close(f->config.lock_fd);
        remove_tree(f->root);
        free(f);
        return 0;
}

static struct oxl_journal *must_open(struct fixture *f)
{
        struct oxl_journal *j = NULL;
        assert_int_equal(oxl_journal_open(&f->config, &j, NULL), 0);
        return j;
}

static struct oxl_journal *make(struct fixture *f)
{
        assert_int_equal(oxl_journal_create(&f->config, NULL), 0);
        return must_open(f);
}

static int64_t stage_as(struct oxl_journal *j, const char *verb, const char *body, const struct oxl_operation *op)
{
        int64_t id = 0;
        assert_int_equal(oxl_journal_stage(j, OWNER, verb, body, op, &id, NULL), 0);
        return id;
}

static int64_t stage(struct oxl_journal *j, const char *body, const struct oxl_operation *op)
{
        return stage_as(j, "commit", body, op);
}

static void end(struct oxl_journal *j, int64_t intent, enum oxl_intent_state state)
{
        assert_int_equal(oxl_journal_outcome(j, intent, OWNER + 1, state, "{\"proof\":[]}", true, NULL), 0);
}

/* Everything that events say, as text. */
struct trace {
        char *text;
        size_t n, cap;
        size_t events;
};

static int trace_event(void *ctx, const struct oxl_event *e, struct oxl_error *err)
{
        struct trace *t = ctx;
        size_t need = strlen(e->body) + strlen(e->verb) + 200;
        if (t->n + need > t->cap) {
                t->cap = (t->n + need) * 2;
                t->text = realloc(t->text, t->cap);
        }
        t->n += (size_t)snprintf(t->text + t->n, need, "%lld %d %lld %llx %s %s %lld %s\n", (long long)e->seq,
                                 e->outcome, (long long)e->intent, (unsigned long long)e->owner, e->verb,
                                 oxl_intent_state_text(e->state), (long long)e->time_ns, e->body);
        t->events++;
        return 0;
}

static void trace_done(struct trace *t)
{
        free(t->text);
        *t = (struct trace){ 0 };
}

static size_t count_open(struct oxl_journal *j)
{
        struct trace t = { 0 };
        assert_int_equal(oxl_journal_open_intents(j, trace_event, &t, NULL), 0);
        size_t n = t.events;
        trace_done(&t);
        return n;
}

static size_t count_events(struct oxl_journal *j)
{
        struct trace t = { 0 };
        assert_int_equal(oxl_journal_events(j, trace_event, &t, NULL), 0);
        size_t n = t.events;
        trace_done(&t);
        return n;
}

static int ignore_event(void *ctx, const struct oxl_event *e, struct oxl_error *err)
{
        return 0;
}

static int ignore_operation(void *ctx, const struct oxl_operation *op, struct oxl_error *err)
{
        return 0;
}

/* Only while no journal is open in this process. What it changes stays in the -wal: a checkpoint by another program writes pages
 * without their checksums. */
static void run_sql(struct fixture *f, const char *sql)
{
        sqlite3 *db = NULL;
        char *why = NULL;
        assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
        assert_int_equal(sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL), SQLITE_OK);
        if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
                fail_msg("%s: %s", sql, why);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static unsigned entries(const char *dir)
{
        char command[160];
        unsigned n = 0;
        snprintf(command, sizeof command, "ls -A '%s' | wc -l", dir);
        FILE *p = popen(command, "r");
        assert_non_null(p);
        assert_int_equal(fscanf(p, "%u", &n), 1);
        pclose(p);
        return n;
}

/* The exit status of @child, run with @f in another process. */
static int in_child(struct fixture *f, int (*child)(struct fixture *f))
{
        int status = 0;
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
                _exit(child(f));
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        return WEXITSTATUS(status);
}

/* --- intents and operations ------------------------------------------------------------------------------------- */

static void an_intent_is_open_until_it_has_an_outcome(void **state)
{
        struct fixture *f = *state;
        struct oxl_journal *j = make(f);
        struct trace t = { 0 };
        assert_int_equal(count_open(j), 0);
        int64_t a = stage(j, "{\"a\":1}", NULL), b = stage(j, "{\"b\":1}", NULL), c = stage(j, "{}", NULL);
        assert_int_equal(a, 1);
        assert_int_equal(c, 3);
        assert_int_equal(count_open(j), 3);
        end(j, a, OXL_INTENT_DONE);
        end(j, c, OXL_INTENT_ROLLED_FORWARD);
        oxl_journal_close(j);

        j = must_open(f);
        assert_int_equal(oxl_journal_open_intents(j, trace_event, &t, NULL), 0);
        assert_int_equal(t.events, 1);
        assert_non_null(strstr(t.text, "2 0 2 c0ffee12345678 commit staged "));
        assert_non_null(strstr(t.text, "{\"b\":1}"));
        trace_done(&t);
        end(j, b, OXL_INTENT_SUPERSEDED);
        end(j, b, OXL_INTENT_SUPERSEDED); /* recovery that was itself interrupted */
        assert_int_equal(count_open(j), 0);
        assert_int_equal(oxl_journal_events(j, trace_event, &t, NULL), 0);
        assert_int_equal(t.events, 7);
        assert_non_null(strstr(t.text, "4 1 1 c0ffee12345679 commit done "));
        assert_int_equal(oxl_journal_verify(j, NULL), 0);
        trace_done(&t);
        oxl_journal_close(j);
}

static void an_outcome_needs_its_intent(void **state)
{
        struct fixture *f = *state;
        struct oxl_journal *j = make(f);
        end(j, stage(j, "{}", NULL), OXL_INTENT_DONE);
        assert_int_equal(oxl_journal_outcome(j, 2, OWNER, OXL_INTENT_DONE, "{}", true, NULL), -OXL_E_JOURNAL);
        assert_int_equal(oxl_journal_outcome(j, 9, OWNER, OXL_INTENT_DONE, "{}", true, NULL), -OXL_E_JOURNAL);
        assert_int_equal(count_events(j), 2);
        oxl_journal_close(j);
}

static int finish(void *ctx, const struct oxl_event *e, struct oxl_error *err)
{
        return oxl_journal_outcome(ctx, e->seq, OWNER, OXL_INTENT_ROLLED_BACK, "{}", false, err);
}

static int stop_at_2(void *ctx, const struct oxl_event *e, struct oxl_error *err)
{
        return e->seq == 2 ? 42 : 0;
}

static void recovery_may_write_while_it_walks(void **state)
{
        struct fixture *f = *state;
        struct oxl_journal *j = make(f);
        for (int i = 0; i < 10; i++)
                stage(j, "{}", NULL);
        assert_int_equal(oxl_journal_open_intents(j, stop_at_2, NULL, NULL), 42);
        assert_int_equal(oxl_journal_events(j, stop_at_2, NULL, NULL), 42);
        assert_int_equal(oxl_journal_open_intents(j, finish, j, NULL), 0);
        assert_int_equal(count_open(j), 0);
        assert_int_equal(count_events(j), 20);
        oxl_journal_close(j);
}

struct log {
        char verbs[2000];
        size_t n;
        int64_t last;
};

static int log_operation(void *ctx, const struct oxl_operation *op, struct oxl_error *err)
{
        struct log *l = ctx;
        if (l->last != 0 && op->id >= l->last)
                return 43;
        l->last = op->id;
        l->verbs[l->n++] = op->verb[0];
        return 0;
}

static int check_operation(void *ctx, const struct oxl_operation *op, struct oxl_error *err)
{
        unsigned *seen = ctx;
        bool first = op->id == 1;
        if (strcmp(op->verb, first ? "commit" : "add") != 0 || (first ? op->intent != 1 : op->intent != 0))
                return 44;
        if (first && (strcmp(op->ref, "refs/heads/main") != 0 || op->old_id || strcmp(op->new_id, "ab") != 0))
                return 45;
        if (!first && (op->ref || op->old_id || op->new_id))
                return 46;
        if (op->time_ns == 0 || strcmp(op->note, first ? "first" : "") != 0)
                return 47;
        ++*seen;
        return 0;
}

static void operations_keep_all_their_fields(void **state)
{
        struct fixture *f = *state;
        struct oxl_journal *j = make(f);
        struct oxl_operation commit = { .verb = "commit", .ref = "refs/heads/main", .new_id = "ab", .note = "first" };
        struct oxl_operation add = { .verb = "add", .time_ns = 5 };
        unsigned seen = 0;
        stage(j, "{}", &commit);
        assert_int_equal(oxl_journal_operation(j, &add, true, NULL), 0);
        assert_int_equal(oxl_journal_operations(j, 0, check_operation, &seen, NULL), 0);
        assert_int_equal(seen, 2);
        oxl_journal_close(j);
}

static void operations_come_newest_first(void **state)
{
        struct fixture *f = *state;
        struct oxl_journal *j = make(f);
        struct log l = { { 0 }, 0, 0 };
        for (int i = 0; i < 600; i++) {
                struct oxl_operation op = { .verb = i < 598 ? "x" : i == 598 ? "y" : "z", .note = "" };
                assert_int_equal(oxl_journal_operation(j, &op, false, NULL), 0);
        }
        assert_int_equal(oxl_journal_operations(j, 3, log_operation, &l, NULL), 0);
        assert_string_equal(l.verbs, "zyx");
        l = (struct log){ { 0 }, 0, 0 };
        assert_int_equal(oxl_journal_operations(j, 0, log_operation, &l, NULL), 0);
        assert_int_equal(l.n, 600);
        l = (struct log){ { 0 }, 0, 0 };
        assert_int_equal(oxl_journal_operations(j, 512, log_operation, &l, NULL), 0);
        assert_int_equal(l.n, 512);
        oxl_journal_close(j);
}

static void what_did_not_happen_leaves_the_operation_log(void **state)
{
        static const struct {
                enum oxl_intent_state state;
                bool stays;
        } cases[] = {
                { OXL_INTENT_DONE, true },           { OXL_INTENT_ABORTED, false },
                { OXL_INTENT_ROLLED_FORWARD, true }, { OXL_INTENT_ROLLED_BACK, false },
                { OXL_INTENT_SUPERSEDED, false },
        };
        struct fixture *f = *state;
        struct oxl_journal *j = make(f);
        struct oxl_operation op = { .verb = "commit", .note = "" };
        stage(j, "{}", &op);
        size_t want = 1;
        for (size_t i = 0; i < OXL_ARRAY_LEN(cases); i++) {
                struct log l = { { 0 }, 0, 0 };
                end(j, stage(j, "{}", &op), cases[i].state);
                want += cases[i].stays;
                assert_int_equal(oxl_journal_operations(j, 0, log_operation, &l, NULL), 0);
                assert_int_equal(l.n, want);
        }
        oxl_journal_close(j);
}

static int log_state(void *ctx, const struct oxl_operation *op, struct oxl_error *err)
{
        struct log *l = ctx;
        (void)err;
        l->verbs[l->n++] = "sdafbx"[op->state];
        return 0;
}

/* Their rows are for what they kept: only who asks for them sees them, and they are not counted otherwise. */
static void what_did_not_happen_and_kept_something_stays_for_those_who_ask(void **state)
{
        static const char *const bodies[] = {
                "{\"local\":{\"edits\":\"00\"}}",     "{\"path\":\"local\"}",         "{\"index\":{\"edits\":\"00\"}}",
                "{\"index\":{\"edits\":[\"blob\"]}}", "{\"index\":{\"edits\":\"\"}}",
        };
        struct fixture *f = *state;
        struct oxl_journal *j = make(f);
        struct oxl_operation op = { .verb = "restore", .note = "" }, other = { .verb = "config", .note = "" };
        assert_int_equal(oxl_journal_operation(j, &other, false, NULL), 0);
        stage(j, bodies[0], &op);
        for (int s = OXL_INTENT_DONE; s <= OXL_INTENT_SUPERSEDED; s++)
                for (size_t i = 0; i < OXL_ARRAY_LEN(bodies); i++)
                        end(j, stage_as(j, "restore", bodies[i], &op), (enum oxl_intent_state)s);
        end(j, stage(j, bodies[2], &op), OXL_INTENT_SUPERSEDED); /* of a commit: its lists may be gone */
        oxl_journal_close(j);
        j = must_open(f);
        struct log all = { { 0 }, 0, 0 }, some = { { 0 }, 0, 0 }, few = { { 0 }, 0, 0 }, newest = { { 0 }, 0, 0 };
        assert_int_equal(oxl_journal_operations_all(j, 0, log_state, &all, NULL), 0);
        assert_string_equal(all.verbs, "xxxbfffffadddddsd");
        assert_int_equal(oxl_journal_operations(j, 0, log_state, &some, NULL), 0);
        assert_string_equal(some.verbs, "fffffdddddsd");
        assert_int_equal(oxl_journal_operations_all(j, 3, log_state, &few, NULL), 0);
        assert_string_equal(few.verbs, "xxx");
        assert_int_equal(oxl_journal_operations(j, 1, log_state, &newest, NULL), 0);
        assert_string_equal(newest.verbs, "f");
        oxl_journal_close(j);
}

static void many_events_come_in_order(void **state)
{
        struct fixture *f = *state;
        struct oxl_journal *j = make(f);
        for (int i = 0; i < 400; i++) {
                int64_t id = 0;
                assert_int_equal(oxl_journal_stage(j, OWNER, "commit", "{}", NULL, &id, NULL), 0);
                if (i % 3 != 0)
                        assert_int_equal(oxl_journal_outcome(j, id, OWNER, OXL_INTENT_DONE, "{}", false, NULL), 0);
        }
        assert_int_equal(count_events(j), 400 + 266);
        assert_int_equal(count_open(j), 134);
        oxl_journal_close(j);
}

static void a_body_has_a_limit(void **state)
{
        struct fixture *f = *state;
        struct oxl_journal *j = make(f);
        size_t max = 64u << 20;
        char *body = malloc(max + 2);
        int64_t id = 0;
        memset(body, 'x', max + 1);
        body[max + 1] = 0;
        assert_int_equal(oxl_journal_stage(j, OWNER, "commit", body, NULL, &id, NULL), -OXL_E_LIMIT);
        assert_int_equal(id, 0);
        body[max] = 0;
        assert_int_equal(oxl_journal_stage(j, OWNER, "commit", body, NULL, &id, NULL), 0);
        assert_int_equal(count_open(j), 1);
        free(body);
        oxl_journal_close(j);
}

/* --- durability ------------------------------------------------------------------------------------------------- */

static void an_intent_costs_one_sync(void **state)
{
        struct fixture *f = *state;
        struct oxl_journal *j = make(f);
        syncs = 0;
        int64_t a = stage(j, "{}", NULL); /* the first ever */
        assert_int_equal(syncs, 1);
        assert_int_equal(oxl_journal_outcome(j, a, OWNER, OXL_INTENT_DONE, "{}", false, NULL), 0);
        oxl_journal_close(j);
        assert_int_equal(syncs, 1);
        j = must_open(f); /* a later process */
        stage(j, "{}", NULL);
        assert_int_equal(syncs, 2);
        assert_int_equal(oxl_journal_outcome(j, 1, OWNER, OXL_INTENT_DONE, "{}", true, NULL), 0);
        assert_int_equal(syncs, 3);
        assert_int_equal(count_open(j), 1);
        assert_int_equal(syncs, 4); /* nobody acts on an open intent before it is durable */
        oxl_journal_close(j);
        assert_int_equal(syncs, 4);
}

static void a_checkpoint_leaves_a_short_wal_and_the_next_intent_costs_one_sync(void **state)
{
        struct fixture *f = *state;
        struct oxl_journal *j = make(f);
        char wal[128];
        struct stat st;
        snprintf(wal, sizeof wal, "%s-wal", f->path);
        stage(j, "{}", NULL);
        syncs = 0;
        assert_int_equal(oxl_journal_checkpoint(j, 1u << 30, NULL), 0);
        assert_int_equal(syncs, 0);
        assert_int_equal(oxl_journal_checkpoint(j, 1, NULL), 0);
        assert_int_equal(syncs, 4); /* -wal, database; then header and frames of the transaction that stays */
        assert_int_equal(stat(wal, &st), 0);
        assert_in_range(st.st_size, 32 + 24 + 4096, 65536);
        stage(j, "{}", NULL);
        assert_int_equal(syncs, 5);
        oxl_journal_close(j);
        j = must_open(f);
        assert_int_equal(count_open(j), 2);
        oxl_journal_close(j);
}

/* The one case in which the name of the -wal may not be durable: see journal_vfs.c. */
static void a_wal_without_frames_is_opened_with_a_directory_sync(void **state)
{
        struct fixture *f = *state;
        struct oxl_journal *j = make(f);
        char wal[128];
        snprintf(wal, sizeof wal, "%s-wal", f->path);
        assert_int_equal(oxl_journal_checkpoint(j, 0, NULL), 0);
        oxl_journal_close(j);
        assert_int_equal(truncate(wal, 0), 0);
        syncs = 0;
        j = must_open(f); /* which writes frames into it, first of all */
        assert_int_equal(syncs, 3);
        stage(j, "{}", NULL);
        assert_int_equal(syncs, 4);
        oxl_journal_close(j);
}

static void a_failed_sync_poisons_the_journal(void **state)
{
        struct fixture *f = *state;
        struct oxl_journal *j = make(f);
        struct oxl_error err = OXL_ERROR_INIT;
        int64_t id = 0;
        syncs_fail = true;
        assert_int_equal(oxl_journal_stage(j, OWNER, "commit", "{}", NULL, &id, &err), -OXL_E_JOURNAL);
        assert_int_equal(err.os, EIO);
        assert_non_null(strstr(err.detail, "Input/output error"));
        syncs_fail = false;
        syncs = 0;
        assert_int_equal(oxl_journal_stage(j, OWNER, "commit", "{}", NULL, &id, &err), -OXL_E_POISONED);
        assert_int_equal(oxl_journal_checkpoint(j, 0, &err), -OXL_E_POISONED);
        assert_int_equal(syncs, 0);
        assert_int_equal(count_open(j), 0);
        oxl_journal_close(j);
        oxl_error_done(&err);
        /* only the sync failed: whoever opens it next reads the frames from the cache, as a whole */
        j = must_open(f);
        assert_int_equal(count_open(j), 1);
        assert_int_equal(oxl_journal_verify(j, NULL), 0);
        assert_int_equal(stage(j, "{}", NULL), 2);
        oxl_journal_close(j);
}

static int stage_and_die(struct fixture *f)
{
        struct oxl_journal *j;
        int64_t id;
        if (oxl_journal_open(&f->config, &j, NULL) < 0 ||
            oxl_journal_stage(j, OWNER, "commit", "{}", NULL, &id, NULL) < 0 ||
            oxl_journal_outcome(j, id, OWNER, OXL_INTENT_DONE, "{}", false, NULL) < 0 ||
            oxl_journal_stage(j, OWNER, "commit", "{\"open\":true}", NULL, &id, NULL) < 0)
                return 1;
        _exit(0);
}

static void a_lazy_outcome_survives_the_death_of_its_process(void **state)
{
        struct fixture *f = *state;
        oxl_journal_close(make(f));
        assert_int_equal(in_child(f, stage_and_die), 0);
        struct oxl_journal *j = must_open(f);
        assert_int_equal(count_events(j), 3);
        assert_int_equal(count_open(j), 1);
        oxl_journal_close(j);
}

static int stage_200(struct fixture *f)
{
        char locks[96];
        struct oxl_journal *j;
        snprintf(locks, sizeof locks, "%s/locks", f->dir);
        struct oxl_journal_config config = f->config;
        config.lock_fd = open(locks, O_RDWR | O_CLOEXEC); /* its own: inherited locks do not exclude */
        config.wait_ms = -1;
        if (config.lock_fd < 0 || oxl_journal_open(&config, &j, NULL) < 0)
                return 1;
        for (int i = 0; i < 200; i++) {
                int64_t id;
                if (oxl_journal_stage(j, OWNER, "commit", "{}", NULL, &id, NULL) < 0)
                        return 2;
                if (i % 2 && oxl_journal_outcome(j, id, OWNER, OXL_INTENT_DONE, "{}", false, NULL) < 0)
                        return 3;
                if (i % 50 == 7 && oxl_journal_checkpoint(j, 0, NULL) < 0)
                        return 4;
        }
        oxl_journal_close(j);
        return 0;
}

static void two_processes_keep_one_chain(void **state)
{
        struct fixture *f = *state;
        pid_t pid[2];
        oxl_journal_close(make(f));
        for (int i = 0; i < 2; i++) {
                pid[i] = fork();
                if (pid[i] == 0)
                        _exit(stage_200(f));
        }
        for (int i = 0; i < 2; i++) {
                int status = -1;
                assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
                assert_int_equal(status, 0);
        }
        struct oxl_journal *j = must_open(f);
        assert_int_equal(count_events(j), 600);
        assert_int_equal(count_open(j), 200);
        assert_int_equal(oxl_journal_verify(j, NULL), 0);
        oxl_journal_close(j);
}

/* --- locks, modes, versions ------------------------------------------------------------------------------------- */

static void every_transaction_waits_for_the_db_lock(void **state)
{
        struct fixture *f = *state;
        char locks[96];
        snprintf(locks, sizeof locks, "%s/locks", f->dir);
        f->config.wait_ms = 20;
        struct oxl_journal *j = make(f), *other = NULL;
        struct oxl_operation op = { .verb = "add", .note = "" };
        struct log l = { { 0 }, 0, 0 };
        int64_t id = stage(j, "{}", NULL);
        int fd = open(locks, O_RDWR | O_CLOEXEC);
        assert_int_equal(oxl_lock_set(fd, DB_BYTE, 1, OXL_LOCK_EXCLUSIVE, false, locks, NULL), 0);
        assert_int_equal(oxl_journal_stage(j, OWNER, "commit", "{}", NULL, &id, NULL), -OXL_E_LOCKED);
        assert_int_equal(oxl_journal_outcome(j, id, OWNER, OXL_INTENT_DONE, "{}", false, NULL), -OXL_E_LOCKED);
        assert_int_equal(oxl_journal_operation(j, &op, false, NULL), -OXL_E_LOCKED);
        assert_int_equal(oxl_journal_operations(j, 0, log_operation, &l, NULL), -OXL_E_LOCKED);
        assert_int_equal(oxl_journal_open_intents(j, ignore_event, NULL, NULL), -OXL_E_LOCKED);
        assert_int_equal(oxl_journal_events(j, ignore_event, NULL, NULL), -OXL_E_LOCKED);
        assert_int_equal(oxl_journal_verify(j, NULL), -OXL_E_LOCKED);
        assert_int_equal(oxl_journal_checkpoint(j, 0, NULL), -OXL_E_LOCKED);
        assert_int_equal(oxl_journal_open(&f->config, &other, NULL), -OXL_E_LOCKED);
        close(fd);
        end(j, id, OXL_INTENT_DONE);
        bool held = true;
        fd = open(locks, O_RDONLY | O_CLOEXEC);
        assert_int_equal(oxl_lock_probe(fd, DB_BYTE, 1, locks, &held, NULL), 0);
        assert_false(held);
        close(fd);
        oxl_journal_close(j);
}

static int nfs_statfs(int fd, struct statfs *ret)
{
        int r = oxl_sys_real.fstatfs(fd, ret);
        ret->f_type = 0x6969;
        return r;
}

static void a_network_file_system_gets_no_wal(void **state)
{
        struct fixture *f = *state;
        struct oxl_sys sys = oxl_sys_real;
        char wal[128];
        sys.fstatfs = nfs_statfs;
        oxl_sys = &sys;
        assert_int_equal(oxl_journal_create(&f->config, NULL), 0);
        oxl_sys = &oxl_sys_real; /* what counts later is what was recorded */
        struct oxl_journal *j = must_open(f), *copy = NULL;
        int64_t id = stage(j, "{}", NULL);
        syncs = 0;
        assert_int_equal(oxl_journal_outcome(j, id, OWNER, OXL_INTENT_DONE, "{}", false, NULL), 0);
        assert_true(syncs > 0); /* lazy means nothing here */
        stage(j, "{}", NULL);
        assert_int_equal(oxl_journal_checkpoint(j, 0, NULL), 0);
        assert_int_equal(oxl_journal_verify(j, NULL), 0);
        oxl_journal_close(j);
        snprintf(wal, sizeof wal, "%s-wal", f->path);
        assert_int_equal(access(wal, F_OK), -1);
        assert_int_equal(oxl_journal_open_copy(&f->config, &copy, NULL), 0);
        assert_int_equal(count_open(copy), 1);
        oxl_journal_close(copy);
}

static void creating_twice_is_refused(void **state)
{
        struct fixture *f = *state;
        struct oxl_journal *j = make(f);
        stage(j, "{}", NULL);
        oxl_journal_close(j);
        assert_int_equal(oxl_journal_create(&f->config, NULL), -OXL_E_FILE_EXISTS);
        j = must_open(f);
        assert_int_equal(count_open(j), 1);
        oxl_journal_close(j);
}

static int open_result(struct fixture *f)
{
        struct oxl_journal *j = NULL;
        int r = oxl_journal_open(&f->config, &j, NULL);
        oxl_journal_close(j);
        return r;
}

static void a_newer_schema_is_refused(void **state)
{
        struct fixture *f = *state;
        struct oxl_journal *j = NULL;
        oxl_journal_close(make(f));
        run_sql(f, "PRAGMA user_version=2");
        assert_int_equal(open_result(f), -OXL_E_JOURNAL_NEWER);
        assert_int_equal(oxl_journal_open_copy(&f->config, &j, NULL), -OXL_E_JOURNAL_NEWER);
        assert_int_equal(entries(f->temp), 0);
        run_sql(f, "PRAGMA user_version=0");
        assert_int_equal(open_result(f), -OXL_E_JOURNAL_DAMAGED);
        run_sql(f, "PRAGMA user_version=-1");
        assert_int_equal(open_result(f), -OXL_E_JOURNAL_DAMAGED);
}

static void the_journal_of_another_repository_is_refused(void **state)
{
        struct fixture *f = *state;
        oxl_journal_close(make(f));
        f->config.id.bytes[15] ^= 1;
        assert_int_equal(open_result(f), -OXL_E_JOURNAL_DAMAGED);
}

/* --- damage ----------------------------------------------------------------------------------------------------- */

static const char rows_sql[] = "PRAGMA ignore_check_constraints=1; ";

/* A journal of five events; 3 is an open intent in the middle, 5 is the last. */
static void make_five(struct fixture *f)
{
        struct oxl_journal *j = make(f);
        int64_t a = stage(j, "{\"a\":1}", NULL);
        end(j, a, OXL_INTENT_DONE);
        stage(j, "{\"b\":2}", NULL);
        end(j, stage(j, "{\"c\":3}", NULL), OXL_INTENT_ABORTED);
        oxl_journal_close(j);
}

/* Every reader of events finds it; so does whoever would append to it, when it is the last row. */
static void assert_damaged(struct fixture *f, const char *sql, bool tail)
{
        char whole[400];
        int64_t id = 0;
        snprintf(whole, sizeof whole, "%s%s", rows_sql, sql);
        run_sql(f, whole);
        struct oxl_journal *j = must_open(f);
        int r = oxl_journal_open_intents(j, ignore_event, NULL, NULL);
        if (r != -OXL_E_JOURNAL_DAMAGED)
                fail_msg("open_intents gives %d after %s", r, sql);
        assert_int_equal(oxl_journal_events(j, ignore_event, NULL, NULL), -OXL_E_JOURNAL_DAMAGED);
        assert_int_equal(oxl_journal_verify(j, NULL), -OXL_E_JOURNAL_DAMAGED);
        r = oxl_journal_stage(j, OWNER, "commit", "{}", NULL, &id, NULL);
        if (tail && r != -OXL_E_JOURNAL_DAMAGED)
                fail_msg("stage gives %d after %s", r, sql);
        oxl_journal_close(j);
}

static void remove_journal(struct fixture *f)
{
        static const char *const suffixes[] = { "", "-wal", "-shm" };
        for (size_t i = 0; i < OXL_ARRAY_LEN(suffixes); i++) {
                char path[128];
                snprintf(path, sizeof path, "%s%s", f->path, suffixes[i]);
                if (unlink(path) < 0)
                        assert_int_equal(errno, ENOENT);
        }
}

static void fresh(struct fixture *f)
{
        remove_journal(f);
        make_five(f);
}

static void every_changed_column_breaks_the_chain(void **state)
{
        static const char *const changes[] = {
                "intent = intent - 1",
                "intent = 0",
                "owner = '00c0ffee12345670'",
                "owner = 'x'",
                "owner = upper(owner)",
                "verb = 'commis'",
                "verb = verb || char(0)",
                "time = time + 1",
                "body = body || ' '",
                "body = ''",
                "chain = randomblob(32)",
                "chain = zeroblob(32)",
                "chain = x'00'",
                "kind = 'intens'",
                "state = 'stagex'",
                "kind = CASE kind WHEN 'intent' THEN 'outcome' ELSE 'intent' END",
                "state = CASE state WHEN 'done' THEN 'aborted' WHEN 'aborted' THEN 'done' ELSE 'superseded' END",
                "seq = seq + 1000",
                "seq = -seq",
        };
        struct fixture *f = *state;
        for (size_t i = 0; i < OXL_ARRAY_LEN(changes); i++)
                for (int row = 1; row <= 5; row++) {
                        char sql[200];
                        fresh(f);
                        snprintf(sql, sizeof sql, "UPDATE event SET %s WHERE seq = %d", changes[i], row);
                        /* the last row with a smaller number is a deleted last row and a stray one */
                        assert_damaged(f, sql, row == 5 && strncmp(changes[i], "seq = -", 7) != 0);
                }
}

static void deleted_and_swapped_rows_break_the_chain(void **state)
{
        static const char *const changes[] = {
                "DELETE FROM event WHERE seq = 1",
                "DELETE FROM event WHERE seq = 3",
                "DELETE FROM event WHERE seq = 4",
                "DELETE FROM event WHERE seq < 4",
                "UPDATE event SET seq = -seq WHERE seq IN (2, 3); UPDATE event SET seq = 5 + seq WHERE seq < 0",
                "UPDATE event SET seq = seq - 1; ",
                "UPDATE event SET body = (SELECT body FROM event WHERE seq = 3) WHERE seq = 1",
                "INSERT INTO event SELECT 6, kind, 6, owner, verb, state, time, body, chain FROM event WHERE seq = 1",
                "INSERT INTO event SELECT 0, kind, 0, owner, verb, state, time, body, chain FROM event WHERE seq = 1",
        };
        struct fixture *f = *state;
        for (size_t i = 0; i < OXL_ARRAY_LEN(changes); i++) {
                fresh(f);
                assert_damaged(f, changes[i], false);
        }
}

/* A limit that journal.h states: pinned here so that nobody relies on more. */
static void lost_last_rows_are_not_found_by_the_chain(void **state)
{
        struct fixture *f = *state;
        make_five(f);
        run_sql(f, "DELETE FROM event WHERE seq = 5");
        struct oxl_journal *j = must_open(f);
        assert_int_equal(oxl_journal_verify(j, NULL), 0);
        assert_int_equal(count_open(j), 2);
        oxl_journal_close(j);
}

static void a_changed_schema_is_damage(void **state)
{
        static const char *const changes[] = {
                "DROP INDEX event_intent",
                "DROP TABLE finding",
                "CREATE TABLE more (x)",
                "CREATE TRIGGER t AFTER INSERT ON event BEGIN DELETE FROM event WHERE seq = new.seq; END",
                "PRAGMA writable_schema=1; UPDATE sqlite_schema SET sql = replace(sql, '''done''', '''dome''')",
                "DELETE FROM meta WHERE key = 'repository'; INSERT INTO meta VALUES ('repository', 'x')",
                "DELETE FROM meta",
                "UPDATE meta SET value = 'memory' WHERE key = 'journal_mode'",
        };
        struct fixture *f = *state;
        for (size_t i = 0; i < OXL_ARRAY_LEN(changes); i++) {
                struct oxl_journal *j = NULL;
                fresh(f);
                run_sql(f, changes[i]);
                int r = oxl_journal_open(&f->config, &j, NULL);
                if (r == 0)
                        r = oxl_journal_verify(j, NULL);
                if (r != -OXL_E_JOURNAL_DAMAGED)
                        fail_msg("%d after %s", r, changes[i]);
                oxl_journal_close(j);
        }
}

static void no_trigger_of_a_stored_schema_runs(void **state)
{
        struct fixture *f = *state;
        make_five(f);
        run_sql(f, "CREATE TRIGGER t AFTER INSERT ON event BEGIN DELETE FROM event WHERE seq = new.seq; END");
        struct oxl_journal *j = must_open(f);
        stage(j, "{}", NULL);
        assert_int_equal(count_events(j), 6);
        oxl_journal_close(j);
}

static void write_file(const char *path, const void *bytes, size_t n)
{
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, bytes, n), n);
        close(fd);
}

/* The whole file, after a checkpoint; to be freed. */
static unsigned char *read_checkpointed(struct fixture *f, size_t *ret_n)
{
        struct oxl_journal *j = must_open(f);
        struct stat st;
        assert_int_equal(oxl_journal_checkpoint(j, 0, NULL), 0);
        oxl_journal_close(j);
        int fd = open(f->path, O_RDONLY | O_CLOEXEC);
        assert_int_equal(fstat(fd, &st), 0);
        *ret_n = (size_t)st.st_size;
        unsigned char *bytes = malloc(*ret_n);
        assert_int_equal(read(fd, bytes, *ret_n), *ret_n);
        close(fd);
        return bytes;
}

static void restore_file(struct fixture *f, const unsigned char *bytes, size_t n)
{
        remove_journal(f);
        write_file(f->path, bytes, n);
}

static void what_is_no_database_is_damage(void **state)
{
        struct fixture *f = *state;
        char text[9000];
        size_t n;
        assert_int_equal(open_result(f), -OXL_E_FILE_OPEN);
        make_five(f);
        unsigned char *bytes = read_checkpointed(f, &n);
        memset(text, 'x', sizeof text);
        restore_file(f, (const unsigned char *)text, sizeof text);
        assert_int_equal(open_result(f), -OXL_E_JOURNAL_DAMAGED);
        restore_file(f, bytes, 0);
        assert_int_equal(open_result(f), -OXL_E_JOURNAL_DAMAGED);
        free(bytes);
        unlink(f->path);
        assert_int_equal(symlink("/etc/passwd", f->path), 0);
        assert_int_equal(open_result(f), -OXL_E_JOURNAL_DAMAGED);
        unlink(f->path);
        assert_int_equal(mkfifo(f->path, 0644), 0);
        assert_int_equal(open_result(f), -OXL_E_JOURNAL_DAMAGED);
        unlink(f->path);
        assert_int_equal(mkdir(f->path, 0755), 0);
        assert_int_equal(open_result(f), -OXL_E_JOURNAL_DAMAGED);
}

/* An empty database beside a -wal: SQLite alone would delete the -wal, and with it what was committed. */
static void an_empty_database_does_not_cost_the_wal(void **state)
{
        struct fixture *f = *state;
        char wal[128];
        struct stat before, after;
        make_five(f);
        struct oxl_journal *j = must_open(f);
        stage(j, "{}", NULL);
        oxl_journal_close(j);
        snprintf(wal, sizeof wal, "%s-wal", f->path);
        assert_int_equal(stat(wal, &before), 0);
        assert_int_equal(truncate(f->path, 0), 0);
        assert_int_equal(open_result(f), -OXL_E_JOURNAL_DAMAGED);
        assert_int_equal(stat(wal, &after), 0);
        assert_int_equal(after.st_size, before.st_size);
}

struct tally {
        unsigned changed, found, harmless;
};

/*
 * Opens the damaged file as our programs do. Either somebody reports damage, or the events are those from before.
 * What the chain does not cover (operations, free pages, slack) may change unseen: harmless.
 */
static void judge(struct fixture *f, const struct trace *want, struct tally *t, const char *what, size_t at)
{
        struct oxl_journal *j = NULL;
        struct trace got = { 0 };
        int r = oxl_journal_open(&f->config, &j, NULL);
        bool same = false;
        if (r == 0)
                r = oxl_journal_verify(j, NULL);
        if (j) {
                int walk = oxl_journal_events(j, trace_event, &got, NULL);
                same = walk == 0 && got.n == want->n && memcmp(got.text, want->text, want->n) == 0;
                if (walk == 0 && !same)
                        fail_msg("%s at %zu: other events, and the chain holds", what, at);
        }
        if (r != 0 && r != -OXL_E_JOURNAL_DAMAGED && r != -OXL_E_JOURNAL_NEWER)
                fail_msg("%s at %zu: %d", what, at, r);
        if (r == 0 && !same)
                fail_msg("%s at %zu: verify is content, but the events changed", what, at);
        t->changed += !same;
        t->found += r != 0;
        t->harmless += r == 0;
        trace_done(&got);
        oxl_journal_close(j);
}

static void no_damage_changes_an_event_unseen(void **state)
{
        struct fixture *f = *state;
        struct oxl_journal *j = make(f);
        struct oxl_operation op = { .verb = "commit", .note = "a note" };
        struct tally pages = { 0, 0, 0 }, bits = { 0, 0, 0 };
        struct trace want = { 0 };
        char body[3000];
        size_t n;
        memset(body, 'b', sizeof body);
        for (int i = 0; i < 60; i++) {
                body[i % 7 ? 100 + i : 2900] = 0; /* some rows overflow their page */
                end(j, stage(j, body, &op), i % 5 ? OXL_INTENT_DONE : OXL_INTENT_ROLLED_FORWARD);
                memset(body, 'b' + i % 20, sizeof body);
        }
        assert_int_equal(oxl_journal_events(j, trace_event, &want, NULL), 0);
        oxl_journal_close(j);
        unsigned char *bytes = read_checkpointed(f, &n), *broken = malloc(n);
        for (size_t at = 0; at < n; at += 4096) {
                memcpy(broken, bytes, n);
                memset(broken + at, 0, 4096);
                restore_file(f, broken, n);
                judge(f, &want, &pages, "zero page", at);
        }
        uint64_t seed = 42;
        for (int i = 0; i < 200; i++) {
                seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
                size_t bit = (size_t)((seed >> 20) % (n * 8));
                memcpy(broken, bytes, n);
                broken[bit / 8] ^= (unsigned char)(1u << bit % 8);
                restore_file(f, broken, n);
                judge(f, &want, &bits, "bit", bit);
        }
        print_message("zero pages: %u found, %u harmless; bits: %u found (%u made events unreadable), %u harmless\n",
                      pages.found, pages.harmless, bits.found, bits.changed, bits.harmless);
        assert_true(pages.found > 10 && bits.changed > 50);
        free(bytes);
        free(broken);
        trace_done(&want);
}

static void a_cut_database_is_damage(void **state)
{
        struct fixture *f = *state;
        struct tally t = { 0, 0, 0 };
        struct trace want = { 0 };
        size_t n;
        make_five(f);
        struct oxl_journal *j = must_open(f);
        assert_int_equal(oxl_journal_events(j, trace_event, &want, NULL), 0);
        oxl_journal_close(j);
        unsigned char *bytes = read_checkpointed(f, &n);
        for (size_t cut = 1; cut < n; cut = cut < 256 ? cut + 7 : cut + 977) {
                restore_file(f, bytes, cut);
                judge(f, &want, &t, "cut", cut);
        }
        /* the last page is an empty table: cutting its zeros changes nothing */
        assert_true(t.found > 50 && t.harmless <= 4);
        free(bytes);
        trace_done(&want);
}

/* --- private copies --------------------------------------------------------------------------------------------- */

static void a_copy_sees_the_wal_and_leaves_nothing_behind(void **state)
{
        struct fixture *f = *state;
        struct oxl_journal *j = make(f), *copy = NULL;
        struct stat before, after;
        int64_t id = stage(j, "{}", NULL);
        stage(j, "{}", NULL);
        end(j, id, OXL_INTENT_DONE);
        oxl_journal_close(j);
        assert_int_equal(stat(f->path, &before), 0);
        assert_int_equal(oxl_journal_open_copy(&f->config, &copy, NULL), 0);
        assert_int_equal(count_events(copy), 3);
        assert_int_equal(count_open(copy), 1);
        assert_int_equal(oxl_journal_verify(copy, NULL), 0);
        assert_int_equal(oxl_journal_stage(copy, OWNER, "commit", "{}", NULL, &id, NULL), -OXL_E_JOURNAL);
        assert_int_equal(oxl_journal_checkpoint(copy, 0, NULL), 0);
        oxl_journal_close(copy);
        assert_int_equal(entries(f->temp), 0);
        assert_int_equal(stat(f->path, &after), 0);
        assert_int_equal(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
        assert_int_equal(after.st_size, before.st_size);
}

/* A folder in $TMPDIR as a copy makes it, with @files below it, the NULL last. */
static void left_behind(const struct fixture *f, const char *name, const char *const files[])
{
        char path[256];
        snprintf(path, sizeof path, "%s/%s", f->temp, name);
        assert_int_equal(mkdir(path, 0700), 0);
        for (size_t i = 0; files[i]; i++) {
                snprintf(path, sizeof path, "%s/%s/%s", f->temp, name, files[i]);
                int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
                assert_true(fd >= 0);
                close(fd);
        }
}

static bool is_there(const struct fixture *f, const char *name)
{
        char path[256];
        snprintf(path, sizeof path, "%s/%s", f->temp, name);
        return access(path, F_OK) == 0;
}

static void a_copy_removes_what_the_dead_left_and_nothing_else(void **state)
{
        static const char *const whole[] = { "lock", "journal.db", "journal.db-wal", "journal.db-shm", NULL };
        static const char *const none[] = { NULL }, *const unlocked[] = { "journal.db", NULL };
        struct fixture *f = *state;
        struct oxl_journal *copy = NULL;
        char path[256];
        oxl_journal_close(make(f));
        left_behind(f, "oxen-lite-journal-00000000000dead1", whole);
        left_behind(f, "oxen-lite-journal-00000000000dead2", none); /* died before it had a lock */
        left_behind(f, "oxen-lite-journal-0000000000011fe1", whole);
        left_behind(f, "oxen-lite-journal-0000000000022fe2", unlocked); /* not of this kind */
        left_behind(f, "oxen-lite-journal-00000000000000001", whole);   /* not of this name */
        snprintf(path, sizeof path, "%s/oxen-lite-journal-0000000000011fe1/lock", f->temp);
        int fd = open(path, O_RDWR | O_CLOEXEC);
        assert_int_equal(oxl_lock_set(fd, 0, 1, OXL_LOCK_EXCLUSIVE, false, path, NULL), 0);
        for (int i = 0; i < 2; i++) {
                assert_int_equal(oxl_journal_open_copy(&f->config, &copy, NULL), 0);
                oxl_journal_close(copy);
                assert_false(is_there(f, "oxen-lite-journal-00000000000dead1"));
                assert_false(is_there(f, "oxen-lite-journal-00000000000dead2"));
                assert_true(is_there(f, "oxen-lite-journal-0000000000011fe1/journal.db"));
                assert_true(is_there(f, "oxen-lite-journal-0000000000022fe2/journal.db"));
                assert_true(is_there(f, "oxen-lite-journal-00000000000000001/journal.db"));
                assert_int_equal(entries(f->temp), 3);
        }
        close(fd); /* it dies */
        assert_int_equal(oxl_journal_open_copy(&f->config, &copy, NULL), 0);
        oxl_journal_close(copy);
        assert_int_equal(entries(f->temp), 2);
}

/* While a folder is made, somebody takes it for a dead one's: at the first try it is gone before it has a lock. */
static unsigned taken_away;

static int open_after_a_sweep(int dirfd, const char *path, int flags, mode_t mode)
{
        char name[300], link[64];
        ssize_t n = -1;
        if (strcmp(path, "lock") == 0 && flags & O_CREAT && taken_away++ == 0) {
                snprintf(link, sizeof link, "/proc/self/fd/%d", dirfd);
                n = readlink(link, name, sizeof name - 1);
        }
        if (n > 0) {
                name[n] = '\0';
                if (rmdir(name) < 0)
                        abort();
        }
        return oxl_sys_real.openat(dirfd, path, flags, mode);
}

static void a_copy_whose_folder_was_swept_is_made_elsewhere(void **state)
{
        struct fixture *f = *state;
        struct oxl_journal *copy = NULL;
        struct oxl_sys sys = oxl_sys_real;
        oxl_journal_close(make(f));
        sys.openat = open_after_a_sweep;
        oxl_sys = &sys;
        taken_away = 0;
        assert_int_equal(oxl_journal_open_copy(&f->config, &copy, NULL), 0);
        oxl_sys = &oxl_sys_real;
        assert_int_equal(taken_away, 2);
        oxl_journal_close(copy);
        assert_int_equal(entries(f->temp), 0);
}

static void a_copy_waits_for_the_db_lock(void **state)
{
        struct fixture *f = *state;
        struct oxl_journal *copy = NULL;
        char locks[96];
        oxl_journal_close(make(f));
        snprintf(locks, sizeof locks, "%s/locks", f->dir);
        int fd = open(locks, O_RDWR | O_CLOEXEC);
        assert_int_equal(oxl_lock_set(fd, DB_BYTE, 1, OXL_LOCK_EXCLUSIVE, false, locks, NULL), 0);
        f->config.wait_ms = 0;
        assert_int_equal(oxl_journal_open_copy(&f->config, &copy, NULL), -OXL_E_LOCKED);
        assert_int_equal(entries(f->temp), 0);
        close(fd);
}

static unsigned reads_until_change;
static const char *changed_file;

/* A writer that takes no lock: changes the file while it is copied, a few times. */
static ssize_t changing_read(int fd, void *buf, size_t n)
{
        if (reads_until_change > 0) {
                reads_until_change--;
                struct timespec t[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = (time_t)reads_until_change + 1 } };
                utimensat(AT_FDCWD, changed_file, t, 0);
        }
        return oxl_sys_real.read(fd, buf, n);
}

static void a_torn_copy_is_made_again(void **state)
{
        struct fixture *f = *state;
        struct oxl_sys sys = oxl_sys_real;
        struct oxl_journal *j = make(f), *copy = NULL;
        stage(j, "{}", NULL);
        oxl_journal_close(j);
        int lock_fd = f->config.lock_fd;
        f->config.lock_fd = -1;
        sys.read = changing_read;
        changed_file = f->path;
        reads_until_change = 5;
        oxl_sys = &sys;
        assert_int_equal(oxl_journal_open_copy(&f->config, &copy, NULL), 0);
        assert_int_equal(reads_until_change, 0);
        assert_int_equal(count_open(copy), 1);
        oxl_journal_close(copy);
        reads_until_change = 1000000;
        assert_int_equal(oxl_journal_open_copy(&f->config, &copy, NULL), -OXL_E_LOCKED);
        oxl_sys = &oxl_sys_real;
        assert_int_equal(entries(f->temp), 0);
        f->config.lock_fd = lock_fd;
}

static int read_as_nobody(struct fixture *f)
{
        char locks[96];
        struct oxl_journal *j = NULL;
        int64_t id;
        size_t open_intents = 0;
        snprintf(locks, sizeof locks, "%s/locks", f->dir);
        if (setgid(65534) < 0 || setuid(65534) < 0)
                return 1;
        f->config.lock_fd = open(locks, O_RDONLY | O_CLOEXEC);
        if (f->config.lock_fd < 0)
                return 2;
        if (oxl_journal_open_copy(&f->config, &j, NULL) < 0)
                return 3;
        struct trace t = { 0 };
        if (oxl_journal_open_intents(j, trace_event, &t, NULL) < 0)
                return 4;
        open_intents = t.events;
        if (oxl_journal_stage(j, OWNER, "commit", "{}", NULL, &id, NULL) != -OXL_E_JOURNAL)
                return 5;
        oxl_journal_close(j);
        f->config.lock_fd = -1;
        if (oxl_journal_open(&f->config, &j, NULL) != -OXL_E_FILE_OPEN)
                return 6;
        return open_intents == 2 ? 0 : 7;
}

static void who_may_not_write_can_read_a_copy(void **state)
{
        struct fixture *f = *state;
        if (geteuid() != 0) {
                print_message("NOT TRIED: a reader who may not write: without root there is no other user to be\n");
                skip();
        }
        struct oxl_journal *j = make(f);
        stage(j, "{}", NULL);
        stage(j, "{}", NULL);
        oxl_journal_close(j);
        assert_int_equal(chmod(f->root, 0755), 0);
        assert_int_equal(chmod(f->temp, 01777), 0);
        assert_int_equal(chmod(f->dir, 0555), 0);
        int status = in_child(f, read_as_nobody);
        assert_int_equal(status, 0);
        assert_int_equal(entries(f->temp), 0);
}

static void null_is_fine(void **state)
{
        oxl_journal_close(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* --- what SQLite does not see ------------------------------------------------------------------------------------ */

/* Sound, by a private copy: all pages, and a -wal that ends where it should. */
static bool is_whole(struct fixture *f)
{
        struct oxl_journal *j = NULL;
        uint64_t end;
        if (oxl_journal_open_copy(&f->config, &j, NULL) < 0)
                return false;
        bool whole = oxl_journal_verify(j, NULL) == 0 && oxl_journal_tail_whole(j, &end);
        oxl_journal_close(j);
        return whole;
}

static void flip_bit(const char *path, uint64_t bit)
{
        int fd = open(path, O_RDWR | O_CLOEXEC);
        uint8_t byte;
        assert_true(fd >= 0);
        assert_int_equal(pread(fd, &byte, 1, (off_t)(bit / 8)), 1);
        byte ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(pwrite(fd, &byte, 1, (off_t)(bit / 8)), 1);
        close(fd);
}

/* Operations are in no chain, and most of a page is in no row. */
static void a_flipped_bit_in_a_row_without_chain_is_found(void **state)
{
        struct fixture *f = *state;
        struct oxl_journal *j = make(f);
        const struct oxl_operation op = { .verb = "add", .note = "the note to look for" };
        assert_int_equal(oxl_journal_operation(j, &op, true, NULL), 0);
        assert_int_equal(oxl_journal_checkpoint(j, 0, NULL), 0);
        oxl_journal_close(j);
        assert_true(is_whole(f));
        size_t n;
        unsigned char *bytes = read_checkpointed(f, &n);
        const unsigned char *note = memmem(bytes, n, op.note, strlen(op.note));
        assert_non_null(note);
        uint64_t row = (uint64_t)(note - bytes);
        for (uint64_t bit = 8 * (row & ~UINT64_C(4095)); bit<8 * ((row | 4095) + 1); bit += bit / 8> row ? 1 : 97) {
                flip_bit(f->path, bit);
                assert_false(is_whole(f));
                flip_bit(f->path, bit);
        }
        flip_bit(f->path, 8 * row);
        j = NULL;
        int r = oxl_journal_open(&f->config, &j, NULL); /* and nobody reads it as if nothing were wrong */
        if (r == 0)
                r = oxl_journal_operations(j, 0, ignore_operation, NULL, NULL);
        assert_int_equal(r, -OXL_E_JOURNAL_DAMAGED);
        oxl_journal_close(j);
        flip_bit(f->path, 8 * row);
        assert_true(is_whole(f));
        free(bytes);
}

static void every_flipped_bit_of_a_wal_is_found_and_opening_settles_it(void **state)
{
        struct fixture *f = *state;
        char wal[128];
        struct stat st;
        make_five(f);
        snprintf(wal, sizeof wal, "%s-wal", f->path);
        assert_int_equal(stat(wal, &st), 0);
        assert_true(is_whole(f));
        for (uint64_t bit = 0; bit < 8 * (uint64_t)st.st_size; bit += bit < 8 * 56 ? 1 : 1009) {
                flip_bit(wal, bit);
                assert_false(is_whole(f));
                flip_bit(wal, bit);
        }
        assert_true(is_whole(f));
        flip_bit(wal, 8 * (uint64_t)st.st_size - 1); /* the last transaction is lost */
        assert_false(is_whole(f));
        struct oxl_journal *j = must_open(f);
        assert_int_equal(count_events(j), 4);
        oxl_journal_close(j);
        assert_true(is_whole(f));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(an_intent_is_open_until_it_has_an_outcome),
                TEST(an_outcome_needs_its_intent),
                TEST(recovery_may_write_while_it_walks),
                TEST(operations_keep_all_their_fields),
                TEST(operations_come_newest_first),
                TEST(what_did_not_happen_leaves_the_operation_log),
                TEST(what_did_not_happen_and_kept_something_stays_for_those_who_ask),
                TEST(many_events_come_in_order),
                TEST(a_body_has_a_limit),
                TEST(an_intent_costs_one_sync),
                TEST(a_checkpoint_leaves_a_short_wal_and_the_next_intent_costs_one_sync),
                TEST(a_wal_without_frames_is_opened_with_a_directory_sync),
                TEST(a_failed_sync_poisons_the_journal),
                TEST(a_lazy_outcome_survives_the_death_of_its_process),
                TEST(two_processes_keep_one_chain),
                TEST(every_transaction_waits_for_the_db_lock),
                TEST(a_network_file_system_gets_no_wal),
                TEST(creating_twice_is_refused),
                TEST(a_newer_schema_is_refused),
                TEST(the_journal_of_another_repository_is_refused),
                TEST(every_changed_column_breaks_the_chain),
                TEST(deleted_and_swapped_rows_break_the_chain),
                TEST(lost_last_rows_are_not_found_by_the_chain),
                TEST(a_changed_schema_is_damage),
                TEST(no_trigger_of_a_stored_schema_runs),
                TEST(what_is_no_database_is_damage),
                TEST(an_empty_database_does_not_cost_the_wal),
                TEST(no_damage_changes_an_event_unseen),
                TEST(a_cut_database_is_damage),
                TEST(a_copy_sees_the_wal_and_leaves_nothing_behind),
                TEST(a_copy_removes_what_the_dead_left_and_nothing_else),
                TEST(a_copy_whose_folder_was_swept_is_made_elsewhere),
                TEST(a_copy_waits_for_the_db_lock),
                TEST(a_torn_copy_is_made_again),
                TEST(who_may_not_write_can_read_a_copy),
                TEST(a_flipped_bit_in_a_row_without_chain_is_found),
                TEST(every_flipped_bit_of_a_wal_is_found_and_opening_settles_it),
                TEST(null_is_fine),
        };
        oxl_digest_setup();
        return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
