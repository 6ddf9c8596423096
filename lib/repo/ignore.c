/* SPDX-License-Identifier: MIT */
/*
 * See ignore.h. A pattern is compiled to tokens; the path runs through them as through an automaton whose states are the
 * places in the pattern, all at once, so there is no backtracking that could explode.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/path.h"
#include "os/fdio.h"
#include "repo/ignore.h"

enum { FILE_MAX = 1 << 20, LINE_MAX_BYTES = 4096 };

enum token_kind {
        TOKEN_BYTE,    /* that byte */
        TOKEN_ANY,     /* one byte but '/' */
        TOKEN_SET,     /* one byte of a set, never '/' */
        TOKEN_STAR,    /* bytes but '/' */
        TOKEN_ALL,     /* any bytes */
        TOKEN_FOLDERS, /* nothing, or any bytes that end in '/' */
        TOKEN_NEVER,   /* what no path can be: a set or an escape without end */
};

struct token {
        enum token_kind kind;
        unsigned char byte;
        unsigned set; /* index into the sets */
};

struct set {
        unsigned char bits[32];
};

struct oxl_pattern {
        bool negates, directory, base; /* base: without '/': the last component is matched */
        char *literal;                 /* owned: bytes before the first special one */
        size_t literal_len;
        struct token *tokens; /* owned: the rest */
        size_t n, shortest;   /* bytes that the rest needs at least */
        struct set *sets;     /* owned */
        size_t n_sets;
};

/* --- compiling ------------------------------------------------------------------------------------------------------- */

static void pattern_done(struct oxl_pattern *p)
{
        free(p->literal);
        free(p->tokens);
        free(p->sets);
}

void oxl_pattern_free(struct oxl_pattern *p)
{
        if (p)
                pattern_done(p);
        free(p);
}

static void pattern_freep(struct oxl_pattern **p)
{
        oxl_pattern_free(*p);
}

static void set_add(struct set *s, unsigned from, unsigned to)
{
        for (unsigned c = from; c <= to && c < 256; c++)
                s->bits[c / 8] |= (unsigned char)(1u << c % 8);
}

