/* SPDX-License-Identifier: MIT */
/*
 * Writes the seeds of the fuzz targets: small valid inputs, made by the library itself (random numbers replaced by a counter, so
 * that they are the same in every run).
 *
 *      make_seeds FOLDER       ->      FOLDER/<target>/<number>
 *
 * Targets put seals and checksums right, so inputs built by hand here leave them zero.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "durable/tempname.h"
#include "fuzz/fuzz.h"
#include "fuzz/journal_rows.h"
#include "journal/journal.h"
#include "journal/schema.h"
#include "objects/commit.h"
#include "objects/lookup.h"
#include "objects/pack_private.h"
#include "objects/tree_internal.h"
#include "os/sys.h"
#include "repo/index_format.h"
#include "repo/intent.h"
#include "repo/move.h"
#include "support/place.h"

static const char *arg_folder;
static struct oxl_sys counting;

static void save(const char *target, const void *bytes, size_t n)
{
        static unsigned number;
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", arg_folder, target);
        FUZZ_REQUIRE(mkdir(path, 0777) == 0 || errno == EEXIST);
        snprintf(path, sizeof path, "%s/%s/%03u", arg_folder, target, number++);
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        FUZZ_REQUIRE(fd >= 0 && write(fd, bytes, n) == (ssize_t)n && close(fd) == 0);
}

static void save_buf(const char *target, struct oxl_buf *b)
{
        save(target, b->data, b->len);
        oxl_buf_done(b);
}

/* One byte of flags, then the bytes. */
static void save_flagged(const char *target, uint8_t flags, const void *bytes, size_t n)
{
        struct oxl_buf b = OXL_BUF_INIT;
        FUZZ_REQUIRE(oxl_buf_append_u8(&b, flags, NULL) == 0 && oxl_buf_append(&b, bytes, n, NULL) == 0);
        save_buf(target, &b);
}

static struct oxl_digest some_id(uint8_t first)
{
        return oxl_digest_of(OXL_ALGO_BLAKE3, &first, 1);
}

/* --- texts ----------------------------------------------------------------------------------------------------- */

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define TEMP ".oxl-0123456789abcdef-fedcba9876543210.tmp"
#define TEXT(target, text)                     \
        {                                      \
                target, text, sizeof(text) - 1 \
        }

#define FOUND(id, slug, path, actual, size, inode, mtime)                                                         \
        "{\"id\":\"" id "\",\"slug\":\"" slug "\",\"path\":\"" path "\",\"actual\":\"" actual "\",\"size\":" size \
        ",\"inode\":" inode ",\"mtime\":" mtime "}"
#define PLAN(findings) "{\"schema\":\"oxen-lite.fsck/1\",\"findings\":[" findings "]}"

