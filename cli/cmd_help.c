/* SPDX-License-Identifier: MIT */
/* Help, from the tables of main.c: what is written there is all there is to say. */
#include <stdio.h>
#include <string.h>

#include "cli.h"

void help_short(void)
{
        (void)fputs(
                "oxen-lite keeps versions of data safe.\n\n"
                "usage: oxen-lite COMMAND [OPTION]... [ARGUMENT]...\n\n",
                stderr);
        for (const struct command *k = commands; k->name; k++)
                if (k->flags & COMMAND_COMMON)
                        (void)fprintf(stderr, "  %-9s %s\n", k->name, k->about);
        (void)fputs("\nAll commands: oxen-lite help. One of them: oxen-lite help COMMAND.\n\n", stderr);
}

static void options(struct cli *c, const struct option_row *rows)
{
        char left[80];

        for (; rows && rows->id != OPT_NONE; rows++) {
                char letter[8] = "   ";
                if (rows->letter)
                        (void)snprintf(letter, sizeof letter, "-%c%s", rows->letter, rows->name ? "," : "");
                (void)snprintf(left, sizeof left, "%s %s%s%s%s", letter, rows->name ? "--" : "",
                               rows->name ? rows->name : "", rows->value && rows->name ? " " : "",
                               rows->value ? rows->value : "");
                if (strlen(left) > 24)
                        out(c, "  %s\n  %-24s  %s\n", left, "", rows->help);
                else
                        out(c, "  %-24s  %s\n", left, rows->help);
        }
}

static void all_commands(struct cli *c)
{
        out(c, "usage: oxen-lite COMMAND [OPTION]... [ARGUMENT]...\n\nCommands:\n");
        for (const struct command *k = commands; k->name; k++)
                out(c, "  %-9s %s\n", k->name, k->about);
        out(c, "\nOptions of every command:\n");
        options(c, global_options);
        out(c, "\nRevisions: HEAD, HEAD~2, a branch, a tag, an id or the first 4 digits or more of it.\n");
}

static const char *exit_codes(const struct command *k)
{
        if (k->flags & COMMAND_FSCK)
                return "  0 clean, 1 repaired, 4 problems left, 8 could not check everything, 16 usage,\n"
                       "  32 interrupted; added up\n";
        return "  0 done, 1 failed, 2 usage, 3 damaged (run oxen-lite fsck), 4 locked by another process,\n"
               "  5 nothing to do, 130 interrupted\n";
}

void help_command(struct cli *c, const struct command *k)
{
        out(c, "usage: oxen-lite %s%s%s\n\n%s: %s\n", k->name, *k->synopsis ? " " : "", k->synopsis, k->name, k->about);
        if (k->more)
                out(c, "%s\n", k->more);
        if (k->options) {
                out(c, "\nOptions:\n");
                options(c, k->options);
        }
        out(c, "\nOptions of every command:\n");
        options(c, global_options);
        out(c, "\nExit codes:\n%s\nExample:\n  %s\n", exit_codes(k), k->example);
}

static struct oxl_json *options_json(const struct option_row *rows)
{
        struct oxl_json *all = oxl_json_array();

        for (; rows && rows->id != OPT_NONE; rows++) {
                struct oxl_json *o = oxl_json_object();
                char letter[2] = { rows->letter, '\0' };
                oxl_json_set_string(o, "letter", rows->letter ? letter : NULL);
                oxl_json_set_string(o, "name", rows->name);
                oxl_json_set_string(o, "value", rows->value);
                oxl_json_set_string(o, "help", rows->help);
                oxl_json_append(all, o);
        }
        return all;
}

static struct oxl_json *command_json(const struct command *k)
{
        struct oxl_json *o = oxl_json_object();

        oxl_json_set_string(o, "name", k->name);
        oxl_json_set_string(o, "synopsis", k->synopsis);
        oxl_json_set_string(o, "about", k->about);
        oxl_json_set_string(o, "more", k->more);
        oxl_json_set_bool(o, "common", (k->flags & COMMAND_COMMON) != 0);
        oxl_json_set_string(o, "exit_codes", exit_codes(k));
        oxl_json_set_string(o, "example", k->example);
        oxl_json_set(o, "options", options_json(k->options));
        return o;
}

static void help_json(struct cli *c, const struct command *only)
{
        struct oxl_json *o = oxl_json_object();

        oxl_json_set(o, "options", options_json(global_options));
        json_members(c, o);
        json_rows(c, "commands");
        for (const struct command *k = commands; k->name; k++)
                if (!only || only == k)
                        json_row(c, command_json(k));
        json_rows_end(c);
}

static const char *command_name(size_t *pos)
{
        return commands[*pos].name ? commands[(*pos)++].name : NULL;
}

int cmd_help(struct cli *c, int argc, char **argv, struct oxl_error *err)
{
        const struct command *k = argc ? command_find(argv[0]) : NULL;

        if (argc && !k) {
                const char *near = nearest(argv[0], command_name);
                return cli_usage(c, err, "no command '%s'%s%s%s", argv[0], near ? "; did you mean '" : "",
                                 near ? near : "", near ? "'?" : "");
        }
        if (c->json)
                help_json(c, k);
        else if (k)
                help_command(c, k);
        else
                all_commands(c);
        return 0;
}
