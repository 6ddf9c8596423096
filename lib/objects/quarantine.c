/* SPDX-License-Identifier: MIT */
/* Putting files into quarantine, see quarantine.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <oxenlite/json.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/hex.h"
#include "durable/mutant.h"
#include "objects/quarantine.h"
#include "objects/scan.h"
#include "os/fdio.h"

int oxl_quarantine_id(char ret[OXL_QUARANTINE_ID_BYTES], struct oxl_error *err)
{
        struct timespec now = { 0 };
        struct tm tm = { 0 };
        uint8_t random[4];
        size_t n = 0;
        if (oxl_random_bytes(random, sizeof random) < 0)
                return OXL_FAIL_OS(err, RANDOM, OXL_QUARANTINE);
        OXL_IGNORE(oxl_sys->clock_gettime(CLOCK_REALTIME, &now), "cannot fail for this clock");
        if (gmtime_r(&now.tv_sec, &tm))
                n = strftime(ret, OXL_QUARANTINE_ID_BYTES, "%Y%m%dT%H%M%S-", &tm);
        oxl_hex_encode(random, sizeof random, ret + n);
        return 0;
}

void oxl_quarantine_folder(const char *id, unsigned n, char ret[OXL_QUARANTINE_FOLDER_BYTES])
{
        OXL_IGNORE(snprintf(ret, OXL_QUARANTINE_FOLDER_BYTES, OXL_QUARANTINE "/%.31s/%u", id, n), "fits");
}

static const char *or_empty(const char *text)
{
        return text ? text : "";
}

static int print_note(const struct oxl_quarantine_note *note, const char *path, const struct stat *st, char **ret,
                      struct oxl_error *err)
{
        struct oxl_json *j = oxl_json_object();
        oxl_json_set_string(j, "schema", OXL_QUARANTINE_NOTE_SCHEMA);
        oxl_json_set_string(j, "finding", or_empty(note->finding));
        oxl_json_set_string(j, "slug", or_empty(note->slug));
        oxl_json_set_name(j, "path", path, strlen(path));
        oxl_json_set_string(j, "object", note->object && note->object[0] ? note->object : NULL);
        oxl_json_set_string(j, "expected", or_empty(note->expected));
        oxl_json_set_string(j, "actual", or_empty(note->actual));
        oxl_json_set_u64(j, "size", (uint64_t)st->st_size);
        oxl_json_set_u64(j, "inode", (uint64_t)st->st_ino);
        oxl_json_set_name(j, "source", or_empty(note->source), strlen(or_empty(note->source)));
        int r = oxl_json_print(j, ret, err);
        oxl_json_free(j);
        return r;
}

static int stage_sink(void *ctx, const void *bytes, size_t n, struct oxl_error *err)
{
        return bytes ? oxl_stage_write(ctx, bytes, n, err) : oxl_stage_skip(ctx, n, err);
}

/* Where there are no links. */
static int copy_file(struct oxl_durable *d, int root_fd, const char *path, const char *folder, const char *data,
                     const atomic_bool *cancel, struct oxl_error *err)
{
        struct oxl_stage *stage = NULL;
        uint64_t bytes;
        cleanup_fd int fd = oxl_open_beneath(root_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
        if (fd < 0)
                return OXL_FAIL_OS(err, FILE_OPEN, path);
        int r = oxl_stage_open(d, folder, "data", 0, &stage, err);
        if (r == 0)
                r = oxl_fd_scan(fd, path, NULL, stage_sink, stage, cancel, &bytes, err);
        if (r == 0)
                r = oxl_stage_sync(stage, err);
        if (r == 0)
                r = oxl_stage_publish(stage, data, true, err);
        oxl_stage_free(stage);
        return r;
}

static int link_file(struct oxl_durable *d, int root_fd, const char *path, const char *folder,
                     const atomic_bool *cancel, struct oxl_error *err)
{
        char data[OXL_QUARANTINE_FOLDER_BYTES + 8];
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        snprintf(data, sizeof data, "%s/data", folder);
        int r = oxl_durable_link(d, path, data, &why);
        if (r < 0 && why.code == OXL_E_FILE_LINK && (why.os == EPERM || why.os == EMLINK || why.os == EOPNOTSUPP))
                r = copy_file(d, root_fd, path, folder, data, cancel, err);
        else if (r < 0)
                return oxl_error_copy(err, &why);
        /* CRASH: the file has two names, or one; it is in its place either way */
        return r < 0 || OXL_MUTANT(QUARANTINE_WITHOUT_BARRIER) ? r : oxl_durable_barrier(d, err);
}

int oxl_quarantine_put(struct oxl_durable *d, int root_fd, const char *id, unsigned n, const char *path,
                       const struct oxl_quarantine_note *note, const atomic_bool *cancel, struct oxl_error *err)
{
        char folder[OXL_QUARANTINE_FOLDER_BYTES], name[OXL_QUARANTINE_FOLDER_BYTES + 8];
        cleanup_free char *text = NULL;
        struct stat st;
        if (oxl_fd_stat_at(root_fd, path, &st) < 0)
                return errno == ENOENT || errno == ENOTDIR ? 1 : OXL_FAIL_OS(err, FILE_STAT, path);
        if (!S_ISREG(st.st_mode))
                return OXL_FAIL_WHY(err, UNSUPPORTED, path, "it is not a regular file: move it away");
        int r = print_note(note, path, &st, &text, err);
        if (r < 0)
                return r;
        oxl_quarantine_folder(id, n, folder);
        snprintf(name, sizeof name, "%s/note", folder);
        r = oxl_durable_write(d, name, text, strlen(text), err);
        return r < 0 ? r : link_file(d, root_fd, path, folder, cancel, err);
}
