/* SPDX-License-Identifier: MIT */
/*
 * Builds the nodes of a whole tree from its sorted paths, in one pass.
 *
 * Each directory on the way to the last path is open and has one growing node per level; a node is emitted as soon as
 * the split rule ends it, and becomes an entry one level up. So memory is bounded by depth times node size, whatever the
 * number of files. What is emitted depends on the paths alone, never on what was there before.
 *
 * PATH and LIMIT about the path given leave the builder as it was. After any other failure it can only be freed.
 */
#include <string.h>

#include "base/fail.h"
#include "base/path.h"
#include "objects/tree_internal.h"

struct level {
        struct oxl_buf payload; /* header (filled in when emitted) and entries; empty while there are none */
        uint32_t entries;
        uint64_t count, size;
        struct oxl_digest last; /* id of the last entry */
        bool emitted;           /* a node of this level exists already */
};

/* One open directory. The level above the last one can only hold the entry that is the root. */
struct directory {
        struct level level[OXL_TREE_LEVELS + 1];
        size_t path_len; /* its path is that much of builder.path */
};

struct oxl_tree_builder {
        oxl_tree_emit_fn *emit;
        void *ctx;
        struct directory **open; /* slots are kept for reuse: open[depth] and below are in use */
        size_t slots, depth;
        struct oxl_buf path; /* the last one added */
        bool broken;
};

static void directory_free(struct directory *d)
{
        for (size_t i = 0; i < OXL_ARRAY_LEN(d->level); i++)
                oxl_buf_done(&d->level[i].payload);
        free(d);
}

void oxl_tree_builder_free(struct oxl_tree_builder *b)
{
        if (!b)
                return;
        for (size_t i = 0; i < b->slots; i++)
                directory_free(b->open[i]);
        free(b->open);
        oxl_buf_done(&b->path);
        free(b);
}

/* --- levels --- */

static int level_add(struct oxl_tree_builder *b, struct directory *d, uint8_t level, const struct oxl_tree_entry *e,
                     struct oxl_error *err);

static void level_clear(struct level *l)
{
        oxl_buf_clear(&l->payload);
        l->entries = 0;
        l->count = l->size = 0;
}

/* Emits the node of @level and enters it one level up. */
static int level_emit(struct oxl_tree_builder *b, struct directory *d, uint8_t level, struct oxl_error *err)
{
        struct level *l = &d->level[level];
        oxl_tree_store_header(l->payload.data, level, l->entries);
        struct oxl_tree_entry up = { .kind = OXL_ENTRY_NONE, .count = l->count, .size = l->size };
        int r = b->emit(b->ctx, l->payload.data, l->payload.len, &up.id, err);
        if (r < 0)
                return r;
        const uint8_t *first = l->payload.data + OXL_TREE_HEADER_BYTES + (level == 0 ? 1 : 0);
        up.name_len = first[0];
        up.name = (const char *)first + 1;
        r = level_add(b, d, (uint8_t)(level + 1), &up, err);
        if (r < 0)
                return r;
        l->emitted = true;
        level_clear(l); /* not earlier: it holds the name of the entry above */
        return 0;
}

static int level_add(struct oxl_tree_builder *b, struct directory *d, uint8_t level, const struct oxl_tree_entry *e,
                     struct oxl_error *err)
{
        struct level *l = &d->level[level];
        if (level == OXL_TREE_LEVELS && l->entries > 0)
                return OXL_FAIL_WHY(err, LIMIT, oxl_buf_text(&b->path), "its directory has too many entries");
        uint64_t size;
        if (__builtin_add_overflow(l->size, e->size, &size))
                return OXL_FAIL_WHY(err, LIMIT, oxl_buf_text(&b->path), "its directory has 2^64 bytes or more");

