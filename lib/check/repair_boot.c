/* SPDX-License-Identifier: MIT */
/*
 * What must be right before the repository can be opened for writing: folders, the lock file, format, config, journal.
 * Each is one replacement, under the writer and gc locks, without an intent (there may be no journal to write it
 * to): a crash
 * leaves the old file or the new one, or none where it was moved away, and the next repair begins here again.
 *
 * `format` is written only when its id is certain: some seal verifies with it, which nothing else could bring
 * about, and
 * neither a seal nor a pack header speaks for another one; and when its hash is certain, from its own line or from
 * what is stored.
 */
#include <stdio.h>
#include <string.h>

#include "check/repair.h"
#include "objects/loose.h"
#include "objects/pack_private.h"

/* --- folders and locks --- */

static int mend_folder(struct oxl_repair *p, struct oxl_repair_find *f, struct oxl_error *err)
{
        struct stat st;
        if (strcmp(f->path, "locks") == 0) {
                if (oxl_fd_stat_at(p->root_fd, "locks", &st) == 0)
                        return OXL_FAIL_WHY(err, UNSUPPORTED, f->path, "something else is in its place: move it away");
                return oxl_durable_write(p->durable, "locks", "", 0, err);
        }
        if (oxl_fd_stat_at(p->root_fd, f->path, &st) == 0)
                return OXL_FAIL_WHY(err, UNSUPPORTED, f->path, "something else is in its place: move it away");
        int r = oxl_durable_mkdir(p->durable, f->path, err);
        return r < 0 ? r : oxl_durable_barrier(p->durable, err);
}

static int mend_folders(struct oxl_repair *p, struct oxl_error *err)
{
        int r = 0;
        for (size_t i = 0; r == 0 && i < p->n_finds; i++) {
                cleanup_error struct oxl_error why = OXL_ERROR_INIT;
                struct oxl_repair_find *f = &p->finds[i];
                if (!f->selected || f->problem != OXL_P_STRUCTURE)
                        continue;
                if (!oxl_repair_fresh(p, f))
                        r = oxl_repair_tell(p, f, OXL_REPAIR_STALE, "", "it changed since it was checked", err);
                else if (mend_folder(p, f, &why) < 0)
                        r = oxl_repair_failed(p, f, &why, err);
                else
                        r = oxl_repair_tell(p, f, OXL_REPAIR_REBUILT, "", "", err);
        }
        return r;
}

/* --- format --- */

struct evidence {
        struct oxl_repair *p;
        struct oxl_buf ids; /* candidates: struct oxl_repo_id each */
        struct oxl_format format;
        uint64_t proofs;  /* seals that verify with the candidate */
        bool other, algo; /* something speaks for another id; the hash is known */
};

static int nominate(struct evidence *e, const uint8_t *id, struct oxl_error *err)
{
        for (size_t at = 0; at < e->ids.len; at += OXL_REPO_ID_BYTES)
                if (memcmp(e->ids.data + at, id, OXL_REPO_ID_BYTES) == 0)
                        return 0;
        return oxl_buf_append(&e->ids, id, OXL_REPO_ID_BYTES, err);
}

static int nominate_pack(void *ctx, const struct oxl_digest *id, struct oxl_error *err)
{
        struct evidence *e = ctx;
        uint8_t header[OXL_PACK_HEADER_BYTES];
        char path[OXL_PACK_PATH_BYTES];
        oxl_pack_path(id, path);
        cleanup_fd int fd = oxl_open_beneath(e->p->root_fd, path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW, 0);
        if (fd < 0 || oxl_fd_pread_full(fd, header, sizeof header, 0) != (ssize_t)sizeof header ||
            memcmp(header, OXL_PACK_MAGIC, OXL_PACK_MAGIC_BYTES) != 0)
                return 0; /* damaged: it proves nothing */
        return nominate(e, header + 32, err);
}

static int nominate_text(struct evidence *e, const struct oxl_buf *text, struct oxl_error *err)
{
        uint8_t id[OXL_REPO_ID_BYTES];
        int r = 0;
        for (size_t i = 0; r == 0 && i + 3 + 2 * sizeof id <= text->len; i++)
                if (memcmp(text->data + i, "id ", 3) == 0 &&
                    oxl_hex_decode((const char *)text->data + i + 3, id, sizeof id))
                        r = nominate(e, id, err);
        return r;
}

static bool seal_fits(struct oxl_repair *p, const char *kind, const char *path, const struct oxl_repo_id *id)
{
        cleanup_buf struct oxl_buf text = OXL_BUF_INIT;
        struct oxl_bytes body;
        return oxl_repo_read_file(p->root_fd, path, &text, NULL) == 0 &&
               oxl_seal_text_check(oxl_buf_bytes(&text), kind, id, path, path, &body, NULL) == 0;
}

