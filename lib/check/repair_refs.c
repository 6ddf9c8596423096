/* SPDX-License-Identifier: MIT */
/*
 * HEAD and refs. A ref is written again only where the operation log knows where it was, or else another copy of the repository that
 * was given as --from, and the commit can be read; HEAD only where one of them or a single branch decides it. Everything else is a
 * proposal: branches for HEAD, commits that no other commit and no ref names for a ref; a person chooses, and says so in a plan: the
 * member "choice" of the finding (a commit id; for HEAD a
 * branch, too). A choice is taken only when the commit is whole in the store, or the branch there.
 *
 * What a crash leaves: the damaged file, or the new one.
 */
#include <stdio.h>
#include <string.h>

#include "check/repair.h"
#include "objects/commit.h"
#include "objects/idset.h"
#include "objects/pack.h"
#include "repo/move.h"

#define HEADS "refs/heads/"

enum { PROPOSALS_MAX = 5 };

#define HOW_TO_CHOOSE "; put one of them as \"choice\" into this finding of fsck --json, and give that to fsck --apply"

/* --- the operation log --- */

struct log_query {
        struct oxl_repo *repo;
        const char *ref; /* NULL: the last operation that tells what HEAD named */
        char *found_ref; /* owned */
        struct oxl_digest id;
        bool found;
};

/* Where HEAD went: a switch and its undo say so, and a commit is made on what HEAD names. */
static int look_for_head(struct log_query *q, const struct oxl_operation *op, struct oxl_error *err)
{
        cleanup(oxl_move_done) struct oxl_move m = OXL_MOVE_INIT;
        cleanup_free char *body = NULL;
        int r = op->intent ? oxl_journal_intent_body(q->repo->journal, op->intent, &body, err) : 0;
        if (r == 0 && body)
                r = oxl_move_parse(body, q->repo->format.blob_algo, &m, err);
        const char *head = m.head_new ? m.head_new : strcmp(op->verb, "commit") == 0 ? op->ref : NULL;
        if (r < 0 || !head)
                return r < 0 ? r : 0;
        bool branch = strncmp(head, HEADS, strlen(HEADS)) == 0;
        const char *id = m.head_new && !branch ? head : op->new_id;
        q->found = branch || (id && oxl_digest_parse(OXL_ALGO_BLAKE3, id, &q->id));
        q->found_ref = strdup(branch ? head : "HEAD");
        return q->found_ref ? 1 : OXL_FAIL_PLAIN(err, NOMEM);
}

static int look_at_operation(void *ctx, const struct oxl_operation *op, struct oxl_error *err)
{
        struct log_query *q = ctx;
        if (!q->ref)
                return look_for_head(q, op, err);
        if (!op->ref || strcmp(op->ref, q->ref) != 0)
                return 0;
        q->found = op->new_id && oxl_digest_parse(OXL_ALGO_BLAKE3, op->new_id, &q->id);
        q->found_ref = strdup(op->ref);
        return q->found_ref ? 1 : OXL_FAIL_PLAIN(err, NOMEM);
}

/* 0 found, 1 the log does not know. */
static int ask_log(struct oxl_repair *p, struct log_query *q, struct oxl_error *err)
{
        if (!p->repo->journal)
                return 1;
        q->repo = p->repo;
        int r = oxl_journal_operations(p->repo->journal, 0, look_at_operation, q, err);
        return r < 0 ? r : q->found ? 0 : 1;
}

/* --- proposals --- */

struct commits {
        struct oxl_repair *p;
        struct oxl_buf ids;   /* 32 bytes each */
        struct oxl_buf named; /* by a commit or ref */
        struct oxl_idset set[2];
};

static const uint8_t *id_of(const void *array, size_t i)
{
        return (const uint8_t *)array + i * OXL_DIGEST_BYTES;
}

static void commits_done(struct commits *c)
{
        oxl_buf_done(&c->ids);
        oxl_buf_done(&c->named);
        oxl_idset_done(&c->set[0]);
        oxl_idset_done(&c->set[1]);
}

