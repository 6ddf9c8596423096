/* SPDX-License-Identifier: MIT */
/*
 * Quarantine and healing. Nothing is deleted, and a damaged file is replaced only when
 *   1. a copy of it is durable in the quarantine, was read back from there, and has the bytes that were judged;
 *   2. good bytes are durable in a temp beside it, and hash to its name;
 *   3. it is still the file that was judged.
 *
 *      STATE/<store, 16 hex>/quarantine/<16 hex of path and bytes>/data, then note
 *
 * The state folder may be on another file system, so the quarantine holds copies. What a crash leaves: a folder in
 * the quarantine without its note, which the next run completes; a temp of ours in the store, which fsck notes; the
 * old file or the new one, whole. Running again is always right.
 */
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "base/path.h"
#include "durable/durable.h"
#include "foreign/oxen.h"

struct oxl_oxen_repair {
        struct oxl_oxen *x;
        struct oxl_durable *store; /* on the version store */
        int state_fd;              /* the nearest folder above the quarantine that existed */
        struct oxl_durable *state; /* on it */
        char *quarantine;          /* owned; path of the quarantine below state_fd */
};

static void repair_done(struct oxl_oxen_repair *p)
{
        oxl_durable_free(p->store);
        oxl_durable_free(p->state);
        oxl_fd_done(&p->state_fd);
        free(p->quarantine);
}

/* --- the state folder ------------------------------------------------------------------------------------------------ */

static int state_path(const struct oxl_oxen *x, char **ret, struct oxl_error *err)
{
        const char *given = x->options->state, *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
        cleanup_buf struct oxl_buf b = OXL_BUF_INIT;
        int r;
        if (given)
                r = oxl_buf_append_text(&b, given, err);
        else if (xdg && xdg[0] == '/')
                r = oxl_buf_append_fmt(&b, err, "%s/oxen-lite/oxen", xdg);
        else if (home && home[0] == '/')
                r = oxl_buf_append_fmt(&b, err, "%s/.local/state/oxen-lite/oxen", home);
        else
                return OXL_FAIL_WHY(err, OXEN_STATE, "~/.local/state", "neither XDG_STATE_HOME nor HOME is set");
        while (r == 0 && b.len > 1 && b.data[b.len - 1] == '/')
                b.data[--b.len] = 0;
        if (r == 0)
                *ret = (char *)oxl_buf_take(&b);
        return r;
}

/* Opens the nearest existing folder at or above @path; *ret_rest is what is missing below it. */
static int open_existing(const char *path, int *ret_fd, char **ret_rest, struct oxl_error *err)
{
        cleanup_free char *at = strdup(path);
        size_t n = strlen(path);
        if (!at)
                return OXL_FAIL_PLAIN(err, NOMEM);
        for (;;) {
                cleanup_fd int fd = oxl_fd_open(AT_FDCWD,
                                                n                ? at
                                                : path[0] == '/' ? "/"
                                                                 : ".",
                                                O_RDONLY | O_DIRECTORY, 0);
                if (fd < 0 && (errno != ENOENT || n == 0))
                        return OXL_FAIL_OS(err, DIR_OPEN, path);
                if (fd >= 0) {
                        const char *rest = path + n + strspn(path + n, "/");
                        *ret_rest = strdup(rest);
                        if (!*ret_rest)
                                return OXL_FAIL_PLAIN(err, NOMEM);
                        *ret_fd = take_fd(&fd);
                        return 0;
                }
                while (n > 0 && at[n - 1] != '/')
                        n--;
                while (n > 0 && at[n - 1] == '/')
                        n--;
                at[n] = 0;
        }
}

/* State inside of what is checked would be a stray file there, and might be pushed or removed by Oxen. */
static int refuse_inside(const struct oxl_oxen *x, const char *place, struct oxl_error *err)
{
        const char *const forbidden[] = { x->repo, x->store };
        for (size_t i = 0; i < OXL_ARRAY_LEN(forbidden); i++)
                if (forbidden[i] && oxl_path_is_within(place, forbidden[i]))
                        return OXL_FAIL_WHY(err, OXEN_STATE, place, "it is inside of the Oxen repository");
        return 0;
}

