/* SPDX-License-Identifier: MIT */
/*
 * Findings as items of a plan: kept with what was seen (size, inode, digest), compared with an earlier `fsck --json`,
 * counted against the budget, and told what became of them. Pure memory: nothing is changed here.
 */
#include <stdio.h>
#include <string.h>

#include <oxenlite/json.h>

#include "check/repair.h"
#include "objects/loose.h"

/* --- collecting --- */

static char *copy_text(const char *text)
{
        return strdup(text ? text : "");
}

static void find_done(struct oxl_repair_find *f)
{
        for (size_t i = 0; i < f->n_affects; i++)
                free(f->affects[i]);
        free(f->affects);
        free(f->path);
        free(f->object);
        free(f->verdict);
        free(f->expected);
        free(f->actual);
        free(f->choice);
        *f = (struct oxl_repair_find){ 0 };
}

static int find_copy(struct oxl_repair_find *ret, const struct oxl_finding *f, struct oxl_error *err)
{
        *ret = (struct oxl_repair_find){
                .problem = f->problem,
                .path = copy_text(f->path),
                .object = copy_text(f->object),
                .verdict = copy_text(f->verdict),
                .expected = copy_text(f->expected),
                .actual = copy_text(f->actual),
                .affects = calloc(f->n_affects + 1, sizeof(char *)),
                .exists = f->exists,
                .size = f->size,
                .inode = f->inode,
                .mtime_ns = f->mtime_ns,
                .selected = true,
        };
        bool whole = ret->path && ret->object && ret->verdict && ret->expected && ret->actual && ret->affects;
        snprintf(ret->id, sizeof ret->id, "%.16s", f->id);
        for (size_t i = 0; whole && i < f->n_affects; i++) {
                ret->affects[i] = strdup(f->affects[i]);
                whole = ret->affects[i] != NULL;
                ret->n_affects += whole;
        }
        if (whole)
                return 0;
        find_done(ret);
        return OXL_FAIL_PLAIN(err, NOMEM);
}

int oxl_repair_collect(struct oxl_repair *p, const struct oxl_finding *f, struct oxl_error *err)
{
        if (strcmp(f->verdict, "memory-suspect") == 0)
                p->suspect = true;
        if (p->n_finds == p->cap_finds) {
                size_t cap = 2 * p->cap_finds + 16;
                struct oxl_repair_find *finds = reallocarray(p->finds, cap, sizeof *finds);
                if (!finds)
                        return OXL_FAIL_PLAIN(err, NOMEM);
                p->finds = finds;
                p->cap_finds = cap;
        }
        int r = find_copy(&p->finds[p->n_finds], f, err);
        if (r == 0)
                p->n_finds++;
        return r;
}

void oxl_repair_forget(struct oxl_repair *p)
{
        for (size_t i = 0; i < p->n_finds; i++)
                find_done(&p->finds[i]);
        free(p->finds);
        p->finds = NULL;
        p->n_finds = p->cap_finds = 0;
        p->suspect = false;
}

