/* SPDX-License-Identifier: MIT */
/*
 * Packs: each one whole, or what in it is not; and the list of objects that have a verified copy.
 *
 * A pack whose header, index or trailer is wrong is one finding. A damaged record is one each, after the whole
 * pack was read again from the medium; a record whose payload is right all the same (its header or padding is
 * wrong) still counts as a copy. One damaged copy of a tree or commit whose twin is good costs only redundancy.
 *
 * Memory: the index of one pack (64 bytes a record), and 144 bytes a damaged record.
 */
#include <stdio.h>
#include <string.h>

#include "base/le.h"
#include "check/job.h"
#include "objects/lookup.h"
#include "objects/pack.h"
#include "os/fdio.h"

#define PACKS "versions/packs"

/* --- damaged records --- */

struct oxl_suspect {
        struct oxl_pack_entry e;
        struct oxl_error why; /* owned */
        bool readable;        /* not a failure of the medium */
        bool content_whole;
        const char *verdict;
};

void oxl_suspects_done(struct oxl_suspects *s)
{
        for (size_t i = 0; i < s->n; i++)
                oxl_error_done(&s->at[i].why);
        free(s->at);
        *s = (struct oxl_suspects){ 0 };
}

static void collect(void *ctx, const struct oxl_pack_entry *e, const struct oxl_error *why)
{
        struct oxl_suspects *s = ctx;
        if (s->n == s->cap) {
                size_t cap = 2 * s->cap + 16;
                struct oxl_suspect *at = reallocarray(s->at, cap, sizeof *at);
                if (!at) {
                        s->nomem = true;
                        return;
                }
                s->at = at;
                s->cap = cap;
        }
        struct oxl_suspect *new_ = &s->at[s->n++];
        *new_ = (struct oxl_suspect){ .e = *e, .readable = !oxl_check_is_unreadable(why), .verdict = "" };
        oxl_error_copy(&new_->why, why);
}

static int compare_suspects(const void *a, const void *b)
{
        uint64_t x = ((const struct oxl_suspect *)a)->e.offset, y = ((const struct oxl_suspect *)b)->e.offset;
        return x < y ? -1 : x > y;
}

static struct oxl_suspect *find_suspect(const struct oxl_suspects *s, uint64_t offset)
{
        const struct oxl_suspect key = { .e.offset = offset };
        return s->n ? bsearch(&key, s->at, s->n, sizeof key, compare_suspects) : NULL;
}

/* The records that are read: @count of the index from @first on; of all, the rest of the file too. */
struct part {
        uint64_t first, count, bytes;
};

/* One reading of the pack, or of the @part of it. < 0: it ended early, or fatal. */
static int verify(struct oxl_check *c, struct oxl_pack *p, const struct part *part, struct oxl_suspects *s,
                  struct oxl_error *err)
{
        const atomic_bool *cancel = c->options.cancel;
        int r = part->count < oxl_pack_entries(p)
                        ? oxl_pack_verify_some(p, part->first, part->count, collect, s, cancel, err)
                        : oxl_pack_verify(p, collect, s, cancel, err);
        if (s->nomem)
                return OXL_FAIL_PLAIN(err, NOMEM);
        if (s->n > 1)
                qsort(s->at, s->n, sizeof *s->at, compare_suspects);
        /* What was heard of record by record is returned once more; anything else has ended the reading early. */
        bool heard = s->n > 0 && err->code != OXL_E_CANCELLED && err->code != OXL_E_NOMEM;
        return r < 0 && heard ? 0 : r;
}

/* Do the payload bytes of the index entry @e hash to its name, whatever stands around them? */
static bool content_whole(struct oxl_check *c, struct oxl_pack *p, const struct oxl_pack_entry *e)
{
        enum { PIECE = 256 << 10 };
        struct oxl_hasher h;
        struct oxl_digest got;
        cleanup_free uint8_t *buf = malloc(PIECE);
        if (!buf || e->kind == OXL_KIND_FILLER)
                return false;
        if (e->kind == OXL_KIND_BLOB)
                oxl_hasher_init(&h, c->format.blob_algo);
        else
                oxl_hasher_init_derive(&h, e->kind == OXL_KIND_TREE ? OXL_CONTEXT_TREE : OXL_CONTEXT_COMMIT);
        for (uint64_t at = 0; at < e->raw_len;) {
                size_t n = e->raw_len - at < PIECE ? (size_t)(e->raw_len - at) : PIECE;
                if (oxl_pack_payload(p, e, at, buf, n, NULL) < 0)
                        return false;
                oxl_hasher_update(&h, buf, n);
                at += n;
        }
        oxl_hasher_final(&h, &got);
        return oxl_digest_equal(&got, &e->id);
}

