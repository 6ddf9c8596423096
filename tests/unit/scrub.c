/* SPDX-License-Identifier: MIT */
/*
 * Scrubbing under a clock of its own: sleeping moves it, reading moves it by what a read is said to take; nothing waits.
 */
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

#include <oxenlite/scrub.h>

#include "base/cleanup.h"
#include "foreign/oxen.h"
#include "os/sys.h"
#include "support/place.h"

enum { FILES = 10, FILE_BYTES = 300000 };
#define SECOND INT64_C(1000000000)
#define DAY (86400 * SECOND)

/* --- the world ---------------------------------------------------------------------------------------------------- */

static struct {
        struct oxl_sys sys;
        int64_t now;     /* since 1970; the monotonic clock is the same */
        int64_t read_ns; /* what each read takes */
        char pressure[256];
        unsigned naps, reads;
        void (*at_nap)(void);
        void (*at_read)(void);
        char opened[8192]; /* paths of content that was opened */
        int eio;           /* reads of content that fail from now on */
} world;

static int fake_clock(clockid_t clock, struct timespec *ret)
{
        *ret = (struct timespec){ .tv_sec = world.now / SECOND, .tv_nsec = world.now % SECOND };
        return 0;
}

static int fake_sleep(const struct timespec *t, struct timespec *left)
{
        world.now += t->tv_sec * SECOND + t->tv_nsec;
        world.naps++;
        if (world.at_nap)
                world.at_nap();
        return 0;
}

static bool is_content(int fd)
{
        char link[64], path[512];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(link, path, sizeof path - 1);
        path[n > 0 ? n : 0] = 0;
        return strstr(path, "/versions/files/") || strstr(path, ".pack");
}

static bool note_read(int fd)
{
        if (!is_content(fd))
                return true;
        world.now += world.read_ns;
        world.reads++;
        if (world.at_read)
                world.at_read();
        if (world.eio > 0 && world.eio-- > 0) {
                errno = EIO;
                return false;
        }
        return true;
}

static ssize_t fake_pread(int fd, void *buf, size_t n, off_t at)
{
        return note_read(fd) ? pread(fd, buf, n, at) : -1;
}

static ssize_t fake_read(int fd, void *buf, size_t n)
{
        return note_read(fd) ? read(fd, buf, n) : -1;
}

static int fake_openat(int dirfd, const char *path, int flags, mode_t mode)
{
        if (strcmp(path, "/proc/pressure/io") == 0)
                path = world.pressure;
        return openat(dirfd, path, flags, mode);
}

static int fake_openat2(int dirfd, const char *path, int flags, mode_t mode, uint64_t resolve)
{
        size_t n = strlen(world.opened);
        if (strncmp(path, "versions/files/", 15) == 0 && strstr(path, "/data")) /* not its folders */
                snprintf(world.opened + n, sizeof world.opened - n, "%s\n", path);
        return oxl_sys_real.openat2(dirfd, path, flags, mode, resolve);
}

static void world_begin(const char *place)
{
        struct timespec t;
        memset(&world, 0, sizeof world);
        clock_gettime(CLOCK_REALTIME, &t);
        world.now = (int64_t)t.tv_sec * SECOND + SECOND;
        snprintf(world.pressure, sizeof world.pressure, "%s/pressure", place);
        world.sys = oxl_sys_real;
        world.sys.clock_gettime = fake_clock;
        world.sys.nanosleep = fake_sleep;
        world.sys.pread = fake_pread;
        world.sys.read = fake_read;
        world.sys.openat = fake_openat;
        world.sys.openat2 = fake_openat2;
        oxl_sys = &world.sys;
}

static void press(double percent)
{
        FILE *f = fopen(world.pressure, "w");
        fprintf(f, "some avg10=%.2f avg60=0.00 avg300=0.00 total=1\nfull avg10=99.00 avg60=0 avg300=0 total=1\n",
                percent);
        fclose(f);
}

/* --- the fixture -------------------------------------------------------------------------------------------------- */

struct fixture {
        char *place, *repo, *state;
        struct oxl_scrub_target target;
        struct oxl_scrub_contract contract;
        struct oxl_scrub_control *control;
        struct oxl_scrub_result result;
        struct oxl_error err;
        unsigned found, repaired;
        char slugs[4096];
        unsigned told[5]; /* progress by state */
        struct oxl_scrub_progress last;
        uint64_t rate_min_told;
};

static struct fixture *the; /* for what happens at naps and reads */

static int hear(void *ctx, const struct oxl_finding *finding, struct oxl_error *err)
{
        struct fixture *f = ctx;
        size_t n = strlen(f->slugs);
        f->found++;
        snprintf(f->slugs + n, sizeof f->slugs - n, "%s %s\n", oxl_problem_slug(finding->problem), finding->path);
        return 0;
}

