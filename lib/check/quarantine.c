/* SPDX-License-Identifier: MIT */
/*
 * Quarantine: what repair, or a write that heals, replaced, and why. One folder per run, one numbered folder per file:
 * lib/objects/quarantine.h. Only undo and purge take anything out. Undo keeps what it replaces, too, under a new id.
 */
#include <stdio.h>
#include <string.h>

#include <oxenlite/json.h>

#include "check/repair.h"
#include "durable/remove.h"
#include "objects/loose.h"
#include "objects/pack.h"
#include "objects/quarantine.h"
#include "objects/scan.h"
#include "repo/index.h"

#define TOP OXL_QUARANTINE

static void json_done(struct oxl_json **j)
{
        oxl_json_free(*j);
}

/* --- putting in --- */

int oxl_quarantine_begin(struct oxl_repair *p, struct oxl_error *err)
{
        return p->result.quarantine[0] ? 0 : oxl_quarantine_id(p->result.quarantine, err);
}

int oxl_quarantine_keep(struct oxl_repair *p, const struct oxl_repair_find *f, const char *path, const char *source,
                        struct oxl_error *err)
{
        const struct oxl_quarantine_note note = {
                .finding = f->id,
                .slug = f->problem ? oxl_problem_slug(f->problem) : "undo",
                .object = f->object,
                .expected = f->expected,
                .actual = f->actual,
                .source = source,
        };
        int r = oxl_quarantine_begin(p, err);
        if (r == 0)
                r = oxl_quarantine_put(p->durable, p->root_fd, p->result.quarantine, p->serial + 1, path, &note,
                                       p->options->cancel, err);
        p->serial += r == 0;
        return r < 0 ? r : 0;
}

int oxl_quarantine_drop(struct oxl_repair *p, const char *path, struct oxl_error *err)
{
        struct stat st;
        if (oxl_fd_stat_at(p->root_fd, path, &st) < 0)
                return errno == ENOENT || errno == ENOTDIR ? 0 : OXL_FAIL_OS(err, FILE_STAT, path);
        int r = oxl_durable_unlink(p->durable, path, st.st_dev, st.st_ino, err);
        return r < 0 ? r : oxl_durable_barrier(p->durable, err);
}

/* --- looking through it --- */

