/* SPDX-License-Identifier: MIT */
/* The model disk in words: what happened, a crash as a point that can be tried again, what is on the disk. */
#include <stdlib.h>
#include <string.h>

#include "crash/modelfs_image.h"

enum { TEXT_BYTES = 1200 };

/* --- operations ---------------------------------------------------------------------------------------------------- */

static void path_of(const struct mimage *im, uint32_t ino, char *ret, size_t size)
{
        ret[0] = 0;
        for (uint32_t at = ino; at != MODELFS_ROOT;) {
                uint32_t dir = 0;
                const char *name = NULL;
                for (uint32_t i = 1; i < im->n && !name; i++)
                        for (size_t k = 0; k < im->inodes[i]->n && !name; k++)
                                if (im->inodes[i]->entries[k].ino == at)
                                        dir = i, name = im->inodes[i]->entries[k].name->text;
                char longer[512];
                if (!name) {
                        snprintf(ret, size, "(inode %u)", at);
                        return;
                }
                if (snprintf(longer, sizeof longer, "/%s%s", name, ret) >= (int)sizeof longer)
                        return;
                snprintf(ret, size, "%s", longer);
                at = dir;
        }
}

static void op_text(const struct modelfs *fs, const struct mop *op, char *ret, size_t size)
{
        static const char *const kinds[] = { "write", "size", "attr", "add", "del", "rename" };
        char a[512] = "", b[512] = "";
        if (op->kind < MOP_ADD) {
                path_of(&fs->now, op->ino, a, sizeof a);
                snprintf(ret, size, "%s %s at %llu, %zu bytes", kinds[op->kind], a, (unsigned long long)op->at, op->n);
                return;
        }
        path_of(&fs->now, op->dir, a, sizeof a);
        if (op->dir2)
                path_of(&fs->now, op->dir2, b, sizeof b);
        snprintf(ret, size, "%s %s/%s%s%s%s%s", kinds[op->kind], a, op->name, op->name2 ? " to " : "", b,
                 op->name2 ? "/" : "", op->name2 ? op->name2 : "");
}

char *modelfs_last(const struct modelfs *fs)
{
        char *text = mfs_alloc(1200);
        char path[512] = "";
        if (fs->last_is_sync && fs->last_synced)
                path_of(&fs->now, fs->last_synced, path, sizeof path);
        if (fs->last_is_sync)
                snprintf(text, 1200, "sync %s", path);
        else if (fs->log_n > 0)
                op_text(fs, &fs->log[fs->log_n - 1], text, 1200);
        return text;
}

/* --- the log --------------------------------------------------------------------------------------------------------- */

void modelfs_tell(struct modelfs *fs, FILE *out)
{
        fs->told.out = out;
        if (fs->told.n == 0)
                fs->told.first = fs->ops + 1;
}

static void note(struct modelfs *fs, const char *text)
{
        struct mtold *t = &fs->told;
        size_t n = strlen(text) + 1;
        t->line = mfs_grow(t->line, (t->n + 1) * sizeof *t->line);
        t->line[t->n++] = memcpy(mfs_alloc(n), text, n);
}

void modelfs_note_op(struct modelfs *fs, const struct mop *op)
{
        char text[TEXT_BYTES];
        if (!fs->told.out)
                return;
        op_text(fs, op, text, sizeof text);
        note(fs, text);
}

void modelfs_note_sync(struct modelfs *fs, bool failed)
{
        char path[512] = " everything", text[600];
        if (!fs->told.out)
                return;
        if (fs->last_synced)
                path_of(&fs->now, fs->last_synced, path + 1, sizeof path - 1);
        snprintf(text, sizeof text, "sync%s%s", path, failed ? " (fails)" : "");
        note(fs, text);
}

void modelfs_words_copy(struct modelfs *fs, const struct modelfs *from)
{
        fs->told.out = from->told.out;
        fs->told.first = from->told.first;
        for (size_t i = 0; i < from->told.n; i++)
                note(fs, from->told.line[i]);
}

void modelfs_words_done(struct modelfs *fs)
{
        for (size_t i = 0; i < fs->told.n; i++)
                free(fs->told.line[i]);
        free(fs->told.line);
        free(fs->watch.replay.point);
}

/* How operation @number fared. */
static char fate(const struct modelfs *fs, const struct mselection *s, uint64_t number)
{
        size_t k = 0;
        for (size_t i = 0; i < fs->log_n; i++) {
                const struct mop *op = &fs->log[i];
                bool pending = !op->durable && !op->lost;
                if (op->number == number && !pending)
                        return op->lost ? '!' : '=';
                if (op->number == number)
                        return !s ? '~' : k == s->torn ? '/' : s->chosen[k] ? '+' : '-';
                k += pending;
        }
        return '=';
}

