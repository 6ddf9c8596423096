/* SPDX-License-Identifier: MIT */
/*
 * Locks of a repository, and who lives. See owner.h.
 *
 * owners/<id> is written after the owner's byte is locked and before the first temp: a file whose byte is free
 * belongs to the dead. It is never synced, so after a power cut it may be empty; then the kernel alone decides, as
 * if it were absent. A full disk must not stop recovery, hence ENOSPC leaves an owner without a file.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fail.h"
#include "base/hex.h"
#include "durable/durable.h"
#include "durable/mutant.h"
#include "os/fdio.h"
#include "os/lock.h"
#include "repo/owner.h"

#define LOCKS_NAME ".oxen-lite/locks"
#define OWNER_PATH_BYTES (sizeof "owners/" + 16)

enum {
        NUMBER_TRIES = 8,
        RANGES = 3,
        BACKOFF_MIN_MS = 1,
        BACKOFF_MAX_MS = 100,
        OWNER_FILE_MAX = 4096,
        COMMAND_BYTES_MAX = 200,
        WORD_BYTES_MAX = 128,
        LIVING_BYTES = 768,
};

static const char *const range_names[RANGES] = { "writer", "gc", "db" };

struct oxl_owner {
        int root_fd; /* borrowed */
        int fd;      /* `locks` */
        int file_fd; /* owners/<id>; -1 when there is no file */
        uint64_t number;
        size_t file_len; /* bytes of owners/<id> before its "holds" lines */
        dev_t dev;       /* of owners/<id> */
        ino_t ino;
        bool held[RANGES];
        bool stays; /* the file, after us */
};

static void owner_path(uint64_t number, char ret[OWNER_PATH_BYTES])
{
        snprintf(ret, OWNER_PATH_BYTES, "owners/%016llx", (unsigned long long)number);
}

/* Can it be an owner's? 0 stands for none; the byte of the last one would end at the end of all offsets. */
static bool is_number(uint64_t k)
{
        return k > 0 && k < OXL_LOCK_OWNER_BASE - 1;
}

/* --- what owners/<id> says -------------------------------------------------------------------------------- */

/* First word of a small file of the system, or "-": people and verdicts can live without it. */
static void read_word(const char *path, char ret[WORD_BYTES_MAX])
{
        size_t n = 0;
        cleanup_fd int fd = oxl_fd_open(AT_FDCWD, path, O_RDONLY | O_NOCTTY | O_NONBLOCK, 0);
        if (fd >= 0) {
                ssize_t got = oxl_fd_read_full(fd, ret, WORD_BYTES_MAX - 1);
                n = got > 0 ? (size_t)got : 0;
        }
        ret[n] = 0;
        ret[strcspn(ret, " \t\r\n")] = 0;
        if (!*ret)
                memcpy(ret, "-", 2);
}

/* The value of line "<key> <value>" in @text, "" when absent or cut off. */
static void line_value(const char *text, const char *key, char *ret, size_t size)
{
        size_t n = strlen(key);
        ret[0] = 0;
        for (const char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
                if (strncmp(line, key, n) != 0 || line[n] != ' ')
                        continue;
                snprintf(ret, size, "%.*s", (int)(end - line - (ptrdiff_t)n - 1), line + n + 1);
                return;
        }
}

