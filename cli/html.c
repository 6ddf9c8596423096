/* SPDX-License-Identifier: MIT */
/* The text of a page: growing, escaping, writing. See html.h. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <oxenlite/atomic.h>

#include "html.h"

void html_done(struct html *h)
{
        free(h->bytes);
        *h = (struct html){ 0 };
}

static void put(struct html *h, const char *bytes, size_t n)
{
        if (h->failed || n == 0)
                return;
        if (h->cap - h->n < n) {
                size_t cap = h->cap * 2 + n + 4096;
                char *grown = realloc(h->bytes, cap);
                if (!grown) {
                        h->failed = true;
                        return;
                }
                h->bytes = grown;
                h->cap = cap;
        }
        memcpy(h->bytes + h->n, bytes, n);
        h->n += n;
}

void html_add(struct html *h, const char *markup)
{
        put(h, markup, strlen(markup));
}

void html_addf(struct html *h, const char *format, ...)
{
        char *text = NULL;
        va_list ap;

        va_start(ap, format);
        int n = vasprintf(&text, format, ap);
        va_end(ap);
        if (n < 0) {
                h->failed = true;
                return;
        }
        put(h, text, (size_t)n);
        free(text);
}

/* Control characters, what reorders text, and bytes that are not UTF-8 become \xHH first, so the page is always UTF-8. */
void html_text(struct html *h, const char *text)
{
        cleanup_free char *plain = escape_name(text, true, false);

        if (!plain) {
                h->failed = true;
                return;
        }
        for (const char *p = plain; *p;) {
                size_t n = strcspn(p, "&<>\"'");
                put(h, p, n);
                p += n;
                switch (*p) {
                case '\0': return;
                case '&': html_add(h, "&amp;"); break;
                case '<': html_add(h, "&lt;"); break;
                case '>': html_add(h, "&gt;"); break;
                case '"': html_add(h, "&quot;"); break;
                default: html_add(h, "&#39;"); break;
                }
                p++;
        }
}

void html_append(struct html *h, const struct html *from)
{
        h->failed = h->failed || from->failed;
        put(h, from->bytes, from->n);
}

int html_check_target(struct cli *c, const char *file, struct oxl_error *err)
{
        struct stat st;

        if (lstat(file, &st) == 0 && !S_ISREG(st.st_mode))
                return cli_usage(c, err, "--html writes a file, and '%s' is something else", file);
        cleanup_free char *folder = strdup(file);
        char *slash = folder ? strrchr(folder, '/') : NULL;
        if (!slash || slash == folder)
                return 0;
        *slash = '\0';
        if (stat(folder, &st) < 0 && errno == ENOENT) /* a typing error, more likely than a wish */
                return cli_usage(c, err, "--html: there is no folder '%s'", folder);
        return 0;
}

int html_write(const struct html *h, const char *file, struct oxl_error *err)
{
        const struct oxl_atomic_options options = { .flags = OXL_ATOMIC_PRESERVE_MODE,
                                                    .symlink = OXL_SYMLINK_REFUSE,
                                                    .cancel = &signals_cancel };

        if (h->failed)
                return cli_error(err, OXL_E_NOMEM, 0, NULL, NULL);
        return oxl_atomic_write_to_path(file, h->bytes, h->n, &options, NULL, err);
}
