/* SPDX-License-Identifier: MIT */
/*
 * state.json in the state folder: what somebody asked for and what must hold after a restart: pauses, the limit. Written whole by an
 * atomic write before the answer is given. `lock` beside it keeps a second daemon away from the folder; the kernel drops it with us.
 * What a crash leaves: the old file or the new one. A file that cannot be understood is set aside as state.json.damaged-<time> and the
 * defaults hold.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <oxenlite/atomic.h>

#include "daemon.h"

enum { STATE_BYTES_MAX = 4 << 20, LOCK_TRIES = 50, LOCK_PAUSE_MS = 20 };

void state_done(struct state *s)
{
        free(s->by);
        for (size_t i = 0; i < s->n_paths; i++)
                free(s->paths[i]);
        free(s->paths);
        *s = (struct state){ 0 };
}

static size_t find(const struct state *s, const char *path)
{
        size_t i = 0;
        while (i < s->n_paths && strcmp(s->paths[i], path) != 0)
                i++;
        return i;
}

bool state_paused(const struct state *s, const char *path)
{
        return s->paused || find(s, path) < s->n_paths;
}

static int add_path(struct state *s, const char *path, struct oxl_error *err)
{
        char **paths = realloc(s->paths, (s->n_paths + 1) * sizeof *paths);

        if (paths)
                s->paths = paths;
        char *copy = paths ? strdup(path) : NULL;
        if (!copy)
                return util_error(err, OXL_E_NOMEM, 0, NULL, NULL);
        paths[s->n_paths++] = copy;
        return 0;
}

int state_pause(struct state *s, const char *path, bool paused, struct oxl_error *err)
{
        size_t i = path ? find(s, path) : 0;

        if (!path) {
                s->paused = paused;
                for (; !paused && i < s->n_paths; i++)
                        free(s->paths[i]);
                s->n_paths = paused ? s->n_paths : 0;
                return 0;
        }
        if (paused)
                return i < s->n_paths ? 0 : add_path(s, path, err);
        if (i < s->n_paths) {
                free(s->paths[i]);
                s->paths[i] = s->paths[--s->n_paths];
        }
        return 0;
}

static int read_state(struct state *s, const struct oxl_json *json, struct oxl_error *err)
{
        const struct oxl_json *item = NULL, *list = oxl_json_get(json, "repositories");
        const char *key = NULL;
        size_t pos = 0;

        (void)oxl_json_get_bool(json, "paused", &s->paused);
        (void)oxl_json_get_u64(json, "limit", &s->limit);
        util_set(&s->by, oxl_json_get_string(json, "by"));
        while (list && oxl_json_member(list, &pos, &key, &item)) {
                char *path = NULL;
                size_t n;
                if (!oxl_json_name_bytes(item, &path, &n))
                        continue;
                int r = add_path(s, path, err);
                free(path);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* One daemon for one folder. A child of one that was killed has its descriptors until its exec: so a moment of patience. */
static int lock_folder(struct daemon *d, struct oxl_error *err)
{
        struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
        cleanup_free char *path = util_format("%s/lock", d->config.state);

        if (!path)
                return util_error(err, OXL_E_NOMEM, 0, NULL, NULL);
        d->state_lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (d->state_lock < 0)
                return util_error(err, OXL_E_FILE_CREATE, errno, path, NULL);
        int r = fcntl(d->state_lock, F_OFD_SETLK, &l);
        for (int i = 0; r < 0 && (errno == EAGAIN || errno == EACCES) && i < LOCK_TRIES; i++) {
                (void)poll(NULL, 0, LOCK_PAUSE_MS);
                r = fcntl(d->state_lock, F_OFD_SETLK, &l);
        }
        if (r == 0)
                return 0;
        if (errno == EAGAIN || errno == EACCES)
                return util_error(err, OXL_E_DAEMON_RUNNING, 0, d->config.state,
                                  "another oxen-lited has this state folder");
        return util_error(err, OXL_E_FILE_LOCK, errno, path, NULL);
}

static void set_aside(const char *path, const char *why)
{
        cleanup_free char *to = util_format("%s.damaged-%jd", path, (intmax_t)(util_now_ns() / 1000000000));
        bool moved = to && rename(path, to) == 0;

        log_say(LOG_ERROR, "'%s' is damaged (%s): nothing is paused and no limit holds; %s '%s'", path, why ? why : "",
                moved ? "it is kept as" : "it could not be renamed to", to ? to : "");
}

int state_load(struct daemon *d, struct oxl_error *err)
{
        cleanup_free char *path = util_format("%s/state.json", d->config.state);
        cleanup_free char *text = malloc(STATE_BYTES_MAX);
        cleanup_json struct oxl_json *json = NULL;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;

        if (!path || !text)
                return util_error(err, OXL_E_NOMEM, 0, NULL, NULL);
        if (mkdir(d->config.state, 0755) < 0 && errno != EEXIST)
                return util_error(err, OXL_E_DIR_CREATE, errno, d->config.state, NULL);
        int r = lock_folder(d, err);
        if (r < 0)
                return r;
        cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0 && errno == ENOENT)
                return 0;
        ssize_t n = fd < 0 ? -1 : read(fd, text, STATE_BYTES_MAX);
        if (n < 0)
                return util_error(err, OXL_E_FILE_READ, errno, path, NULL);
        int e = oxl_json_parse(text, (size_t)n, path, &json, &why);
        if (e == 0)
                return read_state(&d->state, json, err);
        if (e == -OXL_E_NOMEM)
                return util_error(err, OXL_E_NOMEM, 0, NULL, NULL);
        set_aside(path, why.detail);
        return 0;
}

int state_save(struct daemon *d, struct oxl_error *err)
{
        cleanup_json struct oxl_json *json = oxl_json_object();
        struct oxl_json *list = oxl_json_array();
        cleanup_free char *path = util_format("%s/state.json", d->config.state);
        cleanup_free char *text = NULL;
        const struct oxl_atomic_options options = { .flags = OXL_ATOMIC_STRICT };

        if (!path)
                return util_error(err, OXL_E_NOMEM, 0, NULL, NULL);
        for (size_t i = 0; i < d->state.n_paths; i++)
                oxl_json_append(list, oxl_json_name(d->state.paths[i], strlen(d->state.paths[i])));
        oxl_json_set_string(json, "schema", "oxen-lite.daemon-state/1");
        oxl_json_set_bool(json, "paused", d->state.paused);
        oxl_json_set_u64(json, "limit", d->state.limit);
        oxl_json_set_string(json, "by", d->state.by);
        oxl_json_set(json, "repositories", list);
        int r = oxl_json_print(json, &text, err);
        return r < 0 ? r : oxl_atomic_write_to_path(path, text, strlen(text), &options, NULL, err);
}