static int join3(const char *a, const char *b, const char *c, char **ret, struct oxl_error *err)
{
        cleanup_free char *ab = NULL;
        int r = oxl_path_join(a, b, &ab, err);
        return r < 0 ? r : oxl_path_join(ab, c, ret, err);
}

static void store_id(const struct oxl_oxen *x, char ret[17])
{
        struct oxl_digest d = oxl_digest_of(OXL_ALGO_BLAKE3, x->store, strlen(x->store));
        oxl_hex_encode(d.bytes, 8, ret);
}

int oxl_oxen_state(const struct oxl_oxen *x, const char *what, struct oxl_oxen_state_place *ret, struct oxl_error *err)
{
        cleanup_free char *path = NULL, *rest = NULL, *real = NULL, *place = NULL, *below = NULL, *shown = NULL;
        cleanup_fd int fd = -1;
        char id[17];
        store_id(x, id);
        int r = state_path(x, &path, err);
        if (r == 0)
                r = open_existing(path, &fd, &rest, err);
        if (r == 0)
                r = oxl_oxen_real_path(fd, path, &real, err);
        if (r == 0)
                r = oxl_path_join(real, rest, &place, err);
        if (r == 0)
                r = refuse_inside(x, place, err);
        if (r == 0)
                r = join3(rest, id, what, &below, err);
        if (r == 0)
                r = oxl_path_check(below, err);
        if (r == 0)
                r = join3(place, id, what, &shown, err);
        if (r < 0)
                return r;
        *ret = (struct oxl_oxen_state_place){ take_fd(&fd), take_ptr(&real), take_ptr(&below), take_ptr(&shown) };
        return 0;
}

void oxl_oxen_state_place_done(struct oxl_oxen_state_place *p)
{
        oxl_fd_done(&p->fd);
        free(p->real);
        free(p->below);
        free(p->shown);
        *p = (struct oxl_oxen_state_place){ .fd = -1 };
}

static int open_state(struct oxl_oxen_repair *p, struct oxl_error *err)
{
        struct oxl_oxen *x = p->x;
        cleanup(oxl_oxen_state_place_done) struct oxl_oxen_state_place place = { .fd = -1 };
        int r = oxl_oxen_state(x, "quarantine", &place, err);
        oxl_freep(&x->result.quarantine); /* of the batch before */
        if (r < 0)
                return r;
        p->state_fd = take_fd(&place.fd);
        p->quarantine = take_ptr(&place.below);
        x->result.quarantine = take_ptr(&place.shown);
        return oxl_durable_new(p->state_fd, place.real, 0, &p->state, err);
}

/* --- copying --------------------------------------------------------------------------------------------------------- */

struct copying {
        struct oxl_oxen *x;
        struct oxl_stage *stage;
        struct oxl_hasher h;
        struct oxl_error write; /* of the stage: no failure of the source */
};

static int copy_piece(void *ctx, const void *bytes, size_t n, struct oxl_error *err)
{
        static const uint8_t zeros[4096];
        struct copying *c = ctx;
        int r = oxl_oxen_poll(c->x, &c->write);
        for (size_t at = 0; !bytes && at < n; at += sizeof zeros)
                oxl_hasher_update(&c->h, zeros, n - at < sizeof zeros ? n - at : sizeof zeros);
        if (bytes)
                oxl_hasher_update(&c->h, bytes, n);
        if (r == 0)
                r = bytes ? oxl_stage_write(c->stage, bytes, n, &c->write) : oxl_stage_skip(c->stage, n, &c->write);
        return r < 0 ? oxl_error_copy(err, &c->write) : 0;
}

/* 1: it is no regular file any more. */
static int copy_file(struct copying *c, const struct oxl_oxen_bytes *from, const char *shown, struct oxl_error *why)
{
        cleanup_fd int fd = -1;
        struct stat st;
        int r = oxl_oxen_open(from->dirfd, from->name, shown, &fd, &st, why);
        for (ssize_t n = 1; r == 0 && n > 0;) {
                n = oxl_fd_read(fd, c->x->buf, OXL_OXEN_BUFFER);
                if (n < 0)
                        return OXL_FAIL_OS(why, FILE_READ, shown);
                if (n > 0)
                        r = copy_piece(c, c->x->buf, (size_t)n, why);
        }
        return r;
}

