/* SPDX-License-Identifier: MIT */
/*
 * What is damaged, or does not answer, at the source: its objects come one by one, each from whatever copy of it is good. They
 * lie in a pack of their own at the destination. What has no good copy is named and left out; nothing at the
 * destination is touched for it.
 * What a crash leaves: temps, or whole objects that nothing refers to.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "objects/loose.h"
#include "objects/pack.h"
#include "objects/quarantine.h"
#include "os/fdio.h"
#include "repo/copy.h"

enum { NOTICES_MAX = 100 };

static void pack_free(struct oxl_pack **p)
{
        oxl_pack_free(*p);
}

static void put_free(struct oxl_put **p)
{
        oxl_put_free(*p);
}

static void stage_free(struct oxl_stage **s)
{
        oxl_stage_free(*s);
}

static bool is_medium(enum oxl_code code)
{
        return code == OXL_E_FILE_READ || code == OXL_E_FILE_OPEN;
}

/* 0: named and left out; < 0: no reason to go on. */
static int leave_out(struct oxl_copying *c, const char *path, const char *text, struct oxl_error *why,
                     struct oxl_error *err)
{
        if (!oxl_copying_is_damage(why->code) && !is_medium(why->code)) {
                int code = (int)why->code;
                oxl_error_move(err, why);
                return -code;
        }
        if (c->result->damaged++ < NOTICES_MAX)
                oxl_copying_miss(c, path, text, why);
        else
                oxl_error_done(why);
        return 0;
}

static const char *kind_name(unsigned kind)
{
        return kind == OXL_KIND_TREE ? "tree" : kind == OXL_KIND_COMMIT ? "commit" : "blob";
}

static int bring_object(struct oxl_copying *c, struct oxl_put *put, const char *path, const struct oxl_pack_entry *e,
                        struct oxl_buf *bytes, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        char id[OXL_DIGEST_TEXT_MAX], text[OXL_DIGEST_TEXT_MAX + 80];
        struct oxl_digest same;
        int k = oxl_copying_step(c, 0, err);
        if (k < 0)
                return k;
        k = oxl_objects_read(c->from_objects, (enum oxl_kind)e->kind, &e->id, OXL_PACK_THRESHOLD_MAX, bytes, &why);
        if (k < 0) {
                oxl_digest_text(&e->id, id);
                snprintf(text, sizeof text, "%s %s has no good copy here; it is left out", kind_name(e->kind), id);
                return leave_out(c, path, text, &why, err);
        }
        k = oxl_put_object(put, (enum oxl_kind)e->kind, bytes->data, bytes->len, &same, err);
        c->result->rescued += k == OXL_PUT_STORED || k == OXL_PUT_HEALED;
        return k < 0 ? k : 0;
}

int oxl_copy_rescue_pack(struct oxl_copying *c, const struct oxl_digest *id, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        cleanup(pack_free) struct oxl_pack *pack = NULL;
        cleanup(put_free) struct oxl_put *put = NULL;
        cleanup_buf struct oxl_buf bytes = OXL_BUF_INIT;
        const struct oxl_format *f = &c->from->format;
        struct oxl_pack_entry e;
        char path[OXL_LOOSE_PATH_MAX];
        oxl_pack_path(id, path);
        int k = oxl_pack_open(c->from->root_fd, path, id, &f->id, f->blob_algo, &pack, &why);
        if (k >= 0)
                k = oxl_pack_load_index(pack, &why);
        if (k < 0)
                return leave_out(c, path, "the index of this pack is damaged, so what only it holds is left out", &why,
                                 err);
        k = oxl_put_begin(c->to_objects, &put, err);
        for (uint64_t i = 0; k >= 0 && i < oxl_pack_entries(pack); i++) {
                oxl_pack_entry_at(pack, i, &e);
                if (!(e.flags & OXL_PACK_SECOND_COPY))
                        k = bring_object(c, put, path, &e, &bytes, err);
        }
        if (k >= 0)
                k = oxl_put_finish(put, err);
        if (k >= 0)
                k = oxl_put_publish(put, err);
        return k < 0 ? k : oxl_durable_barrier(c->to->durable, err);
}

