/* SPDX-License-Identifier: MIT */
/*
 * What this file system, kernel and SQLite keep of the promises: trials (durable/trial.h) and a few numbers, put into words.
 * A promise depends on what its function names; where it says nothing, it holds everywhere.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/magic.h>

#include <oxenlite/tools.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "durable/sync.h"
#include "durable/trial.h"
#include "journal/journal.h"
#include "os/fdio.h"
#include "os/fskind.h"

enum { TEXT_BYTES = 400, DESCRIPTORS_WANTED = 512 };
#define RESERVE_BYTES (UINT64_C(8) << 20)
#define LOW_BYTES (UINT64_C(64) << 20)

struct doctor {
        oxl_doctor_probe_fn *probe;
        oxl_doctor_promise_fn *promise;
        void *ctx;
        struct oxl_doctor_result *result;
        struct oxl_trial trials[OXL_TRIALS];
        enum oxl_fs_kind kind;
        bool kind_known, in_memory;
        bool syncfs_reports; /* errors of what syncfs wrote are told */
        const char *sqlite;  /* version */
        bool sqlite_safe;    /* without the WAL-reset bug */
        long descriptors;
};

const char *oxl_doctor_state_text(enum oxl_doctor_state s)
{
        static const char *const texts[] = { "good", "without", "bad", "unknown" };
        return (size_t)s < OXL_ARRAY_LEN(texts) ? texts[s] : "unknown";
}

static bool works(const struct doctor *d, enum oxl_trial_id id)
{
        return d->trials[id].works;
}

/* --- probes, in words ------------------------------------------------------------------------------------------------ */

static const struct words {
        enum oxl_trial_id id;
        const char *name;
        enum oxl_doctor_state failed; /* what it is when it does not work */
        const char *good, *bad;
} words[] = {
        { OXL_TRIAL_RENAME, "rename", OXL_DOCTOR_BAD,
          "replaces a file at once, and whoever has the old one open keeps it", "does not replace a file at once" },
        { OXL_TRIAL_NO_REPLACE, "rename-no-replace", OXL_DOCTOR_WITHOUT, "refuses to replace when it is told to",
          "cannot be told not to replace; a link and an unlink are used" },
        { OXL_TRIAL_FILE_SYNC, "file-sync", OXL_DOCTOR_BAD, "files can be made durable",
          "files cannot be made durable" },
        { OXL_TRIAL_DIR_SYNC, "directory-sync", OXL_DOCTOR_BAD, "names can be made durable",
          "names cannot be made durable" },
        { OXL_TRIAL_SYNCFS, "syncfs", OXL_DOCTOR_WITHOUT, "many files can be made durable at once",
          "files are made durable one by one" },
        { OXL_TRIAL_UNNAMED, "unnamed-files", OXL_DOCTOR_WITHOUT, "there can be files without a name",
          "there are no files without a name; where one is wanted it gets one" },
        { OXL_TRIAL_LOCKS, "locks", OXL_DOCTOR_BAD,
          "a lock is seen through a second open of the file, and ends with its holder",
          "locks do not tell whether their holder lives" },
        { OXL_TRIAL_LEASE, "leases", OXL_DOCTOR_WITHOUT, "the kernel says whether somebody has a file open",
          "the kernel does not say whether somebody has a file open; Oxen's temporary files are left alone" },
        { OXL_TRIAL_DIRECT, "direct-reading", OXL_DOCTOR_WITHOUT, "files can be read around the cache",
          "files cannot be read around the cache; they are dropped from it first, where that works" },
        { OXL_TRIAL_REFLINK, "reflink", OXL_DOCTOR_WITHOUT, "large files share their bytes with the working tree",
          "large files are stored as full copies" },
        { OXL_TRIAL_LINK, "hard-links", OXL_DOCTOR_WITHOUT, "a file can have a second name",
          "a file has one name; what goes to quarantine is copied" },
        { OXL_TRIAL_SYMLINK, "symbolic-links", OXL_DOCTOR_WITHOUT, "can be restored",
          "cannot be restored here: such entries of a commit are errors" },
        { OXL_TRIAL_HOLES, "holes", OXL_DOCTOR_WITHOUT, "sparse files stay sparse",
          "sparse files are written out in full" },
        { OXL_TRIAL_BYTES, "names", OXL_DOCTOR_WITHOUT, "any bytes can be a name",
          "only UTF-8 can be a name: other names of a commit cannot be restored here" },
        { OXL_TRIAL_CASE, "letter-case", OXL_DOCTOR_WITHOUT, "'a' and 'A' are two names",
          "'a' and 'A' are one name: a commit that has both cannot be restored here" },
        { OXL_TRIAL_CONFINED, "confined-opening", OXL_DOCTOR_WITHOUT, "the kernel keeps paths inside the repository",
          "the kernel is too old to keep paths inside the repository: each part of a path is checked in turn" },
};