static int hear_repair(void *ctx, const struct oxl_repair_item *item, struct oxl_error *err)
{
        struct fixture *f = ctx;
        f->repaired += item->verdict == OXL_REPAIR_HEALED;
        return 0;
}

static void hear_progress(void *ctx, const struct oxl_scrub_progress *p)
{
        struct fixture *f = ctx;
        f->told[p->state]++;
        f->last = *p;
        if (f->rate_min_told == 0 || p->rate < f->rate_min_told)
                f->rate_min_told = p->rate;
}

static struct oxl_scrub_callbacks callbacks_of(struct fixture *f)
{
        return (struct oxl_scrub_callbacks){ hear, hear_repair, hear_progress, f };
}

static int run(struct fixture *f)
{
        const struct oxl_scrub_callbacks callbacks = callbacks_of(f);
        const struct oxl_repo_options options = { .wait_ms = 5000 };
        f->found = 0;
        f->slugs[0] = 0;
        memset(f->told, 0, sizeof f->told);
        world.opened[0] = 0;
        int r = oxl_scrub_run(&f->target, &options, &f->contract, f->control, &callbacks, &f->result, &f->err);
        if (r < 0 && r != -(int)OXL_E_CANCELLED) {
                char text[512];
                oxl_error_text(&f->err, text, sizeof text);
                print_error("%s\n", text);
        }
        return r;
}

static void pass(struct fixture *f)
{
        assert_int_equal(run(f), 0);
        assert_true(f->result.complete);
}

static struct oxl_scrub_status status(struct fixture *f)
{
        struct oxl_scrub_status s;
        assert_int_equal(oxl_scrub_status(&f->target, NULL, f->contract.days, &s, &f->err), 0);
        return s;
}

/* In a process of its own: one that scrubs has the journal open. */
static void add_files(const char *repo, unsigned first, unsigned n)
{
        int ended;
        pid_t child = fork();
        if (child == 0) {
                static char bytes[FILE_BYTES];
                struct oxl_repo *r = NULL;
                oxl_sys = &oxl_sys_real;
                bool ok = oxl_repo_open(repo, NULL, &r, NULL) == 0;
                ok = ok && oxl_repo_config_set(r, "pack_threshold", "65536", NULL) == 0;
                for (unsigned k = first; ok && k < first + n; k++) {
                        char name[32];
                        const char *paths[] = { name };
                        for (size_t i = 0; i < sizeof bytes; i++)
                                bytes[i] = (char)((i * 2654435761U + k * 40503U) >> 13);
                        snprintf(name, sizeof name, "f%u", k);
                        place_write(repo, name, bytes, sizeof bytes);
                        ok = oxl_repo_add(r, paths, 1, &(struct oxl_add_options){ 0 }, &(struct oxl_add_result){ 0 },
                                          NULL) == 0;
                }
                struct oxl_commit_options c = { .message = "m", .author = "Ada <ada@example.org>" };
                ok = ok && oxl_repo_commit(r, &c, &(struct oxl_commit_result){ 0 }, NULL) == 0;
                oxl_repo_close(r);
                _exit(ok ? 0 : 1);
        }
        assert_int_equal(waitpid(child, &ended, 0), child);
        assert_int_equal(ended, 0);
}

static char *template; /* a place with a repository that the tests copy */

static int make_template(void **state)
{
        template = place_new();
        cleanup_free char *repo = place_path(template, "repo");
        if (oxl_repo_init(repo, OXL_ALGO_BLAKE3, NULL) < 0)
                return -1;
        add_files(repo, 0, FILES);
        return 0;
}

static int drop_template(void **state)
{
        place_free(template);
        return 0;
}

static int setup(void **state)
{
        char command[512];
        struct fixture *f = calloc(1, sizeof *f);
        f->place = place_new();
        f->repo = place_path(f->place, "repo");
        f->state = place_path(f->place, "state");
        snprintf(command, sizeof command, "cp -a %s/repo %s", template, f->place);
        assert_int_equal(system(command), 0);
        f->target = (struct oxl_scrub_target){ .path = f->repo };
        oxl_scrub_contract_default(&f->contract);
        f->contract.media = false;
        assert_int_equal(oxl_scrub_control_new(&f->control, &f->err), 0);
        world_begin(f->place);
        press(0);
        the = f;
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;
        oxl_sys = &oxl_sys_real;
        oxl_scrub_control_free(f->control);
        oxl_error_done(&f->err);
        place_free(f->place);
        free(f->repo);
        free(f->state);
        free(f);
        return 0;
}

/* Flips a bit in the middle of the first loose blob; its path. */
static char *flip(const char *dir)
{
        char command[512], path[512] = "", c;
        snprintf(command, sizeof command, "find %s -path '*/versions/files/*' -type f | sort | head -1", dir);
        FILE *p = popen(command, "r");
        assert_non_null(fgets(path, sizeof path, p));
        pclose(p);
        path[strcspn(path, "\n")] = 0;
        assert_int_equal(chmod(path, 0644), 0);
        int fd = open(path, O_RDWR);
        assert_int_equal(pread(fd, &c, 1, 1000), 1);
        c ^= 4;
        assert_int_equal(pwrite(fd, &c, 1, 1000), 1);
        close(fd);
        return strdup(path);
}