static int add_id(struct oxl_idset *set, struct oxl_buf *ids, const struct oxl_digest *id, struct oxl_error *err)
{
        if (oxl_idset_find(set, ids->data, id->bytes) != OXL_IDSET_NONE)
                return 0;
        int r = oxl_idset_reserve(set, ids->data, err);
        if (r == 0)
                r = oxl_buf_append(ids, id->bytes, OXL_DIGEST_BYTES, err);
        if (r == 0)
                oxl_idset_add(set, ids->data, ids->len / OXL_DIGEST_BYTES - 1);
        return r;
}

static int add_commit(struct commits *c, const struct oxl_digest *id, struct oxl_error *err)
{
        struct oxl_commit commit = OXL_COMMIT_INIT;
        if (oxl_commit_read(c->p->objects, id, &commit, NULL) < 0)
                return 0;
        int r = add_id(&c->set[0], &c->ids, id, err);
        for (unsigned i = 0; r == 0 && i < commit.parents; i++)
                r = add_id(&c->set[1], &c->named, &commit.parent[i], err);
        oxl_commit_done(&commit);
        return r;
}

static int list_pack(void *ctx, const struct oxl_digest *id, struct oxl_error *err)
{
        struct commits *c = ctx;
        struct oxl_pack *pack = NULL;
        char path[96];
        int r = 0;
        oxl_pack_path(id, path);
        if (oxl_pack_open(c->p->root_fd, path, id, &c->p->repo->format.id, c->p->repo->format.blob_algo, &pack, NULL) ==
                    0 &&
            oxl_pack_load_index(pack, NULL) == 0)
                for (uint64_t i = 0; r == 0 && i < oxl_pack_entries(pack); i++) {
                        struct oxl_pack_entry e;
                        oxl_pack_entry_at(pack, i, &e);
                        if (e.kind == OXL_KIND_COMMIT && !e.flags)
                                r = add_commit(c, &e.id, err);
                }
        oxl_pack_free(pack);
        return r;
}

static int name_ref(void *ctx, const char *name, const struct oxl_digest *id, struct oxl_error *err)
{
        struct commits *c = ctx;
        (void)name;
        return add_id(&c->set[1], &c->named, id, err);
}

/* Refs behind one that cannot be read are not seen: then a commit that they name is proposed as well. */
static int propose_commits(struct oxl_repair *p, char *text, size_t size, struct oxl_error *err)
{
        cleanup(commits_done) struct commits c = { .p = p, .ids = OXL_BUF_INIT, .named = OXL_BUF_INIT };
        size_t n = 0, len;
        c.set[0].id_of = c.set[1].id_of = id_of;
        int r = oxl_pack_list(p->root_fd, list_pack, &c, err);
        if (r == 0)
                OXL_IGNORE(oxl_repo_refs(p->repo, name_ref, &c, NULL), "what is named twice is proposed, too");
        if (r < 0)
                return r;
        len = (size_t)snprintf(text, size,
                               "the operation log does not know where it pointed; commits that nothing names:");
        for (size_t i = 0; i < c.ids.len / OXL_DIGEST_BYTES && n < PROPOSALS_MAX; i++) {
                struct oxl_digest id = { .algo = OXL_ALGO_BLAKE3 };
                char hex[OXL_DIGEST_TEXT_MAX];
                memcpy(id.bytes, id_of(c.ids.data, i), OXL_DIGEST_BYTES);
                if (oxl_idset_find(&c.set[1], c.named.data, id.bytes) != OXL_IDSET_NONE)
                        continue;
                oxl_digest_text(&id, hex);
                len += (size_t)snprintf(text + len, size - len, " %s", hex);
                n++;
        }
        if (n == 0)
                snprintf(text + len, size - len, " none");
        else
                snprintf(text + len, size - len, HOW_TO_CHOOSE);
        return 0;
}

/* --- refs --- */

