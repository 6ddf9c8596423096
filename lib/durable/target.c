/* SPDX-License-Identifier: MIT */
/* Standalone targets, see target.h. */
#include <limits.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/path.h"
#include "durable/target.h"
#include "os/fdio.h"

enum { LINKS_MAX = 40 };

bool oxl_is_cancelled(const struct oxl_atomic_options *o)
{
        return o->cancel && atomic_load(o->cancel);
}

int oxl_options_check(const struct oxl_atomic_options *o, const char *target, struct oxl_error *err)
{
        static const unsigned known = OXL_ATOMIC_STRICT | OXL_ATOMIC_NO_REPLACE | OXL_ATOMIC_PRESERVE_MODE |
                                      OXL_ATOMIC_PRESERVE_OWNER | OXL_ATOMIC_TRY_OWNER | OXL_ATOMIC_READ_BACK;
        if (o->flags & ~known)
                return OXL_FAIL_WHY(err, INVALID, target, "the options have a flag that does not exist");
        if (o->buffer_bytes != 0 && (o->buffer_bytes < 4096 || o->buffer_bytes > (size_t)1 << 30))
                return OXL_FAIL_WHY(err, INVALID, target, "the buffer must have 4 KiB to 1 GiB");
        if (o->mode & ~(mode_t)07777)
                return OXL_FAIL_WHY(err, INVALID, target, "the mode has bits that are no permissions");
        return 0;
}

int oxl_target_check(const char *path, struct oxl_error *err)
{
        const char *name = oxl_path_base(path);
        if (!*path)
                return OXL_FAIL_WHY(err, TARGET, path, "it is empty");
        if (!*name)
                return OXL_FAIL_WHY(err, TARGET, path, "it ends in '/'");
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
                return OXL_FAIL_WHY(err, TARGET, path, "it names a folder");
        if (strlen(name) > OXL_NAME_MAX)
                return OXL_FAIL_WHY(err, TARGET, path, "its name has more than 255 bytes");
        return 0;
}

/* --- opening ---------------------------------------------------------------------------------------------------- */

/* Splits @path (as seen from @at) into an open directory and a name. */
static int open_parent(struct oxl_target *t, struct oxl_writer *w, int at, const char *path, struct oxl_error *err)
{
        size_t len = oxl_path_parent_len(path);
        cleanup_free char *parent = strndup(path, path[0] == '/' && len == 0 ? 1 : len);
        cleanup_free char *name = strdup(oxl_path_base(path));
        if (!parent || !name)
                return OXL_FAIL_PLAIN(err, NOMEM);
        struct oxl_dnode *dir;
        int r = oxl_dirs_make_path(&w->dirs, at, parent, &dir, err);
        if (r < 0)
                return r;
        oxl_dnode_unref(t->dir);
        free(t->name);
        t->dir = dir;
        t->name = take_ptr(&name);
        return 0;
}

static int look(struct oxl_target *t, struct oxl_writer *w, struct oxl_error *err)
{
        int at = oxl_dnode_fd(&w->dirs, t->dir);
        t->exists = at >= 0 && oxl_fd_stat_at(at, t->name, &t->old) == 0;
        if (!t->exists && errno != ENOENT)
                return OXL_FAIL_OS(err, FILE_STAT, t->shown);
        return 0;
}

/* Where the link at the target points, as a new target. */
static int step_through_link(struct oxl_target *t, struct oxl_writer *w, struct oxl_error *err)
{
        char text[PATH_MAX];
        int at = oxl_dnode_fd(&w->dirs, t->dir);
        ssize_t n = at < 0 ? -1 : oxl_sys->readlinkat(at, t->name, text, sizeof text);
        if (n < 0)
                return OXL_FAIL_OS(err, FILE_STAT, t->shown);
        if (n == (ssize_t)sizeof text)
                return OXL_FAIL_WHY(err, TARGET, t->shown, "the link in its place is too long");
        text[n] = 0;
        int r = oxl_target_check(text, err);
        return r < 0 ? r : open_parent(t, w, at, text, err);
}

int oxl_target_open(struct oxl_target *t, struct oxl_writer *w, const char *path, const struct oxl_atomic_options *o,
                    struct oxl_error *err)
{
        t->shown = strdup(path);
        if (!t->shown)
                return OXL_FAIL_PLAIN(err, NOMEM);
        int r = open_parent(t, w, AT_FDCWD, path, err);
        for (int links = 0; r == 0; links++) {
                r = look(t, w, err);
                if (r < 0 || !t->exists || !S_ISLNK(t->old.st_mode) || o->symlink == OXL_SYMLINK_REPLACE)
                        return r;
                if (o->symlink == OXL_SYMLINK_REFUSE || links == LINKS_MAX)
                        return OXL_FAIL_PATH(err, FILE_SYMLINK, path);
                r = step_through_link(t, w, err);
        }
        return r;
}