        int r = l->entries == 0 ? oxl_buf_append_zeros(&l->payload, OXL_TREE_HEADER_BYTES, err) : 0;
        if (r == 0)
                r = oxl_tree_append_entry(&l->payload, level, e, err);
        if (r < 0)
                return r;
        l->entries++;
        l->count += level > 0 ? e->count : 1;
        l->size = size;
        l->last = e->id;
        return oxl_tree_ends(level, l->entries, e->name, e->name_len) ? level_emit(b, d, level, err) : 0;
}

/* --- directories --- */

static int directory_open(struct oxl_tree_builder *b, size_t path_len, struct oxl_error *err)
{
        if (b->depth == b->slots) {
                struct directory **open = realloc(b->open, (b->slots + 1) * sizeof *open);
                if (!open)
                        return OXL_FAIL_PLAIN(err, NOMEM);
                b->open = open;
                struct directory *d = calloc(1, sizeof *d);
                if (!d)
                        return OXL_FAIL_PLAIN(err, NOMEM);
                b->open[b->slots++] = d;
        }
        b->open[b->depth++]->path_len = path_len;
        return 0;
}

/* Emits what is left of the innermost directory, bottom-up, until one node is left at the top. */
static int directory_close(struct oxl_tree_builder *b, struct oxl_digest *ret_root, uint64_t *ret_size,
                           struct oxl_error *err)
{
        struct directory *d = b->open[b->depth - 1];
        uint8_t level = 0;
        /* A lone child on a level that has no node yet is the root itself: inner roots have two entries or more. */
        while (level == 0 || d->level[level].emitted || d->level[level].entries != 1) {
                int r = d->level[level].entries > 0 ? level_emit(b, d, level, err) : 0;
                if (r < 0)
                        return r;
                level++;
        }
        *ret_root = d->level[level].last;
        *ret_size = d->level[level].size;
        for (size_t i = 0; i < OXL_ARRAY_LEN(d->level); i++) {
                level_clear(&d->level[i]);
                d->level[i].emitted = false;
        }
        b->depth--;
        return 0;
}

