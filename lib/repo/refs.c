/* SPDX-License-Identifier: MIT */
/*
 * Refs and HEAD: docs/FORMAT.md sections 3.2 and 3.3. Names, reading, compare and swap, listing.
 *
 * A ref is a sealed file; its name is in the seal, so two valid refs that were swapped are found. Moving one is an
 * atomic write under the writer lock: what a crash leaves is the old commit id or the new one.
 */
#include <stdio.h>
#include <string.h>

#include "base/fail.h"
#include "base/path.h"
#include "os/fdio.h"
#include "repo/repo.h"

#define HEADS "refs/heads/"
#define TAGS "refs/tags/"
#define SYMBOLIC "ref: "

enum { REF_NAME_BYTES_MAX = 1024, SHOWN_BYTES = REF_NAME_BYTES_MAX + 32, ID_DIGITS = 64 };

/* --- names ------------------------------------------------------------------------------------------------- */

static const char *component_problem(const char *name, size_t n)
{
        char copy[OXL_NAME_MAX + 1];
        if (n == 0)
                return "it has an empty component";
        if (n > OXL_NAME_MAX)
                return "it has a component of more than 255 bytes";
        if (name[0] == '.')
                return "a component begins with '.'";
        if (n >= 5 && memcmp(name + n - 5, ".lock", 5) == 0)
                return "a component ends in '.lock'";
        memcpy(copy, name, n);
        copy[n] = 0;
        if (oxl_temp_name_is_ours(copy, NULL)) /* the sweeper would take it */
                return "a component looks like a temporary file of ours";
        return NULL;
}

static const char *bytes_problem(const char *name)
{
        for (const unsigned char *p = (const unsigned char *)name; *p; p++)
                if (*p <= 0x20 || *p == 0x7f || strchr("~^:?*[\\", *p))
                        return "it holds a space, a control character, or one of ~ ^ : ? * [ \\";
        if (strstr(name, ".."))
                return "it holds '..'";
        if (strstr(name, "@{"))
                return "it holds '@{'";
        return NULL;
}

static const char *name_problem(const char *name)
{
        size_t n = strlen(name);
        if (n == 0)
                return "it is empty";
        if (n > REF_NAME_BYTES_MAX - strlen(HEADS))
                return "it is too long";
        if (strcmp(name, "@") == 0)
                return "'@' means HEAD";
        if (name[n - 1] == '.')
                return "it ends in '.'";
        if (strspn(name, "0123456789abcdefABCDEF") == n)
                return "it could be a commit id: hexadecimal digits only";
        const char *problem = bytes_problem(name);
        for (const char *at = name; !problem && at; at = strchr(at, '/')) {
                at += at != name;
                problem = component_problem(at, strcspn(at, "/"));
        }
        return problem;
}

int oxl_ref_name_check(const char *name, struct oxl_error *err)
{
        const char *problem = name_problem(name);
        return problem ? OXL_FAIL_WHY(err, REF_NAME, name, problem) : 0;
}

int oxl_ref_new_name_check(const char *name, struct oxl_error *err)
{
        if (strcmp(name, "HEAD") == 0)
                return OXL_FAIL_WHY(err, REF_NAME, name, "HEAD is where you are, never a branch or tag");
        if (name[0] == '-')
                return OXL_FAIL_WHY(err, REF_NAME, name, "it begins with '-', as options do");
        return oxl_ref_name_check(name, err);
}

/* Why @name is not the full name of a ref; NULL when it is. */
static const char *full_name_problem(const char *name)
{
        if (strncmp(name, HEADS, strlen(HEADS)) == 0)
                return name_problem(name + strlen(HEADS));
        if (strncmp(name, TAGS, strlen(TAGS)) == 0)
                return name_problem(name + strlen(TAGS));
        return "it begins with neither refs/heads/ nor refs/tags/";
}

static int check_full_name(const char *name, struct oxl_error *err)
{
        const char *problem = full_name_problem(name);
        return problem ? OXL_FAIL_WHY(err, REF_NAME, name, problem) : 0;
}