/* --- pace --------------------------------------------------------------------------------------------------------- */

static void the_cap_is_held_within_a_tenth(void **state)
{
        struct fixture *f = *state;
        f->contract.rate_min = UINT64_C(1) << 30;
        f->contract.rate_max = 100000;
        int64_t began = world.now;
        pass(f);
        double seconds = (double)(world.now - began) / 1e9, rate = (double)f->result.bytes / seconds;
        assert_true(f->result.bytes >= FILES * FILE_BYTES);
        assert_true(rate <= 100000 * 1.1 && rate >= 100000 * 0.9);
        assert_true(f->result.clean);
        assert_int_equal(f->last.rate, 100000);
        /* A limit from outside is in place of the contract's. */
        world.now += 20 * DAY;
        oxl_scrub_control_limit(f->control, 50000);
        began = world.now;
        pass(f);
        rate = (double)f->result.bytes / ((double)(world.now - began) / 1e9);
        assert_true(rate <= 50000 * 1.1 && rate >= 50000 * 0.9);
}

static void without_a_cap_the_pace_is_what_the_contract_needs(void **state)
{
        struct fixture *f = *state;
        f->contract.rate_min = 200000;
        int64_t began = world.now;
        pass(f);
        double rate = (double)f->result.bytes / ((double)(world.now - began) / 1e9);
        assert_true(rate <= 220000 && rate >= 180000);
        /* Overdue: within the hour. */
        f->contract.rate_min = 1;
        world.now += 40 * DAY;
        struct oxl_scrub_status s = status(f);
        assert_true(s.rate_needed >= s.bytes / 3600);
        began = world.now;
        pass(f);
        assert_in_range(world.now - began, 2000 * SECOND, 3600 * SECOND);
}

static void relax(void)
{
        if (world.now / SECOND % 1000 > 500) {
                press(0);
                world.at_nap = NULL;
        }
}

static void pressure_halves_the_pace_and_it_comes_back(void **state)
{
        struct fixture *f = *state;
        f->contract.rate_min = f->contract.rate_max = 100000;
        world.now =
                world.now / (1000 * SECOND) * 1000 * SECOND + 1000 * SECOND; /* until half of the next 1000 seconds */
        press(55.5);
        world.at_nap = relax;
        pass(f);
        assert_true(f->told[OXL_SCRUB_BACKING_OFF] > 100);
        assert_in_range(f->rate_min_told, 1, 100000 / 32);
        assert_int_equal(f->last.rate, 100000);
        assert_int_equal(f->last.state, OXL_SCRUB_READING);
        /* Below the contract's threshold nothing happens. */
        world.at_nap = NULL;
        world.now += 20 * DAY;
        press(9.9);
        pass(f);
        assert_int_equal(f->told[OXL_SCRUB_BACKING_OFF], 0);
}

/* The kernel counts our own waiting, too: alone on the machine, avg10 goes to 100 while we read at full speed. */
static void press_by_ourselves(void)
{
        static double avg10;
        avg10 = world.reads <= 1 ? 0 : avg10 + (100 - avg10) * 0.05;
        world.read_ns = SECOND / 2;
        press(avg10);
}

static void the_pressure_of_our_own_reads_is_no_reason(void **state)
{
        struct fixture *f = *state;
        f->contract.rate_min = UINT64_C(1) << 40;
        world.at_read = press_by_ourselves;
        pass(f);
        assert_true(world.reads > 20);
        assert_int_equal(f->told[OXL_SCRUB_BACKING_OFF], 0);
}

static void slow_down(void)
{
        world.read_ns = world.reads < 9 ? 100000 : 50000000;
}

static void our_own_slow_reads_are_a_reason_to_back_off(void **state)
{
        struct fixture *f = *state;
        f->contract.rate_min = f->contract.rate_max = 1000000;
        world.at_read = slow_down;
        for (unsigned i = 0; i < 3; i++) {
                world.now += 20 * DAY;
                pass(f);
        }
        assert_true(f->last.read_us_p50 > 20000 && f->last.read_us_p99 >= f->last.read_us_p50);
        world.reads = 0;
        f->contract.rate_max = 50000; /* long enough for a minute's statistics */
        world.now += 20 * DAY;
        pass(f);
        assert_true(f->told[OXL_SCRUB_BACKING_OFF] > 0);
}

