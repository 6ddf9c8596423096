/* SPDX-License-Identifier: MIT */
/*
 * Creating a repository: `.oxen-lite` is built whole under a temp name in the same directory, synced, and renamed
 * into place without replacing, so nobody ever sees a half-made one.
 *
 * What a crash leaves: perhaps new, empty directories on the way to the working tree, and a folder
 * `.oxen-lite.oxl-<owner>-<random>.tmp`. Its `locks` file gets its name only after the builder's owner byte in it
 * is locked; so a folder whose `locks` has that byte free was left by the dead, and the next init removes it. One
 * without `locks` stays: it is empty but for a temp of `locks`.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fail.h"
#include "base/path.h"
#include "durable/remove.h"
#include "os/fdio.h"
#include "os/lock.h"
#include "repo/index.h"
#include "repo/repo.h"
#include "repo/reserve.h"

enum { TEMP_NAME_BYTES = 64 };

struct init {
        int base_fd;     /* deepest directory on the way that existed */
        char *base_path; /* absolute */
        char *rest;      /* from there to the working tree; "" when that existed */
        char *worktree;  /* absolute */
        int worktree_fd;
        struct oxl_durable *base; /* of base_fd */

        uint64_t owner;
        char name[TEMP_NAME_BYTES];
        bool made; /* the temp folder exists */
        int temp_fd;
        int lock_fd;              /* holds the owner byte in the temp folder's `locks` */
        struct oxl_durable *temp; /* of temp_fd */
        struct oxl_format format;
        const struct oxl_settings *settings; /* borrowed */
};
#define INIT_EMPTY { .base_fd = -1, .worktree_fd = -1, .temp_fd = -1, .lock_fd = -1 }

static void init_done(struct init *in)
{
        oxl_durable_free(in->temp);
        oxl_durable_free(in->base);
        oxl_fd_done(&in->temp_fd);
        if (in->made)
                OXL_IGNORE(oxl_remove_tree(in->worktree_fd, in->name, NULL), "the next init removes it");
        oxl_fd_done(&in->lock_fd);
        oxl_fd_done(&in->worktree_fd);
        oxl_fd_done(&in->base_fd);
        free(in->base_path);
        free(in->rest);
        free(in->worktree);
}

/* --- the way to the working tree --------------------------------------------------------------------------- */

/* Cuts the last component off @path; false when there is none. */
static bool cut_component(char *path)
{
        size_t n = strlen(path);
        while (n > 1 && path[n - 1] == '/')
                n--;
        if (n == 0 || (n == 1 && path[0] == '/'))
                return false;
        while (n > 0 && path[n - 1] != '/')
                n--;
        path[n] = 0;
        return true;
}

/* Drops "." and empty components in place. */
static void tidy(char *path)
{
        char *out = path;
        for (char *at = path; *at;) {
                at += strspn(at, "/");
                size_t n = strcspn(at, "/");
                if (n > 0 && !(n == 1 && at[0] == '.')) {
                        if (out != path)
                                *out++ = '/';
                        memmove(out, at, n);
                        out += n;
                }
                at += n;
        }
        *out = 0;
}

static int open_base(struct init *in, const char *dir, struct oxl_error *err)
{
        cleanup_free char *path = strdup(dir);
        if (!path)
                return OXL_FAIL_PLAIN(err, NOMEM);
        for (;;) {
                const char *name = *path ? path : ".";
                in->base_fd = oxl_fd_open(AT_FDCWD, name, O_RDONLY | O_DIRECTORY, 0);
                if (in->base_fd >= 0) {
                        in->rest = strdup(dir + strlen(path));
                        if (!in->rest)
                                return OXL_FAIL_PLAIN(err, NOMEM);
                        tidy(in->rest);
                        return oxl_repo_real_path(in->base_fd, name, &in->base_path, err);
                }
                if (errno != ENOENT || !cut_component(path))
                        return OXL_FAIL_OS(err, DIR_OPEN, name);
        }
}

/* Makes and opens the working tree's directory. */
static int enter_worktree(struct init *in, const char *dir, struct oxl_error *err)
{
        struct stat st;
        int r = open_base(in, dir, err);
        if (r == 0)
                r = oxl_durable_new(in->base_fd, in->base_path, in->owner, &in->base, err);
        if (r == 0 && *in->rest)
                r = oxl_durable_mkdir(in->base, in->rest, err);
        if (r == 0)
                r = oxl_path_join(in->base_path, in->rest, &in->worktree, err);
        if (r < 0)
                return r;
        in->worktree_fd = oxl_open_beneath(in->base_fd, in->rest, O_RDONLY | O_DIRECTORY, 0);
        if (in->worktree_fd < 0)
                return OXL_FAIL_OS(err, DIR_OPEN, in->worktree);
        if (oxl_fd_stat_at(in->worktree_fd, OXL_REPO_DIR, &st) == 0)
                return OXL_FAIL_PATH(err, REPO_EXISTS, in->worktree);
        return errno == ENOENT ? 0 : OXL_FAIL_OS(err, FILE_STAT, in->worktree);
}

/* --- leftovers of earlier ones ----------------------------------------------------------------------------- */