/* --- texts ------------------------------------------------------------------------------------------------- */

/* Parses "<64 hex>\n", and nothing else. */
static bool parse_id_line(struct oxl_bytes body, struct oxl_digest *ret)
{
        char hex[ID_DIGITS + 1];
        if (body.len != ID_DIGITS + 1 || body.data[ID_DIGITS] != '\n')
                return false;
        memcpy(hex, body.data, ID_DIGITS);
        hex[ID_DIGITS] = 0;
        return oxl_digest_parse(OXL_ALGO_BLAKE3, hex, ret);
}

static int append_id_line(struct oxl_buf *ret, const struct oxl_digest *id, struct oxl_error *err)
{
        char text[OXL_DIGEST_TEXT_MAX];
        oxl_digest_text(id, text);
        return oxl_buf_append_fmt(ret, err, "%s\n", text);
}

int oxl_ref_print(const struct oxl_repo_id *id, const char *name, const struct oxl_digest *commit, struct oxl_buf *ret,
                  struct oxl_error *err)
{
        oxl_buf_clear(ret);
        int r = append_id_line(ret, commit, err);
        return r < 0 ? r : oxl_seal_text(ret, "ref", id, name, err);
}

int oxl_head_print(const struct oxl_repo_id *id, const char *ref, const struct oxl_digest *commit, struct oxl_buf *ret,
                   struct oxl_error *err)
{
        oxl_buf_clear(ret);
        int r = ref ? oxl_buf_append_fmt(ret, err, SYMBOLIC "%s\n", ref) : append_id_line(ret, commit, err);
        return r < 0 ? r : oxl_seal_text(ret, "HEAD", id, "HEAD", err);
}

/* --- one ref ----------------------------------------------------------------------------------------------- */

int oxl_ref_read(const struct oxl_repo *r, const char *name, struct oxl_digest *ret, struct oxl_error *err)
{
        cleanup_buf struct oxl_buf text = OXL_BUF_INIT;
        struct oxl_bytes body;
        char shown[SHOWN_BYTES];
        int n = check_full_name(name, err);
        if (n == 0)
                n = oxl_repo_read_file(r->root_fd, name, &text, err);
        if (n != 0)
                return n;
        snprintf(shown, sizeof shown, OXL_REPO_DIR "/%s", name);
        n = oxl_seal_text_check(oxl_buf_bytes(&text), "ref", &r->format.id, name, shown, &body, err);
        if (n < 0)
                return n;
        if (!parse_id_line(body, ret))
                return OXL_FAIL_WHY(err, MALFORMED, shown, "it does not hold one commit id");
        return 0;
}

int oxl_ref_swap(struct oxl_repo *r, const char *name, const struct oxl_digest *old, const struct oxl_digest *new_,
                 struct oxl_error *err)
{
        cleanup_buf struct oxl_buf text = OXL_BUF_INIT;
        struct oxl_digest found = OXL_DIGEST_INIT;
        OXL_ASSERT(r->writing && new_->algo == OXL_ALGO_BLAKE3);
        int n = oxl_ref_read(r, name, &found, err);
        if (n < 0)
                return n;
        if (!oxl_digest_equal(&found, old)) /* both NONE: it is to be created */
                return OXL_FAIL_OBJECT(err, REF_CHANGED, name, old, &found);
        n = oxl_ref_print(&r->format.id, name, new_, &text, err);
        return n < 0 ? n : oxl_durable_write(r->durable, name, text.data, text.len, err);
}

/* --- HEAD -------------------------------------------------------------------------------------------------- */