static void outside_of_the_window_nothing_is_read(void **state)
{
        struct fixture *f = *state;
        setenv("TZ", "UTC0", 1);
        tzset();
        world.now = world.now / DAY * DAY + 21 * 3600 * SECOND + 50 * 60 * SECOND + 2 * DAY; /* 21:50 */
        f->contract.window_begin = 22 * 60;
        f->contract.window_end = 6 * 60;
        int64_t began = world.now;
        pass(f);
        assert_true(world.now - began >= 600 * SECOND);
        assert_true(f->told[OXL_SCRUB_WAITING] > 500);
        world.now = world.now / DAY * DAY + 20 * DAY + 5 * 3600 * SECOND; /* 05:00: within */
        began = world.now;
        pass(f);
        assert_true(world.now - began < 600 * SECOND);
        assert_int_equal(f->told[OXL_SCRUB_WAITING], 0);
        f->contract.window_end = f->contract.window_begin; /* always */
        world.now += 20 * DAY;
        pass(f);
        assert_int_equal(f->told[OXL_SCRUB_WAITING], 0);
}

/* --- steering ----------------------------------------------------------------------------------------------------- */

static unsigned reads_at_pause;

static void pause_and_resume(void)
{
        if (world.naps == 5) {
                oxl_scrub_control_pause(the->control, true);
                reads_at_pause = world.reads;
        }
        if (world.naps == 105) {
                assert_int_equal(world.reads, reads_at_pause);
                oxl_scrub_control_pause(the->control, false);
        }
}

static void a_paused_pass_keeps_its_place(void **state)
{
        struct fixture *f = *state;
        f->contract.rate_min = f->contract.rate_max = 100000;
        world.at_nap = pause_and_resume;
        pass(f);
        assert_true(f->told[OXL_SCRUB_PAUSED] > 5);
        assert_true(f->result.files >= FILES);
        assert_true(f->result.clean);
}

static void cancel_late(void)
{
        if (world.reads == 20)
                oxl_scrub_control_cancel(the->control);
}

static void a_cancelled_pass_keeps_what_it_verified_and_is_not_clean(void **state)
{
        struct fixture *f = *state;
        world.at_read = cancel_late;
        f->contract.rate_min = f->contract.rate_max = 100000;
        assert_int_equal(run(f), -OXL_E_CANCELLED);
        assert_false(f->result.complete || f->result.clean);
        struct oxl_scrub_status s = status(f);
        assert_in_range(s.verified_files, 1, s.files - 1);
        assert_int_equal(s.last_pass_ns, 0);
        assert_int_equal(s.last_clean_ns, 0);
        assert_int_equal(s.oldest_ns, 0);
        oxl_scrub_control_free(f->control);
        assert_int_equal(oxl_scrub_control_new(&f->control, NULL), 0);
        world.at_read = NULL;
        pass(f);
        assert_int_equal(f->result.files, s.files - s.verified_files);
        s = status(f);
        assert_int_equal(s.verified_files, s.files);
        assert_true(s.last_clean_ns > 0 && s.last_clean_ns == s.last_pass_ns);
}

static void the_callers_flag_cancels_too(void **state)
{
        struct fixture *f = *state;
        atomic_bool cancel = true;
        const struct oxl_repo_options options = { .cancel = &cancel };
        const struct oxl_scrub_callbacks callbacks = callbacks_of(f);
        assert_int_equal(oxl_scrub_run(&f->target, &options, &f->contract, NULL, &callbacks, &f->result, NULL),
                         -OXL_E_CANCELLED);
        assert_int_equal(world.reads, 0);
}

static int64_t killed_at;
static void kill_late(void)
{
        if (world.now > killed_at)
                raise(SIGKILL);
}

static void a_kill_loses_only_the_last_seconds(void **state)
{
        struct fixture *f = *state;
        int ended;
        f->contract.rate_min = f->contract.rate_max = 100000; /* three seconds a file */
        pid_t child = fork();
        if (child == 0) {
                killed_at = world.now + 20 * SECOND;
                world.at_read = kill_late;
                _exit(run(f) == 0 ? 1 : 2);
        }
        assert_int_equal(waitpid(child, &ended, 0), child);
        assert_true(WIFSIGNALED(ended));
        world.now += 30 * SECOND; /* the child's clock went on without ours */
        struct oxl_scrub_status s = status(f);
        print_message("%u of %u files were on record after the kill\n", (unsigned)s.verified_files, (unsigned)s.files);
        assert_true(s.verified_bytes >= 1000000); /* of 2,000,000: less five seconds' worth, and what was being read */
        assert_true(s.verified_files < s.files);
        pass(f);
        assert_int_equal(f->result.files, s.files - s.verified_files);
}

/* --- what is read ------------------------------------------------------------------------------------------------- */