static const struct {
        const char *target, *text;
        size_t len;
} texts[] = {
        TEXT("seal_text",
             "oxen-lite repository 1\nid 66757a7a000000000000000000000000\nhash blake3\nincompat\nro_compat\n"
             "compat\n"),
        TEXT("seal_text",
             "oxen-lite repository 1\nid 000102030405060708090a0b0c0d0e0f\nhash xxh3-128\nincompat\n"
             "ro_compat a-1 b\ncompat c\n"),
        TEXT("seal_text",
             "oxen-lite repository 1\nid 000102030405060708090a0b0c0d0e0f\nhash blake3\nincompat new\n"
             "ro_compat\ncompat\n"),
        TEXT("seal_text", "ref: refs/heads/main\n"),
        TEXT("seal_text", HEX64 "\n"),
        TEXT("config", "{\n  \"schema\": \"oxen-lite.config/1\""),
        TEXT("config",
             "{\"schema\": \"oxen-lite.config/1\", \"user.name\": \"Ad\\u0061 \\\"L\\\\\", \"reflink\": \"never\"}"),
        TEXT("config",
             "{\n  \"pack_threshold\": 0,\n  \"reflink\": \"auto\",\n  \"schema\": \"oxen-lite.config/1\",\n"
             "  \"user.email\": \"a@b\",\n  \"user.name\": \"\303\204\""),
        TEXT("json",
             "{\"a\": [1, -2.5e3, true, false, null, \"x\\n\\u00e9\\ud83d\\ude00\"], \"b\": {}, \"c\": \"18446744073709551615\"}"),
        TEXT("json", "[[[[[[]]]], {\"path\": \"a\\ufffd\", \"path_bytes\": \"Yf8=\"}]"),
        TEXT("json",
             "{\"path\": \"a\xef\xbf\xbd\", \"path_bytes\": \"Yf8=\", \"list\": [{\"bytes\": \"/w==\"}, \"x\"]}"),
        TEXT("json", "0"),
        TEXT("json", "\"\\ud83d\\u0041\""),
        TEXT("json", "\"\\\\\\/\\b\\f\\n\\r\\t\""),
        TEXT("json", "name\xff\xc3"),
        TEXT("commit", "oxen-lite commit 1\ntree " HEX64 "\nauthor \ntime -1 -1200\n\n"),
        TEXT("commit", "oxen-lite commit 1\ntree " HEX64 "\nauthor \ntime 9223372036854775808 +0000\n\n"),
        TEXT("commit", "oxen-lite commit 1\ntree " HEX64 "\nauthor \ntime -9223372036854775808 +1400\n\n"),
        TEXT("temp_name", "index" TEMP),
        TEXT("temp_name", "a" TEMP "b"),
        TEXT("temp_name", TEMP),
        TEXT("temp_name", "data"),
        TEXT("ref_name", "main"),
        TEXT("ref_name", "feature/a-b_c.d"),
        TEXT("ref_name", "\303\251t\303\251"),
        TEXT("ref_name", "a.lock/b"),
        TEXT("ref_name", "deadbeef/x"),
        TEXT("ref_name", "x" TEMP),
        TEXT("ref_name", "@/a@b"),
        TEXT("revision", "HEAD"),
        TEXT("revision", "HEAD~2"),
        TEXT("revision", "@^1~1"),
        TEXT("revision", "main^0"),
        TEXT("revision", "refs/heads/main~"),
        TEXT("revision", "$1~1"),
        TEXT("revision", "$2"),
        TEXT("revision", "refs/tags/v1"),
        TEXT("revision", "HEAD~18446744073709551616"),
        TEXT("revision", "0123"),
        TEXT("path", "a/b\na/b/c\na.b"),
        TEXT("path", "a\na/\xff\na\x01"),
        TEXT("path", "../x\n.\n/"),
        TEXT("path", "data/2024/x.bin\ndata/2024\ndata"),
        TEXT("digest", HEX64),
        TEXT("digest", "1234567890abcdef"),
        TEXT("digest", "f1e2d3c4b5a69788796a5b4c3d2e1f00"),
        TEXT("digest", "0123456789abcdef\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        TEXT("digest", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde!"),
        TEXT("owner",
             "pid 4242\nboot 01234567-89ab-cdef-0123-456789abcdef\nmachine 0123456789abcdef0123456789abcdef\n"
             "command oxen-lite commit\nsince 2026-01-01T00:00:00Z\nholds writer\nholds db\n"),
        TEXT("owner", "pid 4242\nboot -\nmachine -\ncommand \033[31moxen\nsince -\nholds writer\n"),
        TEXT("owner", "pid 1\nmachine"),
        TEXT("oxen_names", "15/77598f7d7589481ced4b6fab7dc4e"),
        TEXT("oxen_names", "0a/000000000000000000000000000001"),
        TEXT("oxen_names", "a/"),
        TEXT("oxen_names", "data.oxentmp.Ab12Cd"),
        TEXT("oxen_names", ".oxentmp.4242.export-x"),
        TEXT("oxen_names", "10485760"),
        TEXT("oxen_text", "\4\0main[storage]\nkind = \"local\"\nversions_path = '/data/versions'\n"),
        TEXT("oxen_text",
             "\x0f\0"
             "0123456789abcdeffoo = [1,\n {a = \"]\"}, # x\n]\n[storage.settings]\npath = \".oxen/v\\\"\"\n"),
        TEXT("oxen_text", "\4\0a..bstorage.kind = \"s3\"\nx = \"\"\"\na\n\"\"\"\nstorage = { kind = 'local' }\n"),
        TEXT("plan", PLAN(FOUND("aaaaaaaaaaaaaaaa", "blob-damaged", "path-0", "-0", "\"100\"", "\"7\"",
                                "\"1700000000000000000\""))),
        TEXT("plan", PLAN(FOUND("bbbbbbbbbbbbbbbb", "pack-damaged", "path-1", "-1", "\"100\"", "\"7\"",
                                "\"1700000000000000001\"") "," FOUND("cccccccccccccccc", "blob-missing", "path-2", "-2",
                                                                     "null", "null", "null"))),
        TEXT("plan", PLAN(FOUND("cccccccccccccccc", "no-such-problem", "path-2", "-2", "null", "null", "null"))),
        TEXT("plan", "{\"schema\": \"oxen-lite.fsck/1\", \"findings\": {\"a\": null}}"),
        TEXT("note",
             "{\"schema\":\"oxen-lite.quarantine/1\",\"finding\":\"0123456789abcdef\",\"slug\":\"pack-damaged\",\"path\":"
             "\"versions/packs/" HEX64 ".pack\",\"object\":null,\"expected\":\"\",\"actual\":\"" HEX64
             "\",\"size\":\"10\",\"inode\":\"1\",\"source\":\"x\"}"),
        TEXT("note", "{\"slug\":\"blob-damaged\",\"path\":\"versions/files/01/23456789abcdef/data\"}"),
        TEXT("note", "{\"slug\":\"index-damaged\",\"path\":\"index\"}"),
        TEXT("note", "{\"path\":\"../../etc/passwd\"}"),
        TEXT("note", "{\"path\":\"a\ufffd\",\"path_bytes\":\"cmVmcy/+\"}"),
        TEXT("ignore", "\5\0a/b.c*.o\n# comment\n!keep.o\n/build/\n**/*.c\n"),
        TEXT("ignore", "\3\0abca*[!x-z]c\\ \n[[:alpha:]]?c\n"),
        TEXT("ignore", "\7\0d/e/f.gd/**/f.?\n!d/e/\n*\n!*/\n"),
        TEXT("ignore", "\1\0a\357\273\277a\r\n!a  \n"),
        TEXT("daemon_request", "{\"do\":\"status\"}"),
        TEXT("daemon_request", "{\"do\":\"limit\",\"repository\":\"/srv/a\",\"rate\":\"50MiB\"}"),
        TEXT("daemon_request", "{\"do\":\"scrub\",\"repository\":\"/srv/\\u00e9\"}"),
        TEXT("daemon_request", "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"),
        TEXT("daemon_request", "GET /healthz?x\n\n"),
        TEXT("daemon_config", "{\"repositories\":[]}"),
        TEXT("daemon_config", "{\"repositories\":[{\"path\":\"/srv/*\"}],\"recover\":false,\"state\":\"/var/lib/x\"}"),
        TEXT("daemon_config",
             "{\"repositories\":[{\"path\":\"/srv/a\",\"kind\":\"oxen\",\"scrub\":{\"days\":7,\"rate_max\":\"50MiB\","
             "\"window\":\"22:00-06:00\",\"repair\":true}},{\"path\":\"b\",\"days\":0}],\"sweep\":false}"),
        TEXT("utf8", "a\303\251\342\202\254\360\237\230\200"),
        TEXT("utf8", "\355\237\277\356\200\200\364\217\277\277"),
        TEXT("utf8", "\300\200\355\240\200\364\220\200\200"),
};