/* Closes directories until @depth are open, entering each into its parent. */
static int close_down_to(struct oxl_tree_builder *b, size_t depth, struct oxl_error *err)
{
        while (b->depth > depth) {
                struct oxl_tree_entry e = { .kind = OXL_ENTRY_DIRECTORY };
                size_t end = b->open[b->depth - 1]->path_len;
                int r = directory_close(b, &e.id, &e.size, err);
                if (r < 0)
                        return r;
                struct directory *parent = b->open[b->depth - 1];
                size_t begin = parent->path_len > 0 ? parent->path_len + 1 : 0;
                e.name = oxl_buf_text(&b->path) + begin;
                e.name_len = (uint8_t)(end - begin);
                r = level_add(b, parent, 0, &e, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* --- paths --- */

/* Length of the common prefix of the last path and @path, in bytes. */
static size_t common_prefix(const struct oxl_tree_builder *b, const char *path, size_t len)
{
        size_t n = b->path.len < len ? b->path.len : len, i = 0;
        while (i < n && b->path.data[i] == (uint8_t)path[i])
                i++;
        return i;
}

static const char *component_problem(const char *path, size_t len)
{
        const char *problem = oxl_path_problem(path, len);
        if (problem)
                return problem;
        for (const char *at = path, *end = path + len; at < end;) {
                const char *slash = memchr(at, '/', (size_t)(end - at));
                const char *stop = slash ? slash : end;
                if (!oxl_tree_name_ok(at, (size_t)(stop - at)))
                        return "it has a component '.oxen-lite'";
                at = stop + 1;
        }
        return NULL;
}

static size_t count_slashes(const char *path, size_t len)
{
        size_t n = 0;
        for (size_t i = 0; i < len; i++)
                n += path[i] == '/';
        return n;
}

/* Why @path cannot follow the last one; NULL when it can. */
static const char *order_problem(const struct oxl_tree_builder *b, const char *path, size_t len)
{
        const char *last = oxl_buf_text(&b->path);
        size_t last_len = b->path.len;
        if (last_len == 0)
                return NULL; /* the first one */
        size_t same = common_prefix(b, path, len);
        if (same == len && same == last_len)
                return "it comes twice";
        if ((same == last_len && path[same] == '/') || (same == len && last[same] == '/'))
                return "it is both a file and a directory";
        return oxl_path_compare(last, last_len, path, len) > 0 ? "it is out of order" : NULL;
}

/* Why a path cannot be added; .why is NULL when it can. */
struct refusal {
        enum oxl_code code; /* LIMIT or PATH */
        const char *why;
};

static struct refusal refusal_of(const struct oxl_tree_builder *b, const char *path, size_t len,
                                 enum oxl_entry_kind kind, uint64_t size)
{
        if (len > OXL_PATH_BYTES_MAX)
                return (struct refusal){ OXL_E_LIMIT, "a path has at most 32,767 bytes" };
        const char *why = component_problem(path, len);
        if (why)
                return (struct refusal){ OXL_E_PATH, why };
        if (count_slashes(path, len) > OXL_DEPTH_MAX)
                return (struct refusal){ OXL_E_LIMIT, "it is more than 1,024 directories deep" };
        why = order_problem(b, path, len);
        if (why)
                return (struct refusal){ OXL_E_PATH, why };
        return (struct refusal){ OXL_E_LIMIT, oxl_tree_size_problem(kind, size) };
}

static int refuse(const struct refusal *no, const char *path, size_t len, struct oxl_error *err)
{
        cleanup_free char *text = strndup(path, len); /* a lack of memory loses the text, not the error */
        return no->code == OXL_E_LIMIT ? OXL_FAIL_WHY(err, LIMIT, text, no->why)
                                       : OXL_FAIL_WHY(err, PATH, text, no->why);
}

/* How many directories stay open for a path that has its first @same bytes in common with the last one. */
static size_t depth_kept(const struct oxl_tree_builder *b, size_t same)
{
        size_t keep = 1; /* the root is always open; a directory stays if its '/' is common too */
        while (keep < b->depth && b->open[keep]->path_len < same)
                keep++;
        return keep;
}

/* Closes the directories that @path leaves and opens those that it enters. */
static int move_to(struct oxl_tree_builder *b, const char *path, size_t len, struct oxl_error *err)
{
        size_t keep = depth_kept(b, common_prefix(b, path, len));
        int r = close_down_to(b, keep, err);
        if (r < 0)
                return r;
        oxl_buf_clear(&b->path);
        r = oxl_buf_append(&b->path, path, len, err);
        if (r < 0)
                return r;
        size_t at = b->open[keep - 1]->path_len;
        for (size_t i = at > 0 ? at + 1 : 0; r == 0 && i < len; i++)
                if (path[i] == '/')
                        r = directory_open(b, i, err);
        return r;
}

/* --- interface --- */

int oxl_tree_builder_new(oxl_tree_emit_fn *emit, void *ctx, struct oxl_tree_builder **ret, struct oxl_error *err)
{
        struct oxl_tree_builder *b = calloc(1, sizeof *b);
        if (!b)
                return OXL_FAIL_PLAIN(err, NOMEM);
        b->emit = emit;
        b->ctx = ctx;
        int r = directory_open(b, 0, err);
        if (r < 0) {
                oxl_tree_builder_free(b);
                return r;
        }
        *ret = b;
        return 0;
}

static int add_path(struct oxl_tree_builder *b, const char *path, size_t path_len, enum oxl_entry_kind kind,
                    uint64_t size, const struct oxl_digest *id, struct oxl_error *err)
{
        /* the size of a directory is a sum: level_add() sees to it */
        struct refusal no = refusal_of(b, path, path_len, kind, kind == OXL_ENTRY_DIRECTORY ? 0 : size);
        if (no.why)
                return refuse(&no, path, path_len, err);

        b->broken = true; /* until this path is in */
        int r = move_to(b, path, path_len, err);
        if (r < 0)
                return r;
        struct directory *d = b->open[b->depth - 1];
        size_t begin = d->path_len > 0 ? d->path_len + 1 : 0;
        struct oxl_tree_entry e = {
                .name = oxl_buf_text(&b->path) + begin,
                .name_len = (uint8_t)(path_len - begin),
                .kind = kind,
                .size = size,
                .id = *id,
        };
        r = level_add(b, d, 0, &e, err);
        if (r < 0)
                return r;
        b->broken = false;
        return 0;
}

int oxl_tree_builder_add(struct oxl_tree_builder *b, const char *path, size_t path_len, enum oxl_entry_kind kind,
                         uint64_t size, const struct oxl_digest *id, struct oxl_error *err)
{
        OXL_ASSERT(!b->broken && kind >= OXL_ENTRY_FILE && kind <= OXL_ENTRY_SYMLINK);
        return add_path(b, path, path_len, kind, size, id, err);
}

int oxl_tree_builder_add_directory(struct oxl_tree_builder *b, const char *path, size_t path_len, uint64_t size,
                                   const struct oxl_digest *id, struct oxl_error *err)
{
        OXL_ASSERT(!b->broken);
        return add_path(b, path, path_len, OXL_ENTRY_DIRECTORY, size, id, err);
}

/* Is the directory of @path_len bytes of b->path, when it is open at all, at the begin of a node on @level and below? */
static bool at_node_begin(const struct oxl_tree_builder *b, size_t path_len, uint8_t level)
{
        const struct directory *d = b->open[b->depth - 1];
        for (uint8_t i = 0; d->path_len == path_len && i <= level; i++)
                if (d->level[i].entries > 0)
                        return false;
        return true;
}

enum { NODE_NOT_HERE = 1 };

int oxl_tree_builder_add_node(struct oxl_tree_builder *b, const char *dir, uint8_t level,
                              const struct oxl_tree_entry *node, struct oxl_error *err)
{
        OXL_ASSERT(!b->broken && level < OXL_TREE_LEVELS);
        cleanup_buf struct oxl_buf path = OXL_BUF_INIT;
        size_t dir_len = strlen(dir);
        int r = oxl_buf_append(&path, dir, dir_len, err);
        if (r == 0 && dir_len > 0)
                r = oxl_buf_append_u8(&path, '/', err);
        if (r == 0)
                r = oxl_buf_append(&path, node->name, node->name_len, err);
        if (r < 0)
                return r;
        const char *first = oxl_buf_text(&path);
        struct refusal no = refusal_of(b, first, path.len, OXL_ENTRY_FILE, 0);
        if (no.why)
                return refuse(&no, first, path.len, err);
        b->broken = true;
        r = close_down_to(b, depth_kept(b, common_prefix(b, first, path.len)), err);
        if (r == 0 && !at_node_begin(b, dir_len, level)) {
                b->broken = false;
                return NODE_NOT_HERE;
        }
        if (r == 0)
                r = move_to(b, first, path.len, err);
        if (r < 0)
                return r;
        struct directory *d = b->open[b->depth - 1];
        r = level_add(b, d, (uint8_t)(level + 1), node, err);
        if (r < 0)
                return r;
        for (uint8_t i = 0; i <= level; i++)
                d->level[i].emitted = true;
        b->broken = false;
        return 0;
}

int oxl_tree_builder_finish(struct oxl_tree_builder *b, struct oxl_digest *ret_root, struct oxl_error *err)
{
        OXL_ASSERT(!b->broken);
        b->broken = true; /* finished: nothing can be added any more */
        if (b->path.len == 0) {
                uint8_t empty[OXL_TREE_HEADER_BYTES];
                oxl_tree_store_header(empty, 0, 0);
                int r = b->emit(b->ctx, empty, sizeof empty, ret_root, err);
                return r < 0 ? r : 0;
        }
        int r = close_down_to(b, 1, err);
        struct oxl_digest root;
        uint64_t size;
        if (r == 0)
                r = directory_close(b, &root, &size, err);
        if (r < 0)
                return r;
        *ret_root = root;
        return 0;
}
