/* SPDX-License-Identifier: MIT */
/* Where an object is stored, and what holds it besides commits and the index: operations that can be undone, open intents, quarantine. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <oxenlite/json.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/hex.h"
#include "base/path.h"
#include "objects/loose.h"
#include "objects/pack.h"
#include "objects/quarantine.h"
#include "os/fdio.h"
#include "repo/move.h"
#include "repo/trash.h"
#include "repo/why.h"

enum { NOTE_BYTES_MAX = 65536 };

static void pack_free(struct oxl_pack **p)
{
        oxl_pack_free(*p);
}

static void json_free(struct oxl_json **j)
{
        oxl_json_free(*j);
}

/* --- folders ----------------------------------------------------------------------------------------------------------------------- */

/* Calls @fn for each folder in the folder @dir of the repository. */
typedef int folder_fn(void *ctx, int fd, const char *path, struct oxl_error *err);
static int each_folder(const struct oxl_why *w, const char *dir, folder_fn *fn, void *ctx, struct oxl_error *err)
{
        cleanup_fd int fd = oxl_open_beneath(w->repo->root_fd, dir, O_RDONLY | O_DIRECTORY, 0);
        cleanup_dir struct oxl_dir list = OXL_DIR_INIT;
        struct oxl_dirent e;
        int more, k = 0;
        if (fd < 0 && errno == ENOENT)
                return 0;
        if (fd < 0 || oxl_dir_open(&list, fd) < 0)
                return OXL_FAIL_OS(err, DIR_OPEN, dir);
        while (k >= 0 && (more = oxl_dir_next(&list, &e)) > 0) {
                cleanup_free char *path = NULL;
                cleanup_fd int below = oxl_fd_open(fd, e.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
                if (below < 0)
                        continue; /* a file, or gone */
                k = oxl_path_join(dir, e.name, &path, err);
                if (k >= 0)
                        k = fn(ctx, below, path, err);
        }
        return k < 0 ? k : more < 0 ? OXL_FAIL_OS(err, DIR_READ, dir) : 0;
}

/* --- packs and loose blobs: of the store, and of runs of gc in trash, which look like stores -------------------------------- */

typedef int entry_fn(void *ctx, const char *pack, const struct oxl_pack_entry *e, struct oxl_error *err);

struct packs {
        struct oxl_why *w;
        int root_fd;
        const char *where; /* before the paths of what is found: "" or "trash/<id>/" */
        uint8_t from[OXL_DIGEST_BYTES];
        size_t digits; /* that count */
        entry_fn *fn;
        void *ctx;
};

static bool same_digits(const struct packs *p, const uint8_t *id)
{
        size_t whole = p->digits / 2;
        return memcmp(id, p->from, whole) == 0 && (p->digits % 2 == 0 || id[whole] >> 4 == p->from[whole] >> 4);
}

static int ask_pack(void *ctx, const struct oxl_digest *id, struct oxl_error *err)
{
        struct packs *p = ctx;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        cleanup(pack_free) struct oxl_pack *pack = NULL;
        const struct oxl_format *f = &p->w->repo->format;
        char path[OXL_LOOSE_PATH_MAX];
        oxl_pack_path(id, path);
        if (oxl_repo_cancelled(p->w->repo))
                return OXL_FAIL_PLAIN(err, CANCELLED);
        int k = oxl_pack_open(p->root_fd, path, id, &f->id, f->blob_algo, &pack, &why);
        if (k >= 0)
                k = oxl_pack_load_index(pack, &why);
        if (k < 0)
                return oxl_why_damage(p->w, &why, err);
        for (uint64_t i = oxl_pack_lower_bound(pack, p->from); k >= 0 && i < oxl_pack_entries(pack); i++) {
                struct oxl_pack_entry e;
                oxl_pack_entry_at(pack, i, &e);
                if (!same_digits(p, e.id.bytes))
                        break;
                k = e.kind == OXL_KIND_FILLER ? 0 : p->fn(p->ctx, path, &e, err);
        }
        return k;
}

/* --- an object by its id -------------------------------------------------------------------------------------------------------- */

struct finding {
        struct oxl_why *w;
        struct packs packs;
        unsigned found; /* different objects */
        enum oxl_kind kind;
        struct oxl_digest id;
};

static void found(struct finding *f, enum oxl_kind kind, const struct oxl_digest *id)
{
        if (f->found && f->kind == kind && oxl_digest_equal(&f->id, id))
                return;
        f->kind = kind;
        f->id = *id;
        f->found++;
}

static int found_entry(void *ctx, const char *pack, const struct oxl_pack_entry *e, struct oxl_error *err)
{
        (void)pack, (void)err;
        found(ctx, (enum oxl_kind)e->kind, &e->id);
        return 0;
}

static int found_loose(void *ctx, const struct oxl_digest *id, const char *path, struct oxl_error *err)
{
        struct finding *f = ctx;
        (void)path, (void)err;
        if (same_digits(&f->packs, id->bytes))
                found(f, OXL_KIND_BLOB, id);
        return 0;
}

static bool parse_digits(const char *hex, struct packs *p, enum oxl_algo blob_algo)
{
        struct oxl_digest id;
        char digits[2 * OXL_DIGEST_BYTES + 1];
        size_t n = strlen(hex);
        if (blob_algo != OXL_ALGO_BLAKE3 && oxl_digest_parse(blob_algo, hex, &id)) {
                memcpy(p->from, id.bytes, OXL_DIGEST_BYTES);
                p->digits = 2 * OXL_DIGEST_BYTES;
                return true;
        }
        if (n < OXL_WHY_DIGITS_MIN || n > 2 * OXL_DIGEST_BYTES || strspn(hex, "0123456789abcdef") != n)
                return false;
        memset(digits, '0', sizeof digits);
        memcpy(digits, hex, n);
        p->digits = n;
        return oxl_hex_decode(digits, p->from, OXL_DIGEST_BYTES);
}

/* In the store at @root_fd; a run in trash lacks folders that it has no files for. */
static int find_in_store(struct finding *f, int root_fd, struct oxl_error *err)
{
        cleanup_fd int packs = oxl_open_beneath(root_fd, "versions/packs", O_PATH | O_DIRECTORY, 0);
        cleanup_fd int files = oxl_open_beneath(root_fd, "versions/files", O_PATH | O_DIRECTORY, 0);
        f->packs.root_fd = root_fd;
        int k = packs < 0 ? 0 : oxl_pack_list(root_fd, ask_pack, &f->packs, err);
        return k < 0 || files < 0 ? k
                                  : oxl_loose_list(root_fd, f->w->repo->format.blob_algo, found_loose, NULL, f, err);
}

static int find_in_trash(void *ctx, int fd, const char *path, struct oxl_error *err)
{
        (void)path;
        return find_in_store(ctx, fd, err);
}

int oxl_why_find_object(struct oxl_why *w, const char *hex, bool trash, struct oxl_error *err)
{
        struct finding f = { .w = w, .packs = { .w = w, .where = "", .fn = found_entry } };
        f.packs.ctx = &f;
        if (!parse_digits(hex, &f.packs, w->repo->format.blob_algo))
                return 1;
        int k = find_in_store(&f, w->repo->root_fd, err);
        if (k >= 0 && trash)
                k = each_folder(w, "trash", find_in_trash, &f, err);
        if (k < 0 || f.found == 0)
                return k < 0 ? k : 1;
        if (f.found > 1)
                return OXL_FAIL_WHY(err, WHY_TARGET, hex, "several objects begin like this");
        w->kind = f.kind;
        w->id = f.id;
        return 0;
}

/* --- its copies -------------------------------------------------------------------------------------------------------------------- */

static int tell_copy(struct packs *p, enum oxl_why_kind kind, const char *path, uint64_t offset, uint64_t size,
                     struct oxl_error *err)
{
        cleanup_free char *name = NULL;
        if (asprintf(&name, "%s%s", p->where, path) < 0)
                return OXL_FAIL_PLAIN(err, NOMEM);
        const struct oxl_why_item item = {
                .kind = *p->where ? OXL_WHY_TRASH : kind, .path = name, .id = p->w->id, .offset = offset, .size = size
        };
        return oxl_why_tell(p->w, &item, err);
}

static int tell_entry(void *ctx, const char *pack, const struct oxl_pack_entry *e, struct oxl_error *err)
{
        struct packs *p = ctx;
        if (p->w->kind != OXL_KIND_FILLER && e->kind != p->w->kind)
                return 0;
        return tell_copy(p, OXL_WHY_PACK, pack, e->offset, e->raw_len, err);
}

/* In the store at @root_fd. */
static int ask_store(struct oxl_why *w, int root_fd, const char *where, struct oxl_error *err)
{
        struct packs p = {
                .w = w, .root_fd = root_fd, .where = where, .digits = 2 * OXL_DIGEST_BYTES, .fn = tell_entry
        };
        struct stat st;
        char path[OXL_LOOSE_PATH_MAX];
        p.ctx = &p;
        memcpy(p.from, w->id.bytes, OXL_DIGEST_BYTES);
        cleanup_fd int packs = oxl_open_beneath(root_fd, "versions/packs", O_PATH | O_DIRECTORY, 0);
        if (packs < 0 && errno != ENOENT)
                return OXL_FAIL_OS(err, DIR_OPEN, "versions/packs");
        int k = packs < 0 ? 0 : oxl_pack_list(root_fd, ask_pack, &p, err);
        if (k < 0 || w->kind == OXL_KIND_TREE || w->kind == OXL_KIND_COMMIT)
                return k;
        oxl_loose_path(&w->id, path);
        cleanup_fd int fd = oxl_open_beneath(root_fd, path, O_PATH | O_NOFOLLOW, 0);
        if (fd < 0)
                return errno == ENOENT ? 0 : OXL_FAIL_OS(err, FILE_OPEN, path);
        if (oxl_fd_stat(fd, &st) < 0)
                return OXL_FAIL_OS(err, FILE_STAT, path);
        return tell_copy(&p, OXL_WHY_LOOSE, path, 0, (uint64_t)st.st_size, err);
}

static int ask_trash(void *ctx, int fd, const char *path, struct oxl_error *err)
{
        struct oxl_why *w = ctx;
        cleanup_free char *where = NULL;
        return asprintf(&where, "%s/", path) < 0 ? OXL_FAIL_PLAIN(err, NOMEM) : ask_store(w, fd, where, err);
}

int oxl_why_copies(struct oxl_why *w, struct oxl_error *err)
{
        if (w->id.algo == OXL_ALGO_NONE)
                return 0;
        int k = each_folder(w, "trash", ask_trash, w, err);
        return k < 0 ? k : ask_store(w, w->repo->root_fd, "", err);
}

/* --- quarantine ---------------------------------------------------------------------------------------------------------------------- */

static bool note_matches(const struct oxl_why *w, const struct oxl_json *note)
{
        char id[OXL_DIGEST_TEXT_MAX], path[OXL_LOOSE_PATH_MAX];
        const char *object = oxl_json_get_string(note, "object"), *place = oxl_json_get_string(note, "path");
        const char *expected = oxl_json_get_string(note, "expected");
        oxl_digest_text(&w->id, id);
        oxl_loose_path(&w->id, path);
        return (object && strcmp(object, id) == 0) || (expected && strcmp(expected, id) == 0) ||
               (place && strcmp(place, path) == 0);
}

static int ask_kept(void *ctx, int fd, const char *path, struct oxl_error *err)
{
        struct oxl_why *w = ctx;
        cleanup_buf struct oxl_buf text = OXL_BUF_INIT;
        cleanup(json_free) struct oxl_json *note = NULL;
        cleanup_free char *data = NULL;
        cleanup_fd int file = oxl_fd_open(fd, "note", O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
        if (file < 0 || oxl_fd_read_all(file, NOTE_BYTES_MAX, &text) < 0 ||
            oxl_json_parse(oxl_buf_text(&text), text.len, "note", &note, NULL) < 0 || !note_matches(w, note))
                return 0; /* a note that cannot be read is fsck's business */
        int k = oxl_path_join(path, "data", &data, err);
        const struct oxl_why_item item = { .kind = OXL_WHY_QUARANTINE, .path = data, .id = w->id };
        return k < 0 ? k : oxl_why_tell(w, &item, err);
}

static int ask_run(void *ctx, int fd, const char *path, struct oxl_error *err)
{
        (void)fd;
        return each_folder(ctx, path, ask_kept, ctx, err);
}

int oxl_why_quarantine(struct oxl_why *w, struct oxl_error *err)
{
        return w->id.algo == OXL_ALGO_NONE ? 0 : each_folder(w, OXL_QUARANTINE, ask_run, w, err);
}

/* --- the journal ----------------------------------------------------------------------------------------------------------------------- */

struct operation {
        int64_t id, intent;
        char verb[32];
        bool names; /* its own row names the commit */
        enum oxl_intent_state state;
};

struct reading {
        struct oxl_why *w;
        struct oxl_journal *journal;
        struct oxl_buf operations; /* struct operation */
        struct oxl_horizon horizon;
};

static bool is_text(const struct oxl_why *w, const char *text)
{
        char id[OXL_DIGEST_TEXT_MAX];
        oxl_digest_text(&w->id, id);
        return text && w->id.algo != OXL_ALGO_NONE && strcmp(text, id) == 0;
}

static int keep_operation(void *ctx, const struct oxl_operation *op, struct oxl_error *err)
{
        struct reading *rd = ctx;
        struct operation o = { .id = op->id, .intent = op->intent, .state = op->state };
        int k = oxl_horizon_hear(&rd->horizon, rd->journal, op, err);
        if (k < 0 || op->time_ns < rd->horizon.since_ns)
                return k < 0 ? k : 0; /* gc has not kept what it needs, nor its lists */
        snprintf(o.verb, sizeof o.verb, "%s", op->verb);
        o.names = !rd->w->path && !oxl_intent_undone(op->state) &&
                  (is_text(rd->w, op->old_id) || is_text(rd->w, op->new_id));
        return oxl_buf_append(&rd->operations, &o, sizeof o, err);
}

static bool edit_matches(const struct oxl_why *w, const struct oxl_edit *e)
{
        if (w->path)
                return oxl_path_is_within(e->path, w->path);
        return w->kind == OXL_KIND_BLOB && ((e->old.kind != OXL_ENTRY_NONE && oxl_digest_equal(&e->old.id, &w->id)) ||
                                            (e->new_.kind != OXL_ENTRY_NONE && oxl_digest_equal(&e->new_.id, &w->id)));
}

/* The list of edits @record, or what lies in it; with @only_old what was there before. 1 yes; 0 no. */
static int record_needs(struct oxl_why *w, const struct oxl_edits_record *record, bool only_old, struct oxl_error *err)
{
        cleanup(oxl_edits_done) struct oxl_edits edits = OXL_EDITS_INIT;
        for (size_t i = 0; !w->path && i < record->n_blobs; i++)
                if (oxl_digest_equal(&record->blobs[i], &w->id))
                        return 1;
        int k = oxl_edits_read(&edits, w->objects, w->repo->format.blob_algo, record, err);
        for (size_t i = 0; k >= 0 && i < edits.n; i++) {
                if (only_old)
                        edits.at[i].new_.kind = OXL_ENTRY_NONE;
                if (edit_matches(w, &edits.at[i]))
                        return 1;
        }
        return k < 0 ? k : 0;
}

/* Is it among what the intent of this @body kept? 1 yes; 0 no. */
static int kept_needs(struct oxl_why *w, const char *body, struct oxl_error *err)
{
        cleanup(oxl_edits_record_done) struct oxl_edits_record kept = OXL_EDITS_RECORD_INIT;
        int k = oxl_kept_parse(body, w->repo->format.blob_algo, &kept, err);
        return k < 0 ? k : record_needs(w, &kept, false, err);
}

/* Does the intent of this @body need it: by name, in its list of edits, or in what it kept? 1 yes; 0 no. */
static int body_needs(struct oxl_why *w, const char *body, struct oxl_error *err)
{
        char id[OXL_DIGEST_TEXT_MAX];
        cleanup(oxl_move_done) struct oxl_move m = OXL_MOVE_INIT;
        oxl_digest_text(&w->id, id);
        if (!w->path && strstr(body, id))
                return 1;
        int k = oxl_move_parse(body, w->repo->format.blob_algo, &m, err);
        if (k >= 0)
                k = record_needs(w, &m.record, false, err);
        return k != 0 ? k : kept_needs(w, body, err); /* of a restore, too */
}

/* The same of one that did not come to its end: as gc sees it, see mark.c. */
static int undone_needs(struct oxl_why *w, enum oxl_intent_state state, const char *body, struct oxl_error *err)
{
        cleanup(oxl_move_done) struct oxl_move m = OXL_MOVE_INIT;
        int k = state == OXL_INTENT_SUPERSEDED ? oxl_move_parse(body, w->repo->format.blob_algo, &m, err) : 0;
        if (k >= 0)
                k = record_needs(w, &m.record, true, err);
        return k != 0 ? k : kept_needs(w, body, err);
}

static int tell_numbered(struct oxl_why *w, enum oxl_why_kind kind, int64_t number, const char *verb,
                         struct oxl_error *err)
{
        const struct oxl_why_item item = { .kind = kind, .number = number, .name = verb, .id = w->id };
        return oxl_why_tell(w, &item, err);
}

static int ask_intent(void *ctx, const struct oxl_event *event, struct oxl_error *err)
{
        struct reading *rd = ctx;
        int k = body_needs(rd->w, event->body, err);
        return k > 0 ? tell_numbered(rd->w, OXL_WHY_INTENT, event->intent, event->verb, err) : k;
}

static int ask_operation(struct reading *rd, const struct operation *o, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        cleanup_free char *body = NULL;
        int k = o->names ? 1 : 0;
        if (k == 0 && o->intent)
                k = oxl_journal_intent_body(rd->journal, o->intent, &body, &why);
        if (k == 0 && body)
                k = oxl_intent_undone(o->state) ? undone_needs(rd->w, o->state, body, &why)
                                                : body_needs(rd->w, body, &why);
        if (k < 0)
                return oxl_why_damage(rd->w, &why, err);
        return k > 0 ? tell_numbered(rd->w, OXL_WHY_OPERATION, o->id, o->verb, err) : 0;
}

static int read_journal(struct reading *rd, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        int k = oxl_journal_open_intents(rd->journal, ask_intent, rd, &why);
        if (k >= 0)
                k = oxl_journal_operations_all(rd->journal, 0, keep_operation, rd, &why);
        if (k < 0)
                return oxl_why_damage(rd->w, &why, err);
        const size_t n = rd->operations.len / sizeof(struct operation);
        for (size_t i = 0; k >= 0 && i < n; i++) {
                struct operation o;
                memcpy(&o, rd->operations.data + i * sizeof o, sizeof o);
                k = ask_operation(rd, &o, err);
        }
        return k < 0 ? k : 0;
}

int oxl_why_journal(struct oxl_why *w, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        const struct oxl_repo *r = w->repo;
        struct reading rd = { .w = w, .operations = OXL_BUF_INIT, .horizon = OXL_HORIZON_INIT };
        if (oxl_repo_journal_copy(r, &rd.journal, &why) < 0)
                return oxl_why_damage(w, &why, err);
        int k = read_journal(&rd, err);
        oxl_journal_close(rd.journal);
        oxl_buf_done(&rd.operations);
        oxl_horizon_done(&rd.horizon);
        return k;
}
