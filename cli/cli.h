/* SPDX-License-Identifier: MIT */
/*
 * The command line: what its files share.
 *
 * main.c has the table of commands; options.c reads argv by that table; a command is one function in cmd_<name>.c that
 * calls the library and prints rows. What every command promises is kept here and nowhere else:
 *   - with --json exactly one document on stdout, also when the command fails (json_out.c);
 *   - errors, hints, progress and what recovery did go to stderr (errors.c, progress.c);
 *   - stdout is flushed and checked before the exit code is decided (out.c): 0 means that the reader got everything.
 * A command returns 0, or a negative code with @err filled; cli_usage() makes the errors of the user's own input.
 *
 * Threads: none. A signal sets one flag (signals.c); the library and every row callback look at it.
 */
#ifndef OXL_CLI_H
#define OXL_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <oxenlite/json.h>
#include <oxenlite/repo.h>
#include <oxenlite/verbs.h>

#define cleanup(fn) __attribute__((cleanup(fn)))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static inline void cli_freep(void *p)
{
        void **pp = p;
        free(*pp);
        *pp = NULL;
}
#define cleanup_free cleanup(cli_freep)
#define cleanup_error cleanup(oxl_error_done)

/* --- the table of commands -------------------------------------------------------------------------------------- */

enum option_id {
        OPT_NONE = 0,
        /* of every command */
        OPT_DIR,
        OPT_JSON,
        OPT_QUIET,
        OPT_NO_PROGRESS,
        OPT_WAIT,
        OPT_TRUST,
        OPT_COLOR,
        OPT_HELP,
        OPT_VERSION,
        /* of some */
        OPT_ALL,
        OPT_ALLOW_EMPTY,
        OPT_APPLY,
        OPT_CACHED,
        OPT_CREATE,
        OPT_DELETE,
        OPT_DRY_RUN,
        OPT_EDIT,
        OPT_EMPTY_TRASH,
        OPT_EXPLAIN,
        OPT_FORCE,
        OPT_FROM,
        OPT_HASH,
        OPT_HTML,
        OPT_JOBS,
        OPT_MEDIA,
        OPT_MESSAGE,
        OPT_NUMBER,
        OPT_OXEN,
        OPT_PURGE,
        OPT_QUICK,
        OPT_RATE,
        OPT_RECORD,
        OPT_RECURSIVE,
        OPT_REPAIR,
        OPT_SAMPLE,
        OPT_SINCE_DAYS,
        OPT_SOCKET,
        OPT_SOURCE,
        OPT_STAGED,
        OPT_STATE,
        OPT_TIME_LIMIT,
        OPT_TO,
        OPT_UNDO,
        OPT_VERIFY,
        OPT_WATCH,
};

struct option_row {
        enum option_id id;
        char letter;       /* 0: none */
        const char *name;  /* long name without dashes; NULL: none */
        const char *value; /* what help calls the value; NULL: a flag */
        const char *help;
};

enum command_flags {
        COMMAND_REPO = 1 << 0,   /* the repository is opened before the command runs */
        COMMAND_WRITES = 1 << 1, /* an edited config.json stops it; without this flag it is only a warning */
        COMMAND_COMMON = 1 << 2, /* in the short help */
        COMMAND_FSCK = 1 << 3,   /* exit codes of fsck(8) */
};

struct cli;
typedef int command_fn(struct cli *c, int argc, char **argv, struct oxl_error *err);

struct command {
        const char *name;
        command_fn *fn;
        unsigned flags;                   /* enum command_flags */
        int min_args, max_args;           /* max < 0: any number */
        const struct option_row *options; /* ends with a zero row; NULL: none of its own */
        const char *synopsis;             /* what follows the name; "" for nothing */
        const char *about;                /* one line */
        const char *more;                 /* what the line does not say; NULL: nothing */
        const char *example;
};

extern const struct command commands[]; /* sorted by name, ends with a zero row */
extern const struct option_row global_options[];

/* NULL: no such command. */
const struct command *command_find(const char *name);

