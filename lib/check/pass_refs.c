/* SPDX-License-Identifier: MIT */
/*
 * HEAD and the refs: read before anything else that they lead to, so that what is published later can only add
 * objects. A missing branch is not seen here (a branch without commits has no file): pass_journal.c knows where it
 * should be.
 */
#include <string.h>

#include "base/path.h"
#include "check/pass.h"

#define HEADS "refs/heads/"
#define TAGS "refs/tags/"
#define SYMBOLIC "ref: "

static bool parse_id_line(struct oxl_bytes body, struct oxl_digest *ret)
{
        char hex[OXL_DIGEST_TEXT_MAX] = { 0 };
        if (body.len != 65 || body.data[64] != '\n')
                return false;
        memcpy(hex, body.data, 64);
        return oxl_digest_parse(OXL_ALGO_BLAKE3, hex, ret);
}

static bool is_ref_name(const char *path)
{
        const char *prefix = strncmp(path, HEADS, strlen(HEADS)) == 0 ? HEADS : TAGS;
        return strncmp(path, prefix, strlen(prefix)) == 0 && oxl_ref_name_check(path + strlen(prefix), NULL) == 0;
}

/* --- one file --- */

struct sealed_ref {
        const char *path, *kind;
        struct oxl_digest id;
        char *symbolic; /* owned; HEAD only */
};

static void sealed_ref_done(struct sealed_ref *s)
{
        free(s->symbolic);
}

/* "ref: refs/heads/<name>\n" */
static int parse_symbolic(struct oxl_bytes body, char **ret, struct oxl_error *err)
{
        size_t skip = strlen(SYMBOLIC);
        if (body.len < skip + 2 || memcmp(body.data, SYMBOLIC, skip) != 0 || body.data[body.len - 1] != '\n' ||
            memchr(body.data, 0, body.len))
                return 0;
        cleanup_free char *ref = strndup((const char *)body.data + skip, body.len - skip - 1);
        if (!ref)
                return OXL_FAIL_PLAIN(err, NOMEM);
        if (strncmp(ref, HEADS, strlen(HEADS)) == 0 && is_ref_name(ref))
                *ret = take_ptr(&ref);
        return 0;
}

static int look_sealed_ref(struct oxl_check *c, void *ctx, struct oxl_error *err)
{
        struct sealed_ref *s = ctx;
        cleanup_buf struct oxl_buf text = OXL_BUF_INIT;
        struct oxl_bytes body;
        free(take_ptr(&s->symbolic));
        int r = oxl_repo_read_file(c->root_fd, s->path, &text, err);
        if (r == 0)
                r = oxl_seal_text_check(oxl_buf_bytes(&text), s->kind, &c->format.id, s->path, s->path, &body, err);
        if (r != 0)
                return r;
        if (strcmp(s->kind, "HEAD") == 0) {
                r = parse_symbolic(body, &s->symbolic, err);
                if (r < 0 || s->symbolic)
                        return r;
        }
        return parse_id_line(body, &s->id) ? 0
                                           : OXL_FAIL_WHY(err, MALFORMED, s->path, "it does not hold one commit id");
}

/* Keeps the commit for the graph. */
static int remember(struct oxl_check *c, const char *name, const struct oxl_digest *id, struct oxl_error *err)
{
        if (c->n_refs == c->cap_refs) {
                size_t cap = 2 * c->cap_refs + 16;
                struct oxl_check_ref *refs = reallocarray(c->refs, cap, sizeof *refs);
                if (!refs)
                        return OXL_FAIL_PLAIN(err, NOMEM);
                c->refs = refs;
                c->cap_refs = cap;
        }
        char *copy = strdup(name);
        if (!copy)
                return OXL_FAIL_PLAIN(err, NOMEM);
        c->refs[c->n_refs++] = (struct oxl_check_ref){ .name = copy, .id = *id };
        return 0;
}

static int check_head(struct oxl_check *c, struct oxl_error *err)
{
        cleanup(sealed_ref_done) struct sealed_ref head = { .path = "HEAD", .kind = "HEAD" };
        cleanup_look struct oxl_look look = OXL_LOOK_INIT;
        int r = oxl_check_look(c, "HEAD", NULL, look_sealed_ref, &head, &look, err);
        if (r == 0 && look.state == OXL_LOOK_DAMAGED && look.why.code == OXL_E_SEAL) {
                r = oxl_check_foreign(c, err);
                if (r > 0)
                        r = oxl_check_look(c, "HEAD", NULL, look_sealed_ref, &head, &look, err);
        }
        if (r == 0)
                r = oxl_check_judge(c, "HEAD", OXL_P_HEAD_MISSING, OXL_P_HEAD_DAMAGED, &look, err);
        if (r < 0 || (look.state != OXL_LOOK_GOOD && look.state != OXL_LOOK_TRANSIENT))
                return r;
        c->head = take_ptr(&head.symbolic);
        return c->head ? 0 : remember(c, "HEAD", &head.id, err);
}

/* --- the folder --- */

static int check_ref_entry(struct oxl_check *c, void *ctx, const char *path, const char *name, const struct stat *st,
                           struct oxl_error *err);

static int check_ref_folder(struct oxl_check *c, const char *path, struct oxl_error *err)
{
        /* 1,024 bytes of name allow 512 levels; deeper ones hold no refs. */
        if (strlen(path) > 1024)
                return oxl_check_report(c, &(struct oxl_report){ .problem = OXL_P_REF_FOREIGN, .path = path }, err);
        return oxl_check_list(c, path, check_ref_entry, NULL, &c->refs_complete, err);
}

static int check_ref_entry(struct oxl_check *c, void *ctx, const char *path, const char *name, const struct stat *st,
                           struct oxl_error *err)
{
        (void)ctx;
        bool top = strchr(path + strlen("refs/"), '/') == NULL;
        if (S_ISDIR(st->st_mode) && (!top || strcmp(name, "heads") == 0 || strcmp(name, "tags") == 0))
                return check_ref_folder(c, path, err);
        if (!S_ISREG(st->st_mode) || !is_ref_name(path))
                return oxl_check_stray(c, OXL_P_REF_FOREIGN, path, name, st, err);
        struct sealed_ref ref = { .path = path, .kind = "ref" };
        enum oxl_look_state state;
        int r = oxl_check_file(c, path, 0, OXL_P_REF_DAMAGED, look_sealed_ref, &ref, &state, err);
        if (r < 0 || (state != OXL_LOOK_GOOD && state != OXL_LOOK_TRANSIENT))
                return r;
        c->result.refs++;
        return remember(c, path, &ref.id, err);
}

int oxl_check_refs(struct oxl_check *c, struct oxl_error *err)
{
        if (!c->have_id)
                return 0;
        c->refs_complete = true;
        int r = check_head(c, err); /* first: it may show that the id is another's */
        return r < 0 ? r : check_ref_folder(c, "refs", err);
}