/* Is @name the temp folder of an init that is proven dead? */
static bool is_dead_folder(int dirfd, const char *name)
{
        struct stat st;
        uint64_t owner;
        size_t n = strlen(OXL_REPO_DIR);
        if (strncmp(name, OXL_REPO_DIR, n) != 0 || strncmp(name + n, ".oxl-", 5) != 0 ||
            !oxl_temp_name_is_ours(name, &owner))
                return false;
        cleanup_fd int fd = oxl_fd_open(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
        if (fd < 0 || oxl_fd_stat(fd, &st) < 0 || st.st_uid != geteuid())
                return false;
        return oxl_owner_verdict(fd, owner) == OXL_TEMP_DEAD; /* UNKNOWN without `locks` */
}

/* Best effort. The listing starts anew after each removal, which must not disturb it. */
static void remove_dead_folders(int dirfd)
{
        for (bool again = true; again;) {
                struct oxl_dirent e;
                cleanup_dir struct oxl_dir dir = OXL_DIR_INIT;
                again = false;
                if (oxl_dir_open(&dir, dirfd) < 0)
                        return;
                while (!again && oxl_dir_next(&dir, &e) > 0)
                        if (is_dead_folder(dirfd, e.name))
                                again = oxl_remove_tree(dirfd, e.name, NULL) == 0;
        }
}

/* --- the temp folder --------------------------------------------------------------------------------------- */

static int draw(struct init *in, struct oxl_error *err)
{
        uint64_t numbers[2];
        if (oxl_random_bytes(numbers, sizeof numbers) < 0)
                return OXL_FAIL_OS(err, RANDOM, OXL_REPO_DIR);
        in->owner = numbers[0] % (OXL_LOCK_OWNER_BASE - 2) + 1; /* what owner.c takes for a number */
        snprintf(in->name, sizeof in->name, OXL_REPO_DIR ".oxl-%016llx-%016llx.tmp", (unsigned long long)in->owner,
                 (unsigned long long)numbers[1]);
        return 0;
}

/* Publishes @s, whose content is complete, as @name in the temp folder. Frees it. */
static int finish(struct oxl_stage *s, const char *name, struct oxl_error *err)
{
        int r = oxl_stage_sync(s, err);
        if (r == 0)
                r = oxl_stage_publish(s, name, true, err);
        oxl_stage_free(s);
        return r;
}

static int put(struct init *in, const char *name, const struct oxl_buf *text, struct oxl_error *err)
{
        struct oxl_stage *s;
        int r = oxl_stage_open(in->temp, "", name, 0, &s, err);
        if (r < 0)
                return r;
        r = oxl_stage_write(s, text->data, text->len, err);
        if (r < 0) {
                oxl_stage_free(s);
                return r;
        }
        return finish(s, name, err);
}

/* The byte is locked before the file has its name: see the top. The duplicate keeps the lock. */
static int put_locks(struct init *in, struct oxl_error *err)
{
        struct oxl_stage *s;
        int r = oxl_stage_open(in->temp, "", "locks", 0, &s, err);
        if (r < 0)
                return r;
        int fd = oxl_stage_fd(s);
        in->lock_fd = fd < 0 ? -1 : oxl_sys->dup(fd);
        if (in->lock_fd < 0)
                r = OXL_FAIL_OS(err, FILE_OPEN, "locks");
        else
                r = oxl_lock_set(in->lock_fd, OXL_LOCK_OWNER_BASE + in->owner, 1, OXL_LOCK_EXCLUSIVE, false, "locks",
                                 err);
        if (r != 0) {
                oxl_stage_free(s);
                errno = EBUSY;
                return r < 0 ? r : OXL_FAIL_OS(err, FILE_LOCK, "locks"); /* busy: a new file cannot be */
        }
        return finish(s, "locks", err);
}

static int put_texts(struct init *in, struct oxl_error *err)
{
        cleanup_buf struct oxl_buf text = OXL_BUF_INIT;
        const struct oxl_repo_id *id = &in->format.id;
        int r = oxl_format_print(&in->format, &text, err);
        if (r == 0)
                r = put(in, "format", &text, err);
        if (r == 0)
                r = oxl_head_print(id, "refs/heads/main", NULL, &text, err);
        if (r == 0)
                r = put(in, "HEAD", &text, err);
        if (r == 0)
                r = oxl_config_print(in->settings, id, &text, err);
        return r < 0 ? r : put(in, "config.json", &text, err);
}

static int put_index(struct init *in, struct oxl_error *err)
{
        cleanup_buf struct oxl_buf base = OXL_BUF_INIT;
        cleanup_buf struct oxl_buf delta = OXL_BUF_INIT;
        int r = oxl_index_print_empty(&in->format.id, &base, &delta, err);
        if (r == 0)
                r = put(in, "index", &base, err);
        return r < 0 ? r : put(in, "index.delta", &delta, err);
}

static int put_directories(struct init *in, struct oxl_error *err)
{
        static const char *const names[] = {
                "refs/heads",   "refs/tags", "versions/files", "versions/packs",
                "versions/tmp", "owners",    "quarantine",     "trash",
        };
        for (size_t i = 0; i < OXL_ARRAY_LEN(names); i++) {
                char inside[32];
                snprintf(inside, sizeof inside, "%s/x", names[i]);
                int r = oxl_durable_mkdir(in->temp, names[i], err);
                if (r == 0)
                        r = oxl_durable_mark(in->temp, inside, err); /* the new directory itself is synced, too */
                if (r < 0)
                        return r;
        }
        return 0;
}

static int put_journal(struct init *in, struct oxl_error *err)
{
        cleanup_free char *dir = NULL;
        int r = oxl_path_join(in->worktree, in->name, &dir, err);
        if (r < 0)
                return r;
        struct oxl_journal_config config = { .dir = dir, .id = in->format.id, .lock_fd = -1 };
        return oxl_journal_create(&config, err);
}

static int make_folder(struct init *in, struct oxl_error *err)
{
        cleanup_free char *path = NULL;
        int r = oxl_path_join(in->rest, in->name, &path, err);
        if (r < 0)
                return r;
        in->made = true; /* also when mkdir fails: it may have got as far as that; the name is ours alone */
        r = oxl_durable_mkdir(in->base, path, err);
        if (r < 0)
                return r;
        in->temp_fd = oxl_fd_open(in->worktree_fd, in->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
        if (in->temp_fd < 0)
                return OXL_FAIL_OS(err, DIR_OPEN, in->name);
        return oxl_durable_new(in->temp_fd, in->name, in->owner, &in->temp, err);
}

static int build(struct init *in, struct oxl_error *err)
{
        int r = make_folder(in, err);
        if (r == 0)
                r = put_locks(in, err); /* first: from here on we can be told from the dead */
        if (r == 0)                     /* first on the disk, too: what follows is never left for good */
                r = oxl_durable_barrier(in->temp, err);
        if (r == 0)
                r = put_directories(in, err);
        if (r == 0)
                r = put_texts(in, err);
        if (r == 0)
                r = put_index(in, err);
        if (r == 0)
                r = oxl_reserve_make(in->temp, err);
        if (r == 0)
                r = put_journal(in, err);
        if (r == 0)
                r = oxl_durable_mark(in->temp, "journal.db", err);
        return r < 0 ? r : oxl_durable_barrier(in->temp, err);
}

/* Renames the finished folder into place and makes that durable, with all new directories above it. */
static int publish(struct init *in, struct oxl_error *err)
{
        cleanup_free char *from = NULL;
        cleanup_free char *to = NULL;
        int r = oxl_path_join(in->rest, in->name, &from, err);
        if (r == 0)
                r = oxl_path_join(in->rest, OXL_REPO_DIR, &to, err);
        if (r == 0)
                r = oxl_durable_rename_dir(in->base, from, to, err);
        if (r == -OXL_E_FILE_EXISTS)
                return OXL_FAIL_PATH(err, REPO_EXISTS, in->worktree);
        if (r < 0)
                return r;
        in->made = false;
        return oxl_durable_barrier(in->base, err);
}

/* What could not be made has the name that it would have had: people know nothing of the temp folder. */
static void name_target(const struct init *in, const char *dir, struct oxl_error *err)
{
        for (size_t i = 0; i < OXL_ARRAY_LEN(err->path); i++) {
                cleanup_free char *old = err->path[i];
                if (!old)
                        continue;
                const char *temp = strstr(old, in->name), *rest = temp ? temp + strlen(in->name) : old;
                bool whole = !temp && old[0] == '/'; /* above it, or not of ours */
                if (whole || asprintf(&err->path[i], "%s/" OXL_REPO_DIR "%s%s", dir, *rest && *rest != '/' ? "/" : "",
                                      rest) < 0) {
                        err->path[i] = old;
                        old = NULL;
                }
        }
}

int oxl_repo_init_as(const char *dir, const struct oxl_format *format, const struct oxl_settings *settings,
                     struct oxl_error *err)
{
        cleanup(init_done) struct init in = INIT_EMPTY;
        oxl_digest_setup();
        in.format = *format;
        in.settings = settings;
        int r = draw(&in, err);
        if (r == 0)
                r = enter_worktree(&in, dir, err);
        if (r < 0)
                return r;
        remove_dead_folders(in.worktree_fd);
        r = build(&in, err);
        if (r < 0 && err)
                name_target(&in, dir, err);
        return r < 0 ? r : publish(&in, err);
}

int oxl_repo_init(const char *dir, enum oxl_algo blob_algo, struct oxl_error *err)
{
        struct oxl_format format = { .blob_algo = blob_algo };
        struct oxl_settings settings;
        if (blob_algo != OXL_ALGO_BLAKE3 && blob_algo != OXL_ALGO_XXH3_128)
                return OXL_FAIL_WHY(err, INVALID, "hash", "it must be blake3 or xxh3-128");
        if (oxl_random_bytes(format.id.bytes, OXL_REPO_ID_BYTES) < 0)
                return OXL_FAIL_OS(err, RANDOM, OXL_REPO_DIR);
        oxl_settings_default(&settings);
        return oxl_repo_init_as(dir, &format, &settings, err);
}