/* Reads the pack again from the medium and says of each suspect what it is. */
static int judge(struct oxl_check *c, struct oxl_job *j, const struct part *part, struct oxl_error *err)
{
        struct oxl_pack *p = j->pack;
        struct oxl_suspects *s = &j->suspects;
        cleanup(oxl_suspects_done) struct oxl_suspects again = { 0 };
        oxl_check_drop_cache(c, j->path);
        oxl_reader_again(&j->reader);
        int r = verify(c, p, part, &again, err);
        if (r < 0)
                return r;
        for (size_t i = 0; i < s->n; i++) {
                struct oxl_suspect *x = &s->at[i];
                const struct oxl_suspect *y = find_suspect(&again, x->e.offset);
                if (!x->readable)
                        continue;
                if (!y)
                        x->verdict = "transient";
                else
                        x->verdict = oxl_check_same_error(&x->why, &y->why) ? "media" : "memory-suspect";
                x->content_whole = !y || content_whole(c, p, &x->e);
        }
        return 0;
}

/* --- saying so --- */

/* Is another copy of the tree or commit @x in this pack good? */
static bool twin_good(struct oxl_pack *p, const struct oxl_suspects *s, const struct oxl_suspect *x)
{
        struct oxl_pack_entry e;
        for (uint64_t i = oxl_pack_lower_bound(p, x->e.id.bytes); i < oxl_pack_entries(p); i++) {
                oxl_pack_entry_at(p, i, &e);
                if (!oxl_digest_equal(&e.id, &x->e.id))
                        break;
                const struct oxl_suspect *y = find_suspect(s, e.offset);
                if (e.kind == x->e.kind && e.offset != x->e.offset && (!y || y->content_whole))
                        return true;
        }
        return false;
}

static enum oxl_problem problem_of(struct oxl_pack *p, const struct oxl_suspects *s, const struct oxl_suspect *x)
{
        bool metadata = x->e.kind == OXL_KIND_TREE || x->e.kind == OXL_KIND_COMMIT;
        if (strcmp(x->verdict, "transient") == 0)
                return OXL_P_TRANSIENT;
        return metadata && (x->content_whole || twin_good(p, s, x)) ? OXL_P_METADATA_COPY : OXL_P_RECORD_DAMAGED;
}

static int report_suspect(struct oxl_check *c, struct oxl_pack *p, const char *path, const struct oxl_suspects *s,
                          const struct oxl_suspect *x, struct oxl_error *err)
{
        static const char *const kinds[] = { "filler", "blob", "tree", "commit" };
        char text[512];
        snprintf(text, sizeof text, "%s at offset %llu%s%s%s", kinds[x->e.kind & 3], (unsigned long long)x->e.offset,
                 x->content_whole ? ", its content is whole" : "", x->why.detail ? ": " : "",
                 x->why.detail ? x->why.detail : "");
        struct oxl_report r = {
                .problem = problem_of(p, s, x),
                .path = path,
                .object = x->e.kind == OXL_KIND_FILLER ? NULL : &x->e.id,
                .want = &x->why.want,
                .got = &x->why.got,
                .verdict = x->verdict,
                .detail = text,
                .offset = x->e.offset,
        };
        return oxl_check_report(c, &r, err);
}

static int report_suspects(struct oxl_check *c, struct oxl_pack *p, const char *path, const struct oxl_suspects *s,
                           struct oxl_error *err)
{
        const struct oxl_error *unreadable = NULL;
        int r = 0;
        for (size_t i = 0; r == 0 && i < s->n; i++) {
                if (s->at[i].readable)
                        r = report_suspect(c, p, path, s, &s->at[i], err);
                else
                        unreadable = &s->at[i].why; /* a bad spot fails many records: one finding */
        }
        if (r == 0 && unreadable)
                r = oxl_check_report_error(c, OXL_P_UNREADABLE, path, "", unreadable, err);
        return r;
}

/* --- what is in the pack --- */

/* XXH3-128 of the entry as the lookup lists it, with the position of the pack left out. */
static void add_to_sum(struct oxl_check_pack *pack, const struct oxl_pack_entry *e)
{
        uint8_t bytes[OXL_LOOKUP_ENTRY_BYTES];
        struct oxl_lookup_hit hit = { .kind = e->kind, .offset = e->offset };
        memcpy(hit.id, e->id.bytes, sizeof hit.id);
        oxl_lookup_entry_encode(&hit, bytes);
        struct oxl_digest d = oxl_digest_of(OXL_ALGO_XXH3_128, bytes, sizeof bytes);
        pack->sum[0] += le_load64(d.bytes);
        pack->sum[1] += le_load64(d.bytes + 8);
}

