/* SPDX-License-Identifier: MIT */
/*
 * The control socket: JSON lines or one HTTP request (docs/DAEMON.md, request.h).
 *
 * Nobody waits for a client: reading and writing go through buffers of the event loop. A client gets its deadline when it connects and a
 * new one with each whole request or with its answer taken, however many single bytes it sends; one that watches has none, but is
 * dropped when it does not read. Requests are read only while little is unsent, one in each turn of the loop, so that a client that asks
 * without end gets its answers at the speed at which it takes them, and others get theirs.
 *
 * Who asks is the kernel's word (SO_PEERCRED, SO_PEERGROUPS) at the time of connect.
 */
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <event2/listener.h>

#include "daemon.h"
#include "notify.h"
#include "request.h"

enum {
        CLIENTS_MAX = 64,
        CLIENTS_OF_USER_MAX = 16,
        CLIENTS_KEPT = 8,          /* of all places: for those who may change something, whoever else asks */
        UNSENT_BYTES = 256 * 1024, /* from then on no more requests are read */
        GROUPS_MAX = 256,
};

struct client {
        struct client *next;
        struct server *server;
        struct bufferevent *io;
        struct event *deadline, *turn;
        uid_t uid;
        pid_t pid;
        bool may_change, watches, ended, closing; /* ended: it sends no more, but may still take */
        bool let_in;                              /* it has one of the places; else it only hears why not */
        bool behind; /* it watches, and something changed before it had taken the last status */
        enum request_protocol protocol;
};

struct server {
        struct daemon *daemon;
        struct evconnlistener *listener;
        struct client *clients;
        size_t n_clients; /* that were let in */
        bool ours;        /* the socket's name: removed at the end */
        gid_t group;
        bool have_group;
        dev_t device; /* of the name when we made it */
        ino_t inode;
};

/* --- answers ------------------------------------------------------------------------------------------------------------ */

static void client_free(struct client *c)
{
        for (struct client **p = &c->server->clients; *p; p = &(*p)->next) {
                if (*p == c) {
                        *p = c->next;
                        c->server->n_clients -= c->let_in;
                        break;
                }
        }
        if (c->io)
                bufferevent_free(c->io);
        if (c->deadline)
                event_free(c->deadline);
        if (c->turn)
                event_free(c->turn);
        free(c);
}

static size_t unsent(const struct client *c)
{
        return evbuffer_get_length(bufferevent_get_output(c->io));
}

/* From now on it has so long for its next whole request, or to take what is unsent. */
static void set_deadline(struct client *c)
{
        struct timeval limit = { .tv_sec = c->server->daemon->client_seconds };
        if (c->watches && unsent(c) == 0)
                (void)evtimer_del(c->deadline);
        else
                (void)evtimer_add(c->deadline, &limit);
}

static void close_when_sent(struct client *c)
{
        c->closing = true;
        (void)bufferevent_disable(c->io, EV_READ);
}

static void answer(struct client *c, const struct oxl_json *json)
{
        cleanup_free char *text = NULL;

        if (oxl_json_print(json, &text, NULL) < 0 || bufferevent_write(c->io, text, strlen(text)) < 0 ||
            bufferevent_write(c->io, "\n", 1) < 0)
                close_when_sent(c); /* without memory an answer cannot be whole */
}

static void answer_error(struct client *c, const struct oxl_error *err)
{
        cleanup_json struct oxl_json *json = oxl_json_object();
        struct oxl_json *e = oxl_json_object();
        size_t n = oxl_error_text(err, NULL, 0);
        cleanup_free char *text = malloc(n + 1);

        if (text)
                oxl_error_text(err, text, n + 1);
        oxl_json_set_string(e, "code", oxl_error_slug(err->code));
        oxl_json_set_string(e, "message", text);
        /* The facts of the message: a client makes the same error of them. */
        if (err->path[0])
                oxl_json_set_name(e, "path", err->path[0], strlen(err->path[0]));
        if (err->detail)
                oxl_json_set_string(e, "detail", err->detail);
        oxl_json_set(json, "error", e);
        answer(c, json);
}