/* Parses "ref: refs/heads/<name>\n". *ret is malloc'd; NULL when the body is something else. NOMEM. */
static int parse_symbolic(struct oxl_bytes body, char **ret, struct oxl_error *err)
{
        size_t skip = strlen(SYMBOLIC);
        *ret = NULL;
        if (body.len <= skip + 1 || memcmp(body.data, SYMBOLIC, skip) != 0 || body.data[body.len - 1] != '\n')
                return 0;
        size_t n = body.len - skip - 1;
        if (memchr(body.data, 0, body.len))
                return 0;
        cleanup_free char *ref = strndup((const char *)body.data + skip, n);
        if (!ref)
                return OXL_FAIL_PLAIN(err, NOMEM);
        if (strncmp(ref, HEADS, strlen(HEADS)) == 0 && !full_name_problem(ref))
                *ret = take_ptr(&ref);
        return 0;
}

int oxl_head_read(const struct oxl_repo *r, char **ret_ref, struct oxl_digest *ret_id, struct oxl_error *err)
{
        static const char name[] = OXL_REPO_DIR "/HEAD";
        cleanup_buf struct oxl_buf text = OXL_BUF_INIT;
        struct oxl_bytes body = OXL_BYTES_INIT;
        struct oxl_digest id = OXL_DIGEST_INIT;
        char *ref = NULL;
        int n = oxl_repo_read_file(r->root_fd, "HEAD", &text, err);
        if (n == 1)
                return OXL_FAIL_WHY(err, MALFORMED, name, "it is missing");
        if (n == 0)
                n = oxl_seal_text_check(oxl_buf_bytes(&text), "HEAD", &r->format.id, "HEAD", name, &body, err);
        if (n == 0)
                n = parse_symbolic(body, &ref, err);
        if (n < 0)
                return n;
        if (!ref && !parse_id_line(body, &id))
                return OXL_FAIL_WHY(err, MALFORMED, name, "it holds neither a branch nor a commit id");
        *ret_ref = ref;
        *ret_id = id;
        return 0;
}

int oxl_head_swap(struct oxl_repo *r, const struct oxl_digest *old, const struct oxl_digest *new_,
                  struct oxl_error *err)
{
        cleanup_buf struct oxl_buf text = OXL_BUF_INIT;
        cleanup_free char *ref = NULL;
        struct oxl_digest found = OXL_DIGEST_INIT;
        OXL_ASSERT(r->writing && old->algo == OXL_ALGO_BLAKE3 && new_->algo == OXL_ALGO_BLAKE3);
        int n = oxl_head_read(r, &ref, &found, err);
        if (n < 0)
                return n;
        if (!oxl_digest_equal(&found, old)) /* NONE when HEAD names a branch */
                return OXL_FAIL_OBJECT(err, REF_CHANGED, "HEAD", old, &found);
        n = oxl_head_print(&r->format.id, NULL, new_, &text, err);
        return n < 0 ? n : oxl_durable_write(r->durable, "HEAD", text.data, text.len, err);
}

void oxl_head_done(struct oxl_head *h)
{
        oxl_freep(&h->branch);
        h->commit = (struct oxl_digest)OXL_DIGEST_INIT;
}

int oxl_repo_head(struct oxl_repo *r, struct oxl_head *ret, struct oxl_error *err)
{
        cleanup_free char *ref = NULL;
        struct oxl_digest id = OXL_DIGEST_INIT;
        struct oxl_head h = { 0 };
        int n = oxl_head_read(r, &ref, &id, err);
        if (n == 0 && ref)
                n = oxl_ref_read(r, ref, &id, err); /* 1: no commits yet, id stays NONE */
        if (n < 0)
                return n;
        if (ref && !(h.branch = strdup(ref + strlen(HEADS))))
                return OXL_FAIL_PLAIN(err, NOMEM);
        h.commit = id;
        *ret = h;
        return 0;
}

/* --- listing ----------------------------------------------------------------------------------------------- */

/* A growing list of owned strings. */
struct names {
        char **at;
        size_t n, cap;
};

static void names_done(struct names *l)
{
        for (size_t i = 0; i < l->n; i++)
                free(l->at[i]);
        free(l->at);
}

