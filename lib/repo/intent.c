/* SPDX-License-Identifier: MIT */
/* See intent.h. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/path.h"
#include "repo/intent.h"

#define SCHEMA "oxen-lite.intent/1"
#define WHERE "journal.db"

static void json_done(struct oxl_json **j)
{
        oxl_json_free(*j);
        *j = NULL;
}
#define cleanup_json cleanup(json_done)

static const char *kind_text(enum oxl_intent_file_kind kind)
{
        switch (kind) {
        case OXL_INTENT_PACK: return "pack";
        case OXL_INTENT_BLOB: return "blob";
        case OXL_INTENT_INDEX: return "index";
        }
        return "";
}

static int malformed(struct oxl_error *err, const char *why)
{
        return OXL_FAIL_WHY(err, JOURNAL_DAMAGED, WHERE, why);
}

/* --- commit ------------------------------------------------------------------------------------------------------ */

void oxl_commit_intent_done(struct oxl_commit_intent *i)
{
        for (size_t k = 0; k < i->n_files; k++) {
                free(i->files[k].temp);
                free(i->files[k].target);
        }
        free(i->files);
        free(i->ref);
        oxl_edits_record_done(&i->edits);
        *i = (struct oxl_commit_intent)OXL_COMMIT_INTENT_INIT;
}

int oxl_commit_intent_add(struct oxl_commit_intent *i, enum oxl_intent_file_kind kind, const char *temp,
                          const char *target, const struct oxl_digest *digest, uint64_t size, struct oxl_error *err)
{
        if ((i->n_files & (i->n_files - 1)) == 0) { /* full: there is room for the next power of two */
                struct oxl_intent_file *grown = realloc(i->files, (2 * i->n_files + 1) * sizeof *grown);
                if (!grown)
                        return OXL_FAIL_PLAIN(err, NOMEM);
                i->files = grown;
        }
        struct oxl_intent_file f = { kind, strdup(temp), strdup(target), *digest, size };
        if (!f.temp || !f.target) {
                free(f.temp);
                free(f.target);
                return OXL_FAIL_PLAIN(err, NOMEM);
        }
        i->files[i->n_files++] = f;
        return 0;
}

static struct oxl_json *print_files(const struct oxl_commit_intent *i)
{
        struct oxl_json *files = oxl_json_array();
        for (size_t k = 0; k < i->n_files; k++) {
                struct oxl_json *f = oxl_json_object();
                oxl_json_set_string(f, "kind", kind_text(i->files[k].kind));
                oxl_json_set_string(f, "temp", i->files[k].temp);
                oxl_json_set_string(f, "target", i->files[k].target);
                oxl_json_set_digest(f, "digest", &i->files[k].digest);
                oxl_json_set_u64(f, "size", i->files[k].size);
                oxl_json_append(files, f);
        }
        return files;
}

int oxl_commit_intent_print(const struct oxl_commit_intent *i, char **ret, struct oxl_error *err)
{
        cleanup_json struct oxl_json *j = oxl_json_object();
        oxl_json_set_string(j, "schema", SCHEMA);
        oxl_json_set_string(j, "verb", "commit");
        oxl_json_set_string(j, "ref", i->ref);
        oxl_json_set_digest(j, "old", &i->old_id);
        oxl_json_set_digest(j, "new", &i->new_id);
        oxl_json_set_digest(j, "tree", &i->tree);
        oxl_json_set(j, "files", print_files(i));
        if (i->has_index) {
                struct oxl_json *index = oxl_json_object();
                oxl_json_set_digest(index, "old", &i->index_tree);
                oxl_json_set_digest(index, "new", &i->tree);
                oxl_json_set_bool(index, "from_trees", false);
                oxl_edits_record_set(index, &i->edits);
                oxl_json_set(j, "index", index);
        }
        return oxl_json_print(j, ret, err);
}

