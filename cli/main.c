/* SPDX-License-Identifier: MIT */
/*
 * oxen-lite: the table of commands, and what happens around each of them.
 *
 * Order of the end, for every command: the document is closed, stdout is flushed and checked, the repository is closed,
 * the error is printed, the exit code is decided. So exit 0 means that whoever reads stdout got all of it. A crash
 * leaves what the library leaves; this program owns no files (but the scratch copy of `config --edit`, outside the repository).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

const struct option_row global_options[] = {
        { OPT_DIR, 'C', NULL, "DIR", "run as if started in DIR" },
        { OPT_JSON, 0, "json", NULL, "one JSON document on standard output" },
        { OPT_QUIET, 0, "quiet", NULL, "no summaries, notes and progress" },
        { OPT_NO_PROGRESS, 0, "no-progress", NULL, "no progress line" },
        { OPT_WAIT, 0, "wait", "SECONDS|forever", "how long to wait for another writer (default 30)" },
        { OPT_TRUST, 0, "trust", NULL, "work on a repository that belongs to another user" },
        { OPT_COLOR, 0, "color", "auto|always|never", "colours (default auto; NO_COLOR is honoured)" },
        { OPT_HELP, 'h', "help", NULL, "show help" },
        { OPT_VERSION, 0, "version", NULL, "show the version" },
        { 0 },
};

static const struct option_row add_options[] = {
        { OPT_ALL, 'A', "all", NULL, "everything below PATH (without PATH: everything), removals too" },
        { OPT_FORCE, 0, "force", NULL, "also names that look like our own temporary files" },
        { 0 },
};
static const struct option_row commit_options[] = {
        { OPT_MESSAGE, 'm', "message", "MSG", "what was done, for people; again for further paragraphs" },
        { OPT_ALL, 'a', "all", NULL, "all tracked files as they are now" },
        { OPT_ALLOW_EMPTY, 0, "allow-empty", NULL, "commit although nothing changed" },
        { 0 },
};
static const struct option_row config_options[] = {
        { OPT_EDIT, 0, "edit", NULL, "edit the settings in $VISUAL or $EDITOR" },
        { 0 },
};
static const struct option_row fsck_options[] = {
        { OPT_QUICK, 0, "quick", NULL, "names, sizes, seals and the graph; file contents are not read" },
        { OPT_SAMPLE, 0, "sample", "P%|BYTES", "read a random choice of at least so much, never-verified first" },
        { OPT_SINCE_DAYS, 0, "since-days", "N", "read only what was not verified within N days (records)" },
        { OPT_TIME_LIMIT, 0, "time-limit", "T",
          "begin no more files after 30s, 10m, 2h; the next run goes on (records)" },
        { OPT_RATE, 0, "rate", "BYTES/s", "read no faster: 500K, 20M, 1G" },
        { OPT_MEDIA, 0, "media", NULL, "read from the medium, not from the cache" },
        { OPT_JOBS, 0, "jobs", "N", "read with N threads (default 1)" },
        { OPT_RECORD, 0, "record", NULL, "write what was verified and found to the journal" },
        { OPT_EXPLAIN, 0, "explain", "SLUG", "what a problem means, and what to do" },
        { OPT_OXEN, 0, "oxen", "DIR", "check an Oxen repository or version store instead" },
        { OPT_REPAIR, 0, "repair", NULL, "replace what is damaged by good copies; what was there goes to quarantine" },
        { OPT_APPLY, 0, "apply", "PLAN", "repair only what PLAN, an earlier fsck --json, lists (- is standard input)" },
        { OPT_FROM, 0, "from", "DIR", "where good copies may be, too: a repository, an Oxen store, any folder" },
        { OPT_FORCE, 0, "force", NULL, "repair beyond the error budget; undo over good content; purge without asking" },
        { OPT_UNDO, 0, "undo", "ID", "put back what the repair ID moved to quarantine" },
        { OPT_PURGE, 0, "purge-quarantine", NULL, "list what quarantine holds, ask, and delete it for good" },
        { OPT_STATE, 0, "state", "DIR", "with --oxen: where that is kept (default: XDG state)" },
        { 0 },
};
static const struct option_row init_options[] = {
        { OPT_HASH, 0, "hash", "blake3|xxh3-128", "what names file contents (default blake3)" },
        { 0 },
};
static const struct option_row log_options[] = {
        { OPT_NUMBER, 'n', NULL, "N", "at most N commits" },
        { 0 },
};
static const struct option_row ls_options[] = {
        { OPT_RECURSIVE, 'r', "recursive", NULL, "folders below, too" },
        { 0 },
};
static const struct option_row restore_options[] = {
        { OPT_SOURCE, 0, "source", "REV", "from this revision (default: what is staged; with --to: HEAD)" },
        { OPT_FORCE, 0, "force", NULL, "overwrite changed files; each is stored as a blob first" },
        { OPT_TO, 0, "to", "DIR", "write below DIR instead of the working tree" },
        { 0 },
};

const struct command commands[] = {
        { "add", cmd_add, COMMAND_REPO | COMMAND_WRITES | COMMAND_COMMON, 0, -1, add_options, "[-A] [--force] PATH...",
          "stage files for the next commit", NULL, "oxen-lite add -A" },
        { "cat", cmd_cat, COMMAND_REPO, 1, 1, NULL, "REV:PATH", "write a stored file to standard output",
          "PATH counts from the root of the working tree; with a leading ./ from here. The content is verified first.",
          "oxen-lite cat HEAD~1:data/train.csv >old.csv" },
        { "commit", cmd_commit, COMMAND_REPO | COMMAND_WRITES | COMMAND_COMMON, 0, -1, commit_options,
          "-m MSG [-a] [--allow-empty] [PATH...]", "record what is staged",
          "PATH: these files as they are now, besides what is staged.\n"
          "Prints [BRANCH ID] MESSAGE when the commit is on disk: it then survives a power cut.",
          "oxen-lite commit -a -m \"Fix the labels of batch 7\"" },
        { "config", cmd_config, COMMAND_REPO, 0, 2, config_options, "[KEY [VALUE]] | --edit | accept",
          "show or change settings",
          "Without arguments: all settings. accept: seal config.json again after an edit by hand.",
          "oxen-lite config user.name \"Ada Lovelace\"" },
        { "fsck", cmd_fsck, COMMAND_FSCK | COMMAND_COMMON, 0, 0, fsck_options,
          "[OPTION]... | --repair | --undo ID | --explain SLUG | --oxen DIR [--repair]",
          "verify everything, change nothing; or repair",
          "--repair replaces what is damaged: good bytes come from other copies in the store, the working tree,\n"
          "quarantine and --from; what it replaces is kept, and --undo puts it back. What has no good copy stays.\n"
          "--sample, --since-days and --time-limit read less of file contents; what they leave out is counted and never\n"
          "called verified. A file that was begun is read to its end; what was damaged is read again by every run.\n"
          "--oxen checks a repository of Oxen instead. With --repair what is damaged is kept outside of it, and\n"
          "replaced only by bytes that hash to its name.",
          "oxen-lite fsck" },
        { "help", cmd_help, 0, 0, 1, NULL, "[CMD]", "explain a command", NULL, "oxen-lite help restore" },
        { "init", cmd_init, COMMAND_COMMON, 0, 1, init_options, "[--hash blake3|xxh3-128] [DIR]", "make a repository",
          NULL, "oxen-lite init data" },
        { "log", cmd_log, COMMAND_REPO | COMMAND_COMMON, 0, 1, log_options, "[-n N] [REV]",
          "show commits, newest first", NULL, "oxen-lite log -n 3" },
        { "ls", cmd_ls, COMMAND_REPO | COMMAND_COMMON, 0, 2, ls_options, "[-r] [REV] [PATH]",
          "list the files of a commit",
          "One argument that is a revision is taken as one; ./NAME is always a path.\n"
          "Columns: kind (f file, x executable, l symlink, d folder), bytes, id, path.",
          "oxen-lite ls -r HEAD data" },
        { "recover", cmd_recover, COMMAND_REPO | COMMAND_WRITES | COMMAND_COMMON, 0, 0, NULL, "",
          "finish or undo what was interrupted", "Every writing command does this first.", "oxen-lite recover" },
        { "restore", cmd_restore, COMMAND_REPO | COMMAND_WRITES | COMMAND_COMMON, 0, -1, restore_options,
          "[--source REV] [--force] [--to DIR] PATH...", "bring files back",
          "Files that were changed are not overwritten without --force. With --to, no PATH means everything.",
          "oxen-lite restore --source HEAD~1 data/train.csv" },
        { "show", cmd_show, COMMAND_REPO | COMMAND_COMMON, 0, 1, NULL, "[REV]", "show a commit and what it changed",
          NULL, "oxen-lite show HEAD" },
        { "status", cmd_status, COMMAND_REPO | COMMAND_COMMON, 0, 0, NULL, "", "show what is staged and what changed",
          NULL, "oxen-lite status" },
        { "version", cmd_version, 0, 0, 0, NULL, "", "show the version", NULL, "oxen-lite version" },
        { 0 },
};

const struct command *command_find(const char *name)
{
        for (const struct command *k = commands; k->name; k++)
                if (strcmp(k->name, name) == 0)
                        return k;
        return NULL;
}

static const char *command_name(size_t *pos)
{
        return commands[*pos].name ? commands[(*pos)++].name : NULL;
}

/* --- what commands share ------------------------------------------------------------------------------------------ */

