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
        { OPT_FORCE, 0, "force", NULL, "also what .oxenliteignore leaves out, and names like our own temporary files" },
        { 0 },
};
static const struct option_row branch_options[] = {
        { OPT_DELETE, 'd', "delete", NULL, "delete the branch NAME" },
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
static const struct option_row copy_options[] = {
        { OPT_FORCE, 0, "force", NULL, "move branches that have diverged there, and the one somebody works on" },
        { OPT_QUICK, 0, "quick", NULL, "believe what the copy has already; do not read it again" },
        { 0 },
};
static const struct option_row daemon_options[] = {
        { OPT_SOCKET, 0, "socket", "PATH", "the daemon's socket (default /run/oxen-lite/control)" },
        { OPT_HTML, 0, "html", "FILE", "report: the page to write" },
        { OPT_WATCH, 0, "watch", NULL, "status, of all repositories: show it again at each change, until interrupted" },
        { 0 },
};
static const struct option_row diff_options[] = {
        { OPT_STAGED, 0, "staged", NULL, "what is staged, against HEAD or REV" },
        { OPT_CACHED, 0, "cached", NULL, "the same as --staged" },
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
        { OPT_HTML, 0, "html", "FILE", "write a report to look at: one page, for a browser, whole in itself" },
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
static const struct option_row gc_options[] = {
        { OPT_DRY_RUN, 0, "dry-run", NULL, "say what would be moved or rewritten, and change nothing" },
        { OPT_UNDO, 0, "undo", "ID", "move back what the gc ID put into trash, once all of it is verified" },
        { OPT_EMPTY_TRASH, 0, "empty-trash", NULL, "list what trash holds, ask, and delete it for good" },
        { OPT_FORCE, 0, "force", NULL, "with --empty-trash: without asking" },
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
static const struct option_row op_options[] = {
        { OPT_NUMBER, 'n', NULL, "N", "at most N operations" },
        { 0 },
};
static const struct option_row ls_options[] = {
        { OPT_RECURSIVE, 'r', "recursive", NULL, "folders below, too" },
        { 0 },
};
static const struct option_row restore_options[] = {
        { OPT_SOURCE, 0, "source", "REV", "from this revision (default: what is staged; with --to: HEAD)" },
        { OPT_STAGED, 0, "staged", NULL, "take back what is staged (from HEAD, or REV); files stay as they are" },
        { OPT_FORCE, 0, "force", NULL, "overwrite changed files; each is stored as a blob first" },
        { OPT_TO, 0, "to", "DIR", "write below DIR instead of the working tree" },
        { 0 },
};

static const struct option_row sweep_options[] = {
        { OPT_DRY_RUN, 0, "dry-run", NULL, "say what would go, and remove nothing" },
        { OPT_OXEN, 0, "oxen", "DIR", "sweep an Oxen repository or version store instead" },
        { 0 },
};

static const struct option_row rm_options[] = {
        { OPT_CACHED, 0, "cached", NULL, "stop tracking; the files stay in the working tree" },
        { 0 },
};
static const struct option_row show_options[] = {
        { OPT_VERIFY, 0, "verify", NULL,
          "read the commit, its folders and all its content, and say whether it is good" },
        { 0 },
};
static const struct option_row switch_options[] = {
        { OPT_CREATE, 'c', "create", NULL, "make the branch NAME here first" },
        { OPT_FORCE, 0, "force", NULL, "replace files with changes; each is stored as a blob first" },
        { 0 },
};
static const struct option_row undo_options[] = {
        { OPT_FORCE, 0, "force", NULL, "replace files with changes; each is stored as a blob first" },
        { 0 },
};
static const struct option_row tag_options[] = {
        { OPT_DELETE, 'd', "delete", NULL, "delete the tag NAME" },
        { 0 },
};

const struct command commands[] = {
        { "add", cmd_add, COMMAND_REPO | COMMAND_WRITES | COMMAND_COMMON, 0, -1, add_options, "[-A] [--force] PATH...",
          "stage files for the next commit", NULL, "oxen-lite add -A" },
        { "branch", cmd_branch, COMMAND_REPO, 0, 1, branch_options, "[-d] [NAME]", "list, make or delete branches",
          "NAME alone makes a branch at HEAD; oxen-lite switch NAME goes there. -d refuses a branch whose commits\n"
          "nothing else has; undo brings a deleted branch back.",
          "oxen-lite branch try-other-labels" },
        { "cat", cmd_cat, COMMAND_REPO, 1, 1, NULL, "REV:PATH | ID", "write a stored file to standard output",
          "PATH counts from the root of the working tree; with a leading ./ from here. ID: of a blob, as ls, op log and\n"
          "messages name it; 8 digits or more. The content is verified first.",
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
        { "copy", cmd_copy, COMMAND_REPO, 1, 1, copy_options, "[--force] [--quick] DEST",
          "copy the repository: backup and clone",
          "DEST is a new folder, or an earlier copy, which then gets what it lacks. Everything is verified on its way, and\n"
          "what DEST has is read and healed. Branches and tags that only DEST has stay. The files of the working tree are\n"
          "not copied: oxen-lite -C DEST restore . brings them out. Interrupted, run it again.",
          "oxen-lite copy /mnt/backup/data" },
        { "daemon", cmd_daemon, 0, 1, 2, daemon_options,
          "status|findings|report|pause|resume|scrub|limit|reload [PATH|RATE]",
          "ask the background service, or tell it something",
          "status [PATH]: does each repository keep its promise? findings PATH: what is damaged.\n"
          "report --html FILE: both, for all repositories, as one page for a browser.\n"
          "pause [PATH], resume [PATH]: stop scrubbing and go on; this holds after a restart of the service, too.\n"
          "scrub PATH: read everything now. limit RATE: cap for all, such as 50M; 0: as configured. reload: as SIGHUP.\n"
          "Changes are for root and the user that oxen-lited runs as.",
          "oxen-lite daemon status" },
        { "diff", cmd_diff, COMMAND_REPO, 0, 2, diff_options, "[REV [REV]] | --staged [REV]",
          "show which files differ, and their sizes",
          "Without REV: the working tree against what is staged. One REV: the working tree against that commit.\n"
          "--staged: what the next commit changes.\n"
          "A added, D deleted, M modified, T another kind (file, symbolic link), X only the executable bit.",
          "oxen-lite diff HEAD~1 HEAD" },
        { "doctor", cmd_doctor, 0, 0, 1, NULL, "[DIR]", "say which promises hold on this file system",
          "Tries what they depend on in a folder of its own in DIR (here), which it removes: renames, syncs, locks, leases,\n"
          "reading around the cache. Exit 1 when a promise does not hold.",
          "oxen-lite doctor /mnt/data" },
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
        { "gc", cmd_gc, COMMAND_REPO | COMMAND_WRITES, 0, 0, gc_options,
          "[--dry-run | --undo ID | --empty-trash [--force]]", "put aside what nothing refers to, merge small packs",
          "Nothing is deleted: what no branch, tag, staged file, recent operation or interrupted operation needs goes to\n"
          "trash, and --undo brings it back. Operations can be undone, and what nothing refers to is kept, for\n"
          "gc.keep_days days (default 90). Anything needed that cannot be read stops gc before it moves anything.\n"
          "--empty-trash frees the space. Commits merge small packs by themselves.",
          "oxen-lite gc --dry-run" },
        { "health", cmd_health, 0, 0, 0, NULL, "", "show when everything stored was verified last",
          "A map of all stored bytes, in the order in which they will be read again, and what was found. It shows what was\n"
          "recorded by fsck --record and oxen-lited, and reads nothing itself. Exit 3 when damage is recorded.",
          "oxen-lite health" },
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
        { "op", cmd_op, COMMAND_REPO, 1, 1, op_options, "log [-n N]", "show what was done here, newest first",
          "Each row has a number, which oxen-lite undo takes. Below it: contents with changes that it kept, by the id that\n"
          "oxen-lite cat takes, as long as gc.keep_days says. One that was aborted, or that recovery undid or set aside, is listed\n"
          "only for what it kept of files that it may have replaced before that; undo passes it over.",
          "oxen-lite op log -n 10" },
        { "recover", cmd_recover, COMMAND_REPO | COMMAND_WRITES | COMMAND_COMMON, 0, 0, NULL, "",
          "finish or undo what was interrupted",
          "Every writing command does this first. What the operation kept of changed files that it was to replace is named,\n"
          "with the id that oxen-lite cat takes.",
          "oxen-lite recover" },
        { "restore", cmd_restore, COMMAND_REPO | COMMAND_WRITES | COMMAND_COMMON, 0, -1, restore_options,
          "[--source REV] [--staged] [--force] [--to DIR] PATH...", "bring files back",
          "Files that were changed are not overwritten without --force. With --to, no PATH means everything, and a\n"
          "repository that you may only read is enough.",
          "oxen-lite restore --source HEAD~1 data/train.csv" },
        { "rm", cmd_rm, COMMAND_REPO | COMMAND_WRITES, 1, -1, rm_options, "[--cached] PATH...",
          "remove files, and stage that",
          "Everything tracked below a folder goes with it. What has changes is stored as a blob first; undo brings it back.",
          "oxen-lite rm data/old.csv" },
        { "show", cmd_show, COMMAND_REPO | COMMAND_COMMON, 0, 1, show_options, "[--verify] [REV]",
          "show a commit and what it changed",
          "--verify reads everything that the commit needs instead; exit 3 when anything of it is damaged.",
          "oxen-lite show HEAD" },
        { "status", cmd_status, COMMAND_REPO | COMMAND_COMMON, 0, 0, NULL, "", "show what is staged and what changed",
          NULL, "oxen-lite status" },
        { "sweep", cmd_sweep, 0, 0, 1, sweep_options, "[--dry-run] [PATH] | [--dry-run] --oxen DIR",
          "remove temporary files that the dead left",
          "Removes what is proven dead and nothing else: a temporary file of ours when the kernel says that its writer's\n"
          "lock is free; one of Oxen's when nobody has it open and it is more than a day old. Each file is named with\n"
          "the proof, those that stay too. In .oxen-lite and the whole working tree of the repository at or above PATH.\n"
          "What an interrupted operation needs waits for oxen-lite recover.",
          "oxen-lite sweep --dry-run" },
        { "switch", cmd_switch, COMMAND_REPO | COMMAND_WRITES, 1, 1, switch_options, "[-c] [--force] NAME",
          "go to another branch",
          "Refuses to lose changes; those of files that both branches have alike come along. A tag or the id of a\n"
          "commit works too: HEAD is then that commit, on no branch.",
          "oxen-lite switch -c try-other-labels" },
        { "tag", cmd_tag, COMMAND_REPO, 0, 2, tag_options, "[-d] [NAME [REV]]", "list, make or delete tags",
          "NAME alone names HEAD.", "oxen-lite tag v1.0" },
        { "undo", cmd_undo, COMMAND_REPO | COMMAND_WRITES, 0, 1, undo_options, "[--force] [ID]",
          "take an operation back",
          "ID: from oxen-lite op log; without it the newest that moved HEAD, a branch, a tag or what is staged. These are\n"
          "then as before; for rm and switch the files too, with the changes that they had. Refuses to lose changes made\n"
          "since. An undo can be undone.",
          "oxen-lite undo" },
        { "version", cmd_version, 0, 0, 0, NULL, "", "show the version", NULL, "oxen-lite version" },
        { "why", cmd_why, COMMAND_REPO, 1, 1, NULL, "ID|PATH",
          "say what keeps an object or a path, and where it is stored",
          "ID: of a commit, or of what oxen-lite ls shows; 8 digits or more. Branches and tags that lead to it, commits (newest\n"
          "and oldest of a run that has it at that path), what is staged, operations that can be undone, quarantine, trash.",
          "oxen-lite why data/train.csv" },
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

struct likeness {
        struct cli *c;
        const char *name;
        size_t least;
};

static int compare_ref(void *ctx, const char *name, const struct oxl_digest *id, struct oxl_error *err)
{
        struct likeness *l = ctx;
        const char *slash = strchr(strchr(name, '/') + 1, '/'); /* refs/heads/, refs/tags/ */

        (void)id, (void)err;
        nearer(l->name, slash + 1, &l->least, l->c->near, sizeof l->c->near);
        return 0;
}

/* No branch or tag has the name that was given: one may be close to it. */
static void find_near(struct cli *c, const struct oxl_error *err)
{
        struct likeness l = { .c = c, .name = err->path[0] };

        if (c->repo && err->code == OXL_E_REF_NOT_FOUND && l.name)
                (void)!oxl_repo_refs(c->repo, compare_ref, &l, NULL);
}

static int finish(struct cli *c, struct oxl_error *err)
{
        progress_erase(c);
        find_near(c, err);
        if (c->json)
                json_end(c, err->code ? err : NULL);
        cleanup_error struct oxl_error flushed = OXL_ERROR_INIT;
        if (out_end(c, &flushed) < 0 && !err->code)
                oxl_error_move(err, &flushed);
        if (c->after && c->repo && !err->code)
                c->after(c);
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
