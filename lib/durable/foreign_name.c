/* SPDX-License-Identifier: MIT */
/* Names of Oxen's temps. ASCII only, whatever the locale: the facts are docs/OXEN.md's. */
#include <string.h>

#include "durable/foreign_name.h"

#define TEMP_MARK ".oxentmp."
#define EXPORT_MARK ".export-"

enum { TEMP_RANDOM = 6, TEMP_SUFFIX = sizeof TEMP_MARK - 1 + TEMP_RANDOM, PID_DIGITS_MAX = 10 };

static bool is_digit(char c)
{
        return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
        return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_sibling_temp(const char *name)
{
        size_t len = strlen(name);
        if (len <= TEMP_SUFFIX)
                return false;
        const char *suffix = name + len - TEMP_SUFFIX;
        if (memcmp(suffix, TEMP_MARK, sizeof TEMP_MARK - 1) != 0)
                return false;
        for (const char *p = suffix + sizeof TEMP_MARK - 1; *p; p++)
                if (!is_alnum(*p))
                        return false;
        return true;
}

static bool is_export_temp(const char *name)
{
        if (strncmp(name, TEMP_MARK, sizeof TEMP_MARK - 1) != 0)
                return false;
        const char *pid = name + sizeof TEMP_MARK - 1, *p = pid;
        while (is_digit(*p))
                p++;
        if (p == pid || p - pid > PID_DIGITS_MAX || *pid == '0')
                return false;
        return strncmp(p, EXPORT_MARK, sizeof EXPORT_MARK - 1) == 0 && p[sizeof EXPORT_MARK - 1];
}

bool oxl_oxen_temp_name(const char *name)
{
        return is_sibling_temp(name) || is_export_temp(name);
}