static void save_texts(void)
{
        char longest[255 - (sizeof TEMP - 1)];
        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
                save(texts[i].target, texts[i].text, texts[i].len);
        memset(longest, 0xc3, sizeof longest);
        save("temp_name", longest, sizeof longest);
}

static void save_config(void)
{
        cleanup_free char *name = fuzz_text("Ada \"L\"", 7);
        const struct oxl_settings s = { .pack_threshold = 1 << 20, .has_pack_threshold = true, .user_name = name };
        struct oxl_buf b = OXL_BUF_INIT;
        FUZZ_REQUIRE(oxl_config_print(&s, &fuzz_repo, &b, NULL) == 0);
        save_buf("config", &b);
}

static void save_commit(unsigned parents, const char *message)
{
        struct oxl_buf b = OXL_BUF_INIT;
        struct oxl_commit c = { .tree = some_id(1), .parents = parents, .seconds = 1700000000, .zone_minutes = 330 };
        cleanup_free char *author = fuzz_text("Ada <ada@example.org>", 21), *text = fuzz_text(message, strlen(message));
        for (unsigned i = 0; i < parents; i++)
                c.parent[i] = some_id((uint8_t)(2 + i));
        c.author = author;
        c.message = text;
        FUZZ_REQUIRE(oxl_commit_encode(&c, &b, NULL) == 0);
        save_buf("commit", &b);
}

static void save_commit_intent(const char *ref, enum oxl_algo algo)
{
        struct oxl_commit_intent i = { .new_id = some_id(1), .tree = some_id(2) };
        struct oxl_digest d = some_id(3), blob = oxl_digest_of(algo, "x", 1);
        cleanup_free char *text = NULL;
        i.ref = fuzz_text(ref, strlen(ref));
        FUZZ_REQUIRE(oxl_commit_intent_add(&i, OXL_INTENT_PACK, "versions/tmp/pack" TEMP,
                                           "versions/packs/" HEX64 ".pack", &d, 4096, NULL) == 0);
        FUZZ_REQUIRE(oxl_commit_intent_add(&i, OXL_INTENT_BLOB, "versions/tmp/blob" TEMP, "versions/files/01/23/data",
                                           &blob, UINT64_MAX, NULL) == 0);
        FUZZ_REQUIRE(oxl_commit_intent_add(&i, OXL_INTENT_INDEX, "index" TEMP, "index", &d, 0, NULL) == 0);
        FUZZ_REQUIRE(oxl_commit_intent_print(&i, &text, NULL) == 0);
        save("intent", text, strlen(text));
        oxl_commit_intent_done(&i);
}