static int replace_text(struct oxl_repair *p, struct oxl_repair_find *f, const char *path, const char *source,
                        const struct oxl_buf *text, struct oxl_error *err)
{
        int r = oxl_quarantine_keep(p, f, path, source, err);
        /* CRASH: the damaged file, or the new one */
        return r < 0 ? r : oxl_durable_write(p->durable, path, text->data, text->len, err);
}

/* Says why the person's choice cannot be taken. */
static int bad_choice(const struct oxl_repair_find *f, const char *why, struct oxl_error *err)
{
        return OXL_FAIL_WHY(err, CHOICE, f->choice, why);
}

/* The commit that a person chose, which must be whole. */
static int chosen_commit(struct oxl_repair *p, const struct oxl_repair_find *f, struct oxl_digest *ret,
                         struct oxl_error *err)
{
        if (!oxl_digest_parse(OXL_ALGO_BLAKE3, f->choice, ret))
                return bad_choice(f, "it is not the whole id of a commit, 64 digits", err);
        int r = oxl_good_stored(p, OXL_KIND_COMMIT, ret, err);
        return r == 1 ? bad_choice(f, "there is no such commit that can be read", err) : r;
}

static int write_chosen_ref(struct oxl_repair *p, struct oxl_repair_find *f, struct oxl_error *err)
{
        cleanup_buf struct oxl_buf text = OXL_BUF_INIT;
        struct oxl_digest id;
        int r = chosen_commit(p, f, &id, err);
        if (r == 0)
                r = oxl_ref_print(&p->repo->format.id, f->path, &id, &text, err);
        return r < 0 ? r : replace_text(p, f, f->path, "the choice in the plan", &text, err);
}

/* A place among the folders given as --from that has the file whole, with our seal. */
struct kin {
        struct oxl_repair *p;
        const char *ref;      /* what is looked for; NULL: HEAD */
        char *head;           /* owned: the branch that HEAD names, or NULL */
        struct oxl_digest id; /* else the commit */
};

/* 1: it does not say, or what it says is not here. */
static int ask_kin(void *ctx, int root_fd, struct oxl_error *err)
{
        struct kin *k = ctx;
        struct stat st;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        const struct oxl_repo other = { .root_fd = root_fd, .format = k->p->repo->format };
        free(take_ptr(&k->head));
        int r = k->ref ? oxl_ref_read(&other, k->ref, &k->id, &why) : oxl_head_read(&other, &k->head, &k->id, &why);
        if (r != 0)
                return why.code == OXL_E_NOMEM ? oxl_error_copy(err, &why) : 1;
        if (k->head)
                return oxl_fd_stat_at(k->p->root_fd, k->head, &st) == 0 && S_ISREG(st.st_mode) ? 0 : 1;
        return oxl_good_stored(k->p, OXL_KIND_COMMIT, &k->id, err);
}

/* 0 written, 1 nobody knows. The log is this repository's own, a copy may be older. */
static int write_ref(struct oxl_repair *p, struct oxl_repair_find *f, char source[OXL_GOOD_SOURCE_BYTES],
                     struct oxl_error *err)
{
        struct log_query q = { .ref = f->path };
        struct kin k = { .p = p, .ref = f->path };
        cleanup_buf struct oxl_buf text = OXL_BUF_INIT;
        int r = ask_log(p, &q, err);
        free(q.found_ref);
        snprintf(source, OXL_GOOD_SOURCE_BYTES, "operation log");
        if (r == 0)
                r = oxl_good_stored(p, OXL_KIND_COMMIT, &q.id, err);
        if (r == 1) {
                r = oxl_good_kin(p, &p->repo->format.id, ask_kin, &k, source, err);
                q.id = k.id;
        }
        if (r != 0)
                return r;
        r = oxl_ref_print(&p->repo->format.id, f->path, &q.id, &text, err);
        return r < 0 ? r : replace_text(p, f, f->path, source, &text, err);
}

