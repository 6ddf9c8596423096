/* SPDX-License-Identifier: MIT */
/* Images of the model disk: inodes, names, content shared until written; applying operations; hashing. */
#include <stdlib.h>
#include <string.h>

#include "crash/modelfs_image.h"

void *mfs_alloc(size_t n)
{
        void *p = calloc(1, n ? n : 1);
        if (!p)
                abort();
        return p;
}

void *mfs_grow(void *p, size_t size)
{
        p = realloc(p, size);
        if (!p)
                abort();
        return p;
}

static char *copy_text(const char *s)
{
        size_t n = strlen(s) + 1;
        return memcpy(mfs_alloc(n), s, n);
}

/* --- inodes ----------------------------------------------------------------------------------------------------- */

static void blob_unref(struct mblob *b)
{
        if (b && --b->refs == 0)
                free(b);
}

/* Makes the content of @node its own, with room for @size bytes; what is new is zero. */
static uint8_t *blob_own(struct minode *node, size_t size)
{
        struct mblob *old = node->blob;
        size_t have = old ? old->cap : 0;
        if (old && old->refs == 1 && have >= size)
                return old->bytes;
        size_t cap = size > have ? size + MODELFS_PAGE : have;
        struct mblob *b = mfs_alloc(sizeof *b + cap);
        b->refs = 1;
        b->cap = cap;
        if (old)
                memcpy(b->bytes, old->bytes, have);
        blob_unref(old);
        node->blob = b;
        return b->bytes;
}

uint32_t mimage_new_inode(struct mimage *im, mode_t mode)
{
        if (im->n == im->cap) {
                im->cap = im->cap ? im->cap * 2 : 16;
                im->inodes = mfs_grow(im->inodes, im->cap * sizeof *im->inodes);
        }
        im->inodes[im->n] = (struct minode){ .born = mode, .mode = mode };
        return im->n++;
}

void mimage_init(struct mimage *im)
{
        *im = (struct mimage){ .next_entry = 3 };
        (void)mimage_new_inode(im, 0); /* inode 0 does not exist */
        (void)mimage_new_inode(im, S_IFDIR | 0755);
}

void mimage_copy(struct mimage *dst, const struct mimage *src)
{
        *dst = *src;
        dst->inodes = mfs_alloc(src->cap * sizeof *src->inodes);
        memcpy(dst->inodes, src->inodes, src->n * sizeof *src->inodes);
        for (uint32_t i = 0; i < dst->n; i++) {
                struct minode *node = &dst->inodes[i];
                if (node->blob)
                        node->blob->refs++;
                if (!node->entries)
                        continue;
                node->entries = mfs_alloc(node->cap * sizeof *node->entries);
                for (size_t k = 0; k < node->n; k++) {
                        node->entries[k] = src->inodes[i].entries[k];
                        node->entries[k].name = copy_text(node->entries[k].name);
                }
        }
}

void mimage_done(struct mimage *im)
{
        for (uint32_t i = 0; i < im->n; i++) {
                blob_unref(im->inodes[i].blob);
                for (size_t k = 0; k < im->inodes[i].n; k++)
                        free(im->inodes[i].entries[k].name);
                free(im->inodes[i].entries);
        }
        free(im->inodes);
        *im = (struct mimage){ 0 };
}

/* --- names ------------------------------------------------------------------------------------------------------ */

struct mentry *mimage_find(const struct mimage *im, uint32_t dir, const char *name)
{
        const struct minode *node = &im->inodes[dir];
        for (size_t i = 0; i < node->n; i++)
                if (strcmp(node->entries[i].name, name) == 0)
                        return &node->entries[i];
        return NULL;
}

unsigned mimage_links(const struct mimage *im, uint32_t ino)
{
        unsigned links = ino == MODELFS_ROOT;
        for (uint32_t i = 1; i < im->n; i++)
                for (size_t k = 0; k < im->inodes[i].n; k++)
                        links += im->inodes[i].entries[k].ino == ino;
        return links;
}