/* Is config.json in @root_fd whole, with a seal of @id? Its text is in @text. */
static bool config_fits(int root_fd, const struct oxl_repo_id *id, struct oxl_buf *text)
{
        struct oxl_settings settings;
        enum oxl_config_state state = OXL_CONFIG_DAMAGED;
        oxl_settings_default(&settings);
        bool read = oxl_repo_read_file(root_fd, "config.json", text, NULL) == 0 &&
                    oxl_config_parse(oxl_buf_bytes(text), id, &settings, &state, NULL, NULL) == 0;
        oxl_settings_done(&settings);
        return read && state == OXL_CONFIG_SOUND;
}

static int prove_pack(void *ctx, const struct oxl_digest *id, struct oxl_error *err)
{
        struct evidence *e = ctx;
        static const uint8_t zero[16];
        struct oxl_pack *pack = NULL;
        char path[OXL_PACK_PATH_BYTES];
        (void)err;
        oxl_pack_path(id, path);
        if (oxl_pack_open(e->p->root_fd, path, id, &e->format.id, OXL_ALGO_BLAKE3, &pack, NULL) == 0 &&
            oxl_pack_load_index(pack, NULL) == 0) {
                e->proofs++;
                for (uint64_t i = 0; i < oxl_pack_entries(pack) && !e->algo; i++) {
                        struct oxl_pack_entry x;
                        oxl_pack_entry_at(pack, i, &x);
                        if (x.kind != OXL_KIND_BLOB)
                                continue;
                        e->format.blob_algo =
                                memcmp(x.id.bytes + 16, zero, 16) == 0 ? OXL_ALGO_XXH3_128 : OXL_ALGO_BLAKE3;
                        e->algo = true;
                }
        }
        oxl_pack_free(pack);
        return 0;
}

static int see_loose(void *ctx, const struct oxl_digest *id, const char *path, struct oxl_error *err)
{
        (void)id;
        (void)path;
        (void)err;
        *(bool *)ctx = true;
        return 0;
}

/* A name of 64 digits is BLAKE3's, one of 32 or less XXH3's. Without any blob either would do, and none is certain. */
static void algo_from_loose(struct evidence *e)
{
        bool blake = false, xxh = false;
        OXL_IGNORE(oxl_loose_list(e->p->root_fd, OXL_ALGO_BLAKE3, see_loose, NULL, &blake, NULL),
                   "then it is not certain");
        OXL_IGNORE(oxl_loose_list(e->p->root_fd, OXL_ALGO_XXH3_128, see_loose, NULL, &xxh, NULL),
                   "then it is not certain");
        if (blake == xxh)
                return;
        e->format.blob_algo = xxh ? OXL_ALGO_XXH3_128 : OXL_ALGO_BLAKE3;
        e->algo = true;
}

static uint64_t count_seals(struct oxl_repair *p, const struct oxl_repo_id *id)
{
        cleanup_buf struct oxl_buf text = OXL_BUF_INIT;
        return (uint64_t)seal_fits(p, "HEAD", "HEAD", id) + config_fits(p->root_fd, id, &text);
}

static int gather(struct evidence *e, struct oxl_error *err)
{
        cleanup_buf struct oxl_buf text = OXL_BUF_INIT;
        int r = oxl_repo_read_file(e->p->root_fd, "format", &text, NULL) < 0 ? 0 : nominate_text(e, &text, err);
        if (r == 0)
                r = oxl_pack_list(e->p->root_fd, nominate_pack, e, err);
        for (size_t at = 0; r == 0 && at < e->ids.len; at += OXL_REPO_ID_BYTES) {
                struct evidence one = { .p = e->p };
                memcpy(one.format.id.bytes, e->ids.data + at, OXL_REPO_ID_BYTES);
                r = oxl_pack_list(e->p->root_fd, prove_pack, &one, err);
                one.proofs += count_seals(e->p, &one.format.id);
                if (one.proofs == 0)
                        continue;
                e->other = e->other || e->proofs > 0;
                e->format = one.format;
                e->proofs = one.proofs;
                e->algo = one.algo;
        }
        bool blake = text.len && memmem(text.data, text.len, "\nhash blake3\n", 13);
        bool xxh = text.len && memmem(text.data, text.len, "\nhash xxh3-128\n", 15);
        if (!e->algo && blake != xxh) {
                e->format.blob_algo = xxh ? OXL_ALGO_XXH3_128 : OXL_ALGO_BLAKE3;
                e->algo = true;
        }
        if (!e->algo)
                algo_from_loose(e);
        return r;
}

