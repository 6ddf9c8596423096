/* SPDX-License-Identifier: MIT */
/*
 * daemon: the client of oxen-lited's control socket (docs/DAEMON.md). One connection, one request, one answer; with --watch one answer after
 * the other. What the daemon refuses is the command's own error, made of the daemon's facts.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli.h"
#include "daemon_html.h"

enum {
        ANSWER_BYTES_MAX = 64 << 20,
        ANSWER_SECONDS = 60,
};

static const char default_socket[] = "/run/oxen-lite/control";

static const struct verb {
        const char *name;
        int min, max; /* arguments after it */
        const char *member;
} verbs[] = {
        { "status", 0, 1, "repository" }, { "findings", 1, 1, "repository" }, { "pause", 0, 1, "repository" },
        { "resume", 0, 1, "repository" }, { "scrub", 1, 1, "repository" },    { "limit", 1, 1, "rate" },
        { "reload", 0, 0, NULL },         { "report", 0, 0, NULL },
};

struct connection {
        int fd;
        const char *path;
        char *bytes; /* received, not yet taken */
        size_t n, room;
        bool watch; /* there is no limit to the wait for an answer */
};

static void connection_done(struct connection *k)
{
        if (k->fd >= 0)
                (void)close(k->fd);
        free(k->bytes);
}

static void json_freep(struct oxl_json **j)
{
        oxl_json_free(*j);
}

/* --- talking ------------------------------------------------------------------------------------------------------------ */

static int connect_to(struct connection *k, bool watch, struct oxl_error *err)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        if (strlen(k->path) >= sizeof address.sun_path)
                return cli_error(err, OXL_E_INVALID, 0, k->path, "a socket's name has at most 107 bytes");
        memcpy(address.sun_path, k->path, strlen(k->path) + 1);
        k->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (k->fd < 0 || connect(k->fd, (const struct sockaddr *)&address, sizeof address) < 0)
                return cli_error(err, OXL_E_DAEMON_ABSENT, errno, k->path, NULL);
        k->watch = watch;
        return 0;
}

static int ask(struct connection *k, const struct oxl_json *request, struct oxl_error *err)
{
        cleanup_free char *text = NULL;
        int r = oxl_json_print(request, &text, err);

        if (r < 0)
                return r;
        size_t n = strlen(text), sent = 0;
        text[n++] = '\n'; /* in place of the final NUL */
        while (sent < n) {
                ssize_t now = send(k->fd, text + sent, n - sent, MSG_NOSIGNAL);
                if (now < 0 && errno == EPIPE)
                        return 0; /* it said why before it closed: read that */
                if (now < 0)
                        return cli_error(err, OXL_E_DAEMON_ABSENT, errno, k->path, NULL);
                sent += (size_t)now;
        }
        return 0;
}

static int grow(struct connection *k, struct oxl_error *err)
{
        if (k->room - k->n >= 4096)
                return 0;
        size_t room = k->room ? k->room * 2 : 65536;
        char *bytes = room <= ANSWER_BYTES_MAX ? realloc(k->bytes, room) : NULL;
        if (!bytes)
                return cli_error(err, room > ANSWER_BYTES_MAX ? OXL_E_DAEMON_ANSWER : OXL_E_NOMEM, 0, k->path,
                                 "the answer is too long");
        k->bytes = bytes;
        k->room = room;
        return 0;
}