/* Copies @from into @s. 0; 1: its bytes are not (or no longer) @want's, or it could not be read, which was
 * reported. < 0: a failed write, or CANCELLED. */
static int copy(struct oxl_oxen *x, const struct oxl_oxen_bytes *from, const char *shown, const struct oxl_digest *want,
                struct oxl_stage *s, struct oxl_error *err)
{
        struct copying c = { .x = x, .stage = s };
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        struct oxl_digest id;
        oxl_hasher_init(&c.h, OXL_ALGO_XXH3_128);
        int r = oxl_oxen_poll(x, err);
        if (r < 0)
                return r;
        r = from->objects ? oxl_objects_stream(from->objects, &from->blob, copy_piece, &c, x->options->cancel, &why)
                          : copy_file(&c, from, shown, &why);
        if (c.write.code) {
                oxl_error_move(err, &c.write);
                return -(int)err->code;
        }
        if (r < 0) {
                r = oxl_oxen_unreadable(x, shown, &why, err);
                return r < 0 ? r : 1;
        }
        oxl_hasher_final(&c.h, &id);
        return r > 0 || !oxl_digest_equal(&id, want) ? 1 : 0;
}

/* Does the published file hold @want when it comes from the medium? 0 yes, 1 no. */
static int read_back(struct oxl_oxen *x, struct oxl_durable *d, const char *path, const struct oxl_digest *want,
                     struct oxl_error *err)
{
        cleanup_fd int fd = -1;
        struct oxl_digest id = OXL_DIGEST_INIT;
        uint64_t bytes;
        int r = oxl_durable_reopen(d, path, &fd, err);
        if (r == 0)
                r = oxl_oxen_hash_fd(x, fd, path, &id, &bytes, err);
        return r < 0 ? r : !oxl_digest_equal(&id, want);
}

static void stage_done(struct oxl_stage **s)
{
        oxl_stage_free(*s);
}

/* --- quarantine -------------------------------------------------------------------------------------------------------- */

/* The same damage of the same file has the same place; other bytes have another. */
static void quarantine_id(const struct oxl_oxen_item *item, char ret[17])
{
        struct oxl_hasher h;
        struct oxl_digest d;
        oxl_hasher_init(&h, OXL_ALGO_BLAKE3);
        oxl_hasher_update(&h, item->path, strlen(item->path) + 1);
        oxl_hasher_update(&h, item->got.bytes, sizeof item->got.bytes);
        oxl_hasher_le64(&h, (uint64_t)item->st.st_size);
        oxl_hasher_final(&h, &d);
        oxl_hex_encode(d.bytes, 8, ret);
}

static int write_note(struct oxl_oxen_repair *p, const struct oxl_oxen_item *item, const char *path,
                      struct oxl_error *err)
{
        char want[OXL_DIGEST_TEXT_MAX], got[OXL_DIGEST_TEXT_MAX];
        cleanup_buf struct oxl_buf note = OXL_BUF_INIT;
        oxl_digest_text(&item->want, want);
        oxl_digest_text(&item->got, got);
        /* The path comes last: it may hold any byte. */
        int r = oxl_buf_append_fmt(
                &note, err, "expected xxh3-128:%s\nactual xxh3-128:%s\nsize %llu\nmode %04o\nstore %s\npath %s\n", want,
                got, (unsigned long long)item->st.st_size, (unsigned)(item->st.st_mode & 07777), p->x->store,
                item->path);
        return r == 0 ? oxl_durable_write(p->state, path, note.data, note.len, err) : r;
}

