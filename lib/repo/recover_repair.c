/* SPDX-License-Identifier: MIT */
/*
 * Recovery of an interrupted repair. Every step of one is a whole replacement, so no file is half repaired: either
 * the good
 * bytes are in place, or the bad file is. What is left to do: make durable what was renamed, take away the link that
 * quarantine has to a file that is still in its place, notes without a file, and the folder where an index was built.
 *
 * Whether anything is still damaged is not asked here: fsck --repair finds it again.
 * What a crash leaves: the same, or less; done again.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <oxenlite/json.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/path.h"
#include "durable/remove.h"
#include "os/fdio.h"
#include "repo/recover.h"

static void json_done(struct oxl_json **j)
{
        oxl_json_free(*j);
}

/* The path that the note in @folder names; NULL: there is no whole note. */
static char *noted_path(struct oxl_repo *r, const char *folder)
{
        cleanup_free char *name = NULL;
        cleanup_buf struct oxl_buf text = OXL_BUF_INIT;
        cleanup(json_done) struct oxl_json *note = NULL;
        char *path = NULL;
        size_t n;
        if (asprintf(&name, "%s/note", folder) < 0 || oxl_repo_read_file(r->root_fd, name, &text, NULL) != 0 ||
            oxl_json_parse(oxl_buf_text(&text), text.len, name, &note, NULL) < 0 ||
            !oxl_json_get_name(note, "path", &path, &n))
                return NULL;
        if (!oxl_path_problem(path, n))
                return path;
        free(path);
        return NULL;
}

static int recover_entry(struct oxl_repo *r, const char *folder, struct oxl_error *err)
{
        cleanup_free char *path = noted_path(r, folder), *data = NULL;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        struct stat kept, now;
        if (asprintf(&data, "%s/data", folder) < 0)
                return OXL_FAIL_PLAIN(err, NOMEM);
        bool has_data = oxl_fd_stat_at(r->root_fd, data, &kept) == 0;
        if (!has_data && errno != ENOENT)
                return OXL_FAIL_OS(err, FILE_STAT, data);
        if (has_data && path) {
                bool in_place = oxl_fd_stat_at(r->root_fd, path, &now) == 0 && oxl_stat_same(&kept, &now);
                int k = oxl_durable_mark(r->durable, path, &why);
                if (k < 0 && why.code != OXL_E_DIR_OPEN)
                        return oxl_error_copy(err, &why);
                if (!in_place)
                        return 0;
        } else if (has_data) {
                return 0; /* without a note nobody knows where it belongs; it stays */
        }
        return oxl_remove_tree(r->root_fd, folder, err);
}

/* Each folder below the run's, by the listing of one moment. */
static int recover_folder(struct oxl_repo *r, const char *dir, struct oxl_error *err)
{
        struct oxl_dirent e;
        cleanup_dir struct oxl_dir d = OXL_DIR_INIT;
        cleanup_fd int fd = oxl_open_beneath(r->root_fd, dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
        int more;
        if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
                return 0;
        if (fd < 0 || oxl_dir_open(&d, fd) < 0)
                return OXL_FAIL_OS(err, DIR_OPEN, dir);
        while ((more = oxl_dir_next(&d, &e)) > 0) {
                cleanup_free char *folder = NULL;
                int k = oxl_path_join(dir, e.name, &folder, err);
                if (k == 0)
                        k = strcmp(e.name, "build") == 0 ? oxl_remove_tree(r->root_fd, folder, err)
                                                         : recover_entry(r, folder, err);
                if (k < 0)
                        return k;
        }
        return more < 0 ? OXL_FAIL_OS(err, DIR_READ, dir) : 0;
}

/* The id is a name of ours, or the intent is not. */
static bool is_id(const char *id)
{
        return strlen(id) < 32 && strspn(id, "0123456789abcdefTZ-") == strlen(id);
}

static int mark_all(struct oxl_repo *r, struct oxl_error *err)
{
        static const char *const names[] = { "HEAD", "refs/heads/x", "refs/tags/x", "versions/packs/x",
                                             "versions/files/x" };
        for (size_t i = 0; i < OXL_ARRAY_LEN(names); i++) {
                cleanup_error struct oxl_error why = OXL_ERROR_INIT;
                int k = oxl_durable_mark(r->durable, names[i], &why);
                if (k < 0 && why.code != OXL_E_DIR_OPEN)
                        return oxl_error_copy(err, &why);
        }
        return 0;
}

int oxl_repair_recover(struct oxl_repo *r, const struct oxl_event *event, struct oxl_error *err)
{
        static const char proof[] = "{\"schema\":\"oxen-lite.outcome/1\",\"proof\":[]}";
        cleanup(json_done) struct oxl_json *body = NULL;
        cleanup_free char *dir = NULL;
        int k = oxl_json_parse(event->body, strlen(event->body), "journal.db", &body, err);
        if (k < 0)
                return k;
        const char *id = oxl_json_get_string(body, "quarantine");
        if (!id || !is_id(id))
                return OXL_FAIL_WHY(err, JOURNAL_DAMAGED, "journal.db", "the intent of a repair names no quarantine");
        if (asprintf(&dir, "quarantine/%s", id) < 0)
                return OXL_FAIL_PLAIN(err, NOMEM);
        k = id[0] ? recover_folder(r, dir, err) : 0;
        if (k == 0)
                k = mark_all(r, err);
        if (k == 0)
                k = oxl_durable_barrier(r->durable, err);
        if (k == 0)
                k = oxl_journal_outcome(r->journal, event->seq, oxl_owner_number(r->owner), OXL_INTENT_ROLLED_FORWARD,
                                        proof, true, err);
        if (k < 0)
                return k;
        const struct oxl_recovered said = {
                .intent = event->seq,
                .verb = "repair",
                .outcome = "rolled-forward",
                .why = "each file is repaired or as it was: run oxen-lite fsck --repair again",
                .proof = proof
        };
        if (r->options.recovered)
                r->options.recovered(r->options.ctx, &said);
        return 0;
}