/* The signals are let in by ppoll alone: one that came while we were at work is seen before we wait, perhaps for hours. */
static int wait_for_bytes(const struct connection *k, struct oxl_error *err)
{
        struct pollfd p = { .fd = k->fd, .events = POLLIN };
        struct timespec limit = { .tv_sec = ANSWER_SECONDS };
        sigset_t stop, before;
        int r = 0;

        sigemptyset(&stop);
        sigaddset(&stop, SIGINT);
        sigaddset(&stop, SIGTERM);
        sigaddset(&stop, SIGHUP);
        (void)sigprocmask(SIG_BLOCK, &stop, &before);
        if (!atomic_load(&signals_cancel))
                r = ppoll(&p, 1, k->watch ? NULL : &limit, &before);
        (void)sigprocmask(SIG_SETMASK, &before, NULL);
        if (atomic_load(&signals_cancel))
                return cli_error(err, OXL_E_CANCELLED, 0, NULL, NULL);
        return r == 0 ? cli_error(err, OXL_E_DAEMON_ANSWER, 0, k->path, "no answer within a minute") : 0;
}

/* The next line, parsed. */
static int read_answer(struct connection *k, struct oxl_json **ret, struct oxl_error *err)
{
        char *end = NULL;

        while (!(end = k->n ? memchr(k->bytes, '\n', k->n) : NULL)) {
                int r = grow(k, err);
                if (r < 0)
                        return r;
                r = wait_for_bytes(k, err);
                if (r < 0)
                        return r;
                ssize_t got = recv(k->fd, k->bytes + k->n, k->room - k->n, MSG_DONTWAIT);
                if (got < 0 && (errno == EINTR || errno == EAGAIN))
                        continue;
                if (got <= 0)
                        return cli_error(err, OXL_E_DAEMON_ANSWER, 0, k->path,
                                         "the connection was closed before the answer");
                k->n += (size_t)got;
        }
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        size_t n = (size_t)(end - k->bytes);
        if (oxl_json_parse(k->bytes, n, "answer", ret, &why) < 0)
                return cli_error(err, OXL_E_DAEMON_ANSWER, 0, k->path, "the answer is no JSON");
        k->n -= n + 1;
        memmove(k->bytes, end + 1, k->n);
        return 0;
}

/* --- what it refused -------------------------------------------------------------------------------------------------------- */

/* The errors that a daemon makes, and no others: what it calls them is not believed further than that. */
static enum oxl_code code_of(const char *slug)
{
        static const enum oxl_code codes[] = {
                OXL_E_DAEMON_CONFIG, OXL_E_DAEMON_REQUEST, OXL_E_DAEMON_DENIED,
                OXL_E_DAEMON_LIMIT,  OXL_E_DAEMON_WORKER,  OXL_E_DAEMON_REPOSITORY,
        };
        for (size_t i = 0; slug && i < ARRAY_LEN(codes); i++)
                if (strcmp(oxl_error_slug(codes[i]), slug) == 0)
                        return codes[i];
        return OXL_E_DAEMON_ANSWER;
}

static int refused(struct cli *c, struct connection *k, const struct oxl_json *error, struct oxl_error *err)
{
        const struct oxl_json *list = oxl_json_get(error, "errors"), *line = NULL;
        enum oxl_code code = code_of(oxl_json_get_string(error, "code"));
        cleanup_free char *path = NULL;
        const char *key = NULL;
        size_t n, pos = 0;

        while (list && oxl_json_member(list, &pos, &key, &line))
                errors_note(c, oxl_json_get_string(error, "path"), oxl_json_text(line) ? oxl_json_text(line) : "");
        if (code == OXL_E_DAEMON_ANSWER || !oxl_json_get_name(error, "path", &path, &n)) {
                const char *message = oxl_json_get_string(error, "message");
                return cli_error(err, code, 0, k->path, message ? message : "refused without a reason");
        }
        return cli_error(err, code, 0, path, oxl_json_get_string(error, "detail"));
}

/* --- status as text --------------------------------------------------------------------------------------------------------- */

static uint64_t number(const struct oxl_json *o, const char *key)
{
        uint64_t n = 0;
        (void)(o && oxl_json_get_u64(o, key, &n));
        return n;
}

static const char *words(const struct oxl_json *o, const char *key, const char *otherwise)
{
        const char *text = o ? oxl_json_get_string(o, key) : NULL;
        return text && *text ? text : otherwise;
}

