/* SPDX-License-Identifier: MIT */
/*
 * The allocator of the crash lab without sanitizers: lists of free blocks by size, for one thread, and nothing goes back to the system. The lab
 * builds and frees small repositories, and SQLite's schema in each, some thousand times a second; this saves a fifth of its time.
 */
#include <stddef.h>

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define LAB_MALLOC 0
#elif defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define LAB_MALLOC 0
#endif
#endif
#ifndef LAB_MALLOC
#define LAB_MALLOC 1
#endif

#if LAB_MALLOC

/* The C library calls these, too. */
#pragma GCC visibility push(default)

#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { STEP = 16, SMALL = 1024, CLASSES = 128, CHUNK = 16 << 20 };

/* Before each block; as large as the alignment of malloc(). */
struct head {
        size_t class;
        size_t skip; /* the memory begins this far within the block: alignment */
};

static void *unused[CLASSES];
static char *next, *end;

static size_t class_of(size_t n)
{
        if (n <= SMALL)
                return n == 0 ? 0 : (n - 1) / STEP;
        return SMALL / STEP + 64 - (size_t)__builtin_clzl(n - 1) - 11;
}

static size_t size_of(size_t class)
{
        return class < SMALL / STEP ? (class + 1) * STEP : (size_t)1 << (class - SMALL / STEP + 11);
}

static void *carve(size_t class)
{
        size_t n = sizeof(struct head) + size_of(class);
        if ((size_t)(end - next) < n) {
                size_t chunk = n > CHUNK ? n : CHUNK;
                void *p = mmap(NULL, chunk, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                if (p == MAP_FAILED) {
                        errno = ENOMEM;
                        return NULL;
                }
                next = p;
                end = next + chunk;
        }
        struct head *h = (struct head *)(void *)next;
        next += n;
        *h = (struct head){ .class = class };
        return h + 1;
}

static size_t class_at(void *p)
{
        return ((struct head *)p - 1)->class;
}

static size_t skip_at(void *p)
{
        return ((struct head *)p - 1)->skip;
}

/* Not malloc() itself: compilers know what that and memset() together mean. */
__attribute__((noinline)) static void *get(size_t n)
{
        if (n > PTRDIFF_MAX / 2) {
                errno = ENOMEM;
                return NULL;
        }
        size_t class = class_of(n);
        void **p = unused[class];
        if (!p)
                return carve(class);
        unused[class] = *p;
        return p;
}

void *malloc(size_t n)
{
        return get(n);
}

void free(void *p)
{
        if (!p)
                return;
        size_t class = class_at(p);
        void *block = (char *)p - skip_at(p);
        *(void **)block = unused[class];
        unused[class] = block;
}

void *calloc(size_t n, size_t size)
{
        size_t bytes;
        if (__builtin_mul_overflow(n, size, &bytes)) {
                errno = ENOMEM;
                return NULL;
        }
        void *p = get(bytes);
        return p ? memset(p, 0, bytes) : NULL;
}

void *realloc(void *p, size_t n)
{
        size_t has = p ? size_of(class_at(p)) - skip_at(p) : 0;
        if (p && has >= n)
                return p;
        void *q = get(n);
        if (q && p) {
                memcpy(q, p, has);
                free(p);
        }
        return q;
}

void *aligned_alloc(size_t alignment, size_t n)
{
        if (alignment <= sizeof(struct head))
                return get(n);
        char *block = n < PTRDIFF_MAX / 2 && alignment <= CHUNK ? get(n + alignment) : NULL;
        if (!block)
                return NULL;
        size_t skip = alignment - (uintptr_t)block % alignment;
        struct head *h = (struct head *)(void *)(block + skip) - 1; /* skip is a multiple of the head's size */
        h->class = class_at(block);
        h->skip = skip;
        return block + skip;
}

void *memalign(size_t alignment, size_t n)
{
        return aligned_alloc(alignment, n);
}

int posix_memalign(void **ret, size_t alignment, size_t n)
{
        *ret = aligned_alloc(alignment, n);
        return *ret ? 0 : ENOMEM;
}

#endif