/* --- mode, owner, time ------------------------------------------------------------------------------------------ */

/* A link or a device in the target's place has no attributes worth keeping. */
static bool keeps(const struct oxl_target *t, const struct oxl_atomic_options *o, unsigned flag)
{
        return (o->flags & flag) && t->exists && S_ISREG(t->old.st_mode);
}

int oxl_target_temp(const struct oxl_target *t, struct oxl_writer *w, const struct oxl_atomic_options *o,
                    struct oxl_temp *ret, struct oxl_error *err)
{
        /* A kept mode is set at the end; until then nobody but us may look, whatever the umask says. */
        mode_t mode = keeps(t, o, OXL_ATOMIC_PRESERVE_MODE) ? 0600 : o->mode ? o->mode : 0666;
        return oxl_temp_create(ret, w, t->dir, t->name, mode, err);
}

static int apply_owner(const struct oxl_target *t, int fd, const struct oxl_atomic_options *o, struct oxl_error *err)
{
        if (!keeps(t, o, OXL_ATOMIC_PRESERVE_OWNER | OXL_ATOMIC_TRY_OWNER))
                return 0;
        if (oxl_sys->fchown(fd, t->old.st_uid, t->old.st_gid) == 0)
                return 0;
        return errno == EPERM && (o->flags & OXL_ATOMIC_TRY_OWNER) ? 0 : OXL_FAIL_OS(err, FILE_META, t->shown);
}

int oxl_target_apply(const struct oxl_target *t, struct oxl_temp *temp, const struct oxl_atomic_options *o,
                     struct oxl_error *err)
{
        int fd;
        int r = oxl_temp_fd(temp, &fd, err);
        if (r == 0)
                r = apply_owner(t, fd, o, err);
        if (r < 0)
                return r;
        if (keeps(t, o, OXL_ATOMIC_PRESERVE_MODE)) {
                temp->mode = t->old.st_mode & 07777; /* set by the sync, after the owner: chown drops set-id bits */
                temp->mode_waits = true;
        }
        if (!o->mtime)
                return 0;
        const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, *o->mtime };
        return oxl_sys->futimens(fd, times) == 0 ? 0 : OXL_FAIL_OS(err, FILE_META, t->shown);
}

int oxl_target_publish(const struct oxl_target *t, struct oxl_temp *temp, const struct oxl_atomic_options *o,
                       struct oxl_error *err)
{
        return oxl_temp_publish(temp, t->dir, t->name, t->shown, o->flags & OXL_ATOMIC_NO_REPLACE, err);
}

/* --- the end ---------------------------------------------------------------------------------------------------- */

struct barrier_ctx {
        const struct oxl_atomic_options *o;
        unsigned *warnings;
        struct oxl_error *err;
        bool failed;
};

static void warn(const struct oxl_atomic_options *o, unsigned *warnings, const struct oxl_error *warning)
{
        ++*warnings;
        if (o->warn)
                o->warn(o->warn_ctx, warning);
}

static void dir_sync_failed(void *ctx, const char *path)
{
        struct barrier_ctx *c = ctx;
        bool strict = c->o->flags & OXL_ATOMIC_STRICT;
        if (strict && c->failed)
                return; /* the first one is the error */
        c->failed = true;
        cleanup_error struct oxl_error e = OXL_ERROR_INIT;
        OXL_IGNORE(OXL_FAIL_OS(strict ? c->err : &e, DIR_SYNC, path), "the count of failures decides");
        if (!strict)
                warn(c->o, c->warnings, &e);
}

int oxl_target_settle(struct oxl_writer *w, const struct oxl_atomic_options *o, unsigned *warnings,
                      struct oxl_error *err)
{
        struct barrier_ctx c = { .o = o, .warnings = warnings, .err = err };
        if (oxl_dirs_barrier(&w->dirs, dir_sync_failed, &c) == 0)
                return 0;
        return o->flags & OXL_ATOMIC_STRICT ? -OXL_E_DIR_SYNC : OXL_NOT_DURABLE;
}

bool oxl_target_drop(struct oxl_target *t, struct oxl_temp *temp, const struct oxl_atomic_options *o,
                     unsigned *warnings)
{
        cleanup_free char *path = take_ptr(&temp->path);
        int os = 0;
        bool gone = oxl_temp_done(temp, &os);
        if (!gone) {
                cleanup_error struct oxl_error e = OXL_ERROR_INIT;
                errno = os;
                OXL_IGNORE(OXL_FAIL_OS(&e, FILE_REMOVE, path), "a warning");
                warn(o, warnings, &e);
        }
        oxl_dnode_unref(t->dir);
        free(t->name);
        free(t->shown);
        *t = (struct oxl_target)OXL_TARGET_INIT;
        return gone;
}