static int say_probe(struct doctor *d, const char *name, enum oxl_doctor_state state, const char *about,
                     struct oxl_error *err)
{
        const struct oxl_doctor_probe p = { name, state, about };
        return d->probe ? d->probe(d->ctx, &p, err) : 0;
}

static int say_trials(struct doctor *d, struct oxl_error *err)
{
        char text[TEXT_BYTES];
        int k = 0;
        for (size_t i = 0; k >= 0 && i < OXL_ARRAY_LEN(words); i++) {
                const struct words *w = &words[i];
                const struct oxl_trial *t = &d->trials[w->id];
                if (!t->works && t->os)
                        snprintf(text, sizeof text, "%s (%s)", w->bad, strerror(t->os));
                else
                        snprintf(text, sizeof text, "%s", t->works ? w->good : w->bad);
                k = say_probe(d, w->name, t->works ? OXL_DOCTOR_GOOD : w->failed, text, err);
        }
        return k;
}

static const char *kind_words(const struct doctor *d)
{
        if (d->in_memory)
                return "in memory: nothing here survives a power cut";
        if (!d->kind_known)
                return "what it is could not be found out";
        return d->kind == OXL_FS_NETWORK   ? "on a network, or in user space: other machines may use it, too"
               : d->kind == OXL_FS_OVERLAY ? "an overlay of two others"
                                           : "local";
}

static int say_numbers(struct doctor *d, struct oxl_error *err)
{
        char text[TEXT_BYTES];
        const struct oxl_doctor_result *r = d->result;
        enum oxl_doctor_state kind = d->in_memory                                ? OXL_DOCTOR_BAD
                                     : !d->kind_known || d->kind != OXL_FS_LOCAL ? OXL_DOCTOR_WITHOUT
                                                                                 : OXL_DOCTOR_GOOD;
        snprintf(text, sizeof text, "%s: %s", r->file_system, kind_words(d));
        int k = say_probe(d, "file-system", kind, text, err);
        snprintf(text, sizeof text, "%llu MiB of %llu MiB are free", (unsigned long long)(r->free_bytes >> 20),
                 (unsigned long long)(r->total_bytes >> 20));
        if (k >= 0)
                k = say_probe(d, "space", r->free_bytes < LOW_BYTES ? OXL_DOCTOR_WITHOUT : OXL_DOCTOR_GOOD, text, err);
        snprintf(text, sizeof text, "%s%s", d->sqlite,
                 d->sqlite_safe
                         ? ""
                         : " has the WAL-reset bug, which needs two checkpoints at once; ours run under one lock");
        if (k >= 0)
                k = say_probe(d, "sqlite", d->sqlite_safe ? OXL_DOCTOR_GOOD : OXL_DOCTOR_WITHOUT, text, err);
        snprintf(text, sizeof text, "a process may open %ld files", d->descriptors);
        return k < 0 ? k
                     : say_probe(d, "descriptors",
                                 d->descriptors < DESCRIPTORS_WANTED ? OXL_DOCTOR_WITHOUT : OXL_DOCTOR_GOOD, text, err);
}

/* The kernel's limit on watches: nothing here depends on it, whoever watches folders does. */
static int say_inotify(struct doctor *d, struct oxl_error *err)
{
        char text[TEXT_BYTES], number[32] = "";
        cleanup_fd int fd = oxl_fd_open(AT_FDCWD, "/proc/sys/fs/inotify/max_user_watches", O_RDONLY, 0);
        ssize_t n = fd < 0 ? -1 : oxl_fd_read_full(fd, number, sizeof number - 1);
        if (n <= 0)
                return say_probe(d, "inotify", OXL_DOCTOR_UNKNOWN, "its limits could not be read; nothing needs it",
                                 err);
        number[strcspn(number, "\n")] = '\0';
        snprintf(text, sizeof text, "a user may watch %s files; nothing needs it", number);
        return say_probe(d, "inotify", OXL_DOCTOR_GOOD, text, err);
}

/* --- promises --------------------------------------------------------------------------------------------------------- */

struct answer {
        enum oxl_doctor_state state;
        const char *because;
};

static struct answer replaced_whole(const struct doctor *d)
{
        if (!works(d, OXL_TRIAL_RENAME))
                return (struct answer){ OXL_DOCTOR_BAD, "rename does not replace a file at once" };
        return (struct answer){ OXL_DOCTOR_GOOD, "" };
}