static void nothing_is_due_after_a_pass_until_half_of_the_days_are_over(void **state)
{
        struct fixture *f = *state;
        struct oxl_scrub_status s = status(f);
        assert_int_equal(s.never_files, s.files);
        assert_int_equal(s.verified_files, 0);
        assert_true(s.met && s.files > FILES && s.bytes > FILES * FILE_BYTES);
        pass(f);
        assert_int_equal(f->result.files, s.files);
        s = status(f);
        assert_int_equal(s.verified_files, s.files);
        assert_int_equal(s.verified_bytes, s.bytes);
        assert_int_equal(s.never_files + s.overdue_files + s.damaged_files, 0);
        assert_int_equal(s.by_age[0], s.bytes);
        assert_true(s.rate_needed <= s.bytes / (29 * 86400) + 1);
        assert_true(s.due_ns > world.now + 29 * DAY);
        pass(f);
        assert_int_equal(f->result.files, 0);
        f->contract.all = true; /* somebody asks for everything */
        world.now += SECOND;
        pass(f);
        assert_int_equal(f->result.files, s.files);
        f->contract.all = false;
        world.now += 14 * DAY;
        pass(f);
        assert_int_equal(f->result.files, 0);
        world.now += 2 * DAY;
        s = status(f);
        assert_int_equal(s.by_age[4], s.bytes);
        pass(f);
        assert_int_equal(f->result.files, s.files);
        world.now += 31 * DAY;
        s = status(f);
        assert_false(s.met);
        assert_int_equal(s.overdue_files, s.files);
        assert_int_equal(s.by_age[7], s.bytes);
}

static char first_open[128], second_open[128];

/* The first two files of content that the run opened to read. */
static void take_opened(void)
{
        char *at = world.opened;
        sscanf(at, "%127s", first_open);
        for (at = strchr(at, '\n'); at && sscanf(at, "%127s", second_open) == 1; at = strchr(at + 1, '\n'))
                if (strcmp(second_open, first_open) != 0)
                        return;
}

static void never_verified_comes_first_then_the_oldest(void **state)
{
        struct fixture *f = *state;
        f->contract.rate_min = 100000;
        pass(f); /* one file after the other, seconds apart */
        char first_of_all[128];
        take_opened();
        snprintf(first_of_all, sizeof first_of_all, "%s", first_open);
        add_files(f->repo, FILES, 1);
        world.now += 20 * DAY;
        pass(f);
        take_opened();
        assert_string_not_equal(first_open, first_of_all);
        assert_string_equal(second_open, first_of_all);
        struct oxl_scrub_status s = status(f);
        assert_int_equal(s.verified_files, s.files);
}

static void add_meanwhile(void)
{
        if (world.naps == 5)
                add_files(the->repo, 77, 1);
}

static void a_file_that_comes_meanwhile_is_read(void **state)
{
        struct fixture *f = *state;
        f->contract.rate_min = f->contract.rate_max = 100000;
        world.at_nap = add_meanwhile;
        pass(f);
        struct oxl_scrub_status s = status(f);
        assert_int_equal(s.verified_files, s.files);
        assert_int_equal(f->result.files, s.files);
}

static void a_flipped_bit_is_found_in_the_next_pass_which_is_not_clean(void **state)
{
        struct fixture *f = *state;
        pass(f);
        struct oxl_scrub_status before = status(f);
        world.now += 16 * DAY;
        free(flip(f->repo));
        pass(f);
        assert_false(f->result.clean);
        assert_true(f->result.findings > 0 && f->found > 0);
        assert_non_null(strstr(f->slugs, "blob-damaged"));
        struct oxl_scrub_status s = status(f);
        assert_int_equal(s.damaged_files, 1);
        assert_int_equal(s.findings, f->result.findings);
        assert_int_equal(s.last_clean_ns, before.last_clean_ns);
        assert_true(s.last_pass_ns > before.last_pass_ns);
        pass(f); /* what is damaged is read by every pass, and told by each */
        assert_false(f->result.clean);
        assert_int_equal(f->result.files, 1);
}

static void what_cannot_be_read_is_not_clean(void **state)
{
        struct fixture *f = *state;
        world.eio = 1 << 30;
        pass(f);
        assert_true(f->result.unreadable > 0);
        assert_false(f->result.clean);
        world.eio = 0;
        struct oxl_scrub_status s = status(f);
        assert_int_equal(s.last_clean_ns, 0);
        assert_int_equal(s.damaged_files, 0);
        assert_int_equal(s.never_files, s.files);
        pass(f);
        assert_true(f->result.clean);
}

static void damage_is_repaired_when_the_contract_says_so(void **state)
{
        struct fixture *f = *state;
        free(flip(f->repo));
        f->contract.repair = true;
        pass(f);
        assert_true(f->result.repaired > 0 && f->repaired > 0); /* from the working tree */
        assert_int_equal(f->result.left, 0);
        assert_true(f->told[OXL_SCRUB_REPAIRING] > 0);
        assert_false(f->result.clean);
        pass(f);
        assert_true(f->result.clean);
        assert_int_equal(status(f).findings, 0);
}

