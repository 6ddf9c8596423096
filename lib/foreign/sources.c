/* SPDX-License-Identifier: MIT */
/*
 * Where good bytes are looked for, cheapest first: the quarantine (two blobs that were swapped heal each other), the
 * place that the hash has in an Oxen store at or below the caller's folder, then every file of that folder, whatever
 * its name: those of the size of a damaged one first, because most damage keeps the size.
 *
 * Of repository folders (.oxen, .oxen-lite) only `versions` is read: databases are never opened. The packs of a repository of ours are
 * asked for their blobs: by name where blobs are named by XXH3-128, else each is read and hashed. Links are not followed.
 */
#include <stdio.h>
#include <string.h>

#include "base/path.h"
#include "foreign/oxen.h"
#include "objects/pack.h"
#include "repo/repo.h"

enum { DEPTH_MAX = 64 };

struct search {
        struct oxl_oxen_repair *repair;
        bool by_size, same_size; /* only files of a size that is (not) among the items' */
        int depth;
};

static bool size_of_item(const struct oxl_oxen *x, const struct stat *st)
{
        for (size_t i = 0; i < x->n_items; i++)
                if (x->items[i].got.algo != OXL_ALGO_NONE && x->items[i].st.st_size == st->st_size)
                        return true;
        return false;
}

/* A file that cannot be read is said: it might have been the good copy. */
static int try_file(struct oxl_oxen *x, struct oxl_oxen_repair *p, int dirfd, const char *path, const char *name,
                    struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        struct oxl_oxen_hashed h;
        int r = oxl_oxen_hash(x, dirfd, name, path, &h, &why);
        if (r < 0)
                return oxl_oxen_unreadable(x, path, &why, err);
        const struct oxl_oxen_bytes bytes = { .dirfd = dirfd, .name = name };
        return r > 0 ? 0 : oxl_oxen_offer(p, &bytes, path, &h.id, err);
}

static bool is_there(int dirfd, const char *path, mode_t type)
{
        struct stat st;
        return oxl_fd_stat_at(dirfd, path, &st) == 0 && (st.st_mode & S_IFMT) == type;
}

/* The folder of a repository, whatever it is called. */
static bool is_repository(int fd)
{
        return is_there(fd, "versions/files", S_IFDIR) &&
               (is_there(fd, "config.toml", S_IFREG) || is_there(fd, "config.json", S_IFREG));
}

/* --- packs of a repository of ours ------------------------------------------------------------------------------------- */

struct packs {
        struct oxl_oxen *x;
        struct oxl_oxen_repair *repair;
        int root_fd;
        const char *path; /* of the repository, for people */
        struct oxl_format format;
        struct oxl_objects *objects;
};

static int hash_piece(void *ctx, const void *bytes, size_t n, struct oxl_error *err)
{
        static const uint8_t zeros[4096];
        (void)err;
        for (size_t at = 0; !bytes && at < n; at += sizeof zeros)
                oxl_hasher_update(ctx, zeros, n - at < sizeof zeros ? n - at : sizeof zeros);
        if (bytes)
                oxl_hasher_update(ctx, bytes, n);
        return 0;
}

static int unread(struct packs *k, const char *below, const struct oxl_error *why, struct oxl_error *err)
{
        cleanup_free char *shown = NULL;
        int r = oxl_path_join(k->path, below, &shown, err);
        return r < 0 ? r : oxl_oxen_unreadable(k->x, shown, why, err);
}

/* The hash that Oxen would give the blob. 1: damaged, which is nothing to say about the store that is checked. */
static int oxen_id(struct packs *k, const char *pack, const struct oxl_pack_entry *e, struct oxl_digest *ret,
                   struct oxl_error *err)
{
        struct oxl_hasher h;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        *ret = e->id;
        if (k->format.blob_algo == OXL_ALGO_XXH3_128)
                return 0;
        oxl_hasher_init(&h, OXL_ALGO_XXH3_128);
        if (oxl_objects_stream(k->objects, &e->id, hash_piece, &h, k->x->options->cancel, &why) < 0) {
                if (oxl_error_exit(why.code) == 3)
                        return 1;
                int r = unread(k, pack, &why, err);
                return r < 0 ? r : 1;
        }
        oxl_hasher_final(&h, ret);
        return 0;
}