static bool parse_id(const struct oxl_json *j, const char *key, bool may_be_null, struct oxl_digest *ret)
{
        if (may_be_null && oxl_json_is_null(j, key)) {
                *ret = (struct oxl_digest)OXL_DIGEST_INIT;
                return true;
        }
        const char *text = oxl_json_get_string(j, key);
        return text && oxl_digest_parse(OXL_ALGO_BLAKE3, text, ret);
}

/* May recovery rename @temp to @target? Only where commit itself puts things. */
static bool file_places_ok(enum oxl_intent_file_kind kind, const char *temp, const char *target)
{
        if (oxl_path_problem(temp, strlen(temp)) || oxl_path_problem(target, strlen(target)) ||
            !oxl_temp_name_is_ours(oxl_path_base(temp), NULL))
                return false;
        switch (kind) {
        case OXL_INTENT_PACK:
                return strncmp(temp, "versions/tmp/", 13) == 0 && strncmp(target, "versions/packs/", 15) == 0;
        case OXL_INTENT_BLOB:
                return strncmp(temp, "versions/tmp/", 13) == 0 && strncmp(target, "versions/files/", 15) == 0;
        case OXL_INTENT_INDEX:
                return !strchr(temp, '/') && (strcmp(target, "index") == 0 || strcmp(target, "index.delta") == 0);
        }
        return false;
}

static int parse_file(const struct oxl_json *f, enum oxl_algo blob_algo, struct oxl_commit_intent *ret,
                      struct oxl_error *err)
{
        const char *kind_name = oxl_json_get_string(f, "kind"), *temp = oxl_json_get_string(f, "temp");
        const char *target = oxl_json_get_string(f, "target"), *digest = oxl_json_get_string(f, "digest");
        uint64_t size;
        if (!kind_name || !temp || !target || !digest || !oxl_json_get_u64(f, "size", &size))
                return malformed(err, "an intent lists a file without all of its members");
        for (enum oxl_intent_file_kind kind = OXL_INTENT_PACK; kind <= OXL_INTENT_INDEX; kind++) {
                if (strcmp(kind_name, kind_text(kind)) != 0)
                        continue;
                struct oxl_digest d;
                if (!oxl_digest_parse(kind == OXL_INTENT_BLOB ? blob_algo : OXL_ALGO_BLAKE3, digest, &d) ||
                    !file_places_ok(kind, temp, target))
                        return malformed(err, "an intent names a file that commit never writes");
                return oxl_commit_intent_add(ret, kind, temp, target, &d, size, err);
        }
        return malformed(err, "an intent lists a file of unknown kind");
}

