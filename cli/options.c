/* SPDX-License-Identifier: MIT */
/*
 * Reads argv by the tables of main.c: `-x`, `-xVALUE`, `-x VALUE`, `-xy`, `--name`, `--name=VALUE`, `--name VALUE`; `--` ends
 * the options. The options of every command may stand before or after its name, its own only after it.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

void cli_error_fill(struct oxl_error *err, enum oxl_code code, int os, const char *path, const char *detail)
{
        oxl_error_done(err);
        err->code = code;
        err->os = os;
        err->path[0] = path ? strdup(path) : NULL;
        err->detail = detail ? strdup(detail) : NULL;
}

void cli_usage_fill(struct cli *c, struct oxl_error *err, const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(c->usage, sizeof c->usage, format, ap);
        va_end(ap);
        cli_error_fill(err, OXL_E_INVALID, 0, NULL, NULL);
}

bool cli_has(const struct cli *c, enum option_id id)
{
        for (size_t i = 0; i < c->n_values; i++)
                if (c->values[i].id == id)
                        return true;
        return false;
}

const char *cli_next_value(const struct cli *c, enum option_id id, size_t *pos)
{
        while (*pos < c->n_values) {
                const struct option_value *v = &c->values[(*pos)++];
                if (v->id == id)
                        return v->value;
        }
        return NULL;
}

const char *cli_value(const struct cli *c, enum option_id id)
{
        const char *last = NULL, *v;
        size_t pos = 0;

        while ((v = cli_next_value(c, id, &pos)))
                last = v;
        return last;
}

/* Optimal string alignment: insertion, deletion, substitution, swap of neighbours cost 1. Names are short. */
static size_t distance(const char *a, const char *b)
{
        enum { MAX = 24 };
        size_t d[MAX + 1][MAX + 1];
        size_t n = strlen(a), m = strlen(b);

        if (n > MAX || m > MAX)
                return MAX;
        for (size_t i = 0; i <= n; i++)
                d[i][0] = i;
        for (size_t j = 0; j <= m; j++)
                d[0][j] = j;
        for (size_t i = 1; i <= n; i++) {
                for (size_t j = 1; j <= m; j++) {
                        size_t best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
                        if (d[i - 1][j] + 1 < best)
                                best = d[i - 1][j] + 1;
                        if (d[i][j - 1] + 1 < best)
                                best = d[i][j - 1] + 1;
                        if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                            d[i - 2][j - 2] + 1 < best)
                                best = d[i - 2][j - 2] + 1;
                        d[i][j] = best;
                }
        }
        return d[n][m];
}

/* One typing error in a short word, two in a long one. */
static size_t too_far(const char *name)
{
        return strlen(name) < 4 ? 2 : 3;
}

const char *nearest(const char *name, candidate_fn *next)
{
        const char *best = NULL, *candidate;
        size_t least = too_far(name);
        size_t pos = 0;

        while ((candidate = next(&pos))) {
                size_t d = distance(name, candidate);
                if (d < least) {
                        least = d;
                        best = candidate;
                }
        }
        return best;
}

void nearer(const char *name, const char *candidate, size_t *least, char *ret, size_t size)
{
        size_t d = distance(name, candidate);

        if (*least == 0)
                *least = too_far(name);
        if (d >= *least || strlen(candidate) >= size)
                return;
        *least = d > 0 ? d : 1;
        memcpy(ret, candidate, strlen(candidate) + 1);
}

/* --- parsing --------------------------------------------------------------------------------------------------------- */

struct scan {
        char **argv;
        int argc, at; /* the next word */
};

static const struct option_row *row_in(const struct option_row *rows, char letter, const char *name, size_t n)
{
        for (; rows && rows->id != OPT_NONE; rows++) {
                if (letter && rows->letter == letter)
                        return rows;
                if (name && rows->name && strlen(rows->name) == n && memcmp(rows->name, name, n) == 0)
                        return rows;
        }
        return NULL;
}

static const struct option_row *row_of(const struct cli *c, char letter, const char *name, size_t n)
{
        const struct option_row *row = c->command ? row_in(c->command->options, letter, name, n) : NULL;
        return row ? row : row_in(global_options, letter, name, n);
}

/* The option of the command, or of every command, that was probably meant; NULL: none is near. */
static const char *nearest_option(const struct cli *c, const char *name)
{
        const struct option_row *tables[] = { c->command ? c->command->options : NULL, global_options };
        const char *best = NULL;
        size_t least = too_far(name);

        for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
                for (const struct option_row *row = tables[i]; row && row->id != OPT_NONE; row++) {
                        size_t d = row->name ? distance(name, row->name) : least;
                        if (d < least) {
                                least = d;
                                best = row->name;
                        }
                }
        }
        return best;
}

static int unknown_option(struct cli *c, const char *name, size_t n, struct oxl_error *err)
{
        char typed[101];

        (void)snprintf(typed, sizeof typed, "%.*s", (int)(n < 100 ? n : 100), name);
        const char *near = nearest_option(c, typed);
        return cli_usage(c, err, "unknown option '--%s'%s%s%s%s%s", typed, c->command ? " for " : "",
                         c->command ? c->command->name : "", near ? "; did you mean '--" : "", near ? near : "",
                         near ? "'?" : "");
}

