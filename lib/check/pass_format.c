/* SPDX-License-Identifier: MIT */
/*
 * `format`: version, features, hash, repository id. Everything else is sealed with that id, so when the file is
 * damaged the id is taken from where most others agree on it: the candidates are what still looks like an id in
 * the file, and the headers of the packs; each gets a vote from every sealed file (HEAD, refs, config.json) and
 * pack that fits it.
 */
#include <string.h>

#include "base/hex.h"
#include "check/pass.h"
#include "objects/loose.h"
#include "objects/pack.h"
#include "os/fdio.h"

enum { CANDIDATES_MAX = 16, VOTERS_MAX = 1000 };

static int look_format(struct oxl_check *c, void *ctx, struct oxl_error *err)
{
        struct oxl_buf *text = ctx;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        oxl_buf_clear(text);
        int r = oxl_repo_read_file(c->root_fd, "format", text, err);
        if (r != 0)
                return r;
        r = oxl_format_parse(oxl_buf_bytes(text), &c->format, &why);
        c->too_new = why.code == OXL_E_FEATURE; /* its seal is right: the rules of this program do not apply */
        return r < 0 ? oxl_error_copy(err, &why) : 0;
}

/* --- the id, when the file does not tell --- */

struct candidate {
        struct oxl_repo_id id;
        uint64_t votes;
};

struct election {
        struct candidate candidate[CANDIDATES_MAX];
        size_t n;
        unsigned voters; /* packs and refs asked so far */
};

static struct candidate *nominate(struct election *e, const uint8_t id[OXL_REPO_ID_BYTES])
{
        for (size_t i = 0; i < e->n; i++)
                if (memcmp(e->candidate[i].id.bytes, id, OXL_REPO_ID_BYTES) == 0)
                        return &e->candidate[i];
        if (e->n == CANDIDATES_MAX)
                return NULL;
        struct candidate *new_ = &e->candidate[e->n++];
        memcpy(new_->id.bytes, id, OXL_REPO_ID_BYTES);
        new_->votes = 0;
        return new_;
}

/* Whatever stands behind "id " in what is left of the file. */
static void nominate_from_text(struct election *e, const struct oxl_buf *text)
{
        static const char mark[] = "id ";
        uint8_t id[OXL_REPO_ID_BYTES];
        for (size_t i = 0; i + sizeof mark - 1 + 2 * sizeof id <= text->len; i++)
                if (memcmp(text->data + i, mark, sizeof mark - 1) == 0 &&
                    oxl_hex_decode((const char *)text->data + i + sizeof mark - 1, id, sizeof id))
                        OXL_IGNORE(!nominate(e, id), "there is room for the first");
}

static int nominate_pack(void *ctx, const struct oxl_digest *id, struct oxl_error *err)
{
        struct {
                struct oxl_check *c;
                struct election *e;
        } *both = ctx;
        char path[96];
        uint8_t header[OXL_PACK_HEADER_BYTES];
        (void)err; /* a pack that cannot be read has no vote; its own pass reports it */
        oxl_pack_path(id, path);
        cleanup_fd int fd = both->e->voters < VOTERS_MAX
                                    ? oxl_open_beneath(both->c->root_fd, path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW, 0)
                                    : -1;
        if (fd < 0 || oxl_fd_pread_full(fd, header, sizeof header, 0) != (ssize_t)sizeof header)
                return 0;
        struct candidate *named = nominate(both->e, header + 32);
        if (named)
                named->votes++;
        both->e->voters++;
        return 0;
}

static void ask_sealed(struct oxl_check *c, struct election *e, const char *kind, const char *path)
{
        cleanup_buf struct oxl_buf text = OXL_BUF_INIT;
        struct oxl_bytes body;
        if (oxl_repo_read_file(c->root_fd, path, &text, NULL) != 0)
                return;
        for (size_t i = 0; i < e->n; i++) {
                const struct oxl_repo_id *id = &e->candidate[i].id;
                if (oxl_seal_text_check(oxl_buf_bytes(&text), kind, id, path, path, &body, NULL) == 0)
                        e->candidate[i].votes++;
        }
}

static int ask_ref(struct oxl_check *c, void *ctx, const char *path, const char *name, const struct stat *st,
                   struct oxl_error *err)
{
        struct election *e = ctx;
        (void)name;
        (void)err;
        if (S_ISREG(st->st_mode) && e->voters++ < VOTERS_MAX)
                ask_sealed(c, e, "ref", path);
        return 0;
}

static void elect(struct oxl_check *c, const struct election *e)
{
        const struct candidate *best = NULL;
        for (size_t i = 0; i < e->n; i++)
                if (!best || e->candidate[i].votes > best->votes)
                        best = &e->candidate[i];
        if (!best || best->votes == 0)
                return;
        c->format.id = best->id;
        c->have_id = true;
}

/* --- the hash of blobs --- */

static bool contains(const struct oxl_buf *text, const char *line)
{
        return text->len > 0 && memmem(text->data, text->len, line, strlen(line)) != NULL;
}