static int mend_format(struct oxl_repair *p, struct oxl_repair_find *f, struct oxl_error *err)
{
        struct evidence e = { .p = p, .ids = OXL_BUF_INIT };
        cleanup_buf struct oxl_buf text = OXL_BUF_INIT;
        int r = gather(&e, err);
        oxl_buf_done(&e.ids);
        if (r < 0)
                return r;
        if (e.proofs == 0 || e.other)
                return oxl_repair_tell(
                        p, f, OXL_REPAIR_PROPOSED, "",
                        e.other ? "files of two repositories are mixed here: move away those that do not belong"
                                : "nothing proves its id: take the file from a copy of this repository",
                        err);
        if (!e.algo)
                return oxl_repair_tell(
                        p, f, OXL_REPAIR_PROPOSED, "",
                        "its id is certain, but not its hash: take the file from a copy of this repository", err);
        r = oxl_format_print(&e.format, &text, err);
        if (r == 0)
                r = oxl_quarantine_keep(p, f, "format", "seals of the other files", err);
        /* CRASH: the damaged file, or the new one */
        if (r == 0)
                r = oxl_durable_write(p->durable, "format", text.data, text.len, err);
        return r < 0 ? r : oxl_repair_tell(p, f, OXL_REPAIR_HEALED, "seals of the other files", "", err);
}

/* --- config --- */

static int read_format(struct oxl_repair *p, struct oxl_format *ret, struct oxl_error *err)
{
        cleanup_buf struct oxl_buf text = OXL_BUF_INIT;
        int r = oxl_repo_read_file(p->root_fd, "format", &text, err);
        if (r == 1)
                return OXL_FAIL_WHY(err, MALFORMED, "format", "it is missing");
        return r < 0 ? r : oxl_format_parse(oxl_buf_bytes(&text), ret, err);
}

struct config_search {
        const struct oxl_repo_id *id;
        struct oxl_buf *text;
};

static int take_config(void *ctx, int root_fd, struct oxl_error *err)
{
        const struct config_search *s = ctx;
        (void)err;
        return config_fits(root_fd, s->id, s->text) ? 0 : 1;
}

static int print_defaults(const struct oxl_repo_id *id, struct oxl_buf *ret, struct oxl_error *err)
{
        struct oxl_settings settings;
        oxl_settings_default(&settings);
        oxl_buf_clear(ret);
        int r = oxl_config_print(&settings, id, ret, err);
        oxl_settings_done(&settings);
        return r;
}

/* A damaged file may still tell a person what the settings were: the defaults replace it only when a plan lists it. */
static int mend_config(struct oxl_repair *p, struct oxl_repair_find *f, struct oxl_error *err)
{
        struct oxl_format format;
        cleanup_buf struct oxl_buf text = OXL_BUF_INIT;
        char source[OXL_GOOD_SOURCE_BYTES] = "defaults";
        int r = read_format(p, &format, err);
        if (r < 0)
                return r;
        struct config_search s = { &format.id, &text };
        r = oxl_good_kin(p, &format.id, take_config, &s, source, err);
        bool none = r == 1;
        if (none && f->problem == OXL_P_CONFIG_DAMAGED && !p->how->plan)
                return oxl_repair_tell(
                        p, f, OXL_REPAIR_PROPOSED, "",
                        "a person may still read the settings in it: oxen-lite config --edit; or give fsck "
                        "--json to fsck --apply, for the defaults",
                        err);
        if (none)
                r = print_defaults(&format.id, &text, err);
        if (r == 0)
                r = oxl_quarantine_keep(p, f, "config.json", source, err);
        /* CRASH: the damaged file, or the new one */
        if (r == 0)
                r = oxl_durable_write(p->durable, "config.json", text.data, text.len, err);
        if (r < 0)
                return r;
        return none ? oxl_repair_tell(p, f, OXL_REPAIR_REBUILT, source,
                                      "the settings are the defaults now: set user.name and others again", err)
                    : oxl_repair_tell(p, f, OXL_REPAIR_HEALED, source, "", err);
}

/* --- journal --- */

static const char *const journal_files[] = { "journal.db", "journal.db-wal", "journal.db-shm", "journal.db-journal" };

static int drop_journal(struct oxl_repair *p, struct oxl_error *err)
{
        int r = 0;
        /* CRASH: some of its files, damaged as before, or none: missing. The -wal goes after the database, it fits no
         * other. */
        for (size_t i = 0; r == 0 && i < OXL_ARRAY_LEN(journal_files); i++)
                r = oxl_quarantine_drop(p, journal_files[i], err);
        return r;
}

/* CRASH: a part of an empty journal, which is damaged, or missing. One that fails is not left as a file that looks damaged: it is
 * missing, as it was. */