static struct answer survives(const struct doctor *d)
{
        if (d->in_memory)
                return (struct answer){ OXL_DOCTOR_BAD, "this file system lives in memory" };
        if (!works(d, OXL_TRIAL_FILE_SYNC) || !works(d, OXL_TRIAL_DIR_SYNC))
                return (struct answer){ OXL_DOCTOR_BAD, "files or names cannot be made durable" };
        if (!d->kind_known || d->kind == OXL_FS_NETWORK)
                return (struct answer){ OXL_DOCTOR_WITHOUT,
                                        "as far as the server, or the program behind it, does what fsync says" };
        return (struct answer){ OXL_DOCTOR_GOOD, "as far as the disk does what fsync says, which no trial can see" };
}

static struct answer all_or_nothing(const struct doctor *d)
{
        if (!works(d, OXL_TRIAL_RENAME) || !works(d, OXL_TRIAL_LOCKS))
                return (struct answer){ OXL_DOCTOR_BAD,
                                        "recovery needs renames at once, and locks that tell who lives" };
        if (!works(d, OXL_TRIAL_DIR_SYNC) || d->in_memory)
                return (struct answer){ OXL_DOCTOR_WITHOUT, "after a kill; not after a power cut" };
        if (!d->kind_known || d->kind == OXL_FS_NETWORK)
                return (struct answer){
                        OXL_DOCTOR_WITHOUT,
                        "with the journal in SQLite's rollback mode; use it from one machine at a time"
                };
        return (struct answer){ OXL_DOCTOR_GOOD, "" };
}

static struct answer holds(const struct doctor *d)
{
        (void)d;
        return (struct answer){ OXL_DOCTOR_GOOD, "" };
}

static struct answer only_copy(const struct doctor *d)
{
        if (!works(d, OXL_TRIAL_LINK))
                return (struct answer){ OXL_DOCTOR_WITHOUT,
                                        "what goes to quarantine is copied, which needs its space again" };
        return (struct answer){ OXL_DOCTOR_GOOD, "" };
}

static struct answer finds_bits(const struct doctor *d)
{
        if (d->in_memory)
                return (struct answer){ OXL_DOCTOR_WITHOUT, "of what memory holds: there is no medium" };
        if (!works(d, OXL_TRIAL_DIRECT))
                return (struct answer){
                        OXL_DOCTOR_WITHOUT,
                        "but files cannot be read around the cache, which may hide the medium from fsck --media"
                };
        return (struct answer){ OXL_DOCTOR_GOOD, "" };
}

static struct answer temps(const struct doctor *d)
{
        if (!works(d, OXL_TRIAL_LOCKS))
                return (struct answer){ OXL_DOCTOR_BAD, "locks do not tell whether their holder lives" };
        if (!d->kind_known || d->kind == OXL_FS_NETWORK)
                return (struct answer){ OXL_DOCTOR_WITHOUT,
                                        "what another machine left is not known to be dead, and is kept" };
        if (!works(d, OXL_TRIAL_LEASE) || d->kind == OXL_FS_OVERLAY)
                return (struct answer){ OXL_DOCTOR_WITHOUT,
                                        "Oxen's temporary files are kept: nobody can say who has them open" };
        return (struct answer){ OXL_DOCTOR_GOOD, "" };
}

static struct answer sync_final(const struct doctor *d)
{
        if (!d->syncfs_reports)
                return (struct answer){ OXL_DOCTOR_WITHOUT,
                                        "syncfs tells all errors only since Linux 5.17, of ext, xfs, btrfs, f2fs: "
                                        "files are synced one by one" };
        return (struct answer){ OXL_DOCTOR_GOOD, "" };
}

static struct answer bounded(const struct doctor *d)
{
        if (d->descriptors < DESCRIPTORS_WANTED)
                return (struct answer){ OXL_DOCTOR_WITHOUT,
                                        "memory yes; but so few files may be open that batches can fail (ulimit -n)" };
        return (struct answer){ OXL_DOCTOR_GOOD, "" };
}

static struct answer hostile(const struct doctor *d)
{
        if (!works(d, OXL_TRIAL_CONFINED))
                return (struct answer){ OXL_DOCTOR_WITHOUT, "paths are checked part by part instead of by the kernel" };
        return (struct answer){ OXL_DOCTOR_GOOD, "" };
}

static struct answer full_disk(const struct doctor *d)
{
        if (d->result->free_bytes < RESERVE_BYTES)
                return (struct answer){ OXL_DOCTOR_WITHOUT,
                                        "there is no room for the reserve that a new repository keeps" };
        return (struct answer){ OXL_DOCTOR_GOOD, "" };
}

