/* SPDX-License-Identifier: MIT */
/*
 * config: shows, sets, edits and accepts settings.
 *
 * --edit works on a copy in $TMPDIR; the repository sees only the checked result, through one atomic write. When the result is
 * refused the copy stays, and is named, so that nothing typed is lost. A crash leaves that copy and nothing else.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli.h"

extern char **environ;

enum { CONFIG_MAX = 1 << 20 }; /* docs/FORMAT.md */

static int show_row(void *ctx, const char *key, const char *value, bool is_default, const char *about,
                    struct oxl_error *err)
{
        struct cli *c = ctx;

        if (c->json) {
                struct oxl_json *o = oxl_json_object();
                oxl_json_set_string(o, "key", key);
                oxl_json_set_string(o, "value", value);
                oxl_json_set_bool(o, "default", is_default);
                oxl_json_set_string(o, "about", about);
                json_row(c, o);
        } else {
                out(c, "%s = ", key);
                out_name(c, value ? value : "(not set)");
                out(c, "    # %s%s\n", about, is_default && value ? " (default)" : "");
        }
        return cli_go_on(c, err);
}

static int list(struct cli *c, struct oxl_error *err)
{
        if (c->json)
                json_rows(c, "settings");
        return oxl_repo_config_list(c->repo, show_row, c, err);
}

static void say(struct cli *c, const char *key, const char *value)
{
        struct oxl_json *o = oxl_json_object();
        oxl_json_set_string(o, "key", key);
        oxl_json_set_string(o, "value", value);
        json_members(c, o);
}

static int get(struct cli *c, const char *key, struct oxl_error *err)
{
        cleanup_free char *value = NULL;

        int r = oxl_repo_config_get(c->repo, key, &value, err);
        if (r < 0)
                return r;
        if (c->json) {
                say(c, key, value);
        } else if (value) {
                out_name(c, value);
                out(c, "\n");
        }
        return 0;
}

static int set(struct cli *c, const char *key, const char *value, struct oxl_error *err)
{
        int r = oxl_repo_config_set(c->repo, key, value, err);
        if (r == 0 && c->json)
                say(c, key, value);
        return r;
}

static int accept(struct cli *c, struct oxl_error *err)
{
        int r = oxl_repo_config_accept(c->repo, err);
        if (r < 0)
                return r;
        if (c->json) {
                struct oxl_json *o = oxl_json_object();
                oxl_json_set_bool(o, "accepted", true);
                json_members(c, o);
        } else if (!c->quiet) {
                out(c, "config.json is sealed again\n");
        }
        return 0;
}

/* --- editing ------------------------------------------------------------------------------------------------------------- */

struct copy {
        char path[4096];
        int fd;
        bool keep;
};

static void copy_done(struct copy *copy)
{
        if (copy->fd >= 0)
                (void)close(copy->fd);
        if (copy->path[0] && !copy->keep)
                (void)unlink(copy->path);
}

static int write_all(int fd, const char *text, size_t n, const char *path, struct oxl_error *err)
{
        while (n > 0) {
                ssize_t k = write(fd, text, n);
                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return cli_error(err, OXL_E_FILE_WRITE, errno, path, NULL);
                text += k;
                n -= (size_t)k;
        }
        return 0;
}

/* Up to @size bytes of @path. */
static int read_up_to(const char *path, char *buf, size_t size, size_t *ret_n, struct oxl_error *err)
{
        size_t n = 0;
        ssize_t k = 1;

        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0)
                return cli_error(err, OXL_E_FILE_OPEN, errno, path, NULL);
        while (k != 0 && n < size) {
                k = read(fd, buf + n, size - n);
                if (k < 0 && errno != EINTR) {
                        int failed = errno;
                        (void)close(fd);
                        return cli_error(err, OXL_E_FILE_READ, failed, path, NULL);
                }
                n += k > 0 ? (size_t)k : 0;
        }
        (void)close(fd);
        *ret_n = n;
        return 0;
}

/* The whole file, at most CONFIG_MAX bytes; NUL added. */
static int read_all(const char *path, char **ret, size_t *ret_n, struct oxl_error *err)
{
        cleanup_free char *text = malloc(CONFIG_MAX + 2);

        if (!text)
                return cli_error(err, OXL_E_NOMEM, 0, NULL, NULL);
        size_t n = 0;
        int r = read_up_to(path, text, CONFIG_MAX + 1, &n, err);
        if (r < 0)
                return r;
        if (n > CONFIG_MAX)
                return cli_error(err, OXL_E_LIMIT, 0, path, "longer than 1 MiB");
        text[n] = '\0';
        *ret = text;
        *ret_n = n;
        text = NULL;
        return 0;
}

/* The settings to edit; those of a file that cannot be read as settings are its bytes. */
static int current(struct cli *c, char **ret, struct oxl_error *err)
{
        char path[4096];
        size_t n;

        int r = oxl_repo_config_text(c->repo, ret, err);
        if (r == 0 || (err->code != OXL_E_MALFORMED && err->code != OXL_E_CONFIG_KEY &&
                       err->code != OXL_E_CONFIG_VALUE && err->code != OXL_E_SEAL && err->code != OXL_E_CONFIG_EDITED))
                return r;
        oxl_error_done(err);
        int len = snprintf(path, sizeof path, "%s/.oxen-lite/config.json", oxl_repo_worktree(c->repo));
        if (len < 0 || (size_t)len >= sizeof path)
                return cli_error(err, OXL_E_LIMIT, 0, oxl_repo_worktree(c->repo), "the path is too long");
        return read_all(path, ret, &n, err);
}