static unsigned recorded_check(struct fixture *f, const struct oxl_repair_options *repair)
{
        const struct oxl_repo_options options = { .wait_ms = 5000 };
        const struct oxl_check_options record = { .record = true };
        const struct oxl_scrub_callbacks c = callbacks_of(f);
        struct oxl_check_result done;
        struct oxl_repair_result healed;
        if (!repair) {
                assert_int_equal(oxl_check_run(f->repo, &options, &record, c.finding, c.ctx, &done, NULL), 0);
                return (unsigned)done.findings;
        }
        assert_int_equal(oxl_repair_run(f->repo, &options, repair, c.finding, c.repaired, c.ctx, &healed, NULL), 0);
        return (unsigned)(healed.healed + healed.rebuilt);
}

static void what_a_repair_healed_is_settled_and_what_it_left_is_not(void **state)
{
        struct fixture *f = *state;
        const struct oxl_repair_options repair = { 0 };
        char hidden[512];
        free(flip(f->repo));
        assert_true(recorded_check(f, NULL) > 1);
        struct oxl_scrub_status s = status(f);
        assert_true(s.findings > 1 && s.damaged_files == 1 && s.last_pass_ns > 0 && s.last_clean_ns == 0);
        world.now += SECOND;
        assert_true(recorded_check(f, &repair) > 0); /* from the working tree */
        s = status(f);
        assert_int_equal(s.findings, 0);
        assert_int_equal(s.damaged_files, 0);
        assert_true(s.last_clean_ns > 0);
        snprintf(hidden, sizeof hidden, "find %s -maxdepth 1 -type f -delete", f->repo); /* no good copy any more */
        assert_int_equal(system(hidden), 0);
        free(flip(f->repo));
        assert_true(recorded_check(f, NULL) > 1);
        world.now += SECOND;
        assert_int_equal(recorded_check(f, &repair), 0);
        s = status(f);
        assert_true(s.findings > 1 && s.damaged_files == 1);
}

static void the_last_passes_are_on_record_newest_first(void **state)
{
        struct fixture *f = *state;
        world.at_read = cancel_late;
        f->contract.rate_min = f->contract.rate_max = 100000;
        assert_int_equal(run(f), -OXL_E_CANCELLED);
        oxl_scrub_control_free(f->control);
        assert_int_equal(oxl_scrub_control_new(&f->control, NULL), 0);
        world.at_read = NULL;
        struct oxl_pass last = status(f).passes[0];
        assert_true(last.end_ns > 0 && last.scrub && !last.whole && !last.clean);
        f->contract.all = true;
        world.now += SECOND;
        pass(f);
        struct oxl_scrub_status s = status(f);
        last = s.passes[0];
        assert_true(last.scrub && last.whole && last.clean && last.end_ns == s.last_pass_ns);
        assert_true(last.end_ns - last.begin_ns > 10 * SECOND); /* with the content, at its pace */
        assert_int_equal(last.files, f->result.files);
        assert_int_equal(last.bytes, f->result.bytes);
        assert_false(s.passes[1].whole);
        assert_int_equal(s.passes[2].end_ns, 0);
        free(flip(f->repo));
        world.now += SECOND;
        pass(f);
        last = status(f).passes[0];
        assert_true(last.whole && !last.clean);
        assert_int_equal(last.findings, f->result.findings);
        assert_int_equal(last.files, f->result.files);
        for (int i = 0; i < 110; i++) { /* more than are kept */
                world.now += SECOND;
                OXL_IGNORE(recorded_check(f, NULL), "damaged");
        }
        s = status(f);
        for (int i = 0; i < OXL_PASSES_SHOWN; i++)
                assert_true(!s.passes[i].scrub && s.passes[i].whole && s.passes[i].findings > 0 &&
                            (i == 0 || s.passes[i].end_ns < s.passes[i - 1].end_ns));
}

static void bad_contracts_are_refused(void **state)
{
        struct fixture *f = *state;
        f->contract.days = 0;
        assert_int_equal(run(f), -OXL_E_INVALID);
        f->contract.days = 3651;
        assert_int_equal(run(f), -OXL_E_INVALID);
        f->contract.days = 30;
        f->contract.window_end = 1441;
        assert_int_equal(run(f), -OXL_E_INVALID);
        assert_int_equal(world.reads, 0);
}

/* --- findings as recorded ----------------------------------------------------------------------------------------- */

static int note_recorded(void *ctx, const struct oxl_scrub_finding *r, struct oxl_error *err)
{
        struct fixture *f = ctx;
        size_t n = strlen(f->slugs);
        f->found++;
        snprintf(f->slugs + n, sizeof f->slugs - n, "%s %s\n", r->slug, r->path);
        assert_true(strlen(r->id) == 16 && r->first_ns > 0 && r->last_ns >= r->first_ns);
        return strcmp(r->slug, "stop") == 0;
}

static unsigned recorded(struct fixture *f)
{
        f->found = 0;
        f->slugs[0] = 0;
        assert_int_equal(oxl_scrub_findings(&f->target, NULL, note_recorded, f, &f->err), 0);
        return f->found;
}

