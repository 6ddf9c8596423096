/* SPDX-License-Identifier: MIT */
/*
 * oxen-lited: the background service. Runs in the foreground under a service manager, or alone.
 *
 * Order of the start: settings (all errors at once) -> state folder, locked -> socket -> signals -> repositories -> READY=1. Order of the
 * end: STOPPING=1 -> no more clients -> workers asked to end, 20 s -> last textfile -> socket's name removed -> exit 0.
 */
#include <getopt.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"
#include "notify.h"

enum {
        EXIT_OK = 0,
        EXIT_FAILED = 1,
        EXIT_USAGE = 2,
};

struct options {
        const char *config; /* borrowed from argv */
        const char *limits; /* borrowed; for tests: "CLIENT:SILENCE" */
        bool check, help, version, worker;
};

static const char help_text[] =
        "usage: oxen-lited [--config FILE] [--check-config]\n"
        "\n"
        "The background service of oxen-lite: recovers what dead processes left, sweeps stale\n"
        "temporary files, and verifies every byte within a promised time. It stays in the\n"
        "foreground, tells systemd when it is ready and when it stops, reads its settings\n"
        "again on SIGHUP, and ends on SIGTERM or SIGINT.\n"
        "\n"
        "      --config FILE   settings (default /etc/oxen-lite/daemon.json)\n"
        "      --check-config  name every error of the settings, and end: 0 none, 2 some\n"
        "  -h, --help          show this text\n"
        "  -V, --version       show the version\n"
        "\n"
        "Ask it with oxen-lite daemon status.\n";

/* 0, or EXIT_USAGE after getopt has said why. */
static int parse(int argc, char **argv, struct options *ret)
{
        static const struct option table[] = {
                { "config", required_argument, NULL, 'c' },
                { "check-config", no_argument, NULL, 'C' },
                { "worker", no_argument, NULL, 'w' }, /* for ourselves: child.c */
                { "test-limits", required_argument, NULL, 'L' },
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, 'V' },
                { 0 },
        };
        struct options o = { .config = "/etc/oxen-lite/daemon.json" };
        int c;

        while ((c = getopt_long(argc, argv, "hV", table, NULL)) != -1) {
                switch (c) {
                case 'c': o.config = optarg; break;
                case 'C': o.check = true; break;
                case 'w': o.worker = true; break;
                case 'L': o.limits = optarg; break;
                case 'h': o.help = true; break;
                case 'V': o.version = true; break;
                default: return EXIT_USAGE;
                }
        }
        if (optind < argc) {
                fprintf(stderr, "oxen-lited: unexpected argument '%s'; see --help\n", argv[optind]);
                return EXIT_USAGE;
        }
        *ret = o;
        return EXIT_OK;
}

static int print(const char *text)
{
        if (fputs(text, stdout) == EOF || fflush(stdout) == EOF) {
                fprintf(stderr, "oxen-lited: cannot write to standard output: %s\n", strerror(errno));
                return EXIT_FAILED;
        }
        return EXIT_OK;
}

static int fail(const struct oxl_error *err)
{
        cleanup_free char *text = util_error_text(err);
        fprintf(stderr, "oxen-lited: %s\n  next: %s\n", text ? text : "out of memory", oxl_error_next(err->code));
        return EXIT_FAILED;
}

/* --- settings ----------------------------------------------------------------------------------------------------------- */

static int load(const char *path, struct config *ret)
{
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        cleanup(config_errors_done) struct config_errors errors = { 0 };
        int r = config_load(path, ret, &errors, &err);

        if (r == 0)
                return EXIT_OK;
        if (r < 0) {
                (void)fail(&err);
                return EXIT_USAGE;
        }
        for (size_t i = 0; i < errors.n; i++)
                fprintf(stderr, "oxen-lited: %s: %s\n", path, errors.lines[i]);
        if (errors.more)
                fprintf(stderr, "oxen-lited: %s: and %zu more\n", path, errors.more);
        return EXIT_USAGE;
}

/* Not with the other errors: which groups there are changes without the file, and a service goes on without this one. */
static int check_group(const char *path, const struct config *c)
{
        cleanup_free char *name = c->group_given && !getgrnam(c->socket_group) ? util_escape(c->socket_group) : NULL;
        if (!name)
                return EXIT_OK;
        fprintf(stderr, "oxen-lited: %s: /socket/group: there is no group \"%s\"\n", path, name);
        return EXIT_USAGE;
}

static int check(const char *path)
{
        cleanup(config_done) struct config c = { 0 };
        int r = load(path, &c);
        if (r == EXIT_OK)
                r = check_group(path, &c);
        cleanup_free char *text =
                r == EXIT_OK ? util_format("%s: no errors, %zu repositories\n", path, c.n_repositories) : NULL;
        return r == EXIT_OK ? print(text ? text : "no errors\n") : r;
}

/* --- the process -------------------------------------------------------------------------------------------------------- */

/* A manager that cannot be told is no reason to stop working, but it is said. */
static void tell(const char *state)
{
        int r = notify_state(state);
        if (r < 0)
                log_say(LOG_WARN, "cannot tell the service manager '%s': %s", state, strerror(-r));
}