static int learn_entries(struct oxl_check *c, struct oxl_job *j, struct oxl_error *err)
{
        struct oxl_pack *p = j->pack;
        const struct oxl_suspects *s = &j->suspects;
        struct oxl_check_pack *pack = &c->packs[j->unit->pack];
        uint64_t n = oxl_pack_entries(p);
        pack->indexed = true;
        for (uint64_t i = 0; i < n; i++) {
                struct oxl_pack_entry e;
                struct oxl_known_slot *slot;
                oxl_pack_entry_at(p, i, &e);
                add_to_sum(pack, &e);
                const struct oxl_suspect *x = find_suspect(s, e.offset);
                if (x && x->readable && !x->content_whole)
                        continue;
                int r = oxl_known_put(&c->known, &e.id, &slot, err);
                if (r < 0)
                        return r;
                if (x && !x->readable) {
                        slot->flags |= OXL_KNOWN_UNREADABLE; /* said already; another copy may still be whole */
                        continue;
                }
                slot->flags |= OXL_KNOWN_WHOLE;
                if ((i + n - j->first) % n < j->count)
                        slot->flags |= OXL_KNOWN_READ;
                if (e.kind == OXL_KIND_BLOB)
                        oxl_known_set_size(slot, e.raw_len);
        }
        return 0;
}

/* --- one pack: reading, on any thread --- */

static int open_pack(struct oxl_check *c, struct oxl_job *j, struct oxl_error *err)
{
        const struct oxl_digest id = oxl_unit_id(c, j->unit);
        if (j->unit->want == OXL_WANT_NOTHING)
                return oxl_pack_open(c->root_fd, j->path, &id, &c->format.id, c->format.blob_algo, &j->pack, err);
        int r = oxl_reader_open(&j->reader, c, j->path, err);
        if (r < 0)
                return r;
        j->reader.source.shared = oxl_unit_shared(c, j->unit);
        int fd = oxl_sys->dup(j->reader.fd);
        if (fd < 0)
                return OXL_FAIL_OS(err, FILE_OPEN, j->path);
        return oxl_pack_open_source(fd, &j->reader.source, j->path, &id, &c->format.id, c->format.blob_algo, &j->pack,
                                    err);
}

static int look_pack(struct oxl_check *c, void *ctx, struct oxl_error *err)
{
        struct oxl_job *j = ctx;
        oxl_pack_free(take_ptr(&j->pack));
        int r = open_pack(c, j, err);
        return r < 0 ? r : oxl_pack_load_index(j->pack, err);
}

/* The index is in the order of digests: a run of it is a sample, wherever the records lie. */
static struct part part_of(const struct oxl_check *c, const struct oxl_job *j)
{
        struct oxl_pack_entry e;
        uint64_t n = oxl_pack_entries(j->pack);
        struct part part = { .count = n };
        if (j->unit->want != OXL_WANT_PART || n == 0)
                return part;
        part.first = oxl_unit_random(c, j->unit) % n;
        for (part.count = 0; part.count < n && part.bytes < j->unit->part; part.count++) {
                oxl_pack_entry_at(j->pack, (part.first + part.count) % n, &e);
                part.bytes += OXL_PACK_RECORD_BYTES + e.stored_len;
        }
        return part;
}