static int begin_journal(struct oxl_repair *p, const struct oxl_repo_id *id, struct oxl_error *err)
{
        const struct oxl_journal_config config = { .dir = p->root, .id = *id, .lock_fd = -1 };
        int r = oxl_journal_create(&config, err);
        if (r < 0) {
                OXL_IGNORE(drop_journal(p, NULL), "the first error is returned; the next check finds what is there");
                return r;
        }
        r = oxl_durable_mark(p->durable, "journal.db", err);
        return r < 0 ? r : oxl_durable_barrier(p->durable, err);
}

static int mend_journal(struct oxl_repair *p, struct oxl_repair_find *f, struct oxl_error *err)
{
        struct oxl_format format;
        int r = read_format(p, &format, err);
        for (size_t i = 0; r == 0 && i < OXL_ARRAY_LEN(journal_files); i++)
                r = oxl_quarantine_keep(p, f, journal_files[i], "begun anew", err);
        if (r == 0)
                r = drop_journal(p, err);
        if (r == 0)
                r = begin_journal(p, &format.id, err);
        return r < 0 ? r
                     : oxl_repair_tell(p, f, OXL_REPAIR_REBUILT, "begun anew",
                                       "operation log and open intents are lost; no committed data is", err);
}

/* --- in order --- */

typedef int mend_fn(struct oxl_repair *p, struct oxl_repair_find *f, struct oxl_error *err);

static const struct {
        int problem;
        mend_fn *mend;
} mends[] = {
        { OXL_P_FORMAT_MISSING, mend_format },   { OXL_P_FORMAT_DAMAGED, mend_format },
        { OXL_P_CONFIG_MISSING, mend_config },   { OXL_P_CONFIG_DAMAGED, mend_config },
        { OXL_P_JOURNAL_MISSING, mend_journal }, { OXL_P_JOURNAL_DAMAGED, mend_journal },
};

static int mend_files(struct oxl_repair *p, struct oxl_error *err)
{
        int r = 0;
        for (size_t m = 0; m < OXL_ARRAY_LEN(mends); m++)
                for (size_t i = 0; r == 0 && i < p->n_finds; i++) {
                        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
                        struct oxl_repair_find *f = &p->finds[i];
                        if (!f->selected || f->told || (int)f->problem != mends[m].problem)
                                continue;
                        if (!oxl_repair_fresh(p, f))
                                r = oxl_repair_tell(p, f, OXL_REPAIR_STALE, "", "it changed since it was checked", err);
                        else if (mends[m].mend(p, f, &why) < 0)
                                r = oxl_repair_failed(p, f, &why, err);
                }
        return r;
}

static bool needed(const struct oxl_repair *p, bool files)
{
        for (size_t i = 0; i < p->n_finds; i++) {
                bool wanted = !files && p->finds[i].problem == OXL_P_STRUCTURE;
                for (size_t m = 0; files && m < OXL_ARRAY_LEN(mends); m++)
                        wanted = wanted || (int)p->finds[i].problem == mends[m].problem;
                if (wanted && p->finds[i].selected)
                        return true;
        }
        return false;
}

/* Without an owner of its own, since that takes `locks` and owners/: temps of owner 0 carry their own lock. */
static int boot_folders(struct oxl_repair *p, struct oxl_error *err)
{
        if (!needed(p, false))
                return 0;
        int r = oxl_durable_new(p->root_fd, p->root, 0, &p->durable, err);
        if (r == 0)
                r = mend_folders(p, err);
        oxl_durable_free(p->durable);
        p->durable = NULL;
        return r;
}

static int boot_files(struct oxl_repair *p, struct oxl_error *err)
{
        struct oxl_owner *owner = NULL;
        if (!needed(p, true))
                return 0;
        int r = oxl_owner_new(p->root_fd, p->options->command, &owner, err);
        if (r == 0)
                r = oxl_owner_lock(owner, OXL_LOCK_WRITER, true, p->options->wait_ms, p->options->cancel, err);
        if (r == 0)
                r = oxl_owner_lock(owner, OXL_LOCK_GC, true, p->options->wait_ms, p->options->cancel, err);
        if (r == 0)
                r = oxl_owner_lock(owner, OXL_LOCK_DB, true, p->options->wait_ms, p->options->cancel, err);
        if (r == 0)
                r = oxl_durable_new(p->root_fd, p->root, oxl_owner_number(owner), &p->durable, err);
        if (r == 0)
                r = mend_files(p, err);
        oxl_durable_free(p->durable);
        p->durable = NULL;
        oxl_owner_free(owner);
        return r;
}

int oxl_repair_boot(struct oxl_repair *p, struct oxl_error *err)
{
        int r = boot_folders(p, err);
        return r < 0 ? r : boot_files(p, err);
}
