/* SPDX-License-Identifier: MIT */
/* Moving to trash and back, see trash.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/path.h"
#include "durable/mutant.h"
#include "durable/remove.h"
#include "objects/loose.h"
#include "objects/pack.h"
#include "objects/quarantine.h"
#include "os/fdio.h"
#include "repo/recover.h"
#include "repo/trash.h"

#define OUTCOME "{\"schema\":\"oxen-lite.outcome/1\",\"proof\":[]}"
#define NOTE_SCHEMA "oxen-lite.trash/1"

enum { DEPTH_MAX = 5 }; /* versions/files/<hh>/<rest>/data */

static void json_done(struct oxl_json **j)
{
        oxl_json_free(*j);
        *j = NULL;
}

/* --- lists ----------------------------------------------------------------------------------------------------------- */

void oxl_places_done(struct oxl_places *p)
{
        oxl_buf_done(&p->text);
        p->n = 0;
}

int oxl_places_add(struct oxl_places *p, const char *text, struct oxl_error *err)
{
        int k = oxl_buf_append(&p->text, text, strlen(text) + 1, err);
        if (k == 0)
                p->n++;
        return k;
}

const char *oxl_places_next(const struct oxl_places *p, const char *last)
{
        if (p->n == 0)
                return NULL;
        const char *begin = (const char *)p->text.data, *next = last ? last + strlen(last) + 1 : begin;
        return next < begin + p->text.len ? next : NULL;
}

bool oxl_places_has(const struct oxl_places *p, const char *text)
{
        for (const char *t = NULL; (t = oxl_places_next(p, t));)
                if (strcmp(t, text) == 0)
                        return true;
        return false;
}

/* --- looking through it ------------------------------------------------------------------------------------------------ */