static int repair_ref(struct oxl_repair *p, struct oxl_repair_find *f, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        char text[900], source[OXL_GOOD_SOURCE_BYTES] = "the choice in the plan";
        if (!oxl_repair_fresh(p, f))
                return oxl_repair_tell(p, f, OXL_REPAIR_STALE, "", "it changed since it was checked", err);
        int r = f->choice ? write_chosen_ref(p, f, &why) : write_ref(p, f, source, &why);
        if (r == 0)
                return oxl_repair_tell(p, f, OXL_REPAIR_HEALED, source, "", err);
        if (r == 1)
                r = propose_commits(p, text, sizeof text, &why);
        if (r < 0)
                return oxl_repair_failed(p, f, &why, err);
        return oxl_repair_tell(p, f, OXL_REPAIR_PROPOSED, "", text, err);
}

/* --- HEAD --- */

struct branches {
        char *names; /* owned, for people */
        char *only;  /* owned: the first */
        size_t n;
};

static void branches_done(struct branches *b)
{
        free(b->names);
        free(b->only);
}

/* Names alone: a branch whose file is damaged is a branch. */
static int list_branches(int root_fd, const char *dir, unsigned depth, struct branches *b, struct oxl_error *err)
{
        cleanup_dir struct oxl_dir d = OXL_DIR_INIT;
        struct oxl_dirent e;
        int more;
        cleanup_fd int fd = oxl_open_beneath(root_fd, dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
        if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
                return 0;
        if (fd < 0 || depth > 64 || oxl_dir_open(&d, fd) < 0)
                return OXL_FAIL_OS(err, DIR_OPEN, dir);
        while ((more = oxl_dir_next(&d, &e)) > 0) {
                cleanup_free char *path = NULL;
                struct stat st;
                int r = oxl_path_join(dir, e.name, &path, err);
                if (r < 0)
                        return r;
                if (oxl_temp_name_is_ours(e.name, NULL) || oxl_fd_stat_at(fd, e.name, &st) < 0)
                        continue;
                if (S_ISDIR(st.st_mode)) {
                        r = list_branches(root_fd, path, depth + 1, b, err);
                        if (r < 0)
                                return r;
                        continue;
                }
                if (!S_ISREG(st.st_mode) || oxl_ref_name_check(path + strlen(HEADS), NULL) < 0)
                        continue;
                char *names = NULL;
                if (asprintf(&names, "%s%s%s", b->names ? b->names : "", b->names ? ", " : "", path + strlen(HEADS)) <
                    0)
                        return OXL_FAIL_PLAIN(err, NOMEM);
                free(b->names);
                b->names = names;
                if (b->n++ == 0)
                        b->only = take_ptr(&path);
        }
        return more < 0 ? OXL_FAIL_OS(err, DIR_READ, dir) : 0;
}

static bool is_branch(const char *ref)
{
        return strncmp(ref, HEADS, strlen(HEADS)) == 0 && oxl_ref_name_check(ref + strlen(HEADS), NULL) == 0;
}

/* 0: *text is what HEAD was, 1: nobody knows. */
static int decide_head(struct oxl_repair *p, struct branches *b, struct oxl_buf *text,
                       char source[OXL_GOOD_SOURCE_BYTES], struct oxl_error *err)
{
        struct log_query q = { .ref = NULL };
        struct kin k = { .p = p };
        const struct oxl_repo_id *id = &p->repo->format.id;
        int r = ask_log(p, &q, err);
        cleanup_free char *ref = q.found_ref;
        snprintf(source, OXL_GOOD_SOURCE_BYTES, "operation log");
        if (r < 0)
                return r;
        if (r == 0 && strcmp(ref, "HEAD") == 0)
                return oxl_head_print(id, NULL, &q.id, text, err);
        if (r == 0 && is_branch(ref))
                return oxl_head_print(id, ref, NULL, text, err);
        r = oxl_good_kin(p, id, ask_kin, &k, source, err);
        cleanup_free char *head = k.head;
        if (r <= 0)
                return r < 0 ? r : oxl_head_print(id, head, head ? NULL : &k.id, text, err);
        snprintf(source, OXL_GOOD_SOURCE_BYTES, "the only branch");
        if (b->n == 1)
                return oxl_head_print(id, b->only, NULL, text, err);
        if (b->n > 1)
                return 1;
        /* No branch at all, and the log knows of no commit: as init makes it. */
        snprintf(source, OXL_GOOD_SOURCE_BYTES, "no branch has commits");
        cleanup(commits_done) struct commits c = { .p = p, .ids = OXL_BUF_INIT, .named = OXL_BUF_INIT };
        c.set[0].id_of = c.set[1].id_of = id_of;
        r = oxl_pack_list(p->root_fd, list_pack, &c, err);
        if (r < 0)
                return r;
        return c.ids.len > 0 ? 1 : oxl_head_print(id, HEADS "main", NULL, text, err);
}

/* A branch that is there, by its short or its full name, or a commit. */
static int chosen_head(struct oxl_repair *p, const struct oxl_repair_find *f, struct oxl_buf *text,
                       struct oxl_error *err)
{
        cleanup_free char *ref = NULL;
        struct oxl_digest id;
        struct stat st;
        if (asprintf(&ref, "%s%s", strncmp(f->choice, HEADS, strlen(HEADS)) == 0 ? "" : HEADS, f->choice) < 0)
                return OXL_FAIL_PLAIN(err, NOMEM);
        if (is_branch(ref) && oxl_fd_stat_at(p->root_fd, ref, &st) == 0 && S_ISREG(st.st_mode))
                return oxl_head_print(&p->repo->format.id, ref, NULL, text, err);
        if (is_branch(ref))
                return bad_choice(f, "there is no such branch", err);
        int r = chosen_commit(p, f, &id, err);
        return r < 0 ? r : oxl_head_print(&p->repo->format.id, NULL, &id, text, err);
}

static int repair_head(struct oxl_repair *p, struct oxl_repair_find *f, struct oxl_error *err)
{
        cleanup(branches_done) struct branches b = { 0 };
        cleanup_buf struct oxl_buf text = OXL_BUF_INIT;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        char source[OXL_GOOD_SOURCE_BYTES] = "the choice in the plan";
        if (!oxl_repair_fresh(p, f))
                return oxl_repair_tell(p, f, OXL_REPAIR_STALE, "", "it changed since it was checked", err);
        int r = list_branches(p->root_fd, "refs/heads", 0, &b, &why);
        if (r == 0)
                r = f->choice ? chosen_head(p, f, &text, &why) : decide_head(p, &b, &text, source, &why);
        if (r == 0)
                r = replace_text(p, f, "HEAD", source, &text, &why);
        if (r < 0)
                return oxl_repair_failed(p, f, &why, err);
        if (r == 0)
                return oxl_repair_tell(p, f, OXL_REPAIR_HEALED, source, "", err);
        cleanup_free char *detail = NULL;
        if (asprintf(&detail, "it may have named one of these branches: %s%s", b.names, HOW_TO_CHOOSE) < 0)
                return OXL_FAIL_PLAIN(err, NOMEM);
        return oxl_repair_tell(p, f, OXL_REPAIR_PROPOSED, "", detail, err);
}

int oxl_repair_refs(struct oxl_repair *p, struct oxl_error *err)
{
        int r = 0;
        for (int heads = 0; heads <= 1; heads++) /* refs first: HEAD may depend on them */
                for (size_t i = 0; r == 0 && i < p->n_finds; i++) {
                        struct oxl_repair_find *f = &p->finds[i];
                        bool head = f->problem == OXL_P_HEAD_DAMAGED || f->problem == OXL_P_HEAD_MISSING;
                        bool ref = f->problem == OXL_P_REF_DAMAGED || f->problem == OXL_P_REF_MISSING;
                        if (f->selected && (heads ? head : ref))
                                r = head ? repair_head(p, f, err) : repair_ref(p, f, err);
                }
        return r;
}