/* In the C locale, whatever is set. */
static bool class_has(const char *name, size_t n, unsigned c, bool *ret_known)
{
        bool lower = c >= 'a' && c <= 'z', upper = c >= 'A' && c <= 'Z', digit = c >= '0' && c <= '9';
        bool graph = c > 32 && c < 127, alnum = lower || upper || digit;
        const struct {
                const char *name;
                bool has;
        } classes[] = {
                { "alnum", alnum },
                { "alpha", lower || upper },
                { "blank", c == ' ' || c == '\t' },
                { "cntrl", c < 32 || c == 127 },
                { "digit", digit },
                { "graph", graph },
                { "lower", lower },
                { "print", graph || c == 32 },
                { "punct", graph && !alnum },
                { "space", c == ' ' || (c >= 9 && c <= 13) },
                { "upper", upper },
                { "xdigit", digit || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') },
        };
        *ret_known = false;
        for (size_t i = 0; i < OXL_ARRAY_LEN(classes); i++)
                if (strlen(classes[i].name) == n && memcmp(classes[i].name, name, n) == 0) {
                        *ret_known = true;
                        return classes[i].has;
                }
        return false;
}

/* "[:name:]" at @p, which points behind "[:". NULL: no such class, or no end. "[:" without ":]" stands for itself: the ':' is
 * then returned. */
static const char *take_class(const char *p, struct set *s)
{
        const char *end = strchr(p, ']');
        bool known = true;
        if (!end)
                return NULL;
        if (end == p || end[-1] != ':' || end - 1 < p) { /* "[" and ":" are members */
                set_add(s, '[', '[');
                return p - 1;
        }
        for (unsigned c = 0; c < 256 && known; c++)
                if (class_has(p, (size_t)(end - 1 - p), c, &known))
                        set_add(s, c, c);
        return known ? end + 1 : NULL;
}

/* The set whose '[' is before @p. NULL: it has no end, or an unknown class. */
static const char *take_set(const char *p, struct set *s)
{
        bool negated = *p == '!' || *p == '^', first = true;
        unsigned previous = 0;
        for (p += negated; first || *p != ']'; first = false) {
                unsigned c = (unsigned char)*p++;
                if (c == 0)
                        return NULL;
                if (c == '-' && previous && *p && *p != ']') {
                        c = (unsigned char)*p++;
                        if (c == '\\' && (c = (unsigned char)*p++) == 0)
                                return NULL;
                        set_add(s, previous, c);
                        previous = 0;
                        continue;
                }
                if (c == '[' && *p == ':') {
                        const char *rest = take_class(p + 1, s);
                        if (!rest)
                                return NULL;
                        previous = rest == p ? '[' : 0;
                        p = rest;
                        continue;
                }
                if (c == '\\' && (c = (unsigned char)*p++) == 0)
                        return NULL;
                set_add(s, c, c);
                previous = c;
        }
        for (size_t i = 0; negated && i < sizeof s->bits; i++)
                s->bits[i] = (unsigned char)~s->bits[i];
        s->bits['/' / 8] &= (unsigned char)~(1u << '/' % 8);
        return p + 1;
}

/* "**" between slashes, or at an end. @begin: where the rest of the pattern begins. */
static const char *take_stars(const struct oxl_pattern *p, const char *at, const char *begin, struct token *ret)
{
        const char *end = at + strspn(at, "*");
        bool free_before = at == begin || at[-1] == '/';
        bool free_after = *end == '\0' || *end == '/' || (end[0] == '\\' && end[1] == '/');
        ret->kind = TOKEN_STAR;
        if (end - at >= 2 && !p->base && free_before && free_after)
                ret->kind = *end == '/' ? TOKEN_FOLDERS : TOKEN_ALL;
        return ret->kind == TOKEN_FOLDERS ? end + 1 : end;
}

static void take_token(struct oxl_pattern *p, const char **at, const char *begin)
{
        struct token *t = &p->tokens[p->n++];
        const char *c = *at;
        *t = (struct token){ .kind = TOKEN_BYTE };
        p->shortest++;
        if (*c == '?') {
                t->kind = TOKEN_ANY;
                c++;
        } else if (*c == '*') {
                c = take_stars(p, c, begin, t);
                p->shortest--;
        } else if (*c == '[') {
                t->set = (unsigned)p->n_sets++;
                c = take_set(c + 1, &p->sets[t->set]);
                t->kind = c ? TOKEN_SET : TOKEN_NEVER;
        } else {
                c += *c == '\\';
                t->byte = (unsigned char)*c;
                if (*c == '\0')
                        t->kind = TOKEN_NEVER;
                else
                        c++;
        }
        if (t->kind == TOKEN_NEVER) /* nothing behind it matters */
                c = "";
        *at = c;
}

static int compile(struct oxl_pattern *p, const char *text, struct oxl_error *err)
{
        size_t n = strlen(text), literal = strcspn(text, "*?[\\"), sets = 0;
        for (size_t i = literal; i < n; i++)
                sets += text[i] == '[';
        p->literal = strndup(text, literal);
        p->literal_len = literal;
        p->tokens = calloc(n - literal + 1, sizeof *p->tokens);
        p->sets = calloc(sets + 1, sizeof *p->sets);
        if (!p->literal || !p->tokens || !p->sets)
                return OXL_FAIL_PLAIN(err, NOMEM);
        const char *begin = text + literal;
        for (const char *at = begin; *at;)
                take_token(p, &at, begin);
        return 0;
}

/* Blanks at the end count only when they are escaped. */
static void trim(char *line)
{
        char *blanks = NULL;
        for (char *p = line; *p; p++) {
                if (*p == ' ') {
                        blanks = blanks ? blanks : p;
                        continue;
                }
                if (*p == '\\' && *++p == '\0')
                        return;
                blanks = NULL;
        }
        if (blanks)
                *blanks = '\0';
}

int oxl_pattern_new(const char *line, struct oxl_pattern **ret, struct oxl_error *err)
{
        *ret = NULL;
        if (*line == '\0' || *line == '#')
                return 0;
        if (strlen(line) > LINE_MAX_BYTES)
                return OXL_FAIL_WHY(err, LIMIT, OXL_IGNORE_NAME, "a line has more than 4,096 bytes");
        cleanup_free char *copy = strdup(line);
        cleanup(pattern_freep) struct oxl_pattern *p = calloc(1, sizeof *p);
        if (!copy || !p)
                return OXL_FAIL_PLAIN(err, NOMEM);
        trim(copy);
        char *text = copy;
        if (*text == '!') {
                p->negates = true;
                text++;
        }
        size_t n = strlen(text);
        if (n > 0 && text[n - 1] == '/') {
                p->directory = true;
                text[--n] = '\0';
        }
        if (n == 0)
                return 0;
        p->base = !strchr(text, '/');
        int k = compile(p, text + (*text == '/'), err);
        if (k < 0)
                return k;
        *ret = take_ptr(&p);
        return 0;
}

bool oxl_pattern_negates(const struct oxl_pattern *p)
{
        return p->negates;
}

/* --- matching -------------------------------------------------------------------------------------------------------- */

static bool accepts(const struct oxl_pattern *p, const struct token *t, unsigned char c)
{
        switch (t->kind) {
        case TOKEN_BYTE: return c == t->byte;
        case TOKEN_ANY: return c != '/';
        case TOKEN_SET: return p->sets[t->set].bits[c / 8] >> c % 8 & 1;
        case TOKEN_STAR:
        case TOKEN_ALL:
        case TOKEN_FOLDERS:
        case TOKEN_NEVER: break;
        }
        return false;
}

/* Is at place @i, and so at the places behind stars that stand for nothing. (Inside of TOKEN_FOLDERS its next place is not
 * reached without a '/': then only on[i] is set.) */
static void arrive(const struct oxl_pattern *p, bool *on, size_t i)
{
        on[i] = true;
        while (i < p->n && (p->tokens[i].kind == TOKEN_STAR || p->tokens[i].kind == TOKEN_ALL ||
                            p->tokens[i].kind == TOKEN_FOLDERS))
                on[++i] = true;
}

/* False: no place is left. */
static bool step(const struct oxl_pattern *p, const bool *on, bool *next, unsigned char c)
{
        bool any = false;
        memset(next, 0, (p->n + 1) * sizeof *next);
        for (size_t i = 0; i < p->n; i++) {
                const struct token *t = &p->tokens[i];
                if (!on[i])
                        continue;
                if (accepts(p, t, c)) {
                        arrive(p, next, i + 1);
                } else if (t->kind == TOKEN_ALL || (t->kind == TOKEN_STAR && c != '/')) {
                        arrive(p, next, i);
                } else if (t->kind == TOKEN_FOLDERS) {
                        next[i] = true;
                        if (c == '/')
                                arrive(p, next, i + 1);
                } else {
                        continue;
                }
                any = true;
        }
        return any;
}

static bool run(const struct oxl_pattern *p, const char *text)
{
        bool states[2][LINE_MAX_BYTES + 2];
        bool *on = states[0], *next = states[1];
        memset(on, 0, (p->n + 1) * sizeof *on);
        arrive(p, on, 0);
        for (; *text; text++) {
                if (!step(p, on, next, (unsigned char)*text))
                        return false;
                bool *t = on;
                on = next;
                next = t;
        }
        return on[p->n];
}

bool oxl_pattern_matches(const struct oxl_pattern *p, const char *path, bool directory)
{
        if (p->directory && !directory)
                return false;
        const char *text = p->base ? oxl_path_base(path) : path;
        size_t n = strlen(text);
        if (n < p->literal_len + p->shortest || memcmp(text, p->literal, p->literal_len) != 0)
                return false;
        return p->n == 0 ? n == p->literal_len : run(p, text + p->literal_len);
}

/* --- the files ------------------------------------------------------------------------------------------------------- */

struct list {      /* of one folder */
        char *dir; /* owned; "" the root */
        size_t len;
        struct oxl_pattern **at; /* owned */
        size_t n;
};

struct oxl_ignore {
        int root_fd;
        struct list *stack; /* owned: the root and the folders below it, down to the last path's */
        size_t depth, cap;
};

static void list_done(struct list *l)
{
        for (size_t i = 0; i < l->n; i++)
                oxl_pattern_free(l->at[i]);
        free(l->at);
        free(l->dir);
}

int oxl_ignore_new(int worktree_fd, struct oxl_ignore **ret, struct oxl_error *err)
{
        struct oxl_ignore *g = calloc(1, sizeof *g);
        if (!g)
                return OXL_FAIL_PLAIN(err, NOMEM);
        g->root_fd = worktree_fd;
        *ret = g;
        return 0;
}

void oxl_ignore_free(struct oxl_ignore *g)
{
        if (!g)
                return;
        while (g->depth > 0)
                list_done(&g->stack[--g->depth]);
        free(g->stack);
        free(g);
}

static int add_line(struct list *l, const char *line, struct oxl_error *err)
{
        struct oxl_pattern *p;
        int k = oxl_pattern_new(line, &p, err);
        if (k < 0 || !p)
                return k;
        if ((l->n & (l->n - 1)) == 0) { /* full: there is room for the next power of two */
                struct oxl_pattern **grown = realloc(l->at, (2 * l->n + 1) * sizeof(struct oxl_pattern *));
                if (!grown) {
                        oxl_pattern_free(p);
                        return OXL_FAIL_PLAIN(err, NOMEM);
                }
                l->at = grown;
        }
        l->at[l->n++] = p;
        return 0;
}

static int add_lines(struct list *l, struct oxl_buf *text, struct oxl_error *err)
{
        char *at = (char *)text->data, *end = at + text->len;
        if (text->len >= 3 && memcmp(at, "\xef\xbb\xbf", 3) == 0)
                at += 3;
        for (char *next; at < end; at = next) {
                char *eol = memchr(at, '\n', (size_t)(end - at));
                next = eol ? eol + 1 : end;
                eol = eol ? eol : end; /* there is a NUL behind the text */
                if (eol > at && eol[-1] == '\r' && eol < end)
                        eol--;
                *eol = '\0';
                int k = add_line(l, at, err);
                if (k < 0)
                        return k;
        }
        return 0;
}

static int read_list(struct oxl_ignore *g, struct list *l, struct oxl_error *err)
{
        cleanup_free char *path = NULL;
        cleanup_buf struct oxl_buf text = OXL_BUF_INIT;
        struct stat st;
        int k = oxl_path_join(l->dir, OXL_IGNORE_NAME, &path, err);
        if (k < 0)
                return k;
        cleanup_fd int fd = oxl_open_beneath(g->root_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0);
        if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == ENXIO))
                return 0;
        if (fd < 0)
                return OXL_FAIL_OS(err, FILE_OPEN, path);
        if (oxl_fd_stat(fd, &st) < 0)
                return OXL_FAIL_OS(err, FILE_STAT, path);
        if (!S_ISREG(st.st_mode))
                return 0;
        if (oxl_fd_read_all(fd, FILE_MAX, &text) < 0)
                return errno == EFBIG ? OXL_FAIL_WHY(err, LIMIT, path, "it has more than 1 MiB")
                                      : OXL_FAIL_OS(err, FILE_READ, path);
        return text.len > 0 ? add_lines(l, &text, err) : 0;
}