static int compare_text(const void *a, const void *b)
{
        return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int sort_places(struct oxl_places *p, struct oxl_error *err)
{
        cleanup_places struct oxl_places sorted = OXL_PLACES_INIT;
        cleanup_free const char **at = calloc(p->n + 1, sizeof *at);
        size_t n = 0;
        int k = 0;
        if (!at)
                return OXL_FAIL_PLAIN(err, NOMEM);
        for (const char *t = NULL; (t = oxl_places_next(p, t));)
                at[n++] = t;
        if (n > 1)
                qsort(at, n, sizeof *at, compare_text);
        for (size_t i = 0; k == 0 && i < n; i++)
                k = oxl_places_add(&sorted, at[i], err);
        if (k < 0)
                return k;
        struct oxl_places old = *p;
        *p = sorted;
        sorted = old;
        return 0;
}

/* Opens @dir for listing. 1: there is none. */
static int open_dir(int root_fd, const char *dir, struct oxl_dir *ret, struct oxl_error *err)
{
        cleanup_fd int fd = oxl_open_beneath(root_fd, dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
        if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
                return 1;
        return fd < 0 || oxl_dir_open(ret, fd) < 0 ? OXL_FAIL_OS(err, DIR_OPEN, dir) : 0;
}

int oxl_trash_ids(int root_fd, struct oxl_places *ret, struct oxl_error *err)
{
        struct oxl_dirent e;
        cleanup_dir struct oxl_dir d = OXL_DIR_INIT;
        int more = 0, k = open_dir(root_fd, OXL_TRASH, &d, err);
        if (k != 0)
                return k < 0 ? k : 0;
        while (k == 0 && (more = oxl_dir_next(&d, &e)) > 0)
                if (oxl_trash_id_ok(e.name))
                        k = oxl_places_add(ret, e.name, err);
        if (k == 0 && more < 0)
                return OXL_FAIL_OS(err, DIR_READ, OXL_TRASH);
        return k < 0 ? k : sort_places(ret, err);
}

int oxl_trash_path(const char *id, const char *place, char **ret, struct oxl_error *err)
{
        return asprintf(ret, OXL_TRASH "/%s/%s", id, place) < 0 ? OXL_FAIL_PLAIN(err, NOMEM) : 0;
}

/* The id of a pack that has this name. */
static bool pack_place(const char *place, struct oxl_digest *ret)
{
        char hex[65] = { 0 }, path[96];
        if (strncmp(place, "versions/packs/", 15) != 0 || strlen(place) != 15 + 64 + 5)
                return false;
        memcpy(hex, place + 15, 64);
        if (!oxl_digest_parse(OXL_ALGO_BLAKE3, hex, ret))
                return false;
        oxl_pack_path(ret, path);
        return strcmp(path, place) == 0;
}

static bool is_place(const struct oxl_repo *r, const char *place)
{
        struct oxl_digest id;
        return pack_place(place, &id) || oxl_loose_path_parse(r->format.blob_algo, place, &id);
}

/* Adds the places below @dir, which is @base and a place's first components. */
static int walk(const struct oxl_repo *r, const char *dir, size_t base, unsigned depth, struct oxl_places *ret,
                struct oxl_error *err)
{
        struct oxl_dirent e;
        cleanup_dir struct oxl_dir d = OXL_DIR_INIT;
        int more = 0, k = open_dir(r->root_fd, dir, &d, err);
        if (k != 0)
                return k < 0 ? k : 0;
        while (k == 0 && (more = oxl_dir_next(&d, &e)) > 0) {
                cleanup_free char *path = NULL;
                struct stat st;
                k = oxl_path_join(dir, e.name, &path, err);
                if (k < 0)
                        return k;
                if (oxl_fd_stat_at(r->root_fd, path, &st) < 0) {
                        if (errno != ENOENT)
                                return OXL_FAIL_OS(err, FILE_STAT, path);
                        continue; /* listed without a lock, while a merge deletes it */
                }
                if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX)
                        k = walk(r, path, base, depth + 1, ret, err);
                else if (S_ISREG(st.st_mode) && is_place(r, path + base))
                        k = oxl_places_add(ret, path + base, err);
        }
        return k < 0 ? k : more < 0 ? OXL_FAIL_OS(err, DIR_READ, dir) : 0;
}

int oxl_trash_places(const struct oxl_repo *r, const char *id, struct oxl_places *ret, struct oxl_error *err)
{
        char dir[OXL_TRASH_ID_BYTES + sizeof OXL_TRASH];
        snprintf(dir, sizeof dir, OXL_TRASH "/%.31s", id);
        int k = walk(r, dir, strlen(dir) + 1, 0, ret, err);
        return k < 0 ? k : sort_places(ret, err);
}

static int count_run(struct oxl_repo *r, const char *id, struct oxl_gc_count *ret, struct oxl_error *err)
{
        cleanup_places struct oxl_places places = OXL_PLACES_INIT;
        int k = oxl_trash_places(r, id, &places, err);
        for (const char *t = NULL; k == 0 && (t = oxl_places_next(&places, t));) {
                cleanup_free char *path = NULL;
                struct stat st;
                k = oxl_trash_path(id, t, &path, err);
                if (k < 0)
                        return k;
                if (oxl_fd_stat_at(r->root_fd, path, &st) < 0) {
                        if (errno != ENOENT)
                                return OXL_FAIL_OS(err, FILE_STAT, path);
                        continue; /* gone since it was listed */
                }
                ret->files++;
                ret->bytes += (uint64_t)st.st_size;
        }
        return k;
}

int oxl_trash_count(struct oxl_repo *r, struct oxl_gc_count *ret, struct oxl_error *err)
{
        cleanup_places struct oxl_places ids = OXL_PLACES_INIT;
        int k = oxl_trash_ids(r->root_fd, &ids, err);
        for (const char *id = NULL; k == 0 && (id = oxl_places_next(&ids, id));)
                k = count_run(r, id, ret, err);
        return k;
}

/* --- reading it ---------------------------------------------------------------------------------------------------------- */

/* Reads all of the file at @path, which is that of @place. */
static int verify_file(struct oxl_repo *r, const char *path, const char *place, struct oxl_error *err)
{
        struct oxl_digest id, got;
        struct oxl_pack *pack = NULL;
        uint64_t bytes;
        if (!pack_place(place, &id)) {
                if (!oxl_loose_path_parse(r->format.blob_algo, place, &id))
                        return OXL_FAIL_WHY(err, MALFORMED, path, "it is no place of a pack or blob");
                cleanup_fd int fd = oxl_open_beneath(r->root_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
                if (fd < 0)
                        return OXL_FAIL_OS(err, FILE_OPEN, path);
                int k = oxl_fd_digest(fd, path, r->format.blob_algo, r->options.cancel, &got, &bytes, err);
                if (k < 0)
                        return k;
                return oxl_digest_equal(&got, &id) ? 0 : OXL_FAIL_OBJECT(err, OBJECT_CORRUPT, path, &id, &got);
        }
        int k = oxl_pack_open(r->root_fd, path, &id, &r->format.id, r->format.blob_algo, &pack, err);
        if (k == 0)
                k = oxl_pack_verify(pack, NULL, NULL, r->options.cancel, err);
        oxl_pack_free(pack);
        return k;
}

/* Of the file itself; anything else says nothing about it. */
static bool is_damage(enum oxl_code code)
{
        return code == OXL_E_MALFORMED || code == OXL_E_SEAL || code == OXL_E_OBJECT_CORRUPT || code == OXL_E_LIMIT ||
               code == OXL_E_FILE_READ;
}

int oxl_trash_verify(struct oxl_repo *r, const char *id, const struct oxl_places *places,
                     struct oxl_places *ret_damaged, struct oxl_error *ret_first, struct oxl_error *err)
{
        uint64_t done = 0;
        int k = 0;
        for (const char *t = NULL; k >= 0 && (t = oxl_places_next(places, t));) {
                cleanup_error struct oxl_error why = OXL_ERROR_INIT;
                cleanup_free char *path = NULL;
                k = oxl_trash_path(id, t, &path, err);
                if (k < 0)
                        return k;
                k = verify_file(r, path, t, &why);
                if (k < 0 && !is_damage(why.code))
                        return oxl_error_copy(err, &why);
                if (k < 0) {
                        k = oxl_places_add(ret_damaged, t, err);
                        if (ret_damaged->n == 1 && ret_first)
                                oxl_error_move(ret_first, &why);
                }
                oxl_repo_progress(r, "verifying trash", ++done, places->n, 0, 0);
        }
        return k < 0 ? k : 0;
}

/* --- one file ------------------------------------------------------------------------------------------------------------ */

static bool knows_no_links(const struct oxl_error *e)
{
        return e->code == OXL_E_FILE_LINK && (e->os == EPERM || e->os == EMLINK || e->os == EOPNOTSUPP);
}

/* Both are names of one file? *ret_from: that of @from, when it is there. */
static bool one_file(struct oxl_repo *r, const char *from, const char *to, struct stat *ret_from)
{
        struct stat st;
        return oxl_fd_stat_at(r->root_fd, from, ret_from) == 0 && oxl_fd_stat_at(r->root_fd, to, &st) == 0 &&
               oxl_stat_same(ret_from, &st);
}

/* Gives the file a second name. 1: another file has that. Where there are no links it is moved at once. */
static int give_name(struct oxl_repo *r, const char *from, const char *to, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        struct stat st;
        /* CRASH: two names for one file; recovery removes one of them (tests/crash: "gc", "gc --undo") */
        int k = oxl_durable_link(r->durable, from, to, &why);
        if (k == 0)
                return 0;
        if (why.code == OXL_E_FILE_LINK && why.os == EEXIST)
                return one_file(r, from, to, &st) ? oxl_durable_mark(r->durable, to, err) : 1;
        if (!knows_no_links(&why))
                return oxl_error_copy(err, &why);
        if (oxl_fd_stat_at(r->root_fd, to, &st) == 0)
                return 1;
        /* CRASH: one name or the other; both folders are synced by the barrier that follows */
        return oxl_durable_rename(r->durable, from, to, err);
}

/* Takes the name @from, whose file @to names too. */
static int take_name(struct oxl_repo *r, const char *from, const char *to, struct oxl_error *err)
{
        struct stat st;
        if (!one_file(r, from, to, &st))
                return 0; /* renamed; or not ours to remove */
        int k = oxl_durable_unlink(r->durable, from, st.st_dev, st.st_ino, err);
        return k < 0 ? k : 0;
}

/* A folder of a loose blob that has become empty. */
static void tidy_place(struct oxl_repo *r, const char *place)
{
        char dir[OXL_LOOSE_PATH_MAX];
        size_t n = oxl_path_parent_len(place);
        if (strncmp(place, "versions/files/", 15) != 0 || n >= sizeof dir || n < 15 + 3)
                return;
        memcpy(dir, place, n);
        dir[n] = 0;
        OXL_IGNORE(oxl_durable_rmdir(r->durable, dir, NULL), "an empty folder does no harm");
}

/* --- in and out ------------------------------------------------------------------------------------------------------------ */

static int take_places(struct oxl_repo *r, const char *id, const struct oxl_places *places, bool from_trash,
                       struct oxl_error *err)
{
        int k = 0;
        for (const char *t = NULL; k >= 0 && (t = oxl_places_next(places, t));) {
                cleanup_free char *path = NULL;
                k = oxl_trash_path(id, t, &path, err);
                if (k >= 0)
                        k = take_name(r, from_trash ? path : t, from_trash ? t : path, err);
                if (k >= 0 && !from_trash)
                        tidy_place(r, t);
        }
        return k < 0 ? k : oxl_durable_barrier(r->durable, err);
}

static int move_in(struct oxl_repo *r, const char *id, const struct oxl_places *places, struct oxl_error *err)
{
        int k = 0;
        for (const char *t = NULL; k >= 0 && (t = oxl_places_next(places, t));) {
                cleanup_free char *path = NULL;
                k = oxl_trash_path(id, t, &path, err);
                if (k >= 0)
                        k = give_name(r, t, path, err);
        }
        if (k >= 0 && !OXL_MUTANT(TRASH_WITHOUT_BARRIER))
                k = oxl_durable_barrier(r->durable, err);
        return k < 0 ? k : take_places(r, id, places, false, err);
}

/* The note goes last: a folder without it is no longer known for that of a merge. */
static int remove_run(struct oxl_repo *r, const char *id, struct oxl_error *err)
{
        char dir[OXL_TRASH_ID_BYTES + sizeof OXL_TRASH], files[sizeof dir + 16];
        snprintf(dir, sizeof dir, OXL_TRASH "/%.31s", id);
        snprintf(files, sizeof files, "%s/versions", dir);
        /* CRASH: the note and a part of the files. That of a merge is removed by the next one; every other is listed and deleted by
         * the next gc --empty-trash. After a power cut a merge's may lack its note and be like every other. */
        int k = oxl_remove_tree(r->root_fd, files, err);
        return k < 0 ? k : oxl_remove_tree(r->root_fd, dir, err);
}

/* The places of the run but for those in @stay. */
static int list_movable(struct oxl_repo *r, const char *id, const struct oxl_places *stay, struct oxl_places *ret,
                        struct oxl_error *err)
{
        cleanup_places struct oxl_places all = OXL_PLACES_INIT;
        int k = oxl_trash_places(r, id, &all, err);
        for (const char *t = NULL; k >= 0 && (t = oxl_places_next(&all, t));)
                if (!oxl_places_has(stay, t))
                        k = oxl_places_add(ret, t, err);
        return k;
}

/* Everything of @id to its place, but for what is to @stay and what has another file there. */
static int move_out(struct oxl_repo *r, const char *id, const struct oxl_places *stay, struct oxl_places *in_way,
                    struct oxl_error *err)
{
        cleanup_places struct oxl_places places = OXL_PLACES_INIT;
        int k = list_movable(r, id, stay, &places, err);
        for (const char *t = NULL; k >= 0 && (t = oxl_places_next(&places, t));) {
                cleanup_free char *path = NULL;
                k = oxl_trash_path(id, t, &path, err);
                if (k >= 0)
                        k = give_name(r, path, t, err);
                if (k > 0)
                        k = oxl_places_add(in_way, t, err);
        }
        if (k >= 0)
                k = oxl_durable_barrier(r->durable, err);
        if (k >= 0)
                k = take_places(r, id, &places, true, err);
        return k < 0 || in_way->n > 0 || stay->n > 0 ? k : remove_run(r, id, err);
}

int oxl_trash_delete(struct oxl_repo *r, const char *id, struct oxl_error *err)
{
        return remove_run(r, id, err);
}

/* --- notes ----------------------------------------------------------------------------------------------------------------- */

static int write_note(struct oxl_repo *r, const struct oxl_gc_intent *i, struct oxl_error *err)
{
        cleanup(json_done) struct oxl_json *j = oxl_json_object();
        struct oxl_json *packs = oxl_json_array();
        cleanup_free char *path = NULL, *text = NULL;
        char hex[OXL_DIGEST_TEXT_MAX];
        for (size_t n = 0; n < i->packs.n_files; n++) {
                oxl_digest_text(&i->packs.files[n].digest, hex);
                oxl_json_append(packs, oxl_json_string(hex));
        }
        oxl_json_set_string(j, "schema", NOTE_SCHEMA);
        oxl_json_set_string(j, "verb", i->verb);
        oxl_json_set(j, "packs", packs);
        int k = oxl_json_print(j, &text, err);
        if (k >= 0)
                k = oxl_trash_path(i->trash, "note", &path, err);
        return k < 0 ? k : oxl_durable_write(r->durable, path, text, strlen(text), err);
}

int oxl_trash_merged(struct oxl_repo *r, const char *id, struct oxl_digest **ret, size_t *ret_n, struct oxl_error *err)
{
        cleanup_free char *path = NULL;
        cleanup_free struct oxl_digest *ids = NULL;
        cleanup_buf struct oxl_buf text = OXL_BUF_INIT;
        cleanup(json_done) struct oxl_json *note = NULL;
        const struct oxl_json *packs, *item;
        const char *key;
        size_t n = 0, pos = 0;
        int k = oxl_trash_path(id, "note", &path, err);
        if (k < 0)
                return k;
        if (oxl_repo_read_file(r->root_fd, path, &text, NULL) != 0 ||
            oxl_json_parse(oxl_buf_text(&text), text.len, path, &note, NULL) < 0)
                return 1;
        const char *verb = oxl_json_get_string(note, "verb");
        packs = oxl_json_get(note, "packs");
        if (!verb || strcmp(verb, "merge") != 0 || oxl_json_size(packs) == 0)
                return 1;
        ids = calloc(oxl_json_size(packs), sizeof *ids);
        if (!ids)
                return OXL_FAIL_PLAIN(err, NOMEM);
        while (oxl_json_member(packs, &pos, &key, &item)) {
                const char *hex = key ? NULL : oxl_json_text(item);
                if (!hex || !oxl_digest_parse(OXL_ALGO_BLAKE3, hex, &ids[n++]))
                        return 1;
        }
        *ret = take_ptr(&ids);
        *ret_n = n;
        return 0;
}

/* --- a run ------------------------------------------------------------------------------------------------------------------- */

static int build_intent(const struct oxl_trash_run *run, const char *id, struct oxl_gc_intent *i, struct oxl_error *err)
{
        const struct oxl_put_item *items = NULL;
        size_t n = run->put ? oxl_put_items(run->put, &items) : 0;
        i->verb = strdup(run->verb);
        i->trash = strdup(id);
        i->kept_since_ns = run->kept_since_ns;
        if (!i->verb || !i->trash)
                return OXL_FAIL_PLAIN(err, NOMEM);
        int k = 0;
        for (size_t p = 0; k >= 0 && p < n; p++)
                k = oxl_commit_intent_add(&i->packs, OXL_INTENT_PACK, items[p].temp, items[p].target, &items[p].digest,
                                          items[p].size, err);
        return k;
}

static int stage(struct oxl_repo *r, const struct oxl_gc_intent *i, const char *note, int64_t *ret,
                 struct oxl_error *err)
{
        cleanup_free char *body = NULL;
        const struct oxl_operation op = { .verb = i->verb, .note = note };
        int k = oxl_gc_intent_print(i, &body, err);
        /* CRASH: during the transaction: new packs are temps, nothing moved; after it: recovery */
        return k < 0 ? k
                     : oxl_journal_stage(r->journal, oxl_owner_number(r->owner), i->verb, body, note ? &op : NULL, ret,
                                         err);
}

static int outcome(struct oxl_repo *r, int64_t intent, enum oxl_intent_state state, bool durable, struct oxl_error *err)
{
        return oxl_journal_outcome(r->journal, intent, oxl_owner_number(r->owner), state, OUTCOME, durable, err);
}

static int act(struct oxl_repo *r, const struct oxl_trash_run *run, const struct oxl_gc_intent *i,
               struct oxl_error *err)
{
        int k = run->put ? oxl_put_publish(run->put, err) : 0;
        /* CRASH: new packs beside the old ones, which have everything too */
        if (k >= 0 && run->put)
                k = oxl_durable_barrier(r->durable, err);
        if (k >= 0)
                k = write_note(r, i, err);
        return k < 0 ? k : move_in(r, i->trash, run->places, err);
}

/* The intent is staged, and something failed. */
static int end_badly(struct oxl_repo *r, const struct oxl_gc_intent *i, int64_t intent, struct oxl_error *why,
                     struct oxl_error *err)
{
        cleanup_places struct oxl_places in_way = OXL_PLACES_INIT;
        const struct oxl_places none = OXL_PLACES_INIT;
        cleanup_error struct oxl_error second = OXL_ERROR_INIT;
        if (!oxl_durable_poisoned(r->durable) && move_out(r, i->trash, &none, &in_way, &second) >= 0 && in_way.n == 0 &&
            outcome(r, intent, OXL_INTENT_ABORTED, true, &second) == 0) {
                int code = (int)why->code;
                oxl_error_move(err, why);
                return -code;
        }
        char text[64];
        snprintf(text, sizeof text, "intent %lld took effect", (long long)intent);
        return OXL_FAIL_WHY(err, OUTCOME_UNKNOWN, i->verb, text);
}

int oxl_trash_run(struct oxl_repo *r, const struct oxl_trash_run *run, char *ret_id, struct oxl_error *err)
{
        cleanup(oxl_gc_intent_done) struct oxl_gc_intent i = OXL_GC_INTENT_INIT;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT, ignored = OXL_ERROR_INIT;
        char id[OXL_QUARANTINE_ID_BYTES];
        int64_t intent = 0;
        int k = oxl_quarantine_id(id, err);
        if (k >= 0)
                k = build_intent(run, id, &i, err);
        if (k >= 0)
                k = stage(r, &i, run->note, &intent, err);
        if (k < 0)
                return k;
        k = act(r, run, &i, &why);
        if (k < 0)
                return end_badly(r, &i, intent, &why, err);
        OXL_IGNORE(outcome(r, intent, OXL_INTENT_DONE, false, &ignored), "recovery proves it again");
        memcpy(ret_id, id, sizeof id);
        return 0;
}

int oxl_trash_back(struct oxl_repo *r, const char *id, const struct oxl_places *damaged, struct oxl_places *ret_in_way,
                   struct oxl_error *err)
{
        cleanup(oxl_gc_intent_done) struct oxl_gc_intent i = { .verb = strdup("gc-undo"),
                                                               .trash = strdup(id),
                                                               .whole = damaged->n == 0 };
        cleanup_error struct oxl_error why = OXL_ERROR_INIT, ignored = OXL_ERROR_INIT;
        int64_t intent = 0;
        if (!i.verb || !i.trash)
                return OXL_FAIL_PLAIN(err, NOMEM);
        int k = stage(r, &i, id, &intent, err);
        if (k < 0)
                return k;
        k = move_out(r, id, damaged, ret_in_way, &why);
        if (k < 0) {
                char text[64];
                snprintf(text, sizeof text, "intent %lld took effect", (long long)intent);
                return OXL_FAIL_WHY(err, OUTCOME_UNKNOWN, "gc --undo", text);
        }
        OXL_IGNORE(outcome(r, intent, OXL_INTENT_DONE, false, &ignored), "recovery proves it again");
        return 0;
}

/* --- recovery ------------------------------------------------------------------------------------------------------------------ */

/* 0 the new pack is in its place and whole on the medium; 1 it is not. */
static int look_at_pack(struct oxl_repo *r, const struct oxl_intent_file *f, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        struct oxl_pack *pack = NULL;
        int fd = -1;
        int k = oxl_durable_reopen(r->durable, f->target, &fd, &why);
        if (k >= 0)
                k = oxl_pack_open_fd(fd, f->target, &f->digest, &r->format.id, r->format.blob_algo, &pack, &why);
        if (k >= 0)
                k = oxl_pack_verify(pack, NULL, NULL, NULL, &why);
        oxl_pack_free(pack);
        bool absent = why.code == OXL_E_FILE_OPEN && (why.os == ENOENT || why.os == ENOTDIR);
        if (k < 0 && !absent && why.code != OXL_E_MALFORMED && why.code != OXL_E_SEAL &&
            why.code != OXL_E_OBJECT_CORRUPT)
                return oxl_error_copy(err, &why); /* proves nothing */
        return k < 0;
}

/* Whatever the dead process named or removed is durable before the intent ends. */
static int mark_folders(struct oxl_repo *r, struct oxl_error *err)
{
        static const char *const names[] = { "versions/packs/x", "versions/files/x", OXL_TRASH "/x" };
        for (size_t i = 0; i < OXL_ARRAY_LEN(names); i++) {
                cleanup_error struct oxl_error why = OXL_ERROR_INIT;
                int k = oxl_durable_mark(r->durable, names[i], &why);
                if (k < 0 && why.code != OXL_E_DIR_OPEN)
                        return oxl_error_copy(err, &why);
        }
        return 0;
}

/* Files with both names lose the one in their place. Their names in trash may be in the cache alone. */
static int go_on(struct oxl_repo *r, const char *id, struct oxl_error *err)
{
        cleanup_places struct oxl_places places = OXL_PLACES_INIT;
        int k = oxl_trash_places(r, id, &places, err);
        for (const char *t = NULL; k >= 0 && (t = oxl_places_next(&places, t));) {
                cleanup_free char *path = NULL;
                k = oxl_trash_path(id, t, &path, err);
                if (k >= 0)
                        k = oxl_durable_mark(r->durable, path, err);
        }
        if (k >= 0)
                k = oxl_durable_barrier(r->durable, err);
        if (k >= 0)
                k = take_places(r, id, &places, false, err);
        return k < 0 || places.n > 0 ? k : remove_run(r, id, err); /* it had only begun */
}

/* As the undo does it: what is damaged stays in trash. */
static int go_on_back(struct oxl_repo *r, const char *id, struct oxl_error *err)
{
        cleanup_places struct oxl_places places = OXL_PLACES_INIT, damaged = OXL_PLACES_INIT, in_way = OXL_PLACES_INIT;
        int k = oxl_trash_places(r, id, &places, err);
        if (k >= 0)
                k = oxl_trash_verify(r, id, &places, &damaged, NULL, err);
        return k < 0 ? k : move_out(r, id, &damaged, &in_way, err);
}

static int decide(struct oxl_repo *r, const struct oxl_gc_intent *i, enum oxl_intent_state *ret, struct oxl_error *err)
{
        cleanup_places struct oxl_places in_way = OXL_PLACES_INIT;
        const struct oxl_places none = OXL_PLACES_INIT;
        bool undo = strcmp(i->verb, "gc-undo") == 0, back = false;
        *ret = OXL_INTENT_ROLLED_FORWARD;
        for (size_t n = 0; !undo && !back && n < i->packs.n_files; n++) {
                int k = look_at_pack(r, &i->packs.files[n], err);
                if (k < 0)
                        return k;
                if (k > 0) {
                        back = true;
                        *ret = OXL_INTENT_ROLLED_BACK;
                }
        }
        int k = mark_folders(r, err);
        if (k >= 0)
                k = oxl_durable_barrier(r->durable, err);
        if (k < 0)
                return k;
        return undo   ? go_on_back(r, i->trash, err)
               : back ? move_out(r, i->trash, &none, &in_way, err)
                      : go_on(r, i->trash, err);
}

int oxl_trash_recover(struct oxl_repo *r, const struct oxl_event *event, struct oxl_error *err)
{
        cleanup(oxl_gc_intent_done) struct oxl_gc_intent i = OXL_GC_INTENT_INIT;
        enum oxl_intent_state state;
        int k = oxl_gc_intent_parse(event->body, &i, err);
        if (k >= 0)
                k = decide(r, &i, &state, err);
        if (k >= 0)
                k = outcome(r, event->seq, state, true, err);
        if (k < 0)
                return k;
        const struct oxl_recovered said = {
                .intent = event->seq,
                .verb = i.verb,
                .outcome = oxl_intent_state_text(state),
                .why = state == OXL_INTENT_ROLLED_BACK ? "everything is in its place again"
                                                       : "each file is in its place or in trash, and nothing is lost",
                .proof = OUTCOME,
        };
        if (r->options.recovered)
                r->options.recovered(r->options.ctx, &said);
        return 0;
}

/* --- what undo may rely on ------------------------------------------------------------------------------------------------------- */

void oxl_horizon_done(struct oxl_horizon *h)
{
        oxl_places_done(&h->undone);
}

int oxl_horizon_hear(struct oxl_horizon *h, struct oxl_journal *j, const struct oxl_operation *op,
                     struct oxl_error *err)
{
        cleanup(oxl_gc_intent_done) struct oxl_gc_intent i = OXL_GC_INTENT_INIT;
        cleanup_free char *body = NULL;
        if (op->intent == 0 || !oxl_gc_verb(op->verb))
                return 0;
        int k = oxl_journal_intent_body(j, op->intent, &body, err);
        if (k < 0 || !body)
                return k < 0 ? k : 0;
        k = oxl_gc_intent_parse(body, &i, err);
        if (k < 0)
                return k;
        if (strcmp(i.verb, "gc-undo") ==
            0) /* what stayed in trash is not there again; what was in the way is, by its name */
                return i.whole ? oxl_places_add(&h->undone, i.trash, err) : 0;
        if (i.kept_since_ns > h->since_ns && !oxl_places_has(&h->undone, i.trash))
                h->since_ns = i.kept_since_ns;
        return 0;
}