static int set_wait(struct cli *c, const char *value, struct oxl_error *err)
{
        uint64_t seconds;

        if (strcmp(value, "forever") == 0) {
                c->repo_options.wait_ms = -1;
                return 0;
        }
        if (!cli_number(value, INT32_MAX, &seconds))
                return cli_usage(c, err, "--wait takes a number of seconds or 'forever', not '%s'", value);
        c->repo_options.wait_ms = (int64_t)seconds * 1000;
        return 0;
}

/* Keeps what was given; the options of every command take effect at once. */
static int accept(struct cli *c, const struct option_row *row, const char *value, struct oxl_error *err)
{
        c->values[c->n_values++] = (struct option_value){ row->id, value };
        if (row->id == OPT_DIR)
                c->dir = value;
        else if (row->id == OPT_JSON)
                c->json = true;
        else if (row->id == OPT_QUIET)
                c->quiet = true;
        else if (row->id == OPT_TRUST)
                c->repo_options.trust = true;
        else if (row->id == OPT_HELP)
                c->help = true;
        else if (row->id == OPT_VERSION)
                c->version = true;
        else if (row->id == OPT_WAIT && value)
                return set_wait(c, value, err);
        return 0;
}

static int take_long(struct cli *c, struct scan *s, const char *word, struct oxl_error *err)
{
        const char *name = word + 2, *equals = strchr(name, '=');
        size_t n = equals ? (size_t)(equals - name) : strlen(name);
        const struct option_row *row = row_of(c, 0, name, n);

        if (!row)
                return unknown_option(c, name, n, err);
        if (!row->value) {
                if (equals)
                        return cli_usage(c, err, "--%s takes no value", row->name);
                return accept(c, row, NULL, err);
        }
        if (equals)
                return accept(c, row, equals + 1, err);
        if (s->at == s->argc)
                return cli_usage(c, err, "--%s needs a value: %s", row->name, row->value);
        return accept(c, row, s->argv[s->at++], err);
}

static int take_short(struct cli *c, struct scan *s, const char *word, struct oxl_error *err)
{
        for (const char *p = word + 1; *p; p++) {
                const struct option_row *row = row_of(c, *p, NULL, 0);
                if (!row)
                        return cli_usage(c, err, "unknown option '-%c'%s%s", *p, c->command ? " for " : "",
                                         c->command ? c->command->name : "");
                if (row->value) {
                        if (p[1])
                                return accept(c, row, p + 1, err);
                        if (s->at == s->argc)
                                return cli_usage(c, err, "-%c needs a value: %s", row->letter, row->value);
                        return accept(c, row, s->argv[s->at++], err);
                }
                int r = accept(c, row, NULL, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int take_words(struct cli *c, struct scan *s, struct oxl_error *err)
{
        bool ended = false;
        int r = 0;

        while (r == 0 && s->at < s->argc) {
                char *word = s->argv[s->at++];
                if (!ended && strcmp(word, "--") == 0)
                        ended = true;
                else if (!ended && word[0] == '-' && word[1] == '-')
                        r = take_long(c, s, word, err);
                else if (!ended && word[0] == '-' && word[1])
                        r = take_short(c, s, word, err);
                else if (c->command || c->n_args > 0 || !(c->command = command_find(word)))
                        c->args[c->n_args++] = word; /* with no command known: the name that is none */
        }
        return r;
}

/* A wrong option may stand before --json; the answer has the form that was asked for all the same. */
static bool asks_json(int argc, char **argv)
{
        for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
                if (strcmp(argv[i], "--json") == 0)
                        return true;
        return false;
}

static bool colour_for(const char *when, int fd)
{
        if (when && strcmp(when, "auto") != 0)
                return strcmp(when, "always") == 0;
        const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
        return !(no_color && *no_color) && term && strcmp(term, "dumb") != 0 && isatty(fd);
}

static int check_colour(struct cli *c, const char *when, struct oxl_error *err)
{
        if (when && strcmp(when, "auto") != 0 && strcmp(when, "always") != 0 && strcmp(when, "never") != 0)
                return cli_usage(c, err, "--color takes auto, always or never, not '%s'", when);
        return 0;
}

int options_parse(struct cli *c, int argc, char **argv, struct oxl_error *err)
{
        struct scan s = { .argv = argv, .argc = argc, .at = argc > 0 ? 1 : 0 };
        size_t words = 1;

        /* A word gives at most one value per letter. */
        for (int i = 0; i < argc; i++)
                words += strlen(argv[i]) + 1;
        c->values = calloc(words, sizeof *c->values);
        c->args = calloc((size_t)argc + 1, sizeof *c->args);
        if (!c->values || !c->args)
                return cli_error(err, OXL_E_NOMEM, 0, NULL, NULL);
        int r = take_words(c, &s, err);
        if (r < 0)
                c->json = asks_json(argc, argv);
        const char *when = cli_value(c, OPT_COLOR);
        if (r == 0)
                r = check_colour(c, when, err);
        c->color_out = !c->json && colour_for(when, STDOUT_FILENO);
        c->color_err = colour_for(when, STDERR_FILENO);
        progress_setup(c, !c->quiet && !cli_has(c, OPT_NO_PROGRESS));
        (void)snprintf(c->owner, sizeof c->owner, "oxen-lite %s", c->command ? c->command->name : "");
        return r;
}