int cli_go_on(struct cli *c, struct oxl_error *err)
{
        if (atomic_load(&signals_cancel))
                return cli_error(err, OXL_E_CANCELLED, 0, NULL, NULL);
        if (c->out_errno)
                return cli_error(err, OXL_E_FILE_WRITE, c->out_errno, "standard output", NULL);
        return 0;
}

void paths_done(struct paths *p)
{
        for (size_t i = 0; i < p->n; i++)
                free(p->items[i]);
        free(p->items);
        *p = (struct paths){ 0 };
}

static int paths_add(struct paths *p, char *path, struct oxl_error *err)
{
        char **items = path ? realloc(p->items, (p->n + 1) * sizeof *items) : NULL;

        if (!items) {
                free(path);
                return cli_error(err, OXL_E_NOMEM, 0, NULL, NULL);
        }
        p->items = items;
        p->items[p->n++] = path;
        return 0;
}

int cli_paths(struct cli *c, int argc, char **argv, bool whole, struct paths *ret, struct oxl_error *err)
{
        cleanup(paths_done) struct paths p = { 0 };
        int r = 0;

        for (int i = 0; r == 0 && i < argc; i++) {
                char *path = NULL;
                r = oxl_repo_path(c->repo, argv[i], &path, err);
                if (r == 0)
                        r = paths_add(&p, path, err);
        }
        if (argc == 0 && whole)
                r = paths_add(&p, strdup(""), err);
        if (r < 0)
                return r;
        *ret = p;
        p = (struct paths){ 0 };
        return 0;
}