static const struct {
        int number;
        const char *promise;
        struct answer (*ask)(const struct doctor *d);
} promises[] = {
        { 1, "a file is replaced whole, after its bytes are durable", replaced_whole },
        { 2, "what was acknowledged survives a power cut", survives },
        { 3, "what was interrupted ends complete or absent", all_or_nothing },
        { 4, "stored means: the bytes hash to their name", holds },
        { 5, "nothing deletes the only copy of anything", only_copy },
        { 6, "a failure to read is never taken for damage", holds },
        { 7, "fsck finds every changed bit", finds_bits },
        { 8, "temporary files go when their owner is proven dead, never before", temps },
        { 9, "committed data does not depend on SQLite", holds },
        { 10, "one failed sync is final", sync_final },
        { 11, "memory is bounded", bounded },
        { 12, "hostile input gets an error, and nothing is written outside", hostile },
        { 0, "recovery has room on a full disk", full_disk },
};

static int say_promises(struct doctor *d, struct oxl_error *err)
{
        struct oxl_doctor_result *r = d->result;
        unsigned *const counts[] = { &r->good, &r->without, &r->bad, &r->unknown };
        int k = 0;
        for (size_t i = 0; k >= 0 && i < OXL_ARRAY_LEN(promises); i++) {
                const struct answer a = promises[i].ask(d);
                const struct oxl_doctor_promise p = { promises[i].number, promises[i].promise, a.state, a.because };
                ++*counts[a.state];
                k = d->promise ? d->promise(d->ctx, &p, err) : 0;
        }
        return k;
}

/* --- looking ------------------------------------------------------------------------------------------------------------ */

static void name_file_system(uint32_t magic, char ret[32])
{
        static const struct {
                uint32_t magic;
                const char *name;
        } known[] = {
                { EXT4_SUPER_MAGIC, "ext4" },   { 0x58465342, "xfs" },
                { BTRFS_SUPER_MAGIC, "btrfs" }, { TMPFS_MAGIC, "tmpfs" },
                { RAMFS_MAGIC, "ramfs" },       { OVERLAYFS_SUPER_MAGIC, "overlay" },
                { NFS_SUPER_MAGIC, "nfs" },     { FUSE_SUPER_MAGIC, "fuse" },
                { 0x2fc12fc1, "zfs" },          { F2FS_SUPER_MAGIC, "f2fs" },
                { MSDOS_SUPER_MAGIC, "vfat" },  { 0x2011bab0, "exfat" },
                { 0x7366746e, "ntfs" },         { 0xff534d42, "cifs" },
                { 0xfe534d42, "smb" },          { V9FS_MAGIC, "9p" },
                { 0xca451a4e, "bcachefs" },     { SQUASHFS_MAGIC, "squashfs" },
                { 0x00c36400, "ceph" },         { ISOFS_SUPER_MAGIC, "iso9660" },
        };
        snprintf(ret, 32, "0x%x", magic);
        for (size_t i = 0; i < OXL_ARRAY_LEN(known); i++)
                if (known[i].magic == magic)
                        snprintf(ret, 32, "%s", known[i].name);
}

static int look(struct doctor *d, int fd, const char *dir, struct oxl_error *err)
{
        struct statfs fs;
        if (oxl_sys->fstatfs(fd, &fs) < 0)
                return OXL_FAIL_OS(err, FILE_STAT, dir);
        name_file_system((uint32_t)fs.f_type, d->result->file_system);
        d->in_memory = (uint32_t)fs.f_type == TMPFS_MAGIC || (uint32_t)fs.f_type == RAMFS_MAGIC;
        d->result->free_bytes = (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize;
        d->result->total_bytes = (uint64_t)fs.f_blocks * (uint64_t)fs.f_bsize;
        d->kind_known = oxl_fs_kind(fd, &d->kind) == 0;
        d->syncfs_reports = works(d, OXL_TRIAL_SYNCFS) && oxl_syncfs_reports(fd);
        d->sqlite = oxl_journal_sqlite(&d->sqlite_safe);
        d->descriptors = sysconf(_SC_OPEN_MAX);
        return 0;
}

int oxl_doctor(const char *dir, const atomic_bool *cancel, oxl_doctor_probe_fn *probe, oxl_doctor_promise_fn *promise,
               void *ctx, struct oxl_doctor_result *ret, struct oxl_error *err)
{
        struct doctor d = { .probe = probe, .promise = promise, .ctx = ctx, .result = ret };
        *ret = (struct oxl_doctor_result){ 0 };
        cleanup_fd int fd = oxl_fd_open(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0);
        if (fd < 0)
                return OXL_FAIL_OS(err, DIR_OPEN, dir);
        int k = oxl_trials_run(fd, dir, cancel, d.trials, err);
        if (k >= 0)
                k = look(&d, fd, dir, err);
        if (k >= 0)
                k = say_numbers(&d, err);
        if (k >= 0)
                k = say_trials(&d, err);
        if (k >= 0)
                k = say_inotify(&d, err);
        return k < 0 ? k : say_promises(&d, err);
}
