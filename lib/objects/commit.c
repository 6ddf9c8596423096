/* SPDX-License-Identifier: MIT */
/*
 * Commit objects as text (docs/FORMAT.md section 5.2).
 *
 * Each commit has exactly one text: whatever decode accepts, encode writes back byte for byte (the tests change every
 * byte of a commit and check this). Otherwise one history could have several ids.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/fail.h"
#include "base/utf8.h"
#include "objects/commit.h"

#define COMMIT_HEADER "oxen-lite commit 1\n"
#define ZONE_MIN (-12 * 60)
#define ZONE_MAX (14 * 60)

void oxl_commit_done(struct oxl_commit *c)
{
        int saved = errno;
        free(c->author);
        free(c->message);
        *c = (struct oxl_commit)OXL_COMMIT_INIT;
        errno = saved;
}

/* --- rules that both directions share; each says why not, or NULL --- */

/* C0, DEL, and C1 in its UTF-8 form (c2 80 to c2 9f): they end lines or steer terminals. */
static bool has_control(const uint8_t *p, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (p[i] < 0x20 || p[i] == 0x7f || (p[i] == 0xc2 && i + 1 < n && p[i + 1] < 0xa0))
                        return true;
        return false;
}

static const char *author_problem(struct oxl_bytes author)
{
        if (author.len > OXL_AUTHOR_MAX)
                return "an author has at most 1,024 bytes";
        if (!oxl_utf8_valid(author.data, author.len))
                return "the author is not UTF-8";
        return has_control(author.data, author.len) ? "the author holds a control character" : NULL;
}

static const char *message_problem(struct oxl_bytes message)
{
        if (message.len > OXL_MESSAGE_MAX)
                return "a message has at most 1 MiB";
        if (message.len > 0 && memchr(message.data, 0, message.len))
                return "the message holds a NUL byte";
        return oxl_utf8_valid(message.data, message.len) ? NULL : "the message is not UTF-8";
}

static const char *parents_problem(const struct oxl_commit *c)
{
        if (c->parents > OXL_PARENTS_MAX)
                return "a commit has at most 16 parents";
        for (unsigned i = 0; i < c->parents; i++)
                for (unsigned k = 0; k < i; k++)
                        if (oxl_digest_equal(&c->parent[i], &c->parent[k]))
                                return "a parent is named twice";
        return NULL;
}

static const char *zone_problem(int minutes)
{
        return minutes < ZONE_MIN || minutes > ZONE_MAX ? "the time zone is out of range" : NULL;
}

/* --- encoding --- */

static const char *commit_problem(const struct oxl_commit *c)
{
        const char *problem = parents_problem(c);
        if (!problem)
                problem = author_problem(oxl_bytes_text(c->author ? c->author : ""));
        if (!problem)
                problem = zone_problem(c->zone_minutes);
        if (!problem)
                problem = message_problem(oxl_bytes_text(c->message ? c->message : ""));
        return problem;
}

static int append_id(struct oxl_buf *to, const char *keyword, const struct oxl_digest *id, struct oxl_error *err)
{
        OXL_ASSERT(id->algo == OXL_ALGO_BLAKE3);
        char text[OXL_DIGEST_TEXT_MAX];
        oxl_digest_text(id, text);
        return oxl_buf_append_fmt(to, err, "%s %s\n", keyword, text);
}

int oxl_commit_encode(const struct oxl_commit *c, struct oxl_buf *ret, struct oxl_error *err)
{
        const char *problem = commit_problem(c);
        if (problem)
                return OXL_FAIL_WHY(err, INVALID, "commit", problem);
        cleanup_buf struct oxl_buf b = OXL_BUF_INIT;
        int r = oxl_buf_append_text(&b, COMMIT_HEADER, err);
        if (r == 0)
                r = append_id(&b, "tree", &c->tree, err);
        for (unsigned i = 0; r == 0 && i < c->parents; i++)
                r = append_id(&b, "parent", &c->parent[i], err);
        int zone = c->zone_minutes < 0 ? -c->zone_minutes : c->zone_minutes;
        if (r == 0)
                r = oxl_buf_append_fmt(&b, err, "author %s\ntime %" PRId64 " %c%02d%02d\n\n",
                                       c->author ? c->author : "", c->seconds, c->zone_minutes < 0 ? '-' : '+',
                                       zone / 60, zone % 60);
        if (r == 0)
                r = oxl_buf_append_text(&b, c->message ? c->message : "", err);
        return r < 0 ? r : oxl_buf_append(ret, b.data, b.len, err);
}

/* --- decoding --- */

/* Takes @text from the front of @rest if it is there. */
static bool take_text(struct oxl_bytes *rest, const char *text)
{
        size_t n = strlen(text);
        if (rest->len < n || memcmp(rest->data, text, n) != 0)
                return false;
        rest->data += n;
        rest->len -= n;
        return true;
}

/* Takes the bytes before the next LF, and the LF. */
static bool take_line(struct oxl_bytes *rest, struct oxl_bytes *ret)
{
        const uint8_t *lf = rest->len > 0 ? memchr(rest->data, '\n', rest->len) : NULL;
        if (!lf)
                return false;
        size_t n = (size_t)(lf - rest->data);
        *ret = oxl_bytes_of(rest->data, n);
        rest->data += n + 1;
        rest->len -= n + 1;
        return true;
}

