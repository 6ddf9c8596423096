/* SPDX-License-Identifier: MIT */
/*
 * Tree nodes: encoding, checked decoding, and the rule where a node ends (docs/FORMAT.md section 5.1).
 *
 * A payload that hashed to its name may still be hostile: nothing of it is believed before decode has seen every entry.
 * What only the neighbours can tell (is a node the last of its level? do the sums agree?) is the cursor's to check.
 */
#include <string.h>
#include <strings.h>

#include "base/fail.h"
#include "base/path.h"
#include "objects/tree_internal.h"

#define RESERVED_NAME ".oxen-lite"

bool oxl_tree_name_ok(const char *name, size_t len)
{
        if (oxl_path_name_problem(name, len))
                return false;
        return len != strlen(RESERVED_NAME) || strncasecmp(name, RESERVED_NAME, len) != 0;
}

bool oxl_tree_ends(uint8_t level, uint32_t count, const char *name, size_t name_len)
{
        if (count < OXL_TREE_ENTRIES_MIN)
                return false;
        if (count >= OXL_TREE_ENTRIES_MAX)
                return true;
        OXL_ASSERT(name_len <= OXL_NAME_MAX);
        uint8_t text[1 + OXL_NAME_MAX] = { level };
        memcpy(text + 1, name, name_len);
        struct oxl_digest d = oxl_digest_derive(OXL_CONTEXT_TREE_SPLIT, text, 1 + name_len);
        return le_load64(d.bytes) % OXL_TREE_SPLIT == 0;
}

int oxl_tree_name_compare(const char *a, size_t alen, const char *b, size_t blen)
{
        int c = memcmp(a, b, alen < blen ? alen : blen);
        return c != 0 ? c : (alen > blen) - (alen < blen);
}

const char *oxl_tree_size_problem(enum oxl_entry_kind kind, uint64_t size)
{
        if (kind == OXL_ENTRY_SYMLINK && (size == 0 || size > OXL_SYMLINK_BYTES_MAX))
                return "the target of a symbolic link has 1 to 4,095 bytes";
        if (size > INT64_MAX)
                return "a file has at most 2^63 - 1 bytes";
        return NULL;
}

/* --- encoding --- */

void oxl_tree_store_header(uint8_t ret[OXL_TREE_HEADER_BYTES], uint8_t level, uint32_t entries)
{
        ret[0] = OXL_TREE_VERSION;
        ret[1] = level;
        le_store16(ret + 2, 0);
        le_store32(ret + 4, entries);
}

int oxl_tree_append_entry(struct oxl_buf *to, uint8_t level, const struct oxl_tree_entry *e, struct oxl_error *err)
{
        uint8_t entry[2 + OXL_NAME_MAX + 8 + 8 + OXL_DIGEST_BYTES];
        uint8_t *at = entry;
        if (level == 0)
                *at++ = (uint8_t)e->kind;
        *at++ = e->name_len;
        memcpy(at, e->name, e->name_len);
        at += e->name_len;
        if (level > 0) {
                le_store64(at, e->count);
                at += 8;
        }
        le_store64(at, e->size);
        oxl_digest_store(&e->id, at + 8);
        at += 8 + OXL_DIGEST_BYTES;
        return oxl_buf_append(to, entry, (size_t)(at - entry), err);
}

/* --- decoding --- */

/* Takes one entry apart; says what is wrong with its form. */
static const char *take_entry(uint8_t level, enum oxl_algo blob_algo, struct oxl_cursor *c, struct oxl_tree_entry *ret)
{
        uint8_t kind = level == 0 ? oxl_cursor_u8(c) : 0;
        uint8_t name_len = oxl_cursor_u8(c);
        struct oxl_bytes name = oxl_cursor_bytes(c, name_len);
        uint64_t count = level > 0 ? oxl_cursor_le64(c) : 0;
        uint64_t size = oxl_cursor_le64(c);
        struct oxl_bytes digest = oxl_cursor_bytes(c, OXL_DIGEST_BYTES);
        if (c->failed)
                return "it is cut short";
        if (level == 0 && (kind < OXL_ENTRY_FILE || kind > OXL_ENTRY_DIRECTORY))
                return "an entry has an unknown kind";

        bool blob = level == 0 && kind != OXL_ENTRY_DIRECTORY;
        struct oxl_digest id;
        if (!oxl_digest_load(blob ? blob_algo : OXL_ALGO_BLAKE3, digest.data, &id))
                return "a digest is not padded with zero bytes";
        *ret = (struct oxl_tree_entry){
                .name = (const char *)name.data,
                .name_len = name_len,
                .kind = (enum oxl_entry_kind)kind,
                .size = size,
                .count = count,
                .id = id,
        };
        return NULL;
}

/* What no entry may say, whatever stands around it. */
static const char *entry_problem(uint8_t level, const struct oxl_tree_entry *e)
{
        if (!oxl_tree_name_ok(e->name, e->name_len))
                return "an entry has a name that is not allowed";
        if (level > 0)
                return e->count == 0 ? "a child has no entries" : NULL;
        return e->kind != OXL_ENTRY_DIRECTORY ? oxl_tree_size_problem(e->kind, e->size) : NULL;
}