bool cli_number(const char *text, uint64_t max, uint64_t *ret)
{
        uint64_t n = 0;

        if (!*text)
                return false;
        for (const char *p = text; *p; p++) {
                if (*p < '0' || *p > '9')
                        return false;
                unsigned digit = (unsigned)(*p - '0');
                if (digit > max || n > (max - digit) / 10)
                        return false;
                n = n * 10 + digit;
        }
        *ret = n;
        return true;
}

/* --- one run -------------------------------------------------------------------------------------------------------- */

/* Reading goes on with the defaults, but not silently. */
static void warn_config(struct cli *c)
{
        switch (oxl_repo_config_state(c->repo)) {
        case OXL_CONFIG_SOUND: break;
        case OXL_CONFIG_EDITED:
                errors_note(c, ".oxen-lite/config.json",
                            "edited by hand: its seal does not match; see oxen-lite config --edit and config accept");
                break;
        case OXL_CONFIG_DAMAGED:
                errors_note(c, ".oxen-lite/config.json", "damaged; the defaults are used; see oxen-lite config --edit");
                break;
        }
}

static int open_repository(struct cli *c, struct oxl_error *err)
{
        int r = oxl_repo_open(".", &c->repo_options, &c->repo, err);
        if (r < 0)
                return r;
        if (!(c->command->flags & COMMAND_WRITES))
                warn_config(c);
        return 0;
}

