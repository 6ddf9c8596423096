/* SPDX-License-Identifier: MIT */
/* Images of the model disk: inodes, names, content shared until written; applying operations; hashing. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* --- pages ------------------------------------------------------------------------------------------------------ */

static void page_unref(struct mpage *p)
{
        if (p && --p->refs == 0)
                free(p);
}

/* Page @i of @node, to be written: its own, and not hashed. */
static uint8_t *page_own(struct minode *node, size_t i)
{
        if (i >= node->n_pages) {
                node->pages = mfs_grow(node->pages, (i + 1) * sizeof *node->pages);
                memset(node->pages + node->n_pages, 0, (i + 1 - node->n_pages) * sizeof *node->pages);
                node->n_pages = i + 1;
        }
        struct mpage *old = node->pages[i];
        if (!old || old->refs > 1) {
                struct mpage *p = mfs_alloc(sizeof *p);
                p->refs = 1;
                if (old)
                        memcpy(p->bytes, old->bytes, MODELFS_PAGE);
                page_unref(old);
                node->pages[i] = p;
        }
        node->pages[i]->hashed = false;
        return node->pages[i]->bytes;
}

static void write_bytes(struct minode *node, uint64_t at, const uint8_t *bytes, size_t n)
{
        while (n > 0) {
                size_t in = (size_t)(at % MODELFS_PAGE), step = MODELFS_PAGE - in;
                step = step < n ? step : n;
                memcpy(page_own(node, (size_t)(at / MODELFS_PAGE)) + in, bytes, step);
                at += step, bytes += step, n -= step;
        }
}

void minode_read(const struct minode *node, uint64_t at, void *buf, size_t n)
{
        for (char *to = buf; n > 0;) {
                size_t i = (size_t)(at / MODELFS_PAGE), in = (size_t)(at % MODELFS_PAGE), step = MODELFS_PAGE - in;
                const struct mpage *p = i < node->n_pages ? node->pages[i] : NULL;
                step = step < n ? step : n;
                if (p)
                        memcpy(to, p->bytes + in, step);
                else
                        memset(to, 0, step);
                at += step, to += step, n -= step;
        }
}

static void set_size(struct minode *node, uint64_t size)
{
        size_t whole = (size_t)(size / MODELFS_PAGE), in = (size_t)(size % MODELFS_PAGE);
        if (size < node->size && in > 0 && whole < node->n_pages && node->pages[whole])
                memset(page_own(node, whole) + in, 0, MODELFS_PAGE - in);
        size_t keep = whole + (in > 0);
        while (size < node->size && node->n_pages > keep)
                page_unref(node->pages[--node->n_pages]);
        node->size = size;
}

/* --- inodes ----------------------------------------------------------------------------------------------------- */

static struct mname *name_new(const char *text)
{
        size_t n = strlen(text) + 1;
        struct mname *name = mfs_alloc(sizeof *name + n);
        name->refs = 1;
        name->hash = mix(7, text, n - 1);
        memcpy(name->text, text, n);
        return name;
}

static void name_unref(struct mname *name)
{
        if (--name->refs == 0)
                free(name);
}

static void inode_unref(struct minode *node)
{
        if (--node->refs > 0)
                return;
        for (size_t i = 0; i < node->n_pages; i++)
                page_unref(node->pages[i]);
        for (size_t i = 0; i < node->n; i++)
                name_unref(node->entries[i].name);
        free(node->pages);
        free(node->entries);
        free(node);
}

/* The inode, to be changed: its own. */
static struct minode *inode_own(struct mimage *im, uint32_t ino)
{
        struct minode *old = im->inodes[ino];
        if (old->refs == 1) {
                old->hashed = false;
                return old;
        }
        struct minode *node = mfs_alloc(sizeof *node);
        *node = *old;
        node->refs = 1;
        node->hashed = false;
        node->pages = NULL;
        if (old->n_pages > 0) {
                node->pages = mfs_alloc(old->n_pages * sizeof *node->pages);
                memcpy(node->pages, old->pages, old->n_pages * sizeof *node->pages);
        }
        for (size_t i = 0; i < node->n_pages; i++)
                if (node->pages[i])
                        node->pages[i]->refs++;
        if (old->cap > 0) {
                node->entries = mfs_alloc(old->cap * sizeof *node->entries);
                memcpy(node->entries, old->entries, old->n * sizeof *node->entries);
        }
        for (size_t i = 0; i < node->n; i++)
                node->entries[i].name->refs++;
        old->refs--;
        im->inodes[ino] = node;
        return node;
}

void mimage_take_inode(struct mimage *im, const struct mimage *from, uint32_t ino)
{
        from->inodes[ino]->refs++;
        inode_unref(im->inodes[ino]);
        im->inodes[ino] = from->inodes[ino];
}

uint32_t mimage_new_inode(struct mimage *im, mode_t mode)
{
        if (im->n == im->cap) {
                im->cap = im->cap ? im->cap * 2 : 16;
                im->inodes = mfs_grow(im->inodes, im->cap * sizeof *im->inodes);
        }
        struct minode *node = mfs_alloc(sizeof *node);
        *node = (struct minode){ .refs = 1, .born = mode, .mode = mode, .uid = geteuid(), .gid = getegid() };
        im->inodes[im->n] = node;
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
        for (uint32_t i = 0; i < dst->n; i++)
                dst->inodes[i]->refs++;
}

