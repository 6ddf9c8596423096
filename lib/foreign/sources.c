/* SPDX-License-Identifier: MIT */
/*
 * Where good bytes are looked for, cheapest first: the quarantine (two blobs that were swapped heal each other), the
 * place that the hash has in an Oxen store at or below the caller's folder, then every file of that folder, whatever
 * its name: those of the size of a damaged one first, because most damage keeps the size.
 *
 * Of repository folders (.oxen, .oxen-lite) only `versions` is read: databases are never opened. Links are not
 * followed.
 */
#include <stdio.h>
#include <string.h>

#include "base/path.h"
#include "foreign/oxen.h"

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
        return r > 0 ? 0 : oxl_oxen_offer(p, dirfd, name, path, &h.id, err);
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
        return r == 0 ? oxl_oxen_each(x, versions, below, search_entry, s, NULL, err) : r < 0 ? r : 0;
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