void modelfs_say_log(const struct modelfs *fs, const struct mselection *s)
{
        const struct mtold *t = &fs->told;
        if (!t->out)
                return;
        fprintf(t->out, "  = durable  + survives  / in part  - lost  ~ in the cache only  ! lost by a failed sync\n");
        for (size_t i = 0; i < t->n; i++) {
                bool sync = strncmp(t->line[i], "sync", 4) == 0;
                fprintf(t->out, "%6llu %c %s\n", (unsigned long long)(t->first + i),
                        sync ? ' ' : fate(fs, s, t->first + i), t->line[i]);
        }
}

/* --- what is there ---------------------------------------------------------------------------------------------------- */

static void say_path(void *ctx, const char *path)
{
        struct stat st;
        if (modelfs_sys.fstatat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return;
        if (S_ISDIR(st.st_mode))
                fprintf(ctx, "         %s/\n", path);
        else
                fprintf(ctx, "%8lld %s\n", (long long)st.st_size, path);
}

void modelfs_say_tree(const struct modelfs *fs, FILE *out)
{
        modelfs_each(fs, say_path, out);
}

/* --- points ------------------------------------------------------------------------------------------------------------ */

static void add_range(char *text, uint64_t from, uint64_t to)
{
        size_t n = strlen(text);
        const char *comma = text[n - 1] == ' ' ? "" : ",";
        if (from == to)
                snprintf(text + n, TEXT_BYTES - n, "%s%llu", comma, (unsigned long long)from);
        else
                snprintf(text + n, TEXT_BYTES - n, "%s%llu-%llu", comma, (unsigned long long)from,
                         (unsigned long long)to);
}

char *modelfs_point(const struct modelfs *fs)
{
        const struct mselection *s = fs->watch.at;
        char *text = mfs_alloc(TEXT_BYTES);
        if (!s)
                return text;
        snprintf(text, TEXT_BYTES, "cut %llu acked %u lost ", (unsigned long long)fs->ops, fs->watch.acked);
        for (size_t i = 0; i < s->n;) {
                size_t k = i;
                for (; k < s->n && !s->chosen[k]; k++)
                        continue;
                if (k > i)
                        add_range(text, fs->log[s->ops[i]].number, fs->log[s->ops[k - 1]].number);
                i = k > i ? k : i + 1;
        }
        size_t n = strlen(text);
        if (text[n - 1] == ' ')
                snprintf(text + n, TEXT_BYTES - n, "0");
        if (s->torn != MODELFS_NO_TEAR)
                snprintf(text + strlen(text), TEXT_BYTES - strlen(text), " torn %llu@%zu",
                         (unsigned long long)fs->log[s->ops[s->torn]].number, s->cut);
        return text;
}

/* Is @number among "3,7-9"? */
static bool within(const char *ranges, uint64_t number)
{
        for (const char *at = ranges; *at && *at != ' ';) {
                char *end;
                uint64_t from = strtoull(at, &end, 10), to = *end == '-' ? strtoull(end + 1, &end, 10) : from;
                if (number >= from && number <= to)
                        return true;
                if (end == at)
                        return false;
                at = end + (*end == ',');
        }
        return false;
}

bool modelfs_replay(struct modelfs *fs, const char *point)
{
        struct mreplay *r = &fs->watch.replay;
        unsigned long long op, torn, cut;
        int lost_at = 0;
        if (sscanf(point, "cut %llu acked %u lost %n", &op, &r->acked, &lost_at) != 2 || lost_at == 0)
                return false;
        size_t n = strlen(point) + 1;
        r->point = memcpy(mfs_alloc(n), point, n);
        r->lost = r->point + lost_at;
        r->op = op;
        const char *at = strstr(r->lost, "torn ");
        if (at && sscanf(at, "torn %llu@%llu", &torn, &cut) == 2)
                r->torn = torn, r->cut = cut;
        return true;
}

bool modelfs_replayed(const struct modelfs *fs)
{
        return fs->watch.replay.done;
}

bool modelfs_replay_now(struct modelfs *fs, struct mselection *s)
{
        struct mreplay *r = &fs->watch.replay;
        if (r->done || fs->ops != r->op || fs->watch.acked != r->acked)
                return false;
        for (size_t i = 0; i < s->n; i++) {
                uint64_t number = fs->log[s->ops[i]].number;
                s->chosen[i] = !within(r->lost, number);
                if (r->torn == number)
                        s->torn = i, s->cut = (size_t)r->cut;
        }
        r->done = true;
        return true;
}

void modelfs_tell_now(const struct modelfs *fs)
{
        modelfs_say_log(fs, NULL);
}