static void recorded_findings_are_listed_by_name(void **state)
{
        struct fixture *f = *state;
        pass(f);
        assert_int_equal(recorded(f), 0);
        free(flip(f->repo));
        world.now += 16 * DAY;
        pass(f);
        assert_int_equal(recorded(f), status(f).findings);
        assert_true(f->found > 0);
        assert_non_null(strstr(f->slugs, f->target.oxen ? "oxen-blob-damaged versions/files" : "-damaged versions/"));
}

static int fake_mkdirat(int dirfd, const char *path, mode_t mode)
{
        if (strstr(path, "/oxen-lite-journal-")) {
                errno = EROFS;
                return -1;
        }
        return mkdirat(dirfd, path, mode);
}

static void a_journal_that_cannot_be_copied_is_an_error_and_not_an_empty_ledger(void **state)
{
        struct fixture *f = *state;
        struct oxl_scrub_status s;
        pass(f);
        world.sys.mkdirat = fake_mkdirat;
        assert_int_equal(oxl_scrub_status(&f->target, NULL, 30, &s, &f->err), -OXL_E_DIR_CREATE);
        assert_int_equal(f->err.os, EROFS);
        assert_int_equal(oxl_scrub_findings(&f->target, NULL, note_recorded, f, &f->err), -OXL_E_DIR_CREATE);
        world.sys.mkdirat = oxl_sys_real.mkdirat;
        assert_int_equal(status(f).verified_files, status(f).files);
}

/* It is what a pass is for: it must be able to begin. */
static void a_damaged_journal_says_that_nothing_was_verified(void **state)
{
        struct fixture *f = *state;
        char command[512];
        pass(f);
        snprintf(command, sizeof command, "cd %s && rm -f journal.db-wal journal.db-shm && printf nonsense >journal.db",
                 f->target.oxen ? "\"$0\"/state/*/ledger" : "\"$0\"/.oxen-lite");
        cleanup_free char *whole = NULL;
        assert_true(asprintf(&whole, "sh -c '%s' '%s'", command, f->target.oxen ? f->place : f->repo) > 0);
        assert_int_equal(system(whole), 0);
        assert_int_equal(status(f).verified_files, 0);
        assert_true(status(f).never_files > 0);
        assert_int_equal(recorded(f), 0);
}

/* --- Oxen --------------------------------------------------------------------------------------------------------- */

static void put_blob(const struct fixture *f, unsigned number)
{
        static char bytes[FILE_BYTES];
        char folder[OXL_OXEN_FOLDER_SIZE], name[256];
        for (size_t i = 0; i < sizeof bytes; i++)
                bytes[i] = (char)(i * 31 + number);
        struct oxl_digest id = oxl_digest_of(OXL_ALGO_XXH3_128, bytes, sizeof bytes);
        oxl_oxen_folder(&id, folder);
        snprintf(name, sizeof name, "mkdir -p %s/ox/.oxen/versions/files/%s", f->place, folder);
        assert_int_equal(system(name), 0);
        snprintf(name, sizeof name, "ox/.oxen/versions/files/%s/data", folder);
        place_write(f->place, name, bytes, sizeof bytes);
}

static int setup_oxen(void **state)
{
        setup(state);
        struct fixture *f = *state;
        oxl_digest_setup();
        place_mkdir(f->place, "ox");
        place_mkdir(f->place, "ox/.oxen");
        place_text(f->place, "ox/.oxen/config.toml", "");
        place_text(f->place, "ox/.oxen/HEAD", "main");
        for (unsigned i = 0; i < FILES; i++)
                put_blob(f, i);
        free(f->repo);
        f->repo = place_path(f->place, "ox");
        f->target = (struct oxl_scrub_target){ .path = f->repo, .oxen = true, .state = f->state };
        return 0;
}

static void an_oxen_store_is_scrubbed_and_nothing_is_written_there(void **state)
{
        struct fixture *f = *state;
        struct oxl_scrub_status s = status(f);
        assert_int_equal(s.files, FILES);
        assert_int_equal(s.never_files, FILES);
        assert_false(place_has(f->place, "state"));
        pass(f);
        assert_int_equal(f->result.files, FILES);
        assert_int_equal(f->result.bytes, FILES * FILE_BYTES);
        assert_true(f->result.clean);
        s = status(f);
        assert_int_equal(s.verified_files, FILES);
        assert_true(s.met && s.last_clean_ns > 0);
        assert_int_equal(place_count(f->place, "ox/.oxen"), 3);
        pass(f);
        assert_int_equal(f->result.files, 0);
        put_blob(f, FILES);
        pass(f);
        assert_int_equal(f->result.files, 1);
        world.now += 16 * DAY;
        free(flip(f->repo));
        pass(f);
        assert_int_equal(f->result.files, FILES + 1);
        assert_false(f->result.clean);
        assert_int_equal(f->result.findings, 1);
        assert_non_null(strstr(f->slugs, "oxen-blob-damaged"));
        struct oxl_scrub_status after = status(f);
        assert_int_equal(after.damaged_files, 1);
        assert_int_equal(after.findings, 1);
        assert_true(after.last_pass_ns > s.last_pass_ns && after.last_clean_ns < after.last_pass_ns);
}