static void save_restore_intent(const char *to)
{
        static const char *const paths[] = { "", "a/b", "n\xffme" };
        struct oxl_restore_intent i = { .source = some_id(1), .force = true };
        cleanup_free char *text = NULL;
        i.to = to ? fuzz_text(to, strlen(to)) : NULL;
        i.paths = calloc(3, sizeof *i.paths);
        FUZZ_REQUIRE(i.paths);
        for (; i.n_paths < 3; i.n_paths++)
                i.paths[i.n_paths] = fuzz_text(paths[i.n_paths], strlen(paths[i.n_paths]));
        FUZZ_REQUIRE(oxl_restore_intent_print(&i, &text, NULL) == 0);
        save("intent", text, strlen(text));
        oxl_restore_intent_done(&i);
}

/* With all that a move can have; @local: what was kept of files, too. */
static void save_move_intent(const char *verb, bool local)
{
        const struct oxl_state none = { .kind = OXL_ENTRY_NONE }, file = { OXL_ENTRY_FILE, 7, some_id(5) };
        struct oxl_move m = {
                .tree_old = some_id(1), .tree_new = some_id(2), .index = true, .worktree = true, .force = true
        };
        cleanup_free char *text = NULL;
        m.ref_new = some_id(3);
        m.ref = fuzz_text("refs/tags/v1", 12);
        m.head_old = fuzz_text("refs/heads/main", 15);
        m.head_new = fuzz_text(HEX64, 64);
        FUZZ_REQUIRE(oxl_edits_add(&m.edits, "d/a", 3, &file, &none, NULL) == 0);
        FUZZ_REQUIRE(oxl_edits_write_all(&m.edits, NULL, &m.record, NULL) == 0);
        if (local)
                FUZZ_REQUIRE(oxl_edits_write_all(&m.edits, NULL, &m.local_record, NULL) == 0);
        FUZZ_REQUIRE(oxl_move_print(&m, verb, &text, NULL) == 0);
        save("intent", text, strlen(text));
        oxl_move_done(&m);
}

/* --- the index ------------------------------------------------------------------------------------------------- */

enum { BLOCK_ENTRIES = 7, PATH_BYTES = 64 };

/* Entry @i of some hundred; every third is staged, every tenth removed. @removed: hides, where a delta may. */
static struct oxl_index_entry entry(unsigned i, enum oxl_algo algo, char path[PATH_BYTES], bool removed)
{
        struct oxl_index_entry e = { .path = path, .kind = (enum oxl_entry_kind)(1 + i % 3), .staged = i % 3 == 0 };
        e.path_len = (size_t)snprintf(path, PATH_BYTES, "d%02u/e%u/file-%03u", i / 20, i / 10 % 2, i);
        if (removed || i % 30 == 9) {
                e.kind = OXL_ENTRY_NONE;
                e.staged = !removed;
                return e;
        }
        e.size = 1 + i;
        e.id = oxl_digest_of(algo, path, e.path_len);
        e.stat = (struct oxl_stat){ i, -(int64_t)i, i, 999999999, 2049, 1000 + i, 0100644 };
        return e;
}

static void append(struct oxl_buf *to, const struct oxl_buf *from)
{
        FUZZ_REQUIRE(oxl_buf_append(to, from->data, from->len, NULL) == 0);
}

static void append_header(struct oxl_buf *to, bool delta, uint64_t entries)
{
        const struct oxl_index_header h = { .delta = delta, .generation = 3, .entries = entries, .tree = some_id(1) };
        FUZZ_REQUIRE(oxl_buf_append_zeros(to, OXL_INDEX_HEADER_BYTES, NULL) == 0);
        oxl_index_header_store(&h, to->data);
}

static void append_row(struct oxl_buf *table, uint64_t offset, const struct oxl_index_encoder *block, const char *path)
{
        uint8_t row[22];
        le_store64(row, offset);
        le_store32(row + 8, (uint32_t)block->bytes.len);
        le_store32(row + 12, (uint32_t)block->entries);
        le_store32(row + 16, (uint32_t)block->staged);
        le_store16(row + 20, (uint16_t)strlen(path));
        FUZZ_REQUIRE(oxl_buf_append(table, row, sizeof row, NULL) == 0);
        FUZZ_REQUIRE(oxl_buf_append_text(table, path, NULL) == 0);
        FUZZ_REQUIRE(oxl_buf_append_zeros(table, OXL_DIGEST_BYTES, NULL) == 0);
}