static void show_contract(struct cli *c, const struct oxl_json *r)
{
        const struct oxl_json *contract = oxl_json_get(r, "contract"), *coverage = oxl_json_get(r, "coverage");
        int64_t days = 0;
        bool met = false, known = contract && oxl_json_get_bool(contract, "met", &met);
        char verified[SIZE_TEXT], all[SIZE_TEXT], never[SIZE_TEXT], overdue[SIZE_TEXT];

        (void)(contract && oxl_json_get_int(contract, "days", &days));
        out(c, "  contract  every byte within %lld day%s: ", (long long)days, plural(days));
        out_colour(c, !known ? COLOUR_NONE : met ? COLOUR_GOOD : COLOUR_BAD);
        out(c, "%s", !known ? "not known yet" : met ? "met" : "NOT MET");
        out_colour(c, COLOUR_NONE);
        out(c, ", next due ");
        out_name(c, words(contract, "due", "never"));
        out(c, "\n");
        if (!coverage || !known)
                return;
        out(c, "  verified  %s of %s", size_text(number(coverage, "verified_bytes"), verified),
            size_text(number(coverage, "bytes"), all));
        if (number(coverage, "never_files"))
                out(c, "; never: %s", size_text(number(coverage, "never_bytes"), never));
        if (number(coverage, "overdue_files"))
                out(c, "; overdue: %s", size_text(number(coverage, "overdue_bytes"), overdue));
        out(c, "\n");
}

static void show_pass(struct cli *c, const struct oxl_json *r)
{
        const struct oxl_json *pass = oxl_json_get(r, "pass");
        char done[SIZE_TEXT], all[SIZE_TEXT], rate[SIZE_TEXT];

        if (pass && oxl_json_get_string(pass, "state")) {
                out(c, "  pass      %s of %s", size_text(number(pass, "bytes"), done),
                    size_text(number(pass, "bytes_total"), all));
                if (number(r, "rate"))
                        out(c, ", at most %s/s", size_text(number(r, "rate"), rate));
                out(c, "\n");
        }
        out(c, "  clean     last clean pass: ");
        out_name(c, words(r, "last_clean", "none yet"));
        out(c, "\n");
}

/* "swept 12 (owner-dead 10, lock-free 2), kept 1 (alive 1)" */
static void show_temps(struct cli *c, const struct oxl_json *temps)
{
        static const char *const groups[] = { "swept", "kept" };

        out(c, "  temps     ");
        for (size_t g = 0; g < ARRAY_LEN(groups); g++) {
                const struct oxl_json *group = temps ? oxl_json_get(temps, groups[g]) : NULL, *row = NULL;
                uint64_t sum = 0;
                const char *key = NULL, *before = " (";
                size_t pos = 0;
                while (group && oxl_json_member(group, &pos, &key, &row))
                        sum += number(row, "files");
                out(c, "%s%s %llu", g ? ", " : "", groups[g], (unsigned long long)sum);
                for (pos = 0; sum && oxl_json_member(group, &pos, &key, &row);) {
                        if (!number(row, "files"))
                                continue;
                        out(c, "%s", before);
                        out_name(c, key);
                        out(c, " %llu", (unsigned long long)number(row, "files"));
                        before = ", ";
                }
                out(c, "%s", sum ? ")" : "");
        }
        out(c, "\n");
}