static int copy_new(struct copy *copy, const char *text, struct oxl_error *err)
{
        const char *dir = getenv("TMPDIR");
        int len =
                snprintf(copy->path, sizeof copy->path, "%s/oxen-lite-config-XXXXXX.json", dir && *dir ? dir : "/tmp");

        if (len < 0 || (size_t)len >= sizeof copy->path) {
                copy->path[0] = '\0';
                return cli_error(err, OXL_E_LIMIT, 0, "TMPDIR", "the path is too long");
        }
        copy->fd = mkostemps(copy->path, 5, O_CLOEXEC);
        if (copy->fd < 0) {
                int failed = errno;
                copy->path[0] = '\0';
                return cli_error(err, OXL_E_FILE_CREATE, failed, dir && *dir ? dir : "/tmp", NULL);
        }
        return write_all(copy->fd, text, strlen(text), copy->path, err);
}

/* $VISUAL and $EDITOR may hold arguments, so a shell splits them. With --json the editor must not write into the document. */
static int run_editor(struct cli *c, const char *path, struct oxl_error *err)
{
        const char *editor = getenv("VISUAL");
        char *argv[] = { NULL, NULL, NULL, NULL, NULL, NULL };
        char command[4096];
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        sigset_t defaults;
        pid_t child;
        int status;

        if (!editor || !*editor)
                editor = getenv("EDITOR");
        if (!editor || !*editor)
                editor = "vi";
        if (snprintf(command, sizeof command, "%s \"$1\"", editor) >= (int)sizeof command)
                return cli_error(err, OXL_E_INVALID, 0, "EDITOR", "too long");
        char *words[] = { strdup("sh"), strdup("-c"), strdup(command), strdup("sh"), strdup(path) };
        memcpy(argv, words, sizeof words);
        sigemptyset(&defaults);
        sigaddset(&defaults, SIGPIPE);
        sigaddset(&defaults, SIGXFSZ);
        (void)posix_spawn_file_actions_init(&actions);
        (void)posix_spawnattr_init(&attributes);
        (void)posix_spawnattr_setsigdefault(&attributes, &defaults);
        (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
        if (c->json)
                (void)posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
        int failed = posix_spawn(&child, "/bin/sh", &actions, &attributes, argv, environ);
        (void)posix_spawn_file_actions_destroy(&actions);
        (void)posix_spawnattr_destroy(&attributes);
        for (size_t i = 0; i < ARRAY_LEN(words); i++)
                free(words[i]);
        if (failed)
                return cli_error(err, OXL_E_FILE_OPEN, failed, "/bin/sh", NULL);
        while (waitpid(child, &status, 0) < 0)
                if (errno != EINTR)
                        return cli_error(err, OXL_E_FILE_OPEN, errno, editor, NULL);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
                return cli_error(err, OXL_E_INVALID, 0, editor, "the editor failed; the settings are unchanged");
        return 0;
}

/* What was typed was refused, not the file of the repository: keeps it, and says where. */
static int refuse(struct cli *c, struct copy *copy, struct oxl_error *err)
{
        copy->keep = true;
        errors_note(c, copy->path, "what you edited is kept here");
        if (err->code == OXL_E_MALFORMED) {
                cleanup_error struct oxl_error why = OXL_ERROR_INIT;
                oxl_error_move(&why, err);
                return cli_usage(c, err, "'%s', which you edited, is not taken: %s; the settings are as they were",
                                 copy->path, why.detail ? why.detail : "it is no JSON");
        }
        return -(int)err->code;
}

static int edit(struct cli *c, struct oxl_error *err)
{
        cleanup_free char *before = NULL;
        cleanup_free char *after = NULL;
        cleanup(copy_done) struct copy copy = { .fd = -1 };
        size_t n = 0;

        int r = current(c, &before, err);
        if (r == 0)
                r = copy_new(&copy, before, err);
        if (r == 0)
                r = run_editor(c, copy.path, err);
        if (r == 0)
                r = read_all(copy.path, &after, &n, err);
        if (r != 0)
                return r;
        bool same = n == strlen(before) && memcmp(before, after, n) == 0;
        bool edited = !same || oxl_repo_config_state(c->repo) != OXL_CONFIG_SOUND;
        if (edited)
                r = oxl_repo_config_replace(c->repo, after, n, err);
        if (r < 0)
                return refuse(c, &copy, err);
        if (c->json) {
                struct oxl_json *o = oxl_json_object();
                oxl_json_set_bool(o, "edited", edited);
                json_members(c, o);
        } else if (!c->quiet) {
                out(c, "%s\n", edited ? "the settings are replaced" : "nothing changed");
        }
        return 0;
}

int cmd_config(struct cli *c, int argc, char **argv, struct oxl_error *err)
{
        if (cli_has(c, OPT_EDIT))
                return argc ? cli_usage(c, err, "config --edit takes no argument") : edit(c, err);
        if (argc == 0)
                return list(c, err);
        if (argc == 1)
                return strcmp(argv[0], "accept") == 0 ? accept(c, err) : get(c, argv[0], err);
        return set(c, argv[0], argv[1], err);
}