static struct oxl_buf make_base(unsigned entries, enum oxl_algo algo)
{
        struct oxl_buf base = OXL_BUF_INIT;
        cleanup_buf struct oxl_buf table = OXL_BUF_INIT;
        cleanup_index_encoder struct oxl_index_encoder block = OXL_INDEX_ENCODER_INIT;
        char path[PATH_BYTES], first[PATH_BYTES];
        uint64_t blocks = 0;
        append_header(&base, false, entries);
        for (unsigned i = 0; i < entries; i++) {
                struct oxl_index_entry e = entry(i, algo, path, false);
                if (i % BLOCK_ENTRIES == 0)
                        memcpy(first, path, sizeof first);
                FUZZ_REQUIRE(oxl_index_encoder_add(&block, &e, NULL) == 0);
                if (i % BLOCK_ENTRIES < BLOCK_ENTRIES - 1 && i + 1 < entries)
                        continue;
                append_row(&table, base.len, &block, first);
                append(&base, &block.bytes);
                oxl_index_encoder_restart(&block);
                blocks++;
        }
        uint64_t at = base.len;
        append(&base, &table);
        FUZZ_REQUIRE(oxl_buf_append_le64(&base, at, NULL) == 0 && oxl_buf_append_le64(&base, table.len, NULL) == 0 &&
                     oxl_buf_append_le64(&base, blocks, NULL) == 0 &&
                     oxl_buf_append_zeros(&base, OXL_INDEX_SEAL_BYTES, NULL) == 0);
        return base;
}

/* A run of every @step-th entry; those that are not staged are removed. */
static void make_run(struct oxl_index_encoder *run, unsigned entries, unsigned step, enum oxl_algo algo, bool delta)
{
        char path[PATH_BYTES];
        for (unsigned i = 0; i < entries; i += step) {
                struct oxl_index_entry e = entry(i, algo, path, delta && i % 4 == 1);
                FUZZ_REQUIRE(oxl_index_encoder_add(run, &e, NULL) == 0);
        }
}

static void save_index(uint8_t flags, unsigned base_entries, unsigned delta_entries, unsigned step)
{
        enum oxl_algo algo = flags & 1 ? OXL_ALGO_XXH3_128 : OXL_ALGO_BLAKE3;
        cleanup_buf struct oxl_buf base = make_base(base_entries, algo), delta = OXL_BUF_INIT;
        cleanup_index_encoder struct oxl_index_encoder run = OXL_INDEX_ENCODER_INIT;
        struct oxl_buf b = OXL_BUF_INIT;
        make_run(&run, delta_entries, step, algo, true);
        append_header(&delta, true, run.entries);
        append(&delta, &run.bytes);
        FUZZ_REQUIRE(oxl_buf_append_zeros(&delta, OXL_INDEX_SEAL_BYTES, NULL) == 0);
        FUZZ_REQUIRE(oxl_buf_append_u8(&b, flags, NULL) == 0);
        FUZZ_REQUIRE(oxl_buf_append_le32(&b, (uint32_t)base.len, NULL) == 0);
        append(&b, &base);
        append(&b, &delta);
        save_buf("index", &b);
}

static void save_run(uint8_t flags, unsigned entries, unsigned step)
{
        cleanup_index_encoder struct oxl_index_encoder run = OXL_INDEX_ENCODER_INIT;
        make_run(&run, entries, step, flags & 2 ? OXL_ALGO_XXH3_128 : OXL_ALGO_BLAKE3, flags & 1);
        save_flagged("index_run", flags, run.bytes.data, run.bytes.len);
}

/* --- trees ----------------------------------------------------------------------------------------------------- */

struct walk_seed {
        struct oxl_buf bytes;
        uint8_t nodes, other;
};

/* Saves each small node as a seed of its own, and numbers it for tree_walk. */
static int emit(void *ctx, const void *payload, size_t n, struct oxl_digest *ret_id, struct oxl_error *err)
{
        struct walk_seed *s = ctx;
        if (n < 4096)
                save("tree", payload, n);
        int r = oxl_buf_append_le16(&s->bytes, (uint16_t)n, err);
        if (r == 0)
                r = oxl_buf_append(&s->bytes, payload, n, err);
        *ret_id = some_id(s->nodes);
        ret_id->bytes[0] = s->nodes++;
        return r;
}