static int parse_files(const struct oxl_json *files, enum oxl_algo blob_algo, struct oxl_commit_intent *ret,
                       struct oxl_error *err)
{
        const struct oxl_json *file;
        const char *key;
        for (size_t pos = 0; oxl_json_member(files, &pos, &key, &file);) {
                int r = key ? malformed(err, "the files of an intent are no list")
                            : parse_file(file, blob_algo, ret, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int parse_commit(const struct oxl_json *j, enum oxl_algo blob_algo, struct oxl_commit_intent *ret,
                        struct oxl_error *err)
{
        const char *schema = oxl_json_get_string(j, "schema"), *ref = oxl_json_get_string(j, "ref");
        if (!schema || strcmp(schema, SCHEMA) != 0 || !ref || !parse_id(j, "old", true, &ret->old_id) ||
            !parse_id(j, "new", false, &ret->new_id) || !parse_id(j, "tree", false, &ret->tree))
                return malformed(err, "the intent of a commit lacks members");
        if (strcmp(ref, "HEAD") != 0 &&
            (strncmp(ref, "refs/heads/", 11) != 0 || oxl_ref_name_check(ref + 11, NULL) < 0))
                return malformed(err, "the intent of a commit names no branch");
        ret->ref = strdup(ref);
        if (!ret->ref)
                return OXL_FAIL_PLAIN(err, NOMEM);
        const struct oxl_json *files = oxl_json_get(j, "files");
        if (oxl_json_size(files) == 0) /* the index, at least */
                return malformed(err, "the intent of a commit lists no files");
        return parse_files(files, blob_algo, ret, err);
}

int oxl_commit_intent_parse(const char *body, enum oxl_algo blob_algo, struct oxl_commit_intent *ret,
                            struct oxl_error *err)
{
        cleanup_json struct oxl_json *j = NULL;
        cleanup(oxl_commit_intent_done) struct oxl_commit_intent i = OXL_COMMIT_INTENT_INIT;
        int r = oxl_json_parse(body, strlen(body), WHERE, &j, err);
        if (r < 0)
                return r;
        r = parse_commit(j, blob_algo, &i, err);
        if (r < 0)
                return r;
        *ret = i;
        i = (struct oxl_commit_intent)OXL_COMMIT_INTENT_INIT;
        return 0;
}

/* --- restore ----------------------------------------------------------------------------------------------------- */

void oxl_restore_intent_done(struct oxl_restore_intent *i)
{
        for (size_t k = 0; k < i->n_paths; k++)
                free(i->paths[k]);
        free(i->paths);
        free(i->to);
        oxl_edits_record_done(&i->local);
        *i = (struct oxl_restore_intent)OXL_RESTORE_INTENT_INIT;
}

int oxl_restore_intent_print(const struct oxl_restore_intent *i, char **ret, struct oxl_error *err)
{
        cleanup_json struct oxl_json *j = oxl_json_object();
        oxl_json_set_string(j, "schema", SCHEMA);
        oxl_json_set_string(j, "verb", "restore");
        oxl_json_set_digest(j, "source", &i->source);
        if (i->to)
                oxl_json_set_name(j, "to", i->to, strlen(i->to));
        struct oxl_json *paths = oxl_json_array();
        for (size_t k = 0; k < i->n_paths; k++) {
                struct oxl_json *p = oxl_json_object();
                oxl_json_set_name(p, "path", i->paths[k], strlen(i->paths[k]));
                oxl_json_append(paths, p);
        }
        oxl_json_set(j, "paths", paths);
        oxl_json_set_bool(j, "force", i->force);
        if (i->local.n_blobs > 0 || (i->local.hex && i->local.hex[0])) {
                struct oxl_json *local = oxl_json_object();
                oxl_edits_record_set(local, &i->local);
                oxl_json_set(j, "local", local);
        }
        return oxl_json_print(j, ret, err);
}

static int parse_paths(const struct oxl_json *paths, struct oxl_restore_intent *ret, struct oxl_error *err)
{
        size_t n = oxl_json_size(paths), pos = 0;
        const struct oxl_json *item;
        const char *key;
        ret->paths = calloc(n ? n : 1, sizeof *ret->paths);
        if (!ret->paths)
                return OXL_FAIL_PLAIN(err, NOMEM);
        for (size_t k = 0; oxl_json_member(paths, &pos, &key, &item); k++) {
                size_t len;
                if (key || !oxl_json_get_name(item, "path", &ret->paths[k], &len))
                        return malformed(err, "the intent of a restore lists something that is no path");
                ret->n_paths = k + 1;
                if (len > 0 && oxl_path_problem(ret->paths[k], len))
                        return malformed(err, "the intent of a restore names an impossible path");
        }
        return 0;
}

int oxl_restore_intent_parse(const char *body, struct oxl_restore_intent *ret, struct oxl_error *err)
{
        cleanup_json struct oxl_json *j = NULL;
        cleanup(oxl_restore_intent_done) struct oxl_restore_intent i = OXL_RESTORE_INTENT_INIT;
        int r = oxl_json_parse(body, strlen(body), WHERE, &j, err);
        if (r < 0)
                return r;
        const char *schema = oxl_json_get_string(j, "schema");
        size_t len;
        if (!schema || strcmp(schema, SCHEMA) != 0 || !parse_id(j, "source", true, &i.source) ||
            !oxl_json_get_bool(j, "force", &i.force))
                return malformed(err, "the intent of a restore lacks members");
        bool elsewhere = oxl_json_get(j, "to") || oxl_json_get(j, "to_bytes");
        if (elsewhere && (!oxl_json_get_name(j, "to", &i.to, &len) || i.to[0] != '/' || strlen(i.to) != len))
                return malformed(err, "the intent of a restore names no absolute folder");
        r = parse_paths(oxl_json_get(j, "paths"), &i, err);
        if (r < 0)
                return r;
        *ret = i;
        i = (struct oxl_restore_intent)OXL_RESTORE_INTENT_INIT;
        return 0;
}

/* --- gc, merge, gc-undo ------------------------------------------------------------------------------------------- */

bool oxl_gc_verb(const char *verb)
{
        return strcmp(verb, "gc") == 0 || strcmp(verb, "merge") == 0 || strcmp(verb, "gc-undo") == 0;
}

bool oxl_trash_id_ok(const char *id)
{
        size_t n = strlen(id);
        return n > 0 && n < 32 && strspn(id, "0123456789abcdefTZ-") == n;
}

void oxl_gc_intent_done(struct oxl_gc_intent *i)
{
        free(i->verb);
        free(i->trash);
        oxl_commit_intent_done(&i->packs);
        *i = (struct oxl_gc_intent)OXL_GC_INTENT_INIT;
}

int oxl_gc_intent_print(const struct oxl_gc_intent *i, char **ret, struct oxl_error *err)
{
        cleanup_json struct oxl_json *j = oxl_json_object();
        oxl_json_set_string(j, "schema", SCHEMA);
        oxl_json_set_string(j, "verb", i->verb);
        oxl_json_set_string(j, "trash", i->trash);
        oxl_json_set_i64(j, "kept_since", i->kept_since_ns);
        if (strcmp(i->verb, "gc-undo") == 0)
                oxl_json_set_bool(j, "whole", i->whole);
        oxl_json_set(j, "packs", print_files(&i->packs));
        return oxl_json_print(j, ret, err);
}

static int parse_gc(const struct oxl_json *j, struct oxl_gc_intent *ret, struct oxl_error *err)
{
        const char *schema = oxl_json_get_string(j, "schema"), *verb = oxl_json_get_string(j, "verb");
        const char *trash = oxl_json_get_string(j, "trash");
        uint64_t since;
        if (!schema || strcmp(schema, SCHEMA) != 0 || !verb || !oxl_gc_verb(verb) || !trash ||
            !oxl_trash_id_ok(trash) || !oxl_json_get_u64(j, "kept_since", &since) || since > INT64_MAX)
                return malformed(err, "the intent of a gc lacks members");
        ret->kept_since_ns = (int64_t)since;
        ret->whole = oxl_json_get_bool(j, "whole", &ret->whole) && ret->whole;
        ret->verb = strdup(verb);
        ret->trash = strdup(trash);
        if (!ret->verb || !ret->trash)
                return OXL_FAIL_PLAIN(err, NOMEM);
        int r = parse_files(oxl_json_get(j, "packs"), OXL_ALGO_BLAKE3, &ret->packs, err);
        for (size_t k = 0; r >= 0 && k < ret->packs.n_files; k++)
                if (ret->packs.files[k].kind != OXL_INTENT_PACK)
                        return malformed(err, "the intent of a gc lists a file that is no pack");
        return r;
}

int oxl_gc_intent_parse(const char *body, struct oxl_gc_intent *ret, struct oxl_error *err)
{
        cleanup_json struct oxl_json *j = NULL;
        cleanup(oxl_gc_intent_done) struct oxl_gc_intent i = OXL_GC_INTENT_INIT;
        int r = oxl_json_parse(body, strlen(body), WHERE, &j, err);
        if (r >= 0)
                r = parse_gc(j, &i, err);
        if (r < 0)
                return r;
        *ret = i;
        i = (struct oxl_gc_intent)OXL_GC_INTENT_INIT;
        return 0;
}