static void show_repository(struct cli *c, const struct oxl_json *r)
{
        const struct oxl_json *recoveries = oxl_json_get(r, "recoveries");
        uint64_t findings = number(r, "findings");
        bool read_only = false;

        out_colour(c, COLOUR_BOLD);
        out_name(c, words(r, "path", "?"));
        out_colour(c, COLOUR_NONE);
        out(c, "  ");
        out_name(c, words(r, "state", "?"));
        if (oxl_json_get_bool(r, "read_only", &read_only) && read_only)
                out(c, " (another user's: looked at only)");
        out(c, "\n");
        if (words(r, "last_error", NULL)) {
                out(c, "  error     ");
                out_name(c, words(r, "last_error", ""));
                out(c, "\n");
        }
        if (strcmp(words(r, "state", ""), "absent") == 0)
                return;
        show_contract(c, r);
        show_pass(c, r);
        out(c, "  findings  ");
        out_colour(c, findings ? COLOUR_BAD : COLOUR_NONE);
        out(c, "%llu", (unsigned long long)findings);
        out_colour(c, COLOUR_NONE);
        out(c, "\n");
        show_temps(c, oxl_json_get(r, "temps"));
        out(c, "  intents   %llu open; finished %llu, undone %llu, set aside %llu\n",
            (unsigned long long)number(r, "intents"), (unsigned long long)number(recoveries, "rolled-forward"),
            (unsigned long long)number(recoveries, "rolled-back"),
            (unsigned long long)number(recoveries, "superseded"));
}

static void show_status(struct cli *c, const struct oxl_json *answer)
{
        const struct oxl_json *config = oxl_json_get(answer, "config"), *list = oxl_json_get(answer, "repositories"),
                              *row;
        bool ok = true, paused = false;
        const char *key;
        size_t pos = 0;
        char limit[SIZE_TEXT];

        out(c, "oxen-lited ");
        out_name(c, words(answer, "version", "?"));
        out(c, ", since ");
        out_name(c, words(answer, "started", "?"));
        if (oxl_json_get_bool(answer, "paused", &paused) && paused)
                out(c, ", scrubbing is paused");
        if (number(answer, "limit"))
                out(c, ", limited to %s/s", size_text(number(answer, "limit"), limit));
        out(c, "\n");
        if (config && oxl_json_get_bool(config, "ok", &ok) && !ok) {
                out_colour(c, COLOUR_BAD);
                out(c, "the settings have errors, the old ones hold: oxen-lited --check-config\n");
                out_colour(c, COLOUR_NONE);
        }
        while (list && oxl_json_member(list, &pos, &key, &row)) {
                out(c, "\n");
                show_repository(c, row);
        }
}

static void show_findings(struct cli *c, const struct oxl_json *answer)
{
        const struct oxl_json *list = oxl_json_get(answer, "findings"), *row = NULL;
        const char *key = NULL;
        size_t pos = 0;
        bool known = true;

        while (list && oxl_json_member(list, &pos, &key, &row)) {
                bool repaired = false;
                (void)oxl_json_get_bool(row, "repaired", &repaired);
                out_colour(c, COLOUR_BAD);
                out_name(c, words(row, "severity", "?"));
                out_colour(c, COLOUR_NONE);
                out(c, " ");
                out_name(c, words(row, "slug", "?"));
                out(c, " ");
                out_name(c, words(row, "path", ""));
                out(c, "%s%s", repaired ? " (repaired)" : "", words(row, "detail", NULL) ? ": " : "");
                out_name(c, words(row, "detail", ""));
                out(c, "\n");
        }
        if (oxl_json_get_bool(answer, "known", &known) && !known && number(answer, "total"))
                out(c, "%llu recorded; the next pass lists them, or run oxen-lite fsck\n",
                    (unsigned long long)number(answer, "total"));
        else if (pos == 0)
                out(c, "no findings\n");
}

/* --- the command ------------------------------------------------------------------------------------------------------------- */

static void show(struct cli *c, const struct verb *v, const struct oxl_json *answer)
{
        if (strcmp(v->name, "status") == 0)
                show_status(c, answer);
        else if (strcmp(v->name, "findings") == 0)
                show_findings(c, answer);
        else if (!c->quiet)
                out(c, "done\n");
}