/* @files in two folders and the root; leaves out every @without-th. */
static void build_tree(struct walk_seed *s, unsigned files, unsigned without)
{
        struct oxl_tree_builder *b;
        struct oxl_digest root;
        char path[PATH_BYTES];
        FUZZ_REQUIRE(oxl_tree_builder_new(emit, s, &b, NULL) == 0);
        for (unsigned i = 0; i < files; i++) {
                struct oxl_digest id = some_id((uint8_t)i);
                if (i % without == 0)
                        continue;
                snprintf(path, sizeof path, "%s%04u", i < files / 3 ? "a/b/" : i < files / 2 ? "d/e/" : "f", i);
                FUZZ_REQUIRE(oxl_tree_builder_add(b, path, strlen(path), (enum oxl_entry_kind)(1 + i % 3), 1 + i % 4000,
                                                  &id, NULL) == 0);
        }
        FUZZ_REQUIRE(oxl_tree_builder_finish(b, &root, NULL) == 0);
        oxl_tree_builder_free(b);
}

static void save_trees(unsigned files)
{
        struct walk_seed s = { .bytes = OXL_BUF_INIT };
        struct oxl_buf b = OXL_BUF_INIT;
        build_tree(&s, files, 5);
        s.other = (uint8_t)(s.nodes - 1);
        build_tree(&s, files, 7);
        FUZZ_REQUIRE(oxl_buf_append_u8(&b, s.other, NULL) == 0);
        append(&b, &s.bytes);
        oxl_buf_done(&s.bytes);
        save_buf("tree_walk", &b);
}

/* --- the journal ------------------------------------------------------------------------------------------------- */

#define RESTORE_BODY "{\"schema\":\"oxen-lite.restore/1\",\"paths\":[\"a\"]}"

/* Two intents, one of them with its outcome, and a row of everything else. */
static struct oxl_buf make_rows(void)
{
        struct oxl_buf b = OXL_BUF_INIT;
        static const char *const ledger[] = { "good", "damaged" }, *const finding[] = { "id", "pack-damaged", "a" };
        rows_event(&b, 1, 1, "commit", "staged", "{\"ref\":\"refs/heads/main\"}");
        rows_event(&b, 2, 1, "commit", "done", "{}");
        rows_event(&b, 3, 3, "restore", "staged", RESTORE_BODY);
        for (int64_t i = 0; i < 2; i++) {
                rows_table(&b, ROWS_LEDGER);
                rows_text(&b, i ? "HEAD" : "versions/packs/x.pack");
                rows_integer(&b, i ? 0 : INT64_MAX);
                rows_integer(&b, i);
                rows_text(&b, i ? "cache" : "medium");
                rows_text(&b, ledger[i]);
        }
        rows_table(&b, ROWS_OPERATION);
        rows_integer(&b, 1);
        rows_integer(&b, 1);
        rows_text(&b, "commit");
        rows_integer(&b, -1);
        rows_text(&b, "refs/heads/main");
        rows_null(&b);
        rows_text(&b, HEX64);
        rows_text(&b, "note");
        rows_table(&b, ROWS_FINDING);
        for (int i = 0; i < 3; i++)
                rows_text(&b, finding[i]);
        rows_integer(&b, 1);
        rows_integer(&b, 2);
        rows_text(&b, "detail");
        return b;
}

/* A real of 2^62, a text where a number is due, an event whose intent is the one after it. */
static void save_odd_rows(void)
{
        struct oxl_buf b = OXL_BUF_INIT;
        FUZZ_REQUIRE(oxl_buf_append_u8(&b, 0, NULL) == 0);
        rows_event(&b, 1, 1, "commit", "staged", "");
        rows_event(&b, 2, 3, "commit", "done", "");
        rows_event(&b, INT64_MIN, INT64_MIN, "commit", "staged", "");
        rows_table(&b, ROWS_LEDGER);
        rows_text(&b, "a");
        FUZZ_REQUIRE(oxl_buf_append_u8(&b, ROWS_REAL, NULL) == 0 && oxl_buf_append_le64(&b, INT64_MAX, NULL) == 0);
        rows_text(&b, "12");
        rows_text(&b, "");
        rows_text(&b, "good");
        save_buf("journal_rows", &b);
}

