/* SPDX-License-Identifier: MIT */
/*
 * The files of a journal at rest, byte by byte: is every page of the database what was written, and does the -wal end with
 * its last whole transaction? SQLite itself reads a -wal up to the first frame that does not fit and takes the rest for
 * the leftovers of a power cut.
 *
 * At rest, with no transaction running, a -wal of ours holds a header, at least one whole transaction, and nothing else: a checkpoint
 * cuts it to nothing and writes one, and whoever opens the journal for writing and finds it otherwise (a killed process,
 * a power cut) settles that first (oxl_journal_settle). What fsck finds otherwise is therefore an interruption that nobody
 * looked at yet, or damage.
 *
 * Not covered: pages of the database that frames of the -wal replace, and bytes of the -shm: neither is ever read. A -wal that
 * was cut exactly between two transactions is a sound, shorter one.
 */
#include <stdio.h>
#include <string.h>

#include "base/le.h"
#include "journal/internal.h"
#include "os/fdio.h"

enum {
        WAL_HEADER_BYTES = 32,
        FRAME_HEADER_BYTES = 24,
        FRAME_BYTES = FRAME_HEADER_BYTES + OXL_JOURNAL_PAGE_BYTES,
        WAL_MAGIC = 0x377f0682, /* checksums over little-endian words; the lowest bit: big-endian */
        WAL_FORMAT = 3007000,
};

/* --- the -wal ---------------------------------------------------------------------------------------------------- */