static void answer_code(struct client *c, enum oxl_code code, const char *path, const char *why)
{
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        (void)util_error(&err, code, 0, path, why);
        answer_error(c, &err);
}

static void answer_ok(struct client *c)
{
        cleanup_json struct oxl_json *json = oxl_json_object();
        oxl_json_set_bool(json, "ok", true);
        answer(c, json);
}

static void answer_status(struct client *c, struct repository *only)
{
        cleanup_json struct oxl_json *json = status_document(c->server->daemon, only);
        answer(c, json);
}

/* --- changes ------------------------------------------------------------------------------------------------------------ */

static void keep_state(struct client *c, struct state *fresh)
{
        struct daemon *d = c->server->daemon;
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        struct state old = d->state;

        free(fresh->by);
        fresh->by = util_format("uid %ju, pid %jd", (uintmax_t)c->uid, (intmax_t)c->pid);
        d->state = *fresh;
        if (state_save(d, &err) < 0) { /* not promised, so not done */
                *fresh = d->state;
                d->state = old;
                answer_error(c, &err);
                return;
        }
        *fresh = old;
        log_say(LOG_NOTE, "%s, limit %ju bytes/s (0: as configured), %zu repositories paused; asked by %s",
                d->state.paused ? "paused" : "not paused", (uintmax_t)d->state.limit, d->state.n_paths,
                d->state.by ? d->state.by : "?");
        supervisor_steer(d);
        answer_ok(c);
}