/* As small as SQLite makes it, so that mutations meet something. */
static void save_journal_file(bool wal)
{
        char *place = place_new(), *path = place_path(place, "journal.db");
        cleanup_buf struct oxl_buf rows = make_rows();
        sqlite3 *db;
        size_t n, m = 0;
        struct oxl_buf b = OXL_BUF_INIT;
        FUZZ_REQUIRE(sqlite3_open(path, &db) == SQLITE_OK);
        FUZZ_REQUIRE(sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL) == SQLITE_OK);
        FUZZ_REQUIRE(sqlite3_exec(db, "PRAGMA page_size=512; PRAGMA user_version=1", NULL, NULL, NULL) == SQLITE_OK);
        FUZZ_REQUIRE(sqlite3_exec(db, oxl_journal_migrations[0].sql, NULL, NULL, NULL) == SQLITE_OK);
        FUZZ_REQUIRE(sqlite3_exec(db,
                                  "INSERT INTO meta VALUES ('repository', '66757a7a000000000000000000000000'),"
                                  "('journal_mode', 'wal')",
                                  NULL, NULL, NULL) == SQLITE_OK);
        if (wal)
                FUZZ_REQUIRE(sqlite3_exec(db, "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0", NULL, NULL,
                                          NULL) == SQLITE_OK);
        rows_insert(db, rows.data, rows.len);
        FUZZ_REQUIRE(sqlite3_close(db) == SQLITE_OK);
        cleanup_free char *bytes = place_read(place, "journal.db", &n);
        cleanup_free char *frames = wal ? place_read(place, "journal.db-wal", &m) : NULL;
        FUZZ_REQUIRE(oxl_buf_append_le32(&b, (uint32_t)n, NULL) == 0 && oxl_buf_append(&b, bytes, n, NULL) == 0);
        FUZZ_REQUIRE(m == 0 || oxl_buf_append(&b, frames, m, NULL) == 0);
        save_buf("journal_file", &b);
        place_free(place);
        free(path);
}

/* As the library makes it: pages of 4096 bytes with checksums. */
static void save_whole_journal(void)
{
        char *place = place_new();
        const struct oxl_journal_config config = { .dir = place, .id = fuzz_repo, .lock_fd = -1 };
        struct oxl_journal *j = NULL;
        struct oxl_buf b = OXL_BUF_INIT;
        int64_t intent;
        size_t n, m;
        FUZZ_REQUIRE(oxl_journal_create(&config, NULL) == 0 && oxl_journal_open(&config, &j, NULL) == 0);
        FUZZ_REQUIRE(oxl_journal_stage(j, 0xa1, "restore", RESTORE_BODY, NULL, &intent, NULL) == 0);
        FUZZ_REQUIRE(oxl_journal_checkpoint(j, 0, NULL) == 0);
        oxl_journal_close(j);
        cleanup_free char *bytes = place_read(place, "journal.db", &n);
        cleanup_free char *frames = place_read(place, "journal.db-wal", &m);
        FUZZ_REQUIRE(oxl_buf_append_le32(&b, (uint32_t)n, NULL) == 0 && oxl_buf_append(&b, bytes, n, NULL) == 0 &&
                     oxl_buf_append(&b, frames, m, NULL) == 0);
        save_buf("journal_file", &b);
        place_free(place);
}

static int some_time(clockid_t clock, struct timespec *ret)
{
        (void)clock;
        *ret = (struct timespec){ .tv_sec = 1700000000 };
        return 0;
}

static void save_journal(void)
{
        counting.clock_gettime = some_time;
        FUZZ_REQUIRE(sqlite3_initialize() == SQLITE_OK);
        sqlite3_test_control(SQLITE_TESTCTRL_PRNG_SEED, 1, NULL); /* salts of the -wal */
        for (uint8_t flags = 0; flags < 4; flags++) {
                cleanup_buf struct oxl_buf rows = make_rows();
                save_flagged("journal_rows", flags, rows.data, rows.len);
        }
        save_odd_rows();
        save_journal_file(false);
        save_journal_file(true);
        save_whole_journal();
}

/* --- packs and their lookup ------------------------------------------------------------------------------------ */

static ssize_t next_bytes(void *buf, size_t n, unsigned flags)
{
        static uint8_t count;
        (void)flags;
        for (size_t i = 0; i < n; i++)
                ((uint8_t *)buf)[i] = count++;
        return (ssize_t)n;
}

/* Makes a pack of @blobs blobs, and with @metadata a tree and a commit. */
static void put_pack(struct oxl_objects *o, struct oxl_durable *d, unsigned from, unsigned blobs, bool metadata)
{
        struct oxl_put *p;
        struct oxl_digest id;
        char text[PATH_BYTES];
        FUZZ_REQUIRE(oxl_put_begin(o, &p, NULL) == 0);
        for (unsigned i = from; i < from + blobs; i++) {
                int n = snprintf(text, sizeof text, "%.*s%u", (int)(i % 13), "xxxxxxxxxxxxx", i);
                FUZZ_REQUIRE(oxl_put_object(p, OXL_KIND_BLOB, text, (size_t)n, &id, NULL) >= 0);
        }
        if (metadata) {
                FUZZ_REQUIRE(oxl_put_object(p, OXL_KIND_TREE, "a tree", 6, &id, NULL) >= 0);
                FUZZ_REQUIRE(oxl_put_object(p, OXL_KIND_COMMIT, "a commit", 8, &id, NULL) >= 0);
        }
        FUZZ_REQUIRE(oxl_put_finish(p, NULL) == 0 && oxl_put_publish(p, NULL) == 0);
        FUZZ_REQUIRE(oxl_durable_barrier(d, NULL) == 0);
        oxl_put_free(p);
}