command_fn cmd_add, cmd_branch, cmd_cat, cmd_commit, cmd_config, cmd_copy, cmd_daemon, cmd_doctor, cmd_health, cmd_why,
        cmd_diff, cmd_op, cmd_rm, cmd_switch, cmd_tag, cmd_undo, cmd_fsck, cmd_gc, cmd_help, cmd_init, cmd_log, cmd_ls,
        cmd_recover, cmd_restore, cmd_show, cmd_status, cmd_sweep, cmd_version;

/* --- one run ------------------------------------------------------------------------------------------------------ */

struct option_value {
        enum option_id id;
        const char *value; /* borrowed from argv; NULL for flags */
};

struct progress_count {
        uint64_t files, files_total, bytes, bytes_total; /* totals: 0 when not known */
};

struct progress {
        int64_t started_ms, shown_ms; /* monotonic; 0: not yet */
        int64_t delay_ms;             /* before the line comes */
        int64_t phase_ms;             /* when the phase began that @phase names */
        struct progress_count begin;  /* counted before it */
        const char *phase;            /* borrowed: phases are static texts */
        bool enabled, visible;
};

/* The one JSON document of a run. */
struct json_out {
        bool begun, in_rows, has_row, in_text;
        unsigned carry_n; /* bytes of a base64 group that is not complete */
        unsigned char carry[3];
};

struct cli {
        const struct command *command; /* NULL until known */
        struct option_value *values;
        size_t n_values;
        char **args; /* of the command; the texts are borrowed from argv */
        int n_args;

        bool json, quiet, help, version;
        bool color_out, color_err;
        const char *dir;

        struct oxl_repo_options repo_options;
        struct oxl_repo *repo;      /* NULL unless COMMAND_REPO */
        char owner[64];             /* what others read in a lock message */
        struct oxl_json *recovered; /* array; NULL: nothing was recovered */
        struct json_out js;
        struct progress progress;
        char near[256];               /* the branch or tag that was probably meant; "" when none is */
        char usage[512];              /* what is wrong with the command line; "" when nothing is */
        int out_errno;                /* first failed write to stdout; 0: none */
        void (*after)(struct cli *c); /* once what was done is acknowledged and the reader has it; may be NULL */
        int exit;                     /* exit code that the command chose itself (fsck); < 0: by the error */
};

/* Was it given? The last value given; NULL when not. Values in turn: start with *pos = 0; NULL at the end. */
bool cli_has(const struct cli *c, enum option_id id);
const char *cli_value(const struct cli *c, enum option_id id);
const char *cli_next_value(const struct cli *c, enum option_id id, size_t *pos);

/* Fills @err as the library would. @path and @detail may be NULL. */
void cli_error_fill(struct oxl_error *err, enum oxl_code code, int os, const char *path, const char *detail);
static inline int cli_error(struct oxl_error *err, enum oxl_code code, int os, const char *path, const char *detail)
{
        cli_error_fill(err, code, os, path, detail);
        return -(int)code;
}
/* The command line itself is wrong: exit 2 (fsck 16). The text is one sentence. -OXL_E_INVALID. */
__attribute__((format(printf, 3, 4))) void cli_usage_fill(struct cli *c, struct oxl_error *err, const char *format,
                                                          ...);
#define cli_usage(c, err, ...) (cli_usage_fill(c, err, __VA_ARGS__), -(int)OXL_E_INVALID)
/* For row callbacks: 0 go on; CANCELLED after a signal; FILE_WRITE when stdout cannot be written. */
int cli_go_on(struct cli *c, struct oxl_error *err);
/* Typed paths -> paths of the working tree, "" for an empty list when @whole. Owned: paths_done(). */
struct paths {
        char **items;
        size_t n;
};
void paths_done(struct paths *p);
int cli_paths(struct cli *c, int argc, char **argv, bool whole, struct paths *ret, struct oxl_error *err);

/* Digits only, at most @max. */
bool cli_number(const char *text, uint64_t max, uint64_t *ret);

/* --- options.c, help.c -------------------------------------------------------------------------------------------- */