static int check_arguments(struct cli *c, struct oxl_error *err)
{
        const struct command *k = c->command;
        if (c->n_args < k->min_args)
                return cli_usage(c, err, "%s needs %s", k->name, k->synopsis);
        if (k->max_args >= 0 && c->n_args > k->max_args)
                return cli_usage(c, err, "unexpected argument '%s' for %s", c->args[k->max_args], k->name);
        return 0;
}

/* The first argument was no command. */
static int unknown_command(struct cli *c, struct oxl_error *err)
{
        if (c->n_args == 0) {
                if (!c->json)
                        help_short();
                return cli_usage(c, err, "which command? Try oxen-lite help");
        }
        const char *near = nearest(c->args[0], command_name);
        if (near)
                return cli_usage(c, err, "no command '%s'; did you mean '%s'?", c->args[0], near);
        return cli_usage(c, err, "no command '%s'", c->args[0]);
}

static int run(struct cli *c, struct oxl_error *err)
{
        if (c->version) {
                c->command = command_find("version");
                return cmd_version(c, 0, NULL, err);
        }
        if (c->help) {
                char *name = c->command ? (char *)(uintptr_t)c->command->name : NULL;
                c->command = command_find("help");
                return cmd_help(c, name ? 1 : 0, &name, err);
        }
        if (!c->command)
                return unknown_command(c, err);
        int r = check_arguments(c, err);
        if (r < 0)
                return r;
        if (c->dir && chdir(c->dir) < 0)
                return cli_error(err, OXL_E_DIR_OPEN, errno, c->dir, NULL);
        if (c->command->flags & COMMAND_REPO) {
                r = open_repository(c, err);
                if (r < 0)
                        return r;
        }
        return c->command->fn(c, c->n_args, c->args, err);
}

static int finish(struct cli *c, struct oxl_error *err)
{
        progress_erase(c);
        if (c->json)
                json_end(c, err->code ? err : NULL);
        cleanup_error struct oxl_error flushed = OXL_ERROR_INIT;
        if (out_end(c, &flushed) < 0 && !err->code)
                oxl_error_move(err, &flushed);
        oxl_repo_close(c->repo);
        c->repo = NULL;
        if (err->code)
                errors_print(c, err);
        return errors_exit(c, err);
}

int main(int argc, char **argv)
{
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        struct cli c = { .exit = -1 };

        signals_setup();
        c.repo_options = (struct oxl_repo_options){
                .wait_ms = 30000,
                .command = c.owner,
                .cancel = &signals_cancel,
                .recovered = recovered_show,
                .notice = notice_show,
                .progress = progress_show,
                .ctx = &c,
        };
        if (options_parse(&c, argc, argv, &err) == 0 && run(&c, &err) < 0 && !err.code)
                (void)cli_error(&err, OXL_E_INVALID, 0, c.command ? c.command->name : "oxen-lite",
                                "failed without saying why");
        int status = finish(&c, &err);
        oxl_json_free(c.recovered);
        free(c.values);
        free(c.args);
        return status;
}