static int one_answer(struct cli *c, struct connection *k, const struct verb *v, struct oxl_error *err)
{
        cleanup(json_freep) struct oxl_json *answer = NULL;
        int r = read_answer(k, &answer, err);

        if (r < 0)
                return r;
        if (oxl_json_get(answer, "error"))
                return refused(c, k, oxl_json_get(answer, "error"), err);
        if (!c->json) {
                show(c, v, answer);
                return 0;
        }
        struct oxl_json *members = oxl_json_object();
        oxl_json_set_string(members, "request", v->name);
        oxl_json_set(members, "answer", answer);
        answer = NULL;
        json_members(c, members);
        return 0;
}

/* Until interrupted. On a terminal each picture takes the place of the one before. */
static int watch(struct cli *c, struct connection *k, struct oxl_error *err)
{
        bool terminal = isatty(STDOUT_FILENO);

        if (c->json)
                json_rows(c, "updates");
        for (bool first = true;; first = false) {
                cleanup(json_freep) struct oxl_json *answer = NULL;
                int r = read_answer(k, &answer, err);
                if (r < 0)
                        return r;
                if (oxl_json_get(answer, "error"))
                        return refused(c, k, oxl_json_get(answer, "error"), err);
                if (c->json) {
                        json_row(c, answer);
                        answer = NULL;
                } else {
                        out(c, "%s", terminal ? "\033[H\033[2J" : first ? "" : "\n");
                        show_status(c, answer);
                }
                r = out_end(c, err);
                if (r < 0)
                        return r;
        }
}

/* --- report ------------------------------------------------------------------------------------------------------------------ */

/* What the daemon refuses to tell of one repository leaves the others in the report: *ret is then NULL. */
static int ask_findings(struct connection *k, const struct oxl_json *row, struct oxl_json **ret, struct oxl_error *err)
{
        cleanup(json_freep) struct oxl_json *request = oxl_json_object(), *answer = NULL;
        cleanup_free char *path = NULL;
        size_t n;

        *ret = NULL;
        if (strcmp(words(row, "state", ""), "absent") == 0 || !oxl_json_get_name(row, "path", &path, &n))
                return 0;
        oxl_json_set_string(request, "do", "findings");
        oxl_json_set_name(request, "repository", path, n);
        int r = ask(k, request, err);
        if (r == 0)
                r = read_answer(k, &answer, err);
        if (r < 0 || oxl_json_get(answer, "error"))
                return r;
        *ret = answer;
        answer = NULL;
        return 0;
}

static int add_repositories(struct daemon_html *d, struct connection *k, const struct oxl_json *status,
                            struct oxl_error *err)
{
        const struct oxl_json *list = oxl_json_get(status, "repositories"), *row = NULL;
        const char *key = NULL;
        size_t pos = 0;
        int r = 0;

        while (r == 0 && list && oxl_json_member(list, &pos, &key, &row)) {
                cleanup(json_freep) struct oxl_json *findings = NULL;
                r = ask_findings(k, row, &findings, err);
                if (r == 0)
                        r = daemon_html_add(d, row, findings, err);
        }
        return r;
}

static int report(struct cli *c, struct connection *k, const char *file, struct oxl_error *err)
{
        cleanup(json_freep) struct oxl_json *request = oxl_json_object(), *status = NULL;
        cleanup(daemon_html_done) struct daemon_html d = { 0 };

        oxl_json_set_string(request, "do", "status");
        int r = ask(k, request, err);
        if (r == 0)
                r = read_answer(k, &status, err);
        if (r == 0 && oxl_json_get(status, "error"))
                r = refused(c, k, oxl_json_get(status, "error"), err);
        if (r == 0)
                r = add_repositories(&d, k, status, err);
        if (r == 0)
                r = daemon_html_write(&d, status, file, err);
        if (r < 0)
                return r;
        if (c->json) {
                struct oxl_json *members = oxl_json_object(), *answer = oxl_json_object();
                oxl_json_set_name(answer, "html", file, strlen(file));
                oxl_json_set_u64(answer, "repositories", d.repositories);
                oxl_json_set_string(members, "request", "report");
                oxl_json_set(members, "answer", answer);
                json_members(c, members);
        } else if (!c->quiet) {
                out(c, "report: ");
                out_name(c, file);
                out(c, "\n");
        }
        return 0;
}

