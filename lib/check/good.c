/* SPDX-License-Identifier: MIT */
/*
 * Where good bytes come from: the store itself, the working tree (with what is staged), quarantine, trash, the folders
 * that the
 * caller names. Whatever a place says about its content, the bytes are read, after their pages were dropped from
 * the cache,
 * and hashed before anybody gets them; so a working file that shares its extents with the damaged blob is wrong in
 * the same
 * place and is passed over. A place that cannot be read is passed over, too.
 *
 * A shared extent (FICLONE, a deduplicating file system) is no danger for content: what is hashed is what the medium says, so a file
 * that shares the bad extents is passed over as any other wrong one. Nor does repair clone: good bytes are copied into the new
 * file, which is then a second place on the medium. tests: unit/repair, "repair copies and never clones".
 *
 * Places are listed once per round, as pairs of digest and path, only for objects that findings name. Memory: 64
 * bytes and a path for
 * each pair, and 24 bytes for each record of a pack in quarantine.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "check/repair.h"
#include "check/trashed.h"
#include "objects/loose.h"
#include "objects/scan.h"
#include "objects/store.h"
#include "repo/index.h"
#include "repo/worktree.h"

enum { IN_MEMORY_MAX = OXL_PACK_THRESHOLD_MAX, DEPTH_MAX = 256 };

struct place {
        struct oxl_digest id;
        char *path; /* owned */
};

struct places {
        struct place *at; /* sorted by id once `sorted` */
        size_t n, cap;
        bool listed, sorted;
};

struct kept_record {    /* of a pack in quarantine; its content was good when it was listed */
        uint8_t id[16]; /* the first bytes of the digest: whole ids are compared when it is read */
        uint32_t pack;
        uint8_t kind;
};

struct kept_records {
        struct kept_record *at; /* owned; sorted */
        size_t n, cap;
        uint32_t pack; /* that is being listed */
        bool listed;
};

struct other { /* a repository below one of the folders */
        int root_fd;
        struct oxl_objects *objects;
};

struct oxl_good {
        struct oxl_digest *wanted; /* sorted: blobs that findings name */
        size_t n_wanted;
        struct places worktree;                      /* relative to it */
        struct places quarantine, quarantined_packs; /* relative to .oxen-lite; packs without id */
        struct kept_records kept;                    /* what is in quarantined_packs */
        struct places from;                          /* as the caller sees them */
        struct oxl_trashed trashed;
        struct other *others;
        size_t n_others;
        bool others_listed;
};

void oxl_good_copy_done(struct oxl_good_copy *c)
{
        oxl_fd_done(&c->fd);
        oxl_buf_done(&c->bytes);
        c->objects = NULL;
}

/* --- lists --- */

static int compare_places(const void *a, const void *b)
{
        const struct place *x = a, *y = b;
        return memcmp(x->id.bytes, y->id.bytes, OXL_DIGEST_BYTES);
}

static int compare_ids(const void *a, const void *b)
{
        const struct oxl_digest *x = a, *y = b;
        return memcmp(x->bytes, y->bytes, OXL_DIGEST_BYTES);
}

static void places_done(struct places *p)
{
        for (size_t i = 0; i < p->n; i++)
                free(p->at[i].path);
        free(p->at);
        *p = (struct places){ 0 };
}

static int places_add(struct places *p, const struct oxl_digest *id, const char *path, struct oxl_error *err)
{
        if (p->n == p->cap) {
                size_t cap = 2 * p->cap + 16;
                struct place *at = reallocarray(p->at, cap, sizeof *at);
                if (!at)
                        return OXL_FAIL_PLAIN(err, NOMEM);
                p->at = at;
                p->cap = cap;
        }
        struct place new_ = { .id = *id, .path = strdup(path) };
        if (!new_.path)
                return OXL_FAIL_PLAIN(err, NOMEM);
        p->at[p->n++] = new_;
        p->sorted = false;
        return 0;
}