static void on_signal(evutil_socket_t number, short what, void *ctx)
{
        struct daemon *d = ctx;
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;

        (void)what;
        if (number == SIGCHLD) {
                child_reap(d);
        } else if (number == SIGHUP) {
                if (!d->stopping && server_reload(d, &err) != 0)
                        return; /* it said why */
        } else if (d->stopping) {
                child_kill_all(d); /* somebody is in a hurry */
        } else {
                log_say(LOG_NOTE, "stopping");
                tell("STOPPING=1");
                server_done(d);
                supervisor_stop(d);
        }
}

static void on_watchdog(evutil_socket_t fd, short what, void *ctx)
{
        (void)fd, (void)what, (void)ctx;
        (void)notify_state("WATCHDOG=1");
}

static int set_signals(struct daemon *d, struct oxl_error *err)
{
        static const int numbers[] = { SIGTERM, SIGINT, SIGHUP, SIGCHLD };
        struct sigaction ignore = { .sa_handler = SIG_IGN };

        (void)sigaction(SIGPIPE, &ignore, NULL);
        (void)sigaction(SIGXFSZ, &ignore, NULL);
        for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
                d->signals[i] = evsignal_new(d->base, numbers[i], on_signal, d);
                if (!d->signals[i] || evsignal_add(d->signals[i], NULL) < 0)
                        return util_error(err, OXL_E_NOMEM, 0, NULL, NULL);
        }
        return 0;
}

/* At half of what the manager wants. The timer runs in the loop: a loop that hangs is restarted. */
static void set_watchdog(struct daemon *d)
{
        int64_t half = notify_watchdog_ms() / 2;
        struct timeval every = { .tv_sec = (time_t)(half / 1000), .tv_usec = (suseconds_t)(half % 1000 * 1000) };

        if (half <= 0)
                return;
        d->watchdog = event_new(d->base, -1, EV_PERSIST, on_watchdog, d);
        if (!d->watchdog || evtimer_add(d->watchdog, &every) < 0)
                log_say(LOG_ERROR, "no watchdog: out of memory");
}

static void log_libevent(int severity, const char *text)
{
        if (severity >= EVENT_LOG_WARN)
                log_say(severity == EVENT_LOG_ERR ? LOG_ERROR : LOG_WARN, "libevent: %s", text);
}

static int begin(struct daemon *d, struct oxl_error *err)
{
        event_set_log_callback(log_libevent);
        d->base = event_base_new();
        if (!d->base)
                return util_error(err, OXL_E_NOMEM, 0, NULL, NULL);
        int r = state_load(d, err);
        if (r == 0)
                r = server_begin(d, err);
        if (r == 0)
                r = set_signals(d, err);
        if (r == 0)
                r = supervisor_begin(d, err);
        if (r == 0)
                set_watchdog(d);
        return r;
}

static void end(struct daemon *d)
{
        server_done(d);
        supervisor_done(d);
        for (size_t i = 0; i < ARRAY_LEN(d->signals); i++)
                if (d->signals[i])
                        event_free(d->signals[i]);
        if (d->watchdog)
                event_free(d->watchdog);
        if (d->base)
                event_base_free(d->base);
        libevent_global_shutdown();
        state_done(&d->state);
        config_errors_done(&d->config_errors);
        config_done(&d->config);
        util_closep(&d->state_lock);
}

static bool parse_limits(const char *text, struct daemon *d)
{
        char *end;
        unsigned long client = strtoul(text, &end, 10);
        if (end == text || *end != ':' || client == 0 || client > 99)
                return false;
        const char *second = end + 1;
        unsigned long silence = strtoul(second, &end, 10);
        if (end == second || *end || silence == 0 || silence > 9999)
                return false;
        d->client_seconds = (unsigned)client;
        d->silence_seconds = (unsigned)silence;
        return true;
}

static int serve(const struct options *o)
{
        struct daemon d = {
                .config_path = o->config,
                .config_ok = true,
                .client_seconds = CLIENT_SECONDS,
                .silence_seconds = SILENCE_SECONDS,
                .inotify = -1,
                .state_lock = -1,
        };
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        if (o->limits && !parse_limits(o->limits, &d))
                return EXIT_USAGE;
        int status = load(o->config, &d.config);

        if (status != EXIT_OK)
                return status;
        d.started_ns = util_now_ns();
        if (begin(&d, &err) < 0) {
                status = fail(&err);
        } else {
                log_say(LOG_NOTE, "oxen-lited " OXL_VERSION ": %zu repositories, socket %s", d.n_repositories,
                        d.config.socket_path);
                tell("READY=1");
                if (event_base_dispatch(d.base) < 0)
                        status = EXIT_FAILED;
                metrics_textfile(&d);
        }
        end(&d);
        return status;
}

int main(int argc, char **argv)
{
        struct options o;
        int r = parse(argc, argv, &o);
        if (r != EXIT_OK)
                return r;
        if (o.worker)
                return worker_main();
        if (o.help)
                return print(help_text);
        if (o.version)
                return print("oxen-lited " OXL_VERSION "\n");
        return o.check ? check(o.config) : serve(&o);
}