/* Takes "<64 hex>\n". */
static bool take_id(struct oxl_bytes *rest, struct oxl_digest *ret)
{
        struct oxl_bytes line;
        char text[OXL_DIGEST_TEXT_MAX];
        if (!take_line(rest, &line) || line.len != sizeof text - 1)
                return false;
        memcpy(text, line.data, line.len);
        text[line.len] = 0;
        return oxl_digest_parse(OXL_ALGO_BLAKE3, text, ret);
}

static bool is_digit(uint8_t c)
{
        return c >= '0' && c <= '9';
}

/* Takes a decimal i64 in its one form: no '+', no leading zero, no "-0". */
static bool take_seconds(struct oxl_bytes *rest, int64_t *ret)
{
        bool negative = take_text(rest, "-");
        if (rest->len == 0 || (rest->data[0] == '0' && (negative || (rest->len > 1 && is_digit(rest->data[1])))))
                return false;
        int64_t v = 0; /* counted on the negative side, which reaches one further */
        size_t n = 0;
        for (; n < rest->len && is_digit(rest->data[n]); n++)
                if (__builtin_mul_overflow(v, 10, &v) || __builtin_sub_overflow(v, rest->data[n] - '0', &v))
                        return false;
        if (n == 0 || (!negative && v == INT64_MIN))
                return false;
        rest->data += n;
        rest->len -= n;
        *ret = negative ? v : -v;
        return true;
}

/* Takes "<+hhmm>\n"; zero is "+0000". */
static bool take_zone(struct oxl_bytes *rest, int *ret)
{
        struct oxl_bytes line;
        if (!take_line(rest, &line) || line.len != 5 || (line.data[0] != '+' && line.data[0] != '-'))
                return false;
        int digit[4];
        for (size_t i = 0; i < 4; i++) {
                if (!is_digit(line.data[i + 1]))
                        return false;
                digit[i] = line.data[i + 1] - '0';
        }
        int minutes = (digit[0] * 10 + digit[1]) * 60 + digit[2] * 10 + digit[3];
        bool negative = line.data[0] == '-';
        if (digit[2] >= 6 || (negative && minutes == 0))
                return false;
        *ret = negative ? -minutes : minutes;
        return zone_problem(*ret) == NULL;
}

/* Reads all but the texts, which are left in @ret_author and @rest. */
static const char *read_fields(struct oxl_bytes *rest, struct oxl_commit *c, struct oxl_bytes *ret_author)
{
        if (!take_text(rest, COMMIT_HEADER))
                return "it is no commit of version 1";
        if (!take_text(rest, "tree ") || !take_id(rest, &c->tree))
                return "its tree line";
        while (take_text(rest, "parent ")) {
                if (c->parents == OXL_PARENTS_MAX)
                        return "a commit has at most 16 parents";
                if (!take_id(rest, &c->parent[c->parents++]))
                        return "a parent line";
        }
        if (!take_text(rest, "author ") || !take_line(rest, ret_author))
                return "its author line";
        if (!take_text(rest, "time ") || !take_seconds(rest, &c->seconds) || !take_text(rest, " ") ||
            !take_zone(rest, &c->zone_minutes))
                return "its time line";
        return take_text(rest, "\n") ? NULL : "no empty line before the message";
}

static int copy_text(struct oxl_bytes text, char **ret, struct oxl_error *err)
{
        char *p = malloc(text.len + 1);
        if (!p)
                return OXL_FAIL_PLAIN(err, NOMEM);
        if (text.len > 0)
                memcpy(p, text.data, text.len);
        p[text.len] = 0;
        *ret = p;
        return 0;
}

int oxl_commit_decode(struct oxl_bytes payload, const char *name, struct oxl_commit *ret, struct oxl_error *err)
{
        cleanup(oxl_commit_done) struct oxl_commit c = OXL_COMMIT_INIT;
        struct oxl_bytes author = OXL_BYTES_INIT, message = payload;
        const char *problem = read_fields(&message, &c, &author);
        if (!problem)
                problem = parents_problem(&c);
        if (!problem)
                problem = author_problem(author);
        if (!problem)
                problem = message_problem(message);
        if (problem)
                return OXL_FAIL_WHY(err, MALFORMED, name, problem);
        int r = copy_text(author, &c.author, err);
        if (r == 0)
                r = copy_text(message, &c.message, err);
        if (r < 0)
                return r;
        *ret = c;
        c = (struct oxl_commit)OXL_COMMIT_INIT;
        return 0;
}

int oxl_commit_read(struct oxl_objects *o, const struct oxl_digest *id, struct oxl_commit *ret, struct oxl_error *err)
{
        char name[sizeof "commit " + OXL_DIGEST_TEXT_MAX] = "commit ";
        oxl_digest_text(id, name + strlen(name));
        cleanup_buf struct oxl_buf payload = OXL_BUF_INIT;
        int r = oxl_objects_read(o, OXL_KIND_COMMIT, id, OXL_METADATA_MAX, &payload, err);
        return r < 0 ? r : oxl_commit_decode(oxl_buf_bytes(&payload), name, ret, err);
}