/* Is the damaged file in its quarantine already, whole and with its note? */
static bool is_kept(struct oxl_oxen_repair *p, const struct oxl_oxen_item *item, const char *dir)
{
        struct oxl_oxen_hashed h;
        struct stat st;
        cleanup_fd int fd = oxl_open_beneath(p->state_fd, dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
        return fd >= 0 && oxl_fd_stat_at(fd, "note", &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 &&
               oxl_oxen_hash(p->x, fd, "data", "data", &h, NULL) == 0 && oxl_digest_equal(&h.id, &item->got);
}

/* Opens the folder of @path below the store; *ret_name is its last component. 1: gone, or reported. */
static int open_parent(struct oxl_oxen *x, const char *path, const char *shown, int *ret_fd, const char **ret_name,
                       struct oxl_error *err)
{
        cleanup_free char *parent = NULL;
        int r = oxl_path_parent(path, &parent, err);
        if (r < 0)
                return r;
        int fd = oxl_open_beneath(x->store_fd, parent, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
        if (fd < 0 && errno != ENOENT) {
                cleanup_error struct oxl_error why = OXL_ERROR_INIT;
                OXL_IGNORE(OXL_FAIL_OS(&why, DIR_OPEN, shown), "reported next");
                r = oxl_oxen_unreadable(x, shown, &why, err);
        }
        if (fd < 0)
                return r < 0 ? r : 1;
        *ret_fd = fd;
        *ret_name = oxl_path_base(path);
        return 0;
}

/* Copies the damaged file to @dir/data, durable and read back. 1: it changed, or cannot be read. */
static int keep_copy(struct oxl_oxen_repair *p, const struct oxl_oxen_item *item, const char *dir,
                     struct oxl_error *err)
{
        struct oxl_oxen *x = p->x;
        cleanup_fd int fd = -1;
        cleanup(stage_done) struct oxl_stage *s = NULL;
        cleanup_free char *shown = NULL, *data = NULL;
        const char *name;
        int r = oxl_oxen_shown(x, item->path, &shown, err);
        if (r == 0)
                r = oxl_path_join(dir, "data", &data, err);
        if (r == 0)
                r = open_parent(x, item->path, shown, &fd, &name, err);
        if (r == 0)
                r = oxl_stage_open(p->state, dir, "data", 0, &s, err);
        /* Nobody may read in the quarantine what only its owner could read in the store. */
        if (r == 0 && oxl_sys->fchmod(oxl_stage_fd(s), S_IRUSR) < 0)
                r = OXL_FAIL_OS(err, FILE_META, data);
        if (r == 0)
                r = copy(x, &(struct oxl_oxen_bytes){ .dirfd = fd, .name = name }, shown, &item->got, s, err);
        if (r == 0)
                r = oxl_stage_sync(s, err);
        /* CRASH: a copy without a note; the next run writes both again (a_quarantine_without_its_note_is_completed) */
        if (r == 0)
                r = oxl_stage_publish(s, data, false, err);
        if (r == 0)
                r = oxl_durable_barrier(p->state, err);
        return r == 0 ? read_back(x, p->state, data, &item->got, err) : r;
}

static int quarantine(struct oxl_oxen_repair *p, struct oxl_oxen_item *item, struct oxl_error *err)
{
        cleanup_free char *dir = NULL, *note = NULL;
        char id[17];
        if (item->got.algo == OXL_ALGO_NONE)
                return 0; /* nothing is there */
        quarantine_id(item, id);
        int r = oxl_path_join(p->quarantine, id, &dir, err);
        if (r == 0)
                r = oxl_path_join(dir, "note", &note, err);
        if (r < 0)
                return r;
        if (!is_kept(p, item, dir)) {
                r = keep_copy(p, item, dir, err);
                if (r == 0)
                        r = write_note(p, item, note, err);
        }
        if (r < 0)
                return r;
        item->stale = r > 0;
        if (r > 0)
                return 0;
        memcpy(item->quarantine, id, sizeof id);
        p->x->result.quarantined++;
        return 0;
}

/* --- healing --------------------------------------------------------------------------------------------------------- */

/* Mode and owner of what is replaced; a new file gets what its folder has. */
static int set_rights(struct oxl_stage *s, const struct oxl_oxen_item *item, const char *shown, struct oxl_error *err)
{
        mode_t mode = S_ISDIR(item->st.st_mode) ? item->st.st_mode & 0666 : item->st.st_mode & 07777;
        struct stat st;
        int fd = oxl_stage_fd(s);
        if (fd < 0 || oxl_fd_stat(fd, &st) < 0)
                return OXL_FAIL_OS(err, FILE_META, shown);
        /* The owner first: a change of it clears bits of the mode. Oxen's files are often readable by nobody else. */
        bool other = st.st_uid != item->st.st_uid || st.st_gid != item->st.st_gid;
        if (other && oxl_sys->fchown(fd, item->st.st_uid, item->st.st_gid) < 0 && errno != EPERM)
                return OXL_FAIL_OS(err, FILE_META, shown);
        return oxl_sys->fchmod(fd, mode) < 0 ? OXL_FAIL_OS(err, FILE_META, shown) : 0;
}

/* Is what stands there what was judged? 0 yes, 1 no; < 0 FILE_STAT. */
static int unchanged(int fd, const char *name, const char *shown, const struct oxl_oxen_item *item,
                     struct oxl_error *err)
{
        struct stat st;
        bool missing = item->got.algo == OXL_ALGO_NONE;
        if (oxl_fd_stat_at(fd, name, &st) == 0)
                return missing || !oxl_oxen_same(&st, &item->st);
        return errno == ENOENT ? !missing : OXL_FAIL_OS(err, FILE_STAT, shown);
}

/* 0 healed; 1 not from this source, or the damaged file is another by now (then item->stale). */
static int heal(struct oxl_oxen_repair *p, struct oxl_oxen_item *item, const struct oxl_oxen_bytes *bytes,
                const char *source, struct oxl_error *err)
{
        struct oxl_oxen *x = p->x;
        cleanup(stage_done) struct oxl_stage *s = NULL;
        cleanup_fd int fd = -1;
        cleanup_free char *shown = NULL, *parent = NULL;
        const char *base;
        bool missing = item->got.algo == OXL_ALGO_NONE;
        int r = oxl_oxen_shown(x, item->path, &shown, err);
        if (r == 0)
                r = oxl_path_parent(item->path, &parent, err);
        if (r == 0)
                r = open_parent(x, item->path, shown, &fd, &base, err);
        if (r == 0)
                r = oxl_stage_open(p->store, parent, base, 0, &s, err);
        if (r == 0)
                r = set_rights(s, item, shown, err);
        if (r == 0)
                r = copy(x, bytes, source, &item->want, s, err);
        if (r == 0)
                r = oxl_stage_sync(s, err);
        if (r != 0)
                return r;
        r = unchanged(fd, base, shown, item, err);
        item->stale = r > 0;
        if (r != 0)
                return r;
        /* CRASH: the damaged file, which is in the quarantine, or the good one; the next run sees which
         * (a_failure_at_any_call_of_repair_loses_nothing) */
        r = oxl_stage_publish(s, item->path, missing, err);
        if (r == 0)
                r = oxl_durable_barrier(p->store, err);
        if (r == 0)
                r = read_back(x, p->store, item->path, &item->want, err);
        item->stale = item->unproven = r > 0;
        return r;
}

int oxl_oxen_offer(struct oxl_oxen_repair *p, const struct oxl_oxen_bytes *bytes, const char *shown,
                   const struct oxl_digest *id, struct oxl_error *err)
{
        size_t n;
        struct oxl_oxen_item *item = oxl_oxen_items_find(p->x, id, &n);
        for (size_t i = 0; i < n; i++, item++) {
                if (item->healed || item->stale)
                        continue;
                cleanup_free char *source = strdup(shown);
                if (!source)
                        return OXL_FAIL_PLAIN(err, NOMEM);
                int r = heal(p, item, bytes, shown, err);
                if (r < 0)
                        return r;
                item->healed = r == 0;
                if (item->healed) {
                        item->source = take_ptr(&source);
                        p->x->result.healed++;
                }
        }
        return 0;
}

static int repair(struct oxl_oxen *x, struct oxl_error *err)
{
        cleanup(repair_done) struct oxl_oxen_repair p = { .x = x, .state_fd = -1 };
        oxl_oxen_items_sort(x);
        int r = open_state(&p, err);
        if (r == 0)
                r = oxl_durable_new(x->store_fd, x->store, 0, &p.store, err);
        for (size_t i = 0; r == 0 && i < x->n_items; i++)
                r = quarantine(&p, &x->items[i], err);
        if (r < 0)
                return r;
        cleanup_fd int fd = oxl_open_beneath(p.state_fd, p.quarantine, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
        r = oxl_oxen_sources(x, &p, fd, x->result.quarantine, err);
        x->searched = r == 0;
        return r;
}

int oxl_oxen_repair(struct oxl_oxen *x, struct oxl_error *err)
{
        int r = x->n_items ? repair(x, err) : 0;
        if (x->result.quarantined == 0) { /* nothing was moved there, perhaps it was not even made */
                free(x->result.quarantine);
                x->result.quarantine = NULL;
        }
        return r;
}