/* Adds @e, number @i of the node, to the totals. */
static const char *add_entry(const struct oxl_tree_node *node, uint32_t i, const struct oxl_tree_entry *e,
                             struct oxl_tree_totals *t)
{
        if (i > 0 && oxl_tree_name_compare(t->last.name, t->last.name_len, e->name, e->name_len) >= 0)
                return "its names are not in ascending order";
        if (i + 1 < node->entries && oxl_tree_ends(node->level, i + 1, e->name, e->name_len))
                return "it should have ended earlier";
        if (__builtin_add_overflow(t->size, e->size, &t->size) ||
            __builtin_add_overflow(t->count, node->level > 0 ? e->count : 1, &t->count))
                return "its sums overflow";
        if (i == 0)
                t->first = *e;
        t->last = *e;
        return NULL;
}

static const char *body_problem(const struct oxl_tree_node *node, enum oxl_algo blob_algo, struct oxl_tree_totals *t)
{
        struct oxl_cursor c = oxl_cursor_of(node->body);
        for (uint32_t i = 0; i < node->entries; i++) {
                struct oxl_tree_entry e;
                const char *problem = take_entry(node->level, blob_algo, &c, &e);
                if (!problem)
                        problem = entry_problem(node->level, &e);
                if (!problem)
                        problem = add_entry(node, i, &e, t);
                if (problem)
                        return problem;
        }
        return oxl_cursor_remaining(&c) > 0 ? "bytes follow its last entry" : NULL;
}

int oxl_tree_decode_totals(struct oxl_bytes payload, enum oxl_algo blob_algo, const char *name,
                           struct oxl_tree_node *ret, struct oxl_tree_totals *ret_totals, struct oxl_error *err)
{
        struct oxl_cursor c = oxl_cursor_of(payload);
        uint8_t version = oxl_cursor_u8(&c);
        uint8_t level = oxl_cursor_u8(&c);
        uint16_t zero = oxl_cursor_le16(&c);
        uint32_t entries = oxl_cursor_le32(&c);
        if (c.failed || version != OXL_TREE_VERSION || zero != 0)
                return OXL_FAIL_WHY(err, MALFORMED, name, "it has no header of a tree node");
        if (level >= OXL_TREE_LEVELS)
                return OXL_FAIL_WHY(err, MALFORMED, name, "its level is above 7");
        if (entries > OXL_TREE_ENTRIES_MAX || (entries == 0 && level > 0))
                return OXL_FAIL_WHY(err, MALFORMED, name, "its number of entries is out of range");

        struct oxl_tree_node node = { level, entries, c.rest };
        struct oxl_tree_totals totals = { 0 };
        const char *problem = body_problem(&node, blob_algo, &totals);
        if (problem)
                return OXL_FAIL_WHY(err, MALFORMED, name, problem);
        *ret = node;
        *ret_totals = totals;
        return 0;
}

int oxl_tree_decode(struct oxl_bytes payload, enum oxl_algo blob_algo, const char *name, struct oxl_tree_node *ret,
                    struct oxl_error *err)
{
        struct oxl_tree_totals totals;
        return oxl_tree_decode_totals(payload, blob_algo, name, ret, &totals, err);
}

bool oxl_tree_next(const struct oxl_tree_node *node, enum oxl_algo blob_algo, struct oxl_bytes *rest,
                   struct oxl_tree_entry *ret)
{
        if (rest->len == 0)
                return false;
        struct oxl_cursor c = oxl_cursor_of(*rest);
        OXL_ASSERT(!take_entry(node->level, blob_algo, &c, ret)); /* decode has seen every entry */
        *rest = c.rest;
        return true;
}

/* --- a node and what points to it --- */

const char *oxl_tree_root_problem(const struct oxl_tree_node *node, const struct oxl_tree_totals *t,
                                  const struct oxl_tree_entry *from)
{
        if (node->level > 0 && node->entries == 1)
                return "it is the root of a directory and has one child";
        if (!from)
                return NULL;
        if (node->entries == 0)
                return "it is an empty directory below another";
        return t->size != from->size ? "its size is not what its directory says" : NULL;
}

const char *oxl_tree_child_problem(const struct oxl_tree_node *node, const struct oxl_tree_totals *t,
                                   const struct oxl_tree_entry *from, uint8_t level, struct oxl_bytes bound)
{
        if (node->level + 1 != level || node->entries == 0)
                return "it is not of the level below its parent";
        if (oxl_tree_name_compare(t->first.name, t->first.name_len, from->name, from->name_len) != 0)
                return "its first name is not what its parent says";
        if (t->count != from->count || t->size != from->size)
                return "its sums are not what its parent says";
        if (!bound.data)
                return NULL; /* the last of its level may end anywhere */
        if (oxl_tree_name_compare(t->last.name, t->last.name_len, (const char *)bound.data, bound.len) >= 0)
                return "its names reach into the next node";
        return oxl_tree_ends(node->level, node->entries, t->last.name, t->last.name_len) ? NULL
                                                                                         : "it ends at the wrong place";
}