/* --- the command line ----------------------------------------------------------------------------------------------------------- */

/* As the daemon knows it: absolute, links resolved where it is there. */
static char *absolute(const char *path)
{
        char *real = realpath(path, NULL);
        char here[4096], *text = NULL;

        if (real || path[0] == '/')
                return real ? real : strdup(path);
        if (!getcwd(here, sizeof here) || asprintf(&text, "%s/%s", here, path) < 0)
                return NULL;
        return text;
}

static int make_request(struct cli *c, const struct verb *v, char *argument, struct oxl_json *to, struct oxl_error *err)
{
        oxl_json_set_string(to, "do", cli_has(c, OPT_WATCH) ? "watch" : v->name);
        if (!argument)
                return 0;
        if (strcmp(v->member, "rate") == 0) {
                oxl_json_set_string(to, "rate", argument);
                return 0;
        }
        cleanup_free char *path = absolute(argument);
        if (!path)
                return cli_error(err, OXL_E_NOMEM, 0, NULL, NULL);
        oxl_json_set_name(to, v->member, path, strlen(path));
        return 0;
}

static const char *verb_name(size_t *pos)
{
        return *pos < ARRAY_LEN(verbs) ? verbs[(*pos)++].name : NULL;
}

static int find_verb(struct cli *c, int argc, char **argv, const struct verb **ret, struct oxl_error *err)
{
        const struct verb *v = NULL;

        for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
                if (strcmp(verbs[i].name, argv[0]) == 0)
                        v = &verbs[i];
        if (!v) {
                const char *near = nearest(argv[0], verb_name);
                return near ? cli_usage(c, err, "no daemon command '%s'; did you mean '%s'?", argv[0], near)
                            : cli_usage(c, err, "no daemon command '%s'", argv[0]);
        }
        if (argc - 1 < v->min)
                return cli_usage(c, err, "daemon %s needs a %s", v->name, v->member);
        if (argc - 1 > v->max)
                return cli_usage(c, err, "unexpected argument '%s' for daemon %s", argv[v->max + 1], v->name);
        if (cli_has(c, OPT_WATCH) && strcmp(v->name, "status") != 0)
                return cli_usage(c, err, "--watch is for daemon status");
        if (cli_has(c, OPT_WATCH) && argc > 1)
                return cli_usage(c, err, "daemon status --watch shows all repositories: leave '%s' out", argv[1]);
        if (cli_has(c, OPT_HTML) != (strcmp(v->name, "report") == 0))
                return cli_usage(c, err, "daemon report needs --html FILE, and nothing else takes it");
        *ret = v;
        return 0;
}

int cmd_daemon(struct cli *c, int argc, char **argv, struct oxl_error *err)
{
        const char *path = cli_value(c, OPT_SOCKET);
        cleanup(connection_done) struct connection k = { .fd = -1, .path = path ? path : default_socket };
        cleanup(json_freep) struct oxl_json *request = oxl_json_object();
        const struct verb *v = NULL;
        const char *page = cli_value(c, OPT_HTML);
        int r = find_verb(c, argc, argv, &v, err);

        if (r == 0 && page)
                r = html_check_target(c, page, err);
        if (r == 0)
                r = make_request(c, v, argc > 1 ? argv[1] : NULL, request, err);
        if (r == 0)
                r = connect_to(&k, cli_has(c, OPT_WATCH), err);
        if (r == 0 && page)
                return report(c, &k, page, err);
        if (r == 0)
                r = ask(&k, request, err);
        if (r < 0)
                return r;
        return cli_has(c, OPT_WATCH) ? watch(c, &k, err) : one_answer(c, &k, v, err);
}