static void an_oxen_pass_is_paced_and_goes_on_where_it_was_cancelled(void **state)
{
        struct fixture *f = *state;
        f->contract.rate_min = f->contract.rate_max = 100000;
        f->contract.rate_min = UINT64_C(1) << 30; /* over before the ledger would be written */
        f->contract.rate_max = 0;
        world.at_read = cancel_late;
        world.reads = 10;
        assert_int_equal(run(f), -OXL_E_CANCELLED);
        f->contract.rate_min = f->contract.rate_max = 100000;
        struct oxl_scrub_status s = status(f);
        assert_in_range(s.verified_files, 1, FILES - 1);
        assert_int_equal(s.last_pass_ns, 0);
        oxl_scrub_control_free(f->control);
        assert_int_equal(oxl_scrub_control_new(&f->control, NULL), 0);
        world.at_read = NULL;
        int64_t began = world.now;
        pass(f);
        assert_int_equal(f->result.files, FILES - s.verified_files);
        double rate = (double)f->result.bytes / ((double)(world.now - began) / 1e9);
        assert_true(rate >= 90000 && rate <= 115000); /* short: the last read is not waited for */
}

static void a_damaged_ledger_is_set_aside(void **state)
{
        struct fixture *f = *state;
        char command[512];
        pass(f);
        snprintf(command, sizeof command,
                 "cd %s/state/*/ledger && rm -f journal.db-wal journal.db-shm && printf nonsense >journal.db",
                 f->place);
        assert_int_equal(system(command), 0);
        pass(f);
        assert_int_equal(f->result.files, FILES);
        pass(f);
        assert_int_equal(f->result.files, 0);
}

static void an_oxen_blob_is_repaired_from_a_good_copy(void **state)
{
        struct fixture *f = *state;
        char command[512];
        cleanup_free char *from = place_path(f->place, "good");
        snprintf(command, sizeof command, "cp -r %s/ox/.oxen/versions/files %s", f->place, from);
        assert_int_equal(system(command), 0);
        free(flip(f->repo));
        f->contract.repair = true;
        f->contract.from = from;
        pass(f);
        assert_int_equal(f->result.repaired, 1);
        assert_int_equal(f->result.left, 0);
        struct oxl_scrub_status after = status(f);
        assert_int_equal(after.findings, 0);
        assert_int_equal(after.damaged_files, 0);
        assert_int_equal(after.never_files, 1); /* no pass has seen it good yet */
        pass(f);
        assert_true(f->result.clean);
        assert_int_equal(f->result.files, 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define O(name) cmocka_unit_test_setup_teardown(name, setup_oxen, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                T(the_cap_is_held_within_a_tenth),
                T(without_a_cap_the_pace_is_what_the_contract_needs),
                T(pressure_halves_the_pace_and_it_comes_back),
                T(the_pressure_of_our_own_reads_is_no_reason),
                T(our_own_slow_reads_are_a_reason_to_back_off),
                T(outside_of_the_window_nothing_is_read),
                T(a_paused_pass_keeps_its_place),
                T(a_cancelled_pass_keeps_what_it_verified_and_is_not_clean),
                T(the_callers_flag_cancels_too),
                T(a_kill_loses_only_the_last_seconds),
                T(nothing_is_due_after_a_pass_until_half_of_the_days_are_over),
                T(never_verified_comes_first_then_the_oldest),
                T(a_file_that_comes_meanwhile_is_read),
                T(a_flipped_bit_is_found_in_the_next_pass_which_is_not_clean),
                T(what_cannot_be_read_is_not_clean),
                T(damage_is_repaired_when_the_contract_says_so),
                T(what_a_repair_healed_is_settled_and_what_it_left_is_not),
                T(the_last_passes_are_on_record_newest_first),
                T(bad_contracts_are_refused),
                T(recorded_findings_are_listed_by_name),
                T(a_journal_that_cannot_be_copied_is_an_error_and_not_an_empty_ledger),
                T(a_damaged_journal_says_that_nothing_was_verified),
                O(recorded_findings_are_listed_by_name),
                O(a_journal_that_cannot_be_copied_is_an_error_and_not_an_empty_ledger),
                O(a_damaged_journal_says_that_nothing_was_verified),
                O(an_oxen_store_is_scrubbed_and_nothing_is_written_there),
                O(an_oxen_pass_is_paced_and_goes_on_where_it_was_cancelled),
                O(a_damaged_ledger_is_set_aside),
                O(an_oxen_blob_is_repaired_from_a_good_copy),
        };
        return cmocka_run_group_tests(tests, make_template, drop_template);
}