/* The index is broken: how many objects are there all the same? What cannot be read meanwhile is a finding of its own. */
static int tally(struct oxl_check *c, struct oxl_job *j, struct oxl_error *err)
{
        int fd = oxl_open_beneath(c->root_fd, j->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
        int r = fd < 0 ? OXL_FAIL_OS(&j->why, FILE_OPEN, j->path)
                       : oxl_salvage_tally(fd, j->path, &c->format.id, c->format.blob_algo, c->options.cancel,
                                           &j->tally, &j->why);
        j->tallied = r == 0;
        if (r < 0 && (oxl_check_is_fatal(&j->why) || j->why.code == OXL_E_NOMEM))
                return oxl_error_copy(err, &j->why);
        if (r < 0 && (j->why.code == OXL_E_UNSUPPORTED || oxl_check_is_absent(&j->why)))
                oxl_error_done(&j->why); /* no file: the look has said so */
        return 0;
}

int oxl_pack_job_read(struct oxl_check *c, struct oxl_job *j, struct oxl_error *err)
{
        int r = oxl_check_look(c, j->path, NULL, look_pack, j, &j->look, err);
        if (r == 0 && j->look.state == OXL_LOOK_DAMAGED && j->unit->want != OXL_WANT_NOTHING)
                return tally(c, j, err);
        bool good = j->look.state == OXL_LOOK_GOOD || j->look.state == OXL_LOOK_TRANSIENT;
        if (r < 0 || !good || j->unit->want == OXL_WANT_NOTHING)
                return r;
        const struct part part = part_of(c, j);
        if (part.count == oxl_pack_entries(j->pack))
                j->unit->want = OXL_WANT_ALL;
        j->part = part.bytes;
        j->first = part.first;
        j->count = part.count;
        r = verify(c, j->pack, &part, &j->suspects, &j->why);
        if (r == 0 && j->suspects.n > 0)
                r = judge(c, j, &part, &j->why);
        if (r < 0 && (oxl_check_is_fatal(&j->why) || j->why.code == OXL_E_NOMEM))
                return oxl_error_copy(err, &j->why);
        if (r < 0)
                j->unreadable = oxl_check_is_unreadable(&j->why);
        else
                oxl_error_done(&j->why); /* what was heard of record by record */
        for (size_t i = 0; i < j->suspects.n; i++)
                j->unreadable = j->unreadable || !j->suspects.at[i].readable;
        return 0;
}

/* --- and telling of it --- */

/* The reason, and behind it what is left of the pack. */
static void tell_tally(struct oxl_job *j)
{
        char text[512];
        const char *why = j->look.why.detail;
        if (!j->tallied)
                return;
        snprintf(text, sizeof text, "%s%s%llu of its objects can be salvaged, %llu that are there cannot%s",
                 why ? why : "", why ? "; " : "", (unsigned long long)j->tally.good, (unsigned long long)j->tally.bad,
                 j->tally.gap ? "; a part of it cannot be told" : "");
        char *detail = strdup(text);
        if (!detail)
                return; /* best effort, as all texts of errors */
        free(j->look.why.detail);
        j->look.why.detail = detail;
}

int oxl_pack_job_tell(struct oxl_check *c, struct oxl_job *j, struct oxl_error *err)
{
        tell_tally(j);
        int r = oxl_check_tell(c, j->path, 0, OXL_P_PACK_DAMAGED, &j->look, err);
        if (r == 0 && j->look.state == OXL_LOOK_DAMAGED && j->why.code)
                return oxl_check_report_error(c, OXL_P_PACK_DAMAGED, j->path, "", &j->why, err);
        if (r < 0 || (j->look.state != OXL_LOOK_GOOD && j->look.state != OXL_LOOK_TRANSIENT))
                return r; /* gone: merged into another, where the object store finds what was in it */
        if (j->why.code)
                return oxl_check_report_error(c, OXL_P_PACK_DAMAGED, j->path, "media", &j->why, err);
        r = report_suspects(c, j->pack, j->path, &j->suspects, err);
        return r < 0 ? r : learn_entries(c, j, err);
}

/* --- the folder --- */

static bool parse_name(const char *name, struct oxl_digest *ret)
{
        char hex[OXL_DIGEST_TEXT_MAX] = { 0 };
        if (strlen(name) != 64 + strlen(".pack") || strcmp(name + 64, ".pack") != 0)
                return false;
        memcpy(hex, name, 64);
        return oxl_digest_parse(OXL_ALGO_BLAKE3, hex, ret);
}

static int list_entry(struct oxl_check *c, void *ctx, const char *path, const char *name, const struct stat *st,
                      struct oxl_error *err)
{
        struct oxl_digest id;
        (void)ctx;
        if (strcmp(path, OXL_LOOKUP_PATH) == 0)
                return 0;
        if (!parse_name(name, &id))
                return oxl_check_stray(c, OXL_P_PACK_STRAY, path, name, st, err);
        if (c->n_packs == c->cap_packs) {
                size_t cap = 2 * c->cap_packs + 16;
                struct oxl_check_pack *packs = reallocarray(c->packs, cap, sizeof *packs);
                if (!packs)
                        return OXL_FAIL_PLAIN(err, NOMEM);
                c->packs = packs;
                c->cap_packs = cap;
        }
        struct oxl_unit u = { .pack = (uint32_t)c->n_packs,
                              .size = (uint64_t)st->st_size,
                              .changed_ns = oxl_unit_changed(st) };
        memcpy(u.id, id.bytes, sizeof u.id);
        c->packs[c->n_packs++] = (struct oxl_check_pack){ .id = id };
        return c->have_id ? oxl_units_add(&c->units, &u, err) : 0;
}

int oxl_packs_list(struct oxl_check *c, struct oxl_error *err)
{
        /* In order of names, which is the order of ids that the lookup pass searches by. */
        if (!c->have_id)
                c->units.complete = false;
        return oxl_check_list(c, PACKS, list_entry, NULL, &c->units.complete, err);
}