/* Adds the list of the folder that is the first @len bytes of @path. */
static int push_list(struct oxl_ignore *g, const char *path, size_t len, struct oxl_error *err)
{
        if (g->depth == g->cap) {
                size_t cap = 2 * g->cap + 8;
                struct list *grown = realloc(g->stack, cap * sizeof *grown);
                if (!grown)
                        return OXL_FAIL_PLAIN(err, NOMEM);
                g->stack = grown;
                g->cap = cap;
        }
        struct list l = { .dir = strndup(path, len), .len = len };
        int k = l.dir ? read_list(g, &l, err) : OXL_FAIL_PLAIN(err, NOMEM);
        if (k < 0) {
                list_done(&l);
                return k;
        }
        g->stack[g->depth++] = l;
        return 0;
}

/* Makes the stack that of the folders which hold @path. */
static int go_to(struct oxl_ignore *g, const char *path, struct oxl_error *err)
{
        size_t parent = oxl_path_parent_len(path);
        while (g->depth > 0) {
                const struct list *l = &g->stack[g->depth - 1];
                if (l->len == 0 || (l->len <= parent && memcmp(l->dir, path, l->len) == 0 && path[l->len] == '/'))
                        break;
                list_done(&g->stack[--g->depth]);
        }
        int k = g->depth == 0 ? push_list(g, "", 0, err) : 0;
        while (k >= 0 && g->stack[g->depth - 1].len < parent) {
                size_t from = g->stack[g->depth - 1].len;
                from += from > 0;
                k = push_list(g, path, from + strcspn(path + from, "/"), err);
        }
        return k;
}

int oxl_ignore_item(struct oxl_ignore *g, const char *path, bool directory, struct oxl_error *err)
{
        int k = go_to(g, path, err);
        if (k < 0)
                return k;
        for (size_t i = g->depth; i-- > 0;) {
                const struct list *l = &g->stack[i];
                const char *below = path + l->len + (l->len > 0);
                for (size_t n = l->n; n-- > 0;)
                        if (oxl_pattern_matches(l->at[n], below, directory))
                                return !oxl_pattern_negates(l->at[n]);
        }
        return 0;
}

int oxl_ignore_path(struct oxl_ignore *g, const char *path, bool directory, struct oxl_error *err)
{
        for (size_t i = 1; path[0] && path[i]; i++) {
                if (path[i] != '/')
                        continue;
                cleanup_free char *parent = strndup(path, i);
                if (!parent)
                        return OXL_FAIL_PLAIN(err, NOMEM);
                int k = oxl_ignore_item(g, parent, true, err);
                if (k != 0)
                        return k;
        }
        return path[0] ? oxl_ignore_item(g, path, directory, err) : 0;
}