void mimage_done(struct mimage *im)
{
        for (uint32_t i = 0; i < im->n; i++)
                inode_unref(im->inodes[i]);
        free(im->inodes);
        *im = (struct mimage){ 0 };
}

/* --- names ------------------------------------------------------------------------------------------------------ */

struct mentry *mimage_find(const struct mimage *im, uint32_t dir, const char *name)
{
        const struct minode *node = im->inodes[dir];
        for (size_t i = 0; i < node->n; i++)
                if (strcmp(node->entries[i].name->text, name) == 0)
                        return &node->entries[i];
        return NULL;
}

unsigned mimage_links(const struct mimage *im, uint32_t ino)
{
        unsigned links = ino == MODELFS_ROOT;
        for (uint32_t i = 1; i < im->n; i++)
                for (size_t k = 0; k < im->inodes[i]->n; k++)
                        links += im->inodes[i]->entries[k].ino == ino;
        return links;
}

static void name_del(struct mimage *im, uint32_t dir, const char *name)
{
        if (!mimage_find(im, dir, name))
                return;
        struct minode *node = inode_own(im, dir);
        struct mentry *e = mimage_find(im, dir, name);
        if (!e)
                return; /* it is there: looked for above */
        name_unref(e->name);
        size_t i = (size_t)(e - node->entries);
        memmove(e, e + 1, (--node->n - i) * sizeof *e);
}

static void name_set(struct mimage *im, uint32_t dir, const char *name, uint32_t ino)
{
        name_del(im, dir, name);
        struct minode *node = inode_own(im, dir);
        if (node->n == node->cap) {
                node->cap = node->cap ? node->cap * 2 : 4;
                node->entries = mfs_grow(node->entries, node->cap * sizeof *node->entries);
        }
        node->entries[node->n++] = (struct mentry){ name_new(name), ino, im->next_entry++ };
}

/* --- operations -------------------------------------------------------------------------------------------------- */

static void set_attr(struct minode *node, const struct mop *op)
{
        node->mode = op->mode;
        node->uid = op->uid;
        node->gid = op->gid;
        node->mtime = op->mtime;
}

void mimage_apply(struct mimage *im, const struct mop *op, size_t torn)
{
        size_t n = op->n < torn ? op->n : torn;
        switch (op->kind) {
        case MOP_WRITE: write_bytes(inode_own(im, op->ino), op->at, op->data, n); break;
        case MOP_SIZE: set_size(inode_own(im, op->ino), op->at); break;
        case MOP_ATTR: set_attr(inode_own(im, op->ino), op); break;
        case MOP_ADD: name_set(im, op->dir, op->name, op->ino); break;
        case MOP_DEL: name_del(im, op->dir, op->name); break;
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

static uint64_t hash_page(struct mpage *p)
{
        static const uint8_t zeros[MODELFS_PAGE];
        if (!p)
                return 0;
        if (!p->hashed) /* stored zeros and holes read the same */
                p->hash = memcmp(p->bytes, zeros, MODELFS_PAGE) == 0 ? 0 : mix(3, p->bytes, MODELFS_PAGE);
        p->hashed = true;
        return p->hash;
}

static uint64_t hash_content(struct minode *node)
{
        if (node->hashed)
                return node->hash;
        uint64_t h = mix(14695981039346656037U, &node->mode, sizeof node->mode);
        h = mix(h, &node->uid, sizeof node->uid);
        h = mix(h, &node->gid, sizeof node->gid);
        h = mix(h, &node->mtime, sizeof node->mtime);
        h = mix(h, &node->size, sizeof node->size);
        for (size_t i = 0; i < node->n_pages; i++) {
                uint64_t one[2] = { i, hash_page(node->pages[i]) };
                if (one[1] != 0)
                        h += mix(5, one, sizeof one);
        }
        node->hashed = true;
        node->hash = mix(11, &h, sizeof h);
        return node->hash;
}

static uint64_t hash_inode(const struct mimage *im, const unsigned *links, uint32_t ino, unsigned depth)
{
        struct minode *node = im->inodes[ino];
        uint64_t sum = 0; /* order of entries does not matter */
        for (size_t i = 0; i < node->n && depth < 64; i++) {
                const struct mentry *e = &node->entries[i];
                uint64_t one[2] = { e->name->hash, hash_inode(im, links, e->ino, depth + 1) };
                sum += mix(links[e->ino], one, sizeof one);
        }
        return mix(hash_content(node), &sum, sizeof sum);
}

uint64_t mimage_hash(const struct mimage *im)
{
        unsigned *links = mfs_alloc(im->n * sizeof *links);
        for (uint32_t i = 1; i < im->n; i++)
                for (size_t k = 0; k < im->inodes[i]->n; k++)
                        links[im->inodes[i]->entries[k].ino]++;
        uint64_t h = hash_inode(im, links, MODELFS_ROOT, 0);
        free(links);
        return h;
}