bool oxl_repair_fresh(const struct oxl_repair *p, const struct oxl_repair_find *f)
{
        struct stat st;
        bool exists = oxl_fd_stat_at(p->root_fd, f->path, &st) == 0;
        if (exists != f->exists)
                return false;
        return !exists || ((uint64_t)st.st_size == f->size && (uint64_t)st.st_ino == f->inode &&
                           (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec == f->mtime_ns);
}

static enum oxl_kind kind_of_text(const char *text)
{
        return strcmp(text, "commit") == 0 ? OXL_KIND_COMMIT
               : strcmp(text, "tree") == 0 ? OXL_KIND_TREE
                                           : OXL_KIND_BLOB;
}

bool oxl_repair_object(const struct oxl_repair *p, const struct oxl_repair_find *f, enum oxl_kind *ret_kind,
                       struct oxl_digest *ret)
{
        enum oxl_algo blobs = p->repo ? p->repo->format.blob_algo : OXL_ALGO_BLAKE3;
        *ret_kind = OXL_KIND_BLOB;
        switch ((int)f->problem) {
        case OXL_P_REF_DANGLING:
        case OXL_P_COMMIT_DAMAGED:
        case OXL_P_COMMIT_MISSING: *ret_kind = OXL_KIND_COMMIT; break;
        case OXL_P_TREE_DAMAGED:
        case OXL_P_TREE_MISSING: *ret_kind = OXL_KIND_TREE; break;
        case OXL_P_BLOB_DAMAGED: return oxl_loose_path_parse(blobs, f->path, ret);
        case OXL_P_BLOB_MISSING:
        case OXL_P_KEPT_MISSING:
        case OXL_P_INDEX_BLOB: break;
        case OXL_P_UNDO_MISSING: *ret_kind = kind_of_text(f->expected); break;
        default: return false;
        }
        return oxl_digest_parse(*ret_kind == OXL_KIND_BLOB ? blobs : OXL_ALGO_BLAKE3, f->object, ret);
}

/* --- an earlier fsck --- */

static bool same_member(const struct oxl_json *item, const char *key, const char *value)
{
        const char *text = oxl_json_get_string(item, key);
        return text && strcmp(text, value) == 0;
}

static bool same_number(const struct oxl_json *item, const char *key, bool exists, uint64_t value)
{
        uint64_t n;
        if (!exists)
                return oxl_json_is_null(item, key);
        return oxl_json_get_u64(item, key, &n) && n == value;
}

static bool matches(const struct oxl_json *item, const struct oxl_repair_find *f)
{
        return same_member(item, "id", f->id) && same_member(item, "slug", oxl_problem_slug(f->problem)) &&
               same_member(item, "actual", f->actual) && same_number(item, "size", f->exists, f->size) &&
               same_number(item, "inode", f->exists, f->inode) &&
               same_number(item, "mtime", f->exists, (uint64_t)f->mtime_ns);
}

static int say(struct oxl_repair *p, enum oxl_repair_verdict verdict, const char *id, const char *slug,
               const char *path, const char *source, const char *detail, struct oxl_error *err)
{
        const struct oxl_repair_item item = {
                .verdict = verdict, .finding_id = id, .slug = slug, .path = path, .source = source, .detail = detail
        };
        switch (verdict) {
        case OXL_REPAIR_HEALED: p->result.healed++; break;
        case OXL_REPAIR_REBUILT: p->result.rebuilt++; break;
        case OXL_REPAIR_LEFT: p->result.left++; break;
        case OXL_REPAIR_STALE: p->result.stale++; break;
        case OXL_REPAIR_PROPOSED: p->result.proposed++; break;
        }
        return p->item ? p->item(p->ctx, &item, err) : 0;
}

static int hold(struct oxl_repair *p, enum oxl_repair_verdict verdict, const char *id, const char *slug,
                const char *path, const char *detail, struct oxl_error *err)
{
        if (p->n_held == p->cap_held) {
                size_t cap = 2 * p->cap_held + 16;
                struct oxl_repair_held *held = reallocarray(p->held, cap, sizeof *held);
                if (!held)
                        return OXL_FAIL_PLAIN(err, NOMEM);
                p->held = held;
                p->cap_held = cap;
        }
        struct oxl_repair_held *h = &p->held[p->n_held];
        *h = (struct oxl_repair_held){
                .verdict = verdict, .slug = slug, .path = strdup(path), .detail = copy_text(detail)
        };
        snprintf(h->id, sizeof h->id, "%.16s", id);
        p->n_held++;
        return h->path && h->detail ? 0 : OXL_FAIL_PLAIN(err, NOMEM);
}

/* Finds in the order of their ids, so that a long plan takes no longer than it must. */
static int compare_finds(const void *a, const void *b, void *finds)
{
        const struct oxl_repair_find *at = finds;
        return strcmp(at[*(const size_t *)a].id, at[*(const size_t *)b].id);
}

/* The first place in @order whose find has an id of @id or behind. */
static size_t find_first(const struct oxl_repair *p, const size_t *order, const char *id)
{
        size_t low = 0, high = p->n_finds;
        while (low < high) {
                size_t middle = low + (high - low) / 2;
                if (strcmp(p->finds[order[middle]].id, id) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static int select_item(struct oxl_repair *p, const size_t *order, const struct oxl_json *item, struct oxl_error *err)
{
        const char *id = oxl_json_get_string(item, "id"), *slug = oxl_json_get_string(item, "slug");
        const char *path = oxl_json_get_string(item, "path");
        int problem = slug ? oxl_problem_find(slug) : 0;
        if (!id || strlen(id) != 16 || !slug || !path)
                return OXL_FAIL_WHY(err, INVALID, "plan", "one of its findings has no id, slug or path");
        const char *choice = oxl_json_get_string(item, "choice");
        for (size_t i = find_first(p, order, id); i < p->n_finds; i++) {
                struct oxl_repair_find *f = &p->finds[order[i]];
                if (strcmp(f->id, id) != 0)
                        break;
                if (!matches(item, f))
                        continue;
                f->selected = true;
                if (!choice || f->choice)
                        return 0;
                f->choice = strdup(choice);
                return f->choice ? 0 : OXL_FAIL_PLAIN(err, NOMEM);
        }
        /* A problem that this program does not know cannot be repaired by it either. */
        return say(p, OXL_REPAIR_STALE, id, problem ? oxl_problem_slug((enum oxl_problem)problem) : "unknown", path, "",
                   "it is not as the plan saw it any more", err);
}

static void json_done(struct oxl_json **j)
{
        oxl_json_free(*j);
}

int oxl_repair_select(struct oxl_repair *p, const char *plan, size_t n, struct oxl_error *err)
{
        cleanup(json_done) struct oxl_json *j = NULL;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        if (oxl_json_parse(plan, n, "plan", &j, &why) < 0)
                return why.code == OXL_E_NOMEM ? OXL_FAIL_PLAIN(err, NOMEM)
                                               : OXL_FAIL_WHY(err, INVALID, "plan", "it is not a JSON document");
        const char *schema = oxl_json_get_string(j, "schema"), *key;
        const struct oxl_json *list = oxl_json_get(j, "findings"), *item;
        if (!schema || strcmp(schema, "oxen-lite.fsck/1") != 0 || !list)
                return OXL_FAIL_WHY(err, INVALID, "plan", "it is not what oxen-lite fsck --json wrote");
        cleanup_free size_t *order = calloc(p->n_finds + 1, sizeof *order);
        if (!order)
                return OXL_FAIL_PLAIN(err, NOMEM);
        for (size_t i = 0; i < p->n_finds; i++) {
                p->finds[i].selected = false;
                order[i] = i;
        }
        if (p->n_finds > 1)
                qsort_r(order, p->n_finds, sizeof *order, compare_finds, p->finds);
        int r = 0;
        for (size_t pos = 0; r == 0 && oxl_json_member(list, &pos, &key, &item);)
                r = key ? OXL_FAIL_WHY(err, INVALID, "plan", "its findings are no list")
                        : select_item(p, order, item, err);
        return r;
}

/* --- the budget --- */

/* What follows from damage elsewhere, and what repair never touches. */
static bool is_counted(const struct oxl_repair_find *f, bool pack_damaged)
{
        switch ((int)f->problem) {
        case OXL_P_UNREADABLE:
        case OXL_P_TRANSIENT:
        case OXL_P_PENDING_RECOVERY:
        case OXL_P_JOURNAL_TAIL:
        case OXL_P_REF_FOREIGN:
        case OXL_P_PACK_STRAY:
        case OXL_P_BLOB_STRAY:
        case OXL_P_STRAY:
        case OXL_P_OWNER_DIFFERS:
        case OXL_P_CONFIG_EDITED:
        case OXL_P_TEMP_DEAD:
        case OXL_P_UNDO_MISSING:
        case OXL_P_STRUCTURE: return false;
        case OXL_P_REF_DANGLING:
        case OXL_P_INDEX_BLOB:
        case OXL_P_COMMIT_DAMAGED:
        case OXL_P_COMMIT_MISSING:
        case OXL_P_TREE_DAMAGED:
        case OXL_P_TREE_MISSING:
        case OXL_P_KEPT_MISSING:
        case OXL_P_BLOB_MISSING: return !pack_damaged && !f->exists;
        default: return true;
        }
}

uint64_t oxl_repair_count(const struct oxl_repair *p)
{
        uint64_t n = 0;
        bool pack_damaged = false;
        for (size_t i = 0; i < p->n_finds; i++)
                pack_damaged = pack_damaged || p->finds[i].problem == OXL_P_PACK_DAMAGED;
        for (size_t i = 0; i < p->n_finds; i++)
                n += p->finds[i].selected && is_counted(&p->finds[i], pack_damaged);
        return n;
}

/* --- what became of them --- */

int oxl_repair_tell(struct oxl_repair *p, struct oxl_repair_find *f, enum oxl_repair_verdict verdict,
                    const char *source, const char *detail, struct oxl_error *err)
{
        const char *slug = oxl_problem_slug(f->problem);
        if (f->told)
                return 0;
        f->told = true;
        if (verdict != OXL_REPAIR_HEALED && verdict != OXL_REPAIR_REBUILT)
                return hold(p, verdict, f->id, slug, f->path, detail, err);
        p->progress++;
        return say(p, verdict, f->id, slug, f->path, source, detail, err);
}

int oxl_repair_tell_held(struct oxl_repair *p, struct oxl_error *err)
{
        int r = 0;
        for (size_t i = 0; r == 0 && i < p->n_held; i++) {
                const struct oxl_repair_held *h = &p->held[i];
                r = say(p, h->verdict, h->id, h->slug, h->path, "", h->detail, err);
        }
        return r;
}

void oxl_repair_drop_held(struct oxl_repair *p)
{
        for (size_t i = 0; i < p->n_held; i++) {
                free(p->held[i].path);
                free(p->held[i].detail);
        }
        free(p->held);
        p->held = NULL;
        p->n_held = p->cap_held = 0;
}

/* After these nothing more can be written, or the caller wants the end. */
static bool ends_the_run(const struct oxl_error *why)
{
        switch ((int)why->code) {
        case OXL_E_CANCELLED:
        case OXL_E_NOMEM:
        case OXL_E_POISONED:
        case OXL_E_JOURNAL: /* where every step is recorded */
        case OXL_E_FILE_WRITE:
        case OXL_E_FILE_SYNC:
        case OXL_E_FILE_CLOSE:
        case OXL_E_DIR_SYNC: return true;
        default: return false;
        }
}

int oxl_repair_failed(struct oxl_repair *p, struct oxl_repair_find *f, struct oxl_error *why, struct oxl_error *err)
{
        char text[512];
        if (ends_the_run(why))
                return oxl_error_copy(err, why);
        if (why->os)
                p->result.failed++;
        oxl_error_text(why, text, sizeof text);
        return oxl_repair_tell(p, f, OXL_REPAIR_LEFT, "", text, err);
}