/* The first place of @id; they are neighbours. NULL: none. */
static const struct place *places_find(struct places *p, const struct oxl_digest *id)
{
        size_t low = 0, high = p->n;
        if (!p->sorted && p->n > 1)
                qsort(p->at, p->n, sizeof *p->at, compare_places);
        p->sorted = true;
        while (low < high) {
                size_t middle = low + (high - low) / 2;
                if (memcmp(p->at[middle].id.bytes, id->bytes, OXL_DIGEST_BYTES) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low < p->n && oxl_digest_equal(&p->at[low].id, id) ? &p->at[low] : NULL;
}

static bool is_wanted(const struct oxl_good *g, const struct oxl_digest *id)
{
        return g->n_wanted && bsearch(id, g->wanted, g->n_wanted, sizeof *id, compare_ids);
}

/* --- what is wanted --- */

int oxl_good_new(struct oxl_repair *p, struct oxl_good **ret, struct oxl_error *err)
{
        struct oxl_good *g = calloc(1, sizeof *g);
        if (g)
                g->wanted = calloc(p->n_finds + 1, sizeof *g->wanted);
        if (!g || !g->wanted) {
                free(g);
                return OXL_FAIL_PLAIN(err, NOMEM);
        }
        for (size_t i = 0; i < p->n_finds; i++) {
                enum oxl_kind kind;
                struct oxl_digest id;
                const struct oxl_repair_find *f = &p->finds[i];
                bool record = f->problem == OXL_P_RECORD_DAMAGED &&
                              oxl_digest_parse(p->repo->format.blob_algo, f->object, &id);
                if (record || (oxl_repair_object(p, f, &kind, &id) && kind == OXL_KIND_BLOB))
                        g->wanted[g->n_wanted++] = id;
        }
        if (g->n_wanted > 1)
                qsort(g->wanted, g->n_wanted, sizeof *g->wanted, compare_ids);
        *ret = g;
        return 0;
}

void oxl_good_free(struct oxl_good *g)
{
        if (!g)
                return;
        for (size_t i = 0; i < g->n_others; i++) {
                oxl_objects_free(g->others[i].objects);
                oxl_fd_done(&g->others[i].root_fd);
        }
        oxl_trashed_done(&g->trashed);
        free(g->others);
        free(g->wanted);
        places_done(&g->worktree);
        places_done(&g->quarantine);
        places_done(&g->quarantined_packs);
        free(g->kept.at);
        places_done(&g->from);
        free(g);
}

/* --- reading one place --- */

static void drop_pages(int fd)
{
        OXL_IGNORE(oxl_sys->fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), "then what the cache holds is hashed");
}

/* 0 with *ret set: the file or link at @path below @at is the blob @id. 1: it is not. */
static int try_path(struct oxl_repair *p, int at, const char *path, const struct oxl_digest *id,
                    struct oxl_good_copy *ret, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        struct oxl_digest got;
        struct stat st;
        cleanup_fd int fd = at == AT_FDCWD
                                    ? oxl_fd_open(at, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0)
                                    : oxl_open_beneath(at, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
        if (fd < 0 && errno == ELOOP) {
                char target[PATH_MAX];
                ssize_t n = oxl_sys->readlinkat(at, path, target, sizeof target);
                if (n <= 0)
                        return 1;
                got = oxl_digest_of(id->algo, target, (size_t)n);
                if (!oxl_digest_equal(&got, id))
                        return 1;
                ret->size = (uint64_t)n;
                return oxl_buf_append(&ret->bytes, target, (size_t)n, err);
        }
        if (fd < 0 || oxl_fd_stat(fd, &st) < 0 || !S_ISREG(st.st_mode))
                return 1;
        drop_pages(fd);
        int r = oxl_fd_digest(fd, path, id->algo, p->options->cancel, &got, &ret->size, &why);
        if (r < 0)
                return why.code == OXL_E_CANCELLED || why.code == OXL_E_NOMEM ? oxl_error_copy(err, &why) : 1;
        if (!oxl_digest_equal(&got, id))
                return 1;
        ret->fd = take_fd(&fd);
        return 0;
}

static int try_places(struct oxl_repair *p, struct places *places, int at, const char *what,
                      const struct oxl_digest *id, struct oxl_good_copy *ret, struct oxl_error *err)
{
        int r = 1;
        const struct place *end = places->at + places->n;
        for (const struct place *x = places_find(places, id); r == 1 && x && x < end; x++) {
                if (!oxl_digest_equal(&x->id, id))
                        break;
                r = try_path(p, at, x->path, id, ret, err);
                if (r == 0)
                        snprintf(ret->source, sizeof ret->source, "%s %s", what, x->path);
        }
        return r;
}

/* --- the store, and other stores --- */

static int try_store(struct oxl_repair *p, struct oxl_objects *o, const char *what, enum oxl_kind kind,
                     const struct oxl_digest *id, struct oxl_good_copy *ret, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        int r = kind == OXL_KIND_BLOB ? oxl_objects_stream(o, id, NULL, NULL, p->options->cancel, &why)
                                      : oxl_objects_read(o, kind, id, OXL_METADATA_MAX, &ret->bytes, &why);
        if (r < 0)
                return why.code == OXL_E_CANCELLED || why.code == OXL_E_NOMEM ? oxl_error_copy(err, &why) : 1;
        if (kind == OXL_KIND_BLOB)
                ret->objects = o;
        ret->size = ret->bytes.len;
        snprintf(ret->source, sizeof ret->source, "%s", what);
        return 0;
}

int oxl_good_stored(struct oxl_repair *p, enum oxl_kind kind, const struct oxl_digest *id, struct oxl_error *err)
{
        struct oxl_good_copy c = OXL_GOOD_COPY_INIT;
        int r = try_store(p, p->objects, "", kind, id, &c, err);
        oxl_good_copy_done(&c);
        return r;
}

/* --- the working tree --- */

/* "<12 hex>:<path>" or "<path>", as findings name what they affect. */
static const char *path_of_affect(const char *text)
{
        return strlen(text) > 13 && strspn(text, "0123456789abcdef") >= 12 && text[12] == ':' ? text + 13 : text;
}

static int list_affected(struct oxl_repair *p, struct oxl_error *err)
{
        int r = 0;
        for (size_t i = 0; i < p->n_finds; i++) {
                enum oxl_kind kind;
                struct oxl_digest id;
                if (!oxl_repair_object(p, &p->finds[i], &kind, &id) || kind != OXL_KIND_BLOB)
                        continue;
                for (size_t k = 0; r == 0 && k < p->finds[i].n_affects; k++) {
                        const char *path = path_of_affect(p->finds[i].affects[k]);
                        if (!oxl_path_problem(path, strlen(path)))
                                r = places_add(&p->good->worktree, &id, path, err);
                }
        }
        return r;
}

/* Staged files and all others that the index lists. An index that cannot be read lists none. */
static int list_index(struct oxl_repair *p, struct oxl_error *err)
{
        struct oxl_index *x = NULL;
        struct oxl_index_cursor *cursor = NULL;
        struct oxl_index_entry e;
        int r = 0;
        if (oxl_index_open(p->root_fd, &p->repo->format.id, p->repo->format.blob_algo, &x, NULL) == 0 &&
            oxl_index_cursor_new(x, "", 0, &cursor, NULL) == 0)
                while (r == 0 && oxl_index_cursor_next(cursor, &e, NULL) == 0)
                        if (e.kind != OXL_ENTRY_NONE && is_wanted(p->good, &e.id))
                                r = places_add(&p->good->worktree, &e.id, e.path, err);
        oxl_index_cursor_free(cursor);
        oxl_index_free(x);
        return r;
}

static int try_worktree(struct oxl_repair *p, const struct oxl_digest *id, struct oxl_good_copy *ret,
                        struct oxl_error *err)
{
        if (!p->good->worktree.listed) {
                p->good->worktree.listed = true;
                int r = list_affected(p, err);
                if (r == 0)
                        r = list_index(p, err);
                if (r < 0)
                        return r;
        }
        return try_places(p, &p->good->worktree, p->repo->worktree_fd, "working tree:", id, ret, err);
}

/* --- quarantine --- */

static int list_quarantined(void *ctx, const char *folder, const char *id, const struct oxl_json *note,
                            struct oxl_error *err)
{
        struct oxl_repair *p = ctx;
        cleanup_free char *path = NULL, *data = NULL;
        struct oxl_digest digest, none = OXL_DIGEST_INIT;
        size_t n;
        (void)id;
        if (!note || !oxl_json_get_name(note, "path", &path, &n))
                return 0;
        if (asprintf(&data, "%s/data", folder) < 0)
                return OXL_FAIL_PLAIN(err, NOMEM);
        if (strncmp(path, "versions/packs/", 15) == 0)
                return places_add(&p->good->quarantined_packs, &none, data, err);
        cleanup_fd int fd = oxl_open_beneath(p->root_fd, data, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
        if (fd < 0 || strncmp(path, "versions/files/", 15) != 0 ||
            oxl_fd_digest(fd, data, p->repo->format.blob_algo, p->options->cancel, &digest, &(uint64_t){ 0 }, NULL) < 0)
                return 0;
        return is_wanted(p->good, &digest) ? places_add(&p->good->quarantine, &digest, data, err) : 0;
}

struct pick {
        enum oxl_kind kind;
        const struct oxl_digest *id;
        struct oxl_buf *ret;
        bool found;
};

static int pick_record(void *ctx, const struct oxl_pack_entry *e, bool good, struct oxl_bytes bytes,
                       struct oxl_error *err)
{
        struct pick *k = ctx;
        if (k->found || !good || e->kind != (uint8_t)k->kind || !oxl_digest_equal(&e->id, k->id) ||
            bytes.len != e->raw_len)
                return 0;
        k->found = true;
        return oxl_buf_append(k->ret, bytes.data, bytes.len, err);
}

static int note_kept(void *ctx, const struct oxl_pack_entry *e, bool good, struct oxl_bytes bytes,
                     struct oxl_error *err)
{
        struct kept_records *l = ctx;
        if (e->kind == OXL_KIND_FILLER || !good || bytes.len != e->raw_len)
                return 0;
        if (l->n == l->cap) {
                size_t cap = 2 * l->cap + 64;
                struct kept_record *at = reallocarray(l->at, cap, sizeof *at);
                if (!at)
                        return OXL_FAIL_PLAIN(err, NOMEM);
                l->at = at;
                l->cap = cap;
        }
        struct kept_record *new_ = &l->at[l->n++];
        *new_ = (struct kept_record){ .pack = l->pack, .kind = e->kind };
        memcpy(new_->id, e->id.bytes, sizeof new_->id);
        return 0;
}

static int compare_kept(const void *a, const void *b)
{
        const struct kept_record *x = a, *y = b;
        int r = memcmp(x->id, y->id, sizeof x->id);
        return r ? r : (int)x->kind - (int)y->kind;
}

/* Salvages the pack in quarantine; a pack that cannot be read has nothing to give. */
static int salvage_kept(struct oxl_repair *p, const char *path, oxl_salvage_fn *fn, void *ctx, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        bool gap;
        int fd = oxl_open_beneath(p->root_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
        if (fd < 0)
                return 0;
        int r = oxl_salvage(fd, path, &p->repo->format.id, p->repo->format.blob_algo, fn, ctx, &gap, &why);
        bool ends = r < 0 && (why.code == OXL_E_CANCELLED || why.code == OXL_E_NOMEM);
        return ends ? oxl_error_copy(err, &why) : 0;
}

/* Each pack is read once to know what is in it: thousands of objects may ask. */
static int list_kept(struct oxl_repair *p, struct oxl_error *err)
{
        struct kept_records *l = &p->good->kept;
        l->listed = true;
        int r = 0;
        for (size_t i = 0; r == 0 && i < p->good->quarantined_packs.n; i++) {
                l->pack = (uint32_t)i;
                r = salvage_kept(p, p->good->quarantined_packs.at[i].path, note_kept, l, err);
        }
        if (l->n > 1)
                qsort(l->at, l->n, sizeof *l->at, compare_kept);
        return r;
}

static int try_quarantined_packs(struct oxl_repair *p, enum oxl_kind kind, const struct oxl_digest *id,
                                 struct oxl_good_copy *ret, struct oxl_error *err)
{
        struct kept_records *l = &p->good->kept;
        struct pick k = { .kind = kind, .id = id, .ret = &ret->bytes };
        struct kept_record key = { .kind = (uint8_t)kind };
        int r = l->listed ? 0 : list_kept(p, err);
        memcpy(key.id, id->bytes, sizeof key.id);
        const struct kept_record *x = r == 0 && l->n ? bsearch(&key, l->at, l->n, sizeof key, compare_kept) : NULL;
        if (!x)
                return r < 0 ? r : 1;
        const char *path = p->good->quarantined_packs.at[x->pack].path;
        r = salvage_kept(p, path, pick_record, &k, err);
        if (r < 0)
                return r;
        snprintf(ret->source, sizeof ret->source, "%s", path);
        ret->size = ret->bytes.len;
        return k.found ? 0 : 1;
}

static int try_quarantine(struct oxl_repair *p, enum oxl_kind kind, const struct oxl_digest *id,
                          struct oxl_good_copy *ret, struct oxl_error *err)
{
        if (!p->good->quarantine.listed) {
                cleanup_error struct oxl_error why = OXL_ERROR_INIT;
                p->good->quarantine.listed = true;
                int r = oxl_quarantine_each(p->root_fd, NULL, list_quarantined, p, &why);
                if (r < 0 && (why.code == OXL_E_NOMEM || why.code == OXL_E_CANCELLED))
                        return oxl_error_copy(err, &why);
        }
        int r = kind == OXL_KIND_BLOB ? try_places(p, &p->good->quarantine, p->root_fd, "", id, ret, err) : 1;
        return r == 1 ? try_quarantined_packs(p, kind, id, ret, err) : r;
}

/* --- the folders that the caller names --- */

/* The .oxen-lite at @path; -1: there is none that says what it is. */
static int open_other(const char *path, struct oxl_format *ret)
{
        cleanup_buf struct oxl_buf text = OXL_BUF_INIT;
        cleanup_fd int fd = oxl_fd_open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
        if (fd < 0 || oxl_repo_read_file(fd, "format", &text, NULL) != 0 ||
            oxl_format_parse(oxl_buf_bytes(&text), ret, NULL) < 0)
                return -1;
        return take_fd(&fd);
}

int oxl_good_kin(const struct oxl_repair *p, const struct oxl_repo_id *id, oxl_good_kin_fn *fn, void *ctx,
                 char ret_source[OXL_GOOD_SOURCE_BYTES], struct oxl_error *err)
{
        int r = 1;
        for (size_t i = 0; r == 1 && i < 2 * p->how->n_from; i++) { /* a working tree, or .oxen-lite itself */
                cleanup_free char *below = NULL;
                struct oxl_format format;
                const char *from = p->how->from[i / 2];
                if (oxl_path_join(from, i % 2 ? "." : OXL_REPO_DIR, &below, err) < 0)
                        return -OXL_E_NOMEM;
                cleanup_fd int fd = open_other(below, &format);
                if (fd < 0 || memcmp(format.id.bytes, id->bytes, OXL_REPO_ID_BYTES) != 0)
                        continue;
                r = fn(ctx, fd, err);
                if (r == 0)
                        snprintf(ret_source, OXL_GOOD_SOURCE_BYTES, "--from %s", from);
        }
        return r;
}

static int add_other(struct oxl_repair *p, const char *path, struct oxl_error *err)
{
        struct oxl_good *g = p->good;
        struct oxl_format format;
        struct oxl_objects *objects = NULL;
        cleanup_fd int fd = open_other(path, &format);
        if (fd < 0)
                return 0;
        const struct oxl_objects_config config = { .root_fd = fd,
                                                   .id = format.id,
                                                   .blob_algo = format.blob_algo,
                                                   .pack_threshold = OXL_PACK_THRESHOLD_DEFAULT };
        struct other *others = reallocarray(g->others, g->n_others + 1, sizeof *others);
        if (!others)
                return OXL_FAIL_PLAIN(err, NOMEM);
        g->others = others;
        if (oxl_objects_open(&config, &objects, NULL) < 0)
                return 0;
        others[g->n_others++] = (struct other){ .root_fd = take_fd(&fd), .objects = objects };
        return 0;
}

static int list_others(struct oxl_repair *p, struct oxl_error *err)
{
        int r = 0;
        p->good->others_listed = true;
        for (size_t i = 0; r == 0 && i < p->how->n_from; i++) {
                cleanup_free char *below = NULL;
                r = oxl_path_join(p->how->from[i], OXL_REPO_DIR, &below, err);
                if (r == 0)
                        r = add_other(p, below, err);
                if (r == 0)
                        r = add_other(p, p->how->from[i], err);
        }
        return r;
}

static int list_folder(struct oxl_repair *p, const char *dir, unsigned depth, struct oxl_error *err);

static int list_one(struct oxl_repair *p, int dirfd, const char *dir, const char *name, unsigned depth,
                    struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        cleanup_free char *path = NULL;
        struct oxl_digest got;
        struct stat st;
        uint64_t bytes;
        if (strcmp(name, OXL_REPO_DIR) == 0 || oxl_fd_stat_at(dirfd, name, &st) < 0)
                return 0; /* a repository of ours was asked as such */
        int r = oxl_path_join(dir, name, &path, err);
        if (r < 0 || S_ISDIR(st.st_mode))
                return r < 0 ? r : list_folder(p, path, depth + 1, err);
        if (!S_ISREG(st.st_mode))
                return 0;
        cleanup_fd int fd = oxl_fd_open(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
        if (fd < 0)
                return 0;
        r = oxl_fd_digest(fd, path, p->repo->format.blob_algo, p->options->cancel, &got, &bytes, &why);
        if (r < 0)
                return why.code == OXL_E_CANCELLED || why.code == OXL_E_NOMEM ? oxl_error_copy(err, &why) : 0;
        return is_wanted(p->good, &got) ? places_add(&p->good->from, &got, path, err) : 0;
}

/* Every file below, whatever it is called: the bytes decide. */
static int list_folder(struct oxl_repair *p, const char *dir, unsigned depth, struct oxl_error *err)
{
        cleanup_dir struct oxl_dir d = OXL_DIR_INIT;
        struct oxl_dirent e;
        int r = 0;
        cleanup_fd int fd = depth > DEPTH_MAX
                                    ? -1
                                    : oxl_fd_open(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY | (depth ? O_NOFOLLOW : 0), 0);
        if (fd < 0 || oxl_dir_open(&d, fd) < 0)
                return 0;
        while (r == 0 && oxl_dir_next(&d, &e) > 0)
                r = list_one(p, fd, dir, e.name, depth, err);
        return r;
}

static int try_from(struct oxl_repair *p, enum oxl_kind kind, const struct oxl_digest *id, struct oxl_good_copy *ret,
                    struct oxl_error *err)
{
        struct oxl_good *g = p->good;
        int r = g->others_listed ? 0 : list_others(p, err);
        if (r < 0)
                return r;
        r = 1;
        for (size_t i = 0; r == 1 && i < g->n_others; i++)
                r = try_store(p, g->others[i].objects, "--from", kind, id, ret, err);
        if (r != 1 || kind != OXL_KIND_BLOB)
                return r;
        if (!g->from.listed) {
                g->from.listed = true;
                for (size_t i = 0; i < p->how->n_from; i++) {
                        r = list_folder(p, p->how->from[i], 0, err);
                        if (r < 0)
                                return r;
                }
        }
        return try_places(p, &g->from, AT_FDCWD, "--from", id, ret, err);
}

/* --- trash --- */

static int try_trash(struct oxl_repair *p, enum oxl_kind kind, const struct oxl_digest *id, struct oxl_good_copy *ret,
                     struct oxl_error *err)
{
        struct oxl_trashed *t = &p->good->trashed;
        const struct oxl_objects_config like = { .root_fd = p->root_fd,
                                                 .id = p->repo->format.id,
                                                 .blob_algo = p->repo->format.blob_algo,
                                                 .pack_threshold = OXL_PACK_THRESHOLD_DEFAULT };
        int r = oxl_trashed_list(t, &like, err);
        if (r < 0)
                return r;
        r = 1;
        for (size_t i = 0; r == 1 && i < t->n; i++) {
                char what[sizeof ret->source];
                snprintf(what, sizeof what, "trash %s", t->at[i].id);
                r = try_store(p, t->at[i].objects, what, kind, id, ret, err);
        }
        return r;
}

/* --- all of them --- */

int oxl_good_find(struct oxl_repair *p, enum oxl_kind kind, const struct oxl_digest *id, struct oxl_good_copy *ret,
                  struct oxl_error *err)
{
        int r = try_store(p, p->objects, "another copy in the store", kind, id, ret, err);
        if (r == 1 && kind == OXL_KIND_BLOB)
                r = try_worktree(p, id, ret, err);
        if (r == 1)
                r = try_quarantine(p, kind, id, ret, err);
        if (r == 1)
                r = try_trash(p, kind, id, ret, err);
        return r == 1 ? try_from(p, kind, id, ret, err) : r;
}

int oxl_good_stream(struct oxl_repair *p, struct oxl_good_copy *c, enum oxl_kind kind, const struct oxl_digest *id,
                    oxl_sink_fn *sink, void *ctx, struct oxl_error *err)
{
        struct oxl_hasher h;
        struct oxl_digest got;
        uint64_t bytes;
        if (c->objects)
                return oxl_objects_stream(c->objects, id, sink, ctx, p->options->cancel, err);
        if (c->fd < 0) /* hashed when it was found, and in our own memory since */
                return c->bytes.len ? sink(ctx, c->bytes.data, c->bytes.len, err) : 0;
        oxl_store_hasher(p->objects, kind, &h);
        int r = oxl_fd_scan(c->fd, c->source, &h, sink, ctx, p->options->cancel, &bytes, err);
        if (r < 0)
                return r;
        oxl_hasher_final(&h, &got);
        return oxl_digest_equal(&got, id) ? 0 : OXL_FAIL_OBJECT(err, OBJECT_CORRUPT, c->source, id, &got);
}

static int append_sink(void *ctx, const void *bytes, size_t n, struct oxl_error *err)
{
        struct oxl_buf *b = ctx;
        if (b->len + n > IN_MEMORY_MAX)
                return OXL_FAIL_WHY(err, LIMIT, "blob", "it is too large for a pack");
        return bytes ? oxl_buf_append(b, bytes, n, err) : oxl_buf_append_zeros(b, n, err);
}

int oxl_good_bytes(struct oxl_repair *p, struct oxl_good_copy *c, enum oxl_kind kind, const struct oxl_digest *id,
                   struct oxl_buf *ret, struct oxl_error *err)
{
        oxl_buf_clear(ret);
        return oxl_good_stream(p, c, kind, id, append_sink, ret, err);
}