static int compare_text(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names in @dir, in order; *ret owns them, ends with NULL. An absent folder has none. */
static int list_names(int root_fd, const char *dir, char ***ret, struct oxl_error *err)
{
        cleanup_dir struct oxl_dir d = OXL_DIR_INIT;
        struct oxl_dirent e;
        size_t n = 0;
        int more;
        char **names = calloc(1, sizeof *names);
        *ret = names;
        if (!names)
                return OXL_FAIL_PLAIN(err, NOMEM);
        cleanup_fd int fd = oxl_open_beneath(root_fd, dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
        if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
                return 0;
        if (fd < 0 || oxl_dir_open(&d, fd) < 0)
                return OXL_FAIL_OS(err, DIR_OPEN, dir);
        while ((more = oxl_dir_next(&d, &e)) > 0) {
                char *name = strdup(e.name), **grown = reallocarray(names, n + 2, sizeof *names);
                if (grown)
                        *ret = names = grown;
                if (!name || !grown) {
                        free(name);
                        return OXL_FAIL_PLAIN(err, NOMEM);
                }
                names[n++] = name;
                names[n] = NULL;
        }
        if (more < 0)
                return OXL_FAIL_OS(err, DIR_READ, dir);
        if (n > 1)
                qsort(names, n, sizeof *names, compare_text);
        return 0;
}

static void names_free(char ***names)
{
        for (char **name = *names; name && *name; name++)
                free(*name);
        free(*names);
}

static int visit_entry(int root_fd, const char *id, const char *n, oxl_quarantine_each_fn *fn, void *ctx,
                       struct oxl_error *err)
{
        cleanup_free char *folder = NULL, *path = NULL;
        cleanup_buf struct oxl_buf text = OXL_BUF_INIT;
        cleanup(json_done) struct oxl_json *note = NULL;
        struct stat st;
        if (asprintf(&folder, TOP "/%s/%s", id, n) < 0 || asprintf(&path, "%s/note", folder) < 0)
                return OXL_FAIL_PLAIN(err, NOMEM);
        if (oxl_fd_stat_at(root_fd, folder, &st) < 0)
                return errno == ENOENT ? 0 : OXL_FAIL_OS(err, FILE_STAT, folder);
        if (!S_ISDIR(st.st_mode))
                return 0;
        int r = oxl_repo_read_file(root_fd, path, &text, NULL);
        if (r == -OXL_E_NOMEM)
                return OXL_FAIL_PLAIN(err, NOMEM);
        if (r == 0 && oxl_json_parse(oxl_buf_text(&text), text.len, path, &note, NULL) < 0)
                note = NULL;
        return fn(ctx, folder, id, note, err);
}

int oxl_quarantine_each(int root_fd, const char *only, oxl_quarantine_each_fn *fn, void *ctx, struct oxl_error *err)
{
        cleanup(names_free) char **ids = NULL;
        int r = list_names(root_fd, TOP, &ids, err);
        for (char **id = ids; r == 0 && id && *id; id++) {
                cleanup(names_free) char **entries = NULL;
                cleanup_free char *dir = NULL;
                if (only && strcmp(only, *id) != 0)
                        continue;
                if (asprintf(&dir, TOP "/%s", *id) < 0)
                        return OXL_FAIL_PLAIN(err, NOMEM);
                r = list_names(root_fd, dir, &entries, err);
                for (char **n = entries; r == 0 && n && *n; n++)
                        r = visit_entry(root_fd, *id, *n, fn, ctx, err);
        }
        return r;
}

/* --- a repository to work on --- */

struct session {
        struct oxl_repair p;
        struct oxl_repo *repo;
};

static void session_done(struct session *s)
{
        oxl_repo_close(s->repo); /* and its locks */
}

static int session_open(struct session *s, const char *start, const struct oxl_repo_options *options, bool write,
                        struct oxl_error *err)
{
        int r = oxl_repo_open(start, options, &s->repo, err);
        if (r == 0 && write)
                r = oxl_repo_lock_writer(s->repo, err);
        if (r == 0 && write)
                r = oxl_owner_lock(s->repo->owner, OXL_LOCK_GC, true, s->repo->options.wait_ms, s->repo->options.cancel,
                                   err);
        if (r == 0)
                r = oxl_repo_objects(s->repo, &s->p.objects, err);
        if (r < 0)
                return r;
        s->p.options = &s->repo->options;
        s->p.repo = s->repo;
        s->p.root_fd = s->repo->root_fd;
        s->p.durable = s->repo->durable;
        return 0;
}

/* --- is what is at @path good? --- */

/* 1 good; 0 damaged, or nothing is there; < 0: it could not be read, so nobody knows. */
static int verdict(int r, struct oxl_error *why, struct oxl_error *err)
{
        bool absent = why->os == ENOENT || why->os == ENOTDIR || why->os == ELOOP;
        if (r >= 0)
                return r == 0; /* 1: missing */
        if (why->code == OXL_E_NOMEM || why->code == OXL_E_CANCELLED || (why->os && !absent))
                return oxl_error_copy(err, why);
        return 0;
}

static int sealed_good(struct oxl_repair *p, const char *path, const char *kind, struct oxl_error *err)
{
        cleanup_buf struct oxl_buf text = OXL_BUF_INIT;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        struct oxl_bytes body;
        int r = oxl_repo_read_file(p->root_fd, path, &text, &why);
        if (r == 0)
                r = oxl_seal_text_check(oxl_buf_bytes(&text), kind, &p->repo->format.id, path, path, &body, &why);
        return verdict(r, &why, err);
}

static int config_good(struct oxl_repair *p, struct oxl_error *err)
{
        int r = oxl_config_load(p->repo, NULL, err);
        return r < 0 ? r : p->repo->config_state == OXL_CONFIG_SOUND;
}

static int index_good(struct oxl_repair *p, struct oxl_error *err)
{
        struct oxl_index *x = NULL;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        int r = oxl_index_open(p->root_fd, &p->repo->format.id, p->repo->format.blob_algo, &x, &why);
        if (r == 0)
                r = oxl_index_verify(x, &why);
        oxl_index_free(x);
        return verdict(r, &why, err);
}

static int pack_good(struct oxl_repair *p, const char *path, struct oxl_error *err)
{
        char hex[65] = { 0 };
        struct oxl_digest id;
        struct oxl_pack *pack = NULL;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        if (strlen(path) != strlen("versions/packs/") + 64 + strlen(".pack"))
                return 0;
        memcpy(hex, path + strlen("versions/packs/"), 64);
        if (!oxl_digest_parse(OXL_ALGO_BLAKE3, hex, &id))
                return 0;
        int r = oxl_pack_open(p->root_fd, path, &id, &p->repo->format.id, p->repo->format.blob_algo, &pack, &why);
        if (r == 0)
                r = oxl_pack_verify(pack, NULL, NULL, p->options->cancel, &why);
        oxl_pack_free(pack);
        return verdict(r, &why, err);
}

static int loose_good(struct oxl_repair *p, const char *path, const struct oxl_digest *id, struct oxl_error *err)
{
        struct oxl_digest got = OXL_DIGEST_INIT;
        uint64_t bytes;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        cleanup_fd int fd = oxl_open_beneath(p->root_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
        int r = fd < 0 ? OXL_FAIL_OS(&why, FILE_OPEN, path)
                       : oxl_fd_digest(fd, path, p->repo->format.blob_algo, p->options->cancel, &got, &bytes, &why);
        return r < 0 ? verdict(r, &why, err) : oxl_digest_equal(&got, id);
}

static int is_good(struct oxl_repair *p, const char *path, struct oxl_error *err)
{
        struct oxl_digest id;
        struct stat st;
        if (oxl_fd_stat_at(p->root_fd, path, &st) < 0)
                return errno == ENOENT || errno == ENOTDIR ? 0 : OXL_FAIL_OS(err, FILE_STAT, path);
        if (strcmp(path, "HEAD") == 0)
                return sealed_good(p, path, "HEAD", err);
        if (strcmp(path, "config.json") == 0)
                return config_good(p, err);
        if (strcmp(path, "index") == 0 || strcmp(path, "index.delta") == 0)
                return index_good(p, err);
        if (strncmp(path, "refs/", 5) == 0)
                return sealed_good(p, path, "ref", err);
        if (strncmp(path, "versions/packs/", 15) == 0)
                return pack_good(p, path, err);
        if (oxl_loose_path_parse(p->repo->format.blob_algo, path, &id))
                return loose_good(p, path, &id, err);
        return 1; /* format: it was read; journal.db and what we do not know: never over it without force */
}

/* --- undo --- */

struct undo {
        struct session *s;
        bool force, apply;
        uint64_t entries;
        oxl_repair_fn *item;
        void *ctx;
};

static int put_back(struct undo *u, const char *folder, const char *path, struct oxl_error *err)
{
        struct oxl_repair *p = &u->s->p;
        cleanup_free char *data = NULL;
        const struct oxl_repair_find none = { .id = "" };
        if (asprintf(&data, "%s/data", folder) < 0)
                return OXL_FAIL_PLAIN(err, NOMEM);
        int r = oxl_quarantine_keep(p, &none, path, "", err);
        /* CRASH: the present file or the old one is at the path, both are in quarantine */
        if (r == 0)
                r = oxl_durable_rename(p->durable, data, path, err);
        if (r == 0)
                r = oxl_durable_barrier(p->durable, err);
        return r < 0 ? r : oxl_remove_tree(p->root_fd, folder, err);
}

/* Names that repair can have replaced, and nothing else, whatever a note says. */
static bool is_place(const char *path)
{
        static const char *const files[] = { "HEAD",        "format",     "config.json",    "index",
                                             "index.delta", "journal.db", "journal.db-wal", "journal.db-shm" };
        for (size_t i = 0; i < OXL_ARRAY_LEN(files); i++)
                if (strcmp(path, files[i]) == 0)
                        return true;
        return !oxl_path_problem(path, strlen(path)) &&
               (strncmp(path, "refs/", 5) == 0 || strncmp(path, "versions/", 9) == 0);
}

static int undo_entry(void *ctx, const char *folder, const char *id, const struct oxl_json *note, struct oxl_error *err)
{
        struct undo *u = ctx;
        struct oxl_repair *p = &u->s->p;
        cleanup_free char *path = NULL, *data = NULL;
        struct stat st;
        size_t n;
        (void)id;
        if (asprintf(&data, "%s/data", folder) < 0)
                return OXL_FAIL_PLAIN(err, NOMEM);
        if (!note || oxl_fd_stat_at(p->root_fd, data, &st) < 0 || !oxl_json_get_name(note, "path", &path, &n) ||
            !is_place(path))
                return 0;
        u->entries++;
        if (!u->apply) {
                int good = u->force ? 0 : is_good(p, path, err);
                return good > 0 ? OXL_FAIL_PATH(err, UNDO_GOOD, path) : good;
        }
        int r = put_back(u, folder, path, err);
        if (r < 0 || !u->item)
                return r;
        const char *finding = oxl_json_get_string(note, "finding"), *slug = oxl_json_get_string(note, "slug");
        const struct oxl_repair_item item = {
                .verdict = OXL_REPAIR_REBUILT,
                .finding_id = finding ? finding : "",
                .slug = slug ? slug : "",
                .path = path,
                .source = folder,
                .detail = "put back as it was before the repair",
        };
        return u->item(u->ctx, &item, err);
}

int oxl_repair_undo(const char *start, const struct oxl_repo_options *repo_options, const char *id, bool force,
                    oxl_repair_fn *item, void *ctx, struct oxl_error *err)
{
        static const struct oxl_repo_options defaults = { .wait_ms = 30000 };
        cleanup(session_done) struct session s = { .repo = NULL };
        struct undo u = { .s = &s, .force = force, .item = item, .ctx = ctx };
        oxl_digest_setup();
        int r = session_open(&s, start, repo_options ? repo_options : &defaults, true, err);
        if (r == 0)
                r = oxl_quarantine_each(s.p.root_fd, id, undo_entry, &u, err); /* first a look: all of it, or nothing */
        if (r == 0 && u.entries == 0)
                return OXL_FAIL_PATH(err, QUARANTINE, id);
        u.apply = true;
        return r < 0 ? r : oxl_quarantine_each(s.p.root_fd, id, undo_entry, &u, err);
}

/* --- list, purge --- */

struct listing {
        struct session *s;
        oxl_quarantine_fn *fn;
        void *ctx;
        bool remove;
};

struct asked {
        struct oxl_repair *p;
        bool missing;
};

static int ask_record(void *ctx, const struct oxl_pack_entry *e, bool good, struct oxl_bytes bytes,
                      struct oxl_error *err)
{
        struct asked *a = ctx;
        (void)good;
        (void)bytes;
        if (a->missing || e->kind == OXL_KIND_FILLER)
                return 0;
        int r = oxl_good_stored(a->p, (enum oxl_kind)e->kind, &e->id, err);
        a->missing = r == 1;
        return r < 0 ? r : 0;
}

/* A pack left its place because each object had a good copy then. Is it so now? What cannot be told is one without. */
static bool pack_is_only_copy(struct oxl_repair *p, const char *data, const char *path)
{
        struct asked a = { .p = p };
        bool gap = false;
        int fd = oxl_open_beneath(p->root_fd, data, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
        return fd < 0 ||
               oxl_salvage(fd, path, &p->repo->format.id, p->repo->format.blob_algo, ask_record, &a, &gap, NULL) < 0 ||
               gap || a.missing;
}

static bool is_only_copy(struct oxl_repair *p, const struct oxl_json *note, const char *data, const char *path)
{
        struct oxl_digest id;
        const char *slug = note ? oxl_json_get_string(note, "slug") : NULL;
        if (!slug)
                return true;
        if (oxl_loose_path_parse(p->repo->format.blob_algo, path, &id))
                return oxl_good_stored(p, OXL_KIND_BLOB, &id, NULL) != 0;
        if (strncmp(path, "versions/packs/", 15) == 0)
                return pack_is_only_copy(p, data, path);
        return strcmp(path, "format") != 0;
}

static int list_entry(void *ctx, const char *folder, const char *id, const struct oxl_json *note, struct oxl_error *err)
{
        struct listing *l = ctx;
        cleanup_free char *path = NULL, *data = NULL;
        struct stat st = { 0 };
        size_t n;
        if (l->remove)
                return oxl_remove_tree(l->s->p.root_fd, folder, err);
        if (asprintf(&data, "%s/data", folder) < 0)
                return OXL_FAIL_PLAIN(err, NOMEM);
        if (!note || !oxl_json_get_name(note, "path", &path, &n))
                path = strdup(folder);
        if (!path)
                return OXL_FAIL_PLAIN(err, NOMEM);
        bool there = oxl_fd_stat_at(l->s->p.root_fd, data, &st) == 0;
        if (!there && errno != ENOENT)
                return OXL_FAIL_OS(err, FILE_STAT, data);
        const struct oxl_quarantine_entry e = { .id = id,
                                                .path = path,
                                                .bytes = (uint64_t)st.st_size,
                                                .only_copy = there && is_only_copy(&l->s->p, note, data, path) };
        return l->fn ? l->fn(l->ctx, &e, err) : 0;
}

/* The folders of the runs; one that holds something which was not listed stays. */
static int remove_empty(int root_fd, struct oxl_error *err)
{
        cleanup(names_free) char **ids = NULL;
        int r = list_names(root_fd, TOP, &ids, err);
        for (char **id = ids; r == 0 && id && *id; id++) {
                cleanup_free char *dir = NULL;
                if (asprintf(&dir, TOP "/%s", *id) < 0)
                        return OXL_FAIL_PLAIN(err, NOMEM);
                r = oxl_remove_empty(root_fd, dir, err);
        }
        return r;
}

int oxl_quarantine_list(const char *start, const struct oxl_repo_options *repo_options, bool purge,
                        oxl_quarantine_fn *fn, void *ctx, struct oxl_error *err)
{
        static const struct oxl_repo_options defaults = { .wait_ms = 30000 };
        cleanup(session_done) struct session s = { .repo = NULL };
        struct listing l = { .s = &s, .fn = fn, .ctx = ctx };
        oxl_digest_setup();
        int r = session_open(&s, start, repo_options ? repo_options : &defaults, purge, err);
        if (r == 0)
                r = oxl_quarantine_each(s.p.root_fd, NULL, list_entry, &l, err);
        l.remove = true;
        if (r == 0 && purge)
                r = oxl_quarantine_each(s.p.root_fd, NULL, list_entry, &l, err);
        return r != 0 || !purge ? r : remove_empty(s.p.root_fd, err);
}