static int write_piece(void *ctx, const void *bytes, size_t n, struct oxl_error *err)
{
        return bytes ? oxl_stage_write(ctx, bytes, n, err) : oxl_stage_skip(ctx, n, err);
}

/* What is at the destination under this name, and would be replaced. It was damaged when it was looked at, or it is not there.
 * CRASH: a second name in quarantine of what is still in its place. */
static int keep_damaged(struct oxl_copying *c, const struct oxl_digest *id, const char *path, struct oxl_error *err)
{
        char quarantine[OXL_QUARANTINE_ID_BYTES], want[OXL_DIGEST_TEXT_MAX], finding[17];
        struct stat st;
        if (oxl_fd_stat_at(c->to->root_fd, path, &st) < 0)
                return errno == ENOENT || errno == ENOTDIR ? 0 : OXL_FAIL_OS(err, FILE_STAT, path);
        oxl_digest_text(id, want);
        oxl_digest_label((const char *const[]){ "blob-damaged", path, "" }, 3, 0, finding);
        const struct oxl_quarantine_note note = {
                .finding = finding, .slug = "blob-damaged", .expected = want, .source = "good bytes that were copied"
        };
        int k = oxl_quarantine_id(quarantine, err);
        if (k >= 0)
                k = oxl_quarantine_put(c->to->durable, c->to->root_fd, quarantine, 1, path, &note,
                                       c->from->options.cancel, err);
        return k < 0 ? k : 0;
}

/* Under its name only when it hashes to it as it lies there. */
static int publish_loose(struct oxl_copying *c, struct oxl_stage *stage, const struct oxl_digest *id, const char *path,
                         struct oxl_error *err)
{
        struct oxl_digest got;
        uint64_t bytes;
        int k = oxl_stage_sync(stage, err);
        if (k < 0)
                return k;
        cleanup_fd int fd = oxl_open_beneath(c->to->root_fd, oxl_stage_path(stage), O_RDONLY | O_NOFOLLOW, 0);
        if (fd < 0)
                return OXL_FAIL_OS(err, FILE_OPEN, oxl_stage_path(stage));
        OXL_IGNORE(oxl_sys->fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), "then the cache answers, as on tmpfs");
        k = oxl_fd_digest(fd, path, c->to->format.blob_algo, c->from->options.cancel, &got, &bytes, err);
        if (k >= 0 && !oxl_digest_equal(&got, id))
                k = OXL_FAIL_OBJECT(err, DIGEST, path, id, &got);
        if (k >= 0)
                k = keep_damaged(c, id, path, err);
        if (k >= 0)
                k = oxl_stage_publish(stage, path, false, err);
        return k < 0 ? k : oxl_durable_barrier(c->to->durable, err);
}

int oxl_copy_rescue_loose(struct oxl_copying *c, const struct oxl_digest *id, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        cleanup(stage_free) struct oxl_stage *stage = NULL;
        char path[OXL_LOOSE_PATH_MAX];
        oxl_loose_path(id, path);
        /* First: is there any good copy at all? What the destination's own medium says is no damage of the source. */
        int k = oxl_objects_stream(c->from_objects, id, NULL, NULL, c->from->options.cancel, &why);
        if (k < 0)
                return leave_out(c, path, "is damaged and has no good copy here; it is left out", &why, err);
        k = oxl_stage_open(c->to->durable, "versions/tmp", "blob", OXL_STAGE_READ_ONLY, &stage, err);
        if (k >= 0)
                k = oxl_objects_stream(c->from_objects, id, write_piece, stage, c->from->options.cancel, err);
        if (k >= 0)
                k = publish_loose(c, stage, id, path, err);
        c->result->rescued += k >= 0;
        return k < 0 ? k : 0;
}