static int copy_state(const struct state *from, struct state *to, struct oxl_error *err)
{
        *to = (struct state){ .paused = from->paused, .limit = from->limit };
        for (size_t i = 0; i < from->n_paths; i++) {
                int r = state_pause(to, from->paths[i], true, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

static void change_state(struct client *c, const struct request *q, const char *path)
{
        cleanup(state_done) struct state fresh = { 0 };
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        int r = copy_state(&c->server->daemon->state, &fresh, &err);

        if (r == 0 && q->what == REQUEST_RESUME && path && fresh.paused) {
                answer_code(c, OXL_E_DAEMON_REQUEST, path, "all repositories are paused: resume without naming one");
                return;
        }
        if (r == 0 && q->what == REQUEST_LIMIT)
                fresh.limit = q->rate;
        else if (r == 0)
                r = state_pause(&fresh, path, q->what == REQUEST_PAUSE, &err);
        if (r < 0)
                answer_error(c, &err);
        else
                keep_state(c, &fresh);
}

static void scrub_now(struct client *c, struct repository *r)
{
        if (!r->present) {
                answer_code(c, OXL_E_DAEMON_WORKER, r->path, r->absent_why ? r->absent_why : "it is not there");
        } else if (supervisor_paused(r)) {
                answer_code(c, OXL_E_DAEMON_REQUEST, r->path, "scrubbing is paused: resume it first");
        } else {
                log_about(LOG_NOTE, &(struct log_about){ r->path, NULL, NULL }, "a pass was asked for by uid %ju",
                          (uintmax_t)c->uid);
                supervisor_want(r, JOB_SCRUB, true);
                answer_ok(c);
        }
}

static void answer_config_errors(struct client *c)
{
        const struct config_errors *e = &c->server->daemon->config_errors;
        cleanup_json struct oxl_json *json = oxl_json_object();
        struct oxl_json *error = oxl_json_object(), *list = oxl_json_array();

        for (size_t i = 0; i < e->n; i++)
                oxl_json_append(list, oxl_json_string(e->lines[i]));
        oxl_json_set_string(error, "code", oxl_error_slug(OXL_E_DAEMON_CONFIG));
        oxl_json_set_string(error, "message", "the file has errors; the old settings hold");
        oxl_json_set_name(error, "path", c->server->daemon->config_path, strlen(c->server->daemon->config_path));
        oxl_json_set_string(error, "detail", "the file has errors; the old settings hold");
        oxl_json_set(error, "errors", list);
        oxl_json_set(json, "error", error);
        answer(c, json);
}

int server_reload(struct daemon *d, struct oxl_error *err)
{
        (void)notify_state("RELOADING=1");
        int r = supervisor_reload(d, err);
        if (r == 0)
                log_say(LOG_NOTE, "settings were read again");
        for (size_t i = 0; i < d->config_errors.n; i++)
                log_about(LOG_ERROR, &(struct log_about){ NULL, "daemon-config", NULL }, "%s: %s", d->config_path,
                          d->config_errors.lines[i]);
        if (r < 0) {
                cleanup_free char *text = util_error_text(err);
                log_say(LOG_ERROR, "settings cannot be read, the old ones hold: %s", text ? text : "out of memory");
        }
        (void)notify_state("READY=1");
        return r;
}

static void reload(struct client *c)
{
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        int r = server_reload(c->server->daemon, &err);

        if (r == CONFIG_BAD)
                answer_config_errors(c);
        else if (r < 0)
                answer_error(c, &err);
        else
                answer_ok(c);
}

/* --- requests ----------------------------------------------------------------------------------------------------------- */

static void serve(struct client *c, const struct request *q)
{
        struct daemon *d = c->server->daemon;
        struct repository *r = q->repository ? supervisor_find(d, q->repository) : NULL;

        if (request_changes(q->what) && !c->may_change) {
                answer_code(c, OXL_E_DAEMON_DENIED, "request", "only root and the service user may change something");
                return;
        }
        if (q->repository && !r) {
                answer_code(c, OXL_E_DAEMON_REPOSITORY, q->repository, NULL);
                return;
        }
        switch (q->what) {
        case REQUEST_STATUS: answer_status(c, r); break;
        case REQUEST_WATCH:
                c->watches = true;
                answer_status(c, NULL);
                break;
        case REQUEST_FINDINGS: {
                cleanup_json struct oxl_json *json = status_findings(r);
                answer(c, json);
                break;
        }
        case REQUEST_PAUSE:
        case REQUEST_RESUME:
        case REQUEST_LIMIT: change_state(c, q, r ? r->path : NULL); break;
        case REQUEST_SCRUB:
                if (r) /* the parser demands one */
                        scrub_now(c, r);
                break;
        case REQUEST_RELOAD: reload(c); break;
        case REQUEST_KINDS: break;
        }
}

static void take_line(struct client *c, const char *line, size_t n)
{
        cleanup(request_done) struct request q = { 0 };
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        bool malformed = false;

        if (request_parse(line, n, &q, &malformed, &err) < 0)
                answer_error(c, &err);
        else
                serve(c, &q);
        if (malformed)
                close_when_sent(c);
}

/* @body is taken. */
static void send_http(struct client *c, const char *status, const char *type, struct evbuffer *body, bool head_only)
{
        struct evbuffer *out = bufferevent_get_output(c->io);

        (void)evbuffer_add_printf(out, "HTTP/1.0 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n", status, type,
                                  evbuffer_get_length(body));
        (void)evbuffer_add_printf(out, "%sConnection: close\r\n\r\n",
                                  strncmp(status, "405", 3) ? "" : "Allow: GET\r\n");
        if (!head_only)
                (void)evbuffer_add_buffer(out, body);
        evbuffer_free(body);
        close_when_sent(c);
}

static void answer_http(struct client *c, const char *head, size_t n)
{
        static const struct {
                const char *status, *type, *text;
        } kinds[] = {
                [REQUEST_PAGE_NONE] = { "404 Not Found", "text/plain; charset=utf-8",
                                        "only /metrics and /healthz are here\n" },
                [REQUEST_PAGE_METHOD] = { "405 Method Not Allowed", "text/plain; charset=utf-8",
                                          "only GET is answered\n" },
                [REQUEST_PAGE_METRICS] = { "200 OK", "text/plain; version=0.0.4; charset=utf-8", "" },
                [REQUEST_PAGE_HEALTH] = { "200 OK", "text/plain; charset=utf-8", "ok\n" },
        };
        enum request_page page = request_http_page(head, n);
        struct evbuffer *body = evbuffer_new();

        if (!body) {
                close_when_sent(c);
                return;
        }
        if (page == REQUEST_PAGE_METRICS)
                metrics_write(c->server->daemon, body);
        (void)evbuffer_add_printf(body, "%s", kinds[page].text);
        send_http(c, kinds[page].status, kinds[page].type, body, n >= 5 && memcmp(head, "HEAD ", 5) == 0);
}

/* No end of it came within what is read of one request. */
static void refuse_long(struct client *c)
{
        struct evbuffer *body = c->protocol == REQUEST_HTTP ? evbuffer_new() : NULL;

        if (body) {
                (void)evbuffer_add_printf(body, "the request is longer than 64 KiB\n");
                send_http(c, "400 Bad Request", "text/plain; charset=utf-8", body, false);
        } else {
                answer_code(c, OXL_E_DAEMON_REQUEST, "request", "is longer than 64 KiB");
                close_when_sent(c);
        }
}

/* One request, if it is whole. false: nothing more to do now. */
static bool take_request(struct client *c)
{
        struct evbuffer *in = bufferevent_get_input(c->io);
        size_t n = evbuffer_get_length(in);

        if (c->protocol == REQUEST_UNDECIDED && n > 0) {
                char first[REQUEST_METHOD_MAX + 1];
                ssize_t got = evbuffer_copyout(in, first, sizeof first);
                c->protocol = request_protocol(first, got > 0 ? (size_t)got : 0);
        }
        if (c->protocol == REQUEST_HTTP) {
                const char *bytes = (const char *)evbuffer_pullup(in, -1);
                size_t length = bytes ? request_http_length(bytes, n) : 0;
                if (length == 0)
                        return false;
                answer_http(c, bytes, length);
                (void)evbuffer_drain(in, n); /* unread bytes would cut the answer off */
                return true;
        }
        size_t length = 0;
        cleanup_free char *line = evbuffer_readln(in, &length, EVBUFFER_EOL_LF);
        if (!line)
                return false;
        take_line(c, line, length);
        return true;
}

/* One request in each turn of the loop, while the client takes its answers. */
static void go_on(struct client *c)
{
        struct timeval now = { 0 };

        if (c->closing || unsent(c) >= UNSENT_BYTES) {
                (void)bufferevent_disable(c->io, EV_READ);
                return;
        }
        if (!c->ended)
                (void)bufferevent_enable(c->io, EV_READ);
        /* A full input is announced in every turn of the loop; adding a timer that is due takes it out of this one, for ever. */
        if ((c->ended || evbuffer_get_length(bufferevent_get_input(c->io)) > 0) && !evtimer_pending(c->turn, NULL))
                (void)evtimer_add(c->turn, &now);
}

static void on_turn(evutil_socket_t fd, short what, void *ctx)
{
        struct client *c = ctx;

        (void)fd, (void)what;
        if (c->closing)
                return;
        if (take_request(c)) {
                set_deadline(c);
                go_on(c);
        } else if (c->ended) {
                close_when_sent(c);
                if (unsent(c) == 0)
                        client_free(c);
        } else if (evbuffer_get_length(bufferevent_get_input(c->io)) >= REQUEST_BYTES_MAX) {
                refuse_long(c);
        }
}

static void on_read(struct bufferevent *io, void *ctx)
{
        (void)io;
        go_on(ctx);
}

/* Everything was taken. */
static void on_written(struct bufferevent *io, void *ctx)
{
        struct client *c = ctx;

        (void)io;
        if (c->closing) {
                client_free(c);
                return;
        }
        if (c->behind) { /* else it would not hear of the last change before the next one */
                c->behind = false;
                answer_status(c, NULL);
        }
        set_deadline(c);
        go_on(c);
}

static void on_event(struct bufferevent *io, short what, void *ctx)
{
        struct client *c = ctx;

        (void)io;
        if (!(what & BEV_EVENT_EOF) || c->watches || c->closing) {
                client_free(c);
                return;
        }
        c->ended = true; /* `nc -N`: what it asked before is still answered */
        go_on(c);
}

static void on_deadline(evutil_socket_t fd, short what, void *ctx)
{
        (void)fd, (void)what;
        client_free(ctx);
}

void server_publish(struct daemon *d)
{
        for (struct client *c = d->server ? d->server->clients : NULL; c; c = c->next) {
                if (!c->watches || c->closing)
                        continue;
                c->behind = unsent(c) > 0;
                if (c->behind)
                        continue;
                answer_status(c, NULL);
                set_deadline(c);
        }
}

/* --- connections -------------------------------------------------------------------------------------------------------- */

static bool in_group(int fd, const struct ucred *peer, gid_t group)
{
        gid_t groups[GROUPS_MAX];
        socklen_t n = sizeof groups;

        if (peer->gid == group)
                return true;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &n) < 0)
                return false;
        for (size_t i = 0; i < n / sizeof groups[0]; i++)
                if (groups[i] == group)
                        return true;
        return false;
}

static size_t clients_of(const struct server *s, uid_t uid)
{
        size_t n = 0;
        for (const struct client *c = s->clients; c; c = c->next)
                n += c->let_in && c->uid == uid;
        return n;
}

/* Why it is not let in; NULL: welcome. */
static const char *refusal(const struct server *s, int fd, const struct ucred *peer, bool may_change,
                           enum oxl_code *ret)
{
        *ret = OXL_E_DAEMON_LIMIT;
        if (s->n_clients >= CLIENTS_MAX - (may_change ? 0 : CLIENTS_KEPT))
                return "too many clients are connected";
        if (clients_of(s, peer->uid) >= CLIENTS_OF_USER_MAX)
                return "this user has 16 connections";
        *ret = OXL_E_DAEMON_DENIED;
        if (!may_change && !(s->have_group && in_group(fd, peer, s->group)))
                return "only root, the service user and the socket's group may ask";
        return NULL;
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from, int length, void *ctx)
{
        struct server *s = ctx;
        struct event_base *base = s->daemon->base;
        struct ucred peer = { 0 };
        socklen_t n = sizeof peer;
        struct client *c = calloc(1, sizeof *c);
        enum oxl_code code = OXL_E_NOMEM;

        (void)listener, (void)from, (void)length;
        if (!c || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0) {
                free(c);
                (void)evutil_closesocket(fd);
                return;
        }
        bool may_change = peer.uid == 0 || peer.uid == geteuid();
        const char *why = refusal(s, fd, &peer, may_change, &code);
        *c = (struct client){ .server = s, .uid = peer.uid, .pid = peer.pid, .may_change = may_change, .let_in = !why };
        c->next = s->clients;
        s->clients = c;
        s->n_clients += c->let_in;
        c->io = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
        c->deadline = evtimer_new(base, on_deadline, c);
        c->turn = evtimer_new(base, on_turn, c);
        if (!c->io)
                (void)evutil_closesocket(fd);
        if (!c->io || !c->deadline || !c->turn) {
                client_free(c);
                return;
        }
        bufferevent_setcb(c->io, on_read, on_written, on_event, c);
        bufferevent_setwatermark(c->io, EV_READ, 0, REQUEST_BYTES_MAX);
        (void)bufferevent_enable(c->io, EV_READ | EV_WRITE);
        set_deadline(c);
        if (why) {
                answer_code(c, code, "request", why);
                close_when_sent(c);
        }
}

/* --- the socket --------------------------------------------------------------------------------------------------------- */

static int address_of(const char *path, struct sockaddr_un *ret, struct oxl_error *err)
{
        *ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
        if (strlen(path) >= sizeof ret->sun_path)
                return util_error(err, OXL_E_DAEMON_CONFIG, 0, path, "is too long for a socket");
        memcpy(ret->sun_path, path, strlen(path) + 1);
        return 0;
}

static int make_parent(const char *path, struct oxl_error *err)
{
        cleanup_free char *parent = strdup(path);
        char *slash = parent ? strrchr(parent, '/') : NULL;

        if (!parent)
                return util_error(err, OXL_E_NOMEM, 0, NULL, NULL);
        if (!slash || slash == parent)
                return 0;
        *slash = '\0';
        if (mkdir(parent, 0755) < 0 && errno != EEXIST)
                return util_error(err, OXL_E_DIR_CREATE, errno, parent, NULL);
        return 0;
}

/* A name that a dead daemon left is removed; one at which somebody answers, or that is no socket, is an error. */
static int clear_name(const char *path, const struct sockaddr_un *address, struct oxl_error *err)
{
        struct stat st;

        if (lstat(path, &st) < 0)
                return errno == ENOENT ? 0 : util_error(err, OXL_E_FILE_STAT, errno, path, NULL);
        if (!S_ISSOCK(st.st_mode))
                return util_error(err, OXL_E_FILE_EXISTS, 0, path, NULL);
        cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return util_error(err, OXL_E_FILE_CREATE, errno, path, NULL);
        if (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 || errno == EAGAIN)
                return util_error(err, OXL_E_DAEMON_RUNNING, 0, path, "somebody answers at this socket");
        if (unlink(path) < 0 && errno != ENOENT)
                return util_error(err, OXL_E_FILE_REMOVE, errno, path, NULL);
        return 0;
}

static int bind_socket(struct server *s, int *ret, struct oxl_error *err)
{
        const char *path = s->daemon->config.socket_path;
        struct sockaddr_un address;
        struct stat st;
        int r = address_of(path, &address, err);

        if (r == 0)
                r = make_parent(path, err);
        if (r == 0)
                r = clear_name(path, &address, err);
        if (r < 0)
                return r;
        cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return util_error(err, OXL_E_FILE_CREATE, errno, path, NULL);
        mode_t before = umask(0177); /* nobody else, until the group is set */
        r = bind(fd, (const struct sockaddr *)&address, sizeof address);
        int e = errno;
        (void)umask(before);
        if (r < 0)
                return util_error(err, OXL_E_FILE_CREATE, e, path, NULL);
        if (s->have_group && chown(path, (uid_t)-1, s->group) < 0)
                log_say(LOG_WARN, "cannot give '%s' to group '%s': %s", path, s->daemon->config.socket_group,
                        strerror(errno));
        if (chmod(path, 0660) < 0 || listen(fd, 128) < 0 || lstat(path, &st) < 0)
                return util_error(err, OXL_E_FILE_META, errno, path, NULL);
        s->ours = true;
        s->device = st.st_dev;
        s->inode = st.st_ino;
        *ret = util_take_fd(&fd);
        return 0;
}

int server_begin(struct daemon *d, struct oxl_error *err)
{
        struct server *s = calloc(1, sizeof *s);
        struct group *group = getgrnam(d->config.socket_group);
        bool many = false;
        int fd = notify_socket(&many), r = 0;

        if (!s)
                return util_error(err, OXL_E_NOMEM, 0, NULL, NULL);
        d->server = s;
        s->daemon = d;
        s->have_group = group != NULL;
        s->group = group ? group->gr_gid : 0;
        if (!group)
                log_say(d->config.group_given ? LOG_WARN : LOG_INFORM,
                        "/socket/group: there is no group '%s': only root and this user may ask for status",
                        d->config.socket_group);
        if (many)
                return util_error(err, OXL_E_DAEMON_CONFIG, 0, "oxen-lited.socket",
                                  "must have exactly one ListenStream=");
        if (fd < 0)
                r = bind_socket(s, &fd, err);
        else
                (void)evutil_make_socket_nonblocking(fd);
        if (r < 0)
                return r;
        s->listener = evconnlistener_new(d->base, on_accept, s, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
        if (!s->listener) {
                (void)close(fd);
                return util_error(err, OXL_E_NOMEM, 0, NULL, NULL);
        }
        return 0;
}

/* The name is removed only while it is the one that we made. */
void server_done(struct daemon *d)
{
        struct server *s = d->server;
        struct stat st;

        if (!s)
                return;
        while (s->clients)
                client_free(s->clients);
        if (s->listener)
                evconnlistener_free(s->listener);
        if (s->ours && lstat(d->config.socket_path, &st) == 0 && st.st_dev == s->device && st.st_ino == s->inode)
                (void)unlink(d->config.socket_path);
        free(s);
        d->server = NULL;
}