static uint32_t be32(const uint8_t *p)
{
        return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

struct wal {
        bool big;          /* order of the words in checksums */
        uint32_t sum[2];   /* after the last frame that fitted */
        uint8_t salt[8];   /* of the header */
        uint8_t *replaced; /* owned; a bit for each page of which a transaction has a frame */
        size_t pages;      /* bits */
        uint32_t db_pages; /* as of the last transaction; 0: none */
        uint64_t end;      /* behind the last whole transaction */
};

static void wal_done(struct wal *w)
{
        free(w->replaced);
}

/* The checksum of https://www.sqlite.org/fileformat2.html, section 4.2. */
static void wal_sum(struct wal *w, const uint8_t *p, size_t n)
{
        for (size_t i = 0; i + 8 <= n; i += 8) {
                w->sum[0] += (w->big ? be32(p + i) : le_load32(p + i)) + w->sum[1];
                w->sum[1] += (w->big ? be32(p + i + 4) : le_load32(p + i + 4)) + w->sum[0];
        }
}

static bool wal_begin(struct wal *w, const uint8_t header[WAL_HEADER_BYTES])
{
        if ((be32(header) & ~1u) != WAL_MAGIC || be32(header + 4) != WAL_FORMAT ||
            be32(header + 8) != OXL_JOURNAL_PAGE_BYTES)
                return false;
        w->big = be32(header) & 1;
        memcpy(w->salt, header + 16, sizeof w->salt);
        wal_sum(w, header, 24);
        return w->sum[0] == be32(header + 24) && w->sum[1] == be32(header + 28);
}

static bool frame_fits(struct wal *w, const uint8_t *frame)
{
        if (be32(frame) == 0 || memcmp(frame + 8, w->salt, sizeof w->salt) != 0)
                return false;
        wal_sum(w, frame, 8);
        wal_sum(w, frame + FRAME_HEADER_BYTES, OXL_JOURNAL_PAGE_BYTES);
        return w->sum[0] == be32(frame + 16) && w->sum[1] == be32(frame + 20);
}

static void replace(struct wal *w, uint32_t page)
{
        if (page <= w->pages)
                w->replaced[(page - 1) / 8] |= (uint8_t)(1u << (page - 1) % 8);
}

static bool is_replaced(const struct wal *w, uint64_t page)
{
        return page <= w->pages && w->replaced[(page - 1) / 8] & 1u << (page - 1) % 8;
}

/* Marks the pages of the transaction that begins at @from and ends before w->end; its frames have been read and fit. */
static int mark(const struct oxl_journal *j, struct wal *w, int fd, uint64_t from, struct oxl_error *err)
{
        uint8_t number[4];
        for (uint64_t at = from; at < w->end; at += (uint64_t)FRAME_BYTES) {
                if (oxl_fd_pread_full(fd, number, sizeof number, at) != (ssize_t)sizeof number)
                        return OXL_FAIL_OS(err, FILE_READ, j->path);
                replace(w, be32(number));
        }
        return 0;
}

/* As SQLite's recovery reads it. */
static int read_frames(const struct oxl_journal *j, struct wal *w, int fd, struct oxl_error *err)
{
        cleanup_free uint8_t *frame = malloc(FRAME_BYTES);
        uint8_t header[WAL_HEADER_BYTES];
        if (!frame)
                return OXL_FAIL_PLAIN(err, NOMEM);
        ssize_t n = oxl_fd_pread_full(fd, header, sizeof header, 0);
        if (n < 0)
                return OXL_FAIL_OS(err, FILE_READ, j->path);
        if (n != (ssize_t)sizeof header || !wal_begin(w, header))
                return 0;
        w->end = WAL_HEADER_BYTES;
        for (uint64_t at = w->end;; at += (uint64_t)FRAME_BYTES) {
                n = oxl_fd_pread_full(fd, frame, FRAME_BYTES, at);
                if (n < 0)
                        return OXL_FAIL_OS(err, FILE_READ, j->path);
                if (n != FRAME_BYTES || !frame_fits(w, frame))
                        return 0;
                if (be32(frame + 4) == 0)
                        continue;
                uint64_t from = w->end;
                w->db_pages = be32(frame + 4);
                w->end = at + (uint64_t)FRAME_BYTES;
                int r = mark(j, w, fd, from, err);
                if (r < 0)
                        return r;
        }
}

static int read_wal(struct oxl_journal *j, int dirfd, struct wal *w, struct oxl_error *err)
{
        cleanup_fd int fd = oxl_fd_open(dirfd, "journal.db-wal", O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
        if (fd < 0)
                return errno == ENOENT ? 0 : OXL_FAIL_OS(err, FILE_OPEN, j->path);
        int r = read_frames(j, w, fd, err);
        j->rest.wal_end = w->end;
        return r;
}

/* --- the database ------------------------------------------------------------------------------------------------ */

static void blame(struct oxl_journal *j, uint64_t page, const char *what)
{
        if (!j->rest.why[0])
                snprintf(j->rest.why, sizeof j->rest.why, "page %llu %s", (unsigned long long)page, what);
}

static void judge(struct oxl_journal *j, const struct wal *w, uint64_t number, const uint8_t *page)
{
        if (is_replaced(w, number))
                return;
        if (number == 1 && page[20] != OXL_JOURNAL_SUM_BYTES)
                blame(j, number, "says that pages have no checksums");
        switch (oxl_journal_page_check(&j->id, (uint32_t)number, page)) {
        case OXL_JOURNAL_PAGE_GOOD: break;
        case OXL_JOURNAL_PAGE_EMPTY: j->rest.empty_pages++; break;
        case OXL_JOURNAL_PAGE_BAD: blame(j, number, "does not match its checksum"); break;
        }
}

/* @n pages were read; how many there must be, the -wal says, else the header. */
static void judge_size(struct oxl_journal *j, const struct wal *w, uint64_t n, uint32_t header_pages, bool part)
{
        uint64_t want = w->db_pages ? w->db_pages : header_pages;
        for (uint64_t i = n + 1; i <= want; i++)
                if (!is_replaced(w, i)) {
                        blame(j, i, "is missing");
                        return;
                }
        if (part && !is_replaced(w, n + 1))
                blame(j, n + 1, "is not whole");
}

static int read_pages(struct oxl_journal *j, const struct wal *w, int fd, struct oxl_error *err)
{
        cleanup_free uint8_t *page = malloc(OXL_JOURNAL_PAGE_BYTES);
        uint32_t header_pages = 0;
        if (!page)
                return OXL_FAIL_PLAIN(err, NOMEM);
        for (uint64_t number = 1;; number++) {
                ssize_t n = oxl_fd_pread_full(fd, page, OXL_JOURNAL_PAGE_BYTES, (number - 1) * OXL_JOURNAL_PAGE_BYTES);
                if (n < 0)
                        return OXL_FAIL_OS(err, FILE_READ, j->path);
                if (n != OXL_JOURNAL_PAGE_BYTES) {
                        judge_size(j, w, number - 1, header_pages, n > 0);
                        return 0;
                }
                if (number == 1)
                        header_pages = be32(page + 28);
                judge(j, w, number, page);
        }
}

/* A rollback journal that waits to be played back says that pages may be half written. */
static int awaits_rollback(const struct oxl_journal *j, int dirfd, bool *ret, struct oxl_error *err)
{
        struct stat st;
        *ret = false;
        if (oxl_fd_stat_at(dirfd, "journal.db-journal", &st) == 0)
                *ret = st.st_size > 0;
        else if (errno != ENOENT)
                return OXL_FAIL_OS(err, FILE_STAT, j->path);
        return 0;
}

int oxl_journal_look_at_rest(struct oxl_journal *j, int dirfd, struct oxl_error *err)
{
        cleanup(wal_done) struct wal w = { 0 };
        struct stat st, wal = { 0 };
        bool rollback = false;
        cleanup_fd int fd = oxl_fd_open(dirfd, "journal.db", O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
        j->rest = (struct oxl_journal_rest){ 0 };
        if (fd < 0)
                return OXL_FAIL_OS(err, FILE_OPEN, j->path);
        if (oxl_fd_stat(fd, &st) < 0 || (oxl_fd_stat_at(dirfd, "journal.db-wal", &wal) < 0 && errno != ENOENT))
                return OXL_FAIL_OS(err, FILE_STAT, j->path);
        /* SQLite numbers new pages without gaps */
        w.pages = (size_t)(st.st_size / OXL_JOURNAL_PAGE_BYTES + wal.st_size / FRAME_BYTES) + 1;
        w.replaced = calloc(w.pages / 8 + 1, 1);
        if (!w.replaced)
                return OXL_FAIL_PLAIN(err, NOMEM);
        j->rest.wal_size = (uint64_t)wal.st_size;
        int r = read_wal(j, dirfd, &w, err);
        if (r == 0)
                r = awaits_rollback(j, dirfd, &rollback, err);
        return r < 0 || rollback ? r : read_pages(j, &w, fd, err);
}

int oxl_journal_verify_rest(struct oxl_journal *j, struct oxl_error *err)
{
        int64_t unused;
        if (j->rest.why[0])
                return oxl_journal_damaged(j, j->rest.why, err);
        int r = oxl_journal_query(j, "PRAGMA freelist_count", &unused, err);
        if (r < 0)
                return r;
        return j->rest.empty_pages <= (uint64_t)unused ? 0 : oxl_journal_damaged(j, "a page in use is all zeros", err);
}

bool oxl_journal_tail_whole(const struct oxl_journal *j, uint64_t *ret_end)
{
        *ret_end = j->rest.wal_end;
        return !j->wal || (j->rest.wal_end > WAL_HEADER_BYTES && j->rest.wal_size == j->rest.wal_end);
}

/* --- settling ---------------------------------------------------------------------------------------------------- */

/* The number of frames that SQLite found valid, from its index of the -wal (fileformat2, walformat: offset 16). */
static int valid_frames(struct oxl_journal *j, uint64_t *ret, struct oxl_error *err)
{
        enum { INDEX_BYTES = 32768, AT = 16 };
        sqlite3_file *file = NULL;
        void volatile *index = NULL;
        int rc = sqlite3_file_control(j->db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
        if (rc == SQLITE_OK)
                rc = file && file->pMethods ? file->pMethods->xShmMap(file, 0, INDEX_BYTES, 0, &index)
                                            : SQLITE_INTERNAL;
        if (rc != SQLITE_OK)
                return oxl_journal_fail(j, rc, err);
        *ret = 0;
        if (index)
                *ret = ((const volatile uint32_t *)index)[AT / sizeof(uint32_t)];
        return 0;
}

int oxl_journal_settle(struct oxl_journal *j, uint64_t wal_size, struct oxl_error *err)
{
        uint64_t frames = 0;
        int r = valid_frames(j, &frames, err);
        if (r < 0 || (frames > 0 && wal_size == WAL_HEADER_BYTES + frames * (uint64_t)FRAME_BYTES))
                return r;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        r = oxl_journal_truncate_wal(j, &why);
        /* No space, or a foreign reader: the tail stays where it is, as it was before; nothing depends on it. */
        bool harmless = why.code == OXL_E_LOCKED || why.os == ENOSPC || why.os == EDQUOT;
        if (r == 0 || (harmless && !j->poisoned))
                return 0;
        return oxl_error_copy(err, &why);
}