static int offer_entry(struct packs *k, const char *pack, const struct oxl_pack_entry *e, struct oxl_error *err)
{
        cleanup_free char *shown = NULL;
        struct oxl_digest id;
        size_t n;
        int r = oxen_id(k, pack, e, &id, err);
        if (r != 0 || !oxl_oxen_items_find(k->x, &id, &n))
                return r < 0 ? r : 0;
        const struct oxl_oxen_bytes bytes = { .dirfd = -1, .objects = k->objects, .blob = e->id };
        r = oxl_path_join(k->path, pack, &shown, err);
        return r < 0 ? r : oxl_oxen_offer(k->repair, &bytes, shown, &id, err);
}

static void pack_freep(struct oxl_pack **p)
{
        oxl_pack_free(*p);
}

static int search_pack(void *ctx, const struct oxl_digest *id, struct oxl_error *err)
{
        struct packs *k = ctx;
        cleanup(pack_freep) struct oxl_pack *pack = NULL;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        char path[96];
        oxl_pack_path(id, path);
        int r = oxl_pack_open(k->root_fd, path, id, &k->format.id, k->format.blob_algo, &pack, &why);
        if (r == 0)
                r = oxl_pack_load_index(pack, &why);
        if (r < 0) /* damaged: there are no good bytes in it that we could tell */
                return oxl_error_exit(why.code) == 3 ? 0 : unread(k, path, &why, err);
        for (uint64_t i = 0; r == 0 && i < oxl_pack_entries(pack) && oxl_oxen_items_open(k->x) > 0; i++) {
                struct oxl_pack_entry e;
                oxl_pack_entry_at(pack, i, &e);
                if (e.kind == OXL_KIND_BLOB)
                        r = offer_entry(k, path, &e, err);
        }
        return r;
}

/* 0 also when it is no repository of ours. */
static int search_packs(struct oxl_oxen *x, struct oxl_oxen_repair *p, int fd, const char *path, struct oxl_error *err)
{
        cleanup_buf struct oxl_buf text = OXL_BUF_INIT;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        struct packs k = { .x = x, .repair = p, .root_fd = fd, .path = path };
        int r = oxl_repo_read_file(fd, "format", &text, &why);
        if (r < 0 && oxl_error_exit(why.code) != 3)
                return unread(&k, "format", &why, err);
        if (r != 0 || oxl_format_parse(oxl_buf_bytes(&text), &k.format, NULL) < 0)
                return 0;
        const struct oxl_objects_config config = { .root_fd = fd,
                                                   .id = k.format.id,
                                                   .blob_algo = k.format.blob_algo,
                                                   .pack_threshold = OXL_PACK_THRESHOLD_DEFAULT };
        r = oxl_objects_open(&config, &k.objects, err);
        if (r == 0)
                r = oxl_pack_list(fd, search_pack, &k, &why);
        oxl_objects_free(k.objects);
        if (r < 0 && (why.code == OXL_E_DIR_OPEN || why.code == OXL_E_DIR_READ))
                return unread(&k, "versions/packs", &why, err);
        return r < 0 && why.code ? oxl_error_copy(err, &why) : r;
}

static int search_folder(struct oxl_oxen *x, struct search *s, int fd, const char *path, struct oxl_error *err);