/* Under XXH3-128, every digest of a blob in an index ends in 16 zero bytes; BLAKE3 reads any. */
static int guess_from_pack(void *ctx, const struct oxl_digest *id, struct oxl_error *err)
{
        struct oxl_check *c = ctx;
        struct oxl_pack *p = NULL;
        struct oxl_pack_entry e;
        char path[96];
        (void)err; /* a pack that cannot be read tells nothing; its own pass reports it */
        oxl_pack_path(id, path);
        if (c->have_algo || oxl_pack_open(c->root_fd, path, id, &c->format.id, OXL_ALGO_BLAKE3, &p, NULL) < 0)
                return 0;
        uint64_t n = oxl_pack_load_index(p, NULL) == 0 ? oxl_pack_entries(p) : 0;
        for (uint64_t i = 0; i < n && !c->have_algo; i++) {
                static const uint8_t zero[16];
                oxl_pack_entry_at(p, i, &e);
                if (e.kind != OXL_KIND_BLOB)
                        continue;
                c->format.blob_algo = memcmp(e.id.bytes + 16, zero, 16) == 0 ? OXL_ALGO_XXH3_128 : OXL_ALGO_BLAKE3;
                c->have_algo = true;
        }
        oxl_pack_free(p);
        return 0;
}

static int guess_from_loose(void *ctx, const struct oxl_digest *id, const char *path, struct oxl_error *err)
{
        struct oxl_check *c = ctx;
        (void)id;
        (void)path;
        (void)err;
        c->have_algo = true;
        return 1;
}

static int guess_algo(struct oxl_check *c, const struct oxl_buf *text)
{
        c->format.blob_algo = contains(text, "hash xxh3-128\n") ? OXL_ALGO_XXH3_128 : OXL_ALGO_BLAKE3;
        c->have_algo = contains(text, "hash xxh3-128\n") || contains(text, "hash blake3\n");
        if (!c->have_algo && c->have_id)
                OXL_IGNORE(oxl_pack_list(c->root_fd, guess_from_pack, c, NULL), "their own pass reports it");
        if (c->have_algo)
                return 0;
        c->format.blob_algo = OXL_ALGO_BLAKE3; /* names of 64 digits; else the shorter ones of XXH3-128 */
        OXL_IGNORE(oxl_loose_list(c->root_fd, OXL_ALGO_BLAKE3, guess_from_loose, NULL, c, NULL), "as above");
        if (!c->have_algo) {
                OXL_IGNORE(oxl_loose_list(c->root_fd, OXL_ALGO_XXH3_128, guess_from_loose, NULL, c, NULL), "as above");
                c->format.blob_algo = c->have_algo ? OXL_ALGO_XXH3_128 : OXL_ALGO_BLAKE3;
        }
        c->have_algo = true; /* no blob at all: it makes no difference */
        return 0;
}

/* The id that most others agree on, or none. */
static int hold_election(struct oxl_check *c, struct election *e, struct oxl_error *err)
{
        struct {
                struct oxl_check *c;
                struct election *e;
        } both = { c, e };
        OXL_IGNORE(oxl_pack_list(c->root_fd, nominate_pack, &both, NULL), "their own pass reports it");
        ask_sealed(c, e, "HEAD", "HEAD");
        e->voters = 0;
        /* What cannot be listed here is reported by the pass over refs, too; the finding has one id. */
        return oxl_check_list(c, "refs/heads", ask_ref, e, NULL, err);
}

/* A whole file that came from another repository: its seal is its own, so only the others can tell. */
int oxl_check_foreign(struct oxl_check *c, struct oxl_error *err)
{
        struct election e = { 0 };
        OXL_IGNORE(!nominate(&e, c->format.id.bytes), "there is room for the first");
        int r = hold_election(c, &e, err);
        if (r < 0 || e.candidate[0].votes > 0)
                return r;
        elect(c, &e);
        if (memcmp(c->format.id.bytes, e.candidate[0].id.bytes, OXL_REPO_ID_BYTES) == 0)
                return 0;
        struct oxl_report report = {
                .problem = OXL_P_FORMAT_DAMAGED,
                .path = "format",
                .verdict = "media",
                .detail = "it is of another repository than everything else",
        };
        r = oxl_check_report(c, &report, err);
        return r < 0 ? r : 1;
}

/* Guesses are never reported as facts: the finding about `format` stands, they only let the other passes run. */
static int reconstruct(struct oxl_check *c, const struct oxl_buf *text, struct oxl_error *err)
{
        struct election e = { 0 };
        nominate_from_text(&e, text);
        int r = hold_election(c, &e, err);
        if (r < 0)
                return r;
        elect(c, &e);
        return guess_algo(c, text);
}

int oxl_check_format(struct oxl_check *c, struct oxl_error *err)
{
        cleanup_buf struct oxl_buf text = OXL_BUF_INIT;
        enum oxl_look_state state;
        int r = oxl_check_file(c, "format", OXL_P_FORMAT_MISSING, OXL_P_FORMAT_DAMAGED, look_format, &text, &state,
                               err);
        if (r < 0)
                return r;
        c->have_id = c->have_algo = state == OXL_LOOK_GOOD || state == OXL_LOOK_TRANSIENT;
        if (c->too_new)
                return 0;
        return c->have_id ? 0 : reconstruct(c, &text, err);
}
