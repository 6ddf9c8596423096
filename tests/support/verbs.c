/* SPDX-License-Identifier: MIT */
/* See verbs.h. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <oxenlite/check.h>
#include <oxenlite/gc.h>
#include <oxenlite/repair.h>
#include <oxenlite/verbs.h>

#include "base/cleanup.h"
#include "objects/objects.h"
#include "os/fdio.h"
#include "support/fault.h"
#include "support/verbs.h"

enum { TEXT_MAX = 512 };

/* Below this folder: `from` as each round finds it, `work` of the round, `tmp` for copies of the journal. */
static char root[64];

static void shell(const char *command)
{
        assert_int_equal(system(command), 0);
}

/* A memory disk where there is one: SQLite's syncs are real. */
int verbs_enter(void **state)
{
        snprintf(root, sizeof root, "%s/oxl-verbs-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
        if (!mkdtemp(root) || chdir(root) != 0 || mkdir("tmp", 0700) != 0)
                return -1;
        char tmp[96];
        snprintf(tmp, sizeof tmp, "%s/tmp", root);
        return setenv("TMPDIR", tmp, 1) == 0 ? setenv("OXEN_LITE_AUTHOR", "Ada <ada@example.org>", 1) : -1;
}

int verbs_leave(void **state)
{
        char command[160];
        snprintf(command, sizeof command, "chmod -R u+w %s && rm -rf %s", root, root);
        return chdir("/") == 0 && system(command) == 0 ? 0 : -1;
}

/* The round under way, printed when it ends badly. */
static char round_text[160];

int verbs_say_round(void **state)
{
        if (round_text[0])
                fprintf(stderr, "last round: %s\n", round_text);
        round_text[0] = 0;
        return 0;
}

void verbs_round(const char *format, ...)
{
        va_list args;
        va_start(args, format);
        vsnprintf(round_text, sizeof round_text, format, args);
        va_end(args);
}

/* --- verbs ---------------------------------------------------------------------------------------------------------- */

static int verb_add(struct oxl_repo *r, struct oxl_error *err)
{
        const char *path = "";
        struct oxl_add_result result;
        return oxl_repo_add(r, &path, 1, &(struct oxl_add_options){ .all = true }, &result, err);
}

static int commit_with(struct oxl_repo *r, bool all, struct oxl_error *err)
{
        struct oxl_commit_result result;
        return oxl_repo_commit(r, &(struct oxl_commit_options){ .message = "m", .all = all }, &result, err);
}

static int verb_commit(struct oxl_repo *r, struct oxl_error *err)
{
        return commit_with(r, false, err);
}

static int verb_commit_all(struct oxl_repo *r, struct oxl_error *err)
{
        return commit_with(r, true, err);
}

static int verb_restore(struct oxl_repo *r, struct oxl_error *err)
{
        const char *path = "";
        struct oxl_restore_result result;
        const struct oxl_restore_options options = { .source = "HEAD", .force = true };
        return oxl_repo_restore(r, &path, 1, &options, &result, err);
}

static int verb_config(struct oxl_repo *r, struct oxl_error *err)
{
        return oxl_repo_config_set(r, "user.name", "Ada", err);
}

static int verb_recover(struct oxl_repo *r, struct oxl_error *err)
{
        return oxl_repo_recover(r, NULL, err);
}

static int ignore_status(void *ctx, const struct oxl_status_item *item, struct oxl_error *err)
{
        return 0;
}

static int verb_status(struct oxl_repo *r, struct oxl_error *err)
{
        return oxl_repo_status(r, ignore_status, NULL, err);
}

static int ignore_commit(void *ctx, const struct oxl_commit_info *c, struct oxl_error *err)
{
        return 0;
}

static int verb_log(struct oxl_repo *r, struct oxl_error *err)
{
        return oxl_repo_log(r, "HEAD", 0, ignore_commit, NULL, err);
}

static int verb_switch(struct oxl_repo *r, struct oxl_error *err)
{
        struct oxl_switch_result result;
        return oxl_repo_switch(r, "other", &(struct oxl_switch_options){ 0 }, &result, err);
}

static int verb_switch_back(struct oxl_repo *r, struct oxl_error *err)
{
        struct oxl_switch_result result;
        return oxl_repo_switch(r, "main", &(struct oxl_switch_options){ 0 }, &result, err);
}

static int verb_branch_other(struct oxl_repo *r, struct oxl_error *err)
{
        struct oxl_switch_result result;
        return oxl_repo_switch(r, "other", &(struct oxl_switch_options){ .create = true }, &result, err);
}

static int verb_rm(struct oxl_repo *r, struct oxl_error *err)
{
        const char *path = "sub";
        struct oxl_rm_result result;
        return oxl_repo_rm(r, &path, 1, &(struct oxl_rm_options){ 0 }, &result, err);
}

static int keep_commit(void *ctx, const struct oxl_operation_info *op, struct oxl_error *err)
{
        int64_t *id = ctx;
        if (strcmp(op->verb, "commit") == 0)
                *id = op->id;
        return *id != 0;
}

/* The newest commit: to undo that twice is refused, where "the newest operation" would be done again. */
static int verb_undo(struct oxl_repo *r, struct oxl_error *err)
{
        int64_t id = 0;
        struct oxl_undo_result result;
        int k = oxl_repo_operations(r, 0, keep_commit, &id, err);
        return k < 0 ? k : oxl_repo_undo(r, id, NULL, &result, err);
}

static int ignore_item(void *ctx, const struct oxl_gc_item *item, struct oxl_error *err)
{
        return 0;
}

static int verb_gc(struct oxl_repo *r, struct oxl_error *err)
{
        struct oxl_gc_result result;
        return oxl_gc_run(r, &(struct oxl_gc_options){ 0 }, ignore_item, NULL, &result, err);
}

static int verb_keep_nothing(struct oxl_repo *r, struct oxl_error *err)
{
        return oxl_repo_config_set(r, "gc.keep_days", "0", err);
}

static int verb_unstage(struct oxl_repo *r, struct oxl_error *err)
{
        const char *path = "";
        uint64_t files;
        return oxl_repo_restore_staged(r, &path, 1, NULL, &files, err);
}

/* --- those that open nothing, or more than one repository ------------------------------------------------------------ */

static int init(struct oxl_error *err)
{
        return oxl_repo_init("work", OXL_ALGO_BLAKE3, err);
}

/* The same with a repository of its own; what is not readable is said, never called damage. */
static int damage(void *ctx, const struct oxl_finding *f, struct oxl_error *err)
{
        if (oxl_problem_severity(f->problem) == OXL_SEVERITY_NOTE || f->problem == OXL_P_UNREADABLE)
                return 0;
        print_error("fsck: %s %s %s\n", oxl_problem_slug(f->problem), f->path, f->detail);
        (*(unsigned *)ctx)++;
        return 0;
}

static int check_with(struct oxl_check_result *ret, struct oxl_error *err)
{
        unsigned damaged = 0;
        const struct oxl_repo_options repo = { 0 };
        const struct oxl_check_options options = { .jobs = 1 };
        int r = oxl_check_run("work", &repo, &options, damage, &damaged, ret, err);
        return damaged > 0 ? 1 : r;
}

static int fsck(struct oxl_error *err)
{
        struct oxl_check_result result;
        return check_with(&result, err);
}

static int repair(struct oxl_error *err)
{
        struct oxl_repair_result result;
        const struct oxl_repo_options repo = { 0 };
        const struct oxl_repair_options options = { .force = true };
        return oxl_repair_run("work", &repo, &options, NULL, NULL, NULL, &result, err);
}

/* --- what each begins with ------------------------------------------------------------------------------------------ */

static void good(int (*verb)(struct oxl_repo *r, struct oxl_error *err))
{
        struct oxl_repo *r;
        struct oxl_error err = OXL_ERROR_INIT;
        char text[TEXT_MAX] = "";
        int k = oxl_repo_open("work", NULL, &r, &err);
        if (k == 0) {
                k = verb(r, &err);
                oxl_repo_close(r);
        }
        if (k < 0)
                (void)oxl_error_text(&err, text, sizeof text);
        assert_string_equal(text, "");
        oxl_error_done(&err);
}

static void from_nothing(void)
{
        shell("mkdir work");
}

static void from_files(void)
{
        shell("mkdir -p work/sub && cd work && echo a >sub/a && echo b >b && : >empty && head -c 30000 /dev/zero >large &&"
              "echo x >tool && chmod +x tool && ln -s sub/a link");
        assert_int_equal(oxl_repo_init("work", OXL_ALGO_BLAKE3, NULL), 0);
}

static void from_added(void)
{
        from_files();
        good(verb_add);
}

static void from_changed(void)
{
        from_added();
        good(verb_commit);
        shell("cd work && echo changed >b && echo y >>large && rm -r sub");
}

/* On main, beside "other" with other files. */
static void from_branches(void)
{
        from_added();
        good(verb_commit);
        good(verb_branch_other);
        shell("cd work && echo changed >b && echo y >>large && rm -r sub");
        good(verb_commit_all);
        good(verb_switch_back);
}

static void from_committed(void)
{
        from_added();
        good(verb_commit);
}

static void from_two_commits(void)
{
        from_changed();
        good(verb_commit_all);
}

/* A pack of blobs that nobody names any more. */
static void from_garbage(void)
{
        from_changed();
        good(verb_keep_nothing);
        good(verb_add);
        good(verb_unstage);
}

static unsigned renames_left;

static int rename_or_die(int fromfd, const char *from, int tofd, const char *to, unsigned flags)
{
        if (renames_left-- == 0)
                (void)raise(SIGKILL);
        return oxl_sys_real.renameat2(fromfd, from, tofd, to, flags);
}

/* commit -a by a process that is killed before its rename number @n, from 0. */
static void kill_commit(unsigned n)
{
        static struct oxl_sys table;
        int status;
        from_changed();
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                struct oxl_repo *r;
                table = oxl_sys_real;
                table.renameat2 = rename_or_die;
                renames_left = n;
                oxl_sys = &table;
                if (oxl_repo_open("work", NULL, &r, NULL) == 0)
                        (void)!verb_commit_all(r, NULL);
                _exit(1);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void from_killed_early(void)
{
        kill_commit(0);
}

static void from_killed_late(void)
{
        kill_commit(2);
}

/* A pack whose middle is damaged (its blobs are in the working tree, its trees in the other copy), and the index. */
static void from_damaged(void)
{
        from_added();
        good(verb_commit);
        shell("cd work/.oxen-lite && for f in versions/packs/*.pack index; do n=$(stat -c %s $f); chmod u+w $f;"
              "printf '\\377' | dd of=$f bs=1 seek=$((n / 3)) conv=notrunc status=none; done");
}

/* --- what must be true ---------------------------------------------------------------------------------------------- */

/* Text form of HEAD's commit; "" without one, or without a repository. */
static void read_head(char ret[OXL_DIGEST_TEXT_MAX])
{
        struct oxl_repo *r;
        struct oxl_head head = { 0 };
        ret[0] = 0;
        if (access("work/.oxen-lite", F_OK) < 0)
                return;
        assert_int_equal(oxl_repo_open("work", NULL, &r, NULL), 0);
        assert_int_equal(oxl_repo_head(r, &head, NULL), 0);
        if (head.commit.algo != OXL_ALGO_NONE)
                oxl_digest_text(&head.commit, ret);
        oxl_head_done(&head);
        oxl_repo_close(r);
}

static bool is_repository(void)
{
        return access("work/.oxen-lite/format", F_OK) == 0;
}

static bool committed(void)
{
        char id[OXL_DIGEST_TEXT_MAX];
        read_head(id);
        return id[0] != 0;
}

static int keep_bytes(void *ctx, const void *bytes, size_t n, struct oxl_error *err)
{
        char *to = ctx;
        size_t at = strlen(to);
        assert_true(at + n < 16);
        memcpy(to + at, bytes, n);
        to[at + n] = 0;
        return 0;
}

static bool committed_change(void)
{
        struct oxl_repo *r;
        char got[16] = "";
        assert_int_equal(oxl_repo_open("work", NULL, &r, NULL), 0);
        assert_int_equal(oxl_repo_cat(r, "HEAD", "b", keep_bytes, got, NULL), 0);
        oxl_repo_close(r);
        assert_true(strcmp(got, "b\n") == 0 || strcmp(got, "changed\n") == 0);
        return strcmp(got, "changed\n") == 0;
}

static int count_staged(void *ctx, const struct oxl_status_item *item, struct oxl_error *err)
{
        *(unsigned *)ctx += item->change == OXL_STAGED_ADDED;
        return 0;
}

/* All six, or none. */
static bool added(void)
{
        struct oxl_repo *r;
        unsigned n = 0;
        assert_int_equal(oxl_repo_open("work", NULL, &r, NULL), 0);
        assert_int_equal(oxl_repo_status(r, count_staged, &n, NULL), 0);
        oxl_repo_close(r);
        assert_true(n == 0 || n == 6);
        return n == 6;
}

static bool file_is(const char *path, const char *wanted)
{
        char got[16] = "";
        FILE *f = fopen(path, "r");
        size_t n = f ? fread(got, 1, sizeof got - 1, f) : 0;
        if (f)
                fclose(f);
        return n == strlen(wanted) && strcmp(got, wanted) == 0;
}

/* A replaced file was stored before. */
static bool restored(void)
{
        struct oxl_repo *r;
        struct oxl_objects *o;
        struct oxl_digest id;
        struct oxl_buf bytes = OXL_BUF_INIT;
        bool is_new = file_is("work/b", "b\n");
        assert_true(is_new || file_is("work/b", "changed\n"));
        if (is_new) {
                assert_int_equal(oxl_repo_open("work", NULL, &r, NULL), 0);
                assert_int_equal(oxl_repo_objects(r, &o, NULL), 0);
                id = oxl_objects_digest(o, OXL_KIND_BLOB, "changed\n", 8);
                assert_int_equal(oxl_objects_read(o, OXL_KIND_BLOB, &id, 100, &bytes, NULL), 0);
                oxl_buf_done(&bytes);
                oxl_repo_close(r);
        }
        return is_new && file_is("work/sub/a", "a\n") && access("work/large", F_OK) == 0;
}

static bool configured(void)
{
        struct oxl_repo *r;
        cleanup_free char *value = NULL;
        assert_int_equal(oxl_repo_open("work", NULL, &r, NULL), 0);
        assert_int_equal(oxl_repo_config_state(r), OXL_CONFIG_SOUND);
        assert_int_equal(oxl_repo_config_get(r, "user.name", &value, NULL), 0);
        oxl_repo_close(r);
        assert_true(!value || strcmp(value, "Ada") == 0);
        return value != NULL;
}

static bool switched(void)
{
        bool head = committed_change();
        assert_true(file_is("work/b", "changed\n") || file_is("work/b", "b\n"));
        assert_true(!head || (file_is("work/b", "changed\n") && access("work/sub/a", F_OK) < 0));
        return head;
}

static bool not_switched(void)
{
        return !committed_change() && file_is("work/b", "b\n") && file_is("work/sub/a", "a\n");
}

/* Not of the folder: one that cannot be removed stays, empty. */
static bool removed(void)
{
        return access("work/sub/a", F_OK) < 0;
}

static bool not_removed(void)
{
        return file_is("work/sub/a", "a\n");
}

static bool undone(void)
{
        return !committed_change();
}

static bool collected(void)
{
        unsigned n = 0;
        DIR *dir = opendir("work/.oxen-lite/trash");
        for (struct dirent *e; dir && (e = readdir(dir));)
                n += e->d_name[0] != '.';
        if (dir)
                closedir(dir);
        return n > 0;
}

static bool anything(void)
{
        return true;
}

const struct subject verbs_subjects[VERBS_SUBJECTS] = {
        [VERBS_INIT] = { .name = "init",
                         .from = from_nothing,
                         .whole = init,
                         .done = is_repository,
                         .again = OXL_E_REPO_EXISTS },
        [VERBS_ADD] = { .name = "add", .from = from_files, .verb = verb_add, .done = added },
        [VERBS_COMMIT_FIRST] = { .name = "commit, first",
                                 .from = from_added,
                                 .verb = verb_commit,
                                 .done = committed,
                                 .moves_head = true,
                                 .again = OXL_E_NOTHING },
        [VERBS_COMMIT_ALL] = { .name = "commit -a",
                               .from = from_changed,
                               .verb = verb_commit_all,
                               .done = committed_change,
                               .moves_head = true,
                               .again = OXL_E_NOTHING },
        [VERBS_RESTORE] = { .name = "restore", .from = from_changed, .verb = verb_restore, .done = restored },
        [VERBS_CONFIG] = { .name = "config", .from = from_files, .verb = verb_config, .done = configured },
        [VERBS_RECOVER_EARLY] = { .name = "recover, nothing named",
                                  .from = from_killed_early,
                                  .verb = verb_recover,
                                  .done = committed_change,
                                  .moves_head = true },
        [VERBS_RECOVER_LATE] = { .name = "recover, old ref",
                                 .from = from_killed_late,
                                 .verb = verb_recover,
                                 .done = committed_change,
                                 .moves_head = true },
        [VERBS_STATUS] = { .name = "status", .from = from_changed, .verb = verb_status, .done = anything },
        [VERBS_LOG] = { .name = "log", .from = from_changed, .verb = verb_log, .done = anything },
        [VERBS_FSCK] = { .name = "fsck", .from = from_changed, .whole = fsck, .done = anything },
        [VERBS_REPAIR] = { .name = "fsck --repair", .from = from_damaged, .whole = repair, .done = anything },
        [VERBS_SWITCH] = { .name = "switch",
                           .from = from_branches,
                           .verb = verb_switch,
                           .done = switched,
                           .untouched = not_switched,
                           .moves_head = true },
        [VERBS_RM] = { .name = "rm",
                       .from = from_committed,
                       .verb = verb_rm,
                       .done = removed,
                       .untouched = not_removed,
                       .again = OXL_E_PATH_NOT_FOUND },
        [VERBS_UNDO] = { .name = "undo",
                         .from = from_two_commits,
                         .verb = verb_undo,
                         .done = undone,
                         .moves_head = true,
                         .again = OXL_E_UNDO_REFUSED },
        [VERBS_GC] = { .name = "gc", .from = from_garbage, .verb = verb_gc, .done = collected },
};

/* --- one round ------------------------------------------------------------------------------------------------------ */

/* From opening to closing while the faults are on; @retry: then again with the same object, without them. *ret_retried: that
 * worked. */
static int run(const struct subject *s, const struct verbs_faults *f, bool retry, bool *ret_fired, bool *ret_retried,
               struct oxl_error *err)
{
        struct oxl_repo *r = NULL;
        int k;
        *ret_retried = false;
        f->begin(f->plan);
        if (s->whole) {
                k = s->whole(err);
                *ret_fired = f->end();
                return k;
        }
        k = oxl_repo_open("work", NULL, &r, err);
        if (k == 0)
                k = s->verb(r, err);
        if (!retry) {
                oxl_repo_close(r);
                *ret_fired = f->end();
                return k;
        }
        *ret_fired = f->end();
        *ret_retried = r && s->verb(r, NULL) == 0;
        oxl_repo_close(r);
        return k;
}

static void no_faults(const void *plan)
{
}

static bool nothing_fired(void)
{
        return false;
}

static const struct verbs_faults none = { no_faults, nothing_fired, NULL };

/* A failure, complete: its code, text and next step; what failed to be read is not damaged. */
static void check_error(const struct subject *s, int k, const struct oxl_error *err)
{
        char text[TEXT_MAX];
        assert_true(k < 0);
        assert_int_equal(-k, err->code);
        assert_true(oxl_error_text(err, text, sizeof text) > 0);
        assert_true(oxl_error_next(err->code)[0]);
        assert_null(strstr(text, "(null)"));
        if (oxl_error_exit(err->code) != 1)
                print_error("%s: %s\n", s->name, text);
        assert_int_equal(oxl_error_exit(err->code), 1);
}

static unsigned temps_in(int at, const char *name, char *ret_name)
{
        unsigned n = 0;
        int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        DIR *dir = fd < 0 ? NULL : fdopendir(fd);
        for (struct dirent *e; dir && (e = readdir(dir));) {
                if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
                        continue;
                if (oxl_temp_name_is_ours(e->d_name, NULL)) {
                        n++;
                        snprintf(ret_name, 256, "%s", e->d_name);
                }
                if (e->d_type == DT_DIR)
                        n += temps_in(dirfd(dir), e->d_name, ret_name);
        }
        if (dir)
                closedir(dir);
        return n;
}

static void assert_sound(void)
{
        struct oxl_check_result result;
        struct oxl_error err = OXL_ERROR_INIT;
        assert_int_equal(check_with(&result, &err), 0);
        assert_int_equal(result.findings, 0);
        assert_int_equal(result.unreadable, 0);
        assert_false(result.pending);
        oxl_error_done(&err);
}

/* The verb without faults, where its effect is there already (@done) or not. */
static void again(const struct subject *s, bool done)
{
        bool fired, retried;
        struct oxl_error err = OXL_ERROR_INIT;
        int k = run(s, &none, false, &fired, &retried, &err);
        if (k != 0)
                assert_int_equal(err.code, done ? s->again : 0);
        assert_true(s->done());
        oxl_error_done(&err);
}

static void new_round(void)
{
        shell("if [ -d work ]; then chmod -R u+w work && rm -rf work; fi && cp -a from work && rm -rf tmp/*");
}

bool verbs_one_round(const struct subject *s, const struct verbs_faults *faults, bool must_work, bool retry)
{
        char old[OXL_DIGEST_TEXT_MAX], now[OXL_DIGEST_TEXT_MAX], left[256] = "";
        struct oxl_error err = OXL_ERROR_INIT;
        bool fired, retried;
        new_round();
        read_head(old);
        unsigned fds = fault_open_descriptors();
        int k = run(s, faults, s->verb && retry, &fired, &retried, &err);
        assert_int_equal(fault_open_descriptors(), fds);
        if (must_work)
                assert_int_equal(k, 0);
        if (k != 0)
                check_error(s, k, &err);
        read_head(now);
        bool decided = err.code != OXL_E_OUTCOME_UNKNOWN && err.code != OXL_E_DIR_SYNC;
        if (k < 0 && !retried && decided && s->moves_head && s->verb != verb_recover)
                assert_string_equal(now, old);
        if (k < 0 && !retried && decided && s->untouched)
                assert_true(s->untouched());
        bool acknowledged = (k == 0 && s->verb != verb_recover) || (retried && s->verb != verb_recover);
        if (acknowledged)
                assert_true(s->done());
        if (is_repository())
                good(verb_recover);
        else
                assert_ptr_equal(s->done, is_repository);
        bool done = s->done();
        assert_true(done || !acknowledged);
        if (s->untouched && !retried)
                assert_true(k < 0 && decided ? s->untouched() : done);
        if (k < 0 && !retried && decided && s->moves_head && s->verb != verb_recover)
                assert_false(done);
        again(s, done);
        good(verb_recover);
        assert_int_equal(temps_in(AT_FDCWD, "work", left), 0);
        assert_sound();
        oxl_error_done(&err);
        return fired;
}

void verbs_prepare(const struct subject *s)
{
        shell("if [ -d from ]; then chmod -R u+w from work && rm -rf from work; fi");
        s->from();
        shell("mv work from");
}

void verbs_count(const struct subject *s, const struct verbs_faults *faults)
{
        struct oxl_error err = OXL_ERROR_INIT;
        bool fired, retried;
        new_round();
        assert_int_equal(run(s, faults, false, &fired, &retried, &err), 0);
        oxl_error_done(&err);
}

bool verbs_deep(void)
{
        const char *is = getenv("OXL_DEEP");
        return is && strcmp(is, "1") == 0;
}