static int search_entry(struct oxl_oxen *x, void *ctx, int dirfd, const char *path, const char *name,
                        const struct stat *st, struct oxl_error *err)
{
        struct search *s = ctx;
        cleanup_fd int fd = -1;
        if (oxl_oxen_items_open(x) == 0 || strcmp(name, "chunk_index") == 0)
                return 0;
        if (S_ISREG(st->st_mode))
                return s->by_size && size_of_item(x, st) != s->same_size
                               ? 0
                               : try_file(x, s->repair, dirfd, path, name, err);
        if (!S_ISDIR(st->st_mode))
                return 0;
        if (s->depth == DEPTH_MAX) {
                cleanup_error struct oxl_error why = OXL_ERROR_INIT;
                errno = ENAMETOOLONG;
                OXL_IGNORE(OXL_FAIL_OS(&why, DIR_OPEN, path), "reported next");
                return oxl_oxen_unreadable(x, path, &why, err);
        }
        int r = oxl_oxen_enter(x, dirfd, name, path, &fd, err);
        if (r != 0)
                return r < 0 ? r : 0;
        s->depth++;
        r = search_folder(x, s, fd, path, err);
        s->depth--;
        return r;
}

static int search_folder(struct oxl_oxen *x, struct search *s, int fd, const char *path, struct oxl_error *err)
{
        cleanup_fd int versions = -1;
        cleanup_free char *below = NULL;
        if (!is_repository(fd))
                return oxl_oxen_each(x, fd, path, search_entry, s, NULL, err);
        int r = oxl_path_join(path, "versions", &below, err);
        if (r == 0)
                r = oxl_oxen_enter(x, fd, "versions", below, &versions, err);
        r = r == 0 ? oxl_oxen_each(x, versions, below, search_entry, s, NULL, err) : r < 0 ? r : 0;
        if (r == 0 && !s->same_size && oxl_oxen_items_open(x) > 0) /* once */
                r = search_packs(x, s->repair, fd, path, err);
        return r;
}

/* The places that the hash of @item has when the folder is a store or holds one. */
static int try_places(struct oxl_oxen *x, struct oxl_oxen_repair *p, int from_fd, const struct oxl_digest want,
                      struct oxl_error *err)
{
        static const char *const stores[] = { "", "versions/files/", ".oxen/versions/files/",
                                              ".oxen-lite/versions/files/" };
        char folder[OXL_OXEN_FOLDER_SIZE], place[OXL_OXEN_FOLDER_SIZE + 32];
        int r = 0;
        oxl_oxen_folder(&want, folder);
        for (size_t i = 0; r == 0 && i < OXL_ARRAY_LEN(stores); i++) {
                cleanup_free char *path = NULL;
                OXL_IGNORE(snprintf(place, sizeof place, "%s%s", stores[i], folder), "fits");
                cleanup_fd int fd = oxl_open_beneath(from_fd, place, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
                if (fd < 0)
                        continue; /* the search of the whole folder meets it again, and says why */
                r = oxl_path_join(x->options->from, place, &path, err);
                if (r == 0)
                        r = try_file(x, p, fd, path, "data", err);
        }
        return r;
}

static int search_from(struct oxl_oxen *x, struct oxl_oxen_repair *p, struct oxl_error *err)
{
        cleanup_fd int fd = oxl_fd_open(AT_FDCWD, x->options->from, O_RDONLY | O_DIRECTORY, 0);
        if (fd < 0)
                return OXL_FAIL_OS(err, DIR_OPEN, x->options->from);
        int r = 0;
        for (size_t i = 0; r == 0 && i < x->n_items; i++)
                if (!x->items[i].healed && !x->items[i].stale)
                        r = try_places(x, p, fd, x->items[i].want, err);
        for (int pass = 0; r == 0 && pass < 2 && oxl_oxen_items_open(x) > 0; pass++) {
                struct search s = { .repair = p, .by_size = true, .same_size = pass == 0 };
                r = search_folder(x, &s, fd, x->options->from, err);
        }
        return r;
}

int oxl_oxen_sources(struct oxl_oxen *x, struct oxl_oxen_repair *p, int quarantine_fd, const char *quarantine,
                     struct oxl_error *err)
{
        int r = 0;
        if (quarantine_fd >= 0) {
                struct search s = { .repair = p };
                r = search_folder(x, &s, quarantine_fd, quarantine, err);
        }
        if (r == 0 && x->options->from && oxl_oxen_items_open(x) > 0)
                r = search_from(x, p, err);
        return r;
}