static void name_del(struct mimage *im, uint32_t dir, const char *name)
{
        struct mentry *e = mimage_find(im, dir, name);
        if (!e)
                return;
        struct minode *node = &im->inodes[dir];
        free(e->name);
        size_t i = (size_t)(e - node->entries);
        memmove(e, e + 1, (--node->n - i) * sizeof *e);
}

static void name_set(struct mimage *im, uint32_t dir, const char *name, uint32_t ino)
{
        name_del(im, dir, name);
        struct minode *node = &im->inodes[dir];
        if (node->n == node->cap) {
                node->cap = node->cap ? node->cap * 2 : 4;
                node->entries = mfs_grow(node->entries, node->cap * sizeof *node->entries);
        }
        node->entries[node->n++] = (struct mentry){ copy_text(name), ino, im->next_entry++ };
}

/* --- operations -------------------------------------------------------------------------------------------------- */

static void set_size(struct minode *node, uint64_t size)
{
        if (size < node->size && node->blob) {
                uint8_t *p = blob_own(node, node->blob->cap);
                size_t from = size < node->blob->cap ? (size_t)size : node->blob->cap;
                memset(p + from, 0, node->blob->cap - from);
        }
        node->size = size;
}

void mimage_apply(struct mimage *im, const struct mop *op, size_t torn)
{
        struct minode *node = &im->inodes[op->ino];
        size_t n = op->n < torn ? op->n : torn;
        switch (op->kind) {
        case MOP_WRITE:
                if (n > 0)
                        memcpy(blob_own(node, (size_t)op->at + n) + op->at, op->data, n);
                break;
        case MOP_SIZE:
                set_size(node, op->at);
                break;
        case MOP_ATTR:
                node->mode = op->mode;
                node->uid = op->uid;
                node->gid = op->gid;
                node->mtime = op->mtime;
                break;
        case MOP_ADD:
                name_set(im, op->dir, op->name, op->ino);
                break;
        case MOP_DEL:
                name_del(im, op->dir, op->name);
                break;
        case MOP_RENAME:
                name_del(im, op->dir, op->name);
                name_set(im, op->dir2, op->name2, op->ino);
                break;
        }
}

void mop_done(struct mop *op)
{
        free(op->name);
        free(op->name2);
        free(op->data);
}

/* --- hashing ---------------------------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t h, const void *p, size_t n)
{
        const uint8_t *b = p;
        for (; n >= 8; n -= 8, b += 8) {
                uint64_t v;
                memcpy(&v, b, 8);
                h = (h ^ v) * 0x9e3779b97f4a7c15U;
                h ^= h >> 29;
        }
        for (; n > 0; n--)
                h = (h ^ *b++) * 0x100000001b3U;
        return h ^ h >> 32;
}

static uint64_t hash_inode(const struct mimage *im, uint32_t ino, unsigned depth)
{
        const struct minode *node = &im->inodes[ino];
        uint64_t h = mix(14695981039346656037U, &node->mode, sizeof node->mode);
        h = mix(h, &node->uid, sizeof node->uid);
        h = mix(h, &node->gid, sizeof node->gid);
        h = mix(h, &node->mtime, sizeof node->mtime);
        h = mix(h, &node->size, sizeof node->size);
        if (node->blob) {
                uint64_t n = node->size < node->blob->cap ? node->size : node->blob->cap;
                while (n > 0 && node->blob->bytes[n - 1] == 0)
                        n--; /* stored zeros and holes read the same */
                h = mix(h, node->blob->bytes, (size_t)n);
        }
        uint64_t sum = 0; /* order of entries does not matter */
        for (size_t i = 0; i < node->n && depth < 64; i++) {
                const struct mentry *e = &node->entries[i];
                uint64_t one[2] = { mix(7, e->name, strlen(e->name)), hash_inode(im, e->ino, depth + 1) };
                uint32_t links = mimage_links(im, e->ino);
                sum += mix(links, one, sizeof one);
        }
        return mix(h, &sum, sizeof sum);
}

uint64_t mimage_hash(const struct mimage *im)
{
        return hash_inode(im, MODELFS_ROOT, 0);
}
