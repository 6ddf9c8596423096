/* SPDX-License-Identifier: MIT */
/*
 * What is left: the folders that must be there, and names that belong nowhere. The passes over refs, packs and
 * loose blobs look after their own folders. quarantine/ and trash/ hold what repair and gc put there: nothing is
 * wrong in them.
 */
#include <string.h>

#include "base/hex.h"
#include "check/pass.h"
#include "os/fdio.h"

struct place {
        const char *path;
        bool folder, required;
};

static const struct place places[] = {
        { "HEAD", false, false },
        { "config.json", false, false },
        { "format", false, false },
        { "index", false, false },
        { "index.delta", false, false },
        { "journal.db", false, false },
        { "journal.db-journal", false, false },
        { "journal.db-shm", false, false },
        { "journal.db-wal", false, false },
        { "locks", false, true },
        { "owners", true, true },
        { "quarantine", true, false },
        { "refs", true, true },
        { "refs/heads", true, true },
        { "refs/tags", true, true },
        { "reserve", false, false },
        { "trash", true, false },
        { "versions", true, true },
        { "versions/files", true, true },
        { "versions/packs", true, true },
        { "versions/tmp", true, true },
};

static const struct place *find_place(const char *path)
{
        for (size_t i = 0; i < OXL_ARRAY_LEN(places); i++)
                if (strcmp(places[i].path, path) == 0)
                        return &places[i];
        return NULL;
}

/* An entry of the root or of versions/. What is known is checked by check_places(). */
static int visit_known(struct oxl_check *c, void *ctx, const char *path, const char *name, const struct stat *st,
                       struct oxl_error *err)
{
        (void)ctx;
        return find_place(path) ? 0 : oxl_check_stray(c, OXL_P_STRAY, path, name, st, err);
}

static int visit_temp(struct oxl_check *c, void *ctx, const char *path, const char *name, const struct stat *st,
                      struct oxl_error *err)
{
        (void)ctx;
        return oxl_check_stray(c, OXL_P_STRAY, path, name, st, err);
}

static int visit_owner(struct oxl_check *c, void *ctx, const char *path, const char *name, const struct stat *st,
                       struct oxl_error *err)
{
        uint64_t number;
        (void)ctx;
        if (S_ISREG(st->st_mode) && strlen(name) == 16 && oxl_hex_decode_u64(name, &number))
                return 0;
        return oxl_check_stray(c, OXL_P_STRAY, path, name, st, err);
}

static int check_place(struct oxl_check *c, const struct place *p, struct oxl_error *err)
{
        struct stat st;
        struct oxl_report r = { .problem = OXL_P_STRUCTURE, .path = p->path };
        if (oxl_fd_stat_at(c->root_fd, p->path, &st) < 0) {
                cleanup_error struct oxl_error why = OXL_ERROR_INIT;
                if (errno == ENOENT || errno == ENOTDIR)
                        return p->required ? oxl_check_report(c, &r, err) : 0;
                OXL_IGNORE(OXL_FAIL_OS(&why, FILE_STAT, p->path), "reported next");
                return oxl_check_report_error(c, OXL_P_STRUCTURE, p->path, "", &why, err);
        }
        if (p->folder ? S_ISDIR(st.st_mode) : S_ISREG(st.st_mode))
                return p->folder || p->required ? oxl_check_owner(c, p->path, &st, err) : 0;
        r.detail = p->folder ? "it is not a folder" : "it is not a regular file";
        return oxl_check_report(c, &r, err);
}

int oxl_check_leftovers(struct oxl_check *c, struct oxl_error *err)
{
        int r = 0;
        for (size_t i = 0; r == 0 && i < OXL_ARRAY_LEN(places); i++)
                r = check_place(c, &places[i], err);
        if (r == 0)
                r = oxl_check_list(c, "", visit_known, NULL, NULL, err);
        if (r == 0)
                r = oxl_check_list(c, "versions", visit_known, NULL, NULL, err);
        if (r == 0)
                r = oxl_check_list(c, "versions/tmp", visit_temp, NULL, NULL, err);
        return r < 0 ? r : oxl_check_list(c, "owners", visit_owner, NULL, NULL, err);
}