int options_parse(struct cli *c, int argc, char **argv, struct oxl_error *err);
/* The name nearest to @name when it is near enough, else NULL. @next walks the candidates from *pos = 0 to NULL. */
typedef const char *candidate_fn(size_t *pos);
const char *nearest(const char *name, candidate_fn *next);
/* Takes @candidate for *ret (@size bytes) when it is nearer than *least; begin with *least 0. */
void nearer(const char *name, const char *candidate, size_t *least, char *ret, size_t size);

void help_short(void); /* on stderr: it comes with exit 2 */
void help_command(struct cli *c, const struct command *k);

/* --- out.c: text on stdout ------------------------------------------------------------------------------------------ */

enum colour { COLOUR_NONE = 0, COLOUR_GOOD, COLOUR_BAD, COLOUR_ID, COLOUR_BOLD };

void out_bytes(struct cli *c, const void *bytes, size_t n);
__attribute__((format(printf, 2, 3))) void out(struct cli *c, const char *format, ...);
/* A name or message from outside: nothing in it can steer a terminal or begin a line. */
void out_name(struct cli *c, const char *name);
void out_colour(struct cli *c, enum colour colour); /* NONE: back to normal */
/* Flushes. 0, or FILE_WRITE. */
int out_end(struct cli *c, struct oxl_error *err);

#define SIZE_TEXT 32
/* "17 bytes", "1.2 GiB" */
const char *size_text(uint64_t bytes, char buf[SIZE_TEXT]);
#define plural(n) ((n) == 1 ? "" : "s")

/* Escapes @name as out_name does, malloc'd; NULL without memory. @foreign: bytes that are not UTF-8 too. */
char *escape_name(const char *name, bool foreign, bool keep_lines);

#define TIME_TEXT 64
enum time_form { TIME_ISO, TIME_PEOPLE };
const char *time_text(enum time_form form, int64_t seconds, int zone_minutes, char buf[TIME_TEXT]);

void out_commit(struct cli *c, const struct oxl_commit_info *info);
struct oxl_json *json_commit(const struct oxl_commit_info *info);
/* "file", "executable", … */
const char *kind_text(char kind);
/* First 12 digits, as long as @buf lives. */
const char *digest_short(const struct oxl_digest *d, char buf[OXL_DIGEST_TEXT_MAX]);

/* --- json_out.c: the document ------------------------------------------------------------------------------------- */

/* Members of @object, which is taken, go into the document. */
void json_members(struct cli *c, struct oxl_json *object);
/* An array member, row by row; rows are taken. */
void json_rows(struct cli *c, const char *key);
void json_row(struct cli *c, struct oxl_json *row);
void json_rows_end(struct cli *c);
/* A string member in base64, piece by piece. */
void json_text(struct cli *c, const char *key);
void json_text_bytes(struct cli *c, const unsigned char *bytes, size_t n);
void json_text_end(struct cli *c);
/* Closes what is open, adds what recovery did and the error (NULL: none). */
void json_end(struct cli *c, const struct oxl_error *err);

/* cmd_gc.c: merges small packs when there are many. */
void gc_after(struct cli *c);

/* --- errors.c, progress.c, signals.c -------------------------------------------------------------------------------- */

void errors_print(struct cli *c, const struct oxl_error *err);
int errors_exit(const struct cli *c, const struct oxl_error *err);
const char *errors_slug(const struct cli *c, const struct oxl_error *err);
/* The message, malloc'd; NULL without memory. */
char *errors_text(const struct cli *c, const struct oxl_error *err);
/* One line on stderr: `oxen-lite: 'path': text`. @path may be NULL. */
void errors_note(struct cli *c, const char *path, const char *text);

oxl_recovered_fn recovered_show;
enum { KEPT_MAX = 20 }; /* kept files that a text names; JSON has all */
struct oxl_json *kept_json(const struct oxl_kept *kept, size_t n);
oxl_notice_fn notice_show;
oxl_progress_fn progress_show;
void progress_setup(struct cli *c, bool wanted);
void progress_erase(struct cli *c);

void signals_setup(void);
extern atomic_bool signals_cancel;

#endif