/* Takes @name, also when it fails. */
static int names_push(struct names *l, char *name, struct oxl_error *err)
{
        if (name && l->n == l->cap) {
                size_t cap = l->cap ? 2 * l->cap : 16;
                char **more = realloc(l->at, cap * sizeof *more);
                if (more) {
                        l->at = more;
                        l->cap = cap;
                }
        }
        if (!name || l->n == l->cap) {
                free(name);
                return OXL_FAIL_PLAIN(err, NOMEM);
        }
        l->at[l->n++] = name;
        return 0;
}

/* Sorts one entry of @dir into @dirs or @refs. Temps are the sweeper's. A file whose name no ref can have, such as an editor's
 * backup, was never a ref: it is told and left out (fsck: ref-stray). Anything else that is no file would be a root that
 * nobody follows. */
static int take_entry(const struct oxl_repo *r, int fd, const char *dir, const char *name, struct names *dirs,
                      struct names *refs, struct oxl_error *err)
{
        cleanup_free char *path = NULL;
        struct stat st;
        if (oxl_temp_name_is_ours(name, NULL))
                return 0;
        int n = oxl_path_join(dir, name, &path, err);
        if (n < 0)
                return n;
        if (oxl_fd_stat_at(fd, name, &st) < 0)
                return errno == ENOENT ? 0 : OXL_FAIL_OS(err, FILE_STAT, path);
        if (S_ISDIR(st.st_mode) && strlen(path) < REF_NAME_BYTES_MAX)
                return names_push(dirs, take_ptr(&path), err);
        if (S_ISREG(st.st_mode) && full_name_problem(path)) {
                oxl_repo_notice(r, path, "left out: it is in the refs folder, and is no ref");
                return 0;
        }
        if (!S_ISREG(st.st_mode))
                return OXL_FAIL_WHY(err, MALFORMED, path, "it is in the place of a ref, and is none");
        return names_push(refs, take_ptr(&path), err);
}

static int list_directory(const struct oxl_repo *r, const char *path, struct names *dirs, struct names *refs,
                          struct oxl_error *err)
{
        struct oxl_dirent e;
        cleanup_dir struct oxl_dir dir = OXL_DIR_INIT;
        cleanup_fd int fd = oxl_open_beneath(r->root_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
        if (fd < 0 && errno == ENOENT)
                return 0;
        if (fd < 0 || oxl_dir_open(&dir, fd) < 0)
                return OXL_FAIL_OS(err, DIR_OPEN, path);
        for (;;) {
                int n = oxl_dir_next(&dir, &e);
                if (n < 0)
                        return OXL_FAIL_OS(err, DIR_READ, path);
                if (n == 0)
                        return 0;
                n = take_entry(r, fd, path, e.name, dirs, refs, err);
                if (n < 0)
                        return n;
        }
}

static int collect(const struct oxl_repo *r, struct names *refs, struct oxl_error *err)
{
        cleanup(names_done) struct names dirs = { 0 };
        int n = names_push(&dirs, strdup("refs/heads"), err);
        if (n == 0)
                n = names_push(&dirs, strdup("refs/tags"), err);
        while (n == 0 && dirs.n > 0) {
                cleanup_free char *path = dirs.at[--dirs.n];
                n = list_directory(r, path, &dirs, refs, err);
        }
        return n;
}

static int compare_names(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

int oxl_repo_refs(struct oxl_repo *r, oxl_ref_fn *fn, void *ctx, struct oxl_error *err)
{
        cleanup(names_done) struct names refs = { 0 };
        int n = collect(r, &refs, err);
        if (n < 0)
                return n;
        if (refs.n > 0)
                qsort(refs.at, refs.n, sizeof *refs.at, compare_names);
        for (size_t i = 0; i < refs.n; i++) {
                struct oxl_digest id;
                n = oxl_ref_read(r, refs.at[i], &id, err);
                if (n == 1)
                        continue; /* deleted since it was listed */
                if (n == 0)
                        n = fn(ctx, refs.at[i], &id, err);
                if (n < 0)
                        return n;
        }
        return 0;
}
