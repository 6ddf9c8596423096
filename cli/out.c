/* SPDX-License-Identifier: MIT */
/*
 * Text on stdout. Every byte passes out_bytes(), which remembers the first failed write; out_end() flushes and says so.
 *
 * Names come from disks that others wrote. Control characters are always shown as \xHH, so that a name is one line and
 * cannot move a cursor; bytes that are not UTF-8 only on a terminal, so that a pipe gets them as they are. Scripts that
 * must tell all names apart use --json.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

void out_bytes(struct cli *c, const void *bytes, size_t n)
{
        if (c->out_errno || n == 0)
                return;
        progress_erase(c); /* both may be on one terminal */
        errno = 0;
        if (fwrite(bytes, 1, n, stdout) != n)
                c->out_errno = errno ? errno : EIO;
}

void out(struct cli *c, const char *format, ...)
{
        va_list ap;

        if (c->out_errno)
                return;
        progress_erase(c);
        errno = 0;
        va_start(ap, format);
        if (vfprintf(stdout, format, ap) < 0)
                c->out_errno = errno ? errno : EIO;
        va_end(ap);
}

int out_end(struct cli *c, struct oxl_error *err)
{
        errno = 0;
        if (fflush(stdout) == EOF && !c->out_errno)
                c->out_errno = errno ? errno : EIO;
        if (c->out_errno)
                return cli_error(err, OXL_E_FILE_WRITE, c->out_errno, "standard output", NULL);
        return 0;
}

void out_colour(struct cli *c, enum colour colour)
{
        static const char *const codes[] = {
                [COLOUR_NONE] = "\033[m", [COLOUR_GOOD] = "\033[32m", [COLOUR_BAD] = "\033[31m",
                [COLOUR_ID] = "\033[33m", [COLOUR_BOLD] = "\033[1m",
        };
        if (c->color_out)
                out(c, "%s", codes[colour]);
}

/* --- names ----------------------------------------------------------------------------------------------------------- */

char *escape_name(const char *name, bool foreign, bool keep_lines)
{
        size_t n = strlen(name) * OXL_ESCAPE_GROWTH + 1;
        char *text = malloc(n);

        if (text)
                oxl_text_escape(name, (foreign ? OXL_ESCAPE_BYTES : 0U) | (keep_lines ? OXL_ESCAPE_KEEP_LINES : 0U),
                                text, n);
        return text;
}

void out_name(struct cli *c, const char *name)
{
        cleanup_free char *text = escape_name(name, isatty(STDOUT_FILENO), false);
        if (text)
                out_bytes(c, text, strlen(text));
        else if (!c->out_errno)
                c->out_errno = ENOMEM;
}

/* --- values ----------------------------------------------------------------------------------------------------------- */

const char *size_text(uint64_t bytes, char buf[SIZE_TEXT])
{
        static const char units[] = "KMGTPE";
        if (bytes < 1024) {
                (void)snprintf(buf, SIZE_TEXT, "%u byte%s", (unsigned)bytes, plural(bytes));
                return buf;
        }
        double v = (double)bytes / 1024;
        size_t unit = 0;
        for (; v >= 1023.95 && unit + 2 < sizeof units; unit++)
                v /= 1024;
        (void)snprintf(buf, SIZE_TEXT, "%.1f %ciB", v, units[unit]);
        return buf;
}

const char *time_text(enum time_form form, int64_t seconds, int zone_minutes, char buf[TIME_TEXT])
{
        int zone = zone_minutes < 0 ? -zone_minutes : zone_minutes;
        time_t local = 0;
        struct tm t;
        char text[40];

        if (__builtin_add_overflow(seconds, (int64_t)zone_minutes * 60, &local) || !gmtime_r(&local, &t) ||
            strftime(text, sizeof text, form == TIME_ISO ? "%Y-%m-%dT%H:%M:%S" : "%a %b %e %H:%M:%S %Y", &t) == 0) {
                (void)snprintf(buf, TIME_TEXT, "@%lld", (long long)seconds); /* a year that no calendar has */
                return buf;
        }
        (void)snprintf(buf, TIME_TEXT, "%s%s%c%02d%s%02d", text, form == TIME_ISO ? "" : " ",
                       zone_minutes < 0 ? '-' : '+', zone / 60 % 100, form == TIME_ISO ? ":" : "", zone % 60);
        return buf;
}

const char *kind_text(char kind)
{
        switch (kind) {
        case 'f': return "file";
        case 'x': return "executable";
        case 'l': return "symlink";
        case 'd': return "directory";
        default: return "absent";
        }
}

const char *digest_short(const struct oxl_digest *d, char buf[OXL_DIGEST_TEXT_MAX])
{
        buf[0] = '\0';
        if (d->algo != OXL_ALGO_NONE)
                oxl_digest_text(d, buf);
        buf[12] = '\0';
        return buf;
}

/* --- commits ----------------------------------------------------------------------------------------------------------- */

static void out_message(struct cli *c, const char *message)
{
        cleanup_free char *text = escape_name(message, isatty(STDOUT_FILENO), true);

        for (const char *line = text; line && *line;) {
                const char *end = strchr(line, '\n');
                size_t n = end ? (size_t)(end - line) : strlen(line);
                out(c, "%s", n ? "    " : "");
                out_bytes(c, line, n);
                out(c, "\n");
                line += n + (end ? 1 : 0);
        }
}

void out_commit(struct cli *c, const struct oxl_commit_info *info)
{
        char id[OXL_DIGEST_TEXT_MAX], when[TIME_TEXT];

        oxl_digest_text(&info->id, id);
        out_colour(c, COLOUR_ID);
        out(c, "commit %s", id);
        out_colour(c, COLOUR_NONE);
        out(c, "\n");
        if (info->n_parents > 1) {
                out(c, "Merge:");
                for (unsigned i = 0; i < info->n_parents; i++)
                        out(c, " %s", digest_short(&info->parents[i], id));
                out(c, "\n");
        }
        out(c, "Author: ");
        out_name(c, info->author);
        out(c, "\nDate:   %s\n\n", time_text(TIME_PEOPLE, info->seconds, info->zone_minutes, when));
        out_message(c, info->message);
}

struct oxl_json *json_commit(const struct oxl_commit_info *info)
{
        struct oxl_json *row = oxl_json_object(), *parents = oxl_json_array();
        char text[OXL_DIGEST_TEXT_MAX], when[TIME_TEXT];

        for (unsigned i = 0; i < info->n_parents; i++) {
                oxl_digest_text(&info->parents[i], text);
                oxl_json_append(parents, oxl_json_string(text));
        }
        oxl_json_set_digest(row, "id", &info->id);
        oxl_json_set(row, "parents", parents);
        oxl_json_set_digest(row, "tree", &info->tree);
        oxl_json_set_string(row, "author", info->author);
        oxl_json_set_string(row, "time", time_text(TIME_ISO, info->seconds, info->zone_minutes, when));
        oxl_json_set_string(row, "message", info->message);
        return row;
}