/* 0 read, 1 absent, -1 unreadable or no regular file. */
static int read_owner_file(int root_fd, uint64_t number, char ret[OWNER_FILE_MAX])
{
        char path[OWNER_PATH_BYTES];
        struct stat st;
        owner_path(number, path);
        cleanup_fd int fd = oxl_open_beneath(root_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
        if (fd < 0)
                return errno == ENOENT ? 1 : -1;
        if (oxl_fd_stat(fd, &st) < 0 || !S_ISREG(st.st_mode))
                return -1;
        ssize_t n = oxl_fd_pread_full(fd, ret, OWNER_FILE_MAX - 1, 0);
        if (n < 0)
                return -1;
        ret[n] = 0;
        return 0;
}

static void copy_printable(const char *from, char ret[COMMAND_BYTES_MAX])
{
        size_t i = 0;
        for (; i < COMMAND_BYTES_MAX - 1 && from[i]; i++)
                ret[i] = (unsigned char)from[i] < 0x20 || from[i] == 0x7f ? '?' : from[i];
        ret[i] = 0;
}

static int owner_text(const char *command, struct oxl_buf *ret, struct oxl_error *err)
{
        char boot[WORD_BYTES_MAX], machine[WORD_BYTES_MAX], shown[COMMAND_BYTES_MAX];
        struct timespec now = { 0 };
        struct tm tm;
        read_word("/proc/sys/kernel/random/boot_id", boot);
        read_word("/etc/machine-id", machine);
        copy_printable(command && *command ? command : "-", shown);
        OXL_IGNORE(oxl_sys->clock_gettime(CLOCK_REALTIME, &now), "the time is for people only");
        if (!gmtime_r(&now.tv_sec, &tm))
                memset(&tm, 0, sizeof tm);
        return oxl_buf_append_fmt(ret, err,
                                  "pid %ld\nboot %s\nmachine %s\ncommand %s\nsince %04d-%02d-%02dT%02d:%02d:%02dZ\n",
                                  (long)getpid(), boot, machine, shown, tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
                                  tm.tm_hour, tm.tm_min, tm.tm_sec);
}

/* Does the file's text name this machine? Without both machine ids the boot decides. */
static bool same_machine(const char *text)
{
        char theirs[WORD_BYTES_MAX], ours[WORD_BYTES_MAX];
        line_value(text, "machine", theirs, sizeof theirs);
        if (!*theirs)
                return true; /* torn by a power cut: it says nothing */
        read_word("/etc/machine-id", ours);
        if (strcmp(theirs, "-") != 0 && strcmp(ours, "-") != 0)
                return strcmp(theirs, ours) == 0;
        line_value(text, "boot", theirs, sizeof theirs);
        read_word("/proc/sys/kernel/random/boot_id", ours);
        return strcmp(theirs, ours) == 0;
}

/* Unlinks owners/<id> while it is the inode given: through lib/durable, though its durability does not matter. */
static bool remove_owner_file(int root_fd, uint64_t number, dev_t dev, ino_t ino)
{
        char path[OWNER_PATH_BYTES];
        struct oxl_durable *d;
        owner_path(number, path);
        if (oxl_durable_new(root_fd, ".oxen-lite", number, &d, NULL) < 0)
                return false;
        int r = oxl_durable_unlink(d, path, dev, ino, NULL);
        oxl_durable_free(d);
        return r == 0;
}

/* --- new and free ------------------------------------------------------------------------------------------- */

static int open_locks(int root_fd, int flags, struct oxl_error *err)
{
        struct stat st;
        cleanup_fd int fd = oxl_open_beneath(root_fd, "locks", flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
        if (fd < 0 || oxl_fd_stat(fd, &st) < 0)
                return OXL_FAIL_OS(err, FILE_OPEN, LOCKS_NAME);
        if (!S_ISREG(st.st_mode)) {
                errno = EINVAL;
                return OXL_FAIL_OS(err, FILE_OPEN, LOCKS_NAME);
        }
        return take_fd(&fd);
}

/* Is the locked descriptor still the file that others will open? Two files would be two sets of locks. */
static int check_name(const struct oxl_owner *o, struct oxl_error *err)
{
        struct stat mine, named;
        if (oxl_fd_stat(o->fd, &mine) < 0 || oxl_fd_stat_at(o->root_fd, "locks", &named) < 0)
                return OXL_FAIL_OS(err, FILE_LOCK, LOCKS_NAME);
        if (mine.st_dev != named.st_dev || mine.st_ino != named.st_ino) {
                errno = ESTALE;
                return OXL_FAIL_OS(err, FILE_LOCK, LOCKS_NAME);
        }
        return 0;
}

/* Draws numbers until the byte of one is ours. */
static int draw_number(struct oxl_owner *o, struct oxl_error *err)
{
        for (int tries = 0; tries < NUMBER_TRIES; tries++) {
                uint64_t k;
                if (oxl_random_bytes(&k, sizeof k) < 0)
                        return OXL_FAIL_OS(err, RANDOM, LOCKS_NAME);
                k &= OXL_LOCK_OWNER_BASE - 1;
                if (!is_number(k))
                        continue;
                int r = oxl_lock_set(o->fd, OXL_LOCK_OWNER_BASE + k, 1, OXL_LOCK_EXCLUSIVE, false, LOCKS_NAME, err);
                if (r < 0)
                        return r;
                if (r == OXL_LOCK_BUSY)
                        continue;
                o->number = k;
                return 0;
        }
        errno = EAGAIN;
        return OXL_FAIL_OS(err, FILE_LOCK, LOCKS_NAME);
}

/* Creates owners/<id>. A disk without space gives an owner without a file. */
static int write_owner_file(struct oxl_owner *o, const char *command, struct oxl_error *err)
{
        char path[OWNER_PATH_BYTES];
        struct stat st;
        cleanup_buf struct oxl_buf text = OXL_BUF_INIT;
        owner_path(o->number, path);
        int r = owner_text(command, &text, err);
        if (r < 0)
                return r;
        o->file_fd = oxl_open_beneath(o->root_fd, path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0644);
        if (o->file_fd < 0)
                return errno == ENOSPC || errno == EDQUOT ? 0 : OXL_FAIL_OS(err, FILE_CREATE, path);
        if (oxl_fd_stat(o->file_fd, &st) < 0)
                return OXL_FAIL_OS(err, FILE_STAT, path);
        o->dev = st.st_dev;
        o->ino = st.st_ino;
        o->file_len = text.len;
        if (oxl_fd_write_all(o->file_fd, text.data, text.len) == 0)
                return 0;
        if (errno != ENOSPC && errno != EDQUOT)
                return OXL_FAIL_OS(err, FILE_WRITE, path);
        OXL_IGNORE(remove_owner_file(o->root_fd, o->number, o->dev, o->ino), "the next sweep removes it");
        oxl_fd_done(&o->file_fd);
        return 0;
}

int oxl_owner_new(int root_fd, const char *command, struct oxl_owner **ret, struct oxl_error *err)
{
        struct oxl_owner *o = calloc(1, sizeof *o);
        if (!o)
                return OXL_FAIL_PLAIN(err, NOMEM);
        o->root_fd = root_fd;
        o->file_fd = -1;
        int r = o->fd = open_locks(root_fd, O_RDWR, err);
        if (r >= 0)
                r = draw_number(o, err);
        if (r == 0)
                r = check_name(o, err);
        if (r == 0)
                r = write_owner_file(o, command, err);
        if (r < 0) {
                oxl_owner_free(o);
                return r;
        }
        *ret = o;
        return 0;
}

void oxl_owner_free(struct oxl_owner *o)
{
        if (!o)
                return;
        int saved = errno;
        /* The file goes first: while it exists, its byte is held; but one that stays tells of a dead owner from then on. */
        if (o->file_fd >= 0 && o->ino != 0 && !o->stays)
                OXL_IGNORE(remove_owner_file(o->root_fd, o->number, o->dev, o->ino), "the next sweep removes it");
        oxl_fd_done(&o->file_fd);
        oxl_fd_done(&o->fd); /* the kernel drops every lock with the description */
        free(o);
        errno = saved;
}

void oxl_owner_leave_file(struct oxl_owner *o)
{
        o->stays = true;
}

uint64_t oxl_owner_number(const struct oxl_owner *o)
{
        return o->number;
}

int oxl_owner_fd(const struct oxl_owner *o)
{
        return o->fd;
}

/* --- the three ranges -------------------------------------------------------------------------------------- */

/* Writes what we hold behind the text of owners/<id>; for messages of those who wait, so failures do not matter. */
static void note_held(struct oxl_owner *o)
{
        char lines[64] = "";
        size_t n = 0;
        if (o->file_fd < 0)
                return;
        for (int i = 0; i < RANGES; i++)
                if (o->held[i])
                        n += (size_t)snprintf(lines + n, sizeof lines - n, "holds %s\n", range_names[i]);
        OXL_IGNORE(oxl_fd_truncate(o->file_fd, o->file_len), "for people only");
        OXL_IGNORE(oxl_fd_pwrite_all(o->file_fd, lines, n, o->file_len), "for people only");
}

/* Describes the live owner @number when its file says that it holds @which. */
static bool describe(const struct oxl_owner *o, uint64_t number, unsigned which, char *ret, size_t size)
{
        char text[OWNER_FILE_MAX], holds[32], pid[WORD_BYTES_MAX], command[COMMAND_BYTES_MAX], since[WORD_BYTES_MAX];
        if (number == o->number || read_owner_file(o->root_fd, number, text) != 0)
                return false;
        snprintf(holds, sizeof holds, "\nholds %s\n", range_names[which]);
        if (!strstr(text, holds) || oxl_owner_verdict(o->root_fd, number) == OXL_TEMP_DEAD)
                return false;
        line_value(text, "pid", pid, sizeof pid);
        line_value(text, "command", command, sizeof command);
        line_value(text, "since", since, sizeof since);
        snprintf(ret, size, "pid %s, %s, since %s", pid, command, since);
        return true;
}

/* The state letter in /proc/<pid>/stat, behind the last ')'; 0: not known. */
static char process_state(const char *pid)
{
        char path[WORD_BYTES_MAX + 16], text[512];
        if (!*pid || strspn(pid, "0123456789") != strlen(pid))
                return 0;
        snprintf(path, sizeof path, "/proc/%s/stat", pid);
        cleanup_fd int fd = oxl_fd_open(AT_FDCWD, path, O_RDONLY | O_NOCTTY | O_NONBLOCK, 0);
        ssize_t n = fd < 0 ? -1 : oxl_fd_read_full(fd, text, sizeof text - 1);
        text[n > 0 ? n : 0] = 0;
        const char *end = strrchr(text, ')');
        return end && end[1] == ' ' ? end[2] : 0;
}

/* Is @name the name of an owner's file? */
static bool owner_of_name(const char *name, uint64_t *ret)
{
        return strlen(name) == 16 && oxl_hex_decode_u64(name, ret);
}

static int fail_locked(const struct oxl_owner *o, unsigned which, struct oxl_error *err)
{
        char why[512];
        struct oxl_dirent e;
        uint64_t number;
        cleanup_dir struct oxl_dir dir = OXL_DIR_INIT;
        cleanup_fd int fd = oxl_open_beneath(o->root_fd, "owners", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
        snprintf(why, sizeof why, "another process holds its %s lock", range_names[which]);
        if (fd >= 0 && oxl_dir_open(&dir, fd) == 0)
                while (oxl_dir_next(&dir, &e) > 0)
                        if (owner_of_name(e.name, &number) && describe(o, number, which, why, sizeof why))
                                break;
        return OXL_FAIL_WHY(err, LOCKED, ".oxen-lite", why);
}

/* "pid 12, oxen-lite commit, since …", and what to do when it is stopped. Its lock byte may be of no use: who holds `db` notes
 * nothing, it is for milliseconds. */
static void describe_living(const struct oxl_owner *o, uint64_t number, bool *ret_writer, char ret[LIVING_BYTES])
{
        char text[OWNER_FILE_MAX], pid[WORD_BYTES_MAX], command[COMMAND_BYTES_MAX], since[WORD_BYTES_MAX];
        ret[0] = 0;
        if (number == o->number || read_owner_file(o->root_fd, number, text) != 0 ||
            oxl_owner_verdict(o->root_fd, number) != OXL_TEMP_ALIVE)
                return;
        line_value(text, "pid", pid, sizeof pid);
        line_value(text, "command", command, sizeof command);
        line_value(text, "since", since, sizeof since);
        bool stopped = process_state(pid) == 'T';
        *ret_writer = strstr(text, "\nholds writer\n") != NULL;
        snprintf(ret, LIVING_BYTES, "pid %s, %s, since %s%s%s%s", pid, command, since,
                 stopped ? ", which is stopped: continue it with kill -CONT " : "", stopped ? pid : "",
                 stopped ? ", or end it" : "");
}

/* Of the living owners, the writer; without one, the last that the folder lists. The number of living ones. */
static size_t find_living(const struct oxl_owner *o, char ret[LIVING_BYTES])
{
        struct oxl_dirent e;
        uint64_t number;
        size_t n = 0;
        bool found_writer = false;
        cleanup_dir struct oxl_dir dir = OXL_DIR_INIT;
        cleanup_fd int fd = oxl_open_beneath(o->root_fd, "owners", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
        if (fd < 0 || oxl_dir_open(&dir, fd) < 0)
                return 0;
        while (oxl_dir_next(&dir, &e) > 0) {
                char one[LIVING_BYTES];
                bool writer = false;
                if (!owner_of_name(e.name, &number))
                        continue;
                describe_living(o, number, &writer, one);
                if (!one[0])
                        continue;
                n++;
                if (!found_writer)
                        memcpy(ret, one, sizeof one);
                found_writer = found_writer || writer;
        }
        return n;
}

void oxl_owner_explain_db(int root_fd, uint64_t self, struct oxl_error *err)
{
        const struct oxl_owner o = { .root_fd = root_fd, .number = self };
        char who[LIVING_BYTES] = "", why[LIVING_BYTES + 200];
        if (!err || err->code != OXL_E_LOCKED)
                return;
        size_t n = find_living(&o, who);
        if (n == 0)
                return;
        snprintf(why, sizeof why, "%s%s (%s)", err->detail ? err->detail : "another process is in a transaction",
                 n > 1 ? ", one of several at work, perhaps" : "", who);
        OXL_IGNORE(OXL_FAIL_WHY(err, LOCKED, err->path[0], why), "it has this code already");
}

static int64_t now_ms(void)
{
        struct timespec t = { 0 };
        OXL_IGNORE(oxl_sys->clock_gettime(CLOCK_MONOTONIC, &t), "cannot fail for this clock");
        return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void sleep_ms(int64_t ms)
{
        struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
        OXL_IGNORE(oxl_sys->nanosleep(&t, NULL), "a signal only shortens it: the caller polls");
}

/* Polls, because a blocking lock could neither be cancelled nor end in time. */
static int wait_for(struct oxl_owner *o, unsigned which, enum oxl_lock_kind kind, int64_t wait_ms,
                    const atomic_bool *cancel, struct oxl_error *err)
{
        int64_t begin = now_ms(), backoff = BACKOFF_MIN_MS;
        for (;;) {
                int r = oxl_lock_set(o->fd, which, 1, kind, false, LOCKS_NAME, err);
                if (r <= 0)
                        return r;
                if (cancel && atomic_load(cancel))
                        return OXL_FAIL_PLAIN(err, CANCELLED);
                int64_t left = wait_ms < 0 ? backoff : wait_ms - (now_ms() - begin);
                if (left <= 0)
                        return fail_locked(o, which, err);
                sleep_ms(left < backoff ? left : backoff);
                backoff = 2 * backoff < BACKOFF_MAX_MS ? 2 * backoff : BACKOFF_MAX_MS;
        }
}

int oxl_owner_lock(struct oxl_owner *o, unsigned which, bool exclusive, int64_t wait_ms, const atomic_bool *cancel,
                   struct oxl_error *err)
{
        OXL_ASSERT(which < RANGES && !o->held[which]);
        int r = wait_for(o, which, exclusive ? OXL_LOCK_EXCLUSIVE : OXL_LOCK_SHARED, wait_ms, cancel, err);
        if (r < 0)
                return r;
        r = check_name(o, err);
        if (r < 0) {
                OXL_IGNORE(oxl_lock_drop(o->fd, which, 1, LOCKS_NAME, NULL), "the first error is the one to report");
                return r;
        }
        o->held[which] = true;
        note_held(o);
        return 0;
}

void oxl_owner_unlock(struct oxl_owner *o, unsigned which)
{
        OXL_ASSERT(which < RANGES && o->held[which]);
        o->held[which] = false;
        note_held(o); /* before the lock goes, so that the file never names us wrongly */
        OXL_IGNORE(oxl_lock_drop(o->fd, which, 1, LOCKS_NAME, NULL), "the kernel drops it with the descriptor");
}

bool oxl_owner_holds(const struct oxl_owner *o, unsigned which)
{
        OXL_ASSERT(which < RANGES);
        return o->held[which];
}

static bool knows_no_locks(int os)
{
        return os == ENOLCK || os == ENOSYS || os == EOPNOTSUPP || os == EINVAL;
}

int oxl_owner_lock_gc_shared(int root_fd, int64_t wait_ms, const atomic_bool *cancel, int *ret_fd,
                             struct oxl_error *err)
{
        struct oxl_owner o = { .root_fd = root_fd, .file_fd = -1 };
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        *ret_fd = -1;
        cleanup_fd int fd = open_locks(root_fd, O_RDONLY, &why);
        if (fd < 0 && why.os == ENOENT)
                return 0;
        if (fd < 0)
                return oxl_error_copy(err, &why);
        o.fd = fd;
        int r = wait_for(&o, OXL_LOCK_GC, OXL_LOCK_SHARED, wait_ms, cancel, &why);
        if (r < 0 && why.code == OXL_E_FILE_LOCK && knows_no_locks(why.os))
                return 0;
        if (r == 0)
                r = check_name(&o, &why);
        if (r < 0)
                return oxl_error_copy(err, &why);
        *ret_fd = take_fd(&fd);
        return 0;
}

/* --- who lives --------------------------------------------------------------------------------------------- */

enum oxl_temp_verdict oxl_owner_verdict(int root_fd, uint64_t number)
{
        char text[OWNER_FILE_MAX];
        bool held;
        if (!is_number(number)) /* numbers come from file names, too */
                return OXL_TEMP_UNKNOWN;
        int r = read_owner_file(root_fd, number, text);
        if (r < 0 || (r == 0 && !same_machine(text)))
                return OXL_TEMP_UNKNOWN;
        cleanup_fd int fd = open_locks(root_fd, O_RDONLY, NULL);
        if (fd < 0 || oxl_lock_probe(fd, OXL_LOCK_OWNER_BASE + number, 1, LOCKS_NAME, &held, NULL) < 0)
                return OXL_TEMP_UNKNOWN;
        return held && !OXL_MUTANT(EVERYBODY_IS_DEAD) ? OXL_TEMP_ALIVE : OXL_TEMP_DEAD;
}

enum oxl_owner_record oxl_owner_record(int root_fd, uint64_t number, char *ret_who, size_t size)
{
        char text[OWNER_FILE_MAX], pid[WORD_BYTES_MAX], command[COMMAND_BYTES_MAX];
        snprintf(ret_who, size, "its process");
        if (!is_number(number))
                return OXL_OWNER_NO_RECORD;
        int r = read_owner_file(root_fd, number, text);
        if (r != 0)
                return r > 0 ? OXL_OWNER_NO_RECORD : OXL_OWNER_UNREADABLE;
        line_value(text, "pid", pid, sizeof pid);
        line_value(text, "command", command, sizeof command);
        if (*pid)
                snprintf(ret_who, size, "pid %s (%s)", pid, command);
        return same_machine(text) ? OXL_OWNER_HERE : OXL_OWNER_ELSEWHERE;
}

uint64_t oxl_owner_sweep_some(int root_fd, oxl_owner_wanted_fn *wanted, void *ctx)
{
        uint64_t removed = 0, number;
        struct oxl_dirent e;
        struct stat st;
        cleanup_dir struct oxl_dir dir = OXL_DIR_INIT;
        cleanup_fd int fd = oxl_open_beneath(root_fd, "owners", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
        if (fd < 0 || oxl_dir_open(&dir, fd) < 0)
                return 0;
        while (oxl_dir_next(&dir, &e) > 0) {
                if (!owner_of_name(e.name, &number) || oxl_owner_verdict(root_fd, number) != OXL_TEMP_DEAD)
                        continue;
                if (oxl_fd_stat_at(fd, e.name, &st) < 0 || !S_ISREG(st.st_mode) || (wanted && !wanted(ctx, number)))
                        continue;
                removed += remove_owner_file(root_fd, number, st.st_dev, st.st_ino);
        }
        return removed;
}

uint64_t oxl_owner_sweep(int root_fd)
{
        return oxl_owner_sweep_some(root_fd, NULL, NULL);
}