/* The pack with a last record whose length, in its header and in the index, ends @over bytes behind where the index begins. */
static void save_reaching(uint8_t flags, const char *pack, size_t n, uint64_t over)
{
        cleanup_free uint8_t *bytes = fuzz_copy(pack, n);
        uint8_t *trailer = bytes + n - OXL_PACK_TRAILER_BYTES, *last = NULL;
        uint64_t index = le_load64(trailer + 8), entries = le_load64(trailer + 16);
        for (uint8_t *e = bytes + index; e < trailer && entries > 0; e += OXL_PACK_ENTRY_BYTES)
                if (!last || le_load64(e + 32) > le_load64(last + 32))
                        last = e;
        if (!last)
                return;
        uint8_t *record = bytes + le_load64(last + 32);
        uint64_t len = index + over - le_load64(last + 32) - OXL_PACK_RECORD_BYTES;
        le_store64(last + 40, len);
        le_store64(last + 48, len);
        le_store64(record + 16, len);
        le_store64(record + 24, len);
        save_flagged("pack", flags, bytes, n);
}

struct packs {
        const char *place;
        uint8_t flags;
};

static int save_pack(void *ctx, const struct oxl_digest *id, struct oxl_error *err)
{
        const struct packs *p = ctx;
        char path[96];
        size_t n;
        (void)err;
        oxl_pack_path(id, path);
        cleanup_free char *bytes = place_read(p->place, path, &n);
        save_flagged("pack", p->flags, bytes, n);
        for (uint64_t over = 0; over <= 64; over += 8)
                save_reaching(p->flags, bytes, n, over);
        return 0;
}

static void save_packs(enum oxl_algo algo)
{
        char *place = place_new();
        int root = place_open(place, ".", O_RDONLY | O_DIRECTORY);
        struct oxl_objects_config config = {
                .root_fd = root, .id = fuzz_repo, .blob_algo = algo, .pack_threshold = OXL_PACK_THRESHOLD_DEFAULT
        };
        struct oxl_objects *o;
        size_t n;
        FUZZ_REQUIRE(oxl_durable_new(root, place, 0xa1, &config.durable, NULL) == 0);
        FUZZ_REQUIRE(oxl_objects_open(&config, &o, NULL) == 0);
        put_pack(o, config.durable, 0, 1, false);
        put_pack(o, config.durable, 10, 6, false);
        put_pack(o, config.durable, 20, 3, true);
        FUZZ_REQUIRE(oxl_objects_refresh_lookup(o, true, NULL) >= 0);
        cleanup_free char *lookup = place_read(place, OXL_LOOKUP_PATH, &n);
        save("lookup", lookup, n);
        struct packs packs = { place, algo == OXL_ALGO_XXH3_128 };
        FUZZ_REQUIRE(oxl_pack_list(root, save_pack, &packs, NULL) == 0);
        oxl_objects_free(o);
        oxl_durable_free(config.durable);
        close(root);
        place_free(place);
}

int main(int argc, char **argv)
{
        FUZZ_REQUIRE(argc == 2);
        arg_folder = argv[1];
        FUZZ_REQUIRE(mkdir(arg_folder, 0777) == 0 || errno == EEXIST);
        oxl_digest_setup();
        counting = oxl_sys_real;
        counting.getrandom = next_bytes;
        oxl_sys = &counting;
        save_texts();
        save_config();
        save_commit(0, "first\n");
        save_commit(3, "\303\251 merge\n\nof three");
        save_commit_intent("refs/heads/main", OXL_ALGO_BLAKE3);
        save_commit_intent("HEAD", OXL_ALGO_XXH3_128);
        save_restore_intent(NULL);
        save_move_intent("switch", false);
        save_move_intent("undo", true);
        save_restore_intent("/tmp/\xff");
        for (uint8_t algo = 0; algo < 2; algo++) {
                save_index(algo, 0, 0, 1);
                save_index(algo, 30, 60, 3);
                save_index(algo | 2, 15, 4, 1); /* stale */
                save_run((uint8_t)(algo << 1), 12, 1);
                save_run((uint8_t)(algo << 1 | 1), 40, 5);
        }
        save_trees(6);
        save_trees(40);
        save_trees(300);
        save_journal();
        save_packs(OXL_ALGO_BLAKE3);
        save_packs(OXL_ALGO_XXH3_128);
        return 0;
}
